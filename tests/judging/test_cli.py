"""The command line: what it says, what it returns, and that only `fetch` downloads."""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

from mechlib import checkpoints, cli
from mechlib.checkpoints.described import details
from mechlib.evidence import files as store
from mechlib.evidence import prompt_files, sealed
from mechlib.evidence.stamp import STAMPS, file_stamp
from mechlib.judging.commands import verify as verifying
from mechlib.measurement import Measurement
from mechlib.report.content.record_book import RecordBook
from mechlib.report.paper.committed import Committed
from mechlib.statistics import mean
from mechlib.verdicts.controlled import Controlled
from mechlib.verdicts.record import Comparison, ModelRead, Record, ShownFigure
from mechlib.verdicts.register import REFILED, REGISTER, Judgement, Register
from mechlib.verdicts.reported import Reported
from tests.helpers import house, toys

root = toys.root
REVISION = checkpoints.HUB["gpt2-small"].revision


@pytest.fixture
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is a record with one mini and no claims."""
    (root / "claims").mkdir()
    (root / "fixtures" / "mini-0" / "config.json").write_text('{"n_layer": 4, "n_embd": 128, "vocab_size": 1000}')
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("mark", ["pytest.ini", "conftest.py", "pyproject.toml"])
def test_a_command_is_about_the_repository_around_it_whichever_file_marks_its_root(tmp_path, monkeypatch, mark):
    (tmp_path / "claims" / "words").mkdir(parents=True)
    (tmp_path / mark).touch()
    for folder in (tmp_path, tmp_path / "claims" / "words"):
        monkeypatch.chdir(folder)
        assert cli.root_here() == tmp_path


def test_a_record_that_is_not_around_the_working_directory_is_named_before_it_is_judged(
    here, tmp_path_factory, monkeypatch, capsys
):
    assert cli.main(["plan"]) == 2 and "the record in" not in capsys.readouterr().err
    monkeypatch.setenv("MECHLIB_ROOT", str(here))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert cli.main(["plan"]) == 2 and capsys.readouterr().err.startswith(f"the record in {here}:")


def test_a_reader_who_has_seen_enough_is_no_crash(here):
    script = "from mechlib import cli; import sys; sys.exit(cli.main(['models']))"
    read, write = os.pipe()
    os.close(read)
    ours = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], env=ours, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


# --- models -------------------------------------------------------------------------------------------------------


def test_models_lists_every_model_and_whether_it_is_here(here, capsys):
    (here / "fixtures" / "mini-1").mkdir()
    assert cli.main(["models"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert set(lines) >= {"model", *checkpoints.MINIS, *checkpoints.PACKAGED, *checkpoints.HUB}
    assert lines["mini-0"][1] == "yes"
    assert lines["mini-1"][1] == "damaged"
    assert lines["gpt2-small"][1:4] == ["no", "124", "M"]


def test_models_as_json_holds_whole_revisions_and_plain_numbers(here, capsys):
    assert cli.main(["models", "--json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert models["gpt2-small"]["revision"] == REVISION
    assert models["gpt2-small"]["disk"] is None
    assert models["mini-0"]["parameters"] == 1
    assert models["mini-0"]["disk"] == sum(file.stat().st_size for file in (here / "fixtures" / "mini-0").iterdir())
    assert models["mini-0"]["memory"] == 4 + 4 * 1024 * (16 * 4 * 128 + 2 * 1000)
    assert models["mini-1"]["problems"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1 k"), (981_504, "982 k"), (999_600, "1 M"), (2.5e12, "2.5e+03 B")],
)
def test_numbers_are_shown_to_three_digits(number, text):
    assert details.count(number) == text


def test_models_imports_no_torch():
    script = (
        "import sys; from mechlib.cli import main; main(['models']); print('torch' in sys.modules, file=sys.stderr)"
    )
    cwd = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=True)
    assert found.stderr == "False\n"


def test_one_model_is_shown_in_full_with_what_stands_first_and_where_that_was_found(here, capsys):
    own = here / "mine"
    shutil.copytree(here / "fixtures" / "mini-0", own)
    (own / "tokenizer.json").write_text(json.dumps({"added_tokens": [{"content": "<s>", "id": 7}], "model": {}}))
    (own / "special_tokens_map.json").write_text('{"bos_token": {"content": "<s>"}}')
    assert cli.main(["models", str(own), "gpt2-small"]) == 0
    said = capsys.readouterr().out
    assert "stands first  '<s>', id 7 (special_tokens_map.json)" in said
    assert "gpt2-small\n  is            gpt2 at 607a30d7, from the Hub" in said
    assert "no: `mechlib fetch gpt2-small` brings it" in said
    (own / "special_tokens_map.json").unlink()
    assert cli.main(["models", str(own)]) == 0
    assert "stands first  nothing (no BOS is declared)" in capsys.readouterr().out


def test_a_model_that_is_broken_is_shown_with_what_is_wrong_and_status_1(here, capsys):
    own = here / "mine"
    shutil.copytree(here / "fixtures" / "mini-0", own)
    (own / "config.json").unlink()
    assert cli.main(["models", str(own)]) == 1
    assert "here          no: config.json is missing" in capsys.readouterr().out
    assert cli.main(["models", "mini-9"]) == 2
    assert cli.main(["models", "--text", "Mary"]) == 2 and "--text is about one model" in capsys.readouterr().err
    assert cli.main(["models", "planted-ioi", "--text", "Mary"]) == 2
    assert "planted-ioi has no tokenizer in a file: its words are <bos>, " in capsys.readouterr().err


def test_the_ids_of_a_text_are_shown_without_torch():
    script = (
        "import sys; sys.modules['torch'] = None; "  # as where it is not installed
        "from mechlib.cli import main; main(['models', 'mini-0', '--text', 'Mary amber'])"
    )
    cwd = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=True)
    assert "0 '<bos>', 341 'Mary', 703 'amber'" in found.stdout


# --- fetch --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    """Stands in for the Hub: remembers what was asked for, and puts a complete snapshot where the cache has it."""
    asked = []

    def download(repo, revision, cache_dir, **more):
        asked.append({"repo": repo, "revision": revision, **more})
        snapshot = Path(cache_dir) / f"models--{repo.replace('/', '--')}" / "snapshots" / revision
        shutil.copytree(toys.model(Path(cache_dir), "made"), snapshot, dirs_exist_ok=True)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return asked


def test_fetch_brings_the_pinned_revision_once(here, hub, capsys):
    assert cli.main(["fetch", "gpt2-small"]) == 0
    assert cli.main(["fetch", "gpt2-small"]) == 0
    assert [(asked["repo"], asked["revision"]) for asked in hub] == [("gpt2", REVISION)]
    assert len(REVISION) == 40
    assert "gpt2-small is here already" in capsys.readouterr().out


def test_fetching_a_twin_brings_its_parent(here, hub):
    assert cli.main(["fetch", "pythia-70m@untrained"]) == 0
    assert hub[0]["repo"] == "EleutherAI/pythia-70m"


def test_only_safetensors_tokenizer_and_configuration_are_asked_for(here, hub):
    cli.main(["fetch", "gpt2-small"])
    files = (
        "model.safetensors model-00001-of-00002.safetensors model.safetensors.index.json config.json tokenizer.json "
        "tokenizer_config.json vocab.json merges.txt pytorch_model.bin tf_model.h5 flax_model.msgpack rust_model.ot "
        "64.tflite model.ckpt onnx/decoder_model.onnx onnx/config.json coreml/model.safetensors README.md"
    ).split()

    def among(file: str, patterns: list[str]) -> bool:
        return any(fnmatch.fnmatch(file, pattern) for pattern in patterns)

    asked = hub[0]
    brought = [f for f in files if among(f, asked["allow_patterns"]) and not among(f, asked["ignore_patterns"])]
    assert brought == files[:8]


def test_damaged_files_are_fetched_again_rather_than_found_in_the_cache(here, hub):
    cli.main(["fetch", "gpt2-small"])
    file = checkpoints.checkpoint("gpt2-small").path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    cli.main(["fetch", "gpt2-small"])
    assert hub[-1]["force_download"]
    assert not hub[0]["force_download"]


@pytest.mark.parametrize(
    "error", [OSError("no route to host"), ConnectionError("refused"), RuntimeError("HTTP 503\nand a long page")]
)
def test_a_failed_download_is_one_line_with_the_cure(here, monkeypatch, capsys, error):
    def offline(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    assert cli.main(["fetch", "gpt2-small"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mechlib: gpt2-small could not be fetched from gpt2 at 607a30d7")
    assert str(error).splitlines()[0] in said and "check the network" in said
    assert said.count("\n") == 1


def test_fetching_offline_says_so_through_the_real_library(here):
    command = [sys.executable, "-m", "mechlib.cli", "fetch", "gpt2-small"]
    environment = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(here / "hub"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "could not be fetched" in found.stderr
    assert "Traceback" not in found.stderr


def test_an_incomplete_download_is_said(here, monkeypatch, capsys):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: "")
    assert cli.main(["fetch", "gpt2-small"]) == 1
    assert "gpt2-small came incomplete: config.json is missing" in capsys.readouterr().err


def test_what_ships_with_the_record_is_not_fetched(here, hub, capsys, monkeypatch):
    monkeypatch.setenv("MECHLIB_ROOT", str(here))
    assert cli.main(["fetch", "mini-0"]) == 0
    assert "there is nothing to fetch" in capsys.readouterr().out
    assert cli.main(["fetch", "mini-1"]) == 1
    assert "fixtures/mini-1 is incomplete" in capsys.readouterr().err
    assert not hub


def test_without_the_hub_library_fetch_names_what_to_install(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert cli.main(["fetch", "gpt2-small"]) == 2
    assert "pip install -e '.[measure]'" in capsys.readouterr().err


def test_an_unknown_model_is_refused_with_the_nearest_name(here, capsys):
    assert cli.main(["fetch", "gpt2-smal"]) == 2
    assert "did you mean gpt2-small?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["fetch"], ["thaw"], ["models", "--jsn"]])
def test_a_wrong_command_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_an_interruption_ends_without_a_traceback(here, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(huggingface_hub, "snapshot_download", interrupted)
    assert cli.main(["fetch", "gpt2-small"]) == 130
    assert "run the same command again" in capsys.readouterr().err


# --- export -------------------------------------------------------------------------------------------------------


def test_export_writes_both_kinds_of_file_and_says_how_many_rows_each_has(tmp_path, capsys):
    folder = tmp_path / "new" / "plain"
    assert cli.main(["export", "addition", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    names = {
        f"{split}.{kind}": n
        for split, n in (("train", 4040), ("discovery", 310), ("test", 700))
        for kind in ("jsonl", "csv")
    }
    assert sorted(said) == sorted(f"{folder / name}: {n} rows" for name, n in names.items())
    assert {path.name for path in folder.iterdir()} == set(names)


def test_exporting_again_changes_nothing_and_another_task_overwrites_nothing(tmp_path, capsys):
    assert cli.main(["export", "addition", str(tmp_path)]) == cli.main(["export", "addition", str(tmp_path)]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert cli.main(["export", "ioi", str(tmp_path)]) == 2
    assert "is there and holds something else: choose another folder" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("task", "folder", "said"),
    [
        ("sums", "new", "no task 'sums' to export: choose one of addition, ioi, greater_than"),
        ("ioi", "file", "file is a file: name a folder"),
        ("ioi", "full", "full/test.csv cannot be written (Is a directory): choose another folder"),
        ("ioi", "file/below", "file/below cannot be written (Not a directory): choose another folder"),
    ],
)
def test_export_refuses_in_one_line_what_it_cannot_do(tmp_path, capsys, task, folder, said):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full" / "test.csv").mkdir(parents=True)
    assert cli.main(["export", task, str(tmp_path / folder)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "full", "test.csv"}


# --- verify -------------------------------------------------------------------------------------------------------


def record(**more) -> Record:
    known = {"id": "toy.test_it", "topic": "toy", "function": "test_it", "sentence": "It is so."}
    return Record(**{**known, "verdict": "NOT RUN", "ok": True, **more})


class Sound:
    """A record that is whole, to be spoilt in one way each: two files of evidence, both read, the prompts and the stamp
    that they name, and REPORT.md."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "artifacts" / "evidence"
        prompts = toys.prompts(5)
        self.prompts = prompt_files.prompts_path(self.folder, prompt_files.prompts_name(prompts))
        sealed.write(self.prompts, prompt_files.encode_prompts(prompts))
        self.stamp = self.folder / STAMPS / f"{file_stamp(self.folder, {'lab.load': '0123'})}.json"
        names = ["toy/f--mini-0--00000000.jsonl", "toy/f--mini-0-permuted--11111111.jsonl"]
        for name in names:
            first = {"key": "k", "function": "f", "model": "mini-0", "question": "f()", "stamp": self.stamp.stem}
            measured = Measurement(np.arange(5.0), units=[row.fingerprint for row in prompts])
            sealed.write(self.folder / name, store.encode(first, measured, [prompts]))
        shown = ShownFigure("distribution", "Values", names[1], None)
        self.records = [record(evidence=names[1:], twin_evidence=names[:1], shown=[shown])]
        Register(root / REGISTER).add(Judgement("toy.test_it", ">= 0.5", "q", ("k",), "SUPPORTED"))
        self.write_report()

    def write_report(self) -> None:
        """What is committed of the report, and pictures in the place of its figures."""
        made = Committed(RecordBook(self.records, self.root))
        made.write()
        for path in made.paths:
            for figure in verifying._FIGURE.findall((self.root / path).read_text()):
                sealed.write(self.root / path.parent / figure, b"<svg/>")

    def verify(self) -> list[str]:
        path = self.root / "records.jsonl"
        path.write_text("".join(row.to_json() + "\n" for row in self.records))
        return verifying.verify(self.root, path)

    def evidence(self) -> Path:
        return self.folder / "toy" / "f--mini-0--00000000.jsonl"


