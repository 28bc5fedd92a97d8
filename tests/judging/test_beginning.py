"""`--bos` puts another token first in the run that asks for it, under another key, or is refused in one line."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.house import build, records

CLAIM = """
@pytest.mark.parametrize("model", ["mini-0", "mini-1"])
def test_it(model):
    '''The level is at least a half.

    Source: made up for this test.
    '''
    assert mean(around(model, 0.8, 0.0, 100)) >= 0.5
"""
WORDS = {"added_tokens": [{"content": "<s>", "id": 0}], "model": {"type": "WordLevel", "vocab": {"<s>": 0, "w": 1}}}


@pytest.fixture
def own(pytester: pytest.Pytester) -> Path:
    """A house, and in it a model of one's own that declares <s>."""
    root = build(pytester.path, CLAIM)
    path = root / "mine"
    shutil.copytree(root / "fixtures" / "mini-0", path)
    (path / "tokenizer.json").write_text(json.dumps(WORDS))
    (path / "tokenizer_config.json").write_text('{"bos_token": "<s>"}')
    return path


def begun(root: Path) -> list[str]:
    """What stood first in each filed answer about the model itself, in the order of their keys' names."""
    files = sorted((root / "artifacts" / "local").rglob("around--mine--*.jsonl"))
    return [json.loads(file.read_text().split("\n")[0])["bos"] for file in files]


def test_bos_is_in_the_evidence_on_the_record_and_in_the_header(house, pytester, own):
    result = house(None, f"--model={own}", "--bos=w")
    result.stdout.fnmatch_lines([f"{own}: 'w' stands first (asked for; its own is '<s>')"])
    assert begun(pytester.path) == ["w"]
    (record,) = records(pytester.path).values()
    assert [read["bos"] for read in record["models"] if read["name"] == record["model"]] == ["w"]
    assert "MECHLIB_BOS" not in os.environ, "it holds for one run"


@pytest.mark.parametrize(("option", "bos"), [("--bos=w", "w"), ("--bos=none", "")])
def test_what_was_measured_behind_one_beginning_answers_for_no_other(house, pytester, own, option, bos):
    house(None, f"--model={own}")
    assert begun(pytester.path) == ["<s>"]
    missing = house(None, f"--model={own}", option, "--frozen")
    assert missing.ret != 0 and "since bos changed: run `pytest --model=" in missing.stdout.str()
    house(None, f"--model={own}", option)
    assert bos in begun(pytester.path)


def test_workers_measure_behind_the_beginning_that_was_asked_for(house, pytester, own):
    house(None, f"--model={own}", "--bos=w", "-n", "1")
    assert begun(pytester.path) == ["w"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--bos=<s>"], "*--bos (or MECHLIB_BOS) is for a model of one's own or of the Hub: name it*"),
        (["--model=mini-0", "--bos=none"], "*mini-0 begins with '<bos>' by its recipe: --bos is for other models"),
        (["--model=planted-induction", "--bos=none"], "*planted-induction begins with '<bos>' by its recipe*"),
        (["--model=mine", "--bos=zork"], "*the vocabulary of mine has no token 'zork'*--bos=none is for no token"),
        (["--model=mine", "--bos="], "*--bos is empty: write a token of the vocabulary, or --bos=none"),
    ],
    ids=["no model", "mini", "planted", "unknown token", "empty"],
)
def test_a_beginning_that_cannot_be_is_refused_before_anything_is_measured(house, pytester, own, options, line):
    result = house(None, *options)
    assert result.ret == 4 and "Traceback" not in result.stderr.str() and not begun(pytester.path)
    result.stderr.fnmatch_lines([line])
    assert "MECHLIB_BOS" not in os.environ
