"""The stamp: which instruments a function uses, by face, with one hash of everything behind each."""

from __future__ import annotations

import ast
import os
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from mechlib import faces
from mechlib.evidence import modules
from mechlib.evidence import stamp as subject
from mechlib.evidence.code_hash import source_of
from mechlib.evidence.stamp import behind, file_stamp, filed_stamp, instruments, name_of, older
from tests.helpers.toys import module

ROOT = Path(__file__).parents[2] / "mechlib"
# A house with two faces: `load` stands in models/loading, `score` in metrics, `Row` beside the lab.
HOUSE = {
    "__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mechlib.unread import z as z\n",
    "rows.py": '"""Rows."""\n\nROW = 1\n',
    "unread.py": "z = 1\n",
    "lab/__init__.py": "import typing\nif typing.TYPE_CHECKING:\n    from mechlib.unread import z as z\n",
    "lab/models/__init__.py": "",
    "lab/models/loading.py": (
        'import torch\n\n\ndef load():\n    """Loads."""\n    from . import deep\n    return deep\n'
    ),
    "lab/models/deep/__init__.py": "",
    "lab/models/deep/floor.py": "from ...cellar import x as barrel\n\nFLOOR = barrel\n",
    "lab/metrics.py": "import mechlib.lab.hooks, mechlib.lab.models.deep.floor\n\nSCORE = 1\n",
    "lab/hooks.py": "from mechlib.rows import ROW\n\ny = 1\n",
    "lab/cellar.py": "x = 1\n",
}
FACES = {
    "mechlib": {"mechlib.rows": ("Row",), "mechlib.unread": ("z",)},
    "mechlib.lab": {"mechlib.lab.models.loading": ("load",), "mechlib.lab.metrics": ("score",)},
}
READS = """
from mechlib.lab import hooks

def helper():
    from mechlib.lab import score

@evidence
def f(model: str) -> Measurement:
    from mechlib.lab import load
    return helper()

@evidence
def g(model: str) -> Measurement:
    return hooks.run()

@evidence
def all_of_it(model: str) -> Measurement:
    from mechlib import lab
    return lab.score(lab.load(model))

@evidence
def h(model: str) -> Measurement:
    import numpy
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a mechlib of eleven modules."""
    monkeypatch.setattr(faces, "FACES", FACES)
    monkeypatch.setattr(subject, "FACES", FACES)
    monkeypatch.setattr(modules, "_remember", lambda: None)
    for name, text in HOUSE.items():
        path = tmp_path / "mechlib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "mechlib"


def stamp(house: Path, name: str = "f", text: str = READS) -> dict[str, str]:
    # `hooks` stands in for an imported module: the file's import statement is what counts.
    loaded = module(house.parent / "claims", text.replace("from mechlib.lab import hooks", "import json as hooks"))
    function = getattr(loaded, name).__wrapped__
    source = source_of(function)
    source = source._replace(text=source.text.replace("import json as hooks", "from mechlib.lab import hooks"))
    return instruments(function, source, house.parent)


def names(found: dict[str, str]) -> set[str]:
    return {name for name in found if name not in subject.LIBRARIES}


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


# --- what is named ------------------------------------------------------------------------------------------------


def test_instruments_are_named_by_face_through_helpers_too(house):
    assert names(stamp(house)) == {"lab.load", "lab.score"}


def test_imports_at_the_top_of_the_file_count_where_they_are_used(house):
    assert names(stamp(house, "g")) == {"lab.hooks"}
    assert names(stamp(house, "h")) == set()


def test_the_decorator_is_no_instrument(house):
    assert not {name for name in stamp(house) if name.startswith("evidence")}


def test_nothing_is_imported_to_find_them(house):
    before = set(sys.modules)
    stamp(house)
    assert not {name for name in set(sys.modules) - before if "lab" in name or name == "torch"}


def test_versions_are_public_ones_and_libraries_not_installed_are_left_out(house, monkeypatch):
    def version(name: str) -> str:
        if name == "transformer-lens":
            raise metadata.PackageNotFoundError
        return {"torch": "2.13.0+cpu", "transformers": "5.7.0"}[name]

    monkeypatch.setattr(subject.metadata, "version", version)
    subject._version.cache_clear()
    found = stamp(house)
    subject._version.cache_clear()
    assert {name: found[name] for name in subject.LIBRARIES if name in found} == {
        "torch": "2.13.0",
        "transformers": "5.7.0",
    }


