"""Features that tell two sets apart, by scikit-learn's AUROC over Hugging Face's own hooks; chosen, and remembered."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from mechlib.lab.features.browsing.contrast import contrasting
from mechlib.lab.features.dictionaries import random_dictionary
from mechlib.lab.features.evaluation import activations_at
from mechlib.parts.chosen import DoubleDipping, chosen_on
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, REFUSED, WORDS
from tests.lab.features.hooked import HOOK, both, sequences, stream


def texts(name: str, first: int, split: str = "discovery") -> PromptSet:
    drawn = sequences(12, 9, seed=first)[:, 1:]
    rows = []
    for number, row in enumerate(drawn):
        ids = [3 + first + int(one) % 15 for one in row[: 3 + number % 5]]
        rows.append(Prompt(" ".join(WORDS[one] for one in ids), ""))
    return PromptSet(name, split, tuple(dict.fromkeys(rows)))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    model, theirs = both(tmp_path_factory.mktemp("contrasted") / "llama", "llama")
    return model, theirs, random_dictionary(activations_at(model, sequences(30, 9), HOOK), 50, k=4, hook=HOOK)


def by_hand(theirs, dictionary, prompts, where) -> torch.Tensor:
    found = []
    for prompt in prompts:
        ids = torch.tensor([[BOS_ID, *map(WORDS.index, prompt.clean.split())]])
        active = dictionary.encode(stream(theirs, ids)[0])[1:]
        found.append(active.amax(0) if where == "any" else active[-1])
    return torch.stack(found)


@pytest.mark.parametrize("where", ["any", "last"])
def test_it_is_scikit_learns_auroc_the_best_first(case, where):
    model, theirs, dictionary = case
    one, other = texts("with", 0), texts("without", 15)
    found = contrasting(model, dictionary, one, other, where)
    first, second = (by_hand(theirs, dictionary, prompts, where) for prompts in (one, other))
    both_sets = torch.cat([first, second]).numpy()
    truth = [1] * len(first) + [0] * len(second)
    assert {entry["feature"] for entry in found} == set(both_sets.any(0).nonzero()[0].tolist())
    for entry in found:
        assert entry["auroc"] == pytest.approx(roc_auc_score(truth, both_sets[:, entry["feature"]].round(4)), abs=0.01)
        assert entry["with"] == pytest.approx(float((first[:, entry["feature"]] > 0).float().mean()))
        assert entry["without"] == pytest.approx(float((second[:, entry["feature"]] > 0).float().mean()))
    apart = [abs(entry["auroc"] - 0.5) for entry in found]
    assert apart == sorted(apart, reverse=True) and apart[0] > 0.2 > apart[-1]


def test_what_is_chosen_remembers_on_which_prompts(case):
    model, _, dictionary = case
    one, other = texts("with", 0), texts("without", 15)
    best = contrasting(model, dictionary, one, other)[0]["feature"]
    assert chosen_on(best) == one.members | other.members


def test_prompts_for_confirmation_and_other_places_are_refused(case):
    model, _, dictionary = case
    one, other = texts("with", 0), texts("without", 15, "confirmation")
    for pair in ((one, other), (other, one)):
        with pytest.raises(DoubleDipping, match="not for discovery"):
            contrasting(model, dictionary, *pair)
    with pytest.raises(REFUSED):
        contrasting(model, dictionary, one, one, "first")
