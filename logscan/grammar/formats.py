"""Line grammars: written in pyparsing, run by the op machine as its tree, or as one compiled regular expression.

pyparsing never goes back into an element once it has matched, so every element is emitted possessive or atomic
(Python 3.11): all executions accept the same lines with the same fields, and no line can make a pattern explode.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyparsing as pp

from logscan.grammar.repeats import SOUND, sound
from logscan.plugins import PluginError

__all__ = [
    "FormatError",
    "LogFormat",
    "Pattern",
    "Sample",
    "Shape",
    "Step",
    "Tree",
    "compile_program",
    "formats_for",
    "parse_slowly",
    "rest",
    "rx",
    "word",
]


class FormatError(PluginError):
    """A format is wrong; the message names it."""


@dataclass(frozen=True)
class Sample:
    """One line's text (behind the program's tag) and the fields it must give; absent optional fields are left out."""

    text: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogFormat:
    """One kind of line.

    ``programs`` are program names as in the tag: ``dovecot`` is exactly that, ``/smtpd`` any Postfix service and
    instance whose daemon is smtpd (``postfix/smtpd``, ``postfix-out/submission/smtpd``). ``table`` names the table of
    :mod:`logscan.tables.schema` that a line becomes a row of; ``None`` says that the line is known and carries nothing
    (noise). ``constants`` are columns with the same value in each row. ``weight`` orders the alternatives within a
    program: frequent lines first.
    """

    name: str
    title: str
    reference: str
    programs: tuple[str, ...]
    table: str | None
    line: pp.ParserElement
    samples: tuple[Sample, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    weight: int = 0

    def alternatives(self) -> list[pp.ParserElement]:
        """Return the grammar's top-level alternatives, each of which becomes one shape."""
        return list(_alternatives(self.line))


def _alternatives(line: pp.ParserElement) -> Iterator[pp.ParserElement]:
    if isinstance(line, pp.MatchFirst) and not line.resultsName:
        for each in line.exprs:
            yield from _alternatives(each)
    else:
        yield line


# --- atoms ---------------------------------------------------------------------------------------------------------


def rx(pattern: str) -> pp.ParserElement:
    """Return an element that matches ``pattern`` (ASCII classes, no capturing groups) as one indivisible piece."""
    if SOUND:
        return pp.Regex(pattern, flags=re.ASCII).leave_whitespace()
    element = pp.Regex(re.compile(sound(pattern), re.ASCII))
    element.pattern = pattern  # what is translated; pyparsing runs the compiled one
    return element.leave_whitespace()


def word(stop: str = " ") -> pp.ParserElement:
    """Return an element for one or more characters other than those in ``stop``."""
    return rx(f"[^{re.escape(stop)}]+")


def rest() -> pp.ParserElement:
    """Return an element for everything to the end of the line, which may be nothing."""
    return rx(r"(?s:.*)")


# --- translation ---------------------------------------------------------------------------------------------------


@dataclass
class _Groups:
    """The capturing groups emitted so far: their numbers by results name, in order."""

    count: int
    names: list[tuple[str, int]] = field(default_factory=list)


def _regex(element: pp.ParserElement, groups: _Groups, where: str) -> str:
    """Translate one pyparsing element; raises :class:`FormatError` for one that has no equivalent."""
    name = element.resultsName
    if name:
        groups.count += 1
        groups.names.append((name, groups.count))
    body = _body(element, groups, where)
    return f"({body})" if name else body


def _body(element: pp.ParserElement, groups: _Groups, where: str) -> str:
    match element:
        case pp.And():
            return "".join(_regex(each, groups, where) for each in element.exprs)
        case pp.MatchFirst():
            return "(?>" + "|".join(_regex(each, groups, where) for each in element.exprs) + ")"
        case pp.Opt():
            return f"(?:{_regex(element.expr, groups, where)})?+"
        case pp.OneOrMore():
            return f"(?:{_regex(element.expr, groups, where)})++"
        case pp.ZeroOrMore():
            return f"(?:{_regex(element.expr, groups, where)})*+"
        case pp.Regex():
            pattern = str(element.pattern)
            if re.compile(pattern).groups:
                raise FormatError(f"{where}: a Regex with a capturing group; name the element instead")
            return f"(?>{pattern})"
        case pp.CharsNotIn():
            low, high = element.minLen, element.maxLen
            times = "++" if low == 1 and high > 10**6 else f"{{{low},{high if high < 10**6 else ''}}}+"
            return f"[^{re.escape(element.notChars)}]{times}"
        case pp.Word():
            return f"(?>{element.reString})"
        case pp.Empty():
            return ""
        case pp.CaselessLiteral():
            return f"(?i:{re.escape(element.match)})"
        case pp.Literal():
            return re.escape(element.match)
        case pp.FollowedBy():
            return f"(?={_regex(element.expr, groups, where)})"
        case pp.NotAny():
            return f"(?!{_regex(element.expr, groups, where)})"
        case pp.StringEnd():
            return r"\Z"
    raise FormatError(f"{where}: {type(element).__name__} can't be compiled to a regular expression")


