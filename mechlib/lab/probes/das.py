"""Distributed alignment search: a subspace trained so that exchanging it changes the answer as the counterfactual does.

Source: Geiger et al. 2023, arXiv:2303.02536.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import batches
from mechlib.lab.hooks import differs
from mechlib.lab.interventions.patching import CLEAN, CORRUPTED
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.probes.edited_stream import EditedStream, tokens_of
from mechlib.lab.probes.streams import END, At, Depths, chosen_depths, depth_of, positions
from mechlib.lab.probes.subspaces import Subspace
from mechlib.parts.chosen import DoubleDipping
from mechlib.prompts.promptset import PromptSet

Pair = tuple[EditedStream, EditedStream, Tensor]  # the corrupted run, the clean one, and the answers


def das_subspaces(
    model: Model,
    prompts: PromptSet,
    k: int,
    at: At = END,
    layers: Depths = None,
    steps: int = 300,
    size: int = 32,
    rate: float = 0.1,
    seed: int = 0,
) -> dict[str, Subspace]:
    """By depth, k dimensions of the stream that, taken from the clean run, make the corrupted run give the answer.

    k      dimensions, from 1 to d_model; fixed, not searched for
    steps  of Adam, on `size` prompts of one length each, drawn by `seed`
    rate   the first learning rate of the matrix whose QR decomposition is the basis; it falls linearly to nothing

    The loss is the cross-entropy of the answer's token over the vocabulary. Trained on discovery prompts only; on
    `mechlib.shuffled_answers` of them it is the control with arbitrary labels, and with `steps=0` a random subspace.
    Where the two runs agree at the place, as in the embeddings of a last word that both share, it stays random.

    Raises DoubleDipping for other splits, ValueError for k outside the stream, for prompts without corrupted text, and
    for a loss that is NaN or infinite; UnsupportedModel for models that the plain forward pass does not know.
    """
    if prompts.split != "discovery":
        raise DoubleDipping(f"{prompts!r} is not for discovery: a subspace that is trained is judged on other prompts")
    if not 1 <= k <= model.cfg.d_model:
        raise ValueError(f"{k} dimensions of a stream of {model.cfg.d_model}: give k from 1 to {model.cfg.d_model}")
    pairs = []
    for batch in batches(model, prompts, size=size):
        where = positions(batch, at)
        own, other = (EditedStream(model, tokens_of(batch, side), where) for side in (CORRUPTED, CLEAN))
        pairs.append((own, other, batch.answer))
    found = {}
    for name in chosen_depths(model, layers):
        depth = depth_of(model, name)
        basis = _trained(pairs, depth, k, steps, rate, f"{seed} {name}", checkpoint_of(model).name)
        found[name] = Subspace(depth, at, basis, chosen_on=prompts.members)
    return found


def _trained(
    pairs: Sequence[Pair], depth: int, k: int, steps: int, rate: float, seed: str, name: str
) -> Float[Tensor, "d_model k"]:
    stream, like = random.Random(seed), pairs[0][0].at(depth)
    drawn = torch.Generator().manual_seed(stream.getrandbits(48))
    start = torch.linalg.qr(torch.randn(like.shape[1], k, generator=drawn, dtype=torch.float64))[0].to(like)
    if not any(differs(other.at(depth).unsqueeze(1), own.at(depth).unsqueeze(1)) for own, other, _ in pairs):
        return start
    weights = start.clone().requires_grad_()
    adam, sizes = torch.optim.Adam([weights], rate), [len(answers) for _, _, answers in pairs]
    for step in range(steps):
        adam.param_groups[0]["lr"] = rate * (1 - step / steps)
        (own, other, answers), *_ = stream.choices(pairs, sizes)
        with torch.enable_grad():
            basis = torch.linalg.qr(weights)[0]
            corrupted = own.at(depth)
            new = corrupted + (other.at(depth) - corrupted) @ basis @ basis.T
            loss = F.cross_entropy(own.logits(depth, new)[:, -1], answers)
        if not loss.isfinite():
            raise ValueError(f"the loss of {name} is {loss.item()} behind {depth} layers: look for damaged weights")
        adam.zero_grad()
        loss.backward()
        adam.step()
    return torch.linalg.qr(weights.detach())[0]
