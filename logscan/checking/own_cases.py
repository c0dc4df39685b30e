"""Own mail that may be a case of a check: in look, the rows that tell a finding all it says."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import take
from logscan.scan import coded, ports
from logscan.scan.mail_hashes import chosen, mail_hashes
from logscan.scan.memo import none_once, per_window
from logscan.scan.submitted import Own, own
from logscan.tables import texts
from logscan.tables.partials import First, Part, Rows

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_FETCHED = 10_000
"""Rows of what may be strangers' mail, fetched from elsewhere, that are kept as long as not all names of the server are known.
Where there are more and one turns out to be the server's own, its later cases are missing."""

SPAM_FOLDERS = frozenset({"junk", "spam", "inbox.junk", "inbox.spam"})


@per_window
def cases(window: Window, settings: Settings) -> pd.DataFrame:
    """Return the rows that may be a case of a check, with all that a finding tells of them; the index counts for nothing.

    ``mail`` (int64, a hash) tells mails apart, ``tagged`` whether it carries a spam verdict, ``filed`` whether it was filed as
    spam without one, ``at_door`` that it never came into the queue; ``opened``, ``told``, ``stopped`` and ``done`` with
    ``_source`` and ``_line`` are its evidence (-1: none), ``place_...`` the entry that it was delivered from.
    """
    mine = own(window, settings)
    filed = _filed(window, settings)
    at = np.flatnonzero(mine.tagged | mine.held | filed | (mine.came.equal("local") & mine.passed))
    if not len(at):
        return _no_cases()
    root, entry, code = mine.root[at], mine.entry[at], ports.doors(window, settings).code
    made: dict[str, Any] = {
        "time": coded.times(mine.time[at]),
        "mail": mail_hashes(window, root),
        "filed": filed[at],
        "at_door": mine.row[at] < 0,
        **{name: getattr(mine, name)[at] for name in ("inside", "outside", "passed", "tagged")},
        **{name: getattr(mine, name).at(at) for name in ("came", "kept", "reason", "kind", "foreign")},
        **door_columns(window, settings, code[root]),
        **door_columns(window, settings, code[entry], "place_"),
        **_texts(window, mine, at),
        **_evidence(window, mine, at),
    }
    return pd.DataFrame({name: made[name] for name in (*TEXTS, *OTHERS)}, copy=False)


def _filed(window: Window, settings: Settings) -> Bools:
    """Return which rows were filed as spam, though no verdict is told."""
    mine = own(window, settings)
    some = np.flatnonzero(mine.passed & ~mine.told)
    out = np.zeros(len(mine.row), np.bool_)
    if len(some):
        folders = {name.lower() for name in settings.dovecot.spam_folders} | SPAM_FOLDERS
        out[some] = np.asarray(
            pc.is_in(pc.utf8_lower(mine.texts(window, "folder", some)), value_set=pa.array(sorted(folders)))
        )
    return out


def _texts(window: Window, mine: Own, at: Ints) -> dict[str, Any]:
    """Return the columns of texts of some rows that entries and deliveries tell; most are texts already."""
    entries, root, entry = window.entries, mine.root[at], mine.entry[at]
    made: dict[str, Any] = {
        name: coded.text(mine.texts(window, name, at)) for name in ("recipient", "relay", "signature", "queue_id")
    }
    taken = {name: take(texts.arrow(entries[of]), root) for name, of in OF_ENTRY.items()}
    made |= {name: coded.text(taken[name]) for name in ("user", "sender", "message_id")}
    by_hand = coded.of(entries["program"]).equal("pickup")[root]
    remote = coded.joined(taken["name"], "[", taken["address"], "]")
    made["client"] = coded.text(pc.if_else(pa.array(by_hand), coded.joined("uid ", taken["uid"]), remote))
    made["program"] = coded.of(entries["program"]).at(root)
    for name in ("service", "program", "origin", "leg"):
        column = coded.of(entries[name])
        made[f"from_{name}"] = coded.text(pc.fill_null(take(column.words, column.codes[entry]), ""))
    direction = coded.of(window.mails["direction"])
    of_mail = take(direction.words, np.append(direction.codes, -1)[mine.mail[at]])
    made["direction"] = coded.text(pc.if_else(pa.array(mine.mail[at] < 0), "", of_mail))
    return made


OF_ENTRY = {
    "user": "sasl_username",
    "sender": "sender",
    "message_id": "message_id",
    "name": "client",
    "address": "client_address",
    "uid": "uid",
}
"""Columns of entries that cases tell, by what they are called there."""


