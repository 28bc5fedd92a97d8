"""A claim says that something is there where a network that does nothing would fail it."""

import numpy as np
import pytest

from mechlib.measurement import Measurement
from mechlib.statistics import correlation, difference, exact, mean, proportion, ratio
from mechlib.statistics.families import every, some
from mechlib.verdicts.presence import claims_presence

CLAIMS = {  # bounds -> whether they are of presence
    ((">=", 0.4),): True,
    ((">", 0.4),): True,
    ((">", 0.0),): True,
    (("<=", -3.0),): True,
    (("<", 0.0),): True,
    ((">=", 0.35), ("<=", 0.45)): True,
    (("<", -0.1), (">", -0.5)): True,
    ((">", 0.0), ("<=", 0.05)): True,
    ((">=", 0.0),): False,
    ((">=", -0.1),): False,
    (("<=", 0.05),): False,
    (("<", 0.1),): False,
    (("<=", 0.0),): False,
    ((">=", -0.05), ("<=", 0.05)): False,
    ((">=", 0.0), ("<=", 1.0)): False,
}


@pytest.mark.parametrize(("bounds", "presence"), CLAIMS.items(), ids=str)
def test_presence_is_what_zero_would_fail(bounds, presence):
    assert claims_presence(bounds) is presence


def zeros(columns: int = 1, yes_no: bool = False) -> Measurement:
    """What a network that does nothing gives."""
    names = ("value",) if columns == 1 else tuple(f"{column}.0" for column in range(columns))
    return Measurement(np.zeros((60, columns)), tuple(f"p{row}" for row in range(60)), columns=names, yes_no=yes_no)


def ones() -> Measurement:
    return Measurement(np.ones(60), tuple(f"p{row}" for row in range(60)))


NOTHING = {
    "mean": lambda: mean(zeros()),
    "proportion": lambda: proportion(zeros(yes_no=True)),
    "ratio": lambda: ratio(zeros(), ones()),
    "difference": lambda: difference(ones(), ones()),
    "count": lambda: exact(0),
    "every": lambda: every(mean(zeros(3))),
    "some": lambda: some(mean(zeros(3))),
}


@pytest.mark.parametrize("estimate", NOTHING.values(), ids=NOTHING)
@pytest.mark.parametrize(("bounds", "presence"), CLAIMS.items(), ids=str)
def test_of_every_kind_of_estimate_nothing_is_never_supported_as_a_presence(estimate, bounds, presence):
    """The rule looks at bounds only: it holds where each estimate of nothing is zero."""
    verdict = estimate().held_against(bounds)
    assert not (presence and verdict.word == "SUPPORTED"), verdict
    if not presence and not verdict.estimate.trials and 0.0 not in [bound for _, bound in bounds]:
        assert verdict.word == "SUPPORTED", verdict


def test_of_unrelated_values_the_correlation_is_around_zero():
    drawn = np.random.default_rng(0).normal(size=(2, 4000))
    first, second = (Measurement(row, tuple(f"p{n}" for n in range(4000))) for row in drawn)
    assert correlation(first, second).held_against(((">=", -0.1), ("<=", 0.1))).word == "SUPPORTED"
