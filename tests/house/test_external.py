"""The instruments against models that nobody here made. Skipped where the folder with them is missing."""

import base64
import json
import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mechlib.lab.attribution.attention import attention_to
from mechlib.lab.behaviour import repeat_loss
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load
from mechlib.prompts.promptset import Prompt, PromptSet

FOLDER = Path(os.environ.get("MECHLIB_EXTERNAL") or Path(__file__).parents[3] / "shared" / "external")
pytestmark = pytest.mark.external


def folder(name: str) -> Path:
    if not (FOLDER / name).is_dir():
        pytest.skip(f"no {name} in {FOLDER}: set MECHLIB_EXTERNAL")
    return FOLDER / name


def save_words(path: Path, words: list[str], **special: str) -> None:
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(path)


# --- nanoGPT that sorts digits ------------------------------------------------------------------------------------


def tensors(path: Path) -> dict[str, torch.Tensor]:
    entries = {name: entry for name, entry in json.loads(path.read_text()).items() if "shape" in entry}
    return {
        name: torch.from_numpy(np.frombuffer(base64.b64decode(entry["data"]), np.float32).copy()).reshape(
            entry["shape"]
        )
        for name, entry in entries.items()
    }


@pytest.fixture(scope="module")
def sorter(tmp_path_factory):
    source = folder("nanogpt_sort")
    path = tmp_path_factory.mktemp("external") / "nanogpt_sort"
    config = GPT2Config(
        vocab_size=3, n_positions=11, n_embd=48, n_layer=3, n_head=3, tie_word_embeddings=False, bos_token_id=None,
        eos_token_id=None,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    weights = {
        # nn.Linear stores [out, in], Hugging Face's Conv1D [in, out].
        name: tensor.T if tensor.ndim == 2 and ".h." in name else tensor
        for name, tensor in tensors(source / "gpt-nano-sort-model.json").items()
        if not name.endswith(".attn.bias")  # the causal mask
    }
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == ([], [])
    model.save_pretrained(path)
    save_words(path, ["0", "1", "2"])
    return load(str(path)), tensors(source / "gpt-nano-sort-t0-partials.json")


def test_every_activation_is_that_of_another_implementation(sorter):
    model, wanted = sorter
    block = "blocks.0."
    names = {
        "tok_emb": "hook_embed", "x": f"{block}hook_resid_pre", "ln1": f"{block}ln1.hook_out",
        "q": f"{block}attn.hook_q", "k": f"{block}attn.hook_k", "v": f"{block}attn.hook_v",
        "attSm": f"{block}attn.hook_pattern", "y": f"{block}attn.hook_z", "yProj": f"{block}hook_attn_out",
        "attnResid": f"{block}hook_resid_mid", "ln2": f"{block}ln2.hook_out", "fc": f"{block}mlp.hook_pre",
        "mlp": f"{block}hook_mlp_out", "block0": f"{block}hook_resid_post", "block1": "blocks.1.hook_resid_post",
        "block2": "blocks.2.hook_resid_post", "ln_f": "ln_final.hook_out",
    }  # fmt: skip
    logits, kept = run(model, wanted["idx"].long(), keep=names.values())
    torch.testing.assert_close(logits, wanted["lm_head"], rtol=0, atol=1e-5)
    for theirs, ours in names.items():
        seen = kept[ours]
        if theirs in "qkv":
            seen = seen.transpose(1, 2)
        elif theirs == "y":
            seen = seen.flatten(2)
        torch.testing.assert_close(
            seen, wanted[theirs], rtol=0, atol=1e-5, msg=lambda text, ours=ours: f"{ours}: {text}"
        )


def test_the_sorter_sorts(sorter):
    model, _ = sorter
    digits = torch.randint(0, 3, (200, 6), generator=torch.Generator().manual_seed(0))
    ordered = digits.sort(dim=1).values
    guessed = model(torch.cat([digits, ordered[:, :-1]], dim=1))[:, 5:].argmax(-1)
    assert torch.equal(guessed, ordered)


# --- a Llama that tells stories -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def storyteller(tmp_path_factory):
    source = folder("stories260k")
    path = tmp_path_factory.mktemp("external") / "stories260k"
    data = (source / "checkpoint_legacy.bin").read_bytes()
    width, hidden, layers, n_heads, n_keys, vocabulary, context = struct.unpack("7i", data[:28])
    numbers, at = torch.from_numpy(np.frombuffer(data[28:], np.float32).copy()), 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal at
        at += (size := int(np.prod(shape)))
        return numbers[at - size : at].reshape(shape)

    def rotary(weight: torch.Tensor, n: int) -> torch.Tensor:
        """Interleaved pairs, as Meta stores them, to halves, as Hugging Face reads them."""
        return weight.view(n, -1, 2, width).transpose(1, 2).reshape(-1, width)

    keys = width // n_heads * n_keys
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=hidden, num_hidden_layers=layers,
        num_attention_heads=n_heads, num_key_value_heads=n_keys, max_position_embeddings=context, rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )  # fmt: skip
    order = {
        "model.embed_tokens.weight": take(vocabulary, width),
        "input_layernorm": take(layers, width),
        "self_attn.q_proj": take(layers, width, width),
        "self_attn.k_proj": take(layers, keys, width),
        "self_attn.v_proj": take(layers, keys, width),
        "self_attn.o_proj": take(layers, width, width),
        "post_attention_layernorm": take(layers, width),
        "mlp.gate_proj": take(layers, hidden, width),
        "mlp.down_proj": take(layers, width, hidden),
        "mlp.up_proj": take(layers, hidden, width),
        "model.norm.weight": take(width),
    }
    weights = {name: tensor for name, tensor in order.items() if name.startswith("model.")}
    for name, stacked in order.items():
        for layer in range(layers if name not in weights else 0):
            one = stacked[layer]
            heads = {"self_attn.q_proj": n_heads, "self_attn.k_proj": n_keys}.get(name)
            weights[f"model.layers.{layer}.{name}.weight"] = rotary(one, heads) if heads else one
    model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    model.tie_weights()
    model.save_pretrained(path)
    save_words(path, ["<unk>", "<s>", "</s>", *(f"t{n}" for n in range(3, vocabulary))], bos_token="<s>")
    return load(str(path)), pieces(source / "tokenizer.bin", vocabulary)


