"""What a claim chooses, read off its source: what it may not do (refused) and what it names by hand (shown)."""
