"""Recovery: how much of a known circuit was found, and how much of what was found is of it.

For models whose circuit is known (planted, or compiled from a program), and for comparing a circuit with one from the
literature. Counted completely, part by part, so the numbers are exact.

Source: Conmy et al. 2023 (arXiv:2304.14997), section 4, who count edges (and nodes) as found or not against a known
circuit; `recall` is their true-positive rate, and over all thresholds of a score they make a ROC curve.
"""

from __future__ import annotations

from mechlib.parts.circuits import Circuit
from mechlib.parts.heads import EmptySelection
from mechlib.statistics.estimate import Estimate
from mechlib.statistics.trainings import exact


def precision(found: Circuit, known: Circuit) -> Estimate:
    """The share of the parts found that are in the known circuit, 0 to 1.

    A part counts as right if it has the name of a known one: an edge into a head with its input, whatever its score.
    Nothing is credited for being near. Edges on no path from the input to the logits count as wrong: drop them with
    `Circuit.connected` where they are not meant.

    Raises EmptySelection where nothing was found or known, ValueError for nodes beside edges (`Circuit(found.nodes)`
    has an edge circuit's nodes).
    """
    _check(found, known)
    if not found:
        raise EmptySelection("nothing was found: precision is a share of what was; recall is 0")
    return exact(_shared(found, known) / len(found), f"share of {len(found)} {found.kind} found that are known")


def recall(found: Circuit, known: Circuit) -> Estimate:
    """The share of the known circuit's parts that were found, 0 to 1; 0 where nothing was. Counts as `precision` does.

    Raises EmptySelection where nothing is known, ValueError for nodes beside edges.
    """
    _check(found, known)
    return exact(_shared(found, known) / len(known), f"share of {len(known)} known {known.kind} that were found")


def _check(found: Circuit, known: Circuit) -> None:
    for one in (found, known):
        if not isinstance(one, Circuit):
            raise ValueError(f"{one!r} is no circuit: write circuit('0.3, mlp 1'), or circuit_of(heads)")
    if not known:
        raise EmptySelection("no part is known: there is nothing to have been found")
    if found and found.kind != known.kind:
        raise ValueError(
            f"{found.kind} found beside {known.kind} known: compare nodes with nodes, as in Circuit(known.nodes)"
        )


def _shared(found: Circuit, known: Circuit) -> int:
    return len(set(found.parts) & set(known.parts))
