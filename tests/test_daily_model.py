"""A model of a server whose log is written, rotated, cut and deleted while daily runs come, die and come again.

Each line of the model is unique, so what a state must have counted is known exactly: every whole line that stood in a file when
a run ended well, once. Runs are killed for good (SIGKILL before one of their system calls). ``LOGSCAN_MODEL=200`` tries more.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from benchmarks.daily.daily import Daily, facts, mails
from benchmarks.daily.driving import KILLED, Fault, Stable, shim
from benchmarks.daily.world import World

EXAMPLES = int(os.environ.get("LOGSCAN_MODEL", "8"))
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler makes what kills runs")

STABLE: list[Stable] = []


@pytest.fixture(scope="module", autouse=True)
def stable() -> Iterator[None]:
    """Keep one process that has all imported, for all runs."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        STABLE.append(stack.enter_context(Stable(shim(Path(folder)))))
        yield
        STABLE.clear()


class Server(RuleBasedStateMachine):
    """One server: its log, its state, and what must have been counted."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="model.")).resolve()
        self.world = World(self.folder / "logs", days=0, real=False)
        self.tool = Daily(STABLE[0], self.folder, "--check", "log-gap", "--check", "duplicate-delivery")
        self.state = self.folder / "live"
        self.state.mkdir()
        self.order: list[bytes] = []
        """All lines ever begun, whole, in the order of writing."""
        self.seen: set[bytes] = set()
        self.serial = 0
        self.rest = b""

    def teardown(self) -> None:
        try:
            if self.seen:
                self.judge()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    # --- the server ---

    def mail(self) -> list[bytes]:
        """Return the lines of a mail that comes and is delivered."""
        self.serial += 1
        at, queue = self.serial * 60_000 + 1_795_000_000_000, f"4Bcdf{self.serial:05d}z1"
        said = (
            f"postfix/smtpd[71]: {queue}: client=mx.example.net[203.0.113.7]",
            f"postfix/cleanup[72]: {queue}: message-id=<{self.serial}@example.net>",
            f"postfix/qmgr[73]: {queue}: from=<ann@example.net>, size=900, nrcpt=1 (queue active)",
            f"postfix/local[74]: {queue}: to=<bob@example.com>, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, "
            "status=sent (delivered to mailbox)",
            f"postfix/qmgr[73]: {queue}: removed",
        )
        return [f"{self.world.stamp(at + 1000 * i)}{text}\n".encode() for i, text in enumerate(said)]

    def said(self, lines: list[bytes]) -> None:
        if self.rest:
            rest, self.rest = self.rest, b""
            self.world.write([rest])
        self.order += lines
        self.world.write(lines)

    @initialize()
    def begin(self) -> None:
        self.said(self.mail())

    @rule(mails=st.integers(1, 4), cut=st.integers(0, 4))
    def write(self, mails: int, cut: int) -> None:
        """Some mails; of the last line only the half, for now."""
        lines = [line for _ in range(mails) for line in self.mail()]
        self.said(lines[: len(lines) - cut])
        self.order += lines[len(lines) - cut :]
        if cut:
            late = lines[len(lines) - cut :]
            self.world.write(late[:-1])
            self.rest = self.world.half(late[-1])

    @rule(
        how=st.sampled_from(
            [("create",), ("copytruncate",), ("compress", "create"), ("compress", "delaycompress", "create")]
        )
    )
    def rotate(self, how: tuple[str, ...]) -> None:
        if "copytruncate" in how or "compress" in how:
            self.finish()  # a half line would be torn for good
        self.world.rotate(*how)
        if self.rest:  # what was begun in the old file ends there
            old = self.world.path.with_name("mail.log.1")
            with old.open("ab") as file:
                file.write(self.rest)
            self.rest = self.world.rest = b""

    def finish(self) -> None:
        if self.rest:
            rest, self.rest = self.rest, b""
            self.world.write([rest])

    @rule()
    def truncate(self) -> None:
        """Somebody empties the log; what nobody read is gone."""
        self.finish()
        os.truncate(self.world.path, 0)

    @rule(lines=st.integers(1, 4))
    def crash(self, lines: int) -> None:
        """The power fails: the log's last lines were never synced, whether somebody had read them or not."""
        whole = self.world.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in whole if line.endswith(b"\n")]
        os.truncate(self.world.path, sum(map(len, kept[: max(0, len(kept) - lines)])))
        self.rest = self.world.rest = b""

    @rule(which=st.integers(0, 3))
    def delete(self, which: int) -> None:
        """Somebody deletes an old log."""
        old = sorted(path for path in self.world.folder.iterdir() if path != self.world.path)
        if old:
            old[which % len(old)].unlink()

    @rule()
    def restore(self) -> None:
        """Somebody lays a copy of an old log beside it."""
        old = sorted(self.world.folder.glob("mail.log.*"))
        if old:
            shutil.copyfile(old[-1], self.world.folder / f"restored.{old[-1].name}")

    # --- the runs ---

    def readable(self) -> set[bytes]:
        """Return all whole lines that stand in a file now."""
        found: set[bytes] = set()
        for path in self.world.folder.iterdir():
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            found.update(line for line in content.splitlines(keepends=True) if line.endswith(b"\n"))
        return found

    @rule()
    def read(self) -> None:
        done = self.tool.run(self.world, self.state)
        assert done.status == 0, done.err
        self.seen |= self.readable()
        found = facts(self.state)
        assert found.lines == len(self.seen), f"{found.lines} lines were read, there were {len(self.seen)}"
        assert not found.leftovers
        assert not found.waiting
        assert not found.notes

    @rule(number=st.integers(1, 400))
    def kill(self, number: int) -> None:
        """A run dies before one of its calls, or lives if it makes fewer."""
        done = self.tool.run(self.world, self.state, Fault("", number))
        assert done.status in (0, KILLED), done.err
        if done.status == 0 or self.committed():
            self.seen |= self.readable()

    def committed(self) -> bool:
        """Whether the run that was killed had made itself live."""
        if not (self.state / "state" / "logscan.db").exists():
            return False
        try:
            lines = facts(self.state).lines
        except Exception:  # killed while the first database was made
            return False
        assert lines in (len(self.seen), len(self.seen | self.readable())), "half a run was remembered"
        return lines != len(self.seen)

    @precondition(lambda self: self.seen)
    @rule(which=st.integers(0, 5))
    def acknowledge(self, which: int) -> None:
        """Somebody knows of a finding."""
        ids = sorted(facts(self.state).findings)
        if ids:
            self.tool.acknowledge(self.state, ids[which % len(ids)])

    # --- what must hold ---

    def judge(self) -> None:
        """All runs together say what one pass over the lines says that they read."""
        self.read()
        found = facts(self.state)
        whole = self.tool.analysed(b"".join(line for line in self.order if line in self.seen))
        assert found.sums == whole
        assert not mails(self.state)[1]


TestServer: Any = Server.TestCase
TestServer.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
