"""What filters and the checks of senders said: verdicts, DKIM, DMARC and SPF results, trainings, filters' troubles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from logscan.report import by_key
from logscan.report.by_key import ByKey
from logscan.report.model import Listing
from logscan.report.tallies import folded, groups
from logscan.scan import trainings
from logscan.scan.columns import column, joined, number, of, values
from logscan.scan.trainings import CALLS
from logscan.tables.coded import Coded
from logscan.tables.partials import Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part

METHODS = {"opendkim": "DKIM", "opendmarc": "DMARC", "policyd-spf": "SPF"}
"""What a milter or policy service checks."""

SYMBOLS = re.compile(r"\b(?:R_(SPF|DKIM)|(DMARC_POLICY|DMARC|ARC))_([A-Z]+)\b")
"""rspamd's symbols of its modules spf, dkim, dmarc and arc (R_SPF_ALLOW, R_DKIM_NA, DMARC_POLICY_REJECT, ARC_NA ...)."""

GOOD = frozenset({"pass", "signed", "allow", "no error", "success", "success (no bits set)"})


AUTOLEARNED = "autolearned"
"""The outcome of a training that nobody called for."""

BARE = "(the line says no more)"

VERDICTS = ByKey(
    "verdicts",
    "Verdicts",
    "What the filters said, by result as each names it: DSPAM speaks for each recipient, amavis, rspamd and spamd for "
    "each mail. Tagged are those by which a mail was marked or kept back as spam.",
    by=("filter", "result"),
    numbers=("verdicts", "tagged", "mails"),
)
DOMAINS = ByKey(
    "authentication-domains",
    "Domains that don't pass",
    "Results of DKIM, DMARC and SPF other than pass, by domain.",
    by=("domain", "check", "result"),
    numbers=("times",),
)
MILTERS = ByKey(
    "milters",
    "Greylisting and other services",
    "What policy services and other milters answered.",
    by=("service", "result"),
    numbers=("times", "clients"),
)
TRAININGS = ByKey(
    "trainings",
    "Training",
    "Calls by which filters were trained, by what became of them; missed: no such signature under that user.",
    by=("filter", "outcome", "class"),
    numbers=("calls", "users"),
)
TROUBLES = ByKey(
    "filter-errors",
    "Filters' troubles",
    "What filters reported of themselves, by kind and text (numbers folded).",
    by=("filter", "kind", "text"),
    numbers=("times", "first", "last"),
)


def look(window: Window) -> dict[str, Part]:
    """Return what a window counts for the lists of what was judged."""
    return {
        **_verdicts(window),
        **_authentication(window),
        **_milters(window),
        **_trainings(window),
        **_troubles(window),
    }


def listings(partial: Partial, log: Log) -> Iterable[Listing]:
    """Return the lists of what was judged."""
    yield from by_key.listings((VERDICTS,), partial, log.zone)
    yield _authenticated(partial)
    yield from by_key.listings((DOMAINS, MILTERS, TRAININGS, TROUBLES), _trained(partial), log.zone)


def _verdicts(window: Window) -> dict[str, Part]:
    if not len(window.verdicts):
        return {}
    columns = (joined(window, "verdicts", "filter"), joined(window, "verdicts", "result"))
    sums = {"verdicts": None, "tagged": values(window, "verdicts", "spam")}
    return VERDICTS.look(columns, sums, {"mails": joined(window, "verdicts", "message_id")})


