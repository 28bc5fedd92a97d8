"""The lab: instruments on a loaded model and a set of prompts, each returning one value, or vector, a prompt.

    models         load, save, describe, checkpoint_of; batches, tokens, per_prompt, in_order, run
    on disk        cache_activations, open_cache; text_rows, token_rows, sampled_rows, which the model writes itself
    behaviour      answers_correctly, logit_differences, answer_log_probs, repeat_loss
    metrics        logit_diff, answer_log_prob, correct, loss_per_token
    interventions  patched, zero_ablated, mean_ablated, resample_ablated, activations: a changed model, inside `with`
    sweeps         restored_by_patching, lost_by_patching, flipped_by_patching; under_ablation, loss_under_ablation;
                   restored_by_random_sets, under_ablation_of_random_sets; of components, groups, layers, residual;
                   heads_of a group; random_direction, as long as a given one
    attribution    direct_logit_attribution, logit_lens, attention_to, attention_by_offset, attention_pattern,
                   attribution_patching, attribution_error, node_scores, edge_scores, copy_scores, attention_and_written
    paths          lost_by_path_patching, restored_by_path_patching, attention_after_path_patching
    weights        composition, copying, matching, positional_attention
    circuits       circuit_scores, prune, grid, lost_by_part, lost_by_added_part, random_circuit_scores,
                   exchanged_circuit_scores, under_knockouts, greedy_knockout; network, the plain forward pass that they
                   run on
    probes         probe, probe_bags, selectivity: what is decodable, out of fold; mean_differences, projections,
                   under_removal, under_addition, probe_subspaces: directions and row spaces, and the run without or
                   with more of them; interchange of das_subspaces, class_mean_subspaces, random_subspaces,
                   whole_spaces; principal_cosines; tuned_lens, lens_divergence
    features       dictionary_of, load_sae, load_release; principal_components, neurons, random_dictionary;
                   dictionary_scores, dictionary_scores_on_prompts, activations_at, active_counts; under_actions,
                   dose_response, ablated, scaled, steered; restored_by_features, restored_by_sets_of_features,
                   feature_attribution, attribution_agreement; superposed, features_recovered; best_detectors, fired,
                   activity: what tells where a concept is; baseline_of, mean_on, usual_metrics, activity_shared,
                   seeds_shared, planted_recovered; feature_cards, contrasting: what there is to see of features over
                   discovery texts
    studies        generated, numbers_generated, numbers_given; attention_to_operand, number_structure,
                   shares_of_each_digit, sums_by_interpolation, periods_of_numbers, spectrum; right_against_wrong,
                   wrong_against_wrong, answers_exchanged, activation_norms; year_scores, difference_restored,
                   difference_lost, difference_without, attention_to_start, by_noun; difference_by_digits; readers,
                   under_other_positions, input_changed, input_changed_by_path, under_other_embeddings
    shortcut       professions_right by_name_and_group gender_in_log_odds

A measurement imports them inside itself, `from mechlib.lab import load, restored_by_patching`: torch is loaded only
where something is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechlib.faces import lazily

if TYPE_CHECKING:
    from mechlib.lab.activation_cache.caching import cache_activations as cache_activations
    from mechlib.lab.activation_cache.reading import open_cache as open_cache
    from mechlib.lab.activation_cache.rows import text_rows as text_rows
    from mechlib.lab.activation_cache.rows import token_rows as token_rows
    from mechlib.lab.activation_cache.sampling import sampled_rows as sampled_rows
    from mechlib.lab.attribution.attention import attention_by_offset as attention_by_offset
    from mechlib.lab.attribution.attention import attention_pattern as attention_pattern
    from mechlib.lab.attribution.attention import attention_to as attention_to
    from mechlib.lab.attribution.copying import attention_and_written as attention_and_written
    from mechlib.lab.attribution.copying import copy_scores as copy_scores
    from mechlib.lab.attribution.direct import direct_logit_attribution as direct_logit_attribution
    from mechlib.lab.attribution.gradients import attribution_error as attribution_error
    from mechlib.lab.attribution.gradients import attribution_patching as attribution_patching
    from mechlib.lab.attribution.gradients import edge_scores as edge_scores
    from mechlib.lab.attribution.gradients import node_scores as node_scores
    from mechlib.lab.attribution.head_weights import composition as composition
    from mechlib.lab.attribution.head_weights import copying as copying
    from mechlib.lab.attribution.head_weights import matching as matching
    from mechlib.lab.attribution.head_weights import positional_attention as positional_attention
    from mechlib.lab.attribution.logit_lens import logit_lens as logit_lens
    from mechlib.lab.attribution.path_patching import attention_after_path_patching as attention_after_path_patching
    from mechlib.lab.attribution.path_patching import lost_by_path_patching as lost_by_path_patching
    from mechlib.lab.attribution.path_patching import restored_by_path_patching as restored_by_path_patching
    from mechlib.lab.batching import batches as batches
    from mechlib.lab.batching import in_order as in_order
    from mechlib.lab.batching import per_prompt as per_prompt
    from mechlib.lab.behaviour import answer_log_probs as answer_log_probs
    from mechlib.lab.behaviour import answers_correctly as answers_correctly
    from mechlib.lab.behaviour import logit_differences as logit_differences
    from mechlib.lab.behaviour import repeat_loss as repeat_loss
    from mechlib.lab.circuits.faithfulness import circuit_scores as circuit_scores
    from mechlib.lab.circuits.grid import grid as grid
    from mechlib.lab.circuits.knockouts import exchanged_circuit_scores as exchanged_circuit_scores
    from mechlib.lab.circuits.knockouts import greedy_knockout as greedy_knockout
    from mechlib.lab.circuits.knockouts import lost_by_added_part as lost_by_added_part
    from mechlib.lab.circuits.knockouts import lost_by_part as lost_by_part
    from mechlib.lab.circuits.knockouts import random_circuit_scores as random_circuit_scores
    from mechlib.lab.circuits.knockouts import under_knockouts as under_knockouts
    from mechlib.lab.circuits.pruning import prune as prune
    from mechlib.lab.features.acting import ablated as ablated
    from mechlib.lab.features.acting import dose_response as dose_response
    from mechlib.lab.features.acting import scaled as scaled
    from mechlib.lab.features.acting import steered as steered
    from mechlib.lab.features.acting import under_actions as under_actions
    from mechlib.lab.features.browsing.cards import feature_cards as feature_cards
    from mechlib.lab.features.browsing.contrast import contrasting as contrasting
    from mechlib.lab.features.comparing.baselines import baseline_of as baseline_of
    from mechlib.lab.features.comparing.baselines import mean_on as mean_on
    from mechlib.lab.features.comparing.metrics import usual_metrics as usual_metrics
    from mechlib.lab.features.comparing.sharing import activity_shared as activity_shared
    from mechlib.lab.features.comparing.sharing import seeds_shared as seeds_shared
    from mechlib.lab.features.comparing.superposition import features_recovered as features_recovered
    from mechlib.lab.features.comparing.superposition import planted_recovered as planted_recovered
    from mechlib.lab.features.comparing.superposition import superposed as superposed
    from mechlib.lab.features.dictionaries import active_counts as active_counts
    from mechlib.lab.features.dictionaries import neurons as neurons
    from mechlib.lab.features.dictionaries import principal_components as principal_components
    from mechlib.lab.features.dictionaries import random_dictionary as random_dictionary
    from mechlib.lab.features.evaluation import activations_at as activations_at
    from mechlib.lab.features.evaluation import dictionary_scores as dictionary_scores
    from mechlib.lab.features.evaluation import dictionary_scores_on_prompts as dictionary_scores_on_prompts
    from mechlib.lab.features.loading import load_release as load_release
    from mechlib.lab.features.loading import load_sae as load_sae
    from mechlib.lab.features.named.firing import activity as activity
    from mechlib.lab.features.named.firing import best_detectors as best_detectors
    from mechlib.lab.features.named.firing import fired as fired
    from mechlib.lab.features.nodes import attribution_agreement as attribution_agreement
    from mechlib.lab.features.nodes import feature_attribution as feature_attribution
    from mechlib.lab.features.nodes import restored_by_features as restored_by_features
    from mechlib.lab.features.nodes import restored_by_sets_of_features as restored_by_sets_of_features
    from mechlib.lab.features.shipped import dictionary_of as dictionary_of
    from mechlib.lab.features.shortcut.log_odds import gender_in_log_odds as gender_in_log_odds
    from mechlib.lab.features.shortcut.study import by_name_and_group as by_name_and_group
    from mechlib.lab.features.shortcut.study import professions_right as professions_right
    from mechlib.lab.forward.families import network as network
    from mechlib.lab.hooks import run as run
    from mechlib.lab.interventions.ablation import loss_under_ablation as loss_under_ablation
    from mechlib.lab.interventions.ablation import under_ablation as under_ablation
    from mechlib.lab.interventions.ablation import under_ablation_of_random_sets as under_ablation_of_random_sets
    from mechlib.lab.interventions.contexts import activations as activations
    from mechlib.lab.interventions.contexts import mean_ablated as mean_ablated
    from mechlib.lab.interventions.contexts import patched as patched
    from mechlib.lab.interventions.contexts import resample_ablated as resample_ablated
    from mechlib.lab.interventions.contexts import zero_ablated as zero_ablated
    from mechlib.lab.interventions.directions import random_direction as random_direction
    from mechlib.lab.interventions.patching import flipped_by_patching as flipped_by_patching
    from mechlib.lab.interventions.patching import lost_by_patching as lost_by_patching
    from mechlib.lab.interventions.patching import restored_by_patching as restored_by_patching
    from mechlib.lab.interventions.patching import restored_by_random_sets as restored_by_random_sets
    from mechlib.lab.interventions.sites import components as components
    from mechlib.lab.interventions.sites import groups as groups
    from mechlib.lab.interventions.sites import heads_of as heads_of
    from mechlib.lab.interventions.sites import layers as layers
    from mechlib.lab.interventions.sites import residual as residual
    from mechlib.lab.metrics import answer_log_prob as answer_log_prob
    from mechlib.lab.metrics import correct as correct
    from mechlib.lab.metrics import logit_diff as logit_diff
    from mechlib.lab.metrics import loss_per_token as loss_per_token
    from mechlib.lab.models.loading import checkpoint_of as checkpoint_of
    from mechlib.lab.models.loading import describe as describe
    from mechlib.lab.models.loading import load as load
    from mechlib.lab.models.native import save as save
    from mechlib.lab.models.tokens import tokens as tokens
    from mechlib.lab.probes.das import das_subspaces as das_subspaces
    from mechlib.lab.probes.directions import mean_differences as mean_differences
    from mechlib.lab.probes.directions import probe_subspaces as probe_subspaces
    from mechlib.lab.probes.directions import projections as projections
    from mechlib.lab.probes.directions import under_addition as under_addition
    from mechlib.lab.probes.directions import under_removal as under_removal
    from mechlib.lab.probes.interchange import interchange as interchange
    from mechlib.lab.probes.linear import probe as probe
    from mechlib.lab.probes.linear import probe_bags as probe_bags
    from mechlib.lab.probes.linear import selectivity as selectivity
    from mechlib.lab.probes.subspaces import class_mean_subspaces as class_mean_subspaces
    from mechlib.lab.probes.subspaces import principal_cosines as principal_cosines
    from mechlib.lab.probes.subspaces import random_subspaces as random_subspaces
    from mechlib.lab.probes.subspaces import whole_spaces as whole_spaces
    from mechlib.lab.probes.tuned_lens import lens_divergence as lens_divergence
    from mechlib.lab.probes.tuned_lens import tuned_lens as tuned_lens
    from mechlib.lab.studies.generation import generated as generated
    from mechlib.lab.studies.generation import numbers_generated as numbers_generated
    from mechlib.lab.studies.generation import numbers_given as numbers_given
    from mechlib.lab.studies.greater_than import attention_to_start as attention_to_start
    from mechlib.lab.studies.greater_than import by_noun as by_noun
    from mechlib.lab.studies.greater_than import difference_by_digits as difference_by_digits
    from mechlib.lab.studies.greater_than import difference_lost as difference_lost
    from mechlib.lab.studies.greater_than import difference_restored as difference_restored
    from mechlib.lab.studies.greater_than import difference_without as difference_without
    from mechlib.lab.studies.greater_than import year_scores as year_scores
    from mechlib.lab.studies.interpolation import sums_by_interpolation as sums_by_interpolation
    from mechlib.lab.studies.numbers import attention_to_operand as attention_to_operand
    from mechlib.lab.studies.numbers import number_structure as number_structure
    from mechlib.lab.studies.numbers import shares_of_each_digit as shares_of_each_digit
    from mechlib.lab.studies.position_embeddings import input_changed as input_changed
    from mechlib.lab.studies.position_embeddings import readers as readers
    from mechlib.lab.studies.position_embeddings import under_other_embeddings as under_other_embeddings
    from mechlib.lab.studies.position_embeddings import under_other_positions as under_other_positions
    from mechlib.lab.studies.position_paths import input_changed_by_path as input_changed_by_path
    from mechlib.lab.studies.right_wrong import activation_norms as activation_norms
    from mechlib.lab.studies.right_wrong import answers_exchanged as answers_exchanged
    from mechlib.lab.studies.right_wrong import right_against_wrong as right_against_wrong
    from mechlib.lab.studies.right_wrong import wrong_against_wrong as wrong_against_wrong
    from mechlib.lab.studies.spectra import periods_of_numbers as periods_of_numbers
    from mechlib.lab.studies.spectra import spectrum as spectrum

__getattr__, __dir__, __all__ = lazily("mechlib.lab", globals())
