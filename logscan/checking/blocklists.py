"""What DNS blocklists answered, as refusals and dnsblog's lines tell it: listings, errors that look like listings, silence."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS
from logscan.checking.nearness import Near
from logscan.correlate.lives import SECOND
from logscan.scan.columns import NO_TIME, column, moments, number
from logscan.tables.coded import Coded
from logscan.tables.partials import First, Keyed, Partial, Points, hashes
from logscan.tables.texts import encoded

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.tables.coded import Bools, Ints
    from logscan.tables.partials import Part

REFUSED, ERRORS, SILENT, LISTED, CONNECTS, LINES, SILENCES = (
    "blocklists: refused",
    "blocklists: errors",
    "blocklists: silent",
    "blocklists: listed",
    "blocklists: connects",
    "blocklists: lines",
    "blocklists: lines of silence",
)
"""Parts of the partial."""

MOST_REFUSED = 20_000
"""Refusals with an error for a reason, and by postscreen, that are kept for cases: the first of each list."""

REACH = 300 * SECOND
"""postscreen asks anew at each connection that it hasn't let through before: an error and its refusal lie within minutes."""

BLOCKED_USING = " blocked using "
WHO = re.compile(r"(?:^|; )[A-Za-z ]+ \[[^\]\s]+\]\Z")
"""What stands before it in Postfix's default_rbl_reply; what a client writes stands in the brackets, and holds no blank."""

ERROR = r"Error: |/returnc/|[Qq]uery (?:[Rr]efused|[Bb]locked)|[Oo]pen resolver|[Ee]xcess(?:ive)? (?:volume|quer)"
"""What lists say of a query that they refuse, in the text beside the address: Spamhaus (www.spamhaus.org/returnc/), URIBL."""

REASON = re.compile(ERROR.replace("Error: ", "^Error: "))
"""The same, of the reason alone."""

KEY = re.compile(r"\b[0-9a-z]{20,}\.(?=[^.\s]+\.dq\.)")
"""Spamhaus's Data Query Service has the customer's key in front of the list's name: it is nobody else's business."""

QUERY = re.compile(r"^(?:(?:\d{1,3}\.){4}|(?:[0-9a-f]\.){32})")


def is_error(name: str, answer: str) -> bool:
    """Whether a list's answer is no listing.

    Spamhaus: 127.255.255.0/24 (its DNSBL usage FAQ); dnswl.org: 127.0.0.255 (too many queries); URIBL: 127.0.0.1. No list
    answers with an address outside 127.0.0.0/8 (RFC 5782, 2.1): that is a parked domain.
    """
    try:
        address = ipaddress.IPv4Address(answer)
    except ValueError:
        return False
    if not address.is_loopback or answer.startswith("127.255.255."):
        return True
    return (name.endswith("dnswl.org") and answer == "127.0.0.255") or (
        name.endswith("uribl.com") and answer == "127.0.0.1"
    )


def name_of(words: str) -> str:
    """Return a list's name as it may be shown."""
    return KEY.sub("", words.lower().rstrip("."))


def shown(text: str) -> str:
    """Return a refusal's text without the key that a list's name may begin with."""
    return KEY.sub("", text)[:300]


def look(window: Window) -> dict[str, Part]:
    """Return what the lists that a window's servers ask answered."""
    listed = _listed(window)
    errors = listed[0].columns["first"] if listed[0] is not None else np.empty(0, np.int64)
    refused = _refused(window, Near(window, np.asarray(errors, np.int64), REACH))
    at = [*refused[2], *listed[2]]
    times = {name: np.concatenate([each[name] for each in at]) for name in ("key", "at")} if at else NONE_LISTED
    return {
        REFUSED: refused[0] or _no_refused(),
        ERRORS: listed[0] or _no_errors(),
        **_silent(window),
        LISTED: Points.of(times),
        CONNECTS: _connects(window),
        LINES: listed[1] or _no_lines(),
        "blocklists: answers": sum(len(each["at"]) for each in at) + refused[1],
    }


def settle(partial: Partial, frontier: int) -> Partial:
    """Let go of postscreen's refusals near no error, and too far back for one that is still to come (UTC ns)."""
    frame = partial.frame(REFUSED)
    at = frame["at"].to_numpy(np.int64)
    errors = partial.frame(ERRORS)
    times = np.sort(np.r_[errors["first"].to_numpy(np.int64), errors["last"].to_numpy(np.int64)])
    keep = frame["wrong"].to_numpy(dtype=np.bool_) | (at >= frontier - 2 * REACH)
    if len(times):
        keep |= (at >= times[0] - REACH) & (at <= times[-1] + REACH)
    if keep.all():
        return partial
    return Partial({**partial.parts, REFUSED: First.of(frame[keep], MOST_REFUSED, ("at", "place"), ("name", "wrong"))})


NONE_LISTED = {"key": np.empty(0, np.int64), "at": np.empty(0, np.int64)}


# --- refusals --------------------------------------------------------------------------------------------------------


