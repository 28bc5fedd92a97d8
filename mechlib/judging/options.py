"""Options of pytest for claims, and what they mean for the run."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from mechlib.checkpoints.checkpoint import IncompleteModel, UnknownModel
from mechlib.checkpoints.files import require_here
from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence import Store
from mechlib.evidence.store import Mode
from mechlib.judging.marks import MARKS
from mechlib.judging.session import Run

STORE = pytest.StashKey[Store]()
_DEVICES = ("cpu", "cuda", "mps")
_FORMER = re.compile(r"(?:^|/)claims/test_(\w+)\.py$")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the group "claims and their evidence"."""
    group = parser.getgroup("mechlib", "claims and their evidence")
    group.addoption("--frozen", action="store_true", help="judge filed evidence only: measure and file nothing")
    group.addoption("--fresh", action="store_true", help="measure everything again, compare with what is filed")
    group.addoption("--replace", action="store_true", help="measure everything again, file it instead")
    group.addoption(
        "--report", action="store_true", help="write the report; a selection goes to artifacts/report/partial"
    )
    group.addoption("--results", metavar="PATH", help="write results.json there, as --results=PATH")
    group.addoption("--records", metavar="PATH", help="write one full record a line there, as --records=PATH")
    group.addoption(
        "--model",
        action="append",
        metavar="NAME_OR_DIR",
        help="put this model under every selected claim; write a folder with the =, as in --model=DIR",
    )
    group.addoption("--device", default=os.environ.get("MECHLIB_DEVICE"), help="cpu, cuda, mps [MECHLIB_DEVICE]")
    group.addoption(
        "--seed",
        type=_whole,
        default=os.environ.get("MECHLIB_SEED", "0"),
        help="shift the resampling seed: a Monte-Carlo check [MECHLIB_SEED]",
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number; --seed and MECHLIB_SEED take one") from None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Checks options, chooses the store, and registers the run in the process that the user started."""
    if not __debug__:
        raise pytest.UsageError("python -O strips asserts, and a claim is one: run without -O and PYTHONOPTIMIZE")
    chosen = [name for name in ("frozen", "fresh", "replace") if config.getoption(name)]
    if len(chosen) > 1:
        raise pytest.UsageError(f"--{' and --'.join(chosen)} exclude each other")
    for mark in MARKS:
        known = f"{mark}(reasons): a known outcome of a claim, see mechlib.judging.marks.{mark}"
        config.addinivalue_line("markers", known)
    twins = "no_twin(reason): the claim is not held against its twins, see mechlib.judging.marks.no_twin"
    config.addinivalue_line("markers", twins)
    root = config.rootpath
    _refuse_former_addresses(config.args, root)
    own_models = config.getoption("model")
    config.stash[STORE] = Store(
        root=root,
        mode=cast(Mode, chosen[0] if chosen else "measure"),
        device=config.getoption("device"),
        evidence_dir=root / "artifacts" / ("local" if own_models else "evidence"),
    )
    _check_models(own_models or (), root)
    _choose_device(config.getoption("device"))
    if config.getoption("seed"):
        from mechlib.statistics import set_seed_offset

        set_seed_offset(config.getoption("seed"))
    if not _is_worker(config):
        run = Run(config)
        config.pluginmanager.register(run, "mechlib-run")
        if config.getoption("report"):
            config.option.htmlpath = str(run.folder / "report.html")
            config.option.self_contained_html = True
            config.pluginmanager.register(run.page(), "mechlib-page")


def _check_models(names: Sequence[str], root: Path) -> None:
    for name in names:
        try:
            model = checkpoint(name, root)
            if model.kind == "local":  # of others evidence may be filed, whatever became of their weights
                require_here(model)
        except (UnknownModel, IncompleteModel) as error:
            raise pytest.UsageError(str(error)) from None


def _choose_device(device: str | None) -> None:
    if not device:
        return
    if device.partition(":")[0] not in _DEVICES:
        known = ", ".join(_DEVICES)
        raise pytest.UsageError(f"no device {device!r}: choose one of {known} for --device or MECHLIB_DEVICE")
    os.environ["MECHLIB_DEVICE"] = device


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _refuse_former_addresses(arguments: Sequence[str], root: Path) -> None:
    """A node id from when topics were files names the file that the claim stands in today."""
    for argument in arguments:
        name, _, claim = argument.partition("::")
        found = _FORMER.search(name)
        if found is None or Path(name).exists() or not (root / "claims" / found[1]).is_dir():
            continue
        folder = root / "claims" / found[1]
        function = claim.partition("[")[0]
        places = [file for file in sorted(folder.glob("test_*.py")) if f"def {function}(" in file.read_text("utf-8")]
        today = f"{places[0].relative_to(root).as_posix()}::{claim}" if claim and places else f"claims/{found[1]}"
        raise pytest.UsageError(f"there is no {name} any more, topics are folders: run `pytest {today}`")
