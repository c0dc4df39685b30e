"""What the configuration means: values in force, listeners, filters, addresses, predictions."""

from __future__ import annotations

import pytest

from logscan.checking.predicting import expansion_prediction, predictions
from logscan.settings import (
    Fact,
    Parameters,
    Settings,
    parse_destination,
    read_settings,
    split_list,
)

MAIN = """\
compatibility_level = 3.6
myhostname = mx1.example.com
mydomain = example.com
myorigin = example.com
mydestination = mx1.example.com, localhost.example.com, localhost
mynetworks = 127.0.0.0/8, [::1]/128
inet_interfaces = 198.51.100.10, 127.0.0.1
alias_maps = hash:/etc/aliases
virtual_mailbox_domains = example.com
virtual_mailbox_maps = hash:/etc/postfix/vmailbox
virtual_alias_maps = hash:/etc/postfix/virtual
virtual_transport = lmtp:unix:private/dovecot-lmtp
transport_maps = hash:/etc/postfix/transport
smtpd_sasl_auth_enable = yes
recipient_delimiter = +
"""
SMTP = "smtp inet n - n - - smtpd\n  -o content_filter=lmtp:unix:/var/run/dspam/dspam.sock\n"
SUBMISSION = (
    "submission inet n - n - - smtpd\n  -o syslog_name=postfix/submission\n  -o content_filter=\n"
    "  -o smtpd_client_restrictions=$mua_client_restrictions\n"
)
BACK = (
    "127.0.0.1:10026 inet n - n - 10 smtpd\n  -o content_filter=\n"
    "  -o receive_override_options=no_milters,no_address_mappings\n  -o smtpd_sasl_auth_enable=no\n"
)
REST = "pickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nlmtp unix - - n - - lmtp\n"
MASTER = SMTP + SUBMISSION + BACK + REST
DSPAM = (
    "Home /var/lib/dspam\nStorageDriver hash_drv\nDeliveryHost 127.0.0.1\nDeliveryPort 10026\n"
    'ServerDomainSocketPath "/run/dspam/dspam.sock"\nServerParameters "--deliver=innocent,spam"\nSystemLog on\n'
    'Preference "spamAction=deliver"\nPreference "tagSpam=off"\nOpt out\n'
)
VIRTUAL = """\
sales@example.com alice@example.com, bob@example.com
root@example.com root@example.com, alice@example.com
postmaster@example.com root@example.com
Info@Example.com erin@example.com
@old.example.com @example.com
"""
VMAILBOX = (
    "alice@example.com example.com/alice/\nbob@example.com example.com/bob/\nroot@example.com example.com/root/\n"
)
ALIASES = "postmaster: root\nroot: alice@example.com\n"
DOVECONF = """\
# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
namespace inbox {
  mailbox Junk {
    special_use = \\Junk
  }
}
plugin {
  antispam_dspam_args = --deliver=;--client;--user;%u
  antispam_spam = Spam;Junk
}
protocol imap {
  mail_plugins = notify mail_log antispam
}
"""


def settings(**texts: str) -> Settings:
    """Read texts given by name: ``main_cf=...`` stands for ``main.cf``."""
    return read_settings((name.replace("_cf", ".cf").replace("_conf", ".conf"), text) for name, text in texts.items())


@pytest.fixture
def mail() -> Settings:
    return settings(
        main_cf=MAIN, master_cf=MASTER, dspam_conf=DSPAM, virtual=VIRTUAL, vmailbox=VMAILBOX, doveconf=DOVECONF
    )


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$a", "one"),
        ("${a}x$(a)", "onexone"),
        ("${a?yes}${a:no}", "yes"),
        ("${none?yes}${none:no}", "no"),
        ("${a?{set}:{unset}}", "set"),
        ("${none?{set}:{un${a}set}}", "unoneset"),
        ("${{$a} == {one} ? {same} : {other}}", "same"),
        ("${{$level} < {3.6} ? {old} : {new}}", "new"),
        ("${{$level} <level {3.10} ? {old} : {new}}", "old"),
        ("$$a costs", "$a costs"),
        ("$", ""),
        ("$loop", ""),
        ("${", ""),
    ],
)
def test_variables_are_expanded_as_postfix_does(text: str, value: str) -> None:
    given = {"a": "one", "level": "3.6", "loop": "$loop"}
    parameters = Parameters({name: Fact(each, "main.cf", 1) for name, each in given.items()})
    assert parameters.expand(text) == value


