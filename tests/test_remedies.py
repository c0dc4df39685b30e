"""The remedies: each diff applies as printed, loses nothing, and what it makes means what was intended."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logscan import remedies
from logscan.checking.predicting import expansion_prediction
from logscan.findings import Remedy
from logscan.settings import Settings, read_settings

MAIN = """\
# main
myhostname = mx1.example.com
inet_interfaces = 198.51.100.10, 127.0.0.1
inet_protocols = ipv4
mydestination = mx1.example.com, localhost
virtual_mailbox_domains = example.com
smtpd_sasl_auth_enable = yes
"""
DSPAM = "Home /var/lib/dspam\nStorageDriver hash_drv\nDeliveryHost 127.0.0.1\nDeliveryPort 10026\nSystemLog on\n"
TAIL = """\
submission inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o content_filter=
# pickup, with a comment
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
"""
MASTER = {
    "lines": """\
# Postfix master process configuration file
smtp      inet  n       -       y       -       -       smtpd
  -o content_filter=lmtp:unix:/var/run/dspam/dspam.sock
# why the next line is there
  -o receive_override_options=no_address_mappings
  -o smtpd_client_connection_count_limit=10

127.0.0.1:10026 inet n - n - 10 smtpd
  -o content_filter=
  # an indented comment
  -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters
  -o smtpd_sasl_auth_enable=no
""",
    "one-line": """\
smtp inet n - n - - smtpd -o receive_override_options=no_address_mappings -o content_filter=lmtp:unix:/run/dspam.sock
127.0.0.1:10026 inet n - n - 10 smtpd -o receive_override_options=no_milters -o content_filter=
# the end
 -o smtpd_sasl_auth_enable=no
""",
    "tabs": """\
smtp\tinet\tn\t-\tn\t-\t-\tsmtpd
\t-o content_filter=lmtp:unix:/run/dspam.sock -o receive_override_options=no_milters,no_address_mappings
127.0.0.1:10026\tinet\tn\t-\tn\t-\t10\tsmtpd
\t-o receive_override_options=
\t-o content_filter=\t-o smtpd_sasl_auth_enable=no
""",
    "braces": """\
smtp inet n - n - - smtpd
    -o { content_filter = lmtp:unix:/run/dspam.sock }
    { -o receive_override_options = no_milters, no_address_mappings }
127.0.0.1:10026 inet n - n - 10 smtpd
    -o { receive_override_options = no_milters, no_header_body_checks } -o content_filter=
    -o smtpd_sasl_auth_enable=no
""",
    "twice": """\
smtp inet n - n - - smtpd
  -o content_filter=lmtp:unix:/run/dspam.sock
  -o receive_override_options=no_milters
  -o receive_override_options=no_address_mappings
127.0.0.1:10026 inet n - n - 10 smtpd
  -o receive_override_options=no_address_mappings
  -o receive_override_options=no_milters
  -o content_filter=
  -o smtpd_sasl_auth_enable=no
""",
    "without": """\
smtp inet n - n - - smtpd
  -o content_filter=lmtp:unix:/run/dspam.sock
  -o receive_override_options=no_address_mappings
127.0.0.1:10026 inet n - n - 10 smtpd
  -o content_filter=
  -o smtpd_sasl_auth_enable=no
