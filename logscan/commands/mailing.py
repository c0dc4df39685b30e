"""Sends a report by mail: through an SMTP server with TLS and authentication, or the sendmail command."""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import ssl
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from logscan.commands.smtp_talk import Conversation, OverrunError
from logscan.visible import visible

SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
PORTS = {"none": 25, "starttls": 587, "ssl": 465}
LASTING = (os.EX_DATAERR, os.EX_NOUSER, os.EX_NOHOST)
"""Statuses of sendmail (sysexits.h) that say that this mail, or whom it is to, will never do."""

PASSWORD = "LOGSCAN_SMTP_PASSWORD"  # noqa: S105 - the variable's name
USER = "LOGSCAN_SMTP_USER"


About = Literal["way", "mail", "final"]
"""What a failure is about: the ``way``, so that no other mail gets out either; this ``mail``, or one of its recipients, for
now; or it is ``final``: the same is to be expected when it is tried again."""


class MailError(Exception):
    """A mail could not be sent; the message says why and what to change."""

    def __init__(self, text: str, about: About = "way") -> None:
        super().__init__(text)
        self.about = about


@dataclass(frozen=True)
class Envelope:
    """Whom a mail is from and to, whatever stands in its headers."""

    sender: str
    """An address; one without a domain is left to sendmail, which takes the user who runs it."""
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    """How mail leaves. Without ``host`` it goes through sendmail; port 0 means the usual one."""

    host: str = ""
    port: int = 0
    tls: Literal["none", "starttls", "ssl"] = "starttls"
    user: str = ""
    password_file: Path | None = None
    """A file that holds the password in its first line; else the variable LOGSCAN_SMTP_PASSWORD."""
    sendmail: str = ""
    timeout: float = 30.0
    """Seconds that one answer may take; sendmail has them for all."""
    limit: float = 300.0
    """Seconds that the whole conversation with a server may take."""
    ca_file: Path | None = None
    """Certificates to trust beside the system's."""

    def credentials(self, environment: Mapping[str, str] | None = None) -> tuple[str, str] | None:
        """Return user and password, None without a user. Raises :class:`MailError`."""
        values = os.environ if environment is None else environment
        user = self.user or values.get(USER, "")
        if not user:
            return None
        if self.password_file is None:
            if PASSWORD not in values:
                raise MailError(f"no password for {user}: set {PASSWORD} or name a password file")
            return user, values[PASSWORD]
        try:
            if self.password_file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise MailError(f"{self.password_file} can be read by everyone: chmod 600 {self.password_file}")
            lines = self.password_file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise MailError(f"the password file {self.password_file} can't be read: {why}") from error
        if not lines or not lines[0]:
            raise MailError(f"the password file {self.password_file} is empty")
        return user, lines[0]


def deliver(content: bytes, envelope: Envelope, server: Server | None = None) -> None:
    """Send exactly these bytes, with line ends as on the wire. Raises :class:`MailError`, also when one recipient fails."""
    server = server or Server()
    if not envelope.recipients:
        raise MailError("the mail has no recipient: name one with --mail-to", "final")
    if server.host:
        _smtp(content, envelope, server)
    else:
        _sendmail(content, envelope, server)


def _smtp(content: bytes, envelope: Envelope, server: Server) -> None:
    port = server.port or PORTS[server.tls]
    place = f"{server.host}:{port}"
    credentials = server.credentials()
    if credentials and server.tls == "none" and not _loopback(server.host):
        raise MailError(f"a password would go to {place} in the clear: use starttls or ssl")
    about: About = "way"
    try:
        context = ssl.create_default_context()
        if server.ca_file:
            context.load_verify_locations(server.ca_file)
        tls = context if server.tls == "ssl" else None
        with Conversation(server.host, port, timeout=server.timeout, limit=server.limit, tls=tls) as smtp:
            smtp.ehlo_or_helo_if_needed()
            if server.tls == "starttls":
                if not smtp.has_extn("starttls"):
                    raise MailError(
                        f"{place} does not offer STARTTLS: use ssl (port 465), or none on a trusted network"
                    )
                smtp.starttls(context=context)
                smtp.ehlo()
            if credentials:
                smtp.login(*credentials)
            about = "mail"
            refused = smtp.sendmail(envelope.sender, envelope.recipients, content)
        if refused:
            raise MailError(f"{place} refused {_refused(refused)}", _lasting(code for code, _ in refused.values()))
    except MailError:
        raise
    except (OverrunError, ssl.SSLError, smtplib.SMTPException, OSError, UnicodeError) as error:
        raise _told(error, server, place, about) from error


