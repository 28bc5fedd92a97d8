"""Every number of the paper is the record's, leads to its claim, and stops the build where the record moved."""

import re

import pytest

from mechlib.report.content.calibration import Calibration
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import plural
from mechlib.report.paper import looking_up
from mechlib.report.paper.looking_up import simulated
from mechlib.verdicts.controlled import Controlled
from mechlib.verdicts.controls import Control
from tests.helpers.published_sample import GEMMA, QWEN, SMOLLM

LEADS = "published.test_it_leads[smollm2-135m]"
SEEN = "published.test_it_is_registered[mini-2]"
LINK = "(artifacts/record/published.md#published.it_leads)"


def said(paper):
    """The text of a paper without its links and its legend; nothing may be wrong with it."""
    assert paper.problems == ()
    text = re.sub(r"\]\([^)]*\)", "]", paper.markdown).replace("\\", "").replace("\u00a0", " ")
    return text.partition("\n\n*Behind")[0].strip()


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (f'value("{LEADS}", "SUPPORTED")', "[4.970]"),
        (f'interval("{LEADS}", "SUPPORTED")', "[4.970 [4.920, 5.020]]"),
        (f'low("{LEADS}", "SUPPORTED")', "[4.920]"),
        (f'high("{LEADS}", "SUPPORTED")', "[5.020]"),
        (f'bound("{LEADS}", "SUPPORTED")', "[≥ 2.00]"),
        (f'verdict("{LEADS}", "SUPPORTED")', "[SUPPORTED]"),
        (f'reported("{LEADS}")', "[3.56 logits]"),
        ('counted("published.test_it_leads", "SUPPORTED", "mini-*", of=5, n=5)', "[all five]"),
        ('counted("published.test_it_leads", "SUPPORTED", "mini-0 mini-3", of=2, n=2)', "[two of two]"),
        (f'answer("{LEADS}", "SUPPORTED")', "[4.970 [4.920, 5.020]<br>SUPPORTED]"),
        ('counted("published.test_it_leads[*2-135m]", "SUPPORTED", of=1, n=1)', "[one of one]"),
        ('least("published.test_it_leads", "SUPPORTED", "mini-*")', "[3.000]"),
        ('most("published.test_it_leads", "SUPPORTED", "mini-*")', "[3.800]"),
        ('verdict("published.test_movers_look[gemma3-270m]", "GATED")', "[GATED]"),
        ('verdict("published.test_it_leads[gpt2-small]", "NOT RUN")', "[NOT RUN]"),
        ('given("512", "features of a dictionary, by its recipe")', "512"),
        (f'sentences("{SMOLLM}")', "4"),
        (f'sentences("{GEMMA}", "CONTRADICTED")', "1"),
    ],
)
def test_a_number_is_the_records_as_the_report_writes_it(written, call, shown):
    assert said(written(f"So: {{{{ {call} }}}}.")) == f"So: {shown}."


def test_a_number_leads_to_its_claim(committed, made):
    (made.root / "docs/references.bib").unlink()
    made_of_it = committed(f'{{{{ value("{LEADS}", "SUPPORTED") }}}}')
    assert made_of_it.report == f"[4.970]{LINK}\n"
    (page,) = (text for path, text in made_of_it.record.items() if path.name == "published.md")
    assert '<a id="published.it_leads"></a>' in page and "| smollm2-135m (Q4\\_1) | ✓ SUPPORTED | 4.970 |" in page


@pytest.mark.parametrize(
    ("model", "sign", "meaning"),
    [("mini-0", "", ""), ("mini-1", "‡", "EXPLORATORY"), ("mini-2", "§", "PROMPTS SEEN"), ("mini-3", "¶", "AMENDED")],
)
@pytest.mark.parametrize("function", ["value", "interval", "verdict", "low"])
def test_a_verdict_that_is_not_registered_is_never_cited_without_a_mark(written, function, model, sign, meaning):
    text = written(f'{{{{ {function}("published.test_it_is_registered[{model}]", "SUPPORTED") }}}}').markdown
    number, _, legend = text.rstrip("\n").partition("\n\n")
    assert number.endswith(f"){sign}") and (f"{sign} {meaning}:" in legend if sign else not legend)


