"""What all tests share: where things lie, the command line as a program, and the measures of ``benchmarks/``."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Tests import benchmarks.accuracy. At the end of the path, so that an installed logscan is what gets tested.
sys.path.append(str(ROOT))

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_report_header() -> str:
    """Say what is tested: with the compiled part, or why without."""
    from logscan.machine.library import WHY_NOT

    return f"logscan: {f'without the compiled part: {WHY_NOT}' if WHY_NOT else 'compiled'}"


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the checkout; tests of its files are skipped where only the tests were copied."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("these tests look at the files of a checkout, and there is none here")
    return ROOT


def _environment(environment: dict[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return kept | {"TZ": "UTC"} | environment


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """Run ``python -m logscan`` as a program of its own in an empty folder: no terminal, no colours, UTC."""

    def start(*args: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "logscan", *map(str, args)],
            input=stdin,
            capture_output=True,
            env=_environment(environment),
            cwd=tmp_path,
            timeout=300,
            check=False,
        )
        out, err = done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode("utf-8", "backslashreplace")
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    return start


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Do the same within this process, which is quicker: what it wrote, and the status it would have ended with."""
    from logscan.cli import main

    def start(*args: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
        argv = ["logscan", *map(str, args)]
        status: Any = 0
        with monkeypatch.context() as patch:
            for name in os.environ.keys() - _environment(environment).keys():
                patch.delenv(name)
            for name, value in _environment(environment).items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", argv)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                main()
            except SystemExit as leaving:
                status = leaving.code
            shown = []
            for stream in (out, err):
                stream.flush()
                shown.append(stream.buffer.getvalue().decode("utf-8", "backslashreplace"))
        return subprocess.CompletedProcess(argv, int(status or 0), *shown)

    return start