def _told(error: Exception, server: Server, place: str, about: About) -> MailError:
    """Return what went wrong in a conversation; ``about``: whether the mail's turn had come."""
    match error:
        case OverrunError():
            return MailError(f"{place} {error}", about)
        case smtplib.SMTPAuthenticationError():
            return MailError(f"{place} refused user and password: {_reply(error.smtp_code, error.smtp_error)}")
        case smtplib.SMTPRecipientsRefused():
            kind = _lasting(code for code, _ in error.recipients.values())
            return MailError(f"{place} refused every recipient: {_refused(error.recipients)}", kind)
        case smtplib.SMTPSenderRefused():
            said = _reply(error.smtp_code, error.smtp_error)
            return MailError(f"{place} refused the sender {visible(error.sender, 200)}: {said}")
        case smtplib.SMTPDataError():
            said = _reply(error.smtp_code, error.smtp_error)
            return MailError(f"{place} refused the mail: {said}", _lasting([error.smtp_code]))
        case smtplib.SMTPResponseException():
            return MailError(f"{place} refused the mail: {_reply(error.smtp_code, error.smtp_error)}", about)
        case ssl.SSLCertVerificationError():
            return MailError(f"the certificate of {place} can't be trusted: {error.verify_message}")
        case UnicodeError():
            return MailError(f"{place}: user, password and addresses must be ASCII there", about)
        case socket.gaierror():
            return MailError(f"there is no host {server.host}: {error.strerror}")
        case TimeoutError():
            return MailError(f"{place} did not answer within {server.timeout:g} s", about)
        case OSError() if not isinstance(error, ssl.SSLError | smtplib.SMTPException):
            return MailError(f"{place} can't be reached: {error.strerror or error}", about)
        case _:
            return MailError(f"{place}: {visible(str(error), 300)}", about)


def _loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def _lasting(codes: Iterable[int]) -> About:
    """Return whether a refusal is for good: one recipient that may be taken later keeps it from being so."""
    return "final" if all(code >= 500 for code in codes) else "mail"


def _refused(replies: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{who}: {_reply(*why)}" for who, why in replies.items())


def _reply(code: int, text: bytes | str) -> str:
    """Return a server's reply as one line; it is somebody else's text."""
    words = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return f"{code} {visible(words, 300)}"


def in_memory() -> BinaryIO:
    """Return a file that no full disk keeps from being written, where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("logscan"), "w+b")
    return cast("BinaryIO", tempfile.TemporaryFile())


def _sendmail(content: bytes, envelope: Envelope, server: Server) -> None:
    command = server.sendmail or next(
        (path for path in SENDMAIL if Path(path).exists()), shutil.which("sendmail") or ""
    )
    if not command:
        raise MailError("there is no sendmail on this host: install a mail server or name an SMTP server")
    # A sender without a domain would become a user of this host, whom there need not be: a bounce would reach nobody.
    sender = ["-f", envelope.sender] if "@" in envelope.sender else []
    # -i: a line with a single dot does not end the mail. "--": no address can be an option.
    arguments = [command, "-i", *sender, "--", *envelope.recipients]
    # sendmail reads local line ends.
    data = content.replace(b"\r\n", b"\n")
    try:
        # A file, not a pipe: of a pipe whose writer is killed, sendmail would take the half for a whole mail.
        with in_memory() as whole:
            whole.write(data)
            whole.seek(0)
            done = subprocess.run(arguments, stdin=whole, capture_output=True, timeout=server.timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise MailError(f"{command} did not end within {server.timeout:g} s", "mail") from error
    except OSError as error:
        raise MailError(f"{command} can't be started: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "backslashreplace").strip().splitlines()
        kind: About = "final" if done.returncode in LASTING else "mail"
        why = f": {visible(said[-1], 300)}" if said else ""
        raise MailError(f"{command} ended with status {done.returncode}{why}", kind)
