"""Providers: who runs the hosts that other people's mail goes to, and how their hosts answered over time."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.checking.copies import places
from logscan.checking.refused import Refused, refused, taken
from logscan.scan.columns import joined, some_joined, values
from logscan.scan.mail_hashes import mail_hashes
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded
from logscan.tables.partials import First, Keyed, Partial, Points, hashes, mixed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TAKEN = "taken"
"""The part of a partial that :class:`Answers` reads: when which host took a mail."""

SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gob", "gov", "gv", "ne", "net", "nom", "or", "org"})
"""Labels under which countries let domains be registered: example.co.uk is one, not a name in co.uk."""

NUMBER = re.compile(r"\d+")
IP = re.compile(r"[\d.]+|.*:.*")


def provider(host: str) -> str:
    """Return the domain of whoever runs a host: mx1.example.org is of example.org, in.mx.example.co.uk of example.co.uk."""
    labels = host.strip(".").split(".")
    if len(labels) < 3 or IP.fullmatch(host):
        return host
    country = len(labels[-1]) == 2 and labels[-2] in SECOND_LEVEL
    return ".".join(labels[-3 if country else -2 :])


MOST_NAMED = 20
"""Providers of one cause that are named each: a listed address is refused by every small host that uses the list."""

OTHERS = "other providers"


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of :func:`kept` with ``provider``: of each server and cause those with most mails, the rest as one."""
    rows = rows.assign(provider=rows["host"].map({host: provider(host) for host in set(rows["host"])}))
    by = ["server", "cause", "provider"]
    count = rows.groupby(by, sort=True)["mail"].nunique().reset_index(name="mails")
    count = count.sort_values(["mails", "provider"], ascending=[False, True], kind="stable")
    place = count.groupby(["server", "cause"]).cumcount()
    rest = set(map(tuple, count[place >= MOST_NAMED][by].to_numpy()))
    if not rest:
        return rows
    keys = zip(rows["server"], rows["cause"], rows["provider"], strict=True)
    return rows.assign(provider=[OTHERS if key in rest else key[2] for key in keys])


def alike(host: str) -> str:
    """Return a host's name without its numbers: mx07.example.org and mx12.example.org take mail for the same domains."""
    return NUMBER.sub("#", host)


def places_of_hosts(server: Coded, host: Coded) -> Ints:
    """Return a number for each pair of a server of the log and a host like others (:func:`alike`)."""
    return mixed(server.hashed(), host.changed(alike).hashed())


def servers(window: Window, rows: Ints) -> Coded:
    """Return which host of the log made each attempt."""
    return joined(window, "entries", "host").take(values(window, "deliveries", "entry")[rows])


@per_window
def taken_at(window: Window) -> Points:
    """Return when which host took a mail of which server, as points whose key is :func:`places_of_hosts`."""
    found = taken(window)
    key = places_of_hosts(servers(window, found.row), found.host)
    return Points.of({"key": key, "at": values(window, "deliveries", "time")[found.row]})


@per_window
def answered(window: Window) -> dict[str, int]:
    """Return how many attempts a host elsewhere answered, and of how many hosts' numbers the answers are."""
    return {"answered": len(taken(window).row) + len(refused(window).row)}


class Answers(NamedTuple):
    """When hosts took mail, of all windows."""

    points: Points

    @classmethod
    def of(cls, partial: Partial) -> Answers:
        """Return it for what looks put under :data:`TAKEN`."""
        part = partial.parts[TAKEN]
        assert isinstance(part, Points)
        return cls(part)

    def times(self, servers: list[str], hosts: list[str]) -> Ints:
        """Return when these hosts, each of the server beside it, took mail (UTC ns), in order."""
        key = np.unique(mixed(hashes(servers), hashes([alike(host) for host in hosts])))
        found: Ints = np.sort(np.concatenate([self.points.times(one) for one in key.tolist()]))
        return found


