"""Asks a query of rows: which are meant, and of which that can't be told."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.query import words
from logscan.query.fields import FIELDS, OUTCOMES
from logscan.query.model import And, Moment, Node, Not, Number, Or, Pattern, Term, Word
from logscan.query.rows import Rows
from logscan.query.times import nanoseconds

Bools = npt.NDArray[np.bool_]

COMPARED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}


@dataclass(frozen=True)
class Truth:
    """What is known of each row: that it is meant, or that nobody can say; neither: it isn't meant."""

    yes: Bools
    unknown: Bools


@dataclass
class Answer:
    """The rows that are meant, and the mails of which it can't be told, with the fields of which the logs say nothing."""

    rows: Bools
    unclear: npt.NDArray[np.int64]
    """Mails' numbers."""
    why: frozenset[str] = field(default_factory=frozenset)
    """Names of fields."""


def ask(query: Node, rows: Rows, zone: Any) -> Answer:
    """Answer a query; times in it that have no zone are in ``zone``."""
    asked = _Asked(rows, zone)
    truth = asked.truth(query)
    known = np.zeros(len(rows.number), np.bool_)
    known[rows.of[truth.yes]] = True
    unclear = np.zeros(len(rows.number), np.bool_)
    unclear[rows.of[truth.unknown]] = True
    unclear &= ~known
    at = unclear[rows.of] & truth.unknown
    why = frozenset(name for name, mask in asked.unknown if (mask & at).any())
    return Answer(truth.yes, rows.number[unclear], why)


