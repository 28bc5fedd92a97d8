"""What counts as a change: coordinate by coordinate, beside a large constant too, and never the rounding of runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mechlib.lab.attribution.path_patching import attention_after_path_patching, lost_by_path_patching
from mechlib.lab.circuits.scorer import WITHIN, apart
from mechlib.lab.hooks import SAME, NothingChanged, differs, keys_and_values, run, sizes
from mechlib.lab.interventions.ablation import INTACT, under_ablation
from mechlib.lab.interventions.contexts import Site, patched
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.lab.interventions.sites import components, residual
from mechlib.lab.models.loading import Model, load
from mechlib.measurement import TOTAL
from mechlib.parts.heads import Head, heads
from tests.helpers.in_memory import native
from tests.helpers.tiny import VOCABULARY, directory, pairs

CONSTANT = 1e5


def test_a_change_beside_a_large_constant_is_seen():
    one = torch.zeros(1, 3, 8)
    one[..., 0] = CONSTANT
    other = one.clone()
    other[0, 2, 1] = 0.9
    assert differs(one, other) and differs(other, one)
    assert not differs(one, one)
    last, wrong = one[:, -1], one[:, -1].clone()
    wrong[0, 1] = 9
    assert apart(wrong, last) > WITHIN
    assert apart(last, last) == 0


def test_a_coordinate_is_measured_by_its_own_size():
    """The same change is one of a small coordinate, and the rounding of a large one."""
    seen = torch.ones(2, 4, 6) * torch.tensor([1e4, 1.0, 1.0, 1.0, 1.0, 1.0])
    for coordinate, wanted in ((0, False), (3, True)):
        moved = seen.clone()
        moved[1, 2, coordinate] += 0.05
        assert differs(moved, seen) == wanted
    assert sizes(seen)[0, 0].tolist() == [1e4, *[1e3] * 5]


def with_column(model: Model, constant: float) -> Model:
    """A column of the stream holds a constant, as programs compiled into transformers have it, and nobody reads it."""
    with torch.no_grad():
        model.embed.weight *= 0.5  # so that no change of it is as large as 1e-5 of the constant
        model.embed.weight[:, 0] = constant
        model.pos_embed.weight[:, 0] = 0
        for block in model.blocks:
            for name in ("W_Q", "W_K", "W_V"):
                getattr(block.attn, name)[:, 0] = 0
            block.attn.W_O[:, :, 0] = 0
            block.attn.b_O[0] = 0
            block.mlp.W_in[0] = 0
            block.mlp.W_out[:, 0] = 0
            block.mlp.b_out[0] = 0
        model.W_U[0] = 0
    return model


@pytest.fixture(scope="module")
def columns() -> tuple[Model, Model]:
    return with_column(native(), 0.0), with_column(native(), CONSTANT)


def test_a_constant_that_nobody_reads_changes_no_number(columns):
    plain, constant = columns
    prompts = pairs(12)
    for measure in (
        lambda model: lost_by_path_patching(model, prompts, components(model)),
        lambda model: lost_by_path_patching(model, prompts, heads("0.1"), ("1.2.k", "mlp 1")),
        lambda model: attention_after_path_patching(model, prompts, heads("0.1"), Head(1, 2), "k", "first token"),
        lambda model: restored_by_patching(model, prompts, residual(model), "all"),
        lambda model: restored_by_patching(model, prompts, {"embeddings": Site("resid_pre", 0)}, "all"),
        lambda model: under_ablation(model, prompts, components(model), "zero", metric="logit difference"),
    ):
        wanted = measure(plain)
        np.testing.assert_allclose(measure(constant).values, wanted.values, rtol=1e-3, atol=1e-4)
        assert wanted.values.std() > 0.01


def test_the_stream_of_another_run_beside_a_constant_is_another(columns):
    constant = columns[1]
    there, back = torch.tensor([[0, 3, 4, 5]]), torch.tensor([[0, 3, 6, 5]])
    streams = [
        run(model, tokens, keep=["blocks.1.hook_resid_post"])[1] for model in columns for tokens in (there, back)
    ]
    for one, other in (streams[:2], streams[2:]):
        assert differs(*(kept["blocks.1.hook_resid_post"] for kept in (one, other)))
    with patched(constant, heads("1.0"), there, positions="all") as changed:
        changed(back)
    with pytest.raises(NothingChanged):
        with patched(constant, heads("1.0"), back, positions="all") as changed:
            changed(back)


def runs_of_other_shapes(model: Model, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Activations at the last positions, of whole prompts together and behind cached keys and values."""
    names = [
        f"blocks.{layer}.{part}"
        for layer in range(model.cfg.n_layers)
        for part in ("attn.hook_z", "hook_mlp_out", "hook_resid_post")
    ]
    whole = run(model, tokens, keep=names)[1]
    found = []
    for last in (1, 3):
        past = keys_and_values(model, tokens[:, :-last])
        again = run(model, tokens[:, -last:], keep=names, past=past)[1]
        found += [(again[name], whole[name][:, -last:]) for name in names]
    return found


