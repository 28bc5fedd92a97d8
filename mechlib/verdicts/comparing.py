"""Judging: who hears of the comparisons that are made while a claim runs, and when a chain is complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mechlib.verdicts.verdict import Bound, Subject, Verdict


@dataclass(eq=False)
class Judging:
    """What was compared while a claim ran.

    verdicts  all comparisons, in order, passing or not; a chain counts once
    gates     those that were given to `requires`
    asserted  the last one whose truth was asked for: the claim's assert
    """

    chained: bool = False
    gates_open: bool = False
    verdicts: list[Verdict] = field(default_factory=list)
    gates: list[Verdict] = field(default_factory=list)
    asserted: Verdict | None = None
    _waiting: Verdict | None = field(default=None, repr=False)
    _chains: dict[Verdict, Verdict] = field(default_factory=dict, repr=False)

    def deciding(self, verdict: Verdict) -> Verdict | None:
        """The verdict that decides when the truth of this one is asked for; None if a second half is still to come.

        Python asks for the truth of `low <= estimate` before it compares `estimate <= high`; pytest's rewritten
        asserts make both comparisons first. Either way there is one verdict over the margin, in place of the halves.
        """
        if not self.chained or verdict in self._chains or verdict not in self.verdicts or len(verdict.bounds) == 2:
            return self._decides(self._chains.get(verdict, verdict))
        if self._waiting is not None and self._waiting is not verdict:
            raise TypeError(f"half a chain: {self._waiting.numbers} was never compared with a second number")
        here = self.verdicts.index(verdict)
        for following in self.verdicts[here + 1 : here + 2]:
            if following.subject is verdict.subject:
                self.verdicts.remove(following)
                self._chains[following] = self._chain(verdict, following.bounds[0])
                return self._decides(self._chains[following])
        self._waiting = verdict
        return None

    def _decides(self, verdict: Verdict) -> Verdict:
        if self.asserted is not None and self.asserted is not verdict:
            raise TypeError(
                f"{self.asserted.numbers} was asked for its truth, and now {verdict.numbers}: a claim asks once, "
                "in its assert; for a condition use requires(...)"
            )
        self.asserted = verdict
        return verdict

    def enter(self, subject: Subject, bound: Bound) -> Verdict:
        """Records a comparison; the second half of a chain takes the place of the first, which waits for it."""
        if self._waiting is not None and self._waiting.subject is subject:
            return self._chain(self._waiting, bound)
        verdict = subject.held_against((bound,))
        self.verdicts.append(verdict)
        return verdict

    def _chain(self, first: Verdict, second: Bound) -> Verdict:
        assert first.subject is not None
        _check_margin(first.bounds[0], second)
        whole = first.subject.held_against((first.bounds[0], second))
        self.verdicts[self.verdicts.index(first)] = self._chains[first] = whole
        self._waiting = None
        return whole


current: ContextVar[Judging | None] = ContextVar("judging", default=None)


@contextmanager
def judging(chained: bool = False, gates_open: bool = False) -> Iterator[Judging]:
    """Collects every comparison made inside.

    chained     the claim's assert is `low <= estimate <= high`: there is one verdict, over the margin. Where this is
                not set each half decides by itself.
    gates_open  `requires` records, but lets everything pass: for twins.
    """
    collected = Judging(chained, gates_open)
    token = current.set(collected)
    try:
        yield collected
    finally:
        current.reset(token)


def _check_margin(first: Bound, second: Bound) -> None:
    if first[0][0] == second[0][0]:
        raise TypeError(f"{first[0]} {first[1]} and {second[0]} {second[1]} bound one side: a margin has two")
    floor, ceiling = (first, second) if first[0][0] == ">" else (second, first)
    if floor[1] > ceiling[1]:
        raise ValueError(f"no number lies between {floor[1]} and {ceiling[1]}: turn the margin round")
