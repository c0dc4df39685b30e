"""Tables: their columns, the values that they share, texts by code."""
