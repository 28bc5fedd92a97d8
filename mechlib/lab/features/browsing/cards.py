"""Cards of features: for each what it fires on, how much, what it writes and what is near it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mechlib.lab.activation_cache.rows import TokenRows, text_rows
from mechlib.lab.features.browsing.activity import OUTSIDE, Activity, activity_over
from mechlib.lab.features.browsing.concepts import concepts_of
from mechlib.lab.features.browsing.effects import nearest_features, strongest_effects, writes_to_logits
from mechlib.lab.features.browsing.pieces import pieces
from mechlib.lab.features.dictionaries import DeadDictionary, Dictionary
from mechlib.lab.features.loading import require_of
from mechlib.lab.features.splicing import require_device
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.parts.chosen import DoubleDipping
from mechlib.prompts.promptset import PromptSet


def feature_cards(
    model: Model,
    dictionary: Dictionary,
    texts: PromptSet | TokenRows,
    features: Sequence[int] | None = None,
    windows: int = 6,
    top: int = 8,
    tokens: int | None = None,
    concepts: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Any]:
    """What there is to see of features over texts, for the browser: plain data that JSON can hold.

    texts     a set for discovery, or rows of tokens; BOS is left out of everything
    features  their numbers; by default all that fire
    windows   texts shown of each feature, those in which it is most active, 8 tokens on each side
    top       tokens, logits and neighbours shown of each
    tokens    how many to read; by default all
    concepts  classes of token ids by name; by default `concepts_of(model)`

    "model", "sae", "weights" (the beginning of their hash, where it is on record), "hook", "width", "features" (how
    many there are), "alive" (how many fire), "texts", "rows" and "tokens" (where from, and how many were read),
    "direct" (whether logit effects are known), and "cards", of each:

    "feature"    its number
    "fired"      on how many tokens; "mean" and "largest": how active it is there
    "histogram"  the width of a bin, from 0 on, and the count in each, by size
    "windows"    of each "text" (its number), "at" (where in "tokens" it is most active), "tokens", "active"
    "tokens"     it fires on most often: the token, how often it fires on it, how often the token is there
    "next"       the tokens that follow most often where it fires, likewise
    "concept"    name, "on" or "before", precision and recall; None where no class has nearly all of its firing
    "high"       tokens whose logits it raises most on the direct path (`logit_effects`), and by how much; "low": lowers
    "near"       other features, by the cosine of directions

    Raises DoubleDipping for prompts that are not for discovery: what is looked at chooses. OtherActivation for a
    dictionary of another model, DeadDictionary where no feature fires, ValueError for one without a hook, for a feature
    that there is not, for NaN and infinity.
    """
    rows, said = rows_of(model, texts)
    ready(model, dictionary)
    chosen = None if features is None else [dictionary.require(feature) for feature in dict.fromkeys(features)]
    seen = activity_over(model, dictionary, rows, windows, concepts_of(model) if concepts is None else concepts, tokens)
    alive = seen.fired.nonzero().flatten().tolist()
    if not alive:
        raise DeadDictionary(f"no feature of {dictionary.name} is active on any of {seen.tokens:,} tokens")
    cards = [_card(seen, feature, top) for feature in (alive if chosen is None else chosen)]
    direct = writes_to_logits(model, dictionary)
    _add_directions(model, dictionary, cards, top, direct)
    _spell(model, cards)
    return {
        "model": checkpoint_of(model).name,
        "sae": dictionary.name,
        "weights": str(dictionary.card.get("weights_sha256", ""))[:8],
        "hook": dictionary.hook,
        "width": dictionary.width,
        "features": dictionary.features,
        "alive": len(alive),
        "texts": said,
        "rows": seen.rows,
        "tokens": seen.tokens,
        "direct": direct,
        "cards": cards,
    }


def rows_of(model: Model, texts: PromptSet | TokenRows) -> tuple[TokenRows, str]:
    """Texts as rows of tokens, and what they are, in a word. DoubleDipping for a set that is not for discovery."""
    if isinstance(texts, TokenRows):
        return texts, str(texts.said.get("from", "rows of tokens"))
    require_discovery(texts)
    return text_rows(model, [prompt.clean for prompt in texts]), f"{texts!r}"


def require_discovery(prompts: PromptSet) -> None:
    """DoubleDipping for a set that is not for discovery."""
    if prompts.split != "discovery":
        raise DoubleDipping(
            f"{prompts!r} is not for discovery: whoever looks at features chooses among them; look at discovery texts"
        )


def ready(model: Model, dictionary: Dictionary) -> None:
    """ValueError for a dictionary without a hook, of another model (OtherActivation), or on another device."""
    if not dictionary.hook:
        raise ValueError(f"{dictionary.name} does not say of which activation it is: load one with a hook on record")
    require_of(dictionary, model, dictionary.hook)
    require_device(dictionary, model.cfg.device)


def _card(seen: Activity, feature: int, top: int) -> dict[str, Any]:
    """What the texts say of a feature, tokens as ids."""
    fired = int(seen.fired[feature])
    width, counts = seen.shapes.of(feature)
    label = seen.concepts.label(feature, fired) if fired else None
    return {
        "feature": feature,
        "fired": fired,
        "mean": float(seen.total[feature]) / fired if fired else 0.0,
        "largest": float(seen.windows.values[0, feature]),
        "histogram": {"width": width, "counts": counts},
        "windows": list(_windows(seen, feature)),
        "tokens": [(one, count, int(seen.seen[one])) for one, count in seen.on.of(feature)[:top]],
        "next": [(one, count, int(seen.seen[one])) for one, count in seen.next.of(feature)[:top]],
        "concept": None if label is None else (label.name, label.place, label.precision, label.recall),
    }


def _windows(seen: Activity, feature: int) -> list[dict[str, Any]]:
    found, kept = [], seen.windows
    for number in range(len(kept.values)):
        if not kept.values[number, feature] > 0:
            break
        ids, active = kept.ids[number, feature].tolist(), kept.active[number, feature].tolist()
        there = [place for place, one in enumerate(ids) if one != OUTSIDE]
        found.append(
            {
                "text": int(kept.places[number, feature, 0]),
                "at": there.index(kept.around),
                "tokens": [ids[place] for place in there],
                "active": [active[place] for place in there],
            }
        )
    return found


def _add_directions(model: Model, dictionary: Dictionary, cards: list[dict[str, Any]], top: int, direct: bool) -> None:
    features = [card["feature"] for card in cards]
    none: list[list[tuple[int, float]]] = [[] for _ in features]
    high, low = strongest_effects(model, dictionary, features, top) if direct else (none, none)
    for card, raised, lowered, near in zip(cards, high, low, nearest_features(dictionary, features, top), strict=True):
        card |= {"high": raised, "low": lowered, "near": near}


def _spell(model: Model, cards: list[dict[str, Any]]) -> None:
    """Tokens in place of ids, as they stand in a text."""
    several = [card[name] for card in cards for name in ("tokens", "next", "high", "low")]
    shown = [window["tokens"] for card in cards for window in card["windows"]]
    said = pieces(model, {*(entry[0] for own in several for entry in own), *(one for own in shown for one in own)})
    for card in cards:
        for name in ("tokens", "next", "high", "low"):
            card[name] = [(said[one], *rest) for one, *rest in card[name]]
        for window in card["windows"]:
            window["tokens"] = [said[one] for one in window["tokens"]]
