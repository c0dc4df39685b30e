"""Makes the change that mends a finding: a diff where it is safe to apply as printed, else words with exact commands.

A diff is made only against a configuration file itself, never against what a program printed of it. It keeps every
option and comment, and touches nothing but the values named. Diffs apply with ``patch -p0`` (or ``git apply -p0``) in
the configuration's folder.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from logscan.settings import Entry, Listener, Service, Settings, base_name, formats, is_loopback, recognise, split_list
from logscan.verdict import Remedy

__all__ = [
    "alias_owns_hash",
    "filter_port_25_only",
    "move_to_submission",
    "no_address_mappings_after",
    "no_address_mappings_before",
    "refuse_auth_on_25",
    "training_arguments",
    "unfilter_local",
    "unfilter_submission",
    "unified",
]

RELOAD = "Then run: postfix check && postfix reload."
RESTART = "Then run: postfix check && postfix stop && postfix start (a reload can't take over addresses already bound)."
MAPPINGS = "no_address_mappings"
OPTIONS = "receive_override_options"


@dataclass(frozen=True)
class _Edit:
    """Replaces ``text[begin:end]`` of a file."""

    file: str
    begin: int
    end: int
    text: str


@dataclass
class _Change:
    """One step: how to make it with postconf, and as edits of the file where that file is at hand."""

    commands: list[str]
    edits: list[_Edit] | None
    file: str | None = None
    line: int | None = None


@dataclass
class _Plan:
    """The steps of one remedy, in the order in which they are safe."""

    settings: Settings
    changes: list[_Change] = field(default_factory=list)

    def remedy(self, text: str, after: str = "") -> Remedy:
        """Return the remedy: a diff if every step has edits, else the commands in words."""
        first = self.changes[0] if self.changes else None
        diff = self._diff()
        commands = [command for change in self.changes for command in change.commands]
        if diff is None and commands:
            text = "\n".join((f"{text} With these commands:", *commands, after))
        elif diff is not None:
            text = f"{text} The change keeps all other options. {after}"
        else:
            text = f"{text} {after}"
        return Remedy(text.strip(), first.file if first else None, first.line if first else None, diff)

    def _diff(self) -> str | None:
        if not self.changes:
            return None
        edits: dict[str, list[_Edit]] = {}
        for change in self.changes:
            if not change.edits:
                return None
            for edit in change.edits:
                edits.setdefault(edit.file, []).append(edit)
        parts: list[str] = []
        for file, own in edits.items():
            old = self.settings.texts[file]
            new = _apply(old, own)
            if new is None:
                return None
            parts.append(unified(_header(self.settings, file), old, new))
        return "".join(parts) or None


def _header(settings: Settings, file: str) -> str:
    kind = settings.kinds.get(file)
    return kind if kind in {"main.cf", "master.cf"} else base_name(file)


def _apply(text: str, edits: Iterable[_Edit]) -> str | None:
    """Return the text with the edits made; None when two of them overlap."""
    out: list[str] = []
    at = 0
    for edit in sorted(set(edits), key=lambda each: (each.begin, each.end)):
        if edit.begin < at:
            return None
        out.extend((text[at : edit.begin], edit.text))
        at = edit.end
    out.append(text[at:])
    return "".join(out)


def unified(name: str, old: str, new: str) -> str:
    """Return a unified diff between two texts of the file ``name``, one that patch(1) takes as it is."""
    one, two = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (old, new))
    lines = list(difflib.unified_diff(one, two, name, name, n=3))
    return "".join(each if each.endswith("\n") else f"{each}\n\\ No newline at end of file\n" for each in lines)


# --- single steps ----------------------------------------------------------------------------------------------------


def _real(settings: Settings, file: str) -> bool:
    """Whether a text is the file itself, not what postconf printed."""
    return settings.postfix.origin.get(file) == "file" and file in settings.texts


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _set(settings: Settings, service: Service, name: str, value: str) -> _Change:
    """Give a service an override: change the one it has, else add a line behind its last."""
    command = f"postconf -P {shlex.quote(f'{service.key}/{name}={value}')}"
    override = service.override(name)
    line = override.line if override else service.line
    change = _Change([command], None, service.file, line)
    if not _real(settings, service.file) or re.search(r"\s", value):
        return change
    text = settings.texts[service.file]
    if override is None:
        newline = _newline(text)
        lead = "" if text[: service.span[1]].endswith("\n") else newline
        tail = newline if not lead else ""
        added = f"{lead}{service.indent}-o {name}={value}{tail}"
        change.edits = [_Edit(service.file, service.span[1], service.span[1], added)]
    elif override.value_span:
        change.edits = [_Edit(service.file, *override.value_span, value)]
    return change


def _append(settings: Settings, service: Service, name: str, item: str) -> _Change:
    """Add an item to the list that a service has for ``name``; nothing that stands there is rewritten."""
    fact = service.fact(name)
    held = fact.value.strip().rstrip(",") if fact else ""
    value = f"{held},{item}" if held else item
    override = service.override(name)
    if override is None:
        change = _set(settings, service, name, re.sub(r"[\s,]+", ",", value))
        if fact:  # the override would stand in for main.cf's value: have it said, not slipped in
            change.edits = None
        return change
    change = _Change([f"postconf -P {shlex.quote(f'{service.key}/{name}={value}')}"], None, service.file, override.line)
    if _real(settings, service.file) and override.value_span:
        end = override.value_span[1]
        stands = settings.texts[service.file][override.value_span[0] : end]
        glue = "" if not held or stands.endswith(",") else ","
        change.edits = [_Edit(service.file, end, end, f"{glue}{item}")]
    return change


def _drop_item(settings: Settings, service: Service, name: str, item: str) -> _Change:
    """Take an item out of the list that a service has for ``name``; an override left empty goes with its line."""
    fact = service.fact(name)
    rest = [each for each in split_list(fact.value if fact else "") if each.lower() != item]
    override = service.override(name)
    whole = len([each for each in service.overrides if each.name == name]) == 1 and not service.main.fact(name)
    if override is None or rest or not whole:
        return _set(settings, service, name, ",".join(rest))
    change = _Change([f"postconf -PX {shlex.quote(f'{service.key}/{name}')}"], None, service.file, override.line)
    if _real(settings, service.file) and override.span:
        change.edits = [_cut(settings.texts[service.file], service.file, override.span)]
    return change


def _cut(text: str, file: str, span: tuple[int, int]) -> _Edit:
    """Remove a span, and the whole line when nothing else stands on it."""
    begin, end = span
    line = text.rfind("\n", 0, begin) + 1
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop + 1
    if not text[line:begin].strip() and not text[end:stop].strip():
        return _Edit(file, line, stop, "")
    while begin > line and text[begin - 1] in " \t":
        begin -= 1
    if begin == line:  # the line goes on behind it and stays a continuation
        begin = span[0]
        while end < stop and text[end] in " \t":
            end += 1
    return _Edit(file, begin, end, "")


# --- aliases before and after the filter -----------------------------------------------------------------------------

_ONCE = (
    "Canonical maps, masquerading and automatic BCC copies are switched by the same option: they too are then applied "
    "once, before the filter."
)


def _merge_after(settings: Settings) -> list[_Change] | None:
    """Return the steps that switch address mapping off after the filter; None where the service isn't known."""
    services = [each.service for each in settings.reinjection()]
    if not services:
        return None
    return [_append(settings, each, OPTIONS, MAPPINGS) for each in services if not settings.mapping(each).off]


