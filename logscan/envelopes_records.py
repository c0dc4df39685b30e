"""Envelopes that are records rather than stamped lines: journal, container logs, DSPAM's own files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from logscan.envelopes_bodies import RSPAMD, Settler
from logscan.envelopes_stamps import LAST_EPOCH, NO_TIME, SECOND, STAMP, Moment, moment, wall

NEVER: Moment = (NO_TIME, -1, 0)

DSPAM_RECORD = re.compile(rb"\d{9,10}\t[A-Z]\t")
"""Head of a record of DSPAM's system.log and user logs (log_events, dspam.c)."""

DSPAM_GLUED = re.compile(rb"\d{10}\t[A-Z]\t")

DSPAM_BUFFER = 1023
"""Bytes of a record that DSPAM writes at most, its newline among them (log_events, dspam.c: a buffer of 1024)."""

DSPAM_NOTE = re.compile(
    rb"(?:(?P<pid>\d{1,10}): )?"
    rb"\[(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d{4}) (?P<hms>\d\d:\d\d:\d\d)\] (?P<after>\d{1,10}: )?"
)
"""Head of a line of DSPAM's LOGFILE and dspam.debug (error.c), and of sql.errors, where the PID stands behind."""

WHITE = b" \t\r\v\f"
"""What says nothing at the end of a line: pages, terminals and templates leave it there."""

CRI = re.compile(rb"(\S+) (stdout|stderr) ([FP]) ?")


@dataclass
class Rows:
    """What a decoder found; the lists run alongside (see :class:`logscan.envelope.Lines` for their meaning)."""

    bodies: list[bytes] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    clock: list[int] = field(default_factory=list)
    year: list[int] = field(default_factory=list)
    lost: list[tuple[int, str]] = field(default_factory=list)
    lines: int = 0
    undecodable: int = 0
    blank: int = 0

    def add(self, number: int, body: bytes, when: Moment) -> None:
        """Append one body that starts in line ``number``, without the white space at its end."""
        self.bodies.append(body.rstrip(WHITE))
        self.number.append(number)
        self.time.append(when[0])
        self.clock.append(when[1])
        self.year.append(when[2])


def _split(chunk: bytes) -> list[bytes]:
    lines = chunk.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


# --- DSPAM ---------------------------------------------------------------------------------------------------------


def _dspam(chunk: bytes, head: bytes, cut: int = 0) -> Rows:
    """Read records of ``epoch TAB class TAB ...``: join what a folded Message-ID broke, split glued ones.

    A record that fills ``cut`` bytes has lost its newline, and the next one follows at that very byte. Nowhere else in
    a line can one begin: what looks like one is a stranger's text.
    """
    lines = _split(chunk)
    rows = Rows(lines=len(lines))
    text, first, last, room = b"", 0, -1, 0

    def close() -> None:
        if text:
            rows.add(first, head + text, (min(int(text[: text.index(b"\t")]), LAST_EPOCH) * SECOND, -1, 0))

    for number, line in enumerate(lines):
        begins = DSPAM_RECORD.match(line) is not None
        folded = not begins and line[:1] in (b" ", b"\t") and bool(text) and last == number - 1
        if not line.strip() or not (begins or folded):
            rows.blank += not line.strip()
            rows.undecodable += bool(line.strip())
            continue
        at = 0
        while at < len(line):
            if begins:
                close()
                text, first, room = b"", number, cut
            glued = room > 0 and DSPAM_GLUED.match(line, at + room) is not None
            piece = line[at : at + room] if glued else line[at:]
            text = text + b" " + piece.strip() if text else piece
            room -= len(piece) + 1
            at += len(piece)
            begins = True
        rows.blank += first != number
        last = number
    close()
    return rows


