"""Finds what a trace of one mail needs in raw logs by a search for fixed strings, and cuts the logs down to it.

The mail's own lines are found by its queue IDs and message-ids, each of which names further ones; around them a stretch is
kept, since hand-overs are told from what lies near; and of the rest a sample, which tells how this server works. The excerpt is
then read like any log. Where the search would not find what reading finds, there is no excerpt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from logscan.sources.contents import Content, Line
from logscan.sources.cutting import whole_lines
from logscan.sources.source import Source

LEAST = 48 << 20
"""Bytes of logs, unpacked, from which it pays: smaller ones are read in a second or two."""

MOST_HITS = 400
"""Lines of a mail that are followed; what is in more is a mailing, or no single mail's."""

MOST_NAMES = 40
"""Queue IDs and message-ids that are followed."""

MOST_KEPT = 24 << 20
"""Bytes of an excerpt; where it would be larger, all is read."""

QUEUE_ID = re.compile(
    r"(?=[0-9A-Z]*[0-9])[0-9A-F]{6,15}|(?=[0-9A-Za-z]*z)[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}", re.ASCII
)
"""Postfix global/mail_queue.h: short ones in hexadecimal digits, long ones in digits and consonants with a z."""

MESSAGE_ID = re.compile(r"<?[\x21-\x7e]{3,200}@[\x21-\x7e]{1,200}>?", re.ASCII)

NAMES = rb"([0-9A-F]{6,15}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20})(?=[:;,>)\s]|$)"
NAMED = re.compile(
    rb"(?:\]: |\bqueued as |\bqueued_as: |\bforwarded as |\bnotification: |\bqid: <|\bqid=|[Qq]ueue-?[Ii][Dd]: ?"
    rb"|\borig_queue_id=)" + NAMES
)
"""What names a queue ID in lines of Postfix, amavis, rspamd and milters."""

MESSAGE = re.compile(
    rb"(?:message-id=|msgid=|[Mm]essage-ID: |\bid: |\bmid: )<([^<>\s]{3,400})>|\t<([^<>\s]{3,400}@[^<>\s]+)>", re.ASCII
)
"""What names a message-id, in lines of Postfix, Dovecot, amavis, rspamd and DSPAM."""

WITHOUT = b"message-id=<>"
"""A mail without a message-id, which a filter's way back gives one (cleanup_message.c): the queue ID stands in it."""

Hit = tuple[int, Line]
"""A source's number, and a line of it."""


@dataclass(frozen=True)
class Sizes:
    """How much is kept, in bytes."""

    around: int = 384 << 10
    """Before and after each line found."""
    head: int = 1 << 20
    tail: int = 256 << 10
    stretch: int = 128 << 10
    stretches: int = 10
    """Of the sample, all over a source."""
    near: int = 32 << 20
    """How far from a line that names a queue ID that ID's own lines are looked for backwards."""


@dataclass
class Excerpt(Source):
    """A source cut down to stretches of whole lines. ``kept``: where each begins in the content, and its bytes."""

    kept: list[tuple[int, bytes]] = field(default_factory=list, repr=False)
    content: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, source: Source, content: Content, kept: list[tuple[int, bytes]]) -> Excerpt:
        """Return the excerpt of a source."""
        given = {each.name: getattr(source, each.name) for each in fields(Source)}
        found = cls(**given, kept=kept, content=content)
        found.compression, found.size = "", sum(len(data) for _, data in kept)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "content": None}

    def spans(self, size: int = 4 << 20) -> None:
        """It has to be read in sequence."""
        return

    def chunks(self, size: int = 4 << 20) -> Iterator[bytes]:
        """Yield what is kept, in pieces of whole lines."""
        yield from whole_lines(iter([b"".join(data for _, data in self.kept)]), size, self.boundary)

    def line(self, number: int) -> int:
        """Return the number in the whole source of the line that has this one in the excerpt."""
        seen = 0
        for start, data in self.kept:
            lines = data.count(b"\n") + (not data.endswith(b"\n"))
            if number <= seen + lines:
                return int(self.content.lines_before(start)) + number - seen
            seen += lines
        return number


def suited(what: str) -> bool:
    """Whether a search for this very string finds all that reading would: queue IDs and message-ids are compared so."""
    return QUEUE_ID.fullmatch(what.strip()) is not None or MESSAGE_ID.fullmatch(what.strip()) is not None


def cutting(sources: Sequence[Source], what: str, sizes: Sizes | None = None, least: int = LEAST) -> Cutting | None:
    """Return where a queue ID or message-id, and what belongs to it, stands in the sources; None where all must be read.

    A message-id may be somebody's address as well: where the string stands elsewhere than in a message-id, all is read.
    """
    sizes = sizes or Sizes()
    known = sum((source.size or 0) * (8 if source.compression else 1) for source in sources)
    if known < least or not suited(what):
        return None
    contents = [Content.of(source) for source in sources]
    if any(each is None for each in contents):
        return None
    search = _Search([each for each in contents if each is not None], sizes)
    return Cutting(list(sources), search) if search.begin(what.strip().strip("<>")) else None


@dataclass
class Cutting:
    """The sources and what was found in them."""

    sources: list[Source]
    search: _Search

    def excerpts(self) -> list[Excerpt] | None:
        """Return the sources cut down; None where that would be too much."""
        kept = self.search.kept()
        if kept is None:
            return None
        return [Excerpt.of(*each) for each in zip(self.sources, self.search.contents, kept, strict=True)]

    def also(self, names: Iterable[str]) -> bool | None:
        """Look for further queue IDs; whether any of them is new, None where it becomes too much."""
        return self.search.also({each.encode("utf-8", "surrogateescape") for each in names})


