"""Compiles the C sources beside this file to one shared library. Used by the build hook, so it imports nothing of logscan."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "_machine.dll" if sys.platform == "win32" else "_machine.so"
"""The library's file, beside the sources."""

FLAGS = (
    "-std=c11",
    "-O2",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror=implicit-function-declaration",
)


class CompileError(Exception):
    """Says why there is no library."""


def sources() -> list[Path]:
    """Return the C files, in a fixed order."""
    return sorted(HERE.glob("*.c"))


def compilers() -> list[list[str]]:
    """Return the C compilers that are at hand, the first one to be tried first."""
    return [[path] for name in ("cc", "gcc", "clang") if (path := shutil.which(name))]


def compile_library(out: Path, compiler: list[str], flags: tuple[str, ...] = FLAGS) -> None:
    """Compile all sources to the shared library ``out``; raises :class:`CompileError` with what the compiler said."""
    command = [*compiler, *flags, "-o", str(out), *map(str, sources())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(str(error)) from error
    if done.returncode:
        raise CompileError(f"{' '.join(compiler)} failed: {done.stderr.strip()[:2000]}")


def main() -> None:
    """Compile the library in its place in the checkout: ``python logscan/machine/compiling.py [FLAG ...]``."""
    extra = tuple(sys.argv[1:])
    for compiler in compilers():
        compile_library(HERE / NAME, compiler, (*FLAGS, *extra))
        print(HERE / NAME)
        return
    raise SystemExit("no C compiler is here: cc, gcc or clang")


if __name__ == "__main__":
    main()
