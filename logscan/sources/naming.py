"""What names tell: short unique labels for what was found, and the user that one of DSPAM's logs belongs to."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from logscan.sources import rotation
from logscan.sources.source import ConfigFile, Source


def dspam_user(path: str) -> str:
    """Return the DSPAM user whose log lies at ``path``: ``alice@example.com``, or ``alice`` in the domain ``local``.

    Reads DSPAM's layouts (``_ds_userdir_path``, util.c): data/DOMAIN/USER, data/USER, data/U/S/USER and data/U/USER.
    """
    parts = PurePath(path).parts
    folders = list(parts[:-1])
    user = rotation.NUMBERED.sub("", rotation.COMPRESSED.sub("", parts[-1])).removesuffix(".log")
    if "data" in folders:
        folders = folders[len(folders) - folders[::-1].index("data") :]
    if folders and parts[-1].startswith(f"{folders[-1]}.log"):
        user = folders[-1]
    if not folders or folders[-1] != user:
        return user
    above = folders[-2] if len(folders) > 1 else ""
    scaled = len(above) == 1 and above in user[:2]
    if "data" not in parts and "." not in above:
        return user
    return user if not above or above == "local" or scaled else f"{user}@{above}"


def unique(found: Sequence[Source | ConfigFile]) -> None:
    """Make labels unique: equal ones grow by the folders before them, at last by a number."""
    for _ in range(64):
        counts: dict[str, list[Source | ConfigFile]] = {}
        for each in found:
            counts.setdefault(each.label, []).append(each)
        equal = [group for group in counts.values() if len(group) > 1]
        if not equal:
            return
        for each in itertools.chain.from_iterable(equal):
            parts = Path(os.path.abspath(each.path)).parts  # noqa: PTH100 -- links keep their names
            more = len(Path(each.label).parts) + 1
            each.label = str(Path(*parts[-more:])) if more <= len(parts) and "://" not in each.path else each.path
    numbers: dict[str, int] = {}
    for each in found:
        numbers[each.label] = numbers.get(each.label, 0) + 1
        if numbers[each.label] > 1:
            each.label += f" #{numbers[each.label]}"
