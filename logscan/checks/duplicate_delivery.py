"""One mail is stored more than once in one mailbox.

## What it finds
Mails (message-id and sender) with more than one store in one mailbox, grouped by cause and by the address that doubles.

## Why it matters
People read everything twice, and monitoring mail loses its meaning; the cause is often one missing word in master.cf.

## What the log shows
Two final deliveries of one message-id and sender to one mailbox, told apart by Dovecot's session (which Postfix repeats
in its reply), else by queue ID. A hand-over to the filter, a deferred attempt, a repeated log line is no delivery, and
two replies with one session are one copy.

## What to do
`double-alias-expansion`: aliases are expanded before and after the filter. Merge no_address_mappings into the
re-injection service's receive_override_options (not before a filter that learns per recipient).
`filter-reinjected-twice`: the filter broke off after it had handed some copies back, and Postfix offered the mail again.
`retry-after-lost-reply`: the mail was stored, but the reply got lost.
`overlapping-aliases` (one person behind two addresses of the envelope) and `sender-resent` are by design: notes.

## When it is wrong
Devices that give each mail the same Message-ID: mails of different size are never joined. A user's own rules may copy.

## When it is blind
When the log holds no final delivery to a mailbox here.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from logscan import evidence as ev
from logscan import remedies, texts
from logscan.aliases import asked, mended_since, top_rows
from logscan.correlate.codes import combine
from logscan.settings import predictions
from logscan.verdict import Check, Finding, Remedy, Result

if TYPE_CHECKING:
    from logscan.scan import Scan
    from logscan.settings import Settings

SEVERITY: dict[str, Literal["problem", "warning", "note"]] = {
    "double-alias-expansion": "problem",
    "filter-reinjected-twice": "problem",
    "retry-after-lost-reply": "warning",
    "unknown": "warning",
    "overlapping-aliases": "note",
    "sender-resent": "note",
}
"""By cause, the gravest first: a case with several is counted under the first."""

SAME_SIZE = 512
"""Bytes by which two arrivals of one mail may differ (Received lines of another way); beyond, they are two mails."""

BROKEN = r"^(?:lost connection|conversation) with .* while (?:sending|receiving) (?:end of data|.* -- message may be)"
"""Postfix lost the reply after the data: the copy may have been taken (smtp_proto.c)."""


def stores(scan: Scan) -> pd.DataFrame:
    """Return one row per copy stored in a mailbox here: ``deliveries`` columns, ``key``, ``store``, ``top`` and more."""
    deliveries = scan.deliveries
    deliveries = deliveries.assign(top=top_rows(scan))
    final = deliveries["final"] & ~deliveries["outside"] & (deliveries["stored"] != 0)
    frame = deliveries[final].copy()
    entries = scan.entries.iloc[frame["entry"].to_numpy()]
    frame["message_id"] = entries["message_id"].fillna("").array
    frame["sender"] = texts.lower(entries["sender"].fillna("")).array
    frame["root"] = entries["root"].to_numpy()
    frame["size"] = scan.entries["size"].fillna(0).astype("int64").to_numpy()[frame["root"].to_numpy()]
    frame["asked"] = asked(frame)
    top = deliveries[["recipient", "original_recipient"]].iloc[frame["top"].to_numpy()]
    frame["asked_first"] = asked(top).array
    frame["handed"] = texts.lower(top["recipient"]).array
    told = frame["entry"].astype("str") + "/" + frame["mailbox"]
    frame["store"] = texts.either(frame["session"].where(frame["session"] != ""), told)
    return frame


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy in a mailbox. ``row`` and ``top`` are rows of deliveries, ``entry`` and ``root`` of entries."""

    row: int
    entry: int
    root: int
    top: int
    size: int
    time: pd.Timestamp
    message_id: str
    mailbox: str
    recipient: str
    asked: str
    asked_first: str
    handed: str
    relay: str
    unanswered: bool


