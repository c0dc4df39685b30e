"""Copies of one mail for one person: which there are, by which way each came, and why there are several."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import combine, matched
from logscan.correlate.facts import AGENT, COMMAND
from logscan.correlate.links import beginnings
from logscan.scan.aliases import asked, through_filter, top_rows
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

CAUSES = (
    "double-alias-expansion",
    "filter-reinjected-twice",
    "retry-after-lost-reply",
    "unknown",
    "overlapping-aliases",
    "by-list-and-directly",
    "sender-resent",
)
"""The gravest first: a case with several is counted under the first."""

SAME_SIZE = 512
"""Bytes by which two arrivals of one mail may differ (Received lines of another way); beyond, they are two mails."""

AT_ONCE = pd.Timedelta(minutes=1)
"""Within which one pass of the queue delivers to the recipients of one life; beyond, a copy was delivered anew."""

SAME_DAY = pd.Timedelta(days=1)
"""Within which a list sends on what it got."""

LONGEST = 30 * 86_400
"""Seconds: no queue keeps a mail longer."""

BROKEN = r"^(?:lost connection|conversation) with .* while (?:sending|receiving) (?:end of data|.* -- message may be)"
"""Postfix lost the reply after the data: the copy may have been taken (smtp_proto.c)."""


def stores(scan: Window, outside: bool = False) -> pd.DataFrame:
    """Return one row per copy stored in a mailbox here, or per copy that left for somebody outside.

    Columns of ``deliveries``, and: ``message_id``, ``sender``, ``root`` (entry), ``size`` of the mail as it came in,
    ``asked`` (the address it was for in its last life), ``top`` (the delivery row it came from before the filter),
    ``asked_first`` and ``handed`` (that row's addresses), ``filtered``, ``store`` (equal where two lines are one copy).
    """
    deliveries = scan.deliveries
    deliveries = deliveries.assign(top=top_rows(scan))
    place = deliveries["outside"] if outside else ~deliveries["outside"] & (deliveries["stored"] != 0)
    frame = deliveries[deliveries["final"] & place].copy()
    entries = scan.entries.iloc[frame["entry"].to_numpy()]
    frame["message_id"] = entries["message_id"].fillna("").array
    frame["sender"] = texts.lower(entries["sender"].fillna("")).array
    frame["root"] = _roots(scan.entries)[frame["entry"].to_numpy()]
    frame["size"] = scan.entries["size"].fillna(0).astype("int64").to_numpy()[frame["root"].to_numpy()]
    frame["filtered"] = through_filter(scan)[frame["entry"].to_numpy()]
    frame["asked"] = asked(frame)
    top = deliveries[["recipient", "original_recipient"]].iloc[frame["top"].to_numpy()]
    frame["asked_first"] = asked(top).array
    frame["handed"] = texts.lower(top["recipient"]).array
    if outside:
        frame["mailbox"] = texts.lower(frame["recipient"])
    told = pc.binary_join_element_wise(_written(frame["entry"]), _written(_ordinal(frame)), "/")
    session = frame["session"].where(frame["session"] != "")
    frame["store"] = texts.either(session, texts.series(told, session))
    return frame


def _written(numbers: pd.Series) -> pa.Array:
    """Return whole numbers as text."""
    return pa.array(numbers.to_numpy()).cast(pa.string())


def to_commands(frame: pd.DataFrame) -> pd.Series:
    """Return which copies went to a program that keeps no mailbox: a list's or a script's, told by local(8)."""
    reply = texts.arrow(frame["reply"])
    found = matched(reply, COMMAND, starts=COMMAND) & ~matched(reply, AGENT, starts=COMMAND)
    return pd.Series(found & (frame["program"] == "local").to_numpy(), index=frame.index)


def _ordinal(frame: pd.DataFrame) -> pd.Series:
    """Return a number of each copy whose mailbox server names no session: rows of one number are one copy.

    Each delivery is a copy of its own, but for local(8): one mail to a mailbox and to a command is what the user's own
    rules made of it, and the same way twice is two copies.
    """
    out = pd.Series(frame.index.to_numpy(), index=frame.index)
    some = frame.loc[frame["program"] == "local", ["entry", "mailbox", "reply"]]
    if len(some):
        out.loc[some.index] = -1 - some.groupby(["entry", "mailbox", "reply"], dropna=False).cumcount()
    return out


def _roots(entries: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return, per entry, the entry its copies are told apart by: what a list sent on has a sender of its own."""
    parent = entries["parent"].to_numpy()
    own = (parent < 0) | entries["leg"].isin(["bounce", "list"]).to_numpy()
    return beginnings(np.where(own, np.arange(len(parent)), parent))


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy. ``row`` and ``top`` are rows of deliveries, ``entry`` and ``root`` of entries.

    ``broken`` and ``store_row`` (of the stores table) tell of a copy that was stored although its reply got lost.
    """

    row: int
    entry: int
    root: int
    top: int
    size: int
    time: pd.Timestamp
    message_id: str
    mailbox: str
    recipient: str
    asked: str
    asked_first: str
    handed: str
    relay: str
    filtered: bool
    outside: bool
    broken: int
    store_row: int


def several(frame: pd.DataFrame) -> list[list[Copy]]:
    """Return the copies of each mail and mailbox that has more than one, in the order of the first one.

    Copies are of one mail by message-id and sender. Those without a message-id, and those for somebody outside (a list
    sends its mail once a member), only where they are of one mail by its way through the queue.
    """
    ident = frame["message_id"].str.strip(" <>")
    alone = (ident == "") | frame["outside"]
    root = frame["root"].where(alone, -1)
    keyed = frame.assign(of=root, ident=ident)
    key = ["ident", "sender", "mailbox", "of"]
    distinct = keyed.drop_duplicates([*key, "store"])
    groups = _grouped(distinct[distinct.duplicated(key, keep=False)], key)
    return [rows for group in groups for rows in _same_mail(group) if len(rows) > 1]


def by_other_ways(scan: Window, frame: pd.DataFrame) -> list[list[Copy]]:
    """Return the copies of mails of which each mailbox got one from each of several senders: the author, a list, a forward.

    A message-id alone doesn't make them one mail: one of its lives went to a command (a list's), or they are of one mail.
    """
    deliveries = scan.deliveries
    commands = deliveries.loc[to_commands(deliveries) & (deliveries["entry"] >= 0), "entry"]
    listed = set(scan.entries["message_id"].iloc[commands.to_numpy()].dropna().str.strip(" <>")) - {""}
    key = ["ident", "mailbox"]
    keyed = frame.assign(ident=frame["message_id"].str.strip(" <>"))
    keyed = keyed[(keyed["ident"] != "") & ~keyed["outside"]].drop_duplicates([*key, "store"])
    keyed = keyed[keyed.duplicated(key, keep=False)]
    if keyed.empty:
        return []
    groups = keyed.groupby(key)
    alone = (groups["sender"].transform("nunique") == groups["sender"].transform("size")).to_numpy()
    one = (groups["root"].transform("nunique") == 1).to_numpy() | keyed["ident"].isin(listed).to_numpy()
    near = (groups["time"].transform("max") - groups["time"].transform("min") <= SAME_DAY).to_numpy()
    return _grouped(keyed[alone & one & near], key)


def _grouped(some: pd.DataFrame, key: list[str]) -> list[list[Copy]]:
    """Return the copies by what is equal in some columns, in the order of the first one."""
    if "broken" not in some:
        some = some.assign(broken=-1, told_by=-1)
    some = some.assign(recipient=texts.lower(some["recipient"]), relay=some["relay"].astype("str"))
    numbers = {name: some[name].fillna(-1).astype("int64") for name in ("broken", "told_by")}
    names = ["entry", "root", "top", "size", "time", "message_id", "mailbox", "recipient"]
    names += ["asked", "asked_first", "handed", "relay", "filtered", "outside"]
    columns = [some.index.tolist(), *(some[name].tolist() for name in names), *(n.tolist() for n in numbers.values())]
    out: dict[Any, list[Copy]] = {}
    for same, *values in zip(zip(*(some[name].tolist() for name in key), strict=True), *columns, strict=True):
        out.setdefault(same, []).append(Copy(*values))
    return list(out.values())


def _same_mail(copies: list[Copy]) -> list[list[Copy]]:
    """Split copies whose mails came in with different sizes: a constant Message-ID doesn't make them one mail."""
    if len({copy.root for copy in copies}) == 1:
        return [copies]
    copies = sorted(copies, key=lambda copy: (copy.size, copy.time))
    out = [[copies[0]]]
    for before, copy in itertools.pairwise(copies):
        if copy.size - before.size > SAME_SIZE:
            out.append([])
        out[-1].append(copy)
    return out


