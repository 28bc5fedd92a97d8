"""Models: loaded and checked, their tokens, their twins, the weights of planted ones."""

from mechlib.lab.models.loading import describe, load

__all__ = ["describe", "load"]
