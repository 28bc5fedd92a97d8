"""Words of the output: toys whose logits belong to other words than their texts are made of."""

from __future__ import annotations

from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.native import output_ids
from mechlib.prompts.promptset import Prompt


def output_id(model: Model, prompt: Prompt, word: str) -> int | None:
    """The place of a word's logit, where logits belong to other words than the texts; None where they do not.

    ValueError, naming the word, for an answer or distractor that has no logit.
    """
    outputs = output_ids(model)
    if outputs is None or word in outputs:
        return None if outputs is None else outputs[word]
    shown = ", ".join(map(repr, [*outputs][:5])) + (", ..." if len(outputs) > 5 else "")
    raise ValueError(
        f"{checkpoint_of(model).name} has no logit for {word!r}, answer or distractor of {prompt.clean!r}: its logits "
        f"belong to {len(outputs)} words, {shown}: use one of them"
    )


def require_words_in_logits(model: Model, what: str, every: bool = True) -> None:
    """ValueError where the words of a text have no logits of their own, as the logits belong to other words.

    every   False where those that have one, which are then the first of all words, will do
    """
    outputs = output_ids(model)
    if outputs is None:
        return
    ids = model.tokenizer.get_vocab()
    if every or any(ids.get(word) != number for word, number in outputs.items()):
        raise ValueError(
            f"{what} wants logits for the words of a text, and those of {checkpoint_of(model).name} belong to others: "
            "measure its answers, with logit_differences and the sweeps"
        )
