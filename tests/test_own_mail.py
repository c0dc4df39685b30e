"""Own mail and the own filter: tagged, thrown away or merely looked at is found; what nobody looked at isn't clear."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pandas as pd
import pytest

import logscan
from logscan.checking import own_cases
from logscan.findings import Finding, Result
from logscan.rendering.renderers import render
from logscan.report.model import Report
from logscan.samples import story

FIELD = Path(__file__).parent / "data" / "field"
OUT, LOCAL, WITHIN = "outgoing-tagged-spam", "local-mail-filtered", "internal-tagged-spam"
FAR = "mx.example.net[203.0.113.200]:25"
AMAVIS = "127.0.0.1[127.0.0.1]:10024"
DOVECOT = "mx1.example.com[private/dovecot-lmtp]"
SENT = "delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent"

Looked = Callable[..., dict[str, Result]]


def results(report: Report) -> dict[str, Result]:
    return {check.name: check for check in report.checks if check.name in (OUT, LOCAL, WITHIN)}


def read(*sources: Path, **options: object) -> dict[str, Result]:
    return results(logscan.analyse(logscan.read(*sources, jobs=1, **options)))  # type: ignore[arg-type]


@pytest.fixture
def looked(tmp_path: Path) -> Looked:
    """Write ``HH:MM:SS [@host] tag: text`` lines to mail.log, configuration or other logs beside it, and look.

    A line without a time continues the one before.
    """

    def start(log: str, **files: str) -> dict[str, Result]:
        lines = re.sub(r"\n\s+(?!\s|\d\d:\d\d:\d\d )", " ", log).splitlines()
        (tmp_path / "mail.log").write_text("".join(map(_line, filter(None, map(str.strip, lines)))))
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return read(tmp_path)

    return start


def _line(line: str) -> str:
    at, _, rest = line.partition(" ")
    host = "mx1"
    if rest.startswith("@"):
        host, _, rest = rest[1:].partition(" ")
    return f"2026-03-04T{at}+00:00 {host} {rest}\n"


def only(result: Result, *, severity: str = "") -> Finding:
    (found,) = [each for each in result.findings if not severity or each.severity == severity]
    return found


# -- what the logs are made of -----------------------------------------------------------------------------------------

HOW = {
    "user": "client=p5b.isp.example[198.51.100.7], sasl_method=PLAIN, sasl_username={sender}",
    "script": "client=localhost[127.0.0.1]",
    "stranger": "client=mail.example.org[203.0.113.26]",
}


def opened(at: str, queue_id: str, how: str, sender: str, *, n: int = 1, host: str = "mx1", queued: bool = True) -> str:
    """A mail's first lines: of a user (by submission), a script (127.0.0.1:25), cron (sendmail), a stranger."""
    service = "postfix/submission" if how == "user" else "postfix"
    first = f"{service}/smtpd[10]: {queue_id}: {HOW.get(how, '').format(sender=sender)}"
    if how == "cron":
        first = f"postfix/pickup[10]: {queue_id}: uid=0 from=<{sender}>"
    text = f"""
        {at} @{host} {first}
        {at} @{host} postfix/cleanup[11]: {queue_id}: message-id=<{queue_id}@example.com>"""
    if queued:
        text += (
            f"\n        {at} @{host} postfix/qmgr[12]: {queue_id}: from=<{sender}>, size=900, nrcpt={n} (queue active)"
        )
    return text


def end(
    at: str, queue_id: str, recipient: str, relay: str = FAR, reply: str = "250 2.0.0 Ok", *, host: str = "mx1"
) -> str:
    agent = "lmtp" if relay == DOVECOT else "smtp"
    reply = f"250 2.0.0 <{recipient}> S{queue_id} Saved" if relay == DOVECOT else reply
    return f"""
        {at} @{host} postfix/{agent}[13]: {queue_id}: to=<{recipient}>, relay={relay}, {SENT} ({reply})
        {at} @{host} postfix/qmgr[12]: {queue_id}: removed"""


def sent(at: str, queue_id: str, how: str, sender: str, recipient: str, relay: str = FAR, *, host: str = "mx1") -> str:
    """A mail that no filter behind the queue saw."""
    return opened(at, queue_id, how, sender, host=host) + end(at, queue_id, recipient, relay, host=host)


def amavis(at: str, queue_id: str, how: str, sender: str, recipient: str, said: str, reply: str) -> str:
    """A mail that amavis kept back: its own line, its answer to Postfix."""
    return (
        opened(at, queue_id, how, sender)
        + f"""
        {at} amavis[20]: (00020-01) {said} [127.0.0.1] <{sender}> -> <{recipient}>, Queue-ID: {queue_id}, Message-ID:"""
        + f" <{queue_id}@example.com>, mail_id: abc, Hits: 9.0, size: 900, 90 ms"
        + end(at, queue_id, recipient, AMAVIS, reply)
    )


