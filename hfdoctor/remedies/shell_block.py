"""The one marked block of hfdoctor in a shell's start-up file, as bytes in and bytes out.

What is written can be taken out again without a trace, in any order: the block says itself what it brought along.
Before it stands exactly one line end that is ours, unless hfdoctor made the file.
"""

from __future__ import annotations

import re

import msgspec

BEGIN = b"# >>> hfdoctor >>>"
END = b"# <<< hfdoctor <<<"
ABOUT = b"# written by hfdoctor fix; hfdoctor undo takes it out"
#: the file was made for the block, together with so many folders
_MADE = re.compile(rb"# hfdoctor made this file and (\d+) folders")
_SETS = re.compile(rb"\s*(?:export\s+|unset\s+(?:-v\s+)?|set\s+-\w+\s+)?([A-Za-z_][A-Za-z0-9_]*)(?:\s|=|$)")


class Damaged(Exception):
    """The marks of the block are not one beginning and one end after it."""


class Parts(msgspec.Struct):
    """A start-up file around its block; ``lines`` (without line ends) is None where there is no block."""

    head: bytes
    lines: list[bytes] | None
    tail: bytes


class Edited(msgspec.Struct):
    """The new content; None: the file was made by hfdoctor, and ``folders`` above it, and all of it may go."""

    data: bytes | None
    folders: int = 0


def split(data: bytes) -> Parts:
    """Find the block. Raises Damaged."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+", data)  # a CR ends no line for a shell
    begins = [number for number, line in enumerate(lines) if line.strip() == BEGIN]
    ends = [number for number, line in enumerate(lines) if line.strip() == END]
    if not begins and not ends:
        return Parts(data, None, b"")
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        raise Damaged
    inside = [line.removesuffix(b"\n") for line in lines[begins[0] + 1 : ends[0]]]
    return Parts(b"".join(lines[: begins[0]]), inside, b"".join(lines[ends[0] + 1 :]))


def name_in(line: bytes) -> str:
    """The variable that a line of a block is about; "" if none."""
    found = None if line.lstrip().startswith(b"#") else _SETS.match(line)
    return found[1].decode() if found else ""


def line_about(data: bytes, name: str) -> bytes | None:
    """What the block says about ``name``. Raises Damaged."""
    said = None
    for line in split(data).lines or []:
        if name_in(line) == name:
            said = line
    return said


def with_line(data: bytes | None, name: str, line: bytes | None, folders: int = 0) -> Edited:
    """``data`` (None: there is no file) with ``line`` as all that the block says about ``name``.

    ``folders``: how many folders had to be made for the file. Raises Damaged.
    """
    parts = split(data or b"")
    if parts.lines is None:
        if line is None:
            return Edited(data)
        made = [b"# hfdoctor made this file and %d folders" % folders] if data is None else []
        block = b"\n".join([BEGIN, ABOUT, *made, line, END, b""])
        return Edited(block if data is None else data + b"\n" + block)
    kept: list[bytes] = []
    for said in parts.lines:
        if name_in(said) != name:
            kept.append(said)
        elif line is not None:
            kept.append(line)
            line = None
    if line is not None:
        kept.append(line)
    if all(_ours(said) for said in kept):
        return _without_block(parts)
    return Edited(parts.head + b"\n".join([BEGIN, *kept, END, b""]) + parts.tail)


def _ours(line: bytes) -> bool:
    return not line.strip() or line.strip() == ABOUT or bool(_MADE.fullmatch(line.strip()))


def _without_block(parts: Parts) -> Edited:
    made = next((found for line in parts.lines or [] if (found := _MADE.fullmatch(line.strip()))), None)
    if made:
        rest = parts.head + parts.tail
        return Edited(rest or None, int(made[1]))
    head = parts.head
    if not parts.tail or head == b"\n" or head.endswith(b"\n\n"):  # else it parts what was written around the block
        head = head.removesuffix(b"\n")
    return Edited(head + parts.tail)
