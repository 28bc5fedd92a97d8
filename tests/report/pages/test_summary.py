"""What stands around the claims: forests of topics, files to take along, the checklist, how often it is wrong."""

from __future__ import annotations

import json
import math
import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mechlib.report.content.record_book import RecordBook
from mechlib.report.data.checklist import checklist, first_to_fail
from mechlib.report.data.crate import FILES
from mechlib.report.pages.claims import claims_of
from mechlib.report.pages.files import downloads
from mechlib.report.pages.forest import MOST, forest, to_bound
from mechlib.report.pages.often_wrong import false_support
from mechlib.report.pages.page import pages
from mechlib.statistics.estimate import Estimate
from mechlib.verdicts.reported import Reported
from tests.helpers.sample_record import Sample, estimate, sample
from tests.report.pages.conftest import CALIBRATION, ROOT, made_values

# Forests


@pytest.mark.parametrize("bounds", [((">=", 0.3),), (("<=", 0.3),), ((">=", 0.2), ("<=", 0.4)), ((">", 0.3),)])
def test_an_interval_leaves_out_its_bound_in_the_forest_exactly_where_it_does_in_truth(
    tmp_path: Path, bounds: tuple[tuple[str, float], ...]
) -> None:
    rng, made, words = np.random.default_rng(3), Sample(tmp_path), set()
    for number in range(120):
        middle, low, high = rng.normal(0.3, 0.15), *rng.gamma(2, 0.02, 2)  # arms are not alike
        found = Estimate(middle, middle - low, middle + high, 50, "prompt", "prompts", "bootstrap-t", 0.02)
        record = made.add(f"test_{number}", "s", "mini-0", found.held_against(bounds), twin="controlled")
        mark = to_bound(record)
        assert mark is not None and mark.low is not None and mark.value is not None and mark.high is not None
        assert mark.low <= mark.value <= mark.high
        said = "SUPPORTED" if mark.low > 0 else "REFUTED" if mark.high < 0 else "INCONCLUSIVE"
        assert said == record.verdict and (abs(mark.value) > 1) == (said != "INCONCLUSIVE")
        words.add(said)
    assert words == {"SUPPORTED", "REFUTED", "INCONCLUSIVE"}


def test_an_exact_number_lies_beyond_the_axis_or_on_its_bound(tmp_path: Path) -> None:
    made = Sample(tmp_path)
    away = []
    for number, value in enumerate((0.2, 0.5, 0.4)):
        exact = Estimate(value, value, value, 1, "none", "this checkpoint", "exact", 0.0)
        mark = to_bound(made.add(f"test_{number}", "s", "", exact >= 0.4, twin="none"))
        away.append(mark and mark.value)
    assert away == [-math.inf, math.inf, 0.0]
    drawn = str(forest(claims_of(RecordBook(made.records, tmp_path).rows)).drawn)  # type: ignore[union-attr]
    assert not re.search(r'[dxy12]="[^"]*(nan|inf)', drawn), drawn
    assert len(re.findall(r'class="f" d="M(1|159) ', drawn)) == 2, "arrows at both edges"


def test_which_claims_a_forest_shows_hangs_on_no_outcome_and_primary_sentences_come_first(tmp_path: Path) -> None:
    made = Sample(tmp_path)
    for number in range(MOST + 4):
        made.line = number
        said = Reported(0.5, "a paper", primary=True) if number == MOST + 2 else None
        verdict = None if number == 1 else estimate(made_values(number)) >= (0.4 if number % 2 else 0.9)
        made.add(f"test_{number}", f"sentence {number}", "mini-0", verdict, twin="controlled", reported=said)
    found = forest(claims_of(RecordBook(made.records, tmp_path).rows))
    assert found is not None and (found.shown, found.of) == (MOST, MOST + 4)
    links = [int(n) for n in re.findall(r'href="#claim=induction\.(\d+)"', str(found.drawn))]
    assert links == [MOST + 2, 0, *range(2, MOST)], "the one without a number left out"
    counted = [int(n) for n in re.findall(r"\d+", found.said)]
    assert counted[0] == MOST == sum(counted[1:]) and len(counted) == 4


