"""Reads RECORD, the list of files that an installer leaves in a .dist-info folder."""

from __future__ import annotations

import os
import re

import msgspec

#: bytes; torch's has 1.5 million
LARGEST_RECORD = 64 * 1024 * 1024

_HASH = r"\w+=[A-Za-z0-9_=-]+"

#: every how many header files one is looked at (unless ``--deep``): torch alone has ten thousand
HEADER_SAMPLE = 64


class Record(msgspec.Struct, frozen=True):
    """The rows as three lists of one length: path with forward slashes, ``sha256=...`` or "", size in bytes or ""."""

    paths: list[str]
    hashes: list[str]
    sizes: list[str]
    #: rows that were left out on request
    left_out: int = 0


#: of a RECORD that could not be read
EMPTY = Record([], [], [])


def read_record(path: str, sampled: bool = False) -> tuple[Record, str]:
    """The rows of the RECORD at ``path``, and "" or one of RECORD_PROBLEMS. Never raises.

    ``sampled`` leaves out what pip compiled (half of its rows, with neither size nor hash) and most of the C++ headers,
    which are two thirds of torch's files and of the time.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > LARGEST_RECORD:
                return EMPTY, "garbled"
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return EMPTY, "no-record"
    except (OSError, ValueError):
        return EMPTY, "unreadable"
    return parse_record(data, sampled)


def parse_record(data: bytes, sampled: bool = False) -> tuple[Record, str]:
    """The rows in ``data``, and "" or ``garbled`` where it is no list of files. Never raises."""
    text = data.replace(b"\r", b"").decode("utf-8", "replace").strip("\n")
    left_out = 0
    rows: list[str] = []
    if '"' not in text:
        if sampled:
            text, left_out = _sample_headers(text)
        rows = text.split("\n")
        if sampled:
            rows = [row for row in rows if row[-6:] != ".pyc,,"]
    # nearly all are like this, and one split of the whole text takes a tenth of the csv module's time
    cells = ",".join(rows).split(",")
    if rows and len(cells) == 3 * len(rows):
        record = Record(cells[0::3], cells[1::3], cells[2::3], left_out)
        digits = "".join(record.sizes)
        if (not digits or (digits.isascii() and digits.isdigit())) and "\0" not in text and "" not in record.paths:
            return record, "" if any(record.hashes) or digits else "garbled"
    record, problem = _parse_carefully(text)
    return msgspec.structs.replace(record, left_out=left_out), problem


def _sample_headers(text: str) -> tuple[str, int]:
    """The rows without most of those below PACKAGE/include, which stand together, and how many were left out."""
    at = text.find("/include/")
    if at < 0:
        return text, 0
    start = text.rfind("\n", 0, at) + 1
    prefix = "\n" + text[start : at + len("/include/")]
    last = text.rfind(prefix)
    end = text.find("\n", last + 1)
    if start == 0 or last < start or end < 0:
        return text, 0
    rows = text[start:end].split("\n")
    if text.count(prefix, start - 1, end) != len(rows):
        return text, 0  # others stand between them
    kept = rows[::HEADER_SAMPLE]
    return text[:start] + "\n".join(kept) + text[end:], len(rows) - len(kept)


def _parse_carefully(text: str) -> tuple[Record, str]:
    import csv

    record = Record([], [], [])
    sound = 0
    lines = (line for line in text.split("\n") if line and "\0" not in line)
    reader = csv.reader(lines)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            continue
        if len(cells) != 3 or not cells[0].strip():
            continue
        path, digest, size = cells
        size = size if size.isascii() and size.isdigit() and len(size) < 20 else ""
        digest = digest if re.fullmatch(_HASH, digest) else ""
        sound += bool(size or digest)
        record.paths.append(path)
        record.hashes.append(digest)
        record.sizes.append(size)
    return (record, "") if sound else (EMPTY, "garbled")
