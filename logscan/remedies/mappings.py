"""Mends where aliases are expanded: before the filter, and not again after it.

Both sides are looked at in the configuration given before anything is printed. With no_address_mappings on both, aliases
are never expanded and people get nothing, and ``postfix check`` says nothing of it.
"""

from __future__ import annotations

from dataclasses import replace

from logscan.findings import Remedy
from logscan.remedies.plan import RELOAD, Change, Plan, not_shown
from logscan.remedies.sides import sides
from logscan.remedies.steps import append_item, drop_item
from logscan.settings import Service, Settings, split_list

MAPPINGS = "no_address_mappings"
OPTIONS = "receive_override_options"
AFTER = "aliases-once"
BEFORE = "aliases-before-filter"

_ONCE = (
    "Canonical maps, masquerading and automatic BCC copies are switched by the same option: they too are then applied "
    "once, before the filter. Programs that hand in mail at the re-injection service themselves get no aliases expanded."
)
_LEARNED = (
    "What was learned under the alias can be given to the people behind it with dspam_merge, or is learned again as "
    "they train. The alias's own dictionary may go when its signatures have expired."
)
_ONE_EACH = "Each service has one -o receive_override_options in force: a second one would replace the first."
_NEVER = "with no_address_mappings on both sides aliases are never expanded: mail to them bounces or reaches nobody"


def no_address_mappings_after(settings: Settings) -> Remedy:
    """Return the remedy for double expansion: no_address_mappings merged into the re-injection service's options."""
    if not settings.known("master"):
        text = (
            "See with postconf -P that no_address_mappings stands on neither side of the filter. Then add it to the "
            "receive_override_options of the smtpd service that the filter hands mail back to (in the one -o "
            f"receive_override_options that it has: a second one would replace the first). Not on both sides: {_NEVER}."
        )
        return Remedy(f"{text} {_ONCE} {RELOAD}", key=AFTER)
    both = sides(settings)
    off = [each for each in both.front if settings.mapping(each).off]
    on = [each for each in both.back if not settings.mapping(each).off]
    if both.doubt:
        words = "" if not off else f" {_names(off)} has no_address_mappings already: {_NEVER}."
        text = f"Let aliases be expanded on one side of the filter only.{words} {both.doubt} {_ONE_EACH}"
        return Remedy(f"{text} {RELOAD}", key=AFTER)
    if not both.front:
        return not_shown(settings, "no service passes mail to a content_filter", AFTER)
    if not on and not off:
        return not_shown(settings, "no_address_mappings stands after the filter already", AFTER)
    if off and len(off) == len(both.front):
        said = f"no_address_mappings stands before the filter already ({_names(off)})"
        more = f"Don't add it behind the filter too: {_NEVER}."
        if not on:
            said = f"no_address_mappings stands on both sides of the filter ({_names([*off, *both.back])})"
            more = f"If it is in force, take it away before the filter: {_NEVER}."
        told = not_shown(settings, said, AFTER)
        return replace(told, text=f"{told.text} {more}")
    if off:
        text = (
            f"Some services pass mail to the filter with no_address_mappings ({_names(off)}), others without. Take it "
            f"away there before it is added behind the filter: {_NEVER}. {empty_queue_words(settings, off)}"
        )
        return Remedy(text, key=AFTER)
    changes = [append_item(settings, each, OPTIONS, MAPPINGS) for each in on]
    text = (
        "Expand aliases only before the filter: merge no_address_mappings into the options of the re-injection service."
    )
    text += f" It doesn't stand before it ({_names(both.front)}); never have it on both sides."
    return replace(
        Plan(settings, changes).remedy(text, f"{_ONCE} {RELOAD}", key=AFTER), again=no_address_mappings_after
    )


