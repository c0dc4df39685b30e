"""``logscan search``: each field finds what plain Python counts from the tables, from logs whole, in pieces, and from a state."""

from __future__ import annotations

import csv
import io
import ipaddress
import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Run
from daily_runs import Server

import logscan
from logscan.query.hits import Found
from logscan.query.language import parse
from logscan.query.model import QueryError
from logscan.query.rows import Rows, of_tables
from logscan.samples import story
from logscan.store.partitions import PartitionWriter
from logscan.store.searching import Searching
from logscan.store.state import State

Row = dict[str, Any]

STORIES = ("mixed-day", "amavis-healthy", "rspamd-outgoing-tagged-spam")

ENDS = {"delivered", "deferred", "bounced", "expired", "held", "discarded"}


@cache
def scan_of(name: str) -> logscan.Scan:
    return logscan.read(story(name), jobs=1, timezone="UTC")


@cache
def mails_of(name: str) -> list[tuple[Row, list[Row], list[float]]]:
    """Return each mail, its recipients' ends and its scores as plain dictionaries, None for what is missing."""
    scan = scan_of(name)
    ends, scores = defaultdict(list), defaultdict(list)
    for row in plain(scan.deliveries):
        if row["last"] and row["mail"] >= 0 and row["outcome"] in ENDS:
            ends[row["mail"]].append(row)
    entries = plain(scan.entries)
    for row in plain(scan.verdicts):
        if row["entry"] >= 0 and entries[row["entry"]]["mail"] >= 0 and row["score"] is not None:
            scores[entries[row["entry"]]["mail"]].append(row["score"])
    none = [dict.fromkeys(map(str, scan.deliveries.columns))]
    return [(mail, ends[number] or none, scores[number]) for number, mail in enumerate(plain(scan.mails))]


def plain(frame: pd.DataFrame) -> list[Row]:
    rows = frame.to_dict("records")
    return [{str(name): None if missing(value) else value for name, value in row.items()} for row in rows]


def missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value


def low(value: Any) -> str:
    return str(value or "").lower()


def delay(end: Row) -> float:
    told = end["delay"] if end["total_delay"] is None else end["total_delay"]
    return math.nan if told is None else float(told)


def got(end: Row) -> list[str]:
    return [low(end[name]) for name in ("recipient", "original_recipient", "mailbox")]


def within(address: str | None) -> bool:
    return address is not None and ipaddress.ip_address(address) in NETWORK


NETWORK = ipaddress.ip_network("203.0.113.64/26")

Holds = Callable[[Row, Row, list[float]], bool]

FIELDS: list[tuple[str, Holds]] = [
    ("from:@example.com", lambda m, e, s: low(m["sender"]).endswith("@example.com")),
    ('from:""', lambda m, e, s: m["sender"] == ""),
    ("to:example.com", lambda m, e, s: any(each.endswith("@example.com") for each in got(e))),
    ("to:alice@", lambda m, e, s: any(each.startswith("alice@") for each in got(e))),
    ("rcpt:*@example.net", lambda m, e, s: low(e["recipient"]).endswith("@example.net")),
    ("user:alice", lambda m, e, s: low(m["sasl_username"]).partition("@")[0] == "alice"),
    ("user:*", lambda m, e, s: m["sasl_username"] is not None),
    ("client:example.org", lambda m, e, s: low(m["client"]).endswith(".example.org")),
    ("client:203.0.113.64/26", lambda m, e, s: within(m["client_address"])),
    ("relay:mx.example.net", lambda m, e, s: low(e["relay"]).startswith("mx.example.net[")),
    ("status:delivered", lambda m, e, s: e["outcome"] == "delivered"),
    ("status:bounced", lambda m, e, s: e["outcome"] == "bounced"),
    ("status:expired or status:deferred", lambda m, e, s: e["outcome"] in ("expired", "deferred")),
    ("status:5.*", lambda m, e, s: low(e["dsn"]).startswith("5.")),
    ('reason:"user unknown"', lambda m, e, s: e["status"] != "sent" and "user unknown" in low(e["reply"])),
    ("verdict:spam", lambda m, e, s: e["spam"] is True),
    ("verdict:innocent", lambda m, e, s: e["spam"] is False),
    ("verdict:unknown", lambda m, e, s: e["spam"] is None),
    ("score:>5", lambda m, e, s: any(each > 5 for each in s)),
    ("score:<=0", lambda m, e, s: any(each <= 0 for each in s)),
    ("mailbox:dave@example.com", lambda m, e, s: not e["outside"] and e["mailbox"] == "dave@example.com"),
    ("folder:junk", lambda m, e, s: "junk" in low(e["folder"])),
    ("size:>1.3k", lambda m, e, s: m["size"] is not None and m["size"] > 1.3 * 1024),
    ("size:<1400", lambda m, e, s: m["size"] is not None and m["size"] < 1400),
    ("delay:>0.3", lambda m, e, s: delay(e) > 0.3),
    ("delay:>=1m", lambda m, e, s: delay(e) >= 60),
    ("since:2026-11-23T08:00", lambda m, e, s: m["first"] >= pd.Timestamp("2026-11-23T08:00", tz="UTC")),
    ("until:2026-11-23T08:00", lambda m, e, s: m["first"] < pd.Timestamp("2026-11-23T08:00", tz="UTC")),
    ("direction:outbound", lambda m, e, s: m["direction"] == "outbound"),
    ("host:mx1", lambda m, e, s: m["host"] == "mx1"),
    ("dave@example.com", lambda m, e, s: "dave@example.com" in (low(m["sender"]), low(m["sasl_username"]), *got(e))),
    (
        "to:@example.com not verdict:spam size:>1k",
        lambda m, e, s: (
            any(each.endswith("@example.com") for each in got(e)) and e["spam"] is not True and (m["size"] or 0) > 1024
        ),
    ),
]


