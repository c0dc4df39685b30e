"""What became of each recipient: delivered here or outside, deferred, bounced, expired, held, discarded, refused.

The counts of the headline, of the map and of the lists are all made from these rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from logscan.correlate.facts import AGENT, COMMAND
from logscan.correlate.outcomes import THROWN
from logscan.scan.columns import column, joined, some_joined, values
from logscan.scan.handed_on import gone
from logscan.scan.lives import entry_of
from logscan.scan.memo import per_window
from logscan.tables.grouping import combine, numbered

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ENDS = ("delivered", "program", "outside", "deferred", "untried", "bounced", "expired", "held", "discarded", "open")
"""How a recipient's way may end. ``delivered`` is in a mailbox here, ``program`` in a command or a file that is none,
``untried`` in the queue without any attempt (with ``deferred`` it is what ``mails`` counts as deferred), ``open`` where the
log doesn't tell."""

WITHOUT_ATTEMPT = {
    "deferred": ("untried", ("queued", "unseen")),
    "held": ("held", ("held",)),
    "discarded": ("discarded", THROWN),
}
"""How recipients of whom no attempt is told may end, by their column of ``mails``: as which end, in entries of which ending."""

OUTCOMES = ("delivered", "deferred", "bounced", "expired", "held", "discarded")
"""The columns of ``mails`` that add up to its recipients."""

REFUSING = ("reject", "milter-reject", "proxy-reject")


@dataclass
class Ends:
    """One row an end: the entry where it is, how it ended, how many recipients, of which mail.

    ``via`` is the code of the relay it was handed to, where it didn't come back from there, else -1. ``told`` are those
    that a delivery line tells of.
    """

    entry: Ints
    kind: Ints
    weight: Ints
    mail: Ints
    via: Ints
    told: Bools


@per_window
def ends(scan: Window) -> Ends:
    """Return all ends of mails. Those of :data:`OUTCOMES` add up to the counts in ``scan.mails``, mail by mail."""
    outcome, of_mail = joined(scan, "deliveries", "outcome"), values(scan, "deliveries", "mail")
    code = np.append(_codes(outcome.values), -1)[outcome.codes]
    rows = np.flatnonzero(values(scan, "deliveries", "last") & (of_mail >= 0) & (code >= 0))
    kind, mail = code[rows], of_mail[rows]
    of_kind = kind
    kind = np.where((kind == 0) & values(scan, "deliveries", "outside")[rows], ENDS.index("outside"), kind)
    program = joined(scan, "deliveries", "program").take(rows)
    local = np.flatnonzero((kind == 0) & program.is_in("local"))
    if len(local):
        reply = some_joined(scan, "deliveries", "reply", rows[local])
        kind[local[reply.having(no_mailbox)]] = ENDS.index("program")
    piped = np.flatnonzero((kind == 0) & program.is_in("pipe"))
    if len(piped):
        kind[piped[some_joined(scan, "deliveries", "mailbox", rows[piped]).codes < 0]] = ENDS.index("program")
    entry = values(scan, "deliveries", "entry")[rows]
    parts = [
        Ends(entry, kind, np.ones(len(rows), np.int64), mail, _kept_back(scan, rows), np.ones(len(rows), np.bool_))
    ]
    # What no delivery line tells: on hold since it came, thrown away by a rule, expired by postsuper.
    for name in OUTCOMES[1:]:
        told = np.bincount(mail[of_kind == ENDS.index(name)], minlength=len(scan.mails))
        left = values(scan, "mails", name) - told
        if name in WITHOUT_ATTEMPT or left.any():
            parts.append(_untold(scan, name, left))
    parts += _open(scan, parts)
    assert len(scan.entries) or not len(rows)
    filled = [part for part in parts if len(part.entry)] or parts[:1]
    return Ends(*(np.concatenate([getattr(part, name) for part in filled]) for name in (*FIELDS, "told")))


FIELDS = ("entry", "kind", "weight", "mail", "via")


def _ends(entry: Ints, kind: str, weight: Ints, mail: Ints) -> Ends:
    size = len(entry)
    code = np.full(size, ENDS.index(kind), np.int64)
    return Ends(entry, code, weight.astype(np.int64), mail, np.full(size, -1, np.int64), np.zeros(size, np.bool_))


