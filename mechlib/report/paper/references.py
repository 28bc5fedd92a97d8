"""docs/references.bib, kept by hand: an entry a work, as it is cited, listed and handed on.

A few lines of our own read it, for the record is judged with few packages and the file is one of ours: one field a
line, values in braces. A file of another form is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mechlib.report.outputs.escaping import escaped
from mechlib.report.paper.looking_up import CannotCite

FILE = Path("docs/references.bib")
_ENTRY = re.compile(r"@(\w+)\{([\w-]+),\n((?:[^\n]*\n)*?)\}\n?")
_FIELD = re.compile(r"\s*(\w+)\s*=\s*\{(.*)\},?\s*")
_NEEDED = ("author", "title", "year")
_LINKS = {"doi": "https://doi.org/", "eprint": "https://arxiv.org/abs/", "url": ""}


@dataclass(frozen=True)
class Reference:
    """One work: its fields, and the entry as it stands in the file."""

    key: str
    fields: Mapping[str, str]
    source: str

    @cached_property
    def authors(self) -> list[str]:
        """Full names, "Kevin Wang"."""
        return [" ".join(reversed(name.split(", ", 1))) for name in self._names if name != "others"]

    @property
    def _names(self) -> list[str]:
        return [name.strip().strip("{}") for name in self.fields["author"].split(" and ")]

    @property
    def label(self) -> str:
        """ "Wang et al. 2022"."""
        last = [name.partition(",")[0] for name in self._names]
        who = last[0] if len(last) == 1 else " and ".join(last) if len(last) == 2 else f"{last[0]} et al."
        return f"{who} {self.fields['year']}"

    @property
    def link(self) -> tuple[str, str]:
        """(what is shown, address): the DOI, else arXiv's number, else the page."""
        name = next(name for name in _LINKS if name in self.fields)
        value = self.fields[name]
        return {"doi": f"doi:{value}", "eprint": f"arXiv:{value}", "url": value}[name], _LINKS[name] + value

    @property
    def listed(self) -> str:
        """The entry of a list of references, as Markdown."""
        shown, address = self.link
        many = len(self.authors) > _MOST or "others" in self._names
        who = ", ".join(self.authors[:_MOST]) + " and others" * many
        where = self.fields.get("journal") or self.fields.get("booktitle") or ""
        said = f"{escaped(who)} ({self.fields['year']}). {escaped(self.fields['title'])}."
        return f"{said}{f' *{escaped(where)}*.' if where else ''} [{escaped(shown)}]({address})"


_MOST = 6  # authors that a list names


class References:
    """The works of a file by key; those that were cited, in the order of their labels."""

    def __init__(self, known: Mapping[str, Reference], problems: Iterable[str] = ()) -> None:
        self.known = known
        self.problems = tuple(problems)
        self.cited: set[str] = set()

    @classmethod
    def read(cls, path: Path) -> References:
        """The file's entries; what is wrong with it stands in `problems`, a line each."""
        if not path.is_file():
            return cls({})
        text = path.read_text(encoding="utf-8")
        entries = [_reference(match) for match in _ENTRY.finditer(text)]
        problems = [problem for entry in entries for problem in _lacking(entry)]
        keys = [entry.key for entry in entries]
        problems += [f"{FILE.as_posix()}: {key} stands there twice" for key in sorted(set(keys)) if keys.count(key) > 1]
        left = _ENTRY.sub("", text)
        left = re.sub(r"(?m)^%.*$", "", left).strip()
        if left:
            line = 1 + text[: text.find(left.split("\n")[0])].count("\n")
            problems.append(f"{FILE.as_posix()}:{line}: no entry of the form @kind{{key, field = {{value}}, one a line")
        return cls({entry.key: entry for entry in entries if not list(_lacking(entry))}, problems)

    def cite(self, key: str) -> str:
        """ "[Wang et al. 2022](#ref-wang2022)". Raises CannotCite where there is no such entry."""
        if key not in self.known:
            have = ", ".join(sorted(self.known)) or "none"
            raise CannotCite(f"{FILE.as_posix()} has no entry {key}: it has {have}")
        self.cited.add(key)
        return f"[{escaped(self.known[key].label)}](#ref-{key})"

    @property
    def in_order(self) -> list[Reference]:
        """The cited works as a list of references has them."""
        return sorted((self.known[key] for key in self.cited), key=lambda one: (one.label.casefold(), one.key))

    def uncited(self) -> Iterator[str]:
        """A line for each entry that no text cites."""
        yield from (
            f"{FILE.as_posix()}: {key} is never cited: cite it, or take it out"
            for key in self.known.keys() - self.cited
        )

    def listed(self) -> Iterator[str]:
        """The list of references, lines of Markdown."""
        for one in self.in_order:
            yield f'- <a id="ref-{one.key}"></a>{one.listed}'

    def bib(self) -> str:
        """The cited entries as they stand in the file."""
        return "\n".join(one.source.rstrip() + "\n" for one in self.in_order)


def _reference(match: re.Match[str]) -> Reference:
    fields = (found for line in match[3].splitlines() if (found := _FIELD.fullmatch(line)))
    return Reference(match[2], {found[1].lower(): found[2] for found in fields}, match[0])


def _lacking(entry: Reference) -> Iterator[str]:
    missing = [name for name in _NEEDED if not entry.fields.get(name)]
    missing += [] if any(name in entry.fields for name in _LINKS) else ["doi, eprint or url"]
    if missing:
        yield f"{FILE.as_posix()}: {entry.key} has no {', '.join(missing)}"
