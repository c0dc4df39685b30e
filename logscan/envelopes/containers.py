"""Records of containers and log shippers: docker's and Kubernetes' files, fluentd's and fluent-bit's."""

from __future__ import annotations

import json
import re
from typing import Any

from logscan.envelopes.json_lines import contained, json_line, sent, shipped, stamp, text_of, told
from logscan.envelopes.rows import Rows, split
from logscan.envelopes.stamps import NEVER, Moment

CRI = re.compile(rb"(\S+) (stdout|stderr) ([FP]) ?")

PIECE = 16 << 10
"""Bytes of a line that docker's and containerd's runtimes write at once (docker daemon/logger/copier.go, defaultBufSize)."""


def _piece(record: dict[str, Any]) -> bool | None:
    """Tell whether a record is a piece of a line and not its last one; None where only what follows can tell.

    Kubernetes' marker says it. Docker ends a line's last piece with a newline, but shippers take it off: then what
    fills docker's buffer is a piece. A character cut in two has become U+FFFD, of three bytes for one.
    """
    marker, text = record.get("logtag", record.get("_p")), record["log"]
    if marker in ("F", "P"):
        return str(marker) == "P"
    if text.endswith("\n"):
        return False
    size = len(text_of(text)) if len(text) * 4 >= PIECE else 0
    return size >= PIECE >= size - 2 * text.count("\ufffd") or None


def docker_json(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read docker's json-file driver, also as shippers write its records on; a line cut at 16 KiB is joined."""
    lines = split(chunk)
    rows = Rows(lines=len(lines))
    pieces: dict[str, tuple[int, list[str], Moment, bool | None]] = {}
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
            stream, text, piece = str(record.get("stream")), record["log"], _piece(record)
            first, texts, when = number, list[str](), told(record)
            before = pieces.pop(stream, None)
            # What doesn't fill the buffer is a piece only if the end of a line follows.
            if before and (before[3] or (piece is False and contained(text_of(text), NEVER) is None)):
                first, texts, when = before[:3]
                rows.blank += 1
            elif before:
                _finish(rows, before[0], text_of("".join(before[1])), before[2])
            texts.append(text)
            if piece is False:
                _finish(rows, first, text_of("".join(texts)), when)
            else:
                pieces[stream] = first, texts, when, piece
    for first, texts, when, _ in pieces.values():
        _finish(rows, first, text_of("".join(texts)), when)
    return _sorted(rows)


def fluentd(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read what fluentd or fluent-bit wrote into a file: its time and tag before each record."""
    lines = split(chunk)
    rows = Rows(lines=len(lines))
    for number, line in enumerate(lines):
        if not line or line.isspace():
            rows.blank += 1
        elif record := shipped(line) or json_line(sent(line)):
            rows.add(number, *record)
        else:
            rows.undecodable += 1
    return rows


def cri(chunk: bytes, context: dict[str, Any]) -> Rows:
    """Read Kubernetes' and podman's k8s-file: ``TIME stdout F text``; pieces marked P are joined to the next F."""
    lines = split(chunk)
    rows = Rows(lines=len(lines))
    pieces: dict[bytes, tuple[int, bytes, Moment]] = {}
    for number, line in enumerate(lines):
        found = CRI.match(line)
        if not line or line.isspace():
            rows.blank += 1
        elif found is None:
            rows.undecodable += 1
        else:
            at = stamp(found[1].decode("ascii", "replace"))
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
    record = contained(text.rstrip(b"\n"), when)
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
    for name in ("number", "time", "clock", "year", "offset"):
        column = getattr(rows, name)
        setattr(rows, name, [column[at] for at in order])
    return rows
