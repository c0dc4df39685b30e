"""Every number that stands twice in a report is the same: page, text, JSON, CSV, Prometheus, and counts of counts."""

from __future__ import annotations

import csv
import functools
import html.parser
import io
import json
import re
from collections import Counter
from typing import Any

import pytest

import logscan
from logscan.amounts import plural
from logscan.rendering.renderers import render
from logscan.rendering.wording import value_text
from logscan.report.model import Listing, Report
from logscan.samples import story

STORIES = (
    "mixed-day", "dspam-crash", "rspamd-outgoing-tagged-spam", "amavis-double-alias-expansion", "healthy",
    "outgoing-tagged-spam",
)  # fmt: skip

COPIES = {"dspam-crash": 10}
"""Deliveries of further copies to the same recipients, after the filter broke off a hand-over."""

ENDS = ("delivered", "deferred", "bounced", "expired", "held", "discarded")
DIRECTIONS = ("inbound", "outbound", "internal", "forwarded", "generated", "opened_before")


class Page(html.parser.HTMLParser):
    """The tables of a page by id (cells as texts and as what they sort by), and the text behind each ``dt``."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, str]]]] = {}
        self.terms: list[tuple[str, str]] = []
        self.text = ""
        self._table = ""
        self._cell: list[str] | None = None
        self._value = ""
        self._term = ""
        self._in = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        have = dict(attributes)
        if tag == "table":
            self._table = have.get("id") or ""
            self.tables[self._table] = []
        elif tag == "tr" and self._table:
            self.tables[self._table].append([])
        elif tag == "td":
            self._cell, self._value = [], have.get("data-v") or ""
        elif tag in ("dt", "dd"):
            self._in = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "td" and self._cell is not None:
            self.tables[self._table][-1].append(("".join(self._cell).strip(), self._value))
            self._cell = None
        elif tag == "table":
            self._table = ""
        elif tag in ("dt", "dd"):
            self._in = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell is not None:
            self._cell.append(data)
        elif self._in == "dt":
            self._term = data.strip()
        elif self._in == "dd" and data.strip():
            self.terms.append((self._term, data.strip()))

    def rows(self, key: str) -> list[list[tuple[str, str]]]:
        return [row for row in self.tables[key] if row]


class Forms:
    """One report in every form."""

    def __init__(self, name: str) -> None:
        self.report: Report = logscan.analyse(logscan.read(story(name), jobs=1))
        self.json: dict[str, Any] = json.loads(str(render(self.report, "json")))
        tables = render(self.report, "csv")
        assert isinstance(tables, dict)
        self.csv = {key: list(csv.DictReader(io.StringIO(text, newline=""))) for key, text in tables.items()}
        self.text = str(render(self.report, "text", width=250, verbose=True))
        self.page = Page()
        self.page.feed(str(render(self.report, "html")))
        self.prometheus = str(render(self.report, "prometheus"))
        self.lists = {each["key"]: each for each in self.json["traffic"]["lists"]}

    def column(self, key: str, name: str) -> list[Any]:
        """A column of a list in the JSON document, nothing for a list that isn't there."""
        if key not in self.lists:
            return []
        at = self.lists[key]["columns"].index(name)
        return [row[at] for row in self.lists[key]["rows"]]


@functools.cache
def forms(name: str) -> Forms:
    return Forms(name)


def numbers(row: list[str]) -> list[str]:
    return row


@pytest.mark.parametrize("name", STORIES)
def test_mails_are_the_same_everywhere_and_add_up(name: str) -> None:
    made = forms(name)
    mails = made.json["mails"]
    assert {row["what"]: int(row["count"]) for row in made.csv["mails.csv"]} == mails
    for key, count in mails.items():
        shown = "mails" if key == "total" else key.replace("_", " ")
        assert (shown, f"{count:,}") in made.page.terms
        if key != "total":
            assert re.search(rf"(?<![\d,]){count:,} {shown}(?![a-z])", " ".join(made.text.split())), key
    assert re.search(rf"^{plural(mails['total'], 'mail')}$", made.text, re.MULTILINE)
    assert sum(mails[each] for each in DIRECTIONS) == mails["total"]
    for direction in DIRECTIONS:
        assert f'logscan_mails_by_direction{{direction="{direction}"}} {mails[direction]}\n' in made.prometheus
    for status in (*ENDS, "rejected"):
        assert f'logscan_recipients_by_status{{status="{status}"}} {mails[status]}\n' in made.prometheus


