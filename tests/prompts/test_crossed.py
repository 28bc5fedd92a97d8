"""Crossed questions: what each asks for, that no text gives the answer, and that no pair was trained."""

import pytest

from mechlib.prompts import crossed, world
from mechlib.prompts.promptset import SPLITS


def operands(text: str) -> tuple[int, int]:
    words = text.split()
    plus = words.index("+")
    return int(words[plus - 1]), int(words[plus + 1])


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("take", ["first", "second"])
def test_the_answer_takes_one_operand_of_the_clean_question_and_one_of_the_corrupted(take, split):
    lexicon = "confirmation" if split == "confirmation" else "discovery"
    allowed = {frozenset(pair) for pair in world.HELD_OUT_PAIRS[lexicon]}
    prompts = crossed(split=split, take=take)
    for row in prompts:
        (c, d), (a, b) = operands(row.clean), operands(row.corrupted)
        wanted = (c, b) if take == "first" else (a, d)
        assert (int(row.answer), int(row.distractor), int(row.label("clean sum"))) == (sum(wanted), a + b, c + d)
        assert len({sum(wanted), a + b, c + d}) == 3 and not {a, b} & {c, d}
        assert {frozenset(pair) for pair in ((a, b), (c, d), wanted)} <= allowed
        assert (row.label("a"), row.label("b")) == (str(c), str(d))
        assert len(row.clean.split()) == len(row.corrupted.split())
        assert set(dict(row.factors)["operand"]) == {str(number) for number in (a, b, c, d)}
    assert len({operands(row.clean) for row in prompts}) == len(prompts) > 250


def test_fewer_are_the_first_of_more_and_the_seed_draws_others():
    assert crossed(50).rows == crossed(100).rows[:50]
    assert crossed(50, seed=1).rows != crossed(50).rows


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="take is 'both': choose first or second"):
        crossed(take="both")
    with pytest.raises(ValueError, match="crossed has 700 distinct prompts, 5000 asked for"):
        crossed(5000)
