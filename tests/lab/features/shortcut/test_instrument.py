"""On a small model: activations are those of Hugging Face's own forward, and every column is what a loop computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import GPT2LMHeadModel

from mechlib.checkpoints.resolve import checkpoint
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.shortcut.biographies import read_biographies
from mechlib.lab.features.shortcut.choosing import carriers, gender_scores
from mechlib.lab.features.shortcut.study import FEATURES, NEURONS, NOTHING, ORACLE, PROJECTION, professions_right
from mechlib.lab.hooks import NoSuchHook, run
from mechlib.lab.models.loading import load
from mechlib.lab.models.tokens import tokens as ids_of
from mechlib.prompts.people import people
from mechlib.prompts.promptset import Prompt, PromptSet
from mechlib.statistics import proportion
from tests.lab.features.shortcut.planted import rectified

LAYER, PAIR = 1, ("painter", "teacher")
BIASED = people(144, "discovery", PAIR, "biased", "first")
BALANCED = people(144, "discovery", PAIR, half="first")
TEST = people(144, "discovery", PAIR, half="second")
DISCOVERY = people(144, "discovery", half="first")
SETS = {"biased": BIASED, "balanced": BALANCED, "test": TEST, "discovery": DISCOVERY}


@pytest.fixture(scope="module")
def model():
    return load("mini-pilot")


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    """Twice as many features as the stream has numbers, in directions of no meaning."""
    drawn = torch.linalg.qr(torch.randn(128, 128, generator=torch.Generator().manual_seed(0)))[0]
    return rectified(torch.cat([drawn, -drawn]))


@pytest.fixture(scope="module")
def right(model, dictionary):
    return professions_right(model, LAYER, **SETS, k=12, dictionary=dictionary, draws=3)


@pytest.fixture(scope="module")
def streams(model) -> dict[str, list[np.ndarray]]:
    """The stream behind the layer at the tokens of each biography, from Hugging Face's own forward."""
    theirs = GPT2LMHeadModel.from_pretrained(checkpoint("mini-pilot").path, dtype=torch.float32).eval()
    found = {}
    for name, prompts in SETS.items():
        found[name] = []
        for row in prompts:
            with torch.no_grad():
                hidden = theirs(ids_of(model, row.clean)[None], output_hidden_states=True).hidden_states[LAYER + 1][0]
            own = len(row.label("sentence").split())
            found[name].append(hidden[-own:].double().numpy())
    return found


def means(texts: list[np.ndarray]) -> np.ndarray:
    return np.stack([text.mean(0) for text in texts])


def labels(prompts: PromptSet, label: str) -> np.ndarray:
    return np.array([row.label(label) for row in prompts])


def told(streams, changed: list[np.ndarray] | None = None, on: str = "biased") -> np.ndarray:
    """Whether scikit-learn's own pipeline, fitted on one set, tells the profession of each test text."""
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
    fitted.fit(means(streams[on]), labels(SETS[on], "profession"))
    return fitted.predict(means(streams["test"] if changed is None else changed)) == labels(TEST, "profession")


def apart(streams) -> np.ndarray:
    women = labels(DISCOVERY, "gender") == "woman"
    pooled = means(streams["discovery"])
    return pooled[women].mean(0) - pooled[~women].mean(0)


def test_activations_are_hugging_faces_at_the_tokens_of_the_biography_alone(model, streams):
    read = read_biographies(model, TEST, LAYER)
    assert {int(row.label("fillers")) for row in TEST} == set(range(9))
    for number, wanted in enumerate(streams["test"]):
        assert np.allclose(read.tokens[read.text == number].numpy(), wanted, atol=2e-4)
    assert np.allclose(read.pooled().numpy(), means(streams["test"]), atol=2e-4)


def test_nothing_removed_and_the_oracle_are_scikit_learns(right, streams):
    assert (right[NOTHING].array == told(streams)).all()
    assert (right[ORACLE].array == told(streams, on="balanced")).all()
    assert 0.5 < right[NOTHING].array.mean() < right[ORACLE].array.mean()


