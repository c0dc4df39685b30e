"""Runs grammars over many lines at once: translates them to op programs, for the machine in C."""
