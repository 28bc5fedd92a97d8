"""Acting on features: what is not acted on stays to the bit; effects are those of Hugging Face's own hooks."""

import numpy as np
import pytest
import torch

from mechlib.lab.features.acting import INTACT, Action, ablated, dose_response, scaled, steered, under_actions
from mechlib.lab.features.dictionaries import random_dictionary
from mechlib.lab.features.evaluation import activations_at
from mechlib.lab.features.loading import OtherActivation
from mechlib.lab.features.splicing import with_features
from mechlib.lab.hooks import NothingChanged, run
from mechlib.parts.heads import EmptySelection
from tests.helpers.tiny import BOS_ID, REFUSED, WORDS, pairs
from tests.lab.features.hooked import HOOK, both, sequences, stream, with_stream

WITHIN = 2e-4


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def case(request, tmp_path_factory):
    model, theirs = both(tmp_path_factory.mktemp("acted") / request.param, request.param)
    rows = activations_at(model, sequences(40, 12, seed=9), HOOK)
    return model, theirs, random_dictionary(rows, 80, k=6, hook=HOOK)


def metric(theirs, prompt, change=None) -> float:
    tokens = torch.tensor([[BOS_ID, *(WORDS.index(word) for word in prompt.clean.split())]])
    with torch.no_grad():
        last = with_stream(theirs, tokens, change)[0, -1]
    return float(last[WORDS.index(prompt.answer)] - last[WORDS.index(prompt.distractor)])


def activity(theirs, dictionary, prompts, positions="all") -> torch.Tensor:
    """How active each feature is on these prompts, all together."""
    total = torch.zeros(dictionary.features)
    for prompt in prompts:
        tokens = torch.tensor([[BOS_ID, *(WORDS.index(word) for word in prompt.clean.split())]])
        where = range(tokens.shape[1]) if positions == "all" else np.atleast_1d(positions)
        total += dictionary.encode(stream(theirs, tokens)[0, list(where)]).sum(0)
    return total


def test_where_nothing_is_done_the_activation_stays_to_the_bit(case):
    model, _, dictionary = case
    tokens = sequences(4, 9)
    intact, kept = run(model, tokens, keep=(HOOK,))
    edited, after = run(model, tokens, {HOOK: with_features(dictionary, lambda active: active)}, keep=(HOOK,))
    assert torch.equal(kept[HOOK], after[HOOK]) and torch.equal(intact, edited)
    off = (dictionary.decode(dictionary.encode(kept[HOOK])) - kept[HOOK]).norm() / kept[HOOK].norm()
    assert off > 0.2, "the reconstruction is bad, so that the error term is seen to be kept"


@pytest.mark.parametrize("positions", ["all", -1, (1, 3)])
def test_effects_are_those_of_hugging_faces_own_hooks(case, positions):
    model, theirs, dictionary = case
    prompts = pairs(8)
    one, other = activity(theirs, dictionary, prompts, positions).topk(2).indices.tolist()
    directions = dictionary.directions
    actions = {
        "ablated": (ablated(one, other), lambda own: -own),
        "scaled": (scaled(one, other, by=3), lambda own: 2 * own),
        "steered": (steered(one, other, by=2.5), lambda own: torch.full_like(own, 2.5)),
        "set": (Action((one, other), "set", 4), lambda own: 4 - own),
    }
    measured = under_actions(
        model, prompts, dictionary, {name: action for name, (action, _) in actions.items()}, positions
    )
    assert measured.columns == (*actions, INTACT) and measured.notes == ()
    for row, prompt in zip(measured.values, prompts, strict=True):
        for seen, (_, more) in zip(row, actions.values(), strict=False):

            def change(old, more=more):
                made = old.clone()
                for at in range(old.shape[1]) if positions == "all" else np.atleast_1d(positions):
                    own = dictionary.encode(old[:, at])[:, [one, other]]
                    made[:, at] += more(own) @ directions[[one, other]]
                return made

            assert seen == pytest.approx(metric(theirs, prompt, change), abs=WITHIN)
        assert row[-1] == pytest.approx(metric(theirs, prompt), abs=WITHIN)
    assert np.abs(measured.values[:, :-1] - measured.values[:, -1:]).max(0).min() > 0.01, "each action is seen"


