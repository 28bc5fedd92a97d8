"""Addition of numbers up to 99, and its relatives: subtraction, increment, operands beyond training.

What is held out is the unordered pair of operands, in every wording and in both orders, for addition commutes; in
subtraction it is the pair of subtrahend and difference, in increment the pair of the number and one. No pair of the
confirmation set is in the discovery set. The reference set, for means and resampling only, asks for the discovery
pairs in the other order. Prompts begin with 0 to 8 fillers, so that no position gives anything away.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, Literal

from mechlib.prompts import sampling as draws
from mechlib.prompts import world
from mechlib.prompts.pretrained.style import Style
from mechlib.prompts.promptset import Prompt, PromptSet, Split
from mechlib.prompts.sums.operands import (
    Operand,
    Operands,
    Others,
    choice,
    known,
    other_tens,
    pairs_of,
    same_sum,
    sharing,
)
from mechlib.prompts.sums.wordings import Wording, wording_of
from mechlib.prompts.world import Pair

BUCKETS: Final = (0, 50, 100, 150, 2 * world.LARGEST_OPERAND + 1)  # of sums, by which strips and tables are cut
FILLERS: Final = range(world.MAX_FILLERS + 1)


@functools.cache
def addition(
    n: int | None = None,
    split: Split = "confirmation",
    wording: str = "plain",
    corrupt: Operand = "first",
    operands: Operands = "trained",
    shots: int = 0,
    seed: int = 0,
    style: Style = "world",
) -> PromptSet:
    """Sums of two numbers whose sum was never trained, in either order and in any wording.

        clean             oh well What is 23 + 54 ? Answer : -> 77
        corrupted first   oh well What is 61 + 54 ? Answer : -> 115
        corrupted second  oh well What is 23 + 12 ? Answer : -> 35

    Clean and corrupted differ in one operand, so activations align by position; both are questions of the same kind,
    and the other pair was as little trained as this one, is of the same split and has another sum. What the difference
    of their runs comes from is therefore that one operand; what both share, the other operand among it, cancels: to
    restore the answer a component must carry the operand that was replaced, or something computed from it. Replacing
    each of the two is a claim of its own. Any pair is as likely to replace as to be replaced, so a model that prefers
    some numbers by themselves scores about zero.

    All 700 confirmation pairs, or 310 of discovery, in one order each; `n` takes the first of a fixed shuffle. A pair
    that shares the kept operand with no other of its split is left out (one in discovery, with `corrupt="second"`).
    `seed` draws fillers and replacements. Fillers and pairs are the same whatever is corrupted, in every wording.

    `wording`: "plain", "sum" or "add" of training; "question", as is usual for models from the Hub:
    `Question: What is 23+54? Answer: 23+54=77`; or a text of one's own with {a} and {b}, the first and the second
    operand, which may end in {sum}: "Add {a} to {b} :". Wordings that are not all words of the minis have no fillers,
    and numbers are replaced by numbers of as many digits, for models that read digits; pairs without one are left out.
    `operands="100 to 120"`: one operand is of that range, which training never added; the sum is at most 198.
    `shots=2`: that many solved discovery pairs in the same wording come first, and no fillers; none has a number that
    is the answer or the distractor. Both are outside of what the minis were trained on: no bound of theirs holds there.

    `style="pretrained"`, which `style_of(model)` chooses: ordinary spacing, no fillers, operands of two digits whose
    sum has two; of 1,103 unordered pairs of confirmation and 537 of discovery those that have a replacement whose sum
    has other tens, 1,080 and 525 for the first operand. So all prompts of a wording are as long, and the first digit
    of the answer decides: behind "=" in "question", and in "plain" behind a space of its own where a model reads
    digits. `answers_correctly` asks for all of the answer.

    Factor: the operands of clean and corrupted text, which prompts share though no two have the same pair.
    Labels: `carry` of the units ("carry" or "no carry"), `sum` ("0 to 49", ... "150 to 198"), `a`, `b`. Raises
    ValueError on more prompts than there are, none, unknown splits, operands and wordings, and negative shots.

    Source: Stolfo et al. 2023, arXiv:2305.15054, corrupt questions by other operands, all at once, or by another
    operation; replacing one operand follows from asking which of them a component carries.
    """
    pairs = pairs_of(split, operands, style)
    others = sharing(pairs, choice("corrupt", corrupt))
    others = other_tens(others) if style == "pretrained" else others
    named = {"wording": (wording, "plain"), "corrupt": (corrupt, "first"), "operands": (operands, "trained")}
    named["style"] = (style, "world")
    settings = {name: value for name, (value, default) in named.items() if value != default}
    form = wording_of(wording, style)
    if shots:
        shown = pairs_of("discovery", style=style)
        rows = _solved(_rows(form, pairs, others, split, seed, fillers=False), form, split, shots, seed, shown)
        return _taken("addition", n, split, rows, shots=shots, seed=seed, **settings)
    return _taken("addition", n, split, _rows(form, pairs, others, split, seed), seed=seed, **settings)


@functools.cache
def partners(
    split: Split = "confirmation",
    per_pair: int = 4,
    corrupt: Operand | Literal["both"] = "first",
    seed: int = 0,
    style: Style = "world",
    wording: str = "plain",
) -> PromptSet:
    """The prompts of `addition`, each with up to `per_pair` different corrupted texts.

        clean  oh well What is 23 + 54 ? Answer : -> 77      corrupted  oh well What is 61 + 54 ? Answer : -> 115
        clean  oh well What is 23 + 54 ? Answer : -> 77      corrupted  oh well What is 30 + 54 ? Answer : -> 84

    For studies of right against wrong: of these rows one takes those whose clean text a half-trained model answers
    rightly and whose corrupted text, which shares an operand, it answers wrongly. Rows of one pair are not independent:
    the label `pair` ("23 + 54"), beside those of `addition`, says which belong together.

    `corrupt="both"`: both operands are others, of the same sum. The rows have no distractor, for what is right behind
    either text is the same; a wrong answer turned right is then not the other text's answer.

        clean  What is 23 + 54? Answer: -> 77      corrupted  What is 31 + 46? Answer: -> 77

    `style` and `wording` as of `addition`: `style=style_of(model)`.
    Raises ValueError on `per_pair` < 1 and as `addition` does.
    """
    if not draws.whole(per_pair):
        raise ValueError(f"{per_pair!r} partners a pair were asked for: ask for at least one, and for a whole number")
    pairs, form = pairs_of(split, style=style), wording_of(wording, style)
    others = same_sum(pairs) if corrupt == "both" else sharing(pairs, choice("corrupt", corrupt))
    others = other_tens(others) if style == "pretrained" and corrupt != "both" else others
    rows = _rows(form, pairs, others, split, seed, each=per_pair, whole=True)
    named = {"wording": (wording, "plain"), "style": (style, "world")}
    settings = {name: value for name, (value, default) in named.items() if value != default}
    return _taken("partners", None, split, rows, per_pair=per_pair, corrupt=corrupt, seed=seed, **settings)


@functools.cache
def subtraction(
    n: int | None = None, split: Split = "confirmation", corrupt: Operand = "first", seed: int = 0
) -> PromptSet:
    """Differences, over the same held-out pairs as `addition`: the subtrahend and the difference are the pair.

        clean             oh well What is 77 - 54 ? Answer : -> 23
        corrupted first   oh well What is 66 - 54 ? Answer : -> 12
        corrupted second  oh well What is 77 - 31 ? Answer : -> 46

    The corruption is that of `addition`: one number is replaced, the other question is of the same split, was as little
    trained, and has another answer. It is always of another pair: 77 - 23 would have the clean answer in its text.
    Pairs without such a replacement are left out: with `corrupt="second"`, where the minuend is kept, 25 of 700 and 52
    of 310. Sizes, labels (of the sum that undoes the difference: `sum` is the minuend, `a` the subtrahend) and
    errors are those of `addition`.
    """
    pairs = pairs_of(split, "trained")
    others = sharing(pairs, "second") if choice("corrupt", corrupt) == "first" else same_sum(pairs)
    rows = _rows(Wording.parse(world.SUBTRACTION), pairs, others, split, seed)
    return _taken("subtraction", n, split, rows, corrupt=corrupt, seed=seed)


@functools.cache
def increment(n: int | None = None, split: Split = "confirmation", seed: int = 0) -> PromptSet:
    """The next number, where adding one to it was never trained.

        clean      oh well Which number comes after 61 ? Answer : -> 62
        corrupted  oh well Which number comes after 25 ? Answer : -> 26

    Only 11 pairs of confirmation and 6 of discovery have a one in them: this is for saying that a head carries over, or
    does not, with an interval that shows how few they are. The corrupted number is another of the same split. The
    reference set has the 83 numbers that training does show, for there are no others.
    Labels and errors are those of `addition`.
    """
    if known(split) == "reference":
        pairs = [(a, 1) for a in range(world.LARGEST_OPERAND + 1) if not world.pair_is_held_out(a, 1)]
    else:
        pairs = [(max(pair), 1) for pair in pairs_of(split, "trained") if 1 in pair]
    rows = _rows(Wording.parse(world.INCREMENT), pairs, sharing(pairs, "first"), split, seed)
    return _taken("increment", n, split, rows, seed=seed)


@functools.cache
def trained(seed: int = 0) -> tuple[Prompt, ...]:
    """The 4,040 pairs that training does show, in one order each, corrupted to one another as in `addition`.

    For plain files, and for training another model on what these were trained on. No prompt set: claims are about sums
    that were never trained.
    """
    pairs = [world.one_order(pair) for pair in world.PAIRS if not world.pair_is_held_out(*pair)]
    shuffled = draws.several(draws.generator("addition trained", "discovery", seed), pairs, len(pairs))
    return tuple(_rows(wording_of("plain"), shuffled, sharing(shuffled, "first"), "discovery", seed))


def prompt(a: int, b: int, wording: str = "plain") -> Prompt:
    """One question, without fillers and corruption, whether it was trained or not: for trying things out.

    Raises ValueError where an operand or the sum is none of the numbers 0 to 198, which are all that the minis know.
    """
    known = range(len(world.NUMBERS))
    if a not in known or b not in known or a + b not in known:
        raise ValueError(
            f"{a!r} + {b!r}: the minis know the whole numbers 0 to {known[-1]}: choose operands and a sum among them"
        )
    return wording_of(wording).prompt((a, b), labels=_labels((a, b)))


@functools.cache
def crossed(n: int | None = None, split: Split = "confirmation", take: Operand = "first", seed: int = 0) -> PromptSet:
    """Pairs of questions that share no operand; the answer is that of neither, but of one operand taken over.

        clean         oh well What is 61 + 12 ? Answer :
        corrupted     oh well What is 23 + 54 ? Answer :
        take first    -> 115, which is 61 + 54, not 77
        take second   -> 35, which is 23 + 12, not 77

    For interchange interventions that put the clean run's first, or second, operand into the corrupted run: nothing
    else of the clean run answers so. In `addition` the two texts share the other operand, and all of the clean run
    would give the answer. What the clean text itself asks for is in the label `clean sum`. All three sums differ, all
    three pairs are of the split, and no text is the clean one twice.

    Fillers, factor and the labels `a` and `b`, of the clean text, are those of `addition`. Prompts with no such other
    pair are left out. Raises ValueError as `addition` does.

    Source: Geiger et al. 2021, arXiv:2106.02997, whose counterfactuals take one variable from another input.
    """
    pairs, form = pairs_of(split), wording_of("plain")
    between = sharing(pairs, choice("take", take))  # from a pair to that of the answer
    behind = sharing(pairs, "second" if take == "first" else "first")  # and from there to the clean one
    rows = _crossed(form, pairs, between, behind, split, seed)
    return _taken("crossed", n, split, rows, take=take, seed=seed)


def _crossed(
    form: Wording, pairs: Sequence[Pair], between: Others, behind: Others, split: Split, seed: int
) -> Iterator[Prompt]:
    """For every pair one row: another with one operand of it, whose sum is the answer, and from there one with none."""
    leading = draws.generator("addition fillers", split, seed)
    replacing = draws.generator("addition crossed", split, seed)
    lengths, used = draws.rounds(leading, FILLERS), set[Pair]()
    for pair in pairs:
        lead = "".join(f"{word} " for word in draws.several(leading, world.FILLERS, next(lengths)))
        ways = [(asked, other) for asked in between(pair) for other in behind(asked)]
        found = [
            (asked, other) for asked, other in ways if not {*other} & {*pair} and other not in used
            and len({sum(asked), sum(other), sum(pair)}) == 3
        ]  # fmt: skip
        if found:
            ((asked, other),) = draws.several(replacing, found, 1)
            used.add(other)
            labels = (*_labels(other), ("clean sum", str(sum(other))))
            row = form.prompt(other, pair, lead, labels)
            yield replace(row, answer=str(sum(asked)), distractor=str(sum(pair)))


# --- rows ---------------------------------------------------------------------------------------------------------


def _labels(pair: Pair) -> tuple[tuple[str, str], ...]:
    a, b = pair
    place = next(place for place, start in enumerate(BUCKETS[1:]) if a + b < start)
    return (
        ("carry", "carry" if a % 10 + b % 10 > 9 else "no carry"),
        ("sum", f"{BUCKETS[place]} to {BUCKETS[place + 1] - 1}"),
        ("a", str(a)),
        ("b", str(b)),
    )


def _rows(
    form: Wording,
    pairs: Sequence[Pair],
    others: Others,
    split: Split,
    seed: int,
    each: int = 1,
    fillers: bool = True,
    whole: bool = False,
) -> Iterator[Prompt]:
    """For every pair up to `each` rows with different replacements; pairs without any are left out.

    Fillers and replacements have streams of their own: what a text begins with does not depend on how it is corrupted.
    Whatever is not in the words of the minis may be read digit by digit: there a replacement has as many digits.
    """
    leading = draws.generator("addition fillers", split, seed)
    replacing = draws.generator("addition replacements", split, seed)
    lengths = draws.rounds(leading, FILLERS)
    for pair in pairs:
        words = draws.several(leading, world.FILLERS, next(lengths))
        lead = "".join(f"{word} " for word in words) if fillers and form.of_the_world else ""
        found = [other for other in others(pair) if form.of_the_world or _digits(other) == _digits(pair)]
        labels = _labels(pair) + ((("pair", f"{pair[0]} + {pair[1]}"),) if whole else ())
        for other in draws.several(replacing, found, min(each, len(found))):
            yield form.prompt(pair, other, lead, labels)


def _digits(pair: Pair) -> tuple[int, ...]:
    return tuple(len(str(number)) for number in pair)


def _solved(
    rows: Iterator[Prompt], form: Wording, split: Split, shots: int, seed: int, solved: Sequence[Pair]
) -> Iterator[Prompt]:
    """`rows` with solved pairs of discovery in front; none has a number that is the answer or the distractor."""
    if not draws.whole(shots, least=0):
        raise ValueError(f"{shots!r} shots were asked for: ask for none or more, and for a whole number")
    stream = draws.generator("addition shots", split, seed)
    for row in rows:
        numbers = {int(row.answer), int(row.distractor)}
        asked = {int(row.label("a")), int(row.label("b"))}
        free = [pair for pair in solved if not numbers & {*pair, sum(pair)} and set(pair) != asked]
        if shots > len(free):
            raise ValueError(f"{shots} shots were asked for: at most {len(free)} can stand before {row.clean!r}")
        lead = "".join(form.solved(pair) for pair in draws.several(stream, free, shots))
        yield replace(row, clean=lead + row.clean, corrupted=lead + row.corrupted)


def _taken(task: str, n: int | None, split: Split, rows: Iterator[Prompt], **settings: str | int) -> PromptSet:
    """The first `n` rows as a set, all by default."""
    if n is not None and not draws.whole(n):
        raise ValueError(f"{n!r} prompts of {task} were asked for: ask for at least one, and for a whole number")
    taken = tuple(itertools.islice(rows, n))
    if n is not None and n > len(taken):
        raise ValueError(
            f"{task} has {len(taken)} distinct prompts, {n} asked for: repeats would shrink the interval for free"
        )
    return PromptSet(task, split, taken, tuple(settings.items()), unit="pair")
