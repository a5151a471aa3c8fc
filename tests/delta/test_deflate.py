import zipfile
import zlib

import numpy as np
import pytest

from edgekit.delta.deflate import stream_of, symbols_of
from tests.delta.twins import STUDENT, read_bytes


def _packed(data, level=6, strategy=zlib.Z_DEFAULT_STRATEGY):
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return packer.compress(data) + packer.flush()


def _text(size):
    return bytes(bytearray(np.random.RandomState(size).choice(list(b"abcdefgh      "), size).astype(np.uint8)))


@pytest.mark.parametrize("size", [0, 1, 2, 63, 64, 65, 40000, 300000])
@pytest.mark.parametrize("level", [1, 6, 9])
def test_a_stream_comes_back_bit_for_bit(size, level):
    stream = _packed(_text(size), level)
    assert stream_of(symbols_of(stream)) == stream


@pytest.mark.parametrize("strategy", [zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE])
def test_so_do_other_strategies_and_the_longest_matches(strategy):
    stream = _packed(b"a" * 100000 + _text(2000), 6, strategy)
    assert stream_of(symbols_of(stream)) == stream


def test_symbols_say_the_content():
    symbols = symbols_of(_packed(b"abcabcabcabc", 6, zlib.Z_FIXED))
    assert symbols.literals == b"abca" and list(symbols.kinds) == [0, 0, 0, 0, 6]  # zlib looks one byte further
    assert symbols.distances == b"\x02\x00\x00"  # distance 3


def test_every_entry_of_the_student_that_is_not_a_picture():
    data = read_bytes(STUDENT)
    with zipfile.ZipFile(STUDENT) as archive:
        infos = [info for info in archive.infolist() if info.compress_type == zipfile.ZIP_DEFLATED]
    seen = 0
    for info in infos:
        if not info.filename.endswith(".png"):
            begin = info.header_offset + 30 + len(info.filename)
            stream = data[begin : begin + info.compress_size]
            assert stream_of(symbols_of(stream)) == stream
            seen += 1
    assert seen > 15


def test_stored_blocks_are_refused():
    with pytest.raises(ValueError, match="block of type 0"):
        symbols_of(_packed(np.random.RandomState(0).bytes(1000), 6))


def test_what_follows_the_stream_is_refused():
    with pytest.raises(ValueError, match="bytes follow"):
        symbols_of(_packed(_text(500)) + b"\0")


def test_a_cut_or_damaged_stream_is_refused_or_is_another_stream():
    stream = _packed(_text(3000))
    for cut in range(0, len(stream), 37):
        with pytest.raises((ValueError, IndexError)):
            symbols_of(stream[:cut])
    refused = 0
    for at in range(0, len(stream), 11):
        damaged = bytearray(stream)
        damaged[at] ^= 0x41
        try:
            assert stream_of(symbols_of(bytes(damaged))) == bytes(damaged)
        except (ValueError, IndexError):
            refused += 1
    assert refused


def test_symbols_that_do_not_belong_together_are_refused():
    symbols = symbols_of(_packed(_text(300)))
    unknown = symbols._replace(literals=b"Z" * len(symbols.literals))
    with pytest.raises(ValueError, match="has no code"):
        stream_of(unknown)
