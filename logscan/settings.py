"""What the server is set up to do: configuration texts become facts, each with the file and line it stands in.

The texts are recognised by their content and read by the plug-ins ``parsers/*.py`` (attribute ``CONFIG``); this module
joins what they read: overrides of ``master.cf`` over ``main.cf`` over Postfix's defaults (postconf(5)), alias maps with
the parameter that names them, the filter with the service that takes its mail back.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from logscan import plugins
from logscan.verdict import Prediction

__all__ = [
    "AddressMapping",
    "Alias",
    "ConfigFormat",
    "Destination",
    "Document",
    "Entry",
    "ExpansionRow",
    "Fact",
    "FilterSetup",
    "Listener",
    "Logical",
    "Override",
    "Parameters",
    "Problem",
    "Service",
    "Settings",
    "base_name",
    "expansion_prediction",
    "formats",
    "logical_lines",
    "parse_destination",
    "predictions",
    "read_settings",
    "recognise",
    "split_list",
]

HEAD = 1 << 18
"""Characters that a format looks at to recognise its text."""
LONGEST = 1 << 24
"""Characters of a text that are read; configuration is never that long, garbage is."""
CERTAIN = 0.5
"""Confidence from which on a text counts as recognised."""


# --- what a plug-in hands back ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """A value and where it stands: the file's label and the line, counted from 1."""

    value: str
    file: str
    line: int


@dataclass(frozen=True)
class Problem:
    """Something in a configuration text that could not be read or contradicts another text."""

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Entry:
    """One assignment: ``path`` is its name behind the names of the sections around it.

    ``span`` are the offsets of the whole statement in the text (whole lines), ``value_span`` those of the value when it
    stands there in one piece.
    """

    path: tuple[str, ...]
    value: str
    line: int
    span: tuple[int, int] = (0, 0)
    value_span: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path[-1]


@dataclass(frozen=True)
class Override:
    """An ``-o name=value`` of master.cf; ``span`` covers it from ``-o`` on, ``value_span`` only the value."""

    name: str
    value: str
    line: int
    span: tuple[int, int] | None = None
    value_span: tuple[int, int] | None = None


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
        name = self.name.rpartition(":")[2]
        return int(name) if name.isascii() and name.isdigit() and len(name) < 6 else PORTS.get(name.lower())

    @property
    def loopback(self) -> bool:
        """Whether it listens for this host only."""
        return is_loopback(self.address)

    @property
    def tag(self) -> str:
        """The tag of its lines in the log: ``postfix/submission/smtpd``."""
        return f"{self.get('syslog_name')}/{self.command.rpartition('/')[2]}"


@dataclass
class Document:
    """What a plug-in read from one text. ``problems`` are (line, text) pairs; ``variant`` is the plug-in's own word."""

    entries: list[Entry] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    variant: str = ""
    version: str = ""


@dataclass(frozen=True)
class ConfigFormat:
    """One kind of configuration text.

    ``recognise(path, text)`` tells by content how sure it is that the text is of this kind, from 0 to 1; the name is
    a hint at most. ``parse(text)`` never raises: what can't be read becomes a problem of the document.
    """

    name: str
    title: str
    reference: str
    recognise: Callable[[str, str], float]
    parse: Callable[[str], Document]


@functools.cache
def formats() -> tuple[ConfigFormat, ...]:
    """Return every configuration format."""
    return tuple(plugins.collect("logscan.parsers", "CONFIG", ConfigFormat))


def recognise(label: str, text: str) -> ConfigFormat | None:
    """Return the format that the text is of, or None."""
    head = text[:HEAD]
    if "\0" in head or not head.strip():
        return None
    if len(text) > HEAD:
        head = head[: head.rfind("\n") + 1] or head
    scored = [(each.recognise(label, head), each) for each in formats()]
    best = max(scored, key=lambda each: each[0], default=None)
    return best[1] if best and best[0] >= CERTAIN else None


# --- text ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Logical:
    """A logical line of a Postfix file: its text, and where each character of it stands.

    ``pieces`` are (line, offset in the file, text) of the physical lines; ``text`` joins them with line feeds.
    """

    pieces: tuple[tuple[int, int, str], ...]
    text: str
    starts: tuple[int, ...]
    span: tuple[int, int]

    @property
    def line(self) -> int:
        """Line on which it begins, from 1."""
        return self.pieces[0][0]

    def place(self, position: int) -> tuple[int, int]:
        """Return (line, offset in the file) of the character at ``position`` of :attr:`text`."""
        index = bisect_right(self.starts, position) - 1
        number, offset, _ = self.pieces[index]
        return number, offset + position - self.starts[index]

    def extent(self, begin: int, end: int) -> tuple[int, int] | None:
        """Return the offsets in the file of ``text[begin:end]``; None when other lines may lie between."""
        if bisect_right(self.starts, begin) != bisect_right(self.starts, max(begin, end - 1)):
            return None
        first = self.place(begin)[1]
        return first, first + end - begin


def logical_lines(text: str) -> Iterator[Logical]:
    """Yield the logical lines of a Postfix file (readlline(3)): continuations joined, comments and blanks left out."""
    pieces: list[tuple[int, int, str]] = []
    end = offset = 0
    for number, line in enumerate(text.split("\n"), 1):
        body = line.rstrip("\r")
        bare = body.strip(" \t\r\v\f")
        if bare and not bare.startswith("#"):
            if pieces and body[0] not in " \t\v\f":
                yield _logical(pieces, end)
                pieces = []
            pieces.append((number, offset, body))
            end = min(offset + len(line) + 1, len(text))
        offset += len(line) + 1
    if pieces:
        yield _logical(pieces, end)


