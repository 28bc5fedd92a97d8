"""Features: sparse autoencoders over SAELens, their frozen twins and baselines, and what acting on a feature does."""
