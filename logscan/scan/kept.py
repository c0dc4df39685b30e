"""Mail that a filter kept back: thrown away, put into quarantine, refused; behind the queue, or at the door by a milter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan import coded
from logscan.scan.columns import column
from logscan.scan.covering import said_kept
from logscan.scan.memo import per_window

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

OTHER_REASONS = r"(?i)\b(virus|infected|banned|bad[- ]header|oversized|unchecked|mta-blocked)\b"
"""What amavis names in its reply or result where it isn't spam (Amavis.pm, contents categories)."""

SLACK = pd.Timedelta(seconds=5)


def kept_in_queue(scan: Window, rows: Ints) -> pd.DataFrame:
    """Return, by row of deliveries (of those in ``rows``), what a filter behind the queue kept back.

    Columns: ``kept`` (discarded, quarantined, refused), ``reason`` (other than spam, else empty), ``away`` (whether the
    recipient is elsewhere, as the filter says; missing where it doesn't).
    """
    deliveries = scan.deliveries
    judged, entry = deliveries["verdict_row"].to_numpy()[rows], deliveries["entry"].to_numpy()[rows]
    here = (judged >= 0) & (np.append(scan.verdicts["entry"].to_numpy(), -1)[judged] == entry)
    blocked = np.zeros(len(rows), np.bool_)
    blocked[here] = _blocked(scan)[judged[here]]
    came_back = np.zeros(len(deliveries) + 1, np.bool_)
    came_back[scan.legs["delivery"].to_numpy()[coded.of(scan.legs["kind"]).equal("filter")]] = True
    said = said_kept(scan)[rows] & ~deliveries["final"].to_numpy()[rows]
    found = (blocked | said) & ~came_back[rows] & coded.of(deliveries["status"]).equal("sent", "bounced")[rows]
    return _kept(scan, rows[found])


@per_window
def _blocked(scan: Window) -> npt.NDArray[np.bool_]:
    """Return which verdicts say that the filter kept the mail back."""
    verdicts = scan.verdicts
    out, given = np.zeros(len(verdicts), np.bool_), coded.of(verdicts["filter"])
    for name, field, pattern in (
        ("amavis", "result", "^Blocked"),
        ("dspam", "status", "(?i)quarantin"),
        ("pmg", "status", "Quarantin|Discard"),
    ):
        mine = given.equal(name)
        if mine.any():
            said = verdicts[field][mine].astype("str").str.contains(pattern, regex=True, na=False)
            out[mine] = said.to_numpy(dtype=np.bool_)
    return out


def _kept(scan: Window, rows: Ints) -> pd.DataFrame:
    if not len(rows):
        return pd.DataFrame({name: pd.Series([], dtype=NONE[name], index=pd.Index([], dtype="int64")) for name in NONE})
    some = scan.deliveries[["entry", "verdict_row", "reply", "status", "spam"]].iloc[rows]
    verdict = scan.verdicts[["filter", "result", "status"]].reindex(some["verdict_row"].to_numpy())
    verdict = verdict.astype({"filter": "str", "result": "str"}).set_axis(some.index)
    status = verdict["status"].fillna("").astype("str")
    refused = (some["status"] == "bounced") | status.str.contains("Rejected|Bounced", regex=True)
    laid_aside = status.str.contains("quarantin", case=False)
    result = verdict["result"].where(verdict["filter"].isin(["amavis", "pmg"])).fillna("").astype("str")
    words = result + " " + some["reply"].fillna("").astype("str")
    spam = result.str.contains("SPAM", regex=False) | some["spam"].fillna(False).astype(bool)
    reason = words.str.extract(OTHER_REASONS, expand=False).str.lower().where(~spam)
    inward = status.str.contains("Inbound|Internal", regex=True)
    outward = status.str.contains("Outbound|OpenRelay", regex=True)
    away = (
        pd.Series(pd.NA, index=some.index, dtype="boolean").mask(inward & ~outward, False).mask(outward & ~inward, True)
    )
    return pd.DataFrame(
        {
            "kept": np.select([refused, laid_aside], ["refused", "quarantined"], "discarded"),
            "reason": reason.fillna("").astype("str"),
            "away": away,
        },
        index=some.index,
    )


NONE = {"kept": "str", "reason": "str", "away": "boolean"}
"""What :func:`kept_in_queue` returns, by column, where nothing was kept."""

ACTIONS = {"milter-discard": "discarded", "milter-hold": "quarantined", "milter-reject": "refused"}


