"""Answers what Dovecot's configuration says of training, logins and folders."""

from __future__ import annotations

import re
from collections.abc import Mapping

from logscan.settings.facts import Fact


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
