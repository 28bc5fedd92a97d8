"""A model's tokenizer: read from its files, without torch, and what of the settings beside them changes ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mechlib.checkpoints.bos import content, with_bos
from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.checkpoints.reading import json_of

# Fields of tokenizer_config.json and special_tokens_map.json that change no id of a text: notes, what concerns decoding
# and padding, tokens that are only put first or last (BOS is a part of the key by itself), names of classes (the
# tokenizer of tokenizer.json is taken, whatever they say), and the tokens for unknown words and padding, which
# tokenizer.json has.
SAYS_NOTHING = frozenset(
    "add_bos_token add_eos_token auto_map backend bos_token chat_template clean_up_tokenization_spaces is_local "
    "local_files_only mask_token model_input_names model_max_length name_or_path pad_token padding_side "
    "processor_class cls_token sep_token special_tokens_map_file tokenizer_class tokenizer_file truncation_side "
    "unk_token use_default_system_prompt use_fast".split()
)
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
_SAME_TOKEN = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of tokenizer.json, whatever the family: the family's own class would rebuild it, and give a Qwen2
    with a word tokenizer no ids at all. The older files need that class."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # which needs no torch for it

    kind = PreTrainedTokenizerFast if (folder / "tokenizer.json").is_file() else AutoTokenizer
    return kind.from_pretrained(str(folder), local_files_only=True)


def tokens_of(model: Checkpoint, text: str) -> list[tuple[int, str]]:
    """Ids and tokens of a text as the model reads it, what stands first included. The files must be here."""
    tokenizer = read_tokenizer(model.path)
    first = [tokenizer.convert_tokens_to_ids(model.bos)] if model.bos else []
    ids = with_bos(first, tokenizer(text, add_special_tokens=False)["input_ids"])
    return list(zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True))


def telling(folder: Path) -> dict[str, Any]:
    """What the settings beside tokenizer.json say that neither it nor the BOS says; {} for most directories.

    By file and field: tokens that tokenizer.json lacks or has otherwise, an end-of-text token that is not the BOS (it
    ends what a model writes), and every field that is not known to change nothing.
    """
    own = {str(entry.get("content")): entry for entry in json_of(folder / "tokenizer.json").get("added_tokens") or ()}
    found: dict[str, Any] = {}
    for name in _SETTINGS:
        for field, value in json_of(folder / name).items():
            if (left := _left(field, value, own, folder)) not in (None, False, [], {}):
                found[f"{name} {field}"] = left
    added = {token: number for token, number in json_of(folder / "added_tokens.json").items() if token not in own}
    return found | ({"added_tokens.json": added} if added else {})


def _left(field: str, value: Any, own: dict[str, Any], folder: Path) -> Any:
    """A field without what says nothing; None, False or empty where nothing is left."""
    if field in SAYS_NOTHING:
        return None
    if field == "eos_token":
        begins = [content(json_of(folder / name).get("bos_token")) for name in _SETTINGS]
        return None if content(value) in begins else content(value)
    if field == "added_tokens_decoder" and isinstance(value, dict):
        return {number: entry for number, entry in value.items() if not _same(number, entry, own)}
    if field in ("additional_special_tokens", "extra_special_tokens"):
        named = list(value.values()) if isinstance(value, dict) else value or []
        return [content(token) for token in named if not own.get(content(token), {}).get("special")]
    return value


def _same(number: str, entry: Any, own: dict[str, Any]) -> bool:
    there = own.get(content(entry), {})
    return str(there.get("id")) == number and all(there.get(key) == entry.get(key) for key in _SAME_TOKEN)
