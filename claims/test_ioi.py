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

Intervals are across templates, with prompts as their rows, unless the sentence says otherwise: they say how far the
number would move with other templates of the kind. A competence gate stands before every claim about the inside of one
network. Figures cited from mini-pilot are those of its discovery prompts as they are; the bounds were set on an earlier
draw of the same kind. Means for ablation come from three-name sentences of the same template in another lexicon.
Limits: small networks of four layers that were trained on these 24 templates; patching at the last position; and direct
attribution sees only what is written at the end, not what later layers make of it. The rows on GPT-2 small hold its
published heads and figures and run where its weights are.
"""

import pytest

from mechlib import (
    Heads,
    Measurement,
    PromptSet,
    Selection,
    above_null,
    across_seeds,
    correlation,
    difference,
    every,
    heads,
    mean,
    no_twin,
    open_question,
    proportion,
    published,
    ratio,
    refuted,
    requires,
    show,
    strongest,
)
from mechlib.evidence import evidence
from mechlib.plots import attention_pattern, by_column, by_stratum, heads_by_layer, rates_by_column, rates_by_stratum
from mechlib.tasks.ioi import ioi

MINIS = ("mini-0", "mini-1", "mini-2", "mini-3", "mini-4")

# Wang et al. 2022.
NAME_MOVERS = {"gpt2-small": heads("9.9 9.6 10.0")}
NEGATIVE_NAME_MOVERS = {"gpt2-small": heads("10.7 11.10")}
S_INHIBITION = {"gpt2-small": heads("7.3 7.9 8.6 8.10")}
MOVERS_AND_BACKUPS = {"gpt2-small": heads("9.9 9.6 10.0 9.0 9.7 10.1 10.2 10.6 10.10 11.2 11.9")}

NO_DIFFERENCE = "no twin has a logit difference to share out; the companion in logits has twins"
NO_SHARE = "no twin has a logit difference to share out, and a share of nothing is refused"
FROM_ABOVE = "a bound from above: a network that knows nothing of indirect objects satisfies it"
TRAININGS = "a mean over trainings; the claim on each of them has twins"

# Why predictions failed, where several failed for one reason.
GIVER = (
    "the head that writes most looks at the giver, by .97 and more, and none of the three looks at IO by more than .16"
)
NOWHERE = "its three look nowhere in particular: at IO by .05, at the giver by .09 at the most"


# Evidence: one value, or one for each component, for each prompt.


@evidence
def right(model: str, prompts: PromptSet) -> Measurement:
    """1 where the indirect object is the most likely next word, else 0."""
    from mechlib.lab.behaviour import answers_correctly
    from mechlib.lab.models import load

    return answers_correctly(load(model), prompts)


@evidence
def logits(model: str, prompts: PromptSet) -> Measurement:
    """logit(IO) - logit(S) after the clean and after the corrupted prompt."""
    from mechlib.lab.behaviour import logit_differences
    from mechlib.lab.models import load

    return logit_differences(load(model), prompts)


@evidence
def written(model: str, prompts: PromptSet) -> Measurement:
    """Direct logit attribution: what each head and MLP writes towards IO rather than S, in logits."""
    from mechlib.lab.attribution import direct_logit_attribution
    from mechlib.lab.models import load

    return direct_logit_attribution(load(model), prompts)


@evidence
def along_paths(model: str, prompts: PromptSet) -> Measurement:
    """Logits lost where only the logits see all heads' corrupted output: directly, and also through MLPs on the way."""
    from mechlib.circuits import all_heads
    from mechlib.lab.models import load
    from mechlib.lab.paths import lost_by_path_patching

    network = load(model)
    every_head = {"heads": all_heads(network.cfg.n_layers, network.cfg.n_heads)}
    direct = lost_by_path_patching(network, prompts, every_head)
    through = lost_by_path_patching(network, prompts, every_head, through_mlps=True)
    columns = {"direct": direct["heads"].array, "through MLPs": through["heads"].array, "total": direct["total"].array}
    return direct.with_columns(columns)


@evidence
def along_path_of_each(model: str, prompts: PromptSet) -> Measurement:
    """Logits lost where only the logits see one head's corrupted output, MLPs on the way computed anew; "total"."""
    from mechlib.circuits import all_heads
    from mechlib.lab.models import load
    from mechlib.lab.paths import lost_by_path_patching

    network = load(model)
    every_head = all_heads(network.cfg.n_layers, network.cfg.n_heads)
    return lost_by_path_patching(network, prompts, every_head, through_mlps=True)


