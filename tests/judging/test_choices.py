"""A part that was chosen on the prompts that judge it is refused, however it is written; one named by hand is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib.evidence.code_hash import source_of
from mechlib.judging.choices.named import after_looking, words
from mechlib.judging.claim import Claim, NoClaim
from mechlib.verdicts.record import Record
from tests.helpers.house import HEADER, build, records
from tests.helpers.toys import module

BEGIN = """
@pytest.mark.parametrize("model", ["mini-0"])
def test_NAME(model):
    '''A sentence.
    Source: made up for this test.
    '''
    """
# Forty heads on prompts of either split: all noise but 0.3, and each twin is noise altogether.
EVIDENCE = """
def looked_at(split):
    return PromptSet("words", split, tuple(Prompt(f"{split} {n}", "x") for n in range(60)))

@evidence
def by_head(model: str, prompts: PromptSet) -> Measurement:
    '''One value a head.'''
    import numpy as np
    names = tuple(f"{layer}.{head}" for layer in range(5) for head in range(8))
    values = np.random.default_rng(7).normal(size=(len(prompts), 40))
    values[:, 3] += 2.0 if "@" not in model else 0.0
    return Measurement(values, units=tuple(prompt.fingerprint for prompt in prompts), columns=names)

@evidence
def of_heads(model: str, heads: Heads, prompts: PromptSet) -> Measurement:
    '''One value for these heads.'''
    import numpy as np
    values = np.random.default_rng(7).normal(size=len(prompts)) + (2.0 if "@" not in model else 0.0)
    return Measurement(values, units=tuple(prompt.fingerprint for prompt in prompts))

@evidence
def best_head(model: str, prompts: PromptSet) -> Measurement:
    '''The value of the head that comes out best.'''
    import numpy as np
    values = np.random.default_rng(7).normal(size=(len(prompts), 40))
    best = best_of(values.mean(axis=0))
    return Measurement(values[:, best], units=tuple(prompt.fingerprint for prompt in prompts))

def best_of(means):
    import numpy as np
    return int(np.argmax(means))

def inline_in_a_helper(found):
    return max(found.head_columns, key=lambda name: float(found[name].array.mean()))

def by_estimates(found):
    return max(found.head_columns, key=lambda name: mean(found[name]).value)

def by_words(found):
    return next(name for name in found.head_columns if (mean(found[name]) >= 0.1).word == "SUPPORTED")

def by_text(found):
    return max(found.head_columns, key=lambda name: str(mean(found[name])))

def by_gates(found):
    for name in found.head_columns:
        try:
            requires(mean(found[name]) >= 1.0)
        except Exception:
            continue
        return name

def as_text(selection):
    return [str(head) for head in selection]

def tried(measured):
    try:
        return float(measured.array.mean())
    except Exception:
        return 0.9
