"""Where settings and state lie: root follows no settings of the folder it happens to be in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from logscan.commands import settings_file
from logscan.store.folders import STATE, state_folder

SAYS = '[checks]\n[analyse]\nfail-on = "never"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings that are in order, and a home beside it."""
    folder, home = tmp_path / "here", tmp_path / "home"
    for each in (folder, home / ".config" / "logscan"):
        each.mkdir(parents=True)
    tmp_path.chmod(0o755)
    (folder / "logscan.toml").write_text(SAYS)
    (folder / "logscan.toml").chmod(0o644)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(settings_file, "SETTINGS", settings_file.SETTINGS[:2])
    return folder


def test_a_user_s_settings_here_are_followed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_file, "is_root", lambda: False)
    assert settings_file._found() == Path("logscan.toml")


def test_root_does_not_follow_settings_here_and_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings_file, "is_root", lambda: True)
    assert settings_file._found() is None
    said = capsys.readouterr().err
    assert f"{here}/logscan.toml: these settings are not followed" in said
    assert said.count("\n") == 1
    (here / "logscan.toml").chmod(0o666)
    assert settings_file._found() is None
    assert "others can write it" in capsys.readouterr().err


def test_root_follows_those_of_its_home(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings_file, "is_root", lambda: True)
    own = tmp_path / "home" / ".config" / "logscan" / "logscan.toml"
    own.write_text(SAYS)
    own.chmod(0o644)
    assert settings_file._found() == own
    capsys.readouterr()
    monkeypatch.chdir(own.parent)  # the folder root's settings lie in: nothing is passed over
    assert settings_file._found() == own
    assert capsys.readouterr().err == ""


def test_root_may_name_them(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_file, "is_root", lambda: True)
    assert settings_file._named(Path("logscan.toml")) == Path("logscan.toml")


def test_whoever_really_runs_it_decides(here: Path) -> None:
    """No value is put in by the test: the process's own user counts."""
    script = "from logscan.commands import settings_file; print(settings_file._found() == settings_file.Path('logscan.toml'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(os.geteuid() != 0)
    assert ("are not followed: root follows" in done.stderr) is (os.geteuid() == 0)


def test_the_state_lies_where_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_folder({}, root=True) == STATE
    assert state_folder({"STATE_DIRECTORY": "/var/lib/private/logscan:/var/lib/x"}, root=False) == Path(
        "/var/lib/private/logscan"
    )
    assert state_folder({"STATE_DIRECTORY": "here"}, root=True) == STATE
    monkeypatch.setattr("logscan.store.folders.STATE", Path("/var/lib/of-nobody"))
    monkeypatch.setenv("XDG_STATE_HOME", "/home/kim/.state")
    assert state_folder({}, root=False) == Path("/home/kim/.state/logscan")


def test_the_system_s_state_is_that_of_the_account_that_it_belongs_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logscan.store.folders.STATE", tmp_path)
    assert state_folder({}, root=False) == tmp_path
