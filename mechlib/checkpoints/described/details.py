"""One model in detail: what it is, whether it is here, what it needs, what stands first, and the ids of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mechlib.checkpoints.bos import token_id
from mechlib.checkpoints.checkpoint import DITHERED, Checkpoint, IncompleteModel
from mechlib.checkpoints.described.memory import memory
from mechlib.checkpoints.files import problems
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.reading import json_of
from mechlib.checkpoints.resolve import checkpoint, plan_of
from mechlib.checkpoints.tokenizer import tokens_of

ROLES = {"mini-pilot": "sets bounds, carries no claim", "mini-half": "half trained, for right against wrong"}


def details(name: str, root: Path | None = None) -> dict[str, Any]:
    """All that is known about a model without loading it; sizes in bytes, None where they cannot be known."""
    model = checkpoint(name, root)
    found, packaged = problems(model), PACKAGED.get(model.parent)
    try:
        need = memory(model)
    except IncompleteModel:
        need = None
    return {
        "name": name,
        "kind": model.kind,
        "what": what_it_is(model),
        "here": not found,
        "problems": list(found),
        "parameters": need.parameters if need else None,
        "disk": size(model.path) if not found and model.kind != "planted" else None,
        "memory": need.total if need else None,
        "path": str(model.path),
        "repo": model.repo,
        "revision": model.revision,
        "packages": [package.pinned for package in packaged.packages] if packaged else [],
        "packed_by": packaged.packed_by if packaged else "",
        "licence": packaged.licence if packaged else "",
        "terms": packaged.terms if packaged else "",
        "download": packaged.download if packaged else None,
        "dtype": model.dtype,
        "bos": model.bos,
        "bos_id": _bos_id(model),
        "bos_source": model.bos_source,
    }


def what_it_is(model: Checkpoint) -> str:
    """Where a model comes from, in words; for a twin, what it is made of."""
    if model.kind == "hub":
        what = f"{model.repo} at {model.revision[:8]}, from the Hub"
    elif model.kind == "packaged":
        one = PACKAGED[model.parent]
        what = f"{one.what}, 4-bit values ({one.quantised}) in {model.dtype}"
    elif model.kind == "planted":
        what = "written by hand, its circuit is known; made in memory"
    elif model.kind == "local":
        family = (json_of(model.path / "config.json").get("architectures") or ("of an unknown family",))[0]
        what = f"a directory of one's own, {family}"
    else:
        what = ROLES.get(model.parent, f"training seed {model.parent.rpartition('-')[2]}") + ", ships with the record"
    if model.twin == DITHERED:
        return f"{what}; with noise of half a step of its file either way, made in memory"
    return f"{what}; its {model.twin} twin, made in memory" if model.twin else what


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def text_ids(name: str, text: str, root: Path | None = None) -> list[tuple[int, str]]:
    """Ids and tokens of a text as the model reads it, what stands first included.

    Raises ValueError for a planted model, whose words are its plan's; IncompleteModel where the tokenizer is missing.
    """
    model = checkpoint(name, root)
    if (plan := plan_of(model.parent)) is not None:
        raise ValueError(
            f"{model.parent} has no tokenizer in a file: its words are {', '.join(plan.vocabulary[:6])}, ..."
        )
    if not (model.path / "tokenizer.json").is_file() and not (model.path / "tokenizer_config.json").is_file():
        raise IncompleteModel(f"{model.parent} has no tokenizer here: without its files a text has no ids")
    return tokens_of(model, text)


def _bos_id(model: Checkpoint) -> int | None:
    if not model.bos:
        return None
    if (plan := plan_of(model.parent)) is not None:
        return plan.vocabulary.index(model.bos)
    return token_id(model.path, model.bos)


# --- in words -------------------------------------------------------------------------------------------------------


def in_full(model: dict[str, Any]) -> str:
    """Everything that `details` knows, a line each."""
    here = "yes" if model["here"] else f"no: {', '.join(model['problems'])}"
    if model["kind"] in ("hub", "packaged") and not Path(model["path"]).is_dir():
        here = f"no: `mechlib fetch {model['name'].partition('@')[0]}` brings it"
        here += f", {in_bytes(model['download'])} of packages" if model["download"] else ""
    number = "not in its vocabulary" if model["here"] else "id unknown here"
    number = number if model["bos_id"] is None else f"id {model['bos_id']}"
    first = f"{model['bos']!r}, {number}" if model["bos"] else "nothing"
    rows = {
        "is": model["what"],
        "here": here,
        "path": model["path"],
        "parameters": count(model["parameters"]),
        "on disk": in_bytes(model["disk"]),
        "memory": f"{in_bytes(model['memory'])}, weights in {model['dtype']} and activations"
        if model["memory"]
        else "",
        "licence": f"{model['licence']}{_terms(model)}",
        "packages": ", ".join(model["packages"]),
        "packed by": model["packed_by"],
        "stands first": f"{first} ({model['bos_source']})",
        "text": ", ".join(f"{number} {token!r}" for number, token in model.get("text", ())),
    }
    return "\n".join([model["name"], *(f"  {name.ljust(12)}  {said}" for name, said in rows.items() if said)])


def card(model: dict[str, Any]) -> str:
    """What the listing says besides of a packaged model: what stands first, its licence, how much a fetch brings."""
    if not model["packages"]:
        return ""
    brings = "" if model["here"] else f"; {in_bytes(model['download'])} to fetch"
    return f"; BOS {model['bos'] or 'none'}; {model['licence']}{brings}"


def packers(models: list[dict[str, Any]]) -> str:
    """One line on who packed the models of the package index; "" without any."""
    said = [f"{model['name']} by {model['packed_by']}" for model in models if model["packages"]]
    return f"packed for the package index, each pinned by its hash: {'; '.join(said)}" if said else ""


def _terms(model: dict[str, Any]) -> str:
    return f", {model['terms']}: `mechlib fetch` asks for --accept-licence" if model["terms"] else ""


def count(number: int | None) -> str:
    """A number to three digits: "982 k"; "" for None."""
    return "" if number is None else _scaled(number, ("", " k", " M", " B"))


def in_bytes(number: int | None) -> str:
    """A size to three digits: "2.02 MB"; "" for None."""
    return "" if number is None else _scaled(number, (" B", " kB", " MB", " GB"))


def _scaled(number: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}{units[-1]}"
