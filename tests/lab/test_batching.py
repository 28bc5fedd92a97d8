"""Prompts become token ids in batches of one length, and come back in their order."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.batching import batches, in_order
from mechlib.lab.models.loading import load
from mechlib.lab.models.tokens import tokens
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, CONTEXT, FAMILIES, PIECES, WORDS, digit_directory, directory, pairs


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("batches") / request.param, request.param)))


def one(*rows: Prompt) -> PromptSet:
    return PromptSet("made up", "confirmation", rows)


def ids(text: str) -> list[int]:
    return [BOS_ID, *map(WORDS.index, text.split())]


def test_every_prompt_is_in_one_batch_and_begins_with_bos(model):
    prompts = pairs(30)
    made = batches(model, prompts, size=4)
    assert sorted(row for batch in made for row in batch.rows) == list(range(30))
    for batch in made:
        assert len(batch.rows) <= 4
        for row, own in zip(batch.rows, batch.tokens.tolist(), strict=True):
            assert own == ids(prompts.rows[row].clean)


def test_values_come_back_in_the_order_of_the_prompts(model):
    prompts = pairs(30)
    made = batches(model, prompts, size=7)
    back = in_order(made, [torch.tensor(batch.rows).unsqueeze(1) for batch in made])
    assert np.array_equal(back[:, 0], np.arange(30))


def test_a_prompt_gives_the_same_logits_alone_and_among_others(model):
    prompts = pairs(20)

    def last(size):
        made = batches(model, prompts, size)
        return in_order(made, [model(batch.tokens)[:, -1] for batch in made])

    np.testing.assert_allclose(last(1), last(20), atol=2e-5)


def test_one_thread_and_two_give_the_same_logits(model):
    (batch, *_) = batches(model, pairs(20))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = model(batch.tokens)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(model(batch.tokens), two, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(
    "change",
    [{"clean": "w1  w2"}, {"clean": "w1\nw2", "labels": (("id", "2"),)}, {"corrupted": "w1  w4"}, {"glue": "  "}],
)
def test_rows_of_the_same_tokens_are_refused_whatever_their_spaces_and_labels(model, alone, change):
    row = Prompt("w1 w2", "w3", "w1 w4", "w5", labels=(("id", "1"),))
    with pytest.raises(ValueError, match=r"made up has .w1.+w2. twice, once as 'w1 w2': the same tokens \[0, 4, 5\]"):
        batches(model, one(row, replace(row, **change)), alone=alone)


def test_one_text_with_two_corruptions_is_two_rows_and_alone_it_is_one(model):
    rows = one(Prompt("w1 w2", "w3", "w1 w4", "w5"), Prompt("w1 w2", "w3", "w1 w6", "w5"))
    assert len(batches(model, rows)) == 1
    with pytest.raises(ValueError, match="repeats would shrink the interval for free, take one of them"):
        batches(model, rows, alone=True)


def test_clean_and_corrupted_of_different_length_are_refused_with_both_token_lists(model):
    with pytest.raises(ValueError, match=r"'w1 w2' has 3 tokens \[0, 4, 5\], 'w1' has 2 \[0, 4\]"):
        batches(model, one(Prompt("w1 w2", "w3", "w1", "w4")))


def test_what_answer_and_distractor_share_is_put_behind_both_texts(model):
    (batch,) = batches(model, one(Prompt("w1 w2", "w3 w5", "w1 w4", "w3 w6 w7")))
    assert batch.tokens.tolist() == [ids("w1 w2 w3")]
    assert batch.corrupted.tolist() == [ids("w1 w4 w3")]
    assert (batch.answer.tolist(), batch.distractor.tolist()) == ([WORDS.index("w5")], [WORDS.index("w6")])
    assert batch.answers == (tuple(map(WORDS.index, ("w3", "w5"))),), "the whole answer stays known"
    assert batch.shared == 1


def test_prompts_that_share_more_stand_in_a_batch_of_their_own(model):
    rows = (Prompt("w1 w2", "w3 w5", "w1 w4", "w3 w6"), Prompt("w1 w2 w7", "w5", "w1 w4 w7", "w6"))
    made = batches(model, one(*rows))
    assert sorted((batch.shared, batch.rows, batch.tokens.shape[1]) for batch in made) == [(0, (1,), 4), (1, (0,), 4)]


@pytest.mark.parametrize(("answer", "distractor"), [("w3", "w3 w6"), ("w3 w6", "w3"), ("w3 w6", "w3 w6")])
def test_answer_and_distractor_that_no_token_tells_apart_are_refused_with_their_ids(model, answer, distractor):
    told = f"{answer!r} {ids(answer)[1:]} and distractor {distractor!r} {ids(distractor)[1:]}"
    with pytest.raises(ValueError, match=f"{re.escape(told)} of 'w1 w2' begin alike"):
        batches(model, one(Prompt("w1 w2", answer, "w1 w4", distractor)))


def test_alone_a_prompt_is_its_clean_text_whatever_its_twin(model):
    (batch,) = batches(model, one(Prompt("w1 w2", "w3 w5", "w1", "w3")), alone=True)
    assert batch.tokens.tolist() == [ids("w1 w2")]
    assert batch.corrupted is None
    assert (batch.answers, batch.shared) == ((tuple(ids("w3 w5")[1:]),), 0)


def test_an_answer_stands_behind_the_glue_of_its_prompt(tmp_path):
    digits = load(str(digit_directory(tmp_path / "digits", "qwen2")))
    rows = (Prompt("oh 2+5=", "7", glue=""), Prompt("oh 2+5=", "7"))
    answers = {prompt.glue: batch.answers for batch in batches(digits, one(*rows), 1) for prompt in batch.prompts}
    assert answers == {"": ((PIECES.index("7"),),), " ": ((PIECES.index("Ġ"), PIECES.index("7")),)}


def test_an_answer_that_melts_into_the_text_is_refused(model):
    with pytest.raises(ValueError, match="does not know 'w2w3' in 'w1 w2w3'"):
        batches(model, one(Prompt("w1 w2", "w3", glue="")))


@pytest.mark.parametrize("field", ["clean", "answer", "corrupted", "distractor"])
def test_words_that_the_vocabulary_lacks_are_named(model, field):
    row = {"clean": "w1 w2", "answer": "w3", "corrupted": "w1 w4", "distractor": "w5"}
    row[field] = "w1 zebra" if field in ("clean", "corrupted") else "zebra"
    with pytest.raises(ValueError, match="does not know 'zebra'"):
        batches(model, one(Prompt(**row)))


def test_a_prompt_longer_than_the_context_is_refused(model):
    assert len(tokens(model, " ".join(["w1"] * (CONTEXT - 1)))) == CONTEXT
    with pytest.raises(ValueError, match=f"has {CONTEXT + 1} tokens, .* reads {CONTEXT}: shorten it"):
        tokens(model, " ".join(["w1"] * CONTEXT))


def test_a_metric_that_needs_a_distractor_names_the_prompt_without_one(model):
    (batch,) = batches(model, one(Prompt("w1 w2", "w3")))
    assert batch.answer.tolist() == [WORDS.index("w3")]
    with pytest.raises(ValueError, match=r"'w1 w2'.* has no distractor"):
        _ = batch.distractor
