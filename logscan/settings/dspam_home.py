"""Which users DSPAM keeps data for, and whose signatures lie where: its home as a listing or on disk.

Layouts after ``_ds_userdir_path`` (DSPAM 3.10.2, util.c): ``data/U/U.ext`` (default), ``data/<U[0]>/<U[1]>/U/U.ext``
(large scale), ``data/dom/local/local.ext`` (domain scale; a user without a domain lies in ``data/local``),
``~U/.dspam/U.ext`` (home directories). Names may hold anything but a slash.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Inventory", "Item", "UserData", "layout_of_path", "read_home", "read_listing", "recognise", "user_of_path"]

Layout = Literal["domain-scale", "large-scale", "default", "homedir", "unknown"]

EXTENSIONS = frozenset(
    {"css", "lock", "log", "mbox", "stats", "prefs", "sig", "corpus", "dict", "rstats", "nodspam", "dspam"}
)
"""What DSPAM appends to a user's name (util.h, the drivers)."""


@dataclass(frozen=True)
class Item:
    """One file or folder of a listing. ``type`` is f, d, l or empty where the listing doesn't tell."""

    path: str
    type: str = ""
    size: int | None = None
    mtime: datetime | None = None


@dataclass
class UserData:
    """What DSPAM keeps for one user. ``dictionary_size`` is in bytes; None without a dictionary or where not told."""

    user: str
    folder: str = ""
    dictionary: bool = False
    dictionary_size: int | None = None
    dictionary_mtime: datetime | None = None
    has_sig: bool = False
    has_log: bool = False
    has_stats: bool = False
    signatures: int = 0

    @property
    def domain(self) -> str:
        """The part behind the @, or nothing."""
        return self.user.partition("@")[2]


@dataclass
class Inventory:
    """The users and signatures of a DSPAM home."""

    users: dict[str, UserData] = field(default_factory=dict)
    signatures: dict[str, set[str]] = field(default_factory=dict)
    """The users under whom each signature lies."""
    layouts: Counter[Layout] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        """The layout most paths have."""
        return self.layouts.most_common(1)[0][0] if self.layouts else "unknown"

    def owner_of(self, signature: str) -> str | None:
        """Return the one user under whom the signature lies; None for nobody, and for several."""
        owners = self.signatures.get(signature, set())
        return next(iter(owners)) if len(owners) == 1 else None

    def frame(self) -> pd.DataFrame:
        """Return a row per user: the fields of :class:`UserData` and ``domain``."""
        import pandas as pd

        columns = [
            *("user", "domain", "folder", "dictionary", "dictionary_size", "dictionary_mtime"),
            *("has_sig", "has_log", "has_stats", "signatures"),
        ]
        rows = [[getattr(each, name) for name in columns] for each in self.users.values()]
        frame = pd.DataFrame(rows, columns=pd.Index(columns))
        frame["dictionary_size"] = frame["dictionary_size"].astype("Int64")
        frame["dictionary_mtime"] = pd.to_datetime(frame["dictionary_mtime"], utc=True)
        return frame

    def merge(self, other: Inventory) -> None:
        """Take in what another listing of the same home tells."""
        for name, theirs in other.users.items():
            own = self.users.setdefault(name, UserData(name, theirs.folder))
            own.dictionary |= theirs.dictionary
            own.dictionary_size = theirs.dictionary_size if own.dictionary_size is None else own.dictionary_size
            own.dictionary_mtime = own.dictionary_mtime or theirs.dictionary_mtime
            own.has_sig |= theirs.has_sig
            own.has_log |= theirs.has_log
            own.has_stats |= theirs.has_stats
        for signature, users in other.signatures.items():
            self.signatures.setdefault(signature, set()).update(users)
        counts = Counter(user for users in self.signatures.values() for user in users)
        for name, own in self.users.items():
            own.signatures = counts[name]
        self.layouts.update(other.layouts)
        self.problems.extend(other.problems)

    def take(self, item: Item) -> None:
        """Take in one path."""
        found = _locate(item.path)
        if found is None:
            return
        user, layout, extension, signature, folder = found
        if extension == "sig" and not signature and item.type == "f":
            return
        self.layouts[layout] += 1
        data = self.users.setdefault(user, UserData(user, folder))
        match extension:
            case "css":
                data.dictionary = True
                data.dictionary_size = item.size
                data.dictionary_mtime = item.mtime
            case "sig":
                data.has_sig = True
                if signature:
                    owners = self.signatures.setdefault(signature, set())
                    data.signatures += user not in owners
                    owners.add(user)
            case "log":
                data.has_log = True
            case "stats" | "rstats":
                data.has_stats = True
            case _:
                pass


def user_of_path(path: str) -> str | None:
    """Return the DSPAM user whose file a path is, as DSPAM was told it: ``…/local/alice/alice.css`` → ``alice``."""
    found = _locate(path)
    return found[0] if found else None


def layout_of_path(path: str) -> Layout:
    """Return the layout a path has."""
    found = _locate(path)
    return found[1] if found else "unknown"


def _locate(path: str) -> tuple[str, Layout, str, str, str] | None:
    """Return (user, layout, extension, signature, folder) of a user's file or folder in a DSPAM home."""
    parts = path.rstrip("/").split("/")
    if len(parts) < 2:
        return None
    signature = ""
    name = parts[-1]
    if len(parts) > 2 and name.endswith(".sig") and parts[-2].endswith(".sig") and _is_own(parts[:-1]):
        signature = name[:-4]
        parts = parts[:-1]
        name = parts[-1]
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or extension not in EXTENSIONS or not _is_own(parts):
        return None
    folder = parts[:-1]
    if folder[-1] == ".dspam":
        return stem, "homedir", extension, signature, "/".join(folder)
    before = folder[:-1]
    user, layout = _user(before, stem)
    return user, layout, extension, signature, "/".join(folder)


