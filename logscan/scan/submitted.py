"""Mail that this server's own people and programs handed in, and what its filter did with it: what three checks share."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import factorise, plain, take
from logscan.scan import coded
from logscan.scan.aliases import through_filter
from logscan.scan.coded import Coded
from logscan.scan.kept import kept_at_the_door, kept_in_queue
from logscan.scan.memo import per_window
from logscan.tables import cells, texts
from logscan.tables.grouping import combine

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

INSIDE = ("authenticated", "local", "network")
"""Origins of mail that people or programs of this server handed in."""

AFTER_DATA = r"\(in reply to (?:end of )?DATA|BDAT"
"""A remote host that refuses after DATA has read the tagged mail."""


@dataclass(frozen=True)
class Own:
    """What became of mail that was submitted here: one row a recipient's last attempt, with how its mail came in.

    What follows from the whole log is for conclude: the port of a login, whether the filter's log covers the time, and whether
    what was kept back was for a name of this server. Arrays by row.
    """

    row: Ints
    """Of deliveries, -1 for what a milter stopped before the queue."""
    stopped: Ints
    """Of ``at_door``, else -1."""
    entry: Ints
    mail: Ints
    root: Ints
    """The entry that its mail came in by."""
    verdict: Ints
    """The row of the verdict, or -1."""
    time: Ints
    """UTC ns."""
    inside: Bools
    """The origin is one of :data:`INSIDE`."""
    outside: Bools
    """The recipient is somebody elsewhere."""
    passed: Bools
    """It was handed to a filter behind the queue."""
    tagged: Bools
    """The verdict is spam."""
    told: Bools
    """The filter's verdict is known."""
    mute: Bools
    """amavis took it for spam, and doesn't say whether it tagged it."""
    came: Coded
    """The origin."""
    kept: Coded
    """What the filter did that kept it back: discarded, quarantined, refused; else empty."""
    reason: Coded
    """Why, where it wasn't as spam: virus ..."""
    kind: Coded
    """The filter whose verdict it has, else empty."""
    foreign: Coded
    """The domain (``@example.org``) of mail that may be strangers', handed in from this host (fetchmail); else empty."""
    at_door: pd.DataFrame
    """What a milter stopped (:func:`logscan.scan.kept.kept_at_the_door`)."""
    waiting: int
    """Recipients of such mail that is still on its way."""

    @property
    def held(self) -> Bools:
        """The filter kept it back."""
        return ~self.kept.equal("")

    @property
    def judged(self) -> Bools:
        """It is known whether the filter took it for spam, or it was kept back."""
        return self.told | self.held

    def reject(self, at: Ints) -> Ints:
        """Return the rows of rejects of some rows, -1 for those of deliveries."""
        if not len(self.at_door):
            return np.full(len(at), -1, np.int64)
        found: Ints = np.append(self.at_door["reject"].to_numpy(np.int64), -1)[self.stopped[at]]
        return found

    def some(self, at: Ints) -> Own:
        """Return some of the rows."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        made: dict[str, Any] = {
            name: Coded(value.codes[at], value.words) if isinstance(value, Coded) else value[at]
            for name, value in values.items()
            if isinstance(value, (Coded, np.ndarray))
        }
        return replace(self, **made)

    def texts(self, window: Window, name: str, at: Ints) -> pa.Array:
        """Return a column of texts of deliveries for some rows."""
        column = window.deliveries[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            given = coded.of(column)
            found = take(given.words, np.append(given.codes, -1)[self.row[at]])
        else:
            found = take(texts.arrow(column), self.row[at])
        if len(self.at_door):
            other = take(texts.arrow(self.at_door[name].astype("str")), self.stopped[at])
            found = pc.coalesce(found.cast(pa.large_string()), other.cast(pa.large_string()))
        return found


@per_window
def own(window: Window, settings: Settings) -> Own:
    """Gather what became of mail with an origin inside, and of what was forwarded from outside to outside. For look."""
    deliveries, mails = window.deliveries, window.mails
    entry, of_mail = deliveries["entry"].to_numpy(), deliveries["mail"].to_numpy()
    # Foreign mail to people here is no concern of these checks, and most of the log.
    concerns = coded.of(mails["origin"]).equal(*INSIDE) | coded.of(mails["direction"]).equal("forwarded")
    mine = (of_mail >= 0) & (entry >= 0) & np.append(concerns, False)[of_mail]
    some = np.flatnonzero(mine)
    kept = kept_in_queue(window, some)
    reached = deliveries["final"].to_numpy(dtype=np.bool_)[some]
    status = coded.of(deliveries["status"])
    refused = np.flatnonzero(status.equal("bounced")[some])
    if len(refused):
        reply = texts.arrow(deliveries["reply"]).take(pa.array(some[refused]))
        reached = reached.copy()
        reached[refused] |= np.asarray(pc.fill_null(pc.match_substring_regex(reply, AFTER_DATA), False))
    reached = reached | np.isin(some, kept.index.to_numpy(np.int64))
    at_door = kept_at_the_door(window, settings, INSIDE)
    waiting = deliveries["last"].to_numpy(dtype=np.bool_)[some] & status.equal("deferred")[some]
    return _described(window, settings, some[reached], kept, at_door, int(np.count_nonzero(waiting)))


def _described(
    window: Window, settings: Settings, row: Ints, kept: pd.DataFrame, at_door: pd.DataFrame, waiting: int
) -> Own:
    """Return the rows of deliveries, and behind them those of ``at_door``, each copy once."""
    deliveries, size, more = window.deliveries, len(row), len(at_door)
    taken = {name: deliveries[name].to_numpy()[row] for name in ("entry", "mail", "verdict_row", "outside")}
    time, spam = cells.ns(deliveries["time"])[row], deliveries["spam"].array[row]
    passed = through_filter(window)[taken["entry"]]
    if len(kept):
        passed = passed | np.isin(row, kept.index.to_numpy(np.int64))
        away = kept["away"].reindex(row).array
        taken["outside"] = np.where(away.isna(), taken["outside"], away.fillna(False).to_numpy(dtype=np.bool_))
    if more:
        taken = {name: np.append(values, at_door[name].to_numpy(dtype=values.dtype)) for name, values in taken.items()}
        time = np.append(time, cells.ns(at_door["time"]))
        spam = pd.array([*spam, *at_door["spam"].array], dtype="boolean")
        passed = np.append(passed, at_door["passed"].to_numpy(dtype=np.bool_))
    row = np.append(row, np.full(more, -1, np.int64))
    entry, mail, verdict = taken["entry"], taken["mail"], taken["verdict_row"]
    root = np.where(mail >= 0, np.append(window.mails["entry"].to_numpy(), -1)[mail], entry)
    origin = coded.of(window.entries["origin"])
    came = Coded(origin.codes[root], origin.words)
    held, reason = _kept_back(kept, row, at_door)
    kind, mute = _verdicts(window, verdict)
    found = Own(
        row=row,
        stopped=np.append(np.full(size, -1, np.int64), np.arange(more)),
        entry=entry,
        mail=mail,
        root=root,
        verdict=verdict,
        time=time,
        inside=came.equal(*INSIDE),
        outside=taken["outside"],
        passed=passed,
        tagged=spam.fillna(False).to_numpy(dtype=np.bool_),
        told=~spam.isna(),
        mute=mute,
        came=came,
        kept=held,
        reason=reason,
        kind=kind,
        foreign=foreign(window, root, own_names(window, settings)),
        at_door=at_door,
        waiting=waiting,
    )
    return _once(window, found)


def _kept_back(kept: pd.DataFrame, row: Ints, at_door: pd.DataFrame) -> tuple[Coded, Coded]:
    """Return what the filter did that kept each row's mail back, and why; both are mostly empty."""
    if not len(kept) and not len(at_door):
        none = Coded(np.zeros(len(row), np.int64), pa.array([""]))
        return none, none
    at = kept.index.get_indexer(row)
    out = []
    for name in ("kept", "reason"):
        values = np.full(len(row), "", object)
        values[at >= 0] = kept[name].to_numpy(dtype=object)[at[at >= 0]]
        if len(at_door):
            values[len(row) - len(at_door) :] = at_door[name].fillna("").to_numpy(dtype=object)
        out.append(coded.of(pd.Series(values, dtype="str")))
    return out[0], out[1]


