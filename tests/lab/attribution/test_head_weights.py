"""What heads do by their weights, against whole matrices of Hugging Face's weights, and on heads built by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from mechlib.lab.attribution.head_weights import composition, copying, matching, positional_attention
from mechlib.lab.forward.families import Norm, UnsupportedModel, network
from mechlib.lab.models.loading import Model, load
from mechlib.parts.heads import EmptySelection, Head, all_heads, heads
from tests.helpers.families import other_directory
from tests.helpers.tiny import BOS_ID, CONTEXT, FAMILIES, PLAIN, REFUSED, VOCABULARY, random_model, word_tokenizer

EVERY = [str(head) for head in all_heads(2, 4)]
SCORES = ("on top", "rank", "eigenvalues")
D, H = 32, 8  # d_model and d_head of the tiny models


def saved(made: PreTrainedModel, path: Path, folded: bool = False) -> Model:
    made.save_pretrained(path)
    word_tokenizer().save_pretrained(path)
    return load(str(path), folded=folded)


@pytest.fixture(scope="module", params=[(family, folded) for family in PLAIN for folded in (False, True)], ids=str)
def case(request, tmp_path_factory):
    family, folded = request.param
    made = random_model(family)
    return saved(made, tmp_path_factory.mktemp("weights") / family, folded), made


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return saved(random_model("gpt2"), tmp_path_factory.mktemp("weights") / "one")


# Hugging Face's weights, as each family stores them


def projections(made: PreTrainedModel, layer: int, head: int) -> dict[str, np.ndarray]:
    """W_Q, W_K, W_V as [d_model, d_head] with their biases, W_O as [d_head, d_model]."""
    if hasattr(made, "transformer"):
        attention = made.transformer.h[layer].attn
        rows, biases = attention.c_attn.weight.split(D, 1), attention.c_attn.bias.split(D)
        own = slice(H * head, H * head + H)
        found = {port: (w[:, own], b[own]) for port, w, b in zip("qkv", rows, biases, strict=True)}
        output = attention.c_proj.weight[own]
    elif hasattr(made, "gpt_neox"):
        attention = made.gpt_neox.layers[layer].attention
        found = {}
        for place, port in enumerate("qkv"):
            own = slice(3 * H * head + H * place, 3 * H * head + H * (place + 1))
            found[port] = attention.query_key_value.weight[own].T, attention.query_key_value.bias[own]
        output = attention.dense.weight[:, H * head : H * head + H].T
    else:  # two heads share keys and values
        attention, found = made.model.layers[layer].self_attn, {}
        for port, place in (("q", head), ("k", head // 2), ("v", head // 2)):
            linear, own = getattr(attention, f"{port}_proj"), slice(H * place, H * place + H)
            found[port] = linear.weight[own].T, torch.zeros(H) if linear.bias is None else linear.bias[own]
        output = attention.o_proj.weight[:, H * head : H * head + H].T
    arrays = {f"W_{port.upper()}": weight for port, (weight, _) in found.items()}
    arrays |= {f"b_{port.upper()}": bias for port, (_, bias) in found.items()} | {"W_O": output}
    return {name: array.detach().double().numpy() for name, array in arrays.items()}


def blocks(made: PreTrainedModel) -> list[tuple[torch.nn.Module, torch.nn.Module, torch.nn.Module]]:
    """The norm before attention, the one before the MLP, and the MLP, layer by layer."""
    if hasattr(made, "transformer"):
        return [(block.ln_1, block.ln_2, block.mlp) for block in made.transformer.h]
    layers = made.gpt_neox.layers if hasattr(made, "gpt_neox") else made.model.layers
    return [(block.input_layernorm, block.post_attention_layernorm, block.mlp) for block in layers]


def last_norm(made: PreTrainedModel) -> torch.nn.Module:
    if hasattr(made, "transformer"):
        return made.transformer.ln_f
    return made.gpt_neox.final_layer_norm if hasattr(made, "gpt_neox") else made.model.norm


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def centring(norm: torch.nn.Module) -> np.ndarray:
    """What the norm does to directions, gain included and scale apart: a d_model x d_model matrix."""
    keeps = np.eye(D) - 1 / D if isinstance(norm, torch.nn.LayerNorm) else np.eye(D)
    return keeps @ np.diag(array(norm.weight))


def read(made: PreTrainedModel, layer: int, after_first_mlp: bool) -> torch.Tensor:
    embedding = made.get_input_embeddings().weight
    if after_first_mlp and layer:
        _, norm, mlp = blocks(made)[0]
        embedding = embedding + mlp(norm(embedding.unsqueeze(0))).squeeze(0)
    return embedding


def ov_matrix(made: PreTrainedModel, layer: int, head: int, after_first_mlp: bool = False) -> np.ndarray:
    """Tokens by logits: what each token, attended to, adds to each logit."""
    norm = blocks(made)[layer][0]
    own = projections(made, layer, head)
    normed = array(norm(read(made, layer, after_first_mlp)))
    if isinstance(norm, torch.nn.LayerNorm):
        normed = normed - array(norm.bias)
    whole = normed @ own["W_V"] @ own["W_O"] @ centring(last_norm(made)) @ array(made.get_output_embeddings().weight).T
    return whole - whole.mean(1, keepdims=True)


def qk_matrix(made: PreTrainedModel, layer: int, head: int, after_first_mlp: bool = False) -> np.ndarray:
    """Tokens by tokens: how much each query prefers each key."""
    own, normed = projections(made, layer, head), array(blocks(made)[layer][0](read(made, layer, after_first_mlp)))
    whole = (normed @ own["W_Q"] + own["b_Q"]) @ (normed @ own["W_K"] + own["b_K"]).T
    return whole - whole.mean(1, keepdims=True)


def diagonal(matrix: np.ndarray, what: str) -> float:
    if what == "eigenvalues":
        found = np.linalg.eigvals(matrix)
        return float(found.sum().real / np.abs(found).sum())
    ranks = [1 + int((row > row[token]).sum()) for token, row in enumerate(matrix)]
    return float(np.mean([rank == 1 for rank in ranks]) if what == "on top" else np.mean(ranks))


@pytest.mark.parametrize("after_first_mlp", [False, True])
@pytest.mark.parametrize("what", SCORES)
@pytest.mark.parametrize("instrument, matrix", [(copying, ov_matrix), (matching, qk_matrix)])
def test_scores_are_those_of_whole_matrices_of_tokens_by_tokens(case, instrument, matrix, what, after_first_mlp):
    model, made = case
    measured = instrument(model, what, after_first_mlp=after_first_mlp)
    assert measured.columns == tuple(EVERY)
    assert measured.units == ("checkpoint",) and measured.unit == "checkpoint"
    wanted = [diagonal(matrix(made, *head, after_first_mlp), what) for head in all_heads(2, 4)]
    np.testing.assert_allclose(measured.values[0], wanted, atol=2e-5 if what == "eigenvalues" else 1e-9)


def test_eigenvalues_are_those_of_the_matrix_by_dimensions_of_the_stream(case):
    """The cyclic form: d_model x d_model, and its eigenvalues are those of tokens by logits that are not zero."""
    model, made = case
    norm, own = blocks(made)[1][0], projections(made, 1, 2)
    normed = array(norm(read(made, 1, False)))
    if isinstance(norm, torch.nn.LayerNorm):
        normed = normed - array(norm.bias)
    unembed = array(made.get_output_embeddings().weight)
    around = own["W_V"] @ own["W_O"] @ centring(last_norm(made)) @ (unembed - unembed.mean(0)).T @ normed
    assert copying(model, "eigenvalues")["1.2"].array[0] == pytest.approx(diagonal(around, "eigenvalues"), abs=2e-5)


def test_blocks_of_tokens_make_no_difference(gpt2, monkeypatch):
    whole = [instrument(gpt2, what).values for instrument, what in product((copying, matching), SCORES)]
    monkeypatch.setattr("mechlib.lab.attribution.head_weights.BLOCK_BYTES", 4 * VOCABULARY * 7)
    blocked = [instrument(gpt2, what).values for instrument, what in product((copying, matching), SCORES)]
    np.testing.assert_array_equal(whole, blocked)


def test_without_norms_every_matrix_enters_as_it_is(gpt2, monkeypatch):
    """The form of Elhage et al., for networks that are built or trained without norms."""
    net, none = network(gpt2), Norm("none")
    bare = replace(net, blocks=tuple(replace(block, ln1=none, ln2=none) for block in net.blocks), ln_final=none)
    monkeypatch.setattr("mechlib.lab.attribution.head_weights.network", lambda model: bare)
    made, (first, second) = random_model("gpt2"), (Head(0, 3), Head(1, 1))
    one, other = projections(made, *first), projections(made, *second)
    embed, unembed = array(made.transformer.wte.weight), array(made.lm_head.weight)
    copies = embed @ one["W_V"] @ one["W_O"] @ (unembed - unembed.mean(0)).T
    assert copying(gpt2, "eigenvalues")["0.3"].array[0] == pytest.approx(diagonal(copies, "eigenvalues"), abs=2e-5)
    out, into = one["W_V"] @ one["W_O"], other["W_K"] @ other["W_Q"].T
    share = np.linalg.norm(out @ into) / np.linalg.norm(out) / np.linalg.norm(into)
    found = composition(gpt2, "k")
    assert found["0.3->1.1.k"].array[0] == pytest.approx(share, rel=1e-4)
    assert found["chance"].array[0] == pytest.approx(D**-0.5)


# Heads built by hand


@pytest.fixture
def built(tmp_path) -> Callable[[Callable], Model]:
    """A GPT-2 without biases and gains whose tokens are eight directions, as `edit` leaves it."""

    def make(edit: Callable[[GPT2LMHeadModel], None]) -> Model:
        torch.manual_seed(0)
        config = GPT2Config(n_layer=2, n_head=4, n_embd=D, n_positions=CONTEXT, vocab_size=VOCABULARY)
        config.bos_token_id = config.eos_token_id = BOS_ID
        config.tie_word_embeddings = False
        made = GPT2LMHeadModel(config)
        # The first 15 dimensions hold the token, the last 15 the position; each has a mean of zero.
        made.transformer.wte.weight.data = torch.cat([zero_mean(VOCABULARY, 15), torch.zeros(VOCABULARY, 17)], 1)
        made.transformer.wpe.weight.data = torch.cat([torch.zeros(CONTEXT, 17), zero_mean(CONTEXT, 15)], 1)
        made.lm_head.weight.data = made.transformer.wte.weight.data.clone()
        edit(made)
        return saved(made, tmp_path / "built")

    return make


def zero_mean(n: int, width: int) -> torch.Tensor:
    made = torch.randn(n, width)
    made = made - made.mean(1, keepdim=True)
    return made / made.norm(dim=1, keepdim=True)


def basis() -> torch.Tensor:
    """Eight orthonormal directions of the token's dimensions, none of which has a mean."""
    made, _ = torch.linalg.qr(zero_mean(8, 15).T)
    return torch.cat([made, torch.zeros(17, 8)])


