"""How a filter got hold of own mail, why, and what lets such mail past it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan import remedies
from logscan.findings import Remedy
from logscan.scan.filters import Filters, name_of

if TYPE_CHECKING:
    from logscan.settings import Settings


@dataclass(frozen=True)
class Way:
    """How a filter got hold of own mail: ``via`` queue (content_filter), hold (MailScanner), milter or proxy; its ``kind``.

    ``who`` handed it in: user, somebody of whom the port isn't known (login), program (of this host), network (mynetworks).
    """

    via: str
    kind: str
    who: str

    @property
    def name(self) -> str:
        """The filter's name in a sentence."""
        return name_of(self.kind)


def ways(known: Filters, rows: pd.DataFrame) -> list[Way]:
    """Return the way by which each row met a filter."""
    queue, door = known.behind, sorted(known.door)
    passed = rows["passed"].to_numpy(dtype=np.bool_)
    kind = rows["kind"].to_numpy(dtype=object)
    other = np.where(passed, queue[0] if len(queue) == 1 else "other", door[0] if len(door) == 1 else "other")
    kind = np.where(np.isin(kind, ["", "nan"]), other, kind)
    via = np.where(passed, "queue", "proxy" if known.proxies else "milter")
    via = np.where(kind == "mailscanner", "hold", via)
    login, local = rows["user"].notna().to_numpy(), (rows["came"] == "local").to_numpy()
    who = np.select([login & (rows["port"] > 0).to_numpy(), login, local], ["user", "login", "program"], "network")
    made: dict[tuple[str, str, str], Way] = {}
    each = zip(via.tolist(), kind.tolist(), who.tolist(), strict=True)
    return [made.setdefault(one, Way(*one)) for one in each]


def reason_why(settings: Settings, origin: str, way: Way) -> str:
    """Return why the filter gets this mail, in one sentence that fits the filter."""
    if way.kind == "pmg":
        return f"{way.name} judges outgoing mail by its rules too."
    if way.via == "queue":
        return WHY.get((origin, way.who), WHY.get((origin, ""), ""))
    whose = WHOSE.get(way.who if origin != "authenticated-port-25" else origin, "your users' own mail")
    if way.via == "hold":
        return f"{way.name} takes all mail that cleanup puts on hold (header_checks), {whose} too."
    if way.via == "proxy":
        return f"{way.name} stands before the queue (smtpd_proxy_filter) of a service that takes {whose} too."
    fact = settings.postfix.fact("smtpd_milters") if settings.known("postfix") else None
    if fact and way.who != "program":
        return f"{way.name} is a milter of every service (smtpd_milters, {fact.file}:{fact.line}), so it judges {whose} too."
    return f"{way.name} works as a milter, and judges {whose} like a stranger's."


WHOSE = {
    "authenticated-port-25": "mail that users submit on port 25",
    "program": "mail of scripts and cron jobs on this host",
    "network": "mail of hosts in mynetworks",
}

WHY = {
    ("authenticated-port-25", ""): "Mail submitted with a login on port 25 goes through that port's content_filter.",
    ("local-script", ""): "Mail of scripts and cron jobs on this host enters by a service that has the content_filter.",
    ("local-script", "network"): "Mail of hosts in mynetworks enters by a service that has the content_filter.",
    ("submission-filtered", ""): "The submission service has a content_filter.",
    (
        "submission-filtered",
        "login",
    ): "The service by which users log in has a content_filter; its port the log doesn't tell.",
    ("all-filtered", ""): "content_filter is set for all services (main.cf).",
}


def remedy(settings: Settings, origin: str, way: Way, programs: frozenset[str]) -> Remedy:
    """Return what mends mail of that origin being filtered in that way; ``programs`` took it in (smtpd, pickup)."""
    pickup, others = "pickup" in programs, bool(programs - {"pickup"})
    if way.kind == "pmg":
        return remedies.spare_by_pmg()
    if way.via == "milter":
        return remedies.spare_by_milter(settings, origin, way.kind, pickup=pickup)
    if way.via == "hold":
        return remedies.spare_from_hold(origin, pickup=pickup)
    if way.via == "proxy":
        return remedies.spare_by_proxy(settings, origin)
    if way.who == "network" and origin == "local-script":
        return remedies.unfilter_network(settings)
    if origin == "authenticated-port-25":
        return remedies.move_to_submission(settings, None)
    if origin == "submission-filtered":
        return remedies.unfilter_submission(settings)
    if origin == "all-filtered":
        return remedies.filter_port_25_only(settings, loopback=others and way.who == "program")
    return remedies.unfilter_local(settings, pickup=pickup, loopback=others)
