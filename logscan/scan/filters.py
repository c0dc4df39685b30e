"""Which filters judge mail of this server, on which way, and for which mails their logs would tell it.

A filter behind the queue (content_filter, FILTER) leaves its hand-overs in Postfix's log. One at the door (a milter, a
before-queue proxy) leaves nothing there: only its own log tells what it judged, and only for the times that it covers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan.aliases import through_filter
from logscan.scan.hops import NAMES, dspam_hops, filter_hops
from logscan.tables.grouping import by_code

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

KIND_OF = {"spamd": "spamassassin", "spampd": "spamassassin"}
"""The filter behind a verdict's program, where they differ."""

LOGS = {
    "dspam": "DSPAM's system.log of the same days (SystemLog on in dspam.conf; it lies in DSPAM's home{home})",
    "amavis": "amavis's own lines of the same days (they stand in mail.log, or in $logfile of amavisd.conf)",
    "rspamd": "rspamd.log of the same days (/var/log/rspamd/rspamd.log)",
    "spamassassin": "spamd's lines of the same days (they stand in mail.log, or where its option -s says)",
    "mailscanner": "MailScanner's lines of the same days (they stand in mail.log; Log Spam = yes in MailScanner.conf)",
    "spampd": "spampd's lines of the same days (they stand in mail.log)",
}
"""The log that tells a filter's verdicts, as a server that has this filter has it."""

NEAR = 30 * 60 * 10**9
"""A filter that judged a mail that long (ns) before and after another was alive meanwhile."""

FAR = 24 * 3600 * 10**9
"""Nor does its log's silence tell anything further away than that."""


def name_of(kind: str) -> str:
    """Return how a filter is called in a sentence."""
    return NAMES.get(kind, kind if kind not in ("", "other") else "the filter")


@dataclass(frozen=True)
class Filters:
    """The spam filters of this server, as far as log and configuration tell.

    ``door`` are those that judge before a mail is queued, by kind (``other``: one that only the configuration names, by
    an address that doesn't say what it is); ``queue``: some hand-over to a filter stands in the log.
    """

    queue: bool
    door: frozenset[str]
    proxies: bool
    """Those at the door are before-queue proxies, not milters."""
    unknown_milters: tuple[str, ...]
    """Addresses of milters of which nobody can tell what they are."""
    told: bool
    """main.cf and master.cf are at hand."""
    configured: bool
    """The configuration sends some mail through a filter."""
    log: bool
    """Some line of a filter at the door is at hand."""

    @property
    def none(self) -> bool:
        """Whether it is known that no mail meets a filter: the configuration names none, the log shows none."""
        return self.told and not self.configured and not self.queue and not self.door

    @property
    def unseen(self) -> bool:
        """Whether nothing at hand tells of a filter, nor that there is none."""
        return not self.queue and not self.door and not self.told

    @property
    def unknown(self) -> bool:
        """Whether a milter is all that there is, and nobody can tell whether it judges spam."""
        return not self.queue and self.door == {"other"} and not self.proxies


def filters(scan: Window, settings: Settings) -> Filters:
    """Return the filters of this server, found once."""
    cache: Filters | None = scan.__dict__.get("_filters")
    if cache is None:
        cache = scan.__dict__["_filters"] = _filters(scan, settings)
    return cache


