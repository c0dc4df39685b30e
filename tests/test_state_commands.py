"""``logscan state``: shown, verified, compacted, exported, forgotten and reset, with sentences and statuses."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from state_runs import MORNING, cursor, loss, mail, partition, run, sighting, told

from logscan.cli import cli
from logscan.store import sought, tables, upkeep
from logscan.store.state import State
from logscan.tables import storing
from logscan.tables.partials import Keyed, Partial, Rows

ALICE = "alice@example.com"


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs over two days."""
    folder = tmp_path / "state"
    with State.open(folder) as state:
        for number in range(3):
            day = "2026-11-27" if number < 2 else "2026-11-28"
            state.commit(
                run(
                    told(sighting(), sighting("bob@example.net"), day=day),
                    partitions=[
                        partition(
                            folder, day=day, part=str(number), senders=("Alice+shop@Example.com", "bob@example.net")
                        ),
                        partition(folder, "legs", day=day, part=str(number), senders=("x",)),
                    ],
                    losses=[loss()],
                    outgoing=[mail(f"<{number}@mx>")],
                )
            )
        state.acknowledge(sighting().id, "2026-12-31", "moves on Monday", "root", MORNING)
        state.sent(1, MORNING)
        state.failed(2, "connection refused\x1b[31m")
    return folder


@pytest.fixture
def logscan(folder: Path) -> Callable[..., Result]:
    def called(name: str, *args: str, **more: Any) -> Result:
        done = CliRunner().invoke(cli, ["state", name, "--state", str(folder), *args], **more)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return called


def everything(folder: Path) -> str:
    """All that the state says, as text, dictionaries and packed bytes opened."""
    with State.read(folder) as state:
        parts = [*state.connection.iterdump(), *(str(state.report(each.number)) for each in state.runs(9))]
        for name in state.blobs():
            content = state.blob(name) or b""
            if content.startswith(storing.MAGIC):
                parts.append(repr(storing.unpacked(content).parts))
            else:
                try:
                    parts.append(str(pa.ipc.open_stream(content).read_all().to_pydict()))
                except (pa.ArrowException, OSError):
                    parts.append(content.decode("utf-8", "replace"))
        parts += [str(pq.read_table(folder / each.path).to_pydict()) for each in state.partitions()]
    return "\n".join(parts).lower()


def test_show_says_what_is_there(logscan: Callable[..., Result], folder: Path) -> None:
    text = logscan("show")
    assert text.exit_code == 0
    for said in (
        "3 runs remembered",
        "2 days with tables, 2026-11-27 to 2026-11-28",
        "2 findings there, 0 gone, 1 acknowledged",
        "until 2026-12-31, by root: moves on Monday",
        "2 mails waiting to be sent",
        "1 attempt failed: connection refused\\x1b[31m",
        "3 losses of lines remembered",
        "a mail (6 mails)",
    ):
        assert said in text.output
    found = json.loads(logscan("show", "--json").output)
    assert found["tables"]["mails"]["rows"] == 6
    assert [each["number"] for each in found["runs"]] == [3, 2, 1]
    assert [(each["attempts"], each["message_id"]) for each in found["outbox"]] == [(1, "<1@mx>"), (0, "<2@mx>")]
    sizes = found["sizes"]
    assert sizes["tables"] == sum(path.stat().st_size for path in folder.glob("partitions/*/*"))
    assert sizes["per_mail"] == sizes["tables"] / 6


def test_a_sound_state_is_verified(logscan: Callable[..., Result]) -> None:
    done = logscan("verify")
    assert done.exit_code == 0
    assert "is sound: the database, and 6 tables of past days" in done.output


def _cut(folder: Path) -> None:
    path = next(folder.glob("partitions/*/mails-1.parquet"))
    path.write_bytes(path.read_bytes()[:-20])


def _garbled(folder: Path) -> None:
    path = next(folder.glob("partitions/*/mails-1.parquet"))
    data = bytearray(path.read_bytes())
    data[:60] = b"x" * 60
    path.write_bytes(data)