def _evidence(window: Window, mine: Own, at: Ints) -> dict[str, Ints]:
    """Return the lines that prove some rows."""
    made = {}
    for name, column, row in (
        (
            "opened",
            functools.partial(coded.numbers, window, "clients"),
            window.entries["client_row"].to_numpy()[mine.root[at]],
        ),
        ("told", window.verdicts.__getitem__, mine.verdict[at]),
        ("stopped", functools.partial(coded.numbers, window, "rejects"), mine.reject(at)),
        ("done", window.deliveries.__getitem__, mine.row[at]),
    ):
        for each in ("source", "line"):
            made[f"{name}_{each}"] = chosen(column(each), row)
    return made


TEXTS = (
    *("came", "direction", "user", "sender", "recipient", "client", "relay", "message_id", "signature", "queue_id"),
    *("kept", "reason", "kind", "foreign", "program", "service", "place_service"),
    *("from_service", "from_program", "from_origin", "from_leg"),
)
OTHERS = (
    *("time", "mail", "inside", "outside", "passed", "tagged", "filed", "at_door"),
    *(f"{prefix}{name}" for prefix in ("", "place_") for name in ports.DOOR[1:]),
    *(f"{name}_{column}" for name in ("opened", "told", "stopped", "done") for column in ("source", "line")),
)


@functools.cache
def _no_cases() -> pd.DataFrame:
    kinds = dict.fromkeys(OTHERS, "int64") | dict.fromkeys(TEXTS, "str") | {"time": "datetime64[ns, UTC]"}
    kinds |= {name: "bool" for name in OTHERS if name.endswith(FLAGS)}
    return pd.DataFrame({name: pd.Series([], dtype=kinds[name]) for name in (*TEXTS, *OTHERS)})


FLAGS = ("inside", "outside", "passed", "tagged", "filed", "at_door", "handed_over", "filtered")


REPORT = r"<?logscan\.[0-9a-f]{32}@[^<>@]+>?"
"""The Message-ID of logscan's own mails (``reports/email.py``)."""


def own_reports(rows: pd.DataFrame) -> Bools:
    """Return which rows are logscan's own reports, handed in on this host and left alone by the filter.

    Anybody can write such a Message-ID. So nothing that came in from outside or by a login is taken for one, and nothing that
    the filter tagged, filed or kept back: a script that sends spam doesn't hide behind the name.
    """
    harmed = rows["tagged"].to_numpy(dtype=np.bool_) | rows["filed"].to_numpy(dtype=np.bool_) | (rows["kept"] != "")
    named = rows["message_id"].fillna("").astype("str").str.fullmatch(REPORT)
    found: Bools = np.asarray((rows["came"] == "local") & named & ~harmed, dtype=np.bool_)
    return found


@none_once
def kept_of(rows: pd.DataFrame) -> dict[str, Part]:
    """Return the parts for cases (rows of :func:`cases`); of strangers' mail that is perhaps none, the first ones."""
    foreign, kept = (coded.of(rows[name]) for name in ("foreign", "kept"))
    doubtful = ~foreign.equal("") & ~(rows["outside"].to_numpy(dtype=np.bool_) & kept.equal(""))
    if not doubtful.any():
        return {"cases": Rows.of(rows), "doubtful": _none_doubtful()}
    return {"cases": Rows.of(rows[~doubtful]), "doubtful": First.of(rows[doubtful], MOST_FETCHED, ORDER)}


ORDER = ("time", *(f"{name}_{column}" for name in ("done", "stopped") for column in ("source", "line")), "recipient")


@functools.cache
def _none_doubtful() -> First:
    return First.of(_no_cases(), MOST_FETCHED, ORDER)


def door_columns(window: Window, settings: Settings, code: Ints, prefix: str = "") -> dict[str, Any]:
    """Return the columns of doors by their code, :data:`logscan.scan.ports.DOOR`, their names behind a prefix."""
    made = _doors_and_none(window, settings)
    return {f"{prefix}{name}": made[name].array[code] for name in ports.DOOR}


@per_window
def _doors_and_none(window: Window, settings: Settings) -> pd.DataFrame:
    """Return the doors by code, and behind them that of an entry without a login."""
    none = pd.DataFrame({"service": coded.words([""]), "handed_over": False, "filtered": False, "process": 0})
    return pd.concat([ports.doors(window, settings).kinds, none], ignore_index=True)
