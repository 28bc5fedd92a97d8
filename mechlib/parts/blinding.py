"""What a claim sees of numbers while it is judged: nothing that it could choose by.

A claim and its helpers may calculate with what was measured, put it into columns and hand it on: to an estimate, to
`exact`, to a figure. They may not look at it, for what is looked at can be chosen: `max(heads, key=...)` on the prompts
that judge the head is the mistake that no interval knows of. So while a claim is judged, its own code gets measured
values *blinded*, and neither the numbers nor the text of estimates and verdicts. mechlib itself, bodies of evidence
functions, notebooks and scripts read everything.

Source: docs/STATISTICS.md, R34.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from mechlib.parts.chosen import DoubleDipping

_HOUSE = "mechlib"
_PASSING_ON = ("dataclasses", "copy")  # modules of Python that read a field for somebody else
_SUMMARIES = ("mean", "sum", "max", "min", "std")  # numbers made of numbers: which one it was, they do not say
_CURE = (
    "compare an estimate, as in `mean(measurement) >= 0.4`, choose parts by strongest(...) on discovery prompts; "
    "numbers are read in evidence functions, figures and notebooks"
)
# Of a claim that is being judged, evidence whose columns were chosen on its own prompts, with what is said of it; None
# where nothing is blinded.
_dipped: ContextVar[dict[str, str] | None] = ContextVar("dipped", default=None)


@contextmanager
def blinded() -> Iterator[None]:
    """Inside, code that is none of mechlib's gets numbers blinded: a claim runs."""
    token = _dipped.set({})
    try:
        yield
    finally:
        _dipped.reset(token)


@contextmanager
def in_plain_sight() -> Iterator[None]:
    """Inside, numbers are plain again: something is measured while a claim waits for it."""
    token = _dipped.set(None)
    try:
        yield
    finally:
        _dipped.reset(token)


