"""dovecot-antispam: the plug-in calls DSPAM because a user moved a mail. Only debug builds say so."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx, word

_PROGRAMS = ("imap", "dovecot", "pop3", "lmtp")
_PREFIX = rx(r"(?:[a-z0-9-]+\([^()]*\)(?:<[^<>]*>)*+: (?:Debug: )?)?antispam: ")

CALLED = LogFormat(
    name="antispam-called",
    title="the plug-in calls DSPAM to train a mail",
    reference="dovecot-antispam dspam-exec.c, call_dspam()",
    programs=_PROGRAMS,
    table="trainings",
    constants={"filter": "dspam", "outcome": "called"},
    line=_PREFIX
    + rx("/[^ ]+ ")
    + upto("--class=")
    + "--class="
    + word()("class")
    + " "
    + pp.Opt(upto("--signature=") + "--signature=" + word(" #")("signature"))
    + pp.Opt(upto("--user ") + "--user " + word(" #")("user"))
    + rest(),
    samples=(
        Sample(
            "antispam: /opt/dspam/bin/dspam --source=error --class=spam --signature=6b033c9698952141450450 --deliver="
            " --client --user alice ",
            {"class": "spam", "signature": "6b033c9698952141450450", "user": "alice"},
        ),
        Sample(
            "imap(bob): antispam: /usr/bin/dspamc --class=innocent --signature=1,4bbcf8a653512168214050#012",
            {"class": "innocent", "signature": "1,4bbcf8a653512168214050"},
        ),
        Sample("antispam: /usr/bin/dspam --class=spam --user bob#012", {"class": "spam", "user": "bob"}),
    ),
    weight=50,
)

FAILED = LogFormat(
    name="antispam-failed",
    title="the plug-in's call of the filter failed",
    reference="dovecot-antispam dspam-exec.c, mailtrain.c, spool2dir.c",
    programs=_PROGRAMS,
    table="filter_errors",
    constants={"filter": "dspam", "kind": "plug-in"},
    line=_PREFIX
    + rx(
        "(?:dspam error: |executing |run program failed|spool2dir backend: Failed|failed to |empty signature"
        "|antispam plugin |configured non-existent )(?s:.*)"
    )("text"),
    samples=(
        Sample("antispam: dspam error: Unable to connect", {"text": "dspam error: Unable to connect"}),
        Sample(
            "antispam: executing /usr/bin/dspam failed: 13 (uid=5, gid=5)",
            {"text": "executing /usr/bin/dspam failed: 13 (uid=5, gid=5)"},
        ),
        Sample(
            "antispam: run program failed with exit code 75#012",
            {"text": "run program failed with exit code 75#012"},
        ),
        Sample(
            "imap(bob)<7><x>: Debug: antispam: empty signature",
            {"text": "empty signature"},
        ),
    ),
    weight=49,
)

NOISE = LogFormat(
    name="antispam-other",
    title="other debugging lines of the plug-in",
    reference="dovecot-antispam debug.c",
    programs=_PROGRAMS,
    table=None,
    line=_PREFIX + rest(),
    samples=(
        Sample("antispam: mail copy: from trash: 0, to trash: 0"),
        Sample("antispam: plugin initialising (2.0-notgit)"),
    ),
    weight=-5,
)

FORMAT = (CALLED, FAILED, NOISE)
