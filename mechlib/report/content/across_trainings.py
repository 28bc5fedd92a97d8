"""Which sentences hold in every training of a recipe, in some, in none: what one checkpoint alone cannot say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mechlib.report.content.claim_rows import ClaimRow
from mechlib.report.content.summary import claims_of, plural
from mechlib.verdicts.controlled import UNCONTROLLED
from mechlib.verdicts.record import Record

FEWEST = 3  # trainings, below which "all of them" says little
FAILED = ("REFUTED", "INCONCLUSIVE", "VOID", "GATED")  # how a claim can be judged and not hold
ANSWERED = ("SUPPORTED", *FAILED)
APART = (*FAILED, UNCONTROLLED)  # what is counted beside what holds: SUPPORTED by nothing that could have failed, too
GROUPS = ("in all trainings", "in some", "in none")


@dataclass(frozen=True)
class Across:
    """One claim, in one case, over the trainings on which it was judged."""

    row: ClaimRow
    words: Counter[str]

    @property
    def held(self) -> str:
        """ "3 of 5"."""
        return f"{self.words['SUPPORTED']} of {self.words.total()}"

    @property
    def group(self) -> str:
        """One of GROUPS: in how many trainings it holds."""
        held = self.words["SUPPORTED"]
        return GROUPS[2 if not held else 0 if held == self.words.total() else 1]


@dataclass(frozen=True)
class Recipe:
    """The trainings of one recipe; by topic, and by group, the cases of claims that were judged on three of them."""

    models: tuple[str, ...]
    topics: dict[str, dict[str, list[Across]]]

    @property
    def words(self) -> list[str]:
        """The words of APART that occur."""
        claims = [claim for groups in self.topics.values() for members in groups.values() for claim in members]
        return [word for word in APART if any(claim.words[word] for claim in claims)]

    @property
    def summary(self) -> str:
        """How many cases of claims hold in all trainings, in some and in none, as one sentence.

        A case may hold where another of the same claim does not, so it is cases that are counted, and of how many
        claims they are is said beside it.
        """
        n = Counter[str]()
        for groups in self.topics.values():
            n.update({group: len(cases) for group, cases in groups.items()})
        claims = claims_of(self.ids)
        of = plural(claims, "claim")
        said = of if claims == n.total() else f"{plural(n.total(), 'case')} of {of}, each"
        return (
            f"{said} judged on at least {FEWEST} of the {len(self.models)} trainings "
            f"{self.models[0]} to {self.models[-1]}: " + ", ".join(f"{n[group]} hold {group}" for group in GROUPS) + "."
        )

    @property
    def ids(self) -> list[str]:
        """An id of each case that was judged on at least three."""
        return [one.row.first.id for groups in self.topics.values() for cases in groups.values() for one in cases]


def recipes(topics: Mapping[str, Sequence[ClaimRow]], models: Sequence[str]) -> list[Recipe]:
    """Recipes with at least three trainings: models whose names differ in their last number only.

    Claims stand in the order of their files. What was not run, or ended in an error, is no judgement.
    """
    named: dict[str, list[str]] = {}
    for model in models:
        found = re.fullmatch(r"(.*\D)\d+", model)
        if found:
            named.setdefault(found.group(1), []).append(model)
    made = [_recipe(topics, tuple(models)) for models in named.values() if len(models) >= FEWEST]
    return [recipe for recipe in made if recipe.topics]


def _recipe(claimed: Mapping[str, Sequence[ClaimRow]], models: tuple[str, ...]) -> Recipe:
    topics = {}
    for topic, rows in claimed.items():
        judged = [[_word(r) for r in row.records if r.model in models and r.verdict in ANSWERED] for row in rows]
        found = [Across(row, Counter(words)) for row, words in zip(rows, judged, strict=True) if len(words) >= FEWEST]
        if found:
            grouped = {group: [claim for claim in found if claim.group == group] for group in GROUPS}
            topics[topic] = {group: claims for group, claims in grouped.items() if claims}
    return Recipe(models, topics)


def _word(record: Record) -> str:
    """What counts for a headline: the verdict, but UNCONTROLLED for one that is."""
    return UNCONTROLLED if record.uncontrolled else record.verdict
