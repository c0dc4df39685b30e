"""Reports and lines without the Subject of any mail."""

from __future__ import annotations

import re
from dataclasses import replace

from logscan.findings import Evidence, Finding
from logscan.report.model import Report

_HIDDEN = "(subject hidden)"


# DSPAM's system.log and user logs: time, class, sender, signature, subject (tab between each).
_ROW = re.compile(r"(?<!\d)(\d{9,11}\t[A-Za-z]\t[^\t]*\t[^\t]*\t)[^\t\n]*")


# Postfix header_checks: "header Subject: … from client[address]; from=<…"
_HEADER = re.compile(r"(header subject: ).*?(?= from [^ ]+\[[^\]]*\]; (?:from|to|proto)=|$)", re.IGNORECASE)


# Dovecot mail_log_fields, rspamd, amavis: subject=…, Subject: "…"
_FIELD = re.compile(r"(\bsubject(?:=|: ?))(\"[^\"]*\"|.*?(?=, [a-z_-]+[=:]|$))", re.IGNORECASE)


def hide_subjects(text: str) -> str:
    """Return a log line without the Subject of the mail it tells of."""
    text = _ROW.sub(lambda found: found[1] + _HIDDEN, text)
    if "ubject" in text or "UBJECT" in text:
        if _HEADER.search(text):
            return _HEADER.sub(lambda found: found[1] + _HIDDEN, text)
        text = _FIELD.sub(lambda found: found[0] if found[2] == _HIDDEN else found[1] + _HIDDEN, text)
    return text


def without_subjects(report: Report) -> Report:
    """Return a copy of ``report`` that shows no Subject of any mail."""

    def finding(each: Finding) -> Finding:
        return replace(
            each,
            cases=[{key: value for key, value in case.items() if key != "subject"} for case in each.cases],
            evidence=[Evidence(line.source, line.line, hide_subjects(line.text)) for line in each.evidence],
        )

    return replace(
        report,
        checks=[replace(check, findings=[finding(each) for each in check.findings]) for check in report.checks],
        unknown=[replace(each, text=hide_subjects(each.text)) for each in report.unknown],
        paths={key: [hide_subjects(line) for line in lines] for key, lines in report.paths.items()},
    )
