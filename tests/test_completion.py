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

from logscan.cli import COMPLETE, cli
from logscan.commands.completing import SHELLS, script
from logscan.commands.manual import manual, roff
from logscan.store.model import Judged, Sighting, Told
from logscan.store.model import Run as Run_
from logscan.store.state import State

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
def test_a_word_is_completed(typed: str, found: set[str], capfd: pytest.CaptureFixture[str]) -> None:
    _, *words, last = typed.split()
    every = SHELLS["bash"](cli, {}, "logscan", COMPLETE).get_completions(words, last)
    assert {f"{each.type},{each.value}" for each in every} == found
    assert capfd.readouterr() == ("", "")


def test_findings_are_completed_from_the_state(tmp_path: Path) -> None:
    seen = Sighting(
        "mail-loop-1a2b", "mail-loop", "c", "s", "It loops\x1b", "problem", "active", "high", 1, 1, 1, None, None
    )
    folder = tmp_path / "state"
    with State.open(folder) as state:
        told = Told("2026-11-28", None, None, sightings=(seen,), judged=(Judged("mail-loop", "found", 1, 1),))
        state.commit(Run_(begun=1, ended=2, version="1", reports=(told,), cursors=(), blobs={}))
    asked = SHELLS["zsh"](cli, {}, "logscan", COMPLETE)
    (found,) = asked.get_completions(["ack", "--state", str(folder)], "mail")
    assert (found.value, found.help) == ("mail-loop-1a2b", "It loops\\x1b")
    assert asked.get_completions(["ack", "--state", str(folder)], "x") == []


@pytest.mark.parametrize("words", ["logscan 'unclosed", "logscan ack ", "logscan analyse \x1b[2J"])
def test_nothing_is_said_in_the_middle_of_a_line(run: Run, words: str) -> None:
    done = run(COMP_WORDS=words, COMP_CWORD="2", _LOGSCAN_COMPLETE="bash_complete")
    assert done.stderr == ""
    assert run(_LOGSCAN_COMPLETE="no_such").stderr == ""


@pytest.mark.parametrize("shipped", [False, True], ids=["of this click", "shipped in contrib"])
def test_bash_takes_its_script(tmp_path: Path, checkout: Path, shipped: bool) -> None:
    """The scripts of contrib/ are click's of some version: what counts is that they get an answer from this one."""
    text = (checkout / "contrib/completion.bash").read_text("utf-8") if shipped else script("bash", cli)
    (tmp_path / "completion").write_text(text)
    (tmp_path / "logscan").write_text(f'#!/bin/sh\nexec {sys.executable} -m logscan "$@"\n')
    (tmp_path / "logscan").chmod(0o755)
    asked = "COMP_WORDS=(logscan explain mail-s); COMP_CWORD=2; _logscan_completion logscan; printf '%s\\n' \"${COMPREPLY[@]}\""
    command = f'PATH="{tmp_path}:$PATH"; . "{tmp_path}/completion"; {asked}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "mail-stuck\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_asks_by_the_same_variable(checkout: Path, shell: str) -> None:
    for text in (script(shell, cli), (checkout / f"contrib/completion.{shell}").read_text("utf-8")):
        assert f"{COMPLETE}={shell}_complete" in text


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
