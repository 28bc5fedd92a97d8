"""Files of a model: which there are, whether they are whole, and the hashes by which evidence knows them.

Opens no pickle, and imports neither torch nor safetensors.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Final

from mechlib.checkpoints import native, planted
from mechlib.checkpoints.checkpoint import Checkpoint, IncompleteModel, Made, WeightsMissing
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.reading import FileState, file_state, json_of, parsed
from mechlib.checkpoints.tokenizer import telling

# Of what is made of a model: raise one when mechlib.lab.models makes it differently (the seed of its noise is part of
# the recipe), so that its evidence is remade.
RECIPES: Final[dict[Made, int]] = {"untrained": 2, "permuted": 1, "dithered": 1}
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.ckpt")
SAYS_NOTHING = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")  # of config.json
# What torch.compile, DataParallel and FSDP put before the names of tensors, and where the model itself is.
WRAPPERS = {"_orig_mod.": "model._orig_mod", "module.": "model.module", "_fsdp_wrapped_module.": "model.module"}
_PIECE = 2**24  # bytes read at once
TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"))


def weight_files(model: Checkpoint) -> tuple[Path, ...]:
    """The safetensors files of a model, one or several shards, whether or not they exist. Never a pickle.

    A planted model has none. Where one file lies beside an index, transformers loads the one file, and so it is meant.
    """
    if model.kind == "planted":
        return ()
    index, alone = model.path / "model.safetensors.index.json", model.path / "model.safetensors"
    if index.is_file() and not alone.is_file():
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return tuple(model.path / shard for shard in shards)
    return (alone,)


def problems(model: Checkpoint) -> tuple[str, ...]:
    """What is wrong with a model's files, one phrase each; empty where it can be loaded. Opens no pickle."""
    if model.kind == "planted":
        return ()
    return _problems(model, _state(model.path))


def _state(folder: Path) -> tuple[tuple[str, FileState], ...]:
    """Names, times and sizes of a folder's files: one cheap look that says whether anything changed."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, file_state(entry.stat())) for entry in entries]
    except OSError:
        return ()
    return tuple(sorted(found))


@functools.lru_cache(maxsize=64)
def _problems(model: Checkpoint, state: tuple[tuple[str, FileState], ...]) -> tuple[str, ...]:
    found = [] if (model.path / "config.json").is_file() else ["config.json is missing"]
    if not any(all((model.path / file).is_file() for file in files) for files in TOKENIZERS):
        found.append("tokenizer.json is missing")
    found += [
        f"{file} is damaged: it is no JSON"
        for file in ("config.json", "tokenizer.json")
        if (model.path / file).is_file() and not isinstance(parsed(model.path / file), dict)
    ]
    found += _other_weights(model.path)
    try:
        files = weight_files(model)
    except (ValueError, KeyError, TypeError, AttributeError):
        return (*found, "model.safetensors.index.json is damaged")
    for file in files:
        if not file.is_file():
            pickles = [name for name in PICKLES if (model.path / name).exists()]
            why = f" ({pickles[0]} is a pickle, which can run code, and is not opened)" if pickles else ""
            found.append(f"{file.name} is missing{why}")
        elif header(file) is None:
            found.append(f"{file.name} is damaged or truncated")
        elif wrapper := _wrapper(file):
            found.append(f"all tensors of {file.name} are named {wrapper}*: save {WRAPPERS[wrapper]}, not its wrapper")
        elif model.kind == "mini" and (said := _sum_on_card(model)) != (seen := file_hashes(model)[file.name]) and said:
            found.append(f"{file.name} is damaged: its sha256 begins {seen[:8]}, card.json says {said[:8]}")
    return tuple(found or _problems_of_toy(model))


def _problems_of_toy(model: Checkpoint) -> list[str]:
    """What is wrong with files that are whole, where the directory is a native one."""
    config = native.configuration(model.path)
    if config is None:
        return []
    tensors, words = header(model.path / "model.safetensors") or {}, json_of(model.path / "tokenizer.json")
    return native.problems(config, tensors, words)


def _other_weights(folder: Path) -> list[str]:
    """What would make transformers load other weights than those that are hashed."""
    config = json_of(folder / "config.json")
    found = [
        f"config.json has {key}, which {why}"
        for key, why in {
            "transformers_weights": "names another file of weights",
            "quantization_config": "stores weights as other numbers than it computes with",
        }.items()
        if config.get(key)
    ]
    if (folder / "adapter_config.json").is_file():
        found.append("adapter_config.json is an adapter's, whose weights are elsewhere: merge it into the model")
    return found


def _wrapper(file: Path) -> str:
    """The prefix by which a wrapper of the model renamed every tensor of a file; "" where none did."""
    names = tuple(header(file) or ())
    return next((prefix for prefix in WRAPPERS if names and all(name.startswith(prefix) for name in names)), "")


def _sum_on_card(model: Checkpoint) -> str:
    """The sha256 that a mini's card gives for its weights; "" where there is no card to compare with."""
    card = model.path / "card.json"
    said = parsed(card) if card.is_file() else None
    return str(said.get("sha256", "")) if isinstance(said, dict) else ""


def is_here(model: Checkpoint) -> bool:
    """Whether complete weights and a tokenizer of this model (of the parent, for a twin) are on this machine."""
    return not problems(model)


