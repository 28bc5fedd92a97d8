"""An audit: outcomes of another model are a table beside the record's, and no failures."""

import json
import re
import shutil
from pathlib import Path

import pytest

from mechlib.checkpoints import checkpoint
from mechlib.judging.audit.asking import ModelShape, audited, beside, names_a_shape
from mechlib.judging.audit.forecast import forecast
from mechlib.verdicts.register import Judgement, Register
from tests.helpers.house import build, records

LEVELS = """
@evidence
def level_of(model: str, ours: float, others: float, on_twins: float) -> Measurement:
    '''Values around `ours` in models called mini, around `others` elsewhere, around `on_twins` in twins.'''
    import numpy as np
    middle = on_twins if "@" in model else ours if model.startswith("mini-") else others
    return Measurement(middle + np.linspace(-0.1, 0.1, 100), units=tuple(f"u{i}" for i in range(100)), unit="sequence")
"""
CLAIM = """
{marks}
@pytest.mark.parametrize("model", {models})
def test_{name}(model):
    '''{sentence}
    Source: made up for this test.
    '''
    {body}
"""
BOTH = '["mini-0", "mini-1"]'


def claim(name: str, body: str, sentence: str = "The level is high.", marks: str = "", models: str = BOTH) -> str:
    return CLAIM.format(name=name, body=body, sentence=sentence, marks=marks, models=models)


def level(ours: float, others: float, twins: float = 0.0) -> str:
    return f"assert mean(level_of(model, {ours}, {others}, {twins})) >= 0.5"


def own_folder(root: Path, name: str, shape: tuple[int, int] | None = None) -> Path:
    """A model of one's own, which is only files; with `shape` its config.json gives layers and heads."""
    shutil.copytree(root / "fixtures" / "mini-1", root / name)
    if shape:
        (root / name / "config.json").write_text(json.dumps({"n_layer": shape[0], "n_head": shape[1]}))
    return root / name


@pytest.fixture
def audit(house, pytester):
    """Builds a house whose minis are judged, and returns a function that audits a folder `mine` in it."""

    def run(text: str, *options: str) -> pytest.RunResult:
        if not (pytester.path / "claims").exists():
            build(pytester.path, LEVELS + text)
            own_folder(pytester.path, "models/mine")
            house(None)
        return house(None, "--model=models/mine", *options)

    return run


def printed(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


OUTCOMES = {
    "supported": level(0.8, 0.9),
    "refuted": level(0.8, 0.2),
    "inconclusive": level(0.8, 0.5),
    "void": level(0.8, 0.8, 0.9),
    "gated": "requires(mean(level_of(model, 0.8, 0.1, 0.0)) >= 0.5)\n    " + level(0.8, 0.9),
}


def test_outcomes_of_another_model_are_a_table_and_no_failures(audit, pytester):
    result = audit("".join(claim(name, body) for name, body in OUTCOMES.items()))
    text = printed(result)
    assert result.ret == 0, text
    assert "failed" not in text and "FAILED" not in text and "Traceback" not in text
    found = {record["function"]: (record["verdict"], record["ok"]) for record in records(pytester.path).values()}
    assert found == {f"test_{name}": (name.upper(), True) for name in OUTCOMES}
    assert re.search(
        r"mine +REFUTED +0\.200 \[0\.\d+, 0\.\d+\] n=100 >= 0\.50\n +mini-0, mini-1: 2 of 2 SUPPORTED", text
    )
    assert "mine: 5 verdicts asked: 1 SUPPORTED, 1 REFUTED, 1 INCONCLUSIVE, 1 VOID, 1 GATED" in text


def test_a_ratio_of_nothing_is_gated_in_an_audit_and_an_error_of_the_record(audit, house, pytester):
    text = claim("ratio", "assert ratio(level_of(model, 0.8, 0.8, 0.0), level_of(model, 0.8, 0.001, 0.0)) >= 0.5")
    assert audit(text).ret == 0
    record = records(pytester.path)["test_ratio/mine"]
    assert record["verdict"] == "GATED" and record["message"]
    file = pytester.path / "claims" / "test_topic.py"
    file.write_text(file.read_text().replace("0.8, 0.001", "0.001, 0.001"))
    assert house(None).ret == 1


def test_marks_are_about_the_records_models(audit, house, pytester):
    text = claim("it", level(0.2, 0.9), marks='@refuted({"mini-*": "as measured"})')
    build(pytester.path, LEVELS + text)
    own_folder(pytester.path, "models/mine").rename(pytester.path / "models" / "mini-mine")
    result = house(None, "--model=models/mini-mine")
    assert result.ret == 0 and "marked" not in printed(result)
    assert records(pytester.path)["test_it/mini-mine"]["expected"] == ""


def test_an_exception_is_an_error_and_ends_with_status_1(audit, pytester):
    result = audit(claim("it", level(0.8, 0.9)) + claim("broken", "assert mean(1 / 0) >= 0.5"))
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*ZeroDivisionError*"])
    assert "mine: 2 verdicts asked: 1 SUPPORTED, 1 ERROR" in printed(result)


REFUSING = """
@evidence
def refusing(model: str) -> Measurement:
    '''What an instrument refuses of a model that does not know a word.'''
    from mechlib import Measurement
    return Measurement([], units=())
"""


def test_what_an_instrument_refuses_is_not_asked_and_says_why_in_a_line(audit, pytester):
    text = REFUSING + claim("refused", "assert mean(refusing(model)) >= 0.5") + claim("it", level(0.8, 0.9))
    result = audit(text)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["NOT ASKED: 1 verdict", "   1  a measurement without units: nothing was measured*"])
    assert list(records(pytester.path)) == ["test_it/mine"]
    alone = audit(text, "-k", "refused")
    assert alone.ret == 5
    alone.stdout.fnmatch_lines(["nothing of what was selected could be asked of mine"])


