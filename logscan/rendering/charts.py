"""Charts of the traffic, drawn by matplotlib without pyplot: SVG that follows the page's colours, PNG for mail.

The same data gives the same bytes: no date, fixed ids, text left as text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from logscan.amounts import percent
from logscan.rendering import plotting
from logscan.rendering.timeaxis import ticks
from logscan.rendering.wording import day
from logscan.report.model import Series, Traffic
from logscan.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 500, 230
"""Points of a chart; the page scales it."""

MOST_BUCKETS = 170
"""More buckets than pixels can tell apart are summed: a week of hours still shows each."""

# Okabe and Ito's palette for all kinds of colour vision (https://jfly.uni-koeln.de/color/), in the order used here.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#8a94a3", "#d55e00")
INK, FAINT = "#3a4656", "#d5dae2"

# Colours that stand for the page's CSS variables until the SVG is written.
_MARKS = {f"#0100{number:02x}": f"var(--c{number})" for number in range(1, len(COLOURS) + 1)}
_MARKS |= {"#010100": "var(--muted)", "#010101": "var(--line)"}


@dataclass(frozen=True)
class Chart:
    """A chart as data: its words, its series, and the colour (1 to 6) of each."""

    key: str
    title: str
    help: str
    kind: Literal["stack", "share", "strip"]
    labels: tuple[str, ...]
    """What stands under each bucket (stack, strip) or beside each row (share)."""
    series: tuple[Series, ...]
    colours: tuple[int, ...]
    ticks: tuple[tuple[float, str], ...] = ()

    @property
    def total(self) -> int:
        """Sum of all values."""
        return sum(sum(each.values) for each in self.series)


# -- data ------------------------------------------------------------------------------------------------------------


def _rebin(traffic: Traffic) -> tuple[list[datetime], int]:
    """Return the buckets' starts and how many hours of the traffic each of them holds."""
    factor = max(1, -(-len(traffic.hours) // MOST_BUCKETS))
    for wide in (1, 2, 3, 4, 6, 8, 12, 24, 48, 168):
        if wide >= factor:
            factor = wide
            break
    return list(traffic.hours[::factor]), factor


def _fold(series: Series, buckets: int, factor: int) -> Series:
    values = series.values
    return Series(series.name, tuple(sum(values[i * factor : (i + 1) * factor]) for i in range(buckets)))


def unit(traffic: Traffic) -> str:
    """Return what one bucket of the charts is: ``hour``, ``4 hours``, ``day``, ``10 minutes``."""
    minutes = traffic.step * _rebin(traffic)[1]
    for size, name in ((7 * 24 * 60, "week"), (24 * 60, "day"), (60, "hour")):
        if minutes % size == 0:
            return name if minutes == size else f"{minutes // size} {name}s"
    return f"{minutes} minutes"


def charts(traffic: Traffic) -> list[Chart]:
    """Return the charts that have something to show."""
    hours, factor = _rebin(traffic)
    labels = tuple(f"{day(hour)} {hour:%H:%M}" for hour in hours)
    places = ticks(hours, WIDTH - 58.0)
    per = unit(traffic)

    def folded(group: tuple[Series, ...]) -> tuple[Series, ...]:
        return tuple(_fold(each, len(hours), factor) for each in group)

    found = [
        Chart(
            "direction",
            f"Mail per {per}, by direction",
            "Each column is the mail that arrived in that time. Inbound comes from outside for users here, outbound "
            "leaves, internal stays, forwarded came from outside and left again, generated was made by the server "
            "itself (bounces and the like); of mails opened before the log the direction is not known. A mail counts once, "
            "however many queue IDs it had.",
            "stack",
            labels,
            folded(traffic.by_direction),
            tuple(index % len(COLOURS) + 1 for index in range(len(traffic.by_direction))),
            places,
        ),
        Chart(
            "tagged",
            f"Filter verdicts per {per}",
            "Verdicts of the spam filter, one for each recipient. A sudden change of the tagged share is worth a "
            "look: spam comes in waves, but so do mistrained dictionaries. No verdict means that the logs have none for "
            "that recipient.",
            "stack",
            labels,
            folded(traffic.tagged),
            tuple({"tagged": 6, "untagged": 1}.get(each.name, 5) for each in traffic.tagged),
            places,
        ),
        Chart(
            "put-off",
            f"Attempts put off per {per}",
            "Deliveries that were put off (deferred), each attempt counted: at services of this server (the filter, the "
            "mailbox server) or at other hosts. A high column at this server's own services is an outage.",
            "stack",
            labels,
            folded(traffic.put_off),
            (6, 5),
            places,
        ),
        Chart(
            "origin",
            "Share tagged as spam, by origin",
            "How much of each kind of mail the filter tagged. Only mail from outside should be tagged at all: "
            "anything else means that own mail goes through the filter.",
            "share",
            tuple(str(row[0]) for row in traffic.tagged_by_origin),
            (
                Series("tagged", tuple(row[1] for row in traffic.tagged_by_origin)),
                Series("untagged", tuple(row[2] for row in traffic.tagged_by_origin)),
            ),
            (6, 1),
        ),
        Chart(
            "findings",
            "Findings over time",
            f"One row for each check that found something; a dot is the cases of one {per}, its area their number. A "
            "row that ends before the right edge may have been mended.",
            "strip",
            labels,
            folded(traffic.findings),
            (6,) * len(traffic.findings),
            ticks(hours, WIDTH - 174.0),
        ),
    ]
    return [each for each in found if each.total]


# -- drawing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ink:
    series: tuple[str, ...]
    text: str
    line: str


_PAGE = _Ink(tuple(_MARKS)[: len(COLOURS)], "#010100", "#010101")
_PRINT = _Ink(COLOURS, INK, FAINT)


def _plain(text: str, most: int = 40) -> str:
    """Return text that any font has: others are replaced, since a missing glyph is a warning."""
    shown = visible(text).encode("latin-1", "replace").decode("latin-1")
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _bars(axes: Axes, low: Sequence[float], high: Sequence[float], colour: str) -> None:
    """Draw one rectangle a bucket as a single path."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    gap = 0.09 if len(low) <= 60 else 0.0
    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for index, (bottom, top) in enumerate(zip(low, high, strict=True)):
        if top > bottom:
            left, right = index + gap, index + 1 - gap
            points += [(left, bottom), (left, top), (right, top), (right, bottom), (left, bottom)]
            codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    if points:
        axes.add_patch(PathPatch(Path(points, codes), facecolor=colour, linewidth=0))


def _stack(axes: Axes, chart: Chart, ink: _Ink) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low = [0.0] * len(chart.labels)
    for each, colour in zip(chart.series, chart.colours, strict=True):
        high = [bottom + value for bottom, value in zip(low, each.values, strict=True)]
        _bars(axes, low, high, ink.series[colour - 1])
        low = high
    axes.set_ylim(0, max(low, default=1) * 1.06 or 1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color=ink.line, linewidth=0.8)


def _strip(axes: Axes, chart: Chart, ink: _Ink) -> None:
    most = max(value for each in chart.series for value in each.values)
    rows = len(chart.series)
    size = max(6.0, min(15.0, 1.3 * (WIDTH - 174) / max(1, len(chart.labels))))
    for row, each in enumerate(chart.series):
        dots: dict[float, list[float]] = {}
        for index, value in enumerate(each.values):
            if value:
                dots.setdefault(max(4.0, round(size * (value / most) ** 0.5)), []).append(index + 0.5)
        for wide, places in sorted(dots.items()):
            axes.plot(
                places, [rows - 1 - row] * len(places), linestyle="none", marker="o", markersize=wide,
                markeredgewidth=0, color=ink.series[chart.colours[row] - 1], clip_on=False,
            )  # fmt: skip
    axes.set_ylim(-0.6, rows - 0.4)
    axes.set_yticks(range(rows), [_plain(each.name, 24) for each in reversed(chart.series)])
    axes.grid(axis="y", color=ink.line, linewidth=0.8)


def _share(axes: Axes, chart: Chart, ink: _Ink) -> None:
    rows = len(chart.labels)
    tagged, rest = chart.series
    for index in range(rows):
        hit, total = tagged.values[index], tagged.values[index] + rest.values[index]
        share = hit / total if total else 0.0
        place = rows - 1 - index
        axes.barh(place, 1, height=0.5, color=ink.line, linewidth=0)
        axes.barh(place, share, height=0.5, color=ink.series[chart.colours[0] - 1], linewidth=0)
        note = f"{hit:,} of {total:,}  ({percent(share)})"
        axes.text(0, place + 0.37, _plain(chart.labels[index], 44), color=ink.text, va="bottom", ha="left", size=10.5)
        axes.text(1, place + 0.37, note, color=ink.text, va="bottom", ha="right", size=10.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.4, rows - 0.1)
    axes.set_xticks([])
    axes.set_yticks([])


def figure(chart: Chart, ink: _Ink = _PRINT, legend: bool = True) -> Figure:
    """Return a chart as a matplotlib Figure of 72 dots an inch, its background transparent."""
    plotting.ready()
    from matplotlib.figure import Figure

    rows = len(chart.series) if chart.kind == "strip" else len(chart.labels)
    height = {"stack": HEIGHT, "share": 24 + 46 * rows, "strip": 60 + 30 * rows}[chart.kind]
    drawn = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    drawn.patch.set_alpha(0)
    left = {"stack": 42, "share": 6, "strip": 158}[chart.kind]
    bottom = 6 if chart.kind == "share" else 42
    top = 34 if legend and chart.kind == "stack" else 10
    box = (left / WIDTH, bottom / height, (WIDTH - left - 16) / WIDTH, (height - bottom - top) / height)
    axes = drawn.add_axes(box)
    axes.patch.set_alpha(0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(ink.line)
    axes.spines["bottom"].set_visible(chart.kind != "share")
    axes.tick_params(colors=ink.text, length=0, labelsize=11, pad=5)
    {"stack": _stack, "share": _share, "strip": _strip}[chart.kind](axes, chart, ink)
    if chart.kind != "share":
        axes.set_xlim(0, max(1, len(chart.labels)))
        axes.set_xticks([place for place, _ in chart.ticks], [text for _, text in chart.ticks])
    if legend and chart.kind == "stack":
        from matplotlib.patches import Patch

        handles = [
            Patch(facecolor=ink.series[colour - 1], label=_plain(each.name, 24))
            for each, colour in zip(chart.series, chart.colours, strict=True)
        ]
        axes.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(handles), frameon=False,
            fontsize=11, labelcolor=ink.text, handlelength=0.9, handleheight=0.9, columnspacing=1.4, borderaxespad=0.2,
        )  # fmt: skip
    return drawn


def _settings(key: str) -> Any:
    plotting.ready()
    from matplotlib import rc_context

    return rc_context(
        {
            "svg.hashsalt": f"logscan-{key}",
            "svg.fonttype": "none",
            "text.parse_math": False,
            "axes.unicode_minus": False,
            "font.family": ["DejaVu Sans"],  # comes with matplotlib
        }
    )


def png(chart: Chart, scale: float = 2.0) -> bytes:
    """Return a chart as PNG on white, ``scale`` pixels a point, its legend inside."""
    out = io.BytesIO()
    with _settings(chart.key):
        drawn = figure(chart)
        drawn.patch.set_alpha(1)
        drawn.patch.set_facecolor("#ffffff")
        drawn.savefig(out, format="png", dpi=72 * scale, metadata={"Software": None})
    return out.getvalue()


def svg(chart: Chart) -> str:
    """Return a chart as an ``<svg>`` element for a page: colours are its variables, no style attribute, ids its own.

    The legend is left to the page. Each bucket has a title that a pointer shows.
    """
    out = io.StringIO()
    with _settings(chart.key):
        drawn = figure(chart, _PAGE, legend=False)
        drawn.savefig(
            out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
        hits = _hits(drawn, chart)
    return _inline(out.getvalue(), chart, hits)


def _hits(drawn: Figure, chart: Chart) -> str:
    """Return an unseen rectangle a bucket, whose title tells its numbers."""
    if chart.kind == "share":
        return ""
    height = drawn.get_figheight() * 72
    box = drawn.axes[0].get_position()
    left, width = box.x0 * WIDTH, box.width * WIDTH
    top, tall = height * (1 - box.y1), height * box.height
    column = width / max(1, len(chart.labels))
    cells = []
    for index, label in enumerate(chart.labels):
        numbers = ", ".join(
            f"{_plain(each.name)} {each.values[index]:,}" for each in chart.series if each.values[index]
        )
        if numbers:
            cells.append(
                f'<rect x="{left + index * column:.1f}" y="{top:.1f}" width="{column:.2f}" height="{tall:.1f}">'
                f"<title>{escape(label)}: {escape(numbers)}</title></rect>"
            )
    return f'<g class="hits" fill="transparent">{"".join(cells)}</g>'


_STYLE = re.compile(r' style="([^"]*)"')
_FONT = re.compile(r"([\d.]+)px")


def _attributes(match: re.Match[str]) -> str:
    """Return a style attribute as presentation attributes: a strict Content-Security-Policy refuses the former."""
    found = []
    for declaration in match[1].split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            size = _FONT.search(value)
            found.append(f'font-size="{size[1]}"' if size else "")
        elif name and name not in {"stroke-linejoin", "font-family"}:
            found.append(f'{name}="{value}"')
    return "".join(f" {each}" for each in found if each)


def _inline(text: str, chart: Chart, hits: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = _STYLE.sub(_attributes, text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{chart.key}-\1"', text)
    text = re.sub(r'(?:xlink:)?href="#([^"]+)"', rf'href="#{chart.key}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{chart.key}-\1)", text)
    for mark, name in _MARKS.items():
        text = text.replace(mark, name)
    text = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", text)
    text = re.sub(r"(\d\.\d\d)\d+", r"\1", text)
    text = re.sub(r"\s*\n\s*", " ", text).replace("> <", ">\n<")
    end = text.index(">") + 1
    head = re.search(r'viewBox="([^"]+)"', text[:end])
    assert head is not None
    about = f"{chart.title}. {chart.total:,} in all."
    start = (
        f'<svg class="chart" viewBox="{head[1]}" role="img" aria-labelledby="chart-{chart.key}-title" '
        f'font-family="inherit"><title id="chart-{chart.key}-title">{escape(about)}</title>'
    )
    return start + text[end:].rstrip().removesuffix("</svg>") + hits + "</svg>"
