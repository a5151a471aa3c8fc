import zlib

import numpy as np
import pytest

from edgekit.delta import codec
from edgekit.precision import pack_bits


def _pair(bits, count, share):
    rng = np.random.RandomState(bits * 1000 + count)
    old = rng.randint(0, 2**bits, count).astype(np.uint8)
    new = np.where(rng.rand(count) < share, rng.randint(0, 2**bits, count), old).astype(np.uint8)
    return old, new


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [0, 1, 7, 63, 64, 65, 5000])
def test_codes_come_back(bits, count):
    for share in (0.0, 0.004, 0.1, 1.0):
        old, new = (pack_bits(codes, bits) for codes in _pair(bits, count, share))
        payload = codec.encode_codes(old, new, bits, count)
        assert codec.decode_codes(old, payload, bits, count) == new


def test_only_changed_planes_are_sent():
    old = np.arange(4096).astype(np.uint8)
    new = old ^ (np.random.RandomState(0).randint(0, 2, 4096) * 0b00100001).astype(np.uint8)
    payload = codec.encode_codes(pack_bits(old, 8), pack_bits(new, 8), 8, 4096)
    assert codec.changed_planes(payload, 8) == (5, 0)
    assert len(payload) < 2 * 4096 // 8 + 60


def test_planes_of_narrow_codes_count_from_the_least():
    old, new = np.zeros(64, np.uint8), np.zeros(64, np.uint8)
    new[5] = 0b100
    payload = codec.encode_codes(pack_bits(old, 3), pack_bits(new, 3), 3, 64)
    assert codec.changed_planes(payload, 3) == (2,)


def test_few_changes_cost_few_bytes():
    old, new = _pair(8, 100000, 0.01)
    payload = codec.encode_codes(pack_bits(old, 8), pack_bits(new, 8), 8, 100000)
    assert len(payload) < 1000 * 2.2


@pytest.mark.parametrize("gap", [1, 254, 255, 256, 509, 510, 511, 4000])
def test_places_far_apart_come_back(gap):
    old = np.zeros(9000, np.uint8)
    new = old.copy()
    new[[gap, 2 * gap]] = 1
    payload = codec.encode_codes(pack_bits(old, 1), pack_bits(new, 1), 1, 9000)
    assert codec.decode_codes(pack_bits(old, 1), payload, 1, 9000) == pack_bits(new, 1)
    assert len(payload) < 60


@pytest.mark.parametrize("sizes", [(0, 0), (5, 0), (0, 5), (10, 70000), (70000, 70100), (70000, 3)])
def test_near_bytes_come_back(sizes):
    rng = np.random.RandomState(1)
    old = rng.bytes(sizes[0])
    new = (old[: sizes[1] // 2] + rng.bytes(100) + old[sizes[1] // 2 :])[: sizes[1]]
    payload = codec.encode_near(old, new)
    assert codec.decode_near(old, payload, len(new)) == new


def test_an_insertion_does_not_spoil_what_follows():
    rng = np.random.RandomState(1)
    old = rng.bytes(200000)
    new = old[:50000] + rng.bytes(300) + old[50000:]
    assert len(codec.encode_near(old, new)) < 3500


def test_floats_come_back():
    old = np.random.RandomState(0).randn(65).astype("<f4")
    new = old.copy()
    new[7] += 1
    payload = codec.encode_floats(old.tobytes(), new.tobytes())
    assert codec.decode_floats(old.tobytes(), payload, 260) == new.tobytes()
    assert len(payload) < 40


def test_a_payload_for_other_codes_is_refused():
    old, new = (pack_bits(codes, 4) for codes in _pair(4, 640, 0.05))
    payload = codec.encode_codes(old, new, 4, 640)
    with pytest.raises(ValueError, match="640 codes of 5 bits are not in 320 bytes"):
        codec.decode_codes(old, payload, 5, 640)
    with pytest.raises((ValueError, zlib.error)):
        codec.decode_codes(old[:-20], payload, 4, 600)


def test_a_stream_that_unpacks_to_more_is_refused():
    with pytest.raises(ValueError, match="does not hold 10 bytes"):
        codec.expand(codec.squeeze(b"a" * 11), 10)
    with pytest.raises(ValueError, match="does not hold 12 bytes"):
        codec.expand(codec.squeeze(b"a" * 11), 12)


@pytest.mark.parametrize(("payload", "told"), [(b"\x01\0", "within a length"), (b"\x09\0\0\0abc", "within a part")])
def test_cut_parts_are_refused(payload, told):
    with pytest.raises(ValueError, match=told):
        codec.split(payload)
