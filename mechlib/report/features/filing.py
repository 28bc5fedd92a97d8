"""Cards of features as they are filed: each token once, numbers short, so that a few thousand features stay small.

A page is built from the file alone, without a model. What is rounded: activity around a window's token to 35 steps of
the feature's largest, effects to two digits behind the point, cosines and means to three significant ones.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FORM = 1
LARGEST = 2_900_000  # bytes: its page stays below 3 MB
FOLDER = Path("artifacts") / "features"
STEPS = "0123456789abcdefghijklmnopqrstuvwxyz"  # of activity, as a share of the feature's largest
KEPT = ("model", "sae", "weights", "hook", "width", "features", "alive", "texts", "rows", "tokens", "direct")


class NotFeatures(ValueError):
    """A file that holds no cards of features, or damaged ones."""


def packed(cards: Mapping[str, Any]) -> dict[str, Any]:
    """What `mechlib.lab.feature_cards` says, packed: what JSON files hold and pages read.

    "vocabulary"  the tokens, those that are named most often first; elsewhere their places in it
    "cards"       of each a list: number, fired, mean, largest, [width of a bin, counts ...], windows, tokens, next,
                  concept, raised, lowered, near. A window is [text, at, how active, steps, tokens ...], with a
                  character of `STEPS` for each token; tokens and next are [token, fired, there, ...], raised and
                  lowered [token, effect, ...], near [feature, cosine, ...]; a concept is [name, place, precision,
                  recall], or null
    """
    counts = Counter(token for card in cards["cards"] for token in _tokens(card))
    vocabulary = sorted(counts, key=lambda token: (-counts[token], token))
    place = {token: number for number, token in enumerate(vocabulary)}
    return {
        "form": FORM,
        **{name: cards[name] for name in KEPT},
        "vocabulary": vocabulary,
        "cards": [_packed(card, place) for card in cards["cards"]],
    }


def as_text(packed_cards: Mapping[str, Any]) -> str:
    """The packed cards as JSON: one line a card, so that a change shows where it is."""
    head = {name: value for name, value in packed_cards.items() if name != "cards"}
    lines = ",\n".join(_short(card) for card in packed_cards["cards"])
    return f'{_short(head)[:-1]},"cards":[\n{lines}\n]}}\n'


def read(file: Path) -> dict[str, Any]:
    """A file's packed cards. NotFeatures for one that holds none, or another form of them, naming the file."""
    if (size := file.stat().st_size) > LARGEST:
        raise NotFeatures(
            f"{file} has {size:,} bytes, wanted {LARGEST:,} at most: file fewer windows, or fewer features"
        )
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise NotFeatures(f"{file} is no JSON: make it again with `mechlib features`") from None
    if not isinstance(found, dict) or not {*KEPT, "vocabulary", "cards"} <= set(found):
        raise NotFeatures(f"{file} holds no cards of features: make it with `mechlib features`")
    if found.get("form") != FORM:
        raise NotFeatures(f"{file} has form {found.get('form')}, wanted {FORM}: make it again with `mechlib features`")
    return found


def filed(root: Path) -> tuple[Path, ...]:
    """The files of features of a record, in the order of their names."""
    return tuple(sorted((root / FOLDER).glob("*.json")))


def concept_text(concept: Sequence[Any] | None) -> str:
    """What a feature is labelled with, as it is shown and searched for: "before number"; "" without a label."""
    return f"{concept[1]} {concept[0]}" if concept else ""


def _tokens(card: Mapping[str, Any]) -> Iterable[str]:
    for name in ("tokens", "next", "high", "low"):
        yield from (entry[0] for entry in card[name])
    for window in card["windows"]:
        yield from window["tokens"]


def _packed(card: Mapping[str, Any], place: Mapping[str, int]) -> list[Any]:
    largest = card["largest"]
    return [
        card["feature"],
        card["fired"],
        _significant(card["mean"]),
        _significant(largest),
        [card["histogram"]["width"], *card["histogram"]["counts"]],
        [
            [
                window["text"],
                window["at"],
                _significant(window["active"][window["at"]]),
                _steps(window["active"], largest),
                *(place[one] for one in window["tokens"]),
            ]
            for window in card["windows"]
        ],
        *(
            [number for token, fired, there in card[name] for number in (place[token], fired, there)]
            for name in ("tokens", "next")
        ),
        [*card["concept"][:2], *(round(share, 3) for share in card["concept"][2:])] if card["concept"] else None,
        _flat((place[token], round(effect, 2)) for token, effect in card["high"]),
        _flat((place[token], round(effect, 2)) for token, effect in card["low"]),
        _flat((feature, _significant(cosine)) for feature, cosine in card["near"]),
    ]


def _flat(pairs: Iterable[tuple[int, float]]) -> list[float]:
    return [number for pair in pairs for number in pair]


def _steps(active: Sequence[float], largest: float) -> str:
    """What is active at all gets a step of 1 at least."""
    top = len(STEPS) - 1
    return "".join(STEPS[max(1, min(top, round(top * one / largest))) if one > 0 else 0] for one in active)


def _significant(value: float) -> float:
    return float(f"{value:.3g}")


def _short(value: Any) -> str:
    """JSON without spaces; half a surrogate pair, which no file can hold, as its escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\ud800-\udfff]", lambda one: f"\\u{ord(one[0]):04x}", text)
