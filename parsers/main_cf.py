"""Reads main.cf and the output of ``postconf -n``: one parameter a logical line."""

from __future__ import annotations

import re

from logscan.settings import ConfigFormat, Document, Entry, base_name, logical_lines

_PARAMETER = re.compile(r"([A-Za-z0-9_]+)\s*=\s*", re.ASCII)
_KNOWN = re.compile(
    r"(my(hostname|domain|origin|destination|networks)|smtpd?_|lmtp_|virtual_|local_|alias_(maps|database)|inet_|"
    r"compatibility_level|relay(host|_)|mailbox_(command|transport|size)|message_size_limit|queue_|bounce_|maximal_|"
    r"minimal_|content_filter|receive_override|recipient_|sender_|canonical_|transport_maps|biff|append_|disable_vrfy|"
    r"postscreen_|milter_|non_smtpd_|default_|command_dir|daemon_dir|data_dir|mail_|syslog_|maillog_|tls_|proxy_|"
    r"enable_long|notify_|header_checks|body_checks|always_bcc|cleanup_|debug_peer|readme_|html_|manpage_|newaliases|"
    r"sendmail_|setgid_|shlib_|unknown_local|delay_|in_flow|process_|address_verify|strict_|multi_instance)"
)


def recognise(path: str, text: str) -> float:
    """Return the share of assignments to names that Postfix knows."""
    good = bad = 0
    for logical in logical_lines(text):
        match = _PARAMETER.match(logical.text)
        if match and _KNOWN.match(match[1]):
            good += 1
        elif not match:
            bad += 4  # main.cf has nothing but assignments, whatever their names
        else:
            bad += 1
    if not good:
        return 0.0
    return min(1.0, good / (good + bad) + (0.1 if "main.cf" in base_name(path) else 0.0))


def parse(text: str) -> Document:
    """Return the parameters in the order they stand; the last of a name counts, as Postfix has it."""
    document = Document(variant="file")
    for logical in logical_lines(text):
        match = _PARAMETER.match(logical.text)
        if not match:
            document.problems.append((logical.line, "neither a parameter nor a comment"))
            continue
        value = logical.text[match.end() :].rstrip()
        place = logical.extent(match.end(), match.end() + len(value)) if value else None
        entry = Entry((match[1],), value.replace("\n", " "), logical.line, logical.span, place)
        document.entries.append(entry)
    names = [each.name for each in document.entries]
    seen: set[str] = set()
    for entry in document.entries:
        if entry.name in seen:
            document.problems.append((entry.line, f"{entry.name} is set again: the last one counts"))
        seen.add(entry.name)
    if len(names) > 1 and names == sorted(seen) and not re.search(r"^[ \t]|^#|\n#|\n[ \t\n]", text):
        document.variant = "postconf -n"
    return document


CONFIG = ConfigFormat(
    name="main.cf",
    title="Postfix main.cf or postconf -n",
    reference="https://www.postfix.org/postconf.5.html",
    recognise=recognise,
    parse=parse,
)
