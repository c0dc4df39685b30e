"""Takes an address, or a user's name, out of all that a state remembers."""

from __future__ import annotations

import email
import email.policy
import json
import sqlite3
from collections.abc import Callable
from email.message import EmailMessage

import pyarrow as pa

from logscan.amounts import plural
from logscan.store import rows, tables, upkeep
from logscan.store.model import Partition
from logscan.store.places import PARTITIONS
from logscan.store.sought import Sought
from logscan.store.state import State

Hook = Callable[[str, bytes, str], bytes | None]
"""Takes the name of what is carried on, its bytes, and the address; returns it without that, None where it can't be read."""


def forget(state: State, address: str, hook: Hook | None = None) -> list[str]:
    """Put ``(forgotten)`` in the place of an address, everywhere in a state; return sentences. Raises StateError.

    All rows change in one transaction, together with the tables of past days that were written anew beside the old ones. Deleted
    rows are overwritten. What can't be looked into stays, and is said.
    """
    sought = Sought(address)
    notes: list[str] = []
    pairs = _rewritten(state, sought, notes)
    counts: dict[str, int] = {}
    with state.transaction() as connection:
        for table, (key, *_) in upkeep.TOLD.items():
            if table != "cursors":
                counts[table] = _values(connection, table, key, sought)
        counts["reports' texts"] = _reports(connection, sought, notes)
        counts["carried on"] = _blobs(connection, address, hook, notes)
        _mails(connection, sought, notes)
        _named_files(connection, sought, notes)
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


def _values(connection: sqlite3.Connection, table: str, key: str, sought: Sought) -> int:
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
        new = sought.replaced(value)
        if isinstance(new, dict):
            new |= keep  # ids are hashes; a mail's own recipients must get it still
        if new != value:
            said = rows.text(new)
            connection.execute(f"UPDATE {table} SET {body} = ?, {digest} = ? WHERE {key} = ?", (*said, name))  # noqa: S608
            changed += 1
    return changed


def _reports(connection: sqlite3.Connection, sought: Sought, notes: list[str]) -> int:
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
        new = sought.replaced(value)
        if new != value:
            text = json.dumps(new, indent=2, ensure_ascii=True) + "\n"
            connection.execute(
                "UPDATE reports SET json = ?, json_digest = ? WHERE number = ?", (*rows.packed(text.encode()), number)
            )
            changed += 1
    return changed


def _blobs(connection: sqlite3.Connection, address: str, hook: Hook | None, notes: list[str]) -> int:
    changed = 0
    for name, small, digest in connection.execute("SELECT name, content, digest FROM blobs").fetchall():
        content = rows.unpacked(small, digest)
        new = _looked_into(str(name), content, address, hook)
        if content is None or new is None:
            notes.append(
                f"what is carried on as {name!r} can't be looked into: it may hold it until a later run replaces it"
            )
        elif new != content:
            packed, said = rows.packed(new)
            connection.execute("UPDATE blobs SET content = ?, digest = ? WHERE name = ?", (packed, said, name))
            changed += 1
    return changed


def _looked_into(name: str, content: bytes | None, address: str, hook: Hook | None) -> bytes | None:
    if content is None:
        return None
    return hook(name, content, address) if hook else Sought(address).in_blob(content)


def _mails(connection: sqlite3.Connection, sought: Sought, notes: list[str]) -> None:
    """Take mails that wait and name the address out of the outbox: what is encoded in a mail can't be replaced in it."""
    for number, small, digest in connection.execute(
        "SELECT number, content, digest FROM outbox WHERE sent IS NULL"
    ).fetchall():
        content = rows.unpacked(small, digest) or b""
        if any(sought.there(text) for text in _texts(content)):
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


def _named_files(connection: sqlite3.Connection, sought: Sought, notes: list[str]) -> None:
    """Say which files have the address in their name: where they are left off is known by that name, too."""
    for body, digest in connection.execute("SELECT body, digest FROM cursors"):
        cursor = rows.value(body, digest, dict)
        if cursor and sought.there(str(cursor.get("path", ""))):
            notes.append(f"{cursor['path']} has it in its name: it stays known as a file that is read")


def _rewritten(state: State, sought: Sought, notes: list[str]) -> list[tuple[list[Partition], Partition]]:
    """Write the tables of past days that hold the address anew, beside the old files. Raises StateError."""
    folder, pairs = state.folder, []
    assert folder is not None
    for each in state.partitions():
        try:
            if _holds(state, each, sought):
                pairs.append(([each], tables.made_one(folder, [each], sought.in_table)))
        except (OSError, ValueError, pa.ArrowException) as error:
            notes.append(f"{PARTITIONS}: {each.path} can't be looked into, and may hold it: {tables.why(error)}")
    return pairs


def _holds(state: State, partition: Partition, sought: Sought) -> bool:
    assert state.folder is not None
    with tables.parquet(state.folder, partition.path) as file:
        names = tables.string_columns(file.schema_arrow)
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=names)
            if sought.in_table(table) is not table:
                return True
    return False
