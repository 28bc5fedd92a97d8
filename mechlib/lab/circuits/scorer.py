"""Scores of circuits: the metric on every prompt with everything outside a circuit replaced, for any circuit asked.

`mechlib.lab.circuits.faithfulness` explains noising and denoising.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt, require_finite
from mechlib.lab.circuits.bases import Base, Replacement, base_of_run, bases, corrupted_tokens
from mechlib.lab.circuits.incremental_run import IncrementalRun, Start
from mechlib.lab.forward.families import Network, forward, network
from mechlib.lab.hooks import sizes
from mechlib.lab.interventions.reference import Align
from mechlib.lab.metrics import correct
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import Graph, Kind
from mechlib.prompts.promptset import PromptSet

Direction = Literal["noising", "denoising"]
CircuitMetric = Literal["logit difference", "probability", "KL", "correct"]
Mask: TypeAlias = Bool[Tensor, "target source"]
Stream: TypeAlias = Float[Tensor, "batch d_model"]
GROUP_BYTES = 2**28  # that the outputs of all nodes may take, in prompts that run together
WITHIN = 1e-4  # by how much, as a share of its size, an entry of the stream may differ between two ways to compute it
OF: Mapping[CircuitMetric, str] = {
    "logit difference": "logit of answer minus distractor",
    "probability": "probability of the answer",
    "KL": "KL divergence from the model's distribution, in nats",
    "correct": "most likely token is the answer",
}
NO_CIRCUIT = "is no circuit: write circuit('0.3, mlp 1'), or circuit_of(heads), or several of them by name"


class Inexact(ArithmeticError):
    """Two ways to compute the same run disagree: no result follows."""


class CircuitScorer:
    """Runs any circuit of one model on some prompts, with one base and in one direction.

    Arguments as of `circuit_scores`. Raises ValueError for an unknown direction, and as `bases` does; UnsupportedModel;
    Inexact where the circuit of all edges is not the model.
    """

    def __init__(
        self,
        model: Model,
        prompts: PromptSet,
        replacement: Replacement,
        reference: PromptSet | None = None,
        direction: Direction = "noising",
        seed: int = 0,
        align: Align = "end",
    ) -> None:
        self.name = checkpoint_of(model).name
        self.net: Network = network(model)
        self.graph: Graph = self.net.graph
        self.prompts, self.replacement, self.direction = prompts, replacement, _known(direction)
        self.batches = batches(model, prompts)
        self.whole = mask_of(self.graph, self.graph.edges)
        self._base = bases(model, self.net, prompts, replacement, reference, seed, align)
        self._check()

    def towards(self, direction: Direction) -> CircuitScorer:
        """The same in a direction. Errors as of the class."""
        made = copy(self)
        made.direction = _known(direction)
        made._check()
        return made

    def mask(self, parts: Iterable[str], kind: Kind) -> Mask:
        """True where an edge carries its source's output in the run, not in the base: for `values`.

        ValueError for parts that the model lacks.
        """
        kept = mask_of(self.graph, parts)
        if kind == "nodes":
            kept[:, 0] = True
        if self.direction == "noising":
            return kept
        live = self.whole & ~kept
        # The input of a denoised run is the base's, as `base` has it; a live edge from the input carries the clean one.
        live[:, 0] = kept[:, 0] & (kind == "edges")
        return live

    def rest(self, parts: Iterable[str], kind: Kind) -> tuple[str, ...]:
        """All nodes or edges but these. ValueError for parts that the model lacks."""
        gone = set(parts)
        self.graph.check(gone)
        return tuple(part for part in getattr(self.graph, kind) if part not in gone)

    def base(self, batch: Batch) -> Base:
        """The activations that edges outside the mask carry, for one batch."""
        outside = self._base(batch)
        if self.direction == "noising":
            return outside
        clean = base_of_run(self.net, batch.tokens)
        start = "blocks.0.hook_resid_pre"
        return {**clean, start: torch.zeros_like(clean[start]) if outside is None else outside[start]}

    def values(self, masks: Sequence[Mask], metric: CircuitMetric) -> list[Float[Tensor, "batch columns"]]:
        """By batch, the metric of the model as it is, then of the run with each mask; ValueError for no metric."""
        return self.all_values(masks, (metric,))[metric]

    def all_values(
        self, masks: Sequence[Mask], metrics: Sequence[CircuitMetric]
    ) -> dict[CircuitMetric, list[Float[Tensor, "batch columns"]]]:
        """The values of several metrics, from the same runs; ValueError for no metric."""
        for metric in metrics:
            if metric not in OF:
                raise ValueError(f"no metric {metric!r}: choose one of {', '.join(OF)}")
        found: dict[CircuitMetric, list[Tensor]] = {metric: [] for metric in metrics}
        with torch.no_grad():
            for group in self._groups():
                streams = list(self._streams(group, masks))
                for place, batch in enumerate(group):
                    model = forward(self.net, batch.tokens)[0][:, -1]
                    for metric in metrics:
                        own = measured_by(self.net, batch, metric, model)
                        columns = [own(model), *(own(stream[place]) for stream in streams)]
                        found[metric].append(torch.stack(columns, dim=1))
        return found

    def _groups(self) -> Iterator[tuple[Batch, ...]]:
        """Batches that run together: as many as fit GROUP_BYTES with the outputs of all nodes."""
        group: list[Batch] = []
        for batch in self.batches:
            wide = sum(len(one.rows) for one in (*group, batch)) * max(one.tokens.shape[1] for one in (*group, batch))
            if group and wide * len(self.graph.sources) * self.net.W_E.shape[1] * 4 > GROUP_BYTES:
                yield tuple(group)
                group = []
            group.append(batch)
        yield tuple(group)

    def _streams(self, group: Sequence[Batch], masks: Iterable[Mask]) -> Iterator[tuple[Stream, ...]]:
        """The last stream of each batch, for each mask: from the run of all edges or of none, whichever is nearer."""
        runs = [(batch.tokens, self.base(batch)) for batch in group]
        known: dict[Start, IncrementalRun] = {}
        for mask in masks:
            start: Start = "all" if 2 * mask.sum() > self.whole.sum() else "none"
            if start not in known:
                known[start] = IncrementalRun(self.net, runs, start)
            yield known[start].split(known[start].trial(mask.numpy()).stream)

    def means(self, masks: Sequence[Mask], metric: CircuitMetric) -> Float[Tensor, " columns"]:
        """The mean over all prompts of each column of `values`, in float64."""
        return torch.cat(self.values(masks, metric)).cpu().double().mean(0)

    def measured(
        self, values: Iterable[Tensor], columns: Iterable[str], metric: CircuitMetric, unit: str = ""
    ) -> Measurement:
        """Values by batch as a Measurement by prompt."""
        of = f"{OF[metric]}; {self.described}"
        return per_prompt(self.prompts, self.batches, values, columns, of, unit, yes_no=metric == "correct")

    @property
    def described(self) -> str:
        """The replacement and the direction in words, for axes."""
        source = {"counterfactual": "the corrupted prompt's", "resample": "a reference prompt's"}
        what = source.get(self.replacement, f"the {self.replacement}" if self.replacement == "mean" else "zeros")
        return f"outside the circuit {what}" if self.direction == "noising" else f"the circuit clean in {what} run"

    def _check(self) -> None:
        """Inexact unless the circuit of all edges is the model and the counterfactual empty one the base.

        On two prompts. Each is run from the other, so that every node is computed.
        """
        batch = self.batches[0].part(slice(2))
        expected: list[tuple[str, Start, Mask, Tensor]] = [
            ("all edges", "none", self.mask(self.graph.edges, "edges"), batch.tokens)
        ]
        if self.replacement == "counterfactual":
            expected.append(("no edge", "all", self.mask((), "edges"), corrupted_tokens(batch)))
        with torch.no_grad():
            runs = [(batch.tokens, self.base(batch))]
            for what, start, mask, tokens in expected:
                stream = IncrementalRun(self.net, runs, start).trial(mask.numpy()).stream
                plain = forward(self.net, tokens)[0][:, -1]
                off = apart(stream, plain)
                if not off <= WITHIN:
                    require_finite(batch, plain, self.name)
                    raise Inexact(
                        f"{self.name} put together edge by edge, {what}, differs from its plain run by {off:.2g} of "
                        f"the residual stream, more than {WITHIN:g}: report this"
                    )


def _known(direction: Direction) -> Direction:
    if direction not in get_args(Direction):
        raise ValueError(f"no direction {direction!r}: choose one of {', '.join(get_args(Direction))}")
    return direction


def kind_of(circuits: Iterable[Circuit]) -> Kind:
    """The kind of these circuits, "nodes" or "edges"; "edges" where all are empty. ValueError where they differ."""
    circuits = tuple(circuits)
    for one in circuits:
        if not isinstance(one, Circuit):
            raise ValueError(f"{one!r} {NO_CIRCUIT}")
    found = {one.kind for one in circuits if len(one)}
    if len(found) > 1:
        raise ValueError(
            "circuits of nodes beside circuits of edges: what an empty one holds differs, judge them apart"
        )
    return found.pop() if found else "edges"


def mask_of(graph: Graph, circuit: Iterable[str]) -> Bool[Tensor, "target source"]:
    """True where an edge is in the circuit: targets by sources, in the graph's order.

    A circuit of nodes has every edge that leaves one of its nodes; edges from the input are always in it.
    Raises ValueError, with the nearest name, for parts that the model lacks.
    """
    parts = tuple(circuit)
    graph.check(parts)
    rows, columns = _places(graph)
    made = torch.zeros(len(graph.targets), len(graph.sources), dtype=torch.bool)
    if parts and Circuit(parts).kind == "nodes":
        made[:, [0, *(columns[node] for node in parts)]] = True
        for row, (node, _) in enumerate(graph.targets):
            made[row, graph.before(node) :] = False
        return made
    ends = [part.split("->") for part in parts]
    made[[rows[target] for _, target in ends], [columns[source] for source, _ in ends]] = True
    return made


@lru_cache(maxsize=8)
def _places(graph: Graph) -> tuple[dict[str, int], dict[str, int]]:
    """The row of each target, by its name in an edge, and the column of each source."""
    rows = {f"{node}.{port}" if port else node: row for row, (node, port) in enumerate(graph.targets)}
    return rows, {source: column for column, source in enumerate(graph.sources)}


def apart(one: Stream, other: Stream) -> float:
    """The largest difference of two residual streams in an entry, as a share of its size in `other`, if that exceeds 1.

    Sizes are those of `mechlib.lab.hooks.sizes`: a wrong entry beside a large constant one is seen.
    """
    return float(((one - other).abs() / sizes(other.unsqueeze(1))[:, 0].clamp(min=1)).max())


def measured_by(net: Network, batch: Batch, metric: CircuitMetric, model: Stream) -> Callable[[Stream], Tensor]:
    """The metric as a function of the last residual stream at the last position, one number a row.

    model  the last residual stream of the model as it is, from which KL is taken
    """
    if metric == "logit difference":
        words = torch.stack([batch.answer, batch.distractor], dim=1)

        def difference(stream: Stream) -> Float[Tensor, " batch"]:
            made = net.answer_logits(stream, words)
            return made[:, 0] - made[:, 1]

        return difference
    if metric == "KL":
        wanted = net.unembed(model).cpu().double().log_softmax(-1)  # mps has no float64
        return lambda stream: (wanted.exp() * (wanted - net.unembed(stream).cpu().double().log_softmax(-1))).sum(-1)
    answer = batch.answer
    if metric == "probability":
        return lambda stream: net.unembed(stream).softmax(-1).gather(1, answer.unsqueeze(1)).squeeze(1)
    return lambda stream: correct(net.unembed(stream).unsqueeze(1), answer)
