"""Runs docs/tour.ipynb and keeps what its cells say: `python tools/tour.py`, after a change of the notebook.

Kept are texts and figures. What differs from run to run, logs with their seconds and counters, is left out.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).parent.parent / "docs" / "tour.ipynb"


def executed(notebook: Path, around: Path) -> nbformat.NotebookNode:
    """The notebook, run in the folder `around`, with what its cells put out. Raises CellExecutionError."""
    read = nbformat.read(notebook, as_version=4)
    where = {"metadata": {"path": str(around)}}
    NotebookClient(read, timeout=600, kernel_name="python3", coalesce_streams=True, resources=where).execute()
    for cell in read.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.metadata = None, nbformat.NotebookNode()
            cell.outputs = [kept(output) for output in cell.outputs if output.get("name") != "stderr"]
    return read


def kept(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output without its counter."""
    if "execution_count" in output:
        output.execution_count = None
    return output


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell has printed, as one text."""
    return "".join(output.text for output in cell.get("outputs", []) if output.output_type == "stream")


if __name__ == "__main__":
    nbformat.write(executed(TOUR, TOUR.parent), TOUR)