def test_a_head_that_copies_scores_one_and_its_negative_minus_one(built):
    def edit(made):
        attention, kept = made.transformer.h[1].attn, basis()
        made.transformer.wte.weight.data = made.transformer.wte.weight @ kept @ kept.T  # so that the head sees all
        made.lm_head.weight.data = made.transformer.wte.weight / made.transformer.wte.weight.norm(dim=1, keepdim=True)
        for head, sign in ((1, 1), (2, -1)):
            attention.c_attn.weight.data[:, 2 * D + H * head : 2 * D + H * head + H] = kept
            attention.c_proj.weight.data[H * head : H * head + H] = sign * kept.T

    model = built(edit)
    pair = heads("1.1 1.2")
    np.testing.assert_allclose(copying(model, "eigenvalues", pair).values, [[1, -1]], atol=1e-6)
    np.testing.assert_allclose(copying(model, "on top", pair).values, [[1, 0]])
    np.testing.assert_allclose(copying(model, "rank", pair).values, [[1, VOCABULARY]])


def test_a_head_whose_queries_are_its_keys_matches_and_one_of_opposite_sign_does_not(built):
    def edit(made):
        attention, kept = made.transformer.h[0].attn, basis()
        for head, sign in ((0, 1), (3, -1)):
            attention.c_attn.weight.data[:, H * head : H * head + H] = kept
            attention.c_attn.weight.data[:, D + H * head : D + H * head + H] = sign * kept
        made.transformer.wte.weight.data = made.transformer.wte.weight @ kept @ kept.T

    model = built(edit)
    pair = heads("0.0 0.3")
    np.testing.assert_allclose(matching(model, "on top", pair).values, [[1, 0]])
    np.testing.assert_allclose(matching(model, "rank", pair).values, [[1, VOCABULARY]])
    np.testing.assert_allclose(matching(model, "eigenvalues", pair).values, [[1, -1]], atol=1e-6)