@evidence
def written_by_layer(model: str, prompts: PromptSet) -> Measurement:
    """The same for all heads together ("heads") and for each MLP; "total" is logit(IO) - logit(S)."""
    from mechlib.lab.attribution import direct_logit_attribution
    from mechlib.lab.models import load

    found = direct_logit_attribution(load(model), prompts)
    kept = {name: found[name].array for name in (*found.mlp_columns, "embeddings", "biases", "total")}
    return found.with_columns({"heads": found[found.head_columns].values.sum(axis=1), **kept})


@evidence
def attention(model: str, to: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention probability of `heads` from the last word to IO ("answer") or the last mention of S ("distractor")."""
    from mechlib.lab.attribution import attention_to
    from mechlib.lab.models import load

    return attention_to(load(model), prompts, to)[heads]


@evidence
def looks(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention from the last word to IO, to the first S and to the second, averaged over `heads`."""
    from mechlib.lab.attribution import attention_to
    from mechlib.lab.models import load

    network = load(model)
    found = {
        name: attention_to(network, prompts, target)[heads]
        for name, target in {"IO": "answer", "first S": "first distractor", "second S": "distractor"}.items()
    }
    return found["IO"].with_columns({name: one.values.mean(axis=1) for name, one in found.items()})


@evidence
def pattern(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention of one head on the first of the prompts: queries by keys."""
    from mechlib.lab.attribution import attention_pattern
    from mechlib.lab.models import load

    (head,) = heads
    return attention_pattern(load(model), head, prompts)


@evidence
def attention_and_writing(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """For one head: its attention to IO, and what it writes towards IO's logit."""
    from mechlib.lab.models import load
    from mechlib.lab.names import attention_and_written

    (head,) = heads
    return attention_and_written(load(model), prompts, head)


@evidence
def copied(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """1 where a head that looked at nothing but IO would put it among the five highest logits, else 0."""
    from mechlib.lab.models import load
    from mechlib.lab.names import copy_scores

    return copy_scores(load(model), prompts)[heads]


@evidence
def copied_negatively(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same with the sign of the head's output turned."""
    from mechlib.lab.models import load
    from mechlib.lab.names import copy_scores

    return copy_scores(load(model), prompts, negative=True)[heads]


@evidence
def restored(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference that each head and each MLP restores, patched at the last position; and "total"."""
    from mechlib.lab.models import load
    from mechlib.lab.sets import components
    from mechlib.lab.sweeps import restored_by_patching

    network = load(model)
    return restored_by_patching(network, prompts, components(network))


@evidence
def restored_jointly(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same for `heads` patched together."""
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import restored_by_patching

    return restored_by_patching(load(model), prompts, {"together": heads})


@evidence
def restored_by_others(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same for 200 random sets of as many other heads: one row a set, its mean over the prompts."""
    from mechlib.lab.models import load
    from mechlib.lab.nulls import restored_by_random_sets

    return restored_by_random_sets(load(model), prompts, heads)


@evidence
def lost_to(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Logit difference that the clean run loses when `heads` hold, at the last position, what they hold in the
    corrupted run."""
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import lost_by_patching

    return lost_by_patching(load(model), prompts, {"together": heads})["together"]


@evidence
def flipped(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """1 where IO is on top after patching `heads` into the corrupted run, singly and together, else 0."""
    from mechlib.circuits import singly_and_jointly
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import flipped_by_patching

    return flipped_by_patching(load(model), prompts, singly_and_jointly(heads))


@evidence
def flipped_by_layer(model: str, prompts: PromptSet) -> Measurement:
    """The same for all heads of a layer, for each MLP, and for the residual stream."""
    from mechlib.lab.models import load
    from mechlib.lab.sets import layers, residual
    from mechlib.lab.sweeps import flipped_by_patching

    network = load(model)
    return flipped_by_patching(network, prompts, {**residual(network), **layers(network)})


@evidence
def logits_without(model: str, heads: Heads, how: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """logit(IO) - logit(S) with each of `heads` ablated, with all of them ("together"), and "intact"."""
    from mechlib.circuits import singly_and_jointly
    from mechlib.lab.ablations import under_ablation
    from mechlib.lab.models import load

    return under_ablation(load(model), prompts, singly_and_jointly(heads), how, reference, metric="logit difference")


@evidence
def logits_without_mlps(model: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """logit(IO) - logit(S) with one MLP mean-ablated, and "intact"."""
    from mechlib.lab.ablations import under_ablation
    from mechlib.lab.models import load
    from mechlib.lab.sets import components

    network = load(model)
    mlps = {name: where for name, where in components(network).items() if name.startswith("mlp")}
    return under_ablation(network, prompts, mlps, "mean", reference, metric="logit difference")


# Choosing, on discovery prompts only. A twin's heads are chosen again, on the twin.


def name_movers(model: str, n: int = 3) -> Selection:
    """The heads that write most towards IO rather than S."""
    return strongest(written(model, ioi(80, split="discovery")), n)


def carriers(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference that the giver makes."""
    return strongest(restored(model, ioi(80, split="discovery")), n)


# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_the_indirect_object_is_what_comes_next(model):
    """After a sentence with two names, one of them said twice, the other follows in at least 95 % of prompts.

    Source: the goal of training was 98 % observed on 1,000 prompts; the bound leaves room for 16 templates as clusters.
    """
    answers = right(model, ioi())
    show(rates_by_stratum, answers, "Accuracy by the order of the names")
    assert proportion(answers) >= 0.95


@pytest.mark.parametrize("model", MINIS)
def test_the_indirect_object_leads_by_four_logits(model):
    """The indirect object's logit is at least 4 above the subject's, on average.

    Source: mini-pilot on discovery prompts: 8.2; GPT-2 small has 3.56 (Wang et al.).
    """
    found = logits(model, ioi())
    show(by_stratum, found["clean"], "logit(IO) - logit(S) by the order of the names")
    show(rates_by_stratum, found["clean"].by_cluster(), "logit(IO) - logit(S) in each template")
    assert mean(found["clean"]) >= 4


@pytest.mark.parametrize("model", MINIS)
def test_neither_order_of_the_names_misleads(model):
    """The indirect object leads by at least 4 logits both where it is named first (ABBA) and second (BABA).

    Source: as above; what copies by place is right in one order and wrong in the other.
    """
    leads = logits(model, ioi())["clean"]
    assert every(mean(leads.stratum(order)) for order in ("ABBA", "BABA")) >= 4


@pytest.mark.parametrize("said", ["subject", "object"])
@pytest.mark.parametrize("model", MINIS)
def test_a_name_said_once_more_does_not_mislead(model, said):
    """With a further sentence that says one of the two names once more, the indirect object still leads by 4 logits.

    Such sentences are part of the minis' training.
    Source: mini-pilot on discovery prompts: 8.5 and 9.1 logits. GPT-2
    small, which counts names, falls from 3.55 to 1.23 where the indirect object is said again (Wang et al.).
    """
    assert mean(logits(model, ioi(extra=said))["clean"]) >= 4


# The textbook: name movers look at the indirect object and copy it.


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-0": GIVER, "mini-1": GIVER, "mini-2": GIVER, "mini-4": GIVER, "mini-3": NOWHERE})
def test_every_name_mover_looks_at_the_indirect_object(model):
    """Each of the three heads that write most towards IO attends to it with probability 0.5 or more.

    In mini-pilot the strongest, 0.0, looks at the second S, so this is expected to be refuted.
    Source: Wang et al.: .59 for the name movers of GPT-2 small.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    chosen = name_movers(model)
    chosen_on = written(model, ioi(80, split="discovery"))
    show(heads_by_layer, chosen_on, "Direct contribution to logit(IO) - logit(S) on discovery prompts, in logits")
    assert every(mean(attention(model, "answer", chosen, ioi(160)))) >= 0.5


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-0": GIVER, "mini-1": GIVER, "mini-2": GIVER, "mini-4": GIVER, "mini-3": NOWHERE})
def test_every_name_mover_looks_at_the_indirect_object_more_than_at_the_giver(model):
    """Each of the three heads that write most towards IO attends to it by 0.3 more than to the second mention of S.

    Expected to be refuted, as above.
    Source: Wang et al.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    chosen = name_movers(model)
    io, giver = (attention(model, to, chosen, ioi(160)) for to in ("answer", "distractor"))
    assert every(difference(io, giver)) >= 0.3


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0": GIVER,
        "mini-1": GIVER,
        "mini-2": GIVER,
        "mini-4": GIVER,
        "mini-3": "the more it looks at the indirect object the less it writes for it, by -.33",
    }
)
def test_the_strongest_name_mover_writes_what_it_looks_at(model):
    """The strongest name mover's attention to IO and what it writes for IO correlate by at least 0.6 over prompts.

    Source: Wang et al.: above .81 in GPT-2 small.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    both = attention_and_writing(model, name_movers(model, 1), ioi(160))
    assert correlation(both["attention"], both["written"]) >= 0.6


@pytest.mark.parametrize("model", MINIS)
@refuted(
    {
        "mini-0": "the heads that look at the giver never copy a name, the others in less than half of the prompts",
        "mini-1": "the heads that look at the giver never copy a name, the others in less than half of the prompts",
        "mini-2": "the heads that look at the giver never copy a name, the others in less than half of the prompts",
        "mini-4": "the heads that look at the giver never copy a name, the others in less than half of the prompts",
        "mini-3": "8, 16 and 19 %: its three copy seldom",
    }
)
def test_every_name_mover_would_copy_the_name_it_looks_at(model):
    """Each of the three heads that write most towards IO would put a name it looked at among the five highest logits.

    In at least 95 % of prompts; from weights and the stream at the name. Expected to be refuted, as above.
    Source: Wang et al.: copy scores above 95 %, below 20 % for the average head.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert every(proportion(copied(model, name_movers(model), ioi(160)))) >= 0.95


# What carries the effect.


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-3": "two of its carriers do, by .97 and .99; the third, 2.6, restores next to nothing"})
def test_every_carrier_looks_at_the_giver(model):
    """Each of the three heads that restore most attends from the last word to the second mention of S by 0.5 or more.

    Source: mini-pilot on discovery prompts: .99, .97 and .99. So do the S-inhibition heads of GPT-2 small, by .51.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    show(by_column, looks(model, carriers(model), ioi(160)), "Attention of the three carriers from the last word")
    show(attention_pattern, pattern(model, carriers(model, 1), ioi(1)), "Attention of the strongest carrier")
    assert every(mean(attention(model, "distractor", carriers(model), ioi(160)))) >= 0.5


@pytest.mark.parametrize("model", MINIS)
def test_the_two_strongest_carriers_look_at_the_giver(model):
    """Each of the two heads that restore most attends from the last word to the second mention of S by 0.5 or more.

    Stated after it had been seen that the third carrier of mini-3 does not. The sentences are drawn afresh, but
    networks, names and templates are the same, so that this describes what was seen rather than tests it.
    Source: that observation.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert every(mean(attention(model, "distractor", carriers(model, 2), ioi(160, seed=1)))) >= 0.5


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
def test_one_head_restores_two_fifths_of_the_logit_difference(model):
    """Patching the strongest head alone restores at least 40 % of the logit difference that the giver makes.

    Source: the sentence as it is usually said. mini-pilot has 32 % on discovery prompts, so it is expected to be
    refuted.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    effects = restored(model, ioi(160))
    show(heads_by_layer, effects, "Logit difference restored by each head and MLP, in logits")
    assert ratio(effects[carriers(model, 1)], effects["total"]) >= 0.4


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_DIFFERENCE)
def test_three_heads_restore_half_of_the_logit_difference(model):
    """The three heads that restore most on discovery prompts, patched together, restore at least half.

    Source: mini-pilot on discovery prompts: 74 %.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert ratio(restored_jointly(model, carriers(model), ioi())) >= 0.5


@pytest.mark.parametrize("model", MINIS)
def test_three_heads_restore_five_logits(model):
    """The three heads that restore most on discovery prompts, patched together, restore at least 5 logits.

    Source: mini-pilot on discovery prompts (12 of 17 logits), with room for other trainings.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    effect = restored_jointly(model, carriers(model), ioi())["together"]
    show(rates_by_stratum, effect.by_cluster(), "Logits that the three carriers restore, in each template")
    assert mean(effect) >= 5


@pytest.mark.parametrize("model", MINIS)
def test_three_heads_flip_half_of_the_answers(model):
    """The three carriers, patched together, put the clean prompt's indirect object on top in at least half of prompts.

    Source: mini-pilot on discovery prompts: 97 %; its strongest head alone flips 8 %.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    flips = flipped(model, carriers(model), ioi())
    show(rates_by_column, flips, "Answers flipped by each carrier, and by the three together")
    assert proportion(flips["together"]) >= 0.5


@pytest.mark.parametrize("model", MINIS)
@no_twin("an equivalence: in a network that knows nothing of indirect objects no set has an effect")
@refuted({"mini-3": "6 %: here sets are matched by layer, with other heads of the layers of its carriers"})
def test_random_sets_of_other_heads_restore_nothing(model):
    """Random sets of three other heads restore between -5 % and 5 % of the logit difference on average.

    Sets are the units, each a mean over prompts; only in mini-3 can they be matched by layer, elsewhere by size alone,
    so that trainings do not compare. mini-pilot has 5 % on discovery prompts, at the margin.
    Source: docs/STATISTICS.md, R16.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert -0.05 <= ratio(restored_by_others(model, carriers(model), ioi().take(160))) <= 0.05


@pytest.mark.parametrize("model", MINIS)
def test_the_carriers_restore_more_than_nineteen_of_twenty_random_sets(model):
    """The three carriers restore at least 2 logits more than 95 % of 200 random sets of three other heads.

    Source: docs/STATISTICS.md, R16; mini-pilot on discovery prompts: 12.4 logits against a percentile of 2.4.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    effect = restored_jointly(model, carriers(model), ioi())["together"]
    null = restored_by_others(model, carriers(model), ioi().take(160))["restored"]
    assert above_null(effect, null) >= 2


@pytest.mark.parametrize("model", MINIS)
def test_who_gives_is_known_after_the_first_layer(model):
    """Patching the residual stream at the last word after the first layer flips at least 75 % of the answers.

    Source: mini-pilot on discovery prompts: all of them.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    flips = flipped_by_layer(model, ioi())
    show(rates_by_column, flips, "Answers flipped by layers, and by the residual stream after each")
    assert proportion(flips["after layer 0"]) >= 0.75


@pytest.mark.parametrize("model", MINIS)
def test_which_names_there_are_is_known_later(model):
    """Where all names are replaced, the stream after the third layer flips 30 points more answers than after the first.

    Source: mini-pilot on discovery prompts: 64 % after the third layer, 3 % after the first.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    flips = flipped_by_layer(model, ioi(corrupt="names"))
    show(rates_by_column, flips, "Answers flipped where all names were replaced")
    assert difference(flips["after layer 2"], flips["after layer 0"]) >= 0.3


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
def test_the_carriers_carry_under_the_other_corruption(model):
    """The carriers, chosen where the giver is exchanged, restore at least 10 % where all names are replaced.

    Source: mini-pilot on discovery prompts: 23 %. The same heads matter, for a smaller part of the whole.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert ratio(restored_jointly(model, carriers(model), ioi(corrupt="names"))) >= 0.1


@pytest.mark.parametrize("model", MINIS)
def test_the_carriers_say_which_name(model):
    """With the carriers as in a prompt with two other names in the same places, 3 logits or more are lost.

    Source: mini-pilot on discovery prompts: 7.6 of 8.2 logits. What they carry is a name.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert mean(lost_to(model, carriers(model), ioi(160, corrupt="tokens"))) >= 3


@pytest.mark.parametrize("model", MINIS)
@no_twin("an equivalence: in a network that knows nothing of indirect objects nothing is lost")
def test_the_carriers_do_not_say_which_place(model):
    """With the carriers as in the prompt with the two names in each other's place, less than 1 logit changes.

    In GPT-2 small the S-inhibition heads carry places more than names (Wang et al., appendix A).
    Source: mini-pilot on discovery prompts: none.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert -1 <= mean(lost_to(model, carriers(model), ioi(160, corrupt="order"))) <= 1


# Ablation, singly and jointly.


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_DIFFERENCE)
def test_without_the_carriers_a_fifth_of_the_logit_difference_is_lost(model, how):
    """Ablating the three carriers together costs at least 20 % of the logit difference.

    Source: the bound was written down before training; mini-pilot loses three quarters and more on discovery prompts.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    found = logits_without(model, carriers(model), how, ioi(160), ioi(split="reference"))
    assert ratio(found.less("intact", "together"), found["intact"]) >= 0.2


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
@pytest.mark.parametrize("model", MINIS)
def test_without_the_carriers_two_logits_are_lost(model, how):
    """Ablating the three carriers together costs at least 2 logits.

    Source: mini-pilot on discovery prompts: 6.4 logits and more.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    found = logits_without(model, carriers(model), how, ioi(160), ioi(split="reference"))
    assert mean(found.less("intact", "together")) >= 2


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
@refuted({"mini-3": "two heads carry nearly everything; its third carrier, 2.6, costs 1 %"})
def test_each_carrier_alone_costs_a_tenth_of_the_logit_difference(model):
    """Mean-ablating any one of the three carriers costs at least 10 % of the logit difference.

    Source: mini-pilot on discovery prompts under mean ablation: 38, 22 and 21 %.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    chosen = carriers(model)
    found = logits_without(model, chosen, "mean", ioi(160), ioi(split="reference"))
    show(by_column, found, "logit(IO) - logit(S) without each carrier, without all three, and intact")
    singly = {str(head): found.less("intact", str(head)).array for head in chosen}
    assert every(ratio(found.with_columns(singly), found["intact"])) >= 0.1


@pytest.mark.parametrize("how", ["zero", "resample"])
@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
@refuted({"mini-3": "two heads carry nearly everything; its third carrier, 2.6, costs 1 %"})
def test_each_carrier_alone_costs_a_tenth_under_other_ablations(model, how):
    """Ablating any one of the three carriers by zeros, or by another prompt, costs 10 % of the logit difference or
    more.

    Source: the claim above.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    chosen = carriers(model)
    found = logits_without(model, chosen, how, ioi(160), ioi(split="reference"))
    singly = {str(head): found.less("intact", str(head)).array for head in chosen}
    assert every(ratio(found.with_columns(singly), found["intact"])) >= 0.1


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-3": "-1.3 logits: their effects overlap", "mini-4": "-.6 logits: their effects overlap"})
@open_question({"mini-0": ".4 logits, from -.2 to .9", "mini-1": ".1 logits, from -.5 to .7"})
def test_carriers_back_each_other_up(model):
    """Ablated together, the three carriers cost at least half a logit more than the sum of what each costs alone.

    Self-repair, as the textbook has it for name movers. mini-pilot has -0.5 on discovery prompts, so it is expected to
    be refuted.
    Source: Wang et al., where other heads take over from name movers that are knocked out.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    chosen = carriers(model)
    found = logits_without(model, chosen, "mean", ioi(160), ioi(split="reference"))
    assert mean(found.interaction("together", chosen, "intact")) >= 0.5


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
@refuted(
    {
        "mini-0": "the strongest of them is the strongest carrier, and nothing takes over",
        "mini-1": "the strongest of them is the strongest carrier, and nothing takes over",
        "mini-2": "the strongest of them is the strongest carrier, and nothing takes over",
        "mini-4": "the strongest of them is the strongest carrier, and nothing takes over",
    }
)
def test_without_its_name_movers_the_network_loses_next_to_nothing(model):
    """Mean-ablating the three heads that write most towards IO costs at most 10 % of the logit difference.

    Expected to be refuted: in mini-pilot two of them are carriers.
    Source: Wang et al.: 5 % in GPT-2 small, for backups take over.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    found = logits_without(model, name_movers(model), "mean", ioi(160), ioi(split="reference"))
    assert ratio(found.less("intact", "together"), found["intact"]) <= 0.1


@pytest.mark.parametrize("model", MINIS)
def test_the_first_mlp_is_needed(model):
    """Mean-ablating the first MLP costs at least 2 logits.

    Source: mini-pilot on discovery prompts: 4.1 logits; no other MLP costs 2.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    found = logits_without_mlps(model, ioi(), ioi(split="reference"))
    show(by_column, found, "logit(IO) - logit(S) with one MLP mean-ablated")
    assert mean(found.less("intact", "mlp 0")) >= 2


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_DIFFERENCE)
def test_the_mlps_write_two_fifths_of_the_logit_difference(model):
    """MLPs write at least 40 % of logit(IO) - logit(S) directly into the output.

    Source: mini-pilot on discovery prompts: 65 %. In the textbook circuit heads write all of it.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    parts = written_by_layer(model, ioi())
    show(by_column, parts, "Direct contribution to logit(IO) - logit(S), in logits")
    assert ratio(parts.added_up(parts.mlp_columns), parts["total"]) >= 0.4


@pytest.mark.parametrize("model", MINIS)
def test_the_mlps_write_two_logits(model):
    """MLPs together write at least 2 logits towards IO rather than S directly into the output.

    Source: mini-pilot on discovery prompts: 5.5 of 8.5 logits.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    parts = written_by_layer(model, ioi())
    assert mean(parts.added_up(parts.mlp_columns)) >= 2


# Across trainings.


@no_twin(TRAININGS)
def test_three_heads_restore_half_across_trainings():
    """Over five trainings of the same recipe, three heads chosen on discovery prompts restore at least half on average.

    Source: mini-pilot, as in the claim on each training.
    """
    assert across_seeds(ratio(restored_jointly(model, carriers(model), ioi())) for model in MINIS) >= 0.5


# Paths to the logits.


@pytest.mark.parametrize("model", MINIS)
@no_twin(FROM_ABOVE)
@refuted({"mini-3": "52 %: one of its three carriers is in the third layer, nearer to the logits"})
def test_heads_say_less_than_half_of_it_to_the_logits_themselves(model):
    """Where the logits alone see all heads' corrupted output, directly, less than half of the logit difference is lost.

    Source: mini-pilot on discovery prompts: 37 %; with the MLPs on the way computed anew, all of it.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    found = along_paths(model, ioi(160))
    assert ratio(found["direct"], found["total"]) < 0.5


@pytest.mark.parametrize("model", MINIS)
def test_mlps_pass_five_logits_on_from_heads_to_the_logits(model):
    """With MLPs on the way computed anew the paths from heads to logits carry at least 5 logits more than the direct
    ones.

    Source: mini-pilot on discovery prompts: 10 of 16 logits; its twins at most half a logit.
    """
    requires(proportion(right(model, ioi())) >= 0.9)
    assert mean(along_paths(model, ioi(160)).less("through MLPs", "direct")) >= 5


# GPT-2 small, as published, on our templates in ordinary spacing: `mechlib fetch gpt2-small`.

NATURAL = ioi(style="natural")
ELSEWHERE = ioi(split="reference", style="natural")


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_prefers_the_indirect_object(model):
    """GPT-2 small gives the indirect object a higher logit than the subject in at least 97 % of prompts.

    Source: Wang et al.: 99.3 % of 100,000 prompts.
    """
    assert proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.97


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_prefers_it_by_three_logits(model):
    """In GPT-2 small the indirect object leads by at least 3 logits on average.

    Source: Wang et al.: 3.56.
    """
    assert mean(logits(model, NATURAL)["clean"]) >= 3


@pytest.mark.parametrize("model", ["gpt2-small"])
@no_twin(FROM_ABOVE)
def test_gpt2_is_misled_by_a_second_mention_of_the_indirect_object(model):
    """Where the indirect object is said once more in front, GPT-2 small's lead falls below 2 logits.

    Source: Wang et al.: 1.23 instead of 3.55.
    """
    assert mean(logits(model, ioi(extra="object", style="natural"))["clean"]) < 2


@pytest.mark.parametrize("model", ["gpt2-small"])
@no_twin(FROM_ABOVE)
def test_gpt2_prefers_the_subject_in_a_tenth_where_the_indirect_object_is_said_again(model):
    """Where the indirect object is said once more in front, GPT-2 small prefers it in at most 90 % of prompts.

    Source: Wang et al.: the subject is preferred in 23.4 %.
    """
    assert proportion(logits(model, ioi(extra="object", style="natural"))["clean"].at_least(0)) <= 0.9


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_is_not_misled_by_a_third_mention_of_the_subject(model):
    """Where the subject is said once more in front, GPT-2 small's lead stays at 3 logits or more.

    Source: Wang et al.: 3.64 instead of 3.55.
    """
    assert mean(logits(model, ioi(extra="subject", style="natural"))["clean"]) >= 3


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_movers_look_at_the_indirect_object(model):
    """Heads 9.9, 9.6 and 10.0 of GPT-2 small attend to the indirect object by 0.5 or more on average.

    Source: Wang et al.: .59.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    movers = published(NAME_MOVERS, model)
    assert mean(attention(model, "answer", movers, NATURAL).averaged(movers)) >= 0.5


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_movers_look_at_it_more_than_at_the_giver(model):
    """Heads 9.9, 9.6 and 10.0 attend to the indirect object by 0.3 more than to the second S on average.

    Source: Wang et al.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    movers = published(NAME_MOVERS, model)
    io, giver = (attention(model, to, movers, NATURAL).averaged(movers) for to in ("answer", "distractor"))
    assert difference(io, giver) >= 0.3


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_mover_9_9_writes_what_it_looks_at(model):
    """Attention of head 9.9 to the indirect object and what it writes for it correlate by at least 0.6.

    Source: Wang et al.: above .81.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    both = attention_and_writing(model, heads("9.9"), NATURAL)
    assert correlation(both["attention"], both["written"]) >= 0.6


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_movers_copy(model):
    """Heads 9.9, 9.6 and 10.0 would put a name they looked at among the five highest logits in 95 % of prompts.

    Source: Wang et al.: above 95 %.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    assert every(proportion(copied(model, published(NAME_MOVERS, model), NATURAL))) >= 0.95


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_negative_name_movers_copy_negatively(model):
    """Heads 10.7 and 11.10 would put a name they looked at among the five lowest logits in 95 % of prompts.

    Source: Wang et al.: 98 %.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    assert every(proportion(copied_negatively(model, published(NEGATIVE_NAME_MOVERS, model), NATURAL))) >= 0.95


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_movers_write_more_than_any_other_head(model):
    """Every other head of GPT-2 small writes less towards IO than the weakest of 9.9, 9.6 and 10.0.

    Source: Wang et al., figure 3, whose direct effect is by path patching; this is by direct logit attribution.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    movers = published(NAME_MOVERS, model)
    effects = written(model, NATURAL)
    chosen_on = written(model, ioi(split="discovery", style="natural"))
    weakest = strongest(chosen_on[movers], 3)[2]
    assert every(difference(effects[weakest], effects[effects.head_columns].without(movers))) > 0


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_name_movers_have_the_largest_effect_along_paths_to_the_logits(model):
    """By path patching to the logits 9.9, 9.6 and 10.0 each cost more of the logit difference than every other head.

    Source: Wang et al., figure 3: each head's effect by path patching from three unrelated names; MLPs on the way are
    computed anew, as theirs are.
    """
    prompts = ioi(corrupt="names", style="natural")
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    movers, effects = published(NAME_MOVERS, model), along_path_of_each(model, prompts)
    show(heads_by_layer, effects.without(["total"]), "Logits lost along the path from one head to the logits")
    others = effects[effects.head_columns].without(movers)
    assert every(least for mover in movers for least in difference(effects[mover], others)) > 0


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_negative_name_movers_write_against_the_indirect_object(model):
    """Heads 10.7 and 11.10 write towards S rather than IO, by at least a tenth of a logit each.

    Source: Wang et al., without a figure.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    effects = written(model, NATURAL)
    assert every(mean(effects[published(NEGATIVE_NAME_MOVERS, model)])) <= -0.1


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_s_inhibition_heads_look_at_the_giver(model):
    """Heads 7.3, 7.9, 8.6 and 8.10 attend from the last word to the second S by 0.4 or more on average.

    Source: Wang et al.: .51.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    inhibiting = published(S_INHIBITION, model)
    assert mean(attention(model, "distractor", inhibiting, NATURAL).averaged(inhibiting)) >= 0.4


@pytest.mark.parametrize("model", ["gpt2-small"])
@no_twin(NO_SHARE)
def test_gpt2_without_its_name_movers_loses_next_to_nothing(model):
    """Mean-ablating 9.9, 9.6 and 10.0 costs GPT-2 small at most 10 % of the logit difference.

    Source: Wang et al.: 5 %.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    found = logits_without(model, published(NAME_MOVERS, model), "mean", NATURAL, ELSEWHERE)
    assert ratio(found.less("intact", "together"), found["intact"]) <= 0.1


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_backups_take_over(model):
    """Name movers and backups of GPT-2 small cost at least one logit more together than the sum of each alone.

    Source: a later study of the same circuit, read second-hand: -1.15 logits together, .60 if effects added up.
    """
    requires(proportion(logits(model, NATURAL)["clean"].at_least(0)) >= 0.9)
    every_mover = published(MOVERS_AND_BACKUPS, model)
    found = logits_without(model, every_mover, "mean", NATURAL, ELSEWHERE)
    assert mean(found.interaction("together", every_mover, "intact")) >= 1
