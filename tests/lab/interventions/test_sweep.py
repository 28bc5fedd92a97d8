"""Exact sweeps: the numbers of the hooked model, for every family and kind of place, whatever was saved on the way."""

import contextlib
from dataclasses import replace
from weakref import WeakKeyDictionary

import pytest
import torch

from mechlib.lab.attribution.logit_lens import logit_lens
from mechlib.lab.batching import Batch, batches
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.forward.cache import run_with_cache
from mechlib.lab.forward.families import UnsupportedModel, network
from mechlib.lab.forward.linear import linear_maps
from mechlib.lab.hooks import run
from mechlib.lab.interventions import kept_runs
from mechlib.lab.interventions import sweep as engine
from mechlib.lab.interventions import through_hooks as hooked
from mechlib.lab.interventions.ablation import under_ablation
from mechlib.lab.interventions.contexts import Site, places
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.lab.interventions.readout import ANSWERED, LOGIT_DIFFERENCE, REPEAT_LOSS, Readout
from mechlib.lab.interventions.sites import components, residual, union
from mechlib.lab.interventions.sweep import Disagreement, sweep
from mechlib.lab.models.loading import load
from mechlib.parts.circuits import circuit
from mechlib.parts.heads import EmptySelection, Head, all_heads, heads
from mechlib.prompts.planted import planted
from mechlib.prompts.promptset import Prompt
from tests.helpers.tiny import CONTEXT, FAMILIES, REFUSED, VOCABULARY, directory, pairs

EVERY = all_heads(2, 4)
SETS = (
    Head(0, 1),
    Head(1, 2),
    EVERY.in_layer(0),
    heads("0.1 1.3"),
    Site("mlp", 0),
    Site("mlp", 1),
    Site("resid_pre", 0),
    Site("resid_pre", 1),
    Site("resid_post", 0),
    Site("resid_post", 1),
    (Head(0, 2), Site("mlp", 0)),
    (Head(0, 2), Site("mlp", 1), Site("resid_pre", 1)),
    (Site("mlp", 0), Head(1, 0), Site("resid_post", 0)),
    (Head(1, 0), Site("mlp", 1), Site("resid_post", 1)),
)
POSITIONS = (-1, -4, 0, (2, -2), (-5, -4, -1), "all")
LENGTH = 11
FIRST_WORD = Readout(value=lambda read, batch: read[:, -1, 0], words=lambda batch: batch.answer.unsqueeze(1))
EVERY_LOGIT = Readout(value=lambda read, batch: (read * torch.arange(read.shape[-1])).sum((1, 2)), whole=True)


# Raw weights of every family are swept in test_patching.py too.
FOLDED = zip(FAMILIES, (True, False, False, True, True), strict=True)


@pytest.fixture(scope="module", params=FOLDED, ids=lambda both: both[0])
def model(request, tmp_path_factory):
    family, folded = request.param
    return load(str(directory(tmp_path_factory.mktemp("engine") / family, family)), folded=folded)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("engine") / "one", "gpt2")))


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    """Each test checks, and runs, what it sweeps."""
    monkeypatch.setattr(engine, "_RUNS", kept_runs.KeptRuns())
    monkeypatch.setattr(engine, "_SEEN", WeakKeyDictionary())


def made_up(n: int = 3, same: int = 0, seed: int = 0, length: int = LENGTH) -> Batch:
    """Random tokens, corrupted to others, but for the first few."""
    draws = torch.Generator().manual_seed(seed)
    clean, corrupted, words = (
        torch.randint(3, VOCABULARY, (n, size), generator=draws) for size in (length, length, 2 * n)
    )
    corrupted[:, :same] = clean[:, :same]
    answers, distractors = (tuple((word,) for word in row) for row in words.view(n, -1)[:2, :n].tolist())
    return Batch(tuple(range(n)), (Prompt("some", "words"),) * n, clean, corrupted, answers, distractors)


def close(one, other, within: float = 2e-5) -> bool:
    parts = [(one.intact, other.intact), (one.after, other.after)]
    if one.source is not None or other.source is not None:
        parts.append((one.source, other.source))
    return bool((one.changed == other.changed).all()) and all(float((a - b).abs().max()) < within for a, b in parts)


