"""numbers.tex: one macro for each number that the paper cites, by a name that stays as long as its claim does."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from mechlib.report.outputs.results import tex
from mechlib.report.paper.counting import Number
from mechlib.report.paper.looking_up import NBSP

_DIGITS = "Zero One Two Three Four Five Six Seven Eight Nine".split()
_SIGNS = {NBSP: "~", "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}", "§": r"\S{}", "¶": r"\P{}"}
_HEAD = """% One macro for each number that the paper cites, by claim. Use: \\input{numbers}, then \\NameOfTheMacro{}.
% Marks behind a number are those of the paper: they belong to it.
"""


def numbers_tex(numbers: Sequence[Number]) -> str:
    """The file, sorted by name; a number that is cited twice has one macro."""
    found = {(number.of, number.which): number.text for number in numbers}
    plain = {key: macro_name(" ".join(key)) for key in found}
    twice = Counter(plain.values())
    lines = []
    for key, text in found.items():
        name = plain[key]
        if twice[name] > 1:  # names that differ in signs alone: letters of a hash tell them apart
            name += "".join(sign for sign in hashlib.sha256(repr(key).encode()).hexdigest() if sign.isalpha())[
                :6
            ].title()
        lines.append(f"\\newcommand{{\\{name}}}{{{_latex(text)}}} % {' '.join(' '.join(key).split())}")
    return "\n".join([_HEAD, *sorted(lines)]) + "\n"


def macro_name(text: str) -> str:
    """Letters only: "ioi.test_it[mini-0] value" is IoiItMiniZeroValue."""
    spelt = re.sub(r"[0-9]", lambda digit: f" {_DIGITS[int(digit[0])]} ", text.replace(".test_", " "))
    words = re.findall(r"[A-Za-z]+", spelt)
    return "".join(word[0].upper() + word[1:] for word in words)


def _latex(text: str) -> str:
    parts = re.split(f"([{''.join(_SIGNS)}])", text)
    return "".join(_SIGNS.get(part) or tex(part) for part in parts)
