"""A route as text for people and as plain values. What stands in it isn't made safe here but for its lines' ends."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from logscan.amounts import plural
from logscan.report.routed import Seen
from logscan.settings.expanding import Expansion, Passage
from logscan.settings.facts import Fact
from logscan.settings.lookups import Unread
from logscan.settings.resolving import End
from logscan.settings.routes import Leg, Route, Way
from logscan.visible import visible

HOW = {"canonical": "canonical map", "virtual": "virtual alias", "bcc": "copy"}

CANT = "can’t be told: "

MOST_TARGETS = 8
"""Recipients of an alias that a line names; all are followed."""


def as_text(route: Route, seen: Sequence[Seen] | None, more: int, address: str) -> str:
    """Return a route, and what the log saw beside it (None where none was read), as text; control characters as escapes."""
    lines = [f"{route.address}" + (f" (given as {address})" if address.lower() != route.address else "")]
    lines += [f"note: {each}" for each in route.notes]
    for way in route.ways:
        lines += ["", *_once(_way(way))]
    if seen is not None:
        lines += ["", *_seen(seen, more, route)]
    return "\n".join(visible(line) for line in lines)


def _way(way: Way) -> list[str]:
    lines = [f"Mail that comes in by {', '.join(way.entrances)}"]
    inner = [
        *([way.door] if way.door else []),
        *_passage(way.before.passage, way.filter is not None and way.filter.via != "milter"),
    ]
    if way.filter is not None:
        kind = "" if way.filter.kind == "other" else f"{way.filter.kind} by "
        sees = "" if way.filter.via == "milter" else f", as {_names(way.before.passage.ends)}"
        what = "the milter" if way.filter.via == "milter" else "the filter"
        inner.append(f"through {what} {kind}{way.filter.destination}{_at(way.filter.fact)}{sees}")
        inner += [f"  {each.text}{_at(each.fact)}" for each in way.learning]
        if way.filter.via != "milter" and not way.before.passage.trouble:
            inner += _behind(way)
    inner += [line for each in way.before.ends for line in _end(each)]
    inner += [f"{name} gets each such mail {count} times" for name, count in way.several]
    return [*lines, *(f"  {each}" for each in inner)]


def _once(lines: list[str]) -> list[str]:
    """Leave out what can't be told where it was said before: the same table is asked again and again."""
    told: set[str] = set()
    out = []
    for line in lines:
        bare = line.strip()
        if not bare.startswith(CANT) or bare not in told:
            out.append(line)
        told.add(bare)
    return out


def _behind(way: Way) -> list[str]:
    if not way.back_by:
        return ["where the filter hands mail back can’t be told: no service for it is known, or several that differ"]
    lines = [f"back by {way.back_by}"]
    for leg in way.behind:
        lines += [f"  {each}" for each in _leg(leg, len(way.behind) > 1)]
    return lines


def _leg(leg: Leg, several: bool) -> list[str]:
    inner = [*_passage(leg.passage, False), *(line for each in leg.ends for line in _end(each))]
    return [f"{leg.recipient}:", *(f"  {each}" for each in inner)] if several else inner


def _passage(passage: Passage, before_filter: bool) -> list[str]:
    lines = []
    if not passage.mapped:
        where = f"{_at(passage.why)}" if passage.why else ""
        lines.append(f"aliases aren’t expanded {'before the filter' if before_filter else 'here'}{where}")
    lines += [_expansion(each) for each in passage.expansions]
    if passage.trouble:
        lines.append(f"the mail isn’t taken (451 4.6.0 Alias expansion error): {passage.trouble}")
    return lines + _doubts(passage.unread)


def _expansion(each: Expansion) -> str:
    if each.how == "bcc":
        return f"a copy of {each.address} to {each.targets[0]}{_at(each.fact)}"
    return f"{HOW[each.how]}: {each.address} → {_names(each.targets)}{_at(each.fact)}"


def _end(end: End) -> list[str]:
    where = "".join(_at(each) for each in end.facts)
    lines = [f"{end.address}: {end.text}{where}"]
    lines += [f"  {each}" for each in _doubts(end.unread)]
    for name, inner in end.inner:
        below = _end(inner)
        if end.kind == "can't be told":
            below[0] = f"{name}: {inner.text}" + "".join(_at(each) for each in inner.facts)
        elif inner.address != name:
            below[0] = f"{name} → {below[0]}"
        lines += [f"  {each}" for each in below]
    return lines


def _doubts(unread: Iterable[Unread]) -> list[str]:
    return [f"{CANT}what {each.parameter} {each.item} says of {each.key}: {each.why}{_ask(each)}" for each in unread]


def _ask(each: Unread) -> str:
    """Return the command that tells it, where postmap can."""
    name = each.item.split()[0] if each.item else ""
    if ":" not in name or "depends" in each.why or "followed" in each.why:
        return ""
    return f"; postmap -q {shlex.quote(each.key)} {shlex.quote(name)} tells it"


def _at(fact: Fact | None) -> str:
    if fact is None or not fact.file:
        return ""
    return f" ({fact.file}:{fact.line})" if fact.line else f" ({fact.file})"


def _names(names: Sequence[str]) -> str:
    rest = len(names) - MOST_TARGETS
    return ", ".join(names[:MOST_TARGETS]) + (f" and {rest} more" if rest > 0 else "")


def _seen(seen: Sequence[Seen], more: int, route: Route) -> list[str]:
    if not seen:
        return ["In the log: no mail for this address"]
    lines = ["In the log"]
    for each in seen:
        by = " behind the filter" if each.filtered else ""
        times = f", {each.times} times" if each.times != each.mails else ""
        span = (
            f", {each.first[:16].replace('T', ' ')} – {each.last[:16].replace('T', ' ')}"
            if each.first and each.last
            else ""
        )
        lines.append(
            f"  {plural(each.mails, 'mail')}{times}: {each.outcome}{by} to {each.recipient} by {each.relay}{span}"
        )
    return [*lines, *([f"  and {more} more ways"] if more else [])]


def _told(each: Seen, route: Route) -> bool:
    return each.recipient.lower() in route.reached


def as_json(route: Route, seen: Sequence[Seen] | None, more: int) -> dict[str, Any]:
    """Return a route, and what the log saw, as plain values."""
    found: dict[str, Any] = asdict(route)
    for told, way in zip(found["ways"], route.ways, strict=True):
        told["several"] = [{"mailbox": name, "times": count} for name, count in way.several]
    found["log"] = (
        None if seen is None else {"ways": [asdict(each) | {"told": _told(each, route)} for each in seen], "more": more}
    )
    return found
