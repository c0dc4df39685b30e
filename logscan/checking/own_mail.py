"""Findings about own mail that the own filter tagged, kept back or merely looked at: whom to talk to, why, and what mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.findings import Counted, Evidence, Finding, Place, Remedy, Result, Severity
from logscan.scan.aliases import mended_since, reloads
from logscan.scan.filters import KIND_OF, Filters, behind_the_queue, filters, kinds_of, logs_to_give, name_of
from logscan.scan.ports import entry_ports
from logscan.scan.submitted import Own, mail_of
from logscan.tables import cells, texts

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

ENOUGH = 0.95
"""Share of the deliveries of which it must be known whether a filter tagged them before the rest may be called clear."""

MOST_SUBJECTS = 50
"""Senders of one cause that are named each: a newsletter with an address of its own for each recipient is one program."""

LEFT = [
    "time",
    "entry",
    "local",
    "mail",
    "root",
    "row",
    "reject",
    "recipient",
    "outside",
    "verdict_row",
    "kept",
    "reason",
]
"""Columns of :class:`logscan.scan.submitted.Own` that a single finding is made from; fewer columns are quicker to cut."""

DISCARDED, REFUSED, BLOCKED = "own-mail-discarded", "own-mail-refused", "own-mail-blocked"


def judged(result: Result, rows: pd.DataFrame, scan: Window, settings: Settings, nothing: str) -> None:
    """Set ``eligible`` and ``checked``; say why it isn't applicable, or what is missing where verdicts are.

    ``nothing`` is the sentence for a log without such mail.
    """
    known = filters(scan, settings)
    looked = rows["looked"].to_numpy(dtype=np.bool_)
    result.eligible, result.checked = len(rows), int(looked.sum())
    missing = int((~looked).sum())
    if known.none:
        result.not_applicable = NO_FILTER
        return
    if rows.empty:
        result.blind_because.append(nothing)
        return
    if known.unseen:
        result.checked = 0
        result.blind_because.append(UNSEEN)
    elif missing > (1 - ENOUGH) * len(rows) or _mute(scan, rows[~looked]).any():
        result.blind_because.append(_missing(rows, ~looked, scan, settings))


NO_FILTER = "The configuration sends no mail through a spam filter, and the log shows none."

UNSEEN = (
    "no filter shows in these logs; one that works as a milter leaves no trace in Postfix's log: give main.cf and master.cf, "
    "or the log of the filter (rspamd.log; amavis's or spamd's lines)"
)


def _missing(rows: pd.DataFrame, blank: np.ndarray, scan: Window, settings: Settings) -> str:
    some = rows[blank]
    passed = int(some["passed"].sum())
    kinds = kinds_of(scan, settings, some)
    known = filters(scan, settings)
    if not passed and kinds == ["other"] and known.unknown_milters:
        return unknown_milter(known)
    names = " or ".join(name_of(kind) for kind in kinds) or "the filter"
    its = "their" if len(kinds) > 1 else "its"
    if kinds == ["pmg"]:
        return (
            f"{len(some)} of {Counted(len(rows)):delivery|deliveries} came through {names}, whose lines don't say whether a rule "
            "marked the mail as spam: look at its rules for outgoing mail"
        )
    mute = int(_mute(scan, some).sum())
    if mute:
        return (
            f"{mute} of {Counted(len(rows)):delivery|deliveries} held spam to amavis, whose lines don't tell if it was tagged: "
            "let it log its actions ({…} in $log_templ), or look at $sa_tag2_level_deflt and @local_domains_maps in amavisd.conf"
        )
    if passed:
        why = f"went through {names}, but {its} verdicts aren't in these logs"
    elif known.log:
        why = f"came in at times that the log of {names} doesn't cover: whether it judged them can't be told"
    else:
        why = f"came in by services that have {names} at the door, and {its} log isn't at hand"
    return f"{len(some)} of {Counted(len(rows)):delivery|deliveries} {why}: give {logs_to_give(settings, kinds)}"


def _mute(scan: Window, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows amavis took for spam without a word on whether it tagged them."""
    judged = rows["verdict_row"].to_numpy()
    found: npt.NDArray[np.bool_] = np.asarray(judged >= 0)
    results = scan.verdicts["result"].iloc[judged[found]].astype("str")
    found[found] = results.str.startswith("Passed SPAM").to_numpy(dtype=np.bool_)
    return found


def unknown_milter(known: Filters) -> str:
    """Return the reason for being blind where a milter is all that there is, and its address doesn't say what it is."""
    return (
        f"there is a milter at {known.unknown_milters[0]}: whether it judges spam isn't told by its address, and it leaves no "
        "trace in Postfix's log; give its own log"
    )


