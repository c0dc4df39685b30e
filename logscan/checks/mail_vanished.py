"""Mail was accepted and is gone: no line ends it, and it is in no queue.

## What it finds
Mail that this server took and that nobody got or got back: lost when the machine or Postfix crashed, its queue file removed
behind Postfix's back, or deleted by hand (`postsuper -d`). One finding a cause and queue.

## Why it matters
The sender has this server's word that it has the mail (`250 Ok: queued`), so nobody sends it again and nobody is told.

## What the log shows
`postfix/postsuper: ID: removed` for what was deleted. Of a crash: `client=` and `message-id=` without any line of the queue
manager, then a start of Postfix without a stop before. Of a removed file: the last line is a deferred attempt, no further attempt
follows, and the listing of the queue doesn't have it.

## What to do
Tell senders and recipients, who are named in the cases, that the mail is lost. After a crash: look for the disk's errors, and
whether the file system of /var/spool/postfix keeps what was synced (no `nobarrier`, no volatile cache). Nothing but Postfix's own
programs may touch the queue directory: `postsuper -d` deletes, `postsuper -h` holds mail back.

## When it is wrong
Mail on hold, thrown away by a rule (DISCARD), requeued under another ID, or delivered to /dev/null is not lost; nor is mail of
which the log lacks lines (rate limiting, silence). Deleted mail that was on hold, and deleted delivery reports, are a note. A
listing of another queue, or one made long after the log's end, makes mail look vanished that was delivered meanwhile.

## When it is blind
Mail that waits when the log ends may still be in the queue, or its file may be gone: that shows only in the output of
`postqueue -j` (Postfix 3.1 and later), taken right after the log and given with it. What was deleted or lost in a crash is
found without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.amounts import plural
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import LINE_BITS, lines_at, places
from logscan.findings import Finding, Remedy, Result
from logscan.scan.columns import NO_TIME, column, joined, number, values
from logscan.scan.mended import RELOADS, reload_times
from logscan.tables import cells, columns
from logscan.tables.partials import First, Keyed, Part, Partial

if TYPE_CHECKING:
    from datetime import datetime

    import numpy.typing as npt

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

MOST_CASES = 20_000
"""Recipients that are kept, the first ones; more are counted only."""

CASES, COUNTS = "vanished", "vanished: counts"

TITLES = {
    "lost-in-crash": "taken and lost before the queue manager saw it",
    "queue-file-gone": "waited, now in the queue no longer though no line ends it",
    "deleted-by-hand": "deleted by hand",
    "held-deleted": "on hold, or a delivery report, and deleted by hand",
}

REMEDIES = {
    "lost-in-crash": "Tell the senders and recipients: the mail is lost. Look for the cause of the crash (`journalctl -k`, "
    "`dmesg`, the disk's SMART values); see that the file system of /var/spool/postfix is mounted with barriers and that the "
    "disk or the hypervisor doesn't acknowledge writes that it hasn't made (a volatile write cache).",
    "queue-file-gone": "Tell the senders and recipients: the mail is lost. Find out who touches /var/spool/postfix (clean-up "
    "scripts, a restored snapshot, backups, an administrator): only Postfix's own programs may. `postfix check` and "
    "`postsuper -s` tell whether the queue is sound.",
    "deleted-by-hand": "If that was meant to be, nothing is to be done; else tell the senders and recipients. Rather than "
    "`postsuper -d ALL`, put mail on hold first (`postsuper -h ID`), look at it (`postcat -q ID`), then delete it by its ID.",
    "held-deleted": "If that was meant to be, nothing is to be done.",
}


def look(window: Window, settings: Settings) -> Partial:
    """Take the mails that were deleted or vanished, and count those of which it isn't known."""
    mine = values(window, "entries", "mail") >= 0
    ending = joined(window, "entries", "ending")
    waits = ending.is_in("queued", "unseen") & (values(window, "entries", "listed") < 0)
    parts: dict[str, Part] = {
        "entries": int(np.count_nonzero(mine)),
        "untold": int(np.count_nonzero(mine & waits)),
        RELOADS: reload_times(window),
    }
    gone = np.flatnonzero(mine & ending.is_in("deleted", "vanished"))
    if len(gone):
        parts |= _gone(window, gone, ending.take(gone).is_in("deleted"))
    return Partial(parts)


