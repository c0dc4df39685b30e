"""Siblings of the lab's stories, each of another server: what is found is the same, case by case, and nothing else is found."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import pytest
from sibling_story import STAMP, Story, story
from siblings import SIBLINGS, beside

from benchmarks.siblings import report, wrong

LAB = Path(__file__).parent / "data" / "lab"

ELSEWHERE = ("names", "nets", "noisy", "new-year")
MODERN = ("punycode", "ipv6", "instance", "iso")
OTHER_WAYS = ("filter-over-tcp", "mailboxes-over-tcp", "long-ids", "slower", "winter-time")
OLDER = ("places", "by-lda", "milter-at-socket", "fewer", "summer-time")
NEWER = ("names", "dovecot-2.4", "unnamed", "faster", "iso-winter-time")

MIXTURES = {
    "account-misused": MODERN,
    "delivery-blocked": OTHER_WAYS,
    "filter-bypassed": OTHER_WAYS,
    "filter-failed-open": OLDER,
    "filter-failed-open-dspam": ELSEWHERE,
    "filter-lost-mail": OTHER_WAYS,
    "filter-unreachable": NEWER,
    "forwarding-and-lists": MODERN,
    "log-gap-clock": ELSEWHERE,
    "log-gap-ratelimit": MODERN,
    "log-gap-rotation": ELSEWHERE,
    "mail-loop": NEWER,
    "mail-stuck": MODERN,
    "mail-vanished": NEWER,
    "mailbox-refused": ("names", "mailboxes-over-tcp", "noisy", "iso"),
    "multi-instance": ELSEWHERE,
    "password-guessing": NEWER,
    "postscreen": MODERN,
    "proxy-filter": OLDER,
    "rspamd-learning": ELSEWHERE,
}
"""Siblings of siblings: each story through several changes, the clock's last."""


def mixed(name: str) -> Story:
    return reduce(lambda told, change: SIBLINGS[change](told), MIXTURES[name], story(LAB / name))


def test_each_story_has_a_sibling() -> None:
    assert {path.name for path in LAB.iterdir() if path.is_dir()} == MIXTURES.keys()


@pytest.mark.parametrize("name", MIXTURES)
def test_a_sibling_is_told_of_as_its_story(name: str) -> None:
    told = mixed(name)
    assert wrong(told, report(told), {}) == []


def test_a_healthy_host_in_the_same_log_changes_nothing() -> None:
    told = beside(story(LAB / "mail-vanished"), story(LAB / "multi-instance"))
    hosts = {found[2] for line in told.files["mail.log"].splitlines() if (found := STAMP.match(line))}
    assert len(hosts) == 2
    assert wrong(told, report(told), {}) == []


def test_two_hosts_with_one_and_the_same_log_are_healthy_both() -> None:
    """All queue IDs, processes and message-ids stand in it twice."""
    told = beside(story(LAB / "forwarding-and-lists"), story(LAB / "forwarding-and-lists"))
    assert wrong(told, report(told), {}) == []


def test_of_a_story_without_its_fault_the_verdict_is_wrong() -> None:
    told = story(LAB / "mail-stuck")
    kept = "".join(line for line in told.files["mail.log"].splitlines(keepends=True) if "status=deferred" not in line)
    bare = Story(told.name, told.files | {"mail.log": kept}, told.year)
    assert wrong(bare, report(bare), {}) != []
