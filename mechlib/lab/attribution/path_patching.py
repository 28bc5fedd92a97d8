"""Path patching: the message from one component to another, replaced; everything else stays as it was.

A *sender* (heads, MLPs, the embeddings) gets the output that it has in the other run, but only its *receivers* see
this output: the logits, an MLP, or a head's query, key or value. On the way from sender to receiver all other heads are
frozen, and MLPs too: the direct path along the residual stream. With `through_mlps` MLPs on the way are computed anew,
as Wang et al. do. Behind the receivers everything is computed anew, receivers of later layers included: they see the
replaced output of a sender, and the outputs of earlier receivers as these have changed.

Exact: norms and attention of the receivers are computed from the stream that they then see, and so is a norm between a
layer's heads and the stream (Gemma 3): with senders of one layer, of what all heads of the layer then write.

Sources: Wang et al. 2022, arXiv:2211.00593, appendix B; Goldowsky-Dill et al. 2023, arXiv:2304.05969.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.attribution.attention import Target, check_target, target_key
from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.forward.cache import run_with_cache
from mechlib.lab.forward.families import Network, check_readers, network, queries_keys_values
from mechlib.lab.forward.recording import first_difference, past_of, record, repeated_by_head
from mechlib.lab.hooks import SAME, NothingChanged, sizes
from mechlib.lab.interventions.ablation import INTACT
from mechlib.lab.interventions.contexts import Where, places
from mechlib.lab.interventions.patching import CLEAN, CORRUPTED, Side
from mechlib.lab.interventions.sites import Sites, named
from mechlib.lab.models.loading import Model
from mechlib.measurement import TOTAL, Measurement
from mechlib.parts.graphs import INPUT, LOGITS, layer_of
from mechlib.parts.heads import Head
from mechlib.prompts.promptset import PromptSet

Shift: TypeAlias = Float[Tensor, "batch pos d_model"]
Senders: TypeAlias = frozenset[str]  # nodes: "0.3", "mlp 1", "input"
_GROUP = re.compile(r"(\d+)\.kv(\d+)\.([kv])")


def lost_by_path_patching(
    model: Model,
    prompts: PromptSet,
    senders: Sites,
    receivers: Sequence[str] = (LOGITS,),
    through_mlps: bool = False,
    unit: str = "",
) -> Measurement:
    """How much of the logit difference goes when receivers of the clean run see the senders' corrupted output.

    senders       a column for each: heads, MLPs (`Site("mlp", 1)`), the embeddings (`Site("resid_pre", 0)`), or sets of
                  them, replaced together, as in `mechlib.lab.interventions.patching`
    receivers     who sees it, all at once: "logits", "mlp 2", "1.0.q", "1.0.k" or "1.0.v", or all heads that share keys
                  and values, "1.kv0.k" or "1.kv0.v"
    through_mlps  whether MLPs on the way are computed anew; else the path is direct

    In logits; the last column, "total", is metric(clean) - metric(corrupted). Raises ValueError where a sender writes
    for none of the receivers, NothingChanged where the outputs of all senders are the same in clean and corrupted run.
    """
    return _patched(model, prompts, senders, receivers, through_mlps, CLEAN, unit)


def restored_by_path_patching(
    model: Model,
    prompts: PromptSet,
    senders: Sites,
    receivers: Sequence[str] = (LOGITS,),
    through_mlps: bool = False,
    unit: str = "",
) -> Measurement:
    """How much of the logit difference comes back when receivers of the corrupted run see the senders' clean output.

    The other direction of `lost_by_path_patching`, with the same arguments, unit and errors; the last column, "total",
    is again metric(clean) - metric(corrupted).
    """
    return _patched(model, prompts, senders, receivers, through_mlps, CORRUPTED, unit)


def attention_after_path_patching(
    model: Model,
    prompts: PromptSet,
    senders: Sites,
    receiver: Head,
    input: Literal["q", "k"],
    target: Target,
    through_mlps: bool = False,
    patched_run: Side = CLEAN,
    unit: str = "",
) -> Measurement:
    """Attention probability of one head on a target when its query or key sees the senders' output of the other run.

    receiver     the head
    input        the one of its inputs, "q" or "k", that sees the senders' output; values do not decide where it looks
    target       a place in the clean text, as in `attention_to`
    patched_run  the run that is patched, "clean" or "corrupted"; the senders' output comes from the other

    Columns: each sender, and last "intact"; between 0 and 1. Raises ValueError for another receiver, input or target,
    and as `lost_by_path_patching` does. K-composition with a previous-token head shows as a fall of attention to the
    token "after previous occurrence" when the head's output to the key is replaced.
    """
    check_target(model, target)
    if not isinstance(receiver, Head):
        raise ValueError(f"receiver {receiver!r} is no head: write Head(1, 0)")
    if target == "previous token":
        raise ValueError("'previous token' is an average over all tokens: name one that the last token looks at")
    if input not in ("q", "k"):
        raise ValueError(f"input {input!r} does not decide where a head looks: choose q or k")
    net, every, made, values = network(model), named(senders), batches(model, prompts), []
    reader, moved = f"{receiver}.{input}", False
    check_readers(net, (reader,))
    sent = [_senders(model, net, where, (reader,)) for where in every.values()]
    for batch in made:
        runs = _Runs(net, batch, patched_run)
        shifts = [runs.shifts(nodes, (reader,), through_mlps)[reader] for nodes in sent]
        moved = moved or any(map(runs.differ, sent))
        shifts.append(torch.zeros_like(shifts[0]))
        key = target_key(batch, target).unsqueeze(1)
        values.append(torch.cat([runs.attention(receiver, input, shift).gather(1, key) for shift in shifts], dim=1))
    _check_moved(moved, every)
    of = f"attention of head {receiver} to the {target}, as its {input} sees senders of the other run"
    return per_prompt(prompts, made, values, (*every, INTACT), of, unit)


def _patched(
    model: Model,
    prompts: PromptSet,
    senders: Sites,
    receivers: Sequence[str],
    through_mlps: bool,
    patched_run: Side,
    unit: str,
) -> Measurement:
    net, every, made, values, moved = network(model), named(senders), batches(model, prompts), [], False
    if not receivers:
        raise ValueError("no receivers: name at least one, as in ('logits',) or ('1.0.k',)")
    said, receivers = ", ".join(receivers), _by_head(net, receivers)
    check_readers(net, receivers)
    sent = [_senders(model, net, where, receivers) for where in every.values()]
    for batch in made:
        runs = _Runs(net, batch, patched_run, only_last=tuple(receivers) == (LOGITS,))
        columns = []
        for nodes in sent:
            columns.append(runs.difference(runs.end(runs.shifts(nodes, receivers, through_mlps))))
        moved = moved or any(map(runs.differ, sent))
        own, other = runs.difference(runs.own.streams[-1][:, -1:]), runs.difference(runs.other.streams[-1][:, -1:])
        sign = 1 if patched_run == CLEAN else -1
        values.append(torch.stack([*((own - column) * sign for column in columns), (own - other) * sign], dim=1))
    _check_moved(moved, every)
    what = "lost" if patched_run == CLEAN else "restored"
    way = "MLPs on the way computed anew" if through_mlps else "direct"
    of = f"logit difference {what} by patching paths to {said} ({way}), in logits"
    return per_prompt(prompts, made, values, (*every, TOTAL), of, unit)


class _Runs:
    """The run that is patched and the other one, cached from the token in which they differ on."""

    def __init__(self, net: Network, batch: Batch, patched_run: Side, only_last: bool = False) -> None:
        if batch.corrupted is None:
            raise ValueError(f"{batch.prompts[0].clean!r} has no corrupted text: there is no run to take a path from")
        self.net, self.batch = net, batch
        tokens, others = (batch.tokens, batch.corrupted) if patched_run == CLEAN else (batch.corrupted, batch.tokens)
        start = first_difference(tokens, others)
        with torch.no_grad():
            self.own = run_with_cache(net, tokens, start)
            self.other = run_with_cache(net, others, start, start, self.own)
        self.past = past_of(self.own, start)
        self.length = 1 if only_last else tokens.shape[1] - start

    def shifts(self, senders: Senders, receivers: Sequence[str], through_mlps: bool) -> dict[str, Shift]:
        """By receiver, the change of the stream that it sees, at the last `length` positions."""
        net, found = self.net, dict[str, Shift]()
        shift = self._moved(INPUT) * (INPUT in senders)
        for layer, block in enumerate(net.blocks):
            found |= {name: shift for name in receivers if name.startswith(f"{layer}.")}
            heads = [head for head in range(net.n_heads) if f"{layer}.{head}" in senders]
            after = shift + self._moved_heads(layer, heads) if heads else shift
            seen, mlp = shift if net.parallel else after, f"mlp {layer}"
            if mlp in receivers:
                found[mlp] = seen
            shift = after
            if mlp in senders:
                shift = shift + self._moved(mlp)
            elif through_mlps and bool(seen.any()):
                read = (self.own.streams if net.parallel else self.own.middles)[layer][:, -self.length :]
                shift = shift + net.mlp(block, block.ln2(read + seen)) - self.own.mlps[layer][:, -self.length :]
        return found | ({LOGITS: shift} if LOGITS in receivers else {})

    def end(self, shifts: Mapping[str, Shift]) -> Float[Tensor, "batch one d_model"]:
        """The stream that the logits read at the last position, where each receiver sees the stream with its shift."""
        if set(shifts) == {LOGITS}:
            return self.own.streams[-1][:, -1:] + shifts[LOGITS][:, -1:]
        first = min(layer_of(node_of(name)) for name in shifts if name != LOGITS)
        return record(self.net, self.own.streams[first], self.past, shifts, first).end

    def difference(self, end: Float[Tensor, "batch one d_model"]) -> Float[Tensor, " batch"]:
        """The logit of the answer minus the distractor's."""
        words = torch.stack([self.batch.answer, self.batch.distractor], dim=1)
        answer, distractor = self.net.answer_logits(end[:, -1], words).unbind(-1)
        return answer - distractor

    def attention(self, receiver: Head, input: str, shift: Shift) -> Float[Tensor, "batch key"]:
        """A head's attention from the last position, where its query or key sees the stream with this shift."""
        net, (layer, head) = self.net, receiver
        q, k, _ = queries_keys_values(net, layer, self.own.streams[layer], {f"{receiver}.{input}": shift})
        start = 0 if self.past is None else self.past[layer].keys.shape[1]
        positions = torch.arange(start, start + q.shape[1], device=q.device)
        block = net.blocks[layer]
        q = net.rotated(block, "q", q[:, -1:, head : head + 1], positions[-1:])
        k = net.rotated(block, "k", repeated_by_head(net, k)[:, :, head : head + 1], positions)
        if self.past is not None:
            group = head * net.n_groups // net.n_heads
            k = torch.cat([self.past[layer].keys[:, :, group : group + 1], k], dim=1)
        return (torch.einsum("bqhd,bkhd->bk", q, k) / net.d_head**0.5).softmax(-1)

    def differ(self, senders: Senders) -> bool:
        """Whether some sender says something else in the other run, by more than the rounding of two runs."""
        for name, heads in map(_activation, senders):
            off = self._less(name).abs() > SAME * sizes(self.own[name][:, -self.length :])
            if bool((off if heads is None else off[:, :, heads]).any()):
                return True
        return False

    def _moved(self, node: str) -> Shift:
        """The output of the input or an MLP in the other run less its output in this one, at the last `length`
        positions."""
        return self._less(_activation(node)[0])

    def _moved_heads(self, layer: int, heads: Sequence[int]) -> Shift:
        """What a layer's attention writes with these heads as in the other run, less what it writes in this one."""
        block, name = self.net.blocks[layer], f"blocks.{layer}.attn.hook_z"
        moved = torch.stack([self._less(name)[:, :, head] @ block.W_O[head] for head in heads]).sum(0)
        if block.ln1_post.kind == "none":
            return moved
        own = self.own[name][:, -self.length :].flatten(-2) @ block.W_O.flatten(0, 1)
        return block.ln1_post(own + moved) - block.ln1_post(own)

    def _less(self, name: str) -> Tensor:
        return self.other[name][:, -self.length :] - self.own[name][:, -self.length :]