def moves(swept) -> bool:
    """Whether this could tell one set from another."""
    return float((swept.after - swept.intact.unsqueeze(1)).abs().max()) > 1e-2


# --- against the hooked model -------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", POSITIONS, ids=str)
def test_patching_gives_what_the_hooked_model_gives(model, positions):
    batch = made_up()
    ours = sweep(model, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE)
    assert close(ours, hooked.sweep_through_hooks(model, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE))
    assert moves(ours)


@pytest.mark.parametrize("same", [6, LENGTH - 1])
@pytest.mark.parametrize("positions", [-1, (3, -2), "all"], ids=str)
def test_runs_that_begin_alike_give_what_the_hooked_model_gives(model, positions, same):
    batch = made_up(same=same)
    ours = sweep(model, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE)
    assert close(ours, hooked.sweep_through_hooks(model, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE))


@pytest.mark.parametrize("positions", [-1, (2, -2), "all"], ids=str)
def test_ablation_gives_what_the_hooked_model_gives(model, positions):
    batch = made_up()
    held = run(model, batch.corrupted, keep=places(model, union({str(n): one_set(s) for n, s in enumerate(SETS)})))[1]
    for source in (
        None,
        {name: activation.mean(0, keepdim=True).expand_as(activation) for name, activation in held.items()},
    ):
        ours = sweep(model, batch, SETS, source, positions, LOGIT_DIFFERENCE)
        assert close(ours, hooked.sweep_through_hooks(model, batch, SETS, source, positions, LOGIT_DIFFERENCE))
        assert ours.source is None and moves(ours)


def one_set(where):
    return (where,) if isinstance(where, (Head, Site)) else tuple(where)


@pytest.mark.parametrize("readout", [ANSWERED, FIRST_WORD, EVERY_LOGIT], ids=["answered", "word", "every logit"])
@pytest.mark.parametrize("positions", [-1, "all"])
def test_every_metric_gives_what_it_gives_of_the_hooked_model(model, positions, readout):
    batch = made_up(12, same=4)
    answers = tuple((int(word),) for word in run(model, batch.tokens)[0][:, -1].argmax(-1))
    batch = replace(batch, answers=answers)
    ours = sweep(model, batch, SETS, batch.corrupted, positions, readout)
    within = 2e-5 if readout is not EVERY_LOGIT else 2e-2  # a sum over all logits, times as much as their number
    assert close(ours, hooked.sweep_through_hooks(model, batch, SETS, batch.corrupted, positions, readout), within)
    assert moves(ours)


def test_the_loss_on_a_repeat_gives_what_it_gives_of_the_hooked_model(model):
    words = torch.randint(3, VOCABULARY, (4, 6), generator=torch.Generator().manual_seed(1))
    batch = replace(made_up(4), tokens=torch.cat([words, words], dim=1), corrupted=None, answers=((),) * 4)
    ours = sweep(model, batch, SETS, None, "all", REPEAT_LOSS)
    assert close(ours, hooked.sweep_through_hooks(model, batch, SETS, None, "all", REPEAT_LOSS))


def test_models_without_norms_are_swept_too():
    model = load("planted-ioi-0")
    (batch,) = batches(model, planted("planted-ioi-0", n=6))
    sets = tuple(components(model).values())
    for positions in (-1, (1, -1), "all"):
        ours = sweep(model, batch, sets, batch.corrupted, positions, LOGIT_DIFFERENCE)
        assert close(
            ours, hooked.sweep_through_hooks(model, batch, sets, batch.corrupted, positions, LOGIT_DIFFERENCE), 1e-4
        )


def test_a_prompt_of_one_token_and_one_as_long_as_the_context(gpt2):
    for length in (1, CONTEXT):
        batch = made_up(3, length=length)
        for positions in (-1, "all"):
            ours = sweep(gpt2, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE)
            assert close(
                ours, hooked.sweep_through_hooks(gpt2, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE)
            )


# --- what the savings rest on -------------------------------------------------------------------------------------


