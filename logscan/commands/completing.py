"""Completion for shells: what a word may become, and the script that a shell asks by."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from logscan.cli import COMPLETE
from logscan.plugins import names

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


def script(shell: str, group: click.Group) -> str:
    """Return the script for a shell of :data:`SHELLS`; it asks ``logscan`` itself, so that it need not be made anew."""
    made = SHELLS[shell](group, {}, "logscan", COMPLETE)
    # The class's own source() would start the shell to see how old it is.
    return ShellComplete.source(made).strip() + "\n"


def checks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the checks whose names begin so."""
    every = (name.replace("_", "-") for name in names("logscan.checks"))
    return [CompletionItem(name) for name in every if name.startswith(incomplete.replace("_", "-"))]


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a file's name."""
    return [CompletionItem(incomplete, type="file")]


def findings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the findings that are known and whose ids begin so, with what they are; none where the state can't be read."""
    from logscan.store.folders import state_folder
    from logscan.store.state import State
    from logscan.visible import visible

    given: Any = ctx.params.get("folder") or state_folder()
    try:
        with State.read(given) as state:
            every = state.remembered()
    except Exception:  # whatever it is, a shell that completes is no place to say it
        return []
    said = [(each.sighting.id, visible(each.sighting.summary, 80)) for each in every if each.gone_run is None]
    return [CompletionItem(name, help=help_) for name, help_ in said if name.startswith(incomplete)]