def test_an_uncontrolled_verdict_is_marked_and_so_is_what_counts_it(written):
    call = '("published.test_the_cutoff_is_sharp'
    for text in (f'value{call}[{SMOLLM}]", "SUPPORTED")', f'counted{call}[*{SMOLLM}]", "SUPPORTED", of=1, n=1)',
                 f'most{call}[*{SMOLLM}]", "SUPPORTED")'):  # fmt: skip
        paper = written(f"{{{{ {text} }}}}")
        assert paper.markdown.split("\n")[0].endswith(")†") and "† UNCONTROLLED:" in paper.markdown
        assert paper.numbers[0].text.endswith("†"), "in the macros too"


def test_an_answer_in_a_cell_is_one_link_with_its_mark_behind_the_interval(written):
    paper = written(f'| {{{{ answer("{SEEN}", "SUPPORTED") }}}} |')
    assert re.search(r"^\| \[[^\]]*\S\]§<br>SUPPORTED\]\([^)]*\) \|$", paper.markdown.split("\n")[0])
    assert "§ PROMPTS SEEN:" in paper.markdown and paper.numbers[0].text.endswith("§")


def test_a_count_of_several_has_the_marks_of_all_of_them(written):
    paper = written('{{ counted("published.test_it_is_registered", "SUPPORTED", of=4, n=4) }}')
    assert set(paper.markdown.split("\n")[0][-3:]) == set("‡§¶")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (f'value("{LEADS}", "REFUTED")', "is SUPPORTED now, and the text relies on REFUTED: 4.970"),
        ('value("published.test_it_lead[smollm2-135m]", "SUPPORTED")', f"is no claim of the record: is it {LEADS}"),
        ('value("elsewhere.test_gone", "SUPPORTED")', "elsewhere.test_gone is no claim of the record"),
        (f'value("{LEADS}", "SUPPORT")', "'SUPPORT' is no verdict: SUPPORTED, REFUTED"),
        ('value("published.test_movers_look[gemma3-270m]", "GATED")', "is GATED and has no number: preference 0.52"),
        ('value("published.test_movers_look[gemma3-270m]", "SUPPORTED")', "is GATED now, and the text relies on SUPP"),
        ('interval("published.test_it_leads[gpt2-small]", "NOT RUN")', "is NOT RUN and has no number: run `mechlib"),
        (f'reported("{SEEN}")', "carries no paper's number"),
        ('reported("published.test_heads_move[mini-1]")', "carries no paper's number"),
        ('counted("published.test_it_leads", "SUPPORTED", "mini-*", of=5, n=4)', "is SUPPORTED in 5 of 5 verdicts now"),
        ('counted("published.test_it_leads", "SUPPORTED", "mini-*", of=6, n=5)', "is SUPPORTED in 5 of 5 verdicts now"),
        ('counted("published.test_it_leads", "SUPPORTED", of=8, n=7)', "and the text relies on 7 of 8"),
        ('counted("published.test_it_leeds", "SUPPORTED", of=1, n=1)', "is it published.test_it_leads"),
        (
            'counted("published.test_it_leads", "SUPPORTED", "maxi-*", of=1, n=1)',
            "of no model maxi-*: of gemma3-270m",
        ),
        (
            'counted("published.test_it_leads", "SUPPORTED")',
            "counted(function, word, models, of, n) is what",
        ),
        ('least("published.test_it_leads", "VOID")', "is VOID on no model * with a number"),
        ('count("MAYBE")', "'MAYBE' is no verdict"),
        ('count(register="SOON")', "there is no word of the register SOON: AMENDED, EXPLORATORY, REGISTERED"),
        ('count(topic="pubs")', "there is no topic pubs: published"),
        ('count(model="gpt3")', "there is no model gpt3"),
        ('sentences("mini-0")', "no published sentence is asked of mini-0: of gemma3-270m"),
        (f'sentences("{QWEN}", "HELD")', "'HELD' is no outcome of a published sentence"),
        ('given("512", " ")', "does not say why it is no result"),
        ("value(5, 3)", "takes claim, word as text in quotes"),
        ('value("x")', "missing a required argument: 'word'"),
        ('table("sentences")', "there is no table sentences: published, verdicts"),
        ('figure("gone--1", "What is gone.")', "there is no figure gone--1.svg"),
        ('cite("nobody2020")', "docs/references.bib has no entry nobody2020"),
        ('calibration("worlds")', "artifacts/calibration.json is missing: run `make calibrate`"),
    ],
)
def test_what_cannot_be_cited_is_one_line_with_the_place_in_the_text(written, call, problem):
    (found,) = written(f"First.\n\nThen {{{{ {call} }}}}.\n").problems
    assert found.startswith("docs/paper.md:3: ") and problem in found and "\n" not in found


