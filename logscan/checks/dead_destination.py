"""An alias, a forward or a list leads to an address that never takes mail.

## What it finds
Addresses that an alias, a `.forward`, a Sieve redirect or a mailing list leads to, and that bounced or put off every mail of some
days: people who left, a provider that is no more, a mistyped member. One finding an address; of a list one for all its members.

## Why it matters
Who writes to the alias gets a bounce for somebody unknown, or the list's owner does, each time; and mail that is meant for one
person only, as root's, reaches nobody.

## What the log shows
`to=<new@elsewhere>, orig_to=<alias@here>` with `status=bounced` (`550 5.1.1 … User unknown`) or `status=deferred` again and
again, or a mail that a script redirected or a list sent on; never `status=sent` for that address since.

## What to do
Take the address out of the map that names it (virtual_alias_maps, aliases(5), `.forward`, the Sieve script) or out of the list's
members, or put the right one in; then `postmap` or `newaliases`.

## When it is wrong
A remote host that is away for days with mail for it coming in looks the same until it is back. Refusals for policy or content
(5.7.x), full mailboxes and loops say nothing against the address and aren't counted. An alias that rewrites a whole domain passes
strangers' guesses on: addresses that only change their domain are one note, and no member of anything.

## When it is blind
When no mail went to an alias, a forward or a list; and of addresses that only failed, but in fewer mails or days than it takes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.amounts import plural
from logscan.checking import evidence as ev
from logscan.checking import indirect
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.correlate.lives import SECOND
from logscan.findings import Finding, Remedy, Result
from logscan.scan.pasts import newest, with_past
from logscan.tables import cells, texts
from logscan.tables.partials import First, Keyed, Partial, Rows

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part

DAY = 24 * 3600 * SECOND

WORDS = {"alias-member": "an alias", "forward": "a forward", "list-member": "a list"}
"""What leads to the address, by cause."""

REWRITTEN = "rewritten-domain"


@dataclass(frozen=True)
class Limits:
    """When an address counts as dead."""

    mails: int = 3
    """Mails that failed one after the other: one or two may have had faults of their own."""
    days: float = 2.0
    """Days from the first of them to the last: another's host that breaks down is mended within two."""
    rewritten: int = 3
    """Dead addresses that differ from what they were addressed to by the domain alone, from which the rewriting of that domain is
    meant: fewer may be members of an alias that happen to keep their name."""


def look(window: Window, settings: Settings) -> Partial:
    """Take what failed by way of another address, and when addresses were reached and addressed last."""
    return Partial(indirect.look_at(window))


PAST_DAYS, MOST_REMEMBERED = 30, 20_000
"""Days that a past tells of, and how many addresses; of failures a tenth as many: their words take more room."""


