"""The plain forward pass: Hugging Face's own, for every family and variant that is not refused by name."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

from mechlib.lab.attribution.path_patching import lost_by_path_patching
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.forward.families import UnsupportedModel, forward, network
from mechlib.lab.hooks import run
from mechlib.lab.interventions.contexts import Site, patched
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.lab.interventions.sites import components
from mechlib.lab.models.loading import load
from mechlib.parts.circuits import Circuit
from mechlib.parts.heads import Head
from tests.helpers.tiny import CONTEXT, FAMILIES, VOCABULARY, directory, pairs, random_model, word_tokenizer

IDS = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
GPT2 = {**IDS, "n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": CONTEXT}
SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}
SHAPE |= {"max_position_embeddings": CONTEXT, **IDS}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
YARN = {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4, "original_max_position_embeddings": 16}
PHI3 = {**SHAPE, "pad_token_id": 1}
PARTIAL = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 1.0}
LONG |= {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "original_max_position_embeddings": 16}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
VARIANTS = {
    "gpt2 relu": GPT2Config(activation_function="relu", **GPT2),
    "gpt2 inner": GPT2Config(n_inner=48, **GPT2),
    "neox serial": GPTNeoXConfig(use_parallel_residual=False, **SHAPE),
    "neox all rotary": GPTNeoXConfig(rotary_pct=1.0, **SHAPE),
    "neox tied": GPTNeoXConfig(tie_word_embeddings=True, **SHAPE),
    "llama biases": LlamaConfig(attention_bias=True, mlp_bias=True, **SHAPE),
    "llama one group": LlamaConfig(num_key_value_heads=1, **SHAPE),
    "llama wide heads": LlamaConfig(head_dim=16, num_key_value_heads=2, **SHAPE),
    "llama linear rope": LlamaConfig(rope_parameters=LINEAR, **SHAPE),
    "llama yarn": LlamaConfig(rope_parameters=YARN, **SHAPE),
    "phi3": Phi3Config(**PHI3),
    "mistral": MistralConfig(num_key_value_heads=2, **SHAPE),
    "qwen3": Qwen3Config(num_key_value_heads=2, head_dim=16, **SHAPE),
    "qwen3 biases": Qwen3Config(num_key_value_heads=1, head_dim=8, attention_bias=True, **SHAPE),
    "gemma3 one group": Gemma3TextConfig(num_key_value_heads=1, head_dim=8, query_pre_attn_scalar=8, **PHI3),
    "gemma3 wide heads": Gemma3TextConfig(num_key_value_heads=4, head_dim=16, **PHI3),
    "phi3 groups": Phi3Config(num_key_value_heads=2, sliding_window=CONTEXT, tie_word_embeddings=True, **PHI3),
    "phi3 rotary in part": Phi3Config(rope_parameters=PARTIAL, num_key_value_heads=1, **PHI3),
    "qwen2 untied": Qwen2Config(num_key_value_heads=4, tie_word_embeddings=False, **SHAPE),
}
REFUSED = {
    "inverse layers": GPT2Config(scale_attn_by_inverse_layer_idx=True, **GPT2),
    "dynamic rope": LlamaConfig(rope_parameters=DYNAMIC, **SHAPE),
    "phi3 longrope": Phi3Config(rope_parameters=LONG, **PHI3),
    "gemma3 biases": Gemma3TextConfig(num_key_value_heads=2, head_dim=8, attention_bias=True, **PHI3),
}
WINDOW = 6
WINDOWED = {
    "qwen2": Qwen2Config(
        use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1, num_key_value_heads=4, **SHAPE
    ),
    "mistral": MistralConfig(num_key_value_heads=2, sliding_window=WINDOW, **SHAPE),
    "phi3": Phi3Config(sliding_window=WINDOW, **PHI3),
    "gemma3": Gemma3TextConfig(
        num_key_value_heads=2, head_dim=8, sliding_window=WINDOW,
        layer_types=["full_attention", "sliding_attention"], **PHI3,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES)
def path(request, tmp_path_factory):
    return directory(tmp_path_factory.mktemp("network") / request.param, request.param)


@pytest.fixture(scope="module")
def model(path):
    return load(str(path))


def saved(path, config):
    """A random model of this configuration, on disk; larger weights than an initialisation's."""
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    made.save_pretrained(path)
    word_tokenizer().save_pretrained(path)
    return made


def words(n: int = 3, length: int = 12, seed: int = 0):
    return torch.randint(3, VOCABULARY, (n, length), generator=torch.Generator().manual_seed(seed))


def logits(net, tokens, **rest):
    return net.unembed(forward(net, tokens, **rest)[0])


@torch.no_grad()
def log_probs(network_of_theirs, tokens, **rest):
    return network_of_theirs(tokens, **rest).logits.log_softmax(-1)


# --- against Hugging Face ----------------------------------------------------------------------------------------


def theirs(path):
    return AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()


