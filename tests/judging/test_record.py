"""The record that ships: judged in seconds, without what measuring needs, whatever the order."""

import argparse
import json
import math
import os
import re
import tarfile
import time
import typing
from collections import Counter
from pathlib import Path

import pytest

from mechlib.judging.registration.words import EVIDENCE_FIRST, EXPLORATORY, SEEN, TOGETHER
from mechlib.verdicts.controlled import UNCONTROLLED
from tests.helpers.judged import judged

resource = pytest.importorskip("resource", reason="processor time of children is POSIX's")

# On one worker: the others need not wait until the record is judged.
pytestmark = pytest.mark.xdist_group("record")
ROOT = Path(__file__).resolve().parents[2]
CLAIM = "test_three_heads_carry_twenty_logits"
FORETOLD = re.compile(r"\b(predict(?!ions stay)\w*|foretold|foreseen|as expected)\b", re.IGNORECASE)
NO_PREDICTION = (SEEN, EXPLORATORY, EVIDENCE_FIRST)  # words of claims whose answer somebody could have known (R35)


@pytest.fixture
def whole(whole_record):
    return whole_record, whole_record.records


def test_the_record_holds_on_its_filed_evidence(whole):
    result, records = whole
    assert result.status == 0, result.printed
    assert len(records) >= 700


def test_nothing_that_measures_is_loaded_to_judge_and_this_would_show_it(whole, tmp_path, monkeypatch):
    assert "loaded:\n" in whole[0].printed
    (tmp_path / "careless.py").write_text("import torch\n")  # as a claim file might
    (tmp_path / "torch.py").touch()  # a torch that costs nothing
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert "loaded: torch" in judged("-p", "careless", "-k", CLAIM).stdout


def compiling(times=30):
    """Processor seconds that this machine, as busy as it is, takes to compile three files of the standard library."""
    sources = [Path(module.__file__).read_text(encoding="utf-8") for module in (argparse, tarfile, typing)]
    before = time.process_time()
    for source in sources * times:
        compile(source, "a file", "exec")
    return (time.process_time() - before) / times


@pytest.mark.parametrize(("selection", "goal"), [("carry_twenty_logits", 140), ("addition", 800)])
def test_asking_again_is_a_matter_of_seconds(selection, goal):
    """Of at most three runs, on one thread; in times of compiling three files in the same run, some .03 s on a laptop:
    seconds would hold on one machine, on a quiet day. Half of each goal is usual."""
    spent = []
    while len(spent) < 3 and min(spent, default=math.inf) > goal:
        unit = compiling()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert judged("-k", selection).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / max(unit, compiling()))
    assert min(spent) <= goal


@pytest.mark.parametrize("keyword", ["addition", "induction"])
def test_a_keyword_selects_the_claims_whose_id_it_is_in(whole, keyword):
    """As it did while a topic was a file: neither the folders above nor the files that a topic is cut into add any."""
    found = judged("--collect-only", "-k", keyword).stdout
    selected = {f"{topic}.{claim}" for topic, claim in re.findall(r"^claims/(\w+)/\w+\.py::(.*)$", found, re.M)}
    assert selected == {record["id"] for record in whole[1] if keyword in record["id"].lower()}


def test_the_readme_counts_what_the_record_holds(whole):
    said = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    words = Counter(record["verdict"] for record in whole[1])
    counted = re.search(
        r"Of ([\d,]+) verdicts on \d+ claims, (\d+) are SUPPORTED, (\d+) REFUTED, (\d+) INCONCLUSIVE", said
    )
    assert counted is not None
    wanted = [len(whole[1]), *(words[word] for word in ("SUPPORTED", "REFUTED", "INCONCLUSIVE"))]
    assert [int(number.replace(",", "")) for number in counted.groups()] == wanted
    assert f"{words['GATED']} GATED, and {words['NOT RUN']} are NOT RUN" in said


