"""Warnings are errors here: what a library announces today breaks an instrument tomorrow."""

from pathlib import Path

import pytest

from tests.helpers.house import house as house  # a fixture

# Third-party warnings that are none of our doing, each with its reason. The rest is an error.
TOLERATED = ()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            # First, so that a test's own filterwarnings marks have the last word.
            for rule in (*reversed(TOLERATED), "error"):
                item.add_marker(pytest.mark.filterwarnings(rule), append=False)
