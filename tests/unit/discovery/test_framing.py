"""Frames: what is joined says the same as its pieces, and takes no more memory than it may."""

import pytest

from kuma.discovery import framing
from kuma.discovery import resources as res


def several(*names: str, size: int = 10) -> framing.Common:
    return tuple(res.Rendered(res.CLUSTER, name, name.encode() * size) for name in names)


@pytest.mark.parametrize("delta", [False, True])
def test_a_second_stream_gets_one_piece_with_the_same_bytes(delta):
    frames, common = framing.Frames(), several("a", "b", "c")
    first = frames.of(common, delta=delta)
    second = frames.of(common, delta=delta)
    assert len(first) > len(second) == 1
    assert b"".join(first) == second[0]
    assert frames.of(common, delta=delta)[0] is second[0]


def test_the_two_variants_have_their_own_pieces():
    frames, common = framing.Frames(), several("a", "b")
    for delta in (False, True, False, True):
        assert b"".join(frames.of(common, delta=delta)) == b"".join(framing.pieces_of(common, delta=delta))


def test_what_is_joined_stays_within_its_memory():
    frames = framing.Frames(joined_bytes=500)
    sets = [several("a", "b", size=100), several("c", "d", size=100), several("e", "f", size=100)]
    for common in sets:
        frames.of(common, delta=False)
        assert len(frames.of(common, delta=False)) == 1
    assert len(frames.of(sets[0], delta=False)) == 2, "the oldest went"
    assert len(frames.of(sets[2], delta=False)) == 1, "the newest stays"


def test_what_is_larger_than_all_of_the_memory_drives_nothing_out():
    frames = framing.Frames(joined_bytes=500)
    small, large = several("a", "b", size=50), several("c", "d", size=400)
    for common in (small, small, large, large):
        frames.of(common, delta=False)
    assert len(frames.of(small, delta=False)) == 1


def test_streams_that_send_what_nobody_else_sends_join_nothing():
    frames = framing.Frames(seen=3)
    for number in range(10):
        assert len(frames.of(several(f"a{number}", f"b{number}"), delta=False)) == 2
