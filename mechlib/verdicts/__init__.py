"""Verdicts as records, the register of bounds, the record of a judged claim. Imports nothing of the house."""
