"""A checkpoint in words and sizes: its card, what it takes of memory, how many tokens a text is."""
