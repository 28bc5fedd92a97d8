"""Graphs and curves of circuits say what the numbers are: widths, signs, layers, bands; and refuse what has none."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from matplotlib.patches import PathPatch
from statsmodels.stats.proportion import proportion_confint

from mechlib.figures import plots
from mechlib.figures.data import curves_of, extent
from mechlib.figures.layouts import MOST_EDGES, WIDEST, Box, bends, layout, size_ticks, spread
from mechlib.figures.show import Shown, entry, restored
from mechlib.figures.svg import charts
from mechlib.figures.svg.circuit_charts import HIGH
from mechlib.figures.svg.elements import scale_for
from mechlib.figures.svg.sheet import sheet
from mechlib.measurement import Measurement
from mechlib.parts.graphs import Edge, Graph
from mechlib.report.content.claim_figures import asked_figures
from mechlib.report.content.evidence_files import EvidenceFiles
from mechlib.statistics import mean
from mechlib.verdicts.record import Record
from tests.helpers.house import records

pytest_plugins = ["pytester"]
EFFECTS = {
    "input->0.1.v": 2.0,
    "input->0.3.q": 0.5,
    "0.1->1.2.k": -1.0,
    "0.3->mlp 0": 0.25,
    "mlp 0->1.2.q": 0.5,
    "1.2->logits": 4.0,
    "mlp 0->logits": -3.0,
}
SIZES = ("1", "2", "5", "10", "100")


def graph(effects: dict[str, float], rows: int = 1) -> Measurement:
    values = np.tile(list(effects.values()), (rows, 1)) + np.linspace(-1, 1, rows)[:, None] * (rows > 1)
    return Measurement(values, tuple(map(str, range(rows))), "set of prompts", tuple(effects), of="effect, in logits")


def share_kept(units: tuple[str, ...], seed: int = 0, sizes: tuple[str, ...] = SIZES) -> Measurement:
    values = np.random.default_rng(seed).normal(np.linspace(0, 1, len(sizes)), 0.3, size=(len(units), len(sizes)))
    return Measurement(values, units, columns=sizes, of="share kept")


def kept(seed: int = 0, sizes: tuple[str, ...] = SIZES, n: int = 40) -> Measurement:
    return share_kept(tuple(map(str, range(n))), seed, sizes)


def strokes(text: str) -> dict[str, ET.Element]:
    """Drawn edges by name."""
    paths = [e for e in ET.fromstring(text).iter("path") if e.get("class") in ("p", "n")]
    return {title.text.split(": ")[0]: e for e in paths if (title := e.find("title")) is not None and title.text}


def patches(measurement: Measurement) -> dict[str, PathPatch]:
    figure = plots.circuit_graph(measurement)
    return {str(p.get_gid()): p for p in figure.axes[0].patches if isinstance(p, PathPatch)}


def numbers(d: str) -> list[tuple[float, float]]:
    """The points of a path without relative commands."""
    found = [float(number) for number in re.findall(r"-?[\d.]+", d)]
    return list(zip(found[::2], found[1::2], strict=True))


# The graph


def test_an_edge_is_as_wide_as_its_mean_effect_on_the_page_and_for_the_forge() -> None:
    data = graph(EFFECTS, rows=3)
    widths = {name: float(e.get("stroke-width", 0)) for name, e in strokes(charts.circuit_graph(data)).items()}
    wanted = {name: max(0.8, WIDEST * abs(effect) / 4.0) for name, effect in EFFECTS.items()}
    assert widths == pytest.approx(wanted, abs=0.051)
    assert {name: patch.get_linewidth() for name, patch in patches(data).items()} == pytest.approx(wanted)
    halved = strokes(charts.circuit_graph(data, ends=(-8.0, 0.0)))
    assert float(halved["1.2->logits"].get("stroke-width", 0)) == WIDEST / 2, "panels share their widths"


def test_a_negative_edge_has_another_colour_and_is_dashed() -> None:
    found, drawn = strokes(charts.circuit_graph(graph(EFFECTS))), patches(graph(EFFECTS))
    assert set(found) == set(drawn) == set(EFFECTS)
    for name, effect in EFFECTS.items():
        assert found[name].get("class") == ("n" if effect < 0 else "p")
        assert (found[name].get("stroke-dasharray") is not None) == (effect < 0)
        assert (drawn[name].get_linestyle() != "solid") == (effect < 0)
    assert len({patch.get_edgecolor() for patch in drawn.values()}) == 2


def test_nodes_stand_by_layer_from_the_input_to_the_logits_and_only_those_with_an_edge() -> None:
    boxes = {box.name: box for box in layout(graph(EFFECTS)).boxes}
    assert set(boxes) == {"input", "0.1", "0.3", "mlp 0", "1.2", "logits"}
    upward = ["input", "0.1", "mlp 0", "1.2", "logits"]
    assert all(boxes[low].y > boxes[high].y for low, high in pairwise(upward))
    assert boxes["0.1"].y == boxes["0.3"].y and boxes["0.1"].x < boxes["0.3"].x < boxes["mlp 0"].x
    texts = re.findall(r"<text [^>]*>([^<]+)</text>", charts.circuit_graph(graph(EFFECTS)))
    assert set(texts) == {*boxes, "q", "k", "v"}


def test_an_edge_leads_from_its_source_to_the_letter_of_what_it_is_read_as() -> None:
    data = graph({f"input->0.0.{port}": 1.0 for port in "qkv"} | {"0.0->logits": 1.0, "input->1.1.k": 1.0})
    drawn = layout(data)
    boxes = {box.name: box for box in drawn.boxes}
    assert list(boxes["0.0"].ports) == ["q", "k", "v"] and list(boxes["1.1"].ports) == ["k"]
    letters = {
        text.text: float(text.get("x", 0))
        for text in ET.fromstring(charts.circuit_graph(data)).iter("text")
        if text.get("class") == "port" and abs(float(text.get("x", 0)) - boxes["0.0"].x) < boxes["0.0"].wide / 2
    }
    assert letters == pytest.approx(dict(boxes["0.0"].ports), abs=0.06)
    assert letters["q"] < letters["k"] < letters["v"]
    for line in drawn.lines:
        edge = Edge.parse(line.name)
        (_, low), (x, high) = line.way[0], line.way[-1]
        source, target = boxes[edge.source], boxes[edge.target]
        assert (low, high) == (source.y - source.tall / 2, target.y + target.tall / 2)
        assert x == (target.ports[edge.port] if edge.port else boxes[edge.source].x)
    for name, stroke in strokes(charts.circuit_graph(data)).items():
        (line,) = (line for line in drawn.lines if line.name == name)
        points = numbers(str(stroke.get("d")))
        assert points[0] == pytest.approx(line.way[0], abs=0.06)
        assert points[-1] == pytest.approx(line.way[-1], abs=0.06)
    for name, patch in patches(data).items():
        (line,) = (line for line in drawn.lines if line.name == name)
        np.testing.assert_allclose(patch.get_path().vertices[[0, -1]], [line.way[0], line.way[-1]])


def along(way: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Many points of the curve through a way."""
    start, points = np.array(way[0]), []
    for piece in bends(way):
        first, second, end = map(np.array, piece)
        for t in np.linspace(0, 1, 40):
            points.append((1 - t) ** 3 * start + 3 * t * (1 - t) * ((1 - t) * first + t * second) + t**3 * end)
        start = end
    return np.array(points)


