"""Reads RECORD, the list of files that an installer leaves in a .dist-info folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: bytes; torch's has 1.5 million
LARGEST_RECORD = 64 * 1024 * 1024

_HASH = re.compile(r"\w+=[A-Za-z0-9_=-]+\Z")


@dataclass
class Record:
    """The rows as three lists of one length: path with forward slashes, ``sha256=...`` or "", size in bytes or ""."""

    paths: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)


def read_record(path: str) -> tuple[Record, str]:
    """The rows of the RECORD at ``path``, and "" or one of RECORD_PROBLEMS. Never raises."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(LARGEST_RECORD + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Record(), "no-record"
    except (OSError, ValueError):
        return Record(), "unreadable"
    if len(data) > LARGEST_RECORD:
        return Record(), "garbled"
    return parse_record(data)


def parse_record(data: bytes) -> tuple[Record, str]:
    """The rows in ``data``, and "" or ``garbled`` where it is no list of files. Never raises."""
    text = data.decode("utf-8", "replace").strip("\r\n")
    line_end = "\r\n" if "\r\n" in text else "\n"
    if '"' not in text and text.count(",") == 2 * text.count(line_end) + 2:
        # nearly all are like this, and one split of the whole text takes a tenth of the csv module's time
        cells = text.replace(line_end, ",").split(",")
        record = Record(cells[0::3], cells[1::3], cells[2::3])
        digits = "".join(record.sizes)
        if (not digits or (digits.isascii() and digits.isdigit())) and "\0" not in text and "" not in record.paths:
            return record, "" if any(record.hashes) or digits else "garbled"
    return _parse_carefully(text)


def _parse_carefully(text: str) -> tuple[Record, str]:
    import csv

    record = Record()
    sound = 0
    lines = (line for line in text.splitlines() if line and "\0" not in line)
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
        digest = digest if _HASH.match(digest) else ""
        sound += bool(size or digest)
        record.paths.append(path)
        record.hashes.append(digest)
        record.sizes.append(size)
    return (record, "") if sound else (Record(), "garbled")
