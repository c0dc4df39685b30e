"""Which digits may stay in a report that is shown around: those whose meaning is known. Others may be an address or a phone's.

No notation of an address is looked for. Digits stay where they are too few to name anybody, or where what stands around them
says what they are: a time, a reply's code, a port, a process, a count with its unit.
"""

from __future__ import annotations

import re

FOUR = r"\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"
"""An IP version 4 address as most write it."""

MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
CLOCK = r"[0-2]?\d:[0-5]\d(?::[0-6]\d(?:[.,]\d{1,9})?)?"
STAMP = rf"""(?:(?<![^\W_])(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T ]{CLOCK})?[ ]?(?:Z|[+-]\d\d:?\d\d)?(?![\w-])
    |\b{MONTH}[ ]{{1,2}}[0-3]?\d[ ](?:20\d\d[ ])?{CLOCK}(?!\w)
    |\b[0-3]?\d[ /]{MONTH}[ /](?:19|20)\d\d[: ]{CLOCK}(?:[ ][+-]\d{{4}})?(?!\w)
    |(?<![\w.:]){CLOCK}(?!\w|:[0-9A-Fa-f:]|\.\d))"""
"""A date, a time of day, or both; with blanks and comments as :data:`re.VERBOSE` has them."""

JOIN = r"(?:%2[Ee]|[ ]?(?:[^\w\s]|_)[ ]?|[ \t()]{1,3}|[ ]?[\[({]?(?:\.|dot)[\])}]?[ ]?)"
"""What may stand between the groups of one number."""

DELAYS = r"""(?:(?<=\bdelays=)\d{1,7}(?:\.\d{1,3})?(?:/\d{1,7}(?:\.\d{1,3})?){3}(?![\w/.])
    |(?<=@@)[ ]-\d{1,5}(?:,\d{1,3})?[ ]\+\d{1,5}(?:,\d{1,3})?[ ](?=@@))"""
"""Postfix' four delays, in seconds; the lines of a piece of a patch."""

NEXT = rf"(?:{JOIN}(?!(?<!\d\.){FOUR}|{STAMP})\d+)"

NUMBER = rf"(?<![^\W_])[+(]{{0,2}}(?!(?<!\d\.){FOUR})(?>\d+{NEXT}*)(?![^\W_]|[._-][^\W\d_])"
"""Digits in groups, whatever joins them."""

CLUSTER = re.compile(
    rf"""{STAMP}|{DELAYS}|(?<!\w)(?<!\d\.){FOUR}
    |(?P<groups>(?<!\d)[+(]{{0,2}}(?!(?<!\d\.){FOUR})(?>\d+{NEXT}+))
    """,
    re.VERBOSE,
)
BYTES = re.compile(
    rf"""{STAMP}|{DELAYS}|(?<!\w)(?<!\d\.){FOUR}
    |(?P<groups>(?<![0-9A-Fa-f])[0-9A-Fa-f]{{1,4}}(?:(?:--|::|%3A|[._:-])[0-9A-Fa-f]{{1,4}}){{3,31}}(?![0-9A-Fa-f]))
    """,
    re.VERBOSE,
)
"""Bytes of an address that something joins, perhaps across what else are words of their own."""

KNOWN = re.compile(
    r"""
    [245]\d\d[ -][245]\.\d{1,3}\.\d{1,3}        # a reply with its enhanced code (RFC 3463)
    |[245]\.\d{1,3}\.\d{1,3}
    |(?:[01]\.\d{1,18}|\d{1,4}\.\d{1,2}|\d{1,3}\.\d{1,3})   # a share, a duration, a score
    |\d{1,2}\.\d{1,2}\.\d{1,2}                  # a version
    |\d{1,3}\.\d{1,2}[ ]?/[ ]?\d{1,3}\.\d{1,2}  # a score and its threshold
    |\d{1,3}(?:,\d{3}){1,2}(?:\.\d{1,2})?       # a count
    |\d{1,3}(?:[ ]?(?:[^\w\s]|_)[ ]?|[ ]|[ ]?\()\d{1,3}
    """,
    re.VERBOSE,
)
"""Groups of digits that say no more than what they are."""

