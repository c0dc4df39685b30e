"""Where mail for an address goes: by each entrance, before the filter and behind it; under which name it is learned."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from logscan.settings.expanding import Expanding, Passage
from logscan.settings.facts import Fact
from logscan.settings.filtering import FilterSetup
from logscan.settings.model import Settings
from logscan.settings.resolving import End, Resolving
from logscan.settings.services import Service


@dataclass(frozen=True)
class Leg:
    """A recipient's way through the queue once: what cleanup makes of it, and where each recipient goes then."""

    recipient: str
    passage: Passage
    ends: tuple[End, ...]
    """None where a filter takes the mail first, or where it isn't taken at all."""


@dataclass(frozen=True)
class Learning:
    """Under which name DSPAM learns mail for a recipient, and whose training reaches it. ``text`` is a sentence."""

    name: str
    may_train: tuple[str, ...]
    text: str
    fact: Fact | None = None


@dataclass(frozen=True)
class Way:
    """The way of mail that comes in by some entrances."""

    entrances: tuple[str, ...]
    """As ``postconf -M`` names them, with the port."""
    before: Leg
    """Up to the filter; without one, the whole way."""
    filter: FilterSetup | None = None
    back_by: str = ""
    """The service by which the filter hands mail back; empty where that can't be told."""
    behind: tuple[Leg, ...] = ()
    """One for each recipient that the filter sees."""
    learning: tuple[Learning, ...] = ()
    door: str = ""
    """What smtpd says before all that to whoever may not send to the address; a sentence."""

    @property
    def several(self) -> tuple[tuple[str, int], ...]:
        """The mailboxes that get a mail more than once, and how often: by several recipients that the filter hands back."""
        boxes = Counter(box for leg in (self.before, *self.behind) for box in _mailboxes(leg, certain=True)[0])
        return tuple((name, count) for name, count in boxes.items() if count > 1)


@dataclass(frozen=True)
class Route:
    """All ways of mail for an address."""

    address: str
    ways: tuple[Way, ...]
    notes: tuple[str, ...]

    @property
    def ends(self) -> tuple[End, ...]:
        """All ends of all ways, those within others too."""
        todo = [end for way in self.ways for leg in (way.before, *way.behind) for end in leg.ends]
        out = []
        while todo:
            end = todo.pop()
            out.append(end)
            todo += [each for _, each in end.inner]
        return tuple(out)

    @property
    def reached(self) -> frozenset[str]:
        """The addresses, and the mailboxes', at which mail ends."""
        return frozenset(each for end in self.ends for each in (end.address, end.login) if each)

    @property
    def sure(self) -> bool:
        """Whether nothing on any way depends on what can't be told."""
        passages = [leg.passage for way in self.ways for leg in (way.before, *way.behind)]
        lost = any(way.filter and way.filter.via != "milter" and not way.back_by for way in self.ways)
        vague = ("can't be told", "include", "forwarded")
        doubtful = any(each.unread for each in passages) or any(each.unread or each.kind in vague for each in self.ends)
        return not lost and not doubtful


def route(settings: Settings, address: str) -> Route:
    """Return where mail for an address goes, as far as the configuration tells. Raises ValueError for what is no address."""
    return _Routing(settings).route(address)


PICKUP = "pickup"


