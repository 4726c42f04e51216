"""Observes the certificate bundles that variables and pip's configuration name, and what is really there."""

from __future__ import annotations

import binascii
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..fact import Fact, known
from ..legible import legible
from ..sections.settings import CertificateSetting, ConfigValue

#: variables that name one bundle file (or a folder of hashed files); SSL_CERT_DIR names folders
BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT")

#: bytes; the largest bundles in use are a quarter of a megabyte
READ_LIMIT = 8 * 1024 * 1024

_LABELS = (b"CERTIFICATE", b"TRUSTED CERTIFICATE", b"X509 CERTIFICATE")
_HASHED_NAME = r"[0-9a-fA-F]{8}\.\d+"


def certificates(
    environ: Mapping[str, str], home: str, cwd: str, configured: Sequence[ConfigValue] = ()
) -> Fact[list[CertificateSetting]]:
    """What each setting for a certificate bundle names. Source: the environment, pip's configuration, those files."""
    found = []
    seen: dict[str, tuple[str, int | None]] = {}

    def look(name: str, path: str, expanded: str) -> None:
        full = str(Path(cwd, expanded))
        if full not in seen:
            seen[full] = state_of(full)
        state, count = seen[full]
        found.append(CertificateSetting(name=name, path=legible(path), state=state, certificates=count))

    for name in BUNDLE_VARIABLES:
        value = environ.get(name)
        if value is None:
            continue
        if value == "":
            found.append(CertificateSetting(name=name, path="", state="empty-value"))
        else:
            # pip expands ~ in its own options; the libraries take the other variables as they are
            look(name, value, _expanded(value, home) if name == "PIP_CERT" else value)
    folders = environ.get("SSL_CERT_DIR")
    if folders == "":
        found.append(CertificateSetting(name="SSL_CERT_DIR", path="", state="empty-value"))
    for folder in (folders or "").split(os.pathsep):
        if folder:
            look("SSL_CERT_DIR", folder, folder)
    for entry in configured:
        look(f"pip {entry.name}", entry.value, _expanded(entry.value, home))
    return known(found, "environment")


def state_of(path: str) -> tuple[str, int | None]:
    """What is at ``path``, and how many certificates it holds: see ``CertificateSetting.state``."""
    try:
        info = Path(path).stat()
        if stat.S_ISDIR(info.st_mode):
            return "folder", sum(1 for entry in Path(path).iterdir() if re.fullmatch(_HASHED_NAME, entry.name))
        if not stat.S_ISREG(info.st_mode):
            return "not-a-certificate", None  # a device or a pipe: reading it could wait for ever
        with open(path, "rb") as stream:
            data = stream.read(READ_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return "missing", None
    except PermissionError:
        return "unreadable", None
    except (OSError, ValueError) as error:
        # Windows: a name with quotation marks or other letters that no file can have
        return ("missing" if getattr(error, "winerror", None) in (123, 161) else "unreadable"), None
    begun = whole = 0
    for part in data.split(b"-----BEGIN ")[1:]:
        label, _, rest = part.partition(b"-----")
        if label in _LABELS:
            begun += 1
            body, end, _ = rest.partition(b"-----END " + label + b"-----")
            whole += bool(end) and _is_der(body)
    if begun == 0:
        return "not-a-certificate", 0
    return ("file" if whole == begun else "damaged"), whole


def _is_der(text: bytes) -> bool:
    """Whether the text between the marks is base64 of an ASN.1 sequence of that length."""
    try:
        data = binascii.a2b_base64(text)
    except binascii.Error:
        return False
    if len(data) < 4 or data[0] != 0x30:
        return False
    octets = data[1] & 0x7F if data[1] & 0x80 else 0
    length = int.from_bytes(data[2 : 2 + octets], "big") if octets else data[1]
    # a TRUSTED CERTIFICATE has more after the certificate itself
    return len(data) >= 2 + octets + length


def _expanded(path: str, home: str) -> str:
    return home + path[1:] if home and (path == "~" or path.startswith(("~/", "~\\"))) else path
