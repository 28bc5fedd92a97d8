"""Two-digit addition in pretrained models: prompts and measurements behind published sentences.

One function is asked of pretrained models and of the small ones: `sums` words the question for each, `Question: What is
23+54? Answer: 23+54=` or `What is 23 + 54 ? Answer :`, and the first digit of the sum decides where numbers are
digits, for the two sums never share it. What is patched is patched at the last position, unless it says otherwise, from
the clean into the corrupted run, whose one operand is another. *The layer* is the one whose heads restore most on
discovery pairs, both operands together; its heads are chosen there too. Every layer is measured in one sweep, so that
what is claimed of one stands beside all others. Terms of the topic: `measurements.py`.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from mechlib import Measurement, Prompt, PromptSet, Selection, strongest
from mechlib.evidence import evidence
from mechlib.prompts import Split, addition, partners, style_of

Operand = Literal["first", "second"]

STOLFO = "Stolfo et al. 2023, arXiv:2305.15054"
MENTAL = "Mamidanna et al. 2025, arXiv:2509.09650"
COUNT = 64  # confirmation pairs; 32 of discovery choose
BEHIND_A_HUNDRED = "Question: What is 1{a}+{b}? Answer: 1{a}+{b}=1{sum}"
WITHOUT_A_QUESTION = "{a}+{b}={sum}"


# Prompts.


def wording_of(model: str) -> str:
    """The wording in which a model is asked."""
    return "question" if style_of(model) == "pretrained" else "plain"


def other_wording_of(model: str) -> str:
    """Another wording that such a model may answer."""
    return "plain" if style_of(model) == "pretrained" else "sum"


def sums(
    model: str, operand: Operand = "first", n: int = COUNT, split: Split = "confirmation", wording: str = ""
) -> PromptSet:
    """Questions in a model's own wording, or in another, with one operand replaced."""
    own = wording or wording_of(model)
    return addition(n, split=split, wording=own, corrupt=operand, style=style_of(model))


def other_sums(model: str, operand: Operand) -> PromptSet:
    """As many confirmation pairs that are none of those of `sums`, with replacements of another draw."""
    drawn = addition(200 + COUNT, wording=wording_of(model), corrupt=operand, seed=1, style=style_of(model))
    return replace(drawn, rows=drawn.rows[200:], settings=(*drawn.settings, ("without the first", 200)))


def units(operand: Operand, n: int = 48, split: Split = "confirmation") -> PromptSet:
    """Questions whose sums share their tens, 23+54 and 21+54, so that the units decide, behind the tens."""
    rows: list[Prompt] = []
    asked = addition(split=split, wording="question", style="pretrained")
    known = {tuple(sorted((int(row.label("a")), int(row.label("b"))))) for row in asked}
    for row in asked:
        a, b = int(row.label("a")), int(row.label("b"))
        kept = b if operand == "first" else a
        found = [
            other
            for other in range(10, 90)
            if (min(other, kept), max(other, kept)) in known
            and other not in (a, b)
            and (other + kept) // 10 == (a + b) // 10
            and other + kept != a + b
        ]
        if found:
            other = found[(a + b) % len(found)]
            pair = (other, b) if operand == "first" else (a, other)
            text = f"Question: What is {pair[0]}+{pair[1]}? Answer: {pair[0]}+{pair[1]}="
            factors = (("operand", tuple(dict.fromkeys((str(a), str(b), str(other))))),)
            rows.append(replace(row, corrupted=text, distractor=str(sum(pair)), factors=factors))
    return replace(asked, rows=tuple(rows[:n]), settings=(*asked.settings, ("units", operand), ("n", n)))


def retrieved(n: int = 48, split: Split = "confirmation") -> PromptSet:
    """The second operand asked for, not the sum: `Question: What is 23+54? Answer: 23+` is answered by 54."""
    rows = []
    for row in addition(n, split=split, wording="question", corrupt="second", style="pretrained"):
        other = row.corrupted.removesuffix("=").rpartition("+")[2]
        if other[0] != row.label("b")[0]:
            clean, corrupted = (text.rpartition("+")[0] + "+" for text in (row.clean, row.corrupted))
            rows.append(replace(row, clean=clean, corrupted=corrupted, answer=row.label("b"), distractor=other))
    return PromptSet("second operand", split, tuple(rows), unit="pair")


def just_below_a_ten(below: bool, n: int = COUNT) -> PromptSet:
    """Sums that end in 8 or 9, one or two short of the next ten; or those that end in 0 to 6."""
    asked = addition(wording="question", style="pretrained")
    rows = tuple(row for row in asked if row.answer[-1] in ("89" if below else "0123456"))
    return replace(asked, rows=rows[:n], settings=(*asked.settings, ("below a ten", below), ("n", n)))