"""
LOOKED = 'found = by_head(model, looked_at("discovery"))\n    '
JUDGED = 'found = by_head(model, looked_at("confirmation"))\n    '
CHEATS = {
    "argmax_inline": JUDGED
    + "best = found.columns[found.values.mean(axis=0).argmax()]\n    assert mean(found[best]) >= 0.4",
    "argmax_by_numpy": JUDGED
    + "best = found.columns[np.argmax(found.values.mean(axis=0))]\n    assert mean(found[best]) >= 0.4",
    "argmax_of_an_array": JUDGED
    + "best = found.columns[np.argmax(np.asarray(found.values))]\n    assert mean(found[best]) >= 0.4",
    "argmax_in_a_helper": JUDGED + "assert mean(found[inline_in_a_helper(found)]) >= 0.4",
    "sorted_by_value": JUDGED + "best = sorted(zip(found.values.mean(axis=0), found.columns))[-1][1]\n    "
    "assert mean(found[best]) >= 0.4",
    "listed": JUDGED + "best = found.values.mean(axis=0).tolist()\n    assert mean(found[str(best)]) >= 0.4",
    "chosen_by_estimates": JUDGED + "assert mean(found[by_estimates(found)]) >= 0.4",
    "chosen_by_verdicts": JUDGED + "assert mean(found[by_words(found)]) >= 0.4",
    "chosen_by_the_text_of_estimates": JUDGED + "assert mean(found[by_text(found)]) >= 0.4",
    "chosen_by_gates_that_are_caught": JUDGED + "assert mean(found[by_gates(found)]) >= 0.4",
    "the_text_of_a_measurement": JUDGED + "assert mean(found[str(found)]) >= 0.4",
    "strongest_on_confirmation": JUDGED + "assert mean(found[strongest(found)]) >= 0.4",
    "strongest_of_itself": LOOKED + "assert mean(found[strongest(found)]) >= 0.4",
    "its_heads": LOOKED + "assert mean(found[strongest(found).heads]) >= 0.4",
    "one_of_its_heads": LOOKED + "head = list(strongest(found, 2))[0]\n    assert mean(found[head]) >= 0.4",
    "laundered_through_text": LOOKED + "assert mean(found[str(strongest(found))]) >= 0.4",
    "laundered_through_an_f_string": LOOKED + 'assert mean(found[f"{strongest(found)}"]) >= 0.4',
    "laundered_in_a_helper": LOOKED + "assert every(mean(found[as_text(strongest(found, 2))])) >= 0.4",
    "all_but_the_weakest": LOOKED + "assert every(mean(found.without(strongest(found, 38)))) >= 0.4",
    "added_up": LOOKED + "assert mean(found.added_up(strongest(found, 3))) >= 0.4",
    "averaged": LOOKED + "assert mean(found.averaged(strongest(found, 3))) >= 0.4",
    "in_the_layer_of_it": LOOKED + "layer = list(strongest(found))[0].layer\n    "
    "assert every(mean(found.in_layer(layer))) >= -9",
    "by_columns_made_of_it": LOOKED + "(head,) = strongest(found)\n    "
    "assert mean(found.with_columns({str(head): found[head].array})) >= 0.4",
    "measured_on_what_chose_it": LOOKED
    + 'assert mean(of_heads(model, strongest(found).heads, looked_at("discovery"))) >= 0.4',
    "argmax_inside_an_evidence_function": 'assert mean(best_head(model, looked_at("confirmation"))) >= -9',
}
CURES = ("on discovery prompts", "discovery split", "split='discovery'", "caught it on its way")
FINE = {
    "chosen_on_discovery": LOOKED + JUDGED.replace("found", "judged") + "assert mean(judged[strongest(found)]) >= 0.4",
    "measured_elsewhere": LOOKED
    + 'assert mean(of_heads(model, strongest(found).heads, looked_at("confirmation"))) >= 0.4',
    "a_gate_on_what_chose": LOOKED + JUDGED.replace("found", "judged")
    + "requires(mean(found[strongest(found)]) >= 0.4)\n    assert mean(judged[strongest(found)]) >= 0.4",
    "calculated": JUDGED + 'share = (found["0.3"].array + 2 * abs(found["0.4"].array)) / 3\n    '
    'assert mean(found.with_columns({"share": share - share.mean() + 1.0})["share"]) >= 0.4',
    "exact": JUDGED + 'lead = found["0.3"].array.mean() - found["0.4"].values.max() + 4\n    assert exact(lead) >= 0.4',
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> dict[str, dict]:
    """The records of all these claims, by name."""
    text = EVIDENCE + "".join(BEGIN.replace("NAME", name) + body + "\n" for name, body in {**CHEATS, **FINE}.items())
    root = build(tmp_path_factory.mktemp("chosen"), text)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "pytest", "--records", "records.jsonl"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return {name.removeprefix("test_").partition("/")[0]: record for name, record in records(root).items()}


@pytest.mark.parametrize("name", CHEATS)
def test_what_was_chosen_where_it_is_judged_ends_in_an_error_that_names_the_cure(judged, name):
    record = judged[name]
    assert record["verdict"] == "ERROR", record
    said = record["message"]
    assert any(cure in said for cure in CURES), said


@pytest.mark.parametrize("name", FINE)
def test_what_was_chosen_on_discovery_and_what_is_calculated_unseen_is_judged(judged, name):
    assert judged[name]["comparison"] is not None, judged[name]["message"]
    assert judged[name]["verdict"] != "ERROR", judged[name]["message"]


def test_a_file_of_claims_does_not_look_while_it_is_imported(house):
    text = EVIDENCE + """
