"""What filters and the checks of senders said: verdicts, DKIM, DMARC and SPF results, trainings, filters' troubles."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from logscan.report.model import Listing
from logscan.report.tallies import Coded, column, folded, groups, number, of
from logscan.scan.trainings import trainings

if TYPE_CHECKING:
    from logscan.scan.window import Window

METHODS = {"opendkim": "DKIM", "opendmarc": "DMARC", "policyd-spf": "SPF"}
"""What a milter or policy service checks."""

SYMBOLS = re.compile(r"\b(?:R_(SPF|DKIM)|(DMARC_POLICY|DMARC|ARC))_([A-Z]+)\b")
"""rspamd's symbols of its modules spf, dkim, dmarc and arc (R_SPF_ALLOW, R_DKIM_NA, DMARC_POLICY_REJECT, ARC_NA ...)."""

GOOD = frozenset({"pass", "signed", "allow", "no error", "success", "success (no bits set)"})


def listings(scan: Window) -> Iterable[Listing]:
    """Return the lists of what was judged."""
    yield from _verdicts(scan)
    yield from _authentication(scan)
    yield from _milters(scan)
    yield from _trainings(scan)
    yield from _troubles(scan)


def _verdicts(scan: Window) -> Iterable[Listing]:
    verdicts = scan.verdicts
    if verdicts.empty:
        return
    spam = verdicts["spam"].fillna(False).to_numpy(dtype=np.bool_)
    by = groups(of(verdicts["filter"]), of(verdicts["result"]))
    listed, total = by.rows(by.count(), by.count(spam), by.distinct(of(verdicts["message_id"]).codes))
    yield Listing(
        "verdicts",
        "Verdicts",
        "What the filters said, by result as each names it: DSPAM speaks for each recipient, amavis, rspamd and spamd for "
        "each mail. Tagged are those by which a mail was marked or kept back as spam.",
        ("filter", "result", "verdicts", "tagged", "mails"),
        listed,
        total,
    )


def _authentication(scan: Window) -> Iterable[Listing]:
    """Return DKIM, DMARC and SPF results by domain: of milters and policy services, and of rspamd's symbols."""
    milter = column(scan, "milters", "filter")
    result, domain = column(scan, "milters", "result"), column(scan, "milters", "domain")
    rows = np.flatnonzero(milter.is_in(*METHODS) & (result.codes >= 0))
    counts: dict[tuple[str, str], int] = {}
    if len(rows):
        method = milter.take(rows).changed(lambda name: METHODS.get(name, name))
        plain = result.take(rows).changed(str.lower)
        by = groups(method, plain)
        for at, count in enumerate(by.count().tolist()):
            name = by.name(at)
            counts[name[0], name[1]] = counts.get((name[0], name[1]), 0) + count
    for (method_name, word), count in _rspamd(scan).items():
        counts[method_name, word] = counts.get((method_name, word), 0) + count
    if not counts:
        return
    listed = tuple((*key, count) for key, count in sorted(counts.items(), key=lambda item: (item[0][0], -item[1])))
    yield Listing(
        "authentication",
        "DKIM, DMARC and SPF",
        "Results of the checks of senders, as OpenDKIM, OpenDMARC, the SPF policy services and rspamd log them; one mail "
        "may have several signatures.",
        ("check", "result", "times"),
        listed,
        len(listed),
    )
    if not len(rows):
        return
    bad = ~plain.is_in(*GOOD)
    by = groups(domain.take(rows[bad]), method.take(bad), plain.take(bad))
    listed, total = by.rows(by.count())
    if listed:
        yield Listing(
            "authentication-domains",
            "Domains that don't pass",
            "Results of DKIM, DMARC and SPF other than pass, by domain.",
            ("domain", "check", "result", "times"),
            listed,
            total,
        )


def _rspamd(scan: Window) -> dict[tuple[str, str], int]:
    """Return how often rspamd's symbols told which result, by method and result."""
    verdicts = scan.verdicts
    symbols = of(verdicts.loc[verdicts["filter"] == "rspamd", "status"])
    times = np.bincount(symbols.codes[symbols.codes >= 0], minlength=len(symbols.values))
    counts: dict[tuple[str, str], int] = {}
    for count, value in zip(times.tolist(), symbols.values, strict=True):
        for plain, other, word in SYMBOLS.findall(value):
            key = (plain or other.removesuffix("_POLICY"), word.lower())
            counts[key] = counts.get(key, 0) + count
    return counts


def _milters(scan: Window) -> Iterable[Listing]:
    """Return what the other milters and policy services did: greylisting and the like."""
    milter = column(scan, "milters", "filter")
    rows = np.flatnonzero(~milter.is_in(*METHODS) & (milter.codes >= 0))
    if not len(rows):
        return
    by = groups(milter.take(rows), column(scan, "milters", "result").take(rows))
    listed, total = by.rows(by.count(), by.distinct(column(scan, "milters", "client_address").codes[rows]))
    yield Listing(
        "milters",
        "Greylisting and other services",
        "What policy services and other milters answered.",
        ("service", "result", "times", "clients"),
        listed,
        total,
    )


def _trainings(scan: Window) -> Iterable[Listing]:
    calls = trainings(scan)
    if calls.empty:
        return
    by = groups(of(calls["filter"]), of(calls["outcome"]), of(calls["class"]))
    listed, total = by.rows(by.count(), by.distinct(of(calls["user"]).codes))
    yield Listing(
        "trainings",
        "Training",
        "Calls by which filters were trained, by what became of them; missed: no such signature under that user.",
        ("filter", "outcome", "class", "calls", "users"),
        listed,
        total,
    )


def _troubles(scan: Window) -> Iterable[Listing]:
    name = column(scan, "filter_errors", "filter")
    if not len(name):
        return
    text = column(scan, "filter_errors", "text")
    bare = "(the line says no more)"
    said = Coded(np.where(text.codes < 0, len(text.values), text.codes), [*text.values, bare]).changed(
        lambda t: t or bare
    )
    by = groups(name, column(scan, "filter_errors", "kind"), folded(said))
    first, last = by.ends(number(scan, "filter_errors", "time"), scan.zone)
    listed, total = by.rows(by.count(), first, last)
    yield Listing(
        "filter-errors",
        "Filters' troubles",
        "What filters reported of themselves, by kind and text (numbers folded).",
        ("filter", "kind", "text", "times", "first", "last"),
        listed,
        total,
    )
