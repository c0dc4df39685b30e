"""Completion in shells, and the manual page: made from the commands themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from logscan.cli import cli
from logscan.commands.completing import SHELLS, script
from logscan.commands.manual import manual, roff

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("logscan expl", {"plain,explain", "plain,explain-reply"}),
        ("logscan explain mail_", {"plain,mail-loop", "plain,mail-stuck", "plain,mail-vanished"}),
        ("logscan analyse --check mail-s", {"plain,mail-stuck"}),
        ("logscan analyse --skip nothing", set()),
        ("logscan analyse --fail-on pro", {"plain,problem"}),
        ("logscan analyse mail.l", {"file,mail.l"}),
        ("logscan analyse --settings nowhere.toml --check mail-s", {"plain,mail-stuck"}),
        ("logscan --version explain mail-s", {"plain,mail-stuck"}),
        ("logscan state sh", {"plain,show"}),
    ],
)
def test_a_word_is_completed(program: Run, typed: str, found: set[str]) -> None:
    done = program(COMP_WORDS=typed, COMP_CWORD=str(len(typed.split()) - 1), _LOGSCAN_COMPLETE="bash_complete")
    assert (set(done.stdout.split()), done.stderr, done.returncode) == (found, "", 0)


@pytest.mark.parametrize(
    "words", ["", "logscan 'unclosed", "logscan ack ", "logscan " + "x " * 1000, "logscan analyse \x1b[2J"]
)
def test_nothing_is_said_in_the_middle_of_a_line(program: Run, words: str) -> None:
    done = program(COMP_WORDS=words, COMP_CWORD=str(max(len(words.split()), 1)), _LOGSCAN_COMPLETE="bash_complete")
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert program(_LOGSCAN_COMPLETE="no_such").stderr == ""


def test_bash_takes_its_script(tmp_path: Path) -> None:
    (tmp_path / "completion").write_text(script("bash", cli))
    (tmp_path / "logscan").write_text(f'#!/bin/sh\nexec {sys.executable} -m logscan "$@"\n')
    (tmp_path / "logscan").chmod(0o755)
    asked = "COMP_WORDS=(logscan explain mail-s); COMP_CWORD=2; _logscan_completion logscan; printf '%s\\n' \"${COMPREPLY[@]}\""
    command = f'PATH="{tmp_path}:$PATH"; . "{tmp_path}/completion"; {asked}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "mail-stuck\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_files_of_contrib_are_up_to_date(checkout: Path, shell: str) -> None:
    assert (checkout / f"contrib/completion.{shell}").read_text("utf-8") == script(shell, cli)


# -- the manual page --------------------------------------------------------------------------------------------------------


def options(group: click.Group, context: click.Context) -> set[str]:
    found = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            found |= options(command, inner)
        found |= {name for param in command.params for name in param.opts if name.startswith("--")}
    return found


def test_the_page_has_every_option(checkout: Path) -> None:
    text = (checkout / "contrib/logscan.1").read_text("ascii")
    assert text == manual(cli)
    plain = text.replace("\\-", "-")
    assert [name for name in options(cli, click.Context(cli)) if f"\\fB{name}\\fR" not in plain] == []
    for line in text.splitlines():
        assert not line.startswith("'")
        assert not line.startswith(".") or re.match(r'\.(?:\\"|TH|SH|SS|PP|TP)(?: |$)', line), line


def test_troff_takes_the_page(tmp_path: Path) -> None:
    path = tmp_path / "logscan.1"
    path.write_text(manual(cli))
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", path], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert "logscan analyse" in re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)


def test_a_text_can_t_be_a_request() -> None:
    assert roff(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert roff("'x") == "\\(aqx"
    assert roff("a\n.so b") == "a .so b"
    assert roff("\\fB…") == "\\(rsfB\\[u2026]"
