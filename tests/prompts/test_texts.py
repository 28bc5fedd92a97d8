"""A model's own texts: which split they are of, that none is in two, and what is refused."""

from __future__ import annotations

import json

import pytest

from mechlib.checkpoints.dictionaries import cards
from mechlib.prompts.texts import TEXTS, texts


@pytest.mark.parametrize("model", ["mini-0", "mini-4", "mini-pilot"])
def test_texts_of_the_splits_are_different_texts(model: str) -> None:
    discovery, confirmation = texts(model, split="discovery"), texts(model)
    assert not {row.clean for row in discovery} & {row.clean for row in confirmation}
    assert len(discovery) == len(confirmation) == 200
    assert {row.answer for row in confirmation} == {""}
    assert confirmation.unit == "sequence"


def test_fewer_are_the_first_of_more_and_a_twin_gets_its_parents() -> None:
    assert [row.clean for row in texts("mini-0", 5)] == [row.clean for row in texts("mini-0")][:5]
    assert texts("mini-0@untrained", 5) == texts("mini-0", 5)


def test_what_there_is_not_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="201 texts of mini-0 were asked for, of confirmation there are 200"):
        texts("mini-0", 201)
    with pytest.raises(ValueError, match="0 texts of mini-0 were asked for, of reference there are 0"):
        texts("mini-0", split="reference")
    with pytest.raises(ValueError, match="no split 'test'"):
        texts("mini-0", split="test")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="gemma3-270m has no texts of its own on file"):
        texts("gemma3-270m")


def test_the_seeds_that_drew_them_are_on_file() -> None:
    held = json.loads((cards("mini-0") / TEXTS).read_text(encoding="utf-8"))
    assert texts("mini-0", 1).settings == (("seed", held["seed"]["confirmation"]),)
    assert len(set(held["seed"].values())) == 2
