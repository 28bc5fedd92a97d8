"""What is read by depth: a line through the depths in their order, with bands, and baselines level beside it."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from mechlib.figures import plots
from mechlib.figures.data import by_depths, extent
from mechlib.figures.svg import charts
from mechlib.figures.svg.depth_charts import TALL
from mechlib.figures.svg.elements import scale_for
from mechlib.measurement import Measurement
from mechlib.statistics import proportion

DEPTHS = ("after layer 1", "embeddings", "after layer 10", "bag of tokens")


def right(columns: tuple[str, ...] = DEPTHS, n: int = 60) -> Measurement:
    shares = np.linspace(0.3, 0.9, len(columns))
    values = np.random.default_rng(0).random((n, len(columns))) < shares
    return Measurement(values, tuple(map(str, range(n))), columns=columns, yes_no=True, of="right")


def test_depths_stand_in_their_order_with_the_interval_of_a_share_and_other_columns_are_levels() -> None:
    data = right()
    (series,), (level,) = by_depths(data)
    assert [(point.label, point.x) for point in series.points] == [("emb", 0), ("1", 2), ("10", 11)]
    for point, name in zip(series.points, ("embeddings", "after layer 1", "after layer 10"), strict=True):
        estimate = proportion(data[name])
        assert (point.value, point.interval) == (estimate.value, (estimate.low, estimate.high))
    assert (level.label, level.value) == ("bag of tokens", data["bag of tokens"].values.mean())


def test_both_drawings_go_through_the_shares_and_the_page_says_their_numbers() -> None:
    data = right()
    (series,), (level,) = by_depths(data)
    values = [point.value for point in series.points]
    axes = plots.by_depth(data).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.array([[0, 2, 11], values]).T)
    np.testing.assert_allclose(axes.lines[1].get_ydata(), level.value)
    found = ET.fromstring(charts.by_depth(data))
    upright = scale_for(extent("by_depth", [data]), TALL)
    dots = [(float(e.get("cx", 0)), float(e.get("cy", 0))) for e in found.iter("circle")]
    assert [y for _, y in dots] == pytest.approx([TALL - upright(value) for value in values], abs=0.06)
    xs = np.array([x for x, _ in dots])
    np.testing.assert_allclose(np.diff(xs) / (xs[2] - xs[0]), [2 / 11, 9 / 11], atol=0.01)
    (height,) = re.findall(r'd="M\S+ (\S+)h\d+"><title>bag of tokens', charts.by_depth(data))
    assert float(height) == pytest.approx(TALL - upright(level.value), abs=0.06)


def test_columns_of_two_readers_are_two_lines() -> None:
    data = right(("tuned, embeddings", "tuned, after layer 0", "logit, embeddings", "logit, after layer 0"))
    series, levels = by_depths(data)
    assert [one.label for one in series] == ["tuned", "logit"] and not levels
    assert 'class="c1"' in charts.by_depth(data) and ">logit<" in charts.by_depth(data)


def test_without_a_depth_there_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match=r"no column is a depth \(bag of tokens\)"):
        charts.by_depth(right(("bag of tokens",)))
