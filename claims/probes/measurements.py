"""Probes: what can be read of the residual stream linearly, where, and what changing it does.

A probe is a logistic regression from the stream at one depth and place, judged out of fold; no pair of operands, in
either order, and no name that is asked for, is in training and in test. A stream has all of its input in it, a random
network's as well, so that an accuracy says little alone. Every claim that something is read is a paired difference, on
the same prompts and folds, to what the same fit makes of a bag of embeddings, of a bag of tokens, of the most frequent
class and of shuffled labels; the best of these is beaten where every one is. The network's untrained and permuted twins
are the other baseline: the claim must fail on both. What a bag of tokens has, a carry say, is claimed from above.

Targets: the tens and the units of a sum (which no sum over words gives), the carry, the order of operands, whether the
giver is said first, the gender of who is given to. Places: the last word, behind which the answer is decided, and the
second operand. Depths were chosen on mini-pilot.

That something can be read does not say that it is used. So directions and subspaces, made from discovery prompts, are
taken out of the stream, put into it, or exchanged between two runs, beside changes as large elsewhere. Of a direction
the part in a probe's row space is told from the part that moves no probe (docs/STATISTICS.md, R24).

Intervals are across operands, or names and templates. They are over prompts, not over draws of folds, and errors of
one fold's probe are shared by its prompts, which no interval knows. Limits: 200 pairs train ten classes by some twenty
each, so that what is not read might be by more; shuffled labels and the control task are one draw each; probes are
linear.

To be read in this order: test_decodability, test_directions, test_interchange.
"""

from mechlib import Measurement, PromptSet
from mechlib.evidence import evidence
from mechlib.prompts import addition, ioi

SUMS, GIVEN = addition(200), ioi(320)
BASELINES = ("bag of embeddings", "bag of tokens", "majority", "shuffled labels")
# What is asked: prompts, place, and what is not split between training and test.
ASKED = {
    "tens of the sum": (SUMS, "end", ("a", "b")),
    "sum modulo 10": (SUMS, "end", ("a", "b")),
    "carry": (SUMS, "end", ("a", "b")),
    "order": (SUMS, "end", ("a", "b")),
    "order at the second operand": (SUMS, "last {b}", ("a", "b")),
    "subject": (GIVEN, "end", "answer"),
    "gender of the answer": (GIVEN, "end", "answer"),
}


@evidence
def read_out(
    model: str, prompts: PromptSet, target: str, at: str, group: str | tuple[str, ...], depth: str, folds: int = 3
) -> Measurement:
    """Whether a probe names each prompt's class, out of fold: a column a depth, and one a baseline.

    "shuffled labels" is the probe at `depth` on labels that were exchanged between groups.
    """
    from mechlib.lab import load, probe, probe_bags

    network = load(model)
    own = probe(network, prompts, target, at, group, folds=folds)
    bags = probe_bags(network, prompts, target, at, group, folds=folds)
    shuffled = probe(network, prompts, target, at, group, labels="shuffled", layers=(depth,), folds=folds)
    columns = {name: own[name].array for name in own.columns} | {name: bags[name].array for name in bags.columns}
    found = own.with_columns({**columns, "shuffled labels": shuffled.array})
    return Measurement(found.values, found.units, columns=found.columns, yes_no=True, of=own.of)


def read(model: str, what: str, depth: str) -> Measurement:
    """`read_out` of one of ASKED."""
    prompts, at, group = ASKED[what]
    return read_out(model, prompts, "order of operands" if what.startswith("order") else what, at, group, depth)


def gains(found: Measurement, depth: str, over: tuple[str, ...] = BASELINES) -> Measurement:
    """The probe at a depth less each baseline, prompt by prompt."""
    return found.with_columns({f"beyond {name}": found.less(depth, name).array for name in over})
