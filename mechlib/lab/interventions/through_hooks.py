"""Sweeps through the hooks of the loaded model: slow, for any architecture; exact sweeps are checked against these.

Nothing here knows of `mechlib.lab.forward.families`: the model runs as its library runs it, and its activations are
replaced.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from mechlib.lab.batching import Batch
from mechlib.lab.hooks import Edit, HookDidNotFire, differs, keys_and_values, run
from mechlib.lab.interventions.contexts import Positions, Where, check_silent, places, replaced
from mechlib.lab.interventions.readout import Readout
from mechlib.lab.interventions.sites import Logits, Places, Source, Swept
from mechlib.lab.models.loading import Model, checkpoint_of

FOLDED = 512  # rows of one position that run side by side: each carries the memory of a whole prompt
ABREAST = 2048  # tokens of whole prompts that run side by side
# Float32 rounds every computation: on the models of this record two of them meet to about 2e-6 of the largest logit. A
# wrong position, mask or key moves logits by a visible part of their spread. Logits that are all about 0 are the
# rounding of larger terms.
TOLERANCE = 1e-4
ROUNDING = 1e-6
LEAST = 1e-5
# What the stream once held stays in it as rounding. In SmolLM2 the first token's goes from 900 to 90 to 20,000 and ends
# at an rms of 200, and its logits move by 2.4e-4 of their spread where only the order of hidden units is another.
HELD = 5e-6  # of the spread, times the largest entry that a position's stream ever held over the rms of its last
MOST = 1e-3  # of the spread, whatever the stream held; and of weights in random order, which amplify what is rounded


def sweep_through_hooks(
    model: Model, batch: Batch, sites: Sequence[Where], source: Source, positions: Positions, readout: Readout
) -> Swept:
    """The result of `mechlib.lab.interventions.sweep.sweep`, to rounding, at the library's own speed.

    Arguments as of `sweep`. Raises HookDidNotFire where a hook is not exact, ValueError for places that the model
    lacks.
    """
    names = dict.fromkeys(name for where in sites for name in places(model, where))
    check_silent(model, batch.tokens[:1], names)
    if readout.whole and positions == -1:
        positions = (-1,)  # a run of the last position alone has no other logits
    other, new = run(model, source, keep=names) if isinstance(source, Tensor) else (None, source)
    changed = set[int]()
    swept = with_each(model, batch.tokens, sites, new, positions, changed)
    intact, *after = [readout.value(readout.of(logits, batch), batch) for logits in swept]
    return Swept(
        intact=intact,
        after=torch.stack(after, dim=1),
        source=None if other is None else readout.value(readout.of(other, batch), batch),
        changed=torch.tensor([number in changed for number in range(len(sites))]),
    )


def on_one_prompt(
    model: Model,
    tokens: Int[Tensor, "1 pos"],
    sites: Sequence[Where],
    source: Source,
    positions: Positions,
    last: int | None = None,
) -> Float[Tensor, "sites logits d_vocab"]:
    """Logits with each set of places replaced, a row for each, from one pass (which a source run shares); with `last`
    of so many last positions."""
    own = [places(model, where) for where in sites]
    before = [source] if isinstance(source, Tensor) else []

    def edit(name: str) -> Edit:
        def replace(old: Tensor) -> Tensor:
            made, zeros = old.clone(), torch.zeros_like(old[:1])
            new = zeros if source is None else old[:1] if isinstance(source, Tensor) else source[name]
            for row, one in enumerate(own, len(before)):
                if name in one:
                    made[row : row + 1] = replaced(old[row : row + 1], new, positions, one[name])
            return made

        return replace

    rows = torch.cat([*before, *(tokens for _ in own)])
    edits = {name: edit(name) for name in dict.fromkeys(name for one in own for name in one)}
    return run(model, rows, edits, last=last)[0][len(before) :]


def rounding(
    logits: Float[Tensor, "pos d_vocab"], streams: Float[Tensor, "depth pos d_model"], permuted: bool = False
) -> Float[Tensor, " pos"]:
    """By position, how far apart two computations of a run in float32 may lie in a logit.

    streams   the residual stream before each layer, and behind the last, of the run as it is
    permuted  of the twin whose weights are in random order: what an instrument does wrong is seen on the model itself
    """
    held, ends = streams.abs().amax((0, 2)), streams[-1].square().mean(-1).sqrt()
    share = (HELD * held / ends.clamp(min=torch.finfo(ends.dtype).tiny)).clamp(MOST if permuted else TOLERANCE, MOST)
    return LEAST + share * logits.std(-1).max() + ROUNDING * logits.abs().max()


def with_each(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    sites: Sequence[Where],
    new: Mapping[str, Tensor] | None,
    positions: Positions,
    changed: set[int],
) -> Iterator[Logits]:
    """Logits of the run as it is, then with each set of places replaced by the activations of `new`.

    new      activations by hook name, as long as the run; None for zeros
    changed  gets the number (from 0) of each set that changed some activation

    Several sets run side by side, as rows of one batch. At the last position (-1) only that position runs, and only
    its logits come: earlier ones do not see the replacement, so their keys and values are computed once.
    """
    own = [{}, *(places(model, where) for where in sites)]
    past, whole, room = None, tokens, ABREAST
    # The library's own models keep no keys and values, and of bfloat16 no check is near enough to trust those.
    remembers = isinstance(model.original_model, PreTrainedModel) and checkpoint_of(model).dtype == "float32"
    if positions == -1 and tokens.shape[1] > 1 and remembers:
        past, room = keys_and_values(model, tokens[:, :-1]), FOLDED
        tokens, positions = tokens[:, -1:], "all"
        new = new and {name: activation[:, -1:] for name, activation in new.items()}
    for start in range(0, len(own), step := max(1, room // tokens.numel())):
        several = own[start : start + step]
        made, moved = _side_by_side(model, tokens, several, new, positions, past)
        changed.update(start + number - 1 for number in moved)
        if past is not None and start == 0:
            _check_last(model, whole, made[:1, 0])
        yield from made.unbind(1)


def _side_by_side(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    sites: Sequence[Places],
    new: Mapping[str, Tensor] | None,
    positions: Positions,
    past: Any,
) -> tuple[Float[Tensor, "batch sites pos d_vocab"], set[int]]:
    n, moved = len(sites), set[int]()
    if past is not None:
        past = copy.deepcopy(past)  # a run appends to it
        past.batch_repeat_interleave(n)

    def edit(name: str) -> Edit:
        def replace(old: Tensor) -> Tensor:
            made = old.clone().view(-1, n, *old.shape[1:])
            for number, own in enumerate(sites):
                if name in own:
                    before = made[:, number].clone()
                    source = torch.zeros_like(before) if new is None else new[name]
                    made[:, number] = replaced(before, source, positions, own[name])
                    if differs(made[:, number], before):
                        moved.add(number)
            return made.view_as(old)

        return replace

    edits = {name: edit(name) for name in dict.fromkeys(name for own in sites for name in own)}
    rows, _ = run(model, tokens.repeat_interleave(n, 0), edits, past=past)
    return rows.view(-1, n, *rows.shape[1:]), moved


def _check_last(model: Model, tokens: Int[Tensor, "batch pos"], alone: Float[Tensor, "one last d_vocab"]) -> None:
    whole = run(model, tokens[:1])[0][:, -1:]
    if not torch.allclose(whole, alone, rtol=1e-3, atol=1e-3):
        raise HookDidNotFire("the last position alone gives other logits than the whole prompt: use positions=(-1,)")