def test_a_library_of_some_instruments_stands_where_it_is_imported_and_what_was_filed_without_it_is_not_older(house):
    before = stamp(house)
    assert "scikit-learn" not in before
    rewrite(house / "lab" / "cellar.py", lambda text: f"def f():\n    from sklearn.svm import SVC\n\n\n{text}")
    found = stamp(house)
    assert found["scikit-learn"] == metadata.version("scikit-learn").partition("+")[0]
    bare = {name: one for name, one in found.items() if name != "scikit-learn"}
    assert older(bare, found) == older(found, bare) == ()
    assert older(found | {"scikit-learn": "0.1"}, found) == ("scikit-learn",)


# --- what moves it, and what does not ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("lab/models/loading.py", {"lab.load"}),
        ("lab/models/deep/__init__.py", {"lab.load"}),  # imported itself, not only passed through
        ("lab/hooks.py", {"lab.score"}),
        ("lab/cellar.py", {"lab.score"}),  # behind an import of an import, relative, under another name
        ("rows.py", {"lab.score"}),  # beside the lab
        ("unread.py", set()),  # both faces name it, for type checkers
        ("__init__.py", set()),  # an address
        ("lab/__init__.py", set()),
    ],
)
def test_the_stamp_moves_with_everything_behind_a_name_and_with_nothing_else(house, name, moved):
    before = stamp(house)
    rewrite(house / name, lambda text: text + "\n\nADDED = 22\n")
    after = stamp(house)
    assert {name for name in before if before[name] != after[name]} == moved


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("rows.py", '"""Rows."""', '"""What a row is."""\n\n# A comment.'),
        ("rows.py", "ROW = 1", "ROW = (\n    1\n)"),
        ("lab/models/loading.py", '    """Loads."""\n', ""),
        ("lab/models/loading.py", "import torch\n", "import torch as torch, json\nfrom math import pi\n"),
        ("lab/hooks.py", "from mechlib.rows import ROW", "import mechlib.rows"),
        ("lab/hooks.py", "y = 1", "y = 1\n\nif TYPE_CHECKING:\n    from mechlib.unread import z\n"),
        ("lab/models/loading.py", "    from . import deep\n", "    import mechlib.lab.models.deep as deep\n"),
    ],
)
def test_docstrings_comments_layout_and_import_statements_do_not_move_it(house, name, old, new):
    before = stamp(house)
    assert old in (house / name).read_text()
    rewrite(house / name, lambda text: text.replace(old, new))
    assert stamp(house) == before


@pytest.mark.parametrize(("name", "moves"), [("lab/cellar.py", True), ("rows.py", True), ("unread.py", False)])
def test_of_a_face_that_is_used_as_a_whole_everything_counts(house, name, moves):
    before = stamp(house, "all_of_it")
    assert names(before) == {"lab"}
    rewrite(house / name, lambda text: text + "\n\nADDED = 22\n")
    assert (stamp(house, "all_of_it") != before) == moves


def test_an_import_that_is_added_brings_what_is_behind_it(house):
    before = stamp(house)
    rewrite(house / "lab/cellar.py", lambda text: f"from mechlib.unread import z\n{text}")
    assert stamp(house)["lab.score"] != before["lab.score"]


def test_the_stamp_outlives_renaming_and_moving_modules(house, monkeypatch):
    before = stamp(house)
    (house / "ground").mkdir()
    (house / "ground" / "__init__.py").write_text("")
    shutil.move(house / "rows.py", house / "ground" / "nouns.py")
    shutil.move(house / "lab" / "models", house / "lab" / "network")
    shutil.move(house / "lab" / "network" / "loading.py", house / "lab" / "network" / "reading.py")
    rewrite(house / "lab/hooks.py", lambda text: text.replace("mechlib.rows", "mechlib.ground.nouns"))
    rewrite(house / "lab/metrics.py", lambda text: text.replace("lab.models", "lab.network"))
    lab = {"mechlib.lab.network.reading": ("load",), "mechlib.lab.metrics": ("score",)}
    monkeypatch.setattr(faces, "FACES", {**FACES, "mechlib.lab": lab})
    monkeypatch.setattr(subject, "FACES", faces.FACES)
    assert stamp(house) == before


def test_of_this_mechlib_a_stamp_holds_instruments_and_nothing_that_draws_or_judges(monkeypatch):
    found = []
    monkeypatch.setattr(subject, "closure", lambda *given: found.append(modules.closure(*given)) or found[-1])
    for name in faces.homes("mechlib.lab"):
        behind(f"mechlib.lab.{name}")
    for reached in found:
        assert any(name.startswith("mechlib.lab.") for name in reached)
        assert not {name for name in reached if name.split(".")[1:2] in ([room] for room in READERS)}
    assert min(map(len, found)) < 30 < max(map(len, found))