def run(scan: Scan, settings: Settings) -> Result:
    """Count the distinct stores of each (message-id, sender, mailbox)."""
    frame = stores(scan)
    result = Result(checked=len(frame), eligible=len(frame))
    result.predictions = predictions(settings).get("duplicate-delivery", [])
    if frame.empty:
        result.blind_because.append("no delivery to a mailbox of this server in these logs")
        return result
    lost = _unanswered(scan, frame)
    whole = pd.concat([frame, lost], ignore_index=False) if len(lost) else frame
    ways = _Ways(scan)
    found: dict[tuple[str, str], list[tuple[dict[str, Any], list[Copy]]]] = {}
    for rows in _several(whole):
        for copies in _same_mail(rows):
            if len(copies) > 1:
                causes, subject = _causes(ways, copies)
                case = _case(ways, copies, causes)
                found.setdefault((causes[0], subject or copies[0].mailbox), []).append((case, copies))
    for (cause, subject), items in found.items():
        result.findings.append(_finding(scan, settings, cause, subject, items, frame))
    order = list(SEVERITY)
    result.findings.sort(key=lambda f: (order.index(f.cause), -f.count, f.subject))
    return result


def _several(frame: pd.DataFrame) -> Iterable[list[Copy]]:
    """Return the copies of each (message-id, sender, mailbox) that has more than one, in the order of the first one."""
    key = ["message_id", "sender", "mailbox"]
    named = frame[frame["message_id"].str.strip(" <>") != ""]
    distinct = named.drop_duplicates([*key, "store"])
    several = distinct[distinct.duplicated(key, keep=False)]
    flags = several["unanswered"].fillna(False).astype(bool) if "unanswered" in several else [False] * len(several)
    names = ["entry", "root", "top", "size", "time", "message_id", "mailbox"]
    columns = [several[name].tolist() for name in names]
    columns += [texts.lower(several["recipient"]).tolist()]
    columns += [several[name].tolist() for name in ("asked", "asked_first", "handed")]
    columns += [several["relay"].astype("str").tolist(), list(flags)]
    out: dict[tuple[str, str, str], list[Copy]] = {}
    for row, sender, *values in zip(several.index.tolist(), several["sender"].tolist(), *columns, strict=True):
        copy = Copy(row, *values)
        out.setdefault((copy.message_id, sender, copy.mailbox), []).append(copy)
    return out.values()


def _same_mail(copies: list[Copy]) -> list[list[Copy]]:
    """Split copies whose mails came in with different sizes: a constant Message-ID doesn't make them one mail."""
    if len({copy.root for copy in copies}) == 1:
        return [copies]
    copies = sorted(copies, key=lambda copy: (copy.size, copy.time))
    out = [[copies[0]]]
    for before, copy in itertools.pairwise(copies):
        if copy.size - before.size > SAME_SIZE:
            out.append([])
        out[-1].append(copy)
    return out


class _Ways:
    """How entries came out of others, to look at one by one."""

    def __init__(self, scan: Scan) -> None:
        entries, deliveries, legs = scan.entries, scan.deliveries, scan.legs
        self.parent = entries["parent"].to_numpy()
        self.queue_id = entries["queue_id"]
        self.relay = deliveries["relay"]
        self.hand_over = np.full(len(entries), -1, np.int64)
        """By entry: the delivery to a filter that it came out of, or -1."""
        out_of = legs[legs["kind"] == "filter"]
        self.hand_over[out_of["child"].to_numpy()] = out_of["delivery"].to_numpy()
        self._deliveries = deliveries

    @functools.cached_property
    def _handed(self) -> np.ndarray:
        """A code for each delivery's recipient and the address it was for."""
        codes = (texts.coded(texts.lower(self._deliveries["recipient"]))[0], texts.coded(asked(self._deliveries))[0])
        return combine(*codes)

    def twice(self, copies: Iterable[Copy]) -> bool:
        """Whether one recipient of one entry came out of the filter more than once, in different attempts."""
        handed: dict[tuple[int, int], int] = {}
        seen: set[int] = set()
        for copy in copies:
            at = copy.entry
            while at >= 0 and at not in seen:
                seen.add(at)
                above, row = int(self.parent[at]), int(self.hand_over[at])
                if row >= 0 and handed.setdefault((above, int(self._handed[row])), row) != row:
                    return True
                at = above
        return False


