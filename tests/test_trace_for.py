"""The trail for one person: her own part, and nothing of other people's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from conftest import Run

import logscan
from logscan.report.redacting import ADDRESS, HIDDEN, redacted
from logscan.report.trace_finding import find, find_refused
from logscan.report.trace_model import Life, Trace
from logscan.report.trace_texts import as_json, as_text
from logscan.report.tracing import traces
from logscan.samples import story
from logscan.scan.scan import Scan

STORIES = ("double-alias-expansion", "amavis-double-alias-expansion", "mixed-day")


@pytest.fixture(scope="module", params=STORIES)
def scan(request: pytest.FixtureRequest) -> Scan:
    return logscan.read(story(request.param), jobs=1)


def people(scan: Scan) -> list[str]:
    mine = scan.deliveries["mailbox"].dropna().astype(str).str.lower().value_counts()
    senders = scan.entries["sender"].dropna().astype(str).str.lower().value_counts()
    return [*mine.index[:3], *(each for each in senders.index[:2] if "@" in each)]


def all_of(scan: Scan, person: str) -> list[Trace]:
    found = traces(scan, find(scan, person)[:25], lines=True, whole=True)
    refusals, _ = find_refused(scan, person, 10, lines=True)
    return [*found, *([refusals] if refusals else [])]


def rightly_known(trace: Trace, person: str) -> set[str]:
    """What that person may read: herself, who wrote, as whom she was reached; of her own mail, to whom she wrote."""
    root = trace.lives[0]
    attempts = [each for life in trace.lives for each in life.attempts]
    own = [
        each
        for each in attempts
        if person in (each.recipient.lower(), (each.original_recipient or "").lower(), each.mailbox)
    ]
    known = {person, (root.sender or "").lower(), *((each.original_recipient or "").lower() for each in own)}
    if (root.sender or "").lower() == person or root.client.endswith(f"logged in as {person}"):
        known |= {(each.original_recipient or each.recipient).lower() for each in root.attempts}
    return known | {(life.message_id or "").strip("<>").lower() for life in trace.lives}


def clients(lives: list[Life], person: str) -> Iterator[str]:
    for life in lives:
        found = re.match(r"(\S+)\[([0-9a-f.:]+)\]", life.client)
        if found and not found[2].startswith("127.") and not life.client.lower().endswith(f"logged in as {person}"):
            yield found[2]
            if found[1] not in ("unknown", "localhost"):
                yield found[1]


def test_no_address_and_no_client_of_others_is_left_in_any_form(scan: Scan) -> None:
    checked = 0
    for person in people(scan):
        for trace in all_of(scan, person):
            shown, _ = redacted([trace], [person])
            for text in (as_text(shown, True), as_json(shown)) if trace.lives else ():
                checked += 1
                there = {each[0].lower().strip(".") for each in ADDRESS.finditer(text.replace("\\t", " "))}
                left = {each for each in there if each not in rightly_known(trace, person)}
                assert left == set(), (person, trace.lives[0].queue_id)
                hidden = [rf"(?<![\w.@-]){re.escape(each)}(?![\w.-])" for each in clients(trace.lives, person)]
                assert not [each for each in hidden if re.search(each, text)]
    assert checked > 40


def test_what_is_that_person_s_stays(scan: Scan) -> None:
    for person in people(scan)[:3]:
        for trace in traces(scan, find(scan, person)[:25]):
            own = [each for life in trace.lives for each in life.attempts if each.mailbox == person and each.folder]
            (shown, *_), left = redacted([trace], [person])
            kept = [each for life in shown.lives for each in life.attempts if each.mailbox == person and each.folder]
            assert (len(kept), left) == (len(own), 0)
            assert [each.outcome for each in kept] == [each.outcome for each in own]


def test_a_stranger_gets_nothing(scan: Scan) -> None:
    every = traces(scan, find(scan, people(scan)[0])[:10], lines=True)
    shown, left = redacted(every, ["somebody.else@example.net"])
    assert (shown, left) == ([], len(every))
    assert redacted(every, []) == ([], len(every))


def test_a_sender_learns_to_whom_she_wrote_but_neither_where_aliases_led_nor_what_mailboxes_made_of_it() -> None:
    scan = logscan.read(story("double-alias-expansion"), jobs=1)
    inside = [trace for trace in traces(scan, list(range(len(scan.entries)))) if trace.direction == "internal"]
    seen = 0
    for trace in inside:
        sender = (trace.lives[0].sender or "").lower()
        shown, _ = redacted([trace], [sender])
        for each in (each for one in shown for life in one.lives for each in life.attempts):
            if sender in (each.recipient, each.mailbox):
                continue
            seen += 1
            assert (each.mailbox, each.folder, each.spam, each.original_recipient) == (None, None, None, None)
            assert not each.outcome.startswith("stored in")
    assert seen


def test_several_addresses_are_one_person() -> None:
    scan = logscan.read(story("double-alias-expansion"), jobs=1)
    trace = next(t for t in traces(scan, find(scan, "sales@example.com")) if len(t.lives) > 2)
    (one, *_), _ = redacted([trace], ["alice@example.com"])
    (two, *_), _ = redacted([trace], ["<Alice@example.com>", "bob@example.com"])
    assert len(two.lives) > len(one.lives)


def test_the_command_hides_and_says_on_stderr_what_it_left_out(run: Run) -> None:
    folder = story("double-alias-expansion")
    done = run("trace", "sales@example.com", folder, "--for", "alice@example.com", "-v")
    assert done.returncode == 0
    assert f"from {HIDDEN}" in done.stdout
    assert f"nrcpt={HIDDEN}" in done.stdout
    assert "bob@example.com" not in done.stdout
    none = run("trace", "sales@example.com", folder, "--for", "somebody@example.net")
    assert "no mail of somebody@example.net" in none.stdout
    assert "left out: " in none.stderr
    assert (
        json.loads(run("trace", "sales@example.com", folder, "--for", "somebody@example.net", "-f", "json").stdout)
        == []
    )