def _remove_before(settings: Settings) -> tuple[list[_Change], list[str]]:
    """Return the steps that switch it on again before the filter, and what has to be said in words."""
    changes: list[_Change] = []
    words: list[str] = []
    for service in settings.filtered():
        state = settings.mapping(service)
        if state.how == "receive_override_options":
            changes.append(_drop_item(settings, service, OPTIONS, MAPPINGS))
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
        return _done(settings, "no_address_mappings stands after the filter already")
    text = (
        "Expand aliases only before the filter: merge no_address_mappings into the options of the re-injection service."
    )
    return _Plan(settings, changes).remedy(text, f"{_ONCE} {RELOAD}")


def no_address_mappings_before(settings: Settings) -> Remedy:
    """Return the remedy that takes no_address_mappings away before the filter.

    Alone it is right only where no_address_mappings stands after the filter already.
    """
    changes, words = _remove_before(settings)
    if not changes and not words:
        return _not_before(settings)
    text = "Expand aliases before the filter: take no_address_mappings out of the options of the services that filter."
    return _Plan(settings, changes if not words else []).remedy(text, " ".join((*words, RELOAD)))


def _done(settings: Settings, said: str) -> Remedy:
    """Return what to say where the configuration given doesn't show the fault that the log shows."""
    files = ", ".join(
        sorted({each.file for each in settings.postfix.services} | {x.file for x in settings.postfix.main.values()})
    )
    text = f"In the configuration given ({files}) {said}: it seems to be newer than the log, or not the one in force."
    return Remedy(f"{text} If so, reload Postfix; else compare with postconf -n and postconf -P.")


