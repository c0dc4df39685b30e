"""Mends where aliases are expanded: before the filter, and not again after it."""

from __future__ import annotations

from logscan.remedies.plan import RELOAD, Change, Plan, not_shown
from logscan.remedies.steps import append_item, drop_item
from logscan.settings import Settings
from logscan.verdict import Remedy

MAPPINGS = "no_address_mappings"
OPTIONS = "receive_override_options"

_ONCE = (
    "Canonical maps, masquerading and automatic BCC copies are switched by the same option: they too are then applied "
    "once, before the filter."
)


def _merge_after(settings: Settings) -> list[Change] | None:
    """Return the steps that switch address mapping off after the filter; None where the service isn't known."""
    services = [each.service for each in settings.reinjection()]
    if not services:
        return None
    return [append_item(settings, each, OPTIONS, MAPPINGS) for each in services if not settings.mapping(each).off]


def _remove_before(settings: Settings) -> tuple[list[Change], list[str]]:
    """Return the steps that switch it on again before the filter, and what has to be said in words."""
    changes: list[Change] = []
    words: list[str] = []
    for service in settings.filtered():
        state = settings.mapping(service)
        if state.how == "receive_override_options":
            changes.append(drop_item(settings, service, OPTIONS, MAPPINGS))
        elif state.how == "cleanup":
            name = service.get("cleanup_service_name")
            words.append(
                f"{service.key} uses the cleanup service {name}, which has virtual_alias_maps switched off: let it use "
                "one that has not."
            )
    return changes, words


def no_address_mappings_after(settings: Settings) -> Remedy:
    """Return the remedy for double expansion: no_address_mappings merged into the re-injection service's options."""
    changes = _merge_after(settings)
    if changes is None:
        text = (
            "Add no_address_mappings to the receive_override_options of the smtpd service that the filter hands mail "
            "back to (in the one -o receive_override_options that it has: a second one would replace the first)."
        )
        return Remedy(f"{text} {_ONCE} {RELOAD}")
    if not changes:
        return not_shown(settings, "no_address_mappings stands after the filter already")
    text = (
        "Expand aliases only before the filter: merge no_address_mappings into the options of the re-injection service."
    )
    return Plan(settings, changes).remedy(text, f"{_ONCE} {RELOAD}")


def no_address_mappings_before(settings: Settings) -> Remedy:
    """Return the remedy that takes no_address_mappings away before the filter.

    Alone it is right only where no_address_mappings stands after the filter already.
    """
    changes, words = _remove_before(settings)
    if not changes and not words:
        return _not_before(settings)
    text = "Expand aliases before the filter: take no_address_mappings out of the options of the services that filter."
    return Plan(settings, changes if not words else []).remedy(text, " ".join((*words, RELOAD)))


def _not_before(settings: Settings) -> Remedy:
    if settings.filtered():
        return not_shown(settings, "no_address_mappings does not stand before the filter")
    text = (
        "Add no_address_mappings to the receive_override_options of the smtpd service that the filter hands mail back "
    )
    text += "to, then take it out of those of the service with the content_filter. Each service has one -o "
    return Remedy(f"{text}receive_override_options: a second one would replace the first. {RELOAD}")


def alias_owns_hash(settings: Settings) -> Remedy:
    """Return both steps as one: merge after the filter, then remove before it."""
    after = _merge_after(settings)
    before, words = _remove_before(settings)
    if not before and not words:
        return _not_before(settings)
    learned = (
        "What was learned under the alias can be given to the people behind it with dspam_merge, or is learned again "
        "as they train. The alias's own dictionary may go when its signatures have expired."
    )
    if after is None:
        first = no_address_mappings_after(settings)
        text = f"First: {first.text} Then take no_address_mappings away before the filter."
        return Remedy(" ".join((text, *words, learned)))
    text = "Expand aliases before the filter and no more after it: merge no_address_mappings into the options of the "
    text += "re-injection service, then take it away before the filter."
    return Plan(settings, [*after, *before] if not words else []).remedy(text, " ".join((*words, learned, RELOAD)))
