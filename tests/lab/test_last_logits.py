"""Logits of the last positions alone: those of the whole run, from an unembedding that sees no other position."""

import pytest
import torch

from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load
from tests.helpers.in_memory import native
from tests.helpers.tiny import FAMILIES, VOCABULARY, directory

READ = ("blocks.1.hook_resid_post", "ln_final.hook_scale")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("last") / request.param, request.param)))


@pytest.fixture
def tokens():
    return torch.randint(3, VOCABULARY, (3, 9), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("last", [1, 2, 9])
def test_they_are_those_of_the_whole_run_and_what_is_kept_is_whole(model, tokens, last):
    whole, kept = run(model, tokens, keep=READ)
    logits, beside = run(model, tokens, keep=(*READ, "unembed.hook_out"), last=last)
    assert torch.allclose(logits, whole[:, -last:], atol=1e-5) and whole.std() > 0.1
    assert beside["unembed.hook_out"].shape[1] == last
    for name in READ:
        assert torch.equal(kept[name], beside[name])


def test_edits_at_earlier_positions_are_felt(model, tokens):
    def edit(stream):
        return torch.cat([-stream[:, :2], stream[:, 2:]], dim=1)

    edits = {"blocks.0.hook_resid_pre": edit}
    plain, whole, alone = run(model, tokens)[0], run(model, tokens, edits)[0], run(model, tokens, edits, last=1)[0]
    assert torch.allclose(whole[:, -1:], alone, atol=1e-5)
    assert (plain[:, -1:] - alone).abs().max() > 1e-3


def test_a_model_that_computes_all_of_them_is_cut(tokens):
    model = native()
    assert torch.equal(run(model, tokens, last=2)[0], run(model, tokens)[0][:, -2:])
