"""Loads the compiled library, and says why where there is none."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from logscan.machine.compiling import NAME

INTERFACE = 1
"""Number of the interface between Python and C; one built from other sources isn't used."""


def _loaded() -> tuple[ctypes.CDLL | None, str]:
    if os.environ.get("LOGSCAN_PURE") == "1":
        return None, "LOGSCAN_PURE=1 asks for it"
    if sys.byteorder != "little":
        return None, "this machine isn't little-endian"
    path = Path(__file__).with_name(NAME)
    if not path.exists():
        return None, "it was installed without the compiled part: no C compiler was at hand"
    try:
        library = ctypes.CDLL(str(path))
        number = library.logscan_interface
    except (OSError, AttributeError) as error:
        return None, f"the compiled part can't be loaded: {error}"
    number.restype, number.argtypes = ctypes.c_int, []
    if number() != INTERFACE:
        return None, "the compiled part is of another version of logscan"
    return library, ""


LIBRARY, WHY_NOT = _loaded()
"""The library, or None with the reason."""
