"""Answers of several tokens: read at the token that decides, judged as a whole, the same in every family.

The models write numbers digit by digit, as Qwen2 does, and are compared with Hugging Face's own forward.
"""

import re

import numpy as np
import pytest
import torch

from mechlib.lab.attribution.direct import direct_logit_attribution
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import answer_log_probs, answers_correctly, logit_differences
from mechlib.lab.hooks import run
from mechlib.lab.interventions.contexts import Site, activations, mean_ablated, patched, resample_ablated
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.lab.models.loading import load
from mechlib.parts.heads import Head, heads
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, PIECES, PLAIN, digit_directory, digit_model, digit_tokenizer, sums

PROMPTS = sums(24)


@pytest.fixture(scope="module", params=PLAIN)
def both(request, tmp_path_factory):
    """Our model, and Hugging Face's."""
    path = digit_directory(tmp_path_factory.mktemp("digits") / request.param, request.param)
    return load(str(path)), digit_model(request.param)


@pytest.fixture(scope="module")
def model(both):
    return both[0]


def ids(text: str) -> list[int]:
    return [BOS_ID, *digit_tokenizer()(text, add_special_tokens=False)["input_ids"]]


def parting(prompt: Prompt, text: str) -> tuple[list[int], int, int]:
    """The ids up to where answer and distractor part after a text, and the two that come next."""
    answer, distractor = ids(f"{text} {prompt.answer}"), ids(f"{text} {prompt.distractor}")
    at = next(n for n, (one, other) in enumerate(zip(answer, distractor, strict=False)) if one != other)
    return answer[:at], answer[at], distractor[at]


