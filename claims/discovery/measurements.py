"""Discovery: methods that find circuits are claims too, where the circuit is known.

The models here were written down weight by weight (`mechlib.checkpoints.planted`): an induction head with its
previous-token head, the duplicate-inhibit-copy circuit of indirect objects, an adder modulo ten whose sum an MLP makes;
*bias* is the adder whose MLP needs the constant output of one more head, *backup* has two inhibition heads each of
which is enough. Each stands among heads and MLPs that are as active as the circuit's and that nothing reads which
matters. So for every edge it is known whether it belongs to the circuit.

A unit is an embedding: one seed draws the rotation of the residual stream, the places of the circuit's heads and all
distractors. There are 20, the same for every claim, and what holds in 20 of 20 holds in at least 83 %
(Clopper-Pearson). What any code that works must find there is no claim: those twenty of twenty are tests of the
instruments, on two embeddings, in tests/lab/circuits/. Left are sentences about methods that might have been true and
mostly are not. Methods choose on discovery prompts; where the circuit is given, it is judged on
confirmation prompts. Bounds were set on embeddings from 100 on, of which none is judged here.

Limits: nothing was trained. Embeddings differ in places and distractors, but what flows through the circuit is the
same in all of them but for the rotation: about distractors 20 embeddings are 20 trials, about sizes of effects they are
one. Other edges matter not at all instead of a little, so that to rank edges is easy here, and which threshold is right
is not asked.

To be read in this order: test_gradients, test_hypotheses.
"""

from mechlib import Circuit, Measurement, PromptSet
from mechlib.checkpoints import PLANTED_RECIPE, plan
from mechlib.evidence import evidence
from mechlib.prompts import planted

KINDS = ("induction", "ioi", "adder")


def embeddings(kind: str, recipe: int) -> tuple[str, ...]:
    """Twenty models of one kind; the recipe of their weights is an argument, so that evidence is filed under it."""
    from mechlib.checkpoints import PLANTED_RECIPE

    if recipe != PLANTED_RECIPE:
        raise ValueError(f"recipe {recipe} of planted models is not at hand: theirs is {PLANTED_RECIPE}")
    return tuple(f"planted-{kind}-{seed}" for seed in range(20))


# Evidence of several files: one row for each embedding.


@evidence
def ranked(kind: str, prompts: PromptSet, recipe: int = PLANTED_RECIPE) -> Measurement:
    """How the sizes of EAP's and EAP-IG's scores tell planted edges from others.

    "AUROC": probability that a planted edge scores more than another (ties are half). "recall": share of planted edges
    among the highest, as many as there are. "seen": share of planted edges that score at least 5 % of the clean less
    the corrupted logit difference. "smallest" and, in the kind with backups, "largest of backups": scores as such
    shares.
    """
    import numpy as np
    from scipy.stats import rankdata

    from mechlib.lab import circuit_scores, edge_scores, load

    rows = []
    for name in embeddings(kind, recipe):
        known, model = plan(name), load(name)
        ends = circuit_scores(model, prompts, Circuit(known.edges), "counterfactual")
        whole = (ends["model"].array - ends["empty"].array).mean()
        found = {}
        for method in ("EAP", "EAP-IG"):
            scores = edge_scores(model, prompts, method)
            sizes = np.abs(scores.values[0]) / whole
            true = np.isin(scores.columns, known.edges)
            n, others = true.sum(), (~true).sum()
            backups = np.isin(scores.columns, [edge for group in known.redundant for edge in group])
            found |= {
                f"AUROC {method}": (rankdata(sizes)[true].sum() - n * (n + 1) / 2) / (n * others),
                f"recall {method}": true[np.argsort(-sizes)[:n]].mean(),
                f"seen {method}": (sizes[true] >= 0.05).mean(),
                f"smallest {method}": sizes[true].min(),
                f"largest of backups {method}": sizes[backups].max(initial=0),
            }
        rows.append(tuple(found.values()))
    return Measurement(rows, embeddings(kind, recipe), "embedding", tuple(found), of="scores of planted edges")


# What is looked at.


def by_gradients(kind: str) -> Measurement:
    """How scores rank edges, on 20 discovery prompts."""
    return ranked(kind, planted(f"planted-{kind}", 20, "discovery"))
