"""One mail is stored more than once in one mailbox.

## What it finds
Mails (message-id and sender) with more than one store in one mailbox, and mails that left for one address outside more
than once; grouped by cause and by the address that doubles.

## Why it matters
People read everything twice, and monitoring mail loses its meaning; the cause is often one missing word in master.cf.

## What the log shows
Two final deliveries of one message-id and sender to one mailbox, told apart by Dovecot's session (which Postfix repeats
in its reply); where the mailbox server names none, each delivery is a copy. A hand-over to the filter, a deferred
attempt, a repeated log line is no delivery, and two replies with one session are one copy.

## What to do
`double-alias-expansion`: aliases are expanded before and after the filter. Merge no_address_mappings into the
re-injection service's receive_override_options (not before a filter that learns per recipient).
`filter-reinjected-twice`: the filter broke off after it had handed some copies back, and Postfix offered the mail again.
`retry-after-lost-reply`: the mail was taken, but the reply got lost: look at what stands between Postfix and the
mailbox, a proxy (spampd, a virus scanner) as well as the mailbox server.
`overlapping-aliases` (one person behind two addresses of the envelope, or a recipient who gets the BCC too),
`by-list-and-directly` (a list's member who was addressed too) and `sender-resent` are by design: notes.

## When it is wrong
Devices that give each mail the same Message-ID: mails of different size are never joined. A user's own rules may copy.
Cyrus drops a second copy without Postfix noticing (duplicatesuppression). Mail with one message-id that comes in more than
five days later is another mail: so long do queues keep what waits.

## When it is blind
When the log holds no final delivery.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking import pairing, went_right
from logscan.checking.check import Check
from logscan.checking.copies import SPEAKERS, lines_at
from logscan.checking.duplicates import CAUSES, HORIZON, SAME_DAY, Copy, Ways, by_other_ways, causes, several
from logscan.checking.predicting import predictions
from logscan.findings import Evidence, Finding, Remedy, Result
from logscan.scan.mended import RELOADS, Ends, Mended, reload_times
from logscan.scan.pasts import with_past
from logscan.tables import cells
from logscan.tables.partials import Partial
from logscan.tables.recent import hashed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

SEVERITY: dict[str, Literal["problem", "warning", "note"]] = {
    "double-alias-expansion": "problem",
    "filter-reinjected-twice": "problem",
    "retry-after-lost-reply": "warning",
    "unknown": "warning",
    "overlapping-aliases": "note",
    "by-list-and-directly": "note",
    "sender-resent": "note",
}

SEVERAL_TIMES = ("by-list-and-directly", "sender-resent")
"""Causes of one mail that came in more than once, so that it has several roots."""

BEYOND = (
    "Mail that came in again is taken for the same mail (duplicate-delivery) where no more than five days lie between."
)

LEFT = (
    "{:,} rows of duplicate-delivery were let go before five days had passed, as no more than {:,} of a kind are kept: "
    "of mail that came in again later, the copies before aren't told."
)

Items = list[tuple[dict[str, Any], list[Copy]]]


def look(window: Window, settings: Settings) -> Partial:
    """Return the copies that may have others, and those that went right."""
    return Partial({**pairing.look(window), RELOADS: reload_times(window)})


def conclude(partial: Partial, log: Log) -> Result:
    """Count the distinct stores of each (message-id, sender, mailbox)."""
    looked_at = partial.count("to_mailboxes") or partial.count("here") or partial.count("beyond")
    result = Result(checked=looked_at, eligible=looked_at)
    result.predictions = predictions(log.settings).get("duplicate-delivery", [])
    if not looked_at:
        result.blind_because.append("no delivery to a mailbox of this server in these logs")
        return result
    if pairing.extent(partial) > HORIZON:
        result.notes.append(BEYOND)
    if left := partial.count("let_go"):
        result.notes.append(LEFT.format(left, pairing.MOST_RECENT))
    partial, old = with_past(partial, log, CHECK.name), pairing.past_rows(log)
    frame = pairing.gathered(partial)
    ways = Ways(partial.frame("chains"))
    found: dict[tuple[str, str], Items] = {}
    for copies in _new(several(pairing.with_unanswered(partial, frame)), old):
        names, subject = causes(ways, copies)
        case = _case(copies, names)
        found.setdefault((names[0], subject or copies[0].mailbox), []).append((case, copies))
    for copies in _new(by_other_ways(frame, partial.frame("listed")), old):
        cause = "by-list-and-directly"
        found.setdefault((cause, copies[0].mailbox), []).append((_case(copies, [cause]), copies))
    mender = _Mender(partial, log)
    for (cause, subject), items in found.items():
        result.findings.append(_finding(log, cause, subject, items, mender))
    result.findings.sort(key=lambda f: (CAUSES.index(f.cause), -f.count, f.subject))
    return result


def _new(found: Iterable[list[Copy]], old: frozenset[int]) -> Iterator[list[Copy]]:
    """Return the copies of which one came in now: those before it alone were told by an earlier run."""
    return (copies for copies in found if not old.issuperset(copy.row for copy in copies))


def _times(copies: list[Copy]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([copy.time for copy in copies])


def _case(copies: list[Copy], names: list[str]) -> dict[str, Any]:
    in_time = [copies[at] for at in np.argsort(_times(copies), kind="stable")]
    return {
        "message_id": copies[0].message_id,
        "mailbox": copies[0].mailbox,
        "copies": len(copies),
        "queue_ids": list({copy.entry: str(copy.queue_id) for copy in in_time}.values()),
        "time": cells.iso(in_time[0].time),
        "causes": names,
    }


def _finding(log: Log, cause: str, subject: str, items: Items, mender: _Mender) -> Finding:
    cases = [case for case, _ in items]
    copies = [copy for _, some in items for copy in some]
    summary = _summary(cause, subject, items)
    mended = mender.mended(subject, copies) if cause == "double-alias-expansion" else None
    # What came in twice is one mail: the cases are about it, not about the times it came in.
    people = {(copy.message_id if cause in SEVERAL_TIMES else copy.root, copy.mailbox) for copy in copies}
    behind = sorted({copy.asked for copy in copies if copy.filtered and copy.asked != copy.recipient})
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{summary}; {mended.words}" if mended else summary,
        severity=SEVERITY[cause],
        confidence="low" if cause == "unknown" else "high",
        count=len(cases),
        cases=cases,
        first=cells.moment(_times(copies).min()),
        last=cells.moment(_times(copies).max()),
        state="mended" if mended else "active",
        remedy=None if mended else mender.remedy(cause, subject, copies),
        evidence=_evidence(log, copies[:6]),
        why=_expanded_twice(log.settings, behind) if cause == "double-alias-expansion" else WHY[cause],
        mails=len({each for each, _ in people}),
        recipients=len(people),
    )


def _summary(cause: str, subject: str, items: Items) -> str:
    """Return what happened, in mails, copies and mailboxes."""
    names = len({case["message_id"] for case, _ in items})
    mailed = ev.mails(names if cause in SEVERAL_TIMES else len({some[0].root for _, some in items}))
    words = {
        "double-alias-expansion": f"{mailed} to {subject}",
        "filter-reinjected-twice": f"{mailed} that came back from the filter ({subject}) twice",
        "retry-after-lost-reply": f"{mailed} offered again after {subject} had taken {'it' if names == 1 else 'them'}",
        "by-list-and-directly": f"{mailed} for {subject} that came by a list or a forward too,",
        "sender-resent": f"{mailed} for {subject} that came in more than once,",
    }.get(cause, f"{mailed} for {subject}")
    most = max(case["copies"] for case, _ in items)
    times = "twice" if all(case["copies"] == 2 for case, _ in items) else f"up to {most} times"
    boxes = {some[0].mailbox for _, some in items if not some[0].outside}
    beyond = {some[0].mailbox for _, some in items if some[0].outside}
    places = [f"stored {times} in {len(boxes)} mailbox{'es' * (len(boxes) != 1)}"] if boxes else []
    if boxes and boxes != {subject}:
        places[0] += f" ({', '.join(sorted(boxes)[:3])}{' …' if len(boxes) > 3 else ''})"
    if beyond:
        who = ", ".join(sorted(beyond)[:3]) + (" …" if len(beyond) > 3 else "")
        places.append(f"sent {times} to {who} outside")
    return f"{words} {' and '.join(places)}"


def _evidence(log: Log, copies: list[Copy]) -> list[Evidence]:
    """Return what broke off, the hand-overs that doubled, the doubled person's own first, and the copies."""
    first = sorted(copies, key=lambda copy: copy.handed != copy.mailbox)

    return ev.merged(
        lines_at(log, (copy.broken for copy in copies)),
        lines_at(log, (copy.told_by for copy in copies)),
        lines_at(log, dict.fromkeys(copy.top for copy in first)),
        lines_at(log, (copy.row for copy in first)),
    )


