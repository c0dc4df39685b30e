"""Writes the pages that the program itself knows best: formats, tables, checks, commands.

``python docs/make.py`` writes them, ``python docs/make.py --check`` only says which of them are out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import click
import pyparsing as pp
from click.testing import CliRunner

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

import house  # noqa: E402

from logscan.checking.check import GROUPS, Check, all_checks, page  # noqa: E402
from logscan.cli import cli  # noqa: E402
from logscan.commands.manual import manual  # noqa: E402
from logscan.commands.sample_settings import sample_settings  # noqa: E402
from logscan.grammar import atoms as pieces  # noqa: E402 - the checkout this file lies in comes first
from logscan.grammar.formats import LogFormat  # noqa: E402
from logscan.plugins import modules  # noqa: E402
from logscan.plugins import names as names_of  # noqa: E402
from logscan.tables.joined import JOINED  # noqa: E402
from logscan.tables.schema import COMMON, EVENTS, Column, Table  # noqa: E402

MADE = "<!-- Made by docs/make.py from the program itself; don't edit it by hand. -->"

SAMPLES = 3
"""Samples shown of a format, at most."""

WIDTH = 100
"""Columns of the help texts."""

OF_EVENTS = {
    "str": "`str`",
    "cat": "`category`",
    "int": "`int64`; `float64` where one is missing",
    "float": "`float64`",
    "time": "`datetime64[ns, UTC]`",
    "bool": "`bool`; `object` where one is missing",
}
"""The pandas type of each kind in an event table, which comes from Arrow."""

OF_JOINED = {
    "str": "`str`",
    "cat": "`category`",
    "int": "`int64`",
    "int?": "`Int64`",
    "float": "`float64`",
    "time": "`datetime64[ns, UTC]`",
    "bool": "`bool`",
    "bool?": "`boolean`",
}
"""The same in a joined table."""

NUMBERS = {"source": "`int32`", "line": "`int32`"}
"""Columns that are narrower than their kind says, in every table."""


# --- Markdown ------------------------------------------------------------------------------------------------------


def cell(text: str) -> str:
    """Return text for a table's cell."""
    return text.replace("|", r"\|").replace("\n", " ").replace("<", "&lt;").replace("*", r"\*")


def code(text: str) -> str:
    """Return text as inline code, also within a table."""
    shown = text.replace("\t", "→").replace("|", r"\|")
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join(" --- " for _ in heads) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def block(lines: Iterable[str]) -> str:
    """Return lines as they are in a log, tabs made visible."""
    return "```text\n" + "\n".join(lines).replace("\t", "→") + "\n```"


def link(name: str) -> str:
    """Return a link, from a page in a folder, to an event table."""
    return f"[{name}](../tables.md#{name}{'-events' if name in JOINED else ''})"


def joined(*parts: str) -> str:
    """Return a page: its parts with a blank line between, and where it is from."""
    return "\n\n".join([MADE, *(part for part in parts if part)]) + "\n"


# --- formats -------------------------------------------------------------------------------------------------------


def shape(element: pp.ParserElement) -> str:
    """Return a grammar as one line: see :data:`SHAPES`, which explains it to readers."""
    if element.resultsName:
        return element.resultsName.upper()
    match element:
        case pp.And():
            return "".join(shape(each) for each in element.exprs)
        case pp.MatchFirst():
            return "⟨" + "|".join(shape(each) for each in element.exprs) + "⟩"
        case pp.Opt():
            return f"⟦{shape(element.expr)}⟧"
        case pp.OneOrMore() | pp.ZeroOrMore():
            return f"⟦{shape(element.expr)}⟧*"
        case pp.Literal():
            return str(element.match)
        case pp.Regex():
            return _regex(str(element.pattern))
        case pp.Empty() | pp.FollowedBy() | pp.NotAny() | pp.StringEnd():
            return ""
    return "…"


def _regex(pattern: str) -> str:
    """Return a pattern's literal texts, where it has nothing else, or … for anything."""
    texts = [re.sub(r"\\(.)", r"\1", each) for each in pattern.split("|")]
    plain = re.fullmatch(r"(?:[A-Za-z0-9 :;,@/<>'=_-]|\\[^\w]|\|)+", pattern)
    if plain and len(texts) <= 6 and len(pattern) <= 90:
        return texts[0] if len(texts) == 1 else "⟨" + "|".join(texts) + "⟩"
    return "…"


def names(fmt: LogFormat) -> list[str]:
    """Return the fields of a format in the order they stand, constants last."""
    found: dict[str, None] = {}

    def walk(element: pp.ParserElement) -> None:
        if element.resultsName:
            found.setdefault(element.resultsName)
        for each in element.recurse():
            walk(each)

    walk(fmt.line)
    return [*found, *(name for name in fmt.constants if name not in found)]


