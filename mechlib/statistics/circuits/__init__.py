"""Statistics of circuits: faithfulness by size, hypotheses, stability, nulls, the grid of choices."""