def _causes(ways: _Ways, copies: list[Copy]) -> tuple[list[str], str]:
    """Return the causes, gravest first, and what to act on: the address that doubles, the filter (or nothing)."""
    causes: dict[str, str] = {}
    if any(copy.unanswered for copy in copies):
        causes["retry-after-lost-reply"] = copies[0].relay
    mails = _by(copies, "root")
    for rows in mails:
        if len(rows) < 2:
            continue
        explained = 1
        doubled = _doubled(rows)
        if doubled:
            causes["double-alias-expansion"], several = doubled
            explained = max(explained, several)
        if ways.twice(rows):
            causes["filter-reinjected-twice"] = str(ways.relay.iat[rows[0].top])
            explained = len(rows)
        if len({copy.asked_first for copy in rows}) > 1 and explained < len(rows):
            causes["overlapping-aliases"] = ""
    if len(mails) > 1:
        causes["sender-resent"] = ""
    ordered = [cause for cause in SEVERITY if cause in causes] or ["unknown"]
    return ordered, causes.get(ordered[0], "")


def _by(copies: list[Copy], name: str) -> list[list[Copy]]:
    out: dict[Any, list[Copy]] = {}
    for copy in copies:
        out.setdefault(getattr(copy, name), []).append(copy)
    return list(out.values())


def _doubled(copies: list[Copy]) -> tuple[str, int] | None:
    """Return the address whose second expansion, behind the filter, doubled copies of one mail, and how many they are.

    An alias: copies of one address of the envelope came by several hand-overs, and one was expanded behind the filter.
    A BCC: behind the filter a recipient was added that the hand-over didn't name, and that had one of its own.
    """
    if len({copy.asked != copy.handed for copy in copies}) > 1:
        return copies[0].mailbox, len(copies)
    for some in _by(copies, "asked_first"):
        behind = any(copy.asked != copy.recipient for copy in some)
        if len(some) > 1 and len({copy.handed for copy in some}) > 1 and behind:
            return some[0].asked_first, len(some)
    return None


def _unanswered(scan: Scan, frame: pd.DataFrame) -> pd.DataFrame:
    """Return stores by Dovecot whose reply Postfix never got: the copy was stored, and the mail offered again."""
    deliveries = scan.deliveries
    broken = deliveries[
        (deliveries["status"] == "deferred")
        & deliveries["reply"].str.contains(BROKEN, regex=True, na=False)
        & (deliveries["entry"] >= 0)
        & ~deliveries["outside"]
    ]
    # A hand-over to the filter may break off as well; its children are deliveries of their own.
    hand_overs = scan.legs.loc[scan.legs["delivery"] >= 0, "delivery"]
    broken = broken[~broken.index.isin(hand_overs)]
    if broken.empty:
        return frame.iloc[:0]
    frame_of = dict(iter(frame[frame["entry"].isin(broken["entry"])].groupby("entry")))
    events = scan.events("stores")
    wanted = {message_id for some in frame_of.values() for message_id in some["message_id"]}
    stored = events[(events["action"] == "stored") & events["message_id"].isin(wanted)]
    stored = stored[~stored["session"].isin(scan.deliveries["session"].dropna())]
    stored_of = dict(iter(stored.groupby("message_id")))
    rows = []
    for row in broken.itertuples():
        later = frame_of.get(row.entry, frame.iloc[:0])
        later = later[later["recipient"] == row.recipient]
        near = stored_of.get(str(later["message_id"].iloc[0])) if len(later) else None
        if near is None:
            continue
        near = near[(near["time"] - row.time).abs() <= pd.Timedelta(seconds=float(row.delay or 0) + 600)]
        near = near[near["user"].fillna("").str.lower().isin({row.mailbox, str(row.mailbox).partition("@")[0]})]
        for store in near.drop_duplicates("session").itertuples():
            copy = later.iloc[0].copy()
            copy["store"], copy["time"], copy["unanswered"] = store.session, store.time, True
            copy["store_row"] = store.Index
            rows.append(copy)
    return pd.DataFrame(rows).drop_duplicates(["store"]) if rows else frame.iloc[:0]


