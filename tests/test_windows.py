"""Correlation window by window gives what one go gives, in every column, and carries only what is open."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from simulator import FILTERS, Server, World, lossy, shuffled, stepped
from test_simulated import read
from windowed import check_same, rows, summed

import logscan
from logscan.correlate.build import correlate
from logscan.correlate.known import Known
from logscan.correlate.learnt import Learnt
from logscan.correlate.matching import match
from logscan.correlate.windows import Open, Piece, Windows, correlated_windows, joined, split_by_time, survey
from logscan.samples import story as story_folder

some = settings(
    max_examples=3, deadline=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)

Tables = dict[str, pa.Table]


def split_by_count(tables: Tables, size: int) -> Iterator[Tables]:
    """Cut event tables into windows of so many rows, in order of time; rows of one moment may come into two."""
    names = list(tables)
    table = np.concatenate([np.full(len(tables[name]), at) for at, name in enumerate(names)])
    row = np.concatenate([np.arange(len(tables[name])) for name in names])
    time = np.concatenate([tables[name].column("time").to_numpy() for name in names])
    order = np.argsort(time, kind="stable")
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield {name: tables[name].take(pa.array(row[chosen[table[chosen] == at]])) for at, name in enumerate(names)}


def split_by_share(tables: Tables, cuts: Sequence[float]) -> Iterator[Tables]:
    """Cut event tables where these shares of the rows are before."""
    times = np.sort(np.concatenate([table.column("time").to_numpy() for table in tables.values()]))
    return split_by_time(tables, [int(times[int(at * (len(times) - 1))]) for at in cuts])


def check_windows(tables: Tables, known: Known, parts: Iterator[Tables]) -> list[Piece]:
    """Check that the pieces of these windows are what one go gives, each event row in one of them."""
    pieces = list(correlated_windows(parts, known))
    check_same(rows(correlate(tables, known), tables), summed([(piece.correlated, piece.tables) for piece in pieces]))
    return pieces


@st.composite
def worlds(draw: st.DrawFn) -> World:
    servers = [
        Server(
            f"mx{n + 1}",
            draw(st.sampled_from(FILTERS)),
            tuple(draw(st.sets(st.sampled_from(("reply", "xforward", "line"))))),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for n in range(draw(st.integers(1, 2)))
    ]
    rng = random.Random(draw(st.integers(0, 2**32)))
    return World(rng, servers, ids=draw(st.sampled_from((20, 100, 250))), long_ids=draw(st.booleans()))


@some
@given(worlds(), st.lists(st.floats(0, 1), min_size=1, max_size=6), st.booleans())
def test_a_log_cut_anywhere_gives_what_one_go_gives(world: World, cuts: list[float], bsd: bool) -> None:
    tables = read([world.run(30, gap=60)], bsd=bsd).tables
    known = survey(tables, Known())
    check_same(rows(correlate(tables, Known()), tables), rows(correlate(tables, known), tables))
    check_windows(tables, known, split_by_share(tables, cuts))


@some
@given(
    worlds(), st.integers(8, 60), st.randoms(use_true_random=False), st.sampled_from(("lossy", "shuffled", "stepped"))
)
def test_hundreds_of_windows_give_what_one_go_gives_whatever_loggers_do(
    world: World, size: int, rng: random.Random, what: str
) -> None:
    log = world.run(40, gap=60)
    log = {
        "lossy": lambda: lossy(log, rng, 0.1),
        "shuffled": lambda: shuffled(log, rng),
        "stepped": lambda: stepped(log, rng),
    }[what]()
    tables = read([log], bsd=what == "shuffled").tables
    check_windows(tables, survey(tables, Known()), split_by_count(tables, size))


@pytest.mark.parametrize("story", ["mixed-day", "healthy", "dspam-crash", "amavis-healthy", "double-alias-expansion"])
def test_a_story_in_windows_is_the_story(story: str) -> None:
    scan = logscan.read(story_folder(story), jobs=1)
    known = survey(scan.tables, Known())
    check_windows(scan.tables, known, split_by_share(scan.tables, (0.25, 0.5, 0.75)))
    check_windows(scan.tables, known, split_by_count(scan.tables, 97))


def test_numbers_of_rows_point_into_the_piece_s_own_tables() -> None:
    """In windows of a day each entry has its own client, each delivery its own line of Dovecot and its own verdict."""
    scan = logscan.read(story_folder("mixed-day"), jobs=1)
    pieces = list(correlated_windows(split_by_share(scan.tables, (0.25, 0.5, 0.75)), survey(scan.tables, Known())))
    assert sum(len(piece.correlated.mails) > 0 for piece in pieces) >= 4
    for piece in pieces:
        entries, deliveries, verdicts = (
            getattr(piece.correlated, name) for name in ("entries", "deliveries", "verdicts")
        )
        client = entries[entries["client_row"] >= 0]
        ids = piece.tables["clients"].column("queue_id").to_pylist()
        assert [ids[row] for row in client["client_row"]] == client["queue_id"].tolist()
        stored = deliveries[deliveries["store_row"] >= 0]
        folders = piece.tables["stores"].column("mailbox").to_pylist()
        assert [folders[row] for row in stored["store_row"]] == stored["folder"].tolist()
        judged = deliveries[deliveries["verdict_row"] >= 0]
        assert (verdicts["signature"].to_numpy()[judged["verdict_row"]] == judged["signature"]).all()


@some
@given(worlds(), st.floats(0, 0.5), st.integers(15, 80))
def test_a_survey_that_saw_too_little_is_never_contradicted(world: World, share: float, size: int) -> None:
    """What windows would learn later counts for nothing: a wrong survey is as wrong in one go, and no more."""
    tables = read([world.run(30, gap=60)]).tables
    for known in (Known(learnt=Learnt()), survey(next(iter(split_by_share(tables, [share]))), Known())):
        pieces = check_windows(tables, known, split_by_count(tables, size))
        assert {piece.correlated.learnt for piece in pieces} == {known.learnt}


def test_what_a_survey_says_is_gone_by() -> None:
    scan = logscan.read(story_folder("healthy"), jobs=1)
    known = survey(scan.tables, Known())
    assert known.learnt is not None
    wrong = replace(
        known, learnt=replace(known.learnt, local_domains=frozenset({"elsewhere.example"}), filters=frozenset())
    )
    assert correlate(scan.tables, wrong).local_domains == {"elsewhere.example"}
    assert len(correlate(scan.tables, wrong).legs) <= len(correlate(scan.tables, known).legs)
    assert (
        correlate(scan.tables, known).mails["direction"] == correlate(scan.tables, Known()).mails["direction"]
    ).all()


def test_without_a_survey_the_first_window_is_one() -> None:
    scan = logscan.read(story_folder("mixed-day"), jobs=1)
    parts = list(split_by_share(scan.tables, (0.5,)))
    windows = Windows()
    pieces = [windows.feed(part) for part in parts]
    assert windows.known.learnt == survey(parts[0], Known()).learnt
    check_same(
        rows(correlate(scan.tables, survey(parts[0], Known())), scan.tables),
        summed([(piece.correlated, piece.tables) for piece in (*pieces, windows.finish())]),
    )


@some
@given(worlds(), st.floats(0.1, 0.9))
def test_what_is_open_can_be_looked_at_and_stored_meanwhile(
    tmp_path_factory: pytest.TempPathFactory, world: World, cut: float
) -> None:
    tables = read([world.run(30, gap=60)]).tables
    known = survey(tables, Known())
    first, second = split_by_share(tables, [cut])
    windows = Windows(known)
    closed = windows.feed(first)
    now = windows.provisional()
    assert rows(now.correlated, now.tables) == rows(windows.provisional().correlated, now.tables)
    check_same(rows(correlate(first, known), first), summed([(each.correlated, each.tables) for each in (closed, now)]))
    later = Windows(known, stored(windows.open, tmp_path_factory.mktemp("open")))
    pieces = [closed, later.feed(second), later.finish()]
    check_same(rows(correlate(tables, known), tables), summed([(each.correlated, each.tables) for each in pieces]))


def stored(open_: Open, folder: Path) -> Open:
    """Write what is open to disk and read it again."""
    for name, table in open_.tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    tables = {name: pq.read_table(folder / f"{name}.parquet") for name in open_.tables}
    return Open(tables, open_.now, open_.last)


def test_pieces_put_together_point_into_the_whole() -> None:
    scan = logscan.read(story_folder("mixed-day"), jobs=1)
    known = survey(scan.tables, Known())
    whole = joined(correlated_windows(split_by_share(scan.tables, (0.2, 0.4, 0.6, 0.8)), known))
    check_same(rows(correlate(scan.tables, known), scan.tables), rows(whole.correlated, whole.tables))


def test_only_what_is_open_is_carried() -> None:
    """Complete mails are handed on minutes after their last line, however long the log is."""
    world = World(random.Random(7), [Server("mx1", "dspam")], ids=10_000)
    tables = read([world.run(300, gap=30)]).tables
    windows = Windows(survey(tables, Known()))
    carried = []
    for part in split_by_count(tables, 200):
        windows.feed(part)
        carried.append(windows.open_rows)
    assert max(carried) < sum(len(table) for table in tables.values()) / 8
    assert max(carried[len(carried) // 2 :]) < 2 * max(carried[: len(carried) // 2])
    held = sum(table.nbytes for table in windows.open.tables.values())
    assert held < sum(table.nbytes for table in tables.values()) / 6


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 120), st.integers(1, 120), st.integers(0, 40), st.randoms(use_true_random=False))
def test_what_is_far_apart_is_matched_alike_alone_and_together(
    parents: int, children: int, width: int, rng: random.Random
) -> None:
    """However many look alike: those of one hour don't decide for those of another."""
    begin = np.asarray(sorted(rng.randrange(100) for _ in range(parents)), np.int64)
    opened = np.asarray(sorted(rng.randrange(100) for _ in range(children)), np.int64)

    def matched(begin: np.ndarray, opened: np.ndarray) -> set[tuple[int, int, bool]]:
        key = np.zeros(len(begin), np.int64), np.zeros(len(opened), np.int64)
        left, right, sure = match(key, (begin, begin + width), opened)
        return set(zip(left.tolist(), right.tolist(), sure.tolist(), strict=True))

    alone = matched(begin, opened)
    both = matched(np.r_[begin, begin + 3600], np.r_[opened, opened + 3600])
    assert both == alone | {(left + parents, right + children, sure) for left, right, sure in alone}
