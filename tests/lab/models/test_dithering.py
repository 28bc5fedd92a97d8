"""A dithered model: each quantised weight moved by uniform noise of half its own step, read off the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, LlamaConfig

from mechlib.checkpoints.checkpoint import UnknownModel
from mechlib.checkpoints.files import config_hashes, is_here, weight_hash
from mechlib.checkpoints.resolve import checkpoint
from mechlib.lab.models.dithering import RUN, dithered, steps
from tests.helpers.wheels import CONFIG, four_bits

ROWS = 4000  # of made-up blocks


def noise(rows: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (rows, width)).astype(np.float32)


def runs(matrix: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(matrix.copy()).view(-1, RUN)


def share_of_step(found: torch.Tensor, wanted: np.ndarray) -> torch.Tensor:
    """What was found as so many steps: 1 where it is the step."""
    return found / torch.from_numpy(wanted.astype(np.float32)).view(-1, 1).expand(-1, len(found) // len(wanted)).ravel()


def mostly_ones(shares: torch.Tensor) -> bool:
    """Whether all but one in two thousand is the step, and each a whole number of them."""
    return bool((shares - 1).abs().lt(1e-3).float().mean() > 1 - 5e-4) and bool((shares % 1 - 0.5).abs().gt(0.49).all())


# The grid


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_the_step_is_what_llama_cpp_files_beside_a_block(kind):
    gguf = pytest.importorskip("gguf")
    stored = getattr(gguf.GGMLQuantizationType, kind)
    packed = gguf.quantize(noise(ROWS, 32), stored)
    filed = np.abs(packed[:, :2].copy().view(np.float16)[:, 0])
    assert mostly_ones(share_of_step(steps(runs(gguf.dequantize(packed, stored))), filed))


@pytest.mark.parametrize(("levels", "block"), [(16, 32), (64, 16)])
def test_the_step_of_blocks_with_scales_in_two_parts_is_their_product(levels, block):
    draw = np.random.default_rng(1)  # as Q4_K and Q6_K: a scale for many blocks times a whole number for each
    scale = draw.normal(0.001, 0.0001, ROWS).astype(np.float16).astype(np.float32) * draw.integers(1, 64, ROWS)
    least = draw.normal(0, 0.02, ROWS).astype(np.float16).astype(np.float32)
    whole = np.clip(np.rint(draw.normal(levels / 2, levels / 5, (ROWS, block))), 0, levels - 1).astype(np.float32)
    found = steps(runs(whole * scale[:, None].astype(np.float32) + least[:, None] * (levels == 16)))
    assert mostly_ones(share_of_step(found, scale))


def test_a_grid_is_found_where_its_ends_are_not_used_and_no_two_values_are_neighbours():
    levels = torch.tensor([[0.0, 6, 10, 15] * 4, [3, 5, 8, 8] * 4, [0, 14, 15, 15] * 4])
    assert torch.allclose(steps(levels * 0.37 - 5), torch.full((3,), 0.37), rtol=1e-5)


def test_what_lies_on_no_grid_has_no_step():
    two = torch.tensor([[0.1, 0.7] * (RUN // 2), [0.3] * RUN, [0.0] * RUN])
    assert steps(two).tolist() == [0, 0, 0]
    assert (steps(torch.from_numpy(noise(ROWS, RUN))) == 0).all()


# The noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A directory whose matrices are quantised, all but one, which is kept as floats, and its unembedding is tied."""
    config = LlamaConfig(**{**CONFIG, "tie_word_embeddings": True, "vocab_size": 640})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if one.ndim == 2 and name != FLOATS:
                one.copy_(torch.from_numpy(four_bits(one.numpy())[1]))
    path = tmp_path_factory.mktemp("quantised")
    model.save_pretrained(path)
    return path


FLOATS = "model.layers.1.mlp.up_proj.weight"


def weights(model) -> dict[str, torch.Tensor]:
    return {name: one.detach() for name, one in model.named_parameters()}


