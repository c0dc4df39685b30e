"""Describes a service of master.cf: its overrides over main.cf, its address, port and tag in the log."""

from __future__ import annotations

from dataclasses import dataclass, field

from logscan.settings.destinations import is_loopback, port_number
from logscan.settings.facts import Fact, Override
from logscan.settings.parameters import Parameters


@dataclass
class Service:
    """One service of master.cf. A later override of the same name replaces the first (master(5))."""

    name: str
    type: str
    command: str
    line: int
    args: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()
    columns: tuple[str, ...] = ()
    """private, unpriv, chroot, wakeup, maxproc."""
    span: tuple[int, int] = (0, 0)
    """From the first character of the service to the end of its last own line."""
    name_span: tuple[int, int] = (0, 0)
    indent: str = "  "
    """What its continuation lines begin with."""
    raw: tuple[str, ...] = ()
    """Its own physical lines, comments between them left out."""
    file: str = ""
    main: Parameters = field(default_factory=lambda: Parameters({}), repr=False, compare=False)

    @property
    def key(self) -> str:
        """The service as ``postconf -P`` names it: ``smtp/inet``."""
        return f"{self.name}/{self.type}"

    @property
    def options(self) -> dict[str, Fact]:
        """The overrides in force, by name."""
        return {each.name: Fact(each.value, self.file, each.line) for each in self.overrides}

    def override(self, name: str) -> Override | None:
        """Return the override of ``name`` that is in force."""
        return next((each for each in reversed(self.overrides) if each.name == name), None)

    def fact(self, name: str) -> Fact | None:
        """Return where the service's value of ``name`` stands: its override, else main.cf; None for a default."""
        return self.options.get(name) or self.main.fact(name)

    def get(self, name: str) -> str:
        """Return the value of ``name`` in force for this service, ``$variables`` expanded."""
        own = {each.name: each.value for each in self.overrides}
        own.setdefault("service_name", self.name)
        return self.main.get(name, own)

    def on(self, name: str) -> bool:
        """Whether a boolean parameter is ``yes`` for this service."""
        return self.get(name).strip().lower() == "yes"

    @property
    def address(self) -> str:
        """The address an inet service is bound to, without brackets; empty for all of them."""
        host = self.name.rpartition(":")[0] if self.type == "inet" else ""
        return host.strip("[]")

    @property
    def port(self) -> int | None:
        """The port an inet service listens on; None when its name stands in no table at hand."""
        if self.type != "inet":
            return None
        return port_number(self.name.rpartition(":")[2])

    @property
    def loopback(self) -> bool:
        """Whether it listens for this host only."""
        return is_loopback(self.address)

    @property
    def tag(self) -> str:
        """The tag of its lines in the log: ``postfix/submission/smtpd``."""
        return f"{self.get('syslog_name')}/{self.command.rpartition('/')[2]}"
