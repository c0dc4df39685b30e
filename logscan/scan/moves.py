"""What users did to train a filter: moves into and out of Junk, and which training call followed each.

Dovecot's mail_log tells the moves (copy, and save for a mail that a mail program hands in). A call leaves its own trace:
in DSPAM's system.log where it works and in syslog where it fails, in rspamd's log, in spamd's, or as a line of imapsieve.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan.hops import dspam_hops, filter_kinds
from logscan.scan.trainings import trainings
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

JUNK = (
    r"(?i)(?:^|[./\\])(?:junk|spam|junk[ _-]?e?-?mail|spam[ _-]?mail|bulk(?:[ _-]mail)?|spamverdacht|probably-spam"
    r"|unerw(?:ü|&APw-)nscht(?:e werbung)?|pourriel|courrier ind(?:é|&AOk-)sirable|correo no deseado|posta indesiderata)\Z"
)
"""Folders of spam where no configuration names them: as mail programs call them, at the end of a path."""

TRASH = r"(?i)(?:^|[./\\])(?:trash|deleted(?: (?:items|messages))?|papierkorb|gel(?:ö|&APY-)scht.*|corbeille|bin)\Z"

TRAINER = re.compile(r"(?i)learn|train|spam|ham\b|bayes|rspam|bogo|crm114|sa-|retrain")
"""Names of programs that a move is piped to in order to train."""

INNOCENT = re.compile(r"(?i)ham\b|innocent|not[-_]?spam|non[-_]?spam|good")
"""Names of programs that train in the contrary direction."""

BEFORE, AFTER = 5, 60
"""Seconds before and after a move within which the call lies that the move itself made."""

LATE = 26 * 3600
"""Seconds after which a job that trains once a day has run."""


@dataclass
class Moves:
    """Moves that should train, one row each, and the calls there are.

    ``frame``: ``time``, ``host``, ``user``, ``class`` (spam, innocent), ``message_id``, ``session``, ``source``, ``line``,
    ``signed`` (the filter gave the mail a signature: True, False, None where the log doesn't tell), ``called`` (at once,
    late, or empty) and ``failed`` (the program that the mail was piped to failed).
    """

    frame: pd.DataFrame
    failed: pd.DataFrame
    """Rows of the moves table: a training program that failed, one a call."""
    piped: int
    """Calls that imapsieve tells of, failed ones included."""
    calls: npt.NDArray[np.float64]
    """When there were calls of any kind (seconds), in order."""

    @property
    def at_once(self) -> bool:
        """Whether a move made its call itself, at least once."""
        return bool((self.frame["called"] == "at once").any())


def moves(scan: Window, settings: Settings) -> Moves:
    """Return :class:`Moves` of this scan, made once."""
    cache: Moves | None = scan.__dict__.get("_moves")
    if cache is None:
        cache = scan.__dict__["_moves"] = _moves(scan, settings)
    return cache


def _moves(scan: Window, settings: Settings) -> Moves:
    events = scan.events("moves")
    frame = _into_and_out_of(scan, settings, events)
    failed, piped = _piped(events)
    calls = _Calls(scan, piped)
    frame["signed"] = _signed(scan, frame)
    frame["called"] = calls.of(frame) if len(frame) else pd.Series([], dtype="str")
    return Moves(frame, failed, len(piped), np.asarray(sorted(calls.every), np.float64))


def _into_and_out_of(scan: Window, settings: Settings, events: pd.DataFrame) -> pd.DataFrame:
    """Return the moves that should train: into a folder of spam, or out of one, but not to or from the trash."""
    told = settings.dovecot.spam_folders
    junk = _matcher(JUNK, told)
    trash = _matcher(TRASH, [fact.value for name in ("antispam_trash",) if (fact := settings.dovecot.plugin(name))])
    some = events[events["event"].isin(["copy", "save"]) & events["user"].notna()]
    into, out_of = texts.where(some["mailbox"], junk), texts.where(some["source_mailbox"], junk)
    away = texts.where(some["mailbox"], trash) | texts.where(some["source_mailbox"], trash)
    # Deliveries are saved too, by a session that says so; a program has one only while a user is logged in.
    saved = (some["event"] == "save").to_numpy()
    delivered = some["session"].isna() | texts.among(some["session"], scan.events("stores")["session"])
    wanted = (into != out_of) & ~away & ~(saved & (delivered.to_numpy() | ~into))
    columns = ["time", "host", "user", "session", "message_id", "source", "line"]
    frame = some.loc[wanted, columns].copy()
    frame["class"] = np.where(into[wanted], "spam", "innocent")
    frame["ident"] = _bare(frame["message_id"])
    return frame.sort_values(["time", "source", "line"], kind="stable", ignore_index=True)


def _matcher(pattern: str, told: Iterable[str]) -> Callable[[pd.Series], pd.Series]:
    """Return a test of folder names: those that the configuration names, else those that mail programs use."""
    names = [name.strip() for value in told for name in value.split(";") if name.strip()]
    if names:
        words = "|".join(re.escape(name).replace(r"\*", ".*") for name in names)
        pattern = rf"(?i)(?:^|[./\\])(?:{words})\Z"
    return lambda folders: folders.str.contains(pattern, regex=True, na=False)


def _bare(ids: pd.Series) -> pd.Series:
    """Return message-ids without brackets; empty where mail_log cut them."""
    ids = ids.fillna("").str.strip()
    return ids.where(~ids.str.endswith("..."), "").str.strip("<>")


def _piped(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what imapsieve piped to a training program in vain, and all that it piped to one: one row a call."""
    text = events["text"].fillna("")
    some = events[events["event"].isin(["pipe", "pipe failed"]) & text.str.contains(TRAINER, regex=True)]
    some = some.assign(second=some["time"].dt.floor("s"))
    once = some[~some.duplicated(["event", "user", "session", "second", "message_id", "text"])]
    return once[once["event"] == "pipe failed"], once


