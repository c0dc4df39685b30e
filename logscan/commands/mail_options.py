"""The options of a command that mails its report, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from logscan.commands.mail_policy import Policy

if TYPE_CHECKING:
    from logscan.commands.mailing import Server

Command = Callable[..., Any]

MAIL_OPTIONS = (
    click.option("--mail-to", multiple=True, metavar="ADDRESS", help="Mail the report there; repeatable."),
    click.option("--mail-from", metavar="ADDRESS",
                 help="The mail's sender; needed with --smtp. Default: logscan, at the domain that sendmail gives it."),
    click.option("--smtp", metavar="HOST[:PORT]", help="Send by this server; default: the sendmail program."),
    click.option("--smtp-tls", type=click.Choice(["none", "starttls", "ssl"]), default="starttls", show_default=True),
    click.option("--smtp-user", metavar="NAME",
                 help="Login there; the password is LOGSCAN_SMTP_PASSWORD or in a file."),
    click.option("--smtp-password-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE"),
    click.option("--attach-page", is_flag=True, help="Attach the full HTML page to the mail."),
)  # fmt: skip
"""Those of every command that mails."""

DAILY_OPTIONS = (
    *MAIL_OPTIONS,
    click.option("--mail-when", type=click.Choice(get_args(Policy)), default="always", show_default=True,
                 help="Which reports are mailed: all, those with news, those with problems; one a week in any case."),
    click.option("--notify-command", metavar="COMMAND",
                 help="Run this after each report, the short text on its standard input, the facts in LOGSCAN_* variables."),
)  # fmt: skip
"""Those of a command that mails again and again."""


def mail_options(command: Command) -> Command:
    """Add :data:`MAIL_OPTIONS`, for a command that mails once."""
    return _added(command, MAIL_OPTIONS)


def daily_mail_options(command: Command) -> Command:
    """Add :data:`DAILY_OPTIONS`, for a command that mails again and again."""
    return _added(command, DAILY_OPTIONS)


def _added(command: Command, options: Sequence[Callable[[Any], Any]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Mailing:
    """Who gets which reports, and how."""

    to: tuple[str, ...]
    """As typed: ``postmaster@example.com``, ``Post Master <postmaster@example.com>``, ``root``."""
    sender: str
    """As typed; empty: sendmail's business."""
    server: Server
    attach_page: bool = False
    when: Policy = "always"
    notify: tuple[str, ...] = ()
    """A program and its arguments."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """The bare addresses, each once."""
        from logscan.rendering.addressing import addresses

        return tuple(dict.fromkeys(each.addr_spec for each in addresses(self.to)))

    @property
    def bare_sender(self) -> str:
        """The sender's bare address, empty where sendmail chooses."""
        from logscan.rendering.addressing import addresses

        return addresses([self.sender])[0].addr_spec if self.sender else ""


def mailing_of(options: dict[str, Any]) -> Mailing:
    """Return what the options say; raises :class:`click.BadParameter` before anything is read.

    An address that is none, a server without a sender, a command that can't be taken apart: all are wrong usage.
    """
    found = Mailing(
        to=tuple(options.get("mail_to") or ()),
        sender=options.get("mail_from") or "",
        server=server_of(options),
        attach_page=bool(options.get("attach_page")),
        when=options.get("mail_when") or "always",
        notify=_command(options.get("notify_command") or ""),
    )
    _recipients(found)
    _sender(found)
    return found


def _recipients(found: Mailing) -> None:
    from logscan.rendering.renderers import RenderError

    try:
        assert found.recipients is not None
    except RenderError as error:
        raise click.BadParameter(str(error), param_hint="--mail-to") from None


def _sender(found: Mailing) -> None:
    """See to it that a mail server is given a sender: nobody but the user knows a domain that it takes."""
    from logscan.rendering.renderers import RenderError

    try:
        bare = found.bare_sender
    except RenderError as error:
        raise click.BadParameter(str(error), param_hint="--mail-from") from None
    if found.to and found.server.host and "@" not in bare:
        raise click.BadParameter(
            "a mail that is given to a server needs a sender with a domain of yours: logscan@example.com, say",
            param_hint="--mail-from",
        )


def _command(text: str) -> tuple[str, ...]:
    import shlex

    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} can't be taken apart: {error}; a shell is used only where you write one: sh -c '...'",
            param_hint="--notify-command",
        ) from None
    if text and not (words and words[0]):
        raise click.BadParameter("it names no program", param_hint="--notify-command")
    return words


def server_of(options: dict[str, Any]) -> Server:
    """Return the server that ``--smtp`` names: host, host:port, [address]:port; raises :class:`click.BadParameter`."""
    from logscan.clocks.moments import whole
    from logscan.commands.mailing import Server

    text = options.get("smtp") or ""
    host, _, port = text.rpartition(":")
    if text.endswith("]") or (text.count(":") != 1 and not host.endswith("]")):  # an address without a port, or a name
        host, port = text, "0"
    number = whole(port, 65535)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if number is None or (port != "0" and not number) or (text and not bare) or set(bare) & set("@/[] \t"):
        raise click.BadParameter(
            "write HOST or HOST:PORT, a port from 1 to 65535; user and password have options of their own",
            param_hint="--smtp",
        )
    return Server(
        host=bare,
        port=number,
        tls=options.get("smtp_tls") or "starttls",
        user=options.get("smtp_user") or "",
        password_file=options.get("smtp_password_file"),
    )
