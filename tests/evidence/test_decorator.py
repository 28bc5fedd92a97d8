"""Evidence: asked once it is measured and filed, asked again it is read; the key moves with the question alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mechlib.checkpoints.checkpoint import IncompleteModel, UnknownModel
from mechlib.evidence import (
    DamagedEvidence,
    EvidenceRefused,
    EvidenceUse,
    NoEvidence,
    NotReproduced,
    Store,
    provenance,
    read,
    sealed,
    uses,
    using,
)
from mechlib.evidence import files as store
from mechlib.evidence import (
    stamp as stamps,
)
from mechlib.evidence.prompt_files import PROMPTS
from mechlib.evidence.stamp import STAMPS
from mechlib.parts.heads import DoubleDipping, EmptySelection, Head, Selection, heads
from mechlib.prompts.promptset import PromptSet
from tests.helpers import toys
from tests.helpers.toys import model, module, prompts

root = toys.root

SCORES = """
def third(x):
    return len(x) / 3

@evidence
def scores(model: str, prompts: PromptSet, scale: float = 1.0) -> Measurement:
    values = [scale * third(prompt.clean) for prompt in prompts]
    return Measurement(np.array(values), units=[prompt.fingerprint for prompt in prompts], of="a third of the length")
"""
CLAIMS = "claims"


def toy(root: Path, text: str = SCORES):
    return module(root / CLAIMS, text)


def asked(
    root: Path, *arguments, mode: str = "measure", text: str = SCORES, function: str = "scores", **more
) -> EvidenceUse:
    """One question in a store of its own, as a run of pytest would ask it."""
    loaded = toy(root, text)
    with using(Store(root, mode, say=lambda line: None)), uses() as used:
        getattr(loaded, function)(*arguments, **more)
    return used[-1]


def files(root: Path) -> list[str]:
    """Names of all evidence, without the stamps and the rows of prompts that it refers to."""
    folder = root / "artifacts" / "evidence"
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.name for path in found if path.relative_to(folder).parts[0] not in (PROMPTS, STAMPS))


# --- asking -------------------------------------------------------------------------------------------------------


def test_what_is_asked_twice_is_measured_once(root):
    first, second = asked(root, "mini-0", prompts()), asked(root, "mini-0", prompts())
    assert (first.measured, second.measured) == (True, False)
    assert first.path == second.path
    assert len(files(root)) == 1


def test_numbers_are_the_same_right_after_measuring_and_after_reading(root):
    first, second = asked(root, "mini-0", prompts()), asked(root, "mini-0", prompts())
    np.testing.assert_array_equal(first.measurement.values, second.measurement.values)
    assert first.measurement.values[0] == 2.33333  # seven thirds, to six digits


def test_a_measurement_comes_with_its_prompts_and_its_source(root):
    for reading in (asked(root, "mini-0", prompts()), asked(root, "mini-0", prompts())):
        assert reading.measurement.prompts == (prompts(),)
        assert reading.measurement.source == reading.path
        assert (root / "artifacts" / "evidence" / reading.path).is_file()


def test_the_file_is_named_for_topic_function_model_and_key(root):
    reading = asked(root, "mini-0@untrained", prompts())
    assert reading.path == f"toy/scores--mini-0-untrained--{reading.key[:8]}.jsonl"


def test_no_file_name_is_too_long_or_holds_signs_that_windows_refuses(root):
    long = "f" * 150
    reading = asked(root, "mini-0@permuted", prompts(), text=SCORES.replace("scores", long), function=long)
    assert len(Path(reading.path).name) < 120
    assert not set("@:") & set(reading.path)


def test_two_functions_with_long_names_are_kept_apart(root):
    paths = {
        asked(root, "mini-0", prompts(), text=SCORES.replace("scores", n), function=n).path
        for n in ("f" * 140, "f" * 141)
    }
    assert len(paths) == 2


def test_the_first_line_says_what_was_asked_and_how_it_was_measured(root):
    reading = asked(root, "mini-0", prompts())
    first = reading.provenance
    assert first == provenance(root / "artifacts" / "evidence" / reading.path)
    assert first["question"] == "scores(model=mini-0, prompts=toy(confirmation, n=20), scale=1.0)"
    assert (first["dtype"], first["processing"], first["bos"], first["rows"]) == ("float32", "raw", "<bos>", 20)
    assert len(first["weights"]) == 64
    assert prompts().fingerprint in first["arguments"]["prompts"]
    assert not {"date", "device", "commit", "seconds"} & set(first)


def test_measuring_again_gives_the_same_bytes(root, tmp_path):
    path = root / "artifacts" / "evidence" / asked(root, "mini-0", prompts()).path
    before = path.read_bytes()
    path.unlink()
    asked(root, "mini-0", prompts())
    assert path.read_bytes() == before


def test_what_was_measured_when_goes_to_a_log_of_its_own(root):
    asked(root, "mini-0", prompts())
    asked(root, "mini-0", prompts())
    entries = [json.loads(line) for line in (root / "artifacts" / "runs.jsonl").read_text().splitlines()]
    assert len(entries) == 1
    assert entries[0]["device"] == "cpu"
    assert {"date", "commit", "seconds", "file", "question", "mode"} <= set(entries[0])


def test_evidence_without_a_model_is_filed_too(root):
    text = """
    @evidence
    def digits(folds: int) -> Measurement:
        return Measurement(np.arange(folds), units=range(folds), unit="image")
    """
    reading = asked(root, 5, text=text, function="digits")
    assert reading.path.startswith("toy/digits--no-model--")
    assert reading.model == ""


def test_reading_imports_no_torch_and_no_lab(root):
    asked(root, "mini-0", prompts())
    script = (
        "import sys; from pathlib import Path; from tests.helpers.toys import *; from mechlib.evidence import *\n"
        f"from tests.evidence.test_decorator import SCORES; root = Path({str(root)!r})\n"
        "loaded = module(root / 'claims', SCORES)\n"
        "with using(Store(root, 'frozen')), uses() as used: loaded.scores('mini-0', prompts())\n"
        "assert not used[0].measured\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'scipy') or 'mechlib.lab' in name])"
    )
    here = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", script], cwd=here, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


# --- the key ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"), [("len(x) / 3", "len(x) / 4"), ("scale * third", "2 * scale * third"), ("np.array", "np.abs")]
)
def test_an_edited_function_or_helper_is_another_question(root, old, new):
    first = asked(root, "mini-0", prompts())
    second = asked(root, "mini-0", prompts(), text=SCORES.replace(old, new))
    assert second.measured
    assert second.key != first.key


def test_a_comment_or_a_docstring_is_no_other_question(root):
    asked(root, "mini-0", prompts())
    text = (
        SCORES.replace("    return len", '    """New."""\n    # New.\n    return len')
        + "\n\ndef unrelated():\n    return 1\n"
    )
    assert not asked(root, "mini-0", prompts(), text=text).measured


@pytest.mark.parametrize(
    "other",
    [
        lambda: (("mini-0", prompts(), 2.0), {}),
        lambda: (("mini-0", prompts(), 1), {}),
        lambda: (("mini-0", prompts(), True), {}),
        lambda: (("mini-0", prompts(19)), {}),
        lambda: (("mini-0", prompts(start=1)), {}),
        lambda: (("mini-0", prompts(split="reference")), {}),
        lambda: (("mini-0", prompts(name="other")), {}),
        lambda: (("mini-0@untrained", prompts()), {}),
    ],
)
def test_another_argument_prompt_or_model_is_another_question(root, other):
    first = asked(root, "mini-0", prompts())
    positional, named = other()
    second = asked(root, *positional, **named)
    assert second.measured
    assert second.key != first.key


def test_one_changed_prompt_under_the_same_name_is_another_question(root):
    first, changed = prompts(), prompts()
    changed = PromptSet("toy", "confirmation", (*changed.rows[:-1], replace(changed.rows[-1], answer="other")))
    assert repr(first) == repr(changed)
    assert asked(root, "mini-0", first).key != asked(root, "mini-0", changed).key


def test_other_weights_are_another_question(root):
    first = asked(root, "mini-0", prompts())
    model(root, "mini-0", b"5678")
    second = asked(root, "mini-0", prompts())
    assert second.measured
    assert second.change == "weights changed"
    assert first.provenance["weights"] != second.provenance["weights"]


def test_how_an_argument_is_written_does_not_matter(root):
    first = asked(root, "mini-0", prompts())
    assert not asked(root, prompts=prompts(), model="mini-0").measured
    assert not asked(root, "mini-0", prompts(), 1.0).measured
    assert not asked(root, "mini-0", prompts(), scale=np.float64(1.0)).measured
    assert len(files(root)) == 1 and first.measured


def test_a_second_model_is_hashed_too(root):
    text = """
    @evidence
    def both(model: str, other_model: str) -> Measurement:
        return Measurement(np.array([1.0]), units=["a"])
    """
    model(root, "mini-1")
    first = asked(root, "mini-0", "mini-1", text=text, function="both")
    model(root, "mini-1", b"5678")
    second = asked(root, "mini-0", "mini-1", text=text, function="both")
    assert second.change == "other_weights changed"
    assert first.key != second.key


# --- an edited question takes the old file's place ----------------------------------------------------------------


def test_the_answer_to_an_edited_question_replaces_the_old_one(root):
    first = asked(root, "mini-0", prompts())
    second = asked(root, "mini-0", prompts(), text=SCORES.replace("/ 3", "/ 4"))
    assert second.change == "the function changed"
    np.testing.assert_array_equal(second.replaced.values, first.measurement.values)
    assert files(root) == [Path(second.path).name]


def test_questions_that_read_differently_live_side_by_side(root):
    for scale in (1.0, 2.0):
        asked(root, "mini-0", prompts(), scale)
    asked(root, "mini-0", prompts(split="discovery"))
    asked(root, "mini-0@permuted", prompts())
    assert len(files(root)) == 4


def test_two_sets_of_prompts_with_one_name_are_refused_among_claims(root):
    loaded = toy(root)
    with using(Store(root, say=lambda line: None)):
        loaded.scores("mini-0", prompts())
        with pytest.raises(ValueError, match=r"two sets of prompts read the same.*give one another name"):
            loaded.scores("mini-0", prompts(start=1))


# --- modes --------------------------------------------------------------------------------------------------------


def test_frozen_reads_what_is_filed_and_names_the_command_where_nothing_is(root):
    asked(root, "mini-0", prompts())
    assert not asked(root, "mini-0", prompts(), mode="frozen").measured
    with pytest.raises(NoEvidence, match=r"no evidence for toy.scores\(mini-0\): run `pytest -k toy`") as caught:
        asked(root, "mini-0", prompts(), 2.0, mode="frozen")
    assert not caught.value.not_run


def test_frozen_says_what_changed_and_writes_nothing(root):
    asked(root, "mini-0", prompts())
    before = files(root)
    with pytest.raises(NoEvidence, match="since the function changed"):
        asked(root, "mini-0", prompts(), text=SCORES.replace("/ 3", "/ 4"), mode="frozen")
    assert files(root) == before


@pytest.mark.parametrize("model", ["gpt2-small", "smollm2-135m"])
@pytest.mark.parametrize("mode", ["measure", "frozen", "fresh", "replace"])
def test_a_model_that_is_fetched_is_never_measured_without_its_weights(root, mode, model):
    with pytest.raises(NoEvidence, match=rf"run `mechlib fetch {model}`, then `pytest -k toy`") as caught:
        asked(root, f"{model}@permuted", prompts(), mode=mode)
    assert caught.value.not_run


@pytest.mark.parametrize("model", ["gpt2-small", "smollm2-135m"])
@pytest.mark.parametrize("mode", ["measure", "frozen", "fresh"])
def test_filed_evidence_for_a_model_that_is_fetched_is_read_without_its_weights(root, mode, model, monkeypatch):
    with monkeypatch.context() as here:
        here.setattr("mechlib.checkpoints.files.problems", lambda model: ())
        asked(root, model, prompts())
    assert not asked(root, model, prompts(), mode=mode).measured


@pytest.mark.parametrize("mode", ["measure", "frozen"])
def test_a_mini_without_weights_is_incomplete(root, mode):
    with pytest.raises(IncompleteModel, match="fixtures/mini-1 is incomplete"):
        asked(root, "mini-1", prompts(), mode=mode)


def test_filed_evidence_for_a_mini_is_read_without_its_weights_with_a_word_of_caution(root):
    first = asked(root, "mini-0", prompts())
    (root / "fixtures" / "mini-0" / "model.safetensors").unlink()
    reading = asked(root, "mini-0", prompts())
    assert not reading.measured
    assert reading.flags == ("WEIGHTS NOT CHECKED",)
    assert reading.key == first.key
    with pytest.raises(IncompleteModel):
        asked(root, "mini-0", prompts(), 2.0)
    with pytest.raises(IncompleteModel):
        asked(root, "mini-0", prompts(), text=SCORES.replace("/ 3", "/ 4"))


def test_damaged_weights_are_not_passed_off_as_those_that_were_measured(root):
    asked(root, "mini-0", prompts())
    file = root / "fixtures" / "mini-0" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(IncompleteModel, match="damaged or truncated"):
        asked(root, "mini-0", prompts())


def test_a_model_that_does_not_exist_is_named(root):
    with pytest.raises(UnknownModel, match="did you mean mini-0"):
        asked(root, "mini_0", prompts())


NOISY = """
@evidence
def scores(model: str, n: int, yes_no: bool = False) -> Measurement:
    import os
    shift = float(os.environ.get("SHIFT", "0"))
    values = np.linspace(0.0, 10.0, n) + shift
    if yes_no:
        values = (np.arange(n) < 50 + shift).astype(float)
    return Measurement(values, units=range(n), unit="sequence", yes_no=yes_no)
