"""Tokens as they stand in a text, and the classes of tokens that features are found by."""

import pytest
import torch

from mechlib.lab.features.browsing.concepts import Concepts, concepts_of
from mechlib.lab.features.browsing.pieces import pieces
from mechlib.lab.models.loading import load
from mechlib.prompts import world
from tests.helpers.tiny import PIECES, digit_directory, directory


@pytest.fixture(scope="module")
def in_bytes(tmp_path_factory):
    return load(str(digit_directory(tmp_path_factory.mktemp("pieces") / "digits", "gpt2")))


@pytest.fixture(scope="module")
def mini():
    return load("mini-pilot")


def test_words_of_a_word_list_have_their_space(tmp_path):
    model = load(str(directory(tmp_path / "words", "gpt2")))
    assert pieces(model, [7, 3, 7]) == {3: " w0", 7: " w4"}


def test_pieces_of_words_are_as_they_are(in_bytes):
    wanted = {PIECES.index(piece): piece.replace("Ġ", " ") for piece in PIECES[3:]}
    assert pieces(in_bytes, wanted) == {
        **{one: "�" if one == 2 else text for one, text in wanted.items()},
    }


def test_pieces_in_a_row_are_the_text(in_bytes):
    text = "What is 12 + 3 ? Answer : 15"
    ids = in_bytes.tokenizer(text, add_special_tokens=False)["input_ids"]
    said = pieces(in_bytes, ids)
    assert "".join(said[one] for one in ids) == text


def test_classes_of_the_small_models_are_of_their_world(mini):
    found = concepts_of(mini)
    assert {mini.tokenizer.decode([one]) for one in found["pronoun"]} == {"she", "he"}
    assert len(found["name"]) == len(found["woman's name"]) + len(found["man's name"]) == 48
    assert {world.VOCABULARY[one] for one in found["number of two digits"]} == {str(n) for n in range(10, 100)}


def test_classes_of_other_models_are_told_by_spelling(in_bytes):
    found = {name: {PIECES[one] for one in ids} for name, ids in concepts_of(in_bytes).items()}
    assert found["number"] == set("0123456789")
    assert found["punctuation"] == {"+", "=", ":", "Ġ+", "Ġ?", "Ġ:"}
    assert found["capital letter"] == {"What", "ĠAnswer"}
    assert found["middle of a word"] == {"What", "oh"} and "line break" not in found


def test_a_feature_that_fires_before_a_class_is_labelled_so_and_one_on_it_so():
    """Token 5 follows 4 always, and 3 stands before 4: BOS is not read."""
    ids = torch.tensor([[0, 3, 4, 5, 3, 4, 5, 1, 2]] * 5)
    read = ids != 0
    fired = torch.stack(
        [(ids == 3), (ids == 5), read & (ids != 0), (ids == 2) & (torch.arange(5) < 3)[:, None]], dim=-1
    )
    found = Concepts(4, 6, {"four": [4], "five": [5], "any": [1, 2, 3, 4, 5]})
    for part in (slice(0, 2), slice(2, 5)):
        found.add(fired[part], ids[part], read[part])
    labels = [found.label(feature, int(fired[..., feature].sum())) for feature in range(4)]
    assert [label and (label.name, label.place, label.precision, label.recall) for label in labels] == [
        ("four", "before", 1.0, 1.0), ("five", "on", 1.0, 1.0), None, None,
    ]  # fmt: skip
