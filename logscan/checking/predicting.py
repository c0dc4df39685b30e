"""Predicts from the configuration alone what must happen to mail that is filtered between two alias expansions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from logscan import remedies
from logscan.findings import Prediction
from logscan.settings.entrances import AddressMapping
from logscan.settings.facts import Fact
from logscan.settings.model import Settings
from logscan.settings.services import Service


@dataclass(frozen=True)
class ExpansionRow:
    """Which row of the table holds: whether aliases are expanded before, and after, a filter like DSPAM."""

    row: Literal["double-expansion", "alias-owns-hash", "right", "never-expanded"]
    before: AddressMapping
    after: AddressMapping
    entrances: tuple[Service, ...]
    reinjection: tuple[Service, ...]
    aliases: tuple[str, ...]
    """The aliases it concerns."""
    bcc: tuple[Fact, ...] = ()
    """The BCC parameters that would act twice."""

    @property
    def fact(self) -> Fact:
        """The one place that shows it best."""
        service = self.reinjection[0] if self.row == "double-expansion" else self.entrances[0]
        told = self.after.fact if self.row == "double-expansion" else self.before.fact
        return told or Fact(service.name, service.file, service.line)


_ROWS: dict[tuple[bool, bool], Literal["double-expansion", "alias-owns-hash", "right", "never-expanded"]] = {
    (False, False): "double-expansion",
    (True, False): "alias-owns-hash",
    (False, True): "right",
    (True, True): "never-expanded",
}


def expansion_prediction(settings: Settings) -> tuple[ExpansionRow, ...]:
    """Return the rows that hold, one for each way in which filtered entrances differ; normally one.

    Only for filters that re-inject one copy per recipient and learn per recipient (DSPAM); empty for others, and where
    the filter doesn't hand mail back to Postfix.
    """
    back = tuple(each.service for each in settings.reinjection())
    per_recipient = {
        key
        for each in settings.filters
        if each.learns_per_recipient and each.reinjects_per_recipient and each.via == "content_filter"
        for key in each.services
    }
    entrances = [each for each in settings.filtered() if each.key in per_recipient]
    if not back or not entrances:
        return ()
    states = [settings.mapping(each) for each in back]
    after = next((each for each in states if not each.off), states[0])
    groups: dict[bool, list[Service]] = {}
    for each in entrances:
        groups.setdefault(settings.mapping(each).off, []).append(each)
    rows: list[ExpansionRow] = []
    for off, services in groups.items():
        row = _ROWS[off, after.off]
        aliases: tuple[str, ...] = ()
        if row == "double-expansion":
            aliases = settings.doubling
        elif off:
            virtual = [each for each in settings.aliases.values() if each.kind == "virtual"]
            aliases = tuple(
                each.address for each in virtual if not each.lists_itself and each.address not in settings.mailboxes
            )
        bcc = settings.bcc if row == "double-expansion" else ()
        rows.append(ExpansionRow(row, settings.mapping(services[0]), after, tuple(services), back, aliases, bcc))
    return tuple(rows)


def predictions(settings: Settings) -> dict[str, list[Prediction]]:
    """Return what the configuration says must happen, by the name of the check; empty where it says nothing.

    The prediction of ``training-misses-hash`` by bare logins needs logins that were seen: the check makes it.
    """
    found: dict[str, list[Prediction]] = {}
    for row in expansion_prediction(settings):
        entrance = ", ".join(each.key for each in row.entrances)
        back = ", ".join(each.key for each in row.reinjection)
        place = row.fact
        if row.row == "double-expansion":
            text = f"Aliases are expanded before the filter ({entrance}) and again after it ({back})"
            cure = remedies.no_address_mappings_after(settings)
            for alias in row.aliases:
                said = f"{text}: mail to {alias} is stored more than once."
                made = Prediction("double-alias-expansion", alias, said, place.file, place.line, cure)
                found.setdefault("duplicate-delivery", []).append(made)
            for fact in row.bcc:
                said = f"{text}: the copies of this BCC setting ({fact.value}) are made twice."
                made = Prediction("double-alias-expansion", fact.value, said, fact.file, fact.line, cure)
                found.setdefault("duplicate-delivery", []).append(made)
        elif row.row in {"alias-owns-hash", "never-expanded"}:
            text = f"no_address_mappings stands before the filter ({entrance})"
            cure = remedies.alias_owns_hash(settings)
            if row.row == "never-expanded":
                text += f" and after it ({back}): virtual aliases are never expanded, and BCC copies stop"
            for alias in row.aliases:
                said = f"{text}: the filter learns mail to {alias} under the alias."
                made = Prediction("alias-not-expanded", alias, said, place.file, place.line, cure)
                found.setdefault("alias-owns-hash", []).append(made)
                people = ", ".join(sorted(settings.expand(alias)))
                said = f"{text}: {people} can't train mail to {alias}."
                made = Prediction("alias-not-expanded", alias, said, place.file, place.line, cure)
                found.setdefault("training-misses-hash", []).append(made)
    return found