class Course(NamedTuple):
    """How a refusal went on: what the same hosts took before, between and after, and since when they take mail again."""

    before: int
    between: int
    after: int
    ended: int | None
    """UTC ns; None while it isn't known to be over."""


DOUBT = 0.05
"""A refusal that lets some mail through is over when as many mails as were taken since would be taken by chance in one of
twenty cases only."""


def course(refusals: Ints, accepted: Ints) -> Course:
    """Return how it went on from the times of refused mails and of those that the same hosts took, both in order."""
    first, last = int(refusals[0]), int(refusals[-1])
    begun, done = np.searchsorted(accepted, first), np.searchsorted(accepted, last, "right")
    between, after = int(done - begun), int(len(accepted) - done)
    share = between / (between + len(refusals))
    needed = math.ceil(math.log(DOUBT) / math.log(share)) if 0 < share < 1 else 1
    ended = int(accepted[done]) if after >= needed else None
    return Course(int(begun), between, after, ended)


def kept(window: Window, some: Refused, flags: dict[str, Bools], others: Mapping[str, pa.Array] | None = None) -> Keyed:
    """Return refused recipients by key, for cases: each mail and recipient once for each host and cause.

    Key: ``server``, ``host``, ``cause``, ``list``, ``mail`` (:func:`logscan.scan.mail_hashes.mail_hashes`), ``message_id``,
    ``queue_id``, ``recipient``, ``sender``, the flags (as whole numbers) and ``others`` (texts by row). ``first`` and ``last``
    are times (UTC ns), ``attempts`` are summed.
    """
    entry = values(window, "deliveries", "entry")[some.row]
    at = values(window, "deliveries", "time")[some.row]
    mail = values(window, "mails", "entry")[values(window, "deliveries", "mail")[some.row]]
    texts = {
        "server": servers(window, some.row),
        "host": some.host,
        "cause": some.why.changed(lambda why: why.cause),
        "list": some.why.changed(lambda why: why.listed_by),
        "message_id": some_joined(window, "entries", "message_id", entry),
        "queue_id": some_joined(window, "entries", "queue_id", entry),
        "recipient": some_joined(window, "deliveries", "recipient", some.row),
        "sender": some_joined(window, "entries", "sender", mail),
    }
    return Keyed.of(
        {
            **{name: each.texts().fill_null("") for name, each in texts.items()},
            **(others or {}),
            "mail": mail_hashes(window, mail),
            **{name: flag.astype(np.int64) for name, flag in flags.items()},
            "first": at,
            "last": at,
            "attempts": np.ones(len(at), np.int64),
        },
        sums=("attempts",),
        least=("first",),
        most=("last",),
    )


TEXTS = "texts"
"""The part of a partial that :class:`Replies` reads: the first replies of each host and cause."""


def replies_of(window: Window, some: Refused) -> First:
    """Return the first replies of each server, host and cause, with the places of their lines."""
    reply = some_joined(window, "deliveries", "reply", some.row)
    return First.of(
        {
            "server": servers(window, some.row).texts().fill_null(""),
            "host": some.host.texts(),
            "said": some.why.changed(lambda why: why.cause).texts(),
            "place": places(window)[some.row],
            "reply": reply.texts().fill_null(""),
        },
        3,
        ("place", "reply"),
        ("server", "host", "said"),
    )


class Replies:
    """The first replies of each server, host and cause, of all windows."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._of: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
        for row in frame.sort_values(["place", "reply"], kind="stable").itertuples():
            self._of.setdefault((row.server, row.host, row.said), []).append((int(row.place), row.reply))

    @classmethod
    def of(cls, partial: Partial) -> Replies:
        """Return it for what looks put under :data:`TEXTS`."""
        return cls(partial.frame(TEXTS))

    def to(self, part: pd.DataFrame) -> list[tuple[int, str]]:
        """Return place and text of the replies to some rows (``server``, ``host``, ``said``), in order."""
        keys = dict.fromkeys(zip(part["server"], part["host"], part["said"], strict=True))
        return sorted(each for key in keys for each in self._of.get(key, []))
