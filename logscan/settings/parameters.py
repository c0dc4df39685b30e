"""Expands Postfix's parameters: what main.cf sets, the built-in defaults, and the ``$variables`` in both."""

from __future__ import annotations

import re
from collections.abc import Mapping

from logscan.settings.facts import Fact

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

_NAME = re.compile(r"[A-Za-z0-9_]+")
_SIGN = re.compile(r"\s*(==|!=|<=|>=|<|>)(?:level)?\s*(?=\{)")


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
    version = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})*")
    if version.fullmatch(left) and version.fullmatch(right):
        one, two = [int(x) for x in left.split(".")], [int(x) for x in right.split(".")]
        pad = max(len(one), len(two))
        one += [0] * (pad - len(one))
        two += [0] * (pad - len(two))
        order = (one > two) - (one < two)
    else:
        order = (left > right) - (left < right)
    return order in {"==": (0,), "!=": (-1, 1), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[sign]