"""


@pytest.mark.parametrize(
    ("shift", "yes_no", "reproduced"),
    [("0", False, True), ("9e-5", False, True), ("2e-4", False, False), ("1", True, True), ("2", True, False)],
)
def test_fresh_compares_within_the_tolerance(root, monkeypatch, shift, yes_no, reproduced):
    first = asked(root, "mini-0", 100, yes_no, text=NOISY)
    path = root / "artifacts" / "evidence" / first.path
    before = path.read_bytes()
    monkeypatch.setenv("SHIFT", shift)
    if reproduced:
        again = asked(root, "mini-0", 100, yes_no, text=NOISY, mode="fresh")
        assert again.measured
        np.testing.assert_array_equal(again.measurement.values, first.measurement.values)
    else:
        with pytest.raises(NotReproduced, match=r"scores\(mini-0\) is not reproduced: .* of 100 sequences differ"):
            asked(root, "mini-0", 100, yes_no, text=NOISY, mode="fresh")
    assert path.read_bytes() == before


def test_what_is_not_reproduced_is_shown_old_and_new_with_the_cure(root, monkeypatch):
    asked(root, "mini-0", 3, text=NOISY)
    monkeypatch.setenv("SHIFT", "1")
    with pytest.raises(NotReproduced, match=r"worst 0: 0 -> 1; 1: 5 -> 6; .*`pytest -k toy --replace`"):
        asked(root, "mini-0", 3, text=NOISY, mode="fresh")


RANKED = """
import os

