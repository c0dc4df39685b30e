"""The files that an installation is made of: in a checkout those of ``contrib/``, in a wheel the package's own."""

from __future__ import annotations

from pathlib import Path

NAMES = ("logscan.service", "logscan-mail.service", "logscan.timer", "logscan.sysusers", "logscan.cron")


class NoTemplate(Exception):  # noqa: N818 - it says what is missing
    """A file of the package is missing; the message says what to do."""


def template(name: str) -> str:
    """Return the text of one of :data:`NAMES`; raises :class:`NoTemplate`."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "contrib", package.parent / "contrib"):
        path = folder / name
        if path.is_file():
            return path.read_text("utf-8")
    raise NoTemplate(f"{name} is missing beside {package}: install logscan again, from the wheel or the checkout")
