"""Filed evidence as the report reads it: a missing or damaged file is said on the page and ends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mechlib.checkpoints.checkpoint import TWINS
from mechlib.evidence import files, sealed
from mechlib.evidence.stamp import filed_stamp
from mechlib.figures.show import Cells, restored
from mechlib.measurement import Measurement
from mechlib.verdicts.record import Record, ShownFigure


@dataclass(frozen=True)
class Filed:
    """One evidence file: its first line, what was measured, and the stamp of the instruments that did."""

    path: str
    first: dict[str, Any]
    measurement: Measurement
    stamp: Mapping[str, Any] = field(default_factory=dict)
    _chosen: dict[tuple[str, ...], Measurement] = field(default_factory=dict, repr=False, compare=False)

    def columns(self, names: Sequence[str]) -> Measurement:
        """These columns: the same object however often it is asked for."""
        if tuple(names) not in self._chosen:
            self._chosen[tuple(names)] = self.measurement[list(names)]
        return self._chosen[tuple(names)]

    @property
    def function(self) -> str:
        """The evidence function."""
        return str(self.first.get("function") or self.path.rsplit("/", 1)[-1].split("--", 1)[0])

    @property
    def question(self) -> str:
        """The readable question without its model, by which the same evidence of several models is found."""
        text = str(self.first.get("question") or self.function)
        return text.replace(f"model={self.model}, ", "", 1).replace(f"model={self.model}", "", 1)

    @property
    def model(self) -> str:
        """The model, or the twin, that was measured."""
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
        """The instruments that measured: versions of libraries, and the stamp that has the hashes of the sources."""
        libraries = [f"{name} {value}" for name, value in self.stamp.items() if not name.startswith("mechlib")]
        name = self.first.get("stamp")
        return ", ".join([*libraries, f"sources of mechlib as in stamp {name}"] if isinstance(name, str) else libraries)


class EvidenceFiles:
    """The evidence folder, each file read once a run. `problems` collects what could not be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: dict[str, str] = {}
        self._known: dict[str, Filed] = {}
        self._stamps: dict[str, Mapping[str, Any]] = {}
        self._restored: dict[int, tuple[ShownFigure, list[Filed], Measurement | Cells]] = {}

    def read(self, path: str) -> Filed | None:
        """The file below the folder; None, with an entry in `problems`, where it cannot be read."""
        try:
            first, measurement = files.load(self.folder / path)
        except (OSError, ValueError, KeyError, IndexError, sealed.DamagedEvidence) as error:
            missing = isinstance(error, FileNotFoundError)
            self.problems[path] = "no such file: the record is older than the evidence" if missing else str(error)
            return None
        known = self._known.get(path)
        if known is None or known.measurement is not measurement:
            known = self._known[path] = Filed(path, first, measurement, self._stamp(first.get("stamp")))
        return known

    def _stamp(self, filed: object) -> Mapping[str, Any]:
        """The stamp in a first line, or the one that it names."""
        if isinstance(filed, str) and filed not in self._stamps:
            self._stamps[filed] = filed_stamp(self.folder, filed) or {}
        return self._stamps[filed] if isinstance(filed, str) else filed if isinstance(filed, dict) else {}

    def of(self, record: Record, twins: bool = False) -> Iterator[Filed]:
        """The readable evidence of a record, once each; with that of its twins if asked for."""
        paths: Sequence[str] = [*record.evidence, *(record.twin_evidence if twins else ())]
        for path in dict.fromkeys(paths):
            filed = self.read(path)
            if filed is not None:
                yield filed

    def restored(self, figure: ShownFigure, filed: list[Filed]) -> Measurement | Cells:
        """What a claim showed, from the files that it names: the same object however often it is drawn.

        Raises KeyError where a file no longer has a column.
        """
        known = self._restored.get(id(figure))
        if known is None or list(map(id, known[1])) != list(map(id, filed)):
            drawn = restored(figure, {one.path: one.measurement for one in filed})
            known = self._restored[id(figure)] = (figure, filed, drawn)
        return known[2]
