"""The tables: each column's name, type and meaning. The only place where columns are named.

Kinds: ``str`` (free text), ``cat`` (few values, dictionary-encoded), ``int`` (nullable), ``float``, ``time`` (UTC, ns),
``bool``. Event tables have one row a line (amavis and DSPAM: one a recipient) and the columns of :data:`COMMON` first.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

ARROW = {
    "str": pa.string(),
    "cat": pa.dictionary(pa.int32(), pa.string()),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
}
"""The Arrow type of a column, by kind."""


@dataclass(frozen=True)
class Column:
    """One column: its kind (see the module) and what it means."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """One table: what a row is, and its columns without :data:`COMMON`."""

    name: str
    row: str
    columns: tuple[Column, ...]

    def kinds(self) -> dict[str, str]:
        """Return each column's kind by name."""
        return {column.name: column.kind for column in self.columns}


def columns_of(text: str) -> tuple[Column, ...]:
    """Return the columns that a text tells, one a line: name, kind, meaning."""
    columns = []
    for line in text.strip().splitlines():
        name, kind, meaning = line.split(None, 2)
        columns.append(Column(name, kind, meaning))
    return tuple(columns)


COMMON = columns_of("""
time      time  when the line was written, UTC
host      cat   the host named in the envelope
instance  cat   the Postfix instance: the first part of the tag (postfix, postfix-out), else empty
service   cat   the tag without the daemon (postfix, postfix/submission), else the program
program   cat   the daemon: smtpd, qmgr, dovecot, dspam ...
pid       int   process ID in the tag
source    int   the file: a number of `scan.sources`, from 0
line      int   the line's number in that file, from 1
""")

EVENTS: dict[str, Table] = {}

APART = frozenset({"sessions", "logins", "moves", "milters", "losses", "service_events"})
"""Event tables that nothing is joined by: many of the rows and most of the text. Until somebody asks for one its texts stay
coded and its chunks apart, since memory that is touched for the first time costs more than what is done in it."""


def _event(name: str, row: str, text: str) -> None:
    EVENTS[name] = Table(name, row, columns_of(text))


