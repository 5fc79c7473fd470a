from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models_admin.tabby.sse import EventTooLong, SseDecoder, slices

PIECES = [
    b"data: ",
    b"data:",
    b"data",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b":",
    b" ",
    b"id: 7",
    b"<p>",
    b"x",
    b"\xff",
    b"\xef\xbb\xbf",
]
USUAL = b'data: {"a":1}\r\n\r\n'


def by_the_standard(stream: bytes) -> list[bytes]:
    """The events' data, line by line, as the HTML standard tells it."""
    events: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]:
        name, _, value = line.partition(b":")
        if not line and data:
            events.append(b"\n".join(data))
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" "))
    return events


def decode(*chunks: bytes) -> list[bytes]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


pieces = st.lists(st.sampled_from([*PIECES, USUAL, USUAL * 3, b": ping\r\n\r\n"]), max_size=30).map(b"".join)
lines = st.sampled_from(
    [b"data: a", b"data: b", b"", b"", b"data:", b"data", b": ping", b"\xef\xbb\xbfdata: c", b"id: 7"]
)
ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r"])
streams = st.lists(st.tuples(lines, ends).map(b"".join), max_size=20).map(b"".join) | pieces


@given(streams)
@example(b"data: a\rdata: b\r\n\r\n")
@example(b"data: a\ndata: b\r\n\r\n")
@example(USUAL + b"\xef\xbb\xbfdata: a\r\n\r\n")
def test_events_are_those_of_the_standard(stream):
    assert decode(stream) == by_the_standard(stream)


@given(streams, st.data())
def test_any_cut_gives_the_same_events_as_the_whole(stream, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*chunks) == by_the_standard(stream)


@given(streams)
def test_byte_by_byte_gives_the_same_events_as_the_whole(stream):
    assert decode(*(bytes([byte]) for byte in stream)) == by_the_standard(stream)


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_all_line_ends_are_taken(end):
    assert decode(b"data: a" + end + b"data: b" + end + end + b"data: c" + end + end) == [b"a\nb", b"c"]


def test_bulk_and_odd_events_keep_their_order():
    stream = USUAL + b"data: x\ndata: y\n\n" + USUAL + b"data:z\r\n\r\n" + USUAL
    assert decode(stream) == [b'{"a":1}', b"x\ny", b'{"a":1}', b"z", b'{"a":1}']


def test_pings_are_counted_and_give_no_event():
    decoder = SseDecoder()
    assert decoder.feed(b": ping - 1\r\n\r\n: pi") == []
    assert decoder.feed(b"ng - 2\r\n\r\n") == []
    assert decoder.comments == 2
    assert not decoder.unfinished


def test_a_page_of_html_is_junk():
    decoder = SseDecoder()
    assert decoder.feed(b"<html>\n<body>502</body>\n</html>\n") == []
    assert decoder.junk == 3


def test_a_byte_order_mark_is_ignored_at_the_start_only_also_when_cut():
    assert decode(b"\xef\xbb\xbf" + USUAL) == [b'{"a":1}']
    assert decode(b"\xef", b"\xbb", b"\xbf" + USUAL) == [b'{"a":1}']
    assert decode(USUAL, b"\xef\xbb\xbfdata: a\n\n") == [b'{"a":1}']


def test_an_event_without_its_end_is_unfinished():
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\r\n") == []
    assert decoder.unfinished
    assert decoder.feed(b"\r\n") == [b"a"]
    assert not decoder.unfinished


def test_a_line_without_end_is_bounded():
    decoder = SseDecoder(limit=100)
    decoder.feed(b"data: " + b"x" * 90)
    with pytest.raises(EventTooLong):
        decoder.feed(b"x" * 10)


def test_an_event_of_endless_lines_is_bounded():
    with pytest.raises(EventTooLong):
        SseDecoder(limit=100).feed(b"data: xxxx\n" * 30)


def test_the_bound_counts_only_what_is_kept():
    decoder = SseDecoder(limit=100)
    assert sum(len(decoder.feed(USUAL * 50)) for _ in range(20)) == 1000


@given(streams, st.integers(1, 4000))
def test_slices_lose_nothing_and_hold_few_lines(stream, times):
    pieces = list(slices(stream * times))
    assert b"".join(pieces) == stream * times
    for piece in pieces:
        assert max(piece.count(b"\n"), piece.count(b"\r")) <= max(2048, len(piece) // 32 + 64)


def test_events_as_tabbyapi_sends_them_are_not_cut():
    token = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\r\n\r\n'
    assert list(slices(token * 3000)) == [token * 3000]
