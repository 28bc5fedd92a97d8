"""Evidence functions written to files and imported, beside models that are only files. No torch anywhere."""

from __future__ import annotations

import importlib.util
import json
import linecache
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from mechlib.prompts.promptset import Prompt, PromptSet, Split

HEAD = """
import numpy as np
from mechlib.parts.heads import Heads, Head, Selection
from mechlib.evidence import evidence
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet
"""


def module(folder: Path, text: str, name: str = "test_toy") -> ModuleType:
    """A file with this text, imported afresh."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.py"
    file.write_text(HEAD + textwrap.dedent(text))
    linecache.cache.pop(str(file), None)  # which would take an edit within the same tick of the clock for none
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    # Not through the loader, which would take a cached compilation for an edit within the same second.
    exec(compile(file.read_text(), str(file), "exec"), loaded.__dict__)
    return loaded


def model(root: Path, name: str, weights: bytes = b"1234") -> Path:
    """A complete model folder whose weights are four bytes."""
    folder = root / "fixtures" / name
    folder.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + weights)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def prompts(n: int = 20, split: Split = "confirmation", start: int = 0, name: str = "toy") -> PromptSet:
    return PromptSet(name, split, tuple(Prompt(f"clean {row}", "answer") for row in range(start, start + n)))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A house with mini-0 in it, and caches with nothing."""
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pyproject.toml").write_text("")
    model(tmp_path, "mini-0")
    return tmp_path
