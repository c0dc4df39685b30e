"""Lines that hold a password because a program was told to tell all: Dovecot's auth_debug_passwords, Postfix with -v.

Only that they do is kept, never what they hold (:func:`logscan.visible.without_passwords` does the same where lines are shown).
"""

from __future__ import annotations

from logscan.grammar.formats import LogFormat, Sample, rest, rx

_AUTH = rx(r"auth(?:-worker)?(?:\([^()]*\))?(?:<[^<>]*>)*+: (?:Debug: |Info: )?(?:conn [^ ]+ \([^()]*\): )?")
_BACKEND = rx(r"(?:auth-worker<\d+>: )?(?:request \[?\d+\]?: )?[a-z][a-z0-9-]*(?:\([^()]*\))?: ")
_TAB = "(?:[\t ]|#011)"

DOVECOT = LogFormat(
    name="dovecot-password-shown",
    title="Dovecot's authentication writes a password",
    reference="Dovecot auth/auth-client-connection.c, auth-master-connection.c, auth-request.c, passdb.c (auth_debug_passwords)",
    programs=("dovecot",),
    table="service_events",
    constants={"event": "password"},
    line=(
        _AUTH
        + rx(
            rf"client in: (?=AUTH(?s:.*){_TAB}resp=(?!<hidden>)|CONT{_TAB}++\d+{_TAB}++[A-Za-z0-9+/])"
            r"|(?:client passdb|client|master userdb|userdb) out: (?=(?s:.*)pass[a-z_]*=(?!<hidden>))"
        )("text")
        + rest()
    )
    | (
        _AUTH
        + _BACKEND
        + rx(
            r"Credentials: (?=[0-9a-f]{2})|Generating [^ ]+ from user (?='(?s:.*)', password ')"
            r"|cache hit: (?=[^<\t #])|[A-Z][A-Z0-9.-]*\((?=(?s:.*)\) != ')"
        )("text")
        + rest()
    ),
    samples=(
        Sample(
            "auth: Debug: client in: AUTH\t1\tPLAIN\tresp=AGJvYgB4 (previous base64 data may contain sensitive data)",
            {"text": "client in: "},
        ),
        Sample("auth: Debug: client in: CONT#0111#011AGJvYgB4", {"text": "client in: "}),
        Sample("auth: Debug: client passdb out: OK\t1\tuser=bob\tpass=x", {"text": "client passdb out: "}),
        Sample("auth: Debug: sql(bob,192.0.2.9): Credentials: 78", {"text": "Credentials: "}),
        Sample("auth(default): client in: AUTH 1 PLAIN resp=AGJvYgB4", {"text": "client in: "}),
        Sample("auth: Debug: passwd-file(bob,192.0.2.9,<abc>): PLAIN(x) != 'y'", {"text": "PLAIN("}),
    ),
    weight=30,
)

POSTFIX = LogFormat(
    name="postfix-password-shown",
    title="smtpd with -v writes what a client logs in with",
    reference="Postfix smtpd/smtpd_chat.c, xsasl/xsasl_dovecot_server.c, xsasl/xsasl_cyrus_server.c (msg_verbose)",
    programs=("/smtpd",),
    table="service_events",
    constants={"event": "password"},
    line=(
        "< "
        + rx(r"[^ \[]*\[[^\]]*\](?::\w+)?: ")
        + rx(r"(?i:AUTH) (?i:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER)")("text")
        + rx(" [A-Za-z0-9+/=]{4,}")
    )
    | (rx(r"xsasl_\w+: ") + rx(r"sasl_method (?i:PLAIN|LOGIN), init_response")("text") + rx(" [A-Za-z0-9+/=]{4,}"))
    | (rx(r"xsasl_\w+: ") + rx(r"decoded (?:initial )?response")("text") + rx(":? ") + rest()),
    samples=(
        Sample("< unknown[203.0.113.9]: AUTH PLAIN AGJvYgB4", {"text": "AUTH PLAIN"}),
        Sample(
            "xsasl_dovecot_server_first: sasl_method PLAIN, init_response AGJvYgB4",
            {"text": "sasl_method PLAIN, init_response"},
        ),
        Sample("xsasl_cyrus_server_first: decoded initial response bob", {"text": "decoded initial response"}),
        Sample("xsasl_cyrus_server_next: decoded response: x", {"text": "decoded response"}),
    ),
    weight=30,
)

FORMAT = (DOVECOT, POSTFIX)
