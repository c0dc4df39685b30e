"""Small servers for the bench: a filter that hands back a copy a recipient, one that hands back once, and the outside.

Each speaks what the real one speaks as far as Postfix and the logs can tell. The first is like DSPAM: LMTP, one session
with HELO per recipient, ``250 2.6.0 <rcpt> Message accepted for delivery``, rows in system.log, signatures by user. The
second is like amavis: SMTP with XFORWARD, handed back in one transaction (a second one for recipients elsewhere, whose
headers it leaves alone), its verdict as a log line. Mail is spam where its subject says so.
"""

from __future__ import annotations

import re
import smtplib
import socket
import socketserver
import threading
import time
from email import message_from_bytes
from pathlib import Path
from typing import ClassVar

HOST = "mx1"
"""As Postfix names itself in its own file."""
SPAM = "cheap"
"""The word of a subject that both filters take for spam."""


def stamp() -> str:
    """Return the time as syslog writes it."""
    now = time.localtime()
    return f"{time.strftime('%b', now)} {now.tm_mday:2} {time.strftime('%H:%M:%S', now)}"


class Session(socketserver.StreamRequestHandler):
    """One SMTP or LMTP session; what becomes of a mail, :meth:`taken` decides: a reply, or one for each recipient."""

    banner: ClassVar[str] = "220 bench"
    extensions: ClassVar[tuple[str, ...]] = ()
    per_recipient: ClassVar[bool] = False

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self) -> None:
        self.recipients: list[str]
        self.sender, self.recipients, self.forwarded = "", [], ""
        self.say(self.banner)
        while line := self.rfile.readline().decode("utf-8", "replace").strip():
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO" | "LHLO" | "HELO":
                    for each in ("bench", *self.extensions[:-1]):
                        self.say(f"250-{each}")
                    self.say(f"250 {(self.extensions or ('8BITMIME',))[-1]}")
                case "XFORWARD":
                    self.forwarded += f" {rest}"
                    self.say("250 2.0.0 Ok")
                case "MAIL":
                    self.sender = rest.partition("<")[2].partition(">")[0]
                    self.recipients = []
                    self.say("250 2.1.0 Ok")
                case "RCPT":
                    self.recipients.append(rest.partition("<")[2].partition(">")[0])
                    self.say("250 2.1.5 Ok")
                case "DATA":
                    self.say("354 Go on")
                    replies = self.taken(self._data())
                    for reply in replies if self.per_recipient else replies[:1]:
                        self.say(reply)
                case "QUIT":
                    self.say("221 2.0.0 Bye")
                    return
                case _:
                    self.say("250 2.0.0 Ok")

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def taken(self, data: bytes) -> list[str]:
        raise NotImplementedError


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