def _not_before(settings: Settings) -> Remedy:
    if settings.filtered():
        return _done(settings, "no_address_mappings does not stand before the filter")
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
    return _Plan(settings, [*after, *before] if not words else []).remedy(text, " ".join((*words, learned, RELOAD)))


# --- who goes through the filter -------------------------------------------------------------------------------------


def refuse_auth_on_25(settings: Settings) -> Remedy:
    """Return the second half of the remedy for logins on port 25: no AUTH there, once the users have moved."""
    warning = (
        "Only after the users named have moved: until then this locks them out. Refuse mail from your own domains "
        "without authentication on port 25 at the same time (check_sender_access with your domains in "
        "smtpd_sender_restrictions, behind permit_mynetworks): otherwise some mail programs fall back to sending "
        "without authentication, and vanish from sight."
    )
    if not settings.known("master"):
        return Remedy(f"Set smtpd_sasl_auth_enable=no on the smtpd service of port 25 in master.cf. {warning} {RELOAD}")
    offering = [each for each in settings.listeners_on(25) if each.sasl and not each.loopback]
    if not offering:
        return _done(settings, "port 25 offers no authentication")
    changes = [_set(settings, each.service, "smtpd_sasl_auth_enable", "no") for each in offering]
    where = "on the smtpd behind postscreen (smtpd pass)" if offering[0].postscreen else "on port 25"
    text = f"Offer no authentication {where}: smtpd_sasl_auth_enable=no."
    return _Plan(settings, changes).remedy(text, f"{warning} {RELOAD}")


def move_to_submission(settings: Settings, user: str | None = None) -> Remedy:
    """Return the whole remedy for logins on port 25: a message to the user, then :func:`refuse_auth_on_25`."""
    refuse = refuse_auth_on_25(settings)
    ports = {each.port for each in settings.listeners() if each.port in {465, 587} and each.sasl}
    ways = ["port 587 with STARTTLS"] if 587 in ports or 465 not in ports else []
    ways += ["port 465 with SSL/TLS"] if 465 in ports else []
    open_first = ""
    if settings.known("master") and not ports:
        open_first = "First open a submission service (port 587) in master.cf: there is none. "
    who = user or "the users named"
    text = f"First let {who} change the outgoing server's port to {' or '.join(ways)}. Then: {refuse.text}"
    host = settings.postfix.get("myhostname") or "our mail server"
    message = (
        f"Hello,\n\nyour mail program{f' (login {user})' if user else ''} sends mail through port 25 of {host}. That "
        "port is meant for mail from other servers, and treats what it takes as such: your own mail may be taken for "
        "spam.\n\nPlease change the settings of your mail program for outgoing mail (SMTP):\n"
        f"  server: {host}\n  port and encryption: {' or '.join(ways)}\n  login and password: as before\n\n"
        "Port 25 will stop accepting logins. Please do this on each device that you send mail from. Thank you.\n"
    )
    return Remedy(open_first + text, refuse.file, refuse.line, refuse.diff, message)


_FETCHMAIL = (
    "Not where fetchmail or the like hands in mail from outside by this way: it would go unfiltered. Local programs' "
    "mail to users of this server is then not filtered either."
)


