"""Numbers of another library: TransformerLens's own model and patching functions, and what it does with mistakes.

`HookedTransformer` is a forward pass of its own (weights copied from Hugging Face's model), with its own patching,
caches and gradients. All is computed live, on a tiny random GPT-2 and on a mini.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig, patching
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
from transformers import AutoModelForCausalLM

from mechlib.checkpoints.resolve import checkpoint
from mechlib.lab.attribution.direct import direct_logit_attribution
from mechlib.lab.attribution.gradients import attribution_patching, edge_scores
from mechlib.lab.attribution.logit_lens import logit_lens
from mechlib.lab.attribution.path_patching import lost_by_path_patching
from mechlib.lab.batching import Batch, batches
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.forward.families import network
from mechlib.lab.hooks import NoSuchHook, run
from mechlib.lab.interventions.contexts import Site, patched, zero_ablated
from mechlib.lab.interventions.patching import lost_by_patching, restored_by_patching
from mechlib.lab.models.loading import Model, load
from mechlib.parts.circuits import Circuit
from mechlib.parts.heads import Head, all_heads
from mechlib.prompts.ioi import ioi
from mechlib.prompts.promptset import PromptSet
from tests.helpers.tiny import directory, pairs

WITHIN = 5e-5  # logits


@dataclass(frozen=True, eq=False)
class Both:
    """A model as we load it and as TransformerLens has it, and prompts of one length."""

    ours: Model
    theirs: HookedTransformer
    prompts: PromptSet
    batch: Batch

    def metric(self, logits: torch.Tensor) -> torch.Tensor:
        return self.by_prompt(logits).mean()

    def by_prompt(self, logits: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(len(logits))
        return logits[rows, -1, self.batch.answer] - logits[rows, -1, self.batch.distractor]


def hooked_transformer(path) -> HookedTransformer:
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    shape = model.config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated: what replaces it is what we run on
        made = HookedTransformer(
            HookedTransformerConfig(
                n_layers=shape.n_layer, n_heads=shape.n_head, d_model=shape.n_embd, d_head=shape.n_embd // shape.n_head,
                d_mlp=4 * shape.n_embd, n_ctx=shape.n_positions, d_vocab=shape.vocab_size, act_fn="gelu_new",
                normalization_type="LN", device="cpu", seed=0, use_attn_result=True, use_split_qkv_input=True,
                use_hook_mlp_in=True,
            )
        )  # fmt: skip
    missing, unexpected = made.load_state_dict(convert_gpt2_weights(model, made.cfg), strict=False)
    assert not unexpected and all(name.endswith((".mask", ".IGNORE", "b_U")) for name in missing)
    return made


@pytest.fixture(scope="module", params=["tiny", "mini-0"])
def both(request, tmp_path_factory) -> Both:
    if request.param == "tiny":
        path = directory(tmp_path_factory.mktemp("lens") / "gpt2", "gpt2")
        ours, rows = load(str(path)), pairs(40, longest=9)
    else:
        path, ours, rows = checkpoint("mini-0").path, load("mini-0"), ioi(40, split="discovery")
    largest = max(batches(ours, rows), key=lambda batch: len(batch.rows))
    prompts = PromptSet("of one length", "discovery", largest.prompts[:4])
    (batch,) = batches(ours, prompts)
    return Both(ours, hooked_transformer(path), prompts, batch)


def heads(both: Both) -> dict[str, Head]:
    return {str(head): head for head in all_heads(both.theirs.cfg.n_layers, both.theirs.cfg.n_heads)}


def sites(both: Both, part) -> dict[str, Site]:
    return {f"{part} {layer}": Site(part, layer) for layer in range(both.theirs.cfg.n_layers)}


def means(measured, columns) -> np.ndarray:
    return np.array([measured[name].array.mean() for name in columns])


# --- the same numbers ---------------------------------------------------------------------------------------------


def test_logits_are_theirs(both):
    for tokens in (both.batch.tokens, both.batch.corrupted):
        torch.testing.assert_close(run(both.ours, tokens)[0], both.theirs(tokens), atol=WITHIN, rtol=0)


@pytest.mark.parametrize(
    ("where", "function"),
    [
        (heads, patching.get_act_patch_attn_head_out_by_pos),
        (lambda both: sites(both, "mlp"), patching.get_act_patch_mlp_out),
        (lambda both: sites(both, "resid_pre"), patching.get_act_patch_resid_pre),
    ],
    ids=["heads", "mlps", "stream"],
)
def test_patching_by_position_is_theirs(both, where, function):
    _, cache = both.theirs.run_with_cache(both.batch.tokens)
    places = where(both)
    with torch.no_grad():
        base = both.metric(both.theirs(both.batch.corrupted))
        theirs = function(both.theirs, both.batch.corrupted, cache, both.metric) - base
    by_position = theirs.movedim(1, 0).flatten(1).numpy()  # layer pos (head)
    first = int((both.batch.tokens != both.batch.corrupted).any(0).nonzero()[0])
    for position in range(first, len(by_position)):
        ours = restored_by_patching(both.ours, both.prompts, places, position)
        np.testing.assert_allclose(means(ours, places), by_position[position], atol=WITHIN)
    assert np.abs(by_position[:first]).max(initial=0) < WITHIN  # where the texts agree there is nothing to patch


def test_patching_heads_everywhere_is_theirs_in_both_directions(both):
    for ours, source, into in (
        (restored_by_patching, both.batch.tokens, both.batch.corrupted),
        (lost_by_patching, both.batch.corrupted, both.batch.tokens),
    ):
        _, cache = both.theirs.run_with_cache(source)
        with torch.no_grad():
            theirs = patching.get_act_patch_attn_head_out_all_pos(both.theirs, into, cache, both.metric)
        moved = (theirs - both.metric(both.theirs(into))).flatten().detach().numpy()
        sign = 1 if ours is restored_by_patching else -1
        found = ours(both.ours, both.prompts, heads(both), "all")
        np.testing.assert_allclose(means(found, heads(both)), sign * moved, atol=WITHIN)


def test_direct_logit_attribution_is_theirs(both):
    logits, cache = both.theirs.run_with_cache(both.batch.tokens)
    n = both.theirs.cfg.n_layers
    towards = both.theirs.W_U[:, both.batch.answer] - both.theirs.W_U[:, both.batch.distractor]
    towards = towards * both.theirs.ln_final.w[:, None]  # which their scaling of a stack leaves out

    def attributed(stack: torch.Tensor) -> torch.Tensor:
        scaled = cache.apply_ln_to_stack(stack, layer=-1, pos_slice=-1)
        return torch.einsum("cbm,mb->bc", scaled, towards)

    by_head = attributed(cache.stack_head_results(layer=-1, pos_slice=-1))
    mlps = attributed(torch.stack([cache["mlp_out", layer][:, -1] for layer in range(n)]))
    stream = attributed(cache["resid_pre", 0][:, -1].unsqueeze(0))
    ours = direct_logit_attribution(both.ours, both.prompts)
    columns = [*heads(both), *(f"mlp {layer}" for layer in range(n)), "embeddings"]
    theirs = torch.cat([by_head, mlps, stream], dim=1).detach().numpy()
    np.testing.assert_allclose(ours[columns].values, theirs, atol=WITHIN)
    np.testing.assert_allclose(ours["total"].array, both.by_prompt(logits).detach(), atol=WITHIN)


def test_the_logit_lens_is_theirs(both):
    _, cache = both.theirs.run_with_cache(both.batch.tokens)
    normed = cache.accumulated_resid(layer=-1, pos_slice=-1, apply_ln=False)
    read = both.theirs.unembed(both.theirs.ln_final(normed.transpose(0, 1)))  # batch depth word
    rows = torch.arange(len(read))
    theirs = read[rows, :, both.batch.answer] - read[rows, :, both.batch.distractor]
    ours = logit_lens(both.ours, both.prompts)
    np.testing.assert_allclose(ours.values, theirs.detach(), atol=WITHIN)


def their_gradients(both: Both, names: list[str]) -> dict[str, torch.Tensor]:
    """Gradients of the summed metric in the clean run, by their backward hooks."""
    found: dict[str, torch.Tensor] = {}
    model = both.theirs
    for name in names:
        model.add_hook(name, lambda gradient, hook: found.update({hook.name: gradient.detach().clone()}), "bwd")
    both.by_prompt(model(both.batch.tokens)).sum().backward()
    model.reset_hooks()
    model.zero_grad()
    return found


def moved(both: Both) -> dict[str, torch.Tensor]:
    """Clean less corrupted, of every activation of theirs."""
    clean, corrupted = (both.theirs.run_with_cache(one)[1] for one in (both.batch.tokens, both.batch.corrupted))
    return {name: (clean[name] - corrupted[name]).detach() for name in clean}


def test_attribution_patching_is_theirs(both):
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(both.theirs.cfg.n_layers)]
    gradients, change = their_gradients(both, names), moved(both)
    theirs = torch.cat([(gradients[name] * change[name]).sum((1, 3)) for name in names], dim=1)
    ours = attribution_patching(both.ours, both.prompts, heads(both), "all", "clean")
    np.testing.assert_allclose(ours[list(heads(both))].values, theirs, atol=WITHIN)


def test_edge_attribution_patching_is_theirs(both):
    """EAP as its authors wrote it: what a node writes, times the gradient of what one input of a later one reads."""
    n, n_heads = both.theirs.cfg.n_layers, both.theirs.cfg.n_heads
    inputs = {f"blocks.{layer}.hook_{port}_input": (layer, port) for layer in range(n) for port in "qkv"}
    mlps, end = [f"blocks.{layer}.hook_mlp_in" for layer in range(n)], f"blocks.{n - 1}.hook_resid_post"
    gradients, change = their_gradients(both, [*inputs, *mlps, end]), moved(both)
    readers = {
        f"{layer}.{head}.{port}": gradients[name][:, :, head]
        for name, (layer, port) in inputs.items()
        for head in range(n_heads)
    }
    readers |= {f"mlp {layer}": gradients[name] for layer, name in enumerate(mlps)} | {"logits": gradients[end]}
    wrote = {"input": change["blocks.0.hook_resid_pre"]}
    for layer in range(n):
        wrote |= {f"{layer}.{head}": change[f"blocks.{layer}.attn.hook_result"][:, :, head] for head in range(n_heads)}
        wrote[f"mlp {layer}"] = change[f"blocks.{layer}.hook_mlp_out"]
    edges = network(both.ours).graph.edges
    pairs_ = [edge.split("->") for edge in edges]
    theirs = [float((wrote[source] * readers[reader]).sum() / len(both.prompts)) for source, reader in pairs_]
    ours = edge_scores(both.ours, both.prompts, "EAP")
    np.testing.assert_allclose(ours.values[0], theirs, atol=WITHIN)
    assert np.abs(theirs).max() > 0.1


# --- what it refuses, and what it lets pass -----------------------------------------------------------------------


def test_what_is_misspelt_is_refused_by_name_as_by_them_or_where_they_say_nothing(both):
    def nothing(activation, hook):
        return torch.zeros_like(activation)

    misspelt = "blocks.0.attn.hook_zz"
    with pytest.raises(KeyError, match="hook_zz"):
        both.theirs.run_with_hooks(both.batch.tokens, fwd_hooks=[(misspelt, nothing)])
    silent = both.ours.run_with_hooks(both.batch.tokens, fwd_hooks=[(misspelt, nothing)])  # the bridge says nothing
    torch.testing.assert_close(silent, both.theirs(both.batch.tokens), atol=WITHIN, rtol=0)
    assert len(both.theirs.run_with_cache(both.batch.tokens, names_filter=misspelt)[1]) == 0  # nor does the cache
    for asked in ({"edits": {misspelt: torch.zeros_like}}, {"keep": [misspelt]}):
        with pytest.raises(NoSuchHook, match=r"hook_zz'.*did you mean blocks\.0\.attn\.hook_z"):
            run(both.ours, both.batch.tokens, **asked)


def test_a_head_is_replaced_whatever_is_switched_on_where_their_hook_stays_silent(both):
    def nothing(result, hook):
        return torch.zeros_like(result)

    both.theirs.set_use_attn_result(False)
    try:
        hooks = [("blocks.0.attn.hook_result", nothing)]
        silent = both.theirs.run_with_hooks(both.batch.tokens, fwd_hooks=hooks)  # no error, no effect
    finally:
        both.theirs.set_use_attn_result(True)
    effective = both.theirs.run_with_hooks(both.batch.tokens, fwd_hooks=hooks)
    torch.testing.assert_close(silent, both.theirs(both.batch.tokens), atol=WITHIN, rtol=0)
    with zero_ablated(both.ours, all_heads(1, both.theirs.cfg.n_heads)) as ablated:
        torch.testing.assert_close(ablated(both.batch.tokens), effective, atol=WITHIN, rtol=0)
    assert not torch.allclose(effective, silent, atol=0.01)


def test_what_the_model_lacks_is_refused_by_name(both):
    beyond = both.theirs.cfg.n_heads
    with pytest.raises(ValueError, match=rf"has no head {beyond}: layer 0 has 0 to {beyond - 1}"):
        restored_by_patching(both.ours, both.prompts, {"it": Head(0, beyond)})
    with pytest.raises(ValueError, match=rf"'0\.{beyond}' is no node or edge"):
        circuit_scores(both.ours, both.prompts, Circuit((f"0.{beyond}",)), "counterfactual")
    with pytest.raises(ValueError, match=r"no reader '0\.0\.x'"):
        lost_by_path_patching(both.ours, both.prompts, {"it": Head(0, 0)}, ("0.0.x",))


def test_runs_of_two_lengths_are_refused_in_one_line_where_they_stop_somewhere_inside(both):
    longer = torch.cat([both.batch.corrupted, both.batch.corrupted[:, -1:]], dim=1)
    _, cache = both.theirs.run_with_cache(longer)
    with torch.no_grad(), pytest.raises(RuntimeError, match="must match the existing size"):
        patching.get_act_patch_attn_head_out_all_pos(both.theirs, both.batch.tokens, cache, both.metric)
    with (
        pytest.raises(ValueError, match="source and run must have the same rows and positions"),
        patched(both.ours, Head(0, 0), longer, "all") as changed,
    ):
        changed(both.batch.tokens)