def test_the_readme_says_how_many_published_sentences_came_out_how():
    """As artifacts/record has it, which `mechlib verify` holds against the evidence: outcomes hang on the order of
    commits."""
    said = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    counted = re.search(
        r"Of (\d+) published sentences that are asked of SmolLM2 (\d+) are replicated, (\d+) is contradicted and (\d+) "
        r"are undecided; of (\d+) in Gemma (\d+), (\d+) and (\d+); of (\d+) in Qwen (\d+), (\d+) and (\d+)",
        said,
    )
    assert counted is not None
    numbers = list(map(int, counted.groups()))
    outcomes = {"gemma3": numbers[5:8], "qwen2.5": numbers[9:12], "smollm2": numbers[1:4]}
    assert [sum(found) for found in outcomes.values()] == [numbers[4], numbers[8], numbers[0]]
    report = (ROOT / "artifacts/record/published-sentences.md").read_text(encoding="utf-8")
    (heads,) = re.findall(r"^\| how far they came \|(.*)\|$", report, re.M)
    models = [next(model for model in outcomes if model in head) for head in heads.split("|")]
    for place, word in enumerate(("REPLICATED", "CONTRADICTED", "UNDECIDED")):
        (row,) = re.findall(rf"^\| \*\*{word}\*\* \|(.*)\|$", report, re.M)
        assert dict(zip(models, map(int, row.split("|")), strict=True)) == {
            model: found[place] for model, found in outcomes.items()
        }


def test_every_supported_claim_passed_a_control_or_says_that_it_is_uncontrolled(whole):
    supported = [record for record in whole[1] if record["verdict"] == "SUPPORTED"]
    assert [record["id"] for record in supported if record["controlled"]["by"] in ("", "void")] == []
    uncontrolled = [record["id"] for record in supported if record["controlled"]["by"] == UNCONTROLLED]
    assert [record["id"] for record in whole[1] if UNCONTROLLED in record["flags"]] == uncontrolled


def test_at_most_one_supported_claim_in_twenty_is_uncontrolled(whole):
    supported = [record for record in whole[1] if record["verdict"] == "SUPPORTED"]
    assert sum(UNCONTROLLED in record["flags"] for record in supported) <= len(supported) / 20


TRAINED = ("features", "probes", "sae", "shortcut")  # topics of what is fitted: a twin of it can be fitted too


def of_a_twin(records: list[dict]) -> list[str]:
    """What is claimed to be there, SUPPORTED, and on the claimed side of a twin, or of a control, too."""
    found = []
    for one in records:
        present = one["verdict"] == "SUPPORTED" and one["twin"] != "shown"
        twins = [twin for twin in one["twins"] if twin["word"] == "SUPPORTED"]
        controls = [control for control in one["controls"] if control["on_the_side"]]
        found += [one["id"]] if present and (twins or controls) else []
    return found


def test_nothing_that_is_decodable_or_a_feature_is_supported_of_a_twin_frozen_ones_included(whole):
    those = [record for record in whole[1] if record["topic"] in TRAINED]
    assert len([one for one in those if one["verdict"] == "SUPPORTED" and one["controls"]]) > 40
    assert of_a_twin(those) == []


def test_a_claim_that_holds_of_a_frozen_twin_would_be_found(whole):
    own = next(one for one in whole[1] if one["topic"] in TRAINED and one["verdict"] == "VOID" and one["controls"])
    assert of_a_twin([{**own, "verdict": "SUPPORTED"}]) == [own["id"]]


def headlines(readme: str) -> dict[str, list[str]]:
    """What the README says today, point by point, with the claims in its `<!-- rests on: ioi.test_it -->`."""
    said = readme.partition("## What it says today")[2].partition("\n## ")[0]
    points = re.split(r"(?m)^\* ", said)[1:]
    return {
        " ".join(point.split()): [
            name for found in re.findall(r"<!-- rests on:(.*?)-->", point, re.DOTALL) for name in found.split()
        ]
        for point in points
    }


def unsound(readme: str, records: list[dict]) -> list[str]:
    """What is wrong with the headlines of a README, given the record."""
    found = []
    for whole, names in headlines(readme).items():
        point = whole[:60]
        found += [] if names else [f"{point}: rests on no claim"]
        for name in names:
            those = of_claim(name, records)
            found += [] if those else [f"{point}: {name} is no claim"]
            found += [f"{point}: {one['id']} is {UNCONTROLLED}" for one in those if UNCONTROLLED in one["flags"]]
            late = {one["registration"] for one in those} & {EXPLORATORY, EVIDENCE_FIRST, TOGETHER}
            found += [f"{point}: {name} is {word}, and does not say so" for word in sorted(late) if word not in whole]
    return found


def of_claim(name: str, records: list[dict]) -> list[dict]:
    return [record for record in records if record["id"].partition("[")[0] == name]


