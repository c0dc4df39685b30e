"""``daily --no-send`` and ``--send-only``: two programs of different rights; what happens to the first is never passed over."""

from __future__ import annotations

import email
import email.policy
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logscan.samples import story
from logscan.store.model import Outgoing, Run
from logscan.store.state import State

Run_ = Callable[..., Any]
HOUR = 3600 * 10**9


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A folder with a log, a state, and programs that write down what they are given."""
    (tmp_path / "logs").mkdir()
    shutil.copy(story("healthy") / "mail.log", tmp_path / "logs")
    for name, does in (
        ("sendmail", f'cat >"{tmp_path}/mail.$$"'),
        ("tell", f'env >"{tmp_path}/env"; cat >"{tmp_path}/told"'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def daily(run: Run_, server: Path, monkeypatch: pytest.MonkeyPatch) -> Run_:
    monkeypatch.setattr("logscan.commands.mailing.SENDMAIL", (str(server / "sendmail"),))

    def start(*args: str) -> Any:
        common = ("--state", server / "state", "--mail-to", "kim@example.org", "--notify-command", server / "tell")
        return run("daily", *common, *args)

    return start


def mails(server: Path) -> list[Any]:
    found = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in server.glob("mail.*")]
    for path in server.glob("mail.*"):
        path.unlink()
    return found


def analyse(daily: Run_, server: Path) -> Any:
    return daily("--no-send", "--jobs", "1", "--year", "2026", "--quiet", str(server / "logs"))


def test_the_first_tells_nobody_and_the_second_all_once(daily: Run_, server: Path) -> None:
    done = analyse(daily, server)
    assert (done.returncode, mails(server)) == (0, []), done.stderr
    assert not (server / "told").exists()
    assert daily("--send-only", "--overdue", "4h").returncode == 0
    assert ["analysis FAILED" in mail["Subject"] for mail in mails(server)] == [False]
    assert "LOGSCAN_MAIL=sent\n" in (server / "env").read_text()
    assert (server / "told").read_text().count("\n") > 3
    (server / "told").unlink()
    assert daily("--send-only", "--overdue", "4h").returncode == 0
    assert mails(server) == []
    assert not (server / "told").exists()


def test_a_command_that_fails_is_tried_again(daily: Run_, server: Path) -> None:
    analyse(daily, server)
    right = (server / "tell").read_text()
    (server / "tell").write_text("#!/bin/sh\nexit 1\n")
    assert daily("--send-only").returncode == 4
    (server / "tell").write_text(right)
    assert daily("--send-only").returncode == 0
    assert (server / "told").exists()


def test_an_analysis_that_was_killed_is_told_of(daily: Run_, server: Path) -> None:
    with State.open(server / "state"):
        pass
    for _ in range(2):  # by hand once more: the same mail isn't put in again
        assert daily("--send-only", "--overdue", "4h").returncode == 0
    (mail,) = mails(server)
    assert "the analysis FAILED" in mail["Subject"]
    assert "journalctl -u logscan.service" in mail.get_content()
    assert "No report was made here before" in mail.get_content()
    assert "LOGSCAN_VERDICT=failed\n" in (server / "env").read_text()


def test_only_a_run_that_ended_long_ago_is_overdue(daily: Run_, server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_790_000_000 * 10**9
    monkeypatch.setattr("logscan.commands.daily_run.time_ns", lambda: now)
    with State.open(server / "state") as state:
        state.commit(Run(begun=now - 5 * HOUR, ended=now - 3 * HOUR, version="1", reports=(), cursors=(), blobs={}))
    daily("--send-only", "--overdue", "4h")
    assert mails(server) == []
    daily("--send-only", "--overdue", "2h")
    assert "FAILED" in mails(server)[0]["Subject"]


def test_an_analysis_that_said_itself_why_it_failed_is_told_of_once(daily: Run_, server: Path) -> None:
    with State.open(server / "state") as state:
        state.post(
            [Outgoing("<x@example.org>", ("kim@example.org",), b"Subject: why\r\n\r\nno disk\r\n")], time.time_ns()
        )
    assert daily("--send-only", "--overdue", "4h").returncode == 0
    assert [mail["Subject"] for mail in mails(server)] == ["why"]
    assert "a mail says why" in (server / "told").read_text()


@pytest.mark.parametrize("text", ["4", "h", "0h", "-1h", "4 weeks", "99999h"])
def test_what_is_no_time_is_wrong_usage(daily: Run_, text: str) -> None:
    assert daily("--send-only", "--overdue", text).returncode == 2
