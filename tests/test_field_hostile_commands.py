"""Commands under hostile circumstances: closed streams, wild values, strangers' settings, names that are no names."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from conftest import Run

import logscan
from logscan import trust
from logscan.cli import asks_for_nagios
from logscan.commands.mailing import Envelope, MailError, Server, deliver
from logscan.samples import story

LOG = story("mixed-day") / "mail.log"
GOOD = story("healthy")
BAD = story("outgoing-tagged-spam")

NASTY = "a\x1b[31mb\x07c\nlogscan: note: forged\u202egol.d"
"""A name as a stranger may give it: an escape, a bell, a new line, a turn of direction."""

SH = ["/bin/sh", "-c"]


def shell(command: str, *args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command in which ``logscan`` is this one, ``"$@"`` the arguments."""
    script = f'logscan() {{ "{sys.executable}" -m logscan "$@"; }}\n{command}'
    return subprocess.run(
        [*SH, script, "sh", *map(str, args)],
        capture_output=True,
        text=True,
        errors="backslashreplace",
        env=os.environ | {"TZ": "UTC"} | environment,
        timeout=120,
        check=False,
    )


# -- what goes wrong is one line and a status -----------------------------------------------------------------------------

WILD: list[tuple[str, ...]] = [
    ("--service", "a=²"),
    ("--service", "a=٣"),
    ("--service", "a=99999999999999999999"),
    ("--smtp", "h:²"),
    ("--smtp", "h:0x"),
    ("--smtp", "user:secret@h:25"),
    ("--since", "0001-01-01"),
    ("--until", "9999-12-31"),
    ("--since", "-²h"),
    ("--since", "-99999999w"),
    ("--since", "-"),
    ("--since", ""),
    ("--year", "9999"),
    ("--timezone", "../../etc/passwd"),
    ("--timezone", "+99:99"),
    ("--timezone", "\x1b"),
    ("--jobs", "²"),
    ("--check", NASTY),
    ("--format", NASTY),
    (f"--{NASTY}",),
]


