"""Users submit mail with authentication on port 25 instead of 587.

## What it finds
Mail that a user of this server submitted with a login on the service that listens on port 25. One finding a user: from
which addresses and hosts, how often, how many went through the spam filter, how many were tagged.

## Why it matters
Port 25 is where strangers hand in mail, so what comes in there is filtered like a stranger's. The user's own mail gets
a spam verdict, is learned under the recipients' names, and may arrive elsewhere marked as spam; nobody here notices.

## What the log shows
`postfix/smtpd[…]: QUEUEID: client=…, sasl_username=…` for a mail that really was queued (an aborted transaction shows
the same line). Which service holds port 25 comes from master.cf, from `--service 'postfix/smtpd=25'`, or is inferred:
plain `postfix/smtpd` beside a named submission service is medium, without any named service low confidence.

## What to do
Tell the user to set port 587 (STARTTLS) or 465 (TLS) in the mail program; the message is part of the finding. Only when
all users have moved, switch AUTH off on port 25 and refuse unauthenticated mail from your own domains there: some
programs fall back to sending without authentication and would vanish from sight.

## When it is wrong
Where submission on 587 logs under the plain name `postfix/smtpd` too (no `syslog_name`), and no configuration is given.

## When it is blind
Without a single authenticated mail in the log; where one name stands for port 25 and for a submission port, or nothing
tells the service's port; where a proxy stands before Postfix (a login by XCLIENT, the PROXY protocol): the port that the
user spoke to stands in the proxy's log.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan import remedies
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.correlate.codes import distinct, factorise, in_order
from logscan.findings import Confidence, Evidence, Finding, Remedy, Result
from logscan.scan import coded, ports
from logscan.scan.hops import entry_has_hop
from logscan.scan.mail_hashes import chosen, mail_hashes
from logscan.tables import cells, texts
from logscan.tables.partials import First, Keyed, Part, Partial, Rows, together
from logscan.tables.spans import NEVER

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")

MENDED_AFTER = pd.Timedelta(days=2)
"""A user counts as moved when this much later and MENDED_MAILS mails long all submissions came in elsewhere."""

MENDED_MAILS = 5

MOST_UNDECIDED = 50_000
"""Mails kept, the first ones, whose port only other windows may tell: where one name stands for several ports."""


def look(window: Window, settings: Settings) -> Partial:
    """Count the queued mails with a login by what tells their port; take those on port 25, and each user's last elsewhere."""
    entries = window.entries
    code, kinds = ports.doors(window, settings)
    queued = entries["queued"].to_numpy(dtype=np.bool_) | (entries["mail"].to_numpy() >= 0)
    mine = np.flatnonzero((code >= 0) & queued)
    parts = {**ports.look(window, settings), **_nothing()}
    if not len(mine):
        return Partial(parts)
    door, first = code[mine], np.maximum(cells.ns(entries["first"])[mine], NEVER)
    port = ports.told(window, settings)[door]
    parts["counts"] = _counts(kinds, door, first)
    away = (port > 0) & (port != 25)
    if away.any():
        parts["elsewhere"] = _elsewhere(window, mine[away], first[away])
    some = mine[(port == 25) | (port < 0)]
    if len(some):
        rows = _cases(window, some)
        open_ = (kinds["process"].to_numpy() != 0)[code[some]]
        parts |= {"cases": Rows.of(rows[~open_]), "most": int(np.count_nonzero(open_))}
        parts["undecided"] = First.of(rows[open_], MOST_UNDECIDED, UNDECIDED) if open_.any() else parts["undecided"]
    return Partial(parts)


UNDECIDED = ("first", "source", "line", "user", "queue_id")

KINDS = {
    **dict.fromkeys(("user", "message_id", "sender", "queue_id", "client", "recipients"), "str"),
    **dict.fromkeys(("through", "tagged", "judged"), "bool"),
    "first": "datetime64[ns, UTC]",
    **dict.fromkeys(("mail", "source", "line"), "int64"),
    **dict(zip(ports.DOOR, ("str", "bool", "bool", "int64"), strict=True)),
}
"""The columns of a case (:func:`_cases`)."""


