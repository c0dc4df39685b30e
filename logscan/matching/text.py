"""The bytes of a chunk, and pieces of it as Arrow arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


class Text:
    """The bytes of a chunk, also as an array; ``end`` is how many there are."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.data: npt.NDArray[np.uint8] = np.frombuffer(chunk, np.uint8)
        self.end = len(chunk)

    def slices(self, starts: Ints, ends: Ints) -> pa.Array:
        """Return the bytes from ``starts`` to ``ends`` (both rising) as a binary array; null where a start is below 0."""
        size = len(starts)
        offsets = np.empty(2 * size + 1, np.int32)
        offsets[:-1:2], offsets[1::2] = starts, ends
        offsets[-1] = self.end
        missing = starts < 0
        some = bool(missing.any())
        if some:
            offsets[:-1:2][missing] = offsets[1::2][missing] = 0
            np.maximum.accumulate(offsets, out=offsets)
        # Values and the gaps between them are one array over the text; every other one is a value.
        whole = pa.Array.from_buffers(pa.binary(), 2 * size, [None, pa.py_buffer(offsets), pa.py_buffer(self.data)])
        index = pa.array(np.arange(0, 2 * size, 2, dtype=np.int32), mask=missing if some else None)
        return whole.take(index)
