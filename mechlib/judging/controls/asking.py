"""One claim asked once more: with its parts written down, or exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mechlib.evidence import EvidenceUse, uses
from mechlib.evidence.decorator import NoCounterpart, answered_by
from mechlib.evidence.lookup import Body
from mechlib.evidence.measuring import NOTHING_CHANGED
from mechlib.evidence.question import Question
from mechlib.evidence.stamp import Stamp
from mechlib.evidence.store import Store
from mechlib.figures.show import Shown, collecting_figures
from mechlib.judging.claim import Claim
from mechlib.judging.controls.files import ControlRow
from mechlib.judging.controls.named import Part
from mechlib.judging.controls.outcome import representative
from mechlib.judging.controls.unfiled import unfiled
from mechlib.measurement import Measurement
from mechlib.parts.blinding import blinded
from mechlib.parts.exchange import Exchange, Notes, exchanging, noting
from mechlib.parts.heads import EmptySelection
from mechlib.statistics import RatioRefused, TooFew
from mechlib.verdicts.verdict import Inconclusive, JudgementInProgress, Refuted, judging


class NothingExchanged(ValueError):
    """A control run that read the very part that was to be exchanged: it controls nothing."""


@dataclass
class Asked:
    """One call of a claim: what it compared, read, showed and named, with today's stamp of each function read."""

    judged: JudgementInProgress
    read: list[EvidenceUse]
    shown: list[Shown]
    notes: Notes
    stamps: dict[str, Stamp] = field(default_factory=dict)

    @property
    def sources(self) -> set[str]:
        """Files that the assert rests on: all but those that gates, figures and other comparisons alone need.

        What is on discovery prompts is for choosing; it keeps its names, and nothing is noted of it.
        """
        asserted = self.judged.asserted
        own = _sources(asserted.estimate.to_dict()) if asserted is not None else set()
        gates = {name for gate in self.judged.gates for name in _sources(gate.estimate.to_dict())}
        return {use.path for use in self.read} - ((gates | _shown(self.shown)) - own)


def asked(claim: Claim, arguments: dict[str, Any], exchange: Exchange | None = None) -> Asked:
    """Calls the claim, its gates open. Raises what the claim raises, but for the verdict itself."""
    stamps: dict[str, Stamp] = {}

    def answer(body: Body, question: Question, place: Store) -> EvidenceUse:
        stamps[f"{question.topic}.{question.function}"] = body.stamp
        return unfiled(body, question, place)

    with (
        judging(claim.chained, gates_open=True) as judged, uses() as read, collecting_figures() as shown,
        noting() as notes, answered_by(answer), exchanging(exchange), blinded(), _the_verdict_aside(),
    ):  # fmt: skip
        claim.function(**arguments)
    return Asked(judged, list(read), list(shown), notes, stamps)


def row(claim: Claim, arguments: dict[str, Any], number: int, part: Part, other: str, exchange: Exchange) -> ControlRow:
    """What the claim comes to with another set in the place of one part. Raises NothingExchanged."""
    exchange.used.clear()
    try:
        found = asked(claim, arguments, exchange)
    except (RatioRefused, EmptySelection) as error:
        return ControlRow(number, other, why=f"silent: {error}")
    except (TooFew, NoCounterpart) as error:
        return ControlRow(number, other, why=f"no estimate: {error}")
    except Exception as error:
        if type(error).__name__ != NOTHING_CHANGED:
            raise
        return ControlRow(number, other, why=f"silent: {error}")  # a dead head, say: it has no effect
    _refuse_the_same(found, part, other, exchange)
    if found.judged.asserted is None:
        return ControlRow(number, other, why="no estimate: nothing was compared")
    value, n, levels = representative(found.judged.asserted)
    return ControlRow(number, other, n, value, levels)


def _refuse_the_same(found: Asked, part: Part, other: str, exchange: Exchange) -> None:
    taken = {name for _, _, names in found.notes.taken for name in names}
    wanted = set(map(repr, part.circuits)) or set(part.names)
    if not wanted & (exchange.used | taken):
        raise NothingExchanged(
            f"{part} was to be exchanged for {other}, and the claim read the very same: give it as an argument of "
            "evidence, or take its column, under the name that it has"
        )


@contextmanager
def _the_verdict_aside() -> Iterator[None]:
    with suppress(Refuted, Inconclusive):
        yield


def _sources(estimate: dict[str, Any]) -> set[str]:
    return set(estimate.get("sources", ()))


def _shown(figures: list[Shown]) -> set[str]:
    cells = [[one.drawn] if isinstance(one.drawn, Measurement) else list(one.drawn.values()) for one in figures]
    return {cell.source for drawn in cells for cell in drawn}