def _times(copies: list[Copy]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([copy.time for copy in copies])


def _case(ways: _Ways, copies: list[Copy], causes: list[str]) -> dict[str, Any]:
    in_time = [copies[at] for at in np.argsort(_times(copies), kind="stable")]
    return {
        "message_id": copies[0].message_id,
        "mailbox": copies[0].mailbox,
        "copies": len(copies),
        "queue_ids": [str(ways.queue_id.iat[entry]) for entry in dict.fromkeys(copy.entry for copy in in_time)],
        "time": ev.iso(in_time[0].time),
        "causes": causes,
    }


def _finding(
    scan: Scan,
    settings: Settings,
    cause: str,
    subject: str,
    items: list[tuple[dict[str, Any], list[Copy]]],
    frame: pd.DataFrame,
) -> Finding:
    cases = [case for case, _ in items]
    copies = [copy for _, some in items for copy in some]
    mails = len({case["message_id"] for case in cases})
    boxes = len({case["mailbox"] for case in cases})
    mailed = f"{mails} mail{'s' * (mails != 1)}"
    words = {
        "double-alias-expansion": f"{mailed} to {subject}",
        "filter-reinjected-twice": f"{mailed} that came back from the filter ({subject}) twice",
        "retry-after-lost-reply": f"{mailed} offered again after {subject} had taken them",
    }.get(cause, f"{mailed} for {subject}")
    times = "twice" if all(case["copies"] == 2 for case in cases) else f"up to {max(c['copies'] for c in cases)} times"
    summary = f"{words} stored {times} in {boxes} mailbox{'es' * (boxes != 1)}"
    state: Literal["active", "mended"] = "active"
    if cause == "double-alias-expansion":
        since = _mended(scan, subject, copies, frame)
        if since is not None:
            state = "mended"
            summary += f"; mended since {ev.iso(since)}"
    return Finding(
        cause=cause,
        subject=subject,
        summary=summary,
        severity=SEVERITY[cause],
        confidence="low" if cause == "unknown" else "high",
        count=len(cases),
        cases=cases,
        first=ev.moment(_times(copies).min()),
        last=ev.moment(_times(copies).max()),
        state=state,
        remedy=_remedy(settings, cause),
        evidence=ev.merged(
            ev.rows_at(scan, "deliveries", dict.fromkeys(copy.top for copy in copies[:6])),
            ev.rows_at(scan, "deliveries", [copy.row for copy in copies[:6]]),
        ),
        why=WHY[cause],
    )


def _mended(scan: Scan, alias: str, copies: list[Copy], frame: pd.DataFrame) -> pd.Timestamp | None:
    """Return since when mail to the alias is stored once, where it still reaches several mailboxes or itself."""
    good = frame[(frame["asked_first"] == alias) & ~frame["root"].isin({copy.root for copy in copies})]
    expanded = good[(good["mailbox"] != alias) | (good["asked"] != good["recipient"].str.lower())]
    return mended_since(scan, _times(copies).max(), expanded["time"])


WHY = {
    "double-alias-expansion": "Aliases are expanded before and after the filter: no_address_mappings stands on neither side.",
    "filter-reinjected-twice": "The filter broke off after it had handed copies back, and Postfix offered the mail again.",
    "retry-after-lost-reply": "The mailbox server stored the mail, its reply got lost, and Postfix tried again.",
    "overlapping-aliases": "One person is reached through several addresses of the envelope: by design.",
    "sender-resent": "The sender sent the same mail more than once.",
    "unknown": "The log doesn't tell why.",
}


def _remedy(settings: Settings, cause: str) -> Remedy | None:
    if cause == "double-alias-expansion":
        return remedies.no_address_mappings_after(settings)
    if cause == "filter-reinjected-twice":
        return remedies.dspam_one_at_a_time(settings)
    if cause == "retry-after-lost-reply":
        return Remedy("Look why the mailbox server's reply came late or never: its log, disk and locks at these times.")
    return None


CHECK = Check("duplicate-delivery", "Mail is stored more than once", "mail", run, order=30)
