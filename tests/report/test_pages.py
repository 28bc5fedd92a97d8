"""The report says all that the record holds, to everyone, and nothing in a record can break a page."""

import csv
import html
import io
import json
import re
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from mechlib.figures.svg import charts
from mechlib.measurement import Measurement
from mechlib.report.content.claim_figures import asked_figures
from mechlib.report.content.claim_rows import claim_rows, models_of, record_anchor, variant
from mechlib.report.content.claim_views import prose
from mechlib.report.content.evidence_files import EvidenceFiles
from mechlib.report.content.history import GONE, Point
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import SIGNS
from mechlib.report.outputs import pytest_html
from mechlib.report.outputs.markdown import RECORD, escaped
from mechlib.report.outputs.results import FormerResults, as_csv, as_latex, difference, results, tex
from mechlib.report.outputs.terminal import verdict_table
from mechlib.report.outputs.writing import write
from mechlib.report.pages.page import pages, script_of
from mechlib.statistics.circuits.nulls import above_null
from mechlib.verdicts.record import WORDS, Record, ShownFigure
from tests.helpers.forge import filed, forge
from tests.helpers.pages import details, rows, whole
from tests.helpers.pages import written as everything
from tests.helpers.sample_record import (
    HEADS,
    HOSTILE,
    MINIS,
    Sample,
    card,
    estimate,
    heads_measurement,
    sample,
    twin_entries,
)

ROOT = Path(__file__).parents[2]
FILES = ("report.html", "topics/induction.js", "topics/hostile.js", "results.json", "results.csv", "tables/all.tex")
VOID_ELEMENTS = {"meta", "source", "br", "img", "link", "input", "hr", "col"}


class Page(HTMLParser):
    """Collects ids, links, loads and text, and insists that tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: Counter[str] = Counter()
        self.text: list[str] = []
        self.handlers: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "href", "srcset", "data", "action", "poster"):
                self.loads.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
        if tag not in VOID_ELEMENTS:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID_ELEMENTS:
            assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-3:]}"
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """The sample's root with everything written, and its records."""
    root = tmp_path_factory.mktemp("house")
    records = sample(root)
    for name in MINIS:
        card(root, name)
    write(RecordBook(records, root), root / "artifacts/report", meta={"device": HOSTILE, "started": "2026-01-02 03:04"})
    return root, records


def page(written: tuple[Path, list[Record]]) -> str:
    return everything(written[0] / "artifacts/report")


def alone(written: tuple[Path, list[Record]]) -> str:
    return (written[0] / "artifacts/report/report.html").read_text()


# Nothing breaks a page


def test_hostile_text_is_text_on_the_page(written: tuple[Path, list[Record]]) -> None:
    parsed = Page(alone(written))
    assert parsed.tags["script"] == 1, "only the page's own"
    parsed = Page(page(written))
    assert parsed.tags["script"] == 1, "and none in what opens"
    assert not parsed.handlers
    assert "".join(parsed.text).count("<script>alert('no')</script>") > 10, "and it is there to be read"


def test_hostile_text_breaks_no_row_of_pytest_htmls_table(written: tuple[Path, list[Record]]) -> None:
    for record in written[1]:
        cells = pytest_html.row(['<td class="col-result">Failed</td>'], record)
        assert len(cells) == len(pytest_html.header(["<th>Result</th>"])), "one cell a heading"
        parsed = Page("<table><tr>" + "".join(cells) + "</tr></table>")
        assert not parsed.tags["script"] and not parsed.handlers
        assert not any("\n" in cell for cell in cells)
        for cell in cells:  # pytest-html takes a cell apart with this expression
            assert cell.count("<td") == 1 and re.search(r"<td.*?>(.*?)</td>", cell)
    assert not Page(pytest_html.summary(RecordBook(written[1], Path("nowhere")), True, {HOSTILE: HOSTILE})).handlers


