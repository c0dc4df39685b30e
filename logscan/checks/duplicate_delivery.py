"""One mail is stored more than once in one mailbox.

## What it finds
Mails (message-id and sender) with more than one store in one mailbox, grouped by cause and by the address that doubles.

## Why it matters
People read everything twice, and monitoring mail loses its meaning; the cause is often one missing word in master.cf.

## What the log shows
Two final deliveries of one message-id and sender to one mailbox, told apart by Dovecot's session (which Postfix repeats
in its reply), else by queue ID. A hand-over to the filter, a deferred attempt, a repeated log line is no delivery, and
two replies with one session are one copy.

## What to do
`double-alias-expansion`: aliases are expanded before and after the filter. Merge no_address_mappings into the
re-injection service's receive_override_options (not before a filter that learns per recipient).
`filter-reinjected-twice`: the filter broke off after it had handed some copies back, and Postfix offered the mail again.
`retry-after-lost-reply`: the mail was stored, but the reply got lost.
`overlapping-aliases` (one person behind two addresses of the envelope) and `sender-resent` are by design: notes.

## When it is wrong
Devices that give each mail the same Message-ID: mails of different size are never joined. A user's own rules may copy.

## When it is blind
When the log holds no final delivery to a mailbox here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from logscan import evidence as ev
from logscan import remedies, texts
from logscan.aliases import asked, mended_since, top_rows
from logscan.settings import predictions
from logscan.verdict import Check, Finding, Remedy, Result

if TYPE_CHECKING:
    from logscan.scan import Scan
    from logscan.settings import Settings

SEVERITY: dict[str, Literal["problem", "warning", "note"]] = {
    "double-alias-expansion": "problem",
    "filter-reinjected-twice": "problem",
    "retry-after-lost-reply": "warning",
    "unknown": "warning",
    "overlapping-aliases": "note",
    "sender-resent": "note",
}
"""By cause, the gravest first: a case with several is counted under the first."""

SAME_SIZE = 512
"""Bytes by which two arrivals of one mail may differ (Received lines of another way); beyond, they are two mails."""

BROKEN = r"^(?:lost connection|conversation) with .* while (?:sending|receiving) (?:end of data|.* -- message may be)"
"""Postfix lost the reply after the data: the copy may have been taken (smtp_proto.c)."""


def stores(scan: Scan) -> pd.DataFrame:
    """Return one row per copy stored in a mailbox here: ``deliveries`` columns, ``key``, ``store``, ``top`` and more."""
    deliveries = scan.deliveries
    deliveries = deliveries.assign(top=top_rows(scan))
    final = deliveries["final"] & ~deliveries["outside"] & (deliveries["stored"] != 0)
    frame = deliveries[final].copy()
    entries = scan.entries.iloc[frame["entry"].to_numpy()]
    frame["message_id"] = entries["message_id"].fillna("").array
    frame["sender"] = texts.lower(entries["sender"].fillna("")).array
    frame["root"] = entries["root"].to_numpy()
    frame["size"] = scan.entries["size"].fillna(0).astype("int64").to_numpy()[frame["root"].to_numpy()]
    frame["asked"] = asked(frame)
    top = deliveries[["recipient", "original_recipient"]].iloc[frame["top"].to_numpy()]
    frame["asked_first"] = asked(top).array
    frame["handed"] = texts.lower(top["recipient"]).array
    told = frame["entry"].astype("str") + "/" + frame["mailbox"]
    frame["store"] = texts.either(frame["session"].where(frame["session"] != ""), told)
    return frame


def run(scan: Scan, settings: Settings) -> Result:
    """Count the distinct stores of each (message-id, sender, mailbox)."""
    frame = stores(scan)
    result = Result(checked=len(frame), eligible=len(frame))
    result.predictions = predictions(settings).get("duplicate-delivery", [])
    if frame.empty:
        result.blind_because.append("no delivery to a mailbox of this server in these logs")
        return result
    lost = _unanswered(scan, frame)
    whole = pd.concat([frame, lost], ignore_index=False) if len(lost) else frame
    named = whole[whole["message_id"].str.strip(" <>") != ""]
    distinct = named.drop_duplicates(["message_id", "sender", "mailbox", "store"])
    count = distinct.groupby(["message_id", "sender", "mailbox"], sort=False, observed=True)["store"].transform("size")
    several = distinct[count > 1]
    found: list[tuple[str, str, dict[str, Any], pd.DataFrame]] = []
    for (_, _, mailbox), rows in ev.groups(several, ["message_id", "sender", "mailbox"]):
        for copies in _same_mail(rows):
            if len(copies) > 1:
                causes, subject = _causes(scan, copies)
                found.append((causes[0], subject or str(mailbox), _case(scan, copies, causes), copies))
    by: dict[tuple[str, str], list[tuple[dict[str, Any], pd.DataFrame]]] = {}
    for cause, subject, case, copies in found:
        by.setdefault((cause, subject), []).append((case, copies))
    for (cause, subject), items in by.items():
        result.findings.append(_finding(scan, settings, cause, subject, items, frame))
    order = list(SEVERITY)
    result.findings.sort(key=lambda f: (order.index(f.cause), -f.count, f.subject))
    return result


def _same_mail(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Split copies whose mails came in with different sizes: a constant Message-ID doesn't make them one mail."""
    if rows["root"].nunique() == 1:
        return [rows]
    rows = rows.sort_values(["size", "time"], kind="stable")
    group = (rows["size"].diff().fillna(0) > SAME_SIZE).cumsum()
    return [some for _, some in rows.groupby(group.to_numpy())]


