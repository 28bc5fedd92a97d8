"""Checkpoints: what a model's name stands for, where its weights lie, and whether they are on this machine.

A model is one of four kinds: a `mini` ships in fixtures/, a `hub` model comes from the Hugging Face Hub at a
pinned revision through the normal cache, a `planted` one is written down in code and made in memory, a `local` one is
any Hugging Face directory named by its path. Each has two twins, written `name@untrained` and `name@permuted`, which
are made in memory when they are loaded.

Nothing here imports torch or huggingface_hub, and nothing downloads.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from mechlib import planted
from mechlib.hub import HUB as HUB
from mechlib.hub import Hub, Shape

T = TypeVar("T")
Kind = Literal["mini", "hub", "planted", "local"]
Twin = Literal["untrained", "permuted"]

TWINS: tuple[Twin, ...] = ("untrained", "permuted")
RECIPE = 1  # of the twins: raise it when mechlib.lab.models makes them differently, so that their evidence is remade
MINIS = ("mini-0", "mini-1", "mini-2", "mini-3", "mini-4", "mini-pilot", "mini-half")
PLANTED = tuple(f"planted-{kind}" for kind in planted.KINDS)  # of seed 0 and the smallest size; others say theirs
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.ckpt")
_WORLD = ("What is 23 + 54 ? Answer : 77 Mary amber", (202, 203, 26, 204, 57, 205, 206, 207, 80, 341, 703))
TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"))


class UnknownModel(LookupError):
    """No model has this name."""


class IncompleteModel(RuntimeError):
    """A model that should be on this machine has files missing or damaged."""


class WeightsMissing(RuntimeError):
    """A Hub model is not on this machine."""


class NotPublished(KeyError):
    """A table of published values has no entry for a model: a claim about them is not about this model."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would print its message in quotes


@dataclass(frozen=True)
class Checkpoint:
    """One model, by name.

    name        as claims write it: "mini-0", "gpt2-small@permuted", "/home/me/model"
    kind        where it comes from
    path        the Hugging Face directory (for a Hub model its snapshot in the cache, which need not exist; a planted
                model has no files, and its name here)
    parent      the name without the twin; the same as `name` where this is no twin
    twin        which twin this is, or None
    repo, revision   on the Hub, else ""
    bos         the token put before every prompt, as text; "" for none
    known       a text and the ids that its tokenizer must give for it, without BOS; ids () where none are on record
    dtype       what the model computes in, whatever it is stored as
    processing  "raw": the weights as stored. A measurement that folds them says so in its own source.
    """

    name: str
    kind: Kind
    path: Path
    parent: str
    twin: Twin | None = None
    repo: str = ""
    revision: str = ""
    bos: str = ""
    known: tuple[str, tuple[int, ...]] = ("", ())
    dtype: str = "float32"
    processing: str = "raw"


def checkpoint(name: str, root: Path | None = None) -> Checkpoint:
    """What a name stands for. `root` is the repository that holds fixtures/ (default: see `repository`).

    Raises UnknownModel, with the nearest name, where there is none.
    """
    base = parent(name)
    twin = _twin(name)
    if base in MINIS:
        path = (root or repository()) / "fixtures" / base
        return Checkpoint(name, "mini", path, base, twin, bos="<bos>", known=_WORLD)
    if base in HUB:
        hub = HUB[base]
        path = _snapshot(hub)
        bos = "<|endoftext|>"
        return Checkpoint(name, "hub", path, base, twin, hub.repo, hub.revision, bos=bos, known=hub.known)
    if (plan := _plan(base)) is not None:
        last = len(plan.vocabulary) - 1
        known = (f"{plan.vocabulary[2]} {plan.vocabulary[last]}", (2, last))
        return Checkpoint(name, "planted", Path(base), base, twin, bos=planted.BOS, known=known)
    path = Path(base).expanduser()
    if path.is_dir():
        return Checkpoint(name, "local", path.resolve(), base, twin, bos=_own_bos(path))
    raise UnknownModel(_unknown(base))


def _plan(base: str) -> planted.Plan | None:
    try:
        return planted.plan(base)
    except ValueError as error:
        raise UnknownModel(f"no model {base!r}: {error}") from None


def repository() -> Path:
    """The repository whose fixtures/ are meant: MECHLIB_ROOT, else the one that this package lies in."""
    named = os.environ.get("MECHLIB_ROOT")
    return Path(named) if named else Path(__file__).resolve().parents[1]


def parent(name: str) -> str:
    """The model whose twin this is: `parent("mini-0@permuted")` is "mini-0"; other names are their own parent."""
    return name.rpartition("@")[0] if _twin(name) else name


