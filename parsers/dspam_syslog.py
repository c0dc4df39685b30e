"""DSPAM in syslog: training that failed, mail that it could not judge, its own life.

DSPAM never logs a queue ID and seldom a user; the user of a failed training is in the path.
"""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import last, upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx

MISSED = LogFormat(
    name="dspam-signature-missed",
    title="a mail is to be trained whose signature the user's dictionary doesn't have",
    reference="DSPAM src/hash_drv.c, _ds_get_signature()",
    programs=("dspam", "dspam.file"),
    table="trainings",
    constants={"filter": "dspam", "outcome": "missed"},
    line="Unable to open file for reading: "
    + pp.FollowedBy(last(r"\.sig/[^/]+\.sig: ") + ".sig/" + upto(r"\.sig: ", least=1)("signature") + ".sig: ")
    + last(r": ")("path")
    + ": "
    + rest(),
    samples=(
        Sample(
            "Unable to open file for reading: /var/spool/dspam/data/local/rjt/rjt.sig/4bbcf8a653512168214050.sig:"
            " No such file or directory",
            {
                "path": "/var/spool/dspam/data/local/rjt/rjt.sig/4bbcf8a653512168214050.sig",
                "signature": "4bbcf8a653512168214050",
            },
        ),
    ),
    weight=100,
)

UNRESOLVED = LogFormat(
    name="dspam-signature-unresolved",
    title="a mail is to be trained whose signature is not found",
    reference="DSPAM src/dspam.c, process_message()",
    programs=("dspam", "dspam.file"),
    table="trainings",
    constants={"filter": "dspam", "outcome": "unresolved"},
    line="Signature retrieval for '" + upto(r"' failed\Z")("signature") + "' failed",
    samples=(
        Sample("Signature retrieval for '6b0407af90551184917713' failed", {"signature": "6b0407af90551184917713"}),
    ),
    weight=99,
)


def _error(
    kind: str, title: str, line: pp.ParserElement, samples: dict[str, dict[str, str]], weight: int = 0
) -> LogFormat:
    """Return the format of one kind of trouble."""
    return LogFormat(
        name=f"dspam-{kind.replace(' ', '-')}",
        title=title,
        reference="DSPAM src/language.h and where its texts are used",
        programs=("dspam", "dspam.file"),
        table="filter_errors",
        constants={"filter": "dspam", "kind": kind},
        line=line,
        samples=tuple(Sample(text, fields) for text, fields in samples.items()),
        weight=weight,
    )


def _texts(*texts: str) -> dict[str, dict[str, str]]:
    return {each: {"text": each} for each in texts}