def _filters(scan: Window, settings: Settings) -> Filters:
    queue = bool(filter_hops(scan).any() or _kept_in_queue(scan.deliveries).any())
    told = settings.known("postfix") and settings.known("master")
    door: set[str] = {setup.kind for setup in settings.filters if setup.via in ("milter", "smtpd_proxy_filter")}
    unknown = tuple(setup.destination for setup in settings.filters if setup.kind == "other" and setup.via == "milter")
    proxies = any(setup.via == "smtpd_proxy_filter" for setup in settings.filters)
    kinds = scan.verdicts["filter"].astype("str").replace(KIND_OF)
    at_door = _at_door(scan)
    if at_door.any():
        door |= set(kinds[at_door])
    behind = {setup.kind for setup in settings.filters if setup.via in ("content_filter", "FILTER")}
    joined = (scan.verdicts["entry"] >= 0).to_numpy()
    # rspamd's log of another day names no mail of this log: it still says that rspamd judges mail here, as a milter does.
    if "rspamd" in set(kinds) and not joined[(kinds == "rspamd").to_numpy()].any() and "rspamd" not in behind:
        door.add("rspamd")
    if door - {"other"} and not (told and unknown):
        door.discard("other")
    log = bool(kinds.isin(door).any())
    return Filters(queue, frozenset(door), proxies, unknown, told, bool(settings.filters), log)


def _at_door(scan: Window) -> Bools:
    """Return which verdicts were given on an entry at its door, not during a hand-over."""
    verdicts, deliveries = scan.verdicts, scan.deliveries
    entry = verdicts["entry"].to_numpy()
    handed = np.zeros(len(scan.entries) + 1, np.bool_)
    handed[deliveries["entry"].to_numpy()[filter_hops(scan)]] = True
    handed |= np.append(through_filter(scan), False)
    handed[-1] = False
    kept = deliveries["verdict_row"].to_numpy()[_kept_in_queue(deliveries)]
    found: Bools = np.asarray((entry >= 0) & ~handed[entry] & (verdicts["filter"] != "dspam").to_numpy(), np.bool_)
    found[kept[kept >= 0]] = False
    return found


KEPT = r"^2\d\d (?:\d\.\d\.\d )?(?:Ok, discarded|BLOCKED)|Reject, id="
"""What amavis and Proxmox answer to a mail that they keep back (Amavis.pm, one_response_for_all(); PMG's pmg-smtp-filter)."""


def _kept_in_queue(deliveries: pd.DataFrame) -> Bools:
    """Return which deliveries ended in a filter behind the queue, by its own words."""
    found = deliveries["reply"].str.contains(KEPT, regex=True, na=False).to_numpy(dtype=np.bool_)
    out: Bools = found & (deliveries["program"] != "discard").to_numpy(dtype=np.bool_)
    return out


def covered(scan: Window, settings: Settings, entry: Ints) -> Bools:
    """Return for which entries the log of the filters at the door was alive when they came in, on their host.

    Alive is a log that tells of other mails shortly before and after; or further away, as long as no mail from outside
    came in meanwhile of which it says nothing.
    """
    if not filters(scan, settings).door:
        return np.ones(len(entry), np.bool_)
    entries = scan.entries
    told = scan.verdicts["entry"].to_numpy()[_at_door(scan)]
    judged = np.zeros(len(entries), np.bool_)
    judged[told] = True
    host = entries["host"].cat.codes.to_numpy().astype(np.int64)
    at = entries["first"].dt.as_unit("ns").astype("int64").to_numpy()
    came_back = entries["leg"].isin(["filter", "forward", "redirect", "list", "bounce", "requeue"]).to_numpy()
    strange = (entries["origin"] == "outside").to_numpy() & entries["queued"].to_numpy() & ~came_back & ~judged
    out = np.zeros(len(entry), np.bool_)
    speaking, silent = by_code(host, judged), by_code(host, strange)
    for code, mine in by_code(host[entry], np.ones(len(entry), np.bool_)).items():
        if code in speaking:
            unjudged = at[silent[code]] if code in silent else at[:0]
            out[mine] = _alive(at[entry[mine]], np.sort(at[speaking[code]]), np.sort(unjudged))
    return out