def require_here(model: Checkpoint) -> None:
    """Nothing where the model is complete, else WeightsMissing (it is to be fetched) or IncompleteModel."""
    found = problems(model)
    if not found:
        return
    fetched = model.kind in ("hub", "packaged")
    if fetched and not model.path.is_dir():
        raise WeightsMissing(f"{model.parent} is not on this machine: run `mechlib fetch {model.parent}`")
    seen = ", ".join(found)
    state = "damaged" if all("damaged" in problem for problem in found) else "incomplete"
    if fetched:
        raise IncompleteModel(f"{model.parent} is {state}: {seen}: run `mechlib fetch {model.parent}`")
    if model.kind == "mini":
        raise IncompleteModel(
            f"fixtures/{model.parent} is {state}: {seen}: restore it with `git checkout -- fixtures/{model.parent}`"
        )
    raise IncompleteModel(f"{model.parent} is {state}: {seen}: save it again with save_pretrained, as safetensors")


# --- what the weights are --------------------------------------------------------------------------------------------


def weight_hash(model: Checkpoint) -> str:
    """What identifies a model's weights, in evidence.

    The sha256 of the safetensors file, for a mini or a local model (of the shards' sums, where there are several);
    repository and full revision for a Hub model, which pins its files and is the same where they are not here; for a
    packaged one the sha256 of the file that it was made of, likewise; name and version of the recipe for a planted
    model, which its weights follow from; for a twin the parent's, with the twin's name and the version of its recipe.
    Raises IncompleteModel where files are needed and missing.
    """
    if model.kind == "hub":
        base = f"{model.repo}@{model.revision}"
    elif model.kind == "packaged":
        base = PACKAGED[model.parent].gguf
    elif model.kind == "planted":
        base = f"{model.parent}.{planted.RECIPE}"
    else:
        require_here(model)
        sums = file_hashes(model)
        base = next(iter(sums.values())) if len(sums) == 1 else _sha256(json.dumps(sums, sort_keys=True).encode())
    return f"{base}+{model.twin}.{RECIPES[model.twin]}" if model.twin else base


def config_hashes(model: Checkpoint) -> tuple[str, str]:
    """What identifies a model's configuration and its tokenizer, in evidence.

    For files that are here the sha256 of config.json, as canonical JSON without what says nothing about the model (the
    library's version, the folder it came from, the type it was stored in), and of the tokenizer's files, with those of
    their settings that change ids. A Hub model's are pinned by its revision, a packaged one's by the file that has them
    both, a planted one's follow from its recipe.
    Raises IncompleteModel where files are missing.
    """
    if model.kind == "hub":
        return model.revision, model.revision
    if model.kind == "packaged":
        return PACKAGED[model.parent].gguf, PACKAGED[model.parent].gguf
    if model.kind == "planted":
        recipe = f"{model.parent}.{planted.RECIPE}"
        return recipe, recipe
    require_here(model)
    return _config_hashes(model.path, _state(model.path))


@functools.lru_cache(maxsize=64)
def _config_hashes(folder: Path, state: tuple[tuple[str, FileState], ...]) -> tuple[str, str]:
    config = {key: value for key, value in json_of(folder / "config.json").items() if key not in SAYS_NOTHING}
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    used = next(files for files in TOKENIZERS if all((folder / file).is_file() for file in files))
    sums = {file: _sha256((folder / file).read_bytes()) for file in used}
    if settings := telling(folder):
        sums["settings"] = _sha256(json.dumps(settings, sort_keys=True).encode())
    return _sha256(canonical.encode()), _sha256(json.dumps(sums, sort_keys=True).encode())


def file_hashes(model: Checkpoint) -> dict[str, str]:
    """The sha256 of each safetensors file that is here, by file name."""
    here = [file for file in weight_files(model) if file.is_file()]
    return {file.name: _file_sha256(file, file_state(file.stat())) for file in here}


def tensor_hash(file: Path) -> str:
    """The sha256 of a safetensors file's tensors: names in order, types, shapes, bytes, however the file is laid out.

    Reads the whole file, so what came out is kept beside it, under its state. Raises IncompleteModel for a damaged one.
    """
    state, memory = list(file_state(file.stat())), file.with_name("tensors.json")
    if (known := json_of(memory)).get("state") == state:
        return str(known.get("sha256"))
    found = _tensor_hash(file)
    with contextlib.suppress(OSError):  # where nothing can be written it is read again
        memory.write_text(json.dumps({"state": state, "sha256": found}), encoding="utf-8")
    return found


def _tensor_hash(file: Path) -> str:
    tensors = header(file)
    if tensors is None:
        raise IncompleteModel(f"{file.name} is damaged or truncated")
    found = hashlib.sha256()
    with file.open("rb") as stream:
        start = 8 + int.from_bytes(stream.read(8), "little")
        for name in sorted(tensors):
            first, end = tensors[name]["data_offsets"]
            found.update(f"{name} {tensors[name]['dtype']} {tensors[name]['shape']}\n".encode())
            stream.seek(start + first)
            for at in range(first, end, _PIECE):
                found.update(stream.read(min(_PIECE, end - at)))
    return found.hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.lru_cache(maxsize=256)
def _file_sha256(file: Path, state: FileState) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def header(file: Path) -> dict[str, dict] | None:
    """The header of a safetensors file, tensor by tensor; None where it is damaged or the file has another length."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, 100_000_000):
                return None
            header = json.loads(stream.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        return tensors if size == 8 + length + end else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