def test_markdown_cells_hold_what_they_were_given(written: tuple[Path, list[Record]]) -> None:
    root, records = written
    text = filed(root)
    assert text == forge(RecordBook(records, root))
    assert "<script" not in text and "\\<" not in text
    tables = re.findall(r"(?m)^\|.*\|$(?:\n^\|.*\|$)+", text)
    assert len(tables) > 10
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, f"a cell ended early: {table[:200]}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a | b", "a \\| b"),
        ("<b>", "&lt;b&gt;"),
        ("a\nb", "a b"),
        ("x_y*", "x\\_y\\*"),
        ("\\", "\\\\"),
        ("&amp;", "&amp;amp;"),
        ("run `a_b`", "run `a_b`"),
        ("`a|b`", "\\`a\\|b\\`"),
    ],
)
def test_markdown_escapes_every_sign_with_a_meaning(text: str, wanted: str) -> None:
    assert escaped(text) == wanted


def test_latex_escapes_every_sign_with_a_meaning() -> None:
    assert tex("50 % & $x_1$ #{~^}\\") == (
        r"50 \% \& \$x\_1\$ \#\{\textasciitilde{}\textasciicircum{}\}\textbackslash{}"
    )


def test_latex_rows_have_as_many_cells_as_the_head(written: tuple[Path, list[Record]]) -> None:
    lines = [line for line in as_latex(RecordBook(written[1], written[0])).splitlines() if line.endswith(r"\\")]
    assert len(lines) == len(written[1]) + 1
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {5}


def test_a_cell_of_the_csv_is_no_formula(written: tuple[Path, list[Record]]) -> None:
    record = deepcopy(written[1][0])
    record.sentence = "=cmd|' /C calc'!A0"
    row = next(csv.DictReader(io.StringIO(as_csv(RecordBook([record], Path("nowhere"))))))
    assert row["sentence"].startswith("'=")


def test_a_script_of_details_ends_no_line_and_no_element_before_its_end() -> None:
    said = {"rows": {"a": "one\u2028two\u2029three</script>"}, "claims": {}}
    text = script_of("a", said)
    assert len(text.splitlines()) == 1 and details(text) == said


# Self-contained, stable, small


def test_the_page_loads_nothing(written: tuple[Path, list[Record]]) -> None:
    parsed = Page(alone(written))
    assert all(load.startswith(("figures/", "#g-")) for load in parsed.loads), "and parts of its own drawings"
    assert "url(" not in alone(written).split("</style>")[0] and "@import" not in alone(written)
    beside = {link for link in parsed.links if not link.startswith("#")}
    assert beside and all((written[0] / "artifacts/report" / link).is_file() for link in beside)
    opened = Page(page(written))
    lead = {link.partition("#")[0] for link in opened.links if not link.startswith("#")}
    assert {link for link in lead if not (written[0] / "artifacts/report" / link).is_file()} == {
        "../../claims/test_induction.py"  # which the sample does not have
    }
    assert all((written[0] / "artifacts/report" / load).is_file() for load in opened.loads if load[0] != "#")
    assert {load[1:] for load in opened.loads if load[0] == "#"} <= set(opened.ids)


def test_every_link_leads_somewhere_and_no_id_stands_twice(written: tuple[Path, list[Record]]) -> None:
    parsed = Page(page(written))
    assert len(parsed.ids) == len(set(parsed.ids))
    filters = {f"verdict={word.replace(' ', '%20')}" for word in WORDS}
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids) | filters
    root, records = written
    for record in records:
        cell = pytest_html.row(["<td></td>"], record)[3]
        assert {link.removeprefix("report.html#") for link in Page(cell).links} <= set(parsed.ids)
    pages = {path.name: path.read_text() for path in (root / RECORD).glob("*.md")}
    anchors = {name: re.findall(r'<a id="([^"]+)">', text) for name, text in pages.items()}
    everything = [anchor for found in anchors.values() for anchor in found]
    assert len(everything) == len(set(everything)) and {row.anchor for row in claim_rows(records)} <= set(everything)
    links = [link for text in pages.values() for link in re.findall(r"(?<!\\)\]\(([^)]+)\)", text)]
    for link in links:
        file, _, anchor = link.partition("#")
        code = file == "../../" + records[0].file
        assert code or link.startswith("../evidence/") or (root / RECORD / file).is_file(), link
        if code:
            assert anchor in {f"L{record.line}" for record in records}, "the line of a claim"
            continue
        assert not anchor or anchor in anchors[file] or (file, anchor) == ("README.md", "models")
    assert sum(link.startswith("../figures/") for link in links) >= 7


