"""One mail's whole way: which lives it had, where each came from, what became of each recipient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.findings import Evidence
from logscan.reading.line_texts import fetch
from logscan.report.refusals import ENDED, NOQUEUE
from logscan.report.trace_model import TAKEN_OUT, Attempt, Judgement, Life, Trace
from logscan.scan.memo import per_window
from logscan.tables import cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logscan.scan.window import Window

MOST_LINES = 60
"""Lines of one mail's way in a report; a mail to a list of thousands is cut."""

AROUND = pd.Timedelta(seconds=30)
"""Before and after a life, for a filter's own log: its clock and its buffers aren't Postfix'."""

LINES_OF = ("clients", "message_ids", "queued", "rejects", "expirations", "notifications", "requeues", "removals")
"""Event tables whose lines belong to a life by its queue ID, beside deliveries."""


def members(scan: Window, entry: int) -> list[int]:
    """Return the entries of the mail that ``entry`` belongs to, each behind the one it came out of."""
    root = int(scan.entries["root"].iat[entry])
    inside = _by_root(scan).rows(root)
    parent = scan.entries["parent"].to_numpy()
    children: dict[int, list[int]] = {}
    for one in inside.tolist():
        if one != root:
            children.setdefault(int(parent[one]), []).append(one)
    out: list[int] = []
    todo = [root]
    while todo:
        one = todo.pop()
        out.append(one)
        todo.extend(sorted(children.get(one, ()), reverse=True))
    return out


@dataclass(frozen=True)
class _Owned:
    """The rows of each owner, found by search: most owners are never asked for."""

    order: np.ndarray
    owner: np.ndarray

    @classmethod
    def by(cls, owner: np.ndarray) -> _Owned:
        """Return the rows by their owners' numbers."""
        order = np.argsort(owner, kind="stable")
        return cls(order, owner[order])

    def rows(self, number: int) -> np.ndarray:
        """Return the rows (int64) of one owner."""
        low, high = np.searchsorted(self.owner, (number, number + 1))
        return self.order[low:high]


@per_window
def _by_root(scan: Window) -> _Owned:
    return _Owned.by(scan.entries["root"].to_numpy())


@per_window
def _by_entry(scan: Window) -> _Owned:
    return _Owned.by(scan.deliveries["entry"].to_numpy())


def _rows_of(scan: Window, entry: int) -> np.ndarray:
    return _by_entry(scan).rows(entry)


# --- describing ----------------------------------------------------------------------------------------------------


def traces(scan: Window, roots: Sequence[int], *, lines: bool = False, whole: bool = False) -> list[Trace]:
    """Return the mails that begin with these entries; with ``lines``, their log lines too.

    ``whole``: with the verdicts on each, and with what replies mean that refused it.
    """
    legs = scan.legs.set_index("child")
    out = []
    for root in roots:
        depth = {root: 0}
        lives = []
        for one in members(scan, root):
            parent = int(scan.entries["parent"].iat[one])
            depth[one] = depth.get(parent, -1) + 1 if one != root else 0
            lives.append(_life(scan, one, depth[one], legs, lines, whole))
        number = int(scan.entries["mail"].iat[root])
        direction = str(scan.mails["direction"].iat[number]) if number >= 0 else "no mail"
        out.append(Trace(direction, str(scan.entries["origin"].iat[root]), _labels(scan, root, number), lives))
    if lines:
        fetched(scan, [life.lines for trace in out for life in trace.lives])
    return out


def fetched(scan: Window, lists: Sequence[list[Evidence]]) -> None:
    """Fill in the texts of the lines in all of the lists."""
    wanted: dict[str, set[int]] = {}
    for each in lists:
        for item in each:
            wanted.setdefault(item.source, set()).add(item.line)
    texts = fetch(scan.log.read.sources, wanted)
    for each in lists:
        each[:] = [Evidence(i.source, i.line, texts.get((i.source, i.line), "")) for i in each]


def _labels(scan: Window, root: int, number: int) -> list[str]:
    labels = []
    if number < 0:
        labels.append("never queued: aborted, refused or still coming in")
    elif scan.mails["opened_before"].iat[number]:
        labels.append("opened before these logs")
    if number >= 0 and scan.mails["open"].iat[number]:
        labels.append("still open at their end")
    return labels


