"""What circuits keep: the metric on every prompt with everything outside a circuit replaced.

*Noising*: the clean prompt runs through the circuit, and everything else holds what it holds in the base. *Denoising*:
the prompt of the base runs, and the circuit holds what it holds in the clean run. The base is the corrupted prompt's
run ("counterfactual"), the mean over reference prompts ("mean"), one of their runs ("resample"), or zeros ("zero");
denoising runs from the base's embeddings, of which "mean" and "zero" make a run as well.

    noising    an edge of the circuit says what its source writes in this run, any other what it wrote in the base
    denoising  an edge of the circuit says what its source wrote in the clean run, any other what it writes in this run

Of a circuit of nodes all edges belong to it that leave its nodes; edges from the input belong to the run. In both
directions the circuit of all edges is the model, and the empty one is the base, or the run from its embeddings.

Source: Wang et al. 2022 (arXiv:2211.00593) for F(C); Heimersheim and Nanda 2024 (arXiv:2404.15255) for directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt, require_finite
from mechlib.lab.circuits.edges import Base, base_names, mask_of, run_of
from mechlib.lab.circuits.incremental_run import Start, Wiring
from mechlib.lab.forward.families import Network, forward, network
from mechlib.lab.interventions.reference import means, require_reference, stock
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.parts.circuits import Circuit
from mechlib.parts.graphs import Graph, Kind
from mechlib.prompts.promptset import PromptSet

How = Literal["counterfactual", "mean", "resample", "zero"]
Direction = Literal["noising", "denoising"]
Metric = Literal["logit difference", "probability", "KL", "correct"]
Mask: TypeAlias = Bool[Tensor, "target source"]
Stream: TypeAlias = Float[Tensor, "batch d_model"]
MODEL, EMPTY, CIRCUIT, WITHOUT = "model", "empty", "circuit", "without"
BUDGET = 2**28  # bytes for what every node writes in prompts that run together
WITHIN = 1e-4  # by how much, as a share of its size, the stream may differ between two ways to compute it
OF: Mapping[Metric, str] = {
    "logit difference": "logit of answer minus distractor",
    "probability": "probability of the answer",
    "KL": "KL divergence from the model's distribution, in nats",
    "correct": "most likely token is the answer",
}

_NO_CIRCUIT = "is no circuit: write circuit('0.3, mlp 1'), or circuit_of(heads), or several of them by name"


class Inexact(ArithmeticError):
    """Two ways to compute the same run disagree: no result follows."""


def circuit_scores(
    model: Model,
    prompts: PromptSet,
    circuits: Circuit | Mapping[str, Circuit],
    how: How,
    reference: PromptSet | None = None,
    metric: Metric = "logit difference",
    direction: Direction = "noising",
    without: bool = False,
    seed: int = 0,
    unit: str = "",
) -> Measurement:
    """The metric on every prompt: "model", "empty", then each circuit under its name, or as "circuit" if it is one.

    how        what stands outside: "counterfactual", "mean", "resample" (drawn with `seed`, the same for all circuits),
               "zero"; mean and resample need `reference` prompts, as ablations do
    metric     at the last position: "logit difference" of answer and distractor; "probability" of the answer; "KL" of
               the distribution from the model's, in nats, 0 for the model; "correct", 1 where the answer is the most
               likely token. Of an answer of several the one is judged by which it first differs from its distractor
    without    also each circuit's complement: "without", or "without NAME"

    Raises ValueError for parts that the model lacks (with the nearest name), circuits of nodes beside circuits of
    edges, prompts without corrupted text or reference where one is needed; UnsupportedModel; Inexact where the circuit
    of all edges is not the model.
    """
    if not isinstance(circuits, (Circuit, Mapping)):
        raise ValueError(f"{circuits!r} {_NO_CIRCUIT}")
    named = {CIRCUIT: circuits} if isinstance(circuits, Circuit) else dict(circuits)
    taken = {MODEL, EMPTY} & set(named)
    if taken:
        raise ValueError(f"a circuit named {taken.pop()!r}: that is a column of its own, choose another name")
    judge = Judge(model, prompts, how, reference, direction, seed)
    kind = kind_of(named.values())
    masks = {EMPTY: judge.mask((), kind), **{name: judge.mask(one, kind) for name, one in named.items()}}
    if without:
        rest = {name: judge.mask(judge.rest(one, kind), kind) for name, one in named.items()}
        masks |= {WITHOUT if name == CIRCUIT else f"{WITHOUT} {name}": mask for name, mask in rest.items()}
    values = judge.values(tuple(masks.values()), metric)
    return judge.measured(values, (MODEL, *masks), metric, unit)


def kind_of(circuits: Iterable[Circuit]) -> Kind:
    """Whether these are circuits of nodes or of edges; of edges where all are empty. ValueError where they differ."""
    circuits = tuple(circuits)
    for one in circuits:
        if not isinstance(one, Circuit):
            raise ValueError(f"{one!r} {_NO_CIRCUIT}")
    found = {one.kind for one in circuits if len(one)}
    if len(found) > 1:
        raise ValueError(
            "circuits of nodes beside circuits of edges: what an empty one holds differs, judge them apart"
        )
    return found.pop() if found else "edges"


class Judge:
    """Runs any circuit of one model on some prompts, with one base and in one direction."""

    def __init__(
        self,
        model: Model,
        prompts: PromptSet,
        how: How,
        reference: PromptSet | None = None,
        direction: Direction = "noising",
        seed: int = 0,
    ) -> None:
        if direction not in get_args(Direction):
            raise ValueError(f"no direction {direction!r}: choose one of {', '.join(get_args(Direction))}")
        self.net: Network = network(model)
        self.graph: Graph = self.net.graph
        self.prompts, self.how, self.direction = prompts, how, direction
        self.batches = batches(model, prompts)
        self.whole = mask_of(self.graph, self.graph.edges)
        self._base = _bases(model, self.net, how, reference, seed)
        self._check(checkpoint_of(model).name)

    def mask(self, parts: Iterable[str], kind: Kind) -> Mask:
        """Which edges say what they say in the run, for `values`. ValueError for parts that the model lacks."""
        kept = mask_of(self.graph, parts)
        if kind == "nodes":
            kept[:, 0] = True
        if self.direction == "noising":
            return kept
        live = self.whole & ~kept
        # The input of a denoised run is the base's; `base` has it so, and what is "live" there is the clean one.
        live[:, 0] = kept[:, 0] & (kind == "edges")
        return live

    def rest(self, parts: Iterable[str], kind: Kind) -> tuple[str, ...]:
        """All nodes or edges but these. ValueError for parts that the model lacks."""
        gone = set(parts)
        self.graph.check(gone)
        return tuple(part for part in getattr(self.graph, kind) if part not in gone)

    def base(self, batch: Batch) -> Base:
        """What the edges that are not live say."""
        outside = self._base(batch)
        if self.direction == "noising":
            return outside
        clean = run_of(self.net, batch.tokens)
        start = "blocks.0.hook_resid_pre"
        return {**clean, start: torch.zeros_like(clean[start]) if outside is None else outside[start]}

    def values(self, masks: Sequence[Mask], metric: Metric) -> list[Float[Tensor, "batch columns"]]:
        """By batch, the metric of the model as it is, then of the run with each mask."""
        return self.all_values(masks, (metric,))[metric]

    def all_values(
        self, masks: Sequence[Mask], metrics: Sequence[Metric]
    ) -> dict[Metric, list[Float[Tensor, "batch columns"]]]:
        """The same for several metrics of the same runs."""
        for metric in metrics:
            if metric not in OF:
                raise ValueError(f"no metric {metric!r}: choose one of {', '.join(OF)}")
        found: dict[Metric, list[Tensor]] = {metric: [] for metric in metrics}
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
        """Batches that run together: as many as fit the budget, with what every node writes in them."""
        group: list[Batch] = []
        for batch in self.batches:
            wide = sum(len(one.rows) for one in (*group, batch)) * max(one.tokens.shape[1] for one in (*group, batch))
            if group and wide * len(self.graph.sources) * self.net.W_E.shape[1] * 4 > BUDGET:
                yield tuple(group)
                group = []
            group.append(batch)
        yield tuple(group)

    def _streams(self, group: Sequence[Batch], masks: Iterable[Mask]) -> Iterator[tuple[Stream, ...]]:
        """The last stream of each batch, for each mask: from the run of all edges or of none, whichever is nearer."""
        runs = [(batch.tokens, self.base(batch)) for batch in group]
        known: dict[Start, Wiring] = {}
        for mask in masks:
            start: Start = "all" if 2 * mask.sum() > self.whole.sum() else "none"
            if start not in known:
                known[start] = Wiring(self.net, runs, start)
            yield known[start].split(known[start].trial(mask.numpy()).stream)

    def means(self, masks: Sequence[Mask], metric: Metric) -> Float[Tensor, " columns"]:
        """The mean over all prompts of each column of `values`, in float64."""
        return torch.cat(self.values(masks, metric)).cpu().double().mean(0)

    def measured(self, values: Iterable[Tensor], columns: Iterable[str], metric: Metric, unit: str = "") -> Measurement:
        """Values by batch as a Measurement by prompt."""
        of = f"{OF[metric]}; {self.described}"
        return per_prompt(self.prompts, self.batches, values, columns, of, unit, yes_no=metric == "correct")

    @property
    def described(self) -> str:
        """What is replaced by what, for axes."""
        source = {"counterfactual": "the corrupted prompt's", "resample": "a reference prompt's"}
        what = source.get(self.how, f"the {self.how}" if self.how == "mean" else "zeros")
        return f"outside the circuit {what}" if self.direction == "noising" else f"the circuit clean in {what} run"

    def _check(self, name: str) -> None:
        """That the circuit of all edges is the model and the counterfactual empty one the base, on a few prompts.

        Each is run from the other, so that every node is computed.
        """
        batch = _first(self.batches[0])
        expected: list[tuple[str, Start, Mask, Tensor]] = [
            ("all edges", "none", self.mask(self.graph.edges, "edges"), batch.tokens)
        ]
        if self.how == "counterfactual":
            expected.append(("no edge", "all", self.mask((), "edges"), corrupted(batch)))
        with torch.no_grad():
            runs = [(batch.tokens, self.base(batch))]
            for what, start, mask, tokens in expected:
                stream, plain = Wiring(self.net, runs, start).trial(mask.numpy()).stream, forward(self.net, tokens)[0]
                off = apart(stream, plain[:, -1])
                if not off <= WITHIN:
                    require_finite(batch, plain[:, -1], name)
                    raise Inexact(
                        f"{name} put together edge by edge, {what}, differs from its plain run by {off:.2g} of the "
                        f"residual stream, more than {WITHIN:g}: report this"
                    )


def apart(one: Stream, other: Stream) -> float:
    """The largest difference of two residual streams, as a share of the largest entry; below 1 as it is."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=1))


