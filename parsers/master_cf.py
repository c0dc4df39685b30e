"""Reads master.cf, the output of ``postconf -M`` (a service a line) and of ``postconf -P`` (an override a line)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from logscan.settings import ConfigFormat, Document, Logical, Override, Service, base_name, logical_lines

_TYPES = r"(?:inet|unix|unix-dgram|fifo|pass)"
_SERVICE = re.compile(rf"\S+\s+{_TYPES}(?:\s+[-yn]){{3}}\s+(?:-|\d+\??)\s+(?:-|\d+)\s+\S", re.ASCII)
_SETTING = re.compile(rf"(\S+)/({_TYPES})/([A-Za-z0-9_]+)\s*=[ \t]*(.*)", re.ASCII | re.DOTALL)


def _share(text: str, pattern: re.Pattern[str]) -> float:
    lines = list(logical_lines(text))
    return sum(bool(pattern.match(each.text)) for each in lines) / len(lines) if lines else 0.0


def recognise(path: str, text: str) -> float:
    """Return the share of logical lines that are services."""
    share = _share(text, _SERVICE)
    return min(1.0, share + (0.1 if share and "master.cf" in base_name(path) else 0.0))


def recognise_overrides(path: str, text: str) -> float:
    """Return the share of lines of the form ``service/type/parameter = value``."""
    del path
    return _share(text, _SETTING)


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    """Yield the words of a service; blanks within braces don't part them (mystrtokq(3))."""
    begin = -1
    depth = 0
    for at, char in enumerate(text):
        if begin < 0 and not char.isspace():
            begin = at
        if begin < 0:
            continue
        if char == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        elif not depth and char.isspace():
            yield begin, at
            begin = -1
    if begin >= 0:
        yield begin, len(text.rstrip())


def _setting(logical: Logical, option: int, begin: int, end: int) -> Override | None:
    """Return the override whose ``name=value`` is ``text[begin:end]`` and whose ``-o`` stands at ``option``."""
    text = logical.text
    name, sign, value = text[begin:end].partition("=")
    if not sign:
        return None
    start = begin + len(name) + 1
    start += len(value) - len(value.lstrip())
    stop = start + len(value.strip())
    line, offset = logical.place(begin)
    place = logical.extent(start, stop) if stop > start else None
    if place is None and stop <= start and begin < start <= len(text):
        after = logical.place(start - 1)[1] + 1
        place = (after, after)
    whole = end + 1 if text[end : end + 1] == "}" else end
    del offset
    return Override(name.strip(), " ".join(value.split()), line, logical.extent(option, whole), place)


def _overrides(logical: Logical, words: list[tuple[int, int]]) -> Iterator[Override | None]:
    """Yield the ``-o`` options: ``-o a=b``, ``-oa=b``, ``-o { a = b }``, ``{ -o a = b }``."""
    text = logical.text
    at = 0
    while at < len(words):
        begin, end = words[at]
        at += 1
        word = text[begin:end]
        option = begin
        if word.startswith("argv="):
            return
        if word.startswith("{"):
            inner = re.match(r"\{\s*-o\s*", word)
            if not inner:
                continue
            begin += inner.end()
        elif word == "-o":
            if at == len(words):
                yield None
                return
            begin, end = words[at]
            at += 1
        elif word.startswith("-o"):
            begin += 2
        else:
            continue
        if text[begin : begin + 1] == "{":
            begin += 1
        if text[end - 1 : end] == "}" and text[begin:end].count("}") > text[begin:end].count("{"):
            end -= 1
        yield _setting(logical, option, begin, end)


def parse(text: str) -> Document:
    """Return the services in the order they stand."""
    document = Document(variant="file")
    folded = False
    for logical in logical_lines(text):
        folded = folded or len(logical.pieces) > 1
        words = list(_tokens(logical.text))
        fields = [logical.text[begin:end] for begin, end in words[:8]]
        if len(fields) < 8 or not re.fullmatch(_TYPES, fields[1]):
            document.problems.append((logical.line, "not a service: master.cf has eight fields a line"))
            continue
        overrides = list(_overrides(logical, words[8:]))
        if None in overrides:
            document.problems.append((logical.line, f"{fields[0]}/{fields[1]}: -o without name=value"))
        begin = logical.place(words[0][0])[1]
        more = [body for _, _, body in logical.pieces[1:]]
        document.services.append(
            Service(
                name=fields[0],
                type=fields[1],
                command=fields[7],
                line=logical.line,
                args=tuple(logical.text[begin:end] for begin, end in words[8:]),
                overrides=tuple(each for each in overrides if each),
                columns=tuple(fields[2:7]),
                span=logical.span,
                name_span=(begin, begin + len(fields[0])),
                indent=more[-1][: len(more[-1]) - len(more[-1].lstrip())] if more else "  ",
                raw=tuple(body for _, _, body in logical.pieces),
            )
        )
    if document.services and not folded and "#" not in text:
        document.variant = "postconf -M"
    return document


def parse_overrides(text: str) -> Document:
    """Return the services that ``postconf -P`` names, each with its overrides; their programs are inferred."""
    document = Document(variant="postconf -P")
    found: dict[tuple[str, str], list[Override]] = {}
    lines: dict[tuple[str, str], int] = {}
    for logical in logical_lines(text):
        match = _SETTING.fullmatch(logical.text)
        if not match:
            document.problems.append((logical.line, "not service/type/parameter = value"))
            continue
        key = match[1], match[2]
        lines.setdefault(key, logical.line)
        found.setdefault(key, []).append(Override(match[3], " ".join(match[4].split()), logical.line))
    for (name, kind), overrides in found.items():
        command = "smtpd" if kind in {"inet", "pass"} else name
        document.services.append(Service(name, kind, command, lines[name, kind], overrides=tuple(overrides)))
    return document


CONFIG = (
    ConfigFormat(
        name="master.cf",
        title="Postfix master.cf or postconf -M",
        reference="https://www.postfix.org/master.5.html",
        recognise=recognise,
        parse=parse,
    ),
    ConfigFormat(
        name="postconf-P",
        title="postconf -P",
        reference="https://www.postfix.org/postconf.1.html",
        recognise=recognise_overrides,
        parse=parse_overrides,
    ),
)
