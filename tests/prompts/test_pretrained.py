"""Prompts for pretrained models: splits, balance, lengths, and the style that a model is asked in."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from mechlib.checkpoints.checkpoint import UnknownModel
from mechlib.prompts import addition, greater_than, induction, ioi, partners, repeats, style_of
from mechlib.prompts.pretrained import lexicon, sentences
from mechlib.prompts.promptset import SPLITS, PromptSet
from mechlib.prompts.sums.operands import OF_TWO_DIGITS
from mechlib.prompts.world import HELD_OUT_PAIRS

ANSWERED = ("discovery", "confirmation")
CORRUPTIONS = ("subject", "names", "order", "tokens")
WORDINGS = ("plain", "sum", "add", "question", "{a}+{b}={sum}")


def words(text: str) -> list[str]:
    return "".join(one if one.isalnum() else f" {one} " for one in text).split()


def replaced(clean: str, corrupted: str) -> list[tuple[str, str]]:
    return [(old, new) for old, new in zip(words(clean), words(corrupted), strict=True) if old != new]


def levels(prompts: PromptSet, factor: str) -> Counter[str]:
    return Counter(level for row in prompts for level in dict(row.factors)[factor])


# Which style


def test_a_model_is_asked_in_the_words_that_it_was_trained_on():
    assert {style_of(name) for name in ("mini-0", "mini-half", "planted-ioi", "mini-0@untrained")} == {"world"}
    assert {style_of(name) for name in ("gpt2-small", "qwen2.5-0.5b@permuted")} == {"pretrained"}
    with pytest.raises(UnknownModel, match="no model 'mini-9'"):
        style_of("mini-9")


@pytest.mark.parametrize(("kind", "style"), [("WordLevel", "world"), ("BPE", "pretrained"), ("Unigram", "pretrained")])
def test_a_directory_is_asked_by_what_its_tokenizer_is(tmp_path, kind, style):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": kind}}))
    assert style_of(str(tmp_path)) == style


@pytest.mark.parametrize("task", [ioi, greater_than, induction, repeats, addition, partners])
def test_a_task_renders_itself_for_a_model_in_one_line(task):
    assert task(style=style_of("mini-0")).fingerprint == task().fingerprint
    assert dict(task(style=style_of("gpt2-small")).settings)["style"] == "pretrained"
    with pytest.raises(ValueError, match="no style 'other': choose"):
        task(style="other")


# Splits


def test_no_word_sentence_century_or_pair_is_in_two_splits():
    for lists in (lexicon.NAMES, lexicon.OBJECTS, lexicon.NOUNS, lexicon.CENTURIES, lexicon.WORDS, sentences.TEMPLATES):
        both = [*lists["discovery"], *lists["confirmation"]]
        assert len(set(both)) == len(both)
    pairs = [frozenset(pair) for split in ANSWERED for pair in OF_TWO_DIGITS[split]]
    assert len(set(pairs)) == len(pairs) == 1640  # all of two digits whose sum has two
    for split, other in (ANSWERED, ANSWERED[::-1]):
        assert not set(OF_TWO_DIGITS[split]) & set(HELD_OUT_PAIRS[other]), "a pair is in one split in every style"


def test_splits_are_large_enough_for_what_is_claimed():
    assert [len(sentences.TEMPLATES[split]) for split in ANSWERED] == [16, 48]
    assert [len(lexicon.NAMES[split]) for split in ANSWERED] == [68, 288]
    assert [len(lexicon.WORDS[split]) for split in ANSWERED] == [315, 399]
    assert not set(lexicon.FILLERS) & {word for own in lexicon.WORDS.values() for word in own}


# Indirect objects


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
@pytest.mark.parametrize("split", ANSWERED)
def test_every_sentence_has_eight_prompts_half_in_either_order(split, corrupt):
    prompts = ioi(split=split, corrupt=corrupt, style="pretrained")
    shared = Counter((row.cluster, row.label("order")) for row in prompts)
    assert shared == {(own, order): 4 for own in sentences.TEMPLATES[split] for order in ("ABBA", "BABA")}
    assert Counter(row.answer for row in prompts) == Counter(row.distractor for row in prompts)


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
def test_a_name_is_in_at_most_eight_prompts_and_at_least_a_hundred_are_used(corrupt):
    said = levels(ioi(corrupt=corrupt, style="pretrained"), "name")
    assert len(said) >= 100 and max(said.values()) <= 8
    assert max(levels(ioi(split="discovery", style="pretrained"), "name").values()) <= 8


def test_a_name_meets_one_other_name_in_all_clean_texts():
    met = defaultdict(set)
    for row in ioi(style="pretrained"):
        met[row.answer].add(row.distractor)
        met[row.distractor].add(row.answer)
    assert {len(others) for others in met.values()} == {1}


@pytest.mark.parametrize(("corrupt", "n"), [("subject", 1), ("names", 3), ("order", 2), ("tokens", 3)], ids=CORRUPTIONS)
@pytest.mark.parametrize("split", ANSWERED)
def test_names_are_replaced_by_names_and_nothing_else(split, corrupt, n):
    known = set(lexicon.NAMES[split])
    for row in ioi(split=split, corrupt=corrupt, style="pretrained"):
        changed = replaced(row.clean, row.corrupted)
        assert len(changed) == n and known >= {word for pair in changed for word in pair}
        if corrupt in ("names", "tokens"):
            assert not {row.answer, row.distractor} & {new for _, new in changed}
            assert len({new for _, new in changed}) == (3 if corrupt == "names" else 2)
        said = [word for text in (row.clean, row.corrupted) for word in words(text) if word in known]
        assert dict(row.factors)["name"] == tuple(dict.fromkeys(said))
        assert dict(row.factors)["object"] == (row.label("object"),)
        assert dict(row.factors)["template"] == (row.cluster,)


@pytest.mark.parametrize("extra", ["", "subject", "object"])
@pytest.mark.parametrize("split", SPLITS)
def test_a_text_reads_as_it_was_written_and_begins_with_no_name(split, extra):
    known = {name for own in lexicon.NAMES.values() for name in own}
    prompts = ioi(split=split, extra=extra, style="pretrained")
    for row in prompts:
        said = [word for word in words(row.clean) if word in known]
        assert row.clean.endswith((" to", " over to", " back to")) and "{" not in row.clean and "  " not in row.clean
        assert words(row.clean)[0] not in known and row.clean[0].isupper()
        assert len(said) == 3 + bool(extra)
        wanted = {"": [], "subject": [row.distractor], "object": [row.answer]}[extra]
        assert split == "reference" or said[:-3] == wanted
        assert split != "reference" or len(set(said)) == len(said)


@pytest.mark.parametrize("extra", ["", "object"])
def test_the_reference_has_every_sentence_with_names_of_discovery_at_every_length(extra):
    asked, reference = (ioi(split=split, extra=extra, style="pretrained") for split in ("confirmation", "reference"))
    lengths = [{(row.cluster, len(words(row.clean))) for row in prompts} for prompts in (asked, reference)]
    assert lengths[0] <= lengths[1]
    assert set(levels(reference, "name")) <= set(lexicon.NAMES["discovery"])
    assert set(levels(reference, "object")) <= set(lexicon.OBJECTS["discovery"])
    assert all(not row.corrupted for row in reference)


def test_openings_verbs_and_ends_differ():
    both = [*sentences.TEMPLATES["discovery"], *sentences.TEMPLATES["confirmation"]]
    assert len({" ".join(words(one)[:3]) for one in both}) >= 60
    verbs = {words(one.split("{S}")[1])[0] for one in both}
    assert len(verbs) >= 20


# Greater-than


@pytest.mark.parametrize("digit", ["tens", "units"])
@pytest.mark.parametrize("corrupt", ["lowest", "lower"])
@pytest.mark.parametrize("split", ANSWERED)
def test_a_digit_that_is_right_makes_a_year_above_the_start_and_the_other_one_below(split, corrupt, digit):
    prompts = greater_than(split=split, corrupt=corrupt, style="pretrained", digit=digit)
    for row in prompts:
        start, century = int(row.label("year")), row.label("century")
        begun = str(start // 10) if digit == "units" else ""
        assert row.clean.endswith(f" {century}{start} to the year {century}{begun}") and row.glue == ""
        ends = [[int(f"{begun}{word}{rest}"[:2]) for rest in ("0", "9")] for word in (row.answer, row.distractor)]
        assert min(ends[0]) > start >= max(ends[1])
        after = int(row.corrupted.split(" to the year ")[0][-2:])
        assert after == 1 if corrupt == "lowest" else 1 <= after < min(ends[1]), "right behind the corrupted text"
        assert len(row.corrupted) == len(row.clean)
        assert (f"{century}{start}", 4) in prompts.cut


def test_tens_and_units_are_asked_of_the_same_sentences():
    tens, units = (greater_than(style="pretrained", digit=digit) for digit in ("tens", "units"))
    for one, other in zip(tens, units, strict=True):
        assert other.clean == one.clean + one.label("year")[0]
    assert len({row.clean for row in tens}) == len(tens) == 384


def test_nouns_and_centuries_are_those_of_the_split_and_nouns_even():
    for split in SPLITS:
        own = "confirmation" if split == "confirmation" else "discovery"
        prompts = greater_than(split=split, style="pretrained")
        assert levels(prompts, "noun") == dict.fromkeys(lexicon.NOUNS[own], 8)
        assert set(levels(prompts, "century")) == set(lexicon.CENTURIES[own])
        assert {bool(row.corrupted) for row in prompts} == {split != "reference"}


def test_an_unknown_digit_and_more_sentences_than_there_are_are_refused():
    with pytest.raises(ValueError, match="no digit 'hundreds': choose one of tens, units"):
        greater_than(style="pretrained", digit="hundreds")
    with pytest.raises(ValueError, match="greater_than has 3024 distinct prompts, 9999 asked for"):
        greater_than(9999, split="discovery", style="pretrained")


# Induction


@pytest.mark.parametrize("corrupt", ["answer", "previous"])
@pytest.mark.parametrize("split", ANSWERED)
def test_a_sequence_is_said_again_up_to_A(split, corrupt):
    known = set(lexicon.WORDS[split])
    for row in induction(split=split, corrupt=corrupt, style="pretrained"):
        text = row.clean.split()
        sequence = [word for word in text if word in known]
        again = len(sequence) - len(set(sequence))
        length = len(sequence) - again
        assert 12 <= length <= 24 and 4 <= again < length and 1 <= len(text) - len(sequence) <= 8
        assert sequence[length:] == sequence[:again] and row.answer == sequence[again]
        before = len(text) - len(sequence)
        place = before + (again if corrupt == "answer" else again - 1)
        other = row.corrupted.split()
        assert [n for n in range(len(text)) if text[n] != other[n]] == [place]
        assert row.distractor not in text and (other[place] == row.distractor) == (corrupt == "answer")
        assert dict(row.factors) == {"word": (row.answer, row.distractor)}


@pytest.mark.parametrize("split", SPLITS)
def test_repeats_are_words_of_the_split_behind_words_that_are_none(split):
    known = set(lexicon.WORDS["confirmation" if split == "confirmation" else "discovery"])
    prompts = repeats(split=split, style="pretrained")
    for row in prompts:
        text, half = row.clean.split(), int(row.label("half"))
        assert text[-half:] == text[-2 * half : -half] and len(set(text[-half:])) == half
        assert known >= set(text[-half:]) and set(lexicon.FILLERS) >= set(text[: -2 * half])
        assert 1 <= len(text) - 2 * half <= 8
        assert {(f" {word}", 1) for word in text[1:]} <= set(prompts.cut)
    with pytest.raises(ValueError, match="fillers is 0"):
        repeats(style="pretrained", fillers=0)


# Sums


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("corrupt", ["first", "second"])
@pytest.mark.parametrize("split", SPLITS)
def test_all_numbers_have_two_digits_and_the_first_of_the_sum_decides(split, corrupt, wording):
    prompts = addition(split=split, corrupt=corrupt, style="pretrained", wording=wording)
    assert len({len(row.clean) for row in prompts}) == 1
    for row in prompts:
        (_, new), *_ = changed = replaced(row.clean, row.corrupted)
        assert len(set(changed)) == 1 and len(new) == len(row.answer) == len(row.distractor) == 2
        assert row.answer[0] != row.distractor[0] and " ?" not in row.clean and " ," not in row.clean
        a, b = int(row.label("a")), int(row.label("b"))
        assert min(a, b) >= 10 and row.answer == str(a + b)
    own = {frozenset(pair) for pair in OF_TWO_DIGITS["confirmation" if split == "confirmation" else "discovery"]}
    assert {frozenset((int(row.label("a")), int(row.label("b")))) for row in prompts} <= own


def test_sums_are_many_and_the_wordings_are_those_that_were_measured():
    assert [len(addition(split=split, style="pretrained")) for split in ANSWERED] == [525, 1080]
    said = [addition(style="pretrained", wording=wording).rows[0] for wording in ("plain", "question")]
    a, b = (said[0].label(name) for name in "ab")
    assert (said[0].clean, said[0].glue) == (f"What is {a} + {b}? Answer:", " ")
    assert (said[1].clean, said[1].glue) == (f"Question: What is {a}+{b}? Answer: {a}+{b}=", "")
    shown = addition(style="pretrained", shots=2).rows[0].clean.split("\n")
    assert len(shown) == 3 and shown[2] == said[0].clean


def test_two_operands_are_replaced_and_the_sum_stays():
    for style in ("world", "pretrained"):
        prompts = partners(corrupt="both", style=style)
        assert len({row.label("pair") for row in prompts}) > 500
        for row in prompts:
            assert sum(int(word) for word in words(row.corrupted) if word.isdigit()) == int(row.answer)
            assert row.distractor == "" and row.clean != row.corrupted
            assert len(set(dict(row.factors)["operand"])) >= 3


# What a set takes for granted


@pytest.mark.parametrize(
    "prompts",
    [ioi(style="pretrained"), ioi(style="pretrained", corrupt="names"), induction(style="pretrained")],
    ids=repr,
)
def test_a_set_says_of_every_word_that_may_answer_that_it_is_one_token(prompts):
    for row in prompts:
        assert {(f" {row.answer}", 1), (f" {row.distractor}", 1)} <= set(prompts.cut)
    said = {word for row in prompts for text in (row.clean, row.corrupted) for word in words(text)}
    assert all(text.startswith(" ") and count == 1 and text[1:] in said for text, count in prompts.cut) or (
        prompts.name == "induction"
    )


def test_what_is_taken_for_granted_moves_no_fingerprint():
    prompts = ioi(style="pretrained")
    assert prompts.cut
    assert PromptSet(prompts.name, prompts.split, prompts.rows).fingerprint == prompts.fingerprint


def test_sets_share_no_prompt_across_splits():
    for one, other in combinations(SPLITS, 2):
        for task in (ioi, greater_than, induction, repeats, addition):
            assert not task(split=one, style="pretrained").members & task(split=other, style="pretrained").members
