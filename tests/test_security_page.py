"""docs/security.md promises nothing that no test holds."""

from __future__ import annotations

import re
from pathlib import Path

NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def rows(page: str) -> list[str]:
    promised = page.split("## What is promised")[1].split("## What is not promised")[0]
    return [line for line in promised.splitlines() if line.startswith("| ") and not line.startswith("| promise")]


def test_each_promise_names_a_test_that_is_there(checkout: Path) -> None:
    page = (checkout / "docs" / "security.md").read_text("utf-8")
    promised = rows(page)
    assert len(promised) >= 15
    for row in promised:
        named = NAMED.findall(row)
        assert named, row
        for file, name in named:
            text = (checkout / "tests" / file).read_text("utf-8")
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file}::{name}"


def test_each_limit_is_the_program_s_own(checkout: Path) -> None:
    from logscan.commands import smtp_talk
    from logscan.commands.mailing import Server
    from logscan.sources import archives, pinned, unpacking

    page = " ".join((checkout / "docs" / "security.md").read_text("utf-8").split())
    assert f"more than {unpacking.BOMB_FROM >> 20} MB and to more than {unpacking.BOMB_RATIO} times its size" in page
    assert f"{pinned.Window.MOST >> 20} MB for what a tar archive's header may claim" in page
    assert f"{archives.MOST_MEMBERS:,} members, {archives.MOST_UNPACKED >> 30} GB of a packed tar on disk" in page
    assert f"{unpacking.MOST_XZ >> 20} MB that an xz archive may ask for" in page
    assert f"{Server().limit / 60:g} minutes and {smtp_talk.MOST_SAID >> 20} MB of answers" in page