YEAR = re.compile(r"19[7-9]\d|20[0-4]\d")
DATE = re.compile(r"20[0-4]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
"""A day as logrotate writes it behind a log's name."""

COUNTED = re.compile(
    r"(?:\b(?:size|nrcpt|delay|port|m?pid|uid|gid|ttl|bytes|lines?|count|limit|timeout|\w+_(?:size|limit|time|timeout|lifetime|"
    r"count|maxproc|interval|port))[ ]?[=:]?[ ]?)\Z",
    re.IGNORECASE,
)
"""What stands before a number that is a count, a time or a port."""

PORT = re.compile(r"(?:\]|\.\w{1,20}|\blocalhost|\binet)(?::|:\[?inet:)\Z")
"""What stands before a port: an address, a host, a file and its line."""

UNIT = re.compile(
    r"[ ]?(?:bytes|octets|seconds?|minutes?|hours?|days|mails?|recipients|messages|lines|times|[kMG]i?B|ms|%)(?!\w)"
)

MOST_ALONE, MOST_COUNTED, MOST_OWN = 3, 12, 6
"""Digits that stay in one group: in a log's text; where it is known to be a count; in logscan's own sentences."""


LEAST = 7
"""Digits of a phone's number."""

PART = re.compile(r"[^\W_]+")


def known(text: str, line: str, start: int, *, own: bool) -> bool:
    """Whether the digits ``text``, at ``start`` of ``line``, may stay; ``own`` where the sentence is logscan's."""
    before, after = line[max(0, start - 40) : start], line[start + len(text) : start + len(text) + 12]
    if re.fullmatch(r"\+?[1-9]\d{0,4}", text) and re.match(
        r"[ \t]+inet[ \t]", after
    ):  # a service in master.cf, or in a patch of it
        return True
    if before.endswith("]: (") and re.fullmatch(r"\d{5,7}-\d\d(?:-\d{1,3})?", text.lstrip("(")):  # amavis' own ID
        return True
    if ", " in text and (own or text.count(", ") < 3):  # a list; four may be the bytes of an address
        return all(
            known(each[0], line, start + each.start(), own=own) for each in re.finditer(r"[^ ,](?:(?!, ).)*", text)
        )
    if text.isdecimal():
        return _alone(text, line, before, after, start, own)
    digits = sum(each.isdecimal() for each in text)
    if digits <= MOST_ALONE and text.lstrip("+(").isdecimal():
        return True
    return bool(KNOWN.fullmatch(text.lstrip("(")))


def _alone(text: str, line: str, before: str, after: str, start: int, own: bool) -> bool:
    if len(text) <= (MOST_OWN if own else MOST_ALONE) or YEAR.fullmatch(text):
        return True
    if start == 0 and len(text) == 10 and re.match(r"\t[A-Z]\t", after):  # the first field of a user's log of DSPAM
        return True
    if text.startswith("0"):
        return False
    if after.startswith("]:") and re.search(r"[A-Za-z]\[\Z", before) and len(text) <= 7:  # a process
        return True
    if len(text) <= 5 and int(text) <= 65535 and PORT.search(before) and not re.match(r"[.:-]\w", after):
        return True
    return len(text) <= MOST_COUNTED and bool(COUNTED.search(before) or UNIT.match(after))


def clusters(line: str, *, own: bool) -> list[tuple[int, int]]:
    """Return (start, end) of all that may be one number, whatever words it begins and ends in."""
    found = [each.span() for each in BYTES.finditer(line) if any(sign.isdecimal() for sign in each["groups"] or "")]
    for each in CLUSTER.finditer(line):
        groups = each["groups"]
        if groups and not known(groups, line, each.start(), own=own):
            digits = sum(sign.isdecimal() for sign in groups)
            if digits >= LEAST or len(PART.findall(groups.replace("_", " "))) >= 4:
                found.append(each.span())
    return found


EMBEDDED = re.compile(r"(?<!\d)(\d{1,3})([._-])(\d{1,3})\2(\d{1,3})\2(\d{1,3})(?!\d)")
"""An address within a word, as providers name their customers' hosts."""

HEX = re.compile(r"[0-9a-f]{1,4}", re.IGNORECASE)


def telling(text: str) -> bool:
    """Whether the groups of digits in a joined word, taken together, may be an address or a phone's number."""
    parts = PART.findall(text)
    numbers = [part for part in parts if part.isdecimal()]
    nibbles = [part for part in parts if HEX.fullmatch(part)]
    mixed = any(not part.isdecimal() and not part.isalpha() for part in nibbles)
    some = any(any(sign.isdecimal() for sign in part) for part in nibbles)
    if (len(nibbles) >= 4 and some) or (len(nibbles) >= 2 and mixed):
        return True
    return (len(numbers) >= 3 and not KNOWN.fullmatch(".".join(numbers))) or (
        sum(map(len, numbers)) >= 7 and len(numbers) > 1
    )