def _logical(pieces: list[tuple[int, int, str]], end: int) -> Logical:
    starts: list[int] = []
    at = 0
    for _, _, body in pieces:
        starts.append(at)
        at += len(body) + 1
    return Logical(tuple(pieces), "\n".join(body for _, _, body in pieces), tuple(starts), (pieces[0][1], end))


def split_list(value: str) -> list[str]:
    """Split a Postfix list at commas and blanks; text in braces stays in one piece."""
    items: list[str] = []
    depth = begin = 0
    for at, char in enumerate(value):
        if char == "{":
            depth += 1
        elif char == "}":
            depth = max(0, depth - 1)
        elif not depth and (char == "," or char.isspace()):
            items.append(value[begin:at])
            begin = at + 1
    items.append(value[begin:])
    return [each for each in items if each]


def base_name(label: str) -> str:
    """Return the last part of a file's label."""
    return re.split(r"[/\\]", label)[-1]


def is_loopback(host: str) -> bool:
    """Whether an address or name is this host's own."""
    return host.strip("[]").lower() in {"localhost", "::1", "ip6-localhost"} or host.startswith("127.")


PORTS = {
    "smtp": 25,
    "submission": 587,
    "smtps": 465,
    "submissions": 465,
    "urd": 465,
    "ssmtp": 465,
    "lmtp": 24,
    "smtp-alt": 2525,
}
"""Service names of /etc/services that master.cf uses; 24 is what dspam and cyrus call lmtp."""

DEFAULTS = {
    "alias_maps": "hash:/etc/aliases",
    "cleanup_service_name": "cleanup",
    "inet_interfaces": "all",
    "inet_protocols": "all",
    "local_transport": "local:$myhostname",
    "mydestination": "$myhostname, localhost.$mydomain, localhost",
    "mynetworks": "127.0.0.0/8, [::1]/128",
    "myorigin": "$myhostname",
    "pickup_service_name": "pickup",
    "smtpd_sasl_auth_enable": "no",
    "syslog_name": "${multi_instance_name?{$multi_instance_name}:{postfix}}",
    "virtual_alias_domains": "$virtual_alias_maps",
    "virtual_alias_maps": "$virtual_maps",
    "virtual_mailbox_domains": "$virtual_mailbox_maps",
    "virtual_transport": "virtual",
}
"""Built-in defaults (postconf(5), 3.x) of the parameters used here; all others are empty. ``mynetworks`` depends on the
interfaces: this is what every host has at least."""


class Parameters:
    """Postfix parameters with their ``$variables`` expanded (postconf(5), 3.x)."""

    _DEPTH = 24
    _LONGEST = 1 << 20

    def __init__(self, facts: Mapping[str, Fact]) -> None:
        self.facts = facts

    def fact(self, name: str) -> Fact | None:
        """Return where main.cf sets ``name``."""
        return self.facts.get(name)

    def get(self, name: str, own: Mapping[str, str] | None = None) -> str:
        """Return a parameter's value, overridden by ``own``, expanded; empty when it has no value."""
        return self.expand(self._raw(name, own or {}), own)

    def expand(self, text: str, own: Mapping[str, str] | None = None) -> str:
        """Expand ``$name``, ``$(name)``, ``${name?x}``, ``${name:x}`` and comparisons; loops and bombs are cut off."""
        return self._expand(text, own or {}, 0, [self._LONGEST])

    def _raw(self, name: str, own: Mapping[str, str]) -> str:
        if name in own:
            return own[name]
        fact = self.facts.get(name)
        if fact is not None:
            return fact.value
        if name == "mydomain":
            return self.get("myhostname").partition(".")[2] or "localdomain"
        return DEFAULTS.get(name, "")

    def _expand(self, text: str, own: Mapping[str, str], depth: int, budget: list[int]) -> str:
        if "$" not in text:
            budget[0] -= len(text)
            return text if budget[0] > 0 else ""
        out: list[str] = []
        at = 0
        while at < len(text) and budget[0] > 0:
            dollar = text.find("$", at)
            if dollar < 0:
                dollar = len(text)
            out.append(text[at:dollar])
            budget[0] -= dollar - at + 1
            at = dollar + 1
            if at >= len(text):
                break
            opener = text[at]
            if opener == "$":
                out.append("$")
                at += 1
            elif opener in "{(":
                close = _closing(text, at)
                if depth < self._DEPTH:
                    out.append(self._macro(text[at + 1 : close], own, depth + 1, budget))
                at = close + 1
            else:
                name = _NAME.match(text, at)
                if name:
                    if depth < self._DEPTH:
                        out.append(self._expand(self._raw(name[0], own), own, depth + 1, budget))
                    at = name.end()
                else:
                    out.append("$")
        return "".join(out)

    def _macro(self, body: str, own: Mapping[str, str], depth: int, budget: list[int]) -> str:
        if body.lstrip().startswith("{"):
            return self._comparison(body.strip(), own, depth, budget)
        name = _NAME.match(body.strip())
        if not name:
            return ""
        rest = body.strip()[name.end() :].strip()
        value = self._raw(name[0], own)
        if not rest:
            return self._expand(value, own, depth, budget)
        yes, no = _branches(rest[1:])
        held = bool(self._expand(value, own, depth, budget))
        if rest[0] == "?":
            return self._expand(yes if held else no, own, depth, budget)
        return "" if held else self._expand(yes, own, depth, budget)

    def _comparison(self, body: str, own: Mapping[str, str], depth: int, budget: list[int]) -> str:
        end = _closing(body, 0)
        left = self._expand(body[1:end], own, depth, budget).strip()
        sign = _SIGN.match(body, end + 1)
        if not sign:
            return ""
        start = sign.end()
        end = _closing(body, start)
        right = self._expand(body[start + 1 : end], own, depth, budget).strip()
        yes, no = _branches(body[end + 1 :].strip().removeprefix("?"))
        return self._expand(yes if _holds(left, sign[1], right) else no, own, depth, budget)


