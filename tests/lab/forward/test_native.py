"""Native models in the plain forward pass: what hooks give, for every variant that is not refused by name."""

import numpy as np
import pytest
import torch

from mechlib.lab.attribution.gradients import attribution_patching, edge_scores
from mechlib.lab.attribution.path_patching import lost_by_path_patching
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import logit_differences
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.forward.families import UnsupportedModel, forward, network
from mechlib.lab.hooks import run
from mechlib.lab.interventions.contexts import Site, patched
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.parts.circuits import Circuit, circuit_of
from mechlib.parts.heads import Head, Heads, all_heads
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import WORDS, pairs
from tests.helpers.wide import metric, slope, wide
from tests.lab.forward.native import native

VARIANTS = {
    "no norms": {},
    "attention only": {"attn_only": True},
    "attention only, LN": {"attn_only": True, "normalization_type": "LN"},
    "attention only, one layer": {"attn_only": True, "n_layers": 1},
    "LN": {"normalization_type": "LN", "eps": 0.1},
    "LNPre": {"normalization_type": "LNPre"},
    "RMS": {"normalization_type": "RMS"},
    "RMSPre": {"normalization_type": "RMSPre"},
    "RMS at the end": {"normalization_type": "LN", "final_rms": True},
    "RMS at the end alone": {"final_rms": True},
    "wide heads": {"d_head": 16, "n_heads": 4},
    "narrow heads": {"d_head": 2},
    "fewer words out": {"d_vocab_out": 29},
    "rotary": {"positional_embedding_type": "rotary"},
    "rotary in part": {"positional_embedding_type": "rotary", "rotary_dim": 4, "normalization_type": "RMS"},
    "rotary, groups": {"positional_embedding_type": "rotary", "n_heads": 4, "n_key_value_heads": 2},
    "one group": {"n_key_value_heads": 1},
    "gated": {"gated_mlp": True, "act_fn": "silu", "normalization_type": "RMS"},
    "gelu": {"act_fn": "gelu", "d_mlp": 7},
}
REFUSED = {
    "attention_dir 'bidirectional'": {"attention_dir": "bidirectional"},
    "attn_scores_soft_cap": {"attn_scores_soft_cap": 5.0},
    "output_logits_soft_cap": {"output_logits_soft_cap": 5.0},
    "attention of another scale": {"attn_scale": 3.0},
    "use_attn_scale": {"use_attn_scale": False},
    "parallel_attn_mlp": {"parallel_attn_mlp": True},
    "use_local_attn": {"use_local_attn": True, "window_size": 3, "attn_types": ["local", "local"]},
    "scale_attn_by_inverse_layer_idx": {"scale_attn_by_inverse_layer_idx": True},
    "num_experts": {"num_experts": 2, "experts_per_token": 1},
}


@pytest.fixture(scope="module", params=VARIANTS)
def model(request):
    return native(**VARIANTS[request.param])


def prompts_of(model, n: int = 6) -> PromptSet:
    """Prompts whose answers the model has among the words that it gives."""
    rows = [row for row in pairs(60, longest=9) if all(WORDS.index(w) < model.cfg.d_vocab_out for w in words(row))]
    return PromptSet("pairs", "confirmation", tuple(rows[:n]))


def words(row: Prompt) -> tuple[str, str]:
    return row.answer, row.distractor


def places_of(model) -> dict:
    mlps = {} if model.cfg.attn_only else {f"mlp {n}": Site("mlp", n) for n in range(model.cfg.n_layers)}
    return {str(head): head for head in all_heads(model.cfg.n_layers, model.cfg.n_heads)} | mlps


def tokens(seed: int = 0):
    return torch.randint(3, len(WORDS), (3, 9), generator=torch.Generator().manual_seed(seed))


# --- against the model and its hooks ------------------------------------------------------------------------------


