"""Findings about own mail that the own filter tagged, kept back or merely looked at: whom to talk to, why, and what mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking.own_mail import OwnMail
from logscan.checking.own_ways import Way, reason_why, remedy, ways
from logscan.findings import Evidence, Finding, Place, Remedy, Severity
from logscan.scan.ports import DOOR
from logscan.tables import cells, texts
from logscan.tables.spans import NEVER

Ints = npt.NDArray[np.int64]

MOST_SUBJECTS = 50
"""Senders of one cause that are named each: a newsletter with an address of its own for each recipient is one program."""

LEFT = ["time", "came", "recipient", "outside", "kept", "reason"]
"""Columns that a single finding is made from; fewer columns are quicker to cut."""

KEPT_BACK = DISCARDED, REFUSED, BLOCKED = "own-mail-discarded", "own-mail-refused", "own-mail-blocked"


def by_origin(
    own: OwnMail,
    rows: pd.DataFrame,
    severity: Severity,
    words: str,
    *,
    cause: str = "",
    detail: Callable[[pd.DataFrame], tuple[str, Severity]] | None = None,
) -> list[Finding]:
    """Return one finding per origin and sender: the one to talk to, or the script to look at.

    ``rows`` are of :attr:`logscan.checking.own_mail.OwnMail.cases`. ``words`` may hold {what} ("7 mails to 28 recipients"),
    {who}, {relays} and {was} (was or were). ``cause`` stands in for the origin; ``detail`` returns what else is to be said of
    a finding's rows, and its severity.
    """
    if rows.empty:
        return []
    rows = rows.assign(subject=_subjects(rows)).reset_index(drop=True)
    way, shown, places = ways(own.filters, rows), cases(rows), _places(own, rows)
    programs = rows["program"].to_numpy(dtype=object)
    mail, person = people(rows)
    relay = rows["relay"].astype("str").fillna("").to_numpy(dtype=object)
    evidence = rows[EVIDENCE]
    rows = rows[["origin", "subject", "mail", *LEFT]]
    made: dict[tuple[str, Way, frozenset[str]], tuple[Remedy, str]] = {}
    ended: dict[str, str] = {}
    findings = []
    for (origin, name), at in _in_order(rows):
        some = rows.iloc[at]
        mostly = Counter(way[i] for i in at.tolist()).most_common(1)[0][0]
        key = str(origin), mostly, frozenset(programs[at].tolist())
        if key not in made:
            made[key] = remedy(own.settings, *key), reason_why(own.settings, str(origin), mostly)
        if origin not in ended:
            ended[str(origin)] = _mended(own, str(origin))
        (cure, why), end = made[key], ended[str(origin)]
        mails, recipients = len(np.unique(mail[at])), len(np.unique(person[at]))
        said, weight = detail(some) if detail else ("", severity)
        findings.append(
            Finding(
                cause=cause or str(origin),
                subject=name or "<>",
                summary=words.format(
                    what=counted(mails, recipients),
                    was="was" if mails == 1 else "were",
                    who=name or "<>",
                    relays=_named(set(relay[at].tolist())),
                )
                + said
                + (f"; {end}" if end else ""),
                severity=weight,
                confidence="high",
                count=len(some),
                cases=[shown[i] for i in at.tolist()],
                places=frozenset(places[i] for i in at.tolist()),
                first=cells.moment(some["time"].min()),
                last=cells.moment(some["time"].max()),
                state="mended" if end else "active",
                remedy=None if end else cure,
                evidence=_evidence(own, evidence.iloc[at[: ev.MOST_EVIDENCE]]),
                why=why,
                mails=mails,
                recipients=recipients,
            )
        )
    return findings


def people(rows: pd.DataFrame) -> tuple[Ints, Ints]:
    """Return a number for each row's mail, and one for its recipient, each mail's counted by itself."""
    mail = np.unique(rows["mail"].to_numpy(), return_inverse=True)[1].astype(np.int64)
    recipient = texts.coded(texts.lower(rows["recipient"]))[0]
    return mail, np.unique(mail * (len(rows) + 1) + recipient, return_inverse=True)[1].astype(np.int64)


def groups_of_mail(rows: pd.DataFrame) -> tuple[int, int]:
    """Return how many mails these rows are of, and how many recipients they have (each mail's counted by itself)."""
    mail, person = people(rows)
    return len(np.unique(mail)), len(np.unique(person))


def _places(own: OwnMail, rows: pd.DataFrame) -> list[Place]:
    """Return from where each row was delivered, as the map of the mail's way draws it."""
    door = rows[[f"place_{name}" for name in DOOR]].set_axis(list(DOOR), axis=1)
    port = own.ports.of(door).port.tolist()
    columns = [rows[f"from_{name}"].tolist() for name in ("service", "program", "origin", "leg")]
    return [
        Place(*each) for each in zip(*columns, port, rows["outside"].tolist(), rows["at_door"].tolist(), strict=True)
    ]


def _in_order(rows: pd.DataFrame) -> list[tuple[tuple[str, str], Ints]]:
    """Return the positions of each origin's and subject's rows, in the order of their first."""
    groups = rows.groupby(["origin", "subject"], sort=False, dropna=False).indices
    return sorted(((key, np.sort(at)) for key, at in groups.items()), key=lambda item: int(item[1][0]))


def counted(mails: int, recipients: int) -> str:
    """Return mails and recipients in words: the recipients where they are others in number."""
    said = f"{mails} mail{'s' * (mails != 1)}"
    return said if mails == recipients else f"{said} to {recipients} recipient{'s' * (recipients != 1)}"


def _subjects(rows: pd.DataFrame) -> pd.Series:
    """Return whom each row is about: the login, or the sender; where programs have very many senders, their domain."""
    login = rows["origin"].isin(["authenticated-port-25", "submission-filtered"]) & rows["user"].notna()
    subject = rows["user"].where(login, rows["sender"]).fillna("").astype("str")
    for fold in (_domain_only, _many):
        many = (subject.groupby(rows["origin"]).transform("nunique") > MOST_SUBJECTS) & ~login
        if not many.any():
            break
        subject = subject.where(~many, texts.each(subject, fold))
    return subject


def _domain_only(senders: pd.Series) -> pd.Series:
    return senders.str.replace(r"(?s)^.*@", "@", regex=True)


def _many(senders: pd.Series) -> pd.Series:
    return senders.where(senders == "", "many senders")


def _named(relays: set[str]) -> str:
    names = sorted(relays - {"", "nan"})
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _mended(own: OwnMail, origin: str) -> str:
    """Return by which reload mail of that origin has been let past the filter, never filtered again; empty if by none."""
    mine = own.counts[(own.counts["origin"] == origin).to_numpy()]
    filtered = mine["filtered"].to_numpy(dtype=np.bool_)
    if not filtered.any():
        return ""
    time = pd.Series(pd.to_datetime(mine["time"].where(mine["time"] > NEVER // 2), unit="ns", utc=True))
    last = time[filtered].max()
    good = time[~filtered & mine["looked"].to_numpy(dtype=np.bool_)].dropna()
    ended = own.ends.mended(last, good)
    by_reload = ended is not None and len(own.ends.between(last, good[good > last].min())) > 0
    return ended.words if ended is not None and by_reload else ""


def cases(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the deliveries as the contract's cases."""
    moments = rows["time"].dt.floor("s").dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    columns: dict[str, list[Any]] = {}
    for name in ("message_id", "sender", "recipient", "user", "client", "origin", "relay", "signature", "queue_id"):
        column = rows[name].astype("object")
        columns[name] = column.where(column.notna(), None).tolist()
    columns["time"] = moments.astype("object").where(moments.notna(), None).tolist()
    if (rows["kept"] != "").any():
        columns["kept"] = rows["kept"].tolist()
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


EVIDENCE = [f"{name}_{column}" for name in ("opened", "told", "stopped", "done") for column in ("source", "line")]


def _evidence(own: OwnMail, rows: pd.DataFrame) -> list[Evidence]:
    labels = [source.label for source in own.log.read.sources]

    def lines(name: str, most: int, of: int = ev.MOST_EVIDENCE) -> list[Evidence]:
        some = rows.head(of)
        at = zip(some[f"{name}_source"].tolist(), some[f"{name}_line"].tolist(), strict=True)
        return [Evidence(labels[source], line, "") for source, line in at if source >= 0][:most]

    return ev.merged(
        lines("opened", 3, 3), lines("told", 4), lines("stopped", ev.MOST_EVIDENCE), lines("done", ev.MOST_EVIDENCE)
    )


def kept_back(own: OwnMail, rows: pd.DataFrame, to: str) -> list[Finding]:
    """Return the findings of own mail that the filter kept back: nobody got it, and mostly nobody was told.

    ``to`` ends the sentence: whom the mail was for.
    """
    kept = rows[(rows["kept"] != "") & rows["inside"]]
    if kept.empty:
        return []
    silent = kept["kept"] != "refused"
    other = kept["reason"] != ""
    words = f"{{what}} from {{who}}{to} {{was}} kept back by this server's own filter: "
    out: list[Finding] = []
    for some, severity, cause in (
        (silent & ~other, "problem", DISCARDED),
        (~silent & ~other, "problem", REFUSED),
        (other, "warning", BLOCKED),
    ):
        weight: Severity = "problem" if severity == "problem" else "warning"

        def detail(rows: pd.DataFrame, weight: Severity = weight) -> tuple[str, Severity]:
            return _what_became(rows), weight

        for finding in by_origin(own, kept[some], weight, words, cause=cause, detail=detail):
            if finding.remedy is not None:
                ids = {case["queue_id"] for case in finding.cases}
                rows = kept[kept["queue_id"].isin(ids)]
                finding.remedy = remedies.after_release(finding.remedy, rows, virus=cause == BLOCKED)
            out.append(finding)
    return _one_each(out)


SAID = {"discarded": "thrown away", "quarantined": "put into quarantine or on hold", "refused": "refused"}


def _what_became(rows: pd.DataFrame) -> str:
    """Return what the filter did with it and why, in words."""
    ways = rows["kept"].value_counts().sort_index()
    parts = [SAID[str(way)] if len(ways) == 1 else f"{number} {SAID[str(way)]}" for way, number in ways.items()]
    reasons = sorted(set(rows["reason"]) - {""})
    if reasons:
        return f"{', '.join(parts)} ({', '.join(reasons)})"
    return ", ".join(parts) + ("" if set(ways.index) == {"refused"} else "; nobody was told")


def _one_each(findings: list[Finding]) -> list[Finding]:
    """Let the same sender's two origins be told apart: a finding's id is made of cause and subject."""
    seen: dict[tuple[str, str], int] = {}
    for finding in findings:
        key = finding.cause, finding.subject
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            finding.subject += f" ({finding.cases[0]['origin']})"
    return findings