def test_a_run_resumed_where_tokens_begin_to_differ_is_the_whole_run(model):
    net, batch = network(model), made_up(same=6)
    base = run_with_cache(net, batch.tokens)
    whole, resumed = run_with_cache(net, batch.corrupted, 7), run_with_cache(net, batch.corrupted, 7, 6, base)
    for one, other in zip(whole.streams + whole.z, resumed.streams + resumed.z, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    stale = run_with_cache(
        net, batch.corrupted, 7, 7, base
    )  # one position too late: the keys and values of another run
    assert not torch.allclose(whole.streams[-1], stale.streams[-1], atol=1e-3)


def test_weights_reordered_for_the_processor_are_the_same_maps(model, monkeypatch):
    net, batch = network(model), made_up()
    plain = run_with_cache(net, batch.tokens).streams[-1]
    monkeypatch.setattr("mechlib.lab.forward.linear.WORTH", 1)
    monkeypatch.setattr("mechlib.lab.forward.linear._LINEAR_MAPS", {})
    packed = linear_maps(net)[0].qkv.packed
    if packed is None:
        pytest.skip("this build of torch has no reordered weights")
    assert torch.allclose(run_with_cache(net, batch.tokens).streams[-1], plain, atol=1e-5)
    for positions in (-1, "all"):
        ours = sweep(model, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE)
        assert close(ours, hooked.sweep_through_hooks(model, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE))


def test_a_set_that_changes_nothing_has_no_effect_to_the_bit(model):
    batch = made_up(same=6)
    batch.corrupted[:, -1] = batch.tokens[:, -1]
    for positions in (2, (0, 5)):
        ours = sweep(model, batch, SETS, batch.corrupted, positions, LOGIT_DIFFERENCE)
        assert not ours.changed.any() and (ours.after == ours.intact.unsqueeze(1)).all()
    ours = sweep(model, batch, [Site("resid_pre", 0), Head(0, 1)], batch.corrupted, -1, LOGIT_DIFFERENCE)
    assert ours.changed.tolist() == [False, True] and (ours.after[:, 0] == ours.intact).all()


def test_a_head_named_twice_is_replaced_once(gpt2):
    batch = made_up()
    sets = [(Head(0, 1), Head(0, 1), Site("head", 0, 1)), Head(0, 1)]
    once = sweep(gpt2, batch, sets, batch.corrupted, -1, LOGIT_DIFFERENCE).after
    assert torch.equal(once[:, 0], once[:, 1])


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [-1, "all"])
@pytest.mark.parametrize("readout", [LOGIT_DIFFERENCE, ANSWERED, EVERY_LOGIT], ids=["difference", "answered", "whole"])
def test_numbers_do_not_depend_on_the_memory_budget(gpt2, positions, readout):
    model, batch = gpt2, made_up(5)
    net, source = network(model), batch.corrupted
    job = engine._Sweep(model, net, SETS, tuple(engine._places(model, one) for one in SETS), positions, readout)
    roomy = sweep(model, batch, SETS, source, positions, readout)
    least = next(size for size in range(2**12, 2**24, 2**12) if fits(job, batch, size))
    for memory, rows in ((least, 1), (3 * least, 3)):
        assert job.room(batch.tokens, source, memory)[0] == rows
        tight = sweep(model, batch, SETS, source, positions, readout, memory=memory)
        assert close(tight, roomy, 2e-2 if readout is EVERY_LOGIT else 2e-5)


def fits(job, batch, memory: int) -> bool:
    try:
        return job.room(batch.tokens, batch.corrupted, memory)[0] > 0
    except ValueError:
        return False


def test_a_budget_too_small_for_one_prompt_is_one_line(gpt2):
    batch = made_up()
    with pytest.raises(
        ValueError, match=r"^a memory budget of 0\.00391 MiB is too small for one prompt of 11 tokens: .*"
    ):
        sweep(gpt2, batch, SETS, batch.corrupted, -1, LOGIT_DIFFERENCE, memory=2**12)
    with pytest.raises(ValueError, match="is too small for one prompt"):
        sweep(gpt2, batch, SETS, batch.corrupted, -1, LOGIT_DIFFERENCE, memory=-1)