def _signed(scan: Window, frame: pd.DataFrame) -> list[bool | None]:
    """Return whether the filter signed each moved mail; with another filter than DSPAM every mail can be learned."""
    hops = dspam_hops(scan)
    verdicts = scan.verdicts
    mine = verdicts[verdicts["filter"] == "dspam"]
    if not hops.any() and mine.empty:
        return [True] * len(frame)
    ids = scan.entries["message_id"]
    handed = ids.iloc[np.unique(scan.deliveries["entry"].to_numpy()[hops])]
    wanted = set(frame["ident"])
    signed = set(_bare(handed)[lambda each: each.isin(wanted)])
    signed |= set(_bare(mine.loc[mine["signature"].fillna("") != "", "message_id"])[lambda each: each.isin(wanted)])
    seen = set(_bare(ids)[lambda each: each.isin(wanted)])
    return [
        None if not each else True if each in signed else False if each in seen else None for each in frame["ident"]
    ]


def local_part(user: str) -> str:
    """Return a login or address as far as all its forms share it: the local part without extension, in lower case."""
    return user.lower().partition("@")[0].partition("+")[0]


class _Calls:
    """Training calls by mail and class, and by user and class, in the order of time (seconds); the class may be empty."""

    def __init__(self, scan: Window, piped: pd.DataFrame) -> None:
        self.by_mail: dict[tuple[str, str], list[float]] = {}
        self.last: dict[tuple[str, str, str], float] = {}
        """By mail, class and user: the last call."""
        self.by_user: dict[tuple[str, str], deque[float]] = {}
        self.every: list[float] = []
        for at, ident, user, kind in sorted([*_told(scan), *_of_pipes(piped)]):
            name = local_part(user)
            self.every.append(at)
            if ident:
                self.by_mail.setdefault((ident, kind), []).append(at)
                self.last[ident, kind, name] = at
            else:
                self.by_user.setdefault((name, kind), deque()).append(at)

    def of(self, frame: pd.DataFrame) -> list[str]:
        """Return, by move (in the order of time), whether its call came at once, late, or (empty) not at all."""
        out = []
        columns = [frame[name].tolist() for name in ("ident", "user", "class")]
        for at, ident, user, kind in zip(_seconds(frame), *columns, strict=True):
            name = local_part(user)
            # At once another name may stand in the call: then it misses, which is something else than no call.
            if (ident and self._of_mail(at, ident, kind)) or self._of_user(at, name, kind):
                out.append("at once")
            else:
                calls = (self.last.get((ident, each, who), 0.0) for each in (kind, "") for who in (name, ""))
                out.append("late" if ident and max(calls) > at else "")
        return out

    def _of_mail(self, at: float, ident: str, kind: str) -> bool:
        for each in (kind, ""):
            calls = self.by_mail.get((ident, each), [])
            place = bisect.bisect_left(calls, at - BEFORE)
            if place < len(calls) and calls[place] <= at + AFTER:
                return True
        return False

    def _of_user(self, at: float, name: str, kind: str) -> bool:
        """Whether there is a call that names no mail at that time, which no move has taken yet; takes it."""
        for key in itertools.product((name, ""), (kind, "")):  # DSPAM's SQL drivers name no user
            calls = self.by_user.get(key, deque())
            while calls and calls[0] < at - BEFORE:
                calls.popleft()
            if calls and calls[0] <= at + AFTER:
                calls.popleft()
                return True
        return False