def test_logits_are_the_models(model):
    net = network(model)
    torch.testing.assert_close(net.unembed(forward(net, tokens())[0]), run(model, tokens())[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("positions", [-1, "all"])
def test_sweeps_give_what_the_hooked_model_gives(model, positions):
    last = model.cfg.n_layers - 1
    sites = {**places_of(model), "stream": Site("resid_post", 0), "embeddings": Site("resid_pre", last)}
    plain, hooked = (
        restored_by_patching(model, prompts_of(model), sites, positions, hooked=hooked) for hooked in (False, True)
    )
    np.testing.assert_allclose(plain.values, hooked.values, atol=3e-5)
    assert np.ptp(plain.values) > 0.1


def test_a_circuit_of_nodes_is_the_hooked_run_with_all_others_patched(model):
    prompts, every = prompts_of(model), places_of(model)
    kept = {"0.1", "mlp 0"} & set(every)
    scores = circuit_scores(model, prompts, Circuit(tuple(kept)), "counterfactual")["circuit"].array
    outside = [place for name, place in every.items() if name not in kept]
    for batch in batches(model, prompts):
        with patched(model, outside, batch.corrupted, "all") as changed:
            logits = changed(batch)[:, -1]
        rows = torch.arange(len(logits))
        wanted = logits[rows, batch.answer] - logits[rows, batch.distractor]
        np.testing.assert_allclose(scores[list(batch.rows)], wanted, atol=3e-5)


def test_the_scores_of_edges_are_slopes(model):
    net, prompts = network(model), prompts_of(model, 2)
    scores, exact = edge_scores(model, prompts, "EAP"), wide(network(model))
    assert scores.columns == net.graph.edges
    for target in ("0.0.k", f"{net.n_layers - 1}.1.v", "logits", "mlp 0"):
        if target == "mlp 0" and model.cfg.attn_only:
            continue
        wanted = 0.0
        for batch in batches(model, prompts, size=1):
            clean, corrupted = exact.embed(batch.tokens), exact.embed(batch.corrupted)

            def along(by, batch=batch, way=corrupted - clean, target=target):
                return metric(exact, batch, batch.tokens, {target: by * way})

            wanted -= float(slope(along)) / len(prompts)
        assert float(scores[f"input->{target}"].array[0]) == pytest.approx(wanted, abs=1e-5)


def test_all_paths_of_the_first_layers_inputs_carry_everything(model):
    """The embeddings, seen otherwise by every reader of every layer: nothing of the clean run is left."""
    prompts, net = prompts_of(model), network(model)
    readers = [".".join(filter(None, target)) for target in net.graph.targets]
    lost = lost_by_path_patching(model, prompts, {"embeddings": Site("resid_pre", 0)}, readers)
    np.testing.assert_allclose(lost["embeddings"].array, lost["total"].array, atol=3e-5)
    both = logit_differences(model, prompts)
    np.testing.assert_allclose(lost["total"].array, both.less("clean", "corrupted").array, atol=3e-5)


def test_a_direct_path_is_an_edge_that_a_circuit_lacks(model):
    prompts, graph = prompts_of(model), network(model).graph
    whole = Circuit(graph.edges) - ("0.1->logits",)
    scores = circuit_scores(model, prompts, whole, "counterfactual")
    lost = lost_by_path_patching(model, prompts, Heads((Head(0, 1),)))
    np.testing.assert_allclose(scores.less("model", "circuit").array, lost["0.1"].array, atol=3e-5)


# --- attention-only -----------------------------------------------------------------------------------------------


def test_an_attention_only_model_has_no_mlps_anywhere():
    model = native(attn_only=True)
    net, prompts = network(model), prompts_of(model)
    assert not [part for part in (*net.graph.nodes, *net.graph.edges) if "mlp" in part]
    with pytest.raises(ValueError, match="of 2 layers with 3 heads and no MLPs"):
        circuit_scores(model, prompts, Circuit(("mlp 0",)), "counterfactual")
    with pytest.raises(ValueError, match="no reader 'mlp 0'"):
        lost_by_path_patching(model, prompts, Heads((Head(0, 1),)), ("mlp 0",))
    with pytest.raises(ValueError, match=r"no activation 'blocks\.0\.hook_mlp_out'"):
        forward(net, tokens(), keep=["blocks.0.hook_mlp_out"])


def test_means_and_zeros_stand_outside_a_circuit_of_an_attention_only_model():
    model = native(attn_only=True)
    reference = PromptSet("pairs", "reference", pairs(60, "reference", seed=1).rows)
    for replacement in ("mean", "zero", "resample"):
        scores = circuit_scores(
            model, prompts_of(model), circuit_of(all_heads(2, 3)), replacement, reference, direction="denoising"
        )
        np.testing.assert_allclose(scores["model"].array, logit_differences(model, prompts_of(model))["clean"].array,
                                   atol=2e-5)  # fmt: skip
        assert np.ptp(scores["circuit"].array) > 0.01


def test_attribution_patching_is_exact_where_nothing_but_the_unembedding_follows():
    model = native(attn_only=True, n_layers=1)
    prompts, heads = prompts_of(model), all_heads(1, 3)
    rough, exact = attribution_patching(model, prompts, heads), restored_by_patching(model, prompts, heads)
    np.testing.assert_allclose(rough.values, exact.values, atol=2e-5)


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", REFUSED)
def test_a_setting_that_is_not_computed_is_refused_by_name(setting):
    with pytest.raises(UnsupportedModel, match=f"TransformerLensNative with {setting}.*hooked=True"):
        network(native(**REFUSED[setting]))


def test_a_bidirectional_model_is_refused_by_every_instrument_of_the_plain_forward_pass():
    model = native(attention_dir="bidirectional")
    for instrument in (
        lambda: attribution_patching(model, prompts_of(model), all_heads(2, 3)),
        lambda: edge_scores(model, prompts_of(model)),
        lambda: lost_by_path_patching(model, prompts_of(model), all_heads(2, 3)),
        lambda: circuit_scores(model, prompts_of(model), Circuit(("0.0",)), "zero"),
        lambda: restored_by_patching(model, prompts_of(model), all_heads(2, 3)),
    ):
        with pytest.raises(UnsupportedModel, match="toy is a TransformerLensNative with attention_dir 'bidirectional'"):
            instrument()


def test_a_setting_that_nobody_named_is_refused_by_its_logits():
    model = native(normalization_type="LN")
    model.original_model.layers[1].attn.original_component.scale = 1.0
    with pytest.raises(UnsupportedModel, match=r"toy computes other logits .* by up to \d.* hooked=True"):
        network(model)


def test_a_model_that_computes_nan_is_left_to_the_instruments_that_name_the_prompt():
    model = native()
    with torch.no_grad():
        model.W_E[0] = float("nan")  # of BOS
    with pytest.raises(ValueError, match="NaN or infinity for prompt"):
        circuit_scores(model, prompts_of(model), Circuit(("0.0",)), "counterfactual")
