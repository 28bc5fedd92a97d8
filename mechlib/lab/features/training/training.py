"""Training a sparse autoencoder on rows of activations, by SAELens's trainer; without the Hub, and resumable.

While it is trained, checkpoints lie in a folder beside the one that it will have, and take their names when they are
whole; so does the autoencoder in the end. A run that was stopped goes on from the last checkpoint to the weights that
it would have had: the order of rows follows from the seed, and checkpoints have the state of optimiser and schedules.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from mechlib.lab.features.dictionaries import DeadDictionary, Dictionary
from mechlib.lab.features.rows import Survey, shuffled, survey
from mechlib.lab.features.training import saelens
from mechlib.lab.features.training.frozen import freeze, hold, start_of
from mechlib.lab.features.training.recipes import Recipe
from mechlib.lab.features.training.storing import Made, Source, of_saelens, store, writing

TRAINING, PART = ".training", ".part"  # behind the folder's name: while training, and while something is written
BEGUN, STEP = "begun.json", "step-"
SHOWN = 20  # times in a run that it is told, and a checkpoint written


@dataclass(frozen=True)
class Progress:
    """Where training stands: of the last batch, in inputs scaled to a mean norm of sqrt(width).

    step, steps  batches seen, and to be seen
    loss         what is minimised
    unexplained  squared error as a share of the batch's variance about its mean
    l0           features active on a row
    dead         features that were not active for a tenth of all steps, or for a thousand
    """

    step: int
    steps: int
    loss: float
    unexplained: float
    l0: float
    dead: int


def train(
    rows: np.ndarray,
    recipe: Recipe,
    out: Path,
    source: Source,
    show: Callable[[Progress], None] | None = None,
    half: bool = False,
    device: str = "cpu",
) -> Path:
    """Trains an autoencoder on rows, [row width], into the folder `out`; returns it.

    source  what the rows are activations of, and the command: for the card
    show    is told how it goes, some twenty times
    half    store float16

    The same call goes on with a run that was stopped. Raises FileExistsError where `out` is there, or a run that was
    begun otherwise, or another process trains into it; ValueError for rows with NaN and for a loss that becomes NaN;
    DeadDictionary where no feature is active any more; NoSAELens.
    """
    if out.exists():
        raise FileExistsError(f"{out} is there already: choose another folder, or remove it")
    seen = survey(rows)
    folder = out.with_name(out.name + TRAINING)
    with _alone(folder, out):
        _check_begun(folder, recipe, seen)
        run = _Run(rows, recipe, seen, device)
        run.resume(folder)
        told = max(1, recipe.steps // SHOWN)
        while run.step < recipe.steps:
            output = run.once()
            if run.step % told == 0 or run.step == recipe.steps:
                now = run.progress(output)
                if show is not None:
                    show(now)
                _check_alive(now, recipe)
                if run.step < recipe.steps:
                    run.keep(folder)
        made = Made(saelens.folded(run.trainer), recipe, seen, source, half)
        part = out.with_name(out.name + PART)
        shutil.rmtree(part, ignore_errors=True)
        store(part, made, rows)
        part.rename(out)
    shutil.rmtree(folder, ignore_errors=True)
    return out


def fitted(rows: np.ndarray, recipe: Recipe) -> Dictionary:
    """The same autoencoder in memory, on few rows: nothing is stored, and none that was stopped goes on."""
    run = _Run(rows, recipe, seen := survey(rows), "cpu")
    while run.step < recipe.steps:
        run.once()
    mean = torch.from_numpy(seen.mean).float()
    return of_saelens(saelens.folded(run.trainer), recipe.kind, mean=mean, card={"recipe": recipe.said()})


class _Run:
    """A trainer, its rows, and where it stands."""

    def __init__(self, rows: np.ndarray, recipe: Recipe, seen: Survey, device: str) -> None:
        self.rows, self.recipe, self.seen, self.device = rows, recipe, seen, device
        sae = saelens.blank(recipe, seen.width, device)
        freeze(sae, recipe)
        self.start = start_of(recipe, seen.width).to(device) if recipe.frozen == "soft" else None
        self.data = self._data(0)
        self.trainer = saelens.trainer(sae, recipe, self.data, seen.scale, device)

    def _data(self, begin: int) -> Iterator[Tensor]:
        return shuffled(self.rows, self.recipe.batch, self.recipe.seed, begin)

    @property
    def step(self) -> int:
        return int(self.trainer.n_training_steps)

    def once(self) -> Any:
        """One step; what SAELens says of it."""
        output = self.trainer.step(next(self.data))
        self.trainer.n_training_steps += 1
        if self.start is not None:
            weights = self.trainer.sae.W_dec
            weights.data.copy_(hold(weights.data, self.start, self.recipe.cosine))
        return output

    @torch.no_grad()
    def progress(self, output: Any) -> Progress:
        rows, made = output.sae_in, output.sae_out
        loss = float(output.loss)
        if not np.isfinite(loss):
            raise ValueError(
                f"the loss is {loss} at step {self.step} of {self.recipe.steps}: train with a lower rate than "
                f"{self.recipe.rate:g}"
            )
        variance = (rows - rows.mean(0)).square().sum()
        return Progress(
            step=self.step,
            steps=self.recipe.steps,
            loss=loss,
            unexplained=float((made - rows).square().sum() / variance),
            l0=float((output.feature_acts.to_dense() != 0).float().sum(-1).mean()),
            dead=int(self.trainer.dead_neurons.sum()),
        )

    def keep(self, folder: Path) -> None:
        """Writes a checkpoint, and removes those before it."""
        part, whole = folder / PART, folder / f"{STEP}{self.step:09d}"
        shutil.rmtree(part, ignore_errors=True)
        with writing(whole):
            part.mkdir()
            self.trainer.sae.save_model(part)
            self.trainer.save_trainer_state(part)
            part.rename(whole)
        for old in folder.glob(f"{STEP}*"):
            if old != whole:
                shutil.rmtree(old)

    def resume(self, folder: Path) -> None:
        """Goes on from the last checkpoint, where there is one."""
        there = sorted(folder.glob(f"{STEP}*"))
        if there:
            self.trainer.sae.load_weights_from_checkpoint(there[-1])
            self.trainer.load_trainer_state(there[-1])
            self.data = self._data(self.step)


@contextmanager
def _alone(folder: Path, out: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(f"another process trains into {out}: wait for it, or choose another folder") from None
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _check_begun(folder: Path, recipe: Recipe, seen: Survey) -> None:
    """FileExistsError where the folder has a run that was begun by another recipe, or on other rows."""
    own = {**recipe.said(), "rows": seen.sha256}
    if (folder / BEGUN).is_file():
        begun = json.loads((folder / BEGUN).read_text(encoding="utf-8"))
        other = [name for name in own if begun.get(name) != own[name]]
        if other:
            raise FileExistsError(
                f"{folder} has a run that was begun with another {' and another '.join(other)}: finish that one, or "
                "remove the folder"
            )
        return
    part = folder / (BEGUN + PART)
    if folder.exists() and set(folder.iterdir()) - {part}:
        raise FileExistsError(f"{folder} is in the way and has no run to go on with: remove it, or choose another name")
    folder.mkdir(exist_ok=True)
    part.write_text(json.dumps(own), encoding="utf-8")
    part.rename(folder / BEGUN)


def _check_alive(now: Progress, recipe: Recipe) -> None:
    if now.dead == recipe.features:
        raise DeadDictionary(
            f"all {recipe.features} features are dead at step {now.step} of {now.steps}: none was active for "
            f"{recipe.window} steps; train with a lower l1 or rate, or a larger k"
        )
