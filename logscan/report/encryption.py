"""TLS in and out: mails and deliveries by what their session was encrypted with, and partners in plain text.

A session's TLS line tells it, and may lie in another window than the mail: where a window can't see the lines before a mail
it keeps the question, and all keep their TLS lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.report import by_key
from logscan.report.by_key import ByKey
from logscan.report.keyed import values_of
from logscan.report.model import Listing
from logscan.scan.columns import column, joined, number, of, values
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded
from logscan.tables.grouping import numbered, ordered
from logscan.tables.partials import Keyed, Partial, mixed, together

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RECENT = 600 * 10**9
"""Nanoseconds: Postfix keeps a connection for less (smtp_connection_reuse_time_limit: 300 s)."""

EDGE = 5 * 10**9
"""Nanoseconds by which lines may stand in another order than their stamps."""

NEAR = 60 * 10**9
"""Nanoseconds from a window's first and last line within which most lie that its neighbours ask for."""

NO_LINES = Keyed.of(
    pd.DataFrame(
        {"key": pd.Series([], dtype="int64"), "at": pd.Series([], dtype="int64"), "version": pd.Series([], dtype="str")}
    )
)

ALWAYS = int(np.iinfo(np.int64).max)

NONE = "plain text"
TOLD = "TLS"
NOT_KNOWN = "not known"
"""Where the lines before a mail are not kept any more: of very many, a part is."""

IN = ByKey(
    "tls-in",
    "Encryption of mail that came in",
    "Mails that smtpd took from other hosts, by service and by what their session was encrypted with.",
    by=("service", "encryption"),
    numbers=("mails", "clients"),
)
IN_PLAIN = ByKey(
    "tls-in-plain",
    "Clients in plain text",
    "Hosts whose mail came without encryption.",
    by=("client", "address"),
    numbers=("mails",),
)
OUT = ByKey(
    "tls-out",
    "Encryption of mail that went out",
    "Deliveries to other hosts, by what the connection was encrypted with.",
    by=("encryption",),
    numbers=("deliveries", "hosts"),
)
OUT_PLAIN = ByKey(
    "tls-out-plain",
    "Hosts served in plain text",
    "Hosts that mail went to without encryption.",
    by=("next hop",),
    numbers=("deliveries",),
)
NOT_LOGGED = {
    IN: "not logged (smtpd_tls_loglevel = 1 tells)",
    OUT: "not logged (smtp_tls_loglevel = 1 tells)",
}
"""Without that setting no line says so, and Postfix would look as if it spoke in plain text."""

WHO = {IN: ("service", "client", "address"), OUT: ("next hop",)}
"""What is kept of a mail or delivery whose session's lines the window doesn't see."""


def look(window: Window) -> dict[str, Part]:
    """Return what a window counts of mails and deliveries, and what it can't tell alone."""
    return {**_mails_in(window), **_deliveries_out(window)}


def listings(partial: Partial, log: Log) -> Iterable[Listing]:
    """Return TLS by direction and version, and who came or was served in plain text."""
    for which, plain in ((IN, IN_PLAIN), (OUT, OUT_PLAIN)):
        whole = partial + _asked(partial, which)
        if which.key not in whole:
            continue
        if not partial.count(_told(which)):
            yield from by_key.listings((which,), _unlogged(whole, which), log.zone)
        else:
            yield from by_key.listings((which, plain), whole, log.zone)


@dataclass(frozen=True)
class Lines:
    """Lines of sessions, those of one time in the order of the alphabet: TLS (with its version) or, empty, a connect."""

    key: Ints
    at: Ints
    version: Coded

    def before(self, key: Ints, at: Ints) -> tuple[Ints, Ints]:
        """Return, for each (key, time), the places of the last TLS line and of the last connect not later; -1 for none."""
        size = len(self.key)
        if not size or not len(key):
            return np.full(len(key), -1, np.int64), np.full(len(key), -1, np.int64)
        code = numbered(np.concatenate([self.key, key]))[0]
        # Lines stand before what asks for them, also where both are of one time.
        order = np.argsort(np.concatenate([self.at, at]), kind="stable")
        order = order[ordered(code[order])]
        tls = np.append(self.version.codes >= 0, np.zeros(len(key), np.bool_))[order]
        begins = np.flatnonzero(np.append(True, np.diff(code[order]) != 0))
        start = np.repeat(begins, np.diff(np.append(begins, len(order))))
        places = np.arange(len(order))
        asking = order >= size
        wanted, begin = order[asking] - size, start[asking]
        found = []
        for some in (tls & ~asking, ~tls & ~asking):
            last = np.maximum.accumulate(np.where(some, places, -1))[asking]
            out = np.empty(len(key), np.int64)
            out[wanted] = np.where(last >= begin, order[last], -1)
            found.append(out)
        return found[0], found[1]

    def told(self, key: Ints, at: Ints, recent: int) -> tuple[Coded, Ints, Ints]:
        """Return what each (key, time) was encrypted with, and the places of the last TLS line and of the last connect.

        Encrypted in this session: not before its client connected, nor longer ago than ``recent``.
        """
        last, begun = self.before(key, at)
        when = np.append(self.at, 0)
        good = (last >= 0) & ((begun < 0) | (when[last] >= when[begun])) & (at - when[last] <= recent)
        code = np.where(good, np.append(self.version.codes, -1)[last], len(self.version.values))
        return Coded(code, [*self.version.values, NONE]), last, begun

    def kept(self, rows: Bools) -> Keyed:
        """Return some of the lines for other windows' mails."""
        if not rows.any():
            return NO_LINES
        some = {"key": self.key[rows], "at": self.at[rows], "version": values_of(self.version.take(rows))}
        return Keyed.of(some)


