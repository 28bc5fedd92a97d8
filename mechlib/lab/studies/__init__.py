"""Studies: instruments that one topic needs, built from the others."""
