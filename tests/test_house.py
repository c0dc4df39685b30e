"""The house: rooms on floors, each using only those below; no file grows out of hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def house(checkout: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", checkout / "docs" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["house"] = found
    spec.loader.exec_module(found)
    return found


ABOVE = [
    ("commands", "pipeline"),
    ("pipeline", "report"),
    ("pipeline", "checking"),
    ("reports", "rendering"),
    ("rendering", "report"),
    ("checks", "checking"),
    ("checking", "scan"),
    ("report", "scan"),
    ("scan", "correlate"),
    ("reading", "clocks"),
    ("reading", "matching"),
    ("correlate", "tables"),
]
"""Rooms of which the first lies above the second, whatever else changes."""


def test_no_room_uses_one_above_it(house: ModuleType, checkout: Path) -> None:
    storeys = house.floors(house.rooms(checkout))
    level = {room.name: number for number, floor in enumerate(storeys) for room in floor}
    assert [pair for pair in ABOVE if level[pair[0]] <= level[pair[1]]] == []
    assert len(storeys) <= 12


def test_no_module_is_in_a_circle_of_imports(house: ModuleType, checkout: Path) -> None:
    known = house.files(checkout)
    left = {name: house.imports(path, known) - {name, "logscan"} for name, path in known.items() if name != "logscan"}
    while free := [name for name, uses in left.items() if not uses & left.keys()]:
        for name in free:
            del left[name]
    assert sorted(left) == []


def test_a_circle_is_seen(house: ModuleType) -> None:
    rooms = {"a": house.Room("a", "", uses={"b"}), "b": house.Room("b", "", uses={"a"})}
    with pytest.raises(ValueError, match="a circle among a, b"):
        house.floors(rooms)


def test_plug_ins_import_no_plug_in(house: ModuleType, checkout: Path) -> None:
    known = house.files(checkout)
    folders = ("logscan.parsers.", "logscan.reports.", "logscan.checks.")
    found = [
        f"{name}: {each}"
        for name, path in known.items()
        if name.startswith(folders)
        for each in house.imports(path, known)
        if each.startswith(folders)
    ]
    assert found == []


def test_no_file_is_long(house: ModuleType, checkout: Path) -> None:
    long = {name: len(path.read_text().splitlines()) for name, path in house.files(checkout).items()}
    assert {name: lines for name, lines in long.items() if lines > house.LONGEST} == {}
