"""Dovecot auth: why a password was refused (auth_verbose). Of a password in the line only that it stands there is kept."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import last_before, upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_GIVEN = r" \((?:SHA1 of )?given password: "
_LEVEL = pp.Opt(rx("Info: |Warning: |Error: "))
_ENDS = r"(?:,[0-9a-fA-F.:]+\): |,<[^<>]*>\): |\)<\d*><[^<>]*>: )"
# Dovecot's bracket ends the line; a user's name that looks like it is followed by what stands behind names.
_SHOWN = rf"(?:SHA1 of )?given password(?=: (?!(?s:.*){_ENDS})(?s:.*)\)(?: - trying the next (?:pass|user)db)?\Z)"
_REASON = (
    pp.NotAny(
        rx("(?:lookup|query|base=|cache |Loading |passdb out|user search|result: |Master user logging in|Falling back)")
    )
    + upto(_GIVEN)("reason")
    + pp.Opt((" (" + rx(_SHOWN)("shown") + ": " + rest()) | (rx(_GIVEN) + rest()))
)
# The user is what somebody typed, and so is the password: where what is to follow the user stands twice, the line is left.
_BEFORE = rf"(?:(?!{_GIVEN}|{_ENDS})(?s:.))*+"
_ADDRESS = r",[0-9a-fA-F.:]+(?:,[^<>,()]*){0,4}(?:,<[^<>]*>)?\)"
_USER = (
    "("
    + rx(rf"(?!{_BEFORE}(?={_ENDS})(?s:.){_BEFORE}{_ENDS})")
    + rx(rf"[^,()]*(?=,[0-9a-fA-F.:]*[,)]|\))|{last_before(_GIVEN, _ADDRESS)}|(?:(?!,[,)]|\))(?s:.))*+")("user")
    + pp.Opt("," + rx("[0-9a-fA-F.:]+")("remote_address"))
    + rx(r"(?:,(?!<)[^,()]*)*+")
)

FORMAT = LogFormat(
    name="dovecot-auth",
    title="Dovecot's authentication tells why it refuses",
    reference="Dovecot auth/auth-request.c, get_log_identifier()",
    programs=("dovecot",),
    table="logins",
    constants={"event": "auth"},
    line=(
        rx(r"auth(?:-worker)?(?:\((?:\d+|default)\))?: ")
        + _LEVEL
        + pp.Opt(rx(r"conn [^ ]+ \([^()]*\): "))
        + pp.Opt(rx(r"auth-worker<\d+>: "))
        + rx("[a-z][a-z0-9-]*")
        + _USER
        + pp.Opt(",<" + rx("[^>]*")("session") + ">")
        + "): "
        + _REASON
    )
    | (
        rx("auth(?:-worker)?")
        + _USER
        + ")"
        + pp.Opt(rx(r"<\d*>(?=<)"))
        + pp.Opt("<" + rx("[^>]*")("session") + ">")
        + ": "
        + _LEVEL
        + pp.Opt(rx(r"request \[?\d+\]?: "))
        + rx("[a-z][a-z0-9-]*: ")
        + _LEVEL
        + _REASON
    ),
    samples=(
        Sample(
            "auth: passwd-file(bob@example.com,192.0.2.9,<abc>): unknown user",
            {"user": "bob@example.com", "remote_address": "192.0.2.9", "session": "abc", "reason": "unknown user"},
        ),
        Sample(
            "auth-worker(1234): conn unix:auth-worker (pid=1,uid=97): auth-worker<3>: sql(bob,192.0.2.9): Password"
            " mismatch"
            " (given password: secret)",
            {"user": "bob", "remote_address": "192.0.2.9", "reason": "Password mismatch", "shown": "given password"},
        ),
        Sample(
            "auth(bob,192.0.2.9,sasl:plain)<42><abc>: request [1]: passwd-file: Password mismatch (SHA1 of given"
            " password:"
            " 5baa61)",
            {
                "user": "bob",
                "remote_address": "192.0.2.9",
                "session": "abc",
                "reason": "Password mismatch",
                "shown": "SHA1 of given password",
            },
        ),
        Sample(
            "auth: passwd-file(bob (x), y,192.0.2.9,<abc>): unknown user",
            {"user": "bob (x), y", "remote_address": "192.0.2.9", "session": "abc", "reason": "unknown user"},
        ),
        Sample("auth: Info: ldap(bob): unknown user", {"user": "bob", "reason": "unknown user"}),
        Sample(
            "auth: passwd-file(x): Password mismatch (given password: y,192.0.2.9,<abc>): unknown user",
            {"user": "x", "reason": "Password mismatch"},
        ),
        Sample(
            "auth(default): pam(bob@example.com,192.0.2.9): pam_authenticate() failed: Authentication failure",
            {
                "user": "bob@example.com",
                "remote_address": "192.0.2.9",
                "reason": "pam_authenticate() failed: Authentication failure",
            },
        ),
    ),
    weight=15,
)
