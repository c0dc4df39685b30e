"""Mail of this server's own people and programs that a filter looked at: what three checks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan import evidence as ev
from logscan import remedies, texts
from logscan.ports import entry_ports
from logscan.verdict import Evidence, Finding, Remedy

if TYPE_CHECKING:
    from logscan.scan import Scan
    from logscan.settings import Settings

INSIDE = ("authenticated", "local", "network")
"""Origins of mail that people or programs of this server handed in."""

AFTER_DATA = r"\(in reply to (?:end of )?DATA|BDAT"
"""A remote host that refuses after DATA has read the tagged mail."""


@dataclass
class Own:
    """Deliveries of mail that was submitted here: one row a recipient's last attempt, with how its mail came in.

    Columns of ``scan.deliveries`` and: ``origin`` (see the contract), ``user``, ``client``, ``sender``, ``message_id``,
    ``filtered`` (its mail went through a filter on the way), ``judgeable`` (a filter saw it, or may have), ``direction``,
    ``root`` (entry).
    """

    frame: pd.DataFrame


def own(scan: Scan, settings: Settings) -> Own:
    """Gather the deliveries of mail with an origin inside, and of what was forwarded from outside to outside."""
    cache: Own | None = scan.__dict__.get("_own")
    if cache is None:
        cache = scan.__dict__["_own"] = _own(scan, settings)
    return cache


def _own(scan: Scan, settings: Settings) -> Own:
    deliveries = scan.deliveries
    entry = deliveries["entry"].to_numpy()
    reached = deliveries["final"].to_numpy().copy()
    refused = np.flatnonzero((deliveries["status"] == "bounced").to_numpy())
    reached[refused] |= deliveries["reply"].iloc[refused].str.contains(AFTER_DATA, regex=True, na=False).to_numpy()
    of_mail = deliveries["mail"].to_numpy()
    # Foreign mail to people here is no concern of these checks, and most of the log.
    mails = scan.mails
    concerns = (mails["origin"].isin(INSIDE) | (mails["direction"] == "forwarded")).to_numpy()
    frame = deliveries[reached & (of_mail >= 0) & (entry >= 0) & np.append(concerns, False)[of_mail]].copy()
    mail = mails.iloc[frame["mail"].to_numpy()]
    root = mail["entry"].to_numpy()
    frame["root"] = root
    frame["direction"] = mail["direction"].astype("str").array
    frame["inside"] = mail["origin"].isin(INSIDE).to_numpy()
    entries = scan.entries.iloc[root]
    frame["sender"] = entries["sender"].array
    frame["message_id"] = entries["message_id"].array
    frame["user"] = entries["sasl_username"].array
    client = entries["client"] + "[" + entries["client_address"] + "]"
    by_uid = entries["program"] == "pickup"
    frame["client"] = client.where(~by_uid, "uid " + entries["uid"]).array
    frame["origin"] = _origins(scan, settings, entries)
    frame["filtered"] = _filtered(scan, frame["entry"].to_numpy())
    frame["judgeable"] = frame["filtered"] | _unseen_milter(scan, settings, frame["time"])
    # Two replies with one session are one copy; a mail's recipients may be told twice after two expansions.
    session = texts.coded(frame["session"])[0]
    copy = np.where(session >= 0, session, -1 - np.arange(len(frame)))
    recipient = texts.coded(texts.lower(frame["recipient"]))[0]
    again = pd.DataFrame({"m": frame["mail"].to_numpy(), "r": recipient, "c": copy}).duplicated()
    return Own(frame[~again.to_numpy()])


def _unseen_milter(scan: Scan, settings: Settings, time: pd.Series) -> pd.Series:
    """Return where a milter may have judged without a trace: it is configured, and its log doesn't cover that time.

    A milter names each mail that it judges by queue ID: where its log is at hand, a mail without a verdict wasn't judged.
    """
    if not any(setup.via == "milter" for setup in settings.filters):
        return pd.Series(False, index=time.index)
    rows = scan.verdicts[scan.verdicts["filter"].isin(["rspamd", "amavis", "spamd"])]
    if rows.empty:
        return pd.Series(True, index=time.index)
    slack = pd.Timedelta(minutes=30)
    return (time < rows["time"].min() - slack) | (time > rows["time"].max() + slack)


def _filtered(scan: Scan, entry: np.ndarray) -> np.ndarray:
    """Return whether the entry, or one before it, was handed to a filter."""
    came_back = np.r_[(scan.entries["leg"] == "filter").to_numpy(), False]
    parent = np.r_[scan.entries["parent"].to_numpy(), -1]
    out = np.zeros(len(entry), np.bool_)
    at = entry.copy()
    for _ in range(8):
        out |= (at >= 0) & came_back[at]
        at = np.where(at >= 0, parent[at], -1)
    return out


def _origins(scan: Scan, settings: Settings, entries: pd.DataFrame) -> list[str]:
    everything = bool(settings.postfix.get("content_filter").strip()) if settings.known("postfix") else False
    ports = entry_ports(scan, settings)[0]
    out = []
    for origin, entry in zip(entries["origin"].astype("str"), entries.index, strict=True):
        if origin == "authenticated":
            out.append(
                "authenticated-port-25"
                if ports[entry] == 25
                else "all-filtered"
                if everything
                else "submission-filtered"
            )
        elif origin in ("local", "network"):
            out.append("all-filtered" if everything else "local-script")
        else:
            out.append(origin)
    return out


def case(row: Any) -> dict[str, Any]:
    """Return one delivery as the contract's case."""
    return {
        "message_id": ev.text(row.message_id),
        "sender": ev.text(row.sender),
        "recipient": ev.text(row.recipient),
        "user": ev.text(row.user),
        "client": ev.text(row.client),
        "origin": row.origin,
        "relay": ev.text(row.relay),
        "signature": ev.text(row.signature),
        "queue_id": ev.text(row.queue_id),
        "time": ev.iso(row.time),
    }