NOT_OF_OTHERS = {
    "are about mini-0 alone": claim("a", level(0.8, 0.9), models='["mini-0"]'),
    "name no model": claim("a", level(0.8, 0.9)).replace("(model)", "()").replace("(model,", '("mini-0",'),
    "say what their own models were trained on": claim("a", level(0.8, 0.9), "Pairs never trained are added."),
    "count layers or parts of models of 4 layers of 8 heads: this one has 2 layers of 8 heads": claim(
        "a", level(0.8, 0.9), "Of the 1,519 edges a hundred are enough."
    ),
}


@pytest.mark.parametrize("why", NOT_OF_OTHERS, ids=["one model", "no model", "a training", "a shape"])
def test_what_a_claim_says_of_its_own_models_is_not_asked_of_another(why, house, pytester):
    text = NOT_OF_OTHERS[why].replace(
        '@pytest.mark.parametrize("model", ["mini-0", "mini-1"])\n', "", "no model" in why
    )
    build(pytester.path, LEVELS + claim("asked", level(0.8, 0.9)) + text)
    for name in ("mini-0", "mini-1"):
        (pytester.path / "fixtures" / name / "config.json").write_text('{"n_layer": 4, "n_head": 8}')
    own_folder(pytester.path, "mine", (2, 8))
    result = house(None, "--model=./mine")
    assert result.ret == 0, printed(result)
    assert list(records(pytester.path)) == ["test_asked/mine"]
    flat = " ".join(printed(result).split())
    assert f"NOT ASKED: 1 verdict 1 {why}" in flat


def test_a_claim_about_a_model_of_ones_own_is_asked_of_the_next(house, pytester):
    build(pytester.path, LEVELS + claim("a", level(0.8, 0.9), models='["./first"]'))
    for name in ("first", "mine"):
        own_folder(pytester.path, name)
    result = house(None, "--model=./mine")
    assert result.ret == 0, printed(result)
    assert list(records(pytester.path)) == ["test_a/mine"]


def test_a_model_of_the_same_shape_is_asked_about_it_and_a_claims_own_model_everything(house, pytester):
    build(pytester.path, LEVELS + claim("a", level(0.8, 0.9), "The third layer does it, as it was trained."))
    for name in ("mini-0", "mini-1"):
        (pytester.path / "fixtures" / name / "config.json").write_text('{"n_layer": 4, "n_head": 8}')
    house(None, "--model=mini-1")
    assert list(records(pytester.path)) == ["test_a/mini-1"]
    file = pytester.path / "claims" / "test_topic.py"
    file.write_text(file.read_text().replace(", as it was trained", ""))
    own_folder(pytester.path, "same")
    assert house(None, "--model=./same").ret == 0
    assert list(records(pytester.path)) == ["test_a/same"]