@evidence
def ranked(model: str, prompts: PromptSet) -> Measurement:
    found = {"0.1": float(os.environ.get("FIRST", "3")), "0.2": 2.9, "0.3": 1.0}
    names = sorted(found, key=lambda name: -found[name])
    return Measurement(np.array([[found[name] for name in names]]), ("all",), "set of prompts", tuple(names))
"""


@pytest.mark.parametrize(("then", "reproduced"), [("2.90001", True), ("2.95", False)])
def test_parts_of_a_ranking_that_change_places_are_compared_by_name(root, monkeypatch, then, reproduced):
    monkeypatch.setenv("FIRST", "2.89999")
    before = asked(root, "mini-0", prompts(split="discovery"), text=RANKED, function="ranked")
    monkeypatch.setenv("FIRST", then)
    if reproduced:
        use = asked(root, "mini-0", prompts(split="discovery"), text=RANKED, function="ranked", mode="fresh")
        again = use.measurement
        assert again.columns == before.measurement.columns == ("0.2", "0.1", "0.3")
        np.testing.assert_array_equal(again.values, before.measurement.values)
    else:
        with pytest.raises(NotReproduced, match=r"all 0\.1: 2\.89999 -> 2\.95"):
            asked(root, "mini-0", prompts(split="discovery"), text=RANKED, function="ranked", mode="fresh")


def test_fresh_leaves_a_file_with_the_same_bytes_untouched(root):
    path = root / "artifacts" / "evidence" / asked(root, "mini-0", prompts()).path
    before = path.stat()
    asked(root, "mini-0", prompts(), mode="fresh")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize(("mode", "times"), [("fresh", 1), ("replace", 1), ("measure", 0)])
def test_everything_is_measured_again_once_a_run_and_key(root, mode, times):
    asked(root, "mini-0", prompts())
    loaded = toy(root)
    with uses() as used:
        for _ in range(2):  # two processes of one run, each asking twice
            with using(Store(root, mode, say=lambda line: None, run="one run")):
                loaded.scores("mini-0", prompts())
                loaded.scores("mini-0", prompts())
    assert sum(reading.measured for reading in used) == times


def test_replace_files_the_new_values_and_hands_over_the_old(root, monkeypatch):
    first = asked(root, "mini-0", 3, text=NOISY)
    monkeypatch.setenv("SHIFT", "1")
    second = asked(root, "mini-0", 3, text=NOISY, mode="replace")
    assert second.change == "--replace"
    np.testing.assert_array_equal(second.replaced.values, first.measurement.values)
    np.testing.assert_array_equal(asked(root, "mini-0", 3, text=NOISY).measurement.values[:, 0], [1, 6, 11])


# --- the stamp ----------------------------------------------------------------------------------------------------


def test_other_instruments_flag_the_evidence_and_never_change_it(root, monkeypatch):
    first = asked(root, "mini-0", prompts())
    monkeypatch.setattr("mechlib.evidence.lookup.instruments", lambda *_: {"mechlib.lab.models.loading": "other"})
    second = asked(root, "mini-0", prompts())
    assert not second.measured
    assert second.flags == ("OLDER INSTRUMENTS",)
    assert "mechlib.lab.models.loading" in second.older
    assert second.key == first.key


def test_fresh_stamps_again_what_is_reproduced_and_keeps_its_values(root, monkeypatch):
    first = asked(root, "mini-0", 100, text=NOISY)
    monkeypatch.setattr("mechlib.evidence.lookup.instruments", lambda *_: {"mechlib.lab.models.loading": "other"})
    monkeypatch.setenv("SHIFT", "5e-5")
    asked(root, "mini-0", 100, text=NOISY, mode="fresh")
    again = asked(root, "mini-0", 100, text=NOISY)
    assert again.flags == ()
    today = {"mechlib.lab.models.loading": "other"}
    assert stamps.filed_stamp(root / "artifacts" / "evidence", again.provenance["stamp"]) == today
    assert first.provenance["stamp"] != again.provenance["stamp"] == stamps.name_of(today)
    np.testing.assert_array_equal(again.measurement.values, first.measurement.values)


# --- bad evidence, interruptions, two at once ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["measure", "frozen", "fresh"])
def test_damaged_evidence_is_named_and_never_used(root, mode):
    path = root / "artifacts" / "evidence" / asked(root, "mini-0", prompts()).path
    path.write_bytes(path.read_bytes().replace(b"2.33333", b"2.33334", 1))
    with pytest.raises(DamagedEvidence, match=rf"artifacts/evidence/toy/{path.name} is damaged.*restore it"):
        asked(root, "mini-0", prompts(), mode=mode)
    with pytest.raises(DamagedEvidence):
        read(path)


def test_damaged_evidence_can_be_replaced(root):
    path = root / "artifacts" / "evidence" / asked(root, "mini-0", prompts()).path
    path.write_bytes(path.read_bytes()[:-1])
    assert asked(root, "mini-0", prompts(), mode="replace").measured
    assert not asked(root, "mini-0", prompts(), mode="frozen").measured


def test_evidence_under_the_name_of_another_key_is_not_used(root):
    folder = root / "artifacts" / "evidence"
    one, two = asked(root, "mini-0", prompts()), asked(root, "mini-0", prompts(), 2.0)
    (folder / one.path).write_bytes((folder / two.path).read_bytes())
    with pytest.raises(DamagedEvidence, match="is named for another question"):
        asked(root, "mini-0", prompts())


@pytest.mark.parametrize("mode", ["measure", "replace", "fresh"])
def test_an_interruption_leaves_the_old_evidence_and_nothing_else(root, monkeypatch, mode):
    text = NOISY.replace("    values = np", "    if shift: raise KeyboardInterrupt\n    values = np")
    first = asked(root, "mini-0", 3, text=text)
    before = (root / "artifacts" / "evidence" / first.path).read_bytes()
    monkeypatch.setenv("SHIFT", "1")
    edited = text if mode != "measure" else text.replace("10.0", "11.0")
    with pytest.raises(KeyboardInterrupt):
        asked(root, "mini-0", 3, text=edited, mode=mode)
    assert files(root) == [Path(first.path).name]
    assert (root / "artifacts" / "evidence" / first.path).read_bytes() == before


SLOW = """
@evidence
def scores(model: str, k: int) -> Measurement:
    import os, time
    with open(os.environ["TALLY"], "a") as file:
        file.write("measured ")
    time.sleep(0.5)
    return Measurement(np.array([1 / 3]), units=["a"])
