"""Features in a terminal: a line each, or one in full. What a token could do to a terminal is spelt out instead."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mechlib.report.features.filing import concept_text

SIGNS = {"\n": "↵", "\t": "⇥", "\r": "␍"}
HIDDEN = (
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Zl",
    "Zp",
    "Zs",
)  # categories of characters that are no sign: they move or hide others
SHOWN = 4  # tokens of a feature that a line has room for
HALF = 0.5  # of a feature's activity: what follows it less often is not told
BAR = 24  # characters of the longest bar of a histogram


def visible(token: str) -> str:
    """A token with everything that is no sign spelt out: no escape sequence of it reaches the terminal."""
    return "".join(
        SIGNS.get(one) or (f"\\u{ord(one):04x}" if one != " " and unicodedata.category(one) in HIDDEN else one)
        for one in token
    )


def bare(token: str) -> str:
    """A token by itself, without the space before a word; one of spaces alone shows them."""
    return visible(token.strip(" ")) if token.strip() else visible(token).replace(" ", "␣")


def by_concept(cards: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Cards with those first that a concept describes best, by the harmonic mean of precision and recall; of the others
    those that are active more often."""

    def key(card: Mapping[str, Any]) -> tuple[float, int, int]:
        precision, recall = card["concept"][2:] if card["concept"] else (0.0, 0.0)
        score = 2 * precision * recall / (precision + recall) if precision else 0.0
        return -score, -card["fired"], card["feature"]

    return sorted(cards, key=key)


def with_token(cards: Sequence[Mapping[str, Any]], word: str) -> list[tuple[Mapping[str, Any], str]]:
    """Cards that have to do with a token, and why, the closest first: those active on it, by the share of their
    activity that is there; those that it follows at least half the time; those that raise its logit, by how much.

    Spaces around it and capitals make no difference.
    """
    asked = word.strip().lower()

    def share(card: Mapping[str, Any], name: str) -> float:
        """Of the feature's activity that is on the token, or before it."""
        hits = (fired for token, fired, _ in card[name] if token.strip().lower() == asked)
        return sum(hits) / max(1, card["fired"])

    found: list[tuple[int, float, int, Mapping[str, Any], str]] = []
    for card in cards:
        on, before = share(card, "tokens"), share(card, "next")
        raised = max((effect for token, effect in card["high"] if token.strip().lower() == asked), default=0.0)
        if on:
            found.append((0, -on, card["feature"], card, f"{_percent(on)} of its activity is on it"))
        elif before >= HALF:
            found.append((1, -before, card["feature"], card, f"{_percent(before)} of its activity is before it"))
        elif raised > 0:
            found.append((2, -raised, card["feature"], card, f"raises it by {raised:.3g}"))
    return [(card, why) for *_, card, why in sorted(found, key=lambda entry: entry[:3])]


def headline(cards: Mapping[str, Any]) -> str:
    """What was read, in a line."""
    return (
        f"{cards['model']}, {cards['sae']}: {cards['features']:,} features of {cards['hook']}, {cards['alive']:,} "
        f"active on {cards['tokens']:,} tokens of {cards['rows']:,} texts ({cards['texts']})"
    )


def listed(cards: Mapping[str, Any], chosen: Sequence[tuple[Mapping[str, Any], str]]) -> Iterator[str]:
    """A line for each of these cards, with why it is here."""
    rows = [("feature", "active", "at most", "concept", "active on", "raises", "")]
    for card, why in chosen:
        rows.append((
            str(card["feature"]), _percent(card["fired"] / cards["tokens"]), f"{card['largest']:.3g}",
            concept_text(card["concept"]), _several(card["tokens"]), _several(card["high"]), why,
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[:3] = [cell.rjust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        yield "  ".join(cells).rstrip()


def in_full(cards: Mapping[str, Any], card: Mapping[str, Any]) -> Iterator[str]:
    """Everything that there is to see of one feature."""
    share = card["fired"] / cards["tokens"]
    yield f"feature {card['feature']}: active on {card['fired']:,} of {cards['tokens']:,} tokens ({_percent(share)})"
    if not card["fired"]:
        return
    yield f"  by {card['mean']:.3g} on average where it is, {card['largest']:.3g} at most"
    if card["concept"]:
        _, _, precision, recall = card["concept"]
        yield f"  {concept_text(card['concept'])}: precision {_percent(precision)}, recall {_percent(recall)}"
    yield "where it is most active"
    for window in card["windows"]:
        yield f"  {window['active'][window['at']]:>7.3g}  {_text(window)}"
    for name, what in (("tokens", "tokens it is active on"), ("next", "tokens that follow")):
        yield what
        yield f"  {', '.join(f'{bare(token)} {fired:,} of {there:,}' for token, fired, there in card[name])}"
    yield "how active"
    width, counts = card["histogram"]["width"], card["histogram"]["counts"]
    for number, count in enumerate(counts):
        bar = "#" * -(-BAR * count // max(counts))
        yield f"  {number * width:>7.3g}  {bar:<{BAR}} {count:,}"
    for name, what in (("high", "raises"), ("low", "lowers")):
        if card[name]:
            yield f"logits it {what}, direct path alone"
            yield f"  {', '.join(f'{bare(token)} {effect:+.2f}' for token, effect in card[name])}"
    yield "near"
    yield f"  {', '.join(f'{feature} ({cosine:.2f})' for feature, cosine in card['near'])}"


def _text(window: Mapping[str, Any]) -> str:
    """The window with the token that it is about in brackets, and a dot behind others that it is active on."""
    parts = []
    for place, (token, active) in enumerate(zip(window["tokens"], window["active"], strict=True)):
        said = visible(token)
        lead = said[: len(said) - len(said.lstrip())]
        if place == window["at"]:
            said = f"{lead}[{bare(token)}]" if token.strip() else f"[{bare(token)}]"
        elif active:
            said = f"{said}•"
        parts.append(said)
    return "".join(parts).strip()


def _several(entries: Sequence[Sequence[Any]]) -> str:
    return " ".join(bare(entry[0]) for entry in entries[:SHOWN])


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{100 * share:.2g}%"
