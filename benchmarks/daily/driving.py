"""Starts runs that die before a certain system call: from a process that has all imported, forked for each run.

A run in a process of its own takes two seconds, most of it imports. So a *stable* (:class:`Stable`) is started once, under
the shim, imports logscan and waits; each run is a fork of it, which goes through ``logscan.cli.main`` as the program does.
Other programs (logtail2) are started anew each time, with the shim in their environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KINDS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "ftruncate", "openat", "sendto", "mkdir")
"""What can be swept; rename and unlink stand for their *at forms too."""
KILLED = -9


@dataclass(frozen=True)
class Fault:
    """The process dies before call ``number`` (from 1) of ``kind`` below the watched folders, or that call fails."""

    kind: str = ""
    """One of :data:`KINDS`; empty: all together."""
    number: int = 0
    """0: nothing happens."""
    error: int = 0
    """errno the call fails with, and all of its kind after it; 0: the process is killed."""


UNDISTURBED = Fault()


@dataclass(frozen=True)
class Job:
    """One run."""

    arguments: tuple[str, ...]
    folder: str
    """Where it is run."""
    watched: tuple[str, ...]
    fault: Fault = UNDISTURBED
    record: str = ""
    """File that what was done is written to, see :mod:`benchmarks.daily.replaying`."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """How it ended."""

    status: int
    """Below 0: the signal that killed it."""
    counts: dict[str, int]
    """Calls by kind; empty where it was killed."""
    out: bytes
    err: str
    seconds: float = 0.0
    """Of CPU, where that is known."""


def shim(folder: Path) -> Path:
    """Compile the shim into ``folder`` and return the library's path."""
    library = folder / "shim.so"
    if not library.exists():
        command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "shim.c"), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
    return library


def program(job: Job, library: Path) -> Done:
    """Run a program of its own, ``job.arguments`` being its command line."""
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, "counts")
        environment = os.environ | job.environment
        environment |= {"LD_PRELOAD": str(library), "SHIM_WATCH": ":".join(job.watched), "SHIM_COUNTS": str(counts)}
        environment |= {
            "SHIM_KIND": job.fault.kind,
            "SHIM_AT": str(job.fault.number),
            "SHIM_ERROR": str(job.fault.error),
        }
        done = subprocess.run(job.arguments, cwd=job.folder, env=environment, capture_output=True, check=False)
        return Done(done.returncode, _counted(counts), done.stdout, done.stderr.decode("utf-8", "backslashreplace"))


def _counted(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    return {kind: int(number) for kind, number in (line.split() for line in path.read_text().splitlines())}


class Stable:
    """A process that has imported logscan under the shim, and forks a run for each job; a context manager."""

    def __init__(self, library: Path, environment: Mapping[str, str] | None = None) -> None:
        self.library = library
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOGSCAN_")}
        kept |= {"LD_PRELOAD": str(library), "TZ": "UTC", "PYTHONPATH": str(ROOT), "SHIM_LIBRARY": str(library)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.daily.driving"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=kept | dict(environment or {}),
            cwd=ROOT,
        )

    def __enter__(self) -> Stable:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=60)
        if self._process.stdout:
            self._process.stdout.close()

    def run(self, job: Job) -> Done:
        """Run ``logscan`` with ``job.arguments``."""
        assert self._process.stdin
        assert self._process.stdout
        with tempfile.TemporaryDirectory() as folder:
            self._process.stdin.write(json.dumps(asdict(job) | {"folder_of_results": folder}).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, "the stable has died"
            out, err = Path(folder, "out"), Path(folder, "err")
            said = json.loads(answer)
            errors = err.read_text("utf-8", "backslashreplace")
            return Done(said["status"], _counted(Path(folder, "counts")), out.read_bytes(), errors, said["seconds"])


def serve() -> None:
    """Import everything, then fork a run for each line of standard input."""
    import ctypes
    import importlib
    import pkgutil

    import logscan

    library = ctypes.CDLL(os.environ["SHIM_LIBRARY"])
    os.environ.pop("LD_PRELOAD")  # programs that a run starts are not meant
    for module in pkgutil.walk_packages(logscan.__path__, "logscan."):
        if not module.name.endswith(("__main__", "_machine")):
            importlib.import_module(module.name)
    _warm()
    for line in sys.stdin.buffer:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _one(job, library)
        _, status, used = os.wait4(child, 0)
        seconds = used.ru_utime + used.ru_stime
        print(json.dumps({"status": os.waitstatus_to_exitcode(status), "seconds": seconds}), flush=True)


def _warm() -> None:
    """Run once with logs that ship with logscan, so that the forks have patterns compiled and caches filled."""
    import gc

    import logscan
    from logscan.samples import story

    report = logscan.analyse(logscan.stream(story("mixed-day"), jobs=1))
    for name in ("json", "email"):
        logscan.render(report, name)
    gc.collect()
    gc.freeze()


def _one(job: dict[str, object], library: object) -> None:
    """Be the run: never returns."""
    import atexit

    from logscan.cli import main

    results = str(job["folder_of_results"])
    for number, name in ((0, os.devnull), (1, f"{results}/out"), (2, f"{results}/err")):
        fd = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    fault = job["fault"]
    assert isinstance(fault, dict)
    os.environ.update(job["environment"])  # type: ignore[call-overload]
    if fake := os.environ.get("FAKE_SENDMAIL"):
        from logscan.commands import mailing

        mailing.SENDMAIL = (fake,)  # a path, so that no mail leaves this machine
    os.chdir(str(job["folder"]))
    sys.argv = ["logscan", *job["arguments"]]  # type: ignore[misc]
    call = library.__getattr__  # type: ignore[attr-defined]
    for folder in job["watched"]:  # type: ignore[attr-defined]
        call("shim_watch")(os.fsencode(folder))
    if job["record"]:
        call("shim_record")(os.fsencode(str(job["record"])))
    call("shim_arm")(fault["kind"].encode(), fault["number"], fault["error"], 1)
    status: object = 0
    try:
        main()
    except SystemExit as leaving:
        status = leaving.code
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 70
    atexit._run_exitfuncs()
    call("shim_counts")(os.fsencode(f"{results}/counts"))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status if isinstance(status, int) else 1 if status else 0)


def points(counts: Mapping[str, int], most: int, kinds: Sequence[str] = KINDS) -> list[Fault]:
    """Return where to kill a run that makes ``counts`` calls: before each, or ``most``, as many of each kind as there can be."""
    quota = dict.fromkeys([kind for kind in kinds if counts.get(kind)], 0)
    while sum(quota.values()) < most:
        growing = [kind for kind in quota if quota[kind] < counts[kind]]
        if not growing:
            break
        for kind in growing[: most - sum(quota.values())]:
            quota[kind] += 1
    # The middle of as many equal parts of the run.
    return [Fault(kind, counts[kind] * (2 * i + 1) // (2 * few) + 1) for kind, few in quota.items() for i in range(few)]


if __name__ == "__main__":
    serve()
