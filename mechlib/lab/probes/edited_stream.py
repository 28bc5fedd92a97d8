"""Runs that go on from the residual stream, edited at one depth and one position a row; differentiable in the edit.

On the plain forward pass only what the edit can have changed is computed: later layers, from the first edited position
on. Through hooks whole runs are, for any architecture; one row of each measurement is compared with these.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch
from mechlib.lab.forward.cache import run_with_cache
from mechlib.lab.forward.families import network
from mechlib.lab.forward.recording import past_of, record
from mechlib.lab.hooks import HookDidNotFire, run
from mechlib.lab.interventions.patching import CLEAN, Side
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.probes.streams import hook_of

# Of the spread of the logits: what rounding in another order of sums moves; a wrong position or layer moves far more.
SHARE, LEAST = 1e-3, 1e-4


def tokens_of(batch: Batch, side: Side) -> Int[Tensor, "batch pos"]:
    """The clean or the corrupted tokens of a batch. ValueError where there are no corrupted ones."""
    tokens = batch.tokens if side == CLEAN else batch.corrupted
    if tokens is None:
        raise ValueError(f"{batch.prompts[0].clean!r} has no corrupted text: there is no second run")
    return tokens


class EditedStream:
    """A run of some tokens, and runs that go on from it with the stream edited at one position of each row.

    where   the position of each row
    hooked  through hooks, for architectures that the plain forward pass does not know

    Raises UnsupportedModel, unless `hooked`, for these.
    """

    def __init__(
        self, model: Model, tokens: Int[Tensor, "batch pos"], where: Int[Tensor, " batch"], hooked: bool = False
    ) -> None:
        self.model, self.tokens, self.where, self.start = model, tokens, where, 0
        self.rows = torch.arange(len(tokens), device=tokens.device)
        self.net = None if hooked else network(model)
        with torch.no_grad():
            if self.net is None:
                names = [hook_of(depth) for depth in range(model.cfg.n_layers + 1)]
                kept = run(model, tokens, keep=names, last=1)[1]
                self.streams, self.past = [kept[name] for name in names], None
            else:
                self.start = int(where.min())
                whole = run_with_cache(self.net, tokens, self.start)
                self.streams, self.past = whole.streams, past_of(whole, self.start)

    def at(self, depth: int) -> Float[Tensor, "batch d_model"]:
        """The stream behind so many layers, at each row's position."""
        return self.streams[depth][self.rows, self.where - self.start]

    def logits(self, depth: int, new: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch one d_vocab"]:
        """Logits at the last position with `new` in the stream's place behind so many layers."""
        if self.net is None:
            return self._through_hooks(depth, new)
        stream = self.streams[depth].index_put((self.rows, self.where - self.start), new)
        end = record(self.net, stream, self.past, first=depth).end[:, -1:]
        return self.net.unembed(end)

    def _through_hooks(self, depth: int, new: Tensor) -> Tensor:
        def put(old: Tensor) -> Tensor:
            return old.index_put((self.rows, self.where), new)

        return run(self.model, self.tokens, {hook_of(depth): put}, last=1)[0]


def check_one(own: EditedStream, depth: int, new: Float[Tensor, "batch d_model"]) -> None:
    """HookDidNotFire where the first row's stream, or its edited run's logits, are not a whole run's through hooks."""
    if own.net is None:
        return
    model, tokens, where = own.model, own.tokens[:1], own.where[:1]
    with torch.no_grad():
        hooked = EditedStream(model, tokens, where, hooked=True)
        pairs = [(own.at(depth)[:1], hooked.at(depth))]
        pairs.append((EditedStream(model, tokens, where).logits(depth, new[:1]), hooked.logits(depth, new[:1])))
    for found, wanted in pairs:
        off, spread = float((found - wanted).abs().max()), float(wanted.std())
        if not off <= SHARE * spread + LEAST:
            raise HookDidNotFire(
                f"{checkpoint_of(model).name} edited behind {depth} layers is off by {off:.2g} from a whole run "
                f"through hooks, where values spread by {spread:.2g}: use hooked=True"
            )
