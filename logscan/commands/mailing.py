"""Sends a report by mail: through an SMTP server with TLS and authentication, or the sendmail command."""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import ssl
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

from logscan.commands.smtp_talk import Conversation, OverrunError

SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
PORTS = {"none": 25, "starttls": 587, "ssl": 465}
PASSWORD = "LOGSCAN_SMTP_PASSWORD"  # noqa: S105 - the variable's name
USER = "LOGSCAN_SMTP_USER"


class MailError(Exception):
    """A mail could not be sent; the message says why and what to change."""


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


def recipients(mail: EmailMessage) -> list[str]:
    """Return the envelope's recipients: the addresses of To, Cc and Bcc, each once."""
    found: dict[str, None] = {}
    for name in ("To", "Cc", "Bcc"):
        for header in mail.get_all(name, []):
            for address in header.addresses:
                found[address.addr_spec] = None
    return list(found)


def send(mail: EmailMessage, server: Server | None = None) -> None:
    """Send ``mail`` to the addresses it names. Raises :class:`MailError`, also when one recipient of several fails."""
    server = server or Server()
    to = recipients(mail)
    if not to:
        raise MailError("the mail has no recipient: name one with --mail-to")
    if server.host:
        _smtp(mail, to, server)
    else:
        _sendmail(mail, to, server)


def _sender(mail: EmailMessage) -> str:
    addresses = mail["From"].addresses
    return str(addresses[0].addr_spec)


def _smtp(mail: EmailMessage, to: list[str], server: Server) -> None:
    port = server.port or PORTS[server.tls]
    place = f"{server.host}:{port}"
    credentials = server.credentials()
    if credentials and server.tls == "none" and not _loopback(server.host):
        raise MailError(f"a password would go to {place} in the clear: use starttls or ssl")
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
            refused = smtp.send_message(mail, from_addr=_sender(mail), to_addrs=to)
        if refused:
            raise MailError(f"{place} refused " + "; ".join(f"{who}: {_reply(*why)}" for who, why in refused.items()))
    except MailError:
        raise
    except OverrunError as error:
        raise MailError(f"{place} {error}") from error
    except smtplib.SMTPAuthenticationError as error:
        raise MailError(f"{place} refused user and password: {_reply(error.smtp_code, error.smtp_error)}") from error
    except smtplib.SMTPRecipientsRefused as error:
        why = "; ".join(f"{who}: {_reply(*reply)}" for who, reply in error.recipients.items())
        raise MailError(f"{place} refused every recipient: {why}") from error
    except smtplib.SMTPResponseException as error:
        raise MailError(f"{place} refused the mail: {_reply(error.smtp_code, error.smtp_error)}") from error
    except ssl.SSLCertVerificationError as error:
        raise MailError(f"the certificate of {place} can't be trusted: {error.verify_message}") from error
    except UnicodeError as error:
        raise MailError(f"{place}: user, password and addresses must be ASCII there") from error
    except (ssl.SSLError, smtplib.SMTPException) as error:
        raise MailError(f"{place}: {error}") from error
    except socket.gaierror as error:
        raise MailError(f"there is no host {server.host}: {error.strerror}") from error
    except TimeoutError as error:
        raise MailError(f"{place} did not answer within {server.timeout:g} s") from error
    except OSError as error:
        raise MailError(f"{place} can't be reached: {error.strerror or error}") from error


def _loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def _reply(code: int, text: bytes | str) -> str:
    """Return a server's reply as one line; it is somebody else's text."""
    from logscan.visible import visible

    words = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return f"{code} {visible(words, 300)}"


def _sendmail(mail: EmailMessage, to: list[str], server: Server) -> None:
    command = server.sendmail or next(
        (path for path in SENDMAIL if Path(path).exists()), shutil.which("sendmail") or ""
    )
    if not command:
        raise MailError("there is no sendmail on this host: install a mail server or name an SMTP server")
    # -i: a line with a single dot does not end the mail. "--": no address can be an option.
    arguments = [command, "-i", "-f", _sender(mail), "--", *to]
    # sendmail reads local line ends.
    data = mail.as_bytes(policy=mail.policy.clone(linesep="\n"))
    try:
        done = subprocess.run(arguments, input=data, capture_output=True, timeout=server.timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise MailError(f"{command} did not end within {server.timeout:g} s") from error
    except OSError as error:
        raise MailError(f"{command} can't be started: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "backslashreplace").strip().splitlines()
        raise MailError(f"{command} ended with status {done.returncode}" + (f": {said[-1][:300]}" if said else ""))
