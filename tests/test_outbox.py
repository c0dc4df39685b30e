"""The outbox: what is sent, what waits, what is said of it, whoever refuses, hangs or is killed."""

from __future__ import annotations

import email
import email.policy
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import report_sample
from aiosmtpd.controller import Controller
from click.exceptions import BadParameter

from logscan.commands import outbox
from logscan.commands.failing import failure_mail, failure_text
from logscan.commands.mail_options import Mailing, mailing_of
from logscan.commands.mail_policy import Facts
from logscan.commands.mailing import Server
from logscan.commands.notifying import notify, short_text, told_of, told_of_none
from logscan.commands.outbox import flush, mail_of, send_now, troubles
from logscan.store.model import Outgoing, Run, Waiting
from logscan.store.state import State

DAY = 86400 * 10**9
NOW = 1_800_000_000 * 10**9


@dataclass
class Kept:
    """The outbox of a state, in memory."""

    waiting: list[Waiting] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    full: bool = False

    def put(self, mails: list[Outgoing], made: int = NOW, run: int = 14) -> None:
        for each in mails:
            number = len(self.waiting) + len(self.gone) + 1
            self.waiting.append(Waiting(number, each, run=run, made=made, attempts=0, error=""))

    def outbox(self) -> list[Waiting]:
        return list(self.waiting)

    def sent(self, number: int, at: int) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.waiting = [each for each in self.waiting if each.number != number]
        self.gone.append(number)

    def failed(self, number: int, why: str) -> None:
        self.waiting = [
            replace(each, attempts=each.attempts + 1, error=why) if each.number == number else each
            for each in self.waiting
        ]


class Told(list[str]):
    """What was said."""

    def __call__(self, text: str) -> None:
        self.append(text)


