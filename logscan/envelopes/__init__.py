"""Envelopes: what a transport wrapped around a line, and the lines that belong together."""