def twins(name: str) -> tuple[str, str]:
    """The names of a model's two twins. A twin has none: ValueError."""
    if _twin(name):
        raise ValueError(f"{name} is a twin itself: ask for the twins of {parent(name)}")
    return f"{name}@untrained", f"{name}@permuted"


def file_name(name: str) -> str:
    """The model in a file name: no path, no `@`, no `:`; a local directory gives its last part."""
    base = parent(name)
    if base not in MINIS and base not in HUB and _plan(base) is None:
        base = Path(base).resolve().name
    return re.sub(r"[^A-Za-z0-9_.-]", "-", base + (f"-{_twin(name)}" if _twin(name) else ""))


def published(table: Mapping[str, T], model: str) -> T:
    """The entry of a model in a table of published values; a twin gets its parent's. Else NotPublished."""
    try:
        return table[parent(model)]
    except KeyError:
        raise NotPublished(
            f"nothing is published for {parent(model)}, only for {', '.join(table)}: "
            "add an entry with its source, or take the model out of the claim's parameters"
        ) from None


def _twin(name: str) -> Twin | None:
    ending = name.rpartition("@")[2]
    return next((twin for twin in TWINS if ending == twin and "@" in name), None)


def _unknown(name: str) -> str:
    if "/" in name or os.sep in name or name.startswith("."):
        return f"no model {name!r}: no such directory; one has config.json, model.safetensors, tokenizer.json"
    there = (*MINIS, *HUB, *PLANTED)
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "write ./NAME for a directory."
    return f"no model {name!r}: {hint} There are {', '.join(there)}"


# --- where files lie ----------------------------------------------------------------------------------------------