def _causes(scan: Scan, copies: pd.DataFrame) -> tuple[list[str], str]:
    """Return the causes, gravest first, and what to act on: the address that doubles, the filter (or nothing)."""
    causes: dict[str, str] = {}
    if "unanswered" in copies and copies["unanswered"].fillna(False).any():
        causes["retry-after-lost-reply"] = str(copies["relay"].iloc[0])
    for _, rows in ev.groups(copies, "root"):
        if len(rows) < 2:
            continue
        explained = 1
        doubled = _doubled(rows)
        if doubled:
            causes["double-alias-expansion"], several = doubled
            explained = max(explained, several)
        if _handed_twice(scan, rows):
            causes["filter-reinjected-twice"] = str(scan.deliveries["relay"].iat[int(rows["top"].iloc[0])])
            explained = len(rows)
        if rows["asked_first"].nunique() > 1 and explained < len(rows):
            causes["overlapping-aliases"] = ""
    if copies["root"].nunique() > 1:
        causes["sender-resent"] = ""
    ordered = [cause for cause in SEVERITY if cause in causes] or ["unknown"]
    return ordered, causes.get(ordered[0], "")


def _doubled(rows: pd.DataFrame) -> tuple[str, int] | None:
    """Return the address whose second expansion, behind the filter, doubled copies of one mail, and how many they are.

    An alias: copies of one address of the envelope came by several hand-overs, and one was expanded behind the filter.
    A BCC: behind the filter a recipient was added that the hand-over didn't name, and that had one of its own.
    """
    added = rows["asked"] != rows["handed"]
    if added.any() and (~added).any():
        return str(rows["mailbox"].iloc[0]), len(rows)
    for address, some in ev.groups(rows, "asked_first"):
        behind = some["asked"] != some["recipient"].str.lower()
        if len(some) > 1 and some["handed"].nunique() > 1 and behind.any():
            return str(address), len(some)
    return None


def _handed_twice(scan: Scan, rows: pd.DataFrame) -> bool:
    """Whether one recipient of one entry came out of the filter more than once, in different attempts."""
    legs = scan.legs
    deliveries = scan.deliveries
    out_of = legs[(legs["kind"] == "filter") & legs["child"].isin(_ancestors(scan, rows["entry"].to_numpy()))]
    out_of = out_of[out_of["delivery"] >= 0]
    if len(out_of) < 2:
        return False
    handed = deliveries.iloc[out_of["delivery"].to_numpy()]
    key = pd.DataFrame(
        {
            "parent": out_of["parent"].to_numpy(),
            "to": handed["recipient"].str.lower().to_numpy(),
            "asked": asked(handed).to_numpy(),
            "row": out_of["delivery"].to_numpy(),
        }
    )
    return bool((key.groupby(["parent", "to", "asked"])["row"].nunique() > 1).any())


def _ancestors(scan: Scan, entries: np.ndarray) -> np.ndarray:
    parent = np.r_[scan.entries["parent"].to_numpy(), -1]
    out, at = [entries], entries
    for _ in range(8):
        at = parent[at]
        at = at[at >= 0]
        if not len(at):
            break
        out.append(at)
    return np.unique(np.concatenate(out))


def _unanswered(scan: Scan, frame: pd.DataFrame) -> pd.DataFrame:
    """Return stores by Dovecot whose reply Postfix never got: the copy was stored, and the mail offered again."""
    deliveries = scan.deliveries
    broken = deliveries[
        (deliveries["status"] == "deferred")
        & deliveries["reply"].str.contains(BROKEN, regex=True, na=False)
        & (deliveries["entry"] >= 0)
        & ~deliveries["outside"]
    ]
    # A hand-over to the filter may break off as well; its children are deliveries of their own.
    hand_overs = set(scan.legs.loc[scan.legs["delivery"] >= 0, "delivery"])
    broken = broken[~broken.index.isin(hand_overs)]
    if broken.empty:
        return frame.iloc[:0]
    events = scan.events("stores")
    answered = set(scan.deliveries["session"].dropna())
    stored = events[(events["action"] == "stored") & ~events["session"].isin(answered)]
    rows = []
    for row in broken.itertuples():
        later = frame[(frame["entry"] == row.entry) & (frame["recipient"] == row.recipient)]
        if later.empty:
            continue
        message_id = str(later["message_id"].iloc[0])
        near = stored[
            (stored["message_id"] == message_id)
            & ((stored["time"] - row.time).abs() <= pd.Timedelta(seconds=float(row.delay or 0) + 600))
        ]
        near = near[near["user"].fillna("").str.lower().isin({row.mailbox, str(row.mailbox).partition("@")[0]})]
        for store in near.drop_duplicates("session").itertuples():
            copy = later.iloc[0].copy()
            copy["store"], copy["time"], copy["unanswered"] = store.session, store.time, True
            copy["store_row"] = store.Index
            rows.append(copy)
    return pd.DataFrame(rows).drop_duplicates(["store"]) if rows else frame.iloc[:0]