def test_an_expansion_bomb_is_cut_off() -> None:
    facts = {f"x{at}": Fact(f"$x{at + 1}" * 10, "main.cf", 1) for at in range(20)}
    facts["x20"] = Fact("x" * 1000, "main.cf", 1)
    assert len(Parameters(facts).get("x0")) < 1 << 22


def test_each_value_knows_its_file_and_line(mail: Settings) -> None:
    assert mail.postfix.main["myhostname"] == Fact("mx1.example.com", "main.cf", 2)
    service = mail.postfix.service("127.0.0.1:10026")
    assert service
    assert service.fact("smtpd_sasl_auth_enable") == Fact("no", "master.cf", 10)
    assert service.fact("recipient_delimiter") == Fact("+", "main.cf", 15)
    assert service.fact("virtual_minimum_uid") is None


def test_an_override_counts_more_than_main_cf_and_main_cf_more_than_the_default() -> None:
    given = settings(main_cf=MAIN + "syslog_name = out\nmua_client_restrictions = reject\n", master_cf=MASTER)
    smtp, submission, _ = given.listeners()
    assert (smtp.tag, submission.tag) == ("out/smtpd", "postfix/submission/smtpd")
    assert submission.service.get("smtpd_client_restrictions") == "reject"
    assert smtp.service.get("cleanup_service_name") == "cleanup"


def test_service_name_is_known_to_overrides() -> None:
    given = settings(main_cf=MAIN, master_cf="2525 inet n - n - - smtpd -o syslog_name=postfix/$service_name\n")
    assert given.listeners()[0].tag == "postfix/2525/smtpd"


def test_lists_keep_braces_together() -> None:
    assert split_list("a, b{c, d} ,e") == ["a", "b{c, d}", "e"]


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "path"),
    [
        ("lmtp:unix:/var/run/dspam/dspam.sock", "lmtp", "", None, "/var/run/dspam/dspam.sock"),
        ("smtp-amavis:[127.0.0.1]:10024", "smtp-amavis", "127.0.0.1", 10024, ""),
        ("smtp-amavis:[::1]:10024", "smtp-amavis", "::1", 10024, ""),
        ("scan:localhost:10025", "scan", "localhost", 10025, ""),
        ("lmtp:inet:127.0.0.1:24", "lmtp", "127.0.0.1", 24, ""),
        ("dspam:", "dspam", "", None, ""),
        ("dspam", "dspam", "", None, ""),
    ],
)
def test_destinations(text: str, transport: str, host: str, port: int | None, path: str) -> None:
    found = parse_destination(text)
    assert (found.transport, found.host, found.port, found.path) == (transport, host, port, path)


# --- services --------------------------------------------------------------------------------------------------------


def test_listeners_ports_and_tags(mail: Settings) -> None:
    shown = [(each.port, each.address, each.tag, each.sasl, bool(each.content_filter)) for each in mail.listeners()]
    assert shown == [
        (25, "", "postfix/smtpd", True, True),
        (587, "", "postfix/submission/smtpd", True, False),
        (10026, "127.0.0.1", "postfix/smtpd", False, False),
    ]


def test_a_tag_that_re_injection_shares_still_means_port_25(mail: Settings) -> None:
    assert mail.port_of("postfix/smtpd") == 25
    assert mail.ports_of("postfix/smtpd") == (25, 10026)
    assert mail.port_of("postfix/submission/smtpd") == 587
    assert mail.port_of("postfix/other/smtpd") is None


