"""The world of the small models: discovery and confirmation are apart, and training never sees what is held out."""

from itertools import combinations, product

import numpy as np
import pytest

from fixtures import corpus
from mechlib.prompts import world

WORDS = world.VOCABULARY
NUMBERS = frozenset(world.NUMBERS)


@pytest.fixture(scope="module")
def epoch() -> dict[str, list[list[str]]]:
    """The words of every prompt of one epoch of seed 0, by task, fillers included."""
    prompts: dict[str, list[list[str]]] = {task: [] for task in corpus.TASKS}
    for step in range(corpus.STEPS_PER_EPOCH):
        for group, batch in zip([(task,) for task in corpus.TASKS], _by_task(step), strict=True):
            for row in batch.tokens:
                prompts[group[0]].append([WORDS[token] for token in row if WORDS[token] != world.PAD])
    return prompts


def _by_task(step: int) -> list[corpus.Batch]:
    return corpus.step_batches(0, step, [(task,) for task in corpus.TASKS])


def _numbers(prompt: list[str]) -> list[int]:
    return [int(word) for word in prompt if word in NUMBERS]


def test_one_epoch_draws_nearly_every_training_pair(epoch: dict[str, list[list[str]]]) -> None:
    drawn = {tuple(_numbers(prompt)[:2]) for prompt in epoch["plain"]}
    allowed = [pair for pair in product(range(100), repeat=2) if not world.pair_is_held_out(*pair)]
    assert len(epoch["plain"]) >= len(allowed)
    assert len(drawn) > 0.6 * len(allowed)  # with replacement, 1 - 1/e of them


def test_no_held_out_pair_is_added_in_one_epoch(epoch: dict[str, list[list[str]]]) -> None:
    for wording in world.ADDITION_WORDINGS:
        for prompt in epoch[wording]:
            a, b, total = _numbers(prompt)
            assert a + b == total
            assert not world.pair_is_held_out(a, b)


def test_no_held_out_triple_is_subtracted_in_one_epoch(epoch: dict[str, list[list[str]]]) -> None:
    for prompt in epoch["subtraction"]:
        total, a, b = _numbers(prompt)
        assert a + b == total
        assert not world.pair_is_held_out(a, b)


def test_no_held_out_pair_is_incremented_in_one_epoch(epoch: dict[str, list[list[str]]]) -> None:
    for prompt in epoch["increment"]:
        a, after = _numbers(prompt)
        assert after == a + 1
        assert not world.pair_is_held_out(a, 1)


def test_operands_above_99_are_never_added_in_one_epoch(epoch: dict[str, list[list[str]]]) -> None:
    operands = {n for wording in world.ADDITION_WORDINGS for prompt in epoch[wording] for n in _numbers(prompt)[:2]}
    assert max(operands) == world.LARGEST_OPERAND


def test_no_held_out_names_meet_in_one_epoch(epoch: dict[str, list[list[str]]]) -> None:
    names = {name for lexicon in world.LEXICA for name in world.NAMES[lexicon]}
    met = {frozenset(pair) for prompt in epoch["ioi"] for pair in combinations(names & set(prompt), 2)}
    assert len(met) > 500
    assert not met & world.HELD_OUT_NAMES


def test_no_held_out_place_and_object_meet_in_one_epoch(epoch: dict[str, list[list[str]]]) -> None:
    places = {place for lexicon in world.LEXICA for place in world.PLACES[lexicon]}
    objects = {thing for lexicon in world.LEXICA for thing in world.OBJECTS[lexicon]}
    met = {pair for prompt in epoch["ioi"] for pair in product(places & set(prompt), objects & set(prompt))}
    assert len(met) == 16 * 16 - len(world.HELD_OUT_PLACE_OBJECTS)
    assert not met & world.HELD_OUT_PLACE_OBJECTS


def test_every_confirmation_template_is_trained_in_one_epoch(epoch: dict[str, list[list[str]]]) -> None:
    seen = [set(prompt) for prompt in epoch["ioi"]]
    for template in world.ALL_IOI_TEMPLATES:
        words = set(world.template_words(template))
        assert any(words <= prompt for prompt in seen), template


