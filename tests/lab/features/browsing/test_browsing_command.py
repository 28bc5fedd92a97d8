"""`mechlib features`, as one types it: listed, one in full, by token, by contrast, on a page; refused in one line."""

import json

import pytest

from mechlib.cli import main
from mechlib.judging.commands import browsing
from mechlib.lab.features.dictionaries import random_dictionary
from mechlib.lab.features.evaluation import activations_at
from mechlib.lab.models.loading import load
from mechlib.report.features.filing import read
from tests.helpers.tiny import WORDS, directory
from tests.lab.features.hooked import HOOK, sequences


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model's directory, and texts for it."""
    home = tmp_path_factory.mktemp("browsing")
    directory(home / "model", "llama")
    for name, first in (("with", 3), ("without", 20)):
        lines = [" ".join(WORDS[first + (n + m * m) % 15] for m in range(6)) for n in range(8)]
        (home / f"{name}.txt").write_text("\n".join(lines) + "\n\n")
    return home


@pytest.fixture(autouse=True)
def dictionary(home, monkeypatch):
    """In place of one from a folder: what is here has no need of a trained one."""
    rows = activations_at(load(str(home / "model")), sequences(30, 9), HOOK)
    made = random_dictionary(rows, 40, k=4, hook=HOOK)
    there = browsing._dictionary
    monkeypatch.setattr(browsing, "_dictionary", lambda model, name: made if name == "drawn" else there(model, name))


def typed(home, *arguments: object) -> int:
    options = ("--sae", "drawn", "--text", home / "with.txt", home / "without.txt")
    return main(["features", str(home / "model"), *map(str, (*options, *arguments))])


def test_it_lists_as_many_as_were_asked_for(home, capsys):
    assert typed(home, "--top", 5) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "40 random directions: 40 features of " in lines[0] and " active on 96 tokens" in lines[0]
    assert lines[1].split()[:3] == ["feature", "active", "at"] and len(lines) == 7


def test_one_in_full_has_windows_and_what_it_writes(home, capsys):
    typed(home, "--top", 1)
    number = capsys.readouterr().out.splitlines()[2].split()[0]
    assert typed(home, "--feature", number) == 0
    said = capsys.readouterr().out
    for title in ("where it is most active", "tokens that follow", "how active", "logits it raises", "near"):
        assert f"\n{title}" in said
    assert f"feature {number}: active on " in said and "[w" in said


def test_a_token_finds_what_is_active_on_it_first(home, capsys):
    assert typed(home, "--token", "W7", "--top", 30) == 0
    said = capsys.readouterr().out.splitlines()[2:]
    places = [n for n, line in enumerate(said) if line.endswith("of its activity is on it")]
    assert places and places == list(range(len(places)))


def test_contrast_says_by_how_much(home, capsys):
    assert typed(home, "--contrast", home / "with.txt", home / "without.txt", "--top", 3) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len(lines) == 3 and all("AUROC" in line and "of texts with and" in line for line in lines)


def test_a_page_and_what_it_is_built_of(home, tmp_path, capsys):
    page, filed = tmp_path / "made" / "page.html", tmp_path / "made" / "cards.json"
    assert typed(home, "--page", page, "--json", filed, "--windows", 2) == 0
    said = capsys.readouterr().out
    assert f"{page}: " in said and f"{filed}: " in said
    assert page.read_text().startswith("<!DOCTYPE html>")
    cards = read(filed)
    assert json.loads(filed.read_text()) == cards
    assert len(cards["cards"]) == cards["alive"] and max(len(card[5]) for card in cards["cards"]) == 2


@pytest.mark.parametrize(("options", "said"), [
    (["--sae", "after-1"], "has no dictionary 'after-1', and no folder is called so"),
    (["--sae", "."], "is no sparse autoencoder"),
    (["--feature", "99"], "has no feature 99: it has 0 to 39"),
    (["--token", "nothing"], "no feature is much active on 'nothing'"),
    (["--top", "0"], "--top 0: ask for 1 or more"),
    (["--text", "missing.txt"], "missing.txt cannot be read"),
    (["--contrast", "empty.txt", "empty.txt"], "empty.txt has no text"),
    (["--page", "."], "cannot be written"),
], ids=str)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_status_2(home, tmp_path, monkeypatch, capsys, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    assert typed(home, *options) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("mechlib: ") and said in printed.err and printed.err.count("\n") == 1
