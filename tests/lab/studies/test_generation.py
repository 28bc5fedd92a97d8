"""What the model writes is what Hugging Face's greedy search writes; the first integer in it is its number."""

import re

import pytest
import torch

from mechlib.lab.behaviour import answers_correctly, logit_differences
from mechlib.lab.models.loading import load
from mechlib.lab.studies import generation
from mechlib.lab.studies.generation import generated, numbers_generated, numbers_given
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import (
    BOS_ID,
    CONTEXT,
    PIECES,
    PLAIN,
    digit_directory,
    digit_model,
    digit_tokenizer,
    directory,
    pairs,
    sums,
)

SUMS = sums(20)


@pytest.fixture(scope="module", params=PLAIN)
def both(request, tmp_path_factory):
    """Our model, and Hugging Face's."""
    path = digit_directory(tmp_path_factory.mktemp("generation") / request.param, request.param)
    return load(str(path)), digit_model(request.param)


@pytest.fixture(scope="module")
def model(both):
    return both[0]


def greedy(hugging_face, text: str, n: int) -> list[int]:
    """The ids that Hugging Face generates, up to the end of the text."""
    tokens = torch.tensor([[BOS_ID, *digit_tokenizer()(text, add_special_tokens=False)["input_ids"]]])
    made = hugging_face.generate(
        tokens, max_new_tokens=n, do_sample=False, attention_mask=torch.ones_like(tokens), pad_token_id=BOS_ID
    )
    return [token for token in made[0, tokens.shape[1] :].tolist() if token != BOS_ID]


def one(*rows: Prompt) -> PromptSet:
    return PromptSet("made up", "confirmation", rows)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_texts_are_those_of_hugging_faces_greedy_search_in_the_order_of_the_prompts(both, n):
    model, hugging_face = both
    wanted = [digit_tokenizer().decode(greedy(hugging_face, prompt.clean, n)) for prompt in SUMS]
    assert generated(model, SUMS, n) == wanted
    assert len(set(wanted)) > 2


def test_nothing_is_read_behind_the_end_of_the_text(model, monkeypatch):
    said = torch.tensor([[PIECES.index("7"), BOS_ID, PIECES.index("5"), BOS_ID]])
    monkeypatch.setattr(generation, "_continued", lambda *_: said)
    assert generated(model, one(Prompt("oh", "7"))) == ["7"]
    said[0, 0] = BOS_ID
    assert generated(model, one(Prompt("oh", "7"))) == [""]


def answered(hugging_face) -> tuple[PromptSet, list[int]]:
    """Sums of which every second one is "answered" by the number that Hugging Face generates; and these numbers."""
    rows, numbers = [], []
    for n, prompt in enumerate(SUMS):
        text = digit_tokenizer().decode(greedy(hugging_face, prompt.clean, 4))
        found = [part for part in re.split("[^0-9]+", text) if part]
        numbers.append(int(found[0]) if found else -1)
        rows.append(Prompt(prompt.clean, found[0] if found and n % 2 else prompt.answer, glue=""))
    return one(*rows), numbers


def test_the_number_given_is_the_first_integer_that_hugging_face_writes(both):
    model, hugging_face = both
    prompts, numbers = answered(hugging_face)
    given = numbers_given(model, prompts)
    assert given["given"].array.tolist() == numbers
    assert given["true"].array.tolist() == [int(prompt.answer) for prompt in prompts]
    assert "-1 where there is none" in given.of
    assert given.unit == prompts.unit


