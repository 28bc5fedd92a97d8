"""Cards of features are what Hugging Face's own hooks and plain loops over tokens give, and no batch changes them."""

import json
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.activation_cache.rows import token_rows
from mechlib.lab.activation_cache.sampling import sampled_rows
from mechlib.lab.features.browsing import activity
from mechlib.lab.features.browsing.cards import feature_cards
from mechlib.lab.features.dictionaries import DeadDictionary, Dictionary, random_dictionary
from mechlib.lab.features.evaluation import activations_at
from mechlib.lab.features.loading import OtherActivation
from mechlib.parts.chosen import DoubleDipping
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, VOCABULARY, WORDS
from tests.lab.features.hooked import HOOK, both, sequences, stream

CONCEPTS = {"low": range(3, 12), "high": range(12, VOCABULARY), "never": [1]}
WINDOWS, TOP = 3, 4


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def case(request, tmp_path_factory):
    model, theirs = both(tmp_path_factory.mktemp("browsed") / request.param, request.param)
    rows = activations_at(model, sequences(40, 12, seed=9), HOOK)
    drawn = random_dictionary(rows, 60, k=4, hook=HOOK)
    lives = (torch.arange(60) % 20 != 7).float()  # three are dead
    dictionary = replace(drawn, encode=lambda x: drawn.encode(x) * lives)
    lengths = torch.randint(2, 25, (30,), generator=torch.Generator().manual_seed(3)).tolist()
    texts = [sequences(1, length, seed=number)[0].tolist() for number, length in enumerate(lengths)]
    return model, theirs, dictionary, texts


@pytest.fixture(scope="module")
def by_hand(case):
    """(feature, text, position) to how active it is, by Hugging Face's own forward pass, one text at a time."""
    _, theirs, dictionary, texts = case
    found = {}
    for text, ids in enumerate(texts):
        active = dictionary.encode(stream(theirs, torch.tensor([ids]))[0])
        for at in range(1, len(ids)):  # behind BOS
            for feature in active[at].nonzero().flatten().tolist():
                found[feature, text, at] = float(active[at, feature])
    return found


@pytest.fixture(scope="module")
def made(case):
    model, _, dictionary, texts = case
    return feature_cards(model, dictionary, token_rows(model, texts), windows=WINDOWS, top=TOP, concepts=CONCEPTS)


def rounded(card):
    """Without the last digits, in which products of other shapes differ."""
    return json.loads(json.dumps(card), parse_float=lambda text: round(float(text), 4))


def test_how_often_and_how_much(case, by_hand, made):
    texts = case[3]
    assert made["tokens"] == sum(len(ids) - 1 for ids in texts) and made["rows"] == 30
    own = defaultdict(list)
    for (feature, _, _), value in by_hand.items():
        own[feature].append(value)
    assert made["alive"] == len(own) and [card["feature"] for card in made["cards"]] == sorted(own)
    assert made["alive"] < made["features"] == 60, "some are dead, so that leaving them out is seen"
    for card in made["cards"]:
        values = np.array(own[card["feature"]])
        assert card["fired"] == len(values)
        assert card["mean"] == pytest.approx(values.mean(), rel=1e-4)
        assert card["largest"] == pytest.approx(values.max(), rel=1e-4)
        width, counts = card["histogram"]["width"], card["histogram"]["counts"]
        assert sum(counts) == len(values) and counts[-1] and width * len(counts) >= values.max()
        assert width * 32 < 4 * values.max(), "the bins are fine enough for the largest"
        edges = width * np.arange(len(counts) + 1)
        near_an_edge = np.abs(values[:, None] - edges).min(1) < 1e-4
        off = np.abs(np.histogram(values, edges)[0] - counts).sum()
        assert off <= 2 * near_an_edge.sum()