def rspamd(at: str, queue_id: str, action: str) -> str:
    flag = "F" if action == "no action" else "T"
    return (
        f"2026-03-04 {at} #612(normal) <a00c34>; task; rspamd_task_write_log: id: <{queue_id}@example.com>, qid: <{queue_id}>,"
        f" ip: 192.0.2.1, from: <x@example.com>, (default: {flag} ({action}): [9.10/15.00] [A(5.10){{}}]), len: 900, time:"
        " 50.1ms, dns req: 12, digest: <934b15aa>, rcpts: <kate@example.net>, mime_rcpts: <kate@example.net>\n"
    )


DISCARDED = "250 2.7.0 Ok, discarded, id=00020-01 - spam"
USER, PEER = "john@example.com", "kate@example.net"
HERE = sent("08:00:00", "0AAAAA0", "stranger", "sam@example.org", "alice@example.com", DOVECOT)
"""A mail to somebody here: it tells that example.com is ours."""
MAIN = "myhostname = mx1.example.com\nmydestination = localhost\nvirtual_mailbox_domains = example.com\n"
MASTER = """smtp inet n - y - - smtpd
submission inet n - y - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
pickup unix n - y 60 1 pickup
"""
MILTER = MAIN + "smtpd_milters = inet:localhost:11332\n"


# -- kept back: thrown away, put aside, refused ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["user", "script", "cron"])
def test_own_mail_that_the_filter_throws_away_is_a_problem_whoever_sent_it(looked: Looked, how: str) -> None:
    said = "Blocked SPAM {DiscardedOutbound}, MYNETS LOCAL"
    found = looked(HERE + amavis("09:00:00", "BBBBBB1", how, USER, PEER, said, DISCARDED))
    finding = only(found[OUT])
    assert (finding.cause, finding.severity, finding.subject) == ("own-mail-discarded", "problem", USER)
    assert (finding.mails, finding.recipients, finding.count) == (1, 1, 1)
    assert "thrown away; nobody was told" in finding.summary
    assert found[OUT].verdict == "found"
    assert finding.remedy
    assert finding.remedy.text.startswith("What was thrown away is lost")


def test_mail_between_colleagues_that_the_filter_throws_away_is_the_internal_check_s(looked: Looked) -> None:
    said = "Blocked SPAM {DiscardedInternal,Quarantined}, MYNETS LOCAL"
    found = looked(HERE + amavis("09:00:00", "BBBBBB1", "user", USER, "bob@example.com", said, DISCARDED))
    finding = only(found[WITHIN])
    assert finding.cause == "own-mail-discarded"
    assert "quarantine" in finding.summary
    assert found[OUT].findings == []
    assert finding.remedy
    assert "amavisd-release" in finding.remedy.text


def test_what_a_filter_says_of_the_way_decides_where_no_domain_is_known(looked: Looked) -> None:
    for word, check in (("DiscardedInbound", WITHIN), ("DiscardedOutbound", OUT)):
        said = f"Blocked SPAM {{{word}}}, LOCAL"
        found = looked(amavis("09:00:00", "BBBBBB1", "user", USER, "x@unknown.example", said, DISCARDED))
        assert [name for name in (OUT, WITHIN) if found[name].findings] == [check]


@pytest.mark.parametrize("reason", ["INFECTED (Eicar)", "BANNED (.exe)"])
def test_own_mail_kept_back_for_a_virus_is_a_warning_that_says_so(looked: Looked, reason: str) -> None:
    said = f"Blocked {reason} {{DiscardedOutbound,Quarantined}}, LOCAL"
    reply = "250 2.7.0 Ok, discarded, id=00020-01 - " + reason.split()[0]
    finding = only(looked(HERE + amavis("09:00:00", "BBBBBB1", "user", USER, PEER, said, reply))[OUT])
    assert (finding.cause, finding.severity) == ("own-mail-blocked", "warning")
    assert reason.split()[0].lower() in finding.summary


def test_own_mail_that_the_filter_refuses_comes_back_and_is_a_problem_too(looked: Looked) -> None:
    log = (
        opened("09:00:00", "BBBBBB1", "user", USER)
        + f"""
        09:00:01 amavis[20]: (00020-01) Blocked SPAM {{RejectedOutbound}}, LOCAL [198.51.100.7] <{USER}> -> <{PEER}>,
          Queue-ID: BBBBBB1, Hits: 9
        09:00:01 postfix/smtp[13]: BBBBBB1: to=<{PEER}>, relay={AMAVIS}, delay=1, delays=0/0/0/1, dsn=5.7.0, status=bounced
        """.rstrip()
        + f""" (host {AMAVIS[:-6]} said: 554 5.7.0 Reject, id=00020-01 - spam (in reply to end of DATA command))
        09:00:01 postfix/qmgr[12]: BBBBBB1: removed"""
    )
    finding = only(looked(HERE + log)[OUT])
    assert (finding.cause, finding.severity) == ("own-mail-refused", "problem")
    assert "nobody was told" not in finding.summary


def test_a_gateway_that_blocks_own_mail_is_found_without_any_verdict_line(looked: Looked) -> None:
    log = opened("09:00:00", "BBBBBB1", "user", USER)
    log += end("09:00:01", "BBBBBB1", PEER, "127.0.0.1[127.0.0.1]:10023", "250 2.7.0 BLOCKED (61DF4640A1B2C)")
    assert only(looked(HERE + log)[OUT]).cause == "own-mail-discarded"


