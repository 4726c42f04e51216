"""Lists of packages: pip list, pip freeze, uv pip list, conda list, pip show, the rows in collect_env, pins."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .fields import Field
from .notes import Notes, PackageList

#: packages of one text that are kept: the largest environments have some 2,000
MOST = 20_000

_VERSION = re.compile(r"v?\d+(?:\.\d+)*(?:[._-]?(?:a|b|c|rc|alpha|beta|pre|post|dev)\.?\d*)*(?:\+[A-Za-z0-9._-]+)?\Z")
_LOOSE = re.compile(r"v?\d[\w.+!-]{0,80}\Z")
_TAGGED = re.compile(r"\s*[-*]?\s*\[(pip3?|uv|conda)\]\s+(\S.*)")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,80})(?:\[[\w,\s-]{0,80}\])?\s?===?\s?([^\s;#,\\]{1,80})")
_ROW = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,80})\s+\(?(\d[\w.+!-]{0,80}?)\)?(?:\s+(\S.{0,300}))?\Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,80}[A-Za-z0-9])?\Z")
#: without a header a table must name one of these, or it may be a table of anything
_WELL_KNOWN = frozenset(
    {"torch", "numpy", "transformers", "torchvision", "torchaudio", "tokenizers", "pip", "setuptools", "pytorch"}
    | {"accelerate", "safetensors", "huggingface-hub", "datasets", "requests", "triton", "diffusers", "peft"}
)
_HEADER = re.compile(
    r"\s*#?\s*(?:Package|Name)\s+Version(?:\s+(?:Build|Location|Editable.{0,30}|Latest).{0,60})?\s*\Z", re.I
)


def normalised(name: str) -> str:
    """A package's name as PEP 503 says."""
    return re.sub(r"[-_.]+", "-", name).lower()


def version_like(text: str) -> bool:
    """Whether ``text`` is a version and nothing else."""
    return len(text) < 80 and _LOOSE.match(text) is not None and ("." in text or text.isdigit())


def read(lines: Sequence[Field], notes: Notes) -> None:
    """Gather every list of packages."""
    tagged: dict[str, dict[str, tuple[str, str]]] = {}
    pins: dict[str, tuple[str, str]] = {}
    for field in lines:
        line = field.line
        match = _TAGGED.match(line) if "[" in line else None
        if match:
            _tagged(match[1], match[2], tagged.setdefault("conda" if match[1] == "conda" else "pip", {}), notes)
        elif "==" in line:
            pin = _PIN.match(line.strip().lstrip("-*` "))
            if pin and _VERSION.match(pin[2]) and len(pins) < MOST:
                pins.setdefault(normalised(pin[1]), (pin[2], "pip"))
    for kind in ("pip", "conda"):
        if tagged.get(kind):
            notes.format("torch collect_env" if "vLLM collect_env" not in notes.formats else "vLLM collect_env")
            notes.lists.append(PackageList(f"[{kind}] rows", tagged[kind]))
    if pins:
        notes.format("pip freeze")
        notes.lists.append(PackageList("pip freeze", pins))
    _tables(lines, notes)
    _shown(lines, notes)


def _tagged(kind: str, text: str, entries: dict[str, tuple[str, str]], notes: Notes) -> None:
    """A row of collect_env: ``torch==2.3.1``, ``torch (0.4.0)``, or a line of ``conda list``."""
    if len(entries) >= MOST:
        return
    pin = _PIN.match(text)
    if kind != "conda" and pin:
        entries.setdefault(normalised(pin[1]), (pin[2], "pip"))
        return
    row = _ROW.match(text)
    if row is None:
        return
    if kind == "conda":
        conda_row(row[1], row[2], row[3] or "", entries, notes)
    else:
        entries.setdefault(normalised(row[1]), (row[2], "pip"))


def conda_row(name: str, version: str, rest: str, entries: dict[str, tuple[str, str]], notes: Notes) -> None:
    """A line of ``conda list``: what came from PyPI is pip's; ``pytorch`` is conda's name for torch.

    The build's name says what torch was built for: ``py3.11_cuda11.8_cudnn8.7.0_0``, ``cuda126_mkl_py312_h9f0_300``.
    """
    of_pip = "pypi" in rest
    name = normalised(name)
    if name in ("pytorch", "pytorch-cpu", "pytorch-gpu", "libtorch") and not of_pip:
        if name == "libtorch":
            return
        name = "torch"
        build = re.match(r"(?:\S{0,20}_)?cuda(\d{2}\.\d|\d\.\d|\d{3})", rest) or re.match(r"(?:\S{0,20}_)?(cpu)_", rest)
        if build:
            digits = build[1].replace(".", "")
            cuda = "" if digits == "cpu" else f"{digits[:-1]}.{digits[-1]}"
            notes.say(f"conda_cuda {version}", cuda, "conda list", weak=True)
    if of_pip:
        entries[name] = (version, "pip")  # installed over conda's own, or beside a conda package of another name
    else:
        entries.setdefault(name, (version, "conda"))


def _tables(lines: Sequence[Field], notes: Notes) -> None:
    """``pip list`` and ``conda list``: rows below a header, or several in a row with a well-known name among them."""
    rows: list[tuple[str, str, str]] = []
    header = conda = False

    def close() -> None:
        nonlocal rows, header, conda
        enough = rows and (header or (len(rows) >= 3 and any(normalised(row[0]) in _WELL_KNOWN for row in rows)))
        if enough:
            entries: dict[str, tuple[str, str]] = {}
            for name, version, rest in rows[:MOST]:
                if conda or "pypi" in rest or "conda-forge" in rest:
                    conda_row(name, version, rest, entries, notes)
                else:
                    entries.setdefault(normalised(name), (version, "pip"))
            who = "conda list" if conda or any("pypi" in row[2] for row in rows) else "pip list"
            notes.format(who)
            notes.lists.append(PackageList(who, entries))
        rows, header, conda = [], False, False

    for field in lines:
        line = field.line
        uv = re.match(r"Using Python (\d\.\d{1,2}\.\d{1,2})\S* environment", line)
        if uv:
            notes.say("python", uv[1], "uv pip list")
        if _HEADER.match(line) or line.startswith("# packages in environment"):
            if not line.startswith("#") or "packages in" in line:
                close()
            header, conda = True, conda or line.lstrip().startswith("#")
            continue
        text = line.strip().strip("|").strip()
        match = _ROW.match(text) if text and text[0].isalnum() and len(text) < 300 else None
        if (
            match
            and _VERSION.match(match[2])
            and _NAME.match(match[1])
            and not match[1].isdigit()
            and (
                match[3] is None
                or header
                or "pypi" in match[3]
                or re.match(r"\S+_\d+\s|[\w.]+\s*\Z|/|[A-Z]:", match[3])
            )
        ):
            rows.append((match[1], match[2], match[3] or ""))
        elif rows and text and not re.match(r"[-=#\s|+]+\Z", text):
            close()
    close()


def _shown(lines: Sequence[Field], notes: Notes) -> None:
    """``pip show``: a line ``Name:`` and soon after it ``Version:``."""
    entries: dict[str, tuple[str, str]] = {}
    name, since = "", 0
    for field in lines:
        since += 1
        if field.key == "name" and _NAME.match(field.value):
            name, since = normalised(field.value), 0
        elif field.key == "version" and name and since <= 2 and version_like(field.value):
            entries.setdefault(name, (field.value, "pip"))
            name = ""
    if entries:
        notes.format("pip show")
        notes.lists.append(PackageList("pip show", entries))
