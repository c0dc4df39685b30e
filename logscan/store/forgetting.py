"""Takes an address, or a user's name, out of all that a state remembers."""

from __future__ import annotations

import email
import email.policy
import json
import re
import sqlite3
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from logscan.amounts import plural
from logscan.store import rows, tables, upkeep
from logscan.store.model import Partition
from logscan.store.places import PARTITIONS
from logscan.store.state import State
from logscan.tables import storing

FORGOTTEN = "(forgotten)"
"""What stands in the place of the address."""

Hook = Callable[[str, bytes, str], bytes | None]
"""Takes the name of what is carried on, its bytes, and the address; returns it without that, None where it can't be read."""

_LOCAL = r"\w!#$%&'*+/=?^`{|}~.-"
"""What an address' local part is made of (RFC 5321), besides letters of any script."""

_ENDINGS = "css|dspam|lock|log|mbox|nodspam|sig|stats"
"""Endings of files that are called by their user, DSPAM's most of all; none is a domain."""


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


def forget(state: State, address: str, hook: Hook | None = None) -> list[str]:
    """Put :data:`FORGOTTEN` in the place of an address, everywhere in a state; return sentences. Raises StateError.

    All rows change in one transaction, together with the tables of past days that were written anew beside the old ones. Deleted
    rows are overwritten. What can't be looked into stays, and is said.
    """
    found = pattern(address)
    notes: list[str] = []
    pairs = _rewritten(state, found, notes)
    counts: dict[str, int] = {}
    with state.transaction() as connection:
        for table, (key, *_) in upkeep.TOLD.items():
            if table != "cursors":
                counts[table] = _values(connection, table, key, found)
        counts["reports' texts"] = _reports(connection, found, notes)
        counts["carried on"] = _blobs(connection, address, found, hook or in_blob, notes)
        _mails(connection, found, notes)
        _named_files(connection, found, notes)
        upkeep.swap(connection, pairs)
    notes += upkeep.dropped(state, [part for old, _ in pairs for part in old])
    upkeep.shrunk(state)
    assert state.folder is not None
    notes += [f"{state.folder / name}, which was set aside, may hold it still" for name in upkeep.copies(state.folder)]
    said = [f"{count} of {table}" for table, count in counts.items() if count]
    said += [f"{plural(len(pairs), 'table')} of past days"] if pairs else []
    return [
        f"{address} is forgotten in: {', '.join(said)}" if said else f"{address} was in nothing that can be read",
        *notes,
    ]


def replaced(value: Any, found: re.Pattern[str]) -> Any:
    """Return JSON's values with the address replaced in each text and key."""
    if isinstance(value, str):
        return found.sub(FORGOTTEN, value)
    if isinstance(value, list):
        return [replaced(each, found) for each in value]
    if isinstance(value, dict):
        return {replaced(name, found): replaced(each, found) for name, each in value.items()}
    return value


def _values(connection: sqlite3.Connection, table: str, key: str, found: re.Pattern[str]) -> int:
    body, digest = ("body", "body_digest") if table == "outbox" else ("body", "digest")
    changed = 0
    for name, text in connection.execute(f"SELECT {key}, {body} FROM {table}").fetchall():  # noqa: S608 - own names
        try:
            value = json.loads(text)
        except ValueError:
            continue
        keep = {
            each: value[each]
            for each in ("id", "message_id", "recipients")
            if isinstance(value, dict) and each in value
        }
        new = replaced(value, found)
        if isinstance(new, dict):
            new |= keep  # ids are hashes; a mail's own recipients must get it still
        if new != value:
            said = rows.text(new)
            connection.execute(f"UPDATE {table} SET {body} = ?, {digest} = ? WHERE {key} = ?", (*said, name))  # noqa: S608
            changed += 1
    return changed


def _reports(connection: sqlite3.Connection, found: re.Pattern[str], notes: list[str]) -> int:
    changed = 0
    for number, small, digest in connection.execute(
        "SELECT number, json, json_digest FROM reports WHERE json IS NOT NULL"
    ).fetchall():
        content = rows.unpacked(small, digest)
        try:
            value = json.loads(content) if content is not None else None
        except ValueError:
            value = None
        if value is None:
            connection.execute("UPDATE reports SET json = NULL, json_digest = NULL WHERE number = ?", (number,))
            notes.append(f"report {number} couldn't be read, and is forgotten as a whole")
            continue
        new = replaced(value, found)
        if new != value:
            text = json.dumps(new, indent=2, ensure_ascii=True) + "\n"
            connection.execute(
                "UPDATE reports SET json = ?, json_digest = ? WHERE number = ?", (*rows.packed(text.encode()), number)
            )
            changed += 1
    return changed