# --- checks -------------------------------------------------------------------------------------------------------


def test_a_model_that_answers_otherwise_through_hooks_is_noticed(gpt2, monkeypatch):
    batch, honest = made_up(), hooked.on_one_prompt
    for off in (1e-2, float("nan")):
        monkeypatch.setattr(
            hooked, "on_one_prompt", lambda *arguments, off=off: honest(*arguments) * (1 + off * torch.rand(VOCABULARY))
        )
        with pytest.raises(Disagreement, match=r"blocks\..* replaced at position all of .*hooked=True"):
            sweep(gpt2, batch, SETS, batch.corrupted, "all", LOGIT_DIFFERENCE)


def test_each_kind_of_sweep_is_checked_once_for_a_model(gpt2, monkeypatch):
    seen, honest = [], hooked.on_one_prompt
    monkeypatch.setattr(hooked, "on_one_prompt", lambda *rest: (seen.append(rest[2]), honest(*rest))[1])
    prompts = pairs(10)
    assert len(batches(gpt2, prompts)) > 3
    for sites in (components(gpt2), {"together": EVERY}, components(gpt2)):
        restored_by_patching(gpt2, prompts, sites)
    assert [len(sets) for sets in seen] == [engine.CHECKED, 1]  # heads and MLPs; heads
    under_ablation(gpt2, prompts, EVERY, "zero", positions=-1)
    restored_by_patching(gpt2, prompts, EVERY, "all")
    assert len(seen) == 4
    with torch.no_grad():
        gpt2.blocks[0].attn.W_O.mul_(1.0)
    restored_by_patching(gpt2, prompts, EVERY, "all")
    assert len(seen) == 5  # of weights that somebody wrote to


def test_logits_that_are_all_about_nothing_are_compared_by_their_rounding(tmp_path, monkeypatch):
    silent, batch, honest = load(str(directory(tmp_path, "gpt2"))), made_up(), hooked.on_one_prompt
    with torch.no_grad():
        silent.unembed.weight.zero_()
    for off, wrong in ((5e-6, False), (1e-4, True)):
        rounded = off * torch.rand(VOCABULARY)
        monkeypatch.setattr(hooked, "on_one_prompt", lambda *rest, rounded=rounded: honest(*rest) + rounded)
        with pytest.raises(Disagreement) if wrong else contextlib.nullcontext():
            swept = sweep(silent, batch, SETS, None, -1 if wrong else "all", LOGIT_DIFFERENCE)
    assert not swept.after.any()


# --- runs that are kept -------------------------------------------------------------------------------------------


def test_the_same_prompts_are_run_once_for_several_sweeps(gpt2, monkeypatch):
    ran, honest, batch = [], run_with_cache, made_up(same=6)
    monkeypatch.setattr(kept_runs, "run_with_cache", lambda *rest, **more: (ran.append(1), honest(*rest, **more))[1])
    first = sweep(gpt2, batch, SETS, batch.corrupted, -1, LOGIT_DIFFERENCE)
    assert len(ran) == 2
    for _ in range(2):  # whoever writes to what is kept is seen the second time
        again = sweep(gpt2, batch, SETS, batch.corrupted, -1, LOGIT_DIFFERENCE)
        assert torch.equal(again.after, first.after) and torch.equal(again.intact, first.intact)
    assert len(ran) == 2
    sweep(gpt2, batch, SETS, None, -1, LOGIT_DIFFERENCE)
    sweep(gpt2, batch, SETS, batch.corrupted, "all", LOGIT_DIFFERENCE)
    assert len(ran) == 5
    before = gpt2.blocks[0].attn.W_O.clone()
    with torch.no_grad():
        gpt2.blocks[0].attn.W_O.mul_(2.0)
        other = sweep(gpt2, batch, SETS, batch.corrupted, -1, LOGIT_DIFFERENCE)
        gpt2.blocks[0].attn.W_O.copy_(before)
    assert len(ran) == 7 and not torch.equal(other.intact, first.intact)


