"""The mailed report: its parts, its headers, and its way through a real SMTP server and a sendmail command."""

from __future__ import annotations

import email
import email.policy
import html
import html.parser
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import memory_sample
import pytest
import report_sample
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from logscan.commands import mailing as mailer
from logscan.commands.mailing import Envelope, MailError, Server
from logscan.rendering.addressing import addresses
from logscan.rendering.renderers import RenderError, RenderOptions, render
from logscan.report.model import Report

TO = ("postmaster@example.com",)


def mail_of(report: Report, **options: Any) -> EmailMessage:
    options = {"mail_to": TO, "mail_from": "logscan@mx1.example.com", **options}
    data = render(report, "email", **options)
    assert isinstance(data, bytes)
    found = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def send(mail: EmailMessage, server: Server) -> None:
    """Send it to the addresses in To, from that in From."""
    named = mail["To"].addresses if mail["To"] else ()
    envelope = Envelope(mail["From"].addresses[0].addr_spec, tuple(each.addr_spec for each in named))
    mailer.deliver(mail.as_bytes(policy=email.policy.SMTP.clone(refold_source="none")), envelope, server)


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


KEYS = [
    "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "Precedence", "List-Id", "X-Logscan-Verdict",
    "MIME-Version", "Content-Type",
]  # fmt: skip


# -- what it says ----------------------------------------------------------------------------------------------------


def test_the_subject_says_it_all() -> None:
    new = frozenset({report_sample.TRAINING.id})
    assert mail_of(report_sample.sample(), new=new)["Subject"] == (
        "[logscan] mx1: 4 problems, 2 warnings (1 new), 8 clear, 3 blind, 1 not applicable — 23 Nov"
    )
    assert (
        mail_of(report_sample.healthy())["Subject"]
        == "[logscan] mx1: nothing found, 13 clear, 3 blind, 1 not applicable — 23 Nov"
    )
    assert mail_of(report_sample.empty(9))["Subject"] == "[logscan] unknown host: no line was recognised — 23 Nov"


def test_the_headers_are_those_of_a_machine_s_mail() -> None:
    mail = mail_of(report_sample.sample())
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == report_sample.sample().generated
    assert mail["List-Id"] == "logscan reports <logscan.mx1>"
    assert mail["Message-ID"].startswith("<logscan.")
    assert mail["Message-ID"].endswith("@mx1>")
    assert mail["To"] == "postmaster@example.com"
    assert mail["Message-ID"] != mail_of(report_sample.healthy())["Message-ID"]


def test_the_text_stands_alone() -> None:
    text = body(mail_of(report_sample.sample()), "plain")
    for words in ("4 problems, 2 warnings", "stored twice", "Expand aliases once", "8 clear", "3 blind"):
        assert words in text
    assert "+  -o" not in text
    assert "Dear Bob," not in text
    assert "logscan trace a71f061b" in text
    assert text.splitlines()[-1] == "Lines that prove it, and changes that mend it: in this mail's HTML part."
    attached = body(mail_of(report_sample.sample(), attach_page=True), "plain")
    assert (
        attached.splitlines()[-1] == "Lines that prove it, and changes that mend it: in the page attached to this mail."
    )
    assert max(map(len, text.splitlines())) <= 80


def many(causes: int) -> Report:
    """Return a report of so many findings, each of a cure of its own."""
    report = report_sample.sample()
    found = report_sample.TRAINING
    assert found.remedy
    report.checks[0].findings = [
        replace(
            found,
            subject=f"user{number}",
            summary=f"user{number} trained in vain " * 12,
            remedy=replace(found.remedy, text=f"Tell user{number} of it " * 30 + ". And then more.", key=str(number)),
        )
        for number in range(causes)
    ]
    return report


def test_the_text_is_one_screen_however_much_was_found() -> None:
    report = many(300)
    report.sources = [replace(report.sources[0], path=f"mail.log.{number}", error="gone") for number in range(300)]
    text = body(mail_of(report, notes=tuple(f"Note {number}: {'x' * 1000}" for number in range(300))), "plain")
    assert "303 problems" in text
    assert "more findings" in text
    assert "… and 297 more sources not read" in text
    assert len(text.splitlines()) <= 120
    assert len(body(mail_of(many(300)), "plain").splitlines()) <= 75


