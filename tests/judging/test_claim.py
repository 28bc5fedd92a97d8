"""The form of a claim is checked before it runs, so that no trick of Python turns a refutation into a pass."""

from types import FunctionType

import pytest

from mechlib.judging.claim import Claim, NoClaim, check_arguments
from mechlib.judging.marks import open_question, refuted, void

BODY = {
    "one comparison": "assert mean(x) >= 0.4",
    "the number first": "assert 0.4 <= mean(x)",
    "a negative bound": "assert mean(x) > -0.4",
    "a chain": "assert -0.05 <= mean(x) <= 0.05",
    "a bound given by parametrize": "assert mean(x) >= bound",
    "with a gate": "requires(mean(x) >= 0.9)\n    assert every(mean(x)) < 3",
}
WRONG = {
    "no assert": "mean(x)",
    "two asserts": "assert mean(x) >= 1\n    assert mean(x) >= 0",
    "an assert that is not last": "assert mean(x) >= 1\n    mean(x)",
    "an assert inside an if": "if x:\n        assert mean(x) >= 1",
    "an assert inside a try": "try:\n        assert mean(x) >= 1\n    except AssertionError:\n        pass",
    "a negation": "assert not mean(x) >= 1",
    "an or": "assert mean(x) >= 1 or True",
    "an and": "assert mean(x) >= 1 and mean(x) <= 2",
    "an equality": "assert mean(x) == 1",
    "a membership": "assert mean(x) in (1, 2)",
    "two estimates": "assert mean(x) >= mean(x)",
    "two numbers": "assert 3 >= 2",
    "a chain that turns around": "assert 0 <= mean(x) >= 1",
    "a chain of estimates": "assert mean(x) <= 1 <= mean(x)",
    "a computed bound": "assert mean(x) >= 1 - 0.6",
    "a bound from a global": "assert mean(x) >= LIMIT",
    "the model as a bound": "assert mean(x) >= model",
    "a truth value": "assert mean(x)",
    "a boolean bound": "assert mean(x) >= True",
    "a message": 'assert mean(x) >= 1, "because"',
    "a chain in a gate": "requires(0 <= mean(x) <= 1)\n    assert mean(x) >= 1",
    "an and in a gate": "requires(mean(x) >= 0 and mean(x) <= 1)\n    assert mean(x) >= 1",
    "a gate that compares nothing": "requires(mean(x))\n    assert mean(x) >= 1",
    "a gate behind a star": "requires(*gates)\n    assert mean(x) >= 1",
    "a way out": "pytest.skip('no')\n    assert mean(x) >= 1",
    "an early return": "if mean(x) >= 0.1:\n        return\n    assert mean(x) >= 1",
    "a swallowed refutation": "try:\n        bool(y)\n    except Exception:\n        pass\n    assert mean(x) >= 1",
    "an assert in a function": "def f():\n        assert mean(x) >= 1\n    assert mean(x) >= 0",
    "a lambda": "y = (lambda: 1)()\n    assert mean(x) >= 1",
    "a bound that is moved": "bound = bound / 2\n    assert mean(x) >= bound",
    "a walrus": "y = (z := mean(x))\n    assert mean(x) >= 1",
    "the best of several": "assert max(mean(x), mean(y)) >= 1",
}


def written(
    tmp_path, body, doc='"""A sentence.\n    Source: a test."""', parameters="model, bound=1.0", before=""
) -> FunctionType:
    """The function `test_it` with this body, from a file, as claims come."""
    path = tmp_path / "test_written.py"
    path.write_text(f"{before}def test_it({parameters}):\n    {doc}\n    {body}\n")
    namespace: dict = {"refuted": refuted, "open_question": open_question, "void": void}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    return namespace["test_it"]


@pytest.mark.parametrize("body", BODY.values(), ids=BODY)
def test_a_claim_may_be(tmp_path, body):
    assert Claim(written(tmp_path, body)).comparison is not None


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_claim_may_not_be(tmp_path, body):
    with pytest.raises(NoClaim, match="test_it"):
        Claim(written(tmp_path, body))


def test_a_claim_without_a_sentence_is_refused(tmp_path):
    with pytest.raises(NoClaim, match="docstring"):
        Claim(written(tmp_path, "assert mean(x) >= 1", doc="pass"))


def test_a_claim_without_a_source_is_refused(tmp_path):
    with pytest.raises(NoClaim, match="test_it has no source: say where the claim or its bound comes from"):
        Claim(written(tmp_path, "assert mean(x) >= 1", doc='"""A sentence that mentions a Source: in passing."""'))


def test_a_gate_with_two_bounds_is_refused_with_what_was_meant(tmp_path):
    with pytest.raises(NoClaim, match=r"test_it requires `0 <= mean\(x\) <= 1`, not one comparison: use two requires"):
        Claim(written(tmp_path, "requires(0 <= mean(x) <= 1)\n    assert mean(x) >= 1"))
    two = "requires(mean(x) >= 0)\n    requires(mean(x) <= 1)\n    assert mean(x) >= 1"
    assert Claim(written(tmp_path, two)).comparison is not None


def test_sentence_source_and_details_are_read_from_the_docstring(tmp_path):
    doc = '"""The sentence,\n    on two lines.\n\n    A detail.\n    Source: a paper,\n    section 2.\n    """'
    claim = Claim(written(tmp_path, "assert mean(x) >= 1", doc=doc))
    assert claim.sentence == "The sentence, on two lines."
    assert claim.details == "A detail."
    assert claim.source == "a paper, section 2."


