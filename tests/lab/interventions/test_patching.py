"""Patching sweeps: every column is what a whole run with these places exchanged by hand gives."""

import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.hooks import NothingChanged
from mechlib.lab.interventions.contexts import Site, patched
from mechlib.lab.interventions.patching import flipped_by_patching, lost_by_patching, restored_by_patching
from mechlib.lab.interventions.sites import components, layers, named, residual, union
from mechlib.lab.models.loading import load
from mechlib.parts.heads import EmptySelection, Head, Heads, all_heads, heads
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.sweeping import answered, difference
from tests.helpers.tiny import FAMILIES, directory, pairs

EVERY = all_heads(2, 4)
MLPS = (Site("mlp", 0), Site("mlp", 1))
EMBEDDINGS = Site("resid_pre", 0)
SETS = {
    "one": heads("1.2"),
    "layer": EVERY.in_layer(0),
    "mlp": Site("mlp", 1),
    "head and mlps": (Head(1, 3), *MLPS),
    "stream": Site("resid_post", 0),
}
SWEEPS = (restored_by_patching, lost_by_patching, flipped_by_patching)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("sweeps") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("sweeps") / "one", "gpt2")))


def by_hand(model, prompts: PromptSet, where, positions=-1, into="corrupted") -> torch.Tensor:
    """Logits at the last position, of the run patched into and of the patched run, one prompt at a time."""
    found = {}
    for batch in batches(model, prompts, size=1):
        source, tokens = (batch.tokens, batch.corrupted) if into == "corrupted" else (batch.corrupted, batch.tokens)
        with patched(model, where, source, positions) as changed:
            found[batch.rows[0]] = torch.stack([model(tokens)[0, -1], changed(tokens)[0, -1]])
    return torch.stack([found[row] for row in range(len(prompts))])


def swapped(prompts: PromptSet) -> PromptSet:
    """Clean and corrupted change places, and so do answer and distractor."""
    rows = tuple(Prompt(one.corrupted, one.distractor, one.clean, one.answer) for one in prompts)
    return PromptSet("swapped", "confirmation", rows)


# --- what is restored and lost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [-1, (-3, -1)])
@pytest.mark.parametrize(("sweep", "into"), [(restored_by_patching, "corrupted"), (lost_by_patching, "clean")])
def test_every_set_gives_what_it_gives_in_whole_runs_one_by_one(model, sweep, into, positions):
    prompts = pairs(4)
    swept = sweep(model, prompts, SETS, positions)
    assert swept.columns == (*SETS, "total")
    for name, where in SETS.items():
        before, after = difference(model, prompts, by_hand(model, prompts, where, positions, into)).unbind(1)
        wanted = after - before if into == "corrupted" else before - after
        assert swept[name].array.tolist() == pytest.approx(wanted.tolist(), abs=3e-5)


@pytest.mark.parametrize("sweep", SWEEPS)
@pytest.mark.parametrize("positions", [-1, "all"])
def test_a_sweep_does_not_depend_on_how_many_sets_run_side_by_side(gpt2, monkeypatch, sweep, positions):
    prompts = pairs(10)
    together = sweep(gpt2, prompts, components(gpt2), positions)
    for limit in ("FOLDED", "ABREAST"):
        monkeypatch.setattr(f"mechlib.lab.interventions.through_hooks.{limit}", 1)
    assert abs(sweep(gpt2, prompts, components(gpt2), positions).values - together.values).max() < 2e-5


@pytest.mark.parametrize("sweep", [restored_by_patching, lost_by_patching])
def test_everything_at_all_positions_turns_one_run_into_the_other(model, sweep):
    sets = {"everything": (EMBEDDINGS, *EVERY, *MLPS), **residual(model)}
    swept = sweep(model, pairs(10), sets, positions="all")
    assert abs(swept["total"].array).min() > 1e-3
    for name in sets:
        assert swept[name].array.tolist() == pytest.approx(swept["total"].array.tolist(), abs=1e-4)


@pytest.mark.parametrize("sweep", [restored_by_patching, lost_by_patching])
def test_the_end_of_the_stream_at_the_last_position_carries_everything(model, sweep):
    swept = sweep(model, pairs(10), residual(model))
    assert swept["after layer 1"].array.tolist() == pytest.approx(swept["total"].array.tolist(), abs=1e-4)
    assert not abs(swept["embeddings"].array).any(), "clean and corrupted end in the same word"


