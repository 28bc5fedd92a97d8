"""By what a supported claim is controlled, in one word: twins, matched parts, what it names itself; or UNCONTROLLED.

A twin cannot do the task, so that what it says about one part of a model is not enough: a claim that names a part is
controlled by other parts in its place. One that names none is controlled by twins; one of absence by an effect that its
instrument sees (docs/STATISTICS.md, R17, R31 and R32).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from mechlib.verdicts.controls import Control, ControlWord
from mechlib.verdicts.presence import claims_presence
from mechlib.verdicts.verdict import Bound, Outcome

UNCONTROLLED: Literal["UNCONTROLLED"] = "UNCONTROLLED"
TwinWord = Literal["controlled", "silent", "void", "shown", "by kind", "none"]
# What became of the twins of a claim: it holds on neither; on one it could not be put; it holds on one; it is an
# absence, of which they decide nothing; its models are planted; it takes no model, or was not answered.
TWIN_WORDS: tuple[TwinWord, ...] = ("controlled", "silent", "void", "shown", "by kind", "none")
By = Literal["twins", "matched parts", "control=", "beside=", "its own null", "planted", "void", "UNCONTROLLED", ""]
# In the order in which they are counted; "" is of what is not supported.
CONTROLLED_BY: tuple[By, ...] = (
    "twins", "matched parts", "control=", "beside=", "its own null", "planted", "void", "UNCONTROLLED"
)  # fmt: skip
# Of several parts that were exchanged one at a time, the one that says least speaks for all.
_WORST_FIRST: tuple[ControlWord, ...] = (
    "void", "error", "not measured", "no set", "weak", "none", "by kind", "passed"
)  # fmt: skip


class Controlled(Struct, frozen=True):
    """What controls a claim.

    by           one of CONTROLLED_BY; "" of a claim that is not supported and needs none
    kind         what the control was: "twins", what a part was exchanged for, "control=", "beside="; "" where none was
    sets         how many there were, `on_the_side` how many of them are as claimed (of `beside=`: exceed the bound)
    word         the control's own word, "passed", "weak", "no set", ...; UNCONTROLLED where there was none at all
    why          one line, of what is UNCONTROLLED
    """

    by: By = ""
    kind: str = ""
    sets: int = 0
    on_the_side: int = 0
    word: ControlWord | Literal["UNCONTROLLED"] = "none"
    why: str = ""


def deciding(controls: Sequence[Control]) -> Control | None:
    """The control that speaks for all of them."""
    return min(controls, key=lambda control: _WORST_FIRST.index(control.word), default=None)


def controlled(verdict: Outcome, bounds: Sequence[Bound], twin: TwinWord, controls: Sequence[Control]) -> Controlled:
    """By what a claim that ended with this verdict is controlled."""
    control = deciding(controls)
    if verdict not in ("SUPPORTED", "VOID"):
        return Controlled() if control is None else _of(control, "")
    if verdict == "VOID":
        by_control = control is not None and control.word == "void"
        return _of(control, "void") if control and by_control else Controlled("void", "twins", 2, 1, "void")
    if twin == "by kind":
        return Controlled("planted", "planted", word="by kind")
    if not claims_presence(bounds):
        return _of_an_absence(control)
    if control is None or control.word == "none":
        return _by_twins(twin, control.message if control else "")
    if control.word == "passed":
        return _of(control, "control=" if control.kind == "control=" else "matched parts")
    if control.word == "by kind":
        return _of(control, "its own null")
    return _of(control, UNCONTROLLED, control.message)


def _of(control: Control, by: By, why: str = "") -> Controlled:
    return Controlled(by, control.kind, control.sets, control.on_the_side, control.word, why)


def _of_an_absence(control: Control | None) -> Controlled:
    if control is not None and control.kind == "beside=" and control.word == "passed":
        return _of(control, "beside=")
    return Controlled(UNCONTROLLED, word=UNCONTROLLED, why="an absence, and no beside= says what the instrument sees")


def _by_twins(twin: TwinWord, said: str) -> Controlled:
    if twin == "controlled":
        return Controlled("twins", "twins", 2, 0, "passed")
    why = {
        "silent": "on a twin the question could not be put, and no part is named that another could stand for",
        "none": said or "no twin and no part: nothing stands beside it",
    }
    return Controlled(UNCONTROLLED, word=UNCONTROLLED, why=why.get(twin, said))
