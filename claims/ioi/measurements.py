"""Indirect objects: when Mary and John are somewhere and John gives something, it is given to Mary.

Of two names the one that is said once should follow. Confirmation prompts stand in 16 templates; their two names, and
their place and object, never met in training. The metric is logit(IO) - logit(S): the indirect object's logit less
the subject's. In the corrupted prompt the giver is the other name (*subject*), or three unrelated names stand there
(*names*), or the names change places (*order*), or two others stand in the same places (*tokens*). Two sets of heads
are chosen on discovery prompts, which have other templates, names, places and objects. *Name movers* are what Wang et
al. 2022 (arXiv:2211.00593) call them: the three heads that write most towards IO directly into the output. *Carriers*
are the three heads that restore most of the logit difference when their output at the last position is patched from the
clean into the corrupted run. In GPT-2 small name movers look at IO and copy it, and the heads before them look at the
second mention of S; whether a small network trained on such sentences does likewise is asked here.

Intervals are across templates and names, with prompts as their rows, unless the sentence says otherwise: they say how
far the number would move with other templates and other names of the kind. A competence gate stands before every claim
about the inside of one network. Figures cited from mini-pilot are those of its discovery prompts as they are; the
bounds were set on an earlier draw of the same kind. Means for ablation come from three-name sentences of the same
template in another lexicon. Limits: small networks of four layers that were trained on these 24 templates; patching at
the last position; and direct attribution sees only what is written at the end, not what later layers make of it. The
rows on GPT-2 small hold its published heads and figures and run where its weights are.

To be read in this order: test_behaviour, test_name_movers, test_patching, test_ablation, test_paths, test_pretrained;
of pretrained models `published.py`, test_published_behaviour, test_published_movers, test_published_paths,
test_published_ablation, test_published_positions.
"""

from claims.measurements import restored, written
from mechlib import Heads, Measurement, PromptSet, Selection, strongest
from mechlib.evidence import evidence
from mechlib.prompts import ioi

# Evidence of several files: one value, or one for each head, for each prompt.


@evidence
def logits(model: str, prompts: PromptSet) -> Measurement:
    """logit(IO) - logit(S) after the clean and after the corrupted prompt."""
    from mechlib.lab import load, logit_differences

    return logit_differences(load(model), prompts)


@evidence
def attention(model: str, to: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention probability of `heads` from the last word to IO ("answer") or the last mention of S ("distractor")."""
    from mechlib.lab import attention_to, load

    return attention_to(load(model), prompts, to)[heads]


@evidence
def attention_and_writing(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """For one head: its attention to IO, and what it writes towards IO's logit."""
    from mechlib.lab import attention_and_written, load

    (head,) = heads
    return attention_and_written(load(model), prompts, head)


@evidence
def copied(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """1 where a head that looked at nothing but IO would put it among the five highest logits, else 0."""
    from mechlib.lab import copy_scores, load

    return copy_scores(load(model), prompts)[heads]


# Choosing, on discovery prompts only. A twin's heads are chosen again, on the twin.


def name_movers(model: str, n: int = 3) -> Selection:
    """The heads that write most towards IO rather than S."""
    return strongest(written(model, ioi(80, split="discovery")), n)


def carriers(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference that the giver makes."""
    return strongest(restored(model, ioi(80, split="discovery")), n)