class _Mender:
    """Tells since when mail to an alias is stored once, or since when the BCC is; what findings share is made once."""

    def __init__(self, partial: Partial, log: Log) -> None:
        self.partial, self.log = partial, log
        self.ends = Ends.of(partial, log)
        self._remedies: dict[str, Remedy | None] = {}

    def remedy(self, cause: str, subject: str, copies: list[Copy]) -> Remedy | None:
        """Return what mends a finding: aliases that double share one cure."""
        key = subject if cause == "retry-after-lost-reply" else cause
        if key not in self._remedies:
            self._remedies[key] = self._remedy(cause, subject, copies)
        return self._remedies[key]

    def _remedy(self, cause: str, subject: str, copies: list[Copy]) -> Remedy | None:
        if cause == "double-alias-expansion":
            return remedies.no_address_mappings_after(self.log.settings)
        if cause == "filter-reinjected-twice":
            return remedies.dspam_one_at_a_time(self.log.settings)
        if cause == "retry-after-lost-reply":
            return Remedy(_lost_reply(self.partial, self.log, subject, copies))
        return None

    @functools.cached_property
    def good(self) -> pd.DataFrame:
        """When it went right, and with which mail."""
        return went_right.joined(self.partial.frame("right_kept"), self.partial.frame("right"))

    def mended(self, subject: str, copies: list[Copy]) -> Mended | None:
        """Return since when it goes right: mail to an alias, else to the mailbox of a BCC."""
        bad = {copy.root for copy in copies}
        last, name = _times(copies).max(), pd.Series([subject], dtype="str")
        names = [went_right.of_alias(name)]
        if subject in {copy.mailbox for copy in copies}:
            names.append(went_right.of_box(name))
        for each in names:
            found = self.ends.mended(last, went_right.times(self.good, each, bad))
            if found is not None:
                return found
        return None


