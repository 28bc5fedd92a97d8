"""Rows of prompts: filed once a set, no part of a measurement; today's clusters and labels count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mechlib.evidence import DamagedEvidence, EvidenceUse, Store, files, prompt_files, read, sealed, uses, using
from mechlib.measurement import Measurement
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.evidence.test_decorator import asked, toy
from tests.helpers import toys

root = toys.root

ROWS = tuple(
    Prompt(f"clean {row} é", str(row), cluster=f"t{row % 3}", labels=(("length", str(row % 2)), ("carry", "yes\u2028")))
    for row in range(12)
)
PROMPTS = PromptSet("toy", "confirmation", ROWS)
SCORES = """
@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    return Measurement(
        np.arange(float(len(prompts))) / 7,
        [row.fingerprint for row in prompts],
        clusters=[row.cluster for row in prompts] if all(row.cluster for row in prompts) else (),
        strata=[row.label("length") for row in prompts] if prompts.rows[0].labels else (),
        order=[row.sort_key for row in prompts],
    )
"""


def relabelled(**known: object) -> PromptSet:
    return PromptSet("toy", "confirmation", tuple(replace(row, **known) for row in ROWS))


def ask(root: Path, prompts: PromptSet = PROMPTS, **more: str) -> EvidenceUse:
    return asked(root, "mini-0", prompts, text=SCORES, **more)


def rows_file(root: Path) -> Path:
    (path,) = (root / "artifacts" / "evidence" / "prompts").iterdir()
    return path


def evidence(root: Path, use: EvidenceUse) -> Path:
    return root / "artifacts" / "evidence" / use.path


def whole(measurement: Measurement) -> tuple:
    named = ("units", "unit", "columns", "clusters", "strata", "order", "yes_no", "of")
    return (measurement.values.tolist(), *(getattr(measurement, name) for name in named))


# --- factors ------------------------------------------------------------------------------------------------------


def shared() -> PromptSet:
    rows = (
        replace(row, factors=(("template", (row.cluster,)), ("name", ("a", f"b{row.label('length')}")))) for row in ROWS
    )
    return PromptSet("toy", "confirmation", tuple(rows))


def test_factors_come_with_the_rows_whether_prompts_are_at_hand_or_not(root):
    use = ask(root, shared())
    names = ("name", tuple(("a", f"b{row.label('length')}") for row in ROWS))
    assert use.measurement.factors == (("template", tuple((row.cluster,) for row in ROWS)), names)
    assert files.load(evidence(root, use))[1].factors == use.measurement.factors
    line = json.loads(rows_file(root).read_text(encoding="utf-8").split("\n")[1])
    assert line[4] == {"template": [], "name": ["a", "b0"]}


def test_factors_of_today_count_and_measure_nothing_again(root):
    first = ask(root)
    assert (
        first.measurement.factors == ()
        and len(json.loads(rows_file(root).read_text(encoding="utf-8").split("\n")[1])) == 4
    )
    later = ask(root, shared())
    assert not later.measured and later.key == first.key
    assert dict(later.measurement.factors).keys() == {"template", "name"}
    assert files.load(evidence(root, later))[1].factors == later.measurement.factors


def test_some_of_the_prompts_have_the_factors_of_each():
    chosen = (ROWS[3].fingerprint, ROWS[0].fingerprint)
    assert prompt_files.factors_of(chosen, [shared()]) == (
        ("template", (("t0",), ("t0",))),
        ("name", (("a", "b1"), ("a", "b0"))),
    )
    assert prompt_files.factors_of((*chosen, "another"), [shared()]) == ()


# --- filed once ---------------------------------------------------------------------------------------------------


def test_evidence_by_prompts_reads_back_exactly_with_the_set_in_hand_and_without(root):
    first, again = ask(root), ask(root)
    from_disk = read(evidence(root, first))
    assert whole(again.measurement) == whole(first.measurement) == whole(from_disk)
    assert from_disk.units == tuple(row.fingerprint for row in ROWS)
    assert from_disk.clusters == tuple(row.cluster for row in ROWS)
    assert from_disk.strata == tuple(row.label("length") for row in ROWS)
    assert from_disk.order == tuple(row.sort_key for row in ROWS)
    np.testing.assert_allclose(from_disk.array, np.arange(12) / 7, rtol=5.0001e-6)


def test_a_row_of_evidence_holds_its_values_and_nothing_else(root):
    first, *rows = evidence(root, ask(root)).read_text(encoding="utf-8").split("\n")[:-1]
    said = json.loads(first)
    assert (said["prompts"], said["clusters"], said["strata"]) == (rows_file(root).stem, "by prompt", "length")
    assert [len(json.loads(row)) for row in rows] == [1] * 12 and rows[7] == "[1]"


def test_the_rows_of_a_set_are_filed_once_for_all_that_is_measured_on_it(root):
    ask(root)
    before = rows_file(root).stat().st_mtime_ns
    asked(root, "mini-0@permuted", PROMPTS, text=SCORES)
    assert rows_file(root).stem == PROMPTS.fingerprint[:16]
    assert rows_file(root).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "other",
    [
        {"units": tuple(f"pair {row}" for row in range(12))},
        {"clusters": tuple("ab"[row % 2] for row in range(12))},
        {"strata": tuple("ab"[row % 2] for row in range(12))},
        {"order": tuple(f"{row:02}" for row in range(12))},
        {"clusters": ()},
        {"strata": ()},
        {"order": (), "units": tuple(f"pair {row}" for row in range(12)), "clusters": (), "strata": ()},
    ],
    ids=lambda other: " ".join(other),
)
def test_what_is_not_the_prompts_own_is_filed_with_the_rows(root, other):
    measured = replace(ask(root).measurement, prompts=(), source="", **other)
    data = files.encode({}, measured, [PROMPTS])
    assert whole(files.decode(data, "file", root / "artifacts" / "evidence")[1]) == whole(measured)
    assert whole(files.decode(data, "file", None, {prompt_files.prompts_name(PROMPTS): PROMPTS})[1]) == whole(measured)


# --- today's clusters and labels count ----------------------------------------------------------------------------


def test_clusters_and_labels_that_are_learned_later_count_without_measuring_again(root):
    bare = ask(root, relabelled(cluster="", labels=()))
    assert (bare.measurement.clusters, bare.measurement.strata) == ((), ())
    now = ask(root)
    assert not now.measured and now.key == bare.key
    assert now.measurement.clusters == tuple(row.cluster for row in ROWS)
    assert now.measurement.order == tuple(row.sort_key for row in ROWS)
    assert whole(read(evidence(root, now))) == whole(now.measurement)


def test_changed_clusters_count_and_the_file_follows(root):
    path = evidence(root, ask(root))
    before, clusters = rows_file(root).read_bytes(), read(path).clusters
    now = ask(root, relabelled(cluster="one for all"))
    assert set(now.measurement.clusters) == set(read(path).clusters) == {"one for all"} != set(clusters)
    assert rows_file(root).read_bytes() != before
    assert ask(root).measurement.clusters == tuple(row.cluster for row in ROWS)
    assert rows_file(root).read_bytes() == before


def test_frozen_takes_todays_clusters_files_nothing_and_says_so(root):
    ask(root)
    before = rows_file(root).read_bytes()
    now = ask(root, relabelled(cluster="one for all"), mode="frozen")
    assert set(now.measurement.clusters) == {"one for all"}
    assert "PROMPTS NOT FILED" in now.flags
    assert rows_file(root).read_bytes() == before
    assert "PROMPTS NOT FILED" not in ask(root, mode="frozen").flags


def test_a_missing_file_of_prompts_is_made_again_and_frozen_says_that_it_is_missing(root):
    use = ask(root)
    whole_file = rows_file(root).read_bytes()
    rows_file(root).unlink()
    assert ask(root, mode="frozen").flags == ("PROMPTS NOT FILED",)
    with pytest.raises(DamagedEvidence, match=r"^prompts/[0-9a-f]{16}\.jsonl is missing, which names the rows"):
        read(evidence(root, use))
    assert ask(root).flags == ()
    assert rows_file(root).read_bytes() == whole_file


@pytest.mark.parametrize("spoil", [lambda data: data.replace(b"yes", b"no!", 1), lambda data: data[:-5], lambda _: b""])
def test_a_damaged_file_of_prompts_is_named_never_used_and_mended(root, spoil):
    use = ask(root)
    whole_file = rows_file(root).read_bytes()
    rows_file(root).write_bytes(spoil(whole_file))
    with pytest.raises(DamagedEvidence, match=r"^prompts/[0-9a-f]{16}\.jsonl is damaged"):
        read(evidence(root, use))
    assert ask(root).measurement.clusters == use.measurement.clusters
    assert rows_file(root).read_bytes() == whole_file


def test_line_ends_of_a_checkout_on_windows_do_no_harm(root):
    use = ask(root)
    rows_file(root).write_bytes(rows_file(root).read_bytes().replace(b"\n", b"\r\n"))
    assert ask(root, mode="frozen").flags == ()
    assert whole(read(evidence(root, use))) == whole(use.measurement)


@pytest.mark.parametrize("known", [{"labels": (("length", "9"),)}, {"cluster": "one for all"}])
def test_labels_that_an_instrument_may_have_read_raise_the_flag_until_it_is_measured_afresh(root, known):
    first, changed = ask(root), relabelled(**known)
    assert first.flags == ()
    now = ask(root, changed)
    assert now.flags == ("OLDER INSTRUMENTS",) and now.older == ("labels of the prompts",)
    assert not now.measured and now.key == first.key
    assert ask(root, changed, mode="fresh").measured
    assert ask(root, changed).flags == ()
    assert ask(root).older == ("labels of the prompts",)


def test_two_sets_that_differ_in_labels_alone_are_refused_among_claims(root):
    loaded = toy(root, SCORES)
    with using(Store(root, say=lambda line: None)):
        loaded.scores("mini-0", PROMPTS)
        with pytest.raises(
            ValueError, match=r"two sets of prompts, toy\(.*\), differ in clusters, labels or factors alone"
        ):
            loaded.scores("mini-0", relabelled(labels=()))
    with using(Store(root, say=lambda line: None, interactive=True)), uses() as used:  # in a notebook they are edited
        loaded.scores("mini-0", PROMPTS)
        loaded.scores("mini-0", relabelled(cluster="one for all"))
    assert set(used[1].measurement.clusters) == {"one for all"}


def test_evidence_with_other_rows_than_its_prompts_is_not_used(root):
    use = ask(root)
    fewer = PromptSet("toy", "confirmation", ROWS[:11])
    data = prompt_files.encode_prompts(fewer)
    sealed.write(rows_file(root), data)
    with pytest.raises(DamagedEvidence, match="has 12 rows, its prompts 11: measure it again"):
        read(evidence(root, use))
