"""Running: one claim is judged in place of being called, and its word is what pytest reports. Of several workers one
alone gets a model of which each of them would have to hold a copy that does not fit beside the others.
"""

from __future__ import annotations

import json
from contextlib import chdir
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mechlib.checkpoints import HUB, PACKAGED, checkpoint, is_here, memory
from mechlib.evidence import uses, using
from mechlib.evidence.prompt_files import called
from mechlib.judging.audit.asking import AUDITED, BESIDE, as_audited, own_models, why_not_asked
from mechlib.judging.audit.run import BAR
from mechlib.judging.claim import Claim
from mechlib.judging.collection import CLAIM, id_of, topic_of
from mechlib.judging.judge import BrokenModel, NotAsked, judge
from mechlib.judging.options import STORE
from mechlib.judging.registration import claimed
from mechlib.judging.registration.seeds import seeds_of
from mechlib.judging.session import CLAIMED, RECORD, record_of
from mechlib.report.content.titles import reading_place
from mechlib.report.outputs.audit_table import NOT_ASKED
from mechlib.verdicts.controlled import UNCONTROLLED
from mechlib.verdicts.record import Record
from mechlib.verdicts.words import WORDINGS


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Judges a claim in place of calling it; the record travels with the test report."""
    claim = pyfuncitem.stash.get(CLAIM, None)
    if claim is None:
        return None
    file, line, _ = pyfuncitem.location
    arguments = dict(pyfuncitem.callspec.params) if hasattr(pyfuncitem, "callspec") else {}
    topic = topic_of(pyfuncitem)
    name = id_of(pyfuncitem)
    identity = {
        "id": name,
        "topic": topic,
        "function": claim.name,
        "file": file,
        "line": (line or 0) + 1,
        "place": reading_place(pyfuncitem.config.rootpath, file, (line or 0) + 1),
    }
    root, audit = pyfuncitem.config.rootpath, pyfuncitem.config.stash[AUDITED]
    with using(pyfuncitem.config.stash[STORE]), chdir(root), seeds_of(name, root), uses() as read:
        if audit:
            record, trace = _audited(pyfuncitem, claim, arguments, identity)
        else:
            record, trace = judge(claim, arguments, identity)
    sets = [one for use in read if use.model == (record.model or use.model) for one in use.measurement.prompts]
    record.prompts = sorted({called(one) for one in sets if one.split == "confirmation"})
    said = asdict(claimed.identity(claim, arguments, record.id.partition("[")[2].removesuffix("]")))
    pyfuncitem.user_properties.append((RECORD, record.to_json()))
    pyfuncitem.user_properties.append((CLAIMED, json.dumps(said)))
    if record.verdict in ("GATED", "NOT RUN") and record.ok:
        pytest.skip(f"{record.verdict}: {record.message}")
    if not record.ok:
        pytest.fail(_failure(record, trace), pytrace=False)
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, all claims on a large model go to one worker, which then holds it once; others to whoever is free.

    None, which leaves it to pytest-xdist, where nothing is measured, no large model is here, or --dist says otherwise.
    """
    if config.getvalue("dist") != "load" or config.stash[STORE].mode == "frozen":
        return None
    large = too_large(len(config.getvalue("tx") or ()), config.rootpath)
    if not large:
        return None
    from xdist.scheduler import LoadScopeScheduling

    class OneWorkerAModel(LoadScopeScheduling):
        """Claims of one large model are one unit of work, every other claim is its own."""

        def _split_scope(self, nodeid: str) -> str:
            case = nodeid.partition("[")[2]
            return next((model for model in large if model in case), nodeid)

    return OneWorkerAModel(config, log)


def too_large(workers: int, root: Path) -> tuple[str, ...]:
    """The fetched models that so many workers could not each hold in half of the memory that is free now.

    A worker that makes a permuted twin takes up to as much again for a moment: the order of its largest matrix.
    """
    here = [model for name in (*PACKAGED, *HUB) if is_here(model := checkpoint(name, root))]
    needs = {model.name: memory(model) for model in here}
    free = _free()
    return tuple(name for name, need in needs.items() if workers * (need.total + need.weights) > free / 2)


def _free() -> float:
    """Bytes of memory that programs can have now; 0 where the system does not say, so that nothing is held twice."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return 0.0


def _audited(
    item: pytest.Function, claim: Claim, arguments: dict[str, Any], identity: dict[str, Any]
) -> tuple[Record, str]:
    """The record of a claim on a model that it does not name; skips the claim where it cannot be asked.

    A model that cannot be loaded ends the run: every further claim would say the same.
    """
    short, model = item.config.stash[AUDITED], str(arguments.get("model", ""))
    why = why_not_asked(claim, arguments, item.config.rootpath)
    try:
        if why:
            raise NotAsked(why)
        record, trace = judge(claim, arguments, identity, audit=True)
        item.user_properties.append((BESIDE, json.dumps(own_models(claim))))
        return as_audited(record, short), trace
    except (NotAsked, BrokenModel) as error:
        said = str(error).replace(model, short[model]) if model else str(error)
        broken = isinstance(error, BrokenModel)
    if broken:
        item.session.shouldfail = f"{short[model]} cannot be audited: {said}"
        pytest.fail(said, pytrace=False)
    item.user_properties.append((NOT_ASKED, said))
    pytest.skip(f"NOT ASKED: {said}")


def _failure(record: Record, trace: str) -> str:
    wording = WORDINGS[record.verdict]
    lines = [record.sentence, f"{record.verdict}: {record.message}"]
    if record.expected:
        lines.append(f"marked {record.expected} ({record.why}), but it came out {record.verdict}")
        if record.verdict == "SUPPORTED":
            lines.append("if that is right, remove the mark and say in CHANGELOG.md what changed")
    elif wording.mark:
        reason = f'{{"{record.model}": "why"}}' if record.model else '"why"'
        lines.append(f"{wording.cure}: @{wording.mark}({reason})")
    lines.append(f"{record.file}:{record.line}; `mechlib history '{record.id}'` says what it was")
    return "\n".join([*lines, trace] if trace else lines)


def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, Any] | None:
    """The verdict word in the place of pytest's own."""
    record = record_of(report) if report.when == "call" else None
    if record is None:
        asked = report.when != "call" or NOT_ASKED not in dict(report.user_properties)
        return None if asked else ("not asked", "", ("NOT ASKED", {"yellow": True}))
    wording = WORDINGS[record.verdict]
    colour = wording.colour if record.ok else "red"
    category = {"SUPPORTED": "passed"}.get(record.verdict, record.verdict.lower()) if record.ok else "failed"
    word = f"{record.verdict} (as marked)" if record.ok and record.expected else record.verdict
    word += f", {UNCONTROLLED}" if record.uncontrolled else ""
    word += " (changed after evidence)" if record.history else ""
    return category, "" if config.stash.get(BAR, False) else wording.letter, (word, {colour: True})
