"""The mail of ``logscan daily``: it comes, or it is said why not; nothing that fails is silent."""

from __future__ import annotations

import email
import email.policy
import json
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from conftest import Run
from test_outbox import Sink, free_port

from logscan.pipeline.daily import Daily
from logscan.store.model import Outgoing
from logscan.store.state import State, StateError

HEAD = "Nov 22 19:0{n}:20 mx1 postfix/"
LINES = (
    "smtpd[81]: connect from mail.example.org[192.0.2.9]",
    "smtpd[81]: 4A97F54A7D{n}: client=mail.example.org[192.0.2.9]",
    "cleanup[82]: 4A97F54A7D{n}: message-id=<{n}@example.org>",
    "qmgr[83]: 4A97F54A7D{n}: from=<ann@example.org>, size=500, nrcpt=1 (queue active)",
    "virtual[84]: 4A97F54A7D{n}: to=<bob@example.com>, relay=virtual, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent "
    "(delivered to maildir)",
    "qmgr[83]: 4A97F54A7D{n}: removed",
    "smtpd[81]: disconnect from mail.example.org[192.0.2.9] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
)


class Host:
    """A log, a state, and a mail server that can be shut."""

    def __init__(self, folder: Path, run: Run, sink: Sink, port: int) -> None:
        self.folder, self.sink, self.port, self._run = folder, sink, port, run
        self.log, self.state = folder / "mail.log", folder / "state"
        self.log.write_text("")
        self._mails = 0
        self.heard = folder / "heard.json"
        command = folder / "tell"
        command.write_text(
            f"#!{sys.executable}\nimport json, os, sys\nsaid = {{k: v for k, v in os.environ.items() if 'LOGSCAN_' in k}}\n"
            f"json.dump([said, sys.stdin.read()], open({str(self.heard)!r}, 'w'))\n"
        )
        command.chmod(0o755)
        self.command = str(command)

    def write(self) -> None:
        """Let one more mail come in."""
        self._mails += 1
        with self.log.open("a") as file:
            file.writelines(f"{HEAD}{line}\n".replace("{n}", str(self._mails)) for line in LINES)

    def daily(self, *options: str, port: int = 0, state: Path | None = None) -> tuple[int, str]:
        """Run; returns the status and what was said."""
        where = ["--state", state or self.state, "--year", "2026", "--quiet"]
        mail = ["--mail-to", "ann@example.com", "--mail-from", "l@example.com", "--notify-command", self.command]
        server = ["--smtp", f"127.0.0.1:{port or self.port}", "--smtp-tls", "none"]
        done = self._run("daily", self.log, *where, *mail, *server, *options)
        return done.returncode, done.stderr

    def mails(self) -> list[EmailMessage]:
        """Return what the server took since it was asked before."""
        found = [
            email.message_from_bytes(each.original_content, policy=email.policy.default) for each in self.sink.taken
        ]
        self.sink.taken.clear()
        return found

    def told(self) -> tuple[dict[str, str], str]:
        """Return what the command heard last."""
        said, text = json.loads(self.heard.read_text())
        self.heard.unlink()
        return said, text

    def outbox(self) -> list[Outgoing]:
        with State.open(self.state) as state:
            return [each.mail for each in state.outbox()]


@pytest.fixture
def host(tmp_path: Path, run: Run) -> Iterator[Host]:
    sink, port = Sink(), free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    yield Host(tmp_path, run, sink, port)
    controller.stop()


