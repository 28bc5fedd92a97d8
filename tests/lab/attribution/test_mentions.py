"""Words are found where the text says them, though the first word of a text is another token than it is later."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.lab.attribution.attention import attention_to
from mechlib.lab.attribution.copying import attention_and_written, copy_scores
from mechlib.lab.batching import batches
from mechlib.lab.models.loading import load
from mechlib.lab.studies.numbers import attention_to_operand
from mechlib.parts.heads import Head
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import byte_directory

GIVES = "John and Mary met John"
FIRST = "Mary and John met John"
SUM = "5 + 5 ="


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return byte_directory(tmp_path_factory.mktemp("mentions") / "bytes", "gpt2", (GIVES, FIRST, SUM, "1 + 1 = 2"))


@pytest.fixture(scope="module")
def model(path):
    return load(str(path))


def one(*rows: Prompt) -> PromptSet:
    return PromptSet("mentions", "confirmation", rows)


def said(model, prompts) -> list[str]:
    (batch,) = batches(model, prompts)
    return model.tokenizer.convert_ids_to_tokens(batch.tokens[0].tolist())


def hugging_face(path, model, prompts) -> np.ndarray:
    """Attention from the last token, [heads key]."""
    (batch,) = batches(model, prompts)
    network = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    with torch.no_grad():
        found = network(batch.tokens, output_attentions=True).attentions
    return torch.cat([layer[0, :, -1] for layer in found]).numpy()


def test_the_first_mention_is_the_first_word_of_the_text_though_it_is_another_token(path, model):
    prompts = one(Prompt(GIVES, "Mary", "", "John"))
    words = said(model, prompts)
    assert (words[1], words[-1]) == ("John", "ĠJohn")
    attention = hugging_face(path, model, prompts)
    for target, place in (("first distractor", 1), ("distractor", len(words) - 1), ("answer", words.index("ĠMary"))):
        found = attention_to(model, prompts, target).values[0]
        np.testing.assert_allclose(found, attention[:, place], atol=1e-5)


def test_the_operands_of_a_double_are_two_places(path, model):
    prompts = one(Prompt(SUM, "2", labels=(("a", "5"), ("b", "5"))))
    assert said(model, prompts)[1::2][:2] == ["5", "Ġ5"]
    attention = hugging_face(path, model, prompts)
    for operand, place in (("a", 1), ("b", 3)):
        np.testing.assert_allclose(
            attention_to_operand(model, prompts, operand).values[0], attention[:, place], atol=1e-5
        )


def test_of_a_word_of_several_tokens_the_last_one_is_looked_at(path, model):
    prompts = one(Prompt("Zoe and John met Zoe", "Zoe", "", "John"))
    words = said(model, prompts)
    assert words[1:4] == ["Z", "o", "e"], "three tokens at the start"
    attention = hugging_face(path, model, one(Prompt("Zoe and John met Zoe", "John", "", "Zoe")))
    first = attention_to(model, one(Prompt("Zoe and John met Zoe", "John", "", "Zoe")), "first distractor").values[0]
    np.testing.assert_allclose(first, attention[:, 3], atol=1e-5)
    last = attention_to(model, prompts, "answer").values[0]
    np.testing.assert_allclose(last, attention[:, -1], atol=1e-5)


def test_a_name_that_begins_the_text_is_copied_as_it_would_be_said(model):
    """The head reads the first word and says the name behind a space: that token's logit is asked for."""
    begins, follows = one(Prompt(FIRST, "Mary", "", "John")), said(model, one(Prompt(FIRST, "Mary", "", "John")))
    assert follows[1] == "Mary" and "ĠMary" not in follows
    written = attention_and_written(model, begins, Head(1, 0)).values[0, 1]
    (batch,) = batches(model, begins)
    name, other = (model.tokenizer.convert_tokens_to_ids(token) for token in ("ĠMary", "Mary"))
    assert batch.answers == ((name,),)
    z = model.run_with_cache(batch.tokens)[1]["blocks.1.attn.hook_z"][0, -1, 0]
    scale = model.run_with_cache(batch.tokens)[1]["ln_final.hook_scale"][0, -1]
    output = z @ model.blocks[1].attn.W_O[0]
    normed = (output - output.mean()) * model.ln_final.weight / scale
    assert written == pytest.approx(float(normed @ model.W_U[:, name]), abs=1e-4)
    assert abs(written - float(normed @ model.W_U[:, other])) > 1e-3
    assert copy_scores(model, begins).values.shape == (1, 8)