def columns_of(fmt: LogFormat) -> dict[str, Column]:
    """Return the columns a format may fill, by name."""
    return {column.name: column for column in (*COMMON, *EVENTS[fmt.table].columns)} if fmt.table else {}


def programs(fmt: LogFormat) -> str:
    """Return the programs whose lines have this format."""
    shown = []
    for each in fmt.programs:
        if each == "/*":
            shown.append("any Postfix daemon")
        elif each.startswith("/"):
            shown.append(f"Postfix's {each[1:]}")
        else:
            shown.append(code(each) if each else "lines without a tag")
    return ", ".join(shown)


def format_section(fmt: LogFormat) -> str:
    """Return the part of a page that describes one format."""
    facts = [
        f"- Says: {fmt.title}",
        f"- Lines of: {programs(fmt)}",
        f"- Becomes: {'a row of ' + link(fmt.table) if fmt.table else 'nothing (known, counted as noise)'}",
        f"- Reference: {fmt.reference}",
    ]
    if fmt.weight < 0:
        facts.append("- Takes what no other format of the program takes")
    level = shape(pieces.level())
    shapes = [re.sub("…{2,}", "…", shape(each).replace(level, "⟦…⟧")) for each in fmt.alternatives()]
    parts = [f"## {fmt.name}", "\n".join(facts), block(dict.fromkeys(shapes))]
    known = columns_of(fmt)
    fields = names(fmt) if fmt.table else []
    if fields:
        rows = []
        for name in fields:
            told = f"always {code(fmt.constants[name])}" if name in fmt.constants else cell(known[name].meaning)
            rows.append((code(name), known[name].kind, told))
        parts.append(table(("Field", "Kind", "Meaning"), rows))
    lines = [each.text for each in fmt.samples[:SAMPLES]]
    parts += [f"{'Sample' if len(lines) == 1 else 'Samples'}:", block(lines)]
    return "\n\n".join(parts)


def plug_ins() -> list[tuple[str, ModuleType, tuple[LogFormat, ...]]]:
    """Return the plug-ins that hold formats: name of the page, module, formats."""
    out = []
    for module in modules("logscan.parsers"):
        held = getattr(module, "FORMAT", None)
        if held is not None:
            name = module.__name__.rpartition(".")[2].replace("_", "-")
            out.append((name, module, held if isinstance(held, tuple) else (held,)))
    return out


def docstring(module: ModuleType) -> str:
    """Return a module's docstring, each paragraph on one line."""
    paragraphs = (module.__doc__ or "").strip().split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs).replace("``", "`")


def format_pages() -> Iterator[tuple[str, str]]:
    """Yield a page per plug-in, and the index."""
    found = plug_ins()
    for name, module, formats in found:
        source = f"Source: [parsers/{name.replace('-', '_')}.py](../../parsers/{name.replace('-', '_')}.py)"
        yield (
            f"formats/{name}.md",
            joined(f"# {name}", docstring(module), source, *(format_section(each) for each in formats)),
        )
    rows = [
        (
            f"[{code(fmt.name)}]({name}.md#{fmt.name})",
            link(fmt.table) if fmt.table else "(noise)",
            cell(fmt.title),
        )
        for name, _, formats in found
        for fmt in formats
    ]
    plugs = [(f"[{name}]({name}.md)", cell(docstring(module).split("\n\n")[0])) for name, module, _ in found]
    yield (
        "formats/index.md",
        joined(
            "# Line formats",
            f"logscan knows {len(rows)} kinds of line, in {len(found)} plug-ins. Each plug-in is one file of `parsers/`. "
            "`logscan formats` lists them, `logscan formats --check FILE` shows how each line of a file is read.",
            SHAPES,
            "## Plug-ins",
            table(("Plug-in", "What it reads"), plugs),
            "## Formats",
            table(("Format", "Becomes a row of", "What the line says"), rows),
        ),
    )


SHAPES = """\
Above the fields of each format stands its grammar in short. Names in capitals are fields, the rest stands in the log as it
is. `⟦…⟧` may be absent, `⟦…⟧*` comes any number of times, `⟨a|b⟩` is one of them, and a lone `…` is text that no field
keeps. The text begins behind the tag: `mx1 postfix/qmgr[7]: ` isn't shown. A `→` is a tab character.

A field is a column of the table that the line becomes a row of. Kinds: `str` is text, `cat` one of few values, `int` and
`float` are numbers, `bool` is true or false.

A queue ID is checked for its form, so a word such as `warning` is never taken for one. A text that strangers can write
(an address, a reply, a subject) ends at the first mark that can follow it; what it holds can't fake the fields behind
it."""


# --- tables --------------------------------------------------------------------------------------------------------


