"""Postfix TLS: sessions that are encrypted, and those that fail to be."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import client, client_or_name, queue_id_or_none
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_PROGRAMS = ("/smtpd", "/smtp", "/lmtp", "/tlsproxy")

ESTABLISHED = LogFormat(
    name="postfix-tls",
    title="a connection is encrypted",
    reference="Postfix tls/tls_misc.c, tls_log_summary(); without the trust before 2.5",
    programs=_PROGRAMS,
    table="sessions",
    constants={"event": "tls"},
    line=rx("(?:(?:Anonymous|Untrusted|Trusted|Verified) )?TLS connection (?:established|reused) (?:from|to) ")
    + client_or_name()
    + pp.Opt(rx(" to [^ :]+"))
    + ": "
    + rest()("text"),
    samples=(
        Sample(
            "Anonymous TLS connection established from unknown[198.51.100.102]: TLSv1.3 with cipher"
            " TLS_AES_256_GCM_SHA384"
            " (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256",
            {
                "client": "unknown",
                "client_address": "198.51.100.102",
                "text": "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature"
                " RSA-PSS (2048 bits) server-digest SHA256",
            },
        ),
        Sample(
            "Verified TLS connection reused to mx.example.net[203.0.113.200]:25 to mail.example.net: TLSv1.2 with"
            " cipher X"
            " (128/128 bits)",
            {
                "client": "mx.example.net",
                "client_address": "203.0.113.200",
                "text": "TLSv1.2 with cipher X (128/128 bits)",
            },
        ),
        Sample(
            "TLS connection established to mail.example.net: TLSv1 with cipher AES256-SHA (256/256 bits)",
            {"client": "mail.example.net", "text": "TLSv1 with cipher AES256-SHA (256/256 bits)"},
        ),
    ),
    weight=70,
)

FAILED = LogFormat(
    name="postfix-tls-failed",
    title="a connection can't be encrypted",
    reference="Postfix tls/tls_server.c, tls/tls_client.c; smtpd/smtpd.c",
    programs=_PROGRAMS,
    table="sessions",
    constants={"event": "tls failed"},
    line=(rx("SSL_(?:accept|connect) error (?:from|to) ") + client_or_name() + ": " + rest()("text"))
    | (queue_id_or_none("queue_id") + ": abort: TLS from " + client() + ": " + rest()("text")),
    samples=(
        Sample(
            "SSL_accept error from unknown[203.0.113.92]: -1",
            {"client": "unknown", "client_address": "203.0.113.92", "text": "-1"},
        ),
        Sample(
            "NOQUEUE: abort: TLS from unknown[203.0.113.92]: Cannot start TLS: handshake failure",
            {
                "queue_id": "NOQUEUE",
                "client": "unknown",
                "client_address": "203.0.113.92",
                "text": "Cannot start TLS: handshake failure",
            },
        ),
    ),
    weight=5,
)

_HOST = rx(r"[^ \[\]]*")("client") + pp.Opt("[" + rx(r"[^\]]+")("client_address") + "]") + rx(r"(?::(?:\d+|unknown))?")
_WORDS = r"(?:(?![Cc]ertificate (?:peer name )?verif)[A-Za-z]+ )*+"
_PEER = r"(?:[^ \[]*\[[^\]]*\](?::\w+)?: )?"
_CERTIFICATE = (
    rf"{_WORDS}[Cc]ertificate (?:peer name )?verif(?:ication|y) |verify error:num=|[Cc]ert(?:ificate)? has expired"
    r"|(?:Peer|Server) (?:certificate|verification)"
)
CERTIFICATE = LogFormat(
    name="postfix-certificate-failed",
    title="a certificate can't be verified",
    reference="Postfix tls/tls_verify.c, tls_client.c, tls_server.c",
    programs=(*_PROGRAMS, "/tlsmgr"),
    table="sessions",
    constants={"event": "certificate failed"},
    line=(
        rx(rf"{_PEER}{_WORDS}[Cc]ertificate (?:peer name )?verification failed for ")
        + _HOST
        + rx("[: ]*")
        + rest()("text")
    )
    | (rx(_PEER) + rx(rf"(?:{_CERTIFICATE})(?s:.*)")("text")),
    samples=(
        Sample(
            "certificate verification failed for mx.example.net[203.0.113.200]:25: untrusted issuer /CN=x",
            {"client": "mx.example.net", "client_address": "203.0.113.200", "text": "untrusted issuer /CN=x"},
        ),
        Sample(
            "CA certificate verification failed for mx.example.net[203.0.113.200]:25: num=19:self signed",
            {"client": "mx.example.net", "client_address": "203.0.113.200", "text": "num=19:self signed"},
        ),
        Sample(
            "mx.example.net[203.0.113.200]:25: verify error:num=18:self signed certificate",
            {"text": "verify error:num=18:self signed certificate"},
        ),
    ),
    weight=-4,
)

LIBRARY = LogFormat(
    name="postfix-tls-problem",
    title="TLS fails with a client or a next hop",
    reference="Postfix tls/tls_misc.c, tls_print_errors(); tlsproxy/tlsproxy.c",
    programs=(*_PROGRAMS, "/tlsmgr"),
    table="sessions",
    constants={"event": "tls failed"},
    line=(rx(r"(?:[^ \[]*\[[^\]]*\](?::\w+)?: )?warning: TLS library problem: ") + rest()("text"))
    | (
        "TLS handshake failed for service="
        + rx("[^ ]*")("text")
        + " peer=["
        + rx(r"[^\]]*")("client_address")
        + "]"
        + rest()
    ),
    samples=(
        Sample(
            "warning: TLS library problem: error:0A00010B:SSL routines::wrong version number:ssl3_record.c:350:",
            {"text": "error:0A00010B:SSL routines::wrong version number:ssl3_record.c:350:"},
        ),
        Sample(
            "TLS handshake failed for service=smtpd peer=[203.0.113.9]:4711",
            {"text": "smtpd", "client_address": "203.0.113.9"},
        ),
    ),
    weight=-4,
)

NOISE = LogFormat(
    name="postfix-tls-noise",
    title="other lines about TLS",
    reference="Postfix tls/",
    programs=(*_PROGRAMS, "/tlsmgr"),
    table=None,
    line=rx(
        r"(?:[^ \[]*\[[^\]]*\](?::\w+)?: )?"
        r"(?:setting up TLS connection |initializing the (?:server|client)-side TLS engine"
        r"|starting TLS engine|Host offered STARTTLS: |TLS SNI |TLSRPT: |TLS cipher list |TLS support is not compiled in"
        r"|depth=\d|(?:Unv|V|Unt|T)(?:erified|rusted): ?subject_CN="
        r"|(?:subject|issuer)[^ ]*=|fingerprint=|SNI hostname: |[Mm]atched (?:peername|trust anchor|fingerprint|DANE)"
        r"|(?:looking (?:up|for)|reloaded|remove|save) session |Reusing old session|re-using session "
        r"|(?:Issuing|Decrypting) session ticket|SSL[23]? alert |SSL_[a-z_]+:|SSL_set_fd error "
        r"|cannot (?:load|set|read|write|seek) "
        r"|CONNECT (?:from|to) [^ ]+\Z|DISCONNECT [^ ]+\Z"
        r"|(?:read from|write to) [0-9A-F]+ \[|(?:Read|Write) \d+ chars: |[0-9a-f]{4,} (?:[0-9a-f]{2}[ -]|- <)"
        r"|(?:EGD server|lost connection to EGD|exiting to reopen) )"
    )
    + rest(),
    samples=(
        Sample("setting up TLS connection from unknown[203.0.113.92]"),
        Sample("initializing the server-side TLS engine"),
        Sample("Host offered STARTTLS: [mx.example.net]"),
        Sample("CONNECT from [203.0.113.9]:4711"),
        Sample("DISCONNECT [203.0.113.9]:4711"),
        Sample("unknown[203.0.113.9]: Issuing session ticket, key expiration: 1767322445"),
        Sample("mx.example.net[203.0.113.200]:25: depth=0 verify=1 subject=/CN=mx.example.net"),
        Sample("0000 16 03 01 00 75 01 00 00|71 03 01 .."),
        Sample("TLSRPT: status=success, domain=example.net, receiving_mx=mx.example.net[203.0.113.200]"),
    ),
)

FORMAT = (ESTABLISHED, FAILED, CERTIFICATE, LIBRARY, NOISE)
