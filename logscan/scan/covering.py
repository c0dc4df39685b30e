"""Whether the log of a filter at the door covers the times at which mail came in, and which services it spares.

A filter at the door (a milter, a before-queue proxy) leaves nothing in Postfix's log: what its own log doesn't tell is unknown,
but for the times at which that log was alive. Those are kept as stretches of time by host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.correlate.codes import factorise, matched
from logscan.scan import coded
from logscan.scan.aliases import through_filter
from logscan.scan.coded import Coded
from logscan.scan.hops import filter_hops
from logscan.scan.memo import per_window
from logscan.tables import cells, columns, texts
from logscan.tables.grouping import by_code
from logscan.tables.partials import Keyed, Mergeable, Partial
from logscan.tables.spans import NEVER, Spans

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEAR = 30 * 60 * 10**9
"""A filter that judged a mail that long (ns) before and after another was alive meanwhile."""

FAR = 24 * 3600 * 10**9
"""Nor does its log's silence tell anything further away than that."""

KEPT_WORDS = ("Ok, discarded", "BLOCKED", "Reject, id=")
"""What :data:`KEPT` matches holds one of them."""

KEPT = r"^2\d\d (?:\d\.\d\.\d )?(?:Ok, discarded|BLOCKED)|Reject, id="
"""What amavis and Proxmox answer to a mail that they keep back (Amavis.pm, one_response_for_all(); PMG's pmg-smtp-filter)."""


@per_window
def at_door(window: Window) -> Bools:
    """Return which verdicts were given on an entry at its door, not during a hand-over."""
    verdicts, deliveries = window.verdicts, window.deliveries
    if not len(verdicts):
        return np.zeros(0, np.bool_)
    entry = verdicts["entry"].to_numpy()
    handed = np.zeros(len(window.entries) + 1, np.bool_)
    handed[deliveries["entry"].to_numpy()[filter_hops(window)]] = True
    handed |= np.append(through_filter(window), False)
    handed[-1] = False
    kept = deliveries["verdict_row"].to_numpy()[said_kept(window)]
    found: Bools = (entry >= 0) & ~handed[entry] & ~texts.equal(verdicts["filter"], "dspam")
    found[kept[kept >= 0]] = False
    return found


@per_window
def said_kept(window: Window) -> Bools:
    """Return which deliveries ended in a filter behind the queue, by its own words."""
    deliveries = window.deliveries
    found = matched(texts.arrow(deliveries["reply"]), KEPT, contains=KEPT_WORDS)
    if found.any():
        found &= ~texts.equal(deliveries["program"], "discard")
    return found


@per_window
def look(window: Window) -> dict[str, Mergeable]:
    """Return the parts from which :class:`Covering` is made. For look."""
    entries = window.entries
    told = np.unique(window.verdicts["entry"].to_numpy()[at_door(window)])
    judged = np.zeros(len(entries), np.bool_)
    judged[told] = True
    came_back = coded.of(entries["leg"]).equal("filter", "forward", "redirect", "list", "bounce", "requeue")
    outside = coded.of(entries["origin"]).equal("outside")
    strange = outside & entries["queued"].to_numpy(dtype=np.bool_) & ~came_back & ~judged
    return {
        "covering.tags": _tags(window, told),
        "covering.spoke": _spans(window, np.flatnonzero(judged)),
        "covering.silent": _spans(window, np.flatnonzero(strange)),
    }


