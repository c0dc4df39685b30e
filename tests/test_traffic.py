"""The traffic part and the map say what the lines say: counted here once more, line by line, with what really happened."""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

import logscan
from logscan.report.model import Report
from logscan.samples import story

STORIES = (
    "mixed-day",
    "healthy",
    "amavis-healthy",
    "authenticated-port-25",
    "outgoing-tagged-spam",
    "rspamd-outgoing-tagged-spam",
    "double-alias-expansion",
)
WITH_DSPAM = tuple(name for name in STORIES if "amavis" not in name and "rspamd" not in name)
LINE = re.compile(r"(\w{3} [ \d]\d \d\d:\d\d:\d\d|2026\S+) \S+ (postfix/\S+?)\[\d+\]: ([0-9A-F]{6,}): (.*)")
SENT = re.compile(r"to=<([^>]*)>,(?: orig_to=<([^>]*)>,)? relay=([^,]*),.* status=(\w+) \((.*)\)$")
FILTER = re.compile(r"dspam\.sock|:10024$")


@functools.cache
def report(name: str) -> Report:
    return logscan.analyse(logscan.read(story(name)))


@functools.cache
def truth(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((story(name) / "truth.json").read_text())
    return found


def lines(name: str) -> Iterator[tuple[datetime, str, str, str]]:
    """Return (time, tag, queue ID, text) of Postfix's lines that tell a queue ID, oldest first."""
    for line in text_of(name).splitlines():
        if found := LINE.match(line):
            yield stamp(found[1]), found[2], found[3], found[4]


def text_of(name: str) -> str:
    files = sorted(story(name).glob("mail.log*"), reverse=True)
    return "".join(
        (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).decode() for file in files
    )


def stamp(text: str) -> datetime:
    if text.startswith("2026"):
        return datetime.fromisoformat(text)
    return datetime.strptime(f"2026 {text}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)


class End(NamedTuple):
    """Where a recipient is at last, and when a line said so."""

    time: datetime
    queue_id: str
    to: str
    place: str


class Told(NamedTuple):
    """What the lines of a story tell."""

    opened: dict[str, tuple[datetime, str, str]]
    """By queue ID: when, the tag and the text of the line that opened it."""
    ends: list[End]
    parent: dict[str, tuple[str, str]]
    """By queue ID, which one it came out of, and how."""
    relay: dict[str, str]
    """By queue ID, the filter that it was handed to."""
    put_off: list[tuple[datetime, bool]]
    """Attempts put off, whether for this server's own services."""


@functools.cache
def message_ids(name: str) -> dict[str, str]:
    """Return the message-id by queue ID."""
    return {queue_id: text[12:-1] for _, _, queue_id, text in lines(name) if text.startswith("message-id=")}


@functools.cache
def told(name: str) -> Told:
    ids = message_ids(name)
    opened: dict[str, tuple[datetime, str, str]] = {}
    waiting: dict[tuple[str, str, str], End] = {}
    ends: list[End] = []
    relay, put_off = {}, []
    for at, tag, queue_id, text in lines(name):
        if queue_id not in opened:
            opened[queue_id] = at, tag.removeprefix("postfix/"), text
        if "status=expired" in text:
            late = [key for key in waiting if key[0] == queue_id]
            ends += [waiting.pop(key)._replace(place="expired") for key in late]
        if not (found := SENT.match(text)):
            continue
        to, alias, hop, status, reply = found.groups()
        if status == "deferred":
            here = ("[" in hop and "/" in hop) or ":10024" in hop
            put_off.append((at, here or "mx1.example.com[" in reply))
        waiting.pop((queue_id, to, alias), None)
        if FILTER.search(hop):
            relay[queue_id] = hop
            if status == "sent":
                continue
        if status == "deferred":
            waiting[queue_id, to, alias] = End(at, queue_id, to, "waiting")
        elif not reply.startswith("forwarded as"):
            place = "bounced" if status == "bounced" else "outside" if ":25" in hop else "store"
            ends.append(End(at, queue_id, to, place))
    parent = {hop["after"]: (hop["before"], hop["kind"]) for hop in truth(name)["filter_hops"]}
    # Truth follows what somebody received: what bounced behind the filter is told by its message-id.
    handed = {ids[queue_id]: queue_id for queue_id in reversed(relay)}
    for queue_id, (_, _, text) in opened.items():
        if "client=localhost" in text and queue_id not in relay and ids.get(queue_id) in handed:
            parent.setdefault(queue_id, (handed[ids[queue_id]], "reinjection"))
    return Told(opened, [*ends, *waiting.values()], parent, relay, put_off)


def root(name: str, queue_id: str) -> str:
    while queue_id in told(name).parent:
        queue_id = told(name).parent[queue_id][0]
    return queue_id


def ways(name: str, end: End) -> list[str]:
    """Return the places that a recipient's mail passed, from the last to the first."""
    all_of, at, out = told(name), end.queue_id, [end.place]
    while at in all_of.parent:
        before, kind = all_of.parent[at]
        if kind == "reinjection":
            out += ["back:postfix/smtpd", f"filter:{all_of.relay[before]}"]
        else:
            out.append("forward:local")
        at = before
    _, tag, text = all_of.opened[at]
    if "uid=" in text:
        return [*out, "listener:pickup", "source:programs"]
    if "sasl_username=" in text:
        return [*out, f"listener:postfix/{tag}{'' if 'submission' in tag else ':login'}", "source:users"]
    if "client=localhost" in text:
        return [*out, f"listener:postfix/{tag}:local", "source:programs"]
    return [*out, *([f"listener:postfix/{tag}", "source:strangers"] if "client=" in text else ["source:postfix"])]


def refused(name: str) -> int:
    return len(re.findall(r": (?:NOQUEUE|[0-9A-F]{6,}): reject: RCPT from", text_of(name)))


@pytest.mark.parametrize("name", STORIES)
def test_each_edge_of_the_map_has_the_recipients_and_mails_of_the_lines(name: str) -> None:
    recipients: Counter[tuple[str, str]] = Counter()
    mails = defaultdict(set)
    for end in told(name).ends:
        places = ways(name, end)
        for target, source in pairwise(places):
            recipients[source, target] += 1
            mails[source, target].add(root(name, end.queue_id))
    if count := refused(name):
        recipients["source:strangers", "listener:postfix/smtpd"] += count
        recipients["listener:postfix/smtpd", "refused"] += count
    found = {(edge.source, edge.target): (edge.count, edge.mails) for edge in report(name).flow.edges}
    assert found == {edge: (count, len(mails[edge])) for edge, count in recipients.items()}


def buckets(name: str, times: list[datetime]) -> tuple[int, ...]:
    """Return how many times lie in each five minutes of the day, from the first line's on."""
    of_report = report(name)
    assert of_report.traffic.step == 5
    assert of_report.period.first
    assert of_report.period.last
    first, last = (int(at.timestamp()) // 300 for at in (of_report.period.first, of_report.period.last))
    found = Counter(int(at.timestamp()) // 300 for at in times)
    assert of_report.traffic.hours == tuple(datetime.fromtimestamp(at * 300, UTC) for at in range(first, last + 1))
    return tuple(found[at] for at in range(first, last + 1))


def series(some: Any) -> dict[str, tuple[int, ...]]:
    return {each.name: each.values for each in some if any(each.values)}


@pytest.mark.parametrize("name", STORIES)
def test_mails_by_direction_lie_where_their_first_lines_do(name: str) -> None:
    sent = {send["message_id"].strip("<>"): send for send in truth(name)["sends"] if send.get("message_id")}
    sent |= {send["first_queue_id"]: send for send in truth(name)["sends"] if send.get("first_queue_id")}
    domains = {*truth(name)["local_domains"], truth(name)["host"]}
    queued = {queue_id for _, _, queue_id, text in lines(name) if "(queue active)" in text}
    times = defaultdict(list)
    for queue_id, (at, _, _) in told(name).opened.items():
        # What broke off was never queued.
        if queue_id in told(name).parent or queue_id not in queued:
            continue
        send = sent.get(queue_id) or sent.get(message_ids(name)[queue_id])
        if send is None:
            times["generated"].append(at)
        else:
            here = all(to.rpartition("@")[2] in domains or "@" not in to for to in send["rcpts"])
            times["inbound" if send["via"] == "smtp25" else "internal" if here else "outbound"].append(at)
    assert series(report(name).traffic.by_direction) == {kind: buckets(name, some) for kind, some in times.items()}
    assert sum(map(len, times.values())) == report(name).mails["total"]


@pytest.mark.parametrize("name", WITH_DSPAM)
def test_tagged_mail_lies_where_its_recipients_got_it(name: str) -> None:
    judged: dict[tuple[str, str], str] = {}
    for copy in [*truth(name)["deliveries"], *truth(name)["external_deliveries"]]:
        result = (copy.get("dspam_result") or [""])[0]
        for to in [copy["mailbox"]] if "mailbox" in copy else copy.get("rcpts", []):
            # Postfix delivers to Alice+news@, the mailbox is alice@.
            judged[copy["postfix_hops"][-1]["queue_id"], to] = result
    times = defaultdict(list)
    origins: Counter[tuple[str, bool]] = Counter()
    words = {"strangers": "from outside", "users": "users with a login", "programs": "programs on this host"}
    for end in told(name).ends:
        if end.place not in ("store", "outside"):
            continue
        result = judged.get((end.queue_id, re.sub(r"\+[^@]*", "", end.to.lower())), "")
        times[{"": "no verdict", "Spam": "tagged"}.get(result, "untagged")].append(end.time)
        if result:
            origins[words[ways(name, end)[-1].removeprefix("source:")], result == "Spam"] += 1
    traffic = report(name).traffic
    assert series(traffic.tagged) == {kind: buckets(name, some) for kind, some in times.items()}
    assert {
        (who, spam): n for who, yes, no in traffic.tagged_by_origin for spam, n in ((True, yes), (False, no)) if n
    } == (origins)


@pytest.mark.parametrize("name", STORIES)
def test_attempts_put_off_lie_where_their_lines_do(name: str) -> None:
    times = defaultdict(list)
    for at, here in told(name).put_off:
        times["at this server's own services" if here else "at other hosts"].append(at)
    assert series(report(name).traffic.put_off) == {kind: buckets(name, some) for kind, some in times.items()}


def test_cases_lie_where_they_happened() -> None:
    case_times: defaultdict[str, list[datetime]] = defaultdict(list)
    for check in report("mixed-day").checks:
        for finding in check.findings:
            if finding.severity != "note":
                case_times[check.name] += [datetime.fromisoformat(case["time"]) for case in finding.cases]
    found = series(report("mixed-day").traffic.findings)
    assert found == {name: buckets("mixed-day", times) for name, times in case_times.items()}
    logins = [at for at, tag, _, text in lines("mixed-day") if tag == "postfix/smtpd" and "sasl_username=" in text]
    assert found["authenticated-port-25"] == buckets("mixed-day", logins)


# -- the axis ----------------------------------------------------------------------------------------------------------


def spaced(folder: Path, first: datetime, every: timedelta, count: int) -> Path:
    """Write a log of mails from outside, one each so often."""
    out = []
    for number in range(count):
        at, queue_id = (first + every * number).isoformat(), f"{number + 0xA000000000:X}"
        for tag, text in (
            ("smtpd", "client=a.example.org[192.0.2.1]"),
            ("cleanup", f"message-id=<{number}@example.org>"),
            ("qmgr", "from=<a@example.org>, size=100, nrcpt=1 (queue active)"),
            ("virtual", "to=<b@example.com>, relay=virtual, delay=0.1, dsn=2.0.0, status=sent (delivered to maildir)"),
            ("qmgr", "removed"),
        ):
            out.append(f"{at} mx postfix/{tag}[1]: {queue_id}: {text}\n")
    file = folder / "mail.log"
    file.write_text("".join(out))
    return file


@pytest.mark.parametrize(
    ("zone", "every", "count", "step"),
    [
        ("Asia/Kathmandu", timedelta(minutes=7), 20, 5),
        ("Europe/Berlin", timedelta(minutes=50), 45, 15),
        ("Asia/Kathmandu", timedelta(minutes=50), 150, 60),
        ("Europe/Berlin", timedelta(minutes=100), 250, 180),
        ("Asia/Kolkata", timedelta(hours=5), 190, 360),
        ("Asia/Kathmandu", timedelta(hours=20), 170, 1440),
        ("America/New_York", timedelta(days=3), 130, 10080),
    ],
)
def test_the_axis_has_as_few_steps_as_a_chart_needs_and_begins_with_the_servers_day(
    tmp_path: Path, zone: str, every: timedelta, count: int, step: int
) -> None:
    first = datetime(2026, 2, 20, 21, 3, 7, tzinfo=UTC).astimezone(ZoneInfo(zone))
    found = logscan.analyse(logscan.read(spaced(tmp_path, first, every, count), timezone=zone)).traffic
    midnight = first.replace(hour=0, minute=0, second=0)
    start = midnight.astimezone(UTC) + timedelta(minutes=step) * ((first - midnight) // timedelta(minutes=step))
    expected = Counter((first.astimezone(UTC) + every * at - start) // timedelta(minutes=step) for at in range(count))
    assert found.step == step
    assert found.hours == tuple(start + timedelta(minutes=step) * at for at in range(max(expected) + 1))
    assert {at.utcoffset() for at in found.hours} <= {at.astimezone(ZoneInfo(zone)).utcoffset() for at in found.hours}
    values = tuple(expected[at] for at in range(len(found.hours)))
    assert series(found.by_direction) == {"inbound": values}
    assert series(found.tagged) == {"no verdict": values}
