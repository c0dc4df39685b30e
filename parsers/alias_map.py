"""Reads Postfix lookup tables in their source form: virtual(5), aliases(5), mailboxes, transport(5), domains."""

from __future__ import annotations

import re
from collections import Counter

from logscan.settings import ConfigFormat, Document, Entry, base_name, logical_lines

_COLON = re.compile(r'("(?:[^"\\]|\\.)*"|[^\s:"#@]+)\s*:(?:\s+|(?=[^/\s\]]))(.*)', re.DOTALL)
_NEXT_HOP = re.compile(r"[^\s:]+\s+:\S")
"""``example.org :[gate.example.org]`` of transport(5), which isn't a name of aliases(5)."""
_PLAIN = re.compile(r'("(?:[^"\\]|\\.)*"(?:@\S+)?|\S+)(?:\s+(.*))?', re.DOTALL)
_ADDRESS = r'(?:"(?:[^"\\]|\\.)*"|[^\s,@:/"\[\]()<>;=|\\{}]+)?@[\w.\-]+'
_ADDRESSES = re.compile(rf"{_ADDRESS}(?:[\s,]+(?:{_ADDRESS}|[\w.+\-]+))*,?", re.ASCII)
_NAMES = re.compile(r"[\w.+\-]+(?:\s*,\s*[\w.+\-]+)*", re.ASCII)
_KEY = re.compile(rf"{_ADDRESS}\Z", re.ASCII)
_DOMAIN = re.compile(r"\.?[\w\-]+(\.[\w\-]+)+\Z|\*\Z|localhost\Z", re.ASCII)
_TRANSPORT = re.compile(r"[\w\-]*:(\[[^\]\s]*\](:\w+)?|unix:\S+|inet:\S+|[\w.\-]*(:\w+)?|\d\.\d\.\d .*)\Z", re.ASCII)
_ACTION = re.compile(r"(OK|REJECT|DUNNO|PERMIT|DEFER\w*|HOLD|DISCARD|FILTER|REDIRECT|BCC|WARN|PREPEND|\d{3})\b")
_USUAL = {"postmaster", "root", "mailer-daemon", "abuse", "webmaster", "hostmaster", "nobody", "bin", "daemon"}
_HINT = re.compile(r"^(virtual|valias|alias|vmailbox|transport|recipient_bcc|sender_bcc|canonical|vdomains|relay)")


def _kind(key: str, value: str) -> str:
    """Return what one entry looks like; empty when like nothing."""
    keyed = _KEY.match(key)
    if not keyed and not _DOMAIN.match(key):
        return ""
    if _ADDRESSES.fullmatch(value):
        return "virtual"
    if _ACTION.match(value):
        return "access"
    if _TRANSPORT.match(value):
        return "transport"
    if keyed and "/" in value and "@" not in value.rpartition("/")[2] and not re.search(r"[\s,]\S*@", value):
        return "vmailbox"
    return ""


def _split(text: str) -> tuple[str, str]:
    match = _PLAIN.match(text)
    return (match[1], " ".join((match[2] or "").split())) if match else (text, "")


def _target_like(value: str) -> bool:
    return bool(re.fullmatch(r'\s*("?[|/:][^\n]*|\\?[\w.+\-@]+(\s*,\s*[\w.+\-@]+)*,?)\s*', value, re.ASCII))


def recognise(path: str, text: str) -> float:
    """Return the share of entries of one kind of table; names that could be anything need the file's name."""
    kinds: Counter[str] = Counter()
    lines = 0
    usual = False
    for logical in logical_lines(text):
        lines += 1
        body = logical.text.replace("\n", " ")
        colon = None if _NEXT_HOP.match(body) else _COLON.fullmatch(body)
        if colon and _target_like(colon[2]):
            kinds["aliases"] += 1
            usual = usual or colon[1].lower() in _USUAL
            continue
        key, value = _split(body)
        kind = _kind(key, value)
        if kind:
            kinds[kind] += 1
        elif _DOMAIN.match(key) and not re.search(r"\s", value) and len(value) < 12:
            kinds["domains"] += 1
    if not lines:
        return 0.0
    hint = bool(_HINT.match(base_name(path).lower()))
    share = max(kinds.values(), default=0) / lines
    kind = kinds.most_common(1)[0][0] if kinds else ""
    if kind == "aliases" and not (usual or hint):
        return 0.3 * share
    if kind == "domains" and not hint:
        return 0.4 * share
    return min(1.0, (sum(kinds.values()) / lines) * (0.85 + (0.15 if hint else 0.0))) if share > 0.4 else 0.0


def parse(text: str) -> Document:
    """Return the entries; the document's variant is the kind that most of them look like."""
    document = Document()
    kinds: Counter[str] = Counter()
    for logical in logical_lines(text):
        body = logical.text.replace("\n", " ")
        colon = None if _NEXT_HOP.match(body) else _COLON.fullmatch(body)
        if colon:
            kinds["aliases"] += 1
            key, value = colon[1].strip('"'), " ".join(colon[2].split())
        else:
            key, value = _split(body)
            kind = _kind(key, value)
            kinds[kind or ("domains" if _DOMAIN.match(key) else "")] += 1
            key = key.replace('"', "") if re.fullmatch(r'"[\w.+\-]+"(@\S+)?', key) else key
        if not value and not colon:
            if not _DOMAIN.match(key):
                document.problems.append((logical.line, "a key without a value"))
                continue
            value = ""
        document.entries.append(Entry((key,), value, logical.line, logical.span))
    kinds.pop("", None)
    if kinds["virtual"] and kinds["domains"]:
        kinds["virtual"] += kinds.pop("domains")  # "example.com anything" declares a virtual alias domain
    document.variant = kinds.most_common(1)[0][0] if kinds else "map"
    return document


CONFIG = ConfigFormat(
    name="map",
    title="Postfix lookup table (virtual, aliases, mailboxes, transport)",
    reference="https://www.postfix.org/virtual.5.html https://www.postfix.org/aliases.5.html",
    recognise=recognise,
    parse=parse,
)
