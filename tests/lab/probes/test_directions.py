"""Directions and row spaces: what they are by hand, and what removing and adding them does where all is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mechlib.lab.batching import batches
from mechlib.lab.hooks import NothingChanged, run
from mechlib.lab.models.loading import load
from mechlib.lab.probes.changes import Change
from mechlib.lab.probes.directions import (
    Direction,
    _addition,
    mean_differences,
    probe_subspaces,
    projections,
    under_addition,
    under_removal,
)
from mechlib.lab.probes.streams import streams
from mechlib.lab.probes.subspaces import principal_cosines, random_subspaces, whole_spaces
from mechlib.parts.chosen import DoubleDipping
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import directory, pairs
from tests.lab.probes.planted import KNOWN, WIDTH, corners, network, said

PROMPTS = said(60, "confirmation")


def of_two(n: int, split="discovery", seed: int = 0) -> PromptSet:
    """Texts that say w1 or w2, and not w3."""
    rows = [one for one in said(3 * n, split, seed) if one.answer != "w3"][:n]
    return PromptSet("of two", split, tuple(rows))


@pytest.fixture(scope="module")
def planted():
    return network()


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("directions") / "one", "gpt2")))


def halves(prompts: PromptSet) -> PromptSet:
    rows = [
        Prompt(r.clean, r.answer, r.corrupted, r.distractor, labels=(("half", "ab"[n % 2]),))
        for n, r in enumerate(prompts)
    ]
    return PromptSet("halves", prompts.split, tuple(rows))


# --- directions ---------------------------------------------------------------------------------------------------


def test_a_difference_of_means_leads_from_one_class_to_the_other(gpt2):
    prompts = halves(pairs(20, "discovery"))
    read, first = streams(gpt2, batches(gpt2, prompts)), np.array([n % 2 == 0 for n in range(20)])
    for toward, sign in (("", 1), ("b", 1), ("a", -1)):
        for name, one in mean_differences(gpt2, prompts, "half", toward=toward).items():
            wanted = sign * (read[name][~first].mean(0) - read[name][first].mean(0))
            np.testing.assert_allclose(one.vector, wanted, atol=1e-5)
            assert one.chosen_on == prompts.members


def test_projections_put_the_classes_one_length_apart_about_zero(gpt2):
    prompts = halves(pairs(20, "discovery"))
    found = projections(gpt2, prompts, mean_differences(gpt2, prompts, "half"))
    for column in found.columns[1:]:  # the last word is another in each text, but embeddings may be near
        values = found[column].array
        assert values[1::2].mean() - values[::2].mean() == pytest.approx(1, abs=1e-4)
        assert values.mean() == pytest.approx(0, abs=1e-4)


def test_the_planted_direction_is_the_side_of_the_triangle(planted):
    (one,) = mean_differences(planted, of_two(200), "value", "{value}", layers="embeddings").values()
    wanted = torch.zeros(WIDTH)
    wanted[:2] = 4 * (corners()[1] - corners()[0])
    torch.testing.assert_close(one.vector, wanted, rtol=0, atol=1e-4)


def test_only_targets_of_two_classes_have_a_difference(planted):
    with pytest.raises(ValueError, match="of 'value' towards 'w3': it has 3 classes, w1, w2, w3; take a target of two"):
        mean_differences(planted, said(30, "discovery"), "value")
    with pytest.raises(ValueError, match="towards 'w9': it has 2 classes, w1, w2"):
        mean_differences(planted, of_two(30), "value", toward="w9")


def test_a_part_within_a_subspace_is_its_projection_there_and_nowhere_else(planted):
    one = Direction(1, "end", torch.arange(16.0), torch.zeros(16))
    within = one.within(KNOWN["after layer 0"]).vector
    assert within.tolist() == [0] * 8 + [8, 9] + [0] * 6
    with pytest.raises(ValueError, match="behind 1 layers at 'end' and a subspace behind 2 at 'end'"):
        one.within(KNOWN["after layer 1"])


# --- row spaces ---------------------------------------------------------------------------------------------------


def test_the_row_space_of_a_planted_variable_is_its_coordinates(planted):
    found = probe_subspaces(planted, said(300, "discovery"), "value", layers=("after layer 0", "after layer 1"))
    for name, one in found.items():
        assert one.k == 2
        assert principal_cosines(one, KNOWN[name]).min() > 0.97
        (drawn,) = random_subspaces({name: one}).values()
        assert principal_cosines(drawn, KNOWN[name]).min() < 0.9


def test_of_two_classes_it_is_the_weight_of_the_probe_in_the_streams_units(gpt2):
    prompts = halves(pairs(50, "discovery"))
    (one,) = probe_subspaces(gpt2, prompts, "half", layers="after layer 1").values()
    x = streams(gpt2, batches(gpt2, prompts))["after layer 1"]
    y = [n % 2 for n in range(50)]
    scaler = StandardScaler().fit(x)
    cosines = []
    for strength in (1e-3, 1e-2, 1e-1, 1.0):
        fit = LogisticRegression(C=strength, max_iter=5000).fit(scaler.transform(x), y)
        weight = fit.coef_[0] / scaler.scale_
        cosines.append(abs(float(weight @ one.basis[:, 0].double().numpy())) / np.linalg.norm(weight))
    assert max(cosines) > 1 - 1e-4


def test_a_row_space_lies_in_the_span_of_the_activations(gpt2):
    prompts = halves(pairs(12, "discovery"))
    (one,) = probe_subspaces(gpt2, prompts, "half", layers="after layer 1").values()
    assert one.span.shape[1] == 11
    torch.testing.assert_close(one.span @ (one.span.T @ one.basis), one.basis, rtol=0, atol=1e-5)


# --- what they do -------------------------------------------------------------------------------------------------


def test_removing_the_known_coordinates_removes_the_answer_and_a_random_change_as_long_does_not(planted):
    discovery = said(300, "discovery")
    subspaces = probe_subspaces(planted, discovery, "value", layers=("after layer 0", "after layer 1"))
    found = under_removal(planted, PROMPTS, subspaces)
    assert found.columns == (*subspaces, *(f"{name}, random" for name in subspaces), "intact")
    for name in subspaces:
        assert abs(found[name].array).mean() < 0.15 * found["intact"].array.mean()
        assert found[f"{name}, random"].array.mean() > 0.7 * found["intact"].array.mean()


def test_removal_puts_the_centre_there_and_keeps_the_rest(gpt2):
    prompts = halves(pairs(8, "discovery"))
    subspaces = probe_subspaces(gpt2, halves(pairs(40, "discovery", seed=3)), "half")
    found = under_removal(gpt2, prompts, subspaces)
    for name, one in subspaces.items():
        hook = "blocks.0.hook_resid_pre" if one.depth == 0 else f"blocks.{one.depth - 1}.hook_resid_post"
        keep = torch.eye(32) - one.basis @ one.basis.T
        for batch in batches(gpt2, prompts, size=1):

            def put(old, keep=keep, one=one):
                made = old.clone()
                made[0, -1] = keep @ old[0, -1] + one.basis @ (one.basis.T @ one.centre)
                return made

            logits = run(gpt2, batch.tokens, {hook: put})[0][0, -1]
            wanted = float(logits[batch.answer] - logits[batch.distractor])
            assert found[name].array[batch.rows[0]] == pytest.approx(wanted, abs=1e-4)


def test_adding_the_difference_turns_one_answer_into_the_other(planted):
    """At the value's own word a dose of 1 makes the other word of it, and half of it leaves the two alike."""
    (one,) = mean_differences(planted, of_two(200), "value", "{value}", layers="embeddings").values()
    prompts = [
        Prompt(r.clean, "w2", labels=r.labels, distractor="w1") for r in of_two(60, "confirmation") if r.answer == "w1"
    ]
    firsts = PromptSet("firsts", "confirmation", tuple(prompts))
    intact = under_addition(planted, firsts, {"it": one}, dose=1)["intact"].array
    doses = {dose: under_addition(planted, firsts, {"it": one}, dose=dose)["it"].array for dose in (0.5, 1.0, 2.0)}
    np.testing.assert_allclose(doses[1.0], -intact, rtol=1e-3)
    np.testing.assert_allclose(doses[0.5], 0, atol=1e-2)
    np.testing.assert_allclose(doses[2.0], -3 * intact, rtol=1e-3)
    beside = under_addition(planted, firsts, {"it": replace(one, span=None)})
    changed = [abs(beside[name].array - intact).mean() for name in ("it", "it, random")]
    assert changed[0] > 3 * changed[1] > 0
    answered = under_addition(planted, firsts, {"it": one}, what="answered")
    assert answered["it"].array.all() and not answered["intact"].array.any() and answered.yes_no


