"""results.json says of every verdict what its schema promises, and what an earlier schema said is still said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mechlib.evidence.sealed import sealed
from mechlib.report.content.claim_views import varied_by
from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.results import (
    SCHEMA,
    ClaimResult,
    Results,
    as_csv,
    difference,
    read_results,
    results,
    schema,
    write_results,
)
from mechlib.verdicts.record import ModelRead, Record
from tests.helpers.sample_record import sample

COMMITTED = Path(__file__).parents[2] / "docs/results.schema.json"
SCHEMA_1 = (
    "id", "topic", "function", "sentence", "model", "verdict", "twin", "estimate", "low", "high", "n", "clusters",
    "method", "bound", "flags",
)  # fmt: skip
KINDS = {"string": str, "number": (int, float), "integer": int, "boolean": bool, "null": type(None), "array": list}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    root = tmp_path_factory.mktemp("house")
    records = sample(root)
    write_results(RecordBook(records, root), root / "results.json")
    return root / "results.json", records


def faults(value: Any, wanted: dict[str, Any], defined: dict[str, Any], where: str = "results.json") -> list[str]:
    """Where a value is not what a JSON Schema says: the words of the schema that msgspec writes, and no others."""
    unknown = set(wanted) - {
        "$ref", "$schema", "$defs", "title", "description", "type", "properties", "required", "items", "anyOf", "enum",
        "prefixItems", "minItems", "maxItems", "default", "additionalProperties", "examples",
    }  # fmt: skip
    assert not unknown, f"this test does not know {unknown}"
    if "$ref" in wanted:
        return faults(value, defined[wanted["$ref"].rsplit("/", 1)[-1]], defined, where)
    if "anyOf" in wanted:
        tried = [faults(value, one, defined, where) for one in wanted["anyOf"]]
        return [] if [] in tried else [f"{where} is {value!r}"]
    if "enum" in wanted:
        return [] if value in wanted["enum"] else [f"{where} is {value!r}"]
    if wanted["type"] == "object":
        if not isinstance(value, dict):
            return [f"{where} is {value!r}"]
        if "properties" not in wanted:
            each = [(name, one, wanted["additionalProperties"]) for name, one in value.items()]
            return [fault for name, one, of in each for fault in faults(one, of, defined, f"{where}.{name}")]
        found = [f"{where} has no {name}" for name in wanted["required"] if name not in value]
        assert wanted["additionalProperties"] is False, "another field than these is none of results.json"
        found += [f"{where} has {name}" for name in value if name not in wanted["properties"]]
        inside = [(name, value[name], of) for name, of in wanted["properties"].items() if name in value]
        return found + [fault for name, one, of in inside for fault in faults(one, of, defined, f"{where}.{name}")]
    boolean = isinstance(value, bool) and wanted["type"] != "boolean"
    if boolean or not isinstance(value, KINDS[wanted["type"]]):
        return [f"{where} is {value!r}"]
    if isinstance(value, list):
        first = wanted.get("prefixItems", [])
        if not wanted.get("minItems", 0) <= len(value) <= wanted.get("maxItems", len(value)):
            return [f"{where} has {len(value)} entries"]
        each = [first[place] if place < len(first) else wanted["items"] for place in range(len(value))]
        return [fault for n, of in enumerate(each) for fault in faults(value[n], of, defined, f"{where}[{n}]")]
    return []


def test_shares_of_variance_are_written_by_name(written: tuple[Path, list[Record]]) -> None:
    _, records = written
    record = next(one for one in records if one.comparison)
    assert record.comparison is not None
    shares = (("names", 0.81), ("templates", 0.03))
    varied = msgspec.structs.replace(record.comparison.estimate, variance=shares)
    known = msgspec.structs.replace(record, comparison=msgspec.structs.replace(record.comparison, estimate=varied))
    book = RecordBook([known], written[0].parent)
    assert results(book).claims[0].variance == dict(shares)
    assert "names 0.81; templates 0.03" in as_csv(book)
    assert varied_by(known) == "names 81 %, templates 3 %"


def test_the_committed_schema_is_what_the_types_say() -> None:
    cure = "run `python -m mechlib.report.outputs.results > docs/results.schema.json`"
    assert COMMITTED.read_text(encoding="utf-8") == schema(), cure


def test_the_schema_describes_every_field_and_allows_no_other() -> None:
    defined = json.loads(COMMITTED.read_text(encoding="utf-8"))["$defs"]
    assert set(defined) == {"Results", "ClaimResult", "ControlResult", "DitheredResult", "Reported"}
    for name, of in defined.items():
        assert of["additionalProperties"] is False, name
        bare = [field for field, said in of["properties"].items() if not said.get("description")]
        assert bare == [], name


def test_results_are_what_the_committed_schema_says_field_by_field(written: tuple[Path, list[Record]]) -> None:
    path, records = written
    wanted = json.loads(COMMITTED.read_text(encoding="utf-8"))
    found = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert faults(found, wanted, wanted["$defs"]) == []
    assert found["schema"] == SCHEMA == 2 and len(found["claims"]) == len(records)
    assert msgspec.json.decode(path.read_bytes(), type=Results) == msgspec.convert(found, Results)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("verdict", "RIGHT"),
        ("estimate", "0.3"),
        ("n", 2.5),
        ("ok", 1),
        ("flags", [3]),
        ("bounds", [[">="]]),
        ("id", None),
    ],
)
def test_what_is_not_as_the_schema_says_is_found(field: str, value: Any, written: tuple[Path, list[Record]]) -> None:
    wanted = json.loads(schema())
    found = json.loads(written[0].read_text())
    found["claims"][3][field] = value
    (fault,) = faults(found, wanted, wanted["$defs"])
    assert fault.startswith(f"results.json.claims[3].{field}")
    with pytest.raises(msgspec.ValidationError, match=rf"claims\[3\].{field}|claims\[\.\.\.\].{field}"):
        msgspec.json.decode(json.dumps(found), type=Results)
    del found["claims"][3][field]
    assert faults(found, wanted, wanted["$defs"]) == [f"results.json.claims[3] has no {field}"]


def test_the_fields_of_schema_1_come_first_and_mean_what_they_meant(written: tuple[Path, list[Record]]) -> None:
    path, records = written
    assert ClaimResult.__struct_fields__[: len(SCHEMA_1)] == SCHEMA_1
    claims = {entry["id"]: entry for entry in json.loads(path.read_text())["claims"]}
    for record in records:
        entry, compared = claims[record.id], record.comparison
        estimate = compared.estimate if compared else None
        for name in ("topic", "function", "sentence", "model", "verdict", "twin", "flags"):
            assert entry[name] == getattr(record, name)
        assert entry["estimate"] == (estimate.value if estimate else None)
        for name in ("low", "high", "n", "clusters", "method"):
            assert entry[name] == getattr(estimate, name, None)
        assert entry["bound"] == (compared.bound if compared else None)


class ClaimOfSchema1(msgspec.Struct, forbid_unknown_fields=False):
    """What a program that was written for schema 1 reads of a claim."""

    id: str
    topic: str
    function: str
    sentence: str
    model: str
    verdict: str
    twin: str
    estimate: float | None
    low: float | None
    high: float | None
    n: int | None
    clusters: int | None
    method: str | None
    bound: str | None
    flags: list[str]


def test_a_program_for_schema_1_reads_today_s_results(written: tuple[Path, list[Record]]) -> None:
    assert ClaimOfSchema1.__struct_fields__ == SCHEMA_1
    path, records = written
    read = msgspec.convert(json.loads(path.read_text())["claims"], list[ClaimOfSchema1])
    assert {claim.id: claim.verdict for claim in read} == {record.id: record.verdict for record in records}
    assert "control" in json.loads(path.read_text())["claims"][0]


def test_what_schema_2_adds(written: tuple[Path, list[Record]]) -> None:
    path, records = written
    book = RecordBook(records, path.parent)
    claims = {entry.id: entry for entry in results(book).claims}
    assert {entry.case for entry in claims.values()} == {"", "zero", "mean"}
    family = next(entry for entry in claims.values() if entry.kind == "every")
    assert family.bounds == (("<=", 0.05),) and family.across == "sequences"
    for name, words in book.corrected.items():
        assert (claims[name].holm, claims[name].benjamini_hochberg) == (words["Holm"], words["BH"])
    marked = next(entry for entry in claims.values() if entry.expected)
    assert marked.why and marked.ok == (marked.verdict == marked.expected)


def test_what_a_verdict_rests_on_stands_with_its_hashes(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "evidence" / "t"
    folder.mkdir(parents=True)
    (folder / "x--mini-0--1.jsonl").write_bytes(sealed({"function": "x", "quote": '"sha256": "0"'}, ["[[1]]\n"]))
    (folder / "torn.jsonl").write_text('{"sha256": "' + "0" * 64)
    record = Record(
        "t.test_a[mini-0]", "t", "test_a", "S.", "mini-0", prompts=["ioi 1234567890abcdef"], registered="ab" * 8,
        evidence=["t/x--mini-0--1.jsonl", "t/torn.jsonl", "t/gone.jsonl"],
        models=[ModelRead("mini-0", weights="77"), ModelRead("mini-1")],
    )  # fmt: skip
    other = Record("t.test_b[mini-0]", "t", "test_b", "S.", "mini-0")
    first, second = results(RecordBook([record, other], tmp_path)).claims
    whole = json.loads((folder / "x--mini-0--1.jsonl").read_text().splitlines()[0])["sha256"]
    assert first.evidence_sha256 == (whole, "", "") and len(whole) == 64
    assert (first.split, first.prompts, second.split) == ("confirmation", ("ioi 1234567890abcdef",), "")
    assert (first.weights, second.weights) == ({"mini-0": "77"}, {})
    assert (first.registered, second.registered) == ("ab" * 8, "")
    assert "mini-0 77" in as_csv(RecordBook([record], tmp_path))


def test_an_earlier_results_json_of_schema_1_is_still_compared_with(
    written: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    path, records = written
    found = json.loads(path.read_text())
    found["schema"] = 1
    found["claims"] = [{name: entry[name] for name in SCHEMA_1} for entry in found["claims"]]
    (tmp_path / "results.json").write_text(json.dumps(found))
    former = read_results(tmp_path / "results.json")
    assert former is not None
    book = RecordBook(records, path.parent)
    assert difference(former, book) == []
    changed = {**found, "claims": [{**found["claims"][0], "verdict": "VOID"}, *found["claims"][1:]]}
    (tmp_path / "results.json").write_text(json.dumps(changed))
    former = read_results(tmp_path / "results.json")
    assert former is not None and "verdict VOID -> " in difference(former, book)[0]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 3, "claims": []}', '{"schema": 1, "claims": [{}]}', "nul"]
)
def test_what_is_no_results_json_is_compared_with_nothing(text: str, tmp_path: Path) -> None:
    assert read_results(tmp_path / "results.json") is None
    (tmp_path / "results.json").write_text(text)
    assert read_results(tmp_path / "results.json") is None
