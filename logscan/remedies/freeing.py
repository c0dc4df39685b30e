"""Lets a service's mail pass the filter by: the filter goes, and what was set for its sake goes with it."""

from __future__ import annotations

from logscan.remedies.mappings import expanded
from logscan.remedies.plan import Change
from logscan.remedies.sides import unsigned_without
from logscan.remedies.steps import set_override
from logscan.settings import Service, Settings


def freed(settings: Settings, service: Service, value: str = "") -> list[Change]:
    """Return the steps that give a service an empty content_filter, and expand its aliases on the way in again."""
    return [set_override(settings, service, "content_filter", value), *(expanded(settings, service) or [])]


def reasons(settings: Settings, services: list[Service]) -> list[str]:
    """Return why a diff that frees these services can't be promised to do no harm; empty where it can."""
    said: dict[str, None] = {}
    for service in services:
        if expanded(settings, service) is None:
            said[
                f"{service.key} uses the cleanup service {service.get('cleanup_service_name')}, which has "
                "virtual_alias_maps switched off: give it one that has not, or aliases aren't expanded for it any more."
            ] = None
        unsigned = unsigned_without(settings, service)
        if unsigned:
            said[
                f"Mail of {service.key} must still be signed: {unsigned}. Without a signature other servers may refuse it. "
                "If so, leave it its filter and have the filter not tag mail from your own users (amavis: a policy bank "
                "with originating => 1 and bypass_spam_checks_maps => [1] on a port of its own), or sign elsewhere first."
            ] = None
    return list(said)
