"""Registering: what a claim says is committed before it is measured, and git's order shows that it was."""