def _gone(folder: Path) -> None:
    next(folder.glob("partitions/*/mails-1.parquet")).unlink()


def _linked(folder: Path) -> None:
    path = next(folder.glob("partitions/*/mails-1.parquet"))
    path.rename(folder.parent / "elsewhere.parquet")
    path.symlink_to(folder.parent / "elsewhere.parquet")


def _statement(statement: str) -> Callable[[Path], None]:
    def done(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "logscan.db")) as connection, connection:
            connection.execute(statement)

    return done


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_cut, "bytes, and"),
        (_garbled, "can't be read"),
        (_gone, "it is gone"),
        (_linked, "mails-1.parquet"),
        (_statement("UPDATE partitions SET rows = 77"), "77 were written"),
        (_statement("DELETE FROM blobs WHERE name = 'carried'"), "carried from run to run is lost"),
        (_statement("UPDATE blobs SET content = x'00' WHERE name = 'carried'"), "blobs carried: its content"),
        (_statement("UPDATE reports SET json = x'00' WHERE number = 2"), "reports 2: its content"),
        (
            _statement("UPDATE findings SET body = '{}' WHERE id LIKE '%alice%'"),
            "findings mail-stuck:alice@example.com",
        ),
        (lambda folder: (folder / "logscan.db").write_bytes(b"x" * 5000), "it is broken"),
    ],
)
def test_what_is_wrong_is_said_with_status_3(
    logscan: Callable[..., Result], folder: Path, harm: Callable[[Path], Any], said: str
) -> None:
    harm(folder)
    before = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name[-4:] not in ("-wal", "-shm")
    }
    done = logscan("verify")
    assert done.exit_code == 3
    assert said in done.output
    assert {path: path.read_bytes() for path in before} == before


def test_a_day_s_files_become_one_with_the_same_rows(logscan: Callable[..., Result], folder: Path) -> None:
    def rows() -> dict[tuple[str, str], list[Any]]:
        with State.read(folder) as state:
            found: dict[tuple[str, str], list[Any]] = {}
            for each in state.partitions():
                found.setdefault((each.day, each.table), []).extend(pq.read_table(folder / each.path).to_pylist())
            return found

    before = rows()
    done = logscan("compact")
    assert done.exit_code == 0
    assert "2 files made fewer" in done.output
    assert rows() == before
    with State.read(folder) as state:
        named = sorted(each.path for each in state.partitions())
    assert named == sorted(path.relative_to(folder).as_posix() for path in folder.glob("partitions/*/*"))
    assert len(named) == 4
    assert {oct(path.stat().st_mode & 0o777) for path in folder.glob("partitions/*/*")} >= {"0o600"}
    assert logscan("verify").exit_code == 0
    assert "0 files made fewer" in logscan("compact").output


def test_only_days_of_many_files_are_made_one_in_passing(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(partitions=[partition(folder, day="2026-11-28", part=f"more{number}") for number in range(3)]))
        assert upkeep.merged(state, 4) == (0, [])
        assert upkeep.merged(state, 3) == (3, [])
        files = [(each.day, each.table) for each in state.partitions()]
        assert files.count(("2026-11-28", "mails")) == 1
        assert files.count(("2026-11-27", "mails")) == 2
        assert upkeep.verified(state) == []


def test_files_of_an_earlier_version_with_fewer_columns_become_one_too(folder: Path) -> None:
    with State.open(folder) as state:
        old, new = (each for each in state.partitions() if (each.day, each.table) == ("2026-11-27", "mails"))
        more = pq.read_table(folder / new.path).append_column("size", pa.array([1, 2], pa.int64()))
        pq.write_table(more, folder / new.path)
        one = tables.made_one(folder, [old, new])
        assert pq.read_table(folder / one.path).to_pydict()["size"] == [None, None, 1, 2]
        assert one.rows == 4