def spared(scan: Window, settings: Settings, entry: Ints) -> Bools:
    """Return which entries came in by a service that, by the configuration, has no filter at the door.

    The configuration isn't believed of a service of whose mail some was judged at the door all the same.
    """
    if not filters(scan, settings).told:
        return np.zeros(len(entry), np.bool_)
    judges = {
        key for setup in settings.filters if setup.via in ("milter", "smtpd_proxy_filter") for key in setup.services
    }
    at_door = {each.tag for each in settings.entrances() if each.key in judges}
    free = {each.tag for each in settings.entrances()} - at_door
    entries = scan.entries
    tag = entries["service"].astype("str") + "/" + entries["program"].astype("str")
    free -= set(tag.iloc[np.unique(scan.verdicts["entry"].to_numpy()[_at_door(scan)])])
    found: Bools = tag.iloc[entry].isin(free).to_numpy(dtype=np.bool_)
    return found


def _alive(time: Ints, spoke: Ints, unjudged: Ints) -> Bools:
    """Return at which times (UTC ns) a log was alive that spoke then, and was silent about mails of these times."""
    after = np.searchsorted(spoke, time, "right")
    low, high = np.iinfo(np.int64).min // 2, np.iinfo(np.int64).max // 2
    before = np.append(spoke, low)[np.where(after > 0, after - 1, -1)]
    behind = np.append(spoke, high)[np.minimum(after, len(spoke))]
    near = (time - before <= NEAR) & (behind - time <= NEAR)
    silent = np.searchsorted(unjudged, behind, "left") > np.searchsorted(unjudged, before, "right")
    far = np.minimum(time - before, behind - time) <= FAR
    found: Bools = near | (far & ~silent)
    return found


def kinds_of(scan: Window, settings: Settings, rows: pd.DataFrame) -> list[str]:
    """Return the kinds of filter that these deliveries met, or may have, in the order of the alphabet.

    ``rows`` have ``entry``, ``verdict_row`` and ``passed``, as in :class:`logscan.scan.submitted.Own`.
    """
    found: set[str] = set()
    judged = rows["verdict_row"].to_numpy()
    found |= set(scan.verdicts["filter"].iloc[judged[judged >= 0]].astype("str").replace(KIND_OF))
    if rows["passed"].any():
        found |= set(behind_the_queue(scan, settings))
    if not rows["passed"].all():
        found |= filters(scan, settings).door
    return sorted(found - {""}) if len(found) == 1 else sorted(found - {"", "other"}) or sorted(found)


def behind_the_queue(scan: Window, settings: Settings) -> list[str]:
    """Return the kinds of the filters that mail is handed to from the queue, found once."""
    cache: list[str] | None = scan.__dict__.get("_behind_the_queue")
    if cache is None:
        cache = scan.__dict__["_behind_the_queue"] = _behind_the_queue(scan, settings)
    return cache


def _behind_the_queue(scan: Window, settings: Settings) -> list[str]:
    found: set[str] = set()
    found.update(each.kind for each in settings.filters if each.via in ("content_filter", "FILTER"))
    found.discard("other")
    if dspam_hops(scan).any():
        found.add("dspam")
    hops = scan.deliveries[filter_hops(scan)]
    judged = hops["verdict_row"].to_numpy()
    found |= set(scan.verdicts["filter"].iloc[judged[judged >= 0]].astype("str").replace(KIND_OF))
    if not found:
        names = [str(name) for name in hops["relay"].astype("str").unique()[:20]]
        services = [settings.postfix.service(name, "unix") for name in names if "[" not in name]
        names += [" ".join(each.args) for each in services if each]
        relays = " ".join(names).lower()
        for pattern, kind in (
            (r"amavis|:10024\b", "amavis"),
            (r"spamass|spamc|spamd|spampd", "spamassassin"),
            ("rspam", "rspamd"),
        ):
            if re.search(pattern, relays):
                found.add(kind)
    return sorted(found) or ["other"]


def logs_to_give(settings: Settings, kinds: list[str]) -> str:
    """Return which logs tell the verdicts of these filters."""
    home = settings.dspam.fact("Home")
    place = f", {home.value}" if home else ""
    named = [LOGS[kind].format(home=place) for kind in kinds if kind in LOGS]
    return " or ".join(named) or "the filter's own log of the same days"