def no_predictions(readme: str, records: list[dict]) -> list[str]:
    """Paragraphs and points that speak of a prediction, and rest on no claim or on one that was none."""
    found = []
    for point in re.split(r"\n\n|(?m:^\* )", readme):
        said = FORETOLD.search(re.sub(r"<!--.*?-->", "", point, flags=re.DOTALL))
        if said is None:
            continue
        where = f"{' '.join(point.split())[:60]}: {said.group()!r}"
        names = [name for rests in re.findall(r"<!-- rests on:(.*?)-->", point, re.DOTALL) for name in rests.split()]
        found += [] if names else [f"{where} rests on no claim"]
        for one in (one for name in names for one in of_claim(name, records)):
            found += [f"{where}: {one['id']} is {one['registration']}"] if one["registration"] in NO_PREDICTION else []
    return found


def test_no_headline_of_the_readme_rests_on_a_claim_that_is_uncontrolled(whole):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(headlines(readme)) >= 3
    assert unsound(readme, whole[1]) == []


def test_a_headline_that_rests_on_nothing_or_on_what_is_uncontrolled_is_found():
    two = "* **Two.** So. <!-- rests on: b.test_two -->"
    records = [
        {"id": "a.test_one[mini-0]", "flags": [], "registration": "REGISTERED"},
        {"id": "b.test_two", "flags": [UNCONTROLLED], "registration": "CLAIM FIRST"},
    ]
    for rests, fault in (
        ("", "**One.**: rests on no claim"),
        ("<!-- rests on: a.test_one -->", None),
        ("<!-- rests on:\n  a.test_none a.test_one -->", "a.test_none is no claim"),
    ):
        found = unsound(f"## What it says today\n\n* **One.**\n{rests}\n{two}\n\n## A claim\n\n* none", records)
        assert found.pop().endswith(f"b.test_two is {UNCONTROLLED}")
        assert len(found) == bool(fault) and all(one.endswith(str(fault)) for one in found)


@pytest.mark.parametrize("word", [EXPLORATORY, EVIDENCE_FIRST, TOGETHER])
def test_a_headline_that_keeps_silent_about_its_order_is_found(word):
    records = [{"id": f"a.test_one[mini-{n}]", "flags": [], "registration": ("REGISTERED", word)[n]} for n in (0, 1)]
    readme = "## What it says today\n\n* One{}. <!-- rests on: a.test_one -->\n"
    (said,) = unsound(readme.format(""), records)
    assert said.endswith(f"a.test_one is {word}, and does not say so")
    assert unsound(readme.format(f" ({word}: restated)"), records) == []


def test_what_the_readme_calls_predicted_was_registered_or_claimed_before_anybody_could_know(whole):
    assert no_predictions((ROOT / "README.md").read_text(encoding="utf-8"), whole[1]) == []


def test_a_prediction_that_rests_on_prompts_seen_is_found():
    words = {"a.test_one": "REGISTERED", "a.test_two": SEEN, "a.test_three": EXPLORATORY, "a.test_four": EVIDENCE_FIRST}
    records = [{"id": f"{name}[mini-0]", "registration": word} for name, word in words.items()]
    for name, word in words.items():
        readme = (
            f"# A\n\n* **One.** As predicted.\n  <!-- rests on: {name} -->\n* **Two.**\n\nRefuted predictions stay."
        )
        wanted = [] if word == "REGISTERED" else [f"{name}[mini-0] is {word}"]
        assert [one.rpartition(": ")[2] for one in no_predictions(readme, records)] == wanted
    (said,) = no_predictions("## What\n\nThis was foreseen.\n\n<!-- rests on: a.test_one -->", records)
    assert said == "This was foreseen.: 'foreseen' rests on no claim"
    assert no_predictions("None. <!-- rests on: a.test_two_that_was_predicted -->", records) == []


def test_a_number_does_not_depend_on_what_is_judged_beside_it(whole, tmp_path):
    alone = tmp_path / "alone.jsonl"
    judged("--records", str(alone), "-k", CLAIM)
    numbers = {record["id"]: record["comparison"] for record in whole[1] if CLAIM in record["id"]}
    assert {r["id"]: r["comparison"] for r in map(json.loads, alone.read_text().splitlines())} == numbers


def test_every_claim_says_where_it_comes_from(whole):
    assert not [record["id"] for record in whole[1] if not record["source"]]


def test_every_judgement_is_in_the_register_of_bounds(whole):
    assert not [record["id"] for record in whole[1] if "NOT REGISTERED" in record["flags"]]
