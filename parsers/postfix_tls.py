"""Postfix TLS: sessions that are encrypted, and those that fail to be."""

from __future__ import annotations

import pyparsing as pp

from logscan.atoms import client, queue_id_or_none
from logscan.grammar import LogFormat, Sample, rest, rx

_PROGRAMS = ("/smtpd", "/smtp", "/lmtp", "/tlsproxy")

ESTABLISHED = LogFormat(
    name="postfix-tls",
    title="a connection is encrypted",
    reference="Postfix tls/tls_misc.c, tls_log_summary()",
    programs=_PROGRAMS,
    table="sessions",
    constants={"event": "tls"},
    line=rx("(?:Anonymous|Untrusted|Trusted|Verified) TLS connection (?:established|reused) (?:from|to) ")
    + client()
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
    line=(rx("SSL_(?:accept|connect) error (?:from|to) ") + client() + ": " + rest()("text"))
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

NOISE = LogFormat(
    name="postfix-tls-noise",
    title="other lines about TLS",
    reference="Postfix tls/",
    programs=(*_PROGRAMS, "/tlsmgr"),
    table=None,
    line=rx(
        "(?:warning: TLS library problem: |setting up TLS connection |initializing the (?:server|client)-side TLS"
        " engine"
        "|Host offered STARTTLS: |(?:server |client )?certificate verification (?:failed|depth)|SSL[23]? alert"
        " |SSL_[a-z]+:"
        "|CONNECT (?:from|to) [^ ]+\\Z|DISCONNECT [^ ]+\\Z|TLS handshake failed for service=)"
    )
    + rest(),
    samples=(
        Sample("warning: TLS library problem: error:0A00010B:SSL routines::wrong version number:ssl3_record.c:350:"),
        Sample("setting up TLS connection from unknown[203.0.113.92]"),
        Sample("initializing the server-side TLS engine"),
        Sample("Host offered STARTTLS: [mx.example.net]"),
        Sample("certificate verification failed for mx.example.net[203.0.113.200]:25: untrusted issuer"),
        Sample("TLS handshake failed for service=smtpd peer=[203.0.113.9]:4711"),
        Sample("CONNECT from [203.0.113.9]:4711"),
        Sample("DISCONNECT [203.0.113.9]:4711"),
    ),
)

FORMAT = (ESTABLISHED, FAILED, NOISE)
