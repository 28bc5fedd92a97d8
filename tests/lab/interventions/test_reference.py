"""Reference prompts: aligned from the end or from the start, and never the prompts that are tested."""

import numpy as np
import pytest
import torch

from mechlib.lab.batching import batches
from mechlib.lab.circuits.faithfulness import circuit_scores
from mechlib.lab.forward.families import network
from mechlib.lab.interventions.ablation import under_ablation
from mechlib.lab.interventions.contexts import mean_ablated, resample_ablated
from mechlib.lab.interventions.reference import aligned_positions, mean_activations, resample_bank
from mechlib.lab.models.loading import load
from mechlib.parts.circuits import circuit
from mechlib.parts.heads import Head
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import REFUSED, directory, pairs, word_tokenizer

NAME = "blocks.0.attn.hook_z"
REFERENCE = PromptSet(
    "texts", "reference", tuple(Prompt(text, "w1") for text in ("w3 w4 w5", "w6 w7 w8 w9", "w10 w11 w12 w13 w14"))
)
TESTED = PromptSet("texts", "confirmation", (Prompt("w20 w21 w22 w23", "w1", "", "w2"),))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("reference") / "one", "gpt2")))


def written(model, prompts) -> list[torch.Tensor]:
    """What each prompt's heads write, [pos head_index d_head], BOS first."""
    return [model.run_with_cache(batch.tokens)[1][NAME][0] for row in prompts for batch in batches(model, only(row))]


def only(row: Prompt) -> PromptSet:
    return PromptSet("one", "reference", (row,))


def test_positions_are_numbered_from_either_end_and_bos_is_apart():
    assert aligned_positions(5, 1).tolist() == [0, 4, 3, 2, 1]
    assert aligned_positions(5, 1, "start").tolist() == [0, 1, 2, 3, 4]
    assert aligned_positions(3, 0, "start").tolist() == [1, 2, 3]
    with pytest.raises(REFUSED, match=r"no alignment .middle.|Type-check error"):
        aligned_positions(3, 0, "middle")


def test_means_from_the_start_are_over_the_prompts_that_have_as_many_words(gpt2):
    """Worked out prompt by prompt: the first three words of all, the fourth of the two that have one."""
    (batch,), own = batches(gpt2, TESTED), written(gpt2, REFERENCE)
    wanted = torch.stack([torch.stack([z[place] for z in own if len(z) > place]).mean(0) for place in range(5)])
    found = mean_activations(gpt2, REFERENCE, [NAME], "start")(batch)[NAME][0]
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    from_end = mean_activations(gpt2, REFERENCE, [NAME])(batch)[NAME][0]
    last = torch.stack([z[-1] for z in own]).mean(0)
    torch.testing.assert_close(from_end[-1], last, rtol=1e-5, atol=1e-5)
    assert (from_end[1:] - found[1:]).abs().max() > 1e-2


def test_resamples_from_the_start_are_a_longer_prompts_first_words(gpt2):
    (batch,), longer = batches(gpt2, TESTED), PromptSet("texts", "reference", REFERENCE.rows[2:])
    (own,) = written(gpt2, longer)
    found = resample_bank(gpt2, longer, [NAME], seed=0, align="start")(batch)[NAME][0]
    torch.testing.assert_close(found, own[:5], rtol=1e-5, atol=1e-5)


def test_a_circuit_with_all_but_one_head_is_that_heads_ablation_from_either_end(gpt2):
    rest = circuit(", ".join(node for node in network(gpt2).graph.nodes if node != "1.1"))
    for align in ("end", "start"):
        kept = circuit_scores(gpt2, TESTED, rest, "mean", REFERENCE, align=align)["circuit"].array
        sites, how = {"1.1": Head(1, 1)}, {"metric": "logit difference", "align": align}
        ablated = under_ablation(gpt2, TESTED, sites, "mean", REFERENCE, **how)["1.1"].array
        np.testing.assert_allclose(kept, ablated, atol=1e-4)


