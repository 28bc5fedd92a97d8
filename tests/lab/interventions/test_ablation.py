"""Ablation sweeps and random sets, against Hugging Face's own forward pass with weights edited or activations set."""

import contextlib

import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.lab.batching import batches
from mechlib.lab.hooks import NothingChanged
from mechlib.lab.interventions.ablation import (
    INTACT,
    loss_under_ablation,
    under_ablation,
    under_ablation_of_random_sets,
)
from mechlib.lab.interventions.contexts import Site, mean_ablated, resample_ablated, zero_ablated
from mechlib.lab.interventions.patching import restored_by_patching, restored_by_random_sets
from mechlib.lab.interventions.sites import components
from mechlib.lab.models.loading import load
from mechlib.parts.heads import EmptySelection, Head, all_heads, heads, singly_and_jointly
from mechlib.parts.random_sets import random_sets
from mechlib.prompts.promptset import PromptSet
from tests.helpers.sweeping import answered, difference, ids
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs, repeats, word_tokenizer

EVERY, WIDTH = all_heads(2, 4), 8  # of a head
SETS = {"one": heads("1.2"), "two": heads("0.1 1.3"), "mlp": Site("mlp", 1), "mixed": (Head(0, 1), Site("mlp", 1))}
METRICS = ("correct", "logit difference")


@pytest.fixture(scope="module", params=FAMILIES)
def path(request, tmp_path_factory):
    return directory(tmp_path_factory.mktemp("ablations") / request.param, request.param)


@pytest.fixture(scope="module")
def model(path):
    return load(str(path))


@pytest.fixture(scope="module")
def gpt2_path(tmp_path_factory):
    return directory(tmp_path_factory.mktemp("ablations") / "one", "gpt2")


@pytest.fixture(scope="module")
def gpt2(gpt2_path):
    return load(str(gpt2_path))


def members(where):
    return (where,) if isinstance(where, (Head, Site)) else tuple(where)


def hugging_face(path):
    return AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()


def writers(network, layer: int):
    """The maps through which attention and MLP of one layer write, and whether their rows are inputs."""
    if hasattr(network, "transformer"):
        block = network.transformer.h[layer]
        return block.attn.c_proj, block.mlp.c_proj, True
    if hasattr(network, "gpt_neox"):
        block = network.gpt_neox.layers[layer]
        return block.attention.dense, block.mlp.dense_4h_to_h, False
    block = network.model.layers[layer]
    return block.self_attn.o_proj, block.mlp.down_proj, False


def end_of_mlp(network, layer: int):
    """The module whose output the stream gets of an MLP."""
    block = network.model.layers[layer] if hasattr(network, "model") else None
    behind = getattr(block, "post_feedforward_layernorm", None)
    return writers(network, layer)[1] if behind is None else behind


@torch.no_grad()
def without(path, where):
    """The network with nothing left of these heads and MLPs in the weights that write."""
    network = hugging_face(path)
    for one in members(where):
        attention, mlp, rows = writers(network, one.layer)
        if isinstance(one, Head):
            weight = attention.weight if rows else attention.weight.T
            weight[one.head * WIDTH : (one.head + 1) * WIDTH] = 0
        else:
            mlp.weight.zero_()
            if mlp.bias is not None:
                mlp.bias.zero_()
    return network


def last_logits(network, model, prompts: PromptSet) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack([network(ids(model, one.clean)).logits[0, -1] for one in prompts])


def answers(model, prompts: PromptSet) -> torch.Tensor:
    return torch.tensor(model.tokenizer.convert_tokens_to_ids([one.answer for one in prompts]))


# --- against another implementation -------------------------------------------------------------------------------


def test_zero_ablation_is_a_network_without_these_weights(path, model):
    prompts = answered(model, pairs(24))
    right, differences = (under_ablation(model, prompts, SETS, "zero", metric=metric) for metric in METRICS)
    assert right.columns == differences.columns == (*SETS, INTACT)
    assert right.yes_no and not differences.yes_no
    for name, where in [*SETS.items(), (INTACT, ())]:
        logits = last_logits(without(path, where), model, prompts)
        wanted = difference(model, prompts, logits)
        assert differences[name].array.tolist() == pytest.approx(wanted.tolist(), abs=1e-4)
        assert right[name].array.tolist() == (logits.argmax(-1) == answers(model, prompts)).tolist()
    share = right.values.mean(0)
    assert share[-1] == 1 and any(0 < one < 1 for one in share), "some answers go, and not all"


@torch.no_grad()
def seen(path, texts, layer: int) -> list[torch.Tensor]:
    """What the attention of one layer writes from (heads side by side) and the MLP's output, for each text."""
    network, found = hugging_face(path), []
    attention, mlp = writers(network, layer)[0], end_of_mlp(network, layer)
    attention.register_forward_pre_hook(lambda _, inputs: found.append([inputs[0][0].clone()]))
    mlp.register_forward_hook(lambda _, inputs, output: found[-1].append(output[0].clone()))
    for text in texts:
        network(text)
    return found


