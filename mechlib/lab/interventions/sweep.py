"""Exact sweeps: each of many sets of places replaced in turn, and a metric on every prompt for each, at full speed.

Nothing is approximated. Activations that a replacement cannot have changed are taken from the run as it is: at
positions before the first replaced one, in layers below the first replaced one, and, where the source is a run that
begins with the same tokens, at all positions before the first token that differs (the activations of the two runs agree
at these). Of the last layer and the vocabulary only as much is computed as the metric reads (`resume` has the runs,
`readout` the metrics).

The first sweep of a kind (which activations, from where, at which positions) that a process makes of a model computes a
few of its sets again through hooks (`through_hooks`), and raises if logits differ. Its runs are kept (`kept_runs`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from mechlib.checkpoints.checkpoint import twin_of
from mechlib.lab.batching import Batch, require_finite
from mechlib.lab.forward.cache import CachedRun, layer_and_part
from mechlib.lab.forward.families import Network, network
from mechlib.lab.hooks import SAME, sizes
from mechlib.lab.interventions import through_hooks as hooked
from mechlib.lab.interventions.contexts import Positions, Where, indices, places
from mechlib.lab.interventions.kept_runs import KeptRuns
from mechlib.lab.interventions.readout import Read, Readout
from mechlib.lab.interventions.resume import ResumedRuns, entry_layer
from mechlib.lab.interventions.sites import Places, Source, Swept
from mechlib.lab.models.loading import Model
from mechlib.parts.heads import EmptySelection

SWEEP_BYTES = 512 * 2**20  # for the cached runs of a batch and for the sets that run side by side
TOGETHER = 2048  # tokens that run side by side: more bring no speed on a CPU, and leave its cache
CHECKED = 4  # sets of the first sweep of a kind that are computed again through hooks, on one prompt
SOON = 5.0  # seconds after which a sweep that is not over yet shows a bar, on a terminal


class Disagreement(RuntimeError):
    """An exact sweep gave other logits than the hooked model."""


def sweep(
    model: Model,
    batch: Batch,
    sites: Sequence[Where],
    source: Source,
    positions: Positions,
    readout: Readout,
    memory: int = SWEEP_BYTES,
    bar: Any = None,
) -> Swept:
    """A metric on each prompt of a batch, as it is and with each set of places replaced.

    sites      sets of places: heads, MLPs or the residual stream, alone or together
    source     the activations that replace theirs: token ids of another run, of which `Swept.source` then has the
               metric; or activations by hook name, as [batch pos ...]; or None for zeros
    positions  one, negative from the end; a tuple of several; or "all"
    readout    the metric: LOGIT_DIFFERENCE, ANSWERED or REPEAT_LOSS of `readout`, or one's own
    memory     bytes for activations; weights are not counted
    bar        the bar of `progress`, where one is shown for several batches together

    Raises UnsupportedModel for an architecture that `network` does not know (`sweep_through_hooks` takes the same
    arguments and any model), ValueError where the memory is too little for one prompt, Disagreement where the hooked
    model gives other logits, EmptySelection for an empty set.
    """
    replaced = tuple(_places(model, where) for where in sites)
    if not all(replaced):
        raise EmptySelection("a set without heads: there is nothing to patch or ablate in it")
    job = _Sweep(model, network(model), tuple(sites), replaced, positions, readout)
    rows, together = job.room(batch.tokens, source, memory)
    parts = []
    with progress(0) if bar is not None else progress(len(batch.tokens) * len(replaced)) as alone:
        for start in range(0, len(batch.tokens), rows):
            which = slice(start, start + rows)
            own, theirs = batch.part(which), _source_rows(source, which)
            parts.append(job.part(own, theirs, together, alone if bar is None else bar))
    return Swept.joined(parts)


def sweep_each(
    model: Model,
    several: Sequence[Batch],
    sites: Sequence[Where],
    source: Callable[[Batch], Source],
    positions: Positions,
    readout: Readout,
    through_hooks: bool = False,
) -> list[Swept]:
    """The sweep of each batch from its source, under one bar; `through_hooks` for models that `network` refuses."""
    if through_hooks:
        return [hooked.sweep_through_hooks(model, batch, sites, source(batch), positions, readout) for batch in several]
    with progress(sum(len(batch.tokens) for batch in several) * len(sites)) as bar:
        return [sweep(model, batch, sites, source(batch), positions, readout, bar=bar) for batch in several]


def progress(total: int) -> Any:
    """A progress bar for `total` runs, shown once they take SOON seconds, where standard error is a terminal."""
    return tqdm(total=total, desc="sweep", unit="run", delay=SOON, disable=None, leave=False)


@dataclass(frozen=True, eq=False)
class _Sweep:
    model: Model
    net: Network
    sites: tuple[Where, ...]
    places: tuple[Places, ...]
    positions: Positions
    readout: Readout

    def part(self, batch: Batch, source: Source, together: int, bar: Any) -> Swept:
        """The sweep of as many prompts as fit the memory, `together` sets side by side."""
        first, began, at = self.span(batch.tokens, source)
        base, other = _RUNS(self.net, batch.tokens, source, first, began, self.of_groups)
        new: Mapping[str, Tensor] | None = None
        if other is not None:
            new = {name: other[name] for name in self.names}
        elif isinstance(source, Mapping):
            new = {name: source[name][:, first:] for name in self.names}
        resumed = ResumedRuns(self.net, base, new, at, base.streams[0].shape[1] if self.readout.whole else 1)
        checked = self.unchecked(batch, source, first)
        intact = self.read(base.streams[-1].unsqueeze(1), batch)[:, 0]
        after = self.readout.value(intact, batch).unsqueeze(1).repeat(1, len(self.places))
        changed, touched = self.moved(base, new, at)
        order = sorted(torch.nonzero(touched).flatten().tolist(), key=lambda number: entry_layer(self.places[number]))
        for start in range(0, len(order), together):
            numbers = order[start : start + together]
            reads = self.read(resumed([self.places[number] for number in numbers]), batch)
            for number, own in zip(numbers, reads.unbind(1), strict=True):
                after[:, number] = self.readout.value(own, batch)
                if checked is not None:
                    checked.see(number, own)
            bar.update(len(numbers) * len(batch.tokens))
        require_finite(batch, intact, self.net.name)
        if checked is not None:
            checked.check(intact, base)
        ends = None if other is None else self.read(other.streams[-1].unsqueeze(1), batch)[:, 0]
        return Swept(
            intact=self.readout.value(intact, batch),
            after=after,
            source=None if ends is None else self.readout.value(ends, batch),
            changed=changed,
        )

    def unchecked(self, batch: Batch, source: Source, first: int) -> _Checked | None:
        """A check through hooks, where no sweep of this kind was checked on these weights before."""
        parts = frozenset(layer_and_part(name)[1] for name in self.names)
        at = self.positions if self.positions in ("all", -1) else "some"
        kind = parts, type(source), at, first > 0, self.readout.whole, self.readout.words is None
        return None if kind in _SEEN.get(self.net, ()) else _Checked(self, batch, source, kind)

    @property
    def names(self) -> tuple[str, ...]:
        """Every activation that some set replaces."""
        return tuple(dict.fromkeys(name for own in self.places for name in own))

    @property
    def of_groups(self) -> bool:
        """Whether keys or values are replaced."""
        return any(name.endswith(("hook_k", "hook_v")) for name in self.names)

    def span(self, tokens: Int[Tensor, "batch pos"], source: Source) -> tuple[int, int, tuple[int, ...]]:
        """The first position that is computed again, the position at which the source run begins, and the replaced
        positions, counted from the first.

        Before the first token that differs, the activations of the two runs are the same.
        """
        length = tokens.shape[1]
        began, at = 0, sorted(set(indices(self.positions, length)))
        if isinstance(source, Tensor):
            if source.shape != tokens.shape:
                raise ValueError(
                    f"the source run has shape {tuple(source.shape)}, the run {tuple(tokens.shape)}: source and run "
                    "must have the same rows and positions"
                )
            other = (source != tokens).any(0).nonzero()
            began = int(other[0]) if len(other) else length
            at = [position for position in at if position >= began]
        if self.readout.whole:
            return 0, 0, tuple(at)
        first = at[0] if at else length - 1
        return first, min(began, first), tuple(position - first for position in at)

    def read(self, streams: Float[Tensor, "batch sites pos d_model"], batch: Batch) -> Float[Tensor, "batch sets at w"]:
        """The logits that the metric reads, from the last residual streams."""
        streams = streams if self.readout.whole else streams[:, :, -1:]
        if self.readout.words is None:
            return self.net.unembed(streams)
        return self.net.answer_logits(streams, self.readout.words(batch))

    def moved(
        self, base: CachedRun, new: Mapping[str, Tensor] | None, at: tuple[int, ...]
    ) -> tuple[Bool[Tensor, " sites"], Bool[Tensor, " sites"]]:
        """For each set, whether it changes an activation of the run by more than rounding, and whether at all."""
        by_head: dict[str, tuple[Tensor, Tensor]] = {}
        for name in self.names:
            old = base[name]
            off = (old if new is None else new[name] - old).abs()[:, list(at)]
            rounding = SAME * sizes(old)[:, list(at)]  # as `hooks.differs` has it
            by_head[name] = (_any(off > rounding), _any(off > 0))
        found = [
            [
                any(bool(by_head[name][which][list(heads or (0,))].any()) for name, heads in own.items())
                for which in (0, 1)
            ]
            for own in self.places
        ]
        changed, touched = torch.tensor(found).T
        return changed, touched

    def room(self, tokens: Int[Tensor, "batch pos"], source: Source, memory: int) -> tuple[int, int]:
        """How many prompts are swept at once, and how many sets side by side."""
        net, length = self.net, tokens.shape[1]
        first, began, _ = self.span(tokens, source)
        width, inside = net.W_E.shape[1], net.n_heads * net.d_head
        hidden = max((len(block.into) for block in net.blocks if block.into is not None), default=0)
        reads = (length if self.readout.whole else 1) * (2 * len(net.W_U) if self.readout.words is None else 8)
        group = 2 * net.n_groups * net.d_head
        runs = length - first + (length - began if isinstance(source, Tensor) else 0)
        kept = net.n_layers * (length * group + runs * (3 * width + inside + group * (1 + self.of_groups)))
        one = (length - first) * (8 * width + 3 * inside + 2 * group + 2 * hidden + 3 * net.n_heads * length) + reads
        whole = length * (8 * width + 3 * inside + 2 * group + 2 * hidden)
        needed = 4 * (kept + max(one, whole))
        rows = min(len(tokens), memory // needed)
        if rows < 1:
            raise ValueError(
                f"a memory budget of {memory / 2**20:.3g} MiB is too small for one prompt of {length} tokens: "
                f"{net.name} needs {needed / 2**20:.3g} MiB for it; allow more, or shorten the prompts"
            )
        fitting = max(1, (memory - 4 * rows * kept) // (4 * rows * one))
        if tokens.device.type == "cpu":
            fitting = min(fitting, max(1, TOGETHER // (rows * (length - first))))
        return rows, fitting


class _Checked:
    """A few sets, on one prompt, whose logits are compared with the logits of the hooked model; once for each kind."""

    def __init__(self, job: _Sweep, batch: Batch, source: Source, kind: tuple[object, ...]) -> None:
        rng = random.Random(f"{batch.rows} {len(job.sites)} {job.positions}")
        self.job, self.row = job, rng.randrange(len(batch.tokens))
        self.numbers = rng.sample(range(len(job.sites)), min(CHECKED, len(job.sites)))
        one = slice(self.row, self.row + 1)
        self.batch, self.source = batch.part(one), _source_rows(source, one)
        self.kind, self.seen = kind, dict[int, Tensor]()

    def see(self, number: int, read: Read) -> None:
        """Keep the logits of the checked prompt with this set replaced, where the set is one of the few."""
        if number in self.numbers:
            self.seen[number] = read[self.row].clone()

    def check(self, intact: Read, base: CachedRun) -> None:
        """Disagreement where the hooked model gives other logits."""
        job, sites = self.job, [self.job.sites[number] for number in self.numbers]
        last = None if job.readout.whole else 1
        runs = hooked.on_one_prompt(job.model, self.batch.tokens, sites, self.source, job.positions, last)
        streams = torch.stack([stream[self.row, -runs.shape[1] :] for stream in base.streams])
        for number, logits in zip(self.numbers, runs, strict=True):
            own = self.seen.get(number, intact[self.row])
            off = (own - job.readout.of(logits.unsqueeze(0), self.batch)[0]).abs().amax(-1)
            rounding = hooked.rounding(logits, streams, twin_of(job.net.name) == "permuted")
            if not bool((off <= rounding).all()):
                require_finite(self.batch, own.unsqueeze(0), job.net.name)
                seen, allowed = (float(one[(off - rounding).argmax()]) for one in (off, rounding))
                raise Disagreement(
                    f"with {', '.join(job.places[number])} replaced at position {job.positions} of {job.net.name}, "
                    f"exact sweep and hooked model differ by {seen:.2g} in a logit, {allowed:.2g} allowed: one of the "
                    "two is wrong; report it, and sweep through hooks alone with hooked=True"
                )
        _SEEN.setdefault(job.net, set()).add(self.kind)


_RUNS = KeptRuns()
_SEEN: WeakKeyDictionary[Network, set[tuple[object, ...]]] = WeakKeyDictionary()  # kinds of sweeps that were checked


def _places(model: Model, where: Where) -> Places:
    """Hook names, each with its heads once, however often they are named."""
    return {name: heads and tuple(dict.fromkeys(heads)) for name, heads in places(model, where).items()}


def _any(moved: Bool[Tensor, "batch pos ..."]) -> Bool[Tensor, " heads"]:
    """By head, or one entry for an activation that has none."""
    return moved.any(0).any(0).any(-1).reshape(-1).cpu()


def _source_rows(source: Source, which: slice) -> Source:
    if source is None or isinstance(source, Tensor):
        return None if source is None else source[which]
    return {name: activation[which] for name, activation in source.items()}
