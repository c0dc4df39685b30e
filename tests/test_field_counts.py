"""The traffic part against counts made from the raw lines of genuine logs, by other means: a line at a time, with re."""

from __future__ import annotations

import functools
import gzip
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest

import logscan
from logscan.report.model import Report
from logscan.samples import story

STORIES = ("mixed-day", "healthy", "rspamd-healthy", "amavis-healthy", "outgoing-tagged-spam", "dspam-crash")
COPIES = {"dspam-crash": 10}
"""Further copies for the same recipients of a mail: the filter broke off after handing mail back, and Postfix tried again."""

FILTERS = ("/var/run/dspam/dspam.sock", "127.0.0.1[127.0.0.1]:10024")


@functools.cache
def report_of(name: str) -> Report:
    return logscan.analyse(logscan.read(story(name), jobs=1))


@functools.cache
def lines_of(name: str) -> tuple[str, ...]:
    """All lines of a story's mail log, the oldest first."""
    lines: list[str] = []
    for path in sorted(story(name).glob("mail.log*"), key=lambda path: path.name, reverse=True):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines += data.decode("utf-8", "replace").splitlines()
    return tuple(lines)


def matches(name: str, pattern: str) -> list[re.Match[str]]:
    return [found for line in lines_of(name) if (found := re.search(pattern, line))]


def rows(name: str, key: str) -> list[dict[str, Any]]:
    for listing in report_of(name).traffic.listings:
        if listing.key == key:
            assert listing.total == len(listing.rows)
            return [dict(zip(listing.columns, row, strict=True)) for row in listing.rows]
    return []


def bands(name: str) -> tuple[Counter[str], Counter[str]]:
    """What enters and what leaves each place of the map."""
    entering: Counter[str] = Counter()
    leaving: Counter[str] = Counter()
    for edge in report_of(name).flow.edges:
        entering[edge.target] += edge.count
        leaving[edge.source] += edge.count
    return entering, leaving


def sent(name: str) -> list[re.Match[str]]:
    """Deliveries that are an end: not into the filter, not made into a new mail, not thrown away."""
    pattern = r"/\w+\[\d+\]: (?P<id>\w+): to=<.* relay=(?P<relay>[^,]+),.* status=sent \((?P<reply>.*)\)"
    found = matches(name, pattern)
    return [
        each for each in found
        if not any(name in each["relay"] for name in FILTERS)
        and not each["reply"].startswith("forwarded as ") and "discarded" not in each["reply"]
    ]  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_deliveries_by_next_hop(name: str) -> None:
    counted = Counter(each["relay"] for each in sent(name))
    assert {row["next hop"]: row["deliveries"] for row in rows(name, "relays")} == counted
    again = COPIES.get(name, 0)
    assert report_of(name).mails["delivered"] == sum(counted.values()) - again
    entering, _ = bands(name)
    inside = sum(count for relay, count in counted.items() if "dovecot-lmtp" in relay)
    assert entering["store"] == inside - again
    assert entering["outside"] == sum(counted.values()) - inside


@pytest.mark.parametrize("name", STORIES)
def test_stores_by_folder(name: str) -> None:
    counted = Counter(
        each["folder"]
        for each in matches(name, r"lmtp\(.*(?:saved mail to|stored mail into mailbox) '?(?P<folder>[^']+?)'?$")
    )
    assert {row["folder"]: row["stores"] for row in rows(name, "folders")} == counted
    sessions = [re.search(r"> (\S+) Saved$", each["reply"]) for each in sent(name)]
    # One person behind two addresses of a transaction is stored once, and both replies name the same session.
    assert len({each[1] for each in sessions if each}) == sum(counted.values())


@pytest.mark.parametrize("name", STORIES)
def test_refusals(name: str) -> None:
    refused = matches(name, r"/smtpd\[\d+\]: \w+: reject: (?P<stage>\w+) from ")
    assert sum(row["times"] for row in rows(name, "rejects")) == len(refused)
    by_stage: Counter[str] = Counter()
    for row in rows(name, "rejects"):
        by_stage[row["stage"]] += row["times"]
    assert by_stage == Counter(each["stage"] for each in refused)
    entering, _ = bands(name)
    assert entering["refused"] == report_of(name).mails["rejected"] == sum(each["stage"] == "RCPT" for each in refused)


