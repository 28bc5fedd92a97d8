"""Targets and groups: what a prompt's class is, what is held out together, and what is refused in one line."""

import itertools

import pytest

from mechlib.lab.probes.targets import classes_of, groups_of, require_groups
from mechlib.prompts import addition, ioi
from mechlib.prompts.promptset import Prompt, PromptSet


def labelled(*rows: tuple[str, str]) -> PromptSet:
    made = tuple(Prompt(f"w{n}", "", labels=(("kind", kind), ("name", name))) for n, (kind, name) in enumerate(rows))
    return PromptSet("labelled", "discovery", made)


def test_digits_and_order_are_those_of_the_operands():
    prompts = addition(60)
    pairs = [(int(one.label("a")), int(one.label("b"))) for one in prompts]
    assert classes_of(prompts, "sum modulo 10") == tuple(str(a + b)[-1] for a, b in pairs)
    assert classes_of(prompts, "tens of the sum") == tuple(f"{a + b:03}"[1] for a, b in pairs)
    assert classes_of(prompts, "order of operands") == tuple(
        "larger first" if a > b else "larger not first" for a, b in pairs
    )
    assert classes_of(prompts, "carry") == tuple(one.label("carry") for one in prompts)


def test_equal_operands_are_not_in_order():
    rows = tuple(Prompt(f"{a} + {b} =", "", labels=(("a", str(a)), ("b", str(b)))) for a, b in [(5, 5), (7, 2)])
    assert classes_of(PromptSet("two", "discovery", rows), "order of operands") == ("larger not first", "larger first")


def test_the_subject_is_said_second_in_abba_and_first_in_baba():
    prompts = ioi(40)
    wanted = {"ABBA": "said second", "BABA": "said first"}
    assert classes_of(prompts, "subject") == tuple(wanted[one.label("order")] for one in prompts)


def test_genders_are_those_of_the_world_and_other_names_are_refused():
    prompts = PromptSet("names", "discovery", (Prompt("a", "Susan"), Prompt("b", "Tom")))
    assert classes_of(prompts, "gender of the answer") == ("woman", "man")
    with pytest.raises(ValueError, match="'Taylor' is no name of the small models' world"):
        classes_of(PromptSet("names", "discovery", (Prompt("a", "Taylor"),)), "gender of the answer")


def test_a_pair_is_held_out_in_both_orders():
    rows = [Prompt(f"{a} + {b}", "", labels=(("a", a), ("b", b))) for a, b in itertools.product("135", repeat=2)]
    found = groups_of(PromptSet("all", "discovery", tuple(rows)), ("a", "b"))
    assert found[1] == found[3] == "1 3" and len(set(found)) == 6


def test_a_factor_groups_by_the_set_of_its_levels():
    prompts = ioi(20)
    for prompt, group in zip(prompts, groups_of(prompts, "name"), strict=True):
        assert set(group.split()) == {prompt.answer, prompt.distractor}


def test_rows_of_one_text_are_one_group():
    rows = (Prompt("w1 w2", "a", "w1 w3", "b"), Prompt("w1 w2", "a", "w1 w4", "c"))
    assert len(set(groups_of(PromptSet("twice", "discovery", rows), "prompt"))) == 1


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("colour", "'w0' has no 'colour': choose one of kind, name, or of the targets sum modulo 10, "),
        ("sum modulo 10", "'w0' has no 'a'"),
        ("subject", "'w0' does not say both of "),
    ],
)
def test_a_target_that_prompts_do_not_have_is_refused_with_what_they_have(target, said):
    with pytest.raises(ValueError, match=said) as raised:
        classes_of(labelled(("x", "n"), ("y", "m")), target)
    assert "\n" not in str(raised.value)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="'kind' has one class, 'x', in 2 prompts of labelled: there is nothing to"):
        classes_of(labelled(("x", "n"), ("x", "m")), "kind")


def test_a_factor_of_several_levels_is_no_target():
    with pytest.raises(ValueError, match="target 'operand' has 3 values in "):
        classes_of(addition(4), "operand")


@pytest.mark.parametrize(
    ("classes", "groups", "folds", "said"),
    [
        ("xyxyxy", "aabbcc", 5, "3 groups for 5 folds"),
        ("xyxyxx", "aaaabc", 3, "class 'y' of 't' is in one group alone, 'a'"),
        ("xxyyzz", "abcdef", 3, "no class of 't' has 3 prompts, one a fold"),
        ("xyxyxy", "aabbcc", 2, "2 folds: give 3 or more"),
    ],
)
def test_too_few_groups_are_refused(classes, groups, folds, said):
    with pytest.raises(ValueError, match=said):
        require_groups(tuple(classes), tuple(groups), "t", folds)
    require_groups(tuple("xyxyxy"), tuple("aabbcc"), "t", 3)
