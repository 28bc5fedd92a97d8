"""Attribution patching of all heads, EAP of all edges: ours beside TransformerLens's hooks, on GPT-2 small's shape.

    python benchmarks/bench_gradients.py

32 pairs of 16 tokens that differ everywhere. The peer takes gradients of activations alone, none of weights, and for
EAP adds up scores reader by reader while it goes backwards, as public implementations do.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import side_by_side as bench
from side_by_side import HEADS, HIDDEN, LAYERS, LENGTH, PAIRS, WIDTH, Side

GOALS = {"attribution": 2, "eap": 5.5}
MEMORY = 0.6  # of the peer's, for EAP
WITHIN, REPEATS = 1e-4, 3


def ours(path: Path) -> dict[str, Callable[..., Any]]:
    from mechlib import all_heads
    from mechlib.lab import attribution_patching, edge_scores

    model, prompts = bench.ours(path)

    def attribution() -> dict[str, float]:
        found = attribution_patching(model, prompts, all_heads(LAYERS, HEADS), "all")
        return dict(zip(found.columns, found.values.mean(0).tolist(), strict=True))

    def eap() -> dict[str, float]:
        found = edge_scores(model, prompts, "EAP")
        return dict(zip(found.columns, found.values[0].tolist(), strict=True))

    return {"attribution": attribution, "eap": eap, "rate": bench.rate}


def peer(path: Path) -> dict[str, Callable[..., Any]]:
    import torch

    model, clean, other, words = bench.peers(path)

    def metric(logits: torch.Tensor) -> torch.Tensor:
        answer, distractor = logits[:, -1].gather(1, words).unbind(1)
        return (answer - distractor).mean()

    def rooted(embedded: torch.Tensor, hook: Any) -> torch.Tensor:
        return embedded.requires_grad_()  # no weight asks for a gradient, so the input must

    def attribution() -> dict[str, float]:
        model.reset_hooks()
        with torch.no_grad():
            logits, cache = model.run_with_cache(clean, names_filter=lambda name: name.endswith("hook_z"))
        found: dict[str, float] = {"total": float(metric(logits))}
        held: dict[str, torch.Tensor] = {}

        def keep(z: torch.Tensor, hook: Any) -> None:
            held[hook.name] = z.detach()

        def score(gradient: torch.Tensor, hook: Any) -> None:
            effects = ((cache[hook.name] - held[hook.name]) * gradient).sum((0, 1, 3))
            found.update({f"{hook.layer()}.{head}": float(one) for head, one in enumerate(effects)})

        for name in cache:
            model.add_hook(name, keep)
            model.add_hook(name, score, "bwd")
        model.add_hook("hook_embed", rooted)
        value = metric(model(other))
        value.backward()
        model.reset_hooks()
        return found | {"total": found["total"] - float(value)}

    def eap() -> dict[str, float]:
        for ask in (model.set_use_attn_result, model.set_use_split_qkv_input, model.set_use_hook_mlp_in):
            ask(True)
        try:
            return _eap(model, clean, other, metric, rooted)
        finally:
            for ask in (model.set_use_attn_result, model.set_use_split_qkv_input, model.set_use_hook_mlp_in):
                ask(False)

    return {"attribution": attribution, "eap": eap}


def _eap(model: Any, clean: Any, other: Any, metric: Callable[..., Any], rooted: Any) -> dict[str, float]:
    import torch

    sources = ["input", *(name for at in range(LAYERS) for name in (*(f"{at}.{h}" for h in range(HEADS)), f"mlp {at}"))]
    first = [1 + at * (HEADS + 1) for at in range(LAYERS + 1)]
    moved = torch.zeros(len(sources), *clean.shape, WIDTH)
    found: dict[str, float] = {}

    def writes(sign: float) -> list[tuple[str, Callable[..., None]]]:
        def whole(place: int) -> Callable[..., None]:
            def add(made: torch.Tensor, hook: Any) -> None:
                moved[place] += sign * made.detach()

            return add

        def by_head(place: int) -> Callable[..., None]:
            def add(made: torch.Tensor, hook: Any) -> None:
                moved[place : place + HEADS] += sign * made.detach().movedim(2, 0)

            return add

        hooks = [("blocks.0.hook_resid_pre", whole(0))]
        for at in range(LAYERS):
            hooks += [(f"blocks.{at}.attn.hook_result", by_head(first[at]))]
            hooks += [(f"blocks.{at}.hook_mlp_out", whole(first[at] + HEADS))]
        return hooks

    def scores(before: int, readers: list[str]) -> Callable[..., None]:
        def add(gradient: torch.Tensor, hook: Any) -> None:
            gradient = gradient if gradient.ndim == 4 else gradient.unsqueeze(2)
            made = torch.einsum("sbpm,bprm->sr", moved[:before], gradient)
            for source, row in zip(sources, made.tolist(), strict=False):
                found.update({f"{source}->{reader}": one for reader, one in zip(readers, row, strict=True)})

        return add

    backward = [(f"blocks.{LAYERS - 1}.hook_resid_post", scores(len(sources), ["logits"]))]
    for at in range(LAYERS):
        backward.append((f"blocks.{at}.hook_mlp_in", scores(first[at] + HEADS, [f"mlp {at}"])))
        for input in "qkv":
            readers = [f"{at}.{head}.{input}" for head in range(HEADS)]
            backward.append((f"blocks.{at}.hook_{input}_input", scores(first[at], readers)))
    with torch.no_grad(), model.hooks(fwd_hooks=writes(-1.0)):
        model(other)
    with model.hooks(fwd_hooks=[("hook_embed", rooted), *writes(1.0)], bwd_hooks=backward):
        metric(model(clean)).backward()
    return found


def multiplications(name: str) -> float:
    """Two passes forwards and one back, and for EAP each edge's product, with what readers and heads are split for."""
    layer = LENGTH * (2 * WIDTH * HIDDEN + 4 * WIDTH**2 + 2 * LENGTH * WIDTH)
    passes = 3 * LAYERS * layer
    if name == "attribution":
        return 2.0 * PAIRS * passes
    heads = LAYERS * LENGTH * 4 * WIDTH**2  # q, k, v of each head back to the stream, and what each head writes
    edges = sum((1 + at * (HEADS + 1)) * 3 * HEADS + (1 + at * (HEADS + 1) + HEADS) for at in range(LAYERS))
    return 2.0 * PAIRS * (passes + heads + (edges + 1 + LAYERS * (HEADS + 1)) * LENGTH * WIDTH)


