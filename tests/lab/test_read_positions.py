"""A prompt is read at the position that it says: of a causal model, as the text up to there; of a bidirectional one, in
the whole run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from mechlib.checkpoints.checkpoint import Checkpoint
from mechlib.lab.attribution.attention import attention_to
from mechlib.lab.batching import batches
from mechlib.lab.behaviour import answer_log_probs, answers_correctly, logit_differences, repeat_loss
from mechlib.lab.interventions.ablation import under_ablation
from mechlib.lab.interventions.patching import lost_by_patching, restored_by_patching
from mechlib.lab.models.loading import describe, load
from mechlib.lab.studies.generation import generated
from mechlib.parts.heads import Head, all_heads
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, FAMILIES, WORDS, byte_directory, directory, pairs, random_model, word_tokenizer

IDS = {word: number for number, word in enumerate(WORDS)}
EVERY = all_heads(2, 4)
TEXT, CORRUPTED = "w1 w2 w3 w4 w5", "w9 w2 w3 w4 w5"
POSITIONS = (0, 2, -2, -1)


def at(*positions: int, text: str = TEXT, corrupted: str = CORRUPTED) -> PromptSet:
    """One text, read at several positions, each with an answer of its own."""
    words = [(f"w{20 + number}", f"w{10 + number}") for number in range(len(positions))]
    rows = [
        Prompt(text, answer, corrupted, distractor, cluster="one text", read_position=position)
        for position, (answer, distractor) in zip(positions, words, strict=True)
    ]
    return PromptSet("one text", "confirmation", tuple(rows))


def ids(text: str) -> list[int]:
    return [IDS[word] for word in text.split()]


def cut(row: Prompt) -> Prompt:
    """The row as the texts up to the position that it is read at."""
    stop = row.read_position % len(row.clean.split()) + 1
    clean, corrupted = (" ".join(text.split()[:stop]) for text in (row.clean, row.corrupted))
    return replace(row, clean=clean, corrupted=corrupted, read_position=-1)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_of_several_positions_has_hugging_faces_logits_there(tmp_path, family):
    model, prompts = load(str(directory(tmp_path / family, family))), at(*POSITIONS)
    with torch.no_grad():
        logits = random_model(family)(torch.tensor([[BOS_ID, *ids(TEXT)]])).logits[0, 1:]
    wanted = [float(logits[row.read_position, IDS[row.answer]] - logits[row.read_position, IDS[row.distractor]])
              for row in prompts]  # fmt: skip
    np.testing.assert_allclose(logit_differences(model, prompts)["clean"].array, wanted, atol=1e-4)
    chances = logits.log_softmax(-1)
    wanted = [float(chances[row.read_position, IDS[row.answer]]) for row in prompts]
    np.testing.assert_allclose(answer_log_probs(model, prompts).array, wanted, atol=1e-4)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("read") / "one", "gpt2")))


def test_reading_a_causal_model_at_a_position_is_running_the_text_up_to_there(gpt2):
    prompts = at(*POSITIONS)
    short = PromptSet("cut", "confirmation", tuple(map(cut, prompts)))
    for measure in (
        lambda rows: restored_by_patching(gpt2, rows, EVERY, "all"),
        lambda rows: lost_by_patching(gpt2, rows, EVERY, "all", hooked=True),
        lambda rows: attention_to(gpt2, rows, "first token"),
    ):
        np.testing.assert_allclose(measure(prompts).values, measure(short).values, atol=1e-5)


def test_a_position_before_the_corruption_has_nothing_that_differs(gpt2):
    with pytest.raises(ValueError, match=r"as far as they are run, \[0, 4, 5\]: nothing differs between the two runs"):
        logit_differences(gpt2, at(1, corrupted="w1 w2 w9 w4 w5"))


def test_positions_are_counted_behind_a_bos_that_the_text_brings(gpt2):
    own = at(*POSITIONS, text=f"<bos> {TEXT}", corrupted=f"<bos> {CORRUPTED}")
    np.testing.assert_array_equal(logit_differences(gpt2, own).values, logit_differences(gpt2, at(*POSITIONS)).values)


@pytest.mark.parametrize("position", [5, -6])
def test_a_position_that_the_text_lacks_is_refused(gpt2, position):
    with pytest.raises(
        ValueError, match=rf"is to be read at position {position} and has 5 tokens without BOS: .* -5 to 4"
    ):
        logit_differences(gpt2, at(position))


def test_one_position_named_twice_is_a_repeat(gpt2):
    (row,) = at(2)
    with pytest.raises(ValueError, match="repeats would shrink the interval for free"):
        logit_differences(gpt2, PromptSet("twice", "confirmation", (row, replace(row, read_position=-3))))


# --- bidirectional ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both_ways():
    shape = TransformerBridgeConfig(
        d_model=32, d_head=8, n_heads=4, n_layers=2, n_ctx=12, d_mlp=16, d_vocab=len(WORDS), act_fn="relu",
        normalization_type=None, attention_dir="bidirectional", seed=0,
    )  # fmt: skip
    model = TransformerBridge.boot_native(shape, device="cpu")
    model._tokenizer = word_tokenizer()
    torch.manual_seed(1)
    for parameter in model.original_model.parameters():
        parameter.data.copy_(torch.randn_like(parameter) * 0.3)
    model.eval().requires_grad_(False)
    return describe(model, Checkpoint("both-ways", "local", Path("both-ways"), "both-ways"))


def differences(model, text: str, prompts: PromptSet, hooks=()) -> np.ndarray:
    """Answer less distractor where each row is read, from the logits of one run of the library."""
    with torch.no_grad(), model.hooks(fwd_hooks=list(hooks)):
        logits = model(torch.tensor([ids(text)]))[0]
    return np.array([float(logits[r.read_position, IDS[r.answer]] - logits[r.read_position, IDS[r.distractor]])
                     for r in prompts])  # fmt: skip


def test_a_bidirectional_model_is_run_whole_and_read_where_the_prompt_says(both_ways):
    prompts = at(*POSITIONS)
    found = logit_differences(both_ways, prompts)
    np.testing.assert_allclose(found["clean"].array, differences(both_ways, TEXT, prompts), atol=1e-5)
    np.testing.assert_allclose(found["corrupted"].array, differences(both_ways, CORRUPTED, prompts), atol=1e-5)
    short = PromptSet("cut", "confirmation", tuple(map(cut, prompts)))
    assert abs(found["clean"].array - logit_differences(both_ways, short)["clean"].array)[:3].min() > 1e-2
    with torch.no_grad():
        logits = both_ways(torch.tensor([ids(TEXT)]))[0]
    chances = [float(logits.log_softmax(-1)[row.read_position, IDS[row.answer]]) for row in prompts]
    np.testing.assert_allclose(answer_log_probs(both_ways, prompts).array, chances, atol=1e-5)
    top = [
        replace(row, answer=WORDS[int(logits[row.read_position].argmax())], distractor="", corrupted="")
        for row in prompts
    ]
    assert answers_correctly(both_ways, PromptSet("top", "confirmation", tuple(top))).array.all()


def test_patching_and_ablation_through_hooks_read_a_bidirectional_model_there(both_ways):
    prompts, head, name = at(*POSITIONS), Head(0, 1), "blocks.0.attn.hook_z"
    clean = both_ways.run_with_cache(torch.tensor([ids(TEXT)]))[1][name]

    def putting(new):
        def hook(z, hook):
            return torch.cat([z[:, :, :1], new[:, :, 1:2], z[:, :, 2:]], dim=2)

        return [(name, hook)]

    corrupted = differences(both_ways, CORRUPTED, prompts)
    wanted = differences(both_ways, CORRUPTED, prompts, putting(clean)) - corrupted
    found = restored_by_patching(both_ways, prompts, {"0.1": head}, "all", hooked=True)
    np.testing.assert_allclose(found["0.1"].array, wanted, atol=1e-4)
    zeros = differences(both_ways, TEXT, prompts, putting(torch.zeros_like(clean)))
    found = under_ablation(both_ways, prompts, {"0.1": head}, "zero", metric="logit difference", hooked=True)
    np.testing.assert_allclose(found["0.1"].array, zeros, atol=1e-4)


def test_what_reads_the_last_position_alone_refuses_another_one_of_a_bidirectional_model(both_ways):
    prompts = at(0, 2)
    with pytest.raises(ValueError, match="position 0 of both-ways, which is bidirectional, and this measurement reads"):
        attention_to(both_ways, prompts, "first token")
    assert attention_to(both_ways, at(-1), "first token").values.shape == (1, 8)
    assert batches(both_ways, at(-1))[0].read is None


def test_what_asks_for_the_next_token_refuses_a_bidirectional_model(both_ways):
    for ask in (
        lambda: repeat_loss(both_ways, pairs(3)),
        lambda: generated(both_ways, pairs(3), 2),
        lambda: logit_differences(both_ways, PromptSet("two", "confirmation", (Prompt("w1", "w2 w3", "", "w4"),))),
    ):
        with pytest.raises(ValueError, match="both-ways is bidirectional and "):
            ask()


def test_a_position_inside_a_character_is_refused(tmp_path):
    model = load(str(byte_directory(tmp_path / "bytes", "gpt2", ("one two red blue",))))
    row = Prompt("one \N{GRINNING FACE} two", "red", distractor="blue")
    spans = model.tokenizer(row.clean, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    last = max(number for number, (start, end) in enumerate(spans) if start <= 4 < end)
    for position in (last - 1, last - 2):  # two of its four bytes: what follows is the rest of it, not an answer
        with pytest.raises(ValueError, match=rf"at position {position}, where no text ends"):
            logit_differences(model, PromptSet("inside", "confirmation", (replace(row, read_position=position),)))
    behind = PromptSet("behind", "confirmation", (replace(row, read_position=last),))
    cut_there = PromptSet("cut", "confirmation", (replace(row, clean="one \N{GRINNING FACE}"),))
    np.testing.assert_allclose(
        logit_differences(model, behind)["clean"].array, logit_differences(model, cut_there)["clean"].array, atol=1e-5
    )