class UnixThreads(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def _field(data: bytes, name: str) -> str:
    return str(message_from_bytes(data)[name] or "")


class PerRecipient(Session):
    """The filter that is like DSPAM. ``home`` is its folder, ``log`` the file for its syslog lines, ``back`` the port."""

    banner = "220 DSPAM LMTP 3.10.2 Ready"
    extensions = ("PIPELINING", "ENHANCEDSTATUSCODES")
    per_recipient = True
    home: ClassVar[Path]
    log: ClassVar[Path]
    back: ClassVar[int]
    lock: ClassVar[threading.Lock] = threading.Lock()
    made: ClassVar[int] = 0

    def taken(self, data: bytes) -> list[str]:
        return [self._one(data, recipient) for recipient in self.recipients]

    def _one(self, data: bytes, recipient: str) -> str:
        spam = SPAM in _field(data, "Subject")
        with self.lock:
            PerRecipient.made += 1
            signature = f"{int(time.time()):08x}{4000 + self.made}{10000 + self.made}"
        place = signature_file(self.home, recipient, signature)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
        fields = [
            str(int(time.time())),
            "S" if spam else "I",
            _field(data, "From"),
            signature,
            _field(data, "Subject"),
            "0.010000",
            recipient,
            "Delivered",
            _field(data, "Message-ID"),
        ]
        with self.lock, (self.home / "system.log").open("a") as log:
            log.write("\t".join(fields) + "\n")
        with self.lock, self.log.open("a") as log:  # as with TrackSources
            log.write(
                f"{stamp()} {HOST} dspam[4400]: {'spam detected' if spam else 'innocent message'} from 203.0.113.7\n"
            )
        head = f"X-DSPAM-Result: {'Spam' if spam else 'Innocent'}\r\nX-DSPAM-Signature: {signature}\r\n"
        said = hand_back(self.back, "helo", self.sender, [recipient], head.encode() + data)[0]
        if said.startswith("2"):
            return f"250 2.6.0 <{recipient}> Message accepted for delivery"
        if said.startswith("5"):
            return f"530 5.3.0 <{recipient}> Fatal: {said}"
        return f"421 4.3.0 <{recipient}> Deferred: {said}"


class Once(Session):
    """The filter that is like amavis. ``log`` is the file for its lines, ``back`` the port it hands mail back to."""

    banner = "220 [127.0.0.1] ESMTP amavisd-new service ready"
    extensions = (
        "PIPELINING",
        "SIZE",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
        "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
    )
    log: ClassVar[Path]
    back: ClassVar[int]
    local: ClassVar[str]
    lock: ClassVar[threading.Lock] = threading.Lock()
    made: ClassVar[int] = 0

    def taken(self, data: bytes) -> list[str]:
        spam = SPAM in _field(data, "Subject")
        with self.lock:
            Once.made += 1
            number = self.made
        told = dict(re.findall(r"(\w+)=(\S+)", self.forwarded))
        self.forwarded = ""
        here = [each for each in self.recipients if each.lower().endswith(f"@{self.local}")]
        away = [each for each in self.recipients if each not in here]
        queued: list[str] = []
        replies: list[str] = []
        for group in (here, away):
            if group:
                head = b"X-Spam-Flag: YES\r\n" if spam else b""
                reply, known = hand_back(self.back, "ehlo", self.sender, group, head + data)
                replies.append(reply)
                queued += known
        bad = next((each for each in replies if not each.startswith("2")), "")
        if bad:
            return [bad]
        word = "SPAMMY {RelayedTagged" if spam else "CLEAN {Relayed"
        way = "Inbound" if here else "Outbound"
        client = told.get("ADDR", "127.0.0.1")
        line = (
            f"{stamp()} {HOST} amavis[4500]: (04500-{number:02}) Passed {word}{way}}}, [{client}]:40000 [{client}] "
            f"<{self.sender}> -> {','.join(f'<{each}>' for each in self.recipients)}, "
            f"Queue-ID: {told.get('IDENT', '-')}, Message-ID: {_field(data, 'Message-ID')}, mail_id: bench{number:07}, "
            f"Hits: {11.2 if spam else -1.1}, size: {len(data)}, queued_as: {'/'.join(queued)}, 20 ms\n"
        )
        with self.lock, self.log.open("a") as log:
            log.write(line)
        return [f"250 2.0.0 from MTA(smtp:[127.0.0.1]:{self.back}): 250 2.0.0 Ok: queued as {queued[0]}"]


class Outside(Session):
    """The rest of the world: takes everything, and notes (Message-ID, recipient) of each mail."""

    banner = "220 outside.example ESMTP"
    extensions = ("8BITMIME",)
    seen: ClassVar[list[tuple[str, str]]] = []

    def taken(self, data: bytes) -> list[str]:
        self.seen.extend((_field(data, "Message-ID"), each) for each in self.recipients)
        return ["250 2.0.0 Ok: queued as OUTSIDE"]


def hand_back(port: int, greeting: str, sender: str, recipients: list[str], data: bytes) -> tuple[str, list[str]]:
    """Hand a mail back to Postfix: what it said last, and its queue ID."""
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost", timeout=60) as back:
            (back.helo if greeting == "helo" else back.ehlo)("localhost")
            code, text = back.mail(sender)
            for each in recipients:
                if code < 400:
                    code, text = back.rcpt(each)
            if code < 400:
                code, text = back.data(data)
    except (OSError, smtplib.SMTPException) as error:
        return f"451 4.4.1 {error}", []
    said = text.decode("utf-8", "replace").replace("\n", " ")
    return f"{code} {said}", re.findall(r"queued as (\w+)", said)


def signature_file(home: Path, user: str, signature: str) -> Path:
    """Return where DSPAM keeps a signature, built with --enable-domain-scale."""
    local, _, domain = user.partition("@")
    return home / "data" / (domain or "local") / local / f"{local}.sig" / f"{signature}.sig"


def serve(server: socketserver.BaseServer) -> None:
    """Serve in a thread until the process ends."""
    threading.Thread(target=server.serve_forever, daemon=True).start()


def listens(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0
