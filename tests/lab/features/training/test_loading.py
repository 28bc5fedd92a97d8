"""Loading: from a folder, from a release at a pinned revision in a cache of the Hub; of another model refused."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

from mechlib.lab.features.evaluation import activations_at, dictionary_scores
from mechlib.lab.features.loading import OtherActivation, load_release, load_sae
from mechlib.lab.features.training import saelens
from mechlib.lab.features.training.recipes import Recipe
from mechlib.lab.features.training.storing import Source, model_key
from mechlib.lab.features.training.training import train
from mechlib.lab.models.loading import checkpoint_of, load
from tests.helpers.tiny import directory
from tests.lab.features.hooked import HOOK, WIDTH, sequences

REVISION = "0123456789abcdef0123456789abcdef01234567"
SMALL = Recipe("topk", 2 * WIDTH, k=4, samples=64 * 30, batch=64)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("loading") / "one", "gpt2")))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    described = checkpoint_of(model)
    rows = activations_at(model, sequences(60, 12, seed=9), HOOK)
    source = Source(described.name, model_key(described), HOOK, "mechlib sae train")
    return train(rows, SMALL, tmp_path_factory.mktemp("loading") / "sae", source)


def copied(folder, to, **changed):
    """The folder again, its card with other entries."""
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    if changed:
        card = json.loads((to / "card.json").read_text())
        (to / "card.json").write_text(json.dumps({**card, **changed}))
    return to


def test_one_that_was_trained_here_loads_for_its_model_and_evaluates(model, folder):
    made = load_sae(folder, model, HOOK)
    assert (made.hook, made.features, made.width) == (HOOK, 64, WIDTH)
    said = dictionary_scores(model, made, sequences(4, 9))
    assert said["L0"].array.max() <= 4
    assert set(made.card) >= {
        "command",
        "model",
        "model_key",
        "hook",
        "recipe",
        "rows_sha256",
        "l0",
        "squared_error",
        "dead",
    }


def test_the_size_beyond_which_rows_were_left_out_comes_back_with_it(model, folder, tmp_path):
    assert load_sae(folder).limit == math.inf
    assert "limit" not in load_sae(folder).card
    copied(folder, tmp_path / "sae", limit=2.5)
    made = load_sae(tmp_path / "sae", model, HOOK)
    rows = torch.ones(3, WIDTH) * torch.tensor([[0.1], [0.4], [0.5]])
    assert (made.usual(rows)).tolist() == [True, True, False], "norms .57, 2.26, 2.83"
    assert made.active(rows)[2].abs().max() == 0 < made.active(rows)[1].abs().max()


def test_one_of_another_model_is_refused_in_one_line(folder, tmp_path):
    other = load(str(directory(tmp_path / "other", "gpt2", seed=1)))
    with pytest.raises(
        OtherActivation, match=r"^sae is of .*one \([0-9a-f]{16}\), not of .*other \([0-9a-f]{16}\): train"
    ) as raised:
        load_sae(folder, other)
    assert "\n" not in str(raised.value)


def test_one_of_the_same_weights_folded_is_of_another_stream(folder, model):
    described = checkpoint_of(model)
    assert model_key(described) != model_key(replace(described, processing="folded"))


def test_one_of_another_hook_or_width_is_refused_in_one_line(model, folder, tmp_path):
    with pytest.raises(
        OtherActivation, match=r"^sae is of blocks\.0\.hook_resid_post, not of blocks\.1\.hook_resid_pre: load"
    ):
        load_sae(folder, model, "blocks.1.hook_resid_pre")
    wide = train(torch.randn(200, 16).numpy(), replace(SMALL, features=20), tmp_path / "wide", Source(hook=HOOK))
    with pytest.raises(
        OtherActivation, match=r"^wide is 16 wide, and blocks\.0\.hook_resid_post of .* 32: load one of this"
    ):
        load_sae(wide, model)


@pytest.mark.parametrize("gone", ["cfg.json", "sae_weights.safetensors", "mean.npy"])
def test_a_folder_with_a_file_missing_is_refused(folder, tmp_path, gone):
    there = copied(folder, tmp_path / "it")
    (there / gone).unlink()
    with pytest.raises(FileNotFoundError, match=gone.replace(".", r"\.")) as raised:
        load_sae(there)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("file", ["cfg.json", "sae_weights.safetensors", "card.json"])
def test_a_damaged_file_is_one_line(folder, tmp_path, file):
    there = copied(folder, tmp_path / "it")
    (there / file).write_bytes((there / file).read_bytes()[:40])
    with pytest.raises(ValueError, match=r"it is damaged \(.*\): copy it again$") as raised:
        load_sae(there)
    assert "\n" not in str(raised.value)


def test_no_folder_is_said_to_be_none(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"nowhere is no sparse autoencoder: it has no cfg\.json and no sae_weights"
    ):
        load_sae(tmp_path / "nowhere")


def test_one_that_norms_each_activation_by_itself_is_refused(folder, tmp_path):
    there = copied(folder, tmp_path / "it")
    config = json.loads((there / "cfg.json").read_text())
    (there / "cfg.json").write_text(json.dumps({**config, "normalize_activations": "layer_norm"}))
    with pytest.raises(
        ValueError, match=r"^it norms each activation by itself \(layer_norm\), so that a feature has no dir"
    ):
        load_sae(there)


# --- of others ----------------------------------------------------------------------------------------------------


def theirs(**metadata):
    """An autoencoder as SAELens makes one, with its metadata."""
    lens = saelens.library()
    torch.manual_seed(0)
    config = lens.StandardSAEConfig(d_in=WIDTH, d_sae=40, metadata=lens.saes.sae.SAEMetadata(**metadata))
    made = lens.StandardSAE(config)
    made.b_dec.data.normal_()
    return made


def test_a_folder_of_saelens_without_a_card_is_held_to_the_names_in_it(model, tmp_path):
    name = checkpoint_of(model).name
    theirs(model_name=name, hook_name=HOOK).save_model(tmp_path / "own")
    made, rows = load_sae(tmp_path / "own", model, HOOK), torch.randn(9, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(made.decode(made.active(rows)), theirs()(rows))
    assert made.hook == HOOK and made.mean is None
    theirs(model_name="gpt2-small", hook_name=HOOK).save_model(tmp_path / "other")
    with pytest.raises(OtherActivation, match=r"^other is of gpt2-small, not of .*: load one of this model$"):
        load_sae(tmp_path / "other", model)


@pytest.fixture
def cache(tmp_path, monkeypatch, model):
    """A cache of the Hub with a repository that has one autoencoder, as a download leaves it."""
    inside = tmp_path / "hub" / "models--somebody--saes" / "snapshots" / REVISION / "blocks.0"
    theirs(model_name=checkpoint_of(model).name, hook_name=HOOK).save_model(inside)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return inside


def test_a_repository_loads_at_its_pinned_revision_without_the_network(cache, model):
    made, rows = load_release("somebody/saes", "blocks.0", REVISION, model, HOOK), torch.randn(9, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(made.decode(made.active(rows)), theirs()(rows))
    assert made.name == "somebody/saes blocks.0"


def test_a_release_is_what_saelens_lists_with_its_scale_and_its_settings(cache, model, monkeypatch):
    from sae_lens.loading import pretrained_saes_directory as listing

    one = SimpleNamespace(
        repo_id="somebody/saes", saes_map={"blocks.0.hook": "blocks.0"}, conversion_func=None,
        config_overrides={"apply_b_dec_to_input": False}, neuronpedia_id=None,
        norm_scaling_factor={"blocks.0.hook": 2.0},
    )  # fmt: skip
    other = SimpleNamespace(**{**vars(one), "conversion_func": "gemma_2"})
    monkeypatch.setattr(listing, "get_pretrained_saes_directory", lambda: {"listed": one, "converted": other})
    made, rows = load_release("listed", "blocks.0.hook", REVISION, model), torch.randn(9, WIDTH)
    own = theirs()
    with torch.no_grad():
        wanted = (torch.relu(2 * rows @ own.W_enc + own.b_enc) @ own.W_dec + own.b_dec) / 2
        torch.testing.assert_close(made.decode(made.active(rows)), wanted)
    with pytest.raises(ValueError, match=r"^listed has no 'blocks\.9': it has blocks\.0\.hook, \.\.\.$"):
        load_release("listed", "blocks.9", REVISION)
    with pytest.raises(
        ValueError, match=r"^converted is in another format \(gemma_2\), which sae-lens reads at no pinned"
    ):
        load_release("converted", "blocks.0.hook", REVISION)


@pytest.mark.parametrize("revision", ["main", "", REVISION[:12], REVISION.upper()])
def test_a_revision_that_moves_is_refused(cache, revision):
    with pytest.raises(ValueError, match=r"^revision '.*' of somebody/saes: give the full commit, 40 hex digits"):
        load_release("somebody/saes", "blocks.0", revision)


def test_what_is_not_in_the_cache_is_said_with_the_command_that_brings_it(cache):
    other = REVISION[::-1]
    with pytest.raises(
        FileNotFoundError, match=f"hf download somebody/saes --revision {other} --include 'blocks.0/"
    ) as raised:
        load_release("somebody/saes", "blocks.0", other)
    assert "\n" not in str(raised.value)
    with pytest.raises(
        ValueError, match=r"^sae-lens lists no release 'nobody-knows': give one that it lists, or a rep"
    ):
        load_release("nobody-knows", "blocks.0", REVISION)


def test_the_release_that_claims_speak_of_is_listed_in_a_format_that_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"hf download jbloom/GPT2-Small-SAEs-Reformatted --revision"):
        load_release("gpt2-small-res-jb", "blocks.8.hook_resid_pre", REVISION)
