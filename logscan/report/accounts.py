"""What became of each recipient: delivered here or outside, deferred, bounced, expired, held, discarded, refused.

The counts of the headline, of the map and of the lists are all made from these rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.correlate.facts import AGENT, COMMAND
from logscan.correlate.outcomes import THROWN
from logscan.report.tallies import of
from logscan.scan.lives import entry_of
from logscan.scan.memo import per_window

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
    mails, deliveries, entries = scan.mails, scan.deliveries, scan.entries
    outcome = deliveries["outcome"]
    counted = deliveries["last"].to_numpy() & (deliveries["mail"].to_numpy() >= 0)
    code = np.append(_codes(outcome.cat.categories), -1)[outcome.cat.codes.to_numpy()]
    rows = np.flatnonzero(counted & (code >= 0))
    kind = code[rows]
    mail = deliveries["mail"].to_numpy()[rows]
    of_kind = kind.copy()
    outside = deliveries["outside"].to_numpy()[rows]
    kind = np.where((kind == 0) & outside, ENDS.index("outside"), kind)
    local = np.flatnonzero((kind == 0) & (deliveries["program"] == "local").to_numpy()[rows])
    kind[local[of(deliveries["reply"].iloc[rows[local]]).having(no_mailbox)]] = ENDS.index("program")
    piped = (kind == 0) & (deliveries["program"] == "pipe").to_numpy()[rows]
    kind[piped & deliveries["mailbox"].isna().to_numpy()[rows]] = ENDS.index("program")
    parts = [_ends(deliveries["entry"].to_numpy()[rows], kind, np.ones(len(rows), np.int64), mail, told=True)]
    parts[0].via = _kept_back(deliveries[["status", "outcome", "program", "store_action", "relay"]].iloc[rows])
    # What no delivery line tells: on hold since it came, thrown away by a rule, expired by postsuper.
    for name in OUTCOMES[1:]:
        told = np.bincount(mail[of_kind == ENDS.index(name)], minlength=len(mails))
        parts.append(_untold(scan, name, mails[name].to_numpy() - told))
    parts += _open(scan, parts)
    assert len(entries) or not len(rows)
    entry, kind, weight, mail, via = (
        np.concatenate([getattr(part, name) for part in parts]).astype(np.int64) for name in FIELDS
    )
    return Ends(entry, kind, weight, mail, via, np.concatenate([part.told for part in parts]))


FIELDS = ("entry", "kind", "weight", "mail", "via")


def _ends(entry: Ints, kind: Ints, weight: Ints, mail: Ints, *, told: bool = False) -> Ends:
    return Ends(entry, kind, weight, mail, np.full(len(entry), -1), np.full(len(entry), told))


def _kept_back(some: pd.DataFrame) -> Ints:
    """Return the code of the filter's relay where a filter took the mail and kept it or threw it away, else -1."""
    out = np.full(len(some), -1, np.int64)
    gone = (some["status"] == "sent").to_numpy() & of(some["outcome"]).is_in("held", "discarded")
    rows = np.flatnonzero(gone & of(some["program"]).is_in("smtp", "lmtp"))
    # What a mailbox's script threw away had arrived at the mailbox server.
    rows = rows[~of(some["store_action"].iloc[rows]).having(bool)]
    out[rows] = some["relay"].cat.codes.to_numpy()[rows]
    return out


def _untold(scan: Window, name: str, left: Ints) -> Ends:
    """Return ends for the recipients of whom no attempt is told, ``left`` of each mail: in the entries where they are."""
    entries, mails = scan.entries, scan.mails
    end, endings = WITHOUT_ATTEMPT.get(name, (name, ()))
    untried = entries["untried"].to_numpy()
    mail = entries["mail"].to_numpy()
    here = np.flatnonzero((untried > 0) & (mail >= 0) & of(entries["ending"]).is_in(*endings))
    known = np.bincount(mail[here], untried[here], minlength=len(mails)).astype(np.int64)
    here = here[(known == left)[mail[here]]]
    rest = np.flatnonzero((left > 0) & (known != left))
    entry = np.concatenate([here, mails["entry"].to_numpy()[rest]])
    weight = np.concatenate([untried[here], left[rest]])
    return _ends(entry, np.full(len(entry), ENDS.index(end)), weight, np.concatenate([mail[here], rest]))


def no_mailbox(reply: str) -> bool:
    """Return whether local(8) handed the mail to a program or a file, and that is no way into a mailbox."""
    if reply.startswith("delivered to file: "):
        return reply.startswith("delivered to file: /dev/")
    return reply.startswith(COMMAND) and not re.search(AGENT, reply)


def _codes(names: pd.Index) -> Ints:
    return np.array([ENDS.index(name) if name in OUTCOMES else -1 for name in names], np.int64)


def _open(scan: Window, known: list[Ends]) -> list[Ends]:
    """Return what was handed on and never came back, and mails of which the log tells no end at all."""
    mails, deliveries = scan.mails, scan.deliveries
    entry, mail = deliveries["entry"].to_numpy(), deliveries["mail"].to_numpy()
    has_child = np.zeros(len(scan.entries) + 1, np.bool_)
    has_child[scan.legs.loc[scan.legs["kind"] != "bounce", "parent"].to_numpy()] = True
    handed = (deliveries["outcome"] == "handed-on").to_numpy() & deliveries["last"].to_numpy() & (mail >= 0)
    rows = np.flatnonzero(handed & ~has_child[entry])
    relay = deliveries["relay"].cat.codes.to_numpy().astype(np.int64)[rows]
    kind = np.full(len(rows), ENDS.index("open"))
    lost = Ends(entry[rows], kind, np.ones(len(rows), np.int64), mail[rows], relay, np.ones(len(rows), np.bool_))
    told = np.zeros(len(mails), np.bool_)
    for part in (*known, lost):
        told[part.mail] = True
    rest = np.flatnonzero(~told)
    first = mails["entry"].to_numpy()[rest]
    expected = scan.entries["nrcpt"].iloc[first].fillna(1).to_numpy(dtype=np.int64)
    kind = np.full(len(rest), ENDS.index("open"))
    return [lost, _ends(first, kind, np.maximum(expected, 1), rest)]


@per_window
def refusals(scan: Window) -> pd.DataFrame:
    """Return one row a recipient refused before the queue; ``entry`` is the life whose ID the line names, -1 for none.

    A milter's refusal at the end of a message may be logged twice: of one mail, each recipient counts once.
    """
    rejects = scan.events("rejects")
    refused = of(rejects["action"]).is_in(*REFUSING)
    rows = rejects[refused & ((rejects["stage"] == "RCPT").to_numpy() | rejects["recipient"].notna().to_numpy())]
    rows = rows.assign(entry=entry_of(scan, rows))
    at_end = (rows["entry"] >= 0) & (rows["stage"] != "RCPT")
    again = rows[at_end].duplicated(["entry", "recipient"])
    return rows.drop(index=again.index[again])


@per_window
def refused_rows(scan: Window) -> Ints:
    """Return the rows of the table of rejects that :func:`refusals` has."""
    rows: Ints = refusals(scan).index.to_numpy(dtype=np.int64)
    return rows
