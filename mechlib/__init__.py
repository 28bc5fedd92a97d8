"""mechlib: claims about the inside of language models, as tests that assert one number.

Names are loaded when they are first used, so that `import mechlib` costs next to nothing and judging
never imports torch (measuring lives in `mechlib.lab`). The decorator `evidence` is imported from its package,
`from mechlib.evidence import evidence`, because the two share a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechlib.faces import lazily

if TYPE_CHECKING:
    from mechlib.checkpoints.checkpoint import published as published
    from mechlib.evidence.decorator import exploring as exploring
    from mechlib.figures.show import show as show
    from mechlib.judging.marks import open_question as open_question
    from mechlib.judging.marks import refuted as refuted
    from mechlib.judging.marks import reported as reported
    from mechlib.judging.marks import void as void
    from mechlib.judging.registration.seeds import registered_seed as registered_seed
    from mechlib.measurement import Measurement as Measurement
    from mechlib.parts.circuits import Circuit as Circuit
    from mechlib.parts.circuits import circuit as circuit
    from mechlib.parts.circuits import circuit_of as circuit_of
    from mechlib.parts.exchanged_heads import exchanged_heads as exchanged_heads
    from mechlib.parts.features import alike as alike
    from mechlib.parts.features import drawn as drawn
    from mechlib.parts.features import feature_of as feature_of
    from mechlib.parts.features import leading as leading
    from mechlib.parts.graphs import Graph as Graph
    from mechlib.parts.heads import Group as Group
    from mechlib.parts.heads import Head as Head
    from mechlib.parts.heads import Heads as Heads
    from mechlib.parts.heads import Selection as Selection
    from mechlib.parts.heads import all_heads as all_heads
    from mechlib.parts.heads import heads as heads
    from mechlib.parts.heads import singly_and_jointly as singly_and_jointly
    from mechlib.parts.matched_sets import matched_sets as matched_sets
    from mechlib.parts.random_circuits import random_knockouts as random_knockouts
    from mechlib.parts.random_sets import random_sets as random_sets
    from mechlib.prompts.promptset import Prompt as Prompt
    from mechlib.prompts.promptset import PromptSet as PromptSet
    from mechlib.prompts.shuffled import shuffled_answers as shuffled_answers
    from mechlib.prompts.shuffled import shuffled_distractors as shuffled_distractors
    from mechlib.prompts.shuffled import shuffled_pairs as shuffled_pairs
    from mechlib.prompts.shuffled import shuffled_repeats as shuffled_repeats
    from mechlib.report.data.frames import results as results
    from mechlib.statistics import TooFew as TooFew
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
    from mechlib.statistics import permutation_p as permutation_p
    from mechlib.statistics import precision as precision
    from mechlib.statistics import proportion as proportion
    from mechlib.statistics import ratio as ratio
    from mechlib.statistics import recall as recall
    from mechlib.statistics import share_kept as share_kept
    from mechlib.statistics import strongest as strongest
    from mechlib.statistics import strongest_circuit as strongest_circuit
    from mechlib.statistics import sufficiency as sufficiency
    from mechlib.statistics.circuits.grid import cells as cells
    from mechlib.statistics.circuits.grid import kept as kept
    from mechlib.statistics.estimate import Estimate as Estimate
    from mechlib.statistics.families import every as every
    from mechlib.statistics.families import some as some
    from mechlib.verdicts.verdict import requires as requires

__getattr__, __dir__, __all__ = lazily("mechlib", globals())
