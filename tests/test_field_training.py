"""Users who train, and what follows: with every filter and every trigger, and where nobody can train at all."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from checked import AMAVIS, FIELD, amavis, arrived, at, back, checked, removed, sent, stored, to_dspam, write

from logscan.findings import Finding, Result

CHECK, OTHER = "training-misses-hash", "training-without-effect"
START = int(datetime(2026, 1, 10, 10, tzinfo=UTC).timestamp())
ALICE, BOB = "alice@example.org", "bob@example.org"
DAY = 86_400


def said(*sources: Path) -> tuple[Result, list[Finding]]:
    result, _ = checked(CHECK, *sources)
    return result, result.findings


# -- pieces ------------------------------------------------------------------------------------------------------------


def signature(second: int) -> str:
    return f"{START + second:08x}1361812816{second % 100_000:05d}"


def row(second: int, kind: str, user: str, made: int) -> str:
    """A row of DSPAM's system.log on the mail that came in at ``made``."""
    status = "Retrained" if kind in "MF" else "Delivered"
    return (
        f"{START + second}\t{kind}\tann@example.net\t{signature(made)}\tx\t0.4\t{user}\t{status}\t<m{made}@example.net>"
    )


def judged(second: int, to: str) -> list[str]:
    """A mail through DSPAM to a mailbox."""
    n, ident = f"{second:06d}", f"m{second}@example.net"
    return [
        *arrived(second, f"A{n}", ident),
        *back(second, f"B{n}", ident),
        to_dspam(second, f"A{n}", to),
        *stored(second + 1, f"B{n}", to, f"s{n}", ident),
        *removed(second + 1, f"A{n}", f"B{n}"),
    ]


def move(second: int, user: str, made: int, source: str = "INBOX", to: str = "Junk") -> list[str]:
    """What mail_log writes of a move of the mail that came in at ``made``."""
    head = f"{at(second)} dovecot: imap({user})<700><ses{second}>: "
    tail = f"uid=1, msgid=<m{made}@example.net>, size=2000"
    return [f"{head}copy from {source}: box={to}, {tail}", f"{head}expunge: box={source}, {tail}"]


MAILS = [line for second, to in ((0, ALICE), (60, BOB), (120, ALICE), (180, BOB)) for line in judged(second, to)]
VERDICTS = [row(0, "S", ALICE, 0), row(60, "I", BOB, 60), row(120, "I", ALICE, 120), row(180, "S", BOB, 180)]
MOVES = [
    *move(600, ALICE, 0, "Junk", "INBOX"),
    *move(660, BOB, 60),
    *move(720, ALICE, 120),
    *move(780, BOB, 180, "Junk", "INBOX"),
]
CALLS = [row(600, "F", ALICE, 0), row(660, "M", BOB, 60), row(720, "M", ALICE, 120), row(780, "F", BOB, 180)]
DAEMON = [f"{at(0)} dspam[500]: Daemon process starting"]
ANTISPAM = """# 2.3.19: /etc/dovecot/dovecot.conf
plugin {
  antispam_backend = dspam
  antispam_spam = Junk
}
protocol imap {
  mail_plugins = notify mail_log antispam
}
"""


def server(folder: Path, log: list[str], system: list[str] | None, **texts: str) -> tuple[Result, list[Finding]]:
    write(folder, mail_log=[*DAEMON, *log], **texts)
    if system is not None:
        write(folder, system_log=system)
    return said(folder)


# -- the field ---------------------------------------------------------------------------------------------------------


def test_moves_of_one_user_that_no_call_follows_are_found() -> None:
    folder = FIELD / "09-move-without-training"
    result, (found,) = said(folder / "mail.log", folder / "system.log")
    assert (result.verdict, found.cause, found.subject) == ("found", "training-not-called", "alice@example.com")
    assert (found.count, found.mails, found.severity) == (3, 3, "problem")
    assert (result.checked, result.eligible) == (6, 6)
    assert [case["message_id"] for case in found.cases] == [f"<spam{n}@example.org>" for n in (0, 2, 4)]
    assert all("copy from INBOX: box=Junk" in each.text for each in found.evidence)


def test_moves_none_of_which_is_followed_by_a_call_are_not_clear() -> None:
    folder = FIELD / "09-move-without-training"
    result, _ = said(folder / "mail.log", folder / "system-none.log")
    assert result.verdict == "blind"
    assert "6 of 6 trainings" in result.blind_because[0]


