"""One mail's whole way: which lives it had, where each came from, what became of each recipient."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan import evidence as ev
from logscan.linetext import fetch
from logscan.verdict import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logscan.scan import Scan

MOST_LINES = 60
"""Lines of one mail's way in a report; a mail to a list of thousands is cut."""

LINES_OF = ("clients", "message_ids", "queued", "rejects", "expirations", "notifications", "requeues", "removals")
"""Event tables whose lines belong to a life by its queue ID, beside deliveries."""


@dataclass(frozen=True)
class Attempt:
    """One attempt for one recipient. ``status`` is Postfix', ``outcome`` says in words what it was."""

    time: str | None
    recipient: str
    original_recipient: str | None
    relay: str
    status: str
    outcome: str
    reply: str | None
    delay: float | None
    mailbox: str | None
    folder: str | None
    spam: bool | None
    signature: str | None


@dataclass
class Life:
    """One life of a queue ID within a mail; ``depth`` counts the legs before it."""

    host: str
    queue_id: str
    depth: int
    leg: str
    known_by: str
    confidence: str
    opened: str | None
    opened_by: str
    client: str
    sender: str | None
    message_id: str | None
    size: int | None
    removed: bool
    attempts: list[Attempt] = field(default_factory=list)
    lines: list[Evidence] = field(default_factory=list)


@dataclass
class Trace:
    """A mail: what it is in one line, and its lives in the order of the legs."""

    direction: str
    origin: str
    labels: list[str]
    lives: list[Life]


# --- finding -------------------------------------------------------------------------------------------------------


def find(scan: Scan, what: str) -> list[int]:
    """Return the first entries (roots) of the mails with that queue ID, message-id or address, oldest first."""
    entries, deliveries = scan.entries, scan.deliveries
    bare = what.strip().strip("<>")
    hit = np.zeros(len(entries) + 1, np.bool_)
    hit[:-1] |= (entries["queue_id"] == what.strip()).to_numpy(dtype=bool, na_value=False)
    hit[:-1] |= (entries["message_id"].str.strip(" <>") == bare).to_numpy(dtype=bool, na_value=False)
    if "@" in bare or not hit.any():
        low = bare.lower()
        hit[:-1] |= (entries["sender"].str.lower() == low).to_numpy(dtype=bool, na_value=False)
        named = (deliveries["recipient"].str.lower() == low) | (deliveries["original_recipient"].str.lower() == low)
        named |= deliveries["mailbox"] == low
        hit[deliveries["entry"].to_numpy()[named.to_numpy(dtype=bool, na_value=False)]] = True
    roots = entries["root"].to_numpy()[hit[:-1]]
    first = entries["first"].astype("int64").to_numpy()
    unique = np.unique(roots)
    found: list[int] = unique[np.argsort(first[unique], kind="stable")].tolist()
    return found


def find_finding(what: str) -> bool:
    """Whether ``what`` can be a finding's id: eight hex digits."""
    return bool(re.fullmatch(r"[0-9a-f]{8}", what.strip().lower()))


def members(scan: Scan, entry: int) -> list[int]:
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


def _by_root(scan: Scan) -> _Owned:
    cache: _Owned | None = scan.__dict__.get("_by_root")
    if cache is None:
        cache = scan.__dict__["_by_root"] = _Owned.by(scan.entries["root"].to_numpy())
    return cache


def _rows_of(scan: Scan, entry: int) -> np.ndarray:
    cache: _Owned | None = scan.__dict__.get("_by_entry")
    if cache is None:
        cache = scan.__dict__["_by_entry"] = _Owned.by(scan.deliveries["entry"].to_numpy())
    return cache.rows(entry)


# --- describing ----------------------------------------------------------------------------------------------------


def traces(scan: Scan, roots: Sequence[int], *, lines: bool = False) -> list[Trace]:
    """Return the mails that begin with these entries; with ``lines``, their log lines too."""
    legs = scan.legs.set_index("child")
    out = []
    for root in roots:
        depth = {root: 0}
        lives = []
        for one in members(scan, root):
            parent = int(scan.entries["parent"].iat[one])
            depth[one] = depth.get(parent, -1) + 1 if one != root else 0
            lives.append(_life(scan, one, depth[one], legs, lines))
        number = int(scan.entries["mail"].iat[root])
        direction = str(scan.mails["direction"].iat[number]) if number >= 0 else "no mail"
        out.append(Trace(direction, str(scan.entries["origin"].iat[root]), _labels(scan, root, number), lives))
    if lines:
        wanted: dict[str, set[int]] = {}
        every = [life for trace in out for life in trace.lives]
        for life in every:
            for item in life.lines:
                wanted.setdefault(item.source, set()).add(item.line)
        texts = fetch(scan.sources, wanted)
        for life in every:
            life.lines = [Evidence(i.source, i.line, texts.get((i.source, i.line), "")) for i in life.lines]
    return out


def _labels(scan: Scan, root: int, number: int) -> list[str]:
    labels = []
    if number < 0:
        labels.append("never queued: aborted, refused or still coming in")
    elif scan.mails["opened_before"].iat[number]:
        labels.append("opened before these logs")
    if number >= 0 and scan.mails["open"].iat[number]:
        labels.append("still open at their end")
    return labels


