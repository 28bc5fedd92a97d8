"""docs/paper.md filled in by Jinja, so that a number enters through a function that looks it up, or not at all.

What is printed is text, or one call. Texts hold no digits (`hand_typed`); arguments may be put together, and macros and
`set` save repetition. Everything that is wrong is found in one reading, with its line.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError, TemplateSyntaxError, nodes

from mechlib.report.paper.hand_typed import hand_typed
from mechlib.report.paper.looking_up import CannotCite

Functions = Mapping[str, Callable[..., str]]
Wrong = tuple[int, str]  # line and what is wrong with it
_LANGUAGE = Environment(autoescape=False, keep_trailing_newline=True, undefined=StrictUndefined)
_CURE = "look it up, or give it with given(number, why)"


def filled_in(source: str, functions: Functions, names: Sequence[str] = ()) -> tuple[str, list[Wrong]]:
    """The text with what each call gives in its place, and what is wrong with it, by line.

    `names` are those in which digits may stand besides well-known ones.
    """
    try:
        tree = _LANGUAGE.parse(source)
        template = _LANGUAGE.from_string(source)
    except TemplateSyntaxError as error:
        return "", [(error.lineno, f"Jinja cannot read it: {error.message}")]
    wrong = [(line, f"the number in {word!r} is typed by hand: {_CURE}") for line, word in by_hand(source, names)]
    wrong += _printed(tree, functions)
    calls = _Calls(functions)
    text = ""
    try:
        text = template.render(calls.functions)
    except (TemplateError, TypeError) as error:
        wrong.append((_line_of(error), f"Jinja cannot fill it in: {error}"))
    return text, sorted([*wrong, *calls.wrong], key=lambda one: one[0])


def by_hand(source: str, names: Sequence[str] = ()) -> Iterator[tuple[int, str]]:
    """(line, word) of each number that a text says without having looked it up."""
    text = ""
    for line, kind, value in _LANGUAGE.lex(source):
        text += "\n" * (line - 1 - text.count("\n"))  # what Jinja strips is in no token
        text += value if kind == "data" else re.sub(r"[^\n]", " ", value)
    yield from hand_typed(text, names)


def _printed(tree: nodes.Template, functions: Functions) -> Iterator[Wrong]:
    """What double braces hold that is no call: a number could hide there."""
    known = {*functions, *(macro.name for macro in tree.find_all(nodes.Macro))}
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                continue
            if not (isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name)):
                yield node.lineno, "double braces hold one call, as in {{ value(id, word) }}, and nothing else"
            elif node.node.name not in known:
                yield node.lineno, f"there is no function {node.node.name}: {', '.join(functions)}"


class _Calls:
    """The functions as Jinja calls them: what one of them cannot give is kept with the line that asked for it."""

    def __init__(self, functions: Functions) -> None:
        self.functions = {name: functools.partial(self._call, name, call) for name, call in functions.items()}
        self.wrong: list[Wrong] = []

    def _call(self, name: str, function: Callable[..., str], *given: Any, **named: Any) -> str:
        try:
            _fitting(name, function, given, named)
            return function(*given, **named)
        except CannotCite as error:
            self.wrong.append((_asking(), " ".join(str(error).split())))
            return "(?)"


def _fitting(name: str, function: Callable[..., str], given: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raises CannotCite where a function is called with what it does not take."""
    taken = signature(function)
    wanted = f"{name}({', '.join(taken.parameters)})"
    try:
        bound = taken.bind(*given, **named).arguments
    except TypeError as error:
        raise CannotCite(f"{wanted} is what the function takes: {error}") from None
    texts = [key for key in bound if taken.parameters[key].annotation == "str"]
    if wrong := [key for key in texts if not isinstance(bound[key], str)]:
        raise CannotCite(f"{wanted} takes {', '.join(wrong)} as text in quotes")


def _asking() -> int:
    """The line of the text that is being filled in; of a macro the line that calls it, for its own is no news."""
    line, frame = 0, sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if (template := frame.f_globals.get("__jinja_template__")) is not None:
            line = template.get_corresponding_lineno(frame.f_lineno)
    return line


def _line_of(error: BaseException) -> int:
    """The line of the text at which an error rose: Jinja puts it into the traceback."""
    lines, trace = [0], error.__traceback__
    while trace is not None:
        lines += [trace.tb_lineno] if trace.tb_frame.f_code.co_filename == "<template>" else []
        trace = trace.tb_next
    return lines[1] if len(lines) > 1 else 0