def stamp(line: str) -> datetime:
    """A line's time, traditional or ISO; these logs are in UTC."""
    if line[0].isdigit():
        return datetime.fromisoformat(line.split(" ", 1)[0])
    return datetime.strptime(f"2026 {line[:15]}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)


def begun(name: str) -> dict[str, list[tuple[str, datetime]]]:
    """Queue IDs that smtpd or pickup opened and qmgr took, with their times, by who handed them in.

    What comes from 127.0.0.1 is either a script's or the filter's, which this doesn't tell apart.
    """
    taken = {each["id"] for each in matches(name, r"/qmgr\[\d+\]: (?P<id>\w+): from=<")}
    taken |= {each["id"] for each in matches(name, r"/\w+\[\d+\]: (?P<id>\w+): to=<")}
    out: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for line in lines_of(name):
        if found := re.search(r"/smtpd\[\d+\]: (\w+): client=[^\[]*\[([^\]]*)\](.*)", line):
            who = (
                "users" if "sasl_username=" in found[3] else "loopback" if found[2].startswith("127.") else "strangers"
            )
        elif found := re.search(r"/pickup\[\d+\]: (\w+): uid=", line):
            who = "pickup"
        else:
            continue
        if found[1] in taken:
            out[who].append((found[1], stamp(line)))
    return out


@pytest.mark.parametrize("name", STORIES)
def test_mails_by_who_handed_them_in(name: str) -> None:
    counted = begun(name)
    origins: Counter[str] = Counter()
    for row in rows(name, "entrances"):
        origins[row["origin"]] += row["mails"]
    assert origins["outside"] == len(counted["strangers"])
    assert origins["authenticated"] == len(counted["users"])
    by_service = {row["service"]: row["mails"] for row in rows(name, "entrances") if row["method"]}
    logins = matches(
        name, r"(?P<service>postfix[\w/]*)/smtpd\[\d+\]: (?P<id>\w+): client=.*sasl_method=(?P<method>\w+)"
    )
    taken = {identity for identity, _ in counted["users"]}
    assert by_service == Counter(each["service"] for each in logins if each["id"] in taken)


@pytest.mark.parametrize("name", STORIES)
def test_what_aliases_forward_belongs_to_the_mail_it_came_from(name: str) -> None:
    report = report_of(name)
    made = matches(name, r"status=sent \(forwarded as \w+\)$")
    assert report.mails["opened_before"] == 0, "these logs begin with the server's start"
    edges = [edge for edge in report.flow.edges if edge.target == "forward:local"]
    assert sum(edge.mails for edge in edges) == len(made)
    assert not [edge for edge in report.flow.edges if edge.target == "open"]


@pytest.mark.parametrize("name", STORIES)
def test_inbound_mail_by_bucket(name: str) -> None:
    report = report_of(name)
    traffic = report.traffic
    (inbound,) = [each for each in traffic.by_direction if each.name == "inbound"]
    counted = [0] * len(traffic.hours)
    for _, at in begun(name)["strangers"]:
        place = max(i for i, start in enumerate(traffic.hours) if start <= at)
        assert (at - traffic.hours[place]).total_seconds() < 60 * traffic.step
        counted[place] += 1
    assert list(inbound.values) == counted
    assert len({*counted}) > 1 or name not in ("mixed-day", "dspam-crash"), "these last for hours"


@pytest.mark.parametrize("name", STORIES)
def test_what_was_put_off(name: str) -> None:
    late = matches(name, r": (?P<id>\w+): to=<(?P<to>[^>]*)>,.* status=deferred \((?P<reply>.*)\)$")
    assert report_of(name).mails["deferrals"] == len(late)
    assert sum(row["attempts"] for row in rows(name, "put-off-reasons")) == len(late)
    ended = {row["how it ended"]: row for row in rows(name, "put-off")}
    if not late:
        assert not ended
        return
    whole = ended.pop("in all")
    assert whole["attempts put off"] == len(late)
    assert whole["recipients"] == len({(each["id"], each["to"]) for each in late if "orig_to" not in each[0]} | {
        (each["id"], each["to"], re.search(r"orig_to=<([^>]*)>", each[0])[1]) for each in late if "orig_to" in each[0]  # type: ignore[index]
    })  # fmt: skip
    gave_up = {each["id"] for each in matches(name, r": (?P<id>\w+): from=<[^>]*>, status=expired")}
    expired = ended.get("expired, returned to its sender", {"recipients": 0})
    assert expired["recipients"] == len({(each["id"], each["to"]) for each in late if each["id"] in gave_up})
    assert report_of(name).mails["expired"] == expired["recipients"]
    series = report_of(name).traffic.put_off
    assert sum(sum(each.values) for each in series) == len(late)


@pytest.mark.parametrize("name", STORIES)
def test_bounces_and_notices(name: str) -> None:
    bounced = matches(name, r": to=<.* status=bounced ")
    entering, leaving = bands(name)
    assert entering["bounced"] == report_of(name).mails["bounced"] == len(bounced)
    notices = Counter(each["kind"] for each in matches(name, r"/bounce\[\d+\]: \w+: (?P<kind>.*?) notification: \w+$"))
    assert {row["notice"]: row["times"] for row in rows(name, "notifications")} == notices
    assert leaving["source:postfix"] == report_of(name).mails["generated"] == sum(notices.values())


@pytest.mark.parametrize("name", STORIES)
def test_sessions_logins_and_tls(name: str) -> None:
    told = {(row["program"], row["event"]): row["times"] for row in rows(name, "sessions")}
    assert told[("smtpd", "connect")] == len(matches(name, r"/smtpd\[\d+\]: connect from "))
    assert told.get(("smtpd", "tls"), 0) == len(matches(name, r"/smtpd\[\d+\]: .*TLS connection established from "))
    good = Counter(each["user"] for each in matches(name, r"imap-login: (?:Info: )?Login: user=<(?P<user>[^>]+)>"))
    assert {row["user"]: row["logins"] for row in rows(name, "logins") if row["logins"]} == good
    submitted = [row for row in rows(name, "tls-in") if row["service"] == "postfix/submission"]
    assert sum(row["mails"] for row in submitted) == sum(
        row["mails"] for row in rows(name, "entrances") if row["service"] == "postfix/submission"
    )


@pytest.mark.parametrize("name", STORIES)
def test_bytes_by_sender(name: str) -> None:
    whose = {identity for who in ("strangers", "users", "pickup") for identity, _ in begun(name)[who]}
    sizes: dict[str, tuple[str, int]] = {}
    for each in matches(name, r"/qmgr\[\d+\]: (?P<id>\w+): from=<(?P<from>[^>]*)>, size=(?P<size>\d+)"):
        if each["id"] in whose:
            sizes.setdefault(each["id"], (each["from"], int(each["size"])))
    volume: Counter[str] = Counter()
    for sender, size in sizes.values():
        volume[sender or "<>"] += size
    own = {domain for each in sizes.values() if each[0] for domain in [each[0].rpartition("@")[2]]}
    told = {row["sender"]: row["bytes"] for row in rows(name, "senders")}
    strangers = {sizes[identity][0] for identity, _ in begun(name)["strangers"] if identity in sizes} - {""}
    assert own
    assert strangers
    assert {sender: told[sender] for sender in strangers} == {sender: volume[sender] for sender in strangers}


def test_delays_end_to_end_of_a_mail_that_waited_in_front_of_the_filter() -> None:
    """The last queue ID's own ``delay=`` would say a second where the mail took ten minutes."""
    (longest,) = [row["longest"] for row in rows("mixed-day", "delays") if row["part"] == "in all"]
    handed = matches("mixed-day", r"dspam.sock\], (?:conn_use=\d+, )?delay=(?P<delay>[\d.]+), .*status=sent")
    whole = max(float(each["delay"]) for each in handed)
    # Its mailbox had it before the filter had answered for the other recipients.
    assert whole > longest > 0.95 * whole > 500
    slowest = rows("mixed-day", "slowest")
    assert slowest[0]["seconds"] == longest
    assert "dspam.sock" in slowest[0]["put off for"]
    assert [row["seconds"] for row in slowest] == sorted((row["seconds"] for row in slowest), reverse=True)
