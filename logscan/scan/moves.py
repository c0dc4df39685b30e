"""What users did to train a filter: moves into and out of Junk, and programs that imapsieve piped a mail to.

Dovecot's mail_log tells the moves (copy, and save for a mail that a mail program hands in). Which training call followed
each is told by :mod:`logscan.scan.called`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.scan.judged import bare
from logscan.scan.memo import empty_once, none_once
from logscan.tables import texts
from logscan.tables.latest import Latest, hashed, repeated
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part, Partial

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

MOVES, PIPES, STORED = "moves", "pipes", "stored"
"""The parts of a partial that this module makes and reads."""


@empty_once("moves", "stores")
def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the moves that should train, the mails piped to training programs, and the sessions that stored spam."""
    told = settings.dovecot.spam_folders
    junk = _matcher(JUNK, told)
    return {MOVES: _moves(window, settings, junk), PIPES: _pipes(window), STORED: _stored(window, junk)}


def _moves(window: Window, settings: Settings, junk: Callable[[pd.Series], pd.Series]) -> Latest:
    """Return the moves that should train: into a folder of spam, or out of one, but not to or from the trash.

    ``saved`` has the session of a mail that was handed in, as a hash: it may be a delivery (see :func:`moves`).
    """
    events = window.events("moves")
    trash = _matcher(TRASH, [fact.value for name in ("antispam_trash",) if (fact := settings.dovecot.plugin(name))])
    some = events[events["event"].isin(["copy", "save"]) & events["user"].notna()]
    into, out_of = texts.where(some["mailbox"], junk), texts.where(some["source_mailbox"], junk)
    away = texts.where(some["mailbox"], trash) | texts.where(some["source_mailbox"], trash)
    saved = (some["event"] == "save").to_numpy()
    session = hashed(some["session"])
    wanted = (into != out_of) & ~away & ~(saved & ((session == 0) | ~into))
    chosen = some[wanted]
    frame = pd.DataFrame(
        {
            "time": chosen["time"],
            "source": chosen["source"].astype("int32"),
            "line": chosen["line"].astype("int64"),
            "user": repeated(chosen["user"]),
            "class": repeated(pd.Series(np.where(into[wanted], "spam", "innocent"), index=chosen.index, dtype="str")),
            "message_id": chosen["message_id"].astype("str"),
            "ident": hashed(bare(chosen["message_id"])),
            "saved": np.where(saved, session, np.uint64(0))[wanted],
        }
    )
    return Latest.latest(frame)


def _stored(window: Window, junk: Callable[[pd.Series], pd.Series]) -> Latest:
    """Return the sessions in which mail was delivered to a folder of spam: mail_log calls that a save, too."""
    stores = window.events("stores")
    return _sessions(stores[texts.where(stores["mailbox"], junk) & stores["session"].notna()])


@none_once
def _sessions(some: pd.DataFrame) -> Latest:
    frame = pd.DataFrame({"time": some["time"], "session": hashed(some["session"])})
    return Latest.latest(frame.drop_duplicates("session", keep="last"))


def moves(partial: Partial) -> pd.DataFrame:
    """Return the moves of users, in the order of time.

    Deliveries are saved too, by a session that says so; a program has one only while a user is logged in.
    """
    frame = partial.frame(MOVES)
    delivered = np.isin(frame["saved"].to_numpy(), partial.frame(STORED)["session"].to_numpy())
    return frame[~delivered].sort_values(["time", "source", "line"], kind="stable", ignore_index=True)


def _matcher(pattern: str, told: Iterable[str]) -> Callable[[pd.Series], pd.Series]:
    """Return a test of folder names: those that the configuration names, else those that mail programs use."""
    names = [name.strip() for value in told for name in value.split(";") if name.strip()]
    if names:
        words = "|".join(re.escape(name).replace(r"\*", ".*") for name in names)
        pattern = rf"(?i)(?:^|[./\\])(?:{words})\Z"
    return lambda folders: folders.str.contains(pattern, regex=True, na=False)


def _pipes(window: Window) -> Latest:
    """Return what imapsieve piped to a training program, in vain or not, one row a line of it."""
    events = window.events("moves")
    some = events[texts.equal(events["event"], "pipe", "pipe failed")]
    return _piped(some[texts.where(some["text"], _trains)])


@none_once
def _piped(some: pd.DataFrame) -> Latest:
    frame = pd.DataFrame(
        {
            "time": some["time"],
            "source": some["source"].astype("int32"),
            "line": some["line"].astype("int64"),
            **{name: repeated(some[name]) for name in ("event", "user", "text")},
            "session": some["session"].astype("str"),
            "message_id": some["message_id"].astype("str"),
        }
    )
    return Latest.latest(frame)


def _trains(programs: pd.Series) -> pd.Series:
    return programs.fillna("").str.contains(TRAINER, regex=True)


def piped(partial: Partial) -> pd.DataFrame:
    """Return what imapsieve piped to a training program, one row a call, in the order of time."""
    frame = partial.frame(PIPES).sort_values(["time", "source", "line"], kind="stable", ignore_index=True)
    second = frame["time"].dt.floor("s")
    again = frame.assign(second=second).duplicated(["event", "user", "session", "second", "message_id", "text"])
    return frame[~again].reset_index(drop=True)


def pipe_sources(window: Window) -> Keyed:
    """Return the sources that tell of pipes, to any program."""
    events = window.events("moves")
    return Keyed.of(pd.DataFrame({"source": events["source"][texts.equal(events["event"], "pipe", "pipe failed")]}))


def local_part(user: str) -> str:
    """Return a login or address as far as all its forms share it: the local part without extension, in lower case."""
    return user.lower().partition("@")[0].partition("+")[0]


def trigger(settings: Settings) -> str:
    """Return what calls the filter when a user moves a mail, as Dovecot's configuration says: antispam, imapsieve, nothing."""
    loaded = settings.dovecot.mail_plugins("imap") if settings.known("dovecot") else frozenset()
    return "antispam" if "antispam" in loaded else "imapsieve" if "imap_sieve" in loaded else ""
