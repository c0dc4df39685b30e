"""The one way to stdout and stderr: names from outside become visible escapes, and a reader that went away is no fault.

Nothing else in the package writes there; a test sees to that.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, BinaryIO, TextIO

from logscan.visible import visible, without_secrets

GONE = "standard output is closed"


def safe(text: str, lines: bool = False) -> str:
    """Return ``text`` with control, bidirectional and undecodable characters as escapes; newlines kept with ``lines``."""
    return visible(text, lines=lines)


def say(text: str, prefix: str = "logscan: ") -> None:
    """Tell the user one line on stderr; whatever stands in it, it stays one, and no secret of a URL is in it.

    A closed stderr is nobody's fault.
    """
    _err(f"{prefix}{safe(without_secrets(text))}\n")


def note(text: str) -> None:
    """Tell the user something that is no error."""
    say(text, "logscan: note: ")


def told(text: str) -> None:
    """Write a text of several lines to stderr, each made safe."""
    _err(safe(without_secrets(text.rstrip("\n")), lines=True) + "\n")


def progress(text: str) -> None:
    """Write over the line that is on stderr now; ``text`` holds numbers only."""
    _err(f"\r{text:<70}")


def cleared() -> None:
    """Clear that line."""
    _err("\r" + " " * 70 + "\r")


def out(text: str) -> None:
    """Write one line to stdout, made safe; raises OSError (BrokenPipeError where the reader went away)."""
    result(f"{safe(text)}\n")


def result(content: str | bytes) -> None:
    """Write a finished document to stdout as it is: a renderer has made it safe. Raises OSError."""
    stream: Any = sys.stdout
    if stream is None:
        raise OSError(errno.EBADF, GONE)
    try:
        if isinstance(content, bytes):
            stream.flush()
            stream.buffer.write(content)
        else:
            stream.write(content)
        stream.flush()
    except OSError:
        muted(stream)
        raise


def muted(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, so that the interpreter's end doesn't try to write it again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        stream.flush()
    except (OSError, ValueError):
        pass


def _err(text: str) -> None:
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        muted(stream)


def on_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def standard_input() -> BinaryIO:
    """Return standard input; raises OSError where it is closed."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return sys.stdin.buffer


def prepared() -> None:
    """Make the standard streams fit to be used: a closed one must not become the first file that is opened.

    A name in a report must not end the run because the terminal can't show it.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
