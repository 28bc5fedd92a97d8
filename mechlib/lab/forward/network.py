"""The steps of a transformer's forward pass on plain tensors: embed, norm, attend, write, unembed.

A `Network` holds a model's weights and shape; `mechlib.lab.forward.families` makes it from a loaded model and runs the
steps in order. Every step is a differentiable function of tensors and knows nothing of hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.parts.graphs import Graph

Activation: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Norm:
    """LayerNorm ("LN"), RMSNorm ("RMS"), or none: the weights of one norm."""

    kind: Literal["LN", "RMS", "none"]
    weight: Float[Tensor, " d_model"] | None = None
    bias: Float[Tensor, " d_model"] | None = None
    eps: float = 1e-5

    def __call__(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """The normed stream; the stream itself where there is no norm."""
        if self.kind == "none":
            return x
        if self.kind == "LN":
            return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)

    def slope(self, x: Float[Tensor, "... d_model"], change: Float[Tensor, "... d_model"]) -> Tensor:
        """The change of the normed x, to first order, where x changes so."""
        if self.kind == "none":
            return change
        if self.kind == "LN":
            x, change = (one - one.mean(-1, keepdim=True) for one in (x, change))
        scale = (x.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        x = x * scale
        change = (change - x * (x * change).mean(-1, keepdim=True)) * scale
        return change if self.weight is None else change * self.weight


NO_NORM = Norm("none")


@dataclass(frozen=True, eq=False)
class Block:
    """One layer. Matrices stand as `torch.nn.functional.linear` takes them: output dimensions first.

    qkv        queries of all heads, then keys and values of all key/value groups:
               d_model to (heads + 2 groups) * d_head
    W_O        by head, as written in the papers: [head_index, d_head, d_model]
    into, out  the MLP's matrices; None both, and `gate` too, where the layer has no MLP
    gate       the third matrix of a gated MLP, else None
    q_norm     of each query, before rotation: over d_head; `k_norm` of each key
    rotary     cosines and sines for every position of the context; None where positions are learned
    ln1_post   of what attention writes, before the stream gets it (Gemma); `ln2_post` of what the MLP writes
    """

    ln1: Norm
    ln2: Norm
    qkv: Float[Tensor, "qkv d_model"]
    b_qkv: Float[Tensor, " qkv"] | None
    W_O: Float[Tensor, "head_index d_head d_model"]
    b_O: Float[Tensor, " d_model"] | None
    into: Float[Tensor, "d_mlp d_model"] | None
    b_in: Float[Tensor, " d_mlp"] | None
    gate: Float[Tensor, "d_mlp d_model"] | None
    out: Float[Tensor, "d_model d_mlp"] | None
    b_out: Float[Tensor, " d_model"] | None
    b_gate: Float[Tensor, " d_mlp"] | None = None
    q_norm: Norm = NO_NORM
    k_norm: Norm = NO_NORM
    rotary: tuple[Float[Tensor, "n_ctx d_rotary"], Float[Tensor, "n_ctx d_rotary"]] | None = None
    ln1_post: Norm = NO_NORM
    ln2_post: Norm = NO_NORM


@dataclass(frozen=True, eq=False)
class Network:
    """Weights and shape of a model, and the steps of its forward pass. Axis words are TransformerLens's.

    W_pos        learned positions; None for rotary models
    n_groups     key/value heads, each shared by n_heads / n_groups heads
    act          the MLP's activation function
    parallel     whether attention and MLP of a layer read the same stream, as in GPT-NeoX
    embed_scale  by which embeddings are multiplied, as in Gemma
    window       how many tokens some layer sees at most, where there is such a layer: longer runs are refused
    """

    name: str
    blocks: tuple[Block, ...]
    W_E: Float[Tensor, "d_vocab d_model"]
    W_pos: Float[Tensor, "n_ctx d_model"] | None
    ln_final: Norm
    W_U: Float[Tensor, "d_vocab_out d_model"]
    b_U: Float[Tensor, " d_vocab_out"] | None
    n_heads: int
    n_groups: int
    d_head: int
    act: Activation
    parallel: bool
    embed_scale: float = 1.0
    window: int | None = None

    @property
    def n_layers(self) -> int:
        """The number of layers."""
        return len(self.blocks)

    @property
    def graph(self) -> Graph:
        """The nodes and edges of the model."""
        return Graph(self.n_layers, self.n_heads, self.parallel, self.has_mlps)

    @property
    def has_mlps(self) -> bool:
        """False for an attention-only model."""
        return any(block.into is not None for block in self.blocks)

    def embed(
        self, tokens: Int[Tensor, "batch pos"], positions: Int[Tensor, "*rows pos"] | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """Tokens, and positions where they are learned (by default 0, 1, ...). ValueError for a run that is longer than
        the window."""
        if positions is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device)
        if self.window is not None and positions.numel() and int(positions.max()) >= self.window:
            raise ValueError(
                f"a run of {int(positions.max()) + 1} tokens, of which some layers of {self.name} see {self.window} at "
                "most: exact sweeps and circuits know no sliding window; use shorter prompts, or hooked=True"
            )
        stream = F.embedding(tokens, self.W_E)
        stream = stream if self.embed_scale == 1 else stream * self.embed_scale
        return stream if self.W_pos is None else stream + self.W_pos[positions]

    def split(
        self, block: Block, x: Float[Tensor, "batch pos d_model"]
    ) -> tuple[
        Float[Tensor, "batch pos head_index d_head"],
        Float[Tensor, "batch pos groups d_head"],
        Float[Tensor, "batch pos groups d_head"],
    ]:
        """Queries, keys and values of a stream that has been normed, before they are normed themselves and rotated."""
        made = F.linear(x, block.qkv, block.b_qkv).unflatten(-1, (-1, self.d_head))
        return made.split((self.n_heads, self.n_groups, self.n_groups), dim=-2)

    def input_weights(self, block: Block, input: str) -> Float[Tensor, "head_index d_head d_model"]:
        """W_Q, W_K or W_V of each head, for input "q", "k" or "v"; a key/value group's stand once for each head."""
        found = self._of_input(block.qkv, input)
        assert found is not None
        return found

    def input_bias(self, block: Block, input: str) -> Float[Tensor, "head_index d_head"] | None:
        """b_Q, b_K or b_V of each head, as `input_weights`; None where the model has no such bias."""
        return self._of_input(block.b_qkv, input)

    def _of_input(self, joint: Tensor | None, input: str) -> Tensor | None:
        if joint is None:
            return None
        sizes = (self.n_heads, self.n_groups, self.n_groups)
        own = joint.unflatten(0, (-1, self.d_head)).split(sizes)["qkv".index(input)]
        return own.repeat_interleave(self.n_heads // len(own), 0)

    def rotated(
        self,
        block: Block,
        input: Literal["q", "k"],
        x: Float[Tensor, "batch pos heads d_head"],
        positions: Int[Tensor, "*rows pos"],
    ) -> Float[Tensor, "batch pos heads d_head"]:
        """Queries ("q") or keys ("k") as attention takes them: normed where the model norms them, with rotary positions
        where it has these."""
        x = (block.q_norm if input == "q" else block.k_norm)(x)
        if block.rotary is None:
            return x
        cos, sin = (table[positions].unsqueeze(-2) for table in block.rotary)
        turned, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
        first, second = turned.chunk(2, dim=-1)
        turned = turned * cos + torch.cat([-second, first], dim=-1) * sin
        return torch.cat([turned, rest], dim=-1)

    def attend(
        self,
        q: Float[Tensor, "batch query head_index d_head"],
        k: Float[Tensor, "batch key groups d_head"],
        v: Float[Tensor, "batch key groups d_head"],
        allowed: Bool[Tensor, "*rows query key"] | None = None,
    ) -> Float[Tensor, "batch query head_index d_head"]:
        """z of each head, from rotated queries and keys. Queries stand at the last of the keys' positions, and see no
        later key.

        allowed  the keys that each query sees, in place of all that are not later: [query key], or [batch 1 query key]
        """
        queries, keys = q.shape[1], k.shape[1]
        if allowed is None and 1 < queries < keys:
            allowed = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
        made = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=allowed,
            is_causal=allowed is None and queries == keys and queries > 1,
            enable_gqa=k.shape[2] != q.shape[2],
        )
        return made.transpose(1, 2)

    def written(
        self, block: Block, z: Float[Tensor, "batch pos head_index d_head"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """The output of a layer's attention: the sum over its heads, and the layer's bias; normed where the model norms
        it."""
        made = z.flatten(-2) @ block.W_O.flatten(0, 1)
        return block.ln1_post(made if block.b_O is None else made + block.b_O)

    def written_by_head(
        self, block: Block, z: Float[Tensor, "batch pos head_index d_head"]
    ) -> Float[Tensor, "batch pos head_index d_model"]:
        """The output of each head, before a norm of what attention writes; the layer's bias belongs to no head."""
        return torch.einsum("bphd,hdm->bphm", z, block.W_O)

    def mlp(self, block: Block, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """The output of a layer's MLP, its bias and the norm behind it included, from its normed input; zeros where the
        layer has no MLP."""
        if block.into is None or block.out is None:
            return torch.zeros_like(x)
        hidden = F.linear(x, block.into, block.b_in)
        hidden = self.act(hidden) if block.gate is None else self.act(F.linear(x, block.gate, block.b_gate)) * hidden
        return block.ln2_post(F.linear(hidden, block.out, block.b_out))

    def unembed(self, stream: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab_out"]:
        """Logits of the last residual stream."""
        return F.linear(self.ln_final(stream), self.W_U, self.b_U)

    def answer_logits(
        self, stream: Float[Tensor, "batch ... d_model"], tokens: Int[Tensor, "batch words"]
    ) -> Float[Tensor, "batch ... words"]:
        """Logits of a few words for each row, without computing the rest of the vocabulary."""
        made = torch.einsum("b...m,bwm->b...w", self.ln_final(stream), self.W_U[tokens])
        if self.b_U is None:
            return made
        return made + self.b_U[tokens].view(len(tokens), *[1] * (made.ndim - 2), -1)