def _activation(node: str) -> tuple[str, int | None]:
    """The hook name of a node's output, and of a head its number there."""
    if node == INPUT:
        return "blocks.0.hook_resid_pre", None
    if node.startswith("mlp"):
        return f"blocks.{layer_of(node)}.hook_mlp_out", None
    return f"blocks.{layer_of(node)}.attn.hook_z", int(node.split(".")[1])


def node_of(reader: str) -> str:
    """The node that a reader belongs to: "0.3" of "0.3.q"."""
    return reader[:-2] if reader.endswith((".q", ".k", ".v")) else reader


def _by_head(net: Network, receivers: Sequence[str]) -> tuple[str, ...]:
    """The receivers, with those of a key/value group as those of each of its heads."""
    if isinstance(receivers, str):
        check_readers(net, receivers)  # refuses a text
    found: list[str] = []
    for name in receivers:
        if (match := _GROUP.fullmatch(name)) is None or int(match[2]) >= net.n_groups:
            found.append(name)
        else:
            several, group = net.n_heads // net.n_groups, int(match[2])
            found += [f"{match[1]}.{several * group + number}.{match[3]}" for number in range(several)]
    return tuple(found)


def _senders(model: Model, net: Network, where: Where, receivers: Sequence[str]) -> Senders:
    """The senders as nodes. ValueError for one that is no node, or writes for no receiver."""
    found = []
    for name, heads in places(model, where).items():
        layer = name.split(".")[1]
        if heads is not None:
            found += [f"{layer}.{head}" for head in heads]
        elif name == "blocks.0.hook_resid_pre":
            found.append(INPUT)
        elif name.endswith("hook_mlp_out"):
            found.append(f"mlp {layer}")
        else:
            raise ValueError(f"{name} is no sender: give heads, MLPs, or the embeddings, Site('resid_pre', 0)")
    for sender in found:
        if not any(sender in net.graph.sources[: net.graph.before(node_of(name))] for name in receivers):
            raise ValueError(f"{sender} writes nothing for {', '.join(receivers)}: give senders that come before")
    return frozenset(found)


def _check_moved(moved: bool, senders: Iterable[str]) -> None:
    if not moved:
        raise NothingChanged(f"clean and corrupted agree on all that {', '.join(senders)} write: no path was patched")