def test_losing_is_restoring_with_the_runs_exchanged(gpt2):
    prompts = pairs(10)
    for positions in (-1, "all"):
        lost = lost_by_patching(gpt2, prompts, SETS, positions)
        restored = restored_by_patching(gpt2, swapped(prompts), SETS, positions)
        assert abs(lost.values - restored.values).max() < 2e-5


def test_swapping_clean_and_corrupted_changes_the_sign_of_the_total(gpt2):
    prompts = pairs(10)
    rows = tuple(Prompt(one.corrupted, one.answer, one.clean, one.distractor) for one in prompts)
    back = restored_by_patching(gpt2, PromptSet("swapped", "confirmation", rows), EVERY)["total"].array
    there = restored_by_patching(gpt2, prompts, EVERY)["total"].array
    assert back.tolist() == pytest.approx((-there).tolist(), abs=1e-5)


# --- what is flipped ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [-1, "all"])
def test_a_flip_is_the_clean_answer_on_top_of_a_run_patched_by_hand(model, positions):
    prompts = answered(model, pairs(30))
    flips = flipped_by_patching(model, prompts, SETS, positions)
    assert flips.columns == (*SETS, "corrupted", "clean")
    assert flips.yes_no
    ids = torch.tensor(model.tokenizer.convert_tokens_to_ids([one.answer for one in prompts]))
    for name, where in SETS.items():
        before, after = by_hand(model, prompts, where, positions).argmax(-1).unbind(1)
        assert flips[name].array.tolist() == (after == ids).tolist()
        assert flips["corrupted"].array.tolist() == (before == ids).tolist()
    share = flips.values.mean(0)
    assert share[-1] == 1 and share[-2] == 0, "the answer is what the clean run says, and the corrupted says another"
    assert any(0 < one < 1 for one in share[:-2]), "this test could not tell one prompt from another"


# --- sets ---------------------------------------------------------------------------------------------------------


def test_sets_are_named_by_the_caller_or_by_their_members():
    assert named(heads("1.1 0.3")) == {"0.3": (Head(0, 3),), "1.1": (Head(1, 1),)}
    assert list(named([heads("1.1 0.3"), Site("mlp", 0), Head(0, 2), (Head(0, 1), Site("mlp", 1))])) == [
        "0.3 1.1",
        "mlp 0",
        "0.2",
        "0.1 mlp 1",
    ]
    assert named({"one": Head(0, 1), "two": heads("0.1 1.1")}) == {
        "one": (Head(0, 1),),
        "two": (Head(0, 1), Head(1, 1)),
    }


@pytest.mark.parametrize("sets", [Heads(()), {}, [], {"some": heads("0.1"), "none": Heads(())}, [heads("0.1"), ()]])
def test_a_set_with_nothing_in_it_is_refused(gpt2, sets):
    with pytest.raises(EmptySelection, match="a set without heads"):
        restored_by_patching(gpt2, pairs(3), sets)


def test_layers_hold_every_component_once(gpt2):
    assert list(components(gpt2)) == [*map(str, EVERY.in_layer(0)), "mlp 0", *map(str, EVERY.in_layer(1)), "mlp 1"]
    assert list(layers(gpt2)) == ["attention 0", "mlp 0", "attention 1", "mlp 1"]
    assert union(named(layers(gpt2))) == union(named(components(gpt2))) == tuple(components(gpt2).values())
    assert list(residual(gpt2)) == ["embeddings", "after layer 0", "after layer 1"]


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_over_positions_at_which_the_runs_do_not_differ_raises(gpt2, sweep):
    for positions in (0, (0, 1)):  # BOS and the first word: both texts have the same ones there
        with pytest.raises(NothingChanged, match=r"nothing in 0\.0, 0\.1, .* differs between clean and corrupted"):
            sweep(gpt2, pairs(3), EVERY, positions)


def test_prompts_without_a_corrupted_text_are_refused(gpt2):
    alone = PromptSet("alone", "confirmation", tuple(Prompt(p.clean, p.answer, "", p.distractor) for p in pairs(3)))
    for sweep in SWEEPS:
        with pytest.raises(ValueError, match="has no corrupted text"):
            sweep(gpt2, alone, EVERY)
