r"""What Postfix complains of in its own words, and what each text means: names, settings, tables and the service. Data, no code.

A pattern is looked for in the text behind ``warning:``, ``error:``, ``fatal:`` or ``panic:``, without a queue ID; its
group ``it`` (or ``that``) is what the complaint is about. The first pattern that fits is the one. Each text stands in the
source file named.
"""

from __future__ import annotations

from logscan.checking.complaint import DAY, Complaint

_FILE = r"(?P<it>[^ ,:\"]{1,150})"

SETTINGS = (
    # Domains, names and addresses.
    Complaint(
        "listed-twice",
        r"\Ado not list (?:domain )?(?P<it>[^ ]{1,120})(?: \([^)]{0,120}\))? in ",
        "warning",
        "{it} is listed in two of mydestination, virtual_alias_domains, virtual_mailbox_domains and relay_domains: only the "
        "first "
        "of them counts, so that its mail may go another way than meant",
        "Keep {it} in the one list that is right for it and take it out of the other one that the line names, then postfix "
        "reload.",
        "Postfix trivial-rewrite/resolve.c",
        quiet=DAY,
    ),
    Complaint(
        "own-hostname",
        r"\Ahost (?P<it>[^ ]{1,160}) (?:greeted me|replied to HELO/EHLO) with my own hostname ",
        "warning",
        "{it} calls itself by this server's own name: mail for it is returned as a loop",
        "Either the MX or the transport leads back to this server, or another machine bears the same name: give each its own "
        "myhostname, "
        "and list domains that this server is the end of in mydestination or virtual_mailbox_domains.",
        "Postfix smtp/smtp_proto.c",
        quiet=DAY,
    ),
    Complaint(
        "hostname-unusable",
        r"\A(?P<it>unable to use my own hostname|config variable [a-z_]{1,60}: host not found)",
        "problem",
        "Postfix can't use the machine's name: {it}",
        "Set myhostname in main.cf to a name with a dot (and see that inet_interfaces names addresses that exist), then "
        "postfix reload.",
        "Postfix util/get_hostname.c, util/inet_addr_list.c",
    ),
    Complaint(
        "no-interface",
        r"\A(?P<it>could not find any active network interfaces|all network protocols are disabled)",
        "problem",
        "Postfix finds no network to work with: {it}",
        "Look at inet_interfaces and inet_protocols in main.cf and at ip address; start Postfix after the network "
        "(systemd: network-online.target).",
        "Postfix global/own_inet_addr.c, master/master_ent.c",
    ),
    Complaint(
        "ipv6-not-there",
        r"\A(?P<it>[^ ]{1,60}): disabling IPv6 name/address support",
        "note",
        "The machine has no IPv6, which inet_protocols in main.cf asks for",
        "inet_protocols = ipv4 in main.cf says the same without the warning, then postfix stop and postfix start.",
        "Postfix util/inet_proto.c",
    ),
    # The service as a whole.
    Complaint(
        "port-taken",
        r"\Abind (?P<it>[^ ]{1,60} port [^ ]{1,20}): ",
        "problem",
        "Another program holds {it}, so that Postfix can't listen there",
        "ss -ltnp names the program: stop it (often exim, sendmail or a second Postfix), then postfix start.",
        "Postfix util/inet_listen.c",
        lasting=300,
    ),
    Complaint(
        "service-listed-twice",
        r"\Aduplicate master\.cf entry for service \"(?P<it>[^\"]{1,80})\"",
        "warning",
        "master.cf has two lines for the service {it}: the last one is used, options of the first have no effect",
        "Remove one of the two lines of {it} from master.cf, options that are still wanted moved to the other, then postfix "
        "reload.",
        "Postfix master/master_conf.c",
        quiet=0,
    ),
    Complaint(
        "process-crashed",
        r"\Aprocess (?P<it>[^ ]{1,150}) pid \d+ killed by signal (?:4|6|7|8|9|10|11|31)\b",
        "problem",
        "Processes of {it} were killed by the system",
        "Signal 11 or 6 is a fault in the program or a library (look for an update; a table of a type that was updated "
        "without Postfix is "
        "a usual cause), 9 mostly that memory ran out (journalctl -k | grep -i oom). Mail isn't lost by it: it is tried again.",
        "Postfix master/master_spawn.c",
        quiet=DAY,
    ),
    Complaint(
        "daemon-fails",
        r"\A(?P<it>/[^ :]{1,150}): bad command startup -- throttling|\Aprocess (?P<that>/[^ ]{1,150}) pid \d+ exit status \d+",
        "problem",
        "{it} ended right after it was started: its service doesn't work while that lasts",
        "The fatal line of that daemon right before names the reason. postfix check and postconf -n show errors in main.cf "
        "and master.cf.",
        "Postfix master/master_spawn.c",
        lasting=300,
    ),
    Complaint(
        "watchdog",
        r"\A(?P<it>watchdog timeout)",
        "problem",
        "A process of Postfix hung for hours and was ended by its own {it}",
        "Look at what the daemon waited for: a disk or network file system that hangs, a table that doesn't answer, name "
        "look-ups.",
        "Postfix util/watchdog.c",
        quiet=DAY,
    ),
    Complaint(
        "memory-short",
        r"(?P<it>insufficient memory for \d+ bytes|\bCannot allocate memory)",
        "problem",
        "The machine ran out of memory for Postfix",
        "free -m and journalctl -k show what took it. Lower default_process_limit in main.cf, or give the machine more memory.",
        "Postfix util/mymalloc.c; errno of any system call",
        quiet=DAY,
    ),
    Complaint(
        "descriptors-short",
        r"(?P<it>Too many open files)",
        "problem",
        "Postfix ran out of file descriptors ({it})",
        "Raise the limit of open files of the service (systemctl edit postfix: LimitNOFILE=), or lower the process limits in "
        "master.cf.",
        "errno of any system call",
        quiet=DAY,
    ),
    Complaint(
        "subsystem-away",
        r"\Aconnect #\d+ to subsystem (?P<it>[^ :]{1,80})",
        "problem",
        "The service {it} of Postfix can't be reached by the others: mail stands still",
        "Look for fatal lines of that daemon, and whether its line is in master.cf and its socket in the queue directory; "
        "postfix check, "
        "then postfix stop and postfix start.",
        "Postfix global/mail_connect.c",
        lasting=60,
    ),
    Complaint(
        "postfix-down",
        r"\Aunable to look up (?P<it>public/[a-z]{1,20}): ",
        "problem",
        "Programs on this host hand in mail while Postfix isn't running ({it} isn't there): it waits in the maildrop",
        "postfix start (systemctl start postfix); what waits goes on then. postfix check tells why it doesn't start.",
        "Postfix global/mail_trigger.c",
        lasting=300,
    ),
    Complaint(
        "trigger-unheard",
        r"\A[a-z_]{1,40}: read timeout for service (?P<it>[^ ]{1,60})",
        "warning",
        "The service {it} didn't take requests in time: it hangs or is far too busy",
        "For public/qmgr: the queue manager is busy with a slow disk or a very large queue (qshape, iostat). For "
        "public/flush: look for its "
        "fatal lines.",
        "Postfix util/unix_trigger.c, util/stream_trigger.c",
        lasting=600,
        quiet=DAY,
    ),
    Complaint(
        "library-mismatch",
        r"\Arun-time library vs\. compile-time header version mismatch: (?P<it>OpenSSL [0-9.]{1,20})",
        "warning",
        "Postfix was built for another OpenSSL than it runs with ({it})",
        "Install Postfix and OpenSSL from one release of the system, or build Postfix anew. Until then TLS may fail.",
        "Postfix tls/tls_misc.c",
    ),
    # Configuration.
    Complaint(
        "bad-configuration",
        r"\A(?:[^ ]{1,60}: )?(?P<it>(?:bad (?:numerical|boolean) configuration: |bad (?:string length|time value)"
        r"|invalid [a-z_]{1,60} parameter value |Invalid TLS (?:level|protocol list) |invalid cipher grade|configuration error: "
        r"|service [^ ]{1,60} requires a process limit|restriction class `"
        r"|in parameter [a-z_]{1,60}, specify at least one working instance|file [^ ]{1,120}: parameter [a-z_]{1,60}: ).{0,100})",
        "problem",
        "A setting of Postfix is wrong, and the daemon that needs it fails: {it}",
        "Correct the parameter in main.cf or master.cf, postfix check, then postfix reload. postconf -n lists what is set, "
        "postconf -d the "
        "defaults.",
        "Postfix global/mail_conf_int.c, mail_conf_bool.c, mail_conf_str.c, smtpd/smtpd.c, smtpd/smtpd_check.c",
    ),
    Complaint(
        "overridden-entry",
        r"\A(?P<it>[^ ,]{1,150}), line \d+: overriding earlier entry: ",
        "note",
        "{it} sets a parameter twice: the last one counts",
        "Remove the line that isn't meant from {it}; postconf PARAMETER shows what counts now.",
        "Postfix util/dict.c",
    ),
    Complaint(
        "unknown-restriction",
        r"\Aunknown smtpd restriction: \"(?P<it>[^\"]{1,100})\"",
        "problem",
        "Restrictions of smtpd name {it}, which there is not: clients are told 451 Server configuration error",
        "Correct the name in the smtpd_*_restrictions of main.cf or in the access table, then postfix reload. A filter's or "
        "policy "
        "service's name is written with check_policy_service in front.",
        "Postfix smtpd/smtpd_check.c",
    ),
    Complaint(
        "restriction-ignored",
        r"\Arestriction `(?P<it>[^']{1,100})' after `[^']{1,60}' is ignored",
        "warning",
        "The restriction {it} stands behind one that decides everything, so it is never looked at",
        "Move it in front of the permit or reject that the line names, in the same smtpd_*_restrictions of main.cf, then "
        "postfix reload.",
        "Postfix smtpd/smtpd_check.c",
    ),
    Complaint(
        "access-table-wrong",
        r"\Aaccess table (?P<it>[^ ,\"]{1,150}?)(?:,|: | entry | has )",
        "warning",
        "The access table {it} has an entry that Postfix can't follow: clients are told 451, or the entry is passed over",
        "postmap -q KEY TYPE:FILE shows the entry. access(5) tells what an action needs; then postmap the file.",
        "Postfix smtpd/smtpd_check.c",
    ),
    Complaint(
        "pattern-table-wrong",
        rf"\A(?:regexp|pcre|cidr) map {_FILE}, line \d+: ",
        "warning",
        "The table {it} has a line that Postfix can't read and passes over",
        "Correct the line that is named in {it}; postmap -q TEXT TYPE:FILE tries it. Then postfix reload.",
        "Postfix util/dict_regexp.c, dict_pcre.c, dict_cidr.c",
    ),
    Complaint(
        "network-bits",
        r"non-null host address bits in \"(?P<it>[^\"]{1,60})\"",
        "problem",
        "The network {it} is written with bits of a host: Postfix refuses to work with that list",
        "Write the network as the line proposes, in mynetworks or the cidr table, then postfix reload.",
        "Postfix util/cidr_match.c",
    ),
    Complaint(
        "header-check-wrong",
        r"\A(?:unknown command in|missing (?:FILTER|DELAY) (?:command )?argument in|(?:PREPEND|REPLACE) action without text in"
        r"|ignoring bad DELAY argument [^ ]{1,60} in) (?P<it>[a-z_]{1,60}) map"
        r"|\Abad FILTER command .{1,80} in (?P<that>[a-z_]{1,60})",
        "warning",
        "A rule of {it} has an action that Postfix can't follow and passes over",
        "Correct the rule: header_checks(5) tells what an action needs. Then postfix reload.",
        "Postfix cleanup/cleanup_message.c",
    ),
    Complaint(
        "duplicate-entry",
        r"\A(?:[a-z]{2,12}:)?(?P<it>[^ :]{1,150}?)(?:\.(?:db|cdb|lmdb|pag))?(?:\.tmp)?: duplicate entry: ",
        "note",
        "The table {it} holds a key twice: the first line counts",
        "Remove one of the two lines from the source file, then postmap it.",
        "Postfix util/dict_db.c, dict_cdb.c, dict_lmdb.c, dict_dbm.c",
    ),
    Complaint(
        "transport-missing",
        r"\Aconnect to transport (?P<it>[^ :]{1,80})",
        "problem",
        "The transport {it} doesn't answer the queue manager: mail that needs it is put off",
        "There is no such service in master.cf, or its daemon fails: look for the name in transport_maps, content_filter, "
        "relay_transport "
        "and mailbox_transport, and for fatal lines. Then postfix reload and postqueue -f.",
        "Postfix qmgr/qmgr_transport.c",
    ),
    Complaint(
        "transport-fails",
        r"\Atransport (?P<it>[^ ]{1,60}) failure -- see a previous",
        "problem",
        "The delivery agent of the transport {it} fails: mail that needs it is put off",
        "The fatal or panic line right before names the reason. When it is mended, postqueue -f sends what waits.",
        "Postfix qmgr/qmgr_deliver.c",
    ),
)
