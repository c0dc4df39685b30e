"""One JSON object a line, as journald, docker, rspamd, and every syslog daemon and log shipper write it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from logscan.envelopes.bodies import RSPAMD, Settler
from logscan.envelopes.prefixes import sane
from logscan.envelopes.stamps import LAST_EPOCH, NEVER, NO_OFFSET, NO_TIME, SECOND, STAMP, Moment, moment

RECORD_TIMES = ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP")
"""Fields of the journal that tell the time in microseconds, the exacter one first."""

TIMES = (
    "@timestamp", "timestamp", "time", "isodate", "eventtime", "event_time", "timereported", "timegenerated",
    "syslog_timestamp", "datetime", "date", "ts", "_time", "@t", "r_isodate", "s_isodate", "unixtime", "r_unixtime",
)  # fmt: skip
HOSTS = (
    "log.syslog.hostname", "hostname", "host", "host.name", "host.hostname", "host_name", "syslog_hostname",
    "syslog_host", "sysloghost", "_hostname", "fromhost", "logsource", "@source_host", "host_from", "fullhost",
    "computer", "source",
)  # fmt: skip
PROGRAMS = (
    "ident", "program", "programname", "app_name", "appname", "application_name", "application", "app",
    "syslogtag", "log.syslog.appname", "syslog.appname", "syslog.identifier", "syslog_tag", "syslog_identifier",
    "syslog_program", "identifier", "process.name", "process_name", "processname", "process", "comm", "tag",
    "service.name", "service", "logger", "source",
)  # fmt: skip
PIDS = (
    "log.syslog.procid",
    "syslog.pid",
    "pid",
    "procid",
    "process.pid",
    "process_id",
    "processid",
    "syslog_pid",
    "_pid",
)
MESSAGES = (
    "message", "msg", "@message", "short_message", "text", "line", "log", "content", "textpayload", "event.original",
    "@m", "body", "full_message", "rawmsg",
)  # fmt: skip
"""Names in use for each field, the surest first: rsyslog's and syslog-ng's properties (lists in their manuals), fluentd's
and fluent-bit's syslog parsers, GELF, ECS, logstash. Upper case, and dashes for underscores, make no difference."""

LOOSE = frozenset(PROGRAMS[PROGRAMS.index("tag") :])
"""Names that say what wrote the record only where its text doesn't."""

DEPTH = 3
"""Objects within objects that are looked into."""

COMPOUND = frozenset({dict, list, bool})
"""What a record of plain fields doesn't have."""

LONGEST = 8000
"""Bytes of a record whose names are remembered."""

BLANK = re.compile(rb"\s")
TAG = re.compile(rb"(.+?)(?:\[(\d{1,10})\])?:?", re.DOTALL)


def text_of(value: Any) -> bytes:
    """Return a journal field's bytes: a string, an array of byte numbers, or an array of such values."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, list):
        if all(isinstance(each, int) and 0 <= each < 256 for each in value):
            return bytes(value)
        return b" ".join(text_of(each) for each in value)
    return b"" if value is None else str(value).encode("utf-8", "surrogatepass")


def one_line(text: bytes) -> bytes:
    """Return ``text`` as one line; a newline becomes #012, as rsyslog writes it."""
    return text.rstrip(b"\r\n").replace(b"\n", b"#012")


def _word(text: bytes) -> bytes:
    return BLANK.sub(b"_", text)


def journal(get: Callable[[str], bytes]) -> tuple[bytes, Moment]:
    """Return body and time of a record of the journal, whose fields ``get`` gives."""
    when = NEVER
    for name in RECORD_TIMES:
        digits = get(name)
        if digits.isdigit() and len(digits) < 17 and int(digits) < LAST_EPOCH * 1_000_000:
            when = int(digits) * 1000, -1, 0, NO_OFFSET
            break
    tag = _word(get("SYSLOG_IDENTIFIER") or get("_COMM") or b"unknown")
    pid = get("SYSLOG_PID") or get("_PID")
    host = _word(get("_HOSTNAME") or b"-")
    text = one_line(sane(get("MESSAGE")))
    return host + b" " + tag + (b"[" + pid + b"]: " if pid.isdigit() else b": ") + text, when