def test_the_command_line_knows_better() -> None:
    assert read_settings([], services={"postfix/smtpd": 2525}).port_of("postfix/smtpd") == 2525


def test_behind_postscreen_the_smtpd_pass_line_holds_port_25() -> None:
    master = "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n  -o content_filter=scan:x:10025\n"
    given = settings(main_cf=MAIN, master_cf=master)
    assert [(each.port, each.postscreen, each.service.key) for each in given.listeners()] == [(25, True, "smtpd/pass")]
    assert [each.key for each in given.filtered()] == ["smtpd/pass"]


def test_a_global_filter_applies_to_all_that_do_not_override_it() -> None:
    given = settings(main_cf=MAIN + "content_filter = dspam:\n", master_cf=MASTER)
    assert [each.key for each in given.filtered()] == ["smtp/inet", "pickup/unix"]


def test_re_injection_is_what_the_filter_names(mail: Settings) -> None:
    assert [each.service.name for each in mail.reinjection()] == ["127.0.0.1:10026"]


def test_re_injection_is_guessed_without_the_filters_configuration() -> None:
    given = settings(main_cf=MAIN, master_cf=MASTER + "2525 inet n - n - - smtpd\n")
    assert [each.service.name for each in given.reinjection()] == ["127.0.0.1:10026"]
    unfiltered = settings(main_cf=MAIN, master_cf=SUBMISSION + BACK + REST)
    assert unfiltered.reinjection() == ()


def test_dspam_that_delivers_to_a_socket_hands_nothing_back() -> None:
    direct = DSPAM.replace("127.0.0.1\n", "/run/dovecot/lmtp\n").replace("DeliveryPort 10026\n", "")
    given = settings(main_cf=MAIN, master_cf=SMTP + REST, dspam_conf=direct)
    assert given.reinjection() == ()
    assert expansion_prediction(given) == ()


def test_postconf_output_serves_where_the_files_are_not_given() -> None:
    output = "smtp inet n - n - - smtpd -o content_filter=dspam:\n127.0.0.1:10026 inet n - n - 10 smtpd\n"
    given = read_settings([("M.txt", output), ("P.txt", "smtp/inet/content_filter = scan:\n")])
    assert given.postfix.origin["M.txt"] == "postconf -M"
    assert given.listeners()[0].content_filter == "dspam:"
    assert [problem.file for problem in given.problems] == ["P.txt"], "they disagree, and that is said"
    alone = read_settings([("P.txt", "smtp/inet/content_filter = scan:\n")])
    assert alone.listeners()[0].content_filter == "scan:"


def test_files_that_disagree_are_named() -> None:
    given = read_settings(
        [("main.cf", MAIN), ("postconf-n.txt", "inet_interfaces = all\nmyhostname = other.example.com\n")]
    )
    assert {(each.file, each.line) for each in given.problems} == {("postconf-n.txt", 1), ("postconf-n.txt", 2)}
    assert given.postfix.get("myhostname") == "mx1.example.com"


# --- filters ---------------------------------------------------------------------------------------------------------


def test_dspam_learns_and_re_injects_per_recipient(mail: Settings) -> None:
    (found,) = mail.filters
    assert (found.kind, found.via, found.learns_per_recipient, found.reinjects_per_recipient) == (
        "dspam",
        "content_filter",
        True,
        True,
    )
    assert found.services == ("smtp/inet",)


@pytest.mark.parametrize(
    ("main", "master", "kind"),
    [
        ("content_filter = smtp-amavis:[127.0.0.1]:10024\n", "", "amavis"),
        ("content_filter = scan:\n", "scan unix - n n - - pipe flags=R argv=/usr/bin/spamc -u x\n", "spamassassin"),
        ("content_filter = f:d\n", "f unix - n n - - pipe argv=/usr/bin/dspam --user ${recipient}\n", "dspam"),
        ("smtpd_milters = inet:127.0.0.1:11332\n", "", "rspamd"),
        ("smtpd_milters = unix:/run/opendkim.sock, unix:/run/spamass-milter.sock\n", "", "spamassassin"),
        ("smtpd_proxy_filter = 127.0.0.1:10024\n", "", "amavis"),
        ("content_filter = x:[192.0.2.1]:99\n", "", "other"),
    ],
)
def test_kinds_of_filters(main: str, master: str, kind: str) -> None:
    given = settings(main_cf=MAIN + main, master_cf="smtp inet n - n - - smtpd\n" + master)
    assert [each.kind for each in given.filters] == [kind]
    assert all(each.learns_per_recipient == (kind == "dspam") for each in given.filters)


