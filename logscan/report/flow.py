"""The way mail really takes through this server, from the logs: sources → listeners → filter → re-injection → ends.

One unit throughout: recipients, as they are at the end of their way. Each end is followed back, life by life, to who handed
the mail in, so that what goes into a place also leaves it.

A window counts ways between *places*, which are texts: a node's key, a station (:mod:`logscan.scan.stations`), or the
filter that mail went through where no line tells which. Which node a place is, is known when all windows are seen. Two places may
be one node then; so that each mail is counted once, mails that took the same ways lie in one *course*.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.checking.check import all_checks
from logscan.report.accounts import ENDS, Ends, ends, refusals
from logscan.report.keyed import counted
from logscan.report.model import Flow, FlowEdge, FlowNode, Report
from logscan.report.tallies import groups
from logscan.scan import ports
from logscan.scan.columns import column, joined, values
from logscan.scan.stations import station_of, stations
from logscan.tables.coded import Coded
from logscan.tables.grouping import combine, numbered, ordered
from logscan.tables.partials import Keyed, Partial, hashes, mixed

if TYPE_CHECKING:
    from logscan.findings import Confidence
    from logscan.scan.log import Log
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


DEEPEST = 200
"""Lives that a way is followed back: a loop ends at Postfix's hopcount_limit of 50."""

USUAL = "the usual filter"
"""The place of mail that a filter handed back though no line tells which: it stands for the one most mail is handed to."""


class _Ways:
    """Places by code, and what went between them: codes from and to, recipients, mails."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.parts: list[tuple[Ints, Ints, Ints, Ints]] = []

    def code(self, place: str) -> int:
        """Return the place's code."""
        return self.places.setdefault(place, len(self.places))

    def codes(self, places: Iterable[str]) -> Ints:
        """Return the places' codes, and -1 behind them, for none."""
        return np.array([*map(self.code, places), -1], np.int64)

    def add(self, source: Ints, target: Ints, weight: Ints, mail: Ints) -> None:
        """Note recipients that went from place to place; the mail is -1 where there is none."""
        rows = (source >= 0) & (target >= 0) & (source != target) & (weight > 0)
        if rows.any():
            self.parts.append((source[rows], target[rows], weight[rows], mail[rows]))

    def counted(self) -> Keyed:
        """Return recipients and mails by course and edge (``source``, ``target``)."""
        none = np.empty(0, np.int64)
        every = zip(*self.parts, strict=True) if self.parts else ([none] for _ in range(4))
        source, target, weight, mail = (np.concatenate(part) for part in every)
        if not len(mail):
            return NO_WAYS
        row, first = numbered(combine(mail, source, target))
        weights = np.bincount(row, weights=weight, minlength=len(first)).astype(np.int64)
        # Those of one mail one after the other.
        order = ordered(mail[first] + 1)
        source, target, mail = source[first][order], target[first][order], mail[first][order]
        course = _courses(self._hashes(source, target), mail)
        row, of_edge = numbered(combine(np.unique(course, return_inverse=True)[1], source, target))
        names = [*self.places]
        columns = {
            "course": course[of_edge],
            "source": Coded(source[of_edge], names).texts(),
            "target": Coded(target[of_edge], names).texts(),
            "recipients": np.bincount(row, weights=weights[order], minlength=len(of_edge)).astype(np.int64),
            "mails": np.bincount(row[mail >= 0], minlength=len(of_edge)),
        }
        return Keyed.of(columns, sums=("recipients", "mails"), once=True)

    def _hashes(self, source: Ints, target: Ints) -> Ints:
        """Return a hash of each edge, the same in each window."""
        of_place = hashes(self.places)
        return mixed(of_place[source], of_place[target])


NO_WAYS = Keyed.of(
    {
        "course": np.empty(0, np.int64),
        **dict.fromkeys(("source", "target"), pa.array([], pa.string())),
        **dict.fromkeys(("recipients", "mails"), np.empty(0, np.int64)),
    },
    sums=("recipients", "mails"),
)


def _courses(edge: Ints, mail: Ints) -> Ints:
    """Return, per row of a mail's edges (each once, mails in order), a number for all of its edges; 0 without a mail."""
    start = np.flatnonzero(np.r_[True, mail[1:] != mail[:-1]])
    course = np.repeat(np.add.reduceat(edge, start), np.diff(np.r_[start, len(mail)]))
    return np.where(mail >= 0, course, 0)


def look(window: Window) -> Partial:
    """Return what went from place to place in one window, how much mail each filter was handed, and what tells ports."""
    ways = _Ways()
    if len(window.entries):
        _follow(window, ways, ends(window))
    _refused(window, ways)
    relay = joined(window, "deliveries", "relay").take(values(window, "deliveries", "hop"))
    hops = groups(relay.take(relay.codes >= 0))
    filters = counted(hops, ("relay",), {"n": hops.count()})
    return Partial({"ways": ways.counted(), "filters": filters, **ports.look(window, window.settings)})


