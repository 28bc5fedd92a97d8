"""What would be refused whatever is measured gets no line: `pytest --register` says so before anything is measured."""

from __future__ import annotations

import pytest

from mechlib.evidence import files
from mechlib.evidence.prompt_files import PROMPTS
from mechlib.judging.registration.designs import DesignRefused, check_design
from mechlib.judging.registration.unmeasured import Unmeasured
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.committed import ONE

SHARED = """

def sharing(templates, names):
    rows = []
    for n in range(60):
        said = (("template", (str(n % templates),)), ("name", (f"a{n % names}", f"b{n // 3 % names}")))
        rows.append(Prompt(f"{n} clean", "x", f"{n} other", "y", cluster=str(n % templates), factors=said))
    return PromptSet("sharing", "confirmation", tuple(rows), (("shared", templates + names),))
"""


def claim(expression: str, before: str = "") -> str:
    return (
        ONE.replace("    assert", f"{before}    assert").replace(
            'mean(scored(model, letters(), 0.8)["value"])', expression
        )
        + SHARED
    )


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ('mean(scored(model, sharing(3, 20), 0.8)["value"])', "the mean on *3 templates * too few to generalise*"),
        ('mean(scored(model, sharing(12, 3), 0.8)["value"])', "the mean on *12 templates have 2.0 degrees of freedom*"),
        (
            'difference(scored(model, sharing(3, 20), 0.8)["value"], scored(model, sharing(3, 20), 0.1)["value"])',
            "the difference on *3 templates *",
        ),
        ('proportion(scored(model, sharing(3, 20), 0.8)["value"].at_least(0.1))', "the proportion on *3 templates *"),
        ('ratio(scored(model, sharing(3, 20), 0.8)[["first", "value"]])', "the ratio on *3 templates *"),
    ],
)  # fmt: skip
def test_a_design_that_leaves_no_interval_is_refused_with_its_cure(committed, expression, said):
    committed.write(claim(expression))
    result = committed.run("--register")
    assert result.ret == 1 and not committed.register.exists()
    result.stdout.fnmatch_lines(
        [f"topic.test_it[[]mini-0[]]: whatever is measured, {said}; take prompts with more levels, *"]
    )


def test_a_gate_is_asked_for_its_interval_too(committed):
    gate = '    requires(mean(scored(model, sharing(3, 20), 0.9)["value"]) >= 0.1)\n'
    committed.write(claim('mean(scored(model, letters(), 0.8)["value"])', gate))
    assert committed.run("--register").ret == 1


@pytest.mark.parametrize(
    "expression",
    [
        'mean(scored(model, sharing(12, 20), 0.8)["value"])',
        'mean(scored(model, sharing(3, 20), 0.8)["value"], across="these templates")',
        'mean(scored(model, sharing(3, 20), 0.8)["value"], across="no such thing")',
        "mean(by_set(model, sharing(3, 20)))",
        'mean(scored(model, sharing(3, 20), 0.8)["value"].by("kind").stratum("rare"))',
    ],
)
def test_what_may_have_an_interval_is_registered(committed, expression):
    sets = """

@evidence
def by_set(model: str, prompts: PromptSet) -> Measurement:
    '''A row a set of heads, whatever the prompts share.'''
    import numpy as np
    return Measurement(np.linspace(0.6, 0.9, 30), units=tuple(map(str, range(30))), unit="set of heads")
"""
    committed.write(claim(expression) + sets)
    result = committed.run("--register")
    assert result.ret == 0 and len(committed.lines) == 1 and "open" not in committed.lines[0], result.stdout.str()


def test_an_answer_on_file_whose_rows_are_others_is_believed(committed, monkeypatch):
    committed.write(claim('mean(scored(model, sharing(3, 20), 0.8)["value"], across="these templates")'))
    committed.run()
    first_line = files.first_line
    assert first_line(next((committed.root / "artifacts/evidence/topic").glob("scored--*")))[PROMPTS]
    committed.edit(', across="these templates"', "")
    committed.edit("0.8", "0.7")
    assert committed.run("--register").ret == 1
    monkeypatch.setattr(files, "first_line", lambda path: {**first_line(path), PROMPTS: ""})
    assert committed.run("--register").ret == 0


def test_too_few_prompts_are_refused_and_what_has_unknown_rows_is_not():
    few = PromptSet("few", "confirmation", tuple(Prompt(f"{n} clean", "x", f"{n} other", "y") for n in range(19)))
    with pytest.raises(DesignRefused, match=r"n=19 prompts are too few for an interval: measure at least 20"):
        check_design("mean", (Unmeasured(few),), {})
    check_design("mean", (Unmeasured(),), {})
    check_design("difference", (Unmeasured(few), Unmeasured()), {})
    check_design("strongest", (Unmeasured(few),), {})
