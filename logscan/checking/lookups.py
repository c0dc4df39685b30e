"""Which of Postfix's texts say that a look-up in a table failed, and in which table, or on which server."""

from __future__ import annotations

import re
from typing import Any

FAILURES = (
    r"map lookup problem|lookup error|table lookup problem|lookup failed for table|lookup failure$|lookup of '|query failed"
    r"|^connect to (?:mysql server|pgsql server|TCP map) |^read TCP map |^dict_ldap_|is unavailable\. |open database "
    r"|unsupported dictionary type"
)
"""Texts that may be one (RE2)."""

_TABLE = r"(?:proxy:)?(?P<it>[a-z0-9-]{2,20}:[^ \"]{1,150}?)(?:\(\d+,[a-z0-9_|]+\))?"
_KINDS = tuple(
    (kind, name, re.compile(pattern))
    for kind, name, pattern in (
        ("database-away", "mysql server {}", r"\Aconnect to mysql server (?P<it>[^ ]{1,100}?)(?::|\Z)"),
        ("database-away", "pgsql server {}", r"\Aconnect to pgsql server (?P<it>[^ ]{1,100}?)(?::|\Z)"),
        ("database-away", "pgsql server {}", r"\Apgsql query failed: .* host (?P<it>[^ :]{1,100})"),
        ("database-away", "the MySQL server", r"\Amysql query failed: (?P<it>)"),
        ("database-away", "TCP map {}", r"\A(?:connect to|read) TCP map (?:reply from )?(?P<it>[^ ]{1,100}?): "),
        (
            "database-away",
            "{}",
            r"\Adict_ldap_\w+: Unable to (?:bind to|connect to LDAP|init LDAP) server (?P<it>[^ ]{1,100})",
        ),
        ("database-away", "the LDAP server", r"\Adict_ldap_\w+(?:\[\d+\])?: [Ss]earch error -?\d+: (?P<it>)"),
        ("database-away", "{}", rf"\A{_TABLE}: query failed"),
        ("table-unusable", "{}", rf"\A{_TABLE} is unavailable\. "),
        ("table-unusable", "{}", r"\Aopen database (?P<it>[^ ]{1,150}?)(?:\.db|\.cdb|\.lmdb|\.pag|\.dir)?: "),
        ("table-unusable", "tables of type {}", r"\Aunsupported dictionary type: (?P<it>[a-z0-9-]{1,20})"),
        ("lookup-failing", "{}", rf"\A(?:[a-z0-9_]+: )?(?:table )?{_TABLE}:? (?:table )?lookup (?:error|problem)"),
        ("lookup-failing", "{}", rf"\A{_TABLE}: lookup of '"),
        ("lookup-failing", "{}", r"lookup failed for table \"(?:proxy:)?(?P<it>[^\" ]{1,150})\""),
        ("lookup-failing", "{}", r"\A(?P<it>[a-z0-9_]{3,60}) (?:map )?lookup (?:problem|failure|error)"),
    )
)
"""Texts of Postfix's global/dict_mysql.c, dict_pgsql.c, dict_ldap.c, dict_proxy.c, maps.c, util/dict_surrogate.c, dict_tcp.c,
match_ops.c, cleanup/cleanup_map1n.c, trivial-rewrite/resolve.c, local/maildir.c."""


def lookup_failure(text: Any) -> str | None:
    """Return the kind of a failure and what failed, with a line feed between; None for what is none.

    ``database-away``: a server; ``table-unusable``: a table that can't be opened; ``lookup-failing``: a table or the parameter
    that names it, where nothing tells why.
    """
    for kind, name, pattern in _KINDS:
        if found := pattern.search(str(text)):
            return f"{kind}\n{name.format(found['it'])}"
    return None
