"""The command line: what it writes where, its exit status, and what it says of files it can't read."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import logscan
from logscan.checking.check import GROUPS, HEADINGS, all_checks
from logscan.grammar.programs import log_formats
from logscan.rendering.renderers import renderers
from logscan.samples import folder, stories, story

Run = Callable[..., "subprocess.CompletedProcess[str]"]

HEALTHY = story("healthy")
BAD = story("training-user-without-domain")
SCRIPTS = story("amavis-outgoing-tagged-spam")
LOG = HEALTHY / "mail.log"
CHECKS = [check.name for check in all_checks()]


# -- exit statuses -----------------------------------------------------------------------------------------------------


def test_a_run_without_findings_ends_with_0(run: Run) -> None:
    assert run("analyse", HEALTHY, "--fail-on", "warning").returncode == 0


def test_findings_alone_do_not_fail(run: Run) -> None:
    done = run("analyse", BAD)
    assert (done.returncode, "1 problem " in done.stdout) == (0, True)


def test_findings_at_the_level_asked_for_end_with_1(run: Run) -> None:
    assert run("analyse", BAD, "--fail-on", "problem").returncode == 1


def test_warnings_fail_only_when_asked_for(run: Run) -> None:
    only = ("--check", "local-mail-filtered")
    assert run("analyse", SCRIPTS, *only, "--fail-on", "warning").returncode == 1
    assert run("analyse", SCRIPTS, *only, "--fail-on", "problem").returncode == 0


def test_mended_findings_do_not_fail(run: Run) -> None:
    done = run("analyse", story("mixed-day"), "--check", "alias-owns-hash", "--fail-on", "warning")
    assert done.returncode == 0


@pytest.mark.parametrize(
    "args",
    [
        ("analyse", "--no-such-option"),
        ("no-such-command",),
        ("analyse", LOG, "--check", "no-such-check"),
        ("analyse", LOG, "--since", "teatime"),
        ("analyse", LOG, "--timezone", "Mars/Olympus"),
        ("analyse", LOG, "--service", "postfix/smtpd"),
        ("analyse", LOG, "--service", "postfix/smtpd=99999"),
        ("analyse", LOG, "--host-alias", "mx1"),
        ("analyse", LOG, "-o", "report.unknown"),
        ("analyse", LOG, "--format", "html", "--format", "json", "-o", "one.html"),
        ("analyse", LOG, "--format", "html", "-o", "-", "--format", "json", "-o", "-"),
        ("analyse", LOG, "--format", "no-such-format"),
        ("explain", "no-such-check"),
        ("demo", "no-such-story"),
    ],
    ids=lambda args: " ".join(str(each) for each in args if each != LOG),
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(run: Run, args: tuple[str, ...]) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: " in done.stderr


def test_an_error_names_what_there_is(run: Run) -> None:
    assert "duplicate-delivery" in run("explain", "no-such-check").stderr
    assert "mixed-day" in run("demo", "no-such-story").stderr
    assert "yesterday" in run("analyse", LOG, "--since", "teatime").stderr


def test_a_missing_file_ends_with_3_and_the_rest_is_still_analysed(run: Run, tmp_path: Path) -> None:
    done = run("analyse", tmp_path / "missing.log", BAD)
    assert done.returncode == 3
    assert "missing.log: there is no such file" in done.stderr
    assert "1 problem " in done.stdout


def test_a_missing_file_is_told_even_when_findings_fail_the_run(run: Run, tmp_path: Path) -> None:
    assert run("analyse", tmp_path / "missing.log", BAD, "--fail-on", "problem").returncode == 3


def test_nothing_but_a_missing_file_ends_with_3(run: Run, tmp_path: Path) -> None:
    done = run("analyse", tmp_path / "missing.log")
    assert done.returncode == 3
    assert "missing.log: there is no such file" in done.stderr


# -- files that are no logs --------------------------------------------------------------------------------------------


def test_an_empty_log_is_no_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(b"")
    assert run("analyse", tmp_path / "mail.log").returncode == 0


def test_an_empty_rotated_log_beside_others_is_no_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(b"")
    (tmp_path / "mail.log.1").write_bytes(LOG.read_bytes())
    done = run("analyse", tmp_path, "-f", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["mails"]["total"] > 50


def test_a_binary_file_is_passed_over_and_the_rest_is_analysed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(LOG.read_bytes())
    (tmp_path / "core").write_bytes(bytes(range(256)) * 40)
    done = run("analyse", tmp_path)
    assert done.returncode == 0
    assert "core: not a text file" in done.stderr


def test_a_binary_file_alone_makes_no_server_look_healthy(run: Run, tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(bytes(range(256)) * 40)
    done = run("analyse", tmp_path / "core")
    assert "core: not a text file" in done.stderr
    assert "no line was recognised" in done.stdout
    assert "clear" not in done.stdout


def test_a_truncated_gzip_is_read_as_far_as_it_goes_and_ends_with_3(run: Run, tmp_path: Path) -> None:
    whole = gzip.compress(LOG.read_bytes(), mtime=0)
    (tmp_path / "mail.log.gz").write_bytes(whole[: len(whole) // 2])
    done = run("analyse", tmp_path / "mail.log.gz", "-f", "json")
    assert done.returncode == 3
    assert "mail.log.gz: " in done.stderr
    document = json.loads(done.stdout)
    assert document["mails"]["total"] > 10
    assert document["sources"][0]["error"]


def test_a_foreign_log_ends_with_3_and_says_where_to_look(run: Run, tmp_path: Path) -> None:
    lines = (f"Nov 22 19:01:{second:02} web1 nginx[12]: GET /index.html 200" for second in range(60))
    (tmp_path / "access.log").write_text("\n".join(lines) + "\n")
    done = run("analyse", tmp_path / "access.log")
    assert done.returncode == 3
    assert "not one of 60 lines was recognised" in done.stderr
    assert "logscan formats" in done.stderr


def test_a_text_in_a_folder_that_is_nothing_known_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dpkg.log").write_text("2026-11-24 10:00:00 status installed foo:amd64 1.0\n" * 20)
    (tmp_path / "mail.log").write_text("Nov 22 18:44:26 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed\n")
    done = run("analyse", tmp_path)
    assert done.returncode == 0
    assert "neither a log nor a configuration that is known: dpkg.log\n" in done.stderr


def test_prose_is_no_log(run: Run, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear postmaster,\nmy mail does not arrive.\n" * 30)
    done = run("analyse", tmp_path / "letter.txt")
    assert "no line was recognised" in done.stdout
    assert "clear" not in done.stdout
    assert "letter.txt" in done.stderr


def test_lines_that_are_no_utf_8_are_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(
        LOG.read_bytes() + b"Nov 22 19:09:00 mx1 postfix/foo[1]: caf\xe9 \x00\x1b[31m\n"
    )
    done = run("analyse", tmp_path / "mail.log", "-f", "json")
    assert done.returncode == 0
    assert [each["program"] for each in json.loads(done.stdout)["unknown"]] == ["postfix/foo"]
    shown = run("analyse", tmp_path / "mail.log").stdout
    assert "\x1b" not in shown


def test_a_folder_without_logs_is_said_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    done = run("analyse", tmp_path / "nothing")
    assert "no line was recognised" in done.stdout
    assert "clear" not in done.stdout


# -- sources -----------------------------------------------------------------------------------------------------------


def test_standard_input_is_read(run: Run) -> None:
    named, piped = run("analyse", LOG, "-f", "json"), run("analyse", "-", "-f", "json", stdin=LOG.read_bytes())
    assert piped.returncode == 0
    assert json.loads(piped.stdout)["mails"] == json.loads(named.stdout)["mails"]


def test_compressed_standard_input_is_read(run: Run) -> None:
    done = run("analyse", "-", "-f", "json", stdin=gzip.compress(LOG.read_bytes()))
    assert json.loads(done.stdout)["mails"]["total"] > 50


def test_a_pattern_is_read_where_the_shell_left_it(run: Run) -> None:
    done = run("analyse", story("mixed-day") / "mail.log*", "-f", "json")
    assert [source["path"] for source in json.loads(done.stdout)["sources"]] == [
        "mail.log.2.gz",
        "mail.log.1",
        "mail.log",
    ]


def test_a_pattern_without_a_match_ends_with_3(run: Run, tmp_path: Path) -> None:
    done = run("analyse", tmp_path / "nothing*.log")
    assert done.returncode == 3
    assert "no file matches" in done.stderr


def test_since_and_until_cut_the_time(run: Run) -> None:
    window = ("--since", "2026-11-22 19:01:55", "--until", "2026-11-22 19:02:00", "--timezone", "UTC", "--year", "2026")
    whole, part = (json.loads(run("analyse", HEALTHY, "-f", "json", *more).stdout) for more in ((), window))
    assert 0 < part["mails"]["entries"] < whole["mails"]["entries"]
    assert part["period"]["first"] >= "2026-11-22T19:01:55"
    assert part["period"]["last"] < "2026-11-22T19:02:00"


def test_checks_can_be_chosen_and_left_out(run: Run) -> None:
    def names(*args: str) -> list[str]:
        return [check["name"] for check in json.loads(run("analyse", LOG, "-f", "json", *args).stdout)["checks"]]

    assert names("--check", "duplicate-delivery") == ["duplicate-delivery"]
    assert names("--skip", "duplicate-delivery") == [name for name in CHECKS if name != "duplicate-delivery"]


def test_a_configuration_beside_the_logs_can_be_named(run: Run) -> None:
    def confidence(*args: str | Path) -> set[str]:
        log = story("authenticated-port-25") / "mail.log"
        document = json.loads(run("analyse", log, "-f", "json", "--check", "authenticated-port-25", *args).stdout)
        return {finding["confidence"] for check in document["checks"] for finding in check["findings"]}

    assert confidence() == {"medium"}
    assert confidence("--config", story("authenticated-port-25") / "master.cf") == {"high"}
    assert confidence("--service", "postfix/smtpd=25") == {"high"}


# -- outputs -----------------------------------------------------------------------------------------------------------


def test_results_go_to_stdout_and_all_else_to_stderr(run: Run) -> None:
    done = run("analyse", HEALTHY, "-f", "json")
    assert json.loads(done.stdout)["logscan"] == {"version": logscan.__version__, "schema": 2}
    assert run("analyse", HEALTHY, "-f", "json", "--quiet").stderr == ""


def test_several_outputs_are_written_in_pairs(run: Run, tmp_path: Path) -> None:
    done = run(
        "analyse", BAD, "-f", "html", "-o", "page.html", "-f", "text", "-o", "-", "-f", "json", "-o", "data.json"
    )
    assert done.returncode == 0
    assert "1 problem " in done.stdout
    assert (tmp_path / "page.html").read_text().lower().startswith("<!doctype html>")
    assert json.loads((tmp_path / "data.json").read_text())["hosts"] == ["mx1"]


def test_a_file_s_ending_says_the_format(run: Run, tmp_path: Path) -> None:
    run("analyse", BAD, "-o", "a.html", "-o", "a.json", "-o", "a.txt", "-o", "a.prom", "-o", "a.eml")
    assert {path.suffix for path in tmp_path.glob("a.*")} == {".html", ".json", ".txt", ".prom", ".eml"}


@pytest.mark.parametrize("name", sorted(renderers()))
def test_every_format_goes_to_stdout(run: Run, name: str) -> None:
    assert run("analyse", HEALTHY, "--format", name).stdout


def test_an_output_that_can_t_be_written_is_named(run: Run, tmp_path: Path) -> None:
    done = run("analyse", HEALTHY, "-o", tmp_path / "no" / "such" / "page.html")
    assert done.returncode == 2
    assert "page.html: No such file or directory" in done.stderr


def test_the_tables_can_be_kept(run: Run, tmp_path: Path) -> None:
    import pandas as pd

    run("analyse", HEALTHY, "--tables", tmp_path / "tables")
    for name in ("entries", "legs", "mails", "deliveries", "verdicts", "trainings"):
        assert len(pd.read_parquet(tmp_path / "tables" / f"{name}.parquet")) > 0


ESCAPE = "\x1b["


def test_a_pipe_gets_no_colours(run: Run) -> None:
    assert ESCAPE not in run("analyse", BAD).stdout


def test_colours_can_be_asked_for(run: Run) -> None:
    assert ESCAPE in run("analyse", BAD, "--color", "always").stdout


def on_a_terminal(**environment: str) -> str:
    """Run ``logscan analyse`` on a pseudo-terminal and return what it shows."""
    import pty

    master, slave = pty.openpty()
    env = (
        {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        | {"TERM": "xterm-256color"}
        | environment
    )
    command = [sys.executable, "-m", "logscan", "analyse", "--quiet", str(BAD)]
    with subprocess.Popen(
        command, stdout=slave, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=env
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                block = os.read(master, 65536)
            except OSError:  # Linux tells the end of a pseudo-terminal so
                break
            if not block:
                break
            shown += block
        assert process.wait() == 0
    os.close(master)
    return shown.decode()


def test_a_terminal_gets_colours_unless_no_color_is_set() -> None:
    assert ESCAPE in on_a_terminal()
    assert ESCAPE not in on_a_terminal(NO_COLOR="1")


@pytest.mark.parametrize("form", ["json", "text", "email"])
def test_a_reader_that_goes_away_ends_the_run_quietly(form: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "logscan", "analyse", "--quiet", "--format", form, str(BAD)]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_subjects_are_hidden_unless_asked_for(run: Run) -> None:
    log = story("outgoing-tagged-spam") / "dspam" / "system.log"
    subjects = {line.split("\t")[4] for line in log.read_text().splitlines()} - {"<None Specified>"}
    hidden = run("analyse", story("outgoing-tagged-spam"), "-f", "json").stdout
    shown = run("analyse", story("outgoing-tagged-spam"), "-f", "json", "--show-subjects").stdout
    assert [each for each in subjects if each in hidden] == []
    assert [each for each in subjects if each in shown]


# -- the other commands ------------------------------------------------------------------------------------------------


def test_help_lists_the_commands_the_main_job_first(run: Run) -> None:
    shown = run("--help").stdout
    commands = [line.split()[0] for line in shown.partition("Commands:\n")[2].splitlines() if line.startswith("  ")]
    assert commands[0] == "analyse"
    assert {"demo", "explain", "checks", "formats", "reports"} <= set(commands)


def test_it_runs_as_a_module(program: Run, run: Run) -> None:
    assert program("checks").stdout == run("checks").stdout


def test_standard_input_is_read_from_a_pipe(program: Run) -> None:
    done = program("analyse", "-", "-f", "json", stdin=LOG.read_bytes())
    assert (done.returncode, json.loads(done.stdout)["mails"]["total"] > 50) == (0, True)


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout.startswith(f"logscan, version {logscan.__version__} (")


def test_checks_lists_every_check(run: Run) -> None:
    lines = run("checks").stdout.splitlines()
    named = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(named) == sorted(CHECKS)
    assert named[:7] == CHECKS[:7]
    titles = [line.rpartition(" (")[0] for line in lines if not line.startswith("  ")]
    assert titles == list(GROUPS.values())


@pytest.mark.parametrize("name", CHECKS)
def test_explain_prints_the_page_of_a_check(run: Run, name: str) -> None:
    shown = run("explain", name).stdout
    assert shown.startswith(f"# {name}\n")
    assert all(f"## {heading}\n" in shown for heading in HEADINGS)


def test_formats_lists_what_is_known(run: Run) -> None:
    shown = run("formats").stdout
    assert all(f"{each.name} " in shown for each in log_formats())


def test_formats_shows_how_each_line_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(LOG.read_bytes() + b"Nov 22 19:09:00 mx1 postfix/foo[1]: what is this\n")
    lines = run("formats", "--check", tmp_path / "mail.log").stdout.splitlines()
    assert len(lines) == len(LOG.read_bytes().splitlines()) + 1
    assert "UNKNOWN foo: what is this" in lines[-1]


def test_reports_lists_the_output_formats(run: Run) -> None:
    assert [line.split()[0] for line in run("reports").stdout.splitlines()] == sorted(renderers())


# -- demo --------------------------------------------------------------------------------------------------------------


def test_demo_writes_a_page_for_each_story_named(run: Run, tmp_path: Path) -> None:
    done = run("demo", "healthy", "training-user-without-domain", "-o", tmp_path / "pages")
    assert done.returncode == 0
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {
        "healthy.html",
        "training-user-without-domain.html",
    }
    first, second, *_ = done.stdout.splitlines()
    assert first.split()[:3] == ["healthy", "nothing", "found,"]
    assert second.split()[:3] == ["training-user-without-domain", "1", "problem,"]
    assert str(tmp_path / "pages") in done.stdout


def test_demo_makes_a_folder_of_its_own(program: Run, tmp_path: Path) -> None:
    done = program("demo", "rspamd-healthy", TMPDIR=str(tmp_path))
    pages = list(tmp_path.glob("logscan-demo-*/rspamd-healthy.html"))
    assert len(pages) == 1
    assert pages[0].as_uri() in done.stdout


def test_demo_opens_the_page_when_asked(program: Run, tmp_path: Path) -> None:
    done = program("demo", "rspamd-healthy", "-o", tmp_path / "pages", "--open", BROWSER="echo OPENED %s")
    assert f"OPENED {(tmp_path / 'pages' / 'rspamd-healthy.html').as_uri()}" in done.stdout


def test_demo_lists_the_stories(run: Run) -> None:
    assert [line.split()[0] for line in run("demo", "--list").stdout.splitlines()] == list(stories())


def test_every_story_is_in_the_list_and_has_its_truth() -> None:
    names = {path.name for path in folder().iterdir() if path.is_dir()}
    assert set(stories()) == names
    assert {name for name in names if not (folder() / name / "truth.json").is_file()} == set()


def test_a_word_of_help_waits_for_no_table() -> None:
    """To list the commands all their modules are imported: none of them may bring what tables are made with."""
    code = (
        "import sys; from logscan.cli import cli; cli.list_commands(None);"
        "sys.exit(', '.join(sorted({'numpy', 'pandas', 'pyarrow', 'pyparsing', 'matplotlib', 'jinja2'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