def test_a_fixed_user_means_one_dictionary() -> None:
    fixed = DSPAM.replace("--deliver=innocent,spam", "--user site --deliver=innocent,spam")
    assert not settings(main_cf=MAIN, master_cf=MASTER, dspam_conf=fixed).filters[0].learns_per_recipient
    shared = settings(main_cf=MAIN, master_cf=MASTER, dspam_conf=DSPAM, group="all:shared:*\n")
    assert not shared.filters[0].learns_per_recipient
    network = settings(main_cf=MAIN, master_cf=MASTER, dspam_conf=DSPAM, group="net:classification:*globaluser\n")
    assert network.filters[0].learns_per_recipient


def test_filter_actions_are_noticed() -> None:
    line = "smtpd_data_restrictions = permit_mynetworks, check_client_access static:{FILTER lmtp:unix:/d/dspam.sock}\n"
    given = settings(main_cf=MAIN + line, master_cf="smtp inet n - n - - smtpd\n")
    assert [(each.kind, each.via) for each in given.filters] == [("dspam", "FILTER")]


# --- addresses -------------------------------------------------------------------------------------------------------


def test_local_domains_come_from_lists_and_maps(mail: Settings) -> None:
    assert mail.local_domains == {"example.com", "mx1.example.com", "localhost.example.com", "localhost"}
    assert mail.domains["example.com"] == Fact("example.com", "main.cf", 9)
    assert mail.mailbox_domains == ("example.com",)


def test_a_domain_table_is_read_when_it_is_at_hand_and_named_when_it_is_not() -> None:
    main = MAIN.replace("= example.com\nvirtual_mailbox_maps", "= hash:/etc/postfix/doms\nvirtual_mailbox_maps")
    assert settings(main_cf=main, doms="example.org ok\nexample.net ok\n").mailbox_domains == (
        "example.org",
        "example.net",
    )
    missing = settings(main_cf=main)
    assert missing.mailbox_domains == ()
    assert "virtual_mailbox_domains: hash:/etc/postfix/doms" in [each.value for each in missing.unresolved]
    sql = settings(main_cf=main.replace("hash:", "proxy:mysql:"))
    assert [each.line for each in sql.unresolved if "domains: proxy:mysql" in each.value] == [9]


def test_domains_of_the_command_line_are_added() -> None:
    assert read_settings([], domains=["Example.ORG"]).local_domains == {"example.org"}


def test_mynetworks(mail: Settings) -> None:
    assert mail.is_mine("127.0.0.5")
    assert mail.is_mine("::1")
    assert not mail.is_mine("192.0.2.1")
    assert not mail.is_mine("unknown")


def test_aliases_by_address_with_their_line(mail: Settings) -> None:
    assert mail.aliases["info@example.com"].targets == ("erin@example.com",)
    assert mail.aliases["root@example.com"].fact.line == 2
    assert mail.self_listing == ("root@example.com",)
    assert set(mail.doubling) == {"root@example.com", "postmaster@example.com"}
    assert set(mail.mailboxes) == {"alice@example.com", "bob@example.com", "root@example.com"}


def test_expansion_is_recursive_and_ends(mail: Settings) -> None:
    assert mail.expand("Postmaster@example.com") == {"root@example.com", "alice@example.com"}
    assert mail.expand("sales@old.example.com") == {"alice@example.com", "bob@example.com"}
    loop = settings(virtual="a@example.com b@example.com\nb@example.com a@example.com\n")
    assert loop.expand("a@example.com") == frozenset()


