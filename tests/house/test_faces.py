"""The two faces: what users import, and the table that says where each name stands."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechlib.faces import FACES, home, homes
from mechlib.judging.collection import DOORS
from mechlib.lab import __doc__ as list_of_instruments

ROOT = Path(__file__).parents[2]
FILES = {"mechlib": ROOT / "mechlib" / "__init__.py", "mechlib.lab": ROOT / "mechlib" / "lab" / "__init__.py"}
# What claims import besides the faces: the decorator, which shares its name with its package, and rooms that are faces
# of their own.
OTHER_DOORS = ("mechlib.evidence", "mechlib.figures", "mechlib.prompts", "mechlib.checkpoints")


def for_type_checkers(text: str) -> dict[str, str]:
    """The names that stand below `if TYPE_CHECKING:`, each with the module that it is imported from."""
    blocks = [node for node in ast.parse(text).body if isinstance(node, ast.If)]
    assert len(blocks) == 1 and ast.unparse(blocks[0].test) == "TYPE_CHECKING"
    found = {}
    for statement in blocks[0].body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            assert alias.asname == alias.name, f"{alias.name} is not exported: write `import {alias.name} as ...`"
            found[alias.name] = str(statement.module)
    return found


@pytest.mark.parametrize("face", FACES)
def test_what_type_checkers_read_is_the_table(face):
    assert for_type_checkers(FILES[face].read_text(encoding="utf-8")) == homes(face)


@pytest.mark.parametrize("face", FACES)
def test_no_name_stands_in_two_modules(face):
    assert len(homes(face)) == sum(map(len, FACES[face].values()))


NAMES = [(face, name) for face in FACES for name in homes(face)]


@pytest.mark.parametrize(("face", "name"), NAMES, ids=[f"{face}.{name}" for face, name in NAMES])
def test_every_name_is_there_and_is_the_one_of_its_module(face, name):
    value = getattr(importlib.import_module(face), name)
    same = getattr(importlib.import_module(homes(face)[name]), name)
    # Not `is`: a test that runs pytest in its own process leaves modules behind that were imported twice.
    assert (value.__module__, value.__qualname__) == (same.__module__, same.__qualname__)
    assert value.__module__.startswith(home(f"{face}.{name}")), "the table names a module that only passes it on"


@pytest.mark.parametrize("face", FACES)
def test_a_face_lists_its_names_and_refuses_others(face):
    module = importlib.import_module(face)
    assert module.__all__ == sorted(homes(face)) == [name for name in dir(module) if not name.startswith("__")]
    assert {"__doc__", "__name__", "__file__"} <= set(dir(module))
    with pytest.raises(AttributeError, match=f"^module '{face}' has no attribute 'nothing'$") as raised:
        _ = module.nothing
    assert (raised.value.name, raised.value.obj) == ("nothing", module)


def test_a_name_of_the_other_face_is_said_to_stand_there_and_a_slip_is_put_right():
    look = (
        "import mechlib\ntry:\n    mechlib.load\nexcept AttributeError as error:\n    print(error)\nmechlib.Measuremnt"
    )
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == "module 'mechlib' has no attribute 'load': load stands in mechlib.lab\n"
    assert "Did you mean: 'Measurement'?" in found.stderr
    with pytest.raises(ImportError):
        exec("from mechlib.lab import Measurement")


def test_the_docstring_of_the_lab_lists_every_instrument_and_none_that_there_is_not():
    listed = str(list_of_instruments).partition("\n\n")[2].partition("\n\n")[0]
    words = set(re.findall(r"\w+", listed))
    assert words >= set(homes("mechlib.lab"))
    assert {word for word in words if "_" in word} <= set(homes("mechlib.lab"))


@pytest.mark.parametrize(
    ("face", "loaded"), [("mechlib", {"numpy", "mechlib.lab"}), ("mechlib.lab", {"numpy", "torch", "jaxtyping"})]
)
def test_importing_a_face_loads_next_to_nothing(face, loaded):
    look = f"import sys, {face}; print(*sorted({loaded!r} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def imported(path: Path) -> Iterator[str]:
    """Modules of mechlib that a file imports from, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "mechlib":
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "mechlib")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "claims").rglob("*.py")), ids=lambda path: path.relative_to(ROOT / "claims").as_posix()
)
def test_claims_import_from_faces_and_from_other_doors_alone(path):
    assert set(imported(path)) <= {*FACES, *OTHER_DOORS} == set(DOORS)
