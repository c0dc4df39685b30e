"""Small logs for the tests of checks: lines of a mail's way, and the verdict of one check over a folder of texts."""

from __future__ import annotations

from pathlib import Path

import logscan
from logscan.findings import Result
from logscan.report.model import Report
from logscan.scan.options import Options

FIELD = Path(__file__).parent / "data" / "field"
"""Logs in the shape of what administrators posted."""

DSPAM = "mx[/run/dspam/dspam.sock]"
AMAVIS = "127.0.0.1[127.0.0.1]:10024"
DOVECOT = "mx[private/dovecot-lmtp]"


def checked(name: str, *sources: Path, year: int = 2026, options: Options | None = None) -> tuple[Result, Report]:
    """Return what the check ``name`` says of these sources, and the whole report."""
    scan = logscan.read(*sources, jobs=1, year=year, timezone="UTC", options=options)
    report = logscan.analyse(scan, checks=[name])
    return report.checks[0], report


def at(second: float) -> str:
    """Return the stamp of a second of 10 January 2026, 10:00, or of a later day (86,400 more)."""
    day, rest = divmod(round(second), 86_400)
    return f"Jan {10 + day:2d} {10 + rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d} mx"


def arrived(
    second: float, queue_id: str, ident: str, nrcpt: int = 1, client: str = "", sender: str = "ann@example.net"
) -> list[str]:
    """Return the lines of a mail that smtpd takes; ``client`` has the rest of the line behind the client's name."""
    who = client or "mx.example.net[192.0.2.25]"
    service = "postfix/smtpd" if not client.startswith("@") else f"postfix/{client[1:].partition(' ')[0]}/smtpd"
    who = who.partition(" ")[2] if client.startswith("@") else who
    return [
        f"{at(second)} {service}[71]: {queue_id}: client={who}",
        f"{at(second)} postfix/cleanup[72]: {queue_id}: message-id=<{ident}>",
        f"{at(second)} postfix/qmgr[70]: {queue_id}: from=<{sender}>, size=2000, nrcpt={nrcpt} (queue active)",
    ]


def sent(
    second: float, queue_id: str, to: str, relay: str, reply: str, asked: str = "", agent: str = "lmtp", pid: int = 80
) -> str:
    """Return the line of a delivery."""
    orig = f"orig_to=<{asked}>, " if asked else ""
    return (
        f"{at(second)} postfix/{agent}[{pid}]: {queue_id}: to=<{to}>, {orig}relay={relay}, delay=1, delays=0.1/0.1/0.1/0.7, "
        f"dsn=2.0.0, status=sent ({reply})"
    )


def stored(second: float, queue_id: str, to: str, session: str, ident: str, asked: str = "") -> list[str]:
    """Return Dovecot's line and Postfix's of a copy in a mailbox."""
    return [
        f"{at(second)} dovecot: lmtp({to})<90><{session}>: msgid=<{ident}>: saved mail to INBOX",
        sent(second, queue_id, to, DOVECOT, f"250 2.0.0 <{to}> {session} Saved", asked),
    ]


def removed(second: float, *queue_ids: str) -> list[str]:
    """Return the lines that end lives."""
    return [f"{at(second)} postfix/qmgr[70]: {queue_id}: removed" for queue_id in queue_ids]


def back(second: float, queue_id: str, ident: str, nrcpt: int = 1) -> list[str]:
    """Return the lines of a mail that the filter hands back."""
    return arrived(second, queue_id, ident, nrcpt, "localhost[127.0.0.1]")


def to_dspam(second: float, queue_id: str, to: str, asked: str = "") -> str:
    """Return the line of a hand-over to DSPAM."""
    return sent(second, queue_id, to, DSPAM, f"250 2.6.0 <{to}> Message accepted for delivery", asked)


def write(folder: Path, **texts: list[str] | str) -> Path:
    """Write texts into a folder: ``mail_log`` becomes mail.log, ``main_cf`` main.cf."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("_", ".", 1)).write_text(text if isinstance(text, str) else "\n".join(text) + "\n")
    return folder


def amavis(second: float, queue_id: str, ident: str, to: str) -> str:
    """Return amavis's line of a clean mail that it hands back as B000001."""
    return (
        f"{at(second)} amavis[4570]: (04570-01) Passed CLEAN {{RelayedInbound}}, [192.0.2.25] <ann@example.net> -> <{to}>, "
        f"Queue-ID: {queue_id}, Message-ID: <{ident}>, mail_id: x, Hits: 1, size: 5, queued_as: B000001, 9 ms"
    )