def unfilter_local(settings: Settings, *, pickup: bool = True, loopback: bool = True) -> Remedy:
    """Return the remedy for local programs' mail that is filtered: by sendmail (``pickup``), by 127.0.0.1:25, or both.

    For loopback a diff only where ``inet_interfaces`` spells out the addresses and no postscreen stands in front.
    """
    plan = _Plan(settings)
    parts: list[str] = []
    blocked = ""
    restart = False
    place: tuple[str, int] | None = None
    filtered = settings.filtered()
    pickups = [each for each in filtered if each.command == "pickup"] if pickup else []
    if pickups:
        plan.changes += [_set(settings, each, "content_filter", "") for each in pickups]
        parts.append("Let mail handed in with sendmail pass the filter by: an empty content_filter on pickup.")
    inner, wild = _loopback(settings) if loopback else ([], None)
    if inner:
        plan.changes += [_set(settings, each.service, "content_filter", "") for each in inner]
        parts.append("Let programs on this host pass the filter by: an empty content_filter on the loopback line.")
    elif wild:
        service = wild.service
        split = None if wild.postscreen else _per_address(settings, service)
        restart = split is not None
        place = service.file, service.line
        if split:
            plan.changes.append(_Change([], split, service.file, service.line))
        elif wild.postscreen:
            blocked = "The line of port 25 can't be split by address: postscreen stands in front of it. "
        else:
            parts.append(
                f'Replace the line "{service.name} {service.type}" in master.cf by one for each address: '
                "127.0.0.1:25 (and [::1]:25 with IPv6) with an empty content_filter, every outer address with all the "
                "options of today."
            )
            blocked = "(No diff: inet_interfaces doesn't spell out the addresses, or master.cf itself isn't at hand.) "
        if split:
            parts.append(
                f'Replace the line "{service.name} {service.type}" by one for each address: loopback with an empty '
                "content_filter, outer addresses as they are."
            )
        parts.append(("Instead, take" if wild.postscreen else "Or take") + _BY_CLIENT.format(wild.content_filter))
    if not parts:
        if settings.known("master"):
            return _done(settings, "mail of local programs isn't filtered")
        text = (
            "Set an empty content_filter on the service by which local programs hand in mail: on the pickup line for "
        )
        text += "sendmail; for 127.0.0.1:25 with a line of its own for that address in master.cf."
        return Remedy(f"{text} {_FETCHMAIL} {RELOAD}")
    if blocked:
        commands = [command for change in plan.changes for command in change.commands]
        text = "\n".join((" ".join(parts), *commands, f"{blocked}{_FETCHMAIL} {RELOAD}"))
        return Remedy(text, *(place or (None, None)))
    return plan.remedy(" ".join(parts), f"{_FETCHMAIL} {RESTART if restart else RELOAD}")


_BY_CLIENT = (
    ' content_filter away on port 25 and decide by client: "check_client_access static:{{FILTER {}}}" at the end of '
    "smtpd_recipient_restrictions, behind permit_mynetworks and permit_sasl_authenticated; this spares authenticated "
    "users on port 25 too."
)


def _loopback(settings: Settings) -> tuple[list[Listener], Listener | None]:
    """Return the filtered port-25 listeners on loopback alone; or, without any, the one on all addresses."""
    listeners = settings.listeners_on(25)
    own = [each for each in listeners if each.loopback]
    if own:
        return [each for each in own if each.content_filter], None
    return [], next((each for each in listeners if each.content_filter and not each.address), None)


def _per_address(settings: Settings, service: Service) -> list[_Edit] | None:
    """Return the edits that split a wildcard line by address; None where that can't be promised."""
    if not _real(settings, service.file) or not settings.postfix.fact("inet_interfaces"):
        return None
    protocols = set(split_list(settings.postfix.get("inet_protocols").lower()))
    six, four = bool(protocols & {"all", "ipv6"}), bool(protocols & {"all", "ipv4"})
    inner: list[str] = []
    outer: list[str] = []
    for item in split_list(settings.postfix.get("inet_interfaces").lower()):
        if item == "localhost":
            inner.extend([*(["127.0.0.1"] if four else []), *(["[::1]"] if six else [])])
            continue
        try:
            address = ipaddress.ip_address(item.strip("[]"))
        except ValueError:
            return None
        if not (six if address.version == 6 else four):
            continue
        name = f"[{address}]" if address.version == 6 else str(address)
        (inner if is_loopback(str(address)) else outer).append(name)
    if not inner or not outer:
        return None
    text = settings.texts[service.file]
    newline = _newline(text)
    block = text[service.span[0] : service.span[1]]
    copy = newline.join(service.raw) + newline
    if "service_name" in "".join(each.value for each in service.overrides):
        return None  # its new name would show in the log
    port = 25
    rename = len(service.name)
    lead = "" if block.endswith("\n") else newline
    added = [f"{host}:{port}{copy[rename:]}" for host in dict.fromkeys(outer)][1:]
    freed = _without_filter(copy, service.indent, newline)
    if freed is None:
        return None
    added += [f"{host}:{port}{freed[rename:]}" for host in dict.fromkeys(inner)]
    first = next(iter(dict.fromkeys(outer)))
    tail = "".join(added)
    return [
        _Edit(service.file, *service.name_span, f"{first}:{port}"),
        _Edit(service.file, service.span[1], service.span[1], lead + (tail if not lead else tail.rstrip("\r\n"))),
    ]


