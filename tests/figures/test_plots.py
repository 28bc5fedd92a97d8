"""Figures say what the numbers are: the right head, the right sign, one scale; and the same bytes each time."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from mechlib.figures import plots
from mechlib.figures.data import extent, grid_of, head_grid, histogram, short
from mechlib.figures.points import column_points, column_spans, columns_left_out, strata_means, stratum_points
from mechlib.figures.svg import charts
from mechlib.figures.svg.elements import Scale, drawing, number, scale_for
from mechlib.figures.svg.intervals import Mark, bound_parts, mark_parts
from mechlib.measurement import Measurement
from mechlib.statistics import mean

ROOT = Path(__file__).parents[2]
HEADS = tuple(f"{layer}.{head}" for layer in range(2) for head in range(3))
COLUMNS = {
    "circuit_graph": ("input->0.1.q", "input->1.0.v", "0.1->1.0.k", "0.1->mlp 0", "mlp 0->logits", "1.0->logits"),
    "curve": ("0", "1", "2", "5", "10", "1519"),
    "by_depth": ("embeddings", "after layer 0", "after layer 1", "after layer 11", "bag of tokens", "majority"),
}


def measured(values: np.ndarray, columns: tuple[str, ...] = ("value",), **more: object) -> Measurement:
    values = values.reshape(len(values), -1)
    return Measurement(values, tuple(f"u{i}" for i in range(len(values))), columns=columns, **more)  # type: ignore[arg-type]


def cells(drawn: str, kind: str) -> dict[tuple[float, float], float]:
    """Opacity by (x, y) of all rectangles of a class."""
    found = [e for e in ET.fromstring(drawn).iter("rect") if e.get("class") == kind]
    return {(float(e.get("x", 0)), float(e.get("y", 0))): float(e.get("fill-opacity", 1)) for e in found}


def test_a_head_map_holds_the_mean_of_each_head_at_its_layer_and_place() -> None:
    values = np.array([[1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7, 8]], dtype=float)
    grid = head_grid(measured(values, HEADS))
    np.testing.assert_array_equal(grid, [[2, 3, 4], [5, 6, 7]])


def test_columns_that_are_no_heads_are_left_out_of_a_head_map_and_missing_heads_are_blank() -> None:
    grid = head_grid(measured(np.array([[9.0, 1.0, 2.0]]), ("total", "0.1", "1.0")))
    np.testing.assert_array_equal(grid, [[np.nan, 1.0], [2.0, np.nan]])
    with pytest.raises(ValueError, match="no column is a head"):
        head_grid(measured(np.ones(3)))


def test_the_colour_of_a_head_is_its_share_of_the_limit_and_the_sign_has_its_own_colour() -> None:
    drawn = charts.heads_by_layer(measured(np.array([[1.0, -0.5, 0.0, 0.25, 0.0, 0.0]]), HEADS), ends=(-1.0, 1.0))
    positive, negative = cells(drawn, "p"), cells(drawn, "n")
    assert sorted(positive.values())[-2:] == [0.25, 1.0]
    assert list(negative.values()) == [0.5]
    (x, y), *_ = negative
    assert (x, y) == (15 + 23, 0), "head 0.1 stands in the first row, second column"


def test_panels_of_one_row_share_their_scale() -> None:
    weak, strong = (measured(np.full((4, 6), level), HEADS) for level in (0.2, 0.8))
    figure = plots.small_multiples(plots.heads_by_layer, {"a": weak, "b": strong})
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert {image.get_clim() for image in images} == {(0.0, 0.8)}


@pytest.mark.parametrize("name", ["by_stratum", "by_column", "distribution"])
def test_strips_and_histograms_of_one_row_share_their_axis(name: str) -> None:
    low, high = (measured(np.linspace(start, start + 1, 20), strata=("a", "b") * 10) for start in (0.5, 7.0))
    ends = extent(name, [low, high])
    drawn = [getattr(charts, name)(data, ends) for data in (low, high)]
    numbers = [re.findall(r"<text x=[^>]*>([^<]+)</text>", text) for text in drawn]
    assert numbers[0] == numbers[1], "the same ticks under both"
    figure = plots.small_multiples(getattr(plots, name), {"a": low, "b": high})
    limits = {axes.get_ylim() if name == "by_column" else axes.get_xlim() for axes in figure.axes}
    assert len(limits) == 1


def test_attention_is_drawn_with_queries_down_and_keys_across() -> None:
    weights = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.75, 0.0, 0.25]])
    drawn = charts.attention_pattern(Measurement(weights, ("0 a", "1 b", "2 a"), columns=("0 a", "1 b", "2 a")))
    shown = cells(drawn, "p")
    assert len(shown) == 4, "weights below .01 are left out"
    rows = sorted({y for _, y in shown})
    assert sorted(opacity for (_, y), opacity in shown.items() if y == rows[2]) == [0.25, 0.75]


def test_strata_are_means_over_their_own_units_in_order_of_appearance() -> None:
    rows = strata_means(measured(np.array([1.0, 5.0, 3.0]), strata=("long", "short", "long")))
    assert [(label, n, float(means[0])) for label, n, means in rows] == [("long", 2, 2.0), ("short", 1, 5.0)]
    with pytest.raises(ValueError, match="no strata"):
        strata_means(measured(np.ones(3)))


def test_a_histogram_counts_every_unit_and_survives_constant_values() -> None:
    counts, edges = histogram(np.random.default_rng(0).normal(size=200))
    assert counts.sum() == 200
    assert len(edges) == len(counts) + 1
    assert histogram(np.full(7, 2.0))[0].tolist() == [7]


@pytest.mark.parametrize("name", plots.FIGURES)
def test_every_figure_is_drawn_for_the_page_and_for_the_forge_even_of_constant_values(name: str) -> None:
    for values in (np.zeros((6, 6)), np.random.default_rng(1).normal(size=(6, 6))):
        columns = COLUMNS.get(name, HEADS)
        data = Measurement(values, HEADS, columns=columns, strata=("a", "b") * 3, of="nats & <more>")
        ET.fromstring(getattr(charts, name)(data))
        ET.fromstring(getattr(charts, name)(data, small=True))
        drawn = plots.svg_bytes(getattr(plots, name)(data))
        ET.fromstring(drawn)
        assert drawn == plots.svg_bytes(getattr(plots, name)(data)), "the same figure is the same bytes"
        assert b"<dc:date>" not in drawn


def test_committed_figures_hold_no_date_no_font_of_the_machine_and_no_random_ids() -> None:
    data = measured(np.random.default_rng(2).normal(size=(20, 6)), HEADS)
    drawn = plots.svg_bytes(
        plots.small_multiples(plots.heads_by_layer, {"mini-0": data, "mini-1": data}, "$x^2$ & 你好")
    )
    code = "import sys; sys.path.insert(0, sys.argv[1]); from tests.figures.test_plots import again; again()"
    other = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, check=True, cwd=ROOT).stdout
    assert drawn == other, "another process, with other hash seeds, draws the same bytes"
    assert not re.search(rb"font-family|20\d\d-\d\d-\d\d", drawn)


def again() -> None:
    """The figure of the test above, to standard output."""
    data = measured(np.random.default_rng(2).normal(size=(20, 6)), HEADS)
    figure = plots.small_multiples(plots.heads_by_layer, {"mini-0": data, "mini-1": data}, "$x^2$ & 你好")
    sys.stdout.buffer.write(plots.svg_bytes(figure))


def test_naming_a_figure_in_a_claim_imports_no_matplotlib() -> None:
    code = "import sys; from mechlib.figures.plots import heads_by_layer; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.05, 0.05), (3e-6, 1e-5), (-1234, 98765), (0.41, 0.42)])
def test_ticks_are_round_lie_inside_and_leave_room_for_their_numbers(low: float, high: float) -> None:
    scale = Scale(low, high, 260)
    assert 2 <= len(scale.ticks) <= 7
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in scale.ticks)
    places = [scale(tick) for tick in scale.ticks]
    assert min(np.diff(places)) >= 37
    assert all(len(f"{tick:.6g}") <= 8 for tick in scale.ticks)


def test_a_scale_is_linear_keeps_marks_inside_and_takes_a_single_number() -> None:
    scale = Scale(0, 10, 118)
    assert [scale(0), scale(5), scale(10)] == [9, 59, 109]
    assert scale(99) == 109
    assert scale_for([]).low < scale_for([]).high
    one = scale_for([0.3, None, float("inf")])
    assert one.low < 0.3 < one.high


def interval_row(scale: Scale, marks: list[Mark], bounds: list[tuple[str, float]]) -> str:
    """A row of a forest plot by itself."""
    return drawing(scale.width, 18, [*bound_parts(scale, bounds), *mark_parts(scale, marks)], "row")


def test_a_mark_beyond_the_axis_is_an_arrow_at_its_edge_not_a_mark_at_a_wrong_place() -> None:
    row = interval_row(Scale(0, 1), [Mark(5.0, 4.0, 6.0, twin="untrained")], [(">=", 0.4)])
    assert "circle" not in row
    assert 'class="f"' in row


def test_words_differ_by_shape_and_not_only_by_colour() -> None:
    words = ("SUPPORTED", "REFUTED", "INCONCLUSIVE", "VOID")
    rows = [interval_row(Scale(0, 1), [Mark(0.5, 0.4, 0.6, word)], []) for word in words]
    shapes = {re.sub(r'class="m [a-z-]+"', "", row) for row in rows}
    assert len(shapes) == len(words)


@pytest.mark.parametrize(
    ("bounds", "left", "right"),
    [([(">=", 0.4)], 0.4, None), ([("<=", 0.4)], None, 0.4), ([(">=", -0.1), ("<=", 0.1)], -0.1, 0.1)],
)
def test_the_tinted_side_is_the_claimed_one(
    bounds: list[tuple[str, float]], left: float | None, right: float | None
) -> None:
    scale = Scale(-1, 1, 218)
    tinted = next(e for e in ET.fromstring(interval_row(scale, [], bounds)).iter("rect"))
    start, width = float(tinted.get("x", 0)), float(tinted.get("width", 0))
    assert start == pytest.approx(0 if left is None else scale(left), abs=0.06)
    assert start + width == pytest.approx(218 if right is None else scale(right), abs=0.11)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (-0.0, "0"), (0.4, "0.400"), (-0.0512, "−0.051"), (12.345, "12.35"), (1234.5, "1234"),
     (3.2e-6, "3.20e−6"), (2e7, "2.00e7"), (1.0, "1.000"), (float("nan"), "–")],
)  # fmt: skip
def test_numbers_are_written_for_reading(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.434, ".43"), (-0.05, "-.05"), (1.0, "1.0"), (0.001, "0"), (12.3, "12")])
def test_numbers_in_cells_are_short(value: float, text: str) -> None:
    assert short(value) == text


# Rates with intervals, grids, MLPs


def cells_of(**rows: dict[str, Measurement]) -> dict[tuple[str, str], Measurement]:
    return {(row, column): data for row, entries in rows.items() for column, data in entries.items()}


def hits(n: int, of: int, strata: tuple[str, ...] = ()) -> Measurement:
    return measured(np.arange(of) < n, strata=strata, yes_no=True)


def test_the_share_of_each_stratum_stands_with_its_own_interval_and_n() -> None:
    data = measured(np.array([1.0] * 30 + [0.0] * 30 + [1.0] * 4), strata=("a",) * 60 + ("b",) * 4, yes_no=True)
    common, rare = stratum_points(data)
    low, high = proportion_confint(30, 60, method="wilson")
    assert (common.label, common.n, common.value) == ("a", 60, 0.5)
    assert common.interval == pytest.approx((low, high))
    low, high = proportion_confint(4, 4, method="beta")
    assert (rare.label, rare.n, rare.value) == ("b", 4, 1.0)
    assert rare.interval == pytest.approx((low, 1.0))


def test_a_mean_of_few_units_or_without_variation_is_a_dot_alone() -> None:
    values = np.concatenate([np.linspace(0, 1, 19), np.linspace(0, 1, 20), np.full(20, 0.5)])
    data = measured(values, strata=("few",) * 19 + ("enough",) * 20 + ("constant",) * 20)
    few, enough, constant = stratum_points(data)
    assert few.interval is None and few.value == 0.5
    assert enough.interval == pytest.approx(
        tuple(getattr(mean(data.stratum("enough")), end) for end in ("low", "high"))
    )
    assert constant.interval is None


def test_inside_one_cluster_units_are_independent() -> None:
    data = measured(np.linspace(0, 1, 40), clusters=("t1", "t2") * 20)
    alone = measured(np.linspace(0, 1, 40)[::2])
    assert stratum_points(data)[0].interval == pytest.approx((mean(alone).low, mean(alone).high), abs=0.02)


def test_columns_stand_from_the_highest_on_and_simultaneous_limits_hold_the_single_ones() -> None:
    rng = np.random.default_rng(3)
    data = measured((rng.random((200, 4)) < (0.2, 0.9, 0.5, 0.7)).astype(float), ("a", "b", "c", "d"), yes_no=True)
    points = column_points(data)
    assert [point.label for point in points] == ["b", "d", "c", "a"]
    for point in points:
        assert point.interval is not None and point.outer is not None
        assert point.outer[0] < point.interval[0] < point.value < point.interval[1] < point.outer[1]


def test_of_many_columns_the_twenty_farthest_from_their_median_are_drawn_and_the_others_counted() -> None:
    means = np.array([0.9] * 30 + [0.9 - 0.01 * n for n in range(1, 21)])  # most heads are not needed, twenty are
    data = measured(means + np.random.default_rng(0).normal(size=(30, 50)) * 1e-4, tuple(map(str, range(50))))
    assert {int(point.label) for point in column_points(data)} == set(range(30, 50))
    assert columns_left_out(data) == "30 more, 0.90 to 0.90"
    assert "30 more, 0.90 to 0.90" in charts.rates_by_column(data)
    assert "30 more" in plots.rates_by_column(data).axes[0].get_xlabel()
    few = data[["0", "30"]]
    assert columns_left_out(few) == "" and "more" not in charts.rates_by_column(few)


def test_shares_by_column_stand_with_their_intervals_and_not_with_quartiles_of_zero_and_one() -> None:
    values = np.zeros((20, 2))
    values[:9, 0], values[:, 1] = 1, 1
    shares = replace(measured(values, ("a", "b")), yes_no=True)
    for span, yes in zip(column_spans(shares), (9, 20), strict=True):
        assert span == pytest.approx(proportion_confint(yes, 20, method="beta"))
    assert column_spans(measured(values, ("a", "b")))[0] == (0.0, 1.0)


def test_next_to_nothing_is_no_power_of_ten_in_a_cell() -> None:
    text = charts.matrix(Measurement(np.array([[-1.46e-4, 0.5]]), units=("row",), unit="row", columns=("a", "b")))
    assert ">0.000</text>" in text and "e−" not in text.replace("<title>row, a: −1.46e−4</title>", "")


@pytest.mark.parametrize("name", ["rates_by_stratum", "rates_by_column"])
def test_an_interval_is_drawn_from_its_low_to_its_high_end(name: str) -> None:
    data = hits(45, 60, ("all",) * 60)
    low, high = proportion_confint(45, 60, method="wilson")
    drawn = getattr(charts, name)(data, ends=(0.0, 1.0))
    (start, end), (dot,) = (
        re.findall(r'class="i" d="M([\d.]+) 8H([\d.]+)"', drawn)[0],
        re.findall(r'cx="([\d.]+)"', drawn),
    )
    scale = scale_for((0.0, 1.0), charts.WIDTH)
    left = float(dot) - scale(0.75)
    assert (float(start) - left, float(end) - left) == (
        pytest.approx(scale(low), abs=0.2),
        pytest.approx(scale(high), abs=0.2),
    )
    assert f"0.750 [{low:.3f}, {high:.3f}] (n=60)" in drawn
    (line,) = (c for c in getattr(plots, name)(data).axes[0].collections)
    assert line.get_segments()[0][:, 0].tolist() == pytest.approx([low, high])


def test_a_grid_prints_the_value_of_each_cell_in_its_row_and_column() -> None:
    data = Measurement([[0.5, -0.25], [1.0, 0.0]], ("A", "B"), "set of heads", ("ioi", "addition"))
    drawn = charts.matrix(data)
    assert re.findall(r"<title>([^<]+)</title>", drawn) == [
        "A, ioi: 0.500", "A, addition: −0.250", "B, ioi: 1.000", "B, addition: 0",
    ]  # fmt: skip
    positive, negative = cells(drawn, "p"), cells(drawn, "n")
    assert sorted(positive.values()) == [0.0, 0.5, 1.0] and list(negative.values()) == [0.25]
    ((x, y),) = negative
    assert x == max(x for x, _ in positive) and y == min(y for _, y in positive)
    axes = plots.matrix(data).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), data.values)
    assert {text.get_text() for text in axes.texts} == {".50", "-.25", "1.0", "0"}


def test_a_cell_that_is_a_measurement_shows_its_mean_with_its_interval() -> None:
    lost = measured(np.linspace(-0.5, 1.5, 100))
    drawn = cells_of(A={"ioi": hits(30, 60), "addition": lost}, B={"addition": hits(60, 60)})
    grid = grid_of(drawn)
    assert (grid.rows, grid.columns, len(grid.cells)) == (("A", "B"), ("ioi", "addition"), 3)
    assert grid.cells["A", "ioi"].interval == pytest.approx(proportion_confint(30, 60, method="wilson"))
    assert grid.cells["A", "addition"].interval == (mean(lost).low, mean(lost).high)
    low, high = proportion_confint(30, 60, method="wilson")
    assert f"[.{100 * low:.0f}, .{100 * high:.0f}]" in charts.matrix(drawn)
    assert extent("matrix", [drawn]) == (0.5, 1.0)
    assert len(plots.matrix(drawn).axes[0].texts) == 3, "a cell that was not measured is blank"
    with pytest.raises(ValueError, match="A, ioi has 2 columns"):
        grid_of({("A", "ioi"): measured(np.ones((3, 2)), ("a", "b"))})


def test_mlps_stand_beside_the_heads_of_their_layer() -> None:
    values = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -12.0, 3.0]])
    data = measured(values, (*HEADS, "mlp 0", "mlp 1"))
    assert extent("heads_by_layer", [data]) == (-12.0, 6.0)
    drawn = charts.heads_by_layer(data)
    (((x, y), opacity),) = cells(drawn, "n").items()
    assert (opacity, y) == (1.0, 0.0) and x > max(x for x, y in cells(drawn, "p") if y == 0)
    assert "mlp 0: −12.00" in drawn and "largest at mlp 0" in drawn
    axes = plots.heads_by_layer(data).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2", "mlp"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[1, 2, 3, -12], [4, 5, 6, 3]])


def test_mlps_of_layers_without_heads_have_rows_of_their_own() -> None:
    data = measured(np.array([[1.0, 5.0]]), ("0.0", "mlp 2"))
    axes = plots.heads_by_layer(data).axes[0]
    np.testing.assert_array_equal(
        axes.images[0].get_array().filled(np.nan), [[1, np.nan], [np.nan, np.nan], [np.nan, 5]]
    )
    assert len(cells(charts.heads_by_layer(data), "none")) == 4


def test_a_map_without_mlps_has_no_column_for_them() -> None:
    drawn = charts.heads_by_layer(measured(np.ones((1, 6)), HEADS))
    assert "mlp" not in drawn and len(cells(drawn, "p")) == 6


def test_several_measurements_are_drawn_by_the_matrix_only() -> None:
    with pytest.raises(ValueError, match="make a matrix"):
        extent("by_column", [cells_of(A={"ioi": hits(1, 2)})])
