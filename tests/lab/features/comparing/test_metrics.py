"""The usual metrics side by side, against what the columns of scores say, and purity against a loop."""

import numpy as np
import pytest

from mechlib.lab.features.comparing.metrics import METRICS, purity, usual_metrics, words_of
from mechlib.lab.features.evaluation import dictionary_scores_on_prompts
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import WORDS
from tests.lab.features.comparing.test_baselines import gpt2 as gpt2
from tests.lab.features.comparing.test_baselines import made, written


def test_metrics_are_shares_of_what_could_be_and_the_first_is_ahead_of_the_best_other(gpt2):
    texts = written(30, 4)
    several = {"one": made(gpt2, texts, features=90), "two": made(gpt2, texts, 1), "three": made(gpt2, texts, 2, 40)}
    found = usual_metrics(gpt2, several, texts)
    assert found.units == METRICS and found.columns == (*several, "ahead")
    for name, dictionary in several.items():
        scores = dictionary_scores_on_prompts(gpt2, dictionary, texts)
        mean = {column: float(scores[column].array.mean()) for column in scores.columns}
        wanted = {
            "sparse": 1 - mean["L0"] / dictionary.features,
            "explained": 1 - mean["squared error"] / mean["squared deviation"],
            "cross-entropy": (mean["loss mean"] - mean["loss reconstructed"]) / (mean["loss mean"] - mean["loss"]),
            "KL": 1 - mean["KL"] / (mean["loss mean"] - mean["loss"]),
            "alive": 1,
        }
        got = dict(zip(METRICS, found[name].array, strict=True))
        assert {key: got[key] for key in wanted} == pytest.approx(wanted, rel=1e-6)
    rest = found[("two", "three")].values.max(axis=1)
    np.testing.assert_allclose(found["ahead"].array, found["one"].array - rest)


def test_words_are_ids_behind_bos_text_after_text(gpt2):
    prompts = PromptSet("two", "confirmation", (Prompt("w3 w1 w2", ""), Prompt("w5 w5", "")))
    assert [list(ids) for ids in words_of(gpt2, prompts)] == [
        [WORDS.index(word) for word in text.split()] for text in ("w3 w1 w2", "w5 w5")
    ]


def test_purity_is_the_share_of_the_commonest_word_where_a_feature_is_strongest():
    words = np.array([0] * 20 + [1] * 20 + [2] * 20)
    of_one_word = np.where(words == 1, 1.0 + np.arange(60) / 100, 0.0)
    of_any = np.zeros(60)
    of_any[[0, 1, 2, 3, 20, 21, 22, 40, 41, 42, *range(4, 14)]] = [*[9.0] * 10, *[1.0] * 10]  # ten strongest: 4, 3, 3
    rare = np.where(np.arange(60) < 19, 1.0, 0.0)  # of one word, and on too few tokens to be told
    assert purity(np.stack([of_one_word], 1), words) == 1
    assert purity(np.stack([of_any], 1), words) == pytest.approx(0.4)
    assert purity(np.stack([of_one_word, of_any, rare], 1), words) == pytest.approx(0.7)
    assert purity(np.zeros((60, 3)), words) == 0


def test_one_dictionary_is_ahead_of_none(gpt2):
    with pytest.raises(ValueError, match=r"1 dictionary: to be ahead takes at least two"):
        usual_metrics(gpt2, {"one": made(gpt2, written(9, 4))}, written(9, 4))
