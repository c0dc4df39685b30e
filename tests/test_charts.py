"""Charts and the mail-flow map."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
import report_sample

from logscan.rendering import charts, flowmap
from logscan.report.model import Flow, FlowEdge, FlowNode, Series, Traffic

ALL = charts.charts(report_sample.traffic())


def test_each_part_of_the_traffic_has_its_chart() -> None:
    assert [each.key for each in ALL] == ["direction", "tagged", "origin", "findings"]
    assert charts.charts(Traffic()) == []


@pytest.mark.parametrize("chart", ALL, ids=lambda chart: chart.key)
def test_a_chart_gives_the_same_bytes_each_time(chart: charts.Chart) -> None:
    assert charts.svg(chart) == charts.svg(chart)
    assert charts.png(chart) == charts.png(chart)


def test_a_chart_gives_the_same_bytes_in_another_process() -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; import report_sample; from logscan.rendering import charts;"
        "sys.stdout.write(''.join(map(charts.svg, charts.charts(report_sample.traffic()))))"
    )
    done = subprocess.run([sys.executable, "-c", program, *sys.path], capture_output=True, check=True)
    assert done.stdout.decode() == "".join(map(charts.svg, ALL))


@pytest.mark.parametrize("chart", ALL, ids=lambda chart: chart.key)
def test_an_svg_follows_the_page_and_needs_nothing(chart: charts.Chart) -> None:
    drawn = charts.svg(chart)
    root = ElementTree.fromstring(drawn)
    assert root.get("role") == "img"
    assert "<style" not in drawn
    assert " style=" not in drawn
    assert "http" not in drawn
    assert "<metadata" not in drawn
    assert not re.search(r"#0100\w\w", drawn)
    assert set(re.findall(r"var\((--[a-z0-9]+)\)", drawn)) <= {"--muted", "--line", *(f"--c{n}" for n in range(1, 7))}
    assert len(drawn) < 60_000
    ids = re.findall(r'\bid="([^"]+)"', drawn)
    assert len(ids) == len(set(ids))
    assert all(each.startswith((f"{chart.key}-", "chart-")) for each in ids)


def test_pyplot_is_never_loaded() -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; import report_sample; from logscan.rendering import charts;"
        "assert 'matplotlib' not in sys.modules; found = charts.charts(report_sample.traffic());"
        "charts.png(found[0]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, *sys.path], check=True)


@pytest.mark.parametrize("text", [text for text in report_sample.HOSTILE if len(text) < 1000], ids=repr)
def test_hostile_names_stay_text_and_warn_of_no_missing_glyph(text: str) -> None:
    traffic = report_sample.traffic()
    traffic = replace(
        traffic,
        by_direction=tuple(replace(each, name=text) for each in traffic.by_direction),
        findings=tuple(replace(each, name=f"$\\frac{text}$ 漢字 🙂") for each in traffic.findings),
        tagged_by_origin=((text, 3, 4),),
    )
    for chart in charts.charts(traffic):
        ElementTree.fromstring(charts.svg(chart))
        assert "<script" not in charts.svg(chart)
        charts.png(chart)


@pytest.mark.parametrize("hours", [1, 2, 25, 24 * 7, 24 * 31, 24 * 366])
def test_many_hours_are_summed_not_lost(hours: int) -> None:
    traffic = Traffic(
        hours=tuple(report_sample.START + timedelta(hours=hour) for hour in range(hours)),
        by_direction=(Series("inbound", tuple(range(hours))),),
    )
    found = charts.charts(traffic)
    if hours == 1:
        assert found == []
        return
    (chart,) = found
    assert chart.total == sum(range(hours))
    assert len(chart.labels) <= charts.MOST_BUCKETS
    assert 1 <= len(chart.ticks) <= 12
    assert charts.unit(traffic) in chart.title


def test_a_short_series_counts_as_zero_where_it_ends() -> None:
    traffic = replace(report_sample.traffic(), by_direction=(Series("inbound", (1, 2)),))
    assert charts.charts(traffic)[0].series[0].values == (1, 2, *[0] * 22)


# -- the map ---------------------------------------------------------------------------------------------------------


def boxes(found: flowmap.Map) -> list[tuple[float, float, float, float]]:
    return [(each.x, each.y, each.x + flowmap.NODE_WIDTH, each.y + each.height) for each in found.places]


def test_the_map_leads_from_left_to_right_and_no_box_lies_on_another() -> None:
    found = flowmap.layout(report_sample.flow())
    assert found is not None
    for (a, b, c, d), (e, f, g, h) in combinations(boxes(found), 2):
        assert c <= e or g <= a or d <= f or h <= b
    for left, top, right, bottom in boxes(found):
        assert 0 <= left < right <= found.width
        assert 0 <= top < bottom <= found.height
    ranks = {each.node.key: each.rank for each in found.places if each.node}
    assert ranks["world"] < ranks["smtp"] < ranks["dspam"] < ranks["reinject"] < ranks["dovecot"] == ranks["outside"]


def test_the_wrong_ways_lie_on_top_and_labels_keep_apart() -> None:
    found = flowmap.layout(report_sample.flow())
    assert found is not None
    assert len(found.edges) == len(report_sample.flow().edges)
    assert [each.wrong for each in found.edges] == [False] * 10 + [True] * 3
    for one, other in combinations(found.edges, 2):
        assert abs(one.x - other.x) > 30 or abs(one.y - other.y) > 14


def test_a_band_grows_with_the_mail() -> None:
    found = flowmap.layout(report_sample.flow())
    assert found is not None
    widths = [each.width for each in sorted(found.edges, key=lambda each: each.edge.count)]
    assert widths == sorted(widths)
    assert widths[-1] == flowmap.WIDEST


def test_a_long_way_passes_the_boxes_between() -> None:
    found = flowmap.layout(report_sample.flow())
    assert found is not None
    for each in found.edges:
        straight = [tuple(map(float, pair)) for pair in re.findall(r"L([\d.]+) ([\d.]+)", each.path)]
        for x, y in straight:
            for left, top, right, bottom in boxes(found):
                assert not (left < x - 1 < right and top < y < bottom)


@pytest.mark.parametrize(
    "edges",
    [
        (FlowEdge("a", "b", 0),),
        (FlowEdge("b", "a", 5),),
        (FlowEdge("a", "a", 5), FlowEdge("a", "b", 1)),
        (FlowEdge("a", "missing", 5), FlowEdge("a", "c", 1)),
        (FlowEdge("c", "d", 5), FlowEdge("d", "c", 1)),
        (FlowEdge("a", "b", 3, "", ("x",)), FlowEdge("a", "b", 3), FlowEdge("a", "b", -3)),
    ],
    ids=range(6),
)
def test_odd_flows_are_drawn(edges: tuple[FlowEdge, ...]) -> None:
    nodes = (
        FlowNode("a", "A", "source"),
        FlowNode("b", "B", "filter"),
        FlowNode("c", "C", "store"),
        FlowNode("d", "D", "what"),
    )
    found = flowmap.layout(Flow(nodes, edges))
    assert found is not None
    assert found.edges
    assert found.height > 0


def test_nothing_gives_no_map() -> None:
    assert flowmap.layout(Flow()) is None
    assert flowmap.layout(Flow((FlowNode("a", "A", "source"),), ())) is None


# -- the time axis ---------------------------------------------------------------------------------------------------

ZONE = ZoneInfo("Europe/Vienna")


@pytest.mark.parametrize("minutes", [5, 15, 60, 180, 360, 1440, 10080])
@pytest.mark.parametrize("buckets", [1, 12, 40, 170])
@pytest.mark.parametrize(
    "start", [datetime(2026, 12, 4, 7, 35), datetime(2026, 10, 24, 21, 0), datetime(2026, 3, 28, 18)]
)
def test_no_label_of_the_time_axis_stands_upon_another(minutes: int, buckets: int, start: datetime) -> None:
    first = start.replace(tzinfo=ZONE).astimezone(UTC)
    hours = tuple((first + timedelta(minutes=minutes * at)).astimezone(ZONE) for at in range(buckets))
    traffic = Traffic(
        hours=hours,
        step=minutes,
        by_direction=(Series("inbound", (1,) * buckets),),
        findings=(Series("a-check", (1,) * buckets),),
    )
    for chart in charts.charts(traffic):
        drawn = charts.figure(chart)
        drawn.draw_without_rendering()
        boxes = [each.get_window_extent() for each in drawn.axes[0].get_xticklabels()]
        assert boxes
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
        assert all(each.x0 >= 0 and each.x1 <= charts.WIDTH for each in boxes)


def test_labels_are_whole_steps_and_the_day_stands_at_the_first_and_at_midnight() -> None:
    def labels(start: datetime, buckets: int) -> list[str]:
        hours = tuple(start + timedelta(minutes=5 * at) for at in range(buckets))
        (chart,) = charts.charts(Traffic(hours, 5, (Series("inbound", (1,) * buckets),)))
        return [text for _, text in chart.ticks]

    noon = datetime(2026, 12, 4, 11, 50, tzinfo=UTC)
    assert labels(noon, 15) == ["11:50\n4 Dec", *(f"12:{at}0" for at in range(6)), "13:00"]
    late = datetime(2026, 12, 4, 20, 55, tzinfo=UTC)
    assert labels(late, 60) == [
        "21:00\n4 Dec",
        *(["21:30", "22:00", "22:30", "23:00", "23:30"]),
        "00:00\n5 Dec",
        "00:30",
        "01:00",
        "01:30",
    ]
    assert "Unknown" not in "".join(each.help for each in ALL)
