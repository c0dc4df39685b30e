"""The way mail really takes through this server, from the logs: sources → listeners → filter → re-injection → ends.

One unit throughout: recipients, as they are at the end of their way. Each end is followed back, life by life, to who handed
the mail in, so that what goes into a place also leaves it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.correlate.codes import combine
from logscan.report.accounts import ENDS, Ends, refusals
from logscan.report.model import Flow, FlowEdge, FlowNode, Report
from logscan.scan import ports
from logscan.scan.ports import entry_ports
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

SOURCES = {
    "outside": FlowNode("source:strangers", "strangers", "source", "other hosts"),
    "authenticated": FlowNode("source:users", "users with a login", "source"),
    "local": FlowNode("source:programs", "local programs", "source", "this host"),
    "network": FlowNode("source:network", "own network", "source"),
    "generated": FlowNode("source:postfix", "made by Postfix", "generator", "bounces, notices"),
    "unknown": FlowNode("source:before", "opened before", "source", "the log begins later"),
}
"""Who hands mail in, by the origin of an entry."""

PLACES = {
    "delivered": FlowNode("store", "mailboxes here", "store"),
    "program": FlowNode("program", "programs here", "store", "lists, scripts"),
    "outside": FlowNode("outside", "outside", "outside"),
    "deferred": FlowNode("waiting", "still waiting", "waiting", "deferred at last"),
    "untried": FlowNode("untried", "not tried", "waiting", "no attempt in the log"),
    "bounced": FlowNode("bounced", "bounced", "bounced", "told the sender"),
    "expired": FlowNode("expired", "expired", "expired", "too long in the queue"),
    "held": FlowNode("held", "held", "held", "on hold"),
    "discarded": FlowNode("discarded", "discarded", "discarded", "nobody gets it"),
    "open": FlowNode("open", "end not in the log", "open", "on its way"),
}
"""Where ways end, by :data:`logscan.report.accounts.ENDS`."""

REFUSED = FlowNode("refused", "refused", "refused", "before the queue")
FORWARDS = {
    "forward": FlowNode("forward:local", "forwarded", "forward", "aliases, .forward"),
    "redirect": FlowNode("forward:sieve", "redirected", "forward", "Sieve"),
    "list": FlowNode("forward:list", "sent on by lists", "forward", "programs"),
}
"""Lives that began on this server, by their leg."""

TAGGED = ("outgoing-tagged-spam", "internal-tagged-spam")
"""Checks whose findings name the deliveries of tagged mail: the way out is marked, whatever it is."""

DEEPEST = 200
"""Lives that a way is followed back: a loop ends at Postfix's hopcount_limit of 50."""


