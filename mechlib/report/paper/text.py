"""docs/paper.md read and filled in: Jinja's double braces around one call of one function with literal arguments.

Nothing else of Jinja is taken, no blocks, no filters, no arithmetic: so a number enters the paper through a function
that looks it up, or not at all. Everything that is wrong with a text is found in one reading, a line each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from mechlib.report.content.record_book import RecordBook
from mechlib.report.paper.citing import Citing, Number, Place
from mechlib.report.paper.hand_typed import hand_typed
from mechlib.report.paper.looking_up import MARKS, CannotCite
from mechlib.report.paper.references import FILE as BIB
from mechlib.report.paper.references import References

TEXT = Path("docs/paper.md")
LARGEST = 60_000  # bytes of REPORT.md, which a forge shows at once
_LANGUAGE = Environment(autoescape=False, keep_trailing_newline=True)


@dataclass(frozen=True)
class Paper:
    """A text with all its numbers: Markdown, what it cites, and what is wrong with it, one line each."""

    markdown: str
    problems: tuple[str, ...] = ()
    numbers: tuple[Number, ...] = ()
    bib: str = ""


def paper(book: RecordBook, place: Place, text: Path | None = None) -> Paper | None:
    """The paper of a record; None where it has no text. `place` says where the claim of an anchor is told."""
    path = text or book.root / TEXT
    if not path.is_file():
        return None
    source = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    citing = Citing(book, References.read(book.root / BIB), place)
    name = path.relative_to(book.root).as_posix() if path.is_relative_to(book.root) else path.name
    problems = [f"{name}:{line}: {said}" for line, said in _by_hand(source, book.models)]
    filled, wrong = filled_in(source, citing.functions)
    problems += [f"{name}:{line}: {said}" for line, said in wrong]
    problems += [*citing.references.problems, *sorted(citing.references.uncited())]
    markdown = "\n".join([filled.rstrip(), *_legend(citing), *_references(citing.references)]) + "\n"
    if (size := len(markdown.encode())) > LARGEST:
        problems.append(f"{name}: REPORT.md would have {size:,} bytes, of {LARGEST:,}: shorten it")
    return Paper(markdown, tuple(problems), tuple(citing.cited), citing.references.bib())


def filled_in(source: str, functions: Mapping[str, Callable[..., str]]) -> tuple[str, list[tuple[int, str]]]:
    """The text with each call's answer in its place, and (line, what is wrong) of those that have none."""
    try:
        body = _LANGUAGE.parse(source).body
    except TemplateSyntaxError as error:
        return source, [(error.lineno, f"this is no text with {{{{ function(...) }}}} in it: {error.message}")]
    said, wrong = [], list[tuple[int, str]]()
    for node in _pieces(body):
        if isinstance(node, nodes.TemplateData):
            said.append(node.data)
            continue
        try:
            said.append(_called(node, functions))
        except CannotCite as error:
            wrong.append((node.lineno, " ".join(str(error).split())))
    return "".join(said), wrong


def _pieces(body: list[nodes.Node]) -> Iterator[nodes.Node]:
    for node in body:
        yield from node.nodes if isinstance(node, nodes.Output) else [node]


def _called(node: nodes.Node, functions: Mapping[str, Callable[..., str]]) -> str:
    """What one call gives. Raises CannotCite where it is none, or has other arguments than its function takes."""
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Name) or node.dyn_args or node.dyn_kwargs:
        raise CannotCite("double braces take one call, as in {{ value(id, word) }}, and nothing else")
    name = node.node.name
    if name not in functions:
        raise CannotCite(f"there is no function {name}: {', '.join(functions)}")
    try:
        given: list[Any] = [argument.as_const() for argument in node.args]
        named = {keyword.key: keyword.value.as_const() for keyword in node.kwargs}
    except nodes.Impossible:
        raise CannotCite(f"the arguments of {name} are to be texts and numbers as they stand") from None
    taken = signature(functions[name])
    wanted = f"{name}({', '.join(taken.parameters)})"
    try:
        bound = taken.bind(*given, **named).arguments
    except TypeError as error:
        raise CannotCite(f"{wanted} is what the function takes: {error}") from None
    texts = [key for key in bound if taken.parameters[key].annotation == "str"]
    if wrong := [key for key in texts if not isinstance(bound[key], str)]:
        raise CannotCite(f"{wanted} takes {', '.join(wrong)} as text in quotes")
    return functions[name](*given, **named)


def _by_hand(source: str, names: list[str]) -> Iterator[tuple[int, str]]:
    for line, word in hand_typed(_blanked(source), names):
        cure = "look it up, or give it with given(number, why)"
        yield line, f"the number in {word!r} is typed by hand: {cure}"


def _blanked(source: str) -> str:
    """The text with blanks where Jinja reads, line by line."""
    try:
        tokens = list(_LANGUAGE.lex(source))
    except TemplateSyntaxError:
        return ""  # which is said already
    return "".join(v if kind == "data" else re.sub(r"[^\n]", " ", v) for _, kind, v in tokens)


def _legend(citing: Citing) -> list[str]:
    """What the marks behind numbers mean, of those that occur."""
    said = [f"{sign} {word}: {why}" for word, (sign, why) in MARKS.items() if sign in citing.marked]
    return ["", f"*Behind a number:* {'; '.join(said)}."] if said else []


def _references(references: References) -> list[str]:
    return ["", "## References", "", *references.listed()] if references.cited else []
