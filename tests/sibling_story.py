"""A story as text: a folder's logs, configuration and truth, to be rewritten alike (:mod:`siblings`)."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

YEAR = 2026
STAMP = re.compile(r"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|20\d\d-\d\d-\d\dT\S+) (\S+) ")


@dataclass(frozen=True)
class Story:
    """A folder: its files by name, and how to read its stamps."""

    name: str
    files: dict[str, str]
    year: int | None = YEAR
    timezone: str | None = None

    @property
    def logs(self) -> list[str]:
        """Return the mail log's files, oldest first."""
        names = [name for name in self.files if name.startswith("mail.log")]
        return sorted(names, key=lambda name: -int((re.findall(r"\d+", name) or ["0"])[0]))

    @property
    def truth(self) -> dict[str, Any]:
        return dict(json.loads(self.files["truth.json"]))

    def write(self, folder: Path) -> Path:
        """Write what an administrator would give."""
        for name, text in self.files.items():
            if name != "truth.json":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                data = text.encode("utf-8", "surrogateescape")
                (folder / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
        return folder


def story(folder: Path) -> Story:
    """Return a folder's story; what is packed lies in it unpacked, but for rotated files."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, data = str(path.relative_to(folder)), path.read_bytes()
        if name.endswith(".gz"):
            data = gzip.decompress(data)
            name = name if re.search(r"\d\.gz$", name) else name.removesuffix(".gz")
        files[name] = data.decode("utf-8", "surrogateescape")
    return Story(folder.name, files)


def each(told: Story, change: Callable[[str], str], *, only: Callable[[str], bool] = lambda name: True) -> Story:
    """Return a story with a change in its texts."""
    return replace(told, files={name: change(text) if only(name) else text for name, text in told.files.items()})


def named(told: Story, change: Callable[[str], str]) -> Story:
    """Return a story with a change in its texts, and in the names of its files."""
    return replace(told, files={change(name): change(text) for name, text in told.files.items()})


def lines(told: Story, change: Callable[[str], str]) -> Story:
    """Return a story with a change in each line of its mail log."""

    def text(whole: str) -> str:
        return "".join(change(line) for line in whole.splitlines(keepends=True))

    return each(told, text, only=lambda name: name.startswith("mail.log"))


def words(told: Story, new: dict[str, str]) -> Story:
    """Return a story with other words; each stands alone, or as a part of a path."""
    if not new:
        return told
    pattern = re.compile(rf"(?<![\w.-])({'|'.join(sorted(map(re.escape, new), key=len, reverse=True))})(?![\w-])")
    return each(told, lambda text: pattern.sub(lambda found: new[found[0]], text))


def utc(stamp: str) -> float:
    if stamp.startswith("20"):
        return datetime.fromisoformat(stamp).timestamp()
    return datetime.strptime(f"{YEAR} {stamp}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC).timestamp()