def expected(name: str, holds: Holds) -> dict[str, int]:
    return {
        mail["queue_id"]: sum(holds(mail, end, scores) for end in ends)
        for mail, ends, scores in mails_of(name)
        if any(holds(mail, end, scores) for end in ends)
    }


@pytest.mark.parametrize(("query", "holds"), FIELDS, ids=[query for query, _ in FIELDS])
def test_each_field_finds_what_plain_python_counts(query: str, holds: Holds) -> None:
    count = 0
    for name in STORIES:
        found = scan_of(name).search(query)
        assert sorted(found["queue_id"]) == sorted(expected(name, holds))
        assert found["time"].is_monotonic_increasing
        assert list(found["mail"].map(scan_of(name).mails["queue_id"])) == list(found["queue_id"])
        count += len(found)
    if query not in ("delay:>=1m", "user:*"):
        assert count > 0
    assert count < sum(len(mails_of(name)) for name in STORIES) or query in ("host:mx1", "status:delivered")


def test_what_is_shown_is_of_the_recipients_who_are_meant() -> None:
    found = scan_of("mixed-day").search("to:dave@example.com status:delivered")
    for row in found.to_dict("records"):
        ends = mails_of("mixed-day")[row["mail"]][1]
        mine = [e for e in ends if "dave@example.com" in got(e)]
        assert row["to"] == tuple(dict.fromkeys(e["recipient"] for e in mine))
        assert row["others"] == len(ends) - len(mine)
        assert row["status"] == ("delivered",)
        assert math.isclose(row["delay"], max(delay(e) for e in mine))


def test_what_the_tables_cannot_know_is_said_and_not_taken_for_no() -> None:
    scan = scan_of("mixed-day")
    for query, field in (("tls:no", "tls"), ("not tls:no", "tls"), ("score:>5", "score"), ("not score:>5", "score")):
        found = scan.search(query)
        assert (len(found), found.attrs) == (0, {"unclear": len(scan.mails), "why": [field]})
    found = scan.search("tls:no or status:bounced")
    bounced = len(scan.search("status:bounced"))
    assert (len(found), found.attrs["unclear"]) == (bounced, len(scan.mails) - bounced)
    assert scan.search("tls:no status:bounced").attrs["unclear"] == bounced


