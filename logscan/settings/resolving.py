"""Where a recipient in the queue goes: its domain's class, transport and next hop, and what local(8) makes of a local user."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from logscan.settings.addresses import targets_of
from logscan.settings.facts import Fact
from logscan.settings.lookups import Answer, Lookups, Unread

Kind = Literal["mailbox", "local", "relay", "outside", "unknown-user", "moved", "error", "program", "file", "include", "loop",
               "expanded", "forwarded", "can't be told"]  # fmt: skip

DEFAULT_TRANSPORTS = {"local_transport": "local:$myhostname", "virtual_transport": "virtual", "relay_transport": "relay",
                      "default_transport": "smtp"}  # fmt: skip
"""postconf(5)."""

CLASSES: tuple[tuple[str, str, Kind], ...] = (
    ("mydestination", "local_transport", "local"),
    ("virtual_alias_domains", "", "unknown-user"),
    ("virtual_mailbox_domains", "virtual_transport", "mailbox"),
    ("relay_domains", "relay_transport", "relay"),
)
"""The lists of domains in the order in which trivial-rewrite asks them, the transport of each, and what it means."""

DEEPEST = 100
"""Aliases within aliases that local(8) follows (local/alias.c)."""

MOST = 2000
"""Ends that are followed; more are cut."""


@dataclass(frozen=True)
class End:
    """Where one recipient ends, as far as the configuration tells. ``text`` is a sentence without an end."""

    address: str
    kind: Kind
    text: str
    transport: str = ""
    next_hop: str = ""
    mailbox: str = ""
    """Its value in virtual_mailbox_maps, or the local user."""
    login: str = ""
    """The address that the mailbox belongs to: without an extension that is not its own."""
    facts: tuple[Fact, ...] = ()
    unread: tuple[Unread, ...] = ()
    doors: str = ""
    """What smtpd says to a stranger's mail for this very address, where it refuses it."""
    inner: tuple[tuple[str, End], ...] = field(default=())
    """What it is expanded to by local(8); or, by a condition that can't be told, what follows."""


