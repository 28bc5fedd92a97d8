"""The plain forward pass: a network of each family as tensors, run, kept, recorded, and its linear maps."""
