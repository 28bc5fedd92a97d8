"""Native directories, written and read: one's own toy, as TransformerLens's native model computes it.

`save` takes what one has in a notebook, a `TransformerBridge.boot_native` or a `HookedTransformer`; the directory is
then a model like any other, `load("path/to/toy")`, with a hash, twins and claims. What is in it says
`mechlib.checkpoints.native`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from safetensors.torch import load_file
from safetensors.torch import save as safetensors
from tokenizers import Tokenizer
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

from mechlib.checkpoints import native
from mechlib.checkpoints.checkpoint import Checkpoint, IncompleteModel, UnknownModel, parent
from mechlib.checkpoints.files import header
from mechlib.checkpoints.resolve import checkpoint
from mechlib.lab.models.notebook import fields_of, state_of
from mechlib.lab.models.twins import seed_of, shuffled
from mechlib.lab.models.vocabulary import output_alphabet, word_tokenizer

SAME = 1e-4  # logits of what was saved and what was given, at most, in units of the largest

_OUTPUTS: WeakKeyDictionary[TransformerBridge, dict[str, int]] = WeakKeyDictionary()


def save(
    model: Any,
    words: Sequence[str],
    directory: str | os.PathLike[str],
    bos: str | None = None,
    output_words: Sequence[str] | None = None,
    characters: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a toy model as a native directory, which `load`, `--model` and claims take; returns its path.

    model         a `TransformerBridge.boot_native`, or a `HookedTransformer` (converted), in float32, without hooks
    words         the vocabulary: the word of id i at place i
    bos           the word that stood first in every text of the training, if one did: put before every prompt
    output_words  the words that the logits belong to, where they are not the first d_vocab_out of `words`
    characters    texts are split into characters and not at white space; longer words are found before
    overwrite     replace a native directory that is there

    What is written is loaded and compared with the model before it takes its place. Raises ValueError, naming it, for
    anything that would be another model afterwards; FileExistsError for a directory that is there; TypeError for other
    models: what has a Hugging Face configuration is saved with save_pretrained.
    """
    target = Path(directory).expanduser()
    _require_free(str(directory), target, overwrite)
    fields, state = fields_of(model), state_of(model)
    outputs = output_alphabet(fields, words, output_words)
    tokenizer = word_tokenizer(words, fields["d_vocab"], characters)
    if bos is not None and bos not in words:
        raise ValueError(f"bos {bos!r} is none of the {len(words)} words: it stands before every prompt, so name one")
    config = {"architectures": ["TransformerLensNative"], "model_type": native.TYPE, "format": native.FORMAT}
    config |= fields | {"bos": bos, "output_words": outputs}
    if found := native.problems_of_config(config):
        raise ValueError(f"{'; '.join(found)}: the native model cannot be loaded so, train it with a known setting")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.parent / f".{target.name}.{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "model.safetensors").write_bytes(safetensors(state, metadata={"format": "pt"}))
        _require_same(model, folder)
        _move(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target


def boot(described: Checkpoint, device: str, folded: bool) -> TransformerBridge:
    """The model of a native directory, or its twin: untrained by its configuration's initialisation, or permuted."""
    config = native.configuration(described.path)
    assert config is not None
    fields = {name: config[name] for name in native.FIELDS}
    shape = TransformerBridgeConfig(
        **fields,
        seed=seed_of(described),
        init_weights=described.twin == "untrained",
        default_prepend_bos=config["bos"] is not None,
    )
    model = TransformerBridge.boot_native(shape, device=device, model_name=described.path.name)
    if described.twin != "untrained":
        stored = load_file(described.path / "model.safetensors")
        require_tensors(described, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}, stored)
        write(model, {name: shuffled(name, one) if described.twin else one for name, one in stored.items()})
    model._tokenizer = _tokenizer(described.path)  # given to boot_native, it would be read again
    model.cfg.tokenizer_prepends_bos = False
    if folded:
        _fold(described, model)
    model.eval().requires_grad_(False)
    words = config["output_words"]
    if words is not None or config["d_vocab_out"] != config["d_vocab"]:
        ids = model.tokenizer.get_vocab()
        words = words or sorted(ids, key=lambda word: ids[word])[: config["d_vocab_out"]]
        _OUTPUTS[model] = {word: number for number, word in enumerate(words)}
    return model


