"""SAELens, by whom sparse autoencoders are built, trained and saved: the only file that names its classes.

SAELens (MIT; Bloom et al., https://github.com/decoderesearch/SAELens) is imported where it is used: what encodes,
evaluates and acts does not need it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mechlib.lab.features.training import exact_topk
from mechlib.lab.features.training.recipes import DECAY, WARM_UP, Recipe

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"  # SAELens's own names of files
LEVELS = (8, 4, 2, 1)  # a Matryoshka dictionary reconstructs from its first eighth, quarter, half, and from all


class NoSAELens(ImportError):
    """SAELens is not installed."""


def library() -> Any:
    """The package; NoSAELens where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it imports announces changes of its own
            import sae_lens
    except ImportError as error:
        raise NoSAELens(f"sae-lens is not here ({error}): pip install 'mechlib[features]'") from None
    return sae_lens


def blank(recipe: Recipe, width: int, device: str = "cpu") -> Any:
    """A sparse autoencoder before training, as SAELens draws it from the recipe's seed: the same on every device."""
    library()
    from sae_lens.saes.sae import TrainingSAE

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(recipe.seed)
        made = TrainingSAE.from_dict(_configuration(recipe, width).to_dict())
    made.train()
    return made.to(device)


def trainer(sae: Any, recipe: Recipe, data: Iterator[Tensor], scale: float, device: str = "cpu") -> Any:
    """SAELens's trainer of an autoencoder, whose rows are multiplied by `scale`. TopK on a CPU has a step of ours."""
    lens = library()
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    warm, decay = (round(share * recipe.steps) for share in (WARM_UP, DECAY))
    made = SAETrainer(
        cfg=SAETrainerConfig(
            total_training_samples=recipe.steps * recipe.batch,
            train_batch_size_samples=recipe.batch,
            lr=recipe.rate,
            lr_end=recipe.rate,
            lr_warm_up_steps=warm if warm > 1 else 0,
            lr_decay_steps=decay,
            dead_feature_window=recipe.window,
            device=device,
            logger=lens.LoggingConfig(log_to_wandb=False),
        ),
        sae=sae,
        data_provider=data,
    )
    made.activation_scaler.scaling_factor = scale
    if recipe.kind == "topk" and recipe.exact and torch.device(device).type == "cpu":
        made._train_step = partial(exact_topk.step, made)
    return made


def folded(training: Any) -> Any:
    """The trained autoencoder, of rows as they are: the scale of its trainer goes into its weights."""
    training.sae.fold_activation_norm_scaling_factor(training.activation_scaler.scaling_factor)
    training.activation_scaler.scaling_factor = None
    return training.sae


def of_weights(config: dict[str, Any], weights: dict[str, Tensor], device: str) -> Any:
    """An autoencoder for use, from a configuration as SAELens writes it and its weights, computed with in float32."""
    library()
    from sae_lens.saes.sae import SAE

    exact = {name: weight.to(device, torch.float32) for name, weight in weights.items()}

    def read(path: str | Path, device: str, cfg_overrides: dict[str, Any] | None) -> tuple[dict[str, Any], Any]:
        return {**config, **(cfg_overrides or {}), "device": device}, exact

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = SAE.load_from_disk("", device=device, dtype="float32", converter=read)
    return made.eval().requires_grad_(False)


def weights_in(folder: Path) -> dict[str, Tensor]:
    """The weights of an autoencoder's folder."""
    return load_file(folder / WEIGHTS)


def _configuration(recipe: Recipe, width: int) -> Any:
    lens = library()
    shape: dict[str, Any] = {"d_in": width, "d_sae": recipe.features}
    warm = round(WARM_UP * recipe.steps)
    if recipe.kind == "standard":
        return lens.StandardTrainingSAEConfig(**shape, l1_coefficient=recipe.l1, l1_warm_up_steps=warm)
    if recipe.kind == "gated":
        return lens.GatedTrainingSAEConfig(**shape, l1_coefficient=recipe.l1, l1_warm_up_steps=warm)
    if recipe.kind == "topk":
        return lens.TopKTrainingSAEConfig(**shape, k=recipe.k)
    if recipe.kind == "batchtopk":
        return lens.BatchTopKTrainingSAEConfig(**shape, k=float(recipe.k))
    if recipe.kind == "matryoshka":
        levels = sorted({max(1, recipe.features // part) for part in LEVELS})
        return lens.MatryoshkaBatchTopKTrainingSAEConfig(**shape, k=float(recipe.k), matryoshka_widths=levels)
    if recipe.kind == "jumprelu":
        return lens.JumpReLUTrainingSAEConfig(
            **shape,
            jumprelu_sparsity_loss_mode="quadratic",
            target_l0=float(recipe.k),
            l0_coefficient=recipe.l1,
            l0_warm_up_steps=warm,
        )
    if not hasattr(lens, "MatchingPursuitTrainingSAEConfig"):
        raise ValueError(f"this sae-lens ({lens.__version__}) has no matching pursuit: install sae-lens>=6.54")
    return lens.MatchingPursuitTrainingSAEConfig(
        **shape, max_iterations=recipe.k, residual_threshold=0.0, decoder_init_norm=1.0
    )