def test_no_more_is_kept_than_the_budget_and_what_was_asked_last_stays(gpt2, monkeypatch):
    net, several = network(gpt2), [made_up(seed=seed) for seed in range(4)]
    size = run_with_cache(net, several[0].tokens, LENGTH - 1).size
    kept = kept_runs.KeptRuns(most=2 * size + 1)
    for batch in several:
        kept(net, batch.tokens, None, LENGTH - 1, 0, False)
        assert kept.held <= kept.most
    assert [key[0] for key in kept.pairs] == [kept_runs._exact(batch.tokens) for batch in several[2:]]
    monkeypatch.setattr(kept_runs, "run_with_cache", lambda *rest, **more: pytest.fail("it was kept"))
    kept(net, several[3].tokens, None, LENGTH - 1, 0, False)


def test_other_architectures_are_refused_by_name_and_swept_through_hooks(gpt2, monkeypatch):
    prompts, reference = pairs(4), pairs(20, "reference")
    known = {
        restored_by_patching: restored_by_patching(gpt2, prompts, residual(gpt2), "all").values,
        under_ablation: under_ablation(gpt2, prompts, EVERY, "mean", reference, "logit difference").values,
    }
    monkeypatch.setattr("mechlib.lab.forward.families._NETWORKS", {})
    monkeypatch.setattr(gpt2.cfg, "architecture", "MambaForCausalLM")
    with pytest.raises(UnsupportedModel, match=r"MambaForCausalLM .* through hooks with hooked=True"):
        restored_by_patching(gpt2, prompts, residual(gpt2), "all")
    with pytest.raises(UnsupportedModel, match="MambaForCausalLM"):
        under_ablation(gpt2, prompts, EVERY, "mean", reference)
    through = restored_by_patching(gpt2, prompts, residual(gpt2), "all", hooked=True)
    assert abs(through.values - known[restored_by_patching]).max() < 2e-5
    through = under_ablation(gpt2, prompts, EVERY, "mean", reference, "logit difference", hooked=True)
    assert abs(through.values - known[under_ablation]).max() < 2e-5


def test_what_cannot_be_swept_is_said_in_one_line(gpt2):
    batch = made_up()
    with pytest.raises(EmptySelection, match="a set without heads"):
        sweep(gpt2, batch, [Head(0, 1), ()], batch.corrupted, -1, LOGIT_DIFFERENCE)
    with pytest.raises(ValueError, match="source and run must have the same rows and positions"):
        sweep(gpt2, batch, SETS, batch.corrupted[:, 1:], -1, LOGIT_DIFFERENCE)
    with pytest.raises(ValueError, match="no position 11 in a run of 11 tokens"):
        sweep(gpt2, batch, SETS, batch.corrupted, 11, LOGIT_DIFFERENCE)
    with pytest.raises(REFUSED, match=r"no positions in \(\)|Type-check error"):
        sweep(gpt2, batch, SETS, batch.corrupted, (), LOGIT_DIFFERENCE)
    with pytest.raises(REFUSED, match=r"'0\.1' is no place: give heads|Type-check error"):
        restored_by_patching(gpt2, pairs(2), ["0.1"])
    with pytest.raises(REFUSED, match=r"was not loaded by mechlib|Type-check error"):
        network("mini-0")
    with pytest.raises(ValueError, match="has no head 7"):
        sweep(gpt2, batch, [Head(0, 7)], batch.corrupted, -1, LOGIT_DIFFERENCE)


def test_a_model_that_computes_no_numbers_is_named_with_the_prompt(tmp_path):
    prompts, broken = pairs(2), load(str(directory(tmp_path, "gpt2")))
    with torch.no_grad():
        broken.blocks[1].ln2.weight[0] = torch.nan
    measured = (
        lambda: restored_by_patching(broken, prompts, all_heads(2, 4)),
        lambda: circuit_scores(broken, prompts, circuit("0.1"), "zero"),
        lambda: logit_lens(broken, prompts),
    )
    for one in measured:
        with pytest.raises(
            ValueError, match=rf"computes NaN or infinity for prompt ({'|'.join(row.fingerprint for row in prompts)}) "
        ):
            one()
