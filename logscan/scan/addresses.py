"""The addresses of a window's deliveries as codes, so that looks compare numbers: whom each was for, and was for at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import factorise
from logscan.scan.memo import per_window
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]


class Addresses(NamedTuple):
    """Codes by delivery (int64, -1 where there is none), all of one set of texts."""

    words: pa.Array
    """The texts by code."""
    raw: Ints
    """The recipient as it is written."""
    recipient: Ints
    """The recipient in lower case."""
    asked: Ints
    """The address before aliases, else the recipient, in lower case."""
    mailbox: Ints


@per_window
def addresses(window: Window) -> Addresses:
    """Return the addresses of the deliveries."""
    columns = [texts.arrow(window.deliveries[name]) for name in ("recipient", "original_recipient", "mailbox")]
    (raw, original, mailbox), written = factorise(columns)
    (as_written, lower), words = factorise([written, pc.utf8_lower(written)])
    lower, as_written = np.append(lower, -1), np.append(as_written, -1)
    asked = np.where(original >= 0, original, raw)
    return Addresses(words, as_written[raw], lower[raw], lower[asked], as_written[mailbox])
