"""Subspaces and directions of the stream at one place: by class means, by chance, all of it; and angles between two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import batches
from mechlib.lab.models.loading import Model
from mechlib.lab.probes.streams import END, Array, At, Depths, chosen_depths, depth_of, streams
from mechlib.lab.probes.targets import classes_of
from mechlib.parts.chosen import NOWHERE
from mechlib.prompts.promptset import PromptSet

SAME = 1e-4  # how far a basis may be from orthonormal, entry by entry
RANK = 1e-6  # of the largest singular value: what is smaller is rounding


@dataclass(frozen=True, eq=False)
class Subspace:
    """A subspace of the stream at one depth and place.

    depth      how many layers have written to the stream: 0 is the embeddings
    at         the place, as of `streams.positions`
    basis      orthonormal columns: [d_model k]
    centre     the mean activation of the prompts that it was made from, [d_model]; None where it was made from none
    span       orthonormal columns that span those activations about their mean, [d_model rank]; None for all of it
    chosen_on  `PromptSet.members` of the prompts that it was made from

    Raises ValueError for a basis that is not orthonormal.
    """

    depth: int
    at: At
    basis: Float[Tensor, "d_model k"]
    centre: Float[Tensor, " d_model"] | None = None
    span: Float[Tensor, "d_model rank"] | None = None
    chosen_on: frozenset[str] = field(default=NOWHERE, repr=False)

    def __post_init__(self) -> None:
        gram = self.basis.T @ self.basis
        off = float((gram - torch.eye(len(gram), device=gram.device)).abs().max()) if len(gram) else 0.0
        if not off <= SAME:
            raise ValueError(f"a basis off orthonormal by {off:.2g}: give orthonormal columns, as of torch.linalg.qr")

    @property
    def k(self) -> int:
        """How many dimensions it has."""
        return self.basis.shape[1]

    def part(self, x: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch d_model"]:
        """The orthogonal projection of each row; the row itself, exactly, where the subspace is all there is."""
        return x if self.k == len(self.basis) else x @ self.basis @ self.basis.T


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction of the stream at one depth and place, and how far: added once, it leads from one class to the other.

    Fields as of `Subspace`; `vector` is not normed.
    """

    depth: int
    at: At
    vector: Float[Tensor, " d_model"]
    centre: Float[Tensor, " d_model"]
    span: Float[Tensor, "d_model rank"] | None = None
    chosen_on: frozenset[str] = field(default=NOWHERE, repr=False)

    @property
    def subspace(self) -> Subspace:
        """The line along it, for `interchange` and `under_removal`."""
        basis = (self.vector / self.vector.norm())[:, None]
        return Subspace(self.depth, self.at, basis, self.centre, self.span, self.chosen_on)

    def within(self, subspace: Subspace) -> Direction:
        """Its part in a subspace of the same depth and place: in a probe's row space, say. ValueError elsewhere."""
        if (self.depth, self.at) != (subspace.depth, subspace.at):
            raise ValueError(
                f"a direction behind {self.depth} layers at {self.at!r} and a subspace behind {subspace.depth} at "
                f"{subspace.at!r}: take both at one place"
            )
        seen = self.chosen_on | subspace.chosen_on
        return replace(self, vector=subspace.part(self.vector[None])[0], chosen_on=seen)


def class_mean_subspaces(
    model: Model, prompts: PromptSet, target: str, k: int, at: At = END, layers: Depths = None
) -> dict[str, Subspace]:
    """By depth, the first k principal components of the class means: each class counts once.

    Of two classes, k = 1 is the difference of means. target, at and layers as of `mechlib.lab.probes.linear.probe`;
    k is at most the number of classes less one. Raises ValueError for more, and where the means span less.
    """
    classes = np.array(classes_of(prompts, target))
    known = sorted(set(classes))

    def basis(x: Array) -> np.ndarray:
        means = np.stack([x[classes == one].mean(axis=0) for one in known])
        return leading(means - means.mean(axis=0), k, f"the means of {len(known)} classes of {target!r}")

    return _by_depth(model, prompts, at, layers, basis)


def _by_depth(
    model: Model, prompts: PromptSet, at: At, layers: Depths, basis: Callable[[Array], np.ndarray]
) -> dict[str, Subspace]:
    found = {}
    for name, x in streams(model, batches(model, prompts), at, layers).items():
        found[name] = Subspace(
            depth_of(model, name),
            at,
            as_tensor(model, basis(x)),
            as_tensor(model, x.mean(axis=0)),
            spanned(model, x),
            prompts.members,
        )
    return found


def whole_spaces(model: Model, at: At = END, layers: Depths = None) -> dict[str, Subspace]:
    """By depth, all of the stream: to swap it is activation patching."""
    eye = torch.eye(model.cfg.d_model, device=model.cfg.device)
    return {name: Subspace(depth_of(model, name), at, eye) for name in chosen_depths(model, layers)}


def random_subspaces(like: Mapping[str, Subspace], seed: int = 0) -> dict[str, Subspace]:
    """For each subspace one of as many dimensions at the same place, drawn evenly from all that lie in its span.

    The same on every device, and another one for each name.
    """
    stream, found = torch.Generator().manual_seed(seed), {}
    for name, one in like.items():
        width = len(one.basis) if one.span is None else one.span.shape[1]
        drawn = torch.linalg.qr(torch.randn(width, one.k, generator=stream, dtype=torch.float64))[0].to(one.basis)
        basis = drawn if one.span is None else one.span @ drawn
        found[name] = Subspace(one.depth, one.at, basis, one.centre, one.span, one.chosen_on)
    return found


def principal_cosines(one: Subspace, other: Subspace) -> Float[np.ndarray, " least"]:
    """The cosines of the principal angles, the largest first: all 1 where the smaller subspace lies in the other."""
    sizes = torch.linalg.svdvals((one.basis.T @ other.basis).double())
    return sizes.clamp(max=1.0).cpu().numpy()


def leading(rows: Array, k: int, what: str) -> Float[np.ndarray, "d_model k"]:
    """The first k right singular vectors of these rows. ValueError where they have fewer dimensions, or k < 1."""
    _, sizes, right = np.linalg.svd(rows, full_matrices=False)
    rank = int((sizes > RANK * sizes[0]).sum()) if sizes[0] > 0 else 0
    if not 1 <= k <= rank:
        raise ValueError(f"{k} dimensions of {what}, which span {rank}: give k from 1 to {rank}")
    basis: np.ndarray = right[:k].T
    return basis


def spanned(model: Model, x: Array) -> Tensor | None:
    """Orthonormal columns that span these activations about their mean; None where that is the whole space."""
    _, sizes, right = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    rank = int((sizes > RANK * sizes[0]).sum()) if len(sizes) and sizes[0] > 0 else 0
    return None if rank == x.shape[1] else as_tensor(model, right[:rank].T)


def as_tensor(model: Model, x: np.ndarray) -> Tensor:
    """On the model's device, in float32."""
    return torch.from_numpy(np.ascontiguousarray(x)).to(model.cfg.device, torch.float32)
