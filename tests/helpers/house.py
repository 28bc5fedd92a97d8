"""A house in a temporary folder: models that are only files, claims that need no torch."""

from __future__ import annotations

import functools
import importlib
import json
import sys
import textwrap
from pathlib import Path

import pytest

import mechlib

HEADER = """
import numpy as np
import pytest
from mechlib import *
from mechlib.evidence import evidence


@evidence
def around(model: str, level: float, on_twins: float, n: int) -> Measurement:
    '''Values spread evenly around `level`, or around `on_twins` where the model is a twin.'''
    import numpy as np
    middle = on_twins if "@" in model else level
    return Measurement(middle + np.linspace(-0.1, 0.1, n), units=tuple(f"u{i}" for i in range(n)), unit="sequence")
"""

SHAPE = {"n_layer": 4, "n_head": 12, "n_embd": 8, "vocab_size": 10}  # enough heads for parts to be exchanged


def build(root: Path, claims: str, models: tuple[str, ...] = ("mini-0", "mini-1")) -> Path:
    """Writes a house: conftest, settings, complete model folders (weights are noise), one file of claims."""
    (root / "claims").mkdir()
    (root / "conftest.py").write_text('pytest_plugins = ["mechlib.plugin"]\n')
    (root / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\ntestpaths = ["claims"]\n'
        'addopts = "--import-mode=importlib --strict-markers -p no:cacheprovider -p no:randomly '
        '-p no:anyio -p no:typeguard -p no:jaxtyping -p no:hypothesispytest"\n'  # as in the record: they cost a second
    )
    for name in models:
        folder = root / "fixtures" / name
        folder.mkdir(parents=True)
        header = json.dumps({"w": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
        data = len(header).to_bytes(8, "little") + header + bytes([len(name), ord(name[-1]), 3, 4])
        (folder / "model.safetensors").write_bytes(data)
        (folder / "config.json").write_text(json.dumps(SHAPE))
        (folder / "tokenizer.json").write_text("{}")
    (root / "claims" / "test_topic.py").write_text(HEADER + textwrap.dedent(claims))
    return root


@functools.cache
def import_what_judges() -> None:
    """Imports every module but the lab's: what is first imported inside a run would be imported anew for each."""
    package = Path(mechlib.__file__).parent
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        if "lab" not in parts:
            importlib.import_module(".".join(parts).removesuffix(".__init__"))


@pytest.fixture
def house(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Builds a house and returns a function that runs pytest in it.

    In this process, where all that judging needs is imported already: a process of its own takes half a second more. It
    is one where options shift what holds for a whole process, or start workers, or where `process` asks for it.
    """
    import_what_judges()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)

    def run(claims: str | None, *options: str, process: bool = False) -> pytest.RunResult:
        if claims is not None and not (pytester.path / "claims").exists():
            build(pytester.path, claims)
        elif claims is not None:
            (pytester.path / "claims" / "test_topic.py").write_text(HEADER + textwrap.dedent(claims))
        for name in [name for name in sys.modules if name.split(".")[0] == "claims"]:
            monkeypatch.delitem(sys.modules, name)  # of the record: this house has a folder of the same name
        alone = process or bool({"-n", "--seed", "--device"} & set(options))
        runs = pytester.runpytest_subprocess if alone else pytester.runpytest_inprocess
        return runs("--records", "records.jsonl", *options)

    return run


def records(root: Path) -> dict[str, dict]:
    """The records of the last run, by model and function."""
    rows = [json.loads(line) for line in (root / "records.jsonl").read_text().splitlines()]
    return {row["function"] + ("/" + row["model"] if row["model"] else ""): row for row in rows}