_NAME = re.compile(r"[A-Za-z0-9_]+")
_SIGN = re.compile(r"\s*(==|!=|<=|>=|<|>)(?:level)?\s*(?=\{)")


def _closing(text: str, at: int) -> int:
    """Return the index of the bracket that closes the one at ``at``, or the text's end."""
    opener = text[at]
    closer = "}" if opener == "{" else ")"
    depth = 0
    for match in re.compile(r"[{}]" if opener == "{" else r"[()]").finditer(text, at):
        depth += 1 if match[0] == opener else -1 if match[0] == closer else 0
        if not depth:
            return match.start()
    return len(text)


def _branches(text: str) -> tuple[str, str]:
    """Split ``{yes}:{no}``; text without braces is all ``yes``."""
    text = text.strip()
    if not text.startswith("{"):
        return text, ""
    end = _closing(text, 0)
    rest = text[end + 1 :].strip()
    no = rest[1:].strip() if rest.startswith(":") else ""
    return text[1:end], no[1 : _closing(no, 0)] if no.startswith("{") else no


def _holds(left: str, sign: str, right: str) -> bool:
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})*", left) and re.fullmatch(r"\d{1,9}(\.\d{1,9})*", right):
        one, two = [int(x) for x in left.split(".")], [int(x) for x in right.split(".")]
        pad = max(len(one), len(two))
        one += [0] * (pad - len(one))
        two += [0] * (pad - len(two))
        order = (one > two) - (one < two)
    else:
        order = (left > right) - (left < right)
    return order in {"==": (0,), "!=": (-1, 1), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[sign]


# --- destinations and listeners --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Destination:
    """A ``transport:nexthop``: to a socket (``path``) or to ``host`` and ``port``."""

    raw: str
    transport: str
    host: str = ""
    port: int | None = None
    path: str = ""


def parse_destination(text: str) -> Destination:
    """Read ``lmtp:unix:/path``, ``smtp-amavis:[127.0.0.1]:10024``, ``scan:localhost:10025``, ``dspam:`` ..."""
    raw = text.strip()
    transport, _, hop = raw.partition(":")
    if hop.startswith(("unix:", "/")):
        return Destination(raw, transport, path=hop.removeprefix("unix:"))
    hop = hop.removeprefix("inet:")
    match = re.fullmatch(r"\[([^\]]*)\](?::(\w+))?|([^:]*)(?::(\w+))?", hop)
    if not match:
        return Destination(raw, transport, host=hop)
    port = match[2] or match[4] or ""
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else PORTS.get(port.lower())
    return Destination(raw, transport, host=match[1] or match[3] or "", port=number)


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


@dataclass(frozen=True)
class AddressMapping:
    """Whether a service's mail has its addresses mapped (virtual aliases expanded), and which fact says so."""

    off: bool
    fact: Fact | None = None
    how: Literal["", "receive_override_options", "cleanup"] = ""


@dataclass(frozen=True)
class Alias:
    """An address that stands for others. ``kind``: virtual(5) before the queue, local aliases(5) at delivery."""

    address: str
    targets: tuple[str, ...]
    fact: Fact
    kind: Literal["virtual", "local"] = "virtual"

    @property
    def lists_itself(self) -> bool:
        """Whether it keeps a copy for its own mailbox."""
        return self.address in self.targets


Area = Literal["postfix", "master", "dovecot", "dspam", "amavis", "aliases"]
_SQL = {"mysql", "pgsql", "sqlite", "ldap", "memcache", "tcp", "socketmap", "mongodb"}
_BCC = ("recipient_bcc_maps", "always_bcc", "sender_bcc_maps")
_SPAM_MILTERS: tuple[tuple[str, Literal["rspamd", "amavis", "spamassassin"]], ...] = (
    (r"rspamd|:11332\b", "rspamd"),
    (r"amavis", "amavis"),
    (r"spamass|spamd", "spamassassin"),
)
_OTHER_MILTERS = re.compile(r"dkim|dmarc|spf|greylist|greyfix|postgrey|clam|srs|:8891\b|:8892\b|:8893\b|:54321\b")


# --- the parts of the configuration ----------------------------------------------------------------------------------


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


class Dovecot:
    """``doveconf -n``, or a configuration file of Dovecot's own, of 2.2 to 2.4."""

    def __init__(self, facts: Mapping[tuple[str, ...], Fact], version: str, output: bool) -> None:
        self.facts = dict(facts)
        self.version = version
        self.output = output
        """Whether it is what ``doveconf -n`` printed, not a file that can be changed."""

    def fact(self, *path: str) -> Fact | None:
        """Return the setting at a path of sections: ``fact("plugin", "antispam_spam")``; a section is named
        ``protocol imap``, with its title.
        """
        return self.facts.get(path)

    def get(self, *path: str) -> str:
        """Return a setting's value, or nothing."""
        fact = self.facts.get(path)
        return fact.value if fact else ""

    def plugin(self, name: str) -> Fact | None:
        """Return a plug-in's setting: in ``plugin {}`` until 2.3, at the top from 2.4 on."""
        return self.fact("plugin", name) or self.fact(name)

    def mail_plugins(self, protocol: str = "imap") -> frozenset[str]:
        """Return the plug-ins a protocol loads."""
        names: set[str] = set()
        own = self.fact(f"protocol {protocol}", "mail_plugins")
        inherits = own is None or "$" in own.value
        for section in ((), (f"protocol {protocol}",)):
            fact = self.fact(*section, "mail_plugins")
            if fact and (section or inherits):
                names.update(each for each in fact.value.split() if not each.startswith("$"))
            for path, each in self.facts.items():
                if path[:-1] == (*section, "mail_plugins"):
                    (names.add if each.value.lower() in {"yes", "true", "1"} else names.discard)(path[-1])
        return frozenset(names)

    @property
    def mail_log(self) -> bool:
        """Whether moves between folders are logged."""
        return "mail_log" in self.mail_plugins("imap")

    @property
    def training_arguments(self) -> Fact | None:
        """``antispam_dspam_args``."""
        return self.plugin("antispam_dspam_args")

    @property
    def training_user(self) -> str | None:
        """What the training call passes as ``--user``: ``%u``, ``%n@example.com``; None when it names nobody."""
        fact = self.training_arguments
        if not fact:
            return None
        parts = fact.value.split(";")
        for at, part in enumerate(parts):
            if part in {"--user", "-u"} and at + 1 < len(parts):
                return parts[at + 1]
            if part.startswith("--user="):
                return part.removeprefix("--user=")
        return None

    @property
    def trains_login_as_given(self) -> bool:
        """Whether the training call passes the login name with no domain of its own."""
        user = self.training_user
        return user is not None and ("%u" in user or "%{user}" in user or user in {"%n", "%Ln"}) and "@" not in user

    @property
    def default_domain(self) -> Fact | None:
        """What completes a login without a domain: ``auth_default_realm``, from 2.4 on ``auth_default_domain``."""
        for name in ("auth_default_domain", "auth_default_realm"):
            fact = self.fact(name)
            if fact and fact.value:
                return fact
        fact = self.fact("auth_username_format")
        return fact if fact and "@" in fact.value else None

    @property
    def spam_folders(self) -> tuple[str, ...]:
        r"""Folders that a move into or out of trains: the plug-in's, those with ``special_use = \Junk``."""
        names: dict[str, None] = {}
        for setting in ("antispam_spam", "antispam_spam_pattern", "antispam_spam_pattern_ignorecase"):
            fact = self.plugin(setting)
            for name in fact.value.split(";") if fact else ():
                names[name.strip()] = None
        for path, fact in self.facts.items():
            if path[-1] == "special_use" and "junk" in fact.value.lower() and len(path) > 1:
                names[self.get(*path[:-1], "name") or _title(path[-2])] = None
            elif re.fullmatch(r"imapsieve_mailbox\d*_(name|from)", path[-1]):
                names[fact.value] = None
        return tuple(each for each in names if each and each != "*")


def _title(section: str) -> str:
    return section.partition(" ")[2].strip('"') or section


class Dspam:
    """dspam.conf and the group file."""

    def __init__(self, facts: Mapping[str, Sequence[Fact]], groups: Sequence[Fact]) -> None:
        self.facts = {name: tuple(values) for name, values in facts.items()}
        self.groups = tuple(groups)

    def fact(self, name: str) -> Fact | None:
        """Return a setting (names are compared without case); the last one counts."""
        values = self.facts.get(name.lower())
        return values[-1] if values else None

    def get(self, name: str, default: str = "") -> str:
        """Return a setting's value."""
        fact = self.fact(name)
        return fact.value if fact else default

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.get(name).lower() in {"on", "yes", "true"}

    def preference(self, name: str) -> str:
        """Return a default preference: ``spamAction`` ..."""
        for fact in reversed(self.facts.get("preference", ())):
            key, _, value = fact.value.partition("=")
            if key.strip().lower() == name.lower():
                return value.strip()
        return ""

    @property
    def home(self) -> str:
        """Where the dictionaries lie."""
        return self.get("Home", "/var/dspam")

    @property
    def delivery(self) -> Fact | None:
        """The port, or socket, that mail is handed back to."""
        return self.fact("DeliveryPort") or self.fact("DeliveryHost")

    @property
    def delivery_port(self) -> int | None:
        """DeliveryPort as a number; None for a socket."""
        port = self.get("DeliveryPort", "25" if self.fact("DeliveryHost") else "")
        if self.get("DeliveryHost").startswith("/"):
            return None
        return int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None

    @property
    def fixed_user(self) -> str | None:
        """The one user whom all mail is filtered for (``--user`` in ServerParameters, a shared group of all)."""
        match = re.search(r"--user[= ]\s*(\S+)", self.get("ServerParameters"))
        if match and not re.search(r"[$%]", match[1]):
            return match[1]
        for fact in self.groups:
            name, kind, members = ([*fact.value.split(":", 2), "", ""])[:3]
            if "shared" in kind.lower().split(",") and members.strip() == "*":
                return name
        return None

    @property
    def quarantines(self) -> bool:
        """Whether spam is kept back rather than handed on."""
        return self.preference("spamAction").lower() == "quarantine"

    @property
    def uid_in_signature(self) -> bool:
        """Whether a signature names its user, so that training can't miss."""
        return self.on("MySQLUIDInSignature") or self.on("PgSQLUIDInSignature")


# --- all of it -------------------------------------------------------------------------------------------------------


@dataclass
class Map:
    """A lookup table whose text is at hand; ``kind`` is told by content, ``parameters`` name it in main.cf."""

    label: str
    kind: str
    entries: list[Entry]
    parameters: tuple[str, ...] = ()


class Settings:
    """Everything that the given configuration says. Empty when nothing was given; nothing here ever raises."""

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

    # services

    def listeners(self) -> tuple[Listener, ...]:
        """Return the smtpd services that take mail from the network, in the order of master.cf."""
        return self._listeners

    @functools.cached_property
    def _listeners(self) -> tuple[Listener, ...]:
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
        return tuple(dict.fromkeys(x.port for x in self.listeners() if x.tag == tag and x.port is not None))

    def entrances(self) -> tuple[Service, ...]:
        """Return the services by which mail enters the queue: smtpd, pickup, qmqpd."""
        listening = [each.service for each in self.listeners()]
        return (*listening, *(s for s in self.postfix.services if s.command in {"pickup", "qmqpd"}))

    def filtered(self) -> tuple[Service, ...]:
        """Return the entrances whose mail goes through a content filter."""
        return tuple(each for each in self.entrances() if each.get("content_filter").strip())

    def reinjection(self) -> tuple[Listener, ...]:
        """Return the smtpd services to which the filter hands mail back.

        Those that dspam.conf or amavisd.conf name; else, with a filter configured, the ones on loopback or a high
        port that don't filter again.
        """
        return self._reinjection

    @functools.cached_property
    def _reinjection(self) -> tuple[Listener, ...]:
        ports = {self.dspam.delivery_port} if self.known("dspam") else set()
        for name in ("forward_method", "notify_method"):
            if name in self.amavis:
                ports.add(parse_destination(self.amavis[name].value).port)
        ports.discard(None)
        free = [each for each in self.listeners() if not each.content_filter]
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
            self.filtered() or self.filter_actions or any(s.get("smtpd_proxy_filter") for s in self.entrances())
        )

    @property
    def filter_actions(self) -> tuple[Fact, ...]:
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

    def mapping(self, service: Service) -> AddressMapping:
        """Tell whether virtual aliases are expanded for mail that enters by ``service``."""
        if "no_address_mappings" in split_list(service.get("receive_override_options").lower()):
            return AddressMapping(True, service.fact("receive_override_options"), "receive_override_options")
        name = service.get("cleanup_service_name")
        cleanup = self.postfix.service(name, "unix") or self.postfix.service(name)
        if cleanup and "virtual_alias_maps" in cleanup.options and not cleanup.get("virtual_alias_maps").strip():
            return AddressMapping(True, cleanup.options["virtual_alias_maps"], "cleanup")
        return AddressMapping(False, service.fact("receive_override_options"))

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

        for service in self.entrances():
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
        for fact in self.filter_actions:
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

    # addresses

    @functools.cached_property
    def domains(self) -> dict[str, Fact]:
        """The domains this server takes mail for, each with the fact that says so; lower case."""
        found: dict[str, Fact] = {}
        for name in ("mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains"):
            for domain, fact in self._domains_of(name):
                found.setdefault(domain, fact)
        if not found:
            for address, fact in self.mailboxes.items():
                found.setdefault(address.rpartition("@")[2], fact)
        for domain in self.told_domains:
            found.setdefault(domain, Fact(domain, "--local-domain", 0))
        found.pop("", None)
        return found

    @property
    def local_domains(self) -> frozenset[str]:
        """The names of :attr:`domains`."""
        return frozenset(self.domains)

    def _domains_of(self, name: str) -> Iterator[tuple[str, Fact]]:
        if not self.postfix.main:
            return
        fact = self.postfix.fact(name) or Fact(self.postfix.get(name), "default", 0)
        for item in split_list(self.postfix.get(name)):
            table = self._table(item)
            if table:
                for entry in table.entries:
                    key = entry.path[0].lower()
                    if "@" not in key and ("." in key or table.kind == "domains"):
                        yield key, Fact(key, table.label, entry.line)
            elif not _is_map(item) and not item.startswith("!"):
                yield item.lower().strip("."), Fact(item, fact.file, fact.line)

    @functools.cached_property
    def unresolved(self) -> tuple[Fact, ...]:
        """Tables that the configuration names and whose text isn't at hand (files not given, SQL, LDAP)."""
        found: list[Fact] = []
        named = (*_DOMAINS, "virtual_alias_maps", "virtual_mailbox_maps", "alias_maps", *_BCC[::2])
        for name in named:
            fact = self.postfix.fact(name)
            if fact is None:
                continue
            missing = [x for x in split_list(self.postfix.get(name)) if _is_map(x) and not self._table(x)]
            found.extend(Fact(f"{name}: {item}", fact.file, fact.line) for item in missing)
        return tuple(dict.fromkeys(found))

    def _table(self, item: str) -> Map | None:
        """Return the map that ``hash:/etc/postfix/virtual`` names, when its text was given."""
        kind, _, rest = item.removeprefix("proxy:").partition(":")
        if kind == "inline":
            pairs = re.findall(r"([^\s{},=]+)\s*=\s*([^{},]*)", rest)
            return Map("inline", "domains", [Entry((key,), value.strip(), 0) for key, value in pairs])
        if not _is_map(item) or kind in _SQL:
            return None
        path = item if item.startswith("/") else rest
        name = base_name(path)
        fitting = [each for each in self.maps if _plain(base_name(each.label)) == _plain(name)]
        return max(fitting, key=lambda each: _common_tail(each.label, path), default=None)

    def _tables(self, parameter: str, kind: str) -> list[Map]:
        """Return the maps that a parameter names; without it, or when none is at hand by name, those that look so."""
        items = split_list(self.postfix.get(parameter))
        named = [table for table in map(self._table, items) if table]
        if named:
            return named
        if self.postfix.main and not any(_is_map(each) for each in items):
            return []
        taken = {self._named(each) for each in self.maps if self._named(each)}
        return [each for each in self.maps if each.kind == kind and each.label not in taken]

    def _named(self, table: Map) -> str:
        return table.label if table.parameters else ""

    @functools.cached_property
    def aliases(self) -> dict[str, Alias]:
        """Aliases by address, lower case; those of aliases(5) by their bare name. ``@domain`` is a catch-all."""
        found: dict[str, Alias] = {}
        origin = self.postfix.get("myorigin").lower()
        if origin.startswith("/"):
            origin = self.postfix.get("myhostname").lower()
        for table in self._tables("alias_maps", "aliases"):
            for entry in table.entries:
                name = entry.path[0].lower()
                targets = tuple(each.lower() for each in _targets(entry.value))
                found[name] = Alias(name, targets, Fact(entry.value, table.label, entry.line), "local")
        for table in self._tables("virtual_alias_maps", "virtual"):
            for entry in table.entries:
                name = entry.path[0].lower()
                if "@" not in name:
                    if "." in name:
                        continue  # a domain's own line
                    name = f"{name}@{origin}" if origin else name
                targets = tuple(_complete(each.lower(), origin) for each in _targets(entry.value))
                found[name] = Alias(name, targets, Fact(entry.value, table.label, entry.line))
        return found

    def alias(self, address: str) -> Alias | None:
        """Return the alias that an address falls under: itself, without its extension, aliases(5), the catch-all."""
        address = address.lower().strip("<>")
        local, at, domain = address.rpartition("@")
        if not at:
            local, domain = address, ""
        delimiters = self.postfix.get("recipient_delimiter").strip()
        names = [local, *(local[0] + local[1:].partition(each)[0] for each in delimiters if each in local[1:])]
        for name in names:
            found = self.aliases.get(f"{name}@{domain}" if domain else name)
            if found:
                return found
        for name in names:
            found = self.aliases.get(name)
            if found and found.kind == "local" and (not domain or domain in self._destinations):
                return found
        return self.aliases.get(f"@{domain}") if domain else None

    @functools.cached_property
    def _destinations(self) -> frozenset[str]:
        return frozenset(domain for domain, _ in self._domains_of("mydestination"))

    def expand(self, address: str) -> frozenset[str]:
        """Return the addresses that one expansion of the virtual aliases ends at (recursive, as cleanup does it)."""
        done: set[str] = set()
        ends: set[str] = set()
        todo = [address.lower().strip("<>")]
        while todo and len(done) < 10000:
            each = todo.pop()
            if each in done:
                continue
            done.add(each)
            alias = self.alias(each)
            if alias is None or alias.kind != "virtual":
                ends.add(each)
                continue
            if alias.lists_itself:
                ends.add(alias.address)
            local = each.partition("@")[0]
            todo.extend(local + target if target.startswith("@") else target for target in alias.targets)
        return frozenset(ends)

    @functools.cached_property
    def self_listing(self) -> tuple[str, ...]:
        """The virtual aliases that list themselves."""
        return tuple(each.address for each in self.aliases.values() if each.kind == "virtual" and each.lists_itself)

    @functools.cached_property
    def doubling(self) -> tuple[str, ...]:
        """The virtual aliases whose mail would be multiplied by a second expansion: they lead to one listing itself."""
        self_listing = set(self.self_listing)
        several = {each for each in self_listing if len(self.expand(each)) > 1}
        return tuple(
            each.address
            for each in self.aliases.values()
            if each.kind == "virtual" and several & self.expand(each.address)
        )

    @functools.cached_property
    def mailboxes(self) -> dict[str, Fact]:
        """Virtual mailboxes by address, lower case."""
        found: dict[str, Fact] = {}
        for table in self._tables("virtual_mailbox_maps", "vmailbox"):
            for entry in table.entries:
                if "@" in entry.path[0]:
                    found[entry.path[0].lower()] = Fact(entry.value, table.label, entry.line)
        return found

    @functools.cached_property
    def transports(self) -> dict[str, Fact]:
        """The transport map by pattern, lower case."""
        found: dict[str, Fact] = {}
        for table in self._tables("transport_maps", "transport"):
            for entry in table.entries:
                found[entry.path[0].lower()] = Fact(entry.value, table.label, entry.line)
        return found

    @property
    def mailbox_domains(self) -> tuple[str, ...]:
        """The domains whose users have mailboxes here: virtual ones; without any, those of local users.

        Empty when some of them stand in a table that isn't at hand.
        """
        if any(each.value.startswith(("virtual_mailbox_domains:", "mydestination:")) for each in self.unresolved):
            return ()
        virtual = dict.fromkeys(domain for domain, _ in self._domains_of("virtual_mailbox_domains"))
        if virtual:
            return tuple(virtual)
        host = self.postfix.get("myhostname").lower()
        own = dict.fromkeys(domain for domain, _ in self._domains_of("mydestination"))
        outside = tuple(each for each in own if each != host and each.partition(".")[0] != "localhost")
        return outside or tuple(dict.fromkeys(each.rpartition("@")[2] for each in self.mailboxes))

    @functools.cached_property
    def bcc(self) -> tuple[Fact, ...]:
        """The parameters that add recipients to every mail or to some."""
        return tuple(
            fact for name in _BCC if (fact := self.postfix.fact(name)) is not None and self.postfix.get(name).strip()
        )

    @functools.cached_property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """``mynetworks``, as far as it is spelled out."""
        found: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for item in split_list(self.postfix.get("mynetworks")):
            try:
                found.append(ipaddress.ip_network(re.sub(r"[\[\]]", "", item), strict=False))
            except ValueError:
                continue
        return tuple(found)

    def is_mine(self, address: str) -> bool:
        """Whether a client address lies in ``mynetworks``."""
        try:
            ip = ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            return False
        return any(ip in network for network in self.networks if network.version == ip.version)


