"""Evidence of published sentences on circuits: pretrained models, and two minis beside them, on indirect objects.

A network is taken as a graph of heads and MLPs, and a circuit is a set of these *nodes*: all that its nodes write stays
as it is, all else is replaced, and what is asked is how much of logit(IO) - logit(S) is left. Embeddings stay. Nodes
are scored by EAP-IG (Hanna et al. 2024, arXiv:2403.17806; five steps), or by EAP where that is said, on 64 discovery
prompts (16 templates), and a circuit is the tenth, quarter or half of all nodes with the largest scores, of either
sign. A quarter is what Wang et al. 2022 (arXiv:2211.00593) keep of GPT-2 small: 26 of 144 heads and all 12 MLPs, 24 %.

    nodes    SmolLM2 300, Gemma 3 90, Qwen2.5-Coder 360, a mini 36
    why not edges   SmolLM2 has 123,211 and Qwen2.5-Coder 179,749: a circuit of a few percent of them touches nearly
             every node, and takes several times as many operations as one of nodes

Circuits are judged on 48 confirmation prompts, one for each of 48 templates, in either order of the names by turns (192
of the minis, in 16 templates); nulls and losses node by node on the first 24 (96). Intervals are across templates,
names and objects. Outside the circuit stands what the corrupted prompt has there, in which the other one gives
("counterfactual"), the mean or one prompt of the same template with three names ("mean", "resample"), or zeros.

Beside a circuit stands the same one with the heads of each layer exchanged at random for others of that layer: as many
heads in each layer, and the same MLPs. What a circuit keeps beyond that is due to which heads it has. Named as
controls are two draws, and in one claim 80.

Limits: nodes at all positions at once; one choice of metric and corruption; which MLPs matter is left out of the
control. Nothing is said of models before they were quantised. Behind it stand test_published_circuits and
test_published_methods.
"""

from __future__ import annotations

from dataclasses import replace

from claims.ioi.measurements import logits
from mechlib import (
    Circuit,
    Estimate,
    Graph,
    Heads,
    Measurement,
    PromptSet,
    exchanged_heads,
    proportion,
    strongest_circuit,
)
from mechlib.evidence import evidence
from mechlib.prompts import ioi, style_of

SHARES = {"tenth": 0.1, "quarter": 0.25, "half": 0.5}
CORRUPTED_ONLY = ("tenth", "half", "quarter, EAP", "quarter, fewer")  # under other replacements the quarter alone

# Prompts, worded for the model.