def test_a_miss_whose_mail_came_before_the_log_has_a_cause_that_cant_be_told() -> None:
    result, _ = checked(CHECK, FIELD / "21-dspam-home-elsewhere", year=2016)
    (found,) = result.findings
    assert (result.verdict, found.cause, found.subject, found.count) == ("found", "unknown", "alice@example.com", 1)
    assert found.why == "The cause can't be told: these logs hold no mail that DSPAM judged."
    assert "never saw" not in found.why + found.summary


def test_a_learning_script_that_fails_is_a_training_in_vain() -> None:
    result, _ = checked(OTHER, FIELD / "debian-rspamd-imapsieve")
    (found,) = result.findings
    assert (result.verdict, found.cause, found.subject, found.count) == (
        "found", "training-call-failed", "alice@firma.example", 1
    )  # fmt: skip


def test_what_one_check_tells_of_training_the_other_leaves_out() -> None:
    result, _ = checked(CHECK, FIELD / "debian-rspamd-imapsieve")
    assert (result.verdict, result.findings) == ("not-applicable", [])
    assert OTHER in result.not_applicable


@pytest.mark.parametrize(
    ("name", "filter"),
    [
        ("debian-spamc-pipe", "SpamAssassin"),
        ("docker-gateway", "rspamd"),
        ("docker-gateway-noconfig", "rspamd"),
        ("24-direct-and-alias-no-filter", "rspamd"),
    ],
)
def test_a_server_where_nobody_trains_another_filter_is_not_asked_for_anything(name: str, filter: str) -> None:
    result, findings = said(FIELD / name)
    assert (result.verdict, findings, result.blind_because) == ("not-applicable", [], [])
    assert filter in result.not_applicable


# -- DSPAM -------------------------------------------------------------------------------------------------------------


def test_moves_that_all_made_their_calls_are_clear(tmp_path: Path) -> None:
    result, findings = server(tmp_path, [*MAILS, *MOVES], [*VERDICTS, *CALLS])
    assert (result.verdict, findings, result.checked, result.eligible) == ("clear", [], 4, 4)
    assert result.clear_title == "Nobody trained in vain (4 trainings looked at)"


@pytest.mark.parametrize("folder", ["Junk", "Spam", "INBOX.Junk", "Junk E-Mail", "INBOX/spam", "Pourriel"])
def test_a_folder_of_spam_is_known_by_its_name(tmp_path: Path, folder: str) -> None:
    lines = [line.replace("Junk", folder) for line in MOVES]
    _, found = server(tmp_path, [*MAILS, *lines], [*VERDICTS, *CALLS[1::2]])
    assert [(each.subject, each.count) for each in found] == [(ALICE, 2)]


def test_a_folder_is_one_of_spam_where_the_configuration_says_so(tmp_path: Path) -> None:
    lines = [line.replace("Junk", "Giftschrank") for line in MOVES]
    doveconf = ANTISPAM.replace("antispam_spam = Junk", "antispam_spam = Giftschrank")
    _, found = server(tmp_path, [*MAILS, *lines], [*VERDICTS, *CALLS[1::2]], doveconf_n=doveconf)
    assert [(each.subject, each.count) for each in found] == [(ALICE, 2)]


@pytest.mark.parametrize(
    "place", [("Junk", "Trash"), ("INBOX", "Archive"), ("Trash", "Junk"), ("Junk", "Deleted Items")]
)
def test_moves_that_train_nothing_by_design_are_no_cases(tmp_path: Path, place: tuple[str, str]) -> None:
    result, findings = server(tmp_path, [*MAILS, *MOVES, *move(900, ALICE, 0, *place)], [*VERDICTS, *CALLS])
    assert (result.verdict, findings, result.eligible) == ("clear", [], 4)


def test_a_moved_mail_without_a_signature_is_no_case(tmp_path: Path) -> None:
    unsigned = [
        *arrived(300, "C000001", "m300@example.net"),
        *stored(301, "C000001", ALICE, "s300", "m300@example.net"),
        *removed(302, "C000001"),
    ]
    result, findings = server(tmp_path, [*MAILS, *unsigned, *MOVES, *move(900, ALICE, 300)], [*VERDICTS, *CALLS])
    assert (result.verdict, findings, result.eligible) == ("clear", [], 4)


def test_without_dspam_s_own_log_moves_are_blind_and_it_is_named(tmp_path: Path) -> None:
    result, _ = server(tmp_path, [*MAILS, *MOVES], None)
    assert (result.verdict, result.checked, result.eligible) == ("blind", 0, 4)
    assert "system.log" in " ".join(result.blind_because)
    assert "rspamd" not in " ".join(result.blind_because)