def _blobs(connection: sqlite3.Connection, address: str, found: re.Pattern[str], hook: Hook, notes: list[str]) -> int:
    changed = 0
    for name, small, digest in connection.execute("SELECT name, content, digest FROM blobs").fetchall():
        content = rows.unpacked(small, digest)
        new = hook(str(name), content, address) if content is not None else None
        if content is None or new is None:
            notes.append(
                f"what is carried on as {name!r} can't be looked into: it may hold it until a later run replaces it"
            )
        elif new != content:
            packed, said = rows.packed(new)
            connection.execute("UPDATE blobs SET content = ?, digest = ? WHERE name = ?", (packed, said, name))
            changed += 1
    return changed


def _mails(connection: sqlite3.Connection, found: re.Pattern[str], notes: list[str]) -> None:
    """Take mails that wait and name the address out of the outbox: what is encoded in a mail can't be replaced in it."""
    for number, small, digest in connection.execute(
        "SELECT number, content, digest FROM outbox WHERE sent IS NULL"
    ).fetchall():
        content = rows.unpacked(small, digest) or b""
        if any(found.search(text) for text in _texts(content)):
            connection.execute("DELETE FROM outbox WHERE number = ?", (number,))
            notes.append(f"mail {number} of the outbox names it, and isn't sent any more")


def _texts(content: bytes) -> list[str]:
    """Return the texts of a mail's parts, its headers left out: it is to its recipients."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    out = [str(message.get("subject", ""))]
    for part in message.walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True)
            out.append(payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload))
    return out


def _named_files(connection: sqlite3.Connection, found: re.Pattern[str], notes: list[str]) -> None:
    """Say which files have the address in their name: where they are left off is known by that name, too."""
    for body, digest in connection.execute("SELECT body, digest FROM cursors"):
        cursor = rows.value(body, digest, dict)
        if cursor and found.search(str(cursor.get("path", ""))):
            notes.append(f"{cursor['path']} has it in its name: it stays known as a file that is read")


def in_blob(name: str, content: bytes, address: str) -> bytes | None:
    """Return what is carried on without an address: JSON, Arrow's tables, or a check's past; None where it is none of these."""
    found = pattern(address)
    if content.startswith(storing.MAGIC):
        try:
            return storing.retold(content, lambda table: in_table(table, found), lambda value: replaced(value, found))
        except ValueError:
            return None
    try:
        value = json.loads(content)
        new = replaced(value, found)
        return content if new == value else json.dumps(new, sort_keys=True).encode("ascii")
    except ValueError:
        pass
    try:
        table = pa.ipc.open_stream(content).read_all()
    except pa.ArrowException:
        return None
    new_table = in_table(table, found)
    if new_table is table:
        return content
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, new_table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(new_table)
    return bytes(sink.getvalue())


def in_table(table: pa.Table, found: re.Pattern[str]) -> pa.Table:
    """Return a table with the address replaced in each text; the table itself where it is in none."""
    for name in tables.string_columns(table.schema):
        place = table.column_names.index(name)
        column = table.column(place)
        new = pa.chunked_array([_in_array(chunk, found) for chunk in column.chunks], column.type)
        if not new.equals(column):
            table = table.set_column(place, table.schema.field(place), new)
    return table


def _in_array(array: pa.Array, found: re.Pattern[str]) -> pa.Array:
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        made = pa.ListArray if pa.types.is_list(kind) else pa.LargeListArray
        offsets = pc.subtract(array.offsets, array.offsets[0])
        return made.from_arrays(
            offsets, _in_array(array.flatten(), found), mask=array.is_null() if array.null_count else None
        )
    coded = array if pa.types.is_dictionary(kind) else array.dictionary_encode()
    before = coded.dictionary.to_pylist()
    after = [None if value is None else found.sub(FORGOTTEN, value) for value in before]
    if before == after:
        return array
    values = pa.array(after, coded.dictionary.type).take(coded.indices)
    # Encoded anew: two values that became one must have one code.
    return values.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else values.cast(kind)


def _rewritten(state: State, found: re.Pattern[str], notes: list[str]) -> list[tuple[list[Partition], Partition]]:
    """Write the tables of past days that hold the address anew, beside the old files. Raises StateError."""
    folder, pairs = state.folder, []
    assert folder is not None
    for each in state.partitions():
        try:
            if _holds(state, each, found):
                pairs.append(([each], tables.made_one(folder, [each], lambda table: in_table(table, found))))
        except (OSError, ValueError, pa.ArrowException) as error:
            notes.append(f"{PARTITIONS}: {each.path} can't be looked into, and may hold it: {tables.why(error)}")
    return pairs


def _holds(state: State, partition: Partition, found: re.Pattern[str]) -> bool:
    assert state.folder is not None
    with tables.parquet(state.folder, partition.path) as file:
        names = tables.string_columns(file.schema_arrow)
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=names)
            if in_table(table, found) is not table:
                return True
    return False