@pytest.mark.parametrize(
    "what, wanted", [("on top", 1 / VOCABULARY), ("rank", (VOCABULARY + 1) / 2), ("eigenvalues", 0)]
)
def test_a_head_that_writes_nothing_copies_nothing_and_one_without_queries_matches_nothing(built, what, wanted):
    def edit(made):
        made.transformer.h[0].attn.c_attn.weight.data.zero_()
        made.transformer.h[0].attn.c_proj.weight.data.zero_()

    model = built(edit)
    for instrument in (copying, matching):
        assert instrument(model, what, heads("0.2"))["0.2"].array[0] == pytest.approx(wanted)


def shifted(made: GPT2LMHeadModel, head: int, offset: int) -> None:
    """Queries of each position on the circle are keys of the one `offset` from it."""
    angles = torch.arange(CONTEXT) * 2 * torch.pi / CONTEXT
    waves = torch.cat([torch.stack([(n * angles).cos(), (n * angles).sin()], 1) for n in (1, 5, 9, 13)], 1)
    frame, _ = torch.linalg.qr(zero_mean(8, 15).T)
    frame = torch.cat([torch.zeros(17, 8), frame])
    made.transformer.wpe.weight.data = waves @ frame.T
    turn = torch.zeros(8, 8)
    for place, n in enumerate((1, 5, 9, 13)):
        angle = torch.tensor(n * offset * 2 * torch.pi / CONTEXT)
        rotation = torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])])
        turn[2 * place : 2 * place + 2, 2 * place : 2 * place + 2] = rotation
    attention = made.transformer.h[0].attn
    attention.c_attn.weight.data[:, H * head : H * head + H] = 6 * frame @ turn
    attention.c_attn.weight.data[:, D + H * head : D + H * head + H] = 6 * frame


