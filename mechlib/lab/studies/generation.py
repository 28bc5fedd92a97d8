"""Generation: the text that the model writes when it is left to write, and the numbers in it.

Always greedy: the most likely token, again and again. So there is one text for each prompt, and nothing is drawn.
"""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt, require_causal
from mechlib.lab.behaviour import answers_correctly
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.outputs import require_words_in_logits
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

NO_NUMBER = -1


def generated(model: Model, prompts: PromptSet, n_tokens: int = 4) -> list[str]:
    """The n tokens that the model writes after each clean text, as texts in the order of the prompts.

    A text is shorter where the model ends it: its end-of-text token, and all that follows, is left out.
    Raises ValueError where a prompt and its n tokens do not fit the context, and as `batches` does.
    """
    texts = [""] * len(prompts)
    for batch in batches(model, prompts, alone=True):
        for row, text in zip(batch.rows, _texts(model, batch, n_tokens), strict=True):
            texts[row] = text
    return texts


def numbers_generated(model: Model, prompts: PromptSet, n_tokens: int = 4, unit: str = "") -> Measurement:
    """Whether the model gives the right number, judged in two ways; yes or no.

    Columns: "right", the first integer among the n tokens that it writes is the answer, whatever else it writes;
    "argmax", it writes the answer at once, token by token (`answers_correctly`). Where tokens are single digits, a
    number of more than n tokens is read as far as it goes, and "argmax" does not see whether more digits follow.

    Raises ValueError for a prompt whose answer is not a number, and as `generated` does.
    """
    given = numbers_given(model, prompts, n_tokens, unit)
    right = given["given"].array == given["true"].array
    argmax = answers_correctly(model, prompts, unit).array
    both = given.with_columns({"right": right, "argmax": argmax})
    return replace(both, yes_no=True, of=f"the number in {n_tokens} generated tokens is the answer")


def numbers_given(model: Model, prompts: PromptSet, n_tokens: int = 4, unit: str = "") -> Measurement:
    """The first integer that the model writes, "given", beside the "true" one; -1 where it writes none.

    A negative integer counts as none, so that -1 has one meaning. Raises as `numbers_generated` does.
    """
    _check_numbers(prompts)
    made = batches(model, prompts, alone=True)
    values = []
    for batch in made:
        texts = _texts(model, batch, n_tokens)
        rows = [[_first_integer(text), int(prompt.answer)] for text, prompt in zip(texts, batch.prompts, strict=True)]
        values.append(torch.tensor(rows, dtype=torch.float64))
    of = f"first integer in {n_tokens} generated tokens, {NO_NUMBER} where there is none"
    return per_prompt(prompts, made, values, ("given", "true"), of, unit)


def _texts(model: Model, batch: Batch, n_tokens: int) -> list[str]:
    end = model.tokenizer.eos_token_id
    texts = []
    for ids in _continued(model, batch, n_tokens).tolist():
        written = ids[: ids.index(end)] if end in ids else ids
        texts.append(model.tokenizer.decode(written, clean_up_tokenization_spaces=False))
    return texts


def _continued(model: Model, batch: Batch, n_tokens: int) -> Int[Tensor, "batch n"]:
    """The most likely token after each prompt, the most likely one after that, and so on."""
    require_words_in_logits(model, "writing on")
    require_causal(model, "writing on")
    length, room = batch.tokens.shape[1], model.cfg.n_ctx
    if not 1 <= n_tokens <= room + 1 - length:  # the last token is written, and never read
        raise ValueError(
            f"{n_tokens} tokens after the {length} of {batch.prompts[0].clean!r}: {checkpoint_of(model).name} reads "
            f"{room}; ask for at least one token, and for no more than fit behind the longest prompt"
        )
    tokens = batch.tokens
    for _ in range(n_tokens):
        likeliest = run(model, tokens, last=1)[0][:, -1].argmax(-1, keepdim=True)
        tokens = torch.cat([tokens, likeliest], dim=1)
    return tokens[:, length:]


def _first_integer(text: str) -> int:
    found = re.search(r"-?[0-9]+", text)
    return max(int(found[0]), NO_NUMBER) if found else NO_NUMBER


def _check_numbers(prompts: PromptSet) -> None:
    for prompt in prompts:
        if not re.fullmatch(r"[0-9]+", prompt.answer):
            raise ValueError(
                f"{prompt.clean!r} is answered by {prompt.answer!r}, which is not a number: choose a wording with one"
            )
