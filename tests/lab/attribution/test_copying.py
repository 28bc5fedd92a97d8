"""Attention to names and what heads would copy, against loops over Hugging Face's own activations and weights."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from mechlib.lab.attribution.attention import attention_to, mention
from mechlib.lab.attribution.copying import attention_and_written, copy_scores
from mechlib.lab.attribution.direct import direct_logit_attribution
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import logit_differences
from mechlib.lab.models.loading import Model, load
from mechlib.parts.heads import Head, all_heads
from mechlib.prompts import world
from mechlib.prompts.ioi import ioi
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import PLAIN, random_model, word_tokenizer

EVERY = [str(head) for head in all_heads(2, 4)]
# The words of these prompts alone: among so few, random heads copy some names by chance.
TEXTS = " ".join(prompt.clean for extra in ("", "subject") for prompt in ioi(extra=extra))
IDS = {word: number for number, word in enumerate(dict.fromkeys(("<bos>", "<unk>", *TEXTS.split())))}


def saved(path: Path, family: str, known: dict[str, int] | None = None) -> tuple[Model, PreTrainedModel]:
    """A tiny model that reads these words, and the same from the library that it was made with."""
    ids = known or IDS
    made = random_model(family, vocabulary=len(ids))
    made.save_pretrained(path)
    word_tokenizer(ids).save_pretrained(path)
    return load(str(path)), made


@pytest.fixture(scope="module", params=PLAIN)
def both(request, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("names") / request.param, request.param)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("names") / "one", "gpt2")[0]


def short(n: int, **settings: str) -> PromptSet:
    """Prompts that fit the 32 positions of the tiny models."""
    rows = [row for row in ioi(**settings) if len(row.clean.split()) < 31]
    return PromptSet("ioi", "confirmation", tuple(rows[:n]))


def forward(hugging_face: PreTrainedModel, prompt: Prompt):
    tokens = torch.tensor([[0, *(IDS[word] for word in prompt.clean.split())]])
    with torch.no_grad():
        return hugging_face(tokens, output_attentions=True, output_hidden_states=True)


def last(prompt: Prompt, word: str) -> int:
    """The position of the last mention, BOS counted."""
    return len(prompt.clean.split()) - prompt.clean.split()[::-1].index(word)


# Attention


@pytest.mark.parametrize("extra", ["", "subject", "object"])
def test_attention_to_names_is_the_cell_of_hugging_faces_attention(both, extra):
    model, hugging_face = both
    prompts = short(8, extra=extra)
    measured = {target: attention_to(model, prompts, target) for target in ("answer", "distractor", "first distractor")}
    for row, prompt in enumerate(prompts):
        cells = torch.stack(forward(hugging_face, prompt).attentions)[:, 0, :, -1]
        wanted = {
            "answer": last(prompt, prompt.answer),
            "distractor": last(prompt, prompt.distractor),
            "first distractor": 1 + prompt.clean.split().index(prompt.distractor),
        }
        assert len(set(wanted.values())) == 3
        for target, position in wanted.items():
            assert measured[target].columns == tuple(EVERY)
            np.testing.assert_allclose(measured[target].values[row], cells[:, :, position].flatten(), atol=1e-5)


def test_the_giver_is_the_last_name_said(gpt2):
    """The position of S2 that `attention_to` uses is the one where the subject corruption changes the text."""
    for batch in batches(gpt2, short(40)):
        changed = torch.ne(batch.tokens, batch.corrupted).long().argmax(1)
        assert torch.equal(mention(batch, "distractor"), changed)
        assert (mention(batch, "distractor", first=True) < changed).all()
        assert torch.equal(mention(batch, "answer"), mention(batch, "answer", first=True))


# Copying


def values(hugging_face: PreTrainedModel, layer: int, head: int, read: torch.Tensor) -> torch.Tensor:
    """A head's value of a stream, from the weights as each family stores them, its norm included."""
    if hasattr(hugging_face, "transformer"):  # GPT-2: [in, out], queries, keys and values side by side
        block = hugging_face.transformer.h[layer]
        whole = block.attn.c_attn(block.ln_1(read))[..., 64:]
        return whole[..., 8 * head : 8 * head + 8]
    if hasattr(hugging_face, "gpt_neox"):  # queries, keys and values of one head side by side
        block = hugging_face.gpt_neox.layers[layer]
        whole = block.attention.query_key_value(block.input_layernorm(read))
        return whole[..., 24 * head + 16 : 24 * head + 24]
    block = hugging_face.model.layers[layer]  # two heads share their values
    whole = block.self_attn.v_proj(block.input_layernorm(read))
    return whole[..., 8 * (head // 2) : 8 * (head // 2) + 8]


def written_for(hugging_face: PreTrainedModel, layer: int, head: int, value: torch.Tensor) -> torch.Tensor:
    """What the head writes for a value: its slice of the output matrix, without the bias."""
    if hasattr(hugging_face, "transformer"):
        return value @ hugging_face.transformer.h[layer].attn.c_proj.weight[8 * head : 8 * head + 8]
    if hasattr(hugging_face, "gpt_neox"):
        matrix = hugging_face.gpt_neox.layers[layer].attention.dense.weight
    else:
        matrix = hugging_face.model.layers[layer].self_attn.o_proj.weight
    return value @ matrix[:, 8 * head : 8 * head + 8].T


def final_norm(hugging_face: PreTrainedModel) -> torch.nn.Module:
    if hasattr(hugging_face, "transformer"):
        return hugging_face.transformer.ln_f
    return hugging_face.gpt_neox.final_layer_norm if hasattr(hugging_face, "gpt_neox") else hugging_face.model.norm


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("of", ["answer", "distractor"])
def test_copy_scores_are_a_matrix_computation_with_hugging_faces_weights(both, of, negative):
    model, hugging_face = both
    prompts = short(60)
    measured = copy_scores(model, prompts, of, negative)
    assert measured.yes_no and measured.columns == tuple(EVERY)
    wanted = np.zeros(measured.values.shape)
    with torch.no_grad():
        for row, prompt in enumerate(prompts):
            name = getattr(prompt, of)
            streams = forward(hugging_face, prompt).hidden_states
            for column, (layer, head) in enumerate(all_heads(2, 4)):
                read = streams[layer][0, last(prompt, name)]  # the embeddings; then the stream after the first layer
                written = written_for(hugging_face, layer, head, values(hugging_face, layer, head, read))
                logits = hugging_face.get_output_embeddings()(
                    final_norm(hugging_face)(-written if negative else written)
                )
                wanted[row, column] = IDS[name] in logits.topk(5).indices.tolist()
    assert 0 < wanted.mean() < 0.2
    np.testing.assert_array_equal(measured.values, wanted)


def test_a_head_that_copies_is_found_and_one_that_votes_against_what_it_sees(tmp_path):
    """One head's values and output are made the transposed unembedding's own directions, another's the opposite."""
    made = random_model("gpt2", vocabulary=len(IDS))
    names = [IDS[name] for name in ("Olivia", "Brian", "Lucy", "Martin")]
    with torch.no_grad():
        embedding = made.transformer.wte.weight
        embedding[names] = 0
        for place, name in enumerate(names):  # four names in four directions of their own, which nothing else uses
            embedding[:, 2 * place : 2 * place + 2] = 0
            embedding[name, 2 * place], embedding[name, 2 * place + 1] = 6.0, -6.0
        made.transformer.wpe.weight[:, :8] = 0
        attention = made.transformer.h[0].attn
        made.transformer.h[0].ln_1.weight.fill_(1), made.transformer.h[0].ln_1.bias.zero_()
        attention.c_attn.bias.zero_(), made.transformer.ln_f.bias.zero_(), made.transformer.ln_f.weight.fill_(1)
        for head, sign in ((1, 1.0), (2, -1.0)):
            columns = slice(64 + 8 * head, 64 + 8 * head + 8)
            attention.c_attn.weight[:, columns] = torch.eye(32)[:, :8]
            attention.c_proj.weight[8 * head : 8 * head + 8] = sign * torch.eye(32)[:8]
    made.save_pretrained(tmp_path / "copier")
    word_tokenizer(IDS).save_pretrained(tmp_path / "copier")
    model = load(str(tmp_path / "copier"))
    pairs = permutations(("Olivia", "Brian", "Lucy", "Martin"), 2)
    rows = tuple(Prompt(f"As {a} and {b} left the office , {b} gave a map to", a, "", b) for a, b in pairs)
    prompts = PromptSet("four names", "confirmation", rows)
    for of in ("answer", "distractor"):
        copied, against = copy_scores(model, prompts, of), copy_scores(model, prompts, of, negative=True)
        assert copied["0.1"].array.tolist() == against["0.2"].array.tolist() == [1.0] * 12
        assert copied["0.2"].array.tolist() == against["0.1"].array.tolist() == [0.0] * 12


# Attention against writing


@pytest.mark.parametrize("to", ["answer", "distractor"])
def test_what_a_head_writes_is_its_output_towards_the_name_at_the_runs_own_scale(both, to):
    model, hugging_face = both
    prompts, layer, number = short(8), 1, 3
    measured = attention_and_written(model, prompts, Head(layer, number), to)
    assert measured.columns == ("attention", "written")
    np.testing.assert_allclose(measured["attention"].array, attention_to(model, prompts, to)["1.3"].array, atol=1e-6)
    norm, seen = final_norm(hugging_face), {}
    handle = norm.register_forward_hook(lambda module, given, out: seen.update(given=given[0][0, -1]))
    for row, prompt in enumerate(prompts):
        out = forward(hugging_face, prompt)
        with torch.no_grad():
            value = values(hugging_face, layer, number, out.hidden_states[layer][0])
            output = written_for(hugging_face, layer, number, out.attentions[layer][0, number, -1] @ value)
            # The norm without its bias is linear at a fixed scale: the difference that the output makes, by hand.
            stream, centred = seen["given"], not hasattr(hugging_face, "model")
            scale = (stream.var(unbiased=False) if centred else stream.pow(2).mean()) + eps(norm)
            normed = (output - output.mean() * centred) / scale.sqrt() * norm.weight
            wanted = normed @ hugging_face.get_output_embeddings().weight[IDS[getattr(prompt, to)]]
        assert measured["written"].array[row] == pytest.approx(float(wanted), abs=1e-4)
    handle.remove()


def eps(norm: torch.nn.Module) -> float:
    return norm.eps if hasattr(norm, "eps") else norm.variance_epsilon


def test_written_for_the_answer_less_the_distractor_is_the_direct_contribution(both):
    model, _ = both
    prompts = short(20)
    direct = direct_logit_attribution(model, prompts)
    for head in (Head(0, 2), Head(1, 0)):
        towards, against = (
            attention_and_written(model, prompts, head, to)["written"].array for to in ("answer", "distractor")
        )
        np.testing.assert_allclose(towards - against, direct[head].array, atol=1e-4)


# Bad input


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A model in which Fiona is two tokens."""
    path = tmp_path_factory.mktemp("names") / "pieces"
    known = {word: number for number, word in enumerate([*(w for w in world.IDS if w != "Fiona"), "Fio", "##na"])}
    tokenizer = Tokenizer(WordPiece(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    random_model("gpt2", vocabulary=len(known)).save_pretrained(path)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<bos>", unk_token="<unk>"
    ).save_pretrained(path)
    return load(str(path))


def with_fiona(corrupt: str) -> PromptSet:
    rows = [row for row in ioi(corrupt=corrupt) if "Fiona" in (row.answer, row.distractor) and len(row.clean) < 120]
    return PromptSet("ioi", "confirmation", tuple(rows))


def test_a_name_of_several_tokens_is_named_where_one_is_needed(pieces):
    said = r"answer 'Fiona' of '.*Fiona.*' has 2 tokens \[\d+, \d+\]: no single one stands for it"
    for measure in (
        lambda prompts: copy_scores(pieces, prompts),
        lambda prompts: attention_and_written(pieces, prompts, Head(0, 0)),
    ):
        with pytest.raises(ValueError, match=said):
            measure(with_fiona("order"))


def test_clean_and_corrupted_texts_of_different_length_are_refused(pieces):
    with pytest.raises(ValueError, match=r"clean and corrupted do not align: '.*' has \d+ tokens .* has \d+"):
        logit_differences(pieces, with_fiona("subject"))


def test_a_model_without_one_of_the_names_is_named_with_the_name(tmp_path):
    known = {word: number for number, word in enumerate(word for word in world.IDS if word != "Fiona")}
    model, _ = saved(tmp_path / "nameless", "gpt2", known)
    with pytest.raises(ValueError, match=r"does not know 'Fiona' in '.*Fiona.*'"):
        attention_to(model, with_fiona("order"), "answer")


def test_a_word_that_the_prompt_does_not_say_is_named(gpt2):
    silent = PromptSet("silent", "confirmation", (Prompt("As Susan left the office", "David", "", "Susan"),))
    with pytest.raises(ValueError, match="answer 'David' does not occur in 'As Susan left the office'"):
        attention_to(gpt2, silent, "answer")
    with pytest.raises(ValueError, match=r"prompt \w{12} \('As Susan left the office'\) has no distractor"):
        attention_to(
            gpt2, PromptSet("none", "confirmation", (Prompt("As Susan left the office", "Susan"),)), "distractor"
        )
    with pytest.raises(ValueError, match=r"no head 2\.0: the model has 2 layers of 4 heads"):
        attention_and_written(gpt2, short(2), Head(2, 0))
