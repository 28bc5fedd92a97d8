"""docs/STATISTICS.md has every rule, each with what enforces it, or says that it is a convention."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT
from tests.docs.test_names import cited_tests, missing_tests

RULES = tuple(f"R{number}" for number in range(1, 36))


def rules(text: str) -> dict[str, str]:
    """What is said of each rule: all points that begin with its number."""
    points = re.split(r"^(?=\* |## |\|)", text, flags=re.MULTILINE)
    said: dict[str, str] = {}
    for point in points:
        if number := re.match(r"\* \*\*(R\d+)\b", point):
            said[number[1]] = said.get(number[1], "") + point
    return said


def unenforced(said: dict[str, str]) -> list[str]:
    """Rules that are not there, or of which no test is named that exists, unless they are called a convention."""
    cited = {rule: cited_tests(point) + re.findall(r"`([\w/]+/test_\w+\.py)`", point) for rule, point in said.items()}
    return [
        rule
        for rule in RULES
        if rule not in said or not (cited[rule] or "convention" in said[rule].lower()) or gone(cited[rule])
    ]


def gone(names: list[str]) -> list[str]:
    """Tests, and files of tests, that are not there."""
    files = [name for name in names if name.endswith(".py")]
    lacking = [name for name in files if not any((start / name).is_file() for start in (ROOT, ROOT / "tests"))]
    return lacking + missing_tests([name for name in names if name not in files])


def test_every_rule_names_a_test_that_exists_or_is_called_a_convention():
    said = rules((ROOT / "docs" / "STATISTICS.md").read_text(encoding="utf-8"))
    assert unenforced(said) == []
    assert [rule for rule, point in said.items() if not cited_tests(point) and ".py" not in point] == ["R33"]


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ("* **R7 Seven.** Nobody looks.\n", ["R7"]),
        ("* **R7 Seven.** Enforced by `docs/test_rules.py::test_that_nobody_wrote`.\n", ["R7"]),
        ("* **R7 Seven.** Enforced by `docs/test_nothing.py`.\n", ["R7"]),
        ("* **R7 Seven.** A convention.\n", []),
        ("* **R77 Seven.** A convention.\n", ["R7"]),
    ],
)
def test_a_rule_without_its_test_is_found(changed, found):
    others = "".join(f"* **{rule} So.** Kept by `docs/test_rules.py`.\n" for rule in RULES if rule != "R7")
    assert unenforced(rules(f"{others}\n## More\n\n{changed}")) == found


def test_every_cheat_of_the_table_is_a_test_or_unseen():
    table = (ROOT / "docs" / "STATISTICS.md").read_text(encoding="utf-8").partition("## Cheats")[2]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 17
    assert [what for what, how, test in rows if not ("test_" in test or "the same" in test or "unseen" in how)] == []
