"""What a dictionary's features do over texts, seen in one pass: how often each fires, where most, on which tokens.

Memory holds one batch, a few windows a feature, and one count for each pair of a feature and a token that it fired on,
or before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.activation_cache.rows import TokenRows
from mechlib.lab.activation_cache.running import row_activations
from mechlib.lab.features.browsing.concepts import Concepts
from mechlib.lab.features.browsing.histograms import Histograms
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.models.loading import Model, checkpoint_of

TOGETHER = 2048  # tokens that run side by side
AROUND = 8  # tokens on each side of where a feature is most active
OUTSIDE = -1  # in a window's ids: no token stands there


class Activity:
    """What is known of features after the texts that were read so far.

    tokens    how many were read, BOS left out; `rows`, of how many texts
    fired     on how many of them each feature is active: [features]
    total     the sum of each feature's activity: float64, [features]
    shapes    how often each feature was how active, by size
    windows   where each feature is most active
    on        how often each feature fired on each token; `next`: before each token
    concepts  how often each feature fired on tokens of each class, and before such
    """

    def __init__(
        self, features: int, d_vocab: int, windows: int, concepts: Mapping[str, Sequence[int]], around: int = AROUND
    ) -> None:
        self.tokens = self.rows = 0
        self.fired = torch.zeros(features, dtype=torch.long)
        self.total = torch.zeros(features, dtype=torch.float64)
        self.shapes = Histograms(features)
        self.windows = Windows(features, windows, around)
        self.on, self.next = Pairs(d_vocab), Pairs(d_vocab)
        self.seen = torch.zeros(d_vocab, dtype=torch.long)
        self.concepts = Concepts(features, d_vocab, concepts)

    def add(
        self,
        active: Float[Tensor, "batch pos features"],
        ids: Int[Tensor, "batch pos"],
        read: Bool[Tensor, "batch pos"],
    ) -> None:
        """Takes in texts that ran together: `read` is where a token of the text stands, neither BOS nor filling."""
        active = active * read.unsqueeze(-1)
        fired = active != 0
        self.fired += fired.sum((0, 1))
        self.total += active.sum((0, 1), dtype=torch.float64)
        text, at, feature = fired.nonzero(as_tuple=True)
        self.shapes.add(feature, active[text, at, feature].abs())
        self.on.add(feature, ids[text, at])
        followed = torch.cat([ids[:, 1:].where(read[:, 1:], OUTSIDE), torch.full_like(ids[:, :1], OUTSIDE)], dim=1)
        after = followed[text, at]
        self.next.add(feature[after != OUTSIDE], after[after != OUTSIDE])
        self.seen += torch.bincount(ids[read], minlength=len(self.seen))
        self.concepts.add(fired, ids, read)
        self.windows.add(active, ids.where(read, OUTSIDE), self.rows)
        self.tokens, self.rows = self.tokens + int(read.sum()), self.rows + len(ids)


def activity_over(
    model: Model,
    dictionary: Dictionary,
    rows: TokenRows,
    windows: int,
    concepts: Mapping[str, Sequence[int]],
    tokens: int | None = None,
) -> Activity:
    """One pass over rows of tokens, until there are no more, or until so many tokens were read.

    Raises ValueError for NaN and infinity, naming the hook, and for rows without an end where no number is said.
    """
    if rows.lengths is None and tokens is None:
        raise ValueError("the model's own texts have no end: say how many tokens to read")
    found = Activity(dictionary.features, model.cfg.d_vocab, windows, concepts)
    step, start, idle = max(1, TOGETHER // rows.length), 0, 0
    while tokens is None or found.tokens < tokens:
        several = rows.read(start, start + step)
        if not several or idle > 1000:
            break
        before, start = found.tokens, start + len(several)
        for together, kept in row_activations(model, several, (dictionary.hook,)):
            activation = kept[dictionary.hook]
            if not bool(activation.isfinite().all()):
                raise ValueError(
                    f"{dictionary.hook} of {checkpoint_of(model).name} is NaN or infinite: look for damaged weights"
                )
            with torch.no_grad():
                active = dictionary.active(activation.to(dictionary.directions.device)).cpu().float()
            ids, read = _as_tensors(together, activation.shape[1], rows.lead)
            found.add(active, ids, read)
        idle = idle + 1 if found.tokens == before else 0
    if not found.tokens:
        raise ValueError("the texts have no token behind BOS: give longer ones")
    return found


def _as_tensors(
    rows: Sequence[Sequence[int]], length: int, lead: int
) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    ids, read = torch.zeros(len(rows), length, dtype=torch.long), torch.zeros(len(rows), length, dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        read[number, lead : len(row)] = True
    return ids, read


class Windows:
    """The texts in which each feature is most active, each once, at its most active token: the first of several alike.

    values  how active it is there, the largest first, 0 where there are fewer texts: [windows features]
    ids     the tokens around it, `OUTSIDE` where there is none: [windows features 2*around+1]
    active  how active the feature is on each of these
    places  the number of the text, and the position in it, BOS counted: [windows features 2]
    """

    def __init__(self, features: int, windows: int, around: int) -> None:
        self.around, span = around, 2 * around + 1
        self.values = torch.zeros(windows, features)
        self.ids = torch.full((windows, features, span), OUTSIDE)
        self.active = torch.zeros(windows, features, span)
        self.places = torch.zeros(windows, features, 2, dtype=torch.long)

    def add(self, active: Float[Tensor, "batch pos features"], ids: Int[Tensor, "batch pos"], first: int) -> None:
        """Takes in texts, the first of which has the number `first`."""
        kept, around = len(self.values), self.around
        at = active.argmax(1)  # of several alike the first
        values = active.gather(1, at.unsqueeze(1)).squeeze(1)
        order = torch.cat([self.values, values]).sort(dim=0, descending=True, stable=True).indices[:kept]
        slot, feature = (order >= kept).nonzero(as_tuple=True)  # where a new text comes in
        text = order[slot, feature] - kept
        place = at[text, feature]
        span = place.unsqueeze(1) + torch.arange(2 * around + 1)
        padded = torch.nn.functional.pad(active, (0, 0, around, around))
        padded_ids = torch.nn.functional.pad(ids, (around, around), value=OUTSIDE)
        old = order.clamp(max=kept - 1)
        self.values = torch.cat([self.values, values]).gather(0, order)
        self.ids, self.active, self.places = (
            own.gather(0, old.unsqueeze(-1).expand_as(own)) for own in (self.ids, self.active, self.places)
        )
        self.ids[slot, feature] = padded_ids[text.unsqueeze(1), span]
        self.active[slot, feature] = padded[text.unsqueeze(1), span, feature.unsqueeze(1)]
        self.places[slot, feature] = torch.stack([text + first, place], dim=1)


class Pairs:
    """How often each feature fired on each token: counts of pairs that there are."""

    def __init__(self, d_vocab: int) -> None:
        self.d_vocab = d_vocab
        self.keys, self.counts = np.empty(0, np.int64), np.empty(0, np.int64)

    def add(self, features: Int[Tensor, " fired"], ids: Int[Tensor, " fired"]) -> None:
        """Counts pairs."""
        keys, counts = np.unique((features * self.d_vocab + ids).numpy(), return_counts=True)
        every, places = np.unique(np.concatenate([self.keys, keys]), return_inverse=True)
        both = np.concatenate([self.counts, counts])
        self.keys, self.counts = every, np.bincount(places, both, len(every)).astype(np.int64)

    def of(self, feature: int) -> list[tuple[int, int]]:
        """The tokens that a feature fired on, and how often, the most frequent first; of equals the smaller id."""
        low, high = np.searchsorted(self.keys, [feature * self.d_vocab, (feature + 1) * self.d_vocab])
        ids, counts = self.keys[low:high] - feature * self.d_vocab, self.counts[low:high]
        return [(int(ids[place]), int(counts[place])) for place in np.lexsort([ids, -counts])]
