"""Tiny random models on disk: real Hugging Face directories, with word tokenizers, in a few milliseconds.

Their weights are larger than an initialisation's, so that attention is far from uniform and an error in any part
shows in the logits.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from jaxtyping import TypeCheckError
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE, WordLevel
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from mechlib.prompts.promptset import Prompt, PromptSet, Split

PLAIN = ("gpt2", "neox", "llama", "qwen2")  # what blocks write is added to the stream as it is
FAMILIES = (*PLAIN, "gemma3")
REFUSED = (ValueError, TypeCheckError)  # a wrong word: by our check, or by the annotation where shapes are checked

WORDS = ("<bos>", "<pad>", "<unk>", *(f"w{n}" for n in range(37)))
BOS_ID, VOCABULARY, CONTEXT = 0, len(WORDS), 32
GEMMA = {
    "num_key_value_heads": 2, "head_dim": 8, "query_pre_attn_scalar": 5, "pad_token_id": 1,
    "tie_word_embeddings": False, "sliding_window": CONTEXT,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e2},
        "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4},
    },
}  # fmt: skip


def configuration(family: str, vocabulary: int = VOCABULARY) -> PretrainedConfig:
    """Two layers, 32 wide, 4 heads (in Llama, Qwen2 and Gemma 3 with 2 key/value heads), learned or rotary positions.

    Gemma 3 is as odd as it can be: an attention scale of its own, and in each layer other rotary positions.
    """
    ids = {"vocab_size": vocabulary, "bos_token_id": BOS_ID, "eos_token_id": BOS_ID}
    if family == "gpt2":
        return GPT2Config(n_layer=2, n_head=4, n_embd=32, n_positions=CONTEXT, **ids)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}
    shape["max_position_embeddings"] = CONTEXT
    if family == "neox":
        return GPTNeoXConfig(**shape, **ids)
    if family == "llama":
        return LlamaConfig(**shape, num_key_value_heads=2, **ids)
    if family == "qwen2":
        return Qwen2Config(**shape, num_key_value_heads=2, tie_word_embeddings=True, **ids)
    if family == "gemma3":
        return Gemma3TextConfig(**shape, **GEMMA, **ids)
    raise ValueError(f"no tiny {family}")


def random_model(family: str, seed: int = 0, vocabulary: int = VOCABULARY) -> PreTrainedModel:
    """A model whose every parameter, biases and norms included, is random."""
    torch.manual_seed(seed)
    return randomised(AutoModelForCausalLM.from_config(configuration(family, vocabulary), attn_implementation="eager"))


def randomised(model: PreTrainedModel) -> PreTrainedModel:
    """The model with every parameter drawn anew, biases and norms included, in evaluation mode."""
    gain = 0 if model.config.model_type == "gemma3_text" else 1  # Gemma 3 stores gains less one
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            norm = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(gain + 0.2 * noise if norm else 0.25 * noise)
    return model.eval()


def word_tokenizer(ids: dict[str, int] | None = None, bos: str = "<bos>") -> PreTrainedTokenizerFast:
    """One word, one token; words are separated by spaces."""
    tokenizer = Tokenizer(WordLevel(ids or {word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=bos, unk_token="<unk>")


def directory(path: Path, family: str, seed: int = 0, half: bool = False) -> Path:
    """A Hugging Face directory with a tiny model and its tokenizer; `half` stores float16, as the minis do."""
    model = random_model(family, seed)
    (model.half() if half else model).save_pretrained(path)
    word_tokenizer().save_pretrained(path)
    return path


PIECES = ("<bos>", "<unk>", "Ġ", *"0123456789+=:", "What", "Ġwhat", "Ġis", "Ġ+", "Ġ?", "ĠAnswer", "Ġ:", "oh", "Ġoh")


def digit_tokenizer() -> PreTrainedTokenizerFast:
    """Digits one by one, the space before a number a token of its own, other words with theirs: as Qwen2 has it."""
    tokenizer = Tokenizer(WordLevel({piece: n for n, piece in enumerate(PIECES)}, unk_token="<unk>"))
    pieces = pre_tokenizers.Split(Regex(r" ?[^\s\d]+|\d|\s+"), "isolated")
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, in_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<bos>", unk_token="<unk>")


def digit_model(family: str) -> PreTrainedModel:
    """A random model over these pieces, of a seed with which it often writes digits, and sometimes ends the text."""
    seed = {"gpt2": 59, "neox": 3, "llama": 57, "qwen2": 50}[family]
    return random_model(family, seed, vocabulary=len(PIECES))


def digit_directory(path: Path, family: str) -> Path:
    """A Hugging Face directory with a tiny model that reads and writes numbers digit by digit."""
    digit_model(family).save_pretrained(path)
    digit_tokenizer().save_pretrained(path)
    return path


def byte_tokenizer(texts: tuple[str, ...], bos: str = "<bos>") -> PreTrainedTokenizerFast:
    """Byte-level BPE of these texts, as GPT-2 and Llama 3 have it: the first word of a text is a token of its own."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[bos], initial_alphabet=alphabet, show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator([*texts, *texts], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=bos)


