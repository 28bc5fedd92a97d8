"""Other positions at single readers: against Hugging Face's own positions, and against the plain forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from mechlib.lab.batching import batches
from mechlib.lab.forward.families import forward, network
from mechlib.lab.hooks import NothingChanged
from mechlib.lab.models.loading import load
from mechlib.lab.studies.position_embeddings import (
    _drawn,
    _shifts,
    input_changed,
    readers,
    under_other_embeddings,
    under_other_positions,
    with_shifted_inputs,
)
from mechlib.prompts.planted import planted
from tests.helpers.families import other_directory
from tests.helpers.tiny import BOS_ID, REFUSED, WORDS, directory, pairs, random_model

PROMPTS = pairs(24)
EVERY = ("mlp 0", "mlp 1", "attention 0", "attention 1", "output")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("positions") / "gpt2", "gpt2")))


@pytest.fixture(scope="module")
def hugging_face():
    return random_model("gpt2")


@pytest.fixture(scope="module")
def tokens(gpt2):
    return batches(gpt2, PROMPTS)[2].tokens


def moved(hugging_face, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Position embeddings of `places` less those of the places as they are."""
    table = hugging_face.transformer.wpe.weight.detach()
    return table[places] - table[torch.arange(tokens.shape[1])]


def shuffled(tokens: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.stack([torch.randperm(tokens.shape[1]) for _ in tokens])


# One reader, and all of them


def test_with_every_reader_shifted_the_model_runs_at_other_positions(gpt2, hugging_face, tokens):
    """All readers together see all that the embedding is for: the same as giving Hugging Face other positions."""
    places = shuffled(tokens)
    found = with_shifted_inputs(gpt2, tokens, moved(hugging_face, tokens, places), EVERY)
    with torch.no_grad():
        wanted = hugging_face(tokens, position_ids=places).logits
        own = hugging_face(tokens).logits
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert (wanted - own).abs().max() > 0.1


@pytest.mark.parametrize("reader", EVERY)
def test_one_reader_alone_sees_other_positions_as_in_the_plain_forward_pass(gpt2, hugging_face, tokens, reader):
    shift = moved(hugging_face, tokens, shuffled(tokens))
    plain = network(gpt2)
    ports = {
        "attention": [f"{reader[-1]}.{head}.{port}" for head in range(4) for port in "qkv"],
        "mlp": [reader],
        "output": ["logits"],
    }[reader.partition(" ")[0]]
    wanted = plain.unembed(forward(plain, tokens, shifts=dict.fromkeys(ports, shift))[0])
    found = with_shifted_inputs(gpt2, tokens, shift, (reader,))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert (wanted - plain.unembed(forward(plain, tokens)[0])).abs().max() > 1e-2


@pytest.mark.parametrize("reader", EVERY)
def test_a_shift_at_one_place_reaches_no_earlier_one_and_of_an_mlp_in_the_last_layer_no_other(gpt2, tokens, reader):
    shift = torch.zeros(*tokens.shape, 32)
    shift[:, 2] = 1.0 + torch.arange(32.0)
    change = with_shifted_inputs(gpt2, tokens, shift, (reader,)) - with_shifted_inputs(gpt2, tokens, shift, ())
    reached = change.abs().amax((0, 2)) > 1e-4
    assert not reached[:2].any() and reached[2]
    assert bool(reached[3:].any()) == (reader not in ("mlp 1", "output"))


def test_without_readers_nothing_changes(gpt2, hugging_face, tokens):
    with torch.no_grad():
        wanted = hugging_face(tokens).logits
    found = with_shifted_inputs(gpt2, tokens, torch.ones(*tokens.shape, 32), ())
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_shift_of_zero_is_an_error_and_no_result(gpt2, tokens):
    with pytest.raises(NothingChanged, match=r"the shift changes nothing that mlp 0 of .* sees"):
        with_shifted_inputs(gpt2, tokens, torch.zeros(*tokens.shape, 32), ("mlp 0",))


# What is put there


def longest() -> int:
    return max(len(prompt.clean.split()) for prompt in PROMPTS) + 1


def difference(logits: torch.Tensor, batch) -> np.ndarray:
    last, rows = logits[:, -1], torch.arange(len(batch.rows))
    return (last[rows, batch.answer] - last[rows, batch.distractor]).detach().numpy()


def test_the_mean_is_that_of_the_positions_that_words_have(gpt2):
    """Against Hugging Face with one embedding for all positions but the first."""
    found = under_other_positions(gpt2, PROMPTS, {"all": EVERY}, "mean")
    other = random_model("gpt2")
    with torch.no_grad():
        table = other.transformer.wpe.weight
        table[1 : longest()] = table[1 : longest()].mean(0)
        for batch in batches(gpt2, PROMPTS):
            wanted = difference(other(batch.tokens).logits, batch)
            np.testing.assert_allclose(found["all"].array[list(batch.rows)], wanted, atol=1e-4)
    assert found.columns == ("all", "intact") and found.units == tuple(row.fingerprint for row in PROMPTS)


def test_random_positions_are_others_of_words_and_each_as_likely(gpt2):
    """Read back from the shift itself: which row of the table stands in for each position."""
    from mechlib.lab.studies.position_embeddings import _shift

    table, n = random_model("gpt2").transformer.wpe.weight.detach(), longest()
    drawn = []
    for seed in range(40):
        for batch in batches(gpt2, PROMPTS):
            seen = _shift(gpt2, batch, n, "resample", seed) + table[: batch.tokens.shape[1]]
            rows = torch.cdist(seen, table).argmin(-1)
            torch.testing.assert_close(seen, table[rows], atol=1e-5, rtol=1e-5)
            assert (rows[:, 0] == 0).all(), "the beginning of the text keeps its own"
            own = torch.arange(1, rows.shape[1])
            assert (rows[:, 1:] != own).all() and (rows[:, 1:] >= 1).all() and (rows[:, 1:] < n).all()
            drawn += rows[:, 1][rows[:, 1] != 1].tolist()  # of position 1: 2 to n - 1
    counts = np.bincount(drawn, minlength=n)[2:]
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 32, "chi-squared on at most 11 df"


def test_draws_depend_on_the_prompt_and_the_seed_and_not_on_the_batch(gpt2, monkeypatch):
    sets = {"mlps": ("mlp 0", "mlp 1")}
    together = under_other_positions(gpt2, PROMPTS, sets)
    other = under_other_positions(gpt2, PROMPTS, sets, seed=1)
    monkeypatch.setattr("mechlib.lab.batching.LARGEST", 1)
    alone = under_other_positions(gpt2, PROMPTS, sets)
    np.testing.assert_allclose(alone.values, together.values, atol=1e-4)
    np.testing.assert_allclose(other["intact"].array, together["intact"].array, atol=1e-6)
    assert np.abs(other["mlps"].array - together["mlps"].array).max() > 1e-3


def test_readers_of_a_set_see_the_same_positions(gpt2):
    """So all readers together are a run at other positions, also when positions are drawn."""
    from mechlib.lab.studies.position_embeddings import _shift

    found = under_other_positions(gpt2, PROMPTS, {"all": EVERY}, seed=3)["all"].array
    model = random_model("gpt2")
    table = model.transformer.wpe.weight.detach()
    for batch in batches(gpt2, PROMPTS):
        seen = _shift(gpt2, batch, longest(), "resample", 3) + table[: batch.tokens.shape[1]]
        places = torch.cdist(seen, table).argmin(-1)
        with torch.no_grad():
            wanted = difference(model(batch.tokens, position_ids=places).logits, batch)
        np.testing.assert_allclose(found[list(batch.rows)], wanted, atol=1e-4)


# What else a reader may see: a random direction as long, another word


def hugging_face_with(embeddings: torch.Tensor) -> torch.Tensor:
    """Logits of Hugging Face's model where each place gets these rows in the place of its word's embedding."""
    with torch.no_grad():
        return random_model("gpt2")(inputs_embeds=embeddings).logits


@pytest.mark.parametrize("kind", ["positions", "direction", "word"])
def test_what_every_reader_sees_is_a_run_of_hugging_face_on_that_embedding(gpt2, kind):
    """All readers together see all that embeddings are for, so that the shift may as well be in the words' rows."""
    found = under_other_embeddings(gpt2, PROMPTS, {"all": EVERY}, seed=2)
    words, made = random_model("gpt2").transformer.wte.weight.detach(), batches(gpt2, PROMPTS)
    for batch in made:
        shift = _shifts(gpt2, batch, made, 2)[kind]
        wanted = difference(hugging_face_with(words[batch.tokens] + shift), batch)
        np.testing.assert_allclose(found[f"all, {kind}"].array[list(batch.rows)], wanted, atol=1e-4)
    assert np.abs(found[f"all, {kind}"].array - found["intact"].array).max() > 1e-2


def test_the_positions_are_those_of_the_other_measurement_and_the_columns_say_who_sees_what(gpt2):
    sets = {"mlps": ("mlp 0", "mlp 1"), "first": ("attention 0",)}
    found, plain = under_other_embeddings(gpt2, PROMPTS, sets), under_other_positions(gpt2, PROMPTS, sets)
    kinds = ("positions", "direction", "word")
    assert found.columns == (*(f"{name}, {kind}" for name in sets for kind in kinds), "intact")
    for name in sets:
        np.testing.assert_allclose(found[f"{name}, positions"].array, plain[name].array, atol=1e-6)


def test_a_random_direction_is_as_long_as_the_shift_of_positions_and_has_no_side(gpt2):
    made, cosines = batches(gpt2, PROMPTS), []
    for seed in range(20):
        for batch in made:
            found = _shifts(gpt2, batch, made, seed)
            positions, direction = found["positions"], found["direction"]
            torch.testing.assert_close(direction.norm(dim=-1), positions.norm(dim=-1), atol=1e-5, rtol=1e-5)
            assert (direction[:, 0] == 0).all(), "the beginning of the text keeps its own"
            cosines += torch.cosine_similarity(direction[:, 1:], positions[:, 1:], dim=-1).flatten().tolist()
    assert abs(np.mean(cosines)) < 4 / (32 * len(cosines)) ** 0.5, "in 32 dimensions a cosine has an SD of 32 ** -.5"
    assert np.std(cosines) == pytest.approx(32**-0.5, rel=0.1)


def test_another_word_is_one_of_the_prompts_and_never_the_one_that_stands_there(gpt2):
    table, made = random_model("gpt2").transformer.wte.weight.detach(), batches(gpt2, PROMPTS)
    said = {word for batch in made for word in batch.tokens[:, 1:].flatten().tolist()}
    drawn = set()
    for seed in range(20):
        for batch in made:
            seen = table[batch.tokens] + _shifts(gpt2, batch, made, seed)["word"]
            words = torch.cdist(seen, table).argmin(-1)
            torch.testing.assert_close(seen, table[words], atol=1e-5, rtol=1e-5)
            assert (words[:, 0] == batch.tokens[:, 0]).all() and (words[:, 1:] != batch.tokens[:, 1:]).all()
            drawn |= set(words[:, 1:].flatten().tolist())
    assert drawn == said


def test_directions_and_words_depend_on_the_prompt_and_the_seed_and_not_on_the_batch(gpt2, monkeypatch):
    sets, made = {"attentions": ("attention 0", "attention 1")}, batches(gpt2, PROMPTS)
    together, other = (under_other_embeddings(gpt2, PROMPTS, sets, seed=seed) for seed in (0, 1))
    monkeypatch.setattr("mechlib.lab.batching.LARGEST", 1)
    alone = under_other_embeddings(gpt2, PROMPTS, sets)
    np.testing.assert_allclose(alone.values, together.values, atol=1e-4)
    one, another = (_shifts(gpt2, made[1], made, seed)["direction"][:, 1:] for seed in (0, 1))
    for two in ((one, another), (one[:-1], one[1:]), (one[:, :-1], one[:, 1:])):  # of seeds, of prompts, of places
        assert torch.cosine_similarity(*two, dim=-1).abs().mean() < 0.25, "in 32 dimensions .14 is expected of chance"
    for kind in ("direction", "word"):
        moved = np.abs(other[f"attentions, {kind}"].array - together[f"attentions, {kind}"].array)
        assert moved.max() > 1e-3


def test_a_planted_reader_of_positions_is_seen_and_no_reader_of_anything_else():
    """`planted-place`: an eighth of the answer is an MLP's that reads the last position; heads do the rest."""
    model = load("planted-place")
    sets = {name: readers(model)[name] for name in ("mlps", "attentions", "later attentions")}
    found = under_other_embeddings(model, planted("planted-place"), sets)
    whole = found["intact"].array.mean()
    lost = {name: 1 - found[name].array.mean() / whole for name in found.columns}
    assert lost["mlps, positions"] == pytest.approx(1 / 8, abs=1e-3)
    assert abs(lost["mlps, direction"]) < 0.03 and abs(lost["mlps, word"]) < 1e-5
    assert lost["attentions, positions"] > 0.8 and abs(lost["later attentions, positions"]) < 1e-5


# How much of an input is position


def test_the_share_of_an_input_that_changes_is_that_of_the_normed_embeddings(gpt2):
    """For the first attention layer, whose input is the two embeddings and nothing else; from the tables, in NumPy."""
    found = input_changed(gpt2, PROMPTS, "mean")["attention 0"].array
    inner = random_model("gpt2").transformer
    words, table = (part.weight.detach().double().numpy() for part in (inner.wte, inner.wpe))
    mean = table[1 : longest()].mean(0)

    def normed(x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True))

    for batch in batches(gpt2, PROMPTS):
        for row, ids in zip(batch.rows, batch.tokens.tolist(), strict=True):
            own, other = (normed(words[ids[1:]] + added) for added in (table[1 : len(ids)], mean))
            share = np.linalg.norm(other - own, axis=-1) / np.linalg.norm(own, axis=-1)
            assert found[row] == pytest.approx(share.mean(), abs=1e-4)