def _lines(window: Window, programs: tuple[str, ...], *, begun: bool) -> Lines:
    """Return the TLS lines of some programs and, where these take mail, their clients' connects."""
    event, program = column(window, "sessions", "event"), column(window, "sessions", "program")
    tls = event.is_in("tls") & program.is_in(*programs)
    rows = np.flatnonzero(tls | (event.is_in("connect") & program.is_in("smtpd") if begun else False))
    version = column(window, "sessions", "text").changed(_version).take(rows)
    code = np.where(tls[rows], np.where(version.codes >= 0, version.codes, len(version.values)), -1)
    version = Coded(code, [*version.values, TOLD])
    key = _key(window, "sessions", column(window, "sessions", "client_address"))[rows]
    rank = np.zeros(len(version.words) + 1, np.int64)
    rank[np.argsort(np.array([*version.values, ""], np.str_), kind="stable")] = np.arange(len(rank))
    order = ordered(rank[version.codes])
    return Lines(key[order], number(window, "sessions", "time")[rows][order], version.take(order))


def _version(text: str) -> str:
    """Return the protocol of Postfix's summary: ``TLSv1.3 with cipher …``."""
    return text.split(" ", 1)[0] if text.startswith(("TLSv", "SSLv")) else TOLD


def _key(window: Window, table: str, address: Coded, rows: Ints | None = None) -> Ints:
    """Return one number for a process and the address it speaks with, the same in all windows, of a table's ``rows``."""
    every = np.arange(window.tables[table].num_rows) if rows is None else rows
    if not len(every):
        return np.empty(0, np.int64)
    host = column(window, table, "host").take(every)
    return mixed(host.hashed(), address.hashed(), number(window, table, "pid")[every])


def _seen(window: Window, at: Ints, last: Ints, begun: Ints, lines: Lines, recent: int) -> Bools:
    """Return of which mails a window has all lines that count: windows lie one behind the other in time.

    Near the edges others may have lines of the same time; a mail may be taken in long before the window that holds it.
    """
    seen = _span(window)
    if seen is None:
        return np.zeros(len(at), np.bool_)
    low, high = seen[0] + EDGE, seen[1] - EDGE
    when = np.append(lines.at, -ALWAYS)
    known = (when[last] > low) | (when[begun] > low) | ((at - recent > low) if recent < ALWAYS else False)
    out: Bools = known & (at < high)
    return out


@per_window
def _span(window: Window) -> tuple[int, int] | None:
    """Return when a window's first and last lines of sessions were written (UTC ns)."""
    time = number(window, "sessions", "time")
    time = time[time > 0]
    return (int(time.min()), int(time.max())) if len(time) else None


def _mails_in(window: Window) -> dict[str, Part]:
    """Say of each mail that smtpd took from another host whether its session was encrypted."""
    client = values(window, "entries", "client_row")[values(window, "mails", "entry")]
    wanted = (client >= 0) & np.append(column(window, "clients", "program").is_in("smtpd"), False)[client]
    rows = np.flatnonzero(wanted & ~joined(window, "mails", "origin").is_in("local"))
    lines = _lines(window, ("smtpd", "tlsproxy"), begun=True)
    at = number(window, "clients", "time")[client[rows]]
    key = _key(window, "clients", column(window, "clients", "client_address").take(client[rows]), client[rows])
    told, last, begun = lines.told(key, at, ALWAYS)
    seen = _seen(window, at, last, begun, lines, ALWAYS)
    who = tuple(joined(window, "mails", name).take(rows) for name in ("service", "client", "client_address"))
    parts = _counted(IN, tuple(each.take(seen) for each in who), told.take(seen))
    return {**parts, **_kept(IN, key, at, who, ~seen, lines, int((lines.version.codes >= 0).sum()))}


