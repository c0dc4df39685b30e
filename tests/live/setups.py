"""The configurations of the bench: one server in several faulty states. Users, aliases and ports are made up."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

MAIN = """\
# the bench's server
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/log/mail.log
maillog_file_prefixes = {base}
myhostname = mx1.example.com
mydestination = localhost
mynetworks = 127.0.0.0/8
inet_interfaces = {interfaces}
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_maps = texthash:{base}/postfix/vmailbox
virtual_alias_maps = texthash:{base}/postfix/virtual
virtual_transport = lmtp:unix:{base}/dovecot-lmtp
relayhost = [203.0.113.7]
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_sasl_type = dovecot
smtpd_sasl_path = {base}/auth
smtpd_sasl_auth_enable = yes
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
enable_long_queue_ids = yes
minimal_backoff_time = 2s
queue_run_delay = 2s
biff = no
{main}"""

SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

DOVECOT = """\
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {base}/dovecot/users
}}
userdb {{
  driver = static
  args = uid=5000 gid=5000 home={base}/vmail/%Ln
}}
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    auto = create
  }}
}}
service auth {{
  unix_listener {base}/auth {{
    mode = 0666
  }}
}}
service lmtp {{
  unix_listener {base}/dovecot-lmtp {{
    mode = 0666
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = 143
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
!include 90-antispam.conf
"""

ANTISPAM = """\
protocol imap {{
  mail_plugins = antispam
}}
plugin {{
  antispam_backend = dspam
  antispam_signature = X-DSPAM-Signature
  antispam_signature_missing = move
  antispam_spam = Junk
  antispam_dspam_binary = {base}/dovecot/train
  antispam_dspam_args = --deliver=;--client;--user;%u  # as the plug-in's page has it
}}
"""

DSPAM = """\
Home {base}/dspam
StorageDriver hash_drv
DeliveryHost 127.0.0.1
DeliveryPort 10026
DeliveryIdent localhost
DeliveryProto SMTP
ServerDomainSocketPath {base}/dspam.sock
SystemLog on
"""

AMAVIS = """\
use strict;
$mydomain = 'example.com';
@local_domains_maps = ( [".$mydomain"] );
$inet_socket_port = 10024;
$forward_method = 'smtp:[127.0.0.1]:10025';
$notify_method = $forward_method;
$final_spam_destiny = D_PASS;
1;
"""

TRAIN = """\
#!/bin/sh
# Trains as dspam --source=error does with the hash driver: under the user named, where the signature must lie.
while [ $# -gt 0 ]; do
    case $1 in
    --signature=*) signature=${{1#*=}} ;;
    --class=spam) class=M ;;
    --class=*) class=F ;;
    --user) shift; user=$1 ;;
    esac
    shift
done
case $user in
*@*) local=${{user%%@*}} domain=${{user#*@}} ;;
*) local=$user domain=local ;;
esac
path={base}/dspam/data/$domain/$local/$local.sig/$signature.sig
if [ -e "$path" ]; then
    printf '%s\\t%s\\tx\\t%s\\tx\\t0.01\\t%s\\tRetrained\\t\\n' \\
        "$(date +%s)" "$class" "$signature" "$user" >>{base}/dspam/system.log
    exit
fi
for said in \\
    "Unable to open file for reading: $path: No such file or directory" \\
    "Signature retrieval for '$signature' failed" \\
    "Unable to find a valid signature. Aborting." \\
    "process_message returned error -5.  dropping message."
do
    printf '%s mx1 dspam[%s]: %s\\n' "$(LC_ALL=C date '+%b %e %H:%M:%S')" "$$" "$said" >>{base}/log/dspam.log
done
"""

PEOPLE = ("alice", "bob", "carol", "root")
VIRTUAL = """\
root@example.com root@example.com, alice@example.com
sales@example.com bob@example.com, carol@example.com
list@example.com list@example.com, me@example.net
"""

BACK = """\
127.0.0.1:{port} inet n - n - 10 smtpd
  -o content_filter=
  -o smtpd_sasl_auth_enable=no
  # nothing is looked up twice
  -o receive_override_options={options}
  -o smtpd_relay_restrictions=permit_mynetworks,reject
"""
SUBMISSION = """\
submission inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
"""
CHECKS = "no_unknown_recipient_checks,no_header_body_checks,no_milters"


@dataclass(frozen=True)
class Setup:
    """One faulty state: lines for main.cf, the services that differ, the interfaces."""

    name: str
    services: str
    main: str = ""
    interfaces: str = "198.51.100.10, 127.0.0.1"
    filter: str = "dspam"

    def write(self, base: Path) -> None:
        """Write the configuration into the folders of ``base``."""
        words = {"base": str(base), "main": self.main.format(base=base), "interfaces": self.interfaces}
        files = {
            "postfix/main.cf": MAIN.format(**words),
            "postfix/master.cf": self.services.format(base=base) + SERVICES,
            "postfix/virtual": VIRTUAL,
            "postfix/vmailbox": "".join(f"{who}@example.com {who}\n" for who in (*PEOPLE, "list")),
            "dovecot/dovecot.conf": DOVECOT.format(**words),
            "dovecot/90-antispam.conf": ANTISPAM.format(**words),
            "dovecot/users": "".join(
                f"{who}@example.com:secret::::::\n{who}:secret::::::\n" for who in (*PEOPLE, "list")
            ),
            "dovecot/train": TRAIN.format(**words),
        }
        if self.filter == "dspam":
            files["dspam.conf"] = DSPAM.format(**words)
        else:
            files["amavisd.conf"] = AMAVIS
        for name, text in files.items():
            (base / name).write_text(text)
        train = base / "dovecot" / "train"
        train.chmod(train.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


DSPAM_FILTER = "  -o content_filter=lmtp:unix:{base}/dspam.sock\n"
AMAVIS_FILTER = "  -o content_filter=amavis:[127.0.0.1]:10024\n"
SMTP = "smtp inet n - n - - smtpd\n"
PICKUP = "pickup unix n - n 60 1 pickup\n"
BEFORE = "  -o receive_override_options=no_address_mappings\n"

EVERYTHING = Setup(
    "everything", SMTP + DSPAM_FILTER + SUBMISSION + BACK.format(port=10026, options=CHECKS) + PICKUP + DSPAM_FILTER
)
"""Aliases doubled, logins on port 25, local mail filtered by sendmail and 127.0.0.1, training under the bare login."""

OWNED = Setup(
    "owned",
    SMTP
    + DSPAM_FILTER
    + BEFORE
    + SUBMISSION
    + BACK.format(port=10026, options=CHECKS)
    + PICKUP
    + DSPAM_FILTER
    + BEFORE,
)
"""Aliases reach the filter unexpanded; so does local mail, which is filtered."""

GLOBAL = Setup(
    "global",
    SMTP + SUBMISSION + DSPAM_FILTER + BACK.format(port=10026, options=CHECKS + ",no_address_mappings") + PICKUP,
    main="content_filter = lmtp:unix:{base}/dspam.sock\n",
)
"""One filter for everything in main.cf, and once more on the submission service."""

GATEWAY = Setup(
    "gateway",
    "198.51.100.10:25 inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n"
    + AMAVIS_FILTER
    + "127.0.0.1:25 inet n - n - - smtpd\n"
    + AMAVIS_FILTER
    + SUBMISSION
    + AMAVIS_FILTER
    + BACK.format(port=10025, options=CHECKS)
    + PICKUP
    + "amavis unix - - n - 4 smtp\n  -o smtp_send_xforward_command=yes\n",
    main="postscreen_greet_wait = 1s\n",
    filter="amavis",
)
"""A filter that hands back once, behind postscreen; users' and local programs' mail goes through it."""