def output_ids(model: TransformerBridge) -> dict[str, int] | None:
    """The words that the logits belong to, with their places; None where they are the words of the input."""
    return _OUTPUTS.get(model)


def write(model: TransformerBridge, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into a native model, by module and "weight" or "bias" (`blocks.0.attn.q.weight`)."""
    with torch.no_grad():
        for name, tensor in weights.items():
            module, _, kind = name.rpartition(".")
            getattr(model.get_submodule(module).original_component, kind).copy_(tensor)


def require_tensors(described: Checkpoint, wanted: Mapping[str, tuple[int, ...]], stored: Mapping[str, Tensor]) -> None:
    """IncompleteModel where a file's tensors are not, name by name and shape by shape, those that the library has."""
    seen = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    if seen != dict(wanted):
        odd = sorted({*seen.items()} ^ {*wanted.items()})
        raise IncompleteModel(f"{described.name}: {odd[0][0]} is not as the library has it: save the model again")


def _fold(described: Checkpoint, model: TransformerBridge) -> None:
    """Fold norms and centre, where that leaves the model's probabilities alone; else ValueError."""
    tokens = _some_tokens(model.cfg.d_vocab, model.cfg.n_ctx).to(model.cfg.device)
    if model.cfg.normalization_type is None:
        raise ValueError(f"{described.name} has no norms to fold: load it raw")
    with torch.no_grad():
        before = model(tokens).log_softmax(-1)
        model.enable_compatibility_mode(disable_warnings=True)
        after = model(tokens).log_softmax(-1)
    apart = float((after - before).abs().max())
    if not apart <= SAME * max(1.0, float(before.abs().max())):
        raise ValueError(f"{described.name} folded is another model (log-probabilities {apart:.2g} apart): load it raw")


def _tokenizer(path: Path) -> PreTrainedTokenizerFast:
    made = Tokenizer.from_file(str(path / "tokenizer.json"))
    # Not told of the BOS: as a special token it would be found inside of longer words, "w1" in "w12".
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token=made.model.unk_token)


# --- writing safely -----------------------------------------------------------------------------------------------


def _require_free(name: str, target: Path, overwrite: bool) -> None:
    if parent(target.name) != target.name:
        raise ValueError(f"{target.name} is the name of a twin: give the directory another")
    with contextlib.suppress(UnknownModel):
        if checkpoint(name).kind != "local":
            raise ValueError(f"{name} is a model that is there already: write ./{name} for a directory, here and later")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if native.configuration(target) is None:
        raise FileExistsError(f"{target} is there and is no native directory: give another name")
    if not overwrite:
        raise FileExistsError(f"{target} is there: give another name, or overwrite=True")


def _move(folder: Path, target: Path) -> None:
    if target.exists():
        old = folder.with_name(f"{folder.name}.old")
        target.rename(old)
        folder.rename(target)
        shutil.rmtree(old)
    else:
        folder.rename(target)


def _require_same(model: Any, folder: Path) -> None:
    """ValueError where the model that was written computes otherwise than the one that was given."""
    seen = header(folder / "model.safetensors") or {}
    config = native.configuration(folder)
    assert config is not None
    if found := native.problems_of_weights(config, seen):
        raise ValueError(f"{'; '.join(found)}: the model is not what its configuration says, build it anew")
    name = str(folder)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        again = boot(Checkpoint(name, "local", folder, name), str(model.cfg.device), folded=False)
        tokens = _some_tokens(model.cfg.d_vocab, model.cfg.n_ctx).to(model.cfg.device)
        trains = model.training
        given = model.eval()(tokens)
        model.train(trains)
        apart, largest = float((again(tokens) - given).abs().max()), float(given.abs().max())
    if not apart <= SAME * max(1.0, largest):
        raise ValueError(
            f"the model and its copy are {apart:.2g} apart in logits: something that TransformerLens's native model "
            "lacks plays a part in it (hooks, a setting that it ignores)"
        )


def _some_tokens(d_vocab: int, n_ctx: int) -> Int[Tensor, "batch pos"]:
    """Four texts of random words, full contexts where these are short; always the same."""
    return torch.randint(d_vocab, (4, min(n_ctx, 128)), generator=torch.Generator().manual_seed(0))
