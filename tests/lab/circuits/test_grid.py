"""The grid: each cell is the circuit's score under that choice, and comes out of the filed columns as it went in."""

from dataclasses import replace

import numpy as np
import pytest

from mechlib import mean
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.circuits.grid import DIRECTIONS, METRICS, REPLACEMENTS, grid
from mechlib.lab.models.loading import load
from mechlib.measurement import Measurement
from mechlib.parts.circuits import circuit
from mechlib.prompts.promptset import PromptSet
from mechlib.statistics.circuits import grid as grids
from tests.helpers.tiny import REFUSED, directory, pairs

CIRCUIT = circuit("0.1, mlp 0, 1.0, 1.2")
REFERENCE = pairs(20, split="reference", longest=7, clusters=2)
ONE, OTHER = pairs(6, seed=1, longest=7, clusters=2), pairs(5, seed=2, longest=7, clusters=2)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("grid") / "gpt2", "gpt2")))


@pytest.fixture(scope="module")
def measured(gpt2):
    return grid(gpt2, {"one": ONE, "other": OTHER}, CIRCUIT, REFERENCE)


def unclustered(prompts, swap=False):
    rows = (replace(row, cluster="", **({"distractor": "w1", "corrupted": ""} if swap else {})) for row in prompts)
    return PromptSet("unclustered", prompts.split, tuple(rows))


def test_every_choice_has_a_cell(measured):
    found = grids.cells(measured)
    assert len(found) == len(REPLACEMENTS) * len(DIRECTIONS) * len(METRICS) * 2 == 64
    assert {row for row, _ in found} == {
        f"{replacement}, {direction}" for replacement in REPLACEMENTS for direction in DIRECTIONS
    }
    assert all(cell.columns == ("model", "empty", "circuit") for cell in found.values())
    assert (measured.units, measured.unit) == (("template 0", "template 1"), "template")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "replacement, direction", [("counterfactual", "denoising"), ("resample", "noising"), ("zero", "noising")]
)
def test_a_cell_is_the_mean_by_template_of_the_circuits_scores(gpt2, measured, replacement, direction, metric):
    for name, prompts in (("one", ONE), ("other", OTHER)):
        scores = circuit_scores(gpt2, prompts, CIRCUIT, replacement, REFERENCE, metric, direction)
        cell = grids.cells(measured)[f"{replacement}, {direction}", f"{metric}, {name}"]
        for row, template in enumerate(("template 0", "template 1")):
            own = [cluster == template for cluster in scores.clusters]
            np.testing.assert_allclose(cell.values[row], scores.values[own].mean(axis=0), atol=1e-6)


def test_what_is_kept_is_the_ratio_of_means(measured):
    found = grids.cells(measured)
    sound = {key: cell for key, cell in found.items() if "correct" not in key[1]}
    for key, cell in grids.kept(sound).items():
        model, empty, own = found[key].values.mean(axis=0)
        assert cell.array.mean() == pytest.approx((own - empty) / (model - empty))
        assert cell.columns == ("faithfulness",)


def test_without_templates_there_is_a_row_for_each_prompt(gpt2):
    one, other = unclustered(ONE), unclustered(ONE, swap=True)
    reference = unclustered(REFERENCE)
    found = grid(gpt2, {"one": one, "other": other}, CIRCUIT, reference, ("mean",), ("noising",), ("logit difference",))
    assert found.units == tuple(row.fingerprint for row in one)
    scores = circuit_scores(gpt2, other, CIRCUIT, "mean", reference)
    cell = grids.cells(found)["mean, noising", "logit difference, other"]
    np.testing.assert_allclose(cell.values, scores.values, atol=1e-6)


def test_bad_input_is_one_clear_line(gpt2, measured):
    with pytest.raises(ValueError, match="at least one corruption"):
        grid(gpt2, {}, CIRCUIT)
    with pytest.raises(REFUSED, match=r"is one set: give the sets by the name|Type-check error"):
        grid(gpt2, ONE, CIRCUIT)
    with pytest.raises(ValueError, match="a grid without cells"):
        grid(gpt2, {"a": ONE}, CIRCUIT, metrics=())
    with pytest.raises(ValueError, match="the clean texts of 'b' are not those of 'a'"):
        grid(gpt2, {"a": unclustered(ONE), "b": unclustered(OTHER)}, CIRCUIT)
    with pytest.raises(ValueError, match="'b' and 'a' do not have the same clusters"):
        grid(gpt2, {"a": ONE, "b": ONE.take(1)}, CIRCUIT)
    with pytest.raises(ValueError, match="of 'b' and 'a' one has clusters and the other has none"):
        grid(gpt2, {"a": ONE, "b": unclustered(ONE)}, CIRCUIT)
    with pytest.raises(ValueError, match="mean needs reference prompts"):
        grid(gpt2, {"a": ONE}, CIRCUIT)
    with pytest.raises(ValueError, match="'intact' is no cell of a grid"):
        grids.cells(Measurement(np.zeros(2), ("a", "b"), columns=("intact",)))
    with pytest.raises(ValueError, match="there is nothing to keep"):
        same = measured.with_columns({column: np.ones(2) for column in measured.columns})
        grids.kept(grids.cells(same))


def test_rows_by_template_are_judged_across_templates(gpt2):
    """Sixteen means of templates have an interval: t across clusters, not one of sixteen independent values."""
    many = {"one": pairs(32, clusters=16)}
    found = grid(gpt2, many, CIRCUIT, None, ("counterfactual",), ("noising",), ("logit difference",))
    (cell,) = grids.cells(found).values()
    assert found.clusters == found.units
    assert mean(cell["model"]).across == "templates"
