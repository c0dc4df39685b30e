"""Postfix works with defaults of an older version, and says so."""

from __future__ import annotations

from logscan.grammar.formats import LogFormat, Sample, rx

FORMAT = LogFormat(
    name="postfix-compatibility",
    title="Postfix works with a default of an older version",
    reference="Postfix postfix/postfix.c, trivial-rewrite/rewrite.c, smtpd/smtpd_check.c, master/master_ent.c",
    programs=("/*", "postfix"),
    table="service_events",
    constants={"event": "compatibility"},
    line=rx(
        r"(?:Postfix is )?(?:running with|using) backwards-compatible (?s:.*)|[^ ]+: using backwards-compatible (?s:.*)"
    )("text"),
    samples=tuple(
        Sample(each, {"text": each})
        for each in (
            "using backwards-compatible default setting append_dot_mydomain=yes to rewrite x to y",
            "Postfix is using backwards-compatible default settings",
            "127.0.0.1:10025: using backwards-compatible default setting chroot=y",
        )
    ),
)
