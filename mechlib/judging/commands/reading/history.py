"""`mechlib history`: what a claim came to, from commit to commit."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mechlib.judging.commands.saying import printed, wrapped
from mechlib.judging.commands.suggestions import nearest
from mechlib.verdicts.lines import lines_of, read_line
from mechlib.verdicts.register import REGISTER, DamagedRegister, Judgement, Register

MOST = 12  # claims that are shown where a name fits many


class NoSuchClaim(ValueError):
    """The register knows no claim of that name."""


def add_command(commands: Any, root: Callable[[], Path]) -> None:
    """The subparser of `mechlib history`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "history", help="a claim's number, interval and verdict from commit to commit, as git has them"
    )
    parser.add_argument("claim", metavar="CLAIM", help="an id, as ioi.test_x[mini-0], or a part of some")
    parser.add_argument("--all", action="store_true", help=f"all that fit, where they are more than {MOST}")
    parser.set_defaults(run=lambda options: run(options, root()))


def run(options: argparse.Namespace, root: Path) -> int:
    """Prints what became of the claims at `root` that are named; the exit status."""
    return printed(_told(options, root), (NoSuchClaim, DamagedRegister))


def _told(options: argparse.Namespace, root: Path) -> Iterator[str]:
    from mechlib.report.content.history import history

    width = shutil.get_terminal_size((80, 24)).columns
    found = named(root, options.claim)
    register = Register(root / REGISTER, writable=False)
    shown = found if options.all else found[:MOST]
    past = history(root, shown)
    if not any(past.values()):
        raise NoSuchClaim(
            f"no commit here says what {options.claim} came to: it is not committed yet, or this is no git repository"
        )
    for claim in shown:
        yield from wrapped(claim, width, rest=2)
        points = with_bounds(past[claim], register.judgements(claim))
        yield from _lines(points, width) if points else ["  no committed report speaks of it"]
    if len(found) > len(shown):
        yield f"and {len(found) - len(shown)} more: --all, or name one"


def named(root: Path, asked: str) -> list[str]:
    """The ids that the register knows: the one that is named, else all that the words are in. Raises NoSuchClaim.

    `ioi.three_heads_restore`, as the page calls it, is `ioi.test_three_heads_restore`.
    """
    path = root / REGISTER
    known = dict.fromkeys(read_line(line, path, n).claim for n, line in enumerate(lines_of(path), start=1))
    found = [asked] if asked in known else [claim for claim in known if asked.lower() in claim.lower()]
    if not found and "." in asked and ".test_" not in asked:
        return named(root, asked.replace(".", ".test_", 1))
    if not found:
        near = nearest(asked, {name for claim in known for name in (claim, claim.partition("[")[0])})
        cure = f"did you mean {near[0]}?" if near else "`pytest --collect-only -q` lists the claims"
        raise NoSuchClaim(f"the register knows no {asked}: {cure}")
    return found


def with_bounds(points: Sequence[Any], judgements: Sequence[Judgement]) -> list[Any]:
    """The points with the bound that each was held against, as far as that is known.

    The first pages of a record named none; the register has had it since the first judgement. Where it changed there
    before a page named it, it is known of the first point alone.
    """
    bounds = [one.bound.replace(">=", "≥").replace("<=", "≤").replace("-", "−") for one in judgements]
    always = len(set(bounds)) == 1
    return [
        replace(point, bound=bounds[0])
        if bounds and (always or place == 0) and not point.bound and point.value is not None
        else point
        for place, point in enumerate(points)
    ]


def _lines(points: Sequence[Any], width: int) -> Iterator[str]:
    """A line a point; where the terminal is too narrow for it, several."""
    for point in points:
        said = f"{point.date} {point.commit}  {point.verdict:<12}  {_number(point)}"
        said += f"  {point.bound}" if point.bound else ""
        yield from wrapped(said, width, "  ", rest=6)
        yield from wrapped(point.subject, width, " " * 6, rest=6)


def _number(point: Any) -> str:
    if point.value is None:
        return ""
    return f"{point.value:g}" + (" exactly" if point.low is None else f" [{point.low:g}, {point.high:g}]")
