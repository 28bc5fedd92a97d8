"""The usual metrics of a dictionary, each as a share of what could be, so that dictionaries stand side by side.

None of them says that a feature was found: that is why frozen twins stand beside.
Source: Korznikov et al. 2026, "Sanity Checks for Sparse Autoencoders", arXiv:2602.14111.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int

from mechlib.lab.batching import batches
from mechlib.lab.features.comparing.baselines import activations_on
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.evaluation import dictionary_scores_on_prompts
from mechlib.lab.models.loading import Model
from mechlib.lab.models.tokens import bos_ids
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

METRICS = ("sparse", "explained", "cross-entropy", "KL", "alive", "pure")
STRONGEST, LEAST = 10, 20  # tokens that a feature is told by, and on which it is active at the least to be told
AHEAD = "ahead"  # the column of what the first dictionary has more than the best of the others


def usual_metrics(model: Model, dictionaries: Mapping[str, Dictionary], prompts: PromptSet) -> Measurement:
    """The usual metrics of several dictionaries of one activation, a row a metric, a column a dictionary.

    "sparse"         the share of features that are not active on a token
    "explained"      the share of the variance about the mean
    "cross-entropy"  the share recovered, against the mean in the activation's place
    "KL"             1 less the KL divergence, as a share of what that mean costs
    "alive"          the share of features that were active on some of the rows that it was trained on, by its card
    "pure"           a proxy of how readable features are: of the ten tokens on which a feature is strongest, the share
                     of the commonest word; the mean over features that are active on twenty tokens or more

    The column "ahead" has the first dictionary less the best of the others. Raises ValueError for fewer than two
    dictionaries, and what `dictionary_scores` does.
    """
    if len(dictionaries) < 2:
        raise ValueError(f"{len(dictionaries)} dictionary: to be ahead takes at least two")
    words = np.concatenate(words_of(model, prompts))
    columns = {name: _metrics(model, one, prompts, words) for name, one in dictionaries.items()}
    values = np.array(list(columns.values())).T
    ahead = values[:, 0] - values[:, 1:].max(axis=1)
    return Measurement(
        np.column_stack([values, ahead]), METRICS, "metric", (*columns, AHEAD), of="a share, of which the whole is 1"
    )


def _metrics(
    model: Model, dictionary: Dictionary, prompts: PromptSet, words: Int[np.ndarray, " tokens"]
) -> tuple[float, ...]:
    scores = dictionary_scores_on_prompts(model, dictionary, prompts)
    mean = dict(zip(scores.columns, scores.values.mean(axis=0), strict=True))
    with torch.no_grad():
        active = dictionary.active(torch.from_numpy(activations_on(model, prompts, dictionary.hook))).numpy()
    return (
        1 - mean["L0"] / dictionary.features,
        1 - mean["squared error"] / mean["squared deviation"],
        mean["recovered"] / mean["to recover"],
        1 - mean["KL"] / mean["to recover"],
        1 - dictionary.card.get("dead", 0) / dictionary.features,
        purity(active, words),
    )


def words_of(model: Model, prompts: PromptSet) -> tuple[Int[np.ndarray, " tokens"], ...]:
    """The token ids of each clean text, BOS left out."""
    first = len(bos_ids(model))
    found: dict[int, np.ndarray] = {}
    for batch in batches(model, prompts, alone=True):
        found |= dict(zip(batch.rows, batch.tokens[:, first:].cpu().numpy(), strict=True))
    return tuple(found[row] for row in range(len(prompts)))


def purity(active: Float[np.ndarray, "tokens features"], words: Int[np.ndarray, " tokens"]) -> float:
    """Of the ten tokens on which a feature is strongest the share of the commonest word, averaged over features that
    are active on twenty or more; 0 where there is none."""
    shares = []
    for column in active.T[(active != 0).sum(axis=0) >= LEAST]:
        strongest = words[np.argsort(-column, kind="stable")[:STRONGEST]]
        shares.append(np.unique(strongest, return_counts=True)[1].max() / STRONGEST)
    return float(np.mean(shares)) if shares else 0.0
