"""Reads what stands behind a field's colon: addresses, numbers with units, times, words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Any

from logscan.clocks.moments import moment
from logscan.query.fields import SAME, Field
from logscan.query.model import Moment, Number, Pattern, Value, Word

UNITS = {
    "size": {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30},
    "span": {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800},
    "number": {"": 1},
}
"""What a number is multiplied by, by kind of field and unit."""

NUMBER = re.compile(r"(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)([A-Za-z]{0,3})")

CODE = re.compile(r"[245](?:\.(?:[0-9]{1,3}|\*)){0,2}")
"""An enhanced status code, or the beginning of one."""

EXAMPLES = {"number": "score:>5", "size": "size:>5M", "span": "delay:>10m"}

MOST_STARS = 20
"""Wildcards that a text may have."""


def value(field: Field, op: str, text: str, quoted: bool, zone: Any, now: datetime | None) -> Value:
    """Return the value of a condition; raises ValueError with a sentence.

    ``op`` is the comparison before the text, ``quoted`` tells that the text stood in quotes: its ``*`` is an asterisk.
    """
    if op and field.kind not in UNITS:
        raise ValueError(f"{field.name}: takes no {op}; only size, delay and score are compared")
    if field.kind in UNITS:
        return _number(field, op or "=", text)
    if field.kind == "time":
        if not text.strip():
            raise ValueError(f"{field.name}: needs a time: 2026-11-22, '2026-11-22 07:00', yesterday, -2h")
        return Moment(moment(text, zone, now))
    if field.kind == "words":
        return _word(field, text)
    if field.kind == "name" and "/" in text and re.fullmatch(r"[0-9a-fA-F:.]+/[0-9]{1,3}", text):
        try:
            return Word(str(ip_network(text, strict=False)))
        except ValueError:
            raise ValueError(f"{text!r} is no network; write 192.0.2.0/24") from None
    return pattern(text, quoted)


def pattern(text: str, quoted: bool) -> Pattern:
    """Return a text with its wildcards; raises ValueError where they are too many."""
    text = _as_tables(text)
    if quoted:
        return Pattern((text,))
    parts = re.sub(r"\*+", "*", text).split("*")
    if len(parts) > MOST_STARS:
        raise ValueError(f"more than {MOST_STARS} wildcards in one text")
    return Pattern(tuple(parts))


def _as_tables(text: str) -> str:
    """Return a text with bytes that are no UTF-8 written as tables have them."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def _number(field: Field, op: str, text: str) -> Number:
    units = UNITS[field.kind]
    found = NUMBER.fullmatch(text)
    if found is None or found[2].lower() not in units:
        known = ", ".join(each for each in units if each)
        raise ValueError(
            f"{text!r} is no {'amount' if known else 'number'}; write {EXAMPLES[field.kind]}"
            + (f" (units: {known})" if known else "")
        )
    return Number(op, float(found[1]) * units[found[2].lower()])


def _word(field: Field, text: str) -> Value:
    low = text.lower()
    low = SAME.get(field.name, {}).get(low, low)
    if low in field.words:
        return Word(low)
    if field.name == "status" and CODE.fullmatch(text):
        return pattern(text, False)
    if field.name == "status" and low in ("rejected", "refused", "reject"):
        raise ValueError("what was refused never became a mail: logscan trace finds it by address, client or host name")
    raise ValueError(
        f"{field.name}: knows no {text!r}{meant(low, [*field.words, *SAME.get(field.name, {})])}; it takes "
        + ", ".join(field.words)
        + (" or a status code such as 5.1.1" if field.name == "status" else "")
    )


def meant(text: str, names: Iterable[str], end: str = "") -> str:
    """Return ``: did you mean …?`` where a name comes near, else an empty text."""
    near = get_close_matches(text[:40], list(names), 2, 0.6)
    return f": did you mean {' or '.join(each + end for each in near)}?" if near else ""
