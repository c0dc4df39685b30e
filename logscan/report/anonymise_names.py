"""Which fields hold names of which kind, and what each name was turned into."""

from __future__ import annotations

ROLES = frozenset(
    {"root", "postmaster", "mailer-daemon", "abuse", "hostmaster", "webmaster", "nobody", "daemon", "localhost",
     "localdomain", "double-bounce", "mail", "vmail", "dspam", "postfix", "dovecot", "amavis", "rspamd"}
)  # fmt: skip
"""Names that name nobody: RFC 2142's, and those that every server has."""


USERS = frozenset({"user", "sasl_username", "belongs_to", "mailbox", "account", "login"})
"""Columns and keys whose values are people, with or without a domain."""


HOSTS = frozenset({"host", "client", "helo", "domain", "orig_client"})
"""Columns whose values are hosts."""


IDS = frozenset({"queue_id", "child_queue_id", "parent_queue_id", "orig_queue_id", "orig_id"})
"""Columns of queue IDs, which stay: they tell nothing, and a reader follows a mail by them."""


STAY = frozenset({"version", "severity", "confidence", "state", "check", "kind", "media_type"})
"""Fields that hold logscan's own words only."""


PROSE = frozenset(
    {"title", "clear_title", "not_applicable", "summary", "why", "blind_because", "notes", "message", "name", "cause", "help",
     "columns", "zone"}
)  # fmt: skip
"""Fields that hold logscan's own sentences: a word of its own stays there, though somebody may be called so."""


FILES = frozenset(
    [
        "log",
        "gz",
        "bz2",
        "xz",
        "zst",
        "cf",
        "conf",
        "txt",
        "css",
        "sig",
        "sock",
        "json",
        "jsonl",
        "html",
        "toml",
        "sieve",
        "stats",
        "mbox",
        "lock",
        "db",
        "tar",
        "out",
    ]
)
"""Endings of names of files. ``cf`` counts with a known stem only: it is a country too."""


class Names:
    """What each name was turned into: the first user is user1, the first domain domain1.example."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.counts: dict[str, int] = {}

    def of(self, kind: str, text: str) -> str:
        """Return the name that stands for ``text``; upper and lower case are one."""
        key = (kind, text.casefold())
        if key not in self.known:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.known[key] = f"{kind}{self.counts[kind]}"
        return self.known[key]
