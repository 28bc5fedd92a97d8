"""Exported files: they say what the tasks say, in the same bytes everywhere, and no file leaks into another."""

from __future__ import annotations

import csv
import json
from itertools import combinations
from pathlib import Path

import pytest

from mechlib.judging.commands import exporting
from mechlib.judging.commands.exporting import export
from mechlib.prompts import world
from mechlib.prompts.addition import addition
from mechlib.prompts.greater_than import greater_than
from mechlib.prompts.ioi import ioi
from tests.helpers.asked import operands as asked


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tasks, exported."""
    where = tmp_path_factory.mktemp("plain")
    for task in exporting.TASKS:
        export(task, where / task)
    return where


def rows(path: Path) -> list[dict[str, str | int]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def operands(path: Path) -> set[frozenset[int]]:
    return {asked(str(row[text])) for row in rows(path) for text in ("prompt", "corrupted")}


def test_no_unordered_pair_of_one_file_is_in_another_not_even_corrupted(folder):
    found = {name: operands(folder / "addition" / f"{name}.jsonl") for name in ("train", "discovery", "test")}
    assert [len(found[name]) for name in ("train", "discovery", "test")] == [4040, 310, 700]
    assert all(not found[one] & found[other] for one, other in combinations(found, 2))


def test_no_name_and_no_template_of_one_file_is_in_the_other(folder):
    discovery, test = (rows(folder / "ioi" / f"{name}.jsonl") for name in ("discovery", "test"))
    assert not {row["template"] for row in discovery} & {row["template"] for row in test}
    names = {name for lexicon in world.LEXICA for name in world.NAMES[lexicon]}
    said = [
        {word for row in part for word in f"{row['prompt']} {row['corrupted']}".split()} & names
        for part in (discovery, test)
    ]
    assert [len(part) for part in said] == [20, 20]
    assert not said[0] & said[1]


def test_rows_are_those_of_the_tasks(folder):
    for task, prompts in (("addition", addition()), ("ioi", ioi()), ("greater_than", greater_than())):
        found = rows(folder / task / "test.jsonl")
        assert [(row["prompt"], row["answer"], row["distractor"], row["corrupted"]) for row in found] == [
            (row.clean, row.answer, row.distractor, row.corrupted) for row in prompts
        ]


@pytest.mark.parametrize("name", ["train", "discovery", "test"])
def test_every_column_of_an_addition_says_what_the_prompt_says(folder, name):
    for row in rows(folder / "addition" / f"{name}.jsonl"):
        assert list(row) == ["split", "a", "b", "sum", "carry", "prompt", "answer", "distractor", "corrupted"]
        assert row["prompt"].endswith(f"What is {row['a']} + {row['b']} ? Answer :")
        assert row["sum"] == row["a"] + row["b"] == int(row["answer"]) != int(row["distractor"])
        assert row["carry"] == (row["sum"] // 10 - row["a"] // 10 - row["b"] // 10)
        assert row["split"] == name


def test_no_noun_and_no_century_of_one_file_is_in_the_other(folder):
    discovery, test = (
        {str(row[text]).rpartition("The ")[2].split()[place] for row in rows(folder / "greater_than" / f"{name}.jsonl")
         for text in ("prompt", "corrupted") for place in (0, -1)}
        for name in ("discovery", "test")
    )  # fmt: skip
    assert len(discovery) == len(test) == 16 + 4
    assert not discovery & test


def test_every_column_of_a_greater_than_says_what_the_prompt_says(folder):
    for row in rows(folder / "greater_than" / "test.jsonl"):
        assert list(row) == ["split", "noun", "century", "start", "prompt", "answer", "distractor", "corrupted"]
        said = f"The {row['noun']} lasted from the year {row['century']} {row['start']} to the year {row['century']}"
        assert row["prompt"].endswith(said)
        assert int(row["distractor"]) <= row["start"] < int(row["answer"])


def test_csv_and_json_lines_say_the_same(folder):
    paths = sorted(folder.glob("*/*.csv"))
    assert len(paths) == 7
    for path in paths:
        with path.open(newline="", encoding="utf-8") as lines:
            found = list(csv.DictReader(lines))
        assert found == [{key: str(value) for key, value in row.items()} for row in rows(path.with_suffix(".jsonl"))]


@pytest.mark.parametrize("task", ["addition", "ioi", "greater_than"])
def test_the_bytes_are_the_same_again(folder, task, tmp_path):
    export(task, tmp_path)
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert again == {path.name: path.read_bytes() for path in (folder / task).iterdir()}
    assert not any(b"\r" in content for content in again.values())


def test_a_folder_may_be_named_by_a_text(tmp_path):
    assert all(path.is_file() for path in export("ioi", str(tmp_path / "new")))


@pytest.mark.parametrize("text", ["prompt", "corrupted"])
def test_a_leak_is_found_in_either_text_and_either_order_and_nothing_is_written(text, tmp_path, monkeypatch):
    files = exporting.addition_files()
    a, b = files["train"][7]["a"], files["train"][7]["b"]
    files["test"][3] = files["test"][3] | {text: f"oh What is {b} + {a} ? Answer :"}
    units = exporting.unordered_pair
    monkeypatch.setitem(exporting.TASKS, "addition", (lambda: files, units))
    with pytest.raises(ValueError, match=r"train and test share '\d+ \+ \d+': nothing is written"):
        export("addition", tmp_path / "leaky")
    assert not list(tmp_path.iterdir())


def test_a_name_in_both_files_is_a_leak(tmp_path):
    files = exporting.ioi_files()
    name = files["discovery"][0]["answer"]
    files["test"][0] = files["test"][0] | {"corrupted": f"{name} left"}
    with pytest.raises(ValueError, match=f"discovery and test share '{name}'"):
        exporting.refuse_shared(files, exporting.template_and_names)