def _verdicts(window: Window, verdict: Ints) -> tuple[Coded, Bools]:
    """Return the kind of the filter whose verdict each row has, and whether amavis was mute."""
    if not len(window.verdicts):
        return Coded(np.zeros(len(verdict), np.int64), pa.array([""])), np.zeros(len(verdict), np.bool_)
    filters, results = (coded.of(window.verdicts[name]) for name in ("filter", "result"))
    names = [KIND_OF.get(name, name) for name in filters.words.to_pylist()] + [""]
    (place,), words = factorise([pa.array(names, pa.string())])
    spam = results.among(pc.starts_with(results.words, "Passed SPAM"))
    return Coded(place[np.append(filters.codes, -1)[verdict]], words), np.append(spam, False)[verdict]


KIND_OF = {"spamd": "spamassassin", "spampd": "spamassassin"}
"""The filter behind a verdict's program, where they differ."""


def _once(window: Window, found: Own) -> Own:
    """Drop rows that tell of one copy again: one session, or one mail's recipient that two expansions lead to."""
    every = np.arange(len(found.row))
    session, recipient = (found.texts(window, name, every) for name in ("session", "recipient"))
    (session_code,), _ = factorise([session])
    (recipient_code,), _ = factorise([pc.utf8_lower(recipient)])
    copy = np.where(session_code >= 0, session_code, -1 - every)
    # Mail that never came into the queue has numbers of its own.
    mail = np.where(found.mail >= 0, found.mail, -2 - found.entry)
    first = np.unique(combine(mail, recipient_code, copy), return_index=True)[1]
    return found if len(first) == len(every) else found.some(np.sort(first))


