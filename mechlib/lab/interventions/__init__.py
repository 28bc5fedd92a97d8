"""Interventions: a model with places changed, sweeps over many such changes, and what they are replaced by."""
