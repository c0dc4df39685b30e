"""Text that is safe to show: what a terminal would act on, and what a reader can't see, as visible escapes."""

from __future__ import annotations

import re

# C0, DEL, C1; soft hyphen; zero-width and bidirectional controls (CVE-2021-42574), line and paragraph separators,
# variation of tags, interlinear annotation, byte order mark, surrogates, non-characters.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str, most: int | None = None, lines: bool = False) -> str:
    """Return ``text`` with each control, bidirectional and undecodable character as a visible escape.

    ``most`` cuts the text to so many characters and says so; ``lines`` keeps newlines and turns tabs into blanks.
    """
    cut = 0
    if most is not None and len(text) > most:
        text, cut = text[:most], len(text) - most
    if lines:
        shown = "\n".join(_CONTROL.sub(_escape, line.expandtabs(8)) for line in text.split("\n"))
    else:
        shown = _CONTROL.sub(_escape, text)
    return f"{shown} … ({cut:,} more characters)" if cut else shown


SCHEMES = "https?|ftps?|sftp|ssh|scp|s3a?|gs|gcs|az|abfss?|adl|smb|webdavs?|webhdfs|hdfs|github|smtps?|lmtp|imaps?|file"
URL = re.compile(rf"(?:(?<![\w+.-])[a-z][a-z0-9+.-]*:/+|(?<!\w)(?:{SCHEMES}):(?=\S*@))[^\s\"'<>]*", re.IGNORECASE)
"""An address as fsspec takes it, also mistyped: with fewer slashes, or with those that a path has left of them."""


def without_secrets(text: str) -> str:
    """Return ``text`` with no user, password, query, parameters or fragment in any URL of it."""
    return URL.sub(lambda found: _public(found[0]), text) if ":" in text else text


def _public(url: str) -> str:
    scheme, _, rest = url.partition(":")
    slashes = rest[: len(rest) - len(rest.lstrip("/"))]
    rest = rest[len(slashes) :]
    shown, sign, behind = _parted(rest)
    place = shown.partition("/")[0]
    # A password may hold a slash, though it should be %2F there: what looks like one takes all up to the last @ along.
    if "@" in place or (":" in place and not re.fullmatch(r"[^:]*:\d*|\[.*", place) and "@" in rest):
        shown = _parted(rest.rpartition("@")[2])[0] if "@" in rest else "…"
    end = sign if sign and not behind else ""
    return f"{scheme}:{slashes}{shown}{end}"


def _parted(text: str) -> tuple[str, str, str]:
    found = re.search(r"[?#;]", text)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")
