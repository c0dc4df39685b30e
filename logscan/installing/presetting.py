"""What is set in the settings file from the first day on: options of the sample that stop being comments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def preset(sample: str, top: Mapping[str, Any], daily: Mapping[str, Any]) -> str:
    """Return the sample with some options in force: at the top, for all commands, and below ``[daily]``."""
    head, sign, rest = sample.partition("\n[")
    text = _set(head, top) + sign + rest
    if not daily:
        return text
    table = re.search(r"^\[daily\]\n", text, re.MULTILINE)
    if table is None:
        return f"{text}\n[daily]\n" + "".join(line(*each) for each in daily.items())
    before, behind = text[: table.end()], text[table.end() :]
    own, sign, others = behind.partition("\n[")
    return before + _set(own, daily) + sign + others


def _set(text: str, values: Mapping[str, Any]) -> str:
    """Put each option in the place of its comment; at the beginning of a part that has none."""
    for key, value in values.items():
        comment = re.search(rf"^# {re.escape(key)} = .*\n", text, re.MULTILINE)
        start, end = comment.span() if comment else (0, 0)
        text = text[:start] + line(key, value) + text[end:]
    return text


def line(key: str, value: Any) -> str:
    """Return an option as TOML writes it."""
    return f"{key} = {json.dumps(value, ensure_ascii=False)}\n"


def missing(told: Mapping[str, Any], top: Mapping[str, Any], daily: Mapping[str, Any]) -> list[str]:
    """Return the lines that settings lack which are there already, each with where it goes."""
    own = told.get("daily")
    said = {**told, **(own if isinstance(own, dict) else {})}
    lines = [(line(key, value).strip(), "at the top") for key, value in top.items() if key not in said]
    lines += [
        (line(key, value).strip(), "below [daily]") for key, value in daily.items() if not _holds(said.get(key), value)
    ]
    return [f"{text} {where}" for text, where in lines]


def _holds(said: Any, wanted: Any) -> bool:
    every = said if isinstance(said, list) else [said]
    return all(each in every for each in wanted) if isinstance(wanted, list) else wanted in every