def test_a_compaction_that_is_killed_leaves_what_counted(
    logscan: Callable[..., Result], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(folder)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("logscan.store.upkeep.swap", killed)
    with State.open(folder) as state, pytest.raises(KeyboardInterrupt):
        upkeep.compacted(state)
    monkeypatch.undo()
    assert everything(folder) == before
    with State.open(folder) as state:
        assert state.clear_leftovers() == ["1 file that a killed run left behind removed"]
    assert logscan("verify").exit_code == 0


def test_a_broken_file_stays_as_it_is_in_a_compaction(logscan: Callable[..., Result], folder: Path) -> None:
    _garbled(folder)
    done = logscan("compact")
    assert "mails of 2026-11-27 stays as it is" in done.output
    assert len(list(folder.glob("partitions/2026-11-27/mails*"))) == 2


def test_reset_asks_and_removes_only_what_is_logscan_s(logscan: Callable[..., Result], folder: Path) -> None:
    (folder / "logscan.db").write_bytes(b"broken")
    with State.open(folder):
        pass
    assert list(folder.glob("*.broken-*"))
    with State.open(folder) as state:
        state.commit(run(partitions=[partition(folder)]))
    (folder / "notes.txt").write_text("mine")
    (folder / "partitions" / "notes.txt").write_text("mine")
    no = logscan("reset", input="n\n")
    assert no.exit_code != 0
    assert (folder / "logscan.db").exists()
    done = logscan("reset", "--yes")
    assert done.exit_code == 0
    assert "notes.txt isn't logscan's, and stays" in done.output
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "notes.txt",
        "partitions",
        "partitions/notes.txt",
    ]


def test_a_state_after_a_reset_is_as_new(logscan: Callable[..., Result], folder: Path) -> None:
    assert "is empty" in logscan("reset", "--yes").output
    assert list(folder.iterdir()) == []
    with State.open(folder) as state:
        assert state.notes == []
        assert state.commit(run()) == 1


def test_a_state_that_another_run_holds_is_not_reset(logscan: Callable[..., Result], folder: Path) -> None:
    with State.open(folder):
        for name in (["reset", "--yes"], ["compact"], ["forget", ALICE]):
            done = logscan(name[0], "--wait", "0", *name[1:])
            assert done.exit_code == 3
            assert "another run (pid" in done.output
    assert (folder / "logscan.db").exists()