@dataclass
class _Map:
    """Nodes by code, and what went between them: codes from and to, recipients, mails."""

    nodes: list[FlowNode] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    parts: list[tuple[Ints, Ints, Ints, Ints]] = field(default_factory=list)

    def node(self, node: FlowNode) -> int:
        """Return the node's code."""
        if node.key not in self.codes:
            self.codes[node.key] = len(self.nodes)
            self.nodes.append(node)
        return self.codes[node.key]

    def add(self, source: Ints, target: Ints, weight: Ints, mail: Ints) -> None:
        """Note recipients that went from place to place; the mail is -1 where there is none."""
        rows = (source >= 0) & (target >= 0) & (source != target) & (weight > 0)
        if rows.any():
            self.parts.append((source[rows], target[rows], weight[rows], mail[rows]))

    def edges(self) -> list[tuple[str, str, int, int]]:
        """Return (from, to, recipients, mails), the strongest first, equal ones by their places."""
        if not self.parts:
            return []
        source, target, weight, mail = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        size = len(self.nodes)
        pair, which = np.unique(source * size + target, return_inverse=True)
        recipients = np.bincount(which, weights=weight).astype(np.int64)
        known = mail >= 0
        once = np.unique(combine(which[known].astype(np.int64), mail[known]), return_index=True)[1]
        mails = np.bincount(which[known][once], minlength=len(pair))
        out = [
            (self.nodes[at // size].key, self.nodes[at % size].key, int(count), int(number))
            for at, count, number in zip(pair.tolist(), recipients, mails, strict=True)
        ]
        return sorted(out, key=lambda edge: (-edge[2], edge[0], edge[1]))


def flow(scan: Window, report: Report, found: Ends) -> Flow:
    """Return nodes and edges of the map, the findings that make an edge wrong with them."""
    drawn = _Map()
    places = _places(scan, drawn)
    if len(scan.entries):
        _follow(scan, drawn, places, found)
    _refused(scan, drawn, places)
    ids = _problem_ids(report)
    own = _of_rows(scan, report, drawn, places)
    edges = tuple(
        FlowEdge(source, target, count, "", tuple(sorted(_marks(source, target, ids) | own[source, target])), mails)
        for source, target, count, mails in drawn.edges()
    )
    used = {edge.source for edge in edges} | {edge.target for edge in edges}
    return Flow(tuple(node for node in drawn.nodes if node.key in used), edges)


def _follow(scan: Window, drawn: _Map, places: Ints, found: Ends) -> None:
    """Follow each end back to its source, a life a turn."""
    entries = scan.entries
    back = (entries["leg"] == "filter").to_numpy()
    root, parent = entries["root"].to_numpy(), entries["parent"].to_numpy()
    origins = entries["origin"].cat.categories
    source = np.array([drawn.node(SOURCES[str(name)]) if name in SOURCES else -1 for name in origins], np.int64)
    of_entry = np.append(source, -1)[entries["origin"].cat.codes.to_numpy().astype(np.int64)]
    filters = _filters(scan, drawn, back)
    final = np.array([drawn.node(PLACES[name]) for name in ENDS], np.int64)
    relays = _relay_nodes(scan, drawn, found.via)
    at, weight, mail, head = found.entry, found.weight, found.mail, final[found.kind]
    through = relays[found.via]
    drawn.add(through, head, weight, mail)
    head = np.where(through >= 0, through, head)
    for _ in range(DEEPEST):
        for place in (places[at], np.where(back[at], filters[at], -1)):
            drawn.add(place, head, weight, mail)
            head = np.where(place >= 0, place, head)
        done = (root[at] == at) | (parent[at] < 0)
        drawn.add(of_entry[at[done]], head[done], weight[done], mail[done])
        if done.all():
            break
        at, weight, mail, head = parent[at[~done]], weight[~done], mail[~done], head[~done]


def _filters(scan: Window, drawn: _Map, back: npt.NDArray[np.bool_]) -> Ints:
    """Return, per entry that came out of a filter, the node of that filter; -1 for the others."""
    out = np.full(len(scan.entries), -1, np.int64)
    legs = scan.legs[scan.legs["kind"] == "filter"]
    if legs.empty:
        return out
    relays = scan.deliveries["relay"]
    codes = np.append(relays.cat.codes.to_numpy().astype(np.int64), -1)
    hops = codes[:-1][scan.deliveries["hop"].to_numpy()]
    hops = hops[hops >= 0]
    usual = int(np.bincount(hops).argmax()) if len(hops) else -1
    relay = codes[legs["delivery"].to_numpy()]
    relay = np.where(relay >= 0, relay, usual)
    nodes = _relay_nodes(scan, drawn, relay)
    nodes[-1] = drawn.node(FlowNode("filter:", "filter", "filter")) if (relay < 0).any() else -1
    out[legs["child"].to_numpy()] = nodes[relay]
    return out


def _relay_nodes(scan: Window, drawn: _Map, relays: Ints) -> Ints:
    """Return the node by code of relay, for the codes that occur; the last value is for -1."""
    names = scan.deliveries["relay"].cat.categories
    out = np.full(len(names) + 1, -1, np.int64)
    for code in np.unique(relays[relays >= 0]).tolist():
        name = str(names[code])
        out[code] = drawn.node(FlowNode(f"filter:{name}", _relay_label(name), "filter", name))
    return out


def _relay_label(relay: str) -> str:
    low = relay.lower()
    for name in ("dspam", "amavis", "rspamd", "spampd"):
        if name in low:
            return name.upper() if name == "dspam" else name
    return "filter"


def _places(scan: Window, drawn: _Map) -> Ints:
    """Return, per entry, the node of the service that it came in by; -1 for what came in by none.

    On one port, logins and programs of this host are nodes of their own: their way into the filter may be the wrong one.
    """
    columns = [scan.entries[name] for name in ("service", "program", "origin", "leg")]
    codes = [column.cat.codes.to_numpy().astype(np.int64) for column in columns]
    names = [[*map(str, column.cat.categories), ""] for column in columns]
    ports = entry_ports(scan, scan.settings)
    _, first, of_entry = np.unique(combine(*codes, ports.port), return_index=True, return_inverse=True)
    by_kind = np.full(len(first), -1, np.int64)
    for kind, row in enumerate(first.tolist()):
        service, daemon, origin, leg = (names[i][codes[i][row]] for i in range(4))
        if leg in FORWARDS:
            by_kind[kind] = drawn.node(FORWARDS[leg])
        elif daemon and leg not in ("requeue", "bounce"):
            known = (int(ports.port[row]), str(ports.sure[row])) if origin == "authenticated" else None
            by_kind[kind] = drawn.node(_listener(scan, service, daemon, origin, leg == "filter", known))
    out: Ints = by_kind[of_entry] if len(first) else np.empty(0, np.int64)
    return out


def _listener(
    scan: Window, service: str, daemon: str, origin: str, back: bool, login: tuple[int, str] | None = None
) -> FlowNode:
    """Return the node of a service; ``login`` is the port that a login came in by (0 unknown), and how sure that is."""
    tag = f"{service}/{daemon}"
    if back:
        return FlowNode(f"back:{tag}", "re-injection", "reinjection", tag)
    if daemon == "pickup":
        return FlowNode("listener:pickup", "sendmail, cron", "listener", tag)
    usual = ports.port_of(scan, scan.settings, service)
    port, sure = usual if login is None else login
    name = f"port {port}" if port else tag
    detail = tag + ("" if sure == "high" else ", port inferred" if port else ", port unknown")
    if login is not None and not port:
        return FlowNode(f"listener:{tag}:user", f"{tag}, login", "listener", detail)
    if login is not None and port != 25 and port != usual[0]:
        return FlowNode(f"listener:{tag}:{port}", name, "listener", detail)
    if origin == "authenticated" and port == 25:
        return FlowNode(f"listener:{tag}:login", f"{name}, login", "listener", detail)
    if origin == "local":
        return FlowNode(f"listener:{tag}:local", f"{name}, this host", "listener", detail)
    return FlowNode(f"listener:{tag}", name, "listener", detail)


def _refused(scan: Window, drawn: _Map, places: Ints) -> None:
    """Add who was refused before the queue: the life's own place where the line names one, else its service's."""
    rows = refusals(scan)
    if rows.empty:
        return
    entry = _entry_of(scan, rows)
    origin = np.select(
        [rows["sasl_username"].notna().to_numpy(), texts.where(rows["client_address"], _loopback)],
        [drawn.node(SOURCES["authenticated"]), drawn.node(SOURCES["local"])],
        drawn.node(SOURCES["outside"]),
    ).astype(np.int64)
    by_service = np.full(len(rows), -1, np.int64)
    pairs = rows.groupby(["service", "program"], observed=True, sort=False).indices
    for (service, daemon), where in pairs.items():
        by_service[where] = drawn.node(_listener(scan, str(service), str(daemon), "outside", False))
    place = np.where(entry >= 0, np.append(places, -1)[entry], -1)
    place = np.where(place >= 0, place, by_service)
    one, none = np.ones(len(rows), np.int64), np.full(len(rows), -1, np.int64)
    drawn.add(origin, place, one, none)
    drawn.add(place, np.full(len(rows), drawn.node(REFUSED), np.int64), one, none)


def _loopback(addresses: pd.Series) -> pd.Series:
    return addresses.str.startswith(("127.", "::1"))


def _entry_of(scan: Window, rows: pd.DataFrame) -> Ints:
    """Return the entry whose queue ID the line names, the last life of that ID; -1 for none."""
    named = rows[["host", "queue_id"]].astype("str")
    known = scan.entries.loc[scan.entries["queue_id"].isin(set(named["queue_id"])), ["host", "queue_id"]].astype("str")
    last = known.reset_index(names="entry").drop_duplicates(["host", "queue_id"], keep="last")
    joined = named.merge(last, on=["host", "queue_id"], how="left")
    found: Ints = joined["entry"].fillna(-1).to_numpy(dtype=np.int64)
    return found


def _of_rows(scan: Window, report: Report, drawn: _Map, places: Ints) -> dict[tuple[str, str], set[str]]:
    """Return the findings on tagged mail by the last edge of their deliveries' ways."""
    out: dict[tuple[str, str], set[str]] = defaultdict(set)
    entry, outside = scan.deliveries["entry"].to_numpy(), scan.deliveries["outside"].to_numpy()
    for finding in report.found:
        if not finding.counts or finding.check not in TAGGED:
            continue
        rows = np.array([row for row in finding.rows if 0 <= row < len(entry)], np.int64)
        for place, away in set(zip(places[entry[rows]].tolist(), outside[rows].tolist(), strict=True)):
            if place >= 0:
                out[drawn.nodes[place].key, PLACES["outside" if away else "delivered"].key].add(finding.id)
    return out


def _problem_ids(report: Report) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for check in report.checks:
        out[check.name] = tuple(f.id for f in check.findings if f.counts and not (check.name in TAGGED and f.rows))
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
