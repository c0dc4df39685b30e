"""Who tried to log in and was refused, who got in, and when no password could be checked: of SMTP AUTH and of Dovecot.

A try is one password that was refused. Dovecot's login processes count several in one line, Postfix writes a line for each;
with ``auth_verbose`` Dovecot's auth, and saslauthd always, tell the same tries again, by the user: those are ``told``.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.scan.columns import NO_TIME, column, moments, number, of
from logscan.scan.memo import per_window
from logscan.scan.networks import network
from logscan.tables.coded import Coded
from logscan.tables.columns import Column
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import Keyed, Part

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LINE_BITS = 32
"""As in :mod:`logscan.checking.copies`: a line is its source's number, and its own in the lower bits."""

SLOT = 600 * 10**9
"""Nanoseconds of the slots by which tries are counted: ten minutes."""

LONGEST = 200
"""Characters of a user name that are kept: strangers write them."""

MOST_TRIES = 1000
"""Tries that one line may count."""

ATTEMPTS = re.compile(r"\((?:auth failed|proxy dest auth(?:entication)? fail(?:ed|ure)[^(),]*), (\d{1,4}) attempts")
REFUSED = re.compile(r"\((?:auth failed|proxy dest auth(?:entication)? fail)|Login failed: Invalid credentials")
"""What Dovecot's login processes say of a wrong password (login-common/client-common.c)."""

UNHEARD = re.compile(
    r"\((?:auth process communication failure|auth service reported temporary failure|temporary authentication failure"
    r"|proxy dest temporary authentication failure|disconnected before auth was ready, waited (?!0 )\d+ secs)"
)
"""What they say where no password could be checked; a client that goes at once is no sign."""

AWAY = re.compile(
    r"authentication failed: (?:Connection lost to|Can't connect to) authentication server|failed: Authentication backend error"
    r"|authentication failed: generic failure"
)
"""The same in smtpd's words: xsasl/xsasl_dovecot_server.c; cyrus-sasl lib/common.c, SASL_FAIL."""

NO_PASSWORD = re.compile(
    r"authentication aborted|failed: (?:Invalid (?:authentication mechanism|base64)|no mechanism available|bad protocol"
    r"|mechanism too weak|encryption needed|another step is needed)"
)
"""Exchanges that came to no password (xsasl_dovecot_server.c; cyrus-sasl lib/common.c)."""

WRONG = re.compile(
    r"(?i)unknown user|user unknown|user not (?:found|known)|password mismatch|mismatched|invalid credentials"
    r"|authentication failure|auth error|no such user|\AUnknown\Z|credentials"
)
"""What Dovecot's auth and saslauthd say of a wrong name or password."""

BEHIND = re.compile(
    r"(?i)(?:query|lookup|search|bind(?:\(\))?|connect(?:ion)?(?:\(\))?|request) failed|not connected|can't (?:contact|connect)"
    r"|internal (?:error|failure|mechanism)|timed? ?out|connection (?:refused|reset|lost)|authinfo_unavail"
    r"|authentication service cannot retrieve"
)
"""What they say where the database or directory behind them gave no answer."""

NAMELESS = ("", "(unavailable)")

LOST = "lost"


