"""The mail: plain text that stands alone, and HTML of tables and inline CSS that Gmail, Outlook and Roundcube keep.

What mail programs know of HTML and CSS: https://www.caniemail.com/
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from markupsafe import Markup

from logscan.rendering import charts
from logscan.rendering.grouping import shared_cures
from logscan.rendering.markup import templates
from logscan.rendering.renderers import Renderer, RenderError, RenderOptions, renderer
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
"""Checks of one verdict of which each has its sentence; more are named, and the text part has their sentences."""

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
    """Return the Subject: host, counts and day: ``[logscan] mx1: 2 problems (1 new), 14 clear — 22 Nov``."""
    counts = summarise(report, options)
    text = counts.headline() if counts.recognised else "no line was recognised"
    moment = local(report.period.last or report.generated, report)
    return visible(f"[logscan] {visible(host_text(report), 80)}: {text} — {day(moment)}")


def _domain(report: Report, options: RenderOptions) -> str:
    """Return a domain for Message-ID and List-Id: of the sender, else of the host, else one that can't exist."""
    name = options.mail_from.rpartition("@")[2] or (report.hosts[0] if report.hosts else "")
    kept = "".join(letter for letter in name.lower() if letter.isascii() and (letter.isalnum() or letter in ".-"))
    kept = kept.strip(".-")[:200]
    return kept if "." in kept else f"{kept or 'unknown'}.invalid"


def addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    """Return mail addresses as the email package wants them; raises :class:`RenderError` for what is no address."""
    found = []
    for text in texts:
        try:
            if visible(text) != text:
                raise ValueError("it holds a control character")
            found.append(Address(addr_spec=text) if "<" not in text else _named(text))
        except (ValueError, IndexError) as error:
            raise RenderError(f"{visible(text, 200)!r} is not a mail address: {error}") from None
        except Exception as error:  # the parser's own errors (HeaderParseError) have no common base
            raise RenderError(f"{visible(text, 200)!r} is not a mail address") from error
    return tuple(found)


def _named(text: str) -> Address:
    name, _, rest = text.partition("<")
    if not rest.endswith(">"):
        raise ValueError("the closing > is missing")
    return Address(name.strip().strip('"'), addr_spec=rest[:-1])


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
            pictures=pictures,
            few=FEW,
            stamp=lambda moment: stamp(moment, report, seconds=False),
            space=Markup("&nbsp;"),
        )
    )


def message(report: Report, options: RenderOptions) -> EmailMessage:
    """Return the mail. No Subject of any mail is in it, whatever the options say."""
    report = without_subjects(report)
    text = renderer("text").render(report, RenderOptions(width=80, new=options.new))
    assert isinstance(text, str)
    mail = EmailMessage(policy=SMTP)
    domain = _domain(report, options)
    mail["Subject"] = subject(report, options)
    mail["From"] = addresses([options.mail_from or f"logscan@{domain}"])
    if options.mail_to:
        mail["To"] = addresses(options.mail_to)
    mail["Date"] = format_datetime(report.generated)
    key = f"{report.generated.isoformat()} {mail['Subject']} {options.mail_to} {text}".encode("utf-8", "replace")
    mail["Message-ID"] = f"<logscan.{hashlib.sha256(key).hexdigest()[:32]}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834
    mail["Precedence"] = "bulk"
    mail["List-Id"] = f"logscan reports <logscan.{domain}>"  # RFC 2919
    mail["X-Logscan-Verdict"] = summarise(report, options).headline()
    mail.set_content(text, cte="quoted-printable")
    pictures = _pictures(report)
    html = ""
    for detailed in (MOST_DETAILED, 2, 0):
        html = _html(report, options, pictures, detailed)
        if len(html.encode()) < MOST_HTML:
            break
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
    _fix_boundaries(mail, hashlib.sha256(key).hexdigest())
    return mail


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
