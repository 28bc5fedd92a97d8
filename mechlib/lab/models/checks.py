"""Checks of a model: no weight is damaged, the tokenizer belongs to it, nobody wrote to the weights since."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mechlib.checkpoints.bos import asked_for
from mechlib.checkpoints.checkpoint import Checkpoint, IncompleteModel
from mechlib.checkpoints.files import tensor_hash, weight_files
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.lab.models.huggingface import SAME, logits_of


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
        asked = asked_for() is not None and described.kind in ("hub", "packaged", "local")
        foreign = f"{described.bos_source} names it, and tokenizer.json belongs to another model; restore it"
        cure = "ask for a token of its vocabulary, or for none" if asked else foreign
        raise IncompleteModel(
            f"{_place(described.path)}: the tokenizer does not know {described.bos!r}, put before every prompt: {cure}"
        )


def check_recorded(described: Checkpoint, tokenizer: PreTrainedTokenizerBase, theirs: PreTrainedModel) -> None:
    """Whether a packaged model is the recorded one: what its weights hash to, and logits of one prompt.

    These are no part of its key, which is its file's sha256; so that what a key stands for is what is run, they are
    compared at every load. A logit counts as the same within 1e-4 of the spread. Raises IncompleteModel.
    """
    if described.kind != "packaged":
        return
    packaged, cure = PACKAGED[described.parent], f"run `mechlib fetch {described.parent}`"
    seen = tensor_hash(described.path / "model.safetensors")
    if seen != packaged.tensors:
        raise IncompleteModel(
            f"the weights of {described.parent} are not the recorded ones: they hash to {seen[:8]}, not "
            f"{packaged.tensors[:8]}: {cure}"
        )
    if described.twin is not None:
        return
    first = [tokenizer.convert_tokens_to_ids(packaged.bos)] if packaged.bos else []
    tokens = torch.tensor([[*first, *packaged.known[1]]], device=theirs.device)
    logits = logits_of(theirs, tokens)[0, -1].cpu()
    wanted = torch.tensor([value for _, value in packaged.logits])
    off = float((logits[[number for number, _ in packaged.logits]] - wanted).abs().max())
    if not off <= SAME * float(logits.max() - logits.min()):
        raise IncompleteModel(
            f"{described.parent} computes otherwise than recorded: logits of one prompt differ by {off:.2g}: its "
            f"config.json is another, or transformers is: {cure}, with the versions of constraints.txt"
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
