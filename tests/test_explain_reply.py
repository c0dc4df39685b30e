"""What a reply means, in whatever form it is at hand; what isn't known is said."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.checking import postfix_texts, status_codes
from logscan.checking.explaining import Explanation, explained
from logscan.checking.refusal_remedies import OF, REMEDIES
from logscan.checking.refusal_texts import IN_WORDS
from logscan.checking.spoken import spoken

Run = Callable[..., "subprocess.CompletedProcess[str]"]

CASES = tomllib.loads((Path(__file__).parent / "data" / "replies.toml").read_text())["case"]
REFUSALS = tomllib.loads((Path(__file__).parent / "data" / "refusals.toml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["text"][:70] for case in CASES])
def test_a_text_tells_who_said_it_and_why(case: dict[str, str]) -> None:
    found = explained(case["text"])
    told = {name: getattr(found, name) for name in case if name not in ("text", "becomes", "by")}
    assert told == {name: case[name] for name in told}, found
    assert case.get("becomes", "") in found.becomes
    assert case.get("by", "") in found.by


@pytest.mark.parametrize(("cause", "replies"), REFUSALS.items(), ids=list(REFUSALS))
def test_other_hosts_replies_mean_what_the_checks_make_of_them(cause: str, replies: list[str]) -> None:
    for reply in replies:
        found = explained(f"host mx.b.example[203.0.113.200] said: {reply} (in reply to RCPT TO command)")
        assert found.cause in ((cause, "unknown") if cause == "policy-unknown" else (cause,)), reply
        assert (found.todo, found.whose) == (REMEDIES[found.cause].rstrip("."), OF[found.cause])
        assert found.code == reply[:3]


def test_a_reply_means_the_same_alone_in_a_log_line_and_in_a_letter() -> None:
    reply = "550 5.1.1 <a@b.example>: Recipient address rejected: User unknown in virtual mailbox table"
    said = f"host mx.b.example[203.0.113.200] said: {reply} (in reply to RCPT TO command)"
    head = "Nov 22 07:00:00 mx1 postfix/smtp[9]: 4AB1C2D3: to=<a@b.example>, relay=mx.b.example[203.0.113.200]:25, delay=1, "
    forms = [
        reply,
        said,
        f"{head}delays=0/0/1/0, dsn=5.1.1, status=bounced ({said})",
        f"<a@b.example>: {said}",
        f"<a@b.example> (expanded from <c@d.example>): {said.replace(' said: ', ' said:' + chr(10) + '    ')}",
        f"Diagnostic-Code: smtp; {reply}",
        f"The mail could not be delivered. Remote server returned '{reply}'",
    ]
    found = [explained(form) for form in forms]
    assert {(each.cause, each.code, each.enhanced, each.means, each.todo) for each in found} == {
        ("no-such-user", "550", "5.1.1", found[0].means, found[0].todo)
    }


def test_several_lines_are_one_reply() -> None:
    one = explained("550-5.7.26 the sender is unauthenticated\r\n550 5.7.26 - gsmtp\r\n")
    assert (one.cause, one.code, one.enhanced) == ("unauthenticated", "550", "5.7.26")
    assert "\n" not in one.reply


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("550 5.7.1 Xyzzy", status_codes.ENHANCED["7.1"]),
        ("571 Xyzzy", "refused for good"),
        ("473 5.9.77 Xyzzy", "not now"),
        ("554 Xyzzy", status_codes.BASIC["554"]),
        ("Xyzzy", "there is no code in it"),
    ],
)
def test_what_is_not_known_is_said_and_the_code_alone_tells(text: str, says: str) -> None:
    found = explained(text)
    assert found.cause == "unknown"
    assert found.means.startswith("the text isn’t known here; ")
    assert says in found.means


def test_a_text_of_a_provider_has_the_day_it_was_looked_up() -> None:
    found = explained("550-5.7.26 This mail has been blocked because the sender is unauthenticated. - gsmtp")
    assert re.fullmatch(r"https://support\.google\.com/\S+ \(20\d\d-\d\d-\d\d\)", found.page)


def test_each_cause_has_words_a_remedy_and_somebody_whose_matter_it_is() -> None:
    assert set(IN_WORDS) == set(REMEDIES) == set(OF)


LOSING = re.compile(r"postsuper\s+-d|soft_bounce|discard|permit\b|\bdelete the queue|smtpd_\w+_restrictions\s*=\s*$")


def test_no_remedy_loses_mail_or_opens_the_door() -> None:
    every = [*REMEDIES.values(), *(each.todo for each in (*postfix_texts.DELIVERY, *postfix_texts.DOOR))]
    assert [text for text in every if LOSING.search(text)] == []


def test_names_of_postfix_texts_differ_within_each_list() -> None:
    for texts in (postfix_texts.DELIVERY, postfix_texts.DOOR):
        names = [each.name for each in texts]
        assert len(names) == len(set(names))


def test_every_registered_code_is_told_in_each_class() -> None:
    for detail, means in status_codes.ENHANCED.items():
        assert status_codes.enhanced(f"5.{detail}") == status_codes.enhanced(f"4.{detail}") == means
    assert "hasn’t this code" in status_codes.enhanced("5.7.999")
    assert status_codes.enhanced("6.1.1") == ""


TEXTS = st.lists(
    st.sampled_from(
        ["550 ", "5.7.1 ", "550-", "host mx[1.2.3.4] said: ", "status=bounced (", ")", "NOQUEUE: reject: RCPT from ",
         "x[1.2.3.4]: ", "(in reply to RCPT TO command)", "; from=<", "<a@b.example>", "\n", "\x1b[31m", "blocked using ",
         "é", "\udcff", "4", " ", "connect to mx[", "]:25: ", "Connection refused", "relay=", ", ", "dsn=4.4.1"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_whatever_is_given_is_explained_on_one_line(text: str) -> None:
    found = explained(text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    assert isinstance(found, Explanation)
    assert found.means
    assert found.todo
    assert "\n" not in spoken(text).said


# -- the command -------------------------------------------------------------------------------------------------------


def test_words_need_no_quotes_and_json_holds_all_of_it(run: Run) -> None:
    done = run("explain-reply", "452", "4.2.2", "Mailbox full", "-f", "json")
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = json.loads(done.stdout)
    assert (found["cause"], found["code"], found["enhanced"], found["whose"]) == (
        "mailbox-full",
        "452",
        "4.2.2",
        "recipient",
    )
    assert set(found) == set(Explanation.__dataclass_fields__)


def test_nothing_a_stranger_wrote_reaches_the_terminal(run: Run) -> None:
    done = run("explain-reply", "550 5.7.1 \x1b[31mred\u202e <\x07@b.example>: Quota exceeded")
    assert done.returncode == 0
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", done.stdout)
    assert "\\x1b[31mred" in done.stdout


def test_a_password_in_a_line_is_hidden(run: Run) -> None:
    done = run("explain-reply", "535 5.7.8 password='hunter2' refused")
    assert "hunter2" not in done.stdout


def test_standard_input_is_one_reply_or_many_log_lines(run: Run) -> None:
    def given(text: str) -> list[dict[str, str]]:
        done = run("explain-reply", "-", "-f", "json", stdin=text.encode())
        assert done.returncode == 0, done.stderr
        found: list[dict[str, str]] = json.loads(done.stdout)
        return found

    assert [each["code"] for each in given("550-5.1.1 no such\n550 5.1.1 user\n")] == ["550"]
    line = "mx postfix/smtp[1]: 4A: to=<a@b>, relay=mx.b[203.0.113.9]:25, dsn=4.2.0, status=deferred (host mx.b[203.0.113.9] "
    found = given(f"{line}said: 450 4.2.0 Greylisted)\nsomething else\n{line}said: 552 5.2.2 Quota exceeded)\n")
    assert [each["cause"] for each in found] == ["greylisted", "mailbox-full"]


@pytest.mark.parametrize(("args", "stdin"), [((" ",), b""), (("-",), b""), (("-",), b" \n\n")])
def test_nothing_to_explain_ends_with_3(run: Run, args: tuple[str, ...], stdin: bytes) -> None:
    done = run("explain-reply", *args, stdin=stdin)
    assert (done.returncode, done.stdout) == (3, "")
    assert "no reply to explain" in done.stderr


def test_odd_bytes_and_too_much_are_no_trouble(run: Run) -> None:
    done = run("explain-reply", "-", stdin=b"550 5.7.1 \xff\x00" + b"x" * (1 << 21))
    assert done.returncode == 0
    assert "only the first 1 MB" in done.stderr


# -- elsewhere -----------------------------------------------------------------------------------------------------------

LOG = """\
2026-11-22T07:00:00+00:00 mx1 postfix/smtpd[9]: 4AB1C2D3E: client=x.example[203.0.113.5]
2026-11-22T07:00:00+00:00 mx1 postfix/cleanup[9]: 4AB1C2D3E: message-id=<m1@x.example>
2026-11-22T07:00:00+00:00 mx1 postfix/qmgr[9]: 4AB1C2D3E: from=<k@x.example>, size=900, nrcpt=1 (queue active)
2026-11-22T07:00:01+00:00 mx1 postfix/smtp[9]: 4AB1C2D3E: to=<a@b.example>, relay=mx.b.example[203.0.113.9]:25, delay=1, \
delays=0/0/1/0, dsn=5.7.26, status=bounced (host mx.b.example[203.0.113.9] said: 550 5.7.26 DMARC \
(in reply to end of DATA command))
2026-11-22T07:00:01+00:00 mx1 postfix/qmgr[9]: 4AB1C2D3E: removed
"""


def test_trace_says_what_a_reply_means(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text(LOG)
    done = run("trace", "4AB1C2D3E", tmp_path / "mail.log")
    assert f"said: 550 5.7.26 DMARC (in reply to end of DATA command)): {IN_WORDS['dmarc']}" in done.stdout
    (found,) = json.loads(run("trace", "4AB1C2D3E", tmp_path / "mail.log", "-f", "json").stdout)
    assert found["lives"][0]["attempts"][0]["meaning"] == IN_WORDS["dmarc"]
