"""Who may read what: the groups that the analysis's own user needs, and what stays hidden from it."""

from __future__ import annotations

import shlex
import stat
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["log", "dspam", "config", "program"]

READERS_OF_LOGS = ("adm", "systemd-journal", "syslog", "log", "logs")
"""Groups that are made for reading logs. Any other one may open more: ``mail`` opens mailboxes, ``root`` half the system."""


ACL = "system.posix_acl_access"
"""The attribute that holds a file's access control list."""

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
"""Tags of its rules (Linux, include/uapi/linux/posix_acl.h)."""


class Rule(NamedTuple):
    """One rule of an access control list: whom it is about, and the bits (of 7) that it gives."""

    tag: int
    bits: int
    id: int


def rules(value: bytes) -> tuple[Rule, ...]:
    """Return the rules of an access control list as the attribute :data:`ACL` holds it; none of another version's."""
    if len(value) % 8 != 4 or value[:4] != b"\x02\0\0\0":
        return ()
    return tuple(Rule(*each) for each in struct.iter_unpack("<HHI", value[4:]))


@dataclass(frozen=True)
class Entry:
    """A file or folder: its path on the machine that is installed on, its mode, its owner and group by number."""

    path: str
    mode: int
    uid: int
    gid: int
    acl: tuple[Rule, ...] = ()
    """Its access control list, where it has one; ``mode``'s group bits are the list's mask then."""

    @property
    def folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def permissions(self) -> str:
        """Its permissions as chmod takes them: ``0640``."""
        return f"{stat.S_IMODE(self.mode):04o}"


@dataclass(frozen=True)
class Place:
    """Something to be read: the file or folder itself, last, and the folders above it, from the top."""

    kind: Kind
    way: tuple[Entry, ...]

    @property
    def path(self) -> str:
        """Where it lies."""
        return self.way[-1].path

    @property
    def entry(self) -> Entry:
        """Itself."""
        return self.way[-1]


@dataclass(frozen=True)
class Hidden:
    """What the own user can't read, and which file or folder shuts it out."""

    place: Place
    shut: Entry
    needs: str
    """The permissions that it lacks there, as chmod writes them: ``r``, ``x``, ``rx``."""


@dataclass(frozen=True)
class Access:
    """The groups that the own user is given, by name, and what it can't read even so."""

    groups: tuple[str, ...]
    hidden: tuple[Hidden, ...]


def needed(entry: Entry, last: bool) -> int:
    """Return the permission bits (of 7) that reading needs there: a folder on the way must let through."""
    return (0o5 if entry.folder else 0o4) if last else 0o1


def letters(bits: int) -> str:
    """Return permission bits as chmod writes them."""
    return "".join(letter for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if bits & bit)


def given(entry: Entry, gids: frozenset[int], uid: int | None = None) -> list[int]:
    """Return the bits that a user who doesn't own it has there, by each rule that is about him: one must give all that he wants.

    A member of a file's group gets the group's bits, also where others have more. ``uid`` is the user's number, if he is there.
    """
    if not entry.acl:
        return [entry.mode >> 3 & 0o7 if entry.gid in gids else entry.mode & 0o7]
    mask = next((rule.bits for rule in entry.acl if rule.tag == MASK), 0o7)
    own = [rule.bits & mask for rule in entry.acl if rule.tag == USER and rule.id == uid]
    if own:
        return own
    groups = [rule for rule in entry.acl if rule.tag in (GROUP_OBJ, GROUP)]
    mine = [each.bits & mask for each in groups if (entry.gid if each.tag == GROUP_OBJ else each.id) in gids]
    return mine or [entry.mode & 0o7]


def shut_by(place: Place, gids: frozenset[int], uid: int | None = None) -> tuple[Entry, int] | None:
    """Return what keeps a user of these groups, who owns none of it, from reading a place, and the bits that it lacks."""
    for at, entry in enumerate(place.way):
        wanted = needed(entry, at == len(place.way) - 1)
        lacking = min((wanted & ~bits for bits in given(entry, gids, uid)), key=int.bit_count)
        if lacking:
            return entry, lacking
    return None


