"""Reads reports that were written as JSON, of any version of the schema, into plain values; says what is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from logscan.report.model import SCHEMA

MOST = 256 << 20
"""Bytes of a report: one of a million mails has some megabytes."""

PAGE = re.compile(rb"\s*(?:<!doctype|<html|<\?xml)", re.IGNORECASE)


class DocumentError(Exception):
    """A file that is no report as JSON; the message says why, and what to do."""


@dataclass(frozen=True)
class FindingRecord:
    """A finding, as a report has it. ``mails`` and ``recipients`` are None where the version hasn't them."""

    check: str
    cause: str
    subject: str
    id: str
    severity: str
    state: str
    summary: str
    count: int
    mails: int | None
    recipients: int | None
    suppressed: bool

    @property
    def key(self) -> tuple[str, str, str]:
        """What is the same from report to report."""
        return self.check, self.cause, self.subject


@dataclass(frozen=True)
class CheckRecord:
    """A check, as a report has it."""

    name: str
    verdict: str
    blind_because: tuple[str, ...]
    findings: tuple[FindingRecord, ...]


@dataclass(frozen=True)
class Document:
    """What two reports are compared by."""

    name: str
    version: str
    schema: int
    first: str
    last: str
    hosts: tuple[str, ...]
    checks: dict[str, CheckRecord]
    figures: dict[str, int | float]
    """Of ``mails``, by name."""
    notes: tuple[str, ...] = field(default=())
    """What was wrong with it."""

    @property
    def findings(self) -> Iterator[FindingRecord]:
        """Return the findings of all checks."""
        for check in self.checks.values():
            yield from check.findings


def load(path: str, stdin: BinaryIO | None = None) -> Document:
    """Return the report in a file, or on standard input for ``-``; raises :class:`DocumentError` and OSError."""
    name = "standard input" if path == "-" else path
    if path == "-" and stdin is not None:
        data = stdin.read(MOST + 1)
    else:
        if Path(path).is_dir():
            raise DocumentError(
                f"{name} is a folder; give the report itself, as logscan analyse -f json -o FILE writes it"
            )
        with Path(path).open("rb") as file:
            data = file.read(MOST + 1)
    if len(data) > MOST:
        raise DocumentError(f"{name} is longer than {MOST >> 20} MB, which no report is")
    return parsed(data, name)


def parsed(data: bytes, name: str) -> Document:
    """Return the report in these bytes; raises :class:`DocumentError`."""
    how = "logscan analyse -f json -o FILE writes one"
    if not data.strip():
        raise DocumentError(f"{name} is empty; {how}")
    if PAGE.match(data):
        raise DocumentError(f"{name} is a page: it holds no data that can be compared. Keep reports as JSON; {how}")
    try:
        found = json.loads(data.decode("utf-8-sig"), parse_constant=_refused)
    except UnicodeDecodeError:
        raise DocumentError(f"{name} is no text in UTF-8, so it is no report as JSON; {how}") from None
    except RecursionError:
        raise DocumentError(f"{name} is nested too deeply to be a report") from None
    except json.JSONDecodeError as error:
        raise DocumentError(f"{name} is no JSON (line {error.lineno}: {error.msg}); {how}") from None
    except ValueError as error:
        raise DocumentError(f"{name} is no report as JSON ({str(error)[:120]}); {how}") from None
    return _Reader(name).document(found)


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


class _Reader:
    """Takes values out of what JSON gave; says the place of one that isn't what it should be."""

    def __init__(self, name: str) -> None:
        self.name = name

    def document(self, found: Any) -> Document:
        if not isinstance(found, dict) or not isinstance(found.get("logscan"), dict):
            raise DocumentError(f"{self.name} is JSON, but no report of logscan’s: it has no “logscan” with a version")
        schema = found["logscan"].get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise DocumentError(f"{self.name} doesn’t say which version its schema has")
        notes = []
        if schema > SCHEMA:
            notes.append(f"{self.name} has version {schema} of the schema, newer than this logscan knows ({SCHEMA})")
        period = self._of(found, "period", dict)
        checks = [self._check(each, f"checks[{number}]") for number, each in enumerate(self._of(found, "checks", list))]
        return Document(
            name=self.name,
            version=self._text(found["logscan"], "version", "logscan"),
            schema=schema,
            first=self._text(period, "first", "period"),
            last=self._text(period, "last", "period"),
            hosts=tuple(str(each) for each in self._of(found, "hosts", list)),
            checks={each.name: each for each in checks},
            figures=dict(self._figures(self._of(found, "mails", dict), "mails")),
            notes=tuple(notes),
        )

    def _figures(self, found: dict[str, Any], where: str) -> Iterator[tuple[str, int | float]]:
        for key, value in found.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield key, value
            elif value is not None and not isinstance(value, dict | list | str):
                raise self._wrong(f"{where}.{key}", "a number")

    def _check(self, found: Any, where: str) -> CheckRecord:
        if not isinstance(found, dict):
            raise self._wrong(where, "a check")
        name = self._text(found, "name", where)
        if not name:
            raise self._wrong(f"{where}.name", "a name")
        return CheckRecord(
            name=name,
            verdict=self._text(found, "verdict", where),
            blind_because=tuple(str(each) for each in self._of(found, "blind_because", list, where)),
            findings=tuple(
                self._finding(each, name, f"{where}.findings[{number}]")
                for number, each in enumerate(self._of(found, "findings", list, where))
            ),
        )

    def _finding(self, found: Any, check: str, where: str) -> FindingRecord:
        if not isinstance(found, dict):
            raise self._wrong(where, "a finding")
        text = {
            name: self._text(found, name, where) for name in ("cause", "subject", "id", "severity", "state", "summary")
        }
        return FindingRecord(
            check=check,
            **text,
            count=self._count(found, "count", where) or 0,
            mails=self._count(found, "mails", where),
            recipients=self._count(found, "recipients", where),
            suppressed=bool(found.get("suppressed")) or text["state"] == "suppressed",
        )

    def _of(self, found: dict[str, Any], key: str, kind: type, where: str = "") -> Any:
        value = found.get(key)
        if value is None:
            return kind()
        if not isinstance(value, kind):
            raise self._wrong(f"{where}.{key}" if where else key, "a list" if kind is list else "an object")
        return value

    def _text(self, found: dict[str, Any], key: str, where: str) -> str:
        value = found.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(f"{where}.{key}", "a text")
        return value or ""

    def _count(self, found: dict[str, Any], key: str, where: str) -> int | None:
        value = found.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self._wrong(f"{where}.{key}", "a whole number")
        return value

    def _wrong(self, where: str, what: str) -> DocumentError:
        return DocumentError(f"{self.name} is no report of logscan’s: {where[:200]} is not {what}")
