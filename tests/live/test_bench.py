"""Each remedy that is printed as a diff, on a real mail server: the fault is found, the change made, the fault is gone.

What the report prints is followed to the letter: its patch by patch(1), its commands in their order. Nobody may lose a
mail by it, nobody may get one twice, and users must be able to submit on port 587 all the time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from live import setups
from live.world import Mail, World, missing

import logscan
from logscan.plans import Plan
from logscan.remedies.combined import ORDER as DIFFS
from logscan.report.model import Report

MISSING = missing()


@pytest.fixture(autouse=True, scope="module")
def _able() -> None:
    """Without the programs: skipped with a word on a machine of somebody who only tries logscan, a failure in CI."""
    if os.environ.get("LOGSCAN_NO_LIVE") == "1":
        pytest.skip("LOGSCAN_NO_LIVE=1: the live bench is left out on purpose")
    if MISSING and os.environ.get("CI"):
        pytest.fail(f"the live bench needs {', '.join(MISSING)}; LOGSCAN_NO_LIVE=1 leaves it out")
    if MISSING:
        pytest.skip(f"the live bench needs {', '.join(MISSING)}")


FRIEND = "friend@example.net"
ALIAS = Mail("alias", "outside", "ann@example.org", ("root@example.com",), ("root", "alice"))
TEAM = Mail("team", "outside", "ann@example.org", ("sales@example.com",), ("bob", "carol"))
SPAM = Mail("spam", "outside", "win@example.org", ("alice@example.com",), ("alice",), "cheap")
LOGIN = Mail("login", "port-25", "bob@example.com", (FRIEND,), (FRIEND,), "cheap pills", "bob@example.com")
INSIDE = Mail(
    "inside", "port-25", "bob@example.com", ("carol@example.com",), ("carol",), "cheap pills", "bob@example.com"
)
USER = Mail("user", "submission", "carol@example.com", (FRIEND,), (FRIEND,), "cheap pills", "carol@example.com")
USER_ALIAS = Mail(
    "useralias", "submission", "carol@example.com", ("sales@example.com",), ("bob", "carol"), "hello", "carol"
)
SCRIPT = Mail("script", "loopback", "cron@example.com", (FRIEND,), (FRIEND,), "cheap pills")
CRON = Mail("cron", "sendmail", "root@example.com", (FRIEND,), (FRIEND,), "cheap pills")
CRON_ALIAS = Mail("cronalias", "sendmail", "root@example.com", ("sales@example.com",), ("bob", "carol"))
LIST = Mail("list", "outside", "ann@example.org", ("list@example.com",), ("list", "me@example.net"))


@dataclass(frozen=True)
class Case:
    """A server, its mails, the findings (check, cause) that they must lead to, the remedies proved by it."""

    setup: setups.Setup
    mails: tuple[Mail, ...]
    found: frozenset[tuple[str, str]]
    keys: frozenset[str]
    trains: bool = False
    doubled: frozenset[tuple[str, str]] = frozenset()


CASES = (
    Case(
        setups.EVERYTHING,
        (ALIAS, TEAM, SPAM, LOGIN, INSIDE, USER, USER_ALIAS, SCRIPT, CRON, CRON_ALIAS),
        frozenset(
            {
                ("duplicate-delivery", "double-alias-expansion"),
                ("authenticated-port-25", "authenticated-port-25"),
                ("outgoing-tagged-spam", "authenticated-port-25"),
                ("outgoing-tagged-spam", "local-script"),
                ("internal-tagged-spam", "authenticated-port-25"),
                ("local-mail-filtered", "local-script"),
                ("training-misses-hash", "login-without-domain"),
            }
        ),
        frozenset(
            {
                "aliases-once",
                "no-auth-on-25",
                "local-unfiltered-sendmail",
                "local-unfiltered-loopback",
                "training-arguments",
            }
        ),
        trains=True,
        doubled=frozenset({("alias", "alice")}),
    ),
    Case(
        setups.OWNED,
        (ALIAS, TEAM, SPAM, USER, USER_ALIAS, CRON, CRON_ALIAS),
        frozenset({("alias-owns-hash", "alias-not-expanded"), ("outgoing-tagged-spam", "local-script")}),
        frozenset({"aliases-before-filter", "local-unfiltered-sendmail"}),
    ),
    Case(
        setups.GLOBAL,
        (ALIAS, TEAM, SPAM, USER, USER_ALIAS, SCRIPT, CRON, CRON_ALIAS),
        frozenset({("outgoing-tagged-spam", "all-filtered"), ("local-mail-filtered", "all-filtered")}),
        frozenset({"filter-port-25-only", "filter-port-25-only-and-loopback"}),
    ),
    Case(
        setups.GATEWAY,
        (ALIAS, TEAM, SPAM, LOGIN, USER, USER_ALIAS, SCRIPT, CRON, CRON_ALIAS, LIST),
        frozenset(
            {
                ("duplicate-delivery", "double-alias-expansion"),
                ("authenticated-port-25", "authenticated-port-25"),
                ("outgoing-tagged-spam", "submission-filtered"),
                ("outgoing-tagged-spam", "local-script"),
            }
        ),
        frozenset({"aliases-once", "no-auth-on-25", "submission-unfiltered", "local-unfiltered-loopback"}),
        doubled=frozenset({("list", "me@example.net")}),
    ),
)


def test_every_remedy_that_can_be_a_diff_is_on_the_bench() -> None:
    """The keys of all remedies that make a diff for any of these servers, and all that the one change knows."""
    assert {key for case in CASES for key in case.keys} >= set(DIFFS) - {"local-unfiltered-both"}
    assert "local-unfiltered-both" in DIFFS, "the other two in one, which are on the bench together"


def expected(mails: tuple[Mail, ...]) -> Counter[tuple[str, str]]:
    return Counter((mail.name, who) for mail in mails for who in mail.reaches)


def analysed(folder: Path) -> Report:
    return logscan.analyse(logscan.read(folder, jobs=1))


def causes(report: Report) -> set[tuple[str, str]]:
    return {(each.check, each.cause) for each in report.found if each.counts}


def moved(mails: tuple[Mail, ...]) -> tuple[Mail, ...]:
    """Return the same mails, those of port 25's users over port 587."""
    return tuple(
        Mail(mail.name, "submission", mail.sender, mail.to, mail.reaches, mail.subject, mail.login)
        if mail.way == "port-25"
        else mail
        for mail in mails
    )


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.setup.name)
def bench(request: pytest.FixtureRequest) -> Iterator[tuple[Case, World]]:
    with World(request.param.setup) as world:
        yield request.param, world


