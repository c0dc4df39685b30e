"""What replies of mailbox servers and of next hops say, read off their bytes: replies are long, and nearly all differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, extracted, matched
from logscan.tables.slices import Bytes, between, last_of, raw

SAVED = r"^250 2\.\d\.\d <[^ ]*> (?P<s>\S+) Saved$"
"""Dovecot's reply to a mail that it took, with its session (src/lmtp/lmtp-local.c)."""

TAKEN = r"^250 2\.\d\.\d <.*> \S+ Saved$"
"""The same, for whatever address."""

HEAD = "250 2.#.# <"
"""What such a reply begins with, # a digit."""

END = " Saved"

DELIVERED = r"^delivered to (?:mailbox|maildir|file)"
"""Replies of local and virtual."""

SHORTEST = 6
"""Characters of the shortest queue ID."""


@dataclass
class Saved:
    """By reply: whether a mailbox server took the mail, and the session that it names (missing where it names none)."""

    taken: Bools
    session: pa.Array


def saved(reply: pa.Array) -> Saved:
    """Find :data:`TAKEN` and :data:`SAVED` in replies."""
    rows = np.flatnonzero(pc.fill_null(pc.ends_with(reply, END), False).to_numpy(zero_copy_only=False))
    taken = np.zeros(len(reply), np.bool_)
    if not len(rows):
        return Saved(taken, pa.nulls(len(reply), pa.string()))
    data, places = raw(reply)
    mine = data[places[0] : places[-1]]
    if (mine - 9 <= 4).any():
        # Blanks other than spaces: what one of those means is left to the expressions.
        return Saved(matched(reply, TAKEN, ends=END), extracted(reply, SAVED, END))
    spaces = np.flatnonzero(mine == ord(" ")) + places[0]
    begin, end = places[rows], places[rows + 1] - len(END)
    at = np.searchsorted(spaces, end) - 1
    space, before = spaces[at], spaces[np.maximum(at - 1, 0)]
    # From "<" on at least ">", a space, and a session of one character.
    good = (space >= begin + len(HEAD) + 1) & (space + 1 < end) & _stands(data, begin, HEAD)
    good &= data[np.maximum(space - 1, 0)] == ord(">")
    taken[rows] = good
    session = np.full(len(reply), -1, np.int64)
    named = good & (before == begin + len(HEAD) - 2)
    session[rows[named]] = space[named] + 1
    return Saved(taken, between(reply, session, places[1:] - len(END)))


def _stands(data: Bytes, begin: Ints, shape: str) -> Bools:
    """Return where in the bytes, from each place on, ``shape`` stands, # a digit."""
    out = begin + len(shape) <= len(data)
    for step, sign in enumerate(shape):
        found = data[np.minimum(begin + step, len(data) - 1)]
        out &= (found - ord("0") <= 9) if sign == "#" else (found == ord(sign))
    return out


def stored(reply: pa.Array, taken: Bools) -> Bools:
    """Return which replies say that the mail lies in a mailbox, so that nothing comes back of it."""
    return taken | matched(reply, DELIVERED, starts="delivered to ")


def queued_as(reply: pa.Array) -> pa.Array:
    """Return the queue ID that each reply ends with, missing for none: `queued as 4ABC12`, perhaps with a parenthesis."""
    word = "queued as "
    at = last_of(reply, word)
    rows = np.flatnonzero(at >= 0)
    if not len(rows):
        return pa.nulls(len(reply), pa.string())
    data, places = raw(reply)
    end = places[1:].copy()
    end[rows] -= data[np.maximum(end[rows] - 1, 0)] == ord(")")
    begin = np.where(at >= 0, at + len(word), -1)
    begin[rows[end[rows] - begin[rows] < SHORTEST]] = -1
    said = between(reply, begin, end)
    return pc.if_else(pc.fill_null(pc.ascii_is_alnum(said), False), said, pa.scalar(None, pa.string()))
