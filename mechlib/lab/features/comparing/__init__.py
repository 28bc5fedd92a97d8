"""Comparing dictionaries: baselines at equal L0, usual metrics side by side, what seeds share, planted features."""
