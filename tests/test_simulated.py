"""Random mail flows with known truth: lives, legs, mails and deliveries are found as they were, whatever loggers do."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from simulator import FILTERS, Log, Server, World, by_host, cut, lossy, shuffled, stepped

import logscan
from logscan.correlate import splitting as entries
from logscan.correlate.delays import PARTS
from logscan.correlate.horizons import SECOND
from logscan.correlate.lives import find_lives
from logscan.correlate.outcomes import ENDS
from logscan.scan.scan import Scan

some = settings(
    max_examples=20, deadline=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)
"""The same examples in each run, so that a failure is a change of the code. A seed can't be shrunk: don't try for minutes."""


@st.composite
def worlds(draw: st.DrawFn, *, ids: Sequence[int] = (100, 250), hosts: int = 2) -> World:
    servers = [
        Server(
            f"mx{n + 1}",
            draw(st.sampled_from(FILTERS)),
            tuple(draw(st.sets(st.sampled_from(("reply", "xforward", "line"))))),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for n in range(draw(st.integers(1, hosts)))
    ]
    rng = random.Random(draw(st.integers(0, 2**32)))
    return World(rng, servers, ids=draw(st.sampled_from(ids)), long_ids=draw(st.booleans()))


def read(parts: Sequence[Log], *, bsd: bool = False) -> Scan:
    """Read the parts, each from a file of its own, in this order."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, part in enumerate(parts):
            path = Path(folder) / f"part{number}.log"
            path.write_text(part.text(bsd), "utf-8")
            paths.append(path)
        return logscan.read(*paths, jobs=1, year=2026, timezone="UTC")


# -- comparing with the truth ------------------------------------------------------------------------------------------


def rows_of(scan: Scan, parts: Sequence[Log]) -> list[tuple[int, int]]:
    """Return (entry found, true life) of each line that names a queue ID."""
    order = {Path(source.source.path).name: number for number, source in enumerate(scan.sources)}
    logs = {order[f"part{number}.log"]: part for number, part in enumerate(parts) if part.lines}
    out = []
    for name, entry in find_lives(scan.tables).entry.items():
        table = scan.tables[name]
        sources, lines = table.column("source").to_numpy(), table.column("line").to_numpy()
        rows = np.flatnonzero(entry >= 0).tolist()
        out += [(int(entry[row]), logs[int(sources[row])].lines[int(lines[row]) - 1].life) for row in rows]
    return out


def true_lives(scan: Scan, parts: Sequence[Log]) -> dict[int, set[int]]:
    """Return the true lives that each entry is made of."""
    out: dict[int, set[int]] = {}
    for entry, life in rows_of(scan, parts):
        out.setdefault(entry, set()).add(life)
    return out


def check_lives(scan: Scan, parts: Sequence[Log]) -> dict[int, int]:
    """Check that entries and true lives are the same; returns the life of each entry."""
    found = true_lives(scan, parts)
    mixed = {entry: lives for entry, lives in found.items() if len(lives) > 1}
    assert mixed == {}, "fused"
    life = {entry: next(iter(lives)) for entry, lives in found.items()}
    torn = {each: n for each, n in Counter(life.values()).items() if n > 1}
    assert torn == {}, "torn apart"
    assert len(scan.entries) == len(found)
    return life


def check_all(scan: Scan, log: Log, parts: Sequence[Log], off: float = 2.2) -> None:
    """Check lives, legs, mails and final deliveries against the truth."""
    life = check_lives(scan, parts)
    names = {n: f"{each.host}/{each.instance}/{each.queue_id}#{n}" for n, each in enumerate(log.lives)}
    found = {
        (names[life[int(a)]], names[life[int(b)]], str(kind))
        for a, b, kind in zip(scan.legs["parent"], scan.legs["child"], scan.legs["kind"], strict=True)
    }
    assert found == {(names[a], names[b], kind) for a, b, kind in log.legs}
    mail_of = {int(entry): log.lives[life[int(entry)]].mail for entry in scan.mails["entry"]}
    assert sorted(mail_of.values()) == sorted({each.mail for each in log.lives} - {-1})
    for entry, root in enumerate(scan.entries["root"]):
        assert log.lives[life[entry]].mail == log.lives[life[int(root)]].mail
    assert finals(scan, mail_of) == {mail: dict(each) for mail, each in log.finals.items()}
    check_accounts(scan)
    check_delays(scan, log, parts, off)
    assert not scan.mails["opened_before"].any()
    assert not scan.mails["open"].any()


def finals(scan: Scan, mail_of: dict[int, int]) -> dict[int, dict[str, int]]:
    rows = scan.deliveries[scan.deliveries["final"]]
    root = scan.entries["root"].to_numpy()[rows["entry"].to_numpy()]
    out: dict[int, Counter[str]] = {}
    for entry, recipient in zip(root.tolist(), rows["recipient"], strict=True):
        out.setdefault(mail_of[entry], Counter())[recipient] += 1
    return {mail: dict(each) for mail, each in out.items()}


