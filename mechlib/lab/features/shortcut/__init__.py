"""The shortcut: a classifier that goes by gender where it should go by cues, and what taking gender out repairs."""
