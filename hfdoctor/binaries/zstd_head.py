"""The first bytes of what a zstd frame holds (RFC 8878): enough to read a table at its beginning, and no more.

Python has had zstd since 3.14 only. A binding of the C library would be one more compiled dependency of a doctor that
has to install on broken machines, for some hundred bytes in the libraries of ROCm. Nothing past the asked-for length is
unpacked, and checksums are not looked at. Raises NotReadable for whatever is damaged.
"""

from __future__ import annotations

from .sections import NotReadable

#: bytes in a block at the most
MAX_BLOCK = 128 << 10

# RFC 8878, 3.1.1.3.2.1: base value and extra bits of each code
_LITERAL_CODES = [(value, 0) for value in range(16)] + list(
    zip(
        (16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536),
        (1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
        strict=True,
    )
)
_MATCH_CODES = [(value + 3, 0) for value in range(32)] + list(
    zip(
        (35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539),
        (1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
        strict=True,
    )
)
# 3.1.1.3.2.2: the distributions that stand where a block brings none
_LITERALS = (
    [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1],
    6,
)
_MATCHES = ([1, 4, 3, 2, 2, 2, 2, 2, 2] + [1] * 37 + [-1] * 7, 6)
_OFFSETS = ([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5)

#: bytes of zeros that stand for what is before the beginning of a bit stream
_FRONT = 16

#: of each state: symbol, bits to read, base of the next state
_Table = list[tuple[int, int, int]]


class Incomplete(NotReadable):
    """The frame goes on behind what was given: ``needed`` bytes of it have to be there."""

    def __init__(self, needed: int) -> None:
        super().__init__("its compressed GPU code breaks off")
        self.needed = needed


class _Backwards:
    """A bit stream that is read from its end."""

    def __init__(self, data: bytes) -> None:
        if not data or not data[-1]:
            raise NotReadable("its compressed GPU code is damaged: a bit stream has no end")
        self.left = 8 * len(data) - 9 + data[-1].bit_length()  # the highest bit marks the end
        self.data = bytes(_FRONT) + data  # below the beginning of the stream stand zeros

    def take(self, bits: int) -> int:
        """The next bits, at most 32."""
        self.left -= bits
        at = max(self.left + 8 * _FRONT, 0)
        return int.from_bytes(self.data[at >> 3 : (at >> 3) + 5], "little") >> (at & 7) & ((1 << bits) - 1)


def unpack_head(packed: bytes, length: int) -> bytes:
    """The first ``length`` bytes of the frame that ``packed`` begins with, fewer where it ends. Raises NotReadable.

    ``packed`` may break off behind the blocks that hold them; raises Incomplete where it does so before.
    """
    try:
        return _Frame(packed).unpack(length)
    except (IndexError, ValueError, OverflowError) as error:
        raise NotReadable(f"its compressed GPU code is damaged ({error})") from error


class _Frame:
    def __init__(self, packed: bytes) -> None:
        if len(packed) < 18:
            raise Incomplete(18)
        if packed[:4] != b"\x28\xb5\x2f\xfd":
            raise NotReadable("its compressed GPU code is no zstd frame")
        descriptor = packed[4]
        at = 5 if descriptor & 0x20 else 6
        at += (0, 1, 2, 4)[descriptor & 3]
        if descriptor & 3:
            raise NotReadable("its compressed GPU code needs a dictionary")
        at += ((1 if descriptor & 0x20 else 0), 2, 4, 8)[descriptor >> 6]
        self.packed, self.at = packed, at
        self.out = bytearray()
        self.offsets = [1, 4, 8]
        self.huffman: tuple[list[tuple[int, int]], int] | None = None
        self.tables: dict[str, tuple[_Table, int]] = {}

    def unpack(self, length: int) -> bytes:
        last = False
        while len(self.out) < length and not last:
            if self.at + 3 > len(self.packed):
                raise Incomplete(self.at + 3)
            header = int.from_bytes(self.packed[self.at : self.at + 3], "little")
            last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            begin = self.at + 3
            if kind == 3 or size > MAX_BLOCK:
                raise NotReadable("its compressed GPU code is damaged: a block is too long")
            if begin + (1 if kind == 1 else size) > len(self.packed):
                raise Incomplete(begin + (1 if kind == 1 else size))
            if kind == 0:
                self.out += self.packed[begin : begin + size]
            elif kind == 1:
                self.out += self.packed[begin : begin + 1] * size
            else:
                self._block(self.packed[begin : begin + size], length)
            self.at = begin + (1 if kind == 1 else size)
        return bytes(self.out[:length])

    def _block(self, block: bytes, length: int) -> None:
        """Unpack one compressed block, its sequences only as far as ``length`` asks for."""
        literals, size, at = self._literals(block, length)
        count = block[at]
        at += 1
        if count >= 128:
            if count < 255:
                count = ((count - 128) << 8) + block[at]
                at += 1
            else:
                count = int.from_bytes(block[at : at + 2], "little") + 0x7F00
                at += 2
        used = 0
        if count:
            modes = block[at]
            at += 1
            for name, shift, codes, most, usual in (
                ("literals", 6, 36, 9, _LITERALS),
                ("offsets", 4, 32, 8, _OFFSETS),
                ("matches", 2, 53, 9, _MATCHES),
            ):
                at = self._sequence_table(block, at, name, modes >> shift & 3, codes, most, usual)
            used = self._sequences(_Backwards(block[at:]), count, literals, size, length)
        if len(self.out) < length:
            self.out += literals[used:]

    def _sequences(self, bits: _Backwards, count: int, literals: bytes, size: int, length: int) -> int:
        """Carry out the block's sequences; return how many of its ``size`` literals they took."""
        (lengths, bits_1), (offsets, bits_2), (matches, bits_3) = (
            self.tables[name] for name in ("literals", "offsets", "matches")
        )
        state_1, state_2, state_3 = bits.take(bits_1), bits.take(bits_2), bits.take(bits_3)
        used = 0
        for index in range(count):
            if bits.left < 0:
                raise NotReadable("its compressed GPU code is damaged: a bit stream is too short")
            code = offsets[state_2][0]
            offset = (1 << code) + bits.take(code)
            base, extra = _MATCH_CODES[matches[state_3][0]]
            match = base + bits.take(extra)
            base, extra = _LITERAL_CODES[lengths[state_1][0]]
            take = base + bits.take(extra)
            distance = self._distance(offset, take)
            self.out += literals[used : used + take]
            used += take
            if len(self.out) >= length:
                break
            if used > size or not 0 < distance <= len(self.out):
                raise NotReadable("its compressed GPU code is damaged: it points outside itself")
            start = len(self.out) - distance
            piece = self.out[start : start + match]
            while len(piece) < match:
                piece += piece[: match - len(piece)]
            self.out += piece
            if len(self.out) >= length or index == count - 1:
                break
            _, width, base = lengths[state_1]
            state_1 = base + bits.take(width)
            _, width, base = matches[state_3]
            state_3 = base + bits.take(width)
            _, width, base = offsets[state_2]
            state_2 = base + bits.take(width)
        return used

    def _distance(self, offset: int, literals: int) -> int:
        """How far back a match begins: 1 to 3 stand for one of the last three distances."""
        last = self.offsets
        if offset > 3:
            distance = offset - 3
            self.offsets = [distance, last[0], last[1]]
            return distance
        index = offset - 1 + (literals == 0)
        if index == 0:
            return last[0]
        distance = last[0] - 1 if index == 3 else last[index]
        self.offsets = [distance, last[0], last[1] if index > 1 else last[2]]
        return distance

    def _sequence_table(
        self, block: bytes, at: int, name: str, mode: int, codes: int, most: int, usual: tuple[list[int], int]
    ) -> int:
        if mode == 0:
            self.tables[name] = _spread(*usual), usual[1]
        elif mode == 1:
            if block[at] >= codes:
                raise NotReadable("its compressed GPU code is damaged: a code that does not exist")
            self.tables[name] = [(block[at], 0, 0)], 0
            return at + 1
        elif mode == 2:
            counts, accuracy, at = _distribution(block, at, codes, most)
            self.tables[name] = _spread(counts, accuracy), accuracy
        elif name not in self.tables:
            raise NotReadable("its compressed GPU code is damaged: it refers to a table that was not there")
        return at

    def _literals(self, block: bytes, length: int) -> tuple[bytes, int, int]:
        """The block's first ``length`` literals, how many it has, and where its sequences begin."""
        kind, form = block[0] & 3, block[0] >> 2 & 3
        if kind < 2:
            width = (1, 2, 1, 3)[form]
            size = int.from_bytes(block[:width], "little") >> (3 if width == 1 else 4)
            if size > MAX_BLOCK:
                raise NotReadable("its compressed GPU code is damaged: a block is too long")
            if kind == 1:
                return block[width : width + 1] * size, size, width + 1
            return block[width : width + size], size, width + size
        width, field = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
        header = int.from_bytes(block[:width], "little") >> 4
        size, packed_size = header & ((1 << field) - 1), header >> field
        if size > MAX_BLOCK or width + packed_size > len(block):
            raise NotReadable("its compressed GPU code is damaged: its literals break off")
        data = block[width : width + packed_size]
        if kind == 2:
            weights, used = _weights(data)
            self.huffman = _huffman(weights)
            data = data[used:]
        if self.huffman is None:
            raise NotReadable("its compressed GPU code is damaged: it refers to a tree that was not there")
        table, bits = self.huffman
        if form == 0:
            return _decode(data, table, bits, min(size, length)), size, width + packed_size
        ends = [int.from_bytes(data[index : index + 2], "little") for index in (0, 2, 4)]
        each, out, at = (size + 3) // 4, b"", 6
        for index in range(4):
            part = data[at : at + ends[index]] if index < 3 else data[at:]
            at += len(part)
            own = each if index < 3 else size - 3 * each
            if own < 0:
                raise NotReadable("its compressed GPU code is damaged: a stream has no length")
            if len(out) < length:
                out += _decode(part, table, bits, min(own, length - len(out)))
        return out, size, width + packed_size


def _decode(data: bytes, table: list[tuple[int, int]], bits: int, count: int) -> bytes:
    """``count`` symbols of one Huffman stream."""
    stream = _Backwards(data)
    padded, left, mask = stream.data, stream.left, (1 << bits) - 1
    out = bytearray()
    for _ in range(count):
        if left <= 0:
            raise NotReadable("its compressed GPU code is damaged: a bit stream is too short")
        at = left - bits + 8 * _FRONT
        symbol, width = table[int.from_bytes(padded[at >> 3 : (at >> 3) + 3], "little") >> (at & 7) & mask]
        out.append(symbol)
        left -= width
    return bytes(out)


def _weights(data: bytes) -> tuple[list[int], int]:
    """The weights of a Huffman tree, but for the last one, and how many bytes they take."""
    head = data[0]
    if head >= 128:
        count = head - 127
        nibbles = [nibble for byte in data[1 : 1 + (count + 1) // 2] for nibble in (byte >> 4, byte & 15)]
        return nibbles[:count], 1 + (count + 1) // 2
    counts, accuracy, at = _distribution(data[: 1 + head], 1, 256, 6)
    table = _spread(counts, accuracy)
    bits = _Backwards(data[at : 1 + head])
    states = [bits.take(accuracy), bits.take(accuracy)]
    weights: list[int] = []
    while len(weights) < 255:
        turn = len(weights) % 2
        symbol, width, base = table[states[turn]]
        weights.append(symbol)
        states[turn] = base + bits.take(width)
        if bits.left < 0:
            # the bits of this state were not all there: the other one has the last word
            weights.append(table[states[1 - turn]][0])
            break
    return weights, 1 + head


def _huffman(weights: list[int]) -> tuple[list[tuple[int, int]], int]:
    """A table from the next bits to symbol and width, and how many bits that are."""
    total = sum(1 << (weight - 1) for weight in weights if weight)
    bits = total.bit_length()
    rest = (1 << bits) - total
    if not total or bits > 11 or rest & (rest - 1) or len(weights) > 255:
        raise NotReadable("its compressed GPU code is damaged: its Huffman tree has a hole")
    weights = [*weights, rest.bit_length()]
    table: list[tuple[int, int]] = []
    for weight in range(1, bits + 1):
        for symbol, own in enumerate(weights):
            if own == weight:
                table += [(symbol, bits + 1 - weight)] * (1 << (weight - 1))
    if len(table) != 1 << bits:
        raise NotReadable("its compressed GPU code is damaged: its Huffman tree has a hole")
    return table, bits


def _distribution(data: bytes, at: int, symbols: int, most: int) -> tuple[list[int], int, int]:
    """The distribution of an FSE table (RFC 8878, 4.1.1), its accuracy, and where it ends."""
    value, width = int.from_bytes(data[at : at + 512], "little"), 8 * len(data[at : at + 512])
    accuracy = (value & 15) + 5
    if accuracy > most:
        raise NotReadable("its compressed GPU code is damaged: a table is too large")
    position, remaining = 4, (1 << accuracy) + 1
    counts: list[int] = []
    while remaining > 1 and len(counts) < symbols:
        bits = remaining.bit_length()
        lower = (1 << bits) - 1 - remaining
        read = value >> position & ((1 << bits) - 1)
        if read & ((1 << (bits - 1)) - 1) < lower:
            read &= (1 << (bits - 1)) - 1
            position += bits - 1
        else:
            position += bits
            if read >= 1 << (bits - 1):
                read -= lower
        counts.append(read - 1)
        remaining -= abs(read - 1)
        if read == 1:
            repeat = 3
            while repeat == 3:
                repeat = value >> position & 3
                position += 2
                counts += [0] * repeat
                if position > width:
                    raise NotReadable("its compressed GPU code is damaged: a table breaks off")
    if remaining != 1 or len(counts) > symbols or position > width:
        raise NotReadable("its compressed GPU code is damaged: a table does not add up")
    return counts, accuracy, at + (position + 7) // 8


def _spread(counts: list[int], accuracy: int) -> _Table:
    """The decoding table of a distribution (RFC 8878, 4.1.1)."""
    size = 1 << accuracy
    symbols = [0] * size
    high = size - 1
    for symbol, count in enumerate(counts):
        if count == -1:
            symbols[high] = symbol
            high -= 1
    step, place = (size >> 1) + (size >> 3) + 3, 0
    for symbol, count in enumerate(counts):
        for _ in range(max(count, 0)):
            symbols[place] = symbol
            place = (place + step) & (size - 1)
            while place > high:
                place = (place + step) & (size - 1)
    following = [1 if count == -1 else count for count in counts]
    table: _Table = []
    for symbol in symbols:
        state = following[symbol]
        following[symbol] += 1
        width = accuracy - state.bit_length() + 1
        table.append((symbol, width, (state << width) - size))
    return table
