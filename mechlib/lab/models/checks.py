"""Checks of a model: no weight is damaged, the tokenizer belongs to it, nobody wrote to the weights since."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mechlib.checkpoints.bos import asked_for
from mechlib.checkpoints.checkpoint import Checkpoint, IncompleteModel
from mechlib.checkpoints.files import weight_files


def check_weights(described: Checkpoint) -> None:
    """Read every tensor once; IncompleteModel names the first file and tensor that is damaged, NaN or infinite."""
    for file in weight_files(described):
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118
                    tensor = tensors.get_tensor(name)
                    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                        bad = int((~torch.isfinite(tensor)).sum())
                        raise IncompleteModel(
                            f"{_place(file)}: {name} has {bad} NaN or infinite of {tensor.numel()} entries: "
                            "the file is damaged, or the training diverged; restore it"
                        )
        except SafetensorError as error:
            raise IncompleteModel(f"{_place(file)} is damaged: {error}: restore it") from None


def check_tokenizer(described: Checkpoint, tokenizer: PreTrainedTokenizerBase | None) -> None:
    """IncompleteModel for a missing or foreign tokenizer, which would give wrong ids without an error: a known text,
    and BOS, are compared."""
    if tokenizer is None:
        raise IncompleteModel(f"{described.name} has no tokenizer: save one beside its weights")
    text, wanted = described.known
    if wanted:
        seen = tuple(_plain_ids(tokenizer, text))
        if seen != wanted:
            raise IncompleteModel(
                f"{_place(described.path)}: the tokenizer gives {list(seen)} for {text!r}, not {list(wanted)}: "
                "it belongs to another model; restore tokenizer.json"
            )
    if described.bos and not _knows(described.path / "tokenizer.json", tokenizer, described.bos):
        asked = asked_for() is not None and described.kind in ("hub", "local")
        foreign = f"{described.bos_source} names it, and tokenizer.json belongs to another model; restore it"
        cure = "ask for a token of its vocabulary, or for none" if asked else foreign
        raise IncompleteModel(
            f"{_place(described.path)}: the tokenizer does not know {described.bos!r}, put before every prompt: {cure}"
        )


def _knows(file: Path, tokenizer: PreTrainedTokenizerBase, token: str) -> bool:
    # A special token that the vocabulary lacks is added to it on loading, with an id that was never trained: so the
    # file is asked, not what was loaded from it.
    if file.is_file():
        return Tokenizer.from_file(str(file)).token_to_id(token) is not None
    return token in tokenizer.get_vocab()


def _place(path: Path) -> str:
    """The last two parts of a path: "mini-0/model.safetensors"."""
    return "/".join(path.parts[-2:])


def _plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def weights_now(model: torch.nn.Module) -> tuple[object, ...]:
    """What is another where somebody wrote to a model's weights in between, or put it elsewhere or into training.

    torch counts writes, but not those through `.data`: so each matrix also gives one number, which depends on every
    entry and on its place.
    """
    weights = [parameter.detach() for parameter in model.parameters()]
    with torch.no_grad():
        numbers = torch.stack([_weighed(weight) for weight in weights]).cpu() if weights else torch.zeros(0)
    counted = sum(parameter._version for parameter in model.parameters())
    kinds = frozenset((weight.dtype, weight.device) for weight in weights)
    return counted, kinds, any(module.training for module in model.modules()), numbers.numpy().tobytes()


def _weighed(weight: Tensor) -> Float[Tensor, ""]:
    rows = weight.reshape(-1, weight.shape[-1] if weight.ndim else 1).float()
    columns = _weighing(rows.shape[1], rows.device)
    return _weighing(rows.shape[0], rows.device) @ (rows @ columns)


@functools.lru_cache(maxsize=64)
def _weighing(n: int, device: torch.device) -> Float[Tensor, " n"]:
    return torch.arange(1, n + 1, device=device, dtype=torch.float64).mul(2.3).cos().float()
