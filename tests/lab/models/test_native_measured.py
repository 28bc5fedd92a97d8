"""What is measured on a toy is what the toy computes: against the library's own hooks, or refused by name."""

from itertools import product

import numpy as np
import pytest
import torch

from mechlib.checkpoints.checkpoint import twins
from mechlib.checkpoints.planted import BOS, plan
from mechlib.lab.attribution.attention import attention_to
from mechlib.lab.attribution.copying import attention_and_written, copy_scores
from mechlib.lab.attribution.direct import direct_logit_attribution
from mechlib.lab.attribution.gradients import attribution_patching, edge_scores, node_scores
from mechlib.lab.attribution.head_weights import composition, copying
from mechlib.lab.attribution.logit_lens import logit_lens
from mechlib.lab.attribution.path_patching import lost_by_path_patching
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import answers_correctly, logit_differences, repeat_loss
from mechlib.lab.circuits.pruning import prune
from mechlib.lab.forward.families import UnsupportedModel, forward, network
from mechlib.lab.interventions.ablation import loss_under_ablation, under_ablation
from mechlib.lab.interventions.contexts import patched, zero_ablated
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.lab.interventions.sites import components
from mechlib.lab.models.loading import checkpoint_of, load
from mechlib.lab.models.native import save
from mechlib.lab.studies.generation import generated
from mechlib.parts.heads import Head, Heads, all_heads
from mechlib.prompts.planted import planted
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.notebook import OF_BRIDGES, VARIANTS, WORDS, bridge, hooked, pairs, some_tokens

BRIDGES = VARIANTS | OF_BRIDGES
# What the plain forward pass has no words for.
REFUSED = ("bidirectional", "scores capped", "logits capped", "another scale")


@pytest.fixture
def toy(tmp_path):
    def made(variant: str, **more: object):
        return load(str(save(bridge(**BRIDGES[variant] | more), WORDS, tmp_path / "toy", overwrite=True)))

    return made


