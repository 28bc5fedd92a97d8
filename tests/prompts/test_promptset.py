"""Prompts: rows that are told apart by what a measurement can see."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest

from mechlib.prompts.promptset import Prompt, PromptSet

ROWS = tuple(Prompt(f"when {i} then", str(i), f"if {i} then", "x", "t0", (("length", "3"),)) for i in range(5))
TOY = PromptSet("toy", "discovery", ROWS)


SEEN = [
    *({name: "other"} for name in ("clean", "answer", "corrupted", "distractor")),
    {"glue": ""},
    {"read_position": 0},
]
KNOWN = [{"cluster": "t1"}, {"cluster": ""}, {"labels": (("length", "4"),)}, {"labels": ()}]


@pytest.mark.parametrize("change", SEEN)
def test_what_the_model_sees_of_a_row_is_in_its_fingerprint(change):
    changed = replace(ROWS[0], **change)
    assert changed.fingerprint != ROWS[0].fingerprint
    assert PromptSet("toy", "discovery", (changed, *ROWS[1:])).fingerprint != TOY.fingerprint


@pytest.mark.parametrize("change", KNOWN)
def test_what_is_only_known_about_a_row_is_not(change):
    changed = tuple(replace(row, **change) for row in ROWS)
    assert changed[0].fingerprint == ROWS[0].fingerprint
    assert PromptSet("toy", "discovery", changed).fingerprint == TOY.fingerprint


@pytest.mark.parametrize("change", [*SEEN, *KNOWN])
def test_rows_are_sorted_by_everything_that_is_said_of_them(change):
    assert replace(ROWS[0], **change).sort_key != ROWS[0].sort_key


def test_no_row_gets_another_name_or_place_however_many_fields_are_added():
    """The names that evidence files hold, and the keys by which all rows were sorted when intervals were computed."""
    row, at_once = ROWS[0], replace(ROWS[0], glue="")
    assert (row.fingerprint, row.sort_key) == ("5a6b4b850cc5", "b6fe5dd118b0")
    assert (at_once.fingerprint, at_once.sort_key) == ("a30b5a4a3df9", "334d2d5c0bf4")


def test_a_set_is_its_name_its_split_its_rows_and_their_order():
    others = [
        PromptSet("toys", "discovery", ROWS),
        PromptSet("toy", "confirmation", ROWS),
        PromptSet("toy", "discovery", ROWS[:4]),
        PromptSet("toy", "discovery", ROWS[::-1]),
    ]
    assert len({TOY.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert PromptSet("toy", "discovery", ROWS, (("seed", 1),)).fingerprint == TOY.fingerprint


def test_fingerprints_are_the_same_in_every_process():
    code = "from mechlib.prompts.promptset import Prompt; print(Prompt('é a', 'b', labels=(('k', 'v'),)).fingerprint)"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert theirs == Prompt("é a", "b", labels=(("k", "v"),)).fingerprint
    assert len(theirs) == 12


def test_repeats_are_refused():
    with pytest.raises(ValueError, match="5 distinct prompts among 6: repeats would shrink"):
        PromptSet("toy", "discovery", (*ROWS, ROWS[2]))


def test_sets_without_prompts_or_with_an_unknown_split_are_refused():
    with pytest.raises(ValueError, match="no prompts"):
        PromptSet("toy", "discovery", ())
    with pytest.raises(ValueError, match="no split 'test'"):
        PromptSet("toy", "test", ROWS)


def test_overlap_is_seen_whatever_the_corruption_is():
    others = tuple(replace(row, corrupted="another", distractor="y") for row in ROWS[3:])
    other = PromptSet("toy", "confirmation", (*others, Prompt("new", "1", cluster="t0")))
    assert len(TOY.members & other.members) == 2


def test_taking_some_says_so():
    first = TOY.take(2)
    assert (first.rows, first.split) == (ROWS[:2], "discovery")
    assert repr(first) == "toy(discovery, n=2, take=2)"
    for n in (0, 6):
        with pytest.raises(ValueError, match="5 prompts"):
            TOY.take(n)


def test_labels_are_read_by_name():
    assert ROWS[0].label("length") == "3"
    with pytest.raises(KeyError, match="this prompt has length"):
        ROWS[0].label("order")


def test_prompts_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        ROWS[0].clean = "other"
    with pytest.raises(FrozenInstanceError):
        TOY.split = "confirmation"


TEXTS = ("clean", "corrupted", "answer", "distractor")
LOOSE = (" one", "one ", "one\n", "\tone", "\u3000one")
UNSEEN = (
    "\r",
    "\u2028",
    "\u2029",
    "\x85",
    "\ufeff",
    "\u200b",
    "\xa0",
    "\xad",
    "\u2009",
    "\u2060",
    "\u202e",
    "\U000e0041",
    "\x00",
    "\x0c",
    "\ud800",
)


@pytest.mark.parametrize("text", [None, b"one", 1])
def test_what_is_no_text_is_refused_with_its_name(text):
    with pytest.raises(ValueError, match=f"answer is {text!r}: give a text, or leave it out"):
        replace(ROWS[0], answer=text)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", LOOSE)
def test_white_space_at_the_ends_of_a_text_is_refused_with_its_name(name, text):
    cure = "write it without; `glue`" if name in ("answer", "distractor") else "`glue` is the white space between"
    with pytest.raises(ValueError) as refused:
        replace(ROWS[0], **{name: text})
    assert f"{name} {text!r} begins or ends in white space: {cure}" in str(refused.value)


@pytest.mark.parametrize("name", (*TEXTS, "glue"))
@pytest.mark.parametrize("character", UNSEEN)
def test_a_character_that_nobody_sees_is_refused_anywhere(name, character):
    for text in (f"a{character}b", f"{character}ab", f"ab{character}"):
        with pytest.raises(ValueError) as refused:
            replace(ROWS[0], **{name: text})
        assert f"{name} {text!r} holds {character!r}, which nobody sees" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_lines_and_tabs_within_a_text_are_part_of_it():
    text = "2+3=5\n\tif x:\n 4+4="
    assert Prompt(text, "8", glue="\n").clean == text


def test_a_corrupted_text_that_is_the_clean_text_is_refused():
    with pytest.raises(ValueError, match=r"corrupted text of 'when 0 then' is the clean text: .* corrupt a word"):
        replace(ROWS[0], corrupted=ROWS[0].clean)


def test_clusters_of_some_rows_only_are_refused():
    for holed in (
        (replace(ROWS[0], cluster=""), *ROWS[1:]),
        (*(replace(row, cluster="") for row in ROWS[1:]), ROWS[0]),
    ):
        n = sum(not row.cluster for row in holed)
        with pytest.raises(ValueError, match=f"{n} of 5 rows of toy have no cluster, as 'when [01] then'"):
            PromptSet("toy", "discovery", holed)


def test_a_prompt_that_is_read_at_its_end_is_the_prompt_that_says_nothing_of_it():
    assert replace(ROWS[0], read_position=-1) == ROWS[0]
    several = tuple(replace(ROWS[0], read_position=position) for position in (0, 1, -1))
    assert len(PromptSet("toy", "discovery", several)) == 3
    for several_at_once in ((0, 1), 1.0, None, True):
        with pytest.raises(ValueError, match="give one whole number, a row for each position"):
            replace(ROWS[0], read_position=several_at_once)


def test_overlap_is_seen_whatever_the_width_of_spaces():
    wide = PromptSet(
        "toy", "confirmation", (Prompt("when  0\nthen", "1"), Prompt("when 1  then", "2", read_position=0))
    )
    assert len(TOY.members & wide.members) == 2
