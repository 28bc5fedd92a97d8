"""Numbers that a text says without having looked them up: found by line, so that none can go stale.

Any digit counts, of any script, fractions and superscripts too. Of number words those count that say of how many cases
or models something was found, "all three", "in none", "four of five": `counted` writes them. "Two heads" is speech.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# In whose names digits stand. What the record calls its models is added to them.
NAMES = (
    "SmolLM2-135M", "SmolLM2", "Qwen2.5-Coder-0.5B", "Qwen2.5-Coder", "Qwen2.5", "Qwen2", "Qwen3", "Gemma 3 270M",
    "Gemma 3", "Gemma-3", "GPT-2", "GPT-J", "Llama 3", "Llama-3", "Phi-3", "Pythia-70M", "Pythia-160M",
    "float32", "float16", "bfloat16", "UTF-8",
)  # fmt: skip
_HIDDEN = (
    re.compile(r"`[^`\n]*`"),  # code
    re.compile(r"(?<=\])\([^()\s]*\)"),  # the target of a link or a picture
    re.compile(r"<https?://[^>\s]*>"),
    re.compile(r"(?m)^#+ +(?:\d+\.)*\d*\.?(?= )"),  # the number of a heading
    re.compile(r"(?m)^ *\d+\.(?= )"),  # and of an item
)
_NUMBER = "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_COUNT = re.compile(
    rf"\ball\s+(?!one\b){_NUMBER}\b|\b(?:{_NUMBER}|none)\s+of\s+(?:the\s+|these\s+)?{_NUMBER}\b"
    rf"|\bin\s+(?:{_NUMBER}|none)\b(?=\s*(?:[.,;:)]|of\b|models?\b|networks?\b|cases?\b|trainings?\b))",
    re.IGNORECASE,
)


def hand_typed(text: str, names: Iterable[str] = ()) -> Iterator[tuple[int, str]]:
    """(line, words) of each number of Markdown that stands where none may: a word with a digit, a count in words.

    `text` has blanks in the place of what was looked up, line by line as in its file.
    """
    shown = text
    known = sorted({*NAMES, *names}, key=len, reverse=True)
    named = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, known))})(?!\w)")
    sections = re.findall(r"(?m)^#+ +((?:\d+\.)*\d+)\.? ", text)  # which may be named where they exist
    referred = re.compile(rf"(?i)\bsections?\s+(?:{'|'.join(map(re.escape, sections)) or '(?!)'})(?!\w|[.]\d)")
    for hidden in (*_HIDDEN, named, referred):
        shown = hidden.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), shown)
    for number, line in enumerate(shown.split("\n"), start=1):
        for word in line.split():
            if any(sign.isnumeric() for sign in word):
                yield number, word
    for found in _COUNT.finditer(shown):
        yield shown.count("\n", 0, found.start()) + 1, " ".join(found[0].split())
