"""Commands that read and measure nothing: `audit`, `compare` and `history` the record, `export` the prompts."""
