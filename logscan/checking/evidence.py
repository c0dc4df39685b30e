"""What checks share: filter hand-overs, who submitted a mail how, evidence by row, times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.findings import Confidence, Evidence, Result
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.scan import Scan
    from logscan.settings import Settings

MOST_EVIDENCE = 12
"""Lines shown per finding; all cases are listed anyway."""

DSPAM_REPLY = "> Message accepted for delivery"
"""DSPAM's LMTP answer, `250 2.6.0 <rcpt> Message accepted for delivery` (dspam src/daemon.c)."""


def rows_at(scan: Scan, table: str, index: Iterable[int]) -> list[Evidence]:
    """Return evidence for rows of an event table or of ``deliveries``."""
    frame = scan.deliveries if table == "deliveries" else scan.events(table)
    chosen = [int(i) for i in index if int(i) >= 0][:MOST_EVIDENCE]
    sources, lines = frame["source"].to_numpy(), frame["line"].to_numpy()
    return [Evidence(scan.label(int(sources[i])), int(lines[i]), "") for i in chosen]


def first_lines(scan: Scan, entries: Iterable[int]) -> list[Evidence]:
    """Return the line that opened each entry (smtpd client=, pickup)."""
    row = scan.entries["client_row"].to_numpy()
    return rows_at(scan, "clients", [row[int(e)] for e in entries])


def first_line_each(scan: Scan, entries: npt.NDArray[np.int64]) -> list[Evidence]:
    """Return the line that opened each entry, one for each: all at once, where there are many."""
    rows = scan.entries["client_row"].to_numpy()[entries]
    clients = scan.events("clients")
    labels = [source.label for source in scan.sources]
    sources, lines = clients["source"].to_numpy()[rows].tolist(), clients["line"].to_numpy()[rows].tolist()
    return [Evidence(labels[source], line, "") for source, line in zip(sources, lines, strict=True)]


def merged(*parts: Sequence[Evidence]) -> list[Evidence]:
    """Return the parts one after the other, each line once, at most :data:`MOST_EVIDENCE`."""
    seen: dict[tuple[str, int], Evidence] = {}
    for part in parts:
        for item in part:
            seen.setdefault((item.source, item.line), item)
    return list(seen.values())[:MOST_EVIDENCE]


def mails(count: int, recipients: int = 0) -> str:
    """Return ``7 mails to 28 recipients``; without the recipients where they are as many as mails."""
    text = f"{count:,} mail{'s' * (count != 1)}"
    return text if recipients in (0, count) else f"{text} to {recipients:,} recipient{'s' * (recipients != 1)}"


COVERED = 0.95
"""The share of the eligible cases that has to be looked at for a check to be clear."""


def too_few(result: Result) -> bool:
    """Whether too many of the eligible cases couldn't be looked at."""
    return result.checked < COVERED * result.eligible


def moment(value: Any) -> datetime | None:
    """Return a datetime (UTC) or None for NaT."""
    if value is None or value is pd.NaT or pd.isna(value):
        return None
    stamp = pd.Timestamp(value)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    found: datetime = stamp.to_pydatetime(warn=False)
    return found


def iso(value: Any) -> str | None:
    """Return an ISO time in UTC, whole seconds; None for NaT."""
    found = moment(value)
    return found.replace(microsecond=0).isoformat() if found else None


def text(value: Any) -> str | None:
    """Return a str, None for a missing value."""
    return None if value is None or pd.isna(value) else str(value)


def dspam_hops(scan: Scan) -> npt.NDArray[np.bool_]:
    """Return, per delivery row, whether it hands a mail to a filter that learns per recipient (DSPAM)."""
    cache: npt.NDArray[np.bool_] | None = scan.__dict__.get("_dspam_hops")
    if cache is None:
        cache = scan.__dict__["_dspam_hops"] = _dspam_hops(scan)
    return cache


def _dspam_hops(scan: Scan) -> npt.NDArray[np.bool_]:
    deliveries = scan.deliveries
    hop = deliveries["hop"].to_numpy()
    reply = deliveries["reply"].str.contains(DSPAM_REPLY, regex=False, na=False).to_numpy()
    rows = deliveries["verdict_row"].to_numpy()
    is_dspam = np.r_[(scan.verdicts["filter"] == "dspam").to_numpy(), False][rows]
    relay = texts.where(deliveries["relay"], lambda relay: relay.str.contains("dspam", case=False, na=False))
    named: npt.NDArray[np.bool_] = hop & (reply | is_dspam | relay)
    # A relay that gave one such answer is DSPAM for all of its hand-overs.
    relays = deliveries["relay"].cat.codes.to_numpy()
    known = np.unique(relays[named])
    found: npt.NDArray[np.bool_] = hop & np.isin(relays, known[known >= 0])
    return found