@pytest.fixture
def sound(here: Path) -> Sound:
    return Sound(here)


def test_a_record_that_is_whole_has_nothing_to_say(sound, capsys):
    assert sound.verify() == []
    assert cli.main(["verify", "--records", "records.jsonl"]) == 0
    caution, *rest = capsys.readouterr().out.splitlines()
    assert caution.startswith("caution: this is no git repository: whether claims came before their evidence, and ")
    assert rest == ["the record is whole"]


def test_the_outcome_of_a_published_sentence_is_held_against_git_before_the_report_is(sound, monkeypatch):
    """The words of git are not in records that travelled, and nothing that was explored is replicated."""
    said = Reported(1.0, "A paper 2024, section 1")
    verdict = mean(Measurement(np.linspace(0.7, 0.9, 50), units=[f"u{n}" for n in range(50)])) >= 0.5
    found = Comparison.of(verdict.to_dict())
    known = {"model": "smollm2-135m", "verdict": "SUPPORTED", "reported": said, "registered": "line"}
    known |= {"id": "toy.test_other[smollm2-135m]", "function": "test_other"}
    own = record(**known, comparison=found, controlled=Controlled("twins", "twins", 2, 0, "passed"))
    sound.records.append(own)

    def explored(root, records):
        for one in records:
            one.registration, one.registration_why = "EXPLORATORY", "its line came late"

    explored(sound.root, [own])
    sound.write_report()
    filed = (sound.root / "artifacts/record/published-sentences.md").read_text(encoding="utf-8")
    assert "UNDECIDED" in filed and "its line came late" in filed
    own.registration = ""
    monkeypatch.setattr(verifying, "registrations", explored)
    assert not [line for line in sound.verify() if "is not what" in line]