class Sink:
    """A mail server: ``answers`` says by local part what it replies to a recipient, ``at_end`` to all mails."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.answers = {"gone": "550 5.1.1 no such user", "later": "451 4.7.1 \x1b[31mgreylisted"}
        self.at_end = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        refused = self.answers.get(address.partition("@")[0])
        if refused is None:
            envelope.rcpt_tos.append(address)
        return refused or "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if not self.at_end:
            self.taken.append(envelope)
        return self.at_end or "250 2.0.0 Ok: queued"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture
def sink() -> Iterator[tuple[Sink, Server]]:
    found, port = Sink(), free_port()
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    yield found, Server("127.0.0.1", port, "none")
    controller.stop()


def mailing(*to: str, server: Server | None = None, **options: Any) -> Mailing:
    return Mailing(to, options.pop("sender", "logscan@mx1.example.com"), server or Server(), **options)


def mails(*to: str, number: int = 14, **options: Any) -> list[Outgoing]:
    return mail_of(report_sample.healthy(), mailing(*to, **options), why="Every report is mailed.", number=number)


def program(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


# -- what is put in --------------------------------------------------------------------------------------------------


def test_each_recipient_has_a_mail_that_names_all_and_has_an_id_of_its_own() -> None:
    found = mails("Post Master <a@example.com>", "b@example.org", "a@example.com")
    assert [each.recipients for each in found] == [("a@example.com",), ("b@example.org",)]
    assert len({each.message_id for each in found}) == 2
    changed = [each for each in zip(*(one.content.split(b"\r\n") for one in found), strict=True) if len(set(each)) > 1]
    assert changed == [tuple(b"Message-ID: " + each.message_id.encode() for each in found)]
    mail = email.message_from_bytes(found[0].content, policy=email.policy.default)
    assert mail["To"] == "Post Master <a@example.com>, b@example.org, a@example.com"
    assert mails("Post Master <a@example.com>", "b@example.org", "a@example.com") == found
    (alone,) = mails("a@example.com")
    assert email.message_from_bytes(alone.content, policy=email.policy.default)["Message-ID"] == alone.message_id


def test_nobody_to_get_it_and_no_reason_are_no_mail() -> None:
    assert mails() == []
    assert mail_of(report_sample.healthy(), mailing("a@example.com"), why=None, number=1) == []


def test_the_mail_says_which_report_it_is_and_why_it_comes() -> None:
    some = mail_of(
        report_sample.healthy(),
        mailing("a@example.com", when="news"),
        why="A sign of life: no news since the last mail on 2026-11-21.",
        number=14,
        notes=["1 mail to b@example.com, from 2026-11-20 on, waits to be sent: refused"],
    )
    mail = email.message_from_bytes(some[0].content, policy=email.policy.default)
    part = mail.get_body(("plain",))
    assert part is not None
    text = " ".join(part.get_content().split())
    assert (
        "Report 14: lines from 22 Nov 2026 19:00 to 23 Nov 2026 18:55. A sign of life: no news since the last mail on "
        "2026-11-21. 1 mail to b@example.com, from 2026-11-20 on, waits to be sent: refused "
    ) in text


# -- what is sent ----------------------------------------------------------------------------------------------------


def test_what_waits_is_sent_as_it_was_kept_the_oldest_first(sink: tuple[Sink, Server]) -> None:
    state, said = Kept(), Told()
    for number in (13, 14):
        state.put(mails("a@example.com", number=number))
    kept = [each.mail.content for each in state.waiting]
    assert flush(state, sink[1], now=NOW, say=said) == 0
    assert (said, state.gone) == ([], [1, 2])
    assert [each.original_content for each in sink[0].taken] == kept
    assert {each.mail_from for each in sink[0].taken} == {"logscan@mx1.example.com"}


def test_one_refused_recipient_of_two_waits_and_the_other_has_its_mail_once(sink: tuple[Sink, Server]) -> None:
    state, said = Kept(), Told()
    state.put(mails("later@example.com", "a@example.com"))
    for _ in range(3):
        assert flush(state, sink[1], now=NOW, say=said) == 4
    assert [each.rcpt_tos for each in sink[0].taken] == [["a@example.com"]]
    (waiting,) = state.waiting
    assert (waiting.mail.recipients, waiting.attempts) == (("later@example.com",), 3)
    assert said[0].startswith("the mail of 2027-01-15 (run 14) to later@example.com was not sent: 127.0.0.1:")
    assert "451 4.7.1 \\x1b[31mgreylisted" in said[0]
    assert said[1] == "1 mail waits in the outbox: the next run tries again"
    sink[0].answers.clear()
    assert flush(state, sink[1], now=NOW, say=said) == 0
    assert state.waiting == []


def test_what_is_refused_for_good_is_given_up_aloud_but_not_in_one_night(sink: tuple[Sink, Server]) -> None:
    state, said = Kept(), Told()
    state.put(mails("gone@example.com"))
    for hour in range(10):
        assert flush(state, sink[1], now=NOW + hour * DAY // 24, say=said) == 4
    assert state.waiting[0].error.startswith("refused 10 times: ")
    assert (
        "1 mail to gone@example.com, from 2027-01-15 on, waits to be sent: refused 10 times"
        in troubles(state, now=NOW)[0]
    )
    said.clear()
    assert flush(state, sink[1], now=NOW + 2 * DAY, say=said) == 4
    (line,) = said
    assert "to gone@example.com was not sent: given up after 11 refusals: 127.0.0.1:" in line
    told = troubles(state, now=NOW + 2 * DAY)
    assert told[0].startswith("1 mail to gone@example.com, from 2027-01-15 on, was given up after 11 refusals: ")
    said.clear()
    sink[0].answers.clear()
    assert flush(state, sink[1], now=NOW + 3 * DAY, say=said) == 0
    assert (said, sink[0].taken, len(state.waiting)) == ([], [], 1)
    assert troubles(state, now=NOW + 8 * DAY) == []


def test_a_refusal_that_is_none_later_begins_to_count_anew(sink: tuple[Sink, Server]) -> None:
    state = Kept()
    state.put(mails("gone@example.com"))
    for reply in ("550 no", "550 no", "450 later", "550 no", "550 no"):
        sink[0].answers["gone"] = reply
        flush(state, sink[1], now=NOW + 3 * DAY, say=Told())
    assert state.waiting[0].error.startswith("refused 2 times: ")


def test_a_mail_refused_by_its_content_keeps_no_other(sink: tuple[Sink, Server]) -> None:
    state = Kept()
    state.put(mails("a@example.com"))
    sink[0].at_end = "554 5.7.1 spam"
    assert flush(state, sink[1], now=NOW, say=Told()) == 4
    assert state.waiting[0].error.startswith("refused 1 time: ")
    sink[0].at_end = "452 4.3.1 disk full"
    assert flush(state, sink[1], now=NOW, say=Told()) == 4
    assert "452 4.3.1 disk full" in state.waiting[0].error
    assert state.waiting[0].error.startswith("127.0.0.1:")


def test_a_server_that_is_away_is_asked_once(sink: tuple[Sink, Server]) -> None:
    state, said = Kept(), Told()
    for number in range(3):
        state.put(mails("a@example.com", number=number))
    nowhere = Server("127.0.0.1", free_port(), "none")
    assert flush(state, nowhere, now=NOW, say=said) == 4
    assert [each.attempts for each in state.waiting] == [1, 0, 0]
    assert len(said) == 2
    assert said[1] == "3 mails wait in the outbox: the next run tries again"
    for _ in range(9):
        flush(state, nowhere, now=NOW + 9 * DAY, say=said)
    assert flush(state, sink[1], now=NOW + 9 * DAY, say=said) == 0
    assert len(sink[0].taken) == 3


def test_after_a_long_outage_the_newest_come_first_and_none_is_lost(sink: tuple[Sink, Server]) -> None:
    state, said = Kept(), Told()
    (mail,) = mails("a@example.com")
    for run in range(20):
        state.put([mail], made=NOW + run * DAY, run=run)
    assert flush(state, sink[1], now=NOW, say=said) == 0
    assert state.gone == list(range(12, 21))
    assert said == ["11 older mails of a time when mail didn't get out will be sent by the next runs, 8 at a time"]
    flush(state, sink[1], now=NOW, say=said)
    flush(state, sink[1], now=NOW, say=said)
    assert sorted(state.gone) == list(range(1, 21))


def test_all_reports_of_one_run_that_caught_up_go_out_at_once(sink: tuple[Sink, Server]) -> None:
    state = Kept()
    (mail,) = mails("a@example.com")
    state.put([mail] * 30)
    assert flush(state, sink[1], now=NOW, say=Told()) == 0
    assert state.gone == list(range(1, 31))


def test_a_server_that_takes_its_time_is_not_waited_for_for_ever(
    sink: tuple[Sink, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, said = Kept(), Told()
    for number in range(3):
        state.put(mails("a@example.com", number=number))
    monkeypatch.setattr(outbox, "LONGEST", -1.0)
    assert flush(state, sink[1], now=NOW, say=said) == 4
    assert said[-1] == "3 mails wait in the outbox: the next run tries again"
    assert sink[0].taken == []


def test_a_state_that_can_t_be_written_keeps_no_mail(sink: tuple[Sink, Server]) -> None:
    state, said = Kept(full=True), Told()
    state.put(mails("a@example.com", "b@example.com"))
    flush(state, sink[1], now=NOW, say=said)
    assert len(sink[0].taken) == 2
    assert "it may be sent again" in said[0]


def test_a_mail_made_for_sendmail_has_a_sender_when_a_server_gets_it(sink: tuple[Sink, Server]) -> None:
    state = Kept()
    state.put(mails("a@example.com", sender=""))
    assert flush(state, sink[1], now=NOW, say=Told(), sender="me@example.com") == 0
    assert sink[0].taken[0].mail_from == "me@example.com"


# -- sendmail --------------------------------------------------------------------------------------------------------


def test_sendmail_without_a_sender_gives_it_its_own(tmp_path: Path) -> None:
    keep = "import sys, json; json.dump([sys.argv[1:], sys.stdin.read()], open(sys.argv[0] + '.json', 'w'))"
    command = program(tmp_path, "sendmail", keep)
    state = Kept()
    state.put(mails("root", sender=""))
    assert flush(state, Server(sendmail=command), now=NOW, say=Told()) == 0
    arguments, content = json.loads(Path(command + ".json").read_text())
    assert arguments == ["-i", "--", "root"]
    assert "\nFrom: logscan\n" in content
    assert "\nTo: root\n" in content


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "import sys; sys.exit('sendmail: fatal: \\x1b[31mqueue file write error')",
            "status 1: sendmail: fatal: \\x1b[31mq",
        ),
        ("import sys; sys.exit(75)", "status 75"),
        ("import sys; sys.exit(67)", "refused 1 time: "),
        ("import os; os.kill(os.getpid(), 9)", "status -9"),
        ("import time; time.sleep(60)", "did not end within 0.3 s"),
    ],
)
def test_a_sendmail_that_fails_hangs_or_is_killed_leaves_the_mail_waiting(
    tmp_path: Path, text: str, error: str
) -> None:
    state, said = Kept(), Told()
    state.put(mails("a@example.com"))
    hangs = "sleep" in text
    server = Server(sendmail=program(tmp_path, "sendmail", text), timeout=0.3 if hangs else 20)
    assert flush(state, server, now=NOW, say=said) == 4
    assert error in state.waiting[0].error
    assert said[-1] == "1 mail waits in the outbox: the next run tries again"


def test_killed_between_sending_and_marking_the_same_bytes_come_again(tmp_path: Path) -> None:
    """A run is killed by its own sendmail, which has taken the mail."""
    take = f"""import os, sys