"""
ASK = """
import sys
from pathlib import Path
from tests.helpers.toys import module
from mechlib.evidence import Store, using
from tests.evidence.test_decorator import SLOW
root = Path(sys.argv[1])
loaded = module(root / sys.argv[2] / "claims", SLOW)
print("ready", flush=True)
sys.stdin.readline()
with using(Store(root, sys.argv[3], run="one run")):
    print(loaded.scores("mini-0", 1).array[0])
"""


@pytest.mark.parametrize("mode", ["measure", "fresh"])
def test_two_processes_with_one_question_measure_once(root, monkeypatch, mode):
    environment = {**os.environ, "TALLY": str(root / "tally")}
    if mode == "fresh":
        monkeypatch.setenv("TALLY", str(root / "before"))
        asked(root, "mini-0", 1, text=SLOW)
    here = Path(__file__).parents[2]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, str(root), folder, mode],
            cwd=here, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for folder in ("one", "two")
    ]  # fmt: skip
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=30) for process in both]
    assert [said for said, _ in answers] == ["0.333333\n"] * 2
    assert (root / "tally").read_text() == "measured "
    assert sum("waiting for another process" in told for _, told in answers) == 1


# --- arguments ----------------------------------------------------------------------------------------------------

ANY = """
@evidence
def anything(x, prompts: PromptSet = None) -> Measurement:
    return Measurement(np.array([1.0]), units=[repr(x)])