def test_every_reader_has_a_share_and_every_kind_a_set(gpt2):
    assert input_changed(gpt2, PROMPTS).columns == ("mlp 0", "mlp 1", "attention 0", "attention 1")
    assert readers(gpt2) == {
        "mlp 0": ("mlp 0",),
        "mlp 1": ("mlp 1",),
        "attention 0": ("attention 0",),
        "attention 1": ("attention 1",),
        "mlps": ("mlp 0", "mlp 1"),
        "attentions": ("attention 0", "attention 1"),
        "later attentions": ("attention 1",),
    }


# What is refused


@pytest.mark.parametrize("family", ["neox", "llama", "qwen2"])
def test_models_whose_positions_are_rotary_are_refused_by_name(family, tmp_path):
    model = load(str(directory(tmp_path / family, family)))
    said = rf"{family} has rotary positions: they turn queries and keys .* there is no edge from them to an MLP"
    with pytest.raises(ValueError, match=said):
        under_other_positions(model, PROMPTS, {"mlps": ("mlp 0",)})
    with pytest.raises(ValueError, match=said):
        input_changed(model, PROMPTS)


@pytest.mark.parametrize("reader", ["mlp 2", "head 0", "mlp", "outputs"])
def test_unknown_readers_are_named(gpt2, reader):
    with pytest.raises(ValueError, match=f"no reader '{reader}': write 'mlp 0' or 'attention 0', up to 1, or 'output'"):
        under_other_positions(gpt2, PROMPTS, {"one": (reader,)})


