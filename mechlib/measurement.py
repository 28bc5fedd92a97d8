"""What an evidence function returns: one value, or one small vector, for each unit. Never a mean.

Aggregation is part of a claim, where the reader sees it; a Measurement only keeps apart what was
measured on which unit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from mechlib.parts.blinding import blind_values, handed, unblinded
from mechlib.parts.chosen import NOWHERE, chosen_on, plain
from mechlib.parts.exchange import Exchange, note_columns
from mechlib.parts.heads import EmptySelection, Group, Head
from mechlib.prompts.promptset import PromptSet

# Names of columns that one instrument files and another file reads.
TOTAL = "total"  # all that there is to restore, or to lose
ROUNDING = 1e-12  # of a number: what two ways to compute it may differ by, so that none of them decides a verdict
MODEL, EMPTY, CIRCUIT, WITHOUT, ALL = "model", "empty", "circuit", "without", "all"  # what a circuit is compared with


def subtracted(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """First less second, where float64's rounding is all that tells them apart exactly 0: .1 + .2 less .3."""
    off: np.ndarray = first - second
    off[np.abs(off) <= 4 * np.finfo(np.float64).eps * np.maximum(np.abs(first), np.abs(second))] = 0.0
    return off


def reaches(values: np.ndarray | float, threshold: float) -> np.ndarray:
    """Whether values are at least the threshold, or would be but for rounding: .3 less .1 reaches .2."""
    near: np.ndarray = np.isclose(values, threshold, rtol=ROUNDING, atol=0.0)
    return near | (np.asarray(values) >= threshold)


def grid_column(how: str, direction: str, metric: str, corruption: str, part: str) -> str:
    """The column in which one number of one cell of a grid of choices is filed; `part` is MODEL, EMPTY or CIRCUIT."""
    return f"{how}, {direction} | {metric}, {corruption} | {part}"


