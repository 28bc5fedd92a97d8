"""Texts become rows as the model reads them: BOS first in each, nothing left out, unknown words refused by name."""

from __future__ import annotations

import pytest

from mechlib.lab.activation_cache.rows import text_rows, token_rows
from mechlib.lab.models.loading import load
from mechlib.lab.models.native import save
from tests.helpers import notebook
from tests.helpers.tiny import CONTEXT, WORDS, byte_directory, directory


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("rows") / "one", "gpt2")))


@pytest.fixture(scope="module")
def without_bos(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "toy"
    save(notebook.bridge(), notebook.WORDS, path)
    return load(str(path))


def test_a_text_that_is_longer_than_a_row_goes_on_behind_a_bos_of_its_own(model):
    words = list(WORDS[3:25])
    rows = text_rows(model, [" ".join(words), "w0", "", "w1 w2"], length=10)
    ids = [model.tokenizer.convert_tokens_to_ids(word) for word in words]
    assert rows.read(0, 99) == [[0, *ids[:9]], [0, *ids[9:18]], [0, *ids[18:]], [0, 3], [0, 4, 5]]
    assert (rows.lead, rows.length, rows.lengths) == (1, 10, (10, 10, 5, 2, 3))
    assert rows.read(1, 3) == rows.read(0, 99)[1:3] and rows.read(5, 9) == []


def test_a_text_that_brings_its_own_bos_gets_no_second_one(model):
    assert text_rows(model, ["<bos> w0 w1"]).read(0, 9) == [[0, 3, 4]]


def test_a_model_without_bos_reads_its_texts_as_they_are(without_bos):
    rows = text_rows(without_bos, ["w3 w1", "w2"], length=1)
    assert (rows.read(0, 9), rows.lead) == ([[3], [1], [2]], 0)


def test_a_text_that_is_longer_than_the_context_is_read_whole(tmp_path):
    model = load(str(byte_directory(tmp_path / "bytes", "gpt2", ("the cat sat on the mat",))))
    text = "the cat sat on the mat. " * 40 + "ü 猫"
    rows = text_rows(model, [text])
    assert max(rows.lengths) == CONTEXT
    assert model.tokenizer.decode([one for row in rows.read(0, 999) for one in row[1:]]) == text


def test_the_first_word_that_the_vocabulary_lacks_is_named_with_its_line_in_one_short_line(model):
    text = "\n".join(["w0 w1 " * 200, "w2 nowhere w3 never", "later"])
    with pytest.raises(ValueError, match=r"does not know 'nowhere', in line 2 of text 1: use words of its") as refused:
        text_rows(model, ["w0", text])
    assert len(str(refused.value)) < 300 and "never" not in str(refused.value)


@pytest.mark.parametrize("length", [1, 0, CONTEXT + 1])
def test_a_length_that_the_context_does_not_have_is_refused(model, length):
    with pytest.raises(ValueError, match=f"rows of {length} tokens: .* takes 2 to {CONTEXT}, BOS counted"):
        text_rows(model, ["w0"], length)


@pytest.mark.parametrize("texts", [[], ["", "  \n "]])
def test_texts_without_a_token_are_refused(model, texts):
    with pytest.raises(ValueError, match=f"{len(texts)} texts without a token: there is nothing to run"):
        text_rows(model, texts)


def test_bos_is_told_from_text_where_all_rows_of_tokens_begin_with_it(model):
    assert token_rows(model, [[0, 5], [0, 6, 7]]).lead == 1
    assert token_rows(model, [[0, 5], [6, 7]]).lead == 0


@pytest.mark.parametrize(
    "rows, said",
    [
        ([], "no rows of tokens"),
        ([[0, 5], []], f"row 1 has 0 tokens: .* reads 1 to {CONTEXT}, cut it"),
        ([[5] * (CONTEXT + 1)], f"row 0 has {CONTEXT + 1} tokens"),
        ([[0, 40]], "row 0 has id 40: .* has ids from 0 to 39"),
        ([[0, -1]], "row 0 has id -1"),
    ],
)
def test_rows_of_tokens_that_the_model_cannot_run_are_refused(model, rows, said):
    with pytest.raises(ValueError, match=said):
        token_rows(model, rows)


def test_other_rows_have_another_hash_also_where_their_ids_are_the_same_in_a_row(model):
    assert token_rows(model, [[5, 6], [7]]).said["sha256"] != token_rows(model, [[5], [6, 7]]).said["sha256"]
