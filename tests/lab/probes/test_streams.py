"""What is read at a place: Hugging Face's hidden states there, and bags of the tokens before it."""

import numpy as np
import pytest
import torch

from mechlib.lab.attribution.logit_lens import depths
from mechlib.lab.batching import batches
from mechlib.lab.models.loading import load
from mechlib.lab.probes.streams import bags, positions, streams, tokens_at
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, FAMILIES, WORDS, directory, pairs, random_model

ROWS = (
    Prompt("w1 w2 w3 w2", "w9", "w1 w4 w3 w2", "w8", labels=(("a", "w3"), ("b", "w2"))),
    Prompt("w5 w6 w3 w7 w6 w3 w5", "w9", labels=(("a", "w5"), ("b", "w6"))),
)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("streams") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("streams") / "one", "gpt2")))


def one(model, prompt: Prompt, at) -> int:
    (batch,) = batches(model, PromptSet("one", "discovery", (prompt,)))
    return int(positions(batch, at)[0])


@pytest.mark.parametrize(
    ("row", "at", "wanted"),
    [
        (0, "end", 4), (1, "end", 7), (0, -1, 4), (0, -2, 3), (0, 0, 0), (0, "w3", 3), (0, "{a}", 3),
        (0, "first w2", 2), (0, "last w2", 4), (0, "first {b}", 2), (1, "last {b}", 5), (1, "first w3", 3),
    ],
)  # fmt: skip
def test_a_place_is_where_the_text_says_it_behind_bos(gpt2, row, at, wanted):
    assert one(gpt2, ROWS[row], at) == wanted


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("w2", r"'w2' is said 2 times in 'w1 w2 w3 w2': ask for 'first w2', 'last w2'"),
        ("{b}", r"ask for 'first \{b\}', 'last \{b\}'"),
        ("w11", "'w11' is not said in 'w1 w2 w3 w2': nothing can be read at 'w11'"),
        ("{c}", "has no 'c': choose one of a, answer, b, distractor"),
        (9, "no position 9 in a run of 5 tokens"),
    ],
)
def test_a_place_that_the_text_does_not_have_is_refused_in_one_line(gpt2, at, said):
    with pytest.raises(ValueError, match=said) as raised:
        one(gpt2, ROWS[0], at)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["clean", "corrupted"])
def test_every_depth_is_hugging_faces_hidden_state_at_the_place(model, request, text):
    prompts, family = pairs(6), request.node.callspec.params["model"]
    read = streams(model, batches(model, prompts), -2, text=text)
    assert tuple(read) == depths(model)
    for row, prompt in enumerate(prompts):
        ids = torch.tensor([[BOS_ID, *map(WORDS.index, getattr(prompt, text).split())]])
        with torch.no_grad():
            states = random_model(family)(ids, output_hidden_states=True).hidden_states
        for name, state in list(zip(read, states, strict=True))[:-1]:  # the last one has been normed
            np.testing.assert_allclose(read[name][row], state[0, -2], atol=2e-5)


def test_a_subset_of_depths_is_what_all_of_them_give(gpt2):
    made = batches(gpt2, pairs(4))
    np.testing.assert_array_equal(
        streams(gpt2, made, layers="after layer 0")["after layer 0"], streams(gpt2, made)["after layer 0"]
    )
    with pytest.raises(ValueError, match="has no depth 'after layer 7': choose among embeddings, after layer 0 to"):
        streams(gpt2, made, layers=("after layer 7",))


def test_bags_add_up_the_tokens_up_to_the_place_whatever_their_order(gpt2):
    prompts = PromptSet("two", "discovery", ROWS)
    found = bags(gpt2, batches(gpt2, prompts), "first {a}")
    for row, words in enumerate([["w1", "w2", "w3"], ["w5"]]):
        ids = [BOS_ID, *map(WORDS.index, words)]
        np.testing.assert_allclose(found["embeddings"][row], gpt2.W_E[ids].sum(0), atol=1e-5)
        assert found["tokens"][row].sum() == len(ids)
    assert found["tokens"].shape == (2, 5), "a column for each token that is seen"
    back = PromptSet("back", "discovery", (Prompt("w3 w2 w1 w2", "w9"),))
    own = PromptSet("own", "discovery", ROWS[:1])
    same = [bags(gpt2, batches(gpt2, prompts))["embeddings"] for prompts in (own, back)]
    np.testing.assert_allclose(*same, atol=1e-5)


def test_the_word_type_is_the_token_at_the_place(gpt2):
    prompts = PromptSet("two", "discovery", ROWS)
    assert tokens_at(batches(gpt2, prompts), "first {a}") == (str(WORDS.index("w3")), str(WORDS.index("w5")))


def test_an_activation_that_is_nan_is_refused_with_the_prompt(tmp_path):
    model = load(str(directory(tmp_path / "damaged", "gpt2")))
    with torch.no_grad():
        model.blocks[1].mlp.original_component.c_proj.bias[3] = float("nan")
    with pytest.raises(ValueError, match=r"computes NaN or infinity for prompt \w+ \('"):
        streams(model, batches(model, pairs(3)))


def test_a_second_text_that_is_not_there_is_refused(gpt2):
    with pytest.raises(ValueError, match="has no corrupted text: there is no second run to read"):
        streams(gpt2, batches(gpt2, PromptSet("one", "discovery", ROWS[1:])), text="corrupted")
