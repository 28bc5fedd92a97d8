"""The register begins with its past: every former line, translated, each with the hash of the line it stands for."""

import json
from pathlib import Path

import pytest

from mechlib.verdicts.register import BEFORE_ROOMS, REFILED, REGISTER, refiled, translated

ROOT = Path(__file__).parents[2]


def lines(path):
    return [line for line in (ROOT / path).read_text(encoding="utf-8").split("\n") if line]


def test_the_register_begins_with_the_former_one_translated():
    keys = refiled(ROOT / REFILED)
    former, today = lines(BEFORE_ROOMS), lines(REGISTER)
    assert len(former) == 1379
    assert today[: len(former)] == [translated(line, keys).line() for line in former]
    assert not any("was" in json.loads(line) for line in today[len(former) :])


def test_evidence_that_was_replaced_before_keeps_the_key_that_it_had():
    keys = refiled(ROOT / REFILED)
    for line in lines(BEFORE_ROOMS):
        then, now = json.loads(line)["evidence"], translated(line, keys).evidence
        assert set(now) == {keys.get(key, key) for key in then}


@pytest.mark.parametrize("field", ["bound", "verdict"])
def test_a_former_line_that_was_changed_is_found(field):
    keys = refiled(ROOT / REFILED)
    first = json.loads(lines(BEFORE_ROOMS)[0])
    assert translated(json.dumps(first | {field: "changed"}), keys).line() != lines(REGISTER)[0]


def test_every_new_file_of_the_map_was_made_of_some_former_one():
    rows = [json.loads(line) for line in lines(REFILED)]
    assert len({row["from"] for row in rows}) == 2134 and len({row["to"] for row in rows}) == 2089
