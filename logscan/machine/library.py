"""Loads the compiled library, and says why where there is none."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from logscan.machine import compiling

STALE = "the compiled part is of other sources: compile it anew by `python logscan/machine/compiling.py`"


def load(folder: Path) -> tuple[ctypes.CDLL | None, str]:
    """Return the library in a folder, or why there is none; it has to be of the sources that lie beside this module."""
    if os.environ.get(compiling.PURE) == "1":
        return None, f"{compiling.PURE}=1 asks for it"
    if sys.byteorder != "little":
        return None, "this machine isn't little-endian"
    path = folder / compiling.NAME
    if not path.exists():
        return None, _said(folder / compiling.REASON)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return None, f"the compiled part can't be loaded: {error}"
    try:
        told = library.logscan_sources
    except AttributeError:
        return None, STALE
    told.restype, told.argtypes = ctypes.c_uint64, []
    expected = compiling.digest()
    return (library, "") if expected in (0, told()) else (None, STALE)


def _said(reason: Path) -> str:
    """Return what the build said of why it made no library."""
    try:
        said = reason.read_text("utf-8", "replace").strip()
    except OSError:
        said = ""
    return said[:500] or "it was installed without it"


LIBRARY, WHY_NOT = load(Path(__file__).parent)
"""The library, or None with the reason."""

SEED = int.from_bytes(os.urandom(8), "little")
"""Of hashes: whoever writes lines can't choose texts that fall together. No result depends on it."""
