"""An effect by relative depth, and how few heads hold it: known answers, and models of other sizes on one scale."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from mechlib.figures import plots
from mechlib.figures.concentration import concentration
from mechlib.figures.data import extent
from mechlib.figures.svg import charts
from mechlib.figures.svg.elements import Scale
from mechlib.measurement import Measurement


def measured(effects: dict[str, float], n: int = 6) -> Measurement:
    """Units around these means, which are what is drawn."""
    noise = np.random.default_rng(0).normal(0, 1e-3, (n, len(effects)))
    values = np.array(list(effects.values())) + noise - noise.mean(axis=0)
    return Measurement(values, tuple(f"u{i}" for i in range(n)), columns=tuple(effects), of="logits")


def heads(layers: int, per_layer: int, effects: dict[str, float]) -> dict[str, float]:
    return {f"{layer}.{head}": 0.0 for layer in range(layers) for head in range(per_layer)} | effects


def test_one_head_that_does_all_is_one_effective_head_at_its_depth_and_as_unequal_as_can_be() -> None:
    found = concentration(measured(heads(5, 4, {"3.2": 2.0})))
    assert found.effective == pytest.approx(1) and found.for_half == 1
    assert found.mean_depth == pytest.approx(0.75) and found.gini == pytest.approx(19 / 20)
    assert found.heads == pytest.approx((0, 0, 0, 1, 0))


def test_equal_heads_are_as_many_effective_ones_and_as_equal_as_can_be() -> None:
    found = concentration(measured(dict.fromkeys(heads(5, 4, {}), 0.3)))
    assert found.effective == pytest.approx(20) and found.for_half == 10
    assert found.gini == pytest.approx(0, abs=1e-12) and found.mean_depth == pytest.approx(0.5)


def test_the_gini_index_is_the_mean_absolute_difference_over_twice_the_mean() -> None:
    effects = np.random.default_rng(3).exponential(size=12)
    found = concentration(measured({f"{i // 4}.{i % 4}": value for i, value in enumerate(effects)}))
    pairs = np.abs(effects[:, None] - effects[None, :]).mean() / (2 * effects.mean())
    assert found.gini == pytest.approx(pairs)
    assert found.effective == pytest.approx(effects.sum() ** 2 / (effects**2).sum())
    assert found.cumulated == pytest.approx(np.cumsum(np.sort(effects)[::-1]) / effects.sum())


def test_a_head_against_the_task_counts_by_its_size() -> None:
    with_sign, without = (concentration(measured(heads(2, 2, {"0.0": 1.0, "1.1": value}))) for value in (-3.0, 3.0))
    assert with_sign.ranked == pytest.approx(without.ranked) and with_sign.heads == pytest.approx((0.25, 0.75))


def test_mlps_share_in_the_whole_and_not_among_heads_and_other_columns_count_nowhere() -> None:
    effects = heads(3, 2, {"1.0": 1.0, "2.1": 1.0, "mlp 2": 2.0, "mlp 0": 0.0, "total": 50.0})
    found = concentration(measured(effects))
    assert found.mlps == pytest.approx((0, 0, 0.5)) and found.heads == pytest.approx((0, 0.25, 0.25))
    assert found.ranked[:3] == pytest.approx((0.5, 0.5, 0)) and sum(found.ranked) == pytest.approx(1)
    assert found.layers == pytest.approx((0, 0.25, 0.75)) and found.mean_depth == pytest.approx(0.75)
    assert found.said == ("2.0 effective of 2 seen in 6 heads", "half in 1; Gini 0.67; depth 0.75; MLPs 50 %")


def test_the_depth_of_the_last_layer_is_one_in_models_of_any_size() -> None:
    for layers in (2, 18, 30):
        found = concentration(measured(heads(layers, 3, {f"{layers - 1}.1": 1.0})))
        assert found.mean_depth == pytest.approx(1) and found.depths[0] == 0
    assert concentration(measured({"0.0": 1.0, "0.1": 1.0})).mean_depth == 0


def test_hundreds_of_idle_heads_do_not_make_an_effect_look_spread() -> None:
    effects = heads(30, 9, {"23.3": 2.0})
    noise = np.random.default_rng(1).normal(0, 0.5, (60, len(effects)))
    data = Measurement(noise + np.array(list(effects.values())), tuple(map(str, range(60))), columns=tuple(effects))
    found, idle = concentration(data), np.abs(data.without(["23.3"]).values.mean(axis=0)).sum() / 2
    assert idle > 5, "taken together noise is more than five times the effect"
    assert found.effective == pytest.approx(1, abs=0.3) and found.mean_depth == pytest.approx(23 / 29, abs=0.1)
    assert sum(share > 0 for share in found.ranked) <= 2


def test_nothing_measured_of_heads_is_refused_and_no_effect_is_said() -> None:
    with pytest.raises(
        ValueError, match=r"no column is a head \(total, mlp 0\): columns named layer\.head have a depth"
    ):
        concentration(measured({"total": 1.0, "mlp 0": 2.0}))
    still = concentration(Measurement(np.zeros((3, 2)), ("a", "b", "c"), columns=("0.0", "1.0")))
    assert still.said == ("none of 2 heads has an effect", "") and still.effective == still.for_half == 0


def test_bars_stand_at_their_depth_as_tall_as_their_share_and_mlps_on_top() -> None:
    drawn = charts.depth_and_concentration(measured(heads(3, 2, {"1.0": 1.0, "2.1": 1.0, "mlp 2": 2.0})), (0.0, 1.0))
    rects = list(ET.fromstring(drawn).iter("rect"))
    assert [r.get("class") for r in rects] == ["h", "h", "q"]
    middles = [float(r.get("x", 0)) + float(r.get("width", 0)) / 2 - 26 for r in rects]
    scale = Scale(0, 1, 210)
    assert middles == pytest.approx([scale(0.5), scale(1), scale(1)], abs=0.11)
    assert [float(r.get("height", 0)) for r in rects] == pytest.approx([15, 15, 30], abs=0.11)
    assert float(rects[2].get("y", 0)) + float(rects[2].get("height", 0)) == pytest.approx(45, abs=0.11)


def test_the_curve_ends_at_all_heads_and_its_axis_is_the_same_for_all_models() -> None:
    few, many = (charts.depth_and_concentration(measured(heads(n, 4, {"0.0": 1.0, "1.1": 0.5}))) for n in (8, 84))
    ends = [re.search(r'class="line" d="[^"]*L([\d.]+) ([\d.]+)"', drawn) for drawn in (few, many)]
    xs = [float(found[1]) - 26 for found in ends if found]
    scale = Scale(0, 3, 210)
    assert xs == pytest.approx([scale(np.log10(32)), scale(np.log10(336))], abs=0.11)
    assert len({found[2] for found in ends if found}) == 1, "at the top"
    titles = [e.text for e in ET.fromstring(few).iter("title")]
    assert "1 strongest: 0.667" in titles and "effective number of heads: 1.800" in titles


def test_panels_of_one_row_share_the_height_of_their_bars() -> None:
    data = [measured(heads(2, 2, {"0.0": share, "1.0": 1 - share})) for share in (0.5, 0.9)]
    ends = extent("depth_and_concentration", data)
    assert ends == pytest.approx((0, 0.9))
    heights = [
        max(float(r.get("height", 0)) for r in ET.fromstring(charts.depth_and_concentration(one, ends)).iter("rect"))
        for one in data
    ]
    assert heights == pytest.approx([60 * 0.5 / 0.9, 60], abs=0.11)
    figure = plots.small_multiples(plots.depth_and_concentration, {"a": data[0], "b": data[1]})
    limits = [axes.child_axes[0].get_ylim()[1] for axes in figure.axes]
    assert limits == pytest.approx([1.05 * 0.9] * 2)
    bars = [
        max(patch.get_height() for patch in axes.child_axes[0].patches if isinstance(patch, Rectangle))
        for axes in figure.axes
    ]
    assert bars == pytest.approx([0.5, 0.9])