def ids(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


@pytest.mark.parametrize("variant", BRIDGES)
def test_logit_differences_are_those_of_the_model_in_the_notebook(toy, variant):
    found, model = logit_differences(toy(variant), pairs()), bridge(**BRIDGES[variant])
    for row, prompt in zip(found.values, pairs(), strict=True):
        for value, text in zip(row, (prompt.clean, prompt.corrupted), strict=True):
            with torch.no_grad():
                last = model(torch.tensor([ids(text)]))[0, -1]
            assert value == pytest.approx(float(last[ids(prompt.answer)] - last[ids(prompt.distractor)]), abs=1e-5)


@pytest.mark.parametrize(("variant", "how"), list(product(BRIDGES, ["patched", "zero"])))
def test_interventions_are_the_librarys_own_hooks_in_the_notebook(toy, variant, how):
    model, own = toy(variant), bridge(**BRIDGES[variant])
    head = Head(own.cfg.n_layers - 1, own.cfg.n_heads - 1)
    hook = f"blocks.{head.layer}.attn.hook_z"
    (batch,) = batches(model, pairs())
    with torch.no_grad():
        _, other = own.run_with_cache(batch.corrupted)

        def edit(z, hook):
            z = z.clone()
            z[:, :, head.head] = other[hook.name][:, :, head.head] if how == "patched" else 0.0
            return z

        wanted = own.run_with_hooks(batch.tokens, fwd_hooks=[(hook, edit)])
        plain = own(batch.tokens)
    if how == "patched":
        with patched(model, Heads((head,)), batch.corrupted, positions="all") as changed:
            logits = changed(batch)
    else:
        with zero_ablated(model, Heads((head,))) as changed:
            logits = changed(batch)
    torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(wanted, plain, atol=1e-3)


@pytest.mark.parametrize("variant", BRIDGES)
def test_the_plain_forward_pass_is_the_models_own_or_refused(toy, variant):
    model = toy(variant)
    if variant in REFUSED:
        with pytest.raises(UnsupportedModel):
            network(model)
        return
    net = network(model)
    torch.testing.assert_close(net.unembed(forward(net, some_tokens())[0]), model(some_tokens()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", BRIDGES)
def test_direct_contributions_sum_to_the_logit_difference_or_are_refused(toy, variant):
    model = toy(variant)
    if variant in ("logits capped", "final RMS alone"):
        with pytest.raises(ValueError, match="miss the logit difference"):
            direct_logit_attribution(model, pairs())
        return
    found = direct_logit_attribution(model, pairs())
    np.testing.assert_allclose(found.values[:, :-1].sum(1), logit_differences(model, pairs()).values[:, 0], atol=1e-4)
    mlps = [name for name in found.columns if name.startswith("mlp")]
    assert len(mlps) == (0 if model.cfg.attn_only else model.cfg.n_layers)


def test_a_token_of_a_bidirectional_model_sees_what_follows(toy):
    tokens = some_tokens()
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % len(WORDS)
    first = [[model(batch)[:, 0] for batch in (tokens, changed)] for model in (toy("bidirectional"), toy("LN"))]
    assert not torch.allclose(*first[0], atol=1e-3) and torch.equal(*first[1])


@pytest.mark.parametrize("variant", ["attention only", "fewer words out", "bidirectional"])
def test_twins_are_measured_as_their_parent_is(toy, variant):
    model = toy(variant)
    path = checkpoint_of(model).name
    scores = [logit_differences(load(name), pairs()).values for name in (path, *twins(path))]
    assert all(not np.allclose(a, b, atol=1e-2) for i, a in enumerate(scores) for b in scores[:i])


INSTRUMENTS = {
    "direct": lambda model, asked, heads: direct_logit_attribution(model, asked),
    "lens": lambda model, asked, heads: logit_lens(model, asked),
    "patching": lambda model, asked, heads: restored_by_patching(model, asked, components(model)),
    "ablation": lambda model, asked, heads: under_ablation(model, asked, heads, "zero", metric="logit difference"),
    "paths": lambda model, asked, heads: lost_by_path_patching(model, asked, heads),
    "attribution": lambda model, asked, heads: attribution_patching(model, asked, heads),
    "edges": lambda model, asked, heads: edge_scores(model, asked),
    "nodes": lambda model, asked, heads: node_scores(model, asked),
    "pruning": lambda model, asked, heads: prune(model, asked, kind="nodes"),
    "composition": lambda model, asked, heads: composition(model, "k"),
    "copying": lambda model, asked, heads: copying(model),
    "written": lambda model, asked, heads: attention_and_written(model, asked, Head(1, 0)),
}


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize("norm", ["LN", None])
def test_an_attention_only_model_is_measured_without_mlps(toy, instrument, norm):
    model = toy("attention only", normalization_type=norm)
    said = tuple(Prompt(f"w{a} w{b} w{a}", f"w{b}", f"w{a} w{c} w{a}", f"w{c}") for a, b, c in ((1, 2, 3), (4, 5, 6)))
    asked = PromptSet("pairs", "discovery", (*said, Prompt("w7 w8 w9 w7", "w8", "w7 w2 w9 w7", "w9")))
    found = INSTRUMENTS[instrument](model, asked, all_heads(2, 2))
    assert np.isfinite(found.values).all() and found.values.std() > 0
    assert not [name for name in found.columns if "mlp" in name]


# --- answers in other words ---------------------------------------------------------------------------------------


def test_output_words_of_ones_own_are_read_at_their_place(tmp_path):
    out = [f"out{n}" for n in range(5)]
    given = bridge(d_vocab_out=5)
    model = load(str(save(given, WORDS, tmp_path / "toy", output_words=out)))
    prompts = PromptSet("out", "confirmation", (Prompt("w3 w4 w5", "out4", distractor="out1"),))
    with torch.no_grad():
        last = given(torch.tensor([[3, 4, 5]]))[0, -1]
    assert logit_differences(model, prompts).values[0, 0] == pytest.approx(float(last[4] - last[1]), abs=1e-5)
    best = PromptSet("out", "confirmation", (Prompt("w3 w4 w5", out[int(last.argmax())]),))
    assert answers_correctly(model, best).values.tolist() == [[1.0]]


def test_what_wants_a_logit_for_each_word_is_refused_where_there_is_none(tmp_path):
    out = ["w1", "w0", *(f"out{n}" for n in range(3))]
    other = load(str(save(bridge(d_vocab_out=5), WORDS, tmp_path / "other", output_words=out)))
    fewer = load(str(save(bridge(d_vocab_out=19), WORDS, tmp_path / "fewer")))
    said = PromptSet("said", "confirmation", (Prompt("w0 w1 w2 w0 w1", "w1", distractor="w0"),))
    for ask in (repeat_loss, generated, lambda m, p: loss_under_ablation(m, p, all_heads(2, 2), "zero")):
        for model in (other, fewer):
            with pytest.raises(ValueError, match="wants logits for the words of a text"):
                ask(model, said)
    for ask in (copy_scores, lambda m, p: attention_to(m, p, "answer")):
        with pytest.raises(ValueError, match="wants logits for the words of a text"):
            ask(other, said)  # whose w1 has the logit of place 0
    assert attention_to(fewer, said, "answer").values.shape == (1, 4)
    assert attention_to(other, said, "previous token").values.shape == (1, 4)


# --- a known answer -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["planted-induction", "planted-ioi", "planted-adder-1"])
def planted_twice(request, tmp_path_factory):
    """A planted model, and the same saved and loaded again."""
    name, model = request.param, load(request.param)
    folder = tmp_path_factory.mktemp("native") / name
    words = plan(name).vocabulary
    return name, model, load(str(save(model, words, folder, bos=BOS)))


def test_a_planted_model_saved_and_loaded_gives_the_same_numbers(planted_twice):
    name, model, again = planted_twice
    prompts = planted(name, 16)
    assert np.array_equal(logit_differences(model, prompts).values, logit_differences(again, prompts).values)
    senders = all_heads(model.cfg.n_layers, model.cfg.n_heads).in_layer(0)
    lost = [lost_by_path_patching(one, prompts, senders, through_mlps=True).values for one in (model, again)]
    assert np.array_equal(*lost)


def test_the_planted_circuit_is_found_again_after_saving(planted_twice):
    name, _, again = planted_twice
    found = prune(again, planted(name, 16, split="discovery"))
    left = {edge for edge, value in zip(found.columns, found.values[0], strict=True) if value > 0}
    assert left == set(plan(name).edges)


# --- toys as others make them -------------------------------------------------------------------------------------


def test_modular_addition_is_measured_by_its_own_words(tmp_path):
    p = 113
    model = hooked(
        n_layers=1, d_model=32, n_heads=4, d_head=8, d_mlp=64, normalization_type=None, d_vocab=p + 1, d_vocab_out=p,
        n_ctx=3,
    )  # fmt: skip
    words = [*map(str, range(p)), "="]
    again = load(str(save(model, words, tmp_path / "grokking")))
    rows = tuple(Prompt(f"{a} {b} =", str((a + b) % p), f"{a} {b + 1} =", str((a + b + 1) % p)) for a, b in ((5, 9),))
    found = logit_differences(again, PromptSet("modular", "confirmation", rows))
    with torch.no_grad():
        last = model(torch.tensor([[5, 9, p], [5, 10, p]]))[:, -1]
    np.testing.assert_allclose(found.values[0], (last[:, 14] - last[:, 15]).numpy(), atol=1e-4)
    with pytest.raises(ValueError, match="no logit for '='"):
        logit_differences(again, PromptSet("modular", "confirmation", (Prompt("5 9 =", "=", distractor="3"),)))


def test_an_induction_model_of_two_layers_of_attention_is_measured_by_head(tmp_path):
    model = load(str(save(hooked(attn_only=True, normalization_type=None), WORDS, tmp_path / "induction", bos="w0")))
    prompts = PromptSet("repeats", "confirmation", (Prompt("w1 w2 w3 w1 w2", "w3", "w4 w2 w3 w1 w2", "w5"),))
    scores = attention_to(model, prompts, "after previous occurrence")
    assert scores.columns == ("0.0", "0.1", "1.0", "1.1")
    assert repeat_loss(model, PromptSet("r", "confirmation", (Prompt("w1 w2 w3 w1 w2", "w3"),))).values.shape == (1, 2)
    sent = lost_by_path_patching(model, prompts, all_heads(1, 2), receivers=("1.0.k", "1.1.k"))
    assert sent.columns[:2] == ("0.0", "0.1")


def test_brackets_are_read_by_character_in_both_directions(tmp_path):
    model = hooked(
        attention_dir="bidirectional", d_vocab=5, d_vocab_out=2, n_layers=3, d_mlp=16, n_ctx=10
    )  # fmt: skip
    words, out = ["[start]", "[pad]", "[end]", "(", ")"], ["unbalanced", "balanced"]
    again = load(str(save(model, words, tmp_path / "b", bos="[start]", output_words=out, characters=True)))
    rows = (Prompt("(())[end]", "balanced", "((()[end]", "unbalanced", glue=""),)
    found = logit_differences(again, PromptSet("brackets", "confirmation", rows))
    with torch.no_grad():
        last = model(torch.tensor([[0, 3, 3, 4, 4, 2], [0, 3, 3, 3, 4, 2]]))[:, -1]
    np.testing.assert_allclose(found.values[0], (last[:, 1] - last[:, 0]).numpy(), atol=1e-5)
