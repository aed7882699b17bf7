"""The event stream format, as the HTML standard has it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beamctl.client.server_events import EventParser, ServerEvent

STREAM = (
    b"retry: 1000\n\n: nothing\n\nevent: record\nid: 7\ndata: {\"a\":\ndata: 1}\n\n"
    b"event: tick\r\ndata:x\r\n\r\ndata: without a name\r\r" + "event: record\ndata: α\u2028β\n\n".encode()
)  # fmt: skip
EVENTS = [
    ServerEvent("record", '{"a":\n1}'),
    ServerEvent("tick", "x"),
    ServerEvent("message", "without a name"),
    ServerEvent("record", "α\u2028β"),
]


def test_events_of_one_chunk():
    assert EventParser().feed(STREAM) == EVENTS


@example([78, 78])
@given(st.lists(st.integers(0, len(STREAM))))
def test_chunks_may_end_anywhere(cuts):
    parser, events = EventParser(), []
    ends = [*sorted(cuts), len(STREAM)]
    for begin, end in zip([0, *ends], ends, strict=False):
        events += parser.feed(STREAM[begin:end])
    assert events == EVENTS


@pytest.mark.parametrize("unfinished", [b"data: x", b"data: x\n", b"event: record\ndata: x\n"])
def test_what_does_not_end_is_no_event(unfinished):
    assert EventParser().feed(unfinished) == []
