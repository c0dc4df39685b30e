"""The traffic part of a report: counts over time, top lists, and the way mail really takes through this server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan import evidence as ev
from logscan.correlate.build import DIRECTIONS
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
    final = deliveries[deliveries["final"]]
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
    final = scan.deliveries[scan.deliveries["final"] & (scan.deliveries["mail"] >= 0)]
    final = final[final["spam"].notna()]
    origin = scan.mails["origin"].astype("str").to_numpy()[final["mail"].to_numpy()]
    spam = final["spam"].astype(bool).to_numpy()
    return tuple(
        (words, int(((origin == name) & spam).sum()), int(((origin == name) & ~spam).sum()))
        for name, words in ORIGIN_WORDS.items()
        if (origin == name).any()
    )


def _top(values: pd.Series, most: int = MOST_ROWS) -> tuple[tuple[tuple[Any, ...], ...], int]:
    counts = values.dropna().astype("str").value_counts(sort=True)
    return tuple((str(k), int(v)) for k, v in counts.head(most).items()), len(counts)


def _reason(reply: pd.Series) -> pd.Series:
    """Fold addresses, numbers and IDs out of replies, so that like reasons count together."""
    text = reply.fillna("").str.slice(0, 300)
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
    final = deliveries[deliveries["final"]]
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
    ends = deliveries[deliveries["last"] & ~deliveries["hop"]]
    for status, title in (("deferred", "Deferred"), ("bounced", "Bounced")):
        some = ends[ends["status"].astype("str") == status]
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
    rows, total = _top(stores["action"].astype("str"))
    yield Listing(
        "stores", "Mailbox outcomes", "What Dovecot and Sieve did with mail.", ("outcome", "mails"), rows, total
    )
    folders = stores.loc[stores["action"] == "stored", "mailbox"]
    rows, total = _top(folders)
    yield Listing("folders", "Folders", "Folders that mail was stored in.", ("folder", "mails"), rows, total)


def _delays(final: pd.DataFrame) -> Iterable[Listing]:
    parts = final["delays"].dropna().str.split("/", n=3, expand=True)
    if parts.empty or parts.shape[1] != 4:
        return
    rows: list[tuple[Any, ...]] = []
    columns = [("in all", final["delay"])]
    names = ("before the queue", "in the queue", "connecting", "transmitting")
    columns += [(name, pd.to_numeric(parts[i], errors="coerce")) for i, name in enumerate(names)]
    for name, values in columns:
        known = values.dropna()
        if len(known):
            p50, p90, p99 = (round(float(v), 2) for v in np.percentile(known.to_numpy(dtype=float), (50, 90, 99)))
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
    counted = pd.DataFrame(
        {
            "from": np.append(keys, "")[entry],
            "hop": ev.filter_hops(scan),
            "final": deliveries["final"].to_numpy(),
            "outside": deliveries["outside"].to_numpy(),
            "relay": deliveries["relay"].astype("str").to_numpy(),
            "back": np.r_[back, False][entry],
        }
    )[valid]
    counted = counted[counted["from"] != ""]
    ids = _problem_ids(report)
    for (source, relay), some in ev.groups(counted[counted["hop"]], ["from", "relay"]):
        target = node(f"filter:{relay}", _relay_label(str(relay)), "filter", str(relay))
        edge(str(source), target, len(some))
    for (source, outside), some in ev.groups(counted[counted["final"]], ["from", "outside"]):
        target = node("outside", "outside", "outside") if outside else node("store", "mailboxes here", "store")
        edge(str(source), target, len(some))
    _returns(scan, keys, edge)
    edge_list = [
        FlowEdge(a, b, count, "", tuple(sorted(via.get((a, b), set()) | _marks(a, b, ids))))
        for (a, b), count in edges.items()
    ]
    used = {e.source for e in edge_list} | {e.target for e in edge_list}
    return Flow(tuple(n for n in nodes.values() if n.key in used), tuple(sorted(edge_list, key=lambda e: -e.count)))


def _listeners(scan: Scan, back: Any) -> tuple[Any, list[tuple[str, str, str, str]]]:
    """Return each entry's key of the service it came in by (empty for none), and those services as nodes.

    On one port, logins and programs of this host are nodes of their own: their way into the filter may be the wrong one.
    """
    entries = scan.entries
    service = entries["service"].astype("object").fillna("").to_numpy()
    program = entries["program"].astype("object").fillna("").to_numpy()
    origin = entries["origin"].astype("object").fillna("").to_numpy()
    codes, values = pd.MultiIndex.from_arrays([service, program, origin, np.asarray(back, np.bool_)]).factorize()
    keys, places = [], []
    for name, daemon, came, again in values:
        place = _listener(scan, str(name), str(daemon), str(came), bool(again)) if daemon else None
        keys.append(place[0] if place else "")
        if place:
            places.append(place)
    return np.asarray([*keys, ""], dtype=object)[codes], places


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


def _sources(scan: Scan, keys: Any, back: Any, node: Any, edge: Any) -> None:
    words = {
        "outside": ("strangers", "strangers"),
        "authenticated": ("users", "users with a login"),
        "local": ("programs", "local programs"),
        "network": ("network", "own network"),
        "unknown": ("before", "opened before the log"),
    }
    entries = scan.entries
    mails = entries["mail"].to_numpy() >= 0
    frame = pd.DataFrame({"origin": entries["origin"].astype("str"), "to": keys})[mails & ~back & (keys != "")]
    for (origin, target), some in ev.groups(frame, ["origin", "to"]):
        if origin in words:
            key, label = words[str(origin)]
            edge(node(f"source:{key}", label, "source"), str(target), len(some))


def _returns(scan: Scan, keys: Any, edge: Any) -> None:
    """Edges from a filter to the service that takes its mail back."""
    legs = scan.legs[(scan.legs["kind"] == "filter")]
    relay = np.append(scan.deliveries["relay"].astype("object").fillna("").to_numpy(), "")
    hops = scan.deliveries[scan.deliveries["hop"]]
    usual = hops["relay"].astype("str").mode()
    for (name, target), some in ev.groups(
        pd.DataFrame({"relay": relay[legs["delivery"].to_numpy()], "to": keys[legs["child"].to_numpy()]}),
        ["relay", "to"],
    ):
        source = str(name) or (str(usual.iloc[0]) if len(usual) else "")
        if target and source:
            edge(f"filter:{source}", str(target), len(some))


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
