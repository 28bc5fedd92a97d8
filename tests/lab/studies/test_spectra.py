"""Spectra of token embeddings against waves that are planted, sums written out, and least squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mechlib.lab.models.loading import Model, load
from mechlib.lab.studies.numbers import number_structure, share_of_digits, share_of_periods, without_trend
from mechlib.lab.studies.spectra import periods_of_numbers, shares_in_waves, shares_of_frequencies, spectrum
from tests.helpers.tiny import digit_directory, random_model, word_tokenizer

NUMBERS = {word: n for n, word in enumerate(("<bos>", "<unk>", *map(str, range(120))))}


def model_of(path: Path, embedding: np.ndarray) -> Model:
    """A tiny model that embeds 0, 1, 2, ... so."""
    made = random_model("gpt2", vocabulary=len(NUMBERS))
    with torch.no_grad():
        made.get_input_embeddings().weight[2 : 2 + len(embedding)] = torch.tensor(embedding, dtype=torch.float32)
    made.save_pretrained(path)
    word_tokenizer(NUMBERS).save_pretrained(path)
    return load(str(path))


def wave(period: float, n: int = 100, seed: int = 0, width: int = 32) -> np.ndarray:
    """A cosine and a sine of this period, in directions of their own."""
    rng, angle = np.random.default_rng(seed), 2 * np.pi * np.arange(n)[:, None] / period
    return np.cos(angle) * rng.normal(size=width) + np.sin(angle) * rng.normal(size=width)


def noise(n: int, seed: int = 0, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width))


# Cycles


@pytest.mark.parametrize("n", [3, 7, 12, 97, 113])
def test_the_shares_of_all_frequencies_add_up_to_one_and_are_the_written_out_transform(n):
    embedding = noise(n) + 5
    found = shares_of_frequencies(embedding)
    assert len(found) == n // 2
    assert found.sum() == pytest.approx(1, abs=1e-12)
    k, at = np.arange(n)[:, None], np.arange(n)
    power = (np.abs(np.exp(-2j * np.pi * k * at / n) @ embedding) ** 2).sum(1)
    # Parseval: the squares of the transform, without the mean's, are n times the variance's sum of squares.
    assert power[1:].sum() == pytest.approx(n * ((embedding - embedding.mean(0)) ** 2).sum())
    wanted = [power[f] + (power[n - f] if n - f != f else 0) for f in range(1, n // 2 + 1)]
    np.testing.assert_allclose(found, np.array(wanted) / power[1:].sum(), rtol=1e-9)


@pytest.mark.parametrize("n", [113, 60])
@pytest.mark.parametrize("frequency", [1, 5, 30])
def test_a_wave_on_a_cycle_has_one_frequency_wherever_it_begins(tmp_path, n, frequency):
    embedding = wave(n / frequency, n)
    words = tuple(map(str, range(n)))
    model = model_of(tmp_path / "waves", embedding + 3)
    found = spectrum(model, words)
    assert found.columns == tuple(f"frequency {f}" for f in range(1, n // 2 + 1))
    assert found[f"frequency {frequency}"].array[0] == pytest.approx(1, abs=1e-6)
    ids = tuple(NUMBERS[word] for word in words)
    turned = spectrum(model, ids[7:] + ids[:7])
    np.testing.assert_allclose(turned.values, found.values, atol=1e-9)


def test_two_waves_share_by_their_squares_and_permuted_orders_are_at_chance(tmp_path):
    embedding = wave(113 / 4, 113) + 0.5 * wave(113 / 9, 113)  # the same two directions
    found = spectrum(model_of(tmp_path / "two", embedding), tuple(map(str, range(113))), permutations=60)
    assert found.units[:2] == ("in order", "permutation 1") and len(found) == 61
    assert found["frequency 4"].array[0] == pytest.approx(0.8, abs=1e-5)
    assert found["frequency 9"].array[0] == pytest.approx(0.2, abs=1e-5)
    null = found.values[1:]
    np.testing.assert_allclose(null.sum(1), 1)
    assert null.mean() == pytest.approx(2 / 112, rel=1e-9)
    assert null.max() < 0.3


def test_what_is_no_cycle_is_refused_in_one_line(tmp_path):
    model = model_of(tmp_path / "flat", np.ones((100, 32)))
    for tokens, said in (
        (("0", "1"), "2 tokens, 2 of them distinct: a cycle has at least 3"),
        (("0", "1", "1"), "3 tokens, 2 of them distinct"),
        (("0", "1", "2"), "all 3 tokens have one embedding"),
        (("0", "1", "zebra"), "'zebra' is not one token"),
        ((0, 1, 500), "no token 500"),
    ):
        with pytest.raises(ValueError, match=said) as raised:
            spectrum(model, tokens)
        assert "\n" not in str(raised.value)


# Periods of numbers


@pytest.mark.parametrize("period", [2, 5, 10, 7, 100 / 7, 3.3])
def test_a_wave_counts_for_its_own_period_and_no_other(period):
    others = (2.2, 4.913, 5.2, 9.2, 33)
    found = shares_in_waves(wave(period) + without_trend(wave(1e9)), (period, *others))
    assert found[0] > 0.99
    assert (found[1:] == 0).all()


@pytest.mark.parametrize("period", [4.913, 4.95, 5.05, 5.1, 4.8, 5.25])
def test_a_wave_of_a_period_nearby_does_not_leak(period):
    """The power at the period alone has a good part of it, up to two thirds."""
    leaking = without_trend(wave(period))
    assert (shares_in_waves(wave(period), (2, 5, 10)) == 0).all()
    assert shares_in_waves(wave(period), (period,))[0] > 0.99
    if period == 4.913:
        assert share_of_periods(leaking) == pytest.approx(0.65, abs=0.05)


def test_waves_beside_a_trend_and_noise_keep_their_shares():
    n = np.arange(100)[:, None] / 100
    waves, other, rest = wave(5, seed=1), wave(10, seed=2), 0.5 * noise(100)
    whole = waves + other + rest
    found = shares_in_waves(whole + 40 * n - 70 * n**2, (5, 10, 2))
    power = [(part**2).sum() for part in (waves, other)]
    np.testing.assert_allclose(found[:2], np.array(power) / (whole**2).sum(), atol=0.03)
    assert found[2] < 0.02


@pytest.mark.parametrize(("n", "periods"), [(97, (5, 10)), (60, (7,)), (113, (4.5, 11))])
def test_numbers_of_any_count_have_any_periods(tmp_path, n, periods):
    model = model_of(tmp_path / "any", wave(periods[0], n))
    found = periods_of_numbers(model, periods, n, permutations=5)
    assert found.columns == tuple(f"period {period:g}" for period in periods)
    assert found[f"period {periods[0]:g}"].array[0] > 0.97
    assert found.values[1:].max() < 0.3
    structure = number_structure(model, permutations=2, n=n, periods=periods)
    assert structure["periods"].array[0] > 0.97


@pytest.mark.parametrize(("n", "periods"), [(97, (2, 5, 10)), (100, (2, 5, 10)), (64, (3, 7.5))])
def test_the_share_of_periods_of_any_count_is_that_of_least_squares(n, periods):
    left, at = without_trend(noise(n, 3, 5).cumsum(0)), np.arange(n)
    waves = [one(2 * np.pi * at / period) for period in periods for one in (np.cos, np.sin)]
    design = np.stack([np.ones(n), *waves], axis=1)
    fitted = design @ np.linalg.lstsq(design, left, rcond=None)[0]
    wanted = ((fitted - left.mean(0)) ** 2).sum() / ((left - left.mean(0)) ** 2).sum()
    assert share_of_periods(left, periods) == pytest.approx(wanted, rel=1e-9)


def test_the_share_of_digits_of_any_count_is_that_of_a_regression_on_both():
    left, (tens, units) = noise(87, 4, 3), np.divmod(np.arange(87), 10)
    design = np.concatenate([np.eye(9)[tens], np.eye(10)[units]], axis=1)
    fitted = design @ np.linalg.lstsq(design, left, rcond=None)[0]
    wanted = ((fitted - left.mean(0)) ** 2).sum() / ((left - left.mean(0)) ** 2).sum()
    assert share_of_digits(left) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("measure", [periods_of_numbers, number_structure])
def test_periods_of_which_the_numbers_say_nothing_are_refused(tmp_path, measure):
    model = model_of(tmp_path / "noise", noise(100))
    for periods, said in (((1.5,), r"period 1\.5 in 100 numbers"), ((5, 101), "period 101 in 100"), ((), "no periods")):
        with pytest.raises(ValueError, match=said):
            measure(model, periods=periods, permutations=1)
    with pytest.raises(ValueError, match="0 has 2 tokens"):
        measure(load(str(digit_directory(tmp_path / "digits", "gpt2"))), permutations=1)


def test_two_digits_of_few_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="15 numbers: tens digit and units digit would explain all"):
        number_structure(model_of(tmp_path / "few", noise(100)), permutations=1, n=15)
