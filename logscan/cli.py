"""The command line: a group whose commands are the modules of :mod:`logscan.commands`, and what happens when one fails."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, NoReturn

import click

from logscan import console
from logscan.plugins import PluginError, modules
from logscan.version import __version__
from logscan.visible import without_secrets

NAGIOS = "logscan.nagios"
"""Set in a context's ``meta`` where the result goes to Nagios, which reads the status: 3 means that it isn't known."""

UNKNOWN = 3
"""Nagios' status for that."""

NO_MEMORY = b"Error: there is not enough memory\n"
NO_MEMORY_NAGIOS = b"LOGSCAN UNKNOWN - there is not enough memory\n"

TRACEBACK = "LOGSCAN_TRACEBACK"
"""The variable that asks for the whole traceback of a fault."""

FORMAT = re.compile(r"--f(?:o(?:r(?:m(?:at?)?)?)?)?(?==|\Z)|-[A-Za-z]*?f")
"""The option that says the format, however it is written: abbreviated, behind other letters. Mistyped it means the same."""

COMPLETE = "_LOGSCAN_COMPLETE"
"""The variable by which a shell's completion asks (:mod:`logscan.commands.completing`)."""

LEAST_MEMORY = 640 << 20
"""Bytes of address space below which the libraries can't even be loaded; some of them end the process then, with status 1."""

SOURCE_FAILED, WRONG_USAGE, INTERRUPTED = 3, 2, 130


class Commands(click.Group):
    """A group that finds its commands when it is first asked for them."""

    def _found(self) -> dict[str, click.Command]:
        if not self.commands:
            for module in modules("logscan.commands"):
                command: Any = getattr(module, "command", None)
                if isinstance(command, click.Command) and command.name:
                    self.commands[command.name] = command
        return dict(self.commands)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names, the main job first."""
        return sorted(self._found(), key=lambda name: (name != "analyse", name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        return self._found().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command but something that can be read for what ``analyse`` shall read."""
        named = args[0]
        source = named == "-" or named.startswith("journal:") or "://" in named or os.path.exists(named)  # noqa: PTH110
        if named not in self._found() and (source or any(sign in named for sign in "/*?")):
            return super().resolve_command(ctx, ["analyse", *args])
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from logscan.machine.library import WHY_NOT

        how = f"without the compiled part: {WHY_NOT}" if WHY_NOT else "compiled"
        console.out(f"logscan, version {__version__} ({how})")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Tell from its logs whether a mail server really works.

    logscan reads the logs of Postfix, DSPAM, Dovecot, amavis and rspamd and decides, for each known way in which a mail
    server quietly goes wrong: found, clear or blind. It shows the lines that prove it, the cause in the configuration
    and the change that mends it.
    """
    limit = memory_limit()
    if limit is not None and limit < LEAST_MEMORY:
        raise MemoryError(f"ulimit -v allows {limit >> 20} MB")


def memory_limit() -> int | None:
    """Return how many bytes of address space this process may have, None for any number (or where nobody can say)."""
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else int(soft)


class Stopped(BaseException):
    """A signal asks the program to end; the message is its number."""


def main() -> None:
    """Run the command line. However it ends: one line that says why, and a status that says no more than is known."""
    # A command makes its tables and ends: looking for garbage among millions of objects takes time and finds none.
    collecting = gc.isenabled()
    gc.disable()
    # No linear algebra is done here: numpy's threads for it would only wait, at full speed.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    meta: dict[str, Any] = {NAGIOS: asks_for_nagios(sys.argv[1:])}
    try:
        if asked := os.environ.get(COMPLETE):
            sys.exit(_completed(asked))
        console.prepared()
        _heed_signals()
        sys.exit(_run(sys.argv[1:], meta))
    except SystemExit:
        raise
    except BaseException as error:
        sys.exit(failed(error, meta[NAGIOS]))
    finally:
        if collecting:
            gc.enable()


def _completed(asked: str) -> int:
    """Answer a shell that completes a command line; whatever goes wrong, nothing is said in the middle of a line."""
    from click.shell_completion import shell_complete

    try:
        return shell_complete(cli, {}, "logscan", COMPLETE, asked)
    except Exception:
        return 1


def _run(args: Sequence[str], meta: dict[str, Any]) -> int:
    """Run a command; what it leaves in the context's ``meta`` stays readable when it fails."""
    try:
        with cli.make_context("logscan", list(args)) as context:
            context.meta.update(meta)
            try:
                done = cli.invoke(context)
            finally:
                meta.update(context.meta)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    return done if isinstance(done, int) else 0


