"""Indirect objects: what the prompts promise holds for every row, and agrees with a published set of such prompts."""

from __future__ import annotations

import csv
import os
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from mechlib.prompts import world
from mechlib.prompts.ioi import ioi
from mechlib.prompts.promptset import Prompt
from tests.helpers.asked import pinned

SPLITS = ("discovery", "confirmation", "reference")
ANSWERED = ("discovery", "confirmation")
CORRUPTIONS = ("subject", "names", "order", "tokens")
LEXICON = {"discovery": "discovery", "reference": "discovery", "confirmation": "confirmation"}
EVERY_NAME = {name for names in world.IOI_NAMES.values() for name in names}


def words(text: str) -> list[str]:
    return text.replace(",", " ,").replace(".", " .").split()


def names(text: str) -> list[str]:
    return [word for word in words(text) if word in EVERY_NAME]


def replaced(prompt: Prompt) -> list[tuple[str, str]]:
    """The words in which clean and corrupted differ, in order."""
    both = zip(words(prompt.clean), words(prompt.corrupted), strict=True)
    return [(old, new) for old, new in both if old != new]


def fillers(prompt: Prompt) -> int:
    text = prompt.clean.split()
    return next(place for place, word in enumerate(text) if word not in world.FILLERS)


# The clean text


@pytest.mark.parametrize("extra", ["", "subject", "object"])
@pytest.mark.parametrize("split", ANSWERED)
def test_the_answer_is_the_name_that_does_not_give_and_the_template_says_once(split, extra):
    for prompt in ioi(split=split, extra=extra):
        first, second, giver = names(prompt.clean)[-3:]
        assert {first, second} == {prompt.answer, prompt.distractor}
        assert giver == prompt.distractor
        assert prompt.label("order") == ("ABBA" if giver == second else "BABA")
        said = names(prompt.clean)[:-3]
        assert said == {"": [], "subject": [prompt.distractor], "object": [prompt.answer]}[extra]


@pytest.mark.parametrize("extra", ["", "object"])
def test_the_reference_says_no_name_twice_and_has_no_corrupted_text(extra):
    for prompt in ioi(split="reference", extra=extra):
        said = names(prompt.clean)
        assert len(set(said)) == len(said) == (4 if extra else 3)
        assert (prompt.answer, prompt.distractor) == tuple(said[-3:-1])
        assert prompt.corrupted == ""


@pytest.mark.parametrize("style", ["world", "natural"])
def test_nothing_that_confirmation_puts_together_ever_met_in_training(style):
    for split in ANSWERED:
        for prompt in ioi(split=split, style=style):
            assert (prompt.label("place"), prompt.label("object")) in world.HELD_OUT_PLACE_OBJECTS
    for corrupt in CORRUPTIONS:
        for prompt in ioi(style=style, corrupt=corrupt):
            assert frozenset({prompt.answer, prompt.distractor}) in world.HELD_OUT_NAMES
            assert frozenset(names(prompt.corrupted)[-3:-1]) in world.HELD_OUT_NAMES


def test_templates_and_words_are_those_of_the_split():
    for split in SPLITS:
        lexicon = LEXICON[split]
        known = set(world.IOI_NAMES[lexicon])
        templates = world.IOI_TEMPLATES["discovery" if split == "discovery" else "confirmation"]
        for prompt in ioi(split=split):
            assert prompt.cluster in templates
            values = {"place": prompt.label("place"), "object": prompt.label("object")}
            first, second, giver = names(prompt.clean)
            said = prompt.cluster.format(A=first, B=second, S=giver, **values)
            assert " ".join(prompt.clean.split()[fillers(prompt) :]) == said
            assert {*names(prompt.clean), *names(prompt.corrupted)} <= known


def test_every_word_is_in_the_vocabulary_and_every_prompt_fits_the_minis():
    for split in SPLITS:
        for extra in ("", "subject", "object"):
            for prompt in ioi(split=split, extra=extra, corrupt="names"):
                for text in (prompt.clean, prompt.corrupted):
                    assert all(word in world.IDS for word in text.split())
                    assert len(text.split()) + 2 <= 64  # with BOS and the answer


# Balance


