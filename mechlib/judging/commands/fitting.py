"""What fits into this machine's memory: a model's weights, and one forward pass at a batch and a length, by dtype.

An estimate from sizes alone, before anything is loaded. A test compares it with what a mini takes.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mechlib.checkpoints.checkpoint import Checkpoint, Dtype, IncompleteModel, WeightsMissing
from mechlib.checkpoints.described import details
from mechlib.checkpoints.described.details import in_bytes
from mechlib.checkpoints.described.memory import memory
from mechlib.checkpoints.hub import HUB
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.reading import json_of
from mechlib.checkpoints.resolve import checkpoint, plan_of

BATCH, LENGTH = 32, 128
LIBRARIES = 500_000_000  # bytes that torch, transformers and the rest take before a model is there
D_HEAD = 64  # where a model is not here, and only its width is known
_JOINT = ("gpt2", "gpt_neox")  # whose queries, keys and values are one matrix, which hooks want apart: both stand there
_BYTES: dict[Dtype, int] = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Need:
    """Bytes that a model takes in one dtype: weights, a forward pass over a batch, and the most that loading takes."""

    weights: int
    activations: int
    loading: int

    @property
    def total(self) -> int:
        """The most that is taken at a time, libraries included."""
        return LIBRARIES + max(self.loading, self.weights + self.activations)


def needed(model: Checkpoint, batch: int = BATCH, length: int = LENGTH, dtype: Dtype = "float32") -> Need:
    """What a forward pass with logits at all positions takes, without gradients.

    At each token stand the stream and its copies, the keys and values of every layer, and the largest of three: an
    MLP's hidden layer, the scores of attention, which are softmaxed in float32, and the logits, which metrics read in
    float32. Weights are read in float32 first, whatever they are computed with. Of models with a large vocabulary the
    estimate is within a tenth of what is seen; of a mini, where an allocator's habits count as much, within a half and
    twice.
    Raises IncompleteModel or WeightsMissing where neither files nor a table say how large a model is.
    """
    size, each = _sizes(model), _BYTES[dtype]
    parameters = memory(model).parameters + size["joint"]
    stream = (6 * size["width"] + 2 * size["layers"] * size["keys"]) * each
    mlp = 3 * size["mlp"] * each
    scores = size["heads"] * length * (3 * each + 4)
    logits = size["vocabulary"] * (each if dtype == "float32" else each + 4)
    return Need(each * parameters, batch * length * (stream + max(mlp, scores, logits)), 4 * parameters)


def free_memory() -> int | None:
    """Bytes that a process can still have: what the system says, or a container's limit leaves; None if it cannot be
    known."""
    found = [one for one in (_available(), _left_in_container()) if one is not None]
    return min(found) if found else None


def add_options(models: argparse.ArgumentParser) -> None:
    """`--batch` and `--length` of `mechlib models`."""
    models.add_argument("--batch", type=_positive, default=BATCH, metavar="N", help="texts that are to fit at a time")
    models.add_argument("--length", type=_positive, default=LENGTH, metavar="N", help="tokens of each of them")


def fits(name: str, root: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    """By dtype the bytes that are needed, and "in", the first dtype that fits what is free: "no" where none does, ""
    where it cannot be known."""
    model, free, batch, length = checkpoint(name, root), free_memory(), options.batch, options.length
    try:
        length = min(length, _sizes(model)["context"] or length)
        needs = {dtype: needed(model, batch, length, dtype) for dtype in get_args(Dtype)}
    except (IncompleteModel, WeightsMissing):
        return {"in": "", "free": free, "batch": batch, "length": length}
    first = next((dtype for dtype, need in needs.items() if free is not None and need.total <= free), "no")
    said = {
        dtype: {"weights": need.weights, "activations": need.activations, "loading": need.loading, "total": need.total}
        for dtype, need in needs.items()
    }
    return {"in": first if free is not None else "", "free": free, "batch": batch, "length": length, **said}


def in_full(model: dict[str, Any]) -> str:
    """Everything that is known about a model, and a line for each dtype."""
    found, lines = model["fits"], [details.in_full(model)]
    for dtype in [dtype for dtype in get_args(Dtype) if dtype in found]:
        need = found[dtype]
        word = "" if found["free"] is None else ": fits" if need["total"] <= found["free"] else ": does not fit"
        lines.append(
            f"  {dtype.ljust(12)}  {in_bytes(need['weights'])} of weights, {in_bytes(need['activations'])} for "
            f"{found['batch']} texts of {found['length']} tokens, {in_bytes(need['total'])} at most with "
            f"libraries{word}"
        )
    return "\n".join(lines)


def footer(options: argparse.Namespace) -> str:
    """What the column "fits" means, and how much is free."""
    free = free_memory()
    there = "what is free cannot be told here" if free is None else f"{in_bytes(free)} are free"
    return (
        f"fits: in which dtype a forward pass over {options.batch} texts of {options.length} tokens does, or of as "
        f"many as the context has, libraries included; {there}. --batch, --length: others"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: give 1 or more")
    return number


def _sizes(model: Checkpoint) -> dict[str, int]:
    """Layers, width, heads, width of all keys of a layer, hidden width of an MLP, vocabulary, parameters that stand
    twice, and context (0: unknown); of a model that is not here from its table."""
    if (plan := plan_of(model.parent)) is not None:
        config = {name: getattr(plan, name) for name in ("n_layers", "d_model", "n_heads", "d_head", "d_mlp", "n_ctx")}
        config["vocab_size"] = len(plan.vocabulary)
    else:
        config = json_of(model.path / "config.json")
    if not config and model.parent in {**HUB, **PACKAGED}:
        shape = (HUB[model.parent] if model.parent in HUB else PACKAGED[model.parent]).shape
        config = {"n_layers": shape.layers, "d_model": shape.width, "vocab_size": shape.vocabulary}

    def first(*keys: str, default: int = 0) -> int:
        return next((int(config[key]) for key in keys if config.get(key)), default)

    width = first("n_embd", "hidden_size", "d_model")
    heads = first("n_head", "num_attention_heads", "n_heads", default=max(1, width // D_HEAD))
    groups = first("num_key_value_heads", "n_key_value_heads", default=heads)
    return {
        "layers": first("n_layer", "num_hidden_layers", "n_layers"),
        "width": width,
        "heads": heads,
        "keys": groups * first("head_dim", "d_head", default=width // heads),
        "mlp": first("n_inner", "intermediate_size", "d_mlp", default=4 * width),
        "vocabulary": first("vocab_size", "d_vocab"),
        "joint": 3 * width * width * first("n_layer", "num_hidden_layers") if config.get("model_type") in _JOINT else 0,
        "context": first("n_positions", "max_position_embeddings", "n_ctx"),
    }


def _available() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # macOS says how much there is in all
    except (AttributeError, OSError, ValueError):
        return None


def _left_in_container(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    try:
        most, used = ((folder / name).read_text(encoding="utf-8").strip() for name in ("memory.max", "memory.current"))
        return max(0, int(most) - int(used))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return None
