"""Training that is stopped goes on to the same weights; nothing half-written has a final name."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

pytest.importorskip("sae_lens", reason="the extra `features` is not installed")

from mechlib.lab.features.dictionaries import DeadDictionary
from mechlib.lab.features.training import saelens, storing
from mechlib.lab.features.training import training as being
from mechlib.lab.features.training.frozen import start_of
from mechlib.lab.features.training.storing import Source
from mechlib.lab.features.training.training import Progress, train
from tests.lab.features.training.small import PLANTED, recipe, trained

ROOT = Path(__file__).parents[4]


class Stopped(Exception):
    pass


def stopping(step: int):
    def show(now: Progress) -> None:
        if now.step >= step:
            raise Stopped

    return show


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return saelens.weights_in(folder)


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "jumprelu", "standard"])
def test_a_run_that_was_stopped_twice_ends_with_the_weights_of_one_that_was_not(tmp_path, kind):
    frozen = "soft" if kind == "topk" else ""
    of = recipe(kind, steps=47, frozen=frozen)
    trained(tmp_path / "whole", of)
    for step in (9, 30):
        with pytest.raises(Stopped):
            trained(tmp_path / "stopped", of, show=stopping(step))
        assert not (tmp_path / "stopped").exists()
    seen: list[int] = []
    trained(tmp_path / "stopped", of, show=lambda now: seen.append(now.step))
    assert seen[0] > 9, "it went on, and did not begin again"
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stopped", "whole"], "nothing is left over"


def test_a_run_that_was_killed_leaves_no_final_name_and_goes_on(tmp_path):
    """kill -9, while a checkpoint is being written."""
    program = f"""
import os, signal
from pathlib import Path
from tests.lab.features.training.small import recipe, trained
import mechlib.lab.features.training.training as being
whole, written = being._Run.keep, []
def keep(run, folder):
    if run.step < 20:
        return whole(run, folder)
    (folder / being.PART).mkdir()
    run.trainer.sae.save_model(folder / being.PART)
    os.kill(os.getpid(), signal.SIGKILL)
being._Run.keep = keep
trained(Path({str(tmp_path / "it")!r}), recipe(steps=47))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "it").exists() and (tmp_path / "it.training" / being.PART).is_dir()
    seen: list[int] = []
    trained(tmp_path / "it", recipe(steps=47), show=lambda now: seen.append(now.step))
    trained(tmp_path / "whole", recipe(steps=47))
    assert seen[0] == 20 and equal(weights(tmp_path / "whole"), weights(tmp_path / "it"))


def test_what_is_told_is_true_of_the_last_batch(tmp_path):
    told: list[Progress] = []
    trained(tmp_path / "it", recipe(steps=40), show=told.append)
    assert [now.step for now in told] == list(range(2, 41, 2)) and {now.steps for now in told} == {40}
    assert all(now.l0 <= 3 for now in told) and told[-1].unexplained < told[0].unexplained
    assert told[-1].loss < told[0].loss


def test_the_scale_of_rows_is_no_part_of_what_is_learnt(tmp_path):
    """Rows a thousand times as large give the same features, a thousand times as active."""
    trained(tmp_path / "one", recipe())
    train(1000 * PLANTED.rows, recipe(), tmp_path / "large", Source())
    one, large = (being_loaded(tmp_path / name) for name in ("one", "large"))
    rows = torch.from_numpy(PLANTED.rows[:300])
    torch.testing.assert_close(
        large.decode(large.active(1000 * rows)) / 1000, one.decode(one.active(rows)), atol=1e-3, rtol=1e-3
    )


def being_loaded(folder: Path):
    return storing.assembled(folder, json.loads((folder / storing.CARD).read_text()))


def test_a_softly_frozen_decoder_is_held_at_every_step(tmp_path):
    of = recipe("standard", steps=150, frozen="soft", cosine=0.9, rate=1e-2)
    made = trained(tmp_path / "it", of)
    cosines = torch.cosine_similarity(made.directions, start_of(of, 24), dim=1)
    assert cosines.min() >= 0.9 - 1e-4
    free = trained(tmp_path / "free", recipe("standard", steps=150, rate=1e-2))
    assert torch.cosine_similarity(free.directions, start_of(of, 24), dim=1).min() < 0.8, "the limit is what held it"