@pytest.mark.parametrize("folded", [False, True])
def test_logits_are_hugging_faces(path, folded):
    net, tokens = network(load(str(path), folded=folded)), words(length=CONTEXT)
    ours, wanted = logits(net, tokens).log_softmax(-1), log_probs(theirs(path), tokens)
    assert torch.allclose(ours, wanted, atol=2e-5)
    if not folded:
        assert torch.allclose(logits(net, tokens), theirs(path)(tokens).logits, atol=2e-5)


def test_padding_on_the_left_changes_no_real_position(path, model):
    net, tokens, hf = network(model), words(3, 10), theirs(path)
    real = torch.tensor([[n >= padded for n in range(10)] for padded in (0, 3, 9)])
    positions = (real.long().cumsum(1) - 1).clamp(min=0)
    wanted = log_probs(hf, tokens, attention_mask=real.long(), position_ids=positions)
    ours = logits(net, tokens, real=real).log_softmax(-1)
    assert torch.allclose(ours[real], wanted[real], atol=2e-5)
    for row, padded in enumerate((0, 3, 9)):
        alone = logits(net, tokens[row : row + 1, padded:]).log_softmax(-1)
        assert torch.allclose(ours[row, padded:], alone[0], atol=2e-5)
    with pytest.raises(ValueError, match="padding must stand on the left"):
        forward(net, tokens, real=~real)


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_a_family_are_hugging_faces_too(tmp_path, name):
    hf, tokens = saved(tmp_path, VARIANTS[name]), words(length=CONTEXT)
    ours = logits(network(load(str(tmp_path))), tokens).log_softmax(-1)
    assert torch.allclose(ours, log_probs(hf, tokens), atol=3e-5)