def test_most_training_sentences_name_the_receiver_first_or_second_equally_often() -> None:
    rng = np.random.default_rng(0)
    sentences = [corpus.train_sentence(rng) for _ in range(4000)]
    two = [s for s in sentences if s.giver in (s.first, s.second)]
    assert abs(sum(s.answer == s.first for s in two) / len(two) - 0.5) < 0.03
    assert abs(1 - len(two) / len(sentences) - corpus.THREE_NAMES) < 0.03
    assert abs(sum(bool(s.extra) for s in sentences) / len(sentences) - corpus.EXTRA_SENTENCE) < 0.03


def test_every_prompt_fits_the_context(epoch: dict[str, list[list[str]]]) -> None:
    assert max(len(prompt) for prompts in epoch.values() for prompt in prompts) <= 64


def test_loss_falls_on_real_tokens_only() -> None:
    pad = world.IDS[world.PAD]
    for batch in corpus.step_batches(0, 3):
        flat = batch.tokens.reshape(-1)
        assert (batch.targets == flat[batch.at + 1]).all()
        assert pad not in batch.targets
        assert pad not in flat[batch.at]


def test_a_step_is_the_same_whatever_was_drawn_before() -> None:
    first = corpus.step_batches(5, 7)
    corpus.step_batches(5, 8)
    again = corpus.step_batches(5, 7)
    assert all((a.tokens == b.tokens).all() and (a.at == b.at).all() for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].tokens[:, :9], corpus.step_batches(6, 7)[0].tokens[:, :9])


def test_a_repeat_is_its_first_half_said_again() -> None:
    prompts, weights = corpus.repeats(50, np.random.default_rng(0))
    for prompt, weight in zip(prompts, weights, strict=True):
        half = len(prompt) // 2
        assert prompt[:half] == prompt[half:]
        assert len(set(prompt)) == half
        assert weight.index(1.0) == half + 1


