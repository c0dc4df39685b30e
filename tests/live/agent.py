"""Runs within the bench's own namespaces: addresses on loopback, the filters, the mail clients, commands.

``python -m live.agent BASE`` reads one request a line from standard input, a JSON list of a name and arguments, and answers
each with one line. As the first process of its namespace it reaps what Postfix and Dovecot leave behind; when it ends,
all of them end.
"""

from __future__ import annotations

import imaplib
import json
import os
import smtplib
import subprocess
import sys
import tempfile
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from live.filters import Once, Outside, PerRecipient, Threads, UnixThreads, listens, serve

SERVER = "198.51.100.10"
"""Postfix's outer address."""
STRANGER = "203.0.113.7"
"""Where mail from outside comes from, and where it goes: the outside's server."""


def run(command: list[str], environment: dict[str, str] | None = None, text: str = "") -> tuple[int, str]:
    """Run a command; return its status and what it wrote."""
    # What a command starts and leaves running keeps its output open: a file ends where a pipe would not.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            command,
            input=text,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **(environment or {})},
        )
        said.seek(0)
        return done.returncode, said.read()


def begin(base: str) -> None:
    """Put the addresses on loopback and start the servers."""
    for words in (["addr", "add", f"{SERVER}/32", "dev", "lo"], ["addr", "add", f"{STRANGER}/32", "dev", "lo"]):
        subprocess.run(["ip", *words], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    place = Path(base)
    PerRecipient.home, PerRecipient.back, PerRecipient.log = place / "dspam", 10026, place / "log" / "dspam.log"
    Once.log, Once.back, Once.local = place / "log" / "amavis.log", 10025, "example.com"
    (place / "dspam").mkdir()
    (place / "dspam").chmod(0o777)
    for each in (place / "dspam" / "system.log", PerRecipient.log):
        each.touch()
        each.chmod(0o666)  # users train, too
    socket = place / "dspam.sock"
    serve(UnixThreads(str(socket), PerRecipient))
    socket.chmod(0o666)
    serve(Threads(("127.0.0.1", 10024), Once))
    serve(Threads((STRANGER, 25), Outside))


def send(mail: dict[str, Any]) -> str:
    """Send one mail on the way it names; return what was said, empty where it was taken."""
    message = EmailMessage()
    message["From"] = mail["sender"]
    message["To"] = ", ".join(mail["recipients"])
    message["Subject"] = mail["subject"]
    message["Message-ID"] = mail["id"]
    message.set_content("A mail of the bench.\n")
    if mail["way"] == "sendmail":
        command = ["/usr/sbin/sendmail", "-C", mail["config"], "-i", "-f", mail["sender"], *mail["recipients"]]
        status, said = run(command, text=message.as_string())
        return said if status else ""
    host, port, source = {
        "outside": (SERVER, 25, STRANGER),
        "port-25": (SERVER, 25, STRANGER),
        "submission": (SERVER, 587, STRANGER),
        "loopback": ("127.0.0.1", 25, "127.0.0.1"),
    }[mail["way"]]
    try:
        with smtplib.SMTP(
            host, port, local_hostname="client.example", source_address=(source, 0), timeout=60
        ) as client:
            client.ehlo()
            if mail.get("login"):
                client.login(mail["login"], "secret")
            client.send_message(message, mail["sender"], mail["recipients"])
    except (OSError, smtplib.SMTPException) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def move(login: str, message_id: str, folder: str) -> str:
    """Move a mail of the inbox to another folder over IMAP; return what went wrong."""
    with imaplib.IMAP4("127.0.0.1", 143, timeout=60) as client:
        client.login(login, "secret")
        client.select("INBOX")
        _, found = client.uid("SEARCH", "HEADER", "Message-ID", message_id)
        numbers = (found[0] or b"").decode().split()
        if not numbers:
            return "no such mail"
        status, said = client.uid("COPY", numbers[0], folder)
        return "" if status == "OK" else repr(said)


def wait_for(host: str, port: int, seconds: float = 60) -> bool:
    """Wait until somebody listens."""
    end = time.monotonic() + seconds
    while not listens(host, port):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def outside() -> list[tuple[str, str]]:
    """Return what reached the outside."""
    return list(Outside.seen)


REQUESTS: dict[str, Any] = {each.__name__: each for each in (run, send, move, wait_for, outside)}


def answer(line: str) -> Any:
    """Return the answer to a request."""
    name, *arguments = json.loads(line)
    try:
        return {"answer": REQUESTS[name](*arguments)}
    except Exception as error:
        return {"error": f"{name}: {type(error).__name__}: {error}"}


def main() -> None:
    """Serve requests in a child; as process 1, reap."""
    child = os.fork()
    if child:
        while True:
            ended, _ = os.wait()
            if ended == child:
                os._exit(0)
    begin(sys.argv[1])
    print(json.dumps({"answer": "ready"}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