def test_a_phi3_is_measured_as_its_hooks_have_it(tmp_path):
    """Fused matrices, raw and folded: circuits, sweeps and paths are those of the hooked model."""
    hf, prompts = saved(tmp_path, VARIANTS["phi3 groups"]), pairs(6)
    for folded in (False, True):
        loaded = load(str(tmp_path), folded=folded)
        ours = logits(network(loaded), words(length=CONTEXT)).log_softmax(-1)
        assert torch.allclose(ours, log_probs(hf, words(length=CONTEXT)), atol=3e-5)
        swept, hooked = (
            restored_by_patching(loaded, prompts, components(loaded), "all", hooked=hooked) for hooked in (False, True)
        )
        np.testing.assert_allclose(swept.values, hooked.values, atol=3e-5)
    graph = network(loaded).graph
    scores = circuit_scores(loaded, prompts, Circuit(graph.edges) - ("mlp 0->logits",), "counterfactual")
    lost = lost_by_path_patching(loaded, prompts, {"mlp 0": Site("mlp", 0)})
    np.testing.assert_allclose(scores.less("model", "circuit").array, lost["mlp 0"].array, atol=3e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_forward_pass_does_not_know_is_refused_by_name(tmp_path, name):
    saved(tmp_path, REFUSED[name])
    architecture = {"gpt2": "GPT2", "llama": "Llama", "phi3": "Phi3", "gemma3_text": "Gemma3"}
    architecture = architecture[REFUSED[name].model_type]
    with pytest.raises(UnsupportedModel, match=f"is a {architecture}.*hooked=True"):
        network(load(str(tmp_path)))


@pytest.mark.parametrize("name", WINDOWED)
def test_a_run_longer_than_a_sliding_window_is_refused(tmp_path, name):
    """Up to the window no layer leaves a token out; the library's hooks run longer ones as Hugging Face does."""
    hf, loaded = saved(tmp_path, WINDOWED[name]), load(str(tmp_path))
    net, longer = network(loaded), words(length=CONTEXT)
    ours = logits(net, longer[:, :WINDOW]).log_softmax(-1)
    assert torch.allclose(ours, log_probs(hf, longer[:, :WINDOW]), atol=3e-5)
    assert torch.allclose(run(loaded, longer)[0].log_softmax(-1), log_probs(hf, longer), atol=3e-5)
    with pytest.raises(ValueError, match=f"a run of {WINDOW + 1} tokens, of which some layers .* see {WINDOW} at most"):
        logits(net, longer[:, : WINDOW + 1])


# --- against hooks ------------------------------------------------------------------------------------------------


def test_edits_and_what_is_kept_are_those_of_hooks(model):
    net, tokens, other = network(model), words(), words(seed=1)
    sites = (Head(0, 1), Head(1, 2), Site("mlp", 0), Site("resid_pre", 1), Site("resid_post", 0))
    for site in sites:
        hook = (Site("head", *site) if isinstance(site, Head) else site).hook
        _, held = forward(net, other, keep=[hook])
        assert torch.allclose(held[hook], run(model, other, keep=[hook])[1][hook], atol=2e-5)

        def edit(old, site=site, new=held[hook]):
            if not isinstance(site, Head):
                return new
            return torch.stack([(new if n == site.head else old)[:, :, n] for n in range(old.shape[2])], dim=2)

        with patched(model, site, other, "all") as changed:
            assert torch.allclose(logits(net, tokens, edits={hook: edit}), changed(tokens), atol=3e-5)


def test_a_shift_is_seen_by_its_reader_alone(model):
    """All readers of a layer shifted alike are the stream shifted, less what it carries on."""
    net, tokens = network(model), words()
    shift = 0.5 * torch.randn(*tokens.shape, net.W_E.shape[1], generator=torch.Generator().manual_seed(2))
    readers = {f"1.{head}.{port}": shift for head in range(net.n_heads) for port in "qkv"}
    shifted, kept = forward(net, tokens, shifts={**readers, "mlp 1": shift}, keep=["blocks.1.hook_resid_post"])
    hook = "blocks.1.hook_resid_pre"
    moved, _ = forward(net, tokens, edits={hook: lambda old: old + shift})
    assert torch.allclose(shifted + shift, moved, atol=3e-5)
    assert torch.allclose(kept["blocks.1.hook_resid_post"], shifted)
    end, _ = forward(net, tokens, shifts={"logits": shift})
    assert torch.allclose(end, forward(net, tokens)[0] + shift, atol=1e-6)


@pytest.mark.parametrize("port", "qkv")
def test_a_shift_of_one_head_moves_that_head_alone(model, port):
    net, tokens, hook = network(model), words(), "blocks.1.attn.hook_z"
    shift = torch.randn(*tokens.shape, net.W_E.shape[1], generator=torch.Generator().manual_seed(2))
    before, after = (forward(net, tokens, shifts=own, keep=[hook])[1][hook] for own in ({}, {f"1.2.{port}": shift}))
    moved = (after - before).abs().amax((0, 1, 3))
    assert [head for head, off in enumerate(moved.tolist()) if off > 1e-5] == [2]


def test_names_that_are_none_are_refused(model):
    net, tokens = network(model), words()
    with pytest.raises(ValueError, match=r"no reader '2\.0\.q'"):
        forward(net, tokens, shifts={"2.0.q": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"no activation 'blocks\.0\.hook_attn_out'"):
        forward(net, tokens, keep=["blocks.0.hook_attn_out"])


# --- parts --------------------------------------------------------------------------------------------------------


def test_answer_logits_are_columns_of_all_logits(model):
    net, tokens = network(model), words()
    stream, chosen = forward(net, tokens)[0], words(length=2, seed=3)
    wanted = net.unembed(stream).gather(-1, chosen.unsqueeze(1).expand(-1, tokens.shape[1], -1))
    assert torch.allclose(net.answer_logits(stream, chosen), wanted, atol=1e-5)


def test_heads_write_what_the_layer_writes_less_its_bias(model):
    net, tokens, hook = network(model), words(), "blocks.0.attn.hook_z"
    z, block = forward(net, tokens, keep=[hook])[1][hook], net.blocks[0]
    bias = 0 if block.b_O is None else block.b_O
    whole = block.ln1_post(net.written_by_head(block, z).sum(2) + bias)
    assert torch.allclose(whole, net.written(block, z), atol=1e-5)


def test_the_forward_pass_is_differentiable(model):
    """The gradient along a direction is the slope of the logits there."""
    net, tokens = network(model), words(1, 6)
    shift = torch.zeros(1, 6, net.W_E.shape[1], requires_grad=True)
    way = torch.randn(shift.shape, generator=torch.Generator().manual_seed(4))

    def end(by):
        return logits(net, tokens, shifts={"0.1.v": by, "mlp 0": by})[0, -1, 5]

    (gradient,) = torch.autograd.grad(end(shift), shift)
    slope = (end(1e-2 * way) - end(-1e-2 * way)) / 2e-2
    assert float((gradient * way).sum()) == pytest.approx(float(slope), rel=2e-2)


def test_weights_are_read_again_after_they_were_written_to(tmp_path):
    loaded, tokens = load(str(directory(tmp_path, "gpt2"))), words()
    before = network(loaded)
    assert network(loaded) is before
    with torch.no_grad():
        loaded.blocks[1].mlp.out.weight.mul_(2)
    assert torch.allclose(logits(network(loaded), tokens), run(loaded, tokens)[0], atol=3e-5)
    assert not torch.allclose(logits(before, tokens), logits(network(loaded), tokens), atol=1e-2)
    next(loaded.blocks[1].mlp.parameters()).data.mul_(2)  # which torch does not count
    assert torch.allclose(logits(network(loaded), tokens), run(loaded, tokens)[0], atol=3e-5)


def test_every_parameter_of_the_tiny_models_is_random():
    """Else a weight that is left out would not show."""
    for family in FAMILIES:
        for name, parameter in random_model(family).named_parameters():
            assert float(parameter.detach().flatten().std()) > 1e-3, name