def test_each_topic_has_its_forest_on_the_page_below_the_counts(page: Any) -> None:
    assert page.locator(".forests .panel").count() >= 3
    names = page.locator(".forests .panel .name a").all_inner_texts()
    linked = page.locator(".forests .panel .name a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert all(page.locator(f"[id='{link[1:]}'] h2").count() == 1 for link in linked) and len(set(names)) == len(names)
    counts, forests = page.locator("ul.counts").first.bounding_box(), page.locator(".forests").bounding_box()
    assert counts["y"] + counts["height"] < forests["y"] < 900, "the counts stay on the first screen"
    row = page.locator(".forests svg a").first
    row.click()
    wanted = row.get_attribute("href")
    page.wait_for_function("wanted => location.hash === wanted", arg=wanted)
    assert page.locator(f"[id='{wanted[1:]}']").evaluate("one => one.matches('.found')")


def test_names_of_topics_stand_whole_above_the_drawing_and_do_not_touch(page: Any) -> None:
    names = page.locator("svg.map text.u")
    assert names.all_text_contents() == page.locator("nav tbody th").all_inner_texts()
    boxes = sorted((box["x"], box["x"] + box["width"]) for box in [one.bounding_box() for one in names.all()])
    assert all(end <= start for (_, end), (start, _) in pairwise(boxes)), boxes
    assert boxes[-1][1] <= page.evaluate("innerWidth")


def test_claims_over_models_have_their_sentences_whole(page: Any) -> None:
    page.locator("section[data-topic=odd] details.matrix summary").click()
    table = page.locator("section[data-topic=odd] .matrix tbody th")
    table.first.wait_for()
    heads = page.locator("section[data-topic=odd] h3").evaluate_all("all => all.map(one => one.firstChild.textContent)")
    assert table.all_text_contents() == heads and max(map(len, heads)) > 400


def test_figures_beside_the_page_name_what_their_axis_has(tmp_path: Path) -> None:
    book = RecordBook(sample(tmp_path), tmp_path)
    named = {" ".join(f.axis.split()) for row in book.rows for f in book.figures(row) if f.panels and f.axis}
    lines = [re.findall(r'class="axis"[^>]*>([^<]+)', text) for text in pages(book).figures.values()]
    said = {" ".join(unescape(" ".join(wrapped)).split()) for wrapped in lines}
    assert len(named) >= 2 and named <= said


# Files


def linked(folder: Path) -> set[str]:
    """What the page links beside itself."""
    found = re.findall(r'href="([^"#]+)"', (folder / "report.html").read_text())
    return {unescape(link) for link in found if not link.startswith("figures/")}


def test_whatever_a_report_writes_is_linked_and_no_link_is_dead(folder: Path) -> None:
    parts = {"report.html", "topics", "figures"}
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wanted = {name for name in written if name.split("/")[0] not in parts}
    assert {"results.json", "results.schema.json", "ro-crate-metadata.json", "tables/all.tex"} < wanted
    assert wanted == linked(folder)
    assert all((folder / link).is_file() for link in linked(folder))


def test_files_of_the_paper_and_of_the_run_are_linked_where_they_are(tmp_path: Path) -> None:
    names = {"paper.pdf", "references.bib", "citation.bib", "numbers.tex", "run.html", "tables/all.tex", "results.csv"}
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    links = [link for _, found in downloads(tmp_path) for link, _ in found]
    assert set(links) == names and len(links) == len(names)
    assert downloads(tmp_path / "nothing") == []


def test_what_is_listed_for_archives_is_linked(tmp_path: Path) -> None:
    elsewhere = {"report.html", "topics/*.js", "figures/*.svg", "features-*.html", "*.bib"}  # the page and its parts
    listed = {glob.replace("*", "all") for glob in {glob for glob, *_ in FILES} - elsewhere}
    for name in (*listed, "references.bib", "citation.bib"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    links = {link for _, found in downloads(tmp_path) for link, _ in found}
    assert links == {*listed, "references.bib", "citation.bib"}


# The checklist and how often the record is wrong


def test_the_checklist_on_the_page_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = RecordBook(sample(tmp_path), tmp_path)
    answers = checklist(book)[::-1]  # of the sample, what fails first would stand first
    monkeypatch.setattr("mechlib.report.pages.page.checklist", lambda asked: answers if asked is book else [])
    section = re.search(r'<section id="checklist">(.*?)</section>', pages(book).html, re.DOTALL)
    assert section is not None
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td class="num">([\d,]+) of ([\d,]+)</td>', section[1])
    assert [(item.split(" <")[0], int(held), int(of)) for item, held, of in rows] == [
        (answer.item, answer.held, answer.of) for answer in answers
    ]
    worst = first_to_fail(answers)
    assert worst is not None and worst != answers[0]
    assert [item.split(" <")[0] for item, *_ in rows if "fails first" in item] == [worst.item]
    ids = set(re.findall(r'id="?(claim=[^" >]+)', pages(book).html))
    links = re.findall(r'href="#(claim=[^"]+)"', section[1])
    assert len(links) == sum(bool(answer.lacking) for answer in answers) > 3 and set(links) <= ids


def test_the_figure_of_false_support_has_a_mark_a_rate_and_reddens_what_breaks_its_promise(tmp_path: Path) -> None:
    filed = json.loads((ROOT / CALIBRATION).read_text())
    promised = [(cell, re.search(r"false ([\d.]+) %", cell["promise"])) for cell in filed["cells"]]
    rates = [(cell[f"false_at_{side}"], float(p[1])) for cell, p in promised if p for side in ("least", "most")]
    drawn = str(false_support(ROOT))
    broken = sum(100 * low > limit for (_, low, _), limit in rates)
    assert len(rates) > 100 and drawn.count('<g class="') == len(rates)
    assert drawn.count('<g class="refuted"') == broken and f"of {len(rates)} rates of false support {broken} " in drawn
    assert "worlds in which a false claim is SUPPORTED" in drawn and re.search(r">2 %</text>", drawn)
    assert {unescape(name) for name in re.findall(r'class="r"[^>]*>([^<]+)<', drawn)} == {
        cell["branch"] for cell, p in promised if p
    }
    assert max(high for (_, _, high), _ in rates) <= 0.08, "none beyond the axis"
    assert false_support(tmp_path) == ""


@pytest.mark.parametrize("text", ["", "[]", '{"cells": [{}]}', '{"cells": 3}', "\x00"])
def test_a_file_of_another_form_is_no_figure_and_ends_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / CALIBRATION).parent.mkdir()
    (tmp_path / CALIBRATION).write_text(text)
    assert false_support(tmp_path) == ""
    assert "is of another form" in pages(RecordBook([], tmp_path)).html