def test_a_head_that_turns_positions_by_one_looks_at_the_previous_token(built):
    model = built(lambda made: shifted(made, head=2, offset=-1))
    found = {offset: positional_attention(model, offset)["0.2"].array[0] for offset in (-2, -1, 0)}
    assert found[-1] > 0.95 and found[-2] < 0.05 and found[0] < 0.05
    back = built(lambda made: shifted(made, head=2, offset=-3))
    assert positional_attention(back, -3)["0.2"].array[0] > 0.9


# Positions


@pytest.mark.parametrize("offset, context", [(-1, None), (-1, 10), (0, None), (-4, 12), (-9, 10)])
@pytest.mark.parametrize("folded", [False, True])
def test_positional_attention_is_hugging_faces_when_every_token_is_the_average_one(tmp_path, folded, offset, context):
    """In the first layer; the second one's weights are put there to read the same stream."""
    made, n = random_model("gpt2"), context or CONTEXT
    measured = positional_attention(saved(made, tmp_path / "gpt2", folded), offset, context=context)
    wanted = []
    for block in (made.transformer.h[0], made.transformer.h[1]):
        made.transformer.h[0] = block
        average = made.transformer.wte.weight.mean(0).expand(1, n, -1)
        with torch.no_grad():
            pattern = made(inputs_embeds=average, output_attentions=True, use_cache=False).attentions[0][0]
        wanted += [np.mean([float(head[query, query + offset]) for query in range(-offset, n)]) for head in pattern]
    np.testing.assert_allclose(measured.values[0], wanted, atol=1e-5)


