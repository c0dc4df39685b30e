"""Whom a place in the file system can be trusted to belong to: a file that others can write says what others want."""

from __future__ import annotations

import os
import stat
from pathlib import Path

STICKY = stat.S_ISVTX


def ours(status: os.stat_result) -> bool:
    """Whether a file belongs to root or to the user who runs this."""
    return status.st_uid in (0, os.geteuid())


def writable(status: os.stat_result) -> bool:
    """Whether others than its owner can write it: everybody, or its group."""
    return bool(status.st_mode & (stat.S_IWOTH | stat.S_IWGRP))


def doubt(path: Path, *, named: bool = False) -> str:
    """Return why what ``path`` holds may be a stranger's word, or an empty string.

    Looks at the file, at links to it, and at each folder above: whoever can write there can put another in its place.
    A file that was ``named`` may lie in a folder such as /tmp, where nobody can rename what is another's.
    """
    if not hasattr(os, "geteuid"):  # no such owners here
        return ""
    for each in dict.fromkeys((Path(os.path.abspath(path)), path.resolve())):  # noqa: PTH100 - links stay
        if found := _doubt(each, named):
            return found
    return ""


def _doubt(path: Path, named: bool) -> str:
    for one in (path.lstat(), path.stat()):
        if not ours(one):
            return "it belongs to another user"
    if writable(path.stat()):
        return "others can write it"
    for folder in path.parents:
        status = folder.stat()
        if not ours(status):
            return f"the folder {folder} belongs to another user"
        shared = bool(status.st_mode & STICKY) and (named or folder != path.parent)
        if writable(status) and not shared:
            return f"others can write the folder {folder}"
    return ""
