"""Induction: published sentences on where heads look, asked of pretrained models and of two minis by the same code.

Claims about heads stand behind a gate: that the model knows the second half of twelve words said twice by at least one
nat a token. Terms, prompts and how heads are chosen: `published.py`. Minis stand beside the pretrained models, for a
sentence that fails everywhere may be a fault of ours.
"""

import pytest

from claims.induction.measurements import around_target
from claims.induction.published import HALF, OLSSON, looking, losses, said_twice, said_twice_anew, scores, sequences
from claims.measurements import right
from claims.models import AUDITED
from mechlib import (
    Measurement,
    PromptSet,
    Selection,
    difference,
    every,
    mean,
    open_question,
    proportion,
    refuted,
    reported,
    requires,
    show,
    shuffled_repeats,
)
from mechlib.evidence import evidence
from mechlib.figures import by_column, heads_by_layer

XIAO = "Xiao et al. 2023, arXiv:2309.17453"
GROUPED = {"smollm2-135m": 3, "qwen2.5-coder-0.5b": 7}  # heads that share keys and values; Gemma 3's four all do

# Evidence: one value, or one for each place, for each sequence.


@evidence
def share_of_heads(model: str, least: float, prompts: PromptSet) -> Measurement:
    """Share of all heads of the model that give at least `least` of the last word's attention to the "first" token, BOS
    where there is one, to the "second", and to the "third"."""
    import torch

    from mechlib.lab import batches, load, per_prompt, run

    network = load(model)
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(network.cfg.n_layers)]
    made, values = batches(network, prompts, alone=True), []
    for batch in made:
        kept = run(network, batch.tokens, keep=names)[1]
        given = torch.cat([kept[name][:, :, -1, :3] for name in names], dim=1)
        values.append((given >= least).float().mean(1))
    columns = ("first", "second", "third")
    return per_prompt(prompts, made, values, columns, "share of heads whose attention from the last word goes there")


@evidence
def loss_by_start(model: str, half: int, prompts: PromptSet) -> Measurement:
    """Loss on the repeat of `half` words, from its second word on, in nats a token: of the text ("whole"), without its
    first token ("first gone"), which is BOS where there is one, and without its second ("second gone")."""
    import torch

    from mechlib.lab import batches, load, per_prompt, run

    network = load(model)
    made, values = batches(network, prompts, alone=True), []
    for batch in made:
        whole, columns = batch.tokens, []
        for ids in (whole, whole[:, 1:], torch.cat([whole[:, :1], whole[:, 2:]], dim=1)):
            chances = run(network, ids)[0][:, -half:-1].log_softmax(-1)
            columns.append(-chances.gather(-1, ids[:, 1 - half :].unsqueeze(-1)).squeeze(-1).mean(-1))
        values.append(torch.stack(columns, dim=1))
    columns_said = ("whole", "first gone", "second gone")
    return per_prompt(prompts, made, values, columns_said, "loss on the repeat, in nats per token")


@evidence
def loss_by_order(model: str, half: int, prompts: PromptSet, shuffled: PromptSet) -> Measurement:
    """Loss on the second half of `half` words, from its second word on, in nats a token: of the words as they were said
    ("repeat"), and in another order ("shuffled")."""
    from mechlib.lab import batches, load, per_prompt, run

    network, columns = load(model), {}
    for name, asked in (("repeat", prompts), ("shuffled", shuffled)):
        made, values = batches(network, asked, alone=True), []
        for batch in made:
            chances = run(network, batch.tokens)[0][:, -half:-1].log_softmax(-1)
            values.append(-chances.gather(-1, batch.tokens[:, 1 - half :].unsqueeze(-1)).squeeze(-1).mean(-1, True))
        columns[name] = per_prompt(asked, made, values, [name], "loss on the second half, in nats per token")
    return columns["repeat"].with_columns({name: found.array for name, found in columns.items()})


# Other heads.


def beside(measured: Measurement, chosen: Selection) -> list[str]:
    """The columns that are other heads of the layers of those that are chosen."""
    layers, own = {head.layer for head in chosen}, set(map(str, chosen))
    return [name for name in measured.head_columns if int(name.partition(".")[0]) in layers and name not in own]


# The behaviour.


@pytest.mark.parametrize("model", AUDITED)
def test_a_repeat_costs_a_nat_less_than_its_words_in_another_order(model):
    """Of twelve random words said twice, the second half costs at least one nat a token less than the same words in
    another order behind the same first half.

    Who knows which words were said, and nothing of their order, finds both alike. Scored from the second word on.
    Source: a bound of this record.
    """
    prompts = said_twice_anew(model)
    found = loss_by_order(model, HALF, prompts, shuffled_repeats(prompts))
    show(by_column, found, "Loss on the second half, by its order")
    assert difference(found["shuffled"], found["repeat"]) >= 1


@pytest.mark.parametrize("model", AUDITED)
@reported(None, f"{OLSSON}, section on repeated random tokens")
def test_the_word_that_followed_is_named_in_half_of_the_sequences(model):
    """At the end of a repeat of random words the word that followed the time before is the most likely next one in at
    least half of the sequences.

    Saying any word of the sequence alike would be right in one of twelve. Discovery sequences: .88 in SmolLM2.
    """
    assert proportion(right(model, sequences(model))) >= 0.5


