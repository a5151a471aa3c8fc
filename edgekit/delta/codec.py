"""How one piece of a bundle is written as a difference from the old one (docs/delta.md): bytes in, bytes out.

Every `encode_…` has a `decode_…` that gives the new bytes back from the old ones and the payload. A payload that does
not fit its piece is a `ValueError` or `zlib.error`: the caller knows which file is to blame.

Codes are differences of bit-planes, most significant plane first, as they lie in an any-precision file: a plane that
is the same costs nothing.
"""

import struct
import zlib
from typing import List, Sequence, Tuple

import numpy as np

from edgekit.delta.deflate import Symbols, stream_of, symbols_of

_PLANES, _SPARSE, _DENSE = 0, 1, 2  # layouts of a codes payload
_RAW, _XOR, _POSITIONS = 0, 1, 2  # a plane as it is, against the old one, or the places where they differ
_ESCAPE = 255
_CHUNK = 16 << 10  # of new bytes that share a dictionary
_WINDOW = 32 << 10  # deflate looks no further back
_AHEAD = 8 << 10  # how far the old bytes may lag behind the new ones


def squeeze(data: bytes, dictionary: bytes = b"") -> bytes:
    """`data` as a raw deflate stream, the smaller of two: with matches, or of single bytes alone."""
    best = b""
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy, dictionary)
        packed = packer.compress(data) + packer.flush()
        if not best or len(packed) < len(best):
            best = packed
    return best


def expand(packed: bytes, size: int, dictionary: bytes = b"") -> bytes:
    """The `size` bytes that `squeeze` packed; never more, whatever the stream says."""
    unpacker = zlib.decompressobj(-15, dictionary)
    data = unpacker.decompress(packed, size + 1)
    if len(data) != size or not unpacker.eof or unpacker.unused_data:
        raise ValueError("a packed stream does not hold {} bytes".format(size))
    return data


