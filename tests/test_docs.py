"""The pages made from the program: up to date, and nothing that it can do is missing in them."""

from __future__ import annotations

import functools
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pandas as pd
import pytest

import logscan
from logscan.checking.check import all_checks
from logscan.cli import cli
from logscan.grammar.programs import log_formats
from logscan.samples import story
from logscan.scan.scan import Scan
from logscan.tables.joined import JOINED
from logscan.tables.schema import COMMON, EVENTS, Column

STORIES = ("mixed-day", "double-alias-expansion", "amavis-healthy", "rspamd-healthy")

DTYPES = {
    "str": ("str",),
    "cat": ("category",),
    "int": ("int64",),
    "int?": ("Int64",),
    "float": ("float64",),
    "time": ("datetime64[ns, UTC]",),
    "bool": ("bool",),
    "bool?": ("boolean",),
}
OF_EVENTS = DTYPES | {"int": ("int64", "float64", "int32"), "bool": ("bool", "object"), "cat": ("category", "str")}
"""Columns straight from the event tables: a number or a flag that is missing somewhere has another type in pandas."""


@pytest.fixture(scope="module")
def make(checkout: Path) -> ModuleType:
    """The module ``docs/make.py``."""
    spec = importlib.util.spec_from_file_location("docs_make", checkout / "docs" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def scan(name: str) -> Scan:
    return logscan.read(story(name), jobs=1)


@functools.cache
def nothing() -> Scan:
    return logscan.read(story("healthy") / "main.cf", jobs=1)


# -- the pages -------------------------------------------------------------------------------------------------------


def test_every_page_is_up_to_date(make: ModuleType) -> None:
    assert make.outdated() == [], "run python docs/make.py"


def test_the_check_says_which_page_is_late(make: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(make, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make.py"])
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "gone.md").write_text(make.MADE)
    (tmp_path / "formats" / "mine.md").write_text("# Written by hand\n")
    assert "formats/gone.md" in make.outdated()
    assert make.main() == 0
    assert make.outdated() == []
    assert sorted(path.name for path in (tmp_path / "formats").iterdir() if path.name in {"gone.md", "mine.md"}) == [
        "mine.md"
    ]
    monkeypatch.setattr(sys, "argv", ["make.py", "--check"])
    assert make.main() == 0
    (tmp_path / "tables.md").write_text("other")
    assert make.outdated() == ["tables.md"]
    assert make.main() == 1


def test_the_script_runs_by_itself(checkout: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(checkout / "docs" / "make.py"), "--check"], capture_output=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_each_format_is_documented_with_its_fields_and_a_sample(make: ModuleType) -> None:
    pages = make.pages()
    index = pages["formats/index.md"]
    for fmt in log_formats():
        places = [name for name, text in pages.items() if f"\n## {fmt.name}\n" in text]
        assert len(places) == 1, fmt.name
        section = pages[places[0]].partition(f"\n## {fmt.name}\n")[2].partition("\n## ")[0]
        assert fmt.title in section
        assert fmt.reference in section
        assert fmt.samples[0].text.replace("\t", "→") in section
        for name in make.names(fmt) if fmt.table else ():
            assert f"| `{name}` | " in section
        assert f"({places[0].partition('/')[2]}#{fmt.name})" in index


def test_each_check_has_its_page(make: ModuleType) -> None:
    pages = make.pages()
    for check in all_checks():
        assert "## When it is blind" in pages[f"checks/{check.name}.md"]
        assert f"({check.name}.md)" in pages["checks/index.md"]


def test_a_new_report_is_drawn_too(make: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "names_of", lambda package: ["csv", "new"] if package == "logscan.reports" else [])
    assert re.search(r"^ render +reports/ +csv, new$", make.architecture_page(), re.MULTILINE)


def test_each_command_and_each_option_is_documented(make: ModuleType) -> None:
    page = make.pages()["commands.md"]
    for name in cli.list_commands(click.Context(cli)):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        section = page.partition(f"\n## logscan {name}\n")[2].partition("\n## ")[0]
        assert section
        for param in command.params:
            for word in param.opts if isinstance(param, click.Option) else ():
                assert word in section


def test_links_between_the_pages_lead_somewhere(make: ModuleType) -> None:
    pages = make.pages()
    for name, text in pages.items():
        for target, anchor in re.findall(r"\]\(([^)#:]*\.md)(?:#([^)]*))?\)", text):
            path = str((Path("/") / name).parent.joinpath(target).resolve().relative_to("/"))
            assert path in pages, (name, target)
            heads = re.findall(r"^## (.+)$", pages[path], re.MULTILINE)
            assert not anchor or anchor in {re.sub(r"[()]", "", head.replace(" ", "-")) for head in heads}, anchor


def test_no_page_names_a_place_on_this_machine(make: ModuleType) -> None:
    for name, text in make.pages().items():
        assert str(Path(make.DOCS).parent) not in text, name
        assert str(Path.home()) + "/" not in text, name


# -- the tables ------------------------------------------------------------------------------------------------------


def kinds_of(name: str, column: Column) -> tuple[str, ...]:
    """Return the pandas types that a column of a joined table may have."""
    if column.name in ("source", "line") and name != "legs":
        return ("int32",)
    events = name in ("verdicts", "trainings") and column in (*COMMON, *EVENTS[name].columns)
    return OF_EVENTS[column.kind] if events else DTYPES[column.kind]


@pytest.mark.parametrize("name", JOINED)
@pytest.mark.parametrize("told", STORIES)
def test_a_joined_table_has_the_columns_of_its_description(told: str, name: str) -> None:
    frame: Any = getattr(scan(told), name)
    assert list(frame.columns) == [column.name for column in JOINED[name].columns]
    if len(frame):
        for column in JOINED[name].columns:
            assert str(frame[column.name].dtype) in kinds_of(name, column), column.name


@pytest.mark.parametrize("name", JOINED)
def test_a_table_without_rows_has_them_too(name: str) -> None:
    frame: Any = getattr(nothing(), name)
    assert len(frame) == 0
    assert list(frame.columns) == [column.name for column in JOINED[name].columns]


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("told", ["mixed-day", ""])
def test_an_event_table_has_the_columns_of_its_description(told: str, name: str) -> None:
    frame = scan(told).events(name) if told else nothing().events(name)
    columns = (*COMMON, *EVENTS[name].columns)
    assert list(frame.columns) == [column.name for column in columns]
    if len(frame):
        for column in columns:
            allowed = ("int32",) if column.name in ("source", "line") else OF_EVENTS[column.kind]
            if frame[column.name].notna().any():
                assert str(frame[column.name].dtype) in allowed, column.name


@pytest.mark.parametrize("told", [*STORIES, ""])
def test_parquet_has_each_table_without_what_is_internal(told: str, tmp_path: Path) -> None:
    one = scan(told) if told else nothing()
    written = one.write_tables(tmp_path / "new" / "folder")
    assert sorted(path.stem for path in written) == sorted({*EVENTS, *JOINED})
    for path in written:
        columns = JOINED[path.stem].columns if path.stem in JOINED else (*COMMON, *EVENTS[path.stem].columns)
        shown = [column.name for column in columns if not column.meaning.startswith("internal:")]
        kept = pd.read_parquet(path)
        assert list(kept.columns) == shown
        frame: Any = getattr(one, path.stem)
        assert len(kept) == len(frame)
        if len(frame) and path.stem in JOINED:
            pd.testing.assert_frame_equal(kept, frame[shown].reset_index(drop=True), check_categorical=False)


@pytest.mark.parametrize("name", JOINED)
def test_row_numbers_point_where_the_description_says(name: str) -> None:
    one = scan("mixed-day")
    frame: Any = getattr(one, name)
    sizes = {"entry": one.entries, "root": one.entries, "parent": one.entries, "child": one.entries, "mail": one.mails,
             "delivery": one.deliveries}  # fmt: skip
    for column, target in sizes.items():
        if column in frame.columns:
            assert frame[column].between(-1, len(target) - 1).all(), column
    if name == "entries":
        assert (frame["root"] >= 0).all()
        assert set(frame.loc[frame["parent"] >= 0, "leg"]) <= set(one.legs["kind"])


def test_every_column_has_a_kind_that_is_known_and_a_meaning() -> None:
    for each in (*EVENTS.values(), *JOINED.values()):
        assert each.row
        for column in (*COMMON, *each.columns):
            assert column.kind in DTYPES
            assert column.meaning
