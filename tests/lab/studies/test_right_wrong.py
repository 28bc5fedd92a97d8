"""Right against wrong is a loop over Hugging Face's most likely words; norms are those of its own activations."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from mechlib.lab.behaviour import logit_differences
from mechlib.lab.models.loading import load
from mechlib.lab.studies.right_wrong import (
    activation_norms,
    answers_exchanged,
    asked_corrupted,
    right_against_wrong,
)
from mechlib.parts.heads import all_heads
from mechlib.prompts.addition import partners
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import (
    BOS_ID,
    PIECES,
    PLAIN,
    WORDS,
    digit_directory,
    digit_model,
    digit_tokenizer,
    directory,
    pairs,
    random_model,
    sums,
)


@pytest.fixture(scope="module", params=PLAIN)
def both(request, tmp_path_factory):
    """Our model, and Hugging Face's."""
    path = directory(tmp_path_factory.mktemp("right") / request.param, request.param)
    return load(str(path)), random_model(request.param)


def forward(hugging_face, text: str):
    tokens = torch.tensor([[BOS_ID, *(WORDS.index(word) for word in text.split())]])
    with torch.no_grad():
        return hugging_face(tokens, output_hidden_states=True)


def most_likely(hugging_face, text: str) -> str:
    return WORDS[forward(hugging_face, text).logits[0, -1].argmax()]


def other(word: str) -> str:
    """Some word that is not this one."""
    return "w1" if word != "w1" else "w2"


def answered(hugging_face, n: int = 24) -> PromptSet:
    """Up to three rows for each pair, with answers by which the model is right or wrong, in all four combinations.

    Some pairs have no row to keep, some several. Pairs share corrupted texts.
    """
    rng, rows = random.Random(0), []
    texts = list(pairs(n))
    kinds = list(product((True, False), repeat=2))
    for number, prompt in enumerate(texts):
        alike = [one.corrupted for one in texts if len(one.clean.split()) == len(prompt.clean.split())]
        for corrupted in rng.sample(alike, min(3, len(alike))):
            clean_right, corrupted_right = kinds[number % 4] if number < 8 else rng.choice(kinds)
            said, said_then = most_likely(hugging_face, prompt.clean), most_likely(hugging_face, corrupted)
            answer = said if clean_right else other(said)
            distractor = said_then if corrupted_right else other(said_then)
            rows.append(Prompt(prompt.clean, answer, corrupted, distractor, labels=(("pair", str(number)),)))
    return PromptSet("answered", "confirmation", tuple(rows), (("seed", 0),))


def kept_by_hand(hugging_face, prompts: PromptSet) -> list[Prompt]:
    kept, seen = [], set()
    for row in prompts:
        clean = most_likely(hugging_face, row.clean) == row.answer
        corrupted = most_likely(hugging_face, row.corrupted) == row.distractor
        if clean and not corrupted and row.label("pair") not in seen:
            seen.add(row.label("pair"))
            kept.append(row)
    return kept


# Which rows are kept


def test_what_is_kept_is_the_first_row_of_each_pair_that_hugging_face_answers_rightly_here_and_wrongly_there(both):
    model, hugging_face = both
    prompts = answered(hugging_face)
    wanted = kept_by_hand(hugging_face, prompts)
    found = right_against_wrong(model, prompts)
    assert list(found) == wanted
    numbers = [row.label("pair") for row in found]
    assert len(set(numbers)) == len(numbers)
    assert 2 < len(found) < len({row.label("pair") for row in prompts}), "some pairs are kept, and some are not"
    assert len({row.answer for row in found}) > 1
    assert (found.split, found.settings) == (prompts.split, prompts.settings)
    assert found.name == "answered, right against wrong"


def test_the_first_of_several_rows_of_a_pair_is_kept(both):
    model, hugging_face = both
    prompts = answered(hugging_face)
    (first, *_), backwards = kept_by_hand(hugging_face, prompts), tuple(reversed(prompts.rows))
    turned = right_against_wrong(model, PromptSet("turned", "confirmation", backwards))
    assert list(turned) == kept_by_hand(hugging_face, PromptSet("turned", "confirmation", backwards))
    alone = [replace(row, labels=(("pair", row.fingerprint),)) for row in prompts]
    every = right_against_wrong(model, PromptSet("alone", "confirmation", tuple(alone)))
    assert len(every) > len(turned), "some pair has several such rows"
    assert first in right_against_wrong(model, prompts).rows