def _without_filter(block: str, indent: str, newline: str) -> str | None:
    """Return one service's lines with an empty content_filter."""
    master = next(each for each in formats() if each.name == "master.cf")
    services = master.parse(block).services
    if len(services) != 1:
        return None
    override = services[0].override("content_filter")
    if override is None:
        return f"{block}{indent}-o content_filter={newline}"
    if override.value_span is None:
        return None
    begin, end = override.value_span
    return block[:begin] + block[end:]


def unfilter_submission(settings: Settings, tag: str | None = None) -> Remedy:
    """Return the remedy for a filtered submission service (all of them, or the one that logs under ``tag``)."""
    wanted: list[Listener] = []
    for each in settings.listeners():
        submission = each.port in {465, 587} or (each.sasl and each.port != 25 and not each.loopback)
        if each.content_filter and (submission if tag is None else each.tag == tag):
            wanted.append(each)
    if not wanted and settings.known("master"):
        return _done(settings, "no submission service is filtered")
    if not wanted:
        return Remedy(
            f"Set an empty content_filter (-o content_filter=) on the submission service in master.cf. {RELOAD}"
        )
    changes = [_set(settings, each.service, "content_filter", "") for each in wanted]
    names = ", ".join(each.service.name for each in wanted)
    text = f"Let your users' own mail pass the filter by: an empty content_filter on {names}."
    after = "If outgoing mail is filtered on purpose, let the filter not tag it instead."
    return _Plan(settings, changes).remedy(text, f"{after} {RELOAD}")


def filter_port_25_only(settings: Settings) -> Remedy:
    """Return the remedy for a global filter: content_filter moves from main.cf to the smtpd of port 25.

    Services on other outer ports that take mail without authentication keep the filter.
    """
    fact = settings.postfix.fact("content_filter")
    if fact is None or not settings.postfix.get("content_filter").strip():
        if settings.known("postfix"):
            return _done(settings, "main.cf sets no content_filter for all")
        text = "Move content_filter from main.cf to the smtpd service of port 25 in master.cf (-o content_filter=...)."
        return Remedy(f"{text} {RELOAD}")
    value = fact.value.strip()
    back = {each.service.key for each in settings.reinjection()}
    keep = [
        each
        for each in settings.listeners()
        if not each.loopback
        and "content_filter" not in each.service.options
        and each.service.key not in back
        and (each.port == 25 or not each.sasl)
        and each.port not in {465, 587}
    ]
    text = "Filter only mail from outside: move content_filter from main.cf to the smtpd of port 25 in master.cf."
    free = [each.key for each in settings.entrances() if not any(each is one.service for one in keep)]
    after = f"No longer filtered: {', '.join(free) or 'mail from local programs and authenticated users'}."
    after += " Mail of local programs to 127.0.0.1:25 still is. " + RELOAD
    if not any(each.port == 25 for each in keep):
        return Remedy(f"{text} {after}", fact.file, fact.line)
    changes = [_set(settings, each.service, "content_filter", value) for each in keep]
    removal = _Change(
        ["postconf -X content_filter"], _removal(settings, fact.file, "content_filter"), fact.file, fact.line
    )
    return _Plan(settings, [*changes, removal]).remedy(text, after)


def _removal(settings: Settings, file: str, name: str) -> list[_Edit] | None:
    """Return the edits that remove a parameter from main.cf, however often it is set there."""
    if not _real(settings, file):
        return None
    main = next(each for each in formats() if each.name == "main.cf")
    text = settings.texts[file]
    entries = [each for each in main.parse(text).entries if each.name == name]
    if any(text[slice(*each.span)].rstrip("\n").count("\n") for each in entries):
        return None
    return [_Edit(file, *each.span, "") for each in entries]