class Ways:
    """How entries came out of others, to look at one by one."""

    def __init__(self, scan: Window) -> None:
        entries, deliveries, legs = scan.entries, scan.deliveries, scan.legs
        self.parent = entries["parent"].to_numpy()
        self.queue_id = entries["queue_id"]
        self.relay = deliveries["relay"]
        self.hand_over = np.full(len(entries), -1, np.int64)
        """By entry: the delivery to a filter that it came out of, or -1."""
        out_of = legs[legs["kind"] == "filter"]
        self.hand_over[out_of["child"].to_numpy()] = out_of["delivery"].to_numpy()
        self._deliveries = deliveries

    @functools.cached_property
    def _handed(self) -> npt.NDArray[np.int64]:
        """A code for each delivery's recipient and the address it was for."""
        codes = (texts.coded(texts.lower(self._deliveries["recipient"]))[0], texts.coded(asked(self._deliveries))[0])
        return combine(*codes)

    def twice(self, copies: Iterable[Copy]) -> bool:
        """Whether one recipient of one entry came out of the filter more than once, in different attempts."""
        handed: dict[tuple[int, int], int] = {}
        seen: set[int] = set()
        for copy in copies:
            at = copy.entry
            while at >= 0 and at not in seen:
                seen.add(at)
                above, row = int(self.parent[at]), int(self.hand_over[at])
                if row >= 0 and handed.setdefault((above, int(self._handed[row])), row) != row:
                    return True
                at = above
        return False

    def retraced(self, groups: list[list[Copy]]) -> list[list[Copy]]:
        """Let each copy's ``top`` be the hand-over that named its address, where one hand-over named several.

        A filter that hands all recipients of a transaction back at once (amavis) makes one child of several hand-overs,
        whose reply is the same; a leg names the first.
        """
        tops = {copy.top for group in groups for copy in group if copy.filtered and copy.top != copy.row}
        siblings = self._siblings(tops)
        alone = [copy for group in groups for copy in group if copy.filtered and copy.top == copy.row]
        named = self._named({copy.root for copy in alone if copy.entry != copy.root})
        out = []
        for group in groups:
            moved = []
            for copy in group:
                row = siblings.get((copy.top, copy.asked)) if copy.filtered else None
                if copy.filtered and copy.top == copy.row:
                    row = named.get((copy.root, copy.asked))
                moved.append(self._moved(copy, row) if row is not None and row != copy.top else copy)
            out.append(moved)
        return out

    def _named(self, roots: set[int]) -> dict[tuple[int, str], int]:
        """Return, by entry and recipient, the hand-over to the filter: for what came out of it with only its log to tell so.

        A filter that hands one transaction back in several names one of them in its reply.
        """
        deliveries = self._deliveries
        rows = deliveries[(deliveries["hop"] & deliveries["entry"].isin(roots)).to_numpy()]
        keys = zip(rows["entry"].tolist(), texts.lower(rows["recipient"]).tolist(), strict=True)
        return dict(zip(keys, rows.index.tolist(), strict=True))

    def _moved(self, copy: Copy, row: int) -> Copy:
        first = self._deliveries.iloc[[row]]
        return dataclasses.replace(
            copy, top=row, asked_first=str(asked(first).iloc[0]), handed=str(first["recipient"].iloc[0]).lower()
        )

    def _siblings(self, tops: set[int]) -> dict[tuple[int, str], int]:
        """Return, by hand-over and recipient, the hand-over of the same transaction that named that recipient."""
        deliveries = self._deliveries
        chosen = deliveries.loc[sorted(tops), ["entry", "relay", "reply"]]
        of_leg = np.zeros(len(deliveries), np.bool_)
        of_leg[self.hand_over[self.hand_over >= 0]] = True
        rows = deliveries[(deliveries["hop"] & deliveries["entry"].isin(chosen["entry"])).to_numpy() & ~of_leg]
        by_reply: dict[Any, dict[str, int]] = {}
        columns = [rows[name].astype("object").tolist() for name in ("entry", "relay", "reply")]
        for row, recipient, *key in zip(rows.index.tolist(), rows["recipient"].tolist(), *columns, strict=True):
            by_reply.setdefault(tuple(key), {})[str(recipient).lower()] = row
        out: dict[tuple[int, str], int] = {}
        for top, *key in chosen.astype("object").itertuples():
            out |= {(top, recipient): row for recipient, row in by_reply.get(tuple(key), {}).items()}
        return out


