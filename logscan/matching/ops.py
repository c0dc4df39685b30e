"""Op programs for the machine in C (``logscan/machine/vm.c``): the ops, and how an image of programs is laid out.

An image is an array of 32-bit words: nine of header (:data:`MAGIC`, then how many words of code, shapes, words of lists,
tables, bytes of texts, groups, registers and entries there are), the code, the place where each program begins in it (its
entry), for each shape where its groups begin in the lists and how many they are, the lists, the tables (256 bytes each), the
texts. An op is one word or more; the lowest byte of the first says which. A *set* of bytes is one bit of a table:
``table << 16 | mask << 8``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

MAGIC = 0x4C53504D
HEADER = 9
MOST_GROUPS = 4096
"""Groups a program may have."""

REGISTERS = 64
"""Registers a program or routine may use."""

NO_LIMIT = 0xFFFFFFFF

END_BIT = 1 << 256
"""Stands for the line's end in a set of what may come next; the bits below it are bytes."""

ALL = (END_BIT << 1) - 1
BYTES = END_BIT - 1


class Op(NamedTuple):
    """An op: its number, and its operands, a letter each.

    In the first word above the op's number: ``s`` a set, ``n`` a number, ``c`` a character, ``g`` a group, ``r`` a register,
    ``h`` a shape, ``T`` a text of up to eight bytes, which follows in two words. In words of their own: ``w`` a number, ``x``
    where a text lies, ``G`` a group, ``f`` a set (with END in its lowest bit), ``>`` a target further on, ``<`` any target,
    ``D`` a table of 256 numbers, the target at the line's end, and a target for each number.
    """

    number: int
    operands: str
    size: int


_OPERANDS = {
    "FAIL": "",  # take up what was put on the stack last
    "END": "h",  # the line's end: claim it
    "JMP": ">",
    "LIT1": "c",
    "LIT8": "T",
    "LITN": "nx",
    "ONE": "s",
    "SKIP": "",  # any one byte
    "SPAN": "s",  # as many as there are, and never fewer
    "SPAN1": "s",  # the same, at least one
    "SPANMAX": "sww",  # the same, from so many to so many
    "ALL": "",  # the rest of the line
    "GSPAN": "swwf",  # from so many to so many, and fewer if need be, where one of the second set comes next
    "LSPAN": "swwf",  # the same, as few as will do
    "OPEN": "g",
    "CLOSE": "g",
    "CAPSPAN": "sGww",  # SPANMAX as a group
    "DISPATCH": "D",  # by the next byte
    "TEST": "s>",  # go there unless one of the set comes next
    "TESTEND": "s>",  # the same; the line's end is in the set
    "CHOICE": ">",  # put a target on the stack, with the place in the line
    "TRYLIT": "T>",  # CHOICE and the text; go there where the text isn't
    "IFLIT": "T>",  # the text, else go there
    "NOTLIT": "T>",  # go there, without taking it, where the text is
    "POP": "",  # take one off the stack
    "MARK": "r",  # remember how high the stack is
    "CUT": "r",  # and take off what has come since
    "POPFAIL": "",
    "CUTFAIL": "r",
    "LOOKOUT": "r>",  # CUT; go back to where CHOICE was in the line, and on there; undo the groups
    "LOOKBACK": "r",  # CUT; go back to where CHOICE was in the line
    "HOLD": "r",  # remember the stack's height and the place, in two registers
    "RETURN": "r",  # to both
    "BACK": "n",  # so many bytes back
    "AGAIN": "<",
    "HERE": "r",  # remember the place
    "MOVED": "r<",  # go there unless the place is the same
    "EOL": "",
    "START": "",
    "WORDB": "",
    "CALL": "n<",  # run a routine; the registers from the nth on are its own
    "RET": "",
    "UNKNOWN": "",  # leave the line to the pattern
}
_SIZES = {"T": 2, "w": 1, "x": 1, "G": 1, "f": 1, ">": 1, "<": 1, "D": 2}
OPS = {
    name: Op(number, operands, 1 + sum(_SIZES.get(each, 0) for each in operands))
    for number, (name, operands) in enumerate(_OPERANDS.items())
}
NAMES = {op.number: name for name, op in OPS.items()}
