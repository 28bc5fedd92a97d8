"""Dictionaries of the record, by the name that evidence is filed under."""

from __future__ import annotations

from mechlib.checkpoints.dictionaries import NOT_MADE, WEIGHTS, cards, weights
from mechlib.lab.features.dictionaries import Dictionary
from mechlib.lab.features.loading import load_sae
from mechlib.lab.features.training.storing import sha256_of
from mechlib.lab.models.loading import Model, checkpoint_of


class NoDictionary(ValueError):
    """A dictionary that was never made, is not here, or is another one than is on record."""


def dictionary_of(model: Model, sae: str) -> Dictionary:
    """The dictionary of a model that `mechlib.checkpoints.dictionary` names: "after-2-seed-0 1a2b3c4d".

    Raises NoDictionary where there is none of this name, where its weights are not here, and where they are not those
    that the name says; OtherActivation for one that is not of these weights.
    """
    described = checkpoint_of(model)
    name, _, wanted = sae.partition(" ")
    folder = weights(described.name, name)
    if wanted == NOT_MADE:
        raise NoDictionary(f"{described.name} has no dictionary {name}: none was made")
    if not (folder / WEIGHTS).is_file():
        shipped = folder.parent == cards(described.name)
        cure = "take fixtures/ from the repository again" if shipped else "`make saes` makes it"
        raise NoDictionary(f"the weights of {name} of {described.name} are not here: {cure}")
    if (found := sha256_of(folder / WEIGHTS)[:8]) != wanted:
        raise NoDictionary(f"{name} of {described.name} is {found}, and {wanted} was asked for: make it again")
    return _loaded(model, name)


def _loaded(model: Model, name: str) -> Dictionary:
    return load_sae(weights(checkpoint_of(model).name, name), model, device=str(model.cfg.device))