def test_strangers_spam_that_the_filter_throws_away_is_its_work(looked: Looked) -> None:
    said = "Blocked SPAM {DiscardedInbound,Quarantined}"
    log = amavis("09:00:00", "BBBBBB1", "stranger", "win@spam.example", "alice@example.com", said, DISCARDED)
    found = looked(HERE + log)
    assert [each.findings for each in found.values()] == [[], [], []]


def test_mail_to_an_address_that_swallows_on_purpose_is_no_finding(looked: Looked) -> None:
    log = (
        HERE
        + opened("09:00:00", "BBBBBB1", "user", USER)
        + f"""
        09:00:01 postfix/discard[13]: BBBBBB1: to=<noreply@example.com>, relay=none, {SENT} (250 2.7.0 Ok, discarded)
        09:00:01 postfix/qmgr[12]: BBBBBB1: removed"""
    )
    assert [each.findings for each in looked(log).values()] == [[], [], []]


def stopped(action: str, text: str, *, to: str = PEER) -> str:
    log = opened("09:00:00", "BBBBBB1", "user", USER, queued=False)
    return (
        log
        + f"""
        09:00:01 postfix/cleanup[11]: BBBBBB1: {action}: END-OF-MESSAGE from p5b.isp.example[198.51.100.7]: {text};
          from=<{USER}> to=<{to}> proto=ESMTP"""
    )


@pytest.mark.parametrize("action", ["milter-discard", "milter-hold"])
def test_own_mail_that_a_milter_takes_and_never_sends_on_is_a_problem(looked: Looked, action: str) -> None:
    found = looked(HERE + stopped(action, f"milter triggers {action[7:].upper()} action"))
    finding = only(found[OUT])
    assert (finding.cause, finding.severity, finding.mails, finding.recipients) == (
        "own-mail-discarded",
        "problem",
        1,
        1,
    )
    assert finding.remedy
    assert ("postsuper -H BBBBBB1" in finding.remedy.text) == (action == "milter-hold")
    assert "content_filter" not in finding.remedy.text + finding.why
    inside = looked(HERE + stopped(action, "milter triggers it", to="bob@example.com"))
    assert only(inside[WITHIN]).cause == "own-mail-discarded"


def test_what_a_milter_held_and_an_administrator_released_went_its_way(looked: Looked) -> None:
    log = (
        HERE
        + stopped("milter-hold", "milter triggers HOLD action")
        + """
        09:05:00 postfix/postsuper[9]: BBBBBB1: released from hold
        09:05:01 postfix/qmgr[12]: BBBBBB1: from=<john@example.com>, size=900, nrcpt=1 (queue active)
    """
        + end("09:05:02", "BBBBBB1", PEER).replace("delay=1, delays=0/0", "delay=302, delays=301/0")
    )
    assert looked(log)[OUT].findings == []


def test_a_milter_that_refuses_own_mail_as_spam_is_found_one_that_refuses_a_virus_is_at_work(looked: Looked) -> None:
    found = looked(HERE + stopped("milter-reject", "5.7.1 Spam message rejected"))
    assert only(found[OUT]).cause == "own-mail-refused"
    assert looked(HERE + stopped("milter-reject", "5.7.1 Virus found: Eicar"))[OUT].findings == []
    assert looked(HERE + stopped("milter-reject", "4.7.1 Try again later"))[OUT].findings == []
    by_verdict = looked(HERE + stopped("milter-reject", "5.7.1 No"), rspamd_log=rspamd("09:00:01", "BBBBBB1", "reject"))
    assert only(by_verdict[OUT]).cause == "own-mail-refused"


def test_a_rejection_that_is_logged_twice_is_one(looked: Looked) -> None:
    log = stopped("milter-reject", "5.7.1 Spam message rejected")
    again = "\n".join(log.splitlines()[-2:]).replace("09:00:01", "09:00:02")
    finding = only(looked(f"{HERE}{log}\n{again}")[OUT])
    assert (finding.mails, finding.recipients, finding.count) == (1, 1, 1)


# -- one unit ----------------------------------------------------------------------------------------------------------


def test_one_mail_to_three_people_is_one_mail() -> None:
    finding = only(read(FIELD / "11-rspamd-auth-user-tagged" / "three-recipients.log")[OUT])
    assert (finding.mails, finding.recipients, finding.count) == (1, 3, 3)
    assert finding.summary.startswith("1 mail to 3 recipients from john@example.com left this server tagged as spam")


def test_roots_one_mail_is_one_mail_however_many_copies_an_alias_made() -> None:
    found = read(FIELD / "03-outside-gets-two-amavis")
    finding = only(found[LOCAL])
    assert (finding.mails, finding.recipients) == (1, 2)
    assert finding.summary.startswith("1 mail to 2 recipients from root@example.com")
    assert "1 bound for outside, 1 for users here" in finding.summary
    assert found[OUT].verdict == found[WITHIN].verdict == "clear"