_DOMAINS = ("mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains")


def _explicit_yes(service: Service, name: str) -> bool:
    fact = service.options.get(name)
    return fact is not None and fact.value.strip().lower() == "yes"


def _is_map(item: str) -> bool:
    return item.startswith("/") or bool(re.match(r"[a-z0-9]+:(?!\d*\])", item))


def _plain(name: str) -> str:
    return re.sub(r"\.(txt|map|cf)$", "", name.lower())


def _common_tail(label: str, path: str) -> int:
    one, two = re.split(r"[/\\]", label)[::-1], path.split("/")[::-1]
    return next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def _targets(value: str) -> list[str]:
    """Split the right side of an alias; quoted targets, pipes and includes stay whole."""
    parts = re.findall(r'"(?:[^"\\]|\\.)*"(?:@[^\s,]+)?|[^\s,"]+', value)
    return [each.strip('"') if "@" not in each else each for each in parts]


def _complete(target: str, origin: str) -> str:
    return target if "@" in target or not origin else f"{target}@{origin}"


# --- reading ---------------------------------------------------------------------------------------------------------


def read_settings(
    files: Iterable[tuple[str, str]], *, domains: Iterable[str] = (), services: Mapping[str, int] | None = None
) -> Settings:
    """Read configuration texts, given as (label, text), into :class:`Settings`; never raises for what they hold.

    ``domains`` and ``services`` (log tag → port) are what the user said on the command line. Texts of no known kind
    stand in ``unrecognised``, unless main.cf names them as a map.
    """
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    documents: list[tuple[str, str, Document]] = []
    left: list[str] = []
    for label, text in files:
        texts[label] = text
        if len(text) > LONGEST:
            problems.append(Problem(label, 0, f"longer than {LONGEST} characters: only the beginning is read"))
        known = recognise(label, text)
        if known is None:
            left.append(label)
            continue
        documents.append((label, known.name, _parse(known, label, text[:LONGEST], problems)))
    read = _Reading(documents, problems)
    named = {_plain(base_name(path)) for path in read.map_paths()}
    map_format = next((each for each in formats() if each.name == "map"), None)
    for label in list(left):
        if map_format and _plain(base_name(label)) in named and "\0" not in texts[label][:HEAD]:
            documents.append((label, "map", _parse(map_format, label, texts[label][:LONGEST], problems)))
            left.remove(label)
    settings = Settings(
        read.postfix, read.dovecot(), read.dspam(), read.amavis(), read.maps(), domains=domains, services=services
    )
    settings.texts = texts
    settings.kinds = {label: kind for label, kind, _ in documents}
    settings.problems = problems
    settings.unrecognised = left
    return settings


