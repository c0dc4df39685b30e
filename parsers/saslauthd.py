"""saslauthd, which checks passwords for Postfix by Cyrus SASL: whom it refuses, and what it can't reach."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import last
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_FUNCTION = r"(?:[a-z_]+ *)?: ?"
"""The C function that speaks, in 16 columns; builds without it leave nothing but the colon."""

REFUSED = LogFormat(
    name="saslauthd-refused",
    title="saslauthd refuses a login",
    reference="cyrus-sasl saslauthd/saslauthd-main.c, do_auth(); saslauthd/utils.c, logger()",
    programs=("saslauthd",),
    table="logins",
    constants={"event": "auth"},
    line=rx(rf"{_FUNCTION}auth failure: \[user=")
    + last(r"\] \[service=")("user")
    + rx(r"\] \[service=[^\]]*\] \[realm=")
    + last(r"\] \[remote=", r"\] \[mech=")
    + pp.Opt("] [remote=" + rx("[0-9a-fA-F.:]+(?=])")("remote_address") | rx(r"\] \[remote=[^\]]*(?=\])"))
    + rx(r"\] \[mech=[^\]]*\] \[reason=")
    + rx(r"(?s:.*)(?=\]\Z)")("reason")
    + "]",
    samples=(
        Sample(
            "do_auth         : auth failure: [user=bob] [service=smtp] [realm=example.org] [mech=pam] [reason=PAM auth error]",
            {"user": "bob", "reason": "PAM auth error"},
        ),
        Sample(
            "do_auth         : auth failure: [user=bob] [service=smtp] [realm=] [remote=192.0.2.9] [mech=shadow]"
            " [reason=Unknown]",
            {"user": "bob", "remote_address": "192.0.2.9", "reason": "Unknown"},
        ),
        Sample(
            ": auth failure: [user=x] [service=smtp] [realm=y] [service=smtp] [realm=] [remote=] [mech=pam]"
            " [reason=PAM auth error]",
            {"user": "x] [service=smtp] [realm=y", "reason": "PAM auth error"},
        ),
    ),
    weight=20,
)

TROUBLE = LogFormat(
    name="saslauthd-trouble",
    title="saslauthd can't reach what knows the passwords, or can't run",
    reference="cyrus-sasl saslauthd/auth_rimap.c, auth_httpform.c, auth_krb5.c, lak.c, ipc_unix.c",
    programs=("saslauthd",),
    table="service_events",
    constants={"event": "error"},
    line=rx(
        r"(?:auth_(?:rimap|httpform|krb5)(?:_init)?|rimap_init)[: ](?!(?:[^:]*: )?\[)(?s:.*)"
        rf"|{_FUNCTION}(?:could not |failed to |internal mechanism failure|unknown authentication mechanism"
        r"|mechanism returned unknown response|[A-Za-z ]*ldap[a-z_]*\(\) failed)(?s:.*)"
    )("text"),
    samples=(
        Sample(
            "auth_rimap: connect mail.example.org[192.0.2.1]/imap: Connection refused",
            {"text": "auth_rimap: connect mail.example.org[192.0.2.1]/imap: Connection refused"},
        ),
        Sample(
            "do_auth         : internal mechanism failure: pam",
            {"text": "do_auth         : internal mechanism failure: pam"},
        ),
    ),
)

NOISE = LogFormat(
    name="saslauthd-other",
    title="lines of saslauthd and of PAM under its name that carry nothing for the analysis",
    reference="cyrus-sasl saslauthd/; Linux-PAM modules/pam_unix",
    programs=("saslauthd",),
    table=None,
    line=rx(rf"(?:DEBUG: |auth_shadow: |pam_[a-z0-9]+|\(pam_|{_FUNCTION}(?!auth failure: |[A-Za-z ]*fail))") + rest(),
    samples=(
        Sample("detach_tty      : master pid is: 812"),
        Sample("ipc_init        : listening on socket: /var/run/saslauthd/mux"),
        Sample("DEBUG: auth_pam: pam_authenticate failed: Authentication failure"),
        Sample("auth_shadow: getpwnam(bob): invalid username"),
        Sample("pam_unix(smtp:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=  user=bob"),
        Sample("(pam_unix) check pass; user unknown"),
    ),
    weight=-10,
)

FORMAT = (REFUSED, TROUBLE, NOISE)