found = by_head("mini-0", looked_at("confirmation"))
BEST = found.columns[found.values.mean(axis=0).argmax()]
""" + BEGIN.replace("NAME", "it") + JUDGED + "assert mean(found[BEST]) >= 0.4\n"  # fmt: skip
    result = house(text)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*a claim looks at its numbers by .argmax*on discovery prompts*"])


def test_what_is_read_from_a_file_is_not_looked_at_either(house, pytester):
    begun = "from pathlib import Path\nfrom mechlib.evidence import read\n" + EVIDENCE
    house(begun + BEGIN.replace("NAME", "it") + JUDGED + "assert mean(found['0.3']) >= 0.4\n")
    path = next(path for path in pytester.path.glob("artifacts/evidence/*/by_head--mini-0--*.jsonl"))
    body = f"filed = read(Path({str(path)!r}))\n    best = filed.columns[filed.values.mean(axis=0).argmax()]\n    "
    house(begun + BEGIN.replace("NAME", "it") + JUDGED + body + "assert mean(found[best]) >= 0.4\n")
    assert "looks at its numbers by .argmax" in records(pytester.path)["test_it/mini-0"]["message"]


# --- what the source of a claim shows -----------------------------------------------------------------------------

REFUSED = {
    "exact(0.99) of nothing": ("assert exact(0.99) >= 0.4", "judges nothing"),
    "exact of a name for nothing": ("x = 0.99\n    assert exact(x) >= 0.4", "judges nothing"),
    "exact of a helper that measures nothing": ("assert exact(made_up()) >= 0.4", "judges nothing"),
    "exact in a helper": ("assert certain(mean(around(model, 1.0, 0.0, 9))) >= 0.4", "stands in the claim"),
    "a measurement of one's own": (
        "assert mean(Measurement(np.ones(9), tuple('abcdefghi'))) >= 0.4", "evidence function"
    ),
    "heads of text that is put together": (
        "s = strongest(around(model, 1.0, 0.0, 9))\n"
        "    assert mean(around(model, 1.0, 0.0, 9)[heads(' '.join(map(str, s)))]) >= 0.4",
        "forget which prompts",
    ),
    "heads of text in a helper": ("assert mean(around(model, 1.0, 0.0, 9)[again('5.1')]) >= 0.4", "forget"),
    "a circuit of text that is put together": (
        "(h,) = strongest(around(model, 1.0, 0.0, 9))\n"
        "    assert mean(around(model, 1.0, 0.0, 9)[circuit(f'{h.layer}.{h.head}')]) >= 0.4",
        "forget which prompts",
    ),
    "a back door": ("assert mean(around(model, 1.0, 0.0, 9).__dict__['values']) >= 0.4", "public names"),
    "a variable by its name": ("assert mean(vars(around(model, 1.0, 0.0, 9))['x']) >= 0.4", "must stand in its source"),
    "a back door in a helper": ("assert mean(opened(around(model, 1.0, 0.0, 9))) >= 0.4", "test_it calls opened"),
}  # fmt: skip
ALLOWED = {
    "heads written out": "assert mean(around(model, 1.0, 0.0, 9)[heads('5.1 5.2')]) >= 0.4",
    "heads of a parameter": "assert mean(around(model, 1.0, 0.0, 9)[heads(part)]) >= 0.4",
    "all MLPs": "all_of_them = Circuit(tuple(f'mlp {layer}' for layer in range(12)))\n"
    "    assert mean(around(model, 1.0, 0.0, 9)[all_of_them]) >= 0.4",
    "exact of evidence": "x = around(model, 1.0, 0.0, 9)\n    lead = x.array[0] - 1\n    assert exact(lead) >= 0.4",
    "exact of evidence in a helper": "assert exact(len(chosen(model))) <= 4",
}
HELPERS = """
def made_up():
    return 0.99

def certain(x):
    return exact(x)

def again(text):
    return heads(text)

def opened(x):
    return x._values

def chosen(model):
    return strongest(around(model, 1.0, 0.0, 9))
