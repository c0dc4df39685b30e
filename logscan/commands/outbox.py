"""The outbox: mails that wait are sent from the bytes that were kept, and what doesn't get out is said and kept.

A mail is sent, then marked sent. Killed in between, the next run sends the same bytes again: exactly once is more than mail
can do, but the Message-ID tells the second for what it is. There is one mail for each recipient: what one of them refuses is
not sent again to the others.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from email.policy import default
from functools import partial
from typing import TYPE_CHECKING, Protocol

from logscan.amounts import plural
from logscan.commands.mailing import Envelope, MailError, Server, deliver
from logscan.store.model import Outgoing, Waiting
from logscan.store.places import StateError
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.commands.mail_options import Mailing
    from logscan.report.model import Report

NOT_SENT = 4
"""The exit status of a run whose mail waits."""

MOST_AT_ONCE = 8
"""Mails of earlier runs that one run sends beside its own: a week of reports. After a long outage the newest come first, older
ones with the next runs, so that nobody finds a hundred of them in the morning and none is lost."""

TRIES = 3
PATIENCE = 2 * 86400 * 10**9
"""A mail that was refused for good so often, and is older than this many ns, is given up: an address that was mistyped in the
settings can be mended meanwhile, and a server that refuses everybody for a night is no reason."""

LONGEST = 600.0
"""Seconds after which no further mail is begun: a server that never answers must not keep the analysis from its turn."""

GIVEN_UP = "given up after "
_REFUSED = re.compile(r"refused (\d{1,6}) times?: ")

RECENT = 7 * 86400 * 10**9
"""A mail that was given up is told of for a week, in ns."""


class Outbox(Protocol):
    """What of the state is used here; times are UTC ns."""

    def outbox(self) -> Sequence[Waiting]:
        """Return the mails that wait, the oldest first."""

    def sent(self, number: int, at: int) -> None:
        """Mark a mail sent."""

    def failed(self, number: int, why: str) -> None:
        """Count an attempt and keep what it came to."""


def flush(state: Outbox, server: Server, *, now: int, say: Callable[[str], None], sender: str = "") -> int:
    """Send what waits; returns 0, or 4 where a mail waits on or was given up, which is said.

    ``sender`` is the envelope's where a mail has none with a domain: it was made for sendmail, and ``server`` is another.
    """
    try:
        waiting = [each for each in state.outbox() if not each.error.startswith(GIVEN_UP)]
    except StateError as error:
        say(f"the outbox can't be read, so that nothing is sent: {error}")
        return NOT_SENT
    newest = max((each.run for each in waiting), default=0)
    before = [each for each in waiting if each.run < newest]
    older = before[:-MOST_AT_ONCE]
    chosen = [*before[-MOST_AT_ONCE:], *(each for each in waiting if each.run == newest)]
    end = time.monotonic() + LONGEST
    left, status = 0, 0
    for at, each in enumerate(chosen):
        if time.monotonic() > end:
            left += len(chosen) - at
            say(f"{plural(len(chosen) - at, 'mail')} not tried: those before took longer than {LONGEST / 60:g} minutes")
            break
        refused = _delivered(each, server, sender)
        if refused is None:
            _marked(partial(state.sent, each.number, now), say)
            continue
        status = NOT_SENT
        why = _judged(each, refused, now)
        _marked(partial(state.failed, each.number, why), say)
        say(f"{_named(each)} was not sent: {why}")
        left += not why.startswith(GIVEN_UP)
        if refused.about == "way":
            left += len(chosen) - at - 1
            break
    if left:
        status = NOT_SENT
        say(f"{plural(left + len(older), 'mail')} {'waits' if left + len(older) == 1 else 'wait'} in the outbox: the next "
            "run tries again")  # fmt: skip
    elif older:
        say(f"{plural(len(older), 'older mail')} of a time when mail didn't get out will be sent by the next runs, "
            f"{MOST_AT_ONCE} at a time")  # fmt: skip
    return status


def _delivered(waiting: Waiting, server: Server, sender: str) -> MailError | None:
    mail = waiting.mail
    own = sender_of(mail.content)
    try:
        deliver(mail.content, Envelope(own if "@" in own else sender or own, mail.recipients), server)
    except MailError as error:
        return error
    return None


def _marked(mark: Callable[[], None], say: Callable[[str], None]) -> None:
    """Tell the state; where it can't be told (a full disk), the other mails are sent all the same."""
    try:
        mark()
    except (StateError, OSError) as error:
        say(f"what became of a mail can't be kept, so that it may be sent again: {error}")


