"""All diffs of a report are one change: whatever was found together, its patch applies as a whole and mends it all."""

from __future__ import annotations

import html
import importlib
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from test_remedies import DSPAM, MASTER, TAIL, expanding_before
from test_remedies import MAIN as SHORT

import logscan
from logscan import remedies
from logscan.checking.predicting import expansion_prediction
from logscan.findings import Finding, Remedy
from logscan.plans import Plan
from logscan.remedies.combined import unexpanded
from logscan.rendering.markup import templates
from logscan.samples import stories, story
from logscan.settings import Settings, read_settings

MAKERS: dict[str, Callable[[Settings], Remedy]] = {
    "duplicate": remedies.no_address_mappings_after,
    "owned": remedies.alias_owns_hash,
    "global": remedies.filter_port_25_only,
    "global-loopback": partial(remedies.filter_port_25_only, loopback=True),
    "submission": remedies.unfilter_submission,
    "port-25": partial(remedies.move_to_submission, user="bob@example.com"),
    "sendmail": partial(remedies.unfilter_local, loopback=False),
    "loopback": partial(remedies.unfilter_local, pickup=False),
    "training": remedies.training_arguments,
}
MAIN = SHORT + "mynetworks = 127.0.0.0/8\n"
ANTISPAM = "protocols = imap\nplugin {\n  antispam_dspam_args = --client;--user;%u\n}\n"


def filtering_all(master: str) -> str:
    """Return the services behind these with the same filter on all of them, and mapping off on pickup where it is."""
    value = master.partition("content_filter")[2].lstrip(" =").split()[0]
    off = " -o receive_override_options=no_address_mappings" if "no_address_mappings" in master else ""
    pickup = f"1 pickup\n\t-o content_filter={value}{off}\n"
    return TAIL.replace("content_filter=", f"content_filter={value}").replace("1 pickup\n", pickup)


def finding(name: str, settings: Settings) -> Finding:
    remedy = MAKERS[name](settings)
    return Finding(name, name, name, "problem", "high", 1, [], remedy=remedy, check=name)


def configurations() -> Iterator[tuple[str, dict[str, str]]]:
    """Return configurations in every style, and the different ones of the stories."""
    for number, style in enumerate(MASTER):
        for where in ("before", "nowhere"):
            own = MASTER[style] if where == "before" else expanding_before(MASTER[style])
            everywhere = (where == "before") == bool(number % 2)
            tail = filtering_all(own) if everywhere else TAIL
            main = MAIN + "content_filter = dspam:\nbiff = no\n" if number % 3 == 1 else MAIN
            files = {"main.cf": main, "master.cf": own + tail, "dspam.conf": DSPAM, "90-antispam.conf": ANTISPAM}
            yield f"{style}-{where}", files
    seen = set()
    for name in stories():
        paths = [
            path
            for path in story(name).iterdir()
            if path.name in {"main.cf", "master.cf", "dspam.conf", "amavisd.conf"}
        ]
        files = {path.name: path.read_text() for path in sorted(paths)}
        if "master.cf" in files and files["master.cf"] not in seen:
            seen.add(files["master.cf"])
            yield f"story {name}", files | {"antispam.conf": ANTISPAM}


CONFIGURATIONS = dict(configurations())
WHOLLY = ("one-line-before", "story mixed-day")
"""Those that all combinations are tried on; on the others each one, each two, and all together."""


def patched(folder: Path, texts: dict[str, str], plan: Plan, *options: str) -> dict[str, str]:
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    for program in ("postfix", "dovecot"):
        diff = plan.diff(program)
        if diff:
            command = ["patch", "-p0", "--fuzz=0", *options]
            done = subprocess.run(command, input=diff.encode(), capture_output=True, cwd=folder, check=False)
            assert done.returncode == 0, (done.stdout, diff)
            assert b"offset" not in done.stdout, diff
    assert {path.name for path in folder.iterdir()} == set(texts)
    return {name: (folder / name).read_bytes().decode() for name in texts}


@pytest.mark.skipif(not shutil.which("patch"), reason="patch(1) is not installed")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_whatever_was_found_together_is_mended_by_one_patch(name: str, tmp_path: Path) -> None:
    texts = CONFIGURATIONS[name]
    before = read_settings(texts.items())
    found = {each: finding(each, before) for each in MAKERS}
    with_diff = [each for each in MAKERS if found[each].remedy and found[each].remedy.diff]  # type: ignore[union-attr]
    seen: dict[str, Settings] = {}
    sizes = {1, 2, len(with_diff)} - {0} if name not in WHOLLY else range(1, len(with_diff) + 1)
    for size in sizes:
        for chosen in itertools.combinations(with_diff, size):
            plan = remedies.combined(before, [found[each] for each in chosen])
            assert plan, chosen
            told = {each for hand in plan.by_hand for each in hand.findings}
            assert told | set(plan.findings) == {found[each].id for each in chosen}
            key = plan.diff()
            if key not in seen:
                folder = tmp_path / str(len(seen))
                folder.mkdir()
                seen[key] = read_settings(patched(folder, texts, plan).items())
                if size == len(with_diff):
                    _reads(folder)
            after = seen[key]
            assert not unexpanded(after) - unexpanded(before)
            for each in chosen:
                if found[each].id in plan.findings:
                    assert MAKERS[each](after).absent, f"{each} of {chosen} isn't mended:\n{key}"
            if "duplicate" in chosen or "owned" in chosen:
                assert {row.row for row in expansion_prediction(after)} <= {"right"}


