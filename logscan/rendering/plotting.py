"""Imports matplotlib safely: it would follow a ``matplotlibrc`` that lies in the current folder, whosever that is."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path


@functools.cache
def ready() -> None:
    """Import matplotlib from a folder that is the program's own; settings of the user's home still count."""
    try:
        before = os.open(".", os.O_RDONLY)
    except OSError:  # a folder that is gone holds no settings either
        import matplotlib as _without

        del _without
        return
    try:
        os.chdir(Path(__file__).parent)
        import matplotlib as _within

        del _within
    finally:
        with contextlib.suppress(OSError):
            os.fchdir(before)
        os.close(before)
