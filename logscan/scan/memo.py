"""Keeps what was made of a window for as long as the window lives, beside the window: nothing is hung onto it."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

from logscan.scan.window import Window

T = TypeVar("T")
Look = TypeVar("Look", bound=Callable[..., Any])


def per_window(make: Callable[..., T]) -> Callable[..., T]:
    """Let ``make(window, *others)`` be made once for each window and each set of the others (the very same objects)."""
    made: weakref.WeakKeyDictionary[Window, list[tuple[tuple[Any, ...], T]]] = weakref.WeakKeyDictionary()

    @functools.wraps(make)
    def once(window: Window, *others: Any) -> T:
        known = made.setdefault(window, [])
        for asked, result in known:
            if len(asked) == len(others) and all(a is b for a, b in zip(asked, others, strict=True)):
                return result
        result = make(window, *others)
        known.append((others, result))
        return result

    return once


def none_once(look: Look) -> Look:
    """Let ``look(rows, *others)`` be called once for all rows of which there are none; ``others`` must be hashable.

    What it returns for them may depend on nothing but the others: pandas takes as long for no row as for a thousand.
    """
    empty: dict[tuple[Any, ...], Any] = {}

    @functools.wraps(look)
    def found(rows: Any, *others: Any) -> Any:
        if len(rows):
            return look(rows, *others)
        if others not in empty:
            empty[others] = look(rows, *others)
        return empty[others]

    return cast(Look, found)


def empty_once(*tables: str) -> Callable[[Look], Look]:
    """Let ``look(window, *others)`` be called once for all windows in which these event tables are empty.

    What it returns for them may depend on nothing else of the window, and on none of the others.
    """

    def around(look: Look) -> Look:
        empty: list[Any] = []

        @functools.wraps(look)
        def found(window: Window, *others: Any) -> Any:
            if any(len(window.tables[name]) for name in tables):
                return look(window, *others)
            if not empty:
                empty.append(look(window, *others))
            return empty[0]

        return cast(Look, found)

    return around
