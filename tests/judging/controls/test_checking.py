"""What `mechlib verify` says of control files."""

from mechlib.evidence.sealed import write
from mechlib.judging.commands.verify import damaged, orphans
from mechlib.judging.controls.checking import unread_controls
from mechlib.judging.controls.files import ControlFile, ControlRow, control_path, encode
from mechlib.verdicts.record import Record

JUDGED = [Record("topic.test_it[mini-0]", "topic", "test_it", "It is so.", "mini-0")]


def put(folder, function="test_it", key="c" * 64, named="", rows=3):
    said = {"claim": f"topic.{function}", "case": {"model": "mini-0"}, "key": key, "stamps": {}, "parts": []}
    path = control_path(folder, "topic", function, "mini-0", named or key)
    write(path, encode(ControlFile(said, tuple(ControlRow(0, f"0.{n}", 9, 0.1) for n in range(rows)))))
    return path


def said(folder):
    return [*damaged(folder), *orphans(folder, JUDGED), *unread_controls(folder, JUDGED)]


def test_the_control_file_of_a_claim_that_stands_is_fine(tmp_path):
    folder = tmp_path / "artifacts" / "evidence"
    put(folder)
    assert said(folder) == []


def test_damage_a_wrong_name_and_too_much_are_named(tmp_path):
    folder = tmp_path / "artifacts" / "evidence"
    path = put(folder)
    path.write_bytes(path.read_bytes().replace(b'"0.1"', b'"0.2"'))
    (line,) = said(folder)
    assert "is damaged" in line
    path.unlink()
    path = put(folder, named="d" * 64)
    (line,) = said(folder)
    assert "named for another question" in line
    path.unlink()
    put(folder, rows=900)
    (line,) = said(folder)
    assert "a control file at most 10,000" in line


def test_one_of_a_claim_that_is_gone_and_two_of_one_case_are_named(tmp_path):
    folder = tmp_path / "artifacts" / "evidence"
    gone = put(folder, "test_gone")
    (line,) = said(folder)
    assert "topic.test_gone, which is claimed no longer" in line
    gone.unlink()
    put(folder)
    put(folder, key="d" * 64)
    (line,) = said(folder)
    assert "2 control files answer one case of topic.test_it" in line
