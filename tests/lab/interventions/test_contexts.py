"""Interventions do what they say, no more, and never nothing."""

import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.hooks import HookDidNotFire, NoSuchHook, NothingChanged, run
from mechlib.lab.interventions.contexts import (
    Edited,
    Site,
    activations,
    check_silent,
    mean_ablated,
    patched,
    resample_ablated,
    zero_ablated,
)
from mechlib.lab.models.loading import load
from mechlib.parts.heads import Head, Heads, all_heads, heads
from tests.helpers.tiny import FAMILIES, REFUSED, directory, pairs

EVERY = all_heads(2, 4)
STREAM = [Site("resid_pre", 0)]
MLPS = [Site("mlp", 0), Site("mlp", 1)]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("interventions") / request.param, request.param)))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("interventions") / "one", "gpt2")))


@pytest.fixture
def batch(model):
    return max(batches(model, pairs(40)), key=lambda batch: len(batch.rows))


# --- patching -----------------------------------------------------------------------------------------------------


def test_patching_every_position_of_the_stream_restores_the_clean_logits(model, batch):
    for layer in range(2):
        for part in ("resid_pre", "resid_post"):
            with patched(model, [Site(part, layer)], batch.tokens, positions="all") as restored:
                torch.testing.assert_close(restored(batch.corrupted), model(batch.tokens), rtol=1e-5, atol=1e-5)


def test_patching_every_component_and_the_embeddings_restores_the_clean_logits(model, batch):
    with patched(model, [*EVERY, *MLPS, *STREAM], batch.tokens, positions="all") as restored:
        torch.testing.assert_close(restored(batch.corrupted), model(batch.tokens), rtol=1e-5, atol=1e-5)


def test_patching_the_last_layer_at_the_last_position_restores_the_last_logits_only(model, batch):
    with patched(model, Site("resid_post", 1), batch.tokens) as restored:
        logits = restored(batch.corrupted)
    torch.testing.assert_close(logits[:, -1], model(batch.tokens)[:, -1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits[:, :-1], model(batch.corrupted)[:, :-1], rtol=1e-5, atol=1e-5)


def test_a_patch_changes_nothing_before_its_position(model, batch):
    position = batch.tokens.shape[1] - 2
    with patched(model, EVERY, batch.tokens, positions=position) as changed:
        logits = changed(batch.corrupted)
    torch.testing.assert_close(logits[:, :position], model(batch.corrupted)[:, :position], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits[:, position:], model(batch.corrupted)[:, position:])


def test_a_patched_head_is_the_clean_one_and_its_neighbours_are_not(model, batch):
    with patched(model, heads("1.2"), batch.tokens, positions="all") as changed:
        kept = run(model, batch.corrupted, changed.edits(batch), keep=["blocks.1.attn.hook_z"])[1][
            "blocks.1.attn.hook_z"
        ]
        changed(batch.corrupted)
    clean, corrupted = (
        activations(model, tokens, EVERY)["blocks.1.attn.hook_z"] for tokens in (batch.tokens, batch.corrupted)
    )
    others = [0, 1, 3]
    assert torch.equal(kept[:, :, 2], clean[:, :, 2])
    assert torch.equal(kept[:, :, others], corrupted[:, :, others])


def test_clean_onto_clean_is_an_error_and_not_a_null_result(model, batch):
    with pytest.raises(NothingChanged, match="changed no activation: source and run agree"):
        with patched(model, EVERY, batch.tokens, positions="all") as same:
            torch.testing.assert_close(same(batch.tokens), model(batch.tokens), rtol=0, atol=1e-5)


def test_an_error_inside_the_context_is_not_covered_by_a_check(model, batch):
    with pytest.raises(ZeroDivisionError):
        with patched(model, EVERY, batch.tokens, positions="all") as same:
            same(batch.tokens)
            _ = 1 / 0


def test_a_changed_model_that_nobody_runs_is_refused_as_the_model_itself_is_what_was_measured(model, batch):
    with pytest.raises(NothingChanged, match="was never run, the model itself is as it was: run what `as` names"):
        with zero_ablated(model, EVERY):
            run(model, batch.tokens)
    with zero_ablated(model, heads("0.0")) as first, zero_ablated(first, EVERY) as second:
        second(batch.tokens)


def test_a_source_of_another_shape_is_refused(model, batch):
    with pytest.raises(ValueError, match="the source has shape"):
        with patched(model, EVERY, batch.tokens[:, :-1]) as wrong:
            wrong(batch.corrupted)
    with pytest.raises(ValueError, match=r"the source holds no blocks\.1"):
        with patched(model, EVERY, activations(model, batch.tokens, heads("0.0"))):
            pass


# --- ablating -----------------------------------------------------------------------------------------------------


def test_ablating_no_heads_changes_nothing(model, batch):
    reference = pairs(20, "reference")
    for context in (
        zero_ablated(model, Heads(())),
        mean_ablated(model, Heads(()), reference),
        resample_ablated(model, Heads(()), reference),
    ):
        with context as ablated:
            assert torch.equal(ablated(batch), model(batch.tokens))


def test_leaving_the_context_restores_the_model_bit_for_bit(model, batch):
    before, weights = model(batch.tokens), [parameter.clone() for parameter in model.parameters()]
    with zero_ablated(model, EVERY) as ablated:
        assert not torch.allclose(ablated(batch), before)
        assert torch.equal(model(batch.tokens), before), "the model itself is never changed"
    assert torch.equal(model(batch.tokens), before)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))
    with pytest.raises(ZeroDivisionError), zero_ablated(model, EVERY) as ablated:
        ablated(batch)
        _ = 1 / 0
    assert torch.equal(model(batch.tokens), before)
    assert all(not point.fwd_hooks for point in model.hook_dict.values())


