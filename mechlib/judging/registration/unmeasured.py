"""A claim is called before it is measured, to hear on which prompts it is to be judged and by what it asks.

In the place of evidence on confirmation prompts stands something from which everything follows and nothing can be
read: whatever is computed from it by mechlib is the same again, and every comparison of it holds. What cannot be done
without numbers (a loop over heads that are yet to be chosen) ends the call there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FunctionType, GeneratorType, ModuleType
from typing import Any

from mechlib.evidence.code_hash import EVIDENCE
from mechlib.judging.registration.claimed import nested
from mechlib.prompts.promptset import PromptSet

Check = Callable[[str, Sequence[Any], Mapping[str, Any]], None]


class Unknown(Exception):
    """Something was asked of evidence that is not measured yet, which only its numbers say."""


class Unmeasured:
    """In the place of a Measurement, an estimate, a verdict or a selection that is not known yet.

    known_rows  the prompts that its rows will be; None where that is not certain
    """

    def __init__(self, known_rows: PromptSet | None = None) -> None:
        self.known_rows = known_rows

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unmeasured() if name == "stratum" else self  # only that takes rows away

    def _same(self, *_: object, **__: object) -> Unmeasured:
        return self

    def _stop(self, *_: object) -> Any:
        raise Unknown("not measured yet")

    __call__ = __getitem__ = __neg__ = __abs__ = _same
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _same
    __and__ = __or__ = __ge__ = __gt__ = __le__ = __lt__ = _same
    __iter__ = __len__ = __float__ = __int__ = __contains__ = _stop

    def __bool__(self) -> bool:
        return True


@contextmanager
def absorbing(function: FunctionType, check: Check) -> Iterator[None]:
    """Inside, what a claim and its helpers call of mechlib gives Unmeasured where it is given that.

    check  is told the name and the arguments of each such call, and raises where it can only fail
    """
    changed: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for namespace in _namespaces(function):
            for name, value in list(namespace.items()):
                if _is_instrument(value):
                    changed.append((namespace, name, value))
                    namespace[name] = _absorbing(value, check)
        yield
    finally:
        for namespace, name, value in changed:
            namespace[name] = value


def _namespaces(function: FunctionType) -> Iterable[dict[str, Any]]:
    """The globals of a function and of every function of one's own that it reaches."""
    return {id(reader.__globals__): reader.__globals__ for reader in nested(function)}.values()


def _is_instrument(value: object) -> bool:
    module = getattr(value, "__module__", None) or ""
    known = callable(value) and not isinstance(value, (type, ModuleType))
    return known and module.startswith("mechlib.") and not hasattr(value, EVIDENCE)


def _absorbing(instrument: Callable[..., Any], check: Check) -> Callable[..., Any]:
    @functools.wraps(instrument)
    def called(*given: Any, **named: Any) -> Any:
        given = tuple(list(one) if isinstance(one, GeneratorType) else one for one in given)
        if any(map(_is_unknown, (*given, *named.values()))):
            check(getattr(instrument, "__name__", ""), given, named)
            return Unmeasured()
        return instrument(*given, **named)

    return called


def _is_unknown(value: object) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return any(map(_is_unknown, value))
    return isinstance(value, Unmeasured)
