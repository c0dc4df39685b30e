"""What goes from process to process arrives as it was, small or large, and leaves no memory behind."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from logscan.reading import posting
from logscan.reading.posting import LARGE, receive, send


@pytest.fixture
def pipes() -> Iterator[tuple[Connection, Connection]]:
    mine, theirs = multiprocessing.Pipe()
    yield mine, theirs
    mine.close()
    theirs.close()


def sent(pipes: tuple[Connection, Connection], thing: Any) -> Any:
    got: list[Any] = []
    taking = Thread(target=lambda: got.append(receive(pipes[1])))
    taking.start()
    send(pipes[0], thing)
    taking.join(60)
    return got[0]


def things(rows: int) -> dict[str, Any]:
    number = np.arange(rows)
    table = pa.table({"text": [f"a {each}" for each in range(rows)], "n": number, "none": pa.nulls(rows)})
    frame = pd.DataFrame({"text": pd.Series(table["text"].to_pylist(), dtype="str"), "n": number, "half": number / 2})
    return {"table": table, "slice": table.slice(rows // 2), "frame": frame, "bytes": b"x" * rows, "word": "\udc80"}


@pytest.mark.parametrize("rows", [0, 3, LARGE])
def test_what_was_sent_arrives(pipes: tuple[Connection, Connection], rows: int) -> None:
    expected = things(rows)
    got = sent(pipes, expected)
    assert got["table"].equals(expected["table"])
    assert got["slice"].equals(expected["slice"])
    pd.testing.assert_frame_equal(got["frame"], expected["frame"])
    assert (got["bytes"], got["word"]) == (expected["bytes"], expected["word"])


def test_what_arrived_may_be_written_to_and_changes_nothing_elsewhere(pipes: tuple[Connection, Connection]) -> None:
    mine = np.zeros(LARGE, np.int64)
    got = sent(pipes, mine)
    got += 1
    assert got.sum() == LARGE
    assert not mine.any()


@pytest.mark.skipif(not posting.SHARED, reason="there is no memory without a name on this system")
def test_shared_memory_goes_with_what_lies_in_it(pipes: tuple[Connection, Connection]) -> None:
    def held() -> int:
        return Path("/proc/self/maps").read_text().count("memfd:logscan")

    open_files = len(list(Path("/proc/self/fd").iterdir()))
    got = sent(pipes, np.zeros(LARGE, np.int64))
    assert held() == 1
    del got
    assert held() == 0
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_without_shared_memory_all_goes_through_the_pipe(
    pipes: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(name: str, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(os, "memfd_create", refused, raising=False)
    assert sent(pipes, np.arange(LARGE)).tolist() == list(range(LARGE))
    monkeypatch.setattr(posting, "SHARED", False)
    assert sent(pipes, np.arange(LARGE)).tolist() == list(range(LARGE))


def test_where_nobody_is_at_the_other_end_it_is_said(pipes: tuple[Connection, Connection]) -> None:
    mine, theirs = pipes
    theirs.close()
    with pytest.raises(OSError, match="Broken pipe"):
        send(mine, np.zeros(LARGE))
    with pytest.raises(EOFError):
        receive(mine)


def test_what_cannot_be_pickled_leaves_the_pipe_as_it_was(pipes: tuple[Connection, Connection]) -> None:
    with pytest.raises((TypeError, AttributeError, ValueError)):
        send(pipes[0], lambda: None)
    assert sent(pipes, 3) == 3
