"""Factors: what prompts share, from the draw that made them, and outside of what evidence is filed under."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from mechlib.prompts import world
from mechlib.prompts.addition import addition, increment, partners, subtraction
from mechlib.prompts.greater_than import greater_than
from mechlib.prompts.induction import induction, repeats
from mechlib.prompts.ioi import ioi
from mechlib.prompts.planted import planted
from mechlib.prompts.promptset import Prompt, PromptSet

# Of every set its fingerprint, and a digest of the keys by which its rows are sorted, as they were before prompts had
# factors: what evidence is filed under, and the order in which intervals add up.
FILED = [
    (addition(split="discovery"), "29e66c1f839b", "7707c7c0a2af"),
    (subtraction(split="discovery"), "f7ddbba1bf05", "096c9cb4122a"),
    (increment(split="discovery"), "879755acd66b", "b2463c42cc05"),
    (ioi(split="discovery"), "ab1438eb4019", "dc91adc6d14a"),
    (greater_than(split="discovery"), "4397bb5e04cb", "0136b1718fb0"),
    (induction(split="discovery"), "266bdd319475", "581c0df8cf94"),
    (repeats(split="discovery"), "aebf2fce37db", "fecd2158b30b"),
    (planted("planted-ioi", split="discovery"), "96e3bcef51cc", "e0fc10ee8793"),
    (planted("planted-adder", split="discovery"), "a05e3daf4096", "eda94b931e2b"),
    (planted("planted-induction", split="discovery"), "65014935471c", "e841f00bc601"),
    (addition(split="confirmation"), "afca59047d1c", "2258e9414cbf"),
    (subtraction(split="confirmation"), "37aa31baf023", "5516bf585bed"),
    (increment(split="confirmation"), "a53ea78d620d", "b8def3b2de40"),
    (ioi(split="confirmation"), "06182ec5eb86", "f488878b2843"),
    (greater_than(split="confirmation"), "619cc4699c58", "57db0084b4f0"),
    (induction(split="confirmation"), "9fbb01402aaa", "88145ae8e23a"),
    (repeats(split="confirmation"), "18f69560ec6e", "0accf79530b4"),
    (planted("planted-ioi", split="confirmation"), "eb03a6c79289", "3cc5535d9804"),
    (planted("planted-adder", split="confirmation"), "748498aca74e", "0f2ebc0ea14a"),
    (planted("planted-induction", split="confirmation"), "31ae21843d39", "caebc2e73d6b"),
    (addition(split="reference"), "210546043223", "9ab5ab00819a"),
    (subtraction(split="reference"), "3d9e2045ab8b", "f64726d3d3b5"),
    (increment(split="reference"), "64b653b17bfe", "cc6bb3410852"),
    (ioi(split="reference"), "38e8c2a45a67", "bbeca3894f07"),
    (greater_than(split="reference"), "4054a6c68fae", "0c06a53ec103"),
    (induction(split="reference"), "fae4b364175b", "e11566f1705f"),
    (repeats(split="reference"), "d37e14ca201f", "bf266ca5c6f3"),
    (planted("planted-ioi", split="reference"), "bd1a6f62f90c", "2fb45d93c890"),
    (planted("planted-adder", split="reference"), "d86378f031d6", "fd8b130f9221"),
    (planted("planted-induction", split="reference"), "affcb5da3565", "b04ad33724bb"),
    (ioi(corrupt="names"), "cdf6763f65db", "b0c267ba6368"),
    (ioi(corrupt="order"), "7a1d3ebe23d8", "86df7305fbdc"),
    (ioi(corrupt="tokens"), "828a02b1c070", "8706ffa5b8e5"),
    (ioi(extra="subject"), "8fabf725b2e2", "ba9adf602f4a"),
    (ioi(style="natural"), "319be5df87d9", "f00075e1720b"),
    (greater_than(corrupt="lower"), "a7ae3eb1c4ce", "85e2954ebaf9"),
    (greater_than(style="natural"), "3f75191e9507", "b41e207fec3a"),
    (addition(corrupt="second"), "e258b30eb164", "4d56942165da"),
    (addition(wording="question"), "82b024642ba2", "e991d4bdb026"),
    (addition(operands="100 to 120"), "ebbe6f1916e8", "7131f627ced1"),
    (addition(shots=2), "4148c46474ea", "f78ff0cc1430"),
    (subtraction(corrupt="second"), "c35fad4ca0a7", "f39b6e61e026"),
    (partners(), "bea8629c34e3", "7728982cb6fc"),
    (induction(corrupt="previous"), "8352e00a1d72", "9c903988f98e"),
    # For pretrained models, as they were when the first were measured.
    (ioi(split="discovery", style="pretrained"), "30ae06e022b6", "7e03529c66e5"),
    (ioi(split="confirmation", style="pretrained"), "6d026e627cf4", "29591ecf4309"),
    (ioi(split="reference", style="pretrained"), "358479edd293", "7eb79fad6aa5"),
    (induction(split="discovery", style="pretrained"), "8d5b9c0f6543", "5fa03db68f69"),
    (induction(split="confirmation", style="pretrained"), "202fecdd3854", "7728079cd7fe"),
    (induction(split="reference", style="pretrained"), "c8f4248ae580", "6ed4d643a514"),
    (repeats(split="discovery", style="pretrained"), "47d976f35a9e", "d96c04e9bb05"),
    (repeats(split="confirmation", style="pretrained"), "39e86c059dd3", "c5d89237ed01"),
    (repeats(split="reference", style="pretrained"), "9077669fd3c7", "f068b0807082"),
    (greater_than(split="discovery", style="pretrained"), "348073a74dfe", "d4fa1167c71b"),
    (greater_than(split="confirmation", style="pretrained"), "73210a6aa8f8", "c34e1b109e52"),
    (greater_than(split="reference", style="pretrained"), "7174584f38ba", "9aab20f7f1b6"),
    (addition(split="discovery", style="pretrained"), "44c2e9586b49", "6c6a994449ac"),
    (addition(split="confirmation", style="pretrained"), "6386fa2111c1", "488d4a022dbc"),
    (addition(split="reference", style="pretrained"), "52ed33250ba3", "bc3d658d08ba"),
    (ioi(corrupt="names", style="pretrained"), "49897bc10d13", "8be9763776e9"),
    (ioi(extra="object", style="pretrained"), "1a7a3bae2311", "e599726f512d"),
    (greater_than(digit="units", style="pretrained"), "d4bde1dc241a", "ab296547c788"),
    (addition(wording="question", style="pretrained"), "19874e5da5c2", "fb6c2682cc64"),
    (partners(corrupt="both", style="pretrained"), "9489deb8f9c4", "00a58830d878"),
]


@pytest.mark.parametrize(("prompts", "fingerprint", "order"), FILED, ids=[repr(one[0]) for one in FILED])
def test_factors_move_no_key_of_evidence(prompts, fingerprint, order):
    assert prompts.fingerprint[:12] == fingerprint
    assert hashlib.sha256("".join(row.sort_key for row in prompts).encode()).hexdigest()[:12] == order


def test_a_factor_is_in_no_name_and_no_order():
    row = Prompt("a b", "c")
    other = replace(row, factors=(("word", ("a", "b")),))
    assert (row.fingerprint, row.sort_key) == (other.fingerprint, other.sort_key)
    assert PromptSet("toy", "discovery", (row,)).fingerprint == PromptSet("toy", "discovery", (other,)).fingerprint


NAMES = {name for lexicon in world.LEXICA for name in world.NAMES[lexicon]}


@pytest.mark.parametrize(
    ("settings", "said"),
    [({}, {2}), ({"corrupt": "names"}, {5}), ({"corrupt": "order"}, {2}), ({"corrupt": "tokens"}, {4}),
     ({"extra": "subject"}, {2}), ({"split": "reference"}, {3}), ({"split": "reference", "extra": "object"}, {4}),
     ({"style": "natural"}, {2}), ({"corrupt": "names", "extra": "object"}, {5, 6})],
)  # fmt: skip
def test_names_are_those_that_clean_and_corrupted_text_say(settings, said):
    for row in ioi(**settings):
        words = f"{row.clean} {row.corrupted}".replace(",", " ").replace(".", " ").split()
        factors = dict(row.factors)
        assert set(factors["name"]) == NAMES & set(words)
        assert len(factors["name"]) in said and factors["template"] == (row.cluster,)


@pytest.mark.parametrize("made", [addition, subtraction, increment, partners])
@pytest.mark.parametrize("split", ["discovery", "confirmation", "reference"])
def test_operands_are_those_that_clean_and_corrupted_text_say(made, split):
    for row in made(split=split):
        asked = {word for word in f"{row.clean} {row.corrupted}".split() if word.isdecimal()}
        assert set(dict(row.factors)["operand"]) == asked


def test_solved_examples_are_no_operands_of_the_question():
    plain, shown = addition(20), addition(20, shots=2)
    assert [row.factors for row in plain] == [row.factors for row in shown]


def test_nouns_and_centuries_are_shared():
    for row in greater_than():
        assert row.factors == (("noun", (row.cluster,)), ("century", (row.label("century"),)))
    assert [name for name, _ in greater_than(split="reference").rows[0].factors] == ["noun", "century"]


def test_sequences_of_words_drawn_at_random_share_nothing():
    assert not any(row.factors for row in (*induction(), *repeats(), *planted()))


@pytest.mark.parametrize(
    "factors", [(("name", ()),), (("name", "Susan"),), (("", ("a",)),), (("a", ("b",)), ("a", ("c",))), (("a", ("",)),)]
)
def test_a_factor_without_levels_or_with_two_is_refused(factors):
    with pytest.raises(ValueError, match=r"factor '.*' (has the levels|is named twice)"):
        Prompt("a b", "c", factors=factors)


def test_rows_with_other_factors_are_no_set():
    rows = (Prompt("a b", "c", factors=(("word", ("a",)),)), Prompt("b a", "c"))
    with pytest.raises(ValueError, match="have the factors word, 'b a' has others"):
        PromptSet("toy", "discovery", rows)
