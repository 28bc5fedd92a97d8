"""Texts become the ids that are run, or are refused in one line: unknown words, ids without an embedding, no text."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import answer_log_probs, answers_correctly, logit_differences
from mechlib.lab.models.loading import describe, load
from mechlib.lab.models.tokens import ids_of, tokens
from mechlib.lab.models.words import mentions
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import CONTEXT, VOCABULARY, WORDS, directory, random_model, word_tokenizer

IDS = {word: number for number, word in enumerate(WORDS)}


def one(*rows: Prompt) -> PromptSet:
    return PromptSet("made up", "confirmation", rows)


def saved(path, tokenizer, vocabulary=VOCABULARY):
    random_model("gpt2", vocabulary=vocabulary).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return load(str(path))


def fast(model, **special) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


UNDECLARED = {
    "word list": lambda: models.WordLevel(IDS, unk_token="<unk>"),
    "word pieces": lambda: models.WordPiece(IDS, unk_token="<unk>"),
    "unigrams": lambda: models.Unigram([(word, -float(number)) for word, number in IDS.items()], unk_id=2),
    "pairs of characters": lambda: models.BPE(vocab=IDS | {one: 40 + n for n, one in enumerate("w12")}, merges=[]),
}


@pytest.mark.parametrize("kind", UNDECLARED)
def test_a_word_that_the_vocabulary_lacks_is_refused_though_no_token_is_declared_for_it(tmp_path, kind):
    """Whether it becomes a token for unknown words, or loses its letters."""
    model = saved(tmp_path / "model", fast(UNDECLARED[kind](), bos_token="<bos>"), vocabulary=VOCABULARY + 3)
    assert model.tokenizer.unk_token_id is None
    assert len(tokens(model, "w1 w2")) > 2
    with pytest.raises(ValueError, match="does not know 'zebra' in 'w1 zebra w2'"):
        tokens(model, "w1 zebra w2")
    for row in (
        Prompt("w1 zebra", "w2"),
        Prompt("w1", "zebra"),
        Prompt("w1", "w2", "zebra"),
        Prompt("w1", "w2", "", "zebra"),
    ):
        with pytest.raises(ValueError, match="zebra"):
            batches(model, one(row))


def test_a_word_that_the_tokenizers_library_has_no_answer_to_is_one_line(tmp_path):
    """A word list whose token for unknown words is none of its words."""
    model = load(str(directory(tmp_path / "model", "gpt2")))
    model._tokenizer = fast(models.WordLevel(IDS, unk_token="<nowhere>"), bos_token="<bos>")
    assert tokens(model, "w1 w2").tolist() == [0, 4, 5]
    with pytest.raises(ValueError, match=r"cannot read 'w1 zebra w2' \(.*\): use words of its vocabulary"):
        tokens(model, "w1 zebra w2")


def test_a_word_without_any_token_is_refused(tmp_path):
    """A normalizer took it out: the text would be run without it."""
    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("w3", "")
    model = saved(tmp_path / "model", tokenizer)
    with pytest.raises(ValueError, match="does not know 'w3' in 'w1 w3 w2'"):
        tokens(model, "w1 w3 w2")


def test_a_word_whose_id_lies_beyond_the_embedding_is_refused_with_the_word(tmp_path):
    model = saved(tmp_path / "model", word_tokenizer(), vocabulary=VOCABULARY - 2)
    with pytest.raises(
        ValueError, match=f"no embedding for 'w36' in 'w1 w36': its id is 39, and there are {VOCABULARY - 2}"
    ):
        tokens(model, "w1 w36")
    with pytest.raises(ValueError, match="no embedding for 'w35' in 'w1 w2 w35'"):
        batches(model, one(Prompt("w1 w2", "w35")))


def test_an_accent_that_a_normalizer_joins_to_its_letter_is_no_lost_character(tmp_path):
    tokenizer = word_tokenizer(IDS | {"\u00e9t\u00e9": len(IDS)})
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    model = saved(tmp_path / "model", tokenizer, VOCABULARY + 1)
    assert tokens(model, "w1 e\u0301te\u0301").tolist() == [0, 4, len(IDS)]


def test_a_word_that_a_model_reads_and_never_says_is_no_answer():
    shape = TransformerBridgeConfig(
        d_model=8, d_head=4, n_heads=2, n_layers=1, n_ctx=8, d_mlp=8, d_vocab=VOCABULARY, d_vocab_out=10, act_fn="relu",
        normalization_type=None, seed=0,
    )  # fmt: skip
    model = TransformerBridge.boot_native(shape, device="cpu")
    model._tokenizer = word_tokenizer()
    describe(model, Checkpoint("few", "local", Path("few"), "few"))
    assert len(batches(model, one(Prompt("w30 w2", "w6", "", "w5")))) == 1
    for row in (Prompt("w30 w2", "w7"), Prompt("w30 w2", "w6", "", "w7")):
        with pytest.raises(ValueError, match=r"few never says 'w7' \[10\]: it says the ids 0 to 9"):
            batches(model, one(row))


def test_a_text_of_no_tokens_is_one_line_where_nothing_stands_before_it(tmp_path):
    bare = saved(tmp_path / "bare", fast(models.WordLevel(IDS, unk_token="<unk>"), unk_token="<unk>"))
    with pytest.raises(ValueError, match=r"'' has no tokens, and .* puts none before it: there is nothing to run"):
        logit_differences(bare, one(Prompt("", "w1", "", "w2")))


def test_a_text_of_no_tokens_is_read_at_bos(tmp_path):
    model, network = load(str(directory(tmp_path / "model", "gpt2"))), random_model("gpt2")
    with torch.no_grad():
        logits = network(torch.tensor([[0]])).logits[0, -1]
    found = logit_differences(model, one(Prompt("", "w1", "", "w2"))).array
    assert found == pytest.approx(float(logits[IDS["w1"]] - logits[IDS["w2"]]), abs=1e-4)


def test_a_corrupted_text_of_the_same_tokens_is_refused(tmp_path):
    model = load(str(directory(tmp_path / "model", "gpt2")))
    with pytest.raises(ValueError, match=r"'w1  w2' has the tokens of 'w1 w2' as far as they are run, \[0, 4, 5\]"):
        batches(model, one(Prompt("w1 w2", "w3", "w1  w2", "w4")))


def test_a_prompt_and_all_of_its_answer_but_the_end_fill_the_context(tmp_path):
    """The last token of an answer is predicted, and never run."""
    model, network = load(str(directory(tmp_path / "model", "gpt2"))), random_model("gpt2")
    full, nearly = (" ".join(["w1"] * n) for n in (CONTEXT - 1, CONTEXT - 2))  # and BOS
    rows = one(Prompt(full, "w2", "", "w3"), Prompt(nearly, "w2 w4", "", "w3"))
    assert logit_differences(model, rows).array.shape == (2,)
    with torch.no_grad():
        last = network(torch.tensor([[0, *[IDS["w1"]] * (CONTEXT - 2), IDS["w2"]]])).logits[0, -2:].log_softmax(-1)
    assert answer_log_probs(model, rows).array[1] == pytest.approx(
        float(last[0, IDS["w2"]] + last[1, IDS["w4"]]), abs=1e-4
    )
    with pytest.raises(
        ValueError, match=f"and all of 'w2 w4' but its end has {CONTEXT + 1} tokens, .* reads {CONTEXT}"
    ):
        answers_correctly(model, one(Prompt(full, "w2 w4")))
    with pytest.raises(ValueError, match=f"has {CONTEXT + 1} tokens, .* reads {CONTEXT}"):
        answers_correctly(model, one(Prompt(f"{full} w1", "w2")))


@pytest.fixture(scope="module")
def padded(tmp_path_factory):
    tokenizer = word_tokenizer()
    tokenizer.pad_token = "<pad>"
    return saved(tmp_path_factory.mktemp("padding") / "model", tokenizer)


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("w1 w2 <pad> <pad>", [1, 1, 1, 0, 0]),
        ("<pad> <pad> w1 w2", [1, 0, 0, 1, 1]),
        ("<pad> w1 w2 <pad>", [1, 0, 1, 1, 0]),
    ],
)
def test_padding_is_masked_as_hugging_face_masks_it(padded, text, mask):
    ids, seen = torch.tensor([[0, *(IDS[word] for word in text.split())]]), torch.tensor([mask])
    positions = (seen.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = random_model("gpt2")(ids, attention_mask=seen, position_ids=positions).logits
    last = logits[0, max(place for place, one in enumerate(mask) if one)]
    found = logit_differences(padded, one(Prompt(text, "w3", "", "w4", mask_padding=True))).array[0]
    assert found == pytest.approx(float(last[IDS["w3"]] - last[IDS["w4"]]), abs=1e-4)
    assert found == pytest.approx(logit_differences(padded, one(Prompt("w1 w2", "w3", "", "w4"))).array[0], abs=1e-5)


def test_padding_is_read_as_it_stands_unless_a_prompt_says_that_it_is_masked(padded):
    typed = Prompt("<pad> w1 w2 <pad>", "w3", "", "w4")
    assert tokens(padded, typed.clean).tolist() == ids_of(padded, typed).clean == [0, 1, 4, 5, 1]
    masked = replace(typed, mask_padding=True)
    assert ids_of(padded, masked).clean == [0, 4, 5] and masked.fingerprint != typed.fingerprint
    within = Prompt("w1 <pad> w2", "w3", "", "w4", mask_padding=True)
    assert ids_of(padded, within).clean == [0, 4, 1, 5], "within a text it is a word"


def test_a_text_that_brings_its_own_bos_behind_masked_padding_gets_no_second_one(padded):
    own = Prompt("<pad> <pad> <bos> w1 w2", "w3", "<pad> <pad> <bos> w9 w2", "w4", read_position=1, mask_padding=True)
    found, plain = ids_of(padded, own), ids_of(padded, Prompt("w1 w2", "w3", "w9 w2", "w4"))
    assert (found.clean, found.corrupted, found.read) == (plain.clean, plain.corrupted, plain.read)
    assert ids_of(padded, replace(own, read_position=0)).clean == [0, 4]
    assert ids_of(padded, replace(own, clean="<bos> <pad> w1 w2 <pad>")).clean == [0, 4, 5], "padding behind BOS too"
    unmasked = replace(own, mask_padding=False, read_position=-1)
    assert ids_of(padded, unmasked).clean == [0, 1, 1, 0, 4, 5], "unmasked it is read as it stands"


def test_padding_that_is_not_declared_cannot_be_masked(tmp_path):
    plain = load(str(directory(tmp_path / "model", "gpt2")))
    with pytest.raises(ValueError, match=r"padding is to be masked, and the tokenizer of .* declares none"):
        ids_of(plain, Prompt("w1 w2 <pad>", "w3", "", "w4", mask_padding=True))


def test_a_word_is_found_where_tokens_begin_and_end_with_it():
    text, spans = "Jo and John Johnson", [(0, 2), (2, 6), (6, 9), (9, 11), (11, 16), (16, 19)]
    assert mentions(text, spans, "Jo") == [0]
    assert mentions(text, spans, "John") == [3]
    assert mentions(text, spans, "John", apart=False) == [3, 4]
    assert mentions(text, spans, "Johnson") == [5]
    assert mentions(text, spans, "son") == []
    assert mentions("abab", [(0, 1), (1, 2), (2, 3), (3, 4)], "a", apart=False) == [0, 2]
