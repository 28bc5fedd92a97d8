"""Imports run one way: the rooms of docs/ARCHITECTURE.md, held by import-linter, and every wall seen to stop something.

The contracts stand in pyproject.toml. Here they are run on the house, and on a copy of it with one bad import for each
wall.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("importlinter")

ROOT = Path(__file__).parents[2]
MEASURING = {"torch", "transformers", "transformer_lens", "sklearn", "safetensors", "tokenizers", "huggingface_hub"}
LOOK = """
import contextlib, io, json, sys
import grimp
from click.testing import CliRunner
from importlinter.cli import lint_imports_command

said = CliRunner().invoke(lint_imports_command, ["--no-cache"])
graph = grimp.build_graph("mechlib", exclude_type_checking_imports=True, cache_dir=None)
print(json.dumps({
    "kept": said.exit_code == 0,
    "said": " ".join(said.output.split()),
    "imports": {name: sorted(graph.find_modules_directly_imported_by(name)) for name in graph.modules},
}))
"""


def looked_at(root: Path) -> dict[str, Any]:
    """What import-linter says of the mechlib in this folder, and which module imports which."""
    found = subprocess.run([sys.executable, "-c", LOOK], cwd=root, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def house() -> dict[str, Any]:
    return looked_at(ROOT)


# Where it is planted, what, and which module it reaches: one for each storey, and for each wall that is no storey.
BAD = [
    ("verdicts/added", "from mechlib.statistics.estimate import Estimate", "mechlib.statistics.estimate"),
    ("parts/added", "from mechlib.checkpoints import files", "mechlib.checkpoints.files"),
    ("prompts/added", "from mechlib.measurement import Measurement", "mechlib.measurement"),
    ("measurement", "from mechlib.evidence import files", "mechlib.evidence.files"),
    ("evidence/added", "from mechlib.statistics import mean", "mechlib.statistics"),
    ("statistics/added", "def f():\n    from mechlib.lab.metrics import x", "mechlib.lab.metrics"),
    ("figures/added", "from mechlib import report", "mechlib.report"),
    ("report/content/added", "from mechlib.judging import marks", "mechlib.judging.marks"),
    ("judging/added", "import mechlib.cli", "mechlib.cli"),
    ("lab/models/added", "from mechlib.lab.hooks import run", "mechlib.lab.hooks"),
    ("lab/forward/added", "from mechlib.lab.metrics import correct", "mechlib.lab.metrics"),
    ("lab/interventions/added", "from ..studies import anything", "mechlib.lab.studies"),
    ("lab/studies/added", "from ..circuits import anything", "mechlib.lab.circuits"),
    ("report/outputs/added", "import torch", "torch"),
    ("evidence/further", "def f():\n    import transformers", "transformers"),
    ("statistics/intervals/added", "try:\n    import torch.nn\nexcept ImportError:\n    pass", "torch"),
    ("checkpoints/added", "from safetensors import safe_open", "safetensors"),
    ("figures/svg/added", "from scipy import stats", "scipy"),
    ("lab/metrics", "import pytest", "pytest"),
    ("report/content/further", "import pytest", "pytest"),
    ("report/outputs/further", "import pytest", "pytest"),
    ("report/outputs/pytest_html", "import pytest_html", "pytest_html"),
]
GOOD = [
    ("figures/further", "if TYPE_CHECKING:\n    from torch import Tensor", "torch"),
    ("judging/further", "import torchlike, numpy", "torch"),
    ("report/outputs/pages_of_pytest", "def f():\n    import pytester", "pytest"),
    ("judging/with_pytest", "import pytest", "pytest"),
    ("lab/studies/further", "from mechlib.lab.interventions import anything", "mechlib.lab.interventions"),
]
FACES = [
    ("lab/hooks", "from mechlib import Measurement", "mechlib"),
    ("lab/circuits/added", "def f():\n    from mechlib.lab import load", "mechlib.lab"),
]


def module(file: str) -> str:
    return f"mechlib.{file.replace('/', '.')}"


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The house with all of these planted in it."""
    root = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(ROOT / "mechlib", root / "mechlib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for file, planted, _ in (*BAD, *GOOD, *FACES):
        with (root / "mechlib" / f"{file}.py").open("a", encoding="utf-8") as opened:
            opened.write(f"\n\n{planted}\n")
    return looked_at(root)


def test_every_contract_is_kept(house):
    assert house["kept"], house["said"]
    assert house["said"].count(" KEPT") >= 4


@pytest.mark.parametrize(("file", "planted", "reached"), BAD, ids=[file for file, *_ in BAD])
def test_an_import_through_a_wall_is_caught(house, spoilt, file, planted, reached):
    assert not spoilt["kept"]
    assert f" {module(file)} -> {reached} (l." in spoilt["said"]
    assert f" {module(file)} -> {reached} (l." not in house["said"]


@pytest.mark.parametrize(("file", "planted", "reached"), GOOD, ids=[file for file, *_ in GOOD])
def test_an_import_that_is_none_of_these_is_not(spoilt, file, planted, reached):
    assert module(file) in spoilt["imports"]
    assert f" {module(file)} -> " not in spoilt["said"]


def reached_by(looked: dict[str, Any], face: str) -> list[str]:
    return [name for name, imported in looked["imports"].items() if face in imported]


def test_nothing_in_the_house_imports_a_face_and_what_does_would_be_found(house, spoilt):
    assert reached_by(house, "mechlib") == reached_by(house, "mechlib.lab") == []
    assert reached_by(spoilt, "mechlib") == ["mechlib.lab.hooks"]
    assert reached_by(spoilt, "mechlib.lab") == ["mechlib.lab.circuits.added"]


def test_modules_can_be_ordered_so_that_each_imports_only_from_below(house, spoilt):
    found = list(TopologicalSorter(house["imports"]).static_order())
    assert found.index("mechlib.prompts.promptset") < found.index("mechlib.plugin")
    with pytest.raises(CycleError):
        list(TopologicalSorter(spoilt["imports"]).static_order())


def test_importing_every_judging_module_loads_nothing_for_measuring():
    """Also through what these import in turn, which the contracts leave to this test."""
    files = [path.relative_to(ROOT) for path in sorted((ROOT / "mechlib").rglob("*.py"))]
    judging = [
        ".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files if "lab" not in file.parts
    ]
    assert len(judging) > 60
    look = (
        "import importlib, sys\n"
        f"for name in {judging!r}:\n    importlib.import_module(name)\n"
        f"print(*sorted({MEASURING | {'mechlib.lab', 'scipy', 'jaxtyping'}!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


# --- rooms that can be walked through -----------------------------------------------------------------------------


def test_no_room_holds_more_than_fourteen_things():
    """In mechlib/ itself: ten rooms, two doors, the measurement and the faces; three files besides are no things."""
    top = ROOT / "mechlib"
    rooms = [top, *(path for path in top.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    held = {room: [path.name for path in room.iterdir() if path.name != "__pycache__"] for room in rooms}
    held[top] = [name for name in held[top] if name not in ("__init__.py", "__main__.py", "py.typed")]
    assert len(held) > 15
    assert {room.name: len(names) for room, names in held.items() if len(names) > 14} == {}


def test_no_claim_file_is_longer_than_650_lines():
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in (ROOT / "claims").rglob("*.py")}
    assert len(lengths) > 40
    assert {path.name: lines for path, lines in lengths.items() if lines > 650} == {}
