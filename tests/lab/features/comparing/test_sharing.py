"""Features that are the same in another dictionary are found again, in any order, and strangers are not."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from mechlib.lab.features.comparing.baselines import activations_on
from mechlib.lab.features.comparing.sharing import activity_shared, matched, seeds_shared
from mechlib.lab.models.loading import load
from tests.helpers.tiny import REFUSED, directory
from tests.lab.features.comparing.test_baselines import gpt2 as gpt2
from tests.lab.features.comparing.test_baselines import made, written
from tests.lab.features.hooked import HOOK


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("compared") / "two", "gpt2", seed=1)))


def shuffled(dictionary, seed: int = 0, lost: int = 0):
    """The same features in another order, the last `lost` of them turned around."""
    order = torch.randperm(dictionary.features, generator=torch.Generator().manual_seed(seed))
    signs = torch.ones(dictionary.features, 1)
    signs[dictionary.features - lost :] = -1
    encode = dictionary.encode
    return replace(dictionary, encode=lambda x: encode(x)[..., order], directions=signs * dictionary.directions[order])


def test_matches_add_up_to_the_most_of_all_that_are_one_to_one():
    alike = np.random.default_rng(0).random((5, 5))
    partner, value = matched(alike)
    assert value.sum() == pytest.approx(max(alike[range(5), list(way)].sum() for way in permutations(range(5))))
    assert sorted(partner) == list(range(5))
    partner, value = matched(np.array([[0.2], [0.9], [0.5]]))
    assert list(partner) == [-1, 0, -1] and list(value) == [0, 0.9, 0]


def test_the_same_features_in_another_order_are_all_shared_and_turned_ones_are_not(gpt2):
    texts = written(40, 5)
    own = made(gpt2, texts)
    live = int((own.active(torch.from_numpy(activations_on(gpt2, texts, HOOK))) != 0).any(0).sum())
    found = seeds_shared(gpt2, [own, shuffled(own), shuffled(own, 1, lost=60)], texts)
    assert found.units == ("0 and 1", "0 and 2", "1 and 2") and live > 30
    assert found["share"].array == pytest.approx([1, 0, 0], abs=0.02)
    assert found["cosine"].array[0] == pytest.approx(1)
    assert found["random"].array.max() < 0.2


def test_strangers_share_what_random_directions_do(gpt2):
    texts = written(40, 5)
    found = seeds_shared(gpt2, [made(gpt2, texts, seed) for seed in range(3)], texts)
    assert np.abs(found["share"].array - found["random"].array).max() < 0.1


def by_hand(model, own, theirs, prompts, chosen_on):
    """Match and count, feature by feature and token by token, with numpy's own correlations."""

    def both(texts):
        rows = torch.from_numpy(activations_on(model, texts, HOOK))
        return own.active(rows).double().numpy(), theirs.active(rows).double().numpy()

    a, b = both(chosen_on)
    partner = {}
    for one in range(a.shape[1]):
        for two in range(b.shape[1]):
            if (
                min((a[:, one] != 0).sum(), (b[:, two] != 0).sum()) >= 10
                and np.corrcoef(a[:, one], b[:, two])[0, 1] > 0.999
            ):
                partner[one] = two
    a, b = both(prompts)
    place, rows = 0, []
    for prompt in prompts:
        n = len(prompt.clean.split())
        x, y = a[place : place + n] != 0, b[place : place + n] != 0
        rows.append(
            (x.sum() / n, x[:, list(partner)].sum() / n, sum((x[:, i] & y[:, j]).sum() for i, j in partner.items()) / n)
        )
        place += n
    return np.array(rows)


def test_what_is_active_together_is_counted_by_text(gpt2):
    chosen_on, prompts = written(60, 6, "discovery"), written(12, 7)
    own = made(gpt2, chosen_on)
    theirs = shuffled(own)
    found = activity_shared(gpt2, own, gpt2, theirs, prompts, chosen_on)
    np.testing.assert_allclose(found.values, by_hand(gpt2, own, theirs, prompts, chosen_on))
    active, has, together = found.values.mean(axis=0)
    assert together == has and has > 0.8 * active


