"""Lays out the mail-flow map: places in columns from left to right, mail as bands between them.

Numbers only, no markup.

Long bands are led past the columns between, crossings are lessened by the barycentre method (Sugiyama, Tagawa and Toda,
1981).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from logscan.amounts import plural
from logscan.report.model import Flow, FlowEdge, FlowNode

NODE_WIDTH, MIN_HEIGHT = 176, 54
COLUMN_GAP, ROW_GAP = 100, 26
MARGIN = 14
WIDEST = 30.0
"""Width of the strongest band."""

RANKS = {
    **dict.fromkeys(("source", "generator"), 0),
    "listener": 1,
    "filter": 2,
    **dict.fromkeys(("reinjection", "forward"), 3),
    **dict.fromkeys(("store", "outside", "waiting", "bounced", "expired", "held", "discarded", "refused", "open"), 4),
}
"""The column of each kind of place, from the left."""


@dataclass
class Place:
    """A box of the map, or a point where a long band passes a column (``node`` is None)."""

    node: FlowNode | None
    rank: int
    height: float
    y: float = 0.0
    entering: list[Band] = field(default_factory=list)
    leaving: list[Band] = field(default_factory=list)

    @property
    def x(self) -> float:
        """Left edge."""
        return MARGIN + self.rank * (NODE_WIDTH + COLUMN_GAP)

    @property
    def middle(self) -> float:
        """Centre, vertically."""
        return self.y + self.height / 2

    @property
    def total(self) -> int:
        """Recipients whose mail passed."""
        return max(sum(band.edge.count for band in self.entering), sum(band.edge.count for band in self.leaving))


@dataclass
class Band:
    """An edge's way over one gap; ``width`` in pixels."""

    edge: FlowEdge
    start: Place
    end: Place
    width: float
    y0: float = 0.0
    y1: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """An edge to draw: an SVG path, its width, and where its label stands."""

    edge: FlowEdge
    path: str
    width: float
    x: float
    y: float
    wrong: bool


@dataclass(frozen=True)
class Map:
    """The finished layout."""

    width: float
    height: float
    places: tuple[Place, ...]
    edges: tuple[Drawn, ...]


def mail_text(edge: FlowEdge) -> str:
    """Return what a band counts: ``28 recipients of 7 mails``."""
    recipients = plural(edge.count, "recipient")
    return f"{recipients} of {plural(edge.mails, 'mail')}" if edge.mails else recipients


def layout(flow: Flow) -> Map | None:
    """Return the map of ``flow``, None when there is nothing to draw."""
    nodes = {node.key: node for node in flow.nodes}
    edges = [
        each for each in flow.edges if each.source in nodes and each.target in nodes and each.source != each.target
    ]
    used = {key for each in edges for key in (each.source, each.target)}
    kept = [node for node in flow.nodes if node.key in used]
    if not kept:
        return None
    present = sorted({RANKS.get(node.kind, 1) for node in kept})
    most = max(1, *(each.count for each in edges))
    places = {node.key: Place(node, present.index(RANKS.get(node.kind, 1)), MIN_HEIGHT) for node in kept}
    columns: list[list[Place]] = [[] for _ in present]
    for place in places.values():
        columns[place.rank].append(place)
    ways: list[tuple[FlowEdge, list[Band]]] = []
    back: list[tuple[FlowEdge, float]] = []
    for edge in edges:
        start, end = places[edge.source], places[edge.target]
        width = max(1.8, WIDEST * (max(0, edge.count) / most) ** 0.5)
        if end.rank <= start.rank:
            back.append((edge, width))
            continue
        ways.append((edge, _way(edge, start, end, width, columns)))
    for place in (place for column in columns for place in column):
        need = max(sum(band.width + 2 for band in place.entering), sum(band.width + 2 for band in place.leaving))
        place.height = max(MIN_HEIGHT if place.node else 0, need + (14 if place.node else 4))
    _order(columns)
    _settle(columns)
    _ports(columns)
    bottom = max(place.y + place.height for column in columns for place in column)
    drawn, bottom = _draw(ways, back, places, bottom)
    return Map(
        width=2 * MARGIN + len(columns) * NODE_WIDTH + (len(columns) - 1) * COLUMN_GAP,
        height=bottom + MARGIN,
        places=tuple(place for column in columns for place in column if place.node),
        edges=tuple(drawn),
    )


def _way(edge: FlowEdge, start: Place, end: Place, width: float, columns: list[list[Place]]) -> list[Band]:
    """Return the bands from ``start`` to ``end``, with a passing point in each column between."""
    stops = [start]
    for rank in range(start.rank + 1, end.rank):
        stop = Place(None, rank, width)
        columns[rank].append(stop)
        stops.append(stop)
    stops.append(end)
    bands = []
    for first, second in itertools.pairwise(stops):
        band = Band(edge, first, second, width)
        first.leaving.append(band)
        second.entering.append(band)
        bands.append(band)
    return bands