@per_window
def own_names(window: Window, settings: Settings) -> frozenset[str]:
    """Return this server's names, lower case, as far as a window and the configuration tell.

    They are its domains, localhost, its host names as Postfix writes them. For look.
    """
    names = {name for name in window.correlated.local_domains if name}
    names |= {"localhost", "localhost.localdomain"}
    # Postfix writes its own name before the path of a socket.
    relays = coded.of(window.deliveries["relay"]).words
    sockets = pc.extract_regex(
        relays.filter(pc.match_substring(relays, "/")), r"^(?P<name>[^\[]+)\[(?:/|private/|public/)"
    )
    names |= {name.lower() for name in pc.struct_field(sockets, [0]).drop_null().to_pylist()}
    names |= _origins(window)
    for key in ("myhostname", "mydomain", "myorigin"):
        fact = settings.postfix.fact(key) if settings.known("postfix") else None
        if fact and "/" not in fact.value:
            names.add(settings.postfix.get(key).strip().lower())
    return frozenset(names - {""})


def _origins(window: Window) -> set[str]:
    """Return what Postfix added to a bare name that sendmail was called with (myorigin)."""
    rows = np.flatnonzero(coded.event(window, "clients", "program").equal("pickup"))
    given = plain(window.tables["clients"].column("sender").take(pa.array(rows)))
    bare = np.asarray(pc.fill_null(pc.invert(pc.match_substring(given, "@")), False))
    if not bare.any():
        return set()
    name = np.full(len(window.tables["clients"]) + 1, -1, np.int64)
    name[rows[bare]] = np.flatnonzero(bare)
    at = name[window.entries["client_row"].to_numpy()]
    some = np.flatnonzero(at >= 0)
    sender = texts.arrow(window.entries["sender"]).take(pa.array(some))
    parts = pc.extract_regex(sender, r"^(?P<local>.*)@(?P<domain>[^@]*)$")
    same = pc.equal(pc.struct_field(parts, [0]), given.take(pa.array(at[some])).cast(pa.large_string()))
    domains = pc.struct_field(parts, [1]).filter(pc.fill_null(same, False))
    return {domain.lower() for domain in pc.unique(domains).to_pylist() if domain is not None}


def at_home(address: pd.Series, names: frozenset[str]) -> Bools:
    """Return which addresses are of this server's names, or names below them; False where there is none."""
    return texts.where(address, lambda words: pd.Series(_of_names(words.tolist(), names), dtype="bool"))


def _of_names(addresses: list[str], names: frozenset[str]) -> list[bool]:
    """Return which texts are addresses of some names, or of names below them, or without any."""
    ends = tuple(f".{name}" for name in names)
    parts = [(at, domain.lower()) for _, at, domain in (each.rpartition("@") for each in addresses)]
    return [not at or domain in names or domain.endswith(ends) for at, domain in parts]


def foreign(window: Window, root: Ints, names: frozenset[str]) -> Coded:
    """Return the domain (``@example.org``) of mail that may be strangers', handed in from this host (fetchmail); else empty.

    It has a sender of a domain that isn't among ``names``, and no login. ``root`` are the entries that mails came in by.
    """
    entries = window.entries
    (sender,), given = factorise([take(texts.arrow(entries["sender"]), root)])
    senders: list[str] = given.to_pylist()
    home = _of_names(senders, names)
    domains = ["" if own_ else f"@{each.rpartition('@')[2].lower()}" for each, own_ in zip(senders, home, strict=True)]
    (place,), words = factorise([pa.array([*domains, ""], pa.string())])
    login = take(texts.arrow(entries["sasl_username"]), root).is_valid().to_numpy(zero_copy_only=False)
    by_hand = np.append(coded.of(entries["program"]).equal("pickup"), False)[root]
    by_hand &= take(texts.arrow(entries["uid"]), root).is_valid().to_numpy(zero_copy_only=False)
    asked = ~login & ~by_hand
    # The last place is the empty text's.
    return Coded(np.where(asked, place[sender], place[-1]), words)


__all__ = ["INSIDE", "Own", "at_home", "foreign", "own", "own_names"]