def test_an_extension_leads_to_the_alias(mail: Settings) -> None:
    alias = mail.alias("sales+news@example.com")
    assert alias
    assert alias.address == "sales@example.com"
    assert mail.alias("alice+news@example.com") is None


def test_local_aliases_hold_for_mydestination_only() -> None:
    given = settings(main_cf=MAIN, aliases=ALIASES)
    found = given.alias("root@mx1.example.com")
    assert found
    assert found.kind == "local"
    assert given.alias("root@example.com") is None
    assert given.expand("root@mx1.example.com") == {"root@mx1.example.com"}, "local(8) expands it, not cleanup(8)"


def test_the_parameter_that_names_a_table_decides_what_it_is() -> None:
    main = (
        MAIN.replace("hash:/etc/postfix/virtual", "hash:/etc/postfix/one")
        + "recipient_bcc_maps = hash:/etc/postfix/bcc\n"
    )
    given = settings(main_cf=main, one="x@example.com y@example.com\n", bcc="alice@example.com archive@example.com\n")
    assert set(given.aliases) == {"x@example.com"}
    assert [each.value for each in given.bcc] == ["hash:/etc/postfix/bcc"]


def test_what_is_known_of_each_area(mail: Settings) -> None:
    assert all(mail.known(area) for area in ("postfix", "master", "dovecot", "dspam", "aliases"))
    assert not mail.known("amavis")
    nothing = read_settings([])
    assert not any(nothing.known(area) for area in ("postfix", "master", "dovecot", "dspam", "aliases", "amavis"))
    assert not settings(main_cf=MAIN).known("aliases"), "the map it names is not at hand"
    assert settings(main_cf="myhostname = a.example.com\nmynetworks = 127.0.0.0/8\n").known("aliases")


# --- Dovecot and DSPAM -----------------------------------------------------------------------------------------------


def test_what_dovecot_is_set_up_to_do(mail: Settings) -> None:
    dovecot = mail.dovecot
    assert dovecot.version == "2.3.19.1"
    assert dovecot.mail_log
    assert dovecot.spam_folders == ("Spam", "Junk")
    assert dovecot.training_user == "%u"
    assert dovecot.trains_login_as_given
    assert dovecot.default_domain is None


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("auth_default_realm = example.com", "example.com"),
        ("auth_default_domain = example.com", "example.com"),
        ("auth_username_format = %Ln@example.com", "%Ln@example.com"),
        ("auth_username_format = %Lu", None),
    ],
)
def test_what_completes_a_bare_login(line: str, fact: str | None) -> None:
    found = settings(doveconf=DOVECONF + line + "\n").dovecot.default_domain
    assert (found.value if found else None) == fact


def test_mail_plugins_of_2_4_and_of_files_that_inherit() -> None:
    modern = "# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf\nmail_plugins {\n  mail_log = yes\n}\n"
    assert settings(d=modern).dovecot.mail_log
    inherits = (
        "protocols = imap\nmail_plugins = notify mail_log\nprotocol imap {\n  mail_plugins = $mail_plugins x\n}\n"
    )
    assert settings(d=inherits).dovecot.mail_plugins() == {"notify", "mail_log", "x"}
    replaces = inherits.replace("$mail_plugins ", "")
    assert settings(d=replaces).dovecot.mail_plugins() == {"x"}


def test_what_dspam_is_set_up_to_do(mail: Settings) -> None:
    dspam = mail.dspam
    assert (dspam.home, dspam.delivery_port, dspam.fixed_user) == ("/var/lib/dspam", 10026, None)
    assert dspam.on("systemlog")
    assert not dspam.on("UserLog")
    assert dspam.preference("tagSpam") == "off"


# --- predictions -----------------------------------------------------------------------------------------------------

OFF = "  -o receive_override_options=no_address_mappings\n"
BACK_ON = BACK.replace(",no_address_mappings", "")


