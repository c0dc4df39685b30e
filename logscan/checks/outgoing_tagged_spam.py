"""Mail that left this server was tagged as spam by its own filter.

## What it finds
Mail of this server's own users, scripts and cron jobs that a remote host took, or refused after DATA, and that carried
this server's own spam verdict; and such mail that the filter kept back altogether: thrown away, put into quarantine or on
hold, refused.

## Why it matters
Nobody but the recipient can notice: Postfix logs `status=sent`, and the mail lies in a junk folder elsewhere, or is
refused there, because this server itself called it spam. What the filter threw away reaches nobody, and nobody is told.

## What the log shows
The mail's way through the filter in Postfix's log, and the filter's own verdict: a row of class S in DSPAM's system.log
for this message-id and recipient; amavis's `Tagged` action for that recipient, or `Blocked`; rspamd's `add header` or
`rewrite subject`; spamd's `result: Y` during the hand-over; `Ok, discarded`, `BLOCKED`, `milter-discard`, `milter-hold`
in Postfix's lines; MailScanner's `Spam Actions` without `deliver` on a mail that lies on hold; the rules by which Proxmox
Mail Gateway blocks a mail or moves it into a quarantine.

## What to do
Take the way by which it entered out of the filter; the finding names it (`authenticated-port-25`, `local-script`,
`submission-filtered`, `all-filtered`) and shows the change that fits the filter. For `own-mail-discarded` first see
whether the mail lies in a quarantine; `own-mail-blocked` is what the filter kept back for another reason (a virus, a
forbidden file): look at the sender's computer.

## When it is wrong
A connection from this host isn't always a script: fetchmail, webmail, Mailman and Sieve redirects come from here too.
Scanning outgoing mail on purpose is no finding unless it tagged. What an alias or Sieve forwards from outside to
outside is a note.

## When it is blind
When outgoing mail went through the filter but its verdicts aren't there (DSPAM's system.log of that time), when a milter
judges and its log doesn't cover the times at which the mail came in, when amavis took mail for spam in lines without
actions (`{…}`), or when no mail left at all. It isn't applicable
where the configuration names no spam filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan.checking import own_cases, own_mail
from logscan.checking.check import Check
from logscan.checking.own_findings import KEPT_BACK, by_origin, kept_back
from logscan.checking.own_judged import judged
from logscan.checking.own_mail import ORIGINS, OwnMail
from logscan.findings import Counted, Result
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


def look(window: Window, settings: Settings) -> Partial:
    """Take deliveries to outside recipients of mail submitted here, or forwarded, that the filter tagged or kept back."""
    rows = own_cases.cases(window, settings)
    rows = rows[rows["outside"] & (rows["tagged"] | (rows["kept"] != ""))]
    return Partial({**own_mail.look(window, settings), **own_cases.kept_of(rows)})


def conclude(partial: Partial, log: Log) -> Result:
    """Look at each delivery to an outside recipient of mail submitted here."""
    own = OwnMail.of(partial, log)
    away = own.cases[own.cases["outside"]]
    outgoing = away[away["inside"]]
    nothing = "no mail of a user or program of this server left it in these logs"
    if own.waiting:
        nothing += f" (mail to {Counted(own.waiting):recipient|recipients} still waits)"
    result = Result()
    counts = own.counts[own.counts["outside"] & ~own.counts["kept"]]
    judged(result, counts, int((outgoing["kept"] != "").sum()), own, nothing)
    spam = outgoing["tagged"] & (outgoing["kept"] == "")
    words = "{what} from {who} left this server tagged as spam by its own filter, to {relays}"
    result.findings += by_origin(own, outgoing[spam], "problem", words)
    result.findings += kept_back(own, outgoing, " for outside")
    forwarded = away[(away["direction"] == "forwarded") & ~away["inside"] & away["tagged"]]
    words = "{what} from outside ({who}) {was} forwarded to outside tagged as spam"
    for note in by_origin(own, forwarded, "note", words, cause="forwarded"):
        note.remedy, note.why = None, "An alias or a Sieve script forwards mail from outside."
        result.findings.append(note)
    return result


def marks(source: str, target: str) -> bool:
    """Whether the filter's mail goes this way out."""
    return source.startswith("back:") and target == "outside"


CHECK = Check(
    "outgoing-tagged-spam",
    "Outgoing mail is tagged as spam",
    look,
    conclude,
    causes=(*ORIGINS, *KEPT_BACK, "forwarded"),
    marks=marks,
    many={
        "authenticated-port-25": "Outgoing mail of {n} people is tagged as spam here: they submit on port 25",
        "local-script": "Outgoing mail of {n} programs on this host is tagged as spam here",
        "submission-filtered": "Outgoing mail of {n} people is tagged as spam here: the submission service is filtered",
    },
    own_edges=True,
    order=50,
    clear="No outgoing mail was tagged as spam or kept back by this server's own filter "
    "({checked:delivery|deliveries} looked at)",
    but="but for {noted:mail|mails} forwarded from outside",
)
