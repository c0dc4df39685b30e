"""A mail server on loopback that puts what it takes into a folder, so that kills come while SMTP is spoken."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller


class Post:
    """Takes mails; a context manager. A mail counts once its last dot has come."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=port)
        self.options = ("--smtp", f"127.0.0.1:{port}", "--smtp-tls", "none")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail."""
        self.spool.mkdir(parents=True, exist_ok=True)
        content = envelope.content.replace(b"\r\n", b"\n")
        (self.spool / secrets.token_hex(8)).write_bytes(content)
        return "250 kept"

    def __enter__(self) -> Post:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()