def _follow(window: Window, ways: _Ways, found: Ends) -> None:
    """Follow each end back to its source, a life a turn."""
    back = joined(window, "entries", "leg").is_in("filter")
    root, parent = values(window, "entries", "root"), values(window, "entries", "parent")
    origin = joined(window, "entries", "origin")
    of_entry = np.append(
        np.array([ways.code(SOURCES[name].key) if name in SOURCES else -1 for name in origin.values], np.int64), -1
    )[origin.codes]
    station = stations(window, window.settings)
    places = ways.codes(station.texts)[station.code]
    filters = _filters(window, ways)
    final = ways.codes(PLACES[name].key for name in ENDS)
    relays = _relays(window, ways, found.via)
    at, weight, mail, head = found.entry, found.weight, found.mail, final[found.kind]
    through = relays[found.via]
    ways.add(through, head, weight, mail)
    head = np.where(through >= 0, through, head)
    for _ in range(DEEPEST):
        for place in (places[at], np.where(back[at], filters[at], -1)):
            ways.add(place, head, weight, mail)
            head = np.where(place >= 0, place, head)
        done = (root[at] == at) | (parent[at] < 0)
        ways.add(of_entry[at[done]], head[done], weight[done], mail[done])
        if done.all():
            break
        at, weight, mail, head = parent[at[~done]], weight[~done], mail[~done], head[~done]


def _filters(window: Window, ways: _Ways) -> Ints:
    """Return, per entry that came out of a filter, the place of that filter; -1 for the others."""
    out = np.full(len(window.entries), -1, np.int64)
    legs = np.flatnonzero(joined(window, "legs", "kind").is_in("filter"))
    codes = np.append(joined(window, "deliveries", "relay").codes, -1)
    relay = codes[values(window, "legs", "delivery")[legs]]
    nodes = _relays(window, ways, relay)
    if (relay < 0).any():
        nodes[-1] = ways.code(USUAL)
    out[values(window, "legs", "child")[legs]] = nodes[relay]
    return out


def _relays(window: Window, ways: _Ways, relays: Ints) -> Ints:
    """Return the place of the filter by code of relay, for the codes that occur; the last value is for -1."""
    names = joined(window, "deliveries", "relay")
    out = np.full(len(names.words) + 1, -1, np.int64)
    for code in Coded(relays, names.words).used().tolist():
        out[code] = ways.code(f"filter:{names.values[code]}")
    return out


def _refused(window: Window, ways: _Ways) -> None:
    """Add who was refused before the queue: the life's own place where the line names one, else its service's."""
    rows, entry = refusals(window)
    if not len(rows):
        return
    login, address, service, daemon = (
        column(window, "rejects", name).take(rows) for name in ("sasl_username", "client_address", "service", "program")
    )
    strangers, local, users = (ways.code(SOURCES[name].key) for name in ("outside", "local", "authenticated"))
    origin = np.where(login.codes >= 0, users, np.where(address.having(_loopback), local, strangers))
    by = groups(service, daemon)
    of_group = [
        ways.code(station_of(service.values[of_service], daemon.values[of_daemon], "outside", ""))
        if of_service >= 0 and of_daemon >= 0
        else -1
        for of_service, of_daemon in zip(service.codes[by.first].tolist(), daemon.codes[by.first].tolist(), strict=True)
    ]
    station = stations(window, window.settings)
    place = np.append(ways.codes(station.texts)[station.code], -1)[entry]
    place = np.where(place >= 0, place, np.array(of_group, np.int64)[by.of_row])
    one, none = np.ones(len(rows), np.int64), np.full(len(rows), -1, np.int64)
    ways.add(origin, place, one, none)
    ways.add(place, np.full(len(rows), ways.code(REFUSED.key), np.int64), one, none)


def _loopback(address: str) -> bool:
    return address.startswith(("127.", "::1"))


# --- when all windows are seen ----------------------------------------------------------------------------------------

KINDS = (
    "source", "generator", "listener", "filter", "reinjection", "forward", "store", "outside", "waiting", "bounced",
    "expired", "held", "discarded", "refused", "open",
)  # fmt: skip
"""The kinds of nodes, as mail passes them."""

NODES = {node.key: node for node in (*SOURCES.values(), *PLACES.values(), REFUSED)}


def flow(partial: Partial, log: Log, report: Report) -> Flow:
    """Return nodes and edges of the map, the findings that make an edge wrong with them."""
    frame = partial.frame("ways")
    known = ports.concluded(partial, log)
    nodes = _nodes(sorted({*frame["source"], *frame["target"]}), partial, known)
    problems, own = _problem_ids(report), _of_places(known, report)
    edges = tuple(
        FlowEdge(
            source, target, count, "", tuple(sorted(_marks(source, target, problems) | own[source, target])), mails
        )
        for source, target, count, mails in _edges(frame, nodes)
    )
    used = {edge.source for edge in edges} | {edge.target for edge in edges}
    by_key = {node.key: node for node in nodes.values()}
    order = sorted(used, key=lambda key: (KINDS.index(by_key[key].kind), key))
    return Flow(tuple(by_key[key] for key in order), edges)