def test_a_match_that_is_silent_on_other_texts_is_never_active_together(gpt2):
    chosen_on, prompts = written(60, 6, "discovery"), written(12, 7)
    own, tokens = made(gpt2, chosen_on), sum(len(row.clean.split()) for row in chosen_on)
    silent = replace(own, encode=lambda x: own.encode(x) * (len(x) == tokens))
    active, has, together = activity_shared(gpt2, own, gpt2, silent, prompts, chosen_on).values.sum(axis=0)
    assert has > 0.8 * active and together == 0


def test_exchanged_tokens_leave_no_match_and_the_same_word_what_the_word_says(gpt2):
    chosen_on, prompts = written(150, 6, "discovery"), written(20, 7)
    own = made(gpt2, chosen_on)
    by_word = replace(own, encode=lambda x: (x @ own.directions.T).relu())  # dense: hangs on more than the word
    for permuted, dictionary in (("tokens", own), ("same word", by_word)):
        free = activity_shared(gpt2, dictionary, gpt2, dictionary, prompts, chosen_on)["matched"].array.sum()
        left = activity_shared(gpt2, dictionary, gpt2, dictionary, prompts, chosen_on, permuted)["matched"].array.sum()
        assert left < 0.9 * free and (permuted != "tokens" or left == 0)


def test_what_only_the_word_decides_is_shared_where_the_same_words_are_exchanged(gpt2):
    """At the embeddings each word has one activation but for its position, which is taken out here by a wide margin."""
    chosen_on, prompts = written(150, 6, "discovery"), written(20, 7)
    words = {id_: n for n, id_ in enumerate(range(40))}
    own = made(gpt2, chosen_on)
    seen = iter(())

    def encode(x):
        return torch.nn.functional.one_hot(next(seen), len(words)).float()

    from mechlib.lab.features.comparing.metrics import words_of

    def ids(texts):
        return torch.from_numpy(np.concatenate(words_of(gpt2, texts)))

    one_hot = replace(own, encode=encode, directions=torch.zeros(len(words), own.width))
    for permuted, wanted in (("same word", 1.0), ("tokens", 0.0)):
        seen = iter([ids(chosen_on), ids(chosen_on), ids(prompts), ids(prompts)])
        found = activity_shared(gpt2, one_hot, gpt2, one_hot, prompts, chosen_on, permuted)
        assert found["together"].array.sum() / found["active"].array.sum() == pytest.approx(wanted, abs=0.02)


def test_two_models_are_matched_over_the_same_tokens(gpt2, another):
    chosen_on, prompts = written(60, 6, "discovery"), written(12, 7)
    found = activity_shared(gpt2, made(gpt2, chosen_on), another, made(another, chosen_on), prompts, chosen_on)
    active, has, together = found.values.mean(axis=0)
    assert active == pytest.approx(4, abs=0.5) and together <= has < active


def test_texts_that_choose_are_not_judged_and_what_cannot_be_shared_is_refused(gpt2):
    texts = written(30, 6)
    own = made(gpt2, texts)
    with pytest.raises(ValueError, match=r"matches would be judged on texts that chose them"):
        activity_shared(gpt2, own, gpt2, own, texts, texts.take(3))
    with pytest.raises(REFUSED):
        activity_shared(gpt2, own, gpt2, own, texts, written(9, 8, "discovery"), "places")
    with pytest.raises(ValueError, match=r"1 dictionary: features are shared by two"):
        seeds_shared(gpt2, [own], texts)
    with pytest.raises(ValueError, match=r"take those of one activation"):
        seeds_shared(gpt2, [own, replace(own, hook="blocks.1.hook_resid_post")], texts)