def test_windows_are_the_texts_where_it_is_most_active_each_once(case, by_hand, made):
    texts = case[3]
    best = defaultdict(dict)
    for (feature, text, at), value in by_hand.items():
        if value > best[feature].get(text, (0, 0))[0] + 1e-5:
            best[feature][text] = (value, at)
    for card in made["cards"]:
        wanted = sorted(best[card["feature"]].values(), reverse=True)[:WINDOWS]
        seen = [window["active"][window["at"]] for window in card["windows"]]
        assert seen == pytest.approx([value for value, _ in wanted], rel=1e-4)
        assert len({window["text"] for window in card["windows"]}) == len(seen)
        for window in card["windows"]:
            ids, (_, at) = texts[window["text"]], best[card["feature"]][window["text"]]
            around = range(max(1, at - 8), min(len(ids), at + 9))
            assert window["tokens"] == [f" {WORDS[ids[place]]}" for place in around]
            assert window["at"] == at - around.start
            values = [by_hand.get((card["feature"], window["text"], place), 0.0) for place in around]
            assert window["active"] == pytest.approx(values, rel=1e-4, abs=1e-5)


def test_tokens_that_it_is_active_on_and_that_follow(case, by_hand, made):
    texts = case[3]
    there = Counter(one for ids in texts for one in ids[1:])
    on, after = defaultdict(Counter), defaultdict(Counter)
    for feature, text, at in by_hand:
        on[feature][texts[text][at]] += 1
        if at + 1 < len(texts[text]):
            after[feature][texts[text][at + 1]] += 1
    for card in made["cards"]:
        for name, counts in (("tokens", on), ("next", after)):
            order = sorted(counts[card["feature"]].items(), key=lambda pair: (-pair[1], pair[0]))[:TOP]
            assert card[name] == [(f" {WORDS[one]}", count, there[one]) for one, count in order]


def test_a_label_is_the_class_that_four_fifths_fall_on_and_scores_best(case, by_hand, made):
    texts, total = case[3], made["tokens"]
    labelled = 0
    for card in made["cards"]:
        places = [(text, at) for feature, text, at in by_hand if feature == card["feature"]]
        options = []
        for place, step in (("on", 0), ("before", 1)):
            for name, ids in CONCEPTS.items():
                such = {
                    (text, at) for text, row in enumerate(texts) for at in range(1, len(row) - step)
                    if row[at + step] in ids
                }  # fmt: skip
                hits = len(such & set(places))
                base = len(such) / total
                precision = hits / len(places)
                if not hits or precision < 0.8 or len(places) < 10:
                    continue
                if precision < 1 and precision / (1 - precision) < 3 * base / (1 - base):
                    continue
                recall = hits / len(such)
                options.append((2 * precision * recall / (precision + recall), name, place, precision, recall))
        wanted = max(options, key=lambda option: option[0])[1:] if options else None
        assert (card["concept"] is None) == (wanted is None)
        if wanted:
            assert card["concept"][:2] == wanted[:2] and card["concept"][2:] == pytest.approx(wanted[2:])
            labelled += 1
    assert labelled


def test_what_it_writes_is_what_more_of_it_adds_through_their_own_norm_and_unembedding(case, made):
    """Their norm of a stream that is nothing but the direction differs from ours by its scale alone."""
    _, theirs, dictionary, _ = case
    norm = theirs.transformer.ln_f if hasattr(theirs, "transformer") else theirs.model.norm
    bias = getattr(norm, "bias", None)
    for card in made["cards"][:10]:
        direction = dictionary.directions[card["feature"]]
        with torch.no_grad():
            centred = direction - direction.mean() if bias is not None else direction
            scale = centred.square().mean().sqrt() / direction.norm() * 1e3  # so that epsilon is nothing beside it
            normed = norm(1e3 * direction / direction.norm()) - (0 if bias is None else bias)
            logits = theirs.lm_head(normed) * scale * direction.norm() / 1e3
            logits = logits - (theirs.lm_head.bias if theirs.lm_head.bias is not None else 0)
        effects = (logits - logits.mean()).numpy()
        order = np.argsort(-effects)
        for name, ids in (("high", order[:TOP]), ("low", order[::-1][:TOP])):
            assert [token for token, _ in card[name]] == [f" {WORDS[one]}" for one in ids]
            assert [effect for _, effect in card[name]] == pytest.approx(effects[ids].tolist(), rel=1e-3)


