"""Where what is remembered from run to run lies, unless ``--state`` says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

STATE = Path("/var/lib/logscan")
"""The system's own state: what cron, systemd and root share."""

VARIABLE = "STATE_DIRECTORY"
"""Set by systemd for a unit with ``StateDirectory=``; several folders have colons between them."""


def state_folder(environment: Mapping[str, str] | None = None, *, root: bool | None = None) -> Path:
    """Return the folder of the state: systemd's, else :data:`STATE` for root and for whom it belongs to, else the user's own.

    Nothing is made. ``environment`` and ``root`` are those of this process, unless they are given. What isn't an absolute path
    in $STATE_DIRECTORY isn't systemd's word, and is passed over.
    """
    values = os.environ if environment is None else environment
    given = values.get(VARIABLE, "").partition(":")[0]
    if given.startswith("/"):
        return Path(given)
    if (root if root is not None else is_root()) or _own(STATE):
        return STATE
    import platformdirs

    return platformdirs.user_state_path("logscan", appauthor=False)


def _own(folder: Path) -> bool:
    """Whether a folder is this user's, as the state is the account's that ``logscan setup`` makes."""
    try:
        return folder.stat().st_uid == os.geteuid()
    except (OSError, AttributeError):
        return False


def is_root() -> bool:
    """Whether root runs this."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