@functools.cache
def _nothing() -> dict[str, Part]:
    """Return the parts of a window in which nobody submitted mail with a login."""
    none = pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in KINDS.items()})
    number = pd.Series([], dtype="int64")
    counts = none[list(ports.DOOR)].assign(n=number, first=number)
    return {
        "counts": Keyed.of(counts, sums=["n"], least=["first"]),
        "cases": Rows.of(none),
        "undecided": First.of(none, MOST_UNDECIDED, UNDECIDED),
        "most": 0,
        "elsewhere": First.of(none[["user"]].assign(back=number), MENDED_MAILS, ["back"], ["user"]),
    }


def _counts(kinds: pd.DataFrame, door: Ints, first: Ints) -> Keyed:
    """Return how many mails came in by each door, and the first of them."""
    n = np.bincount(door, minlength=len(kinds))
    least = np.full(len(kinds), np.iinfo(np.int64).max)
    np.minimum.at(least, door, first)
    used = np.flatnonzero(n)
    frame = {**{name: kinds[name].array[used] for name in ports.DOOR}, "n": n[used], "first": least[used]}
    return Keyed.of(pd.DataFrame(frame, copy=False), sums=["n"], least=["first"], once=True)


def _elsewhere(window: Window, index: Ints, first: Ints) -> First:
    """Return the last mails of each user that came in by another port; ``back`` is their time below 0."""
    user = coded.of_rows(window.entries["sasl_username"], index)
    order = np.lexsort((-first, user.codes))
    begins = np.flatnonzero(np.r_[True, user.codes[order][1:] != user.codes[order][:-1]])
    nth = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    order = order[nth < MENDED_MAILS]
    frame = pd.DataFrame({"user": user.at(order), "back": -first[order]}, copy=False)
    return First.of(frame, MENDED_MAILS, ("back",), ("user",))


def _cases(window: Window, index: Ints) -> pd.DataFrame:
    """Return what a finding tells of some entries; ``recipients`` is a list as JSON, ``mail`` a hash."""
    entries, mails = window.entries, window.mails
    mail, opened = entries["mail"].to_numpy()[index], entries["client_row"].to_numpy()[index]
    top = np.append(mails["entry"].to_numpy(), -1)[mail]
    of_mail = np.full(len(index), -1, np.int64)
    of_mail[top >= 0] = mail_hashes(window, top[top >= 0])
    names = ("sasl_username", "message_id", "sender", "queue_id", "client", "client_address")
    taken = {name: texts.arrow(entries[name]).take(pa.array(index)) for name in names}
    client, address = (pc.fill_null(taken[name], "") for name in ("client", "client_address"))
    made = {
        "user": coded.text(taken["sasl_username"]),
        **{name: coded.text(taken[name]) for name in ("message_id", "sender", "queue_id")},
        "client": coded.text(coded.joined(client, "[", address, "]")),
        "recipients": coded.text(_recipients(window, mail)),
        "through": entry_has_hop(window)[index],
        "tagged": _tagged(window)[mail],
        "judged": np.append((mails["verdict"] != "unknown").to_numpy(), False)[mail],
        "first": entries["first"].array[index],
        "mail": of_mail,
        **{name: chosen(coded.numbers(window, "clients", name), opened) for name in ("source", "line")},
    }
    code, kinds = ports.doors(window, window.settings)
    made |= {name: kinds[name].array[code[index]] for name in ports.DOOR}
    return pd.DataFrame({name: made[name] for name in KINDS}, copy=False)


def conclude(partial: Partial, log: Log) -> Result:
    """Group the mails that came in by port 25 by user."""
    known, settings = ports.concluded(partial, log), log.settings
    counts = partial.frame("counts").sort_values(["first", "service", "process", "filtered", "handed_over"])
    n, of = counts["n"].to_numpy(), known.of(counts)
    result = Result(eligible=int(n.sum()), checked=int(n[of.port > 0].sum()))
    if not result.eligible:
        result.not_applicable = _no_login(settings)
        if not result.not_applicable:
            result.blind_because.append("no mail with a login (sasl_username=) in these logs")
    elif ev.too_few(result):
        blank = pd.Series(n[of.port == 0]).groupby(of.why[of.port == 0], sort=False).sum()
        result.blind_because += [f"{n} mail{'s' * (n != 1)} with a login: {why}" for why, n in blank.items()]
    undecided = partial.frame("undecided")
    if partial.count("most") > len(undecided):
        result.blind_because.append(f"whether more came in by port 25: {TOO_MANY.format(len(undecided))}")
    rows = together([partial.frame("cases"), undecided])
    port, sure, _ = known.of(rows)
    rows = rows.assign(sure=pd.Series(sure, index=rows.index, dtype="str"))[port == 25]
    if len(rows):
        rows = rows.sort_values(["first", "source", "line", "user", "queue_id"], kind="stable", ignore_index=True)
        result.findings = _Finder(log, rows, _moved(rows, partial.frame("elsewhere"))).findings()
    return result


