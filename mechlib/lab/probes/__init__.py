"""Probes, directions and subspaces of the residual stream: what can be read there, and what changing it does."""