def test_a_newsletter_with_a_return_address_for_each_recipient_is_one_program(looked: Looked) -> None:
    log = HERE
    for number in range(60):
        queue_id, sender = f"B{number:05d}1", f"bounce+{number}@example.com"
        said = "Blocked SPAM {DiscardedOutbound}, LOCAL"
        log += amavis(f"09:00:{number:02d}", queue_id, "script", sender, f"c{number}@example.net", said, DISCARDED)
    finding = only(looked(log)[OUT])
    assert (finding.subject, finding.mails, len(finding.cases)) == ("@example.com", 60, 60)


# -- clear needs a look ------------------------------------------------------------------------------------------------


def day(host: str = "mx1", hours: range = range(8, 20)) -> str:
    """A mail of a stranger each half hour, one of a user in between."""
    log = ""
    for hour in hours:
        for half in (0, 30):
            name = f"{hour:02d}{half:02d}"
            log += sent(
                f"{hour:02d}:{half:02d}:00",
                f"A{name}A",
                "stranger",
                "sam@example.org",
                "alice@example.com",
                DOVECOT,
                host=host,
            )
            log += sent(f"{hour:02d}:{half + 10}:00", f"B{name}B", "user", USER, PEER, host=host)
    return log


def told(hours: range = range(8, 20), *, users: str = "") -> str:
    """What rspamd writes on strangers' mail of these hours, and on users' where ``users`` is its action."""
    log = ""
    for hour in hours:
        for half in (0, 30):
            log += rspamd(f"{hour:02d}:{half:02d}:01", f"A{hour:02d}{half:02d}A", "no action")
            log += rspamd(f"{hour:02d}:{half + 10}:01", f"B{hour:02d}{half:02d}B", users) if users else ""
    return log


def test_a_milters_log_that_covers_the_day_makes_it_clear(looked: Looked) -> None:
    found = looked(day(), rspamd_log=told())[OUT]
    assert (found.verdict, found.checked, found.eligible) == ("clear", 24, 24)
    assert found.clear_title.endswith("(24 deliveries looked at)")


def test_a_milters_log_of_half_the_day_makes_it_blind_and_names_that_log(looked: Looked) -> None:
    found = looked(day(), rspamd_log=told(range(8, 14)))[OUT]
    assert found.verdict == "blind"
    assert 10 <= found.checked <= 14
    (why,) = found.blind_because
    assert "rspamd.log" in why
    assert "DSPAM" not in why


@pytest.mark.parametrize("configured", [False, True])
def test_a_milters_log_of_another_day_makes_it_blind(looked: Looked, configured: bool) -> None:
    log = told().replace("2026-03-04", "2026-03-03")
    files = {"main_cf": MILTER, "master_cf": MASTER} if configured else {}
    found = looked(day(), rspamd_log=log, **files)[OUT]
    assert (found.verdict, found.checked) == ("blind", 0)
    assert "rspamd.log" in found.blind_because[0]


def test_a_log_that_is_silent_where_nobody_wrote_was_alive(looked: Looked) -> None:
    log = day(hours=range(8, 9)) + sent("13:00:00", "CCCCCC1", "user", USER, PEER) + day(hours=range(18, 19))
    assert looked(log, rspamd_log=told(range(8, 9)) + told(range(18, 19)))[OUT].verdict == "clear"


def test_the_milters_log_of_one_host_tells_nothing_of_another(looked: Looked) -> None:
    log = day() + day("mx2").replace(": A", ": C").replace(": B", ": D")
    found = looked(log, rspamd_log=told())[OUT]
    assert (found.verdict, found.checked, found.eligible) == ("blind", 24, 48)


def test_a_user_whose_mail_the_milter_tagged_is_found_with_the_milter_as_the_cause(looked: Looked) -> None:
    found = looked(day(), rspamd_log=told(users="add header"), main_cf=MILTER, master_cf=MASTER)[OUT]
    finding = only(found)
    assert (finding.cause, finding.mails) == ("submission-filtered", 24)
    assert finding.why.startswith("rspamd is a milter of every service (smtpd_milters, main.cf:4)")
    assert finding.remedy
    words = finding.remedy.text
    assert "content_filter" not in words + finding.why
    assert all(each in words for each in ("authenticated = yes", "smtpd_milters=", "DKIM"))
    assert finding.remedy.diff is None


def test_a_genuine_server_with_yesterdays_rspamd_log_is_blind(tmp_path: Path) -> None:
    folder = story("rspamd-outgoing-tagged-spam")
    (tmp_path / "mail.log").write_bytes((folder / "mail.log").read_bytes())
    (tmp_path / "rspamd.log").write_text((folder / "rspamd.log").read_text().replace("2026-11-22", "2026-11-21"))
    found = read(tmp_path, year=2026)
    assert found[OUT].verdict == "blind"
    assert found[WITHIN].verdict == "blind"