def _refused(window: Window, near: Near) -> tuple[First | None, int, list[dict[str, Ints]]]:
    """Return refusals whose reason is an error, and postscreen's near an error; how many; and when listings came, by list."""
    if not len(window.tables["rejects"]):
        return None, 0, []
    text = window.tables["rejects"].column("text").cast(pa.string())
    # A client's own words come first only in angle brackets. Nearly every text is another one: no code for each.
    mine = pc.and_not(pc.match_substring(text, BLOCKED_USING), pc.starts_with(text, "<"))
    rows = np.flatnonzero(pc.fill_null(mine, False).to_numpy())
    rows = rows[moments(window, "rejects")[rows] > NO_TIME]
    if not len(rows):
        return None, 0, []
    texts = text.take(pa.array(rows)).combine_chunks()
    tail = pc.list_element(pc.split_pattern(texts, BLOCKED_USING, max_splits=1, reverse=True), 1)
    said = Coded(*encoded(pc.list_element(pc.split_pattern(tail, ";", max_splits=1), 0))).changed(name_of)
    wrong = pc.match_substring_regex(tail, ERROR).to_numpy(zero_copy_only=False)
    wrong[wrong] = [_is_error(words) for words in texts.filter(pa.array(wrong)).to_pylist()]
    screen = column(window, "rejects", "program").take(rows).is_in("postscreen")
    mine = wrong | (screen & near(moments(window, "rejects")[rows]))
    # What postscreen refuses, dnsblog tells of: there an error is told from a listing.
    right = np.flatnonzero(~wrong & ~screen)
    names = said.take(right)
    told = {"key": names.hashed(), "at": moments(window, "rejects")[rows[right]]}
    if not mine.any():
        return None, int(screen.sum()), [told]
    some = window.rows(
        "rejects",
        rows[mine],
        "time",
        "host",
        "source",
        "line",
        "client_address",
        "sender",
        "recipient",
        "text",
        "action",
    )
    frame = pd.DataFrame(
        {
            "name": pd.Series(said.take(mine).texts().to_pylist(), dtype="str"),
            "wrong": wrong[mine],
            "at": moments(window, "rejects")[rows[mine]],
            "place": (some["source"].to_numpy(np.int64) << LINE_BITS) + some["line"].to_numpy(np.int64),
            "warned": some["action"].astype("str").eq("reject_warning").to_numpy(),
            **{name: some[name].astype("str") for name in ("host", "client_address", "sender", "recipient", "text")},
        }
    )
    return First.of(frame, MOST_REFUSED, ("at", "place"), ("name", "wrong")), int((wrong | screen).sum()), [told]


def _is_error(text: str) -> bool:
    """Whether a refusal's reason is a list's error, and not what a client wrote."""
    who, _, rest = text.rpartition(BLOCKED_USING)
    return WHO.search(who) is not None and REASON.search(rest.partition("; ")[2]) is not None


@functools.cache
def _no_refused() -> First:
    kinds = {
        **dict.fromkeys(("name", "host", "client_address", "sender", "recipient", "text"), "str"),
        **dict.fromkeys(("at", "place"), "int64"),
        **dict.fromkeys(("wrong", "warned"), "bool"),
    }
    order = ["name", "wrong", "at", "place", "warned", "host", "client_address", "sender", "recipient", "text"]
    frame = pd.DataFrame({name: pd.Series([], dtype=kinds[name]) for name in order})
    return First.of(frame, MOST_REFUSED, ("at", "place"), ("name", "wrong"))


# --- dnsblog ---------------------------------------------------------------------------------------------------------


def _listed(window: Window) -> tuple[Keyed | None, First | None, list[dict[str, Ints]]]:
    """Return answers that are errors, by list, address and answer; the first lines; when the others came, by list."""
    if not len(window.tables["sessions"]):
        return None, None, []
    rows = np.flatnonzero(column(window, "sessions", "event").is_in("listed") & (moments(window, "sessions") > NO_TIME))
    if not len(rows):
        return None, None, []
    text, at = column(window, "sessions", "text").take(rows), moments(window, "sessions")[rows]
    wrong = text.having(lambda words: is_error(*_answer(words)))
    right = np.flatnonzero(~wrong)
    told = {"key": text.take(right).changed(lambda words: _answer(words)[0]).hashed(), "at": at[right]}
    if not wrong.any():
        return None, None, [told]
    bad, words = rows[wrong], text.take(wrong)
    key = {
        "name": _large(words.changed(lambda each: _answer(each)[0])),
        "answer": _large(words.changed(lambda each: _answer(each)[1])),
    }
    place = (number(window, "sessions", "source")[bad] << LINE_BITS) + number(window, "sessions", "line")[bad]
    client = column(window, "sessions", "client_address").take(bad)
    errors = Keyed.of(
        {**key, "address": _large(client), "n": np.ones(len(bad), np.int64), "first": at[wrong], "last": at[wrong]},
        sums=("n",),
        least=("first",),
        most=("last",),
    )
    return errors, First.of({**key, "at": at[wrong], "place": place}, 6, ("at", "place"), ("name",)), [told]