NAMES = {
    "dspam": "DSPAM",
    "spamd": "SpamAssassin",
    "spampd": "spampd",
    "spamassassin": "SpamAssassin",
    "mailscanner": "MailScanner",
    "pmg": "Proxmox Mail Gateway",
}
"""How filters are called in a sentence; the others are called as they are."""


def filter_kinds(scan: Scan, settings: Settings) -> set[str]:
    """Return the spam filters that this server has, by its configuration and by their own lines: dspam, amavis ...

    ``other`` is a filter that nothing names. What only signs or checks (OpenDKIM, SPF) is none.
    """
    kinds: set[str] = {setup.kind for setup in settings.filters}
    kinds |= set(scan.verdicts["filter"].dropna().astype("str"))
    calls = scan.events("trainings")["filter"].dropna()
    kinds |= set(calls.astype("str")) - {""}
    if dspam_hops(scan).any() or "dspam" in scan.read.programs:
        kinds.add("dspam")
    kinds = {"spamassassin" if kind in ("spamd", "spampd") else kind for kind in kinds}
    if not kinds and filter_hops(scan).any():
        kinds.add("other")
    return kinds


def unnamed_filter(scan: Scan, settings: Settings) -> str:
    """Return where a filter stands whose kind nothing tells: its destination, else the relay that hands mail back."""
    told = [setup.destination for setup in settings.filters if setup.kind == "other"]
    relays = scan.deliveries["relay"][filter_hops(scan)].dropna().astype("str")
    return ", ".join([*dict.fromkeys([*told, *([] if told else relays)])][:2])


def no_filter(scan: Scan, settings: Settings) -> bool:
    """Whether it is known that mail passes no spam filter: the configuration is at hand and names none."""
    known = settings.known("postfix") and settings.known("master")
    return known and not filter_kinds(scan, settings)


def entry_has_hop(scan: Scan) -> npt.NDArray[np.bool_]:
    """Return, per entry, whether a delivery of it was handed to a filter."""
    out = np.zeros(len(scan.entries) + 1, np.bool_)
    deliveries = scan.deliveries
    out[deliveries["entry"].to_numpy()[filter_hops(scan)]] = True
    return out[:-1]


def filter_hops(scan: Scan) -> npt.NDArray[np.bool_]:
    """Return, per delivery, whether it is a hand-over to a filter, not to another host or life of ours."""
    deliveries = scan.deliveries
    hop: npt.NDArray[np.bool_] = deliveries["hop"].to_numpy()
    legs = scan.legs
    moved = legs.loc[legs["kind"].isin(["relay", "forward"]), "delivery"].to_numpy()
    other = np.zeros(len(hop) + 1, np.bool_)
    other[moved] = True
    return hop & ~other[:-1]


def port_of(scan: Scan, settings: Settings, tag: str) -> tuple[int | None, Confidence]:
    """Return the port that a service's tag listens on, and how sure that is.

    The configuration and ``--service`` decide; else names tell (submission, smtps), and a plain ``postfix`` beside a
    named submission service is port 25 with medium, without any with low confidence.
    """
    if not isinstance(tag, str):
        return None, "low"
    told = scan.options.services
    for name in (tag, f"{tag}/smtpd"):
        if name in told:
            return told[name], "high"
    for name in (tag, f"{tag}/smtpd"):
        port = settings.port_of(name)
        if port is not None:
            return port, "high"
    if settings.known("master"):
        ports = set(settings.ports_of(tag)) | set(settings.ports_of(f"{tag}/smtpd"))
        if len(ports) > 1:
            return (25, "low") if 25 in ports else (min(ports), "low")
    last = tag.rsplit("/", 1)[-1].lower()
    if "/" in tag:
        for word, port in (("submissions", 465), ("smtps", 465), ("submission", 587), ("submiss", 587), ("msa", 587)):
            if word in last:
                return port, "high"
        return (
            (int(last), "medium") if last.isascii() and last.isdigit() and 0 < int(last[:6]) < 65536 else (None, "low")
        )
    named = any(
        "submission" in service or "smtps" in service for service in scan.events("clients")["service"].cat.categories
    )
    return 25, "medium" if named else "low"


def groups(frame: pd.DataFrame, by: str | list[str]) -> Iterable[tuple[Any, pd.DataFrame]]:
    """Return groups in the order of their first row."""
    found: Iterable[tuple[Any, pd.DataFrame]] = frame.groupby(by, sort=False, dropna=False, observed=True)
    return found


def rows_at_frame(scan: Scan, frame: pd.DataFrame) -> list[Evidence]:
    """Return evidence for the rows of a derived frame, which carry ``source`` and ``line`` themselves."""
    some = frame.head(MOST_EVIDENCE)
    return [
        Evidence(scan.label(int(source)), int(line), "")
        for source, line in zip(some["source"], some["line"], strict=True)
    ]