# --- training --------------------------------------------------------------------------------------------------------


def training_arguments(settings: Settings) -> Remedy:
    """Return the remedy for training calls that name the bare login: the domain spelled in the arguments.

    A diff only with exactly one domain of local users and Dovecot's own file at hand.
    """
    dovecot = settings.dovecot
    fact = dovecot.training_arguments
    late = _version(dovecot.version) >= (2, 4)
    realm: Literal["auth_default_domain", "auth_default_realm"] = (
        "auth_default_domain" if late else "auth_default_realm"
    )
    domains = settings.mailbox_domains
    other = (
        f"Or complete the logins themselves with {realm} = {domains[0] if len(domains) == 1 else 'DOMAIN'} in Dovecot, "
        "after checking that no mail_location, mail_home, userdb or passdb depends on the bare name. Either way it "
        "suits one domain only."
    )
    if fact is None:
        text = "Let the command that calls dspam name the user with the domain: --user NAME@DOMAIN, not the bare login."
        return Remedy(f"{text} {other}")
    user = dovecot.training_user
    if user is None or "@" in user:
        said = f"names its user as {user}" if user else "names no user"
        text = (
            f"The training call {said} ({fact.file}:{fact.line}): compare that with the user the mail was filtered for."
        )
        return Remedy(text, fact.file, fact.line)
    changed = _spelled(fact.value, user, domains[0]) if len(domains) == 1 else None
    if changed is None:
        text = "In antispam_dspam_args let --user be followed by %n@DOMAIN instead of the bare login; there "
        text += (
            "are several domains here, and %n@DOMAIN suits one only: let users log in with their whole address, or set "
        )
        text += f"{realm} to the domain of those who don't."
        if len(domains) < 2:
            text = "In antispam_dspam_args let --user be followed by %n@DOMAIN, DOMAIN being the one that your users' "
            text += f"mail is filtered under. {other}"
        return Remedy(text, fact.file, fact.line)
    text = f"Spell the domain in the training call: antispam_dspam_args = {changed}"
    text += (
        f" (line {fact.line} of {fact.file}). %n is the login without its domain: a login with one gives the same user."
    )
    edits = _dovecot_edit(settings, fact.file, fact.line, fact.value, changed)
    diff = None
    if edits:
        old = settings.texts[fact.file]
        new = _apply(old, edits)
        diff = unified(base_name(fact.file), old, new) if new is not None else None
    return Remedy(f"{text} {other} Then run: doveadm reload.", fact.file, fact.line, diff)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d{1,6}", text)[:2])


def _spelled(arguments: str, user: str, domain: str) -> str | None:
    """Return the arguments with the user's domain spelled out."""
    if user not in {"%u", "%n", "%Lu", "%Ln", "%{user}", "%{user | username}"} or not re.fullmatch(r"[\w.\-]+", domain):
        return None
    name = {"%Lu": "%Ln", "%Ln": "%Ln", "%{user}": "%{user | username}", "%{user | username}": "%{user | username}"}
    wanted = f"{name.get(user, '%n')}@{domain}"
    parts = arguments.split(";")
    for at, part in enumerate(parts):
        if part in {"--user", "-u"} and parts[at + 1 : at + 2] == [user]:
            parts[at + 1] = wanted
            return ";".join(parts)
        if part == f"--user={user}":
            parts[at] = f"--user={wanted}"
            return ";".join(parts)
    return None


def _dovecot_edit(settings: Settings, file: str, line: int, old: str, new: str) -> list[_Edit] | None:
    """Return the edit of Dovecot's own file; None for what ``doveconf -n`` printed, where the file looks different."""
    text = settings.texts.get(file, "")
    known = recognise(file, text)
    if known is None or known.name != "doveconf":
        return None
    document = known.parse(text)
    entry: Entry | None = next((each for each in document.entries if each.line == line and each.value == old), None)
    if document.variant == "output" or entry is None or entry.value_span is None:
        return None
    if text[slice(*entry.value_span)] != old:
        return None
    return [_Edit(file, *entry.value_span, new)]