def check_delays(scan: Scan, log: Log, parts: Sequence[Log], off: float) -> None:
    """Check each delivery's delay from end to end against the truth, ``off`` seconds that stamps may be wrong by."""
    order = {Path(source.source.path).name: number for number, source in enumerate(scan.sources)}
    logs = {order[f"part{number}.log"]: part for number, part in enumerate(parts) if part.lines}
    arrived: dict[int, float] = {}
    for life in log.lives:
        arrived[life.mail] = min(arrived.get(life.mail, life.opened), life.opened)
    final = scan.deliveries[scan.deliveries["final"]]
    for row in final.itertuples():
        line = logs[row.source].lines[row.line - 1]
        true = line.time - arrived[log.lives[line.life].mail]
        assert row.total_delay == pytest.approx(true, rel=0.06, abs=off), line.text
        assert abs(row.arrived.timestamp() - arrived[log.lives[line.life].mail]) <= off + 1


def check_accounts(scan: Scan) -> None:
    """Check that each recipient has one end, and that the parts of each delay make up the whole."""
    mails, deliveries = scan.mails, scan.deliveries
    assert (mails["recipients"] == mails[list(ENDS)].sum(axis=1)).all()
    ends = deliveries[deliveries["last"] & deliveries["outcome"].isin(ENDS)]
    for name in ("delivered", "bounced", "expired"):
        told = ends[ends["outcome"] == name].groupby("mail").size().reindex(mails.index, fill_value=0)
        assert (told == mails[name]).all(), name
    assert (deliveries["final"] == (deliveries["outcome"] == "delivered")).all()
    final = deliveries[deliveries["final"]]
    parts = final[list(PARTS)]
    assert (parts.fillna(0) >= 0).all(axis=None)
    assert (final["total_delay"] >= 0).all()
    off = (parts.sum(axis=1, skipna=False) - final["total_delay"]).abs()
    assert not (off > 0.2 + 0.06 * final["total_delay"]).any()
    assert deliveries.loc[~deliveries["final"], ["total_delay", *PARTS]].isna().all(axis=None)


def check_whole(scan: Scan) -> None:
    """Check what always holds: each delivery in one life, each life in one mail at most, each leg within bounds."""
    size = len(scan.entries)
    assert scan.deliveries["entry"].between(0, size - 1).all()
    assert scan.entries["root"].between(0, size - 1).all()
    root = scan.entries["root"].to_numpy()
    assert (root[root] == root).all()
    assert scan.legs["child"].is_unique
    assert scan.mails["entry"].is_unique
    assert set(scan.mails["entry"]) <= set(root.tolist())
    mail = scan.entries["mail"].to_numpy()
    assert (mail == mail[root]).all()
    deliveries = scan.deliveries
    assert (deliveries["mail"].to_numpy() == mail[deliveries["entry"].to_numpy()]).all()
    assert (deliveries["mail"] >= 0).all()
    assert scan.mails["delivered"].sum() == deliveries["final"].sum()
    check_accounts(scan)


def tables(scan: Scan) -> dict[str, list[tuple[str, ...]]]:
    """Return the tables with names for numbers, in an order of their own, to be compared between runs."""
    entries = scan.entries
    name = (entries["host"].astype(str) + "/" + entries["instance"].astype(str) + "/" + entries["queue_id"]
            + "#" + entries["life"].astype(str)).to_numpy()  # fmt: skip
    parent = np.where(entries["parent"] >= 0, name[entries["parent"]], "")
    plain = entries[[
        "first", "last", "service", "client", "client_address", "local_client", "sasl_username", "message_id", "sender", "size",
        "nrcpt", "expired", "opened", "queued", "removed", "leg", "origin", "ending",
    ]]  # fmt: skip
    legs = scan.legs[["kind", "known_by", "confidence"]]
    mails = scan.mails.drop(columns=["entry"])
    deliveries = scan.deliveries[[
        "time", "recipient", "original_recipient", "relay", "delay", "status", "reply", "hop", "mailbox", "final", "last",
        "outside", "folder", "stored", "outcome", "arrived", "total_delay", *PARTS,
    ]]  # fmt: skip
    return {
        "entries": _rows(plain, name, parent, name[entries["root"]]),
        "legs": _rows(legs, name[scan.legs["parent"]], name[scan.legs["child"]]),
        "mails": _rows(mails, name[scan.mails["entry"]]),
        "deliveries": _rows(deliveries, name[scan.deliveries["entry"]]),
    }


def _rows(frame: pd.DataFrame, *names: np.ndarray) -> list[tuple[str, ...]]:
    columns = [*names, *(frame[column].map(str).to_numpy() for column in frame.columns)]
    return sorted(zip(*columns, strict=True))


def check_equal(one: Scan, other: Scan) -> None:
    left, right = tables(one), tables(other)
    for name in left:
        assert left[name] == right[name], name


# -- nothing lost ------------------------------------------------------------------------------------------------------