class Markup(html.parser.HTMLParser):
    """Collects what mail programs drop or block."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.styles: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attributes)
        self.styles.append(found.get("style") or "")
        self.links += [found[name] or "" for name in ("src", "href", "background", "action") if name in found]
        if tag == "img":
            self.images.append(found)


@pytest.mark.parametrize(
    "make", [report_sample.sample, report_sample.hostile, report_sample.large], ids=lambda f: f.__name__
)
def test_the_html_is_what_mail_programs_keep(make: Any) -> None:
    mail = mail_of(make())
    text = body(mail, "html")
    assert len(text.encode()) < 100_000
    markup = Markup()
    markup.feed(text)
    assert not {"script", "style", "link", "svg", "form", "iframe", "object", "video"} & set(markup.tags)
    assert not [
        style for style in markup.styles if any(word in style for word in ("flex", "grid", "url(", "var(", "position"))
    ]
    cids = {part["Content-ID"].strip("<>") for part in mail.walk() if part.get_content_type() == "image/png"}
    assert {link.removeprefix("cid:") for link in markup.links} == cids
    assert all(image["alt"] and image["width"] for image in markup.images)
    assert mail.as_bytes().isascii()
    assert max(map(len, mail.as_bytes().splitlines())) <= 998  # RFC 5322, 2.1.1


def test_what_is_blind_is_told_check_by_check() -> None:
    report = report_sample.sample()
    for result, why in zip(report.checks, ("no log of <it> here", "no line tells it"), strict=False):
        result.findings, result.checked, result.blind_because, result.not_applicable = [], 0, [why], ""
    told = report.checks[:2]
    text = " ".join(body(mail_of(replace(report, checks=told)), "html").split())
    first, second = (html.escape(f"{each.title}: {each.blind_because[0]}") for each in told)
    assert f"</b> {first}; {second}.</p>" in text


def test_the_charts_are_pictures_inside_the_mail() -> None:
    mail = mail_of(report_sample.sample())
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == 2
    for part in pictures:
        assert part.get_content().startswith(b"\x89PNG\r\n\x1a\n")
        assert part.get_content_disposition() == "inline"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png", "image/png"]


def test_the_full_page_comes_along_on_request() -> None:
    mail = mail_of(report_sample.sample(), attach_page=True, show_subjects=True)
    (page,) = mail.iter_attachments()
    assert page.get_filename() == "logscan-mx1.html"
    content = page.get_content()
    assert content.startswith("<!DOCTYPE html>")
    assert "winter sale" not in content
    assert "winter sale" not in body(mail, "plain") + body(mail, "html")


@pytest.mark.parametrize("text", report_sample.HOSTILE, ids=range(len(report_sample.HOSTILE)))
def test_no_text_adds_a_header_or_a_recipient(text: str) -> None:
    mail = mail_of(report_sample.hostile_by(text), mail_from="")
    assert "Bcc" not in mail
    assert [each.addr_spec for each in mail["To"].addresses] == list(TO)
    assert mail.keys() == KEYS
    assert len(mail["Subject"]) < 400
    assert not mail.defects


@pytest.mark.parametrize(
    "address",
    [
        "a@b\r\nBcc: c@d",
        "no address",
        "",
        "@",
        "a@b@c",
        "x\0@example.com",
        "A <b@example.com",
        "a b@c",
        "\udc80@x.org",
        "-oQ/tmp",
        "a,b",
        "a..b",
        "a.",
        "jörg",
        "a@exämple.org",
        "A <>",
        "|sh",
        "/etc/passwd",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RenderError, match="not a mail address"):
        mail_of(report_sample.sample(), mail_to=(address,))


def test_a_name_may_stand_before_an_address_and_a_user_of_this_host_is_one() -> None:
    mail = mail_of(report_sample.sample(), mail_to=("Post Master <postmaster@example.com>", "b@example.org", "root"))
    assert [each.addr_spec for each in mail["To"].addresses] == ["postmaster@example.com", "b@example.org", "root"]
    assert [each.addr_spec for each in addresses(["R <root>", "first.last"])] == ["root", "first.last"]


def test_a_sender_that_nobody_named_is_left_to_the_mail_server_of_this_host() -> None:
    mail = mail_of(report_sample.sample(), mail_from="")
    assert str(mail["From"]) == "logscan"
    assert "invalid" not in mail.as_string().partition("\n\n")[0]
    nameless = mail_of(replace(report_sample.sample(), hosts=[]), mail_from="a@example.com")
    assert nameless["Message-ID"].endswith("@example.com>")
    assert mail_of(replace(report_sample.sample(), hosts=["..", "x"]), mail_from="")["Message-ID"].endswith(
        "@localhost>"
    )
    assert mail_of(replace(report_sample.sample(), hosts=["MX1.example.com"]))["Message-ID"].endswith(
        "@mx1.example.com>"
    )


def test_a_report_made_again_of_the_same_lines_has_the_same_message_id() -> None:
    first = report_sample.sample()
    again = replace(first, generated=first.generated + timedelta(minutes=7))
    assert mail_of(first)["Message-ID"] == mail_of(again)["Message-ID"]
    one, other = (render(each, "email", mail_to=TO) for each in (first, again))
    assert isinstance(one, bytes)
    assert isinstance(other, bytes)
    changed = [a for a, b in zip(one.split(b"\r\n"), other.split(b"\r\n"), strict=True) if a != b]
    assert [each.partition(b":")[0] for each in changed] == [b"Date"]


@pytest.mark.parametrize(
    "change",
    [
        {"hosts": ["mx2"]},
        {"period": replace(report_sample.sample().period, last=report_sample.at(99))},
        {"mails": {"total": 1}},
        {"checks": report_sample.sample().checks[:-1]},
        {"mail_to": ("else@example.com",)},
        {"attach_page": True},
        {"notes": ("Report 15: no new line.",)},
    ],
    ids=lambda each: next(iter(each)),
)
def test_another_report_has_another_message_id(change: dict[str, Any]) -> None:
    report = report_sample.sample()
    fields = {key: value for key, value in change.items() if key != "notes" and hasattr(report, key)}
    options = {key: value for key, value in change.items() if key not in fields}
    assert mail_of(replace(report, **fields), **options)["Message-ID"] != mail_of(report)["Message-ID"]


def test_two_days_without_a_line_are_two_mails() -> None:
    first = report_sample.empty(9)
    day = replace(first, generated=first.generated + timedelta(days=1))
    assert mail_of(first)["Message-ID"] != mail_of(day)["Message-ID"]


def test_the_text_says_what_is_new_back_and_gone_first() -> None:
    text = body(mail_of(memory_sample.remembering()), "plain")
    assert text.startswith("2 new findings, 1 back, 1 gone, 3 the same")
    for words in ("ever learned [new]", "[back, last seen 19 Nov]", "GONE 57 mails wait for relay.example.net"):
        assert words in " ".join(text.split())
    assert "Spell the domain" in text


def test_notes_stand_below_the_headline_in_both_parts() -> None:
    notes = ("Report 14: <lines> from here to there.", *(f"note {number}" for number in range(20)))
    mail = mail_of(report_sample.sample(), notes=notes)
    text, page = body(mail, "plain"), body(mail, "html")
    assert text.index("4 problems") < text.index("Report 14: <lines> from here to there.") < text.index("1 PROBLEM")
    assert page.index("4 problems") < page.index("Report 14: &lt;lines&gt; from here to there.")
    assert "… and 15 more" in text
    assert "… and 15 more" in page


# -- on its way ------------------------------------------------------------------------------------------------------


class Sink:
    """Keeps what an SMTP server took; refuses recipients at example.invalid."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.encrypted: list[bool] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address.endswith(".invalid"):
            return "550 5.1.1 \x1b[31mno such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return "250 2.0.0 Ok: queued"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(chain)],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def running(sink: Sink, **options: Any) -> Iterator[tuple[Sink, int]]:
    port = free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield sink, port
    finally:
        controller.stop()


