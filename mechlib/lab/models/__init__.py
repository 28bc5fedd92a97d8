"""Models: loaded and checked, their tokens, their twins, the weights of planted ones."""