TOO_MANY = "of the mails whose port only their smtpd process tells, the first {:,} were looked at"


def _no_login(settings: Settings) -> str:
    """Return the sentence that is true where port 25 offers no login, as the configuration says."""
    if not settings.known("postfix") or not settings.known("master") or not settings.listeners():
        return ""
    if any(each.sasl for each in settings.listeners_on(25)):
        return ""
    if any(each.sasl for each in settings.listeners()):
        return "Port 25 offers no login here (smtpd_sasl_auth_enable is off for it)."
    return "Nobody can submit mail with a login here: no service offers one (smtpd_sasl_auth_enable)."


def _moved(rows: pd.DataFrame, elsewhere: pd.DataFrame) -> set[str]:
    """Return the users who submitted elsewhere only, for long enough since their last mail on port 25.

    ``elsewhere`` has the last mails of each user that came in by another port, ``back`` their time (UTC ns) below 0.
    """
    last = rows.groupby("user")["first"].max()
    since = elsewhere["user"].map(last)
    time = pd.to_datetime(-elsewhere["back"], unit="ns", utc=True)
    later = pd.DataFrame({"user": elsewhere["user"], "time": time, "last": since})[(time > since).to_numpy()]
    some = later.groupby("user").agg(size=("time", "size"), time=("time", "max"), last=("last", "first"))
    enough = some[(some["size"] >= MENDED_MAILS) & (some["time"] - some["last"] >= MENDED_AFTER)]
    return set(enough.index)


class _Finder:
    """Makes one finding a user; all that users share is looked up once, since they may be many."""

    def __init__(self, log: Log, rows: pd.DataFrame, moved: set[str]) -> None:
        self.moved = moved
        self.rows = {str(name): column.tolist() for name, column in rows.items()}
        for name in ("message_id", "sender", "client", "queue_id"):
            column = rows[name].astype("object")
            self.rows[name] = column.where(column.notna(), None).tolist()
        self.rows["recipients"] = [json.loads(each) for each in self.rows["recipients"]]
        self.sure = [CONFIDENCES.index(each) for each in rows["sure"].tolist()]
        self.labels = [source.label for source in log.read.sources]
        self.remedy = remedies.move_to_submission(log.settings)
        letter = remedies.move_to_submission(log.settings, _SOMEBODY)
        self.letter = letter.message or ""
        milters = any(each.via == "milter" for each in log.settings.filters)
        self.through = "a filter" if milters else "its content_filter"

    def findings(self) -> list[Finding]:
        by_user: dict[str, list[int]] = {}
        for place, user in enumerate(self.rows["user"]):
            by_user.setdefault(user, []).append(place)
        return [self._finding(user, places) for user, places in by_user.items()]

    def _case(self, place: int) -> dict[str, Any]:
        rows = self.rows
        return {
            "message_id": rows["message_id"][place],
            "sender": rows["sender"][place],
            "recipients": rows["recipients"][place],
            "client": rows["client"][place],
            "queue_id": rows["queue_id"][place],
            "filtered": rows["through"][place],
            "tagged": rows["tagged"][place],
            "time": cells.iso(rows["first"][place]),
        }

    def _evidence(self, places: list[int]) -> list[Evidence]:
        sources, lines = self.rows["source"], self.rows["line"]
        known = [at for at in places[: ev.MOST_EVIDENCE] if sources[at] >= 0]
        return [Evidence(self.labels[sources[at]], lines[at], "") for at in known]

    def _finding(self, user: str, places: list[int]) -> Finding:
        cases = [self._case(place) for place in places]
        through, spam = sum(case["filtered"] for case in cases), sum(case["tagged"] for case in cases)
        recipients = sum(len(case["recipients"]) for case in cases)
        summary = f"{user} submitted {ev.mails(len(cases), recipients)} with a login on port 25; "
        summary += f"{through} went through the filter, "
        if not through or any(self.rows["judged"][place] for place in places):
            summary += f"{spam} {'was' if spam == 1 else 'were'} tagged as spam"
        else:
            summary += "whether they were tagged isn't in these logs"
        times = [self.rows["first"][place] for place in places]
        mended = user in self.moved
        return Finding(
            cause="authenticated-port-25",
            subject=user,
            summary=summary + ("; the user has moved since" if mended else ""),
            severity="problem" if through else "warning",
            confidence=CONFIDENCES[max(self.sure[place] for place in places)],
            count=len(cases),
            cases=cases,
            first=cells.moment(min(times)),
            last=cells.moment(max(times)),
            state="mended" if mended else "active",
            remedy=None if mended else self._remedy(user),
            evidence=self._evidence(places),
            why=f"Port 25's smtpd offers AUTH, and {self.through} treats all that it accepts alike."
            if through
            else "Port 25's smtpd offers AUTH.",
            mails=len({self.rows["mail"][place] for place in places}),
            recipients=recipients,
        )

    def _remedy(self, user: str) -> Remedy:
        return dataclasses.replace(self.remedy, message=self.letter.replace(_SOMEBODY, user))


