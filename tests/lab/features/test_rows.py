"""Rows of activations: looked over in pieces, given in a seeded order, mapped and never loaded."""

from itertools import islice

import numpy as np
import pytest
import torch

from mechlib.lab.features import rows as looked_at
from mechlib.lab.features.rows import chunks, shuffled, survey, usual


def made(n: int, width: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float16)


@pytest.mark.parametrize("shift", [0.0, 300.0])
def test_moments_are_those_of_all_rows_at_once_however_they_are_cut(monkeypatch, shift):
    rows = (made(50) + np.float16(shift)).astype(np.float16)
    monkeypatch.setattr(looked_at, "CHUNK", 7)
    seen, exact = survey(rows), rows.astype(np.float64)
    np.testing.assert_allclose(seen.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(seen.variance, np.square(exact - exact.mean(0)).sum(1).mean(), rtol=1e-10)
    np.testing.assert_allclose(seen.scale * np.linalg.norm(exact, axis=1).mean(), np.sqrt(5), rtol=1e-12)
    assert torch.equal(torch.cat(list(chunks(rows))), torch.from_numpy(rows.astype(np.float32)))


def test_the_hash_is_of_the_rows_and_not_of_the_pieces(monkeypatch):
    rows = made(50)
    whole = survey(rows).sha256
    monkeypatch.setattr(looked_at, "CHUNK", 7)
    assert survey(rows).sha256 == whole
    for other in (rows[:-1], rows.astype(np.float32), rows[::-1]):
        assert survey(other).sha256 != whole


def test_massive_rows_are_left_out_and_the_others_keep_their_order():
    rows = made(50)
    rows[[3, 40]] *= 40
    kept, limit = usual(rows, 10)
    assert np.array_equal(kept, np.delete(rows, [3, 40], axis=0))
    assert limit == pytest.approx(10 * np.median(np.linalg.norm(rows.astype(np.float32), axis=1)), rel=1e-5)
    assert usual(kept, 10)[0] is kept, "nothing is copied where nothing is left out"
    with pytest.raises(ValueError, match=r"a limit of 0\.5 times the median norm leaves out half of the rows"):
        usual(rows, 0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_row_with_nan_or_infinity_is_refused_by_number(monkeypatch, bad):
    monkeypatch.setattr(looked_at, "CHUNK", 7)
    rows = made(50)
    rows[33, 2] = bad
    with pytest.raises(ValueError, match=r"^row 33 of 50 activations has NaN or infinity: .*cache them again"):
        survey(rows)


@pytest.mark.parametrize("rows", [made(1), made(4)[0], np.ones((9, 3)), np.ones((4, 0))], ids=str)
def test_rows_from_which_nothing_can_be_learnt_are_refused(rows):
    with pytest.raises(ValueError, match=r"^(activations of shape|all 9 rows of activations are the same)"):
        survey(rows)


@pytest.mark.parametrize("batch", [1, 6, 10, 13, 25])
def test_each_pass_gives_every_row_once_and_in_another_order(batch):
    numbered = np.arange(10, dtype=np.float32)[:, None]
    given = torch.cat(list(islice(shuffled(numbered, batch, seed=3), 100 // batch)))[:, 0].int().tolist()
    if batch == 1:  # batches of several rows are sorted, so that single ones show the order
        passes = [given[start : start + 10] for start in range(0, 100, 10)]
        assert all(sorted(one) == list(range(10)) for one in passes)
        assert len(set(map(tuple, passes))) == 10
    assert {given.count(row) for row in range(10)} <= {len(given) // 10, -(-len(given) // 10)}


def test_a_stream_goes_on_from_any_batch_and_follows_from_its_seed():
    rows = made(23)
    whole = list(islice(shuffled(rows, 8, seed=1), 12))
    for begin in (1, 5, 11):
        for wanted, seen in zip(whole[begin:], shuffled(rows, 8, seed=1, begin=begin), strict=False):
            assert torch.equal(wanted, seen)
    other = list(islice(shuffled(rows, 8, seed=2), 12))
    assert not any(torch.equal(one, two) for one, two in zip(whole, other, strict=True))


def test_rows_on_disk_are_given_as_they_lie_there(tmp_path):
    rows = made(40)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    for on_disk, here in zip(islice(shuffled(mapped, 7, 0), 10), shuffled(rows, 7, 0), strict=False):
        assert torch.equal(on_disk, here) and on_disk.dtype == torch.float32
    assert survey(mapped).sha256 == survey(rows).sha256
