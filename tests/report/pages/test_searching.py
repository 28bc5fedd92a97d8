"""A reader finds a claim: by words, by filters, by an address, by keys; in a browser, from a folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from mechlib.report.content.record_book import RecordBook
from mechlib.report.pages.page import run_of
from tests.helpers.sample_record import SENTENCE, sample
from tests.report.pages.conftest import ARABIC, LONG, SEPARATED

HEADS = "induction.some_head_attends_after_the_previous_occurrence"
ROWS = "() => [...document.querySelectorAll('tr.row')].filter(row => row.offsetParent !== null)"


def seen(page: Any, of: str = "row.dataset.m") -> list[str]:
    """One attribute of each row that is in sight, from the top down."""
    page.wait_for_timeout(120)  # typing is waited for
    return page.evaluate(f"({ROWS})().map(row => {of})")


def choose(page: Any, **wanted: str) -> None:
    for name, value in wanted.items():
        page.locator(f"select[name={name}]").select_option(value)


def count(page: Any) -> str:
    return page.locator("output.shown").inner_text()


def test_all_rows_are_in_sight_and_counted_at_first(page: Any) -> None:
    many = page.locator("tr.row").count()
    assert many >= 30 and len(seen(page)) == many
    assert count(page).startswith(f"{many} of {many} verdicts, ")
    assert page.locator("output.shown").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ("two fifths", {"induction.test_patching_the_head_restores_two_fifths"}),
        ("test_every_other_head_restores_less[mini-2]", {"induction.test_every_other_head_restores_less"}),
        ("olsson", {"induction.test_some_head_attends_after_the_previous_occurrence"}),
        ("ELHAGE 1e-5", {"foundations.test_a_block_written_out_equals_the_library"}),
        ("الرأس", {"odd.test_odd_1"}),
        ("<script>", {"hostile.test_hostile"}),
    ],
)
def test_words_are_sought_in_sentences_ids_and_sources(page: Any, sought: str, found: set[str]) -> None:
    page.fill("input[name=q]", sought)
    assert set(seen(page, "row.closest('article').dataset.id")) >= found
    assert len(set(seen(page, "row.closest('article').dataset.id"))) <= 2
    if "[mini-2]" in sought:
        assert seen(page) == ["mini-2"]


def test_what_is_not_there_is_said_and_clearing_brings_all_back(page: Any) -> None:
    page.fill("input[name=q]", "no such words anywhere")
    assert seen(page) == [] and page.locator(".none-left").is_visible()
    page.get_by_role("button", name="clear").click()
    assert len(seen(page)) == page.locator("tr.row").count() and page.locator(".none-left").is_hidden()


@pytest.mark.parametrize(
    ("name", "value", "attribute"),
    [
        ("verdict", "REFUTED", "row.dataset.v === 'REFUTED'"),
        ("verdict", "!SUPPORTED", "row.dataset.v !== 'SUPPORTED'"),
        ("topic", "addition", "row.closest('section').dataset.topic === 'addition'"),
        ("model", "mini-2", "row.dataset.m === 'mini-2'"),
        ("model", "-", "row.dataset.m === '-'"),
        ("control", "twins", "row.dataset.c === 'twins'"),
        ("control", "UNCONTROLLED", "row.dataset.c === 'UNCONTROLLED'"),
        ("history", "changed", "row.dataset.h.includes('changed')"),
        ("history", "older", "row.dataset.h.includes('older')"),
    ],
)
def test_a_filter_leaves_exactly_what_it_names(page: Any, name: str, value: str, attribute: str) -> None:
    wanted = page.evaluate(f"[...document.querySelectorAll('tr.row')].filter(row => {attribute}).length")
    choose(page, **{name: value})
    assert len(seen(page)) == wanted > 0 and set(seen(page, attribute)) == {True}
    assert count(page).startswith(f"{wanted} of ") and f"{name}=" in page.url


def test_filters_and_words_narrow_together_and_the_address_brings_them_back(page: Any, folder: Path) -> None:
    choose(page, verdict="SUPPORTED", model="mini-0")
    page.fill("input[name=q]", "head")
    found = seen(page, "row.id || row.closest('article').id")
    assert 0 < len(found) < page.locator("tr.row[data-m=mini-0]").count()
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert seen(page, "row.id || row.closest('article').id") == found
    assert page.input_value("input[name=q]") == "head" and page.input_value("select[name=model]") == "mini-0"
    assert page.locator("select[name=verdict]").get_attribute("class") == "set"


def test_orders_put_failures_and_close_calls_first_and_go_back(page: Any) -> None:
    first = seen(page, "row.closest('article').dataset.id + row.dataset.i")
    worst = ["ERROR", "VOID", "REFUTED", "INCONCLUSIVE", "GATED", "NOT RUN", "SUPPORTED"]
    for sort in ("worst", "close"):
        choose(page, topic="induction", sort=sort)
        claims: dict[str, list[float]] = {}
        for claim, word, near in seen(page, "[row.closest('article').dataset.id, row.dataset.v, row.dataset.n]"):
            key = worst.index(word) if sort == "worst" else float(near or "inf")
            claims.setdefault(claim, []).append(key)
        least = [min(keys) for keys in claims.values()]
        assert len(least) > 4 and least == sorted(least)
        assert least != [min(keys) for _, keys in sorted(claims.items())]
    choose(page, topic="", sort="")
    assert seen(page, "row.closest('article').dataset.id + row.dataset.i") == first


def test_a_row_opens_on_a_click_and_says_where_everything_is(page: Any) -> None:
    row = page.locator(f"[id='claim={HEADS}-mini-2']")
    row.click()
    opened = page.locator("tr.opened")
    opened.locator("dl").wait_for()
    text = opened.inner_text()
    assert 'python -m pytest --frozen "induction.test_some_head_attends_after_the_previous_occurrence[mini-2]"' in text
    assert "bound >= 0.60 -> >= 0.40 after evidence" in text and "Two paragraphs of details." in text
    links = opened.locator("dl a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert "../../claims/test_induction.py#L10" in links and f"#claim={HEADS}-mini-2" in links
    assert any(link.startswith("../../artifacts/evidence/induction/attention--mini-2") for link in links)
    pictures = opened.locator("img")
    assert pictures.count() >= 2
    for place in range(pictures.count()):
        pictures.nth(place).scroll_into_view_if_needed()
        page.wait_for_function("img => img.complete && img.naturalWidth > 0", arg=pictures.nth(place).element_handle())
    assert f"claim={HEADS}-mini-2" in page.url
    row.get_by_role("button").click()
    assert page.locator("tr.opened").count() == 0 and "claim=" not in page.url


def test_a_link_to_a_verdict_opens_it_and_one_to_a_claim_leads_there(tab: Any, folder: Path) -> None:
    report = (folder / "report.html").as_uri()
    tab.goto(f"{report}#claim={HEADS}-mini-3")
    tab.locator("tr.opened dl").wait_for()
    assert tab.locator(f"[id='claim={HEADS}-mini-3']").is_visible()
    assert tab.evaluate("document.querySelector('tr.opened').previousElementSibling.dataset.m") == "mini-3"
    tab.goto("about:blank")
    as_pytest = HEADS.replace(".", ".test_", 1)  # as commands and results.json have it
    tab.goto(f"{report}#claim={as_pytest}[mini-3]")
    tab.locator("tr.opened dl").wait_for()
    assert tab.evaluate("document.querySelector('tr.opened').previousElementSibling.dataset.m") == "mini-3"
    tab.goto("about:blank")
    for link in (f"claim={HEADS}", HEADS, as_pytest):  # the second as other pages have it
        tab.goto(f"{report}#{link}")
        tab.wait_for_timeout(200)
        top = tab.evaluate("id => document.getElementById(id).getBoundingClientRect().top", f"claim={HEADS}")
        assert 0 <= top < 900, "in the window"
        tab.goto("about:blank")


GONE = "induction.some_head_attends_after_a_former_occurrence"


@pytest.mark.parametrize("link", [f"claim={GONE}", GONE, f"verdict=REFUTED&claim={GONE}"])
def test_a_link_to_a_claim_that_is_gone_says_so_and_names_the_nearest(tab: Any, folder: Path, link: str) -> None:
    tab.goto((folder / "report.html").as_uri() + f"#{link}")
    said = tab.locator("#gone")
    assert said.is_visible() and said.get_attribute("aria-live") == "polite"
    assert said.inner_text().startswith(f"No claim of this name in this record: {GONE}. Nearest: {HEADS}, ")
    assert 0 <= said.bounding_box()["y"] < 900, "in the window"
    verdicts = set(seen(tab, "row.dataset.v"))
    assert verdicts == {"REFUTED"} if "REFUTED" in link else len(verdicts) > 4, "a link to what is gone hides nothing"
    said.get_by_role("link").first.click()
    tab.wait_for_function("() => !document.querySelector('#gone').textContent")
    assert said.is_hidden() and tab.locator("article.found").get_attribute("id") == f"claim={HEADS}"


def test_a_name_that_is_gone_is_text_and_a_section_is_no_claim(tab: Any, folder: Path) -> None:
    report = (folder / "report.html").as_uri()
    tab.goto(f"{report}#claim=<img src=x onerror=alert(1)>")
    assert "<img src=x onerror=alert(1)>" in tab.locator("#gone").inner_text() and not tab.locator("#gone img").count()
    for link in ("#reading", "#verdict=REFUTED", ""):
        tab.goto("about:blank")
        tab.goto(report + link)
        tab.wait_for_timeout(100)
        assert tab.locator("#gone").is_hidden(), link


def test_keys_search_walk_open_and_close(page: Any) -> None:
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("fifths")
    rows = seen(page)
    page.keyboard.press("Escape")
    assert page.input_value("input[name=q]") == "" and len(seen(page)) > len(rows)
    page.keyboard.type("fifths")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('tr').dataset.m") == rows[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.closest('tr').dataset.m") == rows[1]
    page.keyboard.press("Enter")
    page.locator("tr.opened dl").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.keyboard.press("Escape")
    assert page.locator("tr.opened").count() == 0
    assert page.evaluate("document.activeElement.closest('tr').dataset.m") == rows[1]


def test_a_cell_of_the_drawing_leads_to_its_claim(page: Any) -> None:
    page.locator(".map-of-all svg").scroll_into_view_if_needed()
    box = page.locator(".map-of-all svg").bounding_box()
    starts = [float(x) for x in page.get_attribute(".map-of-all", "data-starts").split()]
    wide = page.evaluate("document.querySelector('.map-of-all svg').viewBox.baseVal.width")
    page.mouse.click(box["x"] + (starts[-1] + 1.5 + 3) * box["width"] / wide, box["y"] + 24)
    second = page.locator("section.topic").last.locator("article").nth(1).get_attribute("id")
    assert f"#{second}" in page.url


# Bad input


def test_a_page_without_its_folder_says_so_in_the_row_and_nothing_else_is_lost(
    tab: Any, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "report.html", tmp_path)
    tab.goto((tmp_path / "report.html").as_uri())
    tab.locator("tr.row").first.click()
    said = tab.locator("tr.opened").inner_text
    tab.wait_for_function("() => document.querySelector('tr.opened').textContent.length > 5")
    assert "in topics/ and figures/, and are not here" in said() and "\n" not in said().strip()
    tab.fill("input[name=q]", "fifths")
    assert len(seen(tab)) == 5


def test_a_page_beside_the_details_of_another_run_says_so_and_does_not_show_them(
    tab: Any, folder: Path, tmp_path: Path
) -> None:
    run = re.search(r'<html lang="en" data-run="(\w{12})"', (folder / "report.html").read_text())
    assert run is not None
    shutil.copy(folder / "report.html", tmp_path)
    shutil.copytree(folder / "topics", tmp_path / "topics")
    other = tmp_path / "topics/induction.js"
    text = other.read_text()
    other.write_text(text.replace(f"induction@{run[1]}", f"induction@{run[1][::-1]}", 1))
    assert other.read_text() != text
    tab.goto((tmp_path / "report.html").as_uri())
    tab.locator("section[data-topic=induction] tr.row").first.click()
    tab.wait_for_function("() => document.querySelector('tr.opened').textContent.length > 5")
    said = tab.locator("tr.opened").inner_text().strip()
    assert "are of another run than its rows" in said and "\n" not in said and tab.locator("tr.opened dl").count() == 0
    tab.locator("section[data-topic=hostile] tr.row").first.click()
    tab.locator("tr.opened dl").wait_for()  # and those of this run open


def test_records_that_differ_are_other_runs(tmp_path: Path) -> None:
    records = sample(tmp_path)
    first = run_of(RecordBook(records, tmp_path))
    assert first == run_of(RecordBook(records[::-1], tmp_path)), "in whichever order they were judged"
    records[0].verdict = "REFUTED"
    assert first != run_of(RecordBook(records, tmp_path))


def test_markup_is_inert_in_the_page_and_in_what_opens(page: Any) -> None:
    calls: list[str] = []
    page.on("dialog", lambda dialog: (calls.append(dialog.message), dialog.dismiss()))
    choose(page, topic="hostile")
    assert len(seen(page)) > 0
    page.locator("tr.row:visible").first.click()
    page.locator("tr.opened dl").wait_for()
    page.fill("input[name=q]", "<img src=x onerror=alert(1)>")
    page.wait_for_timeout(200)
    assert not calls and page.evaluate("[...document.scripts].filter(s => !s.src).length") == 1
    assert page.evaluate("document.querySelectorAll('[onload], [onerror]').length") == 0
    assert "<script>alert('no')</script>" in page.locator("article[data-id='hostile.test_hostile']").inner_text()


@pytest.mark.parametrize("sentence", [SENTENCE, LONG.strip(), ARABIC, SEPARATED])
def test_odd_sentences_come_out_whole_and_leave_the_window_as_wide_as_it_is(page: Any, sentence: str) -> None:
    heads = page.locator("article h3").evaluate_all("all => all.map(head => head.firstChild.textContent)")
    assert any(" ".join(head.split()) == " ".join(sentence.split()) for head in heads)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if sentence == ARABIC:
        head = page.locator("article[data-id='odd.test_odd_1'] h3")
        assert head.evaluate("head => getComputedStyle(head).direction") == "rtl"


def test_every_verdict_stands_in_the_page_without_a_script(browser: Any, folder: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((folder / "report.html").as_uri())
        assert page.locator("tr.row").count() == page.locator("tr.row:visible").count() >= 30
        assert page.locator("#tools").is_hidden() and page.locator("noscript p").is_visible()