@dataclass(frozen=True)
class Tries:
    """Rows of refused logins (``away``: no password could be checked), one a line."""

    time: Ints
    """UTC ns."""
    address: Coded
    user: Coded
    how: Coded
    """smtp, or Dovecot's protocol; ``auth`` where the same is told again, ``lost`` where no password could be checked."""
    count: Ints
    place: Ints
    host: Coded
    away: Bools
    behind: Bools
    """Of those away: it is a database or directory behind the authentication server that gave no answer."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time)

    def some(self, rows: Bools) -> Tries:
        """Return some rows."""
        made: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            each = getattr(self, name)
            made[name] = each.take(rows) if isinstance(each, Coded) else each[rows]
        return Tries(**made)


def account(name: str | None) -> str:
    """Return a user name as it is compared: lower case, cut, without blanks around it; empty where none was told."""
    text = (name or "").strip().lower()[:LONGEST]
    return "" if text in NAMELESS else text


@per_window
def refused(window: Window) -> Tries | None:
    """Return all refused logins of a window; None where there are none."""
    some = [each for each in (_of_smtpd(window), _of_dovecot(window)) if each is not None and len(each)]
    if not some:
        return None
    names = Tries.__dataclass_fields__
    return Tries(**{name: _joined([getattr(each, name) for each in some]) for name in names})


def _joined(parts: list[Any]) -> Any:
    """Put columns of some rows one below the other."""
    if not isinstance(parts[0], Coded):
        return np.concatenate(parts)
    place: dict[str, int] = {}
    codes = []
    for each in parts:
        known = np.append(np.array([place.setdefault(str(value), len(place)) for value in each.values], np.int64), -1)
        codes.append(known[each.codes])
    return Coded(np.concatenate(codes), list(place))


def _of_smtpd(window: Window) -> Tries | None:
    if not len(window.tables["sessions"]):
        return None
    rows = np.flatnonzero(column(window, "sessions", "event").is_in("auth failed"))
    if not len(rows):
        return None
    frame = window.rows("sessions", rows, "text", "client_address", "sasl_username")
    text = of(frame["text"])
    away = text.having(lambda each: bool(AWAY.search(each)))
    kept = ~text.having(lambda each: bool(NO_PASSWORD.search(each)))
    return Tries(
        moments(window, "sessions")[rows],
        of(frame["client_address"]),
        of(frame["sasl_username"]),
        Coded(away.astype(np.int64), ["smtp", LOST]),
        np.ones(len(rows), np.int64),
        _places(window, "sessions", rows),
        column(window, "sessions", "host").take(rows),
        away,
        np.zeros(len(rows), np.bool_),
    ).some(kept)


def _of_dovecot(window: Window) -> Tries | None:
    if not len(window.tables["logins"]):
        return None
    event = column(window, "logins", "event")
    rows = np.flatnonzero(event.is_in("failed", "aborted", "auth"))
    if not len(rows):
        return None
    frame = window.rows("logins", rows, "reason", "remote_address", "user")
    reason, again = of(frame["reason"]), event.take(rows).is_in("auth")
    behind = again & reason.having(lambda each: bool(BEHIND.search(each)))
    away = behind | (~again & reason.having(lambda each: bool(UNHEARD.search(each))))
    wrong = np.where(
        again,
        reason.having(lambda each: bool(WRONG.search(each))),
        reason.having(lambda each: bool(REFUSED.search(each))),
    )
    counts = np.append([_attempts(str(each)) for each in reason.values], 1).astype(np.int64)
    how = _protocols(column(window, "logins", "protocol").take(rows), again)
    return Tries(
        moments(window, "logins")[rows],
        of(frame["remote_address"]),
        of(frame["user"]),
        how,
        np.where(again, 1, counts[reason.codes]),
        _places(window, "logins", rows),
        column(window, "logins", "host").take(rows),
        away,
        behind,
    ).some(away | wrong)


def _attempts(reason: str) -> int:
    found = ATTEMPTS.search(reason)
    return min(max(int(found[1]), 1), MOST_TRIES) if found else 1


def _protocols(protocol: Coded, again: Bools) -> Coded:
    """Return the protocol of each row, ``auth`` where the row tells again what another tells."""
    names = [*map(str, protocol.values), "auth", "?"]
    codes = np.where(protocol.codes >= 0, protocol.codes, len(names) - 1)
    return Coded(np.where(again, len(names) - 2, codes), names)


def _places(window: Window, table: str, rows: Ints) -> Ints:
    out: Ints = (number(window, table, "source")[rows] << LINE_BITS) + number(window, table, "line")[rows]
    return out


@dataclass(frozen=True)
class Entered:
    """Rows of logins that succeeded, one a line; a mail handed in with a login is one."""

    time: Ints
    address: Coded
    user: Coded
    place: Ints
    host: Coded
    smtp: bool


@per_window
def entered(window: Window) -> tuple[Entered, ...]:
    """Return the logins that succeeded: Dovecot's, and those of smtpd."""
    found = []
    if len(window.tables["logins"]):
        rows = np.flatnonzero(column(window, "logins", "event").is_in("login"))
        if len(rows):
            found.append(_entered(window, "logins", rows, "remote_address", "user"))
    if len(window.tables["clients"]):
        rows = np.flatnonzero(column(window, "clients", "sasl_username").codes >= 0)
        if len(rows):
            found.append(_entered(window, "clients", rows, "client_address", "sasl_username"))
    return tuple(found)


def _entered(window: Window, table: str, rows: Ints, address: str, user: str) -> Entered:
    return Entered(
        moments(window, table)[rows],
        column(window, table, address).take(rows),
        column(window, table, user).take(rows),
        _places(window, table, rows),
        column(window, table, "host").take(rows),
        table == "clients",
    )


# --- parts: the same objects for all checks that ask, so that they are put together once --------------------------------------

TRIES, GOOD, SLOTS = "tries", "good", "slots"


@per_window
def parts(window: Window) -> dict[str, Part]:
    """Return what is kept of a window: refused logins, those that succeeded, and both by time.

    ``tries``: address, user (:func:`account`), how and slot (of :data:`SLOT`) → n, and first, last (UTC ns), place.
    ``good``: network, user → n, first, last, place, ``opened`` (second of the first, and the last byte of its address).
    ``slots``: slot → good, behind (:class:`Tries`).
    """
    found, inside = refused(window), entered(window)
    out = dict(_nothing())
    if found is not None:
        # smtpd loses an answer that Dovecot holds back too, longer each time for an address that fails (auth penalty).
        kept = ~found.away | (found.how.is_in(LOST) & ~found.behind)
        out[TRIES] = _tries(found.some(kept))
    if inside:
        out[GOOD] = _good(inside)
    if found is not None or inside:
        out[SLOTS] = _slots(found, inside)
    return out


