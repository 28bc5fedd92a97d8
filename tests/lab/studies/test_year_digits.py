"""Years that are read digit by digit: probabilities against Hugging Face's, one year at a time; who may be asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from mechlib.lab.batching import batches
from mechlib.lab.interventions.sites import residual
from mechlib.lab.models.loading import Model, load
from mechlib.lab.studies.greater_than import difference_by_digits, difference_restored, year_scores
from mechlib.prompts.greater_than import greater_than
from mechlib.prompts.ioi import ioi
from mechlib.prompts.promptset import PromptSet
from tests.helpers.tiny import random_model

TENS, UNITS = (greater_than(16, style="pretrained", digit=digit) for digit in ("tens", "units"))


def tokenizer(pieces: str, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Of each piece that this expression finds one token: numbers digit by digit behind a space alone by `\\d`."""
    split = pre_tokenizers.Split(Regex(pieces), "isolated")
    cut = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    found = dict.fromkeys(piece for text in texts for piece, _ in cut.pre_tokenize_str(text))
    made = Tokenizer(WordLevel({piece: n for n, piece in enumerate(("<bos>", "<unk>", *found))}, unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = cut, decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", unk_token="<unk>")


def saved(path: Path, pieces: str, texts: Iterable[str]) -> tuple[Model, torch.nn.Module, PreTrainedTokenizerFast]:
    own = tokenizer(pieces, texts)
    made = random_model("gpt2", vocabulary=len(own))
    with torch.no_grad():
        made.get_input_embeddings().weight.mul_(4)  # so that digits differ in what is given to them
    made.save_pretrained(path)
    own.save_pretrained(path)
    return load(str(path)), made, own


def said(*sets: PromptSet) -> list[str]:
    """All texts of these sets, with their answers, and all numbers of one and two digits."""
    rows = [row for prompts in sets for row in prompts]
    return [f"{row.clean}{row.glue}{row.answer} {row.corrupted}" for row in rows] + [f"{n:02}" for n in range(100)]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("digits"), r" ?[A-Za-z]+|\d| ", said(TENS, UNITS))


def chances(hugging_face: torch.nn.Module, own: PreTrainedTokenizerFast, text: str) -> dict[str, float]:
    """Of each digit behind a text, from Hugging Face."""
    ids = own.get_vocab()
    with torch.no_grad():
        said = hugging_face(torch.tensor([[0, *own(text, add_special_tokens=False)["input_ids"]]]))
    last = said.logits[0, -1].softmax(-1)
    return {digit: float(last[ids[digit]]) for digit in "0123456789"}


@pytest.mark.parametrize("prompts", [TENS, UNITS], ids=["tens", "units"])
def test_a_digit_counts_by_whether_a_year_that_begins_so_can_be_above_the_start(both, prompts):
    model, hugging_face, own = both
    for row, prompt in zip(year_scores(model, prompts).values, prompts, strict=True):
        start, begun = int(prompt.label("year")), prompt.clean.split()[-1][2:]
        found = chances(hugging_face, own, prompt.clean)
        may = {digit for digit in found if int(f"{begun}{digit}9"[:2]) > start}
        wanted = sum(one if digit in may else -one for digit, one in found.items())
        asked = int(str(start)[len(begun)])
        sharp = found.get(str(asked + 1), 0) - found.get(str(asked - 1), 0)
        np.testing.assert_allclose(row[:2], (wanted, sharp), atol=1e-5)


def test_the_difference_of_years_is_that_of_every_year_written_out(both):
    """Each of a hundred years has the probability of its tens times that of its units behind these."""
    model, hugging_face, own = both
    for value, prompt in zip(difference_by_digits(model, TENS).array, TENS, strict=True):
        first = chances(hugging_face, own, prompt.clean)
        start = int(prompt.label("year"))
        wanted = 0.0
        for tens, one in first.items():
            if int(tens) != start // 10:  # all its years are on one side, whatever their units are
                wanted += one if int(tens) > start // 10 else -one
                continue
            behind = chances(hugging_face, own, f"{prompt.clean}{tens}")
            wanted += sum(one * two * (1 if int(tens + units) > start else -1) for units, two in behind.items())
        assert value == pytest.approx(wanted, abs=1e-5)


def test_the_last_stream_restores_the_whole_difference_of_digits(both):
    found = difference_restored(both[0], TENS, {"last": residual(both[0])["after layer 1"]})
    np.testing.assert_allclose(found["last"].array, found["total"].array, atol=1e-5)
    clean = year_scores(both[0], TENS)["difference"].array
    corrupted = [replace(row, clean=row.corrupted, corrupted="") for row in TENS]
    other = year_scores(both[0], replace(TENS, rows=tuple(corrupted)))["difference"].array
    np.testing.assert_allclose(found["total"].array, clean - other, atol=1e-5)
    assert np.abs(found["total"].array).max() > 1e-3


def test_years_are_told_from_prompts_that_ask_for_the_tens(both):
    with pytest.raises(ValueError, match=r'does not ask for the tens: take greater_than\(style="pretrained"\)'):
        difference_by_digits(both[0], UNITS)


def test_a_model_that_reads_years_whole_is_refused_with_the_year(tmp_path):
    model = saved(tmp_path, r" ?[A-Za-z]+|\d\d| ", said(TENS))[0]
    year = f"{TENS.rows[0].label('century')}{TENS.rows[0].label('year')}"
    with pytest.raises(ValueError, match=rf"'{year}' is 2 tokens \[.*\] in .*, and greater_than\(.* in which it is 4"):
        year_scores(model, TENS)


def test_a_name_of_two_tokens_is_refused_by_name(tmp_path):
    prompts = ioi(16, style="pretrained")
    name = prompts.rows[3].answer
    whole, half = r" ?[A-Za-z]+|[^A-Za-z]", rf" {name[:2]}(?={name[2:]})|"
    assert batches(saved(tmp_path / "whole", whole, said(prompts))[0], prompts)
    with pytest.raises(
        ValueError, match=rf"' {name}' is 2 tokens \[.*\] in .*, and ioi\(confirmation, n=16, .* it is 1"
    ):
        batches(saved(tmp_path / "half", half + whole, said(prompts))[0], prompts)