data = sys.stdin.buffer.read()
number = len(os.listdir({str(tmp_path / "box")!r}))
open({str(tmp_path / "box")!r} + f"/{{number}}", "wb").write(data)
if number == 0:
    os.kill(os.getppid(), 9)
"""
    (tmp_path / "box").mkdir()
    command = program(tmp_path, "sendmail", take)
    (mail,) = mails("a@example.com")
    with State.open(tmp_path / "state") as state:
        state.commit(run_with([mail]))
    run = f"""
from pathlib import Path
from test_outbox import NOW, Told
from logscan.commands.mailing import Server
from logscan.commands.outbox import flush
from logscan.store.state import State
with State.open(Path({str(tmp_path / "state")!r})) as state:
    raise SystemExit(flush(state, Server(sendmail={command!r}), now=NOW, say=Told()))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    ends = [subprocess.run([sys.executable, "-c", run], env=environment, check=False).returncode for _ in range(3)]
    assert ends == [-signal.SIGKILL, 0, 0]
    assert len(list((tmp_path / "box").iterdir())) == 2
    first, second = ((tmp_path / "box" / name).read_bytes() for name in ("0", "1"))
    assert first == second
    assert mail.message_id.encode() in first


# -- in a real state --------------------------------------------------------------------------------------------------