ERRORS = (
    _error(
        "dropped",
        "a training message is thrown away",
        "process_message returned error " + rx("-?[0-9]+")("code") + ".  " + rx("dropping message\\.?")("text"),
        {"process_message returned error -5.  dropping message.": {"code": "-5", "text": "dropping message."}},
        90,
    ),
    _error(
        "delivered unfiltered",
        "DSPAM fails and delivers the mail without a verdict",
        ("process_message returned error " + rx("-?[0-9]+")("code") + ".  " + rx("delivering\\.?")("text"))
        | rx("message too big, delivering")("text"),
        {
            "process_message returned error -2.  delivering.": {"code": "-2", "text": "delivering."},
            "message too big, delivering": {"text": "message too big, delivering"},
        },
        80,
    ),
    _error(
        "no signature",
        "a mail is to be trained that holds no usable signature",
        rx("Unable to find a valid signature(?s:.*)")("text"),
        _texts("Unable to find a valid signature. Aborting."),
        95,
    ),
    _error(
        "signature not stored",
        "a signature could not be stored, so the mail can't be trained later",
        ("_ds_set_signature() failed with error " + rx("-?[0-9]+")("code")) | rx("_ds_set_signature: (?s:.*)")("text"),
        {
            "_ds_set_signature() failed with error -5": {"code": "-5"},
            "_ds_set_signature: signature data to big to be inserted": {
                "text": "_ds_set_signature: signature data to big to be inserted"
            },
        },
    ),
    _error(
        "dictionary full",
        "a dictionary is full: nothing new is learned",
        "hash table " + upto(r" full\Z")("path") + rx(" full"),
        {"hash table /var/spool/dspam/data/bob/bob.css full": {"path": "/var/spool/dspam/data/bob/bob.css"}},
    ),
    _error(
        "connect",
        "DSPAM can't reach its daemon or the server it delivers to",
        ("Connection to " + pp.Opt("socket ") + upto(" failed: ")("path") + " failed: " + rest()("text"))
        | rx("Unable to connect to server|Packet send failure")("text"),
        {
            "Connection to 127.0.0.1:10026 failed: Connection refused": {
                "path": "127.0.0.1:10026",
                "text": "Connection refused",
            },
            "Connection to socket /run/dspam/dspam.sock failed: No such file or directory": {
                "path": "/run/dspam/dspam.sock",
                "text": "No such file or directory",
            },
            "Unable to connect to server": {"text": "Unable to connect to server"},
            "Packet send failure": {"text": "Packet send failure"},
        },
        20,
    ),
    _error(
        "refused",
        "the server to which DSPAM delivers refuses",
        (rx("Got error (?=-?[0-9]+ in response to )") + rx("-?[0-9]+")("code") + " in response to " + rest()("text"))
        | rx("(?:Received error (?:on greeting|in response to [A-Z]+): |Delivery failed completely)(?s:.*)")("text"),
        {
            "Got error 550 in response to RCPT TO: 550 5.1.1 <x@example.com>: Recipient address rejected": {
                "code": "550",
                "text": "RCPT TO: 550 5.1.1 <x@example.com>: Recipient address rejected",
            },
            "Received error on greeting: 421 busy": {"text": "Received error on greeting: 421 busy"},
            "Received error in response to LHLO: 500 what?": {"text": "Received error in response to LHLO: 500 what?"},
            "Delivery failed completely": {"text": "Delivery failed completely"},
        },
        10,
    ),
    _error(
        "client",
        "the DSPAM client ends with an error",
        "Client exited with error " + rx("-?[0-9]+")("code"),
        {"Client exited with error -5": {"code": "-5"}},
        10,
    ),
    _error(
        "delivery agent",
        "the program by which DSPAM delivers fails",
        rx(
            "(?:Delivery agent (?:returned exit code|terminated by signal) |Error opening pipe to delivery agent: "
            "|Error getting exit status of delivery agent: |Unexpected return code )(?s:.*)"
        )("text"),
        _texts(
            "Delivery agent returned exit code 75: /usr/sbin/sendmail",
            "Delivery agent terminated by signal 9: /usr/sbin/sendmail",
            "Error opening pipe to delivery agent: /usr/sbin/sendmail: Cannot allocate memory",
            "Error getting exit status of delivery agent: /usr/sbin/sendmail: No child processes",
            "Unexpected return code 1 when closing pipe",
        ),
    ),
    _error(
        "file",
        "DSPAM can't open, read, write, create or lock a file",
        (
            rx(
                r"Unable to open file for reading: (?!(?s:.*)\.sig/[^/]+\.sig: )|Unable to (?:open file for writing"
                "|write file|read from file|create directory): |Failed to (?:lock|free lock) file"
                " |_hash_drv_open\\(|unable to "
                "(?:open directory|truncate hash file|fallocate hash file|restore hash file) '?|munmap failed on error "
                "|failed to (?:write header in|fill) hash file '?"
            )
            + rx("/[^:')]*")("path")
            + rx("[:')]* ?")
            + rest()("text")
        )
        | rx("(?:munmap failed on error |Creating local domain socket )(?s:.*)")("text")
        | (
            rx("/[^:]+")("path")
            + ": "
            + rx("(?:extent #|file too short|[0-9]+ records|will |invalid |unknown )(?s:.*)")("text")
        ),
        {
            "Unable to create directory: /var/lib/dspam/data/example.com/frank: File exists": {
                "path": "/var/lib/dspam/data/example.com/frank",
                "text": "File exists",
            },
            "Unable to open file for reading: /var/spool/dspam/data/bob/bob.prefs: Permission denied": {
                "path": "/var/spool/dspam/data/bob/bob.prefs",
                "text": "Permission denied",
            },
            "Unable to write file: /var/spool/dspam/data/bob/bob.css: No space left on device": {
                "path": "/var/spool/dspam/data/bob/bob.css",
                "text": "No space left on device",
            },
            "Failed to lock file /var/spool/dspam/data/bob/bob.lock: 11: Resource temporarily unavailable": {
                "path": "/var/spool/dspam/data/bob/bob.lock",
                "text": "11: Resource temporarily unavailable",
            },
            "_hash_drv_open(/var/spool/dspam/data/bob/bob.css) failed on error 13: Permission denied": {
                "path": "/var/spool/dspam/data/bob/bob.css",
                "text": "failed on error 13: Permission denied",
            },
            "unable to open directory '/var/spool/dspam' for reading: Permission denied": {
                "path": "/var/spool/dspam",
                "text": "for reading: Permission denied",
            },
            "failed to write header in hash file '/x/bob.css': No space left on device": {
                "path": "/x/bob.css",
                "text": "No space left on device",
            },
            "munmap failed on error 22: Invalid argument": {"text": "munmap failed on error 22: Invalid argument"},
            "Creating local domain socket /run/dspam.sock: Address already in use": {
                "text": "Creating local domain socket /run/dspam.sock: Address already in use"
            },
            "/x/bob.css: extent #1@80: file too short 12": {
                "path": "/x/bob.css",
                "text": "extent #1@80: file too short 12",
            },
        },
    ),
    _error(
        "dictionary",
        "a user's dictionary could not be opened",
        rx(
            "(?:Unable to attach DSPAM context|Context initialization failed|Message parser failed"
            "|Skipping retraining for signature|Unable to initialize storage driver|Driver does not support"
            "|HashPctIncrease out of range)(?s:.*)"
        )("text"),
        _texts(
            "Unable to attach DSPAM context. Retrying.",
            "Unable to attach DSPAM context",
            "Context initialization failed",
            "Message parser failed. Unable to continue.",
            "Skipping retraining for signature with 0 tokens",
        ),
    ),
    _error(
        "user",
        "DSPAM is called for a user it doesn't accept",
        rx(
            "(?:Unable to determine (?:UID for |the destination user)|_ds_get_signature: |_ds_get_nextuser: |Invalid"
            " user '"
            "|Option --user requires special privileges|Invalid email address: |Illegal username "
            "|(?:load_aggregated_prefs|process_users)\\(\\): )(?s:.*)"
        )("text"),
        _texts(
            "Unable to determine UID for bob",
            "Unable to determine the destination user",
            "_ds_get_signature: _mysql_drv_getpwuid(7) failed: aborting",
            "_ds_get_nextuser: detected empty or NULL uid in stats table",
            "Invalid user 'bob'",
            "Option --user requires special privileges when user does not match current user, e.g.. root or Trusted"
            " User"
            " [uid=7(vmail)]",
            "Invalid email address: x",
            "Illegal username ('../' not allowed)",
            "load_aggregated_prefs(): Can not fallback to domains for username 'bob' without @domain part.",
        ),
    ),
    _error(
        "command",
        "DSPAM is called with arguments that it doesn't understand",
        rx(
            "(?:No such (?:class|source) '|No (?:source|class) was specified|Classify mode may not"
            "|No (?:operating|training) mode was specified|empty message )(?s:.*)"
        )("text"),
        _texts(
            "No such class 'ham'",
            "No such source 'x'",
            "No source was specified for this class",
            "No class was specified for this source",
            "Classify mode may not specify a class",
            "No operating mode was specified",
            "No training mode was specified",
            "empty message (no data received)",
        ),
    ),
    _error(
        "query",
        "DSPAM's database refuses",
        rx("(?:query error: |Unable to initialize handle to |sqlite\\.pragma function error: )(?s:.*)")("text"),
        _texts(
            "query error: MySQL server has gone away: see sql.errors for more details",
            "Unable to initialize handle to MySQL database",
            "sqlite.pragma function error: x",
        ),
    ),
)