"""


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        ("text", "text"),
        (("a", (1, None)), ("a", (1, None))),
        (Head(5, 1), Head(5, 1)),
        (heads("5.1 5.5"), heads("5.1 5.5")),
        ((heads("5.1"), heads("6.9")), (heads("5.1"), heads("6.9"))),
        (Selection((Head(6, 9), Head(5, 1)), frozenset()), heads("5.1 6.9")),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        ((np.float32(0.5),), (0.5,)),
    ],
)
def test_arguments_arrive_as_plain_values(root, value, received):
    assert asked(root, value, text=ANY, function="anything").measurement.units == (repr(received),)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ([1, 2], "x of anything is a list: make it a tuple"),
        ({"a": 1}, "x of anything is a dict"),
        ({1}, "x of anything is a set: make it a tuple"),
        (np.zeros(2), "x of anything is a ndarray"),
        (float("nan"), "x of anything is nan: evidence is filed under finite numbers only"),
        (np.float64("inf"), "x of anything is inf"),
        ((1, [2]), r"x of anything\[1\] is a list"),
        (1j, "x of anything is a complex"),
        (b"a", "x of anything is a bytes"),
        (len, "x of anything is a builtin"),
        (Path(), "x of anything is a PosixPath"),
    ],
)
def test_other_arguments_are_refused_by_name(root, value, named):
    with pytest.raises(EvidenceRefused, match=named):
        asked(root, value, text=ANY, function="anything")


def test_values_that_print_alike_are_told_apart(root):
    values = (1, 1.0, True, "1", ("1",), (1,), "True", None, "None", Head(1, 1), heads("1.1"), "1.1", (1, 1), ((1, 1),))
    keys = [asked(root, value, text=ANY, function="anything").key for value in values]
    assert len(set(keys)) == len(values)
    assert len(files(root)) == len(values)


def test_a_selection_asks_the_same_question_as_its_heads(root):
    first = asked(root, heads("5.1 6.9"), text=ANY, function="anything")
    second = asked(root, Selection((Head(6, 9), Head(5, 1)), frozenset({"x"})), text=ANY, function="anything")
    assert first.key == second.key


@pytest.mark.parametrize("wrapped", [False, True])
def test_heads_are_not_measured_on_the_prompts_that_chose_them(root, wrapped):
    chosen = Selection((Head(5, 1),), prompts(5, "discovery", start=15).members)
    with pytest.raises(DoubleDipping, match="would measure x on 5 of the prompts that chose it"):
        asked(root, (chosen,) if wrapped else chosen, prompts(20), text=ANY, function="anything")
    assert asked(root, chosen, prompts(15), text=ANY, function="anything").measured


def test_the_chain_of_selections_keeps_its_prompts(root):
    one = Selection((Head(5, 1), Head(5, 5)), prompts(5).members)
    two = Selection((Head(6, 9),), prompts(5, start=5).members)
    for chosen in (one[:1], one | two, (two | one)[2]):
        with pytest.raises(DoubleDipping):
            asked(root, chosen, prompts(5), text=ANY, function="anything")


def test_an_empty_selection_is_an_error_of_its_own(root):
    with pytest.raises(EmptySelection):
        asked(root, Selection((), frozenset()), text=ANY, function="anything")


def test_a_default_that_cannot_be_filed_under_is_refused_where_it_stands(root):
    with pytest.raises(EvidenceRefused, match="the default of x in f is a list: make it a tuple"):
        toy(root, "@evidence\ndef f(x=[1]) -> Measurement:\n    return None\n")


@pytest.mark.parametrize("value", [3, None, ("mini-0",)])
def test_a_parameter_called_model_takes_a_name(root, value):
    with pytest.raises(EvidenceRefused, match="takes a model's name"):
        asked(root, value, prompts())


@pytest.mark.parametrize("thing", [len, int, "text", type("A", (), {"__call__": lambda self: 1})()])
def test_only_functions_become_evidence(root, thing):
    from mechlib.evidence import evidence

    with pytest.raises(EvidenceRefused, match="takes a plain function"):
        evidence(thing)


def test_an_evidence_function_returns_a_measurement(root):
    with pytest.raises(TypeError, match=r"anything\(\) returned a float: return a Measurement"):
        asked(
            root,
            1,
            text=ANY.replace("return Measurement(np.array([1.0]), units=[repr(x)])", "return 0.5"),
            function="anything",
        )


def test_evidence_does_not_ask_for_other_evidence(root):
    text = (
        SCORES
        + """