def test_the_question_does_not_depend_on_bound_name_or_wording(tmp_path):
    one = Claim(written(tmp_path, "assert mean(x) >= 0.4")).question
    assert (
        Claim(written(tmp_path, "assert mean(x) >= 0.6  # bold", doc='"""Other words.\n    Source: s."""')).question
        == one
    )
    assert Claim(written(tmp_path, "assert mean(x) <= 0.4")).question != one
    assert Claim(written(tmp_path, "assert mean(y) >= 0.4")).question != one
    assert Claim(written(tmp_path, "y = 1\n    assert mean(x) >= 0.4")).question != one


def test_a_chain_is_known_as_one(tmp_path):
    assert Claim(written(tmp_path, "assert -1 <= mean(x) <= 1")).chained
    assert not Claim(written(tmp_path, "assert mean(x) <= 1")).chained


def test_a_mark_speaks_for_the_models_that_it_names(tmp_path):
    claim = Claim(written(tmp_path, "assert mean(x) >= 1", before='@refuted({"mini-2": "it has two"})\n'))
    assert claim.mark("mini-2") == ("REFUTED", "it has two")
    assert claim.mark("mini-1") == ("", "")


def test_a_mark_speaks_for_one_case_where_it_names_one(tmp_path):
    claim = Claim(written(tmp_path, "assert mean(x) >= 1", before='@refuted({"mini-2-zero": "only so"})\n'))
    assert claim.mark("mini-2", "mini-2-zero") == ("REFUTED", "only so")
    assert claim.mark("mini-2", "mini-2-mean") == ("", "")


def test_of_several_reasons_the_one_closest_to_the_case_is_given(tmp_path):
    reasons = {"*": "any", "mini-*": "a mini", "mini-2": "the second", "mini-2-zero": "so", "*-mean": "later"}
    claim = Claim(written(tmp_path, "assert mean(x) >= 1", before=f"@refuted({reasons})\n"))
    given = {
        ("mini-2", "mini-2-zero"): "so",
        ("mini-2", "mini-2-mean"): "the second",
        ("mini-1", "mini-1-mean"): "any",
        ("gpt2-small", "gpt2-small"): "any",
    }
    assert {asked: claim.mark(*asked) for asked in given} == {asked: ("REFUTED", why) for asked, why in given.items()}


@pytest.mark.parametrize(
    ("pattern", "marked"),
    [
        ("mini-*", ["mini-1-zero", "mini-2-mean"]),
        ("*-mean", ["mini-2-mean", "gpt2-mean"]),
        ("mini-*-zero", ["mini-1-zero"]),
        ("mini-?-zero", []),  # a name, unless there is a star in it
        ("mini-[12]*", ["mini-1-zero", "mini-2-mean"]),
        ("MINI-*", []),
        ("ini-*", []),
    ],
)
def test_a_pattern_fits_models_or_whole_cases(tmp_path, pattern, marked):
    claim = Claim(written(tmp_path, "assert mean(x) >= 1", before=f"@refuted({{{pattern!r}: 'why'}})\n"))
    cases = {"mini-1-zero": "mini-1", "mini-2-mean": "mini-2", "gpt2-mean": "gpt2"}
    assert [case for case, model in cases.items() if claim.mark(model, case) == ("REFUTED", "why")] == marked
    if not marked:
        with pytest.raises(NoClaim, match=r"names .*, which it is not about"):
            claim.check_marks(set(cases.values()), set(cases))
    else:
        claim.check_marks(set(cases.values()), set(cases))


@pytest.mark.parametrize(("first", "second"), [("mini-2", "mini-2"), ("mini-*", "mini-2"), ("mini-*", "*-2")])
def test_two_marks_on_one_model_are_refused(tmp_path, first, second):
    before = f'@refuted({{"{first}": "a"}})\n@open_question({{"{second}": "b"}})\n'
    with pytest.raises(NoClaim, match="choose one"):
        Claim(written(tmp_path, "assert mean(x) >= 1", before=before)).mark("mini-2")


def test_a_claim_takes_no_decorator_that_could_swallow_its_outcome(tmp_path):
    with pytest.raises(NoClaim, match=r"decorated with @functools\.cache"):
        Claim(written(tmp_path, "assert mean(x) >= 1", before="import functools\n@functools.cache\n"))


def test_a_mark_on_a_model_that_the_claim_is_not_about_is_refused(tmp_path):
    claim = Claim(written(tmp_path, "assert mean(x) >= 1", before='@refuted({"mini-2": "it has two"})\n'))
    claim.check_marks({"mini-1", "mini-2"}, set())
    with pytest.raises(NoClaim, match="names mini-2"):
        claim.check_marks({"mini-1"}, set())
    claim = Claim(written(tmp_path, "assert mean(x) >= 1", before='@refuted("everywhere")\n'))
    claim.check_marks(set(), set())
    with pytest.raises(NoClaim, match="names no model"):
        claim.check_marks({"mini-1"}, set())


@pytest.mark.parametrize("reasons", [{}, "", {"mini-0": ""}, None, ["mini-0"]])
def test_a_mark_without_a_reason_is_refused(reasons):
    with pytest.raises(TypeError, match="reason"):
        refuted(reasons)


def test_a_claim_takes_no_fixture(tmp_path):
    claim = Claim(written(tmp_path, "assert mean(x) >= 1"))
    check_arguments(claim, ["model", "bound"], {"model": "mini-0", "bound": 1.0})
    with pytest.raises(NoClaim, match="fixture tmp_path"):
        check_arguments(claim, ["model", "tmp_path"], {"model": "mini-0"})
    with pytest.raises(NoClaim, match="literals"):
        check_arguments(claim, ["model"], {"model": object()})
