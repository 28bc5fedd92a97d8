"""Native directories: one's own toy, as TransformerLens's native model computes it. What their files say; no torch.

`mechlib.lab.save` writes one: config.json with every field that shapes the function and the initialisation, the weights
as safetensors under the names of the loaded model, tokenizer.json with the words. It is a local model like any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TYPE, FORMAT = "mechlib-native", 1
ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu", "swish")  # that TransformerLens's native model has
CHOICES: dict[str, tuple[object, ...]] = {
    "act_fn": ACTIVATIONS,
    "attention_dir": ("causal", "bidirectional"),
    "normalization_type": (None, "LN", "LNPre", "RMS", "RMSPre"),
    "positional_embedding_type": ("standard", "rotary"),
    "init_mode": ("gpt2", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"),
}
SIZES = ("d_model", "d_head", "n_heads", "n_layers", "n_ctx", "d_vocab", "d_vocab_out")
OTHERS = (
    "d_mlp", "n_key_value_heads", "eps", "attn_only", "gated_mlp", "final_rms", "rotary_dim", "rotary_base",
    "attn_scale", "attn_scores_soft_cap", "output_logits_soft_cap", "initializer_range",
)  # fmt: skip
FIELDS = (*SIZES, *CHOICES, *OTHERS)  # of TransformerLens's configuration: all that shape the function or its start
OWN = ("architectures", "model_type", "format", "bos", "output_words")


def configuration(folder: Path) -> dict[str, Any] | None:
    """What the config.json of a native directory says; None for any other folder.

    The fields of TransformerLens's configuration are FIELDS; besides, `bos` is the word put before every prompt, or
    None, and `output_words` are the words that the logits belong to, where these are not the first words.
    """
    try:
        said = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) and said.get("model_type") == TYPE else None


def tensors(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of such a model, by name, with their shapes: torch's Linear, so output dimensions first."""
    d_model, wide = config["d_model"], config["n_heads"] * config["d_head"]
    grouped = (config["n_key_value_heads"] or config["n_heads"]) * config["d_head"]
    found: dict[str, tuple[int, ...]] = {"embed.weight": (config["d_vocab"], d_model)}
    if config["positional_embedding_type"] == "standard":
        found["pos_embed.weight"] = (config["n_ctx"], d_model)
    for layer in range(config["n_layers"]):
        own = _norm("ln1", config["normalization_type"], d_model)
        for name, rows in (("q", wide), ("k", grouped), ("v", grouped)):
            own |= {f"attn.{name}.weight": (rows, d_model), f"attn.{name}.bias": (rows,)}
        own |= {"attn.o.weight": (d_model, wide), "attn.o.bias": (d_model,)}
        if not config["attn_only"]:
            own |= _norm("ln2", config["normalization_type"], d_model) | _mlp(config)
        found |= {f"blocks.{layer}.{name}": shape for name, shape in own.items()}
    kind = config["normalization_type"]
    found |= _norm("ln_final", "RMS" if config["final_rms"] and kind in (None, "LN") else kind, d_model)
    return found | {"unembed.weight": (config["d_vocab_out"], d_model), "unembed.bias": (config["d_vocab_out"],)}


def _norm(name: str, kind: str | None, d_model: int) -> dict[str, tuple[int, ...]]:
    parts = {"LN": ("weight", "bias"), "RMS": ("weight",)}.get(kind or "", ())
    return {f"{name}.{part}": (d_model,) for part in parts}


def _mlp(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    d_model, d_mlp = config["d_model"], config["d_mlp"]
    found: dict[str, tuple[int, ...]] = {"mlp.in.weight": (d_mlp, d_model), "mlp.out.weight": (d_model, d_mlp)}
    if config["gated_mlp"]:
        return found | {"mlp.gate.weight": (d_mlp, d_model)}
    return found | {"mlp.in.bias": (d_mlp,), "mlp.out.bias": (d_model,)}


# --- what is wrong with one ---------------------------------------------------------------------------------------


def problems(
    config: Mapping[str, Any], header: Mapping[str, Mapping[str, Any]], tokenizer: Mapping[str, Any]
) -> list[str]:
    """What is wrong with a native directory of these files, one phrase each; empty where it can be loaded.

    header   of model.safetensors: "shape" and "dtype" by tensor
    """
    return problems_of_config(config) or [*problems_of_weights(config, header), *problems_of_words(config, tokenizer)]


def problems_of_config(config: Mapping[str, Any]) -> list[str]:
    """What keeps a config.json from naming one function, one phrase each."""
    if config.get("format") != FORMAT:
        return [f"config.json is of format {config.get('format')!r}, not {FORMAT}: save the model again"]
    lacking = [name for name in (*FIELDS, *OWN) if name not in config]
    strange = [name for name in config if name not in (*FIELDS, *OWN)]
    if lacking or strange:
        found = [f"config.json lacks {', '.join(lacking)}"] if lacking else []
        return found + ([f"config.json has {', '.join(strange)}, which no native model has"] if strange else [])
    found = [
        f"config.json: {name} is {config[name]!r}, not one of {', '.join(map(str, known))}"
        for name, known in CHOICES.items()
        if config[name] not in known
    ]
    sizes = (*SIZES, *(() if config["attn_only"] else ("d_mlp",)))
    wrong = [name for name in sizes if type(config[name]) is not int or config[name] < 1]
    return found + [f"config.json: {name} is {config[name]!r}, not a positive number" for name in wrong]


def problems_of_weights(config: Mapping[str, Any], header: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Tensors that a weight file lacks, has too many or in another shape than config.json says, one phrase each."""
    wanted, found = tensors(config), []
    for what, names in (("lacks", wanted.keys() - header.keys()), ("has unexpected", header.keys() - wanted.keys())):
        if names:
            found.append(f"model.safetensors {what} {', '.join(sorted(names))}")
    for name in sorted(wanted.keys() & header.keys()):
        if tuple(header[name]["shape"]) != wanted[name]:
            found.append(f"{name} is {tuple(header[name]['shape'])}, config.json says {wanted[name]}")
        elif header[name]["dtype"] != "F32":
            found.append(f"{name} is stored as {header[name]['dtype']}, not F32")
    return found


def problems_of_words(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> list[str]:
    """Where words and sizes do not go together, one phrase each."""
    ids = (tokenizer.get("model") or {}).get("vocab") or {}
    unknown = (tokenizer.get("model") or {}).get("unk_token")
    numbers, size = sorted(number for word, number in ids.items() if word != unknown), config["d_vocab"]
    found = []
    if numbers != list(range(size)):
        found.append(f"tokenizer.json has {len(numbers)} words, config.json says {size}, each with an id below it")
    if config["bos"] is not None and config["bos"] not in ids:
        found.append(f"config.json: bos is {config['bos']!r}, which is no word of tokenizer.json")
    outputs = config["output_words"]
    if outputs is not None and len(outputs) != config["d_vocab_out"]:
        found.append(f"config.json has {len(outputs)} output_words, d_vocab_out is {config['d_vocab_out']}")
    if outputs is None and config["d_vocab_out"] > size:
        found.append(
            f"config.json: d_vocab_out {config['d_vocab_out']} is more than the {size} words: give output_words"
        )
    return found
