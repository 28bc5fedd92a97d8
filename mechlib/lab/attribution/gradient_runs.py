"""Pairs of runs and the metric's gradients in them: attribution patching and EAP add up products of the two.

The clean and the corrupted run of some prompts agree up to the first token in which they differ, so both start at that
token. One of the two, or runs between them, are recorded, and the metric's gradient is taken in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.batching import Batch
from mechlib.lab.forward.cache import CachedRun, KVCache, run_with_cache
from mechlib.lab.forward.families import Network, Norm
from mechlib.lab.forward.recording import (
    Past,
    Recording,
    embeddings_from,
    first_difference,
    past_of,
    record,
    times_head_weights,
)
from mechlib.lab.interventions.contexts import Positions, replaced
from mechlib.lab.interventions.patching import CLEAN, CORRUPTED, Side
from mechlib.lab.interventions.sites import Places

Method = Literal["EAP", "EAP-IG"]
LogitMetric: TypeAlias = Callable[[Tensor, Batch], Tensor]  # logits at the last position, [batch d_vocab], to [batch]
GRADIENT_BYTES = 2**30  # that a run, its gradients and the outputs of all nodes may take


class BadGradient(ValueError):
    """A gradient is NaN or infinite: no score follows from it."""


class RunPair:
    """The clean and the corrupted run of a batch, from the token in which they differ, or position `least`, on.

    recorded  the run in which gradients are taken, CLEAN or CORRUPTED; the other one is run without
    groups    whether keys and values of key/value groups are asked for

    Raises ValueError for prompts without corrupted text.
    """

    def __init__(self, net: Network, batch: Batch, recorded: Side, least: int = 0, groups: bool = False) -> None:
        if batch.corrupted is None:
            raise ValueError(
                f"{batch.prompts[0].clean!r} has no corrupted text: there is no second run to compare with"
            )
        self.net, self.batch, self.recorded, self.groups = net, batch, recorded, groups
        runs = {CLEAN: batch.tokens, CORRUPTED: batch.corrupted}
        self.tokens = runs.pop(recorded)
        (self.others,) = runs.values()
        first = first_difference(self.tokens, self.others)
        self.start = max(first, least)
        with torch.no_grad():
            self.other = run_with_cache(net, self.others, self.start, only_last=True, groups=groups)
            self.past = past_of(self.other, self.start) if self.start == first else self._between(first)
        self.own: Recording | CachedRun | None = None

    def _between(self, first: int) -> Past:
        """Keys and values before the start, of which those up to the first difference are the other run's."""
        before = self.tokens[:, : self.start]
        rest = run_with_cache(self.net, before, self.start - 1, first, self.other, only_last=True)
        return [
            KVCache(*(torch.cat(pair, dim=1) for pair in zip(shared.until(first), own, strict=True)))
            for shared, own in zip(self.other.kv_cache, rest.kv_cache, strict=True)
        ]

    def recording(self, share: float = 1.0) -> Recording:
        """The recorded run; with a share below 1, a run with embeddings that far on the way from the other run's."""
        stream, other = (embeddings_from(self.net, tokens, self.start) for tokens in (self.tokens, self.others))
        made = record(self.net, torch.lerp(other, stream, share).requires_grad_(), self.past)
        if share == 1:
            self.own = made
        return made

    def recordings(self, method: Method, steps: int) -> Iterator[tuple[Recording, float]]:
        """The runs in which a method takes gradients, and the weight of each."""
        if method == "EAP":
            yield self.recording(), 1.0
            return
        with torch.no_grad():
            self.own = run_with_cache(
                self.net, self.tokens, self.start, self.start, self.other, only_last=True, groups=self.groups
            )
        for step in range(steps):
            yield self.recording((step + 0.5) / steps), 1 / steps

    def difference(self, name: str, length: int) -> Tensor:
        """The clean less the corrupted activation of this hook name, at the last `length` positions."""
        assert self.own is not None
        found = self.own[name][:, -length:].detach() - self.other[name][:, -length:]
        return found if self.recorded == CLEAN else -found

    def products(
        self,
        recording: Recording,
        sites: Sequence[Places],
        metric: LogitMetric | None = None,
        positions: Positions = "all",
    ) -> Float[Tensor, "batch sites"]:
        """For each set of places, difference times gradient, added up over its places at these positions.

        Raises BadGradient where a gradient is NaN or infinite.
        """
        names = list(dict.fromkeys(name for own in sites for name in own))
        where = replaced(torch.zeros(1, self.tokens.shape[1]), torch.ones(1, self.tokens.shape[1]), positions)
        found = {}
        gradients = self._gradients(recording, [recording[name] for name in names], names, metric)
        for name, gradient in zip(names, gradients, strict=True):
            product = (self.difference(name, gradient.shape[1]) * gradient).sum(-1)
            found[name] = torch.einsum("bp...,p->b...", product, where[0, -gradient.shape[1] :].to(product))
        columns = [torch.stack([_of_heads(found[name], heads) for name, heads in own.items()]) for own in sites]
        return torch.stack([column.sum(0) for column in columns], dim=1)

    def along_edges(self, recording: Recording, metric: LogitMetric | None) -> Float[Tensor, " edges"]:
        """For each edge of the graph, the output of its source (clean less corrupted) times the gradient of the input
        of its target alone, added up over prompts and positions. Raises BadGradient as `products` does."""
        net, graph, layers = self.net, self.net.graph, range(self.net.n_layers)
        reads = recording.reads if net.has_mlps else ()
        inputs = [one for layer in layers for one in (*recording.qkv[layer], *reads[layer : layer + 1])]
        ports = 4 if net.has_mlps else 3
        names = [f"layer {layer}" for layer in layers for _ in range(ports)]
        gradients = self._gradients(recording, [*inputs, recording.end], [*names, "the logits"], metric)
        written, found = self._written(recording), []
        for layer, block in enumerate(net.blocks):
            own = gradients[ports * layer : ports * (layer + 1)]
            sources = written[: graph.before(f"{layer}.0")]
            seen = recording.streams[layer].detach()
            heads = [
                _along(_to_stream(block.ln1, seen, gradient, net.input_weights(block, input)), sources)
                for input, gradient in zip("qkv", own[:3], strict=True)
            ]
            found.append(torch.stack(heads, dim=1).flatten())
            for read in own[3:]:
                found.append(_along(read.unsqueeze(0), written[: graph.before(f"mlp {layer}")]).flatten())
        return torch.cat([*found, _along(gradients[-1].unsqueeze(0), written).flatten()])

    def metric(self, end: Float[Tensor, "batch one d_model"], metric: LogitMetric | None) -> Float[Tensor, " batch"]:
        """The metric, from the residual stream that the logits read; None for the logit difference."""
        if metric is not None:
            return metric(self.net.unembed(end[:, -1]), self.batch)
        words = torch.stack([self.batch.answer, self.batch.distractor], dim=1)
        answer, distractor = self.net.answer_logits(end[:, -1], words).unbind(-1)
        return answer - distractor

    def total(self) -> Float[Tensor, " batch"]:
        """metric(clean) - metric(corrupted), exactly."""
        assert self.own is not None
        last = f"blocks.{self.net.n_layers - 1}.hook_resid_post"
        own, other = (self.metric(run[last][:, -1:].detach(), None) for run in (self.own, self.other))
        return own - other if self.recorded == CLEAN else other - own

    def _written(self, recording: Recording) -> Float[Tensor, "source batch pos d_model"]:
        """The output of every node, clean less corrupted. Of the last layer only the last position is ever read."""
        net, graph, embeddings = self.net, self.net.graph, "blocks.0.hook_resid_pre"
        made = torch.zeros(len(graph.sources), *recording.streams[0].shape, device=net.W_E.device)
        made[0] = self.difference(embeddings, made.shape[2])
        for layer, block in enumerate(net.blocks):
            length, first = recording.z[layer].shape[1], graph.before(f"{layer}.0")
            written = times_head_weights(self.difference(f"blocks.{layer}.attn.hook_z", length), block.W_O)
            if block.ln1_post.kind != "none":  # heads write through it, and edges are told to first order
                whole = recording.z[layer].detach().flatten(-2) @ block.W_O.flatten(0, 1)
                written = block.ln1_post.slope(whole, written)
            made[first : first + net.n_heads, :, -length:] = written
            if net.has_mlps:
                made[first + net.n_heads, :, -length:] = self.difference(f"blocks.{layer}.hook_mlp_out", length)
        return made

    def _gradients(
        self, recording: Recording, inputs: Sequence[Tensor], names: Sequence[str], metric: LogitMetric | None
    ) -> tuple[Tensor, ...]:
        found = torch.autograd.grad(
            self.metric(recording.end, metric).sum(), inputs, allow_unused=True, materialize_grads=True
        )
        for name, gradient in reversed(list(zip(names, found, strict=True))):
            if not gradient.sum().isfinite():
                self._refuse(name, gradient)
        return found

    def _refuse(self, name: str, gradient: Tensor) -> None:
        bad = (~gradient.flatten(1).isfinite()).any(1).nonzero()
        if len(bad):
            prompt = self.batch.prompts[int(bad[0])]
            raise BadGradient(
                f"the gradient at {name} is NaN or infinite for prompt {prompt.fingerprint} ({prompt.clean!r}): no "
                "score follows from it; look for activations too large for float32"
            )


