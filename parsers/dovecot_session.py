"""Dovecot: sessions that end, the service's own life, and whatever it calls an error."""

from __future__ import annotations

from logscan.grammar.atoms import DONE
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_DONE = "|".join(DONE.values())
_PREFIX = r"(?:[A-Za-z0-9-]+(?:\([^()]*\))?(?:\[[^\]]*\])?(?:<[^<>]*>)*+: )?"

ENDED = LogFormat(
    name="dovecot-session-ended",
    title="an IMAP, POP3, submission or ManageSieve session ends",
    reference="Dovecot imap/imap-client.c, pop3/pop3-client.c",
    programs=("dovecot",),
    table=None,
    line=rx(r"(?:imap|IMAP|pop3|POP3|submission|managesieve|MANAGESIEVE|sieve)\([^()]*\)(?:<[^<>]*>)*+: (?:Info: )?")
    + rx("Disconnected|Logged out|Connection closed|Session closed|Server shutting down")
    + rest(),
    samples=(
        Sample("imap(alice)<8873><JvaVIOJgv8rGM2Rl>: Disconnected: Logged out in=214 out=1220 deleted=0 expunged=0"),
        Sample("imap(alice): Logged out in=107 out=529"),
        Sample("pop3(alice): Connection closed top=0/0, retr=0/0, del=0/1, size=5"),
        Sample("managesieve(alice)<1><x>: Info: Session closed bytes=1/2"),
        Sample("imap(alice): Server shutting down. in=1 out=2"),
        Sample("POP3(alice): Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0"),
    ),
    weight=70,
)

START = LogFormat(
    name="dovecot-start",
    title="Dovecot starts",
    reference="Dovecot master/main.c",
    programs=("dovecot",),
    table="service_events",
    constants={"event": "start"},
    line=rx(r"(?:master: )?(?:Info: )?(?=Dovecot v)") + rest()("text"),
    samples=(
        Sample(
            "master: Dovecot v2.3.19.1 (9b53102964) starting up for imap, lmtp (core dumps disabled)",
            {"text": "Dovecot v2.3.19.1 (9b53102964) starting up for imap, lmtp (core dumps disabled)"},
        ),
    ),
)

STOP = LogFormat(
    name="dovecot-stop",
    title="Dovecot is told to stop",
    reference="Dovecot master/main.c, sig_die()",
    programs=("dovecot",),
    table="service_events",
    constants={"event": "stop"},
    line=rx("(?:master: )?(?:Warning: )?(?=Killed with signal )") + rest()("text"),
    samples=(
        Sample(
            "master: Warning: Killed with signal 15 (by pid=2 uid=0 code=kill)",
            {"text": "Killed with signal 15 (by pid=2 uid=0 code=kill)"},
        ),
    ),
)

RELOAD = LogFormat(
    name="dovecot-reload",
    title="Dovecot reads its configuration again",
    reference="Dovecot master/main.c, sig_reload()",
    programs=("dovecot",),
    table="service_events",
    constants={"event": "reload"},
    line=rx("(?:master: )?(?:Warning: )?(?=SIGHUP received)") + rest()("text"),
    samples=(
        Sample(
            "master: Warning: SIGHUP received - reloading configuration",
            {"text": "SIGHUP received - reloading configuration"},
        ),
    ),
)

INFO = LogFormat(
    name="dovecot-other",
    title="lines of Dovecot that carry nothing for the analysis",
    reference="Dovecot lib/failures.c",
    programs=("dovecot",),
    table=None,
    # What any service, plug-in or script says at level Info, but for what other formats are to understand.
    line=rx(
        rf"{_PREFIX}Debug: "
        rf"|(?!(?s:.*)(?:msgid=|(?<= )(?:{_DONE}))|[a-z0-9-]+-login: (?:Info: )?(?:Login: |Logged in: )"
        r"|auth(?:-worker)?[:(](?s:.*)(?:unknown user|[Pp]assword mismatch))"
        r"(?:[A-Za-z][A-Za-z0-9_-]*(?:\([^()]*\))?(?:\[[^\]]*\])?(?:<[^<>]*>)*+: )(?:[a-z0-9-]+(?:\([^()]*\))?: )*+"
        r"(?!(?:Error|Warning|Fatal|Panic): )"
        r"|(?:Generating|SSL parameters|Dovecot |dovecot |Shutting down|If you have trouble with|Authentication|\[\d)"
    )
    + rest(),
    samples=(
        Sample("auth: Debug: client in: AUTH 1 PLAIN"),
        Sample("ssl-params: Generating SSL parameters"),
        Sample("imap(alice)<8873><JvaVIOJgv8rGM2Rl>: ID sent: name=Mail, version=1"),
        Sample("doveadm(alice): Executing command 'quota get' as 'alice'"),
        Sample("auth(default): client in: AUTH 1 PLAIN service=imap"),
    ),
    weight=-20,
)


PAM = LogFormat(
    name="dovecot-pam",
    title="PAM speaks under the name of Dovecot's authentication",
    reference="Linux-PAM modules/pam_unix",
    programs=("auth", "dovecot-auth", "auth-worker"),
    table=None,
    line=rx(r"(?:pam_[a-z0-9]+|\(pam_[a-z0-9]+\))") + rest(),
    samples=(
        Sample(
            "pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=bob rhost=192.0.2.9"
        ),
        Sample("(pam_unix) check pass; user unknown"),
    ),
    weight=-10,
)


def _severity(word: str) -> LogFormat:
    """Return the format of a line with a severity above Info."""
    return LogFormat(
        name=f"dovecot-{word.lower()}-other",
        title=f"Dovecot reports: {word}",
        reference="Dovecot lib/failures.c",
        programs=("dovecot",),
        table="service_events",
        constants={"event": word.lower()},
        line=rx(rf"{_PREFIX}{word}: ") + rest()("text"),
        samples=(
            Sample(f"master: {word}: Time moved forwards", {"text": "Time moved forwards"}),
            Sample(f"imap(alice)<8873><JvaVIOJgv8rGM2Rl>: {word}: Mailbox x", {"text": "Mailbox x"}),
            Sample(f"{word}: out of memory", {"text": "out of memory"}),
        ),
        weight=-5,
    )


FORMAT = (ENDED, START, STOP, RELOAD, INFO, PAM, *(_severity(each) for each in ("Error", "Warning", "Fatal", "Panic")))