def test_one_corrupted_text_may_be_right_in_one_row_and_wrong_in_another(both):
    model, hugging_face = both
    clean, corrupted = (prompt.clean for prompt in pairs(2, longest=6))
    said, said_then = most_likely(hugging_face, clean), most_likely(hugging_face, corrupted)
    rows = tuple(
        Prompt(clean, said, corrupted, distractor, labels=(("pair", name),))
        for name, distractor in (("right", said_then), ("wrong", other(said_then)))
    )
    (kept,) = right_against_wrong(model, PromptSet("two", "confirmation", rows))
    assert kept.label("pair") == "wrong"


def test_partners_are_pairs_of_which_each_may_be_kept_once():
    """The label by which rows are kept is the one that `partners` gives, and it counts operands, not fillers."""
    rows = partners("discovery", per_pair=2)
    assert len({row.label("pair") for row in rows}) < len(rows)
    assert all(row.label("pair") == f"{row.label('a')} + {row.label('b')}" for row in rows)


def test_a_model_that_answers_everything_or_nothing_has_no_such_pair(both):
    model, hugging_face = both
    rows = answered(hugging_face)
    for clean, corrupted in ((True, True), (False, False), (False, True)):
        same = []
        for row in rows:
            said, then = most_likely(hugging_face, row.clean), most_likely(hugging_face, row.corrupted)
            answer, distractor = said if clean else other(said), then if corrupted else other(then)
            same.append(replace(row, answer=answer, distractor=distractor))
        with pytest.raises(ValueError, match=r"answers no pair of same\(.*\) rightly here and wrongly there"):
            right_against_wrong(model, PromptSet("same", "confirmation", tuple(same)))


def test_rows_without_the_label_are_refused(both):
    model, hugging_face = both
    rows = tuple(replace(row, labels=()) for row in answered(hugging_face))
    with pytest.raises(KeyError, match="no label 'pair'"):
        right_against_wrong(model, PromptSet("bare", "confirmation", rows))


def test_answers_of_several_tokens_are_right_where_all_of_them_are(tmp_path):
    """Clean answers are two digits that Hugging Face writes; corrupted ones those, or with another second digit."""
    model, hugging_face = load(str(digit_directory(tmp_path / "digits", "neox"))), digit_model("neox")
    rows: list[Prompt] = []
    for prompt in sums(60):
        answer, then = (greedy(hugging_face, text) for text in (prompt.clean, prompt.corrupted))
        if answer.isdigit() and then.isdigit():
            wrong = then[0] + ("3" if then[1] != "3" else "4")
            labels = (("pair", str(len(rows))),)
            rows.append(Prompt(prompt.clean, answer, prompt.corrupted, (then, wrong)[len(rows) % 2], "", labels, ""))
    assert len(rows) > 9
    found = right_against_wrong(model, PromptSet("digits", "confirmation", tuple(rows)))
    assert list(found) == rows[1::2]


def greedy(hugging_face, text: str) -> str:
    """The two tokens that Hugging Face writes next."""
    ids = [BOS_ID, *digit_tokenizer()(text, add_special_tokens=False)["input_ids"]]
    for _ in range(2):
        with torch.no_grad():
            ids.append(hugging_face(torch.tensor([ids])).logits[0, -1].argmax().item())
    return "".join(PIECES[one] for one in ids[-2:])


# Prompts turned round


def test_the_corrupted_text_is_asked_with_its_own_answer_and_glue():
    row = Prompt("23+54=", "77", "61+54=", "115", "template", (("pair", "23 + 54"),), glue="")
    assert asked_corrupted(row) == Prompt("61+54=", "115", glue="")
    assert asked_corrupted(replace(row, glue=" ")) == Prompt("61+54=", "115")


