"""Control runs: the same claim with its part exchanged, on parts whose effect is known."""

import importlib.util
import json
from pathlib import Path

import pytest

from mechlib.evidence import Store, using
from mechlib.judging.claim import Claim
from mechlib.judging.controls.run import run_controls
from mechlib.judging.judge import attempt
from tests.helpers.house import build

EVIDENCE = """
import numpy as np
from mechlib import *
from mechlib.evidence import evidence
from mechlib.prompts import ioi

BIG = ("1.3", "2.5")


@evidence
def effects(model: str, prompts: PromptSet) -> Measurement:
    '''.8 for the heads 1.3 and 2.5, .1 for others.'''
    import numpy as np
    columns = [str(head) for head in all_heads(4, 8)]
    values = np.array([[.8 if name in ("1.3", "2.5") else .1 for name in columns] + [1.0]] * len(prompts))
    spread = np.linspace(-.01, .01, len(prompts))[:, None]
    return Measurement(values + spread, [row.fingerprint for row in prompts], columns=(*columns, "total"))


@evidence
def together(model: str, heads: Heads, prompts: PromptSet, floor: float = 0.0) -> Measurement:
    '''.4 for each of 1.3 and 2.5 among the heads, and a little for any other; never less than the floor.'''
    import numpy as np
    found = [.4 if str(head) in ("1.3", "2.5") else .01 * head.layer for head in heads]
    total = max(sum(found), floor)  # no choice of parts: over a sum and a floor
    values = total + np.linspace(-.01, .01, len(prompts))
    return Measurement(values, [row.fingerprint for row in prompts], columns=("together",))


@evidence
def after(model: str, prompts: PromptSet) -> Measurement:
    '''What is there after each layer.'''
    import numpy as np
    values = np.array([[.1, .5, .9, .9]] * len(prompts)) + np.linspace(-.01, .01, len(prompts))[:, None]
    columns = [f"after layer {layer}" for layer in range(4)]
    return Measurement(values, [row.fingerprint for row in prompts], columns=columns)


@evidence
def ignoring(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    '''The same whatever heads are named.'''
    import numpy as np
    return Measurement(.8 + np.linspace(-.01, .01, len(prompts)), [row.fingerprint for row in prompts])


def chosen(model, n=1):
    return strongest(effects(model, ioi(80, split="discovery")), n)
"""


def claim(body, source="made up for this test"):
    return f"\n\ndef test_it(model):\n    '''It is so.\n\n    Source: {source}.\n    '''\n    {body}\n"


