"""Why a mailbox took no mail, by what its server, or Postfix's own delivery agent, says of it."""

from __future__ import annotations

import re
from functools import lru_cache

OVER_QUOTA, UNKNOWN, DISABLED = "over-quota", "unknown-user", "mailbox-disabled"
PERMISSION, NO_SPACE, INTERNAL = "permission-denied", "no-space", "internal-error"
BROKEN, FAILED, REFUSING = "script-broken", "script-failed", "script-refuses"

_ADDRESS = re.compile(r"<[^<>]*>")
_SAID = re.compile(r"(?s)\bsaid: (?P<code>[45]\d\d)[ -](?P<text>.*)")
_DSN = re.compile(r"\b[45]\.(\d{1,3}\.\d{1,3})\b")

_QUOTA = re.compile(
    r"(?i)\bquota\b|over ?quota|mailbox (?:for user )?(?:is |was )?full|mailbox size limit|exceeded its (?:size )?limit"
    r"|insufficient (?:mailbox )?storage|file too large"
)
"""Dovecot plugins/quota/quota-settings.c, lib-storage/mail-error.h; EDQUOT and EFBIG of Postfix global/mail_copy.c."""
_UNKNOWN = re.compile(
    r"(?i)user (?:doesn't|does not) exist|(?:unknown|no such) (?:user|mailbox|recipient|account)|(?:user|mailbox) unknown"
    r"|(?:user|mailbox|recipient) not found"
)
"""Dovecot lmtp/lmtp-recipient.c; Postfix local/unknown.c, virtual/unknown.c, global/sys_exits.c."""
_DENIED = re.compile(
    r"(?i)permission denied|read-only file system|operation not permitted|not owned by (?:recipient|user)"
)
_FULL = re.compile(r"(?i)no space left on device")
_SCRIPT = re.compile(r"Execution of (?:Sieve|script)|Failed to (?:re-)?compile|Failed to open script")
_TROUBLE = re.compile(
    r"(?i)internal (?:server )?error|internal user lookup failure|can't create user output file|input/output error"
    r"|waiting for lock|unable to lock|mailbox (?:is )?(?:locked|busy|unavailable)|create maildir file|cannot update mailbox"
    r"|maildir delivery failed|^temporary failure|^command (?:died|time limit exceeded)|internal software error"
    r"|local configuration error"
)
_OF_THE_MAIL = ("6.", "7.", "3.4", "2.3", "2.0")
"""Enhanced codes that speak of the mail, not of the mailbox; 5.2.0 is Dovecot's for what a script refuses."""


@lru_cache(8192)
def of_reply(text: str) -> str:
    """Return why a mailbox server refused a mail, by Postfix's text of its reply; empty where that is no mailbox's fault."""
    found = _SAID.search(text)
    if found is None:
        return ""
    said = _ADDRESS.sub("<>", found["text"][:2000])
    dsn = _DSN.match(said)
    return _of(said, dsn[1] if dsn else "", refused=found["code"][0] == "5")


@lru_cache(8192)
def of_agent(text: str) -> str:
    """Return why local(8), virtual(8) or the program behind pipe(8) took no mail for a mailbox."""
    return _of(_ADDRESS.sub("<>", text[:2000]), "", refused=False)


KEEPERS = r"(?i)dovecot|deliver|maildrop|procmail|cyrus|\blda\b|\bmda\b|sieve|dbmail|spool|mailbox"
_PROGRAM = re.compile(
    r"^(?i:temporary failure|command (?:died|time limit exceeded)|internal software error|permission denied)"
)
_KEEPER = re.compile(KEEPERS)


@lru_cache(8192)
def of_program(text: str) -> bool:
    """Whether a text speaks of a program that keeps no mailbox: a list's, or a script in aliases(5)."""
    return _PROGRAM.match(text) is not None and _KEEPER.search(text) is None


@lru_cache(8192)
def of_dovecot(text: str) -> str:
    """Return why Dovecot stored no mail, by its own line."""
    said = _ADDRESS.sub("<>", text[:2000])
    return _of(said, "", refused=False) or INTERNAL


def _of(said: str, dsn: str, *, refused: bool) -> str:
    if refused and dsn.startswith(_OF_THE_MAIL):
        return ""
    if dsn == "2.2" or _QUOTA.search(said):
        return OVER_QUOTA
    if dsn == "2.1":
        return DISABLED
    if dsn == "1.1" or _UNKNOWN.search(said):
        return UNKNOWN
    for pattern, cause in ((_FULL, NO_SPACE), (_DENIED, PERMISSION), (_SCRIPT, REFUSING), (_TROUBLE, INTERNAL)):
        if pattern.search(said):
            return cause
    return ""


_AT_THE_DOOR = re.compile(r"(?i)\bquota\b|over ?quota|mailbox (?:for user )?(?:is )?full")


@lru_cache(8192)
def full_at_door(text: str) -> bool:
    """Whether a recipient was refused at RCPT since the mailbox is full (Dovecot's quota-status, a probe of the mailbox)."""
    said = _ADDRESS.sub("<>", text[:2000])
    return "ecipient address rejected" in said and bool(_AT_THE_DOOR.search(said))


_COMPILE = re.compile(r"Failed to (?:re-)?compile script [`']([^'`]*)'|([^ :]{1,200}): line \d+: (?:error|warning)?")
_OPEN = re.compile(r"Failed to (?:open|access) .*?[`']([^'`]*)'")
_RUN = re.compile(
    r"[Ee]xecution of script '?(.*?)'? (?:failed, but implicit keep|failed with unsuccessful|was aborted due to)"
)
_STORAGE = re.compile(r"Failed to access (user's personal storage)")


@lru_cache(8192)
def of_script(text: str) -> tuple[str, str, bool] | None:
    """Return cause, script, and whether a refusing mailbox may be what is behind it, by a line of Pigeonhole's.

    None for lines that say nothing new, and where the mail was refused: why, the mailbox server's reply says, and
    :func:`of_dovecot` (pigeonhole lda-sieve/lda-sieve-plugin.c).
    """
    if found := _COMPILE.search(text):
        return BROKEN, found[1] or found[2], False
    if found := _RUN.search(text):
        return (FAILED, found[1], False) if "implicit keep was successful" in text else None
    if found := _STORAGE.search(text) or _OPEN.search(text):
        return FAILED, found[1], True
    return None


def tells_why(text: str) -> bool:
    """Whether a line of Dovecot's says why a mail was refused, and not only that an action of a script failed."""
    if text.startswith(("save failed to ", "failed to store into mailbox 'INBOX'")):
        return True
    return _RUN.search(text) is not None and "implicit keep was successful" not in text