def test_a_flipped_bit_is_found(sound, capsys):
    data = bytearray(sound.evidence().read_bytes())
    data[-4] ^= 1
    sound.evidence().write_bytes(data)
    assert [line.split(" is damaged")[0] for line in sound.verify()] == [
        "artifacts/evidence/toy/f--mini-0--00000000.jsonl"
    ]
    assert cli.main(["verify", "--records", "records.jsonl"]) == 1
    assert capsys.readouterr().out.endswith("\n1 problem\n")


def test_evidence_that_no_claim_reads_is_found(sound):
    sound.evidence().with_name("f--mini-0--22222222.jsonl").write_bytes(sound.evidence().read_bytes())
    assert sound.verify() == ["artifacts/evidence/toy/f--mini-0--22222222.jsonl is read by no claim: delete it"]


def test_evidence_read_by_a_twin_alone_is_no_orphan(sound):
    sound.records[0].twin_evidence = []
    assert len(sound.verify()) == 1


def test_what_is_left_by_a_killed_run_is_found(sound):
    sound.evidence().with_name(".f--mini-0--22222222.jsonl.77.tmp").write_text("half")
    assert [line.partition(" was left")[1] for line in sound.verify()] == [" was left"]


def test_where_a_claim_ended_in_error_nothing_is_to_be_deleted(sound):
    """What it would have read is whole: a cure that deletes it would lose it."""
    sound.records[0].verdict, sound.records[0].evidence, sound.records[0].twin_evidence = "ERROR", [], []
    found = sound.verify()
    assert any("test_it ended in ERROR" in line for line in found)
    assert not any("delete it" in line or "bring back" in line for line in found)
    (said,) = [line for line in found if "may be read by claims" in line]
    assert said.endswith(" may be read by claims that ended in ERROR: mend these first, delete none")