def test_recipients_of_whom_no_attempt_is_told_are_there(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text(
        "2026-11-23T08:00:00+00:00 mx1 postfix/smtpd[7]: 4A97F54A7D9: client=mail.example.org[203.0.113.26]\n"
        "2026-11-23T08:00:00+00:00 mx1 postfix/cleanup[8]: 4A97F54A7D9: message-id=<a@example.org>\n"
        "2026-11-23T08:00:00+00:00 mx1 postfix/qmgr[9]: 4A97F54A7D9: from=<sam@example.org>, size=1353, nrcpt=1 (queue active)\n"
        "2026-11-23T08:00:09+00:00 mx1 postfix/postsuper[10]: 4A97F54A7D9: placed on hold\n"
    )
    scan = logscan.read(log, jobs=1)
    assert scan.mails["held"].tolist() == [1]
    found = scan.search("status:held from:sam@example.org")
    assert (found["to"].tolist(), found["status"].tolist()) == ([()], [("held",)])
    assert scan.search("to:alice").attrs == {"unclear": 1, "why": ["to"]}


@cache
def in_windows() -> list[Rows]:
    """Return a log's rows, piece by piece."""
    windows = logscan.stream(story("mixed-day"), jobs=1, timezone="UTC", window=400)
    return [of_tables(each.mails, each.deliveries, each.verdicts, each.entries) for each in windows]


def asked_of_windows(query: str, sort: str, most: int | None = None) -> Found:
    found = Found()
    for rows in in_windows():
        found.add(parse(query), rows, UTC, sort, most)
    return found


def told(frame: pd.DataFrame) -> list[str]:
    return sorted(map(str, frame.drop(columns="mail").to_dict("records")))


@pytest.mark.parametrize(
    "query", ["not verdict:spam", "status:bounced or tls:no", "delay:>1", "nobody@example.invalid"]
)
def test_windows_find_what_the_whole_finds(query: str) -> None:
    whole = scan_of("mixed-day").search(query)
    found = asked_of_windows(query, "time")
    assert len(in_windows()) > 3
    assert found.count == len(found.table) == len(whole)
    assert told(found.table) == told(whole)
    assert (found.unclear, sorted(found.why)) == (whole.attrs["unclear"], whole.attrs["why"])


@pytest.mark.parametrize("sort", ["time", "-size", "from", "-delay", "others", "-score", "host", "user"])
def test_the_first_are_kept_in_their_order(sort: str) -> None:
    name = sort.removeprefix("-")
    every, some = (asked_of_windows("status:delivered", sort, most) for most in (None, 20))
    assert (len(some.table), some.count) == (20, len(every.table))
    assert some.table[name].astype("str").tolist() == every.table[name].head(20).astype("str").tolist()
    known = every.table[name].dropna()
    assert known.is_monotonic_decreasing if sort.startswith("-") else known.is_monotonic_increasing


def test_an_error_in_python_points_at_the_place() -> None:
    with pytest.raises(QueryError, match="did you mean from:") as raised:
        scan_of("mixed-day").search("status:bounced form:x")
    assert raised.value.place == len("status:bounced ")


# The command.


def test_the_command_shows_a_table_and_counts(run: Run) -> None:
    done = run("search", "status:bounced", story("mixed-day"), "--quiet")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["time", "from", "to", "status", "how"]
    assert len(lines) == 5
    assert lines[-1] == "3 mails"
    assert "nosuch62@example.net" in done.stdout


def test_json_and_csv_hold_the_same(run: Run) -> None:
    query = ("search", "to:@example.com", story("mixed-day"), "--most", "7", "--sort", "-size")
    told = json.loads(run(*query, "-f", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(run(*query, "-f", "csv").stdout)))
    assert told["count"] == len(scan_of("mixed-day").search("to:@example.com"))
    assert [row["queue_id"] for row in rows] == [mail["queue_id"] for mail in told["mails"]]
    assert len(rows) == 7
    sizes = [mail["size"] for mail in told["mails"]]
    assert sizes == sorted(sizes, reverse=True)


def test_columns_are_chosen(run: Run) -> None:
    done = run("search", "status:bounced", story("mixed-day"), "--columns", "queue_id, size", "-f", "csv")
    assert done.stdout.splitlines()[0] == "queue_id,size"
    wrong = run("search", "a", story("mixed-day"), "--columns", "colour")
    assert (wrong.returncode, "there is no column 'colour'" in wrong.stderr) == (2, True)


def test_without_a_hit_there_is_a_sentence(run: Run) -> None:
    done = run("search", "from:nobody@example.invalid", story("healthy"))
    assert (done.returncode, "no mail is meant" in done.stdout) == (0, True)
    done = run("search", "from:nobody@example.invalid", story("healthy"), "-f", "json")
    assert (done.returncode, json.loads(done.stdout)["count"]) == (0, 0)


def test_a_wrong_query_is_pointed_at(run: Run) -> None:
    done = run("search", "status:bounced form:x", story("healthy"))
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert said[1].index("form:x") == said[2].index("^^^^")
    assert "did you mean from:" in said[0]


def test_what_cannot_be_read_is_said(run: Run, tmp_path: Path) -> None:
    done = run("search", "status:bounced", tmp_path / "gone.log")
    assert (done.returncode, "gone.log" in done.stderr) == (3, True)
    done = run("search", "status:bounced", tmp_path / "gone.log", story("mixed-day"))
    assert (done.returncode, "3 mails" in done.stdout) == (3, True)


def test_what_cannot_be_told_is_said(run: Run) -> None:
    done = run("search", "score:>5", story("mixed-day"))
    assert (done.returncode, "it can't be told: nothing says score:" in done.stderr) == (0, True)


# From the state of the daily run.


def closed(name: str, runs: int, folder: Path) -> tuple[Path, Path]:
    """Return a state that all of a log was read into, in several runs, and the log."""
    server = Server(folder)
    lines = (story(name) / "mail.log").read_bytes().splitlines(keepends=True)
    step = -(-len(lines) // runs)
    for start in range(0, len(lines), step):
        server.write(lines[start : start + step])
        server.run()
    return server.state, server.log


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, logscan.Scan]]:
    made = {}
    for name, runs in (("mixed-day", 2),):
        state, log = closed(name, runs, tmp_path_factory.mktemp(name))
        made[name] = (state, logscan.read(log, jobs=1, timezone="UTC"))
    return made


