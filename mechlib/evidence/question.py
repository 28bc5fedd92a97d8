"""A question: an evidence function with its arguments, as text to read and as a key to file under.

The key says exactly what was asked: the meaning of the function and its helpers, every argument, each prompt as the
model sees it, the model's weights, configuration and tokenizer, and how they are run. Change any and the key is
another. What the statistics know of a prompt (its cluster, its labels) is no part of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mechlib import checkpoints
from mechlib.checkpoints.checkpoint import Checkpoint, IncompleteModel
from mechlib.evidence.code_hash import EvidenceRefused
from mechlib.evidence.modules import digest
from mechlib.evidence.prompt_files import PROMPTS, prompts_name, rows_of
from mechlib.evidence.sealed import ENDING
from mechlib.evidence.stamp import STAMPS
from mechlib.parts.chosen import ChosenName, ChosenNumber, DoubleDipping, chosen_on, plain
from mechlib.parts.circuits import Circuit
from mechlib.parts.heads import ChosenHead, Group, Head, Heads, Selection
from mechlib.prompts.promptset import PromptSet

CLAIMS = "claims"
SHARED = ("measurements", "tasks", "notebook")  # topics that no claim has
CONTROLS = "controls"  # the folder beside the topics of what claims came to with their parts exchanged
LONGEST_NAME = 119  # of a file: Windows, and archives, dislike longer ones
ALLOWED = "None, bool, int, finite float, str, Head, Heads, Group, Selection, Circuit, PromptSet, and tuples of these"


def is_model(parameter: str) -> bool:
    """Whether a parameter of this name takes a model's name: `model`, or one that ends in `_model`."""
    return parameter == "model" or parameter.endswith("_model")


def accepted(value: Any, where: str) -> Any:
    """The argument as an evidence function receives it: NumPy scalars become Python's, a Selection plain Heads,
    a Circuit one without its history, parts in the order of their names, chosen heads, names and layers plain ones.

    Raises EvidenceRefused for everything that cannot be filed under exactly, EmptySelection for an empty Selection.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Selection):
        value = value.heads
    if isinstance(value, Heads):
        return Heads(tuple(Head(*head) for head in value.members))
    if isinstance(value, Circuit):
        _ = value.kind  # an empty one is refused, as an empty selection is
        return Circuit(tuple(sorted(map(plain, value.parts))))
    if isinstance(value, (ChosenHead, ChosenName, ChosenNumber)):
        return Head(*value) if isinstance(value, Head) else plain(value) if isinstance(value, str) else int(value)
    if value is None or isinstance(value, (bool, int, str, Head, Group, PromptSet)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise EvidenceRefused(f"{where} is {value}: evidence is filed under finite numbers only")
        return value
    if type(value) is tuple:
        return tuple(accepted(entry, f"{where}[{number}]") for number, entry in enumerate(value))
    cure = "make it a tuple" if isinstance(value, (list, set, frozenset)) else "hand over what it is made from"
    raise EvidenceRefused(f"{where} is a {type(value).__qualname__}: {cure}; evidence is filed under {ALLOWED}")


def flat(value: Any) -> Iterator[Any]:
    """What an argument holds, tuples opened."""
    if type(value) is tuple:
        for entry in value:
            yield from flat(entry)
    else:
        yield value


def prompts_in(arguments: dict[str, Any]) -> tuple[PromptSet, ...]:
    """Every prompt set among the arguments, in their order."""
    return tuple(entry for value in arguments.values() for entry in flat(value) if isinstance(entry, PromptSet))


def refuse_double_dipping(name: str, arguments: dict[str, Any]) -> None:
    """Raises DoubleDipping where parts would be measured on prompts that chose them, said by name or number too."""
    for key, value in arguments.items():
        seen = chosen_on(*(entry for entry in flat(value) if not isinstance(entry, PromptSet)))
        for prompts in prompts_in(arguments) if seen else ():
            shared = len(seen & prompts.members)
            if shared:
                raise DoubleDipping(
                    f"{name} would measure {key} on {shared} of the prompts that chose it, in {prompts!r}: "
                    "choose on the discovery split, measure on confirmation"
                )


def _spoken(value: Any) -> str:
    """An argument as a reader says it. Not exact: two sets of prompts may be called the same."""
    if type(value) is tuple:
        return f"({', '.join(map(_spoken, value))}{',' if len(value) == 1 else ''})"
    return str(value) if isinstance(value, (Head, Group)) else repr(value)


def _exact(value: Any) -> Any:
    """An argument as plain data that no other argument shares."""
    if type(value) is tuple:
        return [_exact(entry) for entry in value]
    if isinstance(value, PromptSet):
        return f"{value!r} {value.fingerprint}"
    if isinstance(value, Circuit):
        return ["Circuit", *value.parts]
    if isinstance(value, (Head, Heads, Group)):
        return f"{type(value).__name__} {value}"
    return value if value is None or isinstance(value, bool) else repr(value)


class Hashes(NamedTuple):
    """What identifies a model: its weights, its configuration, its tokenizer."""

    weights: str
    config: str
    tokenizer: str


@dataclass(frozen=True)
class Question:
    """What was asked. `arguments` are accepted ones; `hashes` are "" where a mini's files are missing."""

    topic: str
    function: str
    meaning: str
    arguments: dict[str, Any]
    checkpoints: dict[str, Checkpoint]
    hashes: dict[str, Hashes]

    @property
    def model(self) -> str:
        """The model that is asked about; "" where there is none."""
        return str(self.arguments.get("model", ""))

    @property
    def name(self) -> str:
        """As errors say it: "test_ioi.restored(gpt2-small)"."""
        return f"{self.topic}.{self.function}({self.model})"

    @property
    def again(self) -> str:
        """The command that measures this: of a function that several topics share, pytest knows no keyword."""
        if self.topic not in SHARED:
            return f"pytest -k {self.topic}"
        return f"pytest -k {self.model}" if re.fullmatch(r"[A-Za-z0-9_.-]+", self.model) else "pytest"

    @cached_property
    def text(self) -> str:
        """The readable question. A file whose question reads the same is what this one takes the place of."""
        arguments = ", ".join(
            f"{key}={value if is_model(key) else _spoken(value)}" for key, value in self.arguments.items()
        )
        return f"{self.function}({arguments})"

    @cached_property
    def parts(self) -> dict[str, Any]:
        """What the key is made of, as plain data, named as a reader would."""
        parts: dict[str, Any] = {
            "meaning": self.meaning,
            "arguments": {key: _exact(value) for key, value in self.arguments.items() if not is_model(key)},
        }
        for key, model in self.checkpoints.items():
            prefix = key.removesuffix("model")  # "" for the parameter `model`, "other_" for `other_model`
            parts |= {f"{prefix}{name}": hash_ for name, hash_ in self.hashes[key]._asdict().items()}
            parts[f"{prefix}dtype"] = model.dtype
            parts[f"{prefix}processing"] = model.processing
            parts[f"{prefix}bos"] = model.bos
        return parts

    @cached_property
    def key(self) -> str:
        """The sha256 of all parts: what the answer is filed under."""
        return digest(self.parts)

    @cached_property
    def sets(self) -> dict[str, PromptSet]:
        """Every prompt set among the arguments, by the name that it is filed under."""
        return {prompts_name(prompts): prompts for prompts in prompts_in(self.arguments)}

    @cached_property
    def labels(self) -> str:
        """Sixteen digits for clusters and labels of all prompts, which an instrument may read; "" where there are none.

        No part of the key: where they differ from those at hand when something was measured, that is flagged.
        """
        digests = [rows_of(prompts).digest for prompts in prompts_in(self.arguments)]
        return digest(digests)[:16] if digests else ""

    @property
    def known(self) -> bool:
        """Whether every model's files could be hashed, so that the key is one."""
        return all(all(hashes) for hashes in self.hashes.values())

    def assuming(self, filed: dict[str, Any]) -> Question:
        """This question, with the hashes that a filed first line names where files could not be hashed here."""
        hashes = {}
        for key, own in self.hashes.items():
            prefix = key.removesuffix("model")
            said = {name: value or filed.get(f"{prefix}{name}", "") for name, value in own._asdict().items()}
            hashes[key] = Hashes(**said)
        return replace(self, hashes=hashes)

    @property
    def stem(self) -> str:
        """What the names of all files of this function on this model begin with."""
        model = checkpoints.file_name(self.model) if self.model else "no-model"
        return f"{self.function[: LONGEST_NAME - len(model) - 20]}--{model}--"

    def path(self, folder: Path) -> Path:
        """Where the evidence lies: <topic>/<function>--<model>--<first 8 digits of the key>.jsonl"""
        return folder / self.topic / f"{self.stem}{self.key[:8]}{ENDING}"

    def difference(self, filed: dict[str, Any]) -> str:
        """In which parts a filed first line answers another question: "the function, the prompts"."""
        names = {"meaning": "the function", "arguments": "the prompts"}
        changed = [names.get(part, part) for part in self.parts if self.parts[part] != filed.get(part)]
        return ", ".join(changed) or "the key"


