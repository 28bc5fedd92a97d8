"""Figures: what a claim shows, as data, as a plot for a notebook, and as the SVG of the pages."""

from mechlib.figures.circuit_plots import circuit_graph, curve
from mechlib.figures.depth_plots import by_depth, depth_and_concentration
from mechlib.figures.plots import (
    attention_pattern,
    by_column,
    by_stratum,
    distribution,
    heads_by_layer,
    matrix,
    rates_by_column,
    rates_by_stratum,
)

__all__ = [
    "attention_pattern", "by_column", "by_depth", "by_stratum", "circuit_graph", "curve", "depth_and_concentration",
    "distribution", "heads_by_layer", "matrix", "rates_by_column", "rates_by_stratum",
]  # fmt: skip