def _parse(known: ConfigFormat, label: str, text: str, problems: list[Problem]) -> Document:
    try:
        document = known.parse(text)
    except Exception as error:  # a fault in a reader must not stop the analysis of the logs
        problems.append(Problem(label, 0, f"could not be read as {known.title}: {type(error).__name__}"))
        return Document()
    problems.extend(Problem(label, line, said) for line, said in document.problems)
    return document


class _Reading:
    """The documents, put together."""

    def __init__(self, documents: list[tuple[str, str, Document]], problems: list[Problem]) -> None:
        self.documents = documents
        self.problems = problems
        self.origin: dict[str, str] = {}
        self.postfix = Postfix(self._main(), self._services(), self.origin)

    def _of(self, kind: str) -> list[tuple[str, Document]]:
        return [(label, document) for label, name, document in self.documents if name == kind]

    def _ranked(self, kind: str, real: str) -> list[tuple[str, Document]]:
        """Return the documents of a kind, real files before what postconf printed."""
        ranked = []
        for label, document in self._of(kind):
            origin = "file" if real in base_name(label).lower() else document.variant
            self.origin[label] = origin
            ranked.append((origin != "file", label, document))
        ranked.sort(key=lambda each: each[0])
        return [(label, document) for _, label, document in ranked]

    def _main(self) -> dict[str, Fact]:
        found: dict[str, Fact] = {}
        for at, (label, document) in enumerate(self._ranked("main.cf", "main.cf")):
            own = {each.name: Fact(each.value, label, each.line) for each in document.entries}
            for name, fact in own.items():
                first = found.setdefault(name, fact)
                if at and split_list(first.value) != split_list(fact.value):
                    said = f"{name} is {fact.value!r} here, {first.value!r} in {first.file}, which counts"
                    self.problems.append(Problem(label, fact.line, said))
        return found

    def _services(self) -> list[Service]:
        ranked = self._ranked("master.cf", "master.cf")
        services: list[Service] = []
        for label, document in ranked[:1]:
            services = document.services
            for service in services:
                service.file = label
        for label, document in ranked[1:]:
            self._compare(label, document.services, services)
        for label, document in self._of("postconf-P"):
            self.origin[label] = "postconf -P"
            if services:
                self._compare(label, document.services, services)
                continue
            services = document.services
            for service in services:
                service.file = label
        return services

    def _compare(self, label: str, others: list[Service], services: list[Service]) -> None:
        known = {each.key: each for each in services}
        for other in others:
            service = known.get(other.key)
            if service is None:
                self.problems.append(
                    Problem(label, other.line, f"{other.key} isn't in {services[0].file}, which counts")
                )
                continue
            for name, fact in other.options.items():
                own = service.options.get(name)
                if own is None or "".join(own.value.split()) != "".join(fact.value.split()):
                    held = repr(own.value) if own else "not set"
                    said = f"{other.key}: {name} is {fact.value!r} here, {held} in {service.file}, which counts"
                    self.problems.append(Problem(label, fact.line, said))

    def map_paths(self) -> Iterator[str]:
        """Yield the paths of the tables that main.cf or master.cf name."""
        for _, path in self._named_maps():
            yield path

    def _named_maps(self) -> Iterator[tuple[str, str]]:
        facts = [(name, self.postfix.get(name)) for name in self.postfix.main]
        facts.append(("alias_maps", self.postfix.get("alias_maps")))
        for service in self.postfix.services:
            facts.extend((name, service.get(name)) for name in service.options)
        for name, value in facts:
            for item in split_list(value):
                kind, _, rest = item.removeprefix("proxy:").partition(":")
                if item.startswith("/") and name in _DOMAINS:
                    yield name, item
                elif rest.startswith("/") and _is_map(item) and kind not in _SQL and not re.search(r"transport$", name):
                    yield name, rest

    def maps(self) -> list[Map]:
        """Return the alias maps and their like."""
        named: dict[str, list[str]] = {}
        for name, path in self._named_maps():
            named.setdefault(_plain(base_name(path)), []).append(name)
        return [
            Map(label, document.variant, document.entries, tuple(named.get(_plain(base_name(label)), ())))
            for label, document in self._of("map")
        ]

    def dovecot(self) -> Dovecot:
        """Return what Dovecot's texts say: ``doveconf -n`` first, files fill in."""
        found: dict[tuple[str, ...], Fact] = {}
        version = ""
        documents = sorted(self._of("doveconf"), key=lambda each: each[1].variant != "output")
        for label, document in documents:
            version = version or document.version
            own = {each.path: Fact(each.value, label, each.line) for each in document.entries}
            for path, fact in own.items():
                found.setdefault(path, fact)
        return Dovecot(found, version, bool(documents) and documents[0][1].variant == "output")

    def dspam(self) -> Dspam:
        """Return what dspam.conf and the group file say."""
        found: dict[str, list[Fact]] = {}
        for label, document in self._of("dspam.conf"):
            for each in document.entries:
                found.setdefault(each.name.lower(), []).append(Fact(each.value, label, each.line))
        groups = [Fact(x.value, label, x.line) for label, document in self._of("dspam-group") for x in document.entries]
        return Dspam(found, groups)

    def amavis(self) -> dict[str, Fact]:
        """Return amavis's variables."""
        return {
            each.name: Fact(each.value, label, each.line)
            for label, document in self._of("amavisd.conf")
            for each in document.entries
        }