def test_prompts_and_stamps_that_no_evidence_names_are_found(sound):
    unnamed = [self.with_name(f"{'0' * 16}{self.suffix}") for self in (sound.prompts, sound.stamp)]
    sealed.write(unnamed[0], sound.prompts.read_bytes())
    name = file_stamp(sound.folder, {"lab.load": "4567"})
    assert sound.verify() == [
        f"artifacts/evidence/{path} is named by no evidence: delete it"
        for path in (f"prompts/{'0' * 16}.jsonl", f"stamps/{name}.json")
    ]


def test_a_missing_file_of_prompts_is_found_through_what_names_it(sound):
    sound.prompts.unlink()
    found = sound.verify()
    assert len(found) == 3  # both files of evidence, and the report, whose figure cannot be drawn
    assert all(f"prompts/{sound.prompts.name} is missing, which names the rows: restore" in line for line in found[:2])


def test_damaged_prompts_and_stamps_are_found(sound):
    sound.stamp.write_text(sound.stamp.read_text().replace("0123", "0124 "))
    assert sound.verify() == [
        f"artifacts/evidence/stamps/{sound.stamp.name} is damaged: it is not what its name says; restore it with git"
    ]
    sound.prompts.write_bytes(sound.prompts.read_bytes().replace(b"confirmation", b"confirmatiom"))
    assert f"artifacts/evidence/prompts/{sound.prompts.name} is damaged" in sound.verify()[0]


