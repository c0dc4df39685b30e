"""What is to be forgotten, found in texts, JSON, tables and what is carried from run to run, and replaced there."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from logscan.store.tables import string_columns
from logscan.tables import storing
from logscan.tables.joined import JOINED
from logscan.tables.schema import COMMON, EVENTS

FORGOTTEN = "(forgotten)"
"""What stands in the place of an address."""

_LOCAL = r"\w!#$%&'*+/=?^`{|}~.-"
"""What an address' local part is made of (RFC 5321), besides letters of any script."""

_ENDINGS = "css|dspam|lock|log|mbox|nodspam|sig|stats"
"""Endings of files that are called by their user, DSPAM's most of all; none is a domain."""

_OWN_FIELDS = frozenset(
    ("cause", "check", "confidence", "direction", "file", "group", "kind", "name", "program", "schema", "severity", "state",
     "status", "title", "verdict", "version")
)  # fmt: skip
"""Fields of JSON that hold logscan's own words: a user may be called ``found`` or ``active``."""

_TABLES = [COMMON, *(table.columns for table in (*EVENTS.values(), *JOINED.values()))]

_OWN_COLUMNS = frozenset(column.name for columns in _TABLES for column in columns if column.kind == "cat")
"""Columns of few values, such as a program's words: a user may be called ``spam``."""


def pattern(address: str) -> re.Pattern[str]:
    """Return what finds an address in a text: as it is, with an extension, and as other programs write it into theirs.

    ``alice@example.com`` is found as ``Alice+shop@Example.com``, in a VERP return path (``list-alice=example.com@…``), an SRS
    address (``SRS0=…=example.com=alice@…``), percent-encoded and as xtext (RFC 3461), but not in ``malice@example.com`` nor
    ``alice@example.com.invalid``. A text without ``@`` is a user's name, found as a word of its own.
    """
    local, at, domain = address.rpartition("@")
    if not at:
        name = re.escape(address)
        return re.compile(rf"(?<![\w.@+=-]){name}(?![\w@+=-]|\.\w)", re.IGNORECASE)
    who, where = re.escape(local), re.escape(domain)
    end = rf"(?![\w-]|\.(?!(?:{_ENDINGS})\b)\w)"
    # What stands before it in a text, such as ``to=``, is no part of it; ``%3C`` is a bracket.
    plain = rf"(?:(?<![\w.+-])|(?<=%[0-9a-f][0-9a-f])){who}(?:\+[{_LOCAL}]*)?(?:@|%40|\+40|=40){where}{end}"
    return re.compile(rf"{plain}|(?<![\w.]){who}={where}{end}|(?<![\w.-]){where}={who}(?![\w.-])", re.IGNORECASE)


@dataclass(frozen=True)
class Sought:
    """An address, or a user's name."""

    address: str

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """What finds it."""
        return pattern(self.address)

    @property
    def name_only(self) -> bool:
        """Whether it is a name, which may be a word of logscan's or of a program's too."""
        return "@" not in self.address

    def there(self, text: str) -> bool:
        """Whether a text holds it."""
        return self.pattern.search(text) is not None

    def replaced(self, value: Any) -> Any:
        """Return JSON's values with it replaced in each text and, where it is an address, in each key."""
        if isinstance(value, str):
            return self.pattern.sub(FORGOTTEN, value)
        if isinstance(value, list | tuple):
            return [self.replaced(each) for each in value]
        if isinstance(value, dict):
            return {
                name if self.name_only else self.replaced(name): (
                    each if self.name_only and name in _OWN_FIELDS else self.replaced(each)
                )
                for name, each in value.items()
            }
        return value

    def in_table(self, table: pa.Table) -> pa.Table:
        """Return a table with it replaced in each text; the table itself where it is in none."""
        for name in string_columns(table.schema):
            if self.name_only and name in _OWN_COLUMNS:
                continue
            place = table.column_names.index(name)
            column = table.column(place)
            new = pa.chunked_array([self._in_array(chunk) for chunk in column.chunks], column.type)
            if not new.equals(column):
                table = table.set_column(place, table.schema.field(place), new)
        return table

    def _in_array(self, array: pa.Array) -> pa.Array:
        kind = array.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            made = pa.ListArray if pa.types.is_list(kind) else pa.LargeListArray
            offsets = pc.subtract(array.offsets, array.offsets[0])
            nulls = array.is_null() if array.null_count else None
            return made.from_arrays(offsets, self._in_array(array.flatten()), mask=nulls)
        coded = array if pa.types.is_dictionary(kind) else array.dictionary_encode()
        before = coded.dictionary.to_pylist()
        after = [None if value is None else self.pattern.sub(FORGOTTEN, value) for value in before]
        if before == after:
            return array
        values = pa.array(after, coded.dictionary.type).take(coded.indices)
        # Encoded anew: two values that became one must have one code.
        return values.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else values.cast(kind)

    def in_blob(self, content: bytes) -> bytes | None:
        """Return what is carried on without it: JSON, a table of Arrow's, or checks' past; None where it is none of these."""
        if content.startswith(storing.MAGIC):
            try:
                return storing.retold(content, self.in_table, self.replaced)
            except ValueError:
                return None
        try:
            value = json.loads(content)
        except ValueError:
            return self._in_stream(content)
        new = self.replaced(value)
        return content if new == value else json.dumps(new, sort_keys=True).encode("ascii")

    def _in_stream(self, content: bytes) -> bytes | None:
        try:
            table = pa.ipc.open_stream(content).read_all()
        except (pa.ArrowException, OSError):
            return None
        new = self.in_table(table)
        if new is table:
            return content
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, new.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(new)
        return bytes(sink.getvalue())
