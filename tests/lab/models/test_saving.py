"""Only what is a toy is saved, with words that are its own: the rest is refused by name, and nothing is left behind."""

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mechlib.checkpoints.resolve import checkpoint
from mechlib.checkpoints.tokenizer import tokens_of
from mechlib.lab.models.loading import load
from mechlib.lab.models.native import save
from mechlib.lab.models.tokens import ids_of, tokens
from mechlib.prompts.promptset import Prompt
from tests.helpers.notebook import WORDS, bridge, hooked


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return save(bridge(), WORDS, tmp_path / "toy")


# --- words --------------------------------------------------------------------------------------------------------


def test_the_word_of_an_id_is_the_one_at_its_place_and_bos_stands_first(tmp_path):
    model = load(str(save(bridge(), WORDS, tmp_path / "toy", bos="w7")))
    assert tokens(model, "w0 w22 w3").tolist() == [7, 0, 22, 3]
    assert tokens(load(str(save(bridge(), WORDS, tmp_path / "plain"))), "w0 w22 w3").tolist() == [0, 22, 3]


@pytest.mark.parametrize("asked", ["", "w5", "none"])
def test_what_stands_first_and_the_ids_of_a_text_are_known_without_loading(tmp_path, monkeypatch, asked):
    monkeypatch.setenv("MECHLIB_BOS", asked)
    path = str(save(bridge(), WORDS, tmp_path / "toy", bos="w7"))
    described = checkpoint(path)
    assert described.bos == {"": "w7", "w5": "w5", "none": ""}[asked]
    assert described.bos_source == "config.json" or asked
    assert [number for number, _ in tokens_of(described, "w12 w3")] == tokens(load(path), "w12 w3").tolist()


def test_characters_are_words_and_longer_words_are_found_among_them(tmp_path):
    words = ["[start]", "(", ")", " "]
    path = save(bridge(d_vocab=4), words, tmp_path / "brackets", bos="[start]", characters=True)
    assert tokens(load(str(path)), "(())( )").tolist() == [0, 1, 1, 2, 2, 1, 3, 2]
    assert tokens(load(str(path)), "([start]").tolist() == [0, 1, 0]
    assert load(str(path)).tokenizer.decode([1, 1, 2]) == "(()"


def test_a_bos_is_not_found_inside_of_longer_words(tmp_path):
    model = load(str(save(bridge(), WORDS, tmp_path / "toy", bos="w1")))
    assert tokens(model, "w12 w2 w21").tolist() == [1, 12, 2, 21]


@pytest.mark.parametrize("words", [WORDS, ["<unk>", "<unknown>", *WORDS[2:]]])
def test_a_word_that_the_model_lacks_is_refused_by_name(tmp_path, words):
    model = load(str(save(bridge(), words, tmp_path / "toy")))
    with pytest.raises(ValueError, match=r"does not know 'w23' in 'w4 w23'"):
        tokens(model, "w4 w23")
    assert tokens(model, f"{words[0]} {words[1]}").tolist() == [0, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (WORDS[1:], "22 words for a model whose d_vocab is 23"),
        ((*WORDS, "w23"), "24 words for a model whose d_vocab is 23"),
        ((*WORDS[1:], "w5"), "'w5' more than once"),
        (("", *WORDS[1:]), r"words\[0\] is ''"),
        (("two words", *WORDS[1:]), r"words\[0\] is 'two words'.*white space"),
        (("w\u00a00", *WORDS[1:]), "white space"),
        (("w0\n", *WORDS[1:]), "white space"),
        (tuple(range(23)), r"words\[0\] is 0: write every word as text"),
        ("abcdefghijklmnopqrstuvw", "is one text"),
        (
            {word: 22 - n for n, word in enumerate(WORDS)},
            "is a dict: give a list, in which the word of id i has place i",
        ),
    ],
)
def test_a_word_list_that_is_none_is_refused(tmp_path, words, said):
    with pytest.raises(ValueError, match=said):
        save(bridge(), words, tmp_path / "toy")
    assert not list(tmp_path.iterdir())


