"""Lays text out for a terminal: blocks, labels beside folded text, tables, diffs. A line too long is folded, never cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from logscan.rendering.renderers import RenderOptions
from logscan.rendering.wording import value_text
from logscan.report.model import Report
from logscan.visible import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text


class Page:
    """Writes blocks of text, each indented; a line longer than the page is folded, never cut."""

    def __init__(self, console: Console, report: Report, options: RenderOptions) -> None:
        self.console = console
        self.report = report
        self.options = options

    def write(self, text: Text | str = "", style: str = "", indent: int = 0) -> None:
        """Write a block of text."""
        from rich.padding import Padding
        from rich.text import Text

        block: RenderableType = text if isinstance(text, Text) else Text(text, style=style)
        self.console.print(Padding(block, (0, 0, 0, indent)) if indent else block)

    def heading(self, text: str, style: str = "bold") -> None:
        """Write a heading, with an empty line before it."""
        self.write()
        self.write(text, style)

    def labelled(self, label: str, text: str, style: str = "", lines: bool = False) -> None:
        """Write ``label`` in a column of its own, ``text`` folded beside it."""
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=9, no_wrap=True)
        grid.add_column(ratio=1, overflow="fold")
        grid.add_row(Text(label, style="dim"), Text(visible(text.strip("\n"), 4000, lines=lines), style=style))
        self.write_grid(grid, 3)

    def write_grid(self, grid: RenderableType, indent: int) -> None:
        """Write a table or the like."""
        from rich.padding import Padding

        self.console.print(Padding(grid, (0, 0, 0, indent)))

    def line(self, text: str, indent: int = 5, style: str = "dim") -> None:
        """Write a log line as it stands, its control characters visible."""
        self.write(visible(text, 600), style, indent)

    def diff(self, diff: str) -> None:
        """Write a change, line by line, as it is."""
        from rich.text import Text

        self.write()
        for line in diff.rstrip("\n").split("\n"):
            style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
            self.console.print(Text(" " * 5 + visible(line.expandtabs(8), 2000), style=style), soft_wrap=True)


def table(page: Page, columns: Sequence[str], rows: Sequence[Sequence[Any]], total: int) -> None:
    """Write rows as a table, numbers to the right; where that is wider than the page, each row as a block of lines."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heads = [visible(name.replace("_", " "), 80) for name in columns]
    shown = [[value_text(value, page.report, 300) for value in row] for row in rows]
    numeric = [
        all(isinstance(row[at], int | float) or row[at] in (None, "") for row in rows) for at in range(len(heads))
    ]
    wide = sum(max([len(head), *(len(row[at]) for row in shown)]) + 2 for at, head in enumerate(heads))
    if wide > page.console.width - 2:
        for values, row in zip(shown, rows, strict=True):
            words = [text for text, value in zip(values, row, strict=True) if isinstance(value, str) and text]
            rest = [
                f"{head} {text}"
                for head, text, value in zip(heads, values, row, strict=True)
                if not isinstance(value, str) and text
            ]
            page.write(Text(" · ".join(words)), indent=1)
            page.write(Text(" · ".join(rest)), "dim", indent=5)
    else:
        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        for head, number in zip(heads, numeric, strict=True):
            grid.add_column(head, justify="right" if number else "left", no_wrap=number, overflow="fold")
        for values in shown:
            grid.add_row(*map(Text, values))
        page.write_grid(grid, 1)
    if total > len(rows):
        page.write(f"… {total - len(rows):,} more", "dim", 1)