def test_near_are_the_largest_cosines(case, made):
    directions = case[2].directions.double().numpy()
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    for card in made["cards"]:
        cosines = unit @ unit[card["feature"]]
        cosines[card["feature"]] = -2
        assert [cosine for _, cosine in card["near"]] == pytest.approx(np.sort(cosines)[::-1][:TOP].tolist(), abs=1e-5)
        assert card["near"][0][0] == cosines.argmax()


def test_batches_change_nothing_and_what_is_made_is_plain(case, made, monkeypatch):
    model, _, dictionary, texts = case
    monkeypatch.setattr(activity, "TOGETHER", 25)
    again = feature_cards(model, dictionary, token_rows(model, texts), windows=WINDOWS, top=TOP, concepts=CONCEPTS)
    names = ("feature", "fired", "tokens", "next", "concept")
    assert [[card[name] for name in names] for card in made["cards"]] == [
        [card[name] for name in names] for card in again["cards"]
    ]
    assert json.loads(json.dumps(made))
    for one, other in zip(made["cards"], again["cards"], strict=True):
        for window, beside in zip(one["windows"], other["windows"], strict=True):
            assert window["active"][window["at"]] == pytest.approx(beside["active"][beside["at"]], rel=1e-4)
        assert one["largest"] == pytest.approx(other["largest"], rel=1e-5)


def test_named_features_alone_dead_ones_too(case, made):
    model, _, dictionary, texts = case
    dead = next(n for n in range(60) if n not in {card["feature"] for card in made["cards"]})
    alive = made["cards"][5]["feature"]
    found = feature_cards(model, dictionary, token_rows(model, texts), [alive, dead], WINDOWS, TOP, concepts=CONCEPTS)
    assert rounded(found["cards"][0]) == rounded(made["cards"][5]) and found["alive"] == made["alive"]
    said = found["cards"][1]
    assert (said["fired"], said["windows"], said["tokens"], said["concept"]) == (0, [], [], None)
    assert said["histogram"] == {"width": 0.0, "counts": []} and len(said["near"]) == TOP


def test_an_activation_that_is_not_added_to_the_stream_has_no_logit_effects(case):
    model, _, _, texts = case
    hook = "blocks.0.attn.hook_z"
    dictionary = random_dictionary(activations_at(model, sequences(20, 9), hook), 40, k=3, hook=hook)
    found = feature_cards(model, dictionary, token_rows(model, texts), concepts={})
    assert not found["direct"] and all(card["high"] == card["low"] == [] for card in found["cards"])


def test_a_set_of_prompts_is_read_and_one_for_confirmation_is_not(case):
    model, _, dictionary, _ = case
    rows = tuple(Prompt(" ".join(WORDS[3 + n : 9 + n]), "") for n in range(5))
    found = feature_cards(model, dictionary, PromptSet("shown", "discovery", rows), concepts={})
    assert found["tokens"] == 30 and found["texts"].startswith("shown(discovery")
    with pytest.raises(DoubleDipping, match="not for discovery"):
        feature_cards(model, dictionary, PromptSet("shown", "confirmation", rows))


def test_what_cannot_be_looked_at_is_refused(case, tmp_path):
    model, _, dictionary, texts = case
    rows = token_rows(model, texts)
    silent = Dictionary("silent", lambda x: torch.zeros(*x.shape[:-1], 4), torch.eye(4, 32), torch.zeros(32), HOOK)
    with pytest.raises(DeadDictionary, match="no feature of silent"):
        feature_cards(model, silent, rows, concepts={})
    with pytest.raises(ValueError, match="does not say of which activation"):
        feature_cards(model, Dictionary("lost", silent.encode, silent.directions, silent.offset), rows)
    with pytest.raises(OtherActivation):
        feature_cards(model, Dictionary("wide", silent.encode, torch.eye(4, 33), torch.zeros(33), HOOK), rows)
    with pytest.raises(ValueError, match="no feature 60"):
        feature_cards(model, dictionary, rows, [60])
    with pytest.raises(ValueError, match="say how many"):
        feature_cards(model, dictionary, sampled_rows(model, 8, 0), concepts={})
    with pytest.raises(ValueError, match="no token behind BOS"):
        feature_cards(model, dictionary, token_rows(model, [[BOS_ID], [BOS_ID]]), concepts={})
