"""Collection: what is not a claim is refused before anything runs.

Only functions below `claims/` are claims; every other test is left to pytest. A claim's topic is the folder that its
file lies in; its id, "topic.function[case]", says nothing of the file, so that files can be cut and moved.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from mechlib.faces import FACES, homes
from mechlib.judging import claim as claims
from mechlib.judging.audit.asking import AUDITED, readable_id
from mechlib.judging.marks import MARKS, REPORTED
from mechlib.parts.blinding import blinded

CLAIM = pytest.StashKey[claims.Claim]()
ROOM = "claims"
_PLUGIN = "mechlib.plugin"
DOORS = (*FACES, "mechlib.evidence", "mechlib.figures", "mechlib.prompts", "mechlib.checkpoints")
_MISSING = re.compile(r"cannot import name '(\w+)' from ")
_ID = re.compile(r"[A-Za-z0-9_.-]+")


def _is_claim_file(config: pytest.Config, path: Path) -> bool:
    return path.is_relative_to(config.rootpath / ROOM)


def _astray(config: pytest.Config, path: Path) -> Path | None:
    """Where a file of claims belongs whose root pytest takes another folder for; None for every other file.

    Only a folder claims/ counts that stands beside a conftest.py with this plugin.
    """
    if _is_claim_file(config, path):
        return None
    homes = [folder.parent for folder in path.parents if folder.name == ROOM]
    conftests = ((home, home / "conftest.py") for home in homes)
    return next((home for home, file in conftests if file.is_file() and _PLUGIN in file.read_text("utf-8")), None)


def topic_of(item: pytest.Item) -> str:
    """The folder of a claim below claims/; of a file that lies there by itself its name without "test_"."""
    inside = item.path.relative_to(item.config.rootpath / ROOM)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem.removeprefix("test_")


def id_of(item: pytest.Item) -> str:
    """The id of a claim: "topic.function[case]"."""
    bracket = item.nodeid.find("[")
    return f"{topic_of(item)}.{item.stash[CLAIM].name}{item.nodeid[bracket:] if bracket >= 0 else ''}"


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Puts the models of --model in the place of those that a claim names; a folder is called by its last part."""
    if not _is_claim_file(metafunc.config, metafunc.definition.path):
        return
    models = metafunc.config.stash[AUDITED]
    own = metafunc.definition.own_markers
    for place, mark in enumerate(own):
        names = _names_of(mark)
        if "model" not in names:
            continue
        rows = [(row if isinstance(row, (tuple, list)) else (row,)) for row in mark.args[1]]
        at = names.index("model")
        if models:
            rows = list(dict.fromkeys((*row[:at], model, *row[at + 1 :]) for row in rows for model in models))
        elif mark.kwargs.get("ids") is not None or not any("/" in str(row[at]) for row in rows):
            continue
        called = models or {str(row[at]): Path(str(row[at])).name for row in rows}
        values = [row if len(names) > 1 else row[0] for row in rows]
        ids = [readable_id(row, called) for row in rows]
        own[place] = pytest.mark.parametrize(",".join(names), values, ids=ids).mark


def _names_of(mark: pytest.Mark) -> list[str]:
    """The parameters of a parametrize mark."""
    if mark.name != "parametrize":
        return []
    return [name.strip() for name in mark.args[0].split(",")] if isinstance(mark.args[0], str) else list(mark.args[0])


@functools.cache
def _parsed(function: Any) -> claims.Claim:
    return claims.Claim(function)


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> Generator[None, Any, Any]:
    """Reads each function below claims/ as a claim, and refuses what is none."""
    items = yield
    if items and (home := _astray(collector.config, collector.path)):
        raise collector.CollectError(
            f"{name} would run as a plain test: pytest takes {collector.config.rootpath} for the root, and claims/ "
            f"lies in {home}: put an empty pytest.ini there, beside conftest.py"
        )
    if not items or not _is_claim_file(collector.config, collector.path):
        return items
    if isinstance(items, pytest.Class):
        raise collector.CollectError(f"{name} is a class: a claim is a function, and its file is the topic")
    functions = [item for item in (items if isinstance(items, list) else [items]) if isinstance(item, pytest.Function)]
    for item in functions:
        try:
            _check(item, functions)
        except claims.NoClaim as error:
            raise collector.CollectError(str(error)) from None
    return items


