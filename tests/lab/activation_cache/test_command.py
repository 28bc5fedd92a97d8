"""`mechlib cache` as one types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib import cli
from mechlib.lab.activation_cache import open_cache
from mechlib.lab.hooks import run
from mechlib.lab.models.loading import load
from mechlib.lab.models.tokens import tokens

POST = "blocks.2.hook_resid_post"


def cache(folder: Path, *more: str) -> int:
    return cli.main(["cache", "--model", "mini-0", "--hook", POST, "--out", str(folder / "c"), *more])


def test_a_minis_own_texts_are_cached_and_tokens_a_second_are_shown(tmp_path, capsys):
    assert cache(tmp_path, "--tokens", "200", "--seed", "3", "--batch", "2", "--hook", "blocks.0.attn.hook_z") == 0
    said = capsys.readouterr()
    assert f"{tmp_path / 'c'}: 200 tokens of mini-0, " in said.out
    assert f"\n  {POST}: 128 wide, float16\n  blocks.0.attn.hook_z: 128 wide" in said.out
    assert "token/s" in said.err
    assert open_cache(tmp_path / "c", POST).header["text"]["seed"] == 3
    assert cache(tmp_path, "--tokens", "200", "--seed", "3", "--batch", "2", "--hook", "blocks.0.attn.hook_z") == 0
    assert "there already" in capsys.readouterr().out


def test_files_are_texts_and_lines_are_where_that_is_said(tmp_path):
    for number, text in enumerate(["Mary amber\nMary Mary\n\n", "amber\n"]):
        (tmp_path / str(number)).write_text(text)
    files = [str(tmp_path / "0"), str(tmp_path / "1")]
    assert cache(tmp_path, "--text", *files) == 0
    assert open_cache(tmp_path / "c").places.tolist() == [[0, 1], [0, 2], [0, 3], [0, 4], [1, 1]]
    (tmp_path / "lines").mkdir()
    assert cache(tmp_path / "lines", "--text", *files, "--lines") == 0
    made = open_cache(tmp_path / "lines" / "c")
    assert made.places.tolist() == [[0, 1], [0, 2], [1, 1], [1, 2], [2, 1]]
    model = load("mini-0")
    wanted = run(model, tokens(model, "Mary amber").unsqueeze(0), keep=[POST])[1][POST][0, 1:]
    assert abs(made.rows[:2] - wanted.half().numpy()).max() < 0.01


@pytest.mark.parametrize(
    "more, said",
    [
        ([], "the model's own texts have no end: say how many with --tokens, or give some with --text"),
        (
            ["--tokens", "9", "--hook", "blocks.2.resid_post"],
            "has no activation 'blocks.2.resid_post': near are blocks.",
        ),
        (["--text", "nowhere.txt"], "nowhere.txt cannot be read (No such file or directory): name another file"),
        (["--text", "strange.txt"], "mini-0 does not know 'Zebedee', in line 2 of text 0"),
        (["--text", "bytes.txt"], "bytes.txt is not text in UTF-8"),
        (["--text", "short.txt", "--tokens", "3"], "the texts have 1 tokens to cache, 3 were asked for"),
        (["--tokens", "9", "--length", "65"], "rows of 65 tokens: mini-0 takes 2 to 64, BOS counted"),
        (["--tokens", "9", "--model", "gpt2-small"], "run `mechlib fetch gpt2-small`"),
        (["--tokens", "9", "--model", "mini-99"], "no model 'mini-99': did you mean"),
    ],
)
def test_what_cannot_be_cached_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, more, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no hub"))
    (tmp_path / "strange.txt").write_text("Mary\namber Zebedee")
    (tmp_path / "short.txt").write_text("Mary")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xff")
    assert cache(tmp_path, *more) == 2
    err = capsys.readouterr().err
    assert err.startswith("mechlib: ") and said in err and err.count("\n") == 1
    assert not list(tmp_path.glob("c*"))


def test_an_interrupted_command_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mechlib.lab.activation_cache.caching.row_activations", interrupted)
    assert cache(tmp_path, "--tokens", "9") == 130
    assert "run the same command again to go on" in capsys.readouterr().err
    monkeypatch.undo()
    assert cache(tmp_path, "--tokens", "9") == 0


def test_the_command_is_there_without_torch_and_by_python_m():
    script = "import sys; sys.modules['torch'] = None; from mechlib.cli import main; main(['cache', '--help'])"
    ours = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    for command in (["-c", script], ["-m", "mechlib", "cache", "--help"]):
        done = subprocess.run([sys.executable, *command], env=ours, capture_output=True, text=True, check=True)
        assert "--hook NAME" in done.stdout
