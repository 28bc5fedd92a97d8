"""Control files: what is read is what was filed, the same bytes for the same rows, never more than their room."""

import pytest

from mechlib.evidence.sealed import DamagedEvidence, write
from mechlib.judging.controls.files import LARGEST, ControlFile, ControlRow, control_path, encode, load, superseded

SAID = {"claim": "topic.test_it", "case": {"model": "mini-0"}, "key": "ab" * 32, "stamps": {"topic.effect": "1"}}


def file(sets=3, levels=2):
    strip = tuple((f"template {number}", 10, number / 7) for number in range(levels))
    rows = [ControlRow(0, f"0.{number}", 10 * levels, number / 3, strip) for number in range(sets)]
    return ControlFile({**SAID, "parts": [{"part": "1.1"}]}, (*rows, ControlRow(0, "9.9", why="silent: no total")))


def test_rows_are_read_as_they_were_filed(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, encode(file()))
    found = load(path)
    assert [row.other for row in found.of(0)] == ["0.0", "0.1", "0.2", "9.9"]
    assert [row.value for row in found.rows] == [0.0, 0.333333, 0.666667, None]
    assert found.rows[1].levels == (("template 0", 10, 0.0), ("template 1", 10, 0.1429))
    assert found.rows[-1].why == "silent: no total"
    assert not found.of(1)
    assert found.said["case"] == {"model": "mini-0"}


def test_what_is_read_is_filed_again_to_the_byte(tmp_path):
    path = tmp_path / "a.jsonl"
    data = encode(file())
    write(path, data)
    found = load(path)
    said = {name: value for name, value in found.said.items() if name not in ("schema", "levels", "counts", "sha256")}
    assert encode(ControlFile(said, found.rows)) == data


@pytest.mark.parametrize(("sets", "levels"), [(39, 16), (200, 16), (200, 40)])
def test_a_file_has_room_for_every_set(sets, levels, tmp_path):
    data = encode(file(sets, levels))
    assert len(data) <= LARGEST
    write(tmp_path / "a.jsonl", data)
    found = load(tmp_path / "a.jsonl")
    assert [row.value for row in found.rows[:sets]] == [float(f"{number / 3:.6g}") for number in range(sets)]
    assert bool(found.rows[0].levels) == (levels == 16)


def test_a_changed_byte_is_found(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, encode(file()).replace(b"0.333333", b"0.333334"))
    with pytest.raises(DamagedEvidence):
        load(path)


def test_an_earlier_version_of_the_same_case_is_superseded_and_no_other(tmp_path):
    def path(model, key):
        return control_path(tmp_path, "topic", "test_it", model, key)

    for case, key in (({"model": "mini-0"}, "a" * 8), ({"model": "mini-0", "how": "zero"}, "b" * 8)):
        write(path("mini-0", key), encode(ControlFile({**SAID, "case": case, "parts": []}, ())))
    new = path("mini-0", "c" * 8)
    assert list(superseded(new, SAID)) == [path("mini-0", "a" * 8)]
    assert list(superseded(path("mini-0", "a" * 8), SAID)) == []