@pytest.mark.parametrize(
    ("sentence", "arguments", "named"),
    [
        ("Ablating any one of the four MLPs costs 30 points.", {}, True),
        ("The ten strongest of 36 heads and MLPs keep 5 logits.", {}, True),
        ("From 1 edge to all 1,519 the area is small.", {}, True),
        ("After the third layer nothing is left.", {}, True),
        ("A block equals the library's.", {"layer": 3}, True),
        ("Three heads of the first layer restore four logits.", {}, False),
        ("A hundred edges keep 97 %.", {}, False),
        ("MLPs write half.", {"how": "mean"}, False),
    ],
)
def test_a_sentence_that_counts_parts_names_a_shape(sentence, arguments, named):
    assert names_a_shape(sentence, arguments, ModelShape(4, 8)) is named


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_model_that_cannot_be_loaded_ends_the_audit_in_one_line(audit, pytester, options):
    breaking = """
@evidence
def loaded(model: str) -> Measurement:
    '''As the lab does where tensors are missing.'''
    from mechlib.checkpoints import IncompleteModel
    if not model.startswith("mini-"):
        raise IncompleteModel(f"{model} lacks 3 tensors: save it again")
    import numpy as np
    return Measurement(np.linspace(0.9, 1, 100) * (model.count("@") == 0), units=tuple(f"u{i}" for i in range(100)))
"""
    text = breaking + "".join(claim(f"it_{n}", "assert mean(loaded(model)) >= 0.5") for n in range(5))
    result = audit(text, *options)
    said = printed(result)
    assert result.ret != 0
    assert "mine cannot be audited: mine lacks 3 tensors: save it again" in said and "Traceback" not in said
    assert said.count("lacks 3 tensors") <= (6 if options else 3) and not records(pytester.path)


# Names


def test_two_folders_with_one_last_part_are_told_apart_and_none_takes_a_minis_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = ["a/model", "b/model", "copies/mini-0", "my model"]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    named = audited([*folders, "mini-0", "./a/model"], tmp_path)
    assert list(named.values()) == ["a-model", "b-model", "copies-mini-0", "my-model", "mini-0"]
    assert list(named)[:2] == ["a/model", "b/model"]
    assert audited(["copies/mini-0"], tmp_path) == {"copies/mini-0": "copies-mini-0"}
    assert audited([str(tmp_path / "a" / "model")], tmp_path / "b") == {str(tmp_path / "a" / "model"): "model"}


