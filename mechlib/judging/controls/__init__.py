"""Claims about a part, asked again with the part exchanged: which sets, by whom, and what it comes to."""
