"""Who takes the data along gets a research object that other programs read, and knows how to cite it."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml
from rocrate.rocrate import ROCrate

from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.citation import CITATION, Citation, bibtex, citation
from mechlib.report.data.crate import CRATE, LEFT_OUT
from mechlib.report.data.writing import write_crate, write_data
from mechlib.report.outputs.results import as_csv, save, write_results
from mechlib.report.outputs.writing import write
from mechlib.report.paper.references import References
from tests.helpers.sample_record import sample

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "record"
    root.mkdir()
    book = RecordBook(sample(root), root)
    (root / CITATION).write_bytes((ROOT / CITATION).read_bytes())
    made = tmp_path / "report"
    write_results(book, made / "results.json")
    save(made / "results.csv", as_csv(book))
    write_data(book, made)
    write_crate(book, made)
    return made


def test_an_independent_reader_finds_every_file_of_the_crate(folder: Path) -> None:
    read = ROCrate(str(folder))
    cited = citation(ROOT)
    assert cited is not None and read.name == cited.title
    assert read.datePublished.date() == datetime.date.fromisoformat(cited.date)
    assert read.license.id == "https://spdx.org/licenses/MIT"
    found = {entity.id: entity for entity in read.data_entities}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {CRATE}
    assert set(found) == there and {"results.json", "results.csv", "tables/all.tex", "citation.bib"} <= there
    for name, entity in found.items():
        assert int(entity["contentSize"]) == (folder / name).stat().st_size and entity["description"], name


def test_every_file_of_a_report_is_in_the_crate_or_is_left_out_by_name(tmp_path: Path) -> None:
    root, out = tmp_path / "record", tmp_path / "report"
    root.mkdir()
    (root / CITATION).write_bytes((ROOT / CITATION).read_bytes())
    (root / "artifacts").mkdir()
    shutil.copytree(ROOT / "artifacts/features", root / "artifacts/features")
    out.mkdir()
    for name in ("records.jsonl", "run.html", "partial/report.html"):  # which a run writes by itself
        save(out / name, "x\n")
    records = sample(root)
    for _ in range(2):  # a later run finds what an earlier one left
        write(RecordBook(records, root), out)
        graph = json.loads((out / CRATE).read_text(encoding="utf-8"))["@graph"]
        described = {one["@id"]: one for one in graph if one["@type"] == "File"}
        there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        left = {name for name in there if any(Path(name).match(glob) for glob in LEFT_OUT)}
        assert left == {CRATE, "run.html", "partial/report.html"}
        assert set(described) == there - left
        for name, said in described.items():
            assert int(said["contentSize"]) == (out / name).stat().st_size, name
    kinds = {name.partition("/")[0] for name in described}
    assert {"topics", "figures", "tables", "results.schema.json", "records.jsonl"} <= kinds
    assert any(name.startswith("features-") for name in described)
    assert (
        json.loads((out / "results.schema.json").read_text())["$defs"]["ClaimResult"]["additionalProperties"] is False
    )


def test_every_id_that_the_crate_refers_to_is_in_it(folder: Path) -> None:
    graph = json.loads((folder / CRATE).read_text(encoding="utf-8"))["@graph"]
    ids = [entity["@id"] for entity in graph]
    assert len(set(ids)) == len(ids)
    refers = {one["@id"] for entity in graph for said in entity.values() for one in _references(said)}
    assert refers - set(ids) == {"https://w3id.org/ro/crate/1.1"}
    (root,) = (entity for entity in graph if entity["@id"] == "./")
    assert {"name", "description", "datePublished", "license"} <= set(root)  # what the specification wants of a root


def _references(said: object) -> list[dict]:
    return [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, dict)]


def test_the_record_is_cited_by_its_version_and_date_and_by_no_address_that_it_does_not_have() -> None:
    said = yaml.safe_load((ROOT / CITATION).read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert str(said["version"]) == project["version"] and said["license"] == project["license"]
    assert said["cff-version"] == "1.2.0" and isinstance(said["date-released"], datetime.date)
    assert {"message", "title", "authors", "type", "abstract", "keywords"} <= set(said)
    urls = set(project.get("urls", {}).values())
    assert {said[name] for name in ("url", "repository-code") if name in said} <= urls
    read = citation(ROOT)
    assert read == Citation(
        said["title"], tuple(one["name"] for one in said["authors"]), str(said["version"]),
        said["date-released"].isoformat(), said["license"], said["abstract"],
    )  # fmt: skip


def test_citation_cff_is_what_the_format_wants() -> None:
    validated = pytest.importorskip("cffconvert", reason="cffconvert is not installed: CITATION.cff is not validated")
    validated.Citation((ROOT / CITATION).read_text(encoding="utf-8")).validate()


def test_bibtex_has_a_group_for_an_author_and_no_field_that_is_empty() -> None:
    cited = citation(ROOT)
    assert cited is not None
    text = bibtex(cited)
    assert text.startswith(f"@software{{mechlib{cited.date[:4]},\n") and text.endswith("}\n")
    assert "author = {{the mechlib authors}}," in text and "url" not in text
    assert text.count("{") == text.count("}")
    odd = bibtex(Citation("50 % & more_", ("A {B}",), date="2026-01-02", url="https://example.org/a"))
    assert r"title = {{50 \% \& more\_}}," in odd and "month = {1}," in odd and "url = {https://example.org/a}," in odd


def test_references_have_whole_names_and_the_year_of_their_number() -> None:
    read = References.read(ROOT / "docs/references.bib")
    assert read.problems == () and len(read.known) >= 18
    for key, one in read.known.items():
        assert key == one.fields["author"].partition(",")[0].lower() + one.fields["year"], key
        names = one.fields["author"].split(" and ")
        assert all(re.fullmatch(r"[^\W\d_][\w'. -]*, [^\W\d_][\w'. -]*", name) for name in names if name != "others"), (
            key
        )
        if number := one.fields.get("eprint"):
            assert re.fullmatch(r"\d{4}\.\d{5}", number) and f"20{number[:2]}" == one.fields["year"], key
        if doi := one.fields.get("doi"):
            assert re.fullmatch(r"10\.\d{4,}/\S+", doi), key


def test_a_record_without_a_citation_has_a_crate_all_the_same(tmp_path: Path) -> None:
    book = RecordBook(sample(tmp_path), tmp_path)
    write_data(book, tmp_path / "report")
    write_crate(book, tmp_path / "report")
    assert not (tmp_path / "report" / "citation.bib").exists()
    assert json.loads((tmp_path / "report" / CRATE).read_text())["@graph"][1]["name"] == "a research record"
