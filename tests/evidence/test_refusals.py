"""What an instrument refuses of a twin is an answer: filed without rows, read frozen, compared when fresh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mechlib
from mechlib.evidence import EvidenceUse, NoEvidence, NotReproduced, Store, uses, using
from mechlib.evidence.files import InstrumentRefused
from mechlib.judging.commands.verify import damaged
from mechlib.parts.heads import EmptySelection
from tests.helpers import toys
from tests.helpers.toys import module, prompts

root = toys.root

REFUSING = """
@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    from mechlib import singly_and_jointly
    sets = singly_and_jointly(Heads(()) if model.startswith("mini-0") else Heads((Head(0, 1),)))
    return Measurement(np.ones(len(sets)), units=list(sets))

@evidence
def broken(model: str, prompts: PromptSet) -> Measurement:
    raise ValueError("of its own")
"""
TWIN = "mini-0@untrained"


def asked(root: Path, model: str, mode: str = "measure", function: str = "scores") -> EvidenceUse:
    """One question that ends in a refusal: the use of evidence that it left."""
    loaded = module(root / "claims", REFUSING)
    with using(Store(root, mode, say=lambda line: None)), uses() as used, pytest.raises(InstrumentRefused) as caught:
        getattr(loaded, function)(model, prompts())
    assert str(caught.value) == used[-1].refused
    return used[-1]


def evidence_of(root: Path) -> list[Path]:
    return sorted((root / "artifacts" / "evidence" / "toy").glob("*.jsonl"))


def test_a_refusal_of_a_twin_is_filed_without_rows_and_read_frozen(root):
    first, second = asked(root, TWIN), asked(root, TWIN, "frozen")
    assert (first.measured, second.measured) == (True, False)
    assert first.refused == second.refused == "no heads to take singly and jointly: an empty set has neither"
    assert (first.path, first.key) == (second.path, second.key)
    (line,) = (root / "artifacts" / "evidence" / first.path).read_text().splitlines()
    said = json.loads(line)
    assert (said["refused"], said["raised"], said["rows"]) == (first.refused, "EmptySelection", 0)
    assert {"schema", "question", "key", "stamp", "sha256"} <= set(said)
    assert second.measurement.prompts == (prompts(),)


def test_what_is_refused_of_the_model_itself_is_an_error_and_not_filed(root):
    loaded = module(root / "claims", REFUSING)
    with using(Store(root, say=lambda line: None)), pytest.raises(EmptySelection):
        loaded.scores("mini-0", prompts())
    assert evidence_of(root) == []


def test_what_breaks_outside_of_the_instruments_is_not_filed_as_a_refusal(root):
    loaded = module(root / "claims", REFUSING)
    with using(Store(root, say=lambda line: None)), pytest.raises(ValueError, match="of its own"):
        loaded.broken(TWIN, prompts())
    assert evidence_of(root) == []


def test_without_its_file_a_refusal_is_missing_evidence(root):
    (path,) = [root / "artifacts" / "evidence" / asked(root, TWIN).path]
    path.unlink()
    with using(Store(root, "frozen")), pytest.raises(NoEvidence):
        module(root / "claims", REFUSING).scores(TWIN, prompts())


def test_fresh_finds_the_same_refusal_and_a_measurement_in_its_place(root, monkeypatch):
    first = asked(root, TWIN)
    assert asked(root, TWIN, "fresh").reproduced
    monkeypatch.setattr(mechlib, "singly_and_jointly", lambda heads: {"all": heads})
    loaded = module(root / "claims", REFUSING)
    with (
        using(Store(root, "fresh", say=lambda line: None)),
        pytest.raises(NotReproduced, match=r"it was refused .*and is measured"),
    ):
        loaded.scores(TWIN, prompts())
    with using(Store(root, "replace", say=lambda line: None)), uses() as used:
        assert loaded.scores(TWIN, prompts()).units == ("all",)
    assert used[-1].path == first.path and not used[-1].refused
    monkeypatch.undo()
    with (
        using(Store(root, "fresh", say=lambda line: None)),
        pytest.raises(NotReproduced, match="it was measured, and is refused"),
    ):
        loaded.scores(TWIN, prompts())


def test_verify_takes_a_refusal_for_whole_and_a_forged_one_for_damaged(root):
    path = root / "artifacts" / "evidence" / asked(root, TWIN).path
    assert list(damaged(path.parents[1])) == []
    path.write_text(path.read_text().replace("has neither", "has either"))
    (said,) = damaged(path.parents[1])
    assert "do not match its own hash" in said
