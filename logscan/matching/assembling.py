"""Turns instructions into the words of an op program (see :mod:`logscan.matching.ops`), and words into a listing."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from logscan.matching.ops import BYTES, HEADER, MAGIC, MOST_GROUPS, NAMES, OPS, REGISTERS, Words


class Label:
    """A place in the code."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = -1


Instruction = tuple[Any, ...]
"""An op's name and its operands: sets as numbers with a bit a byte (and one for the end), texts as bytes, labels."""

_DIGITS = bytes(byte & 1 for byte in range(256))


@functools.lru_cache(maxsize=4096)
def _table(members: int) -> int:
    """Return a set as a table of 256 zeros and ones, as one number."""
    return int.from_bytes(format(members & BYTES, "0256b")[::-1].encode().translate(_DIGITS), "little")


class Code:
    """Instructions and labels, one behind the other: a program, or a routine that programs call."""

    def __init__(self) -> None:
        self.code: list[Instruction | Label | None] = []

    def emit(self, *instruction: Any) -> int:
        """Add an instruction; returns its place, where it may be taken out again."""
        self.code.append(instruction)
        return len(self.code) - 1

    def place(self, label: Label) -> None:
        """Put a label here."""
        self.code.append(label)

    def drop_jumps(self) -> None:
        """Take out jumps to what comes next."""
        here: list[Label] = []
        for at in range(len(self.code) - 1, -1, -1):
            each = self.code[at]
            if each is None:
                continue
            if type(each) is Label:
                here.append(each)
            elif each[0] == "JMP" and each[1] in here:  # type: ignore[index]
                self.code[at] = None
            elif here:
                here = []


class Assembler:
    """Makes an image: adds code to it, piece by piece, and returns it as words at any time."""

    def __init__(self) -> None:
        self.shapes: list[Sequence[int]] = []
        """The groups of each shape."""
        self.entries: list[int] = []
        """Where each program begins."""
        self._words: list[int] = []
        self._sets: dict[int, int] = {}
        self._tables: dict[int, int] = {}
        self._of_table: list[int] = []
        self._texts = bytearray()

    def add(self, code: Code) -> int:
        """Add code behind what is there; returns its place."""
        code.drop_jumps()
        begin = at = len(self._words)
        for each in code.code:
            if type(each) is Label:
                each.at = at
            elif each is not None:
                name = each[0]  # type: ignore[index]
                at += OPS[name].size + (len(each[1]) if name == "DISPATCH" else 0)  # type: ignore[index]
        for each in code.code:
            if each is not None and type(each) is not Label:
                self._add(*each)  # type: ignore[misc]
        return begin

    def image(self) -> Words:
        """Return all so far as an image."""
        shapes = self.shapes
        starts = np.cumsum([0, *(len(shape) for shape in shapes)]).tolist()
        places = [word for start, shape in zip(starts, shapes, strict=False) for word in (start, len(shape))]
        lists = [group for shape in shapes for group in shape]
        planes = list(self._planes())
        tables = b"".join([*planes, *(table.to_bytes(256, "little") for table in self._tables)])
        sizes = [
            len(self._words),
            len(shapes),
            len(lists),
            len(tables) // 256,
            len(self._texts),
            MOST_GROUPS,
            REGISTERS,
        ]
        code = np.asarray(self._words, np.uint32)
        code[self._of_table] += len(planes)
        words = [np.asarray([MAGIC, *sizes, len(self.entries)], np.uint32), code]
        words.append(np.asarray([*self.entries, *places, *lists], np.uint32))
        data = tables + bytes(self._texts) + bytes(-len(self._texts) % 4)
        return np.concatenate([*words, np.frombuffer(data, np.uint32)])

    def _add(self, name: str, *values: Any) -> None:
        op = OPS[name]
        if op.operands == "D":
            self._dispatch(op.number, *values)
            return
        first, rest = op.number, []
        for kind, value in zip(op.operands, values, strict=True):
            if kind == "s":
                first |= self._set(value)
            elif kind in "><":
                rest.append(value.at)
            elif kind in "ncgrh":
                first |= value << 8
            elif kind == "T":
                first |= len(value) << 8
                whole = int.from_bytes(value, "little")
                rest += [whole & 0xFFFFFFFF, whole >> 32]
            elif kind == "x":
                rest.append(self._text(value))
            elif kind == "f":
                rest.append(self._set(value) | value >> 256)
            else:
                rest.append(value)
        self._words.append(first)
        self._words += rest

    def _text(self, text: bytes) -> int:
        at = self._texts.find(text)
        if at < 0:
            at = len(self._texts)
            self._texts += text
        return at

    def _dispatch(self, number: int, arms: Sequence[tuple[int, Label]], end: Label) -> None:
        table = sum(_table(members) * at for at, (members, _) in enumerate(arms))
        self._of_table.append(len(self._words) + 1)
        at = self._tables.setdefault(table, len(self._tables))
        self._words += [number | len(arms) << 8, at, end.at, *(label.at for _, label in arms)]

    def _set(self, members: int) -> int:
        at = self._sets.setdefault(members & BYTES, len(self._sets))
        return (at >> 3) << 16 | 1 << (at & 7) << 8

    def _planes(self) -> Iterator[bytes]:
        """Yield the sets, eight to a table."""
        members = list(self._sets)
        for at in range(0, len(members), 8):
            yield sum(_table(each) << bit for bit, each in enumerate(members[at : at + 8])).to_bytes(256, "little")