class _Routing:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lookups = settings.lookups
        self.resolving = Resolving(self.lookups, settings.told_domains)

    def route(self, address: str) -> Route:
        whole = self.lookups.complete(address.strip().strip("<>"))
        local, sign, domain = whole.rpartition("@")
        if not sign or not local or not re.fullmatch(r"[^\s@,;<>\\]{1,255}", domain) or re.search(r"\s", local):
            raise ValueError(address)
        whole, rewritten = self._rewritten(whole)
        inner = {each.service.key for each in self.settings.reinjection()}
        services: list[Service | None] = [each for each in self.settings.entrances() if each.key not in inner]
        ways: dict[Way, list[str]] = {}
        for service in services or [None]:
            way = self._way(whole, service)
            ways.setdefault(way, []).append(self._label(service))
        made = tuple(replace(way, entrances=tuple(names)) for way, names in ways.items())
        return Route(whole, made, (*rewritten, *self._notes()))

    def _rewritten(self, address: str) -> tuple[str, list[str]]:
        """Return an address as trivial-rewrite leaves it: name%domain@here and a domain without a dot."""
        local, _, domain = address.rpartition("@")
        dotless = "." not in domain and self.lookups.postfix.get("append_dot_mydomain") == "yes"
        if dotless and domain not in self.lookups.domains.destinations:
            whole = f"{local}@{domain}.{self.lookups.postfix.get('mydomain')}"
            return whole.lower(), [f"append_dot_mydomain makes {whole} of it"]
        if "%" in local and domain in self.lookups.domains.destinations:
            return address, ["allow_percent_hack and swap_bangpath may take such a name for an address elsewhere"]
        return address, []

    def _notes(self) -> list[str]:
        notes = [
            f"a rule may give some mail to another filter ({each.value[:120]}; {each.file}:{each.line})"
            for each in self.settings.filter_actions
        ]
        if not self.settings.known("master"):
            notes.append(
                "master.cf isn’t among the configuration given: by which entrance mail goes which way can’t be told"
            )
        if bcc := self.lookups.postfix.get("sender_bcc_maps").strip():
            notes.append(f"sender_bcc_maps ({bcc}) may add a copy, by the sender")
        return notes

    @staticmethod
    def _label(service: Service | None) -> str:
        if service is None:
            return "any entrance"
        if service.command == PICKUP:
            return "pickup (programs on this host)"
        return f"{service.key} (port {service.port})" if service.port else service.key

    def _way(self, address: str, service: Service | None) -> Way:
        return replace(self._followed(address, service), door=self._door(address, service))

    def _door(self, address: str, service: Service | None) -> str:
        """Return what smtpd answers at RCPT where the recipient isn't known, or is elsewhere (smtpd_check.c)."""
        if service is not None and service.command != "smtpd":
            return ""
        get = service.get if service else self.lookups.postfix.get
        maps = ("recipient_canonical_maps", "canonical_maps", "virtual_alias_maps", "relocated_maps")
        answers = [self.lookups.address(each, address) for each in maps]
        if any(each.value is not None or each.unread for each in answers):
            return ""
        end = self.resolving.end(address)
        if end.doors and "no_unknown_recipient_checks" not in get("receive_override_options"):
            return "" if get("smtpd_reject_unlisted_recipient") == "no" else f"refused at the door: {end.doors}"
        rules = f"{get('smtpd_relay_restrictions')} {get('smtpd_recipient_restrictions')}"
        default = not get("smtpd_relay_restrictions").strip()
        if end.kind == "outside" and (default or re.search(r"\b(?:reject|defer)(?:_unauth_destination|)\b", rules)):
            return (
                "refused at the door (Relay access denied) but from mynetworks or with a login, as the restrictions say"
            )
        return ""

    def _followed(self, address: str, service: Service | None) -> Way:
        filter_, proxied = self._filter(service)
        if proxied:
            # The filter sees the mail before cleanup does.
            before = Leg(address, Passage(False, None, (), (address,), ()), ())
        else:
            before = self._leg(address, service, resolved=filter_ is None)
        if filter_ is None or before.passage.trouble:
            return Way((), before)
        if filter_.via == "milter":
            before = self._leg(address, service, resolved=True)
            seen = Leg(address, before.passage, ())
            return Way((), before, filter_, "", (), self._learning(filter_, (seen,), (before,)))
        back, label = self._back(filter_)
        behind = tuple(self._leg(each, back, resolved=True) for each in before.passage.ends) if label else ()
        return Way((), before, filter_, label, behind, self._learning(filter_, (before,), behind))

    def _leg(self, address: str, service: Service | None, *, resolved: bool) -> Leg:
        mapping = self.settings.mapping(service) if service else None
        expanding = Expanding(self.lookups, service, self.lookups.postfix.parameters)
        passage = expanding.passage(
            address, not (mapping and mapping.off), mapping.fact if mapping and mapping.off else None
        )
        ends = tuple(self.resolving.end(each) for each in passage.ends) if resolved and not passage.trouble else ()
        return Leg(address, passage, ends)

    def _filter(self, service: Service | None) -> tuple[FilterSetup | None, bool]:
        """Return the filter behind an entrance, and whether it stands before the queue."""
        if service is None:
            return None, False
        mine = [each for each in self.settings.filters if service.key in each.services]
        for via in ("smtpd_proxy_filter", "content_filter"):
            found = next((each for each in mine if each.via == via), None)
            if found:
                return found, via == "smtpd_proxy_filter"
        found = next((each for each in mine if each.via == "milter" and each.kind != "other"), None)
        return found, False

    def _back(self, filter_: FilterSetup) -> tuple[Service | None, str]:
        """Return the service by which a filter hands mail back; no label where that can't be told."""
        there = self.settings.reinjection()
        if len(there) == 1:
            return there[0].service, self._label(there[0].service)
        transport = filter_.destination.partition(":")[0]
        service = self.lookups.postfix.service(transport, "unix")
        if not there and service and service.command == "pipe" and any("sendmail" in each for each in service.args):
            pickup = next((each for each in self.settings.entrances() if each.command == PICKUP), None)
            return pickup, "pickup (its program calls sendmail)" if pickup else ""
        if there and len({self.settings.mapping(each.service).off for each in there}) == 1:
            return there[0].service, " or ".join(self._label(each.service) for each in there)
        return None, ""

    # --- training -------------------------------------------------------------------------------------------------------

    def _learning(self, filter_: FilterSetup, seen: tuple[Leg, ...], behind: tuple[Leg, ...]) -> tuple[Learning, ...]:
        if filter_.kind != "dspam":
            return ()
        fixed = self.settings.dspam.fixed_user
        if fixed or not filter_.learns_per_recipient:
            name = fixed or "one user for all"
            return (Learning(name, (), f"DSPAM learns all mail under {name}: a training call must name the same"),)
        by_name = {leg.recipient: leg for leg in behind}
        names = [seen[0].recipient] if not seen[0].passage.ends else list(seen[0].passage.ends)
        return tuple(self._taught(name, by_name.get(name)) for name in names)

    def _taught(self, name: str, leg: Leg | None) -> Learning:
        said = f"DSPAM learns it under {name}"
        fact, pattern = self.settings.dovecot.training_arguments, self.settings.dovecot.training_user
        if leg is None:
            return Learning(name, (), f"{said}; whose mailboxes lie behind it can’t be told")
        boxes, sure = _mailboxes(leg)
        if not self.settings.known("dovecot") or fact is None:
            return Learning(name, (), f"{said}; how users train isn’t in the configuration given (antispam_dspam_args)")
        if pattern is None:
            return Learning(
                name, (), f"{said}; the training call names no user: whom it trains depends on who runs it", fact
            )
        able = tuple(box for box in boxes if _named_by(pattern, box) == name)
        if able:
            more = " if the login has the domain" if self.settings.dovecot.trains_login_as_given else ""
            realm = self.settings.dovecot.default_domain
            more = "" if realm is not None else more
            return Learning(name, able, f"{said}; {able[0]} may train it{more} (the call names {pattern})", fact)
        if not sure:
            return Learning(
                name, (), f"{said}; who may train it can’t be told, since the mailboxes behind it can’t", fact
            )
        others = ", ".join(boxes[:4]) + (" …" if len(boxes) > 4 else "")
        if not boxes:
            return Learning(name, (), f"{said}; no mailbox here lies behind it, so that nobody trains it", fact)
        who = f"{others} would train under names of their own"
        return Learning(name, (), f"{said}; nobody can train it: {who} (the call names {pattern})", fact)


def _mailboxes(leg: Leg, *, certain: bool = False) -> tuple[list[str], bool]:
    """Return the logins of the mailboxes at a leg's ends, and whether these are all; ``certain``: none that is doubtful."""
    boxes, sure = [], not leg.passage.unread and not leg.passage.trouble
    todo = list(leg.ends)
    while todo:
        end = todo.pop(0)
        sure = sure and not end.unread and end.kind not in ("can't be told", "include", "forwarded")
        if end.login:
            boxes.append(end.login)
        if not (certain and end.kind == "can't be told"):
            todo += [each for _, each in end.inner]
    return list(dict.fromkeys(boxes)), sure


def _named_by(pattern: str, login: str) -> str:
    """Return the user whom a training call names for a login, lower case; empty where that can't be told."""
    local, _, domain = login.rpartition("@")
    values = {"u": login, "n": local, "d": domain, "Lu": login, "Ln": local, "Ld": domain, "{user}": login}
    values |= {"{user|username}": local, "{user|domain}": domain, "{owner_user}": login, "{user | username}": local}
    out = re.sub(r"%(\{[^}]*\}|L?[und])", lambda found: values.get(found[1], "\0"), pattern)
    return "" if "\0" in out or "%" in out else out.lower()
