"""All heads of pretrained models: ours beside TransformerLens, on sentences of indirect objects.

    MECHLIB_CACHE=... python benchmarks/bench_pretrained.py [smollm2-135m] [qwen2.5-coder-0.5b]

8 discovery prompts as the record asks them (`ioi(style="pretrained")`) that are equally long; the same weights and
token ids on all sides. Two rows a model: the exact sweep of all heads at the last position, and attribution patching
of all heads at all positions, which takes gradients of activations alone. Caching passes are included, and in ours the
check of the sweep against hooks. The sweep's peer is the library's `patching` utility, on one head of every third
layer, scaled; FULL=1 times all. Each row stands beside the fastest of HookedTransformer and TransformerBridge, and
of a later TransformerLens where OTHER_LENS names a Python that has one. Each side holds the weights, 2.5 GB of Qwen, so
that Qwen stands beside the Bridge alone, the faster one of the two:

    python -m venv later && later/bin/pip install torch==2.13.0 transformer-lens==4.3.0
    OTHER_LENS=later/bin/python python benchmarks/bench_pretrained.py

Seen in November 2026 on one busy core of 91 to 95 GFLOP/s, of smollm2-135m, with TransformerLens 3.9.0 and 4.3.0:

    sweep        46 to 48x beside the Bridge of 3.9, 48 to 49x of 4.3, 59 to 62x beside HookedTransformer
    attribution  2.8 to 3.2x beside the Bridge of 3.9, 2.4 to 2.8x of 4.3, 2.9 to 3.3x beside HookedTransformer

Who resumes from kept keys and values by hand, with all sets side by side, as `hooked=True` does, needs 3.3 times as
long as the sweep, not 46. Ours takes 1.7 to 1.9 times the memory of the Bridge, 2.2 GB: 0.4 for weights that stand a
second time, in the processor's order, 0.6 for what runs side by side.

Of a model that is not on this machine one line says so, and nothing is timed.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
from collections.abc import Callable
from typing import Any

import side_by_side as bench
from pretrained_peers import peer
from side_by_side import FULL, Side

HOOKED, BRIDGE = "HookedTransformer", "TransformerBridge"
PEERS = {"smollm2-135m": (HOOKED, BRIDGE), "qwen2.5-coder-0.5b": (BRIDGE,)}
PROMPTS, REPEATS = 8, 3
EACH = 3  # of so many layers one head of the peer is timed
GOALS = {"sweep last": 45, "attribution": 2}
WITHIN = 1e-4  # of the spread of all heads' effects, for equal numbers
OTHER_LENS = os.environ.get("OTHER_LENS")


def ours(name: str) -> dict[str, Callable[..., Any]]:
    import torch

    from mechlib import PromptSet, all_heads
    from mechlib.lab import attribution_patching, load, restored_by_patching
    from mechlib.lab.batching import batches
    from mechlib.lab.forward.families import network
    from mechlib.lab.interventions import sweep as engine
    from mechlib.prompts import ioi

    torch.set_num_threads(1)
    model = load(name)
    longest = max(batches(model, ioi(split="discovery", style="pretrained")), key=lambda one: len(one.tokens))
    prompts = PromptSet("ioi", "discovery", longest.prompts[:PROMPTS])
    every = all_heads(model.cfg.n_layers, model.cfg.n_heads)

    def given() -> tuple[tuple[Any, ...], dict[str, int]]:
        (batch,) = batches(model, prompts)
        ids = batch.tokens, batch.corrupted, torch.stack([batch.answer, batch.distractor], dim=1)
        net = network(model)
        shape = {"layers": net.n_layers, "heads": net.n_heads, "groups": net.n_groups * net.d_head}
        shape |= {"width": net.W_E.shape[1], "hidden": len(net.blocks[0].into)}
        return tuple(one.tolist() for one in ids), shape

    def sweep(hooked: bool = False) -> dict[str, float]:
        engine._RUNS.clear()  # as a first sweep: later ones of the same prompts are neither run nor checked again
        engine._SEEN.clear()
        return _means(restored_by_patching(model, prompts, every, hooked=hooked))

    def attribution() -> dict[str, float]:
        return _means(attribution_patching(model, prompts, every, "all"))

    return {"given": given, "sweep": sweep, "attribution": attribution, "rate": bench.rate}


def _means(found: Any) -> dict[str, float]:
    return dict(zip(found.columns, found.values.mean(0).tolist(), strict=True))


def multiplications(given: tuple[Any, ...], shape: dict[str, int]) -> float:
    """Multiplications and additions of a sweep of all heads at the last position, and of the two runs it starts from.

    Of the second run only positions from the first token on that differs. A head's own layer computes its MLP again,
    later ones everything.
    """
    prompts, length = len(given[0]), len(given[0][0])
    first = min(at for row in zip(given[0], given[1], strict=True) for at in range(length) if row[0][at] != row[1][at])
    width, groups, layers = shape["width"], shape["groups"], shape["layers"]
    mlp = 3 * width * shape["hidden"]
    layer = mlp + 2 * width**2 + 2 * width * groups + 2 * length * width
    again = shape["heads"] * sum(mlp + (layers - 1 - at) * layer for at in range(layers))
    return 2.0 * prompts * (again + (2 * length - first) * layers * layer)


def compare_sweep(
    model: str, mine: Side, others: dict[str, Side], given: tuple[Any, ...], shape: dict[str, int]
) -> bool:
    heads = [(layer, head) for layer in range(shape["layers"]) for head in range(shape["heads"])]
    several = heads if FULL else [(layer, 5 * layer % shape["heads"]) for layer in range(0, shape["layers"], EACH)]
    mine("sweep")  # what is done once for a model: weights are read, and reordered
    rates, taken, slow, theirs = [mine("rate")[0]], [], dict[str, float](), dict[str, dict[str, float]]()
    for name, other in others.items():
        total, slow[name] = other("passes")
        theirs[name] = {"total": total}
    for turn in range(REPEATS):
        found, seconds = mine("sweep")
        taken.append(seconds)
        for name, other in others.items():
            group = several[turn::REPEATS]
            effects, seconds = other("patched", group)
            theirs[name] |= {f"{layer}.{head}": one for (layer, head), one in zip(group, effects, strict=True)}
            slow[name] += seconds * len(heads) / len(several)
    rates.append(mine("rate")[0])
    memory = mine.memory()
    theirs["hooks of ours"], by_hand = mine("sweep", True)
    said = f"{len(several)} of {len(heads)} heads of the peer{'' if FULL else ', scaled'}"
    said += f"; by hand, through hooks on kept keys and values, {by_hand / statistics.median(taken):.1f}x"
    said += f"; {max(rates) / 1e9:.0f} GFLOP/s"
    limit = multiplications(given, shape) / max(rates)
    return told(model, "sweep last", found, statistics.median(taken), limit, memory, others, theirs, slow, said)


def compare_attribution(model: str, mine: Side, others: dict[str, Side]) -> bool:
    mine("attribution")
    taken, each = [], {name: list[float]() for name in others}
    theirs = dict[str, dict[str, float]]()
    for _ in range(2 * REPEATS):  # a second each: whatever else the machine does is much of it
        found, seconds = mine("attribution")
        taken.append(seconds)
        for name, other in others.items():
            theirs[name], seconds = other("attribution")
            each[name].append(seconds)
    slow = {name: min(several) for name, several in each.items()}
    said = f"all heads, all positions; the shortest of {2 * REPEATS}"
    return told(model, "attribution", found, min(taken), None, mine.memory(), others, theirs, slow, said)


def told(
    model: str,
    row: str,
    found: dict[str, float],
    seconds: float,
    limit: float | None,
    memory: float,
    others: dict[str, Side],
    theirs: dict[str, dict[str, float]],
    slow: dict[str, float],
    said: str,
) -> bool:
    """Equal numbers first, then the row beside the fastest of the peers."""
    heads = [one for name, one in found.items() if name != "total"]
    spread = max(heads) - min(heads)
    apart = {name: [abs(found[head] - one) for head, one in own.items()] for name, own in theirs.items()}
    for name, several in apart.items():
        equal = all(one <= WITHIN * spread for one in several)  # of NaN too
        assert equal, f"{row}, {name}: effects spread over {spread:.3g} differ by {max(several):.2g}"
    fastest = min(slow, key=lambda name: slow[name])
    each = ", ".join(f"{name} {one / seconds:.1f}x at {others[name].memory():.0f} MiB" for name, one in slow.items())
    return bench.record(
        f"{row}, {model}",
        GOALS[row],
        seconds,
        slow[fastest],
        limit,
        memory,
        others[fastest].memory(),
        max(map(max, apart.values())),
        f"{said}; effects spread over {spread:.2g}; beside {each}",
    )


def compare(model: str) -> list[bool]:
    """Whether each row of a model met its goal; none where the model is not on this machine."""
    from mechlib.checkpoints.checkpoint import WeightsMissing
    from mechlib.checkpoints.files import require_here
    from mechlib.checkpoints.resolve import checkpoint

    path, met = checkpoint(model).path, []
    try:
        require_here(checkpoint(model))
    except WeightsMissing as missing:
        print(f"skipped: {missing}")
        return []
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(Side(ours, model))
        given, shape = mine("given")[0]
        kinds: list[tuple[str, str | None]] = [(kind, None) for kind in PEERS[model]]
        kinds += [(BRIDGE, OTHER_LENS)] if OTHER_LENS else []
        sides = [stack.enter_context(Side(peer, path, kind, given, python=python)) for kind, python in kinds]
        others = {side("version")[0]: side for side in sides}
        for one in (
            lambda: compare_sweep(model, mine, others, given, shape),
            lambda: compare_attribution(model, mine, others),
        ):
            met.append(one())
            for side in (mine, *sides):
                side("forget")
    return met


def main() -> None:
    models = sys.argv[1:] or list(PEERS)
    unknown = [model for model in models if model not in PEERS]
    if unknown:
        sys.exit(f"no rows of {unknown[0]!r}: choose from {', '.join(PEERS)}")
    met = [one for model in models for one in compare(model)]
    if not all(met):
        sys.exit("a goal was missed")


if __name__ == "__main__":
    main()
