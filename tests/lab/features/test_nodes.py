"""Features as nodes: exact patching against Hugging Face's hooks, gradients against finite differences."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from mechlib.lab.features import nodes
from mechlib.lab.features.dictionaries import random_dictionary
from mechlib.lab.features.evaluation import activations_at
from mechlib.lab.features.nodes import (
    ACTIVATION,
    ERROR,
    attribution_agreement,
    feature_attribution,
    restored_by_features,
    restored_by_sets_of_features,
)
from mechlib.lab.hooks import NothingChanged, run
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.lab.interventions.places import Site
from mechlib.measurement import TOTAL
from mechlib.parts.heads import EmptySelection
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, WORDS, pairs
from tests.lab.features.hooked import HOOK, LAYER, both, sequences, stream, with_stream

WITHIN = 2e-4
WHERE = [-1, (2, 4), "all"]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def case(request, tmp_path_factory):
    model, theirs = both(tmp_path_factory.mktemp("nodes") / request.param, request.param)
    rows = activations_at(model, sequences(40, 12, seed=9), HOOK)
    return model, theirs, random_dictionary(rows, 60, k=6, hook=HOOK)


def ids(text: str) -> torch.Tensor:
    return torch.tensor([[BOS_ID, *(WORDS.index(word) for word in text.split())]])


def difference(logits: torch.Tensor, prompt: Prompt) -> torch.Tensor:
    return logits[0, -1, WORDS.index(prompt.answer)] - logits[0, -1, WORDS.index(prompt.distractor)]


def positions_of(where, length: int) -> list[int]:
    return list(range(length)) if where == "all" else [at % length for at in np.atleast_1d(where)]


def terms(theirs, dictionary, prompt, where) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The corrupted stream, and by how much each feature and the error term differ, at these positions alone."""
    clean, corrupted = (stream(theirs, ids(text)) for text in (prompt.clean, prompt.corrupted))
    active = dictionary.encode(clean) - dictionary.encode(corrupted)
    parts = torch.einsum("bpf,fw->fbpw", active, dictionary.directions)
    error = clean - corrupted - parts.sum(0)
    mask = torch.zeros(clean.shape[1])
    mask[positions_of(where, len(mask))] = 1
    same = (clean - corrupted).abs().amax(-1)[0] < 1e-5
    mask[same] = 0  # where only rounding differs, the k largest may be others
    return corrupted, parts * mask[:, None], error * mask[:, None]


@pytest.mark.parametrize("where", WHERE, ids=str)
@pytest.mark.parametrize("hooked", [True, False])
def test_patched_features_are_those_of_hugging_faces_own_hooks(case, where, hooked):
    model, theirs, dictionary = case
    prompts, which = pairs(5), (3, 11, 26, 40)
    measured = restored_by_features(model, prompts, dictionary, which, where, hooked=hooked)
    assert measured.columns == ("3", "11", "26", "40", ERROR, TOTAL)
    for row, prompt in zip(measured.values, prompts, strict=True):
        _, parts, error = terms(theirs, dictionary, prompt, where)
        with torch.no_grad():
            before, after = (
                difference(with_stream(theirs, ids(text)), prompt) for text in (prompt.corrupted, prompt.clean)
            )
            for seen, part in zip(row, [*parts[list(which)], error], strict=False):
                patched = with_stream(theirs, ids(prompt.corrupted), lambda old, part=part: old + part)
                assert seen == pytest.approx(float(difference(patched, prompt) - before), abs=WITHIN)
        assert row[-1] == pytest.approx(float(after - before), abs=WITHIN)
    assert np.abs(measured.values).max() > 0.05