@pytest.mark.parametrize("style", ["world", "natural"])
@pytest.mark.parametrize(("split", "n", "templates"), [("discovery", 160, 8), ("confirmation", 320, 16)])
def test_each_template_has_twenty_prompts_half_in_either_order(split, n, templates, style):
    rows = ioi(split=split, style=style).rows
    assert len(rows) == n == 20 * templates
    shared = Counter((row.cluster, row.label("order")) for row in rows)
    assert shared == {(cluster, order): 10 for cluster, _ in shared for order in ("ABBA", "BABA")}
    assert len(shared) == 2 * templates


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("extra", ["", "object"])
@pytest.mark.parametrize("split", ANSWERED)
def test_every_name_is_the_answer_exactly_as_often_as_the_distractor(split, extra, seed):
    rows = ioi(split=split, extra=extra, seed=seed).rows
    assert Counter(row.answer for row in rows) == Counter(row.distractor for row in rows)


def test_every_held_out_pair_is_used_about_as_often_as_the_others_and_either_name_comes_first():
    pairs = Counter(tuple(names(row.clean)[:2]) for row in ioi())
    assert {frozenset(pair) for pair in pairs} == world.HELD_OUT_NAMES
    assert len(pairs) == 114, "each pair stands in both orders"
    assert set(pairs.values()) <= {2, 4}


def test_places_and_objects_are_used_evenly():
    shared = Counter((row.label("place"), row.label("object")) for row in ioi())
    assert len(shared) == 13 and max(shared.values()) - min(shared.values()) <= 2


@pytest.mark.parametrize("split", SPLITS)
def test_each_template_stands_after_every_number_of_fillers(split):
    texts = Counter((row.cluster, fillers(row)) for row in ioi(split=split))
    for cluster in {cluster for cluster, _ in texts}:
        assert set(range(9)) == {lead for own, lead in texts if own == cluster}
        assert {texts[cluster, lead] for lead in range(9)} <= {2, 3}


@pytest.mark.parametrize("extra", ["", "subject", "object"])
def test_the_reference_has_every_template_at_every_length_that_confirmation_has(extra):
    """Otherwise a mean or a resample by position would be missing for some prompt, see
    mechlib/lab/interventions/reference.py."""
    lengths = {
        split: {(row.cluster, len(row.clean.split())) for row in ioi(split=split, extra=extra)} for split in SPLITS
    }
    assert lengths["confirmation"] <= lengths["reference"]


def test_neither_a_preference_for_names_nor_for_places_gives_a_score():
    """Logits that depend on the name alone, or on its place alone, add up to a difference of zero."""
    for split in ANSWERED:
        rows = ioi(split=split).rows
        liked = {name: place**2 for place, name in enumerate(sorted(EVERY_NAME))}
        assert sum(liked[row.answer] - liked[row.distractor] for row in rows) == 0
        assert sum(names(row.clean).index(row.answer) - names(row.clean).index(row.distractor) for row in rows) == 0


# Corruptions


@pytest.mark.parametrize("style", ["world", "natural"])
@pytest.mark.parametrize("extra", ["", "subject", "object"])
@pytest.mark.parametrize("split", ANSWERED)
def test_subject_replaces_the_giver_by_the_indirect_object_and_nothing_else(split, extra, style):
    for prompt in ioi(split=split, extra=extra, style=style):
        assert replaced(prompt) == [(prompt.distractor, prompt.answer)]
        assert names(prompt.corrupted)[-1] == prompt.answer


@pytest.mark.parametrize("extra", ["", "subject", "object"])
@pytest.mark.parametrize("split", ANSWERED)
def test_names_replaces_every_name_by_others_of_which_none_is_said_twice(split, extra):
    for prompt in ioi(split=split, corrupt="names", extra=extra):
        assert [old for old, _ in replaced(prompt)] == names(prompt.clean)
        new = names(prompt.corrupted)
        assert len(set(new)) == len(new)
        assert not {prompt.answer, prompt.distractor} & set(new)


