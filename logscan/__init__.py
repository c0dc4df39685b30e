"""logscan: tells from its logs whether a mail server really works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from logscan.pipeline import analyse, read, render
    from logscan.report import Report
    from logscan.scan import Scan

__all__ = ["Report", "Scan", "__version__", "analyse", "read", "render"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: ``logscan --help`` needs none of them."""
    import importlib

    places = {"analyse": "pipeline", "read": "pipeline", "render": "pipeline", "Report": "report", "Scan": "scan"}
    if name in places:
        return getattr(importlib.import_module(f"logscan.{places[name]}"), name)
    raise AttributeError(f"module 'logscan' has no attribute {name!r}")
