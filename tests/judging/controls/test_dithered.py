"""A primary published sentence is asked again of its quantised model with noise of the file's rounding; it decides
nothing, and is filed, judged and shown beside the claim."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest

from mechlib.evidence import Store, using
from mechlib.judging.claim import Claim
from mechlib.judging.commands.planning import Planner
from mechlib.judging.commands.verify import orphans
from mechlib.judging.judge import judge
from mechlib.verdicts.record import NOT_MEASURED, Record
from mechlib.verdicts.register import Register
from tests.helpers.house import build

MODEL = "smollm2-135m"
CLAIMS = '''
import numpy as np
from mechlib import *
from mechlib.evidence import evidence
from mechlib.prompts import ioi


@evidence
def effects(model: str, prompts: PromptSet, level: float, noisy: float) -> Measurement:
    """Head 1.3 has the level, `noisy` with noise, 0 on twins; with noise discovery prompts would choose 1.5."""
    import numpy as np
    kind = model.partition("@")[2]
    if kind == "dithered" and noisy < 0:
        raise RuntimeError("out of memory")
    of = {"": level, "dithered": noisy}.get(kind, 0.0)
    strong = 5 if kind == "dithered" and prompts.split == "discovery" else 3
    rows = 0 if kind == "dithered" and noisy == 0 else len(prompts)
    values = np.linspace(-.01, .01, rows)[:, None] + np.zeros(8)
    values[:, strong] += of
    columns = [f"1.{head}" for head in range(8)]
    return Measurement(values, [row.fingerprint for row in prompts][:rows], columns=columns)


MARK
def test_it(model):
    """It is so.

    Source: made up for this test.
    """
    GATE
    (chosen,) = strongest(effects(model, ioi(80, split="discovery"), LEVEL, NOISY), 1)
    assert mean(effects(model, ioi(160), LEVEL, NOISY)[chosen]) >= 0.5
'''
PRIMARY = '@reported(0.5, "Nobody et al. 2024, section 1", primary=True)'
SECONDARY = '@reported(0.5, "Nobody et al. 2024, section 1")'
GATE = "requires(mean(effects(model, ioi(120), LEVEL, NOISY)['1.3']) >= 0.4)"


@pytest.fixture
def claim(tmp_path, monkeypatch):
    """Writes the claim, its levels and its marks, beside a model that is nothing but its files; the function."""
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    build(tmp_path, "", ("mini-0",))
    mini = tmp_path / "fixtures" / "mini-0"
    (mini / "config.json").write_text(json.dumps({"n_layer": 4, "n_head": 8}))
    shutil.copytree(mini, tmp_path / "cache" / "pretrained" / MODEL)

    def write(level=0.8, noisy=0.7, mark=PRIMARY, gate="pass"):
        file = tmp_path / "claims" / "test_topic.py"
        said = CLAIMS.replace("GATE", gate).replace("MARK", mark).replace("LEVEL", str(level))
        file.write_text(said.replace("NOISY", str(noisy)))
        spec = importlib.util.spec_from_file_location("test_topic", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return Claim(module.test_it)

    return write


@pytest.fixture
def judged(claim, tmp_path):
    """Judges the claim."""

    def run(level=0.8, noisy=0.7, mark=PRIMARY, gate="pass", model=MODEL, audit=False, **place) -> Record:
        identity = {"id": f"topic.test_it[{model}]", "topic": "topic", "function": "test_it"}
        with using(Store(tmp_path, say=lambda _: None, **place)):
            return judge(claim(level, noisy, mark, gate), {"model": model}, identity, audit)[0]

    return run


def filed(root, kind="dithered"):
    return sorted(path.name for path in (root / "artifacts" / "evidence").rglob(f"*{MODEL}-{kind}--*.jsonl"))


def test_it_is_asked_of_the_same_part_and_filed_with_what_the_twins_say(judged, tmp_path):
    record = judged()
    noisy = record.dithered
    assert (record.verdict, noisy.model, noisy.word) == ("SUPPORTED", f"{MODEL}@dithered", "SUPPORTED")
    assert noisy.comparison.estimate.value == pytest.approx(0.7), "of 1.3, which the model itself chose"
    (name,) = filed(tmp_path)  # on confirmation prompts alone
    assert any(path.endswith(name) for path in record.twin_evidence)
    assert list(orphans(tmp_path / "artifacts" / "evidence", [record])) == []
    assert Record.from_json(record.to_json()) == record


def test_it_is_judged_where_the_model_is_not(judged, tmp_path):
    judged()
    shutil.rmtree(tmp_path / "cache")
    record = judged(mode="frozen", controls=False)
    assert record.verdict == "SUPPORTED" and record.dithered.comparison.estimate.value == pytest.approx(0.7)
    assert record.measured == 0


@pytest.mark.parametrize(
    ("level", "noisy", "verdict", "word"), [(0.8, 0.3, "SUPPORTED", "REFUTED"), (0.3, 0.6, "REFUTED", "SUPPORTED")]
)
def test_it_decides_nothing(judged, level, noisy, verdict, word):
    record = judged(level, noisy)
    assert (record.verdict, record.dithered.word) == (verdict, word)
    without = judged(level, level)
    assert (record.ok, record.flags, record.controlled) == (without.ok, without.flags, without.controlled)


@pytest.mark.parametrize(
    "case",
    [
        {"mark": SECONDARY},
        {"mark": ""},
        {"model": "mini-0"},
        {"audit": True},
        {"level": 0.5},
        {"gate": GATE, "level": 0.3},
    ],
    ids=["secondary", "unpublished", "a mini", "an audit", "inconclusive", "gated"],
)
def test_nothing_else_is_asked(judged, case, tmp_path):
    record = judged(**case)
    assert record.dithered is None and filed(tmp_path) == []
    assert filed(tmp_path, "untrained") or case.get("model") or case.get("level"), "its twins were"


def test_without_controls_it_is_not_measured_and_said_how_to(judged, tmp_path):
    for place in ({"controls": False}, {"mode": "frozen"}, {"mode": "fresh", "controls": False}):
        if place.get("mode") == "frozen":
            judged(controls=False)
        record = judged(**place)
        assert (record.verdict, record.dithered.word) == ("SUPPORTED", NOT_MEASURED)
        assert record.dithered.reason == "nothing is filed: `pytest --controls -k test_it` measures it"
        assert filed(tmp_path) == []


def test_a_gate_that_noise_closes_is_said(judged):
    record = judged(0.8, 0.3, gate=GATE)
    assert (record.verdict, record.dithered.word) == ("SUPPORTED", "GATED")


def test_what_an_instrument_refuses_is_silent_and_filed(judged, tmp_path):
    for place in ({}, {"mode": "frozen"}):
        record = judged(noisy=0.0, **place)
        assert (record.verdict, record.dithered.word) == ("SUPPORTED", "silent")
        assert record.dithered.reason == "a measurement without units: nothing was measured"
    assert len(filed(tmp_path)) == 1


def test_what_breaks_is_an_error(judged):
    record = judged(noisy=-1.0)
    assert record.verdict == record.dithered.word == "ERROR" and not record.ok
    assert record.message == f"on {MODEL}@dithered: RuntimeError: out of memory"


def test_measured_afresh_it_is_compared(judged, tmp_path):
    judged()
    assert judged(mode="fresh", controls=False).dithered.word == "SUPPORTED"
    (path,) = (tmp_path / "artifacts" / "evidence").rglob(f"*{MODEL}-dithered--*.jsonl")
    own = next((tmp_path / "artifacts" / "evidence").rglob(f"effects--{MODEL}--*.jsonl"))
    forged = path.read_text().replace("0.69", "0.79")
    path.write_text(resealed(forged))
    assert own.is_file()
    record = judged(mode="fresh", controls=False)
    assert record.verdict == "ERROR" and f"effects({MODEL}@dithered) is not reproduced" in record.message


def resealed(text: str) -> str:
    from mechlib.evidence.sealed import sealed

    first, *rows = text.splitlines(keepends=True)
    said = {name: value for name, value in json.loads(first).items() if name != "sha256"}
    return sealed(said, rows).decode()


@pytest.mark.parametrize(("level", "wanted"), [(0.8, 1), (0.5, 0)])
def test_a_plan_counts_it_unless_the_claim_is_open(claim, judged, tmp_path, level, wanted):
    def planned(mark=PRIMARY, **place) -> list[str]:
        planner = Planner(Register(tmp_path / "register.jsonl", writable=False), None)
        planner._controls = lambda *_: None
        planner._ask("topic.test_it", claim(level, mark=mark), {"model": MODEL}, Store(tmp_path, "frozen", **place))
        return [one.question.model for one in planner.plan.of("missing") if "dithered" in one.question.model]

    judged(level, controls=False)
    assert len(planned()) == wanted and planned(SECONDARY) == [] and planned(controls=False) == []
    judged(level)
    assert planned() == []
