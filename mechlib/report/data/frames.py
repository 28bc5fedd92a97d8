"""The record, and what was measured, as frames of pandas, which the extra `analysis` brings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mechlib.measurement import Measurement
from mechlib.parts.blinding import read_by_a_claim
from mechlib.parts.chosen import DoubleDipping
from mechlib.report.data.entries import SCHEMA

if TYPE_CHECKING:
    from pandas import DataFrame

_INSIDE = {  # entries of results.json that are objects: each of their fields is a column
    "control": ("kind", "sets", "on_the_side", "word"),
    "reported": ("value", "where", "unit", "sentence", "primary", "exists"),
    "dithered": ("model", "word", "estimate", "low", "high"),
}


def results(path: str | Path = "artifacts/report/results.json") -> DataFrame:
    """The verdicts of a record as a frame of pandas, a row each: docs/results.schema.json says what the columns are.

    What is an object there has its fields as columns here: `control_word`, `reported_value`, `dithered_estimate`. Of a
    file of schema 1 there are the columns that it had.

    Raises ImportError where pandas is missing, FileNotFoundError where there is no file, ValueError where it is no
    results.json, of a newer schema, or has no verdict.
    """
    _refuse_claims("results()")
    pandas = _pandas("the verdicts as a frame")
    rows = [_flat(entry) for entry in entries(Path(path))]
    if not rows:
        raise ValueError(
            f"{path} has no verdict, so there is nothing to show: `python -m pytest --frozen --report` judges"
        )
    return pandas.DataFrame(rows)


def entries(path: Path) -> list[dict[str, Any]]:
    """What a results.json of any schema up to today's says of each verdict. Raises as `results` does."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no {path}: `python -m pytest --frozen --report` writes it") from None
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"{path} cannot be read as results.json ({error}): write it anew with `--report`") from None
    known = isinstance(found, dict) and isinstance(found.get("schema"), int) and isinstance(found.get("claims"), list)
    if not known or not all(isinstance(entry, dict) and "id" in entry for entry in found["claims"]):
        raise ValueError(f"{path} is no results.json: it has no schema, or no claims")
    if not 1 <= found["schema"] <= SCHEMA:
        raise ValueError(f"{path} has schema {found['schema']}, and this mechlib reads up to {SCHEMA}: update mechlib")
    return found["claims"]


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        if name in _INSIDE:
            flat |= {f"{name}_{inside}": (value or {}).get(inside) for inside in _INSIDE[name]}
        else:
            flat[name] = value
    return flat


def to_frame(self: Measurement) -> DataFrame:
    """The values as a frame of pandas: a row a unit, a column a column, and behind them what units share.

    That is `cluster`, each factor by its name (several levels of one unit joined by " + "), `stratum`, and where units
    are prompts that are attached `text` and `answer`. A column that bears one of these names keeps it; the label has
    "_label" behind its own. `frame.attrs` has `unit`, `of` and `source`.

    Raises ImportError where pandas is missing, DoubleDipping in a claim that is being judged.
    """
    _refuse_claims("to_frame()")
    pandas = _pandas("a measurement as a frame")
    frame = pandas.DataFrame(self.values, index=pandas.Index(self.units, name=self.unit), columns=list(self.columns))
    for name, levels in _labels(self).items():
        frame[f"{name}_label" if name in self.columns else name] = levels
    frame.attrs = {"unit": self.unit, "of": self.of, "source": self.source}
    return frame


def _labels(measured: Measurement) -> dict[str, list[str]]:
    """What units share, by what it is called, a label a row."""
    labels = {"cluster": list(measured.clusters)} if any(measured.clusters) else {}
    labels |= {name: [" + ".join(row) for row in levels] for name, levels in measured.factors}
    labels |= {"stratum": list(measured.strata)} if any(measured.strata) else {}
    known = {row.fingerprint: row for prompts in measured.prompts for row in prompts}
    if known and all(unit in known for unit in measured.units):
        labels |= {"text": [known[unit].clean for unit in measured.units]}
        labels |= {"answer": [known[unit].answer for unit in measured.units]}
    return labels


def _refuse_claims(what: str) -> None:
    if read_by_a_claim(depth=2):
        raise DoubleDipping(f"a claim looks at its numbers by {what}: compare an estimate; numbers are for notebooks")


def _pandas(what: str) -> Any:
    try:
        import pandas
    except ImportError:
        raise ImportError(f"{what} needs pandas: run `pip install -e '.[analysis]'`") from None
    return pandas
