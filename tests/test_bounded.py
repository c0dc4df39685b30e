"""What is counted by name has a bound; what is kept, and its counts, don't depend on the order or the pieces."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import logscan
from logscan.reading import bounded, counting, ledger, working
from logscan.reading.bounded import OTHER_LINES, OTHER_PROGRAMS, Programs, Templates, rank
from logscan.reading.stream import stream_sources
from logscan.reading.survey import survey
from logscan.sources.finding import discover


def counted(names: list[str], most: int, pieces: int) -> dict[tuple[str, str], tuple[int, int, int, str]]:
    """Count one line a name, in pieces that are counted apart and put together."""
    whole = Templates(most)
    for piece in range(pieces):
        some = Templates(most)
        for line, name in enumerate(names):
            if line % pieces == piece:
                some.put(("program", name), (1, 0, line, f"text {line}"))
        for key, seen in some.result().items():
            whole.put(key, seen)
    return whole.result()


def test_what_is_kept_depends_on_the_names_alone() -> None:
    names = [f"template {n % 700}" for n in range(5000)]
    found = [counted(names, 50, pieces) for pieces in (1, 2, 7, 500)]
    assert len(found[0]) == 51
    assert all(each == found[0] for each in found)
    shuffled = names[:]
    random.Random(4).shuffle(shuffled)
    other = counted(shuffled, 50, 3)
    assert {key: seen[0] for key, seen in other.items()} == {key: seen[0] for key, seen in found[0].items()}
    kept = {template for _, template in found[0]} - {OTHER_LINES}
    assert kept == set(sorted(set(names), key=lambda name: rank(f"program\0{name}"))[:50])
    assert {key[1]: seen[0] for key, seen in found[0].items() if key[1] in kept} == {
        name: names.count(name) for name in kept
    }
    assert sum(seen[0] for seen in found[0].values()) == len(names)


def test_names_that_formats_know_are_always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_PROGRAMS", 10)
    programs = Programs()
    for n in range(100):
        programs.add({f"nobody{n}": [0, 0, 1], "dspam": [1, 0, 0]})
    found = programs.result()
    assert found["dspam"] == [100, 0, 0]
    assert len(found) == 12
    assert found[OTHER_PROGRAMS] == [0, 0, 90]


@pytest.mark.parametrize("chunk", [3000, 8 << 20])
def test_a_flood_of_names_fills_no_memory_and_is_said(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ledger, counting):
        monkeypatch.setattr(module, "Templates", lambda: Templates(20))
    monkeypatch.setattr(bounded, "MOST_PROGRAMS", 30)
    monkeypatch.setattr(working, "CHUNK", chunk)
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}" for n in range(300)]
    text = "".join(
        f"2026-11-22T19:00:{n % 60:02}+00:00 mx1 evil{word}: what {word} says\n" for n, word in enumerate(words)
    )
    (tmp_path / "mail.log").write_text(text)
    found = discover([str(tmp_path / "mail.log")]).sources
    stream = stream_sources(found, survey(found, jobs=1, whole=0), jobs=1)
    assert list(stream) == []
    read = stream.read
    assert (len(read.templates), len(read.programs)) == (21, 31)
    assert sum(seen[0] for seen in read.templates.values()) == 300
    assert sum(counts[2] for counts in read.programs.values()) == 300
    assert [note.split(":")[0] for note in read.notes] == [
        "More than 30 names of programs",
        "More than 20 kinds of unknown lines",
    ]
    assert [(key, seen[0]) for key, seen in read.templates.items() if key[1] == OTHER_LINES] == [
        ((OTHER_PROGRAMS, OTHER_LINES), 280)
    ]
    scan = logscan.read(tmp_path / "mail.log", jobs=1)
    assert scan.read.templates == read.templates
