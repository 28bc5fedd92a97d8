"""Prints constraints.txt: the exact version of every package that `mechlib[dev]` brings, on every system, and of those
that `mechlib[mutate]` brings on this one.

Resolves in an empty environment, with the torch that constraints.txt names: that line is moved by hand, it decides
which builds there are. Local labels (2.13.0+cpu) are cut off, so that one file serves every build and every system.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
HEADER = """\
# Every package of `pip install -e '.[dev,mutate]'`, exact, for Linux, macOS and Windows. Made by `make lock`; only the
# line of torch is moved by hand. (What a CUDA build of torch brings besides is pinned by that build itself.)
"""
SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# Run by the new environment's Python: what each installed package says it requires.
INVENTORY = """
import json
from importlib import metadata
print(json.dumps({d.metadata["Name"]: [d.version, d.requires or []] for d in metadata.distributions()}))
"""


def canonical(name: str) -> str:
    from pip._vendor.packaging.utils import canonicalize_name

    return str(canonicalize_name(name))


def missing_elsewhere(requires: dict[str, list[str]]) -> set[str]:
    """Names that another system or Python would install with mechlib[dev], and that are not in this environment.

    `requires` has, for every installed package by its canonical name, its requirements as its metadata spells them.
    """
    from pip._vendor.packaging.requirements import Requirement

    missing = set()
    for system, python in product(SYSTEMS, PYTHONS):
        seen: set[tuple[str, str]] = set()
        agenda = [("mechlib", "dev")]
        while agenda:
            name, extra = agenda.pop()
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name not in requires:
                missing.add(name)
                continue
            environment = {**system, "python_version": python, "python_full_version": f"{python}.0", "extra": extra}
            for line in requires[name]:
                requirement = Requirement(line)
                if requirement.marker is None or requirement.marker.evaluate(environment):
                    agenda += [(canonical(requirement.name), extra) for extra in ("", *requirement.extras)]
    return missing


def offered(pip: list[str], name: str, folder: Path) -> str:
    """The version of `name` that pip would install now."""
    report = folder / "report.json"
    asked = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", str(report), name]
    subprocess.run([*pip, *asked], check=True)
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return str(found["install"][0]["metadata"]["version"])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = str(folder / "venv" / "bin" / "python")
        pip = [python, "-m", "pip"]
        # stdout is the file that is being written.
        subprocess.run([python, ROOT / "tools" / "install_torch.py"], check=True, stdout=sys.stderr)
        subprocess.run([*pip, "install", "--editable", f"{ROOT}[dev,mutate]"], check=True, stdout=sys.stderr)
        listing = subprocess.run([python, "-c", INVENTORY], check=True, stdout=subprocess.PIPE, text=True).stdout
        found = {canonical(name): value for name, value in json.loads(listing).items()}
        versions = {name: version.split("+")[0] for name, (version, _) in found.items()}
        for name in missing_elsewhere({name: requires for name, (_, requires) in found.items()}):
            versions[name] = offered(pip, name, folder)
    for own in ("mechlib", "pip"):
        del versions[own]
    print(HEADER, end="")
    for name in sorted(versions):
        print(f"{name}=={versions[name]}")


if __name__ == "__main__":
    main()
