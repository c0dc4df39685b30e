"""Whose mailbox a delivery led to: whom Dovecot names, else the recipient without the extension of his address."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import numbered, take
from logscan.correlate.events import Coded
from logscan.correlate.frames import Words
from logscan.tables.slices import between, contains, last_of, raw
from logscan.tables.texts import literal


def mailboxes(recipient: Coded, owner: Coded, delimiter: str) -> Words:
    """Return the mailbox of each row: Dovecot's owner where known, else the recipient without extension, in lower case.

    ``delimiter`` holds the characters each of which begins an extension.
    """
    # Each pair there is, once: addresses are few, deliveries many.
    width = len(owner.words) + 1
    both, which = numbered((recipient.codes + 1) * width + owner.codes + 1)
    address = _bare(pc.utf8_lower(take(recipient.words, both // width - 1)), delimiter)
    user = pc.utf8_lower(take(owner.words, both % width - 1))
    local = pc.fill_null(pc.invert(pc.match_substring(user, "@")), False)
    if pc.any(local).as_py():
        user = pc.if_else(local, pc.binary_join_element_wise(user, pc.fill_null(domains(address), ""), "@"), user)
    found = pc.coalesce(user, address)
    at_end = pc.fill_null(pc.ends_with(found, "@"), False)
    return Words(pc.if_else(at_end, pc.utf8_slice_codeunits(found, 0, -1), found), which)


def _bare(address: pa.Array, delimiter: str) -> pa.Array:
    """Return addresses without extensions."""
    if not any(contains(address, each).any() for each in delimiter):
        return address
    # One of the delimiter's characters begins the extension, and only behind a local part.
    return pc.replace_substring_regex(address, f"^([^@]+?)[{literal(delimiter)}][^@]*(@.*)?$", r"\1\2")


def domains(addresses: pa.Array) -> pa.Array:
    """Return what stands behind each address' last at sign, missing where it has none."""
    at = last_of(addresses, "@")
    return between(addresses, np.where(at >= 0, at + 1, -1), raw(addresses)[1][1:])
