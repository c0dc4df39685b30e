"""The command line: a group whose commands are the modules of :mod:`logscan.commands`."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

import click

from logscan import __version__
from logscan.plugins import modules


class Commands(click.Group):
    """A group that finds its commands when it is first asked for them."""

    def _found(self) -> dict[str, click.Command]:
        if not self.commands:
            for module in modules("logscan.commands"):
                command: Any = getattr(module, "command", None)
                if isinstance(command, click.Command) and command.name:
                    self.commands[command.name] = command
        return dict(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that went away ends it quietly (click itself would end with status 1)."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Nothing must be flushed to the closed pipe when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names, the main job first."""
        return sorted(self._found(), key=lambda name: (name != "analyse", name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        return self._found().get(cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="logscan")
def cli() -> None:
    """Tell from its logs whether a mail server really works.

    logscan reads the logs of Postfix, DSPAM, Dovecot, amavis and rspamd and decides, for each known way in which a mail
    server quietly goes wrong: found, clear or blind. It shows the lines that prove it, the cause in the configuration
    and the change that mends it.
    """


def main() -> None:
    """Run the command line; an interrupt ends with status 130."""
    # A command makes its tables and ends: looking for garbage among millions of objects takes time and finds none.
    collecting = gc.isenabled()
    gc.disable()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        # 1 says that there are findings (--fail-on): what goes wrong otherwise is 2 at least.
        sys.exit(max(error.exit_code, 2))
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    finally:
        if collecting:
            gc.enable()


if __name__ == "__main__":
    main()
