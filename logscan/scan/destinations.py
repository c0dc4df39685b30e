"""Where mail goes to: deliveries that arrived elsewhere, and the domain of a recipient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.scan.columns import some_joined, values
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]


@per_window
def left(window: Window) -> Ints:
    """Return the rows of deliveries that went to somebody outside and arrived there."""
    return np.flatnonzero(values(window, "deliveries", "final") & values(window, "deliveries", "outside"))


def domains(window: Window, rows: Ints) -> Coded:
    """Return the domain of the recipient of some deliveries, in lower case; an address without one is its own."""
    return some_joined(window, "deliveries", "recipient", rows).made(_domain)


def _domain(addresses: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.struct_field(pc.extract_regex(addresses, r"(?s)(?P<domain>[^@]*)$"), [0]))