@dataclass(frozen=True)
class Way:
    """How a filter got hold of own mail: ``via`` queue (content_filter), hold (MailScanner), milter or proxy; its ``kind``.

    ``who`` handed it in: user, somebody of whom the port isn't known (login), program (of this host), network (mynetworks).
    """

    via: str
    kind: str
    who: str

    @property
    def name(self) -> str:
        """The filter's name in a sentence."""
        return name_of(self.kind)


def ways(scan: Window, settings: Settings, rows: pd.DataFrame) -> list[Way]:
    """Return the way by which each row met a filter."""
    known = filters(scan, settings)
    queue, door = behind_the_queue(scan, settings), sorted(known.door)
    passed = rows["passed"].to_numpy(dtype=np.bool_)
    names = np.append(scan.verdicts["filter"].astype("str").replace(KIND_OF).to_numpy(dtype=object), "")
    kind = names[rows["verdict_row"].to_numpy()]
    other = np.where(passed, queue[0] if len(queue) == 1 else "other", door[0] if len(door) == 1 else "other")
    kind = np.where(np.isin(kind, ["", "nan"]), other, kind)
    via = np.where(passed, "queue", "proxy" if known.proxies else "milter")
    via = np.where(kind == "mailscanner", "hold", via)
    login, local = rows["user"].notna().to_numpy(), rows["local"].to_numpy(dtype=np.bool_)
    who = np.select([login & (rows["port"] > 0).to_numpy(), login, local], ["user", "login", "program"], "network")
    made: dict[tuple[str, str, str], Way] = {}
    each = zip(via.tolist(), kind.tolist(), who.tolist(), strict=True)
    return [made.setdefault(one, Way(*one)) for one in each]


def reason_why(settings: Settings, origin: str, way: Way) -> str:
    """Return why the filter gets this mail, in one sentence that fits the filter."""
    if way.kind == "pmg":
        return f"{way.name} judges outgoing mail by its rules too."
    if way.via == "queue":
        return WHY.get((origin, way.who), WHY.get((origin, ""), ""))
    whose = WHOSE.get(way.who if origin != "authenticated-port-25" else origin, "your users' own mail")
    if way.via == "hold":
        return f"{way.name} takes all mail that cleanup puts on hold (header_checks), {whose} too."
    if way.via == "proxy":
        return f"{way.name} stands before the queue (smtpd_proxy_filter) of a service that takes {whose} too."
    fact = settings.postfix.fact("smtpd_milters") if settings.known("postfix") else None
    if fact and way.who != "program":
        return f"{way.name} is a milter of every service (smtpd_milters, {fact.file}:{fact.line}), so it judges {whose} too."
    return f"{way.name} works as a milter, and judges {whose} like a stranger's."


WHOSE = {
    "authenticated-port-25": "mail that users submit on port 25",
    "program": "mail of scripts and cron jobs on this host",
    "network": "mail of hosts in mynetworks",
}

WHY = {
    ("authenticated-port-25", ""): "Mail submitted with a login on port 25 goes through that port's content_filter.",
    ("local-script", ""): "Mail of scripts and cron jobs on this host enters by a service that has the content_filter.",
    ("local-script", "network"): "Mail of hosts in mynetworks enters by a service that has the content_filter.",
    ("submission-filtered", ""): "The submission service has a content_filter.",
    (
        "submission-filtered",
        "login",
    ): "The service by which users log in has a content_filter; its port the log doesn't tell.",
    ("all-filtered", ""): "content_filter is set for all services (main.cf).",
}


def remedy(settings: Settings, origin: str, way: Way, programs: frozenset[str]) -> Remedy:
    """Return what mends mail of that origin being filtered in that way; ``programs`` took it in (smtpd, pickup)."""
    pickup, others = "pickup" in programs, bool(programs - {"pickup"})
    if way.kind == "pmg":
        return remedies.spare_by_pmg()
    if way.via == "milter":
        return remedies.spare_by_milter(settings, origin, way.kind, pickup=pickup)
    if way.via == "hold":
        return remedies.spare_from_hold(origin, pickup=pickup)
    if way.via == "proxy":
        return remedies.spare_by_proxy(settings, origin)
    if way.who == "network" and origin == "local-script":
        return remedies.unfilter_network(settings)
    if origin == "authenticated-port-25":
        return remedies.move_to_submission(settings, None)
    if origin == "submission-filtered":
        return remedies.unfilter_submission(settings)
    if origin == "all-filtered":
        return remedies.filter_port_25_only(settings, loopback=others and way.who == "program")
    return remedies.unfilter_local(settings, pickup=pickup, loopback=others)


