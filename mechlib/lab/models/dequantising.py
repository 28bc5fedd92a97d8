"""Dequantising: a GGUF file read once, and kept as an ordinary Hugging Face directory with float32 weights."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mechlib.checkpoints.checkpoint import NotTheSameModel
from mechlib.lab.models.huggingface import first_line
from mechlib.lab.models.loading import quiet


def dequantise(gguf: Path, folder: Path) -> None:
    """Writes the model of a GGUF file into `folder`: config.json, model.safetensors in float32, the tokenizer's files.

    transformers refuses to save a model that came from a GGUF, so its tensors go into a fresh one of the same
    configuration. Raises NotTheSameModel where a tensor is missing, which transformers fills at random, and where it
    does not read the file.
    """
    place, file = str(gguf.parent), gguf.name
    with quiet(), contextlib.redirect_stderr(io.StringIO()):  # one of its bars is not to be switched off
        try:
            read, found = AutoModelForCausalLM.from_pretrained(
                place, gguf_file=file, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
        except Exception as error:  # whatever transformers and gguf come up with for a file that they do not know
            raise NotTheSameModel(f"transformers does not read {file}: {first_line(error)}") from None
        lacking = sorted(found["missing_keys"])
        if lacking:
            raise NotTheSameModel(f"{file} lacks {', '.join(lacking[:3])}: nothing is put in their place")
        config = read.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        with torch.device("meta"):
            fresh = AutoModelForCausalLM.from_config(config)
        fresh.load_state_dict(read.state_dict(), assign=True)
        fresh.tie_weights()
        fresh.save_pretrained(folder)
        AutoTokenizer.from_pretrained(place, gguf_file=file, local_files_only=True).save_pretrained(folder)
