"""Places in a model: heads, MLPs, the residual stream, and the keys and values that heads share, each with its hook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from mechlib.lab.hooks import mlp_layers
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.parts.heads import Group, Head

Part = Literal["head", "mlp", "resid_pre", "resid_post", "keys", "values"]
_HOOKS: Mapping[Part, str] = {
    "head": "blocks.{}.attn.hook_z",
    "mlp": "blocks.{}.hook_mlp_out",
    "resid_pre": "blocks.{}.hook_resid_pre",
    "resid_post": "blocks.{}.hook_resid_post",
    "keys": "blocks.{}.attn.hook_k",
    "values": "blocks.{}.attn.hook_v",
}
_BY_GROUP = ("keys", "values")


class Site(NamedTuple):
    """A place in the model: one head's output before W_O, an MLP's output, the residual stream around a layer, the keys
    or the values of one group of heads.

    part   "head", "mlp", "resid_pre" (the stream before the layer), "resid_post" (behind it), "keys" or "values"
    layer  from 0
    head   its number in the layer, of a "head" alone; of "keys" and "values" that of the group (a `Group` is both)
    """

    part: Part
    layer: int
    head: int | None = None

    @property
    def hook(self) -> str:
        """The hook name of the activation that this place is, or is part of."""
        return _HOOKS[self.part].format(self.layer)

    def __str__(self) -> str:
        if self.part in _BY_GROUP:
            return f"{Group(self.layer, self.head or 0)}.{self.part[0]}"
        return f"{self.layer}.{self.head}" if self.part == "head" else f"{self.part} {self.layer}"


Place: TypeAlias = Head | Group | Site
Where: TypeAlias = Place | Iterable[Place]


def places(model: Model, where: Where) -> dict[str, tuple[int, ...] | None]:
    """Heads, groups and sites as hook names, each with its heads' or groups' numbers (None where it has none).

    Raises ValueError for a layer, head or group that the model lacks. A bare Head is the site of that head, a Group are
    those of its keys and its values.
    """
    several: Iterable[Place] = (where,) if isinstance(where, (Head, Group, Site)) else where
    sites: list[Site] = []
    for one in several:
        if isinstance(one, Group):
            sites += [Site("keys", one.layer, one.group), Site("values", one.layer, one.group)]
        else:
            sites.append(Site("head", one.layer, one.head) if isinstance(one, Head) else one)
    for site in sites:
        if not isinstance(site, Site):
            raise ValueError(
                f"{site!r} is no place: give heads('0.3, 1.2'), the .heads of a circuit, or Site('mlp', 1)"
            )
    found: dict[str, tuple[int, ...] | None] = {}
    for site in dict.fromkeys(sites):  # a place that is named twice is one
        _check_site(model, site)
        if site.head is None:
            found[site.hook] = None
        else:
            found[site.hook] = (*(found.get(site.hook) or ()), site.head)
    return found


def _check_site(model: Model, site: Site) -> None:
    layers, heads, name = model.cfg.n_layers, model.cfg.n_heads, checkpoint_of(model).name
    if site.part not in _HOOKS:
        raise ValueError(f"no part {site.part!r}: choose one of {', '.join(_HOOKS)}")
    if not 0 <= site.layer < layers:
        raise ValueError(f"{name} has no layer {site.layer}: it has 0 to {layers - 1}")
    if site.part == "mlp" and site.layer not in mlp_layers(model):
        raise ValueError(f"{name} has no MLP in layer {site.layer}: it has attention only; leave MLPs out")
    if site.part == "head" and (site.head is None or not 0 <= site.head < heads):
        raise ValueError(f"{name} has no head {site.head}: layer {site.layer} has 0 to {heads - 1}")
    groups = n_groups(model)
    if site.part in _BY_GROUP and (site.head is None or not 0 <= site.head < groups):
        raise ValueError(f"{name} has no key/value group {site.head}: layer {site.layer} has 0 to {groups - 1}")
    if site.part not in ("head", *_BY_GROUP) and site.head is not None:
        raise ValueError(f"{site.part} {site.layer} has no heads: leave the head out")


def n_groups(model: Model) -> int:
    """How many sets of keys and values a layer has: as many as heads, where no heads share them."""
    return int(getattr(model.cfg, "n_key_value_heads", None) or model.cfg.n_heads)