def test_a_dose_is_a_multiple_of_the_direction_and_none_is_the_model_as_it_is(case):
    model, theirs, dictionary = case
    prompts = pairs(6)
    measured = dose_response(model, prompts, dictionary, 7, (-4, 0, 1.5), positions=-1)
    assert measured.columns == ("-4", "0", "1.5", INTACT)
    np.testing.assert_array_equal(measured["0"].array, measured[INTACT].array)
    for row, prompt in zip(measured.values, prompts, strict=True):
        for seen, dose in zip(row, (-4, 0, 1.5), strict=False):

            def change(old, dose=dose):
                made = old.clone()
                made[:, -1] += dose * dictionary.directions[7]
                return made

            assert seen == pytest.approx(metric(theirs, prompt, change), abs=WITHIN)


def test_a_random_direction_is_as_long_and_another_one_and_ablates_as_much(case):
    model, _, dictionary = case
    tokens = sequences(4, 9)
    kept = run(model, tokens, keep=(HOOK,))[1][HOOK]
    moved = []
    for action in (steered(7, by=3), steered(7, by=3, random=0), steered(7, by=3, random=1)):
        moved.append(run(model, tokens, {HOOK: action.edit(dictionary)}, keep=(HOOK,))[1][HOOK] - kept)
    own, *others = (one[0, 0] for one in moved)
    for other in others:
        torch.testing.assert_close(other.norm(), own.norm(), rtol=1e-4, atol=1e-4)
        assert abs(torch.cosine_similarity(own, other, dim=0)) < 0.8
    assert not torch.allclose(*others)
    most = int(dictionary.encode(kept).sum((0, 1)).argmax())
    ablate, like_it = (
        run(model, tokens, {HOOK: Action((most,), random=seed).edit(dictionary)}, keep=(HOOK,))[1][HOOK] - kept
        for seed in (None, 3)
    )
    torch.testing.assert_close(ablate.norm(dim=-1), like_it.norm(dim=-1), rtol=1e-3, atol=1e-4)


def test_a_feature_that_is_active_nowhere_is_noted_and_alone_refused(case):
    model, theirs, dictionary = case
    prompts = pairs(4)
    total = activity(theirs, dictionary, prompts)
    idle, busy = int(total.argmin()), int(total.argmax())
    assert total[idle] == 0
    measured = under_actions(model, prompts, dictionary, {"idle": ablated(idle), "busy": ablated(busy)})
    assert measured.notes == (("idle", "it changed no activation on these prompts: no effect"),)
    with pytest.raises(NothingChanged, match=r"no action on .* changed blocks.0.hook_resid_post of .* at position all"):
        under_actions(model, prompts, dictionary, {"idle": ablated(idle)})


def test_what_cannot_be_done_is_refused_in_one_line(case):
    model, _, dictionary = case
    prompts = pairs(2)
    with pytest.raises(ValueError, match=r"^80 random directions has no feature 80: it has 0 to 79$"):
        under_actions(model, prompts, dictionary, {"it": ablated(80)})
    with pytest.raises(EmptySelection, match=r"no feature is named"):
        ablated()
    with pytest.raises(EmptySelection, match=r"no action is named"):
        under_actions(model, prompts, dictionary, {})
    with pytest.raises(REFUSED, match=r"nothing 'zero' to do to a feature: choose one of|'zero'"):
        Action((1,), "zero")
    with pytest.raises(ValueError, match=r"^doses 1, 1: name each once$"):
        dose_response(model, prompts, dictionary, 1, (1, 1))
    with pytest.raises(OtherActivation, match=r"is of blocks.0.hook_resid_post, not of blocks.1.hook_resid_post"):
        under_actions(model, prompts, dictionary, {"it": ablated(1)}, hook="blocks.1.hook_resid_post")
