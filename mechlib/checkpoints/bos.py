"""What stands first: the BOS token of a directory, where that is declared, and what a user asked for instead.

A model is measured with the token before every text that its tokenizer calls BOS, whether or not the tokenizer would
put it there by itself (GPT-2's and Pythia's do not). The end of a text or of a turn is no BOS: a chat model without BOS
gets none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from mechlib.checkpoints import native
from mechlib.checkpoints.reading import json_of

VARIABLE = "MECHLIB_BOS"
NONE = "none"
OLD_DEFAULTS = {"GPT2Tokenizer": "<|endoftext|>", "GPTNeoXTokenizer": "<|endoftext|>"}  # of transformers' classes
_CLASSES = dict.fromkeys(("gpt2", "gpt_neo", "gptj"), "GPT2Tokenizer") | {"gpt_neox": "GPTNeoXTokenizer"}


class Bos(NamedTuple):
    """The token that stands before every text, "" for none, and where that was found."""

    text: str
    source: str


def asked_for() -> str | None:
    """The BOS that a user asked for, by `--bos` or MECHLIB_BOS: "" for "none"; None where nobody asked."""
    asked = os.environ.get(VARIABLE)
    return None if not asked else "" if asked == NONE else asked


def declared(folder: Path) -> Bos:
    """The BOS that a directory's tokenizer declares.

    In tokenizer_config.json, else in special_tokens_map.json, else what the post-processor of tokenizer.json puts
    first, else the default of the tokenizer's class where that is GPT-2's or GPT-NeoX's, whose directories leave it
    out. A native directory says it in config.json.
    """
    if (own := native.configuration(folder)) is not None:
        return Bos(own.get("bos") or "", "config.json")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if token := content(json_of(folder / name).get("bos_token")):
            return Bos(token, name)
    first = _put_first(json_of(folder / "tokenizer.json").get("post_processor"))
    if first:
        return Bos(first, "the post-processor of tokenizer.json")
    config = json_of(folder / "tokenizer_config.json")
    named = config.get("tokenizer_class") or _CLASSES.get(str(json_of(folder / "config.json").get("model_type")))
    named = str(named).removesuffix("Fast")
    default = OLD_DEFAULTS.get(named, "")
    if default and "bos_token" not in config and token_id(folder, default) is not None:
        return Bos(default, f"the default of {named}")
    return Bos("", "no BOS is declared")


def with_bos(first: list[int], ids: list[int]) -> list[int]:
    """Ids with those of BOS before them; a text that brings its own, as chat templates do, gets no second one."""
    return ids if first and ids[: len(first)] == first else first + ids


def token_id(folder: Path, token: str) -> int | None:
    """The id of a whole token in a directory's vocabulary, in tokenizer.json or vocab.json; None where it has none.

    A special token that is only named in tokenizer_config.json has no id that was ever trained: it is none.
    """
    tokenizer = json_of(folder / "tokenizer.json")
    for entry in tokenizer.get("added_tokens") or ():
        if entry.get("content") == token:
            return int(entry["id"])
    vocabulary = (tokenizer.get("model") or {}).get("vocab") or json_of(folder / "vocab.json")
    if isinstance(vocabulary, list):  # Unigram: pairs of a piece and its score
        return next((number for number, entry in enumerate(vocabulary) if entry[0] == token), None)
    found = vocabulary.get(token)
    return None if found is None else int(found)


def content(token: Any) -> str:
    """A special token as text: written as such, or as {"content": ...}."""
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else ""


def _put_first(processor: Any) -> str:
    """The special token that a post-processor puts before a single text; "" where it puts none."""
    if not isinstance(processor, dict):
        return ""
    if processor.get("type") == "Sequence":
        return next(filter(None, map(_put_first, processor.get("processors") or ())), "")
    if processor.get("type") in ("BertProcessing", "RobertaProcessing"):
        return str((processor.get("cls") or ("",))[0])
    first: dict[str, Any] = (processor.get("single") or ({},))[0]
    named = str(first.get("SpecialToken", {}).get("id", ""))
    tokens = (processor.get("special_tokens") or {}).get(named, {}).get("tokens")
    return str(tokens[0]) if tokens else named