def test_two_writes_are_the_same_bytes_and_the_order_of_records_does_not_matter(
    written: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    root, records = written
    meta = {"device": HOSTILE, "started": "2026-01-02 03:04"}
    before = {path: path.read_bytes() for path in (root / "artifacts/figures").iterdir()}
    text = (root / "REPORT.md").read_bytes()
    for folder, ordered in ((tmp_path / "a", records), (tmp_path / "b", records[::-1])):
        write(RecordBook(ordered, root), folder, meta=meta)
    write(RecordBook(records, root), tmp_path / "a", meta=meta)  # over its own results: nothing has changed
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert {path: path.read_bytes() for path in (root / "artifacts/figures").iterdir()} == before
    assert (root / "REPORT.md").read_bytes() == text


def test_the_committed_report_names_no_date_no_device_and_no_folder(written: tuple[Path, list[Record]]) -> None:
    text = filed(written[0])
    assert "2026" not in text and str(written[0]) not in text
    assert "OLDER INSTRUMENTS" not in text, "which depends on the libraries of this machine"
    assert "OLDER INSTRUMENTS" in page(written)


def hundred(root: Path) -> list[Record]:
    """Twenty functions on five models, each with evidence, twins and figures of its own."""
    made = Sample(root)
    for number in range(20):
        made.line = number
        for seed, model in enumerate(MINIS):
            data = heads_measurement(seed + 10 * number, {"1.4": 0.8, "2.2": 0.5}, spread=0.2)
            name = f"evidence_{number}"
            read = made.file(name, model, data)
            twins = [made.file(name, f"{model}@{twin}", data) for twin in ("untrained", "permuted")]
            shown = [ShownFigure("heads_by_layer", "all heads", read, HEADS)]
            made.add(
                f"test_{'a_long_name_' * 6}{number}",
                "A sentence of the length that sentences have, and then more. " * 3,
                model,
                estimate(data["1.4"].array, data.strata) >= 0.4,
                twin="controlled",
                twins=twin_entries(model=model),
                evidence=[read],
                twin_evidence=twins,
                shown=shown,
            )
    return made.records


def test_a_hundred_verdicts_with_long_sentences_take_at_most_two_hundred_kilobytes_of_page(tmp_path: Path) -> None:
    records = hundred(tmp_path)
    assert len(records) == 100
    made = pages(RecordBook(records, tmp_path))
    assert len(made.html.encode()) - len(pages(RecordBook([], tmp_path)).html.encode()) <= 200_000
    assert sum(len(text.encode()) for text in (*made.topics.values(), *made.figures.values())) <= 2_000_000


# For machines


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["value", "low", "df"])
def test_numbers_that_are_no_json_are_refused_before_they_are_in_a_record(
    name: str, number: float, written: tuple[Path, list[Record]]
) -> None:
    comparison = written[1][0].comparison
    assert comparison is not None
    with pytest.raises(ValueError, match=f"{name} {number}: neither NaN nor infinity is JSON"):
        msgspec.structs.replace(comparison.estimate, **{name: number})
    with pytest.raises(ValueError, match=f"p_refuted {number}: neither"):
        msgspec.structs.replace(comparison, p_refuted=number)


def test_the_csv_says_the_same_as_the_json(written: tuple[Path, list[Record]]) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(RecordBook(written[1], written[0])))))
    for row, entry in zip(rows, results(RecordBook(written[1], written[0])).claims, strict=True):
        assert row["id"] == entry.id and row["verdict"] == entry.verdict
        assert row["estimate"] == ("" if entry.estimate is None else str(entry.estimate))


# What a reader must find


