"""``logscan explain-reply``: what a reply of a mail server means, and what to do."""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from logscan import console

if TYPE_CHECKING:
    from logscan.checking.explaining import Explanation

MOST_READ = 1 << 20
"""Bytes of standard input that are read."""

MOST_LINES = 1000
"""Log lines of standard input that are explained."""

EMPTY = 3


@click.command("explain-reply")
@click.argument("text", nargs=-1, required=True, metavar="TEXT...")
@click.option("--format", "-f", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(text: tuple[str, ...], form: str) -> None:
    """Explain a server's reply: what it means, whose matter it is, what becomes of the mail, what to do.

    TEXT is a reply such as '550 5.7.1 …', also one of several lines; what Postfix made of it (host … said: …); or a whole
    line of a log. '-' reads standard input: either one reply, or log lines, each of which is explained.

    What isn't known is said: then the codes alone tell (RFC 5321, the registry of enhanced status codes). Texts of
    providers change; the day when each was looked up stands beside it. Nothing is asked of the network.
    """
    from logscan.checking.explaining import explained

    given = _from_stdin() if text == ("-",) else [" ".join(text)]
    given = [
        each.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for each in given if each.strip()
    ]
    if not given:
        console.say(
            "there is no reply to explain: standard input is empty"
            if text == ("-",)
            else "there is no reply to explain"
        )
        sys.exit(EMPTY)
    found = [explained(each) for each in dict.fromkeys(given)]
    if form == "json":
        console.result(json.dumps([asdict(each) for each in found], indent=2) + "\n")
    else:
        console.result(console.safe("\n\n".join(as_text(each) for each in found), lines=True) + "\n")


def _from_stdin() -> list[str]:
    """Return what standard input holds: each log line that has a reply, or all of it as one reply."""
    from logscan.checking.spoken import log_line

    data = console.standard_input().read(MOST_READ + 1)
    text = data[:MOST_READ].decode("utf-8", "backslashreplace")
    if len(data) > MOST_READ:
        console.say(f"only the first {MOST_READ >> 20} MB of standard input are read")
    lines = [line for line in text.splitlines() if log_line(line)]
    if len(lines) > MOST_LINES:
        console.say(f"{len(lines) - MOST_LINES:,} more lines with a reply; the first {MOST_LINES:,} are explained")
    return lines[:MOST_LINES] or [text]


KNOWN_BY = {"text": "known by its text", "code": "known by its code alone", "": ""}


def as_text(each: Explanation) -> str:
    """Return an explanation as lines for people; what stands in it isn't made safe yet."""
    who = f"{each.host}[{each.address}]" if each.host and each.address else each.host or each.address
    said = ", ".join(part for part in (each.by, who, _stage(each.stage)) if part)
    known = KNOWN_BY[each.known_by] if each.cause != "unknown" else ""
    source = "; ".join(part for part in (known, each.page) if part)
    parts = [
        ("Said by", said),
        ("Meaning", f"{_begun(each.means)}{f' ({source})' if source else ''}."),
        (f"Code {each.code}", f"{each.code_means}." if each.code else ""),
        (f"Code {each.enhanced}", f"{each.enhanced_means}." if each.enhanced else ""),
        ("Whose matter", f"{_begun(each.whose_matter)}."),
        ("The mail", f"{_begun(each.becomes)}."),
        ("What to do", f"{each.todo}."),
    ]
    lines = [_one_line(each.reply) or "(nothing was said)"]
    for name, words in parts:
        if words:
            lines += textwrap.wrap(
                f"{name}: {_one_line(words)}", 100, initial_indent="  ", subsequent_indent="    ", break_long_words=False,
                break_on_hyphens=False,
            )  # fmt: skip
    return "\n".join(lines)


def _stage(stage: str) -> str:
    return "instead of a greeting" if stage == "connect" else f"to {stage}" if stage else ""


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def _one_line(text: str) -> str:
    return console.safe(" ".join(text.split()))