def test_prompts_that_are_not_what_the_tasks_make_are_found_once(sound):
    sound.records[0].flags = ["PROMPTS NOT FILED"]
    (found,) = (line for line in sound.verify() if "REPORT.md" not in line)
    assert found.startswith(
        "artifacts/evidence/prompts is not what the tasks make today (so say 1 verdict, first toy.test_it)"
    )
    assert found.endswith("run `pytest` and commit what it files")


def test_evidence_over_its_budget_is_found(sound, monkeypatch):
    size = sum(path.stat().st_size for path in sound.folder.rglob("*") if path.is_file())
    for limit, enough, refused, warned in ((size - 1, 0, 1, 0), (size, size - 1, 0, 1), (size + 1, size, 0, 0)):
        monkeypatch.setattr(verifying, "LIMIT", limit)
        monkeypatch.setattr(verifying, "ENOUGH", enough)
        found, cautions = sound.verify(), verifying.cautions(sound.root, sound.records)
        assert (len(found), len(cautions)) == (refused, warned)
        assert all("dearest are toy.test_it 0.0 MB" in line for line in (*found, *cautions))


def test_a_prediction_that_was_withdrawn_is_found(sound):
    Register(sound.root / REGISTER).add(Judgement("toy.test_gone", ">= 9", "q", (), "REFUTED"))
    (found,) = sound.verify()
    assert found.startswith("toy.test_gone was judged REFUTED at >= 9 and is claimed no longer")


