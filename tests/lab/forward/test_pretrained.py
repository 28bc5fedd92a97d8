"""Real weights, where they are on this machine: the plain forward pass and sweeps are Hugging Face's own.

Models are looked for in $MECHLIB_PRETRAINED, else in $MECHLIB_CACHE/pretrained.
"""

import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.lab.attribution.direct import direct_logit_attribution
from mechlib.lab.forward.families import forward, network
from mechlib.lab.interventions.patching import restored_by_patching
from mechlib.lab.models.loading import load
from mechlib.lab.models.tokens import tokens
from mechlib.parts.heads import Head
from mechlib.prompts.promptset import Prompt, PromptSet

pytestmark = pytest.mark.pretrained

CLEAN = "When Mary and John went to the store, John gave a drink to"
CORRUPTED = "When Mary and John went to the store, Mary gave a drink to"
PROMPTS = PromptSet("one", "discovery", (Prompt(CLEAN, "Mary", CORRUPTED, "John", glue=" "),))
BOS = {"smollm2-135m": "<|endoftext|>", "gemma3-270m": "<bos>", "qwen2.5-coder-0.5b": "none"}
HEADS = {"smollm2-135m": Head(23, 3), "gemma3-270m": Head(11, 2), "qwen2.5-coder-0.5b": Head(16, 8)}
WITHIN = 1e-4  # of the spread of the logits


def folder() -> Path:
    cache = os.environ.get("MECHLIB_CACHE")
    return Path(os.environ.get("MECHLIB_PRETRAINED") or (Path(cache) / "pretrained" if cache else "/nowhere"))


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module", params=HEADS)
def model(request, monkeypatch_module):
    path = folder() / request.param
    if not (path / "config.json").is_file():
        pytest.skip(f"{request.param} is not on this machine: mechlib fetch {request.param}")
    monkeypatch_module.setenv("MECHLIB_BOS", BOS[request.param])
    theirs = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    return load(str(path)), theirs, request.param


@torch.no_grad()
def test_logits_on_real_weights_are_hugging_faces(model):
    ours, theirs, _ = model
    ids, net = tokens(ours, CLEAN).unsqueeze(0), network(ours)
    wanted, found = theirs(ids).logits, net.unembed(forward(net, ids)[0])
    mary, john = (tokens(ours, f"{CLEAN} {word}")[-1] for word in ("Mary", "John"))
    assert wanted[0, -1, mary] > wanted[0, -1, john] + 1
    assert (found - wanted).abs().max() <= WITHIN * (wanted.max() - wanted.min())


@torch.no_grad()
def test_a_head_patched_by_hugging_faces_hooks_is_the_sweeps_row(model):
    ours, theirs, name = model
    (layer, head), width = HEADS[name], ours.cfg.d_head
    own, held = slice(head * width, (head + 1) * width), {}
    clean, corrupted = (tokens(ours, text).unsqueeze(0) for text in (CLEAN, CORRUPTED))
    answer, distractor = (tokens(ours, f"{CLEAN} {word}")[-1] for word in ("Mary", "John"))
    heads_end = theirs.model.layers[layer].self_attn.o_proj

    def difference(ids):
        last = theirs(ids).logits[0, -1]
        return float(last[answer] - last[distractor])

    keep = heads_end.register_forward_pre_hook(lambda _, args: held.update(z=args[0][0, -1, own].clone()))
    total = difference(clean)
    keep.remove()
    start = difference(corrupted)

    def put(_, args):
        z = args[0].clone()
        z[0, -1, own] = held["z"]
        return (z,)

    patch = heads_end.register_forward_pre_hook(put)
    restored = difference(corrupted) - start
    patch.remove()
    found = restored_by_patching(ours, PROMPTS, (HEADS[name],))
    assert found["total"].array[0] == pytest.approx(total - start, abs=1e-3)
    assert found[str(HEADS[name])].array[0] == pytest.approx(restored, abs=1e-3)
    assert abs(restored) > 1e-2


def test_direct_contributions_add_up_on_real_weights(model):
    """The measurement raises where they do not."""
    found = direct_logit_attribution(model[0], PROMPTS)
    assert found["total"].array[0] > 1