def test_what_is_passed_through_on_the_way_to_an_instrument_holds_addresses_only():
    doors = [
        path for room in ("lab", "prompts", "parts", "checkpoints") for path in ROOT.glob(f"{room}/**/__init__.py")
    ]
    for path in doors:
        for node in ast.parse(path.read_text(encoding="utf-8")).body[1:]:
            fine = isinstance(node, (ast.Import, ast.ImportFrom)) or ast.unparse(node).startswith(
                ("__all__ = ", "__getattr__, __dir__, __all__ = lazily(", "if TYPE_CHECKING:")
            )
            assert fine, f"{path}: {ast.unparse(node)}: the stamp would not see it"
    assert len(doors) > 8


READERS = ("figures", "report", "judging", "statistics", "evidence", "cli", "plugin", "verdicts")


def test_source_that_was_remembered_is_what_reading_it_again_says(monkeypatch):
    remembered = behind("mechlib.lab.load")
    kept: dict[str, list] = {}
    monkeypatch.setattr(modules, "_remembered", lambda: kept)
    modules._module_hash.cache_clear()
    assert behind("mechlib.lab.load") == remembered and len(kept) > 5
    modules._module_hash.cache_clear()


def test_what_another_version_of_the_reader_remembered_counts_for_nothing(house, monkeypatch):
    kept: dict[str, list] = {}
    monkeypatch.setattr(modules, "_remembered", lambda: kept)
    before = stamp(house)
    for key in kept:
        kept[key] = ["0" * 16, []]
    modules._module_hash.cache_clear()
    assert stamp(house) != before  # what is remembered is what is used
    monkeypatch.setattr(modules, "_form", lambda: "another")
    modules._module_hash.cache_clear()
    assert stamp(house) == before


# --- filed, and compared ------------------------------------------------------------------------------------------


def test_a_stamp_is_filed_once_and_read_back_by_its_name(tmp_path):
    said = {"lab.load": "0123", "torch": "2.13.0"}
    name = file_stamp(tmp_path, said)
    path = tmp_path / "stamps" / f"{name}.json"
    before = path.stat().st_mtime_ns
    assert file_stamp(tmp_path, dict(reversed(said.items()))) == name == name_of(said)
    assert path.stat().st_mtime_ns == before and [*path.parent.iterdir()] == [path]
    assert filed_stamp(tmp_path, name) == said


@pytest.mark.parametrize("spoilt", ['{"lab.load": "0124", "torch": "2.13.0"}', '{"lab.load"', "[]", ""])
def test_a_stamp_that_is_not_what_its_name_says_is_no_stamp(tmp_path, spoilt):
    name = file_stamp(tmp_path, {"lab.load": "0123", "torch": "2.13.0"})
    (tmp_path / "stamps" / f"{name}.json").write_text(spoilt)
    assert filed_stamp(tmp_path, name) is None
    assert filed_stamp(tmp_path, "0" * 16) is None


@pytest.mark.parametrize(
    ("filed", "today", "differ"),
    [
        ({"lab.load": "a", "torch": "2.13.0"}, {"lab.load": "a", "torch": "2.13.0"}, ()),
        ({"lab.load": "a", "torch": "2.13.0"}, {"lab.load": "b", "torch": "2.13.0"}, ("lab.load",)),
        ({"lab.load": "a", "torch": "2.12.0"}, {"lab.load": "a", "torch": "2.13.0"}, ("torch",)),
        ({"lab.load": "a", "torch": "2.12.0"}, {"lab.load": "a"}, ()),  # a reviewer without torch
        ({"lab.load": "a"}, {"lab.load": "a", "lab.new": "c"}, ("lab.new",)),
        ({"lab.load": "a", "lab.gone": "c"}, {"lab.load": "a"}, ("lab.gone",)),
    ],
)
def test_older_names_the_instruments_that_differ(filed, today, differ):
    assert older(filed, today) == differ


def test_a_module_of_the_same_size_that_was_copied_with_its_old_time_is_another(tmp_path):
    file = tmp_path / "helper.py"
    file.write_text("def scaled(x):\n    return 1 * x\n")
    before, hash_ = file.stat(), modules.module_hash(file, "helper")
    file.write_text("def scaled(x):\n    return 2 * x\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert modules.module_hash(file, "helper") != hash_
