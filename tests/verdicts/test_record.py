"""A record travels as one line of JSON: what was written is read, field by field, by this version and by others."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from mechlib.statistics import mean
from mechlib.statistics.families import every
from mechlib.verdicts.record import Comparison, Record, ShownFigure, ShownPart, TwinOutcome
from tests.helpers.sample_record import sample
from tests.helpers.samples import measured


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return sample(tmp_path_factory.mktemp("house"))


def test_what_was_written_is_read(records: list[Record]) -> None:
    for record in records:
        text = record.to_json()
        assert "\n" not in text
        assert Record.from_json(text) == Record.from_json(text.encode()) == record


def test_a_record_of_another_version_is_read_as_far_as_it_is_known(records: list[Record]) -> None:
    plain = json.loads(records[0].to_json())
    plain["later"], plain["comparison"]["later"] = 1, {"a": 2}
    del plain["gates"], plain["seconds"]
    found = Record.from_json(json.dumps(plain))
    assert (found.gates, found.seconds) == ([], 0.0) and found.comparison == records[0].comparison


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ('{"id": "a"}', "missing required field `topic`"),
        (
            '{"id": "a", "topic": "t", "function": "f", "sentence": "", "verdict": "YES"}',
            "Invalid enum value 'YES'",
        ),
        ('{"id": "a", "topic": "t", "function": "f", "sentence": 3}', "Expected `str`, got `int` - at `$.sentence`"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        Record.from_json(text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_comparison_is_its_verdict_field_by_field() -> None:
    data = measured(np.random.default_rng(0).normal(0.5, 0.2, (60, 3)), columns=("a", "b", "c"))
    for verdict in (mean(data["a"]) >= 0.4, every(mean(data)) >= 0.1):
        plain = verdict.to_dict()
        found = Comparison.of(plain)
        assert json.loads(msgspec.json.encode(found)) == json.loads(json.dumps(plain))
    assert len(found.members) == 3


def test_numbers_of_numpy_become_those_of_python() -> None:
    plain = (mean(measured(np.linspace(0, 1, 40))) >= 0.4).to_dict()
    plain["detectable"], plain["estimate"]["n"] = np.float64(0.25), np.int64(40)
    found = Comparison.of(plain)
    assert type(found.detectable) is float and type(found.estimate.n) is int
    with pytest.raises(TypeError, match="a record holds plain data, not object"):
        Comparison.of({**plain, "text": object()})


def test_what_a_figure_does_not_have_is_not_written() -> None:
    alone = ShownFigure("by_column", "said", "a.jsonl", None)
    assert json.loads(msgspec.json.encode(alone)) == {
        "plot": "by_column", "caption": "said", "evidence": "a.jsonl", "columns": None,
    }  # fmt: skip
    cells = ShownFigure("matrix", cells=(ShownPart("a", ("x",), row="r", column="c"), ShownPart("a", None, row="s")))
    assert set(json.loads(msgspec.json.encode(cells))) == {"plot", "caption", "cells"}
    assert cells.paths == ["a"] and alone.parts == (ShownPart("a.jsonl", None),)


def test_a_twin_without_a_number_is_kept_with_its_reason() -> None:
    twin = TwinOutcome("mini-0@permuted", "silent", "why")
    assert msgspec.to_builtins(twin) == {
        "model": "mini-0@permuted", "word": "silent", "reason": "why", "comparison": None,
    }  # fmt: skip
