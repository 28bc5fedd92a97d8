"""A published sentence that a pretrained model refutes is asked of its other parts; no other refuted claim is."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest

from mechlib.checkpoints.resolve import kind_of
from mechlib.evidence import Store, using
from mechlib.judging import judge as judging
from mechlib.judging.claim import Claim
from mechlib.judging.judge import judge
from tests.helpers.house import build

CLAIMS = '''
import numpy as np
from mechlib import *
from mechlib.evidence import evidence
from mechlib.prompts import ioi


@evidence
def effects(model: str, prompts: PromptSet) -> Measurement:
    """.1 for 1.3 and most others, .8 for 1.5; on discovery prompts 1.3 is the strongest all the same."""
    import numpy as np
    columns = [str(head) for head in all_heads(4, 8)]
    strong = "1.3" if prompts.split == "discovery" else "1.5"
    values = np.array([[.8 if name == strong else .1 for name in columns]] * len(prompts))
    spread = np.linspace(-.01, .01, len(prompts))[:, None]
    return Measurement(values + spread, [row.fingerprint for row in prompts], columns=columns)


MARK
def test_it(model):
    """It is so.

    Source: made up for this test.
    """
    chosen = strongest(effects(model, ioi(80, split="discovery")), 1)
    assert mean(effects(model, ioi(160))[chosen]) >= 0.5
'''
MARK = '@reported(0.5, "Nobody et al. 2024, section 1")'


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """A function that judges the claim on mini-0, or on a model of another name with the same files."""
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    build(tmp_path, "", ("mini-0",))
    mini, other = tmp_path / "fixtures" / "mini-0", tmp_path / "another"
    (mini / "config.json").write_text(json.dumps({"n_layer": 4, "n_head": 8}))
    shutil.copytree(mini, other)

    def run(mark=MARK, model=str(other), audit=False, **place):
        file = tmp_path / "claims" / "test_topic.py"
        file.write_text(CLAIMS.replace("MARK", mark))
        spec = importlib.util.spec_from_file_location("test_topic", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        identity = {"id": "topic.test_it[x]", "topic": "topic", "function": "test_it"}
        with using(Store(tmp_path, say=lambda _: None, **place)):
            return judge(Claim(module.test_it), {"model": model}, identity, audit)[0]

    return run


def test_other_parts_of_the_model_are_asked_and_decide_nothing(judged):
    record = judged()
    (control,) = record.controls
    assert record.verdict == "REFUTED" and record.control_evidence == [control.evidence]
    assert (control.part, control.sets, control.on_the_side) == ("1.3", 20, 1)
    assert not record.flags and record.controlled.by == ""
    assert judged(mode="frozen").controls[0].on_the_side == 1, "it is filed"


def test_without_controls_it_is_said_how_to_measure_them(judged):
    (control,) = judged(controls=False).controls
    assert control.word == "not measured" and "`pytest --controls -k test_it` measures it" in control.message


@pytest.mark.parametrize("case", [{"mark": ""}, {"model": "mini-0"}, {"audit": True}])
def test_nothing_is_exchanged_where_no_sentence_is_published_on_the_minis_and_in_an_audit(judged, case):
    record = judged(**case)
    assert record.verdict == "REFUTED" and record.controls == []


def test_twins_of_what_a_fetched_model_does_not_support_are_not_measured_and_shown_where_they_are_filed(
    judged, monkeypatch
):
    monkeypatch.setattr(judging, "kind_of", lambda name: kind_of(name) if name == "mini-0" else "packaged")
    assert judged().twins == [] and judged().verdict == "REFUTED"
    assert len(judged(model="mini-0").twins) == 2
    judged(mode="fresh")
    assert len(judged().twins) == 2
