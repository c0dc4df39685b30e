"""Draws the house from the code: its rooms, what each uses, and the floors that follow from that."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PLUGINS = ("parsers", "reports")
"""Folders at the top whose modules are imported as ``logscan.<folder>.<module>``."""

LONGEST = 400
"""Lines that a file may have."""


@dataclass
class Room:
    """A folder of modules, or a module that lies beside the folders."""

    name: str
    says: str
    """The first sentence of its docstring."""
    modules: list[str] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)
    """Rooms it imports from, for types too."""


def files(root: Path) -> dict[str, Path]:
    """Return the modules of the program by their names."""
    found = {}
    for folder, prefix in (("logscan", "logscan"), *((each, f"logscan.{each}") for each in PLUGINS)):
        for path in sorted((root / folder).rglob("*.py")):
            name = ".".join([prefix, *path.relative_to(root / folder).with_suffix("").parts])
            found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the program that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = (f"{node.module}.{each.name}" for each in node.names)
            found.update(each if each in known else node.module for each in inside)
    return {name for name in found if name in known}


def room_of(module: str, known: dict[str, Path]) -> str:
    """Return the room that a module lies in."""
    parts = module.split(".")
    if len(parts) > 2 or known[module].name == "__init__.py":
        return parts[1] if len(parts) > 1 else "logscan"
    return f"{parts[1]}.py"


def rooms(root: Path) -> dict[str, Room]:
    """Return all rooms by name; the package itself, which only hands on the public names, is none."""
    known = files(root)
    found: dict[str, Room] = {}
    for module, path in known.items():
        name = room_of(module, known)
        if name == "logscan":
            continue
        room = found.setdefault(name, Room(name, ""))
        if path.name == "__init__.py" or name.endswith(".py"):
            room.says = room.says or (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0]
        room.modules.append(module)
        room.uses |= {room_of(each, known) for each in imports(path, known)} - {name, "logscan"}
    return found


def floors(house: dict[str, Room]) -> list[list[Room]]:
    """Return the rooms floor by floor from the ground: each uses only those below. Raises ValueError for a circle."""
    left = dict(house)
    found: list[list[Room]] = []
    done: set[str] = set()
    while left:
        floor = [room for room in left.values() if room.uses <= done]
        if not floor:
            raise ValueError(f"a circle among {', '.join(sorted(left))}")
        found.append(sorted(floor, key=lambda room: room.name))
        done |= {room.name for room in floor}
        left = {name: room for name, room in left.items() if name not in done}
    return found


def drawn(root: Path) -> Iterator[str]:
    """Yield the drawing, the top floor first."""
    house = rooms(root)
    storeys = floors(house)
    wide = max(len(name) for name in house)
    for number, floor in reversed(list(enumerate(storeys, 1))):
        for place, room in enumerate(floor):
            shown = room.name if room.name.endswith(".py") else f"{room.name}/"
            yield f"{'' if place else number:>2}  {shown:{wide}}  {room.says}".rstrip()
