"""Lines that were written between two runs and never read: what a gap in the log is to be told of them, and what helps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from logscan.amounts import plural
from logscan.checking.gap_lines import Gap
from logscan.findings import Remedy
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.sources.losses import Loss

UNREAD = "unread-lines"
"""The cause."""

HOW = {
    "gone": "its file was gone before all of it was read",
    "cut": "it was cut before all of it was read",
    "overwritten": "something else was written over it",
    "vacuumed": "the journal had let go of them",
    "unreadable": "it couldn't be read",
    "window": "it was copied and cut, and nothing tells whether a line was written in between",
}
"""How lines went, by :attr:`logscan.store.model.Loss.kind`."""

WINDOW = "window"
"""The kind of those of which nobody knows whether there are any: one each night, where logrotate uses copytruncate."""

COPYTRUNCATE = (
    "copytruncate loses what is written between its copy and its cut, whoever reads the file: let logrotate use create "
    "instead, and have the logging system open the new file in postrotate (Debian: /usr/lib/rsyslog/rsyslog-rotate)."
)

CURES = {
    "gone": "Let logrotate keep more files than are rotated between two runs (rotate, and no maxsize or hourly that outruns "
    "them), and let logscan daily run before the rotation at night. What was rotated away may be in a backup: logscan analyse "
    "FILE reads it by itself.",
    "cut": COPYTRUNCATE,
    WINDOW: COPYTRUNCATE,
    "overwritten": "Look who wrote the file anew: a backup that was restored, an editor, a second program with the same file "
    "name. The old text may be in a backup: logscan analyse FILE reads it by itself.",
    "vacuumed": "Let the journal keep what is written between two runs at least: SystemMaxUse= and MaxRetentionSec= in "
    "/etc/systemd/journald.conf, then systemctl restart systemd-journald; or run logscan daily more often.",
    "unreadable": "Let the user that logscan daily runs as read it: ls -l names the file's group, on Debian adm (usermod -aG adm "
    "USER), of the journal systemd-journal. What was written meanwhile is read by the next run if it is there still.",
}
"""What helps, by the same."""


def unread(losses: Iterable[Loss]) -> list[Gap]:
    """Return a gap for each loss; its ``host`` is the file's path. A time that nobody can tell is 0."""
    out = []
    for each in losses:
        since = each.since if each.since is not None else each.until or 0
        until = each.until if each.until is not None else since
        more: dict[str, Any] = {"kind": each.kind, "host": None, "path": each.path, "bytes": each.size, "why": each.why}
        out.append(Gap(UNREAD, each.path, since, until, (), more, each.kind))
    return out


def summary(path: str, gaps: Sequence[Gap]) -> str:
    """Return the sentence for the losses of one file."""
    if {each.text for each in gaps} == {WINDOW}:
        return f"Lines of {visible(path)} may be missing: {HOW[WINDOW]}"
    known = [int(each.more["bytes"]) for each in gaps if each.more["bytes"] is not None]
    amount = plural(sum(known), "byte") if known else "Lines"
    if known and len(known) < len(gaps):
        amount = f"At least {amount}"
    how = ", ".join(dict.fromkeys(HOW[each.text] for each in gaps))
    times = "" if len(gaps) == 1 else f", {len(gaps):,} times"
    return f"{amount} of {visible(path)} {'was' if known == [1] else 'were'} never read{times}: {how}"


def remedy(kinds: Iterable[str]) -> Remedy:
    """Return what helps against losses of some kinds."""
    return Remedy(" ".join(dict.fromkeys(CURES[kind] for kind in kinds)))
