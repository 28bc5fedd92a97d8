"""`mechlib cache`: a model's activations at hook points, over its own texts or given ones, to a folder on disk."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mechlib.checkpoints.checkpoint import WeightsMissing
from mechlib.checkpoints.described.details import in_bytes
from mechlib.judging.commands.saying import printed


def add_command(commands: Any) -> None:
    """The subparser of `mechlib cache`, which runs `run`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "cache", help="a model's activations at hook points, written to disk; `mechlib.lab.open_cache` maps them"
    )
    parser.add_argument("--model", required=True, metavar="NAME_OR_DIR", help="as `mechlib models` lists them")
    parser.add_argument(
        "--hook", required=True, action="append", metavar="NAME", help="as blocks.15.hook_resid_post; again for several"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to make")
    parser.add_argument("--tokens", type=int, metavar="N", help="how many to cache; of --text by default all")
    parser.add_argument(
        "--text", nargs="+", type=Path, default=[], metavar="FILE", help="each a text; default: what the model writes"
    )
    parser.add_argument("--lines", action="store_true", help="each line of a FILE is a text, behind a BOS of its own")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the model's own texts; default 0")
    parser.add_argument("--length", type=int, metavar="N", help="tokens that run in a row, BOS counted; default 128")
    parser.add_argument("--batch", type=int, metavar="N", help="rows that run together; default: 4096 tokens of them")
    parser.add_argument(
        "--positions",
        choices=("text", "all", "last"),
        default="text",
        help="all behind BOS, BOS too, or rows' last ones",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Caches what was asked for; the exit status. What cannot be done is one line on stderr."""
    from mechlib.lab.activation_cache.writing import CacheInUse, CannotWrite
    from mechlib.lab.hooks import HookDidNotFire, NoSuchHook

    refusals = (ValueError, OSError, WeightsMissing, NoSuchHook, HookDidNotFire, CannotWrite, CacheInUse)
    return printed(_cached(options), refusals)


def _cached(options: argparse.Namespace) -> Iterator[str]:
    from mechlib.lab.activation_cache.caching import cache_activations
    from mechlib.lab.activation_cache.rows import text_rows
    from mechlib.lab.activation_cache.sampling import sampled_rows
    from mechlib.lab.models.loading import load

    texts = _texts(options)  # before a model is loaded
    if options.tokens is None and not options.text:
        raise ValueError("the model's own texts have no end: say how many with --tokens, or give some with --text")
    model = load(options.model)
    source = (
        text_rows(model, texts, options.length) if options.text else sampled_rows(model, options.length, options.seed)
    )
    start, there = time.monotonic(), options.out.exists()
    cache = cache_activations(
        model, options.hook, source, options.out, options.tokens, options.positions, options.batch, progress=True
    )
    size = sum(file.stat().st_size for file in options.out.iterdir())
    took = "there already" if there else f"in {time.monotonic() - start:.0f} s"
    yield f"{options.out}: {len(cache.rows):,} tokens of {options.model}, {in_bytes(size)}, {took}"
    for name, entry in cache.header["hooks"].items():
        yield f"  {name}: {entry['width']} wide, float16"


def _texts(options: argparse.Namespace) -> list[str]:
    found = []
    for file in options.text:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{file} is not text in UTF-8: convert it") from None
        except OSError as error:
            raise ValueError(f"{file} cannot be read ({error.strerror}): name another file") from None
        found += [line for line in text.splitlines() if line.strip()] if options.lines else [text]
    return found