def granted(places: Sequence[Place], groups: Mapping[int, str], users: Mapping[int, str], user: str = "") -> Access:
    """Return the groups that let the own user read the most of ``places``, of those that open nothing else.

    ``groups`` and ``users`` are the machine's names by number; ``user`` is the own user's name, who may not be there yet.
    """
    uid = next((number for number, name in users.items() if name == user), None)
    gids: set[int] = set()
    for place in places:
        asked: set[int] = set()
        while (found := shut_by(place, frozenset(gids | asked), uid)) is not None:
            entry, lacking = found
            every = [gid for gid in _opening(entry, lacking) if gid not in gids | asked]
            wider = next((gid for gid in every if _harmless(place, entry, gid, groups, users)), None)
            if wider is None:
                break
            asked.add(wider)
        else:
            gids |= asked
    shut = [(place, shut_by(place, frozenset(gids), uid)) for place in places]
    hidden = [Hidden(place, found[0], letters(found[1])) for place, found in shut if found]
    return Access(tuple(sorted(groups[gid] for gid in gids)), tuple(hidden))


def _opening(entry: Entry, lacking: int) -> list[int]:
    """Return the groups whose members have what lacks there."""
    mask = next((rule.bits for rule in entry.acl if rule.tag == MASK), 0o7)
    listed = [rule for rule in entry.acl if rule.tag in (GROUP_OBJ, GROUP)]
    found = [(entry.gid if rule.tag == GROUP_OBJ else rule.id, rule.bits & mask) for rule in listed]
    return [gid for gid, bits in found or [(entry.gid, entry.mode >> 3)] if not lacking & ~bits]


def _harmless(place: Place, entry: Entry, gid: int, groups: Mapping[int, str], users: Mapping[int, str]) -> bool:
    """Whether a group opens nothing but what is asked for: a readers' group of logs, DSPAM's own for its home."""
    name = groups.get(gid, "")
    if place.kind == "log":
        return name in READERS_OF_LOGS
    owner = users.get(entry.uid, "")
    return place.kind == "dspam" and name in ("dspam", owner) and name not in ("", "root")


def advice(hidden: Hidden, user: str, groups: Mapping[int, str]) -> str:
    """Return a sentence: what stays hidden, what that makes blind, and what opens it to ``user`` and nobody else."""
    shut, place = hidden.shut, hidden.place
    group = groups.get(shut.gid, str(shut.gid))
    what = f"{shut.path} is {shut.permissions} with group {group}"
    match place.kind:
        case "log" if shut.path != place.path:
            return (
                f"{what}: {user} can't read {place.path}, so nothing in it is seen. This lets it through, and nobody else: "
                f"setfacl -m u:{user}:x {shlex.quote(shut.path)}"
            )
        case "log":
            return (
                f"{what}: {user} can't read {place.path}, so nothing in it is seen. Let the logger write it with group adm "
                f"and mode 0640 (rsyslog: $FileGroup adm, $FileCreateMode 0640; logrotate: create 0640 root adm), and for "
                f"the files there are: chgrp adm {shlex.quote(shut.path)} && chmod g+r {shlex.quote(shut.path)}"
            )
        case "dspam":
            deep = " -R" if shut.path == place.path else ""
            return (
                f"{what}: {user} can't read DSPAM's home {place.path}, so the checks of training and of dictionaries are "
                f"blind. This lets it read, and nobody else: setfacl{deep} -m u:{user}:rX {shlex.quote(shut.path)}"
            )
        case "config":
            return (
                f"{what}: {user} can't read {place.path}, so what it says isn't known. Where no password stands in it: "
                f"setfacl -m u:{user}:r{'X' if shut.folder else ''} {shlex.quote(shut.path)}"
            )
    return f"{what}: {user} can't start {place.path}. Install logscan where everybody may: python3 -m venv /opt/logscan"