def same_sums(model: str, pairs: int = 140, split: Split = "confirmation") -> PromptSet:
    """Pairs of questions with one sum, each answered by what comes first of it: the tens, or the whole number.

    Of pretrained models sums that end in 8 or 9, of which such a model has most of its wrong tens.
    """
    asked = partners(split, per_pair=4, corrupt="both", wording=wording_of(model), style=style_of(model))
    if style_of(model) == "world":
        return asked
    short = [row for row in asked if row.answer[-1] in "89"]
    first = tuple(dict.fromkeys(row.label("pair") for row in short))[:pairs]
    rows = tuple(replace(row, answer=row.answer[0]) for row in short if row.label("pair") in first)
    return replace(asked, name="partners, tens", rows=rows, settings=(*asked.settings, ("pairs", pairs)))


# Evidence: one value for each place that is patched, for each pair of operands.


@evidence
def restored_through_layers(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference restored at the last position by all heads of each layer ("attention 3"), its MLP, the stream
    behind it ("after layer 3"), all MLPs "from layer 3 on" and "before layer 3"; "total" is all there is."""
    from mechlib.lab import layers, load, residual, restored_by_patching

    network = load(model)
    every = layers(network)
    mlps = [every[f"mlp {layer}"] for layer in range(network.cfg.n_layers)]
    joint = {f"MLPs from layer {layer} on": tuple(mlps[layer:]) for layer in range(network.cfg.n_layers)}
    joint |= {f"MLPs before layer {layer}": tuple(mlps[:layer]) for layer in range(1, network.cfg.n_layers)}
    return restored_by_patching(network, prompts, {**every, **residual(network), **joint})


@evidence
def flipped_through_layers(model: str, prompts: PromptSet) -> Measurement:
    """1 where the clean answer comes out on top when all heads of one layer, or the stream behind it, are patched at
    the last position into the corrupted run, else 0; "clean" and "corrupted" are the runs themselves."""
    from mechlib.lab import flipped_by_patching, layers, load, residual

    network = load(model)
    heads = {name: where for name, where in layers(network).items() if name.startswith("attention")}
    return flipped_by_patching(network, prompts, {**heads, **residual(network)})


@evidence
def turned_right(model: str, prompts: PromptSet) -> Measurement:
    """For corrupted prompts answered wrongly: 1 where all heads of one layer, patched at the last position from a clean
    prompt of the same sum, turn the wrong answer right, else 0.

    Strata "from right" and "from wrong", as the clean prompt is answered; one row for each pair of operands in it.
    """
    from dataclasses import replace

    from mechlib.lab import answers_correctly, flipped_by_patching, layers, load

    network = load(model)
    asked = {text: Prompt(text, row.answer, glue=row.glue) for row in prompts for text in (row.clean, row.corrupted)}
    answered = answers_correctly(network, replace(prompts, rows=tuple(asked.values()), settings=()))
    right = dict(zip(asked, answered.array.astype(bool).tolist(), strict=True))
    kept: dict[str, Prompt] = {}
    for row in prompts:
        if not right[row.corrupted]:
            kept.setdefault(row.label("pair"), row)
    heads = {name: where for name, where in layers(network).items() if name.startswith("attention")}
    flipped = flipped_by_patching(network, replace(prompts, rows=tuple(kept.values()), settings=()), heads)
    return replace(flipped, strata=tuple("from right" if right[row.clean] else "from wrong" for row in kept.values()))


@evidence
def restored_by_heads(model: str, layer: int, prompts: PromptSet) -> Measurement:
    """Logit difference restored at the last position by each head of one layer; "total" is all there is."""
    from mechlib import all_heads
    from mechlib.lab import load, restored_by_patching

    network = load(model)
    own = all_heads(network.cfg.n_layers, network.cfg.n_heads).in_layer(layer)
    return restored_by_patching(network, prompts, own)


@evidence
def attention_to_replaced(model: str, layer: int, prompts: PromptSet) -> Measurement:
    """Attention of each head of one layer from the last position to where clean and corrupted texts differ: all digits
    of the operand that is replaced, wherever the question says it."""
    from mechlib import all_heads
    from mechlib.lab import batches, load, per_prompt, run

    network = load(model)
    name = f"blocks.{layer}.attn.hook_pattern"
    made, values = batches(network, prompts), []
    for batch in made:
        assert batch.corrupted is not None
        there = (batch.tokens != batch.corrupted).any(0)
        values.append(run(network, batch.tokens, keep=[name])[1][name][:, :, -1][:, :, there].sum(-1))
    own = map(str, all_heads(network.cfg.n_layers, network.cfg.n_heads).in_layer(layer))
    return per_prompt(prompts, made, values, own, "attention to the operand that is replaced")


@evidence
def restored_at_operand(model: str, prompts: PromptSet) -> Measurement:
    """Logit difference restored by the stream behind each layer, patched wherever clean and corrupted texts differ: at
    the digits of the operand that is replaced, and nowhere else; "total" is all there is."""
    from mechlib.lab import batches, load, residual, restored_by_patching

    network = load(model)
    places: set[int] = set()
    for batch in batches(network, prompts):
        assert batch.corrupted is not None
        differ = (batch.tokens != batch.corrupted).any(0)
        places |= {place - len(differ) for place, one in enumerate(differ.tolist()) if one}
    return restored_by_patching(network, prompts, residual(network), positions=tuple(places))


@evidence
def restored_by_attention(model: str, layers: tuple[int, ...], prompts: PromptSet) -> Measurement:
    """Logit difference restored at the last position by all heads of these layers together, by those of all other
    layers ("rest"), and by all heads there are ("all"); "total" is all there is."""
    from mechlib import all_heads
    from mechlib.lab import load, restored_by_patching

    network = load(model)
    every = all_heads(network.cfg.n_layers, network.cfg.n_heads)
    own = every - [head for head in every if head.layer not in layers]
    return restored_by_patching(network, prompts, {"these": own, "rest": every - own, "all": every})


@evidence
def lost_without_attention(model: str, prompts: PromptSet, reference: PromptSet) -> Measurement:
    """1 where what comes first of the sum is on top in the run as it is, and no more with all heads of one layer
    mean-ablated at the last position, else 0."""
    from dataclasses import replace

    from mechlib.lab import layers, load, under_ablation

    network = load(model)
    heads = {name: where for name, where in layers(network).items() if name.startswith("attention")}
    found = under_ablation(network, prompts, heads, "mean", reference, positions=-1)
    intact = found["intact"].array
    lost = found.with_columns({name: intact * (1 - found[name].array) for name in heads})
    return replace(lost, yes_no=True, of="right answers lost under mean ablation at the last position")


# Choosing, on discovery pairs only.


def layers_by_effect(model: str, least: int = 0) -> tuple[int, ...]:
    """Layers from `least` on, those first whose heads restore most of both operands on discovery pairs."""
    both = [restored_through_layers(model, sums(model, operand, 32, "discovery")) for operand in ("first", "second")]
    layers = range(least, len(both[0].mlp_columns))
    effects = {layer: sum(float(one[f"attention {layer}"].array.mean()) for one in both) for layer in layers}
    return tuple(sorted(layers, key=lambda layer: -effects[layer]))


def attention_of(layers: Iterable[int]) -> tuple[str, ...]:
    """The columns of all heads of these layers."""
    return tuple(f"attention {layer}" for layer in layers)


def carrier(model: str, operand: Operand) -> Selection:
    """Of the heads of the layer the one that restores most of an operand on discovery pairs."""
    layer, *_ = layers_by_effect(model)
    return strongest(restored_by_heads(model, layer, sums(model, operand, 32, "discovery")))


def mlps_by_effect(model: str) -> tuple[str, ...]:
    """All MLPs, those first that restore least of both operands on discovery pairs, or take away."""
    both = [restored_through_layers(model, sums(model, operand, 32, "discovery")) for operand in ("first", "second")]
    effects = {name: sum(float(one[name].array.mean()) for one in both) for name in both[0].mlp_columns}
    return tuple(sorted(effects, key=lambda name: effects[name]))


def middle_half(model: str) -> tuple[int, ...]:
    """All layers but a quarter of them, rounded up, at either end: at most half, whatever the layers do."""
    count = len(layers_by_effect(model))
    outer = -(-count // 4)
    return tuple(range(outer, count - outer))


def mlps_that_do_and_do_not(model: str) -> tuple[int, int]:
    """The last layer from which on MLPs restore 90 % of either operand on discovery pairs, together at the last
    position, and the first behind it from which on they restore 70 % of neither."""
    both = [restored_through_layers(model, sums(model, operand, 32, "discovery")) for operand in ("first", "second")]

    def above(share: float, layer: int) -> list[bool]:
        means = [[float(one[name].array.mean()) for name in (f"MLPs from layer {layer} on", "total")] for one in both]
        return [found >= share * total for found, total in means]

    last = len(both[0].mlp_columns) - 1
    do = max((layer for layer in range(1, last) if all(above(0.9, layer))), default=1)
    return do, next((layer for layer in range(do + 1, last) if not any(above(0.7, layer))), last)


def stream_map(model: str, operand: Operand) -> dict[tuple[str, str], Measurement]:
    """What the stream restores behind each layer at the digits of an operand, and at the last position."""
    places = {
        "operand": restored_at_operand(model, sums(model, operand, n=48)),
        "last position": restored_through_layers(model, sums(model, operand)),
    }
    names = [f"after layer {layer}" for layer in sorted(layers_by_effect(model))]
    return {(name, place): found[name] for place, found in places.items() for name in names}