class _Search:
    """The lines of one mail in all sources."""

    def __init__(self, contents: list[Content], sizes: Sizes) -> None:
        self.contents = contents
        self.sizes = sizes
        self.hits: list[dict[Line, None]] = [{} for _ in contents]
        self.done: set[bytes] = set()

    def begin(self, what: str) -> bool:
        """Search for a string, and for what its lines name, until nothing new comes; whether it was found, within bounds."""
        first = what.encode("utf-8", "surrogateescape")
        self.done.add(first)
        new = self._added(
            (number, line)
            for number, content in enumerate(self.contents)
            for line in content.lines(first, 0, content.size)
        )
        if not new or (b"@" in first and not self._only_message_id(first, new)):
            return False
        return self._follow(new)

    def also(self, names: set[bytes]) -> bool | None:
        """Follow further names, wherever they stand."""
        new: list[Hit] = []
        for name in names - self.done:
            self.done.add(name)
            more = self._added(
                (number, line)
                for number, content in enumerate(self.contents)
                for line in content.lines(name, 0, content.size)
            )
            if more is None:
                return None
            new += more
        return (True if self._follow(new) else None) if new else False

    def _follow(self, new: list[Hit]) -> bool:
        todo = list(new)
        while todo:
            number, line = todo.pop()
            text = self.contents[number].read(*line)
            if self.contents[number].size and WITHOUT not in text and _made_here(text):
                more = self._added((number, each) for each in self._near(number, line, WITHOUT))
                if more is None:
                    return False
                todo += more
            names = [(found[1], True) for found in NAMED.finditer(text)]
            names += [(found[1] or found[2], False) for found in MESSAGE.finditer(text)]
            for name, is_id in names:
                if name in self.done:
                    continue
                self.done.add(name)
                more = self._added(self._life(name, number, line) if is_id else self._mentions(name, number, line))
                if more is None or len(self.done) > MOST_NAMES:
                    return False
                todo += more
        return True

    def _added(self, lines: Iterable[Hit]) -> list[Hit] | None:
        """Take lines in, and return the new ones; None where there are too many."""
        new = []
        for number, line in lines:
            if line not in self.hits[number]:
                self.hits[number][line] = None
                new.append((number, line))
                if sum(map(len, self.hits)) > MOST_HITS:
                    return None
        return new

    def _life(self, name: bytes, number: int, line: Line) -> Iterator[Hit]:
        """Yield the lines of a queue ID around one that names it: back to where it came in, on to where it was removed."""
        here = self.contents[number]
        opened = closed = False
        for each in here.lines_back(name, line[0]):
            yield number, each
            text = here.read(*each)
            if name + b": client=" in text or name + b": uid=" in text:
                opened = True
                break
        for each in here.lines(name, line[0], here.size):
            yield number, each
            if name + b": removed" in here.read(*each):
                closed = True
                break
        for other, content in enumerate(self.contents):
            if other != number and not (opened and closed and not self.hits[other]):
                for each in content.lines(name, 0, content.size):
                    yield other, each

    def _mentions(self, name: bytes, number: int, line: Line) -> Iterator[Hit]:
        """Yield the lines that hold a message-id: near in the source that named it, anywhere in the others."""
        for each in self._near(number, line, name):
            yield number, each
        for other, content in enumerate(self.contents):
            if other != number:
                for each in content.lines(name, 0, content.size):
                    yield other, each

    def _near(self, number: int, line: Line, needle: bytes) -> Iterator[Line]:
        near = self.sizes.near if needle != WITHOUT else self.sizes.around
        content = self.contents[number]
        yield from content.lines(needle, max(line[0] - near, 0), min(line[1] + near, content.size))

    def _only_message_id(self, first: bytes, new: list[Hit]) -> bool:
        held = re.compile(rb"(?:to|from|user|sasl_username)=<?" + re.escape(first), re.IGNORECASE)
        return not any(held.search(self.contents[number].read(*line)) for number, line in new)

    def kept(self) -> list[list[tuple[int, bytes]]] | None:
        """Return what is kept of each source; None where that is too much."""
        out = []
        total = 0
        for content, hits in zip(self.contents, self.hits, strict=True):
            ranges = self._ranges(content, hits)
            total += sum(end - begin for begin, end in ranges)
            if total > MOST_KEPT:
                return None
            out.append([(begin, content.read(begin, end)) for begin, end in ranges])
        return out

    def _ranges(self, content: Content, hits: Iterable[Line]) -> list[Line]:
        sizes, size = self.sizes, content.size
        wanted = [(0, sizes.head), (size - sizes.tail, size)]
        wanted += [(begin - sizes.around, end + sizes.around) for begin, end in hits]
        step = size // (sizes.stretches + 1)
        wanted += [(step * n, step * n + sizes.stretch) for n in range(1, sizes.stretches + 1)]
        out: list[Line] = []
        for low, high in sorted((max(begin, 0), min(end, size)) for begin, end in wanted):
            if out and high <= out[-1][1]:
                continue
            begin = content.line_at(low)[0] if low else 0
            end = content.line_at(high)[1] if high < size else size
            if out and begin <= out[-1][1]:
                out[-1] = (out[-1][0], max(out[-1][1], end))
            elif begin < end:
                out.append((begin, end))
        return out


def _made_here(text: bytes) -> bool:
    """Whether a line tells of a message-id that Postfix made, in which the queue ID stands."""
    found = re.search(rb": ([0-9A-Za-z]{6,20}): message-id=<\d{14}\.([0-9A-Za-z]{6,20})@", text)
    return found is not None and found[1] == found[2]
