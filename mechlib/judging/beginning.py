"""`--bos`: another token before every text than the one that the models under `--model` declare, or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from mechlib.checkpoints.bos import NONE, VARIABLE, token_id
from mechlib.checkpoints.checkpoint import UnknownModel
from mechlib.checkpoints.resolve import checkpoint


def choose_bos(config: pytest.Config, names: Sequence[str], root: Path) -> None:
    """Puts --bos where checkpoints read it, for this run alone.

    Raises UsageError where no model is named, where one begins as its recipe says (those that ship, planted ones), and
    where a vocabulary that is here lacks the token.
    """
    asked = config.getoption("bos")
    if asked is None:
        return
    if not names:
        raise pytest.UsageError(
            f"--bos (or {VARIABLE}) is for a model of one's own or of the Hub: name it, as in --model=DIR --bos={NONE}"
        )
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = asked
    config.add_cleanup(lambda: _restore(before))
    for name in names:
        _check(name, asked, root)


def _check(name: str, asked: str, root: Path) -> None:
    try:
        model = checkpoint(name, root)
    except UnknownModel:
        return  # it is refused as such
    if model.kind in ("mini", "planted"):
        raise pytest.UsageError(f"{model.parent} begins with {model.bos!r} by its recipe: --bos is for other models")
    if not asked:
        raise pytest.UsageError(f"--bos is empty: write a token of the vocabulary, or --bos={NONE}")
    here = any((model.path / file).is_file() for file in ("tokenizer.json", "vocab.json"))
    if here and model.bos and token_id(model.path, model.bos) is None:
        raise pytest.UsageError(
            f"--bos={asked}: the vocabulary of {name} has no token {asked!r}: `mechlib models {name} --text '{asked}'` "
            f"shows what it is made of; --bos={NONE} is for no token"
        )


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = before


def pytest_report_header(config: pytest.Config) -> list[str]:
    """A line for each model under --model: what stands before its texts, and where that was found."""
    lines = []
    for name in config.getoption("model") or ():
        model = checkpoint(name, config.rootpath)
        lines.append(f"{name}: {repr(model.bos) if model.bos else 'nothing'} stands first ({model.bos_source})")
    return lines