def _life(scan: Window, entry: int, depth: int, legs: pd.DataFrame, lines: bool, whole: bool) -> Life:
    row = scan.entries.iloc[entry]
    leg = legs.loc[entry] if entry in legs.index else None
    size = row["size"]
    return Life(
        host=str(row["host"]),
        queue_id=str(row["queue_id"]),
        depth=depth,
        leg=str(row["leg"]) if leg is not None else "",
        known_by=str(leg["known_by"]) if leg is not None else "",
        confidence=str(leg["confidence"]) if leg is not None else "",
        opened=_iso(scan, row["first"]),
        opened_by=f"{row['service']}/{row['program']}" if cells.text(row["program"]) else "",
        client=_client(row),
        sender=cells.text(row["sender"]),
        message_id=cells.text(row["message_id"]),
        size=None if pd.isna(size) else int(size),
        removed=bool(row["removed"]),
        ending=str(row["ending"]),
        events=_events(scan, row),
        verdicts=_verdicts(scan, entry, row) if whole else [],
        attempts=[_attempt(scan, int(i), whole) for i in _rows_of(scan, entry)],
        lines=_lines(scan, entry) if lines else [],
    )


def _client(row: pd.Series) -> str:
    if cells.text(row["sasl_username"]):
        return f"{row['client']}[{row['client_address']}], logged in as {row['sasl_username']}"
    if str(row["program"]) == "pickup":
        return f"a local program, uid {row['uid']}"
    if cells.text(row["client"]):
        return f"{row['client']}[{row['client_address']}]"
    return "made here" if row["opened"] else "opened before these logs"


def _events(scan: Window, life: pd.Series) -> list[str]:
    """Return, in order, what rules, milters, postsuper and qmgr did to a life, in sentences."""
    found: list[tuple[pd.Timestamp, str]] = []
    for name, row in _acted(scan).get((str(life["host"]), str(life["queue_id"])), ()):
        event = scan.events(name).iloc[row]
        last = life["last"] + AROUND if name == "milters" else life["last"]
        if life["first"] <= event["time"] <= last:
            found.append((event["time"], _event(name, event)))
    return [
        f"{(_iso(scan, time) or '')[:19].replace('T', ' ')} {text}" for time, text in sorted(found, key=lambda e: e[0])
    ]


def _event(name: str, event: pd.Series) -> str:
    if name == "rejects":
        action = str(event["action"])
        to = f" for <{event['recipient']}>" if cells.text(event["recipient"]) else ""
        reply = " ".join(part for part in (cells.text(event[key]) for key in ("code", "dsn", "text")) if part)
        return f"{ENDED.get(action, action)} at {event['stage']}{to}" + (f": {reply}" if reply else "")
    if name == "expirations":
        return f"{event['status']}: too long in the queue, returned to the sender"
    if name == "removals":
        return f"removed: {event['reason']}"
    if name == "milters":
        return f"{TAKEN_OUT}; its actions: {event['result']}"
    return str(event["action"])