def test_the_mean_projection_holds_each_token_at_the_mean_along_one_direction(right, streams):
    axis = apart(streams) / np.linalg.norm(apart(streams))
    level = (means(streams["biased"]) @ axis).mean()
    changed = [text - np.outer(text @ axis - level, axis) for text in streams["test"]]
    assert (right[PROJECTION].array == told(streams, changed)).all()
    assert (right[PROJECTION].array != right[NOTHING].array).any()


def test_neurons_are_the_coordinates_that_differ_most(right, streams):
    chosen = np.argsort(-np.abs(apart(streams)))[:12]
    level = means(streams["biased"]).mean(0)[chosen]
    changed = [text.copy() for text in streams["test"]]
    for text in changed:
        text[:, chosen] = level
    assert (right[NEURONS].array == told(streams, changed)).all()
    assert (right[NEURONS].array != right[NOTHING].array).any()


def test_features_are_held_in_every_token_and_what_hooks_make_of_it_is_the_same(model, right, dictionary):
    """The run itself is changed at the layer, and read there."""
    chosen = list(carriers(gender_scores(dictionary, read_biographies(model, DISCOVERY, LAYER)), 12))
    biased = read_biographies(model, BIASED, LAYER)
    level = biased.pooled(dictionary.encode(biased.tokens)).mean(0)

    def edit(x: torch.Tensor) -> torch.Tensor:
        features = dictionary.encode(x)
        held = features.clone()
        held[..., chosen] = level[chosen]
        return x + dictionary.decode(held) - dictionary.decode(features)

    hook, changed = f"blocks.{LAYER}.hook_resid_post", []
    for row in TEST:
        kept = run(model, ids_of(model, row.clean)[None], edits={hook: edit}, keep=[hook])[1][hook][0]
        changed.append(kept[-len(row.label("sentence").split()) :].double().numpy())
    streams = {
        name: [one.tokens[one.text == number].double().numpy() for number in range(len(one.prompts))]
        for name, one in (("biased", biased), ("test", read_biographies(model, TEST, LAYER)))
    }
    assert (right[FEATURES].array == told(streams, changed)).all()
    assert (right[FEATURES].array != right[NOTHING].array).any()


def test_rows_are_the_test_biographies_with_names_for_clusters_and_groups_for_strata(right):
    assert right.units == tuple(row.fingerprint for row in TEST) and right.unit == "biography" and right.yes_no
    assert right.clusters == tuple(row.cluster for row in TEST)
    assert set(right.strata) == {f"{one}, {other}" for one in ("woman", "man") for other in PAIR}
    for group in set(right.strata):
        one = right[NOTHING].stratum(group)
        assert len(set(one.clusters)) == 6 and len(one) == 36
        told = proportion(one)
        assert told.low < told.high and told.low <= one.array.mean() <= told.high


def test_gender_is_learned_from_discovery_alone(model):
    with pytest.raises(ValueError, match=r"gender is learned from people\(confirmation.*\): take split='discovery'"):
        professions_right(model, LAYER, BIASED, BALANCED, TEST, people(144), 2)


def test_a_layer_that_there_is_not_and_a_word_that_is_not_known_are_refused(model):
    with pytest.raises(NoSuchHook, match=r"mini-pilot has no activation 'blocks\.4\.hook_resid_post'"):
        read_biographies(model, TEST, 4)
    rows = (Prompt("Susan works in the hospital with a stethoscope .", ""),)
    with pytest.raises(ValueError, match="mini-pilot does not know 'stethoscope'"):
        read_biographies(model, PromptSet("people", "discovery", rows), LAYER)


def test_a_run_that_is_ended_at_the_layer_leaves_the_model_as_it_was(model):
    ids = ids_of(model, TEST.rows[0].clean)[None]
    before = run(model, ids)[0]
    read_biographies(model, TEST, 0)
    assert torch.equal(run(model, ids)[0], before)


def test_a_network_that_computes_nan_is_refused_by_its_name(model, monkeypatch):
    def broken(model, tokens, edits, last):
        spoilt = {
            name: lambda x, edit=edit: edit(x.index_fill(2, torch.tensor([3]), float("nan")))
            for name, edit in edits.items()
        }
        return run(model, tokens, spoilt, last=last)

    monkeypatch.setattr("mechlib.lab.features.shortcut.biographies.run", broken)
    with pytest.raises(ValueError, match="mini-pilot computes NaN or infinity for prompt"):
        read_biographies(model, TEST, LAYER)
