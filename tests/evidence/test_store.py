"""The store's lock: who comes second waits and then reads; nobody waits for a process that is gone, or for ever."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mechlib.evidence import Store
from mechlib.evidence import store as subject

QUESTION: Any = SimpleNamespace(key="0123456789abcdef" * 4, name="toy.scores(mini-0)")
HOLD = """
import sys, time
from pathlib import Path
from mechlib.evidence import Store
from tests.evidence.test_store import QUESTION
with Store(Path(sys.argv[1])).lock(QUESTION):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[float], subprocess.Popen]]:
    """Starts a process that holds the lock for some seconds."""
    started = []

    def hold(seconds: float) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), str(seconds)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_process_says_that_it_waits_for_the_first(tmp_path, holder):
    holder(0.6)
    told: list[str] = []
    started = time.monotonic()
    with Store(tmp_path, say=told.append).lock(QUESTION):
        waited = time.monotonic() - started
    assert told == ["waiting for another process, which is measuring toy.scores(mini-0)"]
    assert waited > 0.3


def test_waiting_ends(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(subject, "PATIENCE", 0.2)
    holder(60)
    started = time.monotonic()
    with Store(tmp_path, say=lambda line: None).lock(QUESTION):
        assert time.monotonic() - started < 5


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path, holder):
    process = holder(60)
    process.kill()
    process.wait()
    told: list[str] = []
    with Store(tmp_path, say=told.append).lock(QUESTION):
        assert not told


def test_a_folder_that_cannot_be_written_to_needs_no_lock(tmp_path):
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    with Store(tmp_path).lock(QUESTION):
        pass


def test_a_sample_is_a_quarter_of_the_keys_and_another_one_for_another_draw(tmp_path):
    keys = [f"{n:064x}" for n in range(2000)]

    def drawn(draw: str) -> set[str]:
        store = Store(tmp_path, mode="fresh", sample=4, draw=draw)
        assert all(store.again(key) for key in keys)  # what no twin is asked
        return {key for key in keys if store.again(key, controls=True)}

    first, second = drawn("one commit"), drawn("another")
    assert first == drawn("one commit")
    assert all(420 <= len(found) <= 580 for found in (first, second))  # 500, and four standard deviations
    assert 75 <= len(first & second) <= 175  # a sixteenth: the two draws know nothing of each other


def test_without_a_sample_and_where_all_is_replaced_every_key_is_measured(tmp_path):
    keys = [f"{n:064x}" for n in range(200)]
    for store in (Store(tmp_path, mode="fresh"), Store(tmp_path, mode="replace", sample=4)):
        assert all(store.again(key, controls=True) for key in keys)