def _kept_back(scan: Window, rows: Ints) -> Ints:
    """Return the code of the filter's relay where a filter took the mail and kept it or threw it away, else -1."""
    out = np.full(len(rows), -1, np.int64)
    gone = np.flatnonzero(joined(scan, "deliveries", "outcome").take(rows).is_in("held", "discarded"))
    some = rows[gone]
    taken = joined(scan, "deliveries", "status").take(some).is_in("sent")
    taken &= joined(scan, "deliveries", "program").take(some).is_in("smtp", "lmtp")
    # What a mailbox's script threw away had arrived at the mailbox server.
    taken &= ~joined(scan, "deliveries", "store_action").take(some).having(bool)
    out[gone[taken]] = joined(scan, "deliveries", "relay").codes[some[taken]]
    return out


def _untold(scan: Window, name: str, left: Ints) -> Ends:
    """Return ends for the recipients of whom no attempt is told, ``left`` of each mail: in the entries where they are."""
    end, endings = WITHOUT_ATTEMPT.get(name, (name, ()))
    untried, mail = values(scan, "entries", "untried"), values(scan, "entries", "mail")
    here = np.flatnonzero((untried > 0) & (mail >= 0) & joined(scan, "entries", "ending").is_in(*endings))
    known = np.zeros(len(left), np.int64)
    np.add.at(known, mail[here], untried[here])
    here = here[(known == left)[mail[here]]]
    rest = np.flatnonzero((left > 0) & (known != left))
    entry = np.concatenate([here, values(scan, "mails", "entry")[rest]])
    weight = np.concatenate([untried[here], left[rest]])
    return _ends(entry, end, weight, np.concatenate([mail[here], rest]))


def no_mailbox(reply: str) -> bool:
    """Return whether local(8) handed the mail to a program or a file, and that is no way into a mailbox."""
    if reply.startswith("delivered to file: "):
        return reply.startswith("delivered to file: /dev/")
    return reply.startswith(COMMAND) and not re.search(AGENT, reply)


def _codes(names: Iterable[str]) -> Ints:
    return np.array([ENDS.index(name) if name in OUTCOMES else -1 for name in names], np.int64)


def _open(scan: Window, known: list[Ends]) -> list[Ends]:
    """Return what was handed on and never came back, and mails of which the log tells no end at all."""
    entry, mail = values(scan, "deliveries", "entry"), values(scan, "deliveries", "mail")
    rows = gone(scan)
    lost = _ends(entry[rows], "open", np.ones(len(rows), np.int64), mail[rows])
    lost.via, lost.told = joined(scan, "deliveries", "relay").codes[rows], np.ones(len(rows), np.bool_)
    told = np.zeros(len(scan.mails), np.bool_)
    for part in (*known, lost):
        told[part.mail] = True
    rest = np.flatnonzero(~told)
    first = values(scan, "mails", "entry")[rest]
    return [lost, _ends(first, "open", np.maximum(values(scan, "entries", "nrcpt")[first], 1), rest)]


class Refusals(NamedTuple):
    """One row a recipient refused before the queue."""

    rows: Ints
    """Rows of the table of rejects."""
    entry: Ints
    """The life whose ID the line names, -1 for none."""


@per_window
def refusals(scan: Window) -> Refusals:
    """Return who was refused. A milter's refusal at the end of a message may be logged twice: each recipient counts once."""
    if not len(scan.tables["rejects"]):
        return Refusals(np.empty(0, np.int64), np.empty(0, np.int64))
    at_rcpt, recipient = column(scan, "rejects", "stage").is_in("RCPT"), column(scan, "rejects", "recipient").codes
    rows = np.flatnonzero(column(scan, "rejects", "action").is_in(*REFUSING) & (at_rcpt | (recipient >= 0)))
    entry = entry_of(scan, "rejects", rows)
    at_end = np.flatnonzero((entry >= 0) & ~at_rcpt[rows])
    if not len(at_end):
        return Refusals(rows, entry)
    kept = np.ones(len(rows), np.bool_)
    kept[at_end] = False
    kept[at_end[numbered(combine(entry[at_end], recipient[rows[at_end]]))[1]]] = True
    return Refusals(rows[kept], entry[kept])