def remember(partial: Partial, now: int) -> Partial:
    """Return what failed by way of another address, and when these addresses were reached and addressed last."""
    since = now - PAST_DAYS * DAY
    kept: dict[str, Part] = {}
    if indirect.FAILED in partial:
        rows = newest(Rows.of(partial.frame(indirect.FAILED)), "arrived", since, MOST_REMEMBERED // 10).frame
        part = partial.parts[indirect.FAILED]
        assert isinstance(part, First)
        kept[indirect.FAILED] = First.of(rows, part.size, part.by)
    for name, key in ((indirect.REACHED, "target"), (indirect.ASKED, "source")) if kept else ():
        named = indirect.hashed(texts.arrow(partial.frame(indirect.FAILED)[key].astype("str")))[:-1]
        part = partial.parts[name]
        assert isinstance(part, Keyed)
        rows = part.frame[part.frame[key].isin(named)].iloc[:MOST_REMEMBERED]
        kept[name] = Keyed.of(rows, sums=part.sums, most=part.most, once=True)
    return Partial(kept)


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each address that failed every time."""
    allowed = limits(log, "dead-destination", Limits)
    new = partial.frame(indirect.REACHED) if indirect.REACHED in partial else pd.DataFrame()
    own = set(partial.frame(indirect.FAILED)["row"]) if indirect.FAILED in partial else set()
    partial = with_past(partial, log, CHECK.name)
    reached = partial.frame(indirect.REACHED) if indirect.REACHED in partial else new
    seen = reached[reached["target"].isin(new.loc[new["indirect"] > 0, "target"])] if len(new) else new
    result = Result(checked=len(seen), eligible=len(seen))
    if not len(seen):
        _without(result, log)
    if not own:
        return result
    failed = _since_reached(partial.frame(indirect.FAILED), reached)
    by_target = failed.groupby("target")
    many = by_target["mail"].transform("nunique") >= allowed.mails
    long = by_target["at"].transform("max") - by_target["arrived"].transform("min") >= allowed.days * DAY
    dead = failed[many & long & failed["row"].isin(own)]
    # What failed and was never reached, but not often or long enough.
    open_ = (
        int((seen["bad"] > 0).to_numpy()[seen["good"].to_numpy() == 0].sum())
        - dead.loc[dead["never"], "target"].nunique()
    )
    result.checked -= max(open_, 0)
    if len(seen) and (ev.too_few(result) or not result.checked):
        result.blind_because.append(
            f"{plural(open_, 'address', 'addresses')} of {len(seen):,} that aliases, forwards or lists lead to failed and "
            f"{'was' if open_ == 1 else 'were'} never reached, but in fewer than {allowed.mails} mails or {allowed.days:g} days"
        )
    taken_out = _TakenOut(partial)
    for cause, subject, rows in _groups(list(dead.itertuples()), taken_out, allowed):
        result.findings.append(_finding(cause, subject, rows, taken_out.of(cause, rows), log))
    return result


def _without(result: Result, log: Log) -> None:
    settings = log.settings
    unread = any(each.value.startswith(("virtual_alias_maps:", "alias_maps:")) for each in settings.unresolved)
    if settings.known("aliases") and not settings.aliases and not unread:
        result.not_applicable = "There is no alias on this server, and no forward or list shows in its logs."
    else:
        result.blind_because.append("no mail went to an alias, a forward or a list in these logs")


def _since_reached(failed: pd.DataFrame, reached: pd.DataFrame) -> pd.DataFrame:
    """Return the failures behind which the address was never reached again, in order of time; ``never``: nor before.

    Addresses whose counts were left out, of too many, are left out too.
    """
    failed = failed.sort_values(["arrived", "row", "target", "queue_id"], kind="stable", ignore_index=True)
    key = pd.Series(indirect.hashed(texts.arrow(failed["target"]))[:-1], failed.index)
    last = key.map(dict(zip(reached["target"].tolist(), reached["last"].tolist(), strict=True)))
    known = last.notna().to_numpy(dtype=np.bool_)
    reached_at = last.fillna(0).astype("int64").to_numpy()
    failed = failed.assign(never=known & (reached_at == indirect.NEVER))
    kept: pd.DataFrame = failed[known & (failed["arrived"].to_numpy() > reached_at)]
    return kept


class _TakenOut:
    """Tells whether an address was taken out of what led to it: later mail for that didn't fail there."""

    def __init__(self, partial: Partial) -> None:
        asked = partial.frame(indirect.ASKED)
        self.last = dict(zip(asked["source"].tolist(), asked["arrived"].tolist(), strict=True))

    def of(self, cause: str, rows: list[Any]) -> bool:
        """Whether mail for each of the aliases or lists came in after the last that failed: it would have failed too."""
        if cause not in ("alias-member", "list-member"):
            return False
        tried = max(row.arrived for row in rows)
        names = pd.Series(sorted({row.source for row in rows}), dtype="str")
        return all(
            self.last.get(key, indirect.NEVER) > tried for key in indirect.hashed(texts.arrow(names))[:-1].tolist()
        )


def _groups(dead: list[Any], taken_out: _TakenOut, allowed: Limits) -> list[tuple[str, str, list[Any]]]:
    """Return cause, subject and rows of each finding: by address, those of one list, or of a rewritten domain, together."""
    pairs: dict[str, set[str]] = {}
    for row in dead:
        pairs.setdefault(_pair(row), set()).add(row.target)
    by_target: dict[tuple[str, str], list[Any]] = {}
    for row in dead:
        if (pair := _pair(row)) and len(pairs[pair]) >= allowed.rewritten:
            by_target.setdefault((REWRITTEN, pair), []).append(row)
        else:
            by_target.setdefault(("", row.target), []).append(row)
    out: dict[tuple[str, str], list[Any]] = {}
    for (grouped, subject), rows in sorted(by_target.items()):
        causes = Counter(row.cause for row in rows)
        cause = grouped or min(causes, key=lambda each: (-causes[each], each))
        of_list = cause == "list-member" and not taken_out.of(cause, rows)
        out.setdefault((cause, min(row.source for row in rows) if of_list else subject), []).extend(rows)
    return [(*key, sorted(rows, key=lambda row: row.Index)) for key, rows in sorted(out.items())]


def _pair(row: Any) -> str:
    """Return both domains where an alias changes nothing but the domain, else an empty text."""
    (asked, _, before), (local, _, after) = row.source.rpartition("@"), row.target.rpartition("@")
    return f"{before} → {after}" if row.cause == "alias-member" and asked == local else ""


def _finding(cause: str, subject: str, rows: list[Any], given_up: bool, log: Log) -> Finding:
    sources, targets = sorted({row.source for row in rows}), sorted({row.target for row in rows})
    mails = len({row.mail for row in rows})
    if cause == REWRITTEN:
        summary = f"Addresses that are rewritten from {subject} don't exist: {ev.mails(mails, len(rows))}"
    else:
        how_many = ev.mails(mails, len(rows))
        summary = f"Mail that {WORDS[cause]} ({_some(sources)}) leads to {_some(targets)} never arrives: {how_many}"
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{summary}; later mail for {sources[0]} isn't sent there any more" if given_up else summary,
        severity="note" if cause == REWRITTEN else "warning",
        confidence="high" if all(row.unknown for row in rows) else "medium",
        count=len(rows),
        cases=[
            {
                "message_id": row.message_id or None,
                "recipient": row.target,
                "alias": row.source,
                "queue_id": row.queue_id,
                "time": cells.iso(pd.Timestamp(row.arrived, tz="UTC")),
            }
            for row in rows
        ],
        first=cells.moment(pd.Timestamp(min(row.arrived for row in rows), tz="UTC")),
        last=cells.moment(pd.Timestamp(max(row.at for row in rows), tz="UTC")),
        state="mended" if given_up else "active",
        remedy=None if given_up else _remedy(cause, targets, sources, log),
        evidence=lines_at(log, [row.row for row in rows]),
        why=f"The last answer: {cells.text(rows[-1].reply)}",
        mails=mails,
        recipients=len(rows),
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _remedy(cause: str, targets: list[str], sources: list[str], log: Log) -> Remedy:
    """Return where the address is named, as far as the configuration tells."""
    if cause == REWRITTEN:
        return Remedy(
            "Nobody needs these addresses: refuse what doesn't exist in the dialogue. List the addresses one by one in "
            "virtual_alias_maps instead of the whole domain, or let reject_unverified_recipient ask the next host.",
            key="dead-destination-rewritten",
        )
    if cause == "list-member":
        return Remedy(f"Take {', '.join(targets)} out of the members of {_some(sources)}.", key="dead-destination-list")
    subject = targets[0]
    for source in sources:
        alias = log.settings.alias(source)
        if alias is not None and subject in {*alias.targets, *log.settings.expand(source)}:
            rebuild = "newaliases" if alias.kind == "local" else f"postmap {alias.fact.file}"
            return Remedy(
                f"{alias.fact.file}, line {alias.fact.line}: take {subject} out of {alias.address}, or put the right address in; "
                f"then `{rebuild}`.",
                alias.fact.file,
                alias.fact.line,
            )
    if cause == "forward":
        return Remedy(
            f"Ask {_some(sources)} to take {subject} out of the forward: ~/.forward, or the Sieve script "
            "(`doveadm sieve get -u USER NAME`).",
            key="dead-destination-forward",
        )
    return Remedy(
        f"Look for {subject} where {_some(sources)} is expanded (`postmap -q ADDRESS` on each map that `postconf "
        "virtual_alias_maps alias_maps` names), and take it out or put the right address in; then `postmap` or `newaliases`.",
        key="dead-destination-alias",
    )


CHECK = Check(
    "dead-destination",
    "An alias, forward or list leads to a dead address",
    look,
    conclude,
    remember=remember,
    causes=(*WORDS, REWRITTEN),
    order=130,
    clear="No alias, forward or list leads to a dead address ({checked:address|addresses} looked at)",
    but="but for {noted:mail|mails} to addresses of a rewritten domain",
    group="arrival",
    severity="warning",
    needs=("Postfix's deliveries with orig_to=, redirects and lists",),
    related=("mail-stuck", "mailbox-refused", "forwarder-refused"),
    limits=Limits,
)
