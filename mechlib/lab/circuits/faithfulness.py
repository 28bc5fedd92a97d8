"""Faithfulness: the metric on every prompt with everything outside a circuit replaced.

*Noising*: the clean prompt runs through the circuit, and everything else holds its activations in the base.
*Denoising*: the prompt of the base runs, and the circuit holds its activations in the clean run. The base is the
corrupted prompt's run ("counterfactual"), the mean over reference prompts ("mean"), one of their runs ("resample"), or
zeros ("zero"); denoising runs from the base's embeddings, of which "mean" and "zero" make a run as well.

    noising    an edge of the circuit carries its source's output in this run, any other its source's in the base
    denoising  an edge of the circuit carries its source's output in the clean run, any other its source's in this run

To a circuit of nodes belong all edges that leave its nodes; edges from the input belong to the run. In both directions
the circuit of all edges is the model, and the empty one is the base, or the run from the base's embeddings.

Source: Wang et al. 2022 (arXiv:2211.00593) for F(C); Heimersheim and Nanda 2024 (arXiv:2404.15255) for directions.
"""

from __future__ import annotations

from collections.abc import Mapping

from mechlib.lab.circuits.bases import Replacement
from mechlib.lab.circuits.scorer import NO_CIRCUIT, CircuitMetric, CircuitScorer, Direction, kind_of
from mechlib.lab.interventions.reference import Align
from mechlib.lab.models.loading import Model
from mechlib.measurement import CIRCUIT, EMPTY, MODEL, WITHOUT, Measurement
from mechlib.parts.circuits import Circuit
from mechlib.prompts.promptset import PromptSet


def circuit_scores(
    model: Model,
    prompts: PromptSet,
    circuits: Circuit | Mapping[str, Circuit],
    replacement: Replacement,
    reference: PromptSet | None = None,
    metric: CircuitMetric = "logit difference",
    direction: Direction = "noising",
    without: bool = False,
    seed: int = 0,
    unit: str = "",
    align: Align = "end",
) -> Measurement:
    """The metric on every prompt: "model", "empty", then each circuit under its name, or as "circuit" if it is one.

    replacement  of everything outside: "counterfactual", "mean", "resample" (drawn with `seed`, the same for all
                 circuits), "zero"; mean and resample need `reference` prompts, as ablations do
    metric       at the last position: "logit difference" of answer and distractor, in logits; "probability" of the
                 answer; "KL" of the distribution from the model's, in nats, 0 for the model; "correct", 1 where the
                 answer is the most likely token. Of an answer of several tokens one is judged, by which it first
                 differs from its distractor. KL is an error: `faithfulness(..., lower_is_better=True)`
    direction    "noising" or "denoising", as this file says
    without      also each circuit's complement: "without", or "without NAME"
    align        where positions of prompts and reference prompts are counted from: "end", or "start" (behind BOS)

    Scored at several positions of a text, each is a row: a causal model holds at a position what the text up to there
    says. Give the rows of a text one cluster.

    Raises ValueError for parts that the model lacks (with the nearest name), circuits of nodes beside circuits of
    edges, prompts without corrupted text or reference where one is needed, reference prompts that are tested;
    UnsupportedModel; Inexact where the circuit of all edges is not the model.
    """
    if not isinstance(circuits, (Circuit, Mapping)):
        raise ValueError(f"{circuits!r} {NO_CIRCUIT}")
    named = {CIRCUIT: circuits} if isinstance(circuits, Circuit) else dict(circuits)
    taken = {MODEL, EMPTY} & set(named)
    if taken:
        raise ValueError(f"a circuit named {taken.pop()!r}: that is a column of its own, choose another name")
    scorer = CircuitScorer(model, prompts, replacement, reference, direction, seed, align)
    kind = kind_of(named.values())
    masks = {EMPTY: scorer.mask((), kind), **{name: scorer.mask(one, kind) for name, one in named.items()}}
    if without:
        rest = {name: scorer.mask(scorer.rest(one, kind), kind) for name, one in named.items()}
        masks |= {WITHOUT if name == CIRCUIT else f"{WITHOUT} {name}": mask for name, mask in rest.items()}
    values = scorer.values(tuple(masks.values()), metric)
    return scorer.measured(values, (MODEL, *masks), metric, unit)