def test_a_macro_is_told_by_the_line_that_calls_it(written):
    macro = '{%- macro of(claim) -%}\n{{ value(claim, "REFUTED") }}\n{%- endmacro -%}\n\nA.\n\n'
    (found,) = written(f'{macro}{{{{ of("{LEADS}") }}}}\n').problems
    assert found.startswith("docs/paper.md:7: ")


def test_all_that_is_wrong_is_found_at_once_and_in_order(written):
    text = f'{{{{ value("{LEADS}", "VOID") }}}}\n0.94\n{{{{ cite("x") }}}}\n{{{{ value("{LEADS}", "VOID") }}}}'
    assert [int(found.split(":")[1]) for found in written(text).problems] == [1, 2, 3, 4]


def test_counts_are_those_of_the_book_and_claims_are_functions(written, made):
    book = RecordBook(made.records, made.root)
    functions = len({(record.topic, record.function) for record in made.records})
    calls = "{{ claims() }} {{ verdicts() }} {{ models() }} {{ count() }} {{ count(verdict='REFUTED') }}"
    refuted = dict(book.counts)["REFUTED"]
    models = len([model for model in book.models if model])
    assert said(written(calls)) == f"{functions} {len(made.records)} {models} {len(made.records)} {refuted}"
    assert plural(models, "model") in book.headline
    uncontrolled = sum(record.uncontrolled for record in made.records)
    assert uncontrolled and said(written("{{ count(uncontrolled=True) }}")) == str(uncontrolled)
    registered = sum(record.registration == "REGISTERED" for record in made.records)
    assert said(written('{{ count(register="AMENDED") }} {{ count(register="REGISTERED") }}')) == f"1 {registered}"
    made.records[0].history = ["the bound was 2 before"]
    assert said(written("{{ count(changed=True) }} {{ count('SUPPORTED', changed=True) }}")) == (
        f"1 {int(made.records[0].verdict == 'SUPPORTED')}"
    )
    assert said(written("{{ count('SUPPORTED', exploratory=True) }} {{ count(exploratory=False) }}")) == (
        f"1 {len(made.records) - 1}"
    )


def test_the_main_table_has_the_papers_number_and_ours(written):
    text = said(written('{{ table("published") }}'))
    assert text.startswith("**Table 1.** Primary published sentences")
    (row,) = (line for line in text.splitlines() if "leads" in line)
    assert "Wang et al. 2022, section 2: 3.56 logits" in row and "✓ [4.970<br>[4.920, 5.020]]" in row and "✗" in row