def behind(points: np.ndarray, box: Box) -> bool:
    inside = (abs(points[:, 0] - box.x) < box.wide / 2 - 0.5) & (abs(points[:, 1] - box.y) < box.tall / 2 - 3)
    return bool(inside.any())


@pytest.mark.parametrize("seed", range(5))
def test_lines_pass_beside_the_nodes_of_a_row_and_not_behind_their_middle(seed: int) -> None:
    names = np.random.default_rng(seed).permutation(Graph(4, 8).edges)[:60]
    drawn = layout(graph({str(name): 1.0 + place for place, name in enumerate(names)}))
    crossings = behinds = 0
    for line in drawn.lines:
        edge, points = Edge.parse(line.name), along(line.way)
        assert (np.diff(points[:, 1]) <= 1e-9).all(), "upward all the way"
        for box in drawn.boxes:
            if (
                box.name not in (edge.source, edge.target, "input", "logits")
                and line.way[0][1] > box.y > line.way[-1][1]
            ):
                crossings += 1
                behinds += behind(points, box)
    assert crossings > 200
    assert behinds <= 0.02 * crossings


def test_of_more_than_sixty_edges_the_strongest_are_drawn_and_the_others_counted() -> None:
    edges = Graph(4, 8).edges
    effects = {name: (-1.0) ** place * (place + 1) / len(edges) for place, name in enumerate(edges)}
    found = charts.circuit_graph(graph(effects))
    assert set(strokes(found)) == set(edges[-MOST_EDGES:])
    assert f"{len(edges) - 60} more, 0.96 at most" in found and len(edges) == 1519
    texts = [text.get_text() for text in plots.circuit_graph(graph(effects)).axes[0].texts]
    assert any("1459 more" in text for text in texts)
    assert "more" not in charts.circuit_graph(graph(EFFECTS))


