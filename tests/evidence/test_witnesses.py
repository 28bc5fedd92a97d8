"""Files that come out again under other instruments bear out that the change moved nothing: how many, and of whom."""

from __future__ import annotations

import pytest

from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence import stamp as subject
from mechlib.evidence.stamp import ENOUGH, file_stamp, name_of, pool_of, unsettled, witness
from mechlib.evidence.store import Store
from mechlib.verdicts.lines import append
from tests.evidence.test_decorator import NOISY, asked
from tests.helpers import toys

root = toys.root

WAS = {"lab.load": "a", "lab.sweep": "a", "torch": "2.13.0"}
NOW = {"lab.load": "b", "lab.sweep": "b", "torch": "2.13.0"}


@pytest.fixture
def folder(tmp_path):
    """A folder of evidence in which the former stamp is filed."""
    found = tmp_path / "evidence"
    file_stamp(found, WAS)
    return found


def bear_out(folder, n, pool="shipped", was=WAS, now=NOW, start=0):
    file_stamp(folder, was)
    for number in range(start, start + n):
        witness(folder, pool, f"ioi/file{number}.jsonl", name_of(was), now)


def left(folder, pool="shipped", was=WAS, now=NOW):
    return unsettled(folder, pool, name_of(was), now)


def test_a_change_is_settled_by_enough_files_and_by_one_fewer_it_is_not(folder):
    assert left(folder) == ("lab.load", "lab.sweep")
    bear_out(folder, ENOUGH - 1)
    assert left(folder) == ("lab.load", "lab.sweep")
    bear_out(folder, 1, start=ENOUGH)
    assert left(folder) == ()


def test_one_file_measured_again_and_again_is_one_witness(folder):
    for _ in range(ENOUGH):
        bear_out(folder, 1)
    assert left(folder) == ("lab.load", "lab.sweep")


def test_each_instrument_needs_its_own_and_each_change_of_it(folder):
    of_load = {**WAS, "lab.load": "b"}
    bear_out(folder, ENOUGH, now=of_load)
    assert left(folder, now=of_load) == () and left(folder) == ("lab.sweep",)
    assert left(folder, now={**WAS, "lab.load": "c"}) == ("lab.load",)
    assert left(folder, now={**WAS, "torch": "2.14.0"}) == ("torch",)


def test_what_ships_says_nothing_of_a_model_that_is_fetched(folder):
    bear_out(folder, ENOUGH)
    assert left(folder, "gemma3-270m") == ("lab.load", "lab.sweep")
    bear_out(folder, ENOUGH, "gemma3-270m")
    assert left(folder, "gemma3-270m") == () and left(folder, "smollm2-135m") == ("lab.load", "lab.sweep")
    assert pool_of([checkpoint(name) for name in ("mini-0", "mini-1@permuted")]) == pool_of([]) == "shipped"
    assert pool_of([checkpoint("smollm2-135m@untrained")]) == "smollm2-135m"


def test_what_is_settled_is_noted_no_further(folder):
    bear_out(folder, ENOUGH + 5)
    lines = (folder.parent / subject.WITNESSES).read_text().splitlines()
    assert len(lines) == ENOUGH


@pytest.mark.parametrize("line", ['{"models": "shipped", "file"', "[]", '{"models": "shipped"}', "", '{"changed": 3}'])
def test_a_line_that_was_torn_bears_nothing_out_and_hides_none(folder, line):
    bear_out(folder, ENOUGH // 2)
    with (folder.parent / subject.WITNESSES).open("a") as file:
        file.write(f"{line}\n")
    bear_out(folder, ENOUGH - ENOUGH // 2 - 1, start=ENOUGH)
    assert left(folder) == ("lab.load", "lab.sweep")
    append(folder.parent / subject.WITNESSES, '{"models": "shipped", "file": "x", "changed": {"lab.load": ["a", "b"]}}')
    assert left(folder) == ("lab.sweep",)


def test_under_a_stamp_that_is_missing_nothing_is_settled(folder):
    bear_out(folder, ENOUGH)
    (folder / "stamps" / f"{name_of(WAS)}.json").unlink()
    assert left(folder) == ("a stamp that is missing",)
    witness(folder, "shipped", "ioi/other.jsonl", name_of(WAS), NOW)
    assert len((folder.parent / subject.WITNESSES).read_text().splitlines()) == ENOUGH


def test_a_file_that_comes_out_again_settles_the_change_for_another_that_was_not_measured(root, monkeypatch):
    monkeypatch.setattr(subject, "ENOUGH", 1)
    asked(root, "mini-0", 3, text=NOISY)
    asked(root, "mini-0", 4, text=NOISY)
    monkeypatch.setattr("mechlib.evidence.lookup.instruments", lambda *_: {"mechlib.lab.models.loading": "other"})
    assert asked(root, "mini-0", 4, text=NOISY).flags == ("OLDER INSTRUMENTS",)
    asked(root, "mini-0", 3, text=NOISY, mode="fresh")
    now = asked(root, "mini-0", 4, text=NOISY)
    assert now.flags == now.older == () and not now.measured


def test_a_tenth_is_a_tenth_of_all_files_those_of_the_model_too(tmp_path):
    keys = [f"{n:064x}" for n in range(3000)]
    store = Store(tmp_path, mode="fresh", sample=0.1, draw="one commit")
    drawn = {key for key in keys if store.again(key)}
    assert 230 <= len(drawn) <= 370  # 300, and four standard deviations
    assert drawn == {key for key in keys if store.again(key, controls=True)}
    assert all(Store(tmp_path, mode="replace", sample=0.1).again(key) for key in keys)