def _edges(frame: pd.DataFrame, nodes: dict[str, FlowNode]) -> list[tuple[str, str, int, int]]:
    """Return (from, to, recipients, mails), the strongest first, equal ones by their places."""
    keys = {place: node.key for place, node in nodes.items()}
    some = frame.assign(source=frame["source"].map(keys), target=frame["target"].map(keys))
    some = some[some["source"] != some["target"]]
    # Where two places are one node, a mail that passed both passed it once.
    mails = some.groupby(["course", "source", "target"])["mails"].max().groupby(["source", "target"]).sum()
    recipients = some.groupby(["source", "target"])["recipients"].sum()
    out = [(*edge, int(count), int(mails[edge])) for edge, count in recipients.items()]
    return sorted(out, key=lambda edge: (-edge[2], edge[0], edge[1]))


def _nodes(places: list[str], partial: Partial, known: ports.Ports) -> dict[str, FlowNode]:
    """Return the node of each place."""
    fields = {place: json.loads(place) for place in places if place.startswith("[")}
    logins = [place for place, each in fields.items() if len(each) > LOGIN]
    found = known.of(pd.DataFrame([fields[place][LOGIN:] for place in logins], columns=list(ports.DOOR)))
    sure = dict(zip(logins, zip(found.port.tolist(), found.sure.tolist(), strict=True), strict=True))
    return {
        place: _station(known, fields[place], sure.get(place, (0, "low")))
        if place in fields
        else NODES.get(place) or _filter(_usual(partial) if place == USUAL else place.removeprefix("filter:"))
        for place in places
    }


LOGIN = 4
"""Where a station's fields tell a login's port."""


def _usual(partial: Partial) -> str:
    """Return the relay that most mail was handed to; empty where none was."""
    frame = partial.frame("filters").sort_values(["n", "relay"], ascending=[False, True])
    return "" if frame.empty else str(frame["relay"].iat[0])


def _filter(relay: str) -> FlowNode:
    return FlowNode(f"filter:{relay}", _relay_label(relay), "filter", relay)


def _relay_label(relay: str) -> str:
    low = relay.lower()
    for name in ("dspam", "amavis", "rspamd", "spampd"):
        if name in low:
            return name.upper() if name == "dspam" else name
    return "filter"


def _station(known: ports.Ports, fields: list[str], login: tuple[int, Confidence]) -> FlowNode:
    """Return the node of a station; ``login`` is the port that a login came in by (0 unknown), and how sure that is."""
    if len(fields) == 1:
        return FORWARDS[fields[0]]
    service, daemon, origin, back = fields[:LOGIN]
    tag = f"{service}/{daemon}"
    if back:
        return FlowNode(f"back:{tag}", "re-injection", "reinjection", tag)
    if daemon == "pickup":
        return FlowNode("listener:pickup", "sendmail, cron", "listener", tag)
    usual = known.port_of(service)
    port, sure = login if origin == "authenticated" else usual
    name = f"port {port}" if port else tag
    detail = tag + ("" if sure == "high" else ", port inferred" if port else ", port unknown")
    if origin == "authenticated" and not port:
        return FlowNode(f"listener:{tag}:user", f"{tag}, login", "listener", detail)
    if origin == "authenticated" and port not in (25, usual[0]):
        return FlowNode(f"listener:{tag}:{port}", name, "listener", detail)
    if origin == "authenticated" and port == 25:
        return FlowNode(f"listener:{tag}:login", f"{name}, login", "listener", detail)
    if origin == "local":
        return FlowNode(f"listener:{tag}:local", f"{name}, this host", "listener", detail)
    return FlowNode(f"listener:{tag}", name, "listener", detail)


def _of_places(known: ports.Ports, report: Report) -> dict[tuple[str, str], set[str]]:
    """Return the findings on tagged mail by the last edge of their deliveries' ways."""
    out: dict[tuple[str, str], set[str]] = defaultdict(set)
    for finding in report.found:
        for place in finding.places if finding.counts and finding.check in own_edges() else ():
            text = station_of(place.service, place.program, place.origin, place.leg)
            if text and not place.stopped:
                node = _station(known, json.loads(text), (place.port, "low"))
                out[node.key, PLACES["outside" if place.away else "delivered"].key].add(finding.id)
    return out


def own_edges() -> set[str]:
    """Return the checks whose findings tell the deliveries whose edges they mark."""
    return {each.name for each in all_checks() if each.own_edges}


def _problem_ids(report: Report) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for check in report.checks:
        own = check.name in own_edges()
        out[check.name] = tuple(f.id for f in check.findings if f.counts and not (own and f.places))
    return out


def _marks(source: str, target: str, ids: dict[str, tuple[str, ...]]) -> set[str]:
    """Return the findings that make a whole edge wrong: each check says which edges those are."""
    marking = [each for each in all_checks() if each.marks is not None and ids[each.name]]
    return {mark for each in marking if each.marks and each.marks(source, target) for mark in ids[each.name]}
