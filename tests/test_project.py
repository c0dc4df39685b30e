"""The project itself: what is said once, how the plug-ins lie, and that everything is documented and checked."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import logscan
from logscan.checking.check import GROUPS, all_checks
from logscan.cli import cli
from logscan.samples import stories

PLUGINS = ("parsers", "reports")


def project(checkout: Path) -> dict[str, Any]:
    return tomllib.loads((checkout / "pyproject.toml").read_text())


def modules(checkout: Path) -> list[Path]:
    return sorted(path for name in ("logscan", *PLUGINS) for path in (checkout / name).rglob("*.py"))


def test_the_version_is_said_once(checkout: Path) -> None:
    assert "version" in project(checkout)["project"]["dynamic"]
    assert f"[{logscan.__version__}]" in (checkout / "CHANGELOG.md").read_text()


def test_the_installed_version_is_the_one_said() -> None:
    try:
        installed = importlib.metadata.version("logscan-mail")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("logscan runs from its sources here, it isn't installed")
    assert installed == logscan.__version__


def test_the_public_names_are_callable_whatever_was_imported_before() -> None:
    import logscan.cli
    import logscan.pipeline.running
    import logscan.report.model
    import logscan.scan.scan

    assert {name for name in logscan.__all__ if name != "__version__" and not callable(getattr(logscan, name))} == set()


@pytest.mark.parametrize("folder", PLUGINS)
def test_a_plug_in_folder_is_no_package(checkout: Path, folder: str) -> None:
    assert not (checkout / folder / "__init__.py").exists()
    assert [path.name for path in (checkout / "logscan" / folder).glob("*.py")] == ["__init__.py"]


def test_plug_ins_are_never_imported_by_their_folder(checkout: Path) -> None:
    found = []
    for path in [*modules(checkout), *(checkout / "tests").glob("*.py"), *(checkout / "benchmarks").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in PLUGINS]
    assert found == []


@pytest.mark.parametrize("folder", PLUGINS)
def test_no_top_level_package_of_a_plug_in_folder_is_installed(folder: str) -> None:
    places = [Path(entry) for entry in sys.path if "site-packages" in entry]
    assert [place for place in places if (place / folder).exists()] == []


def test_every_module_says_what_it_does(checkout: Path) -> None:
    silent = [path.name for path in modules(checkout) if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_every_command_stands_in_the_readme(checkout: Path) -> None:
    text = (checkout / "README.md").read_text()
    assert [name for name in cli.list_commands(None) if f"`logscan {name}`" not in text] == []  # type: ignore[arg-type]


def test_the_readme_names_the_checks_at_the_heart_and_what_the_others_are_about(checkout: Path) -> None:
    text = (checkout / "README.md").read_text()
    assert [c.name for c in all_checks() if c.group == "heart" and f"| `{c.name}` |" not in text] == []
    assert [title for title in GROUPS.values() if f"**{title}**" not in text][1:] == []


def test_checks_name_only_checks_there_are_as_their_relatives() -> None:
    names = {check.name for check in all_checks()}
    assert {check.name: set(check.related) - names for check in all_checks() if set(check.related) - names} == {}
    assert [check.name for check in all_checks() if check.name in check.related] == []


def test_what_is_known_of_a_check_is_known_without_running_it() -> None:
    for check in all_checks():
        assert check.title, check.name
        assert check.clear, check.name
        assert check.causes, check.name
        assert check.group in GROUPS, check.name
        assert check.group == "heart" or check.needs, check.name
        assert set(check.many) <= set(check.causes), check.name


def test_every_link_of_the_documents_leads_somewhere(checkout: Path) -> None:
    pages = [*checkout.glob("*.md"), *(checkout / "docs").glob("*.md"), *(checkout / "sample_logs").glob("*.md")]
    link = re.compile(r"\]\((?!https?:|#)([^)#]+)")
    links = [(page, target) for page in pages for target in link.findall(page.read_text())]
    lost = [f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()]
    assert lost == []


def test_the_readme_s_options_exist(checkout: Path) -> None:
    commands = [cli, *(cli.get_command(None, name) for name in cli.list_commands(None))]  # type: ignore[arg-type]
    known = {option for command in commands if command for param in command.params for option in param.opts}
    lines = [line for line in (checkout / "README.md").read_text().splitlines() if "logscan" in line or "`--" in line]
    named = {
        option for line in lines if "pip install" not in line for option in re.findall(r"(?<![\w-])--[a-z-]+", line)
    }
    assert named - known == set()


def test_the_readme_s_python_runs(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", (checkout / "README.md").read_text(), re.DOTALL)
    assert code
    here = checkout / "sample_logs" / "healthy"
    example = (
        code[1].replace("/var/log/mail.log", str(here / "mail.log")).replace("/etc/postfix", str(here / "main.cf"))
    )
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["page"].lower().startswith("<!doctype html>")
    assert "inbound" in capsys.readouterr().out


def test_the_sample_logs_are_small(checkout: Path) -> None:
    assert sum(path.stat().st_size for path in (checkout / "sample_logs").rglob("*") if path.is_file()) < 6e6
    assert len(stories()) >= 10


def test_continuous_integration_runs_the_readme_s_and_the_contributor_s_command(checkout: Path) -> None:
    text = (checkout / ".ci" / "run").read_text()
    assert "README.md" in text
    assert "./check" in text
    assert "./check" in (checkout / "CONTRIBUTING.md").read_text()
    assert all(os.access(checkout / name, os.X_OK) for name in (".ci/run", "check"))


def test_the_check_command_covers_everything(checkout: Path) -> None:
    text = (checkout / "check").read_text()
    for step in (
        "ruff format --check",
        "ruff check",
        "-m mypy",
        "-m pytest",
        "build --wheel",
        "LOGSCAN_PURE=1",
        "ziglang",
        "installs more than logscan",
        "demo",
    ):
        assert step in text


def test_nothing_depends_on_a_place_outside_the_checkout(checkout: Path) -> None:
    suffixes = {".py", ".md", ".toml", ".html", ".j2", ".css", ".js", ""}
    folders = ("logscan", "parsers", "reports", "tests", "docs", "benchmarks", "contrib", ".ci")
    files = [
        *(path for name in folders for path in (checkout / name).rglob("*")),
        *(path for path in checkout.glob("*") if path.name != ".git"),
    ]
    foreign = re.compile("/" + r"work/|\.\./" + "shared|/tmp/" + r"[a-z]/")
    found = [
        str(path.relative_to(checkout))
        for path in files
        if path.is_file()
        and path.name != ".git"
        and path.suffix in suffixes
        and foreign.search(path.read_text("utf-8", "replace"))
    ]
    assert found == []
