"""Loading sparse autoencoders: from a folder, or from a release of SAELens at a pinned revision. Nothing downloads.

One that was made for another model, another activation or another width is refused: it would reconstruct badly and say
nothing of the model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from mechlib.checkpoints.resolve import hub_cache
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.training import saelens
from mechlib.lab.features.training.storing import CARD, MEAN, assembled, model_key, of_saelens
from mechlib.lab.hooks import check_names
from mechlib.lab.models.loading import Model, checkpoint_of

NATIVE = (None, "sae_lens")  # releases in SAELens's own format
STREAM = re.compile(r"hook_resid_(pre|mid|post)$|hook_(attn|mlp)_out$")  # hooks that are as wide as the model


class OtherActivation(ValueError):
    """A sparse autoencoder of another model, hook or width than the one it is asked about."""


def load_sae(folder: Path | str, model: Model | None = None, hook: str = "", device: str = "cpu") -> Dictionary:
    """The sparse autoencoder in a folder: one that `mechlib sae train` wrote, or any of SAELens's.

    model  the model that it must be of, by its key; by its name where there is no card
    hook   the activation that it must be of; "" for whichever it is

    Raises FileNotFoundError where files are missing, OtherActivation for one of another model, hook or width,
    NotTheSameDraw where a frozen matrix does not come again, ValueError for damaged files and for one that norms each
    activation by itself.
    """
    folder = Path(folder)
    missing = [name for name in (saelens.CONFIG, saelens.WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} is no sparse autoencoder: it has no {' and no '.join(missing)}")
    try:
        if (folder / CARD).is_file():
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            if not (folder / MEAN).is_file():
                raise FileNotFoundError(f"{folder} has a card and no {MEAN}: copy the folder whole")
            found = assembled(folder, card, device)
        else:
            config = json.loads((folder / saelens.CONFIG).read_text(encoding="utf-8"))
            found = _foreign(folder, config, {}, folder.name, device)
    except (SafetensorError, json.JSONDecodeError, KeyError, RuntimeError) as error:
        raise ValueError(f"{folder} is damaged ({str(error).splitlines()[0]}): copy it again") from None
    require_of(found, model, hook)
    return found


def load_release(
    release: str, sae_id: str, revision: str, model: Model | None = None, hook: str = "", device: str = "cpu"
) -> Dictionary:
    """An autoencoder of a release that SAELens lists, or of a repository of the Hub, from the cache of the Hub.

    release   SAELens's name of it, as "gpt2-small-res-jb", or a repository, as "jbloom/GPT2-Small-SAEs"
    sae_id    as the release names it, as "blocks.8.hook_resid_pre"; the folder in a repository
    revision  the full commit, 40 hex digits: a branch moves

    Raises ValueError for another revision, a release or id that SAELens does not list, and for releases in another
    format than SAELens's own; FileNotFoundError where the snapshot is not here; else as `load_sae`.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError(f"revision {revision!r} of {release}: give the full commit, 40 hex digits; a branch moves")
    repo, inside, overrides, factor = _listed(release, sae_id)
    folder = hub_cache() / f"models--{repo.replace('/', '--')}" / "snapshots" / revision / inside
    missing = [name for name in (saelens.CONFIG, saelens.WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{release} {sae_id} is not here: `hf download {repo} --revision {revision} --include '{inside}/*'`"
        )
    config = json.loads((folder / saelens.CONFIG).read_text(encoding="utf-8"))
    found = _foreign(folder, config, overrides, f"{release} {sae_id}", device, factor)
    require_of(found, model, hook)
    return found


def require_of(dictionary: Dictionary, model: Model | None, hook: str = "") -> None:
    """OtherActivation unless the dictionary is of this model, and of this activation where one is named.

    A dictionary that says of what model it is by name alone is held to the name, one that says nothing to its width.
    """
    name, card = dictionary.name, dictionary.card
    if hook and dictionary.hook and hook != dictionary.hook:
        raise OtherActivation(f"{name} is of {dictionary.hook}, not of {hook}: load one that was trained there")
    if model is None:
        return
    described = checkpoint_of(model)
    if key := card.get("model_key"):
        if key != model_key(described):
            raise OtherActivation(
                f"{name} is of {card.get('model')} ({key}), not of {described.name} ({model_key(described)}): train "
                "one on this model's activations"
            )
    elif (theirs := card.get("model")) and theirs not in (described.name, described.repo, described.parent):
        raise OtherActivation(f"{name} is of {theirs}, not of {described.name}: load one of this model")
    at = hook or dictionary.hook
    if at:
        check_names(model, (at,))
    if STREAM.search(at) and dictionary.width != model.cfg.d_model:
        raise OtherActivation(
            f"{name} is {dictionary.width} wide, and {at} of {described.name} {model.cfg.d_model}: load one of this "
            "model"
        )


def _foreign(
    folder: Path, config: dict[str, Any], overrides: dict[str, Any], name: str, device: str, factor: float | None = None
) -> Dictionary:
    """A folder of SAELens's without a card of ours."""
    sae = saelens.of_weights({**config, **overrides}, saelens.weights_in(folder), device)
    if factor is not None:  # the scale that its rows were trained at
        sae.fold_activation_norm_scaling_factor(factor)
    said = sae.cfg.metadata
    card = {"model": said.model_name or "", "hook": said.hook_name or "", "sae-lens": said.sae_lens_version}
    return of_saelens(sae, name, card["hook"], card=card)


def _listed(release: str, sae_id: str) -> tuple[str, str, dict[str, Any], float | None]:
    """Repository, folder, what SAELens puts into the configuration, and the scale of its rows."""
    saelens.library()
    from sae_lens.loading.pretrained_saes_directory import (
        get_config_overrides,
        get_norm_scaling_factor,
        get_pretrained_saes_directory,
    )

    known = get_pretrained_saes_directory()
    if release not in known:
        if "/" not in release:
            raise ValueError(f"sae-lens lists no release {release!r}: give one that it lists, or a repository")
        return release, sae_id, {}, None
    one = known[release]
    if sae_id not in one.saes_map:
        raise ValueError(f"{release} has no {sae_id!r}: it has {', '.join(list(one.saes_map)[:4])}, ...")
    if one.conversion_func not in NATIVE:
        raise ValueError(
            f"{release} is in another format ({one.conversion_func}), which sae-lens reads at no pinned revision: "
            "convert it with sae-lens, save_model, and load the folder"
        )
    return (
        one.repo_id,
        one.saes_map[sae_id],
        get_config_overrides(release, sae_id),
        get_norm_scaling_factor(release, sae_id),
    )
