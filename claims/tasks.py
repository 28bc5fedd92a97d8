"""Tasks that several topics compare: their prompts by split, and whether a network does them.

A topic about one task makes its own prompts. Circuits and specificity ask the same of three tasks, and take what each
needs from here: heads and edges are chosen on discovery prompts, claims are judged on confirmation prompts, and
reference prompts are what is put in a component's place.
"""

from mechlib import Measurement, PromptSet
from mechlib.evidence import evidence
from mechlib.prompts import addition, induction, ioi

DISCOVERY = {
    "addition": addition(100, split="discovery"),
    "ioi": ioi(80, split="discovery"),
    "induction": induction(split="discovery"),
}
# Specificity was first measured on 160 pairs and 160 sequences, too few for five of the skewed differences, which had
# no interval; those 160 are among the 200.
CONFIRMATION = {"addition": addition(200), "ioi": ioi(160), "induction": induction(200)}
REFERENCE = {
    "addition": addition(split="reference"),
    "ioi": ioi(split="reference"),
    "induction": induction(split="reference"),
}


@evidence
def right(model: str, prompts: PromptSet) -> Measurement:
    """1 where the answer is what comes next, else 0: one row a prompt, whatever the task draws its prompts by.

    In claims.measurements stands the one whose rows are what the task draws, pairs or sequences.
    """
    from mechlib.lab import answers_correctly, load

    return answers_correctly(load(model), prompts, unit="prompt")