def compare(name: str, path: Path) -> bool:
    with Side(ours, path) as mine, Side(peer, path) as other:
        rates, taken, slow = [mine("rate")[0]], [], []
        for _ in range(REPEATS):
            found, seconds = mine(name)
            taken.append(seconds)
            if len(slow) < (REPEATS if name == "attribution" else 1):
                theirs, seconds = other(name)
                slow.append(seconds)
        rates.append(mine("rate")[0])
        assert found.keys() == theirs.keys(), f"{len(found)} scores of ours, {len(theirs)} of the peer"
        off = max(abs(found[one] - theirs[one]) for one in theirs)
        largest = max(map(abs, theirs.values()))
        assert off <= WITHIN * largest, f"{name}: scores of {largest:.3g} differ by {off:.2g}"
        memory, more = mine.memory(), other.memory()
        return bench.record(
            name,
            GOALS[name],
            statistics.median(taken),
            statistics.median(slow),
            multiplications(name) / max(rates),
            memory,
            more,
            off,
            f"{len(theirs):,} scores up to {largest:.2g}; {max(rates) / 1e9:.0f} GFLOP/s",
            missed=f"more than {MEMORY} of the peer's memory" if name == "eap" and memory > MEMORY * more else "",
        )


def main() -> None:
    path = bench.directory()
    try:
        met = [compare(name, path) for name in GOALS]
    finally:
        shutil.rmtree(path)
    if not all(met):
        sys.exit("a goal was missed")


if __name__ == "__main__":
    main()
