"""Compiles the C sources beside this file to one shared library: ``python logscan/machine/compiling.py [FLAG ...]``.

The build hook loads this file by its path, so it imports nothing of logscan; and the loader does at each start, so what only
compiling needs is imported when something is compiled.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "_machine.dll" if sys.platform == "win32" else "_machine.so"
"""The library's file, beside the sources."""

REASON = "_machine.txt"
"""The file that says why there is no library, in its place."""

PURE = "LOGSCAN_PURE"
"""The variable that asks for no library, when it is 1."""

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

ZIG = ("-m", "ziglang", "cc", "-mcpu=baseline")
"""Arguments of Python for the compiler of the ``ziglang`` wheel: for any processor of the kind, as other compilers do it."""

PATIENCE = 600.0
"""Seconds after which a compiler is taken to hang; Zig's first makes a library of its own, for long on a small machine."""

TRIAL_PATIENCE = 30.0
"""The same for one small file."""


class CompileError(Exception):
    """Says in one line why there is no library."""


def sources() -> list[Path]:
    """Return the C files, in a fixed order."""
    return sorted(HERE.glob("*.c"))


def digest() -> int:
    """Return 64 bits that tell these sources, and how they are compiled, from others; 0 where no sources lie here."""
    import hashlib

    files = sources()
    found = hashlib.sha256(repr(FLAGS).encode())
    for path in (*files, *sorted(HERE.glob("*.h"))):
        content = path.read_bytes()
        found.update(f"\0{path.name}\0{len(content)}\0".encode())
        found.update(content)
    return int.from_bytes(found.digest()[:8], "little") if files else 0


def compilers() -> list[list[str]]:
    """Return the C compilers at hand, the first one to be tried first: what ``CC`` names, or those in PATH; then Zig's."""
    import importlib.util
    import shlex
    import shutil

    named = shlex.split(os.environ.get("CC", ""))
    found = [named] if named else [[path] for name in ("cc", "gcc", "clang") if (path := shutil.which(name))]
    if importlib.util.find_spec("ziglang"):
        found.append([sys.executable, *ZIG])
    return found


def compile_library(
    out: Path,
    compiler: list[str],
    flags: tuple[str, ...] = FLAGS,
    files: list[Path] | None = None,
    patience: float = PATIENCE,
) -> None:
    """Compile C files (all) to the shared library ``out``; raises :class:`CompileError` with what the compiler said."""
    import tempfile

    told = f"-DLOGSCAN_SOURCES={digest():#x}u"
    paths = [str(path.absolute()) for path in files or sources()]
    with tempfile.TemporaryDirectory() as folder:
        command = [*compiler, *flags, told, "-o", str(out.absolute()), *paths]
        _run(command, _called(compiler), Path(folder), patience)
    if not out.is_file():
        raise CompileError(f"{_called(compiler)} says nothing and makes nothing")


def ask(library: Path, patience: float = TRIAL_PATIENCE) -> None:
    """Load a library in a process of its own; raises :class:`CompileError` where it can't be or is of other sources."""
    import tempfile

    code = (
        "import ctypes, sys; asked = ctypes.CDLL(sys.argv[1]).logscan_sources; asked.restype = ctypes.c_uint64; "
        "sys.exit(asked() != int(sys.argv[2]) and 'it is of other sources')"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(library.absolute()), str(digest())]
    with tempfile.TemporaryDirectory() as folder:
        try:
            _run(command, "loading what it made", Path(folder), patience, last=True)
        except CompileError as error:
            raise CompileError(str(error).replace(f"{library.absolute()}: ", "")) from None


def tried(compiler: list[str]) -> str:
    """Return why a compiler can't be used, after it has compiled one small file; nothing where it can."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / NAME
        try:
            compile_library(out, compiler, files=[HERE / "library.c"], patience=TRIAL_PATIENCE)
            ask(out)
        except CompileError as error:
            return _by(compiler, error)
    return ""


def build(out: Path, extra: tuple[str, ...] = ()) -> None:
    """Make the library ``out`` by the first compiler that can, whole or not at all; raises :class:`CompileError`.

    With ``extra`` flags it isn't loaded to see whether it works: a sanitizer's library can't be by a usual Python.
    """
    found, reasons = compilers(), []
    aside = out.with_name(f"{out.stem}.{os.getpid()}{out.suffix}")
    for compiler in found:
        # What hangs is seen early; Zig's compiler is slow at first and was asked for, so it needs no trial.
        reason = "" if extra or ZIG[1] in compiler else tried(compiler)
        try:
            if reason:
                raise CompileError(reason)
            compile_library(aside, compiler, (*FLAGS, *extra))
            if not extra:
                ask(aside)
            aside.replace(out)
        except CompileError as error:
            reasons.append(_by(compiler, error))
        else:
            return
        finally:
            aside.unlink(missing_ok=True)
    raise CompileError("; ".join(dict.fromkeys(reasons)) or "no C compiler was at hand")


def _called(compiler: list[str]) -> str:
    return "ziglang" if ZIG[1] in compiler else Path(compiler[0]).name


def _by(compiler: list[str], error: CompileError) -> str:
    """Return what went wrong, with the compiler's name."""
    said = str(error)
    return said if said.startswith(_called(compiler)) else f"{_called(compiler)}: {said}"


def _run(command: list[str], called: str, folder: Path, patience: float, last: bool = False) -> None:
    """Run a command in an empty folder; raises :class:`CompileError` with a line of what it said: the last, or of an error."""
    import signal
    import subprocess

    caches = {name: str(folder / "zig") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    said = folder / "said.txt"
    try:
        with said.open("wb") as output:
            # To a file, and in a session of its own: what a killed compiler has started would hold a pipe open.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=os.environ | caches | {"LC_ALL": "C"},
                start_new_session=True,
            )
            try:
                status = process.wait(patience)
            except subprocess.TimeoutExpired:
                raise CompileError(f"{called} took longer than {patience:g} seconds") from None
            finally:
                if process.poll() is None:
                    if hasattr(os, "killpg"):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.kill()
                    process.wait()
    except OSError as error:
        raise CompileError(f"{called}: {error.strerror}") from error
    if status:
        lines = [line.strip() for line in said.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines or [f"status {status}"]
        said_why = errors[-1 if last else 0].replace(f"{HERE}{os.sep}", "")
        raise CompileError(f"{called} failed: {said_why[:200]}")


def main() -> None:
    """Compile the library in its place in the checkout."""
    try:
        build(HERE / NAME, tuple(sys.argv[1:]))
    except CompileError as error:
        raise SystemExit(f"compiling.py: {error}") from error
    (HERE / REASON).unlink(missing_ok=True)
    sys.stdout.write(f"{HERE / NAME}\n")


if __name__ == "__main__":
    main()
