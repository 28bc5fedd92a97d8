"""How circuits are found in pretrained models: what is published of attribution patching, EAP and EAP-IG.

Terms, prompts and limits: `published.py`.
"""

import pytest

from claims.circuits.published import approximated, effects, inside, kept_by_circuits, looked_at, preference
from claims.models import AUDITED
from mechlib import every, open_question, overlap, ratio, refuted, reported, requires, show
from mechlib.figures import by_column, depth_and_concentration

# How near first order comes.


@pytest.mark.parametrize("model", AUDITED)
@reported(
    None,
    "Nanda 2023, attribution patching; the bound is ours",
    sentence="Attribution patching approximates exact patching.",
    primary=True,
)
@open_question(
    {
        "smollm2-135m": "left: 0.244, from 0.163 to 0.325; too skewed for so few to say",
        "gemma3-270m": "left: 0.233, from 0.131 to 0.335; too skewed for so few to say",
        "mini-0": "left: 0.325, from 0.243 to 0.408; too skewed for so few to say",
        "mini-1": "left: 0.317, from 0.24 to 0.394; too skewed for so few to say",
    }
)
def test_attribution_patching_approximates_exact_patching(model):
    """Of the squared effects of patching each layer's heads, and each MLP, at the last position, added up by prompt,
    attribution patching leaves at most half unexplained, across templates and names.

    The paper's R2 of .27 leaves .73, and is a case where the approximation is called poor. Beside it stands the same
    attribution one layer too low, which must leave more than half: a guess of the size alone does not pass.
    Source: Nanda 2023, whose attribution patching supposes it. The bound is ours: on discovery prompts
    SmolLM2 leaves 27 and Gemma 25 %.
    """
    requires(preference(model) >= 0.8)
    found = approximated(model, inside(model))
    assert ratio(found["left"], found["all of it"], beside=found["left, by the layer before"]) <= 0.5


@pytest.mark.parametrize("model", AUDITED)
@refuted(
    {
        "smollm2-135m": "missed, attention 20: -0.262, from -0.396 to -0.128",
        "qwen2.5-coder-0.5b": "missed, attention 14: -0.223, from -0.287 to -0.158",
        "mini-0": "missed, attention 0: -0.54, from -0.682 to -0.397",
        "mini-1": "missed, attention 0: -0.534, from -0.652 to -0.417",
    }
)
@open_question({"gemma3-270m": "missed, attention 11: -0.151, from -0.247 to -0.0546"})
def test_attribution_patching_misses_little_in_any_layer(model):
    """For the heads and for the MLP of every layer, attribution patching misses what exact patching restores at the
    last position by at most 10 % of the logit difference, on average across templates and names.

    Beside it stand the exact effects, which are what is missed by whoever says that no layer does anything.
    Source: what its use supposes. Expected to fail: on discovery prompts it misses the heads of SmolLM2's layer 20 by
    36 %; the minis are asked in test_methods too.
    """
    requires(preference(model) >= 0.8)
    found = approximated(model, inside(model))
    missed = found[[name for name in found.columns if name.startswith("missed, ")]]
    exact = found[[name for name in found.columns if name.startswith("exact, ")]]
    show(by_column, missed, "Attribution patching less exact patching, in logits")
    assert -0.1 <= every(ratio(missed, found["total"], beside=exact)) <= 0.1


# Which scores find more.


@pytest.mark.parametrize("model", AUDITED)
@reported(None, "Hanna et al. 2024, arXiv:2403.17806")
@refuted(
    {
        "qwen2.5-coder-0.5b": "EAP: -0.0324, from -0.0547 to -0.0101",
        "mini-0": "EAP: 0, from 0 to 0",
        "mini-1": "EAP: 0, from 0 to 0",
    }
)
@open_question({"gemma3-270m": "EAP: 0.0444, from 0.00307 to 0.0857"})
def test_integrated_gradients_choose_better_nodes(model):
    """The quarter of the nodes chosen by EAP-IG keeps at least 5 % more of what tells clean from corrupted prompts than
    the quarter chosen by EAP; than the quarter that EAP-IG chooses on half of the prompts it does not.

    So what is claimed is more than other choices of one kind differ by.
    Source: Hanna et al. 2024, by edges; the sign is theirs, the margin ours. On discovery prompts that did not choose
    it is 17 % in SmolLM2 and 5 % in Gemma.
    """
    requires(preference(model) >= 0.8)
    found = kept_by_circuits(model, "counterfactual")
    ahead = {way: found["quarter"].array - found[f"quarter, {way}"].array for way in ("EAP", "fewer")}
    more = found.with_columns(ahead)
    assert ratio(more["EAP"], found.less("model", "empty"), control=more["fewer"]) >= 0.05


@pytest.mark.parametrize("model", AUDITED)
@open_question({"mini-1": "0.772, from 0.6 to 1"})
def test_other_prompts_would_choose_the_same_nodes(model):
    """Of the tenth of all nodes with the largest scores at least 80 % stay in nearly all bootstrap samples of the
    discovery templates: a Jaccard index of .66 or more.

    Source: R22. It is .89 in SmolLM2 and .99 in Gemma, known before, as scores on discovery prompts are for looking;
    circuits with other heads of the same layers and the same MLPs come to .36 and .34, 95 % of them to .43 and .50.
    There is no model here with keys for each head.
    """
    requires(preference(model) >= 0.8)
    scores = effects(model, looked_at(model))
    show(depth_and_concentration, scores, "What heads and MLPs add to the logit difference, by relative depth")
    assert overlap(scores, k=round(0.1 * len(scores.columns))) >= 0.66