def test_without_any_filter_in_sight_nothing_is_clear(looked: Looked) -> None:
    log = HERE + sent("09:00:00", "BBBBBB1", "user", USER, PEER)
    log += sent("09:01:00", "CCCCCC1", "user", USER, "bob@example.com", DOVECOT)
    log += sent("09:02:00", "DDDDDD1", "cron", "root@example.com", "bob@example.com", DOVECOT)
    found = looked(log)
    assert {each.verdict for each in found.values()} == {"blind"}
    assert all("give main.cf and master.cf" in each.blind_because[0] for each in found.values())


def test_a_configuration_without_a_filter_makes_it_not_applicable_in_one_sentence(looked: Looked) -> None:
    log = HERE + sent("09:00:00", "BBBBBB1", "user", USER, PEER)
    found = looked(log, main_cf=MAIN, master_cf=MASTER)
    assert {each.verdict for each in found.values()} == {"not-applicable"}
    assert {each.not_applicable for each in found.values()} == {
        "The configuration sends no mail through a spam filter, and the log shows none."
    }
    assert not any(each.blind_because for each in found.values())


def test_a_configuration_that_denies_the_filter_that_the_log_shows_is_not_believed(looked: Looked) -> None:
    said = "Blocked SPAM {DiscardedOutbound}, LOCAL"
    log = HERE + amavis("09:00:00", "BBBBBB1", "user", USER, PEER, said, DISCARDED)
    assert looked(log, main_cf=MAIN, master_cf=MASTER)[OUT].verdict == "found"


def test_a_milter_of_which_nobody_knows_what_it_is_leaves_it_blind(looked: Looked) -> None:
    log = HERE + sent("09:00:00", "BBBBBB1", "user", USER, PEER) + sent("09:02:00", "DDDDDD1", "cron", USER, PEER)
    main = MAIN + "smtpd_milters = inet:127.0.0.1:12768\nnon_smtpd_milters = inet:127.0.0.1:12768\n"
    found = looked(log, main_cf=main, master_cf=MASTER)
    assert (found[OUT].verdict, found[LOCAL].verdict) == ("blind", "blind")
    assert "inet:127.0.0.1:12768" in found[OUT].blind_because[0]


def test_a_pipe_is_known_by_the_program_that_it_runs(looked: Looked) -> None:
    log = (
        HERE
        + opened("09:00:00", "BBBBBB1", "user", USER)
        + """
        09:00:02 postfix/pickup[13]: CCCCCC1: uid=108 from=<john@example.com>
        09:00:02 postfix/cleanup[11]: CCCCCC1: message-id=<BBBBBB1@example.com>
        09:00:02 postfix/pipe[14]: BBBBBB1: to=<kate@example.net>, relay=scan, delay=2.1, delays=0.1/0/0/2, dsn=2.0.0,
          status=sent (delivered via scan service)
        09:00:02 postfix/qmgr[12]: BBBBBB1: removed
        09:00:02 postfix/qmgr[12]: CCCCCC1: from=<john@example.com>, size=950, nrcpt=1 (queue active)"""
    )
    log += end("09:00:03", "CCCCCC1", PEER)
    assert looked(log)[OUT].blind_because[0].endswith("give the filter's own log of the same days")
    master = MASTER + "scan unix - n n - - pipe\n  user=x argv=/usr/bin/spamc -e /usr/sbin/sendmail -f ${sender}\n"
    (why,) = looked(log, main_cf=MAIN, master_cf=master)[OUT].blind_because
    assert "SpamAssassin" in why
    assert "spamd's lines" in why


def test_a_milter_whose_log_is_missing_is_asked_for_by_its_name(looked: Looked) -> None:
    (why,) = looked(HERE + sent("09:00:00", "BBBBBB1", "user", USER, PEER), main_cf=MILTER, master_cf=MASTER)[
        OUT
    ].blind_because
    assert "its log isn't at hand" in why
    assert "give rspamd.log" in why


def test_a_server_that_keeps_no_mail_has_no_internal_mail(looked: Looked) -> None:
    log = sent("09:00:00", "BBBBBB1", "stranger", "a@x.example", "b@relay.example", "gw.relay.example[192.0.2.77]:25")
    main = "myhostname = gw.example\nmydestination =\nrelay_domains =\nsmtpd_milters = inet:localhost:11332\n"
    found = looked(log, main_cf=main, master_cf=MASTER)[WITHIN]
    assert (found.verdict, found.blind_because) == ("not-applicable", [])


def test_a_service_without_the_milter_needs_no_log_of_it(looked: Looked) -> None:
    log = HERE + sent("09:00:00", "BBBBBB1", "user", USER, PEER) + sent("09:02:00", "DDDDDD1", "cron", USER, PEER)
    master = MASTER.replace(
        "smtp inet n - y - - smtpd\n", "smtp inet n - y - - smtpd\n  -o smtpd_milters=inet:localhost:11332\n"
    )
    found = looked(log, main_cf=MAIN, master_cf=master)[OUT]
    assert (found.verdict, found.checked) == ("clear", 2)
    scripts = HERE + sent("09:00:00", "BBBBBB1", "script", USER, PEER)
    assert looked(scripts, main_cf=MAIN, master_cf=master)[OUT].verdict == "blind"


