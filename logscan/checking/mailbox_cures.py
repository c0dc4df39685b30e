"""What to do about a mailbox that takes no mail, by why it takes none (:mod:`logscan.checking.mailbox_replies`)."""

from __future__ import annotations

import shlex

from logscan.checking.mailbox_replies import (
    BROKEN,
    DISABLED,
    FAILED,
    INTERNAL,
    NO_SPACE,
    OVER_QUOTA,
    PERMISSION,
    REFUSING,
    UNKNOWN,
)

IN_WORDS = {
    OVER_QUOTA: "the mailbox is full",
    UNKNOWN: "Postfix took the mail, and the mailbox server doesn’t know the mailbox",
    DISABLED: "the mailbox is switched off",
    PERMISSION: "the mailbox can’t be written: permission denied",
    NO_SPACE: "there is no space left where mailboxes are",
    INTERNAL: "the mailbox server failed, and says why in its own log only",
    REFUSING: "the user’s Sieve script failed, and the mail with it",
}
"""Each cause as a sentence."""


def cure(cause: str, subject: str, boxes: list[str]) -> str:
    """Return what to do about a cause; of several mailboxes for the first; ``subject`` is the script where there is one."""
    # A stranger may have made the name up: it goes into commands quoted.
    box, script = shlex.quote(boxes[0]), shlex.quote(subject)
    return {
        OVER_QUOTA: f"`doveadm quota get -u {box}` shows what is used; let the user delete mail (`doveadm mailbox "
        f"status -u {box} vsize '*'` tells where it lies), or raise the quota (quota_rule; Dovecot 2.4: "
        "quota_storage_size). quota_full_tempfail=yes keeps such mail in Postfix's queue meanwhile instead of returning it.",
        UNKNOWN: f"`doveadm user {box}` fails, and Postfix's recipient table has the address: remove it there "
        "(virtual_mailbox_maps, local_recipient_maps, relay_recipient_maps), or make the user. So that such mail is refused "
        "at RCPT and not returned to forged senders: reject_unverified_recipient in smtpd_recipient_restrictions.",
        DISABLED: f"Switch the mailbox of {box} on again, or take the address out of Postfix's recipient table.",
        PERMISSION: "Dovecot's line names the path, who it ran as (euid) and which directory stops it: give it back "
        f"to the mail user (`namei -l PATH`, `chown`, `chmod`), then `postqueue -f`; `doveadm mailbox status -u {box} "
        "messages INBOX` must work.",
        NO_SPACE: "`df -h` and `df -i` of the mail store; then `postqueue -f` has the waiting mail tried again.",
        INTERNAL: "Dovecot writes the reason into its error log at that very second (`doveadm log find` tells where "
        f"it lies; `doveadm log errors` shows the last ones). `doveadm user {box}` and `doveadm mailbox status -u {box} "
        "messages INBOX` show whether it goes now; then `postqueue -f`.",
        REFUSING: "Dovecot's lines of that second, and the log file beside the user's script, tell which action failed "
        "(a redirect that no server takes, a folder that is full or locked). The mail waits in Postfix's queue: mend it within "
        "maximal_queue_lifetime, then `postqueue -f`.",
        BROKEN: f"`sievec -d {script}` shows the errors (without -d it would write the compiled script as whoever runs "
        "it), as does the log file beside the script; the user mends it in the mail program (ManageSieve), or you restore the "
        "version before. The mail lies in INBOX.",
        FAILED: f"The log file beside {subject} tells the line and why (a folder that is gone, a redirect refused, a "
        "full folder). Where the line says implicit keep, the mail lies in INBOX.",
    }[cause]