@pytest.mark.parametrize(
    ("front", "back", "row"),
    [
        (SMTP, BACK_ON, "double-expansion"),
        (SMTP + OFF, BACK_ON, "alias-owns-hash"),
        (SMTP, BACK, "right"),
        (SMTP + OFF, BACK, "never-expanded"),
    ],
)
def test_the_table_of_address_mappings(front: str, back: str, row: str) -> None:
    given = settings(main_cf=MAIN, master_cf=front + SUBMISSION + back + REST, dspam_conf=DSPAM, virtual=VIRTUAL)
    assert [each.row for each in expansion_prediction(given)] == [row]


def test_double_expansion_is_predicted_for_aliases_that_lead_to_one_listing_itself() -> None:
    main = MAIN + "always_bcc = archive@example.com\n"
    given = settings(main_cf=main, master_cf=SMTP + BACK_ON + REST, dspam_conf=DSPAM, virtual=VIRTUAL)
    found = predictions(given)["duplicate-delivery"]
    assert [each.subject for each in found] == ["root@example.com", "postmaster@example.com", "archive@example.com"]
    assert (found[0].file, found[0].line) == ("master.cf", 5)
    assert (found[2].file, found[2].line) == ("main.cf", 16)


def test_alias_owns_hash_is_predicted_for_aliases_without_a_mailbox() -> None:
    texts = {"main_cf": MAIN, "dspam_conf": DSPAM, "virtual": VIRTUAL, "vmailbox": VMAILBOX}
    found = predictions(settings(**texts, master_cf=SMTP + OFF + BACK_ON + REST))
    subjects = {each.subject for each in found["alias-owns-hash"]}
    assert subjects == {"sales@example.com", "postmaster@example.com", "info@example.com", "@old.example.com"}
    assert {each.line for each in found["alias-owns-hash"]} == {3}
    assert "training-misses-hash" in found


def test_equivalents_count_the_same() -> None:
    texts = {"main_cf": MAIN, "dspam_conf": DSPAM, "virtual": VIRTUAL}
    cleanup = "raw unix n - n - 0 cleanup -o virtual_alias_maps=\n"
    back = BACK_ON + "  -o cleanup_service_name=raw\n"
    (row,) = expansion_prediction(settings(**texts, master_cf=SMTP + back + REST + cleanup))
    assert (row.row, row.after.how) == ("right", "cleanup")
    texts["main_cf"] += "receive_override_options = no_address_mappings\n"
    (row,) = expansion_prediction(settings(**texts, master_cf=SMTP + BACK_ON + REST))
    assert (row.row, row.before.fact) == ("alias-owns-hash", Fact("no_address_mappings", "main.cf", 16))


def test_no_prediction_for_other_filters() -> None:
    amavis = "smtp inet n - n - - smtpd\n  -o content_filter=smtp-amavis:[127.0.0.1]:10024\n"
    given = settings(main_cf=MAIN, master_cf=amavis + BACK_ON + REST, virtual=VIRTUAL)
    assert expansion_prediction(given) == ()
    assert predictions(given) == {}


# --- robustness ------------------------------------------------------------------------------------------------------


def test_nothing_given_answers_everything() -> None:
    nothing = read_settings([])
    assert not any((nothing.listeners(), nothing.reinjection(), nothing.filtered()))
    assert nothing.local_domains == frozenset()
    assert nothing.filters == []
    assert not any((nothing.aliases, nothing.mailboxes, nothing.transports))
    assert nothing.port_of("postfix/smtpd") is None
    assert nothing.dovecot.training_user is None
    assert predictions(nothing) == {}


def test_garbage_is_left_aside_and_named() -> None:
    given = read_settings([("x", "\0\1\2"), ("y", "prose, nothing else"), ("main.cf", MAIN + "garbage\n")])
    assert given.unrecognised == ["x", "y"]
    assert [(each.file, each.line) for each in given.problems] == [("main.cf", 16)]
    assert given.texts["y"] == "prose, nothing else"
