"""Marks: outcomes of a claim that are known, each with its reason, for named models.

    @refuted({"mini-2": "six heads share the work"})       on one model
    @refuted({"mini-*": "why it failed in all of them"})   on every model, or case, that the pattern fits

A mark is satisfied by a recorded verdict of its kind and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

import pytest

from mechlib.verdicts.words import WORDINGS

Claimed = TypeVar("Claimed", bound=Callable[..., None])
MARKS = {wording.mark: word for word, wording in WORDINGS.items() if wording.mark}


@dataclass(frozen=True)
class Mark:
    """One mark of a claim: a key of MARKS, and the reasons by model, case or pattern (one text where it takes none)."""

    name: str
    reasons: dict[str, str] | str

    def reason(self, model: str, case: str) -> str | None:
        """The reason given for a case of a model: its own, else the model's, else of the first pattern that fits."""
        if isinstance(self.reasons, str):
            return self.reasons
        for name in (case, model):
            if name in self.reasons:
                return self.reasons[name]
        fitting = (text for pattern, text in self.reasons.items() if _fits(pattern, (case, model)))
        return next(fitting, None)

    def strangers(self, known: set[str]) -> list[str]:
        """The models, cases and patterns that fit none of `known`."""
        if isinstance(self.reasons, str):
            return []
        return sorted(name for name in self.reasons if name not in known and not _fits(name, known))


def _fits(pattern: str, names: tuple[str, ...] | set[str]) -> bool:
    return "*" in pattern and any(fnmatchcase(name, pattern) for name in names)


def _outcomes(name: str, reasons: dict[str, str] | str) -> Callable[[Claimed], Claimed]:
    texts = list(reasons.values()) if isinstance(reasons, dict) else [reasons]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise TypeError(f"@{name} takes a reason, or {{'mini-2': 'the reason', ...}} for named models; got {reasons!r}")
    mark: Callable[[Claimed], Claimed] = getattr(pytest.mark, name)(reasons)
    return mark


def refuted(reasons: dict[str, str] | str) -> Callable[[Claimed], Claimed]:
    """Marks the models on which the claim came out REFUTED, each with a reason. Any other outcome there fails."""
    return _outcomes("refuted", reasons)


def open_question(reasons: dict[str, str] | str) -> Callable[[Claimed], Claimed]:
    """Marks the models on which the claim came out INCONCLUSIVE, each with a reason. Any other outcome there fails."""
    return _outcomes("open_question", reasons)


def void(reasons: dict[str, str] | str) -> Callable[[Claimed], Claimed]:
    """Marks the models on which the claim came out VOID, true of a twin or a control too. Any other outcome fails."""
    return _outcomes("void", reasons)
