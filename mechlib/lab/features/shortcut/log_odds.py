"""Where a classifier's difference between women and men stands: in features, or in what they leave out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.shortcut.biographies import read_biographies, require_apart, require_groups
from mechlib.lab.features.shortcut.classifier import fitted
from mechlib.lab.features.shortcut.removal import pooled_features
from mechlib.lab.models.loading import Model
from mechlib.measurement import TOTAL, Measurement
from mechlib.prompts.promptset import PromptSet


def gender_in_log_odds(
    model: Model, layer: int, biased: PromptSet, test: PromptSet, dictionaries: Mapping[str, Dictionary]
) -> Measurement:
    """How far the log-odds of a test biography lean to the profession that its gender had in training, in nats.

    biased  what the classifier is fitted on, as in `professions_right`; log-odds are told from their mean over it
    test    a balanced draw of the same professions with other names

    Columns: "total", and for each dictionary, by its name, what comes of its features. What its reconstruction leaves
    out has the rest: the mean activation is linear in features and error, and log-odds are in the mean activation. The
    mean over a balanced draw is half the difference between women and men.

    Raises ValueError as `professions_right` does of these two sets.
    """
    fit, read = read_biographies(model, biased, layer), read_biographies(model, test, layer)
    classifier = fitted(fit)
    require_groups(read, classifier.professions)
    require_apart(fit, read, "training and test")
    first = fit.where("profession", classifier.professions[1])
    of_second = set(np.array(fit.label("gender"))[first.numpy()])
    sign = torch.tensor([1.0 if one in of_second else -1.0 for one in read.label("gender")]).double()

    def lean(own: torch.Tensor, trained: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return sign * ((own - trained.mean(0)).double() @ weights)

    columns = {TOTAL: lean(read.pooled(), fit.pooled(), classifier.weights)}
    for name, one in dictionaries.items():
        through = one.directions.double() @ classifier.weights
        columns[name] = lean(pooled_features(one, read), pooled_features(one, fit), through)
    return Measurement(
        values=torch.stack(list(columns.values()), dim=1).numpy(),
        units=tuple(row.fingerprint for row in test),
        order=tuple(row.sort_key for row in test),
        unit=test.unit,
        columns=tuple(columns),
        clusters=tuple(row.cluster for row in test),
        strata=tuple(row.label("group") for row in test),
        of="log-odds towards the profession of the own gender, in nats",
    )