def test_the_total_is_that_of_patching_and_all_features_and_the_error_are_the_activation(case):
    model, theirs, dictionary = case
    prompts = pairs(5)
    places = restored_by_patching(model, prompts, {"it": Site("resid_post", LAYER)}, "all")
    nodes = restored_by_features(model, prompts, dictionary, (0,), "all")
    np.testing.assert_allclose(nodes[TOTAL].array, places[TOTAL].array, atol=WITHIN)
    for prompt, whole in zip(prompts, places["it"].array, strict=True):
        _, parts, error = terms(theirs, dictionary, prompt, "all")
        with torch.no_grad():
            before = difference(with_stream(theirs, ids(prompt.corrupted)), prompt)
            change = parts.sum(0) + error
            made = with_stream(theirs, ids(prompt.corrupted), lambda old, change=change: old + change)
        assert float(difference(made, prompt) - before) == pytest.approx(whole, abs=WITHIN)


@pytest.mark.parametrize("where", WHERE, ids=str)
def test_attributions_are_autograds_of_hugging_faces_own_forward_pass(case, where):
    model, theirs, dictionary = case
    prompts = pairs(5)
    measured = feature_attribution(model, prompts, dictionary, positions=where)
    assert measured.columns == (*map(str, range(60)), ERROR, TOTAL)
    for row, prompt in zip(measured.values, prompts, strict=True):
        _, parts, error = terms(theirs, dictionary, prompt, where)
        amounts = torch.zeros(61, requires_grad=True)
        nodes = torch.cat([parts, error[None]])
        moved = with_stream(
            theirs,
            ids(prompt.corrupted),
            lambda old, nodes=nodes, amounts=amounts: old + torch.einsum("n,nbpw->bpw", amounts, nodes),
        )
        (wanted,) = torch.autograd.grad(difference(moved, prompt), amounts)
        np.testing.assert_allclose(row[:-1], wanted, atol=WITHIN)
    assert np.abs(measured.values[:, :60]).max() > 0.01


def test_attributions_are_the_slopes_of_exact_patching(case):
    """Finite differences: a small part of the way, both ways, through Hugging Face's own forward pass in float64."""
    model, theirs, dictionary = case
    prompts = pairs(4)
    measured = feature_attribution(model, prompts, dictionary, positions="all")
    exact = theirs.double()
    try:
        for row, prompt in zip(measured.values, prompts, strict=True):
            _, parts, error = terms(exact, _double(dictionary), prompt, "all")
            for number in (*np.argsort(-np.abs(row[:60]))[:3], 60):
                step = 4e-3 * (parts[number] if number < 60 else error)
                with torch.no_grad():
                    up, down = (
                        difference(with_stream(exact, ids(prompt.corrupted), lambda old, by=by: old + by), prompt)
                        for by in (step, -step)
                    )
                assert row[number] == pytest.approx(float(up - down) / 8e-3, rel=1e-2, abs=WITHIN)
    finally:
        theirs.float()


def _double(dictionary):
    mean, directions = dictionary.offset.double(), dictionary.directions.double()
    return type(dictionary)(dictionary.name, lambda x: dictionary.encode(x.float()).double(), directions, mean)


def test_features_and_error_add_up_to_what_the_whole_activation_does_to_first_order(case):
    model, theirs, dictionary = case
    prompts = pairs(5)
    measured = feature_attribution(model, prompts, dictionary, positions="all")
    for row, prompt in zip(measured.values, prompts, strict=True):
        clean, corrupted = (stream(theirs, ids(text)) for text in (prompt.clean, prompt.corrupted))
        way = torch.zeros((), requires_grad=True)
        made = with_stream(theirs, ids(prompt.corrupted), lambda old, way=way, by=clean - corrupted: old + way * by)
        (slope,) = torch.autograd.grad(difference(made, prompt), way)
        assert row[:-1].sum() == pytest.approx(float(slope), abs=5e-4)


def test_positions_at_which_both_runs_are_the_same_are_no_difference(case):
    model, _, dictionary = case
    with pytest.raises(
        NothingChanged, match=r"no feature of 60 random directions differs between clean and corrupted at"
    ):
        restored_by_features(model, pairs(3), dictionary, range(60), 0)


