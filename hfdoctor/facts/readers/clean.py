"""Undoes what people and programs do to a text on its way into a bug report.

Quotes, code fences, HTML, escapes, colours, code pages, full-width letters, log prefixes. What comes out are plain
lines, bounded in number and length; nothing is interpreted here.
"""

from __future__ import annotations

import re

from ..legible import legible

#: characters of a text that are looked at; of a longer one its ends and what stands around words of interest
MOST_TEXT = 1_000_000
#: a line of processor flags has 2,000 characters, the longest environment variable of a container 4,000
LONGEST_LINE = 8_000
#: lines that are looked at: the first and the last half of them
MOST_LINES = 40_000
_AROUND = 100_000
_WIDE = " " * 60
_ANCHORS = ("PyTorch version", "NVIDIA-SMI", "torch==", "`transformers` version", "CUDA available", "is not compatible")

_ESCAPE = re.compile(
    r"\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|\x1b[@-Z\\^_]|(?:\x1b|\x9b|\ufffd)\[[0-9;?]{0,20}[A-Za-z]"
)
#: the colour's own letters where the escape before them was lost
_COLOUR = re.compile(r"\[(?:\d{1,2}(?:;\d{1,3}){0,4})?m(?=\S|$)")
_BREAK = re.compile(r"</?(?:br|p|div|li|ul|ol|details|summary|pre|blockquote|tr|table|h[1-6])\b[^<>\n]{0,200}>", re.I)
_TAG = re.compile(r"</?(?:code|span|b|i|em|strong|tt|td|th|font|kbd|samp|sub|sup|a)\b[^<>\n]{0,300}>", re.I)
_PREFIX = re.compile(
    r"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?[^\s\]|]{0,12}\]?\s{1,4}"  # 2026-01-02T03:04:05.6Z
    r"|(?:INFO|WARNING|ERROR|DEBUG) \d\d-\d\d \d\d:\d\d:\d\d [^\s\]]{1,60}\]\s?"  # INFO 07-16 23:02:53 config.py:10]
    r"|\[?(?:INFO|WARNING|ERROR|DEBUG)\]?[: ]\s{0,8}(?:[\w.]{1,60}:\d{1,6}[\]:]?\s{1,4})?"
    r"|\([\w .-]{0,30}(?:pid|ip)=[^)]{1,40}\)\s{1,4}"  # (RayWorker pid=12)
    r"|[\w.-]{1,40}\s{0,20}\|\s(?=\S.{0,40}:))"  # app-1  | of docker compose
)
_LETTERS = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_LETTERS |= dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000\t"), " ")
_LETTERS |= dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\x00\u200e\u200f"), "")
_LETTERS |= dict.fromkeys(map(ord, "\u2018\u2019"), "'") | dict.fromkeys(map(ord, "\u201c\u201d"), '"')
_LETTERS |= {0x2502: "|", 0x2503: "|", 0x2028: "\n", 0x2029: "\n", 0x85: "\n"}


def decode(data: bytes) -> str:
    """Bytes of a text file as text: UTF-8, UTF-16 (PowerShell's ``>``), else Korean or Western code pages."""
    data = data[: MOST_TEXT * 40]
    head = data[:4000]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) and head.count(0) > len(head) // 8:
        return data.decode("utf-16", "replace")
    if head.count(0) > len(head) // 4:
        return data.decode("utf-16-le" if head[1::2].count(0) > head[0::2].count(0) else "utf-16-be", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        text = ""
    if any("\uac00" <= letter <= "\ud7a3" for letter in text[:MOST_TEXT]):
        return text
    return data.decode("cp1252", "replace")


def clean(text: str) -> list[str]:
    """The lines of ``text`` without what was put around them. Never raises."""
    text = legible(_of_json(_bounded(text))).replace("\r\n", "\n").replace("\r", "\n")
    text = _unescaped(text)
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
    if "&" in text and ";" in text:
        import html

        text = html.unescape(text)
    if "[" in text:
        text = _COLOUR.sub("", _ESCAPE.sub("", text))
    lines = text.translate(_LETTERS).split("\n")
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES // 2], *lines[-MOST_LINES // 2 :]]
    return _without_bullets([_line(line) for line in lines])


def _of_json(text: str) -> str:
    """The strings in a document of JSON, one below the other; any other text as it is."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return text
    import json

    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    found: list[str] = []
    waiting = [document]
    while waiting and len(found) < MOST_LINES:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, (list, dict)):
            waiting.extend(reversed(list(value.values()) if isinstance(value, dict) else value))
    return "\n".join(found) or text


def _without_bullets(lines: list[str]) -> list[str]:
    """The lines without a bullet, where nearly every one of them has the same."""
    full = [line for line in lines if line.strip()]
    for bullet in ("- ", "* ", "\u2022 "):
        if len(full) > 2 and sum(line.startswith(bullet) for line in full) > len(full) * 0.9:
            return [line.removeprefix(bullet) for line in lines]
    return lines


def _bounded(text: str) -> str:
    if len(text) <= MOST_TEXT:
        return text
    spans = [(0, MOST_TEXT // 4), (len(text) - MOST_TEXT // 4, len(text))]
    for word in _ANCHORS:
        at = text.find(word)
        if at >= 0:
            spans.append((max(0, at - _AROUND // 10), min(len(text), at + _AROUND)))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return "\n".join(text[start:end] for start, end in merged)


def _unescaped(text: str) -> str:
    r"""Line ends written as ``\n``: a string of JSON or Python. Where real ones prevail, ``C:\new`` stays."""
    for _ in range(2):
        if text.count("\\n") < 4 or text.count("\\n") <= 2 * text.count("\n"):
            break
        text = text.replace("\\\\", "\\").replace("\\r", "").replace("\\n", "\n").replace("\\t", " ")
        text = text.replace('\\"', '"').replace("\\u001b", "\x1b").replace("\\x1b", "\x1b").replace("\\u003e", ">")
    return text


def _line(line: str) -> str:
    line = line[:LONGEST_LINE].rstrip()
    if _WIDE in line:  # columns are narrower; patterns need not try thousands of blanks
        line = re.sub(f"{_WIDE} +", _WIDE, line)
    for _ in range(10):  # a quote of a log, or a log of quotes
        bare = line.lstrip()
        if bare.startswith(">") and not bare.startswith(">>> "):
            line = bare[1:].removeprefix(" ")
            continue
        match = _PREFIX.match(bare)
        if match is None:
            break
        line = bare[match.end() :]
    return "" if line.lstrip().startswith(("```", "~~~")) else line
