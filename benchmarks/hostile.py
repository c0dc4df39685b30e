#!/usr/bin/env python3
"""Measures ``logscan analyse`` on logs made to hurt, n and 2n of each: what grows faster than the log shows as a factor above 2.

    python benchmarks/hostile.py [NAME...]

CPU seconds and peak memory are those of the whole process; the start alone is about a second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = "Nov 22 18:44:26 mx "


def second(i: int) -> str:
    return f"Nov 22 {18 + i // 3600 % 6:02d}:{i // 60 % 60:02d}:{i % 60:02d} mx "


def hosts(n: int) -> Iterator[str]:
    """Distinct hosts, each with an instance of its own, one line each."""
    for i in range(n):
        yield f"Nov 22 18:44:26 h{i} postfix-{i}/qmgr[7]: {0xABCDE00000 + i:X}: removed"


def programs(n: int) -> Iterator[str]:
    """Distinct programs, two lines each."""
    for i in range(n):
        yield f"{HEAD}p{i}[7]: x"
        yield f"{HEAD}p{i}[7]: y"


def recipients(n: int) -> Iterator[str]:
    """Recipients of one message."""
    yield f"{HEAD}postfix/qmgr[7]: 5A609544187: from=<a@b>, size=1, nrcpt={n} (queue active)"
    for i in range(n):
        sent = "relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"
        yield f"{HEAD}postfix/smtp[7]: 5A609544187: to=<u{i}@c>, {sent}"


def unknown(n: int) -> Iterator[str]:
    """Unknown lines, each different."""
    for i in range(n):
        yield f"{HEAD}postfix/smtpd[7]: strange {i}x{i * 7919 % 99991:x} line of {chr(97 + i % 26) * (i % 17)} kind"


def one_id(n: int) -> Iterator[str]:
    """One queue ID used again and again."""
    for i in range(n):
        at = second(i)
        yield f"{at}postfix/smtpd[7]: 5A609544187: client=x[192.0.2.1]"
        yield f"{at}postfix/cleanup[7]: 5A609544187: message-id=<{i}@x>"
        yield f"{at}postfix/qmgr[7]: 5A609544187: removed"


def repeated(n: int) -> Iterator[str]:
    """Lines that claim to have come a billion times."""
    text = "NOQUEUE: reject: RCPT from x[192.0.2.1]: 550 5.1.1 <a@b>: no; from=<c@d> to=<a@b> proto=SMTP helo=<x>"
    for _ in range(n):
        yield f"{HEAD}postfix/smtpd[7]: message repeated 999999999 times: [ {text}]"


def long(n: int) -> Iterator[str]:
    """Three lines of a megabyte each, among others."""
    for _ in range(600):
        yield f"{HEAD}postfix/smtpd[7]: connect from x[192.0.2.1]"
    for _ in range(n):
        for text in ("a", "> ", ", "):
            yield f"{HEAD}postfix/smtpd[7]: connect from {text * (2**20 // len(text))}[192.0.2.1]"


def alike(n: int, each_second: int = 20) -> Iterator[str]:
    """Mails that go through a filter, alike in all but the queue ID."""
    for i in range(n):
        at, q = second(i // each_second), 0xA000000000 + 2 * i
        yield f"{at}postfix/smtpd[7]: {q:X}: client=x[192.0.2.1]"
        for one, client in ((q, ""), (q + 1, "client=localhost[127.0.0.1]")):
            if client:
                yield f"{at}postfix/smtpd[8]: {one:X}: {client}"
            yield f"{at}postfix/cleanup[7]: {one:X}: message-id=<>"
            yield f"{at}postfix/qmgr[7]: {one:X}: from=<a@b>, size=1, nrcpt=1 (queue active)"
        timed = "delay=1, delays=0/0/0/1"
        yield (
            f"{at}postfix/lmtp[9]: {q:X}: to=<c@d>, relay=127.0.0.1[127.0.0.1]:10024, {timed}, dsn=2.6.0, "
            "status=sent (250 2.6.0 <c@d> Message accepted for delivery)"
        )
        yield (
            f"{at}postfix/lmtp[9]: {q + 1:X}: to=<c@d>, relay=mx[private/dovecot-lmtp], {timed}, dsn=2.0.0, "
            f"status=sent (250 2.0.0 <c@d> s{i} Saved)"
        )


def in_one_second(n: int) -> Iterator[str]:
    """The same within one second."""
    return alike(n, n)


CASES: dict[Callable[[int], Iterator[str]], int] = {
    hosts: 25_000,
    programs: 25_000,
    recipients: 12_500,
    unknown: 100_000,
    one_id: 10_000,
    repeated: 500,
    long: 1,
    alike: 20_000,
    in_one_second: 1_000,
}
"""Each log, and how large it is made first."""


def measure(log: Path, out: Path) -> tuple[float, float]:
    """Return CPU seconds and peak memory (MB) of an analysis; exits when it fails."""
    command = [sys.executable, "-m", "logscan", "analyse", str(log), "--quiet", "--jobs", "1", "-o", str(out)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # A log of nothing known ends with 3, and says so.
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure logscan on logs made to hurt.")
    parser.add_argument("names", nargs="*", choices=[[], *(case.__name__ for case in CASES)], help="default: all")
    wanted = parser.parse_args().names
    print(f"{'':14} {'n':>8} {'CPU s':>7} {'2n':>7} {'factor':>7} {'peak MB':>8} {'2n':>6}")
    with tempfile.TemporaryDirectory() as folder:
        log, out = Path(folder) / "mail.log", Path(folder) / "report.json"
        for case, n in CASES.items():
            if wanted and case.__name__ not in wanted:
                continue
            found = []
            for size in (n, 2 * n):
                log.write_text("".join(f"{line}\n" for line in case(size)), encoding="ascii")
                found.append(measure(log, out))
            (one, peak), (two, higher) = found
            print(f"{case.__name__:14} {n:8} {one:7.1f} {two:7.1f} {two / one:7.2f} {peak:8.0f} {higher:6.0f}")


if __name__ == "__main__":
    main()
