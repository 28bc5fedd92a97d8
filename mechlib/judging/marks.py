"""Marks: outcomes of a claim that are known, each with its reason, for named models.

    @refuted({"mini-2": "six heads share the work"})       on one model
    @refuted({"mini-*": "why it failed in all of them"})   on every model, or case, that the pattern fits

A mark is satisfied by a recorded verdict of its kind and by nothing else.

    @reported(3.56, "Wang et al. 2022, arXiv:2211.00593, section 2", unit="logits")

says that the sentence is a published one: the paper's number stands beside the claim's, and decides nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

import pytest

from mechlib.verdicts.reported import Reported
from mechlib.verdicts.words import WORDINGS

Claimed = TypeVar("Claimed", bound=Callable[..., None])
MARKS = {wording.mark: word for word, wording in WORDINGS.items() if wording.mark}
REPORTED = "reported"


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


def reported(
    value: float | None, where: str, *, unit: str = "", sentence: str = "", primary: bool = False, exists: bool = False
) -> Callable[[Claimed], Claimed]:
    """Marks a published sentence: the claim's number stands beside the paper's on the page "Published sentences".

    value     what the paper gives, in the unit of the claim's estimate (99.3 % is .993); None where it gives no number
    where     the paper with its year, and the place in it; stands for `Source:` where the docstring has none
    unit      "logits", "of 144 heads"; none for a share
    sentence  as the paper has it, where several claims ask it or the claim's own first line reads otherwise: claims
              that give the same one share a row
    primary   one of the few that the audit rests on, named before confirmation is run
    exists    "some head does it": any other part that does makes the sentence true, whatever the chosen one came to

    The line in the register says what a claim counts as. A number, or a rank, that changes after it is shown beside the
    claim for good. TypeError for anything else.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number and value is not None:
        raise TypeError(f"@reported takes the number that the paper gives, or None where it gives none; got {value!r}")
    if not isinstance(where, str) or not re.search(r"\b(19|20)\d\d\b", where):
        raise TypeError(
            f'@reported takes the paper and the place in it, as in "Wang et al. 2022, section 2"; got {where!r}'
        )
    found = Reported(None if value is None else float(value), where, unit, sentence, primary, exists)
    mark: Callable[[Claimed], Claimed] = pytest.mark.reported(found)
    return mark