def test_attention_to_all_offsets_by_position_is_all_the_attention_of_the_last_query(gpt2):
    """The key n - 1 back exists for the last of n positions alone."""
    n = 6
    whole = sum(positional_attention(gpt2, -back, context=n).values * (n - back) for back in range(n))
    np.testing.assert_allclose(whole / n, np.ones((1, 8)), atol=1e-5)


# Composition


def composed(made: PreTrainedModel, one: Head, other: Head, port: str) -> float:
    """From whole d_model x d_model matrices."""
    sender, receiver = projections(made, *one), projections(made, *other)
    norms = [centring(blocks(made)[layer][0]) for layer in (one.layer, other.layer)]
    mean_free = np.eye(D) - 1 / D if isinstance(blocks(made)[0][0], torch.nn.LayerNorm) else np.eye(D)
    out = norms[0] @ sender["W_V"] @ sender["W_O"] @ mean_free
    qk = norms[1] @ receiver["W_Q"] @ receiver["W_K"].T @ norms[1].T
    into = {"q": qk, "k": qk.T, "v": norms[1] @ receiver["W_V"] @ receiver["W_O"] @ mean_free}[port]
    return np.linalg.norm(out @ into) / np.linalg.norm(out) / np.linalg.norm(into)


@pytest.mark.parametrize("port", ["q", "k", "v"])
def test_composition_is_the_norm_of_products_of_whole_matrices(case, port):
    model, made = case
    measured = composition(model, port)
    pairs = [(Head(0, one), Head(1, other)) for one in range(4) for other in range(4)]
    assert measured.columns == (*(f"{one}->{other}.{port}" for one, other in pairs), "chance")
    wanted = [composed(made, one, other, port) for one, other in pairs]
    np.testing.assert_allclose(measured.without(["chance"]).values[0], wanted, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_change_with_the_size_of_what_is_written(tmp_path, family):
    made = random_model(family)
    before = [composition(saved(made, tmp_path / "before"), port).values for port in "qkv"]
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith(("attn.c_proj.weight", "attention.dense.weight", "o_proj.weight")):
                parameter.mul_(-7.5)
    after = [composition(saved(made, tmp_path / "after"), port).values for port in "qkv"]
    np.testing.assert_allclose(before, after, rtol=1e-4)


def rotated(made: PreTrainedModel, turn: torch.Tensor) -> None:
    """Everything that writes into the residual stream turned, and everything that reads it turned back."""
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith(("embed_tokens.weight", "q_proj.weight", "k_proj.weight", "v_proj.weight")):
                parameter.copy_(parameter @ turn)
            elif name.endswith(("gate_proj.weight", "up_proj.weight", "lm_head.weight")):
                parameter.copy_(parameter @ turn)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.copy_(turn.T @ parameter)
            elif "norm" in name:
                parameter.fill_(1)


def test_turning_the_residual_stream_changes_no_score(tmp_path):
    """In a model whose norm has no gain and no centring, no direction of the stream is special."""
    made = random_model("llama")
    rotated(made, torch.eye(D))
    plain = saved(made, tmp_path / "plain")
    rotated(made, torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(1)))[0])
    turned = saved(made, tmp_path / "turned")
    for port in "qkv":
        np.testing.assert_allclose(composition(plain, port).values, composition(turned, port).values, rtol=1e-4)
    for instrument, what in product((copying, matching), SCORES):
        np.testing.assert_allclose(instrument(plain, what).values, instrument(turned, what).values, atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_chance_is_the_root_mean_square_over_random_turns_of_one_matrix(family):
    """Haar rotations of the dimensions that the norm keeps; a Monte Carlo of 2,000, to 2 %."""
    rng, kept = np.random.default_rng(0), D - (family == "gpt2")
    one, other = (rng.normal(size=(kept, H)) @ rng.normal(size=(H, kept)) for _ in range(2))
    squares = []
    for _ in range(2000):
        turn, sizes = np.linalg.qr(rng.normal(size=(kept, kept)))
        product_ = one @ (turn * np.sign(np.diag(sizes))) @ other
        squares.append((np.linalg.norm(product_) / np.linalg.norm(one) / np.linalg.norm(other)) ** 2)
    assert np.mean(squares) ** 0.5 == pytest.approx(kept**-0.5, rel=0.02)


def test_chance_stands_beside_the_scores(tmp_path):
    for family, kept in (("gpt2", D - 1), ("neox", D - 1), ("llama", D), ("qwen2", D)):
        model = saved(random_model(family), tmp_path / family)
        assert composition(model, "k")["chance"].array[0] == pytest.approx(kept**-0.5)


def test_a_head_that_reads_what_another_writes_composes_fully_and_one_that_reads_the_rest_not_at_all(built):
    def edit(made):
        kept = basis()
        first, second = made.transformer.h[0].attn, made.transformer.h[1].attn
        first.c_attn.weight.data[:, 2 * D : 2 * D + H] = kept
        first.c_proj.weight.data[:H] = kept.T
        other, _ = torch.linalg.qr(torch.cat([kept, torch.ones(D, 1), torch.randn(D, 8)], 1))
        for head, frame in ((0, kept), (1, other[:, 9:])):
            second.c_attn.weight.data[:, D + H * head : D + H * head + H] = frame

    found = composition(built(edit), "k", heads("0.0"), heads("1.0 1.1"))
    assert found.columns == ("0.0->1.0.k", "0.0->1.1.k", "chance")
    # Eight orthonormal directions, all read alike: |P M| = |M| and |P| = sqrt(8).
    assert found["0.0->1.1.k"].array[0] == pytest.approx(0, abs=1e-6)
    assert found["0.0->1.0.k"].array[0] == pytest.approx(8**-0.5, rel=1e-5)


# Refused


def test_heads_that_the_model_lacks_are_named(gpt2):
    for ask in (copying, matching, positional_attention):
        with pytest.raises(ValueError, match=r"no head 2\.0 in .*: it has 2 layers of 4 heads"):
            ask(gpt2, heads=heads("2.0"))
        with pytest.raises(EmptySelection, match="no heads: name at least one"):
            ask(gpt2, heads=())
    with pytest.raises(ValueError, match=r"no head 0\.4"):
        composition(gpt2, "q", heads("0.4"))
    with pytest.raises(EmptySelection, match="no sender is in an earlier layer"):
        composition(gpt2, "q", heads("1.0"), heads("1.2"))


def test_other_words_for_scores_and_inputs_are_refused_by_name(gpt2):
    for ask in (copying, matching):
        with pytest.raises(REFUSED, match="'trace'"):
            ask(gpt2, "trace")
    with pytest.raises(REFUSED, match="'o'"):
        composition(gpt2, "o")


@pytest.mark.parametrize("family", ["neox", "llama", "qwen2"])
def test_rotary_models_have_no_position_embeddings_to_read(tmp_path, family):
    with pytest.raises(ValueError, match="rotary positions, not learned ones: measure attention_to"):
        positional_attention(saved(random_model(family), tmp_path / family))


@pytest.mark.parametrize("offset, context", [(1, None), (-10, 10), (-1, 1), (-1, CONTEXT + 1)])
def test_offsets_that_no_position_has_are_refused(gpt2, offset, context):
    with pytest.raises(ValueError, match=f"no key at offset {offset} "):
        positional_attention(gpt2, offset, context=context)


def test_other_architectures_are_refused_by_name(tmp_path):
    model = load(str(other_directory(tmp_path / "granite", "granite")))
    with pytest.raises(UnsupportedModel, match="GraniteForCausalLM"):
        copying(model)
