"""A model that adds: two layers of two heads, every activation a whole number, every sum done in the head.

Words are numbers, texts two of them: "4 6". No norms, no biases but one, no BOS. Heads look at all tokens so far alike,
so a head that writes twice the mean of two numbers writes their sum. With a text "a b", what stands in the stream at
its two positions (dimensions of the stream on the left; `n` the number of the token, `s` the sum of those so far):

    n        the number itself            embeddings
    s        2a       and  a + b          head 0.0: twice the mean of n
    double   4a       and  2a + 2b        head 0.1: four times the mean of n
    total    written at the last position by
                head 1.0:  sum of both s          = 2a + (a + b)
                head 1.1:  less half the sum of both doubles = -(4a + 2a + 2b) / 2 = -(3a + b)
                mlp 0:     relu(s - 3)             = a + b - 3
    again    relu(total)                  mlp 1

The logit of "yes" is n + total + again, of "no" it is s. An attention-only model has the heads alone.
"""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from mechlib.lab.models.loading import Model
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.lab.forward.native import native

N, S, DOUBLE, TOTAL, AGAIN = range(5)
VOCABULARY = ("<unk>", "0", "2", "4", "6", "yes", "no")
HEADS = {  # what a head reads, where it writes, and how many times the mean
    "0.0": (N, S, 2),
    "0.1": (N, DOUBLE, 4),
    "1.0": (S, TOTAL, 2),
    "1.1": (DOUBLE, TOTAL, -1),
}
MLPS = {0: (S, TOTAL, -3), 1: (TOTAL, AGAIN, 0)}  # what is read, where it is written, and the bias before relu

PROMPTS = PromptSet("sums", "confirmation", (Prompt("4 6", "yes", "2 6", "no"),))
REFERENCE = PromptSet("sums", "reference", (Prompt("2 2", "yes"), Prompt("6 6", "yes")))


def arithmetic(mlps: bool = True) -> Model:
    """The model, or its heads alone."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    model = native(
        "adds", bos="", tokenizer=PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>"),
        n_layers=2, n_heads=2, d_head=1, d_model=5, d_mlp=1, n_ctx=3, d_vocab=len(VOCABULARY), attn_only=not mlps,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for number, word in enumerate(VOCABULARY):
            weight(model, "embed")[number, N] = int(word) if word.isdigit() else 0
        for name, (reads, writes, times) in HEADS.items():
            layer, head = map(int, name.split("."))
            weight(model, f"blocks.{layer}.attn.v")[head, reads] = 1
            weight(model, f"blocks.{layer}.attn.o")[writes, head] = times
        for layer, (reads, writes, bias) in MLPS.items() if mlps else ():
            weight(model, f"blocks.{layer}.mlp.in")[0, reads] = 1
            weight(model, f"blocks.{layer}.mlp.in", "bias")[0] = bias
            weight(model, f"blocks.{layer}.mlp.out")[writes, 0] = 1
        weight(model, "unembed")[VOCABULARY.index("yes"), [N, TOTAL, AGAIN]] = 1
        weight(model, "unembed")[VOCABULARY.index("no"), S] = 1
    return model


def weight(model: Model, module: str, kind: str = "weight") -> torch.Tensor:
    return getattr(model.get_submodule(module).original_component, kind)