def sent(line: bytes) -> bytes:
    """Return a line without what ``json-sse`` (server-sent events) and ``json-seq`` (RFC 7464) put before its JSON."""
    return line[6:] if line[:7] == b"data: {" else line[1:] if line[:2] == b"\x1e{" else line


def json_line(line: bytes, outer: Moment = NEVER) -> tuple[bytes, Moment] | None:
    """Read one JSON record of a line of a log; None for any other. ``outer`` is the moment told before the record."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    if RECORD_TIMES[0] in record or RECORD_TIMES[1] in record:
        return journal(lambda name: text_of(record.get(name)))
    if isinstance(record.get("log"), str) and "stream" in record:
        return contained(text_of(record["log"]).rstrip(b"\n"), told(record, outer))
    if "message" in record and "worker_type" in record and isinstance(record.get("ts"), int | float):
        names = (("<{}>;", "id"), ("{};", "module"), ("{}:", "function"), ("{}", "message"))
        text = " ".join(form.format(record[name]) for form, name in names if record.get(name))
        head = f"- rspamd[{record.get('pid', 0)}]: ({record['worker_type']}) "
        return one_line((head + text).encode("utf-8", "surrogatepass")), epoch(record["ts"])
    return _named(record, outer, known=len(line) <= LONGEST)


FLUENT = re.compile(
    rb"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    rb"(?P<by>[\t ,])(?:[^\s,:{\"]{1,200}(?P=by))?(?=\{)"
    rb"|(?P<stdout>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} [+-]\d{4}) [^\s,:{\"]{1,200}: (?=\{)"
    rb"|(?:[^\s,:{\"]{1,200}: )?\[(?P<epoch>\d{9,10}(?:\.\d{1,9})?), (?=\{)"
)
"""What fluentd's out_file (time, tag, record; tabs, blanks or commas between) and stdout, and fluent-bit's out_file write
before a record. The tag names the record's way through the shipper: it says nothing of the program."""


def shipped(line: bytes) -> tuple[bytes, Moment] | None:
    """Read one line of a file that fluentd or fluent-bit wrote; None for any other."""
    found = FLUENT.match(line)
    if found is None:
        return None
    text, when = line[found.end() :], found["time"] or found["stdout"] or found["epoch"]
    return json_line(text.rstrip().removesuffix(b"]") if found["epoch"] else text, _when(when.decode()))


def told(record: dict[str, Any], outer: Moment = NEVER) -> Moment:
    """Return the moment of a container's record: ``time`` is the runtime's own name, a shipper may have another one."""
    for name in ("time", *TIMES):
        when = _when(record[name]) if name in record else NEVER
        if when != NEVER:
            return when
    return outer


def _flat(record: dict[str, Any], above: str = "", depth: int = DEPTH) -> Iterator[tuple[str, Any]]:
    """Yield the names and values in a record, those of objects in it as ``name.name``."""
    for key, value in record.items():
        if isinstance(value, dict):
            if depth:
                name = "" if plain(above + key) in ("_source", "fields", "record") else f"{above}{key}."
                yield from _flat(value, name, depth - 1)
        elif value is not None and not isinstance(value, list | bool):
            yield above + key, value


def plain(name: str) -> str:
    """Return a field's name as the lists here have it."""
    return name.casefold().replace("-", "_")


