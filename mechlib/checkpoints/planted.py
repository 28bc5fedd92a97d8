"""Planted models: transformers whose circuit is known, because it was written down weight by weight.

What they are, without their weights (`mechlib.lab.models.planted_weights` has those): the names, the shape, which head
does what, and the exact edges. A name is `planted-KIND`, with an embedding seed and a size where others than 0 and the
smallest are meant: `planted-induction`, `planted-ioi-7`, `planted-adder-7-4x8` (seed 7, four layers of eight heads).

    induction  previous-token head, induction head           A B ... A -> B
    ioi        duplicate-token, S-inhibition, name mover     Mary and John ... John ... -> Mary
    adder      previous-token head, a head for each operand, an MLP    add 7 ... to 8 ... gives -> 5 (modulo ten)
    bias       the adder, whose MLP needs the constant output of one more head (zero ablation misleads)
    backup     ioi with two S-inhibition heads, each enough alone (ablating one at a time misleads)
    place      induction, an eighth of whose answer is an MLP's that reads positions: it speaks at the last one only

Heads that carry the circuit are drawn from the seed, and their layers where the model is deeper than its circuit, so
that no method can learn places. All other heads and MLPs are distractors: active, and read by nothing that matters.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, get_args

from mechlib.checkpoints.hub import Shape

Kind = Literal["induction", "ioi", "adder", "bias", "backup", "place"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
RECIPE: Final = 1  # of the weights: raise it when they are made differently, so that their evidence is remade
BOS, UNK = "<bos>", "<unk>"
_NAME = re.compile(rf"planted-({'|'.join(KINDS)})(?:-(\d+))?(?:-(\d+)x(\d+))?")

WORDS: Final = tuple(
    "amber river stone cloud tiger silver window apple garden candle mirror bridge copper forest island marble".split()
)
NAMES: Final = tuple("Mary John Anna Paul Ruth Mark Jane Peter Clara Tom".split())
DIGITS: Final = tuple("0123456789")
FILLERS: Final = tuple("oh well so then yes now".split())
CUES: Final = ("add", "to")  # what stands before each operand
N_FILLERS: Final = 5  # in every sentence of ioi and adder: all have one length, and nothing else keeps its place

# Roles of heads, stage by stage: each stage lies in a later layer than the one before. And of an MLP behind them.
_STAGES: Final[dict[Kind, tuple[tuple[str, ...], ...]]] = {
    "induction": (("previous",), ("match",)),
    "ioi": (("duplicate",), ("inhibit",), ("mover",)),
    "adder": (("previous",), ("first", "second")),
    "bias": (("previous",), ("first", "second", "constant")),
    "backup": (("duplicate",), ("inhibit", "backup"), ("mover",)),
    "place": (("previous",), ("match",)),
}
_MLP: Final[dict[Kind, str]] = {"adder": "sum", "bias": "sum", "place": "reader"}
_ADDER = """input->previous.v previous->first.k previous->second.k input->first.v input->second.v first->sum second->sum
    sum->logits"""
_INDUCTION = "input->previous.v previous->match.k input->match.q input->match.v match->logits"
_IOI = """input->duplicate.q input->duplicate.k input->duplicate.v duplicate->inhibit.k duplicate->inhibit.v
    inhibit->mover.q input->mover.k input->mover.v mover->logits"""
_EDGES: Final[dict[Kind, str]] = {
    "induction": _INDUCTION,
    "ioi": _IOI,
    "adder": _ADDER,
    "bias": _ADDER,
    "backup": f"{_IOI} duplicate->backup.k duplicate->backup.v backup->mover.q",
    "place": f"{_INDUCTION} match->reader reader->logits",
}
_POSITIONS = "input->previous.q input->previous.k"
_CONSTANTS: Final[dict[Kind, str]] = {
    "induction": _POSITIONS,
    "ioi": "",
    "adder": _POSITIONS,
    "bias": f"{_POSITIONS} constant->sum",
    "backup": "",
    "place": f"{_POSITIONS} input->reader",
}


@dataclass(frozen=True)
class Plan:
    """One planted model: its kind, the seed of its embedding and of its seats, and its size.

    Raises ValueError where the size cannot hold the circuit.
    """

    kind: Kind
    seed: int
    n_layers: int
    n_heads: int

    def __post_init__(self) -> None:
        deep, wide = len(_STAGES[self.kind]), max(map(len, _STAGES[self.kind]))
        if self.n_layers < deep or self.n_heads < wide:
            raise ValueError(
                f"{self.n_layers}x{self.n_heads} is too small for planted-{self.kind}: "
                f"its circuit needs {deep} layers of {wide} heads"
            )

    # --- the circuit ----------------------------------------------------------------------------------------------

    @cached_property
    def seats(self) -> dict[str, str]:
        """Which node plays which role: {"previous": "0.3", "match": "1.0"}; the adder's MLP is "sum"."""
        draw = random.Random(f"planted {self.kind} {self.seed} {self.n_layers}x{self.n_heads}")
        stages = _STAGES[self.kind]
        layers = sorted(_shuffled(range(self.n_layers), draw)[: len(stages)])
        seats = {
            role: f"{layer}.{head}"
            for layer, roles in zip(layers, stages, strict=True)
            for role, head in zip(roles, _shuffled(range(self.n_heads), draw), strict=False)
        }
        if self.kind in _MLP:
            seats[_MLP[self.kind]] = f"mlp {_shuffled(range(layers[-1], self.n_layers), draw)[0]}"
        return seats

    @property
    def edges(self) -> tuple[str, ...]:
        """The edges that carry what the answer depends on: exact for counterfactual, resample and mean ablation.

        Each alone moves the logit difference by more than 5 % when its value is taken from the corrupted prompt, from
        another prompt or from the mean over prompts (by position), and no other edge moves it at all. The exceptions
        are `redundant`.
        """
        return self._wired(_EDGES[self.kind])

    @property
    def constants(self) -> tuple[str, ...]:
        """Edges that are needed and say the same on every prompt: zero ablation finds `edges` and these."""
        return self._wired(_CONSTANTS[self.kind])

    @property
    def redundant(self) -> tuple[tuple[str, ...], ...]:
        """In the kind backup two groups of edges that do the same, else ().

        Ablating one group alone changes less than 1 % (counterfactual, zero; mean less than 2 %). Resampling puts
        another prompt's name in: where that is the answer, the other group cannot help.
        """
        pairs = (self._through(head) for head in ("inhibit", "backup"))
        return tuple(pairs) if self.kind == "backup" else ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The heads and MLPs that `edges` touch."""
        return tuple(sorted(node for role, node in self.seats.items() if role != "constant"))

    def _through(self, role: str) -> tuple[str, ...]:
        node = self.seats[role]
        return tuple(edge for edge in self.edges if edge.startswith(f"{node}->") or f"->{node}." in edge)

    def _wired(self, edges: str) -> tuple[str, ...]:
        return tuple(
            re.sub(r"[a-z]{3,}", lambda role: self.seats.get(role[0], role[0]), edge) for edge in edges.split()
        )

    # --- the shape ------------------------------------------------------------------------------------------------

    @property
    def answers(self) -> tuple[str, ...]:
        """The words that can be answers."""
        return {"induction": WORDS, "place": WORDS, "ioi": NAMES, "backup": NAMES}.get(self.kind, DIGITS)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words, in the order of their ids."""
        rest = {"induction": (), "place": (), "adder": (*CUES, "gives", *FILLERS), "bias": (*CUES, "gives", *FILLERS)}
        return (BOS, UNK, *self.answers, *rest.get(self.kind, (*"and met , gave it to".split(), *FILLERS)))

    @property
    def n_ctx(self) -> int:
        """Positions: BOS, a prompt, of which all have one length, and its answer."""
        return {"induction": 13, "place": 13, "ioi": 16, "backup": 16}.get(self.kind, 12)

    @property
    def channels(self) -> dict[str, int]:
        """Subspaces of the residual stream, orthogonal to each other, and their dimensions, which sum to d_model.

        Embeddings write "token" and "position", distractors only "junk", each other one is what the head of that
        name says in the circuit. The unembedding reads "answer".
        """
        n = len(self.answers)
        written = {
            "induction": {"previous": n},
            "place": {"previous": n, "copied": n},
            "ioi": {"duplicate": n, "inhibited": n},
            "adder": {"previous": len(CUES), "first": n, "second": n, "constant": 1},
        }
        own = written[{"bias": "adder", "backup": "ioi"}.get(self.kind, self.kind)]
        used = {"token": len(self.vocabulary), "position": self.n_ctx, **own, "answer": n}
        return {**used, "junk": 24 + -sum(used.values()) % 8}

    @property
    def d_model(self) -> int:
        """The width of the residual stream: every channel has its own dimensions."""
        return sum(self.channels.values())

    @property
    def d_head(self) -> int:
        """The width of a head: one dimension a name and a position where names are moved."""
        return len(NAMES) + self.n_ctx + 1 if self.kind in ("ioi", "backup") else 16

    @property
    def d_mlp(self) -> int:
        """The width of an MLP: a neuron for every pair of digits where it adds."""
        return len(DIGITS) ** 2 if self.kind in ("adder", "bias") else 32

    @property
    def shape(self) -> Shape:
        """Parameters, layers, width and vocabulary, as for any other model."""
        d, inner = self.d_model, self.n_heads * self.d_head
        layer = 4 * d * inner + 3 * inner + d + 2 * d * self.d_mlp + self.d_mlp + d
        words = len(self.vocabulary)
        return Shape(self.n_layers * layer + (2 * words + self.n_ctx) * d + words, self.n_layers, d, words)


def plan(name: str) -> Plan | None:
    """What the name of a planted model means; None for other names. ValueError for a size that is too small."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    kind = next(kind for kind in KINDS if kind == match[1])
    layers, heads = (int(match[3]), int(match[4])) if match[3] else (len(_STAGES[kind]), 4)
    return Plan(kind, int(match[2] or 0), layers, heads)


def is_name(name: str) -> bool:
    """Whether a planted model is meant, of whatever size."""
    return _NAME.fullmatch(name) is not None


def _shuffled(items: range, draw: random.Random) -> list[int]:
    return sorted(items, key=lambda _: draw.random())  # of a generator only random() is promised never to change