@pytest.mark.parametrize("extra", ["", "subject"])
@pytest.mark.parametrize("split", ANSWERED)
def test_order_exchanges_the_two_names_and_keeps_giver_and_extra(split, extra):
    for prompt in ioi(split=split, corrupt="order", extra=extra):
        *said, first, second, giver = names(prompt.clean)
        assert names(prompt.corrupted) == [*said, second, first, giver]


@pytest.mark.parametrize("extra", ["", "subject", "object"])
@pytest.mark.parametrize("split", ANSWERED)
def test_tokens_replaces_each_of_the_two_names_by_another_wherever_it_stands(split, extra):
    for prompt in ioi(split=split, corrupt="tokens", extra=extra):
        instead = dict(replaced(prompt))
        assert set(instead) == {prompt.answer, prompt.distractor}
        assert not set(instead) & set(instead.values()) and len(set(instead.values())) == 2
        assert names(prompt.corrupted) == [instead[name] for name in names(prompt.clean)]


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
def test_the_clean_texts_are_the_same_for_every_corruption(corrupt):
    for split in SPLITS:
        assert [row.clean for row in ioi(split=split, corrupt=corrupt)] == [row.clean for row in ioi(split=split)]


def test_names_that_come_in_are_no_favourites():
    for corrupt in ("names", "tokens"):
        new = Counter(name for row in ioi(corrupt=corrupt) for name in names(row.corrupted)[:2])
        held_out = Counter(name for pair in world.HELD_OUT_NAMES for name in pair)
        expected = {name: 640 * held_out[name] / 114 for name in held_out}
        assert set(new) == set(expected)
        assert sum((new[name] - expected[name]) ** 2 / expected[name] for name in expected) < 44  # chi-squared, 19 df


# Natural texts


@pytest.mark.parametrize("extra", ["", "subject"])
@pytest.mark.parametrize("split", SPLITS)
def test_natural_texts_have_ordinary_spacing_and_begin_with_no_name(split, extra):
    for prompt in ioi(split=split, style="natural", extra=extra, corrupt="names"):
        for text in filter(None, (prompt.clean, prompt.corrupted)):
            assert not any(odd in text for odd in (" ,", " .", "  "))
            assert words(text)[0] not in EVERY_NAME
            assert not {"Irene", "Nora", "Fiona"} & set(names(text)), "several tokens in GPT-2 or Pythia"


def test_a_natural_text_reads_as_it_should():
    texts = {row.cluster: row for row in ioi(split="discovery", style="natural")}
    row = texts["{A} and {B} had a lot of fun at the {place} . {S} passed the {object} to"]
    first, second, giver = names(row.clean)
    place, thing = row.label("place"), row.label("object")
    wanted = f"Then, {first} and {second} had a lot of fun at the {place}. {giver} passed the {thing} to"
    assert row.clean == wanted


# Sets


def test_the_splits_share_no_prompt_and_confirmation_no_name_place_or_object():
    for extra in ("", "object"):
        for one, other in combinations(SPLITS, 2):
            assert not ioi(split=one, extra=extra).members & ioi(split=other, extra=extra).members
    said = {split: {w for row in ioi(split=split) for w in (*names(row.clean), row.label("place"), row.label("object"))}
            for split in SPLITS}  # fmt: skip
    assert not said["confirmation"] & (said["discovery"] | said["reference"])


def test_fewer_prompts_are_the_first_of_more():
    assert ioi(32).rows == ioi().rows[:32]
    assert ioi(33, corrupt="names").rows == ioi(corrupt="names").rows[:33]
    assert len(ioi(1000)) == 1000


def test_sets_that_differ_do_not_read_alike():
    settings = [{}, {"corrupt": "names"}, {"extra": "object"}, {"style": "natural"}, {"seed": 1}]
    assert len({repr(ioi(**chosen)) for chosen in settings}) == len(settings)
    assert repr(ioi()) == "ioi(confirmation, n=320, corrupt='subject', seed=0)"


