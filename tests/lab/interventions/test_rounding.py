"""What float32 rounds: a sweep and the hooked model meet to it, at a token whose stream was once large as well."""

from weakref import WeakKeyDictionary

import pytest
import torch

from mechlib.checkpoints.checkpoint import WeightsMissing
from mechlib.lab.interventions import kept_runs
from mechlib.lab.interventions import sweep as engine
from mechlib.lab.interventions import through_hooks as hooked
from mechlib.lab.interventions.ablation import loss_under_ablation
from mechlib.lab.interventions.sweep import Disagreement
from mechlib.lab.interventions.through_hooks import LEAST, MOST, ROUNDING, TOLERANCE, on_one_prompt, rounding
from mechlib.lab.models.loading import load
from mechlib.parts.heads import heads
from mechlib.prompts.induction import repeats

SET = {"chosen": heads("17.1 17.4 18.2")}


def said_twice(n: int, split: str = "confirmation"):
    return repeats(n, split, half=12, fillers=2, style="pretrained")


@pytest.fixture(scope="module")
def smollm2():
    try:
        return load("smollm2-135m")
    except WeightsMissing:
        pytest.skip("smollm2-135m is not on this machine: mechlib fetch smollm2-135m")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    """Each test checks, and runs, what it sweeps."""
    monkeypatch.setattr(engine, "_RUNS", kept_runs.KeptRuns())
    monkeypatch.setattr(engine, "_SEEN", WeakKeyDictionary())


def test_a_position_whose_stream_was_once_large_is_allowed_more_and_no_other_is():
    logits = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    streams = torch.ones(5, 3, 8)
    streams[2, 0, 3], streams[2, 1, 3] = 100.0, 1e9
    allowed, spread = rounding(logits, streams), float(logits.std(-1).max())
    usual = LEAST + TOLERANCE * spread + ROUNDING * float(logits.abs().max())
    assert float(allowed[2]) == pytest.approx(usual)
    assert float(allowed[0]) == pytest.approx(usual + 4 * TOLERANCE * spread)
    assert float(allowed[1]) == pytest.approx(usual + (MOST - TOLERANCE) * spread)  # whatever the stream held
    assert torch.equal(rounding(logits, torch.zeros(5, 3, 8)), allowed[2].expand(3))
    assert torch.equal(rounding(logits, streams, permuted=True), allowed[1].expand(3))


@pytest.mark.pretrained
def test_heads_are_ablated_at_every_position_where_the_first_token_holds_massive_activations(smollm2):
    prompts, reference = said_twice(4), said_twice(16, "reference")
    exact = loss_under_ablation(smollm2, prompts, SET, "mean", reference)
    through = loss_under_ablation(smollm2, prompts, SET, "mean", reference, hooked=True)
    assert abs(exact.values - through.values).max() < 1e-4
    assert abs(exact.less("intact", "chosen").array).max() > 1e-2


@pytest.mark.pretrained
@pytest.mark.parametrize("position", [0, 5])
def test_what_is_wrong_at_one_position_is_still_noticed(smollm2, monkeypatch, position):
    def moved(*arguments):
        logits = on_one_prompt(*arguments)
        logits[:, position, 7] += 2 * MOST * float(logits.std(-1).max())
        return logits

    monkeypatch.setattr(hooked, "on_one_prompt", moved)
    with pytest.raises(Disagreement, match=r"differ by 0\.00\d+ in a logit"):
        loss_under_ablation(smollm2, said_twice(4), SET, "mean", said_twice(16, "reference"))
