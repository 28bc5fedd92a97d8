"""What reconstruction costs, against Hugging Face's own hooks and TransformerLens's."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.lab.features.dictionaries import DeadDictionary, Dictionary, principal_components, random_dictionary
from mechlib.lab.features.evaluation import COLUMNS, activations_at, dictionary_scores, dictionary_scores_on_prompts
from mechlib.lab.features.loading import OtherActivation
from mechlib.lab.hooks import NoSuchHook
from mechlib.lab.models.loading import load
from mechlib.prompts.promptset import Prompt, PromptSet
from tests.helpers.tiny import BOS_ID, WORDS, directory
from tests.lab.features.hooked import HOOK, both, sequences, stream, with_stream


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def case(request, tmp_path_factory):
    model, theirs = both(tmp_path_factory.mktemp("evaluated") / request.param, request.param)
    rows = activations_at(model, sequences(40, 12, seed=9), HOOK)
    return model, theirs, rows


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load(str(directory(tmp_path_factory.mktemp("evaluated") / "one", "gpt2")))


def columns(measured) -> dict[str, np.ndarray]:
    return dict(zip(measured.columns, measured.values.T, strict=True))


def by_hand(theirs, dictionary: Dictionary, tokens: torch.Tensor) -> dict[str, list[float]]:
    """One sequence at a time, in float64 where logits are compared; BOS stays, and no loss counts behind it."""
    found = {name: [] for name in COLUMNS}
    for row in tokens:
        one = row[None]
        own = stream(theirs, one)[0, 1:]
        large = (own.norm(dim=1) > dictionary.limit)[:, None]
        active = torch.where(large, 0.0, dictionary.encode(own))
        made = torch.where(large, own, active @ dictionary.directions + dictionary.offset)
        mean_row, nothing = (torch.where(large, own, one) for one in (dictionary.mean, torch.zeros_like(own)))

        def logits(new=None, one=one):
            def change(old):
                return torch.cat([old[:, :1], new[None]], dim=1)

            return with_stream(theirs, one, change if new is not None else None)[0].double().log_softmax(-1)[1:-1]

        with torch.no_grad():
            ran = logits(), logits(made), logits(mean_row), logits(nothing)
        intact, spliced, mean, zero = (
            float(-torch.stack([each[at, row[at + 2]] for at in range(len(each))]).mean()) for each in ran
        )
        counted = int((~large).sum())
        found["L0"].append(float((active != 0).sum() / counted))
        found["squared error"].append(float((made - own).square().sum() / counted))
        found["squared deviation"].append(float((own - dictionary.mean)[~large[:, 0]].square().sum() / counted))
        kl = torch.nn.functional.kl_div(ran[1], ran[0], log_target=True, reduction="none").sum(-1).mean()
        for name, value in zip(
            COLUMNS[3:],
            (intact, spliced, mean, zero, float(kl), mean - spliced, mean - intact, zero - spliced, zero - intact),
            strict=True,
        ):
            found[name].append(value)
    return found


@pytest.mark.parametrize("share", [1.0, 0.8], ids=["all", "massive activations left out"])
def test_every_column_is_what_hugging_faces_own_hooks_give(case, share):
    model, theirs, rows = case
    limit = float(np.quantile(np.linalg.norm(rows, axis=1), share)) if share < 1 else np.inf
    dictionary, tokens = replace(random_dictionary(rows, 80, k=5, hook=HOOK), limit=limit), sequences(7, 10)
    seen, wanted = columns(dictionary_scores(model, dictionary, tokens)), by_hand(theirs, dictionary, tokens)
    for name in COLUMNS:
        np.testing.assert_allclose(seen[name], wanted[name], rtol=1e-3, atol=3e-4, err_msg=name)
    assert seen["KL"].min() > 0.05, "the reconstruction is bad enough to be seen"


def test_losses_are_those_of_transformer_lens_with_its_own_hooks(gpt2):
    dictionary = random_dictionary(activations_at(gpt2, sequences(40, 12, seed=9), HOOK), 80, k=5, hook=HOOK)
    tokens = sequences(6, 10)

    def splice(old, hook):
        made = dictionary.decode(dictionary.encode(old))
        made[:, 0] = old[:, 0]
        return made

    with torch.no_grad():
        logits = gpt2.run_with_hooks(tokens, fwd_hooks=[(HOOK, splice)])
    theirs = torch.nn.functional.cross_entropy(logits[:, 1:-1].transpose(1, 2), tokens[:, 2:], reduction="none")
    np.testing.assert_allclose(
        columns(dictionary_scores(gpt2, dictionary, tokens))["loss reconstructed"], theirs.mean(1), atol=1e-4
    )


def test_what_reconstructs_perfectly_loses_nothing_and_recovers_all(case):
    model, _, rows = case
    seen = columns(dictionary_scores(model, principal_components(rows, 32, HOOK), sequences(5, 10)))
    np.testing.assert_allclose(seen["squared error"], 0, atol=1e-6)
    np.testing.assert_allclose(seen["loss reconstructed"], seen["loss"], atol=1e-4)
    np.testing.assert_allclose(seen["KL"], 0, atol=1e-4)
    np.testing.assert_allclose(seen["recovered"], seen["to recover"], atol=1e-4)
    assert (seen["L0"] > 31).all()


def test_what_says_the_mean_everywhere_recovers_nothing(case):
    model, _, rows = case
    mean = torch.from_numpy(rows.mean(0))
    flat = Dictionary("the mean", lambda x: torch.ones(*x.shape[:-1], 1), torch.zeros(1, 32), mean, HOOK, mean)
    seen = columns(dictionary_scores(model, flat, sequences(5, 10)))
    np.testing.assert_allclose(seen["recovered"], 0, atol=1e-4)
    np.testing.assert_allclose(seen["squared error"], seen["squared deviation"], rtol=1e-4)


def test_sequences_do_not_hang_on_those_beside_them_and_are_named_in_order(case):
    model, _, rows = case
    dictionary, tokens = random_dictionary(rows, 80, 5, hook=HOOK), sequences(230, 10)
    whole = dictionary_scores(model, dictionary, tokens)
    alone = dictionary_scores(model, dictionary, tokens[219:220], names=("the one",))
    np.testing.assert_allclose(whole.values[219:220], alone.values, atol=2e-4)
    assert whole.units[219] == "sequence 219" and alone.units == ("the one",) and whole.unit == "sequence"
    assert sorted(whole.sorted_by) == list(whole.sorted_by), "ten thousand sequences stay in their order"


def test_prompts_give_the_rows_of_their_tokens_with_their_clusters(case):
    model, _, rows = case
    dictionary, ids = random_dictionary(rows, 80, 5, hook=HOOK), sequences(6, 9)
    prompts = PromptSet(
        "texts", "discovery",
        tuple(Prompt(" ".join(WORDS[one] for one in row[1:]), "w5", cluster=f"c{n % 2}") for n, row in enumerate(ids)),
    )  # fmt: skip
    measured = dictionary_scores_on_prompts(model, dictionary, prompts)
    np.testing.assert_allclose(measured.values, dictionary_scores(model, dictionary, ids).values, atol=2e-4)
    assert measured.clusters == ("c0", "c1") * 3 and measured.units == tuple(row.fingerprint for row in prompts)


def test_activations_are_hugging_faces_without_bos(case):
    model, theirs, _ = case
    tokens = sequences(3, 6)
    np.testing.assert_allclose(
        activations_at(model, tokens, HOOK), stream(theirs, tokens)[:, 1:].flatten(0, 1), atol=1e-4
    )
    assert (tokens[:, 0] == BOS_ID).all()


def fitted(model, **other) -> Dictionary:
    rows = activations_at(model, sequences(40, 12, seed=9), HOOK)
    made = random_dictionary(rows, 80, 5, hook=HOOK)
    return Dictionary(**{**vars(made), "name": "it", **other})


REFUSED = {
    "another hook": ({"hook": "blocks.1.hook_resid_post"}, HOOK, OtherActivation, "it is of blocks.1.hook_resid_post"),
    "no hook": ({"hook": ""}, "", ValueError, "it does not say of which activation it is: name"),
    "a hook that there is not": ({"hook": "blocks.7.hook_resid_post"}, "", NoSuchHook, "has no activation"),
    "another width": ({"directions": torch.zeros(4, 16)}, "", OtherActivation, "it is 16 wide, and blocks.0.hook"),
    "another model": ({"card": {"model": "gpt2"}}, "", OtherActivation, "it is of gpt2, not of .*: load one of"),
    "a key of another": (
        {"card": {"model": "mini-0", "model_key": "ab"}}, "", OtherActivation, r"it is of mini-0 \(ab\), not of",
    ),
    "no mean": ({"mean": None}, "", ValueError, "it has no mean on record: give the"),
    "nothing active": (
        {"encode": lambda x: torch.zeros(*x.shape[:-1], 80)}, "", DeadDictionary, "no feature of it is active on",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "hook", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_a_dictionary_of_something_else_is_refused_in_one_line(gpt2, changed, hook, error, said):
    with pytest.raises(error, match=said) as raised:
        dictionary_scores(gpt2, fitted(gpt2, **changed), sequences(2, 8), hook)
    assert "\n" not in str(raised.value)


def test_an_activation_of_other_entries_than_the_stream_is_refused_where_it_meets_the_dictionary(gpt2):
    with pytest.raises(ValueError, match=r"it is for activations 32 wide, and these are 128: take a dictionary"):
        dictionary_scores(gpt2, fitted(gpt2, hook=""), sequences(2, 8), "blocks.0.mlp.hook_pre")


def test_sequences_that_predict_nothing_are_refused(gpt2):
    with pytest.raises(ValueError, match=r"sequences of 2 tokens, BOS included: no token is predicted"):
        dictionary_scores(gpt2, fitted(gpt2), sequences(2, 2))
