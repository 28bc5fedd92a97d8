"""The seed of a draw that could not be known before the claim was written.

    prompts = ioi(160, seed=registered_seed())

`pytest --register` makes it from what the claim compares and from the commit that it stands on, and writes it into the
claim's line; whoever measures reads it there. Trying one commit after another in private finds a seed that one likes:
that is seen nowhere, as docs/STATISTICS.md says.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from mechlib.checkpoints.reading import FileState, file_state
from mechlib.verdicts.register import REGISTER, Register


class _Claim(NamedTuple):
    id: str
    register: Path
    seed: int | None  # while the claim is being registered


_asked: ContextVar[_Claim | None] = ContextVar("claim", default=None)


@contextmanager
def seeds_of(claim: str, root: Path, seed: int | None = None) -> Iterator[None]:
    """Inside, `registered_seed()` is that of this claim: `seed`, or what its line in the register at `root` says."""
    token = _asked.set(_Claim(claim, root / REGISTER, seed))
    try:
        yield
    finally:
        _asked.reset(token)


def registered_seed() -> int:
    """The seed in the register's line about the claim that is running, for a draw that nobody could look at before.

    The same for all models that a claim was registered on at once. Raises ValueError outside a claim, and where the
    claim is not registered.
    """
    claim = _asked.get()
    if claim is None:
        raise ValueError("registered_seed() is asked outside a claim: give the seed as its line in the register has it")
    if claim.seed is not None:
        return claim.seed
    state = file_state(claim.register.stat()) if claim.register.exists() else ()
    seed = _seeds(claim.register, state).get(claim.id)
    if seed is None:
        raise ValueError(
            f"{claim.id} draws its prompts by a registered seed and is not registered: run "
            f"`pytest --register {claim.id}`, commit its line, then measure"
        )
    return seed


@functools.lru_cache(maxsize=4)
def _seeds(path: Path, state: FileState) -> dict[str, int]:
    return {claim: lines[-1].seed for claim, lines in Register(path, writable=False).registrations.items()}
