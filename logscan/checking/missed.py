"""Why a training call misses: how the user that it names differs from the one whom the filter learned the mail for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from logscan.tables import cells
from logscan.tables.latest import MOST_LATEST

if TYPE_CHECKING:
    from logscan.scan.aliases import Owned
    from logscan.scan.judged import Served

CAUSES = (
    "login-without-domain",
    "alias-not-expanded",
    "case-or-extension",
    "other-domain",
    "login-is-not-address",
    "shared-mailbox",
    "signature-expired",
    "unknown-user",
    "unknown",
)
"""In the order in which they are to be mended."""

KEPT = pd.Timedelta(days=7)
"""A signature that is older may have been purged (dspam_clean, by its cron job); a younger one hardly."""


def _base(address: str) -> str:
    local, at, domain = address.lower().partition("@")
    return local.partition("+")[0] + at + domain


def _unowned(row: Any, user: str, served: Served) -> str:
    """Return why a call missed, where nothing tells whose the signature is.

    That the filter never saw a user, or that a signature isn't kept any more, can be said only of a time that the logs
    cover, or long after it.
    """
    bare, low = "@" not in user, user.lower()
    covered = served.covers(row.made)
    if bare and low in served.with_domain:
        return "login-without-domain"
    if low in served.users:
        return "signature-expired" if covered or (not pd.isna(row.made) and row.time - row.made >= KEPT) else "unknown"
    # With domain-scale folders DSPAM keeps a user without a domain under `local`.
    if bare and ("/data/local/" in (cells.text(row.path) or "") or (covered and not served.bare)):
        return "login-without-domain"
    return "unknown-user" if covered and served.all else "unknown"


def causes(row: Any, owned: Owned, served: Served) -> list[str]:
    """Return why a call missed, in the order in which to mend it."""
    user, owner = cells.text(row.user), cells.text(row.belongs_to)
    if user is None:
        return ["unknown"]
    if owner is None:
        return [_unowned(row, user, served)]
    found: list[str] = []
    bare = "@" not in user
    local = user.partition("@")[0].lower()
    low = owner.lower()
    if low in owned:
        people = owned[low][1]
        if bare and (any(name.partition("@")[0] == local for name in people) or "@" in owner):
            found.append("login-without-domain")
        found.append("alias-not-expanded")
    elif owner == user:
        found.append("signature-expired")
    elif bare and _base(low).partition("@")[0] == _base(user) and "@" in low:
        found.append("login-without-domain")
        if owner.partition("@")[0] != user:
            found.append("case-or-extension")
    elif _base(low) == _base(user):
        found.append("case-or-extension")
    elif not bare and low.partition("@")[0] == local:
        found.append("other-domain")
    elif bare:
        found.append("login-is-not-address")
    else:
        found.append("shared-mailbox")
    return [cause for cause in CAUSES if cause in found]


def state(row: Any, owned: Owned) -> Literal["active", "mended", "residual"]:
    """Return the state of one miss: a mail learned under an alias before that was mended can't be trained any more."""
    if row.causes != ["alias-not-expanded"]:
        return "active"
    mended = owned[str(row.belongs_to).lower()][0]
    if mended is None or (not pd.isna(row.made) and row.made >= mended.since):
        return "active"
    return "residual" if row.time >= mended.since else "mended"


def untold(rows: list[Any], served: Served, until: pd.Timestamp | None, zone: Any) -> str:
    """Return why the cause of misses can't be told; mails judged up to ``until`` are told of no more."""
    if pd.isna(served.first):
        return "The cause can't be told: these logs hold no mail that DSPAM judged."
    made = min((row.made for row in rows if not pd.isna(row.made)), default=None)
    if made is not None and made < served.first:
        when = made.tz_convert(zone or "UTC")
        return (
            f"The cause can't be told: the mail was judged at {when:%H:%M} on {when.day} {when:%B %Y}, before these logs "
            "begin."
        )
    if made is not None and until is not None and made <= until:
        return (
            f"The cause can't be told: for whom DSPAM judged a mail is kept for the latest {MOST_LATEST:,} mails only."
        )
    return "The cause can't be told: no log at hand says for whom that mail was learned."


WHY = {
    "login-without-domain": "The user logs in without the domain, and the training call passes the login name as it is.",
    "alias-not-expanded": "The mail was learned under the alias it came to, and the person trains under the own name.",
    "case-or-extension": "The filter saw the address in another case or with an extension: two dictionaries.",
    "other-domain": "The mail was learned under another domain than the one the user logs in with.",
    "login-is-not-address": "The login name isn't the mail address, under which the filter learned.",
    "shared-mailbox": "The mail was learned under somebody else's address: a shared folder, or mail moved between people.",
    "signature-expired": "The user is right, but the signature isn't kept any more.",
    "unknown-user": "The filter never saw mail of that user.",
}
