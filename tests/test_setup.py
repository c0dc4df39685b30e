"""``logscan setup``: what it finds out on made-up machines, and whether cron and systemd take what it writes."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logscan.cli import cli
from logscan.commands.sample_settings import sample_settings, uncommented
from logscan.commands.settings_checks import limits_of, suppressions_of
from logscan.commands.settings_file import _defaults
from logscan.installing.access import Entry, Place, Rule, granted, rules
from logscan.installing.applying import applied
from logscan.installing.machine import detected
from logscan.installing.plan import CantInstall, File, Plan, Wish, planned, time_of
from logscan.installing.presetting import preset
from logscan.installing.quoting import Unquotable, cron_command, unit_command, unit_word, with_values
from logscan.installing.templates import NAMES, template

Run = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A Debian server with systemd, Postfix and a mail log, in a folder."""
    root = tmp_path / "root"
    for folder in (
        "etc/cron.d",
        "etc/postfix",
        "var/log",
        "run/systemd/system",
        "usr/bin",
        "usr/sbin",
        "lib/systemd/system",
    ):
        (root / folder).mkdir(parents=True)
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)
    write(root, "etc/group", "root:x:0:\nadm:x:4:\nmail:x:8:\ndspam:x:120:\nsystemd-journal:x:101:\n")
    write(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\ndspam:x:110:120::/:/bin/false\n")
    write(root, "usr/bin/logscan", "#!/bin/sh\n", 0o755)
    write(root, "usr/sbin/sendmail", "", 0o755)
    write(root, "lib/systemd/system/logrotate.timer", "")
    write(root, "var/log/mail.log", "", 0o640 if os.geteuid() == 0 else 0o644, group=4)
    return root


def write(root: Path, name: str, text: str, mode: int = 0o644, *, user: int = 0, group: int = 0) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if os.geteuid() == 0:
        os.chown(path, user, group)
    path.chmod(mode)
    return path


@functools.cache
def sample() -> str:
    return sample_settings(cli)


def plan_of(root: Path, how: Any = "systemd", sources: tuple[str, ...] = (), **wished: Any) -> Plan:
    wish = Wish(how, wished.pop("program", ("/usr/bin/logscan",)), sources=sources, **wished)
    return planned(detected(root, sources), wish, [], sample())


def files(plan: Plan) -> dict[str, str]:
    return {step.path: step.content for step in plan.steps if isinstance(step, File)}


UNIT, MAIL, TIMER = (
    f"/etc/systemd/system/{name}" for name in ("logscan.service", "logscan-mail.service", "logscan.timer")
)
CRON, SETTINGS = "/etc/cron.d/logscan", "/etc/logscan/logscan.toml"


def value(text: str, name: str) -> str:
    (found,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]
    return found


# -- what is found out ------------------------------------------------------------------------------------------------------


@ROOT_ONLY
def test_the_account_may_read_the_log_by_the_group_that_the_log_has(machine: Path) -> None:
    plan = plan_of(machine)
    assert plan.access.groups == ("adm",)
    assert not plan.access.hidden
    assert value(files(plan)[UNIT], "SupplementaryGroups") == "adm"


@ROOT_ONLY
@pytest.mark.parametrize(
    ("mode", "user", "group", "groups"),
    [
        (0o2770, 110, 120, ("adm", "dspam")),
        (0o755, 110, 120, ("adm",)),
        (0o700, 110, 120, None),
        (0o770, 110, 8, None),
        (0o770, 0, 0, None),
    ],
    ids=["its own group", "everybody", "nobody else", "the group of all mailboxes", "root"],
)
def test_dspam_s_home_is_read_where_that_opens_nothing_else(
    machine: Path, mode: int, user: int, group: int, groups: tuple[str, ...] | None
) -> None:
    home = machine / "srv" / "dspam data"
    home.mkdir(parents=True)
    write(machine, "etc/dspam/dspam.conf", "# Home /nowhere\nHome /srv/dspam data\n")
    os.chown(home, user, group)
    home.chmod(mode)
    plan = plan_of(machine)
    assert tomllib.loads(files(plan)[SETTINGS])["dspam-home"] == "/srv/dspam data"
    assert "dspam-home" not in tomllib.loads(files(plan_of(machine, sources=("/srv/other.log",)))[SETTINGS])
    assert plan.access.groups == (groups or ("adm",))
    said = [each for each in plan.warnings if "DSPAM's home /srv/dspam data" in each]
    assert bool(said) is (groups is None)
    if said:
        assert "blind" in said[0]
        assert "setfacl -R -m u:logscan:rX '/srv/dspam data'" in said[0]


@ROOT_ONLY
def test_a_log_that_only_root_reads_is_named_and_ends_with_status_3(run: Run, machine: Path) -> None:
    write(machine, "var/log/mail.log", "", 0o600)
    done = run("setup", "--root", machine)
    assert done.returncode == 3
    assert "logscan can't read /var/log/mail.log" in done.stderr
    assert "SupplementaryGroups=" not in done.stdout


@ROOT_ONLY
def test_a_folder_on_the_way_shuts_it_out_too(machine: Path) -> None:
    write(machine, "srv/logs/mail.log", "", 0o644)
    (machine / "srv/logs").chmod(0o700)
    plan = plan_of(machine, sources=("/srv/logs/mail.log",))
    assert plan.nothing_to_read
    assert "setfacl -m u:logscan:x /srv/logs" in plan.warnings[0]


def test_a_member_gets_no_more_than_its_group_has() -> None:
    place = Place("log", (Entry("/var", 0o40755, 0, 0), Entry("/var/log/mail.log", 0o100604, 0, 4)))
    assert granted([place], {0: "root", 4: "adm"}, {}).hidden == ()
    other = Place("log", (Entry("/var/log/mail.err", 0o100640, 0, 4),))
    both = granted([place, other], {0: "root", 4: "adm"}, {})
    assert [each.place.path for each in both.hidden] == ["/var/log/mail.log"]


LIST = bytes.fromhex("02000000 01000600ffffffff 02000400e2030000 04000000ffffffff 10000500ffffffff 20000000ffffffff")
"""As ``setfacl -m u:994:r,m::rx`` leaves it on a file of mode 0600."""


def test_what_an_access_control_list_opens_is_open() -> None:
    found = rules(LIST)
    assert [rule.tag for rule in found] == [0x01, 0x02, 0x04, 0x10, 0x20]
    place = Place("log", (Entry("/var/log/maillog", 0o100650, 0, 0, found),))
    users = {0: "root", 994: "logscan"}
    assert granted([place], {0: "root"}, users, "logscan").hidden == ()
    assert len(granted([place], {0: "root"}, {0: "root"}, "logscan").hidden) == 1
    assert rules(LIST[:-1]) == rules(b"\x03" + LIST[1:]) == rules(b"") == ()


def test_a_group_that_a_list_names_is_asked_for() -> None:
    """As systemd leaves the journal's files: ``g:adm:r``."""
    found = (Rule(0x01, 6, 0), Rule(0x04, 4, 0), Rule(0x08, 4, 4), Rule(0x10, 4, 0), Rule(0x20, 0, 0))
    place = Place("log", (Entry("/var/log/journal/x", 0o100640, 0, 0, found),))
    assert granted([place], {0: "root", 4: "adm"}, {}).groups == ("adm",)
    masked = Place("log", (Entry("/var/log/journal/x", 0o100600, 0, 0, (*found[:3], Rule(0x10, 0, 0), found[4])),))
    assert granted([masked], {0: "root", 4: "adm"}, {}).groups == ()


@ROOT_ONLY
def test_a_list_on_the_disk_is_read(machine: Path) -> None:
    path = write(machine, "var/log/mail.log", "", 0o600)
    write(machine, "etc/passwd", "root:x:0:0::/root:/bin/sh\nlogscan:x:994:994::/:/bin/false\n")
    try:
        os.setxattr(path, "system.posix_acl_access", LIST)
    except OSError as error:
        pytest.skip(f"no access control lists in this file system: {error.strerror}")
    assert not plan_of(machine).access.hidden


@ROOT_ONLY
def test_files_in_a_folder_of_logs_are_looked_at(machine: Path) -> None:
    write(machine, "srv/logs/mail.log", "", 0o600)
    write(machine, "srv/logs/mail.log.1", "", 0o640, group=4)
    plan = plan_of(machine, sources=("/srv/logs",))
    assert plan.access.groups == ("adm",)
    assert [each.place.path for each in plan.access.hidden] == ["/srv/logs/mail.log"]
    assert not plan.nothing_to_read


def test_nothing_is_written_where_an_image_s_links_lead_out_of_it(machine: Path, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (machine / "etc/logscan").symlink_to(tmp_path / "host")
    with pytest.raises(CantInstall, match="leads out of"):
        list(applied(plan_of(machine).steps, machine))
    assert not list((tmp_path / "host").iterdir())


def test_without_a_mail_log_the_journal_is_read(machine: Path) -> None:
    (machine / "var/log/mail.log").unlink()
    assert any("no mail log in /var/log, and no journal" in each for each in plan_of(machine).warnings)
    (machine / "var/log/journal").mkdir()
    assert plan_of(machine).access.groups == ("adm", "systemd-journal")  # a log may follow


def test_it_runs_behind_the_rotation(machine: Path) -> None:
    assert time_of(detected(machine))[:2] == (6, 40)
    shutil.rmtree(machine / "run/systemd")
    (machine / "lib/systemd/system/logrotate.timer").unlink()
    write(machine, "etc/crontab", "17 *\t* * *\troot cd / && run-parts --report /etc/cron.hourly\n"
          "25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }\n")  # fmt: skip
    assert time_of(detected(machine))[:2] == (7, 0)
    assert "\n0 7 * * * logscan /usr/bin/logscan daily" in files(plan_of(machine, "cron"))[CRON]


def test_what_can_t_be_done_is_refused(machine: Path) -> None:
    for wished in (
        {"state": "/"},
        {"state": "/srv/mail state"},
        {"state": "here"},
        {"mail_to": ("-f@x.example",)},
        {"mail_to": ("a@b.example\nMAILTO=x",)},
    ):
        with pytest.raises(CantInstall):
            plan_of(machine, **wished)
    shutil.rmtree(machine / "run/systemd")
    with pytest.raises(CantInstall, match="--cron"):
        plan_of(machine)
    shutil.rmtree(machine / "etc/cron.d")
    with pytest.raises(CantInstall, match="no cron"):
        plan_of(machine, "cron")


# -- quoting ----------------------------------------------------------------------------------------------------------------

HOSTILE = [
    "/srv/a b/mail.log",
    "/srv/100%/mail.log",
    '/srv/it\'s "so"/$HOME/mail.log',
    "/srv/*;reboot #/mail.log",
    "/srv/ü/ö",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_shell_gets_back_the_words_that_cron_was_given(path: str) -> None:
    line = cron_command(["printf", "%s|", path])
    assert "\n" not in line
    assert not re.search(r"(?<!\\)%", line)
    shell = line.replace("\\%", "%")  # what cron does
    assert subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True).stdout == f"{path}|"


@pytest.mark.parametrize("word", ["/srv/a\nb", "/srv/a\rb", "/srv/a\0b", "", "/srv/\udcff", "/srv/\u202e"])
def test_what_can_t_be_printed_is_refused(word: str) -> None:
    for made in (unit_word, lambda each: cron_command(["x", each])):
        with pytest.raises(Unquotable):
            made(word)


def test_what_crons_read_in_different_ways_is_refused() -> None:
    for words in (["x", "a\\b"], ["x", "a" * 1000]):
        with pytest.raises(Unquotable):
            cron_command(words)


@pytest.mark.parametrize("program", ["logscan", "/opt/$x/logscan", '/opt/"/logscan', "/opt/a\n/logscan"])
def test_a_program_that_systemd_would_not_find_is_refused(program: str) -> None:
    with pytest.raises(Unquotable):
        unit_command([program, "daily"])


ESCAPES = {"\\\\": "\\", '\\"': '"', "%%": "%", "$$": "$"}


@given(st.text(st.characters(blacklist_categories=("C", "Z")) | st.just(" "), min_size=1))
def test_systemd_gets_back_the_word(word: str) -> None:
    quoted = unit_word(word)
    inner = quoted[1:-1] if quoted.startswith('"') else quoted
    assert re.fullmatch(r'(?:[^\\"%$]|\\\\|\\"|%%|\$\$)*', inner)
    assert re.sub(r'\\\\|\\"|%%|\$\$', lambda match: ESCAPES[match[0]], inner) == word
    assert quoted.startswith('"') or " " not in quoted


def test_a_setting_that_a_unit_lacks_is_no_silent_loss() -> None:
    with pytest.raises(KeyError, match="ProtectAll"):
        with_values(template("logscan.service"), {"ProtectAll": "yes"})


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_stay_within_their_line(machine: Path, path: str) -> None:
    found = files(plan_of(machine, sources=(path,)))
    # Nothing is there that a group would be needed for.
    assert found[UNIT].count("\n") == template("logscan.service").count("\n") - 1
    assert found[UNIT].count("ExecStart=") == 1
    assert value(found[MAIL], "ExecStart") == "/usr/bin/logscan daily --send-only --overdue 4h"
    cron = files(plan_of(machine, "cron", sources=(path,)))[CRON]
    assert cron.count("\n") == template("logscan.cron").count("\n")


# -- what is written --------------------------------------------------------------------------------------------------------


def test_what_was_changed_is_kept_and_what_is_right_stays(run: Run, machine: Path) -> None:
    assert run("setup", "--write", "--root", machine).returncode == 0
    assert run("setup", "--write", "--root", machine).stdout.count("is as it should be") == 8
    unit, settings = machine / UNIT[1:], machine / "etc/logscan/logscan.toml"
    first = unit.read_text()
    for text in ("[Service]\n# mine\n", "[Service]\n# mine too\n"):
        unit.write_text(text)
        settings.write_text("# my settings\n")
        done = run("setup", "--write", "--root", machine)
        assert f"{UNIT} was another: it is kept as logscan.service.old" in done.stdout
        assert unit.read_text() == first
        assert settings.read_text() == "# my settings\n"
    assert sorted(path.name for path in unit.parent.glob("logscan.service*")) == [
        "logscan.service", "logscan.service.old", "logscan.service.old2"
    ]  # fmt: skip
    assert unit.with_name("logscan.service.old").read_text() == "[Service]\n# mine\n"
    assert 'write mail-to = ["root"]' in done.stderr


def test_what_shells_read_has_no_second_version_beside_it(run: Run, machine: Path) -> None:
    run("setup", "--write", "--root", machine)
    path = machine / "usr/local/share/zsh/site-functions/_logscan"
    right = path.read_text()
    path.write_text("#compdef logscan\n")
    assert "was another" not in run("setup", "--write", "--root", machine).stdout
    assert path.read_text() == right
    assert [each.name for each in path.parent.iterdir()] == ["_logscan"]


def test_it_is_put_on_the_path_where_it_is_not(machine: Path) -> None:
    assert not any(str(step).startswith("ln ") for step in plan_of(machine).steps)
    write(machine, "opt/logscan/bin/logscan", "", 0o755)
    (machine / "usr/bin/logscan").unlink()
    steps = [str(step) for step in plan_of(machine, program=("/opt/logscan/bin/logscan",)).steps]
    assert "ln -s /opt/logscan/bin/logscan /usr/local/bin/logscan" in steps


def test_what_settings_lack_that_are_there_is_said(machine: Path) -> None:
    (machine / "var/spool/dspam").mkdir(parents=True)
    write(machine, SETTINGS[1:], '[daily]\nmail-to = ["kim@example.org"]\n')
    said = [each for each in plan_of(machine, mail_to=("kim@example.org",)).warnings if SETTINGS in each]
    assert [each.partition(": write ")[2] for each in said] == ['dspam-home = "/var/spool/dspam" at the top']
    said = [each for each in plan_of(machine, mail_to=("root",)).warnings if "mail-to" in each]
    assert [each.partition(": write ")[2] for each in said] == ['mail-to = ["root"] below [daily]']
    write(machine, SETTINGS[1:], "= broken")
    assert any("mail-to" in each for each in plan_of(machine, mail_to=("root",)).warnings)


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1))
def test_what_is_preset_is_what_the_settings_say(text: str) -> None:
    for given_ in (sample(), "", "# mail-to = 1\n\n[daily]\n# mail-to = 2\n\n[analyse]\n# mail-to = 3\n"):
        found = tomllib.loads(preset(given_, {"dspam-home": text}, {"mail-to": [text]}))
        assert {key: each for key, each in found.items() if each} == {"dspam-home": text, "daily": {"mail-to": [text]}}


