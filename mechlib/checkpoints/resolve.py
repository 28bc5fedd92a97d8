"""Resolving: what a model's name stands for, and where its files would lie. Nothing here downloads."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Container
from pathlib import Path

import platformdirs

from mechlib.checkpoints import planted
from mechlib.checkpoints.bos import Bos, asked_for, declared
from mechlib.checkpoints.checkpoint import DITHERED, MINIS, Checkpoint, Kind, UnknownModel, parent, twin_of
from mechlib.checkpoints.hub import HUB, Hub
from mechlib.checkpoints.packaged.table import PACKAGED

PLANTED = tuple(f"planted-{kind}" for kind in planted.KINDS)  # of seed 0 and the smallest size; others say theirs
_WORLD = ("What is 23 + 54 ? Answer : 77 Mary amber", (202, 203, 26, 204, 57, 205, 206, 207, 80, 341, 703))


def checkpoint(name: str, root: Path | None = None) -> Checkpoint:
    """What a name stands for. `root` is the repository that holds fixtures/ (default: see `repository`).

    A model of the Hub and one's own begin with the BOS that they declare, a packaged one with that of its table; all
    of them with what was asked for instead (`bos`).
    Raises UnknownModel, with the nearest name, where there is none, and of a dithered model that is not quantised.
    """
    base = parent(name)
    twin = twin_of(name)
    if twin == DITHERED and base not in PACKAGED and not Path(name).expanduser().is_dir():
        raise UnknownModel(_not_quantised(checkpoint(base, root)))
    if base in MINIS:
        path = (root or repository()) / "fixtures" / base
        return Checkpoint(name, "mini", path, base, twin, bos="<bos>", bos_source="its world", known=_WORLD)
    if base in HUB:
        hub = HUB[base]
        path = _snapshot(hub)
        first = _first(Bos(hub.bos, "the table of models of the Hub"))
        return Checkpoint(name, "hub", path, base, twin, hub.repo, hub.revision, *first, hub.known)
    if base in PACKAGED:
        one, path = PACKAGED[base], packaged_cache() / base
        first = _first(Bos(one.bos, one.bos_why))
        return Checkpoint(name, "packaged", path, base, twin, bos=first.text, bos_source=first.source, known=one.known)
    if (plan := plan_of(base)) is not None:
        last = len(plan.vocabulary) - 1
        known = (f"{plan.vocabulary[2]} {plan.vocabulary[last]}", (2, last))
        return Checkpoint(name, "planted", Path(base), base, twin, bos=planted.BOS, bos_source="its plan", known=known)
    path = Path(base).expanduser()
    if twin is not None and Path(name).expanduser().is_dir():
        raise UnknownModel(
            f"{name!r} is a directory, and would be read as the {twin} twin of {base!r}: rename the directory"
        )
    if path.is_dir():
        first = _first(declared(path))
        return Checkpoint(name, "local", path.resolve(), base, twin, bos=first.text, bos_source=first.source)
    raise UnknownModel(_unknown(base))


def _not_quantised(model: Checkpoint) -> str:
    return (
        f"{model.name} is not quantised, so that it has no step to be dithered by: ask for "
        f"{', '.join(f'{name}@{DITHERED}' for name in PACKAGED)}"
    )


def kind_of(name: str) -> Kind:
    """What kind of model a name means, or that whose twin it is; "local" for whatever is none of the others.

    Told from the name alone, so that it is known of models that are not here, and of some that there never were.
    """
    base = parent(name)
    kinds: dict[Kind, Container[str]] = {"mini": MINIS, "hub": HUB, "packaged": PACKAGED}
    listed = next((kind for kind, names in kinds.items() if base in names), None)
    return listed or ("planted" if planted.is_name(base) else "local")


def plan_of(base: str) -> planted.Plan | None:
    """The plan behind the name of a planted model; None for other names. UnknownModel for a size that is too small."""
    try:
        return planted.plan(base)
    except ValueError as error:
        raise UnknownModel(f"no model {base!r}: {error}") from None


def repository() -> Path:
    """The repository whose fixtures/ are meant: MECHLIB_ROOT, else the one that this package lies in."""
    named = os.environ.get("MECHLIB_ROOT")
    return Path(named) if named else Path(__file__).resolve().parents[2]


def file_name(name: str) -> str:
    """The model in a file name: no path, no `@`, no `:`; a local directory gives its last part."""
    base = parent(name)
    if base not in (*MINIS, *PACKAGED, *HUB) and plan_of(base) is None:
        base = Path(base).resolve().name
    return re.sub(r"[^A-Za-z0-9_.-]", "-", base + (f"-{twin_of(name)}" if twin_of(name) else ""))


def _first(own: Bos) -> Bos:
    """What stands first: what was asked for, else the model's own."""
    asked = asked_for()
    return own if asked is None else Bos(asked, f"asked for; its own is {own.text!r}" if own.text else "asked for")


def _unknown(name: str) -> str:
    if "/" in name or os.sep in name or name.startswith("."):
        return f"no model {name!r}: no such directory; one has config.json, model.safetensors, tokenizer.json"
    there = (*MINIS, *PACKAGED, *HUB, *PLANTED)
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "write ./NAME for a directory."
    return f"no model {name!r}: {hint} There are {', '.join(there)}"


# --- where files lie -------------------------------------------------------------------------------------------------


def hub_cache() -> Path:
    """The Hugging Face cache of models: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    if os.environ.get("HF_HOME"):
        return Path(os.environ["HF_HOME"]).expanduser() / "hub"
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "huggingface" / "hub"


def packaged_cache() -> Path:
    """Where packaged models lie, each in a folder of its name: below MECHLIB_CACHE, else the user's cache folder."""
    named = os.environ.get("MECHLIB_CACHE")
    caches = Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("mechlib", appauthor=False))
    return caches / "pretrained"


def _snapshot(hub: Hub) -> Path:
    # GPT-2 is stored under either of its two names, depending on which one brought it.
    repos = (hub.repo,) if "/" in hub.repo else (hub.repo, f"openai-community/{hub.repo}")
    paths = [hub_cache() / f"models--{repo.replace('/', '--')}" / "snapshots" / hub.revision for repo in repos]
    return next((path for path in paths if path.is_dir()), paths[0])
