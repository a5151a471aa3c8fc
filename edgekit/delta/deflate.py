"""Deflate streams (RFC 1951) taken apart into symbols and put together again, bit for bit.

Two compressors, or two versions of one, pack the same bytes differently: who has to rebuild a compressed file exactly
on another machine cannot compress its content anew. The symbols of a stream say how it was packed, and those of two
similar contents are similar, which the bits are not.
"""

from typing import Iterator, List, NamedTuple, Sequence, Tuple

_LENGTH_BITS = [0] * 8 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4 + [0]
_DISTANCE_BITS = [max(code // 2 - 1, 0) for code in range(30)]
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)  # of the lengths of length codes
_REPEATS = {16: (2, 3), 17: (3, 3), 18: (7, 11)}  # code -> extra bits, least count
_FIXED, _DYNAMIC = 1, 2
_FIXED_LENGTHS = ([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8, [5] * 30)
_END = 256
_MOST_BITS = 48  # of one symbol: 15 + 5 for a length, 15 + 13 for a distance

Lookup = Tuple[List[int], int]
Codes = List[Tuple[int, int]]


class Symbols(NamedTuple):
    """What a stream says, by kind.

    Attributes:
        blocks: of each block its type, its code lengths as they are written, and the number of its symbols.
        kinds: a byte a symbol: 0 for a literal, else 1 + the code of a match's length.
        literals: the literals.
        lengths: a byte a match: the extra bits of its length.
        distances: 3 bytes a match: its code, and the extra bits, low byte first.
    """

    blocks: bytes
    kinds: bytes
    literals: bytes
    lengths: bytes
    distances: bytes


def symbols_of(stream: bytes) -> Symbols:
    """Take a whole raw deflate stream apart.

    Raises:
        ValueError, IndexError: it is not one, or has blocks that are stored without compression.
    """
    bits = _Reader(stream)
    blocks = bytearray()
    into = (bytearray(), bytearray(), bytearray(), bytearray())
    final = 0
    while not final:
        final, kind = bits.take(1), bits.take(2)
        if kind not in (_FIXED, _DYNAMIC):
            raise ValueError("a block of type {}".format(kind))
        head = _read_head(bits) if kind == _DYNAMIC else b""
        lengths = _expand_head(head, 0)[1] if head else _FIXED_LENGTHS
        count = _read_symbols(bits, _lookup(lengths[0]), _lookup(lengths[1]), into)
        blocks += bytes(bytearray([kind])) + head + count.to_bytes(4, "little")
    bits.finish()
    return Symbols(bytes(blocks), *(bytes(part) for part in into))


def stream_of(symbols: Symbols) -> bytes:
    """The raw deflate stream that `symbols_of` took apart.

    Raises:
        ValueError, IndexError, KeyError: the symbols do not belong together.
    """
    bits = _Writer()
    literals = iter(symbols.literals)
    matches = zip(symbols.lengths, symbols.distances[::3], symbols.distances[1::3], symbols.distances[2::3])
    blocks, at, done = symbols.blocks, 0, 0
    while at < len(blocks):
        kind, start = blocks[at], at + 1
        end, lengths = _expand_head(blocks, start) if kind == _DYNAMIC else (start, _FIXED_LENGTHS)
        count, at = int.from_bytes(blocks[end : end + 4], "little"), end + 4
        bits.put(int(at == len(blocks)) | kind << 1, 3)
        _write_head(bits, blocks[start:end])
        kinds = symbols.kinds[done : done + count]
        _write_symbols(bits, kinds, literals, matches, (_codes(lengths[0]), _codes(lengths[1])))
        done += count
    return bits.whole()


class _Reader:
    """Bits of a stream, least significant first."""

    def __init__(self, stream: bytes) -> None:
        self.stream = stream
        self.at = 0
        self.buffer = 0
        self.count = 0

    def fill(self) -> None:
        """Have at least 64 bits at hand, unless the stream ends before."""
        chunk = self.stream[self.at : self.at + 8]
        self.buffer |= int.from_bytes(chunk, "little") << self.count
        self.count += 8 * len(chunk)
        self.at += len(chunk)

    def take(self, count: int) -> int:
        """The next bits as a number."""
        if self.count < count:
            self.fill()
        value = self.buffer & ((1 << count) - 1)
        self.drop(count)
        return value

    def drop(self, count: int) -> None:
        """Leave bits behind."""
        self.buffer >>= count
        self.count -= count
        if self.count < 0:
            raise ValueError("the stream ends early")

    def symbol(self, lookup: Lookup) -> int:
        """The next symbol of a code."""
        if self.count < _MOST_BITS:
            self.fill()
        found = lookup[0][self.buffer & lookup[1]]
        if not found:
            raise ValueError("no such code")
        self.drop(found & 15)
        return found >> 4

    def finish(self) -> None:
        """Nothing but zero bits up to the end of the last byte may be left."""
        if self.at < len(self.stream) or self.count >= 8 or self.buffer:
            raise ValueError("bytes follow the last block")


class _Writer:
    """Bits into bytes, least significant first."""

    def __init__(self) -> None:
        self.done = bytearray()
        self.buffer = 0
        self.count = 0

    def put(self, value: int, count: int) -> None:
        """Append the lowest `count` bits of `value`; it has no others."""
        self.buffer |= value << self.count
        self.count += count
        if self.count >= 64:
            self.done += (self.buffer & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little")
            self.buffer >>= 64
            self.count -= 64

    def whole(self) -> bytes:
        """All of it, the last byte filled with zeros."""
        return bytes(self.done) + self.buffer.to_bytes((self.count + 7) // 8, "little")


def _read_head(bits: _Reader) -> bytes:
    """A dynamic block's code lengths as they are written: three counts, lengths of length codes, length codes."""
    head = [bits.take(5), bits.take(5), bits.take(4)]
    head += [bits.take(3) for _ in range(head[2] + 4)]
    lookup = _lookup(_length_code_lengths(head))
    wanted, have = head[0] + head[1] + 258, 0
    while have < wanted:
        code = bits.symbol(lookup)
        head.append(code)
        have += 1
        if code in _REPEATS:
            extra, least = _REPEATS[code]
            head.append(bits.take(extra))
            have += head[-1] + least - 1
    return bytes(bytearray(head))


def _expand_head(head: bytes, start: int) -> Tuple[int, Tuple[List[int], List[int]]]:
    """Where the head that begins at `start` ends, and the code lengths that it says: of literals, of distances."""
    at = start + 3 + head[start + 2] + 4
    literals, wanted = head[start] + 257, head[start] + head[start + 1] + 258
    lengths: List[int] = []
    while len(lengths) < wanted:
        code, at = head[at], at + 1
        if code not in _REPEATS:
            lengths.append(code)
            continue
        lengths += [lengths[-1] if code == 16 else 0] * (head[at] + _REPEATS[code][1])
        at += 1
    if len(lengths) != wanted:
        raise ValueError("{} code lengths instead of {}".format(len(lengths), wanted))
    return at, (lengths[:literals], lengths[literals:])


def _write_head(bits: _Writer, head: bytes) -> None:
    if not head:
        return
    for value, count in zip(head, (5, 5, 4)):
        bits.put(value, count)
    codes_at = 3 + head[2] + 4
    for value in head[3:codes_at]:
        bits.put(value, 3)
    codes = _codes(_length_code_lengths(head))
    rest = iter(head[codes_at:])
    for code in rest:
        bits.put(*codes[code])
        if code in _REPEATS:
            bits.put(next(rest), _REPEATS[code][0])


def _length_code_lengths(head: Sequence[int]) -> List[int]:
    lengths = [0] * 19
    for code, value in zip(_ORDER, head[3 : 3 + head[2] + 4]):
        lengths[code] = value
    return lengths


def _codes(lengths: Sequence[int]) -> Codes:
    """Symbol -> (its code, first bit lowest; its bits): canonical Huffman codes (RFC 1951, 3.2.2)."""
    code, codes = 0, [(0, 0)] * len(lengths)
    for length in range(1, 16):
        code <<= 1
        for symbol, own in enumerate(lengths):
            if own == length:
                codes[symbol] = (int("{:0{}b}".format(code, length)[::-1], 2), length)
                code += 1
        if code > 1 << length:
            raise ValueError("more codes than {} bits can tell apart".format(length))
    return codes


def _lookup(lengths: Sequence[int]) -> Lookup:
    """A table from the next bits to symbol << 4 | length, 0 where there is no code; and the mask of its index."""
    size = 1 << max(lengths)
    table = [0] * size
    for symbol, (code, length) in enumerate(_codes(lengths)):
        if length:
            table[code :: 1 << length] = [symbol << 4 | length] * (size >> length)
    return table, size - 1


def _read_symbols(bits: _Reader, literal: Lookup, distance: Lookup, into: Tuple[bytearray, ...]) -> int:
    """Read a block's symbols up to its end into kinds, literals, lengths and distances; return how many there were."""
    kinds, literals, lengths, distances = into
    before = len(kinds)
    while True:
        symbol = bits.symbol(literal)
        if symbol < _END:
            kinds.append(0)
            literals.append(symbol)
            continue
        if symbol == _END:
            return len(kinds) - before
        kinds.append(symbol - _END)
        lengths.append(bits.take(_LENGTH_BITS[symbol - _END - 1]))
        code = bits.symbol(distance)
        extra = bits.take(_DISTANCE_BITS[code])
        distances += bytes(bytearray([code, extra & 255, extra >> 8]))


def _write_symbols(
    bits: _Writer,
    kinds: bytes,
    literals: Iterator[int],
    matches: Iterator[Tuple[int, int, int, int]],
    codes: Tuple[Codes, Codes],
) -> None:
    put = bits.put
    for kind in kinds:
        if not kind:
            put(*_coded(codes[0], next(literals)))
            continue
        length, code, low, high = next(matches)
        put(*_coded(codes[0], _END + kind))
        put(length, _LENGTH_BITS[kind - 1])
        put(*_coded(codes[1], code))
        put(low | high << 8, _DISTANCE_BITS[code])
    put(*_coded(codes[0], _END))


def _coded(codes: Codes, symbol: int) -> Tuple[int, int]:
    if not codes[symbol][1]:
        raise ValueError("symbol {} has no code".format(symbol))
    return codes[symbol]
