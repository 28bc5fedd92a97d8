"""Figures as SVG, by hand: for the pages and for the committed files. No library draws, so that bytes stay."""
