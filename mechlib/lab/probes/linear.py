"""Linear probes: a logistic regression from the residual stream, or from a bag of tokens, to a class of each prompt.

Every prompt is judged by a probe that was not fitted to it, nor to any prompt of its group. A probe's accuracy says
little alone: a random network's stream has all of its input in it. So the same instrument is asked for random labels by
word (a control task), for shuffled labels, and for what a bag of tokens gives; twins come by the model's name.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mechlib.lab.batching import Batch, batches
from mechlib.lab.models.loading import Model
from mechlib.lab.probes.streams import END, Array, At, Depths, bags, measured, streams, tokens_at
from mechlib.lab.probes.targets import Groups, classes_of, groups_of, require_groups, value_of
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import PromptSet

What = Literal["right", "log loss"]
Labels = Literal["own", "shuffled", "control"]

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # C: the inverse of the penalty on squared weights, of standardised inputs
INNER = 3  # folds within the training part, by which C is chosen
LEAST = float(np.log(np.finfo(np.float64).eps))  # log-probability: no class is taken to be less likely
ITERATIONS = 5000

_OF: dict[What, str] = {"right": "probe names the class, out of fold", "log loss": "log loss of the probe, in nats"}


@dataclass(frozen=True, eq=False)
class Labelled:
    """What probes of several inputs share: a label a prompt, and the folds.

    labels  what is fitted and judged
    folds   rows of training, rows of test, and within the training rows the inner folds by which C is chosen
    """

    labels: np.ndarray
    folds: tuple[tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]], ...]


def probe(
    model: Model,
    prompts: PromptSet,
    target: str,
    at: At = END,
    group: Groups = "prompt",
    what: What = "right",
    labels: Labels = "own",
    word: str = "",
    layers: Depths = None,
    folds: int = 5,
    seed: int = 0,
    unit: str = "",
) -> Measurement:
    """Whether a linear probe of the stream names each prompt's class: one column a depth ("embeddings", ...).

    target  a name of `mechlib.lab.probes.targets.TARGETS` ("sum modulo 10", "subject", ...), or a label ("carry")
    at      where the stream is read: "end", a position, a word, "{a}" for a label's value (`streams.positions`)
    group   what is not split between training and test: ("a", "b") is the unordered pair (`targets.groups_of`)
    what    "right": 1 where the most likely class is the prompt's, else 0; "log loss": of its class, in nats
    labels  "own"; "shuffled": exchanged between groups, or between prompts where a group has several classes;
            "control": a random class for each word type, drawn as often as the classes are, which only a probe that
            remembers words can name. What is judged are these labels
    word    of a control task: the label, or other value, that is the word type; "" is the token at the place
    layers  names of depths, by default all

    A probe is scikit-learn's multinomial logistic regression on inputs standardised in the training part; C is the one
    of STRENGTHS with the least log loss over inner folds, grouped too. Folds are grouped, stratified by the own classes
    and the same at all depths, for all labels and for `probe_bags`, so that differences are paired.

    Raises ValueError where there is one class only, where a class is in one group alone or is never trained on, for
    fewer groups than folds, for a control task of one word type, and for activations that are NaN or infinite.
    Source: Alain and Bengio 2016, arXiv:1610.01644; control tasks: Hewitt and Liang 2019, arXiv:1909.03368.
    """
    _require(what, What)
    _require(labels, Labels)
    made = batches(model, prompts)
    task = labelled(prompts, target, group, folds, seed)
    if labels != "own":
        task = other_labels(task, prompts, made, group, at, word, labels, seed)
    columns = {depth: judged(x, task, what) for depth, x in streams(model, made, at, layers).items()}
    said = "" if labels == "own" else f" ({labels} labels)"
    return measured(prompts, made, columns, f"{target}: {_OF[what]}{said}", unit, yes_no=what == "right")


def probe_bags(
    model: Model,
    prompts: PromptSet,
    target: str,
    at: At = END,
    group: Groups = "prompt",
    what: What = "right",
    folds: int = 5,
    seed: int = 0,
    unit: str = "",
) -> Measurement:
    """What the tokens that a place sees give without their order, beside `probe`: the same folds and the same fit.

    Columns: "bag of embeddings", the sum of the model's token embeddings without positions; "bag of tokens", how often
    there is each token; "majority", the most frequent class of the training part. Arguments and errors as of `probe`.
    """
    _require(what, What)
    made = batches(model, prompts)
    task = labelled(prompts, target, group, folds, seed)
    columns = {f"bag of {name}": judged(x, task, what) for name, x in bags(model, made, at).items()}
    columns["majority"] = _majority(task, what)
    return measured(prompts, made, columns, f"{target}: {_OF[what]}", unit, yes_no=what == "right")


def selectivity(
    model: Model,
    prompts: PromptSet,
    target: str,
    at: At = END,
    group: Groups = "prompt",
    word: str = "",
    layers: Depths = None,
    folds: int = 5,
    seed: int = 0,
    unit: str = "",
) -> Measurement:
    """By prompt and depth, whether the probe is right (1 or 0) less whether the probe of the control task is: its mean
    is the selectivity. Arguments and errors as of `probe`.

    Source: Hewitt and Liang 2019, arXiv:1909.03368.
    """
    made = batches(model, prompts)
    own = labelled(prompts, target, group, folds, seed)
    control = other_labels(own, prompts, made, group, at, word, "control", seed)
    read = streams(model, made, at, layers)
    columns = {depth: judged(x, own, "right") - judged(x, control, "right") for depth, x in read.items()}
    return measured(prompts, made, columns, f"{target}: right less right on the control task, out of fold", unit)


# --- labels and folds ---------------------------------------------------------------------------------------------


def labelled(prompts: PromptSet, target: str, group: Groups, folds: int, seed: int) -> Labelled:
    """The classes of the prompts, and grouped folds stratified by them. Raises what `probe` does."""
    classes, groups = classes_of(prompts, target), groups_of(prompts, group)
    require_groups(classes, groups, target, folds)
    y, by = np.array(classes), np.array(groups)
    made = []
    for train, test in _split(y, by, folds, seed):
        most = max(np.unique(y[train], return_counts=True)[1])
        n = min(INNER, len(set(by[train])), most)
        made.append((train, test, _split(y[train], by[train], n, seed)))
    return _trained(Labelled(y, tuple(made)), target)


def _split(y: np.ndarray, by: np.ndarray, n: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Grouped folds, rows of training and of test; that a class is in some fold alone is looked at afterwards."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(StratifiedGroupKFold(int(n), shuffle=True, random_state=seed).split(y, y, by))


def other_labels(
    task: Labelled,
    prompts: PromptSet,
    made: tuple[Batch, ...],
    group: Groups,
    at: At,
    word: str,
    labels: Labels,
    seed: int,
) -> Labelled:
    """The same folds with shuffled labels, or with those of a control task. Raises what `probe` does."""
    if labels == "shuffled":
        return _trained(Labelled(_shuffled(task.labels, groups_of(prompts, group), seed), task.folds), labels)
    types = tokens_at(made, at) if not word else tuple(" ".join(value_of(prompt, word)) for prompt in prompts)
    known = sorted(set(types))
    if len(known) < 2:
        raise ValueError(
            f"a control task of one word type: all prompts have {word or 'the token'} {known[0]!r} at "
            f"{at!r}; name another, as word='a'"
        )
    given = np.random.default_rng(seed).choice(task.labels, len(known))  # as often as the classes are
    drawn = given[np.searchsorted(known, types)]
    if len(set(drawn)) < 2:
        raise ValueError(
            f"a control task of one class: {len(known)} word types all drew {str(given[0])!r}; give a seed"
        )
    return _trained(Labelled(drawn, task.folds), "the control task")


def _shuffled(labels: np.ndarray, groups: tuple[str, ...], seed: int) -> np.ndarray:
    """Labels exchanged between whole groups, where each has one class: else a fold would train on its own labels."""
    stream, by = np.random.default_rng(seed), np.array(groups)
    known, first, where = np.unique(by, return_index=True, return_inverse=True)
    if len({*zip(groups, labels.tolist(), strict=True)}) > len(known):
        return stream.permutation(labels)
    return stream.permutation(labels[first])[where]


def _trained(task: Labelled, target: str) -> Labelled:
    """The task, where every class is trained on in every fold, and two of them in every inner one."""
    for train, _, inner in task.folds:
        left = set(task.labels) - set(task.labels[train])
        few = any(len(set(task.labels[train][rows])) < 2 for rows, _ in inner)
        if left or few:
            what = f"class {str(min(left))!r} of {target!r}" if left else f"a second class of {target!r}"
            raise ValueError(f"{what} is never trained on in one of the folds: take more prompts, or another seed")
    return task


# --- fits ---------------------------------------------------------------------------------------------------------


def judged(x: Array, task: Labelled, what: What) -> np.ndarray:
    """By prompt, out of fold: 1 where the probe of these inputs names its label, else 0; or the log loss, in nats."""
    found = np.empty(len(x))
    for train, test, inner in task.folds:
        fit = fitted(x[train], task.labels[train], inner)
        chances = fit.predict_log_proba(x[test])
        found[test] = _value(chances, fit.classes_, task.labels[test], what)
    return found


def fitted(x: Array, labels: np.ndarray, inner: list[tuple[np.ndarray, np.ndarray]]) -> Pipeline:
    """Standardised inputs and a logistic regression, C chosen by these folds, then fitted to all of it.

    What GridSearchCV would choose, without its overhead: each C starts where the one before it ended.
    """
    losses = np.zeros(len(STRENGTHS))
    with threadpool_limits(1), config_context(assume_finite=True):  # sums then have one order on every machine
        for train, test in inner:
            scaler, fit = StandardScaler().fit(x[train]), LogisticRegression(max_iter=ITERATIONS, warm_start=True)
            own, other = scaler.transform(x[train]), scaler.transform(x[test])
            for place, strength in enumerate(STRENGTHS):
                fit.set_params(C=strength).fit(own, labels[train])
                chances = fit.predict_log_proba(other)
                losses[place] += _value(chances, fit.classes_, labels[test], "log loss").mean()
        best = STRENGTHS[int(losses.argmin())]  # no choice of parts: over penalties
        return make_pipeline(StandardScaler(), LogisticRegression(C=best, max_iter=ITERATIONS)).fit(x, labels)


def _value(chances: np.ndarray, classes: np.ndarray, labels: np.ndarray, what: What) -> np.ndarray:
    """By row, of log-probabilities by class: whether its label is the most likely, or minus its log-probability."""
    if what == "right":
        return (classes[chances.argmax(axis=1)] == labels) * 1.0
    columns = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    own = np.where(classes[columns] == labels, chances[np.arange(len(labels)), columns], LEAST)
    return -np.maximum(own, LEAST)


def _majority(task: Labelled, what: What) -> np.ndarray:
    found = np.empty(len(task.labels))
    for train, test, _ in task.folds:
        classes, counts = np.unique(task.labels[train], return_counts=True)
        chances = np.log(counts / counts.sum())[None].repeat(len(test), axis=0)
        found[test] = _value(chances, classes, task.labels[test], what)
    return found


def _require(given: str, kinds: Any) -> None:
    if given not in get_args(kinds):
        raise ValueError(f"no {given!r}: choose one of {', '.join(get_args(kinds))}")