@dataclass(frozen=True)
class Shape:
    """One alternative of a compiled program: its format and which groups hold its fields."""

    format: LogFormat
    fields: tuple[str, ...]
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One element in the tree of a program's alternatives: they share what they begin with.

    ``pattern`` is its regular expression, in which nothing gives anything back; ``groups`` are the numbers that its
    capturing groups have in the whole pattern. ``behind`` are the alternatives that may follow: further steps, or the
    number of the shape that ends there.
    """

    pattern: str
    groups: tuple[int, ...]
    behind: Tree


Tree = tuple["Step | int", ...]
"""Alternatives, the first that takes the line wins."""


LONGEST_KEPT = 32_768
"""Bytes of a text that is matched where each round of a repeat is kept (see :mod:`logscan.grammar.repeats`), which
takes up to 2.6 kB a byte; a longer one is unknown there."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """The compiled grammar of one program: ``match(text)``, then ``shapes[m.lastindex]`` tells what was matched.

    ``tree`` is the same grammar, for :mod:`logscan.matching.walking`.
    """

    text: bytes
    shapes: Mapping[int, Shape]
    tree: Tree

    @functools.cached_property
    def match(self) -> Callable[[bytes], re.Match[bytes] | None]:
        """Match one line; made when first asked for, since the machine takes most programs' lines all."""
        try:
            match = re.compile(sound(self.text.decode("ascii")).encode("ascii")).match
            return match if SOUND else lambda text: match(text) if len(text) <= LONGEST_KEPT else None
        except re.error as error:
            names = ", ".join(dict.fromkeys(shape.format.name for shape in self.shapes.values()))
            raise FormatError(f"{names}: {error}") from error


def formats_for(program: str, formats: Sequence[LogFormat]) -> tuple[LogFormat, ...]:
    """Return the formats that lines of ``program`` may have, the weightiest first.

    ``program`` is a name as in :class:`LogFormat`; a Postfix daemon (``/smtpd``) also has the formats of ``/*``.
    """
    names = {program, "/*"} if program.startswith("/") else {program}
    found = [each for each in formats if names.intersection(each.programs)]
    return tuple(sorted(found, key=lambda each: (-each.weight, each.name)))


@dataclass(frozen=True)
class _Line:
    """One alternative on its way into the pattern: the elements still to come, the groups of those that have been."""

    format: LogFormat
    pieces: tuple[tuple[str, tuple[str, ...]], ...]
    fields: tuple[tuple[str, int], ...] = ()


def _pieces(line: pp.ParserElement, where: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each element of an alternative as its pattern and the fields in it, nested sequences taken apart."""
    if isinstance(line, pp.And) and not line.resultsName:
        for each in line.exprs:
            yield from _pieces(each, where)
    else:
        groups = _Groups(0)
        pattern = _regex(line, groups, where)
        yield pattern, tuple(name for name, _ in groups.names)


def _tree(lines: Sequence[_Line], count: int, shapes: dict[int, Shape]) -> tuple[Tree, int]:
    """Return ``lines`` as a tree of alternatives and the number of groups so far, ``count`` being those before.

    Neighbours that begin with the same element share it: it is matched once. As an element gives nothing back, what
    they match does not change.
    """
    steps: list[Step | int] = []
    for first, run in itertools.groupby(lines, key=lambda line: line.pieces[:1]):
        same = list(run)
        if not first:
            for line in same:  # its end; a second one with the same elements is never reached
                count += 1
                names = tuple(name for name, _ in line.fields)
                if len(set(names)) != len(names):
                    raise FormatError(f"{line.format.name}: a field is named twice in one alternative: {sorted(names)}")
                shapes[count] = Shape(line.format, names, tuple(group for _, group in line.fields))
                steps.append(count)
            continue
        ((pattern, names),) = first
        new = tuple(zip(names, itertools.count(count + 1), strict=False))
        behind = [_Line(line.format, line.pieces[1:], line.fields + new) for line in same]
        others, count = _tree(behind, count + len(names), shapes)
        steps.append(Step(pattern, tuple(group for _, group in new), others))
    return tuple(steps), count


def _written(tree: Tree) -> str:
    """Return a tree as one regular expression; a line's end is an empty group, whose number names the shape."""
    parts = []
    for step in tree:
        if isinstance(step, int):
            parts.append(r"\Z()")
        else:
            behind = _written(step.behind)
            parts.append(step.pattern + (f"(?:{behind})" if len(step.behind) > 1 else behind))
    return "|".join(parts)


def compile_program(formats: Sequence[LogFormat]) -> Pattern:
    """Compile the formats of one program to one pattern over bytes.

    Each alternative ends in an empty group, so ``m.lastindex`` names it. Raises :class:`FormatError` for an element
    that can't be translated or a field named twice.
    """
    shapes: dict[int, Shape] = {}
    lines = [_Line(fmt, tuple(_pieces(each, fmt.name))) for fmt in formats for each in fmt.alternatives()]
    tree, _ = _tree(lines, 0, shapes)
    try:
        text = (_written(tree) or "(?!)").encode("ascii")
    except UnicodeEncodeError as error:
        raise FormatError(f"{', '.join(f.name for f in formats)}: {error}") from error
    return Pattern(text, shapes, tree)


def parse_slowly(fmt: LogFormat, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Run a format as pyparsing itself would: yield (alternative, fields) for each alternative that takes the line.

    For tests, ``logscan formats --check`` and documentation; the log itself is read with the compiled pattern.
    """
    for number, alternative in enumerate(fmt.alternatives()):
        whole = (alternative + pp.StringEnd().leave_whitespace()).leave_whitespace().parse_with_tabs()
        try:
            found = whole.parse_string(text)
        except pp.ParseException:
            continue
        yield number, {key: str(value) for key, value in found.as_dict().items()}
