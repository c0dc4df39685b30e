"""logscan: tells from its logs whether a mail server really works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from logscan.version import __version__

if TYPE_CHECKING:
    from logscan.pipeline.running import analyse, read, render, stream
    from logscan.report.model import Report
    from logscan.scan.scan import Scan

__all__ = ["Report", "Scan", "__version__", "analyse", "read", "render", "stream"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: ``logscan --help`` needs none of them."""
    import importlib

    places = {
        "analyse": "pipeline.running",
        "read": "pipeline.running",
        "render": "pipeline.running",
        "stream": "pipeline.running",
        "Report": "report.model",
        "Scan": "scan.scan",
    }
    if name in places:
        return getattr(importlib.import_module(f"logscan.{places[name]}"), name)
    raise AttributeError(f"module 'logscan' has no attribute {name!r}")
