"""Text that is safe to show: what a terminal would act on, and what a reader can't see, as visible escapes; no passwords."""

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


HIDDEN = "<hidden>"
"""What stands in the place of a password; Dovecot writes the same where it hides one itself."""

_TAB = r"(?:[\t ]|#011|\\t)"
_BASE64 = "[A-Za-z0-9+/]{4,}={0,2}"
_DIALOGUE = r"< \S+\[[^\]]*\](?::\w+)?: "
_COMMANDS = "quit|data|rset|noop|helo|ehlo|vrfy|help|starttls"
_SHOWN = tuple(
    (word, re.compile(pattern))
    for word, pattern in (
        # Dovecot auth/auth-request.c, auth_request_append_password(); passdb-pam.c.
        ("given password: ", r"(\((?:SHA1 of )?given password: )(?!<hidden>).*"),
        # auth/auth-client-connection.c, auth-master-connection.c with auth_debug_passwords.
        ("client in: auth", r"(\bclient in: AUTH(?![a-z]).*?(?:\b|#011|\\t)resp=)(?!<hidden>).*"),
        ("client in: cont", rf"(\bclient in: CONT{_TAB}+\d+{_TAB}+)(?!<hidden>).*"),
        (" out: ", r"(\b(?:passdb|master|userdb|client) out: .*?pass\w*=)(?!<hidden>).*"),
        # auth/auth-request.c, passdb.c, passdb-cache.c with auth_debug_passwords.
        ("): credentials: ", r"(\): Credentials: )[0-9a-fA-F]+"),
        ("): cache hit: ", r"(\): cache hit: )(?!<hidden>).*"),
        (") != '", r"(: [A-Z][A-Z0-9.-]*\()(?!<hidden>).*(?=\) != ')"),
        (") != '", r"(\) != ')(?!<hidden>).*"),
        ("' in passdb: ", r"(\bInvalid password ')(?!<hidden>).*(?=' in passdb: )"),
        (", password '", r"(\bGenerating \S+ from user '.*', password ')(?!<hidden>).*"),
        (" (input: ", r"(\bbut we have only \S+ \(input: )(?!<hidden>).*"),
        # Postfix smtpd/smtpd_chat.c, xsasl/xsasl_dovecot_server.c, xsasl_cyrus_server.c with -v.
        ("]: auth ", rf"({_DIALOGUE}(?i:AUTH) \S+ ){_BASE64}"),
        ("< ", rf"({_DIALOGUE})(?!(?i:{_COMMANDS})$){_BASE64}$"),
        (", init_response ", rf"(\bsasl_method \S+, init_response ){_BASE64}"),
        ("decoded ", r"(\bdecoded (?:initial )?response:? )(?!<hidden>).+"),
        # A journal's message with odd bytes is a list of numbers, which may spell a password.
        ('"message"', r'("MESSAGE" ?: ?)\[[\d, ]+\]'),
        # Queries and connections of databases, of any program.
        ("pass", r"(?i)(\bpass(?:word|wd)? ?= ?')(?!<hidden>)[^']*"),
        ("pass", r"(?i)(\bpass(?:word|wd)=)(?!<hidden>|')[^\s,;&\")]+"),
    )
)
"""By a word that a text (in lower case) must hold: what stands before a password, and the password. One may hold a bracket or a
quote: what follows it up to the line's end goes with it."""


def without_passwords(text: str) -> str:
    """Return ``text`` with :data:`HIDDEN` in the place of each password that a program wrote into its log."""
    low = text.lower()
    for word, pattern in _SHOWN:
        if word in low:
            text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def visible(text: str, most: int | None = None, lines: bool = False) -> str:
    """Return ``text`` with each control, bidirectional and undecodable character as a visible escape.

    ``most`` cuts the text to so many characters and says so; ``lines`` keeps newlines and turns tabs into blanks. Passwords
    are left out (:func:`without_passwords`).
    """
    cut, text = 0, without_passwords(text)
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