def forward(hugging_face, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return hugging_face(torch.tensor([tokens])).logits[0]


def difference(hugging_face, prompt: Prompt, text: str) -> float:
    tokens, answer, distractor = parting(prompt, text)
    last = forward(hugging_face, tokens)[-1]
    return float(last[answer] - last[distractor])


def test_the_last_position_is_where_answer_and_distractor_part(model):
    shared = set()
    for batch in batches(model, PROMPTS):
        shared.add(batch.shared)
        for row, prompt in enumerate(batch.prompts):
            tokens, answer, distractor = parting(prompt, prompt.clean)
            assert batch.tokens[row].tolist() == tokens
            assert batch.corrupted[row].tolist() == parting(prompt, prompt.corrupted)[0]
            assert (batch.answer[row], batch.distractor[row]) == (answer, distractor)
    assert shared == {1, 2, 3}, "the space is always shared, first digits sometimes"


def test_logit_differences_are_those_of_hugging_face_where_the_answers_part(both):
    model, hugging_face = both
    measured = logit_differences(model, PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        wanted = [difference(hugging_face, prompt, text) for text in (prompt.clean, prompt.corrupted)]
        np.testing.assert_allclose(measured.values[row], wanted, atol=2e-4)


def test_patching_restores_what_whole_runs_restore(both):
    model, hugging_face = both
    sets = {"0.1": (Head(0, 1),), "1.2": (Head(1, 2),), "all": (Site("resid_post", 1),)}
    swept = restored_by_patching(model, PROMPTS, sets)
    for row, prompt in enumerate(PROMPTS):
        whole = difference(hugging_face, prompt, prompt.clean) - difference(hugging_face, prompt, prompt.corrupted)
        assert swept["total"].array[row] == pytest.approx(whole, abs=4e-4)
        assert swept["all"].array[row] == pytest.approx(whole, abs=4e-4)
    for batch in batches(model, PROMPTS, size=1):
        a, d = int(batch.answer), int(batch.distractor)
        before = model(batch.corrupted)[0, -1]
        with patched(model, Head(1, 2), activations(model, batch.tokens, Head(1, 2))) as edited:
            after = edited(batch.corrupted)[0, -1]
        moved = float(after[a] - after[d] - before[a] + before[d])
        assert swept["1.2"].array[batch.rows[0]] == pytest.approx(moved, abs=2e-4)


def test_direct_contributions_sum_to_hugging_faces_difference(both):
    model, hugging_face = both
    attribution = direct_logit_attribution(model, PROMPTS)
    wanted = [difference(hugging_face, prompt, prompt.clean) for prompt in PROMPTS]
    np.testing.assert_allclose(attribution["total"].array, wanted, atol=2e-4)
    np.testing.assert_allclose(attribution.without(["total"]).values.sum(1), wanted, atol=2e-3)


# --- whole answers ------------------------------------------------------------------------------------------------


def written(hugging_face, text: str, n: int) -> list[int]:
    tokens = torch.tensor([ids(text)])
    made = hugging_face.generate(
        tokens, max_new_tokens=n, do_sample=False, attention_mask=torch.ones_like(tokens), pad_token_id=BOS_ID
    )
    return made[0, tokens.shape[1] :].tolist()


def as_answer(text: str, tokens: list[int]) -> str:
    """These tokens as text; nothing where they are special, where that text after the prompt is read as others, or
    where it is no answer, for it ends in a space."""
    answer = digit_tokenizer().decode(tokens)
    whole = ids(text + answer) == [*ids(text), *tokens] and not {0, 1} & set(tokens)
    return answer if whole and answer == answer.rstrip() else ""


def exchanged(tokens: list[int], at: int) -> list[int]:
    """The tokens with another digit in one place."""
    eight, five = PIECES.index("8"), PIECES.index("5")
    return [*tokens[:at], five if tokens[at] == eight else eight, *tokens[at + 1 :]]


def judged(hugging_face) -> tuple[PromptSet, list[float]]:
    """Answers of one to three tokens: as Hugging Face writes them, and with one of the tokens exchanged."""
    rows, right = [], []
    for prompt in PROMPTS:
        whole = written(hugging_face, prompt.clean, 3)
        for own in (whole[:n] for n in range(1, len(whole) + 1)):
            for n, tokens in enumerate([own, *(exchanged(own, at) for at in range(len(own)))]):
                if answer := as_answer(prompt.clean, tokens):
                    glue = " " if answer.startswith(" ") else ""
                    rows.append(Prompt(prompt.clean, answer.removeprefix(glue), glue=glue))
                    right.append(float(n == 0))
    return PromptSet("judged", "confirmation", tuple(rows)), right


def test_an_answer_is_correct_where_hugging_face_writes_all_of_it(both):
    model, hugging_face = both
    prompts, right = judged(hugging_face)
    assert {len(answer) for batch in batches(model, prompts) for answer in batch.answers} == {1, 2, 3}
    assert 10 < sum(right) < len(right) - 10
    found = answers_correctly(model, prompts)
    assert found.array.tolist() == right
    assert found.yes_no


def test_an_answer_is_not_made_easier_by_what_it_shares_with_its_distractor(model):
    """Answers that the model would not begin, but, begun for it, go on with."""
    rows = []
    for text in (prompt.clean for prompt in PROMPTS.take(6)):
        first = PIECES[int(model(torch.tensor([ids(text)]))[0, -1].argmax())]
        for begun in "0123456789".replace(first, ""):
            second = PIECES[int(model(torch.tensor([ids(text + begun)]))[0, -1].argmax())]
            if second.isdigit():
                rows.append(Prompt(text, begun + second, "", begun + ("2" if second == "1" else "1"), glue=""))
    prompts = PromptSet("begun", "confirmation", tuple(rows))
    assert all(batch.shared == 1 for batch in batches(model, prompts))
    assert (logit_differences(model, prompts)["clean"].array > 0).all()
    assert not answers_correctly(model, prompts).array.any()


def test_the_log_probability_of_a_whole_answer_is_hugging_faces(both):
    model, hugging_face = both
    measured = answer_log_probs(model, PROMPTS).array
    for row, prompt in enumerate(PROMPTS):
        start, whole = ids(prompt.clean), ids(f"{prompt.clean} {prompt.answer}")
        log_probs = forward(hugging_face, whole).log_softmax(-1)
        wanted = sum(float(log_probs[at - 1, whole[at]]) for at in range(len(start), len(whole)))
        assert measured[row] == pytest.approx(wanted, abs=2e-4)


# --- ablation -----------------------------------------------------------------------------------------------------


def test_means_are_over_reference_prompts_that_share_as_many_tokens(model):
    reference, name = sums(60, "reference", seed=1), "blocks.0.attn.hook_z"
    last: dict[int, list[torch.Tensor]] = {}
    for batch in batches(model, reference, size=1):
        last.setdefault(batch.shared, []).append(activations(model, batch.tokens, Head(0, 1))[name][0, -1, 1])
    assert {1, 2} <= set(last)
    for batch in (batch for batch in batches(model, PROMPTS) if batch.shared < 3):  # three are rare in the reference
        with mean_ablated(model, heads("0.1"), reference) as ablated:
            kept = run(model, batch.tokens, ablated.edits(batch), keep=[name])[1][name]
            ablated(batch)
        wanted = torch.stack(last[batch.shared]).mean(0)
        torch.testing.assert_close(kept[:, -1, 1], wanted.expand(len(kept), -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ablated_by", [mean_ablated, resample_ablated])
def test_a_reference_that_never_shares_as_many_tokens_is_refused(model, ablated_by):
    reference = PromptSet("short", "reference", tuple(Prompt(p.clean, p.answer) for p in sums(9, "reference").rows))
    (batch, *_) = batches(model, PROMPTS)
    wanted = re.escape("no reference prompts of cluster '' with ") + r"\d shared token"
    with ablated_by(model, heads("0.1"), reference) as ablated, pytest.raises(ValueError, match=wanted):
        ablated(batch)