def _reads(folder: Path) -> None:
    """Let Postfix itself read the files, where it is installed."""
    postconf = shutil.which("postconf", path="/usr/sbin:/usr/bin:/bin")
    if postconf and (folder / "main.cf").exists():
        for option in ("-n", "-M", "-P"):
            done = subprocess.run([postconf, "-c", str(folder), option], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert "fatal" not in done.stderr, done.stderr


@pytest.mark.skipif(not shutil.which("patch"), reason="patch(1) is not installed")
@pytest.mark.parametrize("name", ["tabs-before", "lines-nowhere", "story mixed-day"])
def test_patch_r_takes_it_all_back(name: str, tmp_path: Path) -> None:
    texts = CONFIGURATIONS[name]
    before = read_settings(texts.items())
    plan = remedies.combined(before, [finding(each, before) for each in MAKERS])
    assert plan
    after = patched(tmp_path, texts, plan)
    assert after != texts
    assert patched(tmp_path, after, plan, "-R") == texts


def test_a_finding_that_is_mended_or_not_shown_has_no_part_in_the_change() -> None:
    texts = CONFIGURATIONS["lines-before"]
    settings = read_settings(texts.items())
    owned = finding("owned", settings)
    owned.state = "mended"
    assert remedies.combined(settings, [owned, finding("duplicate", settings)]) is None


def test_findings_with_one_cure_share_it() -> None:
    settings = read_settings(CONFIGURATIONS["lines-before"].items())
    users = [
        Finding("x", who, who, "warning", "high", 1, [], remedy=remedies.move_to_submission(settings, who), check="c")
        for who in ("ann@example.com", "bob@example.com")
    ]
    keys = {each.remedy.key for each in users if each.remedy}
    texts = {each.remedy.text for each in users if each.remedy}
    assert len(keys) == len(texts) == 1
    plan = remedies.combined(settings, users)
    assert plan
    assert plan.findings == tuple(each.id for each in users)
    assert plan.diff().count("smtpd_sasl_auth_enable=no\n") == 1 + plan.diff().count(
        "   -o smtpd_sasl_auth_enable=no\n"
    )


def test_steps_come_in_the_order_in_which_they_are_safe() -> None:
    settings = read_settings(CONFIGURATIONS["one-line-before"].items())
    plan = remedies.combined(settings, [finding(each, settings) for each in MAKERS])
    assert plan
    keys = [each.key for each in plan.steps]
    assert keys == ["save", "tell", "empty", "stop", "change", "check", "start", "change", "reload", "verify"]
    empty = next(each for each in plan.steps if each.key == "empty")
    assert "smtp.inet submission.inet" in empty.commands[0]
    assert "10026" not in empty.commands[0]
    assert "mailq" in empty.commands[-1]
    assert any("patch -p0 -R" in command for step in plan.undo for command in step.commands)
    verify = plan.steps[-1].commands[0]
    assert verify.startswith("logscan analyse")
    assert "--check owned" in verify


def test_files_of_several_instances_are_not_mixed_up() -> None:
    texts = CONFIGURATIONS["lines-nowhere"]
    both = {**texts, "postfix-out/main.cf": MAIN, "postfix-out/master.cf": texts["master.cf"]}
    settings = read_settings(both.items())
    plan = remedies.combined(settings, [finding("duplicate", settings)])
    assert plan is None, "two files of one name: which one is meant can't be said in a patch"
    named = {**texts, "main.postfix-out.cf": MAIN, "master.postfix-out.cf": texts["master.cf"]}
    settings = read_settings(named.items())
    plan = remedies.combined(settings, [finding("duplicate", settings)])
    assert plan
    assert [each.file for each in plan.patches] == ["master.cf"]


# --- how it is shown ---------------------------------------------------------------------------------------------------


def mixed() -> logscan.report.model.Report:
    return logscan.analyse(logscan.read(story("mixed-day"), jobs=1))


@pytest.mark.skipif(not shutil.which("patch"), reason="patch(1) is not installed")
def test_the_text_report_can_be_copied_into_a_patch(tmp_path: Path) -> None:
    report = mixed()
    assert report.plan
    text = str(logscan.render(report, "text"))
    for part in report.plan.patches:
        assert part.diff.rstrip("\n") in text
    page = json.loads(str(logscan.render(report, "json")))
    assert "".join(each["diff"] for each in page["plan"]["patches"]) == report.plan.diff()
    assert page["plan"]["findings"] == list(report.plan.findings)
    assert [each["key"] for each in page["plan"]["steps"]] == [each.key for each in report.plan.steps]


HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


@pytest.mark.parametrize("name", ["page", "mail"])
def test_the_templates_show_every_step_and_line_escaped(name: str) -> None:
    report = mixed()
    assert report.plan
    step = replace(report.plan.steps[0], text=HOSTILE, commands=(HOSTILE,))
    plan = replace(report.plan, steps=(step, *report.plan.steps[1:]))
    place = "{% from 'parts.html.j2' import diff_block with context %}{% from 'plan.html.j2' import plan_part with context %}"
    place += "{{ plan_part(plan) }}"
    if name == "mail":
        place = "{% from 'plan_email.html.j2' import plan_mail with context %}{{ plan_mail(plan, 'a', 'b') }}"
    page = (
        templates(Path(importlib.import_module("logscan.reports.json").__file__ or "").parent / "templates")
        .from_string(place)
        .render(plan=plan, space=" ", ids=set(plan.findings), numbers={})
    )
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    for each in (*plan.steps[1:], *plan.undo):
        for command in each.commands:
            assert html.escape(command, quote=False).replace('"', "&#34;") in page.replace("&#39;", "'")
    for patch in plan.patches:
        added = [line for line in patch.diff.split("\n") if line.startswith("+") and not line.startswith("+++")]
        assert all(html.escape(line[1:].strip(), quote=False) in page for line in added)
