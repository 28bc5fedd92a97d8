"""The weights of planted models, written down by construction. Nothing is trained.

The residual stream is a sum of subspaces (`Plan.channels`), laid into it by a random rotation that the seed draws.
Embeddings write one-hot tokens and positions, each head of the circuit moves one-hot words from one subspace to
another, and the unembedding reads "answer" alone. There are no norms, and positions are learned: a native
transformer of TransformerLens with `normalization_type=None`, `act_fn="relu"`.

Distractors are random in what they look at and read, everything included, and write only into "junk", which distractors
alone read: whatever happens to them, no logit changes by more than rounding.

How the weights are laid out (`weights` gives them under these names; torch's Linear, so output dimensions first):
embed [d_vocab, d_model], pos_embed [n_ctx, d_model], unembed [d_vocab, d_model], and in each layer attn.q, attn.k,
attn.v [n_heads * d_head, d_model] head after head, attn.o [d_model, n_heads * d_head], mlp.in [d_mlp, d_model], mlp.out
[d_model, d_mlp], with a bias each. On a loaded model `blocks[l].attn.W_Q` is [n_heads, d_model, d_head], as usual.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checkpoints.planted import BOS, CUES, DIGITS, NAMES, RECIPE, Plan

SHARP = 7.0  # attention score of a match, in nats: e^7 to 1 against each other position, sharp without being frozen
GAIN = 10.0  # logits for a word copied with all attention
READ = 1 / 8  # of the answer: what the MLP of "place" says, which reads positions


@dataclass
class _Weights:
    """All heads and MLPs, in float64. A head maps rows: x @ q + b_q is its query."""

    q: Float[Tensor, "n_layers n_heads d_model d_head"]
    k: Float[Tensor, "n_layers n_heads d_model d_head"]
    v: Float[Tensor, "n_layers n_heads d_model d_head"]
    o: Float[Tensor, "n_layers n_heads d_head d_model"]
    b_q: Float[Tensor, "n_layers n_heads d_head"]
    b_v: Float[Tensor, "n_layers n_heads d_head"]
    into: Float[Tensor, "n_layers d_model d_mlp"]
    b_in: Float[Tensor, "n_layers d_mlp"]
    out: Float[Tensor, "n_layers d_mlp d_model"]


class _Space:
    """The channels of a plan as orthonormal directions, drawn by its seed."""

    def __init__(self, plan: Plan) -> None:
        seed = hashlib.sha256(f"planted {RECIPE} {plan}".encode()).digest()[:7]
        self.plan = plan
        self.random = torch.Generator().manual_seed(int.from_bytes(seed, "big"))
        rotation = torch.linalg.qr(self.normal(plan.d_model, plan.d_model)).Q
        self.of = dict(zip(plan.channels, rotation.split(list(plan.channels.values())), strict=True))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float64, from the plan's seed."""
        return torch.randn(*shape, generator=self.random, dtype=torch.float64)

    def token(self, words: Sequence[str]) -> Float[Tensor, "words d_model"]:
        """The directions of some words in "token"."""
        return self.of["token"][[self.plan.vocabulary.index(word) for word in words]]

    def weights_of_distractors(self) -> _Weights:
        """Every head and MLP as a distractor.

        All dimensions are read, but "junk" faintly: it grows with every node, and would grow without end if it fed
        itself. Scales give scores of a standard deviation near 2, and outputs as large as one copied word.
        """
        plan, nodes = self.plan, (self.plan.n_layers, self.plan.n_heads)
        d, width, inner = plan.d_model, plan.d_head, plan.d_mlp
        junk = self.of["junk"]
        faintly = torch.eye(d, dtype=torch.float64) - (1 - 1 / (nodes[0] * nodes[1])) * junk.T @ junk
        written = len(junk) ** -0.5
        return _Weights(
            q=faintly @ self.normal(*nodes, d, width) * width**0.5,
            k=faintly @ self.normal(*nodes, d, width) * width**-0.5,
            v=faintly @ self.normal(*nodes, d, width) * width**-0.5,
            o=self.normal(*nodes, width, len(junk)) * written @ junk,
            b_q=torch.zeros(*nodes, width, dtype=torch.float64),
            b_v=torch.zeros(*nodes, width, dtype=torch.float64),
            into=faintly @ self.normal(plan.n_layers, d, inner) * inner**-0.5,
            b_in=torch.zeros(plan.n_layers, inner, dtype=torch.float64),
            out=self.normal(plan.n_layers, inner, len(junk)) * written @ junk,
        )


def weights(plan: Plan) -> dict[str, Tensor]:
    """The float32 weights of a planted model, by module and "weight" or "bias" (`blocks.0.attn.q.weight`)."""
    space = _Space(plan)
    made = space.weights_of_distractors()
    for role, node in plan.seats.items():
        if role in ("sum", "reader"):
            (_add if role == "sum" else _read)(space, made, int(node.removeprefix("mlp ")))
        else:
            _Head(space, made, node).play(role)
    unembed = torch.zeros(len(plan.vocabulary), plan.d_model, dtype=torch.float64)
    unembed[[plan.vocabulary.index(word) for word in plan.answers]] = GAIN * space.of["answer"]
    named = {
        "embed.weight": space.of["token"],
        "pos_embed.weight": space.of["position"],
        "unembed.weight": unembed,
    }
    for layer in range(plan.n_layers):
        named |= _layer(made, layer)
    return {name: tensor.float().contiguous() for name, tensor in named.items()}


