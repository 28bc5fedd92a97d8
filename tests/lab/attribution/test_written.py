"""What a head writes to a name's logit, against Hugging Face's own weights; other arithmetic is refused."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.lab.attribution.copying import attention_and_written, copy_scores
from mechlib.lab.models.loading import load
from mechlib.parts.heads import Head
from tests.helpers.families import other_directory
from tests.helpers.tiny import BOS_ID, WORDS, pairs

PROMPTS = pairs(8)


def written_by_hand(path, prompt, layer: int, head: int) -> float:
    """The head's columns of o_proj, through the gain 1 + weight at the run's scale, to the answer's row."""
    model = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    kept = {}
    output = model.model.layers[layer].self_attn.o_proj
    output.register_forward_pre_hook(lambda _, seen: kept.update(z=seen[0][0, -1]))
    model.model.norm.register_forward_pre_hook(lambda _, seen: kept.update(stream=seen[0][0, -1]))
    with torch.no_grad():
        model(torch.tensor([[BOS_ID, *map(WORDS.index, prompt.clean.split())]]))
        own = slice(8 * head, 8 * head + 8)
        written = output.weight[:, own] @ kept["z"][own]
        layers = model.model.layers[layer]
        if hasattr(layers, "pre_feedforward_layernorm"):  # the norm behind attention, at the scale of all heads
            behind, whole = layers.post_attention_layernorm, output.weight @ kept["z"]
            written = written * (1 + behind.weight) / (whole.square().mean() + model.config.rms_norm_eps).sqrt()
        scale = (kept["stream"].square().mean() + model.config.rms_norm_eps).sqrt()
        row = model.lm_head.weight[WORDS.index(prompt.answer)]
        return float((written * (1 + model.model.norm.weight) / scale) @ row)


def test_what_a_head_of_a_gemma_writes_goes_through_a_gain_of_one_plus_weight(tmp_path):
    path = other_directory(tmp_path / "gemma", "gemma")
    seen = attention_and_written(load(str(path)), PROMPTS, Head(1, 2))["written"].array
    wanted = [written_by_hand(path, prompt, 1, 2) for prompt in PROMPTS]
    assert seen == pytest.approx(wanted, abs=1e-4) and max(map(abs, wanted)) > 0.1


def test_what_a_head_of_a_gemma_3_writes_goes_through_the_norm_behind_attention_too(tmp_path):
    path = other_directory(tmp_path / "gemma3", "gemma3")
    seen = attention_and_written(load(str(path)), PROMPTS, Head(1, 2))["written"].array
    wanted = [written_by_hand(path, prompt, 1, 2) for prompt in PROMPTS]
    assert seen == pytest.approx(wanted, abs=1e-4) and max(map(abs, wanted)) > 0.1


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("granite", "norms or scales what its heads write"),
        ("granite of other logits", "changes logits behind the unembedding"),
    ],
)
def test_families_whose_logits_are_no_sum_of_what_heads_write_are_refused(tmp_path, family, said):
    model = load(str(other_directory(tmp_path / "m", family)))
    with pytest.raises(ValueError, match=f"m {said}"):
        attention_and_written(model, PROMPTS, Head(0, 1))
    if "heads" in said:
        with pytest.raises(ValueError, match=f"m {said}"):
            copy_scores(model, PROMPTS)
