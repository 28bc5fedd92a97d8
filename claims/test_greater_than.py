"""Greater-than: what lasted from 1273 ended in a year of that century after 73.

After `The battle lasted from the year 12 73 to the year 12` every year above 73 is right and every other wrong. The
metric is the *difference*: the probability of the years above the start less that of all others, from -1 to 1. In the
corrupted prompt the start is the lowest year, 10, after which every other year is right (*lowest*), or some year below
the clean one (*lower*). What a part restores is how much of the difference, by the clean start, comes back when its
output at the last position is patched from the clean into the corrupted run. *Carriers* are the three heads that
restore most on discovery prompts, which have other nouns and centuries; to choose them the logit of one year above the
cutoff less that of one below it is used, both equally far from it.

Intervals are across 16 nouns: behaviour on 320 prompts in which every start from 11 to 98 stands three or four times,
the inside on the first 160 of them, filed as means of nouns. A gate stands before every claim about the inside of one
network. That all heads together restore everything is no claim: whatever reaches the last position comes through them.
Limits: nouns, centuries and years are all words of training, which draws years evenly, so that nothing here is about
pairs never seen; the metric saturates, as years above a start are nearly certain, so that shares restored and shares
lost need not agree; starts fall on nouns by chance, so that where high starts decide an interval across nouns is wide
for that alone; and the sentence is one template. The rows on GPT-2 small hold its published heads and figures and run
where its weights are.
"""

import pytest