def by_slot(rows: list[torch.Tensor], length: int) -> torch.Tensor:
    """The mean over runs of several lengths: BOS of its own, words counted from the end."""
    back = [torch.stack([row[-n] for row in rows if len(row) > n]).mean(0) for n in range(length - 1, 0, -1)]
    return torch.stack([torch.stack([row[0] for row in rows]).mean(0), *back])


def test_mean_ablation_is_the_reference_means_put_in_by_hand(path, model):
    prompts, reference = pairs(5, clusters=2), pairs(24, "reference", clusters=2)
    measured = under_ablation(model, prompts, {"mixed": SETS["mixed"]}, "mean", reference, "logit difference")
    network = hugging_face(path)
    attention, mlp = writers(network, 0)[0], end_of_mlp(network, 1)
    logits = []
    for one in prompts:
        own = [ids(model, row.clean) for row in reference if row.cluster == one.cluster]
        text = ids(model, one.clean)
        heads_mean = by_slot([z for z, _ in seen(path, own, 0)], text.shape[1])
        mlp_mean = by_slot([out for _, out in seen(path, own, 1)], text.shape[1])

        def put_head(_, inputs, mean=heads_mean):
            made = inputs[0].clone()
            made[0, :, WIDTH : 2 * WIDTH] = mean[:, WIDTH : 2 * WIDTH]
            return (made,)

        with contextlib.ExitStack() as hooks, torch.no_grad():
            for handle in (
                attention.register_forward_pre_hook(put_head),
                mlp.register_forward_hook(lambda _, inputs, output, mean=mlp_mean: mean[None]),
            ):
                hooks.callback(handle.remove)
            logits.append(network(text).logits[0, -1])
    wanted = difference(model, prompts, torch.stack(logits))
    assert measured["mixed"].array.tolist() == pytest.approx(wanted.tolist(), abs=1e-4)
    assert abs(measured.less("mixed", INTACT).array).max() > 1e-2


# --- against the context managers ---------------------------------------------------------------------------------


def context(model, how, where, reference, positions="all"):
    return {
        "zero": lambda: zero_ablated(model, where, positions),
        "mean": lambda: mean_ablated(model, where, reference, positions),
        "resample": lambda: resample_ablated(model, where, reference, 3, positions),
    }[how]()


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
@pytest.mark.parametrize("positions", ["all", -1, (-2, -1)])
def test_each_column_is_that_of_a_model_ablated_alone(gpt2, how, positions):
    prompts, reference = pairs(6, clusters=2), pairs(30, "reference", clusters=2)
    measured = under_ablation(gpt2, prompts, SETS, how, reference, "logit difference", positions, seed=3)
    for name, where in SETS.items():
        found = {}
        with context(gpt2, how, where, reference, positions) as ablated:
            for batch in batches(gpt2, prompts, size=1):
                found[batch.rows[0]] = ablated(batch)[0, -1]
        wanted = difference(gpt2, prompts, torch.stack([found[row] for row in range(len(prompts))]))
        assert measured[name].array.tolist() == pytest.approx(wanted.tolist(), abs=3e-5)


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
def test_together_is_one_after_the_other(gpt2, how):
    prompts, reference = pairs(6), pairs(30, "reference")
    sets = singly_and_jointly(heads("0.1 0.3 1.2"))
    together = under_ablation(gpt2, prompts, sets, how, reference, "logit difference", seed=3)["together"]
    found = {}
    with contextlib.ExitStack() as stack:
        ablated = gpt2
        for head in heads("1.2 0.3 0.1"):
            ablated = stack.enter_context(context(ablated, how, head, reference))
        for batch in batches(gpt2, prompts, size=1):
            found[batch.rows[0]] = ablated(batch)[0, -1]
    wanted = difference(gpt2, prompts, torch.stack([found[row] for row in range(6)]))
    assert together.array.tolist() == pytest.approx(wanted.tolist(), abs=3e-5)


@pytest.mark.parametrize("positions", ["all", -1])
def test_an_ablation_does_not_depend_on_how_many_sets_run_side_by_side(gpt2, monkeypatch, positions):
    prompts, reference = pairs(10), pairs(30, "reference")
    arguments = (gpt2, prompts, components(gpt2), "resample", reference, "logit difference", positions)
    together = under_ablation(*arguments)
    for limit in ("FOLDED", "ABREAST"):
        monkeypatch.setattr(f"mechlib.lab.interventions.through_hooks.{limit}", 1)
    assert abs(under_ablation(*arguments).values - together.values).max() < 2e-5


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
def test_the_loss_under_ablation_is_that_of_the_ablated_model(gpt2, how):
    prompts, reference = repeats(6), repeats(30, "reference")
    measured = loss_under_ablation(gpt2, prompts, {"two": heads("0.1 1.2")}, how, reference, seed=3)
    for batch in batches(gpt2, prompts, size=1):
        with context(gpt2, how, heads("0.1 1.2"), reference) as ablated:
            logits = {"two": ablated(batch), INTACT: gpt2(batch.tokens)}
        tokens = [*batch.tokens[0].tolist(), int(batch.answer)]
        n = (len(tokens) - 1) // 2
        for column, own in logits.items():
            loss = -own[0].log_softmax(-1)[range(len(tokens) - 1), tokens[1:]]
            assert measured[column].array[batch.rows[0]] == pytest.approx(float(loss[n + 1 :].mean()), rel=1e-4)


