"""Lists the services by which mail enters Postfix's queue, and what each does to it on the way in."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from logscan.settings.destinations import Destination, is_loopback, parse_destination
from logscan.settings.facts import Fact
from logscan.settings.postfix import Postfix
from logscan.settings.services import Service
from logscan.settings.text import split_list


@dataclass(frozen=True)
class Listener:
    """An smtpd that takes mail from the network; ``port`` is postscreen's where postscreen passes connections on."""

    service: Service
    port: int | None
    address: str
    tag: str
    content_filter: str
    destination: Destination | None
    sasl: bool
    postscreen: bool = False

    @property
    def loopback(self) -> bool:
        """Whether it listens for this host only."""
        return is_loopback(self.address)


@dataclass(frozen=True)
class AddressMapping:
    """Whether a service's mail has its addresses mapped (virtual aliases expanded), and which fact says so."""

    off: bool
    fact: Fact | None = None
    how: Literal["", "receive_override_options", "cleanup"] = ""


class Entrances:
    """The services of master.cf by which mail enters the queue."""

    def __init__(self, postfix: Postfix) -> None:
        self.postfix = postfix

    @functools.cached_property
    def listeners(self) -> tuple[Listener, ...]:
        """The smtpd services that take mail from the network, in the order of master.cf."""
        found: list[Listener] = []
        screen = next((each for each in self.postfix.services if each.command == "postscreen"), None)
        for service in self.postfix.services:
            if service.command != "smtpd" or service.type not in {"inet", "pass"}:
                continue
            front = screen if service.type == "pass" else service
            value = service.get("content_filter").strip()
            found.append(
                Listener(
                    service,
                    front.port if front else 25,
                    front.address if front else "",
                    service.tag,
                    value,
                    parse_destination(value) if value else None,
                    service.on("smtpd_sasl_auth_enable"),
                    service.type == "pass",
                )
            )
        return tuple(found)

    def ports_of(self, tag: str) -> tuple[int, ...]:
        """Return every port whose smtpd logs under ``tag``, re-injection included."""
        return tuple(dict.fromkeys(x.port for x in self.listeners if x.tag == tag and x.port is not None))

    def services(self) -> tuple[Service, ...]:
        """Return the services by which mail enters the queue: smtpd, pickup, qmqpd."""
        listening = [each.service for each in self.listeners]
        return (*listening, *(s for s in self.postfix.services if s.command in {"pickup", "qmqpd"}))

    def filtered(self) -> tuple[Service, ...]:
        """Return the entrances whose mail goes through a content filter."""
        return tuple(each for each in self.services() if each.get("content_filter").strip())

    def mapping(self, service: Service) -> AddressMapping:
        """Tell whether virtual aliases are expanded for mail that enters by ``service``."""
        if "no_address_mappings" in split_list(service.get("receive_override_options").lower()):
            return AddressMapping(True, service.fact("receive_override_options"), "receive_override_options")
        name = service.get("cleanup_service_name")
        cleanup = self.postfix.service(name, "unix") or self.postfix.service(name)
        if cleanup and "virtual_alias_maps" in cleanup.options and not cleanup.get("virtual_alias_maps").strip():
            return AddressMapping(True, cleanup.options["virtual_alias_maps"], "cleanup")
        return AddressMapping(False, service.fact("receive_override_options"))
