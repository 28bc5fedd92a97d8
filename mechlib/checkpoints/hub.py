"""The models of the Hugging Face Hub that claims may name, each at one full commit.

A revision is never a branch: what a name stands for does not change under the evidence that was filed for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Shape(NamedTuple):
    """What memory depends on: parameters in all, layers, width of the residual stream, words known."""

    parameters: int
    layers: int
    width: int
    vocabulary: int


class Hub(NamedTuple):
    """A model on the Hugging Face Hub, at a revision that is a full commit.

    known  a text and the ids that its tokenizer gives for it
    bos    the token put before every prompt, as its directory declares it or its tokenizer's class does; "" for none
    """

    repo: str
    revision: str
    known: tuple[str, tuple[int, ...]]
    shape: Shape
    bos: str = "<|endoftext|>"


_GPT2 = ("Hello world", (15496, 995))
_NEOX = ("Hello world", (12092, 1533))
_QWEN = ("Hello world", (9707, 1879))


HUB: Mapping[str, Hub] = {
    "gpt2-small": Hub("gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", _GPT2, Shape(124_439_808, 12, 768, 50257)),
    "gpt2-medium": Hub(
        "gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", _GPT2, Shape(354_823_168, 24, 1024, 50257)
    ),
    "pythia-70m": Hub(
        "EleutherAI/pythia-70m", "a39f36b100fe8a5377810d56c3f4789b9c53ac42", _NEOX, Shape(70_426_624, 6, 512, 50304)
    ),
    "pythia-160m": Hub(
        "EleutherAI/pythia-160m", "50f5173d932e8e61f858120bcb800b97af589f46", _NEOX, Shape(162_322_944, 12, 768, 50304)
    ),
    "pythia-410m": Hub(
        "EleutherAI/pythia-410m", "9879c9b5f8bea9051dcb0e68dff21493d67e9d4f", _NEOX, Shape(405_334_016, 24, 1024, 50304)
    ),
    "pythia-1b": Hub(
        "EleutherAI/pythia-1b", "f73d7dcc545c8bd326d8559c8ef84ffe92fea6b2", _NEOX, Shape(1_011_781_632, 16, 2048, 50304)
    ),
    "pythia-1.4b": Hub(
        "EleutherAI/pythia-1.4b",
        "fedc38a16eea3bd36a96b906d78d11d2ce18ed79",
        _NEOX,
        Shape(1_414_647_808, 24, 2048, 50304),
    ),
    "pythia-2.8b": Hub(
        "EleutherAI/pythia-2.8b",
        "2a259cdd96a4beb1cdf467512e3904197345f6a9",
        _NEOX,
        Shape(2_775_208_960, 32, 2560, 50304),
    ),
    "qwen2.5-0.5b": Hub(
        "Qwen/Qwen2.5-0.5B",
        "060db6499f32faf8b98477b0a26969ef7d8b9987",
        _QWEN,
        Shape(494_032_768, 24, 896, 151936),
        bos="",
    ),
    "qwen2.5-3b": Hub(
        "Qwen/Qwen2.5-3B",
        "3aab1f1954e9cc14eb9509a215f9e5ca08227a9b",
        _QWEN,
        Shape(3_085_938_688, 36, 2048, 151936),
        bos="",
    ),
}