def from_state(folder: Path, query: str, sort: str = "time", most: int | None = None) -> Found:
    found = Found()
    with State.read(folder) as state:
        searching = Searching(state, parse(query), UTC)
        for rows in searching:
            found.add(parse(query), rows, UTC, sort, most)
        assert searching.errors == []
    return found


KEPT = [query for query, _ in FIELDS] + ["tls:no", "not verdict:spam", "relay:*dspam* or folder:*"]


def test_a_state_finds_what_the_logs_find(states: dict[str, tuple[Path, logscan.Scan]]) -> None:
    folder, scan = states["mixed-day"]
    every = from_state(folder, "since:1970-01-02").table
    assert len(every) > 60
    for query in ("to:@example.com", "not verdict:spam", "relay:*dspam* or folder:*"):
        whole = scan.search(query)
        whole = whole[whole["queue_id"].isin(every["queue_id"])]
        assert told(from_state(folder, query).table) == told(whole), query
    assert from_state(folder, "tls:no").unclear == len(every)


class Kept:
    """A state's tables of a whole log, written twice: numbers of rows go on."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        writer = PartitionWriter(folder, UTC, {})
        for _ in range(2):
            writer.add(scan_of(name))
        self._partitions = writer.finish()

    def partitions(self) -> list[Any]:
        return self._partitions


@pytest.mark.parametrize("name", STORIES)
def test_the_tables_of_past_days_find_what_a_scan_finds(tmp_path: Path, name: str) -> None:
    kept: Any = Kept(tmp_path, name)
    for query in KEPT:
        whole, found = scan_of(name).search(query), Found()
        searching = Searching(kept, parse(query), UTC)
        for rows in searching:
            found.add(parse(query), rows, UTC, "time")
        assert searching.errors == []
        assert told(found.table) == sorted(told(whole) * 2), query
        assert found.unclear == 2 * whole.attrs["unclear"]


def test_days_that_cannot_be_meant_are_not_read(states: dict[str, tuple[Path, logscan.Scan]]) -> None:
    folder, _ = states["mixed-day"]
    with State.read(folder) as state:
        days = [
            bool(Searching(state, parse(query), UTC).days)
            for query in (
                "a",
                "a since:2026-11-23 until:2026-11-24",
                "not since:2026-11-30",
                "until:2026-11-10 or a",
                "since:2026-11-30",
                "a until:2026-11-10",
                "(since:2026-11-30 b) or (since:2026-12-01 c)",
            )
        ]
    assert days == [True] * 4 + [False] * 3


def test_the_command_asks_a_state_and_says_so(
    run: Run, states: dict[str, tuple[Path, logscan.Scan]], tmp_path: Path
) -> None:
    folder, _ = states["mixed-day"]
    count = from_state(folder, "to:@example.com").count
    done = run("search", "to:@example.com", "--state", folder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{count} mails")
    assert f"searched the state in {folder} (2026-11-2" in done.stderr
    done = run("search", "to:@example.com", "--since", "2026-11-30", "--state", folder, "--timezone", "UTC")
    assert (done.returncode, "no mail is meant" in done.stdout) == (0, True)
    implied = run("search", "to:@example.com", STATE_DIRECTORY=str(folder))
    assert implied.stdout.splitlines()[-1] == f"{count} mails"
    assert run("search", "a", story("healthy"), "--state", folder).returncode == 2
    none = run("search", "a", "--state", tmp_path / "none")
    assert (none.returncode, "there is no state" in none.stderr) == (3, True)


def test_a_table_that_is_damaged_is_said(
    run: Run, states: dict[str, tuple[Path, logscan.Scan]], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(states["mixed-day"][0], tmp_path / "state"))
    path = next(folder.rglob("deliveries-*.parquet"))
    path.write_bytes(b"PAR1" + bytes(100))
    done = run("search", "status:delivered", "--state", folder)
    assert (done.returncode, path.name in done.stderr) == (3, True)
    assert "fault in logscan" not in done.stderr
