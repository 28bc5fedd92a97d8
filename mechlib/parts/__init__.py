"""Parts of a network: heads, circuits as graphs, and random ones of equal size."""
