"""mechlib: claims about the inside of language models, as tests that assert one number.

Names are loaded when they are first used, so that `import mechlib` costs next to nothing and judging
never imports torch (measuring lives in `mechlib.lab`). The decorator `evidence` is imported from its module,
`from mechlib.evidence import evidence`, because the two share a name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mechlib.checkpoints import published as published
    from mechlib.circuits import Head as Head
    from mechlib.circuits import Heads as Heads
    from mechlib.circuits import Selection as Selection
    from mechlib.circuits import all_heads as all_heads
    from mechlib.circuits import heads as heads
    from mechlib.circuits import random_sets as random_sets
    from mechlib.circuits import singly_and_jointly as singly_and_jointly
    from mechlib.claim import no_twin as no_twin
    from mechlib.claim import open_question as open_question
    from mechlib.claim import refuted as refuted
    from mechlib.claim import void as void
    from mechlib.estimate import Estimate as Estimate
    from mechlib.estimate import every as every
    from mechlib.estimate import requires as requires
    from mechlib.estimate import some as some
    from mechlib.graphs import Circuit as Circuit
    from mechlib.graphs import circuit as circuit
    from mechlib.measurement import Measurement as Measurement
    from mechlib.prompts import Prompt as Prompt
    from mechlib.prompts import PromptSet as PromptSet
    from mechlib.showing import show as show
    from mechlib.statistics import above as above
    from mechlib.statistics import above_null as above_null
    from mechlib.statistics import across_seeds as across_seeds
    from mechlib.statistics import agreement_of_halves as agreement_of_halves
    from mechlib.statistics import circuit_above as circuit_above
    from mechlib.statistics import cmd as cmd
    from mechlib.statistics import correlation as correlation
    from mechlib.statistics import cpr as cpr
    from mechlib.statistics import difference as difference
    from mechlib.statistics import distance_correlation as distance_correlation
    from mechlib.statistics import equivalence as equivalence
    from mechlib.statistics import exact as exact
    from mechlib.statistics import faithfulness as faithfulness
    from mechlib.statistics import gap as gap
    from mechlib.statistics import independence as independence
    from mechlib.statistics import mean as mean
    from mechlib.statistics import minimality as minimality
    from mechlib.statistics import overlap as overlap
    from mechlib.statistics import partial_necessity as partial_necessity
    from mechlib.statistics import proportion as proportion
    from mechlib.statistics import ratio as ratio
    from mechlib.statistics import share_kept as share_kept
    from mechlib.statistics import strongest as strongest
    from mechlib.statistics import strongest_circuit as strongest_circuit
    from mechlib.statistics import sufficiency as sufficiency

_HOME = {
    "checkpoints": ("published",),
    "circuits": ("Head", "Heads", "Selection", "all_heads", "heads", "random_sets", "singly_and_jointly"),
    "claim": ("no_twin", "open_question", "refuted", "void"),
    "estimate": ("Estimate", "every", "requires", "some"),
    "graphs": ("Circuit", "circuit"),
    "measurement": ("Measurement",),
    "prompts": ("Prompt", "PromptSet"),
    "showing": ("show",),
    "statistics": (
        "above",
        "above_null",
        "across_seeds",
        "agreement_of_halves",
        "circuit_above",
        "cmd",
        "correlation",
        "cpr",
        "difference",
        "distance_correlation",
        "equivalence",
        "exact",
        "faithfulness",
        "gap",
        "independence",
        "mean",
        "minimality",
        "overlap",
        "partial_necessity",
        "proportion",
        "ratio",
        "share_kept",
        "strongest",
        "strongest_circuit",
        "sufficiency",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'mechlib' has no attribute {name!r}")
    value = getattr(import_module(f"mechlib.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
