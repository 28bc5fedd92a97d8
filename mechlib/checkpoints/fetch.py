"""Fetching: a model's files from the Hugging Face Hub into its cache. The only place that downloads."""

from __future__ import annotations

from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.checkpoints.files import problems
from mechlib.checkpoints.resolve import hub_cache

# Weights as safetensors, tokenizer and configuration: never a pickle, nor another framework's copy of the weights.
WANTED = (
    "*.safetensors", "model.safetensors.index.json", "config.json", "tokenizer*", "vocab.json", "merges.txt",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
UNWANTED = ("*/*",)


class CannotFetch(Exception):
    """A model cannot be brought; the message says why and what can be done."""


def download(model: Checkpoint) -> None:
    """Brings the files of a Hub model at its pinned revision. Raises CannotFetch."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise CannotFetch(
            "fetching needs huggingface_hub, which judging does not: run `pip install -e '.[measure]'`"
        ) from None
    try:
        snapshot_download(
            model.repo,
            revision=model.revision,
            cache_dir=hub_cache(),
            allow_patterns=list(WANTED),
            ignore_patterns=list(UNWANTED),
            force_download=any("damaged" in problem for problem in problems(model)),
        )
    except Exception as error:  # whatever the Hub's library and the network beneath it come up with
        first = str(error).strip().splitlines() or [""]
        raise CannotFetch(
            f"{model.parent} could not be fetched from {model.repo} at {model.revision}: {type(error).__name__}: "
            f"{first[0]}; check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or copy the folder {model.path} "
            "from a machine that has it"
        ) from None