def _of_heads(product: Float[Tensor, "batch ..."], heads: tuple[int, ...] | None) -> Float[Tensor, " batch"]:
    return product if heads is None else product[:, list(heads)].sum(1)


def _to_stream(
    norm: Norm,
    seen: Float[Tensor, "batch pos d_model"],
    gradient: Float[Tensor, "batch last head_index d_head"],
    weights: Float[Tensor, "head_index d_head d_model"],
) -> Float[Tensor, "head_index batch last d_model"]:
    """The gradient of the stream that each head alone sees at the last positions, from the gradient of its queries,
    keys or values."""
    back = times_head_weights(gradient, weights)
    if norm.kind == "none":
        return back
    x = seen[:, -gradient.shape[1] :]
    if norm.kind == "LN":
        x = x - x.mean(-1, keepdim=True)
    scale = (x.square().mean(-1, keepdim=True) + norm.eps).rsqrt()
    x = x * scale
    back = back if norm.weight is None else back * norm.weight
    if norm.kind == "LN":
        back = back - back.mean(-1, keepdim=True)
    return (back - x * (back * x).mean(-1, keepdim=True)) * scale


def _along(
    gradient: Float[Tensor, "target batch last d_model"], written: Float[Tensor, "source batch pos d_model"]
) -> Float[Tensor, "target source"]:
    return gradient.flatten(1) @ written[:, :, -gradient.shape[2] :].flatten(1).T


def first_of(positions: Positions, length: int) -> int:
    """The first of these positions in a run of `length` tokens, counted from the start."""
    where = replaced(torch.zeros(1, length), torch.ones(1, length), positions)[0].nonzero()
    return int(where[0]) if len(where) else 0


def portions(net: Network, batch: Batch) -> Iterator[Batch]:
    """The rows of a batch in portions that fit the budget."""
    block, width = net.blocks[0], net.W_E.shape[1]
    inner = 0 if block.into is None else len(block.into)
    floats = net.n_layers * (16 * width + 4 * inner) + (len(net.graph.sources) + 3 * net.n_heads) * width
    step = max(1, GRADIENT_BYTES // (4 * floats * batch.tokens.shape[1]))
    for start in range(0, len(batch.tokens), step):
        yield batch.part(slice(start, start + step))
