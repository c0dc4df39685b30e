"""Joins the parts of the configuration in one object that the checks ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from logscan.settings.addresses import Addresses, Alias
from logscan.settings.domains import Domains
from logscan.settings.dovecot import Dovecot
from logscan.settings.dspam import Dspam
from logscan.settings.entrances import AddressMapping, Entrances, Listener
from logscan.settings.facts import Fact, Problem
from logscan.settings.filtering import Filtering, FilterSetup
from logscan.settings.lookups import Lookups
from logscan.settings.postfix import Postfix
from logscan.settings.services import Service
from logscan.settings.tables import Map, Tables

Area = Literal["postfix", "master", "dovecot", "dspam", "amavis", "aliases"]


class Settings:
    """Everything that the given configuration says. Empty when nothing was given; nothing here ever raises.

    What it says of addresses, domains, entrances and filters is worked out by the parts named after them, on demand.
    """

    def __init__(
        self,
        postfix: Postfix | None = None,
        dovecot: Dovecot | None = None,
        dspam: Dspam | None = None,
        amavis: Mapping[str, Fact] | None = None,
        maps: Sequence[Map] = (),
        domains: Iterable[str] = (),
        services: Mapping[str, int] | None = None,
    ) -> None:
        self.postfix = postfix or Postfix({}, [], {})
        self.dovecot = dovecot or Dovecot({}, "", False)
        self.dspam = dspam or Dspam({}, ())
        self.amavis = dict(amavis or {})
        self.maps = list(maps)
        self.told_domains = frozenset(each.lower() for each in domains)
        self.told_services = dict(services or {})
        self.texts: dict[str, str] = {}
        """The texts by label, as they were given."""
        self.kinds: dict[str, str] = {}
        """The name of the format each text was recognised as."""
        self.problems: list[Problem] = []
        self.unrecognised: list[str] = []
        self.spare: list[str] = []
        """Texts that were left aside: templates, backups, files that nothing includes."""
        self._tables = Tables(self.postfix, self.maps)
        self._domains = Domains(self.postfix, self._tables, self.told_domains)
        self._addresses = Addresses(self.postfix, self._tables, self._domains)
        self._lookups = Lookups(self.postfix, self._tables, self._domains, self.delimiters)
        self._entrances = Entrances(self.postfix)
        self._filtering = Filtering(self.postfix, self._entrances, self.dspam, self.amavis, self.maps)

    def known(self, area: Area) -> bool:
        """Whether that area of the configuration was given at all."""
        match area:
            case "postfix":
                return bool(self.postfix.main)
            case "master":
                return bool(self.postfix.services)
            case "dovecot":
                return bool(self.dovecot.facts)
            case "dspam":
                return bool(self.dspam.facts)
            case "amavis":
                return bool(self.amavis)
            case "aliases":
                if any(each.kind in {"virtual", "aliases"} for each in self.maps):
                    return True
                return bool(self.postfix.main) and not self.postfix.get("virtual_alias_maps").strip()

    def listeners(self) -> tuple[Listener, ...]:
        """Return the smtpd services that take mail from the network, in the order of master.cf."""
        return self._entrances.listeners

    def listeners_on(self, port: int) -> tuple[Listener, ...]:
        """Return the listeners of a port."""
        return tuple(each for each in self.listeners() if each.port == port)

    def port_of(self, tag: str) -> int | None:
        """Return the port behind a log tag, re-injection set aside; None when unknown or when it could be several."""
        if tag in self.told_services:
            return self.told_services[tag]
        ports = self.ports_of(tag)
        if len(ports) > 1:
            inner = {each.port for each in self.reinjection()}
            ports = tuple(each for each in ports if each not in inner)
        return ports[0] if len(ports) == 1 else None

    def ports_of(self, tag: str) -> tuple[int, ...]:
        """Return every port whose smtpd logs under ``tag``, re-injection included."""
        return self._entrances.ports_of(tag)

    def entrances(self) -> tuple[Service, ...]:
        """Return the services by which mail enters the queue: smtpd, pickup, qmqpd."""
        return self._entrances.services()

    def filtered(self) -> tuple[Service, ...]:
        """Return the entrances whose mail goes through a content filter."""
        return self._entrances.filtered()

    def mapping(self, service: Service) -> AddressMapping:
        """Tell whether virtual aliases are expanded for mail that enters by ``service``."""
        return self._entrances.mapping(service)

    def reinjection(self) -> tuple[Listener, ...]:
        """Return the smtpd services to which the filter hands mail back.

        Those that dspam.conf or amavisd.conf name; else, with a filter configured, the ones on loopback or a high
        port that don't filter again.
        """
        return self._filtering.reinjection

    @property
    def filter_actions(self) -> tuple[Fact, ...]:
        """Return restrictions and checks that hold a ``FILTER`` action in plain sight, or whose table does."""
        return self._filtering.actions

    @property
    def filters(self) -> list[FilterSetup]:
        """Return the filters that mail is sent through."""
        return self._filtering.filters

    @property
    def domains(self) -> dict[str, Fact]:
        """The domains this server takes mail for, each with the fact that says so; lower case."""
        return self._domains.names

    @property
    def local_domains(self) -> frozenset[str]:
        """The names of :attr:`domains`."""
        return frozenset(self.domains)

    @property
    def mailbox_domains(self) -> tuple[str, ...]:
        """The domains whose users have mailboxes here: virtual ones; without any, those of local users.

        Empty when some of them stand in a table that isn't at hand.
        """
        return self._domains.mailbox_domains

    @property
    def mailboxes(self) -> dict[str, Fact]:
        """Virtual mailboxes by address, lower case."""
        return self._domains.mailboxes

    @property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """``mynetworks``, as far as it is spelled out."""
        return self._domains.networks

    def is_mine(self, address: str) -> bool:
        """Whether a client address lies in ``mynetworks``."""
        return self._domains.is_mine(address)

    @property
    def lookups(self) -> Lookups:
        """What the lookup tables say of one address or domain, as Postfix asks them."""
        return self._lookups

    @property
    def unresolved(self) -> tuple[Fact, ...]:
        """Tables that the configuration names and whose text isn't at hand (files not given, SQL, LDAP)."""
        return self._tables.unresolved

    @property
    def aliases(self) -> dict[str, Alias]:
        """Aliases by address, lower case; those of aliases(5) by their bare name. ``@domain`` is a catch-all."""
        return self._addresses.aliases

    @property
    def delimiters(self) -> str:
        """The characters that begin an address extension."""
        return self._addresses.delimiters

    def alias(self, address: str) -> Alias | None:
        """Return the alias that an address falls under: itself, without its extension, aliases(5), the catch-all."""
        return self._addresses.alias(address)

    def expand(self, address: str) -> frozenset[str]:
        """Return the addresses that one expansion of the virtual aliases ends at (recursive, as cleanup does it)."""
        return self._addresses.expand(address)

    @property
    def self_listing(self) -> tuple[str, ...]:
        """The virtual aliases that list themselves."""
        return self._addresses.self_listing

    @property
    def doubling(self) -> tuple[str, ...]:
        """The virtual aliases whose mail would be multiplied by a second expansion: they lead to one listing itself."""
        return self._addresses.doubling

    @property
    def transports(self) -> dict[str, Fact]:
        """The transport map by pattern, lower case."""
        return self._addresses.transports

    @property
    def bcc(self) -> tuple[Fact, ...]:
        """The parameters that add recipients to every mail or to some."""
        return self._addresses.bcc
