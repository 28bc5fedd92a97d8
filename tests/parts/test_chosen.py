"""What was chosen remembers on which prompts, and is otherwise what it was."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from mechlib.evidence.question import accepted, refuse_double_dipping
from mechlib.parts.blinding import Blinded, unblinded
from mechlib.parts.chosen import DoubleDipping, chosen_on, plain
from mechlib.parts.circuits import Circuit, circuit, circuit_of
from mechlib.parts.graphs import Graph
from mechlib.parts.heads import Head, Heads, Selection, all_heads, heads
from mechlib.prompts.promptset import Prompt, PromptSet

LOOKED = PromptSet("words", "discovery", tuple(Prompt(f"word {n}", "x") for n in range(3)))
SEEN = LOOKED.members
CHOSEN = Selection((Head(1, 2), Head(0, 3)), SEEN)
EDGES = Circuit(("input->0.3.q", "0.3->logits"), SEEN)
FIRST = next(iter(CHOSEN))

REMEMBERS = {
    "a slice": CHOSEN[:1],
    "its heads": CHOSEN.heads,
    "heads of its heads": Heads(tuple(CHOSEN.heads)),
    "members of its heads": CHOSEN.heads.members,
    "its ranks": CHOSEN.ranked,
    "a head": FIRST,
    "a layer": FIRST.layer,
    "a place": FIRST.head,
    "a head made again": Head(FIRST.layer, FIRST.head),
    "heads made again": Heads((Head(FIRST.layer, FIRST.head),)),
    "a union": heads("2.2") | CHOSEN.heads,
    "what is left": all_heads(2, 4) - CHOSEN,
    "a layer of it": CHOSEN.heads.in_layer(0),
    "heads of its layer": all_heads(2, 4).in_layer(FIRST.layer),
    "its text": str(CHOSEN),
    "the text of a head": str(FIRST),
    "text of text": str(str(FIRST)),
    "formatted text": f"{FIRST}",
    "text with more": "mlp " + str(FIRST),
    "text before more": str(FIRST) + ".q",
    "heads of its text": heads(str(CHOSEN)),
    "a circuit of it": circuit_of(CHOSEN),
    "a circuit of its heads": circuit_of(list(CHOSEN.heads)),
    "a circuit of its text": circuit(str(circuit_of(CHOSEN))),
    "a part of a circuit": EDGES.parts[0],
    "a circuit of parts": Circuit(EDGES.parts[:1]),
    "nodes of edges": EDGES.nodes,
    "heads of edges": EDGES.heads,
    "a complement": circuit_of(CHOSEN).complement(Graph(2, 4)),
    "a circuit without it": Circuit(("0.0", "0.3")) - circuit_of(CHOSEN),
    "a tuple of names": tuple(map(str, CHOSEN.ranked)),
    "a dict by name": {str(FIRST): 1},
    "a pickled head": pickle.loads(pickle.dumps(FIRST)),
    "a pickled name": pickle.loads(pickle.dumps(str(FIRST))),
    "a copy": copy.deepcopy(CHOSEN),
}


@pytest.mark.parametrize("name", REMEMBERS)
def test_whatever_is_made_of_a_selection_remembers_what_chose_it(name):
    assert chosen_on(REMEMBERS[name]) == SEEN


@pytest.mark.parametrize("name", [name for name in REMEMBERS if "dict" not in name])
def test_none_of_it_is_measured_on_the_prompts_that_chose_it(name):
    given = REMEMBERS[name]
    with pytest.raises(DoubleDipping, match="3 of the prompts that chose it"):
        refuse_double_dipping("measured", {"part": (1, given), "prompts": LOOKED})
    others = PromptSet("words", "confirmation", (Prompt("another", "x"),))
    refuse_double_dipping("measured", {"part": (1, given), "prompts": others})


def test_remembering_changes_neither_equality_nor_hash_nor_text():
    assert CHOSEN.heads == heads("1.2 0.3") and hash(CHOSEN.heads) == hash(heads("1.2 0.3"))
    assert FIRST == Head(0, 3) and hash(FIRST) == hash(Head(0, 3)) and repr(FIRST) == repr(Head(0, 3))
    assert FIRST.layer == 0 and str(FIRST) == "0.3" and hash(str(FIRST)) == hash("0.3")
    assert repr(CHOSEN.heads) == repr(heads("1.2 0.3"))


def test_an_evidence_function_receives_parts_that_remember_nothing():
    given = (CHOSEN, CHOSEN.heads, FIRST, FIRST.layer, str(FIRST), circuit_of(CHOSEN))
    received = accepted(given, "parts")
    assert received == (CHOSEN.heads, CHOSEN.heads, FIRST, 0, "0.3", Circuit(("0.3", "1.2")))
    assert not chosen_on(received)
    kinds = [type(entry) for entry in received]
    assert kinds == [Heads, Heads, Head, int, str, Circuit] and type(plain(str(FIRST))) is str


def test_what_nobody_chose_remembers_nothing():
    for part in (heads("1.2"), Head(1, 2), str(Head(1, 2)), circuit("0.3, mlp 1"), all_heads(2, 2) - heads("0.0")):
        assert chosen_on(part) == frozenset()
    assert type(str(Head(1, 2))) is str and type(heads("1.2").members[0]) is Head


# --- numbers that are not looked at -------------------------------------------------------------------------------

NUMBERS = np.array([[1.0, -2.0], [3.0, 5.0]])
CALCULATED = {
    "arithmetic": lambda x: (2 * x - 1) / (x**2 + 1),
    "an absolute value": abs,
    "a logarithm": lambda x: np.log(abs(x)),
    "an index": lambda x: x[0, 1] + x[:, 0],
    "a mean": lambda x: x.mean(axis=0),
    "a mean by numpy": lambda x: np.mean(x),
    "the largest value": lambda x: x.max(),
    "a stack": lambda x: np.stack([x, x], axis=1),
    "a loop": lambda x: sum(row.sum() for row in x),
}
LOOKING = {
    "float": float,
    "int": int,
    "truth": bool,
    "a comparison": lambda x: bool(x > 0),
    "argmax": lambda x: x.argmax(),
    "argmax by numpy": np.argmax,
    "argsort by numpy": np.argsort,
    "a list": lambda x: x.tolist(),
    "item": lambda x: x.item(),
    "an array": np.asarray,
    "an index of a list": lambda x: [1, 2][x],
    "an index by value": lambda x: x[x > 0],
    "python's max": lambda x: max(x, x + 1),
    "sorted": lambda x: sorted([x, x]),
    "a reduction": np.maximum.reduce,
    "where": lambda x: np.where(x > 0, 1, 0),
    "a number in text": lambda x: f"{x:.2f}",
}


@pytest.mark.parametrize("name", CALCULATED)
def test_blinded_numbers_are_calculated_with_as_arrays_are(name):
    found = CALCULATED[name](Blinded(NUMBERS))
    assert isinstance(found, Blinded)
    np.testing.assert_allclose(unblinded(found), CALCULATED[name](NUMBERS))


@pytest.mark.parametrize("name", LOOKING)
def test_blinded_numbers_are_not_looked_at(name):
    with pytest.raises((DoubleDipping, TypeError)) as caught:
        LOOKING[name](Blinded(NUMBERS[0, 0]))
    assert caught.type is DoubleDipping or name == "a number in text"


def test_the_text_of_blinded_numbers_holds_none_of_them():
    assert str(Blinded(NUMBERS)) == repr(Blinded(NUMBERS)) == "<blinded numbers of shape (2, 2)>"