def test_a_bos_that_is_no_word_is_refused(tmp_path):
    with pytest.raises(ValueError, match="bos '<s>' is none of the 23 words"):
        save(bridge(), WORDS, tmp_path / "toy", bos="<s>")


@pytest.mark.parametrize(
    ("output", "said"),
    [(("a", "b"), "2 output_words for a model whose d_vocab_out is 3"), (("a", "b", "a"), "'a' more than once")],
)
def test_output_words_that_do_not_fit_are_refused(tmp_path, output, said):
    with pytest.raises(ValueError, match=said):
        save(bridge(d_vocab_out=3), WORDS, tmp_path / "toy", output_words=output)


def test_a_model_that_writes_more_words_than_it_reads_must_name_them(tmp_path):
    with pytest.raises(ValueError, match="writes 30 words and reads 23: name them"):
        save(bridge(d_vocab_out=30), WORDS, tmp_path / "toy")
    named = [f"out{n}" for n in range(30)]
    assert load(str(save(bridge(d_vocab_out=30), WORDS, tmp_path / "toy", output_words=named))).cfg.d_vocab_out == 30


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"positional_embedding_type": "shortformer"}, "positional_embedding_type 'shortformer'"),
        ({"act_fn": "solu_ln"}, "act_fn 'solu_ln'"),
        ({"parallel_attn_mlp": True}, "parallel_attn_mlp=True"),
        ({"use_attn_scale": False}, "use_attn_scale=False"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ({"gated_mlp": True}, "gated_mlp is laid out otherwise"),
        ({"n_key_value_heads": 1}, "n_key_value_heads is laid out otherwise"),
        ({"positional_embedding_type": "rotary"}, "rotary positions of a HookedTransformer"),
        ({"use_local_attn": True, "window_size": 3, "attn_types": ["local", "global"]}, "use_local_attn=True"),
        ({"use_qk_norm": True, "normalization_type": "RMS"}, "use_qk_norm=True"),
    ],
)
def test_a_hooked_transformer_that_computes_otherwise_is_refused_by_the_setting(tmp_path, settings, said):
    with pytest.raises(ValueError, match=said):
        save(hooked(**settings), WORDS, tmp_path / "toy")
    assert not list(tmp_path.iterdir())


def test_a_setting_that_the_native_model_ignored_in_training_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"parallel_attn_mlp=True .* trained without it"):
        save(bridge(parallel_attn_mlp=True), WORDS, tmp_path / "toy")


def test_other_models_are_refused_by_class(tmp_path):
    shape = GPT2Config(n_layer=1, n_head=2, n_embd=8, n_positions=8, vocab_size=23, bos_token_id=0, eos_token_id=0)
    for model, name in ((GPT2LMHeadModel(shape), "GPT2LMHeadModel"), (bridge().state_dict(), "dict")):
        with pytest.raises(TypeError, match=f"{name} is neither"):
            save(model, WORDS, tmp_path / "toy")


def test_a_model_of_another_dtype_with_a_hook_or_folded_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"weights in torch\.float64, wanted float32"):
        save(bridge().to(torch.float64), WORDS, tmp_path / "toy")
    for model in (bridge(), hooked()):
        model.add_hook("blocks.0.attn.hook_attn_scores", lambda scores, hook: scores * 2, is_permanent=True)
        with pytest.raises(ValueError, match=r"a hook on blocks\.0\.attn\.hook_attn_scores"):
            save(model, WORDS, tmp_path / "toy")
    folded = bridge()
    folded.enable_compatibility_mode(disable_warnings=True)
    with pytest.raises(ValueError, match="folded by enable_compatibility_mode"):
        save(folded, WORDS, tmp_path / "toy")


