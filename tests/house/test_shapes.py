"""Where shapes are checked, a wrong one ends a test: in one case of each, or in all."""

from __future__ import annotations

import os

import pytest
import torch

from mechlib.lab.metrics import logit_diff
from tests.conftest import CHECKED

jaxtyping = pytest.importorskip("jaxtyping")
ASKED = os.environ.get("MECHLIB_CHECK_SHAPES", "")


@pytest.mark.skipif(not ASKED, reason="shapes are checked by `make test`, with MECHLIB_CHECK_SHAPES=1")
@pytest.mark.parametrize("case", range(5))
def test_a_wrong_shape_is_found_in_one_case_or_in_all(request, case):
    checked = ASKED == "all" or request.node.stash.get(CHECKED, False)
    three_answers_for_two_prompts = torch.zeros(3, dtype=torch.int64)
    # Without the check it is torch that finds it, where two sizes happen to meet.
    with pytest.raises(jaxtyping.TypeCheckError if checked else RuntimeError):
        logit_diff(torch.zeros(2, 3, 5), three_answers_for_two_prompts, three_answers_for_two_prompts)


def test_every_test_is_checked_in_exactly_one_of_its_cases(request):
    checked: dict[tuple[object, str], int] = {}
    for item in request.session.items:
        key = (item.path, item.name.partition("[")[0])
        checked[key] = checked.get(key, 0) + item.stash.get(CHECKED, False)
    assert set(checked.values()) == {1}