def test_every_claim_stands_on_the_page_with_its_word_its_numbers_and_its_link(
    written: tuple[Path, list[Record]],
) -> None:
    records = written[1]
    parsed = Page(page(written))
    text = "".join(parsed.text).replace("`", "")  # `code` is shown as code
    for record in deepcopy(records):
        record.message = record.message.replace("`", "")
        for name in ("sentence", "source", "why"):
            setattr(record, name, getattr(record, name).replace("`", ""))
        record.history, record.flags = (
            [line.replace("`", "") for line in lines] for lines in (record.history, record.flags)
        )
        assert f"claim={record_anchor(record)}" in parsed.ids
        assert record.sentence in text and record.source in text
        if record.verdict != "SUPPORTED":
            assert record.message in text
        assert record.why in text and record.controlled.why in text
        assert all(line in text for line in (*record.history, *record.flags))
        for twin in record.twins:
            assert twin.word == "ERROR" or record.twin in text
    counts = Counter(record.verdict for record in records)
    for word in WORDS:
        assert re.search(rf"<b>{counts[word]}</b>.{{0,120}}{word}", alone(written), re.DOTALL)


def test_what_failed_is_as_much_in_sight_as_what_held(written: tuple[Path, list[Record]]) -> None:
    shown = rows(alone(written)).values()
    assert len(shown) == len(written[1])
    words = re.findall(r'data-v=(?:"([^"]+)"|([^ >]+))', "".join(shown))
    assert Counter(one or other for one, other in words) == Counter(record.verdict for record in written[1])
    without = sum(record.comparison is None for record in written[1])
    assert sum("class=why" in row for row in shown) == without > 0, "what has no number says why"


def test_models_stand_beside_the_claims_with_weights_and_held_out_figures(written: tuple[Path, list[Record]]) -> None:
    for text in (page(written), filed(written[0])):
        assert "859,264" in text and "abababababababab" in text and "124,439,808" in text
        assert "0.974" in text and "repeat nats" in text


def test_the_null_histogram_marks_the_effect_of_the_selection_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    made = Sample(tmp_path)
    values = rng.normal(0.0, 0.1, 200)
    of = "what a set restores, in logits (layer, kind and size; 200 drawn of 2,925)"
    null = Measurement(values, tuple(f"set {i}" for i in range(200)), "set of heads", of=of)
    path = made.file("others", "mini-0", null)
    effect = Measurement(rng.normal(1.25, 0.2, 300), tuple(f"s{i}" for i in range(300)), "sequence")
    verdict = above_null(effect, replace(null, source=path)) >= 0
    record = made.add("test_more_than_others", "s", "mini-0", verdict, evidence=[path])
    text = whole(RecordBook(made.records, tmp_path))
    marked = re.search(r"the selection: ([\d.]+)", text)
    assert marked is not None and float(marked.group(1)) == pytest.approx(effect.array.mean(), abs=5e-4)
    assert (
        "over 200 sets of heads matched by layer, kind and size; 200 drawn of 2,925: what a set restores, in logits;"
        in text
    )
    percentile = sorted(values)[189]  # 190 of 200 do not exceed it
    assert (
        f"mini-0: 95th percentile {percentile:.3f}; the selection {effect.array.mean():.3f}, above 200 of 200" in text
    )
    (histogram,) = pages(RecordBook(made.records, tmp_path)).figures.values()
    (line,) = re.findall(r'class="b" d="M([\d.]+) 0V64"><title>95th percentile', histogram)
    zero = re.findall(r'class="z" d="M([\d.]+) 0V64"', histogram)[-1]
    at_effect = re.findall(r'class="s" d="M([\d.]+) 4V64"', histogram)[-1]
    place = (float(line) - float(zero)) / (float(at_effect) - float(zero))
    assert place == pytest.approx(percentile / effect.array.mean(), abs=2e-3)
    record.shown = [ShownFigure("distribution", "Others", path, None)]
    (asked,) = asked_figures([record], EvidenceFiles(tmp_path / "artifacts/evidence"))
    assert asked.caption.startswith("Others (Null distribution over 200 sets of heads")
    drawn = str(asked.panels[0][1]).removeprefix("<svg ")
    assert drawn in histogram and asked.panels[0][0] in text, "the same where a claim asks for it"


