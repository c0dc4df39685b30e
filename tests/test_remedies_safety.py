"""No remedy does harm: none loses, bounces, loops or exposes mail, locks a user out, or does nothing when applied."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from test_remedies import DSPAM, MAIN, MASTER, TAIL, changes, expanding_before, mended, texts_of

from logscan import remedies
from logscan.settings import Settings, read_settings

BOTH_OFF = MASTER["lines"].replace("no_milters\n", "no_milters,no_address_mappings\n") + TAIL
ONLY_BEFORE = MASTER["lines"] + TAIL
NOWHERE = expanding_before(MASTER["lines"]) + TAIL


def settings(master: str, main: str = MAIN, **files: str) -> Settings:
    texts = texts_of(master, main)
    texts.update({name.replace("_", "."): text for name, text in files.items()})
    return read_settings(texts.items())


# --- both sides of the filter, in the configuration given --------------------------------------------------------------


@pytest.mark.parametrize("port", [10026, 10090])
@pytest.mark.parametrize("service", ["smtp", "198.51.100.10:25", "2525"])
def test_mapping_is_never_switched_off_behind_the_filter_where_it_is_off_before_it(port: int, service: str) -> None:
    master = ONLY_BEFORE.replace("10026", str(port)).replace("smtp      inet", f"{service}      inet")
    texts = {"main.cf": MAIN, "master.cf": master, "dspam.conf": DSPAM.replace("10026", str(port))}
    remedy = remedies.no_address_mappings_after(read_settings(texts.items()))
    assert remedy.diff is None
    assert remedy.absent
    assert "stands before the filter already" in remedy.text
    assert "newer than the log" in remedy.text


def test_mapping_off_by_main_cf_counts_as_off_before_the_filter() -> None:
    main = MAIN + "receive_override_options = no_address_mappings\n"
    remedy = remedies.no_address_mappings_after(
        settings(NOWHERE.replace("  -o receive_override_options=no_header_body_checks\n", ""), main)
    )
    assert remedy.diff is None
    assert "stands before the filter already" in remedy.text


def test_mapping_off_by_another_cleanup_counts_as_off_before_the_filter() -> None:
    master = NOWHERE.replace("smtpd_client_connection_count_limit=10", "cleanup_service_name=raw")
    master += "raw unix n - n - 0 cleanup\n  -o virtual_alias_maps=\n"
    remedy = remedies.no_address_mappings_after(settings(master))
    assert remedy.diff is None
    assert "stands before the filter already" in remedy.text
    owned = remedies.alias_owns_hash(settings(master))
    assert owned.diff is None, "another service's cleanup can't be taken away"
    assert "cleanup service raw" in owned.text


def test_mapping_off_behind_the_filter_already_is_said() -> None:
    master = NOWHERE.replace("no_milters\n", "no_milters,no_address_mappings\n")
    assert "after the filter already" in remedies.no_address_mappings_after(settings(master)).text
    both = remedies.no_address_mappings_after(settings(BOTH_OFF))
    assert both.diff is None
    assert "both sides" in both.text


def test_services_that_differ_before_the_filter_get_words() -> None:
    master = ONLY_BEFORE.replace(
        "pickup unix n - n 60 1 pickup\n", "pickup unix n - n 60 1 pickup\n  -o content_filter=dspam:\n"
    ).replace("content_filter=lmtp:unix:/var/run/dspam/dspam.sock", "content_filter=dspam:")
    remedy = remedies.no_address_mappings_after(settings(master))
    assert remedy.diff is None
    assert "Some services" in remedy.text


def test_behind_a_proxy_before_the_queue_mapping_stays() -> None:
    master = "smtp inet n - n - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n"
    master += "127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n"
    for make in (remedies.no_address_mappings_after, remedies.alias_owns_hash):
        remedy = make(settings(master + TAIL))
        assert remedy.diff is None


def test_a_guess_among_several_services_is_no_diff() -> None:
    master = NOWHERE + "127.0.0.1:10587 inet n - n - - smtpd\n  -o syslog_name=postfix/webmail\n"
    remedy = remedies.no_address_mappings_after(read_settings([("main.cf", MAIN), ("master.cf", master)]))
    assert remedy.diff is None
    assert "127.0.0.1:10587/inet" in remedy.text
    told = remedies.no_address_mappings_after(settings(master))
    assert told.diff, "dspam.conf tells which one"


def test_a_filter_that_hands_back_by_a_command_is_no_service() -> None:
    dspam = 'Home /x\nStorageDriver hash_drv\nTrustedDeliveryAgent "/usr/sbin/sendmail -i"\nOnFail error\n'
    master = NOWHERE.replace("lmtp:unix:/var/run/dspam/dspam.sock", "dspam:")
    texts = {"main.cf": MAIN, "master.cf": master, "dspam.conf": dspam}
    assert remedies.no_address_mappings_after(read_settings(texts.items())).diff is None


def test_moving_it_needs_an_empty_queue_and_says_how() -> None:
    remedy = remedies.alias_owns_hash(settings(ONLY_BEFORE))
    assert remedy.needs == ("empty-queue",)
    for said in (
        "The queue must be empty first",
        "master_service_disable = smtp.inet submission.inet'",
        "postqueue -f",
        "mailq",
        "bounce",
    ):
        assert said in remedy.text
    assert "10026" not in remedy.text.partition("master_service_disable")[2].partition("'")[0]


def test_services_disabled_already_stay_so_while_the_queue_empties() -> None:
    remedy = remedies.alias_owns_hash(settings(ONLY_BEFORE, MAIN + "master_service_disable = 2525.inet\n"))
    assert "master_service_disable = 2525.inet smtp.inet submission.inet" in remedy.text


# --- services that are freed -------------------------------------------------------------------------------------------


def test_a_freed_service_has_its_aliases_expanded_again() -> None:
    off = "content_filter=dspam:\n  -o receive_override_options=no_milters,no_address_mappings"
    master = MASTER["lines"] + TAIL.replace("content_filter=", off)
    texts = texts_of(master)
    remedy = remedies.unfilter_submission(read_settings(texts.items()))
    assert changes(texts, remedy) == {
        ("submission/inet", "content_filter"): ("dspam:", ""),
        ("submission/inet", "receive_override_options"): ("no_milters,no_address_mappings", "no_milters"),
    }


def test_a_freed_service_with_a_cleanup_of_its_own_is_told_in_words() -> None:
    off = "content_filter=dspam:\n  -o cleanup_service_name=raw"
    master = (
        MASTER["lines"]
        + TAIL.replace("content_filter=", off)
        + "raw unix n - n - 0 cleanup\n  -o virtual_alias_maps=\n"
    )
    remedy = remedies.unfilter_submission(settings(master))
    assert remedy.diff is None
    assert "aliases aren't expanded" in remedy.text


@pytest.mark.parametrize(
    ("amavis", "diff"),
    [
        ("", False),
        ("$enable_dkim_signing = 1;\n", False),
        ("$enable_dkim_signing = 0;\n", True),
        ("$enable_dkim_verification = 1;\n", True),
    ],
)
def test_mail_that_amavis_signs_keeps_its_filter(amavis: str, diff: bool) -> None:
    master = "smtp inet n - n - - smtpd\n  -o content_filter=amavis:[127.0.0.1]:10024\n"
    master += TAIL.replace("content_filter=", "content_filter=amavis:[127.0.0.1]:10024")
    master += "127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n"
    texts = {"main.cf": MAIN, "master.cf": master}
    if amavis:
        texts["amavisd.conf"] = (
            "use strict;\n$max_servers = 2;\n$daemon_user = 'amavis';\n$inet_socket_port = 10024;\n"
            f"$forward_method = 'smtp:[127.0.0.1]:10025';\n{amavis}1;\n"
        )
    remedy = remedies.unfilter_submission(read_settings(texts.items()))
    assert bool(remedy.diff) is diff
    assert ("DKIM" in remedy.text) is not diff


def test_mail_that_milters_sign_behind_the_filter_keeps_its_filter() -> None:
    master = NOWHERE.replace("no_header_body_checks,no_milters", "no_header_body_checks").replace(
        "content_filter=\n# pickup", "content_filter=dspam:\n  -o receive_override_options=no_milters\n# pickup"
    )
    remedy = remedies.unfilter_submission(settings(master, MAIN + "smtpd_milters = inet:localhost:8891\n"))
    assert remedy.diff is None
    assert "DKIM" in remedy.text


def test_a_global_filter_leaves_pickup_and_submission_whatever_they_name_themselves() -> None:
    master = "smtp inet n - n - - smtpd\n127.0.0.1:10026 inet n - n - 10 smtpd\n  -o content_filter=\n"
    master += TAIL.replace("  -o content_filter=\n", "  -o content_filter=dspam:x\n").replace(
        "1 pickup\n", "1 pickup\n  -o content_filter=dspam:x\n"
    )
    texts = texts_of(master, MAIN + "content_filter = dspam:x\n")
    remedy = remedies.filter_port_25_only(read_settings(texts.items()))
    result, _ = mended(remedy, texts)
    assert [each.key for each in result.filtered()] == ["smtp/inet"]


def test_a_global_filter_with_mail_by_loopback_splits_port_25_too() -> None:
    master = "smtp inet n - n - - smtpd\n127.0.0.1:10026 inet n - n - 10 smtpd\n  -o content_filter=\n" + TAIL
    texts = texts_of(master, MAIN + "content_filter = dspam:x\n")
    remedy = remedies.filter_port_25_only(read_settings(texts.items()), loopback=True)
    result, _ = mended(remedy, texts)
    assert [each.key for each in result.filtered()] == ["198.51.100.10:25/inet"]
    assert remedy.needs == ("restart",)
    wild = remedies.filter_port_25_only(
        settings(master, MAIN.replace("198.51.100.10, 127.0.0.1", "all") + "content_filter = dspam:x\n"), loopback=True
    )
    assert wild.diff is None, "half of it would cure nothing"


def test_localhost_is_not_split_into_an_address_that_may_not_be_there() -> None:
    main = MAIN.replace("127.0.0.1", "localhost").replace("= ipv4", "= all")
    assert remedies.unfilter_local(settings(ONLY_BEFORE, main), pickup=False).diff is None
    four = remedies.unfilter_local(settings(ONLY_BEFORE, MAIN.replace("127.0.0.1", "localhost")), pickup=False)
    assert four.diff
    assert "::1" not in four.diff


# --- users -------------------------------------------------------------------------------------------------------------


def test_nobody_is_locked_out_where_there_is_no_submission_service() -> None:
    master = MASTER["lines"] + "pickup unix n - n 60 1 pickup\n"
    remedy = remedies.move_to_submission(settings(master), "bob@example.com")
    assert remedy.diff is None
    assert "First open a submission service" in remedy.text


@pytest.mark.parametrize("submission", ["127.0.0.1:587", "submission"])
def test_a_submission_service_without_logins_or_for_this_host_only_is_none(submission: str) -> None:
    login = "yes" if submission != "submission" else "no"
    master = MASTER["lines"] + f"{submission} inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable={login}\n"
    assert remedies.refuse_auth_on_25(settings(master)).diff is None


def test_own_domains_are_refused_on_port_25_only_behind_permits_with_what_it_refuses_said() -> None:
    text = remedies.refuse_auth_on_25(settings(ONLY_BEFORE)).text
    permits = text.index("permit_mynetworks, permit_sasl_authenticated, then check_sender_access")
    assert text.index("-o smtpd_sender_restrictions") < permits
    for said in ("on smtp/inet", "lock users out of 587", "mailing lists", "forwarders", "web shops"):
        assert said in text


# --- DSPAM, Dovecot, milters: words -------------------------------------------------------------------------------------


def test_dspam_gets_a_transport_of_its_own() -> None:
    text = remedies.dspam_one_at_a_time(settings(ONLY_BEFORE)).text
    assert "dspam_destination_concurrency_limit = 1" in text
    assert "content_filter = dspam:unix:/var/run/dspam/dspam.sock" in text
    assert "Not lmtp_destination_concurrency_limit" in text


@pytest.mark.parametrize(
    ("owners", "user", "said", "unsaid"),
    [
        (["k.berg+news@example.com"], "k.berg@example.com", "PlusedCharacter +", "Broken case"),
        (["K.Berg@example.com"], "k.berg@example.com", "Broken case", "EnablePlusedDetail"),
    ],
)
def test_spellings_are_mended_by_dspams_own_switches(owners: list[str], user: str, said: str, unsaid: str) -> None:
    text = remedies.case_or_extension(settings(ONLY_BEFORE), owners, user).text
    assert said in text
    assert unsaid not in text
    assert "stranded" in text
    assert "StripRcptDomain" not in text


def test_with_several_domains_the_default_realm_is_told_with_what_depends_on_it() -> None:
    main = MAIN.replace("= example.com", "= example.com, example.org, example.net")
    conf = "protocols = imap\nplugin {\n  antispam_dspam_args = --client;--user;%u\n}\n"
    remedy = remedies.training_arguments(read_settings([("main.cf", main), ("antispam.conf", conf)]))
    assert remedy.diff is None
    for said in ("auth_default_realm", "mail_home", "smtpd_sender_login_maps"):
        assert said in remedy.text
    assert "%n@" not in remedy.text


@pytest.mark.parametrize("cause", ["login-is-not-address", "other-domain"])
def test_a_fixed_domain_is_no_cure_for_a_login_that_is_not_the_address(cause: str) -> None:
    conf = "protocols = imap\nplugin {\n  antispam_dspam_args = --client;--user;%u\n}\n"
    remedy = remedies.training_arguments(read_settings([("main.cf", MAIN), ("antispam.conf", conf)]), cause)
    assert remedy.diff is None
    assert "userdb" in remedy.text


def test_logins_that_are_completed_already_need_no_change() -> None:
    conf = (
        "protocols = imap\nauth_default_realm = example.com\nplugin {\n  antispam_dspam_args = --client;--user;%u\n}\n"
    )
    remedy = remedies.training_arguments(read_settings([("main.cf", MAIN), ("antispam.conf", conf)]))
    assert remedy.diff is None
    assert remedy.absent


@pytest.mark.parametrize("origin", ["submission-filtered", "local-script", "all-filtered", "authenticated-port-25"])
@pytest.mark.parametrize("pickup", [True, False])
@pytest.mark.parametrize("kind", ["rspamd", "amavis", "spamassassin", "other"])
def test_a_milters_remedy_says_nothing_of_content_filter(origin: str, pickup: bool, kind: str) -> None:
    main = MAIN + "smtpd_milters = inet:127.0.0.1:11332\nnon_smtpd_milters = inet:127.0.0.1:11332\n"
    remedy = remedies.spare_by_milter(settings("smtp inet n - n - - smtpd\n" + TAIL, main), origin, kind, pickup=pickup)
    assert remedy.diff is None
    assert "content_filter" not in remedy.text
    if "smtpd_milter_maps" in remedy.text:
        assert "client's address" in remedy.text
        assert "DKIM" in remedy.text
    if origin == "submission-filtered":
        assert "-o smtpd_milters=" in remedy.text
        assert "smtpd_milter_maps" not in remedy.text
        assert ("authenticated = yes" in remedy.text) is (kind == "rspamd")
    if pickup and origin == "local-script":
        assert "non_smtpd_milters" in remedy.text


def test_diffs_are_made_nowhere_but_in_remedies(checkout: Path) -> None:
    made = []
    for path in (checkout / "logscan").rglob("*.py"):
        if path.parent.name == "remedies" or path.name == "read_back.py":  # the latter reads what was made and stored
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Remedy":
                made += (
                    [path.name]
                    if any(each.arg in {"diff", "edits"} for each in node.keywords) or len(node.args) > 3
                    else []
                )
    assert made == []
