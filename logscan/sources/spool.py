"""Keeps standard input in a temporary file: evidence is read a second time."""

from __future__ import annotations

import tempfile
from typing import Any, BinaryIO

from logscan.envelopes.sniffing import sniff
from logscan.sources.source import HEAD, MOST_NULS
from logscan.sources.unpacking import compression


def spooled(stream: BinaryIO) -> Any:
    """Return a temporary file with what the stream gives; it goes when it is closed. What is no text is cut short."""
    spool = tempfile.NamedTemporaryFile(prefix="logscan-")  # noqa: SIM115 - closed with the scan that holds it
    head, kept = b"", 0
    while block := stream.read(1 << 20):
        spool.write(block)
        kept += len(block)
        if len(head) < HEAD:
            head += block.lstrip(b"\0") if not head else block
        # /dev/zero and /dev/urandom have no end.
        if not head and kept > MOST_NULS:
            break
        if len(head) >= HEAD and kept == len(block) and not compression(head) and sniff(head[:HEAD]) == "binary":
            break
    spool.flush()
    return spool