def _order(columns: list[list[Place]]) -> None:
    """Sort each column by where its neighbours stand, to and fro."""

    def position(column: list[Place]) -> dict[int, int]:
        return {id(place): index for index, place in enumerate(column)}

    for turn in range(8):
        forth = turn % 2 == 0
        for index in range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1):
            beside = position(columns[index - 1 if forth else index + 1])
            own = position(columns[index])

            def key(
                place: Place, beside: dict[int, int] = beside, own: dict[int, int] = own, forth: bool = forth
            ) -> float:
                bands = place.entering if forth else place.leaving
                ends = [(beside[id(band.start if forth else band.end)], band.width) for band in bands]
                weight = sum(width for _, width in ends)
                return sum(at * width for at, width in ends) / weight if weight else own[id(place)]

            columns[index].sort(key=key)


def _settle(columns: list[list[Place]]) -> None:
    """Give each place its height on the page: near its neighbours, none upon another."""
    for column in columns:
        y = float(MARGIN)
        for place in column:
            place.y = y
            y += place.height + ROW_GAP
    for _ in range(12):
        for column in columns:
            for place in column:
                ends = [(band.start.middle, band.width) for band in place.entering]
                ends += [(band.end.middle, band.width) for band in place.leaving]
                weight = sum(width for _, width in ends)
                if weight:
                    place.y += 0.6 * (sum(at * width for at, width in ends) / weight - place.middle)
            for before, after in itertools.pairwise(column):
                after.y = max(after.y, before.y + before.height + ROW_GAP)
            for after, before in itertools.pairwise(column[::-1]):
                before.y = min(before.y, after.y - before.height - ROW_GAP)
    top = min(place.y for column in columns for place in column)
    for column in columns:
        for place in column:
            place.y += MARGIN - top


def _ports(columns: list[list[Place]]) -> None:
    """Say where on a place's sides each band ends: in the order of their other ends, so that none cross there."""
    for place in (place for column in columns for place in column):
        for bands, leaving in ((place.leaving, True), (place.entering, False)):
            bands.sort(key=lambda band, leaving=leaving: band.end.middle if leaving else band.start.middle)  # type: ignore[misc]
            y = place.middle - sum(band.width + 2 for band in bands) / 2
            for band in bands:
                middle = y + 1 + band.width / 2
                if leaving:
                    band.y0 = middle
                else:
                    band.y1 = middle
                y += band.width + 2


def _point(band: Band, share: float) -> tuple[float, float]:
    """Return the point of a band's curve at ``share`` of its parameter, 0 to 1."""
    x0, x1 = band.start.x + NODE_WIDTH, band.end.x
    turn = (x0 + x1) / 2
    rest = 1 - share
    x = rest**3 * x0 + 3 * rest**2 * share * turn + 3 * rest * share**2 * turn + share**3 * x1
    y = (rest**3 + 3 * rest**2 * share) * band.y0 + (3 * rest * share**2 + share**3) * band.y1
    return x, y


def _draw(
    ways: list[tuple[FlowEdge, list[Band]]],
    back: list[tuple[FlowEdge, float]],
    places: dict[str, Place],
    bottom: float,
) -> tuple[list[Drawn], float]:
    """Return the paths, the right ones first so that the wrong ones lie on top, and the lower edge of all."""
    taken: list[tuple[float, float]] = []
    drawn = []

    def free(points: list[tuple[float, float]]) -> tuple[float, float]:
        """Return the first of the points that keeps clear of the labels set before."""
        best = next(
            (each for each in points if all(abs(each[0] - x) > 46 or abs(each[1] - y) > 19 for x, y in taken)),
            points[0],
        )
        taken.append(best)
        return best

    for edge, bands in sorted(ways, key=lambda way: (not way[0].problem, -way[0].count)):
        path = ""
        for band in bands:
            x0, x1 = band.start.x + NODE_WIDTH, band.end.x
            turn = (x0 + x1) / 2
            path += f"M{x0:.1f} {band.y0:.1f}" if not path else f"L{x0:.1f} {band.y0:.1f}"
            path += f"C{turn:.1f} {band.y0:.1f} {turn:.1f} {band.y1:.1f} {x1:.1f} {band.y1:.1f}"
        spots = [_point(band, share) for band in bands for share in (0.5, 0.34, 0.66, 0.22, 0.78)]
        x, y = free(spots)
        drawn.append(Drawn(edge, path, bands[0].width, x, y, bool(edge.problem)))
    for edge, width in back:
        start, end = places[edge.source], places[edge.target]
        lane = bottom + 16 + width / 2
        bottom = lane + width / 2
        x0, x1, bend = start.x + NODE_WIDTH, end.x, 34
        y0, y1 = start.y + start.height - 9, end.y + end.height - 9
        path = (
            f"M{x0} {y0:.1f}C{x0 + bend} {y0:.1f} {x0 + bend} {lane:.1f} {x0} {lane:.1f}L{x1} {lane:.1f}"
            f"C{x1 - bend} {lane:.1f} {x1 - bend} {y1:.1f} {x1} {y1:.1f}"
        )
        x, y = free([((x0 + x1) / 2, lane)])
        bottom = max(bottom, lane + 10)
        drawn.append(Drawn(edge, path, width, x, y, bool(edge.problem)))
    return sorted(drawn, key=lambda each: each.wrong), bottom
