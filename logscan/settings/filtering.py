"""Finds the filters that mail is sent through, and the services to which they hand it back."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from logscan.settings.destinations import parse_destination
from logscan.settings.dspam import Dspam
from logscan.settings.entrances import Entrances, Listener
from logscan.settings.facts import Fact
from logscan.settings.postfix import Postfix
from logscan.settings.services import Service
from logscan.settings.tables import Map
from logscan.settings.text import base_name, split_list

_SPAM_MILTERS: tuple[tuple[str, Literal["rspamd", "amavis", "spamassassin"]], ...] = (
    (r"rspamd|:11332\b", "rspamd"),
    (r"amavis", "amavis"),
    (r"spamass|spamd", "spamassassin"),
)
_OTHER_MILTERS = re.compile(r"dkim|dmarc|spf|greylist|greyfix|postgrey|clam|srs|:8891\b|:8892\b|:8893\b|:54321\b")


@dataclass(frozen=True)
class FilterSetup:
    """A filter that mail is sent through, and how it treats a mail of several recipients."""

    kind: Literal["dspam", "amavis", "rspamd", "spamassassin", "other"]
    destination: str
    via: Literal["content_filter", "smtpd_proxy_filter", "milter", "FILTER"]
    learns_per_recipient: bool
    reinjects_per_recipient: bool
    services: tuple[str, ...]
    """The services whose mail it gets, as ``postconf -P`` names them."""
    fact: Fact | None = None


class Filtering:
    """The filters that the services of master.cf send mail through."""

    def __init__(
        self, postfix: Postfix, entrances: Entrances, dspam: Dspam, amavis: Mapping[str, Fact], maps: Sequence[Map]
    ) -> None:
        self.postfix = postfix
        self.entrances = entrances
        self.dspam = dspam
        self.amavis = amavis
        self.maps = maps

    @functools.cached_property
    def reinjection(self) -> tuple[Listener, ...]:
        """The smtpd services to which the filter hands mail back.

        Those that dspam.conf or amavisd.conf name; else, with a filter configured, the ones on loopback or a high
        port that don't filter again.
        """
        ports = {self.dspam.delivery_port} if self.dspam.facts else set()
        for name in ("forward_method", "notify_method"):
            if name in self.amavis:
                ports.add(parse_destination(self.amavis[name].value).port)
        ports.discard(None)
        free = [each for each in self.entrances.listeners if not each.content_filter]
        named = tuple(each for each in free if each.port in ports)
        if named or not self._filter_configured():
            return named
        if self.dspam.get("DeliveryHost").startswith("/"):
            return ()
        return tuple(
            each
            for each in free
            if each.port not in {None, 25, 465, 587, 2525}
            and (each.loopback or (each.port or 0) >= 10000)
            and not _explicit_yes(each.service, "smtpd_sasl_auth_enable")
        )

    def _filter_configured(self) -> bool:
        return bool(
            self.entrances.filtered()
            or self.actions
            or any(s.get("smtpd_proxy_filter") for s in self.entrances.services())
        )

    @property
    def actions(self) -> tuple[Fact, ...]:
        """Return restrictions and checks that hold a ``FILTER`` action in plain sight, or whose table does."""
        found: dict[Fact, None] = {}
        facts = list(self.postfix.main.items())
        for service in self.postfix.services:
            facts.extend(service.options.items())
        for name, fact in facts:
            if re.search(r"(restrictions|_checks)$", name) and re.search(r"\bFILTER\s", fact.value):
                found[fact] = None
        for table in self.maps:
            for entry in table.entries:
                if table.kind == "access" and entry.value.upper().startswith("FILTER "):
                    found[Fact(entry.value, table.label, entry.line)] = None
        return tuple(found)

    @property
    def filters(self) -> list[FilterSetup]:
        """Return the filters that mail is sent through."""
        found: dict[tuple[str, str, str], FilterSetup] = {}

        def add(kind: str, destination: str, via: str, service: str, fact: Fact | None) -> None:
            key = (kind, destination, via)
            known = found.get(key)
            dspam = kind == "dspam"
            services = (*(known.services if known else ()), *((service,) if service else ()))
            found[key] = FilterSetup(
                kind,  # type: ignore[arg-type]
                destination,
                via,  # type: ignore[arg-type]
                dspam and not self._one_dictionary(destination),
                dspam and via != "milter",
                tuple(dict.fromkeys(services)),
                known.fact if known else fact,
            )

        for service in self.entrances.services():
            value = service.get("content_filter").strip()
            if value:
                add(self._kind(value), value, "content_filter", service.key, service.fact("content_filter"))
            proxy = service.get("smtpd_proxy_filter").strip() if service.command == "smtpd" else ""
            if proxy:
                add(
                    self._kind("smtp:" + proxy),
                    proxy,
                    "smtpd_proxy_filter",
                    service.key,
                    service.fact("smtpd_proxy_filter"),
                )
            name = "non_smtpd_milters" if service.command == "pickup" else "smtpd_milters"
            for milter in split_list(service.get(name)):
                for pattern, kind in _SPAM_MILTERS:
                    if re.search(pattern, milter):
                        add(kind, milter, "milter", service.key, service.fact(name))
                        break
                else:
                    if not _OTHER_MILTERS.search(milter):
                        add("other", milter, "milter", service.key, service.fact(name))
        for fact in self.actions:
            match = re.search(r"\bFILTER\s+([^\s,}]+)", fact.value)
            if match:
                add(self._kind(match[1]), match[1], "FILTER", "", fact)
        return list(found.values())

    def _kind(self, value: str) -> str:
        destination = parse_destination(value)
        service = self.postfix.service(destination.transport, "unix")
        words = " ".join((value, *(service.args if service else ()))).lower()
        socket = self.dspam.get("ServerDomainSocketPath")
        if "dspam" in words:
            return "dspam"
        if destination.path and socket and base_name(destination.path) == base_name(socket):
            return "dspam"
        if destination.port and str(destination.port) == self.dspam.get("ServerPort"):
            return "dspam"
        if "amavis" in words or destination.port == 10024:
            return "amavis"
        if re.search(r"spamc\b|spamassassin|spampd|spamd", words):
            return "spamassassin"
        return "rspamd" if "rspam" in words else "other"

    def _one_dictionary(self, destination: str) -> bool:
        """Whether DSPAM learns all mail under one user."""
        if self.dspam.fixed_user:
            return True
        service = self.postfix.service(parse_destination(destination).transport, "unix")
        words = " ".join(service.args) if service else ""
        user = re.search(r"--user[= ]\s*(\S+)", words)
        return bool(user) and "$" not in user[1] if user else False


def _explicit_yes(service: Service, name: str) -> bool:
    fact = service.options.get(name)
    return fact is not None and fact.value.strip().lower() == "yes"