def run_with(outgoing: list[Outgoing], ended: int = NOW) -> Run:
    return Run(ended - 1, ended, "0", (), (), {}, outgoing=outgoing)


def test_a_real_state_keeps_the_bytes_until_they_are_sent(sink: tuple[Sink, Server], tmp_path: Path) -> None:
    some, said = mails("later@example.com", "a@example.com"), Told()
    with State.open(tmp_path / "state") as state:
        state.commit(run_with(some))
        assert flush(state, sink[1], now=NOW, say=said) == 4
    with State.open(tmp_path / "state") as state:
        # A run that is made again after a kill puts the same mails in once more: what was sent isn't sent again.
        state.commit(run_with(mails("later@example.com", "a@example.com"), NOW + DAY))
        (waiting,) = state.outbox()
        assert (waiting.mail, waiting.attempts) == (some[0], 1)
        sink[0].answers.clear()
        assert flush(state, sink[1], now=NOW + DAY, say=said) == 0
        assert state.outbox() == []
    assert [each.original_content for each in sink[0].taken] == [some[1].content, some[0].content]


def test_a_mail_that_was_given_up_is_forgotten_with_all_that_is_old(sink: tuple[Sink, Server], tmp_path: Path) -> None:
    with State.open(tmp_path / "state") as state:
        state.commit(run_with(mails("gone@example.com")))
        for hour in range(4):
            flush(state, sink[1], now=NOW + hour * DAY, say=Told())
        (waiting,) = state.outbox()
        assert waiting.error.startswith("given up after 3 refusals: ")
        assert waiting.attempts == 3
        state.retain(90, NOW + 89 * DAY)
        assert len(state.outbox()) == 1
        assert "1 mail that never got out forgotten" in state.retain(90, NOW + 91 * DAY)
        assert state.outbox() == []


