"""Mail addresses that were typed: as the email package wants them, or said to be none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.headerregistry import Address

from logscan.rendering.renderers import RenderError
from logscan.visible import visible

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_+.-]{0,62}[A-Za-z0-9_+-])?", re.ASCII)
"""What a user or an alias here is called; a command or a file is never one."""


def addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    """Return the addresses; a bare local name (``root``) is one, whose domain the mail server on this host fills in.

    Raises :class:`RenderError` for what is no address.
    """
    found = []
    for text in texts:
        try:
            if visible(text) != text:
                raise ValueError("it holds a control character")
            found.append(_address(text) if "<" not in text else _named(text))
        except (ValueError, IndexError) as error:
            raise RenderError(f"{visible(text, 200)!r} is not a mail address: {error}") from None
        except Exception as error:  # the parser's own errors (HeaderParseError) have no common base
            raise RenderError(f"{visible(text, 200)!r} is not a mail address") from error
    return tuple(found)


def _address(text: str, name: str = "") -> Address:
    if not text.isascii():
        raise ValueError("letters beyond ASCII need a server that takes them: write the domain as xn--...")
    if "@" in text:
        return Address(name, addr_spec=text)
    if not _NAME.fullmatch(text) or ".." in text:
        raise ValueError("it is neither user@domain nor the name of a user here")
    return Address(name, username=text)


def _named(text: str) -> Address:
    name, _, rest = text.partition("<")
    if not rest.endswith(">"):
        raise ValueError("the closing > is missing")
    return _address(rest[:-1], name.strip().strip('"'))


def id_domain(*names: str) -> str:
    """Return what stands behind the @ of a Message-ID: the first of ``names`` (hosts, domains) of which anything is left.

    It need not have a dot: it names a host, and nobody looks it up.
    """
    for name in names:
        kept = "".join(letter for letter in name.lower() if letter.isascii() and (letter.isalnum() or letter in ".-"))
        kept = ".".join(filter(None, (label.strip("-") for label in kept[:200].split("."))))
        if kept:
            return kept
    return "localhost"
