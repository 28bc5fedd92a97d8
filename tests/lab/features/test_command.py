"""`mechlib sae`, as one types it: trained on what `mechlib cache` wrote, told as it goes, refused in one line."""

import json
import sys

import pytest

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")
pytest.importorskip("mechlib.lab.activation_cache", reason="activations are not cached here")

from mechlib.cli import main
from mechlib.lab.features.loading import OtherActivation, load_sae
from mechlib.lab.models.loading import load
from tests.helpers.tiny import directory
from tests.lab.features.hooked import HOOK


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """A model's directory, and the activations of two hooks over its own texts."""
    from mechlib.lab.activation_cache.caching import cache_activations
    from mechlib.lab.activation_cache.sampling import sampled_rows

    home = tmp_path_factory.mktemp("command")
    model = load(str(directory(home / "model", "gpt2")))
    cache_activations(model, [HOOK, "blocks.0.hook_mlp_out"], sampled_rows(model, 16, 0), home / "rows", 600)
    return home


def typed(monkeypatch, *arguments: object) -> int:
    words = [str(argument) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["mechlib", *words])
    return main(words)


def test_train_tells_how_it_goes_and_show_says_what_came_of_it(cached, tmp_path, monkeypatch, capsys):
    made = tmp_path / "sae"
    options = [
        "sae",
        "train",
        "--activations",
        cached / "rows",
        "--hook",
        HOOK,
        "--kind",
        "topk",
        "--width",
        "2x",
        "--k",
        4,
    ]
    options += ["--samples", 4000, "--batch", 100, "--out", made]
    assert typed(monkeypatch, *options) == 0
    printed = capsys.readouterr()
    told = printed.err.splitlines()
    assert told[-1].startswith("step 40 of 40: L0 ") and "% of the variance unexplained, " in told[-1]
    assert "features dead, " in told[-1] and told[-1].endswith(" rows/s") and len(told) == 20
    assert printed.out.splitlines()[0] == f"{made}: topk, 64 features of {HOOK} of {cached / 'model'}"
    assert typed(monkeypatch, "sae", "show", made) == 0
    assert capsys.readouterr().out == printed.out
    card = json.loads((made / "card.json").read_text())
    assert card["command"].startswith("mechlib sae train --activations ") and card["hook"] == HOOK
    model = load(str(cached / "model"))
    assert load_sae(made, model, HOOK).features == 64
    with pytest.raises(OtherActivation):
        load_sae(made, load(str(directory(tmp_path / "other", "gpt2", seed=1))))


@pytest.mark.parametrize("freeze", ["decoder", "encoder", "soft"])
def test_a_frozen_twin_says_what_is_frozen(cached, tmp_path, monkeypatch, capsys, freeze):
    options = [
        "--activations",
        cached / "rows",
        "--hook",
        HOOK,
        "--width",
        40,
        "--k",
        4,
        "--samples",
        800,
        "--batch",
        100,
    ]
    assert typed(monkeypatch, "sae", "train", *options, "--freeze", freeze, "--half", "--out", tmp_path / "it") == 0
    said = capsys.readouterr().out
    wanted = (
        "softly frozen: cosine with the start 0." if freeze == "soft" else f"its {freeze} is frozen, and drawn again"
    )
    assert wanted in said


@pytest.mark.parametrize(("options", "said"), [
    (["--activations", "nowhere"], "nowhere"),
    ([], "has 2 hooks"),
    (["--hook", "blocks.9.hook_resid_post"], "has no 'blocks.9.hook_resid_post'"),
    (["--hook", HOOK, "--width", "many"], "'many' is no number of features"),
    (["--hook", HOOK, "--k", "0"], "k is 0 of 256 features"),
    (["--hook", HOOK, "--kind", "matching-pursuit", "--freeze", "encoder"], "matching-pursuit has no encoder"),
    (["--hook", HOOK, "--out", "."], "is there already: choose another folder"),
], ids=str)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_status_2(cached, tmp_path, monkeypatch, capsys, options, said):
    monkeypatch.chdir(tmp_path)
    own = ["--activations", str(cached / "rows"), "--out", str(tmp_path / "it"), *options]
    assert typed(monkeypatch, "sae", "train", *own) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("mechlib: ") and said in printed.err and printed.err.count("\n") == 1
    assert not (tmp_path / "it").exists()


def test_show_of_a_folder_without_a_card_is_one_line(tmp_path, monkeypatch, capsys):
    assert typed(monkeypatch, "sae", "show", tmp_path) == 2
    assert capsys.readouterr().err == (
        f"mechlib: {tmp_path} has no card.json: name a folder that `mechlib sae train` wrote\n"
    )
