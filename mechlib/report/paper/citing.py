"""What docs/paper.md may say in double braces: each function looks one thing up and gives it back as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import get_args

from mechlib.report.content.claim_views import claimed_bound, numbers
from mechlib.report.content.record_book import RecordBook
from mechlib.report.outputs.escaping import escaped
from mechlib.report.outputs.figure_files import FOLDER
from mechlib.report.paper.hand_typed import hand_typed
from mechlib.report.paper.looking_up import CannotCite, Lookup, known_word, marks, simulated, together
from mechlib.report.paper.references import References
from mechlib.report.paper.tables import TABLES
from mechlib.verdicts.record import Record
from mechlib.verdicts.reported import Replication

# Where a number is told in full: of an anchor, the path and place of its claim.
Place = Callable[[str], str]
NUMBER_WORDS = "none one two three four five six seven eight nine ten eleven twelve".split()


@dataclass(frozen=True)
class Number:
    """A number as the text has it: what it is of, which of its numbers, and how it reads."""

    of: str
    which: str
    text: str


@dataclass
class Citing:
    """The functions of one text, and what it has cited by now."""

    book: RecordBook
    references: References
    place: Place
    cited: list[Number] = field(default_factory=list)
    marked: set[str] = field(default_factory=set)
    figures: int = 0
    tables: int = 0

    def __post_init__(self) -> None:
        self.lookup = Lookup(self.book)

    @property
    def functions(self) -> dict[str, Callable[..., str]]:
        """By the name that a text calls them."""
        names = (
            "value interval low high bound reported verdict answer counted least most count claims verdicts models "
            "sentences calibration given cite table figure"
        )
        return {name: getattr(self, name) for name in names.split()}

    # Of one verdict

    def value(self, claim: str, word: str) -> str:
        """The estimate: "0.920"."""
        record, shown = self.lookup.numbers(claim, word)
        return self._linked(record, "value", shown.value)

    def interval(self, claim: str, word: str) -> str:
        """The estimate with its 95 % interval: "0.920 [0.902, 0.939]"."""
        record, shown = self.lookup.numbers(claim, word)
        return self._linked(record, "interval", f"{shown.value} {together(shown.interval)}")

    def low(self, claim: str, word: str) -> str:
        """The lower end of the interval."""
        return self._end(claim, word, "low")

    def high(self, claim: str, word: str) -> str:
        """The upper end of the interval."""
        return self._end(claim, word, "high")

    def bound(self, claim: str, word: str) -> str:
        """What was claimed of the number: "≥ 0.40"."""
        record, _ = self.lookup.numbers(claim, word)
        return self._linked(record, "bound", together(claimed_bound(record.comparison)), marked=False)

    def verdict(self, claim: str, word: str) -> str:
        """The verdict's word, with a link."""
        return self._linked(self.lookup.record(claim, word), "verdict", word)

    def answer(self, claim: str, word: str) -> str:
        """The estimate, its interval and the verdict below it, for the cell of a table."""
        record, shown = self.lookup.numbers(claim, word)
        return self._linked(record, "answer", f"{shown.value} {together(shown.interval)}", below=word)

    def reported(self, claim: str) -> str:
        """The number of the paper that a claim is marked with, in its unit."""
        record = self.lookup.records.get(claim)
        record = record or self.lookup.record(claim, "SUPPORTED")  # which says what is near
        if record.reported is None or record.reported.value is None:
            raise CannotCite(f"{claim} carries no paper's number: `@reported` gives it one")
        return self._linked(record, "reported", record.reported.number, marked=False)

    # Of several

    def counted(self, function: str, word: str, models: str = "*", *, of: int, n: int) -> str:
        """ "four of five", "all five": of a claim's verdicts on some models those that are `word`, as expected."""
        known_word(word)
        found = self.lookup.of(function, models)
        so = [record for record in found if record.verdict == word]
        if (len(so), len(found)) != (n, of):
            raise CannotCite(
                f"{function} is {word} in {len(so)} of {len(found)} verdicts now, and the text relies on {n} of {of}"
            )
        text = f"all {in_words(of)}" if n == of > 2 else f"{in_words(n)} of {in_words(of)}"
        return self._linked((so or found)[0], f"counted {word} {models}", text, of=function, marked=so)

    def least(self, function: str, word: str, models: str = "*") -> str:
        """The smallest estimate among a claim's verdicts that are `word`."""
        return self._extreme(function, word, models, "least")

    def most(self, function: str, word: str, models: str = "*") -> str:
        """The largest estimate among a claim's verdicts that are `word`."""
        return self._extreme(function, word, models, "most")

    # Of the record

    def count(
        self,
        verdict: str = "",
        topic: str = "*",
        model: str = "*",
        uncontrolled: bool | None = None,
        exploratory: bool | None = None,
        register: str = "",
        changed: bool | None = None,
    ) -> str:
        """How many verdicts are so; zero is a number too, an unknown topic, model or word of the register is refused.

        `changed`: whether a bound, question, word or evidence was another one before.
        """
        if verdict:
            known_word(verdict)
        if register:
            known = [record.registration for record in self.book.records if record.registration]
            self._refuse_unknown("word of the register", register, known)
        self._refuse_unknown("topic", topic, [record.topic for record in self.book.records])
        self._refuse_unknown("model", model, [record.model for record in self.book.records])
        found = [
            record
            for record in self.book.records
            if verdict in ("", record.verdict)
            and fnmatchcase(record.topic, topic)
            and fnmatchcase(record.model, model)
            and uncontrolled in (None, record.uncontrolled)
            and exploratory in (None, record.registration == "EXPLORATORY")
            and register in ("", record.registration)
            and changed in (None, bool(record.history))
        ]
        asked = {"uncontrolled": uncontrolled, "exploratory": exploratory, "changed": changed}
        said = [
            verdict,
            register,
            topic,
            model,
            *(name if wanted else f"not {name}" for name, wanted in asked.items() if wanted is not None),
        ]
        return self._plain("count " + " ".join(part for part in said if part not in ("", "*")), len(found))

    def claims(self, topic: str = "*") -> str:
        """How many claims there are: functions, each asked of several models and in several cases."""
        self._refuse_unknown("topic", topic, [record.topic for record in self.book.records])
        found = {(r.topic, r.function) for r in self.book.records if fnmatchcase(r.topic, topic)}
        return self._plain(f"claims {topic.strip('*')}", len(found))

    def verdicts(self, topic: str = "*") -> str:
        """How many verdicts there are: a claim in one case on one model has one."""
        return self.count(topic=topic)

    def models(self, run: bool = False) -> str:
        """How many models are claimed about, or, of these, were run."""
        asked = {one.model for one in self.book.records if one.model and not (run and one.verdict == "NOT RUN")}
        return self._plain("models run" if run else "models", len(asked))

    def sentences(self, model: str, word: str = "asked") -> str:
        """How many published sentences ended with a word on a model, or were asked of it."""
        published = self.book.published
        if published is None or model not in published.models:
            have = ", ".join(published.models) if published else "none"
            raise CannotCite(f"no published sentence is asked of {model}: of {have}")
        words = (*get_args(Replication), "asked")
        if word not in words:
            raise CannotCite(f"{word!r} is no outcome of a published sentence: {', '.join(words)}")
        asked = {what: counts for what, counts, _ in published.flow}["asked"]
        n = asked[published.models.index(model)] if word == "asked" else published.counts[model][word]  # type: ignore[index]
        return self._plain(f"sentences {word} {model}", n)

    def calibration(self, what: str, name: str = "") -> str:
        """What was simulated of the record's own statistics: "worlds", "cells", "outside"; of one cell, by its name,
        "coverage", "false at least", "false at most"; of a planned sample "supported"."""
        return self._number(f"calibration {name}".strip(), what, simulated(self.book.root, what, name))

    # Besides

    def given(self, number: str, why: str) -> str:
        """A number of design, which no evidence can move; why it is no result is for who reads the source."""
        if not why.strip():
            raise CannotCite(f"given({number!r}) does not say why it is no result")
        return escaped(number)

    def cite(self, key: str) -> str:
        """The work as it is cited, "Wang et al. 2022", with a link to the list of references."""
        return self.references.cite(key)

    def table(self, name: str, caption: str = "") -> str:
        """One of the tables of the record, numbered: "published", "verdicts", "controls", "models", "order"."""
        if name not in TABLES:
            raise CannotCite(f"there is no table {name}: {', '.join(TABLES)}")
        self._refuse_digits(caption)
        self.tables += 1
        said, lines = TABLES[name](self.book, self.place, self._note)
        return "\n".join([f"**Table {self.tables}.** {caption or said}", "", *lines])

    def figure(self, name: str, caption: str) -> str:
        """A committed figure of the record by its file name without ".svg", numbered, with a caption."""
        caption = " ".join(caption.split())
        self._refuse_digits(caption)
        path = FOLDER / f"{name.removesuffix('.svg')}.svg"
        if not (self.book.root / path).is_file():
            begun = sorted(file.stem for file in (self.book.root / FOLDER).glob(f"{name.partition('--')[0][:40]}*.svg"))
            raise CannotCite(
                f"there is no figure {path.name}" + (f": there is {', '.join(begun[:4])}" if begun else "")
            )
        self.figures += 1
        return f"![{escaped(caption)}]({path.as_posix()})\\\n**Figure {self.figures}.** {escaped(caption)}"

    # Inside

    def _end(self, claim: str, word: str, which: str) -> str:
        record, shown = self.lookup.numbers(claim, word)
        if shown.interval == "exact":
            raise CannotCite(f"{claim} is exact: it has no interval")
        low, high = shown.interval.strip("[]").split(", ")
        return self._linked(record, which, low if which == "low" else high)

    def _extreme(self, function: str, word: str, models: str, which: str) -> str:
        known_word(word)
        so = [r for r in self.lookup.of(function, models) if r.verdict == word and r.comparison]
        if not so:
            raise CannotCite(f"{function} is {word} on no model {models} with a number")
        choose = min if which == "least" else max
        found = choose(so, key=lambda r: r.comparison.estimate.value if r.comparison else 0.0)
        return self._linked(found, f"{which} {word} {models}", numbers(found.comparison).value, of=function)

    def _linked(
        self,
        record: Record,
        which: str,
        text: str,
        of: str = "",
        marked: bool | Sequence[Record] = True,
        below: str = "",
    ) -> str:
        """Text that leads to a record, with the marks of what it rests on: the record, or several."""
        about = [record] if marked is True else marked or []
        signs = "".join(dict.fromkeys("".join(map(marks, about))))
        self._note(signs)
        self.cited.append(Number(of or record.id, which, text + signs))
        shown = f"{escaped(text)}{signs}<br>{below}" if below else escaped(text)
        return f"[{shown}]({self.place(self.lookup.anchor(record))}){'' if below else signs}"

    def _note(self, signs: str) -> None:
        self.marked.update(signs)

    def _plain(self, what: str, n: int) -> str:
        return self._number("the record", what.strip(), f"{n:,}")

    def _number(self, of: str, which: str, text: str) -> str:
        self.cited.append(Number(of, which, text))
        return escaped(text)

    @staticmethod
    def _refuse_unknown(what: str, pattern: str, known: Sequence[str]) -> None:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise CannotCite(f"there is no {what} {pattern}: {', '.join(sorted(set(known)))}")

    def _refuse_digits(self, caption: str) -> None:
        for _, word in hand_typed(caption, self.book.models):
            raise CannotCite(f"{word} is typed by hand in a caption: look it up beside the figure or table")


def in_words(n: int) -> str:
    """ "five" up to twelve, else "17"."""
    return NUMBER_WORDS[n] if n < len(NUMBER_WORDS) else f"{n:,}"