def test_a_state_that_takes_no_note_keeps_no_mail_from_being_sent(sink: tuple[Sink, Server], tmp_path: Path) -> None:
    said = Told()
    with State.open(tmp_path / "state") as state:
        state.commit(run_with(mails("a@example.com", "later@example.com", "b@example.com")))
        state.connection.execute("PRAGMA query_only = 1")
        assert flush(state, sink[1], now=NOW, say=said) == 4
    assert [each.rcpt_tos for each in sink[0].taken] == [["a@example.com"], ["b@example.com"]]
    assert len([each for each in said if "so that it may be sent again" in each]) == 3


# -- an analysis that failed -----------------------------------------------------------------------------------------

WHEN = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


def test_an_analysis_that_failed_is_mailed_in_plain_words(sink: tuple[Sink, Server]) -> None:
    error = (
        "Traceback\n" + "\n".join(f"  line {number}" for number in range(100)) + "\nOSError: \x1b[31mdisk\u202e full"
    )
    some = failure_mail(
        error,
        mailing("a@example.com", server=sink[1]),
        host="mx1\r\nBcc: x@example.com",
        when=WHEN,
        command="logscan daily --state /var/lib/logscan",
        last_good="run 13, 2026-11-27",
        notes=["the state was set aside"],
    )
    said = Told()
    assert send_now(some, mailing("a@example.com", server=sink[1]), said) == 0
    mail = email.message_from_bytes(sink[0].taken[0].original_content, policy=email.policy.default)
    assert mail["Bcc"] is None
    assert (
        mail["Subject"]
        == "[logscan] mx1\\r\\nBcc: x@example.com: the analysis FAILED: OSError: \\x1b[31mdisk\\u202e full"
    )
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "OSError: \\x1b[31mdisk\\u202e full" in text
    assert "… 62 lines before" in text
    assert "The last report: run 13, 2026-11-27." in text
    assert "logscan daily --state /var/lib/logscan" in text
    assert "the state was set aside" in text
    assert mail["Message-ID"] == some[0].message_id


def test_one_failure_on_one_day_has_one_message_id() -> None:
    options: dict[str, Any] = {"host": "mx1", "command": "logscan daily"}
    to = mailing("a@example.com")
    (first,), (again,), (later,), (other,) = (
        failure_mail(error, to, when=when, **options)
        for error, when in (
            ("full", WHEN), ("full", WHEN.replace(hour=7)), ("full", WHEN.replace(day=29)), ("gone", WHEN)
        )
    )  # fmt: skip
    assert first.message_id == again.message_id
    assert len({first.message_id, later.message_id, other.message_id}) == 3
    assert failure_mail("", mailing(), when=WHEN, **options) == []
    assert "FAILED" in failure_mail("", to, when=WHEN, **options)[0].content.decode()


def test_what_no_outbox_keeps_is_said_to_be_lost() -> None:
    said = Told()
    to = mailing("a@example.com", server=Server("127.0.0.1", free_port(), "none"))
    assert send_now(mails("a@example.com"), to, said) == 4
    assert said[0].startswith("the mail to a@example.com was not sent, and no outbox keeps it: 127.0.0.1:")


# -- the way out when mail is broken ---------------------------------------------------------------------------------


