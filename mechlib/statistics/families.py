"""Families: several estimates made together, and claims about all or at least one of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn

from mechlib.statistics.deciding import decided, held
from mechlib.statistics.estimate import Estimate, comparison, margin
from mechlib.verdicts.verdict import Bound, Verdict, Word


@dataclass(frozen=True, eq=False)
class Family:
    """Estimates of several columns made together: their intervals hold simultaneously. Iterates over Estimates."""

    estimates: tuple[Estimate, ...]
    of: str = ""

    __array_ufunc__ = None

    def _refuse(self, other: object = None) -> NoReturn:
        raise TypeError("several estimates at once: did you mean every(estimates) >= b, or some(estimates) >= b?")

    __ge__ = __gt__ = __le__ = __lt__ = __eq__ = __ne__ = __bool__ = _refuse
    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.estimates)

    def __len__(self) -> int:
        return len(self.estimates)

    def __getitem__(self, name: object) -> Estimate:
        """One member by its column's name, or by a Head; its interval stays the simultaneous one."""
        for estimate in self.estimates:
            if estimate.name == str(name):
                return estimate
        raise KeyError(f"no {name} here: there are {', '.join(estimate.name for estimate in self.estimates)}")


@dataclass(frozen=True, eq=False)
class Group:
    """All (`every`) or at least one (`some`) of several estimates, ready to be compared once."""

    estimates: tuple[Estimate, ...]
    kind: Literal["every", "some"] = field(default="every")

    __array_ufunc__ = None

    __ge__, __gt__ = comparison(">="), comparison(">")
    __le__, __lt__ = comparison("<="), comparison("<")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(f"estimates are never equal to a number: did you mean {margin(other)}?")

    __ne__ = __eq__
    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self.kind} of what? did you mean {self.kind}(estimates) >= 0.4?")

    def held_against(self, bounds: tuple[Bound, ...]) -> Verdict:
        """One word for all members: the worst of them under `every`, the best under `some`."""
        members = tuple(decided(estimate, bounds, estimate) for estimate in self.estimates)
        words = {member.word for member in members}
        order: tuple[Word, ...] = ("REFUTED", "INCONCLUSIVE", "SUPPORTED")
        if self.kind == "some":
            order = order[::-1]
        word = next(word for word in order if word in words)
        those = [one for one, member in zip(self.estimates, members, strict=True) if member.word == word]
        worst_first = sorted(those, key=lambda estimate: _slack(estimate, bounds))
        deciding = worst_first[0 if self.kind == "every" else -1]
        return held(decided(deciding, bounds, self, members, self.kind, word), self.estimates, self.kind)

    def of_units_at_hand(self) -> Group:
        """The same group about the prompts at hand, for a gate."""
        return replace(self, estimates=tuple(one.of_units_at_hand() for one in self.estimates))


def every(estimates: Family | Iterable[Estimate]) -> Group:
    """`every(estimates) >= b`: REFUTED if any interval is wholly on the wrong side, else INCONCLUSIVE if any straddles.

    A Family has simultaneous intervals already; the intervals of any other estimates are widened (Bonferroni).
    Raises ValueError where there is none, TypeError for anything but estimates.
    """
    return Group(_together(estimates, "every"), "every")


def some(estimates: Family | Iterable[Estimate]) -> Group:
    """`some(estimates) >= b`: SUPPORTED if one interval is wholly inside, REFUTED if all are wholly outside.

    Intervals are simultaneous, as in `every`; so are the errors.
    """
    return Group(_together(estimates, "some"), "some")


def _together(estimates: Family | Iterable[Estimate], word: str) -> tuple[Estimate, ...]:
    if isinstance(estimates, Estimate):
        raise TypeError(f"{word} of one estimate: compare it as it is, or give all columns to one mean(...)")
    members = tuple(estimates)
    for member in members:
        if not isinstance(member, Estimate):
            meant = f"{word}(estimates) >= 0.4" if isinstance(member, Verdict) else "mean(...) of it"
            raise TypeError(f"{word} takes estimates, not {type(member).__name__}: did you mean {meant}?")
    if not members:
        raise ValueError(f"{word} of no estimates says nothing: the selection is empty")
    if isinstance(estimates, Family):
        return members
    return tuple(member.widened(len(members)) for member in members)


def _slack(estimate: Estimate, bounds: tuple[Bound, ...]) -> float:
    """How far inside the bounds the value lies; negative outside."""
    return min((estimate.value - bound) * (1 if sign[0] == ">" else -1) for sign, bound in bounds)