def alias_owns_hash(settings: Settings) -> Remedy:
    """Return both steps as one: merge after the filter, remove before it, with the queue empty meanwhile."""
    if not settings.known("master"):
        text = (
            "Let aliases be expanded before the filter and not after it: add no_address_mappings to the "
            "receive_override_options of the smtpd service that the filter hands mail back to, and take it out of those "
            f"of the services with the content_filter. {_ONE_EACH} {empty_queue_words(settings, [])} {_LEARNED}"
        )
        return Remedy(text, key=BEFORE)
    both = sides(settings)
    off = [each for each in both.front if settings.mapping(each).off]
    if not off:
        return not_shown(settings, "no_address_mappings does not stand before the filter", BEFORE)
    on = [each for each in both.back if not settings.mapping(each).off]
    words = [*_cleanups(settings, off), *([both.doubt] if both.doubt else [])]
    text = "Expand aliases before the filter and no more after it: merge no_address_mappings into the options of the "
    text += "re-injection service, and take it away before the filter."
    if not on and both.back:
        text = "Expand aliases before the filter: take no_address_mappings out of the options of the services that "
        text += f"filter. It stands on both sides: {_NEVER}."
    queue = empty_queue_words(settings, off) if on or not both.back else RELOAD
    if words:
        return Remedy(" ".join((text, *words, _ONE_EACH, queue, _LEARNED)), off[0].file, off[0].line, key=BEFORE)
    changes: list[Change] = [append_item(settings, each, OPTIONS, MAPPINGS) for each in on]
    changes += [drop_item(settings, each, OPTIONS, MAPPINGS) for each in off]
    remedy = Plan(settings, changes).remedy(
        text, f"{queue} {_LEARNED}", key=BEFORE, needs=("empty-queue",) if on else ()
    )
    return replace(remedy, again=alias_owns_hash)


def expanded(settings: Settings, service: Service) -> list[Change] | None:
    """Return the steps after which a service's mail has its aliases expanded on the way in; None where words are needed."""
    state = settings.mapping(service)
    if not state.off:
        return []
    return [drop_item(settings, service, OPTIONS, MAPPINGS)] if state.how == OPTIONS else None


def empty_queue_words(settings: Settings, changed: list[Service]) -> str:
    """Return why and how the queue has to be empty before expansion moves from behind the filter to before it."""
    stopped = " ".join(outer_services(settings, changed)) or "smtp.inet submission.inet"
    return (
        "The queue must be empty first: mail in it came in unexpanded, would be handed back unexpanded, and bounce. So: "
        f"postconf -e 'master_service_disable = {stopped}' (the outer services by name: plain inet would stop the "
        "re-injection service too, and the queue would never empty), postfix reload, postqueue -f, and wait until mailq "
        "says that the queue is empty. Then postfix stop, postconf -X master_service_disable (or its old value), make "
        "the change, postfix check, postfix start. Meanwhile other servers wait and try again; nothing is lost."
    )


def outer_services(settings: Settings, changed: list[Service]) -> list[str]:
    """Return the services to stop, as master_service_disable names them: what listens, but for the re-injection.

    A pickup that changes is stopped too: what local programs hand in waits in the maildrop folder. ``name.type`` is
    understood by all versions from 2.6 on, ``name/type`` from 2.11 on.
    """
    back = {each.service.key for each in settings.reinjection()}
    names = [
        f"{each.name}.{each.type}"
        for each in settings.postfix.services
        if each.type == "inet" and each.command in {"smtpd", "postscreen", "qmqpd"} and each.key not in back
    ]
    names += [f"{each.name}.{each.type}" for each in changed if each.command == "pickup"]
    return list(dict.fromkeys([*split_list(settings.postfix.get("master_service_disable")), *names]))


def _cleanups(settings: Settings, off: list[Service]) -> list[str]:
    return [
        f"{service.key} uses the cleanup service {service.get('cleanup_service_name')}, which has virtual_alias_maps "
        "switched off: let it use one that has not."
        for service in off
        if settings.mapping(service).how == "cleanup"
    ]


def _names(services: list[Service] | tuple[Service, ...]) -> str:
    return ", ".join(each.key for each in services)
