"""What a claim shows is what the report draws: columns, strata, differences and cells, from the evidence files."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from mechlib.figures import plots
from mechlib.figures.show import Cells, Shown, entry, restored
from mechlib.measurement import Measurement
from mechlib.report.content.claim_figures import asked_figures
from mechlib.report.content.evidence_files import EvidenceFiles
from mechlib.verdicts.record import Record, ShownFigure
from tests.helpers.house import records

pytest_plugins = ["pytester"]
pytest.importorskip("matplotlib")

FILED = Measurement(
    np.random.default_rng(0).normal(size=(30, 3)).round(3),
    tuple(f"u{row}" for row in range(30)),
    columns=("together", "0.0", "0.1"),
    strata=("a", "b", "c") * 10,
    of="logits lost",
    source="topic/lost--mini-0--01234567.jsonl",
)
READ = {FILED.source: FILED}


def travelled(drawn: Measurement | Cells) -> Measurement | Cells:
    """What the report draws, after the record went through JSON."""
    kept = entry(Shown("matrix", drawn, ""), READ)
    assert kept.paths == [FILED.source]
    return restored(msgspec.json.decode(msgspec.json.encode(kept), type=ShownFigure), READ)


SHOWN = {
    "as filed": FILED,
    "a column": FILED["0.1"],
    "other strata": replace(FILED, strata=tuple("xy"[row % 2] for row in range(30))),
    "no strata": replace(FILED, strata=())["0.0"],
    "one stratum": FILED.stratum("b"),
    "a difference": FILED.less("together", "0.0"),
    "an interaction": FILED.interaction("together", ["0.0", "0.1"]),
    "yes or no": FILED["together"].at_least(0.2),
    "a sum": FILED.added_up(["0.0", "0.1"]),
    "other values, same names": replace(FILED, values=-FILED.values),
}


@pytest.mark.parametrize("drawn", SHOWN.values(), ids=SHOWN)
def test_the_report_draws_what_the_claim_had_in_hand(drawn):
    found = travelled(drawn)
    np.testing.assert_allclose(found.values, drawn.values, rtol=1e-5, atol=1e-12)
    for name in ("units", "columns", "strata", "clusters", "unit", "of", "yes_no"):
        assert getattr(found, name) == getattr(drawn, name), name


def test_a_record_carries_nothing_that_the_file_says():
    kept = entry(Shown("by_column", FILED[["0.0", "0.1"]], "a caption"), READ)
    assert msgspec.to_builtins(kept) == {
        "plot": "by_column", "evidence": FILED.source, "columns": ("0.0", "0.1"), "caption": "a caption",
    }  # fmt: skip


def test_cells_travel_with_their_rows_and_columns():
    cells = {("A", "ioi"): FILED["0.0"], ("B", "ioi"): FILED.interaction("together", ["0.0", "0.1"])}
    found = travelled(cells)
    assert list(found) == list(cells)
    np.testing.assert_allclose(found["B", "ioi"].array, cells["B", "ioi"].array, rtol=1e-5)


def test_what_comes_from_no_evidence_is_refused():
    with pytest.raises(ValueError, match="read from none"):
        entry(Shown("by_column", replace(FILED, source=""), ""), READ)
    with pytest.raises(ValueError, match="no cells"):
        entry(Shown("matrix", {}, ""), READ)


def test_more_numbers_than_a_record_carries_must_be_filed():
    large = replace(FILED, values=np.ones((5001, 2)), units=tuple(map(str, range(5001))), columns=("a", "b"), strata=())
    read = {FILED.source: large}
    assert entry(Shown("by_column", large, ""), read).columns == ("a", "b")
    with pytest.raises(ValueError, match="10002 numbers"):
        entry(Shown("by_column", replace(large, values=large.values + 1), ""), read)


CLAIMS = """
from dataclasses import replace
from mechlib.figures.plots import distribution, matrix, rates_by_column, rates_by_stratum
from tests.figures.test_show import SUMS


@evidence
def right(model: str, prompts: PromptSet) -> Measurement:
    '''Right where there is no carry, and wrong else; on twins always wrong.'''
    import numpy as np
    from tests.figures.test_show import rows_of
    return rows_of(prompts, "@" not in model)


@pytest.mark.parametrize("model", ["mini-0", "mini-1"])
def test_right(model):
    '''It is right without a carry.

    Source: none.
    '''
    measured = right(model, SUMS)
    show(rates_by_stratum, measured["alone"].by("carry"), "accuracy by carry")
    show(rates_by_column, measured, "by column")
    show(matrix, {("all", "sums"): measured["alone"], ("none", "sums"): measured["intact"]}, "a grid")
    show(distribution, measured.interaction("intact", ["alone"]), "the interaction")
    assert proportion(measured["alone"].by("carry").stratum("no carry")) >= 0.5


@pytest.mark.parametrize("model", ["mini-0"])
def test_unfiled(model):
    '''It shows what is not filed.

    Source: none.
    '''
    measured = right(model, SUMS)
    show(rates_by_column, replace(measured, source=""))
    assert proportion(measured["alone"]) >= 0.1
"""


def _sums():
    from mechlib.prompts.promptset import Prompt, PromptSet

    carries = ("carry", "no carry")
    rows = tuple(Prompt(f"{a} + 9", str(a + 9), labels=(("carry", carries[a % 2]),)) for a in range(80))
    return PromptSet("sums", "confirmation", rows)


SUMS = _sums()


def rows_of(prompts, right):
    rows = [[right and row.label("carry") == "no carry", right] for row in prompts]
    names = tuple(row.fingerprint for row in prompts)
    return Measurement(np.array(rows, dtype=float), names, columns=("alone", "intact"), yes_no=True, of="right")


def test_a_claim_shows_strata_grids_and_interactions_in_one_line_each(house, pytester):
    result = house(CLAIMS)
    judged = records(pytester.path)
    assert judged["test_right/mini-0"]["verdict"] == "SUPPORTED", result.stdout.str()
    assert judged["test_unfiled/mini-0"]["verdict"] == "ERROR"
    assert "read from none" in judged["test_unfiled/mini-0"]["message"]
    kept = [msgspec.convert(judged[f"test_right/{model}"], Record) for model in ("mini-0", "mini-1")]
    figures = asked_figures(kept, EvidenceFiles(pytester.path / "artifacts" / "evidence"))
    assert [figure.problem for figure in figures] == [""] * 4
    assert [[name for name, *_ in figure.panels] for figure in figures] == [["mini-0", "mini-1"]] * 4
    by_carry, _, grid, interaction = (str(figure.panels[0][1]) for figure in figures)
    assert "no carry (n=40)" in by_carry and "carry: 0 [" in by_carry and "no carry: 1.000 [" in by_carry
    assert "all, sums: 0.500 [" in grid and "none, sums: 1.000 [" in grid
    assert "histogram of 80 prompts" in interaction
    assert figures[3].caption.startswith("the interaction (computed from `right`: lost together less")


def test_an_evidence_file_that_changed_since_is_said_and_ends_nothing(house, pytester):
    house(CLAIMS)
    row = records(pytester.path)["test_right/mini-0"]
    row["shown"] = [{**row["shown"][1], "columns": ["gone"]}, row["shown"][2]]
    figures = asked_figures([msgspec.convert(row, Record)], EvidenceFiles(pytester.path / "artifacts" / "evidence"))
    assert "has changed since the claim was judged: no column gone" in figures[0].problem
    assert figures[1].panels and not figures[1].problem


def test_every_figure_that_can_be_named_can_be_shown():
    assert all(callable(getattr(plots, name)) for name in plots.FIGURES)
