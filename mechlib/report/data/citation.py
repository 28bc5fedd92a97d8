"""How the record is cited: CITATION.cff at its root, and the same as BibTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CITATION = "CITATION.cff"
_FIELD = re.compile(r"^(?:  - )?([a-z-]+): +(.+?) *$")
_TEX = str.maketrans({sign: f"\\{sign}" for sign in "&%$#_{}"})


@dataclass(frozen=True)
class Citation:
    """What CITATION.cff says of the record. A field that it does not have is empty."""

    title: str = ""
    authors: tuple[str, ...] = ()
    version: str = ""
    date: str = ""
    license: str = ""
    abstract: str = ""
    url: str = ""


def citation(root: Path) -> Citation | None:
    """What CITATION.cff at `root` says; None where there is none.

    One field a line, authors by `name`, and no more of YAML than that: judging goes without a library for it.
    """
    path = root / CITATION
    if not path.is_file():
        return None
    said: dict[str, str] = {}
    authors = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := _FIELD.match(line):
            name, text = found[1], found[2].strip("\"'")
            if line.startswith("  - "):
                authors += [text] * (name == "name")
            else:
                said[name] = text
    return Citation(
        title=said.get("title", ""),
        authors=tuple(authors),
        version=said.get("version", ""),
        date=said.get("date-released", ""),
        license=said.get("license", ""),
        abstract=said.get("abstract", ""),
        url=said.get("repository-code", said.get("url", "")),
    )


def bibtex(cited: Citation) -> str:
    """One entry of BibTeX, @software as BibLaTeX knows it (BibTeX takes it for @misc)."""
    year, month, _ = [*cited.date.split("-"), "", "", ""][:3]
    names = " and ".join(f"{{{name.translate(_TEX)}}}" for name in cited.authors)  # braced: a group, no first name
    fields = {
        "title": f"{{{cited.title.translate(_TEX)}}}", "author": names, "year": year, "month": month.lstrip("0"),
        "version": cited.version, "license": cited.license, "url": cited.url,
    }  # fmt: skip
    lines = [f"  {name} = {{{said}}}," for name, said in fields.items() if said]
    return "\n".join([f"@software{{mechlib{year},", *lines, "}", ""])
