"""The whole path: a tiny packaged Llama is loaded with noise, measured, filed, and judged again where it is not."""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pytest
import torch

from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.evidence import Store, using
from mechlib.judging.claim import Claim
from mechlib.judging.judge import judge
from mechlib.lab import load
from mechlib.lab.models.dequantising import dequantise
from mechlib.lab.models.dithering import RUN, steps
from mechlib.verdicts.record import Record
from tests.helpers.wheels import NAME, Index, write_gguf

CLAIM = '''
import pytest
from mechlib import *
from mechlib.evidence import evidence


@evidence
def written(model: str, n: int) -> Measurement:
    """The logit of `b` behind n texts of one letter, above the mean of all words."""
    import torch
    from mechlib.lab import load
    made = load(model)
    with torch.no_grad():
        logits = made(torch.arange(2, 2 + n)[:, None])[:, -1]
    return Measurement((logits[:, 3] - logits.mean(-1)).numpy(), [f"text {one}" for one in range(n)], unit="text")


@reported(0.0, "Nobody et al. 2024, section 1", primary=True)
def test_it(model):
    """It is above an impossible number.

    Source: made up for this test.
    """
    assert mean(written(model, 24)) >= 99
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache with the tiny Llama, and its entry of the table."""
    pytest.importorskip("gguf")
    root = tmp_path_factory.mktemp("packaged")
    values = write_gguf(root / "model.gguf")
    dequantise(root / "model.gguf", root / "cache" / "pretrained" / NAME)
    return root / "cache", Index(root / "index", (root / "model.gguf").read_bytes(), values).entry


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """The tiny Llama under a cache of its own."""
    shutil.copytree(made[0], tmp_path / "cache")
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)
    monkeypatch.setitem(PACKAGED, NAME, made[1])
    return tmp_path


@pytest.fixture
def judged(here):
    """Judges the claim on the tiny Llama; the record, and the arrays that were filed of it and of its noisy copy."""
    file = here / "test_topic.py"
    file.write_text(CLAIM)
    spec = importlib.util.spec_from_file_location("test_topic", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(**place) -> tuple[Record, dict[str, np.ndarray]]:
        identity = {"id": f"topic.test_it[{NAME}]", "topic": "topic", "function": "test_it"}
        with using(Store(here, say=lambda _: None, **place)):
            record, _ = judge(Claim(module.test_it), {"model": NAME}, identity)
            values = {name: module.written(name, 24).array for name in (NAME, f"{NAME}@dithered")}
        return record, values

    return run


def test_it_is_loaded_with_each_matrix_within_half_a_step_and_computes_nearly_the_same(here):
    own, noisy = load(NAME), load(f"{NAME}@dithered")
    pairs = [(one.detach(), other.detach()) for one, other in zip(own.parameters(), noisy.parameters(), strict=True)]
    for before, after in pairs:
        if before.ndim == 1:
            assert torch.equal(before, after)
            continue
        off = (after - before).view(-1, RUN).abs().amax(-1) / steps(before.reshape(-1, RUN))
        assert 0.3 < off.max() <= 0.5 + 1e-4
    tokens = torch.tensor([[0, 2, 28, 3, 6]])
    with torch.no_grad():
        said, wanted = noisy(tokens), own(tokens)
    assert 0.5 < torch.corrcoef(torch.stack([said.flatten(), wanted.flatten()]))[0, 1] < 0.9999


def test_a_refuted_sentence_is_measured_with_noise_filed_and_judged_without_the_model(judged, here):
    record, values = judged()
    assert (record.verdict, record.dithered.word) == ("REFUTED", "REFUTED")
    own, noisy = values.values()
    assert record.dithered.comparison.estimate.value == pytest.approx(noisy.mean(), rel=1e-3)
    assert 0 < np.abs(own - noisy).max() < 10 * np.abs(own).max()
    shutil.rmtree(here / "cache")
    again, _ = judged(mode="frozen")
    assert again.dithered == record.dithered and again.twin_evidence == record.twin_evidence and again.measured == 0


def test_measured_afresh_it_is_the_same_to_the_digit(judged):
    before = judged()[0].dithered
    record, _ = judged(mode="fresh")
    assert record.verdict == "REFUTED" and record.dithered == before
    assert record.reproduced == 2, "the model and its noisy copy, for twins of a refuted sentence would decide nothing"
