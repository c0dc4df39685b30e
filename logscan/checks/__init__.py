"""The checks: one a file, each a documentation page, one metadata constant ``CHECK`` and its functions."""