def by_origin(
    scan: Window,
    settings: Settings,
    everything: Own,
    rows: pd.DataFrame,
    severity: Severity,
    words: str,
    *,
    cause: str = "",
    detail: Callable[[pd.DataFrame], tuple[str, Severity]] | None = None,
) -> list[Finding]:
    """Return one finding per origin and sender: the one to talk to, or the script to look at.

    ``words`` may hold {what} ("7 mails to 28 recipients"), {who}, {relays} and {was} (was or were). ``cause`` stands in for
    the origin; ``detail`` returns what else is to be said of a finding's rows, and its severity.
    """
    if rows.empty:
        return []
    rows = rows.assign(subject=_subjects(rows)).reset_index(drop=True)
    way, shown = ways(scan, settings, rows), cases(rows)
    programs = scan.entries["program"].astype("str").to_numpy(dtype=object)[rows["root"].to_numpy()]
    mail = np.unique(mail_of(rows), return_inverse=True)[1]
    person = np.unique(mail * len(rows) + texts.coded(texts.lower(rows["recipient"]))[0], return_inverse=True)[1]
    relay = rows["relay"].astype("str").fillna("").to_numpy(dtype=object)
    places = _places(scan, settings, rows["row"].to_numpy())
    rows = rows[["origin", "subject", *LEFT]]
    made: dict[tuple[str, Way, frozenset[str]], tuple[Remedy, str]] = {}
    ended: dict[str, str] = {}
    findings = []
    for (origin, name), at in _in_order(rows):
        some = rows.iloc[at]
        mostly = Counter(way[i] for i in at.tolist()).most_common(1)[0][0]
        key = str(origin), mostly, frozenset(programs[at].tolist())
        if key not in made:
            made[key] = remedy(settings, *key), reason_why(settings, str(origin), mostly)
        if origin not in ended:
            ended[str(origin)] = _mended(scan, everything, str(origin))
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
                evidence=_evidence(scan, some.head(ev.MOST_EVIDENCE)),
                why=why,
                mails=mails,
                recipients=recipients,
            )
        )
    return findings


def _places(scan: Window, settings: Settings, row: Ints) -> list[Place]:
    """Return from where each of the deliveries left, as the map of the mail's way draws it; of row -1 that none left."""
    deliveries, entries = scan.deliveries, scan.entries
    entry = np.append(deliveries["entry"].to_numpy(), -1)[row]
    away = np.append(deliveries["outside"].to_numpy(), False)[row]
    port = np.append(entry_ports(scan, settings).port, 0)[entry]
    names = [
        np.append(entries[name].astype("str").fillna("").to_numpy(dtype=object), "")[entry]
        for name in ("service", "program", "origin", "leg")
    ]
    every = zip(*names, port.tolist(), away.tolist(), (row < 0).tolist(), strict=True)
    return [Place(*each) for each in every]


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


def _mended(scan: Window, everything: Own, origin: str) -> str:
    """Return by which reload mail of that origin has been let past the filter, never filtered again; empty if by none."""
    mine = everything.frame[(everything.frame["origin"] == origin).to_numpy() & everything.frame["inside"].to_numpy()]
    filtered = (
        mine["passed"].to_numpy(dtype=np.bool_) | mine["spam"].notna().to_numpy() | (mine["kept"] != "").to_numpy()
    )
    if not filtered.any():
        return ""
    last = mine["time"][filtered].max()
    good = mine["time"][~filtered & mine["looked"].to_numpy(dtype=np.bool_)]
    ended = mended_since(scan, last, good)
    turned = reloads(scan)["time"]
    by_reload = ended is not None and ((turned > last) & (turned <= good[good > last].min())).any()
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


def _evidence(scan: Window, rows: pd.DataFrame) -> list[Evidence]:
    chosen = [int(i) for i in rows["verdict_row"] if int(i) >= 0][:4]
    table = scan.verdicts
    told = [Evidence(scan.label(int(table["source"].iloc[i])), int(table["line"].iloc[i]), "") for i in chosen]
    deliveries = ev.rows_at(scan, "deliveries", rows["row"].head(ev.MOST_EVIDENCE))
    stopped = ev.rows_at(scan, "rejects", rows["reject"].head(ev.MOST_EVIDENCE))
    return ev.merged(ev.first_lines(scan, rows["root"].head(3)), told, stopped, deliveries)


def kept_back(scan: Window, settings: Settings, everything: Own, rows: pd.DataFrame, to: str) -> list[Finding]:
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

        for finding in by_origin(scan, settings, everything, kept[some], weight, words, cause=cause, detail=detail):
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
