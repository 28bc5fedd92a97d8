"""Training sparse autoencoders: recipes, SAELens, frozen twins, checkpoints, and what is stored."""