def kept_at_the_door(scan: Window, settings: Settings, origins: Sequence[str]) -> pd.DataFrame:
    """Return what milters kept back of mail with these origins, as rows like those of deliveries, numbered below 0.

    A mail that a milter refuses counts where it was refused as spam: by the filter's verdict, or by its words.
    """
    wanted = column(scan, "rejects", "action").is_in(*ACTIONS, "hold")
    if not wanted.any():
        return pd.DataFrame()
    rejects = scan.events("rejects")
    some = rejects[wanted & rejects["queue_id"].notna()]
    some = some[(some["queue_id"] != "NOQUEUE") & ~some["text"].str.startswith("4.", na=False)]
    entries = scan.entries[scan.entries["origin"].isin(list(origins))]
    if some.empty or entries.empty:
        return pd.DataFrame()
    left = some[["host", "queue_id", "time", "action", "dsn", "text", "recipient", "source", "line"]].copy()
    left["reject"] = left.index
    left["host"] = left["host"].astype("str")
    right = entries[["host", "queue_id", "first", "last", "mail"]].copy()
    right["entry"], right["host"] = right.index, right["host"].astype("str")
    both = left.merge(right, on=["host", "queue_id"])
    both = both[(both["first"] <= both["time"] + SLACK) & (both["last"] >= both["time"] - SLACK)]
    both = both[~both["dsn"].astype("str").str.startswith("4")]
    both["kept"] = both["action"].astype("str").map(ACTIONS)
    on_hold = (both["action"] == "hold").to_numpy()
    taken = _by_mailscanner(scan, both[on_hold])
    both = pd.concat([both[~on_hold], taken]) if len(taken) else both[~on_hold]
    arrived = scan.deliveries["entry"].to_numpy()
    done = np.unique(arrived[scan.deliveries["final"].to_numpy()])
    both = both[~both["entry"].isin(done)]
    # What was held and released has deliveries of its own.
    both = both[(both["action"] != "milter-hold") | ~both["entry"].isin(arrived)]
    judged = np.full(len(scan.entries) + 1, -1, np.int64)
    of = scan.verdicts["entry"].to_numpy()
    judged[of[of >= 0]] = np.flatnonzero(of >= 0)
    judged[-1] = -1
    both["verdict_row"] = judged[both["entry"].to_numpy()]
    spam = _spam(scan, both["verdict_row"].to_numpy())
    both = both[(both["action"] != "milter-reject") | spam | both["text"].str.contains("spam", case=False, na=False)]
    both = both.drop_duplicates(["entry", "recipient"])
    if both.empty:
        return pd.DataFrame()
    return _like_deliveries(scan, both)


def _by_mailscanner(scan: Window, held: pd.DataFrame) -> pd.DataFrame:
    """Return those rows of mail on hold that MailScanner took out of the queue and neither delivered nor forwarded.

    ``kept`` is set by its actions: it stores what it keeps, and drops the rest (MailScanner Message.pm, HandleHamAndSpam()).
    """
    told = scan.events("milters")
    told = told[(told["filter"] == "mailscanner") & told["queue_id"].notna() & told["result"].notna()]
    if held.empty or told.empty:
        return held.iloc[:0]
    actions = pd.DataFrame({name: told[name].astype("str") for name in ("host", "queue_id", "result")})
    actions["done"] = told["time"]
    both = held[~held["entry"].isin(scan.legs["parent"])].merge(actions, on=["host", "queue_id"])
    both = both[(both["done"] >= both["first"] - SLACK) & (both["done"] <= both["time"] + LONGEST_BATCH)]
    both = both[~both["result"].str.contains(r"\b(?:deliver|forward)\b|@", regex=True)]
    both = both.sort_values("done", kind="stable").drop_duplicates(["entry", "recipient"], keep="last")
    stored = both["result"].str.contains(r"\bstore", regex=True).to_numpy(dtype=np.bool_)
    both["kept"] = np.where(stored, "quarantined", "discarded")
    return both[held.columns]


LONGEST_BATCH = pd.Timedelta(hours=12)
"""A mail waits for its batch; where MailScanner was away, for hours."""


def _spam(scan: Window, rows: Ints) -> npt.NDArray[np.bool_]:
    results = np.append(scan.verdicts["result"].astype("str").to_numpy(dtype=object), "")[rows]
    found: npt.NDArray[np.bool_] = np.isin(
        results, ["reject", "discard", "quarantine", "add header", "rewrite subject", "Y", "spam"]
    )
    return found | np.char.startswith(results.astype("str"), "Blocked SPAM")


def _like_deliveries(scan: Window, both: pd.DataFrame) -> pd.DataFrame:
    """Return them with the columns of deliveries."""
    out = scan.deliveries.iloc[:0].reindex(range(-1, -1 - len(both), -1))
    for name in ("time", "entry", "mail", "queue_id", "recipient", "source", "line", "verdict_row"):
        out[name] = both[name].array
    signature = scan.verdicts["signature"].reindex(both["verdict_row"])
    out["signature"] = signature.array
    out["reply"] = both["text"].array
    out["kept"] = both["kept"].array
    out["reason"] = both["text"].str.extract(OTHER_REASONS, expand=False).str.lower().array
    out["reject"] = both["reject"].array
    out["row"], out["away"] = -1, pd.NA
    out["passed"] = (both["action"] == "hold").array  # MailScanner's way to it is Postfix's queue.
    local = tuple(scan.correlated.local_domains)
    domain = both["recipient"].str.replace(r"(?s)^.*@", "", regex=True).str.lower()
    out["outside"] = (~domain.isin(local)).array
    for name in ("hop", "final", "last"):
        out[name] = False
    out["spam"] = pd.array(
        np.where(both["verdict_row"] >= 0, _spam(scan, both["verdict_row"].to_numpy()), True), "boolean"
    )
    return out
