"""Frozen twins: what is frozen stays as drawn and is not stored, what is soft is held at its limit."""

import json
import math

import pytest
import torch

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

from mechlib.lab.features.loading import load_sae
from mechlib.lab.features.training import saelens
from mechlib.lab.features.training.frozen import NotTheSameDraw, hold, reach, start_of
from tests.lab.features.training.small import PLANTED, WIDTH, recipe, trained

KINDS = ["topk", "standard", "jumprelu", "gated"]


@pytest.mark.parametrize("kind", [*KINDS, "matching-pursuit"])
def test_a_frozen_decoder_has_the_directions_that_its_seed_draws_and_the_file_has_none(tmp_path, kind):
    of = recipe(kind, frozen="decoder", seed=3)
    made = trained(tmp_path / "it", of)
    cosines = torch.cosine_similarity(made.directions, start_of(of, WIDTH), dim=1)
    torch.testing.assert_close(cosines, torch.ones(64), atol=1e-5, rtol=0)
    stored = saelens.weights_in(tmp_path / "it")
    assert "W_dec" not in stored and stored["W_dec_lengths"].shape == (64,)
    if kind != "matching-pursuit":
        drawn = saelens.blank(of, WIDTH)
        assert not torch.allclose(stored["W_enc"], drawn.W_enc, atol=1e-2), "the encoder was trained"


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_encoder_has_the_directions_that_its_seed_draws_and_the_decoder_is_trained(tmp_path, kind):
    of = recipe(kind, frozen="encoder", seed=3)
    made = trained(tmp_path / "it", of)
    stored = saelens.weights_in(tmp_path / "it")
    assert "W_enc" not in stored and stored["W_enc_lengths"].shape == (64,)
    start = start_of(of, WIDTH)
    assert torch.cosine_similarity(made.directions, start, dim=1).min() < 0.99
    whole = made.encode.__self__.W_enc.T  # type: ignore[attr-defined]  # SAELens's own autoencoder, with the matrix drawn again
    torch.testing.assert_close(torch.cosine_similarity(whole, start, dim=1), torch.ones(64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("frozen", ["decoder", "encoder"])
def test_what_is_drawn_again_computes_what_was_trained(tmp_path, monkeypatch, frozen):
    """The card's numbers are of what was written; SAELens's own autoencoder at the end of training gives them too."""
    ends = []
    fold = saelens.folded
    monkeypatch.setattr(saelens, "folded", lambda trainer: ends.append(fold(trainer)) or ends[-1])
    made = trained(tmp_path / "it", recipe("topk", frozen=frozen))
    rows = torch.from_numpy(PLANTED.rows[:500])
    with torch.no_grad():
        torch.testing.assert_close(ends[0](rows), made.decode(made.active(rows)), rtol=1e-3, atol=1e-4)


def test_a_matrix_that_is_drawn_otherwise_now_is_refused(tmp_path):
    trained(tmp_path / "it", recipe(frozen="decoder"))
    card = tmp_path / "it" / "card.json"
    said = json.loads(card.read_text())
    said["recipe"]["seed"] = 1
    card.write_text(json.dumps(said))
    with pytest.raises(
        NotTheSameDraw, match=r"^W_dec drawn from seed 1 is another matrix than the one that was frozen"
    ):
        load_sae(tmp_path / "it")


def test_a_direction_beyond_the_limit_goes_to_the_nearest_within_it_and_keeps_its_length():
    generator = torch.Generator().manual_seed(0)
    start = torch.nn.functional.normalize(torch.randn(40, 6, generator=generator), dim=1)
    now = torch.randn(40, 6, generator=generator) * 3
    now[:10] = start[:10] * 2 + 0.1 * now[:10]  # within
    held = hold(now, start, 0.8)
    cosines = torch.cosine_similarity(held, start, dim=1)
    assert cosines.min() >= 0.8 - 1e-5
    torch.testing.assert_close(held.norm(dim=1), now.norm(dim=1))
    inside = torch.cosine_similarity(now, start, dim=1) >= 0.8
    assert torch.equal(held[inside], now[inside]) and 10 <= inside.sum() < 40
    # No other direction on the cone is nearer: it is turned about its start by small amounts.
    own = torch.cosine_similarity(held, now, dim=1)
    for _ in range(200):
        other = hold(held + 0.05 * torch.randn(40, 6, generator=generator), start, 0.8)
        allowed = torch.cosine_similarity(other, start, dim=1) >= 0.8 - 1e-6
        assert (torch.cosine_similarity(other, now, dim=1) <= own + 1e-5)[allowed & ~inside].all()


def test_the_opposite_of_the_start_stays_finite_and_within_the_limit():
    start = torch.eye(3)[:1]
    held = hold(-start, start, 0.8)
    assert held.isfinite().all()


@pytest.mark.parametrize(("width", "features"), [(24, 64), (128, 512)])
def test_the_reach_is_what_half_of_all_directions_are_met_with(width, features):
    generator = torch.Generator().manual_seed(0)
    start, targets = (
        torch.nn.functional.normalize(torch.randn(n, width, generator=generator), dim=1) for n in (features, 2000)
    )
    nearest = (targets @ start.T).max(1)
    middle = float(nearest.values.median())
    assert reach(width, features, 0.999999) == pytest.approx(middle, abs=0.01)
    turned = hold(targets, start[nearest.indices], 0.8)
    met = torch.cosine_similarity(turned, targets, dim=1).median()
    assert reach(width, features, 0.8) == pytest.approx(float(met), abs=0.01)


def test_a_loose_limit_reaches_everything_and_a_card_says_how_far_it_went(tmp_path):
    assert reach(24, 64, 0.1) == 1 and reach(24, 64, 0.8) > 0.85, "in few dimensions .8 keeps little from being found"
    made = trained(tmp_path / "it", recipe("standard", steps=150, rate=1e-2, frozen="soft", cosine=0.95))
    said = made.card["frozen"]
    assert 0.95 - 1e-4 <= said["least cosine"] <= said["mean cosine"] <= 1
    assert 0.1 < said["share at the limit"] <= 1
    assert said["reach"] == reach(WIDTH, 64, 0.95)
    assert math.isfinite(said["reach"])
