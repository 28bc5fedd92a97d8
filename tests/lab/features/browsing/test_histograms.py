"""Values that come in parts are counted as all of them at once, however the largest grows."""

import numpy as np
import pytest
import torch

from mechlib.lab.features.browsing.histograms import BINS, Histograms


@pytest.mark.parametrize("seed", range(4))
def test_parts_are_counted_as_all_at_once(seed):
    draws = np.random.default_rng(seed)
    features = draws.integers(0, 3, 500)
    values = np.exp(draws.normal(0, 3, 500)).astype(np.float32)
    values[:3] = 1.0  # a power of two itself
    found = Histograms(4)
    for part in np.array_split(np.arange(500), 23):
        found.add(torch.from_numpy(features[part]), torch.from_numpy(values[part]))
    for feature in range(3):
        own = values[features == feature].astype(float)
        end = 2.0 ** (np.floor(np.log2(own.max())) + 1)
        width, counts = found.of(feature)
        assert width == end / BINS
        assert counts == np.histogram(own, np.arange(len(counts) + 1) * width)[0].tolist()
        assert sum(counts) == len(own)
    assert found.of(3) == (0.0, [])