@pytest.mark.parametrize("name", STORIES)
def test_every_list_is_the_same_everywhere(name: str) -> None:
    made = forms(name)
    listings: list[Listing] = list(made.report.traffic.listings)
    assert [each["key"] for each in made.json["traffic"]["lists"]] == [each.key for each in listings]
    assert len({each.key for each in listings}) == len(listings)
    for index, listing in enumerate(listings):
        told = made.lists[listing.key]
        assert told["columns"] == list(listing.columns)
        assert len(told["rows"]) == len(listing.rows)
        assert told["total"] == max(listing.total, len(listing.rows))
        table = made.csv[f"listing-{listing.key}.csv"]
        page = made.page.rows(f"listing-{index}")
        assert len(table) == len(told["rows"]) >= len(page) > 0
        assert len(page) == len(told["rows"]) or len(page) >= 15
        text = section(made.text, listing.title)
        for at, (row, cells) in enumerate(zip(told["rows"], table, strict=True)):
            for value, cell in zip(row, cells.values(), strict=True):
                if isinstance(value, int | float):
                    assert float(cell) == value
                elif value:
                    assert cell.lstrip("'") == str(value)
            if at < len(page):
                shown = [value_text(value, made.report, 200) for value in listing.rows[at]]
                assert [text for text, _ in page[at]] == [" ".join(each.split()) or each for each in shown]
            if at < 30:
                counts = [value_text(v, made.report) for v in row if isinstance(v, int | float)]
                assert all(re.search(rf"(?<![\d.]){re.escape(count)}(?![\d.])", text) for count in counts), (row, text)


