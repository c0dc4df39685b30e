"""Finds the logs that ship with logscan: in a checkout the top-level folder ``sample_logs/``, in a wheel the package's own."""

from __future__ import annotations

import re
from pathlib import Path

ROW = re.compile(r"^\| ([a-z0-9-]+) \| (.+) \|$", re.MULTILINE)
"""A story's row in the table of ``sample_logs/README.md``, the one place where stories are named and described."""


class NoSamples(Exception):  # noqa: N818 - it says what is missing
    """The sample logs aren't there, or hold no such story; the message says what to do."""


def folder() -> Path:
    """Return the folder of the stories; raises :class:`NoSamples`."""
    package = Path(__file__).resolve().parent
    for place in (package / "sample_logs", package.parent / "sample_logs"):
        if (place / "README.md").is_file():
            return place
    raise NoSamples(
        f"the sample logs are missing beside {package}: install logscan again, from the wheel or the checkout"
    )


def stories() -> dict[str, str]:
    """Return what happened in each story, by its name, in the order in which they are shown."""
    return dict(ROW.findall((folder() / "README.md").read_text("utf-8")))


def story(name: str) -> Path:
    """Return the folder of one story; raises :class:`NoSamples`, which lists those there are."""
    known = stories()
    if name not in known:
        raise NoSamples(f"there is no story {name!r}; there are {', '.join(known)}")
    return folder() / name