def _answer(words: str) -> tuple[str, str]:
    name, _, answer = words.partition(" as ")
    return name_of(name), answer


def _large(words: Coded) -> pa.Array:
    return words.texts().fill_null("").cast(pa.large_string())


@functools.cache
def _no_errors() -> Keyed:
    text = dict.fromkeys(("name", "answer", "address"), pa.array([], pa.large_string()))
    numbers = dict.fromkeys(("n", "first", "last"), np.empty(0, np.int64))
    return Keyed.of({**text, **numbers}, sums=("n",), least=("first",), most=("last",))


@functools.cache
def _no_lines() -> First:
    text = dict.fromkeys(("name", "answer"), pa.array([], pa.large_string()))
    return First.of({**text, **dict.fromkeys(("at", "place"), np.empty(0, np.int64))}, 6, ("at", "place"), ("name",))


# --- silence ---------------------------------------------------------------------------------------------------------

LOOKUP = re.compile(
    r"^(?:dnsblog reply timeout \d+s for (?P<late>[^ ]+)|dnsblog_query: lookup error for DNS query (?P<query>[^ ]+): "
    r"|(?P<smtpd>[^ ]+): RBL lookup error: )"
)
"""Postfix postscreen/postscreen_dnsbl.c, dnsblog/dnsblog.c, smtpd/smtpd_check.c."""


def _silent(window: Window) -> dict[str, Part]:
    """Count the queries that got no answer, by host, daemon and list, and keep the first lines of each list."""
    if not len(window.tables["service_events"]):
        return _no_silent()
    program, text = (column(window, "service_events", name) for name in ("program", "text"))
    mine = column(window, "service_events", "event").is_in("warning") & program.is_in("smtpd", "postscreen", "dnsblog")
    rows = np.flatnonzero(mine & (moments(window, "service_events") > NO_TIME))
    if not len(rows):
        return _no_silent()
    names = text.take(rows).changed(_unanswered)
    known: Bools = names.codes >= 0
    rows, names = rows[known], names.take(known)
    if not len(rows):
        return _no_silent()
    at = moments(window, "service_events")[rows]
    door = program.take(rows).changed(lambda each: "smtpd" if each == "smtpd" else "postscreen")
    counts = Keyed.of(
        {
            "host": _large(column(window, "service_events", "host").take(rows)),
            "door": _large(door),
            "name": _large(names),
            "n": np.ones(len(rows), np.int64),
            "first": at,
            "last": at,
        },
        sums=("n",),
        least=("first",),
        most=("last",),
    )
    place = (number(window, "service_events", "source")[rows] << LINE_BITS) + number(window, "service_events", "line")[
        rows
    ]
    lines = First.of({"name": _large(names), "at": at, "place": place}, 6, ("at", "place"), ("name",))
    return {SILENT: counts, SILENCES: lines}


def _unanswered(text: str) -> str | None:
    found = LOOKUP.match(text)
    if found is None:
        return None
    query = found["query"] or found["smtpd"]
    name = QUERY.sub("", query) if query else found["late"]
    # A domain was asked for: how much of the name is the list's isn't told.
    return name_of(name if name != query else ".".join(query.rstrip(".").split(".")[-3:]))


@functools.cache
def _no_silent() -> dict[str, Part]:
    none, words = np.empty(0, np.int64), pa.array([], pa.large_string())
    numbers = dict.fromkeys(("n", "first", "last"), none)
    counts = Keyed.of(
        {**dict.fromkeys(("host", "door", "name"), words), **numbers}, sums=("n",), least=("first",), most=("last",)
    )
    lines = First.of({"name": words, "at": none, "place": none}, 6, ("at", "place"), ("name",))
    return {SILENT: counts, SILENCES: lines}


def _connects(window: Window) -> Keyed:
    """Count the connections by host and daemon: of each, every list is asked once, but where a result is known still."""
    event, program = column(window, "sessions", "event"), column(window, "sessions", "program")
    rows = (
        np.flatnonzero(event.is_in("connect") & program.is_in("smtpd", "postscreen"))
        if len(event)
        else np.empty(0, np.int64)
    )
    host = column(window, "sessions", "host").take(rows) if len(rows) else None
    if host is None:
        text = dict.fromkeys(("host", "door"), pa.array([], pa.large_string()))
        return Keyed.of({**text, "n": np.empty(0, np.int64)}, sums=("n",))
    door = program.take(rows)
    wide = len(door.words) + 1
    pair, count = np.unique(host.codes * wide + door.codes, return_counts=True)
    return Keyed.of(
        {
            "host": _large(Coded(pair // wide, host.words)),
            "door": _large(Coded(pair % wide, door.words)),
            "n": count.astype(np.int64),
        },
        sums=("n",),
    )


def key_of(name: str) -> int:
    """Return the number by which the times of a list's listings are kept."""
    return int(hashes([name])[0])
