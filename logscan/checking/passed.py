"""Which mail passed a filter that failed: joins the troubles that looks kept with the mails near them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from logscan.checking import unscanned as near
from logscan.checking.copies import LINE_BITS
from logscan.correlate.lives import SECOND
from logscan.settings.dspam_home import user_of_path
from logscan.tables.partials import Partial

STAGE = re.compile(r"SMFI[CR]_([A-Z]+)")
"""The command at which a milter failed (Postfix milter/milter8.c)."""

AT_START = frozenset(("", "OPTNEG", "CONNECT", "HELO"))
OF_BODY = frozenset(("HEADER", "EOH", "BODY", "BODYEOB", "ADDHEADER", "CHGHEADER", "INSHEADER", "REPLBODY", "CHGFROM"))
"""What cleanup sends when it has the whole mail: behind the line of its message-id."""

SOON = 120 * SECOND
"""A mail begins no later after the connection that its session begins with."""

HANDED_ON = 300 * SECOND
"""DSPAM has handed a mail on by then: the time that Postfix gives it for that (lmtp_data_done_timeout is 600 s at most)."""

HANDSHAKE = re.compile(r"initial handshake|OPTNEG|protocol version|request mask|^[A-Z][a-z]")
"""A text that begins with a capital letter is the system's own: the connection failed."""

KINDS = (
    ("rspamd", re.compile(r"rspam|:11332(?:@|$)")),
    ("amavis", re.compile("amavis")),
    ("spamd", re.compile("spamass|spamd")),
)
"""Filters whose log says that they judged a mail, by their milter's address."""

SIGNERS = re.compile(r"dkim|dmarc|spf|srs|postgrey|greylist|greyfix|:889[123](?:@|$)|:54321(?:@|$)")
"""Milters that sign or check who sent a mail, by the name of their socket or the port that their documentation has."""

MESSAGE = re.compile(r"on message (?P<id><[^<>]*>|\(unknown\)|[^ ]+?): (?P<why>.*)\Z", re.DOTALL)
"""spampd.pl, process_message()."""


@dataclass(frozen=True)
class Passed:
    """A mail that passed a filter unjudged, as far as the log tells it."""

    cause: str
    subject: str
    host: str
    reason: str
    at: int
    """UTC ns."""
    place: int
    """The line of the trouble (:func:`logscan.checking.copies.lines_at`)."""
    message_id: str = ""
    queue_id: str = ""
    recipient: str = ""
    mail: int = -1
    """The line that the mail is told by; -1 where nothing tells which it was."""
    sure: bool = True
    user: str = ""


def passed(partial: Partial) -> list[Passed]:
    """Return the mails in the order of the troubles' lines, each once for each filter that it passed."""
    troubles = partial.frame(near.TROUBLES)
    if troubles.empty:
        return []
    troubles = troubles.sort_values(["at", "source", "line", "who"], ignore_index=True)
    troubles["place"] = (troubles["source"].to_numpy(np.int64) << LINE_BITS) + troubles["line"].to_numpy(np.int64)
    who = troubles["who"]
    found = [
        *_Milters(partial).passed(troubles[who.isin([near.DOOR, near.CLEANUP])]),
        *_by_dspam(partial, troubles[who == near.DSPAM], troubles[who == near.DICTIONARY]),
        *_by_amavis(partial, troubles[who == near.AMAVIS]),
        *_by_spampd(troubles[who == near.SPAMPD]),
        *_by_spamc(troubles[who == near.SPAMC]),
    ]
    once: dict[tuple[Any, ...], Passed] = {}
    for each in found:
        once.setdefault((each.cause, each.subject, each.mail if each.mail >= 0 else ("", each.place)), each)
    return sorted(once.values(), key=lambda each: (each.at, each.place, each.subject))


