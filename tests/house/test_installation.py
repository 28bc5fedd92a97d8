"""Two commands on a bare machine: what is installed, what is refused, and that everything is pinned."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


torch_tool = tool("install_torch")


# constraints.txt


def pins(text):
    """Name to version; anything but `name==version` raises."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc|\.post)[0-9]+)?)", line)
            assert match, f"constraints.txt pins nothing exactly in {line!r}"
            assert match[1] not in found, f"constraints.txt pins {match[1]} twice"
            found[match[1]] = match[2]
    return found


def all_requirements():
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *extras["measure"], *extras["dev"]]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != "mechlib"]


def test_every_requirement_is_pinned_to_a_version_that_it_admits():
    pinned = pins(CONSTRAINTS)
    for requirement in all_requirements():
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize(
    "line",
    ["torch==2.13.0+cpu", "torch>=2.10", "torch", "torch @ file:///wheels/torch.whl", "-e .", "a==1\na==2", "A_b==1.0"],
)
def test_a_pin_that_is_no_exact_version_of_every_system_is_found(line):
    with pytest.raises(AssertionError):
        pins(line)


def test_torch_is_pinned_below_its_upper_bound():
    assert torch_tool.pinned(CONSTRAINTS) == pins(CONSTRAINTS)["torch"] == "2.13.0"


def test_what_is_installed_here_is_what_is_pinned():
    pinned = pins(CONSTRAINTS)
    here = {canonicalize_name(dist.metadata["Name"]): dist.version.split("+")[0] for dist in metadata.distributions()}
    here.pop("setuptools", None)  # the Python that made the environment may have put its own there
    other = {name: version for name, version in here.items() if pinned.get(name, version) != version}
    assert not other, "run make again: it installs what constraints.txt pins"


def brought_by(lines):
    """Canonical names of everything that these requirements install here, by the metadata of what is installed."""
    names, agenda = set(), [Requirement(line) for line in lines]
    while agenda:
        requirement = agenda.pop()
        name = canonicalize_name(requirement.name)
        if name in names or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        names.add(name)
        agenda += [Requirement(line) for line in metadata.requires(name) or []]
    return names


def test_a_reviewer_installs_no_torch():
    judging = brought_by(PROJECT["dependencies"])
    assert judging >= {"numpy", "pytest", "msgspec"}
    assert not judging & {"torch", "matplotlib", "transformers", "transformer-lens", "huggingface-hub", "pandas"}
    assert "torch" in brought_by(PROJECT["optional-dependencies"]["measure"])


def test_the_lock_has_what_only_another_system_needs():
    requires = {
        "mechlib": ["pytest>=9", "ruff; extra == 'dev'"],
        "pytest": ["colorama; sys_platform == 'win32'", "old; python_version < '3.11'"],
    }
    assert tool("lock").missing_elsewhere(requires) == {"colorama", "ruff"}
    assert "colorama" in pins(CONSTRAINTS)


def test_a_warning_in_a_test_is_an_error():
    with pytest.raises(UserWarning, match="announced"):
        warnings.warn("announced today, gone tomorrow", stacklevel=1)


# tools/install_torch.py


class FakePip:
    """Offers builds of torch 2.13.0 in the package index and in PyTorch's CPU index; remembers what was installed."""

    def __init__(self, index=(), pytorch=()):
        self.index, self.pytorch, self.asked, self.installed = index, pytorch, [], None

    def __call__(self, arguments):
        self.asked.append(list(arguments))
        specifier = Requirement(arguments[0]).specifier
        offers = [*self.index, *(self.pytorch if "--index-url" in arguments else ())]
        fitting = sorted(offer for offer in offers if specifier.contains(offer))
        if not fitting:
            return f"No matching distribution found for {arguments[0]}"
        self.installed = fitting[-1]
        return None


def installs(pip, wanted="", system="Linux", machine="x86_64", driver=False):
    torch_tool.install("2.13.0", wanted, system, machine, driver, pip)
    return pip.installed


def test_a_cpu_build_of_the_index_or_a_local_wheel_is_taken_without_asking_further():
    pip = FakePip(index=["2.13.0", "2.13.0+cpu"])
    assert installs(pip) == "2.13.0+cpu"
    assert len(pip.asked) == 1


def test_pytorchs_cpu_index_is_asked_once_and_for_torch_only():
    pip = FakePip(index=["2.13.0"], pytorch=["2.13.0+cpu"])
    assert installs(pip) == "2.13.0+cpu"
    assert pip.asked[1][0] == "torch==2.13.0+cpu"
    assert pip.asked[1][pip.asked[1].index("--retries") + 1] == "0"
    assert int(pip.asked[1][pip.asked[1].index("--timeout") + 1]) <= 10