def test_a_masked_unit_is_left_alone(machine: Path) -> None:
    (machine / "etc/systemd/system").mkdir(parents=True)
    (machine / UNIT[1:]).symlink_to("/dev/null")
    with pytest.raises(CantInstall, match="masked"):
        list(applied(plan_of(machine).steps, machine))
    assert (machine / UNIT[1:]).is_symlink()


def test_one_way_of_starting_it_takes_the_other_s_place(machine: Path) -> None:
    list(applied(plan_of(machine, "cron").steps, machine))
    assert (machine / CRON[1:]).is_file()
    said = list(applied(plan_of(machine).steps, machine))
    assert not (machine / CRON[1:]).exists()
    assert "/etc/cron.d/logscan is now logscan.old: cron would run it a second time" in said
    back = [str(step) for step in plan_of(machine, "cron").steps]
    assert "systemctl disable --now logscan.timer" in back


def test_the_printed_script_does_what_write_does(run: Run, machine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["cp", "-a", machine, other], check=True)
    script = run("setup", "--root", machine, "--mail-to", "kim@example.org").stdout
    assert run("setup", "--write", "--root", other, "--mail-to", "kim@example.org").returncode == 0
    subprocess.run(["/bin/sh", "-e"], input=script, text=True, check=True, capture_output=True)

    def made(root: Path) -> dict[str, str]:
        return {str(path.relative_to(root)): path.read_text() for path in (root / "etc").rglob("*") if path.is_file()}

    assert made(machine) == made(other)
    assert tomllib.loads(made(other)["etc/logscan/logscan.toml"])["daily"] == {"mail-to": ["kim@example.org"]}


