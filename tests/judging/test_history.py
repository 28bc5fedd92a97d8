"""What a claim was stays beside what it is: in the register, the terminal, the results and on every page."""

from __future__ import annotations

import json

from tests.helpers.house import records

CLAIM = """
@void({{'mini-0': 'of any network'}})
@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model):
    '''The level is at least a half.
    Source: made up for this test.
    '''
    assert mean(around(model, 0.8, {twins}, 100){read}) >= {bound}
"""


def claim(twins: float = 0.0, read: str = "", bound: float = 0.5) -> str:
    text = CLAIM.format(twins=twins, read=read, bound=bound)
    return text if twins else text.replace("@void({'mini-0': 'of any network'})", "")


def filed(pytester) -> list[dict]:
    return [json.loads(line) for line in (pytester.path / "artifacts" / "register.jsonl").read_text().splitlines()]


def test_a_claim_that_ends_void_is_registered_void(house, pytester):
    assert house(claim(twins=0.9)).ret == 0
    (line,) = filed(pytester)
    assert (line["claim"], line["verdict"]) == ("topic.test_it[mini-0]", "VOID")


def test_a_void_claim_that_was_filed_as_supported_gets_a_line_of_its_own_once(house, pytester):
    house(claim(twins=0.9))
    register = pytester.path / "artifacts" / "register.jsonl"
    old = register.read_text().replace("VOID", "SUPPORTED")
    register.write_text(old)
    for _ in range(2):
        house(None)
        assert register.read_text() == old + old.replace("SUPPORTED", "VOID")
        (said,) = records(pytester.path)["test_it/mini-0"]["history"]
        assert said == "SUPPORTED -> VOID on the same question and evidence"


def test_a_claim_whose_twin_breaks_is_no_word_of_the_register(house, pytester):
    broken = claim(read="""[{"mini-0": "value"}[model]]""")
    assert house(broken).ret == 1
    assert records(pytester.path)["test_it/mini-0"]["verdict"] == "ERROR"
    assert records(pytester.path)["test_it/mini-0"]["comparison"]["word"] == "SUPPORTED"
    assert not (pytester.path / "artifacts" / "register.jsonl").exists()
    house(claim())
    before = filed(pytester)
    house(broken)
    assert filed(pytester) == before and before[0]["verdict"] == "SUPPORTED"
    assert records(pytester.path)["test_it/mini-0"]["history"] == ["ERROR now, it was SUPPORTED at >= 0.50"]


def test_a_shifted_seed_files_no_word_and_calls_none_unregistered(house, pytester):
    house(claim())
    before = filed(pytester)
    house(claim(bound=0.4), "--seed", "3")
    assert filed(pytester) == before
    assert not records(pytester.path)["test_it/mini-0"]["flags"]