def test_one_mean_over_a_set_of_prompts_is_no_null_distribution(tmp_path: Path) -> None:
    made = Sample(tmp_path)
    means = Measurement(np.array([[0.5, 0.1]]), ("all",), "set of prompts", columns=("0.0", "0.1"), of="restored")
    path = made.file("restored_on_average", "mini-0", means)
    made.add("test_heads", "s", "mini-0", estimate(np.linspace(0, 1, 50)) >= 0.1, evidence=[path])
    assert "Null distribution" not in whole(RecordBook(made.records, tmp_path))


def test_a_verdict_that_a_correction_takes_away_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = Sample(tmp_path)
    for number in range(30):
        made.add(f"test_{number}", "s", "mini-0", estimate(rng.normal(0.03 if number == 0 else 0, 0.2, 400)) >= 0.0)
    write(RecordBook(made.records, tmp_path), tmp_path / "out")
    assert re.search("mini-0: INCONCLUSIVE after Holm's( and BH's)? correction", filed(tmp_path))
    assert "Holm: INCONCLUSIVE" in everything(tmp_path / "out")


def test_what_a_claim_came_to_from_commit_to_commit_opens_with_it(tmp_path: Path) -> None:
    book = RecordBook(sample(tmp_path), tmp_path)
    moved, other = book.records[0].id, book.records[1].id
    first = Point("0a1b2c3d", "2026-11-20", "One.", "REFUTED", 0.1, 0.05, 0.15, "≥ 0.40")
    gone, last = (
        Point("1a1b2c3d", "2026-11-21", "Two.", GONE),
        Point("2a1b2c3d", "2026-11-22", "3.", "VOID", 0.6, 0.5, 0.7),
    )
    book.past = {record.id: [] for record in book.records} | {moved: [first, gone, last], other: [last]}
    assert book.records[0].id == moved
    opened = {link: html for text in pages(book).topics.values() for link, html in details(text)["rows"].items()}
    (shown,) = (html for html in opened.values() if "<dt>History" in html)
    assert f'pytest --frozen "{moved}"' in shown
    assert re.findall(r"2026-11-2\d [012]a1b2c3d", shown) == [f"{one.date} {one.commit}" for one in (first, gone, last)]
    assert shown.count("<circle") == 2 and "not there" in shown and "0.600" in shown


def test_not_run_claims_name_the_command(written: tuple[Path, list[Record]]) -> None:
    assert "mechlib fetch gpt2-small" in page(written)
    assert "mechlib fetch gpt2-small" in filed(written[0])


def test_an_unreadable_evidence_file_is_said_and_ends_nothing(tmp_path: Path) -> None:
    records = sample(tmp_path)
    broken = tmp_path / "artifacts/evidence" / records[0].evidence[0]
    broken.write_bytes(broken.read_bytes().replace(b"0.9", b"0.1", 1))
    (tmp_path / "artifacts/evidence" / records[1].evidence[0]).write_bytes(b"\x00 no json\n")
    text = whole(RecordBook(records, tmp_path))
    assert "does not match" in text or "do not match" in text
    assert text.count("unreadable") >= 3


def test_a_selection_is_marked_and_leaves_the_committed_report_alone(tmp_path: Path) -> None:
    records = sample(tmp_path)
    write(RecordBook(records[:3], tmp_path), tmp_path / "partial", partial=True)
    assert "PARTIAL" in (tmp_path / "partial/report.html").read_text()
    assert not (tmp_path / "REPORT.md").exists() and not (tmp_path / "artifacts/figures").exists()


