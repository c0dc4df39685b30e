"""What was never taken: recipients and connections that smtpd, postscreen or a milter turned away, without a queue ID."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.findings import Evidence
from logscan.tables import cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logscan.scan.window import Window

NOQUEUE = "NOQUEUE"

ENDED = {
    "reject": "refused",
    "milter-reject": "refused by a milter",
    "proxy-reject": "refused by the filter before the queue",
    "reject_warning": "would have been refused (warn_if_reject)",
    "discard": "discarded by a rule",
    "milter-discard": "discarded by a milter",
    "hold": "put on hold by a rule",
    "milter-hold": "put on hold by a milter",
    "filter": "given to a filter by a rule",
    "redirect": "redirected by a rule",
    "bcc": "copied by a rule",
}
"""What became of it, by the action that Postfix logs (smtpd_check.c, smtpd_milter.c, cleanup_message.c)."""


@dataclass(frozen=True)
class Refusal:
    """One refusal. ``outcome`` says in words what it was; ``code`` and ``dsn`` are the reply's, ``text`` its reason."""

    time: str | None
    host: str
    service: str
    outcome: str
    stage: str
    client: str
    helo: str | None
    sender: str | None
    recipient: str | None
    login: str | None
    code: str | None
    dsn: str | None
    text: str | None
    lines: list[Evidence] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether it was turned away; rules also hold, discard, redirect and warn."""
        return self.outcome.startswith("refused")


def rows(scan: Window, what: str) -> np.ndarray:
    """Return the rows (int64) of ``rejects`` that concern an address, a client's address, or a host or domain by name."""
    rejects = scan.events("rejects")
    low = what.strip().strip("<>").casefold()
    if not low:
        return np.empty(0, np.int64)
    hit = np.zeros(len(rejects), np.bool_)
    for column in ("sender", "recipient", "sasl_username", "client_address", "client", "helo", "queue_id"):
        hit |= _is(rejects[column], low)
    if "@" not in low:
        for column in ("client", "helo"):
            hit |= rejects[column].str.casefold().str.endswith(f".{low}").to_numpy(dtype=bool, na_value=False)
        for column in ("sender", "recipient"):
            hit |= rejects[column].str.casefold().str.endswith(f"@{low}").to_numpy(dtype=bool, na_value=False)
    return np.flatnonzero(hit)


def _is(column: pd.Series, low: str) -> np.ndarray:
    found: np.ndarray = (column.astype("str").str.casefold() == low).to_numpy(dtype=bool, na_value=False)
    return found


def refused(scan: Window, what: str) -> list[int]:
    """Return those of the rows that no queue ID belongs to, oldest first."""
    rejects = scan.events("rejects")
    found = rows(scan, what)
    queue = rejects["queue_id"].to_numpy()[found]
    mine = found[(queue == NOQUEUE) | pd.isna(queue)]
    times = rejects["time"].astype("int64").to_numpy()[mine]
    out: list[int] = mine[np.argsort(times, kind="stable")].tolist()
    return out


def told(scan: Window, chosen: Sequence[int]) -> list[Refusal]:
    """Return the refusals of these rows, with the places of their lines."""
    frame = scan.events("rejects")
    return [_refusal(scan, frame.iloc[row]) for row in chosen]


def _refusal(scan: Window, row: pd.Series) -> Refusal:
    moment = cells.moment(row["time"])
    address = cells.text(row["client_address"])
    return Refusal(
        time=moment.astimezone(scan.zone).isoformat(timespec="seconds") if moment else None,
        host=str(row["host"]),
        service=f"{row['service']}/{row['program']}",
        outcome=ENDED.get(str(row["action"]), str(row["action"])),
        stage=cells.text(row["stage"]) or "",
        client=f"{cells.text(row['client']) or 'unknown'}[{address}]" if address else cells.text(row["client"]) or "",
        helo=cells.text(row["helo"]),
        sender=cells.text(row["sender"]),
        recipient=cells.text(row["recipient"]),
        login=cells.text(row["sasl_username"]),
        code=cells.text(row["code"]),
        dsn=cells.text(row["dsn"]),
        text=cells.text(row["text"]),
        lines=[Evidence(scan.label(int(row["source"])), int(row["line"]), "")],
    )


def sentence(each: Refusal) -> str:
    """Return one refusal as a line of text."""
    to = f"to <{each.recipient}>" if each.recipient is not None else ""
    parts = [
        f"{each.time[:19].replace('T', ' ') if each.time else '(no time)'} {each.host}",
        f"{each.outcome}{f' at {each.stage}' if each.stage else ''} by {each.service}",
        f"from {each.client}" if each.client else "",
        f"helo {each.helo}" if each.helo else "",
        f"logged in as {each.login}" if each.login else "",
        f"sender <{each.sender}>" if each.sender is not None else "",
        to,
    ]
    reply = " ".join(part for part in (each.code, each.dsn, each.text) if part)
    return ", ".join(part for part in parts if part) + (f": {reply}" if reply else "")
