"""`pytest --register`: what a claim says is filed before it is measured, and nothing of the answer is looked at."""

from __future__ import annotations

import pytest

from tests.helpers.committed import ONE

CHOSEN = """
@evidence
def looked(model: str, prompts: PromptSet) -> Measurement:
    '''Values by head on discovery prompts; on others nobody may look.'''
    import numpy as np
    assert prompts.split == "discovery", "looked at confirmation prompts"
    units = tuple(row.fingerprint for row in prompts)
    return Measurement(np.ones((len(prompts), 2)) * [1.0, 2.0], units=units, columns=("0.0", "0.1"))


@evidence
def answered(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    '''The answer, which would show that it was looked at.'''
    raise RuntimeError("measured")


def chosen(model):
    return strongest(looked(model, letters("discovery")), 1)


@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model):
    '''A sentence.

    Source: made up.
    '''
    requires(proportion(answered(model, chosen(model), letters(seed=1))) >= 0.9)
    both = every(mean(answered(model, chosen(model), letters(seed=seed))["together"]) for seed in (2, 3))
    assert both >= 0.5
"""


def test_what_chooses_is_measured_and_filed_and_what_answers_is_not(committed):
    committed.write(CHOSEN)
    result = committed.run("--register")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["topic.test_it[[]mini-0[]]: registered, >= 0.50", "1 claim registered in *"])
    filed = [path.name for path in (committed.root / "artifacts/evidence/topic").iterdir()]
    assert len(filed) == 1 and filed[0].startswith("looked--mini-0--")
    (line,) = committed.lines
    assert line["registered"] == "topic.test_it[mini-0]" and line["bound"] == ">= 0.50"
    assert len(line["prompts"]) == 3 and len(line["evidence"]) == 3  # behind the gate, and in the loop, too
    assert set(line["functions"]) == {"looked", "answered"} and "open" not in line


def test_a_claim_is_counted_once_however_many_cases_of_it_are_registered(committed):
    cases = ONE.replace('["mini-0"]', '["mini-0", "mini-1"]')
    assert cases != ONE
    committed.write(cases)
    result = committed.run("--register")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["1 claim in 2 cases registered in artifacts/register.jsonl: commit it with *"])


def test_a_loop_over_what_only_the_answer_says_leaves_the_line_open(committed):
    committed.write(ONE.replace("    assert", "    list(scored(model, letters(seed=5), 0.1))\n    assert"))
    committed.run("--register").stdout.fnmatch_lines(["*registered, >= 0.50; all that it asks is not known before: *"])
    assert committed.lines[0]["open"] is True and len(committed.lines[0]["prompts"]) == 1


def test_a_line_is_appended_only_where_it_says_something_new(committed):
    committed.registered(ONE)
    before = committed.register.read_bytes()
    committed.run("--register").stdout.fnmatch_lines(["*registered already, as it stands, >= 0.50"])
    assert committed.register.read_bytes() == before
    committed.edit(">= 0.5", ">= 0.6")
    committed.run("--register")
    assert committed.register.read_bytes().startswith(before)
    assert [line["bound"] for line in committed.lines] == [">= 0.50", ">= 0.60"]


