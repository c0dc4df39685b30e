"""Joins verdicts that name a Message-ID and no queue ID: spamd behind spamc or a milter, spampd, amavis without XFORWARD.

The sender of a mail chooses its Message-ID, so it decides nothing by itself: the verdict must have been given while this
mail was in the filter's hands, for its recipient and sender where the filter names them. Where several mails or several
verdicts fit and don't say the same, none is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, factorise, plain
from logscan.correlate.facts import Facts, ceil
from logscan.correlate.links import KINDS, Legs
from logscan.correlate.lives import SECOND
from logscan.correlate.matching import candidates
from logscan.tables.grouping import combine

UNKNOWN_IDS = ("", "(unknown)", "undef", "unknown")
"""What filters write for a mail without a Message-ID."""

BLANKS = r"[\s,\x00-\x1f]"
"""What spamd writes as ``_`` (spamd/spamd.raw, log_result())."""

ENVELOPES = 0.95
"""Share of the senders that a filter names which this host knows, if they are envelope senders: lines may be lost."""

SLACKS = ((1, 0), (2, 1))
"""Seconds before and after the hand-over, the narrow window first: two processes write their lines."""


@dataclass
class Loose:
    """Verdicts to be joined: one row for each recipient that a verdict names, or one for a verdict that names none."""

    row: Ints
    """Row of the verdicts table."""
    message: Ints
    """Message-ID code, shared with :attr:`of_entry`."""
    recipient: Ints
    """Address code; -1 when the filter names none, -2 for one that no delivery has."""
    sender: Ints
    """Address code; -1 when the filter names none, -2 for one that nobody here has."""
    strict: Bools
    """The sender is the envelope's, so it must be the mail's."""
    host: Ints
    """Host code of entries, -1 for a filter's own host or none."""
    second: Ints
    says: Ints
    """What the verdict says, as a code: verdicts that say the same may stand for each other."""
    of_entry: Ints
    """Message-ID code of each entry in the same coding, -1 for an absent or unknown one."""

    def left(self, taken: Bools) -> Loose:
        """Return those whose verdict isn't taken."""
        keep = ~taken[self.row]
        return Loose(
            self.row[keep],
            self.message[keep],
            self.recipient[keep],
            self.sender[keep],
            self.strict[keep],
            self.host[keep],
            self.second[keep],
            self.says[keep],
            self.of_entry,
        )


def by_message_id(table: pa.Table, says: Ints, f: Facts, legs: Legs, hop: Bools, rows: Ints) -> tuple[Ints, Ints]:
    """Return the verdict row of each delivery, and of each entry that a milter judged at the door; -1 for none.

    ``says`` runs along the rows of ``table``; ``rows`` are those to be joined.
    """
    of_delivery = np.full(len(f.row_entry), -1, np.int64)
    of_entry = np.full(f.lives.size, -1, np.int64)
    if not len(rows) or not f.lives.size:
        return of_delivery, of_entry
    loose = _loose(table, says, f, rows)
    known = np.isin(loose.of_entry, loose.message) & (loose.of_entry >= 0)
    if not known.any():
        return of_delivery, of_entry
    taken = np.zeros(len(table), np.bool_)
    mine = (f.row_entry >= 0) & np.append(known, False)[f.row_entry]
    handed = np.flatnonzero(mine & hop)
    _hand_overs(f, loose, handed, of_delivery, taken)
    judged = np.zeros(f.lives.size + 1, np.bool_)
    judged[f.row_entry[handed][of_delivery[handed] >= 0]] = True
    _at_the_door(f, loose.left(taken), legs, known & ~judged[:-1], of_entry, taken)
    judged[:-1] |= of_entry >= 0
    ends = np.flatnonzero(mine & ~hop & f.here[f.relay] & ~judged[f.row_entry])
    _hand_overs(f, loose.left(taken), ends, of_delivery, taken)
    return of_delivery, of_entry