def _gone(window: Window, gone: Ints, deleted: Bools) -> dict[str, Part]:
    """Return the recipients of mails that are gone, by mail, and counts by cause and queue."""
    mail = values(window, "entries", "mail")[gone]
    names = {
        name: pc.fill_null(joined(window, "entries", name).take(gone).texts(), "")
        for name in ("host", "instance", "queue_id", "sender")
    }
    own, of_mail = joined(window, "entries", "message_id").take(gone), joined(window, "mails", "message_id").take(mail)
    removal, aside = np.full(len(gone), -1, np.int64), np.zeros(len(gone), np.bool_)
    if deleted.any():
        removal, held = _by_hand(window, names["host"], names["queue_id"], deleted)
        aside = held | joined(window, "entries", "sender").take(gone).is_in("")
    cause = np.where(deleted, np.where(aside, 3, 2), np.where(values(window, "entries", "queued")[gone], 1, 0))
    first, last = (values(window, "entries", name)[gone] for name in ("first", "last"))
    told = {
        "cause": pa.array([list(TITLES)[code] for code in cause.tolist()], pa.string()),
        **names,
        "message_id": pc.coalesce(own.texts(), of_mail.texts(), pa.scalar("")),
        "first": first,
        "last": last,
        "opened": _lines(window, "clients", values(window, "entries", "client_row")[gone]),
        "removal": removal,
    }
    at, recipient, line = _recipients(window, gone)
    rows = {name: columns.taken(each, at) for name, each in told.items()}
    rows |= {"recipient": recipient, "attempt": line}
    number_of = np.bincount(at, minlength=len(gone))
    counts = {name: told[name] for name in ("cause", "host", "instance", "first", "last")}
    counts |= {"mails": np.ones(len(gone), np.int64), "recipients": number_of.astype(np.int64)}
    return {
        CASES: First.of(rows, MOST_CASES, ("first", "queue_id", "recipient", "attempt", "host")),
        COUNTS: Keyed.of(counts, sums=("mails", "recipients"), least=("first",), most=("last",)),
    }


def _lines(window: Window, table: str, rows: Ints) -> Ints:
    """Return the line of some rows of an event table as :func:`logscan.checking.copies.places`; -1 where the row is -1."""
    source, line = (np.append(number(window, table, name), 0)[rows] for name in ("source", "line"))
    out: Ints = np.where(rows >= 0, (source << LINE_BITS) + line, -1)
    return out


def _by_hand(window: Window, host: pa.Array, queue_id: pa.Array, deleted: Bools) -> tuple[Ints, Bools]:
    """Return the line that tells of each deletion, and which mails were on hold before."""
    names = list(zip(host.to_pylist(), queue_id.to_pylist(), strict=True))
    wanted = {name for name, chosen in zip(names, deleted.tolist(), strict=True) if chosen}
    removed = np.flatnonzero(column(window, "removals", "program").is_in("postsuper"))
    lines = _lines(window, "removals", removed)
    line_of = dict(
        sorted(zip(_names(window, "removals", removed), lines.tolist(), strict=True), key=lambda each: -each[1])
    )
    held = set()
    for table, test in (
        ("rejects", lambda action: action.endswith("hold")),
        ("requeues", lambda action: action == "placed on hold"),
    ):
        rows = np.flatnonzero(column(window, table, "action").having(test))
        held |= wanted.intersection(_names(window, table, rows))
    found = np.asarray([line_of.get(name, -1) if name in wanted else -1 for name in names], np.int64)
    return found, np.asarray([name in held for name in names], np.bool_)


def _names(window: Window, table: str, rows: Ints) -> list[tuple[str, str]]:
    host, queue_id = (column(window, table, name).take(rows).texts().to_pylist() for name in ("host", "queue_id"))
    return list(zip(host, queue_id, strict=True))