@pytest.mark.parametrize("args", [each for each in WILD if each != ("--since", "")], ids=ascii)
def test_wild_values_are_wrong_usage(run: Run, args: tuple[str, ...]) -> None:
    done = run("analyse", GOOD, *args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert "fault in logscan" not in done.stderr
    assert "secret" not in done.stderr
    assert all(each.isprintable() for each in done.stderr.replace("\n", ""))


@pytest.mark.parametrize("args", WILD[:3], ids=ascii)
@pytest.mark.parametrize("form", [("-f", "nagios"), ("--format=nagios",), ("-fnagios",)], ids=str)
def test_nagios_gets_3_and_a_line_whatever_went_wrong(run: Run, args: tuple[str, ...], form: tuple[str, ...]) -> None:
    done = run("analyse", GOOD, *args, *form)
    assert done.returncode == 3
    assert done.stdout.startswith("LOGSCAN UNKNOWN - ")
    assert done.stdout.count("\n") == 1


def test_nagios_is_found_among_the_arguments() -> None:
    assert asks_for_nagios(["analyse", "-o", "x", "-f", "nagios"])
    assert not asks_for_nagios(["analyse", "nagios", "-f", "text"])


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MemoryError(), 3, "not enough memory"),
        (RuntimeError("can't start new thread\nsecond line"), 3, "RuntimeError: can't start new thread"),
        (OSError(28, "No space left on device", "/tmp/x\x1b"), 3, "/tmp/x\\x1b: No space left on device"),
        (KeyboardInterrupt(), 130, "stopped"),
        (RecursionError("x"), 3, "fault in logscan"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_fault_is_one_line_and_no_finding(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("logscan.pipeline.running.stream", fails)
    done = run("analyse", GOOD, "--fail-on", "problem")
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert run("analyse", GOOD, "-f", "nagios").returncode == 3


def test_the_way_to_a_fault_is_shown_when_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logscan.pipeline.running.stream", lambda *_, **__: 1 / 0)
    assert "Traceback" in run("analyse", GOOD, LOGSCAN_TRACEBACK="1").stderr
    assert "Traceback" not in run("analyse", GOOD).stderr


# -- closed streams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(closed: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = shell(f'logscan analyse "$1" -o "$2" {closed}', LOG, page)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert page.read_text().endswith("</html>")


def test_a_result_for_a_closed_stdout_is_an_error() -> None:
    done = shell('logscan analyse "$1" >&-', LOG)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "standard output is closed" in done.stderr
    assert shell('logscan analyse "$1" -f nagios >&-', LOG).returncode == 3


def test_a_closed_stdin_that_was_named_is_an_error() -> None:
    done = shell("logscan analyse - <&-")
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)


def test_a_full_disk_below_stdout_is_told() -> None:
    done = shell('logscan analyse "$1" > /dev/full', LOG)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "No space left" in done.stderr


class Kept:
    """A mail server's end that keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope.content)
        return "250 taken"


def test_a_reader_that_went_away_keeps_the_rest_from_nothing(tmp_path: Path) -> None:
    kept = Kept()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    read_end, write_end = os.pipe()
    os.close(read_end)
    options = ["-f", "html", "-o", "-", "-f", "json", "-o", tmp_path / "x.json", "--fail-on", "problem"]
    mail = ["--mail-to", "a@example.com", "--mail-from", "l@example.com"]
    mail += ["--smtp", f"127.0.0.1:{port}", "--smtp-tls", "none"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "logscan", "analyse", *map(str, [BAD, *options]), *mail],
            stdout=write_end,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    finally:
        server.stop()
    os.close(write_end)
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "x.json").stat().st_size > 1000
    assert [b"Subject: " in each for each in kept.mails] == [True]
    assert done.returncode == 1


def test_an_output_that_fails_keeps_the_others_from_nothing(run: Run, tmp_path: Path) -> None:
    done = run("analyse", LOG, "-f", "html", "-o", tmp_path / "no" / "such", "-f", "json", "-o", tmp_path / "x.json")
    assert done.returncode == 2
    assert (tmp_path / "x.json").stat().st_size > 1000


def test_a_mail_that_is_not_sent_ends_with_4_and_the_report_is_kept(run: Run, tmp_path: Path) -> None:
    mail = ("--mail-to", "a@example.com", "--mail-from", "l@example.com", "--smtp", "127.0.0.1:1")
    done = run("analyse", LOG, "-o", tmp_path / "x.json", *mail)
    assert done.returncode == 4
    assert (tmp_path / "x.json").stat().st_size > 1000
    nagios = run("analyse", LOG, "-f", "nagios", *mail)
    assert nagios.returncode == 3
    assert nagios.stdout.startswith("LOGSCAN UNKNOWN - the mail was not sent: mx1: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mail-to", "a@example.com", "--smtp", "127.0.0.1:1"), "Invalid value for --mail-from: "),
        (("--mail-to", "a@example.com", "--smtp", "h", "--mail-from", "logscan"), "Invalid value for --mail-from: "),
        (("--mail-to", "a@example.com", "--mail-from", "a b@c"), "Invalid value for --mail-from: "),
        (("--mail-to", "a b@c"), "Invalid value for --mail-to: "),
    ],
)
def test_a_mail_that_could_never_go_out_is_told_before_anything_is_read(
    run: Run, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = run("analyse", LOG, "-o", tmp_path / "x.json", *options)
    assert (done.returncode, (tmp_path / "x.json").exists()) == (2, False)
    assert said in done.stderr


def test_nagios_is_not_told_that_all_is_well_when_not_all_was_read(run: Run, tmp_path: Path) -> None:
    done = run("analyse", GOOD, tmp_path / "missing", "-f", "nagios")
    assert (done.returncode, done.stdout.count("\n")) == (3, 1)
    assert done.stdout.startswith("LOGSCAN UNKNOWN - not all could be read: ")
    assert "|problems=" in done.stdout


def test_a_trace_that_nobody_reads_has_its_status(tmp_path: Path) -> None:
    command = '{ logscan trace x@example.com "$1" "$2"; echo $? >&2; } | true'
    done = shell(command, LOG, tmp_path / "missing")
    assert done.stderr.endswith("3\n")


def test_a_terminal_that_knows_no_such_letter_is_no_fault() -> None:
    done = shell('logscan analyse "$1"', LOG, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr


def test_a_folder_of_dspam_s_that_was_named_is_meant(run: Run, tmp_path: Path) -> None:
    done = run("analyse", LOG, "--dspam-home", tmp_path / "missing")
    assert done.returncode == 3
    assert "missing: there is no such folder" in done.stderr


def test_what_is_no_command_but_a_source_is_analysed(run: Run, tmp_path: Path) -> None:
    assert run(GOOD, "-f", "nagios").stdout.startswith("LOGSCAN OK")
    assert run("-", "-f", "nagios", stdin=LOG.read_bytes()).stdout.startswith("LOGSCAN CRITICAL")
    assert run(tmp_path / "missing.log").returncode == 3
    assert run("no-such-command").returncode == 2


def test_nagios_has_its_statuses_whatever_else_is_asked(run: Run) -> None:
    assert run("analyse", BAD, "-f", "nagios", "--fail-on", "problem").returncode == 2


# -- names that are no names ----------------------------------------------------------------------------------------------


def printable(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture
def nasty(tmp_path: Path) -> Path:
    """A log whose name and lines want to be more than text."""
    folder = tmp_path / f"d{NASTY}"
    folder.mkdir()
    log = folder / f"{NASTY}.log"
    head = "Nov 22 18:44:26 mx1 "
    log.write_text(
        f"{head}postfix/qmgr[7]: 4A97F54A7D9: from=<a\x1b[2J@example.com>, size=1, nrcpt=1 (queue active)\n"
        f"{head}postfix/q\x1b[2Jmgr\u202e[7]: 4A97F54A7D9: removed\n"
        f"{head}\x1b]0;owned\x07[7]: 4A97F54A7D9: removed\n"
        f"{head}postfix/smtp[7]: 4A97F54A7D9: to=<b@example.org>, relay=\x1b[2J[192.0.2.1]:25, delay=1, "
        "delays=0/0/0/1, dsn=2.0.0, status=sent (250 \x1b[2J\u202eok)\n"
    )
    (folder / f"binary{NASTY}").write_bytes(bytes(range(256)) * 40)
    return folder


COMMANDS: list[Callable[[Path], tuple[str | Path, ...]]] = [
    lambda folder: ("analyse", folder),
    lambda folder: ("analyse", *folder.iterdir()),
    lambda folder: ("analyse", folder / f"missing{NASTY}", folder),
    lambda folder: ("analyse", folder, "-f", "html", "-o", folder / f"{NASTY}.html"),
    lambda folder: ("analyse", folder, "-f", "html", "-o", folder / "no" / NASTY),
    lambda folder: ("analyse", folder, "--tables", folder / f"{NASTY}-tables"),
    lambda folder: ("analyse", folder, "--config", folder / f"missing{NASTY}"),
    lambda folder: ("analyse", folder, "--dspam-home", folder / f"missing{NASTY}"),
    lambda folder: ("analyse", folder, "--settings", folder / f"missing{NASTY}"),
    lambda folder: ("analyse", folder, "--settings", next(folder.iterdir())),
    lambda folder: ("analyse", folder, "--smtp", NASTY),
    lambda folder: ("analyse", folder, "--mail-to", NASTY),
    lambda folder: ("analyse", folder, "--host-alias", NASTY),
    lambda folder: ("analyse", folder, "-f", "nagios"),
    lambda folder: ("analyse", folder, "-f", "prometheus"),
    lambda folder: ("analyse", f"http{NASTY}://{NASTY}/"),
    lambda folder: ("trace", "4A97F54A7D9", folder),
    lambda folder: ("trace", "-v", "4A97F54A7D9", folder),
    lambda folder: ("trace", "-f", "json", "4A97F54A7D9", folder),
    lambda folder: ("trace", NASTY, folder),
    lambda folder: ("search", "not from:nobody", folder),
    lambda folder: ("search", "not from:nobody", folder, "-f", "csv"),
    lambda folder: ("search", "not from:nobody", folder, "-f", "json"),
    lambda folder: ("search", f"from:{NASTY}", folder),
    lambda folder: ("search", f"{NASTY}:x", folder),
    lambda folder: ("search", "a", folder / f"missing{NASTY}", "--columns", NASTY),
    lambda folder: ("formats", "--check", next(folder.glob("*.log"))),
    lambda folder: ("formats", "--check", folder / f"missing{NASTY}"),
    lambda folder: ("explain", NASTY),
    lambda folder: ("audit", folder),
    lambda folder: ("audit", folder / f"missing{NASTY}"),
    lambda folder: ("demo", NASTY),
    lambda folder: ("daily", folder, "--state", folder / "state"),
    lambda folder: ("daily", folder, "--state", folder / f"{NASTY}-state", "-f", "json"),
    lambda folder: ("daily", folder / f"missing{NASTY}", "--state", folder / f"no{NASTY}" / "state"),
    lambda folder: ("daily", folder, "--state", folder / "state", "--keep", NASTY),
    lambda folder: ("daily", folder, "--state", folder / "state", "--mail-to", NASTY),
    lambda folder: ("daily", folder, "--state", folder / "state", "--notify-command", f"/nowhere/{NASTY}"),
    lambda folder: ("state", "show", "--state", folder / f"{NASTY}-state"),
    lambda folder: ("state", "verify", "--state", next(folder.glob("*.log"))),
    lambda folder: ("state", "forget", NASTY, "--state", folder / f"{NASTY}-state"),
    lambda folder: ("state", "nagios", "--state", folder / f"{NASTY}-state"),
    lambda folder: ("ack", NASTY, "--state", folder / f"{NASTY}-state"),
    lambda folder: ("ack", "0123abcd", "--until", NASTY, "--state", folder / "state"),
    lambda folder: ("diff", next(folder.glob("*.log")), folder / f"missing{NASTY}"),
    lambda folder: ("diff", *([next(folder.glob("*.log"))] * 2)),
    lambda folder: ("explain-reply", f"550 5.7.1 \x1b[2J{NASTY}"),
    lambda folder: ("route", f"{NASTY}@example.com", "--config", folder),
    lambda folder: ("route", "alice@example.com", "--config", folder / f"missing{NASTY}"),
    lambda folder: ("setup", "--root", folder, "--mail-to", NASTY),
    lambda folder: ("setup", "--root", folder / f"missing{NASTY}", "--state", NASTY),
    lambda folder: ("trace", "4A97F54A7D9", folder, "--for", NASTY),
    lambda folder: ("explain-reply", f"550 5.7.1 {NASTY}"),
    lambda folder: ("explain-reply", NASTY),
    lambda folder: ("diff", folder / f"missing{NASTY}", next(folder.iterdir())),
    lambda folder: ("route", f"{NASTY}@x.example", folder),
    lambda folder: ("route", "a@x.example", "--config", folder / f"missing{NASTY}"),
    lambda folder: (NASTY,),
]


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_no_command_writes_a_raw_control_character(run: Run, nasty: Path, number: int) -> None:
    done = run(*COMMANDS[number](nasty))
    assert printable(done.stderr), done.stderr
    assert printable(done.stdout), done.stdout
    assert not any(line.startswith("logscan: note: forged") for line in done.stderr.split("\n"))
    assert "fault in logscan" not in done.stderr


def test_every_command_is_held_to_it() -> None:
    from logscan.cli import cli

    held = {word for lambda_ in COMMANDS for word in _words(lambda_)}
    left = set(cli.list_commands(None)) - held  # type: ignore[arg-type]
    assert left == {"checks", "reports"}  # they take no argument


def _words(command: Callable[[Path], tuple[str | Path, ...]]) -> tuple[str, ...]:
    """Return the texts among a command's constants: its name stands first."""
    return tuple(each for each in command.__code__.co_consts if isinstance(each, str))[:1] or _tuple(command)


def _tuple(command: Callable[[Path], tuple[str | Path, ...]]) -> tuple[str, ...]:
    return tuple(word for each in command.__code__.co_consts if isinstance(each, tuple) for word in each[:1])


def test_only_one_module_writes_to_the_terminal() -> None:
    package = Path(logscan.__file__).parent
    found = []
    for path in [*package.rglob("*.py"), *package.parent.glob("parsers/*.py"), *package.parent.glob("reports/*.py")]:
        if path.name in ("console.py", "compiling.py") or "site-packages" in path.parts[len(package.parts) :]:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in ("print", "click.echo", "click.secho") or name.startswith(
                ("sys.stdout.write", "sys.stderr", "sys.stdout.buffer")
            ):
                found.append(f"{path.name}:{node.lineno}")
    assert found == []


# -- settings ---------------------------------------------------------------------------------------------------------------

OUTPUT = 'format = "text"\noutput = "{0}/taken.txt"\ntables = "{0}/taken"\n'


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings in the current folder, of a user who isn't root: root never follows them (tests/test_settings_of_root.py)."""
    monkeypatch.setattr("logscan.commands.settings_file.is_root", lambda: False)
    path = tmp_path / "logscan.toml"
    path.write_text(OUTPUT.format(tmp_path).replace("format", "[analyse]\nformat", 1).replace('"text"', '["text"]'))
    path.write_text(path.read_text().replace(f'"{tmp_path}/taken.txt"', f'["{tmp_path}/taken.txt"]'))
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    return path


def test_settings_of_this_folder_are_followed(run: Run, settings: Path) -> None:
    assert run("analyse", LOG).returncode == 0
    assert (settings.parent / "taken.txt").exists()


CHANGES: dict[str, Callable[[Path], None]] = {
    "others can write the file": lambda path: path.chmod(0o646),
    "its group can write the file": lambda path: path.chmod(0o664),
    "others can write the folder": lambda path: path.parent.chmod(0o757),
    "its group can write the folder": lambda path: path.parent.chmod(0o775),
    "everybody's folder, as /tmp": lambda path: path.parent.chmod(0o1777),
}


@pytest.mark.parametrize("change", CHANGES)
def test_settings_that_others_can_write_are_not_followed(run: Run, settings: Path, change: str) -> None:
    CHANGES[change](settings)
    done = run("analyse", LOG)
    assert done.returncode == 0
    assert "these settings are not followed, since" in done.stderr
    assert not (settings.parent / "taken.txt").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_stranger_s_settings_are_not_followed(run: Run, settings: Path, tmp_path: Path) -> None:
    os.chown(settings, 1234, 1234)
    assert "belongs to another user" in run("analyse", LOG).stderr
    os.chown(settings, 0, 0)
    os.chown(tmp_path, 1234, 1234)
    assert "belongs to another user" in run("analyse", LOG).stderr
    os.chown(tmp_path, 0, 0)
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "logscan.toml").symlink_to(settings)
    os.lchown(inner / "logscan.toml", 1234, 1234)
    assert trust.doubt(inner / "logscan.toml")
    assert not (tmp_path / "taken.txt").exists()