""",
}


def apply(diff: str, texts: dict[str, str]) -> dict[str, str]:
    """Apply a unified diff as strictly as ``patch -p0 --fuzz=0``: every context and removed line must be there."""
    out = dict(texts)
    for part in re.split(r"(?m)^(?=--- )", diff):
        if not part:
            continue
        head, other, *body = re.findall(r"[^\n]*\n", part)
        name = head[4:-1]
        assert other == f"+++ {name}\n"
        old = re.findall(r"[^\n]*\n|[^\n]+", out[name])
        new: list[str] = []
        at = 0
        lines = iter(body)
        for line in lines:
            hunk = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n", line)
            if hunk:
                start = int(hunk[1]) - (hunk[2] != "0")
                new += old[at:start]
                at = start
            elif line.startswith("\\"):
                raise AssertionError("not used by these texts")
            elif line[0] in " -":
                assert old[at] == line[1:]
                new += [line[1:]] if line[0] == " " else []
                at += 1
            else:
                assert line[0] == "+"
                new.append(line[1:])
        out[name] = "".join([*new, *old[at:]])
    return out


def mended(remedy: Remedy, texts: dict[str, str]) -> tuple[Settings, dict[str, str]]:
    assert remedy.diff is not None, remedy.text
    after = apply(remedy.diff, texts)
    result = read_settings(after.items())
    assert [problem for problem in result.problems if "again" not in problem.text] == []
    return result, after


def texts_of(master: str, main: str = MAIN) -> dict[str, str]:
    return {"main.cf": main, "master.cf": master, "dspam.conf": DSPAM}


def in_force(settings: Settings) -> dict[str, dict[str, str]]:
    """Return every override in force, lists without their blanks."""
    return {
        service.key: {name: "".join(fact.value.split()) for name, fact in service.options.items()}
        for service in settings.postfix.services
    }


def comments(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.lstrip().startswith("#")]


def changes(texts: dict[str, str], remedy: Remedy) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """Return what an applied remedy changed among the overrides in force; nothing else may have changed."""
    before = in_force(read_settings(texts.items()))
    result, after_texts = mended(remedy, texts)
    after = in_force(result)
    assert list(before) == list(after)
    assert comments(after_texts["master.cf"]) == comments(texts["master.cf"])
    found = {}
    for key in before:
        for name in {*before[key], *after[key]}:
            one, two = before[key].get(name), after[key].get(name)
            if one != two:
                found[key, name] = (one, two)
    return found


def expanding_before(master: str) -> str:
    """Return the same master.cf with another option in place of no_address_mappings."""
    return master.replace("no_address_mappings", "no_header_body_checks")


STYLES = pytest.mark.parametrize("style", MASTER)
BACK = ("127.0.0.1:10026/inet", "receive_override_options")
FRONT = ("smtp/inet", "receive_override_options")


@STYLES
def test_double_expansion_merges_into_the_options_that_are_there(style: str) -> None:
    texts = texts_of(MASTER[style] + TAIL)
    texts["master.cf"] = expanding_before(texts["master.cf"])
    remedy = remedies.no_address_mappings_after(read_settings(texts.items()))
    found = changes(texts, remedy)
    assert list(found) == [BACK]
    old, new = found[BACK]
    assert new == ",".join(each for each in (old, "no_address_mappings") if each)
    assert remedy.file == "master.cf"


@STYLES
def test_alias_owns_hash_merges_after_and_removes_before(style: str) -> None:
    texts = texts_of(MASTER[style] + TAIL)
    settings = read_settings(texts.items())
    remedy = remedies.alias_owns_hash(settings)
    found = changes(texts, remedy)
    assert set(found) == {BACK, FRONT}
    left = (found[FRONT][1] or "").split(",")
    assert left == [each for each in (found[FRONT][0] or "").split(",") if each != "no_address_mappings"] or left == [
        ""
    ]
    result, _ = mended(remedy, texts)
    assert [each.row for each in expansion_prediction(result)] == ["right"]


def test_on_both_sides_it_is_taken_away_before_the_filter_only() -> None:
    texts = texts_of(MASTER["lines"].replace("no_milters\n", "no_milters,no_address_mappings\n") + TAIL)
    remedy = remedies.alias_owns_hash(read_settings(texts.items()))
    assert changes(texts, remedy) == {FRONT: ("no_address_mappings", None)}
    assert "never expanded" in remedy.text


def test_a_second_override_that_would_come_to_light_is_kept_away() -> None:
    texts = texts_of(MASTER["twice"] + TAIL)
    found = changes(texts, remedies.alias_owns_hash(read_settings(texts.items())))
    assert found[FRONT] == ("no_address_mappings", ""), "the earlier no_milters was not in force and must not become so"


@STYLES
def test_port_25_offers_no_authentication(style: str) -> None:
    texts = texts_of(MASTER[style] + TAIL)
    remedy = remedies.move_to_submission(read_settings(texts.items()), "bob@example.com")
    assert changes(texts, remedy) == {("smtp/inet", "smtpd_sasl_auth_enable"): (None, "no")}
    assert "Only after the users" in remedy.text
    assert "own domains" in remedy.text
    assert remedy.message
    assert "bob@example.com" in remedy.message
    assert "587" in remedy.message


def test_behind_postscreen_the_smtpd_line_is_changed() -> None:
    master = "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n"
    texts = texts_of(master + TAIL)
    remedy = remedies.refuse_auth_on_25(read_settings(texts.items()))
    assert changes(texts, remedy) == {("smtpd/pass", "smtpd_sasl_auth_enable"): ("yes", "no")}


def test_main_cf_values_and_printed_configuration_get_commands_not_a_diff() -> None:
    main = MAIN + "receive_override_options = no_milters\n"
    master = expanding_before(MASTER["without"] + TAIL)
    remedy = remedies.no_address_mappings_after(read_settings(texts_of(master, main).items()))
    assert remedy.diff is None
    wanted = "postconf -P 127.0.0.1:10026/inet/receive_override_options=no_milters,no_address_mappings"
    assert wanted in remedy.text
    printed = [("M.txt", "smtp inet n - n - - smtpd -o content_filter=dspam:\n127.0.0.1:10026 inet n - n - - smtpd\n")]
    remedy = remedies.no_address_mappings_after(read_settings(printed))
    assert remedy.diff is None
    assert "postconf -P 127.0.0.1:10026/inet/receive_override_options=no_address_mappings" in remedy.text


def test_a_mapping_switched_off_in_main_cf_is_overridden_for_the_filtering_service() -> None:
    main = MAIN + "receive_override_options = no_address_mappings, no_milters\n"
    master = MASTER["lines"].replace("  -o receive_override_options=no_address_mappings\n", "")
    remedy = remedies.alias_owns_hash(read_settings(texts_of(master + TAIL, main).items()))
    assert changes(texts_of(master + TAIL, main), remedy)[FRONT] == (None, "no_milters")


def test_pickup_passes_the_filter_by() -> None:
    texts = texts_of(MASTER["lines"] + TAIL, MAIN + "content_filter = dspam:\n")
    remedy = remedies.unfilter_local(read_settings(texts.items()), loopback=False)
    assert changes(texts, remedy) == {("pickup/unix", "content_filter"): (None, "")}
    assert "fetchmail" in remedy.text


@STYLES
def test_port_25_is_split_by_address(style: str) -> None:
    main = MAIN.replace("127.0.0.1", "127.0.0.1, ::1, 2001:db8::1").replace("= ipv4", "= all")
    texts = texts_of(MASTER[style] + TAIL, main)
    before = in_force(read_settings(texts.items()))
    remedy = remedies.unfilter_local(read_settings(texts.items()))
    result, after_texts = mended(remedy, texts)
    after = in_force(result)
    smtp = before.pop("smtp/inet")
    outer = [after.pop(f"{address}:25/inet") for address in ("198.51.100.10", "[2001:db8::1]")]
    inner = [after.pop(f"{address}:25/inet") for address in ("127.0.0.1", "[::1]")]
    assert outer == [smtp, smtp]
    left = [each for each in smtp["receive_override_options"].split(",") if each != "no_address_mappings"]
    assert [each.pop("receive_override_options", "") for each in inner] == [",".join(left)] * 2, "aliases are expanded"
    assert inner == [{key: value for key, value in smtp.items() if key[:8] != "receive_"} | {"content_filter": ""}] * 2
    assert after == before
    assert comments(after_texts["master.cf"]) == comments(texts["master.cf"])
    assert [each.port for each in result.listeners()][:4] == [25] * 4


@pytest.mark.parametrize("interfaces", ["all", "$myhostname, localhost", "loopback-only", "mx1.example.com, 127.0.0.1"])
def test_without_concrete_addresses_the_split_is_told_in_words(interfaces: str) -> None:
    main = MAIN.replace("198.51.100.10, 127.0.0.1", interfaces)
    remedy = remedies.unfilter_local(read_settings(texts_of(MASTER["lines"] + TAIL, main).items()), pickup=False)
    assert remedy.diff is None
    assert "FILTER lmtp:unix:/var/run/dspam/dspam.sock" in remedy.text
    assert "127.0.0.1:25" in remedy.text


def test_a_loopback_line_of_its_own_is_changed_in_place() -> None:
    texts = texts_of("127.0.0.1:smtp inet n - n - - smtpd\n  -o content_filter=dspam:\n" + TAIL)
    remedy = remedies.unfilter_local(read_settings(texts.items()))
    assert changes(texts, remedy) == {("127.0.0.1:smtp/inet", "content_filter"): ("dspam:", "")}


def test_a_filtered_submission_service_is_freed() -> None:
    texts = texts_of(MASTER["lines"] + TAIL.replace("content_filter=", "content_filter=dspam:"))
    remedy = remedies.unfilter_submission(read_settings(texts.items()))
    assert changes(texts, remedy) == {("submission/inet", "content_filter"): ("dspam:", "")}


def test_a_global_filter_moves_to_port_25() -> None:
    master = "smtp inet n - n - - smtpd\n2526 inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=no\n"
    master += "127.0.0.1:10026 inet n - n - 10 smtpd\n  -o content_filter=\n"
    texts = texts_of(
        master + TAIL.replace("  -o content_filter=\n", ""), MAIN + "content_filter = dspam:x\nbiff = no\n"
    )
    remedy = remedies.filter_port_25_only(read_settings(texts.items()))
    assert changes(texts, remedy) == {
        ("smtp/inet", "content_filter"): (None, "dspam:x"),
        ("2526/inet", "content_filter"): (None, "dspam:x"),
    }
    result, after = mended(remedy, texts)
    assert after["main.cf"] == MAIN + "biff = no\n"
    assert [each.key for each in result.filtered()] == ["smtp/inet", "2526/inet"]


def test_a_file_without_a_last_line_feed_gets_a_diff_that_says_so() -> None:
    submission = "submission inet n - n - - smtpd\n"
    texts = texts_of(submission + "smtp inet n - n - - smtpd -o content_filter=dspam:")
    diff = remedies.refuse_auth_on_25(read_settings(texts.items())).diff
    assert diff
    assert diff.count("\\ No newline at end of file\n") == 2


@given(st.lists(st.sampled_from(["a\n", "b\n", "\n", "c\r\n", "\x0c\n", "\u2028 d\n"])), st.integers(0, 30))
def test_diffs_apply_to_what_they_were_made_from(lines: list[str], at: int) -> None:
    old = "".join(lines)
    new = "".join([*lines[:at], "new\n", *lines[at + 1 :]])
    if old and old != new:
        assert apply(remedies.unified("f", old, new), {"f": old}) == {"f": new}


# --- training --------------------------------------------------------------------------------------------------------

CONF = "protocols = imap\nmail_location = maildir:~/M\nplugin {\n  antispam_dspam_args = --client;--user;%u # who\n}\n"


def test_the_training_call_spells_the_only_domain() -> None:
    texts = {"main.cf": MAIN, "90-antispam.conf": CONF}
    remedy = remedies.training_arguments(read_settings(texts.items()))
    result, after = mended(remedy, texts)
    assert result.dovecot.training_user == "%n@example.com"
    assert "# who" in after["90-antispam.conf"]
    assert "auth_default_realm = example.com" in remedy.text


def test_doveconf_output_is_no_file_to_patch() -> None:
    output = "# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\n" + CONF
    remedy = remedies.training_arguments(read_settings([("main.cf", MAIN), ("doveconf-n.txt", output)]))
    assert (remedy.diff, remedy.file, remedy.line) == (None, "doveconf-n.txt", 5)
    assert "antispam_dspam_args = --client;--user;%n@example.com" in remedy.text


def test_with_several_domains_there_is_no_ready_answer() -> None:
    main = MAIN.replace("= example.com", "= example.com, example.org")
    remedy = remedies.training_arguments(read_settings([("main.cf", main), ("d.conf", CONF)]))
    assert remedy.diff is None
    assert "one only" in remedy.text


def test_2_4_has_another_name_for_the_default_realm() -> None:
    output = "# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf\n"
    remedy = remedies.training_arguments(
        read_settings([("main.cf", MAIN), ("doveconf", output + "protocols = imap\n")])
    )
    assert "auth_default_domain = example.com" in remedy.text


ALL: list[Callable[[Settings], Remedy]] = [
    remedies.alias_owns_hash,
    remedies.filter_port_25_only,
    remedies.move_to_submission,
    remedies.no_address_mappings_after,
    remedies.refuse_auth_on_25,
    remedies.training_arguments,
    remedies.unfilter_local,
    remedies.unfilter_submission,
]


@pytest.mark.parametrize("make", ALL)
def test_every_remedy_has_words_whatever_is_known(make: Callable[[Settings], Remedy]) -> None:
    for texts in ({}, {"main.cf": MAIN}, texts_of(TAIL), {"P.txt": "smtp/inet/content_filter = dspam:\n"}):
        remedy = make(read_settings(texts.items()))
        assert len(remedy.text) > 40
        assert "  " not in remedy.text
        assert "None" not in remedy.text