def test_the_fault_is_found_the_printed_change_mends_it_and_can_be_taken_back(bench: tuple[Case, World]) -> None:
    case, world = bench
    world.send(list(case.mails), "before")
    reached = world.reached("before")
    assert reached - expected(case.mails) == Counter(dict.fromkeys(case.doubled, 1)), "the fault was provoked"
    if case.trains:
        world.train("alice", SPAM, "before")
    report = analysed(world.folder("before"))
    assert case.found <= causes(report)
    plan = report.plan
    assert plan
    with_diff = {each.remedy.key for each in report.found if each.remedy and each.remedy.diff}
    assert with_diff == case.keys
    assert {each.id for each in report.found if each.remedy and each.remedy.diff} == set(plan.findings)

    old = world.configuration()
    waiting = held_back(world, plan)
    write(world, plan)
    world.follow(plan.steps)
    assert world.reached("waiting") == expected(waiting), "what was in the queue reached its people, once"
    assert "status=bounced" not in (world.log / "mail.log").read_text()

    start = world.offsets()
    after = moved(case.mails)
    world.send(list(after), "after")
    assert world.reached("after") == expected(after), "nobody lost a mail, nobody got one twice"
    if case.trains:
        world.train("alice", SPAM, "after")
    again = analysed(world.folder("after", start))
    assert not causes(again) & case.found
    looked_at = {each.name: each.verdict for each in again.checks if each.name in {check for check, _ in case.found}}
    assert set(looked_at.values()) <= {"clear", "not-applicable"}, looked_at
    assert again.plan is None

    world.follow(plan.undo)
    assert world.configuration() == old


def write(world: World, plan: Plan) -> None:
    for program in ("postfix", "dovecot"):
        (world.base / f"logscan-{program}.patch").write_text(plan.diff(program))


def held_back(world: World, plan: Plan) -> tuple[Mail, ...]:
    """Have mail to an alias wait for the filter while the change is made, where the plan empties the queue first."""
    if not any(step.key == "empty" for step in plan.steps):
        return ()
    socket = world.base / "dspam.sock"
    away = socket.rename(world.base / "dspam.away")
    world.post([TEAM, CRON_ALIAS], "waiting")
    world.wait_for_log("message-id=<cronalias.waiting@", "No such file or directory")
    away.rename(socket)
    return TEAM, CRON_ALIAS
