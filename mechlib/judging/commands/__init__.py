"""Commands: what `mechlib plan` and `mechlib verify` do, and what a mistyped name may have meant."""
