"""Positions: do the MLPs use positional embeddings?

These networks learn an embedding of each position, which is added to the words' before the first layer. MLPs and
attention layers read the stream that holds it. Asked here is the direct path alone, from the position embedding to one
reader: its input, before the norm, gets the embedding of another position in the place of its own, and the norm is
computed again. What other readers see stays as it is, and so does what reaches the reader by way of heads, which may
well tell it where it stands. The other position is drawn at random for each prompt and each place among those that the
prompts have (*resample*), or is the mean over them (*mean*); the beginning of the text keeps its own.

The metric is the logit of the answer less that of the distractor, on four tasks, and its share that is lost. Prompts
begin with 0 to 8 fillers, so that no position gives an answer away. "Does not use" means: the interval lies within
5 % of nothing, where the same instrument sees a reader of positions that was planted. Intervals are over sequences and
pairs of operands, across templates, or across nouns; a gate, the
answer before the distractor, stands before every claim. Models that turn queries and keys instead (rotary positions)
have no such path, and the measurement refuses them by name.

What another position costs is compared with what a random direction of that length costs in the same places, and with
what another word's embedding does: MLPs lose nothing by any of them, and attention loses much by all. The shift has the
same length at every reader. How much of an input it is, is asked as well, for it explains this: what the first layer's
heads write is some fifty times longer than the embeddings, so that behind them positions are one or two hundredths of
what the norm lets pass, and words are too. By way of those heads MLPs are told positions nonetheless, as they are with
permuted weights: with others at the embedding, where all see them, much of what an MLP reads changes. Limits: these are
networks of four layers with words as tokens; and fillers leave nothing for positions to say about the answers, so that
a use that does not help would not be seen in this metric.

To be read in this order: test_mlps, test_attention.
"""

from mechlib import Measurement, PromptSet
from mechlib.evidence import evidence
from mechlib.prompts import addition, greater_than, induction, ioi, planted

TASKS = ("induction", "ioi", "addition", "greater-than")
PROMPTS = {
    "induction": induction(200),
    "ioi": ioi(96),
    "addition": addition(200),
    "greater-than": greater_than(96),
    "planted": planted("planted-place"),
}
ACROSS = {"ioi": "templates", "greater-than": "nouns"}  # the other tasks' prompts are independent
FRESH = {  # sequences, sentences and pairs of another draw, for what was restated
    "induction": induction(200, seed=2),
    "ioi": ioi(96, seed=2),
    "addition": addition(200, seed=2),
    "greater-than": greater_than(96, seed=2),
    "planted": planted("planted-place"),
}


# Evidence of several files: the logit difference of each prompt.


@evidence
def logits_by_kind(model: str, how: str, prompts: PromptSet) -> Measurement:
    """Logit difference where all "mlps" see other positions, all "attentions", or those but the first; and "intact"."""
    from mechlib.lab import load, readers, under_other_positions

    network = load(model)
    kinds = {name: readers(network)[name] for name in ("mlps", "attentions", "later attentions")}
    return under_other_positions(network, prompts, kinds, how, unit="prompt")


@evidence
def cost_of_other_embeddings(model: str, kind: str, prompts: PromptSet) -> Measurement:
    """Logits lost where all "mlps", or all "attentions", see other "positions", a random "direction" as long, or
    another "word"; what positions cost beyond either; and "total", the logit difference with nothing changed."""
    from mechlib.lab import load, readers, under_other_embeddings

    network = load(model)
    found = under_other_embeddings(network, prompts, {kind: readers(network)[kind]}, unit="prompt")
    intact = found["intact"].array
    lost = {name: intact - found[f"{kind}, {name}"].array for name in ("positions", "direction", "word")}
    beyond = {f"beyond {name}": lost["positions"] - lost[name] for name in ("direction", "word")}
    return found.with_columns({**lost, **beyond, "total": intact})


# What is lost, and whether the task is done at all.


def answered(model: str, task: str) -> Measurement:
    """1 where the answer's logit is above the distractor's, with nothing changed."""
    return logits_by_kind(model, "resample", PROMPTS[task])["intact"].at_least(0)


def lost(model: str, readers: str, task: str, how: str = "resample") -> Measurement:
    """Logits lost where these readers see other positions, and those that there are to lose: two columns."""
    found = logits_by_kind(model, how, PROMPTS[task])
    return found.with_columns({"lost": found.less("intact", readers).array, "intact": found["intact"].array})
