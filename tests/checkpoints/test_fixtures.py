"""The shipped models are complete, are what their cards say, and a resumed training equals an uninterrupted one."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from fixtures import card, corpus, evaluate, train
from mechlib.prompts import world

HERE = Path(train.__file__).parent
SEEDS = {f"mini-{seed}": seed for seed in range(5)} | {"mini-pilot": 100, "mini-half": 0}
MODELS = tuple(SEEDS)


def _card(name: str) -> dict[str, Any]:
    return json.loads((HERE / name / "card.json").read_text())


def _scores(name: str, split: str) -> dict[str, evaluate.Score]:
    return {key: evaluate.Score(**row) for key, row in _card(name)["scores"][split].items()}


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_directory_has_exactly_the_files_of_the_list(name: str) -> None:
    assert sorted(path.name for path in (HERE / name).iterdir()) == sorted(card.FILES)


def test_no_other_model_ships() -> None:
    assert {path.parent.name for path in HERE.glob("*/card.json")} == set(MODELS)


def test_all_models_together_take_at_most_15_megabytes() -> None:
    assert sum(path.stat().st_size for name in MODELS for path in (HERE / name).iterdir()) <= 15e6


@pytest.mark.parametrize("name", MODELS)
def test_the_hash_on_the_card_is_the_hash_of_the_weights(name: str) -> None:
    found = card.sha256(HERE / name / "model.safetensors")
    assert found == _card(name)["sha256"]
    assert found in (HERE / name / "README.md").read_text()


def test_no_two_models_have_the_same_weights() -> None:
    assert len({_card(name)["sha256"] for name in MODELS}) == len(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_the_weights_are_float16_of_the_configured_architecture(name: str) -> None:
    weights = load_file(HERE / name / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert {key: tuple(v.shape) for key, v in weights.items()} == {
        key: tuple(v.shape) for key, v in train.new_model(0).state_dict().items()
    }
    config = card.load(HERE / name).config
    assert (config.n_layer, config.n_head, config.n_embd, config.n_positions) == (4, 8, 128, 64)
    assert config.vocab_size == len(world.VOCABULARY) and not config.tie_word_embeddings


@pytest.mark.parametrize("name", MODELS)
def test_the_tokenizer_knows_every_word_as_one_token(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(HERE / name, local_files_only=True)
    assert tokenizer(" ".join(world.VOCABULARY))["input_ids"] == list(range(len(world.VOCABULARY)))
    assert tokenizer.bos_token_id == world.IDS[world.BOS]
    assert tokenizer("What is 23 + 54 ? Answer : 77")["input_ids"] == corpus.arithmetic("plain", [(23, 54)])[0][0]


@pytest.mark.parametrize("name", MODELS)
def test_the_recipe_on_the_card_is_the_recipe_of_the_script(name: str) -> None:
    record = _card(name)
    assert record["seed"] == SEEDS[name]
    assert record["recipe"] == asdict(train.Recipe())
    assert record["rows_a_step"] == corpus.BATCH
    assert {task: tuple(mix) for task, mix in record["mix"].items()} == train.MIX


@pytest.mark.parametrize("name", MODELS)
def test_the_table_of_models_says_what_the_cards_say(name: str) -> None:
    rows = (HERE / "README.md").read_text().splitlines()
    (row,) = (line for line in rows if line.startswith(f"| `{name}` |"))
    scores = _scores(name, "confirmation")
    for key in ("addition_plain", "ioi", "recurring_pairs"):
        score = scores[key]
        assert f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]" in row
    assert f"{scores['repeat_nats'].value:.3f}" in row
    assert ("| all |" in row) == all(_card(name)["gates"].values())


@pytest.mark.parametrize("name", MODELS)
def test_the_gates_on_the_card_follow_from_its_scores(name: str) -> None:
    assert _card(name)["gates"] == evaluate.gates(_scores(name, "confirmation"))


def test_mini_half_is_a_checkpoint_of_seed_0_where_addition_is_half_right() -> None:
    low, high = train.HALF
    assert _card("mini-half")["step"] < _card("mini-0")["step"]
    assert low <= _scores("mini-half", "discovery")["addition_plain"].value <= high


@pytest.mark.parametrize("name", MODELS)
def test_held_out_prompts_are_answered_as_the_card_says(name: str) -> None:
    model, said = card.load(HERE / name), _scores(name, "confirmation")
    plain = evaluate.share_right(model, evaluate.held_out_arithmetic("plain", "confirmation"))
    pairs = evaluate.share_right(model, evaluate.recurring_prompts("confirmation", 800))
    assert plain.value == pytest.approx(said["addition_plain"].value, abs=0.005)
    assert pairs.value == pytest.approx(said["recurring_pairs"].value, abs=0.005)


def test_an_untrained_model_answers_nothing() -> None:
    prompts = evaluate.held_out_arithmetic("plain", "confirmation")
    assert evaluate.share_right(train.new_model(0).eval(), prompts).high < 0.05


@pytest.mark.parametrize("split", world.LEXICA)
def test_every_evaluated_pair_of_numbers_is_held_out(split: world.Lexicon) -> None:
    numbers = {world.IDS[number]: int(number) for number in world.NUMBERS}
    for wording in (*world.ADDITION_WORDINGS, "subtraction"):
        for prompt in evaluate.held_out_arithmetic(wording, split):
            first, second, _ = (numbers[token] for token in prompt if token in numbers)
            pair = (second, first - second) if wording == "subtraction" else (first, second)
            assert world.pair_is_held_out(*pair)


def test_every_confirmation_sentence_joins_names_that_training_never_joined() -> None:
    names = {world.IDS[name]: name for name in world.NAMES["confirmation"]}
    prompts = evaluate.held_out_sentences("confirmation", 320)
    assert len({tuple(prompt) for prompt in prompts}) == 320
    for prompt in prompts:
        assert frozenset(names[token] for token in prompt if token in names) in world.HELD_OUT_NAMES


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As models are trained: two threads waiting for one busy core are many times slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in corpus.TASKS:
        monkeypatch.setitem(corpus.BATCH, task, 2)


@pytest.mark.usefixtures("small_steps")
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    recipe = train.Recipe(steps=20, warm_up=5)
    whole = train.Run(3, recipe, tmp_path / "whole", "cpu")
    whole.train(20, minutes=5)
    train.Run(3, recipe, tmp_path / "cut", "cpu").train(10, minutes=5)
    resumed = train.Run(3, recipe, tmp_path / "cut", "cpu")
    assert resumed.step == 0
    resumed.resume()
    assert resumed.step == 10
    resumed.train(20, minutes=5)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert torch.equal(whole.losses, resumed.losses)
    assert not torch.equal(whole.model.lm_head.weight, train.new_model(3).lm_head.weight)


@pytest.mark.usefixtures("small_steps")
def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train.Run(3, train.Recipe(steps=4), tmp_path, "cpu").train(1, minutes=5)
    with pytest.raises(SystemExit, match="another recipe or seed"):
        train.Run(3, train.Recipe(steps=5), tmp_path, "cpu").resume()


def test_every_parameter_has_exactly_one_optimizer() -> None:
    model = train.new_model(0)
    held = [
        id(parameter)
        for optimizer in train.optimizers(model, train.Recipe())
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())


def test_the_learning_rate_warms_up_and_ends_at_a_twentieth() -> None:
    recipe = train.Recipe()
    rates = [train.learning_rate(step, recipe) for step in range(recipe.steps + 1)]
    assert max(rates) == rates[recipe.warm_up - 1] == 1.0
    assert rates[-1] == pytest.approx(0.05)


def test_the_shares_of_the_loss_add_up_to_one_in_both_phases() -> None:
    assert [sum(mix[phase] for mix in train.MIX.values()) for phase in (0, 1)] == pytest.approx([1.0, 1.0])


def test_wilsons_interval_covers_its_share_and_is_known_at_a_known_point() -> None:
    score = evaluate.wilson(677, 700)  # the smallest count whose lower limit passes the gate of addition
    assert score.low == pytest.approx(0.95125, abs=1e-4)
    assert evaluate.wilson(676, 700).low < 0.95 < score.low < score.value < score.high
    assert evaluate.wilson(0, 10).low == 0.0 < evaluate.wilson(0, 10).high
