"""What a text may count of the record: verdicts, claims, models, published sentences, simulated worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import get_args

from mechlib.report.content.record_book import RecordBook
from mechlib.report.content.replications import STAGE_NAMES
from mechlib.report.outputs.escaping import escaped
from mechlib.report.paper.looking_up import CannotCite, known_word, simulated
from mechlib.verdicts.reported import Replication


@dataclass(frozen=True)
class Number:
    """A number as the text has it: what it is of, which of its numbers, and how it reads."""

    of: str
    which: str
    text: str


@dataclass
class Counting:
    """The functions of one text that count, and the numbers that it has cited by now."""

    book: RecordBook
    cited: list[Number] = field(default_factory=list, kw_only=True)

    def count(
        self,
        verdict: str = "",
        topic: str = "*",
        model: str = "*",
        uncontrolled: bool | None = None,
        exploratory: bool | None = None,
        register: str = "",
        changed: bool | None = None,
        flag: str = "",
    ) -> str:
        """How many verdicts are so; zero is a number too, an unknown topic, model or word of the register is refused.

        `changed`: whether its bound, question, text, evidence or word was another one before; `flag`: a word of caution
        that the verdict carries, as OLDER INSTRUMENTS.
        """
        if verdict:
            known_word(verdict)
        if register:
            known = [record.registration for record in self.book.records if record.registration]
            self._refuse_unknown("word of the register", register, known)
        if flag:
            self._refuse_unknown("flag", f"{flag}*", [said for record in self.book.records for said in record.flags])
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
            and (not flag or any(said.startswith(flag) for said in record.flags))
        ]
        asked = {"uncontrolled": uncontrolled, "exploratory": exploratory, "changed": changed}
        said = [
            verdict,
            register,
            flag,
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
        """How many published sentences ended with a word on a model, or were asked of it; or how far their claims came
        there: "gated", "void", "open", "refuted", "uncontrolled", "supported"."""
        published = self.book.published
        if published is None or model not in published.models:
            have = ", ".join(published.models) if published else "none"
            raise CannotCite(f"no published sentence is asked of {model}: of {have}")
        names = {**{one: one for one in (*get_args(Replication), "asked")}, **STAGE_NAMES}
        if word not in names:
            raise CannotCite(f"{word!r} is no outcome of a published sentence: {', '.join(names)}")
        place = published.models.index(model)
        counts = {what: counts[place] for what, counts, _ in published.flow}
        n = counts.get(names[word], published.counts[model][word])  # type: ignore[index]
        return self._plain(f"sentences {word} {model}", n)

    def calibration(self, what: str, name: str = "") -> str:
        """What was simulated of the record's own statistics: "worlds", "cells", "outside"; of one cell, by its name,
        "coverage", "false at least", "false at most"; of a planned sample "supported"; "below": in how many cells the
        intervals cover the truth in less than so many percent."""
        return self._number(f"calibration {name}".strip(), what, simulated(self.book.root, what, name))

    # Inside

    def _plain(self, what: str, n: int) -> str:
        return self._number("the record", what.strip(), f"{n:,}")

    def _number(self, of: str, which: str, text: str) -> str:
        self.cited.append(Number(of, which, text))
        return escaped(text)

    @staticmethod
    def _refuse_unknown(what: str, pattern: str, known: Sequence[str]) -> None:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise CannotCite(f"there is no {what} {pattern}: {', '.join(sorted(set(known)))}")