def test_committed_figures_are_drawings_by_themselves_and_load_nothing(written: tuple[Path, list[Record]]) -> None:
    figures = sorted((written[0] / "artifacts/figures").glob("*.svg"))
    assert len(figures) == 7
    for figure in figures:
        tree = ElementTree.fromstring(figure.read_text())
        assert tree.tag == "{http://www.w3.org/2000/svg}svg" and len(figure.name) <= 119
        names = {name.rpartition("}")[2] for element in tree.iter() for name in element.keys()}
        assert not names & {"href", "src", "onload"} and "url(" not in figure.read_text()
        width, height = float(tree.get("width", 0)), float(tree.get("height", 0))
        panels = tree.findall("{http://www.w3.org/2000/svg}svg")
        assert panels
        for panel in panels:
            x, y, wide, tall = (float(panel.get(name, 0)) for name in ("x", "y", "width", "height"))
            assert x + wide <= width and y + tall <= height, "no panel leaves the sheet"
        below = [text for text in tree.iter("{http://www.w3.org/2000/svg}text") if text.get("class") == "axis"]
        if "forest" not in figure.name:
            assert below[0].text.split(": ")[0] in ("across", "upwards", "colour", "width"), "its values are named"
        ends = [float(panel.get("y", 0)) + float(panel.get("height", 0)) for panel in panels]
        for place, line in enumerate(below):
            assert max(ends) < float(line.get("y", 0)) - 6 < height - 6, "below all panels, on the sheet"
            assert len(line.text) * 6.2 <= width, f"line {place} fits"


def test_figures_that_no_claim_shows_any_more_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts/figures"
    folder.mkdir(parents=True)
    (folder / "old.svg").write_text("<svg/>")
    (folder / "by_hand.png").write_bytes(b"kept")
    write(RecordBook(sample(tmp_path)[:1], tmp_path), tmp_path / "out")
    assert not (folder / "old.svg").exists() and (folder / "by_hand.png").exists()


def test_nothing_judged_is_a_report_too(tmp_path: Path) -> None:
    record = Record("claims/test_a.py::test_b", "a", "test_b", "", verdict="ERROR", message="collection failed")
    for records in ([], [record]):
        write(RecordBook(records, tmp_path), tmp_path / "out")
        Page(everything(tmp_path / "out"))
        assert verdict_table(RecordBook(records, tmp_path), width=80)


def test_corrections_are_made_over_all_comparisons_of_one_model() -> None:
    rng = np.random.default_rng(0)
    made = Sample(Path("unused"))
    weak = estimate(rng.normal(0.03, 0.2, 400)) >= 0.0
    for number in range(30):
        made.add(f"test_{number}", "s", "mini-0", weak if number == 0 else estimate(rng.normal(0, 0.2, 400)) >= 0.0)
    made.add("test_alone", "s", "mini-1", weak)
    assert weak.word == "SUPPORTED"
    words = RecordBook(made.records, Path("nowhere")).corrected
    assert words[made.records[0].id] == {"Holm": "INCONCLUSIVE", "BH": "INCONCLUSIVE"}
    assert words[made.records[-1].id] == {"Holm": "SUPPORTED", "BH": "SUPPORTED"}, "a family of one is not corrected"


# Order, words, the terminal, and what changed


def test_claims_stand_in_the_order_of_their_file_and_models_in_natural_order() -> None:
    made = Sample(Path("unused"))
    for line, function in ((20, "test_a"), (3, "test_z")):
        made.line = line
        for model in ("gpt2-small", "mini-10", "mini-9"):
            made.add(function, "s", model, None)
    rows = claim_rows(made.records)
    assert [row.function for row in rows] == ["test_z", "test_a"]
    assert [record.model for record in rows[0].records] == ["mini-9", "mini-10", "gpt2-small"]
    assert models_of(made.records) == ["mini-9", "mini-10", "gpt2-small"]


@pytest.mark.parametrize(
    ("identity", "model", "wanted"),
    [
        ("f.py::test_a[mini-0]", "mini-0", ""),
        ("f.py::test_a[mini-0-zero]", "mini-0", "zero"),
        ("f.py::test_a[zero-mini-0-3]", "mini-0", "zero-3"),
        ("f.py::test_a", "", ""),
        ("f.py::test_a[x]", "", "x"),
        ("f.py::test_a[.-own-zero]", "./own", "zero"),
        ("f.py::test_a[home-me-own]", "/home/me/own", ""),
    ],
)
def test_a_variant_is_what_the_id_says_besides_the_model(identity: str, model: str, wanted: str) -> None:
    assert variant(Record(identity, "t", "test_a", "s", model=model)) == wanted