def test_exchanged_answers_turn_logit_differences_round_and_nothing_else(both):
    model, _ = both
    prompts = pairs(12, clusters=3)
    turned = answers_exchanged(prompts)
    there, here = logit_differences(model, turned), logit_differences(model, prompts)
    np.testing.assert_allclose(there.values, -here.values, atol=1e-6)
    assert np.abs(here.values).min() > 1e-3
    assert turned.fingerprint != prompts.fingerprint
    assert turned.name == "pairs, answers exchanged"
    assert answers_exchanged(turned).rows == prompts.rows
    kept = ("clean", "corrupted", "cluster", "labels", "glue")
    assert all(getattr(a, name) == getattr(b, name) for a, b in zip(turned, prompts, strict=True) for name in kept)


# Norms


def modules(hugging_face) -> tuple[list, list, torch.nn.Module]:
    """The MLPs, the output projections of attention, and the final norm."""
    if hasattr(hugging_face, "transformer"):
        blocks = hugging_face.transformer.h
        return [b.mlp for b in blocks], [b.attn.c_proj for b in blocks], hugging_face.transformer.ln_f
    if hasattr(hugging_face, "gpt_neox"):
        blocks = hugging_face.gpt_neox.layers
        return [b.mlp for b in blocks], [b.attention.dense for b in blocks], hugging_face.gpt_neox.final_layer_norm
    blocks = hugging_face.model.layers
    return [b.mlp for b in blocks], [b.self_attn.o_proj for b in blocks], hugging_face.model.norm


def norms_by_hand(hugging_face, text: str) -> list[float]:
    """From hidden states, but for the last, which Hugging Face norms: there from what enters the final norm."""
    mlps, projections, final = modules(hugging_face)
    seen = {}

    def keep_output(name):
        return lambda module, given, out: seen.update({name: out[0, -1]})

    def keep_input(name):
        return lambda module, given: seen.update({name: given[0][0, -1]})

    handles = [final.register_forward_pre_hook(keep_input("final"))]
    for layer, (mlp, projection) in enumerate(zip(mlps, projections, strict=True)):
        handles.append(mlp.register_forward_hook(keep_output(f"mlp {layer}")))
        handles.append(projection.register_forward_pre_hook(keep_input(f"heads {layer}")))
    states = forward(hugging_face, text).hidden_states
    for handle in handles:
        handle.remove()
    assert len(states) == 3
    parts = [states[1][0, -1], seen["final"], seen["mlp 0"], seen["mlp 1"]]
    parts += [seen[f"heads {layer}"].reshape(4, 8)[head] for layer in range(2) for head in range(4)]
    return [float(part.pow(2).sum().sqrt()) for part in parts]


def test_norms_are_those_of_hugging_faces_activations_at_the_last_position(both):
    model, hugging_face = both
    prompts = pairs(10)
    measured = activation_norms(model, prompts)
    streams, mlps = ("after layer 0", "after layer 1"), ("mlp 0", "mlp 1")
    assert measured.columns == (*streams, *mlps, *map(str, all_heads(2, 4)))
    assert len({len(prompt.clean.split()) for prompt in prompts}) > 3, "one length would not show a wrong order"
    assert measured.units == tuple(prompt.fingerprint for prompt in prompts)
    assert measured.unit == prompts.unit
    for row, prompt in enumerate(prompts):
        np.testing.assert_allclose(measured.values[row], norms_by_hand(hugging_face, prompt.clean), rtol=1e-4)


def test_the_strata_of_norms_are_right_and_wrong_by_hugging_faces_most_likely_word(both):
    model, hugging_face = both
    rows = []
    for number, row in enumerate(pairs(12)):
        said = most_likely(hugging_face, row.clean)
        rows.append(replace(row, answer=said if number % 3 else other(said), distractor="w3" if said != "w3" else "w4"))
    prompts = PromptSet("planted", "confirmation", tuple(rows))
    strata = activation_norms(model, prompts).strata
    assert strata == tuple("right" if number % 3 else "wrong" for number in range(12))
    assert len(activation_norms(model, prompts).stratum("wrong")) == 4


def test_pairs_of_one_sum_ask_the_same_answer_of_either_text():
    row = partners(corrupt="both").rows[0]
    asked = asked_corrupted(row)
    assert (asked.clean, asked.answer) == (row.corrupted, row.answer)
