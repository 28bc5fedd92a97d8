"""What the pages name is there: files, folders, modules, public names, tests."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from mechlib.faces import FACES, homes
from tests.docs.pages import PAGES, ROOT, name_of, spans

# Built, or of one's own: they need not be there.
BUILT = (
    "artifacts/report", "artifacts/local", "artifacts/scratch", "artifacts/runs.jsonl", "artifacts/bench.json",
    "fixtures/.work",
)  # fmt: skip
FORMER = ("artifacts/bounds.jsonl",)  # named where it is said what to do with it
EXAMPLE = ("claims/ioi/test_two_heads.py",)  # which the reader writes
ENDINGS = r"\.(?:py|md|jsonl?|ya?ml|toml|txt|sh|cff|png|safetensors)"
# What every model, every run, or only this machine has.
EVERYWHERE = ("config.json", "model.safetensors", "tokenizer.json", "card.json", "log.jsonl", "results.json", "local/")


def paths(text: str) -> list[str]:
    """Files and folders: between backticks, in links, and in drawings."""
    found = [span for span in spans(text) if re.fullmatch(rf"[\w./-]+(?:{ENDINGS}|/)", span)]
    found += re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    found += re.findall(r"^    ([\w./-]+/)  ", text, re.MULTILINE)
    found += re.findall(rf"^    python ([\w./-]+{ENDINGS})", text, re.MULTILINE)
    found += [name.partition("::")[0] for name in cited_tests(text) if "::" in name and not name.startswith("::")]
    return [name for name in found if name not in EVERYWHERE and not name.startswith((*BUILT, *FORMER, *EXAMPLE))]


def cited_tests(text: str) -> list[str]:
    """Tests and claims: "folder/test_file.py::test_name", "::test_name", "test_name"."""
    return [span for span in spans(text) if re.fullmatch(r"(?:[\w/]*\w\.py)?(?:::)?test_\w+", span)]


def dotted(text: str) -> list[str]:
    return [span for span in spans(text) if re.fullmatch(r"mechlib(?:\.\w+)+", span)]


@functools.cache
def tracked() -> frozenset[str]:
    """Names of all files and folders of the parts that pages speak of, "name.py" and "name/"."""
    found = [
        entry for part in ("mechlib", "claims", "tests", "fixtures", "artifacts") for entry in (ROOT / part).rglob("*")
    ]
    return frozenset(entry.name + "/" * entry.is_dir() for entry in found)


def is_there(name: str, page: Path) -> bool:
    """Whether a path leads somewhere: from the root, from the page or among tests; a bare name from anywhere."""
    if any((start / name).exists() for start in (ROOT, page.parent, ROOT / "tests")):
        return True
    return "/" not in name.rstrip("/") and name in tracked()


@functools.cache
def defined(file: Path) -> frozenset[str]:
    """Names that a module gives itself."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            names |= {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
    return frozenset(names)


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, a public name, or something that a module defines."""
    base = ROOT.joinpath(*name.split("."))
    if base.with_suffix(".py").is_file() or (base / "__init__.py").is_file():
        return True
    parent, _, last = name.rpartition(".")
    if parent in FACES and last in homes(parent):
        return True
    above = ROOT.joinpath(*parent.split("."))
    file = next((file for file in (above.with_suffix(".py"), above / "__init__.py") if file.is_file()), None)
    return file is not None and last in defined(file)


@functools.cache
def all_tests() -> frozenset[str]:
    files = [*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("claims/**/test_*.py")]
    return frozenset(name for file in files for name in defined(file) if name.startswith("test_"))


def missing_tests(names: list[str]) -> list[str]:
    """Names of tests that their file lacks. "::name" is of the file named before it, "name" of any."""
    lacking, file = [], ""
    for name in names:
        own, colons, function = name.rpartition("::")
        file = own or file
        path = ROOT / "tests" / file if (ROOT / "tests" / file).is_file() else ROOT / file
        known = defined(path) if colons and path.is_file() else all_tests()
        lacking += [name] if function not in known else []
    return lacking


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_and_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    assert [name for name in paths(text) if not is_there(name, page)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_module_and_public_name_is_there(page):
    assert [name for name in dotted(page.read_text(encoding="utf-8")) if not resolves(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_and_claim_is_where_it_is_said_to_be(page):
    assert missing_tests(cited_tests(page.read_text(encoding="utf-8"))) == []


def test_the_rules_name_their_tests():
    assert len(cited_tests((ROOT / "docs" / "STATISTICS.md").read_text(encoding="utf-8"))) > 80


@pytest.mark.parametrize(
    "said",
    ["`claims/test_ioi.py`", "[the map](docs/MAP.md)", "    labs/   what measures\n", "`lab/test_nowhere.py::test_x`"],
)
def test_a_path_that_leads_nowhere_is_found(said):
    assert [name for name in paths(said) if not is_there(name, ROOT / "README.md")]


@pytest.mark.parametrize("said", ["`mechlib.lab.interventions.nulls`", "`mechlib.lab.loads`", "`mechlib.cli.nothing`"])
def test_a_name_that_moved_away_is_found(said):
    assert [name for name in dotted(said) if not resolves(name)]


@pytest.mark.parametrize("said", ["`house/test_installation.py::test_x`", "`test_nothing_of_this_name`"])
def test_a_test_that_moved_away_is_found(said):
    assert missing_tests(cited_tests(said))
