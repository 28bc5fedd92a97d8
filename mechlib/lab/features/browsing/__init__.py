"""Browsing a dictionary: cards that say what a feature fires on and writes, and which features tell two sets apart."""