def indirectly():
    import sys
    return sys.modules["toy_under_test"]

@evidence
def outer(model: str, prompts: PromptSet) -> Measurement:
    return indirectly().scores(model, prompts)
"""
    )
    loaded = toy(root, text)
    sys.modules["toy_under_test"] = loaded
    try:
        with using(Store(root, say=lambda line: None)), pytest.raises(EvidenceRefused, match="asks for other evidence"):
            loaded.outer("mini-0", prompts())
    finally:
        del sys.modules["toy_under_test"]


# --- who listens, and where ---------------------------------------------------------------------------------------


def test_readings_are_collected_in_order_and_in_every_collector(root):
    loaded = toy(root)
    with using(Store(root, say=lambda line: None)), uses() as outer:
        loaded.scores("mini-0", prompts())
        with uses() as inner:
            loaded.scores("mini-0@permuted", prompts())
        loaded.scores("mini-0", prompts())
    loaded.scores("mini-0", prompts())
    assert [reading.model for reading in outer] == ["mini-0", "mini-0@permuted", "mini-0"]
    assert [reading.model for reading in inner] == ["mini-0@permuted"]


def test_progress_says_what_why_and_how_long(root):
    said = []
    with using(Store(root, say=said.append)):
        toy(root).scores("mini-0", prompts())
    with using(Store(root, "fresh", say=said.append)):
        toy(root).scores("mini-0", prompts())
    with using(Store(root, say=said.append)):
        toy(root, SCORES.replace("/ 3", "/ 4")).scores("mini-0", prompts())
    assert said[0] == "measuring toy.scores(mini-0): no evidence is filed"
    assert said[1].startswith("filed artifacts/evidence/toy/scores--mini-0--")
    assert said[2] == "measuring toy.scores(mini-0): --fresh; it took 0.0 s last time"
    assert said[3].startswith("reproduced artifacts/evidence/toy/scores--mini-0--")
    assert said[4].startswith("measuring toy.scores(mini-0): the function changed")


def test_evidence_for_own_models_has_a_folder_of_its_own(root, tmp_path):
    own = model(tmp_path / "elsewhere", "my model")
    loaded = toy(root)
    with using(Store(root, evidence_dir=root / "artifacts" / "local", say=lambda line: None)), uses() as used:
        loaded.scores(str(own), prompts())
    assert (root / "artifacts" / "local" / used[0].path).is_file()
    assert used[0].path.startswith("toy/scores--my-model--")
    assert not (root / "artifacts" / "evidence").exists()


def test_models_are_loaded_from_where_they_were_hashed(root):
    text = """
    @evidence
    def where(model: str) -> Measurement:
        from mechlib.checkpoints.resolve import checkpoint
        return Measurement(np.array([1.0]), units=[str(checkpoint(model).path)])
    """
    reading = asked(root, "mini-0", text=text, function="where")
    assert reading.measurement.units == (str(root / "fixtures" / "mini-0"),)
    assert "MECHLIB_ROOT" not in os.environ


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="choose one of measure, frozen, fresh, replace"):
        Store(Path(), "thaw")


def test_the_schema_of_a_newer_mechlib_is_not_guessed_at(root, monkeypatch):
    now = sealed.SCHEMA
    with monkeypatch.context() as later:
        later.setattr(store, "SCHEMA", now + 1)
        later.setattr(sealed, "SCHEMA", now + 1)
        path = root / "artifacts" / "evidence" / asked(root, "mini-0", prompts()).path
    store._filed.clear()
    with pytest.raises(DamagedEvidence, match=rf"has schema {now + 1}, this mechlib reads {now}: update mechlib"):
        read(path)