class Resolving:
    """trivial-rewrite(8) and local(8)."""

    def __init__(self, lookups: Lookups, told: frozenset[str]) -> None:
        self.lookups = lookups
        self.get = lookups.postfix.get
        self.told = told
        """Domains that the user named as having their mailboxes here."""

    def end(self, address: str) -> End:
        """Return where an address in the queue goes."""
        return self._from_class(address, address.rpartition("@")[2], 0)

    def _from_class(self, address: str, domain: str, first: int) -> End:
        """Return where it goes, beginning with the first class that hasn't been ruled out."""
        for number, (parameter, transport, kind) in enumerate(CLASSES[first:], first):
            answer = self.lookups.listed(parameter, domain)
            if parameter == "virtual_mailbox_domains" and domain in self.told:
                answer = Answer(domain, Fact(domain, "--local-domain", 0), domain)
            if answer.value is not None and answer.sure:
                return self._of_class(address, parameter, transport, kind, answer)
            if answer.unread:
                yes = self._of_class(address, parameter, transport, kind, replace(answer, unread=()))
                no = self._from_class(address, domain, number + 1)
                return End(
                    address, "can't be told", f"whether {domain} is in {parameter} can’t be told", unread=answer.unread,
                    inner=(("if it is", yes), ("if not", no)),
                )  # fmt: skip
        return self._elsewhere(address, domain, "default_transport", "outside", ())

    def _of_class(self, address: str, parameter: str, transport: str, kind: Kind, answer: Answer) -> End:
        domain, facts = address.rpartition("@")[2], (answer.fact,) if answer.fact else ()
        if parameter == "virtual_alias_domains":
            said = f"{domain} is a virtual alias domain, and no alias has this address: refused as unknown"
            maps = self.lookups.address("virtual_alias_maps", address)
            if maps.unread:
                said = f"{domain} is a virtual alias domain; whether an alias has this address can’t be told"
            doors = "" if maps.unread else "550 5.1.1 User unknown in virtual alias table"
            return End(
                address, "can't be told" if maps.unread else kind, said, facts=facts, unread=maps.unread, doors=doors
            )
        if parameter == "relay_domains":
            return self._elsewhere(address, domain, transport, kind, facts)
        value, hop = self._transport(transport, domain)
        found = End(address, kind, "", value, hop, facts=facts)
        found = self._mapped(found)
        if found.kind != kind:
            return found
        return self._local(found) if kind == "local" and found.transport == "local" else self._mailbox(found, kind)

    def _transport(self, parameter: str, domain: str) -> tuple[str, str]:
        value = self.lookups.postfix.parameters.expand(self.get(parameter) or DEFAULT_TRANSPORTS[parameter])
        name, _, hop = value.strip().partition(":")
        return name, hop or domain

    def _elsewhere(self, address: str, domain: str, transport: str, kind: Kind, facts: tuple[Fact, ...]) -> End:
        """Return the end of mail for another host: by the relayhost, or by the DNS."""
        name, hop = self._transport(transport, domain)
        relayhost = self.get("relayhost").strip()
        if relayhost and hop == domain:
            hop, fact = relayhost, self.lookups.postfix.fact("relayhost")
            facts = (*facts, *((fact,) if fact else ()))
        unread = tuple(
            Unread(each, item, "it depends on the sender", address)
            for each in ("sender_dependent_default_transport_maps", "sender_dependent_relayhost_maps")
            if (item := self.get(each).strip())
        )
        found = self._mapped(End(address, kind, "", name, hop, facts=facts, unread=unread))
        if found.kind != kind:
            return found
        return replace(found, text=self._leaving(found, domain))

    def _leaving(self, found: End, domain: str) -> str:
        for_it = "relay domain" if found.kind == "relay" else "no domain of this server"
        if found.transport not in ("smtp", "relay", "lmtp") and not found.next_hop.startswith("["):
            return f"{domain} is a {for_it}: given to {found.transport}:{found.next_hop}".replace("is a no", "is no")
        where = "by the MX records of the DNS, which isn’t asked here"
        if found.next_hop != domain:
            where = f"to {found.next_hop}"
        return f"{domain} is a {for_it}: sent {where}, by {found.transport}".replace("is a no", "is no")

    def _mapped(self, found: End) -> End:
        """Apply transport_maps, then relocated_maps."""
        answer = self.lookups.transport(found.address)
        domain = found.address.rpartition("@")[2]
        unread = (*found.unread, *answer.unread)
        if answer.value is not None:
            name, sign, hop = answer.value.strip().partition(":")
            facts = (*found.facts, *((answer.fact,) if answer.fact else ()))
            if not name and not hop:
                found = replace(found, facts=facts)
            elif not name:
                found = replace(found, next_hop=hop, facts=facts)
            else:
                found = replace(found, transport=name, next_hop=hop if sign and hop else domain, facts=facts)
            if name in ("error", "retry"):
                reason = hop or "Address is undeliverable"
                return replace(found, kind="error", text=f"transport_maps refuse it: {reason}", unread=unread)
            if name == "discard":
                return replace(found, kind="error", text="transport_maps throw it away (discard)", unread=unread)
        moved = self.lookups.address("relocated_maps", found.address)
        if moved.value is not None:
            facts = (*found.facts, *((moved.fact,) if moved.fact else ()))
            return replace(
                found,
                kind="moved",
                text=f"returned: moved to {moved.value}",
                facts=facts,
                unread=(*unread, *moved.unread),
            )
        return replace(found, unread=(*unread, *moved.unread))

    def _mailbox(self, found: End, kind: Kind) -> End:
        """Return the end in a mailbox of a virtual domain (or of a local one whose transport isn't local(8))."""
        by = f"{found.transport}:{found.next_hop}"
        answer = self.lookups.address("virtual_mailbox_maps", found.address)
        if kind == "local" or not self.get("virtual_mailbox_maps").strip():
            return replace(
                found,
                login=self._bare(found.address),
                text=f"given to {by}; no table here tells which mailboxes there are",
            )
        unread = (*found.unread, *answer.unread)
        if answer.value is not None:
            facts = (*found.facts, *((answer.fact,) if answer.fact else ()))
            login = answer.key if "@" in answer.key[1:] else self._bare(found.address)
            text = f"mailbox {answer.value}, by {by}"
            return replace(found, mailbox=answer.value, login=login, facts=facts, unread=unread, text=text)
        if answer.unread:
            return replace(
                found,
                kind="can't be told",
                unread=unread,
                text=f"by {by}, if there is such a mailbox: that can’t be told",
            )
        return replace(
            found, kind="unknown-user", unread=unread, doors="550 5.1.1 User unknown in virtual mailbox table",
            text=f"no mailbox in virtual_mailbox_maps has this address; by {by}, which will refuse it unless it knows better",
        )  # fmt: skip

    def _bare(self, address: str) -> str:
        """Return an address without its extension."""
        local, _, domain = address.rpartition("@")
        return f"{self.lookups.split(local)[0]}@{domain}"

    # --- local(8) ------------------------------------------------------------------------------------------------------

    def _local(self, found: End) -> End:
        budget = [MOST]
        return self._user(found, found.address.rpartition("@")[0], (), budget)

    def _user(self, found: End, name: str, path: tuple[str, ...], budget: list[int]) -> End:
        """Return what becomes of a local name: aliases(5) first, then the user."""
        bare, extension = self.lookups.split(name)
        answer = self.lookups.first("alias_maps", [name, *([bare] if extension else [])])
        unread = (*found.unread, *answer.unread)
        key = answer.key
        if answer.value is None or (path and path[-1] == key):
            # An alias that lists itself means the user (local/alias.c).
            return self._box(replace(found, unread=unread), bare, bool(answer.unread) and answer.value is None)
        facts = (*found.facts, *((answer.fact,) if answer.fact else ()))
        if key in path or len(path) >= DEEPEST:
            circle = " → ".join((*path[path.index(key) :], key)) if key in path else key
            return replace(found, kind="loop", facts=facts, unread=unread,
                           text=f"aliases(5) lead in a circle: {circle}; returned as alias database loop")  # fmt: skip
        inner = []
        for target in targets_of(answer.value):
            budget[0] -= 1
            if budget[0] < 0:
                inner.append(
                    (target, replace(found, kind="can't be told", text="more than is followed here", inner=()))
                )
                break
            inner.append((target, self._target(found, target, (*path, key), budget)))
        return replace(found, kind="expanded", facts=facts, unread=unread, inner=tuple(inner),
                       text=f"alias of aliases(5): {key}")  # fmt: skip

    def _target(self, found: End, target: str, path: tuple[str, ...], budget: list[int]) -> End:
        plain = End(target, "forwarded", "")
        if target.startswith("|"):
            return replace(plain, kind="program", text="given to a program")
        if target.startswith("/"):
            return replace(plain, kind="file", text="written to a file")
        if target.startswith(":include:"):
            return replace(
                plain, kind="include", text=f"to those that the file {target[9:]} lists, which isn’t read here"
            )
        low = target.lower()
        if low.startswith("\\"):
            return self._box(replace(found, address=low[1:], unread=()), low[1:].rpartition("@")[0] or low[1:], False)
        local, _, domain = low.rpartition("@")
        if not domain or not local:
            local, domain = low, ""
        if not domain or domain in self.lookups.domains.destinations:
            whole = low if domain else f"{low}@{found.address.rpartition('@')[2]}"
            return self._user(replace(found, address=whole, facts=(), unread=()), local, path, budget)
        return replace(plain, address=low, text="sent on as a new mail")

    def _box(self, found: End, user: str, doubtful: bool) -> End:
        """Return the end in a local user's mailbox; there may be no such user, and a .forward."""
        facts = list(found.facts)
        how = ""
        for name in ("mailbox_transport", "mailbox_command", "home_mailbox"):
            if value := self.get(name).strip():
                how = f"{name} = {value}"
                facts += [fact] if (fact := self.lookups.postfix.fact(name)) else []
                break
        for name in ("mailbox_transport_maps", "mailbox_command_maps"):
            if item := self.get(name).strip():
                found = replace(found, unread=(*found.unread, Unread(name, item, "it isn’t followed here", user)))
        how = how or f"the system’s mail spool ({self.get('mail_spool_directory') or '/var/mail'})"
        lost = next(
            (
                f"{name} = {value}"
                for name in ("fallback_transport", "luser_relay")
                if (value := self.get(name).strip())
            ),
            "",
        )
        no_user = f"; without such a user: {lost}" if lost else ", if the host has such a user"
        alias = "if no alias has it, " if doubtful else ""
        said = f"{alias}local user {user}{no_user}: {how}; a .forward of the user’s may send it elsewhere"
        login = f"{user}@{found.address.rpartition('@')[2]}"
        return replace(found, kind="local", text=said, mailbox=user, login=login, facts=tuple(facts))
