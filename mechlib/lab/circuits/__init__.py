"""Circuits: run with everything else replaced, scored, pruned, cut, laid out over a grid of choices."""
