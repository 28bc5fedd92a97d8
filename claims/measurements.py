"""Measurements that several topics make: one value, or one for each component, for each prompt of any task.

A row is what the prompts are drawn by: a pair of operands, a sequence, a sentence. The answer is the clean sum, B or
the indirect object; the distractor is what would be right after the corrupted prompt, or the subject. What only one
topic measures stands in that topic, in its `measurements.py` or above the claims that use it.
"""

from mechlib import Heads, Measurement, PromptSet, singly_and_jointly
from mechlib.evidence import evidence

# What the network answers.


@evidence
def right(model: str, prompts: PromptSet) -> Measurement:
    """1 where the answer is the most likely next word, else 0: one row for what the task draws, a pair, a sequence, a
    sentence (claims.tasks has the one whose rows are prompts)."""
    from mechlib.lab import answers_correctly, load

    return answers_correctly(load(model), prompts)


# Patching: what comes back.


@evidence
def restored(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference that each head and each MLP restores, patched at the last position; and "total"."""
    from mechlib.lab import components, load, restored_by_patching

    network = load(model)
    return restored_by_patching(network, prompts, components(network))


@evidence
def restored_jointly(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same for `heads` patched together."""
    from mechlib.lab import load, restored_by_patching

    return restored_by_patching(load(model), prompts, {"together": heads})


@evidence
def restored_by_others(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same for 200 random sets of as many other heads: one row a set, its mean over the prompts."""
    from mechlib.lab import load, restored_by_random_sets

    return restored_by_random_sets(load(model), prompts, heads)


# Ablation: what is lost.


@evidence
def logits_without(model: str, heads: Heads, how: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """Logit of the answer less the distractor's with each of `heads` ablated, with all ("together"), and "intact"."""
    from mechlib.lab import load, under_ablation

    return under_ablation(load(model), prompts, singly_and_jointly(heads), how, reference, metric="logit difference")


# What heads and MLPs write, and where heads look.


@evidence
def written(model: str, prompts: PromptSet) -> Measurement:
    """Direct logit attribution: what each head and MLP writes towards the answer, not the distractor, in logits."""
    from mechlib.lab import direct_logit_attribution, load

    return direct_logit_attribution(load(model), prompts)


@evidence
def written_by_mlps(model: str, prompts: PromptSet, others: PromptSet) -> Measurement:
    """What all MLPs write towards the answer, not the distractor ("mlps"), and in the same texts towards the answer
    and not the distractor of `others` ("mlps, others"); "total" is the logit difference."""
    from mechlib.lab import direct_logit_attribution, load

    network = load(model)
    own, theirs = (direct_logit_attribution(network, asked) for asked in (prompts, others))
    sums = {"mlps": own.added_up(own.mlp_columns).array, "mlps, others": theirs.added_up(own.mlp_columns).array}
    return own.with_columns({**sums, "total": own["total"].array})


@evidence
def pattern(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention of one head on the first of the prompts: queries by keys."""
    from mechlib.lab import attention_pattern, load

    (head,) = heads
    return attention_pattern(load(model), head, prompts)