def _layer(made: _Weights, layer: int) -> dict[str, Tensor]:
    own = {field.name: getattr(made, field.name)[layer] for field in fields(made)}
    d_model = own["q"].shape[1]
    named = {f"attn.{input}.weight": own[input].transpose(1, 2).flatten(0, 1) for input in "qkv"}
    named |= {"attn.q.bias": own["b_q"].flatten(), "attn.v.bias": own["b_v"].flatten()}
    named |= {"attn.k.bias": torch.zeros_like(named["attn.q.bias"]), "attn.o.weight": own["o"].flatten(0, 1).T}
    named |= {"mlp.in.weight": own["into"].T, "mlp.in.bias": own["b_in"], "mlp.out.weight": own["out"].T}
    named |= {name: torch.zeros(d_model) for name in ("attn.o.bias", "mlp.out.bias")}
    return {f"blocks.{layer}.{name}": tensor for name, tensor in named.items()}


# --- what plays in the circuits -----------------------------------------------------------------------------------


class _Head:
    """One head, emptied, to be written. Its directions are filled from the first on; the others stay zero."""

    def __init__(self, space: _Space, made: _Weights, node: str) -> None:
        layer, head = map(int, node.split("."))
        self.space = space
        self.q, self.k, self.v, self.o, self.b_q, self.b_v = (
            getattr(made, name)[layer, head] for name in ("q", "k", "v", "o", "b_q", "b_v")
        )
        self.sharp = SHARP * space.plan.d_head**0.5  # undoes the division of scores

    def play(self, role: str) -> None:
        """Write the head's weights for a role of the plan's circuit."""
        words, answers = self.space.of, self.space.token(self.space.plan.answers)
        match role:
            case "previous":
                self.previous(self.space.token(CUES) if len(words["previous"]) == len(CUES) else answers)
            case "match":
                self.looks(answers, words["previous"])
                read = "copied" in words
                said = words["answer"]
                self.copies(answers, (1 - READ) * said + words["copied"] if read else said)
            case "duplicate":
                self.duplicate()
            case "inhibit" | "backup":
                self.looks_always(words["duplicate"])
                self.copies(words["duplicate"], words["inhibited"])
            case "mover":
                self.looks_always(answers)
                self.q[:, : len(NAMES)] = -self.sharp * words["inhibited"].T
                self.copies(answers, words["answer"])
            case "first" | "second":
                self.looks_always(words["previous"][["first", "second"].index(role)].unsqueeze(0))
                self.copies(answers, words[role])
            case "constant":
                self.v.zero_()
                self.b_v[0] = 1
                self.o.zero_()
                self.o[0] = words["constant"][0]

    def looks(self, asked: Float[Tensor, "n d_model"], found: Float[Tensor, "n d_model"]) -> None:
        """Attend to where direction i of `found` is, from where direction i of `asked` is."""
        self.q.zero_()[:, : len(asked)] = self.sharp * asked.T
        self.k.zero_()[:, : len(found)] = found.T

    def looks_always(self, found: Float[Tensor, "n d_model"]) -> None:
        """Attend to where any direction of `found` is, from everywhere."""
        self.looks(torch.zeros_like(found), found)
        self.b_q[: len(found)] = self.sharp

    def copies(self, read: Float[Tensor, "n d_model"], written: Float[Tensor, "n d_model"]) -> None:
        """Write direction i of `written` for direction i of `read`."""
        self.v.zero_()[:, : len(read)] = read.T
        self.o.zero_()[: len(written)] = written

    def previous(self, copied: Float[Tensor, "n d_model"]) -> None:
        """Attend to the position before, and say which of these words stands there."""
        position = self.space.of["position"]
        self.looks(position[1:], position[:-1])
        self.copies(copied, self.space.of["previous"])

    def duplicate(self) -> None:
        """Attend to where the same name stood, not to oneself, and say the name; rest on BOS, of which nothing is said.

        A match scores 1, BOS 1/2, and oneself loses what one gains by matching, in units of SHARP.
        """
        names, position = self.space.token(NAMES), self.space.of["position"]
        bos = self.space.token([BOS])
        self.looks(torch.cat([names, -position, 0 * bos]), torch.cat([names, position, bos]))
        self.b_q[len(names) + len(position)] = self.sharp / 2
        self.copies(names, self.space.of["duplicate"])


def _add(space: _Space, made: _Weights, layer: int) -> None:
    """An MLP with a neuron for each pair of digits, which is active only where both are there.

    Without the threshold, every digit would vote for ten sums, and each sum would get two votes: nothing linear gives
    the sum modulo ten. In the kind "bias" the threshold is the constant head's output.
    """
    first, second, answer = (space.of[name] for name in ("first", "second", "answer"))
    n = len(DIGITS)
    pairs = [(a, b) for a in range(n) for b in range(n)]
    made.into[layer] = torch.stack([first[a] + second[b] for a, b in pairs], dim=1)
    if "constant" in space.plan.seats:
        made.into[layer] -= space.of["constant"].T
    else:
        made.b_in[layer] = -1
    made.out[layer] = torch.stack([answer[(a + b) % n] for a, b in pairs])


def _read(space: _Space, made: _Weights, layer: int) -> None:
    """An MLP with a neuron for each word, which says the word that was copied, and at a prompt's last position only.

    Elsewhere, and where the direct path from the position embedding says that it is elsewhere, it is silent.
    """
    copied, answer = space.of["copied"], space.of["answer"]
    last = space.of["position"][space.plan.n_ctx - 3]  # of a prompt: two more positions are for its answer and the end
    made.into[layer].zero_()[:, : len(copied)] = (copied + last).T
    made.b_in[layer] = -1
    made.out[layer].zero_()[: len(answer)] = READ * answer