def test_the_headline_counts_every_verdict_once(written: tuple[Path, list[Record]]) -> None:
    text = RecordBook(written[1], written[0]).headline
    assert sum(
        int(n) for n in re.findall(r"(\d+) (?:SUPPORTED|REFUTED|INCONCLUSIVE|VOID|GATED|NOT RUN|ERROR)", text)
    ) == len(written[1])


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_the_terminals_table_keeps_its_width_and_holds_every_word(
    width: int, written: tuple[Path, list[Record]]
) -> None:
    table = verdict_table(RecordBook(written[1], written[0]), width=width)
    assert max(map(len, table.splitlines())) <= width
    body = table.split("\n\n")[0]
    for word, n in Counter(record.verdict for record in written[1]).items():
        wide = len(re.findall(rf"(?<=\s){word}(?=~?\*?\s|~?\*?$)", body))
        assert wide == n if width == 160 else wide >= 1, word


def former(book: RecordBook) -> FormerResults:
    """What a later run reads of these results."""
    return msgspec.json.decode(msgspec.json.encode(results(book)), type=FormerResults)


def test_a_difference_names_each_verdict_bound_and_number_that_moved(written: tuple[Path, list[Record]]) -> None:
    records = deepcopy(written[1])
    old = former(RecordBook(records, Path("nowhere")))
    assert difference(old, RecordBook(records, Path("nowhere"))) == []
    moved = next(record for record in records if record.verdict == "SUPPORTED" and record.comparison)
    assert moved.comparison is not None
    number = msgspec.structs.replace(moved.comparison.estimate, value=moved.comparison.estimate.value + 0.01)
    moved.verdict = "REFUTED"
    moved.comparison = msgspec.structs.replace(moved.comparison, bound=">= 0.99", estimate=number)
    gone = records.pop()
    book = RecordBook(records, Path("nowhere"))
    line, last = difference(old, book)
    assert "SUPPORTED -> REFUTED" in line and ">= 0.99" in line and " -> " in line.rsplit(";", 1)[1]
    assert last == f"gone: {gone.id.partition('.test_')[2]} was {gone.verdict}"
    assert difference(old, book, whole=False) == [line], "a selection does not report what it left out"
    assert "SUPPORTED -> REFUTED" in verdict_table(book, former=old, width=120)
    assert "gone: " in verdict_table(book, former=old, width=120)
    assert "gone: " not in verdict_table(book, former=old, width=120, partial=True)
    assert "changed since" not in verdict_table(book, former=former(book), width=120)


def test_changes_since_the_last_run_stand_on_the_page(tmp_path: Path) -> None:
    records = sample(tmp_path)
    write(RecordBook(records, tmp_path), tmp_path / "out")
    assert 'id="changes"' not in everything(tmp_path / "out")
    records[0].verdict = "REFUTED"
    write(RecordBook(records, tmp_path), tmp_path / "out")
    assert "verdict SUPPORTED -&gt; REFUTED" in everything(tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("run `a <b>` *now*", "run <code>a &lt;b&gt;</code> <em>now</em>"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("**x**", "**x**"),
        ("`a *b* c`", "<code>a *b* c</code>"),
        ("<i>", "&lt;i&gt;"),
        ("a ` b", "a ` b"),
        ("` onload=`", "<code> onload=</code>"),
    ],
)
def test_code_and_emphasis_of_docstrings_are_shown_as_meant_and_all_else_as_text(text: str, wanted: str) -> None:
    assert prose(text) == wanted


def test_every_word_has_a_sign_of_its_own() -> None:
    assert len(set(SIGNS.values())) == len(WORDS) and set(SIGNS) == set(WORDS)


# pytest-html itself


CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.helpers.sample_record import sample
from mechlib.report.outputs.pytest_html import Page
from mechlib.report.content.evidence_files import EvidenceFiles
from mechlib.report.content.history import GONE, Point
from mechlib.report.content.record_book import RecordBook

HOUSE = Path({house!r})
RECORDS = {{record.id: record for record in sample(HOUSE)}}