def test_a_cuda_build_without_a_driver_stops_with_the_cure_and_downloads_nothing():
    pip = FakePip(index=["2.13.0"])
    with pytest.raises(torch_tool.NoBuild, match=r"PIP_FIND_LINKS=.*TORCH=cuda.*TORCH=none"):
        installs(pip)
    # Every request named the CPU build: none of them could have fetched another.
    assert pip.installed is None and all(asked[0].endswith("+cpu") for asked in pip.asked)


def test_with_a_driver_a_cpu_build_still_comes_first_and_a_cuda_build_second():
    assert installs(FakePip(index=["2.13.0"], pytorch=["2.13.0+cpu"]), driver=True) == "2.13.0+cpu"
    assert installs(FakePip(index=["2.13.0"]), driver=True) == "2.13.0"


@pytest.mark.parametrize("offers", [["2.13.0", "2.13.0+cpu"], ["2.13.0+cu130", "2.13.0+cpu"]])
def test_torch_cuda_takes_any_build_but_a_cpu_one(offers):
    assert installs(FakePip(index=offers), wanted="cuda") == offers[0]


def test_torch_cuda_where_only_a_cpu_build_is_offered_names_an_index():
    with pytest.raises(torch_tool.NoBuild, match="PIP_EXTRA_INDEX_URL"):
        installs(FakePip(index=["2.13.0+cpu"]), wanted="cuda")


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_where_the_index_has_only_one_kind_of_build_it_is_taken(system, machine):
    assert installs(FakePip(index=["2.13.0"]), system=system, machine=machine) == "2.13.0"


def test_a_misspelt_build_is_refused():
    with pytest.raises(torch_tool.NoBuild, match="TORCH=gpu is none of cuda, none"):
        installs(FakePip(index=["2.13.0"]), wanted="gpu")


@pytest.mark.parametrize(
    ("asked", "taken"),
    [("torch==2.13.0+cpu", "2.13.0+cpu"), ("torch==2.13.0,!=2.13.0+cpu", "2.13.0"), ("torch==2.13.0", "2.13.0+cpu")],
)
def test_pip_itself_tells_the_builds_apart_as_the_script_supposes(tmp_path, asked, taken):
    for version in ("2.13.0", "2.13.0+cpu", "2.14.0"):
        with zipfile.ZipFile(tmp_path / f"torch-{version}-py3-none-any.whl", "w") as wheel:
            folder = f"torch-{version}.dist-info"
            wheel.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
            wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{folder}/RECORD", "")
    report = tmp_path / "report.json"
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-index", "--find-links", str(tmp_path)]
    look = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", str(report)]
    subprocess.run([*pip, *look, asked], check=True)
    assert json.loads(report.read_text())["install"][0]["metadata"]["version"] == taken


# tools/venv.sh


def fake_python(folder, name, first):
    """An executable `name` that is this Python after the statement `first`."""
    path = folder / name
    path.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c 'import sys; {first}; exec(sys.argv[1])' \"$2\"\n")
    path.chmod(0o755)


def broken_shim(folder, name):
    (folder / name).write_text("#!/bin/sh\necho no such version >&2\nexit 127\n")
    (folder / name).chmod(0o755)


def make_venv(folder):
    script = ["/bin/sh", str(ROOT / "tools" / "venv.sh"), str(folder / "env")]
    return subprocess.run(script, env={"PATH": str(folder)}, capture_output=True, text=True)


NO_ENSUREPIP = 'sys.modules["ensurepip"] = None'


def test_without_ensurepip_one_line_names_the_package(tmp_path):
    fake_python(tmp_path, "python3", f"sys.version_info = (3, 12, 1); {NO_ENSUREPIP}")
    done = make_venv(tmp_path)
    assert done.returncode == 1 and not (tmp_path / "env").exists()
    assert "python3.12-venv" in done.stderr and done.stderr.count("\n") == 1


def test_an_old_python_and_a_shim_without_a_version_behind_it_are_passed_over(tmp_path):
    broken_shim(tmp_path, "python3.11")
    fake_python(tmp_path, "python3", "sys.version_info = (3, 10, 9)")
    done = make_venv(tmp_path)
    assert done.returncode == 1 and "no Python >= 3.11" in done.stderr and done.stderr.count("\n") == 1


def test_the_first_python_that_can_make_an_environment_makes_it(tmp_path):
    broken_shim(tmp_path, "python3.11")
    fake_python(tmp_path, "python3.12", NO_ENSUREPIP)
    (tmp_path / "python3.13").write_text(
        f'#!/bin/sh\n[ "$1" = -m ] && {{ echo "asked for: $*"; exit 0; }}\nexec \'{sys.executable}\' "$@"\n'
    )
    (tmp_path / "python3.13").chmod(0o755)
    done = make_venv(tmp_path)
    assert done.returncode == 0 and f"asked for: -m venv --clear {tmp_path / 'env'}" in done.stdout


# Makefile


def make(folder, *arguments):
    done = subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")