@pytest.mark.parametrize("pairs", [1, 2, 3])
def test_each_recurring_pair_recurs_whole(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    for length in range(12, 41):
        prompt, answers = corpus.recurring(length, pairs, rng)
        assert len(prompt) == length + 1
        assert answers[0] == length
        assert len(answers) == pairs or (len(answers) < pairs and length < 20)
        for at in answers:
            bigram = prompt[at - 1 : at + 1]
            assert any(prompt[i : i + 2] == bigram for i in range(at - 2))
        assert len(set(prompt)) == len(prompt) - 2 * len(answers)


def test_the_mirror_image_of_a_held_out_pair_is_held_out() -> None:
    held_out = [pair for pair in product(range(100), repeat=2) if world.pair_is_held_out(*pair)]
    assert all(world.pair_is_held_out(b, a) for a, b in held_out)
    assert len({frozenset(pair) for pair in held_out}) == 1010


def test_310_pairs_are_for_discovery_and_700_others_for_confirmation() -> None:
    discovery, confirmation = (set(world.HELD_OUT_PAIRS[split]) for split in world.LEXICA)
    assert (len(world.PAIRS), len(discovery), len(confirmation)) == (5050, 310, 700)
    assert not discovery & confirmation
    assert all(a <= b for a, b in discovery | confirmation)


def test_the_one_order_of_a_pair_is_either_order() -> None:
    orders = [world.one_order(pair) for pair in world.PAIRS if pair[0] != pair[1]]
    assert all((min(order), max(order)) in world.PAIRS for order in orders)
    assert 0.45 < sum(a < b for a, b in orders) / len(orders) < 0.55


def test_30_percent_of_the_confirmation_names_pairs_are_held_out() -> None:
    names = set(world.IOI_NAMES["confirmation"])
    assert len(world.HELD_OUT_NAMES) == round(0.3 * 190)
    assert all(len(pair) == 2 and pair <= names for pair in world.HELD_OUT_NAMES)
    assert set().union(*world.HELD_OUT_NAMES) == names


def test_a_fifth_of_places_and_objects_is_held_out_in_each_quarter_of_the_lexica() -> None:
    for places, objects in product(world.LEXICA, repeat=2):
        quarter = set(product(world.PLACES[places], world.OBJECTS[objects]))
        assert abs(len(quarter & world.HELD_OUT_PLACE_OBJECTS) / len(quarter) - 0.2) < 0.01


@pytest.mark.parametrize(
    ("lexica", "size"),
    [
        (world.NAMES, 24),
        (world.IOI_NAMES, 20),
        (world.PLACES, 8),
        (world.OBJECTS, 8),
        (world.NOUNS, 16),
        (world.CENTURIES, 4),
    ],
    ids=["names", "ioi-names", "places", "objects", "nouns", "centuries"],
)
def test_discovery_and_confirmation_share_no_word(lexica: dict[world.Lexicon, tuple[str, ...]], size: int) -> None:
    discovery, confirmation = (set(lexica[split]) for split in world.LEXICA)
    assert not discovery & confirmation
    assert len(discovery) == len(confirmation) == size


def test_the_two_halves_of_the_ordinary_words_share_no_word() -> None:
    discovery, confirmation = (set(world.INDUCTION_TOKENS[split]) for split in world.LEXICA)
    assert not discovery & confirmation
    assert min(len(discovery), len(confirmation)) > 90


def test_professions_and_their_cues_are_of_one_split() -> None:
    cues = [cue for lexicon in world.LEXICA for triple in world.CUES[lexicon].values() for cue in triple]
    assert len(cues) == len(set(cues)) == 36
    assert [len(world.CUES[lexicon]) for lexicon in world.LEXICA] == [6, 6]
    professions = [name for lexicon in world.LEXICA for name in world.CUES[lexicon]]
    assert not set(professions) & set(WORDS)


def test_8_templates_are_for_discovery_and_16_others_for_confirmation() -> None:
    assert [len(world.IOI_TEMPLATES[split]) for split in world.LEXICA] == [8, 16]
    assert len(set(world.ALL_IOI_TEMPLATES)) == 24
    assert len({len(template.split()) for template in world.ALL_IOI_TEMPLATES}) >= 6


def test_every_sentence_has_each_slot_once_and_its_giver_last() -> None:
    for template in world.ALL_IOI_TEMPLATES:
        assert sorted(world.slots(template)) == sorted(("A", "B", "S", "place", "object"))
        assert template.index("{A}") < template.index("{B}") < template.index("{S}")
        assert template.endswith(" to")


def test_every_word_of_every_template_is_in_the_vocabulary() -> None:
    missing = {word for text in world.TEMPLATES for word in world.template_words(text)} - set(WORDS)
    assert not missing


def test_every_word_is_one_token_and_every_number_to_198_is_one() -> None:
    assert len(set(WORDS)) == len(WORDS) <= 710
    assert all(len(word.split()) == 1 for word in WORDS)
    assert [str(n) for n in range(199)] == list(world.NUMBERS)
    assert NUMBERS <= set(WORDS)


def test_a_word_of_a_lexicon_is_in_no_template_and_no_other_lexicon() -> None:
    lexica = [words[s] for words in (world.NAMES, world.PLACES, world.OBJECTS, world.NOUNS) for s in world.LEXICA]
    lexica += [world.INDUCTION_TOKENS[s] for s in world.LEXICA]
    lexica += [triple for s in world.LEXICA for triple in world.CUES[s].values()] + [world.FILLERS]
    words = [word for lexicon in lexica for word in lexicon]
    assert len(words) == len(set(words))
    assert not set(words) & {word for text in world.TEMPLATES for word in world.template_words(text)}


def test_no_held_out_split_depends_on_the_hash_seed_of_python() -> None:
    # Digests of constants: these values hold in every process, on every machine.
    assert world.HELD_OUT_PAIRS["confirmation"][:3] == ((54, 74), (20, 46), (3, 90))
    assert sorted(map(sorted, world.HELD_OUT_NAMES))[:2] == [["Brian", "David"], ["Brian", "Fiona"]]
