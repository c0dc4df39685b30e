"""A plug-in that is written wrong is named, with its file, before a line is read; nothing of it is passed over in silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyparsing import Literal

from logscan.cli import SOURCE_FAILED, explained
from logscan.grammar import programs
from logscan.grammar.formats import FormatError, LogFormat, Sample, rest
from logscan.plugins import PluginError, collect, names
from logscan.rendering import renderers as rendering
from logscan.rendering.renderers import Renderer


def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, *others: str) -> list[int]:
    """Collect the numbers that the plug-ins of a package with one module hold as ``NUMBER``."""
    package = folder / "plugged"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "plugged"]:
        monkeypatch.delitem(sys.modules, name)
    return collect("plugged", "NUMBER", int, *others)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NUMBER = 1\nNUMBER = = 2\n", "one.py, line 2: SyntaxError: invalid syntax"),
        ("NUMBER = 1\nnobody()\n", "one.py, line 2: NameError: name 'nobody' is not defined"),
        ("\n\nfrom logscan.plugins import nobody\n", "one.py, line 3: ImportError: cannot import name 'nobody'"),
        ("import logscan.nobody\n", "one.py, line 1: ModuleNotFoundError: No module named 'logscan.nobody'"),
        ("def f():\n    return int('x')\n\n\nNUMBER = f()\n", "one.py, line 2: ValueError: invalid literal"),
        ("NUMBER = (1, 'two')\n", "one.py: NUMBER is str, not int"),
        ("NUMBRE = 1\n", "one.py: it holds no NUMBER and no OTHER"),
    ],
)
def test_a_plug_in_that_is_wrong_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    with pytest.raises(PluginError) as caught:
        loaded(tmp_path, monkeypatch, text, "OTHER")
    assert f"{tmp_path / 'plugged'}/{said}" in str(caught.value)
    status, line = explained(caught.value)
    assert (status, line.count("\n")) == (SOURCE_FAILED, 0)
    assert line.startswith(f"Error: a plug-in is wrong: {tmp_path}")


def test_plug_ins_of_two_kinds_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(tmp_path, monkeypatch, "OTHER = 'x'\n", "OTHER") == []


def test_a_library_that_is_missing_is_no_fault_of_the_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError, match="nobody_s_library"):
        loaded(tmp_path, monkeypatch, "import nobody_s_library\n")


SAMPLES = (Sample("x"),)


@pytest.mark.parametrize(
    ("fmt", "said"),
    [
        (LogFormat("x", "t", "r", "some", "milters", rest(), SAMPLES), "x: programs and samples are tuples"),  # type: ignore[arg-type]
        (LogFormat("x", "t", "r", ("some",), "milters", rest(), SAMPLES[0]), "x: programs and samples are tuples"),  # type: ignore[arg-type]
        (LogFormat("x", "t", "r", ("some",), "milters", "text", SAMPLES), "x: line is str, not an element"),  # type: ignore[arg-type]
        (LogFormat("x", "t", "r", ("some",), "millers", rest(), SAMPLES), "x: there is no table millers; there are clients"),
        (
            LogFormat("x", "t", "r", ("some",), "removals", Literal("x") + rest()("text"), SAMPLES),
            "x: the table removals has no column text; it has queue_id",
        ),
        (LogFormat("x", "t", "r", ("some",), "removals", rest(), SAMPLES, {"filter": "x"}), "has no column filter"),
        (LogFormat("x", "t", "r", ("some",), None, rest()("text"), SAMPLES), r"x: noise \(table=None\) has no column text$"),
    ],
)  # fmt: skip
def test_a_format_that_could_not_be_kept_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, fmt: LogFormat, said: str
) -> None:
    monkeypatch.setattr(programs, "collect", lambda *_: [fmt])
    caches = (programs.log_formats, programs._pattern, programs.known_programs)
    try:
        for each in caches:
            each.cache_clear()
        with pytest.raises(FormatError, match=said):
            programs.pattern_for("some")
    finally:
        for each in caches:
            each.cache_clear()


def test_every_format_there_is_can_be_kept() -> None:
    assert [programs.pattern_for(name) for name in programs.known_programs()]


def test_a_report_that_is_not_called_like_its_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Renderer(name, "T", ".x", "text/plain", lambda *_: "") for name in names("logscan.reports")]
    odd = Renderer("odd", "T", ".x", "text/plain", lambda *_: "")
    monkeypatch.setattr("logscan.plugins.collect", lambda *_: [odd, *made[1:]])
    with pytest.raises(PluginError, match=r"the report csv isn't called like its module; names here are email, .*odd"):
        rendering.renderers.__wrapped__()


def test_the_command_line_says_so_in_one_line(checkout: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "import logscan.parsers\n"
        f"logscan.parsers.__path__.append({str(tmp_path)!r})\n"
        "from logscan.cli import main\n"
        "sys.argv = ['logscan', 'formats']\n"
        "main()\n"
    )
    (tmp_path / "broken.py").write_text("FORMAT = 3\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=checkout, check=False)
    assert done.returncode == SOURCE_FAILED
    assert done.stderr.startswith(f"Error: a plug-in is wrong: {tmp_path / 'broken.py'}: FORMAT is int, not LogFormat")
    assert done.stderr.count("\n") == 1
