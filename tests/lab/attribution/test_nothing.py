"""Where nothing is written, or there is nothing to write it: ties and chance, never an extreme."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mechlib.checkpoints.planted import plan
from mechlib.lab.attribution.copying import copy_scores
from mechlib.lab.attribution.head_weights import copying, matching
from mechlib.lab.attribution.logit_lens import logit_lens
from mechlib.lab.behaviour import answers_correctly
from mechlib.lab.interventions.ablation import under_ablation
from mechlib.lab.interventions.contexts import Site, patched
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.lab.interventions.sites import components, layers
from mechlib.lab.metrics import correct
from mechlib.lab.models.loading import load
from mechlib.lab.studies.position_embeddings import readers, under_other_positions
from mechlib.lab.studies.right_wrong import activation_norms
from mechlib.parts.heads import all_heads
from mechlib.prompts.planted import planted
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.in_memory import native
from tests.helpers.tiny import VOCABULARY, pairs

SAID = PromptSet(
    "said", "confirmation", tuple(Prompt(f"w1 w{n} w3", f"w{n}", f"w1 w{n + 1} w3", "w1") for n in (5, 7, 9))
)


@pytest.mark.parametrize("norm", [None, "LN", "RMS"])
def test_a_head_that_writes_nothing_copies_no_name(norm):
    model = native(normalization_type=norm)
    with torch.no_grad():
        model.blocks[1].attn.W_O[2] = 0
    both = [copy_scores(model, SAID, negative=negative) for negative in (False, True)]
    assert not any(found["1.2"].array.any() for found in both)
    assert any(found.values.any() for found in both)


def test_words_that_nothing_tells_apart_share_their_places():
    """A head that writes where no word is read: all logits are those of rounding, if any."""
    model = native()
    with torch.no_grad():
        model.W_U[3:] = 0
        model.unembed.b_U.zero_()
        model.blocks[1].attn.W_O[:, :, :3] = 0
    assert not copy_scores(model, SAID).values[:, 4:].any()


@pytest.mark.parametrize("name", ["planted-ioi", "planted-backup-3"])
def test_heads_of_a_planted_model_that_write_for_no_word_are_at_chance(name):
    """Distractors write into dimensions that the unembedding does not read, up to float32's rounding."""
    planned, model = plan(name), load(name)
    assert planned is not None
    mover = planned.seats["mover"]
    circuit = set(planned.seats.values())
    others = [str(head) for head in all_heads(model.cfg.n_layers, model.cfg.n_heads) if str(head) not in circuit]
    size = model.cfg.d_vocab
    for what, chance in (("on top", 1 / size), ("rank", (size + 1) / 2), ("eigenvalues", 0)):
        found = copying(model, what)
        np.testing.assert_allclose(found[others].values, chance, rtol=1e-12)
        assert abs(found[mover].array[0] - chance) > 0.1
    assert not copy_scores(model, planted(name, 20))[others].values.any()


def test_a_head_without_queries_prefers_no_key():
    model = native()
    with torch.no_grad():
        model.blocks[0].attn.W_Q[1] = 0
        model.blocks[0].attn.b_Q[1] = 0
    assert matching(model, "on top")["0.1"].array[0] == pytest.approx(1 / VOCABULARY)
    assert matching(model, "rank")["0.1"].array[0] == (VOCABULARY + 1) / 2


def test_an_empty_stream_puts_no_word_on_top_and_all_in_the_middle():
    model = native()
    with torch.no_grad():
        for part in (model.embed.weight, model.pos_embed.weight, model.unembed.b_U):
            part.zero_()
    assert (logit_lens(model, SAID, "rank")["embeddings"].array == (VOCABULARY + 1) / 2).all()
    assert not logit_lens(model, SAID, "answer on top")["embeddings"].array.any()
    bos = PromptSet("first word", "confirmation", (Prompt("w1 w3", "<bos>", "w2 w3", "w1"),))
    assert not logit_lens(model, bos, "answer on top")["embeddings"].array.any(), "the first of equals is no answer"


def test_a_tie_is_no_answer():
    logits = torch.zeros(3, 2, 5)
    logits[1, 1, 2] = 1
    logits[2, 1, [0, 4]] = 1
    for answer, wanted in ((0, [0, 0, 0]), (2, [0, 1, 0]), (4, [0, 0, 0])):
        assert correct(logits, torch.full((3,), answer)).tolist() == wanted


# Layers without an MLP


def test_an_attention_only_model_has_no_mlps_in_any_list():
    model = native(attn_only=True)
    heads = [str(head) for head in all_heads(2, 4)]
    assert list(components(model)) == heads
    assert list(layers(model)) == ["attention 0", "attention 1"]
    assert activation_norms(model, SAID).columns == ("after layer 0", "after layer 1", *heads)
    assert list(readers(model)) == ["attention 0", "attention 1", "attentions", "later attentions"]
    whole = native()
    assert [name for name in components(whole) if name.startswith("mlp")] == ["mlp 0", "mlp 1"]
    assert {"mlp 0", "mlp 1", "mlps"} < set(readers(whole))


def test_an_attention_only_model_is_swept_through_hooks():
    model, prompts = native(attn_only=True), pairs(8)
    ablated = under_ablation(model, prompts, components(model), "zero", metric="logit difference", hooked=True)
    assert len(ablated.columns) == 9 and ablated.values.std() > 0.01
    restored = restored_by_patching(model, prompts, layers(model), "all", hooked=True)
    assert np.abs(restored.values).max() > 0.01
    assert len(answers_correctly(model, prompts)) == 8


def test_an_mlp_that_is_not_there_is_refused_by_name():
    model = native(attn_only=True)
    with pytest.raises(ValueError, match="toy has no MLP in layer 1: it has attention only; leave MLPs out"):
        with patched(model, Site("mlp", 1), torch.tensor([[0, 3, 4]])):
            pass
    with pytest.raises(ValueError, match="has no reader 'mlp 0': write 'attention 0', up to 1"):
        under_other_positions(model, SAID, {"first": ("mlp 0",)})