class Listing:
    """Reads an image back: one line an op."""

    def __init__(self, program: Words) -> None:
        self.words = program.tolist()
        code, shapes, lists, tables = self.words[1:5]
        self.end = HEADER + code
        data = program[self.end + self.words[8] + 2 * shapes + lists :].tobytes()
        self.tables = [data[at : at + 256] for at in range(0, 256 * tables, 256)]
        self.texts = data[256 * tables :]

    def ops(self) -> Iterator[tuple[int, str]]:
        """Yield the place and the name of each op."""
        at = HEADER
        while at < self.end:
            name = NAMES[self.words[at] & 0xFF]
            yield at - HEADER, name
            at += OPS[name].size + (self.words[at] >> 8 if name == "DISPATCH" else 0)

    def lines(self) -> Iterator[str]:
        """Yield the ops, as ``place: NAME operands``; sets are shown as their members."""
        for place, name in self.ops():
            at = HEADER + place
            operands = self._arms(at) if name == "DISPATCH" else self._operands(OPS[name].operands, at)
            yield " ".join([f"{place}: {name}", *operands])

    def _operands(self, kinds: str, at: int) -> Iterator[str]:
        first, here = self.words[at], at + 1
        size = first >> 8
        for kind in kinds:
            if kind == "s":
                yield self._shown(first)
            elif kind in "ngrh":
                yield str(size)
            elif kind == "c":
                yield repr(bytes([size]))
            elif kind == "T":
                yield repr((self.words[here] | self.words[here + 1] << 32).to_bytes(8, "little")[:size])
                here += 2
            else:
                value = self.words[here]
                here += 1
                if kind == "x":
                    yield repr(self.texts[value : value + size])
                elif kind == "f":
                    yield f"before {self._shown(value)}{' END' if value & 1 else ''}"
                else:
                    yield f"-> {value}" if kind in "><" else str(value)

    def _arms(self, at: int) -> Iterator[str]:
        table, end, *targets = self.words[at + 1 : at + 3 + (self.words[at] >> 8)]
        for number, target in enumerate(targets):
            yield f"{_ranges([byte for byte in range(256) if self.tables[table][byte] == number])} -> {target}"
        yield f"END -> {end}"

    def _shown(self, word: int) -> str:
        table, mask = self.tables[word >> 16], word >> 8 & 0xFF
        return _ranges([byte for byte in range(256) if table[byte] & mask])


def _ranges(members: Sequence[int]) -> str:
    """Return bytes as in a pattern's class, the shorter way round."""
    outside = "^" if len(members) > 128 else ""
    shown = sorted({*range(256)}.difference(members)) if outside else members
    runs: list[list[int]] = []
    for byte in shown:
        if runs and runs[-1][1] == byte - 1:
            runs[-1][1] = byte
        else:
            runs.append([byte, byte])
    return f"[{outside}{''.join(_char(a) if a == b else f'{_char(a)}-{_char(b)}' for a, b in runs)}]"


def _char(byte: int) -> str:
    return repr(bytes([byte]))[2:-1]