def pieces(path: Path, n: int) -> list[bytes]:
    data, at, found = path.read_bytes(), 4, []
    for _ in range(n):
        _score, length = struct.unpack("fi", data[at : at + 8])
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return found


def random_repeats(n: int) -> PromptSet:
    """24 random tokens, and their first tokens again: an induction head would look at the next of them."""
    rng, rows = random.Random(0), []
    for _ in range(n):
        words = [f"t{token}" for token in rng.sample(range(3, 512), 24)]
        again = rng.randrange(8, 20)
        rows.append(Prompt(" ".join([*words, *words[:again]]), words[again]))
    return PromptSet("random repeats", "confirmation", tuple(rows))


def test_the_storyteller_tells_its_story(storyteller):
    model, words = storyteller
    tokens = torch.tensor([[1]])
    for _ in range(28):
        tokens = torch.cat([tokens, model(tokens)[:, -1:].argmax(-1)], dim=1)
    text = b"".join(words[token] for token in tokens[0, 1:].tolist()).decode().strip()
    assert text.startswith("Once upon a time, there was a little girl named Lily.")


def test_a_model_without_induction_shows_no_induction_head_by_our_score(storyteller):
    model, _ = storyteller
    scores = attention_to(model, random_repeats(100), "after previous occurrence").values.mean(0)
    assert scores.max() < 0.4
    rng = random.Random(1)
    rows = [[f"t{token}" for token in rng.sample(range(3, 512), 24)] for _ in range(30)]
    whole = PromptSet("repeats", "confirmation", tuple(Prompt(" ".join([*r, *r[:-1]]), r[-1]) for r in rows))
    again, first = repeat_loss(model, whole).values.mean(0)
    assert again > 0.9 * first, "the loss on the repeat hardly falls: the score agrees with behaviour"
