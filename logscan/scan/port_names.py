"""The names that smtpd services log under, and what configuration and names tell of the ports behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logscan.findings import Confidence
    from logscan.scan.options import Options
    from logscan.settings import Listener, Settings


class Name:
    """A name that smtpd services log under, and what is known of the ports behind it."""

    def __init__(self, options: Options, settings: Settings, services: frozenset[str], service: str) -> None:
        self.tag = f"{service}/smtpd"
        told = options.services
        self.told = next((told[name] for name in (service, self.tag) if name in told), None)
        back = {each.service.key for each in settings.reinjection()}
        mine = [
            each
            for each in settings.listeners()
            if each.tag in (service, self.tag) and each.service.key not in back and each.port is not None
        ]
        self.listeners = [each for each in mine if each.sasl] or mine
        self.inferred = port_of(options, settings, services, service)

    def settled(self) -> bool:
        """Return whether each login's port is known, or known not to be told, without a look at filter and process.

        It stays so whatever other services come to be known: more names tell more.
        """
        if self.told is not None or self.proxied():
            return True
        if ports := self.ports:
            return 25 not in ports or len(ports) == 1
        return self.inferred[0] is not None and self.inferred[1] != "low"

    def ways_left(self) -> set[bool]:
        """Return with which ways, past the filter or through it, a login's port isn't told yet."""
        if not self.ports:
            return {False, True}
        return {through for through in (False, True) if self.fitting(through) is None}

    def fitting(self, through: bool) -> int | None:
        """Return the one port whose mail takes that way, past the filter or through it."""
        ports = {each.port for each in self.listeners if bool(each.content_filter) == through}
        return ports.pop() if len(ports) == 1 else None

    @property
    def ports(self) -> list[int]:
        """The ports that these services listen on."""
        return sorted({each.port for each in self.listeners if each.port is not None})

    def wrapped(self) -> bool:
        """Return whether a proxy stands before these services, and all of them speak TLS from the first byte on."""
        wrapped = [each.service.get("smtpd_tls_wrappermode").strip().lower() == "yes" for each in self.listeners]
        return bool(wrapped) and all(wrapped) and bool(self.proxied())

    def proxied(self) -> str:
        """Return what says that a proxy stands before one of these services, empty where nothing does."""
        for each in self.listeners:
            for name in ("postscreen_upstream_proxy_protocol", "smtpd_upstream_proxy_protocol"):
                if (each.postscreen or name.startswith("smtpd")) and (value := _upstream(each, name)):
                    return f"{name}={value}"
        return ""


def _upstream(listener: Listener, name: str) -> str:
    """Return the protocol by which a proxy tells a listener its client, empty without a proxy."""
    return listener.service.get(name).strip()


def port_of(options: Options, settings: Settings, services: frozenset[str], tag: str) -> tuple[int | None, Confidence]:
    """Return the port that a service's tag listens on, and how sure that is; ``services`` are all that the log is known to have.

    The configuration and ``--service`` decide; else names tell (submission, smtps), and a plain ``postfix`` beside a
    named submission service is port 25 with medium, without any with low confidence.
    """
    if not isinstance(tag, str):
        return None, "low"
    told = options.services
    for name in (tag, f"{tag}/smtpd"):
        if name in told:
            return told[name], "high"
    for name in (tag, f"{tag}/smtpd"):
        port = settings.port_of(name)
        if port is not None:
            return port, "high"
    if settings.known("master"):
        ports = set(settings.ports_of(tag)) | set(settings.ports_of(f"{tag}/smtpd"))
        if len(ports) > 1:
            return (25, "low") if 25 in ports else (min(ports), "low")
    last = tag.rsplit("/", 1)[-1].lower()
    if "/" in tag:
        for word, port in (("submissions", 465), ("smtps", 465), ("submission", 587), ("submiss", 587), ("msa", 587)):
            if word in last:
                return port, "high"
        return (
            (int(last), "medium") if last.isascii() and last.isdigit() and 0 < int(last[:6]) < 65536 else (None, "low")
        )
    named = any("submission" in service or "smtps" in service for service in services)
    return 25, "medium" if named else "low"
