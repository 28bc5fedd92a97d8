"""Heads read from their weights: copying and matching of tokens, attention by position, composition with other heads.

No prompt is run. Every number is exact for these weights, a census over the vocabulary or over positions, so that each
measurement has one row, "checkpoint", and no interval. The numbers are about the weights: whether the model ever gives
a head such an input, they do not say.

Heads read the stream through norms. In circuits of tokens and positions these act as in the model, at the input's own
scale. In composition they are folded: the gain goes into the weights that read, weights that write are centred where
the norm centres, and the scale, one number for a position, is left out. Weights as stored and folded give the same
numbers. Rotary positions enter nowhere but where they are refused: queries and keys are compared as at distance zero.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.lab.forward.families import Block, Network, Norm, network
from mechlib.lab.models.loading import Model
from mechlib.lab.models.outputs import require_words_in_logits
from mechlib.measurement import Measurement
from mechlib.parts.heads import EmptySelection, Head, all_heads

Diagonal = Literal["on top", "rank", "eigenvalues"]
HeadInput = Literal["q", "k", "v"]

CHANCE = "chance"
ROUNDING = 1e-6  # of the product of two lengths: what float32 may make of nothing
BLOCK_BYTES = 64 * 2**20  # of one block of the tokens-by-tokens matrix

_DIAGONAL: dict[Diagonal, str] = {
    "on top": "share of tokens for which {} is the highest",
    "rank": "mean rank of {} among all tokens",
    "eigenvalues": "sum of eigenvalues over sum of their sizes, of {} and all others",
}


def copying(
    model: Model, what: Diagonal = "on top", heads: Iterable[Head] | None = None, after_first_mlp: bool = False
) -> Measurement:
    """Whether a head that attends to a token writes that token: its OV circuit from tokens to logits, a column a head.

    Each token's embedding, normed as the head's layer does, goes through the head's values and output and through the
    gain and centring of the final norm to the logits.

    "on top"       share of tokens whose own logit is the highest, of equals an equal share; by chance 1 / d_vocab
    "rank"         the token's own rank, 1 on top, averaged over tokens; by chance (d_vocab + 1) / 2
    "eigenvalues"  sum of eigenvalues over the sum of their absolute values, of tokens by logits: 1 copies, -1 votes
                   against what it sees, 0 by chance

    A head that writes nothing, or nothing that tokens read but rounding, has the scores of chance.

    after_first_mlp   heads of later layers read the embedding plus the first MLP's output for it alone, as many models
                      finish their embeddings there; heads of the first layer read the plain embedding

    Positions, and every bias between the norm's gain and the logits, are left out: they are the same for each token.
    Logits are taken relative to their mean, so that a head that raises all tokens alike copies none. About d_head
    times d_vocab squared operations a head: with 50,000 tokens, name the heads. Raises ValueError for a head that the
    model lacks, EmptySelection for none, UnsupportedModel for other architectures than `network` reads.
    Source: Elhage et al. 2021, "Detecting copying behavior"; `mechlib.lab.attribution.copying.copy_scores` asks the
    same question on prompts.
    """
    require_words_in_logits(model, "copying", every=False)
    net, chosen = _asked(model, heads)
    of = _said(what, "a token's own logit")
    if len(net.W_E) != len(net.W_U):
        raise ValueError(
            f"{net.name} reads {len(net.W_E)} tokens and writes {len(net.W_U)}: none has a logit of its own"
        )
    to_logits = _folded(net.ln_final, net.W_U)
    to_logits, read = to_logits - to_logits.mean(0), _streams(net, after_first_mlp)

    def score(head: Head) -> float:
        block = net.blocks[head.layer]
        normed = block.ln1(read[min(head.layer, 1)])
        if block.ln1.bias is not None:
            normed = normed - block.ln1.bias
        values = _product(normed, net.input_weights(block, "v")[head.head])
        return _diagonal(values, _product(to_logits, _output_weights(block)[head.head]), what)

    return _census_row({str(head): score(head) for head in chosen}, of)


def matching(
    model: Model, what: Diagonal = "on top", heads: Iterable[Head] | None = None, after_first_mlp: bool = False
) -> Measurement:
    """Whether a head's query for a token prefers the key of the same token: its QK circuit, a column a head.

    As `copying`, with queries of each token against keys of all tokens: a head that looks for the present token, where
    it stands or where it was said before, scores 1. Biases enter as in the model: a bias of the queries prefers some
    keys, one of the keys prefers none. Positions are left out; rotary ones as if both tokens stood in one place.
    Raises as `copying` does.
    """
    net, chosen = _asked(model, heads)
    of, read = _said(what, "the same token's key"), _streams(net, after_first_mlp)

    def score(head: Head) -> float:
        block = net.blocks[head.layer]
        queries, keys = _queries_and_keys(net, block, read[min(head.layer, 1)])
        own = keys[:, head.head * net.n_groups // net.n_heads]
        return _diagonal(queries[:, head.head], own - own.mean(0), what)

    return _census_row({str(head): score(head) for head in chosen}, of)


def positional_attention(
    model: Model, offset: int = -1, heads: Iterable[Head] | None = None, context: int | None = None
) -> Measurement:
    """Attention that position embeddings alone put on the key at `offset` from the query, a column a head: 0 to 1.

    Every token is the average token: the stream at a position is its embedding plus the mean of all token embeddings,
    straight to the head's layer, normed there as in the model, biases included. Causal, averaged over the first
    `context` positions (default: all that the model has) that have such a key; by chance the mean of
    1 / (position + 1). `offset` -1 is the previous token. Without tokens the norm's scale is smaller, so that positions
    count for more than in a text; BOS, on which many heads rest, is an average token here. Positions beyond the longest
    text of the training were never learned: leave them out with `context`.

    Raises ValueError for rotary models, which embed no positions, and for an offset that no position has; otherwise as
    `copying` does.
    """
    net, chosen = _asked(model, heads)
    if net.W_pos is None:
        raise ValueError(
            f"{net.name} has rotary positions, not learned ones: measure attention_to(..., 'previous token') on prompts"
        )
    n = len(net.W_pos) if context is None else context
    if not -n < offset <= 0 or n > len(net.W_pos):
        raise ValueError(f"no key at offset {offset} in {n} positions of {len(net.W_pos)}: want {1 - n} to 0")
    stream = net.W_pos[:n] + net.W_E.mean(0)
    later = torch.ones(n, n, dtype=torch.bool, device=stream.device).triu(1)
    made = {layer: _queries_and_keys(net, net.blocks[layer], stream) for layer in {head.layer for head in chosen}}
    found: dict[str, float] = {}
    for head in chosen:
        queries, keys = made[head.layer]
        scores = queries[:, head.head] @ keys[:, head.head * net.n_groups // net.n_heads].T / net.d_head**0.5
        pattern = scores.masked_fill(later, -torch.inf).softmax(-1)
        found[str(head)] = float(pattern.diagonal(offset).mean())
    return _census_row(found, f"attention by position alone, at offset {offset}")


def composition(
    model: Model, input: HeadInput, senders: Iterable[Head] | None = None, receivers: Iterable[Head] | None = None
) -> Measurement:
    """How much of a head's output the query ("q"), key ("k") or value ("v") input of a later head reads.

    |W_out W_in| / (|W_out| |W_in|) in Frobenius norms, W_out the sender's OV matrix and W_in the receiver's QK matrix
    (from its query or key side) or OV matrix; between 0 and 1. Norms are folded as this file says; biases are no part.
    Columns are edges, "0.3->1.2.k", from each sender to each receiver of a later layer, and "chance": the root mean
    square of the score where one matrix is turned at random against the other, 1 / sqrt(d_model), or of the
    d_model - 1 dimensions that LayerNorm keeps. Keys and values that heads share count for each of them.

    A score says little of use: matrices that overlap for other reasons (all read the token) score too.
    Raises ValueError for heads that the model lacks, EmptySelection where no sender is in an earlier layer than a
    receiver.
    Source: Elhage et al. 2021, "Two-Layer Attention-Only Transformers", composition.
    """
    if input not in get_args(HeadInput):
        raise ValueError(f"no input {input!r} of a head: choose one of {', '.join(get_args(HeadInput))}")
    net, earlier = _asked(model, senders)
    later = _asked(model, receivers)[1]
    pairs = [(one, other) for one in earlier for other in later if one.layer < other.layer]
    if not pairs:
        raise EmptySelection("no sender is in an earlier layer than a receiver: heads read earlier layers only")
    writes = [_half(_reading_weights(net, block, "v"), _writing_weights(net, block)) for block in net.blocks]
    reads = [_receiving(net, block, input) for block in net.blocks]
    found = {}
    for one, other in pairs:
        out, into = writes[one.layer][one.head], reads[other.layer][other.head]
        size = out.norm() * into.norm()
        found[f"{one}->{other}.{input}"] = float((out @ into.T).norm() / size) if size > 0 else 0.0
    kept = net.W_E.shape[1] - (net.blocks[0].ln1.kind == "LN")
    return _census_row({**found, CHANCE: kept**-0.5}, f"{input.upper()}-composition, share of what could be read")


def _asked(model: Model, heads: Iterable[Head] | None) -> tuple[Network, list[Head]]:
    net = network(model)
    every = all_heads(net.n_layers, net.n_heads)
    chosen = list(every if heads is None else heads)
    if not chosen:
        raise EmptySelection("no heads: name at least one")
    for head in chosen:
        if head not in every:
            raise ValueError(f"no head {head} in {net.name}: it has {net.n_layers} layers of {net.n_heads} heads")
    return net, chosen


def _census_row(values: dict[str, float], of: str) -> Measurement:
    return Measurement(
        torch.tensor([list(values.values())], dtype=torch.float64).numpy(),
        units=("checkpoint",),
        unit="checkpoint",
        columns=tuple(values),
        of=of,
    )


def _said(what: Diagonal, own: str) -> str:
    if what not in get_args(Diagonal):
        raise ValueError(f"no score {what!r}: choose one of {', '.join(get_args(Diagonal))}")
    return _DIAGONAL[what].format(own)


def _streams(net: Network, after_first_mlp: bool) -> tuple[Float[Tensor, "d_vocab d_model"], ...]:
    """The streams of each token alone: as heads of the first layer read it, and as heads of later layers do."""
    embedded = net.W_E if net.embed_scale == 1 else net.W_E * net.embed_scale
    if not after_first_mlp:
        return embedded, embedded
    first = net.blocks[0]
    return embedded, embedded + net.mlp(first, first.ln2(embedded))


def _queries_and_keys(
    net: Network, block: Block, stream: Float[Tensor, "n d_model"]
) -> tuple[Float[Tensor, "n head_index d_head"], Float[Tensor, "n groups d_head"]]:
    queries, keys, _ = net.split(block, block.ln1(stream).unsqueeze(0))
    return block.q_norm(queries[0]), block.k_norm(keys[0])


def _product(left: Float[Tensor, "n d_model"], right: Float[Tensor, "d_head d_model"]) -> Float[Tensor, "n d_head"]:
    """left @ right.T, with zeros in rows of nothing but rounding: their order would be an accident."""
    made = left @ right.T
    rounding = ROUNDING * left.norm(dim=-1, keepdim=True) * right.norm()
    return made * (made.norm(dim=-1, keepdim=True) > rounding)


def _diagonal(left: Float[Tensor, "n d_head"], right: Float[Tensor, "n d_head"], what: Diagonal) -> float:
    """How much the diagonal of left @ right.T, a matrix of tokens by tokens, stands out. It is never held whole."""
    if what == "eigenvalues":  # those of the small product, turned round, are all that are not zero
        found = torch.linalg.eigvals((right.T @ left).cpu().double())
        size = found.abs().sum()
        return float(found.sum().real / size) if size > 0 else 0.0
    step = max(1, BLOCK_BYTES // (4 * len(right)))
    ranks, top = [], []
    for start in range(0, len(left), step):
        block = left[start : start + step] @ right.T
        own = block.diagonal(start).unsqueeze(1)
        higher, equal = (block > own).sum(1).cpu().double(), (block == own).sum(1).cpu().double()
        ranks.append(higher + (1 + equal) / 2)  # equals share the places between them
        top.append((higher == 0) / equal)
    return float(torch.cat(top if what == "on top" else ranks).mean())


def _folded(norm: Norm, weight: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
    """Weights that read a normed stream, as weights that read the stream itself, but for its scale."""
    if norm.weight is not None:
        weight = weight * norm.weight
    return weight - weight.mean(-1, keepdim=True) if norm.kind == "LN" else weight


def _reading_weights(net: Network, block: Block, input: HeadInput) -> Float[Tensor, "head_index d_head d_model"]:
    own, weights = {"q": block.q_norm, "k": block.k_norm}.get(input), net.input_weights(block, input)
    if own is not None and own.weight is not None:
        weights = weights * own.weight[:, None]
    return _folded(block.ln1, weights)


def _output_weights(block: Block) -> Float[Tensor, "head_index d_head d_model"]:
    """Output weights with the gain of a norm between heads and stream."""
    return block.W_O if block.ln1_post.weight is None else block.W_O * block.ln1_post.weight


def _writing_weights(net: Network, block: Block) -> Float[Tensor, "head_index d_head d_model"]:
    """Output weights without the mean, where norms take it from every reader."""
    written = _output_weights(block)
    return written - written.mean(-1, keepdim=True) if block.ln1.kind == "LN" else written


def _receiving(net: Network, block: Block, input: HeadInput) -> Float[Tensor, "head_index d_head d_model"]:
    if input == "v":
        return _half(_writing_weights(net, block), _reading_weights(net, block, "v"))
    return _half(_reading_weights(net, block, "k" if input == "q" else "q"), _reading_weights(net, block, input))


def _half(
    far: Float[Tensor, "head_index d_head d_model"], near: Float[Tensor, "head_index d_head d_model"]
) -> Float[Tensor, "head_index d_head d_model"]:
    """A matrix with the norm of far.T @ near, before and after multiplication with others, and d_head rows only."""
    turned = torch.linalg.qr(far.transpose(1, 2).cpu(), mode="r").R  # far.T is a rotation times this
    return turned @ near.cpu()
