"""Hugging Face's own model: read from a directory whole or not at all, and what the wrapped one is compared with.

transformers fills tensors that a file lacks at random, and says so in a notice only: so its own list of what it did not
find is read. And the library that hooks are put into has its own attention for some families, which leaves out settings
of theirs: so one prompt's logits are computed before the model is wrapped, and again after.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from mechlib.checkpoints.checkpoint import IncompleteModel, NotTheSameModel

PROBE = 12  # tokens of the prompt whose logits are compared
# Of the spread of the logits. Rounding leaves 2e-6 at most (33 families, raw and folded); the smallest difference of
# those that were found, a setting of attention that the library leaves out, is .1.
SAME = 1e-4
# Buffers that older files hold beside the weights: causal masks, and what is put where they are 0.
_MASKS = re.compile(r"(^|\.)(attn|attention)\.(bias|masked_bias)$|rotary_emb\.inv_freq$")
# What the library is known to do otherwise: a family, where config.json says this, and in words.
_LEFT_OUT: tuple[tuple[str, dict[str, object], str], ...] = (
    ("gpt2", {"scale_attn_weights": False}, "attention without its scale, scale_attn_weights=false"),
    ("gpt_neox", {"attention_bias": False}, "attention without biases, attention_bias=false"),
    ("cohere", {}, "that Cohere turns neighbouring coordinates for its rotary positions"),
    ("cohere2", {}, "that Cohere turns neighbouring coordinates for its rotary positions"),
)


def trained(path: str | Path) -> PreTrainedModel:
    """The model in a directory, in float32, each of its tensors read from the files and each of theirs used.

    Raises IncompleteModel, naming tensors, where the files lack one, have one more, or one of another shape than
    config.json says; NotTheSameModel where transformers cannot make the model.
    """
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            str(path), dtype=torch.float32, attn_implementation="eager", local_files_only=True, use_safetensors=True,
            trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    except Exception as error:  # whatever transformers comes up with for a configuration that it does not know
        raise NotTheSameModel(f"{_place(path)} cannot be loaded by transformers: {first_line(error)}") from None
    _check_tensors(_place(path), found)
    return model.eval()


def _check_tensors(where: str, found: dict[str, Any]) -> None:
    missing = sorted(found["missing_keys"])
    unexpected = sorted(name for name in found["unexpected_keys"] if not _MASKS.search(name))
    other = [f"{name} {list(theirs)}, not {list(own)}" for name, theirs, own in sorted(found["mismatched_keys"])]
    prefix = _prefix(missing, unexpected)
    if prefix:
        raise IncompleteModel(
            f"{where}: {len(unexpected)} tensors are named {prefix}*, as in {unexpected[0]}, and so none is found: a "
            f"wrapper of the model was saved; save the model inside it, or take {prefix!r} off the names"
        )
    problems = [("lacks", missing), ("has, without a place in the model,", unexpected), ("has other shapes:", other)]
    said = [f"the file {what} {_some(names)}" for what, names in problems if names]
    if said:
        raise IncompleteModel(
            f"{where}: {'; '.join(said)}: config.json and the weights are not of one model; save both again with "
            "save_pretrained"
        )


def _prefix(missing: Collection[str], unexpected: Collection[str]) -> str:
    """What stands before the names of all unexpected tensors and makes of them the missing ones; "" where nothing."""
    for wanted in missing:
        for name in unexpected:
            if name.endswith(f".{wanted}"):
                prefix = name.removesuffix(wanted)
                own = {one.removeprefix(prefix) for one in unexpected if one.startswith(prefix)}
                return prefix if len(own) == len(unexpected) and own <= set(missing) else ""
    return ""


def _some(names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


# --- the same model ---------------------------------------------------------------------------------------------------


def probe(model: PreTrainedModel, bos: Iterable[int]) -> Int[Tensor, "one pos"]:
    """A prompt that is always the same: BOS where there is one, then ids spread over the vocabulary, out of order."""
    words = int(model.get_input_embeddings().weight.shape[0])
    first = list(bos)
    length = min(PROBE, int(getattr(model.config, "max_position_embeddings", None) or PROBE))
    n = length - len(first)
    rest = [(2 * number + 1) * words // (2 * n) for number in sorted(range(n), key=lambda number: 5 * number % n)]
    return torch.tensor([first + rest], device=model.device)


def logits_of(model: Any, tokens: Int[Tensor, "one pos"]) -> Float[Tensor, "one pos d_vocab"]:
    """The logits of a model of Hugging Face's, or of one that was wrapped."""
    with torch.no_grad():
        made = model(tokens)
    return (made if isinstance(made, Tensor) else made.logits).clone()


def check_same(
    name: str,
    config: PretrainedConfig,
    wanted: Float[Tensor, "one pos d_vocab"],
    seen: Float[Tensor, "one pos d_vocab"],
) -> None:
    """NotTheSameModel, with the setting where it is known, where logits are not those of Hugging Face's own model.

    A difference counts from 1e-4 of the spread of the logits on: see SAME. A model that computes NaN or infinity is
    left to what is measured on it, which names the prompt.
    """
    if not wanted.isfinite().all():
        return
    off, spread = (seen - wanted).abs().max(), wanted.max() - wanted.min()
    if not off <= SAME * spread:
        why = left_out(config)
        raise NotTheSameModel(
            f"{name} would be run otherwise than it is: on one prompt logits differ by {off:.2g} from Hugging Face's "
            f"own forward pass, of a spread of {spread:.2g}; "
            + (
                f"transformer-lens leaves out {why}"
                if why
                else "transformer-lens does not know a setting of config.json"
            )
            + "; measure another model"
        )


def cannot_wrap(name: str, config: PretrainedConfig, error: Exception) -> NotTheSameModel:
    """The error for a model that the library cannot wrap, with the setting where it is known."""
    why = left_out(config) or first_line(error)
    return NotTheSameModel(
        f"{name} cannot be taken by transformer-lens ({config.model_type}): {why}; measure another model"
    )


def left_out(config: PretrainedConfig) -> str:
    """The setting of a configuration that the library is known to leave out; "" where none is known."""
    own = [entry for entry in _LEFT_OUT if entry[0] == config.model_type]
    return next((why for _, said, why in own if all(getattr(config, key) == said[key] for key in said)), "")


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _place(path: str | Path) -> str:
    return "/".join(Path(path).parts[-2:])
