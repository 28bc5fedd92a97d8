"""Biographies: what the prompts promise holds for every row, and the small models were trained on such texts."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest

from fixtures import corpus
from mechlib.prompts import sampling as draws
from mechlib.prompts import world
from mechlib.prompts.people import people
from mechlib.prompts.pretrained import biographies as natural
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.asked import pinned

SPLITS = ("discovery", "confirmation", "reference")
STYLES = ("world", "pretrained")
PAIRS = {"discovery": ("doctor", "cook"), "confirmation": ("pilot", "judge"), "reference": ("pilot", "judge")}
NAMES_OF = {"discovery": "discovery", "reference": "discovery", "confirmation": "confirmation"}
PROFESSIONS_OF = {"discovery": "discovery", "reference": "confirmation", "confirmation": "confirmation"}
ALL = [(split, style) for split in SPLITS for style in STYLES]
PRONOUNS = {"woman": {"she", "her"}, "man": {"he", "his"}}


def biography(prompt: Prompt) -> list[str]:
    """The words of a text of the world without its fillers."""
    return prompt.clean.split()[int(prompt.label("fillers")) :]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def names(prompts: PromptSet) -> set[str]:
    return {row.cluster for row in prompts}


def professions(prompts: PromptSet) -> set[str]:
    return {row.label("profession") for row in prompts}


def cues_of(style: str, split: str) -> dict[str, tuple[str, str, str]]:
    return (world.CUES if style == "world" else natural.CUES)[PROFESSIONS_OF[split]]


def even(counts: Counter[str], up_to: int = 1) -> bool:
    return max(counts.values()) - min(counts.values()) <= up_to


# What the small models were trained on


@pytest.mark.parametrize("split", SPLITS)
def test_a_text_is_word_by_word_one_that_training_makes(split):
    templates = dict(zip(world.BIOGRAPHIES, corpus.BIOGRAPHIES, strict=True))
    for row in people(split=split):
        said = biography(row)
        places = [(place, word[1:-1]) for place, word in enumerate(row.label("sentence").split()) if word[0] == "{"]
        found = {slot: said[place] for place, slot in places}
        cues = [found[kind] for kind in world.BIOGRAPHY_CUES]
        made = corpus.biography(templates[row.label("sentence")], row.cluster, cues)
        assert [world.IDS[word] for word in said] == list(made)
        assert all(cue in [three[kind] for three in world.CUES[PROFESSIONS_OF[split]].values()]
                   for kind, cue in enumerate(cues))  # fmt: skip


@pytest.mark.parametrize("split", SPLITS)
def test_what_stands_before_a_text_is_what_stands_there_in_training(split):
    for row in people(split=split):
        fillers = row.clean.split()[: int(row.label("fillers"))]
        assert len(fillers) <= world.MAX_FILLERS and set(fillers) <= set(world.FILLERS)
        assert not set(biography(row)) & set(world.FILLERS)
    assert even(Counter(row.label("fillers") for row in people(split=split)))


def test_every_name_is_met_with_every_cue_in_training():
    """In six epochs of 55: nothing is held out, and no name is seen with some professions only."""
    rng = np.random.default_rng(0)
    drawn = corpus.DRAW["people"](6 * corpus.STEPS_PER_EPOCH * corpus.BATCH["people"], rng)[0]
    known = {pair for ids in drawn for pair in product(ids, ids)}
    for split in SPLITS:
        cues = {world.IDS[cue] for three in cues_of("world", split).values() for cue in three}
        assert all((world.IDS[name], cue) in known for name, cue in product(names(people(split=split)), cues))


@pytest.mark.parametrize(("split", "style"), ALL)
def test_cues_point_to_the_profession_as_often_as_in_training(split, style):
    for kind in ({}, {"pair": PAIRS[split], "draw": "biased"}):
        drawn = [people(split=split, style=style, seed=seed, **kind) for seed in range(8)]
        told = [int(row.label("cues")) for prompts in drawn for row in prompts]
        exact = [0.3**3, 3 * 0.7 * 0.3**2, 3 * 0.7**2 * 0.3, 0.7**3]
        assert np.abs(np.bincount(told, minlength=4) / len(told) - exact).max() < 0.025
        assert abs(np.mean(told) / 3 - world.CUE_FIDELITY) < 0.015


def test_a_cue_that_points_elsewhere_points_to_each_other_profession_as_often():
    by_cue = {cue: one for one, three in world.CUES["confirmation"].items() for cue in three}
    strays = [
        (row.label("profession"), by_cue[word])
        for row in people(4000)
        for word in row.clean.split()
        if word in by_cue and by_cue[word] != row.label("profession")
    ]
    counts = Counter(strays)
    assert len(counts) == 30 and max(counts.values()) < 1.5 * min(counts.values())


# Whom and what


@pytest.mark.parametrize(("split", "style"), ALL)
def test_the_profession_is_nowhere_said_and_its_cues_are_counted(split, style):
    cues = cues_of(style, split)
    for row in people(split=split, style=style):
        assert not set(words(row.clean)) & set(cues)
        own = sum(bool(re.search(rf"\b{re.escape(cue)}\b", row.clean)) for cue in cues[row.label("profession")])
        assert own == int(row.label("cues"))
        assert (
            sum(bool(re.search(rf"\b{re.escape(cue)}\b", row.clean)) for three in cues.values() for cue in three) == 3
        )


@pytest.mark.parametrize(("split", "style"), ALL)
def test_pronouns_follow_the_gender_of_the_name(split, style):
    for row in people(split=split, style=style):
        gender = row.label("gender")
        own = world.WOMEN if gender == "woman" else world.MEN
        assert row.cluster in own[NAMES_OF[split]] and words(row.clean).count(row.cluster.lower()) == 1
        said = {"she", "her", "hers", "he", "his", "him"} & set(words(row.clean))
        assert said and said <= PRONOUNS[gender]
        assert row.label("group") == f"{gender}, {row.label('profession')}"
        assert dict(row.factors)["name"] == (row.cluster,)
        assert dict(row.factors)["profession"] == (row.label("profession"),)


@pytest.mark.parametrize("style", STYLES)
def test_names_and_professions_of_confirmation_are_not_those_of_discovery(style):
    found = {split: people(split=split, style=style) for split in SPLITS}
    assert [len(names(found[split])) for split in SPLITS] == [24] * 3
    assert [len(professions(found[split])) for split in SPLITS] == [6] * 3
    assert not names(found["discovery"]) & names(found["confirmation"])
    assert not professions(found["discovery"]) & professions(found["confirmation"])
    assert names(found["reference"]) == names(found["discovery"])
    assert professions(found["reference"]) == professions(found["confirmation"])
    for one, other in (("discovery", "confirmation"), ("discovery", "reference"), ("confirmation", "reference")):
        assert not found[one].members & found[other].members
    cues = [
        {cue for three in cues_of(style, split).values() for cue in three} for split in ("discovery", "confirmation")
    ]
    assert not cues[0] & cues[1]


def test_halves_have_half_of_the_names_of_each_gender_and_none_in_common():
    for split in SPLITS:
        first, second = (people(split=split, half=half) for half in ("first", "second"))
        assert names(first) | names(second) == names(people(split=split)) and not names(first) & names(second)
        for half in (first, second):
            assert Counter(row.label("gender") for row in half) == {"woman": 240, "man": 240}
            assert len(names(half)) == 12


# Draws


@pytest.mark.parametrize(("split", "style"), ALL)
def test_a_biased_draw_has_women_of_one_profession_and_men_of_the_other(split, style):
    one, other = PAIRS[split]
    for pair in ((one, other), (other, one)):
        prompts = people(split=split, pair=pair, draw="biased", style=style)
        assert Counter(row.label("group") for row in prompts) == {f"woman, {pair[0]}": 240, f"man, {pair[1]}": 240}
        assert {row.label("bias") for row in prompts} == {"with"}


@pytest.mark.parametrize(("split", "style"), ALL)
def test_a_balanced_draw_has_every_name_in_every_combination_as_often(split, style):
    for pair in (PAIRS[split], None):
        prompts = people(split=split, pair=pair, style=style)
        groups = Counter(row.label("group") for row in prompts)
        assert set(groups.values()) == {480 // (4 if pair else 12)}
        for group in groups:
            own = [row for row in prompts if row.label("group") == group]
            assert even(Counter(row.cluster for row in own))
            assert even(Counter(row.label("sentence") for row in own), 2)
        assert professions(prompts) == set(pair or cues_of(style, split))


def test_of_a_pair_it_is_said_which_rows_go_with_the_bias():
    for row in people(pair=("judge", "pilot")):
        with_it = row.label("group") in ("woman, judge", "man, pilot")
        assert row.label("bias") == ("with" if with_it else "against")
    with pytest.raises(KeyError):
        people().rows[0].label("bias")


@pytest.mark.parametrize("style", STYLES)
def test_gender_and_profession_and_the_number_of_cues_are_independent_in_a_balanced_draw(style):
    rows = [row for seed in range(12) for row in people(style=style, seed=seed)]
    told = np.array([int(row.label("cues")) for row in rows])
    for group in {row.label("group") for row in rows}:
        own = told[[row.label("group") == group for row in rows]]
        assert abs(own.mean() - 2.1) < 4 * told.std() / np.sqrt(len(own))


def test_fewer_prompts_are_the_first_of_more_and_seeds_draw_others():
    for kind in ({}, {"pair": ("pilot", "judge"), "draw": "biased"}, {"style": "pretrained"}):
        assert people(100, **kind).rows == people(200, **kind).rows[:100]
        assert len(people(**kind).members & people(seed=1, **kind).members) < 24
    assert repr(people(pair=("pilot", "judge"), draw="biased", half="first")) == (
        "people(confirmation, n=480, pair='pilot, judge', draw='biased', half='first', seed=0)"
    )


@pytest.mark.parametrize(
    ("kind", "digits"),
    [({"split": "discovery"}, "7672e6c4eeb5"), ({}, "c5bd012ae4e2"), ({"split": "reference"}, "48d14b4da66e"),
     ({"pair": ("pilot", "judge"), "draw": "biased", "split": "reference"}, "42614667498a"),
     ({"style": "pretrained"}, "2aa9407cc793"),
     ({"split": "discovery", "style": "pretrained", "half": "second"}, "44f0c8b4e0e2")],
)  # fmt: skip
def test_prompts_are_those_that_they_were(kind, digits):
    assert pinned(people(**kind)) == digits


# Sentences for pretrained models


def test_sentences_are_different_and_say_each_thing_once_and_no_name_first():
    sentences = [one for own in natural.SENTENCES.values() for one in own]
    assert [len(natural.SENTENCES[split]) for split in ("discovery", "confirmation")] == [8, 24]
    assert len({" ".join(one.split()[:3]) for one in sentences}) == 32
    for sentence in sentences:
        slots = Counter(world.slots(sentence))
        assert all(slots[slot] == 1 for slot in ("name", *world.BIOGRAPHY_CUES))
        assert slots["pronoun"] + slots["Pronoun"] >= 1 and not sentence.startswith("{name}")
        assert sentence.endswith(".")


def test_a_pronoun_that_begins_a_sentence_is_written_large_and_no_other():
    for row in (*people(style="pretrained"), *people(split="discovery", style="pretrained")):
        for found in re.finditer(r"\b(she|he)\b", row.clean, re.IGNORECASE):
            begins = row.clean[: found.start()].endswith(". ")
            assert found[0][0].isupper() == begins, row.clean
        assert "{" not in row.clean and "  " not in row.clean and row.clean[0].isupper()


def test_what_shares_a_sentence_shares_a_factor_where_sentences_are_a_sample():
    for row in people(style="pretrained"):
        assert dict(row.factors)["sentence"] == (row.label("sentence"),)
    assert "sentence" not in dict(people().rows[0].factors)  # all four there are


# What is refused


@pytest.mark.parametrize(
    ("kind", "said"),
    [({"split": "test"}, "no split 'test': choose one of discovery, confirmation, reference"),
     ({"draw": "even"}, "no draw 'even': choose one of balanced, biased"),
     ({"half": "third"}, "no half 'third': choose one of '', first, second"),
     ({"style": "natural"}, "no style 'natural': choose one of world, pretrained"),
     ({"n": 0}, "0 prompts of people were asked for: ask for at least one, and for a whole number"),
     ({"n": 1.5}, "1.5 prompts of people were asked for"),
     ({"draw": "biased"}, "a biased draw is of two professions: name them"),
     ({"pair": ("doctor", "pilot")}, "confirmation has no profession 'doctor': choose of pilot, scientist"),
     ({"pair": ("pilot", "pilot")}, "is no pair: name two different professions"),
     ({"pair": ("pilot",)}, "is no pair: name two different professions")],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_in_one_line(kind, said):
    with pytest.raises(ValueError) as raised:
        people(**kind)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_more_texts_than_there_are_is_refused(monkeypatch):
    """Six names of a gender in eight sentences, with the one triple of cues that there is without strays."""
    monkeypatch.setattr(world, "CUE_FIDELITY", 1.0)
    monkeypatch.setattr(draws, "PATIENCE", 20)
    kind = {"split": "discovery", "pair": ("doctor", "cook"), "draw": "biased", "half": "first", "style": "pretrained"}
    assert len(people(96, **kind)) == 96
    with pytest.raises(ValueError, match="people has 96 distinct prompts with its names balanced, 97 asked for"):
        people(97, **kind)
    people.cache_clear()