@pytest.fixture
def plain_server() -> Iterator[tuple[Sink, int]]:
    yield from running(Sink())


@pytest.fixture
def tls_server(certificate: tuple[Path, Path]) -> Iterator[tuple[Sink, int]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"robot", b"s3cret"), handled=False)

    yield from running(Sink(), tls_context=context, require_starttls=True, authenticator=check, auth_required=True)


def test_a_mail_goes_through_a_real_server_and_comes_back_whole(plain_server: tuple[Sink, int]) -> None:
    sink, port = plain_server
    mail = mail_of(report_sample.sample(), mail_to=("a@example.com", "b@example.org"))
    send(mail, Server("127.0.0.1", port, "none"))
    (envelope,) = sink.taken
    assert envelope.mail_from == "logscan@mx1.example.com"
    assert envelope.rcpt_tos == ["a@example.com", "b@example.org"]
    back = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert isinstance(back, EmailMessage)
    assert back["Subject"] == mail["Subject"]
    assert body(back, "plain") == body(mail, "plain")
    assert body(back, "html") == body(mail, "html")
    assert [part.get_payload(decode=True) for part in back.walk()] == [
        part.get_payload(decode=True) for part in mail.walk()
    ]


def test_a_mail_goes_encrypted_and_authenticated(
    tls_server: tuple[Sink, int], certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, port = tls_server
    monkeypatch.setenv("LOGSCAN_SMTP_PASSWORD", "s3cret")
    send(mail_of(report_sample.healthy()), Server("localhost", port, user="robot", ca_file=certificate[0]))
    assert sink.encrypted == [True]


def test_the_password_may_be_in_a_file_that_only_its_owner_reads(
    tls_server: tuple[Sink, int], certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    _, port = tls_server
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    server = Server("localhost", port, user="robot", password_file=secret, ca_file=certificate[0])
    send(mail_of(report_sample.healthy()), server)
    secret.chmod(0o644)
    with pytest.raises(MailError, match="chmod 600"):
        send(mail_of(report_sample.healthy()), server)
    with pytest.raises(MailError, match="can't be read: No such file"):
        send(mail_of(report_sample.healthy()), replace(server, password_file=tmp_path / "missing"))


def test_a_wrong_password_an_untrusted_certificate_and_missing_tls_are_told(
    tls_server: tuple[Sink, int],
    plain_server: tuple[Sink, int],
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGSCAN_SMTP_PASSWORD", "wrong")
    mail = mail_of(report_sample.healthy())
    with pytest.raises(MailError, match="refused user and password: 535"):
        send(mail, Server("localhost", tls_server[1], user="robot", ca_file=certificate[0]))
    with pytest.raises(MailError, match=r"certificate of localhost:.* can't be trusted"):
        send(mail, Server("localhost", tls_server[1], user="robot"))
    with pytest.raises(MailError, match="does not offer STARTTLS"):
        send(mail, Server("127.0.0.1", plain_server[1]))
    with pytest.raises(MailError, match="in the clear"):
        send(mail, Server("mail.example.com", 25, "none", user="robot"))
    monkeypatch.delenv("LOGSCAN_SMTP_PASSWORD")
    with pytest.raises(MailError, match="set LOGSCAN_SMTP_PASSWORD"):
        send(mail, Server("localhost", tls_server[1], user="robot"))


def test_refused_recipients_are_named(plain_server: tuple[Sink, int]) -> None:
    sink, port = plain_server
    with pytest.raises(
        MailError, match=r"refused every recipient: a@example.invalid: 550 5.1.1 \\x1b\[31mno such user"
    ):
        send(mail_of(report_sample.healthy(), mail_to=("a@example.invalid",)), Server("127.0.0.1", port, "none"))
    assert sink.taken == []
    with pytest.raises(MailError, match=r"refused a@example\.invalid"):
        send(
            mail_of(report_sample.healthy(), mail_to=("a@example.invalid", "b@example.com")),
            Server("127.0.0.1", port, "none"),
        )
    assert len(sink.taken) == 1


def test_a_server_that_is_not_there_is_told() -> None:
    unused_port = free_port()
    mail = mail_of(report_sample.healthy())
    with pytest.raises(MailError, match=f"127.0.0.1:{unused_port} can't be reached: Connection refused"):
        send(mail, Server("127.0.0.1", unused_port, "none"))
    with pytest.raises(MailError, match=r"there is no host nowhere\.invalid"):
        send(mail, Server("nowhere.invalid"))


def test_a_mail_without_recipient_is_not_sent() -> None:
    with pytest.raises(MailError, match="--mail-to"):
        send(mail_of(report_sample.healthy(), mail_to=()), Server("127.0.0.1", 1))


def command(folder: Path, program: str) -> str:
    path = folder / "sendmail"
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{program}\n")
    path.chmod(0o755)
    return str(path)


def test_sendmail_gets_the_addresses_as_arguments_and_the_mail_with_local_line_ends(tmp_path: Path) -> None:
    program = command(
        tmp_path,
        f"open({str(tmp_path / 'args')!r}, 'w').write('\\n'.join(sys.argv[1:]))\n"
        f"open({str(tmp_path / 'mail')!r}, 'wb').write(sys.stdin.buffer.read())",
    )
    mail = mail_of(report_sample.sample(), mail_to=("a@example.com", "b@example.org"))
    send(mail, Server(sendmail=program))
    arguments = (tmp_path / "args").read_text().split("\n")
    assert arguments == ["-i", "-f", "logscan@mx1.example.com", "--", "a@example.com", "b@example.org"]
    data = (tmp_path / "mail").read_bytes()
    assert b"\r\n" not in data
    assert email.message_from_bytes(data, policy=email.policy.default)["Subject"] == mail["Subject"]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("sys.exit('sendmail: fatal: no such relay')", "status 1: sendmail: fatal: no such relay"),
        ("sys.exit(75)", "status 75"),
        ("time.sleep(5)", "did not end within 0.5 s"),
    ],
)
def test_a_failing_sendmail_is_told(tmp_path: Path, program: str, said: str) -> None:
    server = Server(
        sendmail=command(tmp_path, "sys.stdin.read()\n" + program), timeout=0.5 if "sleep" in program else 20
    )
    with pytest.raises(MailError, match=said):
        send(mail_of(report_sample.healthy()), server)
    with pytest.raises(MailError, match="can't be started: No such file"):
        send(mail_of(report_sample.healthy()), Server(sendmail=str(tmp_path / "missing")))


def test_options_are_those_of_every_renderer() -> None:
    assert RenderOptions().mail_to == ()
