"""amavisd itself: started, stopped, in trouble, and lines that tell nothing about a mail."""

from __future__ import annotations

from logscan.grammar.formats import LogFormat, Sample, rest, rx

_PROGRAMS = ("amavis", "amavisd")

TROUBLE = LogFormat(
    name="amavis-trouble",
    title="amavis reports trouble: (!) or (!!)",
    reference="amavisd-new Amavis/Util.pm, do_log(): level -1 and below",
    programs=_PROGRAMS,
    table="filter_errors",
    constants={"filter": "amavis"},
    line=rx(r"(?:\([A-Za-z0-9-]+\) )?\(") + rx("!!?")("kind") + ")" + rest()("text"),
    samples=(
        Sample(
            "(07119-20) (!)connect to /run/clamav/clamd.ctl failed, attempt #1",
            {"kind": "!", "text": "connect to /run/clamav/clamd.ctl failed, attempt #1"},
        ),
        Sample("(!!)TROUBLE in pre_loop_hook: x", {"kind": "!!", "text": "TROUBLE in pre_loop_hook: x"}),
    ),
    weight=40,
)


START = LogFormat(
    name="amavis-start",
    title="amavis starts",
    reference="Net::Server",
    programs=_PROGRAMS,
    table="service_events",
    constants={"event": "start"},
    line=rx(r"Net::Server: (?s:.*) starting! pid\(\d+\)")("text"),
    samples=(
        Sample(
            "Net::Server: 2026/11/22-19:07:08 Amavis (type Net::Server::PreForkSimple) starting! pid(4560)",
            {"text": "Net::Server: 2026/11/22-19:07:08 Amavis (type Net::Server::PreForkSimple) starting! pid(4560)"},
        ),
    ),
)


STOP = LogFormat(
    name="amavis-stop",
    title="amavis stops",
    reference="Net::Server",
    programs=_PROGRAMS,
    table="service_events",
    constants={"event": "stop"},
    line=rx(r"Net::Server: [\d/:-]+ Server closing!")("text"),
    samples=(
        Sample(
            "Net::Server: 2026/11/22-19:07:24 Server closing!",
            {"text": "Net::Server: 2026/11/22-19:07:24 Server closing!"},
        ),
    ),
)


NOISE = LogFormat(
    name="amavis-other",
    title="other lines of amavis",
    reference="amavisd-new Amavis.pm",
    programs=_PROGRAMS,
    table=None,
    line=rx(
        # What goes on was read with its first piece.
        r"\([A-Za-z0-9-]+\) \.\.\.|(?!\([A-Za-z0-9-]+\) (?:Passed|Blocked)[ ,])"
        "(?!(?s:.*)(?:(?:Queue-ID|Message-ID|queued_as)[:=]|(?:Passed|Blocked) (?:CLEAN|SPAM|BANNED|INFECTED)|queued as ))"
    )
    + rest(),
    samples=(
        Sample("(04570-11) Checking: AIwOBoTr914a [203.0.113.26] <tina@example.org> -> <alice@example.com>"),
        Sample("Module Amavis::Conf        2.412"),
    ),
    weight=-10,
)

FORMAT = (TROUBLE, START, STOP, NOISE)
