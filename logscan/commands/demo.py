"""``logscan demo``: the main job over the logs that ship with logscan."""

from __future__ import annotations

from pathlib import Path

import click

from logscan import console


@click.command("demo")
@click.argument("names", nargs=-1, metavar="[STORY]...")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to write the pages; default: a new temporary folder.",
)
@click.option("--open", "show", is_flag=True, help="Open the first story's page in the browser.")
@click.option("--list", "only_list", is_flag=True, help="List the stories and end.")
def command(names: tuple[str, ...], output: Path | None, show: bool, only_list: bool) -> None:
    """Analyse the sample logs, each story in turn, and write a page for each.

    The stories are genuine logs of small servers, healthy ones and misconfigured ones. Without STORY: all of them.
    """
    import tempfile
    import webbrowser

    from logscan.samples import NoSamples, stories, story

    try:
        known = stories()
        width = max(map(len, known))
        if only_list:
            for name, what in known.items():
                console.out(f"{name:{width}}  {what}")
            return
        chosen = [(name, story(name)) for name in names or known]
    except NoSamples as error:
        raise click.UsageError(str(error)) from None
    pages = output or Path(tempfile.mkdtemp(prefix="logscan-demo-"))
    for name, folder in chosen:
        console.out(f"{name:{width}}  {_page(folder, pages / f'{name}.html')}")
    first = (pages / f"{chosen[0][0]}.html").absolute()
    console.out("")
    console.out(f"The pages are in {pages.absolute()}; open {first.as_uri()}")
    if show:
        webbrowser.open(first.as_uri())


def _page(folder: Path, path: Path) -> str:
    """Analyse one story, write its page, and return its verdict in a few words."""
    from logscan.pipeline.running import analyse, read
    from logscan.rendering.renderers import render
    from logscan.rendering.summary import summarise
    from logscan.writing import made, save

    report = analyse(read(folder, jobs=1))
    try:
        made(path.parent)
        save(render(report, "html"), path)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    return summarise(report).headline()


command.params.sort(key=lambda param: not isinstance(param, click.Argument))
