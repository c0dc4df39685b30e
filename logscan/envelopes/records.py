"""Envelopes that are records rather than stamped lines: journal, container logs, DSPAM's own files."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from logscan.envelopes.containers import cri, docker_json, fluentd
from logscan.envelopes.json_lines import journal, json_line, sent
from logscan.envelopes.rows import Rows, split
from logscan.envelopes.stamps import LAST_EPOCH, NO_OFFSET, NO_TIME, SECOND, STAMP, Moment, moment, wall

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

# --- DSPAM ---------------------------------------------------------------------------------------------------------


def _dspam(chunk: bytes, head: bytes, cut: int = 0) -> Rows:
    """Read records of ``epoch TAB class TAB ...``: join what a folded Message-ID broke, split glued ones.

    A record that fills ``cut`` bytes has lost its newline, and the next one follows at that very byte. Nowhere else in
    a line can one begin: what looks like one is a stranger's text.
    """
    lines = split(chunk)
    rows = Rows(lines=len(lines))
    text, first, last, room = b"", 0, -1, 0

    def close() -> None:
        if text:
            rows.add(first, head + text, (min(int(text[: text.index(b"\t")]), LAST_EPOCH) * SECOND, -1, 0, NO_OFFSET))

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
    return tag + line[found.end() :], (NO_TIME, clock, year, NO_OFFSET)


# --- JSON ----------------------------------------------------------------------------------------------------------


def journal_json(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read ``journalctl -o json``, ``json-sse`` and ``json-seq``; a MESSAGE left out (null: too long) is counted as lost."""
    lines = split(chunk)
    rows = Rows(lines=len(lines))
    for number, line in enumerate(lines):
        if not line or line.isspace():
            rows.blank += 1
        else:
            _json(rows, number, sent(line))
    return rows


def _json(rows: Rows, number: int, text: bytes) -> None:
    record = json_line(text)
    if record is None:
        rows.undecodable += 1
        return
    if b'"MESSAGE":null' in text.replace(b" ", b"")[:1_000_000]:
        rows.lost.append((number, "the journal's JSON leaves out long messages; export it with --all"))
    rows.add(number, *record)


SAID = re.compile(rb"[ \t]+\"(?:MESSAGE|message|msg|log)\" ?:")


def json_pretty(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read records of several lines, from one that is ``{`` to one that begins with ``}``: ``journalctl -o json-pretty``."""
    lines = split(chunk)
    rows = Rows(lines=len(lines))
    first = -1
    for number, line in enumerate(lines):
        if first < 0:
            if line.rstrip() == b"{":
                first = number
            elif not line.strip(b", \t\r[]"):
                rows.blank += 1
            else:
                rows.undecodable += 1
        elif line[:1] == b"}":
            rows.blank += number - first
            # The line that shows what was said stands for all of the record.
            said = next((at for at in range(first, number) if SAID.match(lines[at])), first)
            _json(rows, said, b"\n".join(lines[first:number]) + b"\n}")
            first = -1
    if first >= 0:
        rows.undecodable += 1
        rows.blank += len(lines) - first - 1
    return rows


# --- journal export ------------------------------------------------------------------------------------------------


def journal_export(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read ``journalctl -o export``: NAME=value lines or NAME, length and bytes; an empty line ends an entry.

    Lines count as newline bytes outside binary values; an entry is counted at the line of its MESSAGE.
    """
    rows = Rows()
    fields: dict[str, bytes] = {}
    at, first, said = 0, 0, -1
    while at < len(chunk):
        end = chunk.find(b"\n", at)
        end = len(chunk) if end < 0 else end
        line = chunk[at:end]
        at = end + 1
        number, rows.lines = rows.lines, rows.lines + 1
        if not line:
            rows.blank += 1
            _entry(rows, max(first, said), fields)
            fields, said = {}, -1
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
        if key == "MESSAGE" and equals:
            said = number
        fields[key] = fields[key] + b" " + value if key in fields else value
    _entry(rows, max(first, said), fields)
    return rows


def _entry(rows: Rows, number: int, fields: dict[str, bytes]) -> None:
    if not fields:
        return
    if "MESSAGE" in fields and ("__REALTIME_TIMESTAMP" in fields or "_SOURCE_REALTIME_TIMESTAMP" in fields):
        rows.add(number, *journal(lambda name: fields.get(name, b"")))
    else:
        rows.undecodable += 1


VERBOSE = re.compile(rb" {4}([A-Z0-9_]+)=")
CURSOR = re.compile(rb"\[[a-z]=[^\]]*\]\s*")


def verbose_head(line: bytes) -> Moment | None:
    """Return the moment of an entry's first line in ``journalctl -o verbose``: a stamp and the cursor."""
    found = STAMP.match(line)
    return moment(found) if found and CURSOR.fullmatch(line, found.end()) else None


def journal_verbose(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read ``journalctl -o verbose``: a stamp and the cursor, then ``    NAME=value``; further lines go on with a value."""
    lines = split(chunk)
    rows = Rows(lines=len(lines))
    fields: dict[str, bytes] = {}
    first, said, name = -1, -1, ""
    when: Moment | None = None

    def close() -> None:
        if first < 0:
            return
        if said < 0:
            rows.undecodable += 1
            return
        body, told = journal(lambda field: fields.get(field, b""))
        # The journal's own number is the exact time; a zone's name that may be several leaves a wall clock beside it.
        both = when if when and when[0] != NO_TIME else (told[0], when[1], when[2], NO_OFFSET) if when else told
        rows.add(said, body, both)

    for number, line in enumerate(lines):
        head = None if line[:1] in (b" ", b"\t") else verbose_head(line)
        if head is not None:
            close()
            fields, first, said, name, when = {}, number, -1, "", head
        elif first < 0 and line.strip():
            rows.undecodable += 1
        else:
            rows.blank += 1
            found = VERBOSE.match(line)
            if found:
                name = found[1].decode("ascii")
                said = number if name == "MESSAGE" else said
                fields[name] = line[found.end() :]
            elif name and line.strip():
                fields[name] += b"\n" + line.strip()
    close()
    return rows


# --- one line a record, local time -----------------------------------------------------------------------------------


def dspam_debug(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read DSPAM's LOGFILE, dspam.debug or sql.errors; a line without the head belongs to the one before."""
    lines = split(chunk)
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
    "fluentd": fluentd,
    "journal-export": journal_export,
    "journal-json": journal_json,
    "journal-verbose": journal_verbose,
    "json-pretty": json_pretty,
}

BOUNDARIES: dict[str, tuple[bytes, ...]] = {
    "journal-export": (b"\n\n__CURSOR=",),
    "journal-verbose": tuple(b"\n%b " % day for day in (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")),
    "json-pretty": (b"\n{",),
}
"""Where a file whose records have several lines may be cut: behind the newlines that one of these begins with."""