def section(text: str, title: str) -> str:
    """The part of a text under a heading."""
    found = re.search(rf"^{re.escape(title)}\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


@pytest.mark.parametrize("name", STORIES)
def test_every_series_is_the_same_everywhere(name: str) -> None:
    made = forms(name)
    traffic = made.json["traffic"]
    for key, file in (
        ("by_direction", "direction"), ("tagged", "tagged"), ("findings", "findings"), ("put_off", "put-off"),
    ):  # fmt: skip
        if not traffic[key]:
            assert f"traffic-{file}.csv" not in made.csv
            continue
        table = made.csv[f"traffic-{file}.csv"]
        assert [row["from"] for row in table] == traffic["from"]
        shown = made.page.tables.get(f"numbers-{file}", [])
        for at, each in enumerate(traffic[key]):
            assert [int(row[each["name"]]) for row in table] == each["values"]
            if shown:
                assert sum(int(row[at + 1][1]) for row in shown if row) == sum(each["values"]), each["name"]
    origins = {row["origin"]: (row["tagged"], row["untagged"]) for row in traffic["tagged_by_origin"]}
    if origins:
        table = made.csv["traffic-origin.csv"]
        assert {row["origin"]: (int(row["tagged"]), int(row["untagged"])) for row in table} == origins
        page = made.page.rows("numbers-origin") if "numbers-origin" in made.page.tables else []
        assert {row[0][0]: (int(row[1][1]), int(row[2][1])) for row in page} in ({}, origins)


@pytest.mark.parametrize("name", STORIES)
def test_the_series_add_up_to_the_counts(name: str) -> None:
    made = forms(name)
    traffic, mails = made.json["traffic"], made.json["mails"]
    for each in traffic["by_direction"]:
        assert sum(each["values"]) == mails[each["name"].replace(" ", "_").replace("-", "_")], each["name"]
    tagged = {each["name"]: sum(each["values"]) for each in traffic["tagged"]}
    assert sum(tagged.values()) == mails["delivered"]
    assert tagged["tagged"] == sum(row["tagged"] for row in traffic["tagged_by_origin"])
    assert tagged["untagged"] == sum(row["untagged"] for row in traffic["tagged_by_origin"])
    assert sum(sum(each["values"]) for each in traffic["put_off"]) == mails["deferrals"]
    for each in traffic["findings"]:
        (check,) = [check for check in made.json["checks"] if check["name"] == each["name"]]
        timed = [
            case for finding in check["findings"] if finding["severity"] != "note"
            for case in finding["cases"] if case.get("time")
        ]  # fmt: skip
        assert sum(each["values"]) == len(timed)


@pytest.mark.parametrize("name", STORIES)
def test_the_lists_add_up_to_the_counts(name: str) -> None:
    made = forms(name)
    mails = made.json["mails"]

    def total(key: str, column: str) -> int:
        assert key not in made.lists or made.lists[key]["total"] == len(made.lists[key]["rows"]), "the list was cut"
        return sum(made.column(key, column))

    assert total("senders", "mails") == total("sender-domains", "mails") <= mails["total"]
    assert total("entrances", "mails") == total("sizes", "mails") == mails["total"]
    deliveries = mails["delivered"] + COPIES.get(name, 0)
    assert total("recipients", "deliveries") == total("relays", "deliveries") == deliveries
    assert total("recipient-domains", "deliveries") == deliveries
    assert total("recipients", "tagged") == total("relays", "tagged") == total("recipient-domains", "tagged")
    assert total("recipients", "bytes") == total("relays", "bytes") == total("recipient-domains", "bytes")
    assert total("senders", "bytes") <= total("sizes", "bytes") == total("entrances", "bytes")
    assert total("rejects", "recipients") == mails["rejected"]
    assert total("put-off-reasons", "attempts") == mails["deferrals"]
    if "put-off" in made.lists:
        *ways, every = made.lists["put-off"]["rows"]
        assert every[0] == "in all"
        assert every[3] == mails["deferrals"]
        assert sum(row[1] for row in ways) == every[1]
        assert sum(row[3] for row in ways) == every[3]
    for outcome in ("deferred", "bounced", "expired", "held", "discarded"):
        assert total(outcome, "recipients") <= mails[outcome]
    delays = made.lists["delays"]["rows"]
    assert delays[0][0] == "in all"
    assert delays[0][1] == total("delays-by-hop", "deliveries") <= deliveries


@pytest.mark.parametrize("name", STORIES)
def test_the_map_is_the_same_everywhere(name: str) -> None:
    made = forms(name)
    flow = made.json["traffic"]["flow"]
    labels = {node["key"]: node["label"] for node in flow["nodes"]}
    table, page = made.csv["flow.csv"], made.page.rows("map-table")
    assert len(table) == len(page) == len(flow["edges"])
    text = section(made.text, "The way mail takes, by recipients at the end of their way")
    for edge, row, cells in zip(flow["edges"], table, page, strict=True):
        assert (row["from"], row["to"]) == (edge["from"], edge["to"])
        assert (int(row["recipients"]), int(row["mails"])) == (edge["recipients"], edge["mails"])
        assert [cells[0][0], cells[1][0]] == [labels[edge["from"]], labels[edge["to"]]]
        assert (int(cells[2][1]), int(cells[3][1])) == (edge["recipients"], edge["mails"])
        count = f"{edge['recipients']:,}"
        assert re.search(rf"{re.escape(labels[edge['from']])} +{re.escape(labels[edge['to']])} +{count}(?!\S)", text)


@pytest.mark.parametrize("name", STORIES)
def test_what_goes_into_a_place_of_the_map_leaves_it_and_all_ends_are_the_counts(name: str) -> None:
    made = forms(name)
    mails, flow = made.json["mails"], made.json["traffic"]["flow"]
    entering: Counter[str] = Counter()
    leaving: Counter[str] = Counter()
    for edge in flow["edges"]:
        entering[edge["to"]] += edge["recipients"]
        leaving[edge["from"]] += edge["recipients"]
        assert 0 <= edge["mails"] <= edge["recipients"]
    kinds = {node["key"]: node["kind"] for node in flow["nodes"]}
    for key, kind in kinds.items():
        if kind in ("source", "generator"):
            assert not entering[key]
        elif kind in ("listener", "filter", "reinjection", "forward"):
            assert entering[key] == leaving[key] > 0, key
        else:
            assert not leaving[key], key
    assert entering["store"] + entering["outside"] == mails["delivered"]
    assert entering["waiting"] == mails["deferred"]
    for end in ("bounced", "expired", "held", "discarded"):
        assert entering[end] == mails[end]
    assert entering["refused"] == mails["rejected"]


@pytest.mark.parametrize("name", STORIES)
def test_checks_and_findings_are_the_same_everywhere(name: str) -> None:
    made = forms(name)
    verdicts = {row["check"]: row for row in made.csv["checks.csv"]}
    table = {row["id"]: row for row in made.csv["findings.csv"]}
    text = " ".join(made.text.split())
    for check in made.json["checks"]:
        row = verdicts[check["name"]]
        assert row["verdict"] == check["verdict"]
        assert (int(row["checked"]), int(row["eligible"])) == (check["checked"], check["eligible"])
        assert int(row["findings"]) == len(check["findings"])
        line = f'logscan_check_verdict{{check="{check["name"]}",verdict="{check["verdict"]}"}} 1\n'
        assert line in made.prometheus
        assert f'logscan_check_checked{{check="{check["name"]}"}} {check["checked"]}\n' in made.prometheus
        if check["verdict"] == "clear":
            looked = f"{check['checked']:,} of {check['eligible']:,} looked at"
            assert looked in text or check["checked"] == check["eligible"]
            assert looked in made.page.text
        for finding in check["findings"]:
            row = table[finding["id"]]
            for key in ("count", "mails", "recipients"):
                assert int(row[key]) == finding[key]
            assert row["summary"].lstrip("'") == finding["summary"]
            if finding["mails"]:
                assert finding["recipients"] >= finding["mails"] or not finding["recipients"]
                stated = f"({plural(finding['mails'], 'mail')}"
                assert stated in made.text or f"({finding['id']})" in text  # one of several of a cause
                assert stated in made.page.text or finding["state"] != "active" or finding["severity"] == "note"
            cases = [row for row in made.csv[f"cases-{check['name']}.csv"] if row["finding"] == finding["id"]]
            assert len(cases) == len(finding["cases"])
    counts = Counter(check["verdict"] for check in made.json["checks"])
    for verdict in ("clear", "blind"):
        assert f"{counts[verdict]} {verdict}" in made.text.splitlines()[2]


@pytest.mark.parametrize("name", STORIES)
def test_lines_are_the_same_everywhere(name: str) -> None:
    made = forms(name)
    names = ("lines", "understood", "noise", "unknown", "undecodable", "copies")
    page = made.page.rows("sources")
    for source, row, cells in zip(made.json["sources"], made.csv["sources.csv"], page, strict=True):
        assert [int(row[key]) for key in names] == [source[key] for key in names]
        assert [int(value) for _, value in cells[2:]] == [source[key] for key in names]
        assert re.search(rf"{re.escape(source['path'])}.* {source['lines']:,} +{source['understood']:,}", made.text)