@pytest.fixture
def controls(tmp_path, monkeypatch):
    """A function that judges a claim on mini-0, which has four layers of eight heads, and returns its controls."""
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)  # each store here is a run of its own
    build(tmp_path, "", ("mini-0",))
    said: list[str] = []

    def run(body, mode="measure", model="mini-0", evidence=EVIDENCE, layers=4, **sampled):
        config = {"n_layer": layers, "n_head": 8}
        (tmp_path / "fixtures" / "mini-0" / "config.json").write_text(json.dumps(config))
        file = tmp_path / "claims" / "test_topic.py"
        file.write_text(evidence + claim(body))
        spec = importlib.util.spec_from_file_location("test_topic", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        store = Store(tmp_path, mode=mode, say=said.append, **sampled)
        judged = Claim(module.test_it)
        with using(store):
            first = attempt(judged, {"model": model})
            return run_controls(judged, {"model": model}, first, store)

    run.said = said  # type: ignore[attr-defined]
    run.folder = tmp_path / "artifacts" / "evidence"  # type: ignore[attr-defined]
    return run


def only(found):
    (one,) = found
    return one


def test_a_known_head_is_controlled_by_the_others(controls):
    found = only(controls("assert mean(effects(model, ioi(160))[chosen(model)]) >= 0.5"))
    # Of 31 others one, 2.5, has the effect as well: (1 + 1) / (31 + 1) is .0625.
    assert (found.word, found.part, found.sets, found.on_the_side) == ("weak", "1.3", 31, 1)
    assert found.in_layer == (0, 7)
    assert found.rank == 2
    assert sorted(round(value, 3) for value in found.values) == [0.1] * 30 + [0.8]


def test_a_head_that_alone_has_the_effect_passes(controls):
    alone = EVIDENCE.replace('name in ("1.3", "2.5")', 'name == "1.3"')
    found = only(controls("assert mean(effects(model, ioi(160))[chosen(model)]) >= 0.5", evidence=alone))
    assert (found.word, found.on_the_side, found.sets, found.in_layer, found.rank) == ("passed", 0, 31, (0, 7), 1)


def test_what_any_head_satisfies_is_void(controls):
    found = only(controls("assert mean(effects(model, ioi(160))[chosen(model)]) >= 0.05"))
    assert (found.word, found.on_the_side, found.sets, found.in_layer) == ("void", 31, 31, (7, 7))


def test_what_most_of_its_layer_satisfy_is_void_though_few_others_do(controls):
    own_layer = EVIDENCE.replace('name in ("1.3", "2.5")', 'name[0] == "1" and name < "1.5"')
    found = only(controls("assert mean(effects(model, ioi(160))[chosen(model)]) >= 0.5", evidence=own_layer))
    assert (found.word, found.on_the_side, found.in_layer) == ("void", 4, (4, 7))


def test_several_heads_are_exchanged_together_for_sets_of_their_layers(controls):
    body = "assert mean(together(model, chosen(model, 2), ioi(160))) >= 0.5"
    found = only(controls(body))
    assert (found.word, found.part, found.sets, found.on_the_side) == ("passed", "1.3 2.5", 39, 0)
    assert found.in_layer == (0, 39)  # all of them are of its layers
    assert {round(value, 2) for value in found.values} == {0.03}  # one of layer 1 and one of layer 2
    assert only(controls(body.replace("ioi(160)", "ioi(160), 0.9"))).word == "void"


def test_where_39_leave_it_open_200_are_asked(controls):
    some = EVIDENCE.replace("found = [", "found = [.9 if str(heads) in ('1.0 2.0', '1.1 2.1', '1.2 2.2') else ")
    found = only(controls("assert mean(together(model, chosen(model, 2), ioi(160))) >= 0.5", evidence=some))
    # All that there are: 49 of layers 1 and 2, then 56 of layers 0 and 1 and 56 of layers 2 and 3.
    assert (found.word, found.sets, found.on_the_side) == ("passed", 161, 3)


def test_slices_of_one_selection_are_one_part(controls):
    body = (
        "both = chosen(model, 2)\n"
        "    requires(mean(effects(model, ioi(160))[both[:1]]) >= 0.5)\n"
        "    assert difference(together(model, both, ioi(160)), together(model, both[1:], ioi(160))) >= 0.3"
    )
    found = only(controls(body))
    assert (found.word, found.part, found.sets, found.on_the_side) == ("passed", "1.3 2.5", 39, 0)


def test_a_layer_of_four_has_no_control(controls):
    found = only(controls("assert mean(after(model, ioi(160))['after layer 2']) >= 0.5"))
    assert (found.word, found.part, found.sets, found.evidence) == ("no set", "after layer 2", 3, "")
    assert not list(controls.folder.glob("controls/**/*.jsonl"))


LAYERED = (
    EVIDENCE
    + """

@evidence
def without(model: str, prompts: PromptSet) -> Measurement:
    '''What is left without each MLP: the first is needed most. The heads of all later layers stand beside them.'''
    import numpy as np
    columns = [*(f"mlp {layer}" for layer in range(4)), "later heads", "intact"]
    values = np.array([[.1, .7, .8, .9, .6, 1.0]] * len(prompts)) + np.linspace(-.01, .01, len(prompts))[:, None]
    return Measurement(values, [row.fingerprint for row in prompts], columns=columns)


@evidence
def again(model: str, prompts: PromptSet) -> Measurement:
    '''Another measurement of one column.'''
    import numpy as np
    return Measurement(np.linspace(0, .1, len(prompts)), [row.fingerprint for row in prompts], columns=["mlp 0"])
"""
)
OTHERS = "['mlp 1', 'mlp 2', 'mlp 3']"


@pytest.mark.parametrize("others", [OTHERS, "['mlp 3', 'later heads', 'mlp 2', 'mlp 1']"])
def test_a_part_that_is_held_against_every_other_of_its_kind_leaves_nothing_to_exchange(controls, others):
    body = f"left = without(model, ioi(160))\n    assert every(difference(left[{others}], left['mlp 0'])) >= 0.3"
    found = controls(body, evidence=LAYERED)
    assert {(one.word, one.kind) for one in found} == {("by kind", "every other of its kind")}
    assert len(found) == (3 if "later heads" in others else 2)
    assert "mlp 0" in {one.part for one in found}


@pytest.mark.parametrize(
    "compared",
    [
        "every(difference(left[['mlp 1', 'mlp 2']], left['mlp 0'])) >= 0.3",  # of three others two
        "some(difference(left[['mlp 1', 'mlp 2', 'mlp 3']], left['mlp 0'])) >= 0.3",  # one of them suffices
        "every(difference(left['intact'], left[['mlp 0', 'mlp 1', 'mlp 2', 'mlp 3']])) >= 0.05",  # all in one take
        "difference(left['mlp 1'], left['mlp 0']) >= 0.3",
        "difference(left['intact'], left['mlp 0']) >= 0.3",
    ],
)
def test_a_part_that_is_held_against_some_or_taken_with_all_others_has_no_set(controls, compared):
    found = controls(f"left = without(model, ioi(160))\n    assert {compared}", evidence=LAYERED)
    assert "no set" in {one.word for one in found}
    assert "by kind" not in {one.word for one in found}


@pytest.mark.parametrize(
    "compared",
    [
        f"every(mean(left[{OTHERS}])) >= 0.3",  # the part is taken, and not compared
        f"every(difference(left[{OTHERS}], left['intact'].less('intact', 'intact'))) >= 0.3",
        f"every(difference(left[{OTHERS}], again(model, ioi(160)))) >= 0.3",  # something else is subtracted
    ],
)
def test_a_part_that_is_taken_beside_the_comparison_is_not_held_against_the_others(controls, compared):
    body = f"left = without(model, ioi(160))\n    beside = left['mlp 0']\n    assert {compared}"
    assert "by kind" not in {one.word for one in controls(body, evidence=LAYERED)}


def test_what_is_made_of_all_others_is_not_every_other(controls):
    body = (
        f"left = without(model, ioi(160))\n    rest = left[{OTHERS}]\n"
        "    made = rest.with_columns({'low': rest.values.mean(axis=1) - .1, 'high': rest.values.mean(axis=1)})\n"
        "    assert every(difference(made, left['mlp 0'])) >= 0.3"
    )
    assert "by kind" not in {one.word for one in controls(body, evidence=LAYERED)}


DEEP = """
from mechlib import *
from mechlib.evidence import evidence
from mechlib.prompts import ioi


@evidence
def by_layer(model: str, prompts: PromptSet) -> Measurement:
    '''.9 after layer 7, else .1.'''
    import numpy as np
    columns = [f"after layer {layer}" for layer in range(24)]
    values = np.array([[.9 if layer == 7 else .1 for layer in range(24)]] * len(prompts))
    return Measurement(values, [row.fingerprint for row in prompts], columns=columns)


@evidence
def of_layer(model: str, layer: int, prompts: PromptSet) -> Measurement:
    '''The same, asked by number.'''
    import numpy as np
    return Measurement(np.full(len(prompts), .9 if layer == 7 else .1), [row.fingerprint for row in prompts])
"""


@pytest.mark.parametrize("asked", ["by_layer(model, ioi(160))['after layer 7']", "of_layer(model, 7, ioi(160))"])
def test_of_24_layers_the_others_control_one(controls, asked):
    found = only(controls(f"assert mean({asked}) >= 0.5", evidence=DEEP, layers=24))
    assert (found.word, found.sets, found.on_the_side) == ("passed", 23, 0)
    assert found.part in ("after layer 7", "layer 7")


CIRCUITS = """
from mechlib import *
from mechlib.evidence import evidence
from mechlib.prompts import ioi

OWN = circuit("input->0.3.v, 0.3->1.2.q, 1.2->logits")


@evidence
def kept(model: str, circuits: tuple[Circuit, ...], prompts: PromptSet) -> Measurement:
    '''A third for each edge of the circuit that is in the last of them.'''
    import numpy as np
    own = {"input->0.3.v", "0.3->1.2.q", "1.2->logits"}
    return Measurement(np.full(len(prompts), len(own & set(circuits[-1])) / 3), [row.fingerprint for row in prompts])
"""


@pytest.mark.parametrize("given", ["(OWN,)", "(OWN[:1], OWN[:2], OWN)"])
def test_a_circuit_is_exchanged_for_random_ones_with_its_slices(controls, given):
    found = only(controls(f"assert mean(kept(model, {given}, ioi(160))) >= 0.9", evidence=CIRCUITS))
    assert (found.word, found.kind, found.sets, found.on_the_side) == ("passed", "random circuits on paths", 20, 0)


def test_of_a_circuit_one_set_is_measured_anew(controls):
    controls(body := "assert mean(kept(model, (OWN,), ioi(160))) >= 0.9", evidence=CIRCUITS)
    assert only(controls(body, "fresh", evidence=CIRCUITS)).reproduced == 1


def test_a_claim_that_names_no_part_says_so(controls):
    found = only(controls("assert mean(effects(model, ioi(160))['total']) >= 0.5"))
    assert (found.word, found.message) == ("none", "no part named")
    assert only(controls("assert some(mean(effects(model, ioi(160)).without(['total']))) >= 0.5")).word == "none"


def test_a_claim_that_holds_the_null_of_random_sets_needs_no_other(controls):
    held = (
        EVIDENCE
        + """

@evidence
def both(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    '''The heads, and the mean of random ones.'''
    import numpy as np
    values = np.array([[.8, .1]] * len(prompts)) + np.linspace(-.01, .01, len(prompts))[:, None]
    return Measurement(values, [row.fingerprint for row in prompts], columns=("chosen", "random"))


@evidence
def null(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    '''Random sets, a row each.'''
    import numpy as np
    return Measurement(np.linspace(0, .2, 200), [str(n) for n in range(200)], unit="set of heads")
"""
    )
    body = (
        "found = both(model, chosen(model), ioi(160))\n    assert difference(found['chosen'], found['random']) >= 0.5"
    )
    assert only(controls(body, evidence=held)).word == "by kind"
    body = "assert above_null(effects(model, ioi(160))[chosen(model)], null(model, chosen(model), ioi(160))) >= 0.3"
    for unit in ("set of heads", "random circuit", "circuit with exchanged heads"):
        assert only(controls(body, evidence=held.replace("set of heads", unit))).word == "by kind"
    assert only(controls(body, evidence=held.replace("set of heads", "prompt"))).word != "by kind"


@pytest.mark.parametrize("column", ["random", "other", "beyond direction", "beyond direction, mlp 0"])
def test_a_column_that_holds_the_mean_of_other_parts_is_a_null(controls, column):
    held = (
        EVIDENCE
        + f"""

@evidence
def both(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    '''The heads, and the mean of others.'''
    import numpy as np
    values = np.array([[.8, .1]] * len(prompts)) + np.linspace(-.01, .01, len(prompts))[:, None]
    return Measurement(values, [row.fingerprint for row in prompts], columns=("chosen", "{column}"))
"""
    )
    body = f"assert mean(both(model, chosen(model), ioi(160)).less('chosen', '{column}')) >= 0.5"
    assert only(controls(body, evidence=held)).word == "by kind"


def test_what_is_only_shown_or_gated_on_is_not_exchanged(controls):
    body = (
        "show(by_column, together(model, heads('0.0 0.1'), ioi(160)))\n"
        "    requires(mean(together(model, heads('3.0'), ioi(160))) >= 0.01)\n"
        "    assert mean(effects(model, ioi(160))[chosen(model)]) >= 0.5"
    )
    found = only(controls(body, evidence=EVIDENCE + "\nfrom mechlib.figures import by_column\n"))
    assert (found.part, found.sets) == ("1.3", 31)


def test_what_is_shown_of_the_part_itself_is_not_asked_of_others(controls):
    picky = (
        EVIDENCE
        + """
from mechlib.figures import by_column


@evidence
def picture(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    '''Of 1.3 only.'''
    import numpy as np
    if str(heads) != "1.3":
        raise ValueError("there is no picture of others")
    return Measurement(np.linspace(0, 1, len(prompts)), [row.fingerprint for row in prompts])
"""
    )
    shown = "show(by_column, picture(model, chosen(model), ioi(160)))\n    "
    body = "assert mean(effects(model, ioi(160))[chosen(model)]) >= 0.5"
    found = only(controls(shown + body, evidence=picky))
    assert (found.word, found.sets, found.message[:7]) == ("weak", 31, "1 of 31")


def test_two_parts_are_exchanged_one_at_a_time_and_the_other_is_held(controls):
    body = "found = effects(model, ioi(160))\n    assert difference(found[chosen(model)], found['0.0']) >= 0.5"
    first, second = sorted(controls(body), key=lambda one: one.part)
    assert (first.part, second.part) == ("0.0", "1.3")
    # 0.0 exchanged: the claim holds whichever weak head is subtracted, but not 2.5. 1.3 exchanged: for 2.5 only.
    assert (first.word, first.on_the_side, first.sets) == ("void", 29, 30)
    assert (second.word, second.on_the_side, second.sets) == ("weak", 1, 30)


def test_all_but_the_chosen_means_the_chosen(controls):
    body = (
        "found = effects(model, ioi(160))\n"
        "    assert every(difference(found[chosen(model)], found.without([*chosen(model), '2.5', 'total']))) >= 0.5"
    )
    parts = {one.part: one for one in controls(body)}
    assert set(parts) == {"1.3 2.5"}  # what is left out is named with it


def test_names_as_text_and_in_loops_are_exchanged_as_well(controls):
    body = (
        "found = effects(model, ioi(160))\n"
        "    singly = {str(head): found[str(head)].array for head in chosen(model, 2)}\n"
        "    assert every(mean(found.with_columns(singly))) >= 0.5"
    )
    found = controls(body)
    assert {one.part for one in found} == {"1.3", "2.5"}
    assert {(one.word, one.on_the_side, one.sets) for one in found} == {("passed", 0, 30)}  # the other is held


def test_evidence_that_does_not_look_at_the_part_is_void_and_not_an_error(controls):
    found = only(controls("assert mean(ignoring(model, chosen(model), ioi(160))) >= 0.5"))
    assert (found.word, found.on_the_side, found.sets) == ("void", 31, 31)


def test_an_exchange_that_exchanges_nothing_is_an_error_and_never_void(controls, monkeypatch):
    from mechlib.parts.exchange import Exchange

    monkeypatch.setattr(Exchange, "argument", lambda self, value, parameter="": value)
    found = only(controls("assert mean(ignoring(model, chosen(model), ioi(160))) >= 0.5"))
    assert found.word == "error"
    assert "the claim read the very same" in found.message


def test_refuted_claims_absences_and_twins_have_no_control_run(controls):
    assert controls("assert mean(effects(model, ioi(160))[chosen(model)]) >= 0.9") == ()
    assert controls("assert mean(effects(model, ioi(160))[chosen(model)]) <= 0.9") == ()
    assert controls("assert mean(effects(model, ioi(160))[chosen(model)]) >= 0.5", model="mini-0@permuted") == ()


# --- files --------------------------------------------------------------------------------------------------------

BODY = "assert mean(together(model, chosen(model, 2), ioi(160))) >= 0.5"


def filed(controls) -> Path:
    (path,) = controls.folder.glob("controls/topic/*.jsonl")
    return path


def test_what_is_filed_is_judged_and_not_measured_again(controls):
    first = only(controls(BODY))
    assert first.measured
    assert controls.folder / first.evidence == filed(controls)
    assert filed(controls).stat().st_size <= 10_000
    controls.said.clear()
    again = only(controls(BODY, mode="frozen"))
    assert not again.measured
    assert (again.word, again.values, again.rank) == (first.word, first.values, first.rank)
    assert not controls.said


def test_nothing_of_an_exchanged_part_is_filed_by_itself(controls):
    controls(BODY)
    assert len(list((controls.folder / "topic").glob("together--*.jsonl"))) == 1


def test_frozen_measures_nothing_and_names_the_command(controls):
    controls("assert mean(effects(model, ioi(160))['total']) >= 0.5")
    controls(BODY)
    filed(controls).unlink()
    found = only(controls(BODY, mode="frozen"))
    assert (found.word, found.evidence) == ("not measured", "")
    assert "`pytest --controls -k test_it`" in found.message


def test_a_changed_claim_is_asked_anew_and_takes_the_file_of_the_old_one(controls):
    controls(BODY)
    old = filed(controls)
    controls(BODY.replace("ioi(160)", "ioi(120)"))
    assert filed(controls) != old
    assert only(controls(BODY, mode="frozen")).word == "not measured"


def test_fresh_measures_two_sets_anew_and_finds_a_forged_value(controls):
    from mechlib.evidence.sealed import write
    from mechlib.judging.controls import files as control_files

    controls(BODY)
    assert only(controls(BODY, mode="fresh")).reproduced == 2
    read = control_files.load(filed(controls))
    said = {name: value for name, value in read.said.items() if name not in ("schema", "levels", "counts", "sha256")}
    forged = tuple(control_files.ControlRow(row.part, row.other, row.n, 0.02) for row in read.rows)
    write(filed(controls), control_files.encode(control_files.ControlFile(said, forged)))
    assert only(controls(BODY, mode="frozen")).word == "passed"
    found = only(controls(BODY, mode="fresh"))
    assert found.word == "error"
    assert "--replace" in found.message
    assert only(controls(BODY, mode="replace")).measured
    assert only(controls(BODY, mode="fresh")).word == "passed"


def test_of_a_sample_a_control_file_is_measured_anew_where_it_is_drawn(controls):
    controls(BODY)
    assert [only(controls(BODY, "fresh", sample=4, draw=str(n))).reproduced for n in range(12)].count(2) in range(1, 8)
    assert only(controls(BODY, "fresh", sample=10**9)).reproduced == 0


def test_a_damaged_file_is_an_error(controls):
    controls(BODY)
    filed(controls).write_bytes(filed(controls).read_bytes().replace(b"0.03", b"0.04"))
    assert only(controls(BODY, mode="frozen")).word == "error"


def test_other_instruments_are_flagged(controls):
    from mechlib.evidence.sealed import write
    from mechlib.judging.controls import files as control_files

    controls(BODY)
    read = control_files.load(filed(controls))
    write(filed(controls), control_files.encode(control_files.ControlFile({**read.said, "stamps": {}}, read.rows)))
    older = only(controls(BODY, mode="frozen"))
    assert older.flags == ("OLDER INSTRUMENTS",) and older.word != "error"
    controls(BODY, mode="fresh")
    again = only(controls(BODY, mode="frozen"))
    assert again.flags == () and again.word == older.word
    assert filed(controls).read_bytes().count(b'"sha256"') == 1


# --- a model whose circuit is known -------------------------------------------------------------------------------

PLANTED = "planted-induction-0-3x8"  # 0.3 finds the previous word, 1.7 copies what followed it; 22 heads do nothing
KNOWN = """
from mechlib import *
from mechlib.evidence import evidence
from mechlib.prompts import planted

P = "planted-induction-0-3x8"


@evidence
def restored(model: str, prompts: PromptSet) -> Measurement:
    '''Logit difference that each head restores.'''
    from mechlib.lab import load, restored_by_patching
    return restored_by_patching(load(model), prompts, all_heads(3, 8))


@evidence
def left(model: str, prompts: PromptSet) -> Measurement:
    '''Logit difference that is left where a head says what it says in the corrupted run.'''
    from mechlib.lab import load, lost_by_patching
    found = lost_by_patching(load(model), prompts, all_heads(3, 8))
    return found.with_columns({name: found["total"].array - found[name].array for name in found.head_columns})


def found(model):
    return strongest(restored(model, planted(P, 40, "discovery")))
"""


def test_the_planted_head_is_controlled_by_all_others(controls):
    body = "effects = restored(model, planted(P, 60))\n    assert ratio(effects[found(model)], effects['total']) >= 0.9"
    one = only(controls(body, model=PLANTED, evidence=KNOWN))
    assert (one.word, one.part, one.sets, one.on_the_side, one.in_layer) == ("passed", "1.7", 23, 0, (0, 7))


def test_that_the_model_works_without_a_head_that_does_nothing_is_void(controls):
    body = "assert mean(left(model, planted(P, 60))['2.4']) >= 9"
    one = only(controls(body, model=PLANTED, evidence=KNOWN))
    assert (one.word, one.part, one.sets, one.on_the_side, one.in_layer) == ("void", "2.4", 23, 22, (7, 7))


# --- what an instrument refuses -----------------------------------------------------------------------------------

REFUSES = "    if '2.0' in map(str, heads):\n        raise {}\n    found = [.4"


def test_an_instrument_that_refuses_a_set_is_an_error_with_its_line(controls):
    refusing = EVIDENCE.replace("    found = [.4", REFUSES.format("ValueError('no 2.0 here')"))
    found = only(controls(BODY, evidence=refusing))
    assert (found.word, found.message) == ("not measured", "ValueError: no 2.0 here")
    assert not list(controls.folder.glob("controls/**/*.jsonl"))


def test_a_set_that_changes_nothing_is_silent_and_counts_as_one_that_does_not_hold(controls):
    dead = "type('NothingChanged', (RuntimeError,), {})('dead')"
    found = only(controls(BODY, evidence=EVIDENCE.replace("    found = [.4", REFUSES.format(dead))))
    assert (found.word, found.sets) == ("passed", 39)
    assert len(found.values) < 39