def test_the_null_space_of_what_is_read_does_nothing(planted):
    one = Direction(1, "end", torch.arange(1.0, 17.0), torch.zeros(16))
    null = one.within(whole_spaces(planted)["after layer 0"])
    rest = Direction(1, "end", null.vector - one.within(KNOWN["after layer 0"]).vector, torch.zeros(16))
    found = under_addition(planted, PROMPTS, {"row": one.within(KNOWN["after layer 0"]), "null": rest, "all": one})
    np.testing.assert_allclose(found["null"].array, found["intact"].array, atol=1e-4)
    np.testing.assert_allclose(found["row"].array, found["all"].array, atol=1e-4)
    assert abs(found["row"].array - found["intact"].array).min() > 1


def test_random_changes_stay_in_the_span_of_the_activations(planted):
    """Behind layer 0 at the end the first eight coordinates hold nothing, and no random change puts anything there."""
    (one,) = mean_differences(planted, of_two(100), "value", layers="after layer 0").values()
    assert one.span.shape[1] <= 8 and one.span[:8].abs().max() < 1e-5
    own = torch.randn(60, 16)
    new = Change(one, _addition(one, 1.0), 0).new(own, own, PROMPTS.rows)
    torch.testing.assert_close((new - own)[:, :8], torch.zeros(60, 8), rtol=0, atol=1e-4)
    torch.testing.assert_close((new - own).norm(dim=1), one.vector.norm().expand(60))
    (note,) = under_addition(planted, PROMPTS, {"it": one}).notes
    assert note == ("it, random", f"drawn in the {one.span.shape[1]} dimensions that the activations span")


def test_a_dose_of_nothing_is_refused_as_no_result(planted):
    found = mean_differences(planted, of_two(60), "value", layers="after layer 0")
    with pytest.raises(NothingChanged):
        under_addition(planted, PROMPTS, found, dose=0)


def test_what_was_made_from_no_prompts_has_no_centre(planted):
    with pytest.raises(ValueError, match="after layer 0 was made from no prompts and has no centre to put in"):
        under_removal(planted, PROMPTS, {"after layer 0": whole_spaces(planted)["after layer 0"]})
    with pytest.raises(ValueError, match="no directions: give at least one"):
        projections(planted, PROMPTS, {})


def test_directions_are_not_judged_on_the_prompts_that_made_them(planted):
    found = mean_differences(planted, discovery := of_two(60), "value", layers="after layer 0")
    same = PromptSet("same", "confirmation", discovery.rows)
    with pytest.raises(DoubleDipping, match="60 of 60 prompts of same made what is judged on them"):
        under_addition(planted, same, found)
    with pytest.raises(DoubleDipping):
        under_removal(planted, same, {name: one.subspace for name, one in found.items()})