def type_of(column: Column, name: str) -> str:
    """Return the pandas type of a column of a joined table, or of an event table where ``name`` is none's."""
    if column.name in NUMBERS and name != "legs":
        return NUMBERS[column.name]
    if name not in JOINED or (name in EVENTS and column in (*COMMON, *EVENTS[name].columns)):
        return OF_EVENTS[column.kind]
    return OF_JOINED[column.kind]


def table_section(each: Table, columns: Sequence[Column], name: str) -> str:
    """Return the part of the page that describes one table."""
    rows = [(code(column.name), type_of(column, name), cell(column.meaning)) for column in columns]
    return f"A row: {cell(each.row)}.\n\n{table(('Column', 'Type', 'Meaning'), rows)}"


def tables_page() -> str:
    """Return the page of all tables."""
    common = [(code(column.name), type_of(column, ""), cell(column.meaning)) for column in COMMON]
    parts = ["# Tables", TABLES, "# Joined tables"]
    for name, each in JOINED.items():
        parts.append(f"## {name}\n\n{table_section(each, each.columns, name)}")
    parts += ["# Event tables", COMMON_TABLE, table(("Column", "Type", "Meaning"), common)]
    for name, each in EVENTS.items():
        head = f"## {name} (events)" if name in JOINED else f"## {name}"
        parts.append(f"{head}\n\n{table_section(each, each.columns, '')}")
    return joined(*parts)


TABLES = """\
A scan holds these tables as pandas DataFrames:

```python
import logscan

scan = logscan.read("/var/log/mail.log")
scan.mails  # a joined table
scan.logins  # an event table
scan.events("deliveries")  # an event table with the name of a joined one
```

`logscan analyse --tables DIR` writes each of them as a Parquet file, `DIR/mails.parquet` and so on: the joined tables,
and the event tables that no joined table has the name of. Columns that are called internal here are left out there.

Times are in UTC. `NaT` is the time of a line that has none. A table without any row has all its columns too, but a
`category` may be a `str` there. The columns are stable: new ones may come, none is renamed or removed without a word in
the changelog."""

COMMON_TABLE = """\
One row for each line that says so; `message repeated` lines of refused mails, logins and sessions give a row for each
repeat. Each event table begins with these columns:"""


# --- checks and commands -------------------------------------------------------------------------------------------


def facts_of(check: Check) -> str:
    """Return what is known of a check without running it."""
    facts = [f"In reports: {check.title}.", f"Clear, it says: {check.clear.partition(' (')[0]}."]
    facts.append(f"Findings are at worst a {check.severity}.")
    if check.needs:
        facts.append(f"It needs to see: {'; '.join(check.needs)}.")
    if check.related:
        facts.append(f"See also {', '.join(f'[{name}]({name}.md)' for name in check.related)}.")
    return " ".join(facts)


def check_pages() -> Iterator[tuple[str, str]]:
    """Yield a page per check, and the index."""
    for check in all_checks():
        yield f"checks/{check.name}.md", joined(f"# {check.name}", facts_of(check), page(check))
    parts = [
        "# Checks",
        f"{len(all_checks())} checks. Each ends with one of four verdicts: found, clear, blind or not applicable. Blind means "
        "that the logs can't tell, and the report says why. `logscan explain NAME` shows these pages too, `logscan checks` "
        "this list.",
    ]
    for group, title in GROUPS.items():
        rows = [
            (f"[{check.name}]({check.name}.md)", cell(check.title), check.severity, cell("; ".join(check.needs)))
            for check in all_checks()
            if check.group == group
        ]
        if rows:
            parts += [f"## {title}", table(("Check", "Title when found", "At worst", "What it needs to see"), rows)]
    yield "checks/index.md", joined(*parts)


COLUMNS = ("dspam", "amavis", "rspamd", "spamassassin", "other", "none")
"""Filters in the table of what is tested."""

VERDICTS = ("found", "clear", "blind", "not-applicable")


def matrix_page() -> str:
    """Return the table of what is tested: each check with each filter at each verdict, and the tests that show it."""
    record = json.loads((ROOT / "tests" / "data" / "matrix.json").read_text())
    shown: dict[tuple[str, str, str], list[str]] = {}
    for name, seen in record.items():
        for check, verdict in seen["verdicts"].items():
            shown.setdefault((check, seen["filter"], verdict), []).append(name)
    parts = ["# What is tested", MATRIX]
    for check in all_checks():
        rows = []
        for kind in COLUMNS:
            row = []
            for verdict in VERDICTS:
                tests = sorted(shown.get((check.name, kind, verdict), ()), key=lambda each: not each.startswith("case"))
                own = [each.removeprefix(f"case: {check.name}: ").removeprefix("case: ") for each in tests]
                row.append(cell(own[0]) + (f" (+{len(own) - 1})" if len(own) > 1 else "") if own else "–")
            if any(each != "–" for each in row):
                rows.append((kind, *row))
        parts += [f"## {check.name}", table(("Filter", *VERDICTS), rows)]
    return joined(*parts)


