"""The faces: what users import from `mechlib` and from `mechlib.lab`, and the module that each name stands in.

A face is an address that stays while modules move. Claims import from faces only; evidence names in its stamp what it
was measured with by face (mechlib.evidence.stamp). Nothing inside the package imports a face, so that imports run one
way. Names are loaded when they are first used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

FACES: dict[str, dict[str, tuple[str, ...]]] = {
    "mechlib": {
        "mechlib.checkpoints.checkpoint": ("published",),
        "mechlib.evidence.decorator": ("exploring",),
        "mechlib.figures.show": ("show",),
        "mechlib.judging.marks": ("open_question", "refuted", "reported", "void"),
        "mechlib.judging.registration.seeds": ("registered_seed",),
        "mechlib.measurement": ("Measurement",),
        "mechlib.parts.circuits": ("Circuit", "circuit", "circuit_of"),
        "mechlib.parts.exchanged_heads": ("exchanged_heads",),
        "mechlib.parts.features": ("alike", "drawn", "feature_of", "leading"),
        "mechlib.parts.graphs": ("Graph",),
        "mechlib.parts.heads": ("Group", "Head", "Heads", "Selection", "all_heads", "heads", "singly_and_jointly"),
        "mechlib.parts.matched_sets": ("matched_sets",),
        "mechlib.parts.random_circuits": ("random_knockouts",),
        "mechlib.parts.random_sets": ("random_sets",),
        "mechlib.prompts.promptset": ("Prompt", "PromptSet"),
        "mechlib.prompts.shuffled": (
            "shuffled_answers", "shuffled_distractors", "shuffled_pairs", "shuffled_repeats",
        ),
        "mechlib.report.data.frames": ("results",),
        "mechlib.statistics": (
            "TooFew", "above", "above_null", "across_seeds", "agreement_of_halves", "circuit_above", "cmd",
            "correlation", "cpr", "difference", "distance_correlation", "equivalence", "exact", "faithfulness", "gap",
            "independence", "mean", "minimality", "overlap", "partial_necessity", "permutation_p", "precision",
            "proportion", "ratio", "recall", "share_kept", "strongest", "strongest_circuit", "sufficiency",
        ),
        "mechlib.statistics.circuits.grid": ("cells", "kept"),
        "mechlib.statistics.estimate": ("Estimate",),
        "mechlib.statistics.families": ("every", "some"),
        "mechlib.verdicts.verdict": ("requires",),
    },
    "mechlib.lab": {
        "mechlib.lab.activation_cache.caching": ("cache_activations",),
        "mechlib.lab.activation_cache.reading": ("open_cache",),
        "mechlib.lab.activation_cache.rows": ("text_rows", "token_rows"),
        "mechlib.lab.activation_cache.sampling": ("sampled_rows",),
        "mechlib.lab.attribution.attention": ("attention_by_offset", "attention_pattern", "attention_to"),
        "mechlib.lab.attribution.copying": ("attention_and_written", "copy_scores"),
        "mechlib.lab.attribution.direct": ("direct_logit_attribution",),
        "mechlib.lab.attribution.gradients": (
            "attribution_error", "attribution_patching", "edge_scores", "node_scores",
        ),
        "mechlib.lab.attribution.head_weights": ("composition", "copying", "matching", "positional_attention"),
        "mechlib.lab.attribution.logit_lens": ("logit_lens",),
        "mechlib.lab.attribution.path_patching": (
            "attention_after_path_patching", "lost_by_path_patching", "restored_by_path_patching",
        ),
        "mechlib.lab.batching": ("batches", "in_order", "per_prompt"),
        "mechlib.lab.behaviour": ("answer_log_probs", "answers_correctly", "logit_differences", "repeat_loss"),
        "mechlib.lab.circuits.faithfulness": ("circuit_scores",),
        "mechlib.lab.circuits.grid": ("grid",),
        "mechlib.lab.circuits.knockouts": (
            "exchanged_circuit_scores", "greedy_knockout", "lost_by_added_part", "lost_by_part",
            "random_circuit_scores", "under_knockouts",
        ),
        "mechlib.lab.circuits.pruning": ("prune",),
        "mechlib.lab.features.acting": ("ablated", "dose_response", "scaled", "steered", "under_actions"),
        "mechlib.lab.features.browsing.cards": ("feature_cards",),
        "mechlib.lab.features.browsing.contrast": ("contrasting",),
        "mechlib.lab.features.comparing.baselines": ("baseline_of", "mean_on"),
        "mechlib.lab.features.comparing.metrics": ("usual_metrics",),
        "mechlib.lab.features.comparing.sharing": ("activity_shared", "seeds_shared"),
        "mechlib.lab.features.comparing.superposition": (
            "features_recovered", "planted_recovered", "superposed",
        ),
        "mechlib.lab.features.dictionaries": (
            "active_counts", "neurons", "principal_components", "random_dictionary",
        ),
        "mechlib.lab.features.evaluation": (
            "activations_at", "dictionary_scores", "dictionary_scores_on_prompts",
        ),
        "mechlib.lab.features.named.firing": ("activity", "best_detectors", "fired"),
        "mechlib.lab.features.loading": ("load_release", "load_sae"),
        "mechlib.lab.features.nodes": (
            "attribution_agreement", "feature_attribution", "restored_by_features", "restored_by_sets_of_features",
        ),
        "mechlib.lab.features.shipped": ("dictionary_of",),
        "mechlib.lab.forward.families": ("network",),
        "mechlib.lab.hooks": ("run",),
        "mechlib.lab.interventions.ablation": (
            "loss_under_ablation", "under_ablation", "under_ablation_of_random_sets",
        ),
        "mechlib.lab.interventions.contexts": (
            "activations", "mean_ablated", "patched", "resample_ablated", "zero_ablated",
        ),
        "mechlib.lab.interventions.directions": ("random_direction",),
        "mechlib.lab.interventions.patching": (
            "flipped_by_patching", "lost_by_patching", "restored_by_patching", "restored_by_random_sets",
        ),
        "mechlib.lab.interventions.sites": ("components", "groups", "heads_of", "layers", "residual"),
        "mechlib.lab.metrics": ("answer_log_prob", "correct", "logit_diff", "loss_per_token"),
        "mechlib.lab.models.loading": ("checkpoint_of", "describe", "load"),
        "mechlib.lab.models.native": ("save",),
        "mechlib.lab.models.tokens": ("tokens",),
        "mechlib.lab.probes.das": ("das_subspaces",),
        "mechlib.lab.probes.directions": (
            "mean_differences", "probe_subspaces", "projections", "under_addition", "under_removal",
        ),
        "mechlib.lab.probes.interchange": ("interchange",),
        "mechlib.lab.probes.linear": ("probe", "probe_bags", "selectivity"),
        "mechlib.lab.probes.subspaces": (
            "class_mean_subspaces", "principal_cosines", "random_subspaces", "whole_spaces",
        ),
        "mechlib.lab.probes.tuned_lens": ("lens_divergence", "tuned_lens"),
        "mechlib.lab.features.shortcut.log_odds": ("gender_in_log_odds",),
        "mechlib.lab.features.shortcut.study": ("by_name_and_group", "professions_right"),
        "mechlib.lab.studies.generation": ("generated", "numbers_generated", "numbers_given"),
        "mechlib.lab.studies.greater_than": (
            "attention_to_start", "by_noun", "difference_by_digits", "difference_lost", "difference_restored",
            "difference_without", "year_scores",
        ),
        "mechlib.lab.studies.interpolation": ("sums_by_interpolation",),
        "mechlib.lab.studies.numbers": ("attention_to_operand", "number_structure", "shares_of_each_digit"),
        "mechlib.lab.studies.position_embeddings": (
            "input_changed", "readers", "under_other_embeddings", "under_other_positions",
        ),
        "mechlib.lab.studies.position_paths": ("input_changed_by_path",),
        "mechlib.lab.studies.right_wrong": (
            "activation_norms", "answers_exchanged", "right_against_wrong", "wrong_against_wrong",
        ),
        "mechlib.lab.studies.spectra": ("periods_of_numbers", "spectrum"),
    },
}  # fmt: skip

# What puts short texts and `to_frame` on measurements and estimates, whose own files are part of every stamp.
_NOTEBOOK = "mechlib.report.data.notebook"


def homes(face: str) -> dict[str, str]:
    """The names of a face, each with the module that it stands in."""
    return {name: module for module, names in FACES[face].items() for name in names}


def home(dotted: str) -> str:
    """The module behind a name that is imported from a face, as in "mechlib.lab.load"; else the name itself."""
    face, _, name = dotted.rpartition(".")
    return homes(face).get(name, dotted) if face in FACES else dotted


def by_face(dotted: str) -> str:
    """The public address of a name that is given by its module; the name itself where no face has it."""
    module, _, name = dotted.rpartition(".")
    return next((f"{face}.{name}" for face in FACES if homes(face).get(name) == module), dotted)


def lazily(face: str, namespace: dict[str, Any]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a face."""
    where = homes(face)

    def load(name: str) -> Any:
        if name not in where:
            said = f"module {face!r} has no attribute {name!r}"
            other = next((other for other in FACES if name in homes(other)), None)
            if other is not None:
                said = f"{said}: {name} stands in {other}"
            raise AttributeError(said, name=name, obj=sys.modules.get(face))
        value = getattr(import_module(where[name]), name)
        import_module(_NOTEBOOK).dress()
        namespace[name] = value
        return value

    def listed() -> list[str]:
        return sorted({*where, *(name for name in namespace if name.startswith("__"))})

    return load, listed, sorted(where)
