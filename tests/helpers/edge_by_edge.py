"""The slow, plain way to ablate an edge: every reader adds up for itself what each earlier node wrote.

Numpy, float64, one prompt set at a time, no caching and no cleverness: a second opinion on whatever computes the same
fast. For native models without norms, of which the planted ones are.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mechlib.lab.models.loading import Model

Array = NDArray[np.float64]


class EdgeByEdge:
    """A native model without norms, as plain arrays."""

    def __init__(self, model: Model) -> None:
        def array(tensor) -> Array:
            return tensor.detach().double().cpu().numpy()

        self.n_layers, self.n_heads, self.d_head = model.cfg.n_layers, model.cfg.n_heads, model.cfg.d_head
        self.embed, self.position, self.unembed = array(model.W_E), array(model.pos_embed.weight), array(model.W_U)
        self.attention = [
            {
                name: array(getattr(block.attn, name))
                for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")
            }
            for block in model.blocks
        ]
        self.mlp = [
            {name: array(getattr(block.mlp, name)) for name in ("W_in", "b_in", "W_out", "b_out")}
            for block in model.blocks
        ]

    def written(self, tokens: NDArray, instead: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """What each node writes, [batch, pos, d_model], and "logits".

        instead   edge to what its reader sees of its source, in place of what the source writes
        """
        instead = dict(instead or {})
        made: dict[str, Array] = {"input": self.embed[tokens] + self.position[: tokens.shape[1]]}

        def read(reader: str) -> Array:
            return sum(instead.pop(f"{source}->{reader}", one) for source, one in list(made.items()))

        for layer in range(self.n_layers):
            heads = {
                f"{layer}.{head}": self._head(layer, head, *(read(f"{layer}.{head}.{port}") for port in "qkv"))
                for head in range(self.n_heads)
            }
            made |= heads
            made[f"mlp {layer}"] = self._mlp(layer, read(f"mlp {layer}"))
        made["logits"] = read("logits") @ self.unembed
        assert not instead, f"no such edges: {list(instead)}"
        return made

    def edges(self) -> Iterator[str]:
        """All edges by name."""
        sources = ["input"]
        for layer in range(self.n_layers):
            heads = [f"{layer}.{head}" for head in range(self.n_heads)]
            yield from (f"{source}->{head}.{port}" for head in heads for port in "qkv" for source in sources)
            yield from (f"{source}->mlp {layer}" for source in (*sources, *heads))
            sources += [*heads, f"mlp {layer}"]
        yield from (f"{source}->logits" for source in sources)

    def _head(self, layer: int, head: int, q: Array, k: Array, v: Array) -> Array:
        own = {name: array[head] for name, array in self.attention[layer].items() if name != "b_O"}
        queries, keys, values = (
            x @ own[f"W_{port}"] + own[f"b_{port}"] for x, port in zip((q, k, v), "QKV", strict=True)
        )
        scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(self.d_head)
        scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
        pattern = np.exp(scores - scores.max(-1, keepdims=True))
        pattern /= pattern.sum(-1, keepdims=True)
        # The attention's output bias belongs to no head; in equal shares it adds up to itself.
        return pattern @ values @ own["W_O"] + self.attention[layer]["b_O"] / self.n_heads

    def _mlp(self, layer: int, x: Array) -> Array:
        own = self.mlp[layer]
        return np.maximum(x @ own["W_in"] + own["b_in"], 0) @ own["W_out"] + own["b_out"]
