"""`mechlib audit`, `compare` and `history`: what they say, what they refuse, at any width."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mechlib import cli
from mechlib.evidence import files
from mechlib.evidence.stamp import file_stamp
from mechlib.faces import FACES, homes
from mechlib.judging.commands.reading import judged as reading
from mechlib.judging.commands.reading.history import with_bounds
from mechlib.measurement import Measurement
from mechlib.report.content.evidence_files import EvidenceFiles
from mechlib.report.content.history import GONE, Point
from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.checklist import INTERVENE, checklist, first_to_fail
from mechlib.report.data.comparison import Side, behind, compared
from mechlib.report.outputs.results import write_results
from mechlib.statistics import difference, mean, ratio
from mechlib.verdicts.record import Comparison, ModelRead, Record
from mechlib.verdicts.register import Judgement
from tests.helpers.sample_record import HOSTILE, sample

ID = "ioi.test_the_heads_restore_half[mini-{}]"
PROMPTS = tuple(f"prompt {n}" for n in range(40))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is a record that was just reported, with claims of every outcome."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "pytest.ini").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(reading, "registrations", lambda root, records: None)  # which asks git
    report(tmp_path, sample(tmp_path))
    return tmp_path


def report(root: Path, records: list[Record]) -> None:
    path = root / reading.RECORDS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(record.to_json() + "\n" for record in records), encoding="utf-8")
    write_results(RecordBook(records, root), path.with_name("results.json"))


def measured(root: Path, name: str, columns: dict[str, np.ndarray], units: tuple[str, ...] = PROMPTS) -> Measurement:
    made = Measurement(np.stack([*columns.values()], axis=1), units, columns=tuple(columns))
    path = root / "artifacts" / "evidence" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(files.encode({"function": "f"}, made))
    _, read = files.load(path)
    return read


def record(n: int, verdict: str, estimate, evidence: str) -> Record:
    return Record(
        ID.format(n), "ioi", "test_the_heads_restore_half", "They do.", f"mini-{n}", verdict=verdict,
        comparison=Comparison.of((estimate >= 0.5).to_dict()), evidence=[evidence],
        models=[ModelRead(f"mini-{n}", "7")],
    )  # fmt: skip


def two(root: Path, how=lambda m: mean(m["a"]), units: tuple[str, ...] = PROMPTS) -> list[Measurement]:
    """Two models whose per-prompt values go together, so that a paired interval is narrow."""
    draw = np.random.default_rng(0)
    shared = draw.normal(2.0, 1.0, 40)
    both, records = [], []
    for n, shift in enumerate((0.0, 0.3)):
        values = shared + shift + draw.normal(0, 0.05, 40)
        made = measured(root, f"ioi/f--mini-{n}.jsonl", {"a": values, "b": 0 * shared + 1.5, "total": shared + 3.0},
                        PROMPTS if n == 0 else units)  # fmt: skip
        records.append(record(n, ("SUPPORTED", "REFUTED")[n], how(made), f"ioi/f--mini-{n}.jsonl"))
        both.append(made)
    report(root, records)
    return both


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(list(arguments))
    said = capsys.readouterr()
    return status, said.out, said.err


# --- compare ------------------------------------------------------------------------------------------------------


def test_two_models_are_paired_on_the_prompts_that_they_share(here, capsys):
    first, second = two(here)
    status, said, _ = asked(capsys, "compare", "mini-0", "mini-1")
    wanted = difference(second["a"], first["a"])
    assert status == 0 and "1 claim in common, 1 verdict of each: 1 moved" in " ".join(said.split())
    numbers = f"difference {wanted.value:.3g} [{wanted.low:.3g}, {wanted.high:.3g}], paired on 40 prompts"
    assert numbers in " ".join(said.split()) and "SUPPORTED -> REFUTED" in said
    assert "each for itself: of many equal pairs one in twenty is told apart" in " ".join(said.split())
    wide = mean(first["a"])
    assert wanted.high - wanted.low < (wide.high - wide.low) / 3


@pytest.mark.parametrize(
    "how", [lambda m: mean(m.less("a", "b")), lambda m: ratio(m["a"], m["total"]), lambda m: ratio(m[("a", "total")])]
)
def test_differences_of_columns_and_shares_are_found_again_in_the_evidence(here, how):
    made = two(here, how)
    for n, one in enumerate(made):
        entry = {"evidence": [f"ioi/f--mini-{n}.jsonl"], "n": 40, "estimate": how(one).value}
        found = behind(Side("x", {}, EvidenceFiles(here / "artifacts" / "evidence")), entry)
        assert found is not None and found.values.mean() == pytest.approx(how(one).value, rel=1e-9)
        spread = found.values.std(ddof=1) / np.sqrt(40)
        assert spread == pytest.approx(how(one).se, rel=0.1)


def test_what_shares_no_prompt_or_has_no_evidence_is_taken_between_two_samples(here, capsys):
    two(here, units=tuple(f"other {n}" for n in range(40)))
    assert "between two samples" in " ".join(asked(capsys, "compare", "mini-0", "mini-1")[1].split())
    shutil.rmtree(here / "artifacts" / "evidence")
    book = RecordBook(reading.judged(here), here)
    first, second = (one.comparison.estimate for one in book.records)
    said = " ".join(asked(capsys, "compare", "mini-0", "mini-1")[1].split())
    reach = 1.959964 * np.hypot(first.se, second.se)
    value = second.value - first.value
    assert f"difference {value:.3g} [{value - reach:.3g}, {value + reach:.3g}], between two samples" in said


def test_two_records_are_joined_by_id_and_what_only_one_has_is_named(here, capsys, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    records = sample(other)
    gone, moved = records[0], next(one for one in records[1:] if one.verdict == "SUPPORTED")
    report(other, [msgspec.structs.replace(one, verdict="VOID") if one is moved else one for one in records[1:]])
    status, said, _ = asked(capsys, "compare", str(here), str(other / "artifacts" / "report" / "results.json"))
    flat = "".join(said.split())
    assert status == 0 and f"{len(records) - 1} verdicts of each: 1 moved" in " ".join(said.split())
    for line in (f"{moved.id}: SUPPORTED -> VOID", f"only in {here} (1): {gone.id}"):
        assert line.replace(" ", "") in flat
    assert "only in" in said and said.count("only in") == 1


def test_the_same_record_twice_differs_in_nothing(here, capsys):
    status, said, _ = asked(capsys, "compare", ".", ".")
    assert status == 0 and "0 moved, 0 are the same word with other numbers" in " ".join(said.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mini-0", "mini-9"), "there is no record and no model mini-9 here: did you mean mini-"),
        (("mini-0", "zzz"), "there is no record and no model zzz here: name two models of this record, or two records"),
        (("mini-0", "mini-1", "-k", "hostilee"), "-k 'hostilee' selects nothing"),
        (("mini-0", "mini-1", "-k", "("), "-k '(' is no expression"),
        ((".", "claims"), "there is no claims/artifacts/report/results.json: "),
        ((".", "new.json"), "new.json has schema 3, and this mechlib reads up to 2: update mechlib"),
        ((".", "none.json"), ". and none.json have no claim in common: there is nothing to compare"),
        ((".", "pytest.ini"), "pytest.ini cannot be read as results.json"),
        (
            (".", "mini-0"),
            ". is a record and mini-0 is none that is there: name two records, or two models of this one",
        ),
        (("mini-0", "pytest.ini"), "pytest.ini is a record and mini-0 is none that is there: name two"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_status_2(here, capsys, arguments, says):
    (here / "new.json").write_text('{"schema": 3, "claims": []}')
    (here / "none.json").write_text('{"schema": 1, "claims": [{"id": "x.test_y", "verdict": "VOID"}]}')
    status, said, error = asked(capsys, "compare", *arguments)
    assert (status, said) == (2, "") and error.startswith(f"mechlib: {says}") and error.count("\n") == 1


def test_a_claim_without_numbers_on_one_side_is_compared_by_its_word_alone():
    one = Side("a", {"k": {"verdict": "NOT RUN", "estimate": None}})
    two = Side("b", {"k": {"verdict": "VOID", "estimate": 0.3, "se": 0.1}})
    (pair,) = compared(one, two).pairs
    assert pair.moved and not pair.apart and pair.value is None
    old = Side("c", {"k": {"verdict": "VOID", "estimate": 0.2}})  # schema 1 has no standard errors
    (pair,) = compared(old, two).pairs
    assert pair.value == pytest.approx(0.1) and pair.low is None and not pair.moved


# --- audit --------------------------------------------------------------------------------------------------------


def test_every_intervention_is_a_public_instrument():
    assert {f"lab.{name}" for name in homes("mechlib.lab")} >= INTERVENE and "mechlib.lab" in FACES


def test_the_checklist_counts_what_the_record_says(here):
    made = two(here)
    book = RecordBook(reading.judged(here), here)
    folder = here / "artifacts" / "evidence"
    for n, by in enumerate(("lab.attention_to", "lab.restored_by_patching")):
        stamp = file_stamp(folder, {by: "1", "torch": "2"})
        path = folder / "ioi" / f"f--mini-{n}.jsonl"
        path.write_bytes(files.encode({"function": "f", "stamp": stamp}, made[n]))
    first, second = book.records
    first.prompts, second.registration, second.flags = ["ioi 1"], "REGISTERED", ["OLDER INSTRUMENTS"]
    first.registration = "EXPLORATORY"
    found = {answer.item: answer for answer in checklist(book)}
    counts = {item: (answer.held, answer.of, [one.id for one in answer.lacking]) for item, answer in found.items()}
    assert counts["causal"] == (1, 2, [first.id])
    assert counts["held out"] == (1, 2, [second.id])
    assert counts["seeds"] == (0, 1, [first.id])
    assert counts["register"] == (1, 2, [first.id])
    assert counts["reproducible"] == (1, 2, [second.id])
    assert counts["effect size"] == counts["uncertainty"] == (2, 2, [])
    assert counts["controls"][1] == counts["alternatives"][1] == counts["multiplicity"][1] == 1
    worst = first_to_fail(found.values())
    assert worst is not None and worst.share == min(answer.share for answer in found.values())
    assert first_to_fail([]) is None


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_audit_keeps_the_width_and_names_what_fails_first(here, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    status, said, _ = asked(capsys, "audit")
    assert status == 0 and max(map(len, said.splitlines())) <= width
    flat = " ".join(said.split())
    for item in ("causal", "held out", "seeds", "alternatives", "effect size", "register", "controls", "reproducible"):
        assert item in flat
    assert "what fails first: " in flat and "not so: " in flat
    (names,) = {line.partition("not so: ")[0] for line in said.splitlines() if "not so" in line}
    assert names.strip() == ""
    more = asked(capsys, "audit", "--all")[1]
    assert len(more) > len(said) and "more: " not in more


def test_an_audit_says_of_how_many_claims_it_speaks_each_counted_once(here, capsys):
    two(here)
    records = reading.judged(here)
    asked_only = [
        Record(f"ioi.test_other[mini-{n}-{case}]", "ioi", "test_other", "S.", f"mini-{n}", verdict="GATED")
        for n in range(2)
        for case in ("zero", "mean")
    ]
    report(here, [*records, *asked_only])
    said = " ".join(asked(capsys, "audit")[1].split())
    assert said.startswith(
        "1 of 2 claims and 2 of 6 verdicts have an answer; the others were gated, not run or in error"
    )
    assert "0 of 1 claims were judged on 3 trainings or more" in said


def test_an_audit_of_nothing_is_one_line(here, capsys):
    status, said, error = asked(capsys, "audit", "-k", "no_such_claim_at_all")
    assert (status, said) == (2, "") and error.count("\n") == 1 and "selects nothing" in error


def test_a_report_older_than_a_claim_is_not_read(here, monkeypatch, capsys):
    monkeypatch.setattr(reading, "judge_frozen", lambda root: sample(root)[:1])
    assert len(reading.judged(here)) > 1
    (here / "claims" / "test_new.py").touch()
    os.utime(here / reading.RECORDS, (1, 1))
    assert len(reading.judged(here)) == 1 and "judging all claims" in capsys.readouterr().err


# --- history ------------------------------------------------------------------------------------------------------


def commit(root: Path, said: str, subject: str, claimed: str = "Claimed: ≥ 0.50.") -> None:
    table = "| model | verdict | estimate | 95 % interval |\n|-|-|-:|-|\n"
    page = f'<a id="ioi.the_heads_restore_half"></a>\n\n{claimed}\n\n{table}| mini-0 | {said} |\n'
    (root / "REPORT.md").write_text(page, encoding="utf-8")
    for command in (("add", "REPORT.md"), ("commit", "-q", "-m", subject)):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *command], cwd=root, check=True, capture_output=True)


@pytest.fixture
def past(here):
    line = {"claim": ID.format(0), "bound": ">= 0.50", "question": "1", "evidence": [], "verdict": "SUPPORTED"}
    (here / "artifacts" / "register.jsonl").write_text(json.dumps(line) + "\n")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=here, check=True)
    commit(here, "✓ SUPPORTED | 0.7 | \\[0.6, 0.8\\]", "measured")
    commit(here, "✗ REFUTED | 0.2 | exact", f"measured again {HOSTILE}")
    return here


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_history_of_a_claim_is_a_line_a_commit(past, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for name in (ID.format(0), "heads_restore", ID.format(0).partition("[")[0].replace(".test_", ".")):
        status, said, _ = asked(capsys, "history", name)
        assert status == 0 and max(map(len, said.splitlines())) <= width
        flat = " ".join(said.split())
        assert (
            "SUPPORTED 0.7 [0.6, 0.8] ≥ 0.50 measured" in flat and "REFUTED 0.2 exactly ≥ 0.50 measured again" in flat
        )


def test_a_history_that_is_not_there_is_one_line(here, capsys):
    (here / "artifacts" / "register.jsonl").write_text("")
    status, said, error = asked(capsys, "history", "nothing")
    assert (status, said) == (2, "") and error.startswith("mechlib: the register knows no nothing: ")
    line = {"claim": ID.format(0), "bound": ">= 0.50", "question": "1", "evidence": [], "verdict": "SUPPORTED"}
    (here / "artifacts" / "register.jsonl").write_text(json.dumps(line) + "\n")
    status, said, error = asked(capsys, "history", "heads")
    assert (status, said) == (2, "") and "not committed yet, or this is no git repository" in error
    assert asked(capsys, "history", ID.format(0).replace("half", "hlaf"))[2].endswith(f"did you mean {ID.format(0)}?\n")


def test_a_point_without_a_bound_has_that_of_the_register_where_it_is_known():
    bare = [Point(f"c{n}", "2026-01-01", "s", "SUPPORTED", n / 10, 0.0, 1.0) for n in range(3)]
    gone = Point("c3", "2026-01-02", "s", GONE)
    own = dataclasses.replace(bare[0], bound="≥ 0.10")
    same = [Judgement(ID, ">= 0.50", "q", ("a",), word) for word in ("SUPPORTED", "REFUTED")]
    moved = [*same, Judgement(ID, "within -0.05 and 0.05", "q", ("a",), "SUPPORTED")]
    bounds = [one.bound for one in with_bounds([own, *bare, gone], same)]
    assert bounds == ["≥ 0.10", "≥ 0.50", "≥ 0.50", "≥ 0.50", ""]
    assert [one.bound for one in with_bounds(bare, moved)] == ["≥ 0.50", "", ""]
    assert [one.bound for one in with_bounds(bare, moved[::-1])] == ["within −0.05 and 0.05", "", ""]
    assert with_bounds(bare, []) == bare


def test_the_first_point_has_the_bound_though_its_page_named_none(past, capsys):
    path = past / "REPORT.md"
    path.write_text("# The record\n", encoding="utf-8")
    for command in (("add", "REPORT.md"), ("commit", "-q", "-m", "left out")):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *command], cwd=past, check=True, capture_output=True)
    commit(past, "✓ SUPPORTED | 0.6 | exact", "and back", claimed="")
    said = " ".join(asked(capsys, "history", ID.format(0))[1].split())
    assert f"{GONE} left out" in said and "SUPPORTED 0.6 exactly ≥ 0.50 and back" in said


def test_points_are_plain_data_for_a_page(past):
    from mechlib.report.content.history import history

    (points,) = history(past, [ID.format(0)]).values()
    assert [dataclasses.asdict(point)["verdict"] for point in points] == ["SUPPORTED", "REFUTED"]
