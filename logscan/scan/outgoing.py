"""Mail of this server's own people and programs that left for outside, by the domain of its sender and the way it came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.scan.columns import joined, some_joined, values
from logscan.scan.memo import per_window
from logscan.scan.own_domains import domains
from logscan.scan.submitted import INSIDE
from logscan.tables.coded import Coded
from logscan.tables.partials import Ints

if TYPE_CHECKING:
    from logscan.scan.window import Window

MADE = r"(?i)^srs[01][=+-]|[-+]bounces?[-+@=]|^bounces?[-+@=]|^owner-|-owner@|-request@"
"""Senders that a list or a forwarder made: the author is somebody else, so the mail isn't its own domain's."""


class Outgoing(NamedTuple):
    """One row a mail, with a sender, that somebody outside took."""

    mail: Ints
    root: Ints
    """The entry it came in by."""
    domain: Coded
    """Of the sender, lower case."""
    way: Coded
    """The tag of the service it came in by: ``postfix/submission/smtpd``, ``postfix/pickup``."""


@per_window
def outgoing(window: Window) -> Outgoing:
    """Return the mails with an origin inside that were delivered outside."""
    left = values(window, "deliveries", "final") & values(window, "deliveries", "outside")
    out = np.zeros(len(window.mails) + 1, np.bool_)
    out[values(window, "deliveries", "mail")[left]] = True
    mail = np.flatnonzero(out[:-1] & joined(window, "mails", "origin").is_in(*INSIDE))
    sender = some_joined(window, "mails", "sender", mail)
    own = (sender.codes >= 0) & sender.matching(authors)
    mail, sender = mail[own], sender.take(own)
    root = values(window, "mails", "entry")[mail]
    return Outgoing(mail, root, sender.made(domains), ways(window, root))


def authors(words: pa.Array) -> pa.Array:
    """Return which senders are addresses of who wrote the mail, not of a list or a forwarder."""
    return pc.and_(pc.match_substring(words, "@"), pc.invert(pc.match_substring_regex(words, MADE)))


def ways(window: Window, entry: Ints) -> Coded:
    """Return the tag of the service that each of some entries came in by; missing where no line tells it."""
    service, program = (joined(window, "entries", name) for name in ("service", "program"))
    size = len(program.words) + 1
    used, code = np.unique((service.codes[entry] + 1) * size + program.codes[entry] + 1, return_inverse=True)
    first, second = ([None, *each.values] for each in (service, program))
    names = [(first[at // size], second[at % size]) for at in used.tolist()]
    told = [f"{left}/{right}" if left and right else None for left, right in names]
    return Coded(code.astype(np.int64), told).changed(lambda name: name)
