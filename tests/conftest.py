"""Warnings are errors here: what a library announces today breaks an instrument tomorrow.

Shapes are checked (`make test` asks for it) in the first case of each test for each family of models: checking takes as
long as the tests do, and further cases call the same functions. MECHLIB_CHECK_SHAPES=all checks them in every case.
"""

import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.helpers.house import house as house  # a fixture
from tests.helpers.judged import whole_record as whole_record  # a fixture

# Third-party warnings that are none of our doing, each with its reason. The rest is an error.
TOLERATED = ()
FAMILIES = {"gpt2", "neox", "llama", "qwen2"}
FURTHER = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    seen: set[tuple[object, ...]] = set()
    for item in items:
        if item.path.is_relative_to(here):
            # First, so that a test's own filterwarnings marks have the last word.
            for rule in (*reversed(TOLERATED), "error"):
                item.add_marker(pytest.mark.filterwarnings(rule), append=False)
        function, _, case = item.name.partition("[")
        kind = (item.path, function, *sorted(FAMILIES & set(re.split(r"\W", case))))
        item.stash[FURTHER] = kind in seen
        seen.add(kind)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if os.environ.get("MECHLIB_CHECK_SHAPES", "all") != "all":
        from jaxtyping import config

        config.update("jaxtyping_disable", item.stash.get(FURTHER, False))
    return (yield)