_event(
    "clients",
    "a mail's first line: smtpd client=, pickup uid=, qmqpd, proxied NOQUEUE",
    """
queue_id        str  queue ID, or NOQUEUE before a before-queue filter
client          str  host name of the client, unknown without a PTR
client_address  str  its address
client_port     str  its port, with smtpd_client_port_logging
sasl_method     cat  SASL mechanism
sasl_username   str  who logged in
sasl_sender     str  AUTH= parameter of MAIL FROM
orig_queue_id   str  queue ID before the filter, told by XFORWARD
orig_client     str  client before the filter, name[address]
uid             int  user ID that called sendmail (pickup)
sender          str  envelope sender (pickup)
orig_id         str  queue ID before postsuper -r (pickup)
""",
)
_event(
    "message_ids",
    "cleanup saw the Message-ID header",
    """
queue_id    str  queue ID
message_id  str  as logged, normally in angle brackets; empty when there was none
resent      cat  "resent-" for a Resent-Message-ID
""",
)
_event(
    "queued",
    "qmgr took the mail into the active queue (first time and each retry)",
    """
queue_id  str  queue ID
sender    str  envelope sender, empty for bounces
size      int  bytes
nrcpt     int  recipients still to be read, after alias expansion
queue     cat  active ...
""",
)
_event(
    "expirations",
    "qmgr gave up: status=expired or force-expired",
    """
queue_id  str  queue ID
sender    str  envelope sender
status    cat  expired or force-expired
""",
)
_event(
    "deliveries",
    "one attempt to deliver to one recipient",
    """
queue_id            str    queue ID
recipient           str    final address after aliases
original_recipient  str    address before aliases, when it differs
relay               str    next hop: host[address]:port, host[socket], local, virtual, a pipe service, none
conn_use            int    use count of the connection
delay               float  seconds since arrival
delays              str    a/b/c/d: before the queue manager, in the queue, connecting, transmitting (seconds)
tls                 str    TLS summary of Postfix 3.11
dsn                 cat    enhanced status code
status              cat    sent, deferred, bounced, SOFTBOUNCE, deliverable, undeliverable ...
reply               str    text in parentheses
""",
)
_event(
    "removals",
    "the queue file was removed",
    """
queue_id  str  queue ID
reason    cat  canceled or discarded (Postfix 3.10 cleanup), else empty
""",
)
_event(
    "rejects",
    "smtpd, postscreen, cleanup or a milter acted on a command or mail: reject, hold, discard, filter ...",
    """
queue_id        str  queue ID, or NOQUEUE
action          cat  reject, reject_warning, milter-reject, discard, hold, filter, redirect, bcc, warn, info ...
stage           cat  CONNECT, HELO, MAIL, RCPT, DATA, END-OF-MESSAGE, header, body ...
client          str  host name of the client
client_address  str  its address
code            cat  SMTP reply code
dsn             cat  enhanced status code
text            str  reason
sender          str  envelope sender
recipient       str  recipient
proto           cat  SMTP, ESMTP ...
helo            str  HELO name
sasl_username   str  who was logged in (Postfix 3.10)
""",
)
_event(
    "notifications",
    "bounce made a notification",
    """
queue_id        str  the mail it is about
kind            cat  sender non-delivery, sender delay, sender delivery status, postmaster non-delivery ...
child_queue_id  str  the notification's own queue ID
""",
)
_event(
    "requeues",
    "postsuper acted on a mail, or MailScanner put it into the queue again",
    """
queue_id        str  queue ID
action          cat  requeued, placed on hold, released from hold, expired
child_queue_id  str  queue ID afterwards (MailScanner)
""",
)
_event(
    "sessions",
    "an SMTP session's line without a mail: connect, disconnect, lost connection, TLS, SASL failure",
    """
event           cat  connect, disconnect, lost connection, timeout, too many errors, tls, auth failed ...
queue_id        str  queue ID, where given (Postfix 3.10)
client          str  host name of the client
client_address  str  its address
stage           cat  after which command
commands        str  the counters of a disconnect line, as logged: ehlo=1 mail=1 ...
text            str  the rest: TLS parameters, reason
sasl_username   str  who tried to log in
""",
)
_event(
    "logins",
    "a Dovecot login, failed or not; a login that saslauthd refused",
    """
event           cat  login, failed, aborted, auth
protocol        cat  imap, pop3, submission, managesieve
user            str  user as given at login
method          cat  SASL mechanism
remote_address  str  rip=
local_address   str  lip=
session         str  Dovecot's session
mpid            int  process ID of the imap process that follows
tls             cat  TLS, secured ...
reason          str  why it failed
shown           cat  what the line shows that it shouldn't: given password, SHA1 of given password
""",
)
_event(
    "stores",
    "Dovecot (lmtp, lda, sieve) did something with a mail",
    """
user        str  mailbox owner
session     str  Dovecot's LMTP session, echoed in Postfix's reply
message_id  str  Message-ID
action      cat  stored, failed, forwarded, discarded, rejected, vacation, duplicate, piped, script
mailbox     str  folder
address     str  where it was forwarded to
text        str  the rest
""",
)
_event(
    "moves",
    "Dovecot mail_log or imapsieve: a user copied, expunged or trained a mail",
    """
user            str  login
session         str  Dovecot's session
event           cat  copy, save, delete, undelete, expunge, flag_change, pipe ...
source_mailbox  str  folder it came from (copy)
mailbox         str  folder it lies in now
uid             str  IMAP UID
message_id      str  Message-ID, perhaps cut
size            int  bytes
text            str  the rest, e.g. the program piped to
""",
)
_event(
    "verdicts",
    "a filter judged a mail for a recipient",
    """
filter          cat    dspam, amavis, rspamd, spamd, spampd, mailscanner, pmg
result          cat    as the filter names it: S, I, W ... (DSPAM), Passed CLEAN (amavis), action (rspamd), Y or . (spamd)
spam            bool   whether the filter took it for spam: it left tagged, or was kept back
user            str    dictionary or recipient
sender          str    envelope sender (amavis, rspamd) or From header (DSPAM)
recipients      str    recipients as logged, comma-separated
message_id      str    Message-ID
queue_id        str    queue ID before the filter, where told
child_queue_id  str    queue ID after the filter, where told
signature       str    DSPAM signature, amavis mail_id, rspamd digest, PMG's number
subject         str    subject (never shown unless asked for)
score           float  points
required        float  points needed
status          str    DSPAM: Delivered, Quarantined ...; amavis: actions; rspamd: symbols
client          str    client address
dkim            str    what amavis signed the mail with, selector:domain
seconds         float  processing time
text            str    the rest
""",
)
_event(
    "trainings",
    "a filter was trained, or the attempt failed",
    """
filter      cat  dspam, rspamd, spamd, crm114 ...
outcome     cat  learned, missed (no such signature), called, failed
class       cat  spam, innocent
user        str  dictionary named in the call
signature   str  DSPAM signature
path        str  path that could not be opened
message_id  str  Message-ID
text        str  the rest
""",
)
_event(
    "filter_errors",
    "a filter reports trouble",
    """
filter     cat  dspam, amavis, rspamd ...
kind       cat  connect, dictionary full, delivered unfiltered, dropped, crash ...
path       str  file or socket
signature  str  DSPAM signature
code       str  error number
text       str  the text
""",
)
_event(
    "service_events",
    "a service started, stopped, reloaded, warned or failed",
    """
event     cat  start, stop, reload, warning, error, fatal, panic, limit, compatibility ...
queue_id  str  queue ID, where the warning names one
text      str  the text
""",
)
_event(
    "losses",
    "the logging system itself lost or repeated lines, or began or ended",
    """
event  cat  lost, losing, repeated, unprintable, started, stopped
count  int  how many
text   str  the text
""",
)
_event(
    "milters",
    "OpenDKIM, OpenDMARC, SPF, postgrey ... spoke of a mail",
    """
filter          cat  opendkim, opendmarc, policyd-spf, postgrey
queue_id        str  queue ID
result          cat  pass, fail, none, signed, greylist ...
domain          str  domain
client          str  client name
client_address  str  its address
sender          str  envelope sender
recipient       str  recipient
text            str  the text
""",
)
