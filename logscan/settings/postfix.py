"""Answers what main.cf and master.cf set: parameters, services, and how each text was come by."""

from __future__ import annotations

from collections.abc import Mapping

from logscan.settings.facts import Fact
from logscan.settings.parameters import Parameters
from logscan.settings.services import Service


class Postfix:
    """main.cf and master.cf."""

    def __init__(self, main: dict[str, Fact], services: list[Service], origin: Mapping[str, str]) -> None:
        self.main = main
        self.services = services
        self.parameters = Parameters(main)
        self.origin = dict(origin)
        """How each text was come by: ``file``, ``postconf -n``, ``postconf -M``, ``postconf -P``; by label."""
        for service in services:
            service.main = self.parameters

    def get(self, name: str) -> str:
        """Return a parameter of main.cf or its default, expanded."""
        return self.parameters.get(name)

    def fact(self, name: str) -> Fact | None:
        """Return where main.cf sets a parameter."""
        return self.main.get(name)

    def service(self, name: str, kind: str | None = None) -> Service | None:
        """Return the first service of that name (and type)."""
        return next((each for each in self.services if each.name == name and kind in (None, each.type)), None)