def _loose(table: pa.Table, says: Ints, f: Facts, rows: Ints) -> Loose:
    some = table.take(pa.array(rows))
    bare = pc.utf8_trim_whitespace(pc.fill_null(plain(some.column("message_id")), ""))
    bare = pc.replace_substring_regex(bare, r"^<(.*)>$", r"\1")
    (mine, theirs), values = factorise(
        [pc.replace_substring_regex(bare, BLANKS, "_"), pc.replace_substring_regex(f.ids, BLANKS, "_")]
    )
    nothing = pc.is_in(values, pa.array(UNKNOWN_IDS)).to_numpy(zero_copy_only=False)
    mine = np.where(np.append(nothing, True)[mine], -1, mine)
    entry = np.append(theirs, -1)[f.parent_id]
    entry = np.where(np.append(nothing, True)[entry], -1, entry)
    (own, hosts), _ = factorise([plain(some.column("host")), f.lives.hosts])
    place = {int(code): at for at, code in enumerate(hosts)}
    host = np.asarray([place.get(int(code), -1) for code in np.arange(own.max(initial=-1) + 1)], np.int64)
    told = pc.split_pattern(pc.fill_null(plain(some.column("recipients")), ""), ",")
    parents = pc.list_parent_indices(told).to_numpy(zero_copy_only=False).astype(np.int64)
    names = pc.utf8_lower(pc.utf8_trim(pc.list_flatten(told), " <>"))
    sender = pc.utf8_lower(pc.utf8_trim(plain(some.column("sender")), " <>"))
    (to, by, addresses), words = factorise([names, sender, f.addresses])
    empty = np.append(pc.equal(words, "").to_numpy(zero_copy_only=False), True)
    address = np.full(len(words) + 1, -2, np.int64)
    address[addresses] = np.arange(len(addresses))
    recipient = np.where(empty[to], -1, address[to])
    by = np.where(by < 0, -1, address[by])
    strict = _tell_envelopes(some, by, f)
    once = np.sort(np.unique(combine(parents, recipient + 1), return_index=True)[1]) if len(parents) else parents
    at = parents[once]
    usable = mine[at] >= 0
    at, recipient = at[usable], recipient[once][usable]
    second = some.column("time").to_numpy()[at] // SECOND
    return Loose(
        rows[at], mine[at], recipient, by[at], strict[at], np.append(host, -1)[own[at]], second, says[rows[at]], entry
    )


def _hand_overs(f: Facts, loose: Loose, rows: Ints, out: Ints, taken: Bools) -> None:
    """Join verdicts to the hand-overs (rows of deliveries) during which they were given."""
    for before, after in SLACKS:
        rows = rows[out[rows] < 0]
        loose = loose.left(taken)
        if not len(rows) or not len(loose.row):
            return
        window = f.second[rows] - ceil(f.transmit[rows]) - before, f.second[rows] + after
        entry = f.row_entry[rows]
        found = _agreed(f, loose, entry, window, recipient=f.recipient[rows])
        out[rows] = found
        taken[found[found >= 0]] = True


def _at_the_door(f: Facts, loose: Loose, legs: Legs, may_be: Bools, out: Ints, taken: Bools) -> None:
    """Join verdicts to the entries during whose arrival they were given: a milter judges before the mail is queued."""
    came_back = np.zeros(f.lives.size, np.bool_)
    came_back[legs.child[legs.kind == KINDS.index("filter")]] = True
    entry = np.flatnonzero(may_be & (f.client_row >= 0) & ~came_back)
    if not len(entry) or not len(loose.row):
        return
    queued = f.lives.first_row("queued")[entry]
    times = f.lives.time.get("queued")
    until = (
        f.lives.last[entry]
        if times is None
        else np.where(queued >= 0, np.append(times, 0)[queued], f.lives.last[entry])
    )
    window = f.opened[entry] - 1, until // SECOND + 1
    found = _agreed(f, loose, entry, window)
    out[entry] = found
    taken[found[found >= 0]] = True


