"""Makes the single steps of a remedy: overrides of a service set, lengthened, shortened, a parameter removed."""

from __future__ import annotations

import re
import shlex

from logscan.findings import Edit
from logscan.remedies.plan import Change
from logscan.settings import Service, Settings, formats, split_list


def is_real_file(settings: Settings, file: str) -> bool:
    """Whether a text is the file itself, not what postconf printed."""
    return settings.postfix.origin.get(file) == "file" and file in settings.texts


def newline_of(text: str) -> str:
    """Return what the lines of a text end with."""
    return "\r\n" if "\r\n" in text else "\n"


def set_override(settings: Settings, service: Service, name: str, value: str) -> Change:
    """Give a service an override: change the one it has, else add a line behind its last."""
    command = f"postconf -P {shlex.quote(f'{service.key}/{name}={value}')}"
    override = service.override(name)
    line = override.line if override else service.line
    change = Change([command], None, service.file, line)
    if not is_real_file(settings, service.file) or re.search(r"\s", value):
        return change
    text = settings.texts[service.file]
    if override is None:
        newline = newline_of(text)
        lead = "" if text[: service.span[1]].endswith("\n") else newline
        tail = newline if not lead else ""
        added = f"{lead}{service.indent}-o {name}={value}{tail}"
        change.edits = [Edit(service.file, service.span[1], service.span[1], added)]
    elif override.value_span:
        change.edits = [Edit(service.file, *override.value_span, value)]
    return change


def append_item(settings: Settings, service: Service, name: str, item: str) -> Change:
    """Add an item to the list that a service has for ``name``; nothing that stands there is rewritten."""
    fact = service.fact(name)
    held = fact.value.strip().rstrip(",") if fact else ""
    value = f"{held},{item}" if held else item
    override = service.override(name)
    if override is None:
        change = set_override(settings, service, name, re.sub(r"[\s,]+", ",", value))
        if fact:  # the override would stand in for main.cf's value: have it said, not slipped in
            change.edits = None
        return change
    change = Change([f"postconf -P {shlex.quote(f'{service.key}/{name}={value}')}"], None, service.file, override.line)
    if is_real_file(settings, service.file) and override.value_span:
        end = override.value_span[1]
        stands = settings.texts[service.file][override.value_span[0] : end]
        glue = "" if not held or stands.endswith(",") else ","
        change.edits = [Edit(service.file, end, end, f"{glue}{item}")]
    return change


def drop_item(settings: Settings, service: Service, name: str, item: str) -> Change:
    """Take an item out of the list that a service has for ``name``; an override left empty goes with its line."""
    fact = service.fact(name)
    rest = [each for each in split_list(fact.value if fact else "") if each.lower() != item]
    override = service.override(name)
    whole = len([each for each in service.overrides if each.name == name]) == 1 and not service.main.fact(name)
    if override is None or rest or not whole:
        return set_override(settings, service, name, ",".join(rest))
    change = Change([f"postconf -PX {shlex.quote(f'{service.key}/{name}')}"], None, service.file, override.line)
    if is_real_file(settings, service.file) and override.span:
        change.edits = [_cut(settings.texts[service.file], service.file, override.span)]
    return change


def _cut(text: str, file: str, span: tuple[int, int]) -> Edit:
    """Remove a span, and the whole line when nothing else stands on it."""
    begin, end = span
    line = text.rfind("\n", 0, begin) + 1
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop + 1
    if not text[line:begin].strip() and not text[end:stop].strip():
        return Edit(file, line, stop, "")
    while begin > line and text[begin - 1] in " \t":
        begin -= 1
    if begin == line:  # the line goes on behind it and stays a continuation
        begin = span[0]
        while end < stop and text[end] in " \t":
            end += 1
    return Edit(file, begin, end, "")


def drop_parameter(settings: Settings, file: str, name: str) -> list[Edit] | None:
    """Return the edits that remove a parameter from main.cf, however often it is set there."""
    if not is_real_file(settings, file):
        return None
    main = next(each for each in formats() if each.name == "main.cf")
    text = settings.texts[file]
    entries = [each for each in main.parse(text).entries if each.name == name]
    if any(text[slice(*each.span)].rstrip("\n").count("\n") for each in entries):
        return None
    return [Edit(file, *each.span, "") for each in entries]