# Where heads look.


@pytest.mark.parametrize("model", AUDITED)
@reported(
    None,
    f"{OLSSON}, prefix matching; the threshold is ours",
    sentence="Some head matches prefixes: it attends to the word after the previous occurrence.",
    primary=True,
    exists=True,
)
@refuted({"mini-0": "0: 0.0475, from 0.0169 to 0.117"})
def test_the_chosen_head_scores_two_fifths_on_other_words(model):
    """The head with the highest prefix-matching score on discovery words attends by at least 0.4 to the word after the
    previous occurrence on words that it was not chosen on, and not so to the word before or behind it."""
    found = losses(model, said_twice(model))
    requires(difference(found["first half"], found["repeat"]) >= 1)
    near = around_target(model, looking(model, 1), sequences(model))
    show(by_column, near, "Attention of the chosen head around its target (offset 0)")
    assert mean(near["0"], control=(near["-1"], near["1"])) >= 0.4


@pytest.mark.parametrize("model", AUDITED)
@refuted({"qwen2.5-coder-0.5b": "23.12: 0.595, from 0.51 to 0.68"})
@open_question(
    {
        "smollm2-135m": "23.2: 0.365, from 0.28 to 0.45",
        "mini-0": "0.3: 0.0613, from 0.00333 to 0.171; too skewed for so few to say",
    }
)
def test_no_head_outside_the_middle_half_of_the_layers_scores_two_fifths(model):
    """In the first and in the last quarter of the layers no head attends by 0.4 or more to the word after the previous
    occurrence, where the chosen one does.

    Each head of these layers is held against the bound, all together. Depth is relative: three models are no sample of
    models, and nothing is said of others.
    Source: a question of this record, no paper's; of GPT-2 small the five highest scores are in layers 5 to 7 of 12.
    """
    found = losses(model, said_twice(model))
    requires(difference(found["first half"], found["repeat"]) >= 1)
    measured = scores(model)
    show(heads_by_layer, measured, "Attention to the word after the previous occurrence")
    layers = 1 + max(int(name.partition(".")[0]) for name in measured.head_columns)
    outer = [name for name in measured.head_columns if not layers <= 4 * int(name.partition(".")[0]) < 3 * layers]
    assert every(mean(measured[outer], beside=measured[looking(model, 1)])) < 0.4


@pytest.mark.parametrize("model", list(GROUPED))
def test_heads_that_share_keys_with_induction_heads_look_there_too(model):
    """Heads that share keys and values with the three heads that look most attend to the word after the previous
    occurrence by at least 0.1 more than the other heads of their layers.

    Which heads share is the architecture's. All of Gemma 3's do, no two of a mini's: nothing is left to compare.
    Source: a question of this record, no paper's; .46 or more in SmolLM2 on discovery sequences, beside less than .13.
    """
    found = losses(model, said_twice(model))
    requires(difference(found["first half"], found["repeat"]) >= 1)
    measured, chosen, size = scores(model), looking(model), GROUPED[model.partition("@")[0]]
    shared = {f"{head.layer}.{head.head // size * size + number}" for head in chosen for number in range(size)}
    mates = [name for name in beside(measured, chosen) if name in shared]
    others = [name for name in beside(measured, chosen) if name not in shared]
    parted = measured.with_columns({"mates": measured.averaged(mates).array, "other": measured.averaged(others).array})
    assert difference(parted["mates"], parted["other"]) >= 0.1


# The token that stands first.


@pytest.mark.parametrize("model", AUDITED)
@refuted({"mini-0": "0, from 0 to 0", "mini-1": "0, from 0 to 0"})
def test_more_heads_give_the_first_token_half_than_the_second(model):
    """The share of all heads that give half or more of the last word's attention to the first token is by at least .05
    higher than the share that give as much to the second.

    The first token is BOS where the model has one, a filler where not; the second is a filler. Heads are counted, all
    there are; sequences are drawn.
    Source: discovery sequences, .40, .28 and .17 in the three
    pretrained models, less 0, 0 and .01.
    """
    found = share_of_heads(model, 0.5, sequences(model, 48))
    show(by_column, found, "Share of heads that give half of their attention to a token")
    assert difference(found["first"], found["second"]) >= 0.05


@pytest.mark.parametrize("model", ["smollm2-135m", "gemma3-270m"])
def test_without_bos_the_repeat_costs_a_quarter_nat_more(model):
    """Without BOS the repeat of twelve words costs at least a quarter of a nat a token more, and without the token
    behind BOS it does not.

    Qwen2.5 and the minis declare no BOS, and are not asked.
    Source: SmolLM2 on discovery sequences, .5.
    """
    found = losses(model, said_twice(model))
    requires(difference(found["first half"], found["repeat"]) >= 1)
    by_start = loss_by_start(model, HALF, said_twice(model, 48))
    show(by_column, by_start, "Loss on the repeat, by what stands first")
    assert mean(by_start.less("first gone", "whole"), control=by_start.less("second gone", "whole")) >= 0.25