def record_of(report):
    return next((RECORDS[value] for name, value in report.user_properties if name == "id"), None)

def pytest_configure(config):
    evidence = EvidenceFiles(HOUSE / "artifacts/evidence")
    book = RecordBook(RECORDS.values(), HOUSE, evidence)
    page = Page(list(RECORDS.values()), record_of, HOUSE, False, lambda: book, lambda: {{"device": "cpu"}})
    config.pluginmanager.register(page)
"""
CLAIMS = """
import pytest
from conftest import RECORDS

@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_claim(number, record_property):
    record = list(RECORDS.values())[number]
    record_property("id", record.id)
    if not record.ok:
        pytest.fail("no")
"""


def test_pytest_html_keeps_a_row_of_what_broke_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.format(root=str(ROOT), house=str(tmp_path / "house")))
    (tmp_path / "test_claims.py").write_text(CLAIMS)
    (tmp_path / "test_broken.py").write_text("def test(:")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command += ["--rootdir", str(tmp_path), "-c", "/dev/null", "--html", "run.html", "--self-contained-html"]
    subprocess.run(command, cwd=tmp_path, capture_output=True)
    text = (tmp_path / "run.html").read_text()
    parsed = Page(text)
    assert set(parsed.loads) == {""}, "the empty pictures of pytest-html's own template"
    assert "report.html" in parsed.links and len(text.encode()) <= 300_000
    blob = re.search(r'data-jsonblob="([^"]*)"', text)
    assert blob is not None
    data = json.loads(html.unescape(blob.group(1)))
    tests = [test for entries in data["tests"].values() for test in entries]
    broken = [record for record in sample(tmp_path / "house") if not record.ok]
    assert broken and len(tests) == len(broken) + 1, "and the file that could not be collected"
    kept = " ".join(" ".join(test["resultsTableRow"]) for test in tests)
    assert all(f'href="report.html#claim={record_anchor(record)}"' in kept for record in broken)


class Phase:
    """What pytest reports of one phase of a test."""

    def __init__(self, when: str, passed: bool = True, header: str = "") -> None:
        self.when, self.passed, self.nodeid = when, passed, "claims/a/test_b.py::test_c"
        self.sections = [(header, "said")] if header else []


def test_a_row_is_made_once_for_a_test_and_not_for_each_of_its_phases(tmp_path: Path) -> None:
    hooks = pytest_html.Page([], lambda _: None, tmp_path, False, lambda: RecordBook([], tmp_path), dict)
    made = {}
    for phase in (
        Phase("setup"),
        Phase("call"),
        Phase("teardown"),
        Phase("setup", passed=False),
        Phase("teardown", header="Captured stdout call"),
        Phase("teardown", header="Captured stdout teardown"),
    ):
        cells = ["<td>Passed</td>", "<td>name</td>"]
        hooks.pytest_html_results_table_row(phase, cells)
        made[phase.when, phase.passed, *(header for header, _ in phase.sections)] = bool(cells)
    assert made == {
        ("setup", True): False,
        ("call", True): False,  # nothing broke
        ("teardown", True): False,
        ("setup", False): True,
        ("teardown", True, "Captured stdout call"): False,
        ("teardown", True, "Captured stdout teardown"): True,
    }


def test_each_output_reads_one_book_that_draws_each_figure_once(
    written: tuple[Path, list[Record]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, records = written
    drawn: Counter[tuple[str, str, int]] = Counter()
    for name in ("heads_by_layer", "attention_pattern", "distribution", "by_stratum"):
        draw = getattr(charts, name)

        def counting(data: Measurement, *rest: object, name: str = name, draw=draw, **more: object) -> object:
            if not more.get("small"):
                drawn[name, data.source, id(data)] += 1
            return draw(data, *rest, **more)

        monkeypatch.setattr(charts, name, counting)
    book = RecordBook(records, root)
    write(book, tmp_path)
    again = sum(drawn.values())
    assert again and set(drawn.values()) == {1}
    assert forge(book) == filed(root)
    assert sum(drawn.values()) == again, "REPORT.md draws nothing again"
