"""The audit: another model under the record's claims, asked for with --model. It is no test of the record.

Outcomes are a table, with what the claims' own models came to beside it; marks, which say what came out on those, do
not apply. What a claim says of its own models cannot be asked of another:

* one that takes no model is about several trainings together, or about networks made for it;
* one given a single model is about that model: of several it says something about their kind;
* one whose sentence counts layers or parts, or says what was trained, is about models of one shape or training.

What an instrument refuses for this model, such as a word that its tokenizer lacks, is not asked either.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from mechlib.checkpoints import Checkpoint, UnknownModel, checkpoint
from mechlib.checkpoints.checkpoint import parent
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.judging.claim import Claim
from mechlib.parts.graphs import Graph
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import Judgement

AUDITED = pytest.StashKey[dict[str, str]]()  # short names by the names that claims are given
BESIDE = "mechlib_beside"
ANSWERS = ("SUPPORTED", "REFUTED", "INCONCLUSIVE", "VOID", "GATED")
_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_LATER = re.compile(r"\b(second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|final) layer\b", re.IGNORECASE)
_TRAINED = re.compile(r"\btrain|\bnever\b", re.IGNORECASE)


# --- names --------------------------------------------------------------------------------------------------------


def audited(given: Sequence[str], root: Path) -> dict[str, str]:
    """The models of --model as claims are given them, each with its short name. Raises UnknownModel.

    A folder is given by its path from the root, or in full where it lies elsewhere, and called by its last part; by
    as many parts more as tell it from the others and from every name that means a model already.
    """
    names = list(dict.fromkeys(_from_root(name, root) for name in given))
    short: dict[str, str] = {}
    for name in names:
        local = checkpoint(name, root).kind == "local"
        short[name] = _last_parts(name, names, set(short.values()), root) if local else name
    return short


def _from_root(name: str, root: Path) -> str:
    model = checkpoint(name, root)
    if model.kind != "local":
        return name
    below = model.path.is_relative_to(root) and Path.cwd().resolve() == root  # which relative names start from
    inside = model.path.relative_to(root).as_posix() if below else ""
    # A folder at the root may have the name of a mini, of the Hub's or of a planted model, and is none of them.
    return inside if inside and _kind(inside, root) == "local" else str(model.path)


def _last_parts(name: str, names: Sequence[str], taken: set[str], root: Path) -> str:
    parts = (root / name).resolve().parts
    shared = sum((root / other).resolve().name == parts[-1] for other in names) > 1
    for many in range(2 if shared else 1, len(parts)):
        short = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts[-many:])).strip("-")
        if short and short not in taken and not _means_a_model(short, root):
            return short
    return f"model-{len(taken)}"


def _means_a_model(short: str, root: Path) -> bool:
    return _kind(short, root) not in ("local", "")


def _kind(name: str, root: Path) -> str:
    try:
        return checkpoint(name, root).kind
    except UnknownModel:
        return ""


def readable_id(row: Iterable[Any], short: Mapping[str, str]) -> str:
    """The case of a claim: its values, models by their short names."""
    return "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "-", str(short.get(str(value), value))).strip("-") for value in row)


# --- what is asked ------------------------------------------------------------------------------------------------


def own_models(claim: Claim) -> dict[str, list[str]]:
    """The models that a claim is parametrized with, in their order, each with what its ids may call it; {} where it
    takes none."""
    found: dict[str, list[str]] = {}
    for mark in getattr(claim.function, "pytestmark", []):
        if mark.name != "parametrize":
            continue
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
        names = [name.strip() for name in names]
        if "model" in names:
            rows = [row if isinstance(row, (tuple, list)) else (row,) for row in mark.args[1]]
            models = [str(row[names.index("model")]) for row in rows]
            given = mark.kwargs.get("ids") if len(names) == 1 else None
            for number, model in enumerate(models):
                called = {model, readable_id((Path(model).name,), {})}
                if given is not None:
                    called = {str(given(model) if callable(given) else list(given)[number])}
                found[model] = sorted({*found.get(model, ()), *called})
    return found


def why_not_asked(claim: Claim, arguments: Mapping[str, Any], root: Path) -> str:
    """Why a claim cannot be asked of a model that it does not name; "" where it can. Reads as "n claims ..."."""
    own = own_models(claim)
    if not own:
        return "name no model: they are about several trainings together, or about networks made for them"
    model = str(arguments["model"])
    if parent(model) in own:
        return ""
    first = next(iter(own))
    if len(own) == 1 and _kind(first, root) != "local":  # a model of one's own stands for the next that one trains
        return f"are about {first} alone"
    if _TRAINED.search(claim.sentence):
        return "say what their own models were trained on"
    theirs, its = (shape(name, root) for name in (first, model))
    if theirs and its and theirs != its and names_a_shape(claim.sentence, arguments, theirs):
        return f"count layers or parts of models of {theirs}: this one has {its}"
    return ""


class ModelShape(NamedTuple):
    """How many layers a model has, and how many heads in each."""

    layers: int
    heads: int

    def __str__(self) -> str:
        layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        return f"{layers} of {self.heads} heads"


def shape(name: str, root: Path) -> ModelShape | None:
    """The shape that a model's config.json gives, or the table of packaged models, which need not be here; None where
    there is none to read."""
    model: Checkpoint = checkpoint(name, root)
    if model.parent in PACKAGED:
        return ModelShape(PACKAGED[model.parent].shape.layers, PACKAGED[model.parent].heads)
    try:
        config = json.loads((model.path / "config.json").read_text(encoding="utf-8"))
        layers = next(config[key] for key in ("n_layer", "num_hidden_layers", "n_layers") if key in config)
        heads = next(config[key] for key in ("n_head", "num_attention_heads", "n_heads") if key in config)
        return ModelShape(int(layers), int(heads))
    except (OSError, ValueError, TypeError, StopIteration):
        return None


def names_a_shape(sentence: str, arguments: Mapping[str, Any], theirs: ModelShape) -> bool:
    """Whether a sentence counts the layers, MLPs, heads or edges of models of this shape, or means a later layer."""
    graph = Graph(theirs.layers, theirs.heads)
    counts = {
        "layers": theirs.layers, "MLPs": theirs.layers, "heads": theirs.layers * theirs.heads,
        "heads and MLPs": len(graph.nodes), "edges": len(graph.edges),
    }  # fmt: skip
    text = sentence.lower()
    said = (f"{number} {noun.lower()}" for noun, count in counts.items() for number in _written(count))
    whole = f"{counts['edges']:,}"  # "from 1 edge to all 1,519"
    counted = any(re.search(rf"\b{re.escape(phrase)}\b", text) for phrase in (*said, f"all {whole}"))
    return counted or bool(_LATER.search(sentence)) or "layer" in arguments


def _written(count: int) -> set[str]:
    return {f"{count}", f"{count:,}", *_COUNTED[count : count + 1]}


# --- what came out ------------------------------------------------------------------------------------------------


def as_audited(record: Record, short: Mapping[str, str]) -> Record:
    """A record of an audit: the model under its short name, no mark, and nothing but an ERROR amiss."""
    path = record.model

    def called(text: str) -> str:
        return text.replace(path, short.get(path, path))

    record.model = called(path)
    record.message = called(record.message).replace("run `pytest", f"run `pytest --model={shlex.quote(path)}")
    record.twins = [
        msgspec.structs.replace(twin, model=called(twin.model), reason=called(twin.reason)) for twin in record.twins
    ]
    record.models = [msgspec.structs.replace(model, name=called(model.name)) for model in record.models]
    record.expected = record.why = ""
    record.ok = record.verdict != "ERROR"
    return record


def beside(id_: str, short: str, own: Mapping[str, Iterable[str]], latest: Mapping[str, Judgement]) -> str:
    """What the register says a claim came to on its own models: "5 of 5 SUPPORTED", "3 SUPPORTED, 2 REFUTED".

    own   the models, each with what its ids may call it
    """
    words = Counter(
        latest[id_of].verdict
        for names in own.values()
        for id_of in set().union(*(_ids(id_, short, name) for name in names))
        if id_of in latest
    )  # a claim whose gate stayed closed has no line
    told = sum(words.values())
    if not told:
        return "not judged"
    counts = words.most_common()
    if len(counts) == 1:
        return f"{told} of {len(own)} {counts[0][0]}"
    missing = f" of {len(own)}" if told < len(own) else ""
    return ", ".join(f"{count} {word}" for word, count in counts) + missing


def _ids(id_: str, short: str, model: str) -> set[str]:
    """The ids that a claim has on another model: its case names the model once, between hyphens."""
    name, _, case = id_.partition("[")
    places = re.finditer(rf"(?<![^-]){re.escape(short)}(?![^-\]])", case)
    return {f"{name}[{case[: place.start()]}{model}{case[place.end() :]}" for place in places}


def ids_on_others(nodes: Iterable[str], short: str, latest: Mapping[str, Judgement]) -> list[str]:
    """The ids in the register of the claims in these nodes, on the models that they name; none of a claim on one."""
    known: dict[str, list[str]] = {}
    for id_ in latest:
        known.setdefault(id_.partition("[")[0], []).append(id_)
    found = []
    for node in nodes:
        file, _, claim = node.partition("::")
        function, _, case = claim.partition("[")
        folders = Path(file).parts[1:]
        topic = folders[0] if len(folders) > 1 else Path(file).stem.removeprefix("test_")
        before, at, behind = case.partition(short)
        alike = [
            id_
            for id_ in known.get(f"{topic}.{function}", ())
            if at and id_.partition("[")[2].startswith(before) and id_.endswith(behind)
        ]
        found += alike if len(alike) > 1 else []
    return found