def words(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return " ".join(part.get_content().split())


def test_each_run_mails_its_report_and_tells_the_command(host: Host) -> None:
    host.write()
    assert host.daily() == (0, "")
    (first,) = host.mails()
    assert "Report 1: lines from 22 Nov 2026 19:01 to 19:01." in words(first)
    said, text = host.told()
    assert (said["LOGSCAN_MAIL"], said["LOGSCAN_RUN"], said["LOGSCAN_HOST"]) == ("sent", "1", "mx1")
    assert "of 7 lines understood" in text
    host.write()
    assert host.daily() == (0, "")
    (second,) = host.mails()
    assert "Report 2: lines from 22 Nov 2026 19:02 to 19:02." in words(second)
    assert first["Message-ID"] != second["Message-ID"]


def test_without_news_nothing_is_mailed_but_the_first(host: Host) -> None:
    host.write()
    host.daily("--mail-when", "news")
    (first,) = host.mails()
    assert "The first mail: it shows that mail from here arrives." in words(first)
    host.write()
    assert host.daily("--mail-when", "news") == (0, "")
    assert host.mails() == []
    assert host.told()[0]["LOGSCAN_MAIL"] == "none"


def test_what_did_not_get_out_is_told_and_sent_with_the_next(host: Host) -> None:
    host.write()
    status, said = host.daily(port=free_port())
    assert status == 4
    assert "can't be reached: Connection refused" in said
    assert "1 mail waits in the outbox: the next run tries again" in said
    assert host.told()[0]["LOGSCAN_MAIL"] == "failed"
    (kept,) = host.outbox()
    host.write()
    assert host.daily("--mail-when", "problems") == (0, "")
    first, second = host.mails()
    assert first["Message-ID"] == kept.message_id
    assert "1 mail to ann@example.com, from " in words(second)
    assert "waits to be sent: 127.0.0.1:" in words(second)
    assert "Mailed because of problems: 1 trouble with mail or the state." in words(second)


def test_a_run_made_again_makes_the_same_mail(host: Host) -> None:
    """As after a kill before anything was remembered: there the state is as empty as before."""
    host.write()
    found = []
    for number in range(2):
        host.state = host.folder / f"state-{number}"
        assert host.daily("--no-send") == (0, "")
        found += host.outbox()
    first, second = (each.content.split(b"\r\n") for each in found)
    assert {a.partition(b":")[0] for a, b in zip(first, second, strict=True) if a != b} <= {b"Date"}
    assert host.mails() == []


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no \x1b[31mgood")


@pytest.mark.parametrize("where", ["make", "remember"])
def test_an_analysis_that_fails_is_mailed(host: Host, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    host.write()
    host.daily()
    host.mails()
    monkeypatch.setattr(Daily, "reports" if where == "make" else "blobs", broken)
    host.write()
    status, said = host.daily()
    assert status not in (0, 1)
    assert "\x1b" not in said
    (mail,) = host.mails()
    assert mail["Subject"].endswith(": the analysis FAILED: RuntimeError: no \\x1b[31mgood")
    assert "The last report: run 1, " in words(mail)
    assert "LOGSCAN_TRACEBACK=1 logscan daily " in words(mail)
    told, text = host.told()
    assert (told["LOGSCAN_VERDICT"], told["LOGSCAN_MAIL"]) == ("failed", "sent")
    assert "RuntimeError: no \\x1b[31mgood" in text
    host.daily()
    assert len(host.mails()) <= 1, "the same failure of the same day is told once"


def test_a_failure_waits_in_the_outbox_where_another_program_sends(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    with monkeypatch.context() as patch:
        patch.setattr(Daily, "reports", broken)
        host.daily("--no-send")
    assert not host.heard.exists()
    assert host.mails() == []
    status, said = host.daily("--send-only", port=free_port())
    assert status == 4
    told, text = host.told()
    assert (told["LOGSCAN_VERDICT"], told["LOGSCAN_MAIL"]) == ("unsent", "failed")
    assert "1 mail waits in the outbox" in text
    assert text.splitlines()[-1] in said
    assert host.daily("--send-only") == (0, "")
    (mail,) = host.mails()
    assert "FAILED" in mail["Subject"]


def test_a_state_that_can_t_be_used_keeps_no_report(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise StateError("the state is on fire")

    host.write()
    monkeypatch.setattr(State, "open", broken)
    status, said = host.daily()
    assert status == 3
    assert "the state is on fire" in said
    (mail,) = host.mails()
    assert "Report 1: lines" in words(mail)
    status, said = host.daily(port=free_port())
    assert status == 4
    assert "was not sent, and no outbox keeps it: 127.0.0.1:" in said


def test_a_run_that_can_t_begin_is_mailed(host: Host) -> None:
    host.write()
    with State.open(host.state):
        status, _ = host.daily("--wait", "0")
    assert status == 3
    (mail,) = host.mails()
    assert "the analysis FAILED" in mail["Subject"]
    assert host.told()[0]["LOGSCAN_VERDICT"] == "failed"


def test_an_outbox_that_can_t_be_used_keeps_no_failure(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise StateError("the disk is full")

    host.write()
    monkeypatch.setattr(Daily, "reports", broken)
    monkeypatch.setattr(State, "post", full)
    monkeypatch.setattr(State, "runs", full)
    host.daily()
    (mail,) = host.mails()
    assert "FAILED" in mail["Subject"]