def _event(event: str, title: str, words: str, *texts: str) -> LogFormat:
    """Return the format of one event in the daemon's life."""
    return LogFormat(
        name=f"dspam-{event}",
        title=title,
        reference="DSPAM src/daemon.c, src/dspam.c",
        programs=("dspam", "dspam.file"),
        table="service_events",
        constants={"event": event},
        line=rx(words)("text"),
        samples=tuple(Sample(each, {"text": each}) for each in texts),
    )


EVENTS = (
    _event("start", "DSPAM's daemon starts", "Daemon process starting", "Daemon process starting"),
    _event(
        "stop",
        "DSPAM's daemon is told to stop",
        "Daemon terminating on signal [0-9]+",
        "Daemon terminating on signal 15",
    ),
    _event(
        "reload", "DSPAM's daemon reads its configuration again", "Reloading configuration", "Reloading configuration"
    ),
    _event(
        "fatal",
        "DSPAM's daemon can't work",
        "(?:Daemon mode failed to start|Could not bind to |Unable to (?:listen|accept)|Thread creation failed)(?s:.*)",
        "Daemon mode failed to start",
        "Could not bind to :24: Address already in use",
        "Unable to listen: x",
        "Unable to accept: x",
        "Thread creation failed: Resource temporarily unavailable",
    ),
)