def _keyed(columns: dict[str, Column], sums: tuple[str, ...], least: tuple[str, ...], most: tuple[str, ...]) -> Keyed:
    return Keyed.of(columns, sums=sums, least=least, most=most)


TRIED = ("address", "user", "how", "slot")


@functools.cache
def _nothing() -> dict[str, Part]:
    text, numbers = pa.array([], pa.string()), np.empty(0, np.int64)
    tries = dict.fromkeys(TRIED[:3], text) | dict.fromkeys(("slot", "n", "first", "place", "last"), numbers)
    good = dict.fromkeys(("network", "user"), text)
    good |= dict.fromkeys(("n", "first", "place", "opened", "last"), numbers)
    return {
        TRIES: _keyed(tries, ("n",), ("first", "place"), ("last",)),
        GOOD: _keyed(good, ("n",), ("first", "place", "opened"), ("last",)),
        SLOTS: _keyed(dict.fromkeys(("slot", "good", "behind"), numbers), ("good", "behind"), (), ()),
    }


def _tries(some: Tries) -> Keyed:
    known = some.some(some.time != NO_TIME)
    return _keyed(
        {
            "address": _text(known.address.changed(lambda each: str(each or "").lower()[:LONGEST])),
            "user": _text(known.user.changed(account)),
            "how": _text(known.how),
            "slot": known.time // SLOT,
            "n": known.count,
            "first": known.time,
            "place": known.place,
            "last": known.time,
        },
        ("n",),
        ("first", "place"),
        ("last",),
    )


def _text(column: Coded) -> pa.Array:
    """Return each row's text, an empty one where it is missing."""
    words = pa.array([*map(str, column.values), ""], pa.string())
    return words.take(pa.array(np.where(column.codes >= 0, column.codes, len(words) - 1)))


def _good(some: tuple[Entered, ...]) -> Keyed:
    """Return logins by network and account: one row each for the few there are."""
    columns: dict[str, list[Column]] = {}
    for each in some:
        rows = np.flatnonzero((each.time != NO_TIME) & (each.user.codes >= 0) & (each.address.codes >= 0))
        if not len(rows):
            continue
        address = each.address.take(rows)
        net, user, last = address.changed(network), each.user.take(rows).changed(account), address.changed(byte)
        of_row, first = numbered(combine(net.codes, user.codes))
        time, place = each.time[rows], each.place[rows]
        made = {
            "network": _text(net.take(first)),
            "user": _text(user.take(first)),
            "n": np.bincount(of_row),
            "first": _least(of_row, time),
            "place": _least(of_row, place),
            "opened": _least(of_row, (time // 10**9 << 8) + np.array(last.values, np.int64)[last.codes]),
            "last": -_least(of_row, -time),
        }
        for name, values in made.items():
            columns.setdefault(name, []).append(values)
    if not columns:
        nothing = _nothing()[GOOD]
        assert isinstance(nothing, Keyed)
        return nothing
    whole = {
        name: pa.concat_arrays(values) if isinstance(values[0], pa.Array) else np.concatenate(values)
        for name, values in columns.items()
    }
    return _keyed(whole, ("n",), ("first", "place", "opened"), ("last",))


def _least(of_row: Ints, values: Ints) -> Ints:
    out = np.full(int(of_row.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(out, of_row, values)
    return out


def byte(address: str) -> int:
    """Return the last number of an IPv4 address, 0 for any other."""
    end = address.strip("[]").rpartition(".")[2]
    return int(end) & 255 if end.isascii() and end.isdigit() and len(end) < 4 else 0


def opened_from(net: str, opened: int) -> str:
    """Return the address of a first login by what ``good`` keeps of it; of IPv6 only the network is known."""
    return f"{net.partition('/')[0].rpartition('.')[0]}.{opened & 255}" if net and ":" not in net else net


def _slots(found: Tries | None, inside: tuple[Entered, ...]) -> Keyed:
    slots, good, behind = [], [], []
    for each in inside:
        slots.append(each.time[each.time != NO_TIME] // SLOT)
        good.append(np.ones(len(slots[-1]), np.int64))
        behind.append(np.zeros(len(slots[-1]), np.int64))
    if found is not None:
        gone = found.behind & (found.time != NO_TIME)
        slots.append(found.time[gone] // SLOT)
        good.append(np.zeros(len(slots[-1]), np.int64))
        behind.append(np.ones(len(slots[-1]), np.int64))
    return _keyed(
        {"slot": np.concatenate(slots), "good": np.concatenate(good), "behind": np.concatenate(behind)},
        ("good", "behind"),
        (),
        (),
    )
