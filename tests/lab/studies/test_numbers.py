"""Attention to operands against Hugging Face's, and shares of number embeddings against regressions and plain sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import torch
from statsmodels.stats.anova import anova_lm

from mechlib.lab.models.loading import Model, load
from mechlib.lab.studies.numbers import (
    attention_to_operand,
    number_structure,
    share_of_digits,
    share_of_periods,
    shares_of_each_digit,
    without_trend,
)
from mechlib.parts.heads import all_heads
from mechlib.prompts.addition import addition
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import PLAIN, REFUSED, digit_directory, random_model, word_tokenizer

SUMS = addition(12)
SPOKEN = " ".join(f"{prompt.clean} {prompt.corrupted}" for prompt in addition())
IDS = {word: n for n, word in enumerate(dict.fromkeys(("<bos>", "<unk>", *map(str, range(199)), *SPOKEN.split())))}
TENS, UNITS = np.divmod(np.arange(100), 10)


def saved(path: Path, family: str, embedding: np.ndarray | None = None) -> tuple[Model, torch.nn.Module]:
    """A tiny model that reads these words, and the same from the library that it was made with.

    `embedding` replaces that of the numbers 0 to 99.
    """
    made = random_model(family, vocabulary=len(IDS))
    if embedding is not None:
        with torch.no_grad():
            rows = [IDS[str(number)] for number in range(100)]
            made.get_input_embeddings().weight[rows] = torch.tensor(embedding, dtype=torch.float32)
    made.save_pretrained(path)
    word_tokenizer(IDS).save_pretrained(path)
    return load(str(path)), made


@pytest.fixture(scope="module", params=PLAIN)
def both(request, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("numbers") / request.param, request.param)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("numbers") / "one", "gpt2")[0]


def asked(*rows: Prompt) -> PromptSet:
    return PromptSet("asked", "confirmation", rows)


def about(a: int, b: int, clean: str) -> Prompt:
    return Prompt(clean, str(a + b), labels=(("a", str(a)), ("b", str(b))))


# Attention


def attended(hugging_face: torch.nn.Module, prompt: Prompt, position: int) -> np.ndarray:
    """Attention of all heads, layer by layer, from the last token to `position`, BOS counted."""
    tokens = torch.tensor([[0, *(IDS[word] for word in prompt.clean.split())]])
    with torch.no_grad():
        found = hugging_face(tokens, output_attentions=True).attentions
    return torch.stack(found)[:, 0, :, -1, position].flatten().numpy()


def test_attention_to_an_operand_is_the_cell_of_hugging_faces_attention(both):
    model, hugging_face = both
    first, second = (attention_to_operand(model, SUMS, operand) for operand in ("a", "b"))
    assert first.columns == second.columns == tuple(map(str, all_heads(2, 4)))
    assert first.units == tuple(prompt.fingerprint for prompt in SUMS)
    assert first.unit == "pair"
    assert len({len(prompt.clean.split()) for prompt in SUMS}) > 3, "one length would not show a wrong order"
    for row, prompt in enumerate(SUMS):
        sign = 1 + prompt.clean.split().index("+")
        assert prompt.label("a") != prompt.label("b")
        np.testing.assert_allclose(first.values[row], attended(hugging_face, prompt, sign - 1), atol=1e-5)
        np.testing.assert_allclose(second.values[row], attended(hugging_face, prompt, sign + 1), atol=1e-5)


def test_of_two_equal_operands_the_first_is_mentioned_first(both):
    model, hugging_face = both
    prompt = about(7, 7, "oh What is 7 + 7 ? Answer :")
    for operand, position in (("a", 4), ("b", 6)):
        measured = attention_to_operand(model, asked(prompt), operand)
        np.testing.assert_allclose(measured.values[0], attended(hugging_face, prompt, position), atol=1e-5)


def test_attention_to_a_number_does_not_depend_on_the_corruption(gpt2):
    other = asked(*(replace(prompt, corrupted="", distractor="") for prompt in SUMS))
    for operand in ("a", "b"):
        np.testing.assert_allclose(
            attention_to_operand(gpt2, SUMS, operand).values, attention_to_operand(gpt2, other, operand).values
        )


def test_a_number_of_several_tokens_is_refused_with_its_tokens(tmp_path):
    model = load(str(digit_directory(tmp_path / "digits", "gpt2")))
    with pytest.raises(ValueError, match=r"23 has 3 tokens \[\d+, \d+, \d+\] in .*: one is needed"):
        attention_to_operand(model, asked(about(23, 5, "What is 23 + 5 ?")), "a")
    with pytest.raises(ValueError, match=r"0 has 2 tokens \[\d+, \d+\] in .*: one is needed"):
        number_structure(model, permutations=1)


def test_a_number_that_the_prompt_does_not_say_is_refused(gpt2):
    said = about(23, 54, "What is 23 + 55 ? Answer :")
    attention_to_operand(gpt2, asked(said), "a")
    with pytest.raises(ValueError, match=r"54 does not occur in 'What is 23 \+ 55 \? Answer :'"):
        attention_to_operand(gpt2, asked(said), "b")


def test_there_is_no_third_operand(gpt2):
    with pytest.raises(REFUSED, match="'c'"):
        attention_to_operand(gpt2, SUMS, "c")


def test_a_prompt_whose_operands_are_not_labelled_is_refused(gpt2):
    with pytest.raises(KeyError, match="no label 'a'"):
        attention_to_operand(gpt2, asked(Prompt("What is 23 + 54 ? Answer :", "77")), "a")


# The quadratic trend


def noise(seed: int, dimensions: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(100, dimensions)).cumsum(axis=0)


def test_what_a_trend_leaves_is_the_residual_of_numpys_polynomial_fit():
    embedding, n = noise(0), np.arange(100)
    wanted = embedding - np.stack([np.polyval(np.polyfit(n, column, 2), n) for column in embedding.T], axis=1)
    np.testing.assert_allclose(without_trend(embedding), wanted, atol=1e-8)


def test_a_quadratic_trend_in_any_direction_changes_nothing_and_a_cubic_does():
    embedding, n = noise(1), np.arange(100)[:, None] / 100
    bend = 30 * n - 70 * n**2 + 5
    added = embedding + bend * np.array([1.0, -2.0, 0.0, 3.0, 0.5, 9.0])
    np.testing.assert_allclose(without_trend(added), without_trend(embedding), atol=1e-9)
    assert np.abs(without_trend(embedding + 30 * n**3) - without_trend(embedding)).max() > 0.1


# Periods and digits, of what is left


def least_squares(left: np.ndarray, periods: tuple[int, ...]) -> float:
    """The share of the variance that a cosine and a sine of each period explain."""
    n = np.arange(len(left))
    waves = [wave(2 * np.pi * n / period) for period in periods for wave in (np.cos, np.sin)]
    design = np.stack([np.ones(len(left)), *waves], axis=1)
    fitted = design @ np.linalg.lstsq(design, left, rcond=None)[0]
    return float(((fitted - left.mean(0)) ** 2).sum() / ((left - left.mean(0)) ** 2).sum())


def fourier_sum(left: np.ndarray, periods: tuple[int, ...]) -> float:
    """The same from a discrete Fourier transform that is written out, over all 100 frequencies, mirrored ones too."""
    n = np.arange(len(left))
    power = [(np.abs((left * np.exp(-2j * np.pi * k * n / 100)[:, None]).sum(0)) ** 2).sum() for k in range(100)]
    chosen = {k for period in periods for k in (100 // period, 100 - 100 // period)}
    return sum(power[k] for k in chosen) / sum(power[1:])


@pytest.mark.parametrize("periods", [(2, 5, 10), (2,), (5,), (10, 4), (100, 50)])
def test_the_share_of_periods_is_what_cosines_and_sines_explain(periods):
    for left in (without_trend(noise(2)), noise(3), noise(4, 1) + 1000):
        assert share_of_periods(left, periods) == pytest.approx(least_squares(left, periods), rel=1e-8)
        assert share_of_periods(left, periods) == pytest.approx(fourier_sum(left, periods), rel=1e-8)


def test_the_periods_are_two_five_and_ten():
    left = without_trend(noise(2))
    assert share_of_periods(left) == share_of_periods(left, (2, 5, 10))


def test_the_share_of_digits_is_that_of_a_two_way_analysis_of_variance():
    left = noise(5, 3) + 100
    explained = total = 0.0
    for column in left.T:
        data = pd.DataFrame({"y": column, "tens": TENS, "units": UNITS})
        fit = smf.ols("y ~ C(tens) + C(units)", data).fit()
        table = anova_lm(fit)
        assert table.df.tolist() == [9, 9, 81]
        explained += table.sum_sq["C(tens)"] + table.sum_sq["C(units)"]
        total += fit.centered_tss
    assert share_of_digits(left) == pytest.approx(explained / total, rel=1e-8)


def test_neither_share_depends_on_the_basis_or_the_scale_of_the_embedding():
    left = without_trend(noise(6))
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    for share in (share_of_periods, share_of_digits):
        assert share(7 * left @ rotation) == pytest.approx(share(left), rel=1e-9)
        stretched = left * np.array([9.0, 1, 1, 1, 1, 1])
        assert share(stretched) != pytest.approx(share(left), rel=1e-3), "dimensions are added up, not averaged"


def waves() -> np.ndarray:
    """Periods 2, 5 and 10, cosines and sines, in directions of their own, and a trend."""
    n = np.arange(100)
    columns = [np.cos(np.pi * n)]
    columns += [wave(2 * np.pi * n / period) for period in (5, 10) for wave in (np.cos, np.sin)]
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(32, 32)))
    return np.stack([*columns, n / 20, n**2 / 2000], axis=1) @ rotation[:7]


def table() -> np.ndarray:
    """A vector for each tens digit plus one for each units digit, at random."""
    stream = np.random.default_rng(2)
    return stream.normal(size=(10, 32))[TENS] + stream.normal(size=(10, 32))[UNITS]


def test_a_planted_structure_is_found_and_told_from_another():
    periodic, digits = without_trend(waves()), without_trend(table())
    assert share_of_periods(periodic) > 0.98
    assert share_of_digits(periodic) > 0.98, "what repeats every ten numbers is a function of the units"
    assert share_of_digits(digits) > 0.98
    assert share_of_periods(digits) < 0.5, "tens digits have no period of ten"
    seventh = without_trend(np.cos(2 * np.pi * np.arange(100) / (100 / 7))[:, None])
    assert share_of_periods(seventh) < 0.02


@pytest.mark.parametrize(
    ("share", "degrees", "said"),
    [(share_of_periods, 5, ".05"), (share_of_digits, 16, ".165")],
    ids=["periods", "digits"],
)
def test_noise_has_the_shares_that_the_documentation_says(share, degrees, said):
    """Of 97 degrees of freedom that the trend leaves, periods have 5; the two digits 18, two of which are the trend."""
    stream = np.random.default_rng(0)
    values = [share(without_trend(stream.normal(size=(100, 8)))) for _ in range(400)]
    assert np.mean(values) == pytest.approx(degrees / 97, abs=4 * np.std(values) / 20)
    assert degrees / 97 == pytest.approx(float(said), abs=0.002)
    assert f"{degrees} of 97 degrees of freedom, so about {said} by chance" in " ".join(
        number_structure.__doc__.split()
    )


# The measurement, on models


def test_structure_is_that_of_hugging_faces_embedding_in_order(both):
    model, hugging_face = both
    found = number_structure(model, permutations=3)
    rows = hugging_face.get_input_embeddings().weight[[IDS[str(number)] for number in range(100)]]
    left = without_trend(rows.detach().double().numpy())
    assert found.columns == ("periods", "units and tens")
    assert found.units == ("in order", "permutation 1", "permutation 2", "permutation 3")
    assert found.unit == "order of the numbers"
    data = pd.DataFrame({"tens": TENS, "units": UNITS})
    fits = [smf.ols("y ~ C(tens) + C(units)", data.assign(y=column)).fit() for column in left.T]
    explained = sum(fit.ess for fit in fits) / sum(fit.centered_tss for fit in fits)
    wanted = [least_squares(left, (2, 5, 10)), explained]
    np.testing.assert_allclose(found.values[0], wanted, rtol=1e-4)


@pytest.mark.parametrize("planted", ["waves", "table"])
def test_permuted_labels_are_at_chance_whatever_is_planted(tmp_path, planted):
    """Chance is the trace of the projection onto the waves, or the table, with the trend taken out, of 97."""
    found = number_structure(saved(tmp_path / planted, "gpt2", waves() if planted == "waves" else table())[0], 200)
    periods, digits = found["periods"].array, found["units and tens"].array
    assert digits[0] > 0.98
    assert (periods[0] > 0.98) == (planted == "waves")
    for null, chance in ((periods[1:], 4.99 / 97), (digits[1:], 16.05 / 97)):
        assert len(np.unique(null)) == 200
        assert null.mean() == pytest.approx(chance, abs=4 * null.std() / 200**0.5)


def test_a_table_in_another_order_is_not_found_and_its_own_order_is(tmp_path):
    shuffled = np.random.default_rng(3).permutation(100)
    found = number_structure(saved(tmp_path / "shuffled", "gpt2", table()[shuffled])[0], permutations=20)
    assert found["units and tens"].array[0] < 0.3


def test_the_seed_draws_the_permutations_and_never_the_true_order(gpt2):
    one, again, other = (number_structure(gpt2, 5, seed).values for seed in (0, 0, 1))
    assert one.tolist() == again.tolist()
    assert one[0].tolist() == other[0].tolist()
    assert (one[1:] != other[1:]).all()
    assert number_structure(gpt2, 2).values.tolist() == one[:3].tolist()


def test_a_number_that_the_vocabulary_lacks_is_refused_and_not_read_as_unknown(tmp_path):
    known = [word for word in IDS if word != "61"]
    random_model("gpt2", vocabulary=len(known)).save_pretrained(tmp_path)
    word_tokenizer({word: n for n, word in enumerate(known)}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="does not know the number 61"):
        number_structure(load(str(tmp_path)), permutations=1)


def test_the_shares_of_each_digit_add_up_and_tell_a_planted_one(tmp_path):
    tens_only = np.repeat(np.random.default_rng(3).normal(size=(10, 32)), 10, axis=0)
    model, _ = saved(tmp_path / "tens", "gpt2", tens_only)
    tens, units = shares_of_each_digit(model).values[0]
    assert tens > 0.99 and units < 0.01
    model, _ = saved(tmp_path / "plain", "gpt2")
    both = shares_of_each_digit(model).values[0].sum()
    assert both == pytest.approx(number_structure(model, permutations=1)["units and tens"].array[0], rel=1e-9)