def _deliveries_out(window: Window) -> dict[str, Part]:
    """Say of each delivery to another host whether its connection was encrypted: by its own summary (Postfix 3.11), else
    by the last TLS line of its process and host."""
    relay = joined(window, "deliveries", "relay")
    away = joined(window, "deliveries", "program").is_in("smtp", "lmtp")
    away &= relay.having(lambda name: "[" in name and "/" not in name and "[127." not in name and "[::1]" not in name)
    rows = np.flatnonzero(away & values(window, "deliveries", "final") & (values(window, "deliveries", "mail") >= 0))
    host = relay.take(rows)
    lines = _lines(window, ("smtp", "lmtp"), begun=False)
    at = number(window, "deliveries", "time")[rows]
    address = host.changed(lambda name: name.partition("[")[2].partition("]")[0])
    key = _key(window, "deliveries", address, rows)
    told, last, begun = lines.told(key, at, RECENT)
    summary = column(window, "deliveries", "tls")
    own = summary.take(rows).changed(lambda text: next((w for w in text.split() if w.startswith("TLSv")), TOLD))
    both = Coded(np.where(own.codes >= 0, own.codes + len(told.values), told.codes), [*told.values, *own.values])
    seen = _seen(window, at, last, begun, lines, RECENT) | (own.codes >= 0)
    known = len(lines.at) + int((summary.codes >= 0).sum())
    return {
        **_counted(OUT, (host.take(seen),), both.take(seen).changed(str)),
        **_kept(OUT, key, at, (host,), ~seen, lines, known),
    }


def _counted(which: ByKey, who: tuple[Coded, ...], told: Coded) -> dict[str, Part]:
    """Count mails or deliveries whose encryption is told; ``who`` has the columns of :data:`WHO`."""
    plain = told.is_in(NONE)
    if which is IN:
        service, client, address = who
        return {
            **IN.look((service, told), {"mails": None}, {"clients": address}),
            **IN_PLAIN.look((client.take(plain), address.take(plain)), {"mails": None}),
        }
    (host,) = who
    return {
        **OUT.look((told,), {"deliveries": None}, {"hosts": host}),
        **OUT_PLAIN.look((host.take(plain),), {"deliveries": None}),
    }


def _kept(
    which: ByKey, key: Ints, at: Ints, who: tuple[Coded, ...], rows: Bools, lines: Lines, known: int
) -> dict[str, Part]:
    """Return what other windows may answer or ask for, and how many lines told of encryption at all."""
    words = {name: values_of(each.take(rows)) for name, each in zip(WHO[which], who, strict=True)}
    first, last = (int(lines.at.min()), int(lines.at.max())) if len(lines.at) else (0, 0)
    edge = (lines.at <= first + NEAR) | (lines.at >= last - NEAR)
    count = np.ones(int(rows.sum()), np.int64)
    asked = {"key": key[rows], "at": at[rows], **words, "n": count}
    return {
        f"{which.key}: asked": Keyed.of(asked, sums=("n",)),
        f"{which.key}: edges": lines.kept(edge),
        f"{which.key}: lines": lines.kept(~edge),
        _told(which): known,
    }


def _told(which: ByKey) -> str:
    return f"{which.key}: told"


def _asked(partial: Partial, which: ByKey) -> Partial:
    """Return the counts of what no window could tell alone."""
    if _told(which) not in partial:
        return Partial()
    asked, *kept = (partial.parts[f"{which.key}: {name}"] for name in ("asked", "edges", "lines"))
    assert isinstance(asked, Keyed)
    frame = together([each.frame for each in kept if isinstance(each, Keyed)]).sort_values("version", ignore_index=True)
    version = of(frame["version"])
    version = Coded(np.where(version.is_in(""), -1, version.codes), version.values)
    lines = Lines(frame["key"].to_numpy(), frame["at"].to_numpy(), version)
    rows = asked.frame.loc[asked.frame.index.repeat(asked.frame["n"])].reset_index(drop=True)
    told, last, _ = lines.told(rows["key"].to_numpy(), rows["at"].to_numpy(), RECENT if which is OUT else ALWAYS)
    if any(isinstance(each, Keyed) and each.limit < 2**64 for each in kept):
        told = Coded(np.where(last < 0, len(told.values), told.codes), [*told.values, NOT_KNOWN])
    parts = Partial(_counted(which, tuple(_column(rows[name]) for name in WHO[which]), told))
    left = sum(asked.rest)
    none = Coded(np.full(left, -1), [])
    more = _counted(which, tuple(none for _ in WHO[which]), Coded(np.zeros(left, np.int64), [NOT_KNOWN]))
    return parts + Partial(more)


def _column(words: pd.Series) -> Coded:
    """Return a column in which an empty text is none."""
    coded = of(words)
    return Coded(np.where(coded.is_in(""), -1, coded.codes), coded.values)


def _unlogged(partial: Partial, which: ByKey) -> Partial:
    """Return the partial with one word for what everything was encrypted with: no line tells."""
    parts = {}
    for name, part in partial.parts.items():
        if name == which.key or (name.startswith(f"{which.key}: ") and isinstance(part, Keyed)):
            assert isinstance(part, Keyed)
            if "encryption" in part.frame.columns:
                frame = part.frame.assign(encryption=pd.Series(NOT_LOGGED[which], part.frame.index, dtype="str"))
                parts[name] = Keyed.of(frame, sums=part.sums, least=part.least, most=part.most)
    return Partial({**partial.parts, **parts})
