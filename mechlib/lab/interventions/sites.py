"""Sites of a sweep: sets of places, each with a name, and the result for each set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.hooks import mlp_layers
from mechlib.lab.interventions.places import Place, Site, Where, n_groups
from mechlib.lab.models.loading import Model
from mechlib.measurement import Measurement
from mechlib.parts.heads import EmptySelection, Group, Head, Heads, all_heads
from mechlib.parts.random_sets import RandomSets, random_sets

Sites: TypeAlias = Heads | Mapping[str, Where] | Iterable[Where]
Places: TypeAlias = Mapping[str, tuple[int, ...] | None]
Source: TypeAlias = Int[Tensor, "..."] | Mapping[str, Tensor] | None
Logits: TypeAlias = Float[Tensor, "batch pos d_vocab"]


@dataclass(frozen=True, eq=False)
class Swept:
    """A metric on each prompt of a batch: of the run as it is, after replacing each set, and of the source run.

    source    None where the source was no run, but activations or zeros
    changed   for each set, whether replacing it changed some activation by more than rounding
    """

    intact: Float[Tensor, " batch"]
    after: Float[Tensor, "batch sites"]
    source: Float[Tensor, " batch"] | None
    changed: Bool[Tensor, " sites"]

    @classmethod
    def joined(cls, parts: list[Swept]) -> Swept:
        """The result for a whole batch, from the results for its parts."""
        sources = [part.source for part in parts if part.source is not None]
        return cls(
            intact=torch.cat([part.intact for part in parts]),
            after=torch.cat([part.after for part in parts]),
            source=torch.cat(sources) if sources else None,
            changed=torch.stack([part.changed for part in parts]).any(0),
        )


# --- sets ---------------------------------------------------------------------------------------------------------


def components(model: Model) -> dict[str, Where]:
    """Every head ("0.0", ...) and every MLP ("mlp 0", ...) there is, each a set of its own: the places of a sweep."""
    return {str(one): one for layer in layers(model).values() for one in _members(layer)}


def groups(model: Model) -> dict[str, Where]:
    """Every key/value group ("0.kv0", ...), its keys and values together: the places of a sweep."""
    found = (Group(layer, group) for layer in range(model.cfg.n_layers) for group in range(n_groups(model)))
    return {str(one): one for one in found}


def heads_of(model: Model, group: Group) -> Heads:
    """The query heads that read the keys and values of a group. Raises ValueError for one that the model lacks."""
    n, several = n_groups(model), model.cfg.n_heads // n_groups(model)
    if not (0 <= group.layer < model.cfg.n_layers and 0 <= group.group < n):
        raise ValueError(f"no key/value group {group}: the model has {model.cfg.n_layers} layers of {n}")
    return Heads(tuple(Head(group.layer, several * group.group + number) for number in range(several)))


def layers(model: Model) -> dict[str, Where]:
    """The heads of each layer together ("attention 0", ...) and, where it has one, its MLP ("mlp 0", ...)."""
    heads, mlps = all_heads(model.cfg.n_layers, model.cfg.n_heads), mlp_layers(model)
    found: dict[str, Where] = {}
    for layer in range(model.cfg.n_layers):
        found[f"attention {layer}"] = heads.in_layer(layer)
        if layer in mlps:
            found[f"mlp {layer}"] = Site("mlp", layer)
    return found


def residual(model: Model) -> dict[str, Where]:
    """The residual stream: "embeddings", then "after layer 0" and so on."""
    after: dict[str, Where] = {f"after layer {layer}": Site("resid_post", layer) for layer in range(model.cfg.n_layers)}
    return {"embeddings": Site("resid_pre", 0), **after}


def named(sites: Sites) -> dict[str, tuple[Place, ...]]:
    """The sets by name: the name given in a mapping, or the names of their members ("0.1 1.3"); of `Heads`, each head.

    Raises EmptySelection where there is no set, or a set has no member.
    """
    if isinstance(sites, Mapping):
        found = {name: _members(where) for name, where in sites.items()}
    else:
        found = {" ".join(map(str, members)): members for members in map(_members, sites)}
    if not found or not all(found.values()):
        raise EmptySelection("a set without heads: there is nothing to patch or ablate in it")
    return found


def union(sites: Mapping[str, tuple[Place, ...]]) -> tuple[Place, ...]:
    """All places of all sets, each once."""
    return tuple(dict.fromkeys(one for members in sites.values() for one in members))


def idle(model: Model, sites: Mapping[str, tuple[Place, ...]], swept: Sequence[Swept]) -> tuple[tuple[str, str], ...]:
    """A note for each set whose replacement says nothing of the model, by its name: for `Measurement.notes`.

    Its activations are those that replace them on every prompt, as those of a dead head are; or it is of heads whose
    W_O is zero, so that nothing they say is read.
    """
    changed = torch.stack([one.changed for one in swept]).any(0).tolist()
    found = []
    for (name, members), moved in zip(sites.items(), changed, strict=True):
        if not moved:
            found.append((name, "replacing it changed no activation, as it is dead or says this anyway: no effect"))
        elif all(isinstance(one, Head) and not bool(_writes(model, one).any()) for one in members):
            found.append((name, "it is dead, its W_O is zero: no effect"))
    return tuple(found)


def _writes(model: Model, head: Head) -> Float[Tensor, "d_head d_model"]:
    written: Tensor = model.blocks[head.layer].attn.W_O[head.head]
    return written


def _members(where: Where) -> tuple[Place, ...]:
    return (where,) if isinstance(where, (Head, Group, Site, str)) else tuple(where)  # a text is refused as no place


def matched_sample(model: Model, heads: Heads, n: int) -> RandomSets:
    """Up to `n` random sets of as many other heads, matched to these: controls. Raises what `random_sets` raises."""
    return random_sets(heads, all_heads(model.cfg.n_layers, model.cfg.n_heads), n)


def one_row_each(sample: RandomSets, columns: Mapping[str, np.ndarray], of: str) -> Measurement:
    """A Measurement with one row for each random set; `of` also says how the sets were matched."""
    return Measurement(
        values=np.stack(list(columns.values()), axis=1),
        units=tuple(map(str, sample)),
        unit="set of heads",
        columns=tuple(columns),
        of=f"{of} ({sample.matched})",
    )
