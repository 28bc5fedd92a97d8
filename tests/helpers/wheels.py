"""A tiny pretrained model as the package index would carry it: a GGUF file in the wheels of two packages.

Written with llama.cpp's own writer: a Llama of two layers whose matrices are quantised, four bits a weight, with the
query and key rows in llama.cpp's order, and a tokenizer of bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from mechlib.checkpoints.hub import Shape
from mechlib.checkpoints.packaged.table import Package, Packaged

NAME = "tiny-llama"
TOKENS = ("<|first|>", "<|last|>", *"abcdefghijklmnopqrstuvwxyz", "Ġ", "ca", *(f"<{n}>" for n in range(10)))
CONFIG = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": len(TOKENS), "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0, "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
TEXT = "a bee can"
IDS = (2, 28, 3, 6, 6, 28, 29, 15)  # of TEXT: letters from 2 on, a space is 28, `ca` is one token


def unquantised() -> dict[str, torch.Tensor]:
    """The weights before they are quantised, by Hugging Face's names; norms are not 1."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**CONFIG))
    return {name: torch.randn_like(tensor) * 0.3 + (tensor.ndim == 1) for name, tensor in model.state_dict().items()}


def four_bits(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q4_1 by its definition, blocks of 32 in a row: the bytes, and the float32 values that they stand for.

    Each block has a step and a least value, both float16, and 32 whole numbers of four bits: the first 16 in the lower
    halves of 16 bytes, the others in the upper ones.
    """
    blocks = matrix.reshape(-1, 32).astype(np.float32)
    least = blocks.min(1, keepdims=True).astype(np.float16)
    step = ((blocks.max(1, keepdims=True) - least.astype(np.float32)) / 15).astype(np.float16)
    whole = np.rint((blocks - least.astype(np.float32)) / step.astype(np.float32)).clip(0, 15).astype(np.uint8)
    packed = np.concatenate([step.view(np.uint8), least.view(np.uint8), whole[:, :16] | (whole[:, 16:] << 4)], axis=1)
    values = whole.astype(np.float32) * step.astype(np.float32) + least.astype(np.float32)
    return packed.reshape(matrix.shape[0], -1), values.reshape(matrix.shape)


def _llamas_order(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix as llama.cpp has them: neighbours are turned together."""
    return rows.reshape(heads, 2, len(rows) // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def write_gguf(path: Path, left_out: str = "") -> dict[str, np.ndarray]:
    """Writes the file; the values that its tensors stand for, by Hugging Face's names. `left_out` names one to omit."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONFIG["max_position_embeddings"])
    writer.add_embedding_length(CONFIG["hidden_size"])
    writer.add_block_count(CONFIG["num_hidden_layers"])
    writer.add_feed_forward_length(CONFIG["intermediate_size"])
    writer.add_head_count(CONFIG["num_attention_heads"])
    writer.add_head_count_kv(CONFIG["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(CONFIG["rms_norm_eps"])
    writer.add_rope_freq_base(CONFIG["rope_theta"])
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(list(TOKENS))
    writer.add_token_types([gguf.TokenType.CONTROL if one.startswith("<") else gguf.TokenType.NORMAL for one in TOKENS])
    writer.add_token_merges(["c a"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    values: dict[str, np.ndarray] = {}
    for name, tensor in unquantised().items():
        base = name.removesuffix(".weight")
        layer = base.split(".")[2] if base.startswith("model.layers.") else None
        own = _NAMES[base if layer is None else base.split(".", 3)[3]]
        theirs = f"{own if layer is None else f'blk.{layer}.{own}'}.weight"
        if tensor.ndim == 1:
            values[name] = tensor.numpy()
            packed, kind = values[name], None
        else:
            packed, values[name] = four_bits(tensor.numpy())
            kind = gguf.GGMLQuantizationType.Q4_1
            if own in ("attn_q", "attn_k"):
                heads = CONFIG["num_attention_heads" if own == "attn_q" else "num_key_value_heads"]
                packed = _llamas_order(packed, heads)
        if name != left_out:
            writer.add_tensor(theirs, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def write_wheel(folder: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    """A wheel that pip takes for one, with a module that must never be imported beside its members."""
    stem, file = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}"
    path = folder / f"{file}-py3-none-any.whl"
    contents = {
        **members,
        f"{stem}/__init__.py": b"raise SystemExit('code of a package was run')\n",
        f"{file}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        "Requires-Dist: a-compiler-that-nobody-has\n".encode(),
        f"{file}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for member, data in contents.items():
            wheel.writestr(member, data)
        record = "".join(f"{member},,\n" for member in (*contents, f"{file}.dist-info/RECORD"))
        wheel.writestr(f"{file}.dist-info/RECORD", record)
    return path


def huggingface(values: Mapping[str, np.ndarray]) -> PreTrainedModel:
    """Hugging Face's own model with these values."""
    model = AutoModelForCausalLM.from_config(LlamaConfig(**CONFIG), attn_implementation="eager").eval()
    model.load_state_dict({name: torch.from_numpy(one) for name, one in values.items()})
    return model


def logits(values: Mapping[str, np.ndarray]) -> tuple[tuple[int, float], ...]:
    """Three logits of Hugging Face's own model with these values, behind TEXT and what stands first."""
    if not values:
        return ()
    with torch.no_grad():
        found = huggingface(values)(torch.tensor([[0, *IDS]])).logits[0, -1]
    return tuple((number, round(float(found[number]), 4)) for number in (2, 5, 11))


def tensors_hash(values: Mapping[str, np.ndarray]) -> str:
    """What the table has for these values, from the values themselves."""
    found = hashlib.sha256()
    for name, one in sorted(values.items()):
        found.update(f"{name} F32 {list(one.shape)}\n".encode() + one.astype("<f4").tobytes())
    return found.hexdigest()


class Index:
    """An index of two packages, each with half of the file, and the entry of the table for them."""

    def __init__(self, folder: Path, data: bytes, values: Mapping[str, np.ndarray]) -> None:
        self.folder = folder
        self.data = data
        folder.mkdir(parents=True)
        self.halves = data[: len(data) // 2], data[len(data) // 2 :]
        packages = tuple(self.package(number, half) for number, half in enumerate(self.halves, 1))
        self.entry = Packaged(
            what="A tiny Llama", quantised="Q4_1", packages=packages, gguf=hashlib.sha256(data).hexdigest(),
            size=len(data), disk=1_000_000, tensors=tensors_hash(values), known=(TEXT, IDS), logits=logits(values),
            shape=Shape(sum(one.size for one in values.values()), 2, 64, len(TOKENS)), heads=4, groups=2,
            bos="<|first|>", bos_why="a test", licence="a licence", packed_by="a test",
        )  # fmt: skip

    def package(self, number: int, half: bytes, version: str = "1.0") -> Package:
        """A wheel in the folder and its entry."""
        name, member = f"tiny-llama-part{number}", f"tiny_llama_part{number}/data/part{number}.bin"
        path = write_wheel(self.folder, name, version, {member: half})
        found = path.read_bytes()
        return Package(name, version, hashlib.sha256(found).hexdigest(), len(found), member)
