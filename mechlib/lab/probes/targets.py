"""What a probe is asked for: a class of each prompt; and which prompts must not be split between training and test.

Nothing here knows of a model. A target is a name, so that evidence can be filed under it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias

from mechlib.prompts.promptset import Prompt, PromptSet
from mechlib.prompts.world import MEN, WOMEN

Target: TypeAlias = Callable[[Prompt], str]
Groups: TypeAlias = str | tuple[str, ...]

_WORDS = ("answer", "distractor", "cluster")
_GENDERS = {
    name: gender for gender, names in (("woman", WOMEN), ("man", MEN)) for lexicon in names.values() for name in lexicon
}


def sum_modulo_10(prompt: Prompt) -> str:
    """The units digit of the sum of the labels a and b."""
    a, b = _operands(prompt)
    return str((a + b) % 10)


def tens_of_the_sum(prompt: Prompt) -> str:
    """The tens digit of the sum of the labels a and b, without hundreds."""
    a, b = _operands(prompt)
    return str((a + b) // 10 % 10)


def order_of_operands(prompt: Prompt) -> str:
    """Whether the first operand, label a, is the larger one; where both are the same it is not."""
    a, b = _operands(prompt)
    return "larger first" if a > b else "larger not first"


def subject(prompt: Prompt) -> str:
    """Which of two names is the subject, of indirect objects the distractor: the one that is said first, or second.

    ValueError where the text does not say both, or where there is no distractor.
    """
    named = {"answer": prompt.answer, "distractor": prompt.distractor}
    found = {which: re.search(rf"\b{re.escape(name)}\b", prompt.clean) for which, name in named.items() if name}
    if len(found) < 2 or None in found.values():
        raise ValueError(f"{prompt.clean!r} does not say both of {named}: the subject is asked of two names")
    starts = {which: match.start() for which, match in found.items() if match}
    return "said first" if starts["distractor"] < starts["answer"] else "said second"


def gender_of_the_answer(prompt: Prompt) -> str:
    """Whether the answer is a woman's or a man's name of the small models' world. ValueError for other answers."""
    if prompt.answer not in _GENDERS:
        raise ValueError(f"the answer {prompt.answer!r} is no name of the small models' world: choose another target")
    return _GENDERS[prompt.answer]


TARGETS: Mapping[str, Target] = {
    "sum modulo 10": sum_modulo_10,
    "tens of the sum": tens_of_the_sum,
    "order of operands": order_of_operands,
    "subject": subject,
    "gender of the answer": gender_of_the_answer,
}


def classes_of(prompts: PromptSet, target: str) -> tuple[str, ...]:
    """The class of each prompt, for one of TARGETS, or for anything that `value_of` knows, a label say.

    Raises ValueError for an unknown target, for one that gives a prompt several classes, and where all prompts have the
    same class.
    """
    found = []
    for prompt in prompts:
        own = (TARGETS[target](prompt),) if target in TARGETS else value_of(prompt, target)
        if len(own) != 1:
            raise ValueError(f"target {target!r} has {len(own)} values in {prompt.clean!r}, wanted one: name a label")
        found.append(own[0])
    if len(set(found)) < 2:
        raise ValueError(
            f"target {target!r} has one class, {found[0]!r}, in {len(found)} prompts of {prompts.name}: there is "
            "nothing to tell apart; take prompts of two classes"
        )
    return tuple(found)


def groups_of(prompts: PromptSet, group: Groups) -> tuple[str, ...]:
    """By prompt, what must not be split between training and test.

    "prompt"        each text alone (rows that share a text stay together)
    a name          a label ("place"), a word ("answer", "distractor"), "cluster", or a factor ("name"), of whose
                    levels, those of the corrupted text included, each set is a group
    several names   the *unordered* set of their values: ("a", "b") holds out 3 + 5 together with 5 + 3
    """
    if group == "prompt":
        return tuple(prompt.clean for prompt in prompts)
    names = (group,) if isinstance(group, str) else tuple(group)
    return tuple(" ".join(sorted(own for name in names for own in value_of(prompt, name))) for prompt in prompts)


def value_of(prompt: Prompt, name: str) -> tuple[str, ...]:
    """What a prompt has under a name: a label, its answer, distractor or cluster, or the levels of a factor.

    Raises ValueError, with the names that there are, for another one.
    """
    known: dict[str, tuple[str, ...]] = {**dict(prompt.factors)}
    known |= {word: (getattr(prompt, word),) for word in _WORDS if getattr(prompt, word)}
    known |= {label: (value,) for label, value in prompt.labels}
    if name not in known:
        raise ValueError(
            f"{prompt.clean!r} has no {name!r}: choose one of {', '.join(sorted(known)) or 'nothing'}, or of the "
            f"targets {', '.join(TARGETS)}"
        )
    return known[name]


def require_groups(classes: tuple[str, ...], groups: tuple[str, ...], target: str, folds: int) -> None:
    """ValueError where there are fewer groups than folds, or a class is in one group alone."""
    if folds < 3:
        raise ValueError(f"{folds} folds: give 3 or more, for what is left in training is split once more")
    if len(set(groups)) < folds:
        raise ValueError(
            f"{len(set(groups))} groups for {folds} folds: no fold may be without; take fewer folds, or more prompts"
        )
    if max(Counter(classes).values()) < folds:
        raise ValueError(
            f"no class of {target!r} has {folds} prompts, one a fold: take more prompts, or a target of fewer classes"
        )
    spread = Counter(own for own, _ in set(zip(classes, groups, strict=True)))
    alone = next((own for own in sorted(spread) if spread[own] < 2), None)
    if alone is not None:
        where = groups[classes.index(alone)]
        raise ValueError(
            f"class {alone!r} of {target!r} is in one group alone, {where!r}: it is either trained or tested; take "
            "more prompts, or another group"
        )


def _operands(prompt: Prompt) -> tuple[int, int]:
    a, b = (int(value_of(prompt, name)[0]) for name in "ab")
    return a, b
