"""The reviewer's checklist, answered by counts: of how many verdicts is it so, and of which is it not.

An item is a question that a reader of any such record asks. An answer counts what the record itself says and judges
nothing; which of its verdicts lack it is listed, in the order in which they are read.

Source: the questions follow MechEvalAgent, arXiv:2602.18458.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mechlib.evidence import files, stamp
from mechlib.report.content.claim_rows import ClaimRow
from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.summary import claims_of
from mechlib.verdicts.record import Record
from mechlib.verdicts.register import ANSWERS

# Instruments, by their public names, that change something in the model and see what follows; others look on.
INTERVENE = frozenset(
    f"lab.{name}"
    for name in (
        "ablated answers_exchanged attention_after_path_patching circuit_scores das_subspaces difference_lost "
        "difference_restored difference_without dose_response exchanged_circuit_scores flipped_by_patching "
        "greedy_knockout grid input_changed input_changed_by_path interchange loss_under_ablation lost_by_added_part "
        "lost_by_part lost_by_patching lost_by_path_patching mean_ablated patched prune random_circuit_scores "
        "resample_ablated restored_by_features restored_by_patching restored_by_path_patching restored_by_random_sets "
        "restored_by_sets_of_features right_against_wrong scaled steered sums_by_interpolation under_ablation "
        "under_ablation_of_random_sets under_actions under_addition under_knockouts under_other_embeddings "
        "under_other_positions under_removal wrong_against_wrong zero_ablated"
    ).split()
)
TRAININGS = 3  # so many seeds of one recipe, at least, for a claim to say something of the recipe
BEFORE = ("REGISTERED", "REGISTERED, PROMPTS SEEN", "AMENDED")  # words of what was registered before its evidence
OLDER = "OLDER INSTRUMENTS"


@dataclass(frozen=True)
class Answer:
    """One item of the checklist.

    item     what it is called: "causal", "held out", ...
    said     what is so of `held` of them
    held     how many it is so of, `of` how many it is asked of
    of_what  what is counted: "verdicts", "supported verdicts", "claims"
    lacking  the records of which it is not so, of a claim the first
    cure     what would mend that
    """

    item: str
    said: str
    held: int
    of: int
    of_what: str
    lacking: tuple[Record, ...]
    cure: str

    @property
    def share(self) -> float:
        """Of 1; 1 where there is nothing to ask."""
        return self.held / self.of if self.of else 1.0


def checklist(book: RecordBook) -> list[Answer]:
    """The answers, in the order in which a reviewer asks."""
    judged = [record for row in book.rows for record in row.records if record.verdict in ANSWERS]
    supported = [record for record in judged if record.verdict == "SUPPORTED"]
    holm = book.corrected
    return [
        _counted("causal", "rest on evidence that changed something in the model and saw what followed", judged,
                 _Interventions(book), cure="patch or ablate what is only looked at"),
        _counted("held out", "are judged on confirmation prompts, which chose nothing", judged,
                 lambda record: bool(record.prompts), cure="weights, texts and what is counted have none"),
        _seeds(book),
        _counted("alternatives", "name a part whose place others took, or a rival, and these did worse", supported,
                 lambda record: record.controlled.by in ("matched parts", "control=", "its own null"),
                 "supported verdicts", "`pytest --controls`, or a control= in the claim"),
        _counted("effect size", "claim a size and not a sign alone", judged,
                 lambda record: any(bound for _, bound in _bounds(record)), cure="hold the estimate against a size"),
        _counted("register", "were registered before they were measured", judged,
                 lambda record: record.registration in BEFORE, cure="`pytest --register`, commit, then measure"),
        _counted("controls", "passed a control that could have failed", supported,
                 lambda record: not record.uncontrolled, "supported verdicts", "CONTRIBUTING.md, a new claim, 4"),
        _counted("reproducible", "name weights and whole evidence, by today's instruments", judged,
                 lambda record: _reproducible(book, record), cure="`pytest --fresh --sample .1`"),
        _counted("uncertainty", "have an interval over what was drawn", judged,
                 lambda record: record.comparison is not None and record.comparison.estimate.method != "exact",
                 cure="what is counted whole, or computed from weights, is exact and of this model only"),
        _counted("multiplicity", "stay so after Holm's correction over all that was asked of the model", supported,
                 lambda record: holm.get(record.id, {}).get("Holm") == "SUPPORTED", "supported verdicts",
                 "more prompts, or fewer questions"),
    ]  # fmt: skip


def first_to_fail(answers: Iterable[Answer]) -> Answer | None:
    """The item that is so of the smallest share; None where all is so."""
    worst = min(answers, key=lambda answer: answer.share, default=None)
    return worst if worst is not None and worst.lacking else None


def _counted(
    item: str,
    said: str,
    asked: list[Record],
    is_so: Callable[[Record], bool],
    of_what: str = "verdicts",
    cure: str = "",
) -> Answer:
    lacking = tuple(record for record in asked if not is_so(record))
    return Answer(item, said, len(asked) - len(lacking), len(asked), of_what, lacking, cure)


def _bounds(record: Record) -> Iterable[tuple[str, float]]:
    return record.comparison.bounds if record.comparison else ()


def _seeds(book: RecordBook) -> Answer:
    """Claims that were judged on several trainings of a recipe: of functions, each counted once."""
    repeated = set(_repeated(book))
    rows: dict[str, ClaimRow] = {}
    for row in book.rows:
        if any(record.verdict in ANSWERS for record in row.records):
            rows.setdefault(row.first.id.partition("[")[0], row)
    lacking = tuple(row.first for name, row in rows.items() if name not in repeated)
    of = claims_of(rows)
    cure = "ask it of mini-0 to mini-4"
    said = f"were judged on {TRAININGS} trainings or more"
    return Answer("seeds", said, of - len(lacking), of, "claims", lacking, cure)


def _repeated(book: RecordBook) -> Iterator[str]:
    for recipe in book.recipes:
        yield from (one.partition("[")[0] for one in recipe.ids)


class _Interventions:
    """Whether some evidence of a record was measured by an instrument that intervenes: its stamp says by which."""

    def __init__(self, book: RecordBook) -> None:
        self.folder = book.evidence.folder
        self._stamps: dict[str, bool] = {}
        self._files: dict[str, bool] = {}

    def __call__(self, record: Record) -> bool:
        return any(self._file(path) for path in record.evidence)

    def _file(self, path: str) -> bool:
        if path not in self._files:
            filed = files.first_line(self.folder / path).get("stamp")
            self._files[path] = isinstance(filed, str) and self._stamp(filed)
        return self._files[path]

    def _stamp(self, name: str) -> bool:
        if name not in self._stamps:
            self._stamps[name] = not INTERVENE.isdisjoint(stamp.filed_stamp(self.folder, name) or {})
        return self._stamps[name]


def _reproducible(book: RecordBook, record: Record) -> bool:
    there = all((book.evidence.folder / path).is_file() for path in record.evidence)
    return there and bool(record.evidence) and OLDER not in record.flags and all(one.weights for one in record.models)