@pytest.mark.parametrize("replacement", ["mean", "resample"])
def test_contexts_and_sweeps_align_alike(gpt2, replacement):
    (batch,) = batches(gpt2, TESTED)
    context = {"mean": mean_ablated, "resample": resample_ablated}[replacement]
    ends = []
    for align in ("end", "start"):
        with context(gpt2, Head(0, 1), REFERENCE, align=align) as ablated:
            logits = ablated(batch)[0, -1]
        found = under_ablation(
            gpt2, TESTED, {"0.1": Head(0, 1)}, replacement, REFERENCE, metric="logit difference", align=align
        )["0.1"].array[0]
        assert found == pytest.approx(float(logits[batch.answer[0]] - logits[batch.distractor[0]]), abs=1e-4)
        ends.append(found)
    if replacement == "mean":
        assert abs(ends[0] - ends[1]) > 1e-3


def test_a_prompt_longer_than_all_of_the_reference_has_no_mean_for_its_last_words(gpt2):
    (batch,) = batches(gpt2, PromptSet("long", "confirmation", (Prompt("w1 w2 w3 w4 w5 w6", "w7"),)))
    with pytest.raises(ValueError, match="its last positions have no mean"):
        mean_activations(gpt2, REFERENCE, [NAME], "start")(batch)


def test_padding_is_left_out_of_means(tmp_path):
    tokenizer = word_tokenizer()
    tokenizer.pad_token = "<pad>"
    path = directory(tmp_path / "padded", "gpt2")
    tokenizer.save_pretrained(path)
    model = load(str(path))
    texts = ("w3 w4 w5 <pad> <pad>", "<pad> w6 w7 w8 w9", "w10 w11 w12 w13 w14")
    padded = PromptSet("texts", "reference", tuple(Prompt(text, "w1", mask_padding=True) for text in texts))
    (batch,) = batches(model, TESTED)
    for align in ("end", "start"):
        own, plain = (mean_activations(model, rows, [NAME], align)(batch)[NAME] for rows in (padded, REFERENCE))
        torch.testing.assert_close(own, plain, rtol=1e-6, atol=1e-6)


# --- what is tested is no reference -------------------------------------------------------------------------------


def renamed(prompts: PromptSet, n: int, wide: bool = False) -> PromptSet:
    """Tested prompts under the name of the reference split, among others."""
    rows = [Prompt(row.clean.replace(" ", "  ") if wide else row.clean, row.answer) for row in prompts.rows[:n]]
    return PromptSet("pairs", "reference", (*rows, *(Prompt(row.clean, row.answer) for row in pairs(30, "reference"))))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("replacement", ["mean", "resample"])
def test_tested_prompts_are_refused_as_reference_by_their_texts(gpt2, replacement, wide):
    prompts, said = (
        pairs(8),
        r"2 of the reference prompts pairs\(reference, n=32\) are tested in pairs\(confirmation, n=8\)",
    )
    with pytest.raises(ValueError, match=said):
        under_ablation(gpt2, prompts, {"0.1": Head(0, 1)}, replacement, renamed(prompts, 2, wide))
    with pytest.raises(ValueError, match=said):
        circuit_scores(gpt2, prompts, circuit("0.1"), replacement, renamed(prompts, 2, wide))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("context", [mean_ablated, resample_ablated])
def test_tested_prompts_are_refused_as_reference_by_their_tokens(gpt2, context, wide):
    prompts = pairs(8)
    with context(gpt2, Head(0, 1), renamed(prompts, 1, wide)) as ablated:
        for batch in batches(gpt2, prompts):
            if 0 in batch.rows:
                with pytest.raises(ValueError, match="is a reference prompt too, token by token"):
                    ablated(batch)
                with pytest.raises(ValueError, match="is a reference prompt too, token by token"):
                    ablated(batch.tokens)
            else:
                assert np.isfinite(ablated(batch).numpy()).all()
