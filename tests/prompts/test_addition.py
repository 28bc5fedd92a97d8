"""Addition and its relatives: what is held out stays out, and what the rows promise holds for every row."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import combinations
from math import sqrt
from pathlib import Path
from statistics import mean, pstdev

import numpy as np
import pytest

from fixtures import corpus, evaluate
from mechlib.prompts import world
from mechlib.prompts.addition import addition, increment, partners, prompt, subtraction, trained
from mechlib.prompts.promptset import Prompt, PromptSet
from mechlib.prompts.sums.wordings import wording_of
from tests.helpers.asked import numbers, pinned
from tests.helpers.asked import operands as asked

RUN = {"cwd": Path(__file__).parents[2], "capture_output": True, "text": True, "check": True}
SPLITS = ("discovery", "confirmation", "reference")
OPERANDS = ("first", "second")
SUMS = [
    *({"wording": wording} for wording in ("plain", "sum", "add", "question", "{b} plus {a} = {sum}")),
    {"corrupt": "second"},
    {"operands": "100 to 120"},
    {"shots": 2},
    {"seed": 1},
]


def fillers(text: str) -> list[str]:
    words = text.split()
    return words[: next(place for place, word in enumerate(words) if word not in world.FILLERS)]


def without_fillers(text: str) -> str:
    return " ".join(text.split()[len(fillers(text)) :])


def everything(split: str) -> list[PromptSet]:
    """Every operation in every wording, with either number replaced."""
    wordings = [
        addition(split=split, wording=wording, corrupt=c) for wording in world.ADDITION_WORDINGS for c in OPERANDS
    ]
    return [
        *wordings,
        *(subtraction(split=split, corrupt=c) for c in OPERANDS),
        increment(split=split),
        partners(split),
    ]


def pairs(prompts: PromptSet) -> set[frozenset[int]]:
    """The unordered pairs that clean and corrupted texts ask for, read off the texts."""
    texts = [text for row in prompts for text in (row.clean, row.corrupted)]
    if prompts.name == "subtraction":
        return {frozenset((a, total - a)) for total, a in map(numbers, texts)}
    if prompts.name == "increment":
        return {frozenset((*numbers(text), 1)) for text in texts}
    return {asked(text) for text in texts}


# --- splits -------------------------------------------------------------------------------------------------------


def test_confirmation_has_700_pairs_and_discovery_310_others_each_once():
    found = {split: [asked(row.clean) for row in addition(split=split)] for split in SPLITS}
    assert [len(set(found[split])) for split in SPLITS] == [len(found[split]) for split in SPLITS] == [310, 700, 302]
    assert not set(found["discovery"]) & set(found["confirmation"])


@pytest.mark.parametrize("operands", ["trained", "100 to 120"])
@pytest.mark.parametrize("corrupt", OPERANDS)
def test_no_unordered_pair_of_confirmation_is_in_the_other_splits(operands, corrupt):
    of = {split: pairs(addition(split=split, operands=operands, corrupt=corrupt)) for split in SPLITS}
    assert 699 <= len(of["confirmation"]) <= 700
    assert not of["confirmation"] & (of["discovery"] | of["reference"])


def test_no_pair_of_confirmation_is_in_another_split_by_way_of_another_operation():
    confirmed = set().union(*map(pairs, everything("confirmation")))
    assert not confirmed & set().union(*map(pairs, everything("discovery")))
    assert not confirmed & set().union(
        *(pairs(found) for found in everything("reference") if found.name != "increment")
    )


@pytest.mark.parametrize("split", ["discovery", "confirmation"])
def test_clean_and_corrupted_are_held_out_in_every_operation(split):
    held_out = {frozenset(pair) for pair in world.HELD_OUT_PAIRS[split]}
    assert all(pairs(found) <= held_out for found in everything(split))


@pytest.mark.parametrize("split", ["discovery", "confirmation"])
def test_training_never_draws_a_prompt_and_nearly_always_what_it_does_show(split):
    rng = np.random.default_rng(0)
    drawn = set()
    for task in (*world.ADDITION_WORDINGS, "subtraction", "increment"):
        rows, _ = corpus.DRAW[task](30_000, rng)
        drawn |= {" ".join(world.VOCABULARY[word] for word in row) for row in rows}
    for found in everything(split):
        for row in found:
            assert f"{without_fillers(row.clean)} {row.answer}" not in drawn
            assert f"{without_fillers(row.corrupted)} {row.distractor}" not in drawn
    shown = [f"{without_fillers(row.clean)} {row.answer}" in drawn for row in trained()]
    assert mean(shown) > 0.95  # 1 - exp(-30,000 / 8,060) of them


@pytest.mark.parametrize("split", ["discovery", "confirmation"])
def test_prompts_are_those_that_the_models_cards_were_scored_on(split):
    """Written twice: the training code scores its models on the same questions and answers."""

    def ours(prompts: PromptSet) -> set[str]:
        return {f"{without_fillers(row.clean)} {row.answer}" for row in prompts}

    def theirs(wording: str) -> set[str]:
        rows = evaluate.held_out_arithmetic(wording, split)
        return {" ".join(world.VOCABULARY[word] for word in row) for row in rows}

    for wording in world.ADDITION_WORDINGS:
        assert ours(addition(split=split, wording=wording)) == theirs(wording)
    assert ours(increment(split=split)) == theirs("increment")
    assert len(theirs("subtraction") - ours(subtraction(split=split))) <= 1  # without another pair to be corrupted to


@pytest.mark.parametrize("settings", SUMS, ids=str)
def test_the_reference_shares_no_clean_text_with_discovery(settings):
    assert not addition(split="reference", **settings).members & addition(split="discovery", **settings).members


def test_the_references_of_subtraction_and_increment_share_no_text_either():
    for task in (subtraction, increment):
        assert not task(split="reference").members & (task(split="discovery").members | task().members)


def test_what_training_shows_is_no_held_out_pair_and_every_other():
    shown = Counter(asked(row.clean) for row in trained())
    assert set(shown) == {frozenset(pair) for pair in world.PAIRS if not world.pair_is_held_out(*pair)}
    assert len(trained()) == len(shown) == 4040
    assert not any(world.pair_is_held_out(*numbers(row.corrupted)) for row in trained())


# --- rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("settings", SUMS, ids=str)
def test_answers_and_distractors_are_the_sums_of_clean_and_corrupted(split, settings):
    for row in addition(split=split, **settings):
        assert int(row.answer) == sum(numbers(row.clean)[-2:]) <= 198
        assert int(row.distractor) == sum(numbers(row.corrupted)[-2:]) <= 198
        assert row.answer != row.distractor


def test_differences_and_successors_are_right():
    for split in SPLITS:
        for corrupt in OPERANDS:
            for row in subtraction(split=split, corrupt=corrupt):
                for text, answer in ((row.clean, row.answer), (row.corrupted, row.distractor)):
                    total, taken = numbers(text)
                    assert 0 <= int(answer) == total - taken <= 99
        for row in increment(split=split):
            assert int(row.answer) == numbers(row.clean)[0] + 1
            assert int(row.distractor) == numbers(row.corrupted)[0] + 1


@pytest.mark.parametrize("task", [addition, subtraction])
@pytest.mark.parametrize("corrupt", OPERANDS)
@pytest.mark.parametrize("split", SPLITS)
def test_exactly_the_named_number_is_replaced(task, corrupt, split):
    for row in task(split=split, corrupt=corrupt):
        clean, corrupted = row.clean.split(), row.corrupted.split()
        (place,) = [place for place, pair in enumerate(zip(clean, corrupted, strict=True)) if pair[0] != pair[1]]
        assert place - len(fillers(row.clean)) == {"first": 2, "second": 4}[corrupt]


def test_the_clean_answer_of_a_subtraction_does_not_come_in_by_exchanging_its_numbers():
    for row in subtraction(corrupt="second"):
        assert int(row.answer) != numbers(row.corrupted)[1]


@pytest.mark.parametrize("corrupt", OPERANDS)
@pytest.mark.parametrize("operands", ["trained", "100 to 120"])
def test_answers_are_as_large_as_distractors_on_average(corrupt, operands):
    """A model that prefers large numbers, or small ones, gets nothing from it: within 2.6 standard errors of zero."""
    gaps = [int(row.answer) - int(row.distractor) for row in addition(corrupt=corrupt, operands=operands)]
    assert abs(mean(gaps)) < 2.6 * pstdev(gaps) / sqrt(len(gaps))


def test_labels_say_carry_bucket_and_operands():
    for row in (*addition(), *addition(operands="100 to 120")):
        a, b = numbers(row.clean)
        low, high = numbers(row.label("sum"))
        assert [key for key, _ in row.labels] == ["carry", "sum", "a", "b"]
        assert (row.label("carry") == "carry") == ((a + b) // 10 > a // 10 + b // 10)
        assert low <= a + b <= high and low % 50 == 0 and high in (49, 99, 149, 198)
        assert (row.label("a"), row.label("b")) == (str(a), str(b))
    assert Counter(row.label("carry") for row in addition())["carry"] > 300


@pytest.mark.parametrize("task", [addition, subtraction])
@pytest.mark.parametrize("split", SPLITS)
def test_every_number_of_fillers_is_as_frequent_as_the_others(task, split):
    found = Counter(len(fillers(row.clean)) for row in task(split=split))
    assert set(found) == set(range(9))
    assert max(found.values()) - min(found.values()) <= 2
    assert all(fillers(row.clean) == fillers(row.corrupted) for row in task(split=split))


def test_fillers_say_nothing_about_the_sum():
    """Mean sums of the nine numbers of fillers differ no more than chance has it (an F test by hand, 1 in 1,000)."""
    groups = [[int(row.answer) for row in addition() if len(fillers(row.clean)) == n] for n in range(9)]
    overall = mean(int(row.answer) for row in addition())
    between = sum(len(group) * (mean(group) - overall) ** 2 for group in groups) / 8
    within = sum(len(group) * pstdev(group) ** 2 for group in groups) / (700 - 9)
    assert between / within < 3.32


def test_either_operand_is_the_larger_about_as_often():
    for found in (addition(), addition(operands="100 to 120")):
        larger = sum(int(row.label("a")) > int(row.label("b")) for row in found)
        assert abs(larger / len(found) - 0.5) < 0.05


def test_every_word_of_the_minis_prompts_is_in_their_vocabulary():
    for split in SPLITS:
        sets = [*everything(split), addition(split=split, shots=2), addition(split=split, operands="100 to 120")]
        for row in (row for found in sets for row in found):
            words = " ".join((row.clean, row.corrupted, row.answer, row.distractor)).split()
            assert all(word in world.IDS for word in words)
            assert row.glue == " "
            assert len(row.clean.split()) + 2 <= 64


def test_clean_texts_are_the_same_whatever_is_corrupted_and_pairs_and_fillers_in_every_wording():
    assert [row.clean for row in addition()] == [row.clean for row in addition(corrupt="second")]
    for wording in ("sum", "add"):
        for row, plain in zip(addition(wording=wording), addition(), strict=True):
            assert fillers(row.clean) == fillers(plain.clean)
            assert numbers(row.clean) == numbers(plain.clean)
            assert row.distractor == plain.distractor


def test_fewer_prompts_are_the_first_of_more():
    assert addition(200).rows == addition().rows[:200]
    assert not {*map(asked, (row.clean for row in addition(200)))} & {asked(row.clean) for row in addition().rows[200:]}


# --- beyond training ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corrupt", OPERANDS)
@pytest.mark.parametrize("split", SPLITS)
def test_beyond_training_exactly_one_operand_is_100_to_120(split, corrupt):
    for row in addition(split=split, operands="100 to 120", corrupt=corrupt):
        for text in (row.clean, row.corrupted):
            small, large = sorted(numbers(text))
            assert 100 <= large <= 120
            assert small <= 98


def test_the_pairs_beyond_training_are_split_without_overlap():
    found = {split: set(world.PAIRS_BEYOND[split]) for split in world.LEXICA}
    assert [len(found[split]) for split in world.LEXICA] == [310, 700]
    assert not found["discovery"] & found["confirmation"]


@pytest.mark.parametrize("wording", ["plain", "sum", "add", "question"])
def test_shots_are_solved_discovery_pairs_that_hold_neither_answer_nor_distractor(wording):
    known = {frozenset(pair) for pair in world.HELD_OUT_PAIRS["discovery"]}
    repeated = 4 if wording == "question" else 2  # which says the operands twice
    for split in SPLITS:
        for row in addition(split=split, shots=2, wording=wording):
            said = numbers(row.clean)
            shown = [said[: repeated + 1], said[repeated + 1 : 2 * repeated + 2]]
            assert said[2 * repeated + 2 :][:2] == (int(row.label("a")), int(row.label("b")))
            for *operands, total in shown:
                assert sum(operands[:2]) == total
                assert frozenset(operands) in known - {asked(row.clean)}
                assert not {int(row.answer), int(row.distractor)} & {*operands, total}
            assert numbers(row.corrupted)[: 2 * repeated + 2] == said[: 2 * repeated + 2]


def test_partners_share_a_clean_text_and_differ_in_the_corrupted_one():
    together: dict[str, list[Prompt]] = {}
    for row in partners():
        together.setdefault(row.label("pair"), []).append(row)
    assert [rows[0].clean for rows in together.values()] == [row.clean for row in addition()]
    for pair, rows in together.items():
        assert len({row.clean for row in rows}) == 1
        assert len({row.corrupted for row in rows}) == len({row.distractor for row in rows}) == len(rows) == 4
        assert pair == "{} + {}".format(*numbers(rows[0].clean))
        assert all(numbers(row.corrupted)[1] == numbers(row.clean)[1] for row in rows)
    assert len(together) == 700


# --- wordings -----------------------------------------------------------------------------------------------------


def test_wordings_read_as_they_were_trained():
    assert prompt(23, 54) == Prompt(
        "What is 23 + 54 ? Answer :",
        "77",
        labels=(("carry", "no carry"), ("sum", "50 to 99"), ("a", "23"), ("b", "54")),
        factors=(("operand", ("23", "54")),),
    )
    assert prompt(23, 54, "sum").clean == "The sum of 23 and 54 is"
    assert prompt(23, 54, "add").clean == "If you add 23 to 54 , you get"


def test_the_question_of_the_community_has_no_fillers_and_its_answer_follows_at_once():
    found = prompt(23, 54, "question")
    assert found.clean + found.glue + found.answer == "Question: What is 23+54? Answer: 23+54=77"
    assert all(row.clean.startswith("Question: ") for row in addition(wording="question"))


@pytest.mark.parametrize("split", SPLITS)
def test_in_other_words_than_the_minis_numbers_are_replaced_by_numbers_of_as_many_digits(split):
    rows = addition(split=split, wording="question")
    assert len(rows) > 0.9 * len(addition(split=split))
    assert all(len(row.clean) == len(row.corrupted) for row in rows)


@pytest.mark.parametrize(
    ("wording", "clean", "glue"),
    [
        ("Add {a} to {b} :", "Add 23 to 54 :", " "),
        ("Add {a} to {b} : ", "Add 23 to 54 :", " "),
        ("{a}+{b}={sum}", "23+54=", ""),
        ("{b} and {a}, {a} and {b}\n{sum}", "54 and 23, 23 and 54", "\n"),
    ],
)
def test_a_wording_of_ones_own_fills_its_slots(wording, clean, glue):
    found = prompt(23, 54, wording)
    assert (found.clean, found.glue, found.answer) == (clean, glue, "77")


def test_only_wordings_in_the_words_of_the_minis_have_fillers():
    assert any(fillers(row.clean) for row in addition(wording="The sum of {b} and {a} is"))
    assert not any(fillers(row.clean) for row in addition(wording="Add {a} to {b} :"))


# --- the same everywhere ------------------------------------------------------------------------------------------


def test_the_prompts_are_the_same_on_every_machine_and_python():
    found = {
        (task.__name__, split): pinned(task(split=split))
        for task in (addition, subtraction, increment, partners)
        for split in SPLITS
    }
    assert found == {
        ("addition", "discovery"): "7fedca585c01",
        ("addition", "confirmation"): "812d7e90d0b0",
        ("addition", "reference"): "b7169afdf51d",
        ("subtraction", "discovery"): "46748fbeb0a1",
        ("subtraction", "confirmation"): "001c1f2fbbcb",
        ("subtraction", "reference"): "7df18310f0db",
        ("increment", "discovery"): "68c08c4bcaa3",
        ("increment", "confirmation"): "c7a028638502",
        ("increment", "reference"): "daeff098ec3b",
        ("partners", "discovery"): "caa3b8afc037",
        ("partners", "confirmation"): "4cadc3ff3465",
        ("partners", "reference"): "00496ab55135",
    }


def test_the_prompts_are_the_same_whatever_the_hash_seed_of_python():
    code = (
        "from mechlib.prompts.addition import addition, subtraction, trained\n"
        "from mechlib.prompts.promptset import PromptSet\n"
        "sets = addition(shots=2), addition(operands='100 to 120'), subtraction(corrupt='second');"
        "print([found.fingerprint for found in (*sets, PromptSet('trained', 'reference', trained()))])"
    )
    found = [
        subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, **RUN).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] and len(found[0]) > 4 * 64


def test_another_seed_asks_the_same_questions_after_other_fillers_with_other_replacements():
    one, other = addition(), addition(seed=1)
    assert [asked(row.clean) for row in one] == [asked(row.clean) for row in other]
    assert sum(fillers(a.clean) == fillers(b.clean) for a, b in zip(one, other, strict=True)) < 70
    assert sum(a.distractor == b.distractor for a, b in zip(one, other, strict=True)) < 140


def test_sets_that_differ_do_not_read_alike():
    sets = [addition(), *(addition(**settings) for settings in SUMS[1:]), addition(200), addition(shots=1)]
    sets += [subtraction(), subtraction(corrupt="second"), partners(), partners(per_pair=2), partners(corrupt="second")]
    assert len({found.fingerprint for found in sets}) == len({repr(found) for found in sets}) == len(sets)
    assert all(one.fingerprint != other.fingerprint for one, other in combinations(sets, 2))


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_for", "said"),
    [
        (lambda: addition(701), "addition has 700 distinct prompts, 701 asked for: repeats would shrink the interval"),
        (lambda: increment(12), "increment has 11 distinct prompts, 12 asked for"),
        (lambda: addition(0), "0 prompts of addition were asked for: ask for at least one"),
        (lambda: addition(split="test"), "no split 'test': choose one of discovery, confirmation, reference"),
        (lambda: increment(split="test"), "no split 'test'"),
        (lambda: addition(corrupt="third"), "corrupt is 'third': choose first or second"),
        (lambda: subtraction(corrupt="both"), "corrupt is 'both': choose first or second"),
        (lambda: addition(operands="200"), "no operands '200': choose one of trained, 100 to 120"),
        (lambda: addition(shots=-1), "-1 shots were asked for: ask for none or more"),
        (lambda: partners(per_pair=0), "0 partners a pair were asked for: ask for at least one"),
        (lambda: addition(2.5), "2.5 prompts of addition were asked for: ask for at least one, and for a whole number"),
        (lambda: addition("9"), "'9' prompts of addition were asked for"),
        (lambda: partners(per_pair=0.5), "0.5 partners a pair were asked for: ask for at least one"),
        (lambda: addition(2, shots="2"), "'2' shots were asked for: ask for none or more, and for a whole number"),
        (lambda: addition(2, shots=400), "400 shots were asked for: at most 308 can stand before 'What is 74 + 54 ?"),
        (lambda: prompt(150, 90), "150 + 90: the minis know the whole numbers 0 to 198: choose operands and a sum"),
        (lambda: prompt(-1, 5), "-1 + 5: the minis know the whole numbers 0 to 198"),
        (lambda: prompt(1.5, 2), "1.5 + 2: the minis know the whole numbers 0 to 198"),
        (lambda: prompt("1", 2), "'1' + 2: the minis know the whole numbers 0 to 198"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_line(asked_for, said):
    with pytest.raises(ValueError) as refused:
        asked_for()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("wording", "said"),
    [
        ("formal", "no wording 'formal': choose plain, sum, add, question, or a text with {a} and {b}"),
        ("Add {a} :", "lacks {b}: it needs both operands, {a} and {b}"),
        ("The answer is {sum}", "lacks {a} and {b}"),
        ("Is {a} + {b} even ? {answer}", "asks for {answer}, which is no number that two operands give"),
        ("{sum} is {a} + {b} .", "does not end in its answer: end it in {sum}"),
        ("{sum} is {a} + {b}", "says {sum} before its end: that would give the answer away"),
        ("{a} + {b} = {", "has a brace that belongs to no slot: write {a}, {b}, {sum}"),
        ("{} is {a} + {b} ?", "has a brace that belongs to no slot"),
        ("{a} + {b} = {sum} . {sum}", "says {sum} before its end: that would give the answer away"),
    ],
)
def test_a_wording_whose_answer_is_not_the_sum_is_refused_in_one_line(wording, said):
    with pytest.raises(ValueError) as refused:
        wording_of(wording)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