def _case(scan: Scan, copies: pd.DataFrame, causes: list[str]) -> dict[str, Any]:
    queue_ids = scan.entries["queue_id"].to_numpy()
    return {
        "message_id": str(copies["message_id"].iloc[0]),
        "mailbox": str(copies["mailbox"].iloc[0]),
        "copies": len(copies),
        "queue_ids": [str(queue_ids[e]) for e in dict.fromkeys(copies.sort_values("time")["entry"])],
        "time": ev.iso(copies["time"].min()),
        "causes": causes,
    }


def _finding(
    scan: Scan,
    settings: Settings,
    cause: str,
    subject: str,
    items: list[tuple[dict[str, Any], pd.DataFrame]],
    frame: pd.DataFrame,
) -> Finding:
    cases = [case for case, _ in items]
    copies = pd.concat([rows for _, rows in items])
    mails = len({case["message_id"] for case in cases})
    boxes = len({case["mailbox"] for case in cases})
    mailed = f"{mails} mail{'s' * (mails != 1)}"
    words = {
        "double-alias-expansion": f"{mailed} to {subject}",
        "filter-reinjected-twice": f"{mailed} that came back from the filter ({subject}) twice",
        "retry-after-lost-reply": f"{mailed} offered again after {subject} had taken them",
    }.get(cause, f"{mailed} for {subject}")
    times = "twice" if all(case["copies"] == 2 for case in cases) else f"up to {max(c['copies'] for c in cases)} times"
    summary = f"{words} stored {times} in {boxes} mailbox{'es' * (boxes != 1)}"
    state: Literal["active", "mended"] = "active"
    if cause == "double-alias-expansion":
        since = _mended(scan, subject, copies, frame)
        if since is not None:
            state = "mended"
            summary += f"; mended since {ev.iso(since)}"
    return Finding(
        cause=cause,
        subject=subject,
        summary=summary,
        severity=SEVERITY[cause],
        confidence="low" if cause == "unknown" else "high",
        count=len(cases),
        cases=cases,
        first=ev.moment(copies["time"].min()),
        last=ev.moment(copies["time"].max()),
        state=state,
        remedy=_remedy(settings, cause),
        evidence=ev.merged(
            ev.rows_at(scan, "deliveries", dict.fromkeys(copies["top"].head(6))),
            ev.rows_at(scan, "deliveries", copies.index[:6]),
        ),
        why=WHY[cause],
    )


def _mended(scan: Scan, alias: str, copies: pd.DataFrame, frame: pd.DataFrame) -> pd.Timestamp | None:
    """Return since when mail to the alias is stored once, where it still reaches several mailboxes or itself."""
    bad = set(copies["root"])
    good = frame[(frame["asked_first"] == alias) & ~frame["root"].isin(bad)]
    expanded = good[(good["mailbox"] != alias) | (good["asked"] != good["recipient"].str.lower())]
    return mended_since(scan, copies["time"].max(), expanded["time"])


WHY = {
    "double-alias-expansion": "Aliases are expanded before and after the filter: no_address_mappings stands on neither side.",
    "filter-reinjected-twice": "The filter broke off after it had handed copies back, and Postfix offered the mail again.",
    "retry-after-lost-reply": "The mailbox server stored the mail, its reply got lost, and Postfix tried again.",
    "overlapping-aliases": "One person is reached through several addresses of the envelope: by design.",
    "sender-resent": "The sender sent the same mail more than once.",
    "unknown": "The log doesn't tell why.",
}


def _remedy(settings: Settings, cause: str) -> Remedy | None:
    if cause == "double-alias-expansion":
        return remedies.no_address_mappings_after(settings)
    if cause == "filter-reinjected-twice":
        return Remedy(
            "Find out why the filter breaks off (its own log, a core dump, `dmesg`). With DSPAM's hash driver two first "
            "mails for a new user at one time crash it: lmtp_destination_concurrency_limit = 1 for the transport to "
            "DSPAM avoids that."
        )
    if cause == "retry-after-lost-reply":
        return Remedy("Look why the mailbox server's reply came late or never: its log, disk and locks at these times.")
    return None


CHECK = Check("duplicate-delivery", "Mail is stored more than once", "mail", run, order=30)
