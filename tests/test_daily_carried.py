"""What ``logscan daily`` carries from run to run: open mails, their lines, numbers of rows; damaged, or of a wrong clock."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from daily_runs import Server, parts
from test_daily import lines_of

from logscan.store import recording, rows
from logscan.store.carried import NAMES, from_blobs, from_bytes, to_bytes
from logscan.store.state import State
from logscan.store.upkeep import verified


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_what_is_carried_and_damaged_is_left_out_and_said(server: Server) -> None:
    lines = lines_of("mixed-day")
    server.write(lines[:1000])
    server.run()
    with sqlite3.connect(server.state / "logscan.db") as connection:
        connection.execute("UPDATE blobs SET content = x'00' WHERE name = 'carried'")
    connection.close()
    server.write(lines[1000:])
    server.run()
    assert server.reports[-1]["mails"]["total"] > 0
    assert any("carried" in note or "open mails" in note.lower() for note in server.reports[-1]["notes"])
    assert_no_mail_has_anothers_number(server)


def test_open_mails_of_a_version_with_other_columns_are_left_out_and_said(server: Server) -> None:
    lines = lines_of("mixed-day")
    server.write(lines[:1000])
    server.run()
    with State.open(server.state) as state, state.transaction() as connection:
        kept = from_bytes(state.blob("open.deliveries") or b"").drop_columns(["relay"])
        content, digest = rows.packed(to_bytes(kept))
        connection.execute("UPDATE blobs SET content = ?, digest = ? WHERE name = 'open.deliveries'", (content, digest))
        recording.seal(connection)
    server.write(lines[1000:])
    server.run()
    assert any("another version: deliveries" in note for note in server.reports[-1]["notes"])
    assert_no_mail_has_anothers_number(server)


def assert_no_mail_has_anothers_number(server: Server) -> None:
    with State.read(server.state) as state:
        paths = [server.state / each.path for each in state.partitions() if each.table == "mails"]
    numbers = [number for path in paths for number in pq.read_table(path).column("entry").to_pylist()]
    assert len(paths) > 1
    assert len(set(numbers)) == len(numbers)


def test_what_fails_once_the_run_is_remembered_takes_none_of_it_away(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("logscan.store.upkeep.merged", fails)
    server.write(lines_of("mixed-day"))
    with pytest.raises(MemoryError):
        server.run()
    with State.read(server.state) as state:
        assert state.runs(1)[0].number == 1
        assert state.partitions()
        assert verified(state) == []


def test_lines_of_several_runs_of_a_day_have_sources_of_their_own(server: Server) -> None:
    """Sources of earlier runs keep what they are called, however many runs their mails stay open for."""
    lines = lines_of("mixed-day")[:1500]
    seen: list[set[str]] = []
    for part in parts(lines, [300, 600, 900, 1200]):
        server.write(part)
        server.run()
        with State.read(server.state) as state:
            blobs = {name: blob for name in NAMES if (blob := state.blob(name)) is not None}
        labels = from_blobs(blobs).labels
        assert len(set(labels)) == len(labels)
        assert all(re.fullmatch(r"mail\.log of [\d-]+( \(\d+\))?", each) for each in labels)
        seen.append(set(labels))
    assert max(map(len, seen)) > 3
    assert all(len(now - before) <= 1 for before, now in pairwise(seen))


def test_one_line_of_a_clock_far_ahead_cuts_no_mail_of_later_runs(server: Server) -> None:
    lines = [_iso(line) for line in lines_of("mixed-day")]
    ahead = b"2036-11-23T10:00:00.000000+00:00 mx1 postfix/postfix-script[7]: refreshing the Postfix mail system\n"
    server.write([*lines[:1000], ahead])
    server.run()
    for part in parts(lines[1000:], [500, 1000]):
        server.write(part)
        server.run()
        if part[-1] != lines[-1]:
            assert server.reports[-1]["mails"]["open"]
    with State.read(server.state) as state:
        assert from_blobs({name: state.blob(name) or b"" for name in ("carried", "open lines")}).open.now < 2**61


def _iso(line: bytes) -> bytes:
    """Return a line with a BSD stamp as of 2025, with a stamp that tells all."""
    written = datetime.strptime(f"2025 {line[:15].decode()}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
    return f"{written:%Y-%m-%dT%H:%M:%S}.000000+00:00".encode() + line[15:]
