"""Random directions: as long as the given one, evenly spread, the same again."""

import pytest
import torch

from mechlib.lab.interventions.directions import random_direction


def test_a_random_direction_is_as_long_as_the_given_one():
    like = (
        torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(1))
        * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    )
    assert torch.allclose(random_direction(like).norm(dim=-1), like.norm(dim=-1), rtol=1e-5)


def test_it_does_not_depend_on_the_direction_that_is_given():
    like = torch.zeros(400, 128)
    like[:, 0] = 2.0
    found = random_direction(like) / 2
    assert abs(float(found[:, 0].mean())) < 0.02
    assert float((found[:, 0] ** 2).mean()) == pytest.approx(1 / 128, rel=0.25)
    assert float((found @ found.T).fill_diagonal_(0).abs().mean()) == pytest.approx(
        (2 / 128 / torch.pi) ** 0.5, rel=0.05
    )


def test_it_is_the_same_again_and_another_by_another_seed():
    like = torch.ones(2, 16)
    assert torch.equal(random_direction(like), random_direction(like))
    assert not torch.allclose(random_direction(like), random_direction(like, seed=1))


def test_nothing_stays_nothing():
    assert torch.equal(random_direction(torch.zeros(2, 8)), torch.zeros(2, 8))
