"""Sends objects to another process and gets them from one: what is large goes through shared memory, not through the pipe.

A window has 30 MB: through a socket that is hundreds of system calls and two copies on either side. Here the sender copies
once, into memory without a name (memfd_create(2)) whose descriptor goes through the pipe; the receiver's arrays lie in that
very memory, and it is gone when they are. Where a system has none of this, everything goes through the pipe.
"""

from __future__ import annotations

import mmap
import os
import pickle
import sys
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

LARGE = 1 << 18
"""Bytes from which shared memory pays for itself."""

ALIGNED = 64
"""Bytes that arrays' beginnings are multiples of (Arrow's rule for buffers)."""

SHARED = sys.platform == "linux" and hasattr(os, "memfd_create")
"""Whether there is memory without a name here."""


def send(pipe: Connection, thing: Any) -> None:
    """Send an object; raises what pickle raises, and OSError where nobody is at the other end."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(thing, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append if SHARED else None)
    raw = [each.raw() for each in buffers]
    places, size = [], 0
    for each in raw:
        places.append((size, each.nbytes))
        size += -(-each.nbytes // ALIGNED) * ALIGNED
    memory = _filled(raw, places, size) if size >= LARGE else None
    if memory is None:
        pipe.send((head, [bytes(each) for each in raw]))
        return
    try:
        pipe.send((head, places))
        reduction.send_handle(pipe, memory, None)
    finally:
        os.close(memory)


def _filled(raw: list[memoryview], places: list[tuple[int, int]], size: int) -> int | None:
    """Return a descriptor of shared memory that holds these bytes; None where none can be had."""
    try:
        memory = os.memfd_create("logscan", os.MFD_CLOEXEC)
    except OSError:
        return None
    try:
        os.ftruncate(memory, size)
        for (start, length), each in zip(places, raw, strict=True):
            # Written, not mapped: the kernel takes whole pages without clearing them before, and without a fault for each.
            done = 0
            while done < length:
                done += os.pwrite(memory, each[done:], start + done)
    except OSError:
        os.close(memory)
        return None
    return memory


def receive(pipe: Connection) -> Any:
    """Get an object; raises EOFError or OSError where nobody is at the other end. Only from a process that logscan started."""
    head, buffers = pipe.recv()
    if buffers and isinstance(buffers[0], tuple):
        memory = reduction.recv_handle(pipe)
        try:
            # Its pages are entered in one go, not at the first touch of each.
            flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
            mapped = memoryview(mmap.mmap(memory, 0, flags))
        finally:
            os.close(memory)
        buffers = [mapped[start : start + length] for start, length in buffers]
    return pickle.loads(head, buffers=buffers)  # noqa: S301 (made by this program's own process)
