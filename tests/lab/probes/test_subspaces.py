"""Subspaces: those of class means, random ones, and angles, against scikit-learn and scipy."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from mechlib.lab.batching import batches
from mechlib.lab.models.loading import load
from mechlib.lab.probes.streams import streams
from mechlib.lab.probes.subspaces import (
    Subspace,
    class_mean_subspaces,
    principal_cosines,
    random_subspaces,
    spanned,
    whole_spaces,
)
from tests.helpers.tiny import directory, pairs
from tests.lab.probes.planted import KNOWN, WIDTH, network, said

PROMPTS = said(60, "discovery")


@pytest.fixture(scope="module")
def planted():
    return network()


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("subspaces") / "one", "gpt2")))


def random_one(width: int, k: int, seed: int = 0) -> Subspace:
    drawn = torch.randn(width, k, generator=torch.Generator().manual_seed(seed))
    return Subspace(0, "end", torch.linalg.qr(drawn)[0])


def test_class_means_lead_to_the_principal_components_of_the_means(gpt2):
    prompts = pairs(40)
    found = class_mean_subspaces(gpt2, prompts, "length", 3)
    read = streams(gpt2, batches(gpt2, prompts))
    lengths = np.array([one.label("length") for one in prompts])
    for name, one in found.items():
        means = [read[name][lengths == length].mean(0) for length in sorted(set(lengths))]
        wanted = PCA(3).fit(np.stack(means)).components_
        np.testing.assert_allclose(np.abs(wanted @ one.basis.numpy()), np.eye(3), atol=1e-3)
        np.testing.assert_allclose(one.centre, read[name].mean(0), atol=1e-5)
        assert one.chosen_on == prompts.members


def test_planted_coordinates_are_those_of_the_class_means(planted):
    """Up to what other words say by chance on so few texts."""
    for name, known in KNOWN.items():
        (found,) = class_mean_subspaces(planted, PROMPTS, "value", 2, known.at, name).values()
        assert principal_cosines(found, known).min() > 0.97


@pytest.mark.parametrize("k", [0, 3])
def test_more_dimensions_than_the_means_span_are_refused(planted, k):
    with pytest.raises(ValueError, match=f"{k} dimensions of the means of 3 classes of 'value', which span 2"):
        class_mean_subspaces(planted, PROMPTS, "value", k, layers="after layer 0")


def test_means_that_do_not_differ_are_refused(planted):
    with pytest.raises(ValueError, match="1 dimensions of the means of 3 classes of 'value', which span 0"):
        class_mean_subspaces(planted, PROMPTS, "value", 1, layers="embeddings")


def test_cosines_are_those_of_scipys_angles():
    for k, other in [(1, 1), (3, 5), (5, 3)]:
        one, two = random_one(WIDTH, k), random_one(WIDTH, other, 1)
        wanted = np.sort(np.cos(subspace_angles(one.basis.double().numpy(), two.basis.double().numpy())))[::-1]
        np.testing.assert_allclose(principal_cosines(one, two), wanted, atol=1e-6)
    assert principal_cosines(one, one).min() == pytest.approx(1, abs=1e-6)


def test_a_part_is_the_orthogonal_projection_and_all_of_it_is_the_row_itself():
    one, x = random_one(8, 3), torch.randn(5, 8)
    part = one.part(x)
    assert torch.allclose(one.part(part), part, atol=1e-6)
    assert torch.allclose((x - part) @ one.basis, torch.zeros(5, 3), atol=1e-6)
    assert torch.equal(random_one(8, 8).part(x), x)
    assert not random_one(8, 3).basis[:, :0].numel() and not Subspace(0, "end", one.basis[:, :0]).part(x).any()


def test_a_basis_that_is_not_orthonormal_is_refused():
    with pytest.raises(ValueError, match="a basis off orthonormal by 3: give orthonormal columns"):
        Subspace(0, "end", 2 * torch.eye(4)[:, :2])
    with pytest.raises(ValueError, match="off orthonormal by nan"):
        Subspace(0, "end", torch.full((4, 2), float("nan")))


def test_random_subspaces_are_spread_evenly_and_are_the_same_again():
    like = {f"{n}": random_one(WIDTH, 4, n) for n in range(300)}
    found = random_subspaces(like)
    again, other = random_subspaces(like), random_subspaces(like, seed=1)
    assert all(torch.equal(found[name].basis, again[name].basis) for name in like)
    assert not any(torch.allclose(found[name].basis, other[name].basis) for name in like)
    shares = [float((principal_cosines(found[name], one) ** 2).sum()) / 4 for name, one in like.items()]
    assert np.mean(shares) == pytest.approx(4 / WIDTH, abs=0.02)


def test_a_random_subspace_lies_in_the_span_of_the_activations(gpt2):
    prompts = pairs(6, longest=6)
    found = class_mean_subspaces(gpt2, prompts, "length", 1) if len({r.label("length") for r in prompts}) > 1 else {}
    made = batches(gpt2, prompts)
    span = spanned(gpt2, streams(gpt2, made)["after layer 1"])
    assert span.shape == (32, len(prompts) - 1), "six prompts about their mean span five dimensions"
    one = Subspace(2, "end", span[:, :2], span=span)
    (drawn,) = random_subspaces({"it": one}).values()
    assert torch.allclose(span @ (span.T @ drawn.basis), drawn.basis, atol=1e-5)
    assert all(
        torch.equal(own.span, random_subspaces(found)[name].span) for name, own in found.items() if own.span is not None
    )


def test_whole_spaces_have_every_dimension_at_every_depth(gpt2):
    found = whole_spaces(gpt2, "w3", ("embeddings", "after layer 1"))
    assert {name: (one.depth, one.at, one.k) for name, one in found.items()} == {
        "embeddings": (0, "w3", 32),
        "after layer 1": (2, "w3", 32),
    }
