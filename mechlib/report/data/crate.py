"""RO-Crate metadata: what lies in the folder of the report, in a form that archives read.

Source: RO-Crate 1.1, https://w3id.org/ro/crate/1.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mechlib.report.data.citation import Citation

CRATE = "ro-crate-metadata.json"
# What may lie there: (a glob, what it is, its media type).
FILES = (
    ("results.json", "every verdict with what it rests on", "application/json"),
    ("results.schema.json", "the JSON Schema of results.json: what each field says", "application/schema+json"),
    ("results.csv", "the same as a table", "text/csv"),
    ("records.jsonl", "what the run kept of each verdict, a line each, for mechlib to read again", "application/jsonl"),
    ("tables/*.tex", "the verdicts of a topic as a table for LaTeX; all.tex has them all", "application/x-tex"),
    ("report.html", "the record as a page", "text/html"),
    ("topics/*.js", "what the page loads when a claim of the topic is opened", "text/javascript"),
    ("figures/*.svg", "a figure that the page shows", "image/svg+xml"),
    ("features-*.html", "the features of a dictionary as a page", "text/html"),
    ("paper.pdf", "the record as a paper", "application/pdf"),
    ("numbers.tex", "the numbers of the paper as commands for LaTeX", "application/x-tex"),
    ("*.bib", "what the paper cites, and how the record is cited", "application/x-bibtex"),
)
# What may lie there too and is no part of it: the plugin's page of one run, written last, and reports of a selection.
LEFT_OUT = (CRATE, "run.html", "partial/*")
_LICENCES = {"MIT": "https://spdx.org/licenses/MIT"}


def crate(folder: Path, cited: Citation | None, said: str) -> dict[str, Any]:
    """The metadata of what lies in `folder`; `said` describes the record in a few sentences."""
    known = cited or Citation(title="a research record")
    files = [_file(path, folder, *rest) for glob, *rest in FILES for path in sorted(folder.glob(glob))]
    people = [{"@id": f"#author-{n}", "@type": "Organization", "name": name} for n, name in enumerate(known.authors)]
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": known.title,
        "description": f"{known.abstract} {said}".strip(),
        "hasPart": [{"@id": entry["@id"]} for entry in files],
        "author": [{"@id": one["@id"]} for one in people],
    }
    root |= {"datePublished": known.date} if known.date else {}
    root |= {"version": known.version} if known.version else {}
    root |= {"url": known.url} if known.url else {}
    licence = _licence(known.license)
    root |= {"license": {"@id": licence["@id"]}} if licence else {}
    about = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    graph = [about, root, *files, *people, *([licence] if licence else [])]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _file(path: Path, folder: Path, what: str, kind: str) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    size = str(path.stat().st_size)
    return {
        "@id": name, "@type": "File", "name": name, "description": what, "encodingFormat": kind, "contentSize": size
    }  # fmt: skip


def _licence(name: str) -> dict[str, Any]:
    known = _LICENCES.get(name)
    return {"@id": known, "@type": "CreativeWork", "name": name} if known else {}