def test_a_log_of_dspam_of_another_week_tells_nothing_of_these_moves(tmp_path: Path) -> None:
    old = [f"{int(line[:10]) - 7 * DAY}{line[10:]}" for line in [*VERDICTS, *CALLS]]
    result, findings = server(tmp_path, [*MAILS, *MOVES], old)
    assert (result.verdict, findings) == ("blind", [])


def test_where_the_plug_in_is_configured_and_makes_no_call_all_are_in_vain(tmp_path: Path) -> None:
    result, found = server(tmp_path, [*MAILS, *MOVES], VERDICTS, doveconf_n=ANTISPAM)
    assert (result.verdict, [(each.subject, each.count, each.confidence) for each in found]) == (
        "found", [(ALICE, 2, "medium"), (BOB, 2, "medium")]
    )  # fmt: skip
    assert found[0].remedy
    assert "antispam" in found[0].remedy.text


def test_without_a_call_nor_a_configuration_a_nightly_job_may_still_come(tmp_path: Path) -> None:
    result, findings = server(tmp_path, [*MAILS, *MOVES], VERDICTS)
    assert (result.verdict, findings) == ("blind", [])
    assert "once a day" in result.blind_because[0]


def test_without_a_call_for_more_than_a_day_there_is_no_nightly_job(tmp_path: Path) -> None:
    later = judged(2 * DAY, ALICE)
    result, found = server(tmp_path, [*MAILS, *MOVES, *later], [*VERDICTS, row(2 * DAY, "I", ALICE, 2 * DAY)])
    assert (result.verdict, len(found)) == ("found", 2)


NIGHT = 17 * 3600


def test_a_nightly_job_that_learns_what_was_moved_is_clear(tmp_path: Path) -> None:
    calls = [
        row(NIGHT, "F", ALICE, 0),
        row(NIGHT, "M", BOB, 60),
        row(NIGHT, "M", ALICE, 120),
        row(NIGHT, "F", BOB, 180),
    ]
    later = judged(2 * DAY, ALICE)
    result, findings = server(
        tmp_path, [*MAILS, *MOVES, *later], [*VERDICTS, *calls, row(2 * DAY, "I", ALICE, 2 * DAY)]
    )
    assert (result.verdict, findings) == ("clear", [])


def test_a_nightly_job_that_forgets_a_user_is_found(tmp_path: Path) -> None:
    calls = [row(NIGHT, "M", BOB, 60), row(NIGHT, "F", BOB, 180)]
    _, found = server(tmp_path, [*MAILS, *MOVES], [*VERDICTS, *calls])
    assert [(each.subject, each.count) for each in found] == [(ALICE, 2)]


def test_a_plug_in_that_was_mended_leaves_nothing_to_do(tmp_path: Path) -> None:
    mails, verdicts, lines, calls = [], [], [], []
    for n in range(5):
        mails += judged(n * 60, ALICE)
        verdicts.append(row(n * 60, "I", ALICE, n * 60))
        lines += move(600 + n * 60, ALICE, n * 60)
        calls += [row(600 + n * 60, "M", ALICE, n * 60)] if n else []
    result, (found,) = server(tmp_path, [*mails, *lines], [*verdicts, *calls])
    assert (result.verdict, found.state, found.remedy, found.count) == ("clear", "mended", None, 1)


def missed(second: int, user: str, made: int, home: str = "/var/spool/dspam/data/example.org") -> list[str]:
    path = f"{home}/{user}/{user}.sig/{signature(made)}.sig"
    return [f"{at(second)} dspam[500]: Unable to open file for reading: {path}: No such file or directory"]


def test_a_user_whom_the_filter_never_saw_is_told_only_where_the_log_covers_the_mail(tmp_path: Path) -> None:
    for name, made, cause in (("inside", 90, "unknown-user"), ("before", -3600, "unknown")):
        _, (found,) = server(tmp_path / name, [*MAILS, *missed(900, "zoe", made)], VERDICTS)
        assert (found.cause, found.subject) == (cause, "zoe@example.org"), name
        assert found.why.startswith("The cause can't be told: the mail was judged at 09:00 on 10 January 2026") == (
            made < 0
        )


@pytest.mark.parametrize(("made", "cause"), [(-3600, "unknown"), (-20 * DAY, "signature-expired")])
def test_an_old_signature_is_called_expired_only_when_it_is_old(tmp_path: Path, made: int, cause: str) -> None:
    _, (found,) = server(tmp_path, [*MAILS, *missed(900, "alice", made)], VERDICTS)
    assert (found.cause, found.subject) == (cause, ALICE)


