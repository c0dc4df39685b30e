"""Dovecot's login processes: who logged in, who failed to, who gave up."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import last, level
from logscan.grammar.formats import LogFormat, Sample, rest, rx, word

_START = rx("[a-z0-9-]+?(?=-login: )")("protocol") + "-login: " + level()
# A user name is what a stranger typed, all behind it is Dovecot's own: the last such place is the right one.
_ELEMENTS = (
    "user=<"
    + last(">, (?:method|rip)=", ">, (?:lip|mpid|session)=", r">\Z")("user")
    + ">"
    + pp.Opt(", method=" + word(",")("method"))
    + pp.Opt(", rip=" + word(",")("remote_address"))
    + pp.Opt(rx(r", rport=\d+"))
    + pp.Opt(", lip=" + word(",")("local_address"))
    + pp.Opt(rx(r", lport=\d+"))
    + pp.Opt(", mpid=" + rx(r"\d+")("mpid"))
    + pp.Opt(", " + rx(r"(?!session=<)(?:(?!, session=<)(?s:.))++")("tls"))
    + pp.Opt(", session=<" + rx("[^>]*")("session") + ">" + pp.Opt("," + rest()))
)
# Before 2.1 a client that named no user has no user=<> either.
_NAMELESS = (
    pp.Opt("method=" + word(",")("method") + ", ")
    + "rip="
    + word(",")("remote_address")
    + pp.Opt(", lip=" + word(",")("local_address"))
    + pp.Opt(", " + rx(r"(?!session=<)(?:(?!, session=<)(?s:.))++")("tls"))
    + pp.Opt(", session=<" + rx("[^>]*")("session") + ">")
)
_FAILED = (
    "auth failed|tried to use disallowed|tried to use disabled|user disabled|password expired|proxy dest auth failed"
    "|internal failure|cert required|client didn't send a cert|client sent an invalid cert"
)
_ENDED = (
    "(?:Aborted login|Disconnected|Login aborted|Aborted|Maximum number of connections|Client has quit|Remote closed"
    "|Connection (?:closed|lost|reset)|Inactivity|Timeout|Timed out|Too many |Server shutting down|Shutting down"
    "|TLS (?:handshak|initial)|SSL (?:handshak|initial)|Client disconnected)"
)
_REST = r"[^:]*+(?::(?! (?:user=<|method=[^ ,]*, rip=|rip=))[^:]*+)*+"

LOGIN = LogFormat(
    name="dovecot-login",
    title="a user logs in",
    reference="Dovecot login-common/client-common.c; Logged in: since 2.4",
    programs=("dovecot",),
    table="logins",
    constants={"event": "login"},
    line=_START + rx("Login: |Logged in: ") + _ELEMENTS,
    samples=(
        Sample(
            "imap-login: Login: user=<alice>, method=PLAIN, rip=198.51.100.101, lip=198.51.100.10, mpid=8873, TLS,"
            " session=<JvaVIOJgv8rGM2Rl>",
            {
                "protocol": "imap",
                "user": "alice",
                "method": "PLAIN",
                "remote_address": "198.51.100.101",
                "local_address": "198.51.100.10",
                "mpid": "8873",
                "tls": "TLS",
                "session": "JvaVIOJgv8rGM2Rl",
            },
        ),
        Sample(
            "managesieve-login: Info: Logged in: user=<a b>, rip=2001:db8::1, lip=2001:db8::2, session=<>",
            {
                "protocol": "managesieve",
                "user": "a b",
                "remote_address": "2001:db8::1",
                "local_address": "2001:db8::2",
                "session": "",
            },
        ),
        Sample("pop3-login: Login: user=<bob>", {"protocol": "pop3", "user": "bob"}),
        Sample(
            "imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.9, rport=50000, lip=192.0.2.1, lport=993, TLS,"
            " TLSv1.3 with cipher X (256/256 bits), session=<abc>",
            {
                "protocol": "imap",
                "user": "bob",
                "method": "PLAIN",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
                "tls": "TLS, TLSv1.3 with cipher X (256/256 bits)",
                "session": "abc",
            },
        ),
    ),
    weight=80,
)

PROXIED = LogFormat(
    name="dovecot-login-proxied",
    title="a user logs in and is handed to another host",
    reference="Dovecot login-common/client-common-auth.c",
    programs=("dovecot",),
    table="logins",
    constants={"event": "login"},
    line=_START + rx(rf"(?:proxy\([^()]*\): )?[Ss]tarted proxying {_REST}")("reason") + ": " + _ELEMENTS,
    samples=(
        Sample(
            "imap-login: proxy(bob): started proxying to 192.0.2.7:143: user=<bob>, method=PLAIN, rip=192.0.2.9,"
            " lip=192.0.2.1, TLS, session=<abc>",
            {
                "protocol": "imap",
                "reason": "proxy(bob): started proxying to 192.0.2.7:143",
                "user": "bob",
                "method": "PLAIN",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
                "tls": "TLS",
                "session": "abc",
            },
        ),
    ),
)

FAILED = LogFormat(
    name="dovecot-login-failed",
    title="somebody fails to log in",
    reference="Dovecot login-common/client-common.c, client_get_extra_disconnect_reason()",
    programs=("dovecot",),
    table="logins",
    constants={"event": "failed"},
    line=(_START + rx(rf"(?:{_ENDED}[^(]*\((?:{_FAILED})|Login failed){_REST}")("reason") + ": " + _ELEMENTS)
    | (_START + rx(rf"(?:{_ENDED}[^(]*\((?:{_FAILED})|Login failed){_REST}")("reason") + ": " + _NAMELESS),
    samples=(
        Sample(
            "imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<info>,"
            " method=PLAIN,"
            " rip=203.0.113.92, lip=198.51.100.10, TLS: Connection closed, session=<m+RtwutgleDLAHFc>",
            {
                "protocol": "imap",
                "reason": "Disconnected: Connection closed (auth failed, 1 attempts in 2 secs)",
                "user": "info",
                "method": "PLAIN",
                "remote_address": "203.0.113.92",
                "local_address": "198.51.100.10",
                "tls": "TLS: Connection closed",
                "session": "m+RtwutgleDLAHFc",
            },
        ),
        Sample(
            "pop3-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<x>, rip=1>, method=PLAIN,"
            " rip=192.0.2.9,"
            " lip=192.0.2.1, session=<abc>",
            {
                "protocol": "pop3",
                "reason": "Aborted login (auth failed, 1 attempts in 2 secs)",
                "user": "x>, rip=1",
                "method": "PLAIN",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
                "session": "abc",
            },
        ),
        Sample(
            "imap-login: Login aborted: Connection closed (auth failed, 1 attempts in 2 secs) (auth_failed):"
            " user=<bob@x>,"
            " method=PLAIN, rip=192.0.2.9, lip=192.0.2.1, TLS, session=<abc>",
            {
                "protocol": "imap",
                "reason": "Login aborted: Connection closed (auth failed, 1 attempts in 2 secs) (auth_failed)",
                "user": "bob@x",
                "method": "PLAIN",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
                "tls": "TLS",
                "session": "abc",
            },
        ),
        Sample(
            "submission-login: Client has quit the connection (auth failed, 1 attempts in 2 secs): user=<bob>,"
            " method=LOGIN, rip=192.0.2.9, lip=192.0.2.1",
            {
                "protocol": "submission",
                "reason": "Client has quit the connection (auth failed, 1 attempts in 2 secs)",
                "user": "bob",
                "method": "LOGIN",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
            },
        ),
        Sample(
            "imap-login: Disconnected (auth failed, 1 attempts): method=PLAIN, rip=192.0.2.9, lip=192.0.2.1, TLS:"
            " Disconnected",
            {
                "protocol": "imap",
                "reason": "Disconnected (auth failed, 1 attempts)",
                "method": "PLAIN",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
                "tls": "TLS: Disconnected",
            },
        ),
        Sample(
            "submission-login: Login failed: Invalid credentials: user=<bob>, rip=192.0.2.9, session=<abc>",
            {
                "protocol": "submission",
                "reason": "Login failed: Invalid credentials",
                "user": "bob",
                "remote_address": "192.0.2.9",
                "session": "abc",
            },
        ),
    ),
    weight=40,
)

ABORTED = LogFormat(
    name="dovecot-login-aborted",
    title="somebody leaves without logging in",
    reference="Dovecot login-common/client-common.c",
    programs=("dovecot",),
    table="logins",
    constants={"event": "aborted"},
    line=(_START + rx(rf"{_ENDED}(?![^(]*\((?:{_FAILED})){_REST}")("reason") + ": " + _ELEMENTS)
    | (_START + rx(rf"{_ENDED}(?![^(]*\((?:{_FAILED})){_REST}")("reason") + ": " + _NAMELESS),
    samples=(
        Sample(
            "imap-login: Disconnected: Connection closed (disconnected before auth was ready, waited 0 secs): user=<>,"
            " rip=127.0.0.1, lip=127.0.0.1, secured, session=<EMKBJ+Jg6uZ/AAAB>",
            {
                "protocol": "imap",
                "reason": "Disconnected: Connection closed (disconnected before auth was ready, waited 0 secs)",
                "user": "",
                "remote_address": "127.0.0.1",
                "local_address": "127.0.0.1",
                "tls": "secured",
                "session": "EMKBJ+Jg6uZ/AAAB",
            },
        ),
        Sample(
            "imap-login: Aborted login (no auth attempts in 0 secs): user=<>, rip=192.0.2.9, lip=192.0.2.1,"
            " session=<abc>",
            {
                "protocol": "imap",
                "reason": "Aborted login (no auth attempts in 0 secs)",
                "user": "",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
                "session": "abc",
            },
        ),
        Sample(
            "pop3-login: Disconnected: Inactivity (no auth attempts): rip=192.0.2.9, lip=192.0.2.1, TLS",
            {
                "protocol": "pop3",
                "reason": "Disconnected: Inactivity (no auth attempts)",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
                "tls": "TLS",
            },
        ),
        Sample(
            "pop3-login: Login aborted: Connection closed (no auth attempts in 1 secs) (no_auth_attempts): user=<>,"
            " rip=192.0.2.9, session=<abc>",
            {
                "protocol": "pop3",
                "reason": "Login aborted: Connection closed (no auth attempts in 1 secs) (no_auth_attempts)",
                "user": "",
                "remote_address": "192.0.2.9",
                "session": "abc",
            },
        ),
    ),
    weight=39,
)

OLD_FAILED = LogFormat(
    name="dovecot-login-failed-old",
    title="somebody fails to log in (Dovecot 1.0: the reason stands last)",
    reference="Dovecot 1.0 login-common/client-common.c",
    programs=("dovecot",),
    table="logins",
    constants={"event": "failed"},
    line=_START
    + "user=<"
    + last(">, (?:method|rip)=")("user")
    + ">, "
    + pp.Opt("method=" + word(",")("method") + ", ")
    + "rip="
    + word(", ")("remote_address")
    + pp.Opt(", lip=" + word(", ")("local_address"))
    + pp.Opt(", " + rx("TLS|secured")("tls"))
    + " "
    + rx(r"(?:Aborted login|Disconnected)(?s:.*)")("reason"),
    samples=(
        Sample(
            "imap-login: user=<bob>, method=PLAIN, rip=192.0.2.9, lip=192.0.2.1 Aborted login (auth failed, 1 attempts)",
            {
                "protocol": "imap",
                "user": "bob",
                "method": "PLAIN",
                "remote_address": "192.0.2.9",
                "local_address": "192.0.2.1",
                "reason": "Aborted login (auth failed, 1 attempts)",
            },
        ),
    ),
)

OLD_LOGIN = LogFormat(
    name="dovecot-login-old",
    title="a user logs in (Dovecot 0.99)",
    reference="Dovecot 0.99 login-common",
    programs=("dovecot",),
    table="logins",
    constants={"event": "login"},
    line=_START + "Login: " + rx(r"[^ =\[]+")("user") + " [" + rx(r"[^\]]+")("remote_address") + "]",
    samples=(
        Sample(
            "imap-login: Login: bob [192.0.2.9]", {"protocol": "imap", "user": "bob", "remote_address": "192.0.2.9"}
        ),
    ),
)

FORMAT = (LOGIN, PROXIED, FAILED, ABORTED, OLD_FAILED, OLD_LOGIN)
