"""Where mail for an address goes by the configuration; what can't be told is said, and what the log saw agrees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st

import logscan
from logscan.report.route_texts import as_text
from logscan.report.routed import seen
from logscan.samples import story
from logscan.settings import Settings, read_settings
from logscan.settings.resolving import End
from logscan.settings.routes import Route, Way, route

MAIN = """\
myhostname = mx1.us.example
mydomain = us.example
myorigin = us.example
mydestination = mx1.us.example, localhost
recipient_delimiter = +
virtual_mailbox_domains = us.example
virtual_mailbox_maps = hash:/etc/postfix/vmailbox
virtual_alias_domains = old.example
virtual_alias_maps = hash:/etc/postfix/virtual
virtual_transport = lmtp:unix:private/dovecot-lmtp
transport_maps = hash:/etc/postfix/transport
relay_domains = branch.example
alias_maps = hash:/etc/aliases
"""
MASTER = """\
smtp inet n - n - - smtpd
  -o content_filter=lmtp:unix:/var/run/dspam/dspam.sock
submission inet n - n - - smtpd
127.0.0.1:10026 inet n - n - 10 smtpd
  -o content_filter=
pickup unix n - n 60 1 pickup
cleanup unix n - y - 0 cleanup
lmtp unix - - n - - lmtp
"""
DSPAM = "Home /var/spool/dspam\nServerDomainSocketPath /var/run/dspam/dspam.sock\nDeliveryHost 127.0.0.1\nDeliveryPort 10026\n"
DOVECOT = """\
# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
auth_default_realm = us.example
plugin {
  antispam_backend = dspam
  antispam_dspam_args = --deliver=;--client;--user;%u
}
"""
TABLES = {
    "virtual": "sales@us.example ann@us.example, bob@us.example\nold@old.example ann@us.example\n"
    "root@us.example root@us.example, bob@us.example\n@old.example @us.example\nout@us.example x@far.example\n",
    "vmailbox": "ann@us.example us/ann/\nbob@us.example us/bob/\nroot@us.example us/root/\n",
    "transport": "far.example smtp:[relay.far.example]\n.near.example :[gate.example]\nshut.example error:closed\n",
    "aliases": "postmaster: root\nroot: ann@us.example, \"|/usr/bin/prog\", /var/log/box\nring: gnir\ngnir: ring\n"
    "self: self, kim\nlist: :include:/etc/list\n",
}  # fmt: skip


def configured(main: str = MAIN, master: str = MASTER, **tables: str) -> Settings:
    texts = {"main.cf": main, "master.cf": master, "dspam.conf": DSPAM, "doveconf-n.txt": DOVECOT} | TABLES | tables
    return read_settings([(label, text) for label, text in texts.items() if text])


def way(found: Route, entrance: str) -> Way:
    (one,) = [each for each in found.ways if any(name.startswith(entrance) for name in each.entrances)]
    return one


def ends(found: Route, entrance: str = "submission") -> list[End]:
    one = way(found, entrance)
    return [end for leg in (one.before, *one.behind) for end in leg.ends]


def told(address: str, **given: str) -> list[tuple[str, str]]:
    return [(end.address, end.kind) for end in ends(route(configured(**given), address))]


def test_aliases_are_followed_to_mailboxes_and_each_says_where_it_stands() -> None:
    found = route(configured(), "sales@us.example")
    assert [(end.address, end.kind, end.mailbox) for end in ends(found)] == [
        ("ann@us.example", "mailbox", "us/ann/"),
        ("bob@us.example", "mailbox", "us/bob/"),
    ]
    (expansion,) = way(found, "submission").before.passage.expansions
    assert (expansion.address, expansion.fact and (expansion.fact.file, expansion.fact.line)) == (
        "sales@us.example", ("virtual", 1),
    )  # fmt: skip
    assert found.sure


@pytest.mark.parametrize(
    ("address", "goes"),
    [
        ("ann", [("ann@us.example", "mailbox")]),
        ("Ann@US.example", [("ann@us.example", "mailbox")]),
        ("<ann@us.example>", [("ann@us.example", "mailbox")]),
        ("ann+news@us.example", [("ann+news@us.example", "mailbox")]),
        ("sales+q@us.example", [("ann+q@us.example", "mailbox"), ("bob+q@us.example", "mailbox")]),
        ("root@us.example", [("root@us.example", "mailbox"), ("bob@us.example", "mailbox")]),
        ("bob@old.example", [("bob@us.example", "mailbox")]),
        ("nobody@us.example", [("nobody@us.example", "unknown-user")]),
        ("x@far.example", [("x@far.example", "outside")]),
        ("x@branch.example", [("x@branch.example", "relay")]),
        ("x@sub.branch.example", [("x@sub.branch.example", "relay")]),
        ("x@shut.example", [("x@shut.example", "error")]),
        ("kim@mx1.us.example", [("kim@mx1.us.example", "local")]),
        ("ring@mx1.us.example", [("ring@mx1.us.example", "expanded")]),
    ],
)
def test_an_address_goes_where_postfix_would_send_it(address: str, goes: list[tuple[str, str]]) -> None:
    assert told(address) == goes


@pytest.mark.parametrize(
    ("address", "hop"),
    [
        ("x@far.example", "[relay.far.example]"),
        ("x@a.near.example", "[gate.example]"),
        ("x@near.example", "near.example"),
        ("x@else.example", "else.example"),
    ],
)
def test_transport_maps_name_the_next_hop(address: str, hop: str) -> None:
    (end,) = ends(route(configured(), address))
    assert (end.transport, end.next_hop) == ("smtp", hop)


def test_a_relayhost_takes_what_leaves_and_transport_maps_go_before_it() -> None:
    with_relay = MAIN + "relayhost = [smart.example]:587\n"
    hops = {to: ends(route(configured(with_relay), to))[0].next_hop for to in ("a@else.example", "a@far.example")}
    assert hops == {"a@else.example": "[smart.example]:587", "a@far.example": "[relay.far.example]"}


def test_each_entrance_has_its_own_way() -> None:
    found = route(configured(), "sales@us.example")
    outside, inside = way(found, "smtp/inet"), way(found, "submission")
    assert outside.filter is not None
    assert (outside.filter.kind, outside.back_by) == ("dspam", "127.0.0.1:10026/inet (port 10026)")
    assert [leg.recipient for leg in outside.behind] == ["ann@us.example", "bob@us.example"]
    assert inside.filter is None
    assert inside.entrances == ("submission/inet (port 587)", "pickup (programs on this host)")


def test_aliases_that_are_not_expanded_before_the_filter_are_learned_as_such_and_nobody_trains_them() -> None:
    off = MASTER.replace("dspam.sock\n", "dspam.sock\n  -o receive_override_options=no_address_mappings\n", 1)
    (learned,) = way(route(configured(master=off), "sales@us.example"), "smtp/inet").learning
    assert (learned.name, learned.may_train) == ("sales@us.example", ())
    assert "ann@us.example, bob@us.example would train" in learned.text
    learned_on = way(route(configured(), "sales@us.example"), "smtp/inet").learning
    assert [each.may_train for each in learned_on] == [("ann@us.example",), ("bob@us.example",)]


def test_an_extension_has_a_dictionary_of_its_own_that_nobody_trains() -> None:
    (learned,) = way(route(configured(), "ann+news@us.example"), "smtp/inet").learning
    assert (learned.name, learned.may_train) == ("ann+news@us.example", ())
    assert "ann@us.example would train" in learned.text


def test_a_mailbox_that_aliases_expanded_twice_fill_twice_is_told() -> None:
    assert way(route(configured(), "root@us.example"), "smtp/inet").several == (("bob@us.example", 2),)
    assert way(route(configured(), "sales@us.example"), "smtp/inet").several == ()


def test_local_aliases_lead_to_people_programs_files_and_circles() -> None:
    (end,) = ends(route(configured(), "postmaster@mx1.us.example"))
    (root,) = [inner for _, inner in end.inner]
    assert [(name, inner.kind) for name, inner in root.inner] == [
        ("ann@us.example", "forwarded"), ("|/usr/bin/prog", "program"), ("/var/log/box", "file"),
    ]  # fmt: skip
    (ring,) = ends(route(configured(), "ring@mx1.us.example"))
    assert [inner.kind for _, inner in ring.inner[0][1].inner] == ["loop"]
    assert "ring → gnir → ring" in ring.inner[0][1].inner[0][1].text
    (self_,) = ends(route(configured(), "self@mx1.us.example"))
    assert [(name, inner.kind) for name, inner in self_.inner] == [("self", "local"), ("kim", "local")]
    (listed,) = ends(route(configured(), "list@mx1.us.example"))
    assert listed.inner[0][1].kind == "include"


def test_virtual_aliases_in_a_circle_take_no_mail() -> None:
    found = route(configured(virtual="a@us.example b@us.example\nb@us.example a@us.example\n"), "a@us.example")
    passage = way(found, "submission").before.passage
    assert "in a circle" in passage.trouble
    assert "the mail isn’t taken" in as_text(found, None, 0, "a@us.example")


@pytest.mark.parametrize(
    ("parameter", "item", "why"),
    [
        ("virtual_alias_maps", "mysql:/etc/postfix/alias.cf", "over a connection"),
        ("virtual_alias_maps", "proxy:ldap:/etc/postfix/alias.cf", "over a connection"),
        ("virtual_alias_maps", "hash:/etc/postfix/elsewhere", "isn’t among the configuration given"),
        ("virtual_alias_maps", "pcre:/etc/postfix/patterns", "patterns aren’t tried"),
        ("virtual_mailbox_maps", "mysql:/etc/postfix/box.cf", "over a connection"),
        ("virtual_mailbox_domains", "mysql:/etc/postfix/domains.cf", "over a connection"),
        ("transport_maps", "mysql:/etc/postfix/transport.cf", "over a connection"),
        ("recipient_canonical_maps", "mysql:/etc/postfix/canonical.cf", "over a connection"),
    ],
)
def test_what_a_table_says_that_can_not_be_read_is_not_guessed(parameter: str, item: str, why: str) -> None:
    lines = [line for line in MAIN.splitlines() if not line.startswith(f"{parameter} ")]
    found = route(configured("\n".join([*lines, f"{parameter} = {item}"]) + "\n"), "ann@us.example")
    assert not found.sure
    text = as_text(found, None, 0, "ann@us.example")
    assert f"what {parameter} {item} says of " in text
    assert why in text
    assert f"{item} tells it" in text
    assert "postmap -q " in text


def test_a_table_that_is_asked_later_leaves_no_doubt_about_what_an_earlier_one_says() -> None:
    both = MAIN.replace("hash:/etc/postfix/virtual\n", "hash:/etc/postfix/virtual, mysql:/etc/postfix/more.cf\n")
    assert route(configured(both), "sales@us.example").ways[0].before.passage.expansions
    first = way(route(configured(both), "sales@us.example"), "submission").before.passage
    # The result's own addresses are looked up again, and there the second table is asked.
    assert {each.key for each in first.unread} == {"ann@us.example", "bob@us.example"}


def test_where_a_domain_s_class_can_not_be_told_both_ways_are_shown() -> None:
    unknown = MAIN.replace("virtual_mailbox_domains = us.example", "virtual_mailbox_domains = mysql:/etc/postfix/d.cf")
    (end,) = ends(route(configured(unknown), "ann@us.example"))
    assert (end.kind, [(name, inner.kind) for name, inner in end.inner]) == (
        "can't be told", [("if it is", "mailbox"), ("if not", "outside")],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "entrance", "says"),
    [
        ("nobody@us.example", "smtp/inet", "User unknown in virtual mailbox table"),
        ("gone@old.example", "smtp/inet", ""),
        ("x@else.example", "smtp/inet", "Relay access denied"),
        ("ann@us.example", "smtp/inet", ""),
        ("sales@us.example", "smtp/inet", ""),
        ("nobody@us.example", "pickup", ""),
    ],
)
def test_what_the_door_says_stands_first(address: str, entrance: str, says: str) -> None:
    door = way(route(configured(), address), entrance).door
    assert (says in door) if says else (door == "")


@pytest.mark.parametrize("address", ["", "@", "a@", "@b.example", "a b@c.example", "a@b c", "x" * 9 + "@" + "y" * 300])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        route(
            configured(
                main=MAIN.replace("myorigin = us.example", "myorigin =").replace("myhostname = mx1.us.example", "")
            ),
            address,
        )


NAMES = st.sampled_from([f"{name}@us.example" for name in "abcdef"])


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=3, unique=True), max_size=6))
def test_aliases_without_a_circle_end_where_the_checks_expand_them_to(aliases: dict[str, list[str]]) -> None:
    """An alias names itself, or those behind it in the alphabet: then there is no circle."""
    kept = {name: [each for each in to if each >= name] or [name] for name, to in aliases.items()}
    lines = "".join(f"{name} {', '.join(to)}\n" for name, to in kept.items())
    found = configured(virtual=lines or "z@us.example z@us.example\n")
    for name in "abcdef":
        passage = way(route(found, f"{name}@us.example"), "submission").before.passage
        assert (passage.trouble, frozenset(passage.ends)) == ("", found.expand(f"{name}@us.example"))


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=3, unique=True), min_size=1, max_size=6))
def test_any_aliases_end(aliases: dict[str, list[str]]) -> None:
    found = configured(virtual="".join(f"{name} {', '.join(to)}\n" for name, to in aliases.items()))
    for name in aliases:
        passage = way(route(found, name), "submission").before.passage
        assert passage.ends
        assert bool(passage.trouble) == (passage.ends == (name,) and passage.trouble != "")


@pytest.mark.parametrize("name", ["alias-not-expanded-before-dspam", "amavis-double-alias-expansion", "mixed-day"])
def test_where_nothing_is_in_doubt_the_log_saw_no_other_way(name: str) -> None:
    scan = logscan.read(story(name), jobs=1)
    sure = 0
    for address in sorted(set(scan.deliveries["recipient"].str.lower())):
        found = route(scan.settings, address)
        ways, _ = seen(scan, address)
        if found.sure and ways:
            sure += 1
            delivered = {each.recipient.lower() for each in ways if each.outcome == "delivered"}
            assert delivered <= found.reached, address
    assert sure >= 5 or name == "amavis-double-alias-expansion"


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_log_s_ways_stand_beside_the_configuration_s(run: Run) -> None:
    done = run("route", "sales@example.com", story("alias-not-expanded-before-dspam"))
    assert done.returncode == 0
    assert "DSPAM learns it under sales@example.com; nobody can train it" in done.stdout
    assert "6 mails: delivered behind the filter to alice@example.com by " in done.stdout


def test_json_holds_the_ways_and_the_configuration_may_be_named_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text(MAIN)
    done = run("route", "x@far.example", "--config", tmp_path / "main.cf", "-f", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["address"], found["log"], found["ways"][0]["entrances"]) == ("x@far.example", None, ["any entrance"])
    assert "master.cf isn’t among the configuration given" in found["notes"][0]


def test_without_main_cf_or_an_address_it_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text("")
    (tmp_path / "main.cf").write_text(MAIN)
    lacking = run("route", "a@us.example", tmp_path / "mail.log")
    assert (lacking.returncode, "there is no main.cf" in lacking.stderr) == (2, True)
    wrong = run("route", "a b@us.example", "--config", tmp_path / "main.cf")
    assert (wrong.returncode, "is no address" in wrong.stderr) == (2, True)
    assert run("route", "a@us.example", "--config", tmp_path / "missing").returncode == 3


def test_nothing_that_stands_in_a_table_reaches_the_terminal(run: Run, tmp_path: Path) -> None:
    nasty = "n\x1b[31m\x07\u202e"
    (tmp_path / "main.cf").write_text(MAIN + f"relayhost = {nasty}\nvirtual_alias_domains = mysql:/{nasty}\n")
    (tmp_path / "vmailbox").write_text(f"ann@us.example {nasty}/\n")
    (tmp_path / "virtual").write_text(f"s@us.example ann@us.example, {nasty}@x.example\n")
    for address in ("s@us.example", "ann@us.example", f"{nasty}@us.example", "x@y.example"):
        done = run("route", address, "--config", tmp_path)
        assert not set(done.stdout + done.stderr) & set("\x1b\x07\u202e"), address
        assert "fault in logscan" not in done.stderr