def test_settings_that_were_named_are_refused_aloud(run: Run, settings: Path) -> None:
    settings.chmod(0o666)
    done = run("analyse", LOG, "--settings", settings)
    assert done.returncode == 2
    assert "others can write it" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "analyse = 5",
        "[analyse]\nfail-on = 5",
        "[analyse]\nyear = 'x'",
        "[analyse]\nyear = [2026]",
        "[analyse]\nquiet = 'sometimes'",
        "[analyse]\nsince = true",
        "[analyse]\noutput = [['x']]",
        "[analyse]\nservice = ['a=²']",
        "[analyse.smtp]\nhost = 'x'",
        '[analyse]\ntables = "a\\u0000b"',
        "[analyse]\nno-such = 1",
        "= =",
        "\ufeff[analyse",
        "a = " + "[" * 5000,
        "[analyse]\nuntil = 0001-01-01",
    ],
)
def test_settings_that_can_t_be_meant_are_wrong_usage(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    done = run("analyse", LOG, "--settings", tmp_path / "own.toml")
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "fault in logscan" not in done.stderr
    assert run("analyse", LOG, "--settings", tmp_path / "own.toml", "-f", "nagios").returncode == 3


def test_settings_that_are_no_text_or_no_file_are_wrong_usage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("own.toml", "pipe.toml", "."):
        assert run("analyse", LOG, "--settings", tmp_path / name).returncode == 2


def test_nagios_in_the_settings_is_nagios(run: Run, settings: Path) -> None:
    settings.write_text('[analyse]\nformat = ["nagios"]\n')
    done = run("analyse", LOG, "--since", "teatime")
    assert (done.returncode, done.stdout[:16]) == (3, "LOGSCAN UNKNOWN ")


@pytest.mark.parametrize("text", ["backend: module://stranger\n", "no such setting: 1\n", "figure.dpi: nonsense\n"])
def test_matplotlib_s_settings_in_this_folder_are_not_followed(program: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "matplotlibrc").write_text(text)
    (tmp_path / "stranger.py").write_text("raise SystemExit(7)\n")
    done = program("analyse", LOG, "-f", "email", "-o", tmp_path / "x.eml")
    assert done.returncode == 0
    assert "matplotlibrc" not in done.stderr
    assert (tmp_path / "x.eml").stat().st_size > 10_000


# -- a server that never ends ----------------------------------------------------------------------------------------------


def letter() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "x"
    mail.set_content("x")
    return mail


@pytest.fixture
def dripping() -> Iterator[Callable[[bytes, float], int]]:
    """A server that says the same again and again, for ever."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    server = socket.create_server(("127.0.0.1", 0))

    def start(said: bytes, every: float) -> int:
        def serve() -> None:
            try:
                client, _ = server.accept()
                with client:
                    while not stop.is_set():
                        client.sendall(said)
                        stop.wait(every)
            except OSError:
                pass

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[0].start()
        return int(server.getsockname()[1])

    yield start
    stop.set()
    threads[0].join()
    server.close()


@pytest.mark.parametrize(
    ("said", "every", "why"),
    [(b"2", 0.05, "did not come to an end within 0.5 s"), (b"220-more\r\n", 0.05, "within 0.5 s"),
     (b"220-more and more\r\n" * 5000, 0.0, "said more than 1 MB")],
)  # fmt: skip
def test_a_conversation_with_a_mail_server_has_an_end(
    dripping: Callable[[bytes, float], int], said: bytes, every: float, why: str
) -> None:
    server = Server("127.0.0.1", dripping(said, every), tls="none", limit=0.5 if every else 60)
    start = time.monotonic()
    with pytest.raises(MailError, match=why):
        deliver(letter().as_bytes(), Envelope("a@example.com", ("b@example.com",)), server)
    assert time.monotonic() - start < 10