def test_edges_without_an_effect_are_left_out_and_a_graph_of_none_says_so() -> None:
    found = charts.circuit_graph(graph({"0.0->logits": 1.0, "0.1->logits": 0.0}))
    assert set(strokes(found)) == {"0.0->logits"} and ">0.1<" not in found
    assert "no edge has an effect" in charts.circuit_graph(graph({"0.0->logits": 0.0}))


def test_the_graph_can_be_heard_and_its_widths_have_a_legend() -> None:
    label = ET.fromstring(charts.circuit_graph(graph(EFFECTS))).get("aria-label")
    assert label == (
        "circuit graph of 7 edges between the input, 4 heads and MLPs, and the logits; 1.2->logits: 4.000; "
        "mlp 0->logits: −3.000; input->0.1.v: 2.000"
    )
    legend = ET.fromstring(charts.edge_bar(4.0, both_signs=True))
    assert [e.get("stroke-width") for e in legend.iter("path")] == ["7", "1.8", "7"]
    assert [e.text for e in legend.iter("text")] == ["4.000", "1.000", "−4.000"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("0.1", "total"), r"no column is an edge \(0.1, total\)"),
        ((), r"no column is an edge \(there are none\)"),
        (("0.3->1.2",), "'0.3->1.2' is no edge: write source->target"),
        (("1.2->0.3.q",), "'1.2->0.3.q' leads to no later node"),
        (("0.1->0.2.q",), "'0.1->0.2.q' leads to no later node"),
        (("mlp 0->mlp 0",), "'mlp 0->mlp 0' leads to no later node"),
    ],
)
def test_what_is_no_graph_is_refused_in_one_line(columns: tuple[str, ...], said: str) -> None:
    data = Measurement(np.ones((1, len(columns))), ("all",), columns=columns)
    for draw in (plots.circuit_graph, charts.circuit_graph):
        with pytest.raises(ValueError, match=said) as caught:
            draw(data)
        assert "\n" not in str(caught.value)


def test_columns_that_are_no_edges_are_left_out_of_a_graph() -> None:
    assert set(strokes(charts.circuit_graph(graph({**EFFECTS, "total": 99.0})))) == set(EFFECTS)


# Curves