def asks_for_nagios(args: Sequence[str]) -> bool:
    """Whether these arguments ask for Nagios' format, also where they can't be parsed as a whole."""
    if list(args[:2]) == ["state", "nagios"]:
        return True
    for arg, following in pairwise((*args, "")):
        if arg == "--":
            break
        found = FORMAT.match(arg)
        if found and (arg[found.end() :].lstrip("=") or following).casefold() == "nagios":
            return True
    return False


def _heed_signals() -> None:
    """Let SIGTERM and SIGHUP end the program in order: temporary files go, workers end. Ignored ones stay so (nohup)."""

    def stop(number: int, _frame: Any) -> NoReturn:
        raise Stopped(number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        try:
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, stop)
        except ValueError:  # not in the main thread: whoever calls from there heeds them himself
            return


def failed(error: BaseException, nagios: bool) -> int:
    """Say in one line what went wrong; return the status: 2 wrong usage, 3 the rest, 128 and the number for a signal.

    1 would say that there are findings (--fail-on), and Nagios would take it for a warning: it gets 3, and the line on
    stdout, where it looks.
    """
    try:
        status, text = explained(error)
        if nagios:
            status = UNKNOWN
            with suppress(OSError):
                said = without_secrets(text.splitlines()[-1]) if text else "stopped"
                console.out(f"LOGSCAN UNKNOWN - {said}".replace("|", "¦"))
        if text:
            console.told(text)
        if os.environ.get(TRACEBACK):
            console.told("".join(traceback.format_exception(error)))
    except Exception:  # not even for that there was memory: these lines need none
        status = UNKNOWN if nagios else SOURCE_FAILED
        for fd, line in ((1, NO_MEMORY_NAGIOS), (2, NO_MEMORY)):
            with suppress(OSError):
                os.write(fd, line if fd == 2 or nagios else b"")
    return status


def explained(error: BaseException) -> tuple[int, str]:
    """Return the status and the words for what ended a command; no words where nobody is there to read them."""
    match error:
        case click.UsageError() if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later
            return WRONG_USAGE, error.format_message()
        case click.UsageError():
            usage = f"{error.ctx.get_usage()}\n" if error.ctx else ""
            return max(error.exit_code, WRONG_USAGE), f"{usage}Error: {console.safe(error.format_message())}"
        case click.ClickException():
            return max(error.exit_code, WRONG_USAGE), f"Error: {console.safe(error.format_message())}"
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED, "stopped"
        case Stopped():
            return 128 + int(error.args[0]), "stopped"
        case BrokenPipeError():
            return 0, ""
        case MemoryError():
            why = f" ({error})" if str(error) else ""
            return SOURCE_FAILED, f"Error: there is not enough memory{why}; read fewer logs at once, or try --jobs 1"
        case _ if type(error).__name__ == "BrokenProcessPool":  # by its name: nothing is imported any more
            return (
                SOURCE_FAILED,
                "Error: a worker process was ended from outside, perhaps for want of memory: try --jobs 1",
            )
        case PluginError():
            return SOURCE_FAILED, f"Error: a plug-in is wrong: {console.safe(str(error))} ({TRACEBACK}=1 shows more)"
        case OSError(strerror=str(why), filename=name) if why:
            return SOURCE_FAILED, f"Error: {console.safe(f'{name}: {why}' if name else why)}"
    return SOURCE_FAILED, f"Error: this is a fault in logscan: {console.safe(_place(error))}"


def _place(error: BaseException) -> str:
    """Return what was raised and where, for a report of the fault; LOGSCAN_TRACEBACK=1 shows the whole way."""
    every = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in every if "logscan" in frame.filename] or every
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""  # noqa: PTH119 - text
    said = str(error).partition("\n")[0][:300]
    return f"{type(error).__name__}: {said}{where} ({TRACEBACK}=1 shows more)"


if __name__ == "__main__":
    main()
