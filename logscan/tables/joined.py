"""The joined tables: what correlation makes of the event tables."""

from __future__ import annotations

from logscan.tables.schema import COMMON, EVENTS, Column, Table, columns_of

JOINED: dict[str, Table] = {}
"""The tables that :mod:`logscan.correlate` and :mod:`logscan.scan.trainings` make, every column of theirs, in their order.

Kinds as in the event tables, and ``int?`` and ``bool?`` where a value may be missing (``int`` and ``bool`` always have
one). A number of a row counts from 0, -1 for none. Meanings that begin with ``internal:`` are of columns that later stages of
logscan use; they aren't written to Parquet and may change.
"""


def _joined(name: str, row: str, text: str, before: tuple[Column, ...] = ()) -> None:
    JOINED[name] = Table(name, row, before + columns_of(text))


_joined(
    "entries",
    "one life of a queue ID: from the line that opens it to `removed`; an ID that is used again has several",
    """
host            cat    the host named in the envelope
instance        cat    Postfix instance (postfix, postfix-out)
queue_id        str    queue ID
life            int    which life of this queue ID, from 0, of those that follow each other there within five minutes
first           time   its first line
last            time   its last line
service         cat    the tag without the daemon of the line that opened it (postfix, postfix/submission)
program         cat    the daemon that opened it: smtpd, pickup, qmqpd
pid             int?   process ID of that line: its SMTP session
client          str    host name of the client, from outside a before-queue filter where one stands there
client_address  str    its address
local_client    bool   handed in on this host: by a local program, or over loopback
sasl_username   str    who logged in
uid             str    user ID that called sendmail
message_id      str    Message-ID, normally in angle brackets; empty when the mail has none
sender          str    envelope sender, empty for bounces, missing where no line tells it
size            int?   bytes
nrcpt           int?   recipients after alias expansion, as qmgr first counted them
expired         bool   given up after too long in the queue
opened          bool   the log has the line that opened it; else it began before the log
queued          bool   qmgr took it into the active queue
removed         bool   the queue file was removed; else it was still open when the log ended
ending          cat    removed, deleted (by hand), discarded, canceled, requeued, held, queued, unseen, vanished; empty: no mail
client_row      int    internal: row of the clients table
root            int    row of the entry that the mail began as (itself, when it came out of no other)
listed          int?   recipients of it in the output of `postqueue -j`, where it waits or is held; else missing
parent          int    row of the entry it came out of, -1 when of none
leg             cat    how it came out of that: filter, bounce, forward, requeue, proxy, redirect, relay, list; else empty
origin          cat    who handed it in: outside, authenticated, local, network (mynetworks), generated (by Postfix), unknown
untried         int    recipients of whom no attempt is told, though it waits, is on hold or was thrown away
mail            int    row of the mail it belongs to, -1 for what isn't a mail (transactions given up, address probes)
""",
)
_joined(
    "deliveries",
    "one attempt to deliver to one recipient, with what became of it",
    """
time                time   when the line was written
entry               int    row of the entry, -1 for a line without one
queue_id            str    queue ID
program             cat    delivery agent: smtp, lmtp, local, virtual, pipe, discard, error ...
recipient           str    final address after aliases
original_recipient  str    address before aliases, where it differs
relay               cat    next hop, as logged
delay               float  seconds since arrival
delays              str    a/b/c/d: before the queue manager, in the queue, connecting, transmitting (seconds)
dsn                 cat    enhanced status code
status              cat    sent, deferred, bounced, SOFTBOUNCE, deliverable, undeliverable ...
reply               str    text in parentheses
session             str    Dovecot's LMTP session, from the reply
hop                 bool   a hand-over to a filter that hands the mail back: not the end of its way
stored              int    copies that Dovecot stored for it, -1 when its log doesn't tell; of equal recipients, one has the copy
folder              str    folder it was stored in
store_action        cat    what Dovecot did: stored, discarded, forwarded, rejected, failed
store_row           int    internal: row of the stores table
source              int    number of the file in `scan.sources`, from 0
line                int    the line's number in that file, from 1
mailbox             str    mailbox it led to, in lower case: Dovecot's user, else the recipient without its extension
arrived             time   when its mail arrived at this server: the first line of its first entry
verdict_row         int    internal: row of the verdicts table
total_delay         float  seconds from then to this final delivery; missing for other rows, as are its parts
before_queue        float  of these: until the queue manager had it (taking it in, milters), behind a filter again
in_filter           float  of these: from the beginning of a hand-over to a filter until the filter began to hand the mail back
waiting             float  of these: in queues, deferrals included
connecting          float  of these: to the next hop
sending             float  of these: to the next hop, or to the mailbox
outcome             cat    delivered, handed-on, deferred, bounced, expired, held, discarded; no attempts: repeated, probe, stray
final               bool   the mail arrived by it: its outcome is delivered
last                bool   the recipient's end: no attempt followed, no filter handed it back; recipients are counted by these
outside             bool   the recipient is somebody elsewhere
spam                bool?  the filter tagged the mail for this recipient; missing without a verdict
signature           str    DSPAM signature, amavis mail_id or rspamd digest of that verdict
mail                int    row of the mail, -1 for none
""",
)
_joined(
    "legs",
    "one entry that came out of another",
    """
host             str  host of both
parent_queue_id  str  queue ID before
child_queue_id   str  queue ID after
kind             cat  filter, bounce, forward, requeue, proxy, redirect, relay, list
known_by         cat  told by: queued as, orig_queue_id, amavis, forwarded as, orig_id, notification, inferred, sieve, requeue
confidence       cat  high (the log names both), medium or low (inferred; low is ambiguous)
parent           int  row of the entry before
child            int  row of the entry after
delivery         int  row of the delivery that handed it over, -1 for none
""",
)
_joined(
    "mails",
    "one mail as its sender would count it: all entries that came out of one",
    """
entry           int   row of its first entry
host            str   host of that entry
queue_id        str   queue ID of that entry
message_id      str   Message-ID
sender          str   envelope sender, empty for bounces
size            int?  bytes
first           time  first line of its first entry
last            time  last line of all its entries
direction       cat   inbound, outbound, internal, forwarded, generated; opened-before where the log lacks its first line
origin          str   who handed it in, as in entries
service         str   the tag without the daemon of the line that opened it
client          str   host name of the client
client_address  str   its address
sasl_username   str   who logged in
lives           int   entries it has
recipients      int   recipients at the end of its way, after aliases: the sum of the six that follow
delivered       int   recipients it arrived at, by their last status: one each, whatever copies were stored (`deliveries.stored`)
deferred        int   recipients for whom it was still waiting when the log ends
bounced         int   recipients it was refused for
expired         int   recipients it was given up for after too long in the queue, and returned
held            int   recipients for whom it was on hold when the log ends, or in a filter's quarantine
discarded       int   recipients for whom it was thrown away: by a filter, a rule, a script, deleted by hand, or vanished
deferrals       int   attempts that were put off
verdict         cat   spam (tagged for one of its recipients), innocent (judged, for none), unknown (no filter judged it)
opened_before   bool  it began before the log
open            bool  one of its entries was still in the queue when the log ends
""",
)
_joined(
    "verdicts",
    "a filter judged a mail for a recipient; rows of DSPAM's user logs that its system.log has too are left out",
    """
entry  int  row of the entry that it judged, -1 where no line tells
""",
    COMMON + EVENTS["verdicts"].columns,
)
_joined(
    "trainings",
    "one training call, however many lines it left",
    """
made        time  when the signature was made (it begins with that time)
inferred    bool  belongs_to was found by time: whom the filter was handed mail for when the signature was made
belongs_to  str   under whom the filter learned the mail: the signature's owner, missing where nothing tells
""",
    COMMON + EVENTS["trainings"].columns,
)
