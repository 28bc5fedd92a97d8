"""Checkpoints: which models there are, where they lie, whether they are whole, what hashes to. Loads nothing."""

from mechlib.checkpoints.checkpoint import (
    DITHERED,
    MINIS,
    TWINS,
    Checkpoint,
    IncompleteModel,
    NotPublished,
    NotTheSameModel,
    UnknownModel,
    WeightsMissing,
    parent,
    published,
    twins,
)
from mechlib.checkpoints.described.memory import Memory, memory
from mechlib.checkpoints.dictionaries import dictionary
from mechlib.checkpoints.files import (
    config_hashes,
    file_hashes,
    is_here,
    problems,
    require_here,
    weight_files,
    weight_hash,
)
from mechlib.checkpoints.hub import HUB, Shape
from mechlib.checkpoints.packaged.table import PACKAGED
from mechlib.checkpoints.planted import RECIPE as PLANTED_RECIPE
from mechlib.checkpoints.planted import Plan, plan
from mechlib.checkpoints.resolve import (
    PLANTED,
    checkpoint,
    file_name,
    hub_cache,
    kind_of,
    packaged_cache,
    plan_of,
    repository,
)

__all__ = [
    "DITHERED", "HUB", "MINIS", "PACKAGED", "PLANTED", "PLANTED_RECIPE", "TWINS", "Checkpoint", "IncompleteModel",
    "Memory", "NotPublished", "NotTheSameModel", "Plan", "Shape", "UnknownModel", "WeightsMissing", "checkpoint",
    "config_hashes", "dictionary", "file_hashes", "file_name", "hub_cache", "is_here", "kind_of", "memory",
    "packaged_cache", "parent", "plan", "plan_of", "problems", "published", "repository", "require_here", "twins",
    "weight_files", "weight_hash",
]  # fmt: skip
