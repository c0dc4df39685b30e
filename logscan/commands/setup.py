"""``logscan setup``: the daily run installed as a timer of systemd or a line of cron."""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from logscan import console
from logscan.commands import completing
from logscan.store.folders import STATE, is_root

if TYPE_CHECKING:
    from logscan.installing.access import Place
    from logscan.installing.machine import Machine
    from logscan.installing.plan import Plan

HERE = Path("/")
SHOWN_LOGS = 8
END = "END-OF-FILE"


@click.command("setup")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=completing.files)
@click.option("--write", is_flag=True, help="Install it, as root; without this, the steps are printed.")
@click.option("--systemd", "how", flag_value="systemd", help="A timer and two units; the default where systemd runs.")
@click.option("--cron", "how", flag_value="cron", help="A line in /etc/cron.d.")
@click.option("--mail-to", multiple=True, metavar="ADDRESS", help="Whom the report is mailed to; default: root here.")
@click.option("--state", default=str(STATE), show_default=True, metavar="DIR", help="Where it remembers.")
@click.option("--prefix", metavar="DIR", help="The installation whose bin/logscan is started; default: this one.")
@click.option("--root", default="/", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A system that lies in a folder: an image, a container.")  # fmt: skip
def command(
    sources: tuple[str, ...],
    write: bool,
    how: Literal["systemd", "cron"] | None,
    mail_to: tuple[str, ...],
    state: str,
    prefix: str | None,
    root: Path,
) -> None:
    """Install logscan daily: print the steps as a shell script, or with --write take them.

    Looks where the mail log lies, who may read it, and when it is rotated, and makes an account that may read it and
    nothing else. What that account can't read is named, with what opens it. SOURCE: logs at other than the usual places.
    A file of an earlier installation that was changed is kept beside the new one as NAME.old.
    """
    from logscan.cli import cli
    from logscan.commands.sample_settings import sample_settings
    from logscan.installing.applying import applied
    from logscan.installing.machine import detected
    from logscan.installing.plan import CantInstall, Wish, planned
    from logscan.installing.templates import NoTemplate

    root = Path(os.path.abspath(root))  # noqa: PTH100 - links stay
    program, places = _program(prefix, root)
    named = tuple(_absolute(each) for each in sources)
    machine = detected(root, named)
    how = how or ("systemd" if machine.systemd else "cron")
    mail_to = mail_to or (("root",) if machine.sendmail else ())
    try:
        plan = planned(machine, Wish(how, program, mail_to, state, named), places, sample_settings(cli), _shared(cli))
        if write and root == HERE and not is_root():
            raise click.UsageError("--write needs root: it makes an account, and writes below /etc")
        _found(machine, plan, write)
        if write:
            for line in applied(plan.steps, root):
                console.out(line)
        else:
            _script(plan, root)
    except (CantInstall, NoTemplate) as error:
        raise click.ClickException(str(error)) from None
    for warning in plan.warnings:
        console.say(warning, "logscan: blind: " if plan.nothing_to_read else "logscan: note: ")
    sys.exit(3 if plan.nothing_to_read else 0)


COMPLETION = {
    "bash": "bash-completion/completions/logscan",
    "zsh": "zsh/site-functions/_logscan",
    "fish": "fish/vendor_completions.d/logscan.fish",
}


def _shared(group: click.Group) -> dict[str, str]:
    """Return the manual page and the shells' completion by where they go below /usr/local/share."""
    from logscan.commands.manual import manual

    scripts = {path: completing.script(shell, group) for shell, path in COMPLETION.items()}
    return {"man/man1/logscan.1": manual(group), **scripts}


def _absolute(source: str) -> str:
    if source == "-" or "://" in source:
        raise click.BadParameter(f"{source!r}: the daily run reads files, folders, patterns and the journal")
    return source if source.startswith("journal:") else os.path.abspath(source)  # noqa: PTH100 - links and patterns stay


def _program(prefix: str | None, root: Path) -> tuple[tuple[str, ...], list[Place]]:
    """Return what starts logscan, and the places that whoever starts it must reach."""
    from logscan.installing.machine import place

    if prefix is not None or root != HERE:
        path = f"{os.path.abspath(prefix or '/usr')}/bin/logscan"  # noqa: PTH100 - links stay
        found = place("program", path, root)
        if found is None:
            raise click.BadParameter(
                f"there is no {path}" + (f" below {root}" if root != HERE else ""), param_hint="--prefix"
            )
        return (path,), [found]
    script = Path(sysconfig.get_path("scripts")) / "logscan"
    words = (str(script),) if script.is_file() else (sys.executable, "-m", "logscan")
    parts = (words[0], os.path.realpath(sys.executable), str(Path(__file__).resolve()))
    return words, [each for part in parts if (each := place("program", part)) is not None]


def _found(machine: Machine, plan: Plan, write: bool) -> None:
    """Say what was found: as comments of the script, or as notes."""
    from logscan.installing.plan import USER

    logs = [each.path for each in machine.logs]
    more = f" and {len(logs) - SHOWN_LOGS} more" if len(logs) > SHOWN_LOGS else ""
    log = ", ".join(logs[:SHOWN_LOGS]) + more if logs else "the journal" if machine.journal else "none yet"
    groups = f" in {', '.join(plan.access.groups)}" if plan.access.groups else ""
    lines = [
        f"mail log: {log}",
        f"time zone: {machine.zone or 'UTC, as none is set'}",
        f"mail leaves by: {machine.sendmail or 'nothing here'}",
        f"runs as: {USER}{groups}",
        f"runs {plan.when}",
    ]
    for line in lines:
        if write:
            console.say(line)
        else:
            console.out(f"# {line}")


def _script(plan: Plan, root: Path) -> None:
    """Print the steps as a shell script that does what --write does."""
    from logscan.installing.plan import Aside, Command, File

    below = shlex.quote(str(root)) if root != HERE else ""
    for step in plan.steps:
        if isinstance(step, File) and not step.kept:
            console.out(f"# with --write only: {step.path}")
            continue
        console.out("")
        console.out(f"# {step.why}")
        if isinstance(step, Command):
            console.out(f"{'# ' if below else ''}{step}")
            continue
        path = below + shlex.quote(step.path)
        if isinstance(step, Aside):
            console.out(f"mv {path} {path}.old")
            continue
        console.out(f"install -d {below}{shlex.quote(str(Path(step.path).parent))}")
        if step.ours:
            console.out(f"[ ! -e {path} ] || cp -p {path} {path}.old")
        console.out(f"{'' if step.ours else f'[ -e {path} ] || '}cat >{path} <<'{END}'")
        console.result(f"{console.safe(step.content, lines=True)}{END}\n")
        console.out(f"chmod 644 {path}")