def test_own_mail_that_only_waits_is_not_called_none(looked: Looked) -> None:
    log = (
        HERE
        + opened("09:00:00", "BBBBBB1", "user", USER)
        + f"""
        09:00:01 postfix/smtp[13]: BBBBBB1: to=<{PEER}>, relay={FAR}, delay=1, delays=0/0/0/1, dsn=4.7.1, status=deferred ()"""
    )
    found = looked(log)[OUT]
    assert found.verdict == "blind"
    assert "(mail to 1 recipient still waits)" in found.blind_because[0]


# -- mended ------------------------------------------------------------------------------------------------------------


def hopped(at: str, before: str, after: str, how: str, sender: str, recipient: str, *, tagged: bool) -> str:
    """A mail through amavis, and on."""
    actions = "RelayedTaggedOutbound" if tagged else "RelayedOutbound"
    passed = "Passed SPAMMY" if tagged else "Passed CLEAN"
    return (
        opened(at, before, how, sender)
        + f"""
        {at} postfix/smtpd[20]: {after}: client=localhost[127.0.0.1], orig_queue_id={before}, orig_client=x[198.51.100.7]
        {at} postfix/cleanup[11]: {after}: message-id=<{before}@example.com>
        {at} amavis[20]: (00020-01) {passed} {{{actions}}}, LOCAL [127.0.0.1] <{sender}> -> <{recipient}>,
          Queue-ID: {before}, Hits: 9, queued_as: {after}
        {at} postfix/smtp[13]: {before}: to=<{recipient}>, relay={AMAVIS}, {SENT} (250 2.0.0 Ok: queued as {after})
        {at} postfix/qmgr[12]: {before}: removed
        {at} postfix/qmgr[12]: {after}: from=<{sender}>, size=950, nrcpt=1 (queue active)"""
        + end(at, after, recipient)
    )


RELOAD = """
        10:07:00 postfix/master[1]: reload -- version 3.7.11, configuration /etc/postfix"""


def test_what_a_reload_mended_is_found_no_more_and_its_card_has_nothing_to_do(looked: Looked) -> None:
    log = HERE + hopped("09:00:00", "BBBBBB1", "BBBBBB2", "user", USER, PEER, tagged=True)
    after = sent("10:30:00", "CCCCCC1", "user", USER, PEER)
    assert only(looked(log + after)[OUT]).state == "active"
    found = looked(log + RELOAD + after)[OUT]
    finding = only(found)
    assert (finding.state, finding.remedy, found.verdict) == ("mended", None, "clear")
    assert finding.summary.endswith("mended by the reload at 10:07")


def test_what_went_through_the_filter_again_after_the_reload_is_not_mended(looked: Looked) -> None:
    log = HERE + hopped("09:00:00", "BBBBBB1", "BBBBBB2", "user", USER, PEER, tagged=True) + RELOAD
    log += sent("10:30:00", "CCCCCC1", "user", USER, PEER)
    log += hopped("11:00:00", "DDDDDD1", "DDDDDD2", "user", "ann@example.com", PEER, tagged=False)
    assert only(looked(log)[OUT]).state == "active"


def test_local_mail_that_a_reload_took_out_of_the_filter_is_mended_too(looked: Looked) -> None:
    log = HERE + hopped("09:00:00", "BBBBBB1", "BBBBBB2", "cron", "root@example.com", PEER, tagged=False) + RELOAD
    found = looked(log + sent("10:30:00", "CCCCCC1", "cron", "root@example.com", PEER))[LOCAL]
    assert (only(found).state, found.verdict) == ("mended", "clear")


# -- causes and remedies fit ---------------------------------------------------------------------------------------------


def remedy_of(finding: Finding) -> str:
    assert finding.remedy
    return finding.remedy.text


def test_local_programs_that_rspamd_tags_get_rspamds_settings_and_postfixs_for_their_way(looked: Looked) -> None:
    log = HERE + sent("09:00:00", "BBBBBB1", "cron", "root@example.com", PEER)
    log += sent("09:05:00", "CCCCCC1", "script", "shop@example.com", PEER)
    lines = rspamd("08:00:00", "0AAAAA0", "no action") + rspamd("09:00:00", "BBBBBB1", "add header")
    found = looked(log, rspamd_log=lines + rspamd("09:05:00", "CCCCCC1", "rewrite subject"))[OUT]
    cron, shop = (next(each for each in found.findings if each.subject.startswith(name)) for name in ("root", "shop"))
    assert "non_smtpd_milters" in remedy_of(cron)
    assert "smtpd_milter_maps" not in remedy_of(cron)
    assert "local = yes" in remedy_of(cron)
    assert "smtpd_milter_maps" in remedy_of(shop)
    assert "DKIM" in remedy_of(shop)
    assert (
        cron.why
        == shop.why
        == "rspamd works as a milter, and judges mail of scripts and cron jobs on this host like a stranger's."
    )


