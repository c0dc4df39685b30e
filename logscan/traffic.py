"""The traffic part of a report: counts over time, top lists, and the way mail really takes through this server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan import evidence as ev
from logscan import texts
from logscan.correlate.build import DIRECTIONS
from logscan.correlate.codes import combine
from logscan.report import Flow, FlowEdge, FlowNode, Listing, Report, Series, Traffic

if TYPE_CHECKING:
    from logscan.scan import Scan

STEPS = (5, 15, 60, 180, 360, 1440, 10080)
"""Minutes a bucket may last; the smallest that gives at most MOST_BUCKETS is taken."""

MOST_BUCKETS = 170
MOST_ROWS = 100
"""Rows of a list; the rest lies in the exported tables."""


def traffic(scan: Scan, report: Report) -> Traffic:
    """Return charts' and lists' data."""
    first, last = report.period.first, report.period.last
    if first is None or last is None:
        return Traffic()
    zone = scan.zone
    step = next((s for s in STEPS if (last - first).total_seconds() / 60 / s <= MOST_BUCKETS), STEPS[-1])
    start = pd.Timestamp(first).tz_convert(zone).floor("D")
    start += pd.Timedelta(minutes=step) * ((pd.Timestamp(first) - start) // pd.Timedelta(minutes=step))
    size = int((pd.Timestamp(last) - start) // pd.Timedelta(minutes=step)) + 1
    hours = tuple((start + pd.Timedelta(minutes=step) * i).to_pydatetime() for i in range(size))

    def counted(times: pd.Series) -> tuple[int, ...]:
        if times.empty:
            return (0,) * size
        bucket = ((times - start) // pd.Timedelta(minutes=step)).to_numpy()
        bucket = bucket[(bucket >= 0) & (bucket < size)].astype(np.int64)
        return tuple(int(n) for n in np.bincount(bucket, minlength=size))

    mails, deliveries = scan.mails, scan.deliveries
    final = deliveries.loc[deliveries["final"], ["time", "spam"]]
    spam = final["spam"]
    by_direction = tuple(Series(name, counted(mails.loc[mails["direction"] == name, "first"])) for name in DIRECTIONS)
    tagged = (
        Series("tagged", counted(final.loc[spam.fillna(False).astype(bool), "time"])),
        Series("untagged", counted(final.loc[(~spam.fillna(True)).astype(bool), "time"])),
        Series("no verdict", counted(final.loc[spam.isna(), "time"])),
    )
    findings = []
    for check in report.checks:
        times = [case.get("time") for f in check.findings if f.severity != "note" for case in f.cases]
        stamps = pd.Series(pd.to_datetime([t for t in times if t], utc=True, format="ISO8601"))
        if len(stamps):
            findings.append(Series(check.name, counted(stamps)))
    return Traffic(
        hours=hours,
        step=step,
        by_direction=by_direction,
        tagged=tagged,
        tagged_by_origin=_by_origin(scan),
        findings=tuple(findings),
        listings=tuple(_listings(scan, zone)),
    )


ORIGIN_WORDS = {
    "outside": "from outside",
    "authenticated": "users with a login",
    "local": "programs on this host",
    "network": "hosts of the own network",
    "generated": "made by Postfix",
    "unknown": "opened before the log",
}


def _by_origin(scan: Scan) -> tuple[tuple[str, int, int], ...]:
    deliveries = scan.deliveries
    final = deliveries.loc[
        deliveries["final"] & (deliveries["mail"] >= 0) & deliveries["spam"].notna(), ["mail", "spam"]
    ]
    origin = scan.mails["origin"].iloc[final["mail"].to_numpy()]
    spam = final["spam"].to_numpy(dtype=np.bool_)
    counted = []
    for name, words in ORIGIN_WORDS.items():
        mine = (origin == name).to_numpy()
        if mine.any():
            counted.append((words, int((mine & spam).sum()), int((mine & ~spam).sum())))
    return tuple(counted)


def _top(values: pd.Series, most: int = MOST_ROWS) -> tuple[tuple[tuple[Any, ...], ...], int]:
    """Return the most frequent values with their counts, equal ones in alphabetical order, and how many values there are."""
    codes, names = texts.coded(values)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    there = np.flatnonzero(counts)
    least = np.sort(counts[there])[-most] if len(there) > most else 1
    rows = sorted((-int(counts[at]), str(names.iat[at])) for at in there[counts[there] >= least].tolist())
    return tuple((name, -count) for count, name in rows[:most]), len(there)


def _reason(reply: pd.Series) -> pd.Series:
    """Fold addresses, numbers and IDs out of replies, so that like reasons count together."""
    return texts.each(reply.fillna(""), _folded)


def _folded(reply: pd.Series) -> pd.Series:
    text = reply.str.slice(0, 300)
    for pattern, to in (
        (r"<[^<>]*>", "<…>"),
        (r"\[[0-9A-Fa-f.:]+\](?::\d+)?", "[…]"),
        (r"\b(?=\w*\d)[0-9A-Za-z]{8,}\b", "…"),
        (r"\d{4,}", "…"),
    ):
        text = text.str.replace(pattern, to, regex=True)
    return text


def _listings(scan: Scan, zone: tzinfo) -> Iterable[Listing]:
    mails, deliveries = scan.mails, scan.deliveries
    wanted = ["mailbox", "outside", "recipient", "relay", "delay", "delays"]
    final = deliveries.loc[deliveries["final"], wanted]
    rows, total = _top(mails["sender"].where(mails["sender"] != "", "<>"))
    yield Listing("senders", "Senders", "Envelope senders by mails.", ("sender", "mails"), rows, total)
    rows, total = _top(final["mailbox"].where(~final["outside"], final["recipient"]))
    yield Listing(
        "recipients",
        "Recipients",
        "Mailboxes and outside addresses by deliveries.",
        ("recipient", "deliveries"),
        rows,
        total,
    )
    rows, total = _top(final["relay"])
    yield Listing(
        "relays", "Next hops", "Where mail was delivered to, filters left out.", ("relay", "deliveries"), rows, total
    )
    yield from _delays(final)
    for status, title in (("deferred", "Deferred"), ("bounced", "Bounced")):
        some = deliveries[deliveries["last"] & ~deliveries["hop"] & (deliveries["status"] == status)]
        rows, total = _top(_reason(some["reply"]))
        yield Listing(
            status,
            title,
            f"Recipients {status} at last, by reason; numbers and addresses folded.",
            ("reason", "recipients"),
            rows,
            total,
        )
    rejects = scan.events("rejects")
    refused = rejects[rejects["action"].isin(["reject", "milter-reject", "proxy-reject"])]
    rows, total = _top(_reason(refused["text"]))
    yield Listing("rejects", "Refused", "Refused before the queue, by reason.", ("reason", "times"), rows, total)
    yield _logins(scan)
    stores = scan.events("stores")
    rows, total = _top(stores["action"])
    yield Listing(
        "stores", "Mailbox outcomes", "What Dovecot and Sieve did with mail.", ("outcome", "mails"), rows, total
    )
    folders = stores.loc[stores["action"] == "stored", "mailbox"]
    rows, total = _top(folders)
    yield Listing("folders", "Folders", "Folders that mail was stored in.", ("folder", "mails"), rows, total)


def _delays(final: pd.DataFrame) -> Iterable[Listing]:
    codes, values = texts.coded(final["delays"])
    parts = values.str.split("/", n=3, expand=True)
    if parts.empty or parts.shape[1] != 4:
        return
    rows: list[tuple[Any, ...]] = []
    columns = [("in all", final["delay"].to_numpy(dtype=np.float64))]
    names = ("before the queue", "in the queue", "connecting", "transmitting")
    for i, name in enumerate(names):
        seconds = pd.to_numeric(parts[i], errors="coerce").to_numpy(dtype=np.float64)
        columns.append((name, seconds[codes[codes >= 0]]))
    for name, column in columns:
        known = column[np.isfinite(column)]
        if len(known):
            p50, p90, p99 = (round(float(v), 2) for v in np.percentile(known, (50, 90, 99)))
            rows.append((name, p50, p90, p99, round(float(known.max()), 2)))
    yield Listing(
        "delays",
        "Delays",
        "Seconds from arrival to delivery, and where they were spent (Postfix' delays=a/b/c/d).",
        ("part", "median", "90 %", "99 %", "longest"),
        tuple(rows),
        len(rows),
    )


def _logins(scan: Scan) -> Listing:
    logins = scan.events("logins")
    good = logins[logins["event"] == "login"].groupby("user", observed=True).size()
    bad = (
        logins[logins["event"].isin(["failed", "aborted"]) & logins["user"].notna()]
        .groupby("user", observed=True)
        .size()
    )
    both = pd.DataFrame({"good": good, "bad": bad}).fillna(0).astype(int)
    both = both[both.index != ""].sort_values(["bad", "good"], ascending=False)
    rows = tuple(
        (str(user), int(row.good), int(row.bad)) for user, row in zip(both.index, both.itertuples(), strict=True)
    )
    return Listing(
        "logins",
        "Logins",
        "IMAP, POP3 and ManageSieve logins per user.",
        ("user", "logins", "failed"),
        rows[:MOST_ROWS],
        len(rows),
    )


# --- the way of the mail -------------------------------------------------------------------------------------------


def flow(scan: Scan, report: Report) -> Flow:
    """Return nodes and edges: listeners → filter → re-injection → mailboxes or outside, edges by recipients or mails."""
    entries, deliveries = scan.entries, scan.deliveries
    if entries.empty:
        return Flow()
    nodes: dict[str, FlowNode] = {}
    edges: dict[tuple[str, str], int] = {}
    via: dict[tuple[str, str], set[str]] = {}

    def node(key: str, label: str, kind: str, detail: str = "") -> str:
        nodes.setdefault(key, FlowNode(key, label, kind, detail))
        return key

    def edge(source: str, target: str, count: int, mark: Sequence[str] = ()) -> None:
        if count and source != target:
            edges[source, target] = edges.get((source, target), 0) + int(count)
            via.setdefault((source, target), set()).update(mark)

    back = (entries["leg"] == "filter").to_numpy()
    keys, places = _listeners(scan, back)
    for place in places:
        node(*place)
    _sources(scan, keys, back, node, edge)
    entry = deliveries["entry"].to_numpy()
    valid = (entry >= 0) & (deliveries["mail"].to_numpy() >= 0)
    whence = np.where(valid, np.append(keys.codes, -1)[entry], -1)
    hops = (whence >= 0) & ev.filter_hops(scan)
    relays = deliveries["relay"].cat.categories
    ids = _problem_ids(report)
    for source, relay, count in _counted(whence[hops], deliveries["relay"].cat.codes.to_numpy()[hops]):
        name = str(relays[relay]) if relay >= 0 else ""
        edge(keys.values[source], node(f"filter:{name}", _relay_label(name), "filter", name), count)
    final = (whence >= 0) & deliveries["final"].to_numpy()
    for source, outside, count in _counted(whence[final], deliveries["outside"].to_numpy()[final].astype(np.int64)):
        target = node("outside", "outside", "outside") if outside else node("store", "mailboxes here", "store")
        edge(keys.values[source], target, count)
    _returns(scan, keys, edge)
    edge_list = [
        FlowEdge(a, b, count, "", tuple(sorted(via.get((a, b), set()) | _marks(a, b, ids))))
        for (a, b), count in edges.items()
    ]
    used = {e.source for e in edge_list} | {e.target for e in edge_list}
    return Flow(tuple(n for n in nodes.values() if n.key in used), tuple(sorted(edge_list, key=lambda e: -e.count)))


@dataclass
class _Keys:
    """Each entry's code of the service it came in by (int64, -1 for none), and by code the node's key."""

    codes: npt.NDArray[np.int64]
    values: list[str]


def _counted(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> Iterable[tuple[int, int, int]]:
    """Return how often each pair of codes (-1 or more) comes, in their order: that of the lines must not show in the map."""
    if not len(one):
        return
    width = int(other.max()) + 2
    for pair, count in zip(*np.unique(one * width + other + 1, return_counts=True), strict=True):
        yield int(pair) // width, int(pair) % width - 1, int(count)


def _listeners(scan: Scan, back: npt.NDArray[np.bool_]) -> tuple[_Keys, list[tuple[str, str, str, str]]]:
    """Return each entry's service, and the services as nodes.

    On one port, logins and programs of this host are nodes of their own: their way into the filter may be the wrong one.
    """
    columns = [scan.entries[name] for name in ("service", "program", "origin")]
    codes = [column.cat.codes.to_numpy().astype(np.int64) for column in columns]
    names = [[*map(str, column.cat.categories), ""] for column in columns]
    whole = combine(*codes, back.astype(np.int64))
    kinds, first, of_entry = np.unique(whole, return_index=True, return_inverse=True)
    keys: list[str] = []
    places: list[tuple[str, str, str, str]] = []
    code_of = np.full(len(kinds), -1, np.int64)
    for kind, row in enumerate(first.tolist()):
        service, daemon, origin = (names[i][codes[i][row]] for i in range(3))
        if not daemon:
            continue
        place = _listener(scan, service, daemon, origin, bool(back[row]))
        if place[0] not in keys:
            keys.append(place[0])
        places.append(place)
        code_of[kind] = keys.index(place[0])
    return _Keys(code_of[of_entry], keys), places


def _listener(scan: Scan, service: str, daemon: str, origin: str, back: bool) -> tuple[str, str, str, str]:
    tag = f"{service}/{daemon}"
    if back:
        return (f"back:{tag}", "re-injection", "reinjection", tag)
    if daemon == "pickup":
        return ("listener:pickup", "sendmail, cron", "listener", tag)
    port, sure = ev.port_of(scan, scan.settings, service)
    name = f"port {port}" if port else tag
    detail = tag + ("" if sure == "high" else ", port inferred")
    if origin == "authenticated" and port == 25:
        return (f"listener:{tag}:login", f"{name}, login", "listener", detail)
    if origin == "local":
        return (f"listener:{tag}:local", f"{name}, this host", "listener", detail)
    return (f"listener:{tag}", name, "listener", detail)


def _relay_label(relay: str) -> str:
    low = relay.lower()
    for name in ("dspam", "amavis", "rspamd", "spampd"):
        if name in low:
            return name.upper() if name == "dspam" else name
    return "filter"


def _sources(scan: Scan, keys: _Keys, back: npt.NDArray[np.bool_], node: Any, edge: Any) -> None:
    words = {
        "outside": ("strangers", "strangers"),
        "authenticated": ("users", "users with a login"),
        "local": ("programs", "local programs"),
        "network": ("network", "own network"),
        "unknown": ("before", "opened before the log"),
    }
    entries = scan.entries
    begun = (entries["mail"].to_numpy() >= 0) & ~back & (keys.codes >= 0)
    origin = entries["origin"].cat.codes.to_numpy().astype(np.int64)
    for came, target, count in _counted(origin[begun], keys.codes[begun]):
        name = str(entries["origin"].cat.categories[came])
        if name in words:
            key, label = words[name]
            edge(node(f"source:{key}", label, "source"), keys.values[target], count)


def _returns(scan: Scan, keys: _Keys, edge: Any) -> None:
    """Edges from a filter to the service that takes its mail back."""
    legs = scan.legs[(scan.legs["kind"] == "filter")]
    relays = scan.deliveries["relay"]
    names = [*map(str, relays.cat.categories), ""]
    usual = relays[scan.deliveries["hop"]].astype("str").mode()
    relay = np.append(relays.cat.codes.to_numpy().astype(np.int64), -1)[legs["delivery"].to_numpy()]
    target = keys.codes[legs["child"].to_numpy()]
    for to, code, count in _counted(target[target >= 0], relay[target >= 0]):
        source = names[code] or (str(usual.iloc[0]) if len(usual) else "")
        if source:
            edge(f"filter:{source}", keys.values[to], count)


def _problem_ids(report: Report) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for check in report.checks:
        out[check.name] = tuple(f.id for f in check.findings if f.counts)
    return out


def _marks(source: str, target: str, ids: dict[str, tuple[str, ...]]) -> set[str]:
    """Return the findings that make a whole edge wrong."""
    marks: set[str] = set()
    into_filter = target.startswith("filter:") and source.startswith("listener:")
    for end in (source, target) if into_filter or source.startswith("source:") else ():
        if end.endswith(":login"):
            marks.update(ids["authenticated-port-25"])
        if into_filter and (end.endswith(":local") or end == "listener:pickup"):
            marks.update(ids["local-mail-filtered"])
    if into_filter and not source.endswith((":login", ":local")):
        marks.update(ids["alias-owns-hash"])
    if source.startswith("back:") and target == "store":
        marks.update(ids["duplicate-delivery"])
    if source.startswith("back:") and target == "outside":
        marks.update(ids["outgoing-tagged-spam"])
    return marks


def hours_text(hours: Sequence[datetime]) -> list[str]:
    """Return the buckets' beginnings as short texts."""
    return [hour.strftime("%d %b %H:%M") for hour in hours]