MATRIX = """\
For each check, with each kind of filter that a log shows, a test at each verdict, and how many more there are. A small log is
named as in `tests/data/cases/NAME.toml`; `story:` is one of `sample_logs/`, `lab:` one of `tests/data/lab/`: genuine logs
whose truth is known. Each test holds to its cell; a dash is what no test shows, mostly since it can't happen."""


def help_of(*words: str) -> str:
    """Return the help of a command, as on a terminal of :data:`WIDTH` columns."""
    done = CliRunner().invoke(
        cli, [*words, "--help"], prog_name="logscan", terminal_width=WIDTH, max_content_width=WIDTH
    )
    if done.exit_code:
        raise SystemExit(f"logscan {' '.join(words)} --help failed: {done.output}")
    return done.output.rstrip()


def commands_page() -> str:
    """Return the page of all commands."""
    found = cli.list_commands(click.Context(cli))
    parts = [f"## logscan {name}\n\n```text\n{help_of(name)}\n```" for name in found]
    return joined("# Commands", COMMANDS, f"## logscan\n\n```text\n{help_of()}\n```", *parts)


COMMANDS = """\
What each command says with `--help`. Options of `analyse` and `trace` can stand in a settings file too: the same names
without the dashes, at the top or in a table named like the command.

Exit status: 0 when all went well, 1 with `--fail-on` when there are such findings, 2 for a command line that makes no
sense, 3 when something could not be read."""


def architecture_page() -> str:
    """Return the page that draws the house."""
    drawing = "```text\n" + "\n".join(house.drawn(Path(house.__file__).resolve().parent.parent)) + "\n```"
    way = ARCHITECTURE.replace("{reports}", ", ".join(names_of("logscan.reports")))
    return joined("# Architecture", way, "## The house", HOUSE, drawing)


ARCHITECTURE = """\
A log is a sequence that can be cut anywhere, and what is known of two neighbouring pieces can be put together.

```text
 files, folders, stdin, journal   sources/     found and recognised by content, held open, given as whole lines
        │
 a survey                         reading/     heads, tails and a sample fix kinds, years, zones, copies; correlated once,
        │                         correlate/   also filters and local domains: nothing is learnt late
        │
 chunks, on workers               reading/     lines → events: envelopes off, grammars of parsers/ run by matching/,
        │                                      times by clocks/; put in order of time, a window after so many rows
        │
 windows                          correlate/   events and what is open from before → whole mails that are closed,
        │                                      and what stays open
        │
 look, at each window             checks/      → partials: cases, counts by key, nothing that grows with the log
        │                         report/      the same for the panels of the report
        │
 merge                            tables/      partials of all windows together, in any grouping
        │
 conclude, once                   checks/      → results: verdicts, findings with evidence and remedies
        │                         report/      → the report as plain data
        │
 render                           reports/     {reports}
```

`logscan.stream()` gives the windows, `logscan.read()` a whole log as one, `logscan.analyse()` takes either and says the same to
the byte. Memory follows the mails that are open and what the report shows. `logscan daily` stores
what the last window leaves open, and goes on from there the next morning (docs/daily.md). Commands are one module each in
`commands/`.
"""

HOUSE = "Each room uses only rooms on the floors below; a test sees to it, and to modules that import each other in a circle."


# --- all of it -----------------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Return every page by its path within ``docs/``."""
    return {
        **dict(format_pages()),
        "tables.md": tables_page(),
        **dict(check_pages()),
        "matrix.md": matrix_page(),
        "commands.md": commands_page(),
        "architecture.md": architecture_page(),
        "../contrib/logscan.toml": sample_settings(cli),
        "../contrib/logscan.1": manual(cli),
    }


def stale(made: Iterable[str]) -> list[Path]:
    """Return pages that were made once and aren't any more."""
    wanted = {DOCS / name for name in made}
    there = [path for folder in ("formats", "checks") for path in sorted((DOCS / folder).glob("*.md"))]
    return [path for path in there if path not in wanted and path.read_text("utf-8").startswith(MADE)]


def outdated() -> list[str]:
    """Return the paths of pages that aren't what they would be if they were made now."""
    made = pages()
    out = []
    for name, text in made.items():
        path = DOCS / name
        if not path.is_file() or path.read_text("utf-8") != text:
            out.append(name)
    return out + [str(path.relative_to(DOCS)) for path in stale(made)]


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is out of date")
    if parser.parse_args().check:
        late = outdated()
        for name in late:
            print(f"docs/{name} is out of date; run python docs/make.py", file=sys.stderr)
        return 1 if late else 0
    made = pages()
    for path in stale(made):
        path.unlink()
    for name, text in made.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