def test_a_command_is_told_of_the_run_in_its_environment_and_on_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("LOGSCAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOGSCAN_SMTP_PASSWORD", "s3cret")
    keep = "import os, sys, json; json.dump([sys.argv[1:], sys.stdin.read(), dict(os.environ)], open(sys.argv[1], 'w'))"
    command = program(tmp_path, "tell me", keep)
    report = replace(report_sample.sample(), hosts=["mx1\x1b[31m\0"])
    facts = told_of(report, Facts(new=2, gone=1), number=14, mail="failed", path=tmp_path / "report.html")
    to = mailing_of({"notify_command": f"'{command}' {tmp_path}/out 'a b; $HOME'"})
    said = Told()
    assert notify(to.notify, short_text(report, ["The mail waits."]), facts, say=said) == 0
    arguments, text, environment = json.loads((tmp_path / "out").read_text())
    assert arguments == [f"{tmp_path}/out", "a b; $HOME"]
    assert said == []
    assert "\n4 problems, 2 warnings" in text
    assert "\nThe mail waits.\n" in text
    assert "HTML" not in text
    told = {key: value for key, value in environment.items() if key.startswith("LOGSCAN_")}
    assert told == {
        "LOGSCAN_VERDICT": "problem",
        "LOGSCAN_HEADLINE": "4 problems, 2 warnings, 8 clear, 3 blind, 1 not applicable",
        "LOGSCAN_HOST": "mx1\\x1b[31m\\x00",
        "LOGSCAN_RUN": "14",
        "LOGSCAN_PROBLEMS": "4",
        "LOGSCAN_WARNINGS": "2",
        "LOGSCAN_NEW": "2",
        "LOGSCAN_BACK": "0",
        "LOGSCAN_GONE": "1",
        "LOGSCAN_LOSSES": "0",
        "LOGSCAN_FROM": "2026-11-22T19:00:00+00:00",
        "LOGSCAN_UNTIL": "2026-11-23T18:55:48+00:00",
        "LOGSCAN_MAIL": "failed",
        "LOGSCAN_REPORT": str(tmp_path / "report.html"),
    }


def test_a_command_hears_of_a_failure_too(tmp_path: Path) -> None:
    command = program(tmp_path, "tell", "import sys; sys.exit(sys.stdin.read())")
    text = failure_text("disk full", host="mx1", when=WHEN, command="logscan daily", last_good="")
    said = Told()
    assert notify((command,), text, told_of_none("mx1", "failed", mail="failed"), say=said) == 4
    assert said == [f"--notify-command: {command} ended with status 1: To see more, run: logscan daily"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "import sys; print('x' * 10**6); sys.exit('\\x1b[31mno\\nnetwork \\x1b[31m')",
            "ended with status 1: network \\x1b[31m",
        ),
        ("import os; os.kill(os.getpid(), 15)", "was ended by signal 15"),
        ("import subprocess; subprocess.run(['sleep', '60'])", "did not end within 0.5 s"),
    ],
)
def test_a_command_that_fails_is_told(tmp_path: Path, text: str, why: str) -> None:
    command = program(tmp_path, "tell", text)
    said = Told()
    begun = time.monotonic()
    assert notify((command,), "x" * 10**6, {}, say=said, limit=0.5 if "sleep" in text else 20) == 4
    assert said == [f"--notify-command: {command} {why}"]
    assert time.monotonic() - begun < 20


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    said = Told()
    assert notify((str(tmp_path / "no"),), "", {}, say=said) == 4
    assert said == [f"--notify-command: {tmp_path}/no can't be started: No such file or directory"]
    assert notify((), "", {}, say=said) == 0


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"notify_command": "tell 'me"}, "can't be taken apart"),
        ({"notify_command": "''"}, "names no program"),
        ({"mail_to": ["a b"]}, "not a mail address"),
        ({"mail_to": ["a@example.com"], "smtp": "h"}, "needs a sender"),
        ({"mail_to": ["a@example.com"], "mail_from": "@"}, "not a mail address"),
    ],
)
def test_options_that_can_t_work_are_wrong_usage(options: dict[str, Any], why: str) -> None:
    with pytest.raises(BadParameter, match=why):
        mailing_of(options)


def test_options_that_work() -> None:
    assert mailing_of({}) == Mailing((), "", Server())
    found = mailing_of({"mail_to": ["Me <me@example.com>", "root", "me@example.com"], "mail_from": "L <l@example.com>"})
    assert (found.recipients, found.bare_sender) == (("me@example.com", "root"), "l@example.com")
    assert mailing_of({"notify_command": "sh -c 'echo \"$LOGSCAN_MAIL\"'"}).notify == (
        "sh",
        "-c",
        'echo "$LOGSCAN_MAIL"',
    )