from mechlib import (
    Heads,
    Measurement,
    PromptSet,
    Selection,
    above_null,
    across_seeds,
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
from mechlib.plots import by_column, heads_by_layer, rates_by_stratum
from mechlib.tasks.greater_than import greater_than

MINIS = ("mini-0", "mini-1", "mini-2", "mini-3", "mini-4")
ASKED = greater_than()
INSIDE = greater_than(160)
REFERENCE = greater_than(split="reference")

# Hanna et al. 2023, arXiv:2305.00586.
PUBLISHED_HEADS = {"gpt2-small": heads("9.1 8.11 8.8 7.10 6.9 5.5 5.1")}

NO_DIFFERENCE = "no twin has a difference to share out; the companion in points has twins"
NO_SHARE = "no twin has a difference to share out, and a share of nothing is refused"
FROM_ABOVE = "a bound from above: a network that knows nothing of years satisfies it"
TRAININGS = "a mean over trainings; the claim on each of them has twins"

# Why predictions failed, where several failed for one reason.
HIGH_STARTS = "more than three quarters of it come from starts of 90 and more, of which a noun has none to six"
UNEVEN_NOUNS = (
    "below .16 on average for nouns without a start of 90 or more, above .6 for the one with four: starts fall on "
    "nouns by chance"
)
SHARED = (
    "its strongest head restores 9 % of the logit difference on discovery prompts, where those of the other trainings "
    "restore 24 to 56: many share the work"
)
LAST_LAYER = "heads of the last layer still read it there, and one or two of the carriers are of that layer"


# Evidence: behaviour for each prompt, the inside for each noun.


@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    """The difference; the sharpness of the cutoff; and 1 where the most likely next word is a year above the start."""
    from mechlib.lab.models import load
    from mechlib.lab.years import year_scores

    return year_scores(load(model), prompts)


@evidence
def restored_on_average(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference that each head and MLP restores, patched at the last position: a mean, to choose heads by."""
    from mechlib.lab.models import load
    from mechlib.lab.sets import components
    from mechlib.lab.sweeps import restored_by_patching

    network = load(model)
    found = restored_by_patching(network, prompts, components(network))
    means = found.values.mean(axis=0, keepdims=True)
    return Measurement(means, ("all",), unit="set of prompts", columns=found.columns, of=found.of)


@evidence
def restored_by_parts(model: str, prompts: PromptSet) -> Measurement:
    """Difference restored by the heads of each layer, each MLP, and all MLPs together ("mlps"); and "total"."""
    from mechlib.lab.models import load
    from mechlib.lab.sets import layers
    from mechlib.lab.years import by_noun, difference_restored

    network = load(model)
    parts = layers(network)
    mlps = [where for name, where in parts.items() if name.startswith("mlp")]
    return by_noun(difference_restored(network, prompts, {**parts, "mlps": mlps}))


@evidence
def lost_with_mlps(model: str, prompts: PromptSet) -> Measurement:
    """Difference that the clean run loses when all MLPs hold what they hold in the corrupted run; and "total"."""
    from mechlib.lab.models import load
    from mechlib.lab.sets import layers
    from mechlib.lab.years import by_noun, difference_lost

    network = load(model)
    mlps = [where for name, where in layers(network).items() if name.startswith("mlp")]
    return by_noun(difference_lost(network, prompts, {"mlps": mlps}))


@evidence
def restored_jointly(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Difference restored by `heads` patched together; and "total"."""
    from mechlib.lab.models import load
    from mechlib.lab.years import by_noun, difference_restored

    return by_noun(difference_restored(load(model), prompts, {"together": heads}))


@evidence
def logits_restored_jointly(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Logit difference of the two years that `heads` restore together."""
    from mechlib.lab.models import load
    from mechlib.lab.sweeps import restored_by_patching
    from mechlib.lab.years import by_noun

    return by_noun(restored_by_patching(load(model), prompts, {"together": heads})["together"])


@evidence
def logits_restored_by_others(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """The same for up to 200 random sets of as many other heads: one row a set, its mean over the prompts."""
    from mechlib.lab.models import load
    from mechlib.lab.nulls import restored_by_random_sets

    return restored_by_random_sets(load(model), prompts, heads)["restored"]


@evidence
def restored_by_stream(model: str, position: int, prompts: PromptSet) -> Measurement:
    """Difference restored by the residual stream after each layer, at one position from the end; and "total"."""
    from mechlib.lab.models import load
    from mechlib.lab.sets import residual
    from mechlib.lab.years import by_noun, difference_restored

    network = load(model)
    after = {name: where for name, where in residual(network).items() if name != "embeddings"}
    return by_noun(difference_restored(network, prompts, after, positions=position))


@evidence
def attention_to_the_start(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    """Attention probability of `heads` from the last word to the start."""
    from mechlib.lab.models import load
    from mechlib.lab.years import attention_to_start, by_noun

    return by_noun(attention_to_start(load(model), prompts)[heads])


@evidence
def difference_without_heads(
    model: str, heads: Heads, how: str, prompts: PromptSet, reference: PromptSet
) -> Measurement:
    """The difference with all of `heads` ablated ("together"), and "intact"."""
    from mechlib.lab.models import load
    from mechlib.lab.years import by_noun, difference_without

    return by_noun(difference_without(load(model), prompts, {"together": heads}, how, reference))


@evidence
def written_by_kind(model: str, prompts: PromptSet) -> Measurement:
    """Direct logit attribution: what all heads, and each MLP, write towards the year above the cutoff rather than the
    one below it; "total" is the logit difference."""
    from mechlib.lab.attribution import direct_logit_attribution
    from mechlib.lab.models import load
    from mechlib.lab.years import by_noun

    found = direct_logit_attribution(load(model), prompts)
    kept = {name: found[name].array for name in (*found.mlp_columns, "embeddings", "biases", "total")}
    return by_noun(found.with_columns({"heads": found[found.head_columns].values.sum(axis=1), **kept}))


# Choosing, on discovery prompts only. A twin's heads are chosen again, on the twin.


def carriers(model: str, n: int = 3) -> Selection:
    """The heads that restore most of the logit difference that the start makes."""
    return strongest(restored_on_average(model, greater_than(split="discovery")), n)


# The behaviour.


@pytest.mark.parametrize("model", MINIS)
def test_what_lasted_ends_after_it_began(model):
    """The most likely next word is a year above the start in at least 95 % of prompts.

    Source: mini-pilot on discovery prompts: all of them.
    """
    assert proportion(scores(model, ASKED)["top"].equal_to(1), across="nouns") >= 0.95


@pytest.mark.parametrize("model", MINIS)
def test_years_above_the_start_have_nearly_all_of_the_probability(model):
    """The probability of the years above the start exceeds that of all others by at least 0.8, on average.

    Source: Hanna et al.: .817 in GPT-2 small; mini-pilot on discovery prompts: .94.
    """
    found = scores(model, ASKED)["difference"]
    show(rates_by_stratum, found, "Probability of years above the start less that of others, by the start")
    show(rates_by_stratum, found.by_cluster(), "Probability of years above the start less that of others, by noun")
    assert mean(found, across="nouns") >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_no_decade_of_starts_is_left_out(model):
    """The difference is at least 0.7 in each of nine decades of starts, from 11 to 98.

    Where the start is 90 or more, few years are right; where it is below 20, few are wrong.
    Source: mini-pilot on discovery prompts: .93 at the least.
    """
    found = scores(model, ASKED)["difference"]
    decades = sorted(set(found.strata))
    assert every(mean(found.stratum(decade), across="nouns") for decade in decades) >= 0.7


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": HIGH_STARTS, "mini-4": HIGH_STARTS})
def test_the_cutoff_is_sharp(model):
    """The year after the start is more probable than the year before it, by at least .02 on average.

    An even distribution over the years that are right, as training has it, would give .058.
    Source: mini-pilot on discovery prompts: .039; Hanna et al.: .06 in GPT-2 small.
    """
    found = scores(model, ASKED)["sharpness"]
    show(rates_by_stratum, found, "Probability of the year after the start less that of the one before, by the start")
    assert mean(found, across="nouns") >= 0.02


@pytest.mark.parametrize("model", MINIS)
def test_the_cutoff_is_sharp_where_few_years_are_left(model):
    """For starts of 90 and more the year after the start is more probable than the year before it, by .1 or more.

    Even would be .31.
    Source: mini-pilot on discovery prompts: .30.
    """
    assert mean(scores(model, ASKED)["sharpness"].stratum("90 to 98"), across="nouns") >= 0.1


@pytest.mark.parametrize("model", MINIS)
@no_twin(FROM_ABOVE)
def test_the_cutoff_is_blurred_where_many_years_are_left(model):
    """For starts below 50 the year after the start is more probable than the year before by .0075 at most.

    Half of what an even distribution over the right years gives: the years next to an early start are avoided, so that
    there the difference is large without a sharp cutoff.
    Source: mini-pilot on discovery prompts: .003 at the most.
    """
    found = scores(model, ASKED)["sharpness"]
    early = ("11 to 19", "20 to 29", "30 to 39", "40 to 49")
    assert every(mean(found.stratum(decade), across="nouns") for decade in early) <= 0.0075


# MLPs against heads.


@pytest.mark.parametrize("corrupt", ["lowest", "lower"])
@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_DIFFERENCE)
def test_the_mlps_together_restore_four_fifths(model, corrupt):
    """All MLPs patched at the last position, with every head as after the corrupted prompt, restore 80 % or more.

    What heads write into the output themselves is needed for a fifth at the most.
    Source: mini-pilot on discovery prompts: 98 and 97 %.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    parts = restored_by_parts(model, greater_than(160, corrupt=corrupt))
    show(by_column, parts, "Difference restored by the heads of each layer, each MLP, and all MLPs")
    assert ratio(parts["mlps"], parts["total"], across="nouns") >= 0.8


@pytest.mark.parametrize("model", MINIS)
def test_the_mlps_together_restore_half_a_point(model):
    """All MLPs patched at the last position restore at least 0.5 of the difference.

    Source: mini-pilot on discovery prompts: .85 of .87.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    assert mean(restored_by_parts(model, INSIDE)["mlps"], across="nouns") >= 0.5


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
@refuted({"mini-2": "43 %: its heads write 1.3 of 4.0 logits into the output themselves, the most of the five"})
def test_without_what_the_mlps_make_of_it_half_is_lost(model):
    """With all MLPs as after the corrupted prompt, and every head as after the clean one, half or more is lost.

    The other direction: a part that both heads and MLPs write is counted for both when it is restored.
    Source: mini-pilot on discovery prompts: 73 %.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    assert ratio(lost_with_mlps(model, INSIDE), across="nouns") >= 0.5


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_DIFFERENCE)
def test_the_mlps_write_half_of_the_logit_difference(model):
    """MLPs write at least half of the logit difference between the two years directly into the output.

    Source: mini-pilot on discovery prompts: 82 %.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    parts = written_by_kind(model, INSIDE)
    show(by_column, parts, "Direct contribution to the logit difference of the two years, in logits")
    assert ratio(parts.added_up(parts.mlp_columns), parts["total"], across="nouns") >= 0.5


@pytest.mark.parametrize("model", MINIS)
def test_the_mlps_write_one_logit_more_than_the_heads(model):
    """MLPs write at least one logit more towards the year above the cutoff than heads do, directly into the output.

    Source: mini-pilot on discovery prompts: 3.2 and .6 logits.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    parts = written_by_kind(model, INSIDE)
    assert difference(parts.added_up(parts.mlp_columns), parts["heads"], across="nouns") >= 1


# How the start comes to the end.


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_DIFFERENCE)
@refuted({"mini-4": SHARED})
def test_three_heads_restore_three_fifths(model):
    """The three heads that restore most on discovery prompts, patched together, restore at least 60 % of the
    difference.

    Source: mini-pilot on discovery prompts: 95 %.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    chosen_on = restored_on_average(model, greater_than(split="discovery"))
    show(heads_by_layer, chosen_on, "Logit difference restored by each head and MLP on discovery prompts, in logits")
    assert ratio(restored_jointly(model, carriers(model), INSIDE), across="nouns") >= 0.6


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-4": SHARED})
def test_three_heads_restore_two_fifths_of_a_point(model):
    """The three carriers, patched together, restore at least 0.4 of the difference.

    Source: mini-pilot on discovery prompts: .83 of .87.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    assert mean(restored_jointly(model, carriers(model), INSIDE)["together"], across="nouns") >= 0.4


@pytest.mark.parametrize("model", MINIS)
@no_twin(NO_SHARE)
@refuted({"mini-4": SHARED})
def test_the_carriers_carry_under_the_other_corruption(model):
    """The carriers, chosen where the lowest year came in, restore half or more where some lower year comes in.

    Source: mini-pilot on discovery prompts: 92 %.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    effect = restored_jointly(model, carriers(model), greater_than(160, corrupt="lower"))
    assert ratio(effect, across="nouns") >= 0.5


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-4": SHARED})
def test_the_carriers_restore_more_than_nineteen_of_twenty_random_sets(model):
    """The three carriers restore at least one logit more than 95 % of the random sets of three other heads.

    Source: docs/STATISTICS.md, R16; mini-pilot on discovery prompts: 2.9 logits against a percentile of .1.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    effect = logits_restored_jointly(model, carriers(model), INSIDE)
    null = logits_restored_by_others(model, carriers(model), INSIDE)
    assert above_null(effect, null, across="nouns") >= 1


@pytest.mark.parametrize("model", MINIS)
def test_the_strongest_carrier_looks_at_the_start(model):
    """The head that restores most attends from the last word to the start by 0.25 or more.

    It stands at the fifth place from the end; even attention would give it .06.
    Source: mini-pilot on discovery prompts: .46.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    assert mean(attention_to_the_start(model, carriers(model, 1), INSIDE), across="nouns") >= 0.25


@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2": UNEVEN_NOUNS})
def test_a_part_of_it_has_come_to_the_end_after_the_first_layer(model):
    """The residual stream at the last word after the first layer restores at least 0.2 of the difference.

    Source: mini-pilot on discovery prompts: .52 of .87.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    after = restored_by_stream(model, -1, INSIDE)
    show(by_column, after, "Difference restored by the residual stream at the last word")
    assert mean(after["after layer 0"], across="nouns") >= 0.2


@pytest.mark.parametrize("model", MINIS)
@refuted({"mini-3": "after the first layer all but .02 of .87 is at the end already"})
def test_another_part_stays_with_the_start_until_later(model):
    """The residual stream where the start stands still restores 0.1 of the difference or more after the first layer.

    Later heads read it: the start comes to the end in more than one step.
    Source: mini-pilot on discovery prompts: .28 of .87.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    after = restored_by_stream(model, -5, INSIDE)
    show(by_column, after, "Difference restored by the residual stream where the start stands")
    assert mean(after["after layer 0"], across="nouns") >= 0.1


@pytest.mark.parametrize("model", MINIS)
@no_twin("an equivalence: in a network that knows nothing of years nothing is restored")
@refuted({"mini-0": LAST_LAYER, "mini-2": LAST_LAYER, "mini-4": LAST_LAYER})
def test_after_the_third_layer_the_start_is_read_no_more(model):
    """The residual stream where the start stands restores between -5 and 5 % of the difference after the third layer.

    Source: mini-pilot on discovery prompts: .5 %.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    after = restored_by_stream(model, -5, INSIDE)
    assert -0.05 <= ratio(after["after layer 2"], after["total"], across="nouns") <= 0.05


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
@pytest.mark.parametrize("model", MINIS)
@open_question({"mini-2-mean": UNEVEN_NOUNS, "mini-2-resample": UNEVEN_NOUNS, "mini-4-mean": UNEVEN_NOUNS})
def test_without_the_carriers_the_difference_falls(model, how):
    """Ablating the three carriers together costs at least 0.15 of the difference.

    Source: mini-pilot on discovery prompts: .37 of .94, nearly all of it by its strongest head.
    """
    requires(mean(scores(model, ASKED)["difference"], across="nouns") >= 0.8)
    found = difference_without_heads(model, carriers(model), how, INSIDE, REFERENCE)
    assert mean(found.less("intact", "together"), across="nouns") >= 0.15


# Across trainings.


@no_twin(TRAININGS)
@open_question("four trainings are at 76 % and more, mini-4 at 44: five leave the mean open")
def test_three_heads_restore_three_fifths_across_trainings():
    """Over five trainings of the same recipe, three heads restore at least 60 % of the difference on average.

    Source: mini-pilot, as in the claim on each training.
    """
    shares = (ratio(restored_jointly(model, carriers(model), INSIDE), across="nouns") for model in MINIS)
    assert across_seeds(shares) >= 0.6


# GPT-2 small, as published, on our nouns and in ordinary spacing: `mechlib fetch gpt2-small`.

NATURAL = greater_than(style="natural")


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2_ends_what_lasted_after_it_began(model):
    """In GPT-2 small the probability of the years above the start exceeds that of all others by at least 0.75.

    Source: Hanna et al.: .817.
    """
    assert mean(scores(model, NATURAL)["difference"], across="nouns") >= 0.75


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_cutoff_is_sharp(model):
    """In GPT-2 small the year after the start is more probable than the year before it, by at least .04.

    Source: Hanna et al.: .06, and .08 with their circuit alone.
    """
    assert mean(scores(model, NATURAL)["sharpness"], across="nouns") >= 0.04


@pytest.mark.parametrize("model", ["gpt2-small"])
@no_twin(NO_SHARE)
def test_gpt2s_published_heads_restore_half(model):
    """Heads 9.1 8.11 8.8 7.10 6.9 5.5 and 5.1 of GPT-2 small, patched together at the end, restore half or more.

    Source: Hanna et al.: with MLPs 8 to 11 they are a circuit that keeps 89.5 % of the difference; that is by path
    patching, so that the bound for patching heads alone is ours.
    """
    requires(mean(scores(model, NATURAL)["difference"], across="nouns") >= 0.7)
    assert ratio(restored_jointly(model, published(PUBLISHED_HEADS, model), NATURAL), across="nouns") >= 0.5


@pytest.mark.parametrize("model", ["gpt2-small"])
def test_gpt2s_mlp_10_writes_more_than_any_other(model):
    """MLP 10 of GPT-2 small writes more towards the year above the cutoff than any other MLP does.

    Source: Hanna et al.: 56 % of the direct effect, by path patching; this is by direct logit attribution.
    """
    requires(mean(scores(model, NATURAL)["difference"], across="nouns") >= 0.7)
    parts = written_by_kind(model, NATURAL)
    others = parts[[name for name in parts.mlp_columns if name != "mlp 10"]]
    assert every(difference(parts["mlp 10"], others, across="nouns")) > 0
