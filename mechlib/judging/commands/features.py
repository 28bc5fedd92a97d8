"""`mechlib sae`: sparse autoencoders trained on cached activations, and what is on record of one."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlib.judging.commands.saying import printed

if TYPE_CHECKING:
    from mechlib.lab.features.training.training import Progress

KINDS = ("standard", "topk", "jumprelu", "batchtopk", "matryoshka", "gated", "matching-pursuit")


def add_command(commands: Any) -> None:
    """The subparser of `mechlib sae`, with its own commands."""
    parser: argparse.ArgumentParser = commands.add_parser("sae", help="sparse autoencoders: train one, show its card")
    inner = parser.add_subparsers(title="commands", required=True)
    train: argparse.ArgumentParser = inner.add_parser(
        "train", help="train one on activations that `mechlib cache` wrote"
    )
    train.add_argument("--activations", required=True, type=Path, metavar="DIR", help="what `mechlib cache` wrote")
    train.add_argument("--hook", default="", metavar="NAME", help="which activation, where there are several")
    train.add_argument("--kind", choices=KINDS, default="topk", help="default topk")
    train.add_argument("--width", default="8x", metavar="N", help="features: 4608, or 8x the activation; default 8x")
    train.add_argument(
        "--k", type=int, default=16, metavar="N", help="active features, of kinds that choose so many; 16"
    )
    train.add_argument("--l1", type=float, default=1.0, metavar="X", help="sparsity term of the others; default 1")
    train.add_argument("--samples", type=int, default=1_000_000, metavar="N", help="rows to see; default 1,000,000")
    train.add_argument("--batch", type=int, default=1024, metavar="N", help="rows of a step; default 1024")
    train.add_argument("--rate", type=float, default=1e-3, metavar="X", help="of learning; default 0.001")
    train.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of weights and of the order of rows; default 0"
    )
    train.add_argument("--freeze", choices=("decoder", "encoder", "soft"), default="", help="a frozen twin")
    train.add_argument("--cosine", type=float, default=0.8, metavar="X", help="soft: least, with the start; default .8")
    train.add_argument(
        "--massive", type=float, metavar="X", help="leave out rows of more than X times the median norm; 10 is usual"
    )
    train.add_argument("--half", action="store_true", help="store float16")
    train.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to make")
    train.set_defaults(run=_running(_trained))
    show: argparse.ArgumentParser = inner.add_parser("show", help="the card of one: how it was made, L0, error, dead")
    show.add_argument("folder", type=Path, metavar="DIR")
    show.set_defaults(run=_running(_shown))


def _running(work: Callable[[argparse.Namespace], Iterator[str]]) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        """Does the work and prints its lines; the exit status. What cannot be done is one line on stderr."""
        return printed(work(options), (ValueError, OSError, ImportError))

    return run


def _trained(options: argparse.Namespace) -> Iterator[str]:
    from mechlib.lab.activation_cache import open_cache
    from mechlib.lab.features.rows import usual
    from mechlib.lab.features.training.recipes import Recipe, features_of
    from mechlib.lab.features.training.storing import Source, key_of
    from mechlib.lab.features.training.training import train

    cache = open_cache(options.activations, options.hook)
    model = cache.header["model"]
    recipe = Recipe(
        options.kind,
        features_of(options.width, cache.rows.shape[1]),
        k=options.k,
        l1=options.l1,
        seed=options.seed,
        samples=options.samples,
        batch=min(options.batch, options.samples),
        rate=options.rate,
        frozen=options.freeze,
        cosine=options.cosine,
    )
    rows, limit = (cache.rows, math.inf) if options.massive is None else usual(cache.rows, options.massive)
    source = Source(model["name"], key_of(model["weights"], model["processing"]), cache.hook, _command(), limit)
    train(rows, recipe, options.out, source, _Telling(recipe.batch), options.half)
    yield from _shown(argparse.Namespace(folder=options.out))


def _shown(options: argparse.Namespace) -> Iterator[str]:
    card = options.folder / "card.json"
    if not card.is_file():
        raise FileNotFoundError(f"{options.folder} has no card.json: name a folder that `mechlib sae train` wrote")
    said = json.loads(card.read_text(encoding="utf-8"))
    recipe = said["recipe"]
    yield f"{options.folder}: {recipe['kind']}, {recipe['features']} features of {said['hook']} of {said['model']}"
    yield (
        f"  on its {said['rows']:,} rows: L0 {said['l0']:.4g}, {said['unexplained']:.3%} of the variance unexplained, "
        f"{said['dead']} features dead"
    )
    if "frozen" in said:
        frozen = said["frozen"]
        yield (
            f"  softly frozen: cosine with the start {frozen['least cosine']:.3f} at least, "
            f"{frozen['mean cosine']:.3f} on average, {frozen['share at the limit']:.0%} at the limit of "
            f"{recipe['cosine']:g}; within it any direction is met with cosine {frozen['reach']:.2f}"
        )
    elif recipe["frozen"]:
        yield f"  its {recipe['frozen']} is frozen, and drawn again from seed {recipe['seed']}"
    yield f"  {said['command']}"


class _Telling:
    """How training goes, on stderr."""

    def __init__(self, batch: int) -> None:
        self.batch, self.began, self.first = batch, time.monotonic(), -1

    def __call__(self, now: Progress) -> None:
        took, seen = time.monotonic() - self.began, (now.step - max(self.first, 0)) * self.batch
        rate = f", {seen / took:,.0f} rows/s" if self.first >= 0 and took > 0 else ""
        if self.first < 0:  # a resumed run does not begin at 0
            self.began, self.first = time.monotonic(), now.step
        print(
            f"step {now.step} of {now.steps}: L0 {now.l0:.1f}, loss {now.loss:.4g}, {now.unexplained:.1%} of the "
            f"variance unexplained, {now.dead} features dead{rate}",
            file=sys.stderr,
            flush=True,
        )


def _command() -> str:
    return shlex.join(["mechlib", *sys.argv[1:]])