def test_older_instruments_are_found_on_models_that_ship_and_not_on_what_is_fetched(sound):
    for model, found in (("mini-0", 1), ("mini-0@permuted", 1), ("gpt2-small", 0), ("smollm2-135m@untrained", 0)):
        sound.records[0].flags, sound.records[0].models = ["OLDER INSTRUMENTS"], [ModelRead(model)]
        # REPORT.md lists the models, so that it is not what it was: only the line about instruments counts here.
        assert sum("rests on OLDER INSTRUMENTS" in line for line in sound.verify()) == found


def test_older_instruments_of_many_claims_are_one_line(sound):
    sound.records[0].flags = ["OLDER INSTRUMENTS"]
    sound.records += [copy.copy(sound.records[0])] * 2
    (said,) = [line for line in sound.verify() if "OLDER" in line]
    assert said.startswith(
        "3 verdicts, first toy.test_it, rest on OLDER INSTRUMENTS: run `pytest --fresh --sample .1` and commit what it "
        "stamps and artifacts/reproduced.jsonl"
    )


def test_an_unreadable_register_is_found(sound):
    with (sound.root / REGISTER).open("a") as file:
        file.write("{half a line\n")
    (found,) = sound.verify()
    assert "register.jsonl is damaged: line 2" in found


def test_below_an_unreadable_register_nothing_is_said_of_a_report_that_hangs_on_it(sound):
    sound.records[0].verdict, sound.records[0].registered = "SUPPORTED", "line"
    (sound.root / "REPORT.md").unlink()
    assert any("REPORT.md is missing" in line for line in sound.verify())
    with (sound.root / REGISTER).open("a") as file:
        file.write("{half a line\n")
    found = sound.verify()
    assert "register.jsonl is damaged: line 2" in found[0] and not [line for line in found if "REPORT.md" in line]


def older(data: bytes) -> bytes:
    """A file of evidence as it was before the record was re-keyed, whole by its own hash."""
    first, _, body = data.replace(b'"schema": 2', b'"schema": 1', 1).partition(b"\n")
    head = first[: first.index(b'"sha256": "')] + b'"sha256": "'
    whole = hashlib.sha256(head + b'"}\n' + body).hexdigest().encode()
    return head + whole + b'"}\n' + body


def test_evidence_of_the_old_schema_that_a_branch_left_is_counted_in_one_line_and_not_to_be_deleted(sound):
    whole = sound.evidence().read_bytes()
    sound.evidence().with_name("f--mini-0--22222222.jsonl").write_bytes(older(whole))
    assert sound.verify() == [
        "artifacts/evidence has 1 file of the old form: 1 is filed under none: `pytest` measures again what claims need"
    ]
    for key in ("33333333", "44444444"):
        sound.evidence().with_name(f"f--mini-0--{key}.jsonl").write_bytes(older(whole))
    rows = [ROW | {"old": key * 8, "from": f"a/{key}"} for key in ("22222222", "44444444")]
    (sound.root / REFILED).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert sound.verify() == [
        "artifacts/evidence has 3 files of the old form: 2 are filed under new keys (artifacts/refiled.jsonl) and "
        "can go, 1 is filed under none: `pytest` measures again what claims need"
    ]


def test_evidence_that_a_claim_was_judged_on_is_never_to_be_deleted(sound):
    left = sound.evidence().with_name("f--mini-0--22222222.jsonl")
    left.write_bytes(sound.evidence().read_bytes())
    register = Register(sound.root / REGISTER)
    register.add(Judgement("toy.test_it", ">= 0.5", "q", ("22222222",), "SUPPORTED"))
    said = f"artifacts/evidence/toy/{left.name} is read by no claim"
    assert sound.verify() == [f"{said}, and toy.test_it was judged on it: bring back that claim as it measured"]
    register.add(Judgement("toy.test_it", ">= 0.5", "q", ("00000000",), "SUPPORTED"))
    assert sound.verify() == [f"{said} any more, and toy.test_it was judged on it before: `git rm` keeps it in history"]