def test_zero_ablation_of_a_layer_leaves_what_its_attention_writes_at_its_bias(model, batch):
    with zero_ablated(model, EVERY.in_layer(1)) as ablated:
        kept = run(model, batch.tokens, ablated.edits(batch), keep=["blocks.1.hook_attn_out"])[1]
        ablated(batch)
    bias = model.blocks[1].attn.b_O
    wanted = torch.zeros(32) if bias is None else bias
    torch.testing.assert_close(kept["blocks.1.hook_attn_out"], wanted.expand(*batch.tokens.shape, 32))


def test_mean_ablation_by_template_equals_a_computation_by_hand(gpt2):
    prompts, reference = pairs(12, clusters=3, longest=8), pairs(40, "reference", clusters=3)
    wanted_model, name = heads("0.1"), "blocks.0.attn.hook_z"
    alone = [activations(gpt2, batch.tokens, wanted_model)[name][0] for batch in batches(gpt2, reference, size=1)]
    lengths = {row: z for batch, z in zip(batches(gpt2, reference, size=1), alone, strict=True) for row in batch.rows}
    for batch in batches(gpt2, prompts):
        with mean_ablated(gpt2, wanted_model, reference) as ablated:
            kept = run(gpt2, batch.tokens, ablated.edits(batch), keep=[name])[1][name]
            ablated(batch)
        for index, prompt in enumerate(batch.prompts):
            own = [z for row, z in lengths.items() if reference.rows[row].cluster == prompt.cluster]
            for back in range(1, batch.tokens.shape[1]):
                long_enough = [z[-back] for z in own if len(z) > back]
                mean = torch.stack(long_enough).mean(0)[1]
                torch.testing.assert_close(kept[index, -back, 1], mean, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(kept[index, 0, 1], torch.stack([z[0] for z in own]).mean(0)[1])


def test_a_resample_is_the_activation_of_a_single_reference_prompt_aligned_at_the_end(gpt2):
    prompts, reference = pairs(12, longest=8), pairs(30, "reference")
    name = "blocks.1.attn.hook_z"
    stock = [activations(gpt2, batch.tokens, EVERY)[name][0] for batch in batches(gpt2, reference, size=1)]
    used = set()
    for batch in batches(gpt2, prompts):
        with resample_ablated(gpt2, heads("1.0 1.3"), reference) as ablated:
            kept = run(gpt2, batch.tokens, ablated.edits(batch), keep=[name])[1][name]
            ablated(batch)
        n = batch.tokens.shape[1]
        for row in kept[:, 1:][:, :, [0, 3]]:
            fits = [
                i for i, z in enumerate(stock) if len(z) >= n and torch.allclose(z[1 - n :, [0, 3]], row, atol=1e-5)
            ]
            assert fits, "both heads come from the same reference prompt"
            used.update(fits)
    assert len(used) > 3, "not always the same one"


def test_a_resample_depends_on_the_seed_and_the_prompt_but_not_on_the_batch(gpt2):
    prompts, reference = pairs(10, longest=8), pairs(30, "reference")

    def last(size, seed):
        with resample_ablated(gpt2, EVERY, reference, seed=seed) as ablated:
            rows = {
                row: ablated(batch)[i, -1] for batch in batches(gpt2, prompts, size) for i, row in enumerate(batch.rows)
            }
        return torch.stack([rows[row] for row in range(len(prompts))])

    torch.testing.assert_close(last(1, 0), last(10, 0), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(last(10, 0), last(10, 1), atol=1e-2)


def test_means_and_resamples_come_from_the_reference_split_only(gpt2):
    for context in (mean_ablated, resample_ablated):
        with pytest.raises(ValueError, match="is no reference set"), context(gpt2, EVERY, pairs(5)):
            pass


def test_a_cluster_without_reference_prompts_is_named(gpt2):
    (batch, *_) = batches(gpt2, pairs(4, clusters=4))
    with mean_ablated(gpt2, EVERY, pairs(20, "reference", clusters=1)) as ablated:
        with pytest.raises(ValueError, match="no reference prompts of cluster 'template"):
            ablated(other_templates(batch))
        with pytest.raises(ValueError, match="call the ablated model on a Batch"):
            ablated(batch.tokens)


def other_templates(batch):
    """The rows of a batch that are not of the first template."""
    keep = [i for i, prompt in enumerate(batch.prompts) if prompt.cluster != "template 0"]
    rows = tuple(batch.prompts[i] for i in keep)
    return type(batch)(tuple(keep), rows, batch.tokens[keep], None, (), ())


def test_a_prompt_longer_than_all_reference_prompts_has_no_mean(gpt2):
    long = pairs(40, longest=12)
    batch = max(batches(gpt2, long), key=lambda batch: batch.tokens.shape[1])
    for context in (mean_ablated, resample_ablated):
        with context(gpt2, EVERY, pairs(20, "reference", longest=7)) as ablated:
            with pytest.raises(ValueError, match="no reference prompt of cluster '' "):
                ablated(batch)


def test_one_intervention_can_follow_another(model, batch):
    with zero_ablated(model, heads("0.1")) as first, zero_ablated(first, heads("0.2 1.0")) as second:
        together = second(batch)
        first(batch)
    with zero_ablated(model, heads("0.1 0.2 1.0")) as at_once:
        torch.testing.assert_close(together, at_once(batch))


# --- manipulation checks ------------------------------------------------------------------------------------------


def test_a_misspelt_hook_raises(model, batch):
    with pytest.raises(NoSuchHook, match=r"'blocks\.0\.attn\.hook_zz': did you mean blocks\.0\.attn\.hook_z\?"):
        run(model, batch.tokens, keep=["blocks.0.attn.hook_zz"])
    with pytest.raises(NoSuchHook, match="hook_mpl_out"):
        run(model, batch.tokens, {"blocks.0.hook_mpl_out": lambda activation: activation})


def test_a_hook_that_does_not_fire_raises(model, batch, monkeypatch):
    monkeypatch.setattr(model.hook_dict["blocks.1.attn.hook_z"], "add_hook", lambda *_, **__: None)
    with pytest.raises(HookDidNotFire, match=r"blocks\.1\.attn\.hook_z .* fired 0 times"):
        run(model, batch.tokens, keep=["blocks.1.attn.hook_z"])
    with pytest.raises(HookDidNotFire), zero_ablated(model, heads("1.1")) as ablated:
        ablated(batch)


def test_a_hook_that_does_not_put_back_what_it_read_raises(gpt2, monkeypatch):
    point = gpt2.hook_dict["blocks.0.hook_mlp_out"]
    (batch, *_) = batches(gpt2, pairs(4))
    add = point.add_hook
    monkeypatch.setattr(
        point, "add_hook", lambda fn, **k: add(lambda a, hook: None if fn(a, hook) is None else a * 2, **k)
    )
    monkeypatch.setattr("mechlib.lab.interventions.contexts._SILENT", {})
    with pytest.raises(HookDidNotFire, match="with itself moves logits"):
        check_silent(gpt2, batch.tokens[:1], ["blocks.0.hook_mlp_out"])


@pytest.mark.parametrize(
    ("where", "match"),
    [
        (heads("2.0"), "has no layer 2: it has 0 to 1"),
        (heads("1.4"), "has no head 4: layer 1 has 0 to 3"),
        ([Site("head", 1)], "has no head None"),
        ([Site("mlp", 5)], "has no layer 5"),
        ([Site("mlp", 1, 2)], "mlp 1 has no heads"),
        ([Site("neuron", 1)], "no part 'neuron'"),
    ],
)
def test_a_place_that_the_model_lacks_is_refused_before_a_hook_goes_on(gpt2, where, match):
    with pytest.raises(ValueError, match=match), zero_ablated(gpt2, where):
        pass


def test_a_position_outside_the_run_is_refused(gpt2):
    (batch, *_) = batches(gpt2, pairs(4))
    with pytest.raises(ValueError, match="no position 99 in a run of"), zero_ablated(gpt2, EVERY, 99) as ablated:
        ablated(batch)
    with pytest.raises(REFUSED, match="'last'"), zero_ablated(gpt2, EVERY, "last") as ablated:
        ablated(batch)


def test_a_head_and_a_set_of_one_head_are_the_same_place(gpt2):
    (batch, *_) = batches(gpt2, pairs(4))
    one, two = Edited(gpt2, Head(1, 2), "all", None), Edited(gpt2, heads("1.2"), "all", None)
    assert torch.equal(one(batch), two(batch))
