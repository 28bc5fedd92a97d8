"""Metrics are per prompt, and equal their definitions."""

import math

import pytest
import torch

from mechlib.lab.behaviour import answer_log_probs, answers_correctly, logit_differences, repeat_loss
from mechlib.lab.metrics import answer_log_prob, correct, logit_diff, loss_per_token, sequence_loss
from mechlib.lab.models.loading import load
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, WORDS, directory, pairs, repeats


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("metrics") / "m", "gpt2")))


ANSWER, DISTRACTOR = torch.tensor([0, 3, 6]), torch.tensor([1, 2, 5])


def test_the_logit_difference_reads_the_last_position_and_is_positive_where_the_answer_is_preferred():
    logits = torch.zeros(2, 3, 4)
    logits[0, -1, 1], logits[1, -1, 2], logits[:, 0, 3] = 2.0, 5.0, 100.0
    assert logit_diff(logits, torch.tensor([1, 1]), torch.tensor([2, 2])).tolist() == [2.0, -5.0]


def test_a_constant_added_to_all_logits_cancels(logits):
    torch.testing.assert_close(logit_diff(logits + 3, ANSWER, DISTRACTOR), logit_diff(logits, ANSWER, DISTRACTOR))


def test_swapping_answer_and_distractor_changes_the_sign(logits):
    torch.testing.assert_close(logit_diff(logits, ANSWER, DISTRACTOR), -logit_diff(logits, DISTRACTOR, ANSWER))


def test_probabilities_of_all_answers_of_one_token_sum_to_one(logits):
    each = [answer_log_prob(logits, torch.full((3, 1), token)).exp() for token in range(7)]
    torch.testing.assert_close(sum(each), torch.ones(3))


def test_an_answer_of_several_tokens_multiplies_their_probabilities(logits):
    answer = torch.tensor([[1, 2], [3, 4], [5, 6]])
    wanted = [
        math.log(logits[row, -2].softmax(-1)[a]) + math.log(logits[row, -1].softmax(-1)[b])
        for row, (a, b) in enumerate(answer.tolist())
    ]
    assert answer_log_prob(logits, answer).tolist() == pytest.approx(wanted, rel=1e-5)


def test_an_answer_longer_than_the_run_is_refused(logits):
    with pytest.raises(ValueError, match="5 positions cannot predict 6 tokens"):
        answer_log_prob(logits, torch.zeros(3, 6, dtype=torch.long))


def test_correct_is_one_exactly_where_the_answer_is_on_top(logits):
    top = logits[:, -1].argmax(-1)
    assert correct(logits, top).tolist() == [1, 1, 1]
    assert correct(logits, (top + 1) % 7).tolist() == [0, 0, 0]


def test_the_loss_is_pytorchs_cross_entropy(logits):
    tokens = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(1))
    wanted = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    torch.testing.assert_close(loss_per_token(logits, tokens), wanted)
    torch.testing.assert_close(sequence_loss(logits, tokens), wanted.mean(-1))
    torch.testing.assert_close(sequence_loss(logits, tokens, 2, 4), wanted[:, 1:3].mean(-1))


@pytest.mark.parametrize(("first", "stop"), [(0, 3), (3, 3), (1, 6)])
def test_a_loss_over_no_token_is_refused(logits, first, stop):
    with pytest.raises(ValueError, match="no loss over positions"):
        sequence_loss(logits, torch.zeros(3, 5, dtype=torch.long), first, stop)


# --- over prompt sets ---------------------------------------------------------------------------------------------


def ids(text: str) -> list[int]:
    return [BOS_ID, *(WORDS.index(word) for word in text.split())]


def test_behaviour_is_what_each_prompt_gives_alone(model):
    prompts = pairs(12)
    measured, right = logit_differences(model, prompts), answers_correctly(model, prompts)
    for row, prompt in enumerate(prompts):
        clean, corrupted = (model(torch.tensor([ids(text)]))[0, -1] for text in (prompt.clean, prompt.corrupted))
        answer, distractor = WORDS.index(prompt.answer), WORDS.index(prompt.distractor)
        wanted = [float(last[answer] - last[distractor]) for last in (clean, corrupted)]
        assert measured.values[row].tolist() == pytest.approx(wanted, abs=1e-4)
        assert right.array[row] == float(clean.argmax() == answer)
    assert measured.units == tuple(prompt.fingerprint for prompt in prompts)
    assert measured.strata == tuple(prompt.label("length") for prompt in prompts)
    assert measured.clusters == ()


def test_answer_log_probs_follow_the_chain_rule(model):
    prompts = PromptSet("two words", "confirmation", (Prompt("w1 w2 w3", "w4 w5"), Prompt("w1 w2", "w6")))
    one = model(torch.tensor([ids("w1 w2 w3 w4")]))[0].log_softmax(-1)
    two = model(torch.tensor([ids("w1 w2")]))[0].log_softmax(-1)
    a, b, c = (WORDS.index(word) for word in ("w4", "w5", "w6"))
    wanted = [float(one[-2, a] + one[-1, b]), float(two[-1, c])]
    assert answer_log_probs(model, prompts).array.tolist() == pytest.approx(wanted, rel=1e-4)


def test_the_repeat_loss_starts_at_the_second_token_of_the_repeat(model):
    prompts = repeats(6)
    measured = repeat_loss(model, prompts)
    for row, prompt in enumerate(prompts):
        whole = ids(f"{prompt.clean} {prompt.answer}")
        n = (len(whole) - 1) // 2
        loss = loss_per_token(model(torch.tensor([whole])), torch.tensor([whole]))[0]
        assert measured.values[row, 0] == pytest.approx(float(loss[n + 1 :].mean()), rel=1e-4)
        assert measured.values[row, 1] == pytest.approx(float(loss[1:n].mean()), rel=1e-4)


def test_a_prompt_that_repeats_nothing_has_no_repeat_loss(model):
    with pytest.raises(ValueError, match="no sequence is repeated"):
        repeat_loss(model, PromptSet("none", "confirmation", (Prompt("w1 w2 w3", "w4"),)))
