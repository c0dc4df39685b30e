"""Runs within namespaces of its own: Postfix on loopback, which delivers to Maildirs, and what is mailed through it.

``python -m live.mailed BASE`` reads what to run from standard input, a JSON list of ``[command, Maildirs, mails]``: each
command is run and the mails are waited for. It answers with a JSON list of ``[status, what was said]``. With its end all ends.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from live.agent import run
from live.setups import SERVICES

MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/log/mail.log
maillog_file_prefixes = {base}
myhostname = mx1.example.com
myorigin = example.com
mydestination = localhost
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_maps = texthash:{base}/postfix/vmailbox
virtual_mailbox_base = {base}/vmail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
biff = no
"""
MASTER = "pickup unix n - n 60 1 pickup\n127.0.0.1:25 inet n - n - - smtpd\n"
PATIENCE = 60


def write(base: Path) -> None:
    """Lay down the folders and the configuration."""
    for name in ("postfix", "log", "queue", "data", "vmail"):
        (base / name).mkdir()
    for name in ("log", "vmail"):
        (base / name).chmod(0o777)
    (base / "postfix" / "main.cf").write_text(MAIN.format(base=base))
    (base / "postfix" / "master.cf").write_text(MASTER + SERVICES)
    (base / "postfix" / "vmailbox").write_text(
        "".join(f"{each}@example.com {each}/\n" for each in ("root", "ann", "bob"))
    )


def begin(base: Path) -> None:
    """Start Postfix and wait until it listens."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for what in ("check", "start"):
        status, said = run(["postfix", "-c", str(base / "postfix"), what])
        if status:
            raise RuntimeError(said)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", 25), 5).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def wait_for(base: Path, number: int) -> None:
    """Wait until so many mails lie in all Maildirs together."""
    end = time.monotonic() + PATIENCE
    while len(list((base / "vmail").glob("*/new/*"))) < number:
        if time.monotonic() > end:
            raise RuntimeError((base / "log" / "mail.log").read_text(errors="replace")[-4000:])
        time.sleep(0.05)


def main() -> None:
    base = Path(sys.argv[1])
    begin(base)
    answers = []
    for command, number in json.load(sys.stdin):
        answers.append(run(command, {"MAIL_CONFIG": str(base / "postfix"), "TMPDIR": str(base)}))
        wait_for(base, number)
    os.write(1, json.dumps(answers).encode())


if __name__ == "__main__":
    main()
