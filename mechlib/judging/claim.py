"""What a claim looks like: one sentence, one assert, marks for outcomes that are known.

A claim is parsed before it runs, so that its form holds whatever Python or pytest are told:

* the docstring's first line is the sentence; `Source:` says where the claim or its bound comes from;
* exactly one `assert`, the last statement: one comparison, or one chained comparison, with numbers;
* parameters are `model` and literals, never fixtures.
"""

from __future__ import annotations

import ast
import functools
import inspect
import io
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from mechlib.checkpoints.reading import FileState, file_state
from mechlib.evidence.modules import digest, normalised
from mechlib.judging.choices.refusals import refusal
from mechlib.judging.controls.keywords import misplaced
from mechlib.judging.marks import MARKS, REPORTED, Mark
from mechlib.verdicts.reported import Reported

_SYMBOLS = {ast.GtE: ">=", ast.Gt: ">", ast.LtE: "<=", ast.Lt: "<"}
# What could end a claim before its assert, or swallow it.
_WAYS_OUT = (
    ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.Try, ast.TryStar, ast.With, ast.While, ast.Raise,
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Global, ast.Nonlocal, ast.Delete,
)  # fmt: skip
_PICKS = ("max", "min", "sorted", "any", "all")  # the best of several, without a word about the others


class NoClaim(ValueError):
    """A function among the claims does not have the form of one."""


