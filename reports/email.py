"""The mail: plain text that stands alone, and HTML of tables and inline CSS that Gmail, Outlook and Roundcube keep.

What mail programs know of HTML and CSS: https://www.caniemail.com/
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from markupsafe import Markup

from logscan.rendering import charts
from logscan.rendering.addressing import addresses, id_domain
from logscan.rendering.grouping import shared_cures
from logscan.rendering.markup import templates
from logscan.rendering.remembering import (
    STRIP_WORDS,
    former_text,
    formers,
    marks,
    more_news,
    news,
    short_news,
    strip,
    strip_rest,
)
from logscan.rendering.renderers import Renderer, RenderOptions, renderer
from logscan.rendering.summary import (
    acting,
    by_verdict,
    resting,
    summarise,
    verdict_line,
    verdict_more,
)
from logscan.rendering.wording import day, host_text, local, period_text, stamp
from logscan.report.model import Report
from logscan.report.subjects import without_subjects
from logscan.visible import visible

MOST_FINDINGS = 12
MOST_DETAILED = 6
FEW = 8
"""Checks of one verdict of which each has its sentence; more are named, and the page has their sentences."""

MOST_ROWS = 20
"""Checks in the strip of days; the page has all."""

BESIDE = "Lines that prove it, and changes that mend it: in this mail's HTML part."
ATTACHED = "Lines that prove it, and changes that mend it: in the page attached to this mail."
"""Where the text part's reader reads on."""

MOST_HTML = 100_000
"""Bytes: Gmail clips a message whose HTML is longer (102 kB)."""


@dataclass(frozen=True)
class Picture:
    """A chart of the mail."""

    cid: str
    alt: str
    data: bytes
    width: int


def subject(report: Report, options: RenderOptions) -> str:
    """Return the Subject: host, news, counts and day: ``[logscan] mx1: 1 new · 2 problems, 14 clear — 22 Nov``."""
    counts = summarise(report, options)
    text = counts.headline() if counts.recognised else counts.unread
    if report.memory is not None:
        text = f"{short_news(report.memory)} · {replace(counts, new=None).headline() if counts.recognised else text}"
    moment = local(report.period.last or report.generated, report)
    return visible(f"[logscan] {visible(host_text(report), 80)}: {text} — {day(moment)}")


def _pictures(report: Report) -> list[Picture]:
    found = []
    for chart in charts.charts(report.traffic):
        if chart.key not in {"direction", "findings"}:
            continue
        numbers = ", ".join(f"{visible(each.name, 40)} {sum(each.values):,}" for each in chart.series)
        data = charts.png(chart)
        found.append(
            Picture(f"{chart.key}-{hashlib.sha256(data).hexdigest()[:16]}", f"{chart.title}: {numbers}", data, 560)
        )
    return found


def _html(report: Report, options: RenderOptions, pictures: list[Picture], detailed: int) -> str:
    findings = acting(report)
    counts = summarise(report, options)
    template = templates(Path(__file__).with_name("templates")).get_template("email.html.j2")
    return str(
        template.render(
            report=report,
            options=options,
            counts=counts,
            verdict=verdict_line(counts),
            hosts=host_text(report),
            period=period_text(report),
            findings=findings[:MOST_FINDINGS],
            detailed=detailed,
            more=max(0, len(findings) - MOST_FINDINGS),
            rest=resting(report)[:MOST_FINDINGS],
            clear=by_verdict(report, "clear"),
            blind=by_verdict(report, "blind"),
            absent=by_verdict(report, "not-applicable"),
            sentences=verdict_more(report, counts),
            same=shared_cures(findings[:MOST_FINDINGS]),
            memory=report.memory,
            news=news(report.memory) if report.memory else "",
            more_news=more_news(report.memory) if report.memory else [],
            strip_rows=strip(report)[:MOST_ROWS] if detailed else [],
            strip_rest=strip_rest(report),
            strip_words=STRIP_WORDS,
            former_text=former_text,
            formers=formers,
            marks=lambda group: marks(report, options, group.findings),
            pictures=pictures,
            few=FEW,
            stamp=lambda moment: stamp(moment, report, seconds=False),
            space=Markup("&nbsp;"),
        )
    )