def _agreed(f: Facts, loose: Loose, entry: Ints, window: tuple[Ints, Ints], *, recipient: Ints | None = None) -> Ints:
    """Return the verdict row of each hand-over: the last one in its window, where all that fit say the same.

    Two mails that want the same verdicts get them only when there is one for each. ``recipient`` is the one of each
    hand-over; without it any of the entry's recipients will do.
    """
    out = np.full(len(entry), -1, np.int64)
    keys = np.where(loose.of_entry[entry] < 0, -1, loose.of_entry[entry]), loose.message
    left, right = candidates(keys, window, loose.second, lambda left, right: f.links.tie(entry[left], loose.row[right]))
    ok = _for_whom(f, loose.recipient[right], entry[left], None if recipient is None else recipient[left])
    ok &= (loose.host[right] < 0) | (loose.host[right] == f.lives.host[entry[left]])
    ok &= keys[0][left] >= 0
    left, right = left[ok], right[ok]
    ok = _by_whom(loose, right, f.sender[entry[left]])
    left, right = left[ok], right[ok]
    if not len(left):
        return out
    f.links.tie(entry[left], loose.row[right])
    says = loose.says[right]
    low, high = np.full(len(entry), np.iinfo(np.int64).max), np.full(len(entry), -1, np.int64)
    np.minimum.at(low, left, says)
    np.maximum.at(high, left, says)
    # Verdicts that this hand-over might have, and mails that each of them might be about.
    verdicts = _counted(left, loose.row[right], len(entry))
    mails = _counted(right, entry[left], len(loose.row))
    most = np.zeros(len(entry), np.int64)
    np.maximum.at(most, left, mails[right])
    good = (low == high) & (most <= verdicts)
    chosen = np.lexsort((loose.row[right], loose.second[right], left))
    left, right = left[chosen], right[chosen]
    last = np.r_[left[1:] != left[:-1], True] & good[left]
    out[left[last]] = loose.row[right[last]]
    return out


def _tell_envelopes(some: pa.Table, sender: Ints, f: Facts) -> Bools:
    """Return which verdicts are of filters whose senders are those of envelopes: nearly all are somebody's here."""
    (code,), names = factorise([some.column("filter")])

    def told() -> list[str]:
        named = np.bincount(code[(code >= 0) & (sender != -1)], minlength=len(names))
        known = np.bincount(code[(code >= 0) & (sender >= 0)], minlength=len(names))
        found: list[str] = names.take(pa.array(np.flatnonzero((known > 0) & (known >= ENVELOPES * named)))).to_pylist()
        return found

    fixed = f.learning.fact("envelope_senders", told)
    is_one = pc.is_in(names, pa.array(sorted(fixed), pa.string())).to_numpy(zero_copy_only=False).astype(np.bool_)
    out: Bools = np.append(is_one, False)[code]
    return out


def _by_whom(loose: Loose, verdict: Ints, sender: Ints) -> Bools:
    """Return which pairs may be, by the sender that a verdict names and each mail's.

    From headers, as filters may log them, aren't envelope senders: one that none of these mails has says nothing.
    """
    told, verdict = loose.sender[verdict], np.where(loose.strict[verdict], -1, loose.row[verdict])
    same = (told >= 0) & (told == sender)
    named = np.isin(verdict, verdict[same])
    found: Bools = (told == -1) | (sender < 0) | same | ((verdict >= 0) & ~named)
    return found


def _for_whom(f: Facts, told: Ints, entry: Ints, recipient: Ints | None) -> Bools:
    """Return which verdicts may be for these hand-overs, by the recipient each names (-1: none)."""
    if recipient is not None:
        same: Bools = (told == -1) | (told == recipient)
        return same
    known = np.isin(f.row_entry, entry)
    pairs = [combine(np.r_[f.row_entry[known], entry], np.r_[to[known], told] + 1) for to in (f.recipient, f.asked)]
    size = int(known.sum())
    among = np.isin(pairs[0][size:], pairs[0][:size]) | np.isin(pairs[1][size:], pairs[1][:size])
    found: Bools = (told == -1) | among | ~np.isin(entry, f.row_entry)
    return found


def _counted(group: Ints, value: Ints, size: int) -> Ints:
    """Return how many different values each group has."""
    first = np.unique(combine(group, value), return_index=True)[1]
    return np.bincount(group[first], minlength=size)
