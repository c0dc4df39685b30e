"""The grammar of queries: ``to:@example.com status:bounced and not (size:>5M or from:news*)``.

Conditions beside each other must all hold; ``and`` binds closer than ``or``, ``not`` closest. Depth and length are bounded
before anything is parsed: whoever may ask shall not be able to exhaust the stack.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime
from typing import Any

import pyparsing as pp

from logscan.query.fields import ALSO, FIELDS
from logscan.query.model import And, Node, Not, Or, QueryError, Term
from logscan.query.values import meant, pattern, value

LONGEST = 4_000
"""Characters that a query may have."""

DEEPEST = 20
"""Brackets within brackets."""

MOST_TERMS = 200
"""Conditions that a query may have."""

TERM = (
    r"""(?P<field>-?[A-Za-z][A-Za-z_-]*):(?P<op>>=|<=|[<>=])?(?:"(?P<quoted>[^"]*)"(?=[\s()]|$)|(?P<bare>[^\s()"]*)(?!"))"""
    r"""|"(?P<phrase>[^"]+)"(?=[\s()]|$)|(?P<word>[^\s()"]+)(?!")"""
)

CONDITION = "a condition such as from:alice@example.com"


def parse(text: str, zone: Any = None, now: datetime | None = None) -> Node:
    """Return the tree of a query; raises :class:`QueryError`, which points at the place.

    Times are in ``zone``; without one they are the server's, and their datetimes have none.
    """
    _bounded(text)
    # One character each, so that places stay what they are: what separates words needn't be a blank.
    plain = re.sub(r"\s", " ", text)
    try:
        found = _grammar().parse_string(plain, parse_all=True)[0]
    except pp.ParseBaseException as error:
        raise _unclear(text, error.loc) from None
    return _Reader(text, zone, now).read(found)


def _bounded(text: str) -> None:
    if len(text) > LONGEST:
        raise QueryError(f"a query has {LONGEST:,} characters at most, and this one {len(text):,}", text, LONGEST)
    if not text.strip():
        raise QueryError(f"an empty query; write {CONDITION}", text, 0)
    opened: list[int] = []
    quoted = False
    for place, sign in enumerate(text):
        quoted ^= sign == '"'
        if quoted:
            continue
        if sign == "(":
            opened.append(place)
        elif sign == ")" and not opened:
            raise QueryError("this bracket has no beginning", text, place)
        elif sign == ")":
            opened.pop()
        if len(opened) > DEEPEST:
            raise QueryError(f"more than {DEEPEST} brackets within each other", text, place)
    if quoted:
        raise QueryError("this quote has no end", text, text.rindex('"'))
    if opened:
        raise QueryError("this bracket has no end", text, opened[-1])


@functools.cache
def _grammar() -> pp.ParserElement:
    """Return the grammar: lists that begin with ``or``, ``and`` or ``not``, and places and texts of conditions."""

    def keyword(word: str) -> pp.ParserElement:
        return pp.Regex(rf"(?i){word}(?=[\s()]|$)").suppress()

    query = pp.Forward()
    word = ~(keyword("and") | keyword("or") | keyword("not")) + pp.Regex(TERM)
    word.set_parse_action(lambda _text, place, found: [("term", place, str(found[0]))])
    inner = pp.Literal("(").suppress() + query + pp.Literal(")").suppress()
    unit = pp.ZeroOrMore(pp.Regex(r"(?i)not(?=[\s()]|$)")) + (inner | word)
    unit.set_parse_action(lambda found: [("not", found[-1])] if len(found) % 2 == 0 else [found[-1]])
    every = unit + pp.ZeroOrMore((keyword("and") - unit) | unit)
    every.set_parse_action(lambda found: [("and", *found)] if len(found) > 1 else [found[0]])
    query <<= every + pp.ZeroOrMore(keyword("or") - every)
    query.set_parse_action(lambda found: [("or", *found)] if len(found) > 1 else [found[0]])
    # Tabs were made blanks already; places are those of the text.
    return query.parse_with_tabs()


class _Reader:
    """Makes the tree, and says of a condition what is wrong with it."""

    def __init__(self, text: str, zone: Any, now: datetime | None) -> None:
        self.text, self.zone, self.now = text, zone, now
        self.count = 0

    def read(self, found: Any) -> Node:
        match found[0]:
            case "term":
                return self.term(found[1], found[2])
            case "not":
                return Not(self.read(found[1]))
            case "and":
                return And(tuple(self.read(each) for each in found[1:]))
            case _:
                return Or(tuple(self.read(each) for each in found[1:]))

    def term(self, place: int, text: str) -> Term:
        place += len(self.text[place:]) - len(self.text[place:].lstrip())
        self.count += 1
        if self.count > MOST_TERMS:
            raise QueryError(f"more than {MOST_TERMS} conditions", self.text, place)
        found = re.fullmatch(TERM, text)
        assert found is not None
        if found["field"] is None:
            return self.free(place, text, found["phrase"])
        name = found["field"].lower()
        field = FIELDS.get(name)
        if field is None:
            raise QueryError(_unknown(name, text), self.text, place, len(name))
        given = found["quoted"] if found["quoted"] is not None else found["bare"]
        start = place + (found.start("quoted") if found["quoted"] is not None else found.start("bare"))
        if not given and found["quoted"] is None:
            raise QueryError(
                f"{name}: needs its value right behind it, without a blank ({field.meaning})",
                self.text,
                place,
                len(text),
            )
        try:
            return Term(name, value(field, found["op"] or "", given, found["quoted"] is not None, self.zone, self.now))
        except ValueError as error:
            raise QueryError(str(error), self.text, start, len(given)) from None

    def free(self, place: int, text: str, phrase: str | None) -> Term:
        """Return a condition without a field."""
        try:
            return Term("", pattern(text if phrase is None else phrase, phrase is not None))
        except ValueError as error:
            raise QueryError(str(error), self.text, place, len(text)) from None


def _unknown(name: str, text: str) -> str:
    """Return what is said of a field that isn't known."""
    if name.startswith("-") and name[1:] in FIELDS:
        return f"for the opposite write not {text[1:]}"
    if name in ALSO:
        hint = f": write {ALSO[name]}:" if ALSO[name] else ""
        if name in ("id", "subject"):
            hint = (
                ": logscan trace finds a mail by its queue ID or message-id"
                if name == "id"
                else ": subjects aren't searched"
            )
        return f"there is no field {name!r}{hint}"
    near = meant(name, FIELDS, ":")
    return f"there is no field {name!r}{near or '; the fields are ' + ', '.join(FIELDS)} (a text with a colon stands in quotes)"


def _unclear(text: str, place: int) -> QueryError:
    """Return the error for a place behind which the grammar doesn't go on."""
    place = min(place, len(text))
    place += len(text[place:]) - len(text[place:].lstrip())
    rest = text[place:]
    if not rest:
        return QueryError(f"the query ends where {CONDITION} is expected", text, len(text))
    if rest[0] == ")":
        before = text[:place].rstrip()
        if before.endswith("("):
            return QueryError(f"nothing stands between the brackets; write {CONDITION}", text, place - 1, 2)
        return QueryError(f"here {CONDITION} is expected", text, place)
    if word := re.match(r"(?i)(?:and|or|not)(?=[\s()]|$)", rest):
        return QueryError(
            f"{word[0]} stands between conditions, or in front of one; in quotes it is a text",
            text,
            place,
            len(word[0]),
        )
    if '"' in rest.split(maxsplit=1)[0]:
        return QueryError('quotes stand around a whole value: reason:"mailbox full"', text, place)
    return QueryError(f"this can't be read; write {CONDITION}", text, place)