def _uses(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return which of a record's names may tell times, host, program, PID and text, the surest first of each."""
    own = {plain(name): name for name in names}
    return tuple(tuple(own[name] for name in kind if name in own) for kind in (TIMES, HOSTS, PROGRAMS, PIDS, MESSAGES))


_remembered = lru_cache(maxsize=64)(_uses)
"""A template writes the same names into each line: what they are used for is found once."""


def _first(fields: dict[str, Any], names: tuple[str, ...], but: str = "") -> str:
    for name in names:
        if name != but and fields[name] not in (None, "", "-"):
            return name
    return ""


def _named(record: dict[str, Any], outer: Moment, *, known: bool) -> tuple[bytes, Moment] | None:
    """Return body and time of a record with its own names for host, program, PID and text."""
    fields = record if COMPOUND.isdisjoint(map(type, record.values())) else dict(_flat(record))
    times, hosts, programs, pids, messages = (_remembered if known else _uses)(tuple(fields))
    message = _first(fields, messages)
    if not message:
        return None
    when = outer
    for name in times:
        own = _when(fields[name])
        if own != NEVER:
            when = own
            break
    host_name = _first(fields, hosts)
    program_name = _first(fields, programs, but=host_name)
    text = text_of(fields[message]).strip()
    host = _word(text_of(fields[host_name])) if host_name else b"-"
    tag = TAG.fullmatch(text_of(fields[program_name]).strip()) if program_name else None
    # A shipper's tag is a name of its own for the way that a record takes, and the text may be the whole line.
    whole = STAMP.match(text) or (tag and text.startswith((tag[1] + b"[", tag[1] + b": ")))
    if whole or tag is None or plain(program_name) in LOOSE:
        line = contained(text, when)
        if line is not None and line[0][:2] == b"- ":
            return host + line[0][1:], line[1]
        if line is not None or tag is None:
            return line
    pid = tag[2] or text_of(fields[name] if (name := _first(fields, pids)) else None)
    head = host + b" " + _word(tag[1]) + (b"[" + pid + b"]: " if pid.isdigit() and len(pid) < 11 else b": ")
    return head + one_line(sane(text)), when


def _when(value: Any) -> Moment:
    """Return the moment of a time in any form: epoch in seconds or finer as a number or digits, or a stamp."""
    if isinstance(value, int | float):
        return epoch(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{9,19}(?:\.[0-9]{1,9})?", value):
        whole, _, fraction = value.partition(".")
        return epoch(int(whole)) if not fraction else epoch(int(whole), int(fraction.ljust(9, "0")))
    return stamp(value)


def epoch(value: float, fraction: int = 0) -> Moment:
    """Return the moment of seconds, milli-, micro- or nanoseconds since 1970, told apart by their size."""
    if not 0 <= value < 2**64:  # nor is what is no number
        return NEVER
    whole = int(value)
    for unit in (SECOND, 1_000_000, 1000, 1):
        if value < LAST_EPOCH * (SECOND // unit):
            part = round((value - whole) * 1_000_000) * unit // 1_000_000
            return whole * unit + (part or fraction if unit == SECOND else part), -1, 0, NO_OFFSET
    return NEVER


def stamp(value: Any) -> Moment:
    """Return the moment of a stamp in a record: RFC 3339 with up to nine digits of a second, or what else logs have."""
    found = STAMP.match(str(value)[:100].encode("ascii", "replace") + b" ")
    return (moment(found) if found else None) or NEVER


def both(outer: Moment, own: Moment) -> Moment:
    """Return the moment of a line with two stamps: the outer one's time holds, and the inner one's offset is the server's."""
    offset = own[3] if own[3] != NO_OFFSET else outer[3]
    if outer[0] != NO_TIME:
        return *outer[:3], offset
    return (own[0], *outer[1:3], offset) if outer[1] >= 0 and own[0] != NO_TIME else own


def contained(text: bytes, when: Moment) -> tuple[bytes, Moment] | None:
    """Return the body of a container's line, whose own stamp gives way to the container runtime's."""
    text = sane(text)
    found = STAMP.match(text)
    settle = Settler("")
    if found:
        own = moment(found)
        return settle(one_line(text[found.end() :])), both(when, own) if own else when
    body = settle.bare(text)
    if body is None and RSPAMD.match(text):
        body = settle(text)
    return (one_line(body), when) if body is not None else None