def ask(
    topic: str,
    function: str,
    meaning: str,
    arguments: dict[str, Any],
    root: Path,
    known: dict[str, tuple[Checkpoint, Hashes]] | None = None,
) -> Question:
    """A question from accepted arguments; `root` holds the fixtures/ that names of minis mean.

    known  models whose files a run has hashed already, by name; those of this question are added

    Raises UnknownModel, and IncompleteModel where a weight file is damaged.
    """
    models, hashes = {}, {}
    known = {} if known is None else known
    for key, value in arguments.items():
        if is_model(key):
            if not isinstance(value, str):
                raise EvidenceRefused(f"{function}: {key} is {value!r}: a parameter of this name takes a model's name")
            if value not in known:
                model = checkpoints.checkpoint(value, root)
                known[value] = (model, _hashes(model))
            models[key], hashes[key] = known[value]
    return Question(topic, function, meaning, arguments, models, hashes)


def topic_of(file: str) -> str:
    """Under which topic the evidence of a function in this file is filed.

    The folder of the file below claims/, as in claims/induction/test_heads.py; the file's own name, without "test_",
    elsewhere; "notebook" where there is no such file.
    """
    path = Path(file)
    if not path.is_file():
        return "notebook"
    inside = path.parent.name if path.parent.parent.name == CLAIMS else path.stem.removeprefix("test_")
    if inside in (PROMPTS, STAMPS, CONTROLS):
        raise EvidenceRefused(
            f"a topic called {inside} would file its evidence among what all topics share, in artifacts/evidence/"
            f"{inside}: give it another name"
        )
    return re.sub(r"[^A-Za-z0-9_.-]", "-", inside)


def _hashes(model: Checkpoint) -> Hashes:
    try:
        return Hashes(checkpoints.weight_hash(model), *checkpoints.config_hashes(model))
    except IncompleteModel:
        if any(file.is_file() for file in checkpoints.weight_files(model)):
            raise  # damaged: an answer on other weights must not be passed off as one on these
        return Hashes("", "", "")
