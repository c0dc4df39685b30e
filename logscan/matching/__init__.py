"""Runs grammars over many lines at once."""
