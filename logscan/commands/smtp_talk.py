"""An SMTP conversation with an end: a server that drips one byte after the other, or never stops talking, is left."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from typing import Any

MOST_SAID = 1 << 20
"""Bytes of answers read in one conversation."""


class OverrunError(Exception):
    """The server took too long or said too much; the message goes on behind its name."""


class _Ear:
    """What a server says, counted."""

    def __init__(self, file: Any, talk: _Talk) -> None:
        self._file, self._talk = file, talk

    def readline(self, size: int) -> bytes:
        line: bytes = self._file.readline(size)
        self._talk.said += len(line)
        self._talk.check()
        return line

    def close(self) -> None:
        self._file.close()


class _Talk:
    """The limits of a conversation, for smtplib's classes to be mixed with."""

    limit: float
    said = 0
    sock: socket.socket | None
    _ear: _Ear | None = None
    _over = False
    _timer: threading.Timer | None = None

    @property
    def file(self) -> Any:
        """Where smtplib reads from."""
        return self._ear

    @file.setter
    def file(self, file: Any) -> None:
        self._ear = None if file is None else _Ear(file, self)

    def begin(self, limit: float) -> None:
        """Start the clock."""
        self.limit = limit
        self._timer = threading.Timer(limit, self._end)
        self._timer.daemon = True
        self._timer.start()

    def done(self) -> None:
        """Stop the clock."""
        if self._timer:
            self._timer.cancel()

    def _end(self) -> None:
        self._over = True
        if self.sock is not None:
            with suppress(OSError):
                # Not the TLS layer's own shutdown, which waits for an answer.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise :class:`OverrunError` when a limit is passed."""
        if self._over:
            raise OverrunError(f"did not come to an end within {self.limit:g} s")
        if self.said > MOST_SAID:
            raise OverrunError("said more than 1 MB")


class Plain(_Talk, smtplib.SMTP):
    """A conversation in the clear, or with STARTTLS."""


class Tls(_Talk, smtplib.SMTP_SSL):
    """A conversation in TLS from its beginning."""


class Conversation:
    """A conversation with ``host`` as a context: what ended it by force is raised as :class:`OverrunError`."""

    def __init__(self, host: str, port: int, *, timeout: float, limit: float, tls: ssl.SSLContext | None) -> None:
        self.host, self.port, self.limit = host, port, limit
        self.talk: Plain | Tls = Tls(timeout=timeout, context=tls) if tls else Plain(timeout=timeout)

    def __enter__(self) -> Plain | Tls:
        talk = self.talk
        # The name that the certificate is checked for; smtplib sets it only where it connects on its own.
        talk._host = self.host  # type: ignore[union-attr]
        talk.begin(self.limit)
        try:
            code, said = talk.connect(self.host, self.port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return talk

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        talk = self.talk
        try:
            if kind is None:
                talk.quit()
        except (OSError, smtplib.SMTPException, OverrunError):
            pass  # the mail is the server's by then
        finally:
            talk.done()
            talk.close()
        if isinstance(error, (OSError, smtplib.SMTPException)):
            talk.check()
