"""Correlation: event tables → lives of queue IDs → what came out of what → mails."""

from __future__ import annotations

from logscan.correlate.build import Correlated, correlate

__all__ = ["Correlated", "correlate"]