def test_a_curve_goes_through_the_means_and_its_band_from_end_to_end_of_their_intervals() -> None:
    data = kept()
    (series,) = curves_of(data)
    for point, name in zip(series.points, SIZES, strict=True):
        estimate = mean(data[name])
        assert (point.label, point.x) == (name, pytest.approx(np.log10(float(name))))
        assert (point.value, point.interval) == (estimate.value, (estimate.low, estimate.high))
    lows, highs = zip(*(point.interval for point in series.points), strict=True)  # type: ignore[misc]
    axes = plots.curve(data).axes[0]
    (line,) = (line for line in axes.lines if len(line.get_xdata()) == len(SIZES))
    np.testing.assert_allclose(line.get_ydata(), data.values.mean(axis=0))
    band = axes.collections[0].get_paths()[0].vertices
    assert {round(y, 6) for _, y in band} == {round(y, 6) for y in (*lows, *highs)}
    found = ET.fromstring(charts.curve(data))
    (drawn_band,) = (numbers(str(e.get("d"))) for e in found.iter("path") if e.get("class") == "band")
    upright = scale_for(extent("curve", [data]), HIGH)
    ys = [HIGH - upright(value) for value in (*lows, *reversed(highs))]
    assert [y for _, y in drawn_band] == pytest.approx(ys, abs=0.06)
    dots = [float(e.get("cy", 0)) for e in found.iter("circle")]
    assert dots == pytest.approx([HIGH - upright(point.value) for point in series.points], abs=0.06)


def test_sizes_stand_on_a_log_axis_in_their_order_and_none_before_the_smallest() -> None:
    data = kept(sizes=("100", "1", "10", "0"))
    (series,) = curves_of(data)
    assert [point.label for point in series.points] == ["0", "1", "10", "100"]
    assert [point.x for point in series.points] == pytest.approx([-0.5, 0, 1, 2])
    assert series.points[1].value == data["1"].values.mean()
    found = ET.fromstring(charts.curve(data))
    xs = np.array([float(e.get("cx", 0)) for e in found.iter("circle")])
    np.testing.assert_allclose(np.diff(xs) / (xs[2] - xs[1]), [0.5, 1, 1], atol=0.01)
    assert "size, log scale" in charts.curve(data)
    assert plots.curve(data).axes[0].get_xlabel() == "size (log scale)"


def test_lines_stand_at_zero_and_one_and_the_axis_holds_both() -> None:
    data = kept(sizes=("1", "2"))[["1"]]
    low, high = extent("curve", [data])
    assert low <= 0 and high == 1.0
    levels = [line.get_ydata()[0] for line in plots.curve(data).axes[0].lines[:2]]
    assert levels == [0, 1]
    lines = [e for e in ET.fromstring(charts.curve(data)).iter("path") if e.get("class") == "z"]
    upright = scale_for((low, high), HIGH)
    ys = [float(re.findall(r"M[\d.]+ ([\d.]+)h", str(e.get("d")))[0]) for e in lines]
    assert ys == pytest.approx([HIGH - upright(0), HIGH - upright(1)], abs=0.06)


def test_shares_of_circuits_that_hold_stand_with_the_interval_of_a_share() -> None:
    data = Measurement((np.arange(60) < 45)[:, None], tuple(map(str, range(60))), columns=("5",), yes_no=True)
    (series,) = curves_of(data)
    assert series.points[0].interval == pytest.approx(proportion_confint(45, 60, method="wilson"))


def test_where_a_mean_has_no_interval_there_is_no_band() -> None:
    constant = kept().with_columns({name: kept()[name].array if name != "5" else np.ones(40) for name in SIZES})
    found = ET.fromstring(charts.curve(constant))
    bands = [numbers(str(e.get("d"))) for e in found.iter("path") if e.get("class") == "band"]
    assert [len(band) for band in bands] == [4, 4], "one before it and one behind it"
    few = kept(n=19)
    assert 'class="band"' not in charts.curve(few) and len(list(ET.fromstring(charts.curve(few)).iter("circle"))) == 5
    lone = kept().with_columns({"1": np.ones(40), "2": kept()["2"].array, "5": np.ones(40)})
    (whisker,) = (e for e in ET.fromstring(charts.curve(lone)).iter("path") if e.get("class") == "i")
    assert whisker.get("d")
    assert len(plots.curve(lone).axes[0].collections) == 2


