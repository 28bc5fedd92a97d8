"""Caching: a model's activations at hook points, streamed to disk batch by batch.

Memory holds one batch, however many tokens are asked for. A process that was killed goes on behind its last whole
batch, and what it writes is the same to the byte, on one machine with one number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from mechlib.lab.activation_cache.reading import PLACES, TOKENS, ActivationCache, identity, open_cache
from mechlib.lab.activation_cache.rows import TokenRows
from mechlib.lab.activation_cache.running import row_activations, shapes
from mechlib.lab.activation_cache.writing import Array, Writer, writing
from mechlib.lab.models.loading import Model, checkpoint_of

Positions = Literal["text", "all", "last"]

TOGETHER = 4096  # tokens that run in one batch by default: weights are read once for all of them
LARGEST = 65_504.0  # float16's largest number
_IDLE = 1000  # texts in a row that may end at once before it is said
_LIBRARIES = ("torch", "transformers", "transformer-lens")


def cache_activations(
    model: Model,
    hooks: str | Sequence[str],
    rows: TokenRows,
    folder: Path | str,
    tokens: int | None = None,
    positions: Positions = "text",
    batch: int | None = None,
    progress: bool = False,
) -> ActivationCache:
    """Runs the model on these rows, writes the activations of hooks to a folder, and opens it at the first hook.

    hooks      names, as in "blocks.3.hook_resid_post"; heads of one activation stand side by side
    rows       of `sampled_rows`, `text_rows` or `token_rows`
    folder     made when all is written; until then it is called `folder.partial`, and the same call goes on with it
    tokens     how many positions to keep, as many as the rows have where it is left out
    positions  "text": all behind BOS, whose activations are like no others. "all": BOS too. "last": of rows the last
    batch      rows that run together; default: as many as make 4096 tokens
    progress   show tokens a second on stderr

    What is there already, of the same model, hooks, rows, positions and batch, is opened and not made again.
    Raises NoSuchHook; ValueError for NaN, infinity and numbers that float16 does not have (naming hook, text and
    position), for more tokens than the rows have, and for a hook without a vector for each token; NotThisCache (a
    ValueError) for a folder that holds something else; CannotWrite where the disk is full; CacheInUse.
    """
    names = tuple(dict.fromkeys([hooks] if isinstance(hooks, str) else hooks))
    if not names:
        raise ValueError("no hooks: name one, as in 'blocks.0.hook_resid_post'")
    if positions not in get_args(Positions):
        raise ValueError(f"no positions {positions!r}: choose one of {', '.join(get_args(Positions))}")
    batch = max(1, TOGETHER // rows.length) if batch is None else batch
    if batch < 1:
        raise ValueError(f"batches of {batch} rows: run 1 or more together")
    plan = _plan(model, names, rows, tokens, positions, batch)
    target = Path(folder)
    with writing(target, plan.arrays, plan.request) as writer:
        if writer is not None:
            with _bar(writer, progress) as bar:
                for made in _batches(model, plan, writer):
                    writer.append(*made)
                    bar.update(writer.progress.rows - bar.n)
            writer.finish({"versions": {name: metadata.version(name) for name in _LIBRARIES}}, target)
    return open_cache(target, names[0])


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be written: hooks with their files, rows in order, and how they are run."""

    hooks: Mapping[str, str]
    arrays: tuple[Array, ...]
    rows: TokenRows
    positions: Positions
    batch: int
    request: Mapping[str, Any]


def _plan(
    model: Model, names: Sequence[str], rows: TokenRows, tokens: int | None, positions: Positions, batch: int
) -> _Plan:
    count = _count(rows, tokens, positions)
    widths = shapes(model, names)
    hooks = {name: f"{name}.npy" for name in names}
    entries = {
        name: {"file": hooks[name], "width": prod(shape), "shape": list(shape)} for name, shape in widths.items()
    }
    arrays = [Array(hooks[name], "<f2", (prod(shape),)) for name, shape in widths.items()]
    arrays += [Array(TOKENS, "<i4", ()), Array(PLACES, "<i4", (2,))]
    request = {
        "model": identity(checkpoint_of(model)),
        "text": dict(rows.said),
        "positions": positions,
        "rows": count,
        "dtype": "float16",
        "batch": batch,
        "hooks": entries,
    }
    return _Plan(hooks, tuple(arrays), rows, positions, batch, request)


