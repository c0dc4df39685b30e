"""Parts of texts cut out by their bytes are what Arrow's own functions find."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.tables.slices import between, contains, last_of, raw

WORDS = st.lists(st.one_of(st.none(), st.text("ab é€", max_size=8)), max_size=12)


@settings(deadline=None)
@given(WORDS, st.text("ab é€", min_size=1, max_size=3), st.integers(0, 5), st.booleans())
def test_a_word_is_found_where_arrow_finds_it(texts: list[str | None], word: str, start: int, wide: bool) -> None:
    whole = pa.array(texts, pa.large_string() if wide else pa.string())
    for values in (whole, whole.slice(start), whole.slice(0, start)):
        expected = pc.fill_null(pc.match_substring(values, word), False).to_pylist()
        assert contains(values, word).tolist() == expected
        data, places = raw(values)
        for text, at, begin in zip(values.to_pylist(), last_of(values, word).tolist(), places.tolist(), strict=False):
            place = -1 if text is None else text.encode().rfind(word.encode())
            assert at == (-1 if place < 0 else begin + place)
            assert place < 0 or bytes(data[at : at + len(word.encode())]).decode() == word


def test_a_word_is_not_found_across_two_texts() -> None:
    assert contains(pa.array(["queued", " as", None, "queued as"]), "queued as").tolist() == [False, False, False, True]


def test_a_missing_text_contains_nothing_though_its_bytes_do() -> None:
    offsets = pa.array([0, 3, 6], pa.int32()).buffers()[1]
    texts = pa.Array.from_buffers(pa.string(), 2, [pa.py_buffer(b"\x01"), offsets, pa.py_buffer(b"abcabc")])
    assert contains(texts, "abc").tolist() == [True, False]


@settings(deadline=None)
@given(WORDS, st.integers(0, 5))
def test_what_is_cut_out_of_texts_is_what_stands_between_two_places(texts: list[str | None], start: int) -> None:
    values = pa.array(texts, pa.string()).slice(start)
    _, places = raw(values)
    begin, end = places[:-1].copy(), places[1:].copy()
    begin[pc.is_null(values).to_numpy(zero_copy_only=False)] = -1
    assert between(values, begin, end).to_pylist() == values.to_pylist()
    spaces = last_of(values, " ")
    tails = [None if text is None or " " not in text else text.rpartition(" ")[2] for text in values.to_pylist()]
    assert between(values, np.where(spaces >= 0, spaces + 1, -1), end).to_pylist() == tails
