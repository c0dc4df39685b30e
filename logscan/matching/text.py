"""The bytes of a chunk, the places of characters in it, and pieces of it as Arrow arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

PAD = 256
"""Zero bytes behind the text: what is compared may reach beyond its end."""

SCANNED = 50
"""Bytes that are scanned for all places of a character in the time that one line's next one takes to find (measured)."""


class Text:
    """The bytes of a chunk and the places of characters in it."""

    def __init__(self, chunk: bytes) -> None:
        self.data: npt.NDArray[np.uint8] = np.frombuffer(chunk + bytes(PAD), np.uint8)
        size = len(self.data) - 7
        self.words: npt.NDArray[np.uint64] = np.ndarray((size,), "<u8", self.data, strides=(1,))
        """The eight bytes from each place on, as a number."""
        self.end = len(chunk)
        self._places: dict[bytes, Ints] = {}
        self._asked: dict[bytes, int] = {}

    def places(self, chars: bytes) -> Ints:
        """Return where any of ``chars`` stands, in ascending order, and at last the text's end."""
        found = self._places.get(chars)
        if found is None:
            text = self.data[: self.end]
            some = text == chars[0]
            for char in chars[1:]:
                some |= text == char
            found = self._places[chars] = np.append(np.flatnonzero(some), self.end)
        return found

    def pays(self, chars: bytes, lines: int) -> bool:
        """Whether to look for all places of ``chars``, now that so many more lines ask for the next one."""
        if chars in self._places:
            return True
        self._asked[chars] = self._asked.get(chars, 0) + lines
        return self._asked[chars] * SCANNED > self.end

    def next(self, chars: bytes, pos: Ints) -> Ints:
        """Return the first place from ``pos`` on of any of ``chars``, or the text's end."""
        places = self.places(chars)
        return places[np.searchsorted(places, pos)]

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
