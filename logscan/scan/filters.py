"""Which filters judge mail of this server, on which way, and for which mails their logs would tell it.

A filter behind the queue (content_filter, FILTER) leaves its hand-overs in Postfix's log. One at the door (a milter, a
before-queue proxy) leaves nothing there: only its own log tells what it judged, and only for the times that it covers.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import distinct, take
from logscan.scan import coded
from logscan.scan.covering import at_door, said_kept
from logscan.scan.hops import NAMES, dspam_hops, filter_hops
from logscan.scan.memo import per_window
from logscan.scan.submitted import KIND_OF
from logscan.tables import texts
from logscan.tables.partials import Keyed, Mergeable, Partial

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

LOGS = {
    "dspam": "DSPAM's system.log of the same days (SystemLog on in dspam.conf; it lies in DSPAM's home{home})",
    "amavis": "amavis's own lines of the same days (they stand in mail.log, or in $logfile of amavisd.conf)",
    "rspamd": "rspamd.log of the same days (/var/log/rspamd/rspamd.log)",
    "spamassassin": "spamd's lines of the same days (they stand in mail.log, or where its option -s says)",
    "mailscanner": "MailScanner's lines of the same days (they stand in mail.log; Log Spam = yes in MailScanner.conf)",
    "spampd": "spampd's lines of the same days (they stand in mail.log)",
}
"""The log that tells a filter's verdicts, as a server that has this filter has it."""


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
    behind: tuple[str, ...]
    """Kinds of those that mail is handed to from the queue, in the order of the alphabet; ``other`` where nothing tells."""
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


@per_window
def look(window: Window) -> dict[str, Mergeable | int]:
    """Return the parts from which :func:`concluded` knows the filters. For look."""
    verdicts = window.verdicts
    given = coded.of(verdicts["filter"])
    # By code; one behind the last has none.
    code = np.where(given.codes >= 0, given.codes, len(given.words))
    kind = [*(KIND_OF.get(name, name) for name in given.words.to_pylist()), None]
    relays = _relays(window, code, kind)
    return {
        "filters.kinds": _kinds(window, code, kind) if len(verdicts) else _no_kinds(),
        "filters.relays": Keyed.of(pd.DataFrame(relays, copy=False)),
        "filters.kept": int(said_kept(window).any()),
        "filters.dspam": int(dspam_hops(window).any()),
    }


def _kinds(window: Window, code: Ints, kind: list[str | None]) -> Keyed:
    """Return how many verdicts of each kind there are: on an entry, at the door."""
    n, joined, door = (
        np.bincount(code, weights, len(kind)).astype(np.int64)
        for weights in (None, window.verdicts["entry"].to_numpy() >= 0, at_door(window))
    )
    kinds = pd.DataFrame({"kind": texts.series(pa.array(kind, pa.string())), "joined": joined, "door": door})
    return Keyed.of(kinds[n > 0], sums=("joined", "door"))


@functools.cache
def _no_kinds() -> Keyed:
    none = np.empty(0, np.int64)
    return Keyed.of(pd.DataFrame({"kind": coded.words([]), "joined": none, "door": none}), sums=("joined", "door"))


def _relays(window: Window, code: Ints, kind: list[str | None]) -> dict[str, Any]:
    """Return the relays by which mail went to a filter, and the kinds whose verdict it has; empty where it has none."""
    hops, relay = np.flatnonzero(filter_hops(window)), coded.of(window.deliveries["relay"])
    row = window.deliveries["verdict_row"].to_numpy()[hops]
    # Behind the filter that has no name stands that no verdict was given.
    pairs = distinct((relay.codes[hops] + 1) * (len(kind) + 1) + np.append(code, len(kind))[row])
    names = pa.array([*kind, ""], pa.string())
    return {
        "relay": coded.text(pc.fill_null(take(relay.words, pairs // (len(kind) + 1) - 1), "nan")),
        "kind": coded.text(names.take(pa.array(pairs % (len(kind) + 1)))),
    }


def concluded(partial: Partial, settings: Settings) -> Filters:
    """Return the filters of this server, when all windows are seen (parts of :func:`look`). For conclude."""
    kinds, relays = partial.frame("filters.kinds"), partial.frame("filters.relays")
    queue = len(relays) > 0 or partial.count("filters.kept") > 0
    told = settings.known("postfix") and settings.known("master")
    door: set[str] = {setup.kind for setup in settings.filters if setup.via in ("milter", "smtpd_proxy_filter")}
    unknown = tuple(setup.destination for setup in settings.filters if setup.kind == "other" and setup.via == "milter")
    proxies = any(setup.via == "smtpd_proxy_filter" for setup in settings.filters)
    door |= set(kinds["kind"][kinds["door"] > 0])
    configured: set[str] = {setup.kind for setup in settings.filters if setup.via in ("content_filter", "FILTER")}
    rspamd = kinds[kinds["kind"] == "rspamd"]
    # rspamd's log of another day names no mail of this log: it still says that rspamd judges mail here, as a milter does.
    if len(rspamd) and not rspamd["joined"].any() and "rspamd" not in configured:
        door.add("rspamd")
    if door - {"other"} and not (told and unknown):
        door.discard("other")
    behind = _behind(partial.count("filters.dspam") > 0, relays, settings, configured)
    log = bool(kinds["kind"].isin(door).any())
    return Filters(queue, frozenset(door), behind, proxies, unknown, told, bool(settings.filters), log)


def _behind(dspam: bool, relays: pd.DataFrame, settings: Settings, configured: set[str]) -> tuple[str, ...]:
    """Return the kinds of the filters that mail is handed to from the queue."""
    found = {*(configured - {"other"}), *(["dspam"] if dspam else []), *(set(relays["kind"]) - {""})}
    if not found:
        names = [str(name) for name in relays["relay"].drop_duplicates()]
        services = [settings.postfix.service(name, "unix") for name in names if "[" not in name]
        names += [" ".join(each.args) for each in services if each]
        text = " ".join(names).lower()
        for pattern, kind in (
            (r"amavis|:10024\b", "amavis"),
            (r"spamass|spamc|spamd|spampd", "spamassassin"),
            ("rspam", "rspamd"),
        ):
            if re.search(pattern, text):
                found.add(kind)
    return tuple(sorted(found)) or ("other",)


def kinds_of(known: Filters, rows: pd.DataFrame) -> list[str]:
    """Return the kinds of filter that these deliveries met, or may have, in the order of the alphabet.

    ``rows`` have ``kind`` (of the verdict, empty without one) and ``passed``, as in :mod:`logscan.checking.own_mail`.
    """
    found: set[str] = set(rows["kind"]) - {""}
    if rows["passed"].any():
        found |= set(known.behind)
    if not rows["passed"].all():
        found |= known.door
    return sorted(found) if len(found) == 1 else sorted(found - {"other"}) or sorted(found)


def logs_to_give(settings: Settings, kinds: list[str]) -> str:
    """Return which logs tell the verdicts of these filters."""
    home = settings.dspam.fact("Home")
    place = f", {home.value}" if home else ""
    named = [LOGS[kind].format(home=place) for kind in kinds if kind in LOGS]
    return " or ".join(named) or "the filter's own log of the same days"