# --- predictions -----------------------------------------------------------------------------------------------------


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
            for alias in row.aliases:
                said = f"{text}: mail to {alias} is stored more than once."
                made = Prediction("double-alias-expansion", alias, said, place.file, place.line)
                found.setdefault("duplicate-delivery", []).append(made)
            for fact in row.bcc:
                said = f"{text}: the copies of this BCC setting ({fact.value}) are made twice."
                made = Prediction("double-alias-expansion", fact.value, said, fact.file, fact.line)
                found.setdefault("duplicate-delivery", []).append(made)
        elif row.row in {"alias-owns-hash", "never-expanded"}:
            text = f"no_address_mappings stands before the filter ({entrance})"
            if row.row == "never-expanded":
                text += f" and after it ({back}): virtual aliases are never expanded, and BCC copies stop"
            for alias in row.aliases:
                said = f"{text}: the filter learns mail to {alias} under the alias."
                made = Prediction("alias-not-expanded", alias, said, place.file, place.line)
                found.setdefault("alias-owns-hash", []).append(made)
                people = ", ".join(sorted(settings.expand(alias)))
                said = f"{text}: {people} can't train mail to {alias}."
                made = Prediction("alias-not-expanded", alias, said, place.file, place.line)
                found.setdefault("training-misses-hash", []).append(made)
    return found