def test_the_milters_that_stay_on_submission_are_named_where_the_configuration_tells_them(looked: Looked) -> None:
    log = HERE + sent("09:00:00", "BBBBBB1", "user", USER, PEER)
    lines = rspamd("08:00:00", "0AAAAA0", "no action") + rspamd("09:00:00", "BBBBBB1", "add header")
    main = MAIN + "smtpd_milters = inet:localhost:11332, unix:opendkim/opendkim.sock\n"
    found = looked(log, rspamd_log=lines, main_cf=main, master_cf=MASTER)[OUT]
    assert "-o smtpd_milters=unix:opendkim/opendkim.sock " in remedy_of(only(found))


def test_hosts_of_mynetworks_are_no_scripts_on_this_host(looked: Looked) -> None:
    log = hopped("09:00:00", "BBBBBB1", "BBBBBB2", "stranger", "scan@example.com", PEER, tagged=True)
    main = MAIN + "mynetworks = 127.0.0.0/8, 203.0.113.0/24\n"
    finding = only(looked(HERE + log, main_cf=main, master_cf=MASTER)[OUT])
    assert finding.why.startswith("Mail of hosts in mynetworks")
    assert "127.0.0.1" not in remedy_of(finding)


def test_a_proxy_before_the_queue_is_called_so(looked: Looked) -> None:
    log = HERE + sent("09:00:00", "BBBBBB1", "user", USER, PEER)
    lines = rspamd("08:00:00", "0AAAAA0", "no action") + rspamd("09:00:00", "BBBBBB1", "add header")
    master = MASTER.replace("  -o smtpd_sasl", "  -o smtpd_proxy_filter=127.0.0.1:10024\n  -o smtpd_sasl")
    finding = only(looked(log, rspamd_log=lines, main_cf=MAIN, master_cf=master)[OUT])
    assert "smtpd_proxy_filter" in finding.why
    assert "smtpd_proxy_filter=" in remedy_of(finding)
    assert "content_filter" not in remedy_of(finding)


def test_behind_a_content_filter_the_cause_and_the_remedy_are_the_content_filters(looked: Looked) -> None:
    log = HERE + hopped("09:00:00", "BBBBBB1", "BBBBBB2", "user", USER, PEER, tagged=True)
    finding = only(looked(log)[OUT])
    assert finding.why == "The submission service has a content_filter."
    assert "content_filter" in remedy_of(finding)
    assert "milter" not in remedy_of(finding)


def test_what_dspam_put_into_quarantine_reaches_nobody(looked: Looked, tmp_path: Path) -> None:
    relay = "mx1.example.com[/run/dspam/dspam.sock]"
    log = HERE + opened("09:00:00", "BBBBBB1", "user", USER)
    log += end(
        "09:00:01", "BBBBBB1", "bob@example.com", relay, "250 2.6.0 <bob@example.com> Message accepted for delivery"
    )
    row = (
        f"1772614800\tS\t{USER}\t69a7f0d01234511874207\tHi\t0.9\tbob@example.com\tQuarantined\t<BBBBBB1@example.com>\n"
    )
    (tmp_path / "dspam").mkdir()
    (tmp_path / "dspam" / "system.log").write_text(row)
    finding = only(looked(log)[WITHIN])
    assert (finding.cause, finding.severity) == ("own-mail-discarded", "problem")
    assert "quarantine" in finding.summary


# -- whose mail it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sender", ["root@localhost", "root@mx1.example.com", "root@localhost.localdomain", "www@shop.example.com"]
)
def test_programs_of_this_host_bear_any_of_its_names(looked: Looked, sender: str) -> None:
    log = HERE + sent("09:02:00", "DDDDDD1", "script", sender, "bob@example.com", DOVECOT)
    assert looked(log)[WITHIN].eligible == looked(log)[LOCAL].eligible == 1


def test_strangers_mail_that_fetchmail_hands_in_is_nobodys_here(looked: Looked) -> None:
    log = HERE + sent("09:02:00", "DDDDDD1", "script", "win@spam.example", "bob@example.com", DOVECOT)
    assert looked(log)[WITHIN].eligible == looked(log)[LOCAL].eligible == 0


def test_a_bare_name_that_postfix_completed_tells_the_servers_own_domain(looked: Looked) -> None:
    log = HERE + opened("09:02:00", "DDDDDD1", "cron", "root@node7.internal").replace(
        "from=<root@node7.internal>\n", "from=<root>\n"
    )
    log += end("09:02:01", "DDDDDD1", "bob@example.com", DOVECOT)
    log += sent("09:03:00", "EEEEEE1", "script", "ops@node7.internal", "bob@example.com", DOVECOT)
    assert looked(log)[WITHIN].eligible == 2


# -- the field's own logs ----------------------------------------------------------------------------------------------


def test_logwatchs_mail_thrown_away_by_amavis_is_found() -> None:
    found = read(FIELD / "14-local-mail-discarded-by-filter")
    assert only(found[WITHIN]).cause == "own-mail-discarded"
    assert only(found[LOCAL], severity="problem").subject == "root@mx1.example.com"
    assert "no mail from a local process" not in " ".join(found[LOCAL].blind_because)


