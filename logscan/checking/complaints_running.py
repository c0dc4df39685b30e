r"""What Postfix complains of in its own words, and what each text means: rights, files, TLS, logins and loads. Data, no code.

A pattern is looked for in the text behind ``warning:``, ``error:``, ``fatal:`` or ``panic:``, without a queue ID; its
group ``it`` (or ``that``) is what the complaint is about. The first pattern that fits is the one. Each text stands in the
source file named.
"""

from __future__ import annotations

from logscan.checking.complaint import DAY, Complaint

RUNNING = (
    # Rights and files.
    Complaint(
        "rights-wrong",
        r"\A(?:not owned by (?:group )?[^ :]{1,40}|group or other writable|not set-gid or not owner\+group\+world executable): "
        r"(?P<it>/?[^ ]{1,150})",
        "warning",
        "{it} has another owner or other rights than Postfix wants",
        "As root: postfix set-permissions, then postfix check. Files that were copied into the queue directory for a chroot "
        "belong to root.",
        "Postfix conf/postfix-script",
        quiet=0,
    ),
    Complaint(
        "chroot-differs",
        r"\A(?P<it>/[^ ]{1,150}) and /[^ ]{1,150} differ",
        "warning",
        "{it}, the copy for daemons in the chroot, is out of date: names, services or zones are looked up wrongly there",
        "Copy the file anew (Debian does so at each start: systemctl restart postfix), or take the daemons out of the chroot "
        "(postconf -F "
        "'*/*/chroot = n').",
        "Postfix conf/postfix-script",
        quiet=0,
    ),
    Complaint(
        "queue-unwritable",
        r"\Amail_queue_enter: create file (?P<it>[^ :/]{1,40})/[^ :]{1,100}: (?!No space)",
        "problem",
        "Mail can't be written to the queue {it}",
        "As root: postfix set-permissions and postfix check; for maildrop see that postdrop is set-gid postdrop. A read-only "
        "file system "
        "shows in mount.",
        "Postfix global/mail_queue.c",
    ),
    Complaint(
        "corrupt-file",
        r"\Asaving corrupt file \"(?P<it>[^\"]{1,40})\"",
        "problem",
        "The queue file {it} is damaged: Postfix put it aside, it isn't delivered",
        "postcat -q doesn't read it any more; look at it in the folder corrupt of the queue directory, and save its text by "
        "hand. A crash, "
        "a full disk or a bad one is the usual cause.",
        "Postfix qmgr/qmgr_active.c",
        quiet=0,
    ),
    Complaint(
        "maildir-unreachable",
        r"\Amaildir access problem for UID/GID=(?P<it>\d+/\d+): ",
        "problem",
        "Maildirs can't be written by the user and group {it}",
        "Create the folder above the maildir and give it to that user and group: the line names the path. Then postqueue -f.",
        "Postfix local/maildir.c, virtual/maildir.c",
    ),
    Complaint(
        "unsafe-file",
        r"\A(?::include: )?file (?P<it>[^ ]{1,150}) (?:is world writable|has bad owner)",
        "warning",
        "{it} may be written by others, so Postfix doesn't follow it: the mail goes elsewhere or is put off",
        "chmod go-w the file and its folder, and give it to the user whose it is.",
        "Postfix local/dotforward.c, local/include.c",
        quiet=DAY,
    ),
    Complaint(
        "include-missing",
        r"\Acannot open include file (?P<it>[^ ]{1,150}): ",
        "problem",
        "The list {it}, which an alias includes, can't be read: its mail is put off",
        "See that the file is there and that the user of the alias database (default_privs, if root owns it) may read it and "
        "its folders.",
        "Postfix local/include.c",
    ),
    Complaint(
        "alias-missing",
        r"\Arequired alias not found: (?P<it>[^ ]{1,60})",
        "warning",
        "There is no alias {it}: notices to it are thrown away, and others can't report trouble",
        "Add the line {it}: root (and an alias for root that a person reads) to /etc/aliases, then newaliases.",
        "Postfix local/unknown.c",
        quiet=DAY,
    ),
    Complaint(
        "expansion-too-large",
        r"\Aunreasonable (?P<it>[a-z_]{1,60}) map expansion size for ",
        "problem",
        "An alias of {it} expands to more addresses than are allowed: its mail is not accepted",
        "Make it a mailing list, or raise virtual_alias_expansion_limit in main.cf (1000), then postfix reload.",
        "Postfix cleanup/cleanup_map1n.c",
        quiet=DAY,
    ),
    # TLS and SASL.
    Complaint(
        "certificate-unusable",
        r"\A(?:cannot get \w{1,10} (?:certificate|private key) from file|\w{1,10} private key in) \"?(?P<it>[^\" ,:]{1,150})"
        r"|\Aerror (?:opening chain file|loading (?:chain|certificate|private key)[^:]{0,60}?)(?: from)?:? "
        r"(?P<that>/[^ :]{1,150})",
        "problem",
        "The certificate or key {it} can't be used: TLS is off for clients of that daemon",
        "See that both files are there, readable for root, not expired and of one pair (openssl x509 -noout -dates -in "
        "FILE); then postfix "
        "reload. After a renewal the key may have stayed the old one.",
        "Postfix tls/tls_certkey.c",
    ),
    Complaint(
        "tls-without-certificate",
        r"\A(?P<it>No server certs available)",
        "problem",
        "smtpd is to offer TLS and has no certificate: it is not offered",
        "Set smtpd_tls_chain_files (before 3.4 smtpd_tls_cert_file and smtpd_tls_key_file) in main.cf, or "
        "smtpd_tls_security_level = none.",
        "Postfix smtpd/smtpd.c, postscreen/postscreen_tls_conf.c",
    ),
    Complaint(
        "tls-disabled",
        r"(?P<it>.{0,100}disabling TLS support)",
        "problem",
        "A daemon works without TLS, since it could not set it up: {it}",
        "The lines before name the reason: a certificate, a parameter or the library. Mend it, then postfix reload.",
        "Postfix tls/tls_server.c, tls_client.c, tls_certkey.c",
    ),
    Complaint(
        "client-sasl-missing",
        r"\ASASL authentication failure: (?P<it>No worthy mechs found)",
        "problem",
        "Postfix can't log in to its relay host: no mechanism of Cyrus SASL is installed that it offers",
        "Install the plug-ins (Debian: libsasl2-modules; Red Hat: cyrus-sasl-plain), and see that smtp_sasl_security_options "
        "allows PLAIN "
        "over TLS (noanonymous). Then postqueue -f.",
        "Postfix xsasl/xsasl_cyrus_log.c; cyrus-sasl lib/client.c",
    ),
    Complaint(
        "no-sasl-mechanism",
        r"\A(?P<it>no SASL authentication mechanisms)",
        "problem",
        "smtpd is to offer logins and has no way to check them: it ends with each connection",
        "Dovecot's socket for Postfix (private/auth) isn't there or Dovecot is down; or smtpd_sasl_type and smtpd_sasl_path "
        "name another "
        "one. For Cyrus install its plug-ins.",
        "Postfix smtpd/smtpd_sasl_glue.c",
        lasting=300,
    ),
    Complaint(
        "dnssec-missing",
        r"\A(?P<it>DNSSEC validation may be unavailable)",
        "warning",
        "DANE is asked for, but the resolver doesn't validate DNSSEC: certificates of other hosts aren't checked by it",
        "Run a validating resolver on this host (unbound) and name it in /etc/resolv.conf (with options trust-ad where glibc "
        "is 2.31 or "
        "later), or set smtp_tls_security_level = may.",
        "Postfix dns/dns_sec.c",
        quiet=DAY,
    ),
    # Loads.
    Complaint(
        "one-destination-fills-queue",
        r"\Amail for (?P<it>[^ ]{1,120}) is using up \d+ of \d+ active queue entries",
        "warning",
        "Mail for {it} fills the queue: other mail waits behind it",
        "Look why it doesn't go (postqueue -p, qshape active), whether an account sends spam there, and whether the filter "
        "or mailbox "
        "server is too slow if {it} is this host's own.",
        "Postfix qmgr/qmgr_entry.c",
        quiet=DAY,
    ),
    Complaint(
        "cache-slow",
        r"\Apsc_(?:cache|dict)[a-z_]{0,20}: (?P<it>[^ ]{1,150}) (?:lookup|update) average delay is ",
        "warning",
        "postscreen waits for its cache {it}: clients are kept waiting",
        "Put postscreen_cache_map onto a fast disk, or use lmdb: or proxy:btree: for it. An overloaded disk shows in iostat.",
        "Postfix postscreen/postscreen_dict.c",
        quiet=DAY,
    ),
    Complaint(
        "postscreen-stuck",
        r"\Acannot connect to service (?P<it>[^ :]{1,80}): ",
        "problem",
        "postscreen can't hand clients on to {it}: they are turned away",
        "The smtpd behind it is missing in master.cf (smtpd pass), or all of its processes are busy: raise its maxproc.",
        "Postfix postscreen/postscreen_send.c",
        lasting=60,
    ),
    Complaint(
        "proxy-protocol-silent",
        r"\A(?P<it>haproxy read): ",
        "note",
        "Connections came that didn't begin with the PROXY protocol in time, as the service wants it",
        "Health checks of the load balancer are such; else somebody connects past it: let the port be reached from the "
        "balancer only.",
        "Postfix smtpd/smtpd_haproxy.c, postscreen/postscreen_haproxy.c",
        quiet=DAY,
    ),
    Complaint(
        "no-valid-mx",
        r"\Ano (?:MX|SRV) host for (?P<it>[^ ]{1,120}) has a valid address record",
        "note",
        "Hosts named for the mail of {it} have no address: its DNS is wrong",
        "Nothing here: the address is mistyped, or that domain's owner has to mend it.",
        "Postfix smtp/smtp_addr.c",
        quiet=DAY,
    ),
    Complaint(
        "mail-too-large",
        r"\A(?P<it>queue file size limit exceeded|uncaught queue file size limit)",
        "note",
        "Mail was larger than message_size_limit and refused",
        "That is what the limit is for; message_size_limit in main.cf raises it (and mailbox_size_limit must not be smaller).",
        "Postfix smtpd/smtpd.c, cleanup/cleanup_final.c",
        quiet=DAY,
    ),
    Complaint(
        "template-units",
        r"\A(?:\[built-in\]|(?P<it>/[^ ]{1,150})): zero result in |\Aplease reduce time unit ",
        "note",
        "A notice's text tells a time as zero days, since the time is less than a day",
        "Use a smaller unit in the template (bounce_template_file), such as maximal_queue_lifetime_hours.",
        "Postfix bounce/bounce_template.c",
        quiet=DAY,
    ),
)

PANICKED = Complaint(
    "panicked",
    r"\Z",
    "problem",
    "A daemon of Postfix found itself in a state that can't be, and ended: {it}",
    "That is a fault in Postfix, in a library or in the machine's memory: look for an update, and report it with the lines "
    "before to "
    "the Postfix mailing list. Mail isn't lost by it: it is tried again.",
    "Postfix util/msg.c, msg_panic()",
    quiet=DAY,
)

COMPATIBILITY = Complaint(
    "compatibility-defaults",
    r"backwards-compatible default setting",
    "note",
    "Postfix runs with defaults of an older version, and says which of them matter",
    "Read COMPATIBILITY_README, set what is to stay as it is in main.cf (each line names one), then postconf "
    "compatibility_level=3.6 (or "
    "as the line says) and postfix reload.",
    "Postfix global/mail_params.c, conf/postfix-script",
    quiet=DAY,
)