def measured_by(net: Network, batch: Batch, metric: Metric, model: Stream) -> Callable[[Stream], Tensor]:
    """The metric as a function of the last residual stream at the last position, one number a row.

    model  that stream in the model as it is, from which KL is taken
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
    return lambda stream: (net.unembed(stream).argmax(-1) == answer).to(stream.dtype)


def corrupted(batch: Batch) -> Int[Tensor, "batch pos"]:
    """The corrupted tokens. ValueError, naming the prompt, where there are none."""
    if batch.corrupted is None:
        raise ValueError(
            f"{batch.prompts[0].clean!r} has no corrupted text: there is no counterfactual run; use mean, resample "
            "or zero, or give the task a corruption"
        )
    return batch.corrupted


def _bases(model: Model, net: Network, how: How, reference: PromptSet | None, seed: int) -> Callable[[Batch], Base]:
    if how == "counterfactual":
        return lambda batch: run_of(net, corrupted(batch))
    if how == "zero":
        return lambda batch: None
    if how not in ("mean", "resample"):
        raise ValueError(f"no replacement {how!r}: choose one of {', '.join(get_args(How))}")
    if reference is None:
        raise ValueError(f"{how} needs reference prompts: pass the task's split='reference'")
    require_reference(reference)
    names = base_names(net)
    return means(model, reference, names) if how == "mean" else stock(model, reference, names, seed)


def _first(batch: Batch, n: int = 2) -> Batch:
    short = None if batch.corrupted is None else batch.corrupted[:n]
    return replace(
        batch,
        rows=batch.rows[:n],
        prompts=batch.prompts[:n],
        tokens=batch.tokens[:n],
        corrupted=short,
        answers=batch.answers[:n],
        distractors=batch.distractors[:n],
    )