def methods() -> dict[tuple[str, str], Measurement]:
    names = ("EAP-IG", "<b>exact & all", "random circuits")
    return {(name, size): kept(seed)[size] for seed, name in enumerate(names) for size in SIZES}


def test_several_methods_are_lines_of_one_panel_told_apart_by_dashes_and_named() -> None:
    cells = methods()
    del cells["random circuits", "10"]
    assert [(one.label, len(one.points)) for one in curves_of(cells)] == [
        ("EAP-IG", 5), ("<b>exact & all", 5), ("random circuits", 4),
    ]  # fmt: skip
    found = charts.curve(cells)
    root = ET.fromstring(found)
    groups = [e for e in root.iter("g") if str(e.get("class")).startswith("c")]
    assert [e.get("class") for e in groups] == ["c0", "c1", "c2"]
    assert [[t.text for t in e.iter("text")] for e in groups] == [["EAP-IG"], ["<b>exact & all"], ["random circuits"]]
    assert "<b>" not in found
    axes = plots.curve(cells).axes[0]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [one.label for one in curves_of(cells)]
    assert len({line.get_linestyle() + str(line._dash_pattern) for line in axes.lines[2:]}) == 3  # type: ignore[attr-defined]
    assert "random circuits, size 5: " in found


def test_what_is_no_size_is_refused_in_one_line() -> None:
    for name in ("total", "-1", "nan", "inf"):
        data = Measurement(np.ones((3, 2)), ("a", "b", "c"), columns=("1", name))
        for draw in (plots.curve, charts.curve):
            with pytest.raises(ValueError, match=f"'{name}' is no size: the columns of a curve are numbers"):
                draw(data)
    two = Measurement(np.ones((3, 2)), ("a", "b", "c"), columns=("a", "b"))
    with pytest.raises(ValueError, match="EAP, 5 has 2 columns"):
        curves_of({("EAP", "5"): two})
    for draw in (plots.curve, charts.curve):
        with pytest.raises(ValueError, match="nothing to draw"):
            draw(Measurement(np.ones((3, 0)), ("a", "b", "c"), columns=()))


def test_sizes_are_written_where_there_is_room_the_largest_always() -> None:
    sizes = ("1", "2", "5", "10", "20", "50", "100", "200", "500", "1000", "1519")
    ticks = size_ticks(curves_of(kept(sizes=sizes)), 0.026)
    assert next(iter(ticks.values())) == "1519" and "1" in ticks.values() and "1000" not in ticks.values()
    for (right, name), (left, before) in pairwise(ticks.items()):
        assert right - left >= 0.026 * np.log10(1519) * ((len(name) + len(before)) / 2 + 1)
    assert len(size_ticks(curves_of(kept(sizes=("7",))), 0.026)) == 1


def test_labels_stand_apart_near_their_lines_and_in_their_order() -> None:
    assert spread([10, 50], 11) == [10, 50]
    assert spread([50, 10], 11) == [50, 10]
    assert spread([20, 20, 20], 11) == [9, 20, 31]
    assert spread([28, 20], 11) == [29.5, 18.5]
    placed = spread([30, 0, 31, 33, 90], 11)
    assert np.diff(sorted(placed)).min() >= 11 - 1e-9
    assert np.argsort(placed).tolist() == [1, 0, 2, 3, 4]


# Both, as other figures