def test_right_is_the_number_given_and_argmax_is_what_is_written_at_once(both):
    model, hugging_face = both
    prompts, numbers = answered(hugging_face)
    found = numbers_generated(model, prompts)
    right = [float(number == int(prompt.answer)) for number, prompt in zip(numbers, prompts, strict=True)]
    at_once = []
    for prompt in prompts:
        answer = digit_tokenizer()(prompt.answer, add_special_tokens=False)["input_ids"]
        at_once.append(float(greedy(hugging_face, prompt.clean, 4)[: len(answer)] == answer))
    assert found["right"].array.tolist() == right
    assert found["argmax"].array.tolist() == at_once == answers_correctly(model, prompts).array.tolist()
    assert 0 < sum(right) < len(right)
    assert found.columns == ("right", "argmax")
    assert found.yes_no


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (" 77", 77),
        ("77 oh 5", 77),
        (" oh 77.5", 77),
        ("the answer is 077", 77),
        ("", -1),
        (" oh dear", -1),
        (" - 7", 7),
        ("-7", -1),
        ("-1", -1),
        ("0", 0),
        ("²", -1),
    ],
)
def test_the_first_integer_is_parsed(model, monkeypatch, text, number):
    monkeypatch.setattr(generation, "_texts", lambda *_: [text])
    assert numbers_given(model, one(Prompt("oh", "77")))["given"].array.tolist() == [number]
    assert numbers_generated(model, one(Prompt("oh", "77")))["right"].array.tolist() == [float(number == 77)]


def test_distractors_play_no_part_in_what_is_generated(model):
    """Sums of which one begins with the other cannot be told apart by a token, but can be asked."""
    prompts = one(*(Prompt(p.clean, "12", p.corrupted, "120") for p in SUMS))
    without = one(*(Prompt(p.clean, "12") for p in SUMS))
    assert numbers_generated(model, prompts).values.tolist() == numbers_generated(model, without).values.tolist()


def test_a_model_of_whole_words_writes_words(tmp_path):
    model = load(str(directory(tmp_path / "words", "llama")))
    prompts = pairs(10)
    argmax = [
        model.tokenizer.decode(model(torch.tensor([words]))[0, -1].argmax()) for words in tokens_of(model, prompts)
    ]
    assert generated(model, prompts, 1) == [word if word != "<bos>" else "" for word in argmax]


def tokens_of(model, prompts: PromptSet) -> list[list[int]]:
    return [[BOS_ID, *model.tokenizer(prompt.clean)["input_ids"]] for prompt in prompts]


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["seven", "", "7.5", "-7", "²"])
def test_a_wording_whose_answer_is_not_a_number_is_named(model, answer):
    with pytest.raises(ValueError, match=rf"'oh 2' is answered by {answer!r}, which is not a number"):
        numbers_generated(model, one(Prompt("oh 2", answer)))


def test_a_prompt_that_leaves_no_room_to_write_is_refused(model):
    prompts = one(Prompt("oh" + " oh" * (CONTEXT - 4), "7"))
    assert generated(model, prompts, 3), "with BOS two places are left, and the last token that is written is not read"
    with pytest.raises(ValueError, match=f"4 tokens after the {CONTEXT - 2} of 'oh oh.* reads {CONTEXT}; ask for"):
        generated(model, prompts, 4)


@pytest.mark.parametrize("n", [0, -1])
def test_no_tokens_are_refused(model, n):
    with pytest.raises(ValueError, match=f"{n} tokens after the 2 of 'oh'.* at least one"):
        generated(model, one(Prompt("oh", "7")), n)


def test_all_words_that_the_vocabulary_lacks_are_named(model):
    with pytest.raises(ValueError, match="does not know 'zebra', 'yak' in 'oh zebra what yak'"):
        generated(model, one(Prompt("oh zebra what yak", "7")))


def test_names_of_unequal_numbers_of_tokens_are_refused_only_where_texts_must_align(model):
    """What a name of two tokens is elsewhere, a number of two digits is here."""
    prompts = one(Prompt("oh what is 23 ?", "7", "oh what is 5 ?", "8"))
    assert generated(model, prompts) == generated(model, one(Prompt("oh what is 23 ?", "7")))
    with pytest.raises(
        ValueError, match=r"'oh what is 23 \?' has 8 tokens .*, 'oh what is 5 \?' has 7 .* as many tokens"
    ):
        logit_differences(model, prompts)