def remedy(settings: Settings, scan: Scan, origin: str, rows: pd.DataFrame) -> Remedy:
    """Return what mends mail of that origin being filtered."""
    programs = set(scan.entries["program"].astype("str").iloc[rows["root"].to_numpy()])
    if not rows["filtered"].any():  # nobody was handed this mail: a milter judged it on the way in
        return remedies.spare_by_milter(settings, origin, _milter(scan, rows), pickup="pickup" in programs)
    if origin == "authenticated-port-25":
        return remedies.move_to_submission(settings, None)
    if origin == "submission-filtered":
        return remedies.unfilter_submission(settings)
    loopback = bool(programs - {"pickup"}) and rows["user"].isna().any()
    if origin == "all-filtered":
        return remedies.filter_port_25_only(settings, loopback=bool(loopback))
    return remedies.unfilter_local(settings, pickup="pickup" in programs, loopback=bool(programs - {"pickup"}))


def _milter(scan: Scan, rows: pd.DataFrame) -> str:
    """Return the kind of the milter that judged these mails, as the configuration calls it; empty where no line tells."""
    judged = rows["verdict_row"].to_numpy()
    kinds = scan.verdicts["filter"].iloc[judged[judged >= 0]].astype("str")
    return str({"spamd": "spamassassin"}.get(kinds.iloc[0], kinds.iloc[0])) if len(kinds) else ""


WHY = {
    "authenticated-port-25": "Mail submitted with a login on port 25 goes through that port's content_filter.",
    "local-script": "Mail of scripts and cron jobs on this host enters by a service that has the content_filter.",
    "submission-filtered": "The submission service has a content_filter.",
    "all-filtered": "content_filter is set for all services (main.cf).",
}


def by_origin(scan: Scan, settings: Settings, rows: pd.DataFrame, severity: Any, words: str) -> list[Finding]:
    """Return one finding per origin and sender: the one to talk to, or the script to look at."""
    findings = []
    subject = rows["user"].where(rows["origin"].isin(["authenticated-port-25", "submission-filtered"]), rows["sender"])
    rows = rows.assign(subject=subject.fillna(rows["sender"]).fillna("").astype("str"))
    for (origin, name), some in ev.groups(rows, ["origin", "subject"]):
        relays = sorted({ev.text(relay) or "" for relay in some["relay"]})
        findings.append(
            Finding(
                cause=str(origin),
                subject=name or "<>",
                summary=words.format(n=len(some), s="s" * (len(some) != 1), who=name or "<>", relays=_some(relays)),
                severity=severity,
                confidence="high",
                count=len(some),
                cases=[case(row) for row in some.itertuples()],
                rows=tuple(int(i) for i in some.index),
                first=ev.moment(some["time"].min()),
                last=ev.moment(some["time"].max()),
                remedy=remedy(settings, scan, str(origin), some),
                evidence=ev.merged(
                    ev.first_lines(scan, some["root"].head(3)),
                    _verdict_lines(scan, some),
                    ev.rows_at(scan, "deliveries", some.index),
                ),
                why=WHY.get(str(origin), ""),
            )
        )
    return findings


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _verdict_lines(scan: Scan, rows: pd.DataFrame) -> list[Evidence]:
    chosen = [int(i) for i in rows["verdict_row"] if int(i) >= 0][:4]
    table = scan.verdicts
    return [Evidence(scan.label(int(table["source"].iloc[i])), int(table["line"].iloc[i]), "") for i in chosen]
