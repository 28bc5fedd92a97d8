"""Judging, the pages and the committed figures do without matplotlib; a plot for a notebook says what it needs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCKED = "import sys; sys.modules['matplotlib'] = None; sys.path.insert(0, sys.argv[1])\n"


def run(code: str, *arguments: str) -> str:
    """The output of code in a process in which matplotlib is not installed."""
    command = [sys.executable, "-c", BLOCKED + code, str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_but_the_labs_is_imported_without_it() -> None:
    run(
        "import importlib, pkgutil, mechlib\n"
        "names = [module.name for module in pkgutil.walk_packages(mechlib.__path__, 'mechlib.')]\n"
        "chosen = [name for name in names if not name.startswith('mechlib.lab')]\n"
        "assert len(chosen) > 60\n"
        "for name in chosen: importlib.import_module(name)\n"
    )


def test_a_record_is_written_without_it(tmp_path: Path) -> None:
    run(
        "from pathlib import Path\n"
        "from mechlib.report.content.record_book import RecordBook\n"
        "from mechlib.report.outputs.writing import write\n"
        "from tests.helpers.sample_record import sample\n"
        "root = Path(sys.argv[2])\n"
        "write(RecordBook(sample(root), root), root / 'out')\n",
        str(tmp_path),
    )
    assert list((tmp_path / "artifacts/figures").glob("*.svg")) and (tmp_path / "REPORT.md").is_file()


def test_a_plot_says_in_one_line_how_to_install_it() -> None:
    said = run(
        "from mechlib import Measurement\n"
        "from mechlib.figures import by_column, circuit_graph, matrix\n"
        "from mechlib.figures.plots import small_multiples, svg_bytes\n"
        "data = Measurement([[1.0, 2.0]], units=('a',), columns=('0.0->logits', '0.1->logits'))\n"
        "draw = [lambda f=f: f(data) for f in (by_column, circuit_graph, matrix)]\n"
        "for one in [*draw, lambda: small_multiples(by_column, {'m': data}), lambda: svg_bytes(None)]:\n"
        "    try: one()\n"
        "    except ImportError as error: print(error)\n"
    )
    cure = "a figure in a notebook is drawn by matplotlib: run `pip install -e '.[notebook]'`\n"
    assert said == cure * 5