def test_writing_into_this_machine_needs_root(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logscan.commands.setup.is_root", lambda: False)
    monkeypatch.setattr("logscan.commands.setup._program", lambda prefix, root: (("/usr/bin/logscan",), []))
    for how in ("--systemd", "--cron"):
        done = run("setup", "--write", how)
        assert done.returncode in (1, 2)
        assert "--write needs root" in done.stderr or "isn't running" in done.stderr or "no cron" in done.stderr


# -- cron and systemd themselves --------------------------------------------------------------------------------------------


def test_the_files_of_contrib_are_what_a_plain_debian_gets(checkout: Path, machine: Path) -> None:
    assert {f"logscan.{each}" for each in ("toml",)} | set(NAMES) <= {
        path.name for path in (checkout / "contrib").iterdir()
    }
    if os.geteuid() == 0:
        found = files(plan_of(machine))
        assert [found[path] for path in (UNIT, MAIL, TIMER)] == [
            template(Path(path).name) for path in (UNIT, MAIL, TIMER)
        ]


def test_a_line_of_cron_is_one_that_cron_reads(machine: Path, tmp_path: Path) -> None:
    text = files(plan_of(machine, "cron", sources=("/srv/100% mine/mail.log",)))[CRON]
    assert text.endswith("\n")
    assert "." not in Path(CRON).name  # cron passes over names with a dot
    for line in text.splitlines():
        assert len(line) < 1000
        assert line.startswith("#") or re.fullmatch(
            r"[A-Z]+=\S+|\d+ \d+ \* \* \* logscan /usr/bin/logscan daily .*", line
        )
    if shutil.which("run-parts"):
        folder = tmp_path / "parts"
        write(folder, "logscan", text, 0o755)
        write(folder, "logscan.old", text, 0o755)
        done = subprocess.run(["run-parts", "--test", folder], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(folder / "logscan")]


def units(machine: Path, folder: Path, sources: tuple[str, ...] = (), **wished: Any) -> list[Path]:
    """Write the units into a folder, with a program that is there."""
    folder.mkdir(exist_ok=True)
    found = files(plan_of(machine, sources=sources, program=(shutil.which("true") or "/bin/true",), **wished))
    return [write(folder, Path(path).name, found[path]) for path in (UNIT, MAIL, TIMER)]


SYSTEMD = shutil.which("systemd-analyze")


@pytest.mark.parametrize("sources", [(), *((each,) for each in HOSTILE)])
@pytest.mark.parametrize("state", ["/var/lib/logscan", "/srv/state"])
def test_systemd_takes_the_units(machine: Path, tmp_path: Path, sources: tuple[str, ...], state: str) -> None:
    paths = units(machine, tmp_path / "units", sources, state=state)
    for path in paths:
        section = ""
        for line in path.read_text().splitlines():
            assert re.fullmatch(r"|#.*|\[(?:Unit|Service|Timer|Install)\]|[A-Z][A-Za-z]+=.*", line)
            section = line if line.startswith("[") else section
            assert section or not line or line.startswith("#")
    if SYSTEMD:
        done = subprocess.run([SYSTEMD, "verify", "--man=no", *paths], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


SHUT = {
    "ProtectSystem": "strict", "PrivateTmp": "yes", "PrivateNetwork": "yes", "NoNewPrivileges": "yes", "PrivateDevices": "yes",
    "RestrictAddressFamilies": "none", "CapabilityBoundingSet": "", "StateDirectoryMode": "0700", "User": "logscan",
}  # fmt: skip


def test_the_analysis_can_reach_nothing(machine: Path, tmp_path: Path) -> None:
    analysis, mail, _ = units(machine, tmp_path / "units")
    assert {name: value(analysis.read_text(), name) for name in SHUT} == SHUT
    # Each of these would take postdrop's right to be setgid away.
    denied = "NoNewPrivileges|SystemCall|RestrictSUIDSGID|RestrictAddress|RestrictNamespaces|PrivateDevices|Lock|Memory|ProtectK"
    assert not re.search(rf"^(?:{denied})", mail.read_text(), re.MULTILINE)
    if SYSTEMD:
        command: list[str | Path] = [SYSTEMD, "security", "--no-pager", "--offline=true", "--threshold=20", analysis]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        command[-1] = mail
        assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 1


def test_the_mail_is_sent_also_when_the_analysis_failed() -> None:
    mail, timer = template("logscan-mail.service"), template("logscan.timer")
    assert value(mail, "Wants") == value(mail, "After") == "logscan.service"
    assert not re.search(r"^(?:Requires|BindsTo|Requisite)=", mail, re.MULTILINE)
    assert value(timer, "Unit") == "logscan-mail.service"


# -- the sample of settings -------------------------------------------------------------------------------------------------


def test_every_option_of_the_sample_is_one_and_none_is_in_force(checkout: Path) -> None:
    import click

    text = (checkout / "contrib/logscan.toml").read_text("utf-8")
    assert {name for name, told in tomllib.loads(text).items() if told} == set()
    told = tomllib.loads(uncommented(text))
    path = Path("logscan.toml")
    assert limits_of(path, told)
    assert len(suppressions_of(path, told)) == 1
    for name in ("analyse", "daily"):
        command = cli.get_command(click.Context(cli), name)
        if command is None:
            continue
        keys = {each.lstrip("-") for param in command.params for each in param.opts}
        shared = {key for key, each in told.items() if not isinstance(each, dict | list) or key in keys}
        assert shared <= keys
        assert set(told[name]) <= keys
        assert len(_defaults(click.Context(command, info_name=name), path, told)) == len(shared | set(told[name]))


def test_python_runs_it_where_there_is_no_script(machine: Path) -> None:
    found = files(plan_of(machine, program=(sys.executable, "-m", "logscan")))
    assert value(found[UNIT], "ExecStart") == f"{sys.executable} -m logscan daily --no-send"