@pytest.mark.parametrize("name", ["circuit_graph", "curve"])
def test_panels_of_one_row_share_their_scale_and_stand_on_a_sheet(name: str) -> None:
    weak, strong = (
        (graph({n: e * level for n, e in EFFECTS.items()}) if name == "circuit_graph" else kept(sizes=SIZES[:level]))
        for level in (1, 3)
    )
    figure, again = (plots.small_multiples(getattr(plots, name), {"a": weak, "b": strong}, "two") for _ in range(2))
    if name == "curve":
        assert len({axes.get_ylim() for axes in figure.axes}) == 1
    else:
        widths = [[p.get_linewidth() for p in axes.patches if isinstance(p, PathPatch)] for axes in figure.axes]
        np.testing.assert_allclose(max(widths[0]), max(widths[1]) / 3)
    assert plots.svg_bytes(figure) == plots.svg_bytes(again)
    ends = extent(name, [weak, strong])
    page = sheet([("a", getattr(charts, name)(weak, ends)), ("b", getattr(charts, name)(strong, ends))])
    ET.fromstring(page)
    assert ".circuit" in page and ".curve" in page, "with the styles that it needs"
    assert ".circuit" not in sheet([("", charts.by_column(kept()))]), "which other sheets go without"


def test_curves_of_cells_travel_through_the_record() -> None:
    source = "topic/kept--mini-0--01234567.jsonl"
    filed = Measurement(kept().values, kept().units, columns=SIZES, source=source)
    cells = {("EAP", size): filed[size] for size in SIZES} | {
        ("less", size): filed.less(size, "1") for size in SIZES[1:]
    }
    found = restored(entry(Shown("curve", cells, ""), {source: filed}), {source: filed})
    assert str(charts.curve(found)) == str(charts.curve(cells))


CLAIMS = """
from mechlib.figures.plots import circuit_graph, curve
from tests.figures.test_show import SUMS


@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    '''One row: the effect of each edge, twice as large in mini-1.'''
    from tests.figures.test_circuit_plots import EFFECTS, graph
    return graph({name: effect * (1 + (model == "mini-1")) for name, effect in EFFECTS.items()})


@evidence
def kept(model: str, prompts: PromptSet, method: str) -> Measurement:
    '''A value for each prompt and size.'''
    from tests.figures.test_circuit_plots import share_kept
    return share_kept(units=tuple(row.fingerprint for row in prompts))


@pytest.mark.parametrize("model", ["mini-0", "mini-1"])
def test_circuit(model):
    '''It has a circuit.

    Source: none.
    '''
    found = kept(model, SUMS, "EAP")
    show(circuit_graph, scores(model, SUMS), "The circuit")
    show(curve, found, "By size")
    methods = {method: kept(model, SUMS, method) for method in ("EAP", "ACDC")}
    show(curve, {(method, size): methods[method][size] for method in methods for size in found.columns})
    assert mean(found["100"]) <= 1.5
"""


def test_a_claim_shows_graphs_and_curves_of_several_models_on_one_scale(
    house: Callable[[str], pytest.RunResult], pytester: pytest.Pytester
) -> None:
    result = house(CLAIMS)
    judged = records(pytester.path)
    assert judged["test_circuit/mini-0"]["verdict"] == "SUPPORTED", result.stdout.str()
    rows = [msgspec.convert(judged[f"test_circuit/{model}"], Record) for model in ("mini-0", "mini-1")]
    of_graph, of_sizes, of_methods = asked_figures(rows, EvidenceFiles(pytester.path / "artifacts" / "evidence"))
    assert [figure.problem for figure in (of_graph, of_sizes, of_methods)] == [""] * 3
    widths = [max(float(e.get("stroke-width", 0)) for e in strokes(str(p)).values()) for _, p, _ in of_graph.panels]
    assert widths == [WIDEST / 2, WIDEST]
    assert of_graph.bar and "−8.000" in of_graph.bar
    assert of_graph.caption == (
        "The circuit (`scores`: effect, in logits; width: the mean effect of an edge; dashed: negative)"
    )
    assert of_sizes.caption.endswith(
        "(`kept`: share kept; n = 80 prompts; bands: 95 % intervals of each size alone; sizes on a log scale)"
    )
    assert [str(panel).count('class="band"') for _, panel, _ in of_methods.panels] == [2, 2]
