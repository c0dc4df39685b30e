"""Finds the plug-ins: log formats, configuration readers, reports and checks, each one module of its package."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
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


WRITTEN_WRONG = (SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, PluginError)
"""What a plug-in raises when it is imported because of what stands in it; want of memory is no fault of its."""


def _loaded(package: str, name: str) -> ModuleType:
    """Import one plug-in; raises :class:`PluginError`, which names its file and the line."""
    try:
        return importlib.import_module(f"{package}.{name}")
    except (*WRITTEN_WRONG, ImportError) as error:
        if isinstance(error, ImportError) and not str(error.name).startswith("logscan"):
            raise  # a library that can't be loaded
        places = [folder / f"{name}.py" for folder in folders(package)]
        file = str(next((each for each in places if each.is_file()), places[0]))
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == file]
        line = error.lineno if isinstance(error, SyntaxError) else [None, *lines][-1]
        said = f"{type(error).__name__}: {getattr(error, 'msg', error)}"
        why = str(error) if isinstance(error, PluginError) else said
        raise PluginError(f"{file}, line {line}: {why}" if line else f"{file}: {why}") from error


def collect(package: str, attribute: str, kind: type[T], *others: str) -> list[T]:
    """Return what the modules of ``package`` hold under ``attribute``: one ``kind`` or a tuple of them each.

    Modules without it hold one of the ``others``. Raises :class:`PluginError`, which names the file, where a module can't be
    imported for what stands in it, holds none of these names, or another type under this one.
    """
    found: list[T] = []
    for name in names(package):
        module = _loaded(package, name)
        value: Any = getattr(module, attribute, None)
        if value is None:
            if not any(hasattr(module, each) for each in others):
                raise PluginError(f"{module.__file__}: it holds no {' and no '.join((attribute, *others))}")
            continue
        for item in value if isinstance(value, tuple) else (value,):
            if not isinstance(item, kind):
                raise PluginError(f"{module.__file__}: {attribute} is {type(item).__name__}, not {kind.__name__}")
            found.append(item)
    return found