@dataclass(frozen=True)
class Claim:
    """A claim function, read but not run. Raises NoClaim where it has another form."""

    function: FunctionType

    def __post_init__(self) -> None:
        if not self.sentence:
            raise NoClaim(f"{self.name} has no docstring: its first line is the sentence that the report prints")
        if not self.source:
            raise NoClaim(
                f"{self.name} has no source: say where the claim or its bound comes from, in a paragraph of its "
                "docstring that begins with `Source:`"
            )
        self.comparison  # noqa: B018  (parsed here, so that a wrong form is found at collection)
        self._check_gates()
        self._check_body()
        self._check_decorators()
        if wrong := misplaced(self.tree, self.comparison, self.function.__globals__):
            raise NoClaim(f"{self.name} {wrong}")
        if said := refusal(self.function, self.tree):
            raise NoClaim(said)

    @property
    def name(self) -> str:
        """The function's name: the proposition."""
        return self.function.__name__

    @cached_property
    def code(self) -> str:
        """The claim's source text, decorators included."""
        lines, tree = _file_of(self.function)
        if tree is None:
            return textwrap.dedent(inspect.getsource(self.function))
        return "".join(lines[_first_line(tree) - 1 : tree.end_lineno])

    @cached_property
    def tree(self) -> ast.FunctionDef:
        """The claim's source, parsed."""
        tree = _file_of(self.function)[1] or ast.parse(self.code).body[0]
        assert isinstance(tree, ast.FunctionDef)
        return tree

    @cached_property
    def paragraphs(self) -> list[str]:
        """The docstring in paragraphs, each in one line."""
        text = inspect.cleandoc(self.function.__doc__ or "").strip()
        return [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=\s*Source:)", text) if part.strip()]

    @property
    def sentence(self) -> str:
        """The docstring's first paragraph, which the report prints."""
        return self.paragraphs[0] if self.paragraphs else ""

    @property
    def source(self) -> str:
        """What follows `Source:` in the docstring; else the paper that `@reported` names."""
        found = [part.removeprefix("Source:").strip() for part in self.paragraphs if part.startswith("Source:")]
        return " ".join(found) or (self.reported.where if self.reported else "")

    @property
    def reported(self) -> Reported | None:
        """What a paper reports of the sentence; None where none is named."""
        return next((mark.args[0] for mark in _marks_of(self.function) if mark.name == REPORTED), None)

    @property
    def details(self) -> str:
        """Further paragraphs of the docstring."""
        return "\n\n".join(part for part in self.paragraphs[1:] if not part.startswith("Source:"))

    @cached_property
    def comparison(self) -> ast.Compare:
        """The comparison that the claim asserts."""
        asserts = [node for node in ast.walk(self.tree) if isinstance(node, ast.Assert)]
        last = self.tree.body[-1]
        if len(asserts) != 1 or last is not asserts[0]:
            raise NoClaim(
                f"{self.name} has {len(asserts)} asserts, and its last statement is "
                f"{'one' if isinstance(last, ast.Assert) else 'none'}: a claim is one assert, its last statement"
            )
        compared = asserts[0].test
        if not isinstance(compared, ast.Compare) or not _well_formed(compared, self._names_of_numbers()):
            raise NoClaim(
                f"{self.name} asserts `{ast.unparse(compared)}`: compare one estimate with a number "
                "(`estimate >= 0.4`), or with two (`-0.05 <= estimate <= 0.05`)"
            )
        if asserts[0].msg is not None:
            raise NoClaim(f"{self.name} has a message behind its assert: the sentence belongs into the docstring")
        return compared

    @property
    def judged_nothing(self) -> str:
        """What is said of an assert that compared no estimate, whether it held or not."""
        return (
            f"{self.name} judged nothing: `{ast.unparse(self.comparison)}` compares no estimate; compare the estimate "
            "itself, as in `mean(measurement) >= 0.4`, not a number out of it such as `.value`, and not a measurement"
        )

    def _check_body(self) -> None:
        """Refuses every way past the assert, and what would make its bound or its estimate another one."""
        for node in (inner for statement in self.tree.body[1:] for inner in ast.walk(statement)):
            if isinstance(node, _WAYS_OUT):
                raise NoClaim(
                    f"{self.name} holds `{ast.unparse(node).splitlines()[0]}`: a claim runs from top to bottom and "
                    "ends in its assert; for a condition use requires(...)"
                )
            if isinstance(node, ast.Name) and node.id == "pytest":
                raise NoClaim(f"{self.name} calls pytest: a claim ends in its one assert and nowhere else")
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in self._names:
                raise NoClaim(
                    f"{self.name} assigns to its parameter {node.id}: what is reported must be what was given"
                )
            if isinstance(node, ast.NamedExpr):
                raise NoClaim(f"{self.name} assigns inside an expression: give the name a line of its own")
        for node in ast.walk(self.comparison):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _PICKS:
                raise NoClaim(
                    f"{self.name} asserts about the {node.func.id} of several: did you mean some(...) or every(...)?"
                )

    def _check_decorators(self) -> None:
        for decorator in self.tree.decorator_list:
            name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
            if name != "pytest.mark.parametrize" and name.removeprefix("mechlib.") not in (*MARKS, REPORTED):
                raise NoClaim(
                    f"{self.name} is decorated with @{name}: claims take @pytest.mark.parametrize, "
                    f"{', '.join(f'@{mark}' for mark in (*MARKS, REPORTED))}"
                )
        if sum(mark.name == REPORTED for mark in _marks_of(self.function)) > 1:
            raise NoClaim(f"{self.name} has two @reported: a claim stands beside one number, give the other its own")

    def check_marks(self, models: set[str], cases: set[str]) -> None:
        """Raises NoClaim where a mark speaks of a model or a case that the claim is not about."""
        for mark in self.outcomes:
            if isinstance(mark.reasons, str) and models:
                raise NoClaim(f"@{mark.name} of {self.name} names no model: write {{'mini-2': 'the reason', ...}}")
            strangers = mark.strangers(models | cases)
            if strangers:
                raise NoClaim(f"@{mark.name} of {self.name} names {', '.join(strangers)}, which it is not about")

    @cached_property
    def outcomes(self) -> tuple[Mark, ...]:
        """The marks for outcomes that are known."""
        return tuple(Mark(mark.name, mark.args[0]) for mark in _marks_of(self.function) if mark.name in MARKS)

    @property
    def chained(self) -> bool:
        """Whether the estimate stands between two numbers."""
        return len(self.comparison.ops) == 2

    @cached_property
    def question(self) -> str:
        """Hash of everything that is asked but the bound: what is compared, with its metric, split and n."""
        comparison = self.comparison
        asked = [node for node in (comparison.left, *comparison.comparators) if not _is_number(node, set())]
        body = self.tree.body[1:-1]  # without docstring and assert
        return digest([*map(normalised, body), *map(normalised, asked), [type(op).__name__ for op in comparison.ops]])

    def mark(self, model: str, case: str = "") -> tuple[str, str]:
        """The word that a mark expects, with its reason; ("", "") where nothing is marked.

        A mark names a model, or a case: what stands in brackets behind the claim's name ("mini-0-zero"); or a pattern
        that fits several of them ("mini-*").
        """
        found = [(MARKS[mark.name], reason) for mark in self.outcomes if (reason := mark.reason(model, case))]
        if len(found) > 1:
            raise NoClaim(
                f"{self.name} is marked {' and '.join(word for word, _ in found)} on {case or model}: choose one"
            )
        return found[0] if found else ("", "")

    def _check_gates(self) -> None:
        """A chain in a gate would be two comparisons, of which only the second comes back."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and _called(node) == "requires":
                for gate in (*node.args, *(entry.value for entry in node.keywords)):
                    if not isinstance(gate, ast.Compare) or len(gate.ops) != 1:
                        chained = isinstance(gate, (ast.Compare, ast.BoolOp))
                        cure = (
                            "use two requires" if chained else "write the comparison there: requires(estimate >= 0.9)"
                        )
                        raise NoClaim(f"{self.name} requires `{ast.unparse(gate)}`, not one comparison: {cure}")

    @cached_property
    def _names(self) -> set[str]:
        return set(inspect.signature(self.function).parameters)

    def _names_of_numbers(self) -> set[str]:
        return self._names - {"model"}


def _marks_of(function: FunctionType) -> list[pytest.Mark]:
    return list(getattr(function, "pytestmark", []))


def _first_line(tree: ast.FunctionDef) -> int:
    return min([tree.lineno, *(decorator.lineno for decorator in tree.decorator_list)])


def _file_of(function: FunctionType) -> tuple[list[str], ast.FunctionDef | None]:
    """The lines of the file that defines a function, and its definition there; None where the file has no such one."""
    code = getattr(function, "__code__", None)
    if code is None:  # what another decorator made of it, which is refused by its source
        return [], None
    file, line = code.co_filename, code.co_firstlineno
    lines, definitions = _definitions(file, file_state(Path(file).stat())) if Path(file).is_file() else ([], {})
    return lines, definitions.get((function.__name__, line))


@functools.lru_cache(maxsize=64)
def _definitions(file: str, state: FileState) -> tuple[list[str], dict[tuple[str, int], ast.FunctionDef]]:
    """A file is parsed once for all its claims."""
    text = Path(file).read_text(encoding="utf-8")
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return [], {}
    found = {(node.name, _first_line(node)): node for node in body if isinstance(node, ast.FunctionDef)}
    return list(io.StringIO(text)), found  # as Python counts lines: U+2028 ends none


def _called(node: ast.Call) -> str:
    """The last part of the name of what is called."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _is_number(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    if isinstance(node, ast.Name):
        return node.id in names
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _well_formed(compared: ast.Compare, names: set[str]) -> bool:
    sides = [compared.left, *compared.comparators]
    numbers = [_is_number(side, names) for side in sides]
    signs = [_SYMBOLS.get(type(op), "") for op in compared.ops]
    if len(signs) == 1:
        return bool(signs[0]) and sum(numbers) == 1
    same_way = len({sign[:1] for sign in signs}) == 1 and all(signs)
    return len(signs) == 2 and same_way and numbers == [True, False, True]


def check_arguments(claim: Claim, fixtures: list[str], arguments: dict[str, Any]) -> None:
    """Raises NoClaim unless the claim's parameters are all `model` or literals given by parametrize."""
    strangers = [name for name in fixtures if name not in arguments]
    if strangers:
        raise NoClaim(
            f"{claim.name} takes the fixture {', '.join(strangers)}: claims take `model` and literals only, "
            "so that the same function can be called again on a twin"
        )
    for name, value in arguments.items():
        if not isinstance(value, (type(None), bool, int, float, str)):
            raise NoClaim(f"{claim.name} is given {name}={value!r}: parametrize claims with literals")
