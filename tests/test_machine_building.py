"""How the compiled part comes about: what a compiler does wrong is told, is never loaded, and fails no installation."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

import logscan
from logscan.machine import compiling, library

Fake = Callable[[str], list[str]]

OUT = 'out=; for arg; do [ "$last" = -o ] && out=$arg; last=$arg; done\n'
"""Begin of a shell script that stands for a compiler: finds where it shall write."""

needs_compiler = pytest.mark.skipif(
    not any(not compiling.tried(each) for each in compiling.compilers()), reason="no C compiler is here that works"
)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Make a compiler of a shell script."""

    def make(script: str) -> list[str]:
        path = tmp_path / "fakecc"
        path.write_text(f"#!/bin/sh\n{OUT}{script}\n")
        path.chmod(0o755)
        return [str(path)]

    return make


@pytest.fixture
def only(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Make it the only one there is."""

    def make(script: str) -> list[str]:
        found = fake(script)
        monkeypatch.setattr(compiling, "compilers", lambda: [found])
        return found

    return make


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources in a folder of their own, which may be changed."""
    folder = tmp_path / "machine"
    shutil.copytree(compiling.HERE, folder, ignore=shutil.ignore_patterns("_machine*", "__pycache__"))
    monkeypatch.setattr(compiling, "HERE", folder)
    monkeypatch.delenv(compiling.PURE, raising=False)
    return folder


BROKEN = {
    "it fails": ("echo 'In file included'; echo 'x.c:1: fatal error: stdint.h: none' >&2; exit 1", "stdint.h: none"),
    "it fails and says nothing": ("exit 3", "fakecc failed: status 3"),
    "it was killed": ("kill -9 $$", "fakecc failed: status -9"),
    "it makes nothing": ("exit 0", "makes nothing"),
    "it makes no library": ('echo text > "$out"', "fakecc: loading what it made failed: OSError: "),
    "it makes a folder": ('mkdir "$out"', "makes nothing"),
    "it makes an empty file": (': > "$out"', "fakecc: loading what it made failed: OSError: "),
    "it makes one for another machine": (
        # an ELF file's head whose machine (offset 18) is no processor's
        r"""printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\003\000\376\376\001\000\000\000' > "$out" """,
        "fakecc: loading what it made failed: OSError: ",
    ),
    "it floods": ("head -c 3000000 /dev/zero | tr '\\0' 'e'; echo; echo error: enough; exit 1", "error: enough"),
}


@pytest.mark.parametrize(("script", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_what_a_compiler_does_wrong_is_told_and_leaves_what_was(
    only: Fake, tmp_path: Path, script: str, said: str
) -> None:
    only(script)
    out = tmp_path / "made" / compiling.NAME
    out.parent.mkdir()
    out.write_text("what was")
    with pytest.raises(compiling.CompileError) as told:
        compiling.build(out)
    assert said in str(told.value)
    assert len(str(told.value)) < 400
    assert "\n" not in str(told.value)
    assert str(tmp_path) not in str(told.value)
    assert [path.name for path in out.parent.iterdir()] == [compiling.NAME]
    assert out.read_text() == "what was"


def test_no_compiler_is_a_reason_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "compilers", list)
    with pytest.raises(compiling.CompileError, match="no C compiler was at hand"):
        compiling.build(tmp_path / compiling.NAME)


def test_a_compiler_that_hangs_is_ended_with_what_it_started(
    only: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    only(f"sleep 300 & echo $$ $! > {shlex.quote(str(pids))}; wait")
    monkeypatch.setattr(compiling, "TRIAL_PATIENCE", 1.0)
    with pytest.raises(compiling.CompileError, match="fakecc took longer than 1 seconds"):
        compiling.build(tmp_path / compiling.NAME)
    for pid in map(int, pids.read_text().split()):
        deadline = time.monotonic() + 10
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def test_a_compiler_never_waits_for_input(only: Fake, tmp_path: Path) -> None:
    only("cat; echo error: nobody wrote; exit 1")
    with pytest.raises(compiling.CompileError, match="nobody wrote"):
        compiling.build(tmp_path / compiling.NAME)


def test_the_next_compiler_is_tried(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def compile_library(out: Path, compiler: list[str], *_rest: Any, **_named: Any) -> None:
        seen.append(compiler[0])
        if compiler[0] != "good":
            raise compiling.CompileError(f"{compiler[0]} is bad")
        out.write_text("a library")

    monkeypatch.setattr(compiling, "compilers", lambda: [["bad"], ["good"], ["better"]])
    monkeypatch.setattr(compiling, "compile_library", compile_library)
    monkeypatch.setattr(compiling, "ask", lambda _path: None)
    compiling.build(tmp_path / compiling.NAME)
    assert seen == ["bad", "good", "good"]
    assert (tmp_path / compiling.NAME).read_text() == "a library"


def test_cc_names_the_compiler(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "ccache 'my cc' -m64")
    assert compiling.compilers()[0] == ["ccache", "my cc", "-m64"]
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(Path(fake("exit 0")[0]).parent))
    assert [each for each in compiling.compilers() if "ziglang" not in each] == []


@needs_compiler
def test_what_is_compiled_here_is_used_here(copied: Path) -> None:
    compiling.build(copied / compiling.NAME)
    loaded, why_not = library.load(copied)
    assert (loaded is None, why_not) == (False, "")


@needs_compiler
@pytest.mark.parametrize("change", ["library.c", "machine.h", "new.c", "flags"])
def test_a_library_of_other_sources_is_not_used(copied: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    compiling.build(copied / compiling.NAME)
    if change == "flags":
        monkeypatch.setattr(compiling, "FLAGS", (*compiling.FLAGS, "-fwrapv"))
    else:
        path = copied / change
        path.write_text((path.read_text() if path.exists() else "") + "/* changed */\n")
    assert library.load(copied) == (None, library.STALE)
    with pytest.raises(compiling.CompileError, match="of other sources"):
        compiling.ask(copied / compiling.NAME)
    anew = copied / "anew"  # a library that was loaded from a path is what this process finds there for ever
    anew.mkdir()
    compiling.build(anew / compiling.NAME)
    assert library.load(anew)[1] == ""


@needs_compiler
def test_a_library_that_says_nothing_of_its_sources_is_not_used(copied: Path) -> None:
    (copied / "library.c").write_text("int other(void);\nint other(void) { return 0; }\n")
    compiling.compile_library(
        copied / compiling.NAME, next(each for each in compiling.compilers() if shutil.which(each[0]))
    )
    assert library.load(copied) == (None, library.STALE)


@needs_compiler
def test_a_library_without_sources_beside_it_is_taken_as_it_is(copied: Path) -> None:
    compiling.build(copied / compiling.NAME)
    for path in (*copied.glob("*.c"), *copied.glob("*.h")):
        path.unlink()
    assert library.load(copied)[1] == ""


def test_what_is_no_library_is_not_used(copied: Path) -> None:
    (copied / compiling.NAME).write_text("no library")
    loaded, why_not = library.load(copied)
    assert loaded is None
    assert why_not.startswith("the compiled part can't be loaded: ")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (None, "it was installed without it"),
        ("", "it was installed without it"),
        ("cc failed: no stdint.h\n", "cc failed: no stdint.h"),
        ("x" * 900, "x" * 500),
    ],
)
def test_the_reason_of_the_build_is_told(copied: Path, said: str | None, told: str) -> None:
    if said is not None:
        (copied / compiling.REASON).write_text(said)
    assert library.load(copied) == (None, told)


def test_nothing_is_loaded_where_pure_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiling.PURE, "1")
    assert library.load(compiling.HERE) == (None, "LOGSCAN_PURE=1 asks for it")


def test_the_sources_say_which_they_are(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiling.digest()
    assert 0 < before < 1 << 64
    assert compiling.digest() == before
    (copied / "library.c").rename(copied / "moved.c")
    assert compiling.digest() != before


def test_the_version_says_whether_it_is_compiled(program: Run) -> None:
    pure = program("--version", LOGSCAN_PURE="1").stdout
    assert pure == f"logscan, version {logscan.__version__} (without the compiled part: LOGSCAN_PURE=1 asks for it)\n"
    how = f"without the compiled part: {library.WHY_NOT}" if library.WHY_NOT else "compiled"
    assert program("--version").stdout == f"logscan, version {logscan.__version__} ({how})\n"


def test_help_loads_no_library() -> None:
    code = "import sys, logscan.cli as c; c.cli(['--help'], standalone_mode=False); print('logscan.machine' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@needs_compiler
def test_it_is_compiled_in_place_by_one_command(copied: Path) -> None:
    (copied / compiling.REASON).write_text("an old reason")
    command = [sys.executable, str(copied / "compiling.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(copied / compiling.NAME)
    assert library.load(copied)[1] == ""
    assert not (copied / compiling.REASON).exists()
    failed = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"CC": "false", "PATH": ""}
    )
    if importlib.util.find_spec("ziglang") is None:
        assert (failed.returncode, failed.stderr) == (1, "compiling.py: false: No such file or directory\n")
    assert library.load(copied)[1] == ""


class Tree:
    """A copy of what the build hook needs, and the build backend run in it."""

    def __init__(self, checkout: Path, root: Path) -> None:
        self.root, self.machine = root, root / "logscan" / "machine"
        for name in ("parsers", "reports", "sample_logs"):
            (root / name).mkdir(parents=True)
        for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "logscan/version.py"):
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copy(checkout / name, root / name)
        shutil.copytree(checkout / "contrib", root / "contrib")
        shutil.copytree(
            checkout / "logscan" / "machine", self.machine, ignore=shutil.ignore_patterns("_machine*", "__pycache__")
        )

    def run(self, call: str, prelude: str = "", **environment: str) -> tuple[str, str]:
        """Call the backend in a process of its own, as pip does; return what it gave and what it told."""
        code = f"{prelude}\nimport hatchling.build as b, sys; sys.stdout.write(str(b.{call}))"
        kept = {name: value for name, value in os.environ.items() if name not in ("CC", compiling.PURE)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.root,
            env=kept | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    def wheel(self, call: str = "build_wheel", **environment: str) -> tuple[str, dict[str, bytes], str]:
        """Return a wheel's name and its files of the machine; and what was told."""
        name, told = self.run(f"{call}('.')", **environment)
        with zipfile.ZipFile(self.root / name) as archive:
            files = {each: archive.read(each) for each in archive.namelist() if "/machine/" in each}
        return name, {each.rpartition("/")[2]: content for each, content in files.items()}, told


@pytest.fixture
def tree(checkout: Path, tmp_path: Path) -> Tree:
    pytest.importorskip("hatchling", reason="hatchling, of the group dev, isn't installed")
    pytest.importorskip("editables", reason="editables, of the group dev, isn't installed")
    return Tree(checkout, tmp_path / "tree")


NO_ZIGLANG = "import packaging.tags as t; t.sys_tags = lambda: iter([t.Tag('py3', 'none', 'linux_s390x')])"
LIKE_PYPI = "import packaging.tags as t; t.sys_tags = lambda: iter([t.Tag('py3', 'none', 'musllinux_1_1_aarch64')])"
FAILS = {"CC": "false"}


@needs_compiler
def test_a_compiler_at_hand_is_used_and_no_other_asked_for(tree: Tree) -> None:
    assert tree.run("get_requires_for_build_wheel()")[0] == "[]"
    assert "ziglang" not in tree.run("get_requires_for_build_editable()")[0]
    name, files, _told = tree.wheel()
    assert name.startswith(f"logscan_mail-{logscan.__version__}-py3-none-")
    assert not name.endswith("-any.whl")
    assert "manylinux" not in name
    assert {compiling.NAME, "library.c", "machine.h", "compiling.py"} <= files.keys()
    assert compiling.REASON not in files
    (tree.machine / compiling.NAME).write_bytes(files[compiling.NAME])
    assert library.load(tree.machine)[1] == ""


def test_ziglang_is_asked_for_only_where_it_can_be_had_and_is_needed(tree: Tree) -> None:
    asked = "get_requires_for_build_wheel()"
    assert tree.run(asked, LIKE_PYPI, **FAILS)[0].startswith("['ziglang==")
    assert "'ziglang==" in tree.run("get_requires_for_build_editable()", LIKE_PYPI, **FAILS)[0]
    assert tree.run(asked, NO_ZIGLANG, **FAILS)[0] == "[]"
    assert tree.run(asked, LIKE_PYPI, **FAILS, LOGSCAN_PURE="1")[0] == "[]"
    assert tree.run("get_requires_for_build_sdist()", LIKE_PYPI, **FAILS)[0] == "[]"


def test_a_failed_compile_gives_a_pure_wheel_that_says_why(tree: Tree) -> None:
    (tree.machine / compiling.NAME).write_text("compiled in place, of whatever")
    name, files, told = tree.wheel(**FAILS)
    if importlib.util.find_spec("ziglang"):
        pytest.skip("ziglang is installed here, so it compiles")
    assert name.endswith("-py3-none-any.whl")
    assert compiling.NAME not in files
    assert files[compiling.REASON] == b"false failed: status 1\n"
    assert "logscan is built without its compiled part, and slower: false failed: status 1" in told
    assert (tree.machine / compiling.NAME).exists()


def test_a_pure_wheel_is_made_where_it_is_asked_for(tree: Tree) -> None:
    name, files, told = tree.wheel(LOGSCAN_PURE="1")
    assert (name.endswith("-py3-none-any.whl"), told) == (True, "")
    assert files[compiling.REASON] == b"it was installed with LOGSCAN_PURE=1\n"


@needs_compiler
def test_an_editable_installation_compiles_in_place(tree: Tree) -> None:
    (tree.machine / compiling.REASON).write_text("an old reason")
    tree.wheel("build_editable")
    assert library.load(tree.machine)[1] == ""
    assert not (tree.machine / compiling.REASON).exists()
    tree.wheel("build_editable", LOGSCAN_PURE="1")
    assert library.load(tree.machine) == (None, "it was installed with LOGSCAN_PURE=1")


def test_a_release_is_never_pure_by_mistake(tree: Tree) -> None:
    with pytest.raises(AssertionError, match="KeyError: 'manylinux_2_99_vax'"):
        tree.wheel(LOGSCAN_PLATFORM="manylinux_2_99_vax")
    if importlib.util.find_spec("ziglang") is None:
        with pytest.raises(AssertionError, match="CompileError"):
            tree.wheel(LOGSCAN_PLATFORM="manylinux_2_17_x86_64")
