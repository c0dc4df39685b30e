"""Reads dspam.conf (``Name value`` a line, values perhaps quoted) and DSPAM's group file."""

from __future__ import annotations

import re

from logscan.settings import ConfigFormat, Document, Entry, base_name

_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*(?:\.\S+)?)(?:[ \t]+(.*))?\Z", re.ASCII)
_KNOWN = re.compile(
    r"(Home|StorageDriver|(Trusted|Untrusted)DeliveryAgent|Delivery(Host|Port|Ident|Proto)|OnFail|Trust|Debug\w*|"
    r"TrainingMode|TestConditionalTraining|Feature|Algorithm|Tokenizer|PValue|WebStats|ImprobabilityDrive|Preference|"
    r"AllowOverride|(Hash|MySQL|PgSQL|SQLite)\w+|Notifications|LocalMX|SystemLog|UserLog|Opt|TrackSources|ParseToHeaders|"
    r"Change(Mode|User)OnParse|Broken|MaxMessageSize|ClamAV\w*|Server\w+|Client\w+|Processor\w+|GroupConfig|Include|"
    r"StripRcptDomain|IgnoreHeader|Lookup|Purge\w+|TrainPristine|Ext\w+|Ldap\w+|Tx\w+|QuarantineAgent|QuarantineMailbox|"
    r"EnablePlusedDetail|PlusedCharacter|PlusedUserLowercase|DataSource)(\.\S+)?\Z",
    re.IGNORECASE,
)
_GROUP = re.compile(
    r"[^:\s]+:(?:(?:shared|managed|merged|inoculation|classification|global),?)+:\S*\s*\Z", re.IGNORECASE
)


def _lines(text: str) -> list[tuple[int, str]]:
    numbered = enumerate(text.split("\n"), 1)
    return [
        (number, line.rstrip("\r")) for number, line in numbered if line.strip() and not line.lstrip().startswith("#")
    ]


def recognise(path: str, text: str) -> float:
    """Return the share of lines that begin with a name of dspam.conf; one alone proves nothing."""
    lines = _lines(text)
    good = 0
    for _, line in lines:
        match = _LINE.match(line)
        good += bool(match and match[2] and _KNOWN.match(match[1]))
    if not lines or (good < 3 and "dspam" not in base_name(path)):
        return 0.0
    return good / len(lines)


def parse(text: str) -> Document:
    """Return the settings in the order they stand; some names come more than once."""
    document = Document(variant="file")
    for number, line in _lines(text):
        match = _LINE.match(line)
        if not match:
            document.problems.append((number, "not a name and a value"))
            continue
        value = (match[2] or "").strip()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        elif not value.startswith('"'):
            value = re.split(r"\s#", value, maxsplit=1)[0].rstrip()
        document.entries.append(Entry((match[1],), value, number))
        if match[1].lower() == "include":
            document.problems.append((number, f"Include {value}: not followed"))
    return document


def recognise_group(path: str, text: str) -> float:
    """Return the share of lines like ``name:classification:*user``."""
    del path
    lines = _lines(text)
    return sum(bool(_GROUP.match(line)) for _, line in lines) / len(lines) if lines else 0.0


def parse_group(text: str) -> Document:
    """Return the groups, each as it stands."""
    document = Document(variant="file")
    for number, line in _lines(text):
        if _GROUP.match(line):
            document.entries.append(Entry((line.partition(":")[0],), line.strip(), number))
        else:
            document.problems.append((number, "not a group"))
    return document


CONFIG = (
    ConfigFormat(
        name="dspam.conf",
        title="dspam.conf",
        reference="DSPAM 3.10.2, src/dspam.conf.in and read_config.c",
        recognise=recognise,
        parse=parse,
    ),
    ConfigFormat(
        name="dspam-group",
        title="DSPAM group file",
        reference="DSPAM 3.10.2, README, section 2.2 Groups",
        recognise=recognise_group,
        parse=parse_group,
    ),
)
