"""What is read off a reply's bytes is what the regular expressions of it say."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.correlate.replies import SAVED, TAKEN, queued_as, saved

PARTS = st.sampled_from(
    ["250 2.0.0 ", "250 2.1.5 <", "250 2.0.0 <a@b.example>", "<", ">", "> ", " ", "  ", "S1 Saved", "é", " Saved", "\t"]
)
REPLIES = st.lists(st.one_of(st.none(), st.lists(PARTS, max_size=6).map("".join)), max_size=8)


@pytest.mark.parametrize("odd", [False, True], ids=["spaces", "tabs too"])
@settings(deadline=None, max_examples=300)
@given(replies=REPLIES, start=st.integers(0, 2))
def test_a_saved_reply_is_what_the_expressions_say(odd: bool, replies: list[str | None], start: int) -> None:
    kept = [text if odd or text is None else text.replace("\t", "") for text in replies]
    texts = pa.array(["250 2.0.0 <x@y.example> aB+/9 Saved", *kept], pa.string()).slice(start)
    found = saved(texts)
    assert found.session.to_pylist() == pc.struct_field(pc.extract_regex(texts, SAVED), [0]).to_pylist()
    assert found.taken.tolist() == pc.fill_null(pc.match_substring_regex(texts, TAKEN), False).to_pylist()


ENDS = st.sampled_from(["queued as ", "4AbC12", "A", "é", ")", "(", " ", "250 Ok: ", "9"])


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.none(), st.lists(ENDS, max_size=6).map("".join)), max_size=8), st.integers(0, 2))
def test_a_queue_id_at_a_reply_s_end_is_what_the_expression_says(replies: list[str | None], start: int) -> None:
    texts = pa.array(["250 2.0.0 Ok: queued as 4B2C1D3E", *replies], pa.string()).slice(start)
    pattern = r"queued as (?P<q>[0-9A-Za-z]{6,})\)?$"
    assert queued_as(texts).to_pylist() == pc.struct_field(pc.extract_regex(texts, pattern), [0]).to_pylist()
