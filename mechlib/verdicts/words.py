"""The words that a claim can end with: how each is written everywhere, what it means, what it asks of an author."""

from __future__ import annotations

from dataclasses import dataclass

from mechlib.verdicts.verdict import Outcome


@dataclass(frozen=True)
class Wording:
    """One word in every output.

    sign     stands beside colour, which never carries a word alone; `letter` is the terminal's progress
    colour   of the terminal, where nothing is wrong
    meaning  as the pages explain it
    mark     the decorator that says this outcome is known; "" where none can
    cure     what an unmarked outcome asks of its author
    """

    sign: str
    letter: str
    colour: str
    meaning: str
    mark: str = ""
    cure: str = ""


# What is said beside a claim whose parts no paper's table names, and where evidence is older than the claim.
BY_HAND, AFTER_LOOKING = "NAMED BY HAND", "AFTER LOOKING"

_FAILED = "if the prediction simply failed, keep it and mark it"

# In the order in which a reader wants them counted.
WORDINGS: dict[Outcome, Wording] = {
    "SUPPORTED": Wording(
        "✓",
        ".",
        "green",
        "the whole interval lies on the claimed side of the bound, and the claim holds on no twin, of no control",
    ),
    "REFUTED": Wording("✗", "R", "yellow", "the whole interval lies on the other side", "refuted", _FAILED),
    "INCONCLUSIVE": Wording("?", "I", "yellow", "the interval straddles the bound", "open_question", _FAILED),
    "VOID": Wording(
        "∅",
        "V",
        "yellow",
        "the claim holds on an untrained or permuted twin as well, or of other parts than its own: it does not need "
        "what was learned, or what it names",
        "void",
        "if it is true of any network, or of any part, claim a difference, or the prediction simply failed, keep it "
        "and mark it",
    ),
    "GATED": Wording(
        "‖", "G", "yellow", "the model was not shown to do the task, so nothing is claimed about how it does it"
    ),
    "NOT RUN": Wording("–", "N", "yellow", "nothing is filed, and the weights are not on this machine"),
    "ERROR": Wording("!", "E", "red", "the claim could not be judged"),
}