def dspam_system(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read DSPAM's system.log: bodies ``- dspam.system: RECORD``, times from the epoch column."""
    return _dspam(chunk, b"- dspam.system: ", DSPAM_BUFFER)


def dspam_user(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read a DSPAM user log: bodies ``- dspam.user: USER TAB RECORD``; USER is ``context["user"]``, else ``-``.

    There a newline of its own follows each record, also one that was cut (log_events, dspam.c).
    """
    user = str(context.get("user") or "-").encode("utf-8", "surrogateescape")
    return _dspam(chunk, b"- dspam.user: " + user + b"\t")


def dspam_line(line: bytes) -> tuple[bytes, Moment] | None:
    """Read one line of DSPAM's LOGFILE, dspam.debug or sql.errors: ``- dspam.file[PID]: text`` and its local time."""
    found = DSPAM_NOTE.match(line)
    if found is None:
        return None
    clock, year = wall(int(found["month"]), int(found["day"]), found["hms"]), int(found["year"])
    if clock is None or not 1970 <= year <= 2261:
        return None
    pid = found["pid"] or (found["after"] or b"").rstrip(b": ")
    tag = b"- dspam.file[" + pid + b"]: " if pid else b"- dspam.file: "
    return tag + line[found.end() :], (NO_TIME, clock, year)


# --- JSON ----------------------------------------------------------------------------------------------------------


def _text(value: Any) -> bytes:
    """Return a journal field's bytes: a string, an array of byte numbers, or an array of such values."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, list):
        if all(isinstance(each, int) and 0 <= each < 256 for each in value):
            return bytes(value)
        return b" ".join(_text(each) for each in value)
    return b"" if value is None else str(value).encode()


def _line(text: bytes) -> bytes:
    """Return ``text`` as one line; a newline becomes #012, as rsyslog writes it."""
    return text.rstrip(b"\n").replace(b"\n", b"#012")


def _journal(get: Callable[[str], bytes]) -> tuple[bytes, Moment]:
    when = NEVER
    for name in ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"):
        digits = get(name)
        if digits.isdigit() and len(digits) < 17 and int(digits) < LAST_EPOCH * 1_000_000:
            when = int(digits) * 1000, -1, 0
            break
    word = re.compile(rb"\s").sub
    tag = word(b"_", get("SYSLOG_IDENTIFIER") or get("_COMM") or b"unknown")
    pid = get("SYSLOG_PID") or get("_PID")
    host = word(b"_", get("_HOSTNAME") or b"-")
    return host + b" " + tag + (b"[" + pid + b"]: " if pid.isdigit() else b": ") + _line(get("MESSAGE")), when


def json_line(line: bytes) -> tuple[bytes, Moment] | None:
    """Read one JSON record: of the journal, of docker's json-file driver, or of rspamd; None for any other."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    if "__REALTIME_TIMESTAMP" in record or "_SOURCE_REALTIME_TIMESTAMP" in record:
        return _journal(lambda name: _text(record.get(name)))
    if isinstance(record.get("log"), str):
        return _contained(_text(record["log"]).rstrip(b"\n"), _rfc3339(record.get("time")))
    if "message" in record and isinstance(record.get("ts"), int | float):
        names = (("<{}>;", "id"), ("{};", "module"), ("{}:", "function"), ("{}", "message"))
        text = " ".join(form.format(record[name]) for form, name in names if record.get(name))
        head = f"- rspamd[{record.get('pid', 0)}]: ({record.get('worker_type', '')}) "
        seconds = record["ts"]
        time = int(seconds * 1_000_000) * 1000 if 0 <= seconds < LAST_EPOCH else NO_TIME
        return _line((head + text).encode("utf-8", "surrogatepass")), (time, -1, 0)
    return None


def _rfc3339(value: Any) -> Moment:
    """Return the moment of an RFC 3339 string with up to nine digits of a second."""
    found = STAMP.match(str(value).encode("ascii", "replace") + b" ")
    return (moment(found) if found else None) or NEVER


def _contained(text: bytes, when: Moment) -> tuple[bytes, Moment] | None:
    """Return the body of a container's line, whose own stamp gives way to the container runtime's."""
    found = STAMP.match(text)
    settle = Settler("")
    if found:
        own = moment(found)
        return settle(_line(text[found.end() :])), when if when[0] != NO_TIME or own is None else own
    body = settle.bare(text)
    if body is None and RSPAMD.match(text):
        body = settle(text)
    return (_line(body), when) if body is not None else None


def journal_json(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read ``journalctl -o json``; a MESSAGE that journalctl left out (null: too long) is counted as lost."""
    lines = _split(chunk)
    rows = Rows(lines=len(lines))
    for number, line in enumerate(lines):
        if not line or line.isspace():
            rows.blank += 1
            continue
        record = json_line(line)
        if record is None:
            rows.undecodable += 1
            continue
        if b'"MESSAGE":null' in line.replace(b" ", b"")[:1_000_000]:
            rows.lost.append((number, "the journal's JSON leaves out long messages; export it with --all"))
        rows.add(number, *record)
    return rows


def docker_json(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read docker's json-file driver; a line cut at 16 KiB is joined: only its last piece ends in a newline."""
    lines = _split(chunk)
    rows = Rows(lines=len(lines))
    pieces: dict[str, tuple[int, list[str], Moment]] = {}
    for number, line in enumerate(lines):
        try:
            record = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            record = ()
        if record is None:
            rows.blank += 1
        elif not isinstance(record, dict) or not isinstance(record.get("log"), str):
            rows.undecodable += 1
        else:
            stream = str(record.get("stream"))
            first, texts, when = pieces.pop(stream, (number, [], _rfc3339(record.get("time"))))
            if first != number:
                rows.blank += 1
            texts.append(record["log"])
            if record["log"].endswith("\n"):
                _finish(rows, first, _text("".join(texts)), when)
            else:
                pieces[stream] = first, texts, when
    for first, texts, when in pieces.values():
        _finish(rows, first, _text("".join(texts)), when)
    return _sorted(rows)


def cri(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read Kubernetes' and podman's k8s-file: ``TIME stdout F text``; pieces marked P are joined to the next F."""
    lines = _split(chunk)
    rows = Rows(lines=len(lines))
    pieces: dict[bytes, tuple[int, bytes, Moment]] = {}
    for number, line in enumerate(lines):
        found = CRI.match(line)
        if not line or line.isspace():
            rows.blank += 1
        elif found is None:
            rows.undecodable += 1
        else:
            at = _rfc3339(found[1].decode("ascii", "replace"))
            first, text, when = pieces.pop(found[2], (number, b"", at))
            if first != number:
                rows.blank += 1
            text += line[found.end() :]
            if found[3] == b"P":
                pieces[found[2]] = first, text, when
            else:
                _finish(rows, first, text, when)
    for first, text, when in pieces.values():
        _finish(rows, first, text, when)
    return _sorted(rows)


def _finish(rows: Rows, number: int, text: bytes, when: Moment) -> None:
    record = _contained(text.rstrip(b"\n"), when)
    if record is not None:
        rows.add(number, *record)
    elif not text.strip():
        rows.blank += 1
    else:
        rows.undecodable += 1


def _sorted(rows: Rows) -> Rows:
    """Put joined lines, which end after others that began later, back where they began."""
    order = sorted(range(len(rows.number)), key=rows.number.__getitem__)
    rows.bodies = [rows.bodies[at] for at in order]
    for name in ("number", "time", "clock", "year"):
        column = getattr(rows, name)
        setattr(rows, name, [column[at] for at in order])
    return rows


# --- journal export ------------------------------------------------------------------------------------------------


def journal_export(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read ``journalctl -o export``: NAME=value lines or NAME, length and bytes; an empty line ends an entry.

    Lines count as newline bytes outside binary values; an entry is counted at its first line.
    """
    rows = Rows()
    fields: dict[str, bytes] = {}
    at, first = 0, 0
    while at < len(chunk):
        end = chunk.find(b"\n", at)
        end = len(chunk) if end < 0 else end
        line = chunk[at:end]
        at = end + 1
        number, rows.lines = rows.lines, rows.lines + 1
        if not line:
            rows.blank += 1
            _entry(rows, first, fields)
            fields = {}
            continue
        if fields:
            rows.blank += 1
        else:
            first = number
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(chunk[at : at + 8], "little")
            value = chunk[at + 8 : at + 8 + min(size, len(chunk))]
            at += 8 + len(value) + 1
        key = name.decode("ascii", "replace")
        fields[key] = fields[key] + b" " + value if key in fields else value
    _entry(rows, first, fields)
    return rows


def _entry(rows: Rows, number: int, fields: dict[str, bytes]) -> None:
    if not fields:
        return
    if "MESSAGE" in fields and ("__REALTIME_TIMESTAMP" in fields or "_SOURCE_REALTIME_TIMESTAMP" in fields):
        rows.add(number, *_journal(lambda name: fields.get(name, b"")))
    else:
        rows.undecodable += 1


# --- one line a record, local time -----------------------------------------------------------------------------------


def dspam_debug(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read DSPAM's LOGFILE, dspam.debug or sql.errors; a line without the head belongs to the one before."""
    lines = _split(chunk)
    rows = Rows(lines=len(lines))
    for number, line in enumerate(lines):
        record = dspam_line(line)
        if record is not None:
            rows.add(number, *record)
        elif not line or line.isspace() or rows.number:
            rows.blank += 1
        else:
            rows.undecodable += 1
    return rows


DECODERS: dict[str, Callable[[bytes, dict[str, Any]], Rows]] = {
    "cri": cri,
    "docker-json": docker_json,
    "dspam-debug": dspam_debug,
    "dspam-system-log": dspam_system,
    "dspam-user-log": dspam_user,
    "journal-export": journal_export,
    "journal-json": journal_json,
}