@per_window
def _acted(scan: Window) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Return, by host and queue ID, the rows of what was done to mails beside delivering them: few mails have any."""
    out: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for name in ("rejects", "expirations", "requeues", "removals", "milters"):
        frame = scan.events(name)
        if name == "milters":
            frame = frame.where((frame["filter"] == "mailscanner") & frame["result"].notna())
        some = frame["queue_id"].notna() & (frame["queue_id"] != NOQUEUE)
        if name == "removals":
            some &= frame["reason"].notna() & (frame["reason"].astype("str") != "")
        chosen = np.flatnonzero(some.to_numpy(dtype=bool, na_value=False))
        hosts, ids = frame["host"].astype("str").to_numpy()[chosen], frame["queue_id"].to_numpy()[chosen]
        for host, queue_id, row in zip(hosts, ids, chosen.tolist(), strict=True):
            out.setdefault((str(host), str(queue_id)), []).append((name, row))
    return out


def _verdicts(scan: Window, entry: int, life: pd.Series) -> list[Judgement]:
    """Return the verdicts on a life: those that its recipients have, and those that name its queue ID."""
    frame = scan.verdicts
    found = {int(scan.deliveries["verdict_row"].iat[row]) for row in _rows_of(scan, entry).tolist()}
    named = (frame["queue_id"] == life["queue_id"]) | (frame["child_queue_id"] == life["queue_id"])
    near = (frame["time"] >= life["first"] - AROUND) & (frame["time"] <= life["last"] + AROUND)
    found |= set(np.flatnonzero((named & near).to_numpy(dtype=bool, na_value=False)).tolist())
    out: dict[Judgement, None] = {}
    for row in sorted(found - {-1}):
        verdict = frame.iloc[row]
        judgement = Judgement(
            time=_iso(scan, verdict["time"]),
            filter=str(verdict["filter"]),
            result=str(verdict["result"]),
            spam=None if pd.isna(verdict["spam"]) else bool(verdict["spam"]),
            score=None if pd.isna(verdict["score"]) else float(verdict["score"]),
            required=None if pd.isna(verdict["required"]) else float(verdict["required"]),
            detail=cells.text(verdict["status"]),
        )
        out[judgement] = None
    return list(out)[:MOST_LINES]


OUTCOMES = {
    "handed-on": "handed on",
    "expired": "given up after too long in the queue",
    "held": "on hold",
    "repeated": "tried again later",
    "probe": "probe of an address",
    "stray": "told without a mail",
}


def _attempt(scan: Window, index: int, whole: bool) -> Attempt:
    row = scan.deliveries.iloc[index]
    folder, outcome = cells.text(row["folder"]), str(row["outcome"])
    if row["hop"]:
        outcome = "handed to the filter"
    elif folder and outcome == "delivered":
        outcome = f"stored in {row['mailbox']}/{folder}"
    elif outcome == "repeated":
        outcome = str(row["status"])
    else:
        outcome = OUTCOMES.get(outcome, outcome)
    delay = row["delay"]
    return Attempt(
        time=_iso(scan, row["time"]),
        recipient=str(row["recipient"]),
        original_recipient=cells.text(row["original_recipient"]),
        relay=str(row["relay"]),
        status=str(row["status"]),
        outcome=outcome,
        reply=cells.text(row["reply"]),
        delay=None if pd.isna(delay) else float(delay),
        mailbox=cells.text(row["mailbox"]) if row["final"] and not row["outside"] else None,
        folder=folder,
        spam=None if pd.isna(row["spam"]) else bool(row["spam"]),
        signature=cells.text(row["signature"]),
        meaning=_meaning(row) if whole else None,
    )


def _meaning(row: pd.Series) -> str | None:
    """Return what the reply to an attempt means that failed, or was put off; None where nothing more is known than it says."""
    reply = cells.text(row["reply"])
    if not reply or str(row["status"]) in ("sent", "deliverable"):
        return None
    from logscan.checking.explaining import explained

    found = explained(reply)
    return found.means if found.known_by and found.cause != "unknown" else None


def _lines(scan: Window, entry: int) -> list[Evidence]:
    """Return the places of the lines of a life: those of its queue ID, its stores and its verdict, in order."""
    found: set[tuple[str, int]] = set()
    row = scan.entries.iloc[entry]
    low, high = row["first"], row["last"]
    for name in LINES_OF:
        events = scan.events(name)
        mine = events[(events["queue_id"] == row["queue_id"]) & (events["host"] == row["host"])]
        mine = mine[(mine["time"] >= low) & (mine["time"] <= high)]
        found.update((scan.label(int(s)), int(n)) for s, n in zip(mine["source"], mine["line"], strict=True))
    stores, verdicts = scan.events("stores"), scan.verdicts
    for index in _rows_of(scan, entry):
        attempt = scan.deliveries.iloc[int(index)]
        found.add((scan.label(int(attempt["source"])), int(attempt["line"])))
        for table, at in ((stores, int(attempt["store_row"])), (verdicts, int(attempt["verdict_row"]))):
            if at >= 0:
                found.add((scan.label(int(table["source"].iat[at])), int(table["line"].iat[at])))
    return [Evidence(source, line, "") for source, line in sorted(found)]


def _iso(scan: Window, value: Any) -> str | None:
    found = cells.moment(value)
    return found.astimezone(scan.zone).isoformat(timespec="seconds") if found else None


# --- showing -------------------------------------------------------------------------------------------------------


def way(scan: Window, entry: int) -> list[str]:
    """Return the mail's way in lines of plain text, times in the server's zone."""
    from logscan.report.trace_texts import text_of

    lines = text_of(traces(scan, [int(scan.entries["root"].iat[entry])])[0], verbose=False)[1:]
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} more lines"]
