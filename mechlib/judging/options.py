"""Options of pytest for claims, and what they mean for the run."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from mechlib.checkpoints.checkpoint import TWINS, IncompleteModel, UnknownModel
from mechlib.checkpoints.files import require_here
from mechlib.checkpoints.resolve import checkpoint
from mechlib.evidence import Store
from mechlib.evidence.store import Mode
from mechlib.judging.audit.asking import AUDITED, audited
from mechlib.judging.audit.run import Audit
from mechlib.judging.beginning import choose_bos
from mechlib.judging.commands.suggestions import CLAIM, files_of, for_keyword, for_path, functions, nearest
from mechlib.judging.marks import MARKS, REPORTED
from mechlib.judging.registration.commits import head
from mechlib.judging.session import Run

STORE = pytest.StashKey[Store]()
_DEVICES = ("cpu", "cuda", "mps")
_FORMER = re.compile(r"/claims/test_(\w+)\.py$")
_TOPIC = re.compile(r"\btest_(\w+)\b")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the group "claims and their evidence"."""
    group = parser.getgroup("mechlib", "claims and their evidence")
    group.addoption("--frozen", action="store_true", help="judge filed evidence only: measure and file nothing")
    group.addoption("--fresh", action="store_true", help="measure everything again, compare with what is filed")
    group.addoption(
        "--sample",
        metavar="N",
        type=float,
        help="with --fresh: of what controls (twins, exchanged parts) measure one file in N, others at each commit; "
        "below 1, as .1, that share of all files",
    )
    group.addoption("--replace", action="store_true", help="measure everything again, file it instead")
    group.addoption(
        "--register",
        action="store_true",
        help="write what the selected claims say into the register, before they are measured; judge nothing",
    )
    group.addoption(
        "--amend", metavar="REASON", help="with --register: an evidence function was mended, and why; both words stay"
    )
    group.addoption(
        "--no-controls",
        action="store_true",
        help="measure no control run that is not filed: what it would control is UNCONTROLLED until it is",
    )
    group.addoption(
        "--controls",
        dest="no_controls",
        action="store_false",
        default=False,
        help="measure the control runs that are not filed: forty times what a claim about a part costs",
    )
    group.addoption(
        "--report", action="store_true", help="write the report; a selection goes to artifacts/report/partial"
    )
    group.addoption("--results", metavar="PATH", help="write results.json there, as --results=PATH")
    group.addoption("--records", metavar="PATH", help="write one full record a line there, as --records=PATH")
    group.addoption(
        "--model",
        action="append",
        metavar="NAME_OR_DIR",
        help="audit this model: ask of it what the selected claims ask of theirs, and print both side by side; "
        "status 0 unless something broke; write a folder with the =, as in --model=DIR",
    )
    group.addoption(
        "--bos",
        metavar="TOKEN",
        default=os.environ.get("MECHLIB_BOS"),
        help="put this token before every text of the models under --model, or none with --bos=none [MECHLIB_BOS]",
    )
    group.addoption("--device", default=os.environ.get("MECHLIB_DEVICE"), help="cpu, cuda, mps [MECHLIB_DEVICE]")
    group.addoption(
        "--seed",
        type=_whole,
        default=os.environ.get("MECHLIB_SEED", "0"),
        help="shift the seed of the resampling: a Monte-Carlo check, which measures nothing again and leaves the "
        "register alone [MECHLIB_SEED]",
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
    chosen = [name for name in ("frozen", "fresh", "replace", "register") if config.getoption(name)]
    if len(chosen) > 1:
        raise pytest.UsageError(f"--{' and --'.join(chosen)} exclude each other")
    _check_registering(config)
    sample = _sample(config)
    for mark in MARKS:
        known = f"{mark}(reasons): a known outcome of a claim, see mechlib.judging.marks.{mark}"
        config.addinivalue_line("markers", known)
    config.addinivalue_line("markers", f"{REPORTED}(value, where): a published sentence, see mechlib.reported")
    root = config.rootpath
    _refuse_former_addresses(config)
    config.args[:] = [_as_node(argument, root) for argument in config.args]
    _refuse_missing(config)
    given = config.getoption("model") or ()
    choose_bos(config, given, root)
    _check_models(given, root)
    config.stash[AUDITED] = audited(given, root)
    config.stash[STORE] = Store(
        root=root,
        mode=cast(Mode, chosen[0] if chosen and chosen != ["register"] else "measure"),
        device=config.getoption("device"),
        evidence_dir=root / "artifacts" / ("local" if given else "evidence"),
        controls=not config.getoption("no_controls"),
        sample=sample,
        draw=head(root) if sample != 1 else "",
    )
    _choose_device(config.getoption("device"))
    if config.getoption("seed"):
        from mechlib.statistics import set_seed_offset

        set_seed_offset(config.getoption("seed"))
    if config.getoption("register"):
        from mechlib.judging.registration.registering import Registering

        config.pluginmanager.register(Registering(config, config.stash[STORE]), "mechlib-registering")
    elif not _is_worker(config):
        run = Run(config)
        config.pluginmanager.register(run, "mechlib-run")
        if given:
            config.pluginmanager.register(Audit(config, run.register.latest), "mechlib-audit")
        if config.getoption("report"):
            config.option.htmlpath = str(run.folder / "run.html")
            config.option.self_contained_html = True
            config.pluginmanager.register(run.page(), "mechlib-page")


def _sample(config: pytest.Config) -> float:
    found: float | None = config.getoption("sample")
    if found is not None and not config.getoption("fresh"):
        raise pytest.UsageError("--sample is for --fresh: `pytest --fresh --sample 4`")
    if found is not None and not (0 < found < math.inf):
        raise pytest.UsageError(f"--sample {found:g} measures nothing: one in 1 is all, one in 4 a quarter, .1 a tenth")
    return found or 1


def _check_registering(config: pytest.Config) -> None:
    """--register writes one file in one process, and is about the record's own claims."""
    if config.getoption("amend") is not None and not config.getoption("register"):
        raise pytest.UsageError("--amend is for --register: `pytest --register --amend REASON` and the claims")
    if config.getoption("amend") is not None and not config.getoption("amend").strip():
        raise pytest.UsageError("--amend is empty: say why the evidence function was mended")
    for name in ("model", "report", "results", "records", "numprocesses", "seed"):
        if config.getoption("register") and config.getoption(name, None):
            shown = "-n" if name == "numprocesses" else f"--{name}"
            raise pytest.UsageError(f"--register judges nothing and runs alone: leave {shown} away")


def _check_models(names: Sequence[str], root: Path) -> None:
    for name in names:
        if not name.strip():
            raise pytest.UsageError("--model is empty: name a model or a directory, as --model=path/to/my_model")
        try:
            model = checkpoint(name, root)
            if model.twin is not None:
                why = "a twin, which every claim is held against" if model.twin in TWINS else f"made of {model.parent}"
                raise UnknownModel(f"{name!r} is {why}: --model={model.parent}")
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


# --- addresses ----------------------------------------------------------------------------------------------------


def _as_node(argument: str, root: Path) -> str:
    """The node id of a claim asked for by its id, "topic.function" or "topic.function[case]"; others as they are.

    Raises UsageError where the topic is there and the claim is not.
    """
    found = CLAIM.fullmatch(argument)
    if found is None or Path(argument).exists():
        return argument
    topic, function, case = found.groups(default="")
    files = files_of(topic, root)
    if not files:
        return argument
    places = {name: file for file in files for name in functions(file)}
    if function not in places:
        near = nearest(function, places)
        cure = f"is it {topic}.{near[0]}?" if near else f"`pytest --collect-only -q -k {topic}` lists its claims"
        raise pytest.UsageError(f"the topic {topic} has no claim {function}: {cure}")
    return f"{places[function]}::{function}{case}"


def _refuse_missing(config: pytest.Config) -> None:
    """A path that is not there, but near to a topic or a claim, names it; others are pytest's to refuse."""
    here = config.invocation_params.dir
    for argument in config.args if config.args_source == pytest.Config.ArgsSource.ARGS else ():
        if not (here / argument.partition("::")[0]).exists() and not config.getoption("pyargs"):
            said = for_path(argument, config.rootpath, here)
            if said:
                raise pytest.UsageError(said)


def _refuse_former_addresses(config: pytest.Config) -> None:
    """A node id from when topics were files names the file that the claim stands in today."""
    here = config.invocation_params.dir
    asked = [("", argument, here) for argument in config.args]
    asked += [("--deselect ", argument, config.rootpath) for argument in config.getoption("deselect") or ()]
    for option, argument, base in asked:
        name, _, claim = argument.partition("::")
        file = (base / name.replace("\\", "/")).resolve()
        found = _FORMER.search(file.as_posix())
        folder = config.rootpath / "claims" / (found[1] if found else "")
        if found is None or file.exists() or not folder.is_dir():
            continue
        function = claim.partition("[")[0]
        places = [path for path in files_of(found[1], config.rootpath) if function in functions(path)]
        today = Path(os.path.relpath(places[0] if claim and places else folder, base)).as_posix()
        today += f"::{claim}" if claim and places else ""
        raise pytest.UsageError(f"there is no {name} any more, topics are folders: run `pytest {option}{today}`")


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """One line where -k selects nothing: what it may have meant."""
    run: Any = config.pluginmanager.get_plugin("mechlib-run")
    asked = config.getoption("keyword") or ""
    if run is None or run.asked or not asked or exitstatus != pytest.ExitCode.NO_TESTS_COLLECTED:
        return
    today = _TOPIC.sub(lambda found: found[1] if files_of(found[1], config.rootpath) else found[0], asked)
    if today != asked:
        terminalreporter.write_line(f"-k {asked!r} selects nothing, topics are folders: ask for -k {today!r}")
    else:
        terminalreporter.write_line(for_keyword(asked, config.rootpath))
