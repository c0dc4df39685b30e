"""What users did to train a filter: moves into and out of Junk, and programs that imapsieve piped a mail to.

Dovecot's mail_log tells the moves (copy, and save for a mail that a mail program hands in). Which training call followed
each is told by :mod:`logscan.scan.called`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import plain
from logscan.scan.coded import Coded, category, event, numbers, text, times
from logscan.scan.judged import bare
from logscan.scan.memo import empty_once, none_once, per_window
from logscan.tables import texts
from logscan.tables.latest import Latest, hashed
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part, Partial

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

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
@per_window
def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the moves that should train, the mails piped to training programs, and the sessions that stored spam."""
    junk = _matcher(JUNK, tuple(settings.dovecot.spam_folders))
    return {MOVES: _moves(window, settings, junk), PIPES: _pipes(window), STORED: _stored(window, junk)}


Test = Callable[[str], bool]
"""Returns whether a text is of a kind; remembers what it said."""


def _found(column: Coded, test: Test) -> Bools:
    """Return in which rows a folder is for which the test holds."""
    return column.among([test(word) for word in column.words.to_pylist()])


def _moves(window: Window, settings: Settings, junk: Test) -> Latest:
    """Return the moves that should train: into a folder of spam, or out of one, but not to or from the trash.

    ``saved`` has the session of a mail that was handed in, as a hash: it may be a delivery (see :func:`moves`).
    """
    did, user, to, out, session, mail = (
        event(window, "moves", name) for name in ("event", "user", "mailbox", "source_mailbox", "session", "message_id")
    )
    saved = did.equal("save")
    some = (saved | did.equal("copy")) & (user.codes >= 0)
    if not some.any():
        return _no_moves()
    told = settings.dovecot.plugin("antispam_trash")
    trash = _matcher(TRASH, (told.value,) if told else ())
    into = _found(to, junk)
    away = _found(to, trash) | _found(out, trash)
    named = session.among(pc.not_equal(session.words, ""))
    wanted = some & (into != _found(out, junk)) & ~away & ~(saved & ~(named & into))
    rows = np.flatnonzero(wanted)
    frame = {
        **_lines(window, rows),
        "user": category(user.words, user.codes[rows]),
        "class": pd.Categorical.from_codes((~into[rows]).astype(np.int8), ["spam", "innocent"]),
        "message_id": mail.at(rows),
        "ident": hashed(bare(pd.Series(mail.at(rows)))),
        "saved": np.where(saved[rows], hashed(pd.Series(session.at(rows))), np.uint64(0)),
    }
    return Latest.latest(pd.DataFrame(frame, copy=False))


def _lines(window: Window, rows: Ints) -> dict[str, Any]:
    """Return when and where some lines of Dovecot's stand."""
    return {
        "time": times(numbers(window, "moves", "time")[rows]),
        "source": numbers(window, "moves", "source")[rows].astype(np.int32),
        "line": numbers(window, "moves", "line")[rows].astype(np.int64),
    }


@functools.cache
def _no_moves() -> Latest:
    kinds = {"time": "datetime64[ns, UTC]", "source": "int32", "line": "int64", "user": "category", "class": "category"}
    kinds |= {"message_id": "str", "ident": "uint64", "saved": "uint64"}
    return Latest.latest(pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in kinds.items()}))


def _stored(window: Window, junk: Test) -> Latest:
    """Return the sessions in which mail was delivered to a folder of spam: mail_log calls that a save, too."""
    folder = event(window, "stores", "mailbox")
    rows = np.flatnonzero(_found(folder, junk))
    session = texts.arrow(pd.Series(text(plain(window.tables["stores"].column("session").take(pa.array(rows))))))
    rows, session = rows[session.is_valid().to_numpy(zero_copy_only=False)], session.drop_null()
    times_ = times(numbers(window, "stores", "time")[rows])
    return _sessions(pd.DataFrame({"time": times_, "session": hashed(texts.series(session))}))


