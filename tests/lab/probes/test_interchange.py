"""Interchange interventions: all of the stream is activation patching, no dimension nothing, what is planted moves."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.forward.recording import record
from mechlib.lab.forward.weights import UnsupportedModel
from mechlib.lab.hooks import HookDidNotFire, NothingChanged, run
from mechlib.lab.interventions.patching import flipped_by_patching, restored_by_patching
from mechlib.lab.interventions.sites import residual
from mechlib.lab.models.loading import load
from mechlib.lab.probes import edited_stream
from mechlib.lab.probes.changes import Change
from mechlib.lab.probes.das import das_subspaces
from mechlib.lab.probes.edited_stream import EditedStream
from mechlib.lab.probes.interchange import _swap, exchanged, interchange
from mechlib.lab.probes.streams import hook_of, positions
from mechlib.lab.probes.subspaces import (
    Subspace,
    class_mean_subspaces,
    principal_cosines,
    random_subspaces,
    whole_spaces,
)
from mechlib.parts.chosen import DoubleDipping
from mechlib.prompts import addition
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.sweeping import answered
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs
from tests.lab.probes.planted import KNOWN, VALUES, network, said

PROMPTS = said(60, "confirmation")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("interchange") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("interchange") / "one", "gpt2")))


@pytest.fixture(scope="module")
def planted():
    return network()


def some(model, k: int, at="end") -> dict[str, Subspace]:
    return random_subspaces(
        {name: Subspace(one.depth, at, one.basis[:, :k]) for name, one in whole_spaces(model).items()}
    )


def by_hand(model, prompts: PromptSet, one: Subspace) -> np.ndarray:
    """Logit of answer minus distractor, a prompt at a time, the projection exchanged in a hook by other arithmetic."""
    found = np.empty(len(prompts))
    for batch in batches(model, prompts, size=1):
        where, name = int(positions(batch, one.at)[0]), hook_of(one.depth)
        clean = run(model, batch.tokens, keep=[name])[1][name][0, where]
        rest = torch.eye(len(one.basis)) - one.basis @ one.basis.T

        def put(old, clean=clean, where=where, rest=rest):
            made = old.clone()
            made[0, where] = rest @ old[0, where] + one.basis @ (one.basis.T @ clean)
            return made

        logits = run(model, batch.corrupted, {name: put})[0][0, -1]
        found[batch.rows[0]] = logits[batch.answer] - logits[batch.distractor]
    return found


def test_all_of_the_stream_is_activation_patching(model):
    prompts = pairs(12)
    found = interchange(model, prompts, whole_spaces(model), "logit difference")
    wanted = restored_by_patching(model, prompts, residual(model))
    for name in residual(model):
        np.testing.assert_allclose(found[name].array - found["corrupted"].array, wanted[name].array, atol=3e-5)
    np.testing.assert_allclose(found["clean"].array - found["corrupted"].array, wanted["total"].array, atol=3e-5)


def test_accuracy_is_how_often_patching_flips_the_answer(gpt2):
    prompts = answered(gpt2, pairs(40))
    found, wanted = interchange(gpt2, prompts, whole_spaces(gpt2)), flipped_by_patching(gpt2, prompts, residual(gpt2))
    assert found.columns == wanted.columns and found.yes_no
    np.testing.assert_array_equal(found.values, wanted.values)
    assert 0 < found.values.mean() < 1


@pytest.mark.parametrize(("at", "k"), [("end", 1), (-3, 5), (1, 2)])
def test_a_part_of_the_stream_is_exchanged_as_by_hand(model, k, at):
    prompts, subspaces = pairs(4), some(model, k, at)
    if at == 1:
        subspaces |= some(model, k)  # the runs may agree at the first word
    found = interchange(model, prompts, subspaces, "logit difference")
    hooked = interchange(model, prompts, subspaces, "logit difference", hooked=True)
    for name, one in subspaces.items():
        np.testing.assert_allclose(found[name].array, by_hand(model, prompts, one), atol=1e-4)
        np.testing.assert_allclose(hooked[name].array, found[name].array, atol=1e-4)


def test_places_that_differ_from_row_to_row_are_each_rows_own(planted):
    found = interchange(planted, PROMPTS, {"it": KNOWN["embeddings"]}, "logit difference")
    np.testing.assert_allclose(found["it"].array, by_hand(planted, PROMPTS, KNOWN["embeddings"]), atol=1e-4)


def test_no_dimension_changes_nothing(planted):
    none = Subspace(1, "end", KNOWN["after layer 0"].basis[:, :0])
    own, other = torch.randn(2, 4, 16)
    assert torch.equal(exchanged(own, other, none), own)
    found = interchange(planted, PROMPTS, {"none": none, **KNOWN}, "logit difference")
    np.testing.assert_array_equal(found["none"].array, found["corrupted"].array)
    assert found.notes == (("none", "it changed no activation: no effect"),)
    with pytest.raises(NothingChanged, match="none of none changes the stream of toy in any of 60 prompts"):
        interchange(planted, PROMPTS, {"none": none})


def test_known_coordinates_carry_the_answer_and_others_none_of_it(planted):
    others = {"rest": Subspace(1, "end", torch.eye(16)[:, [*range(8), *range(10, 16)]])}
    found = interchange(planted, PROMPTS, {**KNOWN, **others}, matched=True)
    assert all(found[name].array.all() for name in KNOWN)
    assert not found["rest"].array.any() and not found["corrupted"].array.any()
    difference = interchange(planted, PROMPTS, {**KNOWN, **others}, "logit difference", matched=True)
    np.testing.assert_allclose(difference["rest"].array, difference["corrupted"].array, atol=1e-5)
    for name in KNOWN:
        np.testing.assert_allclose(difference[name].array, difference["clean"].array, rtol=1e-4)
        moved, matched = difference[name].array, difference[f"{name}, norm matched"].array
        assert (moved - difference["corrupted"].array).mean() > 3 * abs(matched - difference["corrupted"].array).mean()


def test_a_norm_matched_change_is_as_long_and_the_prompts_own(planted):
    one = KNOWN["after layer 0"]
    own, other = torch.randn(2, len(PROMPTS), 16)
    new = Change(one, _swap(one), 0).new(own, other, PROMPTS.rows)
    lengths = (exchanged(own, other, one) - own).norm(dim=1)
    torch.testing.assert_close((new - own).norm(dim=1), lengths)
    alone = Change(one, _swap(one), 0).new(own[5:6], other[5:6], PROMPTS.rows[5:6])
    torch.testing.assert_close(alone[0], new[5])
    turned = (new - own) / lengths[:, None]
    assert float((turned @ turned.T).fill_diagonal_(0).abs().mean()) < 0.3, "each prompt's direction is another"
    assert not torch.allclose(Change(one, _swap(one), 1).new(own, other, PROMPTS.rows), new)


def test_values_do_not_depend_on_the_batch(gpt2):
    prompts = pairs(20)
    together = interchange(gpt2, prompts, some(gpt2, 3), "log probability", matched=True)
    for row in (0, 7, 19):
        one = PromptSet("one", "confirmation", prompts.rows[row : row + 1])
        alone = interchange(gpt2, one, some(gpt2, 3), "log probability", matched=True)
        np.testing.assert_allclose(alone.values[0], together.values[row], atol=2e-5)


def test_what_was_made_from_prompts_is_not_judged_on_them(planted):
    discovery = said(40, "discovery")
    made = class_mean_subspaces(planted, discovery, "value", 2, layers="after layer 0")
    confirmation = PromptSet("same texts", "confirmation", discovery.rows[:10])
    for one in (made, random_subspaces(made)):
        with pytest.raises(DoubleDipping, match="10 of 10 prompts of same texts made what is judged on them"):
            interchange(planted, confirmation, one)
    assert interchange(planted, discovery, made)["after layer 0"].array.all(), "looking is allowed on discovery prompts"


def test_what_cannot_be_asked_is_refused(planted):
    alone = PromptSet("alone", "confirmation", (Prompt("w4 w1 w0", "w1"),))
    with pytest.raises(ValueError, match="has no corrupted text"):
        interchange(planted, alone, KNOWN)
    with pytest.raises(ValueError, match="nothing to change: give at least one subspace"):
        interchange(planted, PROMPTS, {})
    with pytest.raises(REFUSED):
        interchange(planted, PROMPTS, KNOWN, "accuracy")


def test_a_run_that_is_not_that_through_hooks_is_noticed(gpt2, monkeypatch):
    late = record
    monkeypatch.setattr(edited_stream, "record", lambda *given, first: late(*given, first=first + 1))
    with pytest.raises(HookDidNotFire, match="edited behind 1 layers is off by"):
        interchange(gpt2, pairs(4), {"it": some(gpt2, 3)["after layer 0"]})


def test_logits_that_are_nan_are_refused_with_the_prompt(tmp_path):
    model = load(str(directory(tmp_path / "damaged", "gpt2")))
    with torch.no_grad():
        model.blocks[1].mlp.original_component.c_proj.bias[3] = float("nan")
    with pytest.raises(ValueError, match=r"NaN or infinity for prompt \w+|is off by nan"):
        interchange(model, pairs(3), some(model, 2), hooked=True)


# --- distributed alignment search ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(KNOWN))
def test_training_finds_the_planted_coordinates_and_chance_does_not(planted, name):
    known = KNOWN[name]
    found = das_subspaces(planted, said(200, "discovery"), 2, known.at, name)
    drawn = random_subspaces(found)
    assert principal_cosines(found[name], known).min() > 0.98
    assert principal_cosines(drawn[name], known).min() < 0.6
    judged = interchange(planted, PROMPTS, {"found": found[name], "drawn": drawn[name]})
    assert judged["found"].array.mean() > 0.95 and judged["drawn"].array.mean() < 0.3


def test_arbitrary_labels_lead_to_nothing_that_holds(planted):
    stream, texts = random.Random(0), said(120, "discovery")
    rows = tuple(replace(one, answer=stream.choice(VALUES), distractor="") for one in texts)
    found = das_subspaces(planted, replace(texts, rows=rows), 2, layers="after layer 0")
    assert interchange(planted, PROMPTS, found)["after layer 0"].array.mean() < 0.5


def test_training_is_the_same_again_and_another_by_another_seed(planted):
    discovery, arguments = said(60, "discovery"), {"layers": "after layer 0", "steps": 20}
    one, again, other = (das_subspaces(planted, discovery, 2, seed=s, **arguments) for s in (0, 0, 1))
    assert torch.equal(one["after layer 0"].basis, again["after layer 0"].basis)
    assert not torch.allclose(one["after layer 0"].basis, other["after layer 0"].basis, atol=1e-3)


def test_the_gradient_is_that_of_a_step_in_a_linear_network(planted):
    (batch, *_) = batches(planted, said(20, "discovery"))
    where = positions(batch, "{value}")
    own = EditedStream(planted, batch.corrupted, where)
    new = own.at(0).clone().requires_grad_()
    with torch.enable_grad():
        own.logits(0, new)[:, -1, 4].sum().backward()
    step = torch.zeros_like(new)
    step[:, 1] = 0.5  # the network is linear
    with torch.no_grad():
        moved = own.logits(0, new + step)[:, -1, 4] - own.logits(0, new)[:, -1, 4]
    torch.testing.assert_close(moved, 0.5 * new.grad[:, 1], rtol=1e-4, atol=1e-5)
    assert new.grad.abs().max() > 0.1


def test_where_the_runs_agree_the_subspace_stays_as_drawn(planted):
    arguments = {"k": 2, "layers": "embeddings"}
    trained, drawn = (das_subspaces(planted, said(20, "discovery"), steps=n, **arguments) for n in (30, 0))
    assert torch.equal(trained["embeddings"].basis, drawn["embeddings"].basis)


def test_training_is_for_discovery_and_within_the_stream(planted):
    with pytest.raises(DoubleDipping, match="is not for discovery: a subspace that is trained is judged on other"):
        das_subspaces(planted, PROMPTS, 2)
    for k in (0, 17):
        with pytest.raises(ValueError, match=f"{k} dimensions of a stream of 16: give k from 1 to 16"):
            das_subspaces(planted, said(10, "discovery"), k)


def test_an_operand_is_found_at_its_word_in_a_model_that_adds():
    model, discovery, judged = load("mini-pilot"), addition(split="discovery"), addition(40)
    found = das_subspaces(model, discovery, 8, "first {a}", "embeddings", steps=200)
    accuracy = interchange(model, judged, {"found": found["embeddings"], **random_subspaces(found)})
    assert accuracy["found"].array.mean() > 0.5 > 0.1 > accuracy["embeddings"].array.mean()


def test_an_unknown_architecture_is_refused_unless_hooked(tmp_path, monkeypatch):
    def unknown(model):
        raise UnsupportedModel("no plain forward pass")

    model = load(str(directory(tmp_path / "one", "gpt2")))
    monkeypatch.setattr(edited_stream, "network", unknown)
    with pytest.raises(UnsupportedModel):
        interchange(model, pairs(4), some(model, 2))
    assert len(interchange(model, pairs(4), some(model, 2), hooked=True)) == 4