# --- nothing happens by accident ----------------------------------------------------------------------------------


def test_a_head_that_writes_nothing_is_named_and_not_called_harmless(tmp_path):
    network = hugging_face(directory(tmp_path / "whole", "gpt2"))
    with torch.no_grad():
        values = slice(64 + 2 * WIDTH, 64 + 3 * WIDTH)  # queries, keys and values of 32 each
        network.transformer.h[1].attn.c_attn.weight[:, values] = 0
        network.transformer.h[1].attn.c_attn.bias[values] = 0
    network.save_pretrained(tmp_path / "mute")
    word_tokenizer().save_pretrained(tmp_path / "mute")
    mute, prompts = load(str(tmp_path / "mute")), pairs(3)
    found = under_ablation(mute, prompts, EVERY, "zero", metric="logit difference")
    assert found.said_of("1.2") == (
        "1.2: replacing it changed no activation, as it is dead or says this anyway: no effect",
    )
    assert (found["1.2"].array == found[INTACT].array).all()
    with pytest.raises(NothingChanged, match=r"zero ablation of 1\.2 at position all of .* changed no activation"):
        under_ablation(mute, prompts, heads("1.2"), "zero")


def test_the_mean_at_bos_is_what_stands_there_anyway(gpt2):
    with pytest.raises(NothingChanged, match="changed no activation"):
        under_ablation(gpt2, pairs(5), EVERY, "mean", pairs(30, "reference"), positions=0)


@pytest.mark.parametrize("measure", [loss_under_ablation, under_ablation])
def test_an_ablation_that_needs_reference_prompts_asks_for_them(gpt2, measure):
    prompts, reference = repeats(3), repeats(9, "reference")
    with pytest.raises(ValueError, match="mean ablation needs reference prompts"):
        measure(gpt2, prompts, EVERY, "mean")
    with pytest.raises(ValueError, match="is no reference set"):
        measure(gpt2, prompts, EVERY, "resample", prompts)
    with pytest.raises(REFUSED, match="'median'"):
        measure(gpt2, prompts, EVERY, "median", reference)
    with pytest.raises(EmptySelection, match="a set without heads"):
        measure(gpt2, prompts, {}, "zero")


def test_a_metric_that_there_is_not_is_refused(gpt2):
    with pytest.raises(REFUSED, match="'accuracy'"):
        under_ablation(gpt2, pairs(3), EVERY, "zero", metric="accuracy")


# --- random sets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [-1, "all"])
def test_what_random_sets_restore_is_each_set_patched_alone(gpt2, positions):
    prompts, chosen = pairs(10), heads("0.1 1.2")
    null = restored_by_random_sets(gpt2, prompts, chosen, n=4, positions=positions)
    drawn = random_sets(chosen, EVERY, n=4)
    assert (null.columns, null.unit, len(null)) == (("restored", "total"), "set of heads", 4)
    assert null.of.endswith("(layer, kind and size; 4 drawn of 9)")
    for one, unit, row in zip(drawn, null.units, null.values, strict=True):
        alone = restored_by_patching(gpt2, prompts, {"set": one}, positions).values.mean(0)
        assert unit == str(one)
        assert row.tolist() == pytest.approx(alone.tolist(), abs=1e-5)
        assert not set(one) & set(chosen)


@pytest.mark.parametrize("metric", METRICS)
def test_what_random_sets_cost_is_intact_less_each_set_ablated_alone(gpt2, metric):
    prompts, reference, chosen = answered(gpt2, pairs(30)), pairs(30, "reference"), heads("0.1 1.2")
    null = under_ablation_of_random_sets(gpt2, prompts, chosen, "mean", reference, metric, n=5)
    assert (null.columns, null.yes_no, len(null)) == (("lost",), False, 5)
    assert null.of.endswith("(layer, kind and size; 5 drawn of 9)")
    for one, unit, lost in zip(random_sets(chosen, EVERY, n=5), null.units, null.array, strict=True):
        alone = under_ablation(gpt2, prompts, {"set": one}, "mean", reference, metric)
        assert unit == str(one)
        assert lost == pytest.approx(alone.less(INTACT, "set").array.mean(), abs=1e-5)
    assert abs(null.array).max() > 1e-2
