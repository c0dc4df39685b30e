"""``logscan state nagios`` and ``prometheus``: the last report from the state, its age, the mails that wait."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import memory_sample
import pytest
import report_sample
from click.testing import CliRunner

import logscan
from logscan.commands.state_monitoring import MAX_AGE, Standing, metrics, nagios, nagios_line, prometheus, standing
from logscan.report.comparing import told_of
from logscan.report.model import Report
from logscan.report.read_back import report_of
from logscan.store.model import Outgoing, Run, Waiting
from logscan.store.state import State

MADE = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
HOUR = 3600
NOW = MADE.timestamp()

SAMPLES: list[Callable[[], Report]] = [
    report_sample.sample, report_sample.healthy, report_sample.empty, report_sample.hostile, memory_sample.remembering,
    memory_sample.first, memory_sample.quiet, memory_sample.hostile,
]  # fmt: skip


@pytest.mark.parametrize("make", SAMPLES, ids=lambda f: f"{f.__module__}-{f.__name__}")
@pytest.mark.parametrize("name", ["nagios", "prometheus"])
def test_a_report_read_back_from_its_json_says_the_same_to_monitoring(make: Callable[[], Report], name: str) -> None:
    report = make()
    again = report_of(str(logscan.render(report, "json")).encode(), report.generated)
    assert logscan.render(again, name) == logscan.render(report, name)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"7", b'{"checks": 5}', b"\xff", b'{"logscan": [], "period": {}}', b"[" * 5000],
)
def test_what_is_no_report_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says of it
        report_of(content, MADE)


def test_words_of_a_later_logscan_are_said_not_to_be_known() -> None:
    page = str(logscan.render(report_sample.sample(), "json"))
    for word in ('"severity": "problem"', '"confidence": "high"'):
        with pytest.raises(ValueError, match="doesn't know 'dire'"):
            report_of(page.replace(word, f'{word.partition(":")[0]}: "dire"').encode(), MADE)


def told(report: Report | None = None, *, hours: float = 1, waiting: tuple[Waiting, ...] = ()) -> Standing:
    return Standing(7, int(NOW - hours * HOUR), report or report_sample.healthy(), "", waiting)


def mail(hours: float, error: str = "") -> Waiting:
    return Waiting(1, Outgoing("<a@b>", ("root",), b""), 7, int(NOW - hours * HOUR) * 10**9, int(bool(error)), error)


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (told(), 0, "nothing found"),
        (told(report_sample.sample()), 2, "4 problems"),
        (told(hours=27), 3, "no report since"),
        (told(report_sample.sample(), hours=27), 3, "27 hours ago"),
        (told(hours=90), 3, "3 days ago"),
        (told(waiting=(mail(0.5),)), 0, "nothing found"),
        (told(waiting=(mail(2, "no route | to <host>"), mail(1))), 1, "2 mails can't be sent (no route ¦ to ‹host›)"),
        (told(report_sample.sample(), waiting=(mail(2),)), 2, "1 mail can't be sent"),
        (Standing(7, int(NOW), None, "the last report can't be read: x", ()), 3, "can't be read"),
        (told(hours=-5), 0, "nothing found"),
    ],
)
def test_the_line_says_what_is_wrong_and_the_status_goes_with_it(said: Standing, status: int, words: str) -> None:
    line, code = nagios_line(said, NOW, 26 * HOUR)
    assert code == status
    assert words in line
    assert line.startswith(f"LOGSCAN {('OK', 'WARNING', 'CRITICAL', 'UNKNOWN')[status]} - ")
    assert line.count("\n") == line.count("|") == 1
    for each in line.partition("|")[2].split():
        assert re.fullmatch(r"[a-z_]+=\d+s?(;\d*){0,2}", each), each


def test_metrics_tell_the_run_and_the_outbox() -> None:
    text = metrics(told(memory_sample.remembering(), waiting=(mail(2, "x"),)))
    assert f"logscan_run_ended_timestamp_seconds {int(NOW - HOUR)}\n" in text
    assert "logscan_outbox_mails 1\n" in text
    assert f"logscan_outbox_oldest_timestamp_seconds {int(NOW - 2 * HOUR)}\n" in text
    assert 'logscan_findings_remembered{kind="back"} 1\n' in text
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    for line in text.splitlines():
        assert re.match(r"# (HELP|TYPE) [a-z_]+ .|[a-z_]+(\{.*\})? -?[\d.e+]+$", line), line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    report = report_sample.sample()
    now = time.time_ns()
    page = str(logscan.render(report, "json")).encode()
    with State.open(tmp_path / "state") as state:
        state.commit(Run(now, now, "1", [told_of(report, page)], [], {}, outgoing=[Outgoing("<a@b>", ("root",), b"x")]))
    return tmp_path / "state"


def test_both_answer_from_the_state(folder: Path) -> None:
    said = standing(folder)
    assert (said.run, len(said.waiting), said.why) == (1, 1, "")
    done = CliRunner().invoke(nagios, ["--state", str(folder)])
    assert done.exit_code == 2
    assert "waiting_mails=1;0" in done.output
    done = CliRunner().invoke(prometheus, ["--state", str(folder)])
    assert done.exit_code == 0
    assert "logscan_run_ended_timestamp_seconds" in done.output


def test_without_a_state_or_a_run_nagios_is_told_that_nothing_is_known(tmp_path: Path) -> None:
    done = CliRunner().invoke(nagios, ["--state", str(tmp_path / "none")])
    assert (done.exit_code, done.output.startswith("LOGSCAN UNKNOWN - there is no state")) == (3, True)
    State.open(tmp_path / "new").close()
    done = CliRunner().invoke(nagios, ["--state", str(tmp_path / "new")])
    assert (done.exit_code, done.output.startswith("LOGSCAN UNKNOWN - ")) == (3, True)
    assert CliRunner().invoke(prometheus, ["--state", str(tmp_path / "none")]).exit_code == 3


@pytest.mark.parametrize("text", ["", "26", "-1h", "0h", "1y", "h"])
def test_an_age_is_a_number_and_a_unit(folder: Path, text: str) -> None:
    assert CliRunner().invoke(nagios, ["--state", str(folder), "--max-age", text]).exit_code == 2
    assert MAX_AGE == "26h"


def test_no_table_library_is_loaded_for_it(folder: Path) -> None:
    script = (
        "import sys; from logscan.commands.state_monitoring import nagios_line, metrics, standing; from pathlib import Path;"
        f"told = standing(Path({str(folder)!r})); nagios_line(told, 0, 1); metrics(told);"
        "print([each for each in ('pandas', 'numpy', 'pyarrow', 'jinja2', 'rich') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_large_report_is_read_back_at_once() -> None:
    page = str(logscan.render(report_sample.large(), "json")).encode()
    begun = time.process_time()
    assert len(report_of(page, MADE).found) > 300
    assert time.process_time() - begun < 2