def read_by_a_claim(depth: int = 1) -> bool:
    """Whether a claim is being judged, and the function `depth` calls above the caller is none of mechlib's."""
    if _dipped.get() is None:
        return False
    frame = sys._getframe(depth + 1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _PASSING_ON:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")).partition(".")[0] != _HOUSE


class _Sealed:
    """A field that code of a claim does not read."""

    def __init__(self, name: str, what: str) -> None:
        self.name, self.what = name, what

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            raise AttributeError(self.name)
        if read_by_a_claim():
            raise DoubleDipping(f"a claim reads .{self.name} of {self.what}: {_CURE}")
        return instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = value


class _Values(_Sealed):
    """The values of a measurement: blinded for code of a claim, refused where their own prompts chose the columns."""

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            raise AttributeError(self.name)
        return handed(instance, instance.__dict__[self.name])

    def __set__(self, instance: Any, value: Any) -> None:
        if isinstance(value, Blinded):  # made by a claim of what it may not see
            instance.__dict__["made_blind"] = True
        instance.__dict__[self.name] = unblinded(value)


def handed(measured: Any, values: np.ndarray) -> Any:
    """Values of a measurement as the function two calls above may have them: an array, or Blinded."""
    if measured.chosen_on:
        _note_double_dipping(measured)
    return Blinded(values) if _judges(measured) and read_by_a_claim(2) else values


def _judges(measured: Any) -> bool:
    """Whether a claim may not look: at everything but what is for discovery altogether."""
    return "made_blind" in measured.__dict__ or not for_looking(measured.prompts)


def for_looking(prompts: Iterable[Any]) -> bool:
    """Whether sets of prompts are for discovery, beside reference prompts at most."""
    splits = {one.split for one in prompts}
    return "discovery" in splits and splits <= {"discovery", "reference"}


def _note_double_dipping(measured: Any) -> None:
    """Where statistics, or a claim itself, read columns of the prompts that chose them.

    A claim hears of it at its assert: a gate speaks of the prompts at hand (R30), also of those that chose.
    """
    reader = str(sys._getframe(3).f_globals.get("__name__"))
    if reader.startswith(f"{_HOUSE}.") and not reader.startswith(f"{_HOUSE}.statistics."):
        return
    if reader == f"{_HOUSE}.statistics.selection":
        return
    some = ", ".join(measured.columns[:3]) + (", ..." if len(measured.columns) > 3 else "")
    said = (
        f"{some} would be judged on {len(measured.chosen_on)} of the prompts that chose it: choose on the discovery "
        "split, measure on confirmation"
    )
    dipped = _dipped.get()
    if dipped is None or not reader.startswith(_HOUSE):
        raise DoubleDipping(said)
    dipped[measured.source] = said


def refuse_double_dipping(sources: Iterable[str]) -> None:
    """Raises DoubleDipping where a claim would be judged by evidence that was read for parts chosen on its prompts."""
    dipped = _dipped.get() or {}
    for source in sources:
        if source in dipped:
            raise DoubleDipping(dipped[source])


def blind_values(measurement: type) -> None:
    """Gives code of a claim the values of a Measurement blinded, and refuses its text."""
    seal(measurement, "a measurement")
    setattr(measurement, "values", _Values("values", "a measurement"))  # noqa: B010


def seal(cls: type, what: str, *names: str) -> None:
    """Closes fields of a dataclass, and its text, to code of a claim that is being judged: it raises DoubleDipping."""
    for name in names:
        setattr(cls, name, _Sealed(name, what))
    for name in ("__repr__", "__str__"):
        setattr(cls, name, _sealed_text(getattr(cls, name), what))


def _sealed_text(text: Callable[[Any], str], what: str) -> Callable[[Any], str]:
    def told(self: Any) -> str:
        if read_by_a_claim():
            raise DoubleDipping(f"a claim reads {what} as text: {_CURE}")
        return text(self)

    return told


class Blinded(NDArrayOperatorsMixin):
    """Numbers that can be calculated with and not looked at: arithmetic, indices, and mean, sum, max, min, std.

    Raises DoubleDipping for all that would tell a value, or which of several is the largest.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values, dtype=np.float64)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Blinded:
        if method != "__call__" or options or ufunc.nout != 1:
            self._looked_at(f"np.{ufunc.__name__}.{method}")
        return Blinded(ufunc(*map(unblinded, inputs)))

    def __getitem__(self, which: Any) -> Blinded:
        if isinstance(which, Blinded):
            self._looked_at("an index by value")
        return Blinded(self._values[which])

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Blinded]:
        return map(Blinded, self._values)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are, along each axis."""
        return self._values.shape

    def __getattr__(self, name: str) -> Any:
        if name in _SUMMARIES:
            return lambda axis=None: Blinded(getattr(self._values, name)(axis=axis))
        if name.startswith("__"):  # what Python or numpy ask for by themselves
            raise AttributeError(name)
        return self._looked_at(f".{name}")

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.stack or function is np.concatenate:
            return Blinded(function([unblinded(one) for one in args[0]], *args[1:], **options))
        if function.__name__ in _SUMMARIES:
            return Blinded(function(unblinded(args[0]), *args[1:], **options))
        return self._looked_at(f"np.{function.__name__}")

    def _looked_at(self, how: str) -> NoReturn:
        raise DoubleDipping(f"a claim looks at its numbers by {how}: {_CURE}")

    def __bool__(self) -> bool:
        self._looked_at("a condition on them")

    def __float__(self) -> float:
        self._looked_at("float()")

    def __int__(self) -> int:
        self._looked_at("int()")

    __index__ = __int__

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        self._looked_at("np.asarray()")

    def __repr__(self) -> str:
        return f"<blinded numbers of shape {self.shape}>"

    __hash__ = None  # type: ignore[assignment]


def unblinded(numbers: Any) -> Any:
    """What mechlib reads of numbers that a claim hands to it."""
    return numbers._values if isinstance(numbers, Blinded) else numbers