@some
@given(worlds(), st.booleans(), st.integers(1, 30))
def test_lives_legs_mails_and_deliveries_are_those_that_were(world: World, bsd: bool, flows: int) -> None:
    log = world.run(flows)
    scan = read([log], bsd=bsd)
    check_whole(scan)
    check_all(scan, log, [log], 1.2 if bsd else 0.1)


@some
@given(worlds(ids=(250,)), st.booleans())
def test_many_mails_at_once_are_told_apart(world: World, bsd: bool) -> None:
    log = world.run(40, gap=0.3)
    check_all(read([log], bsd=bsd), log, [log])


@some
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_lines_within_a_second_doesn_t_matter(world: World, rng: random.Random) -> None:
    log = world.run(20)
    mixed = shuffled(log, rng)
    scan = read([mixed], bsd=True)
    check_all(scan, log, [mixed])
    check_equal(scan, read([log], bsd=True))


@some
@given(worlds(), st.randoms(use_true_random=False), st.booleans())
def test_clocks_of_processes_that_step_by_two_seconds_tear_nothing_apart(
    world: World, rng: random.Random, bsd: bool
) -> None:
    log = world.run(20, gap=6)
    late = stepped(log, rng)
    check_all(read([late], bsd=bsd), log, [late])


# -- files -------------------------------------------------------------------------------------------------------------


@some
@given(worlds(), st.data(), st.booleans())
def test_a_log_split_anywhere_gives_the_same_tables(world: World, data: st.DataObject, bsd: bool) -> None:
    log = world.run(15)
    places = data.draw(st.lists(st.integers(0, len(log.lines)), min_size=1, max_size=3))
    parts = data.draw(st.permutations(cut(log, places)))
    scan = read(parts, bsd=bsd)
    check_all(scan, log, parts)
    check_equal(scan, read([log], bsd=bsd))


@some
@given(worlds(hosts=3), st.booleans())
def test_the_order_of_hosts_doesn_t_matter(world: World, bsd: bool) -> None:
    log = world.run(15)
    parts = by_host(log)
    scan = read([log], bsd=bsd)
    check_equal(scan, read(parts, bsd=bsd))
    check_equal(scan, read(parts[::-1], bsd=bsd))


# -- lines lost --------------------------------------------------------------------------------------------------------


@some
@given(worlds(ids=(400,)), st.randoms(use_true_random=False), st.sampled_from((0.02, 0.1, 0.3)))
def test_where_lines_are_lost_no_join_that_is_sure_is_wrong(world: World, rng: random.Random, share: float) -> None:
    log = world.run(25)
    left = lossy(log, rng, share)
    scan = read([left])
    check_whole(scan)
    lives = true_lives(scan, [left])
    parents = {child: parent for parent, child, _ in log.legs}
    for leg in scan.legs.itertuples():
        if str(leg.confidence) != "high":
            continue
        before, after = lives[int(leg.parent)], lives[int(leg.child)]
        assert {parents.get(each) for each in after} & before, (scan.entries.iloc[[leg.parent, leg.child]], leg)


@some
@given(worlds(ids=(400,)), st.data())
def test_a_part_of_a_log_says_which_of_its_mails_it_doesn_t_hold_whole(world: World, data: st.DataObject) -> None:
    log = world.run(15)
    low = data.draw(st.integers(0, len(log.lines)))
    high = data.draw(st.integers(low, len(log.lines)))
    part = cut(log, [low, high])[1]
    scan = read([part])
    check_whole(scan)
    lives = true_lives(scan, [part])
    opened = {
        line.life
        for line in part.lines
        if ": client=" in line.text or ": uid=" in line.text or ": message-id=" in line.text
    }
    ended = {line.life for line in part.lines if line.text.endswith(": removed")}
    for mail in scan.mails.itertuples():
        root = lives[int(mail.entry)]
        assert mail.opened_before == (not root & opened)
        members = set().union(*(lives[int(e)] for e in np.flatnonzero(scan.entries["root"] == mail.entry)))
        assert mail.open == bool(members - ended)


# -- lives of a queue ID ---------------------------------------------------------------------------------------------------

EVENT = st.tuples(
    st.integers(0, 3), st.integers(0, 40), st.sampled_from(sorted(set(entries.RANKS.values()))), st.integers(0, 30)
)
"""Queue ID, second, rank (which table), seconds of delay."""


@settings(max_examples=500, deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=25))
def test_a_queue_id_that_may_have_several_lives_is_never_passed_over(events: list[tuple[int, int, int, int]]) -> None:
    """The quick look that spares most IDs the close one lets none through that the close one has a hint for."""
    key, second, rank, delay = (np.asarray(column, np.int64) for column in zip(*sorted(events), strict=True))
    time = second * SECOND
    arrival = np.where(rank == entries.RANKS["deliveries"], time - delay * SECOND, time)
    new_key = np.r_[True, key[1:] != key[:-1]]
    chosen = set(key[entries._unlike_one_life(new_key, time, rank, arrival)].tolist())
    hinted = key[new_key][entries._several_lives(new_key, time, rank, arrival)]
    assert set(hinted.tolist()) <= chosen
