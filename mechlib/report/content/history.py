"""What became of a claim from commit to commit: its number, interval and word, read off the committed pages.

REPORT.md, and the pages in artifacts/record, say of each commit what the record came to; nothing is judged again. The
main line alone is followed: what lay on a branch was not yet the record's. A claim that is renamed begins anew.
"""

from __future__ import annotations

import functools
import html
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mechlib.report.content.claim_rows import slug
from mechlib.verdicts.words import WORDINGS

PAGES = ("REPORT.md", "artifacts/record")
GONE = "–"  # in the place of a word: the claim does not stand in this commit, and did in the one before
_LONGEST = 30  # seconds that git may take; without its answer there is no history
_ANCHOR = re.compile(r'<a id="([^"]+)">')
_BOUND = re.compile(r"Claimed: (.*?)(?:\. |\.?$)")
_CELL = re.compile(r"(?<!\\)\|")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Point:
    """What a claim on one model came to in one commit, as the committed page says it: rounded as it is shown.

    commit   the hash, shortened; `date` is when it was committed, as in 2026-11-29, `subject` its first line
    verdict  one of the words of a verdict, or GONE
    value    the estimate; None where none was reached. `low` and `high` end its interval, None of an exact number
    bound    what was claimed, as text: "≥ 0.40"
    """

    commit: str
    date: str
    subject: str
    verdict: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: str = ""


@dataclass(frozen=True)
class _Commit:
    """A commit of the main line and the pages that stood in it, each by path and blob."""

    name: str
    date: str
    subject: str
    pages: Mapping[str, str]


_Said = tuple[str, float | None, float | None, float | None, str]  # verdict, value, low, high, bound
_Place = tuple[str, str]  # a claim's anchor, and the model of a row below it
_State = tuple[_Commit, dict[_Place, _Said]]


def history(root: Path, ids: Iterable[str]) -> dict[str, list[Point]]:
    """Of each claim ("topic.function[case]") the commits in which something else was said of it, the oldest first.

    [] where no commit speaks of it, where there is no git, and where `root` is in none of its repositories.
    """
    wanted = list(ids)
    states = _states(root, _head(root))
    named = {slug(model): model for _, said in states for _, model in said if model}
    models = {case: named[case] for case in sorted(named, key=len, reverse=True)}
    return {one: list(_points(states, _places(one, models))) for one in wanted}


def _points(states: list[_State], places: list[_Place]) -> Iterator[Point]:
    """The points at which what is said of a claim changes; `places` are the rows in which it may stand."""
    last: _Said | None = None
    for commit, said in states:
        found = next((said[place] for place in places if place in said), None)
        if found == last or (found and last and found[:4] == last[:4] and not last[4]):  # the first pages had no bounds
            continue
        yield Point(commit.name, commit.date, commit.subject, *(found or (GONE, None, None, None, "")))
        last = found


def _places(claim: str, models: Mapping[str, str]) -> list[_Place]:
    """Under which anchor and in which model's row a claim may stand: its case names the model, and what else varies.

    models  by what they are called in a case, the longest first
    """
    function, _, case = claim.removesuffix("]").partition("[")
    topic, _, name = function.rpartition(".")
    stem = f"{topic}.{name.removeprefix('test_')}"
    places = [(slug(f"{stem}[{case}]"), "")]
    for named, model in models.items():
        if named in case:
            places.append((slug(f"{stem}[{case.replace(named, '', 1).replace('--', '-').strip('-')}]"), model))
    return places


# --- from git -----------------------------------------------------------------------------------------------------