def _judged(waiting: Waiting, error: MailError, now: int) -> str:
    """Return what the attempt came to, as it is kept; the count of refusals stands in it."""
    why = visible(str(error), 600)
    if error.about != "final":
        return why
    before = _REFUSED.match(waiting.error)
    count = (int(before[1]) if before else 0) + 1
    if count >= TRIES and now - waiting.made >= PATIENCE:
        return f"{GIVEN_UP}{plural(count, 'refusal')}: {why}"
    return f"refused {plural(count, 'time')}: {why}"


def _named(waiting: Waiting) -> str:
    return f"the mail of {_day(waiting.made)} (run {waiting.run}) to {_to(waiting)}"


def _to(waiting: Waiting) -> str:
    return visible(", ".join(waiting.mail.recipients), 200)


def _day(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC).astimezone():%Y-%m-%d}"


def troubles(state: Outbox, *, now: int) -> list[str]:
    """Return what the next report says of mails that did not get out: a sentence for each recipient and outcome.

    Call it after :func:`flush`; what was given up is told of for a week.
    """
    found: dict[tuple[bool, str], list[Waiting]] = {}
    for each in state.outbox():
        lost = each.error.startswith(GIVEN_UP)
        if each.error and not (lost and now - each.made > RECENT):
            found.setdefault((lost, _to(each)), []).append(each)
    return [
        f"{plural(len(some), 'mail')} to {to}, from {_day(some[0].made)} on, "
        + (
            f"{'was' if len(some) == 1 else 'were'} "
            if lost
            else f"{'waits' if len(some) == 1 else 'wait'} to be sent: "
        )
        + visible(some[-1].error, 300)
        for (lost, to), some in sorted(found.items())
    ]


def sender_of(content: bytes) -> str:
    """Return the address in a mail's From, empty where there is none."""
    header = BytesHeaderParser(policy=default).parsebytes(content)["From"]
    return str(header.addresses[0].addr_spec) if header is not None and header.addresses else ""


def outgoing(content: bytes, recipients: Sequence[str]) -> list[Outgoing]:
    """Return one mail for each recipient, alike but for the Message-ID: each of several has one of its own.

    The state knows a mail by it, and a copy that is sent again is one of the same recipient's.
    """
    own = str(BytesHeaderParser(policy=default).parsebytes(content)["Message-ID"])
    if len(recipients) == 1:
        return [Outgoing(own, (recipients[0],), content)]
    found = []
    for each in recipients:
        name, _, host = own.partition("@")
        message_id = f"{name}.{hashlib.sha256(each.encode()).hexdigest()[:8]}@{host}"
        line = b"Message-ID: %s\r\n"
        changed = content.replace(line % own.encode("ascii"), line % message_id.encode("ascii"), 1)
        found.append(Outgoing(message_id, (each,), changed))
    return found


def mail_of(
    report: Report,
    mailing: Mailing,
    *,
    why: str | None,
    number: int,
    new: frozenset[str] | None = None,
    notes: Sequence[str] = (),
) -> list[Outgoing]:
    """Return the mails of a report: none where nobody is to get one, or ``why`` (of :func:`mail_policy.wanted`) is None.

    ``number`` is the report's own; ``notes`` are sentences that stand first, such as :func:`troubles`. Raises RenderError.
    """
    from logscan.rendering.renderers import render
    from logscan.rendering.wording import period_text

    if not mailing.to or why is None:
        return []
    of = f"lines from {period_text(report).replace(' – ', ' to ')}" if report.period.first else "no new line"
    reason = "" if mailing.when == "always" else f" {why}"
    content = render(
        report,
        "email",
        mail_from=mailing.sender,
        mail_to=mailing.to,
        attach_page=mailing.attach_page,
        new=new,
        notes=(f"Report {number}: {of}.{reason}", *notes),
    )
    assert isinstance(content, bytes)
    return outgoing(content, mailing.recipients)


def send_now(mails: Sequence[Outgoing], mailing: Mailing, say: Callable[[str], None]) -> int:
    """Send without an outbox, where the state can't be used; returns 0 or 4. What isn't sent is lost, and said to be."""
    status = 0
    for each in mails:
        try:
            deliver(each.content, Envelope(mailing.bare_sender or "logscan", each.recipients), mailing.server)
        except MailError as error:
            status = NOT_SENT
            say(f"the mail to {visible(', '.join(each.recipients), 200)} was not sent, and no outbox keeps it: {error}")
    return status