def test_a_line_with_an_old_id_is_found_in_the_register(sound):
    Register(sound.root / REGISTER).add(Judgement("claims/test_toy.py::test_it", ">= 0.5", "q", ("k",), "SUPPORTED"))
    (found,) = sound.verify()
    assert found.startswith("artifacts/register.jsonl, line 2, is about claims/test_toy.py::test_it, an id from before")
    assert "today it is toy.test_it; translate the line" in found


def test_the_old_register_that_came_back_with_a_merge_is_found(sound):
    (sound.root / "artifacts" / "bounds.jsonl").write_text("whatever it says\n")
    (found,) = sound.verify()
    assert found.startswith("artifacts/bounds.jsonl is the register from before topics had folders: translate what it")
    assert "append it to artifacts/register.jsonl, and delete it" in found


ROW = {
    "from": "artifacts/evidence/a/f--m--00000000.jsonl",
    "old": "0" * 64,
    "to": "artifacts/b--1.jsonl",
    "new": "1" * 64,
}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["{half a line"], "artifacts/refiled.jsonl is damaged: line 1 maps no key"),
        ([json.dumps(ROW), "[]"], "artifacts/refiled.jsonl is damaged: line 2 maps no key"),
        (
            [json.dumps(ROW), json.dumps(ROW | {"new": "2" * 64})],
            "the record was re-keyed twice, on two branches; keep",
        ),
    ],
    ids=["torn", "a list", "two branches"],
)
def test_a_map_of_keys_that_cannot_be_followed_is_found(sound, rows, said):
    path = sound.root / "artifacts" / "refiled.jsonl"
    path.write_text("".join(f"{row}\n" for row in rows))
    before = path.read_bytes()
    (found,) = sound.verify()
    assert said in found and "\n" not in found
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "REPORT.md is missing"),
        (
            lambda path: path.write_text(path.read_text().replace("It is so", "It is not so")),
            "not what the evidence says",
        ),
        (lambda path: path.write_text(path.read_text() + "more\n"), "not what the evidence says"),
        (lambda path: path.write_text(path.read_text()[:-9]), "not what the evidence says"),
    ],
)
def test_a_report_that_says_otherwise_is_found(sound, spoil, said):
    spoil(sound.root / "REPORT.md")
    (found,) = sound.verify()
    assert said in found
    assert "run `pytest --report`" in found


def test_a_figure_that_is_missing_is_found(sound):
    (figure,) = verifying._FIGURE.findall((sound.root / "artifacts/record/toy.md").read_text())
    (sound.root / "artifacts/record" / figure).unlink()
    (found,) = sound.verify()
    assert found.startswith(f"artifacts/record/toy.md shows {figure}, which is missing")


def test_records_that_cannot_be_read_are_an_error_of_their_own(sound, capsys):
    assert cli.main(["verify", "--records", "nowhere.jsonl"]) == 2
    assert "nowhere.jsonl holds no records" in capsys.readouterr().err


CLAIM = """
@pytest.mark.parametrize("model", ["mini-0"])
def test_it(model):
    '''The level is at least a half.
    Source: made up for this test.
    '''
    assert mean(around(model, 0.8, 0.0, 100)) >= 0.5
"""


def test_a_record_as_pytest_leaves_it_is_whole_until_a_claim_is_dropped(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MECHLIB_ROOT", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")  # must not make orphans of everything
    house.build(tmp_path, CLAIM + CLAIM.replace("test_it", "test_more").replace("0.8", "0.9"))
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "--report"]
    subprocess.run(command, env={**os.environ, "PYTEST_ADDOPTS": ""}, check=True, capture_output=True)
    assert cli.main(["verify"]) == 0, capsys.readouterr().out
    (tmp_path / "claims" / "test_topic.py").write_text(house.HEADER + CLAIM)
    assert cli.main(["verify"]) == 1
    said = capsys.readouterr().out
    assert said.count("is read by no claim") == 3  # the model's and its twins'
    (tmp_path / "claims" / "test_topic.py").write_text("import nothing_of_this_name\n")
    assert cli.main(["verify"]) == 2
    assert "the claims cannot be judged" in capsys.readouterr().err
