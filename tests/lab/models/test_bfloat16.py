"""In bfloat16 a model can be explored, and no evidence is filed of it."""

import importlib.util
import re

import pytest
import torch

from mechlib.evidence import Store, using
from mechlib.lab import answers_correctly, components, logit_differences, lost_by_patching
from mechlib.lab.forward.families import UnsupportedModel, network
from mechlib.lab.models.loading import checkpoint_of, load
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs

EVIDENCE = """
from mechlib import Measurement, PromptSet
from mechlib.evidence import evidence


@evidence
def differences(model: str, prompts: PromptSet) -> Measurement:
    from mechlib.lab import load, logit_differences
    return logit_differences(load(model{}), prompts)
"""


@pytest.fixture
def path(tmp_path) -> str:
    return str(directory(tmp_path / "m", "llama"))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_measured_in_it_is_near_to_what_float32_says(tmp_path, family):
    path, prompts = str(directory(tmp_path / "m", family)), pairs(12)
    exact, rough = load(path), load(path, dtype="bfloat16")
    assert {one.dtype for one in rough.parameters()} == {torch.bfloat16} and checkpoint_of(rough).dtype == "bfloat16"
    assert load(path) is exact and checkpoint_of(exact).dtype == "float32"
    for measure in (
        logit_differences,
        lambda model, asked: lost_by_patching(model, asked, components(model), hooked=True),
    ):
        wanted, found = measure(exact, prompts).values, measure(rough, prompts).values
        off, spread = abs(found - wanted).max(), wanted.max() - wanted.min()
        assert 1e-5 * spread < off < 0.25 * spread
    assert set(answers_correctly(rough, prompts).values.flat) <= {0, 1}


def test_the_plain_forward_pass_refuses_it_in_a_line_with_the_cure(path):
    with pytest.raises(UnsupportedModel, match=r"computes in bfloat16, .* in float32: sweep it through hooks"):
        network(load(path, dtype="bfloat16"))


def test_another_dtype_is_refused(path):
    with pytest.raises(REFUSED, match="float16"):
        load(path, dtype="float16")


def measured(tmp_path, path, asked):
    file = tmp_path / "claims" / "topic" / "measurements.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(EVIDENCE.format(asked))
    spec = importlib.util.spec_from_file_location("measurements", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said: list[str] = []
    with using(Store(tmp_path, say=said.append)):
        return module.differences(path, pairs(6))


def filed(tmp_path):
    return list((tmp_path / "artifacts" / "evidence").rglob("differences*.jsonl"))


@pytest.mark.parametrize("twin", ["", "@permuted"])
def test_evidence_is_never_measured_in_it(tmp_path, path, twin):
    wanted = re.escape(f"{path}{twin} is asked for in bfloat16, and evidence is measured in float32: leave out dtype")
    with pytest.raises(RuntimeError, match=wanted):
        measured(tmp_path, f"{path}{twin}", ', dtype="bfloat16"')
    assert not filed(tmp_path), "nothing was filed, not even that a twin cannot be asked"


def test_who_explored_a_model_in_it_measures_evidence_in_float32(tmp_path, path):
    load(path, dtype="bfloat16")
    found, wanted = measured(tmp_path, path, ""), logit_differences(load(path), pairs(6))
    assert len(filed(tmp_path)) == 1 and abs(found.values - wanted.values).max() < 1e-4
