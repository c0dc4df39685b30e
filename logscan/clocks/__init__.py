"""Clocks: years and zones of stamps, from whatever source tells them."""