Call = tuple[float, str, str, str]
"""When (seconds), message-id without brackets, user, class; what isn't told is empty."""


def _told(scan: Window) -> Iterable[Call]:
    """Return the calls that filters tell of; a mail's message-id also by way of its signature."""
    calls = trainings(scan)
    calls = calls[(calls["outcome"] != "autolearned") & calls["time"].notna()]
    verdicts = scan.verdicts
    told = verdicts[verdicts["signature"].notna() & verdicts["message_id"].notna()]
    ident_of = dict(zip(told["signature"].tolist(), _bare(told["message_id"]).tolist(), strict=True))
    columns = [_bare(calls["message_id"]).tolist(), calls["signature"].tolist(), calls["user"].fillna("").tolist()]
    classes = calls["class"].astype("object").fillna("").tolist()
    for at, ident, signature, user, kind in zip(_seconds(calls), *columns, classes, strict=True):
        yield at, ident or ident_of.get(signature, ""), user, "innocent" if kind == "ham" else str(kind)


def _of_pipes(piped: pd.DataFrame) -> Iterable[Call]:
    columns = [_bare(piped["message_id"]).tolist(), piped["user"].fillna("").tolist(), piped["text"].tolist()]
    for at, ident, user, text in zip(_seconds(piped), *columns, strict=True):
        yield at, ident, user, "innocent" if INNOCENT.search(text) else "spam"


def _seconds(frame: pd.DataFrame) -> list[float]:
    found: list[float] = (frame["time"].dt.as_unit("ns").astype("int64").to_numpy() / 1e9).tolist()
    return found


@dataclass(frozen=True)
class Uncalled:
    """Moves that no training call followed: those of which that is known, and those of which it can't be."""

    bad: pd.DataFrame
    undecided: int
    reason: str
    """What would tell (a clause); empty where nothing is undecided."""
    sure: bool
    """Whether other moves made their calls themselves."""


def trigger(settings: Settings) -> str:
    """Return what calls the filter when a user moves a mail, as Dovecot's configuration says: antispam, imapsieve, nothing."""
    loaded = settings.dovecot.mail_plugins("imap") if settings.known("dovecot") else frozenset()
    return "antispam" if "antispam" in loaded else "imapsieve" if "imap_sieve" in loaded else ""