def _life(scan: Scan, entry: int, depth: int, legs: pd.DataFrame, lines: bool) -> Life:
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
        opened_by=f"{row['service']}/{row['program']}" if ev.text(row["program"]) else "",
        client=_client(row),
        sender=ev.text(row["sender"]),
        message_id=ev.text(row["message_id"]),
        size=None if pd.isna(size) else int(size),
        removed=bool(row["removed"]),
        attempts=[_attempt(scan, int(i)) for i in _rows_of(scan, entry)],
        lines=_lines(scan, entry) if lines else [],
    )


def _client(row: pd.Series) -> str:
    if ev.text(row["sasl_username"]):
        return f"{row['client']}[{row['client_address']}], logged in as {row['sasl_username']}"
    if str(row["program"]) == "pickup":
        return f"a local program, uid {row['uid']}"
    if ev.text(row["client"]):
        return f"{row['client']}[{row['client_address']}]"
    return "made here" if row["opened"] else "opened before these logs"


def _attempt(scan: Scan, index: int) -> Attempt:
    row = scan.deliveries.iloc[index]
    folder = ev.text(row["folder"])
    if row["hop"]:
        outcome = "handed to the filter"
    elif folder:
        outcome = f"stored in {row['mailbox']}/{folder}"
    elif row["final"]:
        outcome = "delivered"
    else:
        outcome = str(row["status"])
    delay = row["delay"]
    return Attempt(
        time=_iso(scan, row["time"]),
        recipient=str(row["recipient"]),
        original_recipient=ev.text(row["original_recipient"]),
        relay=str(row["relay"]),
        status=str(row["status"]),
        outcome=outcome,
        reply=ev.text(row["reply"]),
        delay=None if pd.isna(delay) else float(delay),
        mailbox=ev.text(row["mailbox"]) if row["final"] and not row["outside"] else None,
        folder=folder,
        spam=None if pd.isna(row["spam"]) else bool(row["spam"]),
        signature=ev.text(row["signature"]),
    )


def _lines(scan: Scan, entry: int) -> list[Evidence]:
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


def _iso(scan: Scan, value: Any) -> str | None:
    found = ev.moment(value)
    return found.astimezone(scan.zone).isoformat(timespec="seconds") if found else None


# --- showing -------------------------------------------------------------------------------------------------------

LEG_WORDS = {
    "filter": "back from the filter",
    "bounce": "notification",
    "forward": "forwarded",
    "requeue": "requeued",
    "redirect": "redirected by Sieve",
    "relay": "on the next host",
    "proxy": "through the proxy",
}


def way(scan: Scan, entry: int) -> list[str]:
    """Return the mail's way in lines of plain text, times in the server's zone."""
    lines = _text(traces(scan, [int(scan.entries["root"].iat[entry])])[0], verbose=False)[1:]
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], f"… and {len(lines) - MOST_LINES} more lines"]


def _text(trace: Trace, verbose: bool) -> list[str]:
    label = f" ({', '.join(trace.labels)})" if trace.labels else ""
    out = [f"{trace.direction} mail, origin: {trace.origin}{label}"]
    for life in trace.lives:
        indent = "  " * life.depth
        how = LEG_WORDS.get(life.leg, "")
        if how:
            how += f" (known by {life.known_by}, {life.confidence} confidence)"
        by = f" by {life.opened_by}" if life.opened_by else ""
        parts = [
            f"{_clock(life.opened)} {life.host} {life.queue_id}",
            how,
            f"from {life.client}{by}",
            f"sender <{life.sender or ''}>",
            life.message_id or "",
        ]
        out.append(indent + ", ".join(part for part in parts if part))
        out += [f"{indent}  {_attempt_text(each)}" for each in life.attempts]
        if verbose:
            out += [f"{indent}    {item.source}:{item.line}: {item.text}" for item in life.lines]
    return out


def _clock(text: str | None) -> str:
    return text[:19].replace("T", " ") if text else "(no time)"


def _attempt_text(each: Attempt) -> str:
    to = f"to <{each.recipient}>" + (f" (for <{each.original_recipient}>)" if each.original_recipient else "")
    spam = "" if each.spam is None else "tagged as spam" if each.spam else "not tagged"
    reply = (
        f"({each.reply})" if each.reply and each.outcome not in ("handed to the filter",) and not each.folder else ""
    )
    return ", ".join(p for p in (f"{_clock(each.time)} {to}", f"{each.outcome} by {each.relay}", spam, reply) if p)


def as_text(found: Sequence[Trace], verbose: bool) -> str:
    """Return traces as text for people, control characters shown as escapes."""
    from logscan.rendering import visible

    return "\n\n".join("\n".join(visible(line) for line in _text(trace, verbose)) for trace in found)


def as_json(found: Sequence[Trace]) -> str:
    """Return traces as JSON: a list of mails."""
    return json.dumps([asdict(trace) for trace in found], indent=2)
