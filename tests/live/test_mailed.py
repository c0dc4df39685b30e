"""A mailed report goes through a real Postfix on loopback and is read back from the mailbox."""

from __future__ import annotations

import email
import email.policy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
from live import mailed
from live.world import OWN

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def missing() -> list[str]:
    """Return what this machine lacks."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    found = [each for each in ("postfix", "ip", "unshare") if not shutil.which(each, path=path)]
    if os.geteuid():
        found.append("root")
    elif not found and subprocess.run([*OWN, "true"], capture_output=True, check=False).returncode:
        found.append("the right to make namespaces")
    return found


@dataclass
class Bench:
    """Where Postfix lives, for what is run beside it."""

    base: Path

    def run(self, *steps: tuple[list[str], int]) -> list[tuple[int, str]]:
        """Run each command and wait until there are so many mails; returns status and words of each."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
        environment |= {
            "PYTHONPATH": f"{CHECKOUT / 'tests'}",
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [*OWN, sys.executable, "-m", "live.mailed", str(self.base)],
            input=json.dumps(steps),
            capture_output=True,
            text=True,
            env=environment,
            cwd=CHECKOUT,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [(status, said) for status, said in json.loads(done.stdout)]

    def mails(self, user: str) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.base / "vmail" / user / "new").iterdir())]


@pytest.fixture
def bench() -> Iterator[Bench]:
    if os.environ.get("LOGSCAN_NO_LIVE") == "1":
        pytest.skip("LOGSCAN_NO_LIVE=1: the live bench is left out on purpose")
    lacking = missing()
    if lacking and os.environ.get("CI"):
        pytest.fail(f"the live bench needs {', '.join(lacking)}; LOGSCAN_NO_LIVE=1 leaves it out")
    if lacking:
        pytest.skip(f"the live bench needs {', '.join(lacking)}")
    base = Path(tempfile.mkdtemp(prefix="lsm", dir="/tmp"))
    base.chmod(0o755)
    mailed.write(base)
    shutil.chown(base / "data", "postfix")
    yield Bench(base)
    shutil.rmtree(base, ignore_errors=True)


def parsed(content: bytes) -> EmailMessage:
    found = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


FLUSH = """
import sys
from pathlib import Path
from report_sample import sample
from test_outbox import NOW, Kept, Told, mailing
from logscan.commands.mailing import Server
from logscan.commands.outbox import flush, mail_of
state, said = Kept(), Told()
sender, server, *to = sys.argv[1:]
state.put(mail_of(sample(), mailing(*to, sender=sender), why="", number=14))
status = flush(state, Server(server, 25 if server else 0, "none"), now=NOW, say=said)
print(status, [(each.mail.recipients, each.error) for each in state.waiting], *said, sep="\\n")
"""


def test_a_mail_goes_through_postfix_and_is_read_back_from_the_mailbox(bench: Bench) -> None:
    flush = [sys.executable, "-c", FLUSH]
    daily = [sys.executable, "-m", "logscan", "daily", "--state", str(bench.base / "state"), "--quiet"]
    logs = [str(path) for path in sorted((CHECKOUT / "sample_logs" / "healthy").glob("mail.log*"))]
    answers = bench.run(
        ([*flush, "", "", "root", "ann@example.com"], 2),
        # A run that was killed between sending and marking: the next one sends again.
        ([*flush, "", "", "root", "ann@example.com"], 4),
        ([*flush, "logscan@mx1.example.com", "127.0.0.1", "bob@example.com", "nobody@example.com"], 5),
        # As two units do: one reads and has no right to send, the other sends.
        ([*daily, *logs, "--mail-to", "root", "--attach-page", "--no-send"], 5),
        ([*daily, "--send-only"], 6),
    )
    assert answers[:2] == [(0, "0\n[]\n")] * 2
    assert answers[3:] == [(0, ""), (0, "")]

    # By sendmail, without --mail-from: Postfix names the domain, and bounces go to the user who ran it.
    first, again, sent = bench.mails("root")
    mail = parsed(first)
    assert mail["From"] == "logscan@example.com"
    assert mail["Return-Path"] == "<root@example.com>"
    assert mail["To"] == "root@example.com, ann@example.com"
    assert mail["Delivered-To"] == "root@example.com"
    assert "invalid" not in first.partition(b"\n\n")[0].decode()
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png", "image/png"
    ]  # fmt: skip
    plain, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain
    assert page
    assert "Report 14: lines from 22 Nov 2026 19:00 to 23 Nov 2026 18:55." in plain.get_content().replace("\n", " ")
    assert "Spell the domain in the arguments" in page.get_content()

    # The second copy is known for one by its Message-ID: all but Postfix's own stamp is the same.
    assert mail["Message-ID"] == parsed(again)["Message-ID"]
    cut = b"\nMIME-Version: "
    assert first.partition(cut)[2] == again.partition(cut)[2]
    other = [parsed(each)["Message-ID"] for each in bench.mails("ann")]
    assert len(other) == 2
    assert len({*other, mail["Message-ID"]}) == 2

    # By SMTP: the recipient whom Postfix refuses waits, the other has the mail.
    status, said = answers[2]
    lines = said.splitlines()
    assert (status, lines[0]) == (0, "4")
    assert (
        "(('nobody@example.com',), 'refused 1 time: 127.0.0.1:25 refused every recipient: nobody@example.com: 550"
        in lines[1]
    )
    (whole,) = bench.mails("bob")
    assert parsed(whole)["From"] == "logscan@mx1.example.com"
    assert parsed(whole)["Return-Path"] == "<logscan@mx1.example.com>"

    # `logscan daily` itself, with the page.
    found = parsed(sent)
    assert found["From"] == "logscan@example.com"
    assert found["Subject"].startswith("[logscan] mx1: first report")
    assert [str(part.get_filename()).rpartition(".")[2] for part in found.iter_attachments()] == ["html"]
