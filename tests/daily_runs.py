"""Daily runs for tests: a server's folder of logs that grows, and the command run on it as a user would, in this process."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from logscan.cli import cli

ENDS = ("delivered", "deferred", "bounced", "expired", "held", "discarded", "rejected", "recipients")
"""Counts of recipients that the last run's open mails add to those of all runs' closed ones."""


@dataclass
class Server:
    """A folder with ``mail.log``, a state beside it, and a sendmail that keeps what it is given."""

    folder: Path
    reports: list[dict[str, Any]] = field(default_factory=list)
    """The reports so far, as JSON."""

    def __post_init__(self) -> None:
        self.logs.mkdir(exist_ok=True)
        self.sent.mkdir(exist_ok=True)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def log(self) -> Path:
        return self.logs / "mail.log"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def sent(self) -> Path:
        return self.folder / "sent"

    def write(self, lines: list[bytes]) -> None:
        """Let the logger write."""
        with self.log.open("ab") as file:
            file.writelines(lines)

    def rotate(self, *, keep: int = 4) -> None:
        """Rotate as logrotate does with ``create``, the oldest removed."""
        for number in reversed(range(1, keep)):
            old = self.logs / f"mail.log.{number}"
            if old.exists():
                old.rename(self.logs / f"mail.log.{number + 1}")
        self.log.rename(self.logs / "mail.log.1")
        (self.logs / f"mail.log.{keep}").unlink(missing_ok=True)

    def run(self, *args: str, status: int = 0) -> Result:
        """Run ``logscan daily``; its JSON is added to ``reports``."""
        path = self.folder / "report.json"
        path.unlink(missing_ok=True)
        words = ["daily", "--state", self.state, "--jobs", "1", "--timezone", "UTC", self.logs, "-o", path, *args]
        done = CliRunner(env={"TZ": "UTC"}).invoke(cli, [str(each) for each in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == status, (done.exit_code, done.stdout, done.stderr)
        if path.exists():
            self.reports.append(json.loads(path.read_text()))
        return done

    def sendmail(self) -> Path:
        """Return the folder of a ``sendmail`` that writes each mail into :attr:`sent`."""
        place = self.folder / "bin"
        place.mkdir(exist_ok=True)
        program = place / "sendmail"
        program.write_text(
            f"#!{sys.executable}\nimport os, sys, time\n"
            f"open({str(self.sent)!r} + f'/{{time.time_ns()}}', 'wb').write(sys.stdin.buffer.read())\n"
        )
        program.chmod(0o755)
        return place

    def mails(self) -> list[bytes]:
        """Return what was sent, in order."""
        return [(self.sent / name).read_bytes() for name in sorted(os.listdir(self.sent))]  # noqa: PTH208

    def counts(self) -> dict[str, int]:
        """Return the counts of closed mails of all runs, with the last run's open ones."""
        out: dict[str, int] = {}
        for report in self.reports:
            for name, count in report["mails"].items():
                if isinstance(count, int):
                    out[name] = out.get(name, 0) + count
        last = self.reports[-1]["mails"]
        out["total"] += last["open"]
        for name in ENDS:
            out[name] += last["open_recipients"][name]
        return {name: out[name] for name in ("total", *ENDS)}

    def findings(self) -> set[tuple[str, str, str]]:
        """Return check, cause and subject of all findings of all runs."""
        return {
            (check["name"], each["cause"], each["subject"])
            for report in self.reports
            for check in report["checks"]
            for each in check["findings"]
        }


def parts(lines: list[bytes], cuts: list[int]) -> list[list[bytes]]:
    """Return lines cut at numbers of lines."""
    edges = [0, *sorted(cuts), len(lines)]
    return [lines[low:high] for low, high in pairwise(edges)]