def _service_tags(window: Window, rows: Ints) -> tuple[Ints, list[str | None]]:
    """Return the tag of the service that some entries came in by, ``postfix/smtpd``, by code; missing without either part."""
    service, program = (coded.of(window.entries[name]) for name in ("service", "program"))
    wide = len(program.words) + 1
    once, code = np.unique((service.codes[rows] + 1) * wide + program.codes[rows] + 1, return_inverse=True)
    names = [[None, *each.words.to_pylist()] for each in (service, program)]
    parts = [(names[0][at // wide], names[1][at % wide]) for at in once.tolist()]
    return code, [f"{first}/{second}" if first is not None and second is not None else None for first, second in parts]


def free_tags(window: Window, settings: Settings, rows: Ints) -> Coded:
    """Return the tags of the services that some entries came in by, as :func:`free_by_configuration`; else empty."""
    code, tags = _service_tags(window, rows)
    free = free_by_configuration(settings)
    (place,), words = factorise([pa.array([tag if tag in free else "" for tag in tags], pa.string())])
    return Coded(place[code], words)


def _tags(window: Window, rows: Ints) -> Keyed:
    """Return the tags of the services that some entries came in by."""
    return Keyed.of(pd.DataFrame({"tag": texts.series(pa.array(_service_tags(window, rows)[1], pa.string()))}))


def _spans(window: Window, rows: Ints) -> Spans:
    """Return the stretches in which some entries began (:class:`logscan.tables.spans.Spans`), by host."""
    host = coded.of(window.entries["host"])
    code, time = host.codes[rows], np.maximum(cells.ns(window.entries["first"])[rows], NEVER)
    order = np.lexsort((time, code))
    code, time = code[order], time[order]
    first = np.ones(len(code), np.bool_)
    first[1:] = (code[1:] != code[:-1]) | (time[1:] - time[:-1] > NEAR)
    last = np.append(first[1:], True)[: len(code)]
    frame = {"host": coded.told(host.words, code[first]), "begin": time[first], "end": time[last]}
    return Spans(columns.of_frame(pd.DataFrame(frame, copy=False)), NEAR)


def free_by_configuration(settings: Settings) -> frozenset[str]:
    """Return the tags of the services that, by the configuration, have no filter at the door; none where that isn't at hand."""
    if not (settings.known("postfix") and settings.known("master")):
        return frozenset()
    judges = {
        key for setup in settings.filters if setup.via in ("milter", "smtpd_proxy_filter") for key in setup.services
    }
    with_filter = {each.tag for each in settings.entrances() if each.key in judges}
    return frozenset(each.tag for each in settings.entrances()) - with_filter


class Covering:
    """What all windows tell of the times at which filters at the door were alive, and of whom they spare. For conclude."""

    def __init__(self, partial: Partial, settings: Settings) -> None:
        # The configuration isn't believed of a service of whose mail some was judged at the door all the same.
        self.free = free_by_configuration(settings) - set(partial.frame("covering.tags")["tag"])
        self.spoke, self.silent = partial.frame("covering.spoke"), partial.frame("covering.silent")

    def spared(self, tag: pd.Series) -> Bools:
        """Return which rows came in by a service that has no filter at the door (tag as of :func:`tags`)."""
        found: Bools = tag.isin(self.free).to_numpy(dtype=np.bool_)
        return found

    def covered(self, host: pd.Series, time: Ints) -> Bools:
        """Return at which times (UTC ns) the filters' log was alive, on that host.

        Alive is a log that tells of other mails shortly before and after; or further away, as long as no mail from outside
        came in meanwhile of which it says nothing.
        """
        out = np.zeros(len(time), np.bool_)
        codes, names = pd.factorize(host)
        spoke, silent = dict(iter(self.spoke.groupby("host"))), dict(iter(self.silent.groupby("host")))
        for code, mine in by_code(codes, np.ones(len(time), np.bool_)).items():
            if code >= 0 and names[code] in spoke:
                out[mine] = _alive(time[mine], spoke[names[code]], silent.get(names[code], self.silent.iloc[:0]))
        return out


def _alive(time: Ints, spoke: pd.DataFrame, silent: pd.DataFrame) -> Bools:
    """Return at which times a log was alive that spoke in some stretches, and was silent about mails in others.

    Stretches of silence are no shorter than their mails are apart: one that covers a gap of speech has a mail in it.
    """
    low, high = np.iinfo(np.int64).min // 2, np.iinfo(np.int64).max // 2
    begin, end = np.sort(spoke["begin"].to_numpy()), np.sort(spoke["end"].to_numpy())
    after = np.searchsorted(begin, time, "right")
    before = np.append(end, low)[np.where(after > 0, after - 1, -1)]
    behind = np.append(begin, high)[np.minimum(after, len(begin))]
    amid = before > time
    near = (time - before <= NEAR) & (behind - time <= NEAR)
    began = np.searchsorted(np.sort(silent["begin"].to_numpy()), behind, "left")
    ended = np.searchsorted(np.sort(silent["end"].to_numpy()), before, "right")
    far = np.minimum(time - before, behind - time) <= FAR
    found: Bools = amid | near | (far & ~(began > ended))
    return found
