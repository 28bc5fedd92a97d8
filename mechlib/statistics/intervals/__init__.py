"""Intervals: the sample that they speak of, their ends, resampling, shares, tails."""
