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