def _authentication(window: Window) -> dict[str, Part]:
    """Count DKIM, DMARC and SPF results: of milters and policy services (by domain too), and of rspamd's symbols."""
    milter = column(window, "milters", "filter")
    result, domain = column(window, "milters", "result"), column(window, "milters", "domain")
    rows = np.flatnonzero(milter.is_in(*METHODS) & (result.codes >= 0))
    method = milter.take(rows).changed(lambda name: METHODS.get(name, name))
    plain = result.take(rows).changed(str.lower)
    by = groups(method, plain)
    counts = [(*by.name(at), count) for at, count in enumerate(by.count().tolist())] + _rspamd(window)
    check, word, times = zip(*counts, strict=True) if counts else ((), (), ())
    told = {
        "check": pa.array(check, pa.string()),
        "result": pa.array(word, pa.string()),
        "times": np.array(times, np.int64),
    }
    bad = ~plain.is_in(*GOOD)
    domains = (domain.take(rows[bad]), method.take(bad), plain.take(bad))
    return {"authentication": Keyed.of(told, sums=("times",)), **DOMAINS.look(domains, {"times": None})}


def _authenticated(partial: Partial) -> Listing:
    """Return the results check by check, the most frequent first."""
    rows: list[tuple[str, str, int]] = []
    if "authentication" in partial:
        frame = partial.frame("authentication")
        listed = zip(frame["check"].tolist(), frame["result"].tolist(), frame["times"].tolist(), strict=True)
        rows = sorted(listed, key=lambda row: (row[0], -row[2], row[1]))
    return Listing(
        "authentication",
        "DKIM, DMARC and SPF",
        "Results of the checks of senders, as OpenDKIM, OpenDMARC, the SPF policy services and rspamd log them; one mail "
        "may have several signatures.",
        ("check", "result", "times"),
        tuple(rows),
        len(rows),
    )


def _rspamd(window: Window) -> list[tuple[str, str, int]]:
    """Return how often rspamd's symbols told which result: method, result, times."""
    rows = np.flatnonzero(joined(window, "verdicts", "filter").is_in("rspamd"))
    if not len(rows):
        return []
    symbols = joined(window, "verdicts", "status").take(rows)
    times = np.bincount(symbols.codes[symbols.codes >= 0], minlength=len(symbols.values))
    return [
        (plain or other.removesuffix("_POLICY"), word.lower(), count)
        for count, value in zip(times.tolist(), symbols.values, strict=True)
        for plain, other, word in SYMBOLS.findall(value)
    ]


def _milters(window: Window) -> dict[str, Part]:
    """Count what the other milters and policy services did: greylisting and the like."""
    if not len(window.tables["milters"]):
        return {}
    milter = column(window, "milters", "filter")
    rows = np.flatnonzero(~milter.is_in(*METHODS) & (milter.codes >= 0))
    columns = (milter.take(rows), column(window, "milters", "result").take(rows))
    return MILTERS.look(columns, {"times": None}, {"clients": column(window, "milters", "client_address").take(rows)})


def _trainings(window: Window) -> dict[str, Part]:
    """Keep the calls of users, of which copies may lie in other windows, and count what filters learned by themselves."""
    if not len(window.tables["trainings"]):
        return {CALLS: trainings.look(window)}
    alone = np.flatnonzero(column(window, "trainings", "outcome").is_in(AUTOLEARNED))
    return {CALLS: trainings.look(window), **_calls(lambda name: column(window, "trainings", name).take(alone))}


def _calls(told: Callable[[str], Coded]) -> dict[str, Part]:
    """Count calls, of which ``told`` gives a column by name."""
    return TRAININGS.look((told("filter"), told("outcome"), told("class")), {"calls": None}, {"users": told("user")})


def _trained(partial: Partial) -> Partial:
    """Return the partial with the calls of users counted too."""
    if CALLS not in partial:
        return partial
    calls = trainings.told(partial.frame(CALLS))
    return partial + Partial(_calls(lambda name: of(calls[name])))


def _troubles(window: Window) -> dict[str, Part]:
    if not len(window.tables["filter_errors"]):
        return {}
    name, kind, text = (column(window, "filter_errors", each) for each in ("filter", "kind", "text"))
    said = Coded(np.where(text.codes < 0, len(text.values), text.codes), [*text.values, BARE])
    columns = (name, kind, folded(said.changed(lambda value: value or BARE)))
    return TROUBLES.look(columns, {"times": None}, times=number(window, "filter_errors", "time"))
