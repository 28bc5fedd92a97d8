"""A step of TopK training on a CPU that computes with active features alone: SAELens's loss, and its exact gradients.

Of `features` only `k` are active on a row, and all gradients but theirs are zero. SAELens computes these zeros: it
decodes with all features and takes five gradients as large as the encoding. Here features are encoded once, which k
are the largest cannot be known otherwise; what follows is gathered from the k, or is a product with a sparse matrix.

A decoder direction's length plays a part in which features are the largest, and none in what they reconstruct, so that
no gradient goes through it. SAELens has one that is zero to rounding.
Source: Gao et al. 2024, arXiv:2406.04093, section 2; their kernels for a GPU do likewise.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def step(trainer: Any, sae: Any, sae_in: Float[Tensor, "batch width"]) -> Any:
    """One step in the place of SAELens's `_train_step`: loss, gradients, optimiser, schedule, and what it counts.

    What it returns has the k activations of each row where SAELens has those of all features.
    """
    from sae_lens.saes.sae import TrainStepOutput

    sae.train()
    chosen, active, made = reconstructed(sae, sae_in)
    residual = made - sae_in
    loss = residual.square().sum() / len(sae_in)
    set_gradients(sae, sae_in, chosen, active, residual * (2 / len(sae_in)))
    dead = trainer.dead_neurons
    auxiliary = _auxiliary(sae, sae_in, -residual, dead) if bool(dead.any()) else loss.new_zeros(())
    _count(trainer, chosen[active > 0], len(sae_in))
    torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    trainer.lr_scheduler.step()
    losses = {"mse_loss": loss, "auxiliary_reconstruction_loss": auxiliary}
    return TrainStepOutput(sae_in, made, active, active, loss + auxiliary, losses)


def reconstructed(
    sae: Any, x: Float[Tensor, "batch width"]
) -> tuple[Int[Tensor, "batch k"], Float[Tensor, "batch k"], Float[Tensor, "batch width"]]:
    """The k largest features of each row, how much of its decoder row each adds, and what they reconstruct."""
    scores = torch.addmm(sae.b_enc, x - sae.b_dec, sae.W_enc)
    lengths = sae.W_dec.norm(dim=1)
    scores *= lengths
    largest, chosen = scores.topk(sae.cfg.k, dim=-1, sorted=False)
    active = largest.relu() / lengths[chosen]
    made = F.embedding_bag(chosen, sae.W_dec, per_sample_weights=active, mode="sum") + sae.b_dec
    return chosen, active, made


def set_gradients(
    sae: Any,
    x: Float[Tensor, "batch width"],
    chosen: Int[Tensor, "batch k"],
    active: Float[Tensor, "batch k"],
    slope: Float[Tensor, "batch width"],
) -> None:
    """Sets the gradients of a loss whose gradient with respect to the reconstruction is `slope`."""
    back = (sae.W_dec[chosen] @ slope.unsqueeze(-1)).squeeze(-1) * (active > 0)
    by_feature = _ByFeature(chosen, sae.cfg.d_sae)
    of_bias = torch.zeros_like(sae.b_enc).index_add_(0, chosen.flatten(), back.flatten())
    for parameter, gradient in (
        (sae.W_dec, lambda: by_feature.times(active, slope)),
        (sae.W_enc, lambda: by_feature.times(back, x - sae.b_dec).T.contiguous()),
        (sae.b_enc, lambda: of_bias),
        (sae.b_dec, lambda: slope.sum(0) - sae.W_enc @ of_bias),
    ):
        if parameter.requires_grad:
            parameter.grad = gradient()


class _ByFeature:
    """Which rows each feature was chosen on: products with a sparse matrix, [features batch]."""

    def __init__(self, chosen: Int[Tensor, "batch k"], features: int) -> None:
        batch, k = chosen.shape
        self.shape = features, batch
        self.order = chosen.flatten().argsort(stable=True)
        self.rows = self.order // k
        self.ends = F.pad(torch.bincount(chosen.flatten(), minlength=features).cumsum(0), (1, 0))

    def times(self, values: Float[Tensor, "batch k"], dense: Float[Tensor, "batch width"]) -> Tensor:
        """[features width]: for each feature the sum over its rows, each times its value there."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # torch, since 2021
            sparse = torch.sparse_csr_tensor(
                self.ends, self.rows, values.flatten()[self.order], self.shape, check_invariants=False
            )
        return sparse @ dense


def _auxiliary(sae: Any, x: Tensor, wanted: Float[Tensor, "batch width"], dead: Tensor) -> Tensor:
    """SAELens's loss of dead features, which are to reconstruct what the others do not; its gradients are added.

    Computed with dead features alone.
    """
    which = dead.nonzero()[:, 0]
    many = min(x.shape[-1] // 2, len(which))
    share = min(len(which) / (x.shape[-1] // 2), 1.0)
    parameters = [one for one in (sae.W_enc, sae.W_dec, sae.b_enc, sae.b_dec) if one.requires_grad]
    with torch.enable_grad():
        lengths = sae.W_dec[which].detach().norm(dim=1)
        scores = (x - sae.b_dec) @ sae.W_enc[:, which] + sae.b_enc[which]
        largest = (scores.detach() * lengths).topk(many, dim=-1, sorted=False).indices
        kept = torch.zeros_like(scores).scatter(-1, largest, scores.gather(-1, largest))
        loss = sae.cfg.aux_loss_coefficient * share * (kept @ sae.W_dec[which] - wanted).square().sum(-1).mean()
        gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad += gradient
    return loss.detach()


def _count(trainer: Any, fired: Int[Tensor, " active"], batch: int) -> None:
    counts = torch.bincount(fired, minlength=len(trainer.act_freq_scores))
    trainer.n_forward_passes_since_fired += 1
    trainer.n_forward_passes_since_fired[counts > 0] = 0
    trainer.act_freq_scores += counts
    trainer.n_frac_active_samples += batch