def test_the_prompts_are_the_same_on_every_machine_and_python():
    found = [pinned(ioi(split=split, style=style)) for style in ("world", "natural") for split in SPLITS]
    found += [pinned(ioi(corrupt=corrupt)) for corrupt in ("names", "order", "tokens")]
    found += [pinned(ioi(extra=extra)) for extra in ("subject", "object")]
    assert " ".join(found) == (
        "c9e17eeed93a 94bef31734c6 d57c8b1ed7b2 "
        "232816b849a5 839153ef6171 634d79efc66b "
        "322bf39cfe15 37f949d43bd6 89647acb91c4 "
        "6904af4ed03c 19b0f884ac09"
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"split": "test"}, "no split 'test': choose one of discovery, confirmation, reference"),
        ({"corrupt": "giver"}, "no corruption 'giver': choose one of subject, names, order, tokens"),
        ({"extra": "both"}, "no extra 'both': choose one of '', subject, object"),
        ({"style": "plain"}, "no style 'plain': choose one of world, natural"),
        ({"n": 0}, "0 prompts of ioi were asked for: ask for at least one"),
        ({"n": 1.5}, "1.5 prompts of ioi were asked for: ask for at least one, and for a whole number"),
        ({"n": 60000, "style": "natural"}, r"ioi has \d+ distinct prompts with its names balanced, 60000 asked for"),
    ],
)
def test_bad_input_is_named(asked, said):
    with pytest.raises(ValueError, match=said):
        ioi(**asked)


# Against prompts that others published


@pytest.fixture(scope="module")
def published() -> list[dict[str, str]]:
    folder = Path(os.environ.get("MECHLIB_EXTERNAL") or Path(__file__).parents[3] / "shared" / "external")
    file = folder / "data_ioi_and_friends" / "ioi_llama.csv"
    if not file.is_file():
        pytest.skip(f"no {file.name} in {file.parent}: set MECHLIB_EXTERNAL")
    with file.open(newline="") as rows:
        return list(csv.DictReader(rows))


def roles(clean: str, corrupted: str) -> tuple[str, str]:
    """IO and S, read off the two texts alone: the one word that differs is S, said before, and IO in its place."""
    ((place, old, new),) = [
        (place, old, new)
        for place, (old, new) in enumerate(zip(words(clean), words(corrupted), strict=True))
        if old != new
    ]
    counts = Counter(words(clean)[:place])
    assert counts[old] == counts[new] == 1, "both names stand before the giver, once"
    assert new not in words(clean)[place:] and old not in words(clean)[place + 1 :]
    return new, old


def test_our_answers_are_the_roles_that_can_be_read_off_clean_and_corrupted():
    for split in ANSWERED:
        for prompt in ioi(split=split, style="natural"):
            assert roles(prompt.clean, prompt.corrupted) == (prompt.answer, prompt.distractor)


@pytest.mark.external
def test_the_published_prompts_are_built_as_ours(published):
    """Their `corrupted_hard` is our "subject"; their `corrupted` replaces the same word by a third name."""
    assert len(published) == 499
    for row in published:
        answer, distractor = roles(row["clean"], row["corrupted_hard"])
        third = [new for old, new in zip(words(row["clean"]), words(row["corrupted"]), strict=True) if old != new]
        assert len(third) == 1 and third[0] not in words(row["clean"])
        assert {answer, distractor, *third}.isdisjoint(words(row["clean"])[:1]), "a name never begins the text"
        assert row["clean"].endswith(" to") and answer != distractor


@pytest.mark.external
def test_their_answers_are_ours(published):
    """They give the answers as token ids of a Llama: each name that we read as IO or S has one id, and no other has."""
    ids: dict[str, set[str]] = {}
    for row in published:
        answer, distractor = roles(row["clean"], row["corrupted_hard"])
        ids.setdefault(answer, set()).add(row["correct_idx"])
        ids.setdefault(distractor, set()).add(row["incorrect_idx"])
    assert all(len(own) == 1 for own in ids.values())
    assert len(set().union(*ids.values())) == len(ids) > 50


@pytest.mark.external
def test_both_sets_have_both_orders(published):
    def share(rows: list[tuple[str, str]]) -> float:
        return sum(text.index(answer) < text.index(other) for text, (answer, other) in rows) / len(rows)

    theirs = share([(row["clean"], roles(row["clean"], row["corrupted_hard"])) for row in published])
    ours = share([(row.clean, (row.answer, row.distractor)) for row in ioi(style="natural")])
    assert ours == 0.5
    assert 0.4 < theirs < 0.6