def causes(ways: Ways, copies: list[Copy]) -> tuple[list[str], str]:
    """Return the causes, gravest first, and what to act on: the address that doubles, the filter (or nothing)."""
    found: dict[str, str] = {}
    if any(copy.broken >= 0 for copy in copies):
        found["retry-after-lost-reply"] = copies[0].relay
    mails = _by(copies, "root")
    for rows in mails:
        if len(rows) < 2:
            continue
        explained = 1
        doubled = _doubled([copy for copy in rows if copy.filtered])
        if doubled:
            found["double-alias-expansion"], twice = doubled
            explained = max(explained, twice)
        if ways.twice(rows):
            found["filter-reinjected-twice"] = str(ways.relay.iat[rows[0].top])
            explained = len(rows)
        by_design = len({copy.asked_first for copy in rows}) > 1 or _one_life(rows)
        if by_design and explained < len(rows) and not any(copy.broken >= 0 for copy in rows):
            found["overlapping-aliases"] = ""
    if len(mails) > 1:
        found["sender-resent"] = ""
    ordered = [cause for cause in CAUSES if cause in found] or ["unknown"]
    return ordered, found.get(ordered[0], "")


def _by(copies: list[Copy], name: str) -> list[list[Copy]]:
    out: dict[Any, list[Copy]] = {}
    for copy in copies:
        out.setdefault(getattr(copy, name), []).append(copy)
    return list(out.values())


