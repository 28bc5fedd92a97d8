"""The stamp: which instruments a function reaches, found without importing any."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from mechlib.evidence import stamp as subject
from mechlib.evidence.code_hash import source_of
from mechlib.evidence.stamp import instruments, older
from tests.helpers.toys import module

LAB = {
    "__init__.py": '"""The lab."""',
    "models.py": "import torch\nfrom mechlib.prompts import Prompt\n\ndef load():\n    from . import loading\n",
    "loading.py": "from .deep import floor\nfrom mechlib.lab.models import load\n",
    "deep/__init__.py": "",
    "deep/floor.py": "from ..cellar import barrel\n",
    "cellar.py": "x = 1\n",
    "metrics.py": "import mechlib.lab.hooks, mechlib.lab.cellar\n",
    "hooks.py": "y = 1\n",
    "unread.py": "z = 1\n",
}
READS = """
from mechlib.lab import hooks

def helper():
    from mechlib.lab.metrics import logit_diff

@evidence
def f(model: str) -> Measurement:
    from mechlib.lab.models.loading import load
    return helper()

@evidence
def g(model: str) -> Measurement:
    return hooks.run()

@evidence
def h(model: str) -> Measurement:
    import numpy
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    for name, text in LAB.items():
        path = tmp_path / "mechlib" / "lab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "mechlib"


def stamp(lab: Path, name: str = "f", text: str = READS) -> dict[str, str]:
    # `hooks` stands in for an imported module: the file's import statement is what counts.
    loaded = module(lab.parent / "claims", text.replace("from mechlib.lab import hooks", "import json as hooks"))
    function = getattr(loaded, name).__wrapped__
    source = source_of(function)
    source = source._replace(text=source.text.replace("import json as hooks", "from mechlib.lab import hooks"))
    return instruments(function, source, lab)


def modules(found: dict[str, str]) -> set[str]:
    return {name.removeprefix("mechlib.lab").lstrip(".") for name in found if name.startswith("mechlib.lab")}


def test_the_closure_follows_every_kind_of_import(lab):
    assert modules(stamp(lab)) == {"", "models", "loading", "deep", "deep.floor", "cellar", "metrics", "hooks"}


def test_imports_at_the_top_of_the_file_count_where_they_are_used(lab):
    assert modules(stamp(lab, "g")) == {"", "hooks"}
    assert modules(stamp(lab, "h")) == set()


def test_nothing_is_imported_to_find_it(lab):
    before = set(sys.modules)
    stamp(lab)
    assert not {name for name in set(sys.modules) - before if "lab" in name or name == "torch"}


@pytest.mark.parametrize(("name", "moves"), [("cellar.py", True), ("unread.py", False)])
def test_the_stamp_moves_with_code_that_is_reached(lab, name, moves):
    before = stamp(lab)
    (lab / "lab" / name).write_text("x = 22\n")
    assert (stamp(lab) != before) == moves


def test_the_stamp_does_not_move_with_comments_and_docstrings(lab):
    before = stamp(lab)
    (lab / "lab" / "cellar.py").write_text('"""The cellar."""\n\n# A comment.\nx = (1)\n')
    assert stamp(lab) == before


def test_versions_are_public_ones_and_libraries_not_installed_are_left_out(lab, monkeypatch):
    def version(name: str) -> str:
        if name == "torch":
            return "2.13.0+cpu"
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(subject.metadata, "version", version)
    subject._version.cache_clear()
    found = stamp(lab)
    subject._version.cache_clear()
    assert found["torch"] == "2.13.0"
    assert "transformer-lens" not in found


@pytest.mark.parametrize(
    ("filed", "today", "differ"),
    [
        ({"mechlib.lab": "a", "torch": "2.13.0"}, {"mechlib.lab": "a", "torch": "2.13.0"}, ()),
        ({"mechlib.lab": "a", "torch": "2.13.0"}, {"mechlib.lab": "b", "torch": "2.13.0"}, ("mechlib.lab",)),
        ({"mechlib.lab": "a", "torch": "2.12.0"}, {"mechlib.lab": "a", "torch": "2.13.0"}, ("torch",)),
        ({"mechlib.lab": "a", "torch": "2.12.0"}, {"mechlib.lab": "a"}, ()),  # a reviewer without torch
        ({"mechlib.lab": "a"}, {"mechlib.lab": "a", "mechlib.lab.new": "c"}, ("mechlib.lab.new",)),
        ({"mechlib.lab": "a", "mechlib.lab.gone": "c"}, {"mechlib.lab": "a"}, ("mechlib.lab.gone",)),
    ],
)
def test_older_names_the_instruments_that_differ(filed, today, differ):
    assert older(filed, today) == differ