class _Asked:
    def __init__(self, rows: Rows, zone: Any) -> None:
        self.rows, self.zone = rows, zone
        self.unknown: list[tuple[str, Bools]] = []

    def truth(self, node: Node) -> Truth:
        match node:
            case Term():
                found = self.term(node)
                if found.unknown.any():
                    self.unknown.append((node.field, found.unknown))
                return found
            case Not(part):
                truth = self.truth(part)
                return Truth(~truth.yes & ~truth.unknown, truth.unknown)
            case And(parts):
                all_ = [self.truth(each) for each in parts]
                yes = np.logical_and.reduce([each.yes for each in all_])
                possible = np.logical_and.reduce([each.yes | each.unknown for each in all_])
                return Truth(yes, possible & ~yes)
            case Or(parts):
                all_ = [self.truth(each) for each in parts]
                yes = np.logical_or.reduce([each.yes for each in all_])
                return Truth(yes, np.logical_or.reduce([each.unknown for each in all_]) & ~yes)

    def term(self, term: Term) -> Truth:
        value = term.value
        match term.field, value:
            case "", Pattern():
                return self._any(value)
            case "status", Word():
                return Truth(self.rows.outcome == OUTCOMES.index(value.value), self.rows.outcome < 0)
            case "status", Pattern():
                return self._told(self._ends("dsn", words.wholes, value)[0])
            case "reason", Pattern():
                return self._told(self._ends("reply", words.parts, value)[0] & ~self._through())
            case "folder", Pattern():
                yes, missing = self._ends("folder", words.parts, value)
                inside = self.rows.end_numbers("outside") == 0
                return Truth(yes, missing & inside & (self.rows.outcome == OUTCOMES.index("delivered")))
            case "verdict", Word():
                return self._told(self._verdict(value.value))
            case "direction", Word():
                return self._told(self._mail(self.rows.of_mails("direction"), words.equal, value.value)[0])
            case "since" | "until", Moment():
                return self._time(term.field, value)
            case _, Number():
                return self._number(term.field, value)
            case "tls", _:
                return self._untold()
        match = _matching(term)
        if term.field in ("user", "client", "from", "host"):
            return self._handed_in(term.field, match)
        return self._received(term.field, match)

    # What mails say.

    def _mail(self, column: tuple[Any, pa.Array], match: Any, value: Any) -> tuple[Bools, Bools]:
        """Return for each row whether its mail's text is meant, and whether it is missing."""
        codes, known = column
        by_mail = np.append(match(known, value), False)[codes]
        return by_mail[self.rows.of], (codes < 0)[self.rows.of]

    def _handed_in(self, name: str, match: Any) -> Truth:
        columns = {
            "user": ["sasl_username"],
            "client": ["client", "client_address"],
            "from": ["sender"],
            "host": ["host"],
        }
        found = [self._mail(self.rows.of_mails(each), *match) for each in columns[name]]
        yes = np.logical_or.reduce([each[0] for each in found])
        missing = np.logical_and.reduce([each[1] for each in found]) & ~yes
        if name in ("user", "client"):
            # A mail that was handed in by a local program has none; one that began before the log may have had one.
            missing &= (self.rows.mail_numbers("opened_before") > 0)[self.rows.of]
        return Truth(yes, missing)

    # What ends say.

    def _ends(self, name: str, match: Any, value: Any) -> tuple[Bools, Bools]:
        codes, known = self.rows.of_ends(name)
        return np.append(match(known, value), False)[codes], codes < 0

    def _through(self) -> Bools:
        """Return which rows' last attempt got through: their replies say where the mail went, and aren't kept by a state."""
        return self._ends("status", words.equal, "sent")[0]

    def _received(self, name: str, match: Any) -> Truth:
        columns = {"to": ["recipient", "original_recipient", "mailbox"], "rcpt": ["recipient"]}
        if name == "mailbox":
            yes, missing = self._ends("mailbox", *match)
            outside = self.rows.end_numbers("outside") == 1
            return Truth(yes & ~outside, missing & ~outside)
        if name == "relay":
            return self._told(self._ends("relay", *match)[0])
        found = [self._ends(each, *match) for each in columns[name]]
        yes = np.logical_or.reduce([each[0] for each in found])
        return Truth(yes, found[0][1] & ~yes)

    def _verdict(self, word: str) -> Bools:
        spam = self.rows.end_numbers("spam")
        return np.isnan(spam) if word == "unknown" else spam == (word == "spam")

    def _any(self, value: Pattern) -> Truth:
        """Return what a text without a field means: an address of either side, a login, or a client."""
        terms = [Term(name, value) for name in ("from", "to", "user", "client")]
        found = [self.term(each) for each in terms]
        # That one of them is missing makes nothing unclear unless there is no address at all.
        yes = np.logical_or.reduce([each.yes for each in found])
        return Truth(yes, (found[0].unknown | found[1].unknown) & ~yes)

    # Amounts and times.

    def _number(self, name: str, value: Number) -> Truth:
        compare = COMPARED[value.op]
        if name == "score":
            at, score = self.rows.scores()
            some, known = (np.zeros(len(self.rows.number), np.bool_) for _ in range(2))
            some[at[compare(score, value.value)]] = True
            known[at] = True
            return Truth(some[self.rows.of], ~known[self.rows.of])
        amount = self.rows.mail_numbers("size")[self.rows.of] if name == "size" else self.rows.delays()
        return Truth(compare(amount, value.value), np.isnan(amount))

    def _time(self, name: str, value: Moment) -> Truth:
        first = self.rows.first()[self.rows.of]
        missing = first == np.iinfo(np.int64).min
        at = nanoseconds(value.time, self.zone)
        yes = (first >= at if name == "since" else first < at) & ~missing
        return Truth(yes, missing)

    def _told(self, yes: Bools) -> Truth:
        return Truth(yes, np.zeros(len(yes), np.bool_))

    def _untold(self) -> Truth:
        return Truth(np.zeros(len(self.rows), np.bool_), np.ones(len(self.rows), np.bool_))


def _matching(term: Term) -> tuple[Any, Any]:
    """Return what tells which words are meant, and its value."""
    if isinstance(term.value, Word):
        return words.within, term.value.value
    return (words.addresses if FIELDS[term.field].kind == "address" else words.names), term.value