def uncalled(scan: Window, settings: Settings, found: Moves) -> Uncalled:
    """Return the moves that no call followed.

    Where moves make their calls themselves, one without is known at once; a job that trains once a day has to have run,
    and whom it trained at all it didn't forget: a mail may be gone again by then.
    """
    frame = found.frame
    open_moves = frame[(frame["called"] == "").to_numpy() & _are(frame["signed"], True, None)]
    known = open_moves[_are(open_moves["signed"], True)]
    if known.empty:
        lonely = len(open_moves) and not (frame["called"] != "").any()
        reason = (
            "the mails that were moved came before these logs begin: whether the filter had signed them isn't known"
        )
        return Uncalled(known, len(open_moves) if lonely else 0, reason if lonely else "", found.at_once)
    coverage = Coverage(scan, found.piped)
    covered = coverage.of(known)
    decided = covered.copy()
    reason = ""
    if not found.at_once and not trigger(settings):
        seconds = np.asarray(_seconds(known))
        if (frame["called"] == "late").any():
            trained = set(frame.loc[frame["called"] == "late", "user"].map(local_part))
            decided &= (np.searchsorted(found.calls, seconds) < len(found.calls)) & ~known["user"].map(local_part).isin(
                trained
            ).to_numpy()
        else:
            ends = [source.bounds[1] for source in scan.log.read.sources if source.bounds]
            decided &= seconds + LATE <= max(ends, default=0) / 1e9
            reason = "no call follows up to the end of these logs, and a job that trains once a day would come later"
    left = int(np.count_nonzero(~decided))
    if left and not covered.all():
        reason = _where(scan, settings)
    return Uncalled(known[decided], left if reason else 0, reason if left else "", found.at_once)


def _are(signed: pd.Series, *wanted: bool | None) -> npt.NDArray[np.bool_]:
    return np.asarray([any(each is one for one in wanted) for each in signed], np.bool_)


def _where(scan: Window, settings: Settings) -> str:
    """Return which log of this server would tell a training call."""
    kinds = filter_kinds(scan, settings)
    if "dspam" in kinds:
        return f"DSPAM's system.log ({settings.dspam.home}/system.log, `SystemLog on`) for that time tells a call that works"
    if "rspamd" in kinds:
        return "rspamd.log (/var/log/rspamd/rspamd.log) for that time tells what was learned"
    if kinds - {"other"}:
        return (
            "sa-learn writes no log of its own: let the script that calls it write a line (logger -t learn), or use "
            "`spamc -L`, which spamd logs"
        )
    return "which filter the moves train isn't known; its own log for that time tells what it learned"


class Coverage:
    """Whether a log in which a training call would stand covers a time."""

    def __init__(self, scan: Window, piped: int) -> None:
        sources = self._sources(scan, piped)
        self.bounds = [bounds for n in sorted(sources) if (bounds := scan.log.read.sources[n].bounds) is not None]
        hops = scan.deliveries[dspam_hops(scan)]
        order = np.argsort(hops["time"].to_numpy(), kind="stable")
        self.hops = hops["time"].dt.as_unit("ns").astype("int64").to_numpy()[order]
        self.judged = hops["verdict_row"].to_numpy()[order] >= 0

    @staticmethod
    def _sources(scan: Window, piped: int) -> set[int]:
        """Return the sources in which a call leaves its trace: DSPAM's own logs, rspamd's, those that tell of pipes.

        sa-learn writes no log; spamd tells a call only where `spamc -L` makes it, so only where it told one.
        """
        verdicts, calls = scan.verdicts, scan.events("trainings")
        found = set(verdicts.loc[verdicts["program"].astype("str").isin(["dspam.system", "dspam.user"]), "source"])
        found |= set(verdicts.loc[verdicts["filter"] == "rspamd", "source"])
        found |= set(calls.loc[calls["filter"].isin(["rspamd", "spamd"]), "source"])
        found |= set(calls.loc[calls["program"].astype("str").isin(["dspam.system", "dspam.user"]), "source"])
        if piped:
            events = scan.events("moves")
            found |= set(events.loc[events["event"].isin(["pipe", "pipe failed"]), "source"])
        return {int(each) for each in found}

    def __bool__(self) -> bool:
        return bool(self.bounds)

    def of(self, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return which times of ``frame`` are covered.

        Beyond a log's last line it is still known to have gone on where the mails that DSPAM was handed before and after
        stand in it: nothing else would have.
        """
        if not self.bounds:
            return np.zeros(len(frame), np.bool_)
        time = frame["time"].dt.as_unit("ns").astype("int64").to_numpy()
        inside = np.zeros(len(time), np.bool_)
        for low, high in self.bounds:
            inside |= (time >= low - BEFORE * 10**9) & (time <= high + AFTER * 10**9)
        if len(self.hops):
            judged = np.r_[True, self.judged, True]
            place = np.searchsorted(self.hops, time)
            inside |= judged[place] & judged[place + 1]
        return inside