def _check(item: pytest.Function, siblings: list[pytest.Function]) -> None:
    """Raises NoClaim for whatever is no claim, or is marked for what the claim is not about."""
    item.stash[CLAIM] = claim = _parsed(item.function)
    arguments = item.callspec.params if hasattr(item, "callspec") else {}
    claims.check_arguments(claim, [name for name in item.fixturenames if name != "request"], arguments)
    if arguments and not _ID.fullmatch(item.callspec.id):
        raise claims.NoClaim(f"{claim.name} has the id {item.callspec.id!r}: use letters, digits, and _ . - only")
    foreign = sorted({mark.name for mark in item.iter_markers()} - {"parametrize", REPORTED, *MARKS})
    if foreign:
        raise claims.NoClaim(f"{claim.name} is marked {', '.join(foreign)}: pytest's own marks would hide its verdict")
    if not item.config.getoption("model"):
        claim.check_marks(*_models_and_cases(siblings))


def _models_and_cases(functions: list[pytest.Function]) -> tuple[set[str], set[str]]:
    specs = [item.callspec for item in functions if hasattr(item, "callspec")]
    return {str(spec.params["model"]) for spec in specs if "model" in spec.params}, {spec.id for spec in specs}


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Says in one line why a claim file cannot be read, and lets none skip itself, nor look before it is judged."""
    if isinstance(collector, pytest.Module) and _is_claim_file(collector.config, collector.path):
        with blinded():
            report = yield
    else:
        report = yield
    if report.failed and isinstance(collector, pytest.Module) and _is_claim_file(collector.config, collector.path):
        report.longrepr = _one_line(report.call.excinfo.value) or report.longrepr
    if report.skipped and isinstance(collector, pytest.Module) and _is_claim_file(collector.config, collector.path):
        report.outcome = "failed"
        report.longrepr = f"{collector.path.name} skips itself: its claims would vanish without a verdict"
    return report


def _one_line(error: BaseException) -> str:
    """What is wrong with a file that Python or pytest refuse to read; "" for errors inside of what it runs."""
    cause = error.__cause__
    if isinstance(cause, ImportError) and (cause.name or "").partition(".")[0] == "mechlib":
        return f"claims import from {', '.join(DOORS[:-1])} and {DOORS[-1]}: {_not_imported(cause)}"
    if isinstance(cause, SyntaxError):
        where = f"{Path(cause.filename or '').name}, line {cause.lineno}"
        return f"{where}: `{(cause.text or '').strip()}` is no Python: {cause.msg}"
    if "not found in `markers`" in str(error):
        return f"{error}: outcomes are marked @refuted, @open_question or @void"
    return ""


def _not_imported(error: ImportError) -> str:
    """What cannot be imported from mechlib, and the face that has it where one has."""
    missing = _MISSING.match(str(error))
    if missing is None:
        return str(error)
    name = missing[1]
    face = next((face for face in FACES if name in homes(face)), None)
    return f"{name} stands in {face}" if face else f"{error.name} has no {name}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuses two claims of one name in a topic."""
    _refuse_namesakes([item for item in items if CLAIM in item.stash])


def _refuse_namesakes(items: list[pytest.Item]) -> None:
    """A claim's id does not say its file, so a topic has each function once."""
    files: dict[tuple[str, str], Path] = {}
    for item in items:
        name = (topic_of(item), getattr(item, "originalname", item.name))
        if files.setdefault(name, item.path) != item.path:
            first, second = (path.relative_to(item.config.rootpath).as_posix() for path in (files[name], item.path))
            raise pytest.UsageError(f"{first} and {second} both claim {name[1]}: in a topic a claim's name is its id")