def test_an_export_holds_everything(logscan: Callable[..., Result], folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "export"
    done = logscan("export", str(target))
    assert done.exit_code == 0
    assert oct((target / "state.sql").stat().st_mode & 0o777) == "0o600"
    assert len(pq.read_table(target / "tables" / "mails.parquet")) == 6
    assert sorted(path.name for path in (target / "reports").iterdir()) == ["1.json", "2.json", "3.json"]
    plain = json.loads((target / "state.json").read_text())
    assert [each["number"] for each in plain["runs"]] == [3, 2, 1]
    assert plain["findings"][0]["sighting"]["subject"] == ALICE
    again = tmp_path / "again"
    again.mkdir(mode=0o700)
    with closing(sqlite3.connect(again / "logscan.db")) as connection:
        connection.executescript((target / "state.sql").read_text())
    with State.open(again) as state, State.read(folder) as before:
        assert state.notes == []
        assert state.remembered() == before.remembered()
        assert state.blob("open.entries") == before.blob("open.entries")
    inside = logscan("export", str(folder / "export"))
    assert inside.exit_code == 3
    assert "lies within the state" in inside.output


def remembered_everywhere(folder: Path) -> None:
    """Let a run remember an address in every place there is."""
    coded = pa.table(
        {
            "recipient": pa.array(
                ["ALICE@example.com", "alice@example.com", "bob@example.net", None]
            ).dictionary_encode(),
            "others": pa.array([[ALICE, "bob@example.net"], None, [], ["x"]], pa.list_(pa.string())),
            "source": pa.array([0, 0, 1, 1], pa.int32()),
        }
    )
    rows = Rows((pd.DataFrame({"user": pd.Series([ALICE, "bob"], dtype="str"), "n": np.array([1, 2])}),))
    keyed = Keyed.of(
        pd.DataFrame({"sender": pd.Series([ALICE, "bob"], dtype="str"), "n": np.array([1, 2])}), sums=["n"]
    )
    with State.open(folder) as state:
        state.commit(
            run(
                told(
                    sighting(ALICE, summary=f"Mail to {ALICE} <Alice@EXAMPLE.com> is stuck", id="0badcafe"),
                    json=json.dumps({"findings": [{"subject": ALICE, ALICE: 1}], "text": f"to={ALICE}, "}).encode(),
                ),
                cursors=[cursor("/dspam/data/alice@example.com.log")],
                blobs={
                    "open.deliveries": stream(coded),
                    "carried": json.dumps({"learnt": {"addresses": [ALICE, "malice@example.com"]}}).encode(),
                    "past": storing.packed(Partial({"rows": rows, "keyed": keyed, "count": 3})),
                    "odd": b"\x00\x01\xff\xfe neither JSON nor a table",
                },
                losses=[loss(f"/dspam/{ALICE}.log")],
                outgoing=[
                    mail("<named@mx>", b"Content-Transfer-Encoding: base64\n\n" + base64.b64encode(ALICE.encode())),
                    mail("<other@mx>", b"To: alice@example.com\nSubject: fine\n\nbob@example.net\n"),
                ],
                partitions=[
                    partition(
                        folder,
                        "deliveries",
                        part="9",
                        senders=(ALICE, "SRS0=Ab=Cd=example.com=alice@forwarder.example"),
                    )
                ],
            )
        )
        state.acknowledge("0badcafe", "", f"{ALICE} is on holiday", "root", MORNING)


def test_an_address_is_forgotten_everywhere(logscan: Callable[..., Result], folder: Path) -> None:
    remembered_everywhere(folder)
    done = logscan("forget", "Alice@Example.COM")
    assert done.exit_code == 0
    text = everything(folder)
    left = {line for line in text.splitlines() if sought.pattern(ALICE).search(line)}
    # Where reading was left off is known by a file's name too, and ids of hand-made findings hold the subject here.
    assert [line for line in left if "cursors" not in line and "mail-stuck:alice" not in line] == []
    assert "(forgotten)" in text
    assert "malice@example.com" in text
    assert "bob@example.net" in text
    assert "/dspam/data/alice@example.com.log has it in its name" in done.output
    assert "'odd' can't be looked into" in done.output
    with State.open(folder) as state:
        assert state.notes == []
        assert [each.mail.message_id for each in state.outbox()] == ["<1@mx>", "<2@mx>", "<other@mx>"]
        (found,) = (each for each in state.remembered() if each.sighting.id == "0badcafe")
        assert found.sighting.subject == "(forgotten)"
        assert found.ack is not None
        assert found.ack.why == "(forgotten) is on holiday"
        assert json.loads(state.report() or b"")["findings"] == [{"subject": "(forgotten)", "(forgotten)": 1}]
        assert state.clear_leftovers() == []
        table = pa.ipc.open_stream(state.blob("open.deliveries")).read_all()
        assert table["recipient"].to_pylist() == ["(forgotten)", "(forgotten)", "bob@example.net", None]
        assert len(table["recipient"].chunk(0).dictionary) == 2
        assert table["others"].to_pylist() == [["(forgotten)", "bob@example.net"], None, [], ["x"]]
        past = storing.unpacked(state.blob("past") or b"")
        assert sorted(past.frame("keyed")["sender"]) == ["(forgotten)", "bob"]
        assert sorted(past.frame("rows")["user"]) == ["(forgotten)", "bob"]
    assert logscan("verify").exit_code == 0
    assert "was in nothing" in logscan("forget", ALICE).output.splitlines()[0]


def test_nothing_of_it_is_left_in_the_files(logscan: Callable[..., Result], folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting("carol@secret.example", id="0badcafe"))))
    assert b"carol@secret.example" in (folder / "logscan.db").read_bytes()
    logscan("forget", "carol@secret.example")
    assert [path for path in folder.rglob("*") if path.is_file() and b"carol@secret.example" in path.read_bytes()] == []


