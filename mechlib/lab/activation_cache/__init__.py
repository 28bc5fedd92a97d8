"""Activations on disk: hook points of a model over texts, written as they are computed, mapped when they are read."""

from mechlib.lab.activation_cache.reading import ActivationCache, open_cache

__all__ = ["ActivationCache", "open_cache"]
