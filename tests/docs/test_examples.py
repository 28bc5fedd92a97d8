"""Code on the pages does what it says: Python is run, or is the record's own; commands and their options exist.

A block that only illustrates stands behind `<!-- skip: next "why" -->`.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from mechlib import cli
from mechlib.evidence.modules import normalised
from tests.docs.pages import PAGES, ROOT, name_of, spans

COMMANDS = ("make", "mechlib", "pytest", "python", "pip")
_LINE = re.compile(rf"^    ((?:{'|'.join(COMMANDS)}) .*)$", re.MULTILINE)


# Python


def functions(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def check_it_is_the_records(block: str) -> None:
    """Each function of a block stands so in claims/, but for docstrings of measurements."""
    kept: dict[str, list[ast.FunctionDef]] = {}
    for file in sorted(ROOT.glob("claims/**/*.py")):
        for name, node in functions(file.read_text(encoding="utf-8")).items():
            kept.setdefault(name, []).append(node)
    for name, node in functions(block).items():
        same = [own for own in kept.get(name, []) if normalised(own) == normalised(node)]
        if name.startswith("test_"):
            same = [own for own in same if ast.get_docstring(own) == ast.get_docstring(node)]
        assert same, f"{name} stands otherwise in claims/, or not at all"


def run_python(example: Example) -> None:
    if "@evidence" in example.parsed or re.search(r"^def test_", example.parsed, re.MULTILINE):
        check_it_is_the_records(example.parsed)  # which the record itself runs
    else:
        PythonEvaluator()(example)


# Commands


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert found
    return set(found[1].split())


def _make(words: list[str], _: pytest.Config) -> None:
    unknown = [word for word in words if "=" not in word and word not in targets()]
    assert not unknown, f"make has no target {', '.join(unknown)}"


def _mechlib(words: list[str], _: pytest.Config) -> None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            cli._parser().parse_args(words)
    except SystemExit:
        raise AssertionError(said.getvalue()) from None


def _pytest(words: list[str], config: pytest.Config) -> None:
    for word in words:
        if word.startswith("--"):
            config.getoption(word.partition("=")[0])  # ValueError for one that there is not


def _python(words: list[str], config: pytest.Config) -> None:
    if words[:2] == ["-m", "pytest"]:
        _pytest(words[2:], config)
    elif words[0] != "-m":
        assert (ROOT / words[0]).is_file(), f"no script {words[0]}"


def _pip(words: list[str], _: pytest.Config) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {extra for word in words for extra in re.findall(r"\.\[([\w,]+)\]", word)}
    assert {name for extra in asked for name in extra.split(",")} <= set(project["optional-dependencies"])
    assert all((ROOT / words[at + 1]).is_file() for at, word in enumerate(words) if word == "-c")


def check_command(line: str, config: pytest.Config) -> None:
    """Raises where a command, its target or one of its options does not exist. Nothing is run."""
    command, *words = shlex.split(line, comments=True)
    checks: dict[str, Callable[[list[str], pytest.Config], None]] = {
        "make": _make, "mechlib": _mechlib, "pytest": _pytest, "python": _python, "pip": _pip
    }  # fmt: skip
    checks[command](words, config)


def command_lines(document: Document) -> Iterable[Region]:
    """Lines of indented blocks that begin with a command."""
    for match in _LINE.finditer(document.text):
        yield Region(match.start(), match.end(), match[1], lambda example: None)


# Pages

PAGE = Sybil([CodeBlockParser("python", run_python), command_lines, SkipParser()])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_on_a_page_runs_or_is_the_records(page):
    for example in PAGE.parse(page).examples():
        with contextlib.suppress(SkipTest):
            example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_on_a_page_exist(page, pytestconfig):
    text = page.read_text(encoding="utf-8")
    inline = [span for span in spans(text) if span.split()[0] in COMMANDS and " " in span]
    for line in [*_LINE.findall(text), *inline]:
        check_command(line, pytestconfig)


def test_pages_have_python_and_commands():
    blocks = [example for page in PAGES for example in PAGE.parse(page).examples()]
    python = [block for block in blocks if block.region.evaluator is run_python]
    assert len(python) >= 2 and len(blocks) - len(python) >= 15


@pytest.mark.parametrize(
    "line",
    [
        "make records",
        "mechlib verifies",
        "mechlib fetch",
        "pytest --fresher",
        "python fixtures/trains.py",
        "pip install -e '.[no]'",
    ],
)
def test_a_command_that_does_not_exist_is_found(line, pytestconfig):
    with pytest.raises((AssertionError, ValueError)):
        check_command(line, pytestconfig)


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        (">= 20", ">= 10"),
        ("carriers(model)", "carriers(model, 2)"),
        ("at least 20 logits", "at least 10 logits"),
        ('"together": heads', '"all": heads'),
    ],
)
def test_a_claim_that_is_not_the_records_is_found(written, otherwise):
    (block,) = [
        example.parsed
        for example in PAGE.parse(ROOT / "README.md").examples()
        if example.region.evaluator is run_python and "carriers(model)" in example.parsed
    ]
    check_it_is_the_records(block)
    assert written in block
    with pytest.raises(AssertionError, match="stands otherwise"):
        check_it_is_the_records(block.replace(written, otherwise))


def test_python_that_fails_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("```python\nassert 1 == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        [example.evaluate() for example in PAGE.parse(page).examples()]