WHY = {
    "filter-reinjected-twice": "The filter broke off after it had handed copies back, and Postfix offered the mail again.",
    "retry-after-lost-reply": "The mail was taken and stored, the reply got lost on its way back, and Postfix tried again.",
    "overlapping-aliases": "One person is reached through several addresses of the envelope, or gets the BCC too: by design.",
    "by-list-and-directly": "The mail was for this person and for a list or a forward that leads to the same mailbox.",
    "sender-resent": "The sender sent the same mail more than once.",
    "unknown": "The log doesn't tell why.",
}


def _expanded_twice(settings: Settings, behind: list[str]) -> str:
    """Return why aliases are expanded twice, and where the configuration at hand contradicts the log."""
    text = "Aliases are expanded before and after the filter"
    if behind:
        text += f" (behind it {', '.join(behind[:3])}{' …' if len(behind) > 3 else ''} once more)"
    entrances = [each for each in settings.filtered() if settings.mapping(each).off]
    back = [each.service for each in settings.reinjection() if settings.mapping(each.service).off]
    for off, where in ((entrances, "before"), (back, "after")):
        fact = settings.mapping(off[0]).fact if off else None
        if fact is not None:
            return (
                f"{text}, says the log; the configuration given has no_address_mappings {where} the filter "
                f"({fact.file}:{fact.line}): it isn't the one that ran then."
            )
    return f"{text}: no_address_mappings stands on neither side."


def _lost_reply(partial: Partial, log: Log, relay: str, copies: list[Copy]) -> str:
    """Return where to look for a reply that got lost: at all that stands between Postfix and the mailbox."""
    bits = 0
    for copy in copies:
        bits |= copy.spoke
    ids = pd.DataFrame({"id": [copy.message_id for copy in copies], "at": [copy.time.value for copy in copies]})
    ids["key"] = hashed(ids["id"].astype("str"))
    others = pairing.recent(partial, "spoke").among(np.unique(ids["key"].to_numpy(np.uint64))).merge(ids, on="key")
    for each in others["spoke"][(others["time"] - others["at"]).abs() <= SAME_DAY].unique().tolist():
        bits |= int(each)
    heard = {name for bit, name in enumerate(SPEAKERS) if bits >> bit & 1}
    heard |= {program for program in log.read.programs if program in SPEAKERS[:-1]}
    named = ", ".join(sorted(heard))
    between = f"{named}, whose lines are in these logs," if named else "a proxy (spampd, a virus scanner)"
    return (
        f"Look at all that stands between Postfix and the mailbox: what answers at {relay}, {between} where it passes "
        "the mail on, and the mailbox server behind it. Their logs, time limits, disks and locks at these times tell whose "
        "reply came late or never; a proxy must wait longer for the mailbox server than that needs, and Postfix longer "
        "for the proxy (lmtp_data_done_timeout)."
    )


def marks(source: str, target: str) -> bool:
    """Whether the filter's mail goes this way into mailboxes."""
    return source.startswith("back:") and target == "store"


CHECK = Check(
    "duplicate-delivery",
    "Mail is stored more than once",
    look=look,
    conclude=conclude,
    settle=pairing.settle,
    remember=pairing.remember,
    causes=CAUSES,
    marks=marks,
    many={
        "double-alias-expansion": "Mail to {n} aliases is stored more than once: they are expanded before and after the filter"
    },
    order=30,
    clear="No mail was stored twice ({checked:delivery|deliveries} looked at)",
    but="but for {noted:mail|mails} by design",
)
