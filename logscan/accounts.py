"""What became of each recipient: delivered here or outside, deferred, bounced, expired, held, discarded, refused.

The counts of the headline, of the map and of the lists are all made from these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from logscan.scan import Scan

Ints = npt.NDArray[np.int64]

ENDS = ("delivered", "outside", "deferred", "bounced", "expired", "held", "discarded", "open")
"""How a recipient's way may end. ``delivered`` is in a mailbox here, ``open`` where the log doesn't tell."""

OUTCOMES = ("delivered", "deferred", "bounced", "expired", "held", "discarded")
"""The columns of ``mails`` that add up to its recipients."""

REFUSING = ("reject", "milter-reject", "proxy-reject")


@dataclass
class Ends:
    """One row an end: the entry where it is, how it ended, how many recipients, of which mail.

    ``via`` is the code of the relay it was handed to, where it didn't come back from there, else -1.
    """

    entry: Ints
    kind: Ints
    weight: Ints
    mail: Ints
    via: Ints


def ends(scan: Scan) -> Ends:
    """Return all ends of mails. Those of :data:`OUTCOMES` add up to the counts in ``scan.mails``, mail by mail."""
    mails, deliveries, entries = scan.mails, scan.deliveries, scan.entries
    outcome = deliveries["outcome"]
    counted = deliveries["last"].to_numpy() & (deliveries["mail"].to_numpy() >= 0)
    code = np.append(_codes(outcome.cat.categories), -1)[outcome.cat.codes.to_numpy()]
    rows = np.flatnonzero(counted & (code >= 0))
    kind = code[rows]
    mail = deliveries["mail"].to_numpy()[rows]
    of_kind = kind.copy()
    kind = np.where((kind == 0) & deliveries["outside"].to_numpy()[rows], ENDS.index("outside"), kind)
    parts = [
        Ends(deliveries["entry"].to_numpy()[rows], kind, np.ones(len(rows), np.int64), mail, np.full(len(rows), -1))
    ]
    # What no delivery line tells: on hold since it came, thrown away by a rule, expired by postsuper.
    for name in OUTCOMES[1:]:
        at = ENDS.index(name)
        left = mails[name].to_numpy() - np.bincount(mail[of_kind == at], minlength=len(mails))
        some = np.flatnonzero(left > 0)
        parts.append(
            Ends(mails["entry"].to_numpy()[some], np.full(len(some), at), left[some], some, np.full(len(some), -1))
        )
    parts += _open(scan, parts)
    assert len(entries) or not len(rows)
    return Ends(*(np.concatenate([getattr(part, name) for part in parts]).astype(np.int64) for name in FIELDS))


FIELDS = ("entry", "kind", "weight", "mail", "via")


def _codes(names: pd.Index) -> Ints:
    return np.array([ENDS.index(name) if name in OUTCOMES else -1 for name in names], np.int64)


def _open(scan: Scan, known: list[Ends]) -> list[Ends]:
    """Return what was handed on and never came back, and mails of which the log tells no end at all."""
    mails, deliveries = scan.mails, scan.deliveries
    entry, mail = deliveries["entry"].to_numpy(), deliveries["mail"].to_numpy()
    has_child = np.zeros(len(scan.entries) + 1, np.bool_)
    has_child[scan.legs.loc[scan.legs["kind"] != "bounce", "parent"].to_numpy()] = True
    handed = (deliveries["outcome"] == "handed-on").to_numpy() & deliveries["last"].to_numpy() & (mail >= 0)
    rows = np.flatnonzero(handed & ~has_child[entry])
    relay = deliveries["relay"].cat.codes.to_numpy().astype(np.int64)[rows]
    kind = np.full(len(rows), ENDS.index("open"))
    lost = Ends(entry[rows], kind, np.ones(len(rows), np.int64), mail[rows], relay)
    told = np.zeros(len(mails), np.bool_)
    for part in (*known, lost):
        told[part.mail] = True
    rest = np.flatnonzero(~told)
    first = mails["entry"].to_numpy()[rest]
    expected = scan.entries["nrcpt"].iloc[first].fillna(1).to_numpy(dtype=np.int64)
    kind = np.full(len(rest), ENDS.index("open"))
    return [lost, Ends(first, kind, np.maximum(expected, 1), rest, np.full(len(rest), -1))]


def refusals(scan: Scan) -> pd.DataFrame:
    """Return one row a recipient refused before the queue.

    A milter's refusal at the end of a message may be logged twice: of one mail, each recipient counts once.
    """
    rejects = scan.events("rejects")
    refused = rejects["action"].isin(REFUSING)
    rows = rejects[refused & ((rejects["stage"] == "RCPT") | rejects["recipient"].notna())]
    at_end = rows["queue_id"].notna() & (rows["queue_id"] != "NOQUEUE") & (rows["stage"] != "RCPT")
    again = rows[at_end].duplicated(["host", "queue_id", "recipient"])
    return rows.drop(index=again.index[again])


def refused_rows(scan: Scan) -> Ints:
    """Return the rows of the table of rejects that :func:`refusals` has."""
    rows: Ints = refusals(scan).index.to_numpy(dtype=np.int64)
    return rows
