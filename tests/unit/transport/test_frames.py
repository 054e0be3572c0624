"""Frames and header blocks: what is written is read back however it is cut, and no input breaks the reader."""

import contextlib
import itertools

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuma.transport import frames, headers
from kuma.transport.frames import ConnectionFault, Flag, Type
from kuma.transport.slices import Slices
from kuma.transport.stream import Status

STREAM = st.integers(1, 2**31 - 1)
PAYLOAD = st.binary(max_size=300)
FRAME = st.one_of(
    st.tuples(st.just(Type.DATA), st.integers(0, 255), STREAM, PAYLOAD),
    st.tuples(st.just(Type.HEADERS), st.integers(0, 255), STREAM, PAYLOAD),
    st.tuples(st.just(Type.PING), st.sampled_from((0, 1)), st.just(0), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(Type.RST_STREAM), st.just(0), STREAM, st.binary(min_size=4, max_size=4)),
    st.tuples(st.integers(10, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), PAYLOAD),
)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    marks = sorted({min(mark, len(data)) for mark in at} | {0, len(data)})
    return [data[start:stop] for start, stop in itertools.pairwise(marks)]


@given(st.lists(FRAME, max_size=8), st.lists(st.integers(0, 2000), max_size=10))
def test_frames_are_read_back_however_they_are_cut(sent: list[tuple[int, int, int, bytes]], marks: list[int]) -> None:
    reader = frames.FrameReader()
    wire = frames.PREFACE + b"".join(frames.frame(*one) for one in sent)
    received = [frame for piece in cut(wire, marks) for frame in reader.feed(piece)]
    assert [tuple(frame) for frame in received] == sent
    assert not reader.is_partial


@given(st.lists(st.binary(max_size=200), max_size=20), st.booleans())
def test_no_input_breaks_the_reader(pieces: list[bytes], greeted: bool) -> None:
    reader = frames.FrameReader()
    if greeted:
        assert list(reader.feed(frames.PREFACE)) == []
    with contextlib.suppress(ConnectionFault):
        for piece in pieces:
            for frame in reader.feed(piece):
                assert len(frame.payload) <= frames.DEFAULT_FRAME_SIZE
                assert len(frames.unpadded(frame)) <= len(frame.payload)


@given(PAYLOAD, st.integers(0, 255))
def test_padding(payload: bytes, padding: int) -> None:
    padded = bytes((padding,)) + payload + bytes(padding)
    assert frames.unpadded(frames.Frame(Type.DATA, Flag.PADDED, 1, padded)) == payload


@given(st.binary(max_size=100), st.integers(1, 40), st.booleans())
def test_header_blocks_are_split(block: bytes, max_size: int, end_stream: bool) -> None:
    reader = frames.FrameReader()
    wire = frames.header_block(5, block, end_stream=end_stream, max_size=max_size)
    received = list(reader.feed(frames.PREFACE + wire))
    assert b"".join(frame.payload for frame in received) == block
    assert [frame.type for frame in received] == [Type.HEADERS] + [Type.CONTINUATION] * (len(received) - 1)
    assert [bool(frame.flags & Flag.END_HEADERS) for frame in received] == [False] * (len(received) - 1) + [True]
    assert bool(received[0].flags & Flag.END_STREAM) == end_stream
    assert all(len(frame.payload) <= max_size for frame in received)


@given(
    st.sampled_from((200, 204, 301, 404, 413, 500, 503)),
    st.lists(st.tuples(st.from_regex(rb"[a-z-]{1,200}", fullmatch=True), st.binary(max_size=400))),
)
def test_header_lists_are_read_back(status: int, fields: list[tuple[bytes, bytes]]) -> None:
    decoder = hpack.Decoder(max_header_list_size=2**20)
    decoded = decoder.decode(headers.NO_TABLE + headers.response(status, fields), raw=True)
    allowed = [(name, value) for name, value in fields if name not in (b"connection", b"upgrade", b"keep-alive")]
    assert [tuple(field) for field in decoded] == [(b":status", str(status).encode()), *allowed]


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        ("plain ASCII, ~!", b"plain ASCII, ~!"),
        ("100%", b"100%25"),
        ("tab\tline\n", b"tab%09line%0A"),
        ("Straße", b"Stra%C3%9Fe"),
        ("\x7f", b"%7F"),
        ("lone surrogate \ud800", b"lone surrogate ?"),
        ("ü" * 3000, b"%C3%BC" * 1024),
    ],
)
def test_status_messages_are_percent_encoded(message: str, encoded: bytes) -> None:
    assert headers.percent_encode(message) == encoded


def test_trailers() -> None:
    block = headers.grpc_trailers(Status.NOT_FOUND, "no such mesh", {})
    assert hpack.Decoder().decode(block) == [("grpc-status", "5"), ("grpc-message", "no such mesh")]
    assert hpack.Decoder().decode(headers.grpc_trailers(Status.OK, "", {})) == [("grpc-status", "0")]


@given(st.lists(st.binary(max_size=9), max_size=12), st.data())
def test_slices_in_pieces_of_any_size(parts: list[bytes], data: st.DataObject) -> None:
    slices = Slices(parts)
    whole = b""
    while slices.left:
        size = data.draw(st.integers(1, slices.left))
        pieces: list[bytes | memoryview] = []
        slices.take(size, pieces)
        assert sum(map(len, pieces)) == size
        whole += b"".join(pieces)
    assert whole == b"".join(parts)
    assert slices.size == len(whole)


def test_slices_do_not_copy_whole_parts() -> None:
    parts = [b"a" * 10, b"b" * 10, b"c" * 10]
    pieces: list[bytes | memoryview] = []
    Slices(parts).take(25, pieces)
    assert pieces[0] is parts[0]
    assert pieces[1] is parts[1]
