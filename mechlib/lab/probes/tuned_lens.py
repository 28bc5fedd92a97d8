"""The tuned lens: an affine translator a layer, trained so that the stream behind it reads as the model's output does.

The logit lens reads directions that later layers turn as if they were not turned; a translator turns them first.
Source: Belrose et al. 2023, arXiv:2303.08112.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.attribution.logit_lens import depths
from mechlib.lab.batching import Batch, batches, per_prompt, require_finite
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.lab.models.tokens import bos_ids
from mechlib.lab.probes.streams import Depths, chosen_depths, depth_of, hook_of
from mechlib.measurement import Measurement
from mechlib.parts.chosen import NOWHERE, DoubleDipping
from mechlib.prompts.promptset import PromptSet

LENSES = ("tuned", "logit")
SAME = 1e-3  # nats: how far a log-probability may be from the output's at the last depth


@dataclass(frozen=True, eq=False)
class Translator:
    """What is added to the stream before it is read: `x @ matrix + bias`; zeros at first, which is the logit lens."""

    matrix: Float[Tensor, "d_model d_model"]
    bias: Float[Tensor, " d_model"]

    def __call__(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """The stream as it would be behind the last layer."""
        return x + x @ self.matrix + self.bias


@dataclass(frozen=True, eq=False)
class TunedLens:
    """Translators by depth ("embeddings", "after layer 0", ...); the last depth needs none, it is the output."""

    translators: dict[str, Translator]
    chosen_on: frozenset[str] = field(default=NOWHERE, repr=False)


def tuned_lens(
    model: Model,
    prompts: PromptSet | Sequence[PromptSet],
    layers: Depths = None,
    steps: int = 300,
    size: int = 256,
    rate: float = 1e-3,
    seed: int = 0,
) -> TunedLens:
    """Train a translator for each depth but the last, on all tokens of these prompts behind BOS.

    prompts  one set or several: what a lens is asked about later should look like what it was trained on
    layers   names of depths, by default all
    steps    of Adam, on `size` tokens each, drawn by `seed`; the rate falls linearly to nothing

    The loss is KL(output || lens), in nats, through the model's own final norm and unembedding. Raises DoubleDipping
    for prompts that are not for discovery, ValueError as `mechlib.lab.attribution.logit_lens.logit_lens` does, and for
    a loss that is NaN or infinite.
    """
    sets = (prompts,) if isinstance(prompts, PromptSet) else tuple(prompts)
    for one in sets:
        if one.split != "discovery":
            raise DoubleDipping(f"{one!r} is not for discovery: a lens that is trained is judged on other prompts")
    names = [name for name in chosen_depths(model, layers) if name != depths(model)[-1]]
    read, last = _tokens(model, [batch for one in sets for batch in batches(model, one)], names)
    draws = torch.Generator().manual_seed(seed)
    drawn = [torch.randint(len(last), (size,), generator=draws) for _ in range(steps)]
    found = {name: _translator(model, read[name], last, drawn, rate, name) for name in names}
    return TunedLens(found, frozenset().union(*(one.members for one in sets)))


def lens_divergence(model: Model, prompts: PromptSet, lens: TunedLens, unit: str = "") -> Measurement:
    """KL(output || lens) at the last position, in nats: columns "tuned, DEPTH" and "logit, DEPTH" for each depth.

    Depths are those that the lens has, and the last one, where both are the output itself. Raises DoubleDipping where
    the lens was trained on prompts that are judged here and not for discovery.
    """
    shared = lens.chosen_on & prompts.members
    if shared and prompts.split != "discovery":
        raise DoubleDipping(f"{len(shared)} of {len(prompts)} prompts trained the lens: judge it on other prompts")
    made, names = batches(model, prompts), (*lens.translators, depths(model)[-1])
    values = []
    for batch in made:
        kept, output = _run(model, batch, names)
        with torch.no_grad():
            own = [kept[name][:, -1] for name in names]
            turned = [
                lens.translators[name](x) if name in lens.translators else x for name, x in zip(names, own, strict=True)
            ]
            read = [_divergence(model, x, output[:, -1]) for x in (*turned, *own)]
        values.append(torch.stack(read, dim=1))
    columns = [f"{which}, {name}" for which in LENSES for name in names]
    return per_prompt(prompts, made, values, columns, "KL divergence of the lens from the output, in nats", unit)


def _translator(
    model: Model,
    x: Float[Tensor, "tokens d_model"],
    last: Float[Tensor, "tokens d_model"],
    drawn: Sequence[Int[Tensor, " size"]],
    rate: float,
    name: str,
) -> Translator:
    width = x.shape[1]
    matrix, bias = (torch.zeros(*shape, device=x.device, requires_grad=True) for shape in ((width, width), (width,)))
    adam = torch.optim.Adam([matrix, bias], rate)
    for step, rows in enumerate(drawn):
        adam.param_groups[0]["lr"] = rate * (1 - step / len(drawn))
        own = x[rows]
        with torch.no_grad():
            output = _read(model, last[rows])
        with torch.enable_grad():
            loss = _divergence(model, Translator(matrix, bias)(own), output).mean()
        if not loss.isfinite():
            raise ValueError(f"the loss of {checkpoint_of(model).name}'s lens {name} is {loss.item()}: lower the rate")
        adam.zero_grad()
        loss.backward()
        adam.step()
    return Translator(matrix.detach(), bias.detach())


def _tokens(
    model: Model, made: Sequence[Batch], names: Sequence[str]
) -> tuple[dict[str, Float[Tensor, "tokens d_model"]], Float[Tensor, "tokens d_model"]]:
    """The stream of every token behind BOS at these depths, and behind the last layer."""
    end, skip = depths(model)[-1], len(bos_ids(model))
    found = [_run(model, batch, (*names, end))[0] for batch in made]
    joined = {name: torch.cat([kept[name][:, skip:].flatten(0, 1) for kept in found]) for name in (*names, end)}
    return joined, joined[end]


def _run(
    model: Model, batch: Batch, names: Sequence[str]
) -> tuple[dict[str, Tensor], Float[Tensor, "batch one vocab"]]:
    """The stream by depth, and the logits of the last position, which the last depth must give."""
    hooks = {name: hook_of(depth_of(model, name)) for name in names}
    logits, kept = run(model, batch.tokens, keep=list(hooks.values()), last=1)
    require_finite(batch, logits[:, -1], checkpoint_of(model).name)
    found = {name: kept[hook] for name, hook in hooks.items()}
    with torch.no_grad():
        read = _read(model, found[names[-1]][:, -1]).log_softmax(-1)
        off = float((read - logits[:, -1].log_softmax(-1)).abs().max())
    if not off <= SAME:
        raise ValueError(
            f"the lens at the last layer of {checkpoint_of(model).name} misses the output by {off:.2g} nats: this "
            "family changes logits behind the unembedding"
        )
    return found, logits


def _read(model: Model, x: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_vocab"]:
    return model.ln_final(x.unsqueeze(1))[:, 0] @ model.W_U + model.b_U


def _divergence(
    model: Model, x: Float[Tensor, "rows d_model"], output: Float[Tensor, "rows d_vocab"]
) -> Float[Tensor, " rows"]:
    """KL(output || what this stream reads as), by row."""
    lens, wanted = _read(model, x).log_softmax(-1), output.log_softmax(-1)
    return F.kl_div(lens, wanted, reduction="none", log_target=True).sum(-1)