def _one_life(copies: list[Copy]) -> bool:
    """Whether all copies left one queue entry that no filter handed back: two recipients of it are one person."""
    return len({copy.entry for copy in copies}) == 1 and not copies[0].filtered and _at_once(copies)


def _at_once(copies: list[Copy]) -> bool:
    times = [copy.time for copy in copies]
    return bool(max(times) - min(times) <= AT_ONCE)


def _doubled(copies: list[Copy]) -> tuple[str, int] | None:
    """Return the address whose second expansion, behind the filter, doubled copies of one mail, and how many they are.

    ``copies`` came through a filter. An alias: copies of one address of the envelope came by several hand-overs, and one
    was expanded behind the filter. A BCC: behind the filter a recipient was added that the hand-over didn't name, and that
    had one of its own; or one life behind it has the same recipient twice, of which the hand-over named one.
    """
    if len({copy.asked != copy.handed for copy in copies}) > 1:
        return copies[0].mailbox, len(copies)
    for some in _by(copies, "asked_first"):
        behind = any(copy.asked != copy.recipient for copy in some)
        if len(some) > 1 and len({copy.handed for copy in some}) > 1 and behind:
            return some[0].asked_first, len(some)
    for some in _by(copies, "entry"):
        if len(some) > 1 and len({(copy.recipient, copy.asked) for copy in some}) == 1 and _at_once(some):
            return some[0].mailbox, len(some)
    return None


def unanswered(scan: Window, frame: pd.DataFrame) -> pd.DataFrame:
    """Return stores by Dovecot whose reply Postfix never got: the copy was stored, and the mail offered again.

    Rows as of :func:`stores`, with ``broken`` (row of deliveries) and ``told_by`` (row of the stores table).
    """
    deliveries = scan.deliveries
    broken = deliveries[
        (deliveries["status"] == "deferred")
        & deliveries["reply"].str.contains(BROKEN, regex=True, na=False)
        & (deliveries["entry"] >= 0)
        & ~deliveries["outside"]
    ]
    # A hand-over to the filter may break off as well; its children are deliveries of their own.
    hand_overs = scan.legs.loc[scan.legs["delivery"] >= 0, "delivery"]
    broken = broken[~broken.index.isin(hand_overs)]
    if broken.empty:
        return frame.iloc[:0]
    frame_of = dict(iter(frame[frame["entry"].isin(broken["entry"])].groupby(["entry", "recipient"])))
    stored_of = _stored(scan, {message_id for some in frame_of.values() for message_id in some["message_id"]})
    rows = []
    for row in broken.itertuples():
        later = frame_of.get((row.entry, row.recipient))
        if later is None:
            continue
        around = pd.Timedelta(seconds=(0 if pd.isna(row.delay) else min(float(row.delay), LONGEST)) + 600)
        for user in dict.fromkeys((row.mailbox, str(row.mailbox).partition("@")[0])):
            near = stored_of.get((str(later["message_id"].iloc[0]), user))
            if near is None:
                continue
            low, high = (
                near["time"].searchsorted(row.time - around),
                near["time"].searchsorted(row.time + around, "right"),
            )
            for store in near.iloc[low:high].drop_duplicates("session").itertuples():
                copy = later.iloc[0].copy()
                copy["store"], copy["time"] = store.session, store.time
                copy["broken"], copy["told_by"] = row.Index, store.Index
                rows.append(copy)
    return pd.DataFrame(rows).drop_duplicates(["store"]) if rows else frame.iloc[:0]


def _stored(scan: Window, wanted: set[str]) -> dict[Any, pd.DataFrame]:
    """Return, by message-id and owner, the copies that Dovecot stored and no reply tells of, in the order of time."""
    events = scan.events("stores")
    stored = events[(events["action"] == "stored") & events["message_id"].isin(wanted) & events["user"].notna()]
    stored = stored[~stored["session"].isin(scan.deliveries["session"].dropna())].sort_values("time")
    return dict(iter(stored.groupby(["message_id", texts.lower(stored["user"])])))
