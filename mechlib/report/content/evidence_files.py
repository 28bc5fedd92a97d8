"""Filed evidence as the report reads it: a missing or damaged file is said on the page and ends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.checkpoints.checkpoint import TWINS
from mechlib.evidence import files
from mechlib.measurement import Measurement
from mechlib.verdicts.record import Record


@dataclass(frozen=True)
class Filed:
    """One evidence file: its first line and what was measured."""

    path: str
    first: dict[str, Any]
    measurement: Measurement

    @property
    def function(self) -> str:
        return str(self.first.get("function") or self.path.rsplit("/", 1)[-1].split("--", 1)[0])

    @property
    def question(self) -> str:
        """The readable question without its model, by which the same evidence of several models is found."""
        text = str(self.first.get("question") or self.function)
        return text.replace(f"model={self.model}, ", "", 1).replace(f"model={self.model}", "", 1)

    @property
    def model(self) -> str:
        return str(self.first.get("model") or "")

    @property
    def twin(self) -> str:
        """ "untrained", "permuted", or "" for the model itself."""
        name = self.model.partition("@")[2]
        return name if name in TWINS else ""

    @property
    def prompts(self) -> str:
        """The prompt sets that were measured, each with eight digits of its fingerprint."""
        arguments = self.first.get("arguments")
        values = [v for v in arguments.values() if isinstance(v, str)] if isinstance(arguments, dict) else []
        split = [(text, digits) for text, _, digits in (value.rpartition(" ") for value in values) if len(digits) == 64]
        return "; ".join(f"{text} {digits[:8]}" for text, digits in split)

    @property
    def versions(self) -> str:
        """The instruments that measured: versions in full, hashes of sources by eight digits."""
        stamp = self.first.get("stamp")
        entries = stamp.items() if isinstance(stamp, dict) else ()
        return ", ".join(f"{name} {str(value)[:8] if len(str(value)) > 20 else value}" for name, value in entries)


class Shelf:
    """The evidence folder, read file by file. `problems` collects what could not be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: dict[str, str] = {}

    def read(self, path: str) -> Filed | None:
        """The file below the folder; None, with an entry in `problems`, where it cannot be read."""
        try:
            first, measurement = files.load(self.folder / path)
        except (OSError, ValueError, KeyError, IndexError, files.DamagedEvidence) as error:
            missing = isinstance(error, FileNotFoundError)
            self.problems[path] = "no such file: the record is older than the evidence" if missing else str(error)
            return None
        return Filed(path, first, measurement)

    def of(self, record: Record, twins: bool = False) -> Iterator[Filed]:
        """The readable evidence of a record, once each; with that of its twins if asked for."""
        paths: Sequence[str] = [*record.evidence, *(record.twin_evidence if twins else ())]
        for path in dict.fromkeys(paths):
            filed = self.read(path)
            if filed is not None:
                yield filed
