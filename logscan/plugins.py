"""Finds the plug-ins: log formats, configuration readers, reports and checks, each one module of its package."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


class PluginError(Exception):
    """A plug-in is wrong; the message names its file."""


def extend_path(path: list[str], folder: str) -> None:
    """Let a plug-in package look into the top-level ``folder`` of a checkout; an installed package holds its own."""
    root = Path(__file__).resolve().parent.parent
    if (root / "pyproject.toml").is_file() and (root / folder).is_dir():
        path.append(str(root / folder))


def folders(package: str) -> list[Path]:
    """Return the folders that a package's modules lie in."""
    return [Path(each) for each in importlib.import_module(package).__path__]


def names(package: str) -> list[str]:
    """Return the names of a package's modules; none is imported. An output format is called like its module."""
    return sorted(each.name for each in pkgutil.iter_modules(importlib.import_module(package).__path__))


def modules(package: str) -> Iterator[ModuleType]:
    """Yield every module of ``package`` in the order of its names."""
    for name in names(package):
        yield importlib.import_module(f"{package}.{name}")


def collect(package: str, attribute: str, kind: type[T]) -> list[T]:
    """Return what the modules of ``package`` hold under ``attribute``: one ``kind`` or a tuple of them each.

    Modules without the attribute are passed over. Raises :class:`PluginError`, which names the file, where the
    attribute is of another type.
    """
    found: list[T] = []
    for module in modules(package):
        value: Any = getattr(module, attribute, None)
        if value is None:
            continue
        for item in value if isinstance(value, tuple) else (value,):
            if not isinstance(item, kind):
                raise PluginError(f"{module.__file__}: {attribute} is {type(item).__name__}, not {kind.__name__}")
            found.append(item)
    return found
