"""A twin that an instrument cannot be asked of is silent: when it is measured, and ever after from its file."""

import os
import subprocess
import sys
from pathlib import Path

from mechlib.evidence.stamp import STAMPS
from mechlib.judging.commands.verify import orphans, read_records
from mechlib.report.content.evidence_files import EvidenceFiles
from tests.helpers.house import build, records
from tests.helpers.pages import written

NOTHING = "a measurement without units: nothing was measured"
CLAIM = '''
@evidence
def answered(model: str, level: float) -> Measurement:
    """Values around `level`; on a twin there is nothing."""
    import numpy as np
    n = 0 if "@" in model else 100
    return Measurement(level + np.linspace(-0.01, 0.01, n), units=tuple(f"u{i}" for i in range(n)))


@pytest.mark.parametrize("model", ["mini-0"])
def test_there_is_something(model):
    """A sentence.
    Source: made up for this test.
    """
    assert mean(answered(model, 0.8)) >= 0.5
'''


def run(root: Path, *options: str) -> dict:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    command = [sys.executable, "-m", "pytest", "-q", "--records", "records.jsonl", *options]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = records(root).values()
    return record


def test_a_refused_twin_is_silent_measured_and_frozen_alike_and_its_file_is_read_by_the_claim(tmp_path):
    root = build(tmp_path, CLAIM)
    measured, frozen = run(root), run(root, "--frozen")
    for record in (measured, frozen):
        assert (record["verdict"], record["twin"]) == ("SUPPORTED", "silent")
        assert [twin["word"] for twin in record["twins"]] == ["silent", "silent"]
        assert {twin["reason"] for twin in record["twins"]} == {NOTHING}
    assert measured["twin_evidence"] == frozen["twin_evidence"] and len(frozen["twin_evidence"]) == 2
    assert (measured["measured"], frozen["measured"]) == (3, 0)
    folder = root / "artifacts" / "evidence"
    assert (folder / STAMPS).is_dir()
    assert list(orphans(folder, read_records(root / "records.jsonl"))) == []


def test_the_report_reads_its_file_and_says_what_was_refused(tmp_path):
    root = build(tmp_path, CLAIM)
    run(root, "--report")
    (record,) = read_records(root / "records.jsonl")
    filed = EvidenceFiles(root / "artifacts" / "evidence")
    assert [one.twin for one in filed.of(record, twins=True)] == ["", "untrained", "permuted"]
    assert filed.problems == {}
    assert NOTHING in written(root / "artifacts" / "report")