@none_once
def _sessions(some: pd.DataFrame) -> Latest:
    return Latest.latest(some.drop_duplicates("session", keep="last"))


def moves(partial: Partial) -> pd.DataFrame:
    """Return the moves of users, in the order of time.

    Deliveries are saved too, by a session that says so; a program has one only while a user is logged in.
    """
    frame = partial.frame(MOVES)
    delivered = np.isin(frame["saved"].to_numpy(), partial.frame(STORED)["session"].to_numpy())
    return frame[~delivered].sort_values(["time", "source", "line"], kind="stable", ignore_index=True)


@functools.lru_cache(maxsize=16)
def _matcher(pattern: str, told: tuple[str, ...]) -> Test:
    """Return a test of folder names: those that the configuration names, else those that mail programs use."""
    names = [name.strip() for value in told for name in value.split(";") if name.strip()]
    if names:
        words = "|".join(re.escape(name).replace(r"\*", ".*") for name in names)
        pattern = rf"(?i)(?:^|[./\\])(?:{words})\Z"
    return _remembering(re.compile(pattern))


def _remembering(pattern: re.Pattern[str]) -> Test:
    """Return a test by a pattern: a log's windows have the same few texts."""
    return functools.lru_cache(maxsize=MOST_REMEMBERED)(lambda word: pattern.search(word) is not None)


MOST_REMEMBERED = 4096


def _pipes(window: Window) -> Latest:
    """Return what imapsieve piped to a training program, in vain or not, one row a line of it."""
    did, program = event(window, "moves", "event"), event(window, "moves", "text")
    some = did.equal(*PIPED)
    if not some.any():
        return _no_pipes()
    rows = np.flatnonzero(some & _found(program, _trains))
    user, session, mail = (event(window, "moves", name) for name in ("user", "session", "message_id"))
    coded = {name: category(each.words, each.codes[rows]) for name, each in (("event", did), ("user", user))}
    frame = {
        **_lines(window, rows),
        **coded,
        "text": category(program.words, program.codes[rows]),
        "session": session.at(rows),
        "message_id": mail.at(rows),
    }
    return Latest.latest(pd.DataFrame(frame, copy=False))


PIPED = ("pipe", "pipe failed")


@functools.cache
def _no_pipes() -> Latest:
    kinds = {"time": "datetime64[ns, UTC]", "source": "int32", "line": "int64"}
    kinds |= dict.fromkeys(("event", "user", "text"), "category") | dict.fromkeys(("session", "message_id"), "str")
    return Latest.latest(pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in kinds.items()}))


_trains = _remembering(TRAINER)


def piped(partial: Partial) -> pd.DataFrame:
    """Return what imapsieve piped to a training program, one row a call, in the order of time."""
    frame = partial.frame(PIPES).sort_values(["time", "source", "line"], kind="stable", ignore_index=True)
    second = frame["time"].dt.floor("s")
    again = frame.assign(second=second).duplicated(["event", "user", "session", "second", "message_id", "text"])
    return frame[~again].reset_index(drop=True)


@empty_once("moves")
def pipe_sources(window: Window) -> Keyed:
    """Return the sources that tell of pipes, to any program."""
    piped_ = event(window, "moves", "event").equal(*PIPED)
    sources = np.unique(numbers(window, "moves", "source")[piped_].astype(np.int32))
    return Keyed.of(pd.DataFrame({"source": sources}), once=True)


def local_part(user: str) -> str:
    """Return a login or address as far as all its forms share it: the local part without extension, in lower case."""
    return user.lower().partition("@")[0].partition("+")[0]


def trigger(settings: Settings) -> str:
    """Return what calls the filter when a user moves a mail, as Dovecot's configuration says: antispam, imapsieve, nothing."""
    loaded = settings.dovecot.mail_plugins("imap") if settings.known("dovecot") else frozenset()
    return "antispam" if "antispam" in loaded else "imapsieve" if "imap_sieve" in loaded else ""