class _Rows:
    """Rows by a key, in the order of their lines."""

    def __init__(self, frame: pd.DataFrame, *key: str) -> None:
        self.rows: dict[Any, list[Any]] = {}
        for row in frame.sort_values(["at", "place"], kind="stable").itertuples(index=False):
            name = getattr(row, key[0]) if len(key) == 1 else tuple(getattr(row, each) for each in key)
            self.rows.setdefault(name, []).append(row)
        self.order = {name: [(row.at, row.place) for row in rows] for name, rows in self.rows.items()}

    def between(self, key: Any, since: tuple[int, int], end: tuple[int, int]) -> list[Any]:
        """Return the rows from a place on, and before another one, in order."""
        order = self.order.get(key, [])
        return self.rows.get(key, [])[bisect_left(order, since) : bisect_left(order, end)]

    def first(self, key: Any, at: tuple[int, int], reach: int) -> list[Any]:
        """Return the first row behind a place, if there is one within ``reach`` (ns)."""
        rows, order = self.rows.get(key, []), self.order.get(key, [])
        place = bisect_left(order, (at[0], 0))
        if _one_file(rows[place : place + 1], at[1]):
            place = bisect_left(order, at)
        return [row for row in rows[place : place + 1] if row.at <= at[0] + reach]

    def last(self, key: Any, at: tuple[int, int]) -> list[Any]:
        """Return the last row up to a place, if there is one."""
        rows, order = self.rows.get(key, []), self.order.get(key, [])
        place = bisect_right(order, (at[0], LAST))
        if _one_file(rows[max(place - 1, 0) : place], at[1]):
            place = bisect_right(order, at)
        return rows[max(place - 1, 0) : place]


LAST = 2**62


def _one_file(rows: list[Any], place: int) -> bool:
    """Whether the first of some rows stands in the same file as a line: in another, the lines' order says nothing (mail.warn).

    It is asked of the rows near the line: a process may have written into two files, one after the other (mail.log.1).
    """
    return not rows or rows[0].place >> LINE_BITS == place >> LINE_BITS


class _Milters:
    """Tells which mails were in a session, or in a cleanup, whose milter failed."""

    def __init__(self, partial: Partial) -> None:
        mails = partial.frame(near.MAILS)
        self.by_process = _Rows(mails, "process")
        self.by_id = _Rows(mails, "host", "queue_id")
        self.connects = _Rows(partial.frame(near.CONNECTS), "process")
        self.ids = _Rows(partial.frame(near.IDS), "process")
        self.told: dict[tuple[Any, ...], tuple[int, int]] = {}

    def passed(self, troubles: pd.DataFrame) -> Iterator[Passed]:
        for row in troubles.itertuples(index=False):
            stage = STAGE.search(row.text)
            command = stage[1] if stage else ""
            start = command in AT_START and bool(command or HANDSHAKE.search(row.text))
            mails = self._of_cleanup(row, command) if row.who == near.CLEANUP else self._of_smtpd(row, command, start)
            signs = bool(SIGNERS.search(row.path)) and not any(name.search(row.path) for _, name in KINDS)
            judge = next((name for name, pattern in KINDS if pattern.search(row.path)), "")
            for mail in mails:
                # A filter that was out of reach can't have judged it: the mail isn't that session's.
                if not mail.passed or (start and judge and f" {judge} " in mail.by):
                    continue
                yield Passed(
                    "other-milter-away" if signs else "milter-away" if start else "milter-gave-up",
                    row.path,
                    row.host,
                    row.text,
                    mail.at,
                    row.place,
                    mail.message_id,
                    mail.queue_id,
                    mail.recipient,
                    mail.place,
                )

    def _of_smtpd(self, row: Any, command: str, start: bool) -> list[Any]:
        at = (row.at, row.place)
        begun = self.connects.last(row.process, at) if row.pid >= 0 else []
        if not begun:
            # Nothing tells sessions apart: the nearest mail is the one, if it isn't far.
            before = [mail for mail in self.by_process.last(row.process, at) if mail.at >= row.at - SOON and not start]
            return (before if command == "DATA" else []) or self.by_process.first(row.process, at, SOON) or before
        since = (begun[0].at, begun[0].place)
        end = (row.at + near.REACH, 0)
        if next_one := self.connects.first(row.process, (begun[0].at, begun[0].place + 1), near.REACH):
            end = (next_one[0].at, next_one[0].place)
        mails, order = self.by_process.rows.get(row.process, []), self.by_process.order.get(row.process, [])
        begin, finish = bisect_left(order, since), bisect_left(order, end)
        one_file = _one_file(mails[begin : begin + 1], row.place)
        later = bisect_right(order, at) if one_file else bisect_left(order, (row.at, -1))
        later = min(max(later, begin), max(begin, finish))
        fresh = self._fresh((row.process, row.path, start), later, finish)
        before = [] if start or (later < finish and command != "DATA") else mails[max(begin, later - 1) : later]
        return [*before, *(mail for first, last in fresh for mail in mails[first:last])]

    def _fresh(self, key: tuple[Any, ...], first: int, last: int) -> list[tuple[int, int]]:
        """Return what of a range of mails no trouble of this kind before has told: a session may have thousands of both."""
        old = self.told.get(key, (first, first))
        touching = first <= old[1] and last >= old[0]
        self.told[key] = (min(first, old[0]), max(last, old[1])) if touching else (first, last)
        return [(first, min(last, old[0])), (max(first, old[1]), last)] if touching else [(first, last)]

    def _of_cleanup(self, row: Any, command: str) -> list[Any]:
        at = (row.at, row.place)
        # Of a mail that came by sendmail, cleanup speaks with the milter before it has seen the header.
        late = command in OF_BODY or not (command or HANDSHAKE.search(row.text))
        some = self.ids.last(row.process, at) if late else self.ids.first(row.process, at, SOON)
        out = []
        for line in some:
            if abs(line.at - row.at) <= near.REACH:
                key = (line.host, line.queue_id)
                place = bisect_right(self.by_id.order.get(key, []), (line.at, LAST))
                out += self.by_id.rows.get(key, [])[max(place - 1, 0) : place]
        return out


