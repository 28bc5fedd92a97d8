"""What a claim would be refused for whatever is measured: too few levels, too much in common, too few prompts.

An interval's degrees of freedom need what prompts share and how many there are, and no value. So the function that
will make the estimate is given made-up values on the same prompts; where it refuses them, it would refuse all.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mechlib.evidence import files
from mechlib.evidence.lookup import Body
from mechlib.evidence.prompt_files import PROMPTS, rows_of
from mechlib.evidence.question import Question, prompts_in
from mechlib.evidence.sealed import ENDING
from mechlib.evidence.store import Store
from mechlib.judging.registration.claimed import nested
from mechlib.judging.registration.unmeasured import Unmeasured
from mechlib.measurement import TOTAL, Measurement
from mechlib.prompts.promptset import PromptSet
from mechlib.statistics import TooFew, correlation, difference, mean, proportion, ratio

ESTIMATES = {function.__name__: function for function in (mean, proportion, ratio, difference, correlation)}
# Instruments whose rows are not the prompts they are given: what prompts share says nothing of them.
OTHER_ROWS = {
    "lab.attention_pattern", "lab.exchanged_circuit_scores", "lab.grid", "lab.random_circuit_scores",
    "lab.restored_by_random_sets", "lab.under_ablation_of_random_sets",
}  # fmt: skip


class DesignRefused(Exception):
    """The interval of an estimate would be refused, whatever is measured."""


def rows_known(body: Body, question: Question, store: Store) -> PromptSet | None:
    """The prompts that are the rows of an answer; None where that is not certain before it is measured.

    It is not where a question is asked on several sets of confirmation prompts or none, where an instrument or the
    function itself makes rows of something else, and where an answer on file has other rows.
    """
    sets = [one for one in prompts_in(question.arguments) if one.split == "confirmation"]
    if len(sets) != 1 or OTHER_ROWS & body.stamp.keys() or not _by_prompt(body):
        return None
    filed = (store.folder / question.topic).glob(f"{question.function}--*{ENDING}")
    return sets[0] if all(files.first_line(path).get(PROMPTS) for path in filed) else None


def _by_prompt(body: Body) -> bool:
    """Whether no function of one's own makes a Measurement, or by the fingerprints of prompts."""
    try:
        texts = [inspect.getsource(function) for function in nested(body.call)]
    except OSError:
        return False
    return all("Measurement(" not in text or "fingerprint" in text for text in texts)


def check_design(name: str, given: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raises DesignRefused where an estimate of this name refuses whatever is measured.

    given, named  its arguments; what is not measured yet knows on which prompts it will be, or not
    """
    known = {key: value for key, value in named.items() if key not in ("control", "beside", "whole")}
    asked = [value for value in (*given, *known.values()) if isinstance(value, Unmeasured)]
    if name not in ESTIMATES or not asked or any(value.known_rows is None for value in asked):
        return
    columns = ("value", TOTAL) if name == "ratio" and len(asked) == 1 else ("value",)
    refusals = []
    for yes_no in {"proportion": (True,), "difference": (False, True)}.get(name, (False,)):
        made = [_made_up(value, columns, yes_no, place) for place, value in enumerate(given)]
        others = {key: _made_up(value, columns, yes_no, len(made)) for key, value in known.items()}
        try:
            ESTIMATES[name](*made, **others)
        except TooFew as refusal:
            refusals.append(str(refusal))
        except Exception:  # no refusal for want of levels: it is said where the claim is judged
            return
        else:
            return
    raise DesignRefused(
        f"whatever is measured, the {name} on {asked[0].known_rows!r} is refused: {refusals[0]}; "
        "take prompts with more levels, each in fewer of them"
    )


def _made_up(value: Any, columns: tuple[str, ...], yes_no: bool, place: int) -> Any:
    """Values that vary, on the prompts of what is not measured yet; anything else as it is."""
    if not isinstance(value, Unmeasured) or value.known_rows is None:
        return value
    rows = rows_of(value.known_rows)
    values = np.random.default_rng(place).normal(10, 1, (len(rows.units), len(columns)))
    return Measurement(
        (values > 10).astype(float) if yes_no else values,
        rows.units,
        unit=value.known_rows.unit,
        columns=columns,
        clusters=rows.clusters,
        factors=rows.named,
        yes_no=yes_no,
    )