def test_a_bare_name_is_no_login_without_domain_where_dspam_knows_users_by_bare_names(tmp_path: Path) -> None:
    mails = [line.replace("<alice@example.org>", "<alice>").replace("<bob@example.org>", "<bob>") for line in MAILS]
    verdicts = [line.replace("@example.org", "") for line in VERDICTS]
    _, (found,) = server(tmp_path, [*mails, *missed(900, "zoe", -3600, "/var/spool/dspam/data")], verdicts)
    assert (found.cause, found.subject) == ("unknown", "zoe")


# -- other filters -----------------------------------------------------------------------------------------------------

MAIN = "myhostname = mx.example.org\nvirtual_mailbox_domains = example.org\n{}"
MASTER = "smtp inet n - n - - smtpd\n"
RSPAMD = "smtpd_milters = inet:localhost:11332\n"


def rspamd(second: int, text: str) -> str:
    stamp = datetime.fromtimestamp(START + second, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{stamp} #612(controller) <eb7984>; {text}"


def looked_at(second: int, queue_id: str) -> str:
    symbols = "(default: F (no action): [0.10/15.00] [MIME_GOOD(-0.10){text/plain;}]), len: 1165"
    where = f"qid: <{queue_id}>, ip: 192.0.2.25, from: <ann@example.net>"
    return rspamd(second, f"task; rspamd_task_write_log: id: <m{second}@example.net>, {where}, {symbols}")


def learned(second: int, made: int, word: str = "spam") -> str:
    return rspamd(
        second,
        f"csession; rspamd_controller_learn_fin_task: <127.0.0.1> learned message as {word}: m{made}@example.net",
    )


def simple(second: int, to: str) -> list[str]:
    n, ident = f"A{second:06d}", f"m{second}@example.net"
    return [*arrived(second, n, ident), *stored(second + 1, n, to, f"s{second}", ident), *removed(second + 1, n)]


PLAIN = [line for second, to in ((0, ALICE), (60, BOB)) for line in simple(second, to)]
SEEN = [looked_at(0, "A000000"), looked_at(60, "A000060")]
TWO = [*move(600, ALICE, 0), *move(660, BOB, 60)]


def other(
    folder: Path, log: list[str], own: list[str] | None, main: str = RSPAMD, **texts: str
) -> tuple[Result, list[Finding]]:
    write(folder, mail_log=log, main_cf=MAIN.format(main), master_cf=MASTER, **texts)
    if own is not None:
        write(folder, rspamd_log=own)
    result, _ = checked(OTHER, folder)
    return result, result.findings


def test_rspamd_that_learned_each_moved_mail_is_clear(tmp_path: Path) -> None:
    result, findings = other(tmp_path, [*PLAIN, *TWO], [*SEEN, learned(600, 0), learned(661, 60)])
    assert (result.verdict, findings, result.checked) == ("clear", [], 2)


def test_a_mail_that_rspamd_didnt_learn_was_moved_in_vain(tmp_path: Path) -> None:
    result, (found,) = other(tmp_path, [*PLAIN, *TWO], [*SEEN, learned(661, 60)])
    assert (result.verdict, found.cause, found.subject, found.count) == ("found", "training-not-called", ALICE, 1)


def test_a_mail_that_rspamd_learned_as_the_contrary_was_moved_in_vain(tmp_path: Path) -> None:
    _, (found,) = other(tmp_path, [*PLAIN, *TWO], [*SEEN, learned(600, 0, "ham"), learned(661, 60)])
    assert (found.subject, found.count) == (ALICE, 1)


def test_without_rspamd_s_log_moves_are_blind_and_it_is_named(tmp_path: Path) -> None:
    result, findings = other(tmp_path, [*PLAIN, *TWO], None)
    assert (result.verdict, findings) == ("blind", [])
    assert "rspamd.log" in result.blind_because[0]
    assert "DSPAM" not in result.blind_because[0]


def test_what_sa_learn_does_is_in_no_log_and_the_reason_says_how_to_get_one(tmp_path: Path) -> None:
    through = [sent(2, "A000000", ALICE, AMAVIS, "250 2.0.0 Ok: queued as B000001", agent="smtp")]
    verdict = amavis(1, "A000000", "m0@example.net", ALICE)
    result, findings = other(
        tmp_path, [*PLAIN, verdict, *through, *TWO], None, "content_filter = smtp:[127.0.0.1]:10024\n"
    )
    assert (result.verdict, findings) == ("blind", [])
    assert "sa-learn writes no log" in result.blind_because[0]


def piped(second: int, user: str, text: str) -> str:
    return f"{at(second)} dovecot: imap({user})<700><ses{second}>: {text}"


FAILED = "Error: sieve: uid=4: pipe action: failed to pipe message to program 'train-as-junk.sh'"


def test_a_program_that_fails_is_found_with_any_filter(tmp_path: Path) -> None:
    lines = [
        piped(600, ALICE, FAILED),
        piped(660, BOB, "sieve: pipe action: piped message to program `train-as-junk.sh'"),
    ]
    result, (found,) = other(tmp_path, [*PLAIN, *TWO, *lines], None, "content_filter = smtp:[127.0.0.1]:10024\n")
    assert (result.verdict, found.cause, found.subject, found.count) == ("found", "training-call-failed", ALICE, 1)


def test_a_mail_that_was_learned_before_is_no_failure(tmp_path: Path) -> None:
    again = rspamd(
        600,
        "csession; rspamd_controller_learn_fin_task: cannot learn <m0@example.net>: already learned as spam, ignore it",
    )
    result, findings = other(tmp_path, [*PLAIN, *TWO, piped(600, ALICE, FAILED)], [*SEEN, again, learned(661, 60)])
    assert findings == []
    assert result.verdict == "clear"


def test_a_pipe_to_another_program_is_no_training(tmp_path: Path) -> None:
    failed = FAILED.replace("train-as-junk.sh", "print.sh")
    result, findings = other(tmp_path, [*PLAIN, piped(600, ALICE, failed)], SEEN)
    assert (result.verdict, findings) == ("not-applicable", [])


# -- nobody to train ---------------------------------------------------------------------------------------------------


def test_a_server_without_a_filter_is_not_asked_for_one(tmp_path: Path) -> None:
    result, _ = other(tmp_path, PLAIN, None, "")
    assert (result.verdict, result.blind_because) == ("not-applicable", [])
    assert result.not_applicable == "No filter is set up here that users could train."


def test_without_a_configuration_nobody_knows_whether_there_is_a_filter(tmp_path: Path) -> None:
    result, _ = said(write(tmp_path, mail_log=PLAIN))
    assert (result.verdict, result.not_applicable) == ("blind", "")
    assert "main.cf" in result.blind_because[0]


def test_where_dovecot_trains_and_nobody_moved_a_mail_it_is_blind(tmp_path: Path) -> None:
    sieve = "# 2.3.19: /etc/dovecot/dovecot.conf\nprotocol imap {\n  mail_plugins = imap_sieve\n}\n"
    result, _ = other(tmp_path, PLAIN, SEEN, doveconf_n=sieve)
    assert result.verdict == "blind"
    assert "imapsieve" in result.blind_because[0]
    assert "mail_log" in result.blind_because[0]


# -- mended, and many --------------------------------------------------------------------------------------------------


def days_of(user: str, first_wrong: int) -> tuple[list[str], list[str]]:
    """A bare login's calls miss ``first_wrong`` times; three calls on the next two days hit."""
    log = [
        *MAILS,
        *(line for n in range(first_wrong) for line in missed(600 + n, user, 0, "/var/spool/dspam/data/local")),
    ]
    rows = [row(DAY * day + 900, "M", f"{user}@example.org", 120) for day in (1, 2, 2)]
    return log, [*VERDICTS, *rows]


def test_a_login_that_was_completed_later_leaves_nothing_to_do(tmp_path: Path) -> None:
    _, found = server(tmp_path, *days_of("alice", 2))
    (miss,) = (each for each in found if each.cause == "login-without-domain")
    assert (miss.state, miss.remedy, miss.count) == ("mended", None, 2)
    assert "; mended since " in miss.summary


def test_a_user_who_still_logs_in_without_the_domain_isnt_mended(tmp_path: Path) -> None:
    log, system = days_of("alice", 2)
    login = (
        f"{at(DAY)} dovecot: imap-login: Login: user=<alice>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, mpid=7, TLS"
    )
    _, found = server(tmp_path, [*log, login], system)
    states = {each.state for each in found if each.cause == "login-without-domain"}
    assert states == {"active"}


def test_thousands_who_train_in_vain_are_told_in_seconds(tmp_path: Path) -> None:
    log = [line for n in range(3000) for line in missed(600 + n, f"user{n}", 0, "/var/spool/dspam/data/local")]
    start = time.process_time()
    _, found = server(tmp_path, [*MAILS, *log], VERDICTS)
    assert len(found) == 3000
    assert time.process_time() - start < 8