@pytest.fixture(scope="module")
def pair(folder):
    own = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return weights(own), weights(dithered(str(folder)))


def in_steps(own: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """By how many steps each weight was moved; weights of runs without a step are left out."""
    step = steps(own.view(-1, RUN))[:, None]
    return ((moved - own).view(-1, RUN) / step)[step[:, 0] > 0].flatten()


def test_each_quantised_weight_moves_by_at_most_half_of_its_step_and_by_nothing_on_average(pair):
    own, moved = pair
    offs = torch.cat([in_steps(own[n], moved[n]) for n in own if own[n].ndim == 2 and n != FLOATS])
    assert len(offs) > 60_000 and offs.abs().max() <= 0.5 + 1e-4
    assert abs(offs.mean()) < 4 / (12 * len(offs)) ** 0.5
    assert offs.var() == pytest.approx(1 / 12, rel=0.02), "uniform"
    assert abs((offs[1:] * offs[:-1]).mean()) < 4 / (12 * len(offs) ** 0.5), "independent"


def test_what_the_file_keeps_as_floats_stays_as_it_is(pair):
    own, moved = pair
    kept = [name for name, one in own.items() if torch.equal(one, moved[name])]
    assert kept == [name for name, one in own.items() if one.ndim == 1 or name == FLOATS]


def test_it_is_always_the_same_and_no_two_matrices_have_the_same_noise(folder, pair):
    own, moved = pair
    again = weights(dithered(str(folder)))
    assert all(torch.equal(moved[name], again[name]) for name in moved)
    q, o = (f"model.layers.0.self_attn.{part}_proj.weight" for part in "qo")
    assert abs(torch.corrcoef(torch.stack([(moved[n] - own[n]).flatten() for n in (q, o)]))[0, 1]) < 0.1


def test_tied_matrices_stay_tied(folder):
    model = dithered(str(folder))
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


# By name


def test_its_name_is_resolved_and_its_key_is_its_parents_with_the_recipe():
    model, own = checkpoint("smollm2-135m@dithered"), checkpoint("smollm2-135m")
    assert (model.parent, model.twin, model.path, model.bos) == ("smollm2-135m", "dithered", own.path, own.bos)
    assert weight_hash(model) == f"{weight_hash(own)}+dithered.1" and config_hashes(model) == config_hashes(own)


@pytest.mark.parametrize("name", ["mini-0", "planted-ioi", "gpt2-small"])
def test_what_is_not_quantised_has_none(name):
    with pytest.raises(UnknownModel, match=rf"^{name} is not quantised, so that .* ask for smollm2-135m@dithered, "):
        checkpoint(f"{name}@dithered")


def test_a_directory_of_ones_own_and_a_name_that_is_mistyped_have_none_either(tmp_path):
    with pytest.raises(UnknownModel, match="is not quantised"):
        checkpoint(f"{tmp_path}@dithered")
    with pytest.raises(UnknownModel, match="did you mean smollm2-135m"):
        checkpoint("smollm2-135@dithered")


# The real ones


@pytest.mark.pretrained
@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("model.layers.3.self_attn.q_proj.weight", 15),
        ("model.layers.3.mlp.down_proj.weight", 15),
        ("model.embed_tokens.weight", 254),
    ],
)
def test_real_matrices_lie_on_the_grids_that_their_file_says(name, levels):
    model = checkpoint("smollm2-135m")
    if not is_here(model):
        pytest.skip("`mechlib fetch smollm2-135m` brings it")
    with safe_open(model.path / "model.safetensors", framework="pt") as tensors:
        blocks = tensors.get_slice(name)[:2048].view(-1, 32)
    halves = steps(blocks.reshape(-1, RUN)).view(-1, 2)
    reach = blocks.amax(1) - blocks.amin(1)
    assert (reach / halves.amin(1)).round().max() == levels
    assert (halves > 0).float().mean() > 0.999 and (halves[:, 0] / halves[:, 1] - 1).abs().lt(
        1e-3
    ).float().mean() > 0.999