"""


def claim(folder: Path, body: str, source: str = "a test.", before: str = "") -> Claim:
    text = f"{HEADER}{HELPERS}{before}\ndef test_it(model, part='5.1'):\n    '''A sentence.\n\n    Source: {source}\n"
    return Claim(module(folder, f"{text}    '''\n    {body}\n").test_it)


@pytest.mark.parametrize("case", REFUSED)
def test_a_claim_that_makes_its_heads_or_its_numbers_is_refused(tmp_path, case):
    body, said = REFUSED[case]
    with pytest.raises(NoClaim, match=said):
        claim(tmp_path, body)


@pytest.mark.parametrize("case", ALLOWED)
def test_what_was_written_down_or_measured_is_not(tmp_path, case):
    assert claim(tmp_path, ALLOWED[case]).sentence == "A sentence."


def said_of(claim: Claim, looked: bool = False, **arguments) -> tuple[str, ...]:
    return words(claim.function, claim.tree, arguments, claim.source, looked)


X = "around(model, 1.0, 0.0, 9)"
BY_HAND = {
    "as heads": (f"assert mean({X}[heads('5.1 4.0')]) >= 0.4", "5.1, 4.0"),
    "as a column": (f"assert mean({X}['mlp 2']) >= 0.4", "mlp 2"),
    "as a layer": (f"assert every(mean({X}.in_layer(3))) >= 0.4", "layer 3"),
    "by a keyword": ("assert mean(around(model, layer=3)) >= 0.4", "layer 3"),
    "in a table of the file": (f"assert mean({X}[MINE[model]]) >= 0.4", "2.2"),
    "in a helper": (f"assert mean(looked({X})) >= 0.4", "1.6"),
}
OWN = "\nMINE = {'mini-0': heads('2.2')}\n\ndef looked(found):\n    return found['1.6']\n"


@pytest.mark.parametrize("case", BY_HAND)
def test_a_literal_that_no_paper_gives_is_named_by_hand_and_after_looking_where_evidence_is_older(tmp_path, case):
    body, parts = BY_HAND[case]
    made = claim(tmp_path, body, before=OWN)
    assert said_of(made) == (f"NAMED BY HAND: {parts}",)
    assert said_of(made, looked=True) == (f"NAMED BY HAND, AFTER LOOKING: {parts}",)
    assert after_looking(said_of(made)) == [f"NAMED BY HAND, AFTER LOOKING: {parts}"]


def test_a_parameter_that_is_a_part_is_named_by_hand_and_a_model_is_none(tmp_path):
    made = claim(tmp_path, f"assert mean({X}[part]) >= 0.4")
    assert said_of(made, model="mini-0", part="5.1") == ("NAMED BY HAND: 5.1",)
    assert said_of(made, model="mini-0", layer=2) == ("NAMED BY HAND: layer 2",)
    assert said_of(made, model="mini-0", bound=0.4, how="mean") == ()


@pytest.mark.parametrize(
    "source", ["Wang et al. 2022, figure 3.", "table 2 of arXiv:2211.00593", "section 4 of Hanna et al. 2023"]
)
def test_a_papers_table_figure_or_section_names_it(tmp_path, source):
    assert said_of(claim(tmp_path, BY_HAND["as heads"][0], source)) == ()


@pytest.mark.parametrize("source", ["Wang et al. 2022.", "figure 3 of the pilot", "a stable section"])
def test_a_paper_alone_or_ones_own_figure_does_not(tmp_path, source):
    assert said_of(claim(tmp_path, BY_HAND["as heads"][0], source)) != ()


def test_published_heads_and_plain_numbers_are_not_named_by_hand(tmp_path):
    body = f"found = {X}[published(MINE, model)]\n    assert mean(found.at_least(1.5)) >= 0.4"
    assert said_of(claim(tmp_path, body, before=OWN)) == ()


def test_a_claim_that_names_a_head_says_so_in_the_terminal_and_in_its_record(house, pytester):
    text = EVIDENCE + BEGIN.replace("NAME", "typed") + JUDGED + "assert mean(found['0.3']) >= 0.4\n"
    result = house(text)
    assert records(pytester.path)["test_typed/mini-0"]["named"] == ["NAMED BY HAND: 0.3"]
    result.stdout.fnmatch_lines(["*NAMED BY HAND: 1 of 1 verdict name parts that no paper's table gives*"])


def test_records_from_before_there_were_such_words_are_read():
    text = Record("a.b", "a", "b", "c").to_json().replace('"named":[],', "")
    assert "named" not in text and Record.from_json(text).named == []


def test_the_reasons_of_an_evidence_function_that_picks_are_found_in_its_source(tmp_path):
    from mechlib.evidence.code_hash import picks

    text = """
    def spread(x):
        # no choice of parts: over positions
        return x.max(axis=1)

    def f(model: str):
        x = spread(model)
        return sorted(x), x.argmax(), x.maximum
    """
    function = module(tmp_path, text).f
    assert picks(function, source_of(function)) == (
        ("sorted", ""), ("argmax", ""), ("max", "over positions"),
    )  # fmt: skip