@pytest.fixture
def house(tmp_path):
    """Makefile and what it looks at, with an environment that is installed for everything."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    stamps = ["bin/python", ".judging", ".measuring", ".measuringcuda", ".developing"]
    for name in stamps:
        (tmp_path / ".venv" / name).touch()
    for file in tmp_path.rglob("*"):
        os.utime(file, (1e9, 1e9))
    for age, name in enumerate(stamps):
        os.utime(tmp_path / ".venv" / name, (1e9 + age, 1e9 + age))
    return tmp_path


@needs_make
def test_help_lists_every_target_and_is_the_default():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    assert re.findall(r"^make (\w+)", make(ROOT, "help"), re.MULTILINE) == targets
    assert make(ROOT) == make(ROOT, "help")
    assert {"record", "test", "check", "reproduce", "lock", "help"} <= set(targets)


@needs_make
def test_reproduce_takes_all_that_is_the_models_own_and_all_that_controls_it_where_it_is_told_to(house):
    def said(*more):
        return make(house, "-n", "reproduce", *more)

    assert "-m pytest --fresh --sample 20 -n 2 --dist worksteal" in said()
    assert "-m pytest --fresh --sample 1 -n 0 --dist worksteal" in said("SAMPLE=1", "WORKERS=0")


def test_the_makefile_needs_no_more_than_gnu_make_3_81():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert not re.search(
        r"\.ONESHELL|\.SHELLFLAGS|^\w+ *(!=|::=)|\$\(file |\$\(guile |&:|\.EXTRA_PREREQS|\$\(let |\$\(intcmp ",
        makefile,
        re.M,
    )


@needs_make
def test_nothing_is_installed_again_when_nothing_changed(house):
    assert "install" not in make(house, "-n", "record")
    assert "install" not in make(house, "-n", "test")


@needs_make
@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_changed_list_of_packages_is_installed_torch_first(house, changed):
    (house / changed).touch()
    printed = make(house, "-n", "test")
    torch, measure, dev, tests = (
        printed.index(word) for word in ("install_torch", "[measure,features,paper]", "[dev]", "pytest tests")
    )
    assert torch < measure < dev < tests


@needs_make
def test_judging_without_torch_installs_none_and_measures_nothing(house):
    (house / "constraints.txt").touch()
    printed = make(house, "-n", "record", "TORCH=none")
    assert "install_torch" not in printed and "[measure]" not in printed and "--frozen --report" in printed


@needs_make
def test_another_build_of_torch_is_another_installation(house):
    (house / ".venv" / ".measuringcuda").unlink()
    assert "install_torch.py cuda" in make(house, "-n", "record", "TORCH=cuda")
    assert "install" not in make(house, "-n", "record")


# Continuous checks


def unpinned(text):
    """Actions that are not named by a full commit with the version beside it."""
    return [
        line
        for line in re.findall(r"uses:(.*)$", text, re.M)
        if not re.search(r"^ [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("uses:") >= 3 and unpinned(text) == []


@pytest.mark.parametrize("line", ["actions/checkout@v4", "actions/checkout@3d3c42e", f"actions/checkout@{'a' * 40}"])
def test_an_action_that_is_not_pinned_is_found(line):
    assert unpinned(f"      - uses: {line}\n") == [f" {line}"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_only_the_pages_job_may_do_more(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert more == ({"pages": {"pages": "write", "id-token": "write"}} if path.stem == "check" else {})
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def check_job():
    return yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8"))["jobs"]["check"]


def test_continuous_checks_do_what_ci_run_does():
    steps = [step["run"] for step in check_job()["steps"] if step.get("run", "").startswith("make")]
    assert steps == re.findall(
        r"^    (make (?:check|reproduce)\b.*)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.M
    )


@pytest.mark.skipif(shutil.which("awk") is None, reason="awk is not here")
@pytest.mark.parametrize("lines", [10, 40_000])
def test_the_summary_of_a_run_is_whole_lines_below_a_megabyte(tmp_path, lines):
    report = "".join(f"| claim {n} \u2265 0.5 | SUPPORTED | a sentence about heads |\n" for n in range(lines))
    (tmp_path / "REPORT.md").write_text(report, encoding="utf-8")
    step = next(step for step in check_job()["steps"] if "GITHUB_STEP_SUMMARY" in step.get("run", ""))
    environment = {"PATH": os.environ["PATH"], "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), **step["env"]}
    subprocess.run(["/bin/sh", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    written = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert len(written.encode()) < 1_000_000
    kept = written.splitlines()[:-2] if lines > 10 else written.splitlines()
    assert kept == report.splitlines()[: len(kept)] and len(kept) >= min(lines, 10_000)


def test_ci_run_is_bash_and_executable():
    script = ROOT / ".ci" / "run"
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n") and os.access(script, os.X_OK)


def test_the_citation_names_the_version_that_is_installed():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"] == "MIT"
