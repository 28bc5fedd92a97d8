"""The step of our own is SAELens's: the same loss, and gradients equal to autograd's."""

import pytest
import torch

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

from mechlib.lab.features.training import exact_topk, saelens
from mechlib.lab.features.training.frozen import freeze
from tests.lab.features.training.small import PLANTED, recipe, trained

ROWS = torch.from_numpy(PLANTED.rows[:96])
PARAMETERS = ("W_enc", "W_dec", "b_enc", "b_dec")


def drawn(frozen: str = "", seed: int = 0):
    """An autoencoder with biases and lengths of all sizes, some of its k largest below zero."""
    of = recipe(frozen=frozen, k=20, seed=seed)
    made = saelens.blank(of, 24)
    with torch.no_grad():
        made.b_enc.normal_(-0.1, 0.2)
        made.b_dec.normal_(0, 0.3)
        made.W_dec.mul_(torch.rand(64, 1) * 5 + 0.1)
        made.W_enc.add_(0.05 * torch.randn_like(made.W_enc))
    freeze(made, of)
    return made, of


def theirs(sae, dead):
    """SAELens's own forward pass, and autograd."""
    from sae_lens.saes.sae import TrainStepInput

    output = sae.training_forward_pass(
        TrainStepInput(sae_in=ROWS, coefficients={}, dead_neuron_mask=dead, n_training_steps=0, is_logging_step=False)
    )
    output.loss.backward()
    found = {name: getattr(sae, name).grad for name in PARAMETERS}
    sae.zero_grad()
    return output, found


def ours(sae, of, dead):
    """Our step, with the gradients as they are before they are clipped."""
    trainer = saelens.trainer(sae, of, iter(()), 1.0)
    trainer.n_forward_passes_since_fired = torch.where(dead, 1e6, 0.0)
    seen: dict[str, torch.Tensor] = {}
    clip = torch.nn.utils.clip_grad_norm_

    def keep(parameters, limit):
        seen.update({name: getattr(sae, name).grad for name in PARAMETERS})
        seen.update({name: one if one is None else one.clone() for name, one in seen.items()})
        return clip(parameters, limit)

    torch.nn.utils.clip_grad_norm_ = keep
    try:
        output = trainer._train_step(sae=sae, sae_in=ROWS)
    finally:
        torch.nn.utils.clip_grad_norm_ = clip
    return output, seen, trainer


@pytest.mark.parametrize("frozen", ["", "decoder", "encoder"])
@pytest.mark.parametrize("many", [0, 1, 9, 40])
def test_loss_and_gradients_are_those_of_saelens_and_autograd(frozen, many):
    torch.manual_seed(3)
    sae, of = drawn(frozen)
    dead = torch.arange(64) < many
    wanted, gradients = theirs(sae, dead)
    below = int((wanted.feature_acts == 0).sum(1).max()) > 64 - of.k
    output, seen, _ = ours(sae, of, dead)
    assert below, "some of the k largest are below zero, and are no features"
    for name, value in wanted.losses.items():
        torch.testing.assert_close(output.losses[name], value.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output.loss, wanted.loss.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output.sae_out, wanted.sae_out.detach(), rtol=1e-5, atol=1e-5)
    for name in PARAMETERS:
        if gradients[name] is None:
            assert seen[name] is None, "what is frozen has no gradient"
        else:
            off = (seen[name] - gradients[name]).abs().max() / gradients[name].abs().max()
            assert off < 1e-5, f"{name} is off by {off:.1e} of its largest entry"
    assert (many > 0) == bool(output.losses["auxiliary_reconstruction_loss"] > 0)


def test_features_that_fired_are_counted_as_saelens_counts_them():
    torch.manual_seed(3)
    sae, of = drawn()
    never = torch.zeros(64, dtype=torch.bool)
    fired = (theirs(sae, never)[0].feature_acts > 0).sum(0)
    _, _, trainer = ours(sae, of, never)
    assert torch.equal(trainer.act_freq_scores.long(), fired)
    assert torch.equal(trainer.n_forward_passes_since_fired, (fired == 0).float())
    assert trainer.n_training_steps == 0 and trainer.n_frac_active_samples == len(ROWS)


def test_a_run_ends_where_saelens_own_ends(tmp_path):
    """Rounding alone tells them apart, and few rows are near a tie of their k largest."""
    ends = [trained(tmp_path / str(exact), recipe(steps=100, exact=exact)) for exact in (True, False)]
    cosines = torch.cosine_similarity(*(one.directions for one in ends), dim=1)
    assert cosines.median() > 0.999
    assert ends[0].card["unexplained"] == pytest.approx(ends[1].card["unexplained"], rel=0.02)


@pytest.mark.parametrize(
    ("kind", "exact", "own"), [("topk", True, True), ("topk", False, False), ("batchtopk", True, False)]
)
def test_only_topk_has_the_step_and_only_where_it_is_asked_for(kind, exact, own):
    of = recipe(kind, exact=exact)
    trainer = saelens.trainer(saelens.blank(of, 24), of, iter(()), 1.0)
    assert (getattr(trainer._train_step, "func", None) is exact_topk.step) == own