def test_the_table_of_verdicts_adds_up(written, made):
    lines = said(written('{{ table("verdicts") }}')).splitlines()
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0][-1] == "verdicts" and cells[-1][0] == "all" and cells[-1][-1] == str(len(made.records))
    assert sum(map(int, cells[-1][2:-1])) == len(made.records)


def test_a_figure_has_a_number_and_a_caption_without_digits(written, made):
    folder = made.root / "artifacts/figures"
    folder.mkdir(parents=True)
    (folder / "published.it--1.svg").write_text("<svg/>")
    text = written('{{ figure("published.it--1", "What it\n is.") }}').markdown
    assert text == "![What it is.](artifacts/figures/published.it--1.svg)\\\n**Figure 1.** What it is.\n"
    (found,) = written('{{ figure("published.it--1", "It is 0.94.") }}').problems
    assert "0.94. is typed by hand in a caption" in found
    (found,) = written('{{ figure("published.it", "It.") }}').problems
    assert "there is published.it--1" in found


def test_the_table_of_orders_has_every_word_with_its_mark_and_its_count(written, made):
    paper = written('{{ table("order") }}')
    rows = dict(re.findall(r"(?m)^\| ([^|]+?) \| ([\d,]+) \| [\d,]+ \|$", paper.markdown))
    assert rows["AMENDED¶"] == rows["EXPLORATORY‡"] == rows["REGISTERED, PROMPTS SEEN§"] == "1"
    assert sum(int(n.replace(",", "")) for n in rows.values()) == len(made.records)
    assert all(f"{sign} " in paper.markdown for sign in "¶‡§")


def test_what_a_control_came_to_is_the_records(written, made):
    records = {record.id: record for record in made.records}
    for record in records.values():  # one that a control withholds
        if record.controls and record.controls[0].word == "void":
            record.controlled = Controlled("void", word="void", sets=1, on_the_side=1)
            record.controls[0] = Control(
                "control=", "", 1, 1, word="void", message="-0.61 [-0.7, 0.5] n=48 in 48 nouns"
            )
            assert said(written(f'{{{{ control("{record.id}", "{record.verdict}") }}}}')) == "[−0.61 [−0.7, 0.5]]"
            break
    else:
        raise AssertionError("the sample has no such record")
    (problem,) = written(f'{{{{ control("{LEADS}", "SUPPORTED") }}}}').problems
    assert "has 0 controls of one number that decide" in problem


def test_how_far_sentences_came_adds_up(written):
    ends = ("gated", "void", "open", "refuted", "uncontrolled", "supported", "not run", "refused")
    text = said(written(" ".join(f'{{{{ sentences("{GEMMA}", "{end}") }}}}' for end in ends)))
    assert sum(map(int, text.split())) == int(said(written(f'{{{{ sentences("{GEMMA}") }}}}'))) > 1


def test_verdicts_are_counted_by_their_caution_and_the_state_is_that_of_the_citation(written, made):
    made.records[1].flags = ["OLDER INSTRUMENTS: mechlib.lab.patching"]
    assert said(written('{{ count(flag="OLDER INSTRUMENTS") }}')) == "1"
    assert "there is no flag NEWER*" in written('{{ count(flag="NEWER") }}').problems[0]
    assert "CITATION.cff does not say" in written("{{ version() }}").problems[0]
    (made.root / "CITATION.cff").write_text("version: 0.9.0\ndate-released: 2026-11-29\n", encoding="utf-8")
    assert said(written("{{ version() }}")) == "version 0.9.0, 2026-11-29"


def test_cells_that_cover_less_are_counted(monkeypatch):
    cells = tuple({"coverage": said} for said in ("86.1 [1, 2]", "93.0 [1, 2]", "94.8 [1, 2]", "–"))
    monkeypatch.setattr(looking_up, "calibration", lambda root: Calibration(worlds=9, cells=cells))
    assert [simulated(None, "below", percent) for percent in ("86", "93", "94", "99")] == ["0", "1", "2", "3"]
