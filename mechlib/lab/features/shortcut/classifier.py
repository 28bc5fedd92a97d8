"""A classifier of two professions from activations that are averaged over a biography's tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from mechlib.lab.features.shortcut.biographies import Biographies

STEPS = 10_000  # of the solver: far more than it takes


@dataclass(frozen=True, eq=False)
class Classifier:
    """Log-odds of the second of two professions, linear in the mean activation: `pooled @ weights + bias`."""

    professions: tuple[str, str]
    weights: Float[Tensor, " width"]
    bias: float

    def log_odds(self, pooled: Float[Tensor, "texts width"]) -> Float[Tensor, " texts"]:
        """Of the second profession, by text."""
        return pooled.double() @ self.weights + self.bias

    def right(self, pooled: Float[Tensor, "texts width"], read: Biographies) -> Bool[Tensor, " texts"]:
        """Whether the likelier profession is the text's own, for mean activations of these texts."""
        return (self.log_odds(pooled) > 0) == read.where("profession", self.professions[1])


def fitted(read: Biographies, penalty: float = 1.0) -> Classifier:
    """Logistic regression on standardised mean activations.

    penalty  on half the squared weights, where the loss is summed over texts: 1 is scikit-learn's default

    The weights are of the activations themselves, the scale included. Raises ValueError unless the texts are of two
    professions.
    """
    known = tuple(sorted(set(read.label("profession"))))
    if len(known) != 2:
        raise ValueError(
            f"{read.prompts!r} is of {len(known)} professions ({', '.join(known)}): a classifier is fitted on two, as "
            "people(pair=...) draws them"
        )
    scaler = StandardScaler().fit(pooled := read.pooled().double().numpy())
    model = LogisticRegression(C=1 / penalty, max_iter=STEPS).fit(scaler.transform(pooled), read.label("profession"))
    weights = torch.from_numpy(model.coef_[0] / scaler.scale_)
    bias = float(model.intercept_[0]) - float(torch.from_numpy(scaler.mean_) @ weights)
    return Classifier((known[0], known[1]), weights, bias)
