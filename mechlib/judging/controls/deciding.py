"""What the controls of a claim make of its verdict: the last word that is said of it."""

from __future__ import annotations

from collections.abc import Sequence

from mechlib.statistics.deciding import is_full, not_told_apart, word_of_named
from mechlib.verdicts.controlled import UNCONTROLLED, controlled, deciding
from mechlib.verdicts.controls import Control
from mechlib.verdicts.record import Record


def decide(record: Record, controls: Sequence[Control]) -> None:
    """Adds controls to the record, and lets them decide: VOID, INCONCLUSIVE where it is saturated, or UNCONTROLLED."""
    record.controls = list(controls)
    control = deciding(controls)
    if control is not None and record.verdict == "SUPPORTED":
        if control.word == "error":
            record.verdict, record.message = "ERROR", control.message
        elif control.word == "void" and (full := _saturated(record, control)):
            record.verdict, record.message = "INCONCLUSIVE", f"{record.message}; {full}"
        elif control.word == "void":
            said = f"but {control.message}: it does not need the part that it names"
            record.verdict, record.message = "VOID", f"{record.message}; {said}"
    bounds = record.comparison.bounds if record.comparison else ()
    record.controlled = controlled(record.verdict, bounds, record.twin, controls)
    if record.controlled.by == UNCONTROLLED:
        record.flags = [*record.flags, UNCONTROLLED]


def _saturated(record: Record, control: Control) -> str:
    """Why claim and exchanged parts cannot be told apart; "" where they can, or where the whole is not known."""
    estimate = record.comparison.estimate if record.comparison else None
    if estimate is None or not estimate.whole:
        return ""
    whole = estimate.whole
    near = [value for value in control.values if is_full(estimate.value, value, whole=whole)]
    if word_of_named(len(near), control.sets) != "void":
        return ""
    return not_told_apart("claim and exchanged parts", estimate.value, min(near))
