"""What docs/paper.md may say in double braces: each function looks one thing up and gives it back as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mechlib.report.content.claim_views import claimed_bound, numbers
from mechlib.report.data.citation import CITATION, citation
from mechlib.report.outputs.escaping import escaped
from mechlib.report.outputs.figure_files import FOLDER
from mechlib.report.paper.counting import Counting, Number
from mechlib.report.paper.hand_typed import hand_typed
from mechlib.report.paper.looking_up import CannotCite, Lookup, known_word, marks, together
from mechlib.report.paper.references import References
from mechlib.report.paper.tables import TABLES
from mechlib.verdicts.record import Record

# Where a number is told in full: of an anchor, the path and place of its claim.
Place = Callable[[str], str]
NUMBER_WORDS = "none one two three four five six seven eight nine ten eleven twelve".split()


@dataclass
class Citing(Counting):
    """The functions of one text, and what it has cited by now."""

    references: References
    place: Place
    marked: set[str] = field(default_factory=set)
    figures: int = 0
    tables: int = 0

    def __post_init__(self) -> None:
        self.lookup = Lookup(self.book)

    @property
    def functions(self) -> dict[str, Callable[..., str]]:
        """By the name that a text calls them."""
        names = (
            "value interval low high bound reported verdict answer control counted least most count claims verdicts "
            "models sentences calibration given version cite table figure"
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

    def control(self, claim: str, word: str) -> str:
        """What the control that decides came to: "0.554 [0.546, 0.563]"."""
        record = self.lookup.record(claim, word)
        found = [one for one in record.controls if one.sets == 1 and one.word == record.controlled.word]
        if len(found) != 1:
            raise CannotCite(f"{claim} has {len(found)} controls of one number that decide: the text can cite one")
        numbers_of_it = found[0].message.partition(" n=")[0].replace("-", "−")
        return self._linked(record, "control", together(numbers_of_it))

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

    # Besides

    def given(self, number: str, why: str) -> str:
        """A number of design, which no evidence can move; why it is no result is for who reads the source."""
        if not why.strip():
            raise CannotCite(f"given({number!r}) does not say why it is no result")
        return escaped(number)

    def version(self) -> str:
        """What CITATION.cff says of the state of the record: "version 0.9.0, 2026-11-29"."""
        cited = citation(self.book.root)
        if cited is None or not (cited.version and cited.date):
            raise CannotCite(f"{CITATION} does not say version and date-released")
        return escaped(f"version {cited.version}, {cited.date}")

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

    def _refuse_digits(self, caption: str) -> None:
        for _, word in hand_typed(caption, self.book.models):
            raise CannotCite(f"{word} is typed by hand in a caption: look it up beside the figure or table")


def in_words(n: int) -> str:
    """ "five" up to twelve, else "17"."""
    return NUMBER_WORDS[n] if n < len(NUMBER_WORDS) else f"{n:,}"
