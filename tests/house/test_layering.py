"""Imports run upward only, and judging never imports what measuring needs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEASURING = {
    "accelerate",
    "datasets",
    "huggingface_hub",
    "jaxtyping",
    "mechlib.lab",
    "safetensors",
    "sklearn",
    "tokenizers",
    "torch",
    "transformer_lens",
    "transformers",
}
# The layers: each file's floor, and the libraries that it may import itself or through files below it. A file
# reaches only named files of lower floors; files without a name here are the parts that a named one was split into.
PLACES: dict[str, tuple[int, set[str]]] = {
    "mechlib.prompts.promptset": (0, set()),
    "mechlib.parts.heads": (0, set()),
    "mechlib.checkpoints.checkpoint": (0, set()),
    "mechlib.statistics.estimate": (0, set()),
    "mechlib.tasks": (1, set()),
    "mechlib.statistics": (1, {"numpy", "scipy.special"}),
    "mechlib.evidence": (1, {"numpy"}),
    "mechlib.figures.plots": (2, {"numpy", "scipy.special", "matplotlib", "markupsafe"}),
    "mechlib.report": (3, {"numpy", "scipy.special", "matplotlib", "markupsafe", "jinja2", "pytest"}),
}
TOP = {"mechlib.plugin", "mechlib.cli"}


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def run_on_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported: not what stands in functions, nor what only type checkers read."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        typing_only = isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING")
        for name, value in ast.iter_fields(statement):
            if not isinstance(value, list) or (typing_only and name == "body"):
                continue
            for part in value:
                if isinstance(part, ast.stmt):
                    yield from run_on_import([part])
                elif isinstance(part, (ast.ExceptHandler, ast.match_case)):
                    yield from run_on_import(part.body)


@cache
def imports(source: str, module: str) -> frozenset[str]:
    """Dotted names that `module`, a plain file, imports at module level; `from a import b` counts as a.b."""
    found: set[str] = set()
    for statement in run_on_import(ast.parse(source).body):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            above = module.split(".")[: -statement.level] if statement.level else []
            origin = ".".join([*above, *([statement.module] if statement.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in statement.names}
    return frozenset(found)


def for_measuring(source: str, module: str) -> set[str]:
    return {name for name in imports(source, module) if within(name, MEASURING)}


def graph_of(sources: dict[str, str]) -> dict[str, set[str]]:
    """Module to the modules among `sources` that it imports."""
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        # mechlib.prompts.ioi.rows is a name in mechlib.prompts.ioi, the longest module that fits.
        homes = [[other for other in sources if within(name, {other})] for name in imports(source, module)]
        graph[module] = {max(home, key=len) for home in homes if home}
    return graph


def reached_from(module: str, graph: dict[str, set[str]]) -> set[str]:
    reached, agenda = set(), [module]
    while agenda:
        name = agenda.pop()
        if name not in reached:
            reached.add(name)
            agenda += graph[name]
    return reached


def out_of_place(owner: str, sources: dict[str, str]) -> set[str]:
    """What the file (or folder) `owner` of PLACES reaches and must not: named files not below it, and libraries."""
    floor, libraries = PLACES[owner]
    graph = graph_of(sources)
    reached = set().union(*(reached_from(module, graph) for module in sources if within(module, {owner})))
    not_below = TOP | {other for other, (other_floor, _) in PLACES.items() if other_floor >= floor and other != owner}
    own = set(sys.stdlib_module_names) | {"mechlib"}
    foreign = {name for module in reached for name in imports(sources[module], module) if name.split(".")[0] not in own}
    return {module for module in reached if within(module, not_below)} | {
        name for name in foreign if not within(name, libraries)
    }


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_name(path): path.read_text(encoding="utf-8") for path in sorted((ROOT / "mechlib").rglob("*.py"))}
JUDGING = {module: source for module, source in SOURCES.items() if not within(module, {"mechlib.lab"})}


@pytest.mark.parametrize("module", JUDGING)
def test_a_judging_module_imports_nothing_for_measuring(module):
    assert for_measuring(SOURCES[module], module) == set()


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        ("import torch", {"torch"}),
        ("import torch.nn as nn", {"torch.nn"}),
        ("from transformers import AutoModel", {"transformers.AutoModel"}),
        ("from mechlib import lab", {"mechlib.lab"}),
        ("from .lab.models import load", {"mechlib.lab.models.loading.load"}),
        ("from . import lab", {"mechlib.lab"}),
        ("try:\n    import torch\nexcept ImportError:\n    torch = None", {"torch"}),
        ("try:\n    pass\nexcept ImportError:\n    import torch", {"torch"}),
        ("class A:\n    import torch", {"torch"}),
        ("if True:\n    with open('x'):\n        import torch", {"torch"}),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import torch", {"torch"}),
        ("def measure():\n    import torch", set()),
        ("if TYPE_CHECKING:\n    from torch import Tensor", set()),
        ("import torchlike, numpy", set()),
    ],
)
def test_a_planted_import_for_measuring_is_caught_and_a_legal_one_is_not(planted, caught):
    assert for_measuring(planted, "mechlib.report") == caught


@pytest.mark.parametrize("owner", PLACES)
def test_a_file_reaches_only_what_its_place_allows(owner):
    assert any(within(module, {owner}) for module in SOURCES), f"{owner} is gone: take it out of PLACES"
    assert out_of_place(owner, SOURCES) == set()


@pytest.mark.parametrize(
    ("owner", "module", "planted", "caught"),
    [
        ("mechlib.prompts.promptset", "mechlib.prompts.promptset", "import numpy as np", "numpy"),
        (
            "mechlib.prompts.promptset",
            "mechlib.prompts.promptset",
            "from mechlib.parts.heads import Head",
            "mechlib.parts.heads",
        ),
        (
            "mechlib.statistics.estimate",
            "mechlib.statistics.estimate",
            "import mechlib.statistics",
            "mechlib.statistics",
        ),
        ("mechlib.tasks", "mechlib.prompts.induction", "from ..evidence import evidence", "mechlib.evidence"),
        ("mechlib.tasks", "mechlib.prompts.induction", "import numpy", "numpy"),
        ("mechlib.statistics", "mechlib.statistics", "from scipy import stats", "scipy.stats"),
        # Around the corner: a file without a name of its own, which the named one imports.
        ("mechlib.evidence", "mechlib.evidence.files", "from mechlib.statistics import mean", "mechlib.statistics"),
        ("mechlib.evidence", "mechlib.evidence.files", "import pandas", "pandas"),
        ("mechlib.report", "mechlib.verdicts.record", "from mechlib import plugin", "mechlib.plugin"),
    ],
)
def test_a_planted_import_out_of_place_is_caught(owner, module, planted, caught):
    assert caught not in out_of_place(owner, SOURCES)
    assert caught in out_of_place(owner, {**SOURCES, module: f"{SOURCES[module]}\n{planted}\n"})


def order(sources: dict[str, str]) -> list[str]:
    """Modules from the bottom up; raises CycleError where two import each other, directly or around."""
    return list(TopologicalSorter(graph_of(sources)).static_order())


def test_modules_can_be_ordered_so_that_each_imports_only_from_below():
    found = order(SOURCES)
    assert found.index("mechlib.prompts.promptset") < found.index("mechlib.plugin")


def test_two_modules_that_import_each_other_have_no_order():
    around = {"mechlib.a": "from mechlib.b import x", "mechlib.b": "from . import c", "mechlib.c": "import mechlib.a"}
    with pytest.raises(CycleError):
        order(around)


def test_the_measuring_half_does_not_know_pytest_or_the_report():
    above = {
        "pytest",
        "mechlib.judging.claim",
        "mechlib.judging.judge",
        "mechlib.report",
        "mechlib.judging.session",
        *TOP,
    }
    for module in SOURCES.keys() - JUDGING.keys():
        assert not {name for name in imports(SOURCES[module], module) if within(name, above)}, module


def test_importing_every_judging_module_loads_nothing_for_measuring():
    look = (
        "import importlib, sys\n"
        f"for name in {list(JUDGING)!r}:\n    importlib.import_module(name)\n"
        f"print(*sorted({MEASURING!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
