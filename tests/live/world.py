"""A mail server of the bench: Postfix, Dovecot and a filter, in folders and namespaces of their own.

Nothing of it is seen by the machine it runs on, and nothing of the machine's mail is touched: there is no interface but
loopback in its network namespace, and all its processes end with it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

from live import setups

from logscan.plans import Step

NEEDED = ("postfix", "postconf", "dovecot", "doveadm", "ip", "unshare", "patch")
OWN = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Runs a program in namespaces of its own, which end with it."""
MODULES = ("imap", "lmtp")
PATIENCE = 90
"""Seconds that an event may take on a loaded machine."""


def missing() -> list[str]:
    """Return what the bench needs and this machine lacks."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    found = [each for each in NEEDED if not shutil.which(each, path=path)]
    found += [
        f"dovecot's {each}"
        for each in MODULES
        if not any(Path(folder, each).exists() for folder in ("/usr/lib/dovecot", "/usr/libexec/dovecot"))
    ]
    if not list(Path("/usr/lib").glob("**/dovecot/modules/lib90_antispam_plugin.so")):
        found.append("dovecot-antispam")
    if hasattr(os, "geteuid") and os.geteuid():
        found.append("root")
    elif not found:
        tried = subprocess.run([*OWN, "true"], capture_output=True, check=False)
        found += ["the right to make namespaces"] if tried.returncode else []
    return found


@dataclass
class Mail:
    """A mail to send: the way it takes, and how many copies whom should reach. ``id`` is made from name and phase."""

    name: str
    way: str
    sender: str
    to: tuple[str, ...]
    reaches: tuple[str, ...]
    subject: str = "hello"
    login: str = ""

    def id(self, phase: str) -> str:
        return f"<{self.name}.{phase}@bench.example>"


@dataclass
class World:
    """One server; ``setup`` names its configuration."""

    setup: setups.Setup
    base: Path = field(init=False)

    def __enter__(self) -> World:
        # Sockets have short paths, and other users must get in: no folder of pytest's.
        self.base = Path(tempfile.mkdtemp(prefix="lsb", dir="/tmp"))
        self.base.chmod(0o755)
        self.postfix, self.dovecot, self.log = self.base / "postfix", self.base / "dovecot", self.base / "log"
        for name in ("postfix", "dovecot", "log", "queue", "data", "vmail"):
            (self.base / name).mkdir()
        shutil.chown(self.base / "data", "postfix")
        (self.base / "vmail").chmod(0o777)
        self.log.chmod(0o777)
        self.setup.write(self.base)
        self.dspam = self.base / "dspam"
        tests = str(Path(__file__).resolve().parent.parent)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
        environment |= {
            "PYTHONPATH": tests,
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._errors = (self.base / "agent.txt").open("w+")
        self._agent = subprocess.Popen(
            [*OWN, sys.executable, "-m", "live.agent", str(self.base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            cwd="/",
        )
        self._lock = threading.Lock()
        try:
            self._hear()
            self.must("dovecot", "-c", str(self.dovecot / "dovecot.conf"))
            self.must("postfix", "-c", str(self.postfix), "check")
            self.must("postfix", "-c", str(self.postfix), "start")
            self.ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._agent.kill()  # unshare takes its child along, and with it the whole namespace
        self._agent.wait()
        for stream in (self._agent.stdin, self._agent.stdout, self._errors):
            if stream:
                stream.close()
        shutil.rmtree(self.base, ignore_errors=True)

    # --- requests to the agent

    def ask(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            assert self._agent.stdin
            self._agent.stdin.write(json.dumps([name, *arguments]) + "\n")
            self._agent.stdin.flush()
            return self._hear()

    def _hear(self) -> Any:
        assert self._agent.stdout
        line = self._agent.stdout.readline()
        if not line:
            raise RuntimeError(f"the bench's agent ended: {(self.base / 'agent.txt').read_text()}")
        said = json.loads(line)
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["answer"]

    def run(self, *command: str) -> tuple[int, str]:
        status, said = self.ask("run", list(command), {"MAIL_CONFIG": str(self.postfix)})
        return int(status), str(said)

    def must(self, *command: str) -> str:
        status, said = self.run(*command)
        assert status == 0, f"{' '.join(command)}: {said}\n{self.tail()}"
        return said

    def tail(self) -> str:
        return "\n".join(
            f"{each.name}: {line}"
            for each in sorted(self.log.glob("*.log"))
            for line in each.read_text().splitlines()[-25:]
        )

    def ready(self) -> None:
        for host, port in (("198.51.100.10", 25), ("198.51.100.10", 587), ("127.0.0.1", 25), ("127.0.0.1", 143)):
            assert self.ask("wait_for", host, port), f"nobody listens on {host}:{port}\n{self.tail()}"

    # --- mail

    def send(self, mails: list[Mail], phase: str) -> None:
        """Send the mails and wait until the queue is empty and all of its log is written."""
        self.post(mails, phase)
        self.settle([mail.id(phase) for mail in mails])

    def post(self, mails: list[Mail], phase: str) -> None:
        """Send the mails."""
        for mail in mails:
            said = self.ask(
                "send",
                {
                    "way": mail.way,
                    "sender": mail.sender,
                    "recipients": list(mail.to),
                    "subject": mail.subject,
                    "login": mail.login,
                    "id": mail.id(phase),
                    "config": str(self.postfix),
                },
            )
            assert said == "", f"{mail.name}: {said}\n{self.tail()}"

    def wait_for_log(self, *texts: str) -> None:
        """Wait until Postfix has written all of these."""
        end = time.monotonic() + PATIENCE
        while not all(text in (self.log / "mail.log").read_text(errors="replace") for text in texts):
            assert time.monotonic() < end, f"never logged: {texts}\n{self.tail()}"
            time.sleep(0.05)

    def settle(self, ids: list[str]) -> None:
        """Wait until each mail was taken into the queue and nothing that came into it is left."""
        end = time.monotonic() + PATIENCE
        while True:
            text = (self.log / "mail.log").read_text(errors="replace")
            came = set(re.findall(r"cleanup\[\d+\]: (\w+): message-id=", text))
            gone = set(re.findall(r"qmgr\[\d+\]: (\w+): removed", text))
            if came <= gone and all(f"message-id={each}" in text for each in ids):
                status, said = self.run("postqueue", "-c", str(self.postfix), "-j")
                if status == 0 and not said.strip():
                    return
            assert time.monotonic() < end, f"the queue doesn't empty: {came - gone}\n{self.tail()}"
            time.sleep(0.1)

    def train(self, login: str, mail: Mail, phase: str) -> None:
        """Have a user move a mail to Junk."""
        said = self.ask("move", login, mail.id(phase), "Junk")
        assert said == "", f"{said}\n{self.tail()}"

    def reached(self, phase: str) -> Counter[tuple[str, str]]:
        """Return how many copies of each mail of a phase lie in whose inbox, or went outside: by (name, who)."""
        found: Counter[tuple[str, str]] = Counter()
        for path in (self.base / "vmail").glob("*/Maildir/*/*"):
            if path.parent.name in {"new", "cur"}:
                identity = str(message_from_bytes(path.read_bytes())["Message-ID"])
                if f".{phase}@" in identity:
                    found[identity[1:].partition(".")[0], path.parts[-4]] += 1
        for identity, recipient in self.ask("outside"):
            if f".{phase}@" in identity:
                found[identity[1:].partition(".")[0], recipient] += 1
        return found

    # --- logs and configuration

    def logs(self) -> dict[str, Path]:
        return {path.name: path for path in (*self.log.glob("*.log"), self.dspam / "system.log")}

    def offsets(self) -> dict[str, int]:
        return {name: path.stat().st_size for name, path in self.logs().items()}

    def folder(self, name: str, since: dict[str, int] | None = None) -> Path:
        """Lay the logs (from ``since`` on) and the configuration in a folder, as an administrator would collect them."""
        place = self.base / name
        place.mkdir()
        for log, path in self.logs().items():
            data = path.read_bytes()[(since or {}).get(log, 0) :]
            if data:
                (place / log).write_bytes(data)
        for each in (*self.postfix.iterdir(), *self.dovecot.iterdir()):
            if each.is_file() and not each.name.endswith((".orig", ".rej", ".patch")) and each.name != "users":
                shutil.copy(each, place / each.name)
        for filters in ("dspam.conf", "amavisd.conf"):
            if (self.base / filters).exists():
                shutil.copy(self.base / filters, place)
        return place

    def follow(self, steps: Iterable[Step]) -> None:
        """Do what the steps of a plan say, command by command as they are printed."""
        for step in steps:
            if step.key in {"tell", "verify"}:
                continue  # what people do; the bench's next mails are of users who moved
            script = "\n".join(("set -e", *self._programs(), *step.commands))
            for old, new in (("/root/", f"{self.base}/"), ("/etc/dovecot/conf.d", str(self.dovecot))):
                script = script.replace(old, new)
            said = self.must("sh", "-c", script)
            assert "warning" not in said, said
            assert "offset" not in said, said
            assert "fuzz" not in said, said
            if step.key == "empty":
                self.settle([])
            if step.key in {"start", "reload"}:
                self.ready()

    def _programs(self) -> tuple[str, ...]:
        config = self.dovecot / "dovecot.conf"
        return tuple(f'{name}() {{ command {name} -c {config} "$@"; }}' for name in ("doveconf", "doveadm"))

    def configuration(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (*self.postfix.glob("*.cf"), *self.dovecot.glob("*.conf"))}