def test_unknown_replacements_are_named(gpt2):
    with pytest.raises(REFUSED):
        under_other_positions(gpt2, PROMPTS, {"mlps": ("mlp 0",)}, "zero")


# Positions that do not stand at the start of their table


@pytest.mark.parametrize("replacement", ["resample", "mean"])
def test_positions_of_an_opt_begin_at_the_third_row_of_its_table(tmp_path, replacement):
    """All readers together, against Hugging Face's own model given other positions, or another table."""
    path = other_directory(tmp_path / "opt", "opt")
    found = under_other_positions(load(str(path)), PROMPTS, {"all": EVERY}, replacement)["all"].array
    model = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    ids = [[BOS_ID, *map(WORDS.index, prompt.clean.split())] for prompt in PROMPTS]
    longest, table = max(map(len, ids)), model.model.decoder.embed_positions.weight
    wanted = []
    if replacement == "mean":
        with torch.no_grad():
            table[3:] = table[3 : longest + 2].mean(0)
    for prompt, own in zip(PROMPTS, ids, strict=True):
        places = [0, *(_drawn(own, longest, 0) if replacement == "resample" else range(1, len(own)))]
        with torch.no_grad():
            logits = model(torch.tensor([own]), position_ids=torch.tensor([places])).logits[0, -1]
        wanted.append(float(logits[WORDS.index(prompt.answer)] - logits[WORDS.index(prompt.distractor)]))
    assert found == pytest.approx(wanted, abs=1e-3) and np.std(wanted) > 0.1


def test_a_stream_that_does_not_begin_as_words_plus_positions_is_refused(tmp_path, monkeypatch):
    model = load(str(directory(tmp_path / "m", "gpt2")))
    monkeypatch.setattr(model.cfg, "n_ctx", model.cfg.n_ctx - 1)  # the rows that are taken are then the next ones
    with pytest.raises(ValueError, match="m begins its stream otherwise than with the tokens' embedding plus the pos"):
        under_other_positions(model, PROMPTS, {"mlp 0": ["mlp 0"]})