def test_a_model_that_computes_otherwise_than_its_weights_say_is_refused(tmp_path, monkeypatch):
    model, inner = bridge(), type(bridge().original_model)
    plain = inner.forward
    monkeypatch.setattr(
        inner, "forward", lambda self, *a, **k: plain(self, *a, **k) * (1.1 if self is model.original_model else 1)
    )
    with pytest.raises(ValueError, match="the model and its copy are"):
        save(model, WORDS, tmp_path / "toy")
    assert not list(tmp_path.iterdir())


def test_a_training_that_diverged_is_refused_by_the_weight(tmp_path):
    for model, name in ((bridge(), r"tok_embed\.weight"), (hooked(), r"embed\.W_E")):
        with torch.no_grad():
            next(model.parameters())[0, 0] = torch.nan
        with pytest.raises(ValueError, match=f"{name} has NaN or infinite entries"):
            save(model, WORDS, tmp_path / "toy")


def test_saving_and_loading_say_nothing(tmp_path, capfd):
    model, other = bridge(), hooked()
    capfd.readouterr()
    for one, name in ((model, "one"), (other, "two")):
        load(str(save(one, WORDS, tmp_path / name)))
    assert capfd.readouterr() == ("", "")


def test_a_directory_is_not_named_as_another_model_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mini-0", "gpt2-small", "planted-ioi"):
        with pytest.raises(ValueError, match=rf"write \./{name} for a directory"):
            save(bridge(), WORDS, name)
    with pytest.raises(ValueError, match="toy@permuted is the name of a twin"):
        save(bridge(), WORDS, "toy@permuted")
    assert load(str(Path("./mini-0"))).cfg.d_model != 16 and not list(tmp_path.iterdir())
    save(bridge(), WORDS, "./mini-0")
    assert load("./mini-0").cfg.d_model == 16


def test_a_directory_that_is_there_is_replaced_when_told_so_and_never_one_of_another_kind(toy, tmp_path):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save(bridge(), WORDS, toy)
    before = load(str(toy))
    save(bridge(n_layers=1), WORDS, toy, overwrite=True)
    assert load(str(toy)) is not before and load(str(toy)).cfg.n_layers == 1
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("one")
    with pytest.raises(FileExistsError, match="no native directory"):
        save(bridge(), WORDS, tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter").read_text() == "one"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["thesis", "toy"]


# --- answers in other words ---------------------------------------------------------------------------------------


def test_an_answer_that_has_no_logit_is_refused_by_name(tmp_path):
    model = load(str(save(bridge(d_vocab_out=19), WORDS, tmp_path / "toy")))
    assert ids_of(model, Prompt("w20 w3", "w18", distractor="w2")).answer == [18]
    with pytest.raises(ValueError, match=r"has no logit for 'w19', answer or distractor of 'w20 w3'"):
        ids_of(model, Prompt("w20 w3", "w19", distractor="w2"))
    with pytest.raises(ValueError, match=r"has no logit for 'w22'"):
        ids_of(model, Prompt("w20 w3", "w1", distractor="w22"))


def test_answers_are_given_by_the_words_of_the_output(tmp_path):
    out = ["unbalanced", "balanced"]
    model = load(str(save(bridge(d_vocab_out=2), WORDS, tmp_path / "toy", output_words=out)))
    ids = ids_of(model, Prompt("w1 w2", "balanced", distractor="unbalanced"))
    assert (ids.clean, ids.answer, ids.distractor) == ([1, 2], [1], [0])
    with pytest.raises(ValueError, match=r"logits belong to 2 words, 'unbalanced', 'balanced'"):
        ids_of(model, Prompt("w1 w2", "w1", distractor="unbalanced"))


def test_a_prompt_may_fill_the_context_of_a_model_that_writes_other_words(tmp_path):
    model = load(str(save(bridge(d_vocab_out=19), WORDS, tmp_path / "toy")))
    full = " ".join(WORDS[:12])
    assert len(ids_of(model, Prompt(full, "w3", distractor="w4")).clean) == 12
