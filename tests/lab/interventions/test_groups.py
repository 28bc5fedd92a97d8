"""Key/value groups: one thing that several heads read, patched, ablated and reached as one."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.lab.attribution.gradients import attribution_patching, node_scores
from mechlib.lab.attribution.path_patching import lost_by_path_patching
from mechlib.lab.batching import batches
from mechlib.lab.interventions.ablation import under_ablation
from mechlib.lab.interventions.contexts import Site
from mechlib.lab.interventions.patching import lost_by_patching, restored_by_patching
from mechlib.lab.interventions.sites import groups, heads_of
from mechlib.lab.models.loading import load
from mechlib.parts.heads import Group, Head, all_heads
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import FAMILIES, directory, pairs, random_model, word_tokenizer

GROUPED = ("llama", "qwen2", "gemma3")
ATOL = 5e-5


@pytest.fixture(scope="module", params=FAMILIES)
def path(request, tmp_path_factory):
    return directory(tmp_path_factory.mktemp("groups") / request.param, request.param)


@pytest.fixture(scope="module")
def model(path):
    return load(str(path))


@pytest.fixture(scope="module", params=GROUPED)
def grouped(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("grouped") / request.param, request.param)))


def test_groups_are_named_apart_from_heads(grouped, model):
    assert list(groups(grouped)) == ["0.kv0", "0.kv1", "1.kv0", "1.kv1"]
    assert str(heads_of(grouped, Group(1, 1))) == "1.2 1.3"
    assert str(Site("keys", 1, 0)) == "1.kv0.k"
    assert [head for one in groups(grouped).values() for head in heads_of(grouped, one)] == list(all_heads(2, 4))
    n = len(groups(model)) // 2
    assert heads_of(model, Group(0, n - 1)).members[-1] == Head(0, 3)


@pytest.mark.parametrize("positions", [-1, (2, -2), "all"])
def test_a_sweep_over_groups_is_that_of_the_hooked_model(model, positions):
    prompts = pairs(6)
    sites = {**groups(model), "keys": Site("keys", 1, 0), "both": (Site("values", 0, 1), Head(1, 2), Site("mlp", 0))}
    for patch in (restored_by_patching, lost_by_patching):
        exact, hooked = (patch(model, prompts, sites, positions, hooked=hooked) for hooked in (False, True))
        np.testing.assert_allclose(exact.values, hooked.values, atol=ATOL)
        assert np.abs(exact.values[:, :-1]).max() > 1e-3


@pytest.mark.parametrize("part", ["keys", "values"])
@torch.no_grad()
def test_ablating_a_groups_keys_is_ablating_what_all_of_its_heads_read_there(path, model, part):
    """The group's rows of Hugging Face's own projection give zeros, which all heads that read them feel."""
    theirs = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    if not hasattr(theirs.model if hasattr(theirs, "model") else None, "layers"):
        pytest.skip("keys and values of this family are one matrix with the queries")
    own, width, group = theirs.model.layers[1].self_attn, model.cfg.d_head, 1
    projection = own.k_proj if part == "keys" else own.v_proj

    def zero(_, args, made):
        return torch.cat([made[..., : group * width], torch.zeros_like(made[..., group * width :])], dim=-1)

    projection.register_forward_hook(zero)
    prompts = pairs(5)
    found = under_ablation(model, prompts, {"it": Site(part, 1, group)}, "zero", metric="logit difference")
    for batch in batches(model, prompts):
        logits = theirs(batch.tokens).logits[:, -1]
        rows = torch.arange(len(logits))
        wanted = (logits[rows, batch.answer] - logits[rows, batch.distractor]).numpy()
        np.testing.assert_allclose(found["it"].array[list(batch.rows)], wanted, atol=ATOL)
    assert np.abs(found.less("intact", "it").array).max() > 1e-3


def test_a_group_is_ablated_to_its_mean_and_to_a_reference_run(grouped):
    prompts, reference = pairs(6, clusters=2), pairs(60, "reference", clusters=2)
    for replacement in ("mean", "resample"):
        exact, hooked = (
            under_ablation(grouped, prompts, groups(grouped), replacement, reference, "logit difference", hooked=hooked)
            for hooked in (False, True)
        )
        np.testing.assert_allclose(exact.values, hooked.values, atol=ATOL)


def test_what_reaches_a_group_from_everything_before_it_is_the_group_patched(grouped):
    prompts = pairs(5)
    before = (Site("resid_pre", 0), *all_heads(2, 4).in_layer(0), Site("mlp", 0))
    reached = lost_by_path_patching(grouped, prompts, {"all": before}, ("1.kv1.k", "1.kv1.v"))
    patched = lost_by_patching(grouped, prompts, (Group(1, 1),), "all")
    np.testing.assert_allclose(reached["all"].array, patched["1.kv1"].array, atol=ATOL)
    by_head = lost_by_path_patching(grouped, prompts, {"all": before}, ("1.2.k", "1.3.k", "1.2.v", "1.3.v"))
    np.testing.assert_allclose(reached.values, by_head.values, atol=1e-6)
    assert np.abs(reached["all"].array).max() > 1e-3


def test_groups_that_the_model_lacks_are_refused(grouped):
    prompts = pairs(3)
    with pytest.raises(ValueError, match="no key/value group 2: layer 1 has 0 to 1"):
        restored_by_patching(grouped, prompts, (Group(1, 2),))
    with pytest.raises(ValueError, match=r"no reader '1\.kv2\.k'"):
        lost_by_path_patching(grouped, prompts, {"it": Head(0, 1)}, ("1.kv2.k",))
    with pytest.raises(ValueError, match=r"no key/value group 5\.kv0"):
        heads_of(grouped, Group(5, 0))
    with pytest.raises(ValueError, match="no key/value group 2: layer 1 has 0 to 1"):
        attribution_patching(grouped, prompts, (Group(1, 2),))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_order_of_a_groups_effect_is_its_effect_where_little_is_changed(family, tmp_path):
    weights, size = random_model(family), 1e-2
    table = weights.get_input_embeddings().weight.data
    table[6] = table[5] + size * table[7]  # w3 means nearly what w2 means
    weights.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    near = load(str(tmp_path))
    prompts = PromptSet("near", "confirmation", (Prompt("w1 w2 w9 w1", "w12", "w1 w3 w9 w1", "w15"),))
    sites = {**groups(near), "keys": Site("keys", 1, 0), "both": (Group(1, 0), Group(1, 1))}
    for positions in (2, "all"):
        exact = restored_by_patching(near, prompts, sites, positions).values
        rough = attribution_patching(near, prompts, sites, positions).values
        assert np.abs(rough - exact).max() < 10 * size * np.abs(exact[:, :-1]).max() + 1e-5
        assert np.abs(exact[:, :-1]).max() > 1e-3


def test_scores_of_groups_are_those_of_attribution_patching_and_of_heads_the_sum_of_theirs(grouped):
    prompts = pairs(4)
    scores = node_scores(grouped, prompts, "EAP", by_prompt=True, sites=groups(grouped))
    wanted = attribution_patching(grouped, prompts, groups(grouped), "all", "clean").without(["total"])
    np.testing.assert_allclose(scores.values, wanted.values, atol=2e-5)
    together = {str(Group(1, 1)): heads_of(grouped, Group(1, 1))}
    by_head = node_scores(grouped, prompts)
    summed = node_scores(grouped, prompts, sites=together)["1.kv1"].array
    np.testing.assert_allclose(summed, by_head["1.2"].array + by_head["1.3"].array, atol=1e-5)
    through = node_scores(grouped, prompts, sites=groups(grouped))
    assert np.abs(through.values).max() > 1e-3
