"""The one change that mends all findings: patches, the steps around them, the way back. Plain values, no markup."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patch:
    """One file's part of the change: a unified diff for ``patch -p0`` in the folder where that file lies."""

    file: str
    program: str
    """``postfix`` or ``dovecot``: whose configuration it is."""
    diff: str


@dataclass(frozen=True)
class Step:
    """One step around the change: what to do and why, and the commands for it. ``key`` tells which step it is."""

    key: str
    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class ByHand:
    """A remedy that the change does not hold: words, and the findings that it mends."""

    findings: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Plan:
    """All diffs of a report as one change, with the steps around it and the way back."""

    findings: tuple[str, ...]
    """Ids of the findings that the change mends."""
    patches: tuple[Patch, ...]
    steps: tuple[Step, ...]
    undo: tuple[Step, ...]
    by_hand: tuple[ByHand, ...] = ()

    def diff(self, program: str = "") -> str:
        """Return the patch of one program's files, or of all."""
        return "".join(each.diff for each in self.patches if program in ("", each.program))