def _is_own(parts: list[str]) -> bool:
    """Whether the last part is a file of the user whose folder the part before is."""
    stem = parts[-1].rpartition(".")[0]
    return bool(stem) and len(parts) > 1 and parts[-2] in {stem, ".dspam"}


def _user(before: list[str], name: str) -> tuple[str, Layout]:
    """Return user and layout from the folders above the user's own; a listing may begin inside ``data``."""
    inner = [each for each in before if each not in {"", "."}]
    if not inner or inner[-1] == "data":
        return name, "default"
    spread = [name[:1], name[1:2]] if len(name) > 1 else [name]
    outer = inner[: -len(spread)]
    if inner[-len(spread) :] == spread and (not outer or outer[-1] == "data"):
        return name, "large-scale"
    domain = inner[-1]
    if domain == "local":
        return name, "domain-scale"
    rooted = before[0] == "" and inner[-2:-1] != ["data"]
    if rooted and ("." not in domain or "@" in name):
        return name, "default"
    return f"{name}@{domain}", "domain-scale"


# --- listings --------------------------------------------------------------------------------------------------------

_PRINTF = re.compile(r"([a-zA-Z?])\t([0-9]+)\t(\S+)\t(.*)\Z", re.DOTALL)
_LONG = re.compile(
    r"(?:\s*\d+\s+\d+\s+)?([-dlbcps])[-rwxsStT]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+([0-9]+)\s+"
    r"(?:\w{3}\s+\d{1,2}\s+[\d:]{4,5}|\d{4}-\d\d-\d\d \d\d:\d\d(?::[\d.]+)?(?: [+-]\d{4})?)\s(.*)\Z"
)
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T+ ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,10}))?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)
_NOT_A_PATH = re.compile(r"total \d+\Z|find: |ls: ")


def _time(text: str, zone: tzinfo) -> datetime | None:
    try:
        if re.fullmatch(r"\d{1,11}(\.\d+)?", text, re.ASCII):
            return datetime.fromtimestamp(float(text), UTC)
        match = _STAMP.match(text)
        if not match:
            return None
        year, month, day, hour, minute, second = (int(match[at]) for at in range(1, 7))
        micro = int((match[7] or "0")[:6].ljust(6, "0"))
        stamp = datetime(year, month, day, hour, minute, min(second, 59), micro, zone)
        if match[8]:
            stamp = stamp.replace(tzinfo=datetime.strptime(match[8], "%z").tzinfo)
        return stamp.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _items(lines: Iterable[str], zone: tzinfo) -> Iterator[Item]:
    """Yield what a listing holds: ``find -printf``, ``find``, ``find -ls``, ``ls -R`` and ``ls -lR``."""
    folder = ""
    for raw in lines:
        line = raw.rstrip("\r")
        if not line:
            continue
        match = _PRINTF.match(line)
        if match:
            yield Item(match[4], match[1], int(match[2][:18]), _time(match[3], zone))
            continue
        if line.endswith(":") and ("/" in line or line == ".:"):
            folder = line[:-1]
            yield Item(folder, "d")
            continue
        match = _LONG.match(line)
        if match:
            path = match[3].partition(" -> ")[0] if match[1] == "l" else match[3]
            yield Item(path if "/" in path or not folder else f"{folder}/{path}", _kind(match[1]), int(match[2][:18]))
        elif not _NOT_A_PATH.match(line):
            yield Item(line if "/" in line or not folder else f"{folder}/{line}")


def _kind(letter: str) -> str:
    return "f" if letter == "-" else letter


def read_listing(text: str, zone: tzinfo = UTC) -> Inventory:
    """Read a listing of a DSPAM home. Never raises; times without an offset are taken to be in ``zone``."""
    inventory = Inventory()
    for item in _items(text.split("\n"), zone):
        inventory.take(item)
    return inventory


def recognise(text: str) -> float:
    """Return how sure it is, from 0 to 1, that a text lists a DSPAM home."""
    lines = text[: 1 << 18].split("\n")
    if "\0" in text[: 1 << 18]:
        return 0.0
    shaped = users = proof = 0
    for line in lines[:2000]:
        if _PRINTF.match(line) or _LONG.match(line) or re.match(r"(\.{0,2}/|[^\s:]+/)[^\t]*\Z|\.\Z", line):
            shaped += 1
    for item in _items(lines[:2000], UTC):
        found = _locate(item.path)
        if found:
            users += 1
            proof += found[2] in {"css", "sig", "lock", "stats"}
    listed = sum(bool(line) for line in lines[:2000])
    share = max(shaped, users) / max(1, listed)
    return min(1.0, share) if proof and share >= 0.5 else 0.0


def read_home(home: Path) -> Inventory:
    """Read a DSPAM home from disk; folders that may not be entered are named in ``problems``."""
    inventory = Inventory()

    def trouble(error: OSError) -> None:
        inventory.problems.append(f"{error.filename}: {error.strerror}")

    for folder, folders, files in os.walk(home, onerror=trouble):
        folders.sort()
        base = Path(folder)
        for name in sorted([*folders, *files]):
            path = base / name
            shown = f"./{path.relative_to(home)}"
            try:
                status = path.lstat()
            except OSError as error:
                trouble(error)
                continue
            kind = "d" if stat.S_ISDIR(status.st_mode) else "f" if stat.S_ISREG(status.st_mode) else "l"
            inventory.take(Item(shown, kind, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)))
    return inventory
