"""How a question about two numbers is worded: those of training, that of the community, and one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mechlib.prompts import world
from mechlib.prompts.pretrained.style import Style
from mechlib.prompts.promptset import Prompt
from mechlib.prompts.world import Pair

QUESTION: Final = "Question: What is {a}+{b}? Answer: {a}+{b}={sum}"  # the usual one for models from the Hub
WORDINGS: Final[dict[str, str]] = {**world.ADDITION_WORDINGS, "question": QUESTION}
ANSWER_LAST: Final = re.compile(r"(?P<text>.*?)(?P<glue>\s*)\{(?P<answer>\w+)\}", re.DOTALL)


@dataclass(frozen=True)
class Wording:
    """A text with slots {a}, {b} and {sum} up to its answer, what stands between, and the slot that is the answer."""

    text: str
    glue: str
    answer: str
    ordinary: bool = False  # in ordinary spacing, for pretrained models

    @classmethod
    def parse(cls, template: str, ordinary: bool = False) -> Wording:
        """The wording of a template that ends in the slot of its answer."""
        match = ANSWER_LAST.fullmatch(template)
        if match is None:
            raise ValueError(f"the wording {template!r} does not end in its answer: end it in {{sum}}")
        return cls(match["text"], match["glue"], match["answer"], ordinary)

    @cached_property
    def of_the_world(self) -> bool:
        """Whether its words are all of the minis' vocabulary: only then may their fillers stand before it."""
        return not self.ordinary and all(word in world.IDS for word in world.template_words(self.text))

    def prompt(
        self, pair: Pair, other: Pair | None = None, lead: str = "", labels: tuple[tuple[str, str], ...] = ()
    ) -> Prompt:
        """The question about `pair` after `lead`, corrupted to the question about `other`; its factor: the operands.

        There is no distractor where both have one answer.
        """
        operands = [number for asked in (pair, other) if asked for number in self._operands(asked)]
        return Prompt(
            clean=lead + self._ask(pair),
            answer=self._number(pair),
            corrupted=lead + self._ask(other) if other else "",
            distractor=self._number(other) if other and self._number(other) != self._number(pair) else "",
            labels=labels,
            glue=self.glue,
            factors=(("operand", tuple(dict.fromkeys(operands))),),
        )

    def solved(self, pair: Pair) -> str:
        """The question with its answer, and what stands before the next one."""
        return f"{self._ask(pair)}{self.glue}{self._number(pair)}" + (" . " if self.of_the_world else "\n")

    def _ask(self, pair: Pair) -> str:
        text = self.text
        for slot, number in _slots(pair).items():
            text = text.replace(f"{{{slot}}}", str(number))
        return text

    def _operands(self, pair: Pair) -> tuple[str, ...]:
        """The numbers of a pair that the question says."""
        return tuple(str(_slots(pair)[slot]) for slot in world.slots(self.text))

    def _number(self, pair: Pair) -> str:
        return str(_slots(pair)[self.answer])


def wording_of(wording: str, style: Style = "world") -> Wording:
    """One of `WORDINGS` by its name, or a text of one's own with {a} and {b}, which may end in {sum}.

    In the style "pretrained" those with a name have ordinary spacing: `What is {a} + {b}? Answer: {sum}`.

    Raises ValueError, in one line, on unknown names, missing or unknown slots, and answers that are not the sum.
    """
    ordinary = style == "pretrained"
    if wording in WORDINGS:
        said = WORDINGS[wording]
        return Wording.parse(re.sub(r" (?=[?:,])", "", said) if ordinary else said, ordinary)
    slots = set(world.slots(wording))
    if not slots:
        raise ValueError(f"no wording {wording!r}: choose {', '.join(WORDINGS)}, or a text with {{a}} and {{b}}")
    if missing := {"a", "b"} - slots:
        raise ValueError(f"the wording {wording!r} lacks {_braced(missing)}: it needs both operands, {{a}} and {{b}}")
    if strange := slots - {"a", "b", "sum"}:
        raise ValueError(
            f"the wording {wording!r} asks for {_braced(strange)}, which is no number that two operands give: "
            "use {a} and {b}, and {sum} at the end"
        )
    form = Wording.parse(wording if "sum" in slots else f"{wording.rstrip()} {{sum}}", ordinary)
    if {"{", "}"} & set(form._ask((0, 0))):
        raise ValueError(f"the wording {wording!r} has a brace that belongs to no slot: write {{a}}, {{b}}, {{sum}}")
    if "{sum}" in form.text:
        raise ValueError(f"the wording {wording!r} says {{sum}} before its end: that would give the answer away")
    return form


def _slots(pair: Pair) -> dict[str, int]:
    return {"a": pair[0], "b": pair[1], "sum": sum(pair)}


def _braced(slots: set[str]) -> str:
    return " and ".join(f"{{{slot}}}" for slot in sorted(slots))
