"""Commands that read the record and measure nothing: `audit`, `compare`, `history`."""