def _count(rows: TokenRows, tokens: int | None, positions: Positions) -> int:
    """How many rows the arrays will have; ValueError where the texts do not have as many."""
    if tokens is not None and tokens < 1:
        raise ValueError(f"{tokens} tokens: cache 1 or more")
    if rows.lengths is None:
        if tokens is None:
            raise ValueError("the model's own texts have no end: say how many tokens to cache")
        return tokens
    there = sum(len(_kept(length, rows.lead, positions)) for length in rows.lengths)
    if not there or (tokens or 0) > there:
        raise ValueError(
            f"the texts have {there:,} tokens to cache, {tokens or 1:,} were asked for: give more, or ask for fewer"
        )
    return tokens or there


def _kept(length: int, lead: int, positions: Positions) -> range:
    """The positions of a row that are written."""
    first = {"all": 0, "text": lead, "last": max(lead, length - 1)}[positions]
    return range(first, length)


def _batches(model: Model, plan: _Plan, writer: Writer) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """What is appended next, and the text that comes after, until all rows are written."""
    idle = 0
    while (missing := writer.total - writer.progress.rows) > 0:
        start = writer.progress.text
        several = plan.rows.read(start, start + plan.batch)
        used = [_kept(len(row), plan.rows.lead, plan.positions) for row in several]
        if idle > _IDLE:
            raise ValueError(f"{checkpoint_of(model).name} ends its texts before they begin: give texts")
        idle = idle + len(several) if not any(used) else 0
        places = [(start + number, at) for number, kept in enumerate(used) for at in kept][:missing]
        made: dict[str, np.ndarray] = {
            PLACES: np.array(places, np.int32).reshape(-1, 2),
            TOKENS: np.array([several[text - start][at] for text, at in places], np.int32),
        }
        yield made | _activations(model, plan, several, made[PLACES], start), start + len(several)


def _activations(
    model: Model, plan: _Plan, several: list[list[int]], places: np.ndarray, start: int
) -> dict[str, np.ndarray]:
    """By file, the activations at these places of these rows, the first of which has the number `start`: float16."""
    parts: dict[str, list[np.ndarray]] = {file: [] for file in plan.hooks.values()}
    for together, found in row_activations(model, several, tuple(plan.hooks)):
        own = places[(places[:, 0] >= start) & (places[:, 0] < start + len(together))]
        text, at = torch.from_numpy(own.astype(np.int64)).unbind(1)
        for name, activation in found.items():
            taken = activation[(text - start).to(activation.device), at.to(activation.device)]
            _require_representable(model, name, taken, own)
            parts[plan.hooks[name]].append(taken.half().cpu().numpy())
        start += len(together)
    return {file: np.concatenate(own) for file, own in parts.items()}


def _require_representable(model: Model, hook: str, taken: Float[Tensor, "rows width"], places: np.ndarray) -> None:
    """ValueError, naming hook, text and position, for what float16 does not have."""
    if not taken.numel():
        return
    low, high = taken.aminmax()
    if bool(low >= -LARGEST) and bool(high <= LARGEST):
        return
    largest = taken.abs().amax(1)
    odd = largest.isfinite().logical_not()
    worst = int(odd.nonzero()[0] if odd.any() else largest.argmax())
    where = f"{hook} of {checkpoint_of(model).name} at position {places[worst, 1]} of text {places[worst, 0]}"
    if odd.any():
        raise ValueError(f"{where} is NaN or infinite: look for damaged weights, or activations too large for float32")
    raise ValueError(
        f"{where} has an entry of size {float(largest[worst]):,.0f}, and float16 ends at {LARGEST:,.0f}: cache another "
        "layer, or the stream behind a norm, as in blocks.0.ln1.hook_out"
    )


def _bar(writer: Writer, shown: bool) -> tqdm:
    done = writer.progress.rows
    return tqdm(total=writer.total, initial=done, unit="token", unit_scale=True, disable=not shown, desc="cache")