def test_spamd_s_verdict_on_a_users_mail_is_found() -> None:
    finding = only(read(FIELD / "15-spamd-verdict-not-joined")[OUT])
    assert (finding.cause, finding.subject) == ("submission-filtered", "john@example.com")


def test_rspamd_s_tag_on_a_users_mail_is_found_with_the_logs_of_that_day(tmp_path: Path) -> None:
    for name in ("mail.log", "rspamd.log"):
        (tmp_path / name).write_bytes((FIELD / "11-rspamd-auth-user-tagged" / name).read_bytes())
    finding = only(read(tmp_path, year=2018)[OUT])
    assert (finding.mails, finding.subject) == (1, "john@example.com")
    assert finding.remedy
    assert "content_filter" not in finding.remedy.text + finding.why


def test_a_server_with_rspamd_names_the_milter_and_a_milters_remedy() -> None:
    finding = only(read(FIELD / "debian-rspamd-imapsieve")[OUT])
    assert finding.subject == "alice@firma.example"
    assert "milter" in finding.why
    assert finding.remedy
    assert "authenticated = yes" in finding.remedy.text


def test_root_at_localhost_is_ours_and_no_filter_is_no_clear() -> None:
    found = read(FIELD / "root-at-localhost")
    assert (found[LOCAL].verdict, found[LOCAL].eligible) == ("blind", 5)
    assert (found[WITHIN].verdict, found[WITHIN].eligible) == ("blind", 5)


@pytest.mark.parametrize(
    "name", ["debian-spamc-pipe", "docker-gateway", "docker-gateway-noconfig", "shared-submission-name", "plesk"]
)
def test_quiet_servers_have_nothing_found(name: str) -> None:
    found = read(FIELD / name)
    assert {check: each.findings for check, each in found.items()} == {OUT: [], LOCAL: [], WITHIN: []}
    verdicts = {each.verdict for each in found.values()}
    assert verdicts == {"not-applicable"} if name == "shared-submission-name" else "found" not in verdicts
    assert name != "plesk" or found[OUT].verdict == "blind"


@pytest.mark.parametrize(
    ("action", "said", "kept"),
    [
        ("discard", "milter-discard", "thrown"),
        ("quarantine", "milter-hold", "quarantine"),
        ("reject", "milter-reject", "refused"),
    ],
)
def test_rspamds_remedy_takes_away_the_very_action_that_kept_the_mail_back(
    looked: Looked, action: str, said: str, kept: str
) -> None:
    found = looked(HERE + stopped(said, "5.7.1 spam"), rspamd_log=rspamd("09:00:01", "BBBBBB1", action))
    finding = only(found[OUT])
    assert kept in finding.summary
    text = remedy_of(finding)
    nulled = re.search(r"actions \{(.*?)\}", text)
    assert nulled
    assert {f"{name} = null" for name in ("discard", "quarantine", '"add header"')} <= {
        each.strip() for each in nulled[1].split(";")
    }
    assert ("reject = 30" in text) == (action == "reject")
    assert ("none changes that mail is refused" in text) == (action == "reject")


def test_logscan_s_own_reports_are_counted_in_a_note(tmp_path: Path) -> None:
    cases = tomllib.loads((Path(__file__).parent / "data/cases/local-mail-filtered.toml").read_text())["case"]
    (case,) = [each for each in cases if "beside logscan's own report" in each["name"]]
    (tmp_path / "mail.log").write_text(case["log"])
    scan = logscan.read(tmp_path, jobs=1, year=2026, timezone="UTC")
    (result,) = logscan.analyse(scan, checks=["local-mail-filtered"]).checks
    assert (result.checked, result.eligible) == (1, 1)
    assert [note.partition(",")[0] for note in result.notes] == ["1 mail with logscan's own reports"]


def test_what_the_mail_writes_is_what_the_check_knows() -> None:
    """The Message-ID of the report, as ``reports/email.py`` makes it."""
    report = logscan.analyse(logscan.read(story("healthy"), jobs=1))
    content = render(report, "email", mail_from="reports@example.org", mail_to=("kim@example.org",))
    assert isinstance(content, bytes)
    sent = message_from_bytes(content)
    assert re.fullmatch(own_cases.REPORT, sent["Message-ID"])


def test_only_what_a_program_here_handed_in_unharmed_is_a_report() -> None:
    name = f"<logscan.{'0123456789abcdef' * 2}@example.org>"
    rows = pd.DataFrame(
        [
            ("local", name, False, False, ""),
            ("authenticated", name, False, False, ""),
            ("network", name, False, False, ""),
            ("local", name, True, False, ""),
            ("local", name, False, True, ""),
            ("local", name, False, False, "quarantined"),
            ("local", f"x{name}", False, False, ""),
            ("local", name.replace("0123", "012"), False, False, ""),
            ("local", None, False, False, ""),
        ],
        columns=["came", "message_id", "tagged", "filed", "kept"],
    )
    assert own_cases.own_reports(rows).tolist() == [True] + [False] * 8