SOURCE = LogFormat(
    name="dspam-source",
    title="what came from an address (TrackSources)",
    reference="DSPAM src/dspam.c, tracksource()",
    programs=("dspam", "dspam.file"),
    table="milters",
    constants={"filter": "dspam"},
    line=rx("(?:virus warning: )?")
    + rx("infected message|innocent message|spam detected")("result")
    + " from "
    + rx("[^ ]*")("client_address")
    + rest()("text"),
    samples=(
        Sample(
            "innocent message from 192.0.2.9", {"result": "innocent message", "client_address": "192.0.2.9", "text": ""}
        ),
        Sample(
            "virus warning: infected message from 192.0.2.9",
            {"result": "infected message", "client_address": "192.0.2.9", "text": ""},
        ),
        Sample("spam detected from 192.0.2.9", {"result": "spam detected", "client_address": "192.0.2.9", "text": ""}),
    ),
)

NOISE = LogFormat(
    name="dspam-noise",
    title="lines of DSPAM that carry nothing for the analysis",
    reference="DSPAM src/daemon.c; src/dspam.c, TrackSources",
    programs=("dspam", "dspam.file"),
    table=None,
    line=rx("(?:Daemon process exiting|Received signal|Processing threads terminated)(?s:.*)"),
    samples=(
        Sample("Daemon process exiting"),
        Sample("Received signal. Waiting for processing threads to exit."),
        Sample("Processing threads terminated."),
    ),
)

FILE = LogFormat(
    name="dspam-file-other",
    title="other lines of DSPAM's own file: debug output, protocol lines, failed SQL queries",
    reference="DSPAM src/error.c, LOGDEBUG; src/mysql_drv.c, sql.errors",
    programs=("dspam.file",),
    table=None,
    line=rx("(?s:.*)"),
    samples=(
        Sample("DSPAM Instance Startup"),
        Sample("SEND: 250 2.6.0 <alice@example.com> Message accepted for delivery"),
    ),
    weight=-10,
)

FORMAT = (MISSED, UNRESOLVED, *ERRORS, *EVENTS, SOURCE, NOISE, FILE)
