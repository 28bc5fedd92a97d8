"""The record book: what every output says of a run's records, grouped, counted, corrected and drawn once.

It is made when a run has ended. The pages, REPORT.md, its figures, results.json and the terminal read it and add
nothing of their own but their form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import msgspec
from markupsafe import Markup

from mechlib.report.content.across_trainings import Recipe, recipes
from mechlib.report.content.claim_figures import Figure, asked_figures
from mechlib.report.content.claim_rows import ClaimRow, by_topic, claim_rows, models_of
from mechlib.report.content.claim_views import forest_panel
from mechlib.report.content.evidence_files import EvidenceFiles
from mechlib.report.content.history import Point, history
from mechlib.report.content.model_cards import ModelCard, model_cards
from mechlib.report.content.published_sentences import Published, published_sentences
from mechlib.report.content.summary import (
    BY,
    Failure,
    Glance,
    Unasked,
    control_counts,
    failures,
    glance,
    headline,
    unasked,
    verdict_counts,
)
from mechlib.report.content.titles import introduction, topic_title
from mechlib.statistics import multiplicity
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import ANSWERS, REGISTER
from mechlib.verdicts.verdict import Outcome


class NotOrdered(ValueError):
    """Verdicts of which nobody asked git whether they were registered before their evidence."""


class RecordBook:
    """The records of a run and all that follows from them.

    records   in the order of their ids, in whichever order workers finished
    root      where the claim files, the models' cards and the evidence lie
    evidence  the evidence files, shared with whoever read them while the run went on
    audit     of models that are not the record's: nothing of them is in git, and nothing published is asked

    Raises NotOrdered where records of a root with a register lack the word of git's order, as those of records.jsonl
    do: what is EXPLORATORY would not be seen, and published sentences would have other outcomes.
    """

    def __init__(
        self,
        records: Iterable[Record],
        root: Path,
        evidence: EvidenceFiles | None = None,
        audit: bool = False,
    ) -> None:
        self.records = tuple(sorted(records, key=lambda record: record.id))
        if not audit:
            _refuse_unordered(self.records, root)
        self.root = root
        self.evidence = evidence or EvidenceFiles(root / "artifacts" / "evidence")
        self._figures: dict[str, list[Figure]] = {}
        self._forests: dict[str, Markup] = {}

    # In groups

    @cached_property
    def rows(self) -> list[ClaimRow]:
        """The claims, in the order in which they are read."""
        return claim_rows(self.records)

    @cached_property
    def topics(self) -> dict[str, list[ClaimRow]]:
        """The claims by topic."""
        return by_topic(self.rows)

    @cached_property
    def models(self) -> list[str]:
        """The models, in natural order; "" for claims without one comes last."""
        return models_of(self.records)

    @cached_property
    def glances(self) -> list[Glance]:
        """The verdicts of each topic as a table."""
        return [glance(topic, rows) for topic, rows in self.topics.items()]

    @cached_property
    def recipes(self) -> list[Recipe]:
        """Which claims hold in every training of a recipe, in some, in none."""
        return recipes(self.topics, self.models)

    @cached_property
    def failures(self) -> list[Failure]:
        """What did not come out as claimed."""
        return failures(self.rows)

    @cached_property
    def unasked(self) -> list[Unasked]:
        """What was gated or not run."""
        return unasked(self.rows)

    @cached_property
    def published(self) -> Published | None:
        """Published sentences beside the papers' numbers; None where no claim names one."""
        return published_sentences(self.rows, self.root)

    # In numbers

    @cached_property
    def counts(self) -> list[tuple[Outcome, int]]:
        """How many verdicts came out with each word."""
        return verdict_counts(self.records)

    @cached_property
    def controls(self) -> list[tuple[str, int]]:
        """By what claims are controlled, and how many."""
        return [(BY[by], n) for by, n in control_counts(self.records)]

    @cached_property
    def headline(self) -> str:
        """The count in two or three sentences."""
        return headline(self.rows)

    @cached_property
    def corrected(self) -> dict[str, dict[str, str]]:
        """Verdicts by id as Holm, and Benjamini and Hochberg, leave them: {"Holm": word, "BH": word}.

        The family is all comparisons judged on one model (docs/STATISTICS.md, R12).
        """
        families: dict[str, list[Record]] = {}
        for record in self.records:
            if record.comparison:
                families.setdefault(record.model, []).append(record)
        words: dict[str, dict[str, str]] = {}
        for family in families.values():
            left = multiplicity.adjusted([msgspec.structs.asdict(r.comparison) for r in family if r.comparison])
            words |= {r.id: {"Holm": row["holm"], "BH": row["bh"]} for r, row in zip(family, left, strict=True)}
        return words

    @cached_property
    def past(self) -> dict[str, list[Point]]:
        """What the committed pages said of each verdict from commit to commit, by id; [] without git."""
        return history(self.root, [record.id for record in self.records])

    # In words

    @cached_property
    def titles(self) -> dict[str, str]:
        """What each topic is called."""
        return {topic: topic_title(self.root, topic, rows[0].first.file) for topic, rows in self.topics.items()}

    @cached_property
    def introductions(self) -> dict[str, list[str]]:
        """What introduces each topic, in paragraphs."""
        return {topic: introduction(self.root, rows[0].first.file) for topic, rows in self.topics.items()}

    @cached_property
    def cards(self) -> list[ModelCard]:
        """What is known of each model."""
        return model_cards(self.records, self.models, self.root)

    # In figures

    def figures(self, row: ClaimRow) -> list[Figure]:
        """The figures that a claim asked for, drawn once."""
        if row.anchor not in self._figures:
            self._figures[row.anchor] = asked_figures(row.records, self.evidence)
        return self._figures[row.anchor]

    def forest(self, row: ClaimRow) -> Markup:
        """The forest plot of a claim, drawn once."""
        if row.anchor not in self._forests:
            self._forests[row.anchor] = forest_panel(row)
        return self._forests[row.anchor]


def _refuse_unordered(records: Sequence[Record], root: Path) -> None:
    judged = [record for record in records if record.verdict in ANSWERS]
    kept = (root / REGISTER).is_file()
    bare = sum(not record.registration and (kept or bool(record.registered)) for record in judged)
    if bare:
        raise NotOrdered(
            f"of {bare} of {len(judged)} verdicts it is not known whether they were registered before their evidence: "
            "call mechlib.judging.registration.words.registrations(root, records) first, which asks git"
        )