def join(parts: Sequence[bytes]) -> bytes:
    """Parts with their lengths before them, as `split` reads them."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def split(payload: bytes) -> List[bytes]:
    """The parts that `join` joined."""
    parts = []
    at = 0
    while at < len(payload):
        if len(payload) - at < 4:
            raise ValueError("a payload ends within a length")
        (count,) = struct.unpack_from("<I", payload, at)
        at += 4
        if count > len(payload) - at:
            raise ValueError("a payload ends within a part")
        parts.append(payload[at : at + count])
        at += count
    return parts


def encode_near(old: bytes, new: bytes) -> bytes:
    """`new` in chunks, each packed with the bytes of `old` about the same place as its dictionary."""
    chunks = [new[start : start + _CHUNK] for start in range(0, len(new), _CHUNK)]
    return join([squeeze(chunk, _nearby(old, i * _CHUNK, len(new))) for i, chunk in enumerate(chunks)])


def decode_near(old: bytes, payload: bytes, size: int) -> bytes:
    """The `size` bytes that `encode_near` packed."""
    packed = split(payload)
    if len(packed) != (size + _CHUNK - 1) // _CHUNK:
        raise ValueError("{} bytes are not in {} chunks".format(size, len(packed)))
    return b"".join(
        expand(chunk, min(_CHUNK, size - i * _CHUNK), _nearby(old, i * _CHUNK, size)) for i, chunk in enumerate(packed)
    )


def _nearby(old: bytes, start: int, size: int) -> bytes:
    """Old bytes about the place of `start`, so that all of them stay within reach over the whole chunk."""
    end = min(start * len(old) // max(size, 1) + _CHUNK + _AHEAD, len(old))
    return old[max(end - _WINDOW, 0) : end]


def encode_symbols(old: bytes, new: bytes, old_head: int, new_head: int) -> bytes:
    """A deflate stream behind a head of so many bytes: its symbols, those of each kind near the old ones.

    Raises:
        ValueError, IndexError: one of them is no deflate stream that can be taken apart.
    """
    before, after = symbols_of(old[old_head:]), symbols_of(new[new_head:])
    parts = [squeeze(new[:new_head], old[:old_head])]
    for one, other in zip(before, after):
        parts += [struct.pack("<I", len(other)), encode_near(one, other)]
    return join(parts)


def decode_symbols(old: bytes, payload: bytes, old_head: int, new_head: int) -> bytes:
    """The head and the stream that `encode_symbols` packed."""
    parts = split(payload)
    before = symbols_of(old[old_head:])
    sizes = [struct.unpack("<I", part)[0] for part in parts[1::2]]
    after = [decode_near(one, part, size) for one, part, size in zip(before, parts[2::2], sizes)]
    return expand(parts[0], new_head, old[:old_head]) + stream_of(Symbols(*after))


def encode_floats(old: bytes, new: bytes) -> bytes:
    """Values of 4 bytes: XOR with the old ones, bytes of the same significance together."""
    return squeeze(_xor(_by_significance(old), _by_significance(new)))


def decode_floats(old: bytes, payload: bytes, size: int) -> bytes:
    """The bytes that `encode_floats` packed."""
    if len(old) != size or size % 4:
        raise ValueError("floats of {} bytes against {}".format(size, len(old)))
    shuffled = np.frombuffer(_xor(_by_significance(old), expand(payload, size)), np.uint8)
    return shuffled.reshape(4, -1).T.tobytes()


def encode_codes(old: bytes, new: bytes, bits: int, count: int) -> bytes:
    """`count` codes of `bits` bits: their changed planes, or their differences, whichever is smaller.

    The payload: layout, mask of the changed planes (most significant plane in the highest bit), joined parts.
    """
    before, after = _table(old, bits, count), _table(new, bits, count)
    changed = before != after
    planes = [_encode_plane(before[:, j], after[:, j]) for j in range(bits) if changed[:, j].any()]
    difference = _values(after) - _values(before) & np.uint8(2**bits - 1)
    places = np.flatnonzero(difference)
    layouts = (
        (_PLANES, planes),
        (_SPARSE, [squeeze(_gaps(places)), squeeze(difference[places].tobytes())]),
        (_DENSE, [squeeze(difference.tobytes())]),
    )
    layout, parts = min(layouts, key=lambda one: sum(len(part) + 4 for part in one[1]))
    mask = sum(1 << (bits - 1 - j) for j in range(bits) if changed[:, j].any())
    counted = [struct.pack("<I", len(places))] if layout == _SPARSE else []
    return bytes(bytearray([layout, mask])) + join(counted + list(parts))


def decode_codes(old: bytes, payload: bytes, bits: int, count: int) -> bytes:
    """The packed codes that `encode_codes` packed."""
    table = _table(old, bits, count)
    layout, mask, parts = payload[0], payload[1], split(payload[2:])
    if layout == _PLANES:
        changed = [j for j in range(bits) if mask >> (bits - 1 - j) & 1]
        if len(changed) != len(parts):
            raise ValueError("{} changed planes, {} parts".format(len(changed), len(parts)))
        for j, part in zip(changed, parts):
            table[:, j] = _decode_plane(table[:, j], part)
        return np.packbits(table.reshape(-1)).tobytes()
    difference = _sparse(parts, count) if layout == _SPARSE else np.frombuffer(expand(parts[0], count), np.uint8)
    values = _values(table) + difference & np.uint8(2**bits - 1)
    table = np.unpackbits(values[:, None], axis=1)[:, 8 - bits :]
    return np.packbits(table.reshape(-1)).tobytes()


def changed_planes(payload: bytes, bits: int) -> Tuple[int, ...]:
    """Which bit-planes a codes payload changes: `bits` - 1 is the most significant, 0 the least."""
    return tuple(plane for plane in range(bits - 1, -1, -1) if payload[1] >> plane & 1)


def _encode_plane(old: np.ndarray, new: np.ndarray) -> bytes:
    places = np.flatnonzero(old != new)
    ways = (
        (_RAW, squeeze(np.packbits(new).tobytes())),
        (_XOR, squeeze(np.packbits(old ^ new).tobytes())),
        (_POSITIONS, struct.pack("<I", len(places)) + squeeze(_gaps(places))),
    )
    way, data = min(ways, key=lambda one: len(one[1]))
    return bytes(bytearray([way])) + data


def _decode_plane(old: np.ndarray, part: bytes) -> np.ndarray:
    way, data = part[0], part[1:]
    if way == _POSITIONS:
        flipped = old.copy()
        flipped[_places(data[4:], struct.unpack_from("<I", data)[0], len(old))] ^= 1
        return flipped
    plane = np.unpackbits(np.frombuffer(expand(data, (len(old) + 7) // 8), np.uint8))[: len(old)]
    return plane if way == _RAW else old ^ plane


def _sparse(parts: Sequence[bytes], count: int) -> np.ndarray:
    if len(parts) != 3:
        raise ValueError("a sparse difference has 3 parts, not {}".format(len(parts)))
    places = _places(parts[1], struct.unpack("<I", parts[0])[0], count)
    difference = np.zeros(count, np.uint8)
    difference[places] = np.frombuffer(expand(parts[2], len(places)), np.uint8)
    return difference


def _gaps(places: np.ndarray) -> bytes:
    """Distances between rising places, a byte each; 255 means that the distance goes on in the next byte."""
    gaps = np.diff(np.concatenate([[0], places])).astype(np.int64)
    escapes = gaps // _ESCAPE
    ends = np.cumsum(escapes + 1) - 1
    data = np.full(int(ends[-1]) + 1 if len(ends) else 0, _ESCAPE, np.uint8)
    data[ends] = gaps % _ESCAPE
    return data.tobytes()


def _places(packed: bytes, places: int, count: int) -> np.ndarray:
    """The `places` places below `count` that `_gaps` wrote and `squeeze` packed."""
    unpacker = zlib.decompressobj(-15)
    gaps = np.frombuffer(unpacker.decompress(packed, places + count // _ESCAPE + 1), np.uint8)
    found = np.cumsum(gaps, dtype=np.int64)[gaps != _ESCAPE]
    if len(found) != places or (places and found[-1] >= count) or not unpacker.eof:
        raise ValueError("places do not fit {} codes".format(count))
    return found


def _table(packed: bytes, bits: int, count: int) -> np.ndarray:
    """Bits of packed codes, (count, bits) uint8 of 0 and 1, most significant first."""
    if len(packed) != (count * bits + 7) // 8 or not 1 <= bits <= 8:
        raise ValueError("{} codes of {} bits are not in {} bytes".format(count, bits, len(packed)))
    return np.unpackbits(np.frombuffer(packed, np.uint8))[: count * bits].reshape(count, bits)


def _values(table: np.ndarray) -> np.ndarray:
    """The codes of a table of bits, without their sign, (count,) uint8."""
    return np.packbits(table, axis=1).reshape(-1) >> np.uint8(8 - table.shape[1])


def _by_significance(values: bytes) -> bytes:
    return np.frombuffer(values, np.uint8).reshape(-1, 4).T.tobytes()


def _xor(one: bytes, other: bytes) -> bytes:
    return (np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).tobytes()
