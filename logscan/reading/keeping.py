"""Keeps what can be read only once (a pipe, the journal, an address) on disk, since it is looked into before it is read."""

from __future__ import annotations

import os
import tempfile

from logscan.sources.opening import Opener, OpenError
from logscan.sources.pinned import Pinned
from logscan.sources.source import MOST_NULS, Source, why

PASSING = ("stream", "journal", "remote")
"""Kinds of openers that may give something else the second time, or nothing."""


def keep(source: Source) -> None:
    """Let a source that passes be read from a file without a name, which goes with its last reader."""
    if source.opener.kind in PASSING:
        source.opener = _kept(source.opener, source.kind)


def _kept(opener: Opener, kind: str) -> Opener:
    broken, nuls = "", 0
    with tempfile.TemporaryFile(prefix="logscan-") as file:
        try:
            for piece in opener.pieces(1 << 20):
                file.write(piece)
                nuls = nuls + len(piece) if not piece.strip(b"\0") else 0
                if nuls > MOST_NULS:  # /dev/zero has no end; what is read of it is bounded when it is read
                    break
            file.flush()
        except OpenError as error:
            broken = str(error)
        except OSError as error:
            broken = why(error)
        held = Pinned(opener.path, os.dup(file.fileno()))
    return Opener("kept", opener.path, held.size, opener.mtime, pinned=held, part=(0, held.size), broken=broken)