def _by_dspam(partial: Partial, troubles: pd.DataFrame, files: pd.DataFrame) -> Iterator[Passed]:
    """Yield what DSPAM handed on unjudged: told by time, by whose file could not be opened, by the verdict that is missing."""
    spoken = _Rows(files, "process")
    handed = _Rows(partial.frame(near.HANDED), "host")
    used: set[int] = set()
    judges = partial.count("dspam_judged") > 0
    for row in troubles.itertuples(index=False):
        said = [each for each in spoken.last(row.process, (row.at, row.place)) if row.at - each.at <= 2 * SECOND]
        path = said[-1].path if said else ""
        user = (user_of_path(path) or "") if path else ""
        some = [
            each
            for each in handed.between(row.host, (row.at - SECOND, 0), (row.at + HANDED_ON, 0))
            if each.begin - 2 * SECOND <= row.at and each.place not in used
        ]
        if user:
            some = [each for each in some if user.lower() in (each.recipient, each.recipient.partition("@")[0])]
        elif not judges and len(some) > 1:
            some = []
        mail = some[0] if some else None
        if mail is not None:
            used.add(mail.place)
        yield Passed(
            "too-big" if "too big" in row.text else "filter-error",
            user or "DSPAM",
            row.host,
            f"{path}: {said[-1].text}" if said else row.text,
            row.at,
            row.place,
            mail.message_id if mail else "",
            mail.queue_id if mail else "",
            mail.recipient if mail else user,
            mail.place if mail else -1,
            mail is not None and (judges or bool(user)),
            user,
        )


def _by_amavis(partial: Partial, troubles: pd.DataFrame) -> Iterator[Passed]:
    judged = _Rows(partial.frame(near.JUDGED), "host", "pid")
    for row in troubles.itertuples(index=False):
        later = judged.first((row.host, row.pid), (row.at, row.place), near.REACH)
        mail = later[0] if later else None
        if mail is not None and mail.result and not mail.result.startswith("Passed"):
            continue
        timed_out = "TIMED OUT" in row.text or "timed out" in row.text
        yield Passed(
            "filter-timeout" if timed_out else "filter-error",
            "amavis",
            row.host,
            row.text,
            row.at,
            row.place,
            mail.message_id if mail else "",
            mail.queue_id if mail else "",
            mail.recipient.partition(",")[0].strip("<> ") if mail else "",
            mail.place if mail else -1,
        )


def _by_spampd(troubles: pd.DataFrame) -> Iterator[Passed]:
    for row in troubles.itertuples(index=False):
        told = MESSAGE.search(row.text)
        name = told["id"] if told else ""
        yield Passed(
            "filter-timeout" if "imed out" in row.text else "filter-error",
            "spampd",
            row.host,
            told["why"] if told else row.text,
            row.at,
            row.place,
            "" if name == "(unknown)" else name,
            mail=row.place,
        )


def _by_spamc(troubles: pd.DataFrame) -> Iterator[Passed]:
    for row in troubles.itertuples(index=False):
        cause = "too-big" if row.text.startswith("skipped") else "filter-error"
        yield Passed(cause, "spamc", row.host, row.text, row.at, row.place, sure=False)
