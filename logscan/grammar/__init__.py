"""The grammars of log lines: their atoms, and what is compiled from them."""
