"""Warnings are errors here: what a library announces today breaks an instrument tomorrow.

Shapes are checked, where `make test` asks for it, in one case of each test: checking takes as long as the tests do, and
other cases call the same functions. Which case it is follows from the test's name, so that all families of models have
their share. MECHLIB_CHECK_SHAPES=all checks them in every case.
"""

import os
import zlib
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.helpers.committed import committed as committed  # a fixture
from tests.helpers.house import house as house  # a fixture
from tests.helpers.judged import whole_record as whole_record  # a fixture

# Third-party warnings that are none of our doing, each with its reason. The rest is an error.
TOLERATED = ()
CHECKED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    cases: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        if item.path.is_relative_to(here):
            # First, so that a test's own filterwarnings marks have the last word.
            for rule in (*reversed(TOLERATED), "error"):
                item.add_marker(pytest.mark.filterwarnings(rule), append=False)
        cases.setdefault((item.path, item.name.partition("[")[0]), []).append(item)
    for (_, name), own in cases.items():
        own[zlib.crc32(name.encode()) % len(own)].stash[CHECKED] = True


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a log, where nobody says how wide lines may be: workers of xdist say that it is 80."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if os.environ.get("MECHLIB_CHECK_SHAPES", "all") != "all":
        from jaxtyping import config

        config.update("jaxtyping_disable", not item.stash.get(CHECKED, False))
    return (yield)