def hub_cache() -> Path:
    """The Hugging Face cache of models: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    if os.environ.get("HF_HOME"):
        return Path(os.environ["HF_HOME"]).expanduser() / "hub"
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "huggingface" / "hub"


def _snapshot(hub: Hub) -> Path:
    # GPT-2 is stored under either of its two names, depending on which one brought it.
    repos = (hub.repo,) if "/" in hub.repo else (hub.repo, f"openai-community/{hub.repo}")
    paths = [hub_cache() / f"models--{repo.replace('/', '--')}" / "snapshots" / hub.revision for repo in repos]
    return next((path for path in paths if path.is_dir()), paths[0])


def _own_bos(path: Path) -> str:
    """The BOS token that a directory's tokenizer declares, else its end-of-text token, else ""."""
    try:
        config = json.loads((path / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    for key in ("bos_token", "eos_token"):
        token = config.get(key)
        token = token.get("content") if isinstance(token, dict) else token
        if token:
            return str(token)
    return ""


def weight_files(model: Checkpoint) -> tuple[Path, ...]:
    """The safetensors files of a model, one or several shards, whether or not they exist. Never a pickle.

    A planted model has none.
    """
    if model.kind == "planted":
        return ()
    index = model.path / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return tuple(model.path / shard for shard in shards)
    return (model.path / "model.safetensors",)


def problems(model: Checkpoint) -> tuple[str, ...]:
    """What is wrong with a model's files, one phrase each; empty where it can be loaded. Opens no pickle."""
    if model.kind == "planted":
        return ()
    return _problems(model, _state(model.path))


def _state(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of a folder's files: one cheap look that says whether anything changed."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in entries]
    except OSError:
        return ()
    return tuple(sorted(found))


@functools.lru_cache(maxsize=64)
def _problems(model: Checkpoint, state: tuple[tuple[str, int, int], ...]) -> tuple[str, ...]:
    found = [] if (model.path / "config.json").is_file() else ["config.json is missing"]
    if not any(all((model.path / file).is_file() for file in files) for files in TOKENIZERS):
        found.append("tokenizer.json is missing")
    found += [
        f"{file} is damaged: it is no JSON"
        for file in ("config.json", "tokenizer.json")
        if (model.path / file).is_file() and not isinstance(_json(model.path / file), dict)
    ]
    try:
        files = weight_files(model)
    except (ValueError, KeyError):
        return (*found, "model.safetensors.index.json is damaged")
    for file in files:
        if not file.is_file():
            pickles = [name for name in PICKLES if (model.path / name).exists()]
            why = f" ({pickles[0]} is a pickle, which can run code, and is not opened)" if pickles else ""
            found.append(f"{file.name} is missing{why}")
        elif _header(file) is None:
            found.append(f"{file.name} is damaged or truncated")
        elif model.kind == "mini" and (said := _sum_on_card(model)) != (seen := file_hashes(model)[file.name]) and said:
            found.append(f"{file.name} is damaged: its sha256 begins {seen[:8]}, card.json says {said[:8]}")
    return tuple(found)


def _sum_on_card(model: Checkpoint) -> str:
    """The sha256 that a mini's card gives for its weights; "" where there is no card to compare with."""
    card = model.path / "card.json"
    said = _json(card) if card.is_file() else None
    return str(said.get("sha256", "")) if isinstance(said, dict) else ""


def _json(file: Path) -> Any:
    """What a JSON file says, read once until it changes; None where it is damaged."""
    return _parsed(file, file.stat().st_mtime_ns, file.stat().st_size)


@functools.lru_cache(maxsize=256)
def _parsed(file: Path, modified: int, size: int) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError:
        return None


def is_here(model: Checkpoint) -> bool:
    """Whether complete weights and a tokenizer of this model (of the parent, for a twin) are on this machine."""
    return not problems(model)


def require_here(model: Checkpoint) -> None:
    """Nothing where the model is complete, else WeightsMissing (Hub) or IncompleteModel, with the cure."""
    found = problems(model)
    if not found:
        return
    if model.kind == "hub" and not model.path.is_dir():
        raise WeightsMissing(f"{model.parent} is not on this machine: run `mechlib fetch {model.parent}`")
    seen = ", ".join(found)
    state = "damaged" if all("damaged" in problem for problem in found) else "incomplete"
    if model.kind == "hub":
        raise IncompleteModel(f"{model.parent} is {state}: {seen}: run `mechlib fetch {model.parent}`")
    if model.kind == "mini":
        raise IncompleteModel(
            f"fixtures/{model.parent} is {state}: {seen}: restore it with `git checkout -- fixtures/{model.parent}`"
        )
    raise IncompleteModel(f"{model.parent} is {state}: {seen}: save it again with save_pretrained, as safetensors")


# --- what the weights are -----------------------------------------------------------------------------------------


def weight_hash(model: Checkpoint) -> str:
    """What identifies a model's weights, in evidence.

    The sha256 of the safetensors file, for a mini or a local model (of the shards' sums, where there are several);
    repository and full revision for a Hub model, which pins its files and is the same where they are not here; name and
    version of the recipe for a planted model, which its weights follow from; for a
    twin the parent's, with the twin's name and the version of its recipe. Raises IncompleteModel where files are
    needed and missing.
    """
    if model.kind == "hub":
        base = f"{model.repo}@{model.revision}"
    elif model.kind == "planted":
        base = f"{model.parent}.{planted.RECIPE}"
    else:
        require_here(model)
        sums = file_hashes(model)
        base = next(iter(sums.values())) if len(sums) == 1 else _sha256(json.dumps(sums, sort_keys=True).encode())
    return f"{base}+{model.twin}.{RECIPE}" if model.twin else base


def file_hashes(model: Checkpoint) -> dict[str, str]:
    """The sha256 of each safetensors file that is here, by file name."""
    here = [file for file in weight_files(model) if file.is_file()]
    return {file.name: _file_sha256(file, file.stat().st_mtime_ns, file.stat().st_size) for file in here}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.lru_cache(maxsize=256)
def _file_sha256(file: Path, modified: int, size: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _header(file: Path) -> dict[str, dict] | None:
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


class Memory(NamedTuple):
    """Bytes that a measurement needs: the weights in float32, and activations of 32 prompts of 32 tokens."""

    parameters: int
    weights: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.activations


def memory(model: Checkpoint) -> Memory:
    """What a typical measurement needs. Numbers come from the files where they are here, else from the table.

    Activations: per token and layer about 16 vectors of the residual stream's width are alive (the MLP's four times
    wider ones among them), and one row of logits and one of log-probabilities per token.
    """
    shape = _shape(model)
    tokens = 32 * 32
    activations = 4 * tokens * (16 * shape.layers * shape.width + 2 * shape.vocabulary)
    return Memory(shape.parameters, 4 * shape.parameters, activations)


def _shape(model: Checkpoint) -> Shape:
    if (plan := _plan(model.parent)) is not None:
        return plan.shape
    if not is_here(model):
        if model.parent in HUB:
            return HUB[model.parent].shape
        require_here(model)
    headers = [_header(file) or {} for file in weight_files(model)]
    shapes = [entry["shape"] for header in headers for entry in header.values()]
    config = json.loads((model.path / "config.json").read_text(encoding="utf-8"))

    def first(*keys: str) -> int:
        return next((int(config[key]) for key in keys if config.get(key)), 1)

    return Shape(
        parameters=sum(functools.reduce(lambda a, b: a * b, shape, 1) for shape in shapes),
        layers=first("n_layer", "num_hidden_layers"),
        width=first("n_embd", "hidden_size"),
        vocabulary=first("vocab_size"),
    )