def constant_column(path, family: str) -> Model:
    """A tiny model whose embeddings have a large column that norms and matrices read like any other."""
    model = load(str(directory(path / family, family)))
    with torch.no_grad():
        model.embed.weight[:, 5] = 100
    return model


@pytest.mark.parametrize("which", ["mini-0", "mini-3", "gpt2", "llama", "gpt2 column", "llama column"])
def test_the_rounding_of_runs_of_other_shapes_is_no_change(tmp_path, which):
    family, _, column = which.partition(" ")
    if family.startswith("mini"):
        model, words = load(family), 100
    else:
        model = constant_column(tmp_path, family) if column else load(str(directory(tmp_path / family, family)))
        words = VOCABULARY
    tokens = torch.randint(3, words, (24, 18), generator=torch.Generator().manual_seed(0))
    off = 0.0
    for one, other in runs_of_other_shapes(model, tokens):
        off = max(off, float((one - other).abs().max()))
        assert not differs(one, other)
        for row in range(len(tokens)):  # alone, where nothing but the row says how large its coordinates are
            assert not differs(one[row : row + 1, -1:], other[row : row + 1, -1:])
        nudged = other.clone()
        nudged[0, -1].view(-1)[0] += 3 * SAME * sizes(other)[0, -1].view(-1)[0]
        assert differs(nudged, other)
    assert off > 0, "the two runs round alike: nothing was tested"


# A dead head


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("which", ["W_V", "W_O"])
def test_a_dead_head_has_no_effect_and_a_note_and_ends_no_sweep(which, hooked):
    model, prompts = native(), pairs(10)
    with torch.no_grad():
        getattr(model.blocks[1].attn, which)[2] = 0
        if which == "W_V":
            model.blocks[1].attn.b_V[2] = 0
    found = under_ablation(model, prompts, components(model), "zero", metric="logit difference", hooked=hooked)
    np.testing.assert_allclose(found["1.2"].array, found[INTACT].array, atol=1e-5)
    assert [column for column, _ in found.notes] == ["1.2"]
    (said,) = found.said_of("1.2")
    assert "dead" in said and "no effect" in said
    assert not found.said_of("0.0")
    patched_in = restored_by_patching(model, prompts, components(model), "all", hooked=hooked)
    np.testing.assert_allclose(patched_in["1.2"].array, 0, atol=1e-5)
    assert np.abs(patched_in[TOTAL].array).min() > 1e-3


@pytest.mark.parametrize("hooked", [False, True])
def test_an_ablation_in_which_nothing_changes_anywhere_is_refused(hooked):
    model = native()
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_V.zero_()
            block.attn.b_V.zero_()
    with pytest.raises(
        NothingChanged, match=r"zero ablation of 0\.1, 1\.2 at position all of toy changed no activation"
    ):
        under_ablation(model, pairs(5), heads("0.1 1.2"), "zero", hooked=hooked)
