"""docs/tour.ipynb runs from its first cell to its last, and says what Hugging Face's own model says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient.exceptions import CellExecutionError
from transformers import AutoTokenizer, GPT2LMHeadModel

from mechlib.checkpoints import checkpoint, is_here
from mechlib.prompts import ioi
from mechlib.prompts.promptset import Prompt
from tests.docs.pages import ROOT
from tools.tour import TOUR, executed, printed

RECORD = ("mechlib", "claims", "fixtures", "conftest.py", "pyproject.toml")
FILED = ("artifacts/evidence", "artifacts/register.jsonl")
NUMBER = re.compile(r"-?\d+\.\d+")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_in(folder: Path, cache: str, notebook: Path = TOUR) -> nbformat.NotebookNode:
    """The notebook, executed where the record is and no scratch of an earlier run; `cache` has the fetched models."""
    (folder / "artifacts").mkdir()
    for name in (*RECORD, *FILED):
        (folder / name).symlink_to(ROOT / name)
    (folder / "docs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("MECHLIB_CACHE", cache)
        patch.delenv("MECHLIB_ROOT", raising=False)
        return executed(notebook, folder / "docs")


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    return run_in(tmp_path_factory.mktemp("tour"), str(tmp_path_factory.mktemp("nothing fetched")))


@pytest.fixture(scope="module")
def network() -> GPT2LMHeadModel:
    return GPT2LMHeadModel.from_pretrained(ROOT / "fixtures" / "mini-0", dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def ids():
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "fixtures" / "mini-0")
    return lambda text: torch.tensor([tokenizer(f"{tokenizer.bos_token} {text}", add_special_tokens=False).input_ids])


def lead(network: GPT2LMHeadModel, ids, prompt: Prompt, text: str) -> float:
    """Logit of the answer less the distractor's after a text."""
    with torch.no_grad():
        after = network(ids(text)).logits[0, -1]
    return float(after[ids(prompt.answer)[0, -1]] - after[ids(prompt.distractor)[0, -1]])


def restored(network: GPT2LMHeadModel, ids, prompt: Prompt, heads: list[tuple[int, int]]) -> tuple[float, float]:
    """What heads restore that hold at the last word of the corrupted text what they hold after the clean one, and all
    that there is to restore: by hooks on Hugging Face's output projections."""
    width, held, hooks = network.config.n_embd // network.config.n_head, {}, []
    projections = [block.attn.c_proj for block in network.transformer.h]

    def keep(layer: int):
        return lambda module, given: held.__setitem__(layer, given[0][0, -1].clone())

    def put(layer: int, head: int):
        own = slice(head * width, (head + 1) * width)

        def patched(module, given):
            given[0][0, -1, own] = held[layer][own]
            return given

        return patched

    for layer, projection in enumerate(projections):
        hooks.append(projection.register_forward_pre_hook(keep(layer)))
    clean = lead(network, ids, prompt, prompt.clean)
    for hook in hooks:
        hook.remove()
    before = lead(network, ids, prompt, prompt.corrupted)
    hooks = [projections[layer].register_forward_pre_hook(put(layer, head)) for layer, head in heads]
    after = lead(network, ids, prompt, prompt.corrupted)
    for hook in hooks:
        hook.remove()
    return after - before, clean - before


def test_it_has_fifteen_cells_and_says_what_it_said_when_it_was_kept(tour):
    """All but where it runs, what pytest prints, and whether a pretrained model is here."""
    kept = code(nbformat.read(TOUR, as_version=4))
    assert len(kept) == 15
    for was, now in zip(kept[1:-2], code(tour)[1:-2], strict=True):
        numbers = [list(map(float, NUMBER.findall(printed(cell)))) for cell in (was, now)]
        assert NUMBER.sub("#", printed(was)) == NUMBER.sub("#", printed(now)), "python tools/tour.py runs it again"
        assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.002)
    assert "image/png" in next(output.data for cell in kept for output in cell.outputs if output.get("data"))
    assert TOUR.stat().st_size < 60_000 and not any(cell.execution_count for cell in kept)


def test_the_lead_that_it_prints_is_that_of_hugging_faces_own_forward_pass(tour, network, ids):
    prompts = ioi(80, split="discovery")
    (said,) = re.findall(r"the answer leads by (\S+) logits, in the corrupted text by (\S+)\n", printed(code(tour)[4]))
    for number, texts in zip(said, ("clean", "corrupted"), strict=True):
        leads = [lead(network, ids, prompt, getattr(prompt, texts)) for prompt in prompts]
        assert float(number) == pytest.approx(sum(leads) / len(leads), abs=0.006)


def test_the_share_that_it_estimates_is_what_hooks_on_hugging_faces_model_restore(tour, network, ids):
    (chosen,) = re.findall(r"^((?:\d\.\d ?){3})$", printed(code(tour)[8]), re.MULTILINE)
    heads = [(int(layer), int(head)) for layer, head in re.findall(r"(\d)\.(\d)", chosen)]
    back, whole = zip(*(restored(network, ids, prompt, heads) for prompt in ioi()), strict=True)
    (share,) = re.findall(r"^(\d\.\d+) \[", printed(code(tour)[10]), re.MULTILINE)
    assert float(share) == pytest.approx(sum(back) / sum(whole), abs=0.0006)


def test_its_claim_is_judged_by_the_record_and_a_model_that_is_not_here_is_named(tour):
    assert re.search(r"\b5 verdicts: 5 SUPPORTED\b", printed(code(tour)[-2]))
    assert printed(code(tour)[-1]) == "smollm2-135m is not on this machine: run `mechlib fetch smollm2-135m`\n"


def test_a_cell_that_raises_fails(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        executed(tmp_path / "broken.ipynb", tmp_path)


def first_cell(folder: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> list[list[str]]:
    """The commands of the first cell in a folder without the record, with REPOSITORY set; none of them is run."""
    asked: list[list[str]] = []
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setitem(os.environ, "MECHLIB_DEVICE", "cpu")
    (folder / "record").mkdir()
    monkeypatch.setattr(subprocess, "run", lambda words, check: asked.append([str(word) for word in words]))
    source = code(nbformat.read(TOUR, as_version=4))[0].source
    assert source.count('REPOSITORY = ""') == 1, "no address is invented"
    exec(source.replace('REPOSITORY = ""', f"REPOSITORY = {address!r}"), {})
    return asked


def test_where_the_record_is_not_it_is_cloned_and_installed(tmp_path, monkeypatch):
    clone, install = first_cell(tmp_path, monkeypatch, "an address")
    assert clone == ["git", "clone", "--quiet", "an address", str(tmp_path / "record")]
    assert install[-1] == f"{tmp_path / 'record'}[measure,notebook]" and Path.cwd() == tmp_path / "record"


def test_without_an_address_it_says_what_to_set(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="set REPOSITORY above"):
        first_cell(tmp_path, monkeypatch, "")


@pytest.mark.pretrained
def test_a_model_that_was_fetched_is_asked_the_same(tmp_path):
    if not is_here(checkpoint("smollm2-135m")):
        pytest.skip("smollm2-135m is not here: mechlib fetch smollm2-135m")
    said = printed(code(run_in(tmp_path, os.environ.get("MECHLIB_CACHE", "")))[-1])
    kept = printed(code(nbformat.read(TOUR, as_version=4))[-1])
    assert NUMBER.findall(said)[:5] == NUMBER.findall(kept)[:5]
