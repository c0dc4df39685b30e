"""Reads ``doveconf -n`` output and Dovecot configuration files, 2.2 to 2.4: settings in nested sections."""

from __future__ import annotations

import re
from typing import Final

import pyparsing as pp

from logscan.settings import ConfigFormat, Document, Entry, base_name

_HEADER = re.compile(r"# (\d+\.\d+[^ ]*)(?: \([0-9a-f]+\))?: \S+")
_KNOWN = re.compile(
    r"(protocols|mail_\w+|auth_\w+|passdb|userdb|service|namespace|protocol|plugin|ssl\w*|first_valid_|last_valid_|"
    r"listen|log_\w+|login_\w+|disable_plaintext_auth|dovecot_\w+|postmaster_address|lda_\w+|lmtp_\w+|imap_\w+|"
    r"sieve\w*|quota\w*|metric|dict\w*|mailbox|import_environment|default_\w+|base_dir|verbose_\w+|managesieve_\w+|"
    r"unix_listener|inet_listener|user|group|mode|inbox|prefix|location|driver|args|special_use|auto|antispam_\w+|"
    r"protocol_\w+|storage_\w+|sql_\w+|ldap_\w+|fs|haproxy_\w+|recipient_delimiter|hostname|mbox_\w+|maildir_\w+)\b"
)
_POSTFIX = re.compile(r"(my(hostname|destination|networks)|smtpd?_|virtual_|inet_interfaces)")

# One statement. Nesting is followed with a list of open sections, not by recursion: no input is too deep.
_NAME: Final = pp.Regex(r"[^\s={}#]+")
_VALUE: Final = pp.Regex(r".*", flags=re.DOTALL)
_INCLUDE: Final = pp.Group(pp.Regex(r"!include(_try)?\b")("include") + _VALUE("value"))
_CLOSE: Final = pp.Group(pp.Literal("}")("close") + _VALUE("rest"))
_SETTING: Final = pp.Group(_NAME("name") + pp.Suppress("=") + _VALUE("value"))
_OPEN: Final = pp.Group(_NAME("section") + pp.Opt(pp.Regex(r"[^={}#]+"))("title") + pp.Suppress("{") + _VALUE("rest"))
_STATEMENT: Final = (_INCLUDE | _CLOSE | _SETTING | _OPEN).parse_with_tabs()

_DEEPEST = 64
"""Sections inside one another that are kept apart; Dovecot's own files have four."""
_ON_ONE_LINE = 32
_LINES = 50_000
"""Lines that are read: a hundred times the longest real configuration."""


def recognise(path: str, text: str) -> float:
    """Return how much of the text looks like Dovecot's; its header settles it."""
    if _HEADER.match(text) and "dovecot" in text[:500]:
        return 1.0
    good = bad = braces = 0
    for line in text.split("\n"):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if bare == "}" or bare.startswith("!include"):
            braces += 1
            continue
        match = re.match(r"[\w/.-]+", bare)
        shaped = match and re.search(r"=|\{\s*$", bare)
        if shaped and _KNOWN.match(bare):
            good += 1
        elif _POSTFIX.match(bare):
            bad += 3
        elif not shaped:
            bad += 2
    if not good:
        return 0.0
    hint = 0.2 if re.search(r"dovecot|doveconf|^\d\d-", base_name(path)) else 0.0
    base = good / (good + bad)
    return min(1.0, (base if braces else base * 0.5) * 0.9 + hint)


def _value(text: str) -> str:
    """Return a value without its comment and quotes."""
    text = text.strip()
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?\Z|' + r"'([^']*)'\s*(?:#.*)?\Z", text, re.DOTALL)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted[1] is not None else quoted[2]
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def parse(text: str) -> Document:
    """Return every setting with the sections around it: ``("protocol imap", "mail_plugins")``."""
    document = Document(variant="file")
    header = _HEADER.match(text)
    if header:
        document.version = header[1]
        document.variant = "output"
    sections: list[str] = []
    deep = offset = 0
    carried = ""
    for number, line in enumerate(text.split("\n"), 1):
        if number > _LINES:
            document.problems.append((number, f"more than {_LINES} lines: the rest is not read"))
            break
        begin = offset
        offset += len(line) + 1
        statement = (carried + line).strip()
        if statement.endswith("\\") and not statement.startswith("#") and len(carried) < 65536:
            carried = statement[:-1]
            continue
        carried = ""
        for _ in range(_ON_ONE_LINE):
            if not statement or statement.startswith("#"):
                break
            try:
                read = _STATEMENT.parse_string(statement)[0]
            except pp.ParseException:
                document.problems.append((number, "neither a setting nor a section"))
                break
            statement = ""
            if "include" in read:
                document.problems.append((number, f"{read['include']} {read['value'].strip()}: not followed"))
            elif "close" in read:
                if deep:
                    deep -= 1
                elif sections:
                    sections.pop()
                else:
                    document.problems.append((number, "a section is closed that was never opened"))
                statement = read["rest"].strip()
            elif "section" in read:
                name = " ".join((read["section"], *str(read.get("title", "")).replace('"', "").split()))
                if len(sections) < _DEEPEST:
                    sections.append(name)
                else:
                    deep += 1
                statement = read["rest"].strip()
            elif not deep:
                _keep(document, sections, read["name"], read["value"], number, begin, line)
        else:
            if statement:
                document.problems.append((number, "too many statements on one line"))
    if sections:
        document.problems.append((text.count("\n") + 1, f"{len(sections) + deep} sections are never closed"))
    return document


def _keep(document: Document, sections: list[str], name: str, text: str, number: int, begin: int, line: str) -> None:
    inline = text.rstrip()
    if sections and re.search(r"\{.*\}\s*\Z", line) and inline.endswith("}"):
        inline = inline[:-1]  # section { name = value } on one line
        sections_now = tuple(sections)
        sections.pop()
    else:
        sections_now = tuple(sections)
    value = _value(inline)
    at = line.find(value, line.find("=") + 1) if value else -1
    place = (begin + at, begin + at + len(value)) if at >= 0 else None
    document.entries.append(Entry((*sections_now, name), value, number, (begin, begin + len(line) + 1), place))


CONFIG = ConfigFormat(
    name="doveconf",
    title="Dovecot configuration or doveconf -n",
    reference="https://doc.dovecot.org/latest/core/settings/syntax.html",
    recognise=recognise,
    parse=parse,
)