@pytest.mark.parametrize("name", ["mini-0", "gpt2-small", "planted-ioi"])
def test_a_folder_at_the_root_is_itself_and_not_the_model_of_that_name(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    for given in (f"./{name}", str(tmp_path / name)):
        ((asked, short),) = audited([given], tmp_path).items()
        found = checkpoint(asked, tmp_path)
        assert (found.kind, found.path) == ("local", tmp_path / name) and short != name


@pytest.mark.parametrize("name", ["mine", "mini-0"])
def test_a_twin_is_not_audited_as_its_parent(name, house, pytester):
    build(pytester.path, LEVELS + claim("it", level(0.8, 0.2)))
    own_folder(pytester.path, "mine")
    result = house(None, f"--model={name}@untrained")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: '{name}@untrained' is a twin, which every claim is held against: *{name}"])


def test_a_dithered_model_is_not_audited_either(house, pytester):
    build(pytester.path, LEVELS + claim("it", level(0.8, 0.2)))
    for name, said in (
        ("smollm2-135m", "is made of smollm2-135m: --model=smollm2-135m"),
        ("mini-0", "is not quantised*"),
    ):
        result = house(None, f"--model={name}@dithered")
        assert result.ret == 4
        result.stderr.fnmatch_lines([f"ERROR: *{name}*{said}"])


def test_an_empty_model_is_not_the_working_directory(house, pytester):
    build(pytester.path, LEVELS + claim("it", level(0.8, 0.2)))
    result = house(None, "--model=")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --model is empty: name a model or a directory*"])


def test_a_folder_is_called_by_its_last_part_everywhere(house, pytester, tmp_path):
    build(pytester.path, LEVELS + claim("it", level(0.8, 0.2)))
    elsewhere = tmp_path / "far" / "away"
    elsewhere.mkdir(parents=True)
    shutil.move(own_folder(pytester.path, "mine"), elsewhere / "mine")
    result = house(None, f"--model={elsewhere / 'mine'}", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*::test_it?mine? REFUTED*"])
    (record,) = records(pytester.path).values()
    assert record["id"] == "topic.test_it[mine]" and record["model"] == "mine"
    assert [twin["model"] for twin in record["twins"]] == ["mine@untrained", "mine@permuted"]
    assert str(elsewhere) not in json.dumps(record)
    filed = sorted(path.name.rpartition("--")[0] for path in (pytester.path / "artifacts" / "local").rglob("*of--*"))
    assert filed == ["level_of--mine", "level_of--mine-permuted", "level_of--mine-untrained"]


def test_two_models_stand_under_one_sentence(house, pytester):
    build(pytester.path, LEVELS + claim("it", level(0.8, 0.2)))
    own_folder(pytester.path, "one/model")
    own_folder(pytester.path, "two/model")
    (pytester.path / "two" / "model" / "tokenizer.json").write_text('{"other": 1}')
    result = house(None, "--model=one/model", "--model=two/model")
    assert result.ret == 0
    result.stdout.re_match_lines_random([r"    one-model  REFUTED  0\.200.*", r"    two-model  REFUTED  0\.200.*"])
    assert printed(result).count("The level is high.") == 1


# The record beside it, the forecast, going on


def test_beside_stands_what_the_register_says_last():
    def judged(model: str, word: str) -> Judgement:
        return Judgement(f"t.test_a[{model}-zero]", ">= 1", "q", ("k",), word)

    latest = {j.claim: j for j in (judged("mini-0", "SUPPORTED"), judged("mini-1", "SUPPORTED"))}
    own = {"mini-0": ["mini-0"], "mini-1": ["mini-1"]}
    assert beside("t.test_a[mine-zero]", "mine", own, latest) == "2 of 2 SUPPORTED"
    latest |= {j.claim: j for j in (judged("mini-1", "REFUTED"), judged("mini-2", "SUPPORTED"))}
    assert beside("t.test_a[mine-zero]", "mine", own, latest) == "1 SUPPORTED, 1 REFUTED"
    assert beside("t.test_a[mine-zero]", "mine", own | {"mini-9": ["mini-9"]}, latest) == "1 SUPPORTED, 1 REFUTED of 3"
    assert beside("t.test_a[mine-mean]", "mine", own, latest) == "not judged"


def test_what_was_measured_stays_filed_and_the_record_is_left_alone(audit, pytester):
    text = claim("it", level(0.8, 0.2))
    audit(text)
    assert records(pytester.path)["test_it/mine"]["measured"] == 3
    register = (pytester.path / "artifacts" / "register.jsonl").read_bytes()
    again = audit(text)
    assert again.ret == 0 and records(pytester.path)["test_it/mine"]["measured"] == 0
    again.stdout.fnmatch_lines(["audit of mine: up to 0 measurements, 3 filed already; nothing is to be measured"])
    assert audit(text, "--frozen").ret == 0
    assert (pytester.path / "artifacts" / "register.jsonl").read_bytes() == register


def test_the_forecast_counts_what_is_missing_and_scales_what_it_took(audit, pytester):
    result = audit(claim("it", level(0.8, 0.2)), "--collect-only", "-q")
    assert "audit of" not in printed(result)
    root, nodes = pytester.path, ["claims/test_topic.py::test_it[mine]"]
    latest = Register(root / "artifacts" / "register.jsonl", writable=False).latest
    entry = {"file": "artifacts/evidence/topic/level_of--mini-0--12345678.jsonl", "seconds": 100.0}
    (root / "artifacts" / "runs.jsonl").write_text(json.dumps(entry) + "\n{torn\n")
    found = forecast(root, nodes, {"models/mine": "mine"}, latest)
    assert found.missing == 3
    assert found.lines == (
        "audit of mine: up to 3 measurements, 0 filed already; about 5 min by this machine's log of mini-0",
    )
    header = json.dumps({"w": {"dtype": "F16", "shape": [20], "data_offsets": [0, 40]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(40)
    (root / "models" / "mine" / "model.safetensors").write_bytes(weights)
    assert "about 50 min" in forecast(root, nodes, {"models/mine": "mine"}, latest).lines[0]
    assert checkpoint("models/mine").path.is_dir()
    unknown = forecast(root, ["claims/test_topic.py::test_new[mine]"], {"models/mine": "mine"}, latest)
    assert unknown.missing == 0 and "is not known" in unknown.lines[0]


def test_workers_print_the_same_table(audit):
    text = "".join(claim(name, body) for name, body in OUTCOMES.items()) + claim(
        "one", level(1, 1), models='["mini-0"]'
    )

    def table(result: pytest.RunResult) -> set[str]:
        lines = result.stdout.str().split("- audit -")[1].splitlines()
        return {line for line in lines if line and not line.startswith(("=", "-"))}

    assert table(audit(text)) == table(audit(text, "-n", "2"))


def test_an_audit_has_a_report_that_is_partial(audit, pytester):
    result = audit(claim("it", level(0.8, 0.2)) + claim("one", level(0.8, 0.2), models='["mini-0"]'), "--report")
    assert result.ret == 0
    folder = pytester.path / "artifacts" / "report"
    assert not (folder / "report.html").exists() and not (pytester.path / "REPORT.md").exists()
    page = (folder / "partial" / "report.html").read_text()
    assert "PARTIAL" in page and "REFUTED" in page
    assert "test_it" in page and "test_one" not in page