def byte_directory(path: Path, family: str, texts: tuple[str, ...]) -> Path:
    """A Hugging Face directory with a tiny model that reads bytes, merged as in these texts."""
    tokenizer = byte_tokenizer(texts)
    random_model(family, vocabulary=len(tokenizer)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def hub_cache(home: Path, repo: str, revision: str, family: str, known: dict[str, int]) -> Path:
    """A Hub cache under `home` (HF_HOME) with a tiny model in the place of the real one, as a download leaves it."""
    folder = home / "hub" / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(revision)
    words = {"<|endoftext|>": 0, "<unk>": 1, **{f"w{n}": n + 2 for n in range(30)}, **known}
    random_model(family, vocabulary=max(words.values()) + 1).save_pretrained(snapshot)
    word_tokenizer(words, bos="<|endoftext|>").save_pretrained(snapshot)
    return snapshot


def edit_json(path: Path, **changes: object) -> None:
    """Change top-level entries of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def pairs(n: int, split: Split = "confirmation", seed: int = 0, clusters: int = 0, longest: int = 12) -> PromptSet:
    """`A B ... A`, corrupted `A C ... A`, of several lengths; with `clusters`, of as many made-up templates."""
    rng = random.Random(f"{seed} {split}")
    rows = []
    for number in range(n):
        length = rng.randrange(5, longest)
        a, b, c, *rest = rng.sample(WORDS[3:], length + 3)
        at = rng.randrange(len(rest) - 2)
        clean, corrupted = ([*rest[:at], a, follower, *rest[at:], a] for follower in (b, c))
        cluster = f"template {number % clusters}" if clusters else ""
        labels = (("length", str(length)),)
        rows.append(Prompt(" ".join(clean), b, " ".join(corrupted), c, cluster, labels))
    return PromptSet("pairs", split, tuple(rows))


def repeats(n: int, split: Split = "confirmation", seed: int = 0) -> PromptSet:
    """Sequences repeated whole; the answer is the last token of the repeat."""
    rng = random.Random(f"{seed} {split}")
    rows = []
    for _ in range(n):
        words = rng.sample(WORDS[3:], rng.randrange(4, 9))
        rows.append(Prompt(" ".join([*words, *words[:-1]]), words[-1]))
    return PromptSet("repeats", split, tuple(rows))


def sums(n: int, split: Split = "confirmation", seed: int = 0) -> PromptSet:
    """Sums of two-digit numbers, of which the first one is corrupted; no sum begins with the whole of the other."""
    rng = random.Random(f"{seed} {split}")
    rows: list[Prompt] = []
    while len(rows) < n:
        a, b, other = (rng.randrange(10, 100) for _ in range(3))
        answer, distractor = str(a + b), str(other + b)
        if answer.startswith(distractor) or distractor.startswith(answer):
            continue
        start = " ".join([*["oh"] * rng.randrange(1, 4), "what is"])
        clean, corrupted = (f"{start} {first} + {b} ? Answer :" for first in (a, other))
        rows.append(Prompt(clean, answer, corrupted, distractor))
    return PromptSet("sums", split, tuple(rows))
