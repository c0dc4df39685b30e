"""Findings on users who move mail into and out of Junk while nothing learns it: no call is made, or its program fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.checking import evidence as ev
from logscan.findings import Evidence, Finding, Remedy
from logscan.scan.called import Moves
from logscan.scan.mended import Ends, Mended
from logscan.scan.moves import local_part, trigger
from logscan.scan.uncalled import Uncalled
from logscan.tables import cells, grouping

if TYPE_CHECKING:
    from logscan.scan.log import Log


CAUSES = NOT_CALLED, FAILED = "training-not-called", "training-call-failed"

MENDED_CALLS = 3
"""A user trains right again where this many later moves made their calls, or this many later calls hit."""

MENDED_AFTER = pd.Timedelta(days=1)
"""Over at least so long, where it is a matter of the name that a call uses."""


class Right:
    """Calls that hit, by the local part of whom they name, and the last login under each name."""

    def __init__(self, calls: pd.DataFrame, logins: pd.DataFrame, ends: Ends) -> None:
        self.ends = ends
        hit = calls[(calls["outcome"] == "learned") & calls["user"].notna()]
        hit = hit[hit["belongs_to"].isna() | (hit["belongs_to"] == hit["user"])]
        self.hits = dict(iter(hit.groupby(hit["user"].map(local_part))["time"]))
        self.last_login = logins.groupby("user")["last"].max().to_dict()

    def since(self, user: str, last: pd.Timestamp) -> Mended | None:
        """Return since when a user's calls hit, whatever name they use now; None while the old one still logs in."""
        hits = self.hits.get(local_part(user))
        later = hits[hits > last] if hits is not None else None
        if later is None or len(later) < MENDED_CALLS or later.max() - last < MENDED_AFTER:
            return None
        if "@" not in user and self.last_login.get(user, last) > last:
            return None
        return self.ends.mended(last, later, reloaded=False)


def not_called(log: Log, kinds: set[str], found: Moves, open_moves: Uncalled) -> list[Finding]:
    """Return one finding a user whose moves no training call followed."""
    rows = open_moves.bad
    if rows.empty:
        return []
    dspam = "dspam" in kinds
    remedy = Remedy(_NOT_CALLED[trigger(log.settings)])
    called = found.frame[found.frame["called"] != ""]
    later = called.groupby("user")["time"].apply(list).to_dict()
    out = []
    for user, some in grouping.groups(rows, "user"):
        cases = [_move_case(*each) for each in zip(some["time"], some["message_id"], some["class"], strict=True)]
        last = some["time"].max()
        mended = sum(time > last for time in later.get(user, ())) >= MENDED_CALLS
        n = len(cases)
        finding = Finding(
            cause=NOT_CALLED,
            subject=str(user),
            summary=f"{user} moved {ev.mails(n)} into or out of Junk, and "
            + ("no training call followed" if dspam else "the filter's log tells of no learning")
            + (", until later moves made theirs" if mended else ""),
            severity="problem",
            confidence="high" if open_moves.sure and dspam else "medium",
            count=n,
            cases=cases,
            first=cells.moment(some["time"].min()),
            last=cells.moment(last),
            state="mended" if mended else "active",
            remedy=None if mended else remedy,
            evidence=_lines(log, some),
            why="DSPAM's logs cover that time and hold no call for these mails: what should make it didn't see the move."
            if dspam
            else "The filter's log covers that time and holds no learning of these mails: the call wasn't made, or failed "
            "on its way.",
            mails=int(some["message_id"].nunique()),
        )
        out.append(finding)
    return out


def _lines(log: Log, rows: pd.DataFrame) -> list[Evidence]:
    """Return the first lines of some rows, which carry ``source`` and ``line``."""
    some = rows.head(ev.MOST_EVIDENCE)
    return [
        Evidence(log.read.sources[source].label, line, "")
        for source, line in zip(some["source"].tolist(), some["line"].tolist(), strict=True)
    ]


def _move_case(time: Any, message_id: Any, kind: str) -> dict[str, Any]:
    return {
        "time": cells.iso(time),
        "message_id": cells.text(message_id),
        "signature": None,
        "path": None,
        "class": kind,
        "belongs_to": None,
        "causes": [NOT_CALLED],
        "state": "active",
    }


_NOT_CALLED = {
    "antispam": "Look why the antispam plug-in doesn't see these moves: mail_plugins of protocol imap must name it, and "
    "antispam_spam (or antispam_spam_pattern) the folder exactly as the mail program calls it (doveconf -n; "
    "antispam_verbose_debug = 1 tells what it does).",
    "imapsieve": "Look why imapsieve doesn't act on these moves: imapsieve_mailboxN_name and _from must name the folder "
    "exactly as the mail program calls it, _causes must hold COPY, and the sieve script must be compiled and readable "
    "(sievec; doveconf -n).",
    "": "Find what should train the filter: the antispam plug-in or imap_sieve in mail_plugins of protocol imap "
    "(doveconf -n), or a job that learns the Junk folders (crontab), and whether it names these folders and users.",
}


def failed(log: Log, calls: pd.DataFrame, found: Moves) -> list[Finding]:
    """Return one finding a user for training programs that failed; what was learned before already is no failure."""
    again = calls[(calls["outcome"] == "failed").to_numpy() & calls["again"].to_numpy()]["time"].sort_values()
    rows = found.failed
    if len(again):
        near = pd.Timedelta(seconds=5)
        place = again.searchsorted(rows["time"] - near), again.searchsorted(rows["time"] + near, "right")
        rows = rows[place[0] == place[1]]
    out = []
    for user, some in grouping.groups(rows, "user"):
        n = len(some)
        cases = [
            _move_case(time, message_id, "innocent" if "ham" in text else "spam") | {"causes": [FAILED]}
            for time, message_id, text in zip(some["time"], some["message_id"], some["text"], strict=True)
        ]
        finding = Finding(
            cause=FAILED,
            subject=str(user),
            summary=f"{user} trained {n} time{'s' * (n != 1)} in vain: the program that a move is piped to failed",
            severity="problem",
            confidence="medium",
            count=n,
            cases=cases,
            first=cells.moment(some["time"].min()),
            last=cells.moment(some["time"].max()),
            remedy=Remedy(
                "Run the program by hand, as the user that Dovecot runs it as, with one of these mails on its standard "
                "input: its exit status must be 0. It must be executable and lie in sieve_pipe_bin_dir, and reach the "
                "filter (rspamc: the controller's password and address). rspamc ends with an error, too, where a mail "
                "was learned before already: let the script treat that as success."
            ),
            evidence=_lines(log, some),
            why="imapsieve handed the moved mail to the program, and that ended with an error: nothing was learned, and "
            "the mail program was told OK.",
        )
        out.append(finding)
    return out
