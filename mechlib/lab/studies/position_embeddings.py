"""Position embeddings: the readers that use them directly, and the loss where readers see those of other positions.

An MLP or an attention layer reads the residual stream, to which the position embedding was added at the start. Here one
reader alone is given another position's embedding: its input, before the norm, is shifted by the embedding of the other
position less the embedding of its own, and the norm is computed again on the sum. The inputs of other readers, and the
outputs of earlier layers, stay. So the edge from the position embedding to the reader is changed by itself: a position
that reaches an MLP through a head still reaches it.

Position 0 keeps its own embedding: it holds the beginning of the text in every prompt, and never a word. Other
positions, and the mean over positions, are positions that the prompts have, so that no untrained embedding comes in.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.lab.batching import Batch, batches, per_prompt
from mechlib.lab.hooks import NothingChanged, differs, mlp_layers, run, sizes
from mechlib.lab.interventions.ablation import INTACT
from mechlib.lab.interventions.contexts import check_silent
from mechlib.lab.interventions.directions import random_direction
from mechlib.lab.metrics import logit_diff
from mechlib.lab.models.loading import Model, checkpoint_of
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

PositionReplacement = Literal["resample", "mean", "direction", "word"]
Readers: TypeAlias = Mapping[str, Iterable[str]]
OUTPUT = "output"


def readers(model: Model) -> dict[str, tuple[str, ...]]:
    """Sets of readers by name: each "mlp 0" and "attention 0", all "mlps", all "attentions", and those but the first
    ("later attentions")."""
    mlps = tuple(f"mlp {layer}" for layer in mlp_layers(model))
    attentions = tuple(f"attention {layer}" for layer in range(model.cfg.n_layers))
    joint = {"mlps": mlps, "attentions": attentions, "later attentions": attentions[1:]}
    return {name: (name,) for name in (*mlps, *attentions)} | {name: own for name, own in joint.items() if own}


def under_other_positions(
    model: Model,
    prompts: PromptSet,
    shifted: Readers,
    replacement: PositionReplacement = "resample",
    seed: int = 0,
    unit: str = "",
) -> Measurement:
    """Logit of the answer less the distractor's where readers see other positions: a column a set, last "intact".

    shifted      by name, the readers that are shifted together: "mlp 0", "attention 1" (its queries, keys and values),
                 "output" (the final norm)
    replacement  "resample": at each position the embedding of another position, drawn anew for each prompt and position
                 with `seed`, the same for every reader; "mean": the mean embedding over positions. For comparison:
                 "direction": a random direction as long as the shift of "resample"; "word": what tells the embeddings
                 of two words of the prompt apart, the one there and another

    Raises ValueError for models whose positions are not embeddings (rotary) or do not begin the stream as the tokens'
    embedding plus theirs (it is compared with the run's), for unknown readers, and NothingChanged where a shift changes
    no input.
    """
    require_learned(model)
    made = batches(model, prompts)
    values = []
    for batch in made:
        shift = _shift(model, batch, _longest(made), replacement, seed)
        runs = [with_shifted_inputs(model, batch.tokens, shift, own) for own in (*shifted.values(), ())]
        values.append(torch.stack([logit_diff(logits, batch.answer, batch.distractor) for logits in runs], dim=1))
    of = f"logit of answer minus distractor, other positions seen ({replacement})"
    return per_prompt(prompts, made, values, (*shifted, INTACT), of, unit)


def input_changed(
    model: Model, prompts: PromptSet, replacement: PositionReplacement = "resample", seed: int = 0, unit: str = ""
) -> Measurement:
    """The share of position in each reader's input: the change of its normed input, as a share of that input's length.

    0 where positions are lost among the rest of the stream; about 1.4 where the whole input changes. Averaged over the
    positions of a prompt but the first; a column a reader. The norm's gain and bias are left out. Arguments and errors
    as of `under_other_positions`.
    """
    require_learned(model)
    made, names = batches(model, prompts), [name for name, own in readers(model).items() if own == (name,)]
    values = []
    for batch in made:
        shift = _shift(model, batch, _longest(made), replacement, seed)
        kept = run(model, batch.tokens, keep=[_hook(model, name) for name in names])[1]
        seen = [kept[_hook(model, name)][:, 1:] for name in names]
        changed = [(_normed(x + shift[:, 1:]) - _normed(x)).norm(dim=-1) / _normed(x).norm(dim=-1) for x in seen]
        values.append(torch.stack([one.mean(1) for one in changed], dim=1))
    return per_prompt(
        prompts, made, values, names, f"share of the input that changes with positions ({replacement})", unit
    )


def with_shifted_inputs(
    model: Model, tokens: Int[Tensor, "batch pos"], shift: Float[Tensor, "batch pos d_model"], own: Iterable[str]
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits where these readers, and they alone, see the residual stream with `shift` added; as it is without any.

    Raises ValueError for unknown readers, NothingChanged where the shift changes no input.
    """
    hooks = [_hook(model, name) for name in own]
    check_silent(model, tokens[:1], hooks)
    changed = []

    def edit(seen: Tensor) -> Tensor:
        made = seen + shift
        changed.append(differs(made, seen))
        return made

    logits, _ = run(model, tokens, dict.fromkeys(hooks, edit))
    if hooks and not any(changed):
        raise NothingChanged(f"the shift changes nothing that {', '.join(own)} of {checkpoint_of(model).name} sees")
    return logits


def require_learned(model: Model) -> None:
    """ValueError for a model that adds no position embedding to its stream."""
    kind = model.cfg.positional_embedding_type
    if kind != "standard":
        raise ValueError(
            f"{checkpoint_of(model).name} has {kind} positions: they turn queries and keys inside attention and are no "
            "part of the residual stream, so there is no edge from them to an MLP; choose a model that learns "
            "position embeddings, as GPT-2 does"
        )


def _hook(model: Model, reader: str) -> str:
    """The hook of a reader's input before its norm, through which the residual stream itself does not pass."""
    kind, _, number = reader.partition(" ")
    if reader == OUTPUT:
        return "ln_final.hook_in"
    layers = mlp_layers(model) if kind == "mlp" else range(model.cfg.n_layers)
    if kind not in ("mlp", "attention") or not number.isdigit() or int(number) not in layers:
        some = "'mlp 0' or " if mlp_layers(model) else ""
        raise ValueError(
            f"{checkpoint_of(model).name} has no reader {reader!r}: write {some}'attention 0', up to "
            f"{model.cfg.n_layers - 1}, or {OUTPUT!r}"
        )
    return f"blocks.{number}.{'ln2' if kind == 'mlp' else 'ln1'}.hook_in"


def _longest(made: tuple[Batch, ...]) -> int:
    """The number of positions that the longest prompt has."""
    return max(batch.tokens.shape[1] for batch in made)


def _shift(
    model: Model, batch: Batch, n: int, replacement: PositionReplacement, seed: int
) -> Float[Tensor, "batch pos d_model"]:
    """The other position's embedding less the own position's, for each prompt and position; 0 at position 0."""
    table = _embeddings(model, batch)
    length = batch.tokens.shape[1]
    if replacement == "mean":
        other = table[1:n].mean(0).expand(len(batch.rows), length - 1, -1)
    elif replacement == "resample":
        other = table[torch.tensor([_drawn(ids, n, seed) for ids in batch.tokens.tolist()], device=table.device)]
    elif replacement == "direction":
        return random_direction(_shift(model, batch, n, "resample", seed), seed)
    elif replacement == "word":
        return _shift_of_words(model, batch, seed)
    else:
        raise ValueError(f"no replacement {replacement!r}: choose resample, mean, direction or word")
    shift = torch.zeros(len(batch.rows), length, table.shape[1], device=table.device)
    shift[:, 1:] = other - table[1:length]
    return shift


def _shift_of_words(model: Model, batch: Batch, seed: int) -> Float[Tensor, "batch pos d_model"]:
    """The embedding of another word of the prompt less the own word's; 0 at position 0."""
    words, length = model.W_E.detach()[batch.tokens], batch.tokens.shape[1]
    drawn = torch.tensor([_drawn(ids, length, seed) for ids in batch.tokens.tolist()], device=words.device)
    shift = torch.zeros_like(words)
    shift[:, 1:] = words.gather(1, drawn.unsqueeze(-1).expand(-1, -1, words.shape[-1])) - words[:, 1:]
    return shift


def _embeddings(model: Model, batch: Batch) -> Float[Tensor, "pos d_model"]:
    """The embedding of each position of the context: the rows that are added to the tokens' own, which is checked.

    A table with more rows than the context has positions (OPT's, by two) begins with rows that no position reads.
    """
    table = model.pos_embed.weight.detach()
    rows, tokens = table[len(table) - model.cfg.n_ctx :], batch.tokens[:1]
    stream = run(model, tokens, keep=["blocks.0.hook_resid_pre"])[1]["blocks.0.hook_resid_pre"]
    words = model.W_E.detach()[tokens]
    summed = words.shape == stream.shape
    off = (words + rows[: tokens.shape[1]] - stream).abs() if summed else torch.full_like(stream, float("inf"))
    if not (off <= 1e-4 * sizes(stream)).all():
        raise ValueError(
            f"{checkpoint_of(model).name} begins its stream otherwise than with the tokens' embedding plus the "
            f"positions' (it differs by {off.max():.2g}): choose a model that adds the two, as GPT-2 does"
        )
    return rows


def _drawn(ids: list[int], n: int, seed: int) -> list[int]:
    """Another of the positions 1 to n - 1 for each position of a prompt but the first."""
    stream = random.Random(f"{seed} {ids}")
    steps = [1 + int(stream.random() * (n - 2)) for _ in ids[1:]]
    return [1 + (own - 1 + step) % (n - 1) for own, step in enumerate(steps, start=1)]


def _normed(x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
    return torch.nn.functional.layer_norm(x, x.shape[-1:])