def _git(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    """What git says; nothing where it does not answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], input=given, capture_output=True, env=environment, timeout=_LONGEST
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return b"" if done.returncode else done.stdout


def _head(root: Path) -> str:
    return _git(root, "rev-parse", "--verify", "-q", "HEAD").decode().strip()


@functools.lru_cache(maxsize=4)
def _states(root: Path, head: str) -> list[_State]:
    """Every commit of the main line that changed a page, the oldest first, with what its pages say of each claim."""
    commits = list(_commits(root)) if head else []
    blobs = list(dict.fromkeys(blob for commit in commits for blob in commit.pages.values()))
    pages = dict(zip(blobs, _contents(root, blobs), strict=True))
    read = {blob: dict(_rows(text)) for blob, text in pages.items()}
    return [(commit, {k: v for blob in commit.pages.values() for k, v in read[blob].items()}) for commit in commits]


def _commits(root: Path) -> Iterator[_Commit]:
    log = ("log", "--first-parent", "--diff-merges=first-parent", "--reverse", "--raw", "--no-abbrev", "--no-renames")
    said = _git(root, *log, "--relative", "--format=%x00%H%x09%cs%x09%s", "--", *PAGES).decode(errors="replace")
    pages: dict[str, str] = {}
    for entry in said.split("\0")[1:]:
        head, *lines = entry.split("\n")
        for line in filter(None, lines):
            changed, _, path = line.partition("\t")
            if path.endswith(".md"):
                pages[path] = changed.split()[3]  # of a page that was removed zeros, which are the hash of nothing
        name, date, subject = head.split("\t", 2)
        yield _Commit(name[:8], date, subject, dict(pages))


def _contents(root: Path, blobs: list[str]) -> Iterator[str]:
    """The texts of blobs, asked for at once; empty ones where git does not answer."""
    said = _git(root, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in blobs).encode()) if blobs else b""
    at = 0
    for _ in blobs:
        end = said.find(b"\n", at)
        size = int(said[at:end].split()[2]) if end > at and not said[at:end].endswith(b"missing") else -1
        yield said[end + 1 : end + 1 + size].decode(errors="replace") if size >= 0 else ""
        at = end + 1 + size + 1


# --- from a page --------------------------------------------------------------------------------------------------


def _rows(page: str) -> Iterator[tuple[_Place, _Said]]:
    """What a page says of each claim: ((anchor, model), what is said), from the tables that have both columns.

    The anchor of a claim stands above its table, that of one of its cases in the first row of the case.
    """
    anchors: list[str] = []
    heads: list[str] = []
    bound = ""
    told = False  # whether the table at hand says of models what came out
    for line in page.split("\n"):
        if line.startswith("|") and anchors:
            if not heads:
                heads = [cell.strip() for cell in line[1:-1].split("|")]
                told = "model" in heads and "verdict" in heads
            elif told and not line.startswith(("|-", "| -", "|:", "| :")):
                anchors = (_ANCHOR.findall(line) if "<a" in line else None) or anchors
                cells = _CELL.split(line)[1:-1] if "\\|" in line else line[1:-1].split("|")
                said = dict(zip(heads, map(str.strip, cells), strict=False))
                yield from (row for anchor in anchors for row in _row(said, anchor, bound))
            continue
        heads = []
        if line.startswith("<a") and (found := _ANCHOR.findall(line)):
            anchors, bound = found, ""
        elif line.startswith(("# ", "## ")):
            anchors = []
        elif not bound and "Claimed: " in line and (claimed := _BOUND.search(line)):
            bound = _plain(claimed[1])


def _row(cells: dict[str, str], anchor: str, bound: str) -> Iterator[tuple[_Place, _Said]]:
    word = next((word for word in WORDINGS if word in cells.get("verdict", "")), "")
    if not word:
        return
    value, *_ = (*_numbers(cells.get("estimate", "")), None)
    low, high = (*_numbers(cells.get("95 % interval", "")), None, None)[:2]
    claimed = _plain(cells["claimed"]) if cells.get("claimed") else bound
    for named in _plain(cells["model"]).split(", "):  # models that did not run share a line
        model = named.partition(" (")[0]
        yield (anchor, "" if model == "no one model" else model), (word, value, low, high, claimed)


def _numbers(text: str) -> list[float]:
    return [float(found) for found in _NUMBER.findall(text.replace("−", "-"))] if text else []


def _plain(cell: str) -> str:
    """A cell as it reads: without escapes."""
    return html.unescape(re.sub(r"\\([\\`*_{}\[\]|#$~])", r"\1", cell)).strip()
