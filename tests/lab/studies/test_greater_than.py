"""Years: probabilities and attention against Hugging Face's, patches against what they must add up to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from mechlib.lab.hooks import NothingChanged
from mechlib.lab.interventions.contexts import Site
from mechlib.lab.interventions.sites import layers, residual
from mechlib.lab.models.loading import Model, load
from mechlib.lab.studies.greater_than import (
    attention_to_start,
    by_noun,
    difference_lost,
    difference_restored,
    difference_without,
    year_scores,
)
from mechlib.measurement import Measurement
from mechlib.parts.heads import all_heads
from mechlib.prompts.greater_than import greater_than
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import PLAIN, REFUSED, random_model, word_tokenizer

ASKED, NATURAL, REFERENCE = greater_than(24), greater_than(24, style="natural"), greater_than(64, split="reference")
SPOKEN = " ".join(f"{row.clean} {row.corrupted}" for split in (ASKED, REFERENCE) for row in split)
WORDS = ("<bos>", "<unk>", *map(str, range(199)), *SPOKEN.split())
IDS = {word: n for n, word in enumerate(dict.fromkeys(WORDS))}


def in_halves() -> PreTrainedTokenizerFast:
    """Years in two tokens, century and year, as GPT-2 has those of `natural`: " 1273" is " 12" and "73"."""
    words = dict.fromkeys(word for row in NATURAL for word in row.clean.split() if not word.isdigit())
    pieces = ["<bos>", "<unk>", "The", *(f"Ġ{word}" for word in words if word != "The")]
    pieces += [f"Ġ{century}" for century in range(10, 20)] + [f"{year:02}" for year in range(100)]
    tokenizer = Tokenizer(WordLevel({piece: n for n, piece in enumerate(pieces)}, unk_token="<unk>"))
    split = pre_tokenizers.Split(Regex(r" ?[A-Za-z]+| ?\d\d"), "isolated")
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, in_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", unk_token="<unk>")


def saved(path: Path, family: str, tokenizer: PreTrainedTokenizerFast) -> tuple[Model, torch.nn.Module]:
    """A tiny model with this tokenizer, and the same from the library that it was made with."""
    made = random_model(family, vocabulary=len(tokenizer))
    made.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return load(str(path)), made


@pytest.fixture(scope="module", params=PLAIN)
def both(request, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("years") / request.param, request.param, word_tokenizer(IDS))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("years") / "one", "gpt2", word_tokenizer(IDS))[0]


def logits(hugging_face: torch.nn.Module, text: str) -> torch.Tensor:
    """Of the last word, from Hugging Face."""
    with torch.no_grad():
        return hugging_face(torch.tensor([[0, *(IDS[word] for word in text.split())]])).logits[0, -1]


def chances_of(hugging_face: torch.nn.Module, text: str) -> dict[int, float]:
    """Of each year, from Hugging Face."""
    last = logits(hugging_face, text).softmax(-1)
    return {year: float(last[IDS[str(year)]]) for year in range(100)}


def scored(chances: dict[int, float], start: int) -> tuple[float, float]:
    """Difference and sharpness, year by year."""
    above = sum(chance for year, chance in chances.items() if year > start)
    rest = sum(chance for year, chance in chances.items() if year <= start)
    return above - rest, chances[start + 1] - chances[start - 1]


# Behaviour


def test_scores_are_sums_of_hugging_faces_probabilities(both):
    model, hugging_face = both
    found = year_scores(model, ASKED)
    assert found.columns == ("difference", "sharpness", "top")
    for row, prompt in zip(found.values, ASKED, strict=True):
        start = int(prompt.label("year"))
        np.testing.assert_allclose(row[:2], scored(chances_of(hugging_face, prompt.clean), start), atol=1e-5)
        assert row[2] == (
            int(logits(hugging_face, prompt.clean).argmax()) in {IDS[str(year)] for year in range(start + 1, 100)}
        )
    assert found.clusters == tuple(row.cluster for row in ASKED)


def test_a_model_that_always_says_one_year_is_right_before_it_and_wrong_from_it_on(gpt2, tmp_path):
    """All probability on 60: the difference is 1 for starts below 60 and -1 otherwise; top likewise."""
    made = random_model("gpt2", vocabulary=len(IDS))
    with torch.no_grad():
        made.transformer.ln_f.weight.zero_()
        made.transformer.ln_f.bias.zero_()
        made.transformer.ln_f.bias[0] = 100
        made.get_input_embeddings().weight[:, 0] = 0
        made.get_input_embeddings().weight[IDS["60"], 0] = 1
    made.save_pretrained(tmp_path)
    word_tokenizer(IDS).save_pretrained(tmp_path)
    found = year_scores(load(str(tmp_path)), ASKED)
    right = np.array([int(row.label("year")) < 60 for row in ASKED])
    assert 0 < right.sum() < len(right)
    np.testing.assert_allclose(found["difference"].array, np.where(right, 1, -1), atol=1e-6)
    np.testing.assert_array_equal(found["top"].array, right)
    sharp = [{59: 1.0, 61: -1.0}.get(int(row.label("year")), 0.0) for row in ASKED]
    np.testing.assert_allclose(found["sharpness"].array, sharp, atol=1e-6)


def test_years_of_two_digits_follow_a_century_at_once(tmp_path):
    tokenizer = in_halves()
    model, hugging_face = saved(tmp_path, "gpt2", tokenizer)
    ids = tokenizer.get_vocab()
    for row, prompt in zip(year_scores(model, NATURAL).values, NATURAL, strict=True):
        text = tokenizer(prompt.clean, add_special_tokens=False)["input_ids"]
        assert text[-5] == ids[prompt.label("year")] and text[-1] == ids[f"Ġ{prompt.label('century')}"]
        with torch.no_grad():
            chances = hugging_face(torch.tensor([[0, *text]])).logits[0, -1].softmax(-1)
        wanted = scored({year: float(chances[ids[f"{year:02}"]]) for year in range(100)}, int(prompt.label("year")))
        np.testing.assert_allclose(row[:2], wanted, atol=1e-5)
    attention_to_start(model, NATURAL)  # raises where the fifth token from the end is another


# Patching


def test_the_total_is_the_difference_of_two_runs_by_the_clean_start(both):
    model, hugging_face = both
    found = difference_restored(model, ASKED, layers(model))
    for total, prompt in zip(found["total"].array, ASKED, strict=True):
        clean, corrupted = (
            scored(chances_of(hugging_face, text), int(prompt.label("year")))[0]
            for text in (prompt.clean, prompt.corrupted)
        )
        assert total == pytest.approx(clean - corrupted, abs=1e-5)


@pytest.mark.parametrize("patch", [difference_restored, difference_lost])
def test_all_heads_bring_all_that_reaches_the_last_word(gpt2, patch):
    """Clean and corrupted end in the same word, so heads are the only way in, as the last stream is the way out."""
    found = patch(gpt2, ASKED, {"heads": all_heads(2, 4), "last": residual(gpt2)["after layer 1"]})
    assert found.columns == ("heads", "last", "total")
    assert np.abs(found["total"].array).max() > 1e-3
    for name in ("heads", "last"):
        np.testing.assert_allclose(found[name].array, found["total"].array, atol=1e-5)


def test_what_is_lost_is_what_is_not_restored_with_the_runs_exchanged(gpt2):
    """Years stay right or wrong by the clean start, which the label says, whichever text is run."""
    rows = [Prompt(row.corrupted, row.answer, row.clean, row.distractor, row.cluster, row.labels) for row in ASKED]
    exchanged = PromptSet("exchanged", "confirmation", tuple(rows))
    sets = layers(gpt2)
    restored, lost = difference_restored(gpt2, exchanged, sets), difference_lost(gpt2, ASKED, sets)
    np.testing.assert_allclose(lost.values, -restored.values, atol=1e-5)
    assert np.abs(lost["mlp 1"].array).max() > 1e-3


def test_a_patch_is_made_where_it_is_asked_for(gpt2):
    """The start is the only word that differs: the embeddings there restore everything, those before it nothing."""
    stream = {"embeddings": residual(gpt2)["embeddings"]}
    found = difference_restored(gpt2, ASKED, stream, positions=-5)
    np.testing.assert_allclose(found["embeddings"].array, found["total"].array, atol=1e-5)
    with pytest.raises(NothingChanged, match="nothing in embeddings differs"):
        difference_restored(gpt2, ASKED, stream, positions=-6)


# Ablation


def test_zero_ablation_is_a_model_without_the_mlps(gpt2):
    found = difference_without(gpt2, ASKED, {"mlps": [Site("mlp", 0), Site("mlp", 1)]}, "zero", REFERENCE)
    made = random_model("gpt2", vocabulary=len(IDS))
    with torch.no_grad():
        for block in made.transformer.h:
            block.mlp.c_proj.weight.zero_()
            block.mlp.c_proj.bias.zero_()
    for value, prompt in zip(found["mlps"].array, ASKED, strict=True):
        wanted = scored(chances_of(made, prompt.clean), int(prompt.label("year")))[0]
        assert value == pytest.approx(wanted, abs=1e-5)
    np.testing.assert_allclose(found["intact"].array, year_scores(gpt2, ASKED)["difference"].array, atol=1e-6)


@pytest.mark.parametrize("how", ["mean", "resample"])
def test_other_ablations_take_their_values_from_the_reference(gpt2, how):
    sets = {"first": layers(gpt2)["attention 0"], "mlp": Site("mlp", 0)}
    found = difference_without(gpt2, ASKED, sets, how, REFERENCE)
    assert found.columns == ("first", "mlp", "intact")
    assert np.abs(found["first"].array - found["intact"].array).max() > 1e-3
    with pytest.raises(ValueError, match="is no reference set"):
        difference_without(gpt2, ASKED, sets, how, ASKED)


def test_unknown_ablations_are_named(gpt2):
    with pytest.raises(REFUSED):
        difference_without(gpt2, ASKED, {"mlp": Site("mlp", 0)}, "noise", REFERENCE)


# Attention, and means of nouns


def test_attention_to_the_start_is_the_cell_of_hugging_faces_attention(both):
    model, hugging_face = both
    found = attention_to_start(model, ASKED)
    for row, prompt in zip(found.values, ASKED, strict=True):
        words = prompt.clean.split()
        tokens = torch.tensor([[0, *(IDS[word] for word in words)]])
        with torch.no_grad():
            attention = torch.stack(hugging_face(tokens, output_attentions=True).attentions)
        where = 1 + words.index("year") + 2  # BOS, then `year`, the century, the start
        assert words[where - 1] == prompt.label("year")
        np.testing.assert_allclose(row, attention[:, 0, :, -1, where].flatten(), atol=1e-5)


def test_means_of_nouns_are_means_of_their_prompts(gpt2):
    scores = year_scores(gpt2, ASKED)
    found = by_noun(scores)
    assert found.unit == "noun" and found.units == found.clusters == tuple(sorted({row.cluster for row in ASKED}))
    for noun, row in zip(found.units, found.values, strict=True):
        own = [value for value, prompt in zip(scores.values, ASKED, strict=True) if prompt.cluster == noun]
        np.testing.assert_allclose(row, np.mean(own, axis=0))
    with pytest.raises(ValueError, match="these prompt data have no clusters"):
        by_noun(Measurement([1.0, 2.0], ("a", "b")))


# What is refused


def one(clean: str, year: str, answer: str = "60") -> PromptSet:
    return PromptSet("one", "confirmation", (Prompt(clean, answer, labels=(("year", year),)),))


def test_a_start_at_another_place_is_named(gpt2):
    with pytest.raises(ValueError, match="has no start 33 at the fifth token from its end"):
        attention_to_start(gpt2, one("The battle lasted from the year 12 34 to the year 12", "33"))


@pytest.mark.parametrize("year", ["0", "99", "150"])
def test_a_start_without_a_year_on_either_side_is_named(gpt2, year):
    with pytest.raises(ValueError, match=f"starts in the year {year}: choose one of 1 to 98"):
        year_scores(gpt2, one(f"The battle lasted from the year 12 {year} to the year 12", year))


def test_years_of_several_tokens_are_named(tmp_path):
    words = {word: number for number, word in enumerate(word for word in IDS if word != "73")}
    model, _ = saved(tmp_path, "gpt2", word_tokenizer(words))
    with pytest.raises(ValueError, match=r"' 73' is \[1\] in .*, not one token: choose a model whose years are"):
        year_scores(model, one("The battle lasted from the year 12 34 to the year 12", "34"))


def test_prompts_without_a_corrupted_text_are_named(gpt2):
    with pytest.raises(ValueError, match="has no corrupted text: there is no run to patch into"):
        difference_restored(gpt2, REFERENCE, all_heads(2, 4))