def message(report: Report, options: RenderOptions) -> EmailMessage:
    """Return the mail. No Subject of any mail is in it, whatever the options say."""
    report = without_subjects(report)
    text = renderer("text").render(report, RenderOptions(width=80, new=options.new, short=True, notes=options.notes))
    assert isinstance(text, str)
    text += "\n" + (ATTACHED if options.attach_page else BESIDE) + "\n"
    pictures = _pictures(report)
    html = ""
    for detailed in (MOST_DETAILED, 2, 0):
        html = _html(report, options, pictures, detailed)
        if len(html.encode()) < MOST_HTML:
            break
    mail = EmailMessage(policy=SMTP)
    domain = id_domain(*report.hosts[:1], options.mail_from.rpartition("@")[2])
    mail["Subject"] = subject(report, options)
    # Without a domain: the mail server of this host gives it its own, which it knows better than anybody here.
    mail["From"] = addresses([options.mail_from or "logscan"])
    if options.mail_to:
        mail["To"] = addresses(options.mail_to)
    mail["Date"] = format_datetime(report.generated)
    key = _key(report, options, text, html)
    mail["Message-ID"] = f"<logscan.{key[:32]}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834
    mail["Precedence"] = "bulk"
    mail["List-Id"] = f"logscan reports <logscan.{domain}>"  # RFC 2919
    mail["X-Logscan-Verdict"] = summarise(report, options).headline()
    mail.set_content(text, cte="quoted-printable")
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    parts = mail.get_payload()
    assert isinstance(parts, list)
    for each in pictures:
        part = parts[-1]
        assert isinstance(part, EmailMessage)
        part.add_related(
            each.data,
            "image",
            "png",
            cid=f"<{each.cid}>",
            filename=f"{each.cid.partition('-')[0]}.png",
            disposition="inline",
        )
    if options.attach_page:
        page = renderer("html").render(report, RenderOptions(new=options.new))
        assert isinstance(page, str)
        mail.add_attachment(page.encode(), "text", "html", filename=f"logscan-{domain.partition('.')[0]}.html")
    # Folding a Subject between encoded words inserts an empty one, which shows as a second blank (CPython's
    # _header_value_parser): lines may have 998 characters (RFC 5322, 2.1.1), so headers stay in one.
    mail.policy = SMTP.clone(max_line_length=900)
    _fix_boundaries(mail, key)
    return mail


def _key(report: Report, options: RenderOptions, text: str, html: str) -> str:
    """Return a digest (hex) of what the mail is: hosts, period, recipients and content, and no clock.

    A report made again of the same lines has the same, so that a mail program can tell the second one of two. One of no
    line at all has the day in it: yesterday's silence is not today's.
    """
    period = [moment.isoformat() if moment else "" for moment in (report.period.first, report.period.last)]
    if not any(period):
        period = [report.generated.date().isoformat()]
    parts = [*report.hosts, "", *period, "", *options.mail_to, "", str(options.attach_page), text, html]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _fix_boundaries(mail: EmailMessage, key: str) -> None:
    """Give each multipart a boundary made from the content: the same report gives the same bytes."""
    for number, part in enumerate(part for part in mail.walk() if part.is_multipart()):
        part.set_boundary(f"=_logscan_{number}_{key[:32]}")


def render(report: Report, options: RenderOptions) -> bytes:
    """Return the mail as it goes over the wire."""
    return message(report, options).as_bytes()


REPORT = Renderer(
    name="email",
    title="A mail: text and HTML with charts",
    suffix=".eml",
    media_type="message/rfc822",
    render=render,
    binary=True,
)