REFUSED = {
    "NaN": (
        np.where(np.arange(6000 * 24).reshape(6000, 24) == 50, np.nan, 1.0),
        ValueError,
        "row 2 of 6000 activations",
    ),
    "one and the same": (np.ones((9, 24), dtype=np.float32), ValueError, "all 9 rows of activations are the same"),
}


@pytest.mark.parametrize(("rows", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_rows_that_cannot_be_learnt_from_are_refused_before_anything_is_written(tmp_path, rows, error, said):
    with pytest.raises(error, match=said):
        train(rows, recipe(), tmp_path / "it", Source())
    assert list(tmp_path.iterdir()) == []


def test_a_dictionary_that_dies_is_one_line_and_has_no_final_name(tmp_path, monkeypatch):
    draw = saelens.blank

    def dead(*arguments):
        made = draw(*arguments)
        made.b_enc.data.fill_(-1e6)
        return made

    monkeypatch.setattr(saelens, "blank", dead)
    with pytest.raises(
        DeadDictionary, match=r"^all 64 features are dead at step 9 of 60: none was active for"
    ) as raised:
        trained(tmp_path / "it", recipe("standard"))
    assert "\n" not in str(raised.value) and not (tmp_path / "it").exists()


def test_a_loss_that_becomes_nan_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(being._Run, "once", lambda run: _nan(run))
    with pytest.raises(ValueError, match=r"^the loss is nan at step 2 of 40: train with a lower rate than 0\.003$"):
        trained(tmp_path / "it", recipe(steps=40))
    assert not (tmp_path / "it").exists()


def _nan(run):
    output = run.trainer.step(next(run.data) * float("nan"))
    run.trainer.n_training_steps += 1
    return output


def test_another_recipe_or_other_rows_do_not_go_on_with_a_run(tmp_path):
    with pytest.raises(Stopped):
        trained(tmp_path / "it", recipe(), show=stopping(5))
    with pytest.raises(
        FileExistsError, match=r"it\.training has a run that was begun with another k and another seed: finish"
    ):
        trained(tmp_path / "it", recipe(k=2, seed=1))
    with pytest.raises(FileExistsError, match=r"has a run that was begun with another rows"):
        train(PLANTED.rows[:-1], recipe(), tmp_path / "it", Source())


def test_what_somebody_keeps_beside_is_not_removed(tmp_path):
    (tmp_path / "it.training").mkdir()
    (tmp_path / "it.training" / "notes").write_text("mine")
    with pytest.raises(
        FileExistsError, match=r"it\.training is in the way and has no run to go on with: remove it, or"
    ):
        trained(tmp_path / "it", recipe())
    assert (tmp_path / "it.training" / "notes").read_text() == "mine"


def test_a_folder_that_is_there_and_one_that_somebody_trains_into_are_left_alone(tmp_path):
    (tmp_path / "it").mkdir()
    with pytest.raises(FileExistsError, match=r"it is there already: choose another folder, or remove it$"):
        trained(tmp_path / "it", recipe())
    with (
        FileLock(tmp_path / "other.training.lock"),
        pytest.raises(FileExistsError, match=r"another process trains into"),
    ):
        trained(tmp_path / "other", recipe())


@pytest.mark.parametrize("where", ["checkpoint", "end"])
def test_a_disk_that_fills_is_one_line_and_the_run_goes_on_once_there_is_room(tmp_path, monkeypatch, where):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if where == "checkpoint":
            patched.setattr(saelens.library().TrainingSAE, "save_model", full)
        else:
            patched.setattr(storing, "save_file", full)
        with pytest.raises(
            OSError, match=r"cannot be written \(No space left on device\): make room, and run the same"
        ) as raised:
            trained(tmp_path / "it", recipe())
        assert "\n" not in str(raised.value) and not (tmp_path / "it").exists()
    trained(tmp_path / "it", recipe())
    trained(tmp_path / "whole", recipe())
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "it"))
