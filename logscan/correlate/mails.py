"""Mails as their senders would count them: everything that hangs together by legs, and what became of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from logscan.correlate.codes import Bools, Ints
from logscan.correlate.outcomes import ENDS, PUT_OFF, THROWN, WAITING
from logscan.correlate.outcomes import outcome as outcome_code
from logscan.correlate.places import ORIGINS

DIRECTIONS = ("inbound", "outbound", "internal", "forwarded", "generated")


OPENED_BEFORE = "opened-before"
"""The direction of mails whose first line the log lacks: nobody knows who handed them in."""


def mails_of(
    entries: pd.DataFrame, deliveries: pd.DataFrame, root: Ints, left: Ints, own: Bools, meant: Bools
) -> pd.DataFrame:
    """Return one row per mail as its sender would count it.

    ``left`` are, per entry, recipients that no delivery row tells of (see :func:`outcomes.unattempted`); ``own``, per entry,
    whether a trusted host had it relayed; ``meant``, whether another line names a recipient of it outside.
    """
    size = len(entries)
    ending = entries["ending"]
    queued = entries["queued"].to_numpy()
    has_delivery = np.zeros(size + 1, np.bool_)
    has_delivery[deliveries["entry"].to_numpy()] = True
    outcome = deliveries["outcome"].cat.codes.to_numpy()
    probe = np.zeros(size + 1, np.bool_)
    probe[deliveries["entry"].to_numpy()[outcome == outcome_code("probe")]] = True
    taken = queued | has_delivery[:-1] | ending.isin(("held", "unseen", *THROWN)).to_numpy()
    real = np.zeros(size, np.bool_)
    np.logical_or.at(real, root, taken & ~probe[:-1])
    mail_entries = np.flatnonzero(real & (root == np.arange(size)))
    base = entries.iloc[mail_entries]
    number = np.full(size + 1, -1, np.int64)
    number[mail_entries] = np.arange(len(mail_entries))
    of_entry = number[root]
    of_delivery = np.append(of_entry, -1)[deliveries["entry"].to_numpy()]
    count = len(mail_entries)
    # Still on its way while any of its lives is in the queue.
    waiting = ending.isin((*WAITING, "held")).to_numpy()
    still_open = np.zeros(size, np.bool_)
    np.logical_or.at(still_open, root, waiting)

    def counted(mask: Bools) -> Ints:
        return np.bincount(of_delivery[mask & (of_delivery >= 0)], minlength=count)

    at_end = deliveries["last"].to_numpy() & np.isin(outcome, [outcome_code(name) for name in ENDS])
    outside = deliveries["outside"].to_numpy()
    by_outcome = {name: counted(at_end & (outcome == outcome_code(name))) for name in ENDS}
    for name, endings in (("deferred", WAITING), ("held", ["held"]), ("discarded", THROWN)):
        rows = np.flatnonzero((left > 0) & ending.isin(endings).to_numpy() & (of_entry >= 0) & ~probe[:-1])
        by_outcome[name] += np.bincount(of_entry[rows], left[rows], minlength=count).astype(np.int64)
    put_off = deliveries["status"].isin(PUT_OFF).to_numpy() & (outcome != outcome_code("repeated"))
    out_count, in_count = counted(at_end & outside), counted(at_end & ~outside)
    named = np.bincount(of_entry[meant & (of_entry >= 0)], minlength=count) > 0
    direction = _directions(base, own[mail_entries], out_count, in_count, named)
    spam = deliveries["spam"].fillna(False).to_numpy().astype(bool)
    judged = deliveries["spam"].notna().to_numpy()
    ends = pd.Series(entries["last"]).groupby(root).max().reindex(mail_entries)
    return pd.DataFrame(
        {
            "entry": mail_entries,
            "host": base["host"].to_numpy(),
            "queue_id": base["queue_id"].array,
            "message_id": base["message_id"].array,
            "sender": base["sender"].array,
            "size": base["size"].array,
            "first": base["first"].array,
            "last": ends.array,
            "direction": pd.Categorical.from_codes(direction, [*DIRECTIONS, OPENED_BEFORE]),
            "origin": base["origin"].to_numpy(),
            "service": base["service"].astype("str").array,
            "client": base["client"].array,
            "client_address": base["client_address"].array,
            "sasl_username": base["sasl_username"].array,
            "lives": np.bincount(of_entry[of_entry >= 0], minlength=count),
            "recipients": sum(by_outcome.values(), np.zeros(count, np.int64)),
            **by_outcome,
            "deferrals": counted(put_off),
            "verdict": pd.Categorical.from_codes(
                np.where(counted(spam) > 0, 0, np.where(counted(judged) > 0, 1, 2)), ["spam", "innocent", "unknown"]
            ),
            "opened_before": ~base["opened"].to_numpy(),
            "open": still_open[mail_entries],
        }
    )


def _directions(base: pd.DataFrame, own: Bools, out_count: Ints, in_count: Ints, named: Bools) -> Ints:
    """Return each mail's direction, by who handed its first life in and where it went.

    ``own``: a host trusted to relay handed it in; ``named``: where it went nowhere, a recipient elsewhere is named.
    """
    origin = base["origin"].cat.codes.to_numpy()
    generated = (origin == ORIGINS.index("generated")) & ~base["leg"].isin(("redirect", "list")).to_numpy()
    unknown = ~base["opened"].to_numpy() | (origin == ORIGINS.index("unknown"))
    inside = own | np.isin(origin, [ORIGINS.index(n) for n in ("authenticated", "local", "network")])
    away = (out_count > 0) | ((in_count == 0) & named)
    names = (*DIRECTIONS, OPENED_BEFORE)
    found = np.select(
        [unknown, generated, inside & away, inside, (out_count > 0) & (in_count == 0)],
        [names.index(n) for n in (OPENED_BEFORE, "generated", "outbound", "internal", "forwarded")],
        names.index("inbound"),
    )
    return found.astype(np.int64)