def _recipients(window: Window, gone: Ints) -> tuple[Ints, pa.Array, Ints]:
    """Return the recipients who wait for mails that are gone: the mail's place in ``gone``, the address, the last attempt's line.

    One without an address for a mail of which no attempt is told.
    """
    place = np.full(len(window.entries) + 1, -1, np.int64)
    place[gone] = np.arange(len(gone))
    of_row = place[values(window, "deliveries", "entry")]
    ends = values(window, "deliveries", "last") & joined(window, "deliveries", "outcome").is_in("discarded")
    rows = np.flatnonzero((of_row >= 0) & ends)
    bare = np.flatnonzero(np.bincount(of_row[rows], minlength=len(gone)) == 0)
    address = joined(window, "deliveries", "recipient").take(rows).texts().cast(pa.string())
    return (
        np.append(of_row[rows], bare),
        pa.concat_arrays([address, pa.array([""] * len(bare), pa.string())]),
        np.append(places(window)[rows], np.full(len(bare), -1, np.int64)),
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each cause and queue."""
    eligible, untold = partial.count("entries"), partial.count("untold")
    result = Result(checked=eligible - untold, eligible=eligible)
    if not eligible:
        result.blind_because.append("no mail in these logs")
    elif ev.too_few(result) or not result.checked:
        result.blind_because.append(
            f"{plural(untold, 'mail')} of {eligible:,} {'waits' if untold == 1 else 'wait'} when the log ends, or the log lacks "
            "the lines that follow: whether they are in the queue tells only its listing, `postqueue -j > postqueue.json`, taken "
            "right after the log and given with it"
        )
    if CASES not in partial:
        return result
    rows = partial.frame(CASES)
    counts = partial.frame(COUNTS).sort_values(["cause", "host", "instance"], ignore_index=True)
    several = counts.groupby("host")["instance"].nunique().max() > 1
    starts = partial.frame(RELOADS)
    starts = starts[starts["event"] == "start"]
    for whole in counts.itertuples():
        mine = rows["cause"].eq(whole.cause) & rows["host"].eq(whole.host) & rows["instance"].eq(whole.instance)
        subject = f"{whole.host} ({whole.instance})" if several else str(whole.host)
        result.findings.append(_finding(subject, whole, rows[mine], starts, log))
    return result


def _finding(subject: str, whole: Any, rows: pd.DataFrame, starts: pd.DataFrame, log: Log) -> Finding:
    """Return what happened to the mail of one queue; ``whole`` has the counts, ``rows`` the cases that were kept."""
    rows = rows.sort_values(["first", "queue_id", "recipient"], kind="stable")
    aside = whole.cause == "held-deleted"
    by_hand = whole.cause in ("deleted-by-hand", "held-deleted")
    shown = [name for name in dict.fromkeys(rows["recipient"]) if name]
    names = f" to {', '.join(shown[:3])}{' …' if len(shown) > 3 else ''}" if shown else ""
    lines = [rows[name].tolist() for name in ("removal", "attempt", "opened")]
    return Finding(
        cause=whole.cause,
        subject=subject,
        summary=f"{ev.mails(whole.mails, whole.recipients)}{names}: {TITLES[whole.cause]}, on {subject}",
        severity="note" if aside else "warning" if by_hand else "problem",
        confidence="high" if by_hand or whole.cause == "lost-in-crash" else "medium",
        count=whole.recipients,
        cases=[_case(row, by_hand) for row in rows.itertuples()],
        first=_moment(whole.first),
        last=_moment(whole.last),
        remedy=None if aside else Remedy(REMEDIES[whole.cause], key=f"mail-vanished-{whole.cause}"),
        evidence=ev.merged(*(lines_at(log, some) for some in lines)),
        why=_why(whole, starts, log),
        mails=whole.mails,
        recipients=whole.recipients,
    )


def _case(row: Any, by_hand: bool) -> dict[str, Any]:
    return {
        "message_id": cells.text(row.message_id) or None,
        "recipient": row.recipient or None,
        "queue_id": row.queue_id,
        "sender": cells.text(row.sender),
        "time": cells.iso(_moment(row.last if by_hand else row.first)),
    }


def _moment(ns: int) -> datetime | None:
    return cells.moment(pd.Timestamp(ns, tz="UTC")) if ns > NO_TIME else None


def _why(whole: Any, starts: pd.DataFrame, log: Log) -> str:
    """Return what else the log tells of the cause."""
    if whole.cause != "lost-in-crash":
        return ""
    later = starts.loc[starts["time"] > pd.Timestamp(whole.last, tz="UTC"), "time"]
    if later.empty:
        return ""
    at = later.min().tz_convert(log.zone or "UTC")
    return f"Postfix was started again at {at:%H:%M} on {at.day} {at:%B %Y}."


CHECK = Check(
    "mail-vanished",
    "Accepted mail is gone",
    look,
    conclude,
    causes=tuple(TITLES),
    order=120,
    clear="No accepted mail is gone ({checked:mail|mails} looked at)",
    but="but for {noted:mail|mails} deleted from hold",
    group="arrival",
    severity="problem",
    needs=("Postfix's queue IDs from arrival to removal", "postqueue -j for mail that waits at the log's end"),
    related=("filter-lost-mail", "log-gap", "mail-stuck"),
)
