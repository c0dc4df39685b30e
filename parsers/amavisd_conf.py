"""Reads from amavisd.conf, a Perl program, the few plain assignments that tell where mail goes."""

from __future__ import annotations

import re

from logscan.settings import ConfigFormat, Document, Entry

_NAMES = (
    "forward_method|notify_method|inet_socket_port|myhostname|mydomain|sa_tag_level_deflt|sa_tag2_level_deflt|"
    "sa_kill_level_deflt|final_spam_destiny|spam_quarantine_method|unix_socketname|log_level|protocol|"
    "enable_dkim_signing"
)
_SCALAR = re.compile(rf"\$({_NAMES})\s*=\s*(?:'([^'\n]*)'|\"([^\"\n]*)\"|([^;\n]*?))\s*;")
_PROOF = re.compile(
    r"(?:^|;)[ \t]*[$@](forward_method|notify_method|"
    r"inet_socket_port|local_domains_maps|sa_(tag2?|kill)_level_deflt|max_servers|"
    r"daemon_user|MYHOME|TEMPBASE|final_\w+_destiny|bypass_(virus|spam)_checks_maps|mynetworks|"
    r"policy_bank)\b[^=\n]{0,80}=",
    re.MULTILINE,
)


def recognise(path: str, text: str) -> float:
    """Return how sure the names of amavis's variables make it."""
    del path
    return min(1.0, 0.2 * len({match[1] for match in _PROOF.finditer(text)}))


def parse(text: str) -> Document:
    """Return the assignments of known names; one may stand behind another on a line. Comments are left out."""
    document = Document(variant="file")
    known: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        for match in _SCALAR.finditer(re.sub(r"(?:^|\s)#.*", "", line)):
            value = next((each for each in match.groups()[1:] if each is not None), "")
            if value.startswith("$"):
                value = known.get(value[1:], value)
            known[match[1]] = value
            document.entries.append(Entry((match[1],), value, number))
    return document


CONFIG = ConfigFormat(
    name="amavisd.conf",
    title="amavisd.conf",
    reference="amavisd-new 2.13, amavisd.conf-default",
    recognise=recognise,
    parse=parse,
)
