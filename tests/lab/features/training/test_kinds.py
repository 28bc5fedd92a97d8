"""Every kind finds planted features; what is stored is what SAELens reads; numbers on a card are those of the rows."""

from typing import get_args

import numpy as np
import pytest
import torch

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

from mechlib.lab.features.comparing.superposition import features_recovered
from mechlib.lab.features.dictionaries import active_counts, random_dictionary
from mechlib.lab.features.loading import load_sae
from mechlib.lab.features.training import saelens
from mechlib.lab.features.training.recipes import Kind, Recipe, features_of
from tests.lab.features.training.small import ACTIVE, PLANTED, WIDTH, recipe, trained

KINDS = get_args(Kind)
MARGIN = 0.3  # of the mean cosine, beyond random directions: .40 to .56 are seen, which have .43
SHARE = 0.4  # of planted features found, beyond random directions: .52 to 1 are seen, which have none


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    of = recipe(request.param, batch=256, samples=256 * 500, rate=5e-3)
    folder = tmp_path_factory.mktemp("kinds") / request.param
    return trained(folder, of), folder


def test_every_kind_finds_more_planted_features_than_random_directions_do(made):
    dictionary, _ = made
    random = random_dictionary(PLANTED.rows, 64, ACTIVE)
    found, by_chance = (
        features_recovered(dictionary.directions, PLANTED),
        features_recovered(random.directions, PLANTED),
    )
    assert found.cosine >= by_chance.cosine + MARGIN
    assert found.share >= by_chance.share + SHARE


def test_the_card_says_what_the_dictionary_does_on_the_rows(made):
    dictionary, _ = made
    rows, card = torch.from_numpy(PLANTED.rows), dictionary.card
    active = dictionary.active(rows)
    error = float((dictionary.decode(active) - rows).square().sum(1).mean())
    assert card["l0"] == pytest.approx(float((active != 0).float().sum(1).mean()))
    assert card["squared_error"] == pytest.approx(error, rel=1e-5)
    deviation = np.square(PLANTED.rows - PLANTED.rows.mean(0)).sum(1).mean()
    assert card["unexplained"] == pytest.approx(error / deviation, rel=1e-4)
    assert card["dead"] == int((active_counts(dictionary, PLANTED.rows) == 0).sum())
    assert card["unexplained"] < 0.5 and card["rows"] == 6000 and card["width"] == WIDTH
    np.testing.assert_allclose(dictionary.mean, PLANTED.rows.mean(0), atol=1e-5)


def test_the_folder_is_one_of_saelens_and_gives_the_same_numbers_there(made):
    dictionary, folder = made
    theirs = saelens.library().SAE.load_from_disk(folder, device="cpu")
    rows = torch.from_numpy(PLANTED.rows[:200])
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(rows), dictionary.active(rows))
        torch.testing.assert_close(theirs(rows), dictionary.decode(dictionary.active(rows)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["topk", "matching-pursuit"])
def test_kinds_that_keep_k_features_of_a_row_keep_no_more(tmp_path, kind):
    dictionary = trained(tmp_path / "it", recipe(kind, k=2))
    assert (dictionary.active(torch.from_numpy(PLANTED.rows)) != 0).sum(1).max() <= 2


def test_more_l1_leaves_fewer_features_active(tmp_path):
    little, much = (trained(tmp_path / str(l1), recipe("standard", 300, l1=l1)).card["l0"] for l1 in (0.3, 3.0))
    assert much < 0.8 * little


def test_half_precision_stores_half_and_says_nearly_the_same(tmp_path):
    whole, half = (trained(tmp_path / str(short), recipe(), half=short) for short in (False, True))
    sizes = [(tmp_path / str(short) / saelens.WEIGHTS).stat().st_size for short in (False, True)]
    assert sizes[1] < 0.6 * sizes[0]
    assert half.directions.dtype == torch.float32 and half.card["stored"] == "float16"
    torch.testing.assert_close(half.directions, whole.directions, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("changed", "said"), [
    ({"kind": "dense"}, "no kind 'dense' of sparse autoencoder: choose one of standard, topk"),
    ({"frozen": "both"}, "nothing 'both' to freeze: choose decoder, encoder or soft"),
    ({"kind": "matching-pursuit", "frozen": "encoder"}, "matching-pursuit has no encoder of its own to freeze"),
    ({"k": 0}, "k is 0 of 64 features: give 1 to 64"),
    ({"k": 65}, "k is 65 of 64 features: give 1 to 64"),
    ({"features": 0}, "features is 0: give at least 1"),
    ({"samples": 100}, "100 rows in batches of 128: train for at least one batch"),
    ({"rate": 0.0}, "a rate of 0.0 and an l1 of 1.0: give a positive rate"),
    ({"rate": float("nan")}, "a rate of nan and an l1 of 1.0: give a positive rate"),
    ({"cosine": 1.0}, "a cosine of 1.0 to the start: give one between 0 and 1"),
], ids=str)  # fmt: skip
def test_a_recipe_that_cannot_be_trained_is_refused_in_one_line(changed, said):
    with pytest.raises(ValueError) as raised:
        recipe(**changed)
    assert str(raised.value).startswith(said) and "\n" not in str(raised.value)


@pytest.mark.parametrize(("text", "features"), [("8x", 192), ("0.5x", 12), ("100", 100), (" 2x ", 48)])
def test_a_width_is_a_number_or_a_multiple(text, features):
    assert features_of(text, WIDTH) == features


@pytest.mark.parametrize("text", ["", "x", "many", "0", "-1x", "1.5", "nanx"])
def test_a_width_that_is_neither_is_refused(text):
    with pytest.raises(ValueError, match=r"is no number of features: give one, as 4608, or a multiple of the width"):
        features_of(text, WIDTH)


def test_without_saelens_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sae_lens", None)
    with pytest.raises(saelens.NoSAELens, match=r"^sae-lens is not here .*: pip install 'mechlib\[features\]'$"):
        saelens.library()


def test_the_same_seed_draws_the_same_weights_and_leaves_the_process_its_own():
    state = torch.get_rng_state()
    one, same, other = (saelens.blank(recipe(seed=seed), WIDTH).W_dec for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.allclose(one, other)
    assert torch.equal(state, torch.get_rng_state())


def test_the_mean_is_read_again(tmp_path):
    trained(tmp_path / "it", recipe())
    assert isinstance(Recipe(**load_sae(tmp_path / "it").card["recipe"]), Recipe)