def test_a_claim_that_cannot_be_asked_gets_no_line_and_is_told_why(committed):
    committed.write(ONE.replace("letters()", "nowhere()"))
    result = committed.run("--register")
    assert result.ret == 1 and not committed.register.exists()
    result.stdout.fnmatch_lines(["topic.test_it[[]mini-0[]]: it ends with NameError: name 'nowhere' is not defined"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--register", "--frozen"), "--frozen and --register exclude each other"),
        (("--register", "--model", "mini-1"), "--register judges nothing and runs alone: leave --model away"),
        (("--register", "--report"), "--register judges nothing and runs alone: leave --report away"),
        (("--amend", "why"), "--amend is for --register"),
        (("--register", "--amend", " "), "--amend is empty: say why"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_one_line(committed, options, said):
    committed.write(ONE)
    result = committed.run(*options)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{said}*"])


# --- the seed of a draw -------------------------------------------------------------------------------------------

DRAWN = ONE.replace("letters()", "letters(seed=registered_seed())")


def test_a_registered_seed_is_that_of_the_line_on_the_model_and_on_its_twins(committed):
    committed.registered(DRAWN)
    (line,) = committed.lines
    assert line["parent"] == committed.git("rev-parse", "HEAD~1") and line["seed"] > 0
    record = committed.measured()["topic.test_it[mini-0]"]
    assert (record["verdict"], record["registration"]) == ("SUPPORTED", "REGISTERED")
    assert committed.lines[1]["prompts"] == line["prompts"] and committed.lines[1]["evidence"] == line["evidence"]
    assert committed.verify() == []


def test_a_registered_seed_of_an_unregistered_claim_is_an_error_with_the_cure(committed):
    committed.write(DRAWN)
    result = committed.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*ERROR: topic.test_it[[]mini-0[]] draws its prompts by a registered seed and is not *"]
    )


def test_a_seed_hangs_on_the_commit_that_the_claim_stands_on_and_on_what_it_compares(committed):
    committed.registered(DRAWN)
    committed.edit(">= 0.5", ">= 0.6")  # the bound alone draws no other prompts from the same commit
    committed.run("--register")
    committed.edit('["value"]', '["first"]')
    committed.run("--register")
    first, second, third = (line["seed"] for line in committed.lines)
    assert first != second != third != first  # another commit, another question


@pytest.mark.parametrize(("claim", "named"), [(DRAWN, 1), (ONE, 0)])
def test_a_rebase_that_moves_the_commit_before_is_named_where_prompts_are_drawn_by_the_seed(committed, claim, named):
    committed.registered(claim)
    committed.measured()
    committed.git("filter-branch", "-f", "--msg-filter", "sed s/^/moved:/", "HEAD")
    committed.git("update-ref", "-d", committed.git("for-each-ref", "--format=%(refname)", "refs/original").strip())
    said = [line for line in committed.verify() if "a commit before" in line]
    assert len(said) == named


def test_a_seed_that_was_chosen_by_hand_is_named(committed):
    committed.write(DRAWN)
    committed.run("--register")
    drawn = committed.lines[0]["seed"]
    committed.register.write_text(committed.register.read_text().replace(f'"seed": {drawn}', '"seed": 7'))
    committed.commit("registered")
    committed.measured()
    (said,) = committed.verify()
    assert said == "topic.test_it[mini-0] is registered with a seed that is not of its line and a commit before: 7"


# --- amending -----------------------------------------------------------------------------------------------------


def test_a_mended_evidence_function_is_amended_with_its_reason_and_both_words(committed):
    committed.registered(ONE)
    committed.measured()
    committed.edit("np.array([[0.0, 0.01, 0.02]])", "np.array([[-0.7, 0.01, 0.02]])")
    assert committed.run("--register", "--amend", "a sign was wrong").ret == 0
    committed.commit("amended")
    record = committed.measured()["topic.test_it[mini-0]"]
    assert (record["verdict"], record["registration"]) == ("REFUTED", "AMENDED")
    assert record["registration_why"] == "an evidence function was mended: a sign was wrong (it was SUPPORTED)"
    assert "amended with an evidence function changed: a sign was wrong (it was SUPPORTED)" in record["history"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (">= 0.5", ">= 0.4", "the bound changed, and --amend is for evidence functions: claim it anew"),
        ("a half", "a third", "the sentence changed, and --amend is for evidence functions: claim it anew"),
        ("import numpy", "import numpy", "it says what it said when it was registered: there is nothing to amend"),
    ],
)
def test_only_a_mended_evidence_function_is_an_amendment(committed, old, new, said):
    committed.registered(ONE)
    committed.measured()
    before = committed.register.read_bytes()
    committed.edit(old, new)
    result = committed.run("--register", "--amend", "it came out wrong")
    assert result.ret == 1 and committed.register.read_bytes() == before
    result.stdout.fnmatch_lines([f"*{said}"])