def test_a_user_s_name_is_forgotten_as_a_word(logscan: Callable[..., Result], folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(
            run(told(sighting("Carol", id="0badcafe", summary="carol guessed, carolina@x and carol@y didn't")))
        )
    logscan("forget", "carol")
    with State.read(folder) as state:
        (found,) = (each.sighting for each in state.remembered() if each.sighting.id == "0badcafe")
        assert found.subject == "(forgotten)"
        assert found.summary == "(forgotten) guessed, carolina@x and carol@y didn't"


def test_a_user_who_is_called_like_a_word_of_logscan_s_takes_none_of_those_away(
    logscan: Callable[..., Result], folder: Path
) -> None:
    report = {"verdict": "found", "found": 1, "subject": "found", "checks": [{"name": "found", "text": "user found"}]}
    table = pa.table({"status": pa.array(["found"]).dictionary_encode(), "recipient": ["found"]})
    with State.open(folder) as state:
        state.commit(run(told(json=json.dumps(report).encode()), blobs={"open.deliveries": stream(table)}))
    logscan("forget", "found")
    with State.read(folder) as state:
        assert json.loads(state.report() or b"") == {
            "verdict": "found",
            "found": 1,
            "subject": "(forgotten)",
            "checks": [{"name": "found", "text": "user (forgotten)"}],
        }
        left = pa.ipc.open_stream(state.blob("open.deliveries")).read_all().to_pylist()
        assert left == [{"status": "found", "recipient": "(forgotten)"}]


@pytest.mark.parametrize("odd", ["@", "@example.com", "alice@", "  "])
def test_half_an_address_is_wrong_usage(logscan: Callable[..., Result], odd: str) -> None:
    assert logscan("forget", odd).exit_code == 2


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("alice@example.com", True),
        ("<ALICE@Example.Com>", True),
        ("to=<alice@example.com>, relay", True),
        ("alice+shop@example.com", True),
        ("list-bounces+alice=example.com@lists.example.org", True),
        ("list-return-7-alice=example.com@lists.example.org", True),
        ("prvs=0123456789=alice@example.com", True),
        ("SRS0=HHH=TT=example.com=alice@forwarder.example", True),
        ("alice%40example.com", True),
        ("rfc822;alice+40example.com", True),
        ("alice@example.com.", True),
        ("/var/spool/dspam/data/alice@example.com/alice@example.com.log", True),
        ("%3Calice@example.com%3E", True),
        ("bounce-alice@example.com", False),
        ("malice@example.com", False),
        ("x.alice@example.com", False),
        ("alice@example.com.invalid", False),
        ("alice@example.comm", False),
        ("alice@examplexcom", False),
        ("alice@mail.example.com", False),
    ],
)
def test_what_is_an_address_and_what_is_another(text: str, there: bool) -> None:
    assert bool(sought.pattern(ALICE).search(text)) is there


@given(st.from_regex(r"[a-z][a-z.+*(?\[]{0,9}", fullmatch=True), st.sampled_from(["<{}>", " {} ", "to={},", '"{}"']))
def test_an_address_of_any_signs_is_found_and_gone_after_that(local: str, around: str) -> None:
    address = f"{local}@example.com"
    found = sought.pattern(address)
    text = found.sub(sought.FORGOTTEN, around.format(address.upper()))
    assert text == around.format(sought.FORGOTTEN)
    assert re.escape(address) not in text


def test_where_there_is_no_state_each_says_so(tmp_path: Path) -> None:
    for args in (
        ["show"],
        ["verify"],
        ["compact"],
        ["reset", "--yes"],
        ["export", str(tmp_path / "x")],
        ["forget", ALICE],
    ):
        done = CliRunner().invoke(cli, ["state", args[0], "--state", str(tmp_path / "none"), *args[1:]])
        assert done.exit_code == 3, args
        assert "there is no state in" in done.output
    assert list(tmp_path.iterdir()) == []
