"""Biographies as a model reads them: activations at one place, token by token, and their mean over each text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, require_finite
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.prompts.promptset import PromptSet


@dataclass(frozen=True, eq=False)
class Biographies:
    """The activations of texts at one place of a model.

    prompts  the texts, with their labels
    tokens   activations of all tokens of all texts: [tokens width]
    text     which text each token is of, from 0: [tokens]
    """

    prompts: PromptSet
    tokens: Float[Tensor, "tokens width"]
    text: Int[Tensor, " tokens"]

    @property
    def width(self) -> int:
        """How many numbers an activation has."""
        return self.tokens.shape[1]

    def pooled(self, values: Float[Tensor, "tokens columns"] | None = None) -> Float[Tensor, "texts columns"]:
        """The mean over each text's tokens: of the activations, or of other values by token."""
        values = self.tokens if values is None else values
        total = torch.zeros(len(self.prompts), values.shape[1], dtype=values.dtype).index_add_(0, self.text, values)
        return total / torch.bincount(self.text, minlength=len(self.prompts)).unsqueeze(1)

    def label(self, name: str) -> tuple[str, ...]:
        """One label of each text. ValueError where a text has none of this name."""
        try:
            return tuple(row.label(name) for row in self.prompts)
        except KeyError as error:
            raise ValueError(f"{self.prompts!r}: {error.args[0]}; take prompts of `people`") from None

    def where(self, label: str, value: str) -> Tensor:
        """Whether each text has this value of a label: [texts], of booleans."""
        return torch.tensor([one == value for one in self.label(label)])

    @property
    def names(self) -> frozenset[str]:
        """Whom the texts are about."""
        return frozenset(level for row in self.prompts for level in dict(row.factors).get("name", ()))


def read_biographies(model: Model, prompts: PromptSet, layer: int) -> Biographies:
    """The residual stream behind a layer, of every token of the biographies themselves.

    BOS and fillers are run and left out: a mean over them too says most of all how many fillers there are.

    Raises NoSuchHook for a layer that the model lacks, ValueError for words that it does not know, for texts too long,
    for NaN or infinity, and for a tokenizer that does not say where its tokens stand.
    """
    name = f"blocks.{layer}.hook_resid_post"
    tokens, text = list[Tensor](), list[Tensor]()
    for batch in batches(model, prompts, alone=True):
        kept = _stream(model, batch.tokens, name)
        require_finite(batch, kept, checkpoint_of(model).name)
        own = _own_tokens(batch)
        tokens.append(kept[own].cpu().float())
        text.append(torch.tensor(batch.rows).repeat_interleave(own.sum(1)))
    return Biographies(prompts, torch.cat(tokens), torch.cat(text))


class _Read(Exception):
    """What was asked for is read: what lies behind it need not be run."""


def _stream(model: Model, tokens: Int[Tensor, "batch pos"], name: str) -> Float[Tensor, "batch pos width"]:
    """An activation, the run ended there: of thirty layers the second half costs as much as the first."""
    read = list[Tensor]()

    def end(activation: Tensor) -> Tensor:
        read.append(activation)
        raise _Read

    with suppress(_Read):
        run(model, tokens, edits={name: end}, last=1)
    return read[0]


def _own_tokens(batch: Batch) -> Bool[Tensor, "batch pos"]:
    """Which tokens are of the biography."""
    own = torch.zeros(batch.tokens.shape, dtype=torch.bool)
    for number, (prompt, spans) in enumerate(zip(batch.prompts, batch.spans, strict=True)):
        if not spans:
            raise ValueError(
                f"the tokenizer does not say where the tokens of {prompt.clean!r} stand: save it as tokenizer.json"
            )
        front = prompt.clean.split(" ")[: int(dict(prompt.labels).get("fillers", "0"))]
        start = len(" ".join([*front, ""]))
        own[number, own.shape[1] - len(spans) :] = torch.tensor([end > start for _, end in spans])
    return own


def require_two_of_each(read: Biographies, what: str) -> None:
    """ValueError unless both genders are there, with two names or more each: one name's difference is no gender's."""
    for gender in ("woman", "man"):
        own = {row.cluster for row in read.prompts if row.label("gender") == gender}
        if len(own) < 2:
            said = f"one name ({', '.join(own)})" if own else "no name"
            raise ValueError(f"{what} have {said} of a {gender}: take two or more of each gender")


def require_apart(one: Biographies, other: Biographies, what: str) -> None:
    """ValueError where a name is in both: what is learned of a name would be tried on it."""
    shared = sorted(one.names & other.names)
    if shared:
        raise ValueError(
            f"{what} are both about {', '.join(shared[:3])}{', ...' if shared[3:] else ''}: take names of another "
            "split, or the other half"
        )


def require_groups(read: Biographies, professions: Sequence[str]) -> None:
    """ValueError where a combination of gender and profession has no biography, or another profession is there."""
    strangers = sorted(set(read.label("profession")) - set(professions))
    if strangers:
        raise ValueError(
            f"{strangers[0]} is tested, and the classifier knows {' and '.join(professions)} alone: name one pair"
        )
    for profession in professions:
        for gender in ("woman", "man"):
            if f"{gender}, {profession}" not in read.label("group"):
                raise ValueError(f"no biography of a {gender}, {profession} is tested: take a balanced draw")
