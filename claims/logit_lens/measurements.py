"""The logit lens: the answer if the network stopped after each layer, and what a tuned lens sees more.

The stream at the last word goes through the final norm and the unembedding. The tuned lens first applies an affine map
of each depth, trained so that the lens reads as the output does, on all tokens of discovery sums, and is judged on
confirmation sums. That the lens behind the last layer is the output is an identity: a test of the instrument
(tests/lab/attribution). How the entropy of what the lens reads falls is shown and not claimed: no part of a network and
no other text is a control of it.

Depths were chosen on mini-pilot, as the last one at which the answer is seldom on top, and the first at which it
mostly is. Answers: the sum; the indirect object; B of A B ... A. Intervals are across operands, names and templates,
or sequences. Limits: that the lens does not read the answer at a depth does not say that the network does not have it
there (`claims/probes`), it may be written in other directions; four layers leave little to tell apart.

To be read in this order: test_tasks, test_tuned.
"""

from claims.tasks import CONFIRMATION
from mechlib import Measurement, PromptSet
from mechlib.evidence import evidence

# The last depth at which the answer is seldom on top, and the first at which it mostly is.
TURNS = {
    "addition": ("after layer 2", "after layer 3"),
    "ioi": ("after layer 0", "after layer 2"),
    "induction": ("after layer 0", "after layer 1"),
}


@evidence
def on_top(model: str, prompts: PromptSet) -> Measurement:
    """1 where the answer is the lens's most likely token: a column a depth."""
    from mechlib.lab import load, logit_lens

    return logit_lens(load(model), prompts, "answer on top")


@evidence
def entropies(model: str, prompts: PromptSet) -> Measurement:
    """Entropy of what the lens reads, in nats: a column a depth."""
    from mechlib.lab import load, logit_lens

    return logit_lens(load(model), prompts, "entropy")


def seen(model: str, task: str) -> Measurement:
    """`on_top` on the confirmation prompts of a task."""
    return on_top(model, CONFIRMATION[task])