def inside(model: str) -> PromptSet:
    """For judging circuits: one prompt a template, in either order of the names by turns; of a mini twelve."""
    if style_of(model) == "world":
        return ioi(192)
    prompts = ioi(96, style="pretrained")  # of each template one prompt in each order
    rows = tuple(prompts.rows[2 * place + place % 2] for place in range(len(prompts) // 2))
    return replace(prompts, rows=rows, settings=(*prompts.settings, ("orders", "by turns")))


def fewer(model: str) -> PromptSet:
    """The first half of these, for what takes many runs."""
    prompts = inside(model)
    return prompts.take(len(prompts) // 2)


def looked_at(model: str) -> PromptSet:
    """For scoring nodes."""
    return ioi(64, split="discovery", style=style_of(model))


def elsewhere(model: str) -> PromptSet:
    """Sentences with three names, for means and resamples."""
    style = style_of(model)
    return ioi(192 if style == "pretrained" else None, split="reference", style=style)


def preference(model: str) -> Estimate:
    """How often IO has a higher logit than S: the gate of all that is claimed of the inside is .8."""
    found = proportion(logits(model, ioi(style=style_of(model)))["clean"].at_least(0))
    assert isinstance(found, Estimate)
    return found


# Evidence: scores to choose by, then one value, or a few, for each prompt.


@evidence
def effects(model: str, prompts: PromptSet) -> Measurement:
    """What every head and MLP adds to the logit difference, to first order (EAP-IG), prompt by prompt."""
    from mechlib.lab import load, node_scores

    return node_scores(load(model), prompts, by_prompt=True)


@evidence
def effects_by_eap(model: str, prompts: PromptSet) -> Measurement:
    """The same by EAP, gradients of the clean run alone: means, to choose by."""
    from mechlib.lab import load, node_scores

    return node_scores(load(model), prompts, "EAP")


@evidence
def kept(
    model: str,
    names: tuple[str, ...],
    circuits: tuple[Circuit, ...],
    how: str,
    prompts: PromptSet,
    reference: PromptSet | None,
) -> Measurement:
    """Logit difference with all but a circuit replaced, under the circuit's name; of the "model", and of no node
    ("empty")."""
    from mechlib.lab import circuit_scores, load

    asked = dict(zip(names, circuits, strict=True))
    return circuit_scores(load(model), prompts, asked, how, reference, unit="prompt")


@evidence
def kept_with_other_heads(model: str, circuit: Circuit, n: int, prompts: PromptSet) -> Measurement:
    """Of `n` draws of the circuit with its heads exchanged within layers, corrupted outside: logits "kept" above the
    empty circuit, and the "total" that there is to keep. One row each, means over the prompts."""
    from mechlib.lab import exchanged_circuit_scores, load

    found = exchanged_circuit_scores(load(model), prompts, circuit, "counterfactual", n=n, without=False)
    whole, empty, own = (found[name].array for name in ("model", "empty", "circuit"))
    return found.with_columns({"kept": own - empty, "total": whole - empty})


@evidence
def left_without(model: str, heads: Heads, others: Heads, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """Logit difference of the network "intact", and with the heads of a circuit ("circuit") or as many others of their
    layers ("exchanged") at their mean."""
    from mechlib.lab import load, under_ablation

    asked = {"circuit": heads, "exchanged": others}
    return under_ablation(load(model), prompts, asked, "mean", reference, metric="logit difference", unit="prompt")


@evidence
def lost_by_each(model: str, circuit: Circuit, prompts: PromptSet) -> Measurement:
    """Logits lost from the circuit, corrupted outside, when one of its nodes is corrupted too: a column for each."""
    from mechlib.lab import load, lost_by_part

    return lost_by_part(load(model), prompts, circuit, "counterfactual", unit="prompt")


@evidence
def lost_by_one_more(model: str, circuit: Circuit, n: int, prompts: PromptSet) -> Measurement:
    """The same of a random node that was added to the circuit, `n` times: one row each, means over the prompts."""
    from mechlib.lab import load, lost_by_added_part

    return lost_by_added_part(load(model), prompts, circuit, "counterfactual", n=n)


@evidence
def approximated(model: str, prompts: PromptSet) -> Measurement:
    """Attribution patching beside exact patching, corrupted to clean at the last position, in logits: for the heads of
    each layer together and for each MLP what is "exact", and "missed" (attribution less exact); "total".

    Squared and added up over layers: "all of it" (exact), "left" (missed), and "left, by the layer before" (missed
    where each place is given the attribution of its like one layer down, the first that of the last).
    """
    import numpy as np

    from mechlib.lab import attribution_patching, layers, load, restored_by_patching

    loaded = load(model)
    sites = layers(loaded)
    exact, rough = restored_by_patching(loaded, prompts, sites), attribution_patching(loaded, prompts, sites)
    true, first = exact[list(sites)].values, rough[list(sites)].values
    kinds = len(sites) // loaded.cfg.n_layers  # attention and MLP in turn, or attention alone
    sums = {"all of it": true, "left": first - true, "left, by the layer before": np.roll(first, kinds, axis=1) - true}
    return exact.with_columns(
        {
            **{f"exact, {name}": exact[name].array for name in sites},
            **{f"missed, {name}": rough[name].array - exact[name].array for name in sites},
            **{name: (values**2).sum(axis=1) for name, values in sums.items()},
            "total": exact["total"].array,
        }
    )


# Choosing, on discovery prompts only. A twin's circuit is chosen again, on the twin.


def chosen(model: str, name: str) -> Circuit:
    """A share of all nodes by the size of their score: "tenth", "quarter" or "half"; "quarter, EAP" is by EAP, and
    "quarter, fewer" by EAP-IG on the first half of the discovery prompts."""
    size, _, way = name.partition(", ")
    prompts = looked_at(model)
    if way == "EAP":
        scores = effects_by_eap(model, prompts)
    else:
        scores = effects(model, prompts.take(len(prompts) // 2) if way else prompts)
    return strongest_circuit(scores, round(SHARES[size] * len(scores.columns)))


def helpful(model: str) -> Circuit:
    """The tenth of all nodes with the largest positive scores."""
    scores = effects(model, looked_at(model))
    return strongest_circuit(scores, round(SHARES["tenth"] * len(scores.columns)), signed=True)


def exchanged(model: str, n: int) -> tuple[Circuit, ...]:
    """The quarter with the heads of each layer exchanged at random for others of that layer, n times."""
    last = effects(model, looked_at(model)).head_columns[-1]  # "29.8" of 30 layers with 9 heads
    graph = Graph(*(1 + int(number) for number in last.split(".")))
    return exchanged_heads(graph, chosen(model, "quarter"), n)


def all_mlps(model: str) -> Circuit:
    """All MLPs, which is no choice."""
    scores = effects(model, looked_at(model))
    return strongest_circuit(scores[scores.mlp_columns], len(scores.mlp_columns))


def with_all_mlps(model: str) -> Circuit:
    """All MLPs, and as many heads as 26 are of 144, Wang et al.'s, those with the largest scores of either sign."""
    scores = effects(model, looked_at(model))
    heads = scores[scores.head_columns]
    return strongest_circuit(heads, round(len(heads.columns) * 26 / 144)) | all_mlps(model)


def kept_with_all_mlps(model: str) -> Measurement:
    """What that circuit keeps, all other heads at their mean: "with all MLPs"; with its heads exchanged within layers,
    "exchanged 1" and "exchanged 2"; and "MLPs alone"."""
    own = with_all_mlps(model)
    last = effects(model, looked_at(model)).head_columns[-1]
    others = exchanged_heads(Graph(*(1 + int(number) for number in last.split("."))), own, 2)
    asked = {"with all MLPs": own, "exchanged 1": others[0], "exchanged 2": others[1], "MLPs alone": all_mlps(model)}
    return kept(model, tuple(asked), tuple(asked.values()), "mean", inside(model), elsewhere(model))


def kept_by_circuits(model: str, how: str) -> Measurement:
    """What the quarter keeps under one replacement, and with its heads exchanged, "exchanged 1" and "exchanged 2";
    corrupted outside, also what the other circuits keep."""
    others = CORRUPTED_ONLY if how == "counterfactual" else ()
    asked = {name: chosen(model, name) for name in ("quarter", *others)}
    asked |= {f"exchanged {number}": one for number, one in enumerate(exchanged(model, 2), 1)}
    reference = elsewhere(model) if how in ("mean", "resample") else None
    return kept(model, tuple(asked), tuple(asked.values()), how, inside(model), reference)