_SOMEBODY = "\0user\0"
"""Stands for the user in the letter, which is made once. No log line holds a NUL character in a login."""


def _tagged(window: Window) -> np.ndarray:
    """Return, per mail, whether any recipient's copy was tagged."""
    deliveries = window.deliveries
    out = np.zeros(len(window.mails) + 1, np.bool_)
    spam = deliveries["spam"].array.fillna(False).to_numpy(dtype=np.bool_)
    out[deliveries["mail"].to_numpy()[spam]] = True
    out[-1] = False
    return out


def _recipients(window: Window, mails: Ints) -> pa.Array:
    """Return the recipients of some mails as their senders gave them, each a list as JSON, in the order of the alphabet."""
    entries, deliveries = window.entries, window.deliveries
    entry, of_mail = deliveries["entry"].to_numpy(), deliveries["mail"].to_numpy()
    wanted = np.zeros(len(window.mails) + 1, np.bool_)
    wanted[mails] = True
    root = entry == np.append(entries["root"].to_numpy(), -1)[entry]
    rows = np.flatnonzero(root & wanted[of_mail])
    asked = texts.arrow(texts.either(*(deliveries[name].iloc[rows] for name in ("original_recipient", "recipient"))))
    (code,), words = in_order(*factorise([asked]))
    # Mails by number, the last of which stands for none.
    key = distinct(((of_mail[rows] + 1) * (len(words) + 1) + code)[code >= 0])
    ends = np.searchsorted(key // (len(words) + 1), np.arange(len(window.mails) + 1), "right")
    lists = pa.LargeListArray.from_arrays(np.r_[0, ends], _quoted(words).take(pa.array(key % (len(words) + 1))))
    return coded.joined("[", pc.binary_join(lists, pa.scalar(", ", pa.large_string())), "]").take(pa.array(mails + 1))


def _quoted(words: pa.Array) -> pa.Array:
    """Return texts as they stand in JSON."""
    plain = coded.joined('"', words, '"')
    odd = np.flatnonzero(pc.match_substring_regex(words, r"[^ !#-\[\]-~]"))
    if not len(odd):
        return plain
    made = pa.array([json.dumps(word) for word in words.take(pa.array(odd)).to_pylist()], plain.type)
    mask = np.zeros(len(words), np.bool_)
    mask[odd] = True
    return pc.replace_with_mask(plain, pa.array(mask), made)


def marks(source: str, target: str) -> bool:
    """Whether logins go this way on port 25."""
    into_filter = target.startswith("filter:") and source.startswith("listener:")
    return any(
        end.endswith(":login") for end in ((source, target) if into_filter or source.startswith("source:") else ())
    )


CHECK = Check(
    "authenticated-port-25",
    "Users submit with a login on port 25",
    look,
    conclude,
    causes=("authenticated-port-25",),
    marks=marks,
    many={
        "authenticated-port-25": "{n} people submit with a login on port 25, where their mail is filtered like a stranger's"
    },
    order=40,
    clear="No user submitted with a login on port 25 ({checked:mail|mails} with a login looked at)",
)