def test_rounding_of_two_runs_is_no_difference(case, monkeypatch):
    """BOS is the same in both runs, which a run of another shape would compute with other rounding."""
    model, _, dictionary = case
    ran = []

    def rounded(*arguments, **options):
        logits, kept = run(*arguments, **options)
        ran.append(len(kept))
        return logits, {name: activation * (1 + 1e-6 * len(ran)) for name, activation in kept.items()}

    monkeypatch.setattr(nodes, "run", rounded)
    with pytest.raises(NothingChanged, match=r"differs between clean and corrupted at position 0"):
        restored_by_features(model, pairs(3), dictionary, range(60), 0)
    assert sum(ran) >= 2


def test_what_has_no_second_run_or_no_features_is_refused(case):
    model, _, dictionary = case
    alone = PromptSet("alone", "discovery", (Prompt("w1 w2 w3", "w4", distractor="w5"),))
    for measure in (restored_by_features, feature_attribution):
        with pytest.raises(ValueError, match=r"has no corrupted text: there is no run to patch into"):
            measure(model, alone, dictionary, (1,))
        with pytest.raises(EmptySelection, match=r"no feature is named: there is nothing to patch"):
            measure(model, pairs(2), dictionary, ())
        with pytest.raises(ValueError, match=r"has no feature -1: it has 0 to 59"):
            measure(model, pairs(2), dictionary, (-1,))


def test_a_set_of_one_feature_is_that_feature_and_all_with_the_error_are_the_activation(case):
    model, _, dictionary = case
    prompts = pairs(5)
    alone = restored_by_features(model, prompts, dictionary, (3, 11), "all")
    places = restored_by_patching(model, prompts, {"it": Site("resid_post", LAYER)}, "all")
    sets = {"one": (3,), "other": (11,), "both": (3, 11)}
    found = restored_by_sets_of_features(model, prompts, dictionary, sets, "all")
    assert found.columns == ("one", "other", "both", ERROR, ACTIVATION, TOTAL)
    np.testing.assert_allclose(found[("one", "other", ERROR, TOTAL)].values, alone.values, atol=WITHIN)
    np.testing.assert_allclose(found[ACTIVATION].array, places["it"].array, atol=WITHIN)
    with pytest.raises(ValueError, match="a set is called 'error'"):
        restored_by_sets_of_features(model, prompts, dictionary, {ERROR: (3,)})


@pytest.mark.parametrize("where", WHERE, ids=str)
def test_features_of_a_set_are_patched_together_as_hugging_faces_own_hooks_do_it(case, where):
    model, theirs, dictionary = case
    prompts, which = pairs(4), [3, 11, 26, 40]
    found = restored_by_sets_of_features(model, prompts, dictionary, {"these": which}, where)["these"].array
    for seen, prompt in zip(found, prompts, strict=True):
        _, parts, _ = terms(theirs, dictionary, prompt, where)
        with torch.no_grad():
            before = difference(with_stream(theirs, ids(prompt.corrupted)), prompt)
            change = parts[which].sum(0)
            made = with_stream(theirs, ids(prompt.corrupted), lambda old, change=change: old + change)
        assert seen == pytest.approx(float(difference(made, prompt) - before), abs=WITHIN)


def test_agreement_is_scipys_rank_correlation_on_the_same_prompt_and_on_the_next(case):
    model, _, dictionary = case
    prompts, which = pairs(6), tuple(range(0, 60, 5))
    exact = restored_by_features(model, prompts, dictionary, which, "all").values[:, :-2]
    rough = feature_attribution(model, prompts, dictionary, which, "all").values[:, :-2]
    found = attribution_agreement(model, prompts, dictionary, which, "all")
    for row in range(len(prompts)):
        own, other = (spearmanr(rough[row], exact[at % len(prompts)])[0] for at in (row, row + 1))
        assert found.values[row] == pytest.approx(np.nan_to_num([own, other]), abs=1e-6)
    with pytest.raises(ValueError, match="2 features have no order"):
        attribution_agreement(model, prompts, dictionary, (1, 2))