@dataclass(frozen=True, eq=False)
class Measurement:
    """Values by unit and column.

    values    float64, units x columns (a one-dimensional array is taken as a single column)
    units     distinct names, one a row; for prompts their fingerprints
    unit      what a unit is, in the singular: "prompt", "sequence", "pair", "set of heads", ...
    columns   distinct names, one a column: heads as "layer.head", or words; ("value",) if there is one
    clusters  one label a row where rows share something that a person wrote; empty where independent
    factors   what else rows share, as (name in the singular, the levels of each row): the names of a sentence, the
              operands of a sum. Attached from the prompts when evidence is filed or read; see `Prompt.factors`
    strata    one label a row for the strips of the report (a length, an order); never used in an interval
    yes_no    True where every value is 0 or 1, so that a proportion is meant
    of        what a value is and its unit, for axes: "logit difference restored, in logits"
    prompts   the prompt sets that were measured; attached when evidence is filed or read
    source    the evidence file's path relative to artifacts/evidence, attached likewise; "" in memory
    order     one key a row, by which rows are sorted before they are resampled, so that no interval depends on how they
              came; empty where units are sorted by their names
    notes     what must stand beside every estimate of a column, as (column, sentence)
    chosen_on what chose the columns that were taken, where it chose on these very prompts: then they may be drawn and
              chosen among further, and an estimate of them raises DoubleDipping

    Raises ValueError on NaN or infinity (naming the first bad unit), repeated units, lengths that differ.
    """

    values: np.ndarray
    units: tuple[str, ...]
    unit: str = "prompt"
    columns: tuple[str, ...] = ("value",)
    clusters: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    yes_no: bool = False
    of: str = ""
    prompts: tuple[PromptSet, ...] = field(default=(), repr=False)
    source: str = ""
    order: tuple[str, ...] = field(default=(), repr=False)
    notes: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    factors: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = field(default=(), repr=False)
    chosen_on: frozenset[str] = field(default=NOWHERE, repr=False)

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim == 1:
            values = values[:, None]
        object.__setattr__(self, "values", values)
        for name in ("units", "columns", "clusters", "strata", "order"):
            object.__setattr__(self, name, tuple(map(plain if name == "columns" else str, getattr(self, name))))
        if values.shape != (len(self.units), len(self.columns)):
            raise ValueError(
                f"values have shape {values.shape}, for {len(self.units)} units and {len(self.columns)} columns"
            )
        if not self.units:
            raise ValueError("a measurement without units: nothing was measured")
        for name in ("units", "columns"):
            entries = getattr(self, name)
            if len(set(entries)) < len(entries):
                raise ValueError(f"repeated {name}: every name stands for one of them")
        for name in ("clusters", "strata", "order"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.units):
                raise ValueError(f"{len(getattr(self, name))} {name} for {len(self.units)} units: give one a unit")
        for name, levels in self.factors:
            if len(levels) != len(self.units) or not all(levels):
                raise ValueError(
                    f"factor {name!r} has no level for some of {len(self.units)} units: give each one or more"
                )
        if self.clusters and not all(self.clusters) and any(self.clusters):
            raise ValueError(
                f"{self.clusters.count('')} of {len(self.clusters)} units have no cluster: an interval is across "
                "clusters or across units; name the cluster of every unit, or of none"
            )
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = bad[0]
            raise ValueError(
                f"{values[row, column]} for {self.unit} {self.units[row]} in column {self.columns[column]}: "
                "a mean over it means nothing; find out where it arises"
            )
        if self.yes_no and not np.isin(values, (0.0, 1.0)).all():
            raise ValueError("a yes/no measurement has values other than 0 and 1")

    def __len__(self) -> int:
        return len(self.units)

    __array_ufunc__ = None  # a numpy scalar on the left leaves the comparison to us

    def __ge__(self, other: object) -> NoReturn:
        raise TypeError(
            f"a measurement has {len(self.units)} values, one for each {self.unit}, and is never compared as a whole: "
            "did you mean mean(measurement) >= 0.4, or proportion(...), ratio(...)?"
        )

    __gt__ = __le__ = __lt__ = __ge__

    def _not_calculated(self, other: object = None) -> NoReturn:
        raise TypeError(
            "measurements are not calculated with: did you mean difference(a, b) of two, .less('a', 'b') of columns, "
            "or a value that the evidence function returns?"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _not_calculated
    __neg__ = __abs__ = _not_calculated

    def _with(self, values: np.ndarray | None = None, **changed: Any) -> Measurement:
        """A copy with other values or labels of the same rows, which were checked when it was made."""
        made = copy.copy(self)
        if values is not None:
            changed["values"] = values
        for name, value in changed.items():
            object.__setattr__(made, name, value)
        return made

    @property
    def sorted_by(self) -> tuple[str, ...]:
        """One key a row: `order`, else the units' names."""
        return self.order or self.units

    @property
    def array(self) -> np.ndarray:
        """The values as a vector, where there is one column; ValueError otherwise."""
        if len(self.columns) != 1:
            raise ValueError(f"{len(self.columns)} columns ({', '.join(self.columns[:4])}, ...): select one first")
        vector: np.ndarray = handed(self, self.values[:, 0])
        return vector

    def _taken(self, *which: object) -> frozenset[str]:
        """What is remembered of parts that were chosen on these prompts; nothing of those chosen elsewhere."""
        seen = chosen_on(*which)
        here = seen and frozenset().union(*(seen & prompts.members for prompts in self.prompts))
        return self.chosen_on | here

    def __getitem__(self, which: str | Head | Group | Iterable[Head] | Sequence[str]) -> Measurement:
        """Columns by name: "total", a Head or Group, or several (Heads, a Selection, names). EmptySelection if none.

        Where they were chosen on these prompts, that is remembered.
        """
        one = isinstance(which, (str, Head, Group))
        if not one and not isinstance(which, Iterable):
            raise KeyError(f"no column {which!r}: columns go by name, {', '.join(self.columns)}; rows are `.values`")
        chosen: Any = (which,) if one else which if hasattr(which, "chosen_on") else tuple(which)
        names = [plain(name) for name in chosen]
        if not names:
            raise EmptySelection("no columns were selected: the selection's condition holds for none of them")
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise KeyError(f"no column {', '.join(missing)}: there are {', '.join(self.columns)}")
        if any(prompts.split != "discovery" for prompts in self.prompts) or not self.prompts:
            note_columns(self.source, self.columns, names)
        keep = [self.columns.index(name) for name in names]
        notes = tuple(note for note in self.notes if note[0] in names or note[0] not in self.columns)
        return self._with(self.values[:, keep], columns=tuple(names), notes=notes, chosen_on=self._taken(chosen))

    def exchanged(self, exchange: Exchange) -> Measurement:
        """The same columns, those that bear an exchanged name with the values of the other part."""
        names = tuple(exchange.names.get(column, column) for column in self.columns)
        notes = tuple((exchange.names.get(column, column), said) for column, said in self.notes)
        made = self._with(columns=names, notes=notes)
        if set(names) != set(self.columns):
            return made
        return made._with(made.values[:, [names.index(column) for column in self.columns]], columns=self.columns)

    def said_of(self, column: str) -> tuple[str, ...]:
        """The notes on a column, and on those from which the columns were made, each with the name that it is about."""
        return tuple(f"{name}: {said}" for name, said in self.notes if name == column or name not in self.columns)

    def without(self, which: Iterable[Head] | Sequence[str]) -> Measurement:
        """All columns but these."""
        chosen: Any = which if hasattr(which, "chosen_on") else tuple(which)
        gone = {plain(name) for name in chosen}
        kept = self[[name for name in self.columns if name not in gone]]
        return kept._with(chosen_on=self._taken(chosen))

    def less(self, first: str, second: str) -> Measurement:
        """One column minus another, unit by unit."""
        return self[(first, second)].with_columns(
            {f"{first} less {second}": subtracted(self[first].array, self[second].array)}
        )

    def with_columns(self, columns: Mapping[str, np.ndarray]) -> Measurement:
        """Other columns on the same units."""
        values = np.stack([unblinded(column) for column in columns.values()], axis=1)
        return replace(self, values=values, columns=tuple(columns), yes_no=False, chosen_on=self._taken(*columns))

    def stratum(self, name: str) -> Measurement:
        """The units of one stratum. ValueError, naming the strata there are, where there is none of that name."""
        keep = [row for row, stratum in enumerate(self.strata) if stratum == name]
        if not keep:
            known = ", ".join(sorted(set(self.strata))) or "none"
            raise ValueError(f"no stratum {name!r}: there are {known}")
        return replace(
            self,
            values=self.values[keep],
            units=tuple(self.units[row] for row in keep),
            clusters=tuple(self.clusters[row] for row in keep) if self.clusters else (),
            strata=tuple(self.strata[row] for row in keep),
            order=tuple(self.order[row] for row in keep) if self.order else (),
            factors=tuple((name, tuple(levels[row] for row in keep)) for name, levels in self.factors),
        )

    def by(self, label: str) -> Measurement:
        """The same values with strata taken from a label of the prompts: `accuracy.by("carry")`.

        Works on what was read from evidence, where the prompts are attached and units are their fingerprints.
        A figure that a claim shows of the result draws these strata.

        Raises ValueError where units are no prompts, and where they have no such label, naming those there are.
        """
        known = {row.fingerprint: row for prompts in self.prompts for row in prompts}
        strangers = [unit for unit in self.units if unit not in known]
        if strangers:
            raise ValueError(
                f"{self.unit} {strangers[0]} is none of the prompts that are attached: strata by {label!r} need "
                "values by prompt, as evidence returns them to a claim"
            )
        try:
            return self._with(strata=tuple(known[unit].label(label) for unit in self.units))
        except KeyError as error:
            raise ValueError(str(error.args[0])) from None

    def by_cluster(self) -> Measurement:
        """The same values with their clusters (templates) as strata, for a strip. ValueError where there are none."""
        if not self.clusters:
            raise ValueError(f"these {self.unit} data have no clusters: take strata by a label, as in .by('carry')")
        return self._with(strata=self.clusters)

    def at_least(self, threshold: float) -> Measurement:
        """Yes or no for each value: whether it reaches `threshold`, for a proportion."""
        return self._with(reaches(self.values, threshold) * 1.0, yes_no=True, of=f"{self.of} of at least {threshold:g}")

    def equal_to(self, value: float) -> Measurement:
        """Yes or no for each value: whether it is this one, for a proportion."""
        return self._with((self.values == value) * 1.0, yes_no=True, of=f"{self.of} is {value:g}")

    def added_up(self, which: Iterable[Head] | Sequence[str], name: str = "value") -> Measurement:
        """Several columns added up, unit by unit, as one column. EmptySelection if none."""
        chosen = self[which]
        return chosen._with(chosen.values.sum(axis=1)[:, None], columns=(name,), yes_no=False)

    def averaged(self, which: Iterable[Head] | Sequence[str], name: str = "value") -> Measurement:
        """Several columns averaged, unit by unit, as one column. EmptySelection if none."""
        chosen = self[which]
        return chosen._with(chosen.values.mean(axis=1)[:, None], columns=(name,), yes_no=False)

    def interaction(self, joint: str, parts: Iterable[Head] | Sequence[str], intact: str | None = None) -> Measurement:
        """What ablating together loses less the sum of what each loses alone, unit by unit, as one column.

        joint   the column under joint ablation, `parts` those under ablation of its parts, one by one
        intact  the column of the whole network, where columns are a metric (a loss is intact less ablated); None
                where columns are losses already

        Positive where parts stand in for each other: backup, or self-repair (docs/STATISTICS.md, R23).

        Raises KeyError where a column is missing, EmptySelection where there are no parts.
        """
        whole, each = self[joint], self[parts]
        together, alone, notes = whole.array, each.values, (*whole.notes, *each.notes)
        if intact is not None:
            before = self[intact].array
            together, alone = before - together, before[:, None] - alone
        values = together - alone.sum(axis=1)
        of = f"lost together less the sum of what {alone.shape[1]} lose alone" + (f": {self.of}" if self.of else "")
        seen = whole.chosen_on | each.chosen_on
        return self._with(values[:, None], columns=("interaction",), yes_no=False, of=of, notes=notes, chosen_on=seen)

    def in_layer(self, layer: int) -> Measurement:
        """The columns that are heads of one layer. EmptySelection where there are none."""
        own = [name for name in self.head_columns if name.startswith(f"{layer}.")]
        if not own:
            raise EmptySelection(f"no column is a head of layer {layer}: there are {', '.join(self.columns)}")
        return self[own]._with(chosen_on=self._taken(layer))

    @property
    def mlp_columns(self) -> tuple[str, ...]:
        """The columns that are MLPs ("mlp 0", ...), in order."""
        return tuple(name for name in self.columns if name.startswith("mlp "))

    @property
    def head_columns(self) -> tuple[str, ...]:
        """The columns that are heads ("layer.head"), in order."""
        return tuple(c for c in self.columns if c.replace(".", "", 1).isdigit() and "." in c)


blind_values(Measurement)
