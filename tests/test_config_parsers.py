"""The configuration readers: what they recognise, what they read, and that no input makes them raise."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from logscan.settings import Document, formats, recognise

MAIN = """\
# a comment
myhostname = mx1.example.com
mydestination = $myhostname,
    localhost
# a comment within the value

    localhost.example.com
smtpd_relay_restrictions =
"""
POSTCONF_N = "inet_interfaces = all\nmydestination = localhost\nmyhostname = mx1.example.com\nrelayhost =\n"
MASTER = """\
# service type private unpriv chroot wakeup maxproc command
smtp      inet  n       -       y       -       -       smtpd
  -o content_filter=lmtp:unix:/var/run/dspam/dspam.sock
# between
\t-o smtpd_banner=first -o smtpd_banner=second
submission inet n - n - - smtpd -o syslog_name=postfix/submission
  -o { smtpd_client_restrictions = permit_sasl_authenticated, reject }
  { -o smtpd_helo_restrictions = permit , reject } -osmtpd_tls_security_level=encrypt
dspam     unix  -       n       n       -       10      pipe
  flags=Ru user=dspam argv=/usr/bin/dspam --user ${recipient} -o not=anoption
"""
POSTCONF_M = "smtp       inet  n       -       n       -       -       smtpd -o content_filter=\n"
POSTCONF_P = (
    "smtp/inet/content_filter = lmtp:unix:/run/d.sock\n127.0.0.1:10026/inet/content_filter =\n"
    "relay/unix/syslog_name = postfix/$service_name\n"
)
DOVECONF = """\
# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
auth_mechanisms = plain login
namespace inbox {
  mailbox Junk {
    special_use = \\Junk
  }
}
plugin {
  antispam_dspam_args = --deliver=;--client;--user;%u
}
ssl_key = # hidden, use -P to show it
protocol imap {
  mail_plugins = notify mail_log antispam
}
"""
DOVECONF_24 = """\
# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf
dovecot_config_version = 2.4.0
auth_default_domain = example.com
mail_plugins {
  notify = yes
  mail_log = yes
}
namespace inbox {
  mailbox Spam {
    special_use = "\\\\Junk"
  }
}
service imap-login {
  inet_listener imaps { port = 0 }
}
"""
DSPAM = """\
# comment
Home /var/lib/dspam
StorageDriver hash_drv
DeliveryPort 10026
Preference "spamAction=deliver"
Preference "tagSpam=off"
SystemLog on
ServerPass.Relay1 "secret"
"""
VIRTUAL = (
    "sales@example.com alice@example.com, bob@example.com\nroot@example.com\troot@example.com,\n  dave@example.com\n"
)
VMAILBOX = "alice@example.com example.com/alice/\nbob@example.com example.com/bob/\n"
TRANSPORT = "example.net smtp:[mx.example.net]\nexample.org :\ndead.example.net error:5.1.1 gone\n"
ALIASES = 'postmaster: root\nroot: alice, bob@example.com\n"odd name": |"/usr/bin/x -y"\n'
AMAVIS = "use strict;\n$max_servers=2; $myhostname='mx1.example.com';\n$inet_socket_port=10024;\n" + (
    "$sa_tag2_level_deflt=5;\n$forward_method='smtp:[127.0.0.1]:10025'; $notify_method=$forward_method;\n1;\n"
)
KINDS = {
    "main.cf": (MAIN, POSTCONF_N),
    "master.cf": (MASTER, POSTCONF_M),
    "postconf-P": (POSTCONF_P,),
    "doveconf": (DOVECONF, DOVECONF_24),
    "dspam.conf": (DSPAM,),
    "dspam-group": ("netwide:classification:*globaluser\n",),
    "map": (VIRTUAL, VMAILBOX, TRANSPORT, ALIASES),
    "amavisd.conf": (AMAVIS,),
}
STRANGERS = (
    "",
    "\n\n",
    "Nov 22 19:01:48 mx1 dspam[13618]: Daemon process starting\n",
    "2026-11-22T19:01:48.123456+00:00 mx1 postfix/smtpd[1]: connect from a[192.0.2.1]\n",
    '{"queue_name": "deferred", "sender": "a@example.com"}\n',
    "# A heading\n\nSome prose about mail, with an address a@example.com in it.\n",
    "1767225723\tS\tCheap <a@spam.example>\t6955b93b1234511874207\tYou won\t0.03\tbob@example.org\tTagged\t<x1@b>\n",
    "f\t3664\t2026-11-23T06:25:12.6524772640\t./data/example.com/alice/alice.sig/6b03dc48.sig\n",
    "max_connections = 100\nlog_timezone = 'UTC'\nport = 5432\n",
    "From: a@example.com\nTo: b@example.com\nSubject: hello\n",
    "smtp: reject\x00binary",
)
HOSTILE = {
    "binary": bytes(range(256)).decode("latin-1") * 50,
    "undecodable": b"\xff\xfe = \xfa\n".decode("utf-8", "surrogateescape") * 100,
    "braces-in-lines": "a {\n" * 10_000,
    "braces-in-one-line": "a { " * 10_000,
    "closing": "}\n" * 10_000,
    "brace-options": "smtp inet n - n - - smtpd -o " + "{" * 10_000,
    "one-long-line": "x = " + "y," * 500_000,
    "dollars": "a = " + "${" * 10_000 + "\n",
    "backslashes": "a = b\\\n" * 10_000,
    "quotes": '"' * 10_001 + ": x",
    "no-newline": "smtp inet n - n - - smtpd -o",
    "continuation-first": "   -o a=b\n\t\n  x",
    "many-ats": "@" * 20_000 + " " + "a@" * 20_000,
    "commas": "a@b " + "a@b," * 20_000 + "!",
    "returns": "smtp inet n - n - - smtpd\r\n  -o a=b\r\n",
}


def read(name: str, text: str) -> Document:
    return next(each for each in formats() if each.name == name).parse(text)


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in KINDS.items() for text in texts])
def test_a_text_is_recognised_by_its_content(kind: str, text: str) -> None:
    found = recognise("anything.txt", text)
    assert found is not None
    assert found.name == kind


@pytest.mark.parametrize("text", STRANGERS)
def test_what_is_no_configuration_is_not_taken_for_one(text: str) -> None:
    assert recognise("file", text) is None


@pytest.mark.parametrize("name", sorted(each.name for each in formats()))
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_makes_a_reader_raise_or_hang(name: str, text: str) -> None:
    begin = time.monotonic()
    form = next(each for each in formats() if each.name == name)
    assert 0 <= form.recognise("main.cf", text) <= 1
    form.parse(text)
    assert time.monotonic() - begin < 10


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.text(alphabet=' \t\n\r={}$#:,@"\\-oa1/.*|%', max_size=300))
def test_random_texts_are_read_to_their_end(text: str) -> None:
    for form in formats():
        assert 0 <= form.recognise("virtual", text) <= 1
        document = form.parse(text)
        assert all(entry.line >= 1 for entry in document.entries)
        assert all(line >= 1 for line, _ in document.problems)


def test_main_cf_joins_continuations_around_comments() -> None:
    document = read("main.cf", MAIN)
    values = {each.name: (each.value.split(), each.line) for each in document.entries}
    assert values["mydestination"] == (["$myhostname,", "localhost", "localhost.example.com"], 3)
    assert values["smtpd_relay_restrictions"] == ([], 8)
    assert document.problems == []


def test_main_cf_says_what_is_set_twice_and_what_is_no_parameter() -> None:
    document = read("main.cf", "biff = no\nrubbish\nbiff = yes\n")
    assert [line for line, _ in document.problems] == [2, 3]
    assert [each.value for each in document.entries] == ["no", "yes"]


def test_postconf_output_is_told_from_the_files_themselves() -> None:
    assert read("main.cf", POSTCONF_N).variant == "postconf -n"
    assert read("main.cf", MAIN).variant == "file"
    assert read("master.cf", POSTCONF_M).variant == "postconf -M"
    assert read("master.cf", MASTER).variant == "file"


def test_master_cf_reads_every_way_to_write_an_option() -> None:
    smtp, submission, dspam = read("master.cf", MASTER).services
    assert smtp.options["content_filter"].value == "lmtp:unix:/var/run/dspam/dspam.sock"
    assert smtp.options["smtpd_banner"].value == "second", "a later -o of the same name replaces the first"
    assert [each.line for each in smtp.overrides] == [3, 5, 5]
    assert {name: fact.value for name, fact in submission.options.items()} == {
        "syslog_name": "postfix/submission",
        "smtpd_client_restrictions": "permit_sasl_authenticated, reject",
        "smtpd_helo_restrictions": "permit , reject",
        "smtpd_tls_security_level": "encrypt",
    }
    assert dspam.overrides == (), "what follows argv= belongs to the command"
    assert dspam.command == "pipe"
    assert "--user" in dspam.args


def test_master_cf_spans_point_at_the_text() -> None:
    for service in read("master.cf", MASTER).services:
        assert MASTER[slice(*service.name_span)] == service.name
        for each in service.overrides:
            assert each.span
            assert each.value_span
            assert MASTER[slice(*each.value_span)] == each.value
            assert "-o" in MASTER[slice(*each.span)]


def test_master_cf_names_a_line_that_is_no_service() -> None:
    document = read("master.cf", "smtp inet n - n - - smtpd\nsmtp inet n\nx unix - - n - 1 smtpd -o\n")
    assert [line for line, _ in document.problems] == [2, 3]
    assert len(document.services) == 2


def test_postconf_p_becomes_services_with_their_overrides() -> None:
    services = {each.key: each for each in read("postconf-P", POSTCONF_P).services}
    assert services["smtp/inet"].command == "smtpd"
    assert services["127.0.0.1:10026/inet"].options["content_filter"].value == ""
    assert services["relay/unix"].options["syslog_name"].value == "postfix/$service_name"


def test_doveconf_keeps_the_sections_and_drops_comments() -> None:
    document = read("doveconf", DOVECONF)
    values = {each.path: each.value for each in document.entries}
    assert document.version == "2.3.19.1"
    assert document.variant == "output"
    assert values["namespace inbox", "mailbox Junk", "special_use"] == "\\Junk"
    assert values["plugin", "antispam_dspam_args"] == "--deliver=;--client;--user;%u"
    assert values["ssl_key",] == ""
    assert values["protocol imap", "mail_plugins"] == "notify mail_log antispam"


def test_doveconf_reads_the_syntax_of_2_4() -> None:
    values = {each.path: each.value for each in read("doveconf", DOVECONF_24).entries}
    assert values["mail_plugins", "mail_log"] == "yes"
    assert values["namespace inbox", "mailbox Spam", "special_use"] == "\\Junk"
    assert values["service imap-login", "inet_listener imaps", "port"] == "0"
    assert values["auth_default_domain",] == "example.com"


def test_doveconf_says_what_it_does_not_follow() -> None:
    document = read("doveconf", "!include conf.d/*.conf\nplugin {\n  sieve = ~/s\n")
    assert ["not followed" in text or "never closed" in text for _, text in document.problems] == [True, True]
    assert document.entries[0].path == ("plugin", "sieve")


def test_doveconf_goes_on_behind_sections_that_are_too_deep() -> None:
    text = "a {\n" * 10_000 + "x = 1\n" + "}\n" * 10_000 + "listen = *\n"
    values = {each.path: each.value for each in read("doveconf", text).entries}
    assert values["listen",] == "*"


def test_dspam_conf_keeps_every_setting_in_order() -> None:
    document = read("dspam.conf", DSPAM)
    assert [each.value for each in document.entries if each.name == "Preference"] == [
        "spamAction=deliver",
        "tagSpam=off",
    ]
    assert {each.name: each.value for each in document.entries}["ServerPass.Relay1"] == "secret"


@pytest.mark.parametrize(
    ("text", "kind"), [(VIRTUAL, "virtual"), (VMAILBOX, "vmailbox"), (TRANSPORT, "transport"), (ALIASES, "aliases")]
)
def test_tables_are_told_apart_by_content(text: str, kind: str) -> None:
    assert read("map", text).variant == kind


def test_tables_keep_keys_values_and_lines() -> None:
    assert [(each.name, each.value, each.line) for each in read("map", VIRTUAL).entries] == [
        ("sales@example.com", "alice@example.com, bob@example.com", 1),
        ("root@example.com", "root@example.com, dave@example.com", 2),
    ]
    assert [each.name for each in read("map", ALIASES).entries] == ["postmaster", "root", "odd name"]


def test_amavis_follows_a_variable() -> None:
    values = {each.name: each.value for each in read("amavisd.conf", AMAVIS).entries}
    assert values["notify_method"] == values["forward_method"] == "smtp:[127.0.0.1]:10025"
